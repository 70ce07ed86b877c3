//! The seat kernel that is sold from, as a subject of the simulation: a small train of two seats and five stops.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::LazyLock;

use domain::{Channel, EntryId, HoldId, Interval, PersonToken, Run, SeatClass, Time};
use inventory::{
    Answer, Carriage, Command, CommandMeta, Event, HoldRequest, Part, Passenger, Plan, PlanStop, QuotaPolicy, Record,
    Refusal, RequestId, SaleTerms, Together, TrainDate, Wish, WishId,
};
use train_date::{Look, OwnedTrainDate, TracedCommand};

use crate::chance::Chance;
use crate::naive::NaiveRun;
use crate::subject::{Change, Decoded, Subject};
use crate::toy::three_runs_on_two_slots;

const SEATS: u16 = 2;
const STOPS: u8 = 5;
/// Sets the ids of waitlist entries apart from those of orders.
const ENTRY: u128 = 1 << 100;

static RUNS: LazyLock<Vec<Run>> = LazyLock::new(|| three_runs_on_two_slots(9_000));

impl Subject for OwnedTrainDate {
    type Naive = NaiveRun;

    fn runs() -> &'static [Run] {
        &RUNS
    }

    fn opening(id: u64) -> Option<TracedCommand> {
        Some(traced(Command::OpenSale { request: RequestId(u128::from(id)), plan: Box::new(plan()) }))
    }

    fn random_command(chance: &mut Chance, id: u64) -> TracedCommand {
        let from = chance.below(u64::from(STOPS) - 1) as u8;
        let to = chance.between(u64::from(from) + 1, u64::from(STOPS) - 1) as u8;
        let interval = Interval::new(from, to).expect("drawn in order");
        let command = match chance.below(100) {
            0..70 => hold(id, interval),
            70..95 => Command::Join { id: wish_id(id), wish: wish(id, interval), deadline: departure(0) },
            _ => Command::Release { hold: hold_id(chance.below(id + 1)) },
        };
        traced(command)
    }

    fn probe(id: u64) -> TracedCommand {
        traced(hold(id, Interval::new(0, 1).expect("in order")))
    }

    fn follow_up(chance: &mut Chance, command: &TracedCommand, _answer: &Answer, _id: u64) -> Option<TracedCommand> {
        let next = match &command.command {
            Command::Hold(request) => match chance.below(10) {
                0..6 => Command::OpenHold { hold: request.hold },
                6..9 => Command::Release { hold: request.hold },
                _ => return None,
            },
            Command::OpenHold { hold } => match chance.below(10) {
                0..5 => Command::Confirm { hold: *hold },
                5..8 => Command::Release { hold: *hold },
                _ => return None,
            },
            Command::Confirm { hold } => {
                if chance.per_mille(500) {
                    return None;
                }
                Command::Refund { hold: *hold, passengers: [0].into_iter().collect() }
            }
            Command::Join { id, .. } => match chance.below(10) {
                0..4 => Command::AcceptOffer { id: *id },
                4..7 => Command::DeclineOffer { id: *id },
                7..9 => Command::Leave { id: *id },
                _ => return None,
            },
            Command::AcceptOffer { id } => Command::Confirm { hold: id.hold() },
            _ => return None,
        };
        Some(traced(next))
    }

    fn with_other_payload(command: &TracedCommand) -> Option<TracedCommand> {
        let Command::Hold(request) = &command.command else { return None };
        let to = if request.interval.to() == STOPS - 1 { 1 } else { STOPS - 1 };
        let interval = Interval::new(0, to).expect("in order");
        (interval != request.interval).then(|| traced(Command::Hold(HoldRequest { interval, ..request.clone() })))
    }

    fn has_own_id(command: &TracedCommand) -> bool {
        matches!(command.command, Command::Hold(_) | Command::Join { .. } | Command::OpenSale { .. })
    }

    fn query() -> Look {
        Box::new(|train| Box::new(occupied(train)) as Box<dyn Any + Send>)
    }

    fn view_digest(view: Box<dyn Any + Send>) -> u64 {
        *view.downcast().expect("what the query returns")
    }

    fn answer_digest(answer: &Answer) -> u64 {
        let numbers: Vec<i64> = match answer {
            Answer::Held(held) => {
                let places =
                    held.parts.iter().map(|part| part.place.as_ref().map_or(-1, |place| i64::from(place.number)));
                places.chain([held.open_by.millis()]).collect()
            }
            Answer::Joined { sequence } => vec![sequence.cast_signed()],
            _ => Vec::new(),
        };
        digest(&numbers)
    }

    fn decode(run: &Run, payload: &[u8]) -> Result<Vec<Decoded<Self>>, String> {
        let records = inventory::encoding::decode_batch(payload).map_err(|error| error.to_string())?;
        Ok(records.into_iter().filter(|record| record.run == *run).map(decoded).collect())
    }

    fn note(naive: &mut NaiveRun, record: &Decoded<Self>, committed_at: Time) -> Result<(), String> {
        naive.has_places(SEATS);
        for change in &record.changes {
            naive.note(change, record.decided_at, committed_at)?;
        }
        naive.settled()
    }

    fn naive_digest(naive: &NaiveRun) -> u64 {
        naive.digest()
    }

    fn is_justified(naive: &NaiveRun, command: &TracedCommand, refusal: &Refusal) -> bool {
        match (refusal, &command.command) {
            (Refusal::SoldOut { .. }, Command::Hold(request)) => !naive.fits(segments(request.interval)),
            _ => true,
        }
    }

    fn overdue(naive: &NaiveRun, now: Time) -> Option<String> {
        naive.overdue(now)
    }

    fn id_of(command: &TracedCommand) -> u64 {
        match &command.command {
            Command::OpenSale { request, .. } => request.0 as u64,
            Command::Hold(request) => request.hold.owner as u64,
            Command::Join { id, .. } => id.entry.as_u128() as u64,
            _ => 0,
        }
    }
}

/// A record in the simulation's words. Only what began something bears an id: what follows repeats the hold's.
fn decoded(record: Record) -> Decoded<OwnedTrainDate> {
    let mut changes = Vec::new();
    let mut own = None;
    for event in &record.events {
        changes.extend(change(event));
        match event {
            Event::SaleOpened(_) => own = Some((named(&record.meta), Vec::new())),
            Event::Held { hold, open_by, parts } => {
                let places = parts.iter().map(|part| part.place.map_or(-1, i64::from));
                own = Some((hold.owner as u64, places.chain([open_by.millis()]).collect()));
            }
            Event::Joined { id, sequence, .. } => {
                own = Some((id.entry.as_u128() as u64, vec![sequence.cast_signed()]));
            }
            _ => {}
        }
    }
    Decoded {
        id: own.as_ref().map(|(id, _)| *id),
        answer: own.map_or(0, |(_, numbers)| digest(&numbers)),
        decided_at: record.meta.at,
        changes,
        subject: PhantomData,
    }
}

fn change(event: &Event) -> Option<Change> {
    Some(match event {
        Event::Held { hold, open_by, parts } => taken(*hold, &parts[0], *open_by, false),
        Event::Offered { id, offer_by, parts } => taken(id.hold(), &parts[0], *offer_by, true),
        Event::HoldOpened { hold, hard_limit, .. } => Change::Prolonged { hold: hold.owner as u64, until: *hard_limit },
        Event::OfferAccepted { id, hard_limit, .. } => {
            Change::Prolonged { hold: id.entry.as_u128() as u64, until: *hard_limit }
        }
        Event::Confirmed { hold } => Change::Paid { hold: hold.owner as u64 },
        Event::Released { hold } | Event::Refunded { hold, .. } => Change::GivenBack { hold: hold.owner as u64 },
        Event::OfferDeclined { id } => Change::GivenBack { hold: id.entry.as_u128() as u64 },
        Event::HoldExpired { hold } => Change::Lapsed { hold: hold.owner as u64 },
        Event::OfferExpired { id } => Change::Lapsed { hold: id.entry.as_u128() as u64 },
        Event::Joined { id, wish, .. } => {
            Change::Queued { entry: id.entry.as_u128() as u64, segments: segments(wish.interval) }
        }
        Event::Left { id, .. } => Change::LeftLine { entry: id.entry.as_u128() as u64 },
        _ => return None,
    })
}

fn taken(hold: HoldId, part: &Part, until: Time, from_line: bool) -> Change {
    let place = part.place.expect("the train sells no standing places");
    Change::Taken { hold: hold.owner as u64, place, segments: segments(part.interval), until, from_line }
}

/// What [`NaiveRun::digest`] says of the same occupation.
fn occupied(train: &TrainDate) -> u64 {
    let mut cells: Vec<(u16, u8)> = Vec::new();
    for hold in train.holds().filter(|hold| hold.stage.is_live()) {
        for part in &hold.parts {
            let place = part.place.as_ref().expect("the train sells no standing places").number;
            cells.extend((part.interval.from()..part.interval.to()).map(|segment| (place, segment)));
        }
    }
    cells.sort_unstable();
    NaiveRun::digest_of(cells.into_iter())
}

fn segments(interval: Interval) -> u64 {
    (interval.from()..interval.to()).map(|segment| 1 << segment).sum()
}

fn digest(numbers: &[i64]) -> u64 {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

fn named(meta: &CommandMeta) -> u64 {
    match meta.id {
        inventory::CommandId::Named(id) => id as u64,
        inventory::CommandId::Time | inventory::CommandId::Hold(_) => 0,
    }
}

const fn traced(command: Command) -> TracedCommand {
    TracedCommand { command, trace: None }
}

fn hold(id: u64, interval: Interval) -> Command {
    Command::Hold(HoldRequest {
        hold: hold_id(id),
        channel: Channel::Online,
        class: SeatClass::Second,
        interval,
        passengers: [Passenger::new(PersonToken(u128::from(id).to_be_bytes()))].into_iter().collect(),
        together: Together::Preferred,
        allow_standing: false,
        allow_seat_change: false,
    })
}

const fn hold_id(id: u64) -> HoldId {
    HoldId { owner: id as u128, leg: 0 }
}

const fn wish_id(id: u64) -> WishId {
    WishId::first(EntryId::from_u128(ENTRY | id as u128))
}

fn wish(id: u64, interval: Interval) -> Wish {
    Wish {
        class: SeatClass::Second,
        interval,
        persons: [PersonToken((ENTRY | u128::from(id)).to_be_bytes())].into_iter().collect(),
        standing: false,
        channel: Channel::Online,
    }
}

/// A fortnight after the world begins: nothing of a world happens near it.
fn departure(stop: u8) -> Time {
    Time::from_millis(1_797_000_000_000 + i64::from(stop) * 3_600_000)
}

fn plan() -> Plan {
    let stop = |i: u8| PlanStop {
        arrival: (i > 0).then(|| departure(i).plus_millis(-120_000)),
        departure: (i + 1 < STOPS).then(|| departure(i)),
        sale_opens: Time::from_millis(1_790_000_000_000),
        km: u32::from(i) * 100,
    };
    Plan {
        stops: (0..STOPS).map(stop).collect(),
        carriages: vec![Carriage { number: 1, class: SeatClass::Second, layout: "ABC|DF".to_owned(), places: SEATS }],
        // Short lives, so that everything that can lapse does.
        terms: SaleTerms {
            open_by_ms: 1_500,
            payment_ms: 1_500,
            hard_limit_ms: 2_000,
            offer_ms: 1_500,
            ..SaleTerms::default()
        },
        standing: Vec::new(),
        quotas: QuotaPolicy::default(),
        policy_version: 1,
    }
}
