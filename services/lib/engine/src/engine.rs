use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use ownership::Occupancy;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::handle::{EngineHandle, LaneHandle};
use crate::handovers::Handovers;
use crate::housekeeping::Housekeeper;
use crate::lane::{Lane, Message, Peers, Shown};
use crate::metrics::EngineMetrics;
use crate::{Changes, EngineOptions};

/// Runs the lanes. Whoever starts it shuts it down; others hold an [`EngineHandle`].
#[derive(Debug)]
pub struct Engine {
    handle: EngineHandle,
    lanes: JoinSet<()>,
    housekeeper: JoinSet<()>,
}

impl Engine {
    /// Starts the lanes on the present tokio runtime. They own no slot yet: see [`EngineHandle::own`].
    pub fn start(journal: Arc<dyn Journal>, options: EngineOptions) -> Self {
        let changes = Changes::new(options.changes_max);
        let metrics = Arc::new(EngineMetrics::default());
        let handovers = Handovers::default();
        let mut lanes = JoinSet::new();
        let (senders, inboxes): (Vec<_>, Vec<_>) =
            (0..options.lanes.max(1)).map(|_| mpsc::channel(options.inbox_messages_max)).unzip();
        let peers = Arc::new(Peers::new(senders.iter().map(mpsc::Sender::downgrade).collect()));
        let handles = senders.into_iter().zip(inboxes).enumerate().map(|(index, (inbox, messages))| {
            let (shown, occupancy) = watch::channel(Occupancy::default());
            let lane = Lane::new(
                index,
                peers.clone(),
                journal.clone(),
                options.clone(),
                messages,
                Shown { occupancy: shown, changes: changes.clone(), handovers: handovers.clone() },
                metrics.clone(),
            );
            lanes.spawn(lane.run());
            LaneHandle { inbox, occupancy }
        });
        let handles = handles.collect();
        let (assigned, slots) = watch::channel(BTreeSet::new());
        let mut housekeeper = JoinSet::new();
        housekeeper.spawn(Housekeeper::new(journal.clone(), options.housekeeping, slots, metrics.clone()).run());
        let handle = EngineHandle {
            lanes: handles,
            assigned: Arc::new(assigned),
            changes,
            metrics,
            handovers: handovers.clone(),
            journal,
            journal_timeout: options.journal_timeout,
            warm_runs_max: options.limits.warm_runs_max,
        };
        Self { handle, lanes, housekeeper }
    }

    /// Asks this engine.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Drains for at most so long, then stops the lanes and waits for their end. What is not durable by then is never
    /// answered.
    pub async fn shutdown(mut self, drain: Duration) {
        // A drain that takes too long is cut short: the next owner's claim fences whatever is left.
        let _ = tokio::time::timeout(drain, self.handle.drain()).await;
        self.stop().await;
    }

    /// Stops the lanes where they are, as a crash would, and waits for their end.
    pub async fn stop(&mut self) {
        self.housekeeper.shutdown().await;
        for lane in self.handle.lanes.iter() {
            // A lane that is gone has stopped.
            let _ = lane.inbox.send(Message::Stop).await;
        }
        while let Some(ended) = self.lanes.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a lane of the engine failed");
            }
        }
    }
}
