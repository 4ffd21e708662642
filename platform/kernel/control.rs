//! Control messages (ancillary data) in the layout of a kernel: written for sending, and read from bytes that a
//! kernel wrote. Both are arithmetic that works for the layout of any kernel.

use std::ffi::c_int;
use std::mem::MaybeUninit;

use crate::platform::contract::limits;

/// The size of a descriptor, and of the level and the type of a message: each is an int.
const WORD: usize = size_of::<c_int>();

/// The layout of a control message: a length, a level and a type, then the data, then padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlLayout {
    /// The size of the length field: a size_t on Linux, a socklen_t on OpenBSD.
    pub(crate) length_bytes: usize,
    /// The alignment of the data and of the next message, in bytes.
    pub(crate) alignment: usize,
}

impl ControlLayout {
    /// Rounds up to the alignment, which is a power of two.
    #[inline]
    const fn align(self, bytes: usize) -> usize {
        bytes.wrapping_add(self.alignment - 1) & !(self.alignment - 1)
    }

    /// Returns the offset of the data: `CMSG_LEN(0)`.
    #[inline]
    pub(crate) const fn data_start(self) -> usize {
        self.align(self.length_bytes + 2 * WORD)
    }

    /// Returns the length in the header of a message with this many bytes of data: `CMSG_LEN`.
    #[inline]
    pub(crate) const fn length(self, data: usize) -> usize {
        self.data_start() + data
    }

    /// Returns the space that a message with this many bytes of data takes: `CMSG_SPACE`.
    #[inline]
    pub(crate) const fn space(self, data: usize) -> usize {
        self.data_start() + self.align(data)
    }

    /// Returns the space that a message with this many descriptors takes.
    #[inline]
    pub(crate) const fn space_for_descriptors(self, count: usize) -> usize {
        self.space(count * WORD)
    }

    /// Returns the header, in words. If the header has three words, the fourth is the first word of the data.
    #[inline]
    const fn header(self, length: usize, level: c_int, kind: c_int) -> [c_int; 4] {
        if self.length_bytes == WORD {
            return [length as c_int, level, kind, 0];
        }
        let [a, b, c, d, e, f, g, h] = (length as u64).to_ne_bytes();
        [c_int::from_ne_bytes([a, b, c, d]), c_int::from_ne_bytes([e, f, g, h]), level, kind]
    }
}

/// Room for control messages that are sent, in words on the stack. Only the part in use is written.
#[repr(C, align(16))]
pub(in crate::platform) struct ControlWords<const ROOM: usize>([MaybeUninit<c_int>; ROOM]);

/// Room for the most descriptors: the longest header, and the padding of the largest alignment, which is 16.
pub(in crate::platform) type RightsMessage = ControlWords<{ 4 + limits::DESCRIPTORS_PER_MESSAGE + 3 }>;

/// Room for all that goes with a UDP datagram, where the alignment is 16: an IPv6 source, and three single values.
pub(in crate::platform) type DatagramMessages = ControlWords<{ 12 + 3 * 8 }>;

impl<const ROOM: usize> ControlWords<ROOM> {
    #[inline]
    pub(in crate::platform) const fn unwritten() -> Self {
        Self([const { MaybeUninit::uninit() }; ROOM])
    }

    #[inline]
    pub(in crate::platform) const fn as_ptr(&self) -> *const c_int {
        self.0.as_ptr().cast()
    }

    /// Writes a message of words and its padding behind the bytes that are written, and returns how many bytes are
    /// written then. Their sum is exactly that of `CMSG_SPACE`, or OpenBSD refuses the message (clause R2).
    #[inline]
    pub(in crate::platform) fn write(
        &mut self,
        written: usize,
        layout: ControlLayout,
        sort: (c_int, c_int),
        values: impl ExactSizeIterator<Item = c_int>,
    ) -> usize {
        let data = values.len() * WORD;
        self.write_data(written, layout, sort, data, values)
    }

    /// Writes a message whose data is a single number of 16 bits, as `write` does.
    #[inline]
    pub(in crate::platform) fn write_short(
        &mut self,
        written: usize,
        layout: ControlLayout,
        sort: (c_int, c_int),
        value: u16,
    ) -> usize {
        let [first, second] = value.to_ne_bytes();
        let word = c_int::from_ne_bytes([first, second, 0, 0]);
        self.write_data(written, layout, sort, 2, std::iter::once(word))
    }

    /// Writes a message whose data is the first `data` bytes of these words.
    #[inline]
    fn write_data(
        &mut self,
        written: usize,
        layout: ControlLayout,
        (level, kind): (c_int, c_int),
        data: usize,
        values: impl ExactSizeIterator<Item = c_int>,
    ) -> usize {
        let words = &mut self.0[written / WORD..];
        for (word, value) in words.iter_mut().zip(layout.header(layout.length(data), level, kind)) {
            word.write(value);
        }
        let body = &mut words[layout.data_start() / WORD..layout.space(data) / WORD];
        let (filled, padding) = body.split_at_mut(values.len());
        for (word, value) in filled.iter_mut().zip(values) {
            word.write(value);
        }
        for word in padding {
            word.write(0);
        }
        written + layout.space(data)
    }
}

/// A control message in received bytes. The data is cut to the bytes that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlMessage<'a> {
    pub(crate) level: c_int,
    pub(crate) kind: c_int,
    pub(crate) data: &'a [u8],
}

/// Returns the first control message in received bytes, and the bytes after it. It trusts no length. If the
/// header is not whole, or its length is shorter than itself, there is no message. If its length is longer than
/// the bytes, the message is cut.
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
    // The padding of the last message may be missing (clause R25).
    let rest = bytes.get(layout.align(length).max(length)..).unwrap_or_default();
    Some((ControlMessage { level, kind, data }, rest))
}

/// Returns the int at this offset, if all of it is there.
#[inline]
fn int_at(bytes: &[u8], at: usize) -> Option<c_int> {
    bytes.get(at..)?.first_chunk().copied().map(c_int::from_ne_bytes)
}

/// Returns the first int of the bytes and the bytes after it, if there is a whole int.
#[inline]
pub(in crate::platform) fn first_int(bytes: &[u8]) -> Option<(c_int, &[u8])> {
    let (int, rest) = bytes.split_first_chunk()?;
    Some((c_int::from_ne_bytes(*int), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const LINUX_64: ControlLayout = ControlLayout { length_bytes: 8, alignment: 8 };
    const LINUX_32: ControlLayout = ControlLayout { length_bytes: 4, alignment: 4 };
    const OPENBSD_64: ControlLayout = ControlLayout { length_bytes: 4, alignment: 8 };
    const OPENBSD_32: ControlLayout = ControlLayout { length_bytes: 4, alignment: 4 };
    const OPENBSD_SPARC64: ControlLayout = ControlLayout { length_bytes: 4, alignment: 16 };
    const LAYOUTS: [ControlLayout; 5] = [LINUX_64, LINUX_32, OPENBSD_64, OPENBSD_32, OPENBSD_SPARC64];

    /// `CMSG_LEN(0)`, `CMSG_LEN(4)`, `CMSG_SPACE(4)`, `CMSG_SPACE(8)`, from the headers of the systems.
    #[rstest]
    #[case::linux_64(LINUX_64, [16, 20, 24, 24])]
    #[case::linux_32(LINUX_32, [12, 16, 16, 20])]
    #[case::openbsd_64(OPENBSD_64, [16, 20, 24, 24])]
    #[case::openbsd_32(OPENBSD_32, [12, 16, 16, 20])]
    #[case::openbsd_sparc64(OPENBSD_SPARC64, [16, 20, 32, 32])]
    fn r2_arithmetic_is_that_of_the_headers(#[case] layout: ControlLayout, #[case] expected: [usize; 4]) {
        let ours = [layout.length(0), layout.length(4), layout.space(4), layout.space(8)];
        assert_eq!(ours, expected);
    }

    /// Returns what a `RightsMessage` wrote, and reads no word beyond that.
    fn written(layout: ControlLayout, numbers: &[c_int]) -> Vec<u8> {
        let mut message = RightsMessage::unwritten();
        let length = message.write(0, layout, (7, 9), numbers.iter().copied());
        let words = &message.0[..length / WORD];
        // SAFETY: `write` says that it wrote this many bytes.
        words.iter().flat_map(|word| unsafe { word.assume_init() }.to_ne_bytes()).collect()
    }

    fn messages(layout: ControlLayout, mut bytes: &[u8]) -> Vec<ControlMessage<'_>> {
        let mut found = Vec::new();
        while let Some((message, rest)) = first_message(layout, bytes) {
            assert!(rest.len() < bytes.len(), "it goes on");
            found.push(message);
            bytes = rest;
        }
        found
    }

    fn numbers_in(mut data: &[u8]) -> Vec<c_int> {
        let mut numbers = Vec::new();
        while let Some((number, rest)) = first_int(data) {
            numbers.push(number);
            data = rest;
        }
        numbers
    }

    #[rstest]
    fn l11_what_is_written_is_read_again(#[values(1, 2, 3, 125, 126)] count: usize) {
        let numbers: Vec<c_int> = (0..count as c_int).collect();
        for layout in LAYOUTS {
            let bytes = written(layout, &numbers);
            assert_eq!(bytes.len(), layout.space_for_descriptors(count));
            let found = messages(layout, &bytes);
            assert_eq!(found.len(), 1, "{layout:?}");
            assert_eq!((found[0].level, found[0].kind), (7, 9));
            assert_eq!(numbers_in(found[0].data), numbers);
        }
    }

    /// OpenBSD returns the last message without its padding.
    #[test]
    fn r25_the_last_padding_can_be_missing() {
        for layout in LAYOUTS {
            let bytes = written(layout, &[3]);
            let cut = &bytes[..layout.length(4)];
            assert_eq!(numbers_in(messages(layout, cut)[0].data), [3], "{layout:?}");
        }
    }

    #[test]
    fn r1_one_message_after_another() {
        for layout in LAYOUTS {
            let bytes = [written(layout, &[3]), written(layout, &[4, 5])].concat();
            let found: Vec<_> =
                messages(layout, &bytes).iter().map(|message| numbers_in(message.data)).collect();
            assert_eq!(found, [vec![3], vec![4, 5]], "{layout:?}");
        }
    }

    #[rstest]
    #[case::nothing(&[])]
    #[case::zeroes(&[0; 64])]
    #[case::shorter_than_a_header(&[255; 11])]
    fn r20_where_there_is_no_message_none_is_found(#[case] bytes: &[u8]) {
        for layout in LAYOUTS {
            assert_eq!(messages(layout, bytes), [], "{layout:?}");
        }
    }

    #[test]
    fn r20_a_length_past_the_end_is_cut() {
        for layout in LAYOUTS {
            let mut bytes = written(layout, &[3, 4]);
            let longer = layout.header(1 << 20, 7, 9)[..layout.length_bytes / WORD].to_vec();
            let longer: Vec<u8> = longer.iter().flat_map(|word| word.to_ne_bytes()).collect();
            bytes[..longer.len()].copy_from_slice(&longer);
            let found = messages(layout, &bytes[..layout.length(8)]);
            assert_eq!(numbers_in(found[0].data), [3, 4], "{layout:?}");
        }
    }

    proptest! {
        /// For any bytes, reading ends, does not panic, and returns data within the bytes.
        #[test]
        fn arbitrary_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            for layout in LAYOUTS {
                let total: usize = messages(layout, &bytes).iter().map(|message| message.data.len()).sum();
                prop_assert!(total <= bytes.len());
            }
        }

        /// Headers that are nearly right: their lengths are small, which is rare in arbitrary bytes.
        #[test]
        fn nearly_right_headers_are_read_to_an_end(
            lengths in prop::collection::vec(0_usize..80, 0..12),
            tail in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            for layout in LAYOUTS {
                let header = |&length: &usize| layout.header(length, 1, 1).map(c_int::to_ne_bytes).concat();
                let mut bytes: Vec<u8> = lengths.iter().flat_map(header).collect();
                bytes.extend(&tail);
                let total: usize = messages(layout, &bytes).iter().map(|message| message.data.len()).sum();
                prop_assert!(total <= bytes.len());
            }
        }
    }
}
