//! Has unisend call libc's functions, and not those of this library, which have the same names.

/// The functions that unisend calls and this library defines. src/next.rs has those that are called in their place.
const WRAPPED: &[&str] = &["send", "sendto", "sendmsg", "sendmmsg", "recvmsg", "sendfile", "sendfile64"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in WRAPPED {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap={name}");
    }
    // A program calls what this library defines itself, and not what the C library does.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
}
