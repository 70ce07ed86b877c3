use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::Run;
use proto::inventory::v1::hold_stream_answer::Outcome;
use proto::inventory::v1::{HoldRequest, HoldResponse, ReleaseRequest, ReleaseResponse};
use ring::ShardId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::ShardRouter;
use crate::line::{Asked, Line, Sent, broken};
use crate::router::Shard;

/// Sends holds, and releases of them, over one long-lived stream per shard. Cloning is cheap.
///
/// Holds that come while a message is on its way travel together in the next one: a streamed hold costs a fraction of a
/// unary call. While a stream is not up, holds go as unary calls.
#[derive(Clone, Debug)]
pub struct HoldLines {
    router: ShardRouter,
    lines: Lines,
}

type Lines = Arc<ArcSwap<HashMap<ShardId, Arc<Line>>>>;

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
        match self.ask(run, Asked::Hold(request)).await? {
            Outcome::Held(held) => Ok(held),
            Outcome::Released(_) | Outcome::Status(_) => Err(broken().into()),
        }
    }

    /// Gives an unpaid hold back, with hints and retries as [`ShardRouter::call`].
    ///
    /// # Errors
    /// What a unary call would answer.
    pub async fn release(&self, run: &Run, request: ReleaseRequest) -> Result<ReleaseResponse, Status> {
        match self.ask(run, Asked::Release(request)).await? {
            Outcome::Released(released) => Ok(released),
            Outcome::Held(_) | Outcome::Status(_) => Err(broken().into()),
        }
    }

    async fn ask(&self, run: &Run, asked: Asked) -> Result<Outcome, Status> {
        let asked = &asked;
        self.router.attempt(run, |shard| async move { self.send(run, shard, asked.clone()).await }).await
    }

    async fn send(&self, run: &Run, mut shard: Arc<Shard>, mut asked: Asked) -> Result<Outcome, Status> {
        loop {
            let line = self.lines.load().get(&shard.id).cloned();
            if let Some(line) = line {
                match line.ask(asked).await {
                    Sent::Answered(answer) => return *answer,
                    Sent::Down(unsent) => asked = unsent,
                }
            }
            if self.router.counts(&shard.id) {
                break;
            }
            // Its shard has left the ring before the request was sent: it goes where the ring says now.
            shard = self.router.owner(run);
        }
        // Apart: the future of a call is large, and is moved with that of every hold that needs none.
        Box::pin(call(shard, asked)).await
    }
}

/// The same as a call of its own.
async fn call(shard: Arc<Shard>, asked: Asked) -> Result<Outcome, Status> {
    match asked {
        Asked::Hold(hold) => Ok(Outcome::Held(shard.client().hold(hold).await?.into_inner())),
        Asked::Release(release) => Ok(Outcome::Released(shard.client().release(release).await?.into_inner())),
    }
}

impl HoldLinesDriver {
    /// Keeps one stream per shard up until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.router.changes();
        let mut tasks = JoinSet::new();
        let mut running = HashMap::new();
        loop {
            self.adjust(&mut running, &mut tasks, &stop);
            // Those that have drained are forgotten.
            while tasks.try_join_next().is_some() {}
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
        running: &mut HashMap<ShardId, (Arc<Shard>, CancellationToken)>,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let shards = self.router.shards();
        let mut lines = HashMap::clone(&self.lines.load());
        running.retain(|id, (present, stop)| {
            // One that came back elsewhere has another link.
            let stays = shards.iter().any(|shard| shard.is_where(present));
            if !stays {
                stop.cancel();
                lines.remove(id);
            }
            stays
        });
        for shard in shards {
            if let std::collections::hash_map::Entry::Vacant(vacant) = running.entry(shard.id.clone()) {
                let stop = vacant.insert((shard.clone(), stop.child_token())).1.clone();
                let (line, driver) = Line::new(shard.clone());
                tasks.spawn(driver.run(stop));
                lines.insert(shard.id.clone(), Arc::new(line));
            }
        }
        self.lines.store(Arc::new(lines));
    }
}
