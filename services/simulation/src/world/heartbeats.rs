//! The heartbeats that the nodes of one process have in common, as the product's engine has them: one asks for all, and
//! passes on what it hears, through inboxes that may be full and lanes that may be busy.

use domain::SlotId;
use ownership::{Epoch, Heartbeat, Input, Now, OfOthers, Protocol, Ticket, Uptime};

use super::{Event, Statement, World};
use crate::subject::Subject;

/// A node that is busy takes a proof in so much later, in µs: it may be stale by then.
const BUSY_US: u64 = 1_500_000;

/// A heartbeat under way that asks for other nodes of the process too.
pub(super) struct SharedHeartbeat {
    sent_at: Uptime,
    others: OfOthers,
}

impl<S: Subject, P: Protocol> World<S, P> {
    /// A node wants a proof of ownership: it asks for all nodes of its process, or counts on one that just has.
    pub(super) fn heartbeat(&mut self, node: usize, ticket: Ticket, slots: Vec<(SlotId, Epoch)>) {
        let sent_at = self.uptime_of(node);
        let (process, lane) = (node / self.weather.lanes, node % self.weather.lanes);
        let Some(others) = self.heartbeats[process].ask(lane, &slots, sent_at) else {
            let (incarnation, input) = (self.nodes[node].incarnation, Input::HeartbeatDone { ticket, heartbeat: None });
            self.after(0, Event::Tell { node, incarnation, call: None, input: Box::new(input) });
            return;
        };
        let call = self.new_call(node);
        self.nodes[node].heartbeats.insert(call, SharedHeartbeat { sent_at, others: others.clone() });
        self.send_as(node, call, Statement::Heartbeat(ticket, slots, others));
    }

    /// A heartbeat was answered, or was not: the other nodes that it asked about hear of it too.
    pub(super) fn share(&mut self, node: usize, call: u64, heartbeat: Option<&Heartbeat>) {
        let Some(SharedHeartbeat { sent_at, others }) = self.nodes[node].heartbeats.remove(&call) else { return };
        let first = node - node % self.weather.lanes;
        self.heartbeats[node / self.weather.lanes].answered(sent_at);
        let Some(mut heartbeat) = heartbeat.cloned() else { return };
        if !self.rules.shell.shared_proof_tells_losses {
            heartbeat.lost.clear();
        }
        for (lane, slots) in others {
            let other = first + lane;
            let incarnation = self.nodes[other].incarnation;
            let copies = if self.mishap(self.weather.proof_lost) {
                0
            } else {
                1 + u8::from(self.mishap(self.weather.proof_twice))
            };
            for _ in 0..copies {
                let busy = self.mishap(self.weather.proof_late);
                let delay = if busy { self.chance.below(BUSY_US) } else { self.chance.below(500) };
                let (slots, heartbeat) = (slots.clone(), heartbeat.clone());
                let input = Box::new(Input::Proved { sent_at, slots, heartbeat });
                self.after(delay, Event::Tell { node: other, incarnation, call: None, input });
            }
        }
    }

    /// A node takes in a proof that another one asked for.
    pub(super) fn proved(&mut self, node: usize, now: Now, mut input: Input<S, u64>) {
        if let (Input::Proved { sent_at, .. }, false) = (&mut input, self.rules.shell.shared_proof_from_sending) {
            *sent_at = now.uptime;
        }
        self.counts.proofs_shared += 1;
        if let Some(owner) = &mut self.nodes[node].owner {
            owner.handle(now, input);
        }
        let Some(owner) = &self.nodes[node].owner else { return };
        let (process, lane) = (node / self.weather.lanes, node % self.weather.lanes);
        self.heartbeats[process].note_owned(lane, owner.owned());
    }
}
