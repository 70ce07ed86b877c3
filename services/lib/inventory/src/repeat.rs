//! Commands that were accepted before answer as they did then, and nothing happens.

use domain::HoldId;

use crate::answer::{Answer, Held};
use crate::command::{Command, RequestId, WishId};
use crate::hold::{Hold, HoldStage};
use crate::line::EntryStage;
use crate::refusal::Refusal;
use crate::sale::Sale;
use crate::train_date::TrainDate;

/// What is known of a command: nothing, or that it was accepted.
type Known = Result<bool, Refusal>;

impl TrainDate {
    /// Whether a command was accepted before.
    ///
    /// # Errors
    /// The id was used with another payload.
    pub(crate) fn is_repeat(&self, payload_hash: u64, command: &Command) -> Known {
        let Some(sale) = &self.sale else { return Ok(false) };
        let same = |known: u64| if known == payload_hash { Ok(true) } else { Err(Refusal::PayloadDiffers) };
        let requested = |id: RequestId| sale.request(id).map_or(Ok(false), same);
        match command {
            Command::Hold(request) | Command::Change { new: request, .. } => {
                sale.hold(request.hold).map_or(Ok(false), |hold| same(hold.payload_hash))
            }
            Command::OpenHold { hold } => Ok(sale.hold(*hold).is_some_and(|hold| hold.payment.is_some())),
            Command::Confirm { hold } => Ok(sale.hold(*hold).is_some_and(|hold| hold.confirmed)),
            Command::Release { hold } => Ok(sale.hold(*hold).is_some_and(|hold| hold.stage == HoldStage::Released)),
            Command::Refund { hold, passengers } => Ok(sale.was_refunded(*hold, passengers)),
            Command::OpenSale { request, .. }
            | Command::AddCapacity { request, .. }
            | Command::SetQuotas { request, .. }
            | Command::CloseSale { request, .. } => requested(*request),
            Command::Join { id, .. } => sale.line.get(*id).map_or(Ok(false), |entry| same(entry.payload_hash)),
            Command::Leave { id } => Ok(sale.entry_stands(*id, &[EntryStage::Left, EntryStage::Declined])),
            Command::AcceptOffer { id } => Ok(sale.entry_stands(*id, &[EntryStage::Accepted])),
            Command::DeclineOffer { id } => Ok(sale.entry_stands(*id, &[EntryStage::Declined])),
            Command::Advance { .. } => Ok(false),
        }
    }

    /// The answer to an accepted command, from the state it left behind: the same for ever.
    pub(crate) fn answer(&self, command: &Command) -> Answer {
        match command {
            Command::OpenSale { .. } => Answer::SaleOpened,
            Command::Hold(request) => Answer::Held(self.held(request.hold)),
            Command::OpenHold { hold } => {
                let payment = self.known_hold(*hold).payment.expect("an open hold has deadlines");
                Answer::HoldOpened { pay_by: payment.pay_by, hard_limit: payment.hard_limit }
            }
            Command::Confirm { .. } => Answer::Confirmed,
            Command::Release { .. } => Answer::Released,
            Command::Refund { .. } => Answer::Refunded,
            Command::Change { new, .. } => Answer::Changed(self.held(new.hold)),
            Command::AddCapacity { .. } => Answer::CapacityAdded,
            Command::SetQuotas { .. } => Answer::QuotasSet,
            Command::CloseSale { .. } => Answer::SaleClosed,
            Command::Join { id, .. } => {
                let entry = self.on_sale().line.get(*id).expect("an entry that joined is remembered");
                Answer::Joined { sequence: entry.sequence }
            }
            Command::Leave { .. } => Answer::Left,
            Command::AcceptOffer { id } => {
                let hold = self.known_hold(id.hold());
                let payment = hold.payment.expect("an accepted offer has deadlines");
                Answer::OfferAccepted {
                    hold: hold.id,
                    pay_by: payment.pay_by,
                    hard_limit: payment.hard_limit,
                    parts: self.on_sale().assigned(&hold.parts),
                }
            }
            Command::DeclineOffer { .. } => Answer::OfferDeclined,
            Command::Advance { .. } => Answer::Advanced { to: self.now },
        }
    }

    fn held(&self, id: HoldId) -> Held {
        let hold = self.known_hold(id);
        Held { open_by: hold.open_by, version: hold.version, parts: self.on_sale().assigned(&hold.parts) }
    }

    fn known_hold(&self, id: HoldId) -> &Hold {
        self.on_sale().hold(id).expect("an accepted command's hold is remembered for the life of the run")
    }

    fn on_sale(&self) -> &Sale {
        self.sale.as_ref().expect("every accepted command but time needs a run on sale")
    }
}

impl Sale {
    fn was_refunded(&self, id: HoldId, passengers: &[u8]) -> bool {
        let refunded = |hold: &Hold| {
            let all = passengers.iter().all(|&passenger| passenger < hold.passengers() && hold.is_refunded(passenger));
            !passengers.is_empty() && all
        };
        self.hold(id).is_some_and(refunded)
    }

    fn entry_stands(&self, id: WishId, stages: &[EntryStage]) -> bool {
        self.line.get(id).is_some_and(|entry| stages.contains(&entry.stage))
    }
}
