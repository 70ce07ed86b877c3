//! Trains, parties and commands in few words.

use domain::{Channel, EntryId, HoldId, Interval, PersonToken, Run, SeatClass, StopIndex, Time};
use inventory::{
    Answer, AssignedParts, Carriage, Command, CommandMeta, Event, Executed, HoldRequest, Passenger, Plan, PlanStop,
    QuotaPolicy, Record, Refusal, RequestId, SaleTerms, Together, TrainDate, Wish, WishId,
};

/// Sale opens here; the train departs from its origin a day later and stops every hour.
pub const OPENS: Time = Time::from_millis(1_795_651_200_000);
pub const HOUR: i64 = 3_600_000;
pub const SECOND: i64 = 1_000;

pub fn run() -> Run {
    "G71@2026-12-01".parse().unwrap()
}

/// When the train departs from a stop.
pub fn departure(stop: usize) -> Time {
    OPENS.plus_millis(24 * HOUR + stop as i64 * HOUR)
}

/// A second-class train with so many stops, 100 km apart, and one carriage of so many places in each of `carriages`.
pub fn plan(stops: usize, carriages: &[u16]) -> Plan {
    plan_of(stops, &carriages.iter().map(|&places| (SeatClass::Second, "ABC|DF", places)).collect::<Vec<_>>())
}

pub fn plan_of(stops: usize, carriages: &[(SeatClass, &str, u16)]) -> Plan {
    let stop = |i: usize| PlanStop {
        arrival: (i > 0).then(|| departure(i).plus_millis(-120 * SECOND)),
        departure: (i + 1 < stops).then(|| departure(i)),
        sale_opens: OPENS,
        km: i as u32 * 100,
    };
    let carriage = |(i, &(class, layout, places)): (usize, &(SeatClass, &str, u16))| Carriage {
        number: i as u16 + 1,
        class,
        layout: layout.to_owned(),
        places,
    };
    Plan {
        stops: (0..stops).map(stop).collect(),
        carriages: carriages.iter().enumerate().map(carriage).collect(),
        terms: SaleTerms::default(),
        standing: Vec::new(),
        quotas: QuotaPolicy::default(),
        policy_version: 1,
    }
}

pub fn interval(from: StopIndex, to: StopIndex) -> Interval {
    Interval::new(from, to).unwrap()
}

pub fn hold_id(number: u128) -> HoldId {
    HoldId { owner: number, leg: 0 }
}

pub fn person(number: u128) -> PersonToken {
    PersonToken(number.to_be_bytes())
}

pub fn wish_id(number: u128) -> WishId {
    WishId::first(EntryId::from_u128(1 << 100 | number))
}

/// A request for second class by the online channel, with persons named after the hold.
pub fn request(hold: u128, from: StopIndex, to: StopIndex, size: usize) -> HoldRequest {
    HoldRequest {
        hold: hold_id(hold),
        channel: Channel::Online,
        class: SeatClass::Second,
        interval: interval(from, to),
        passengers: (0..size as u128).map(|i| Passenger::new(person(hold << 8 | i))).collect(),
        together: Together::Preferred,
        allow_standing: false,
        allow_seat_change: false,
    }
}

pub fn wish(number: u128, from: StopIndex, to: StopIndex, size: usize) -> Wish {
    Wish {
        class: SeatClass::Second,
        interval: interval(from, to),
        persons: (0..size as u128).map(|i| person(1 << 100 | number << 8 | i)).collect(),
        standing: false,
        channel: Channel::Online,
    }
}

/// A train-date with its journal, whose every accepted command is checked in full.
#[derive(Clone)]
pub struct Train {
    pub aggregate: TrainDate,
    pub records: Vec<Record>,
    pub at: Time,
}

impl Train {
    /// On sale from [`OPENS`].
    pub fn on_sale(plan: Plan) -> Self {
        let mut train = Self { aggregate: TrainDate::new(run()), records: Vec::new(), at: OPENS };
        train.run(&Command::OpenSale { request: RequestId(1), plan: Box::new(plan) }).unwrap();
        train
    }

    pub fn run(&mut self, command: &Command) -> Result<Executed, Refusal> {
        let meta = CommandMeta::of(command, self.at);
        let before = self.aggregate.state_hash();
        let mut events: Vec<Event> = Vec::new();
        let executed = self.aggregate.execute(&meta, command, &mut events);
        if events.is_empty() {
            assert_eq!(before, self.aggregate.state_hash(), "nothing happened, and the state changed: {command:?}");
        }
        if executed.is_err() {
            assert_eq!(events, [], "a refusal leaves nothing behind: {command:?}");
        } else if !events.is_empty() {
            self.records.push(Record { run: run(), meta, trace: None, events });
        }
        self.aggregate.check_invariants().unwrap();
        executed
    }

    pub fn hold(&mut self, request: HoldRequest) -> Result<AssignedParts, Refusal> {
        match self.run(&Command::Hold(request))?.answer {
            Answer::Held(held) => Ok(held.parts),
            other => panic!("a hold answered {other:?}"),
        }
    }

    /// A hold that becomes tickets.
    pub fn sell(&mut self, request: HoldRequest) -> Result<AssignedParts, Refusal> {
        let hold = request.hold;
        let parts = self.hold(request)?;
        self.run(&Command::OpenHold { hold })?;
        self.run(&Command::Confirm { hold })?;
        Ok(parts)
    }

    pub fn release(&mut self, hold: u128) {
        self.run(&Command::Release { hold: hold_id(hold) }).unwrap();
    }

    pub fn join(&mut self, number: u128, wish: Wish) -> Result<u64, Refusal> {
        let command = Command::Join { id: wish_id(number), wish, deadline: departure(0) };
        match self.run(&command)?.answer {
            Answer::Joined { sequence } => Ok(sequence),
            other => panic!("joining answered {other:?}"),
        }
    }

    pub fn free(&self, from: StopIndex, to: StopIndex) -> u16 {
        self.aggregate.free_count(SeatClass::Second, interval(from, to))
    }

    /// The events of the last accepted command.
    pub fn last_events(&self) -> &[Event] {
        &self.records.last().unwrap().events
    }
}
