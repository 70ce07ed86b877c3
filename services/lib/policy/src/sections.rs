//! The sections of the policy file. What each key means and may be stands beside it in `default.toml`.

use domain::{BoardingDate, Channel, Money, SeatClass};
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

/// When tickets are sold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SalePolicy {
    /// Days before the boarding date on which sale opens.
    pub presale_days: u32,
    /// Minutes before departure at the boarding stop when sale ends there.
    pub close_before_departure_minutes: u32,
    /// First minute of the selling hours, after 00:00.
    pub open_minute: u32,
    /// End of the selling hours in minutes after 00:00 of the day they began.
    pub close_minute: u32,
    /// The same on Tuesdays.
    pub close_minute_tuesday: u32,
    /// Age from which a lower berth is preferred.
    pub lower_berth_age: u32,
}

impl Default for SalePolicy {
    fn default() -> Self {
        Self {
            presale_days: 15,
            close_before_departure_minutes: 5,
            open_minute: 5 * 60,
            close_minute: 25 * 60,
            close_minute_tuesday: 24 * 60,
            lower_berth_age: 60,
        }
    }
}

/// What an order and an account may have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderPolicy {
    /// The most passengers of an order.
    pub passengers_max: u32,
    /// The most trains of an order.
    pub legs_max: u32,
    /// The most unpaid orders of an account.
    pub unpaid_orders_max: u32,
    /// How long a quoted price holds.
    pub quote_seconds: u32,
    /// The most untravelled tickets of an account in a rush period.
    pub rush_tickets_max: u32,
    /// Unpaid cancellations that stop an account's purchases for the day.
    pub unpaid_cancellations_per_day_max: u32,
    /// Cancellations of orders without a seat that count as one.
    pub seatless_cancellations_as_one: u32,
    /// The channels whose accounts are limited.
    #[serde(deserialize_with = "channels")]
    pub account_limit_channels: Vec<Channel>,
    /// The Spring Festival rush of each year.
    pub rush_periods: Vec<DatePeriod>,
}

impl OrderPolicy {
    /// Whether limits per account hold on a channel.
    pub fn limits_accounts_of(&self, channel: Channel) -> bool {
        self.account_limit_channels.contains(&channel)
    }

    /// Whether travel on this date falls into the rush.
    pub fn in_rush(&self, date: BoardingDate) -> bool {
        self.rush_periods.iter().any(|period| (period.first..=period.last).contains(&date.date()))
    }
}

impl Default for OrderPolicy {
    fn default() -> Self {
        let period = |first, last| DatePeriod { first, last };
        let date = jiff::civil::date;
        Self {
            passengers_max: 5,
            legs_max: 2,
            unpaid_orders_max: 1,
            quote_seconds: 600,
            rush_tickets_max: 10,
            unpaid_cancellations_per_day_max: 3,
            seatless_cancellations_as_one: 5,
            account_limit_channels: vec![Channel::Online, Channel::Phone],
            rush_periods: vec![
                period(date(2026, 2, 2), date(2026, 3, 13)),
                period(date(2027, 1, 22), date(2027, 3, 2)),
            ],
        }
    }
}

/// Days from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatePeriod {
    /// The first day.
    pub first: Date,
    /// The last day.
    pub last: Date,
}

/// How long seats wait.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldPolicy {
    /// How long a hold waits for its order.
    pub open_by_ms: u32,
    /// How long an opened hold waits for payment.
    pub payment_seconds: u32,
    /// How long an opened hold may live at all.
    pub hard_limit_seconds: u32,
}

impl Default for HoldPolicy {
    fn default() -> Self {
        Self { open_by_ms: 10_000, payment_seconds: 900, hard_limit_seconds: 1_200 }
    }
}

/// Reduced fares.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FarePolicy {
    /// Age from which a child pays.
    pub child_age_from: u32,
    /// Age from which a child is no longer one.
    pub child_age_below: u32,
    /// Child fare in percent.
    pub child_percent: u32,
    /// Least child fare in percent of the published fare.
    pub child_floor_percent: u32,
    /// Free small children per adult.
    pub free_children_per_adult: u32,
    /// Trips at the student fare in a student year.
    pub student_trips_per_year: u32,
    /// Month the student year starts.
    pub student_year_month: u32,
    /// Day of that month.
    pub student_year_day: u32,
    /// Student fare on high-speed trains in percent.
    pub student_emu_percent: u32,
    /// Classes of high-speed trains with a student fare.
    #[serde(deserialize_with = "classes")]
    pub student_emu_classes: Vec<SeatClass>,
    /// Student fare of a hard seat in percent.
    pub student_hard_seat_percent: u32,
    /// What a student saves on a hard sleeper, in percent of the hard seat fare.
    pub student_hard_sleeper_less_hard_seat_percent: u32,
    /// Fare of the disabled in percent.
    pub disabled_percent: u32,
}

impl Default for FarePolicy {
    fn default() -> Self {
        Self {
            child_age_from: 6,
            child_age_below: 14,
            child_percent: 50,
            child_floor_percent: 0,
            free_children_per_adult: 1,
            student_trips_per_year: 4,
            student_year_month: 10,
            student_year_day: 1,
            student_emu_percent: 75,
            student_emu_classes: vec![SeatClass::Second],
            student_hard_seat_percent: 50,
            student_hard_sleeper_less_hard_seat_percent: 50,
            disabled_percent: 50,
        }
    }
}

/// Fees for tickets given back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefundPolicy {
    /// The tiers, earliest first; the last reaches to departure.
    pub tiers: Vec<RefundTier>,
    /// The least fee in fen.
    pub fee_min_fen: u32,
    /// How long after payment a mistake is free.
    pub mistake_minutes: u32,
    /// How far departure must be away for that.
    pub mistake_departure_minutes: u32,
    /// Fee of a ticket changed into the free tier.
    pub changed_to_free_tier_percent: u32,
    /// Fee of a ticket changed into a rush period.
    pub changed_into_rush_percent: u32,
    /// When refunded seats go back on sale.
    pub seats_free_when: SeatsFreeWhen,
}

impl RefundPolicy {
    /// The least fee.
    pub const fn fee_min(&self) -> Money {
        Money::fen(self.fee_min_fen as i64)
    }

    /// The percentage for a ticket given back so many ms before departure; `None` once it has departed.
    pub fn percent_at(&self, before_departure_ms: i64) -> Option<u32> {
        let tier = self.tiers.iter().find(|tier| before_departure_ms >= i64::from(tier.minutes_before) * 60_000)?;
        (before_departure_ms > 0).then_some(tier.percent)
    }
}

impl Default for RefundPolicy {
    fn default() -> Self {
        let tier = |minutes_before, percent| RefundTier { minutes_before, percent };
        Self {
            tiers: vec![tier(8 * 24 * 60, 0), tier(48 * 60, 5), tier(24 * 60, 10), tier(0, 20)],
            fee_min_fen: 200,
            mistake_minutes: 30,
            mistake_departure_minutes: 4 * 60,
            changed_to_free_tier_percent: 5,
            changed_into_rush_percent: 20,
            seats_free_when: SeatsFreeWhen::Recorded,
        }
    }
}

/// One tier of the refund fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundTier {
    /// It holds from so many minutes before departure on the early side.
    pub minutes_before: u32,
    /// The fee in percent of the fare.
    pub percent: u32,
}

/// When the seats of a refunded ticket go back on sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatsFreeWhen {
    /// When the refund is recorded.
    Recorded,
    /// When the money has arrived.
    Arrived,
}

/// Fees for tickets exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChangePolicy {
    /// How often a ticket may be changed.
    pub changes_max: u32,
    /// From so many minutes before departure a change is free.
    pub free_minutes_before: u32,
    /// The limit between the late and the last tier.
    pub late_minutes_before: u32,
    /// Fee of the late tier in percent of the lower fare, to a later date.
    pub late_percent: u32,
    /// Fee of the last tier.
    pub last_percent: u32,
    /// Fee after departure.
    pub after_departure_percent: u32,
    /// From so many minutes before departure the destination may be changed.
    pub destination_minutes_before: u32,
}

impl Default for ChangePolicy {
    fn default() -> Self {
        Self {
            changes_max: 1,
            free_minutes_before: 48 * 60,
            late_minutes_before: 24 * 60,
            late_percent: 5,
            last_percent: 15,
            after_departure_percent: 40,
            destination_minutes_before: 48 * 60,
        }
    }
}

/// The line of those who wait.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaitlistPolicy {
    /// The most open entries of an account.
    pub entries_max: u32,
    /// The most dates of an entry.
    pub dates_max: u32,
    /// The most combinations of an entry.
    pub combinations_max: u32,
    /// The latest deadline in minutes before departure.
    pub deadline_min_minutes: u32,
    /// The earliest deadline in minutes before departure.
    pub deadline_max_minutes: u32,
    /// How long an offer stands.
    pub offer_ms: u32,
    /// The most entries on one run.
    pub entries_per_run_max: u32,
}

impl Default for WaitlistPolicy {
    fn default() -> Self {
        Self {
            entries_max: 6,
            dates_max: 3,
            combinations_max: 60,
            deadline_min_minutes: 20,
            deadline_max_minutes: 7 * 24 * 60,
            offer_ms: 10_000,
            entries_per_run_max: 10_000,
        }
    }
}

fn channels<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Channel>, D::Error> {
    words(from)
}

fn classes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SeatClass>, D::Error> {
    words(from)
}

fn words<'de, D: Deserializer<'de>, T: std::str::FromStr<Err = domain::Invalid>>(from: D) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}
