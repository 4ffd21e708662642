//! The installation, in a folder of its own: what it has, what it exports, and that C programs build with it and run.

use std::collections::BTreeSet;
use std::fs::{read, read_to_string};
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSymbol};
use unisend_capi_check::{capi, manual_pages, prototypes};

#[test]
fn what_is_installed_can_be_used() {
    let root = tempfile::tempdir().unwrap();
    let prefix = root.path().join("usr/our prefix").to_str().unwrap().replace(' ', "-");
    must(Command::new("sh").arg(capi().join("install")).env("DESTDIR", "").env("PREFIX", &prefix));
    let lib = Path::new(&prefix).join("lib");

    let installed =
        |page: &PathBuf| Path::new(&prefix).join("share/man/man3").join(page.file_name().unwrap()).exists();
    assert!(manual_pages().iter().all(installed));

    exports_the_header(&lib.join("libunisend.so"), &Path::new(&prefix).join("include/unisend.h"));

    let pkg_config = |arguments: &[&str]| {
        let said = must(
            Command::new("pkg-config")
                .args(arguments)
                .arg("unisend")
                .env("PKG_CONFIG_PATH", lib.join("pkgconfig")),
        );
        said.split_whitespace().map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let program = root.path().join("program");
    for (source, warnings) in [("examples/pass.c", "-std=c99"), ("tests/suite.c", "-std=gnu11")] {
        for is_static in [false, true] {
            let libs = match is_static {
                false => pkg_config(&["--libs"]),
                true => pkg_config(&["--libs", "--static"])
                    .into_iter()
                    .map(|word| if word == "-lunisend" { "-l:libunisend.a".into() } else { word })
                    .collect(),
            };
            let mut cc = Command::new("cc");
            cc.args([warnings, "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
                .arg(&program);
            must(cc.args(pkg_config(&["--cflags"])).arg(capi().join(source)).args(libs));
            let needed = read(&program).unwrap();
            let needs_shared = needed.windows(15).any(|part| part == b"libunisend.so.0");
            assert_eq!(needs_shared, !is_static, "{source}");
            must(Command::new(&program).env("LD_LIBRARY_PATH", &lib));
        }
    }
}

/// A program can call what the header declares, and nothing else.
fn exports_the_header(library: &Path, header: &Path) {
    let contents = read(library).unwrap();
    let library = object::File::parse(&*contents).unwrap();
    let symbols = library.dynamic_symbols().filter(|symbol| symbol.is_definition() && symbol.is_global());
    let exported: BTreeSet<String> = symbols.map(|symbol| symbol.name().unwrap().to_owned()).collect();
    let header = read_to_string(header).unwrap();
    assert_eq!(exported, prototypes(&header).into_keys().collect());
}

fn must(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
