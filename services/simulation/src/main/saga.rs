//! The simulation of orders and money on the command line.

use std::process::ExitCode;

use simulation::saga::{Fault, Met, SAGA_DEFECTS, SOUND_SAGA, Step};
use simulation::search::Found;

use super::{Arguments, by_name, find_all, live_through, told};

/// Does what the arguments ask of the saga's simulation.
#[expect(clippy::print_stdout, reason = "a program of the command line")]
pub(super) fn run(arguments: &Arguments, first: u64) -> ExitCode {
    if arguments.defects {
        return find_all(SAGA_DEFECTS, first, |defect| defect.name);
    }
    let planted = arguments.defect.as_deref().map(|name| by_name(name, SAGA_DEFECTS, |defect| defect.name));
    let world = planted.unwrap_or(SOUND_SAGA);
    if arguments.trace {
        let report = world.live(first, true);
        println!("trace hash {:016x}", report.trace_hash);
        return told(&world.arguments(), report.broken.map(|broken| Found { seed: first, broken }));
    }
    let result = live_through(&world, first, arguments.seeds);
    let counts = &result.counts;
    println!("{} orders, {} of them became tickets", counts.orders, counts.confirmed);
    println!(
        "{} changes, {} more came to nothing; {} clocks jumped",
        counts.changed, counts.not_changed, counts.clock_jumps
    );
    print_met(&result.counts.met);
    told(&world.arguments(), result.found)
}

/// How often each fault met each step of the saga.
#[expect(clippy::print_stdout, reason = "a program of the command line")]
fn print_met(met: &Met) {
    let head: String = Fault::ALL.iter().map(|fault| format!("{:>16}", fault.words())).collect();
    println!("{:<24}{head}", "");
    for step in Step::ALL {
        let times = |fault: &Fault| met.times(*step, *fault).map_or_else(|| "-".to_owned(), |times| times.to_string());
        let line: String = Fault::ALL.iter().map(|fault| format!("{:>16}", times(fault))).collect();
        println!("{:<24}{line}", step.words());
    }
}
