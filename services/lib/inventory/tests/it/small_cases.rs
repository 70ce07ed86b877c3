//! Cases small enough to work out by hand: stops A, B, C, D are 0, 1, 2, 3.

use inventory::{Command, Event, Refusal, Segments};

use crate::kit::{Train, hold_id, interval, plan, request, wish, wish_id};

/// Intervals in the order in which they are sold.
type Sold = &'static [(u8, u8)];

/// What is sold on a train with stops A to D, and how many seats are left on AB, AC, AD, BC, BD, CD.
const COUNTS: &[(&str, u16, Sold, [u16; 6])] = &[
    ("nothing sold", 1, &[], [1, 1, 1, 1, 1, 1]),
    ("A-B sold: everything from B on is left", 1, &[(0, 1)], [0, 0, 0, 1, 1, 1]),
    ("A-B and C-D sold: B-C is left, B-D is not", 1, &[(0, 1), (2, 3)], [0, 0, 0, 1, 0, 0]),
    ("B-C sold: the ends are left", 1, &[(1, 2)], [1, 0, 0, 0, 0, 1]),
    ("A-D sold: nothing is left", 1, &[(0, 3)], [0, 0, 0, 0, 0, 0]),
    // The second passenger fits behind the first on the same seat, so the other seat stays whole.
    ("A-B, then B-D on the same seat", 2, &[(0, 1), (1, 3)], [1, 1, 1, 1, 1, 1]),
    ("A-C, then B-D on another seat", 2, &[(0, 2), (1, 3)], [1, 0, 0, 0, 0, 1]),
    // C-D goes behind A-B (leaving B-C on that seat), or behind nothing: the tighter gap is B-D of the first seat.
    ("A-B, C-D share a seat; B-C completes it", 2, &[(0, 1), (2, 3), (1, 2)], [1, 1, 1, 1, 1, 1]),
    ("A-C twice on two seats: only C-D is left, twice", 2, &[(0, 2), (0, 2)], [0, 0, 0, 0, 0, 2]),
];

#[test]
fn counts_of_small_trains_are_those_worked_out_by_hand() {
    let all = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
    for (case, places, sold, expected) in COUNTS {
        let mut train = Train::on_sale(plan(4, &[*places]));
        for (i, &(from, to)) in sold.iter().enumerate() {
            train.hold(request(i as u128 + 1, from, to, 1)).unwrap();
        }
        assert_eq!(all.map(|(from, to)| train.free(from, to)), *expected, "{case}");
        let mut counts = [0; 6];
        train.aggregate.counts_all(domain::SeatClass::Second, &mut counts);
        assert_eq!(counts, *expected, "{case}, all at once");
    }
}

#[test]
fn a_seat_sold_a_b_and_c_d_sells_b_c_but_not_b_d() {
    let mut train = Train::on_sale(plan(4, &[1]));
    train.sell(request(1, 0, 1, 1)).unwrap();
    train.sell(request(2, 2, 3, 1)).unwrap();
    let refusal = train.hold(request(3, 1, 3, 1)).unwrap_err();
    assert_eq!(refusal, Refusal::SoldOut { free: 0, segments: Segments::from_iter([2]) });
    train.sell(request(4, 1, 2, 1)).unwrap();
    assert_eq!(train.free(1, 2), 0);
}

#[test]
fn published_trains_have_their_published_numbers_of_intervals() {
    for (stops, intervals) in [(18, 153), (35, 595), (17, 136)] {
        let train = Train::on_sale(plan(stops, &[85]));
        let board = train.aggregate.board();
        assert_eq!(board.classes[0].seats, vec![85; intervals]);
    }
}

#[test]
fn a_freed_seat_goes_to_the_line_before_anyone_else() {
    let mut train = Train::on_sale(plan(4, &[1]));
    train.hold(request(1, 0, 3, 1)).unwrap();
    assert_eq!(train.join(1, wish(1, 0, 3, 1)), Ok(1));
    assert_eq!(train.join(2, wish(2, 1, 2, 1)), Ok(2));
    train.release(1);
    // The first waits longest and can use all of it; the second has to wait on.
    let [Event::Released { .. }, Event::Offered { id, parts, .. }] = train.last_events() else {
        panic!("{:?}", train.last_events());
    };
    assert_eq!((*id, parts[0].interval), (wish_id(1), interval(0, 3)));
    assert!(matches!(train.hold(request(5, 0, 1, 1)), Err(Refusal::WithheldForWaitlist { .. })));
    train.run(&Command::DeclineOffer { id: wish_id(1) }).unwrap();
    let [Event::OfferDeclined { .. }, Event::Offered { id, .. }] = train.last_events() else {
        panic!("{:?}", train.last_events());
    };
    assert_eq!(*id, wish_id(2));
    train.run(&Command::AcceptOffer { id: wish_id(2) }).unwrap();
    train.run(&Command::Confirm { hold: wish_id(2).hold() }).unwrap();
    assert!(train.aggregate.hold(hold_id(1)).is_some());
    train.hold(request(5, 0, 1, 1)).unwrap();
}
