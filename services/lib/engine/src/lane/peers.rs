use domain::SlotId;
use ownership::{Epoch, Heartbeat, Heartbeats, OfOthers, Uptime};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::Message;

/// The lanes of one engine, as far as they know of each other.
#[derive(Debug)]
pub(crate) struct Peers {
    inboxes: Vec<mpsc::WeakSender<Message>>,
    heartbeats: Mutex<Heartbeats>,
}

impl Peers {
    pub fn new(inboxes: Vec<mpsc::WeakSender<Message>>) -> Self {
        let heartbeats = Mutex::new(Heartbeats::new(inboxes.len()));
        Self { inboxes, heartbeats }
    }

    /// See [`Heartbeats::note_owned`].
    pub fn note_owned(&self, lane: usize, slots: Vec<(SlotId, Epoch)>) {
        self.heartbeats.lock().note_owned(lane, slots);
    }

    /// See [`Heartbeats::ask`].
    pub fn ask(&self, lane: usize, slots: &[(SlotId, Epoch)], now: Uptime) -> Option<OfOthers> {
        self.heartbeats.lock().ask(lane, slots, now)
    }

    /// See [`Heartbeats::answered`].
    pub fn answered(&self, sent_at: Uptime) {
        self.heartbeats.lock().answered(sent_at);
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
