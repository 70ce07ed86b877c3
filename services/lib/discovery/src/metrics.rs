//! What an operator watches: the ring, who is registered, and for how long the store has been out of sight.

use std::sync::{Arc, Weak};

use membership::ShardState;
use opentelemetry::{KeyValue, global};
use tokio::time::Instant;

use crate::Store;
use crate::shared::Inner;

/// Reports a process's view of the ring whenever metrics are collected, for as long as it has one.
pub(crate) fn observe<S: Store>(inner: &Arc<Inner<S>>) {
    gauge(inner, "chunyun.discovery.ring.version", "{version}", "The version of the ring in use", |inner| {
        vec![(inner.record().version(), None)]
    });
    gauge(inner, "chunyun.discovery.ring.members", "{shard}", "Members of the ring, by whether they count", |inner| {
        let record = inner.record();
        let of = |counted| record.standings().filter(|(_, standing)| standing.counted == counted).count() as u64;
        vec![(of(true), Some(KeyValue::new("counted", true))), (of(false), Some(KeyValue::new("counted", false)))]
    });
    gauge(inner, "chunyun.discovery.registrations", "{shard}", "Registered shards that answer, by state", |inner| {
        let registered = inner.registered();
        let of = |state| registered.values().filter(|it| it.healthy && it.state == state).count() as u64;
        ShardState::ALL.map(|state| (of(state), Some(KeyValue::new("state", state.name())))).into()
    });
    let weak = Arc::downgrade(inner);
    global::meter("discovery")
        .f64_observable_gauge("chunyun.discovery.out_of_sight")
        .with_unit("s")
        .with_description("For how long the store could not be reached; 0 while it can")
        .with_callback(move |observer| {
            if let Some(inner) = weak.upgrade() {
                observer.observe(inner.out_of_sight(Instant::now()).as_secs_f64(), &[]);
            }
        })
        .build();
}

fn gauge<S: Store>(
    inner: &Arc<Inner<S>>,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    values: impl Fn(&Inner<S>) -> Vec<(u64, Option<KeyValue>)> + Send + Sync + 'static,
) {
    let weak: Weak<Inner<S>> = Arc::downgrade(inner);
    let meter = global::meter("discovery");
    let gauge = meter.u64_observable_gauge(name).with_unit(unit).with_description(description);
    gauge
        .with_callback(move |observer| {
            let Some(inner) = weak.upgrade() else { return };
            for (value, label) in values(&inner) {
                observer.observe(value, label.as_slice());
            }
        })
        .build();
}
