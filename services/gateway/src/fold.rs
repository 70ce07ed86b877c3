//! Folds duplicate submissions: while an order is being placed, its repetitions wait for the same answer.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{AccountId, OrderId};
use parking_lot::Mutex;
use proto::order::v1::Order;
use tokio::sync::watch;
use tonic::Status;

use crate::error::Error;

type Key = (AccountId, OrderId);
type Outcome = Result<Order, Status>;

/// The orders being placed at this gateway. Bounded by the calls in flight: each has at most one.
#[derive(Debug, Default)]
pub struct Fold {
    placing: Mutex<HashMap<Key, Placing>>,
}

#[derive(Debug)]
struct Placing {
    content: u64,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// What a submission finds.
enum Found {
    /// It is the first: it does the work.
    First(Guard),
    /// It waits for the first one's outcome.
    Duplicate(watch::Receiver<Option<Outcome>>),
}

/// Forgets the order when the first submission ends, however it ends.
struct Guard {
    fold: Arc<Fold>,
    key: Key,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.fold.placing.lock().remove(&self.key);
    }
}

impl Fold {
    /// Does the work once for all submissions of an order that come while it is done. `content` is a hash of the request.
    ///
    /// # Errors
    /// The work's, and another content under the same id.
    pub async fn once<W>(
        self: &Arc<Self>,
        account: &AccountId,
        order: OrderId,
        content: u64,
        work: impl Fn() -> W,
    ) -> Result<Order, Error>
    where
        W: Future<Output = Result<Order, Error>>,
    {
        loop {
            match self.find(account, order, content)? {
                Found::First(guard) => {
                    let outcome = work().await.map_err(Status::from);
                    guard.outcome.send_replace(Some(outcome.clone()));
                    return Ok(outcome?);
                }
                Found::Duplicate(mut outcome) => {
                    let waited = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
                    if let Some(outcome) = waited {
                        crate::metrics::folded();
                        return Ok(outcome?);
                    }
                    // The first one was given up by its caller: go on in its place.
                }
            }
        }
    }

    fn find(self: &Arc<Self>, account: &AccountId, order: OrderId, content: u64) -> Result<Found, Error> {
        let key = (account.clone(), order);
        let mut placing = self.placing.lock();
        if let Some(first) = placing.get(&key) {
            return if first.content == content {
                Ok(Found::Duplicate(first.outcome.clone()))
            } else {
                Err(Error::IdReused(order))
            };
        }
        let (sender, receiver) = watch::channel(None);
        placing.insert(key.clone(), Placing { content, outcome: receiver });
        Ok(Found::First(Guard { fold: Arc::clone(self), key, outcome: sender }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn order() -> OrderId {
        OrderId::from_u128(1)
    }

    #[tokio::test]
    async fn duplicates_share_one_outcome_and_other_content_is_refused() {
        let (fold, account) = (Arc::new(Fold::default()), "a".parse::<AccountId>().unwrap());
        let (worked, go_on) = (AtomicU32::new(0), Notify::new());
        let work = || async {
            worked.fetch_add(1, Ordering::SeqCst);
            go_on.notified().await;
            Ok(Order { order_id: "1".into(), ..Order::default() })
        };
        let other = || async { panic!("other content is never worked on") };
        let (first, second, refused, ()) = tokio::join!(
            fold.once(&account, order(), 7, work),
            fold.once(&account, order(), 7, work),
            fold.once(&account, order(), 8, other),
            async { go_on.notify_one() },
        );
        assert_eq!(first.unwrap(), second.unwrap());
        assert!(matches!(refused.unwrap_err(), Error::IdReused(_)));
        assert_eq!(worked.load(Ordering::SeqCst), 1);
        assert!(fold.placing.lock().is_empty());
    }

    #[tokio::test]
    async fn a_duplicate_takes_over_when_the_first_caller_goes_away() {
        let (fold, account) = (Arc::new(Fold::default()), "a".parse::<AccountId>().unwrap());
        let first = {
            let (fold, account) = (Arc::clone(&fold), account.clone());
            tokio::spawn(async move { fold.once(&account, order(), 7, std::future::pending).await })
        };
        while fold.placing.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        let done = || async { Ok(Order::default()) };
        let second = fold.once(&account, order(), 7, done);
        let (second, ()) = tokio::join!(second, async { first.abort() });
        second.unwrap();
    }
}
