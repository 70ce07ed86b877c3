use std::path::{Path, PathBuf};

use ::timetable::{LoadError, LoadOptions, Report, Timetable};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output;

/// How many problems are printed; the count is always whole.
const PROBLEMS_SHOWN: usize = 200;

/// Checks and converts timetables
#[derive(Debug, clap::Subcommand)]
#[command(
    after_help = "Reads three layouts: our own CSV (services/lib/timetable/FORMAT.md), the national timetable of 2016, and GTFS."
)]
pub enum TimetableCommand {
    /// Reports every bad row with its file, line and reason
    Check {
        /// The timetable's directory
        path: PathBuf,
        /// Leave trains with bad rows out instead of refusing the whole
        #[arg(long)]
        drop_bad_rows: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Writes a timetable in our own CSV layout
    Convert {
        /// The timetable's directory
        path: PathBuf,
        /// Where to write; made if missing
        into: PathBuf,
        /// Leave trains with bad rows out instead of refusing the whole
        #[arg(long)]
        drop_bad_rows: bool,
    },
}

/// What went wrong with a timetable.
#[derive(Debug, thiserror::Error)]
pub enum TimetableError {
    /// It cannot be read, or has bad rows.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It cannot be written.
    #[error("cannot write to {path}")]
    Write {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// `chunyun timetable`.
///
/// # Errors
/// As [`TimetableError`] says; bad rows are an error unless they may be dropped.
pub fn timetable(command: &TimetableCommand) -> Result<(), TimetableError> {
    match command {
        TimetableCommand::Check { path, drop_bad_rows, json } => match load_with_report(path, *drop_bad_rows) {
            Ok((timetable, report)) => {
                print_report(&timetable, &report, *json);
                Ok(())
            }
            Err(error) => {
                if let LoadError::BadRows(report) = &error {
                    print_problems(report, *json);
                }
                Err(error.into())
            }
        },
        TimetableCommand::Convert { path, into, drop_bad_rows } => {
            let (timetable, _) = load_with_report(path, *drop_bad_rows)?;
            ::timetable::write_csv(&timetable, into)
                .map_err(|source| TimetableError::Write { path: into.display().to_string(), source })?;
            output::line(&format!("wrote {} trains to {}", timetable.trains().len(), into.display()));
            Ok(())
        }
    }
}

/// Reads a timetable with a progress bar, and says every bad row where it is refused.
///
/// # Errors
/// As [`Timetable::load`].
pub fn load(path: &Path, drop_bad_rows: bool) -> Result<Timetable, LoadError> {
    let loaded = load_with_report(path, drop_bad_rows);
    if let Err(LoadError::BadRows(report)) = &loaded {
        for problem in report.problems.iter().take(PROBLEMS_SHOWN) {
            output::note(&problem.to_string());
        }
    }
    Ok(loaded?.0)
}

/// Reads a timetable with a progress bar.
///
/// # Errors
/// As [`Timetable::load`].
fn load_with_report(path: &Path, drop_bad_rows: bool) -> Result<(Timetable, Report), LoadError> {
    let style = ProgressStyle::with_template("reading {msg} {bar:40} {bytes}/{total_bytes}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    let loaded = Timetable::load(path, LoadOptions { drop_bad_rows }, &mut |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes_done);
        bar.set_message(progress.file.to_owned());
    });
    bar.finish_and_clear();
    loaded
}

fn print_report(timetable: &Timetable, report: &Report, as_json: bool) {
    if as_json {
        output::document(&json!({
            "trains": timetable.trains().len(),
            "stations": timetable.stations().len(),
            "stops": timetable.trains().iter().map(|train| train.stops.len()).sum::<usize>(),
            "dropped": report.dropped.len(),
            "problems": report.problems.len(),
            "content_hash": format!("{:016x}", timetable.content_hash()),
        }));
        return;
    }
    print_problems(report, false);
    output::line(&format!(
        "{} trains, {} stations, {} stops; {} trains dropped; content hash {:016x}",
        timetable.trains().len(),
        timetable.stations().len(),
        timetable.trains().iter().map(|train| train.stops.len()).sum::<usize>(),
        report.dropped.len(),
        timetable.content_hash(),
    ));
}

fn print_problems(report: &Report, as_json: bool) {
    if as_json {
        let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        output::document(&json!({ "problems": problems }));
        return;
    }
    for problem in report.problems.iter().take(PROBLEMS_SHOWN) {
        output::line(&problem.to_string());
    }
    if report.problems.len() > PROBLEMS_SHOWN {
        output::line(&format!("... and {} more", report.problems.len() - PROBLEMS_SHOWN));
    }
}
