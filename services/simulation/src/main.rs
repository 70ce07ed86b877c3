//! `simulate`: lives worlds by seed until something breaks, and prints the command that replays it.

use std::hash::{BuildHasher as _, RandomState};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use simulation::defects::{DEFECTS, Defect, KERNEL, SOUND};
use simulation::search::{Found, search};

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
    #[arg(long, value_parser = by_name)]
    defect: Option<Defect>,
    /// Runs the seat kernel that is sold from, instead of the toy train.
    #[arg(long, conflicts_with = "defect")]
    kernel: bool,
    /// Searches for each planted defect, and prints the seed that finds it.
    #[arg(long, conflicts_with_all = ["defect", "trace", "kernel"])]
    defects: bool,
}

fn by_name(name: &str) -> Result<Defect, String> {
    let known = || DEFECTS.iter().map(|defect| defect.name).collect::<Vec<_>>().join(", ");
    DEFECTS.iter().find(|defect| defect.name == name).copied().ok_or_else(|| format!("one of {}", known()))
}

#[expect(clippy::print_stdout, reason = "a program of the command line")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let first = arguments.seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    if arguments.defects {
        return find_all(first);
    }
    let world = arguments.defect.unwrap_or(if arguments.kernel { KERNEL } else { SOUND });
    if arguments.trace {
        let report = world.live(first, true);
        println!("trace hash {:016x}, {:?}", report.trace_hash, report.counts);
        return told(&world, report.broken.map(|broken| Found { seed: first, broken }));
    }
    let bar = bar(arguments.seeds);
    let started = Instant::now();
    let result = search(&world, first, arguments.seeds, || bar.inc(1));
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let lived = result.lived;
    println!("{lived} seeds from {first} in {seconds:.1} s, {:.0} per second", lived as f64 / seconds);
    println!("{:?}", result.counts);
    told(&world, result.found)
}

#[expect(clippy::print_stdout, reason = "a program of the command line")]
fn told(world: &Defect, found: Option<Found>) -> ExitCode {
    let Some(Found { seed, broken }) = found else {
        println!("nothing broke");
        return ExitCode::SUCCESS;
    };
    println!("seed {seed}: {broken}");
    println!("replay: scripts/simulate{} --seed {seed} --trace", world.arguments());
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "a program of the command line")]
fn find_all(first: u64) -> ExitCode {
    let mut missed = 0;
    let bar = bar(DEFECTS.len() as u64);
    for defect in DEFECTS {
        let result = search(defect, first, FOUND_WITHIN, || ());
        bar.inc(1);
        match result.found {
            Some(Found { seed, broken }) => {
                bar.suspend(|| println!("{} {seed} # after {} seeds: {broken}", defect.name, result.lived));
            }
            None => {
                missed += 1;
                bar.suspend(|| println!("# {} was not found within {FOUND_WITHIN} seeds", defect.name));
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
