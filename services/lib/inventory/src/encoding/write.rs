use domain::{Channel, Run, SeatClass, Time};
use journal_encoding::v1;

use super::wire;
use crate::command::{CommandId, CommandMeta, Wish, WishId};
use crate::event::{Event, Part};
use crate::plan::{Carriage, Plan, SaleTerms};
use crate::policy::{Protection, QuotaKind, QuotaPolicy, QuotaStep};

pub(super) fn record(out: &mut Vec<u8>, run: &Run, meta: &CommandMeta, trace: Option<&[u8; 24]>, events: &[Event]) {
    wire::message(out, 1, |out| {
        wire::bytes(out, 1, run.train.as_str().as_bytes());
        wire::sint(out, 2, i64::from(run.date.days()));
        wire::uint(out, 3, u64::from(run.ordinal));
    });
    match meta.id {
        CommandId::Time => {}
        CommandId::Hold(hold) => wire::bytes(out, 2, &hold.bytes()),
        CommandId::Named(id) => wire::bytes(out, 2, &id.to_be_bytes()),
    }
    wire::fixed64(out, 3, meta.payload_hash);
    wire::uint(out, 4, meta.channel.map_or(0, |channel| u64::from(channel.code())));
    wire::bytes(out, 5, trace.map_or(&[], |trace| trace));
    wire::sint(out, 6, meta.at.millis());
    for kind in events {
        wire::message(out, 7, |out| event(out, kind));
    }
}

fn event(out: &mut Vec<u8>, event: &Event) {
    match event {
        Event::SaleOpened(plan) => embedded(out, 1, &sale_opened(plan)),
        Event::Advanced { to } => wire::message(out, 2, |out| time(out, 1, *to)),
        Event::Held { hold, open_by, parts } => wire::message(out, 3, |out| {
            wire::bytes(out, 1, &hold.bytes());
            time(out, 2, *open_by);
            self::parts(out, 3, parts);
        }),
        Event::HoldOpened { hold, pay_by, hard_limit } => wire::message(out, 4, |out| {
            wire::bytes(out, 1, &hold.bytes());
            time(out, 2, *pay_by);
            time(out, 3, *hard_limit);
        }),
        Event::Confirmed { hold } => wire::message(out, 5, |out| wire::bytes(out, 1, &hold.bytes())),
        Event::Released { hold } => wire::message(out, 6, |out| wire::bytes(out, 1, &hold.bytes())),
        Event::HoldExpired { hold } => wire::message(out, 7, |out| wire::bytes(out, 1, &hold.bytes())),
        Event::Refunded { hold, passengers } => wire::message(out, 8, |out| {
            wire::bytes(out, 1, &hold.bytes());
            // Packed, as proto3 has it: passengers are below 128, one byte each.
            wire::bytes(out, 2, passengers);
        }),
        Event::Changed { old, new, parts } => wire::message(out, 9, |out| {
            wire::bytes(out, 1, &old.bytes());
            wire::bytes(out, 2, &new.bytes());
            self::parts(out, 3, parts);
        }),
        Event::CapacityAdded { carriages: added } => {
            embedded(out, 10, &v1::CapacityAdded { carriages: carriages(added) });
        }
        Event::QuotasSet(quotas) => embedded(out, 11, &v1::QuotasSet { quotas: Some(quota_policy(quotas)) }),
        Event::SaleClosed { cancelled } => wire::message(out, 12, |out| wire::uint(out, 1, u64::from(*cancelled))),
        _ => line_event(out, event),
    }
}

fn line_event(out: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Joined { id, sequence, wish: asked, deadline } => wire::message(out, 13, |out| {
            wire::bytes(out, 1, &id.entry.bytes());
            wire::uint(out, 2, *sequence);
            wire::message(out, 3, |out| wish(out, asked));
            time(out, 4, *deadline);
            wire::uint(out, 5, u64::from(id.choice));
        }),
        Event::Left { id, expired } => wire::message(out, 14, |out| {
            wire::bytes(out, 1, &id.entry.bytes());
            wire::uint(out, 2, u64::from(*expired));
            wire::uint(out, 3, u64::from(id.choice));
        }),
        Event::Offered { id, offer_by, parts } => wire::message(out, 15, |out| {
            wire::bytes(out, 1, &id.entry.bytes());
            wire::bytes(out, 2, &id.hold().bytes());
            time(out, 3, *offer_by);
            self::parts(out, 4, parts);
        }),
        Event::OfferAccepted { id, pay_by, hard_limit } => wire::message(out, 16, |out| {
            wire::bytes(out, 1, &id.entry.bytes());
            time(out, 2, *pay_by);
            time(out, 3, *hard_limit);
            wire::uint(out, 4, u64::from(id.choice));
        }),
        Event::OfferDeclined { id } => wire::message(out, 17, |out| wish_id(out, *id)),
        Event::OfferExpired { id } => wire::message(out, 18, |out| wish_id(out, *id)),
        _ => unreachable!("every other event is written by `event`"),
    }
}

fn wish_id(out: &mut Vec<u8>, id: WishId) {
    wire::bytes(out, 1, &id.entry.bytes());
    wire::uint(out, 2, u64::from(id.choice));
}

pub(super) fn wish(out: &mut Vec<u8>, wish: &Wish) {
    wire::uint(out, 1, u64::from(wish.class.code()));
    wire::uint(out, 2, u64::from(wish.interval.from()));
    wire::uint(out, 3, u64::from(wish.interval.to()));
    for person in &wish.persons {
        wire::bytes(out, 4, &person.0);
    }
    wire::uint(out, 5, u64::from(wish.standing));
    wire::uint(out, 6, u64::from(wish.channel.code()));
}

pub(super) fn parts(out: &mut Vec<u8>, field: u32, parts: &[Part]) {
    for part in parts {
        wire::message(out, field, |out| {
            wire::uint(out, 1, u64::from(part.class.code()));
            wire::uint(out, 2, u64::from(part.place.unwrap_or(0)));
            wire::uint(out, 3, u64::from(part.place.is_none()));
            wire::uint(out, 4, u64::from(part.interval.from()));
            wire::uint(out, 5, u64::from(part.interval.to()));
            wire::uint(out, 6, u64::from(part.passenger));
            wire::bytes(out, 7, &part.person.0);
            wire::uint(out, 8, part.allotment.map_or(0, |channel: Channel| u64::from(channel.code())));
        });
    }
}

fn time(out: &mut Vec<u8>, field: u32, time: Time) {
    wire::sint(out, field, time.millis());
}

fn embedded(out: &mut Vec<u8>, field: u32, message: &impl prost::Message) {
    let bytes = message.encode_to_vec();
    wire::message(out, field, |out| out.extend_from_slice(&bytes));
}

pub(super) fn sale_opened(plan: &Plan) -> v1::SaleOpened {
    let millis = |time: Option<Time>| time.map_or(0, Time::millis);
    let stops = plan.stops.iter().map(|stop| v1::Stop {
        arrival_ms: millis(stop.arrival),
        departure_ms: millis(stop.departure),
        sale_opens_ms: stop.sale_opens.millis(),
        km: stop.km,
    });
    let standing = plan.standing.iter().map(|allowance| v1::StandingAllowance {
        seat_class: class(allowance.class),
        places: u32::from(allowance.places),
    });
    v1::SaleOpened {
        stops: stops.collect(),
        carriages: carriages(&plan.carriages),
        terms: Some(terms(&plan.terms)),
        standing: standing.collect(),
        quotas: Some(quota_policy(&plan.quotas)),
        policy_version: plan.policy_version,
    }
}

pub(super) fn carriages(carriages: &[Carriage]) -> Vec<v1::Carriage> {
    let encode = |carriage: &Carriage| v1::Carriage {
        number: u32::from(carriage.number),
        seat_class: class(carriage.class),
        layout: carriage.layout.clone(),
        places: u32::from(carriage.places),
    };
    carriages.iter().map(encode).collect()
}

fn terms(terms: &SaleTerms) -> v1::SaleTerms {
    v1::SaleTerms {
        cutoff_before_departure_ms: terms.cutoff_before_departure_ms,
        open_by_ms: terms.open_by_ms,
        payment_ms: terms.payment_ms,
        hard_limit_ms: terms.hard_limit_ms,
        offer_ms: terms.offer_ms,
        party_max: u32::from(terms.party_max),
        line_max: terms.line_max,
    }
}

pub(super) fn quota_policy(policy: &QuotaPolicy) -> v1::QuotaPolicy {
    let quotas = policy.quotas.iter().map(|quota| v1::Quota {
        kind: match quota.kind {
            QuotaKind::WithinAtMost => v1::quota::Kind::WithinAtMost,
            QuotaKind::KeptAtLeast => v1::quota::Kind::KeptAtLeast,
            QuotaKind::BoardingsAtMost => v1::quota::Kind::BoardingsAtMost,
        }
        .into(),
        seat_class: quota.class.map_or(0, class),
        from: u32::from(quota.section.from()),
        to: u32::from(quota.section.to()),
        steps: quota_steps(&quota.steps),
        until_ms: quota.until.map_or(0, Time::millis),
    });
    let allotments = policy.allotments.iter().map(|allotment| v1::Allotment {
        channel: u32::from(allotment.channel.code()),
        seat_class: class(allotment.class),
        from: u32::from(allotment.section.from()),
        to: u32::from(allotment.section.to()),
        steps: quota_steps(&allotment.steps),
    });
    v1::QuotaPolicy {
        version: policy.version,
        quotas: quotas.collect(),
        allotments: allotments.collect(),
        protections: policy.protections.iter().map(protection).collect(),
    }
}

fn quota_steps(steps: &[QuotaStep]) -> Vec<v1::QuotaStep> {
    steps.iter().map(|step| v1::QuotaStep { from_ms: step.from.millis(), places: u32::from(step.places) }).collect()
}

fn protection(protection: &Protection) -> v1::Protection {
    let steps = protection.steps.iter().map(|step| v1::ProtectionStep {
        from_ms: step.from.millis(),
        bid_prices: step.bid_prices.clone(),
        values: step.values.clone(),
    });
    v1::Protection { seat_class: class(protection.class), steps: steps.collect() }
}

fn class(class: SeatClass) -> u32 {
    u32::from(class.code())
}
