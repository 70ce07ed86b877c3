//! What must hold, judged by what really happened: the provider's money, the seats at the shards, the tickets sold.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Money, OrderId};
use inventory::HoldStage;
use order_saga::order::{ChangeStage, EndReason, Order, Phase, RefundState, TicketState, TradeState};
use trade::ChargeState;

use super::World;

/// Acceptances by order and what was asked, with what was answered.
pub(super) type Answers = BTreeMap<(OrderId, &'static str), (Money, Money)>;

impl World {
    /// Says that something broke. The first counts.
    pub(super) fn broken(&self, what: impl FnOnce() -> String) {
        self.broken.borrow_mut().get_or_insert_with(what);
    }

    /// A client was answered: the same question has the same answer, however often it is asked.
    pub(super) fn accepted(&self, id: OrderId, what: &'static str, answer: impl FnOnce() -> (Money, Money)) {
        let answer = answer();
        let first = *self.answers.borrow_mut().entry((id, what)).or_insert(answer);
        if first != answer {
            self.broken(|| format!("I5: order {id}, {what}: answered {first:?} and later {answer:?}"));
        }
    }

    /// Tickets stand for confirmed seats from their first moment on.
    pub(super) fn judge_phase(&self, before: Phase, after: &Order) {
        if before == after.phase || after.phase != Phase::Confirmed {
            return;
        }
        let mut counts = self.counts.borrow_mut();
        if before == Phase::Changing {
            let done = after.changes.last().is_some_and(|change| change.stage == ChangeStage::Done);
            counts.changed += u64::from(done);
            counts.not_changed += u64::from(!done);
        } else {
            counts.confirmed += 1;
        }
        let good = |leg: &u8| after.tickets_of(*leg).any(|ticket| ticket.state == TicketState::Issued);
        for leg in (0..after.legs.len() as u8).filter(good).map(|leg| &after.legs[usize::from(leg)]) {
            let stage = self.stage(leg.run, leg.hold);
            if stage != Some(HoldStage::Confirmed) {
                self.broken(|| format!("I1: order {} has tickets, its hold is {stage:?}", after.id));
            }
        }
    }

    /// Seats of an unpaid order are given up only when no money can come for them any more.
    pub(super) fn judge_release(&self, order: &Order) {
        let Phase::Closing(EndReason::Lapsed | EndReason::Cancelled) = order.phase else { return };
        let provider = self.provider.borrow();
        let open = order.trades.iter().filter(|trade| trade.state == TradeState::Open);
        for trade in open {
            let charge = provider.charges.get(&order.trade_id(trade.attempt));
            if charge.is_some_and(|charge| charge.state == ChargeState::Pending) {
                self.broken(|| format!("order {} releases seats that may still be paid for", order.id));
            }
        }
    }

    /// Judges the world at its end, a minute after the last fault and the last hard limit.
    pub(super) fn judge(&self) {
        self.judge_seats();
        let orders = self.orders.borrow();
        for row in orders.rows.values() {
            self.judge_end(&row.order);
        }
        let provider = self.provider.borrow();
        let names: BTreeSet<&String> = provider.charges.values().map(|charge| &charge.order).collect();
        for name in names {
            let order = name.parse().ok().and_then(|id: OrderId| orders.rows.get(&id)).map(|row| &row.order);
            self.judge_money(name, order);
        }
        if let Some(notice) = self.payments.borrow().notices.values().next() {
            self.broken(|| format!("I3: a notice is not taken: {notice:?}"));
        }
        let mut successes = BTreeMap::<&str, u32>::new();
        for id in provider.refunds.iter().filter(|(_, refund)| refund.arrived).map(|(id, _)| id) {
            let meant = id.split('?').next().unwrap_or(id);
            *successes.entry(meant).or_default() += 1;
        }
        if let Some((id, times)) = successes.iter().find(|(_, times)| **times > 1) {
            self.broken(|| format!("I8: refund {id} was paid {times} times"));
        }
    }

    /// I3: finished, or a clean slate.
    fn judge_end(&self, order: &Order) {
        let ended = matches!(order.phase, Phase::Confirmed | Phase::Released(_) | Phase::Refunded(_));
        let owed = order.refunds.iter().find(|refund| refund.state != RefundState::Arrived);
        let open = order.trades.iter().find(|trade| trade.state == TradeState::Open);
        let changing = order.changes.iter().find(|it| !matches!(it.stage, ChangeStage::Done | ChangeStage::Failed(_)));
        if !ended || owed.is_some() || open.is_some() || changing.is_some() {
            self.broken(|| {
                format!("I3: order {} is {:?}, trades {:?}, refunds {:?}", order.id, order.phase, open, owed)
            });
        }
    }

    /// As many confirmed seats as issued tickets, and nothing else held.
    fn judge_seats(&self) {
        let mut seats = BTreeMap::<u128, usize>::new();
        for (hold, count, confirmed) in self.shards.borrow_mut().live(self.time()) {
            if !confirmed {
                self.broken(|| format!("seats are still held by {hold}"));
            }
            *seats.entry(hold.owner).or_default() += count;
        }
        for row in self.orders.borrow().rows.values() {
            let issued = row.order.tickets.iter().filter(|ticket| ticket.state == TicketState::Issued).count();
            let seated = seats.remove(&row.order.id.as_u128()).unwrap_or_default();
            if issued != seated {
                self.broken(|| format!("order {} has {issued} tickets and {seated} seats", row.order.id));
            }
        }
        if let Some((owner, count)) = seats.first_key_value() {
            self.broken(|| format!("{count} seats belong to nobody's order {owner}"));
        }
    }

    /// I2 and I8: what came and did not go back is what tickets and fees are worth, at the provider and in the ledger.
    fn judge_money(&self, name: &str, order: Option<&Order>) {
        let provider = self.provider.borrow();
        let of_order = provider.charges.iter().filter(|(_, charge)| charge.order == name);
        let mut kept = Money::ZERO;
        for (id, charge) in of_order {
            let captured = if charge.state == ChargeState::Succeeded { charge.amount } else { Money::ZERO };
            let back: Money = provider.refunds.values().filter(|one| one.trade == *id).map(|one| one.amount).sum();
            if back > captured {
                self.broken(|| format!("I8: {back} of {captured} went back from {id}"));
            }
            kept = kept + captured - back;
        }
        let tickets = order.into_iter().flat_map(|order| &order.tickets);
        let worth: Money = tickets
            .map(|ticket| if ticket.state == TicketState::Issued { ticket.fare } else { Money::ZERO } + ticket.fee)
            .sum();
        if kept != worth {
            self.broken(|| format!("I2: of order {name} {kept} is kept for tickets and fees of {worth}"));
        }
        let payments = self.payments.borrow();
        let postings = payments.postings.iter().filter(|(of, _)| of == name).map(|(_, posting)| posting);
        let mut sums = [Money::ZERO; 4];
        for posting in postings {
            let values = [posting.provider, posting.sales, posting.fees, posting.refunds_due];
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = *sum + value;
            }
        }
        let fees: Money = order.into_iter().flat_map(|order| &order.tickets).map(|ticket| ticket.fee).sum();
        if -sums[2] != fees {
            self.broken(|| format!("I2: the ledger of order {name} says {sums:?}, its fees are {fees}"));
        }
        if sums[0] != kept || sums.iter().copied().sum::<Money>() != Money::ZERO || sums[3] != Money::ZERO {
            self.broken(|| format!("I2: the ledger of order {name} says {sums:?}, the provider keeps {kept}"));
        }
    }
}
