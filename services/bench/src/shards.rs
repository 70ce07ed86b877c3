//! Holds over 1,000 trains through a gateway's router, with one and with more shard processes on one journal: what a request
//! costs in which kind of process, and what the shards make Postgres wait for.

mod postgres;
mod process;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shard_client::ShardsOptions;
use storage::DatabaseUrl;
use tokio_util::sync::CancellationToken;

use crate::cpu::Processes;
use crate::databases::new_database;
use crate::designs::fleet::{Hop, Routed, create_journal};
use crate::ledger::Ledger;
use crate::load::{GiveBack, Load, Measured, drive};
use crate::observed_journal::Commits;
use crate::report::table;
use crate::shards::postgres::Watched;
use crate::shards::process::{ShardProcess, list};
use crate::stage::Stage;
use crate::workload::Workload;
use crate::{BenchError, Seats};

pub use postgres::Doing;
pub use process::{ShardRole, be_shard};

/// Until every backend has told of its syncs.
const TOLD_AFTER: Duration = Duration::from_millis(1_500);

/// What is driven, and how hard.
#[derive(Clone, Debug)]
pub struct ShardsBench {
    /// This program, which hosts the shards too.
    pub program: PathBuf,
    /// A Postgres server where databases may be made.
    pub postgres: String,
    /// How many shards, one after the other.
    pub shards: Vec<u16>,
    /// Clients at once, each with one request at a time.
    pub clients: Vec<usize>,
    /// Before anything is counted.
    pub warm_up: Duration,
    /// What is counted.
    pub time: Duration,
    /// How often; the median counts.
    pub rounds: usize,
}

/// What was found with so many shards and clients.
#[derive(Clone, Debug)]
pub struct ShardsFound {
    /// Shard processes.
    pub shards: u16,
    /// Clients at once.
    pub clients: usize,
    /// What the clients saw.
    pub measured: Measured,
    /// Processor time of a request in the gateway's router, with its clients, in µs.
    pub gateway_us: f64,
    /// In all shards.
    pub shards_us: f64,
    /// In Postgres.
    pub postgres_us: f64,
    /// Commits in a second.
    pub commits_per_second: f64,
    /// Requests made durable by one commit, on average.
    pub requests_per_commit: f64,
    /// Slots in one commit, on average.
    pub slots_per_commit: f64,
    /// A commit's time at the median and for the slowest hundredth, in µs.
    pub commit_us: (u64, u64),
    /// What the log grew by for one request, in bytes.
    pub log_bytes: f64,
    /// Syncs of the log for one commit; under 1 where commits share one.
    pub syncs_per_commit: f64,
    /// How many backends were doing what, on average.
    pub backends: BTreeMap<Doing, f64>,
}

/// Measures every number of shards with every number of clients.
///
/// # Errors
/// A process or Postgres that does not answer, requests that fail.
pub async fn measure(bench: &ShardsBench, mut progress: impl FnMut(&str)) -> Result<Vec<ShardsFound>, BenchError> {
    let mut found = Vec::new();
    for shards in &bench.shards {
        progress(&format!("{shards} shards: putting 1,000 trains on sale"));
        let mut fleet = Fleet::start(bench, *shards).await?;
        for clients in &bench.clients {
            let mut rounds = Vec::new();
            for round in 1..=bench.rounds {
                progress(&format!("{shards} shards, {clients} clients, round {round}"));
                rounds.push(fleet.measure(bench, *clients).await?);
            }
            rounds.sort_by(|one, other| one.measured.per_second().total_cmp(&other.measured.per_second()));
            found.push(rounds.swap_remove(rounds.len() / 2));
        }
        fleet.stop().await;
    }
    Ok(found)
}

/// What was counted while clients were counted.
struct Counted {
    commits_before: u64,
    commits: Commits,
    /// Of this process, of the shards, of Postgres.
    cpu: [Duration; 3],
    log_bytes: u64,
    backends: BTreeMap<Doing, f64>,
}

/// A gateway's router, the shards behind it, and the journal they share.
struct Fleet {
    gateway: Arc<Stage>,
    seats: Arc<dyn Seats>,
    ledger: Arc<Ledger>,
    shards: Vec<ShardProcess>,
    postgres: Watched,
}

impl Fleet {
    async fn start(bench: &ShardsBench, shards: u16) -> Result<Self, BenchError> {
        let journal = new_database(&bench.postgres, "shards").await?;
        let url: DatabaseUrl = journal.parse().map_err(BenchError::because("an address of Postgres that is none"))?;
        create_journal(url).await?;
        let postgres = Watched::connect(&journal).await?;
        let mut processes = Vec::new();
        for number in 0..shards {
            let role = ShardRole { journal: journal.clone(), number, shards };
            processes.push(ShardProcess::start(&bench.program, &role).await?);
        }
        let list = list(shards, |number| Some(processes[usize::from(number)].address.clone()));
        let options = ShardsOptions { list, ..ShardsOptions::default() };
        let gateway = Arc::new(Stage::start("gateway")?);
        let routed = async move {
            let routed = Routed::over(&options, Hop::Streamed).await?;
            routed.open_sales(Workload::Spread.trains().collect()).await?;
            Ok::<_, BenchError>(Arc::new(routed))
        };
        let seats = gateway.run(routed).await?;
        Ok(Self { gateway, seats, ledger: Arc::new(Ledger::new()), shards: processes, postgres })
    }

    /// Drives it, and says what was found while requests were counted.
    async fn measure(&mut self, bench: &ShardsBench, clients: usize) -> Result<ShardsFound, BenchError> {
        let load = Load { workload: Workload::Spread, clients, warm_up: bench.warm_up, time: bench.time };
        let log_first = self.postgres.log().await?;
        self.commits().await?;
        let driving = drive(self.seats.clone(), GiveBack::ByHold, self.ledger.clone(), load, Processes::default());
        let gateway = self.gateway.clone();
        let (measured, counted) = tokio::join!(gateway.run(driving), self.count(bench));
        let counted = counted?;
        if measured.failed > 0 {
            let why = measured.failure.clone().unwrap_or_default();
            return Err(BenchError::new(format!("{} requests failed, the first: {why}", measured.failed)));
        }
        tokio::time::sleep(TOLD_AFTER).await;
        let (rest, log_last) = (self.commits().await?, self.postgres.log().await?);
        let commits = &counted.commits;
        let every = (counted.commits_before + commits.micros.len() + rest.micros.len()).max(1) as f64;
        let requests = measured.operations.max(1) as f64;
        let count = commits.micros.len().max(1) as f64;
        let [gateway_us, shards_us, postgres_us] = counted.cpu.map(|spent| spent.as_secs_f64() * 1e6 / requests);
        Ok(ShardsFound {
            shards: u16::try_from(self.shards.len()).unwrap_or(u16::MAX),
            clients,
            gateway_us,
            shards_us,
            postgres_us,
            commits_per_second: count / measured.time.as_secs_f64(),
            requests_per_commit: requests / count,
            slots_per_commit: commits.slots as f64 / count,
            commit_us: (commits.micros.value_at_quantile(0.5), commits.micros.value_at_quantile(0.99)),
            log_bytes: counted.log_bytes as f64 / requests,
            syncs_per_commit: (log_last.syncs - log_first.syncs) as f64 / every,
            backends: counted.backends,
            measured,
        })
    }

    /// Counts while clients are counted.
    async fn count(&mut self, bench: &ShardsBench) -> Result<Counted, BenchError> {
        tokio::time::sleep(bench.warm_up).await;
        let commits_before = self.commits().await?.micros.len();
        let (cpu_before, log_before) = (self.spent(), self.postgres.log().await?);
        let stop = CancellationToken::new();
        let time = async {
            tokio::time::sleep(bench.time).await;
            stop.cancel();
        };
        let (backends, ()) = tokio::join!(self.postgres.look(stop.clone()), time);
        let (cpu_after, log_after) = (self.spent(), self.postgres.log().await?);
        let cpu = std::array::from_fn(|kind| cpu_after[kind].saturating_sub(cpu_before[kind]));
        let log_bytes = log_after.bytes - log_before.bytes;
        Ok(Counted { commits_before, commits: self.commits().await?, cpu, log_bytes, backends: backends? })
    }

    /// The commits of all shards since the last call.
    async fn commits(&mut self) -> Result<Commits, BenchError> {
        let mut sum = Commits::none();
        for shard in &mut self.shards {
            shard.commits(&mut sum).await?;
        }
        Ok(sum)
    }

    /// Processor time up to now: of this process, of the shards, of Postgres.
    fn spent(&self) -> [Duration; 3] {
        let own = Processes::default().used();
        let with_postgres = Processes::with_servers(vec![self.postgres.server]).used();
        [own, self.shards.iter().map(ShardProcess::cpu).sum(), with_postgres.saturating_sub(own)]
    }

    async fn stop(self) {
        let Self { gateway, seats, shards, .. } = self;
        gateway.run(async move { drop(seats) }).await;
        for shard in shards {
            shard.stop().await;
        }
    }
}

/// The tables of a run as text.
pub fn print(found: &[ShardsFound]) -> String {
    let mut requests =
        table(&["shards, clients", "requests/s", "p50 us", "p99 us", "CPU us: gateway", "shards", "Postgres", "all"]);
    let mut commits = table(&[
        "shards, clients",
        "commits/s",
        "requests each",
        "slots each",
        "p50 us",
        "p99 us",
        "syncs each",
        "log bytes/request",
    ]);
    let header: Vec<&str> = std::iter::once("shards, clients").chain(Doing::ALL.map(Doing::name)).collect();
    let mut backends = table(&header);
    for one in found {
        let name = format!("{}, {}", one.shards, one.clients);
        let whole = |number: f64| format!("{number:.0}");
        let tenth = |number: f64| format!("{number:.1}");
        requests.add_row(vec![
            name.clone(),
            whole(one.measured.per_second()),
            one.measured.p50_us.to_string(),
            one.measured.p99_us.to_string(),
            tenth(one.gateway_us),
            tenth(one.shards_us),
            tenth(one.postgres_us),
            tenth(one.gateway_us + one.shards_us + one.postgres_us),
        ]);
        commits.add_row(vec![
            name.clone(),
            whole(one.commits_per_second),
            tenth(one.requests_per_commit),
            tenth(one.slots_per_commit),
            one.commit_us.0.to_string(),
            one.commit_us.1.to_string(),
            format!("{:.2}", one.syncs_per_commit),
            whole(one.log_bytes),
        ]);
        let share = |doing: Doing| format!("{:.2}", one.backends.get(&doing).copied().unwrap_or_default());
        backends.add_row(std::iter::once(name).chain(Doing::ALL.map(share)).collect::<Vec<_>>());
    }
    format!(
        "holds over 1,000 trains, each given back, through a gateway's router; a request is one or the other\n\
         {requests}\n\ncommits of all shards\n{commits}\n\nbackends of Postgres, on average\n{backends}\n"
    )
}

/// The same for machines.
pub fn to_json(found: &[ShardsFound]) -> Value {
    let one = |one: &ShardsFound| {
        let backends: serde_json::Map<String, Value> =
            one.backends.iter().map(|(doing, mean)| (doing.name().to_owned(), json!(mean))).collect();
        json!({
            "shards": one.shards,
            "clients": one.clients,
            "requests_per_second": one.measured.per_second(),
            "p50_us": one.measured.p50_us,
            "p99_us": one.measured.p99_us,
            "gateway_cpu_us": one.gateway_us,
            "shards_cpu_us": one.shards_us,
            "postgres_cpu_us": one.postgres_us,
            "commits_per_second": one.commits_per_second,
            "requests_per_commit": one.requests_per_commit,
            "slots_per_commit": one.slots_per_commit,
            "commit_p50_us": one.commit_us.0,
            "commit_p99_us": one.commit_us.1,
            "syncs_per_commit": one.syncs_per_commit,
            "log_bytes_per_request": one.log_bytes,
            "backends": backends,
        })
    };
    json!({ "shards": found.iter().map(one).collect::<Vec<_>>() })
}
