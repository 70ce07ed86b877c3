//! Records of one small train, in few words.

use journal_encoding::v1::event::Kind;
use journal_encoding::v1::*;

/// 2026-11-22T00:00:00Z.
pub const START: i64 = 1_795_305_600_000;
/// Second class.
pub const SECOND: u32 = 3;
/// Sold online.
pub const ONLINE: u32 = 1;
/// How long a hold waits to be opened, in ms.
pub const OPEN_BY: i64 = 10_000;
/// How long an open hold lives, in ms.
pub const HARD_LIMIT: i64 = 1_200_000;

/// The run: G1 on day 20,800 after 1970.
pub fn run() -> RunKey {
    RunKey { train: "G1".into(), service_date: 20_800, ordinal: 1 }
}

/// One record of some events.
pub fn record(events: impl IntoIterator<Item = Kind>) -> Record {
    Record {
        run: Some(run()),
        channel: ONLINE,
        decided_at_ms: START,
        events: events.into_iter().map(|kind| Event { kind: Some(kind) }).collect(),
        ..Record::default()
    }
}

/// A batch of one record.
pub fn batch(events: impl IntoIterator<Item = Kind>) -> Vec<Record> {
    vec![record(events)]
}

/// A hold id: an order's or entry's number, and the leg or choice.
pub fn hold_id(owner: u128, leg: u8) -> prost::bytes::Bytes {
    let mut bytes = owner.to_be_bytes().to_vec();
    bytes.push(leg);
    bytes.into()
}

fn id(owner: u128) -> prost::bytes::Bytes {
    owner.to_be_bytes().to_vec().into()
}

/// Sale of a train with three stops, two second-class seats and one standing place, under a policy.
pub fn sale_with(quotas: QuotaPolicy) -> Kind {
    let stop = |index: i64| Stop {
        arrival_ms: START + 30 * 86_400_000 + index * 3_600_000,
        departure_ms: START + 30 * 86_400_000 + index * 3_600_000 + 60_000,
        sale_opens_ms: START,
        km: index as u32 * 100,
    };
    Kind::SaleOpened(SaleOpened {
        stops: (0..3).map(stop).collect(),
        carriages: vec![Carriage { number: 1, seat_class: SECOND, layout: "AC".into(), places: 2 }],
        terms: Some(SaleTerms {
            cutoff_before_departure_ms: 300_000,
            open_by_ms: OPEN_BY as u32,
            payment_ms: 900_000,
            hard_limit_ms: HARD_LIMIT as u32,
            offer_ms: OPEN_BY as u32,
            party_max: 5,
            line_max: 100,
        }),
        standing: vec![StandingAllowance { seat_class: SECOND, places: 1 }],
        quotas: Some(quotas),
        policy_version: 1,
    })
}

/// Sale without quotas.
pub fn sale() -> Kind {
    sale_with(QuotaPolicy::default())
}

pub fn advanced(to_ms: i64) -> Kind {
    Kind::Advanced(Advanced { to_ms })
}

/// A seat for a person, by the person's number.
pub fn seat(place: u32, from: u32, to: u32, person: u128) -> Part {
    Part { seat_class: SECOND, place, from, to, person: id(person), ..Part::default() }
}

pub fn standing(from: u32, to: u32, person: u128) -> Part {
    Part { standing: true, ..seat(0, from, to, person) }
}

/// A hold by an order of the person's own number, until ten seconds after the start.
pub fn held(owner: u128, part: Part) -> Kind {
    Kind::Held(Held { hold_id: hold_id(owner, 0), open_by_ms: START + OPEN_BY, parts: vec![part] })
}

pub fn opened(owner: u128) -> Kind {
    let (pay_by_ms, hard_limit_ms) = (START + 900_000, START + HARD_LIMIT);
    Kind::HoldOpened(HoldOpened { hold_id: hold_id(owner, 0), pay_by_ms, hard_limit_ms })
}

pub fn confirmed(owner: u128) -> Kind {
    Kind::Confirmed(Confirmed { hold_id: hold_id(owner, 0) })
}

pub fn released(owner: u128) -> Kind {
    Kind::Released(Released { hold_id: hold_id(owner, 0) })
}

pub fn expired(owner: u128) -> Kind {
    Kind::HoldExpired(HoldExpired { hold_id: hold_id(owner, 0) })
}

pub fn refunded(owner: u128) -> Kind {
    Kind::Refunded(Refunded { hold_id: hold_id(owner, 0), passengers: vec![0] })
}

/// An entry of one person of its own number.
pub fn joined(entry: u128, sequence: u64, from: u32, to: u32) -> Kind {
    let wish = Wish { seat_class: SECOND, from, to, persons: vec![id(entry)], standing: false, channel: ONLINE };
    let deadline_ms = START + 86_400_000;
    Kind::Joined(Joined { entry_id: id(entry), sequence, wish: Some(wish), deadline_ms, choice: 0 })
}

pub fn left(entry: u128) -> Kind {
    Kind::Left(Left { entry_id: id(entry), expired: false, choice: 0 })
}

pub fn offered(entry: u128, part: Part) -> Kind {
    Kind::Offered(Offered {
        entry_id: id(entry),
        hold_id: hold_id(entry, 0),
        offer_by_ms: START + OPEN_BY,
        parts: vec![part],
    })
}

pub fn offer_accepted(entry: u128) -> Kind {
    let (pay_by_ms, hard_limit_ms) = (START + 900_000, START + HARD_LIMIT);
    Kind::OfferAccepted(OfferAccepted { entry_id: id(entry), pay_by_ms, hard_limit_ms, choice: 0 })
}

pub fn offer_declined(entry: u128) -> Kind {
    Kind::OfferDeclined(OfferDeclined { entry_id: id(entry), choice: 0 })
}
