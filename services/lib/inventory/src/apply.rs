//! What events do. Applying makes no choice: it follows from the event and the state alone, and it checks what the event
//! takes for granted, so that a broken journal or a broken decision is found where it happens.

use domain::HoldId;
use smallvec::SmallVec;

use crate::command::{CommandId, CommandMeta, WishId};
use crate::event::{Event, Part};
use crate::hash::Keyed;
use crate::hold::{Hold, HoldStage, Payment, tickets};
use crate::line::{Entry, EntryStage};
use crate::sale::{Sale, Timed, Timer};
use crate::train_date::{BrokenInvariant, TrainDate};

type Applied = Result<(), BrokenInvariant>;

impl TrainDate {
    /// Applies one event of a command. After an error the state is of no use: load it anew.
    pub(crate) fn apply(&mut self, meta: &CommandMeta, event: &Event) -> Applied {
        match event {
            Event::Advanced { to } => {
                if *to < self.now {
                    return Err(broken("I7", format!("time goes back from {} to {to}", self.now)));
                }
                if let Some(sale) = &mut self.sale {
                    let relaxed = sale.schedule.partition_point(|&moment| moment <= self.now);
                    if sale.schedule.get(relaxed).is_some_and(|moment| moment <= to) {
                        sale.freed.note_everything();
                    }
                }
                self.now = *to;
            }
            Event::SaleOpened(plan) => {
                plan.validate().map_err(|error| broken("I7", format!("a plan that cannot be sold: {error}")))?;
                if self.sale.is_some() {
                    return Err(broken("I7", "put on sale twice".to_owned()));
                }
                let mut sale = Sale::open((**plan).clone(), Keyed::new(self.seed()));
                sale.remember_request(meta);
                self.sale = Some(Box::new(sale));
            }
            other => {
                let sale = self.sale.as_mut().ok_or_else(|| broken("I7", "an event before sale".to_owned()))?;
                sale.apply(meta, other)?;
            }
        }
        Ok(())
    }
}

impl Sale {
    fn apply(&mut self, meta: &CommandMeta, event: &Event) -> Applied {
        match event {
            Event::Held { hold, open_by, parts } => self.add_hold(Hold {
                id: *hold,
                payload_hash: meta.payload_hash,
                version: meta.version,
                stage: HoldStage::Held,
                confirmed: false,
                open_by: *open_by,
                payment: None,
                parts: parts.clone(),
                refunded: 0,
            }),
            Event::HoldOpened { hold, pay_by, hard_limit } => {
                let index = self.index_in(*hold, &[HoldStage::Held])?;
                self.move_on(index, |hold| {
                    hold.stage = HoldStage::Opened;
                    hold.payment = Some(Payment { pay_by: *pay_by, hard_limit: *hard_limit });
                });
                Ok(())
            }
            Event::Confirmed { hold } => {
                let index = self.index_in(*hold, &[HoldStage::Opened])?;
                self.move_on(index, |hold| {
                    hold.stage = HoldStage::Confirmed;
                    hold.confirmed = true;
                });
                Ok(())
            }
            Event::Released { hold } => self.end(*hold, &[HoldStage::Held, HoldStage::Opened], HoldStage::Released),
            Event::HoldExpired { hold } => self.end(*hold, &[HoldStage::Held, HoldStage::Opened], HoldStage::Expired),
            Event::Refunded { hold, passengers } => self.refund(*hold, passengers),
            Event::Changed { old, new, parts } => self.change(meta, *old, *new, parts),
            Event::CapacityAdded { carriages } => {
                crate::plan::validate_carriages(&self.plan.carriages, carriages)
                    .map_err(|error| broken("I7", format!("carriages that cannot be sold: {error}")))?;
                self.remember_request(meta);
                self.plan.carriages.extend_from_slice(carriages);
                self.add_carriages(carriages);
                self.freed.note_everything();
                Ok(())
            }
            Event::QuotasSet(quotas) => {
                quotas
                    .validate(self.plan.stops.len())
                    .map_err(|error| broken("I7", format!("quotas that do not fit: {error}")))?;
                self.remember_request(meta);
                self.plan.quotas = (**quotas).clone();
                self.recount_limits();
                self.set_schedule();
                self.freed.note_everything();
                Ok(())
            }
            Event::SaleClosed { cancelled } => {
                self.remember_request(meta);
                self.closed = Some(*cancelled);
                self.line.dissolve();
                self.timers.retain(|(_, timer)| matches!(timer.timed(), Timed::Hold(_)));
                Ok(())
            }
            _ => self.apply_to_line(meta, event),
        }
    }

    fn apply_to_line(&mut self, meta: &CommandMeta, event: &Event) -> Applied {
        match event {
            Event::Joined { id, sequence, wish, deadline } => {
                if self.line.next_sequence() != *sequence || self.line.get(*id).is_some() {
                    return Err(broken("I4", format!("entry {id:?} joins out of sequence at {sequence}")));
                }
                self.line.push(Entry {
                    id: *id,
                    payload_hash: meta.payload_hash,
                    sequence: *sequence,
                    stage: EntryStage::Waiting,
                    wish: wish.clone(),
                    deadline: *deadline,
                });
                self.timers.insert((*deadline, Timer::of_entry(*sequence)));
                Ok(())
            }
            Event::Left { id, .. } => self.move_entry(*id, EntryStage::Waiting, EntryStage::Left).map(drop),
            Event::Offered { id, offer_by, parts } => {
                let payload_hash = self.move_entry(*id, EntryStage::Waiting, EntryStage::Offered)?;
                self.add_hold(Hold {
                    id: id.hold(),
                    payload_hash,
                    version: meta.version,
                    stage: HoldStage::Offered,
                    confirmed: false,
                    open_by: *offer_by,
                    payment: None,
                    parts: parts.clone(),
                    refunded: 0,
                })
            }
            Event::OfferAccepted { id, pay_by, hard_limit } => {
                self.move_entry(*id, EntryStage::Offered, EntryStage::Accepted)?;
                let index = self.index_in(id.hold(), &[HoldStage::Offered])?;
                self.move_on(index, |hold| {
                    hold.stage = HoldStage::Opened;
                    hold.payment = Some(Payment { pay_by: *pay_by, hard_limit: *hard_limit });
                });
                Ok(())
            }
            Event::OfferDeclined { id } => {
                self.move_entry(*id, EntryStage::Offered, EntryStage::Declined)?;
                self.end(id.hold(), &[HoldStage::Offered], HoldStage::Declined)
            }
            Event::OfferExpired { id } => {
                self.move_entry(*id, EntryStage::Offered, EntryStage::Declined)?;
                self.end(id.hold(), &[HoldStage::Offered], HoldStage::Expired)
            }
            _ => unreachable!("every other event is applied by `apply`"),
        }
    }

    /// Remembers an operator's request for the life of the run.
    fn remember_request(&mut self, meta: &CommandMeta) {
        if let CommandId::Named(id) = meta.id {
            self.requests.insert(id, meta.payload_hash);
        }
    }

    /// Adds a hold and takes its places.
    fn add_hold(&mut self, hold: Hold) -> Applied {
        self.add_hold_in_place_of(hold, None)
    }

    /// Adds a hold whose passengers may be those of another one.
    fn add_hold_in_place_of(&mut self, hold: Hold, old: Option<u32>) -> Applied {
        self.take_places(&hold, self.holds.len() as u32, old)?;
        if self.line.waiting() > 0 && !self.plan.quotas.is_empty() {
            // Taking can help too: who would stand, but not beside a seat kept for others, may stand once it is sold.
            self.freed.note_everything();
        }
        self.holds.push(hold);
        Ok(())
    }

    /// Takes the places of the hold that stands, or will stand, at an index.
    pub(crate) fn take_places(&mut self, hold: &Hold, index: u32, old: Option<u32>) -> Applied {
        if self.holds_by_id.insert(hold.id, index).is_some() {
            return Err(broken("I5", format!("hold {} is made twice", hold.id)));
        }
        for part in hold.live_parts() {
            let class = self.classes.iter_mut().find(|state| state.class == part.class);
            let room =
                class.filter(|class| part.interval.to() as usize <= class.free.len() && class.has_room_for(part));
            let Some(class) = room else {
                return Err(broken("I1", format!("hold {} takes what is not free: {part:?}", hold.id)));
            };
            class.take(part);
            let holder = self.persons.insert(part.person, index);
            if holder.is_some_and(|holder| holder != index && Some(holder) != old) {
                return Err(broken("I1", format!("hold {} gives a person a second ticket", hold.id)));
            }
        }
        if !self.plan.quotas.quotas.is_empty() {
            tickets(hold.live_parts()).for_each(|ticket| self.limits.add(&self.plan.quotas, ticket));
        }
        if let Some(deadline) = hold.deadline() {
            self.timers.insert((deadline, Timer::of_hold(index)));
        }
        if hold.stage == HoldStage::Offered {
            self.offered.insert(index);
        }
        Ok(())
    }

    /// The index of a hold that must be in one of these stages.
    fn index_in(&self, id: HoldId, stages: &[HoldStage]) -> Result<u32, BrokenInvariant> {
        let index = self.find(id).ok_or_else(|| broken("I7", format!("hold {id} was never made")))?;
        let stage = self.holds[index as usize].stage;
        if stages.contains(&stage) { Ok(index) } else { Err(broken("I7", format!("hold {id} is {}", stage.name()))) }
    }

    /// Changes a hold's stage and keeps its timer.
    fn move_on(&mut self, index: u32, change: impl FnOnce(&mut Hold)) {
        let hold = self.holds.amend(index as usize);
        if let Some(deadline) = hold.deadline() {
            self.timers.remove(&(deadline, Timer::of_hold(index)));
        }
        if hold.stage == HoldStage::Offered {
            self.offered.remove(&index);
        }
        change(hold);
        if let Some(deadline) = hold.deadline() {
            self.timers.insert((deadline, Timer::of_hold(index)));
        }
    }

    /// Ends a hold and frees its places.
    fn end(&mut self, id: HoldId, from: &[HoldStage], stage: HoldStage) -> Applied {
        let index = self.index_in(id, from)?;
        self.free_parts(index, |_| true);
        self.move_on(index, |hold| hold.stage = stage);
        Ok(())
    }

    fn refund(&mut self, id: HoldId, passengers: &[u8]) -> Applied {
        let index = self.index_in(id, &[HoldStage::Confirmed])?;
        let hold = &self.holds[index as usize];
        if passengers.iter().any(|&passenger| passenger >= hold.passengers() || hold.is_refunded(passenger)) {
            return Err(broken("I7", format!("hold {id} is refunded for passengers {passengers:?}")));
        }
        self.free_parts(index, |part| passengers.contains(&part.passenger));
        self.move_on(index, |hold| {
            passengers.iter().for_each(|passenger| hold.refunded |= 1 << passenger);
            if (0..hold.passengers()).all(|passenger| hold.is_refunded(passenger)) {
                hold.stage = HoldStage::Refunded;
            }
        });
        Ok(())
    }

    /// The new places are taken before the old ones are given back.
    fn change(&mut self, meta: &CommandMeta, old: HoldId, new: HoldId, parts: &[Part]) -> Applied {
        let stages = [HoldStage::Held, HoldStage::Opened, HoldStage::Confirmed];
        let index = self.index_in(old, &stages)?;
        let before = &self.holds[index as usize];
        let hold = Hold {
            id: new,
            payload_hash: meta.payload_hash,
            version: meta.version,
            stage: before.stage,
            confirmed: before.confirmed,
            open_by: before.open_by,
            payment: before.payment,
            parts: parts.into(),
            refunded: 0,
        };
        self.add_hold_in_place_of(hold, Some(index))?;
        self.end(old, &stages, HoldStage::Changed)
    }

    /// Gives back the live parts of a hold that are chosen, and notes what that may do for the line.
    fn free_parts(&mut self, index: u32, chosen: impl Fn(&Part) -> bool) {
        let hold = &self.holds[index as usize];
        let freed: SmallVec<[Part; 8]> = hold.live_parts().filter(|part| chosen(part)).copied().collect();
        for part in &freed {
            let class = self.classes.iter_mut().find(|state| state.class == part.class);
            class.expect("a live part's class is on the train").give_back(part);
            if self.persons.get(&part.person) == Some(&index) {
                self.persons.remove(&part.person);
            }
        }
        for ticket in tickets(freed.iter()) {
            self.limits.remove(&self.plan.quotas, ticket);
        }
        if self.line.waiting() == 0 {
            return;
        }
        // A ticket less may relax a quota for wishes elsewhere, and a person without a ticket may be offered one.
        let everything = !self.plan.quotas.is_empty() || freed.iter().any(|part| self.line.names(part.person));
        if everything {
            self.freed.note_everything();
        } else {
            freed.iter().for_each(|part| self.freed.note(part.class, part.interval));
        }
    }

    /// Moves an entry from one stage to another; answers its payload hash.
    fn move_entry(&mut self, id: WishId, from: EntryStage, to: EntryStage) -> Result<u64, BrokenInvariant> {
        let entry = self.line.get(id).filter(|entry| entry.stage == from);
        let entry = entry.ok_or_else(|| broken("I4", format!("entry {id:?} does not stand at {from:?}")))?;
        let payload_hash = entry.payload_hash;
        self.timers.remove(&(entry.deadline, Timer::of_entry(entry.sequence)));
        self.line.set_stage(id, to);
        Ok(payload_hash)
    }
}

pub(crate) fn broken(id: &'static str, detail: String) -> BrokenInvariant {
    BrokenInvariant { id, detail }
}
