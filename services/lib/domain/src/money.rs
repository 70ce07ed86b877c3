use std::fmt;
use std::ops::{Add, Neg, Sub};

/// An amount of renminbi in whole fen (1 yuan = 100 fen). May be negative in ledgers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount in fen.
    pub const fn fen(fen: i64) -> Self {
        Self(fen)
    }

    /// An amount in whole yuan.
    pub const fn yuan(yuan: i64) -> Self {
        Self(yuan * 100)
    }

    /// The amount in fen.
    pub const fn as_fen(self) -> i64 {
        self.0
    }

    /// This share of the amount in percent, rounded to half a yuan as fees and fares are (RULES: Refund).
    pub const fn percent(self, percent: i64) -> Self {
        // In hundredths of a fen, so that nothing is lost before the one rounding.
        Self(round_half_yuan(self.0 * percent, 100))
    }

    /// Rounded to half a yuan: under 0.25 down to 0, from 0.25 to under 0.75 to 0.5, from 0.75 up to 1.
    pub const fn rounded_half_yuan(self) -> Self {
        Self(round_half_yuan(self.0, 1))
    }

    /// The amount so many times, or `None` past what 64 bits hold.
    pub fn times(self, factor: i64) -> Option<Self> {
        self.0.checked_mul(factor).map(Self)
    }
}

const fn round_half_yuan(amount: i64, per_fen: i64) -> i64 {
    let half = 50 * per_fen;
    // Adding half of a step and flooring puts 0.25 up to 0.5 and 0.75 up to 1.
    (amount + half / 2).div_euclid(half) * 50
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}¥{}.{:02}", self.0.abs() / 100, self.0.abs() % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_round_as_published() {
        // Yuan, published rule: under 0.25 to 0, from 0.25 to under 0.75 to 0.5, from 0.75 to 1.
        for (fen, rounded) in [(1000, 1000), (1024, 1000), (1025, 1050), (1050, 1050), (1074, 1050), (1075, 1100)] {
            assert_eq!(Money::fen(fen).rounded_half_yuan(), Money::fen(rounded), "{fen} fen");
        }
    }

    #[test]
    fn percent_rounds_once() {
        // 5 % of 944.00 yuan = 47.20, rounds down to 47; 5 % of 105.00 = 5.25, rounds up to 5.5.
        assert_eq!(Money::yuan(944).percent(5), Money::yuan(47));
        assert_eq!(Money::yuan(105).percent(5), Money::fen(550));
        // 5 % of 104.99 = 5.2495 rounds down: no rounding to fen in between.
        assert_eq!(Money::fen(10499).percent(5), Money::fen(500));
    }

    #[test]
    fn amounts_print_with_sign_and_fen() {
        assert_eq!(Money::fen(-5).to_string(), "-¥0.05");
        assert_eq!(Money::fen(93650).to_string(), "¥936.50");
    }
}
