//! `simulate`: lives worlds by seed until something breaks, and prints the command that replays it.

#[path = "main/saga.rs"]
mod saga;

use std::hash::{BuildHasher as _, RandomState};
use std::process::ExitCode;
use std::time::Instant;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use indicatif::{ProgressBar, ProgressStyle};
use simulation::defects::{DEFECTS, KERNEL, SOUND};
use simulation::search::{Found, Searched, World, search};

/// Seeds within which every planted defect must be found.
const FOUND_WITHIN: u64 = 10_000;

/// Simulates journal, owners and clients by seed.
#[derive(Debug, Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// How many seeds to live through.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed, or with --trace the only one. Fresh ones are drawn when it is left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Tells the story of one seed on standard error.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Plants a defect, by name.
    #[arg(long)]
    defect: Option<String>,
    /// Runs the seat kernel that is sold from, instead of the toy train.
    #[arg(long, conflicts_with = "defect")]
    kernel: bool,
    /// Simulates orders and money instead of journal and owners.
    #[arg(long, conflicts_with = "kernel")]
    saga: bool,
    /// Searches for each planted defect, and prints the seed that finds it.
    #[arg(long, conflicts_with_all = ["defect", "trace", "kernel"])]
    defects: bool,
}

/// The defect of a name among those of a kind of world.
fn by_name<T: Copy>(name: &str, defects: &[T], name_of: fn(&T) -> &'static str) -> T {
    defects.iter().find(|defect| name_of(defect) == name).copied().unwrap_or_else(|| {
        let known = defects.iter().map(name_of).collect::<Vec<_>>().join(", ");
        Arguments::command().error(ErrorKind::InvalidValue, format!("no defect {name:?}; there are {known}")).exit()
    })
}

#[expect(clippy::print_stdout, reason = "a program of the command line")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let first = arguments.seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    if arguments.saga {
        return saga::run(&arguments, first);
    }
    if arguments.defects {
        return find_all(DEFECTS, first, |defect| defect.name);
    }
    let planted = arguments.defect.as_deref().map(|name| by_name(name, DEFECTS, |defect| defect.name));
    let world = planted.unwrap_or(if arguments.kernel { KERNEL } else { SOUND });
    if arguments.trace {
        let report = world.live(first, true);
        println!("trace hash {:016x}, {:?}", report.trace_hash, report.counts);
        return told(&world.arguments(), report.broken.map(|broken| Found { seed: first, broken }));
    }
    let result = live_through(&world, first, arguments.seeds);
    println!("{:?}", result.counts);
    told(&world.arguments(), result.found)
}

/// Lives through seeds, with a bar, and says how fast.
#[expect(clippy::print_stdout, reason = "a program of the command line")]
fn live_through<W: World>(world: &W, first: u64, seeds: u64) -> Searched<W::Counts> {
    let bar = bar(seeds);
    let started = Instant::now();
    let result = search(world, first, seeds, || bar.inc(1));
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let lived = result.lived;
    println!("{lived} seeds from {first} in {seconds:.1} s, {:.0} per second", lived as f64 / seconds);
    result
}

#[expect(clippy::print_stdout, reason = "a program of the command line")]
fn told(arguments: &str, found: Option<Found>) -> ExitCode {
    let Some(Found { seed, broken }) = found else {
        println!("nothing broke");
        return ExitCode::SUCCESS;
    };
    println!("seed {seed}: {broken}");
    println!("replay: scripts/simulate{arguments} --seed {seed} --trace");
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "a program of the command line")]
fn find_all<W: World>(defects: &[W], first: u64, name_of: fn(&W) -> &'static str) -> ExitCode {
    let mut missed = 0;
    let bar = bar(defects.len() as u64);
    for defect in defects {
        let name = name_of(defect);
        let result = search(defect, first, FOUND_WITHIN, || ());
        bar.inc(1);
        match result.found {
            Some(Found { seed, broken }) => {
                bar.suspend(|| println!("{name} {seed} # after {} seeds: {broken}", result.lived));
            }
            None => {
                missed += 1;
                bar.suspend(|| println!("# {name} was not found within {FOUND_WITHIN} seeds"));
            }
        }
    }
    bar.finish_and_clear();
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} eta {eta}");
    ProgressBar::new(length).with_style(style.expect("the template is well formed"))
}
