//! Giving back what the operator cannot serve: a cancelled run, or a class withdrawn from it.

use std::sync::Arc;

use domain::{Money, OrderId, Run, SeatClass};
use futures::StreamExt;
use futures::stream::iter;

use super::App;
use crate::error::Error;
use crate::order::{ChangeStage, Order, Phase, TicketState};
use crate::state::Event;

/// Orders read at once, and told of in one step.
const PAGE_ORDERS: u32 = 100;
/// Orders worked on at once.
const IN_FLIGHT_MAX: usize = 16;

/// The withdrawal of a run, step by step.
#[derive(Debug)]
pub struct Withdrawal {
    app: Arc<App>,
    run: Run,
    class: Option<SeatClass>,
    after: Option<OrderId>,
    report: WithdrawalReport,
}

/// How far a withdrawal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WithdrawalReport {
    /// Orders looked at.
    pub orders_done: u32,
    /// Orders there were.
    pub orders_total: u32,
    /// Tickets given back.
    pub tickets_refunded: u32,
    /// What goes back for them.
    pub refund: Money,
    /// Unpaid orders ended.
    pub orders_ended: u32,
    /// Orders that could not be dealt with now.
    pub orders_failed: u32,
}

/// What was done to one order.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    tickets: u32,
    refund: Money,
    ended: bool,
}

impl Withdrawal {
    /// Begins the withdrawal of a run, or of one class of it. Nothing is done yet.
    pub async fn begin(app: Arc<App>, run: Run, class: Option<SeatClass>) -> Result<Self, Error> {
        let report = WithdrawalReport { orders_total: app.store.count_of_run(run).await?, ..Default::default() };
        Ok(Self { app, run, class, after: None, report })
    }

    /// Deals with some more orders. `None` when there are none; what a crash interrupts is found again by a new withdrawal.
    pub async fn advance(&mut self) -> Result<Option<WithdrawalReport>, Error> {
        let ids = self.app.store.of_run(self.run, self.after, PAGE_ORDERS).await?;
        let Some(last) = ids.last().copied() else { return Ok(None) };
        self.after = Some(last);
        let (app, run, class) = (&self.app, self.run, self.class);
        let outcomes: Vec<_> =
            iter(ids).map(|id| app.withdraw(id, run, class)).buffer_unordered(IN_FLIGHT_MAX).collect().await;
        for outcome in outcomes {
            self.report.orders_done += 1;
            match outcome {
                Ok(done) => {
                    self.report.tickets_refunded += done.tickets;
                    self.report.refund = self.report.refund + done.refund;
                    self.report.orders_ended += u32::from(done.ended);
                }
                Err(error) => {
                    tracing::warn!(run = %self.run, %error, "an order of a withdrawn run could not be dealt with");
                    self.report.orders_failed += 1;
                }
            }
        }
        Ok(Some(self.report))
    }

    /// How far it is.
    pub const fn report(&self) -> WithdrawalReport {
        self.report
    }
}

impl App {
    /// Gives the tickets of an order for a run back, in full, or ends the order if it is not paid.
    async fn withdraw(&self, id: OrderId, run: Run, class: Option<SeatClass>) -> Result<Done, Error> {
        let mut order = self.load(id).await?;
        if !order.legs.iter().any(|leg| leg.run == run && class.is_none_or(|class| class == leg.class)) {
            return Ok(Done::default());
        }
        if order.phase.is_unpaid() {
            let order = self.apply(order, Event::Withdraw).await?;
            self.drive(order).await?;
            return Ok(Done { ended: true, ..Done::default() });
        }
        if order.change().is_some_and(|change| change.stage == ChangeStage::Unpaid) {
            order = self.apply(order, Event::Withdraw).await?;
        }
        if matches!(order.phase, Phase::Captured | Phase::Changing) {
            order = self.drive(order).await?;
        }
        let mut done = Done::default();
        for position in concerned(&order, run, class) {
            order = self.apply(order, Event::GiveBack { ticket: position as u8, fee: Money::ZERO }).await?;
            done.tickets += 1;
            done.refund = done.refund + order.tickets[position].refund;
        }
        self.drive(order).await?;
        Ok(done)
    }
}

/// The positions of the tickets that are to be given back.
fn concerned(order: &Order, run: Run, class: Option<SeatClass>) -> Vec<usize> {
    let hit = |position: &usize| {
        let ticket = &order.tickets[*position];
        let leg = &order.legs[usize::from(ticket.leg)];
        ticket.state == TicketState::Issued && leg.run == run && class.is_none_or(|class| class == leg.class)
    };
    (0..order.tickets.len()).filter(hit).collect()
}
