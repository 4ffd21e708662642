//! Flags in the numbers of C, which are signed in the calls of the system and not signed in this library.

use std::ops::{BitAnd, BitOr, Not};

/// Returns the flags that a table has for these bits, or `None` if it lacks one of the bits.
pub(crate) fn translate<Bits, Flags>(table: &[(Bits, Flags)], none: Flags, bits: Bits) -> Option<Flags>
where
    Bits: Copy + Default + PartialEq + BitAnd<Output = Bits> + Not<Output = Bits>,
    Flags: Copy + BitOr<Output = Flags>,
{
    let (mut left, mut found) = (bits, none);
    for &(bit, flag) in table.iter().filter(|row| bits & row.0 != Bits::default()) {
        found = found | flag;
        left = left & !bit;
    }
    (left == Bits::default()).then_some(found)
}

/// Returns the bits of which it is said that they are so.
pub(crate) fn that_are_so<Bits: Copy + Default + BitOr<Output = Bits>>(rows: &[(bool, Bits)]) -> Bits {
    rows.iter().filter(|row| row.0).fold(Bits::default(), |bits, row| bits | row.1)
}
