use std::fmt;
use std::sync::Arc;

use crate::Layout;

/// What reading a timetable found: how much there is, every row that is wrong, and what was left out because of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// How the files were laid out.
    pub layout: Layout,
    /// The files read and how many rows each has, the header not counted.
    pub rows: Vec<(Arc<str>, u64)>,
    /// Every bad row, file by file as they were read.
    pub problems: Vec<Problem>,
    /// The trains that are not in the timetable because a row of theirs is bad; empty unless bad rows may be dropped.
    pub dropped: Vec<DroppedTrain>,
    /// What the importer added or changed where the source is silent, as sentences for people.
    pub notes: Vec<String>,
}

/// One thing that is wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name.
    pub file: Arc<str>,
    /// The line, counted from 1; the header is line 1.
    pub line: u64,
    /// The column.
    pub field: &'static str,
    /// What stands there, cut to 40 characters; empty where something is missing.
    pub value: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// A train that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedTrain {
    /// Its code as the file has it.
    pub code: String,
    /// The file that introduces it.
    pub file: Arc<str>,
    /// The line that introduces it.
    pub line: u64,
}

impl Report {
    /// How many rows a file had, 0 if it was not read.
    pub fn rows_of(&self, file: &str) -> u64 {
        self.rows.iter().find(|(name, _)| **name == *file).map_or(0, |(_, rows)| *rows)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.field)?;
        if !self.value.is_empty() {
            write!(f, " {:?}", self.value)?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "layout: {}", self.layout)?;
        for (file, rows) in &self.rows {
            writeln!(f, "{file}: {rows} rows")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for problem in &self.problems {
            writeln!(f, "bad row: {problem}")?;
        }
        for train in &self.dropped {
            writeln!(f, "dropped: train {} ({}:{})", train.code, train.file, train.line)?;
        }
        Ok(())
    }
}

/// The place of a row, to point at it later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    file: u16,
    line: u32,
}

impl At {
    pub(crate) fn line(self) -> u32 {
        self.line
    }
}

/// Where problems are gathered while files are read and checked.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    files: Vec<Arc<str>>,
    pub(crate) rows: Vec<(Arc<str>, u64)>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notes: Vec<String>,
    /// Whether a row could not even be split into fields. Nobody knows which train it belongs to, so that no train can be
    /// left out for it.
    pub(crate) unreadable: bool,
}

impl Findings {
    /// Begins a file; its rows are at `at(file, line)`.
    pub(crate) fn file(&mut self, name: &str) -> u16 {
        self.files.push(name.into());
        // A layout has about ten files.
        (self.files.len() - 1) as u16
    }

    pub(crate) fn at(file: u16, line: u64) -> At {
        At { file, line: u32::try_from(line).unwrap_or(u32::MAX) }
    }

    pub(crate) fn place(&self, at: At) -> (Arc<str>, u64) {
        (Arc::clone(&self.files[usize::from(at.file)]), u64::from(at.line))
    }

    pub(crate) fn end_of_file(&mut self, file: u16, rows: u64) {
        self.rows.push((Arc::clone(&self.files[usize::from(file)]), rows));
    }

    pub(crate) fn problem(&mut self, at: At, field: &'static str, value: &str, reason: impl Into<String>) {
        let (file, line) = self.place(at);
        let value = value.chars().take(40).collect();
        self.problems.push(Problem { file, line, field, value, reason: reason.into() });
    }
}
