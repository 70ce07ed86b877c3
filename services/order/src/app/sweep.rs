//! Goes on with orders that were left: deadlines that passed, effects that failed, notices that never came.

use std::sync::Arc;

use domain::OrderId;
use due_work::DueWork;

use super::App;
use crate::error::Error;
use crate::metrics;
use crate::state::{Event, awaited, pending};
use crate::store::StoreError;

/// Due orders as work.
#[derive(Clone, Debug)]
pub struct Sweeper(pub Arc<App>);

impl DueWork for Sweeper {
    type Item = OrderId;
    type Key = OrderId;
    type Error = StoreError;

    fn name(&self) -> &'static str {
        "orders"
    }

    fn key(&self, item: &OrderId) -> OrderId {
        *item
    }

    async fn due(&self, limit: usize) -> Result<Vec<OrderId>, StoreError> {
        self.0.store.due(self.0.clock.now(), limit).await
    }

    async fn perform(&self, id: OrderId) {
        if let Err(error) = self.0.sweep(id).await {
            metrics::sweep_failed();
            tracing::warn!(order = %id, %error, "an order could not be swept");
            // Whatever is wrong with it, it must not stand in the way of the others.
            let later = self.0.clock.now().plus_millis(self.0.options.retry_max_ms.into());
            if let Err(error) = self.0.store.postpone(id, later).await {
                tracing::warn!(order = %id, %error, "an order could not be postponed");
            }
        }
    }
}

impl App {
    /// Goes on with one order: lets time pass, performs what is to be done, and asks about what was not heard of.
    pub(super) async fn sweep(&self, id: OrderId) -> Result<(), Error> {
        let order = self.load(id).await?;
        let seen = order.version;
        let order = self.apply(order, Event::Tick).await?;
        let mut order = self.drive(order).await?;
        for effect in awaited(&order) {
            if let Some(next) = self.attempt(&order, &effect).await? {
                order = self.drive(next).await?;
            }
        }
        let waits = !pending(&order, &self.terms).is_empty() || !awaited(&order).is_empty();
        // A changed order has been made due by its change; one that waits in vain is looked at later.
        if order.version == seen || waits {
            let now = self.clock.now();
            let next = crate::state::next_deadline(&order).unwrap_or(domain::Time::from_millis(i64::MAX));
            self.store.postpone(id, self.retry_at(&order, now).min(next)).await?;
        }
        Ok(())
    }
}
