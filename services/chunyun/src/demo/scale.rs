//! `--scale`: the ring grows and shrinks while passengers buy at a share of what the fleet can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proto::gateway::v1 as gateway;
use proto::gateway::v1::ring_change::Change;
use ring::ShardId;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::tally::{Call, Tally};
use crate::client::{Connection, pauses_json, render};

/// The fleet runs warm for so long before its capacity is measured.
const RAMP: Duration = Duration::from_secs(2);
/// And its capacity is measured for so long.
const MEASURE: Duration = Duration::from_secs(5);
/// Passengers come at this share of it afterwards.
const LOAD: f64 = 0.7;
/// The fleet runs at that load before and after each change for so long.
const REST: Duration = Duration::from_secs(4);
/// What a good run stays within: half of the train-dates, every train-date, 99 of a hundred orders placed.
const HALF_UNDER_MS: f64 = 100.0;
const LONGEST_MS: f64 = 2_000.0;
const PLACE_P99_MS: f64 = 1_000.0;

/// How fast parties may set out: as fast as they can until the capacity is known.
#[derive(Debug)]
pub struct Pace {
    finished: AtomicU64,
    /// The time between two parties; none while the capacity is measured.
    every: watch::Sender<Option<Duration>>,
}

impl Pace {
    /// As fast as they can.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { finished: AtomicU64::new(0), every: watch::Sender::new(None) })
    }

    /// Counts a party that has come to its end.
    pub fn finished(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the load is set.
    pub fn is_set(&self) -> bool {
        self.every.borrow().is_some()
    }

    /// Waits until the next party may set out; parties that are late catch up.
    pub async fn next(&self, due: &mut Instant) {
        let every = *self.every.borrow();
        match every {
            None => *due = Instant::now(),
            Some(every) => {
                *due += every;
                sleep(due.saturating_duration_since(Instant::now())).await;
            }
        }
    }

    /// Measures how many parties a second the fleet serves, and sets the load to a share of it.
    async fn measure(&self) -> f64 {
        sleep(RAMP).await;
        let (before, began) = (self.finished.load(Ordering::Relaxed), Instant::now());
        sleep(MEASURE).await;
        let served = self.finished.load(Ordering::Relaxed) - before;
        let capacity = (served as f64 / began.elapsed().as_secs_f64()).max(1.0);
        self.every.send_replace(Some(Duration::from_secs_f64(1.0 / (capacity * LOAD))));
        capacity
    }
}

/// What scaling came to.
#[derive(Debug)]
pub struct Scaled {
    /// Parties a second that the fleet served at its limit.
    capacity: f64,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    from: u16,
    to: u16,
    seconds: f64,
    pauses: gateway::MovePauses,
}

/// Measures, sets the load, and brings the ring from `shards` to each of `counts` in turn.
///
/// # Errors
/// A change of the ring that the fleet refuses or does not finish.
pub async fn scale(
    mut shards: u16,
    counts: Vec<u16>,
    operator: Connection,
    pace: Arc<Pace>,
) -> Result<Scaled, tonic::Status> {
    let mut scaled = Scaled { capacity: pace.measure().await, steps: Vec::new() };
    for to in counts {
        sleep(REST).await;
        let change = if to > shards {
            Change::Add(u32::from(to - shards))
        } else {
            let leaving = (to..shards).map(|number| ShardId::numbered(number).to_string());
            Change::Remove(gateway::RemovedShards { shards: leaving.collect() })
        };
        let began = Instant::now();
        let pauses = make(&operator, gateway::RingChange { change: Some(change) }).await?;
        scaled.steps.push(Step { from: shards, to, seconds: began.elapsed().as_secs_f64(), pauses });
        shards = to;
    }
    sleep(REST).await;
    Ok(scaled)
}

async fn make(operator: &Connection, change: gateway::RingChange) -> Result<gateway::MovePauses, tonic::Status> {
    let mut client = operator.operator();
    let plan = client.plan_ring(gateway::PlanRingRequest { change: Some(change.clone()) }).await?.into_inner();
    let request = gateway::ChangeRingRequest { change: Some(change), settings_version: plan.settings_version };
    let mut steps = client.change_ring(request).await?.into_inner();
    while let Some(step) = steps.message().await? {
        if step.done {
            return Ok(step.pauses.unwrap_or_default());
        }
    }
    Err(tonic::Status::unavailable("the change of the ring was not followed to its end"))
}

impl Scaled {
    /// The table of moves, and whether a good run's limits were kept. `paced` is what befell those who came at the set load.
    pub fn text(&self, paced: &Tally) -> String {
        let mut table = render::table([
            "shards",
            "slots",
            "train-dates",
            "pause p50 ms",
            "p99 ms",
            "longest ms",
            "under 100 ms",
            "change took s",
        ]);
        for step in &self.steps {
            let pauses = &step.pauses;
            table.add_row([
                format!("{} -> {}", step.from, step.to),
                pauses.slots.to_string(),
                pauses.train_dates.to_string(),
                format!("{:.0}", pauses.p50_ms),
                format!("{:.0}", pauses.p99_ms),
                format!("{:.0}", pauses.longest_ms),
                pauses.under_100_ms.to_string(),
                format!("{:.1}", step.seconds),
            ]);
        }
        render::numbers(&mut table, 1..8);
        let worst =
            |of: fn(&gateway::MovePauses) -> f64| self.steps.iter().map(|step| of(&step.pauses)).fold(0.0, f64::max);
        let limit = |what: &str, is: f64, most: f64| {
            format!("{what}: {is:.0} ms, {} {most:.0} ms", if is <= most { "within" } else { "OVER" })
        };
        format!(
            "capacity {:.0} parties a second, load {:.0} % of it\n{table}\n{}\n{}\n{}",
            self.capacity,
            LOAD * 100.0,
            limit("half of the train-dates paused for at most", worst(|it| it.p50_ms), HALF_UNDER_MS),
            limit("the longest pause", worst(|it| it.longest_ms), LONGEST_MS),
            limit("p99 of placing an order under that load", place_p99_ms(paced), PLACE_P99_MS),
        )
    }

    /// The same for machines.
    pub fn json(&self, paced: &Tally) -> Value {
        let step = |step: &Step| json!({ "from": step.from, "to": step.to, "seconds": step.seconds, "moved": pauses_json(&step.pauses) });
        json!({
            "capacity_parties_per_second": self.capacity,
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "place_p99_ms": place_p99_ms(paced),
        })
    }
}

fn place_p99_ms(tally: &Tally) -> f64 {
    tally.latencies.get(&Call::Place).map_or(0.0, |latencies| latencies.quantile_ms(0.99))
}
