use domain::SlotId;
use ownership::{Epoch, Heartbeat, Uptime};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::Message;

/// So long a lane counts on the answer to what another one asked; then it asks for itself. Well within what a proof is good for.
const ANSWER_EXPECTED_MS: u64 = 250;

/// The lanes of one engine, as far as they know of each other: one small statement proves the slots of all of them, asked
/// for by whichever lane needs a proof first.
#[derive(Debug)]
pub(crate) struct Peers {
    inboxes: Vec<mpsc::WeakSender<Message>>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// What each lane owned when it last said so. A slot that is missing or has another epoch by now is not proved, and
    /// its lane asks for itself.
    owned: Vec<Vec<(SlotId, Epoch)>>,
    /// When the statement was sent that asks for all of them, until it is answered.
    asked_at: Option<Uptime>,
}

/// Slots of other lanes that a heartbeat asks about, by lane.
pub(super) type OfOthers = Vec<(usize, Vec<(SlotId, Epoch)>)>;

impl Peers {
    pub fn new(inboxes: Vec<mpsc::WeakSender<Message>>) -> Self {
        let known = Known { owned: vec![Vec::new(); inboxes.len()], asked_at: None };
        Self { inboxes, known: Mutex::new(known) }
    }

    /// Notes what a lane owns.
    pub fn note_owned(&self, lane: usize, slots: Vec<(SlotId, Epoch)>) {
        self.known.lock().owned[lane] = slots;
    }

    /// A lane is about to ask about its slots: which of other lanes it shall ask about too, or `None` where a statement of
    /// another lane has just asked about all of its.
    pub fn ask(&self, lane: usize, slots: &[(SlotId, Epoch)], now: Uptime) -> Option<OfOthers> {
        let mut known = self.known.lock();
        let is_under_way = known.asked_at.is_some_and(|at| now.millis_since(at) < ANSWER_EXPECTED_MS);
        if is_under_way && known.owned[lane] == slots {
            return None;
        }
        slots.clone_into(&mut known.owned[lane]);
        known.asked_at = Some(now);
        let others = known.owned.iter().enumerate().filter(|(other, slots)| *other != lane && !slots.is_empty());
        Some(others.map(|(other, slots)| (other, slots.clone())).collect())
    }

    /// The statement that was sent at this moment was answered, or was not.
    pub fn answered(&self, sent_at: Uptime) {
        let mut known = self.known.lock();
        if known.asked_at == Some(sent_at) {
            known.asked_at = None;
        }
    }

    /// Passes a proof on to the lanes that it speaks of. One whose inbox is full asks for itself.
    pub fn tell(&self, others: OfOthers, sent_at: Uptime, heartbeat: &Heartbeat) {
        for (lane, slots) in others {
            if let Some(inbox) = self.inboxes[lane].upgrade() {
                let proof = Message::Proved { sent_at, slots, heartbeat: heartbeat.clone() };
                drop(inbox.try_send(proof));
            }
        }
    }
}
