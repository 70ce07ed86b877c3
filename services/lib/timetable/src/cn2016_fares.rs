//! Fares of the national timetable of 2016: what is given from the origin, what the fare curve says, and what stands in where
//! neither does.

use std::collections::HashMap;

use domain::SeatClass;

use crate::check::{KM_MAX, sold};
use crate::cn2016::Kind;
use crate::draft::{Draft, DraftStop};
use crate::fares::CurveColumn;
use crate::report::{At, Findings};
use crate::table::{Columns, ProgressMeter, Row, Source, read_table};
use crate::{BerthLevel, FareCurve, LoadError, PriceColumn, PriceKey};

/// The price columns of both fare files.
const GIVEN: [&str; 7] = ["seat2_or_hard", "seat1_or_soft", "hs_up", "hs_mid", "hs_low", "ss_up", "ss_low"];

const FARES: Columns = Columns {
    required: &["train_code", "seq", "seat2_or_hard", "seat1_or_soft", "hs_up", "hs_mid", "hs_low", "ss_up", "ss_low"],
    optional: &[],
    refuse_others: false,
};
const CURVE: Columns =
    Columns { required: &["type", "class", "km_band", "fare_median"], optional: &[], refuse_others: false };

/// A curve with fewer bands knows too little: the curve of K trains, the fullest, is taken. 40 bands of 25 km are 1,000 km.
const BANDS_MIN: usize = 40;

const SECOND: PriceKey = PriceKey { class: SeatClass::Second, berth: None };

/// The prices of a stop as given, in the order of [`GIVEN`].
type Prices = [Option<u32>; GIVEN.len()];

/// Fares by kind of train and column, in bands of 25 km.
type Bands = HashMap<(char, &'static str), Vec<(u32, u32)>>;

pub(crate) fn read(
    draft: &mut Draft,
    kinds: &[Kind],
    source: &Source<'_>,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let (bands, bands_at) = read_bands(source, meter, findings)?;
    let mut given: Vec<Vec<(u32, Prices)>> = Vec::new();
    given.resize_with(draft.trains.len(), Vec::new);
    read_table(source, "fares_from_origin.csv", &FARES, meter, findings, |row, findings| {
        read_prices(draft, &mut given, row, findings);
    })?;
    let mut notes = Notes::default();
    for (index, kind) in kinds.iter().enumerate() {
        if draft.trains[index].broken {
            continue;
        }
        let curve = curve_of(*kind, &bands);
        let composition = draft.trains[index].composition.map(|made| draft.compositions.get_mut(made));
        let keys: Vec<PriceKey> = composition.map(|made| sold(&made.value).collect()).unwrap_or_default();
        let stops = &draft.trains[index].stops;
        let columns = Filler { kind: *kind, stops, given: &given[index], curve: &curve }.columns(&keys, &mut notes);
        draft.trains[index].columns = columns;
        if !kind.is_multiple_unit() {
            let at = bands_at.unwrap_or(draft.trains[index].at);
            draft.trains[index].curve = Some(draft.curves.entry(at, &curve.name.clone(), || curve));
        }
    }
    notes.write(findings);
    Ok(())
}

fn read_bands(
    source: &Source<'_>,
    meter: &mut ProgressMeter<'_>,
    findings: &mut Findings,
) -> Result<(Bands, Option<At>), LoadError> {
    let mut bands = Bands::new();
    let mut first_row = None;
    read_table(source, "fare_curve.csv", &CURVE, meter, findings, |row, findings| {
        first_row.get_or_insert(row.at);
        let kind = row.text("type").chars().next();
        let column = GIVEN.into_iter().find(|column| *column == row.text("class"));
        if column.is_none() {
            findings.problem(row.at, "class", row.text("class"), format!("expected one of {}", GIVEN.join(", ")));
        }
        let km = row.whole("km_band", KM_MAX, findings);
        let fen = row.fen("fare_median", findings);
        if let (Some(kind), Some(column), Some(km), Ok(Some(fen))) = (kind, column, km, fen) {
            bands.entry((kind, column)).or_default().push((km, fen));
        }
    })?;
    for points in bands.values_mut() {
        points.sort_unstable();
        points.dedup_by_key(|(km, _)| *km);
        let mut highest = 0;
        for (_, fen) in points {
            highest = highest.max(*fen);
            *fen = highest;
        }
    }
    Ok((bands, first_row))
}

fn read_prices(draft: &mut Draft, given: &mut [Vec<(u32, Prices)>], row: &Row<'_>, findings: &mut Findings) {
    let train = draft.train(row.text("train_code"));
    if train.is_none() {
        findings.problem(row.at, "train_code", row.text("train_code"), "no such train in trains.csv");
    }
    let sequence = row.whole("seq", domain::STOPS_MAX as u32, findings);
    let mut prices = Prices::default();
    let mut good = true;
    for (price, column) in prices.iter_mut().zip(GIVEN) {
        match row.fen(column, findings) {
            Ok(fen) => *price = fen,
            Err(()) => good = false,
        }
    }
    let Some(train) = train else { return };
    let stops = draft.trains[train].stops.len();
    if let Some(past) = sequence.filter(|sequence| *sequence as usize > stops && !draft.trains[train].broken) {
        findings.problem(row.at, "seq", &past.to_string(), format!("the train has {stops} stops"));
        good = false;
    }
    match sequence {
        Some(sequence) if good => given[train].push((sequence, prices)),
        _ => draft.trains[train].broken = true,
    }
}

/// The curve of a kind of train, column by column, with the curve of K trains where the kind's own is too short.
fn curve_of(kind: Kind, bands: &Bands) -> FareCurve {
    let of = |column: &'static str| {
        let own = bands.get(&(kind.0, column)).filter(|points| kind.is_multiple_unit() || points.len() >= BANDS_MIN);
        own.or_else(|| bands.get(&('K', column)).filter(|_| !kind.is_multiple_unit()))
    };
    let columns = PriceKey::all().filter_map(|key| {
        let points = of(column_of(key, kind)?)?;
        Some(CurveColumn { key, points: points.clone().into_boxed_slice() })
    });
    FareCurve { name: kind.0.to_string().into(), columns: columns.collect() }
}

/// The column of the source that prices a class on a kind of train.
fn column_of(key: PriceKey, kind: Kind) -> Option<&'static str> {
    use BerthLevel::{Lower, Middle, Upper};
    let multiple_unit = kind.is_multiple_unit();
    match (key.class, key.berth) {
        (SeatClass::Second, _) if multiple_unit => Some("seat2_or_hard"),
        (SeatClass::First, _) if multiple_unit => Some("seat1_or_soft"),
        (SeatClass::EmuSleeper, Some(Upper)) if multiple_unit => Some("ss_up"),
        (SeatClass::EmuSleeper, Some(Lower)) if multiple_unit => Some("ss_low"),
        (SeatClass::HardSeat, _) if !multiple_unit => Some("seat2_or_hard"),
        (SeatClass::HardSleeper, Some(Upper)) => Some("hs_up"),
        (SeatClass::HardSleeper, Some(Middle)) => Some("hs_mid"),
        (SeatClass::HardSleeper, Some(Lower)) => Some("hs_low"),
        (SeatClass::SoftSleeper, Some(Upper)) => Some("ss_up"),
        (SeatClass::SoftSleeper, Some(Lower)) => Some("ss_low"),
        _ => None,
    }
}

/// What a class of a multiple unit costs in percent of second class, where the source does not say. First class by kind of
/// train and business are the ratios observed in the rows that have both; premier and sleepers are our own stand-ins.
fn percent_of_second(key: PriceKey, kind: Kind) -> Option<u64> {
    match (key.class, key.berth) {
        (SeatClass::First, _) => Some(match kind.0 {
            'G' => 160,
            'C' => 130,
            _ => 120,
        }),
        (SeatClass::Business, _) => Some(300),
        (SeatClass::Premier, _) => Some(180),
        (SeatClass::EmuSleeper, Some(BerthLevel::Upper)) => Some(180),
        (SeatClass::EmuSleeper, _) => Some(200),
        _ => None,
    }
}

/// How often something stood in for a given fare.
#[derive(Default)]
struct Notes {
    without_fares: u32,
    seat_fares_falling: u32,
    columns_by_ratio: u32,
    columns_by_curve: u32,
}

impl Notes {
    fn write(&self, findings: &mut Findings) {
        let mut note = |count: u32, what: &str| {
            if count > 0 {
                findings.notes.push(format!("{count} {what}"));
            }
        };
        note(self.without_fares, "trains have no fare at all: all their prices are stand-ins");
        note(
            self.seat_fares_falling,
            "seat fares fall along the route, most to 0: by distance, or the highest before them",
        );
        note(self.columns_by_ratio, "price columns are a fixed share of second class");
        note(self.columns_by_curve, "price columns are wholly or partly by distance");
    }
}

/// Makes the complete price columns of one train.
struct Filler<'a> {
    kind: Kind,
    stops: &'a [DraftStop],
    given: &'a [(u32, Prices)],
    curve: &'a FareCurve,
}

impl Filler<'_> {
    fn columns(&self, keys: &[PriceKey], notes: &mut Notes) -> Vec<PriceColumn> {
        notes.without_fares += u32::from(self.given.is_empty());
        notes.seat_fares_falling += self.falling_seat_fares();
        let second = self.column(SECOND, notes);
        let mut columns = Vec::with_capacity(keys.len());
        for key in keys {
            let own = if *key == SECOND { second.clone() } else { self.own_or_share(*key, second.as_deref(), notes) };
            columns.extend(own.map(|from_origin| PriceColumn { key: *key, from_origin: from_origin.into() }));
        }
        columns
    }

    /// How many seat fares are below the one given before them, as a measure of the source.
    fn falling_seat_fares(&self) -> u32 {
        // The first price of a row is that of second class or hard seat.
        let given: Vec<u32> = self.given.iter().filter_map(|(_, prices)| prices[0]).collect();
        given.windows(2).filter(|pair| pair[1] < pair[0]).count() as u32
    }

    /// A class that is priced at every stop keeps its prices; otherwise it is a share of second class throughout, since mixing
    /// the two would make some short rides dear and others nearly free.
    fn own_or_share(&self, key: PriceKey, second: Option<&[u32]>, notes: &mut Notes) -> Option<Vec<u32>> {
        let share = percent_of_second(key, self.kind).zip(second);
        let complete = self.prices(key).iter().all(Option::is_some);
        match share {
            Some((percent, second)) if !complete => {
                notes.columns_by_ratio += 1;
                Some(second.iter().map(|fen| (u64::from(*fen) * percent / 100) as u32).collect())
            }
            _ => self.column(key, notes),
        }
    }

    /// The given prices of a key for every stop after the origin.
    fn prices(&self, key: PriceKey) -> Vec<Option<u32>> {
        let mut prices = vec![None; self.stops.len().saturating_sub(1)];
        let column = column_of(key, self.kind).and_then(|name| GIVEN.iter().position(|given| *given == name));
        for (sequence, given) in self.given {
            let place = (*sequence as usize).checked_sub(2).and_then(|stop| prices.get_mut(stop));
            if let Some((price, column)) = place.zip(column) {
                *price = given[column].filter(|fen| *fen > 0);
            }
        }
        prices
    }

    /// Prices from the origin to every stop: those given, raised so that they never fall; where one is missing, by distance,
    /// within what its neighbours cost.
    fn column(&self, key: PriceKey, notes: &mut Notes) -> Option<Vec<u32>> {
        column_of(key, self.kind)?;
        let prices = self.prices(key);
        notes.columns_by_curve += u32::from(prices.contains(&None));
        let mut from_origin = vec![0];
        let mut highest = 0;
        for (place, price) in prices.iter().enumerate() {
            let fen = match price {
                Some(fen) => *fen,
                None => {
                    let next = prices[place..].iter().flatten().next().copied().unwrap_or(u32::MAX);
                    self.curve.price(key, self.stops[place + 1].km)?.min(next)
                }
            };
            highest = highest.max(fen);
            from_origin.push(highest);
        }
        Some(from_origin)
    }
}
