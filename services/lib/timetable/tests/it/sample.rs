//! The sample timetable: facts that can be checked on any station's board, and look-ups.

use domain::{BoardingDate, Interval, Money, SeatClass, ServiceDate, StopIndex};
use timetable::{BerthLevel, DirectTrain, StationId, Timetable, TrainIndex, write_csv};

use crate::load;

fn train(timetable: &Timetable, code: &str) -> TrainIndex {
    timetable.train_by_code(code.parse().unwrap()).unwrap()
}

fn names(timetable: &Timetable, stations: &[StationId]) -> Vec<String> {
    let mut names: Vec<String> = stations.iter().map(|id| timetable.station(*id).name.to_string()).collect();
    names.sort();
    names
}

fn date(text: &str) -> ServiceDate {
    text.parse().unwrap()
}

#[test]
fn anchor_trains_have_their_published_stops() {
    let timetable = Timetable::sample();
    for (code, stops, intervals, from, to, km) in [
        ("G71", 18, 153, "北京西", "深圳北", 2376),
        ("K598", 35, 595, "包头", "广州", 3123),
        ("G1", 3, 3, "北京南", "上海虹桥", 1318),
        ("Z21", 10, 45, "北京西", "拉萨", 3761),
    ] {
        let train = timetable.train(train(&timetable, code));
        let name = |stop: usize| &*timetable.station(train.stops[stop].station).name;
        assert_eq!((train.stops.len(), train.intervals().count()), (stops, intervals), "{code}");
        assert_eq!((name(0), name(stops - 1), train.stops[stops - 1].km), (from, to, km), "{code}");
    }
}

#[test]
fn g1_runs_from_nine_to_thirteen_forty_eight() {
    let timetable = Timetable::sample();
    let (g1, day) = (train(&timetable, "G1"), date("2026-12-01"));
    assert_eq!(timetable.departure_civil(g1, day, 0).unwrap().to_string(), "2026-12-01T09:00:00");
    assert_eq!(timetable.arrival_civil(g1, day, 2).unwrap().to_string(), "2026-12-01T13:48:00");
    // 09:00 in Beijing is 01:00 UTC.
    assert_eq!(timetable.departure_time(g1, day, 0).unwrap().to_string(), "2026-12-01T01:00:00Z");
    assert_eq!(timetable.arrival_time(g1, day, 0), None, "nothing arrives at the origin");
    assert_eq!(timetable.departure_time(g1, day, 2), None, "nothing leaves the terminus");
    assert_eq!(timetable.arrival_time(g1, day, 3), None, "there is no fourth stop");
}

#[test]
fn a_train_that_passes_midnight_twice_boards_on_three_dates() {
    let timetable = Timetable::sample();
    let day = date("2026-12-31");
    let stops: [(&str, StopIndex, &str, &str); 4] = [
        ("K598", 8, "2027-01-01T05:14:00", "2027-01-01"),
        ("K598", 29, "2027-01-02T01:11:00", "2027-01-02"),
        ("Z21", 2, "2027-01-01T00:25:00", "2027-01-01"),
        ("Z21", 8, "2027-01-02T08:10:00", "2027-01-02"),
    ];
    for (code, stop, departure, boarding) in stops {
        let train = train(&timetable, code);
        assert_eq!(timetable.departure_civil(train, day, stop).unwrap().to_string(), departure, "{code}");
        let boards: BoardingDate = boarding.parse().unwrap();
        assert_eq!(timetable.boarding_date(train, day, stop), Some(boards), "{code}");
        assert_eq!(timetable.service_date(train, boards, stop), Some(day), "{code}");
    }
    let k598 = train(&timetable, "K598");
    assert_eq!(timetable.arrival_time(k598, day, 34).unwrap().to_string(), "2027-01-02T03:12:00Z");
}

#[test]
fn beijing_to_shenzhen_is_served_by_five_trains() {
    let timetable = Timetable::sample();
    let (from, to) = (timetable.find_stations("北京"), timetable.find_stations("深圳"));
    let found = timetable.direct_trains(&from, &to, "2026-12-01".parse().unwrap());
    let codes: Vec<&str> = found.iter().map(|ride| timetable.train(ride.train).code.as_str()).collect();
    assert_eq!(codes, ["G71", "G79", "Z107", "D901", "K105"], "by departure: 07:40, 10:00, 19:55, 20:10, 23:21");
    let DirectTrain { from, to, service_date, departure, arrival, .. } = found[4];
    assert_eq!((from, to, service_date), (0, 23, date("2026-12-01")));
    assert_eq!(
        (departure.to_string(), arrival.to_string()),
        ("2026-12-01T23:21:00".into(), "2026-12-03T04:50:00".into())
    );
    assert!(timetable.direct_trains(&timetable.find_stations("西安"), &[], "2026-12-01".parse().unwrap()).is_empty());
}

#[test]
fn a_train_boarded_after_midnight_is_found_by_the_passengers_date() {
    let timetable = Timetable::sample();
    let station = |name| vec![timetable.station_by_name(name).unwrap()];
    // K598 leaves Beijing West at 05:14 on the day after it left Baotou.
    let found = timetable.direct_trains(&station("北京西"), &station("广州"), "2026-12-02".parse().unwrap());
    let k598 = found.iter().find(|ride| ride.train == train(&timetable, "K598")).unwrap();
    assert_eq!(k598.service_date, date("2026-12-01"));
    assert_eq!(k598.departure.to_string(), "2026-12-02T05:14:00");
}

#[test]
fn stations_are_found_by_what_travellers_call_them() {
    let timetable = Timetable::sample();
    let found = |text: &str| names(&timetable, &timetable.find_stations(text));
    let beijing = found("北京");
    assert_eq!(beijing, ["北京", "北京南", "北京西"]);
    assert_eq!(found("beijing"), beijing, "the spelling of a city means the city");
    assert_eq!(found(" Bei Jing "), beijing);
    assert_eq!(found("北京站"), ["北京"], "with 站 it is the one station");
    for text in ["北京西", "BXP", "beijingxi", "BeijingXi", "北京西站"] {
        assert_eq!(found(text), ["北京西"], "{text}");
    }
    assert_eq!(found("深圳"), ["深圳", "深圳北"]);
    assert!(found("").is_empty() && found("Atlantis").is_empty() && found("站").is_empty());
    let suggested: Vec<String> =
        timetable.suggest_stations("shenz", 5).iter().map(|id| timetable.station(*id).name.to_string()).collect();
    assert!(suggested.contains(&"深圳北".to_owned()), "{suggested:?}");
    assert_eq!(timetable.suggest_stations("b", 3).len(), 3);
}

#[test]
fn compositions_have_their_published_places() {
    let timetable = Timetable::sample();
    let places = |code| {
        let composition = timetable.composition(train(&timetable, code));
        composition.classes().map(|class| (class, composition.places(class))).collect::<Vec<_>>()
    };
    use SeatClass::{Business, EmuSleeper, First, HardSeat, HardSleeper, Second, SoftSleeper};
    // CR400BF of 8 cars: 576 places; 16 cars: 1,193; K trains: hard seat cars of 118, sleepers of 66 and 36.
    assert_eq!(places("G71"), [(Business, 10), (First, 28), (Second, 538)]);
    assert_eq!(places("G101"), [(Business, 22), (First, 148), (Second, 1023)]);
    assert_eq!(places("K598"), [(HardSeat, 820), (SoftSleeper, 36), (HardSleeper, 456)]);
    assert_eq!(places("D311"), [(Second, 122), (EmuSleeper, 520)]);
}

#[test]
fn every_class_of_every_interval_has_a_fare_that_grows_with_the_way() {
    let timetable = Timetable::sample();
    for index in timetable.train_indexes() {
        let train = timetable.train(index);
        for class in timetable.composition(index).classes() {
            let fare = |from, to| timetable.fare(index, class, None, Interval::new(from, to).unwrap()).unwrap();
            for interval in train.intervals() {
                let (from, to) = (interval.from(), interval.to());
                let price = fare(from, to);
                assert!(price >= Money::yuan(1) && price.as_fen() % 50 == 0, "{} {class} {price}", train.code);
                assert!(from + 1 == to || fare(from, to - 1) <= price, "{} {class} {interval:?}", train.code);
                assert!(price <= fare(0, to), "{} {class} {interval:?}: a part is dearer", train.code);
            }
        }
        let other =
            SeatClass::ALL.into_iter().find(|class| timetable.composition(index).classes().all(|c| c != *class));
        assert_eq!(timetable.fare(index, other.unwrap(), None, Interval::new(0, 1).unwrap()), None);
    }
}

#[test]
fn a_sleeper_is_dearest_at_the_bottom_and_quoted_so() {
    let timetable = Timetable::sample();
    let (k598, whole) = (train(&timetable, "K598"), Interval::new(0, 34).unwrap());
    let fare = |berth| timetable.fare(k598, SeatClass::HardSleeper, berth, whole);
    let [lower, middle, upper] =
        [BerthLevel::Lower, BerthLevel::Middle, BerthLevel::Upper].map(|level| fare(Some(level)));
    assert!(lower > middle && middle > upper && upper.is_some());
    assert_eq!(fare(None), lower);
    assert_eq!(timetable.fare(k598, SeatClass::SoftSleeper, Some(BerthLevel::Middle), whole), None, "there is none");
    assert_eq!(timetable.fare(k598, SeatClass::HardSeat, None, Interval::new(0, 35).unwrap()), None, "no such stop");
}

#[test]
fn what_is_written_reads_back_as_the_same_timetable() {
    let timetable = Timetable::sample();
    let directory = tempfile::tempdir().unwrap();
    write_csv(&timetable, directory.path()).unwrap();
    let (again, report) = load(directory.path());
    assert_eq!(again.content_hash(), timetable.content_hash());
    assert_eq!(report.rows_of("trains.csv"), 30);
    // One minute of one stop makes another timetable.
    let stops = directory.path().join("stops.csv");
    let changed = std::fs::read_to_string(&stops).unwrap().replacen("13:48", "13:49", 1);
    std::fs::write(&stops, changed).unwrap();
    assert_ne!(load(directory.path()).0.content_hash(), timetable.content_hash());
}
