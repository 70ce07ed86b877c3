use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::{LockToken, Store};

/// The right to edit the settings, kept alive until it is dropped or lost. What it protects from is two operators who undo
/// each other; that nothing is overwritten unseen is the compare-and-set of the edit.
#[derive(Debug)]
pub struct EditorLock {
    lost: CancellationToken,
    released: CancellationToken,
    end: DropGuard,
}

impl EditorLock {
    /// Whether it was lost: the store could not be reached for its term, or has forgotten it.
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Gives it back and waits until others can have it. Dropping it does the same in the background.
    pub async fn release(self) {
        drop(self.end);
        self.released.cancelled().await;
    }
}

/// Renews a lock until it is dropped or `end` is cancelled, then gives it back.
pub(crate) fn keep<S: Store>(
    tasks: &TaskTracker,
    end: CancellationToken,
    store: Arc<S>,
    token: LockToken,
    period: Duration,
) -> EditorLock {
    let (lost, released) = (CancellationToken::new(), CancellationToken::new());
    let lock = EditorLock { lost: lost.clone(), released: released.clone(), end: end.clone().drop_guard() };
    tasks.spawn(async move {
        while end.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
            match store.renew(&token).await {
                Ok(true) => {}
                Ok(false) => {
                    lost.cancel();
                    break;
                }
                // It may hold on until its term ends; the compare-and-set of an edit protects in any case.
                Err(error) => tracing::warn!(%error, "the editor's lock could not be renewed"),
            }
        }
        end.cancelled().await;
        lost.cancel();
        if let Err(error) = store.release(&token).await {
            tracing::warn!(%error, "the editor's lock could not be given back: it lapses by itself");
        }
        released.cancel();
    });
    lock
}
