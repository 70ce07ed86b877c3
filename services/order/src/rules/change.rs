//! What exchanging a ticket costs, and when it may be exchanged (RULES: Change).

use domain::{BoardingDate, Money, Time};
use order_saga::order::SwapPrice;
use policy::Policy;

use super::days::railway_day;
use super::refund;

/// A ticket that is to be exchanged, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// What it cost.
    pub fare: Money,
    /// What the new one costs.
    pub new_fare: Money,
    /// Departure at the passenger's boarding stop.
    pub departs_at: Time,
    /// The date there.
    pub boards_on: BoardingDate,
    /// The date at the boarding stop of the new train.
    pub new_boards_on: BoardingDate,
    /// How often it was changed before.
    pub times: u32,
    /// Whether the new train is boarded in another city.
    pub other_origin: bool,
    /// Whether the new train is left in another city.
    pub other_destination: bool,
}

/// Why a ticket may not be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChange {
    /// It was changed as often as it may be.
    #[error("the ticket was changed before: a ticket may be changed {max} times")]
    TooOften {
        /// How often it may be.
        max: u32,
    },
    /// The day of its departure is over.
    #[error("the train left on {boarded_on}: a ticket may be changed until the end of that day")]
    DayOver {
        /// The day.
        boarded_on: BoardingDate,
    },
    /// Another city to board in.
    #[error("a ticket may be changed to a train from the same city only")]
    Origin,
    /// Too late for another destination, or not the first change.
    #[error("the destination may be changed until {hours} hours before departure, of a ticket never changed before")]
    Destination {
        /// The limit.
        hours: u32,
    },
}

const MINUTE_MS: i64 = 60_000;

/// What the exchange costs at `now`.
///
/// # Errors
/// See [`NoChange`].
pub fn price(policy: &Policy, it: &Exchange, now: Time) -> Result<SwapPrice, NoChange> {
    let rules = &policy.change;
    if it.times >= rules.changes_max {
        return Err(NoChange::TooOften { max: rules.changes_max });
    }
    if it.other_origin {
        return Err(NoChange::Origin);
    }
    let before_ms = it.departs_at.millis_since(now);
    let enough = before_ms >= i64::from(rules.destination_minutes_before) * MINUTE_MS;
    if it.other_destination && !(enough && it.times == 0) {
        return Err(NoChange::Destination { hours: rules.destination_minutes_before / 60 });
    }
    let percent = percent_at(policy, it, now)?;
    let own_fee = it.fare.min(it.new_fare).percent(percent.into());
    let cheaper = (it.fare - it.new_fare).max(Money::ZERO);
    let fee = own_fee + refund::fee_on_difference(&policy.refund, cheaper, before_ms);
    // old fare + due = new fare + fee: what is owed is paid first, what is over goes back.
    let due = it.new_fare + fee - it.fare;
    Ok(SwapPrice { fare: it.new_fare, fee, pay: due.max(Money::ZERO), refund: (-due).max(Money::ZERO) })
}

/// The change's own fee in percent of the lower fare.
fn percent_at(policy: &Policy, it: &Exchange, now: Time) -> Result<u32, NoChange> {
    let rules = &policy.change;
    let before_ms = it.departs_at.millis_since(now);
    let later = it.new_boards_on > it.boards_on;
    if before_ms <= 0 {
        let day = i64::from(it.boards_on.days());
        return match (railway_day(now) > day, later) {
            (true, _) => Err(NoChange::DayOver { boarded_on: it.boards_on }),
            (false, true) => Ok(rules.after_departure_percent),
            (false, false) => Ok(0),
        };
    }
    let from = |minutes: u32| before_ms >= i64::from(minutes) * MINUTE_MS;
    Ok(match (from(rules.free_minutes_before), later, from(rules.late_minutes_before)) {
        (true, _, _) | (_, false, _) => 0,
        (_, true, true) => rules.late_percent,
        (_, true, false) => rules.last_percent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;
    const HOUR: i64 = 3_600 * SECOND;
    /// 2026-12-10 at 18:00 in Shanghai: 20,797 days after the epoch and 10 hours.
    const DEPARTURE: Time = Time::from_millis(20_797 * 24 * HOUR + 10 * HOUR);

    fn exchange(fares_fen: (i64, i64), new_day: &str) -> Exchange {
        Exchange {
            fare: Money::fen(fares_fen.0),
            new_fare: Money::fen(fares_fen.1),
            departs_at: DEPARTURE,
            boards_on: "2026-12-10".parse().unwrap(),
            new_boards_on: new_day.parse().unwrap(),
            times: 0,
            other_origin: false,
            other_destination: false,
        }
    }

    /// Fee, payment and refund in fen, so long before departure.
    fn price_fen(it: &Exchange, before_ms: i64) -> Result<(i64, i64, i64), NoChange> {
        let price = price(&Policy::default(), it, DEPARTURE.plus_millis(-before_ms))?;
        assert_eq!(it.fare + price.pay, price.fare + price.fee + price.refund);
        Ok((price.fee.as_fen(), price.pay.as_fen(), price.refund.as_fen()))
    }

    #[test]
    fn the_fee_turns_on_the_second() {
        // 500.00 to 500.00: what is paid is the fee alone.
        for (before_ms, new_day, fee_fen) in [
            (48 * HOUR, "2026-12-12", 0),
            // 5 % of 500.00 = 25.00.
            (48 * HOUR - SECOND, "2026-12-12", 2_500),
            (24 * HOUR, "2026-12-11", 2_500),
            // 15 % = 75.00.
            (24 * HOUR - SECOND, "2026-12-11", 7_500),
            (SECOND, "2026-12-11", 7_500),
            // To the same day or an earlier one: free at any time before.
            (48 * HOUR - SECOND, "2026-12-10", 0),
            (24 * HOUR - SECOND, "2026-12-09", 0),
            (SECOND, "2026-12-10", 0),
            // After departure, until 24:00, six hours later: that day free, later 40 % = 200.00.
            (0, "2026-12-10", 0),
            (0, "2026-12-11", 20_000),
            (-6 * HOUR + SECOND, "2026-12-10", 0),
            (-6 * HOUR + SECOND, "2026-12-11", 20_000),
        ] {
            let it = exchange((50_000, 50_000), new_day);
            assert_eq!(price_fen(&it, before_ms), Ok((fee_fen, fee_fen, 0)), "{before_ms} ms before, to {new_day}");
        }
        let boarded_on = "2026-12-10".parse().unwrap();
        let late = price_fen(&exchange((50_000, 50_000), "2026-12-11"), -6 * HOUR);
        assert_eq!(late, Err(NoChange::DayOver { boarded_on }));
    }

    #[test]
    fn the_difference_is_paid_or_goes_back_less_its_fee() {
        let cases = [
            // Three days before: the change is free. Dearer: 553.00 to 662.00, the difference is paid.
            ((55_300, 66_200), 72 * HOUR, "2026-12-10", (0, 10_900, 0)),
            // Cheaper: 100.00 goes back, less 5 % of it = 5.00.
            ((50_000, 40_000), 72 * HOUR, "2026-12-10", (500, 0, 9_500)),
            // Eight days and more before: nothing is kept of the difference.
            ((50_000, 40_000), 8 * 24 * HOUR, "2026-12-12", (0, 0, 10_000)),
            ((50_000, 40_000), 8 * 24 * HOUR - SECOND, "2026-12-12", (500, 0, 9_500)),
            // 5 % of a difference of 9.50 = 0.475, but never under 2.00; a difference of 1.50 is all fee.
            ((50_000, 49_050), 72 * HOUR, "2026-12-10", (200, 0, 750)),
            ((50_000, 49_850), 72 * HOUR, "2026-12-10", (150, 0, 0)),
            // 30 hours before, a later day: 5 % of the lower fare 400.00 = 20.00, and 10 % of the difference = 10.00.
            ((50_000, 40_000), 30 * HOUR, "2026-12-12", (3_000, 0, 7_000)),
            // The other way round: 5 % of 400.00, and the difference of 100.00.
            ((40_000, 50_000), 30 * HOUR, "2026-12-12", (2_000, 12_000, 0)),
            // An hour before, a later day: 15 % of 490.00 = 73.50; 20 % of 10.00 = 2.00; 65.50 are owed although it is cheaper.
            ((50_000, 49_000), HOUR, "2026-12-11", (7_550, 6_550, 0)),
            // After departure, a cheaper train of the day: 20 % of the difference of 100.00.
            ((50_000, 40_000), -HOUR, "2026-12-10", (2_000, 0, 8_000)),
            // Rounding: 5 % of 104.99 = 5.2495 down to 5.00; 5 % of 105.00 = 5.25 up to 5.50.
            ((10_499, 10_499), 30 * HOUR, "2026-12-12", (500, 500, 0)),
            ((10_500, 10_500), 30 * HOUR, "2026-12-12", (550, 550, 0)),
        ];
        for (fares, before_ms, new_day, expected) in cases {
            let got = price_fen(&exchange(fares, new_day), before_ms);
            assert_eq!(got, Ok(expected), "{fares:?} {before_ms} ms before, to {new_day}");
        }
    }

    #[test]
    fn a_ticket_is_changed_once_and_its_destination_in_time() {
        let it = exchange((50_000, 50_000), "2026-12-10");
        let twice = Exchange { times: 1, ..it };
        assert_eq!(price_fen(&twice, 72 * HOUR), Err(NoChange::TooOften { max: 1 }));
        let from_elsewhere = Exchange { other_origin: true, ..it };
        assert_eq!(price_fen(&from_elsewhere, 72 * HOUR), Err(NoChange::Origin));
        let elsewhere = Exchange { other_destination: true, ..it };
        assert_eq!(price_fen(&elsewhere, 48 * HOUR), Ok((0, 0, 0)));
        assert_eq!(price_fen(&elsewhere, 48 * HOUR - SECOND), Err(NoChange::Destination { hours: 48 }));
    }
}
