//! What commands lead to: events, or a refusal. Nothing here changes anything.

mod line;
mod place;
mod stages;

use domain::{Interval, PersonToken, SeatClass, Time};
use smallvec::SmallVec;

use crate::class_state::ClassState;
use crate::command::{Command, CommandMeta, HoldRequest, RequestId};
use crate::event::Event;
use crate::plan::validate_carriages;
use crate::refusal::Refusal;
use crate::sale::{Sale, Timed, Timer};
use crate::train_date::TrainDate;

pub(crate) use place::Seeking;

/// The events of one command.
pub(crate) type Decision = Result<SmallVec<[Event; 1]>, Refusal>;

/// What decisions rest on beside the state.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// The aggregate's time: windows of sale and of limits are judged by it.
    pub now: Time,
    /// When deadlines begin to count: the owner's time, never before the aggregate's.
    pub from: Time,
}

impl TrainDate {
    /// Decides a command that is not a repeat.
    pub(crate) fn decide(&self, meta: &CommandMeta, command: &Command) -> Decision {
        let moment = Moment { now: self.now, from: self.now.max(meta.at) };
        match command {
            Command::OpenSale { plan, .. } => {
                if self.sale.is_some() {
                    return Err(Refusal::AlreadyOnSale);
                }
                plan.validate().map_err(Refusal::BadPlan)?;
                let mut events = SmallVec::new();
                if moment.from > self.now {
                    events.push(Event::Advanced { to: moment.from });
                }
                events.push(Event::SaleOpened(plan.clone()));
                Ok(events)
            }
            Command::Advance { to } => Ok(self.advance(*to)),
            other => self.sale.as_ref().ok_or(Refusal::NotOnSale)?.decide(moment, other),
        }
    }

    /// Time moves, and what ends by itself ends, in order of its time.
    fn advance(&self, to: Time) -> SmallVec<[Event; 1]> {
        let mut events = SmallVec::new();
        if to > self.now {
            events.push(Event::Advanced { to });
        }
        if let Some(sale) = &self.sale {
            let due = sale.timers.iter().take_while(|(time, _)| *time <= to.max(self.now));
            events.extend(due.map(|(_, timer)| sale.ends(*timer)));
        }
        events
    }
}

impl Sale {
    fn decide(&self, moment: Moment, command: &Command) -> Decision {
        let event = match command {
            Command::Hold(request) => self.hold_event(moment, request)?,
            Command::OpenHold { hold } => self.open_hold(moment, *hold)?,
            Command::Confirm { hold } => self.confirm(*hold)?,
            Command::Release { hold } => self.release(*hold)?,
            Command::Refund { hold, passengers } => self.refund_event(*hold, passengers)?,
            Command::Change { old, new } => self.change_event(moment, *old, new)?,
            Command::AddCapacity { carriages, .. } => {
                self.check_not_closed()?;
                validate_carriages(&self.plan.carriages, carriages).map_err(Refusal::BadPlan)?;
                Event::CapacityAdded { carriages: carriages.clone() }
            }
            Command::SetQuotas { quotas, .. } => {
                self.check_not_closed()?;
                quotas.validate(self.plan.stops.len()).map_err(Refusal::BadQuotas)?;
                Event::QuotasSet(quotas.clone())
            }
            Command::CloseSale { cancelled, .. } => match self.closed {
                // A train whose sale has ended may still be cancelled.
                None => Event::SaleClosed { cancelled: *cancelled },
                Some(false) if *cancelled => Event::SaleClosed { cancelled: true },
                Some(_) => return Err(Refusal::Closed),
            },
            Command::Join { id, wish, deadline } => self.join(moment, *id, wish, *deadline)?,
            Command::Leave { id } => self.leave(*id)?,
            Command::AcceptOffer { id } => self.accept_offer(moment, *id)?,
            Command::DeclineOffer { id } => self.decline_offer(*id)?,
            Command::OpenSale { .. } | Command::Advance { .. } => {
                unreachable!("decided by the train-date, on sale or not")
            }
        };
        Ok(SmallVec::from_iter([event]))
    }

    fn check_not_closed(&self) -> Result<(), Refusal> {
        if self.closed.is_some() { Err(Refusal::Closed) } else { Ok(()) }
    }

    /// The payload hash that an operator's request was accepted with.
    pub(crate) fn request(&self, id: RequestId) -> Option<u64> {
        self.requests.get(&id.0).copied()
    }

    /// What a due timer leads to.
    fn ends(&self, timer: Timer) -> Event {
        match timer.timed() {
            Timed::Hold(index) => self.hold_ends(index),
            Timed::Entry(sequence) => {
                let entry = self.line.at(sequence).expect("a timer's entry has joined");
                Event::Left { id: entry.id, expired: true }
            }
        }
    }

    fn hold_event(&self, moment: Moment, request: &HoldRequest) -> Result<Event, Refusal> {
        if self.line.get_by_hold(request.hold).is_some() {
            // Offers to waitlist entries make holds named after the entry: both draw on one space of ids.
            return Err(Refusal::PayloadDiffers);
        }
        let seeking = Seeking::of_request(self, moment.now, request)?;
        let persons = request.passengers.iter().map(|passenger| passenger.person);
        self.check_persons(persons, None)?;
        let parts = seeking.places()?;
        let open_by = moment.from.plus_millis(i64::from(self.plan.terms.open_by_ms));
        Ok(Event::Held { hold: request.hold, open_by, parts })
    }

    /// Checks size, class and stops of a party, and that its boarding stop sells.
    fn check_party(
        &self,
        now: Time,
        class: SeatClass,
        interval: Interval,
        size: usize,
    ) -> Result<&ClassState, Refusal> {
        let stops = self.plan.stops.len();
        if usize::from(interval.to()) >= stops {
            return Err(Refusal::NoSuchStop { stop: interval.to(), stops: stops as u8 });
        }
        self.check_selling(interval.from(), now)?;
        let max = self.plan.terms.party_max;
        if size == 0 {
            return Err(Refusal::EmptyParty);
        }
        if size > usize::from(max) {
            return Err(Refusal::PartyTooLarge { max });
        }
        self.class(class).ok_or(Refusal::NoSuchClass(class))
    }

    /// Checks that nobody stands twice in a party or has a live ticket on the run, other than in the hold `except`.
    fn check_persons(
        &self,
        persons: impl Iterator<Item = PersonToken> + Clone,
        except: Option<u32>,
    ) -> Result<(), Refusal> {
        for (i, person) in persons.clone().enumerate() {
            let holder = self.persons.get(&person);
            let elsewhere = holder.is_some() && holder != except.as_ref();
            if elsewhere || persons.clone().take(i).any(|earlier| earlier == person) {
                return Err(Refusal::DuplicatePassenger { passenger: i as u8 });
            }
        }
        Ok(())
    }
}
