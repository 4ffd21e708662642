use std::{fmt, io};

use crate::platform::Native;
use crate::platform::kernel::{Kernel, RawErrno};

impl fmt::Display for RawErrno {
    /// Writes the errno's name, if the contract knows it, its description by the C library, and its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = io::Error::from_raw_os_error(self.number());
        match Native::errno_name(*self) {
            Some(name) => write!(f, "{name:?}, {description}"),
            None => write!(f, "{description}"),
        }
    }
}
