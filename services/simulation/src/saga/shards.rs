//! The shards as the saga sees them: the seat kernel itself on two small trains, durable at once. What may go wrong between
//! a kernel and its journal is the other simulation's subject.

use std::collections::BTreeMap;

use domain::{Channel, HoldId, Interval, PersonToken, Run, SeatClass, Time};
use inventory::{
    Answer, Carriage, Command, CommandMeta, HoldRequest, HoldStage, Passenger, Plan, PlanStop, QuotaPolicy, Refusal,
    RequestId, SaleTerms, Together, TrainDate,
};

use super::World;

/// Few, so that seats are fought for.
const SEATS: u16 = 5;
/// The date of the trains that are ordered, in days after the epoch.
const DATE: i32 = 20_800;
/// How long a hold waits for its order, in ms.
const OPEN_BY_MS: u32 = 10_000;
/// How long an order waits for its payment, in ms.
const PAYMENT_MS: u32 = 40_000;
/// When the seats are freed whatever else failed, in ms.
pub(super) const HARD_LIMIT_MS: u32 = 60_000;

/// All trains.
pub(super) struct Shards(BTreeMap<Run, TrainDate>);

impl Shards {
    /// The trains on sale.
    pub fn new(now: Time) -> Self {
        let open = |(number, day): (u32, i32)| {
            let date = domain::ServiceDate::from_days(DATE + day).expect("a date of 2026");
            let run = Run::first(format!("G{number}").parse().expect("a train code"), date);
            let mut train = TrainDate::new(run);
            let command = Command::OpenSale { request: RequestId(u128::from(number)), plan: Box::new(plan(now, run)) };
            train.execute(&CommandMeta::of(&command, now), &command, &mut Vec::new()).expect("the plan is sound");
            (run, train)
        };
        Self([(1, 0), (2, 0), (1, 1)].map(open).into())
    }

    /// The runs that are ordered: those of the first date.
    pub fn runs(&self) -> Vec<Run> {
        self.0.keys().copied().filter(|run| run.date.days() == DATE).collect()
    }

    /// The runs that tickets are changed to: one of another date too.
    pub fn all_runs(&self) -> Vec<Run> {
        self.0.keys().copied().collect()
    }

    /// Every hold that still has seats: how many, and whether they are tickets.
    pub fn live(&mut self, now: Time) -> Vec<(HoldId, usize, bool)> {
        let mut live = Vec::new();
        for train in self.0.values_mut() {
            advance(train, now);
            for hold in train.holds().filter(|hold| hold.stage.is_live()) {
                let seats = hold.parts.iter().filter(|part| !hold.refunded.contains(&part.passenger)).count();
                live.push((hold.id, seats, hold.stage == HoldStage::Confirmed));
            }
        }
        live
    }
}

impl World {
    /// Has a shard carry out a command, after what time has brought about.
    pub(super) fn at_shard(&self, run: Run, command: &Command) -> Result<Answer, Refusal> {
        let now = self.time();
        let mut shards = self.shards.borrow_mut();
        let train = shards.0.get_mut(&run).expect("a train of this world");
        advance(train, now);
        let done = train.execute(&CommandMeta::of(command, now), command, &mut Vec::new());
        self.note("shard", u64::from(done.is_ok()), || {
            let refused = done.as_ref().err().map_or_else(String::new, |refusal| format!(": refused, {refusal:?}"));
            format!("{run} {command:?}{refused}")
        });
        done.map(|executed| executed.answer)
    }

    /// Where a hold stands.
    pub(super) fn stage(&self, run: Run, hold: HoldId) -> Option<HoldStage> {
        let now = self.time();
        let mut shards = self.shards.borrow_mut();
        let train = shards.0.get_mut(&run).expect("a train of this world");
        advance(train, now);
        train.hold(hold).map(|hold| hold.stage)
    }
}

fn advance(train: &mut TrainDate, to: Time) {
    let command = Command::Advance { to };
    train.execute(&CommandMeta::of(&command, to), &command, &mut Vec::new()).expect("time always moves");
}

/// Asks for seats of these passengers from the first stop to the last.
pub(super) fn hold_request(hold: HoldId, documents: &[[u8; 16]]) -> Command {
    Command::Hold(HoldRequest {
        hold,
        channel: Channel::Online,
        class: SeatClass::Second,
        interval: whole(),
        passengers: documents.iter().map(|document| Passenger::new(PersonToken(*document))).collect(),
        together: Together::Preferred,
        allow_standing: false,
        allow_seat_change: false,
    })
}

/// The whole way.
pub(super) fn whole() -> Interval {
    Interval::new(0, 1).expect("in order")
}

/// A day after the world begins, or as many more as the run's date is later.
pub(super) fn departure(beginning: Time, run: Run) -> Time {
    beginning.plus_millis(86_400_000 * i64::from(1 + run.date.days() - DATE))
}

fn plan(now: Time, run: Run) -> Plan {
    let stop = |arrival: Option<Time>, departure: Option<Time>, km| PlanStop {
        arrival,
        departure,
        sale_opens: now.plus_millis(-1_000),
        km,
    };
    let departs = departure(now, run);
    Plan {
        stops: vec![stop(None, Some(departs), 0), stop(Some(departs.plus_millis(3_600_000)), None, 100)],
        carriages: vec![Carriage { number: 1, class: SeatClass::Second, layout: "ABC|DF".to_owned(), places: SEATS }],
        terms: SaleTerms {
            open_by_ms: OPEN_BY_MS,
            payment_ms: PAYMENT_MS,
            hard_limit_ms: HARD_LIMIT_MS,
            ..SaleTerms::default()
        },
        standing: Vec::new(),
        quotas: QuotaPolicy::default(),
        policy_version: 1,
    }
}
