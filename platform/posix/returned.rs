use crate::platform::kernel::RawErrno;

/// Returns the errno of the call that has just failed.
#[cold]
pub(in crate::platform) fn last_errno() -> RawErrno {
    let errno = std::io::Error::last_os_error().raw_os_error();
    RawErrno::from_number(errno.expect("it was made of an errno"))
}

/// Returns the result of a call as a count.
#[inline]
pub(in crate::platform) fn count(returned: isize) -> Result<usize, RawErrno> {
    if returned < 0 { Err(last_errno()) } else { Ok(returned as usize) }
}
