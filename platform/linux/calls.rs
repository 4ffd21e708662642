//! The calls that only Linux has, or that only Linux needs.

use std::os::fd::BorrowedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

use super::verdict::{TcpInfo, Witness};
use crate::platform::posix::option;

/// Where `struct tcp_info` has the state (a byte), and the counts of segments sent and received (32 bits
/// each). The C libraries' structures end at different fields; the kernel's has these since 4.2.
const STATE: usize = 0;
const SEGMENTS_OUT: usize = 136;
const SEGMENTS_IN: usize = 140;
const TCP_INFO_BYTES: usize = 144;

#[cfg(target_env = "gnu")]
const _: () = {
    use static_assertions::const_assert_eq;
    use std::mem::offset_of;

    const_assert_eq!(offset_of!(libc::tcp_info, tcpi_state), STATE);
    const_assert_eq!(offset_of!(libc::tcp_info, tcpi_segs_out), SEGMENTS_OUT);
    const_assert_eq!(offset_of!(libc::tcp_info, tcpi_segs_in), SEGMENTS_IN);
};

impl Witness for BorrowedFd<'_> {
    fn tcp_info(&self) -> Option<TcpInfo> {
        let mut info = [0; TCP_INFO_BYTES];
        let length = option::get(*self, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info).ok()?;
        let count = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        let counts = || u64::from(count(SEGMENTS_OUT)) + u64::from(count(SEGMENTS_IN));
        (length > STATE)
            .then(|| TcpInfo { state: info[STATE], segments: (length >= TCP_INFO_BYTES).then(counts) })
    }
}

/// The abstract name in a unix address, if it has one.
pub(crate) fn abstract_name(address: &SocketAddr) -> Option<&[u8]> {
    address.as_abstract_name()
}
