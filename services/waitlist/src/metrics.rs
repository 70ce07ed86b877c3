//! What an operator watches: how entries end, and work that fails.

use std::sync::LazyLock;

use opentelemetry::metrics::{Counter, Gauge};
use opentelemetry::{KeyValue, global};
use ring::ShardId;

use crate::state::{Effect, End, Stage};

struct Instruments {
    entries: Counter<u64>,
    retries: Counter<u64>,
    feeds_lost: Counter<u64>,
    feeds_missed: Counter<u64>,
    feed_lag: Gauge<i64>,
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = global::meter("waitlist");
    Instruments {
        entries: meter
            .u64_counter("chunyun.waitlist.entries")
            .with_unit("{entry}")
            .with_description("Entries that came into a stage by this process's own work")
            .build(),
        retries: meter
            .u64_counter("chunyun.waitlist.retries")
            .with_unit("{attempt}")
            .with_description("Attempts at an entry's work that led nowhere, by what was tried")
            .build(),
        feeds_lost: meter
            .u64_counter("chunyun.waitlist.feeds.lost")
            .with_unit("{stream}")
            .with_description("Feeds of shards that ended or could not be opened")
            .build(),
        feeds_missed: meter
            .u64_counter("chunyun.waitlist.feeds.missed")
            .with_unit("{batch}")
            .with_description("Batches that were purged before they were read")
            .build(),
        feed_lag: meter
            .i64_gauge("chunyun.waitlist.feed.lag")
            .with_unit("ms")
            .with_description(
                "How long after its commit the newest batch of a shard was read; 0 when nothing is left to read",
            )
            .build(),
    }
});

/// An entry has come into a stage.
pub fn entered(stage: &Stage) {
    let name = match stage {
        Stage::Joining => "joining",
        Stage::Waiting => "waiting",
        Stage::Offered => "offered",
        Stage::Ordering(_) => "ordering",
        Stage::Releasing { .. } => "releasing",
        Stage::Fulfilled => "fulfilled",
        Stage::Leaving(_) => "leaving",
        Stage::Ended(End::Left) => "left",
        Stage::Ended(End::Expired) => "expired",
        Stage::Ended(End::Failed(_)) => "failed",
    };
    INSTRUMENTS.entries.add(1, &[KeyValue::new("stage", name)]);
}

/// An attempt led nowhere.
pub fn retried(effect: Effect) {
    let name = match effect {
        Effect::JoinLine => "join_line",
        Effect::AcceptOffer => "accept_offer",
        Effect::OpenOrder => "open_order",
        Effect::ReleaseHold => "release_hold",
        Effect::LeaveLine => "leave_line",
    };
    INSTRUMENTS.retries.add(1, &[KeyValue::new("effect", name)]);
}

/// A shard's feed ended.
pub fn feed_lost(shard: &str) {
    INSTRUMENTS.feeds_lost.add(1, &[KeyValue::new("shard", shard.to_owned())]);
}

/// Batches were purged before they were read.
pub fn feed_missed(batches: u64) {
    INSTRUMENTS.feeds_missed.add(batches, &[]);
}

/// So far behind its shard is a feed, in ms.
pub fn feed_lag(shard: &ShardId, lag_ms: i64) {
    INSTRUMENTS.feed_lag.record(lag_ms, &[KeyValue::new("shard", shard.to_string())]);
}
