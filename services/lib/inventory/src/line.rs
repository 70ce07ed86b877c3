use std::collections::{BTreeMap, HashMap};

use domain::{Channel, Interval, PersonToken, SeatClass, Time};

use crate::command::{Wish, WishId};
use crate::hash::Keyed;
use crate::shared_list::SharedList;

/// The line of a run: every waitlist entry that ever joined, and the waiting ones in buckets of equal wishes.
///
/// Two entries of one bucket differ in nothing but their sequence, so only the first of each bucket has to be looked at: a
/// long line costs no more than the number of different wishes in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// In order of sequence, the first with sequence 1.
    entries: SharedList<Entry>,
    by_id: HashMap<WishId, u32, Keyed>,
    /// Waiting entries by what they wish, then by sequence.
    buckets: BTreeMap<Bucket, BTreeMap<u64, WishId>>,
    waiting: u32,
    /// How many waiting entries name a person.
    persons: HashMap<PersonToken, u32, Keyed>,
}

/// A waitlist entry on this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub id: WishId,
    pub payload_hash: u64,
    pub sequence: u64,
    pub stage: EntryStage,
    pub wish: Wish,
    pub deadline: Time,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EntryStage {
    Waiting = 1,
    /// Its seats are held until the offer runs out.
    Offered = 2,
    Accepted = 3,
    /// It refused an offer, or let it run out.
    Declined = 4,
    /// It left, its deadline passed, or sale was closed.
    Left = 5,
}

impl EntryStage {
    /// The stage of a stable code, if there is one.
    pub fn from_code(code: u32) -> Option<Self> {
        let all = [Self::Waiting, Self::Offered, Self::Accepted, Self::Declined, Self::Left];
        all.into_iter().find(|stage| *stage as u32 == code)
    }
}

/// What equal wishes have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bucket {
    pub class: SeatClass,
    pub interval: Interval,
    pub party: u8,
    pub standing: bool,
    pub channel: Channel,
}

impl Bucket {
    pub fn of(wish: &Wish) -> Self {
        Self {
            class: wish.class,
            interval: wish.interval,
            party: wish.persons.len() as u8,
            standing: wish.standing,
            channel: wish.channel,
        }
    }
}

impl Line {
    pub fn new(keyed: Keyed) -> Self {
        Self {
            entries: SharedList::new(),
            by_id: HashMap::with_hasher(keyed),
            buckets: BTreeMap::new(),
            waiting: 0,
            persons: HashMap::with_hasher(keyed),
        }
    }

    /// The line of all these entries.
    pub fn of(entries: SharedList<Entry>, keyed: Keyed) -> Self {
        let mut line = Self::new(keyed);
        line.by_id.reserve(entries.len());
        entries.iter().for_each(|entry| line.note(entry));
        line.entries = entries;
        line
    }

    /// How many entries wait.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// The sequence of the next entry to join.
    pub fn next_sequence(&self) -> u64 {
        self.entries.len() as u64 + 1
    }

    /// Every entry there ever was, in order of sequence.
    pub fn entries(&self) -> &SharedList<Entry> {
        &self.entries
    }

    pub fn get(&self, id: WishId) -> Option<&Entry> {
        self.by_id.get(&id).map(|&index| &self.entries[index as usize])
    }

    /// The entry with a sequence.
    pub fn at(&self, sequence: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(sequence.checked_sub(1)?).ok()?)
    }

    /// The waiting entries of each bucket, in order of sequence.
    pub fn buckets(&self) -> impl Iterator<Item = (Bucket, impl Iterator<Item = &Entry>)> {
        self.buckets.iter().map(|(&bucket, waiting)| {
            let entry = |&sequence: &u64| &self.entries[sequence as usize - 1];
            (bucket, waiting.keys().map(entry))
        })
    }

    /// Whether a waiting entry names this person.
    pub fn names(&self, person: PersonToken) -> bool {
        self.persons.contains_key(&person)
    }

    /// Adds an entry, whose sequence is the next one.
    pub fn push(&mut self, entry: Entry) {
        self.note(&entry);
        self.entries.push(entry);
    }

    /// Moves an entry on from where it stands; answers where it stood. An entry that has left never waits again.
    pub fn set_stage(&mut self, id: WishId, stage: EntryStage) -> Option<EntryStage> {
        let &index = self.by_id.get(&id)?;
        let entry = self.entries.amend(index as usize);
        let before = std::mem::replace(&mut entry.stage, stage);
        if before == EntryStage::Waiting && stage != EntryStage::Waiting {
            let entry = entry.clone();
            self.dequeue(&entry);
        }
        Some(before)
    }

    /// Sends everyone home who waits.
    pub fn dissolve(&mut self) {
        let waiting = self.buckets.values().flat_map(BTreeMap::keys);
        for &sequence in waiting {
            self.entries.amend(sequence as usize - 1).stage = EntryStage::Left;
        }
        self.buckets.clear();
        self.persons.clear();
        self.waiting = 0;
    }

    /// About how many bytes it owns.
    pub fn heap_bytes(&self) -> usize {
        // An entry stands in the list, in the map of ids, in its bucket and with each of its persons.
        self.entries.heap_bytes() + self.by_id.capacity() * 48 + self.waiting as usize * 96
    }

    fn note(&mut self, entry: &Entry) {
        self.by_id.insert(entry.id, entry.sequence as u32 - 1);
        if entry.stage == EntryStage::Waiting {
            self.enqueue(entry);
        }
    }

    fn enqueue(&mut self, entry: &Entry) {
        self.buckets.entry(Bucket::of(&entry.wish)).or_default().insert(entry.sequence, entry.id);
        for &person in &entry.wish.persons {
            *self.persons.entry(person).or_insert(0) += 1;
        }
        self.waiting += 1;
    }

    fn dequeue(&mut self, entry: &Entry) {
        let bucket = Bucket::of(&entry.wish);
        if let Some(waiting) = self.buckets.get_mut(&bucket) {
            waiting.remove(&entry.sequence);
            if waiting.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
        for person in &entry.wish.persons {
            if let Some(count) = self.persons.get_mut(person) {
                *count -= 1;
                if *count == 0 {
                    self.persons.remove(person);
                }
            }
        }
        self.waiting -= 1;
    }
}

/// What has become free since the line was last served: entries that it cannot concern need not be looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Freed {
    everything: bool,
    places: Vec<(SeatClass, Interval)>,
}

impl Freed {
    /// Notes that places became free over an interval of a class.
    pub fn note(&mut self, class: SeatClass, interval: Interval) {
        self.places.push((class, interval));
    }

    /// Notes that anything may have become possible.
    pub fn note_everything(&mut self) {
        self.everything = true;
    }

    pub fn is_nothing(&self) -> bool {
        !self.everything && self.places.is_empty()
    }

    /// Whether it may help a wish: a wish that overlaps nothing that was freed is where it was.
    pub fn helps(&self, bucket: &Bucket) -> bool {
        let overlaps =
            |(class, interval): &(SeatClass, Interval)| *class == bucket.class && interval.overlaps(bucket.interval);
        self.everything || self.places.iter().any(overlaps)
    }
}
