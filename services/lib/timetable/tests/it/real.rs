//! Real timetables, read from outside the repository: `CHUNYUN_TIMETABLE` names a directory with `cn2016`, `rolling_stock` and
//! `gtfs`. The counts are those published with the data.

use std::path::PathBuf;
use std::time::Instant;

use domain::{Interval, Money, SeatClass};
use timetable::{Layout, Timetable, Train, TrainIndex, write_csv};

use crate::{load, load_dropping, refusal};

fn real(part: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data");
    let root = std::env::var_os("CHUNYUN_TIMETABLE").map_or(beside, PathBuf::from);
    let directory = root.join(part);
    if directory.is_dir() {
        return Some(directory);
    }
    eprintln!("SKIPPED real timetable {part}: CHUNYUN_TIMETABLE names no directory that has it");
    None
}

fn train(timetable: &Timetable, code: &str) -> TrainIndex {
    timetable.train_by_code(code.parse().unwrap()).unwrap()
}

#[test]
fn the_national_timetable_imports_whole() {
    let Some(directory) = real("cn2016") else { return };
    let begun = Instant::now();
    let (timetable, report) = load(&directory);
    eprintln!("national timetable loaded in {} ms", begun.elapsed().as_millis());
    assert_eq!(report.layout, Layout::Cn2016);
    assert_eq!((report.rows_of("trains.csv"), report.rows_of("stop_times.csv")), (5_502, 57_281));
    assert_eq!((timetable.trains().len(), timetable.stations().len()), (5_502, 2_866));
    assert_eq!(timetable.trains().iter().map(|train| train.stops.len()).sum::<usize>(), 57_281);
    assert_eq!(timetable.trains().iter().map(|train| train.stops.len()).max(), Some(61));
    // Published defects of the fares, which the import must have met.
    let notes = report.notes.join("\n");
    assert!(notes.contains("152 trains have no fare at all") && notes.contains("979 seat fares fall"), "{notes}");
    // Given from the origin, and first class at 1.6 times second.
    let (g71, k598) = (train(&timetable, "G71"), train(&timetable, "K598"));
    let fare = |train, class, from, to| timetable.fare(train, class, None, Interval::new(from, to).unwrap()).unwrap();
    assert_eq!(fare(g71, SeatClass::Second, 0, 17), Money::fen(93_650));
    assert_eq!(fare(g71, SeatClass::First, 0, 17), Money::fen(149_850), "936.5 x 1.6 = 1498.4");
    assert_eq!(fare(g71, SeatClass::Second, 1, 2), Money::yuan(26), "63.5 - 37.5");
    assert_eq!(fare(k598, SeatClass::HardSeat, 0, 34), Money::fen(31_350));
    assert_eq!(fare(k598, SeatClass::HardSleeper, 0, 34), Money::yuan(598));
    assert_eq!(timetable.composition(g71).places(SeatClass::Second), 538);
}

#[test]
fn every_national_interval_is_priced() {
    let Some(directory) = real("cn2016") else { return };
    let (timetable, _) = load(&directory);
    let mut pairs = 0;
    for index in timetable.train_indexes() {
        let classes: Vec<SeatClass> = timetable.composition(index).classes().collect();
        for interval in timetable.train(index).intervals() {
            pairs += 1;
            for class in &classes {
                assert!(timetable.fare(index, *class, None, interval).is_some_and(|fare| fare >= Money::yuan(1)));
            }
        }
    }
    assert_eq!(pairs, 445_627, "the published number of pairs");
}

#[test]
fn the_directory_above_is_the_same_timetable_and_exports_without_loss() {
    let Some(directory) = real("cn2016") else { return };
    let (timetable, _) = load(&directory.join(".."));
    let written = tempfile::tempdir().unwrap();
    write_csv(&timetable, written.path()).unwrap();
    let begun = Instant::now();
    let (again, report) = load(written.path());
    eprintln!("own layout of it loaded in {} ms", begun.elapsed().as_millis());
    assert_eq!(report.layout, Layout::Chunyun);
    assert_eq!(again.content_hash(), timetable.content_hash());
    let stations = (again.find_stations("北京"), again.find_stations("shenzhen"));
    let found = again.direct_trains(&stations.0, &stations.1, "2026-12-01".parse().unwrap());
    assert!(found.iter().any(|ride| ride.train == train(&again, "G71")));
}

#[test]
fn the_german_feed_imports_but_for_three_trips() {
    let Some(directory) = real("gtfs/db_fernverkehr_2019") else { return };
    let report = refusal(&directory);
    assert_eq!((report.rows_of("trips.txt"), report.rows_of("stop_times.txt")), (6_063, 86_193));
    assert_eq!(report.rows_of("stops.txt"), 664);
    let lines: Vec<u64> = report.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [41_660, 41_729, 59_659]);
    assert!(report.problems.iter().all(|problem| problem.reason.starts_with("runs backwards in time")));
    let (timetable, report) = load_dropping(&directory);
    assert_eq!((timetable.trains().len(), report.dropped.len()), (6_060, 3));
    assert_eq!(timetable.stations().len(), 664);
    // 919 trips have a time past 24:00; the 3 dropped are among them, and 2 only "leave" their terminus then.
    let arrives_past_midnight = |train: &&Train| train.stops.last().is_some_and(|stop| stop.arrival_min >= 1_440);
    assert_eq!(timetable.trains().iter().filter(arrives_past_midnight).count(), 919 - 3 - 2);
}
