//! One train-date, followed event by event: a second opinion on what the seat kernel decided.

mod class;
mod holds;
mod limits;
mod line;
mod name;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;

use journal_encoding::v1;
use journal_encoding::v1::event::Kind;

use crate::{Invariant, Report};
use class::Class;
use holds::{Hold, Stage};
use limits::Limits;
use line::{EntryKey, Line};
pub use name::{HoldKey, RunName};

/// A train-date as far as it was followed.
pub struct RunAudit {
    name: RunName,
    now_ms: i64,
    /// Whether it may have gone on sale before the first batch that is still there.
    purged: bool,
    sale: Option<Sale>,
}

/// What the run has been since it went on sale.
struct Sale {
    stops: Vec<Stop>,
    party_max: u32,
    standing: BTreeMap<u32, u32>,
    classes: BTreeMap<u32, Class>,
    limits: Limits,
    closed: bool,
    holds: HashMap<HoldKey, Hold>,
    /// The live hold of each person.
    persons: HashMap<Vec<u8>, HoldKey>,
    line: Line,
    /// What must end by itself, and when.
    timers: BTreeSet<(i64, Timer)>,
    /// Moments at which something may become possible by itself, in order.
    schedule: Vec<i64>,
}

/// One stop, as far as selling and limits need it.
struct Stop {
    sale_opens_ms: i64,
    /// None at the terminus.
    sale_ends_ms: Option<i64>,
    km: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Hold(HoldKey),
    Entry(EntryKey),
}

/// Where findings go, and what they are about.
struct Findings<'a> {
    run: &'a RunName,
    batch: &'a str,
    report: &'a mut Report,
}

impl Findings<'_> {
    fn found(&mut self, invariant: Invariant, what: impl Into<String>) {
        self.report.found(invariant, format_args!("{}, {}", self.run, self.batch), what);
    }
}

impl RunAudit {
    /// A run before its first event.
    pub fn new(name: RunName, purged: bool) -> Self {
        Self { name, now_ms: i64::MIN, purged, sale: None }
    }

    /// Whether every event since it went on sale was seen.
    pub fn is_followed(&self) -> bool {
        self.sale.is_some() || !self.purged
    }

    /// Follows one record.
    pub fn record(&mut self, record: &v1::Record, batch: &str, report: &mut Report) {
        let mut out = Findings { run: &self.name, batch, report };
        let before_ms = self.now_ms;
        let mut may_free = false;
        let mut joined = Vec::new();
        for event in &record.events {
            let Some(kind) = &event.kind else {
                out.found(Invariant::I7, "an event says nothing that this version knows");
                continue;
            };
            match (kind, &mut self.sale) {
                (Kind::Advanced(advanced), _) => {
                    if advanced.to_ms < self.now_ms {
                        out.found(
                            Invariant::I7,
                            format!("time goes back from {} to {} ms", self.now_ms, advanced.to_ms),
                        );
                    }
                    self.now_ms = self.now_ms.max(advanced.to_ms);
                }
                (Kind::SaleOpened(opened), sale @ None) => *sale = Some(Sale::open(opened)),
                (Kind::SaleOpened(_), Some(_)) => out.found(Invariant::I5, "went on sale twice"),
                (_, None) if self.purged => {}
                (_, None) => out.found(Invariant::I7, "an event before it went on sale"),
                (kind, Some(sale)) => {
                    may_free |= may_make_room(kind);
                    joined.extend(line::joined(kind));
                    sale.event(kind, record.channel, self.now_ms, &mut out);
                }
            }
        }
        let Some(sale) = &mut self.sale else { return };
        if self.now_ms > before_ms {
            sale.check_deadlines(self.now_ms, &mut out);
            may_free |= sale.schedule.iter().any(|&moment| before_ms < moment && moment <= self.now_ms);
        }
        sale.check_nobody_waits_in_vain(self.now_ms, may_free, &joined, &mut out);
    }

    /// Confirmed holds with the passengers who have their tickets, one bit each, and the stops they were accepted for.
    pub fn confirmed(&self) -> impl Iterator<Item = (HoldKey, u64, (u32, u32))> + '_ {
        let holds = self.sale.iter().flat_map(|sale| &sale.holds);
        holds
            .filter(|(_, hold)| hold.stage == Stage::Confirmed)
            .map(|(id, hold)| (*id, hold.travelling(), hold.stops()))
    }

    /// Holds and offers that are not tickets yet, by their deadlines.
    pub fn open(&self) -> impl Iterator<Item = (i64, HoldKey)> + '_ {
        let timers = self.sale.iter().flat_map(|sale| &sale.timers);
        timers.filter_map(|(deadline, timer)| match timer {
            Timer::Hold(id) => Some((*deadline, *id)),
            Timer::Entry(_) => None,
        })
    }
}

/// Whether an event may make something possible that was not.
fn may_make_room(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Released(_)
            | Kind::HoldExpired(_)
            | Kind::Refunded(_)
            | Kind::Changed(_)
            | Kind::CapacityAdded(_)
            | Kind::QuotasSet(_)
            | Kind::OfferDeclined(_)
            | Kind::OfferExpired(_)
    )
}

impl Sale {
    fn open(opened: &v1::SaleOpened) -> Self {
        let terms = opened.terms.unwrap_or_default();
        let last = opened.stops.len().saturating_sub(1);
        let stops = opened.stops.iter().enumerate().map(|(index, stop)| Stop {
            sale_opens_ms: stop.sale_opens_ms,
            sale_ends_ms: (index < last).then(|| stop.departure_ms - i64::from(terms.cutoff_before_departure_ms)),
            km: stop.km,
        });
        let mut sale = Self {
            stops: stops.collect(),
            party_max: terms.party_max,
            standing: opened.standing.iter().map(|allowance| (allowance.seat_class, allowance.places)).collect(),
            classes: BTreeMap::new(),
            limits: Limits::new(opened.quotas.clone().unwrap_or_default()),
            closed: false,
            holds: HashMap::new(),
            persons: HashMap::new(),
            line: Line::default(),
            timers: BTreeSet::new(),
            schedule: Vec::new(),
        };
        sale.add_carriages(&opened.carriages);
        sale.set_schedule();
        sale
    }

    fn segments(&self) -> usize {
        self.stops.len().saturating_sub(1)
    }

    fn add_carriages(&mut self, carriages: &[v1::Carriage]) {
        let segments = self.segments();
        for carriage in carriages {
            let standing = self.standing.get(&carriage.seat_class).copied().unwrap_or(0);
            let class = self.classes.entry(carriage.seat_class).or_insert_with(|| Class::new(segments, standing));
            class.add_places(carriage.places);
        }
    }

    fn set_schedule(&mut self) {
        self.schedule = self.limits.moments().collect();
        self.schedule.extend(self.stops.iter().map(|stop| stop.sale_opens_ms));
    }

    fn event(&mut self, kind: &Kind, channel: u32, now_ms: i64, out: &mut Findings<'_>) {
        match kind {
            Kind::Held(held) => {
                let id = hold_key(&held.hold_id, out);
                self.make_hold(id, Stage::Held, held.open_by_ms, &held.parts, channel, None, now_ms, out);
            }
            Kind::HoldOpened(opened) => {
                let id = hold_key(&opened.hold_id, out);
                self.move_on(id, &[Stage::Held], Stage::Opened, Some(opened.hard_limit_ms), out);
            }
            Kind::Confirmed(confirmed) => {
                let id = hold_key(&confirmed.hold_id, out);
                self.move_on(id, &[Stage::Opened], Stage::Confirmed, None, out);
            }
            Kind::Released(released) => {
                let id = hold_key(&released.hold_id, out);
                self.end(id, &[Stage::Held, Stage::Opened], out);
            }
            Kind::HoldExpired(expired) => {
                let id = hold_key(&expired.hold_id, out);
                self.check_not_early(id, now_ms, out);
                self.end(id, &[Stage::Held, Stage::Opened], out);
            }
            Kind::Refunded(refunded) => {
                self.refund(hold_key(&refunded.hold_id, out), &refunded.passengers, out);
            }
            Kind::Changed(changed) => {
                let (old, new) = (hold_key(&changed.old_hold_id, out), hold_key(&changed.new_hold_id, out));
                self.change(old, new, &changed.parts, channel, now_ms, out);
            }
            Kind::CapacityAdded(added) => self.add_carriages(&added.carriages),
            Kind::QuotasSet(set) => {
                self.limits = Limits::new(set.quotas.clone().unwrap_or_default());
                for hold in self.holds.values().filter(|hold| hold.stage.is_live()) {
                    hold.tickets().for_each(|ticket| self.limits.add(&ticket));
                }
                self.set_schedule();
            }
            Kind::SaleClosed(_) => {
                self.closed = true;
                self.line.dissolve();
                self.timers.retain(|(_, timer)| matches!(timer, Timer::Hold(_)));
            }
            _ => self.line_event(kind, now_ms, out),
        }
    }

    /// Whatever has a deadline that the recorded time has passed must have ended in the same record.
    fn check_deadlines(&mut self, now_ms: i64, out: &mut Findings<'_>) {
        while let Some(&(deadline, timer)) = self.timers.first().filter(|(deadline, _)| *deadline <= now_ms) {
            self.timers.pop_first();
            let what = match timer {
                Timer::Hold(id) => format!("hold {id}"),
                Timer::Entry(id) => format!("waitlist entry {id}"),
            };
            out.found(Invariant::I3, format!("{what} lives on at {now_ms} ms, its deadline was {deadline} ms"));
        }
    }

    fn check_not_early(&self, id: HoldKey, now_ms: i64, out: &mut Findings<'_>) {
        if let Some(deadline) =
            self.holds.get(&id).and_then(|hold| hold.deadline_ms).filter(|&deadline| now_ms < deadline)
        {
            out.found(Invariant::I3, format!("hold {id} expires at {now_ms} ms, before its deadline of {deadline} ms"));
        }
    }

    /// The class of a part or wish.
    fn class(&self, class: u32) -> Option<&Class> {
        self.classes.get(&class)
    }

    /// Whether a stop sells at a moment.
    fn sells(&self, stop: u32, now_ms: i64) -> bool {
        let stop = self.stops.get(stop as usize);
        let open =
            stop.is_some_and(|stop| stop.sale_opens_ms <= now_ms && stop.sale_ends_ms.is_some_and(|end| now_ms < end));
        open && !self.closed
    }
}

fn hold_key(bytes: &[u8], out: &mut Findings<'_>) -> HoldKey {
    HoldKey::from_bytes(bytes).unwrap_or_else(|| {
        out.found(Invariant::I7, format!("a hold id of {} bytes", bytes.len()));
        HoldKey::default()
    })
}

/// A hold that is not in the stage that an event needs: gone when it is needed, or never there.
fn wrong_stage(id: HoldKey, stage: Option<Stage>, event: impl Display, out: &mut Findings<'_>) {
    match stage {
        // What has freed its seats cannot have them again: someone else may.
        Some(stage) if !stage.is_live() => out.found(Invariant::I1, format!("hold {id} {event} after it was {stage}")),
        Some(stage) => out.found(Invariant::I7, format!("hold {id} {event} while it was {stage}")),
        None => out.found(Invariant::I7, format!("hold {id} {event} and was never made")),
    }
}
