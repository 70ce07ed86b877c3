//! Who sits where: preferences and parties on small carriages, worked out by hand.

use domain::SeatClass;
use inventory::{AssignedParts, BerthLevel, HoldRequest, Preference};

use crate::kit::{Train, plan, plan_of, request};

/// Carriage, row and letter of each passenger.
fn seats(parts: AssignedParts) -> Vec<String> {
    parts.iter().map(|part| part.place.map(|place| format!("{}/{place}", place.carriage)).unwrap()).collect()
}

fn liking(hold: u128, preferences: &[Preference]) -> HoldRequest {
    let mut request = request(hold, 0, 2, preferences.len());
    request.passengers.iter_mut().zip(preferences).for_each(|(passenger, &liked)| passenger.preference = liked);
    request
}

#[test]
fn a_letter_is_granted_while_it_is_free() {
    let mut train = Train::on_sale(plan(3, &[10]));
    let window = |hold| liking(hold, &[Preference::Letter(b'F')]);
    assert_eq!(seats(train.hold(window(1)).unwrap()), ["1/01F"]);
    assert_eq!(seats(train.hold(window(2)).unwrap()), ["1/02F"]);
    // None is left: any seat does.
    assert_eq!(seats(train.hold(window(3)).unwrap()), ["1/01A"]);
    assert_eq!(seats(train.hold(liking(4, &[Preference::Window])).unwrap()), ["1/02A"]);
    assert_eq!(seats(train.hold(liking(5, &[Preference::Aisle])).unwrap()), ["1/01C"]);
}

#[test]
fn a_party_sits_side_by_side_if_it_can() {
    let mut train = Train::on_sale(plan(3, &[10]));
    assert_eq!(seats(train.hold(request(1, 0, 2, 1)).unwrap()), ["1/01A"]);
    // B-C of the first row is the first pair without an aisle between.
    assert_eq!(seats(train.hold(request(2, 0, 2, 2)).unwrap()), ["1/01B", "1/01C"]);
    assert_eq!(seats(train.hold(request(3, 0, 2, 3)).unwrap()), ["1/02A", "1/02B", "1/02C"]);
    // Two are left in each row: side by side beyond the aisle.
    assert_eq!(seats(train.hold(request(4, 0, 2, 2)).unwrap()), ["1/01D", "1/01F"]);
}

#[test]
fn a_party_that_fits_no_row_takes_adjacent_rows_before_another_carriage() {
    let mut train = Train::on_sale(plan(3, &[5, 15]));
    // Three of the first carriage are gone: four fit into no row of it, but into one of the second.
    train.hold(request(1, 0, 2, 3)).unwrap();
    assert_eq!(seats(train.hold(request(2, 0, 2, 4)).unwrap()), ["2/01A", "2/01B", "2/01C", "2/01D"]);
    assert_eq!(seats(train.hold(request(3, 0, 2, 5)).unwrap()), ["2/02A", "2/02B", "2/02C", "2/02D", "2/02F"]);
    // Left: D, F in the first carriage; F of the first row and the third row in the second.
    assert_eq!(seats(train.hold(request(4, 0, 2, 5)).unwrap()), ["2/03A", "2/03B", "2/03C", "2/03D", "2/03F"]);
    assert_eq!(seats(train.hold(request(5, 0, 2, 3)).unwrap()), ["1/01D", "1/01F", "2/01F"]);
}

#[test]
fn in_a_party_each_gets_what_is_liked_where_possible() {
    let mut train = Train::on_sale(plan(3, &[10]));
    let party = liking(1, &[Preference::Aisle, Preference::Window]);
    // B-C and A-B grant one liking each, D-F both.
    assert_eq!(seats(train.hold(party).unwrap()), ["1/01D", "1/01F"]);
}

#[test]
fn the_elderly_get_lower_berths_while_there_are_any() {
    let mut train = Train::on_sale(plan_of(3, &[(SeatClass::HardSleeper, "LMU", 6)]));
    let sleeper = |hold, elderly: &[bool]| {
        let mut request = HoldRequest { class: SeatClass::HardSleeper, ..request(hold, 0, 2, elderly.len()) };
        request.passengers.iter_mut().zip(elderly).for_each(|(passenger, &elderly)| passenger.elderly = elderly);
        request
    };
    let levels = |parts: AssignedParts| parts.iter().map(|part| part.berth().unwrap()).collect::<Vec<_>>();
    use BerthLevel::{Lower, Middle, Upper};
    // Two lower berths are due: they are in two bays, so the three of them are not in one.
    assert_eq!(levels(train.hold(sleeper(1, &[false, true, true])).unwrap()), [Middle, Lower, Lower]);
    // No lower one is left.
    assert_eq!(levels(train.hold(sleeper(2, &[true])).unwrap()), [Upper]);
    let mut asks_for_upper = sleeper(3, &[true]);
    asks_for_upper.passengers[0].preference = Preference::Berth(Upper);
    assert_eq!(levels(train.hold(asks_for_upper).unwrap()), [Upper]);
}

#[test]
fn a_place_is_chosen_so_that_gaps_stay_whole() {
    // Two seats: A is sold A-B, so B-D of it is the tighter gap for C-D, and the through journey still has a seat.
    let mut train = Train::on_sale(plan(4, &[2]));
    train.hold(request(1, 0, 1, 1)).unwrap();
    assert_eq!(seats(train.hold(request(2, 2, 3, 1)).unwrap()), ["1/01A"]);
    assert_eq!(seats(train.hold(request(3, 0, 3, 1)).unwrap()), ["1/01B"]);
}
