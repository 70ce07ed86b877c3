use domain::{HoldId, Time};

use super::{Moment, Seeking};
use crate::command::{Wish, WishId};
use crate::event::Event;
use crate::line::{Entry, EntryStage};
use crate::refusal::Refusal;
use crate::sale::Sale;

impl Sale {
    /// An entry joins the line when what it asks for cannot be had now.
    pub(super) fn join(&self, moment: Moment, id: WishId, wish: &Wish, deadline: Time) -> Result<Event, Refusal> {
        if self.find(id.hold()).is_some() {
            // Its offer would need this hold id: both draw on one space of ids.
            return Err(Refusal::PayloadDiffers);
        }
        let seeking = Seeking::of_wish(self, moment.now, wish)?;
        self.check_persons(wish.persons.iter().copied(), None)?;
        let ends = self.sale_ends(wish.interval.from()).unwrap_or(deadline);
        let deadline = deadline.min(ends);
        if deadline <= moment.from {
            return Err(Refusal::DeadlinePassed(deadline));
        }
        if seeking.is_possible() {
            return Err(Refusal::LineNotOpen);
        }
        let max = self.plan.terms.line_max;
        if self.line.waiting() >= max {
            return Err(Refusal::LineFull { max });
        }
        Ok(Event::Joined { id, sequence: self.line.next_sequence(), wish: wish.clone(), deadline })
    }

    /// An entry leaves; what is offered to it is given back.
    pub(super) fn leave(&self, id: WishId) -> Result<Event, Refusal> {
        let entry = self.line.get(id).ok_or(Refusal::UnknownEntry(id))?;
        match entry.stage {
            EntryStage::Waiting => Ok(Event::Left { id, expired: false }),
            EntryStage::Offered => Ok(Event::OfferDeclined { id }),
            // It took its seats: they are a hold by now, to be released or refunded.
            EntryStage::Accepted | EntryStage::Declined | EntryStage::Left => Err(Refusal::NoOffer(id)),
        }
    }

    pub(super) fn accept_offer(&self, moment: Moment, id: WishId) -> Result<Event, Refusal> {
        self.offered_entry(id)?;
        let (pay_by, hard_limit) = self.payment_deadlines(moment);
        Ok(Event::OfferAccepted { id, pay_by, hard_limit })
    }

    pub(super) fn decline_offer(&self, id: WishId) -> Result<Event, Refusal> {
        self.offered_entry(id)?;
        Ok(Event::OfferDeclined { id })
    }

    fn offered_entry(&self, id: WishId) -> Result<&Entry, Refusal> {
        let entry = self.line.get(id).ok_or(Refusal::UnknownEntry(id))?;
        if entry.stage == EntryStage::Offered { Ok(entry) } else { Err(Refusal::NoOffer(id)) }
    }

    /// The next offer to the line: to the first entry, in recorded order, that can use what was freed. A later one comes
    /// first only where the earlier one cannot.
    pub(crate) fn next_offer(&self, moment: Moment) -> Option<Event> {
        if self.freed.is_nothing() || self.line.waiting() == 0 {
            return None;
        }
        let mut first: Option<(&Entry, Seeking<'_>)> = None;
        for (bucket, mut waiting) in self.line.buckets() {
            if !self.freed.helps(&bucket) {
                continue;
            }
            // Someone with a ticket on the run cannot be offered another one; the next in the bucket can.
            let Some(entry) =
                waiting.find(|entry| self.check_persons(entry.wish.persons.iter().copied(), None).is_ok())
            else {
                continue;
            };
            if first.as_ref().is_some_and(|(other, _)| other.sequence < entry.sequence) {
                continue;
            }
            let seeking = Seeking::of_wish(self, moment.now, &entry.wish).ok();
            if let Some(seeking) = seeking.filter(Seeking::is_possible) {
                first = Some((entry, seeking));
            }
        }
        let (entry, seeking) = first?;
        let parts = seeking.places().ok()?;
        let offer_by = moment.from.plus_millis(i64::from(self.plan.terms.offer_ms));
        Some(Event::Offered { id: entry.id, offer_by, parts })
    }

    /// The first entry that could be served now and was not: there must be none.
    pub(crate) fn unserved(&self, now: Time) -> Option<&Entry> {
        let mut entries = self.line.buckets().flat_map(|(_, waiting)| waiting);
        entries.find(|entry| {
            self.check_persons(entry.wish.persons.iter().copied(), None).is_ok()
                && Seeking::of_wish(self, now, &entry.wish).is_ok_and(|seeking| seeking.is_possible())
        })
    }
}

impl crate::line::Line {
    /// The entry whose offers make a hold with this id.
    pub(super) fn get_by_hold(&self, hold: HoldId) -> Option<&Entry> {
        self.get(WishId { entry: domain::EntryId::from_u128(hold.owner), choice: hold.leg })
    }
}
