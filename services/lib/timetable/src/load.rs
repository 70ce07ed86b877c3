use std::fmt;
use std::path::{Path, PathBuf};

use crate::draft::Draft;
use crate::report::{Findings, Report};
use crate::table::{ProgressMeter, Source};
use crate::{Timetable, build, chunyun, cn2016, gtfs};

/// How a timetable's files are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Our own: `stations.csv`, `trains.csv`, `stops.csv`, `compositions.csv`, `fares.csv` (FORMAT.md).
    Chunyun,
    /// The Chinese national timetable of 2016: `trains.csv`, `stop_times.csv`, ..., and `rolling_stock` beside it.
    Cn2016,
    /// A GTFS feed, unpacked.
    Gtfs,
}

/// What to do with bad input.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Leave out every train that has a bad row, and list it in the report, instead of refusing the whole timetable. Rows that
    /// cannot be split into fields are refused all the same: they may be a stop of any train.
    pub drop_bad_rows: bool,
}

/// How far loading is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The file that is being read.
    pub file: &'a str,
    /// Bytes read so far, over all files.
    pub bytes_done: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
}

/// Why there is no timetable.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not CSV at all.
    #[error("cannot read {} as CSV", path.display())]
    Csv {
        /// Which.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// The directory holds no timetable that we know.
    #[error(
        "no timetable in {}: expected stops.csv (own layout), stop_times.csv or cn2016/stop_times.csv (national timetable) \
         or stop_times.txt (GTFS)",
        path.display()
    )]
    UnknownLayout {
        /// The directory.
        path: PathBuf,
    },
    /// The header of a file is wrong.
    #[error("columns of {file}: {faults}; allowed are {allowed}")]
    Columns {
        /// The file.
        file: String,
        /// Which columns are missing, unknown or repeated.
        faults: String,
        /// Every column the file may have.
        allowed: String,
    },
    /// Rows are wrong, and may not be dropped.
    #[error("{} bad rows, the first: {}", .0.problems.len(), FirstProblem(.0))]
    BadRows(Box<Report>),
}

struct FirstProblem<'a>(&'a Report);

impl fmt::Display for FirstProblem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.problems.first().map_or(Ok(()), |problem| problem.fmt(f))
    }
}

impl Timetable {
    /// Reads and checks a timetable from a directory of any layout that [`detect`] knows.
    ///
    /// `progress` is called a few times per file.
    ///
    /// # Errors
    /// No known layout, a file that cannot be read, wrong columns; and bad rows, unless the options let them be dropped.
    /// [`LoadError::BadRows`] carries the report with every bad row.
    pub fn load(
        path: &Path,
        options: LoadOptions,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Self, Report), LoadError> {
        let layout = detect(path)?;
        let mut meter = ProgressMeter { report: progress, bytes_done: 0, bytes_total: 0 };
        match layout {
            Layout::Chunyun => {
                meter.bytes_total = size(path, chunyun::FILES);
                Self::read(&Source::Directory(path), layout, options, |draft, source, findings| {
                    chunyun::read(draft, source, &mut meter, findings)
                })
            }
            Layout::Cn2016 => {
                let directory = cn2016::directory(path);
                let rolling_stock = directory.join("../rolling_stock");
                meter.bytes_total = size(&directory, cn2016::FILES) + size(&rolling_stock, cn2016::ROLLING_STOCK_FILES);
                Self::read(&Source::Directory(&directory), layout, options, |draft, source, findings| {
                    cn2016::read(draft, source, &Source::Directory(&rolling_stock), &mut meter, findings)
                })
            }
            Layout::Gtfs => {
                meter.bytes_total = size(path, gtfs::FILES);
                Self::read(&Source::Directory(path), layout, options, |draft, source, findings| {
                    gtfs::read(draft, source, &mut meter, findings)
                })
            }
        }
    }

    pub(crate) fn read(
        source: &Source<'_>,
        layout: Layout,
        options: LoadOptions,
        read: impl FnOnce(&mut Draft, &Source<'_>, &mut Findings) -> Result<(), LoadError>,
    ) -> Result<(Self, Report), LoadError> {
        let mut draft = Draft::default();
        let mut findings = Findings::default();
        read(&mut draft, source, &mut findings)?;
        build::build(draft, findings, layout, options)
    }
}

/// Which layout a directory has, by the files in it.
///
/// # Errors
/// No such directory, or none of the layouts.
pub fn detect(path: &Path) -> Result<Layout, LoadError> {
    std::fs::read_dir(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
    let has = |file: &str| path.join(file).is_file();
    if has("stops.csv") {
        Ok(Layout::Chunyun)
    } else if has("stop_times.csv") || has("cn2016/stop_times.csv") {
        Ok(Layout::Cn2016)
    } else if has("stop_times.txt") {
        Ok(Layout::Gtfs)
    } else {
        Err(LoadError::UnknownLayout { path: path.to_owned() })
    }
}

fn size(directory: &Path, files: &[&str]) -> u64 {
    files.iter().filter_map(|file| directory.join(file).metadata().ok()).map(|metadata| metadata.len()).sum()
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chunyun => "chunyun",
            Self::Cn2016 => "cn2016",
            Self::Gtfs => "gtfs",
        })
    }
}
