use domain::SlotId;

use crate::{Epoch, Uptime};

/// So long an owner counts on the answer to what another one asked; then it asks for itself. Well within what a proof is
/// good for.
const ANSWER_EXPECTED_MS: u64 = 250;

/// Slots of other owners that a heartbeat asks about too, by owner.
pub type OfOthers = Vec<(usize, Vec<(SlotId, Epoch)>)>;

/// The heartbeats of one process with several owners, as far as they know of each other: one small statement proves the
/// slots of all of them, asked for by whichever needs a proof first.
///
/// What it knows may be stale, and that does no harm: a slot that is missing, or has another epoch by now, is not proved,
/// and its owner asks for itself.
#[derive(Debug)]
pub struct Heartbeats {
    /// What each owner owned when it last said so.
    owned: Vec<Vec<(SlotId, Epoch)>>,
    /// When the statement was sent that asks for all of them, until it is answered.
    asked_at: Option<Uptime>,
}

impl Heartbeats {
    /// Of so many owners that own nothing yet.
    pub fn new(owners: usize) -> Self {
        Self { owned: vec![Vec::new(); owners], asked_at: None }
    }

    /// Notes what an owner owns.
    pub fn note_owned(&mut self, owner: usize, slots: Vec<(SlotId, Epoch)>) {
        self.owned[owner] = slots;
    }

    /// An owner is about to ask about its slots: which of others it shall ask about too, or `None` where a statement of
    /// another one has just asked about all of its.
    pub fn ask(&mut self, owner: usize, slots: &[(SlotId, Epoch)], now: Uptime) -> Option<OfOthers> {
        let is_under_way = self.asked_at.is_some_and(|at| now.millis_since(at) < ANSWER_EXPECTED_MS);
        if is_under_way && self.owned[owner] == slots {
            return None;
        }
        slots.clone_into(&mut self.owned[owner]);
        self.asked_at = Some(now);
        let others = self.owned.iter().enumerate().filter(|(other, slots)| *other != owner && !slots.is_empty());
        Some(others.map(|(other, slots)| (other, slots.clone())).collect())
    }

    /// The statement that was sent at this moment was answered, or will not be.
    pub fn answered(&mut self, sent_at: Uptime) {
        if self.asked_at == Some(sent_at) {
            self.asked_at = None;
        }
    }
}
