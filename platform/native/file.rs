//! The kind and the status of a descriptor, as far as sendfile depends on them.

use std::os::fd::BorrowedFd;

use crate::platform::Native;
use crate::platform::kernel::{FileKind, Kernel, RawErrno, Status};
use crate::platform::posix::{file, status};

pub(super) fn kind(fd: BorrowedFd<'_>) -> Result<FileKind, RawErrno> {
    kind_and_length(fd).map(|(kind, _)| kind)
}

/// Returns the kind, and the size of a regular file.
pub(super) fn kind_and_length(fd: BorrowedFd<'_>) -> Result<(FileKind, u64), RawErrno> {
    let file = file::attributes(fd)?;
    Ok((Native::file_kind(file.mode, file.device), file.length))
}

pub(super) fn status(fd: BorrowedFd<'_>) -> Result<Status, RawErrno> {
    let flags = status::flags(fd)?;
    // musl's O_ACCMODE includes O_PATH.
    let (mode, is_path) = (flags & libc::O_ACCMODE, flags & Native::NUMBERS.O_PATH != 0);
    Ok(Status {
        readable: !is_path && matches!(mode, libc::O_RDONLY | libc::O_RDWR),
        writable: !is_path && matches!(mode, libc::O_WRONLY | libc::O_RDWR),
        appends: flags & libc::O_APPEND != 0,
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// It is a device, unless it must be kept away from sendfile(2).
    #[test]
    fn x7_the_null_device() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let expected = if Native::NULL_DEVICE.is_some() { FileKind::Other } else { FileKind::Device };
        assert_eq!(kind(null.as_fd()), Ok(expected));
        let zero = std::fs::File::open("/dev/zero").unwrap();
        assert_eq!(kind(zero.as_fd()), Ok(FileKind::Device));
    }
}
