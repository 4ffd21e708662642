use std::fmt;

use crate::platform::Native;
use crate::platform::kernel::{Kernel, RawErrno};

impl fmt::Display for RawErrno {
    /// The kernel's name for it, where the contract knows one, its number and what it says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number();
        let description = nix::errno::Errno::from_raw(number).desc();
        match Native::errno_name(*self) {
            Some(name) => write!(f, "{name:?}, errno {number}: {description}"),
            None => write!(f, "errno {number}: {description}"),
        }
    }
}
