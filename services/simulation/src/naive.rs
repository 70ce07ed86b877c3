//! The second opinion: what each change means, told without any index, quota or cleverness.

use std::collections::BTreeMap;

use domain::Time;

use crate::subject::Change;

/// How long after its deadline a hold may live on while nothing goes wrong.
const GRACE_MS: i64 = 3_000;

/// One run as its journal tells it.
#[derive(Clone, Debug, Default)]
pub struct NaiveRun {
    places: u16,
    /// Who has which place on which segment.
    cells: BTreeMap<(u16, u8), u64>,
    holds: BTreeMap<u64, NaiveHold>,
    /// Who waits, in order.
    line: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct NaiveHold {
    place: u16,
    segments: u64,
    until: Time,
    paid: bool,
    live: bool,
}

impl NaiveRun {
    /// Sets how many places there are.
    pub const fn has_places(&mut self, places: u16) {
        self.places = places;
    }

    /// Adds a change.
    ///
    /// # Errors
    /// What must not happen.
    pub fn note(&mut self, change: &Change, decided_at: Time, committed_at: Time) -> Result<(), String> {
        match *change {
            Change::Taken { hold, place, segments, until, from_line } => {
                if from_line {
                    self.leave_line(hold)?;
                }
                self.take(hold, place, segments, until)
            }
            Change::Prolonged { hold, until } => {
                self.live(hold)?.until = until;
                Ok(())
            }
            Change::Paid { hold } => {
                self.live(hold)?.paid = true;
                Ok(())
            }
            Change::GivenBack { hold } => self.free(hold),
            Change::Lapsed { hold } => {
                let it = self.live(hold)?;
                if it.paid {
                    return Err(format!("paid hold {hold} lapsed"));
                }
                if it.until > decided_at || it.until > committed_at {
                    return Err(format!("early release: hold {hold} until {} lapsed by {committed_at}", it.until));
                }
                self.free(hold)
            }
            Change::Queued { entry, segments } => {
                self.line.push((entry, segments));
                Ok(())
            }
            Change::LeftLine { entry } => {
                self.line.retain(|(waiting, _)| *waiting != entry);
                Ok(())
            }
            Change::Poisoned => Err("a broken invariant was written down".to_owned()),
        }
    }

    /// Checks what must hold between records.
    ///
    /// # Errors
    /// I4: somebody waits for what is free.
    pub fn settled(&self) -> Result<(), String> {
        match self.line.iter().find(|(_, segments)| self.fits(*segments)) {
            Some((entry, _)) => Err(format!("I4: entry {entry} waits for what is free")),
            None => Ok(()),
        }
    }

    /// Whether some place is free on all these segments.
    pub fn fits(&self, segments: u64) -> bool {
        (0..self.places).any(|place| bits(segments).all(|segment| !self.cells.contains_key(&(place, segment))))
    }

    /// What is occupied: a number that differs where anything does.
    pub fn digest(&self) -> u64 {
        Self::digest_of(self.cells.keys().copied())
    }

    /// The digest of occupied places and segments, given in order.
    pub fn digest_of(cells: impl Iterator<Item = (u16, u8)>) -> u64 {
        let bytes: Vec<u8> = cells.flat_map(|(place, segment)| [place as u8, (place >> 8) as u8, segment]).collect();
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    /// A hold that should have lapsed.
    pub fn overdue(&self, now: Time) -> Option<String> {
        let late = |hold: &NaiveHold| hold.live && !hold.paid && hold.until.plus_millis(GRACE_MS) < now;
        let (id, hold) = self.holds.iter().find(|(_, hold)| late(hold))?;
        Some(format!("hold {id} until {} still stands at {now}", hold.until))
    }

    /// Whether a hold occupies its place.
    pub fn is_live(&self, hold: u64) -> bool {
        self.holds.get(&hold).is_some_and(|hold| hold.live)
    }

    fn take(&mut self, hold: u64, place: u16, segments: u64, until: Time) -> Result<(), String> {
        for segment in bits(segments) {
            if let Some(other) = self.cells.insert((place, segment), hold) {
                return Err(format!("I1: place {place} segment {segment} given to {hold}, held by {other}"));
            }
        }
        self.holds.insert(hold, NaiveHold { place, segments, until, paid: false, live: true });
        Ok(())
    }

    fn free(&mut self, hold: u64) -> Result<(), String> {
        let it = self.live(hold)?;
        it.live = false;
        let (place, segments) = (it.place, it.segments);
        for segment in bits(segments) {
            self.cells.remove(&(place, segment));
        }
        Ok(())
    }

    fn live(&mut self, hold: u64) -> Result<&mut NaiveHold, String> {
        match self.holds.get_mut(&hold) {
            Some(it) if it.live => Ok(it),
            Some(_) => Err(format!("hold {hold} had ended")),
            None => Err(format!("hold {hold} never began")),
        }
    }

    fn leave_line(&mut self, entry: u64) -> Result<(), String> {
        let Some(position) = self.line.iter().position(|(waiting, _)| *waiting == entry) else {
            return Err(format!("I4: entry {entry} was served and does not wait"));
        };
        if let Some((before, _)) = self.line[..position].iter().find(|(_, segments)| self.fits(*segments)) {
            return Err(format!("I4: entry {entry} was served before {before}"));
        }
        self.line.remove(position);
        Ok(())
    }
}

fn bits(segments: u64) -> impl Iterator<Item = u8> {
    (0..64).filter(move |bit| segments >> bit & 1 == 1)
}
