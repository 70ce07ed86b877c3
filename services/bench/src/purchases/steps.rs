//! What each step of a purchase spends: all buyers take a step together, and wait for each other before the next one.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tonic::Status;

use super::buyer::{Buyer, Step};
use super::fleet::Fleet;
use crate::BenchError;

/// The provider decides on these purchases so long after it was asked, so that no callback comes while others still pay.
pub const DECIDE_AFTER: Duration = Duration::from_millis(1_500);
/// How often all buyers buy.
const ROUNDS: usize = 6;
/// How long the fleet is watched doing nothing.
const IDLE: Duration = Duration::from_secs(2);
/// The steps that follow each other.
const STEPS: [Step; 3] = [Step::Place, Step::Pay, Step::Ticket];

/// Processor time of each process for one step of one purchase, in µs, in the order of [`STEPS`].
pub type ByStep = Vec<(String, [f64; 3])>;

/// Lets all buyers buy step by step.
///
/// # Errors
/// A step fails.
pub async fn measure(fleet: &Fleet, mut buyers: Vec<Buyer>) -> Result<ByStep, BenchError> {
    let mut meter = Meter::new(fleet).await;
    let purchases = (ROUNDS * buyers.len()) as f64;
    for _ in 0..ROUNDS {
        let place = together(buyers, |mut buyer: Buyer| async move {
            let order_id = buyer.place().await?;
            Ok((buyer, order_id))
        });
        let placed = meter.during(0, place).await?;
        let pay = together(placed, |(mut buyer, order_id): (Buyer, String)| async move {
            buyer.pay(&order_id, "sandbox-slow").await?;
            Ok((buyer, order_id))
        });
        let paid = meter.during(1, pay).await?;
        let ticket = together(paid, |(mut buyer, order_id): (Buyer, String)| async move {
            buyer.ticket(order_id).await?;
            Ok(buyer)
        });
        buyers = meter.during(2, ticket).await?;
    }
    let micros = |seconds: f64| seconds.max(0.0) * 1e6 / purchases;
    Ok(meter.processes.into_iter().map(|process| (process.name, process.steps.map(micros))).collect())
}

/// Adds up what processes spend during steps, less what they spend doing nothing in that time.
struct Meter<'a> {
    fleet: &'a Fleet,
    processes: Vec<Process>,
}

struct Process {
    name: String,
    /// Cores it takes doing nothing.
    idle: f64,
    /// Seconds of processor time in each step.
    steps: [f64; 3],
}

impl<'a> Meter<'a> {
    async fn new(fleet: &'a Fleet) -> Self {
        let before = fleet.cpu();
        tokio::time::sleep(IDLE).await;
        let spent = before.into_iter().zip(fleet.cpu());
        let process = |((name, before), (_, after)): ((String, Duration), (String, Duration))| Process {
            name,
            idle: after.saturating_sub(before).as_secs_f64() / IDLE.as_secs_f64(),
            steps: [0.0; 3],
        };
        Self { fleet, processes: spent.map(process).collect() }
    }

    async fn during<T>(&mut self, step: usize, work: impl Future<Output = T>) -> T {
        let (before, begun) = (self.fleet.cpu(), Instant::now());
        let done = work.await;
        let (after, time) = (self.fleet.cpu(), begun.elapsed().as_secs_f64());
        for ((process, (_, before)), (_, after)) in self.processes.iter_mut().zip(before).zip(after) {
            process.steps[step] += after.saturating_sub(before).as_secs_f64() - process.idle * time;
        }
        done
    }
}

/// Takes a step with all at once.
async fn together<A, B, Taken>(all: Vec<A>, step: impl Fn(A) -> Taken) -> Result<Vec<B>, BenchError>
where
    B: Send + 'static,
    Taken: Future<Output = Result<B, Status>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for one in all {
        tasks.spawn(step(one));
    }
    let done: Result<Vec<_>, _> = tasks.join_all().await.into_iter().collect();
    done.map_err(BenchError::because("a purchase failed when all took its steps together"))
}

/// The steps as the heads of a table.
pub fn heads() -> [&'static str; 3] {
    STEPS.map(Step::name)
}
