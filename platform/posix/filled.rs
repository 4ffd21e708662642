use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use super::file::read_at;
use crate::platform::kernel::RawErrno;

/// A buffer that is filled from its start, from memory and from a file.
pub(in crate::platform) struct Filled<'buffer> {
    buffer: &'buffer mut [MaybeUninit<u8>],
    length: usize,
}

impl<'buffer> Filled<'buffer> {
    pub(in crate::platform) fn new(buffer: &'buffer mut [MaybeUninit<u8>]) -> Self {
        Self { buffer, length: 0 }
    }

    pub(in crate::platform) fn bytes(&self) -> &[u8] {
        // SAFETY: every byte before this length was written.
        unsafe { std::slice::from_raw_parts(self.buffer.as_ptr().cast(), self.length) }
    }

    pub(in crate::platform) fn is_full(&self) -> bool {
        self.length == self.buffer.len()
    }

    /// Adds as much of the slices as fits, without the first bytes, and returns how many bytes that is.
    pub(in crate::platform) fn extend(&mut self, slices: &[IoSlice<'_>], mut skipped: usize) -> usize {
        let before = self.length;
        for slice in slices {
            let bytes = &slice[skipped.min(slice.len())..];
            skipped -= slice.len() - bytes.len();
            let room = &mut self.buffer[self.length..];
            let count = bytes.len().min(room.len());
            room[..count].copy_from_slice(maybe_written(&bytes[..count]));
            self.length += count;
            if self.is_full() {
                break;
            }
        }
        self.length - before
    }

    /// Adds at most this many bytes of a file, as one read, and returns how many there were.
    pub(in crate::platform) fn read_at(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        most: u64,
    ) -> Result<usize, RawErrno> {
        let room = &mut self.buffer[self.length..];
        let most = usize::try_from(most).map_or(room.len(), |most| most.min(room.len()));
        let count = read_at(file, &mut room[..most], offset)?.len();
        self.length += count;
        Ok(count)
    }
}

fn maybe_written(bytes: &[u8]) -> &[MaybeUninit<u8>] {
    // SAFETY: bytes that were written are the least that is asked of these, and the length is the same.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::all(0, 20, "one two three")]
    #[case::no_room(0, 0, "")]
    #[case::a_part_of_the_first(0, 2, "on")]
    #[case::a_part_of_the_next(0, 9, "one two t")]
    #[case::without_a_part(2, 20, "e two three")]
    #[case::without_a_slice(4, 20, "two three")]
    #[case::without_slices(8, 3, "thr")]
    #[case::without_any(13, 20, "")]
    fn what_fits_is_added(#[case] skipped: usize, #[case] room: usize, #[case] expected: &str) {
        let slices = ["one ", "", "two ", "three"].map(|text| IoSlice::new(text.as_bytes()));
        let mut buffer = vec![MaybeUninit::uninit(); room];
        let mut filled = Filled::new(&mut buffer);
        assert_eq!(filled.extend(&slices, skipped), expected.len());
        assert_eq!(filled.bytes(), expected.as_bytes());
        assert_eq!(filled.is_full(), expected.len() == room);
    }

    #[test]
    fn a_file_is_added_after_memory() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut buffer = [MaybeUninit::uninit(); 8];
        let mut filled = Filled::new(&mut buffer);
        filled.extend(&[IoSlice::new(b"ab")], 0);
        assert_eq!(filled.read_at(file.as_fd(), 3, 2), Ok(2));
        assert_eq!(filled.read_at(file.as_fd(), 9, u64::MAX), Ok(1));
        assert_eq!(filled.read_at(file.as_fd(), 10, 5), Ok(0), "the end of the file");
        assert_eq!(filled.extend(&[IoSlice::new(b"uvwxyz")], 1), 3);
        assert_eq!(filled.bytes(), b"ab349vwx");
    }
}
