//! What goes wrong with nodes, and the calm after the storm.

use domain::SlotId;
use ownership::Protocol;

use super::{Event, World, slots};
use crate::subject::Subject;

impl<S: Subject, P: Protocol> World<S, P> {
    pub(super) fn accident(&mut self) {
        if !self.is_storm() {
            return;
        }
        let every = self.weather.accident_every_ms * 1_000;
        let delay = self.chance.between(every / 4, every * 2);
        self.after(delay, Event::Accident);
        self.counts.accidents += 1;
        let node = self.chance.below(self.nodes.len() as u64) as usize;
        let slot = self.any_slot();
        if self.chance.per_mille(600) {
            let (slot, node) = (self.any_slot(), self.chance.below(self.nodes.len() as u64) as usize);
            self.warm(slot, node);
        }
        match self.chance.below(100) {
            0..30 => self.freeze(node),
            30..50 => self.crash(node),
            50..90 => self.move_slot(slot),
            90..95 => {
                self.say(13, u64::from(slot.number()), 0, || format!("the journal of slot {slot} crashes"));
                self.journal.crash(slot);
            }
            _ => {
                let off = self.chance.below(7_200_000).cast_signed() - 3_600_000;
                self.say(14, node as u64, 0, || format!("node {node}'s clock jumps by {off} ms"));
                self.nodes[node].wall_clock_off_ms = off;
            }
        }
    }

    fn freeze(&mut self, node: usize) {
        let span = self.chance.between(100_000, 3_500_000);
        let it = &mut self.nodes[node];
        if it.frozen_until <= self.now {
            it.frozen_until = self.now + span;
            it.suspended_us += span;
            self.say(10, node as u64, span, || format!("node {node} stands still for {} ms", span / 1_000));
        }
    }

    fn crash(&mut self, node: usize) {
        self.say(11, node as u64, 0, || format!("node {node} crashes"));
        self.nodes[node].owner = None;
        let delay = self.chance.between(50_000, 1_500_000);
        self.after(delay, Event::Restart { node });
    }

    pub(super) fn restart(&mut self, node: usize) {
        if self.nodes[node].owner.is_none() {
            self.say(12, node as u64, 0, || format!("node {node} starts again"));
            self.start(node);
        }
    }

    /// Another node is meant to own a slot; the old one may hear of it, or not for a while.
    fn move_slot(&mut self, slot: SlotId) {
        let to = self.chance.below(self.nodes.len() as u64) as usize;
        self.say(15, u64::from(slot.number()), to as u64, || format!("slot {slot} is meant for node {to}"));
        for node in 0..self.nodes.len() {
            if node != to && self.chance.per_mille(600) {
                self.release(slot, node);
            }
        }
        self.assign(slot, to);
        if self.chance.per_mille(800) {
            self.routes.insert(slot, to);
        }
    }

    /// Nothing goes wrong from here on, and every slot has one node.
    pub(super) fn calm(&mut self) {
        self.say(16, 0, 0, || "calm".to_owned());
        for node in 0..self.nodes.len() {
            self.restart(node);
        }
        for slot in slots::<S>() {
            let to = self.chance.below(self.nodes.len() as u64) as usize;
            for node in (0..self.nodes.len()).filter(|node| *node != to) {
                self.release(slot, node);
            }
            self.assign(slot, to);
            self.routes.insert(slot, to);
        }
    }

    fn any_slot(&mut self) -> SlotId {
        let slots = slots::<S>();
        self.chance.one_of(&slots)
    }
}
