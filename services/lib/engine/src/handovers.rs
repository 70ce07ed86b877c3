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
    log: Arc<Mutex<VecDeque<Noted>>>,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    slot: SlotId,
    kind: HandoverKind,
    began: Uptime,
    ended: Uptime,
    runs: u32,
    runs_warm: u32,
}

/// A slot that changed hands, as one of the two sides saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The slot.
    pub slot: SlotId,
    /// Which side.
    pub kind: HandoverKind,
    /// How long ago it was told to take or give the slot; a giver admits nothing from then on.
    pub began_ago: Duration,
    /// How long ago it answered for the slot, or had given it up in the journal.
    pub ended_ago: Duration,
    /// Runs that the slot has; known to the taker, shortly after.
    pub runs: u32,
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
        if log.len() >= REMEMBERED_MAX {
            log.pop_front();
        }
        log.push_back(Noted { slot, kind, began, ended: uptime::now(), runs: 0, runs_warm });
    }

    /// Notes how many runs a slot has that was taken last.
    pub fn note_runs(&self, slot: SlotId, runs: usize) {
        let mut log = self.log.lock();
        let taken = log.iter_mut().rev().find(|noted| noted.slot == slot && noted.kind == HandoverKind::Taken);
        if let Some(taken) = taken {
            taken.runs = u32::try_from(runs).unwrap_or(u32::MAX);
        }
    }

    /// Those that began at most so long ago, oldest first.
    pub fn within(&self, span: Duration) -> Vec<Handover> {
        let now = uptime::now();
        let ago = |then: Uptime| Duration::from_micros(now.0.saturating_sub(then.0));
        let shown = |noted: &Noted| Handover {
            slot: noted.slot,
            kind: noted.kind,
            began_ago: ago(noted.began),
            ended_ago: ago(noted.ended),
            runs: noted.runs,
            runs_warm: noted.runs_warm,
        };
        self.log.lock().iter().map(shown).filter(|handover| handover.began_ago <= span).collect()
    }
}
