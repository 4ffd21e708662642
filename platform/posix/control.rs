//! Control messages (ancillary data) as the kernels lay them out: written for sending, and read from bytes
//! that a kernel wrote. Both are plain arithmetic on any kernel's layout.

use std::ffi::c_int;
use std::mem::MaybeUninit;

use crate::platform::contract::limits;

/// A descriptor is an int, and so are a message's level and type.
const WORD: usize = size_of::<c_int>();

/// How a kernel lays out a control message: a length, a level and a type, then the data, then padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlLayout {
    /// How many bytes the length has: a size_t on Linux, a socklen_t on OpenBSD.
    pub(crate) length_bytes: usize,
    /// To how many bytes the data and the next message are aligned.
    pub(crate) alignment: usize,
}

impl ControlLayout {
    /// The alignment is a power of two.
    #[inline]
    const fn align(self, bytes: usize) -> usize {
        bytes.wrapping_add(self.alignment - 1) & !(self.alignment - 1)
    }

    /// Where the data starts: `CMSG_LEN(0)`.
    #[inline]
    pub(crate) const fn data_start(self) -> usize {
        self.align(self.length_bytes + 2 * WORD)
    }

    /// What a header says of a message with so many bytes of data: `CMSG_LEN`.
    #[inline]
    pub(crate) const fn length(self, data: usize) -> usize {
        self.data_start() + data
    }

    /// What a message with so many bytes of data takes: `CMSG_SPACE`.
    #[inline]
    pub(crate) const fn space(self, data: usize) -> usize {
        self.data_start() + self.align(data)
    }

    /// What a message with so many descriptors takes.
    #[inline]
    pub(crate) const fn space_for_descriptors(self, count: usize) -> usize {
        self.space(count * WORD)
    }

    /// The header, in words. Where it has three the fourth is the first of the data.
    #[inline]
    const fn header(self, length: usize, level: c_int, kind: c_int) -> [c_int; 4] {
        if self.length_bytes == WORD {
            return [length as c_int, level, kind, 0];
        }
        let [a, b, c, d, e, f, g, h] = (length as u64).to_ne_bytes();
        [c_int::from_ne_bytes([a, b, c, d]), c_int::from_ne_bytes([e, f, g, h]), level, kind]
    }
}

/// The longest header, the most descriptors, and the padding of the largest alignment, which is 16.
const RIGHTS_WORDS: usize = 4 + limits::DESCRIPTORS_PER_MESSAGE + 3;

/// A control message of descriptors, on the stack, of which only what is used is written.
#[repr(C, align(16))]
pub(super) struct RightsMessage([MaybeUninit<c_int>; RIGHTS_WORDS]);

impl RightsMessage {
    #[inline]
    pub(super) const fn unwritten() -> Self {
        Self([const { MaybeUninit::uninit() }; RIGHTS_WORDS])
    }

    /// Writes the message and its padding. What is to be sent is a pointer and a length: exactly `CMSG_SPACE`,
    /// or OpenBSD refuses it (clause R2).
    #[inline]
    pub(super) fn write(
        &mut self,
        layout: ControlLayout,
        (level, kind): (c_int, c_int),
        descriptors: impl ExactSizeIterator<Item = c_int>,
    ) -> (*const c_int, usize) {
        let count = descriptors.len();
        let words = &mut self.0;
        for (word, value) in words.iter_mut().zip(layout.header(layout.length(count * WORD), level, kind)) {
            word.write(value);
        }
        let data = &mut words[layout.data_start() / WORD..layout.space_for_descriptors(count) / WORD];
        let (numbers, padding) = data.split_at_mut(count);
        for (word, descriptor) in numbers.iter_mut().zip(descriptors) {
            word.write(descriptor);
        }
        for word in padding {
            word.write(0);
        }
        (self.0.as_ptr().cast(), layout.space_for_descriptors(count))
    }
}

/// A control message among received bytes. The data is what the bytes really have of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlMessage<'a> {
    pub(crate) level: c_int,
    pub(crate) kind: c_int,
    pub(crate) data: &'a [u8],
}

/// The first control message in received bytes, and the bytes after it. It trusts no length: where there is no
/// whole header, or one that is shorter than itself, there is no message, and one that is longer than the bytes
/// is cut.
#[inline]
pub(crate) fn first_message(layout: ControlLayout, bytes: &[u8]) -> Option<(ControlMessage<'_>, &[u8])> {
    let start = layout.data_start();
    if bytes.len() < start {
        return None;
    }
    let length = match layout.length_bytes {
        WORD => int_at(bytes, 0)? as u32 as usize,
        _ => usize::try_from(u64::from_ne_bytes(bytes[..8].try_into().ok()?)).ok()?,
    };
    if length < start {
        return None;
    }
    let level = int_at(bytes, layout.length_bytes)?;
    let kind = int_at(bytes, layout.length_bytes + WORD)?;
    let data = &bytes[start..length.min(bytes.len())];
    // The last message's padding may be missing (clause R25).
    let rest = bytes.get(layout.align(length).max(length)..).unwrap_or_default();
    Some((ControlMessage { level, kind, data }, rest))
}

/// The int at this place, if all of it is there.
#[inline]
fn int_at(bytes: &[u8], at: usize) -> Option<c_int> {
    bytes.get(at..)?.first_chunk().copied().map(c_int::from_ne_bytes)
}

/// The first int of the bytes, and the bytes after it, if there is a whole one.
#[inline]
pub(super) fn first_int(bytes: &[u8]) -> Option<(c_int, &[u8])> {
    let (int, rest) = bytes.split_first_chunk()?;
    Some((c_int::from_ne_bytes(*int), rest))
}

/// Holds the layout of the kernel that this is compiled for to libc's arithmetic.
const _: () = {
    use crate::platform::{Kernel, Native};
    use static_assertions::const_assert_eq;

    // SAFETY: these are arithmetic on their argument.
    const_assert_eq!(Native::CONTROL.length(0), unsafe { libc::CMSG_LEN(0) } as usize);
    // SAFETY: as above.
    const_assert_eq!(Native::CONTROL.length(20), unsafe { libc::CMSG_LEN(20) } as usize);
    // SAFETY: as above.
    const_assert_eq!(Native::CONTROL.space(4), unsafe { libc::CMSG_SPACE(4) } as usize);
    // SAFETY: as above.
    const_assert_eq!(Native::CONTROL.space(504), unsafe { libc::CMSG_SPACE(504) } as usize);
};
