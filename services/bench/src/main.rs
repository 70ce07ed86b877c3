//! `bench`: how fast the fleet is: its hold path beside other designs, more and more shards, and whole purchases.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bench::hop::{self, HopBench};
use bench::purchases::{self, Layout, PurchaseOptions};
use bench::shards::{self, ShardRole, ShardsBench};
use bench::{Design, Engines, Entry, Findings, Options, Workload};
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

/// The one of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How fast the fleet is: its hold path beside other designs, more and more shards, and whole purchases.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Holds, releases and refusals by every design; the journal against the bare insert; loading.
    #[command(after_help = EXAMPLES)]
    Holds(Holds),
    /// Whole purchases through the public API on Postgres, by a process for each role and by one for all.
    #[command(after_help = PURCHASE_EXAMPLES)]
    Purchases(PurchasesArguments),
    /// Holds over 1,000 trains with one and with more shard processes on one Postgres: what each kind of process spends.
    #[command(after_help = SHARDS_EXAMPLES)]
    Shards(ShardsArguments),
    /// The same messages over one stream and as a call each, with nothing behind them.
    Hop(HopArguments),
    /// Is one shard of `shards`.
    #[command(hide = true)]
    BeShard(BeShard),
}

const EXAMPLES: &str = "Examples:
  scripts/bench holds                                 everything, some ten minutes
  scripts/bench holds --seconds 3 --rounds 5          the same with less noise
  scripts/bench holds --variants redis,chunyun-postgres --clients 64 --entries inside,unary
  scripts/bench holds --parts journal --json          the journal alone, as JSON

Engines are named by CHUNYUN_TEST_POSTGRES, CHUNYUN_TEST_REDIS and CHUNYUN_TEST_REDIS_FSYNC, as scripts/engines sets
them; a design whose engine is missing is left out.";

const PURCHASE_EXAMPLES: &str = "Examples:
  scripts/bench purchases                             256 buyers, 15 seconds for each layout
  scripts/bench purchases --layouts one-process
  scripts/bench purchases --buyers 64 --seconds 30 --json

Needs CHUNYUN_TEST_POSTGRES, as scripts/engines sets it.";

const SHARDS_EXAMPLES: &str = "Examples:
  scripts/bench shards                                1, 2 and 4 shards, 64 and 1,024 clients
  scripts/bench shards --shards 1,8 --clients 256 --seconds 10 --json

Needs CHUNYUN_TEST_POSTGRES, as scripts/engines sets it.";

#[derive(Debug, clap::Args)]
struct ShardsArguments {
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Shard processes, one number after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4], value_parser = clap::value_parser!(u16).range(1..=64))]
    shards: Vec<u16>,
    /// Clients at once.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1_024], value_parser = clap::value_parser!(u16).range(1..=4_096))]
    clients: Vec<u16>,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// How often each is made; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
}

#[derive(Debug, clap::Args)]
struct HopArguments {
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Clients at once.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1_024], value_parser = clap::value_parser!(u16).range(1..=4_096))]
    clients: Vec<u16>,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    /// How often both take their turn; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
}

#[derive(Debug, clap::Args)]
struct BeShard {
    #[arg(long, env = "BENCH_JOURNAL")]
    journal: String,
    #[arg(long)]
    number: u16,
    #[arg(long)]
    shards: u16,
}

#[derive(Debug, clap::Args)]
struct PurchasesArguments {
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Buyers at once, each with one purchase at a time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    buyers: u16,
    /// How long purchases are counted, in seconds.
    #[arg(long, default_value_t = 15.0, value_parser = seconds)]
    seconds: f64,
    /// How the roles are spread over processes.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [LayoutName::Fleet, LayoutName::OneProcess])]
    layouts: Vec<LayoutName>,
    /// The binary that hosts the roles; left out, the one beside this program.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// How the roles are spread over processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LayoutName {
    /// A process for each role.
    Fleet,
    /// All roles in one process.
    OneProcess,
}

#[derive(Debug, clap::Args)]
struct Holds {
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// How often all take their turn; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Clients at once.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1_024], value_parser = clap::value_parser!(u16).range(1..=1_024))]
    clients: Vec<u16>,
    /// Designs of these names, or whose names begin so where no design has the whole name; all when left out.
    #[arg(long, value_delimiter = ',')]
    variants: Vec<String>,
    /// Where clients stand.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Entry::ALL)]
    entries: Vec<Entry>,
    /// What is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Holds, Part::Refusals, Part::Journal])]
    parts: Vec<Part>,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Holds and releases of a hot train, then over 1,000 trains.
    Holds,
    /// Refusals of a sold-out train.
    Refusals,
    /// Appending to the journal and loading from it.
    Journal,
}

/// Events of the train-date that is loaded cold: a large one, sold out twice over.
const LOADED_EVENTS: usize = 5_000;

fn seconds(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|seconds| (0.05..=600.0).contains(seconds));
    parsed.ok_or_else(|| "0.05 to 600".to_owned())
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line")]
fn main() -> ExitCode {
    let command = Arguments::parse().command;
    // A shard has the binary's runtime; what drives it has one thread.
    let mut runtime = match &command {
        Command::BeShard(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let found = match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(run(command)),
        Err(error) => Err(bench::BenchError::new(format!("no runtime: {error}"))),
    };
    match found {
        Ok(text) => println!("{}", text.trim_end()),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("bench: {error}{cause}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "a shard's process tells its starter")]
async fn run(command: Command) -> Result<String, bench::BenchError> {
    match command {
        Command::Holds(arguments) => holds(arguments).await,
        Command::Purchases(arguments) => buy(arguments).await,
        Command::Shards(arguments) => more_shards(arguments).await,
        Command::Hop(arguments) => second_hop(arguments).await,
        Command::BeShard(BeShard { journal, number, shards }) => {
            shards::be_shard(ShardRole { journal, number, shards }, |line| println!("{line}")).await?;
            Ok(String::new())
        }
    }
}

async fn more_shards(arguments: ShardsArguments) -> Result<String, bench::BenchError> {
    let time = Duration::from_secs_f64(arguments.seconds);
    let program = std::env::current_exe();
    let bench = ShardsBench {
        program: program.map_err(|_| bench::BenchError::new("this program does not know where it is"))?,
        postgres: postgres()?,
        shards: arguments.shards,
        clients: arguments.clients.into_iter().map(usize::from).collect(),
        warm_up: time / 3,
        time,
        rounds: arguments.rounds.into(),
    };
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let found = shards::measure(&bench, |what| bar.set_message(what.to_owned())).await?;
    bar.finish_and_clear();
    Ok(if arguments.json { format!("{:#}", shards::to_json(&found)) } else { shards::print(&found) })
}

async fn second_hop(arguments: HopArguments) -> Result<String, bench::BenchError> {
    let time = Duration::from_secs_f64(arguments.seconds);
    let bench = HopBench {
        clients: arguments.clients.into_iter().map(usize::from).collect(),
        warm_up: time / 3,
        time,
        rounds: arguments.rounds.into(),
    };
    let found = hop::measure(&bench).await?;
    Ok(if arguments.json { format!("{:#}", hop::to_json(&found)) } else { hop::print(&found) })
}

fn postgres() -> Result<String, bench::BenchError> {
    let named = std::env::var("CHUNYUN_TEST_POSTGRES");
    named.map_err(|_| bench::BenchError::new("CHUNYUN_TEST_POSTGRES is not set: use scripts/bench"))
}

async fn holds(arguments: Holds) -> Result<String, bench::BenchError> {
    let json = arguments.json;
    let findings = measure(arguments).await?;
    Ok(if json { format!("{:#}", bench::to_json(&findings)) } else { bench::print(&findings) })
}

async fn buy(arguments: PurchasesArguments) -> Result<String, bench::BenchError> {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("chunyun"));
    let binary = arguments.binary.or(beside).filter(|binary| binary.exists());
    let time = Duration::from_secs_f64(arguments.seconds);
    let binary = binary.ok_or_else(|| bench::BenchError::new("no binary: build it with cargo build --release"))?;
    let postgres = postgres()?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut found = Vec::with_capacity(arguments.layouts.len());
    for layout in &arguments.layouts {
        let options = PurchaseOptions {
            binary: binary.clone(),
            postgres: postgres.clone(),
            layout: match layout {
                LayoutName::Fleet => Layout::ProcessPerRole,
                LayoutName::OneProcess => Layout::OneProcess,
            },
            buyers: arguments.buyers.into(),
            warm_up: time / 3,
            time,
        };
        found.push(purchases::measure(options, |what| bar.set_message(what.to_owned())).await?);
    }
    bar.finish_and_clear();
    Ok(if arguments.json {
        format!("{:#}", found.iter().map(purchases::to_json).collect::<serde_json::Value>())
    } else {
        found.iter().map(purchases::print).collect::<Vec<_>>().join("\n")
    })
}

async fn measure(arguments: Holds) -> Result<Findings, bench::BenchError> {
    let engine = |name| std::env::var(name).ok();
    let engines = Engines {
        postgres: engine("CHUNYUN_TEST_POSTGRES"),
        redis: engine("CHUNYUN_TEST_REDIS"),
        redis_fsync: engine("CHUNYUN_TEST_REDIS_FSYNC"),
    };
    let is_whole_name = |name: &str| Design::ALL.iter().any(|design| design.name() == name);
    let means = |name: &str, design: &Design| {
        if is_whole_name(name) { design.name() == name } else { design.name().starts_with(name) }
    };
    let wanted =
        |design: &Design| arguments.variants.is_empty() || arguments.variants.iter().any(|name| means(name, design));
    let mut workloads = Vec::new();
    if arguments.parts.contains(&Part::Holds) {
        workloads.extend([Workload::HotTrain, Workload::Spread]);
    }
    if arguments.parts.contains(&Part::Refusals) {
        workloads.push(Workload::SoldOut);
    }
    let time = Duration::from_secs_f64(arguments.seconds);
    let options = Options {
        engines: engines.clone(),
        warm_up: time / 3,
        time,
        rounds: arguments.rounds.into(),
        clients: arguments.clients.iter().map(|clients| usize::from(*clients)).collect(),
        entries: arguments.entries,
        designs: Design::ALL.into_iter().filter(wanted).collect(),
        workloads,
    };
    let bar = bar();
    let mut findings = Findings::default();
    if !options.workloads.is_empty() {
        let progress = |done: usize, total: usize, what: &str| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(what.to_owned());
        };
        (findings.outcomes, findings.restarts) = bench::run(options, progress).await?;
    }
    if arguments.parts.contains(&Part::Journal) {
        (findings.appending, findings.loading) =
            bench::appending::measure(engines.postgres.as_deref(), 2 * time, LOADED_EVENTS, |what| {
                bar.set_message(what.to_owned());
            })
            .await?;
    }
    bar.finish_and_clear();
    Ok(findings)
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} eta {eta} {msg}");
    ProgressBar::new(0).with_style(style.expect("the template is well formed"))
}
