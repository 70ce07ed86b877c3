use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ::replay::{Comparison, GravityDemand, PolicyFile, Recording, RecordingError, Reference, compare_many};
use domain::{Run, TrainCode};
use indicatif::{ProgressBar, ProgressStyle};
use timetable::Timetable;

use super::Replay;
use crate::output;

/// How many bad rows of recorded demand are printed; their count is always whole.
const BAD_ROWS_SHOWN: usize = 200;

/// Compares the policies on the demand that the command names: once per load.
pub(super) fn compare(replay: &Replay, policies: &PolicyFile) -> Result<Vec<Comparison>, Box<dyn Error>> {
    if let Some(file) = &replay.demand {
        let timetable = timetable(replay)?;
        return Ok(vec![recorded(file, &timetable, replay.seed, policies)?]);
    }
    if !replay.national && replay.train.is_none() {
        let reference = replay.reference.unwrap_or(Reference::ALL[0]);
        let compare = |load: &f64| Comparison::of(&reference.scenario(*load, replay.seed), policies, replay.seed);
        return Ok(replay.load.iter().map(compare).collect::<Result<_, _>>()?);
    }
    let timetable = timetable(replay)?;
    let demand = GravityDemand::new(&timetable, replay.date);
    if demand.trains().len() == 0 {
        return Err(format!("no train runs on {}", replay.date).into());
    }
    match replay.train {
        Some(code) => one_train(replay, &timetable, &demand, code, policies),
        None => replay.load.iter().map(|load| national(replay, &demand, *load, policies)).collect(),
    }
}

fn timetable(replay: &Replay) -> Result<Timetable, Box<dyn Error>> {
    match &replay.timetable {
        Some(directory) => Ok(crate::tools::load_timetable(directory, false)?),
        None => Ok(Timetable::sample()),
    }
}

fn one_train(
    replay: &Replay,
    timetable: &Timetable,
    demand: &GravityDemand<'_>,
    code: TrainCode,
    policies: &PolicyFile,
) -> Result<Vec<Comparison>, Box<dyn Error>> {
    let train = timetable.train_by_code(code).ok_or_else(|| format!("the timetable has no train {code}"))?;
    if !timetable.runs_on(train, replay.date) {
        return Err(format!("{code} does not run on {}", replay.date).into());
    }
    let compare = |load: &f64| {
        let scenario = demand.train_scenario(train, *load, replay.seed)?;
        Ok(Comparison::of(&scenario, policies, replay.seed)?)
    };
    replay.load.iter().map(compare).collect()
}

fn national(
    replay: &Replay,
    demand: &GravityDemand<'_>,
    load: f64,
    policies: &PolicyFile,
) -> Result<Comparison, Box<dyn Error>> {
    let trains = demand.trains().len();
    let name = format!("{trains} trains on {}", replay.date);
    let scenario = |rank| demand.scenario(rank, load, replay.seed).ok();
    let total = many(&name, trains, &scenario, policies, replay.seed)?;
    let left_out = trains as u64 - total.train_dates;
    if left_out > 0 {
        output::note(&format!("{left_out} trains cannot be sold and were left out"));
    }
    Ok(total)
}

fn recorded(
    file: &Path,
    timetable: &Timetable,
    seed: u64,
    policies: &PolicyFile,
) -> Result<Comparison, Box<dyn Error>> {
    let opened = File::open(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let recording = Recording::read(BufReader::new(opened), timetable).inspect_err(|error| {
        if let RecordingError::BadRows(rows) = error {
            rows.iter().take(BAD_ROWS_SHOWN).for_each(|row| output::note(&format!("{}: {row}", file.display())));
        }
    })?;
    let runs: Vec<Run> = recording.runs().collect();
    // Asked first, so that a train that cannot be sold is named rather than left out.
    for run in &runs {
        recording.scenario(timetable, *run)?;
    }
    let name = file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned());
    let scenario = |nth: usize| recording.scenario(timetable, runs[nth]).ok();
    let total = many(&name, runs.len(), &scenario, policies, seed)?;
    if total.hindsight_train_dates > 0 {
        output::note(&format!(
            "{} of {} train-dates have no other date in the file: their forecasts are hindsight",
            total.hindsight_train_dates, total.train_dates
        ));
    }
    Ok(total)
}

/// Compares on all processors with a progress bar.
fn many(
    name: &str,
    train_dates: usize,
    scenario: &(dyn Fn(usize) -> Option<::replay::Scenario> + Sync),
    policies: &PolicyFile,
    seed: u64,
) -> Result<Comparison, Box<dyn Error>> {
    let style = ProgressStyle::with_template("replaying {bar:40} {pos}/{len} train-dates, {eta} to go")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(train_dates as u64).with_style(style);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let empty = Comparison::new(name, policies);
    let total = compare_many(empty, train_dates, scenario, policies, seed, threads, &mut |done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    Ok(total?)
}
