//! Gives the shared library its name for the run-time linker: that of its first ABI, as the system writes it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").expect("cargo sets it");
    // OpenBSD's linker wants a major and a minor number, and Linux's the major one.
    let name = if system == "openbsd" { "libunisend.so.0.0" } else { "libunisend.so.0" };
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{name}");
}
