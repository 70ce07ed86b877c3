//! One simulated world: a journal, some nodes that own slots, clients, and one scheduler that decides everything by a seed.

mod accidents;
mod clients;
mod heartbeats;
mod nodes;
mod verdict;

use std::collections::BTreeMap;

use domain::{Run, SlotId, Time};
use ownership::{Epoch, Heartbeats, Input, OfOthers, Protocol, SlotAppend, SnapshotOfRun, Ticket, Uptime, Version};

use crate::chance::Chance;
use crate::journal_model::JournalModel;
use crate::rules::{Rules, Weather};
use crate::subject::Subject;
use clients::{Answered, Delivery, Op};
use nodes::Node;

/// Accidents happen until then, in µs.
const STORM_US: u64 = 6_000_000;
/// Probes are sent then: by now everything must work again.
const PROBES_US: u64 = 13_000_000;
/// The world ends.
const END_US: u64 = 15_000_000;
/// The database's time when the world begins.
const BEGINNING: Time = Time::from_millis(1_795_651_200_000);
/// After this long without an answer a statement's outcome counts as unknown, in µs.
const STATEMENT_TIMEOUT_US: u64 = 700_000;
/// Loads may take longer: nobody's money hangs on them.
const LOAD_TIMEOUT_US: u64 = 2_500_000;

/// What came of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The same for the same seed, and hardly ever for another.
    pub trace_hash: u64,
    /// What was broken first, if anything.
    pub broken: Option<String>,
    /// What happened how often.
    pub counts: Counts,
}

/// What happened how often: whoever tests much should see that it was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands accepted.
    pub accepted: u64,
    /// Ids repeated.
    pub repeated: u64,
    /// Commands refused.
    pub refused: u64,
    /// Reads answered.
    pub viewed: u64,
    /// Requests without an answer.
    pub failed: u64,
    /// Batches fenced.
    pub fenced: u64,
    /// Batches of unknown outcome.
    pub unknown: u64,
    /// Batches that became durable after their outcome had been given up.
    pub late_commits: u64,
    /// Claims.
    pub claims: u64,
    /// Slots given up in order.
    pub given_up: u64,
    /// Runs that were in memory when their slot was claimed.
    pub warm: u64,
    /// Freezes, crashes and the like.
    pub accidents: u64,
    /// Proofs of ownership that reached a node of which another one had asked for them.
    pub proofs_shared: u64,
    /// Runs quarantined.
    pub quarantined: u64,
    /// Snapshots stored.
    pub snapshots: u64,
}

impl Counts {
    /// Adds another seed's.
    pub const fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.repeated += other.repeated;
        self.refused += other.refused;
        self.viewed += other.viewed;
        self.failed += other.failed;
        self.fenced += other.fenced;
        self.unknown += other.unknown;
        self.late_commits += other.late_commits;
        self.claims += other.claims;
        self.given_up += other.given_up;
        self.warm += other.warm;
        self.accidents += other.accidents;
        self.proofs_shared += other.proofs_shared;
        self.quarantined += other.quarantined;
        self.snapshots += other.snapshots;
    }
}

/// Lives a seed's world from beginning to end.
pub fn live<S: Subject, P: Protocol>(seed: u64, rules: Rules, trace: bool) -> Report {
    let mut world = World::<S, P>::new(seed, rules, trace);
    while world.broken.is_none() {
        let Some(((at, _), event)) = world.events.pop_first() else { break };
        if at > END_US {
            break;
        }
        world.now = at;
        world.happen(event);
    }
    if world.broken.is_none() {
        world.judge();
    }
    Report { trace_hash: world.trace_hash, broken: world.broken, counts: world.counts }
}

struct World<S: Subject, P: Protocol> {
    rules: Rules,
    weather: Weather,
    chance: Chance,
    /// In µs since the beginning.
    now: u64,
    sequence: u64,
    events: BTreeMap<(u64, u64), Event<S>>,
    journal: JournalModel,
    /// One process after the other, each with as many as the others.
    nodes: Vec<Node<S, P>>,
    /// By process.
    heartbeats: Vec<Heartbeats>,
    incarnations: u64,
    calls: u64,
    /// Which node the clients think owns a slot.
    routes: BTreeMap<SlotId, usize>,
    ops: Vec<Op<S>>,
    deliveries: Vec<Delivery>,
    /// Every acceptance in the journal: which version holds it and what it answered.
    accepted: BTreeMap<(Run, u64), (Version, u64)>,
    answered: Vec<Answered<S>>,
    /// By incarnation and slot, the last epoch that was given up.
    given_up: BTreeMap<(u64, SlotId), Epoch>,
    broken: Option<String>,
    counts: Counts,
    trace: bool,
    trace_hash: u64,
}

enum Event<S: Subject> {
    /// A node is told something; with a call, only if that call still waits for its answer.
    Tell {
        node: usize,
        incarnation: u64,
        call: Option<u64>,
        input: Box<Input<S, u64>>,
    },
    /// A node sends what has come together.
    Flush {
        node: usize,
        incarnation: u64,
    },
    Tick {
        node: usize,
        incarnation: u64,
    },
    /// A statement reaches the journal.
    Arrive {
        node: usize,
        incarnation: u64,
        call: u64,
        statement: Box<Statement>,
    },
    /// A request reaches a node.
    Request {
        node: usize,
        delivery: u64,
    },
    /// A client hears something, or has waited long enough.
    Hear {
        delivery: u64,
        heard: Heard<S>,
    },
    /// A client thinks of something.
    Think,
    /// A client asks once more.
    AskAgain {
        op: usize,
    },
    Accident,
    Restart {
        process: usize,
    },
    /// The storm is over.
    Calm,
    Probe,
}

enum Heard<S: Subject> {
    Yes(S::Answer),
    No,
    Nothing,
}

#[derive(Clone)]
enum Statement {
    Append(Vec<SlotAppend>),
    /// With whether slots are taken from others.
    Claim(Ticket, Vec<SlotId>, bool),
    CatchUp(SlotId, Ticket, Version, usize),
    GiveUp(SlotId, Epoch),
    /// About a node's own slots and those of others in the process.
    Heartbeat(Ticket, Vec<(SlotId, Epoch)>, OfOthers),
    Load(Run, Ticket, bool),
    List(SlotId, Epoch),
    Snapshot(SnapshotOfRun),
}

impl<S: Subject, P: Protocol> World<S, P> {
    fn new(seed: u64, rules: Rules, trace: bool) -> Self {
        let mut chance = Chance::of_seed(seed);
        let weather = Weather::draw(&mut chance);
        let mut world = Self {
            rules,
            weather,
            chance,
            now: 0,
            sequence: 0,
            events: BTreeMap::new(),
            journal: JournalModel::new(rules.journal),
            nodes: Vec::new(),
            heartbeats: Vec::new(),
            incarnations: 0,
            calls: 0,
            routes: BTreeMap::new(),
            ops: Vec::new(),
            deliveries: Vec::new(),
            accepted: BTreeMap::new(),
            answered: Vec::new(),
            given_up: BTreeMap::new(),
            broken: None,
            counts: Counts::default(),
            trace,
            trace_hash: seed,
        };
        for process in 0..world.weather.processes {
            world.nodes.extend((0..world.weather.lanes).map(|_| Node::down()));
            world.heartbeats.push(Heartbeats::new(world.weather.lanes));
            world.start(process);
        }
        for slot in slots::<S>() {
            let node = world.any_node_for(slot);
            world.assign(slot, node);
            world.routes.insert(slot, node);
        }
        world.open_runs();
        world.after(1_000, Event::Think);
        world.after(200_000, Event::Accident);
        world.at(STORM_US, Event::Calm);
        world.at(PROBES_US, Event::Probe);
        world
    }

    fn happen(&mut self, event: Event<S>) {
        match event {
            Event::Tell { node, incarnation, call, input } => self.tell(node, incarnation, call, input),
            Event::Flush { node, incarnation } => self.flush(node, incarnation),
            Event::Tick { node, incarnation } => self.tick(node, incarnation),
            Event::Arrive { node, incarnation, call, statement } => self.arrive(node, incarnation, call, *statement),
            Event::Request { node, delivery } => self.request(node, delivery),
            Event::Hear { delivery, heard } => self.hear(delivery, heard),
            Event::Think => self.think(),
            Event::AskAgain { op } => self.ask(op),
            Event::Accident => self.accident(),
            Event::Restart { process } => self.restart(process),
            Event::Calm => self.calm(),
            Event::Probe => self.probe(),
        }
    }

    fn after(&mut self, delay_us: u64, event: Event<S>) {
        self.at(self.now + delay_us, event);
    }

    fn at(&mut self, at: u64, event: Event<S>) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    fn database_time(&self) -> Time {
        BEGINNING.plus_millis((self.now / 1_000) as i64)
    }

    fn is_storm(&self) -> bool {
        self.now < STORM_US
    }

    /// True so often in a thousand while the storm lasts.
    fn mishap(&mut self, per_mille: u64) -> bool {
        self.is_storm() && self.chance.per_mille(per_mille)
    }

    /// How long something takes on its way, in µs.
    fn delay(&mut self) -> u64 {
        if self.mishap(self.weather.slow) {
            self.chance.between(20_000, 1_500_000)
        } else {
            self.chance.between(200, 8_000)
        }
    }

    fn breaks(&mut self, what: String) {
        if self.broken.is_none() {
            self.say(0xbad, 0, 0, || what.clone());
            self.broken = Some(what);
        }
    }

    /// Adds to the trace.
    fn say(&mut self, what: u64, one: u64, two: u64, words: impl FnOnce() -> String) {
        for number in [self.now, what, one, two] {
            self.trace_hash = (self.trace_hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        if self.trace {
            eprintln!("{:>12.3} ms  {}", self.now as f64 / 1_000.0, words());
        }
    }

    /// A process, and of its nodes the one that is a slot's.
    fn any_node_for(&mut self, slot: SlotId) -> usize {
        let process = self.chance.below(self.weather.processes as u64) as usize;
        let at = slots::<S>().iter().position(|other| *other == slot).unwrap_or_default();
        process * self.weather.lanes + at % self.weather.lanes
    }

    /// The nodes of a process.
    fn nodes_of(&self, process: usize) -> std::ops::Range<usize> {
        process * self.weather.lanes..(process + 1) * self.weather.lanes
    }

    fn uptime_of(&self, node: usize) -> Uptime {
        let node = &self.nodes[node];
        let suspended = if self.rules.shell.clock_counts_suspension { 0 } else { node.suspended_us };
        Uptime(self.now + node.booted_before_us - suspended)
    }
}

/// The slots of a subject's runs, each once.
fn slots<S: Subject>() -> Vec<SlotId> {
    let mut slots: Vec<SlotId> = S::runs().iter().map(Run::slot).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}
