//! What is kept of a ticket that is given back (RULES: Refund).

use domain::{Money, Time};
use order_saga::order::Changed;
use policy::RefundPolicy;

/// A ticket about to be given back.
#[derive(Clone, Copy, Debug)]
pub struct Return {
    /// What it cost.
    pub fare: Money,
    /// Departure at the passenger's boarding stop.
    pub departs_at: Time,
    /// When it was paid.
    pub paid_at: Time,
    /// Whether the operator cancelled the train or the class, or runs it late.
    pub operator_caused: bool,
    /// How it was changed before, if it was.
    pub changed: Option<Changed>,
}

/// The train has left the passenger's station: nothing can be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the train left the boarding stop at {departed_at}")]
pub struct Departed {
    /// When.
    pub departed_at: Time,
}

/// The fee for giving a ticket back at `now`.
///
/// # Errors
/// The train has left, and the operator is not to blame.
pub fn fee(policy: &RefundPolicy, ticket: &Return, now: Time) -> Result<Money, Departed> {
    if ticket.operator_caused {
        return Ok(Money::ZERO);
    }
    let before_departure_ms = ticket.departs_at.millis_since(now);
    let tier = policy.percent_at(before_departure_ms).ok_or(Departed { departed_at: ticket.departs_at })?;
    if is_mistake(policy, ticket, now) {
        return Ok(Money::ZERO);
    }
    let percent = ticket.changed.map_or(tier, |changed| percent_after_change(policy, changed, tier));
    Ok(fee_of(policy, ticket.fare, percent))
}

/// The fee on the difference that a change to a cheaper train sends back, so long before departure; after it, the last
/// tier's.
pub fn fee_on_difference(policy: &RefundPolicy, difference: Money, before_departure_ms: i64) -> Money {
    let last = policy.tiers.last().map_or(0, |tier| tier.percent);
    fee_of(policy, difference, policy.percent_at(before_departure_ms).unwrap_or(last))
}

fn fee_of(policy: &RefundPolicy, amount: Money, percent: u32) -> Money {
    if percent == 0 {
        return Money::ZERO;
    }
    amount.percent(percent.into()).max(policy.fee_min()).min(amount)
}

/// A purchase that is taken back at once, long enough before the train leaves. A changed ticket is no mistake.
fn is_mistake(policy: &RefundPolicy, ticket: &Return, now: Time) -> bool {
    let since_payment_ms = now.millis_since(ticket.paid_at);
    let before_departure_ms = ticket.departs_at.millis_since(now);
    policy.mistake_minutes > 0
        && ticket.changed.is_none()
        && since_payment_ms <= i64::from(policy.mistake_minutes) * 60_000
        && before_departure_ms > i64::from(policy.mistake_departure_minutes) * 60_000
}

fn percent_after_change(policy: &RefundPolicy, changed: Changed, tier: u32) -> u32 {
    if changed.into_rush {
        return policy.changed_into_rush_percent;
    }
    let was_free = policy.percent_at(changed.from_departs_at.millis_since(changed.at)) == Some(0);
    // Moving a ticket out of reach of the fee and giving it back there is what this tier is against.
    if tier == 0 && !was_free { policy.changed_to_free_tier_percent } else { tier }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const NOW: Time = Time::from_millis(1_800_000_000_000);

    fn ticket(fare_fen: i64, departs_in_ms: i64) -> Return {
        Return {
            fare: Money::fen(fare_fen),
            departs_at: NOW.plus_millis(departs_in_ms),
            paid_at: NOW.plus_millis(-DAY),
            operator_caused: false,
            changed: None,
        }
    }

    fn fee_fen(ticket: &Return) -> Option<i64> {
        fee(&RefundPolicy::default(), ticket, NOW).ok().map(Money::as_fen)
    }

    #[test]
    fn the_tier_turns_on_the_second() {
        for (departs_in_ms, expected) in [
            (8 * DAY + SECOND, Some(0)),
            (8 * DAY, Some(0)),
            // 5 % of 500.00.
            (8 * DAY - SECOND, Some(2_500)),
            (48 * HOUR, Some(2_500)),
            // 10 %.
            (48 * HOUR - SECOND, Some(5_000)),
            (24 * HOUR, Some(5_000)),
            // 20 %.
            (24 * HOUR - SECOND, Some(10_000)),
            (SECOND, Some(10_000)),
            (0, None),
            (-SECOND, None),
        ] {
            assert_eq!(fee_fen(&ticket(50_000, departs_in_ms)), expected, "{departs_in_ms} ms before departure");
        }
    }

    #[test]
    fn fees_round_to_half_a_yuan_and_have_a_floor_and_a_ceiling() {
        let in_20_days_to_2_days = 3 * DAY;
        for (fare_fen, expected) in [
            // 5 % of 944.00 = 47.20 -> 47.00; of 945.00 = 47.25 -> 47.50; of 955.00 = 47.75 -> 48.00.
            (94_400, 4_700),
            (94_500, 4_750),
            (95_500, 4_800),
            // 5 % of 39.00 = 1.95 -> 2.00; of 20.00 = 1.00, the floor is 2.00.
            (3_900, 200),
            (2_000, 200),
            // Never more than the fare.
            (150, 150),
            (50, 50),
        ] {
            assert_eq!(fee_fen(&ticket(fare_fen, in_20_days_to_2_days)), Some(expected), "{fare_fen} fen");
        }
    }

    #[test]
    fn a_mistake_is_free_for_thirty_minutes_if_the_train_is_more_than_four_hours_away() {
        let bought = |ago_ms: i64, departs_in_ms: i64| Return {
            paid_at: NOW.plus_millis(-ago_ms),
            ..ticket(50_000, departs_in_ms)
        };
        assert_eq!(fee_fen(&bought(30 * MINUTE, 4 * HOUR + SECOND)), Some(0));
        assert_eq!(fee_fen(&bought(30 * MINUTE + SECOND, 4 * HOUR + SECOND)), Some(10_000));
        assert_eq!(fee_fen(&bought(30 * MINUTE, 4 * HOUR)), Some(10_000));
        assert_eq!(fee_fen(&bought(MINUTE, 3 * DAY)), Some(0));
    }

    #[test]
    fn what_the_operator_caused_is_free_even_after_departure() {
        let late = Return { operator_caused: true, ..ticket(50_000, -HOUR) };
        assert_eq!(fee_fen(&late), Some(0));
    }

    #[test]
    fn a_change_does_not_outrun_the_fee() {
        let changed = |was_away_ms: i64, into_rush: bool, departs_in_ms: i64| {
            let at = NOW.plus_millis(-HOUR);
            let changed = Changed { from_departs_at: at.plus_millis(was_away_ms), at, into_rush, times: 1 };
            fee_fen(&Return { changed: Some(changed), ..ticket(50_000, departs_in_ms) })
        };
        // From under 8 days to 8 days or more: 5 %.
        assert_eq!(changed(8 * DAY - SECOND, false, 8 * DAY), Some(2_500));
        // It was free before: it stays free.
        assert_eq!(changed(8 * DAY, false, 9 * DAY), Some(0));
        // Given back under 8 days: the ordinary tier.
        assert_eq!(changed(3 * DAY, false, 30 * HOUR), Some(5_000));
        // Into the rush: a flat 20 %, however early.
        assert_eq!(changed(3 * DAY, true, 14 * DAY), Some(10_000));
    }
}
