//! `chunyun policy`: the policy file, and selling policies replayed against demand before they are used.

mod demand;
mod render;

use std::path::{Path, PathBuf};

use ::replay::{Comparison, DEFAULT_POLICIES, PolicyFile};
use domain::{ServiceDate, TrainCode};
use serde_json::json;

use crate::output;

/// Shows and checks policies, and compares them on demand before they are used
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Prints the default policy file, every key explained
    Show {
        /// Print the policies that `replay` compares instead
        #[arg(long)]
        replay: bool,
    },
    /// Checks a policy file
    Check {
        /// The file, in TOML
        file: PathBuf,
        /// It is a file of policies for `replay`
        #[arg(long)]
        replay: bool,
    },
    Replay(Replay),
}

/// Sells the same demand by several policies and compares them with a clairvoyant bound
///
/// The bound is the best that could be on board at departure for one who knew all requests and cancellations before the first
/// ticket was sold: the most valuable set of the passengers who travel that overloads no segment. No policy can be above it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Demand:\n  \
        --reference   one train: rail-17 (the default), rail-35, uniform-17 or uniform-35\n  \
        --train       one train of a timetable, asked for between cities by their size\n  \
        --national    every train of a timetable, the popular ones most\n  \
        --demand      recorded, as CSV with the columns time_ms, train, service_date, from_stop,\n                \
        to_stop, class, party and, if there is one, cancel_at_ms; stops count from 0\n\n\
        Examples:\n  chunyun policy replay\n  \
        chunyun policy replay --reference rail-35 --load 0.9,1.1,1.5,3 --svg fill.svg\n  \
        chunyun policy replay --train K598 --load 1.5 --json\n  \
        chunyun policy replay --national --timetable ./timetable --load 0.8\n  \
        chunyun policy replay --demand last-week.csv --timetable ./timetable --policies mine.toml")]
pub struct Replay {
    /// Reference demand by its name
    #[arg(long, group = "what", value_name = "NAME", value_parser = reference)]
    reference: Option<::replay::Reference>,
    /// One train of the timetable
    #[arg(long, group = "what", value_name = "CODE")]
    train: Option<TrainCode>,
    /// Every train of the timetable
    #[arg(long, group = "what")]
    national: bool,
    /// Recorded demand for trains of the timetable
    #[arg(long, group = "what", value_name = "FILE")]
    demand: Option<PathBuf>,
    /// The timetable's directory; without it the sample that ships with the project
    #[arg(long, value_name = "DIR", conflicts_with = "reference")]
    timetable: Option<PathBuf>,
    /// The service date of drawn demand for a timetable
    #[arg(long, default_value = "2026-12-01", value_name = "DATE", conflicts_with_all = ["reference", "demand"])]
    date: ServiceDate,
    /// Seat-segments asked for over those there are; several are compared one after the other
    #[arg(long, default_value = "1.5", value_delimiter = ',', value_parser = load, conflicts_with = "demand")]
    load: Vec<f64>,
    /// What is drawn depends on it alone
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The policies to compare; without it those of `chunyun policy show --replay`
    #[arg(long, value_name = "FILE")]
    policies: Option<PathBuf>,
    /// Draw how full the trains are: over the load when there are several, else as bars
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The heaviest load: what is drawn is held in memory, one train per thread.
const LOAD_MAX: f64 = 50.0;

/// `chunyun policy`.
///
/// # Errors
/// A file that cannot be read or is refused, a train that is not there, or a policy that sold a seat twice.
pub fn policy(command: PolicyCommand) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        PolicyCommand::Show { replay } => {
            let file = if replay { DEFAULT_POLICIES } else { ::policy::DEFAULT_FILE };
            output::line(file.trim_end());
        }
        PolicyCommand::Check { file, replay: true } => {
            let policies = PolicyFile::parse(&read(&file)?)?;
            output::line(&format!("{}: {} policies", file.display(), policies.policies.len()));
        }
        PolicyCommand::Check { file, replay: false } => {
            let policy = ::policy::Policy::parse(&read(&file)?)?;
            output::line(&format!("{}: a valid policy, version {}", file.display(), policy.version));
        }
        PolicyCommand::Replay(replay) => run(&replay)?,
    }
    Ok(())
}

fn run(replay: &Replay) -> Result<(), Box<dyn std::error::Error>> {
    let policies = match &replay.policies {
        Some(file) => PolicyFile::parse(&read(file)?)?,
        None => PolicyFile::default(),
    };
    let comparisons = demand::compare(replay, &policies)?;
    if let Some(file) = &replay.svg {
        let svg = ::replay::plot(&comparisons)?;
        std::fs::write(file, svg).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        output::note(&format!("wrote {}", file.display()));
    }
    if replay.json {
        output::document(&document(replay.seed, &comparisons)?);
        return Ok(());
    }
    for comparison in &comparisons {
        output::line(&render::comparison(comparison));
    }
    Ok(())
}

fn document(seed: u64, comparisons: &[Comparison]) -> Result<serde_json::Value, serde_json::Error> {
    Ok(json!({ "seed": seed, "comparisons": serde_json::to_value(comparisons)? }))
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

fn reference(name: &str) -> Result<::replay::Reference, String> {
    ::replay::Reference::by_name(name).ok_or_else(|| {
        let names = ::replay::Reference::ALL.map(|reference| reference.name);
        format!("expected one of {}", names.join(", "))
    })
}

fn load(text: &str) -> Result<f64, String> {
    let load = text.parse().ok().filter(|load| *load > 0.0 && *load <= LOAD_MAX);
    load.ok_or_else(|| format!("expected a number above 0 and up to {LOAD_MAX}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: PolicyCommand,
    }

    fn parse(line: &str) -> Result<PolicyCommand, String> {
        let words = ["policy"].into_iter().chain(line.split(' '));
        Line::try_parse_from(words).map(|line| line.command).map_err(|error| error.to_string())
    }

    #[test]
    fn demand_is_of_one_kind() {
        for line in
            ["replay", "replay --national --load 0.9,3", "replay --train K598 --seed 4 --json", "replay --demand d.csv"]
        {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line));
        }
        for line in [
            "replay --national --train K598",
            "replay --reference rail-17 --demand d.csv",
            "replay --reference rail-18",
            "replay --load 0",
            "replay --load 1.5,x",
            "replay --demand d.csv --load 2",
            "replay --reference rail-17 --timetable .",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_default_files_pass_their_own_checks() {
        assert!(::policy::Policy::parse(::policy::DEFAULT_FILE).is_ok());
        assert!(PolicyFile::parse(DEFAULT_POLICIES).is_ok());
    }
}
