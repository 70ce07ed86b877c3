use domain::ServiceDate;

/// On which service dates a train runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calendar {
    /// Every day: what a train without a calendar does.
    Daily,
    /// On listed dates only: a bit per day from a first day on, so that a year takes 46 bytes.
    Listed {
        /// The day of bit 0, in days since 1970-01-01.
        first_day: i32,
        /// Bit `n % 64` of word `n / 64` stands for day `first_day + n`.
        days: Box<[u64]>,
    },
}

impl Calendar {
    /// The most days between the first and the last date of a calendar: about ten years.
    pub const SPAN_DAYS_MAX: i32 = 3_660;

    /// The calendar of these dates, in any order, repeated or not; `None` where they span more than
    /// [`Self::SPAN_DAYS_MAX`].
    pub fn listed(dates: impl IntoIterator<Item = ServiceDate>) -> Option<Self> {
        let all: Vec<i32> = dates.into_iter().map(ServiceDate::days).collect();
        let first_day = all.iter().copied().min().unwrap_or(0);
        let last_day = all.iter().copied().max().unwrap_or(0);
        if last_day - first_day >= Self::SPAN_DAYS_MAX {
            return None;
        }
        let words = if all.is_empty() { 0 } else { (last_day - first_day) as usize / 64 + 1 };
        let mut days = vec![0u64; words].into_boxed_slice();
        for day in all {
            let bit = (day - first_day) as usize;
            days[bit / 64] |= 1 << (bit % 64);
        }
        Some(Self::Listed { first_day, days })
    }

    /// Whether the train runs on this service date.
    pub fn runs_on(&self, date: ServiceDate) -> bool {
        match self {
            Self::Daily => true,
            Self::Listed { first_day, days } => usize::try_from(date.days() - first_day)
                .ok()
                .and_then(|bit| days.get(bit / 64).map(|word| word >> (bit % 64) & 1 == 1))
                .unwrap_or(false),
        }
    }

    /// The listed dates as inclusive runs of consecutive days since 1970-01-01; empty for [`Calendar::Daily`].
    pub fn day_ranges(&self) -> Vec<(i32, i32)> {
        let Self::Listed { first_day, days } = self else { return Vec::new() };
        let mut ranges: Vec<(i32, i32)> = Vec::new();
        for bit in 0..days.len() * 64 {
            if days[bit / 64] >> (bit % 64) & 1 == 0 {
                continue;
            }
            let day = first_day + bit as i32;
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == day => *last = day,
                _ => ranges.push((day, day)),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> ServiceDate {
        text.parse().unwrap()
    }

    #[test]
    fn listed_dates_run_and_no_others() {
        let calendar = Calendar::listed(["2026-12-31", "2026-10-01", "2026-10-02"].map(date)).unwrap();
        for (day, runs) in [
            ("2026-09-30", false),
            ("2026-10-01", true),
            ("2026-10-02", true),
            ("2026-10-03", false),
            ("2026-12-31", true),
            ("2027-01-01", false),
        ] {
            assert_eq!(calendar.runs_on(date(day)), runs, "{day}");
        }
        let first = date("2026-10-01").days();
        assert_eq!(calendar.day_ranges(), [(first, first + 1), (first + 91, first + 91)]);
    }

    #[test]
    fn ten_years_are_the_most() {
        assert!(Calendar::listed(["2026-01-01", "2035-12-31"].map(date)).is_some());
        assert!(Calendar::listed(["2026-01-01", "2036-12-31"].map(date)).is_none());
    }
}
