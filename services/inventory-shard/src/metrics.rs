//! What an operator watches: the engine's counters, how full it is, and boards that wait to be computed.

use std::sync::LazyLock;

use engine::EngineHandle;
use opentelemetry::{KeyValue, global};

static BOARDS_DIRTY: LazyLock<opentelemetry::metrics::Gauge<u64>> = LazyLock::new(|| {
    global::meter("inventory-shard")
        .u64_gauge("chunyun.shard.boards.dirty")
        .with_unit("{run}")
        .with_description("Runs that changed and whose board was not computed in the last round")
        .build()
});

/// So many runs wait for their board.
pub fn boards_dirty(runs: usize) {
    BOARDS_DIRTY.record(runs as u64, &[]);
}

/// Reports an engine's counters and occupancy whenever metrics are collected.
pub fn observe(shard: &str, engine: &EngineHandle) {
    let meter = global::meter("inventory-shard");
    let (name, counts) = (KeyValue::new("shard", shard.to_owned()), engine.clone());
    meter
        .u64_observable_counter("chunyun.shard.engine")
        .with_unit("{event}")
        .with_description("What the engine has done since it started, by counter")
        .with_callback(move |observer| {
            for (counter, value) in counts.metrics().counts().each() {
                observer.observe(value, &[name.clone(), KeyValue::new("counter", counter)]);
            }
        })
        .build();
    let (name, behind) = (KeyValue::new("shard", shard.to_owned()), engine.clone());
    meter
        .u64_observable_gauge("chunyun.shard.checkpoint.behind")
        .with_unit("{batch}")
        .with_description("Batches after the last checkpoint, of the slot that has most")
        .with_callback(move |observer| {
            observer.observe(behind.metrics().checkpoint_behind(), std::slice::from_ref(&name));
        })
        .build();
    let (name, engine) = (KeyValue::new("shard", shard.to_owned()), engine.clone());
    meter
        .u64_observable_gauge("chunyun.shard.occupancy")
        .with_unit("{item}")
        .with_description("Slots, requests and runs the engine holds now, by kind")
        .with_callback(move |observer| {
            let occupancy = engine.occupancy();
            for (kind, value) in [
                ("slots_owned", occupancy.slots_owned),
                ("slots_assigned", occupancy.slots_assigned),
                ("requests_queued", occupancy.requests_queued),
                ("runs_cached", occupancy.runs_cached),
                ("runs_loading", occupancy.runs_loading),
            ] {
                observer.observe(value as u64, &[name.clone(), KeyValue::new("kind", kind)]);
            }
        })
        .build();
}
