//! The numbers of a kernel, under the names that C gives them.

use std::ffi::c_int;

use super::contract::SendFlags;

/// The number of a flag that a kernel does not have.
pub(super) const ABSENT: c_int = 0;

/// The type of a control message that a kernel does not have. No message has it.
pub(super) const NEVER_SENT: c_int = -1;

/// A kernel's numbers. Each is held to libc's when this is compiled for that kernel.
#[allow(non_snake_case, reason = "the names that C gives them")]
#[allow(dead_code, reason = "some are only one kernel's to use")]
pub(crate) struct Numbers {
    pub(super) AF_UNIX: c_int,
    pub(super) AF_INET: c_int,
    pub(super) AF_INET6: c_int,
    pub(super) SOCK_STREAM: c_int,
    pub(super) SOCK_DGRAM: c_int,
    pub(super) SOCK_SEQPACKET: c_int,
    pub(super) IPPROTO_TCP: c_int,
    pub(super) IPPROTO_UDP: c_int,
    pub(super) SOL_SOCKET: c_int,
    pub(super) SO_DOMAIN: c_int,
    pub(super) SO_TYPE: c_int,
    pub(super) SO_PROTOCOL: c_int,
    pub(super) SO_SNDBUF: c_int,
    pub(super) SO_ERROR: c_int,
    pub(super) SO_ACCEPTCONN: c_int,
    pub(super) MSG_OOB: c_int,
    pub(super) MSG_PEEK: c_int,
    pub(super) MSG_DONTROUTE: c_int,
    pub(super) MSG_DONTWAIT: c_int,
    pub(super) MSG_EOR: c_int,
    pub(super) MSG_NOSIGNAL: c_int,
    pub(super) MSG_MORE: c_int,
    pub(super) MSG_CONFIRM: c_int,
    pub(super) MSG_TRUNC: c_int,
    pub(super) MSG_CTRUNC: c_int,
    pub(super) MSG_CMSG_CLOEXEC: c_int,
    pub(super) SCM_RIGHTS: c_int,
    pub(super) SCM_PIDFD: c_int,
    pub(super) SO_PEERCRED: c_int,
    pub(super) O_PATH: c_int,
}

impl Numbers {
    /// The number for each combination of flags, by the bits of the combination.
    pub(super) const fn of_all_send_flags(&self) -> [c_int; SendFlags::COMBINATIONS] {
        let mut numbers = [0; SendFlags::COMBINATIONS];
        let mut bits = 0;
        while bits < SendFlags::COMBINATIONS {
            numbers[bits] = self.of_send_flags(SendFlags::from_bits_retain(bits as u8));
            bits += 1;
        }
        numbers
    }

    /// The numbers for a set of flags, with `MSG_NOSIGNAL`: no send of ours ever raises a signal.
    const fn of_send_flags(&self, flags: SendFlags) -> c_int {
        self.MSG_NOSIGNAL
            | number_if(flags, SendFlags::OUT_OF_BAND, self.MSG_OOB)
            | number_if(flags, SendFlags::DONT_ROUTE, self.MSG_DONTROUTE)
            | number_if(flags, SendFlags::DONT_WAIT, self.MSG_DONTWAIT)
            | number_if(flags, SendFlags::END_OF_RECORD, self.MSG_EOR)
            | number_if(flags, SendFlags::MORE, self.MSG_MORE)
            | number_if(flags, SendFlags::CONFIRM, self.MSG_CONFIRM)
    }
}

const fn number_if(flags: SendFlags, flag: SendFlags, number: c_int) -> c_int {
    if flags.contains(flag) { number } else { 0 }
}

/// Holds a kernel's tables to libc's numbers, when compiled for that kernel.
macro_rules! held_to_libc {
    ($os:tt, $table:expr, [$($name:ident)*]) => {
        #[cfg(target_os = $os)]
        mod held_to_libc {
            $(static_assertions::const_assert_eq!($table.$name, libc::$name);)*
        }
    };
}
pub(super) use held_to_libc;

/// A kernel's errnos by name, held to libc's when compiled for that kernel.
macro_rules! errnos {
    ($os:tt, { $($name:ident = $number:literal,)* } $(and { $($own:ident = $own_number:literal,)* })?) => {
        pub(super) const ERRNOS: &[(Errno, c_int)] = &[
            $((Errno::$name, $number),)*
            $($((Errno::$own, $own_number),)*)?
        ];

        #[cfg(target_os = $os)]
        mod held_to_libc {
            $(static_assertions::const_assert_eq!($number, libc::$name);)*
        }
    };
}
pub(super) use errnos;
