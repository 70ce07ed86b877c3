use domain::{HoldId, Interval, Run, SeatClass, Time};

use crate::answer::Executed;
use crate::board::Board;
use crate::command::{Command, CommandMeta};
use crate::decide::Moment;
use crate::event::{Event, Record};
use crate::hold::HoldView;
use crate::line::Freed;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::sale::Sale;
use crate::seats::SeatIndex as _;

/// The aggregate of one train-date: seats, holds, quotas and the line. One writer, no clock, no chance: the same commands
/// in the same order give the same state.
///
/// A caller records [`Command::Advance`] whenever [`Self::next_timer`] has come, before it executes anything else.
#[derive(Clone, Debug)]
pub struct TrainDate {
    run: Run,
    pub(crate) now: Time,
    /// Nothing but a pointer before sale: a service date has thousands of runs nobody has touched.
    pub(crate) sale: Option<Box<Sale>>,
}

impl TrainDate {
    /// A run that is not on sale.
    pub fn new(run: Run) -> Self {
        Self { run, now: Time::default(), sale: None }
    }

    /// Decides a command, applies what it changes, and serves the line with whatever it freed. Events are appended in order;
    /// a repeated command appends none, and so does an `Advance` that changes nothing.
    ///
    /// # Errors
    /// A refusal: no event, no change.
    ///
    /// # Panics
    /// When an invariant is broken: the run must stop selling, and be loaded anew from its journal.
    pub fn execute(
        &mut self,
        meta: &CommandMeta,
        command: &Command,
        events: &mut Vec<Event>,
    ) -> Result<Executed, Refusal> {
        if self.is_repeat(meta.payload_hash, command)? {
            return Ok(Executed { answer: self.answer(command), repeated: true });
        }
        let decision = self.decide(meta, command)?;
        let repeated = decision.is_empty();
        for event in decision {
            self.apply_own(meta, &event);
            events.push(event);
        }
        self.serve_line(meta, events);
        Ok(Executed { answer: self.answer(command), repeated })
    }

    /// Applies a record of the journal: the same events give the same state.
    ///
    /// # Errors
    /// A record that does not follow from this state: the journal or this code is broken. The state is of no use then.
    pub fn replay(&mut self, record: &Record) -> Result<(), BrokenInvariant> {
        if record.run != self.run {
            return Err(crate::apply::broken("I7", format!("a record of {} for {}", record.run, self.run)));
        }
        for event in &record.events {
            self.apply(&record.meta, event)?;
        }
        self.forget_freed();
        Ok(())
    }

    /// The train-date.
    pub fn run(&self) -> Run {
        self.run
    }

    /// The aggregate's time: the last one recorded.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What is on sale, with added carriages and the quotas in force; none before sale.
    pub fn plan(&self) -> Option<&Plan> {
        self.sale.as_ref().map(|sale| &sale.plan)
    }

    /// Once sale has ended for good: whether the run was cancelled.
    pub fn closed(&self) -> Option<bool> {
        self.sale.as_ref().and_then(|sale| sale.closed)
    }

    /// When `Advance` must next be recorded: the first moment at which something expires, opens, relaxes or ends.
    pub fn next_timer(&self) -> Option<Time> {
        self.sale.as_ref().and_then(|sale| sale.next_timer(self.now))
    }

    /// How many entries wait in the line.
    pub fn waiting(&self) -> u32 {
        self.sale.as_ref().map_or(0, |sale| sale.line.waiting())
    }

    /// How many seats are free over an interval, whatever quotas say; none for a class or an interval the train has not.
    pub fn free_count(&self, class: SeatClass, interval: Interval) -> u16 {
        let Some(sale) = &self.sale else { return 0 };
        match sale.class(class) {
            Some(state) if usize::from(interval.to()) <= state.free.len() => state.seats.free_count(interval),
            _ => 0,
        }
    }

    /// How many seats are free over each interval, in the order of [`Interval::all`].
    ///
    /// # Panics
    /// When `counts` is shorter than the intervals are many.
    pub fn counts_all(&self, class: SeatClass, counts: &mut [u16]) {
        match self.sale.as_ref().and_then(|sale| sale.class(class)) {
            Some(state) => state.seats.counts_all(counts),
            None => counts.fill(0),
        }
    }

    /// What a party of one could hold now by the general online channel.
    pub fn board(&self) -> Board {
        Board::of(self.now, self.sale.as_deref())
    }

    /// The present state of a hold.
    pub fn hold(&self, id: HoldId) -> Option<HoldView> {
        let sale = self.sale.as_ref()?;
        sale.hold(id).map(|hold| sale.view(hold))
    }

    /// Every hold there ever was, in the order in which they were made.
    pub fn holds(&self) -> impl Iterator<Item = HoldView> + '_ {
        self.sale.iter().flat_map(|sale| sale.holds.iter().map(|hold| sale.view(hold)))
    }

    /// Whether anybody has a place on it. Looks at no hold: there may be a great many that have ended.
    pub fn is_taken(&self) -> bool {
        self.sale.as_ref().is_some_and(|sale| !sale.persons.is_empty())
    }

    /// How many holds and entries it remembers: what a snapshot lists.
    pub fn size(&self) -> usize {
        self.sale.as_ref().map_or(0, |sale| sale.holds.len() + sale.line.entries().len())
    }

    /// About how many bytes of memory it takes, for caches with a bound.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.sale.as_ref().map_or(0, |sale| size_of::<Sale>() + sale.heap_bytes())
    }

    /// Recomputes everything derived and compares it, and looks for an entry that could be served.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check_invariants(&self) -> Result<(), BrokenInvariant> {
        use crate::apply::broken;
        let Some(sale) = self.sale.as_deref() else { return Ok(()) };
        let anew = sale.worked_out_anew()?;
        if let Some(state) = sale.classes.iter().find(|state| !state.seats.is_consistent()) {
            return Err(broken("I1", format!("the index of class {} does not follow from its seats", state.class)));
        }
        if let Some(state) = sale.classes.iter().find(|state| state.standing_free_is_negative()) {
            return Err(broken("I1", format!("more standing tickets of class {} than places", state.class)));
        }
        if anew != *sale {
            return Err(broken("I6", "what is derived does not follow from holds and entries".to_owned()));
        }
        match sale.unserved(self.now) {
            Some(entry) => Err(broken("I4", format!("entry {:?} waits and could be served", entry.id))),
            None => Ok(()),
        }
    }

    /// Seeds the maps of this run.
    pub(crate) fn seed(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.run.to_string().as_bytes())
    }

    fn serve_line(&mut self, meta: &CommandMeta, events: &mut Vec<Event>) {
        let moment = Moment { now: self.now, from: self.now.max(meta.at) };
        while let Some(offer) = self.sale.as_ref().and_then(|sale| sale.next_offer(moment)) {
            self.apply_own(meta, &offer);
            events.push(offer);
        }
        self.forget_freed();
    }

    fn forget_freed(&mut self) {
        if let Some(sale) = &mut self.sale
            && !sale.freed.is_nothing()
        {
            sale.freed = Freed::default();
        }
    }

    /// Applies an event this state decided on.
    fn apply_own(&mut self, meta: &CommandMeta, event: &Event) {
        if let Err(broken) = self.apply(meta, event) {
            panic!("{} decided what its state does not allow: {broken}", self.run);
        }
    }
}

/// A bug: the state is not what its holds say. The run must stop selling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id}: {detail}")]
pub struct BrokenInvariant {
    /// The invariant, such as `I1`.
    pub id: &'static str,
    /// What was found.
    pub detail: String,
}
