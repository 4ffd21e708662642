//! What is made from the Rust source of libunisend, and kept beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns the folder of the C library.
#[must_use]
pub fn capi() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in capi/").to_owned()
}

/// Returns where the header is kept.
#[must_use]
pub fn header_path() -> PathBuf {
    capi().join("include/unisend.h")
}

/// Makes the header from the Rust source.
///
/// # Panics
///
/// If the source cannot be understood.
#[must_use]
pub fn header() -> String {
    let config = cbindgen::Config::from_file(capi().join("cbindgen.toml")).expect("cbindgen.toml is right");
    let bindings = cbindgen::Builder::new().with_config(config).with_crate(capi()).generate();
    let mut made = Vec::new();
    bindings.expect("the source has a header").write(&mut made);
    let text = String::from_utf8(made).expect("it is text");
    in_c_style(&text)
}

/// Returns the manual pages.
///
/// # Panics
///
/// If they cannot be listed.
#[must_use]
pub fn manual_pages() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(capi().join("man")).expect("there is the folder");
    folder.map(|entry| entry.expect("it can be read").path()).collect()
}

/// Returns where the manual page is kept that has the errors.
#[must_use]
pub fn manual_path() -> PathBuf {
    capi().join("man/us_send.3")
}

/// Returns the functions that a header declares, by name, each with its prototype as one line.
#[must_use]
pub fn prototypes(header: &str) -> BTreeMap<String, String> {
    let without_comment = |paragraph: &str| paragraph.rsplit("*/").next().map(one_line);
    let declared = header.split("\n\n").filter_map(without_comment);
    declared.filter_map(|line| Some((function(&line)?.to_owned(), line))).collect()
}

/// Returns the functions in the synopsis of a manual page, in the same form.
///
/// # Panics
///
/// If the page has no synopsis.
#[must_use]
pub fn synopsis(page: &str) -> BTreeMap<String, String> {
    let (_, rest) = page.split_once(".In unisend.h\n").expect("the page has a synopsis");
    let (body, _) = rest.split_once(".Sh ").expect("it ends");
    let declared = body.split(".Ft ").skip(1).map(|text| {
        let (result, rest) = text.split_once('\n').expect("a type is a line of its own");
        let words = rest.replace(".Fn ", "").replace(".Fo ", "").replace("\n.Fa ", " ").replace("\n.Fc", "");
        let (name, parameters) = words.trim().split_once(' ').expect("a function has parameters, or void");
        let parameters = parameters.trim_matches('"').replace("\" \"", ", ");
        let space = if result.ends_with('*') { "" } else { " " };
        (name.to_owned(), format!("{result}{space}{name}({parameters});"))
    });
    declared.collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the name of the function that a line declares.
fn function(line: &str) -> Option<&str> {
    let (before, _) = line.strip_suffix(");")?.split_once('(')?;
    before.rsplit([' ', '*']).next()
}

/// Returns the manual page with the fields and the errors of this header: each list that begins with a mark is made anew.
///
/// # Panics
///
/// If a list of the page does not end, or the header lacks what it is made from.
#[must_use]
pub fn manual(page: &str, header: &str) -> String {
    const MARK: &str = ".\\\" Made from the header: ";
    let mut parts = page.split(MARK);
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (what, rest) = part.split_once('\n').expect("a mark is a line");
        let after = &rest[rest.find(".El\n").expect("the list ends")..];
        let items: String = match what {
            "enum us_error" => errors(header).iter().map(KindInHeader::item).collect(),
            what => described(header, what).iter().map(field).collect(),
        };
        made += &[MARK, what, "\n", &items, after].concat();
    }
    made
}

/// Returns the item of a field of a structure.
fn field((declaration, meaning): &(String, String)) -> String {
    format!(".It Fa \"{declaration}\"\n{}\n", sentences(meaning))
}

/// A sentence begins a line in mdoc.
fn sentences(text: &str) -> String {
    text.replace(".  ", ".\n")
}

/// A kind of error, as the header describes it.
#[derive(Debug)]
pub struct KindInHeader {
    /// Its name, such as `US_ERROR_RESET`.
    pub name: String,
    /// The name of its errno, or nothing if it has none.
    pub errno: String,
    /// What it means.
    pub meaning: String,
}

impl KindInHeader {
    /// Returns an item of a list in mdoc. A sentence begins a line.
    fn item(&self) -> String {
        let Self { name, errno, meaning } = self;
        let meaning = sentences(meaning);
        match errno.as_str() {
            "" => format!(".It Dv {name}\n{meaning}\n"),
            errno => format!(".It Bq Er {errno} Dv {name}\n{meaning}\n"),
        }
    }
}

/// Returns the kinds of errors that the header has.
///
/// # Panics
///
/// If the header is not what [`header`] makes.
#[must_use]
pub fn errors(header: &str) -> Vec<KindInHeader> {
    let kinds = described(header, "enum us_error").into_iter().map(|(declaration, said)| {
        let (name, _) = declaration.split_once(" = ").expect("each kind has its number");
        let first = said.split_once(".  ").filter(|(word, _)| is_errno(word));
        let (errno, meaning) = first.unwrap_or(("", &said));
        KindInHeader { name: name.into(), errno: errno.into(), meaning: meaning.into() }
    });
    kinds.collect()
}

/// Returns what a structure or an enumeration of the header declares, each with the comment before it.
fn described(header: &str, what: &str) -> Vec<(String, String)> {
    let (_, rest) = header.split_once(&format!("\n{what} {{\n")).expect("the header has it");
    let (body, _) = rest.split_once("\n};").expect("it ends");
    let mut found = Vec::new();
    let mut comment = String::new();
    for line in body.lines().map(str::trim) {
        if line.starts_with(['/', '*']) {
            let said = line.trim_end_matches("*/").trim_start_matches('/').trim_start_matches('*').trim();
            comment = format!("{comment} {said}");
        } else if !line.is_empty() && !line.starts_with('#') {
            found.push((line.trim_end_matches([';', ',']).to_owned(), comment.trim().to_owned()));
            comment.clear();
        }
    }
    found
}

fn is_errno(word: &str) -> bool {
    word.starts_with('E') && word.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
}

/// Turns the comments into those of C, the indentation into tabs, and a negative number into one expression.
fn in_c_style(text: &str) -> String {
    let mut lines = Vec::new();
    let mut comment = Vec::new();
    for line in text.lines() {
        let content = line.trim_start_matches(' ');
        let spaces = line.len() - content.len();
        let indentation = "\t".repeat(spaces / 8) + &" ".repeat(spaces % 8);
        if let Some(said) = content.strip_prefix("//") {
            comment.push(said.trim());
            continue;
        }
        match comment.as_slice() {
            [] => {}
            [said] => lines.push(format!("{indentation}/* {said} */")),
            several => {
                lines.push(format!("{indentation}/*"));
                lines.extend(
                    several.iter().map(|said| format!("{indentation} * {said}").trim_end().to_owned()),
                );
                lines.push(format!("{indentation} */"));
            }
        }
        comment.clear();
        let content = match content.strip_prefix("#define ").and_then(|rest| rest.split_once(" -")) {
            Some((name, number)) => format!("#define {name} (-{number})"),
            None => content.split("  //").next().unwrap_or_default().replace(" // __cplusplus", ""),
        };
        lines.push(indentation + &content);
    }
    // What is left out leaves empty lines.
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    lines.join("\n") + "\n"
}
