use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::SlotId;
use ownership::Uptime;
use parking_lot::Mutex;

use crate::uptime;

/// Hand-overs that are remembered; with 1,024 slots some moves of a whole fleet.
const REMEMBERED_MAX: usize = 8_192;

/// The last slots that an engine took or gave away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handovers {
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    noted: VecDeque<Noted>,
    /// How many there ever were.
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    number: u64,
    slot: SlotId,
    kind: HandoverKind,
    began: Uptime,
    ended: Uptime,
    runs: Option<u32>,
    runs_warm: u32,
}

/// A slot that changed hands, as one of the two sides saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// Counts up with each hand-over of this engine.
    pub number: u64,
    /// The slot.
    pub slot: SlotId,
    /// Which side.
    pub kind: HandoverKind,
    /// How long ago it was told to take or give the slot; a giver admits nothing from then on.
    pub began_ago: Duration,
    /// How long ago it answered for the slot, or had given it up in the journal.
    pub ended_ago: Duration,
    /// Runs that the slot has; known to the taker, shortly after.
    pub runs: Option<u32>,
    /// Runs that were in the taker's memory from the first moment.
    pub runs_warm: u32,
}

/// A side of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandoverKind {
    /// The new owner's.
    Taken,
    /// The old owner's.
    Given,
}

impl Handovers {
    /// Notes a slot that changed hands just now.
    pub fn note(&self, slot: SlotId, kind: HandoverKind, began: Uptime, runs_warm: usize) {
        let runs_warm = u32::try_from(runs_warm).unwrap_or(u32::MAX);
        let mut log = self.log.lock();
        log.last += 1;
        let number = log.last;
        if log.noted.len() >= REMEMBERED_MAX {
            log.noted.pop_front();
        }
        log.noted.push_back(Noted { number, slot, kind, began, ended: uptime::now(), runs: None, runs_warm });
    }

    /// Notes how many runs a slot has that was taken last.
    pub fn note_runs(&self, slot: SlotId, runs: usize) {
        let mut log = self.log.lock();
        let taken = log.noted.iter_mut().rev().find(|noted| noted.slot == slot && noted.kind == HandoverKind::Taken);
        if let Some(taken) = taken {
            taken.runs = Some(u32::try_from(runs).unwrap_or(u32::MAX));
        }
    }

    /// Those that began at most so long ago, oldest first.
    pub fn within(&self, span: Duration) -> Vec<Handover> {
        let now = uptime::now();
        let ago = |then: Uptime| Duration::from_micros(now.0.saturating_sub(then.0));
        let shown = |noted: &Noted| Handover {
            number: noted.number,
            slot: noted.slot,
            kind: noted.kind,
            began_ago: ago(noted.began),
            ended_ago: ago(noted.ended),
            runs: noted.runs,
            runs_warm: noted.runs_warm,
        };
        self.log.lock().noted.iter().map(shown).filter(|handover| handover.began_ago <= span).collect()
    }
}
