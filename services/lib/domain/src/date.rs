use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use crate::Invalid;

const DATE_ALLOWED: &str = "a calendar date as YYYY-MM-DD, from 2000 to 2199";

/// The date at the train's origin. Inventory knows no other date: a train that passes midnight keeps its service date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceDate(Date);

/// The calendar date at the stop where the passenger boards: what people ask for, and what the presale horizon counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoardingDate(Date);

impl ServiceDate {
    /// The boarding date at a stop whose departure lies `day_offset` days after the origin's day.
    pub fn boarding(self, day_offset: u8) -> BoardingDate {
        BoardingDate(shift(self.0, i64::from(day_offset)))
    }
}

impl BoardingDate {
    /// The service date of a train that calls at the boarding stop `day_offset` days after the origin's day.
    pub fn service(self, day_offset: u8) -> ServiceDate {
        ServiceDate(shift(self.0, -i64::from(day_offset)))
    }
}

fn shift(date: Date, days: i64) -> Date {
    date.saturating_add(jiff::Span::new().days(days))
}

macro_rules! date_type {
    ($name:ident, $what:literal) => {
        impl $name {
            /// A date from 2000 to 2199.
            ///
            /// # Errors
            /// A date outside these years.
            pub fn new(date: Date) -> Result<Self, Invalid> {
                if (2000..2200).contains(&date.year()) {
                    Ok(Self(date))
                } else {
                    Err(Invalid::new($what, DATE_ALLOWED, &date.to_string()))
                }
            }

            /// The calendar date.
            pub fn date(self) -> Date {
                self.0
            }

            /// Days since 1970-01-01: the form in the journal and in databases.
            pub fn days(self) -> i32 {
                let epoch = jiff::civil::date(1970, 1, 1);
                self.0.since((jiff::Unit::Day, epoch)).map_or(0, |span| span.get_days())
            }

            /// The date that lies so many days after 1970-01-01.
            ///
            /// # Errors
            /// A date outside the years 2000 to 2199.
            pub fn from_days(days: i32) -> Result<Self, Invalid> {
                jiff::civil::date(1970, 1, 1)
                    .checked_add(jiff::Span::new().try_days(days).unwrap_or_default())
                    .map_err(|_| Invalid::new($what, DATE_ALLOWED, &days.to_string()))
                    .and_then(Self::new)
            }

            /// The date so many days later, or earlier when negative.
            pub fn plus_days(self, days: i32) -> Self {
                Self(shift(self.0, i64::from(days)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                let strict = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
                let date = if strict { text.parse::<Date>().ok() } else { None };
                date.ok_or_else(|| Invalid::new($what, DATE_ALLOWED, text)).and_then(Self::new)
            }
        }
    };
}

date_type!(ServiceDate, "service date");
date_type!(BoardingDate, "boarding date");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_that_passes_midnight_twice_boards_two_days_later() {
        let service: ServiceDate = "2026-12-30".parse().unwrap();
        assert_eq!(service.boarding(2).to_string(), "2027-01-01");
        assert_eq!(service.boarding(2).service(2), service);
    }

    #[test]
    fn days_count_from_1970() {
        let date: ServiceDate = "2026-11-22".parse().unwrap();
        // 56 years of 365 days, 14 leap days, and day 326 of 2026 counted from 1: 20440 + 14 + 325.
        assert_eq!(date.days(), 20779);
        assert_eq!(ServiceDate::from_days(20779).unwrap(), date);
    }

    #[test]
    fn only_plain_dates_are_read() {
        for text in ["2026-13-01", "2026-02-29", "2026-1-1", "20261122", "1999-12-31", "2026-11-22T00:00", ""] {
            assert!(text.parse::<BoardingDate>().is_err(), "{text}");
        }
    }
}
