//! Follows the boards of one shard for as long as the process runs.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use domain::{SlotId, Time};
use proto::inventory::v1::{WatchBoardsRequest, WatchBoardsResponse};
use rpc::Clock;
use shard_client::ShardClient;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::boards::{Boards, Source, Stored};
use crate::metrics;
use crate::wire;

/// The first and the longest pause before a shard that was lost is asked again.
const RETRY_MIN_MS: u64 = 50;
const RETRY_MAX_MS: u64 = 2_000;

/// The longest message of boards: a shard keeps far below it.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// A subscription to one shard's boards.
#[derive(Debug)]
pub struct Subscription {
    shard: String,
    client: ShardClient,
    boards: Arc<Boards>,
    clock: Arc<dyn Clock>,
    silence_max: Duration,
    caught_up: watch::Sender<bool>,
}

impl Subscription {
    /// A subscription that gives a stream up once it was silent for so long.
    pub fn new(
        shard: String,
        client: ShardClient,
        boards: Arc<Boards>,
        clock: Arc<dyn Clock>,
        silence_max_ms: u64,
    ) -> Self {
        Self {
            shard,
            client: client.max_decoding_message_size(MESSAGE_BYTES_MAX),
            boards,
            clock,
            silence_max: Duration::from_millis(silence_max_ms),
            caught_up: watch::Sender::new(false),
        }
    }

    /// Whether every board of the shard has been seen at least once.
    pub fn caught_up(&self) -> watch::Receiver<bool> {
        self.caught_up.subscribe()
    }

    /// Follows the shard, over as many streams as it takes, until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(RETRY_MIN_MS))
            .with_max_delay(Duration::from_millis(RETRY_MAX_MS))
            .with_jitter()
            .without_max_times();
        let mut pause = pauses.build();
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.follow_once() => ended,
            };
            metrics::subscription_lost(&self.shard);
            if ended.heard_something {
                pause = pauses.build();
            }
            tracing::warn!(shard = self.shard, reason = %ended.reason, "the boards of a shard are not followed");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause.next().unwrap_or(Duration::from_millis(RETRY_MAX_MS))) => {}
            }
        }
    }

    /// Follows one stream to its end. A stream is a source of its own: what it did not repeat, it does not vouch for.
    async fn follow_once(&mut self) -> Ended {
        let mut heard_something = false;
        let source = Arc::new(Source::default());
        let reason = match self.client.watch_boards(WatchBoardsRequest {}).await {
            Err(status) => status,
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
                    match tokio::time::timeout(self.silence_max, stream.message()).await {
                        Ok(Ok(Some(message))) => {
                            heard_something = true;
                            self.take(&message, &source);
                        }
                        Ok(Ok(None)) => break Status::unavailable("the shard ended the stream"),
                        Ok(Err(status)) => break status,
                        Err(_) => break Status::unavailable("the shard was silent for too long"),
                    }
                }
            }
        };
        Ended { reason, heard_something }
    }

    fn take(&self, message: &WatchBoardsResponse, source: &Arc<Source>) {
        let left = message.left_slots.iter().filter_map(|slot| SlotId::new(u16::try_from(*slot).ok()?).ok());
        left.for_each(|slot| self.boards.disown(slot, source));
        for sent in &message.boards {
            let stored = match wire::board(sent) {
                Ok((run, board)) => self.boards.store(run, board, source),
                Err(error) => {
                    tracing::error!(shard = self.shard, %error, "a shard sent a board that makes no sense");
                    continue;
                }
            };
            metrics::board_arrived(stored);
            if stored == Stored::Full {
                tracing::error!(shard = self.shard, boards = self.boards.len(), "no room for another run's board");
            }
        }
        // After the boards: what this message repeats is what its proof of ownership covers.
        source.verify(Time::from_millis(message.verified_at_ms));
        metrics::boards_lag(&self.shard, self.clock.now().millis() - message.verified_at_ms);
        if message.caught_up {
            self.caught_up.send_if_modified(|caught_up| !std::mem::replace(caught_up, true));
        }
    }
}

struct Ended {
    reason: Status,
    heard_something: bool,
}
