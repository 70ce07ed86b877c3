//! What goes on without being called: unknown outcomes are asked for, orders are told what they must know.

use std::sync::Arc;

use due_work::{DueWork, Limits, drive};
use failpoints::Point;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::error::Error;
use crate::metrics;
use crate::orders::Orders;
use crate::state::{Refund, Trade, backoff_ms};
use crate::store::{Notice, StoreError};

const NOTICE_BACKOFF_FIRST_MS: u32 = 200;
const NOTICE_BACKOFF_MAX_MS: u32 = 30_000;

/// Asks the provider about trades and refunds whose outcome is not known, until stopped.
pub async fn sweep(app: Arc<App>, limits: Limits, stop: CancellationToken) {
    let (trades, refunds) = (DueTrades(&app), DueRefunds(&app));
    // The first question is asked by the call that records a trade or refund: what is due here has waited before.
    let (no_wake, none_either) = (Notify::new(), Notify::new());
    tokio::join!(drive(&trades, limits, &no_wake, &stop), drive(&refunds, limits, &none_either, &stop));
}

/// Tells orders what they must know, at least once and in order for each, until stopped.
pub async fn tell_orders(app: Arc<App>, orders: Arc<dyn Orders>, limits: Limits, stop: CancellationToken) {
    drive(&DueNotices { app: &app, orders: &*orders }, limits, app.wake_notices(), &stop).await;
}

struct DueTrades<'a>(&'a App);

impl DueWork for DueTrades<'_> {
    type Item = Trade;
    type Key = String;
    type Error = StoreError;

    fn name(&self) -> &'static str {
        "trades"
    }

    fn key(&self, trade: &Trade) -> String {
        trade.trade_id.clone()
    }

    async fn due(&self, limit: usize) -> Result<Vec<Trade>, StoreError> {
        self.0.store().due_trades(self.0.now(), limit_of(limit)).await
    }

    async fn perform(&self, trade: Trade) {
        report("ask about a trade", self.0.drive_trade(trade).await);
    }
}

struct DueRefunds<'a>(&'a App);

impl DueWork for DueRefunds<'_> {
    type Item = Refund;
    type Key = String;
    type Error = StoreError;

    fn name(&self) -> &'static str {
        "refunds"
    }

    fn key(&self, refund: &Refund) -> String {
        refund.refund_id.clone()
    }

    async fn due(&self, limit: usize) -> Result<Vec<Refund>, StoreError> {
        self.0.store().due_refunds(self.0.now(), limit_of(limit)).await
    }

    async fn perform(&self, refund: Refund) {
        report("ask for a refund", self.0.drive_refund(refund).await);
    }
}

struct DueNotices<'a> {
    app: &'a App,
    orders: &'a dyn Orders,
}

impl DueWork for DueNotices<'_> {
    type Item = Notice;
    type Key = String;
    type Error = StoreError;

    fn name(&self) -> &'static str {
        "notices"
    }

    fn key(&self, notice: &Notice) -> String {
        notice.order_id.clone()
    }

    async fn due(&self, limit: usize) -> Result<Vec<Notice>, StoreError> {
        self.app.store().due_notices(self.app.now(), limit_of(limit)).await
    }

    async fn perform(&self, notice: Notice) {
        report("tell an order", self.tell(notice).await);
    }
}

impl DueNotices<'_> {
    async fn tell(&self, notice: Notice) -> Result<(), Error> {
        failpoints::at(Point::PaymentBeforeTold).await?;
        let told = self.orders.tell(&notice).await;
        failpoints::at(Point::PaymentAfterTold).await?;
        metrics::notice(told.is_ok());
        match told {
            Ok(()) => {
                self.app.store().notice_taken(notice.notice_id).await?;
                failpoints::at(Point::PaymentAfterNoticeCrossedOff).await?;
            }
            // Never given up: it is about money. Whatever order says, it is told again until it takes it.
            Err(status) => {
                tracing::warn!(order = notice.order_id, attempts = notice.attempts + 1, %status, "order was not told");
                let wait = backoff_ms(notice.attempts, NOTICE_BACKOFF_FIRST_MS, NOTICE_BACKOFF_MAX_MS);
                self.app.store().notice_failed(notice.notice_id, self.app.now().plus_millis(wait)).await?;
            }
        }
        Ok(())
    }
}

fn limit_of(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// What failed stays due: it is taken up again at a later poll.
fn report<T>(what: &'static str, result: Result<T, Error>) {
    if let Err(error) = result {
        tracing::warn!(what, error = &error as &dyn std::error::Error, "due work failed");
    }
}

#[cfg(test)]
#[path = "workers/tests.rs"]
mod tests;
