//! Work of one kind done for many items by the same few statements: a statement costs far more than one more row of it.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::Database;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::group::{Fate, GroupBackend, GroupError, Member, Standing, catch};

/// A kind of transaction, or of reading, that many callers ask for, each for an item of its own.
///
/// The items of all who wait are done together. Where that fails, for instance because one of them breaks a constraint,
/// nothing of it is kept and each is done alone: an item fares as if it had been submitted by itself.
pub trait Lot<DB: Database>: Send + Sync + 'static {
    /// What a caller brings.
    type Item: Send + Sync + 'static;
    /// What a caller gets.
    type Value: Send + 'static;
    /// Why a caller gets nothing.
    type Error: Send + 'static;

    /// Does the work for all items: an outcome for each, in their order. An item whose outcome is an error has written
    /// nothing that matters.
    ///
    /// # Errors
    /// It cannot be done for these items together; for a single item, why it cannot be done.
    fn perform<'c>(
        &'c self,
        connection: &'c mut DB::Connection,
        items: &'c [Self::Item],
    ) -> BoxFuture<'c, LotOutcomes<Self::Value, Self::Error>>;
}

/// An outcome for each item, or why they cannot be done together.
pub type LotOutcomes<T, E> = Result<Vec<Result<T, E>>, E>;

/// The way into a [`GroupWriter`](crate::GroupWriter) for the items of a [`Lot`].
pub struct LotWriter<DB: GroupBackend, L: Lot<DB>> {
    queue: mpsc::Sender<Box<dyn Member<DB>>>,
    gathering: Arc<Gathering<DB, L>>,
    /// One for each item that may wait or be worked on.
    places: Arc<Semaphore>,
}

/// Items that wait for their turn in a group.
struct Gathering<DB: Database, L: Lot<DB>> {
    lot: L,
    waiting: Mutex<Vec<Waiting<DB, L>>>,
}

struct Waiting<DB: Database, L: Lot<DB>> {
    item: L::Item,
    answer: Answer<L::Value, L::Error>,
    _place: OwnedSemaphorePermit,
}

type Answer<T, E> = oneshot::Sender<Result<T, GroupError<E>>>;

impl<DB: GroupBackend, L: Lot<DB>> LotWriter<DB, L> {
    pub(crate) fn new(lot: L, items_max: usize, queue: mpsc::Sender<Box<dyn Member<DB>>>) -> Self {
        let gathering = Arc::new(Gathering { lot, waiting: Mutex::default() });
        Self { queue, gathering, places: Arc::new(Semaphore::new(items_max)) }
    }

    /// Does an item with those that wait beside it, and returns its value once the commit is durable.
    ///
    /// Waits while as many items wait as may. A caller that stops waiting before its turn leaves nothing behind; one that
    /// stops later does not learn the outcome.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn submit(&self, item: L::Item) -> Result<L::Value, GroupError<L::Error>> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| GroupError::Closed)?;
        // Before the item is put down: the first one must not be left without a member that fetches it.
        let turn = self.queue.reserve().await.map_err(|_| GroupError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut waiting = self.gathering.waiting.lock();
            waiting.push(Waiting { item, answer, _place: place });
            waiting.len() == 1
        };
        if is_first {
            turn.send(Box::new(LotMember { gathering: self.gathering.clone(), taken: None }));
        } else {
            drop(turn);
        }
        answered.await.unwrap_or(Err(GroupError::Closed))
    }
}

impl<DB: GroupBackend, L: Lot<DB>> Debug for LotWriter<DB, L> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("LotWriter").field("places", &self.places.available_permits()).finish_non_exhaustive()
    }
}

/// The member of a group that takes all items that wait by its turn.
struct LotMember<DB: Database, L: Lot<DB>> {
    gathering: Arc<Gathering<DB, L>>,
    /// Those it has taken, once its turn has come.
    taken: Option<Vec<Done<DB, L>>>,
}

struct Done<DB: Database, L: Lot<DB>> {
    answer: Answer<L::Value, L::Error>,
    result: Option<Result<L::Value, GroupError<L::Error>>>,
    _place: OwnedSemaphorePermit,
}

impl<DB: GroupBackend, L: Lot<DB>> Member<DB> for LotMember<DB, L> {
    fn is_abandoned(&self) -> bool {
        // It has to fetch its items, also where nobody waits for them any more.
        false
    }

    fn run<'a>(
        &'a mut self,
        connection: &'a mut DB::Connection,
        _: Standing,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>> {
        Box::pin(async move {
            let (items, done) = self.gathering.take();
            let done = self.taken.insert(done);
            let results = perform(&self.gathering.lot, connection, &items).await?;
            let keep = results.iter().any(Result::is_ok);
            for (done, result) in done.iter_mut().zip(results) {
                done.result = Some(result);
            }
            Ok(keep)
        })
    }

    fn answer(self: Box<Self>, fate: &Fate) {
        // A group that failed before its turn fails those who wait for it.
        let taken = self.taken.unwrap_or_else(|| self.gathering.take().1);
        for Done { answer, result, .. } in taken {
            // The caller may have stopped waiting.
            let _ = answer.send(fate.tell(result));
        }
    }
}

impl<DB: Database, L: Lot<DB>> Gathering<DB, L> {
    /// All that wait and are still waited for.
    fn take(&self) -> (Vec<L::Item>, Vec<Done<DB, L>>) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let wanted = waiting.into_iter().filter(|waiting| !waiting.answer.is_closed());
        wanted.map(|Waiting { item, answer, _place }| (item, Done { answer, result: None, _place })).unzip()
    }
}

/// Does all items together, or each alone where that fails. An error is that of a savepoint: the connection is broken.
async fn perform<DB: GroupBackend, L: Lot<DB>>(
    lot: &L,
    connection: &mut DB::Connection,
    items: &[L::Item],
) -> Result<Vec<Result<L::Value, GroupError<L::Error>>>, sqlx::Error> {
    match items {
        [] => return Ok(Vec::new()),
        [_] => return Ok(vec![alone(lot, connection, items).await]),
        _ => {}
    }
    DB::control(connection, "SAVEPOINT lot").await?;
    if let Ok(outcomes) = catch(lot.perform(connection, items)).await
        && outcomes.len() == items.len()
    {
        DB::control(connection, "RELEASE SAVEPOINT lot").await?;
        return Ok(outcomes.into_iter().map(|outcome| outcome.map_err(GroupError::Refused)).collect());
    }
    DB::control(connection, "ROLLBACK TO SAVEPOINT lot").await?;
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        let result = alone(lot, connection, std::slice::from_ref(item)).await;
        let next = match &result {
            Ok(_) => "RELEASE SAVEPOINT lot; SAVEPOINT lot",
            Err(_) => "ROLLBACK TO SAVEPOINT lot",
        };
        DB::control(connection, next).await?;
        results.push(result);
    }
    DB::control(connection, "RELEASE SAVEPOINT lot").await?;
    Ok(results)
}

/// Does one item alone.
pub(crate) async fn alone<DB: Database, L: Lot<DB>>(
    lot: &L,
    connection: &mut DB::Connection,
    item: &[L::Item],
) -> Result<L::Value, GroupError<L::Error>> {
    match catch(lot.perform(connection, item)).await?.pop() {
        Some(outcome) => outcome.map_err(GroupError::Refused),
        // Not reached by a lot that gives an outcome for each item.
        None => Err(GroupError::Closed),
    }
}
