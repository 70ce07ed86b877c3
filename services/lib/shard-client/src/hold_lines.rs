use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::Run;
use proto::inventory::v1::{HoldRequest, HoldResponse};
use ring::ShardId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::ShardRouter;
use crate::line::{Line, Sent};
use crate::router::Shard;

/// Sends holds over one long-lived stream per shard. Cloning is cheap.
///
/// Holds that come while a message is on its way travel together in the next one: a streamed hold costs a fraction of a
/// unary call. While a stream is not up, holds go as unary calls.
#[derive(Clone, Debug)]
pub struct HoldLines {
    router: ShardRouter,
    lines: Lines,
}

type Lines = Arc<ArcSwap<HashMap<ShardId, Line>>>;

/// Keeps the streams of [`HoldLines`] up; a background task of its component.
#[derive(Debug)]
pub struct HoldLinesDriver {
    router: ShardRouter,
    lines: Lines,
}

impl HoldLines {
    /// Lines over a router's shards, and what keeps them up.
    pub fn new(router: ShardRouter) -> (Self, HoldLinesDriver) {
        let lines = Lines::default();
        let driver = HoldLinesDriver { router: router.clone(), lines: Arc::clone(&lines) };
        (Self { router, lines }, driver)
    }

    /// Holds places for a party, with hints and retries as [`ShardRouter::call`].
    ///
    /// # Errors
    /// What a unary call would answer.
    pub async fn hold(&self, run: &Run, request: HoldRequest) -> Result<HoldResponse, Status> {
        let request = &request;
        self.router.attempt(run, |shard| async move { self.send(&shard, request).await }).await
    }

    async fn send(&self, shard: &Shard, request: &HoldRequest) -> Result<HoldResponse, Status> {
        let line = self.lines.load().get(&shard.id).cloned();
        if let Some(line) = line
            && let Sent::Answered(answer) = line.hold(request.clone()).await
        {
            return *answer;
        }
        Ok(shard.client().hold(request.clone()).await?.into_inner())
    }
}

impl HoldLinesDriver {
    /// Keeps one stream per shard up until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.router.changes();
        let mut tasks = JoinSet::new();
        let mut running: HashMap<ShardId, CancellationToken> = HashMap::new();
        loop {
            self.adjust(&mut running, &mut tasks, &stop);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.changed() => if changed.is_err() { break },
            }
        }
        self.lines.store(Arc::default());
        stop.cancelled().await;
        tasks.join_all().await;
    }

    fn adjust(
        &self,
        running: &mut HashMap<ShardId, CancellationToken>,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let shards = self.router.shards();
        let mut lines = HashMap::clone(&self.lines.load());
        running.retain(|id, stop| {
            let stays = shards.iter().any(|shard| shard.id == *id);
            if !stays {
                stop.cancel();
                lines.remove(id);
            }
            stays
        });
        for shard in shards {
            if let std::collections::hash_map::Entry::Vacant(vacant) = running.entry(shard.id.clone()) {
                let stop = vacant.insert(stop.child_token()).clone();
                let (line, driver) = Line::new(shard.clone());
                tasks.spawn(driver.run(stop));
                lines.insert(shard.id, line);
            }
        }
        self.lines.store(Arc::new(lines));
    }
}
