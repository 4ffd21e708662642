//! Control messages, which are bytes here, in the layout that libc knows for this system.

#![allow(clippy::unnecessary_cast, reason = "lengths have other types in other C libraries")]

use std::ffi::c_int;
use std::mem::offset_of;

use libc::cmsghdr;

use crate::caller::CONTROL_HEADER;

/// One number in a control message.
const NUMBER: usize = size_of::<c_int>();

/// Returns the bytes of the descriptors of a message that has one control message, and nothing else in it.
///
/// `None` stands for anything else: another kind of control message, two of them, one without descriptors, or a length
/// that is not exact (clauses C1, R1, R2 and R5).
#[must_use]
pub fn only_descriptors(control: &[u8]) -> Option<&[u8]> {
    let length = length(control)?;
    let is_rights = int(control, offset_of!(cmsghdr, cmsg_level))? == libc::SOL_SOCKET
        && int(control, offset_of!(cmsghdr, cmsg_type))? == libc::SCM_RIGHTS;
    let numbers = control.get(CONTROL_HEADER..length)?;
    let is_exact = control.len() - length < CONTROL_HEADER - NUMBER;
    (is_rights && is_exact && !numbers.is_empty() && numbers.len() % NUMBER == 0).then_some(numbers)
}

/// Returns the descriptors of such a message.
pub fn numbers(bytes: &[u8]) -> impl Iterator<Item = c_int> + '_ {
    bytes.chunks_exact(NUMBER).filter_map(|bytes| int(bytes, 0))
}

/// Returns how many descriptors have room in a control message of this many bytes.
#[must_use]
pub fn room_for_descriptors(bytes: usize) -> usize {
    bytes.saturating_sub(CONTROL_HEADER) / NUMBER
}

/// Writes a control message of descriptors, for which there must be room, and returns how many bytes it has with its
/// padding, as far as there is room for that too.
pub fn write_descriptors(control: &mut [u8], descriptors: impl ExactSizeIterator<Item = c_int>) -> usize {
    let length = CONTROL_HEADER + NUMBER * descriptors.len();
    control[..CONTROL_HEADER].fill(0);
    put_length(control, length);
    put(control, offset_of!(cmsghdr, cmsg_level), &libc::SOL_SOCKET.to_ne_bytes());
    put(control, offset_of!(cmsghdr, cmsg_type), &libc::SCM_RIGHTS.to_ne_bytes());
    for (at, descriptor) in descriptors.enumerate() {
        put(control, CONTROL_HEADER + NUMBER * at, &descriptor.to_ne_bytes());
    }
    control.len().min(length.next_multiple_of(ALIGNMENT))
}

/// The headers of control messages begin at multiples of this: that of their lengths on Linux, and of a register on
/// OpenBSD.
const ALIGNMENT: usize = {
    let space = crate::caller::CONTROL_SPACE_OF_BYTE - CONTROL_HEADER;
    assert!(space.is_power_of_two());
    space
};

/// The length of a control message has 4 or 8 bytes.
#[cfg(any(target_os = "openbsd", target_env = "musl"))]
type Length = libc::socklen_t;
#[cfg(not(any(target_os = "openbsd", target_env = "musl")))]
type Length = usize;

const _: () = assert!(size_of::<Length>() == field_size(|header: cmsghdr| header.cmsg_len));

const fn field_size<T>(_: fn(cmsghdr) -> T) -> usize {
    size_of::<T>()
}

fn length(control: &[u8]) -> Option<usize> {
    let bytes = control.get(offset_of!(cmsghdr, cmsg_len)..)?;
    Some(Length::from_ne_bytes(*bytes.first_chunk()?) as usize)
}

fn put_length(control: &mut [u8], length: usize) {
    put(control, offset_of!(cmsghdr, cmsg_len), &(length as Length).to_ne_bytes());
}

fn int(bytes: &[u8], at: usize) -> Option<c_int> {
    Some(c_int::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    bytes[at..at + part.len()].copy_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for count in [1, 2, 3, 126] {
            let mut control = [0xff; 1024];
            let written = write_descriptors(&mut control, 0..count);
            let found = only_descriptors(&control[..written]).unwrap();
            assert!(numbers(found).eq(0..count));
            assert_eq!(written, (CONTROL_HEADER + NUMBER * count as usize).next_multiple_of(ALIGNMENT));
        }
    }

    #[test]
    fn r1_r2_r5_anything_else_is_not_read() {
        let mut control = [0; 1024];
        let one = write_descriptors(&mut control, 0..1);
        let mut two = control[..one].to_vec();
        two.extend_from_within(..);
        assert_eq!(only_descriptors(&two), None);
        for length in 0..CONTROL_HEADER + NUMBER {
            assert_eq!(only_descriptors(&control[..length]), None, "{length} bytes");
        }
        let mut none = [0; 64];
        let length = write_descriptors(&mut none, 0..0);
        assert_eq!(only_descriptors(&none[..length]), None);
        control[offset_of!(cmsghdr, cmsg_type)] ^= 2;
        assert_eq!(only_descriptors(&control[..one]), None);
    }

    #[test]
    fn the_padding_is_written_only_where_it_has_room() {
        let mut control = [0; 64];
        let room = CONTROL_HEADER + NUMBER;
        assert_eq!(room_for_descriptors(room), 1);
        assert_eq!(room_for_descriptors(room - 1), 0);
        assert_eq!(write_descriptors(&mut control[..room], 0..1), room);
    }
}
