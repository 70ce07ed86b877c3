use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::report::{At, Findings};
use crate::{LoadError, Progress};

/// Between two reports of progress within a file.
const ROWS_PER_PROGRESS: u64 = 4_096;

/// The columns of one file.
pub(crate) struct Columns {
    pub(crate) required: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
    /// Whether a column that is in neither list is an error. In our own layout it is: a misspelt column would otherwise be
    /// silently ignored. Foreign layouts have columns that we do not need.
    pub(crate) refuse_others: bool,
}

/// Where the files are: a directory, or text inside the program.
pub(crate) enum Source<'a> {
    Directory(&'a Path),
    Embedded(&'a [(&'static str, &'static str)]),
}

impl Source<'_> {
    pub(crate) fn has(&self, file: &str) -> bool {
        match self {
            Self::Directory(directory) => directory.join(file).is_file(),
            Self::Embedded(files) => files.iter().any(|(name, _)| *name == file),
        }
    }

    fn open(&self, file: &str) -> Result<Box<dyn Read + '_>, LoadError> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(file);
                let opened = File::open(&path).map_err(|source| LoadError::Io { path, source })?;
                Ok(Box::new(BufReader::new(opened)))
            }
            Self::Embedded(files) => match files.iter().find(|(name, _)| *name == file) {
                Some((_, text)) => Ok(Box::new(text.as_bytes())),
                None => Err(LoadError::Io { path: file.into(), source: std::io::ErrorKind::NotFound.into() }),
            },
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        match self {
            Self::Directory(directory) => directory.join(file),
            Self::Embedded(_) => file.into(),
        }
    }
}

/// One row, with its fields by column name.
pub(crate) struct Row<'a> {
    pub(crate) at: At,
    record: &'a StringRecord,
    positions: &'a [(&'static str, usize)],
}

/// How far reading is, over all files.
pub(crate) struct ProgressMeter<'a> {
    pub(crate) report: &'a mut dyn FnMut(Progress<'_>),
    pub(crate) bytes_done: u64,
    pub(crate) bytes_total: u64,
}

impl ProgressMeter<'_> {
    fn show(&mut self, file: &str, bytes_within: u64) {
        let bytes_done = self.bytes_done + bytes_within;
        (self.report)(Progress { file, bytes_done, bytes_total: self.bytes_total.max(bytes_done) });
    }
}

/// Reads a file row by row. Rows that cannot be split into the header's columns are problems, not errors.
///
/// # Errors
/// The file cannot be read, or its columns are not the expected ones.
pub(crate) fn read_table(
    source: &Source<'_>,
    file: &'static str,
    columns: &Columns,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
    mut each: impl FnMut(&Row<'_>, &mut Findings),
) -> Result<(), LoadError> {
    let number = findings.file(file);
    let mut reader = csv::ReaderBuilder::new().from_reader(source.open(file)?);
    let broken = |error: csv::Error| LoadError::Csv { path: source.path(file), source: error };
    let header = reader.headers().map_err(broken)?.clone();
    let positions = positions(file, columns, &header)?;
    let mut record = StringRecord::new();
    let (mut rows, mut bytes) = (0u64, 0u64);
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                let (line, byte) = record.position().map_or((0, bytes), |place| (place.line(), place.byte()));
                bytes = byte;
                each(&Row { at: Findings::at(number, line), record: &record, positions: &positions }, findings);
            }
            Err(error) => match bad_record(&error) {
                Some((line, reason)) => {
                    findings.problem(Findings::at(number, line), "row", "", reason);
                    findings.unreadable = true;
                }
                None => return Err(broken(error)),
            },
        }
        rows += 1;
        if rows % ROWS_PER_PROGRESS == 0 {
            meter.show(file, bytes);
        }
    }
    meter.bytes_done += reader.position().byte();
    meter.show(file, 0);
    findings.end_of_file(number, rows);
    Ok(())
}

/// The line and reason of an error that concerns one row only.
fn bad_record(error: &csv::Error) -> Option<(u64, String)> {
    let line = error.position().map_or(0, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => Some((line, "not UTF-8".into())),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Some((line, format!("{len} fields where the header has {expected_len}")))
        }
        _ => None,
    }
}

fn positions(file: &str, columns: &Columns, header: &StringRecord) -> Result<Vec<(&'static str, usize)>, LoadError> {
    let known = || columns.required.iter().chain(columns.optional).copied();
    let of = |name: &str| header.iter().position(|column| column == name);
    let listed = |names: Vec<&str>| names.join(", ");
    let missing = columns.required.iter().copied().filter(|name| of(name).is_none()).collect();
    let unknown = header.iter().filter(|name| columns.refuse_others && known().all(|known| known != *name)).collect();
    let twice = known().filter(|name| header.iter().filter(|column| column == name).count() > 1).collect();
    let faults: [(&str, Vec<&str>); 3] = [("missing", missing), ("unknown", unknown), ("repeated", twice)];
    let faults: Vec<String> = faults
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(fault, names)| format!("{fault}: {}", listed(names)))
        .collect();
    if faults.is_empty() {
        Ok(known().filter_map(|name| of(name).map(|position| (name, position))).collect())
    } else {
        let allowed = listed(known().collect());
        Err(LoadError::Columns { file: file.to_owned(), faults: faults.join("; "), allowed })
    }
}

impl<'a> Row<'a> {
    /// The field of a column without outer spaces; empty where the file lacks the optional column.
    pub(crate) fn text(&self, column: &str) -> &'a str {
        let position = self.positions.iter().find(|(name, _)| *name == column).map(|(_, position)| *position);
        position.and_then(|position| self.record.get(position)).unwrap_or_default().trim()
    }

    /// The field as a whole number up to a bound.
    pub(crate) fn whole(&self, column: &'static str, max: u32, findings: &mut Findings) -> Option<u32> {
        let text = self.text(column);
        let number = text.parse::<u32>().ok().filter(|number| *number <= max);
        if number.is_none() {
            findings.problem(self.at, column, text, format!("expected a whole number from 0 to {max}"));
        }
        number
    }

    /// The field parsed by its type, whose error says what is allowed.
    pub(crate) fn parsed<T: std::str::FromStr<Err = domain::Invalid>>(
        &self,
        column: &'static str,
        findings: &mut Findings,
    ) -> Option<T> {
        let text = self.text(column);
        text.parse()
            .map_err(|invalid: domain::Invalid| findings.problem(self.at, column, text, expected(&invalid)))
            .ok()
    }

    /// An amount in yuan with up to two decimals, as fen; `Ok(None)` where the field is blank.
    pub(crate) fn fen(&self, column: &'static str, findings: &mut Findings) -> Result<Option<u32>, ()> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        fen_of_yuan(text).map(Some).ok_or_else(|| {
            findings.problem(self.at, column, text, "expected an amount in yuan with up to two decimals, such as 37.5");
        })
    }
}

/// What is allowed, without the value: a [`crate::Problem`] names the value itself.
pub(crate) fn expected(invalid: &domain::Invalid) -> String {
    format!("expected {}", invalid.allowed)
}

/// Fen of an amount in yuan such as `37.5`, `209` or `0.05`; at most 9,999,999 yuan.
pub(crate) fn fen_of_yuan(text: &str) -> Option<u32> {
    let (yuan, cents) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if yuan.is_empty() || yuan.len() > 7 || cents.len() > 2 || !digits(yuan) || !digits(cents) {
        return None;
    }
    let cents = if cents.is_empty() { 0 } else { cents.parse::<u32>().ok()? * if cents.len() == 1 { 10 } else { 1 } };
    Some(yuan.parse::<u32>().ok()? * 100 + cents)
}

#[cfg(test)]
mod tests {
    use super::fen_of_yuan;

    #[test]
    fn yuan_are_read_exactly() {
        for (text, fen) in [("37.5", Some(3750)), ("209", Some(20900)), ("0.05", Some(5)), ("9.90", Some(990))] {
            assert_eq!(fen_of_yuan(text), fen, "{text}");
        }
        for text in ["", ".", ".5", "-1", "1.234", "1e3", "12345678", "1,5"] {
            assert_eq!(fen_of_yuan(text), None, "{text}");
        }
    }
}
