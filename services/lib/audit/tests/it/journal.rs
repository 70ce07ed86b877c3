//! What is broken in a journal is found there.

use audit::{Invariant, Report, Sources};
use journal_encoding::v1::event::Kind;
use journal_encoding::v1::*;

use crate::events::*;
use crate::fleet::{Fleet, slot};
use crate::{audit, broken};

/// A sale in which everything happens that may, by the book.
pub fn healthy() -> Vec<Vec<Record>> {
    vec![
        batch([advanced(START), sale()]),
        batch([held(1, seat(0, 0, 2, 1))]),
        batch([opened(1)]),
        batch([confirmed(1)]),
        batch([held(2, seat(1, 0, 1, 2))]),
        // Nothing is free from 0 to 1: two wait for it, and one takes what the hold gives back.
        batch([joined(3, 1, 0, 1)]),
        batch([joined(4, 2, 0, 1)]),
        batch([released(2), offered(3, seat(1, 0, 1, 3))]),
        batch([offer_accepted(3)]),
        batch([confirmed(3)]),
        batch([left(4)]),
        batch([held(5, seat(1, 1, 2, 5))]),
        batch([opened(5)]),
        batch([confirmed(5)]),
        batch([refunded(5)]),
        batch([held(6, seat(1, 1, 2, 6))]),
        batch([held(7, standing(0, 2, 7))]),
        batch([advanced(START + OPEN_BY - 1)]),
        batch([advanced(START + OPEN_BY), expired(6), expired(7)]),
    ]
}

async fn audit_journal(batches: &[Vec<Record>], now_ms: Option<i64>) -> Report {
    let fleet = Fleet::sqlite().await;
    fleet.write_journal(batches).await;
    audit(&only_journal(&fleet, now_ms)).await
}

fn only_journal(fleet: &Fleet, now_ms: Option<i64>) -> Sources {
    Sources { journals: fleet.sources.journals.clone(), now_ms, ..Sources::default() }
}

/// The audit of what follows the opening of sale.
async fn audit_after_sale(policy: QuotaPolicy, after: Vec<Vec<Record>>) -> Report {
    let mut batches = vec![batch([advanced(START), sale_with(policy)])];
    batches.extend(after);
    audit_journal(&batches, None).await
}

async fn assert_found(after: Vec<Vec<Record>>, invariant: Invariant, what: &str) {
    assert_one(&audit_after_sale(QuotaPolicy::default(), after).await, invariant, what);
}

fn assert_one(report: &Report, invariant: Invariant, what: &str) {
    assert_eq!((broken(report), report.violations_total()), (vec![invariant], 1), "{report}");
    assert!(report.violations[0].what.contains(what), "{report}");
}

#[tokio::test]
async fn a_sale_by_the_book_is_clean_and_counted() {
    let report = audit_journal(&healthy(), None).await;
    assert!(report.is_clean(), "{report}");
    let counts = report.counts;
    assert_eq!((counts.slots, counts.batches, counts.records, counts.runs), (1, 19, 19, 1));
    assert_eq!((counts.events, counts.holds, counts.entries, counts.offers), (23, 6, 2, 1));
}

#[tokio::test]
async fn a_changed_payload_breaks_the_chain() {
    let fleet = Fleet::sqlite().await;
    fleet.write_journal(&healthy()).await;
    let mut records = healthy()[2].clone();
    records[0].decided_at_ms += 1;
    fleet.tamper(3, records).await;
    assert_one(&audit(&only_journal(&fleet, None)).await, Invariant::I7, "breaks the hash chain");
}

#[tokio::test]
async fn a_missing_version_a_wrong_link_and_a_wrong_head_are_found() {
    for (sql, what) in [
        ("DELETE FROM slot_batch WHERE version = 18", "follows version 17"),
        ("UPDATE slot_batch SET previous_id = batch_id WHERE version = 5", "another batch as the one before"),
        ("UPDATE slot_batch SET epoch = 0 WHERE version = 5", "breaks the hash chain"),
        ("UPDATE slot_head SET version = version + 1", "the last batch is 19"),
        ("UPDATE slot_head SET chain = zeroblob(32)", "another chain hash"),
        ("UPDATE slot_head SET tail = zeroblob(16)", "another batch as the last"),
        ("DELETE FROM slot_head", "has batches and no head"),
    ] {
        let fleet = Fleet::sqlite().await;
        fleet.write_journal(&healthy()).await;
        fleet.journal.run(sql).await;
        let report = audit(&only_journal(&fleet, None)).await;
        assert_eq!(broken(&report), [Invariant::I7], "{sql}: {report}");
        assert!(report.violations[0].what.contains(what), "{sql}: {report}");
    }
}

#[tokio::test]
async fn a_purged_beginning_is_continued_from_its_checkpoint() {
    let fleet = Fleet::sqlite().await;
    fleet.write_journal(&healthy()).await;
    fleet
        .journal
        .run(
            "INSERT INTO checkpoint (slot, version, purged, chain, snapshots) \
             SELECT slot, version, 1, chain, '' FROM slot_batch WHERE version = 4; \
             DELETE FROM slot_batch WHERE version <= 4",
        )
        .await;
    let report = audit(&only_journal(&fleet, None)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.counts.batches, report.counts.runs, report.counts.runs_not_followed), (15, 0, 1));
}

#[tokio::test]
async fn a_run_in_another_slot_is_found() {
    let fleet = Fleet::sqlite().await;
    fleet.write_slot((slot() + 1) % 1_024, &healthy()[..1]).await;
    assert_one(&audit(&only_journal(&fleet, None)).await, Invariant::I7, "belongs to slot");
}

#[tokio::test]
async fn a_record_that_changed_nothing_is_found() {
    assert_found(vec![batch([])], Invariant::I10, "changed nothing").await;
}

#[tokio::test]
async fn a_seat_with_two_live_holders_is_found() {
    let twice = vec![batch([held(1, seat(0, 0, 2, 1))]), batch([held(2, seat(0, 1, 2, 2))]), batch([released(2)])];
    assert_found(twice, Invariant::I1, "has two live holders").await;
    // Touching at a stop is not overlapping.
    let touching = vec![batch([held(1, seat(0, 0, 1, 1))]), batch([held(2, seat(0, 1, 2, 2))])];
    let report = audit_after_sale(QuotaPolicy::default(), touching).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn places_that_are_not_there_are_found() {
    assert_found(vec![batch([held(1, seat(2, 0, 1, 1))])], Invariant::I1, "which the train has not").await;
    assert_found(vec![batch([held(1, seat(0, 0, 3, 1))])], Invariant::I1, "which the train has not").await;
    let other_class = Part { seat_class: 9, ..seat(0, 0, 1, 1) };
    assert_found(vec![batch([held(1, other_class)])], Invariant::I1, "which the train has not").await;
    let crowd = vec![batch([held(1, standing(0, 1, 1))]), batch([held(2, standing(0, 2, 2))])];
    assert_found(crowd, Invariant::I1, "no standing room").await;
}

#[tokio::test]
async fn a_person_with_two_tickets_is_found() {
    let twice = vec![batch([held(1, seat(0, 0, 1, 1))]), batch([held(2, seat(1, 1, 2, 1))])];
    assert_found(twice, Invariant::I1, "one person has two tickets").await;
}

#[tokio::test]
async fn a_ticket_of_a_hold_that_was_gone_is_found() {
    let zombie = vec![
        batch([held(1, seat(0, 0, 1, 1))]),
        batch([opened(1)]),
        batch([advanced(START + HARD_LIMIT), expired(1)]),
        batch([confirmed(1)]),
    ];
    assert_found(zombie, Invariant::I1, "becomes confirmed after it was ended").await;
}

#[tokio::test]
async fn limits_that_are_passed_are_found() {
    let step = |places| vec![QuotaStep { from_ms: START, places }];
    let quota = |kind: quota::Kind, from, to, places| QuotaPolicy {
        quotas: vec![Quota { kind: kind.into(), seat_class: SECOND, from, to, steps: step(places), until_ms: 0 }],
        ..QuotaPolicy::default()
    };
    let allotment = |channel| QuotaPolicy {
        allotments: vec![Allotment { channel, seat_class: SECOND, from: 0, to: 2, steps: step(1) }],
        ..QuotaPolicy::default()
    };
    let protection = ProtectionStep { from_ms: START, bid_prices: vec![60, 60], values: vec![] };
    let protected = QuotaPolicy {
        protections: vec![Protection { seat_class: SECOND, steps: vec![protection] }],
        ..QuotaPolicy::default()
    };
    let two_short = || vec![batch([held(1, seat(0, 0, 1, 1))]), batch([held(2, seat(1, 0, 1, 2))])];
    let two_through = || vec![batch([held(1, seat(0, 0, 2, 1))]), batch([held(2, seat(1, 0, 2, 2))])];
    let drawn = |place, person| Part { allotment: ONLINE, ..seat(place, 0, 2, person) };
    let two_drawn = vec![batch([held(1, drawn(0, 1))]), batch([held(2, drawn(1, 2))])];
    let cases = [
        (quota(quota::Kind::WithinAtMost, 0, 1, 1), two_short(), "the quota of 1 within"),
        (quota(quota::Kind::BoardingsAtMost, 0, 1, 1), two_through(), "the quota of 1 boardings"),
        (quota(quota::Kind::KeptAtLeast, 0, 2, 1), two_short(), "the 1 places kept"),
        (allotment(2), two_through(), "set aside for other channels"),
        (allotment(ONLINE), two_drawn, "channel 1's allotment on segment 0"),
        (allotment(2), vec![batch([held(1, Part { allotment: 2, ..drawn(0, 1) })])], "sold by channel 1"),
        // 100 km are worth 100 and cost 60; 200 km are worth 200 and cost 120: nothing is in the way of either.
        (protected.clone(), two_short(), ""),
    ];
    for (policy, after, what) in cases {
        let report = audit_after_sale(policy, after).await;
        if what.is_empty() {
            assert!(report.is_clean(), "{report}");
        } else {
            assert_one(&report, Invariant::I1, what);
        }
    }
    let mut dear = protected;
    dear.protections[0].steps[0].bid_prices = vec![101, 60];
    let report = audit_after_sale(dear, vec![batch([held(1, seat(0, 0, 1, 1))])]).await;
    assert_one(&report, Invariant::I1, "worth 100, asked 101");
}

#[tokio::test]
async fn limits_of_another_time_do_not_bind() {
    let steps = vec![QuotaStep { from_ms: START, places: 0 }, QuotaStep { from_ms: START + 1_000, places: 1 }];
    let kind = quota::Kind::WithinAtMost.into();
    let quota = Quota { kind, seat_class: 0, from: 0, to: 2, steps, until_ms: START + 2_000 };
    let policy = QuotaPolicy { quotas: vec![quota], ..QuotaPolicy::default() };
    let at = |offset: i64, owner: u128, place| batch([advanced(START + offset), held(owner, seat(place, 0, 2, owner))]);
    let early = audit_after_sale(policy.clone(), vec![at(999, 1, 0)]).await;
    assert_one(&early, Invariant::I1, "the quota of 0 within");
    let in_time = audit_after_sale(policy, vec![at(1_000, 1, 0), at(2_000, 2, 1)]).await;
    assert!(in_time.is_clean(), "{in_time}");
}

#[tokio::test]
async fn deadlines_that_pass_and_early_ends_are_found() {
    let late = vec![batch([held(1, seat(0, 0, 1, 1))]), batch([advanced(START + OPEN_BY)])];
    assert_found(late, Invariant::I3, "lives on").await;
    let early = vec![batch([held(1, seat(0, 0, 1, 1))]), batch([advanced(START + OPEN_BY - 1), expired(1)])];
    assert_found(early, Invariant::I3, "before its deadline").await;
    let waits_on = vec![
        batch([held(1, seat(0, 0, 2, 1)), opened(1), confirmed(1)]),
        batch([held(2, seat(1, 0, 2, 2)), opened(2), confirmed(2)]),
        batch([joined(3, 1, 0, 1)]),
        batch([advanced(START + 86_400_000)]),
    ];
    assert_found(waits_on, Invariant::I3, "waitlist entry").await;
    let open = [batch([advanced(START), sale()]), batch([held(1, seat(0, 0, 1, 1))])];
    let at = |offset| audit_journal(&open, Some(START + OPEN_BY + offset));
    assert!(at(60_000).await.is_clean());
    assert_one(&at(60_001).await, Invariant::I3, "is open past its deadline");
    let back = vec![batch([advanced(START + 5)]), batch([advanced(START + 4)])];
    assert_found(back, Invariant::I7, "time goes back").await;
}

/// Both seats are sold from 0 to 1, and two people wait for one, the first of them with the smaller number.
fn line() -> Vec<Vec<Record>> {
    vec![
        batch([held(1, seat(0, 0, 1, 1))]),
        batch([held(2, seat(1, 0, 1, 2))]),
        batch([joined(3, 1, 0, 1)]),
        batch([joined(4, 2, 0, 1)]),
    ]
}

async fn assert_line(then: Vec<Vec<Record>>, what: &str) {
    let mut batches = line();
    batches.extend(then);
    assert_found(batches, Invariant::I4, what).await;
}

#[tokio::test]
async fn whoever_is_passed_over_is_found() {
    // The first in line gets nothing, the second is offered the seat and takes it.
    assert_line(vec![batch([released(2), offered(4, seat(1, 0, 1, 4))])], "before it could have used").await;
    assert_line(vec![batch([released(2)])], "waits for what is free").await;
    let by_the_book = vec![
        batch([released(2), offered(3, seat(1, 0, 1, 3))]),
        batch([offer_declined(3), offered(4, seat(1, 0, 1, 4))]),
    ];
    let mut batches = line();
    batches.extend(by_the_book);
    let report = audit_after_sale(QuotaPolicy::default(), batches).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_later_entry_goes_first_only_where_the_earlier_one_cannot() {
    // Entry 3 wants the whole way, which is not free; entry 4 one segment, which is.
    let batches = vec![
        batch([held(1, seat(0, 0, 2, 1))]),
        batch([held(2, seat(1, 0, 1, 2))]),
        batch([held(9, seat(1, 1, 2, 9))]),
        batch([joined(3, 1, 0, 2)]),
        batch([joined(4, 2, 0, 1)]),
        batch([released(2), offered(4, seat(1, 0, 1, 4))]),
    ];
    let report = audit_after_sale(QuotaPolicy::default(), batches).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_line_out_of_order_is_found() {
    assert_line(vec![batch([joined(5, 4, 0, 1)])], "joins as 4 after 2").await;
    assert_line(vec![batch([released(2), offered(3, seat(1, 0, 1, 9))])], "something else than it wished").await;
    assert_line(vec![batch([offered(5, seat(1, 1, 2, 5))])], "never joined").await;
    let joins_what_is_free = vec![batch([joined(3, 1, 0, 1)])];
    assert_found(joins_what_is_free, Invariant::I4, "waits for what is free").await;
}

#[tokio::test]
async fn an_id_that_is_accepted_twice_is_found() {
    let hold = vec![batch([held(1, seat(0, 0, 1, 1))]), batch([held(1, seat(1, 0, 1, 1))])];
    assert_found(hold, Invariant::I5, "is made twice").await;
    assert_found(vec![batch([sale()])], Invariant::I5, "went on sale twice").await;
    let mut entry = line();
    entry.push(batch([joined(3, 3, 0, 1)]));
    assert_found(entry, Invariant::I5, "joins twice").await;
}

#[tokio::test]
async fn a_refund_of_a_ticket_that_is_not_there_is_found() {
    let twice = vec![
        batch([held(1, seat(0, 0, 1, 1)), opened(1), confirmed(1)]),
        batch([Kind::Refunded(Refunded { hold_id: hold_id(1, 0), passengers: vec![1] })]),
    ];
    assert_found(twice, Invariant::I8, "gives back the ticket of passenger 1").await;
}
