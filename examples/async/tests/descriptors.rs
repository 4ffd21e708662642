//! No descriptor is leaked or closed twice. It is a single test, because another one would open and close descriptors at the
//! same time.

#[path = "../mio.rs"]
mod with_mio;
#[path = "../polling.rs"]
mod with_polling;
#[path = "../tokio.rs"]
mod with_tokio;

use std::fs::File;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// The numbers that are open.
fn open_descriptors() -> Vec<i32> {
    let is_open = |&number: &i32| {
        // SAFETY: it is borrowed for one call, which asks whether it is open.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl(descriptor, FcntlArg::F_GETFD) != Err(Errno::EBADF)
    };
    (0..256).filter(is_open).collect()
}

#[test]
fn as_many_are_open_after_each_program_as_before() {
    let files = [File::open("/dev/null").expect("/dev/null"), tempfile::tempfile().expect("a file")];
    files[1].set_len(3_000_000).expect("a regular file");
    let before = open_descriptors();
    let text = "text".repeat(500_000);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(with_tokio::pass_descriptors(&text, &files)).expect("all arrives");
    runtime.block_on(with_tokio::send_file(b"", &files[1])).expect("all arrives");
    drop(runtime);
    assert_eq!(open_descriptors(), before, "tokio");

    with_mio::pass_descriptors(&text, &files).expect("all arrives");
    with_mio::send_file(b"", &files[1]).expect("all arrives");
    assert_eq!(open_descriptors(), before, "mio");

    with_polling::pass_descriptors(&text, &files).expect("all arrives");
    with_polling::send_file(b"", &files[1]).expect("all arrives");
    assert_eq!(open_descriptors(), before, "polling");
}
