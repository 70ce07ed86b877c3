//! Timetables as an operator loads them: the sample, hand-made directories with faults, and, where they are at hand, real ones.

#![cfg(test)]

mod bad_rows;
mod gtfs;
mod real;
mod sample;

use std::path::Path;

use timetable::{LoadError, LoadOptions, Report, Timetable};

/// Loads a directory that must be good.
fn load(directory: &Path) -> (Timetable, Report) {
    Timetable::load(directory, LoadOptions::default(), &mut |_| {}).unwrap_or_else(|error| match error {
        LoadError::BadRows(report) => panic!("{report}"),
        other => panic!("{other}"),
    })
}

/// Loads a directory and leaves out what is bad.
fn load_dropping(directory: &Path) -> (Timetable, Report) {
    Timetable::load(directory, LoadOptions { drop_bad_rows: true }, &mut |_| {}).unwrap()
}

/// The report of a directory that must be refused for its rows.
fn refusal(directory: &Path) -> Report {
    match Timetable::load(directory, LoadOptions::default(), &mut |_| {}) {
        Err(LoadError::BadRows(report)) => *report,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("bad rows were not noticed"),
    }
}

/// Writes files into a directory of their own.
fn directory<'a>(files: impl IntoIterator<Item = (&'a str, String)>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}
