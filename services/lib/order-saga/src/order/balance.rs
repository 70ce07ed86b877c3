use domain::Money;

use super::{ChangeStage, Order, Refund, RefundState, TradeState};

/// The money of an order at one moment (invariant I2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What came in.
    pub captured: Money,
    /// The fares of tickets that are paid and live.
    pub tickets: Money,
    /// What was kept.
    pub fees: Money,
    /// What has gone back.
    pub refunded: Money,
    /// What is on its way back.
    pub refunding: Money,
}

impl Balance {
    /// Whether every fen that came in is accounted for.
    pub fn is_even(&self) -> bool {
        self.captured == self.tickets + self.fees + self.refunded + self.refunding
    }
}

impl Order {
    /// Its money now.
    pub fn balance(&self) -> Balance {
        let arrived = |refund: &&Refund| refund.state == RefundState::Arrived;
        let live = self.tickets.iter().filter(|ticket| self.paid.is_some() && ticket.state.is_live());
        Balance {
            captured: self.trades.iter().map(|trade| trade.captured).sum(),
            tickets: live.map(|ticket| ticket.fare).sum::<Money>() + self.paid_ahead(),
            fees: self.tickets.iter().map(|ticket| ticket.fee).sum(),
            refunded: self.refunds.iter().filter(arrived).map(|refund| refund.amount).sum(),
            refunding: self.refunds.iter().filter(|refund| !arrived(refund)).map(|refund| refund.amount).sum(),
        }
    }

    /// The difference of a change that is paid and whose tickets are not issued yet: it stands for their value.
    fn paid_ahead(&self) -> Money {
        let Some(change) = self.change().filter(|change| change.stage == ChangeStage::Confirming) else {
            return Money::ZERO;
        };
        let of_change = self
            .trades
            .iter()
            .filter(|trade| trade.change == Some(change.number) && trade.state == TradeState::Captured);
        let spent = |attempt: u32| -> Money {
            self.refunds.iter().filter(|refund| refund.attempt == attempt).map(|refund| refund.amount).sum()
        };
        of_change.map(|trade| trade.captured - spent(trade.attempt)).sum()
    }

    /// What of a captured trade has neither gone back nor been kept as a fee.
    pub(crate) fn left_of(&self, attempt: u32) -> Money {
        let captured = self.trades.iter().filter(|trade| trade.attempt == attempt).map(|trade| trade.captured);
        let taken = self.refunds.iter().filter(|refund| refund.attempt == attempt);
        captured.sum::<Money>() - taken.map(|refund| refund.amount + refund.fee).sum()
    }
}
