//! What is made from the source and kept beside it is that of this source, and agrees with the contract.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;

use unisend_capi_check::{
    capi, errors, header, header_path, manual, manual_pages, manual_path, prototypes, synopsis,
};

const REMEDY: &str = "run cargo run -p unisend-capi-check";

#[test]
fn the_header_is_that_of_the_source() {
    assert!(read_to_string(header_path()).unwrap() == header(), "{REMEDY}");
}

#[test]
fn the_manual_page_has_the_errors_of_the_header() {
    let page = read_to_string(manual_path()).unwrap();
    assert!(page == manual(&page, &header()), "{REMEDY}");
}

/// The table of the contract is compared with the code by the tests of unisend.
#[test]
fn each_kind_has_the_errno_of_the_contract() {
    let contract = read_to_string(capi().join("../docs/contract.md")).unwrap();
    let (_, table) = contract.split_once("| kind | canonical errno |").unwrap();
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| `"));
    let mut expected: BTreeMap<_, _> = rows
        .map(|row| {
            let (kind, rest) = row.split_once("` | ").unwrap();
            let errno = rest.split(' ').next().unwrap().to_owned();
            (kind.to_ascii_uppercase(), if errno.starts_with('E') { errno } else { String::new() })
        })
        .collect();
    expected.insert("NONE".into(), String::new());
    let found = errors(&header());
    let found =
        found.into_iter().map(|error| (error.name.replace("US_ERROR_", "").replace('_', ""), error.errno));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
}

#[test]
fn the_manual_pages_have_every_function_of_the_header() {
    let mut described = BTreeMap::new();
    for path in manual_pages() {
        let page = read_to_string(&path).unwrap();
        let functions = synopsis(&page);
        let names = page.lines().filter_map(|line| line.strip_prefix(".Nm "));
        let names: BTreeSet<_> = names.map(|name| name.trim_end_matches(" ,")).collect();
        assert_eq!(names, functions.keys().map(String::as_str).collect(), "{}", path.display());
        described.extend(functions);
    }
    assert_eq!(described, prototypes(&header()));
}

#[test]
fn the_manual_pages_are_right() {
    let mut pages = manual_pages();
    pages.push(capi().join("../tests/conformance/man/unisend-conformance.1"));
    for page in pages {
        let said = mandoc(&["-Tlint", "-Wwarning"], &page);
        assert!(said.is_empty(), "{said}");
        for line in mandoc(&["-Tascii", "-Owidth=78"], &page).lines() {
            // A letter that is bold is printed twice, with a backspace between.
            let width = line.chars().count() - 2 * line.matches('\u{8}').count();
            assert!(width <= 80, "{}: {width}: {line}", page.display());
        }
    }
}

fn mandoc(arguments: &[&str], page: &Path) -> String {
    let said = Command::new("mandoc")
        .args(arguments)
        .arg(page)
        .output()
        .expect("mandoc is needed: install the package of this name");
    String::from_utf8(said.stdout).unwrap()
}
