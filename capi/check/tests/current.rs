//! What is made from the source and kept beside it is that of this source, and agrees with the contract.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::process::Command;

use unisend_capi_check::{capi, errors, header, header_path, manual, manual_path};

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
fn the_manual_page_is_right() {
    let mandoc = Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(manual_path()).output();
    let said = mandoc.expect("mandoc is installed");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    let page = Command::new("mandoc").args(["-Tascii", "-Owidth=78"]).arg(manual_path()).output().unwrap();
    for line in String::from_utf8(page.stdout).unwrap().lines() {
        // A letter that is bold is printed twice, with a backspace between.
        let width = line.chars().count() - 2 * line.matches('\u{8}').count();
        assert!(width <= 80, "{width}: {line}");
    }
}
