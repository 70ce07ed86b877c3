//! One subscription per shard of the ring, however the ring changes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use ring::ShardId;
use rpc::Clock;
use shard_client::ShardRouter;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::boards::Boards;
use crate::subscription::Subscription;

/// How often the ring is looked at for shards that came or went.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The subscriptions to all shards.
#[derive(Debug)]
pub struct Subscriptions {
    shards: ShardRouter,
    boards: Arc<Boards>,
    clock: Arc<dyn Clock>,
    silence_max_ms: u64,
    /// Shards that have not sent all their boards yet; none before the ring was looked at.
    missing: watch::Sender<Option<usize>>,
}

/// A subscription at work.
struct Followed {
    caught_up: watch::Receiver<bool>,
    stop: CancellationToken,
}

impl Subscriptions {
    /// Subscriptions to the shards this router knows, not opened yet.
    pub fn new(shards: ShardRouter, boards: Arc<Boards>, clock: Arc<dyn Clock>, silence_max_ms: u64) -> Self {
        Self { shards, boards, clock, silence_max_ms, missing: watch::Sender::new(None) }
    }

    /// Waits until every shard has sent all its boards.
    pub fn caught_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut missing = self.missing.subscribe();
        async move {
            // Subscriptions that have ended have no more boards to wait for.
            let _ = missing.wait_for(|missing| *missing == Some(0)).await;
        }
    }

    /// Follows every shard until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut followed: HashMap<ShardId, Followed> = HashMap::new();
        let mut tasks = JoinSet::new();
        while !stop.is_cancelled() {
            self.adjust(&mut followed, &mut tasks, &stop);
            let missing = followed.values().filter(|shard| !*shard.caught_up.borrow()).count();
            self.missing.send_if_modified(|shown| shown.replace(missing) != Some(missing));
            let mut first_missing =
                followed.values().find(|shard| !*shard.caught_up.borrow()).map(|s| s.caught_up.clone());
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = async { match &mut first_missing {
                    // A sender that is gone belongs to a shard that left.
                    Some(shard) => _ = shard.wait_for(|caught_up| *caught_up).await,
                    None => std::future::pending().await,
                } } => {}
                Some(ended) = tasks.join_next() => if let Err(error) = ended && error.is_panic() {
                    // A panic would leave a shard's boards to age for ever: the host restarts the role.
                    std::panic::resume_unwind(error.into_panic());
                },
            }
        }
        tasks.join_all().await;
    }

    fn adjust(&self, followed: &mut HashMap<ShardId, Followed>, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let shards = self.shards.clients();
        followed.retain(|id, shard| {
            let stays = shards.iter().any(|(known, _)| known == id);
            if !stays {
                shard.stop.cancel();
            }
            stays
        });
        for (id, client) in shards {
            let Entry::Vacant(vacant) = followed.entry(id) else { continue };
            let name = vacant.key().to_string();
            let subscription =
                Subscription::new(name, client, self.boards.clone(), self.clock.clone(), self.silence_max_ms);
            let shard = Followed { caught_up: subscription.caught_up(), stop: stop.child_token() };
            tasks.spawn(subscription.run(shard.stop.clone()));
            vacant.insert(shard);
        }
    }
}
