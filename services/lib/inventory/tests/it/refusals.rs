//! Each refusal once, with the state that calls for it. Nothing is left behind: `Train::run` checks that for every one.

use domain::{Channel, Interval, SeatClass};
use inventory::{
    Allotment, Command, HoldStage, PlanError, Protection, ProtectionStep, Quota, QuotaError, QuotaKind, QuotaPolicy,
    QuotaStep, Refusal, RequestId, Rule, Segments, Together, TrainDate,
};

use crate::kit::{
    HOUR, OPENS, SECOND, Train, departure, hold_id, interval, person, plan, plan_of, request, run, wish, wish_id,
};

fn set(train: &mut Train, quotas: QuotaPolicy) -> Result<inventory::Executed, Refusal> {
    train.run(&Command::SetQuotas { request: RequestId(99), quotas: Box::new(quotas) })
}

fn step(hours: i64, places: u16) -> QuotaStep {
    QuotaStep { from: OPENS.plus_millis(hours * HOUR), places }
}

fn advance(train: &mut Train, to: domain::Time) {
    train.at = to;
    train.run(&Command::Advance { to }).unwrap();
}

#[test]
fn sold_out_says_on_which_segments() {
    let mut train = Train::on_sale(plan(5, &[2]));
    train.hold(request(1, 1, 2, 2)).unwrap();
    train.hold(request(2, 3, 4, 1)).unwrap();
    let refusal = train.hold(request(3, 0, 4, 2)).unwrap_err();
    assert_eq!(refusal, Refusal::SoldOut { free: 0, segments: Segments::from_iter([1, 3]) });
    assert_eq!(refusal.code(), "SOLD_OUT");
    assert_eq!(refusal.to_string(), "sold out: 0 seats are free throughout, too few on segments [1, 3]");
}

#[test]
fn no_short_segment_means_that_a_seat_change_would_do() {
    let mut train = Train::on_sale(plan(3, &[2]));
    train.hold(request(1, 0, 1, 1)).unwrap();
    let mut second = request(2, 1, 2, 1);
    second.passengers[0].preference = inventory::Preference::Letter(b'B');
    train.hold(second).unwrap();
    // A is sold A-B, B is sold B-C: nobody can sit from A to C, but everybody can with one change.
    let refusal = train.hold(request(3, 0, 2, 1)).unwrap_err();
    assert_eq!(refusal, Refusal::SoldOut { free: 0, segments: Segments::default() });
    let parts = train.hold(inventory::HoldRequest { allow_seat_change: true, ..request(3, 0, 2, 1) }).unwrap();
    assert!(parts.len() == 2 && parts.iter().all(|part| part.seat_change));
    assert_eq!((parts[0].interval, parts[1].interval), (interval(0, 1), interval(1, 2)));
}

#[test]
fn a_quota_refuses_until_its_next_step() {
    let mut train = Train::on_sale(plan(4, &[5]));
    let quota = |kind, section| Quota {
        kind,
        class: Some(SeatClass::Second),
        section,
        steps: vec![step(0, 1), step(6, 3)],
        until: Some(OPENS.plus_millis(12 * HOUR)),
    };
    let within = quota(QuotaKind::WithinAtMost, interval(0, 2));
    set(&mut train, QuotaPolicy { quotas: vec![within], ..QuotaPolicy::default() }).unwrap();
    train.hold(request(1, 0, 1, 1)).unwrap();
    let rule = Rule::Quota { index: 0, kind: QuotaKind::WithinAtMost };
    let relaxed = Some(OPENS.plus_millis(6 * HOUR));
    assert_eq!(train.hold(request(2, 1, 2, 1)).unwrap_err(), Refusal::ProtectedForLonger { until: relaxed, rule });
    // Three more would need four: only the end of the quota allows that.
    let over = Some(OPENS.plus_millis(12 * HOUR));
    assert_eq!(train.hold(request(2, 1, 2, 3)).unwrap_err(), Refusal::ProtectedForLonger { until: over, rule });
    // Longer journeys are not within the section.
    train.hold(request(3, 0, 3, 1)).unwrap();
    advance(&mut train, OPENS.plus_millis(6 * HOUR));
    train.hold(request(2, 1, 2, 2)).unwrap();
}

#[test]
fn kept_places_are_for_the_whole_section() {
    let mut train = Train::on_sale(plan(4, &[3]));
    let kept = Quota {
        kind: QuotaKind::KeptAtLeast,
        class: None,
        section: interval(0, 3),
        steps: vec![step(0, 2)],
        until: None,
    };
    set(&mut train, QuotaPolicy { quotas: vec![kept], ..QuotaPolicy::default() }).unwrap();
    train.hold(request(1, 0, 1, 1)).unwrap();
    let rule = Rule::Quota { index: 0, kind: QuotaKind::KeptAtLeast };
    assert_eq!(train.hold(request(2, 0, 2, 1)).unwrap_err(), Refusal::ProtectedForLonger { until: None, rule });
    train.hold(request(3, 1, 2, 1)).unwrap();
    // Both kept places are sold for what they were kept for.
    train.hold(request(4, 0, 3, 2)).unwrap();
    assert_eq!(train.free(0, 3), 0);
}

#[test]
fn boardings_at_a_station_are_limited() {
    let mut train = Train::on_sale(plan(4, &[5]));
    let boardings = Quota {
        kind: QuotaKind::BoardingsAtMost,
        class: None,
        section: interval(1, 2),
        steps: vec![step(0, 1)],
        until: None,
    };
    set(&mut train, QuotaPolicy { quotas: vec![boardings], ..QuotaPolicy::default() }).unwrap();
    train.hold(request(1, 1, 3, 1)).unwrap();
    assert_eq!(train.hold(request(2, 1, 2, 1)).unwrap_err().code(), "PROTECTED_FOR_LONGER");
    train.hold(request(3, 0, 3, 1)).unwrap();
    train.hold(request(4, 2, 3, 1)).unwrap();
}

#[test]
fn bid_prices_refuse_what_is_worth_less() {
    let mut train = Train::on_sale(plan(4, &[5]));
    let later = OPENS.plus_millis(HOUR);
    let steps = vec![
        ProtectionStep { from: OPENS, bid_prices: vec![120, 80, 150], values: Vec::new() },
        ProtectionStep { from: later, bid_prices: Vec::new(), values: Vec::new() },
    ];
    let protections = vec![Protection { class: SeatClass::Second, steps }];
    set(&mut train, QuotaPolicy { protections, ..QuotaPolicy::default() }).unwrap();
    // A segment is worth its 100 km: A-B costs 120, A-C 200, B-C 80.
    let rule = Rule::BidPrice { value: 100, price: 120 };
    let refusal = train.hold(request(1, 0, 1, 1)).unwrap_err();
    assert_eq!(refusal, Refusal::ProtectedForLonger { until: Some(later), rule });
    train.hold(request(2, 0, 2, 1)).unwrap();
    train.hold(request(3, 1, 2, 1)).unwrap();
    // Of five seats, one is sold A-C and another B-C; what is worth less than its price is shown as nothing.
    assert_eq!(train.aggregate.board().classes[0].seats, [0, 3, 0, 3, 0, 0]);
}

#[test]
fn places_set_aside_for_a_channel_flow_back() {
    let mut train = Train::on_sale(plan(3, &[3]));
    let allotment = Allotment {
        channel: Channel::Window,
        class: SeatClass::Second,
        section: interval(0, 2),
        steps: vec![step(0, 2), step(5, 0)],
    };
    set(&mut train, QuotaPolicy { allotments: vec![allotment], ..QuotaPolicy::default() }).unwrap();
    train.hold(request(1, 0, 2, 1)).unwrap();
    let back = Some(OPENS.plus_millis(5 * HOUR));
    let online = Refusal::AllotmentUsedUp { channel: Channel::Online, until: back };
    assert_eq!(train.hold(request(2, 0, 1, 1)).unwrap_err(), online);
    train.hold(inventory::HoldRequest { channel: Channel::Window, ..request(3, 0, 2, 1) }).unwrap();
    // One is drawn, one is still set aside.
    assert_eq!(train.hold(request(4, 0, 1, 1)).unwrap_err(), online);
    assert_eq!(train.aggregate.board().classes[0].seats, [0, 0, 0]);
    advance(&mut train, OPENS.plus_millis(5 * HOUR));
    train.hold(request(4, 0, 1, 1)).unwrap();
}

#[test]
fn sale_opens_and_ends_by_boarding_stop() {
    let mut plan = plan(3, &[1]);
    plan.stops[1].sale_opens = OPENS.plus_millis(HOUR);
    let mut train = Train::on_sale(plan);
    assert_eq!(train.hold(request(1, 1, 2, 1)).unwrap_err(), Refusal::NotOnSaleUntil(OPENS.plus_millis(HOUR)));
    assert_eq!(train.aggregate.next_timer(), Some(OPENS.plus_millis(HOUR)));
    advance(&mut train, OPENS.plus_millis(HOUR));
    train.hold(request(1, 1, 2, 1)).unwrap();
    train.run(&Command::Release { hold: hold_id(1) }).unwrap();
    // Five minutes before the departure from A its sale ends; B sells on.
    let end = departure(0).plus_millis(-300 * SECOND);
    assert_eq!(train.aggregate.next_timer(), Some(end));
    advance(&mut train, end.plus_millis(-1));
    train.hold(request(2, 0, 1, 1)).unwrap();
    train.run(&Command::Release { hold: hold_id(2) }).unwrap();
    advance(&mut train, end);
    assert_eq!(train.hold(request(3, 0, 1, 1)).unwrap_err(), Refusal::SaleEnded(end));
    train.hold(request(4, 1, 2, 1)).unwrap();
}

#[test]
fn a_run_sells_only_while_it_is_on_sale() {
    let mut train = Train { aggregate: TrainDate::new(run()), records: Vec::new(), at: OPENS };
    assert_eq!(train.hold(request(1, 0, 1, 1)).unwrap_err(), Refusal::NotOnSale);
    let open = |id| Command::OpenSale { request: RequestId(id), plan: Box::new(plan(3, &[5])) };
    train.run(&open(1)).unwrap();
    assert!(train.run(&open(1)).unwrap().repeated);
    assert_eq!(train.run(&open(2)).unwrap_err(), Refusal::AlreadyOnSale);
    train.hold(request(1, 0, 1, 1)).unwrap();
    train.run(&Command::CloseSale { request: RequestId(3), cancelled: false }).unwrap();
    assert_eq!(train.hold(request(2, 0, 1, 1)).unwrap_err(), Refusal::Closed);
    assert_eq!(
        train.run(&Command::CloseSale { request: RequestId(4), cancelled: false }).unwrap_err(),
        Refusal::Closed
    );
    // What is held can still be paid, and the train can still be cancelled.
    train.run(&Command::OpenHold { hold: hold_id(1) }).unwrap();
    train.run(&Command::Confirm { hold: hold_id(1) }).unwrap();
    train.run(&Command::CloseSale { request: RequestId(5), cancelled: true }).unwrap();
    assert_eq!(train.aggregate.closed(), Some(true));
}

#[test]
fn parties_have_a_size_a_class_and_stops() {
    let mut train = Train::on_sale(plan(3, &[4, 4]));
    assert_eq!(train.hold(request(1, 0, 1, 0)).unwrap_err(), Refusal::EmptyParty);
    assert_eq!(train.hold(request(1, 0, 1, 6)).unwrap_err(), Refusal::PartyTooLarge { max: 5 });
    assert_eq!(train.hold(request(1, 0, 3, 1)).unwrap_err(), Refusal::NoSuchStop { stop: 3, stops: 3 });
    let first = inventory::HoldRequest { class: SeatClass::First, ..request(1, 0, 1, 1) };
    assert_eq!(train.hold(first).unwrap_err(), Refusal::NoSuchClass(SeatClass::First));
    let one_carriage =
        |hold, size| inventory::HoldRequest { together: Together::SameCarriage, ..request(hold, 0, 1, size) };
    assert_eq!(train.hold(one_carriage(1, 5)).unwrap_err(), Refusal::PartyTooLargeForCarriage { places: 4 });
    train.hold(one_carriage(2, 3)).unwrap();
    train.hold(one_carriage(3, 2)).unwrap();
    assert_eq!(train.hold(one_carriage(4, 3)).unwrap_err(), Refusal::NotTogether { free: 2 });
    // Without insisting, three sit in two carriages.
    train.hold(request(5, 0, 1, 3)).unwrap();
}

#[test]
fn nobody_has_two_tickets_on_a_run() {
    let mut train = Train::on_sale(plan(3, &[4]));
    train.hold(request(1, 0, 1, 2)).unwrap();
    let mut other = request(2, 1, 2, 2);
    other.passengers[1].person = person(1 << 8 | 1);
    assert_eq!(train.hold(other.clone()).unwrap_err(), Refusal::DuplicatePassenger { passenger: 1 });
    other.passengers[1].person = other.passengers[0].person;
    assert_eq!(train.hold(other).unwrap_err(), Refusal::DuplicatePassenger { passenger: 1 });
    // Changing is no second ticket.
    let mut new = request(3, 1, 2, 2);
    new.passengers.iter_mut().enumerate().for_each(|(i, passenger)| passenger.person = person(1 << 8 | i as u128));
    train.run(&Command::Change { old: hold_id(1), new }).unwrap();
    assert_eq!(train.aggregate.hold(hold_id(1)).unwrap().stage, HoldStage::Changed);
    assert_eq!((train.free(0, 1), train.free(1, 2)), (4, 2));
}

#[test]
fn holds_go_through_their_stages_in_order() {
    let mut train = Train::on_sale(plan(3, &[4]));
    let hold = hold_id(1);
    assert_eq!(train.run(&Command::Confirm { hold }).unwrap_err(), Refusal::UnknownHold(hold));
    train.hold(request(1, 0, 1, 2)).unwrap();
    let wrong = |stage| Refusal::WrongState { hold, stage };
    assert_eq!(train.run(&Command::Confirm { hold }).unwrap_err(), wrong(HoldStage::Held));
    train.run(&Command::OpenHold { hold }).unwrap();
    train.run(&Command::Confirm { hold }).unwrap();
    assert_eq!(train.run(&Command::Release { hold }).unwrap_err(), wrong(HoldStage::Confirmed));
    let refund = |passenger| Command::Refund { hold, passengers: [passenger].into_iter().collect() };
    assert_eq!(train.run(&refund(2)).unwrap_err(), Refusal::NoSuchPassenger { hold, passenger: 2 });
    train.run(&refund(1)).unwrap();
    assert_eq!((train.free(0, 1), train.aggregate.hold(hold).unwrap().stage), (3, HoldStage::Confirmed));
    train.run(&refund(0)).unwrap();
    assert_eq!((train.free(0, 1), train.aggregate.hold(hold).unwrap().stage), (4, HoldStage::Refunded));
    assert!(train.run(&Command::Confirm { hold }).unwrap().repeated, "it was confirmed once, and says so for ever");
}

#[test]
fn holds_lapse_when_time_is_recorded_and_not_before() {
    let mut train = Train::on_sale(plan(3, &[1]));
    let hold = hold_id(1);
    train.hold(request(1, 0, 2, 1)).unwrap();
    assert_eq!(train.aggregate.next_timer(), Some(OPENS.plus_millis(10 * SECOND)));
    advance(&mut train, OPENS.plus_millis(10 * SECOND - 1));
    train.run(&Command::OpenHold { hold }).unwrap();
    // Payment is due after 15 minutes, but the seat stays until the hard limit of 20.
    advance(&mut train, OPENS.plus_millis(19 * 60 * SECOND));
    assert_eq!(train.aggregate.hold(hold).unwrap().stage, HoldStage::Opened);
    advance(&mut train, OPENS.plus_millis(20 * 60 * SECOND + 10 * SECOND - 1));
    assert_eq!(train.run(&Command::Confirm { hold }).unwrap_err(), Refusal::HoldExpired(hold));
    assert!(train.run(&Command::Hold(request(1, 0, 2, 1))).unwrap().repeated, "the same id answers as it did");
    train.hold(request(2, 0, 2, 1)).unwrap();
}

#[test]
fn a_hold_that_is_never_opened_goes_back_at_its_second() {
    let open_by = OPENS.plus_millis(10 * SECOND);
    let held = || {
        let mut train = Train::on_sale(plan(3, &[1]));
        train.hold(request(1, 0, 2, 1)).unwrap();
        train
    };
    for before_ms in [SECOND, 1] {
        let mut train = held();
        advance(&mut train, open_by.plus_millis(-before_ms));
        assert_eq!(train.free(0, 2), 0, "{before_ms} ms before");
        train.run(&Command::OpenHold { hold: hold_id(1) }).unwrap();
    }
    for after_ms in [0, SECOND] {
        let mut train = held();
        advance(&mut train, open_by.plus_millis(after_ms));
        assert_eq!(train.free(0, 2), 1, "{after_ms} ms after");
        let late = train.run(&Command::OpenHold { hold: hold_id(1) }).unwrap_err();
        assert_eq!(late, Refusal::HoldExpired(hold_id(1)));
    }
}

#[test]
fn the_hard_limit_frees_the_seats_at_its_second_whatever_payment_does() {
    // Opened 4 s after it was held: 20 minutes count from there.
    let hard_limit = OPENS.plus_millis(4 * SECOND + 20 * 60 * SECOND);
    let opened = || {
        let mut train = Train::on_sale(plan(3, &[1]));
        train.hold(request(1, 0, 2, 1)).unwrap();
        advance(&mut train, OPENS.plus_millis(4 * SECOND));
        train.run(&Command::OpenHold { hold: hold_id(1) }).unwrap();
        train
    };
    for before_ms in [5 * 60 * SECOND, SECOND, 1] {
        let mut train = opened();
        advance(&mut train, hard_limit.plus_millis(-before_ms));
        assert_eq!(train.free(0, 2), 0, "{before_ms} ms before");
        train.run(&Command::Confirm { hold: hold_id(1) }).unwrap();
    }
    for after_ms in [0, SECOND] {
        let mut train = opened();
        advance(&mut train, hard_limit.plus_millis(after_ms));
        assert_eq!(train.free(0, 2), 1, "{after_ms} ms after");
        let late = train.run(&Command::Confirm { hold: hold_id(1) }).unwrap_err();
        assert_eq!(late, Refusal::HoldExpired(hold_id(1)));
    }
}

#[test]
fn an_id_means_one_payload() {
    let mut train = Train::on_sale(plan(3, &[4]));
    train.hold(request(1, 0, 1, 1)).unwrap();
    assert_eq!(train.hold(request(1, 0, 2, 1)).unwrap_err(), Refusal::PayloadDiffers);
    // An order may not be named like a waitlist entry, whose offers make holds of that name.
    train.hold(request(2, 0, 2, 3)).unwrap();
    train.join(1, wish(1, 0, 1, 1)).unwrap();
    assert_eq!(train.join(1, wish(1, 0, 1, 2)).unwrap_err(), Refusal::PayloadDiffers);
    let named_like_entry = inventory::HoldRequest { hold: wish_id(1).hold(), ..request(3, 1, 2, 1) };
    assert_eq!(train.hold(named_like_entry).unwrap_err(), Refusal::PayloadDiffers);
}

#[test]
fn the_line_has_its_own_refusals() {
    let mut sold = plan(3, &[1]);
    sold.terms.line_max = 2;
    let mut train = Train::on_sale(sold);
    assert_eq!(train.join(1, wish(1, 0, 1, 1)).unwrap_err(), Refusal::LineNotOpen);
    train.hold(request(1, 0, 2, 1)).unwrap();
    let late = Command::Join { id: wish_id(1), wish: wish(1, 0, 1, 1), deadline: OPENS };
    assert_eq!(train.run(&late).unwrap_err(), Refusal::DeadlinePassed(OPENS));
    let leave = |number| Command::Leave { id: wish_id(number) };
    assert_eq!(train.run(&leave(1)).unwrap_err(), Refusal::UnknownEntry(wish_id(1)));
    assert_eq!(train.join(1, wish(1, 0, 1, 1)), Ok(1));
    assert_eq!(train.join(2, wish(2, 1, 2, 1)), Ok(2));
    assert_eq!(train.join(3, wish(3, 1, 2, 1)).unwrap_err(), Refusal::LineFull { max: 2 });
    let accept = Command::AcceptOffer { id: wish_id(1) };
    assert_eq!(train.run(&accept).unwrap_err(), Refusal::NoOffer(wish_id(1)));
    train.run(&leave(1)).unwrap();
    assert_eq!(train.run(&accept).unwrap_err(), Refusal::NoOffer(wish_id(1)));
    train.release(1);
    let refusal = train.hold(request(5, 1, 2, 1)).unwrap_err();
    assert_eq!(refusal, Refusal::WithheldForWaitlist { until: OPENS.plus_millis(10 * SECOND) });
}

#[test]
fn an_end_car_of_two_classes_is_one_number_twice() {
    let classes = [(SeatClass::Business, "AC|F", 5), (SeatClass::First, "AC|DF", 28)];
    let mut end_car = plan_of(3, &classes);
    for carriage in &mut end_car.carriages {
        carriage.number = 1;
    }
    let train = Train::on_sale(end_car);
    let whole = Interval::new(0, 2).unwrap();
    assert_eq!(classes.map(|(class, _, _)| train.aggregate.free_count(class, whole)), [5, 28]);
}

#[test]
fn plans_and_quotas_that_do_not_fit_are_refused() {
    let mut train = Train { aggregate: TrainDate::new(run()), records: Vec::new(), at: OPENS };
    let mut open = |plan| train.run(&Command::OpenSale { request: RequestId(1), plan: Box::new(plan) }).unwrap_err();
    assert_eq!(open(plan(1, &[5])), Refusal::BadPlan(PlanError::StopCount { stops: 1 }));
    assert_eq!(open(plan(3, &[0])), Refusal::BadPlan(PlanError::EmptyCarriage { number: 1 }));
    assert_eq!(open(plan(3, &[])), Refusal::BadPlan(PlanError::NoCarriages));
    let mut unordered = plan(3, &[1]);
    unordered.stops[1].km = 1_000;
    assert_eq!(open(unordered), Refusal::BadPlan(PlanError::StopOrder { stop: 2 }));
    let mut train = Train::on_sale(plan(3, &[1]));
    let again = plan(3, &[1]).carriages;
    let add = Command::AddCapacity { request: RequestId(2), carriages: again };
    assert_eq!(train.run(&add).unwrap_err(), Refusal::BadPlan(PlanError::CarriageTwice { number: 1 }));
    let section = Interval::new(0, 3).unwrap();
    let quota = Quota { kind: QuotaKind::WithinAtMost, class: None, section, steps: vec![step(0, 1)], until: None };
    let refusal = set(&mut train, QuotaPolicy { quotas: vec![quota], ..QuotaPolicy::default() }).unwrap_err();
    assert_eq!(refusal, Refusal::BadQuotas(QuotaError::Section { section, stops: 3 }));
}

#[test]
fn standing_is_sold_when_the_seats_are_gone() {
    let mut train = Train::on_sale({
        let mut plan = plan_of(3, &[(SeatClass::Second, "ABC|DF", 2)]);
        plan.standing = vec![inventory::StandingAllowance { class: SeatClass::Second, places: 2 }];
        plan
    });
    let standing = |hold, size| inventory::HoldRequest { allow_standing: true, ..request(hold, 0, 2, size) };
    // The older one of the two who can sit is the third named.
    let mut party = standing(1, 3);
    party.passengers[2].elderly = true;
    let stands: Vec<bool> = train.hold(party).unwrap().iter().map(|part| part.is_standing()).collect();
    assert_eq!(stands, [false, true, false]);
    assert_eq!(train.aggregate.board().classes[0].standing, [1, 1, 1]);
    assert_eq!(train.hold(request(2, 0, 2, 1)).unwrap_err().code(), "SOLD_OUT");
    assert!(train.hold(standing(3, 1)).unwrap()[0].is_standing());
    assert_eq!(train.hold(standing(4, 1)).unwrap_err().code(), "SOLD_OUT");
}

#[test]
fn who_would_stand_is_served_when_the_kept_seat_is_sold() {
    let mut train = Train::on_sale({
        let mut plan = plan(4, &[1]);
        plan.standing = vec![inventory::StandingAllowance { class: SeatClass::Second, places: 1 }];
        let section = interval(0, 3);
        let steps = vec![step(0, 1)];
        plan.quotas.quotas = vec![Quota { kind: QuotaKind::KeptAtLeast, class: None, section, steps, until: None }];
        plan
    });
    train.join(1, inventory::Wish { standing: true, ..wish(1, 0, 1, 1) }).unwrap();
    train.hold(request(1, 0, 3, 1)).unwrap();
    let [inventory::Event::Held { .. }, inventory::Event::Offered { parts, .. }] = train.last_events() else {
        panic!("{:?}", train.last_events());
    };
    assert_eq!(parts[0].place, None);
}
