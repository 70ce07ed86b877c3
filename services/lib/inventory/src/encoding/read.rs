use domain::{Channel, EntryId, HoldId, Interval, PersonToken, Run, SeatClass, ServiceDate, StopIndex, Time};
use journal_encoding::v1;
use smallvec::SmallVec;

use super::DecodeError;
use crate::command::{CommandId, CommandMeta, Wish, WishId};
use crate::event::{Event, Part, Parts, Record};
use crate::plan::{Carriage, Plan, PlanStop, SaleTerms, StandingAllowance};
use crate::policy::{Allotment, Protection, ProtectionStep, Quota, QuotaKind, QuotaPolicy, QuotaStep};

type Read<T> = Result<T, DecodeError>;

pub(super) fn record(record: &v1::Record) -> Read<Record> {
    let key = record.run.as_ref().ok_or(field("Record.run"))?;
    let meta = CommandMeta {
        id: command_id(&record.command_id)?,
        payload_hash: record.payload_hash,
        channel: channel_or_none(record.channel, "Record.channel")?,
        at: Time::from_millis(record.decided_at_ms),
        version: 0,
    };
    let trace = match record.trace_context.len() {
        0 => None,
        _ => Some(record.trace_context[..].try_into().map_err(|_| field("Record.trace_context"))?),
    };
    Ok(Record { run: run(key)?, meta, trace, events: record.events.iter().map(event).collect::<Read<_>>()? })
}

fn run(key: &v1::RunKey) -> Read<Run> {
    Ok(Run {
        train: key.train.parse().map_err(|_| field("RunKey.train"))?,
        date: ServiceDate::from_days(key.service_date).map_err(|_| field("RunKey.service_date"))?,
        ordinal: u8::try_from(key.ordinal).ok().filter(|&ordinal| ordinal > 0).ok_or(field("RunKey.ordinal"))?,
    })
}

fn command_id(bytes: &[u8]) -> Read<CommandId> {
    match bytes.len() {
        0 => Ok(CommandId::Time),
        16 => id(bytes, "Record.command_id").map(CommandId::Named),
        _ => hold_id(bytes, "Record.command_id").map(CommandId::Hold),
    }
}

fn event(event: &v1::Event) -> Read<Event> {
    use v1::event::Kind;
    Ok(match event.kind.as_ref().ok_or(field("Event.kind"))? {
        Kind::SaleOpened(opened) => Event::SaleOpened(Box::new(plan(opened)?)),
        Kind::Advanced(advanced) => Event::Advanced { to: time(advanced.to_ms) },
        Kind::Held(held) => Event::Held {
            hold: hold_id(&held.hold_id, "Held.hold_id")?,
            open_by: time(held.open_by_ms),
            parts: parts(&held.parts)?,
        },
        Kind::HoldOpened(opened) => Event::HoldOpened {
            hold: hold_id(&opened.hold_id, "HoldOpened.hold_id")?,
            pay_by: time(opened.pay_by_ms),
            hard_limit: time(opened.hard_limit_ms),
        },
        Kind::Confirmed(event) => Event::Confirmed { hold: hold_id(&event.hold_id, "Confirmed.hold_id")? },
        Kind::Released(event) => Event::Released { hold: hold_id(&event.hold_id, "Released.hold_id")? },
        Kind::HoldExpired(event) => Event::HoldExpired { hold: hold_id(&event.hold_id, "HoldExpired.hold_id")? },
        Kind::Refunded(event) => Event::Refunded {
            hold: hold_id(&event.hold_id, "Refunded.hold_id")?,
            passengers: event.passengers.iter().map(|&p| small(p, "Refunded.passengers")).collect::<Read<_>>()?,
        },
        Kind::Changed(event) => Event::Changed {
            old: hold_id(&event.old_hold_id, "Changed.old_hold_id")?,
            new: hold_id(&event.new_hold_id, "Changed.new_hold_id")?,
            parts: parts(&event.parts)?,
        },
        Kind::CapacityAdded(event) => Event::CapacityAdded { carriages: carriages(&event.carriages)? },
        Kind::QuotasSet(event) => {
            Event::QuotasSet(Box::new(quota_policy(event.quotas.as_ref().ok_or(field("QuotasSet.quotas"))?)?))
        }
        Kind::SaleClosed(event) => Event::SaleClosed { cancelled: event.cancelled },
        line => line_event(line)?,
    })
}

fn line_event(kind: &v1::event::Kind) -> Read<Event> {
    use v1::event::Kind;
    Ok(match kind {
        Kind::Joined(event) => Event::Joined {
            id: wish_id(&event.entry_id, event.choice)?,
            sequence: event.sequence,
            wish: wish(event.wish.as_ref().ok_or(field("Joined.wish"))?)?,
            deadline: time(event.deadline_ms),
        },
        Kind::Left(event) => Event::Left { id: wish_id(&event.entry_id, event.choice)?, expired: event.expired },
        Kind::Offered(event) => {
            let hold = hold_id(&event.hold_id, "Offered.hold_id")?;
            let id = wish_id(&event.entry_id, u32::from(hold.leg))?;
            if id.hold() != hold {
                return Err(field("Offered.hold_id"));
            }
            Event::Offered { id, offer_by: time(event.offer_by_ms), parts: parts(&event.parts)? }
        }
        Kind::OfferAccepted(event) => Event::OfferAccepted {
            id: wish_id(&event.entry_id, event.choice)?,
            pay_by: time(event.pay_by_ms),
            hard_limit: time(event.hard_limit_ms),
        },
        Kind::OfferDeclined(event) => Event::OfferDeclined { id: wish_id(&event.entry_id, event.choice)? },
        Kind::OfferExpired(event) => Event::OfferExpired { id: wish_id(&event.entry_id, event.choice)? },
        _ => return Err(field("Event.kind")),
    })
}

pub(super) fn plan(opened: &v1::SaleOpened) -> Read<Plan> {
    let last = opened.stops.len().saturating_sub(1);
    let stops = opened.stops.iter().enumerate().map(|(i, stop)| PlanStop {
        arrival: (i > 0).then(|| time(stop.arrival_ms)),
        departure: (i < last).then(|| time(stop.departure_ms)),
        sale_opens: time(stop.sale_opens_ms),
        km: stop.km,
    });
    let standing = opened.standing.iter().map(|allowance| {
        Ok(StandingAllowance {
            class: class(allowance.seat_class, "StandingAllowance.seat_class")?,
            places: places(allowance.places, "StandingAllowance.places")?,
        })
    });
    Ok(Plan {
        stops: stops.collect(),
        carriages: carriages(&opened.carriages)?,
        terms: terms(opened.terms.as_ref().ok_or(field("SaleOpened.terms"))?)?,
        standing: standing.collect::<Read<_>>()?,
        quotas: quota_policy(opened.quotas.as_ref().ok_or(field("SaleOpened.quotas"))?)?,
        policy_version: opened.policy_version,
    })
}

fn carriages(carriages: &[v1::Carriage]) -> Read<Vec<Carriage>> {
    let read = |carriage: &v1::Carriage| {
        Ok(Carriage {
            number: places(carriage.number, "Carriage.number")?,
            class: class(carriage.seat_class, "Carriage.seat_class")?,
            layout: carriage.layout.clone(),
            places: places(carriage.places, "Carriage.places")?,
        })
    };
    carriages.iter().map(read).collect()
}

fn terms(terms: &v1::SaleTerms) -> Read<SaleTerms> {
    Ok(SaleTerms {
        cutoff_before_departure_ms: terms.cutoff_before_departure_ms,
        open_by_ms: terms.open_by_ms,
        payment_ms: terms.payment_ms,
        hard_limit_ms: terms.hard_limit_ms,
        offer_ms: terms.offer_ms,
        party_max: small(terms.party_max, "SaleTerms.party_max")?,
        line_max: terms.line_max,
    })
}

fn quota_policy(policy: &v1::QuotaPolicy) -> Read<QuotaPolicy> {
    Ok(QuotaPolicy {
        version: policy.version,
        quotas: policy.quotas.iter().map(quota).collect::<Read<_>>()?,
        allotments: policy.allotments.iter().map(allotment).collect::<Read<_>>()?,
        protections: policy.protections.iter().map(protection).collect::<Read<_>>()?,
    })
}

fn quota(quota: &v1::Quota) -> Read<Quota> {
    Ok(Quota {
        kind: match quota.kind() {
            v1::quota::Kind::WithinAtMost => QuotaKind::WithinAtMost,
            v1::quota::Kind::KeptAtLeast => QuotaKind::KeptAtLeast,
            v1::quota::Kind::BoardingsAtMost => QuotaKind::BoardingsAtMost,
            v1::quota::Kind::Unspecified => return Err(field("Quota.kind")),
        },
        class: match quota.seat_class {
            0 => None,
            code => Some(class(code, "Quota.seat_class")?),
        },
        section: interval(quota.from, quota.to, "Quota.from")?,
        steps: quota_steps(&quota.steps)?,
        until: (quota.until_ms != 0).then(|| time(quota.until_ms)),
    })
}

fn allotment(allotment: &v1::Allotment) -> Read<Allotment> {
    Ok(Allotment {
        channel: channel_or_none(allotment.channel, "Allotment.channel")?.ok_or(field("Allotment.channel"))?,
        class: class(allotment.seat_class, "Allotment.seat_class")?,
        section: interval(allotment.from, allotment.to, "Allotment.from")?,
        steps: quota_steps(&allotment.steps)?,
    })
}

fn quota_steps(steps: &[v1::QuotaStep]) -> Read<Vec<QuotaStep>> {
    let read = |step: &v1::QuotaStep| {
        Ok(QuotaStep { from: time(step.from_ms), places: places(step.places, "QuotaStep.places")? })
    };
    steps.iter().map(read).collect()
}

fn protection(protection: &v1::Protection) -> Read<Protection> {
    let steps = protection.steps.iter().map(|step| ProtectionStep {
        from: time(step.from_ms),
        bid_prices: step.bid_prices.clone(),
        values: step.values.clone(),
    });
    Ok(Protection { class: class(protection.seat_class, "Protection.seat_class")?, steps: steps.collect() })
}

pub(super) fn wish(wish: &v1::Wish) -> Read<Wish> {
    Ok(Wish {
        class: class(wish.seat_class, "Wish.seat_class")?,
        interval: interval(wish.from, wish.to, "Wish.from")?,
        persons: wish.persons.iter().map(|bytes| person(bytes, "Wish.persons")).collect::<Read<SmallVec<_>>>()?,
        standing: wish.standing,
        channel: channel_or_none(wish.channel, "Wish.channel")?.ok_or(field("Wish.channel"))?,
    })
}

pub(super) fn parts(parts: &[v1::Part]) -> Read<Parts> {
    let read = |part: &v1::Part| {
        Ok(Part {
            class: class(part.seat_class, "Part.seat_class")?,
            place: if part.standing { None } else { Some(places(part.place, "Part.place")?) },
            interval: interval(part.from, part.to, "Part.from")?,
            passenger: small(part.passenger, "Part.passenger")?,
            person: person(&part.person, "Part.person")?,
            allotment: channel_or_none(part.allotment, "Part.allotment")?,
        })
    };
    parts.iter().map(read).collect()
}

fn wish_id(entry: &[u8], choice: u32) -> Read<WishId> {
    let entry = EntryId::from_u128(id(entry, "entry_id")?);
    Ok(WishId { entry, choice: small(choice, "choice")? })
}

fn hold_id(bytes: &[u8], name: &'static str) -> Read<HoldId> {
    HoldId::from_bytes(bytes).ok_or(field(name))
}

fn id(bytes: &[u8], name: &'static str) -> Read<u128> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| field(name))
}

fn person(bytes: &[u8], name: &'static str) -> Read<PersonToken> {
    bytes.try_into().map(PersonToken).map_err(|_| field(name))
}

fn interval(from: u32, to: u32, name: &'static str) -> Read<Interval> {
    let stop = |number: u32| StopIndex::try_from(number).map_err(|_| field(name));
    Interval::new(stop(from)?, stop(to)?).map_err(|_| field(name))
}

fn class(code: u32, name: &'static str) -> Read<SeatClass> {
    u8::try_from(code).ok().and_then(SeatClass::from_code).ok_or(field(name))
}

fn channel_or_none(code: u32, name: &'static str) -> Read<Option<Channel>> {
    match code {
        0 => Ok(None),
        code => u8::try_from(code).ok().and_then(Channel::from_code).map(Some).ok_or(field(name)),
    }
}

fn places(number: u32, name: &'static str) -> Read<u16> {
    u16::try_from(number).map_err(|_| field(name))
}

fn small(number: u32, name: &'static str) -> Read<u8> {
    u8::try_from(number).map_err(|_| field(name))
}

fn time(millis: i64) -> Time {
    Time::from_millis(millis)
}

fn field(field: &'static str) -> DecodeError {
    DecodeError::Field { field }
}
