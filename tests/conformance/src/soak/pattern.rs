//! The bytes that are sent: a table of random bytes that repeats after a prime number of bytes, so that a byte that is
//! lost or doubled moves all that follow.

use std::ops::Range;

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// After this many bytes the pattern repeats.
const PERIOD: usize = 65_521;

/// A record begins with this many bytes, which say what it is.
pub(super) const HEADER: usize = 24;

/// The table, three times, so that a range can begin anywhere in the first.
pub(super) struct Pattern(Vec<u8>);

impl Pattern {
    pub(super) fn new(seed: u64) -> Self {
        let mut period = vec![0; PERIOD];
        ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut period);
        Self(period.repeat(3))
    }

    /// Returns all bytes. A file of them has the pattern too.
    pub(super) fn all(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes of a stream that begin at this position.
    pub(super) fn at(&self, position: u64, length: usize) -> &[u8] {
        let from = offset(position);
        &self.0[from..from + length]
    }

    /// Returns the bytes of a record behind its header.
    pub(super) fn body(&self, header: &Header) -> &[u8] {
        self.at(u64::from(header.sequence) * 4099, header.length as usize - HEADER)
    }

    /// Writes a whole record.
    pub(super) fn write_record(&self, header: &Header, record: &mut [u8]) {
        record[..HEADER].copy_from_slice(&header.to_bytes());
        record[HEADER..].copy_from_slice(self.body(header));
    }

    /// Checks a stretch of a stream.
    pub(super) fn check(&self, position: u64, bytes: &[u8]) -> Result<(), String> {
        let expected = self.at(position, bytes.len());
        match first_difference(expected, bytes) {
            None => Ok(()),
            Some(range) => Err(format!(
                "bytes from {} of the stream: expected {:?}, came {:?}",
                position + range.start as u64,
                &expected[range.clone()],
                &bytes[range]
            )),
        }
    }

    /// Checks a record, and returns its header.
    pub(super) fn check_record(&self, session: u64, record: &[u8]) -> Result<Header, String> {
        let Some(header) = Header::parse(session, record) else {
            return Err(format!(
                "a record of {} bytes that was never sent: {:?}",
                record.len(),
                &record[..record.len().min(HEADER)]
            ));
        };
        let (expected, bytes) = (self.body(&header), &record[HEADER..]);
        match first_difference(expected, bytes) {
            None => Ok(header),
            Some(range) => Err(format!(
                "record {} from byte {}: expected {:?}, came {:?}",
                header.sequence,
                range.start + HEADER,
                &expected[range.clone()],
                &bytes[range]
            )),
        }
    }
}

/// Returns where a file of the pattern has the byte of this position of a stream.
pub(super) fn offset(position: u64) -> usize {
    (position % PERIOD as u64) as usize
}

/// Returns a few bytes from the first difference on.
fn first_difference(expected: &[u8], bytes: &[u8]) -> Option<Range<usize>> {
    if expected == bytes {
        return None;
    }
    let from = expected.iter().zip(bytes).position(|(expected, byte)| expected != byte)?;
    Some(from..(from + 8).min(bytes.len()))
}

/// What a record says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) session: u64,
    pub(super) sequence: u32,
    pub(super) length: u32,
    /// The first of the objects whose descriptors come with it, and their number.
    pub(super) first: u32,
    pub(super) descriptors: u32,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.session.to_ne_bytes());
        let words = [self.sequence, self.length, self.first, self.descriptors];
        for (place, word) in bytes[8..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Returns the header of a record, unless it is none of this session or has another length.
    fn parse(session: u64, record: &[u8]) -> Option<Self> {
        let bytes = record.get(..HEADER)?;
        let own = u64::from_ne_bytes(bytes[..8].try_into().ok()?);
        let word = |at: usize| Some(u32::from_ne_bytes(bytes[at..at + 4].try_into().ok()?));
        let header = Self {
            session: own,
            sequence: word(8)?,
            length: word(12)?,
            first: word(16)?,
            descriptors: word(20)?,
        };
        (own == session && header.length as usize == record.len()).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubled_byte_is_found_where_it_is() {
        let pattern = Pattern::new(1);
        let mut bytes = pattern.at(70_000, 100).to_vec();
        assert_eq!(pattern.check(70_000, &bytes), Ok(()));
        bytes.insert(40, bytes[40]);
        let wrong = pattern.check(70_000, &bytes).unwrap_err();
        assert!(wrong.starts_with("bytes from 7004"), "{wrong}");
    }

    #[test]
    fn a_record_that_was_cut_changed_or_is_of_another_session_is_found() {
        let pattern = Pattern::new(1);
        let header = Header { session: 7, sequence: 3, length: 60, first: 1, descriptors: 2 };
        let mut record = vec![0; 60];
        pattern.write_record(&header, &mut record);
        assert_eq!(pattern.check_record(7, &record), Ok(header));
        assert!(pattern.check_record(8, &record).is_err());
        assert!(pattern.check_record(7, &record[..59]).is_err());
        record[50] ^= 1;
        assert!(pattern.check_record(7, &record).unwrap_err().starts_with("record 3 from byte 50"));
    }
}
