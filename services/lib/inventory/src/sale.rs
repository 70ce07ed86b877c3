use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{HoldId, Interval, PersonToken, SeatClass, StopIndex, Time};

use crate::answer::{Assigned, AssignedParts};
use crate::class_state::ClassState;
use crate::event::Part;
use crate::hash::Keyed;
use crate::hold::{Hold, HoldView, tickets};
use crate::limits::{Asked, Limits, moments};
use crate::line::{Entry, EntryStage, Freed, Line};
use crate::plan::{Carriage, Plan};
use crate::refusal::Refusal;
use crate::shared_list::SharedList;
use crate::train_date::BrokenInvariant;

/// A train-date on sale. `plan`, `closed`, `requests`, `holds` and the line's entries are the state; everything else follows
/// from them and is kept to answer fast.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sale {
    /// With carriages that were added, and the quotas in force.
    pub plan: Plan,
    /// Once sale has ended for good: whether the run was cancelled.
    pub closed: Option<bool>,
    /// Operators' requests that were accepted, with their payload hashes.
    pub requests: BTreeMap<u128, u64>,
    /// Every hold there ever was, in the order in which they were made.
    pub holds: SharedList<Hold>,
    pub line: Line,

    pub classes: Vec<ClassState>,
    pub holds_by_id: HashMap<HoldId, u32, Keyed>,
    /// The live hold of each person.
    pub persons: HashMap<PersonToken, u32, Keyed>,
    pub limits: Limits,
    /// What ends by itself, and when.
    pub timers: BTreeSet<(Time, Timer)>,
    /// Every moment at which selling changes by itself: openings, ends of sale, steps of limits; in order.
    pub schedule: Vec<Time>,
    /// Holds that are offers, by index.
    pub offered: BTreeSet<u32>,
    pub freed: Freed,
}

/// What ends by itself, in one word: every hold sets a timer, and sets are searched by comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer(u64);

/// What a timer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timed {
    /// A hold or an offer, by index.
    Hold(u32),
    /// A waiting entry, by sequence.
    Entry(u64),
}

impl Timer {
    /// Set in the timers of entries: at the same moment holds end first.
    const ENTRY: u64 = 1 << 63;

    pub fn of_hold(index: u32) -> Self {
        Self(u64::from(index))
    }

    pub fn of_entry(sequence: u64) -> Self {
        Self(Self::ENTRY | sequence)
    }

    pub fn timed(self) -> Timed {
        match self.0 & Self::ENTRY {
            0 => Timed::Hold(self.0 as u32),
            _ => Timed::Entry(self.0 & !Self::ENTRY),
        }
    }
}

impl Sale {
    /// A plan that was checked goes on sale.
    pub fn open(plan: Plan, keyed: Keyed) -> Self {
        let mut sale = Self {
            closed: None,
            requests: BTreeMap::new(),
            holds: SharedList::new(),
            line: Line::new(keyed),
            classes: Vec::new(),
            holds_by_id: HashMap::with_hasher(keyed),
            persons: HashMap::with_hasher(keyed),
            limits: Limits::new(&plan.quotas, std::iter::empty()),
            timers: BTreeSet::new(),
            schedule: Vec::new(),
            offered: BTreeSet::new(),
            freed: Freed::default(),
            plan,
        };
        let carriages = sale.plan.carriages.clone();
        sale.add_carriages(&carriages);
        sale.set_schedule();
        sale
    }

    /// Takes up all holds and entries of a state that was written or copied, and works out what follows from them.
    ///
    /// # Errors
    /// Holds that cannot all be.
    pub fn take_up(&mut self, holds: SharedList<Hold>, entries: SharedList<Entry>) -> Result<(), BrokenInvariant> {
        self.holds_by_id.reserve(holds.len());
        for (index, hold) in holds.iter().enumerate() {
            self.take_places(hold, index as u32, None)?;
        }
        self.holds = holds;
        let waiting = entries.iter().filter(|entry| entry.stage == EntryStage::Waiting);
        self.timers.extend(waiting.map(|entry| (entry.deadline, Timer::of_entry(entry.sequence))));
        self.line = Line::of(entries, *self.holds_by_id.hasher());
        Ok(())
    }

    /// The same state, with everything that follows from holds and entries worked out anew.
    ///
    /// # Errors
    /// Holds that cannot all be.
    pub fn worked_out_anew(&self) -> Result<Self, BrokenInvariant> {
        let mut anew = Self::open(self.plan.clone(), *self.holds_by_id.hasher());
        anew.closed = self.closed;
        anew.requests = self.requests.clone();
        anew.take_up(self.holds.clone(), self.line.entries().clone())?;
        Ok(anew)
    }

    /// Adds the places of carriages that are part of the plan by now.
    pub fn add_carriages(&mut self, carriages: &[Carriage]) {
        for carriage in carriages {
            self.class_or_new(carriage.class).add_carriage(carriage);
        }
    }

    fn class_or_new(&mut self, class: SeatClass) -> &mut ClassState {
        let at = match self.classes.binary_search_by_key(&class, |state| state.class) {
            Ok(at) => at,
            Err(at) => {
                let allowance = self.plan.standing.iter().find(|allowance| allowance.class == class);
                let standing = allowance.map_or(0, |allowance| allowance.places);
                self.classes.insert(at, ClassState::new(class, self.segments(), standing));
                at
            }
        };
        &mut self.classes[at]
    }

    /// Recomputes the moments at which selling changes by itself.
    pub fn set_schedule(&mut self) {
        let mut schedule: Vec<Time> = moments(&self.plan.quotas).collect();
        schedule.extend(self.plan.stops.iter().map(|stop| stop.sale_opens));
        schedule.extend((0..self.segments()).filter_map(|stop| self.sale_ends(stop)));
        schedule.sort_unstable();
        schedule.dedup();
        self.schedule = schedule;
    }

    /// How many segments the train has.
    pub fn segments(&self) -> u8 {
        (self.plan.stops.len() - 1) as u8
    }

    /// The state of a class, if the train has it.
    pub fn class(&self, class: SeatClass) -> Option<&ClassState> {
        self.classes.iter().find(|state| state.class == class)
    }

    /// When sale ends for passengers who board at a stop; none at the terminus.
    pub fn sale_ends(&self, stop: StopIndex) -> Option<Time> {
        let departure = self.plan.stops[usize::from(stop)].departure?;
        Some(departure.plus_millis(-i64::from(self.plan.terms.cutoff_before_departure_ms)))
    }

    /// Whether a stop sells now.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check_selling(&self, stop: StopIndex, now: Time) -> Result<(), Refusal> {
        if self.closed.is_some() {
            return Err(Refusal::Closed);
        }
        let opens = self.plan.stops[usize::from(stop)].sale_opens;
        if now < opens {
            return Err(Refusal::NotOnSaleUntil(opens));
        }
        match self.sale_ends(stop) {
            Some(end) if now < end => Ok(()),
            Some(end) => Err(Refusal::SaleEnded(end)),
            None => Err(Refusal::NoSuchStop { stop: stop + 1, stops: self.plan.stops.len() as u8 }),
        }
    }

    /// A question to the limits.
    pub fn asked<'a>(
        &'a self,
        class: &'a ClassState,
        interval: Interval,
        channel: domain::Channel,
        at: Time,
    ) -> Asked<'a> {
        Asked { plan: &self.plan, classes: &self.classes, class, interval, channel, at }
    }

    /// The index of a hold.
    pub fn find(&self, id: HoldId) -> Option<u32> {
        // The one just made is asked for most.
        if self.holds.last().is_some_and(|hold| hold.id == id) {
            return Some(self.holds.len() as u32 - 1);
        }
        self.holds_by_id.get(&id).copied()
    }

    /// A hold by its id.
    pub fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.find(id).map(|index| &self.holds[index as usize])
    }

    /// Recounts the tickets that quotas count.
    pub fn recount_limits(&mut self) {
        let live = self.holds.iter().flat_map(|hold| tickets(hold.live_parts()));
        self.limits = Limits::new(&self.plan.quotas, live);
    }

    /// The next moment after `now` at which something changes by itself, or a moment that has come for something to end.
    pub fn next_timer(&self, now: Time) -> Option<Time> {
        let next = self.schedule.partition_point(|&moment| moment <= now);
        let scheduled = self.schedule.get(next).copied();
        let ending = self.timers.first().map(|&(time, _)| time);
        scheduled.into_iter().chain(ending).min()
    }

    /// A hold as callers see it.
    pub fn view(&self, hold: &Hold) -> HoldView {
        HoldView {
            id: hold.id,
            stage: hold.stage,
            deadline: hold.deadline(),
            pay_by: hold.payment.map(|payment| payment.pay_by),
            parts: self.assigned(&hold.parts),
            refunded: (0..hold.passengers()).filter(|&passenger| hold.is_refunded(passenger)).collect(),
        }
    }

    /// Parts with their places as printed on tickets.
    pub fn assigned(&self, parts: &[Part]) -> AssignedParts {
        let several = |passenger| parts.iter().filter(|part| part.passenger == passenger).nth(1).is_some();
        let assigned = |part: &Part| Assigned {
            passenger: part.passenger,
            class: part.class,
            interval: part.interval,
            place: part.place.and_then(|place| Some(self.class(part.class)?.map.place(place))),
            seat_change: several(part.passenger),
        };
        parts.iter().map(assigned).collect()
    }

    /// About how many bytes it owns elsewhere.
    pub fn heap_bytes(&self) -> usize {
        /// A node of a tree or a bucket of a map, beside what it holds.
        const LINK: usize = 16;
        let map = |entries: usize, entry: usize| entries * (entry + LINK);
        let parts: usize = self.holds.iter().filter(|hold| hold.parts.spilled()).map(|hold| hold.parts.len()).sum();
        let steps: usize = self
            .plan
            .quotas
            .protections
            .iter()
            .flat_map(|protection| &protection.steps)
            .map(|step| (step.bid_prices.capacity() + step.values.capacity()) * size_of::<u32>())
            .sum();
        self.plan.stops.capacity() * size_of::<crate::plan::PlanStop>()
            + self.plan.carriages.capacity() * (size_of::<Carriage>() + LINK)
            + steps
            + self.classes.iter().map(ClassState::heap_bytes).sum::<usize>()
            + self.holds.heap_bytes()
            + parts * size_of::<Part>()
            + map(self.holds_by_id.capacity(), size_of::<(HoldId, u32)>())
            + map(self.persons.capacity(), size_of::<(PersonToken, u32)>())
            + map(self.timers.len(), size_of::<(Time, Timer)>())
            + self.schedule.capacity() * size_of::<Time>()
            + self.line.heap_bytes()
    }
}
