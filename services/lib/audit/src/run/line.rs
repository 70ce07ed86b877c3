use std::collections::{BTreeMap, HashMap};
use std::fmt;

use journal_encoding::v1;
use journal_encoding::v1::event::Kind;
use uuid::Uuid;

use super::holds::Stage;
use super::limits::{Asked, Ticket};
use super::{Findings, HoldKey, Sale, Timer, hold_key};
use crate::Invariant;

/// One choice of a waitlist entry on a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey {
    entry: u128,
    choice: u32,
}

impl EntryKey {
    fn of(entry_id: &[u8], choice: u32) -> Option<Self> {
        Some(Self { entry: u128::from_be_bytes(entry_id.try_into().ok()?), choice })
    }

    /// The hold that an offer to it makes.
    fn hold(self) -> HoldKey {
        HoldKey { owner: self.entry, leg: self.choice as u8 }
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Uuid::from_u128(self.entry), self.choice)
    }
}

/// The line of a run.
#[derive(Default)]
pub struct Line {
    entries: HashMap<EntryKey, Entry>,
    last_sequence: u64,
    /// Who waits, by what they wish and then by sequence: of equal wishes the first stands for all.
    waiting: BTreeMap<Bucket, BTreeMap<u64, EntryKey>>,
}

struct Entry {
    sequence: u64,
    wish: v1::Wish,
    deadline_ms: i64,
    stage: EntryStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryStage {
    Waiting,
    Offered,
    /// It left, took its offer or lost it.
    Gone,
}

/// What equal wishes have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bucket {
    class: u32,
    from: u32,
    to: u32,
    party: u32,
    standing: bool,
    channel: u32,
}

impl Bucket {
    fn of(wish: &v1::Wish) -> Self {
        Self {
            class: wish.seat_class,
            from: wish.from,
            to: wish.to,
            party: wish.persons.len() as u32,
            standing: wish.standing,
            channel: wish.channel,
        }
    }
}

/// The entry that an event lets join.
pub fn joined(kind: &Kind) -> Option<EntryKey> {
    match kind {
        Kind::Joined(joined) => EntryKey::of(&joined.entry_id, joined.choice),
        _ => None,
    }
}

impl Line {
    /// Everyone who waits goes home.
    pub fn dissolve(&mut self) {
        let waiting = self.entries.values_mut().filter(|entry| entry.stage == EntryStage::Waiting);
        waiting.for_each(|entry| entry.stage = EntryStage::Gone);
        self.waiting.clear();
    }

    fn leave_queue(&mut self, key: EntryKey) {
        if let Some(entry) = self.entries.get(&key) {
            let bucket = Bucket::of(&entry.wish);
            if let Some(queue) = self.waiting.get_mut(&bucket) {
                queue.remove(&entry.sequence);
                if queue.is_empty() {
                    self.waiting.remove(&bucket);
                }
            }
        }
    }
}

impl Sale {
    /// An event of the line.
    pub(super) fn line_event(&mut self, kind: &Kind, now_ms: i64, out: &mut Findings<'_>) {
        match kind {
            Kind::Joined(joined) => self.join(joined, out),
            Kind::Left(left) => {
                if let Some(key) = self.entry_in(&left.entry_id, left.choice, EntryStage::Waiting, "leaves", out) {
                    let deadline = self.line.entries[&key].deadline_ms;
                    if left.expired && now_ms < deadline {
                        let what = format!(
                            "waitlist entry {key} expires at {now_ms} ms, before its deadline of {deadline} ms"
                        );
                        out.found(Invariant::I3, what);
                    }
                    self.set_stage(key, EntryStage::Gone);
                }
            }
            Kind::Offered(offered) => self.offer(offered, now_ms, out),
            Kind::OfferAccepted(taken) => {
                if let Some(key) =
                    self.entry_in(&taken.entry_id, taken.choice, EntryStage::Offered, "takes an offer", out)
                {
                    self.set_stage(key, EntryStage::Gone);
                    self.move_on(key.hold(), &[Stage::Offered], Stage::Opened, Some(taken.hard_limit_ms), out);
                }
            }
            Kind::OfferDeclined(declined) => {
                let (id, choice) = (&declined.entry_id, declined.choice);
                if let Some(key) = self.entry_in(id, choice, EntryStage::Offered, "declines an offer", out) {
                    self.set_stage(key, EntryStage::Gone);
                    self.end(key.hold(), &[Stage::Offered], out);
                }
            }
            Kind::OfferExpired(expired) => {
                let (id, choice) = (&expired.entry_id, expired.choice);
                if let Some(key) = self.entry_in(id, choice, EntryStage::Offered, "loses an offer", out) {
                    self.check_not_early(key.hold(), now_ms, out);
                    self.set_stage(key, EntryStage::Gone);
                    self.end(key.hold(), &[Stage::Offered], out);
                }
            }
            _ => {}
        }
    }

    fn join(&mut self, joined: &v1::Joined, out: &mut Findings<'_>) {
        out.report.counts.entries += 1;
        let (Some(key), Some(wish)) = (EntryKey::of(&joined.entry_id, joined.choice), joined.wish.clone()) else {
            return out.found(Invariant::I7, "an entry joins without an id or a wish");
        };
        if self.line.entries.contains_key(&key) {
            return out.found(Invariant::I5, format!("waitlist entry {key} joins twice"));
        }
        if joined.sequence != self.line.last_sequence + 1 {
            let last = self.line.last_sequence;
            out.found(Invariant::I4, format!("waitlist entry {key} joins as {} after {last}", joined.sequence));
        }
        self.line.last_sequence = joined.sequence;
        self.line.waiting.entry(Bucket::of(&wish)).or_default().insert(joined.sequence, key);
        self.timers.insert((joined.deadline_ms, Timer::Entry(key)));
        let stage = EntryStage::Waiting;
        let entry = Entry { sequence: joined.sequence, wish, deadline_ms: joined.deadline_ms, stage };
        self.line.entries.insert(key, entry);
    }

    fn offer(&mut self, offered: &v1::Offered, now_ms: i64, out: &mut Findings<'_>) {
        out.report.counts.offers += 1;
        let id = hold_key(&offered.hold_id, out);
        let choice = u32::from(id.leg);
        let Some(key) = self.entry_in(&offered.entry_id, choice, EntryStage::Waiting, "is offered seats", out) else {
            return;
        };
        if id != key.hold() {
            out.found(Invariant::I4, format!("the offer to waitlist entry {key} makes hold {id}"));
        }
        let entry = &self.line.entries[&key];
        if !fits(&entry.wish, &offered.parts) {
            out.found(Invariant::I4, format!("waitlist entry {key} is offered something else than it wished"));
        }
        let sequence = entry.sequence;
        let (channel, party) = (entry.wish.channel, entry.wish.persons.len());
        if let Some(earlier) = self.first_servable(now_ms, |other| other < sequence) {
            let what = format!(
                "waitlist entry {key} ({sequence} in line, {party} people) is offered what entry {earlier} before it could have used"
            );
            out.found(Invariant::I4, what);
        }
        self.set_stage(key, EntryStage::Offered);
        self.make_hold(id, Stage::Offered, offered.offer_by_ms, &offered.parts, channel, None, now_ms, out);
    }

    /// After whatever may have made room, nobody waits who could be served; and nobody joins who could be.
    pub(super) fn check_nobody_waits_in_vain(
        &mut self,
        now_ms: i64,
        may_free: bool,
        joined: &[EntryKey],
        out: &mut Findings<'_>,
    ) {
        if !may_free && joined.is_empty() {
            return;
        }
        let sequences: Vec<u64> =
            joined.iter().filter_map(|key| self.line.entries.get(key)).map(|entry| entry.sequence).collect();
        if let Some(entry) = self.first_servable(now_ms, |sequence| may_free || sequences.contains(&sequence)) {
            out.found(Invariant::I4, format!("waitlist entry {entry} waits for what is free"));
            // Once is enough: it is not looked at again.
            self.line.leave_queue(entry);
        }
    }

    /// The first entry in line, of those chosen by their sequence, that could be served from what is free.
    fn first_servable(&self, now_ms: i64, chosen: impl Fn(u64) -> bool) -> Option<EntryKey> {
        let first_of = |(bucket, queue): (&Bucket, &BTreeMap<u64, EntryKey>)| {
            // Someone with a ticket on the run cannot be offered another one; the next in the queue can.
            let mut queue = queue.iter().filter(|(sequence, _)| chosen(**sequence));
            let (sequence, key) = queue.find(|(_, key)| self.nobody_has_a_ticket(**key))?;
            self.is_servable(bucket, now_ms).then_some((*sequence, *key))
        };
        self.line.waiting.iter().filter_map(first_of).min().map(|(_, key)| key)
    }

    fn nobody_has_a_ticket(&self, key: EntryKey) -> bool {
        let entry = self.line.entries.get(&key);
        entry.is_some_and(|entry| !entry.wish.persons.iter().any(|person| self.persons.contains_key(&person[..])))
    }

    /// Whether a wish could be served from what is free, within the limits in force.
    fn is_servable(&self, wish: &Bucket, now_ms: i64) -> bool {
        let (from, to) = (wish.from as usize, wish.to as usize);
        let Some(class) = self.class(wish.class).filter(|_| from < to && to <= self.segments()) else { return false };
        if !self.sells(wish.from, now_ms) || wish.party == 0 || wish.party > self.party_max {
            return false;
        }
        let free = class.free_over(from, to, wish.party);
        let ticket = Ticket { class: wish.class, from: wish.from, to: wish.to, seated: true };
        let allowed = |wanted, seated| {
            let asked = Asked { ticket, channel: wish.channel, now_ms, wanted };
            self.limits.first_in_the_way(&self.classes, &self.stops, &asked, seated).is_none()
        };
        if free >= wish.party {
            return allowed(wish.party, true);
        }
        // Nobody stands beside a seat that is kept for others.
        let standing = wish.standing && class.standing_free(from, to) >= wish.party - free;
        standing && (free == 0 || allowed(free, true)) && allowed(wish.party, false)
    }

    fn entry_in(
        &self,
        entry_id: &[u8],
        choice: u32,
        stage: EntryStage,
        does: &str,
        out: &mut Findings<'_>,
    ) -> Option<EntryKey> {
        let key = EntryKey::of(entry_id, choice);
        let entry = key.and_then(|key| self.line.entries.get(&key));
        match (key, entry) {
            (Some(key), Some(entry)) if entry.stage == stage => Some(key),
            (Some(key), Some(_)) => {
                out.found(Invariant::I4, format!("waitlist entry {key} {does}, which it could not any more"));
                None
            }
            _ => {
                out.found(Invariant::I4, format!("a waitlist entry that never joined {does}"));
                None
            }
        }
    }

    fn set_stage(&mut self, key: EntryKey, stage: EntryStage) {
        self.line.leave_queue(key);
        if let Some(entry) = self.line.entries.get_mut(&key) {
            entry.stage = stage;
            self.timers.remove(&(entry.deadline_ms, Timer::Entry(key)));
        }
    }
}

/// Whether parts are what a wish asks for: its people, each from its first stop to its last without a gap, in its class.
fn fits(wish: &v1::Wish, parts: &[v1::Part]) -> bool {
    let of_one: Vec<&[v1::Part]> = parts.chunk_by(|a, b| a.passenger == b.passenger).collect();
    let people = of_one.len() == wish.persons.len()
        && of_one.iter().zip(&wish.persons).all(|(parts, person)| parts.iter().all(|part| part.person == *person));
    let through = |parts: &&[v1::Part]| {
        let ends =
            parts.first().map(|part| part.from) == Some(wish.from) && parts.last().map(|part| part.to) == Some(wish.to);
        ends && parts.windows(2).all(|pair| pair[0].to == pair[1].from)
    };
    let allowed = |part: &v1::Part| part.seat_class == wish.seat_class && (wish.standing || !part.standing);
    people && of_one.iter().all(through) && parts.iter().all(allowed)
}
