//! Control messages (ancillary data) as the kernels lay them out: written for sending, and read from bytes
//! that a kernel wrote. Both are plain arithmetic on any kernel's layout.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ops::Range;

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
    /// Where the data starts: `CMSG_LEN(0)`.
    pub(crate) const fn data_start(self) -> usize {
        (self.length_bytes + 2 * WORD).next_multiple_of(self.alignment)
    }

    /// What a header says of a message with so many bytes of data: `CMSG_LEN`.
    pub(crate) const fn length(self, data: usize) -> usize {
        self.data_start() + data
    }

    /// What a message with so many bytes of data takes: `CMSG_SPACE`.
    pub(crate) const fn space(self, data: usize) -> usize {
        self.data_start() + data.next_multiple_of(self.alignment)
    }

    /// What a message with so many descriptors takes.
    pub(crate) const fn space_for_descriptors(self, count: usize) -> usize {
        self.space(count * WORD)
    }

    /// The header, in words. Where it has three the fourth is the first of the data.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlMessage {
    pub(crate) level: c_int,
    pub(crate) kind: c_int,
    pub(crate) data: Range<usize>,
}

/// The control messages in received bytes. It trusts no length: a message that is shorter than its header ends
/// them, and one that is longer than the bytes is cut.
#[derive(Debug, Clone)]
pub(crate) struct ControlMessages {
    layout: ControlLayout,
    at: usize,
}

impl ControlMessages {
    pub(crate) const fn new(layout: ControlLayout) -> Self {
        Self { layout, at: 0 }
    }

    /// The next message in these bytes.
    pub(crate) fn next_in(&mut self, bytes: &[u8]) -> Option<ControlMessage> {
        let layout = self.layout;
        let header = bytes.get(self.at..self.at.checked_add(layout.data_start())?)?;
        let (length, rest) = header.split_at(layout.length_bytes);
        let length = match length.try_into() {
            Ok(eight) => usize::try_from(u64::from_ne_bytes(eight)).unwrap_or(usize::MAX),
            Err(_) => int_at(length, 0)? as u32 as usize,
        };
        if length < layout.data_start() {
            return None;
        }
        let data = self.at + layout.data_start()..self.at.saturating_add(length).min(bytes.len());
        // The end of the last message need not be padded (clause R25).
        self.at = length.checked_next_multiple_of(layout.alignment)?.checked_add(self.at)?;
        Some(ControlMessage { level: int_at(rest, 0)?, kind: int_at(rest, WORD)?, data })
    }
}

/// The int at this place, if all of it is there.
pub(crate) fn int_at(bytes: &[u8], at: usize) -> Option<c_int> {
    let bytes = bytes.get(at..at.checked_add(WORD)?)?;
    Some(c_int::from_ne_bytes(bytes.try_into().ok()?))
}

/// Takes the first int of a range of bytes, if there is a whole one.
pub(super) fn take_int(bytes: &[u8], range: &mut Range<usize>) -> Option<c_int> {
    let int = int_at(bytes.get(range.clone())?, 0)?;
    range.start += WORD;
    Some(int)
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
