use crate::load::{Layout, LoadOptions};
use crate::table::{ProgressMeter, Source};
use crate::{Timetable, chunyun};

/// Real trains with their stop lists; the fares are computed (FORMAT.md, "The sample").
const SAMPLE: &[(&str, &str)] = &[
    ("stations.csv", include_str!("../sample/stations.csv")),
    ("compositions.csv", include_str!("../sample/compositions.csv")),
    ("fare_curves.csv", include_str!("../sample/fare_curves.csv")),
    ("trains.csv", include_str!("../sample/trains.csv")),
    ("stops.csv", include_str!("../sample/stops.csv")),
    ("fares.csv", include_str!("../sample/fares.csv")),
];

impl Timetable {
    /// The timetable that ships with the project: thirty trains, among them G71 with 18 stops and K598 with 35.
    pub fn sample() -> Self {
        let mut ignore = |_: crate::Progress<'_>| {};
        let mut meter = ProgressMeter { report: &mut ignore, bytes_done: 0, bytes_total: 0 };
        let read = Self::read(
            &Source::Embedded(SAMPLE),
            Layout::Chunyun,
            LoadOptions::default(),
            |draft, source, findings| chunyun::read(draft, source, &mut meter, findings),
        );
        match read {
            Ok((timetable, _)) => timetable,
            Err(error) => panic!("the sample timetable is part of the program and was tested with it: {error}"),
        }
    }
}
