//! Reads of one kind done for many callers by the same statement.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use sqlx::{Database, Pool};
use tokio::sync::{mpsc, oneshot};

use crate::at_hand::AtHand;
use crate::group::{GroupError, catch};
use crate::lot::{Lot, alone};

/// Reads items together: whatever was asked for while the last read ran is read next, by one statement on one connection.
///
/// No timer: a lone read goes at once. Dropping the reader lets what was asked for finish.
pub struct LotReader<DB: Database, L: Lot<DB>> {
    queue: mpsc::Sender<Asked<DB, L>>,
}

struct Asked<DB: Database, L: Lot<DB>> {
    item: L::Item,
    answer: oneshot::Sender<Result<L::Value, GroupError<L::Error>>>,
}

impl<DB: Database, L: Lot<DB>> LotReader<DB, L> {
    /// Starts the reader's task on the current runtime; at most so many items wait, and as many are read at once. The task
    /// takes a connection of the pool for as long as there is something to read.
    pub fn start(pool: Pool<DB>, lot: L, items_max: usize) -> Self {
        let (queue, asked) = mpsc::channel(items_max);
        tokio::spawn(run(pool, lot, asked, items_max));
        Self { queue }
    }

    /// Reads an item with those that wait beside it. Waits while as many wait as may.
    ///
    /// # Errors
    /// See [`GroupError`]; nothing is ever unknown.
    pub async fn read(&self, item: L::Item) -> Result<L::Value, GroupError<L::Error>> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Asked { item, answer }).await.map_err(|_| GroupError::Closed)?;
        answered.await.unwrap_or(Err(GroupError::Closed))
    }
}

impl<DB: Database, L: Lot<DB>> Debug for LotReader<DB, L> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("LotReader").field("places", &self.queue.capacity()).finish_non_exhaustive()
    }
}

async fn run<DB: Database, L: Lot<DB>>(
    pool: Pool<DB>,
    lot: L,
    mut queue: mpsc::Receiver<Asked<DB, L>>,
    items_max: usize,
) {
    let mut asked = Vec::with_capacity(items_max);
    let mut at_hand = AtHand::new(pool);
    loop {
        let received = tokio::select! {
            received = queue.recv_many(&mut asked, items_max) => received,
            () = at_hand.give_back_when_idle() => continue,
        };
        if received == 0 {
            return;
        }
        let wanted = asked.drain(..).filter(|asked| !asked.answer.is_closed());
        let (items, answers): (Vec<_>, Vec<_>) = wanted.map(|asked| (asked.item, asked.answer)).unzip();
        if items.is_empty() {
            continue;
        }
        for (answer, result) in answers.into_iter().zip(read(&mut at_hand, &lot, &items).await) {
            // The caller may have stopped waiting.
            let _ = answer.send(result);
        }
    }
}

/// Reads all items together, or each alone where that fails.
async fn read<DB: Database, L: Lot<DB>>(
    at_hand: &mut AtHand<DB>,
    lot: &L,
    items: &[L::Item],
) -> Vec<Result<L::Value, GroupError<L::Error>>> {
    let mut lent = match at_hand.take().await {
        Ok(lent) => lent,
        Err(error) => {
            let error = Arc::new(error);
            return items.iter().map(|_| Err(GroupError::Aborted(error.clone()))).collect();
        }
    };
    if let Ok(outcomes) = catch(lot.perform(&mut lent.connection, items)).await
        && outcomes.len() == items.len()
    {
        at_hand.keep(lent);
        return outcomes.into_iter().map(|outcome| outcome.map_err(GroupError::Refused)).collect();
    }
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        results.push(alone(lot, &mut lent.connection, std::slice::from_ref(item)).await);
    }
    results
}
