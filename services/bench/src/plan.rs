//! What is measured, in which order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bare_line::BareLine;
use crate::cpu::Processes;
use crate::designs::{Backs, Design, Engines};
use crate::edge::{Entry, Server, StreamedCalls, UnaryCalls, connect};
use crate::ledger::Ledger;
use crate::load::{GiveBack, Load, Measured, drive};
use crate::observed_journal::Commits;
use crate::seats::is_sold_out;
use crate::stage::Stage;
use crate::workload::{Ask, SOLD_OUT_TRAIN, Workload, places, run as run_of};
use crate::{BenchError, Seats};

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the engines are.
    pub engines: Engines,
    /// Before each measurement.
    pub warm_up: Duration,
    /// Of each measurement.
    pub time: Duration,
    /// How often all take their turn; the median counts.
    pub rounds: usize,
    /// Clients at once.
    pub clients: Vec<usize>,
    /// Where clients stand.
    pub entries: Vec<Entry>,
    /// Designs to compare.
    pub designs: Vec<Design>,
    /// What clients do.
    pub workloads: Vec<Workload>,
}

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// What clients do.
    pub workload: Workload,
    /// How many there are.
    pub clients: usize,
    /// Where they stand.
    pub entry: Entry,
    /// Who sells.
    pub design: Design,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of what.
    pub cell: Cell,
    /// The round whose speed is the median.
    pub median: Measured,
    /// Requests that failed, in all rounds.
    pub failed: u64,
    /// The commits of all rounds, where there is a journal.
    pub commits: Option<CommitsSeen>,
}

/// Commits of one cell.
#[derive(Clone, Copy, Debug)]
pub struct CommitsSeen {
    /// From sending the statement to its answer, in µs.
    pub p50_us: u64,
    /// The same for the slowest hundredth.
    pub p99_us: u64,
    /// Requests made durable by one commit, on average.
    pub operations_mean: f64,
    /// Slots in one commit, on average.
    pub slots_mean: f64,
}

/// How long a shard takes to come back to what was sold in this bench.
#[derive(Clone, Copy, Debug)]
pub struct Restart {
    /// Of which design.
    pub design: Design,
    /// Batches in its journal.
    pub batches: u64,
    /// Until it owns its slots, in ms.
    pub owned_ms: u64,
    /// Until every train has answered, in ms.
    pub answered_ms: u64,
}

/// Measures everything.
///
/// # Errors
/// When an engine, a shard or an edge cannot be started, when refusals wrote to a journal, or when a seat was sold twice
/// (a panic).
pub async fn run(
    options: Options,
    mut progress: impl FnMut(usize, usize, &str),
) -> Result<(Vec<Outcome>, Vec<Restart>), BenchError> {
    let folder = tempfile::tempdir().map_err(BenchError::because("no folder for SQLite"))?;
    let field = Field::start(&options, folder.path().to_owned()).await?;
    let groups = field.groups(&options);
    let total = groups.iter().map(Vec::len).sum::<usize>() * options.rounds;
    let mut outcomes = Vec::new();
    let mut done = 0;
    for group in groups {
        let mut rounds: Vec<Vec<(Measured, Option<Commits>)>> = group.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds {
            for (cell, measured) in group.iter().zip(&mut rounds) {
                progress(
                    done,
                    total,
                    &format!("{} {} {}", cell.workload.name(), cell.entry.name(), cell.design.name()),
                );
                measured.push(field.measure(*cell, &options).await?);
                done += 1;
            }
        }
        outcomes.extend(group.into_iter().zip(rounds).map(|(cell, rounds)| outcome(cell, rounds)));
    }
    progress(total, total, "restarting shards");
    let restarts = field.stop().await?;
    Ok((outcomes, restarts))
}

fn outcome(cell: Cell, rounds: Vec<(Measured, Option<Commits>)>) -> Outcome {
    let operations: u64 = rounds.iter().map(|(measured, _)| measured.operations).sum();
    let failed = rounds.iter().map(|(measured, _)| measured.failed).sum();
    let mut micros: Option<hdrhistogram::Histogram<u64>> = None;
    let mut slots = 0;
    let mut measured = Vec::new();
    for (one, commits) in rounds {
        measured.push(one);
        let Some(commits) = commits else { continue };
        slots += commits.slots;
        match &mut micros {
            // Both have the same precision and grow as they must.
            Some(sum) => sum.add(&commits.micros).unwrap_or_default(),
            None => micros = Some(commits.micros),
        }
    }
    let commits = micros.filter(|micros| !micros.is_empty()).map(|micros| CommitsSeen {
        p50_us: micros.value_at_quantile(0.5),
        p99_us: micros.value_at_quantile(0.99),
        operations_mean: operations as f64 / micros.len() as f64,
        slots_mean: slots as f64 / micros.len() as f64,
    });
    measured.sort_by(|one, other| one.per_second().total_cmp(&other.per_second()));
    let median = measured.swap_remove(measured.len() / 2);
    Outcome { cell, median, failed, commits }
}

/// Everything that stands while it is measured.
struct Field {
    clients: Stage,
    edges: Stage,
    shards: Stage,
    backs: Backs,
    ways: HashMap<(Entry, Design), Arc<dyn Seats>>,
    servers: Vec<Server>,
    ledgers: HashMap<Design, Arc<Ledger>>,
}

impl Field {
    async fn start(options: &Options, folder: std::path::PathBuf) -> Result<Self, BenchError> {
        let (clients, edges, shards) = (Stage::start("clients")?, Stage::start("edges")?, Stage::start("shards")?);
        let engines = options.engines.clone();
        let trains = options.workloads.iter().flat_map(|workload| workload.trains()).collect();
        let backs = shards.run(Backs::start(engines, folder, trains)).await?;
        let mut field =
            Self { clients, edges, shards, backs, ways: HashMap::new(), servers: Vec::new(), ledgers: HashMap::new() };
        for design in &options.designs {
            if field.backs.has(*design) {
                field.connect(*design).await?;
                if options.workloads.contains(&Workload::SoldOut) && design.give_back() != GiveBack::Echo {
                    field.sell_out(*design).await?;
                }
            }
        }
        Ok(field)
    }

    async fn connect(&mut self, design: Design) -> Result<(), BenchError> {
        let reach = self.backs.reach(design)?;
        let (server, address) = reach.clone().edge(&self.edges).await?;
        self.servers.push(server);
        let inside = self.clients.run(reach.connect()).await?;
        let outside = async move {
            let unary = UnaryCalls(connect(&address).await?);
            let line = BareLine::open(connect(&address).await?).await;
            let line = line.map_err(BenchError::because("an edge opened no stream"))?;
            Ok::<_, BenchError>((Arc::new(unary), Arc::new(StreamedCalls(line))))
        };
        let (unary, streaming) = self.clients.run(outside).await?;
        self.ways.insert((Entry::Inside, design), inside);
        self.ways.insert((Entry::Unary, design), unary);
        self.ways.insert((Entry::Streaming, design), streaming);
        self.ledgers.insert(design, Arc::new(Ledger::new()));
        Ok(())
    }

    /// Sells every place of the train for that, from end to end; one design may find that another has done it.
    async fn sell_out(&self, design: Design) -> Result<(), BenchError> {
        let seats = self.ways[&(Entry::Inside, design)].clone();
        let sold = async move {
            for order in 0..=u128::from(places(SOLD_OUT_TRAIN)) {
                let ask = Ask::whole_way(SOLD_OUT_TRAIN, order + 1 + (u128::from(design as u8) << 64));
                match seats.hold(run_of(SOLD_OUT_TRAIN), ask.request()).await {
                    Ok(_) => {}
                    Err(status) if is_sold_out(&status) => return Ok(()),
                    Err(status) => return Err(status),
                }
            }
            Ok(())
        };
        self.clients.run(sold).await.map_err(BenchError::because("a train could not be sold out"))
    }

    /// What takes turns with each other: all ways to all designs, with the same workload and the same clients.
    fn groups(&self, options: &Options) -> Vec<Vec<Cell>> {
        let mut groups = Vec::new();
        for workload in &options.workloads {
            for clients in &options.clients {
                let cells = options.entries.iter().flat_map(|entry| {
                    let there = options.designs.iter().filter(|design| self.ways.contains_key(&(*entry, **design)));
                    there.map(|design| Cell { workload: *workload, clients: *clients, entry: *entry, design: *design })
                });
                groups.push(cells.collect());
            }
        }
        groups
    }

    async fn measure(&self, cell: Cell, options: &Options) -> Result<(Measured, Option<Commits>), BenchError> {
        let journal = self.backs.journal(cell.design).cloned();
        let versions = match &journal {
            Some(journal) => {
                journal.take();
                Some(journal.versions().await.map_err(BenchError::because("the journal did not answer"))?)
            }
            None => None,
        };
        let load =
            Load { workload: cell.workload, clients: cell.clients, warm_up: options.warm_up, time: options.time };
        let seats = self.ways[&(cell.entry, cell.design)].clone();
        let (ledger, give_back) = (self.ledgers[&cell.design].clone(), cell.design.give_back());
        let processes = Processes::with_servers(self.backs.servers.clone());
        let measured = self.clients.run(drive(seats, give_back, ledger, load, processes)).await;
        let commits = journal.as_ref().map(|journal| journal.take());
        if let (Workload::SoldOut, Some(journal), Some(before)) = (cell.workload, &journal, versions) {
            let after = journal.versions().await.map_err(BenchError::because("the journal did not answer"))?;
            if after != before {
                return Err(BenchError::new(format!("refusals wrote {} batches", after - before)));
            }
        }
        Ok((measured, commits))
    }

    /// Ends everything; the shards are started once more before.
    async fn stop(self) -> Result<Vec<Restart>, BenchError> {
        let Self { clients, edges, shards, backs, ways, servers, .. } = self;
        clients.run(async move { drop(ways) }).await;
        edges
            .run(async move {
                for server in servers {
                    server.stop().await;
                }
            })
            .await;
        shards.run(backs.restart_and_stop()).await
    }
}

/// How long something took, in ms.
pub(crate) fn millis_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
