use std::fmt::Debug;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not, Shr};

/// A set of segments of one train in one unsigned integer: bit `s` is the segment from stop `s` to stop `s + 1`.
pub trait Mask:
    Copy
    + Debug
    + Eq
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitOrAssign
    + Not<Output = Self>
    + Shr<u32, Output = Self>
{
    /// No segment.
    const EMPTY: Self;
    /// How many segments fit.
    const BITS: u32;

    /// The segments `from..to`.
    fn range(from: u32, to: u32) -> Self;
    /// The lowest segment of a set; [`Self::BITS`] for the empty one.
    fn lowest(self) -> u32;
    /// One past the highest segment of a set; 0 for the empty one.
    fn end(self) -> u32;
    /// The set without its lowest segment.
    fn without_lowest(self) -> Self;
    /// 1 where two sets are equal, else 0: an integer of the same width, so that comparing many vectorises.
    fn equals(self, other: Self) -> Self;
}

macro_rules! mask {
    ($($int:ty),*) => {$(
        impl Mask for $int {
            const EMPTY: Self = 0;
            const BITS: u32 = <$int>::BITS;

            #[inline]
            fn range(from: u32, to: u32) -> Self {
                if from >= to { 0 } else { (<$int>::MAX >> (<$int>::BITS - (to - from))) << from }
            }

            #[inline]
            fn lowest(self) -> u32 {
                self.trailing_zeros()
            }

            #[inline]
            fn end(self) -> u32 {
                <$int>::BITS - self.leading_zeros()
            }

            #[inline]
            fn without_lowest(self) -> Self {
                self & self.wrapping_sub(1)
            }

            #[inline]
            fn equals(self, other: Self) -> Self {
                <$int>::from(self == other)
            }
        }
    )*};
}

mask!(u16, u32, u64, u128);
