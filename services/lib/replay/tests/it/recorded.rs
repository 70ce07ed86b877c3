use replay::{Comparison, ForecastSource, PolicyFile, Recording, RecordingError};
use timetable::Timetable;

const HEADER: &str = "time_ms,train,service_date,from_stop,to_stop,class,party,cancel_at_ms";

fn read(text: &str) -> Result<Recording, RecordingError> {
    Recording::read(text.as_bytes(), &Timetable::sample())
}

fn bad_lines(text: &str) -> Vec<(u64, &'static str)> {
    match read(text) {
        Err(RecordingError::BadRows(rows)) => rows.into_iter().map(|row| (row.line, row.column)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn recorded_parties_are_sold_to_in_order_of_time() {
    let timetable = Timetable::sample();
    // 2026-11-30 10:00 UTC: the evening before the first of December in China.
    let at = 1_796_032_800_000_i64;
    let text = format!(
        "{HEADER}\n{},G71,2026-12-01,0,17,second,2,{}\n{at},G71,2026-12-01,0,3,second,1,\n{at},G71,2026-12-02,1,2,second,5,\n",
        at + 5,
        at + 1_000,
    );
    let recording = read(&text).unwrap();
    let runs: Vec<_> = recording.runs().collect();
    assert_eq!(runs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["G71@2026-12-01", "G71@2026-12-02"]);
    let scenario = recording.scenario(&timetable, runs[0]).unwrap();
    assert_eq!(scenario.requests.iter().map(|request| request.party).collect::<Vec<_>>(), [1, 2]);
    // The forecast for the first date is what was recorded on the second: five from stop 1 to 2.
    let forecast = &scenario.classes[&domain::SeatClass::Second].forecast;
    assert_eq!((forecast.source, forecast.passengers.iter().sum::<f64>()), (ForecastSource::OtherDates, 5.0));
    let comparison = Comparison::of(&scenario, &PolicyFile::default(), 1).unwrap();
    let best_fit = &comparison.policies[1].figures;
    // Both are served, the party of two goes again: one passenger over three segments is left.
    assert_eq!((best_fit.requests_served, best_fit.requests_cancelled), (2, 1));
    assert_eq!((best_fit.passengers, best_fit.seat_segments), (1, 3));
    assert_eq!(comparison.bound.seat_segments, 3);
}

#[test]
fn a_single_date_is_hindsight_and_says_so() {
    let recording = read(&format!("{HEADER}\n1796032800000,G71,2026-12-01,0,3,second,1,\n")).unwrap();
    let run = recording.runs().next().unwrap();
    let scenario = recording.scenario(&Timetable::sample(), run).unwrap();
    let comparison = Comparison::of(&scenario, &PolicyFile::default(), 1).unwrap();
    assert_eq!(comparison.hindsight_train_dates, 1);
}

#[test]
fn every_bad_row_is_reported_with_its_line_and_column() {
    let text = format!(
        "{HEADER}\n\
         yesterday,G71,2026-12-01,0,3,second,1,\n\
         1796032800000,X1,2026-12-01,0,3,second,1,\n\
         1796032800000,G71,12/01,0,3,second,1,\n\
         1796032800000,G71,2026-12-01,3,3,second,1,\n\
         1796032800000,G71,2026-12-01,0,18,second,1,\n\
         1796032800000,G71,2026-12-01,0,3,hard_seat,1,\n\
         1796032800000,G71,2026-12-01,0,3,second,0,\n\
         1796032800000,G71,2026-12-01,0,3,second,1,1796032800000\n\
         1896032800000,G71,2026-12-01,0,3,second,1,\n\
         1796032800000,G71\n\
         1796032800000,G71,2026-12-01,0,3,second,1,\n"
    );
    let expected = [
        (2, "time_ms"),
        (3, "train"),
        (4, "service_date"),
        (5, "to_stop"),
        (6, "to_stop"),
        (7, "class"),
        (8, "party"),
        (9, "cancel_at_ms"),
        (10, "time_ms"),
        (11, "row"),
    ];
    assert_eq!(bad_lines(&text), expected);
}

#[test]
fn unknown_missing_and_doubled_columns_are_refused_by_name() {
    for (header, named) in [
        ("time_ms,train,service_date,from_stop,to_stop,class", "party is missing"),
        ("time_ms,train,service_date,from_stop,to_stop,class,party,price", "\"price\" is unknown"),
        ("time_ms,train,service_date,from_stop,to_stop,class,party,party", "party stands twice"),
    ] {
        let error = read(header).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    assert_eq!(read("time_ms,train,service_date,from_stop,to_stop,class,party\n").unwrap().runs().len(), 0);
}
