use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::Time;
use parking_lot::Mutex;

use super::rate::Rate;

/// What is remembered of one account.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Calls in work.
    pub in_flight: AtomicU32,
    /// The theoretical arrival time of the rate, see [`Rate::admit`].
    arrival_us: Mutex<i64>,
}

impl Account {
    /// Counts a call against a rate: 0 when it is admitted, else how long to wait.
    pub fn rate_wait_ms(&self, rate: Rate, now: Time) -> u32 {
        let mut arrival = self.arrival_us.lock();
        match rate.admit(*arrival, now) {
            Ok(next) => {
                *arrival = next;
                0
            }
            Err(wait_ms) => wait_ms,
        }
    }
}

/// A call in work.
#[derive(Debug)]
pub struct InFlight(Arc<Account>);

impl InFlight {
    /// Counts a call unless as many are in work as may be.
    pub(super) fn enter(account: &Arc<Account>, most: u32) -> Option<Self> {
        let enter = |count: u32| (count < most).then_some(count + 1);
        let entered = account.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter);
        entered.is_ok().then(|| Self(Arc::clone(account)))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
