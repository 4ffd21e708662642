//! OpenBSD.

#[cfg(target_os = "openbsd")]
pub(super) mod calls;
mod errno;
mod numbers;
mod verdict;

use std::ffi::c_int;

use super::contract::{Errno, SendFlags};
use super::numbers::Numbers;
use super::{Cause, Failure, Kernel};
pub(super) use verdict::Witness;

pub(super) enum OpenBsd {}

impl Kernel for OpenBsd {
    const NUMBERS: Numbers = numbers::NUMBERS;
    const ERRNOS: &'static [(Errno, c_int)] = errno::ERRNOS;
    const FLAGS: SendFlags =
        SendFlags::OUT_OF_BAND.union(SendFlags::DONT_WAIT).union(SendFlags::END_OF_RECORD);
    const ABSTRACT_NAMES: bool = false;
    const HARD_ERROR_HIDES_COUNT: bool = true;
    const WAITS_FOR_DATAGRAM_RECEIVER: bool = false;

    fn socket_name_header(family: c_int, length: u8) -> [u8; 2] {
        [length, family as u8]
    }

    type Witness<'a> = dyn Witness + 'a;

    fn judge(failure: Failure, witness: &Self::Witness<'_>) -> Cause {
        verdict::judge(failure, witness)
    }
}
