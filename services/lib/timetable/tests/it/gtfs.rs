//! A small GTFS feed of our own with the habits of real ones.

use crate::{directory, load, load_dropping, refusal};

const FEED: [(&str, &str); 6] = [
    ("agency.txt", "agency_id,agency_name,agency_url,agency_timezone\nDB,DB,http://example.org,Europe/Berlin\n"),
    (
        "stops.txt",
        "stop_id,stop_name,stop_lat,stop_lon\n1,Hamburg Hbf,53.552,10.006\n2,Berlin Hbf,52.525,13.369\n3,Berlin Hbf,52.5,13.4\n",
    ),
    ("routes.txt", "route_id,route_short_name,route_long_name,route_type\nr,,ICE 1672,2\ns,NJ 1,,2\n"),
    ("calendar_dates.txt", "service_id,date,exception_type\nw,20260601,1\nw,20260602,1\nx,20260610,1\n"),
    ("trips.txt", "route_id,service_id,trip_id\nr,w,t1\nr,x,t2\nr,x,t3\ns,w,t4\n"),
    (
        "stop_times.txt",
        "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n\
         t1,07:00:00,07:00:00,1,0\nt1,09:00:30,09:05:00,2,5\n\
         t2,07:00:00,07:00:00,1,0\nt2,09:00:00,09:05:00,2,1\n\
         t3,07:30:00,07:30:00,1,0\nt3,09:30:00,09:30:00,2,1\n\
         t4,23:30:00,23:30:00,2,0\nt4,25:30:00,25:30:00,1,1\n",
    ),
];

fn feed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    directory(
        FEED.iter()
            .map(|(name, text)| (*name, if *name == file { text.replacen(from, to, 1) } else { (*text).to_owned() })),
    )
}

#[test]
fn equal_trips_are_one_train_and_other_times_another() {
    let (timetable, _) = load(feed("", "", "").path());
    let codes: Vec<&str> = timetable.trains().iter().map(|train| train.code.as_str()).collect();
    assert_eq!(codes, ["ICE1672", "ICE1672V2", "NJ1"]);
    let runs = |code: &str, day: &str| {
        timetable.runs_on(timetable.train_by_code(code.parse().unwrap()).unwrap(), day.parse().unwrap())
    };
    assert!(runs("ICE1672", "2026-06-02") && runs("ICE1672", "2026-06-10"), "the dates of both trips");
    assert!(!runs("ICE1672", "2026-06-03") && !runs("ICE1672V2", "2026-06-01"));
    let hamburg = timetable.station_by_name("Hamburg Hbf").unwrap();
    let nj1 = timetable.train_by_code("NJ1".parse().unwrap()).unwrap();
    // 01:30 in Hamburg in June is 23:30 UTC of the day before.
    let service = "2026-06-01".parse().unwrap();
    assert_eq!(timetable.arrival_time(nj1, service, 1).unwrap().to_string(), "2026-06-01T23:30:00Z");
    assert_eq!(timetable.train(nj1).stops[1].station, hamburg);
    assert_eq!(timetable.find_stations("hamburghbf"), [hamburg]);
    // Hamburg to Berlin is 255 km as the crow flies, and some more by rail.
    assert!((280..330).contains(&timetable.train(nj1).stops[1].km), "{}", timetable.train(nj1).stops[1].km);
    assert_eq!(timetable.composition(nj1).places(domain::SeatClass::Second), 400);
}

#[test]
fn a_week_with_exceptions_is_the_dates_it_means() {
    let directory = feed("calendar_dates.txt", "w,20260601,1", "w,20260608,2");
    let week = "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n\
                w,1,0,0,0,0,0,0,20260601,20260630\n";
    std::fs::write(directory.path().join("calendar.txt"), week).unwrap();
    let (timetable, _) = load(directory.path());
    let nj1 = timetable.train_by_code("NJ1".parse().unwrap()).unwrap();
    let runs = |day: &str| timetable.runs_on(nj1, day.parse().unwrap());
    // Mondays but the 8th, and Tuesday the 2nd.
    let expected = ["2026-06-01", "2026-06-02", "2026-06-15", "2026-06-22", "2026-06-29"];
    let all: Vec<String> = (1..=30).map(|day| format!("2026-06-{day:02}")).filter(|day| runs(day)).collect();
    assert_eq!(all, expected);
}

#[test]
fn faults_of_a_feed_are_reported_and_only_their_trips_dropped() {
    let cases = [
        (
            "stop_times.txt",
            "09:30:00,09:30",
            "07:29:00,09:30",
            "stop_times.txt:7: arrival_time \"07:29:00\": runs backwards",
        ),
        ("stop_times.txt", "25:30:00", "25:3O:00", "stop_times.txt:9: arrival_time \"25:3O:00\": expected HH:MM:SS"),
        (
            "stop_times.txt",
            "t3,07:30:00,07:30:00,1,",
            "t3,07:30:00,07:30:00,9,",
            "stop_times.txt:6: stop_id \"9\": no such stop",
        ),
        ("trips.txt", "s,w", "q,w", "trips.txt:5: route_id \"q\": no such route"),
        ("trips.txt", "s,w", "s,v", "trips.txt:5: service_id \"v\": the service runs on no date"),
        (
            "calendar_dates.txt",
            "x,20260610,1",
            "x,2026-06-10,1",
            "calendar_dates.txt:4: date \"2026-06-10\": expected a date as",
        ),
        (
            "calendar_dates.txt",
            "x,20260610,1",
            "x,20260610,3",
            "calendar_dates.txt:4: exception_type \"3\": expected 1",
        ),
    ];
    for (file, from, to, expected) in cases {
        let directory = feed(file, from, to);
        let report = refusal(directory.path());
        assert!(report.problems.iter().any(|p| p.to_string().starts_with(expected)), "{expected}\n{report}");
        let (timetable, report) = load_dropping(directory.path());
        assert!(timetable.train_by_code("ICE1672".parse().unwrap()).is_some(), "{expected}");
        assert!(!report.dropped.is_empty(), "{expected}");
    }
}
