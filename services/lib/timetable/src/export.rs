//! Writing our own layout, and hashing what would be written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use domain::ServiceDate;
use xxhash_rust::xxh3::Xxh3;

use crate::check::clock;
use crate::chunyun::{PRICES, yuan};
use crate::{PriceKey, StationId, Timetable, Train};

/// Writes a timetable in our own layout into a directory, which is made if it does not exist. Files there are replaced.
///
/// # Errors
/// The directory or a file cannot be written.
pub fn write_csv(timetable: &Timetable, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (name, write) in FILES {
        let mut file = BufWriter::new(File::create(directory.join(name))?);
        write(timetable, &mut file)?;
        file.flush()?;
    }
    Ok(())
}

/// XXH3 over every file as it would be written: what is not in the files is not in the hash.
pub(crate) fn content_hash(timetable: &Timetable) -> u64 {
    let mut hash = HashWriter(Xxh3::new());
    for (name, write) in FILES {
        hash.0.update(name.as_bytes());
        write(timetable, &mut hash).expect("a hash takes every byte");
    }
    hash.0.digest()
}

struct HashWriter(Xxh3);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type WriteFile = fn(&Timetable, &mut dyn Write) -> io::Result<()>;

const FILES: &[(&str, WriteFile)] = &[
    ("stations.csv", write_stations),
    ("compositions.csv", write_compositions),
    ("calendar.csv", write_calendars),
    ("fare_curves.csv", write_curves),
    ("trains.csv", write_trains),
    ("stops.csv", write_stops),
    ("fares.csv", write_fares),
];

type Csv<'a> = csv::Writer<&'a mut dyn Write>;

fn write_stations(timetable: &Timetable, out: &mut dyn Write) -> io::Result<()> {
    let mut csv: Csv<'_> = csv::Writer::from_writer(out);
    let header =
        ["station", "name", "telecode", "pinyin", "abbreviation", "city", "longitude", "latitude", "time_zone"];
    csv.write_record(header)?;
    for station in &timetable.stations {
        let (longitude, latitude) = station
            .position
            .map(|(longitude, latitude)| (longitude.to_string(), latitude.to_string()))
            .unwrap_or_default();
        csv.write_record([
            &*station.key,
            &station.name,
            station.telecode.as_deref().unwrap_or_default(),
            &station.pinyin,
            &station.abbreviation,
            &station.city,
            &longitude,
            &latitude,
            station.time_zone.iana_name().unwrap_or_default(),
        ])?;
    }
    csv.flush()
}

fn write_compositions(timetable: &Timetable, out: &mut dyn Write) -> io::Result<()> {
    let mut csv: Csv<'_> = csv::Writer::from_writer(out);
    csv.write_record(["composition", "carriage", "class", "layout", "places", "standing"])?;
    for composition in &timetable.compositions {
        for carriage in &composition.carriages {
            csv.write_record([
                &*composition.name,
                &carriage.number.to_string(),
                carriage.class.name(),
                &carriage.layout,
                &carriage.places.to_string(),
                &carriage.standing.to_string(),
            ])?;
        }
    }
    csv.flush()
}

fn write_calendars(timetable: &Timetable, out: &mut dyn Write) -> io::Result<()> {
    let mut csv: Csv<'_> = csv::Writer::from_writer(out);
    csv.write_record(["calendar", "from", "to", "weekdays"])?;
    let date = |day| ServiceDate::from_days(day).expect("a calendar is made of service dates").to_string();
    for named in &timetable.calendars {
        for (from, to) in named.calendar.day_ranges() {
            csv.write_record([&*named.name, &date(from), &date(to), ""])?;
        }
    }
    csv.flush()
}

fn write_curves(timetable: &Timetable, out: &mut dyn Write) -> io::Result<()> {
    let mut csv: Csv<'_> = csv::Writer::from_writer(out);
    csv.write_record(["curve", "km"].iter().chain(PRICES))?;
    for curve in &timetable.curves {
        let mut distances: Vec<u32> =
            curve.columns.iter().flat_map(|column| column.points.iter().map(|(km, _)| *km)).collect();
        distances.sort_unstable();
        distances.dedup();
        for km in distances {
            let price = |key: PriceKey| {
                let column = curve.columns.iter().find(|column| column.key == key)?;
                column.points.iter().find(|(from_km, _)| *from_km == km).map(|(_, fen)| yuan(*fen))
            };
            let prices = PriceKey::all().map(|key| price(key).unwrap_or_default());
            csv.write_record([curve.name.to_string(), km.to_string()].into_iter().chain(prices))?;
        }
    }
    csv.flush()
}

fn write_trains(timetable: &Timetable, out: &mut dyn Write) -> io::Result<()> {
    let mut csv: Csv<'_> = csv::Writer::from_writer(out);
    csv.write_record(["train", "composition", "calendar", "fare_curve"])?;
    for train in &timetable.trains {
        csv.write_record([
            train.code.as_str(),
            &timetable.compositions[train.composition as usize].name,
            train.calendar.map_or("", |number| &timetable.calendars[number as usize].name),
            train.fares.curve.map_or("", |number| &timetable.curves[number as usize].name),
        ])?;
    }
    csv.flush()
}

fn write_stops(timetable: &Timetable, out: &mut dyn Write) -> io::Result<()> {
    let mut csv: Csv<'_> = csv::Writer::from_writer(out);
    csv.write_record(["train", "stop", "station", "arrival", "departure", "km"])?;
    for train in &timetable.trains {
        let last = train.stops.len() - 1;
        for (place, stop) in train.stops.iter().enumerate() {
            csv.write_record([
                train.code.as_str(),
                &(place + 1).to_string(),
                key(timetable, stop.station),
                &if place == 0 { String::new() } else { clock(stop.arrival_min) },
                &if place == last { String::new() } else { clock(stop.departure_min) },
                &stop.km.to_string(),
            ])?;
        }
    }
    csv.flush()
}

fn key(timetable: &Timetable, station: StationId) -> &str {
    &timetable.station(station).key
}

fn write_fares(timetable: &Timetable, out: &mut dyn Write) -> io::Result<()> {
    let mut csv: Csv<'_> = csv::Writer::from_writer(out);
    csv.write_record(["train", "stop"].iter().chain(PRICES))?;
    for train in &timetable.trains {
        write_train_fares(train, &mut csv)?;
    }
    csv.flush()
}

fn write_train_fares(train: &Train, csv: &mut Csv<'_>) -> io::Result<()> {
    for stop in 1..train.stops.len() {
        csv.write_field(train.code.as_str())?;
        csv.write_field((stop + 1).to_string())?;
        for key in PriceKey::all() {
            let fen = train.fares.column(key).map(|column| yuan(column.from_origin[stop]));
            csv.write_field(fen.unwrap_or_default())?;
        }
        csv.write_record(None::<&[u8]>)?;
    }
    Ok(())
}
