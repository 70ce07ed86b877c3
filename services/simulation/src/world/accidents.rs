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
        let process = self.chance.below(self.weather.processes as u64) as usize;
        let slot = self.any_slot();
        if self.chance.per_mille(600) {
            let slot = self.any_slot();
            let node = self.any_node_for(slot);
            self.warm(slot, node);
        }
        match self.chance.below(100) {
            0..30 => self.freeze(process),
            30..50 => self.crash(process),
            50..90 => self.move_slot(slot),
            90..95 => {
                self.say(13, u64::from(slot.number()), 0, || format!("the journal of slot {slot} crashes"));
                self.journal.crash(slot);
            }
            _ => {
                let off = self.chance.below(7_200_000).cast_signed() - 3_600_000;
                self.say(14, process as u64, 0, || format!("process {process}'s clock jumps by {off} ms"));
                for node in self.nodes_of(process) {
                    self.nodes[node].wall_clock_off_ms = off;
                }
            }
        }
    }

    fn freeze(&mut self, process: usize) {
        let span = self.chance.between(100_000, 3_500_000);
        // The nodes of a process stand still and go on together.
        if self.nodes_of(process).all(|node| self.nodes[node].frozen_until <= self.now) {
            for node in self.nodes_of(process) {
                self.nodes[node].frozen_until = self.now + span;
                self.nodes[node].suspended_us += span;
            }
            self.say(10, process as u64, span, || format!("process {process} stands still for {} ms", span / 1_000));
        }
    }

    fn crash(&mut self, process: usize) {
        self.say(11, process as u64, 0, || format!("process {process} crashes"));
        for node in self.nodes_of(process) {
            self.nodes[node].owner = None;
        }
        let delay = self.chance.between(50_000, 1_500_000);
        self.after(delay, Event::Restart { process });
    }

    pub(super) fn restart(&mut self, process: usize) {
        if self.nodes_of(process).all(|node| self.nodes[node].owner.is_none()) {
            self.say(12, process as u64, 0, || format!("process {process} starts again"));
            self.start(process);
        }
    }

    /// Another node is meant to own a slot; the old one may hear of it, or not for a while.
    fn move_slot(&mut self, slot: SlotId) {
        let to = self.any_node_for(slot);
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
        for process in 0..self.weather.processes {
            self.restart(process);
        }
        for slot in slots::<S>() {
            let to = self.any_node_for(slot);
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
