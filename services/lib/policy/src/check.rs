use std::ops::RangeInclusive;

use crate::Policy;

/// Why a policy file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// Not TOML, an unknown key or a value of the wrong kind; the text says where.
    #[error("policy file: {0}")]
    File(String),
    /// A value that is not allowed.
    #[error("policy {field} is {got}: expected {allowed}")]
    Value {
        /// The full name of the key.
        field: &'static str,
        /// What is allowed.
        allowed: String,
        /// What stands there.
        got: String,
    },
}

const DAY_MINUTES: u32 = 24 * 60;
const YEAR_MINUTES: u32 = 366 * DAY_MINUTES;

impl Policy {
    /// Whether every value is within its bounds and fits the others.
    ///
    /// # Errors
    /// The first value that is not, by its full name, with what is allowed.
    pub fn validate(&self) -> Result<(), BadPolicy> {
        within("version", self.version, 1..=u32::MAX)?;
        self.check_sale()?;
        self.check_order()?;
        self.check_fare()?;
        self.check_refund()?;
        self.check_change()?;
        self.check_waitlist()
    }

    fn check_sale(&self) -> Result<(), BadPolicy> {
        let sale = &self.sale;
        within("sale.presale_days", sale.presale_days, 1..=365)?;
        within("sale.close_before_departure_minutes", sale.close_before_departure_minutes, 0..=DAY_MINUTES)?;
        within("sale.open_minute", sale.open_minute, 0..=DAY_MINUTES - 1)?;
        // At most until the next day's opening.
        let close = sale.open_minute + 1..=sale.open_minute + DAY_MINUTES;
        within("sale.close_minute", sale.close_minute, close.clone())?;
        within("sale.close_minute_tuesday", sale.close_minute_tuesday, close)?;
        within("sale.lower_berth_age", sale.lower_berth_age, 0..=150)?;

        let hold = &self.hold;
        within("hold.open_by_ms", hold.open_by_ms, 1_000..=60_000)?;
        within("hold.payment_seconds", hold.payment_seconds, 5..=7_200)?;
        within("hold.hard_limit_seconds", hold.hard_limit_seconds, hold.payment_seconds + 1..=14_400)
    }

    fn check_order(&self) -> Result<(), BadPolicy> {
        let order = &self.order;
        within("order.passengers_max", order.passengers_max, 1..=9)?;
        within("order.legs_max", order.legs_max, 1..=2)?;
        within("order.unpaid_orders_max", order.unpaid_orders_max, 1..=100)?;
        within("order.quote_seconds", order.quote_seconds, 1..=86_400)?;
        within("order.rush_tickets_max", order.rush_tickets_max, 1..=10_000)?;
        within("order.unpaid_cancellations_per_day_max", order.unpaid_cancellations_per_day_max, 1..=100)?;
        within("order.seatless_cancellations_as_one", order.seatless_cancellations_as_one, 1..=100)?;
        for period in &order.rush_periods {
            if period.first > period.last {
                let got = format!("{} to {}", period.first, period.last);
                return refuse("order.rush_periods", "a first day not after the last", got);
            }
        }
        Ok(())
    }

    fn check_fare(&self) -> Result<(), BadPolicy> {
        let fare = &self.fare;
        within("fare.child_age_from", fare.child_age_from, 0..=17)?;
        within("fare.child_age_below", fare.child_age_below, fare.child_age_from + 1..=18)?;
        within("fare.free_children_per_adult", fare.free_children_per_adult, 0..=5)?;
        within("fare.student_trips_per_year", fare.student_trips_per_year, 0..=100)?;
        within("fare.student_year_month", fare.student_year_month, 1..=12)?;
        within("fare.student_year_day", fare.student_year_day, 1..=28)?;
        percent("fare.child_percent", fare.child_percent)?;
        percent("fare.child_floor_percent", fare.child_floor_percent)?;
        percent("fare.student_emu_percent", fare.student_emu_percent)?;
        percent("fare.student_hard_seat_percent", fare.student_hard_seat_percent)?;
        percent("fare.student_hard_sleeper_less_hard_seat_percent", fare.student_hard_sleeper_less_hard_seat_percent)?;
        percent("fare.disabled_percent", fare.disabled_percent)
    }

    fn check_refund(&self) -> Result<(), BadPolicy> {
        let refund = &self.refund;
        let falling = refund.tiers.windows(2).all(|pair| pair[0].minutes_before > pair[1].minutes_before);
        if !falling || refund.tiers.last().is_none_or(|last| last.minutes_before != 0) || refund.tiers.len() > 16 {
            let got = refund.tiers.iter().map(|tier| tier.minutes_before.to_string()).collect::<Vec<_>>().join(", ");
            return refuse("refund.tiers", "1 to 16 tiers, earliest first, the last with minutes_before 0", got);
        }
        for tier in &refund.tiers {
            within("refund.tiers.minutes_before", tier.minutes_before, 0..=YEAR_MINUTES)?;
            percent("refund.tiers.percent", tier.percent)?;
        }
        within("refund.fee_min_fen", refund.fee_min_fen, 0..=100_000)?;
        within("refund.mistake_minutes", refund.mistake_minutes, 0..=DAY_MINUTES)?;
        within("refund.mistake_departure_minutes", refund.mistake_departure_minutes, 0..=YEAR_MINUTES)?;
        percent("refund.changed_to_free_tier_percent", refund.changed_to_free_tier_percent)?;
        percent("refund.changed_into_rush_percent", refund.changed_into_rush_percent)
    }

    fn check_change(&self) -> Result<(), BadPolicy> {
        let change = &self.change;
        within("change.changes_max", change.changes_max, 0..=10)?;
        within("change.free_minutes_before", change.free_minutes_before, 1..=YEAR_MINUTES)?;
        within("change.late_minutes_before", change.late_minutes_before, 0..=change.free_minutes_before - 1)?;
        within("change.destination_minutes_before", change.destination_minutes_before, 0..=YEAR_MINUTES)?;
        percent("change.late_percent", change.late_percent)?;
        percent("change.last_percent", change.last_percent)?;
        percent("change.after_departure_percent", change.after_departure_percent)
    }

    fn check_waitlist(&self) -> Result<(), BadPolicy> {
        let waitlist = &self.waitlist;
        within("waitlist.entries_max", waitlist.entries_max, 1..=100)?;
        within("waitlist.dates_max", waitlist.dates_max, 1..=15)?;
        within("waitlist.combinations_max", waitlist.combinations_max, 1..=1_000)?;
        within("waitlist.deadline_min_minutes", waitlist.deadline_min_minutes, 0..=DAY_MINUTES)?;
        let longest = waitlist.deadline_min_minutes + 1..=YEAR_MINUTES;
        within("waitlist.deadline_max_minutes", waitlist.deadline_max_minutes, longest)?;
        within("waitlist.offer_ms", waitlist.offer_ms, 1_000..=60_000)?;
        within("waitlist.entries_per_run_max", waitlist.entries_per_run_max, 1..=1_000_000)
    }
}

fn percent(field: &'static str, value: u32) -> Result<(), BadPolicy> {
    within(field, value, 0..=100)
}

fn within(field: &'static str, value: u32, allowed: RangeInclusive<u32>) -> Result<(), BadPolicy> {
    if allowed.contains(&value) {
        return Ok(());
    }
    refuse(field, &format!("{} to {}", allowed.start(), allowed.end()), value.to_string())
}

fn refuse(field: &'static str, allowed: &str, got: String) -> Result<(), BadPolicy> {
    Err(BadPolicy::Value { field, allowed: allowed.to_owned(), got })
}
