//! Fares of the types of ticket (RULES: Fares).

use domain::{Money, PassengerKind, SeatClass};
use policy::FarePolicy;

/// Why a ticket has no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFare {
    /// Students have no fare in this class.
    #[error("there is no student fare in this class")]
    StudentClass,
    /// The student fare of a hard sleeper needs the hard seat fare of the train, and it has none.
    #[error("no hard seat fare is published to reckon the student fare from")]
    HardSeatUnknown,
}

/// What one passenger pays. `full` is the adult fare asked for the class and interval, `hard_seat` the hard seat fare of
/// the same interval where the train has one. Every share is rounded to half a yuan.
///
/// # Errors
/// See [`NoFare`].
pub fn ticket_fare(
    policy: &FarePolicy,
    kind: PassengerKind,
    class: SeatClass,
    full: Money,
    hard_seat: Option<Money>,
) -> Result<Money, NoFare> {
    let share = |percent: u32| full.percent(percent.into());
    match kind {
        PassengerKind::Adult => Ok(full),
        PassengerKind::Child => Ok(share(policy.child_percent).max(share(policy.child_floor_percent))),
        PassengerKind::Infant => Ok(Money::ZERO),
        PassengerKind::Disabled => Ok(share(policy.disabled_percent)),
        PassengerKind::Student if policy.student_emu_classes.contains(&class) => Ok(share(policy.student_emu_percent)),
        PassengerKind::Student if class == SeatClass::HardSeat => Ok(share(policy.student_hard_seat_percent)),
        PassengerKind::Student if class == SeatClass::HardSleeper => {
            let hard_seat = hard_seat.ok_or(NoFare::HardSeatUnknown)?;
            let saved = hard_seat.percent(policy.student_hard_sleeper_less_hard_seat_percent.into());
            Ok((full - saved).rounded_half_yuan())
        }
        PassengerKind::Student => Err(NoFare::StudentClass),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fare(kind: PassengerKind, class: SeatClass, full_fen: i64, hard_seat_fen: Option<i64>) -> Result<i64, NoFare> {
        let hard_seat = hard_seat_fen.map(Money::fen);
        ticket_fare(&FarePolicy::default(), kind, class, Money::fen(full_fen), hard_seat).map(Money::as_fen)
    }

    #[test]
    fn each_type_pays_its_share_rounded_to_half_a_yuan() {
        use PassengerKind::{Adult, Child, Disabled, Infant, Student};
        use SeatClass::{HardSeat, HardSleeper, Second};
        for (kind, class, full, hard_seat, expected) in [
            (Adult, Second, 55_300, None, 55_300),
            // 553.00 x 50 % = 276.50.
            (Child, Second, 55_300, None, 27_650),
            // 553.00 x 75 % = 414.75, from 0.75 up to the yuan.
            (Student, Second, 55_300, None, 41_500),
            // 54.50 x 50 % = 27.25, from 0.25 up to the half.
            (Child, Second, 5_450, None, 2_750),
            // 25.50 x 75 % = 19.125, under 0.25 down.
            (Student, Second, 2_550, None, 1_900),
            // 251.50 x 50 % = 125.75, up to the yuan.
            (Student, HardSeat, 25_150, None, 12_600),
            // 456.00 - half of 251.50 rounded to 126.00.
            (Student, HardSleeper, 45_600, Some(25_150), 33_000),
            (Disabled, HardSleeper, 45_600, None, 22_800),
            (Infant, Second, 55_300, None, 0),
            // The boundaries of rounding, 50 %: 0.24 down, 0.25 up to the half, 0.74 down to it, 0.75 up to the yuan.
            (Disabled, HardSeat, 2_048, None, 1_000),
            (Disabled, HardSeat, 2_050, None, 1_050),
            (Disabled, HardSeat, 2_148, None, 1_050),
            (Disabled, HardSeat, 2_150, None, 1_100),
            // 75 % of 33.00 = 24.75, of 32.98 = 24.735.
            (Student, Second, 3_300, None, 2_500),
            (Student, Second, 3_298, None, 2_450),
            // A lower berth of 200.50 less half of 101.00 = 50.50.
            (Student, HardSleeper, 20_050, Some(10_100), 15_000),
            // The shortest ride: 1.00 x 50 % = 0.50.
            (Child, HardSeat, 100, None, 50),
        ] {
            assert_eq!(fare(kind, class, full, hard_seat), Ok(expected), "{kind:?} {class} {full}");
        }
    }

    #[test]
    fn students_are_told_where_there_is_no_fare_for_them() {
        assert_eq!(fare(PassengerKind::Student, SeatClass::Business, 100_000, None), Err(NoFare::StudentClass));
        assert_eq!(fare(PassengerKind::Student, SeatClass::HardSleeper, 45_600, None), Err(NoFare::HardSeatUnknown));
    }

    #[test]
    fn a_floor_lifts_the_child_fare() {
        let policy = FarePolicy { child_floor_percent: 60, ..FarePolicy::default() };
        let fare = ticket_fare(&policy, PassengerKind::Child, SeatClass::Second, Money::yuan(100), None);
        assert_eq!(fare, Ok(Money::yuan(60)));
    }
}
