//! The railway's calendar days: what counts "per day" counts by the clock of Asia/Shanghai, whatever a station's own is.

use domain::{BoardingDate, Time};
use policy::FarePolicy;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
// China keeps one time without summer time.
const RAILWAY_OFFSET_MS: i64 = 8 * 60 * 60 * 1000;

/// The railway's day a moment falls on, in days since 1970-01-01.
pub fn railway_day(at: Time) -> i64 {
    (at.millis() + RAILWAY_OFFSET_MS).div_euclid(DAY_MS)
}

/// The year a student's trip on this date counts towards, by the year in which that student year began.
pub fn student_year(policy: &FarePolicy, date: BoardingDate) -> i64 {
    let date = date.date();
    let begun = (date.month() as u32, date.day() as u32) >= (policy.student_year_month, policy.student_year_day);
    i64::from(date.year()) - i64::from(!begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_turns_at_midnight_in_shanghai() {
        // 2026-11-22T15:59:59.999Z is 23:59:59.999 there; 20779 is the day 2026-11-22.
        let last = Time::from_millis(20_779 * DAY_MS + 16 * 3_600_000 - 1);
        assert_eq!(railway_day(last), 20_779);
        assert_eq!(railway_day(last.plus_millis(1)), 20_780);
    }

    #[test]
    fn the_student_year_turns_on_the_first_of_october() {
        let policy = FarePolicy::default();
        let year = |text: &str| student_year(&policy, text.parse().unwrap());
        assert_eq!((year("2026-09-30"), year("2026-10-01"), year("2027-01-01")), (2025, 2026, 2026));
    }
}
