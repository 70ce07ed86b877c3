//! The railway's day: which dates are on sale, and at what hours. Pure.

use crate::SalePolicy;
use domain::{BoardingDate, Invalid, Time};
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The railway's zone. All its rules count days and hours on this clock.
const ZONE: &str = "Asia/Shanghai";

/// The railway's calendar. Reads no clock: it says what the railway's shows at a moment.
#[derive(Clone, Debug)]
pub struct RailwayClock {
    zone: TimeZone,
}

impl Default for RailwayClock {
    fn default() -> Self {
        Self::new()
    }
}

/// A moment or date that no calendar holds.
fn out_of_calendar() -> Invalid {
    Invalid::private("moment", "a moment of the years 2000 to 2199")
}

impl RailwayClock {
    /// The calendar; its zone is part of the program.
    pub fn new() -> Self {
        Self { zone: TimeZone::get(ZONE).expect("the zone database is bundled") }
    }

    /// What the railway's clock shows.
    fn civil(&self, now: Time) -> Result<DateTime, Invalid> {
        let timestamp = Timestamp::from_millisecond(now.millis()).map_err(|_| out_of_calendar())?;
        Ok(self.zone.to_datetime(timestamp))
    }

    /// The moment at which the railway's clock shows this.
    fn moment(&self, civil: DateTime) -> Result<Time, Invalid> {
        let timestamp = self.zone.to_timestamp(civil).map_err(|_| out_of_calendar())?;
        Ok(Time::from_millis(timestamp.as_millisecond()))
    }

    /// The first and the last boarding date on sale: today, and the day whose presale begins today.
    ///
    /// # Errors
    /// A moment that no calendar holds.
    pub fn on_sale(&self, sale: &SalePolicy, now: Time) -> Result<(BoardingDate, BoardingDate), Invalid> {
        let today = BoardingDate::new(self.civil(now)?.date())?;
        Ok((today, today.plus_days(days(sale.presale_days))))
    }

    /// When sale opens for passengers who board on this date: at the first selling minute of the first presale day.
    ///
    /// # Errors
    /// A moment that no calendar holds.
    pub fn opening(&self, sale: &SalePolicy, boarding: BoardingDate) -> Result<Time, Invalid> {
        let first_day = boarding.plus_days(-days(sale.presale_days)).date();
        let minute = first_day.to_datetime(jiff::civil::Time::midnight());
        self.moment(minute.saturating_add(Span::new().minutes(i64::from(sale.open_minute))))
    }

    /// Whether tickets are sold at this moment; if not, when selling begins again.
    ///
    /// # Errors
    /// A moment that no calendar holds.
    pub fn selling(&self, sale: &SalePolicy, now: Time) -> Result<Selling, Invalid> {
        let civil = self.civil(now)?;
        let minute = u32::from(civil.hour().unsigned_abs()) * 60 + u32::from(civil.minute().unsigned_abs());
        let closes = |weekday| match weekday {
            Weekday::Tuesday => sale.close_minute_tuesday,
            _ => sale.close_minute,
        };
        let today = civil.date();
        let yesterday = today.saturating_sub(Span::new().days(1));
        // Yesterday's hours may reach past midnight.
        let from_yesterday = minute + 24 * 60 < closes(yesterday.weekday());
        if from_yesterday || (sale.open_minute..closes(today.weekday())).contains(&minute) {
            return Ok(Selling::Now);
        }
        let day = if minute < sale.open_minute { today } else { today.saturating_add(Span::new().days(1)) };
        let opens = day.to_datetime(jiff::civil::Time::midnight());
        Ok(Selling::From(self.moment(opens.saturating_add(Span::new().minutes(i64::from(sale.open_minute))))?))
    }
}

/// Whether tickets are sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selling {
    /// They are.
    Now,
    /// Not before this moment.
    From(Time),
}

fn days(count: u32) -> i32 {
    // The policy file allows a year at most.
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        let zone = TimeZone::get(ZONE).unwrap();
        Time::from_millis(zone.to_timestamp(text.parse::<DateTime>().unwrap()).unwrap().as_millisecond())
    }

    #[test]
    fn the_horizon_begins_today_in_shanghai() {
        let clock = RailwayClock::new();
        // 23:30 in Shanghai and 00:30 there are the same day in UTC.
        let (first, last) = clock.on_sale(&SalePolicy::default(), at("2026-11-22T23:30")).unwrap();
        assert_eq!((first.to_string(), last.to_string()), ("2026-11-22".into(), "2026-12-07".into()));
        let (first, _) = clock.on_sale(&SalePolicy::default(), at("2026-11-23T00:30")).unwrap();
        assert_eq!(first.to_string(), "2026-11-23");
    }

    #[test]
    fn sale_opens_fifteen_days_before_at_five() {
        let clock = RailwayClock::new();
        let opening = clock.opening(&SalePolicy::default(), "2026-12-07".parse().unwrap()).unwrap();
        assert_eq!(opening, at("2026-11-22T05:00"));
    }

    #[test]
    fn selling_hours_are_five_to_one_and_to_midnight_on_tuesdays() {
        let clock = RailwayClock::new();
        let selling = |text| clock.selling(&SalePolicy::default(), at(text)).unwrap();
        // 2026-11-24 is a Tuesday.
        assert_eq!(selling("2026-11-23T04:59"), Selling::From(at("2026-11-23T05:00")));
        assert_eq!(selling("2026-11-23T05:00"), Selling::Now);
        assert_eq!(selling("2026-11-24T00:59"), Selling::Now, "Monday's hours");
        assert_eq!(selling("2026-11-24T01:00"), Selling::From(at("2026-11-24T05:00")));
        assert_eq!(selling("2026-11-24T23:59"), Selling::Now);
        assert_eq!(selling("2026-11-25T00:00"), Selling::From(at("2026-11-25T05:00")), "Tuesday's end");
    }
}
