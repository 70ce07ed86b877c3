//! Every kind of bad row: reported with file, line, field and reason; refused as a whole, or dropped when told to.

use timetable::{LoadError, LoadOptions, Timetable, detect};

use crate::{directory, load, load_dropping, refusal};

/// Two trains of three stops, on lines 2 to 4 and 5 to 7 of `stops.csv`; the second on weekdays, priced by a curve.
const GOOD: [(&str, &str); 7] = [
    (
        "stations.csv",
        "station,name,telecode,pinyin,abbreviation,city,longitude,latitude,time_zone\n\
         a,甲,AAA,jia,j,甲,116.4,39.9,\n\
         b,乙,,yi,y,,,,Asia/Shanghai\n\
         c,丙,CCC,bing,b,丙,-0.5,0,\n\
         x,远,XXX,yuan,y,远,,,Europe/Berlin\n",
    ),
    (
        "compositions.csv",
        "composition,carriage,class,layout,places,standing\n\
         one,1,second,ABC|DF,90,9\n\
         two,1,hard_seat,ABC|DF,118,11\n\
         two,2,soft_sleeper,LU,36,0\n",
    ),
    ("calendar.csv", "calendar,from,to,weekdays\nwork,2026-01-01,2026-12-31,12345\n"),
    (
        "fare_curves.csv",
        "curve,km,hard_seat,soft_sleeper_lower,soft_sleeper_upper\nslow,0,1,50,40\nslow,100,10,80,70\n",
    ),
    ("trains.csv", "train,composition,calendar,fare_curve\nG1,one,,\nK2,two,work,slow\n"),
    (
        "stops.csv",
        "train,stop,station,arrival,departure,km\n\
         G1,1,a,,23:00,0\n\
         G1,2,b,24:00,24:05,100\n\
         G1,3,c,25:00,,200\n\
         K2,1,c,,08:00,0\n\
         K2,2,b,09:00,09:05,100\n\
         K2,3,a,10:00,,200\n",
    ),
    (
        "fares.csv",
        "train,stop,second,hard_seat,soft_sleeper_lower,soft_sleeper_upper\n\
         G1,2,46,,,\n\
         G1,3,92.5,,,\n\
         K2,2,,10,80,70\n\
         K2,3,,20,120,110\n",
    ),
];

/// The good files with one text replaced in one of them.
fn with(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    directory(GOOD.iter().map(|(name, text)| {
        assert!(*name != file || text.contains(from), "{file} has no {from:?}");
        (*name, if *name == file { text.replacen(from, to, 1) } else { (*text).to_owned() })
    }))
}

#[test]
fn the_files_without_a_fault_are_accepted() {
    let (timetable, report) = load(with("trains.csv", "", "").path());
    assert_eq!((timetable.trains().len(), timetable.stations().len(), report.problems.len()), (2, 4, 0));
    let k2 = timetable.train_by_code("K2".parse().unwrap()).unwrap();
    // 2026-12-05 is a Saturday.
    assert!(timetable.runs_on(k2, "2026-12-04".parse().unwrap()));
    assert!(!timetable.runs_on(k2, "2026-12-05".parse().unwrap()));
}

#[test]
fn every_bad_row_is_reported_with_its_place() {
    let cases: &[(&str, &str, &str, &str)] = &[
        ("stations.csv", "AAA", "AaA", "stations.csv:2: telecode \"AaA\": expected 3 to 8 upper-case"),
        ("stations.csv", "CCC", "AAA", "stations.csv:4: telecode \"AAA\": line 2 has a station of the same telecode"),
        ("stations.csv", "丙", "甲", "stations.csv:4: name \"甲\": line 2 has a station of the same name"),
        ("stations.csv", "c,丙", "a,丙", "stations.csv:4: station \"a\": line 2 has a station of the same station"),
        ("stations.csv", "b,乙", "b,", "stations.csv:3: name: expected 1 to 60 characters"),
        ("stations.csv", "39.9", "139.9", "stations.csv:2: latitude \"139.9\": expected degrees from -90 to 90"),
        ("stations.csv", "116.4", "", "stations.csv:2: longitude: expected degrees"),
        (
            "stations.csv",
            "Asia/Shanghai",
            "Asia/Atlantis",
            "stations.csv:3: time_zone \"Asia/Atlantis\": expected an IANA",
        ),
        ("stations.csv", "jia", "Jiǎ", "stations.csv:2: pinyin \"Jiǎ\": expected lower-case"),
        ("compositions.csv", "second", "third", "compositions.csv:2: class \"third\": expected business, first"),
        (
            "compositions.csv",
            "ABC|DF",
            "ABA|DF",
            "compositions.csv:2: layout \"ABA|DF\": expected the letters of a row",
        ),
        ("compositions.csv", "LU", "LMU", "compositions.csv:4: layout \"LMU\": expected the letters of a row"),
        (
            "compositions.csv",
            "90",
            "0",
            "compositions.csv:2: places \"0\": expected a carriage with at least one place",
        ),
        (
            "compositions.csv",
            "90,9",
            "90,-9",
            "compositions.csv:2: standing \"-9\": expected a whole number from 0 to 500",
        ),
        ("calendar.csv", "12345", "12348", "calendar.csv:2: weekdays \"12348\": expected digits from 1 for Monday"),
        ("calendar.csv", "2026-12-31", "2025-12-31", "calendar.csv:2: to \"2025-12-31\": expected a date on or after"),
        ("calendar.csv", "2026-01-01", "2026-02-30", "calendar.csv:2: from \"2026-02-30\": expected a calendar date"),
        ("fare_curves.csv", "100,10", "100,0.5", "fare_curves.csv:3: hard_seat: distances of a curve rise"),
        ("fare_curves.csv", "100,10", "0,10", "fare_curves.csv:3: hard_seat: distances of a curve rise"),
        ("trains.csv", "G1,", "g1,", "trains.csv:2: train \"g1\": expected 1 to 11 upper-case letters"),
        ("trains.csv", "K2", "G1", "trains.csv:3: train \"G1\": trains.csv:2 has a train of the same code"),
        ("trains.csv", "one", "none", "trains.csv:2: composition \"none\": no such composition in compositions.csv"),
        ("trains.csv", "work", "rest", "trains.csv:3: calendar \"rest\": no such calendar in calendar.csv"),
        ("trains.csv", "slow", "fast", "trains.csv:3: fare_curve \"fast\": no such fare_curve in fare_curves.csv"),
        (
            "trains.csv",
            "K2,two,work,slow\n",
            "K2,two,work,slow\nZ3,one,,\n",
            "trains.csv:4: train \"Z3\": a train has 2 to 128 stops, this one 0",
        ),
        ("stops.csv", "G1,1", "G9,1", "stops.csv:2: train \"G9\": no such train in trains.csv"),
        ("stops.csv", "2,b", "2,q", "stops.csv:3: station \"q\": no such station in stations.csv"),
        ("stops.csv", "2,b", "2,a", "stops.csv:3: station \"a\": the train calls here twice in a row"),
        ("stops.csv", "2,b", "2,x", "stops.csv:3: station \"x\": all stations of a train keep one clock"),
        (
            "stops.csv",
            "G1,2",
            "G1,4",
            "stops.csv:4: stop \"3\": stops of a train are numbered 1, 2, 3, ...; expected 2",
        ),
        ("stops.csv", "24:00", "22:59", "stops.csv:3: arrival \"22:59\": runs backwards in time: 23:00 at stop 1"),
        ("stops.csv", "24:05", "23:59", "stops.csv:3: departure \"23:59\": runs backwards in time: 24:00 at stop 2"),
        ("stops.csv", "24:05", "24:60", "stops.csv:3: departure \"24:60\": expected HH:MM"),
        ("stops.csv", "25:00", "", "stops.csv:4: arrival: a time is missing"),
        ("stops.csv", "23:00,0", "23:00,5", "stops.csv:2: km \"5\": distance is counted from the origin: expected 0"),
        ("stops.csv", ",100", ",-1", "stops.csv:3: km \"-1\": expected a whole number from 0 to 20000"),
        ("stops.csv", ",100", ",300", "stops.csv:4: km \"200\": distance falls: the stop before is at 300 km"),
        ("stops.csv", "G1,2,b,24:00,24:05,100", "G1,2,b,24:00", "stops.csv:3: row: 4 fields where the header has 6"),
        ("fares.csv", "G1,2,46", "G1,2,4.625", "fares.csv:2: second \"4.625\": expected an amount in yuan"),
        ("fares.csv", "G1,2,46", "G1,2,0", "fares.csv:2: second \"0\": expected a fare above 0"),
        ("fares.csv", "G1,2,46", "G1,2,", "fares.csv:2: second: the fare is missing"),
        ("fares.csv", "92.5", "45.5", "fares.csv:3: second \"45.5\": the fare falls along the route: 46 before"),
        ("fares.csv", "G1,3", "G1,4", "fares.csv:3: stop \"4\": expected stop 3"),
        (
            "fares.csv",
            "K2,3,,20,120,110\n",
            "",
            "fares.csv:4: stop \"2\": the fares end here, but the train has 3 stops",
        ),
        ("fares.csv", "G1,2,46,,,\nG1,3,92.5,,,\n", "", "trains.csv:2: train \"G1\": no fare for second"),
        ("fares.csv", "120", "", "fares.csv:5: soft_sleeper_lower: the fare is missing"),
    ];
    for (file, from, to, expected) in cases {
        let report = refusal(with(file, from, to).path());
        let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{expected}\n{problems:#?}");
        assert!(report.dropped.is_empty(), "a refused timetable has dropped nothing");
    }
}

#[test]
fn all_bad_rows_are_reported_at_once() {
    let directory = with("stations.csv", "AAA", "aaa");
    let stops = directory.path().join("stops.csv");
    let text = std::fs::read_to_string(&stops).unwrap().replace("24:05", "23:05").replace("10:00", "08:00");
    std::fs::write(&stops, text).unwrap();
    let report = refusal(directory.path());
    let places: Vec<(String, u64)> = report.problems.iter().map(|p| (p.file.to_string(), p.line)).collect();
    let expected =
        [("stations.csv", 2), ("stops.csv", 3), ("stops.csv", 7)].map(|(file, line)| (file.to_owned(), line));
    assert_eq!(places, expected);
}

#[test]
fn a_train_of_129_stops_is_too_long() {
    let stops: String = (1..=129).fold("train,stop,station,arrival,departure,km\n".into(), |text, stop| {
        let station = if stop % 2 == 0 { "a" } else { "b" };
        format!("{text}G1,{stop},{station},{stop}:00,{stop}:00,{stop}\n")
    });
    let directory = with("stops.csv", "", "");
    std::fs::write(directory.path().join("stops.csv"), stops).unwrap();
    let report = refusal(directory.path());
    // The 129th cannot even be numbered.
    assert_eq!(report.problems[0].to_string(), "stops.csv:130: stop \"129\": expected a whole number from 0 to 128");
}

#[test]
fn dropping_leaves_out_the_train_of_a_bad_row_and_says_so() {
    let directory = with("stops.csv", "24:00", "22:59");
    let (timetable, report) = load_dropping(directory.path());
    let codes: Vec<&str> = timetable.trains().iter().map(|train| train.code.as_str()).collect();
    assert_eq!(codes, ["K2"]);
    assert_eq!(report.problems.len(), 1);
    let dropped: Vec<_> = report.dropped.iter().map(|train| (train.code.as_str(), &*train.file, train.line)).collect();
    assert_eq!(dropped, [("G1", "trains.csv", 2)]);
}

#[test]
fn dropping_a_station_leaves_out_the_trains_that_call_there() {
    let (timetable, report) = load_dropping(with("stations.csv", "CCC", "c").path());
    assert_eq!((timetable.trains().len(), timetable.stations().len()), (0, 3));
    assert_eq!(report.dropped.len(), 2);
    assert_eq!(report.problems.len(), 1, "the trains themselves have no fault");
}

#[test]
fn a_row_that_cannot_be_split_is_never_dropped() {
    // It might be a stop of any train.
    let directory = with("stops.csv", "K2,3,a,10:00,,200", "K2,3,a,10:00");
    let dropping = LoadOptions { drop_bad_rows: true };
    let error = Timetable::load(directory.path(), dropping, &mut |_| {}).unwrap_err();
    assert!(matches!(&error, LoadError::BadRows(report) if report.problems[0].line == 7), "{error}");
}

#[test]
fn misspelt_and_missing_columns_are_named_and_never_dropped() {
    for drop_bad_rows in [false, true] {
        let directory = with("stops.csv", "departure,km", "departs,km");
        let error = Timetable::load(directory.path(), LoadOptions { drop_bad_rows }, &mut |_| {}).unwrap_err();
        assert_eq!(
            error.to_string(),
            "columns of stops.csv: missing: departure; unknown: departs; \
             allowed are train, stop, station, arrival, departure, km"
        );
    }
}

#[test]
fn what_is_no_timetable_is_refused_by_name() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(detect(empty.path()), Err(LoadError::UnknownLayout { .. })));
    assert!(matches!(detect(&empty.path().join("nowhere")), Err(LoadError::Io { .. })));
    let directory = with("stops.csv", "", "");
    std::fs::remove_file(directory.path().join("fares.csv")).unwrap();
    let error = Timetable::load(directory.path(), LoadOptions::default(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().ends_with("fares.csv"), "{error}");
    // Bytes that are no text are a bad row, not a crash.
    let directory = with("stops.csv", "", "");
    let stops = directory.path().join("stops.csv");
    let mut bytes = std::fs::read(&stops).unwrap();
    bytes.extend_from_slice(b"K2,4,\xff\xfe,11:00,,300\n");
    std::fs::write(&stops, bytes).unwrap();
    assert_eq!(refusal(directory.path()).problems[0].to_string(), "stops.csv:8: row: not UTF-8");
}

#[test]
fn progress_grows_to_the_size_of_all_files() {
    let directory = with("stops.csv", "", "");
    let size: u64 = GOOD.iter().map(|(_, text)| text.len() as u64).sum();
    let mut seen = Vec::new();
    let mut progress = |progress: timetable::Progress<'_>| {
        assert_eq!(progress.bytes_total, size);
        seen.push(progress.bytes_done);
    };
    Timetable::load(directory.path(), LoadOptions::default(), &mut progress).unwrap();
    assert!(seen.is_sorted() && seen.last() == Some(&size), "{seen:?}");
}
