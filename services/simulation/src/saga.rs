//! Orders and money in a simulated world: the very decisions that order and payment run, the seat kernel, and a provider
//! among lost, late and repeated messages, transactions of unknown outcome, and processes that die at any step.
//!
//! The world runs the services' shells as tasks of its own executor, one at a time, in an order that the seed decides.
//! What comes of it is judged by the provider's money and the shards' seats alone.

mod clients;
mod clocks;
mod executor;
mod faults;
mod orders;
mod payments;
mod provider;
mod rules;
mod shards;
mod verdict;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use domain::Time;

use crate::chance::Chance;
use executor::{Executor, Role};
use faults::{STORM_MS, Weather};

pub use faults::{Fault, Met, Step};
pub use rules::{SAGA_DEFECTS, SOUND_SAGA, SagaDefect, SagaRules};

/// A minute without faults is what the saga has to come to its end, once the last hard limit is past (I3). The last client
/// orders well before the storm ends; only new seats of a change may be held as late as that.
const CALM_MS: i64 = 60_000;

/// What came of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaReport {
    /// The same for the same seed, and hardly ever for another.
    pub trace_hash: u64,
    /// What was broken first, if anything.
    pub broken: Option<String>,
    /// What happened how often.
    pub counts: SagaCounts,
}

/// What happened how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SagaCounts {
    /// Orders recorded.
    pub orders: u64,
    /// Orders that became tickets, each time they did.
    pub confirmed: u64,
    /// Changes that came to other tickets.
    pub changed: u64,
    /// Changes that came to nothing: the old tickets stayed good.
    pub not_changed: u64,
    /// Clocks that jumped.
    pub clock_jumps: u64,
    /// Faults by step.
    pub met: Met,
}

impl SagaCounts {
    /// Adds another seed's.
    pub fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.confirmed += other.confirmed;
        self.changed += other.changed;
        self.not_changed += other.not_changed;
        self.clock_jumps += other.clock_jumps;
        self.met.add(&other.met);
    }
}

impl SagaDefect {
    /// Lives a seed's world with this defect.
    pub fn live(&self, seed: u64, trace: bool) -> SagaReport {
        let world = World::new(seed, self.rules, trace);
        // A broken invariant of the decisions themselves panics; that is a find like any other.
        let lived = catch_unwind(AssertUnwindSafe(|| {
            clients::arrive(&world);
            clocks::begin(&world);
            while world.broken.borrow().is_none() && world.go_on(STORM_MS) {}
            let end_ms = STORM_MS + CALM_MS + world.seats_may_stand_ms();
            while world.broken.borrow().is_none() && world.go_on(end_ms) {}
        }));
        match lived {
            Ok(()) if world.broken.borrow().is_none() => world.judge(),
            Ok(()) => {}
            Err(_) => world.broken(|| "a decision broke its own invariant".to_owned()),
        }
        world.stop();
        let broken = world.broken.borrow_mut().take();
        let counts = world.counts.borrow().clone();
        SagaReport { trace_hash: world.trace_hash(), broken, counts }
    }

    /// How the command line names this world.
    pub fn arguments(&self) -> String {
        if self.name == SOUND_SAGA.name { " --saga".to_owned() } else { format!(" --saga --defect {}", self.name) }
    }
}

struct World {
    rules: SagaRules,
    weather: Weather,
    beginning: Time,
    executor: RefCell<Executor>,
    shards: RefCell<shards::Shards>,
    orders: RefCell<orders::OrderRows>,
    payments: RefCell<payments::PaymentRows>,
    provider: RefCell<provider::Provider>,
    answers: RefCell<verdict::Answers>,
    broken: RefCell<Option<String>>,
    counts: RefCell<SagaCounts>,
}

impl World {
    fn new(seed: u64, rules: SagaRules, trace: bool) -> Rc<Self> {
        let mut chance = Chance::of_seed(seed);
        let weather = Weather::draw(&mut chance);
        let beginning = executor::BEGINNING;
        let world = Rc::new(Self {
            rules,
            weather,
            beginning,
            executor: RefCell::new(Executor::new(chance, seed, trace)),
            shards: RefCell::new(shards::Shards::new(beginning)),
            orders: RefCell::default(),
            payments: RefCell::default(),
            provider: RefCell::default(),
            answers: RefCell::default(),
            broken: RefCell::default(),
            counts: RefCell::default(),
        });
        for role in Role::ALL {
            world.start(role);
        }
        world
    }
}
