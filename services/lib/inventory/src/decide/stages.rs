use domain::{EntryId, HoldId};
use smallvec::SmallVec;

use super::{Moment, Seeking};
use crate::command::{HoldRequest, WishId};
use crate::event::Event;
use crate::hold::{Hold, HoldStage};
use crate::refusal::Refusal;
use crate::sale::Sale;

impl Sale {
    /// An order claims a hold.
    pub(super) fn open_hold(&self, moment: Moment, id: HoldId) -> Result<Event, Refusal> {
        self.in_stage(id, &[HoldStage::Held])?;
        let (pay_by, hard_limit) = self.payment_deadlines(moment);
        Ok(Event::HoldOpened { hold: id, pay_by, hard_limit })
    }

    /// A paid hold becomes tickets, at any moment until its expiry is recorded.
    pub(super) fn confirm(&self, id: HoldId) -> Result<Event, Refusal> {
        self.in_stage(id, &[HoldStage::Opened])?;
        Ok(Event::Confirmed { hold: id })
    }

    pub(super) fn release(&self, id: HoldId) -> Result<Event, Refusal> {
        self.in_stage(id, &[HoldStage::Held, HoldStage::Opened])?;
        Ok(Event::Released { hold: id })
    }

    /// Tickets of some passengers are given back; those given back before are left out.
    pub(super) fn refund_event(&self, id: HoldId, passengers: &[u8]) -> Result<Event, Refusal> {
        let hold = self.in_stage(id, &[HoldStage::Confirmed])?;
        if passengers.is_empty() {
            return Err(Refusal::EmptyParty);
        }
        if let Some(&passenger) = passengers.iter().find(|&&passenger| passenger >= hold.passengers()) {
            return Err(Refusal::NoSuchPassenger { hold: id, passenger });
        }
        let live = passengers.iter().copied().filter(|&passenger| !hold.is_refunded(passenger));
        let mut passengers: SmallVec<[u8; 8]> = live.collect();
        passengers.sort_unstable();
        passengers.dedup();
        Ok(Event::Refunded { hold: id, passengers })
    }

    /// A hold is exchanged for another one. The old places still count as taken when the new ones are sought.
    pub(super) fn change_event(&self, moment: Moment, old: HoldId, new: &HoldRequest) -> Result<Event, Refusal> {
        self.in_stage(old, &[HoldStage::Held, HoldStage::Opened, HoldStage::Confirmed])?;
        if self.line.get_by_hold(new.hold).is_some() {
            return Err(Refusal::PayloadDiffers);
        }
        let seeking = Seeking::of_request(self, moment.now, new)?;
        let persons = new.passengers.iter().map(|passenger| passenger.person);
        self.check_persons(persons, self.find(old))?;
        Ok(Event::Changed { old, new: new.hold, parts: seeking.places()? })
    }

    /// What the end of a hold's time leads to.
    pub(super) fn hold_ends(&self, index: u32) -> Event {
        let hold = &self.holds[index as usize];
        match hold.stage {
            HoldStage::Offered => {
                let id = WishId { entry: EntryId::from_u128(hold.id.owner), choice: hold.id.leg };
                Event::OfferExpired { id }
            }
            _ => Event::HoldExpired { hold: hold.id },
        }
    }

    /// Until when a hold that opens now must be paid, and when it is freed in any case.
    pub(super) fn payment_deadlines(&self, moment: Moment) -> (domain::Time, domain::Time) {
        let terms = &self.plan.terms;
        let after = |span_ms: u32| moment.from.plus_millis(i64::from(span_ms));
        (after(terms.payment_ms), after(terms.hard_limit_ms))
    }

    fn in_stage(&self, id: HoldId, stages: &[HoldStage]) -> Result<&Hold, Refusal> {
        let hold = self.hold(id).ok_or(Refusal::UnknownHold(id))?;
        match hold.stage {
            stage if stages.contains(&stage) => Ok(hold),
            HoldStage::Expired => Err(Refusal::HoldExpired(id)),
            stage => Err(Refusal::WrongState { hold: id, stage }),
        }
    }
}
