//! Whole purchases through the public API of a fleet: place, pay, the provider's callback, confirm, tickets. Says how many
//! there are in a second, and what each process spends on one.

mod buyer;
mod fleet;
mod steps;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::BenchError;
use crate::purchases::buyer::{Buyer, Journeys, Seen};
use crate::purchases::fleet::Fleet;

pub use buyer::Step;
pub use fleet::Layout;
pub use steps::ByStep;

/// Buyers share so many connections, as behind the servers of an app.
const CONNECTIONS: usize = 4;

/// What is driven, and how hard.
#[derive(Clone, Debug)]
pub struct PurchaseOptions {
    /// The binary that hosts the roles.
    pub binary: PathBuf,
    /// A Postgres server where databases may be made.
    pub postgres: String,
    /// How the roles are spread over processes.
    pub layout: Layout,
    /// Buyers at once, each with an account and one purchase at a time.
    pub buyers: usize,
    /// Before anything is counted.
    pub warm_up: Duration,
    /// What is counted.
    pub time: Duration,
}

/// What a run has found.
#[derive(Clone, Debug)]
pub struct Purchases {
    /// How the roles were spread over processes.
    pub layout: Layout,
    /// Buyers at once.
    pub buyers: usize,
    /// Purchases that ended with a ticket while they were counted.
    pub bought: u64,
    /// Purchases that did not.
    pub failed: u64,
    /// The first failure, in words.
    pub failure: Option<String>,
    /// How long it really took.
    pub time: Duration,
    /// For each step its median and its slowest hundredth, in µs.
    pub steps: Vec<(Step, u64, u64)>,
    /// Processor time of each process per purchase, in µs: the roles, Postgres, and the buyers themselves.
    pub cpu_us: Vec<(String, f64)>,
    /// The same by step, all buyers taking each step together, less what the process spends doing nothing.
    pub by_step: ByStep,
}

impl Purchases {
    /// Tickets in a second.
    pub fn per_second(&self) -> f64 {
        self.bought as f64 / self.time.as_secs_f64()
    }
}

/// Starts a fleet, buys from it, and stops it.
///
/// # Errors
/// The fleet does not start, or nothing can be bought at all.
pub async fn measure(options: PurchaseOptions, progress: impl Fn(&str)) -> Result<Purchases, BenchError> {
    progress("starting the fleet");
    let fleet = Fleet::start(&options.binary, &options.postgres, options.layout).await?;
    progress("putting trains on sale");
    let journeys = Arc::new(Journeys::open_sale(&fleet).await?);
    progress("making accounts");
    let mut buyers = JoinSet::new();
    let (seen, stop) = (Arc::new(Mutex::new(Seen::new())), Arc::new(AtomicBool::new(false)));
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(buyer::connect(&fleet).await?);
    }
    for number in 0..options.buyers {
        let buyer = Buyer::new(&fleet, channels[number % CONNECTIONS].clone(), number, journeys.clone())?;
        buyers.spawn(buyer.buy_on(seen.clone(), stop.clone()));
    }
    progress("warming up");
    tokio::time::sleep(options.warm_up).await;
    *seen.lock() = Seen::new();
    let (before, begun) = (fleet.cpu(), Instant::now());
    progress("buying");
    tokio::time::sleep(options.time).await;
    let (after, time) = (fleet.cpu(), begun.elapsed());
    let seen_then = std::mem::replace(&mut *seen.lock(), Seen::new());
    stop.store(true, Ordering::Relaxed);
    let buyers = buyers.join_all().await;
    let Seen { bought, failed, failure, micros } = seen_then;
    if bought == 0 {
        let why = failure.unwrap_or_else(|| "no purchase ended in time".to_owned());
        return Err(BenchError::new(format!("nothing was bought: {why}")));
    }
    let spent = |(name, before): (String, Duration), after: Duration| {
        (name, after.saturating_sub(before).as_secs_f64() * 1e6 / bought as f64)
    };
    let cpu_us = before.into_iter().zip(after).map(|(before, (_, after))| spent(before, after)).collect();
    let steps = Step::ALL.into_iter().zip(micros);
    let steps = steps.map(|(step, all)| (step, all.value_at_quantile(0.5), all.value_at_quantile(0.99))).collect();
    progress("buying step by step");
    let by_step = steps::measure(&fleet, buyers).await?;
    let (layout, buyers) = (options.layout, options.buyers);
    Ok(Purchases { layout, buyers, bought, failed, failure, time, steps, cpu_us, by_step })
}

/// The tables of a run as text.
pub fn print(found: &Purchases) -> String {
    let mut steps = crate::report::table(&["step", "p50 ms", "p99 ms"]);
    for (step, p50, p99) in &found.steps {
        steps.add_row(vec![step.name().to_owned(), millis(*p50), millis(*p99)]);
    }
    let mut cpu = crate::report::table(&["process", "CPU us per purchase"]);
    for (name, micros) in &found.cpu_us {
        cpu.add_row(vec![name.clone(), format!("{micros:.0}")]);
    }
    let total: f64 = found.cpu_us.iter().map(|(_, micros)| micros).sum();
    cpu.add_row(vec!["all".to_owned(), format!("{total:.0}")]);
    let [place, pay, ticket] = steps::heads();
    let mut by_step = crate::report::table(&["CPU us by step", place, pay, ticket]);
    for (name, micros) in &found.by_step {
        by_step.add_row(std::iter::once(name.clone()).chain(micros.iter().map(|it| format!("{it:.0}"))));
    }
    let sum = |step: usize| found.by_step.iter().map(|(_, micros)| micros[step]).sum::<f64>();
    by_step.add_row(std::iter::once("all".to_owned()).chain((0..3).map(|step| format!("{:.0}", sum(step)))));
    let failure = found.failure.as_ref().map(|why| format!(", the first: {why}")).unwrap_or_default();
    format!(
        "{}, {} buyers: {} purchases in {:.1} s, {:.0} per second; {} failed{failure}\n\n{steps}\n\n{cpu}\n\n{by_step}\n",
        found.layout.name(),
        found.buyers,
        found.bought,
        found.time.as_secs_f64(),
        found.per_second(),
        found.failed,
    )
}

/// The same for machines.
pub fn to_json(found: &Purchases) -> Value {
    let steps = found.steps.iter().map(|(step, p50, p99)| json!({"step": step.name(), "p50_us": p50, "p99_us": p99}));
    let cpu = found.cpu_us.iter().map(|(name, micros)| json!({"process": name, "cpu_us_per_purchase": micros}));
    let by_step = found.by_step.iter().map(
        |(name, [place, pay, ticket])| json!({"process": name, "place_us": place, "pay_us": pay, "ticket_us": ticket}),
    );
    json!({
        "layout": found.layout.name(),
        "buyers": found.buyers,
        "purchases": found.bought,
        "failed": found.failed,
        "failure": found.failure,
        "seconds": found.time.as_secs_f64(),
        "per_second": found.per_second(),
        "steps": steps.collect::<Vec<_>>(),
        "cpu": cpu.collect::<Vec<_>>(),
        "cpu_by_step": by_step.collect::<Vec<_>>(),
    })
}

fn millis(micros: u64) -> String {
    format!("{:.1}", micros as f64 / 1e3)
}
