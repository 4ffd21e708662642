//! What is made from the Rust source of libunisend, and kept beside it.

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
    lines.join("\n") + "\n"
}
