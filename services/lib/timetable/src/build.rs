//! From a checked draft to the timetable.

use std::collections::HashMap;

use crate::draft::{Draft, DraftTrain, Keyed};
use crate::model::NamedCalendar;
use crate::report::{Findings, Report};
use crate::search::{Calls, Names};
use crate::{
    Composition, DroppedTrain, FareTable, Layout, LoadError, LoadOptions, Station, StationId, Stop, Timetable, Train,
    TrainIndex,
};

/// Makes the timetable of everything that is not broken.
///
/// # Errors
/// Something is broken, and bad rows may not be dropped; or a row could not even be split.
pub(crate) fn build(
    draft: Draft,
    findings: Findings,
    layout: Layout,
    options: LoadOptions,
) -> Result<(Timetable, Report), LoadError> {
    let dropped = draft
        .trains
        .iter()
        .filter(|train| train.broken)
        .map(|train| {
            let (file, line) = findings.place(train.at);
            DroppedTrain { code: train.text.clone(), file, line }
        })
        .collect();
    let refused = !findings.problems.is_empty() && !options.drop_bad_rows || findings.unreadable;
    let mut report =
        Report { layout, rows: findings.rows, problems: findings.problems, dropped: Vec::new(), notes: findings.notes };
    if refused {
        return Err(LoadError::BadRows(Box::new(report)));
    }
    report.dropped = dropped;
    Ok((assemble(draft), report))
}

fn assemble(draft: Draft) -> Timetable {
    let (stations, station_places) = order(
        draft.stations.into_iter().map(|station| (!station.broken).then_some(station.value)).collect(),
        |station: &Station| station.key.clone(),
    );
    let (compositions, composition_places) = order_keyed(draft.compositions, |name, carriages| Composition {
        name,
        carriages: carriages.into_boxed_slice(),
    });
    let (calendars, calendar_places) = order_keyed(draft.calendars, |name, calendar| NamedCalendar { name, calendar });
    let (curves, curve_places) = order_keyed(draft.curves, |_, curve| curve);
    let place = |places: &[Option<usize>], index: usize| {
        places[index].expect("a train that is not broken refers to what is kept") as u32
    };
    let mut trains: Vec<Train> = draft
        .trains
        .into_iter()
        .filter(|train| !train.broken)
        .map(|train| Train {
            code: train.code.expect("a train without a code is broken"),
            stops: stops(&train, &station_places),
            composition: place(
                &composition_places,
                train.composition.expect("a train without a composition is broken"),
            ),
            calendar: train.calendar.map(|index| place(&calendar_places, index)),
            fares: FareTable {
                curve: train.curve.map(|index| place(&curve_places, index)),
                columns: {
                    let mut columns = train.columns;
                    columns.sort_by_key(|column| column.key);
                    columns.into_boxed_slice()
                },
            },
        })
        .collect();
    trains.sort_by_key(|train| train.code);
    let train_by_code: HashMap<_, _> =
        (0u32..).map(TrainIndex).zip(&trains).map(|(index, train)| (train.code, index)).collect();
    let mut timetable = Timetable {
        names: Names::new(&stations),
        calls: Calls::new(stations.len(), &trains),
        stations,
        trains,
        compositions,
        calendars,
        curves,
        train_by_code,
        content_hash: 0,
    };
    timetable.content_hash = crate::export::content_hash(&timetable);
    timetable
}

/// Keeps what is there, ordered by key; and where each old index went.
fn order<T, K: Ord>(items: Vec<Option<T>>, key: impl Fn(&T) -> K) -> (Vec<T>, Vec<Option<usize>>) {
    let mut places = vec![None; items.len()];
    let mut kept: Vec<(usize, T)> =
        items.into_iter().enumerate().filter_map(|(index, item)| item.map(|item| (index, item))).collect();
    kept.sort_by_key(|(_, item)| key(item));
    for (place, (index, _)) in kept.iter().enumerate() {
        places[*index] = Some(place);
    }
    (kept.into_iter().map(|(_, item)| item).collect(), places)
}

fn order_keyed<T, U>(keyed: Keyed<T>, make: impl Fn(Box<str>, T) -> U) -> (Vec<U>, Vec<Option<usize>>) {
    let items = keyed.items.into_iter().map(|(name, item)| (!item.broken).then_some((name, item.value))).collect();
    let (kept, places) = order(items, |(name, _): &(std::sync::Arc<str>, T)| name.clone());
    (kept.into_iter().map(|(name, item)| make((*name).into(), item)).collect(), places)
}

fn stops(train: &DraftTrain, station_places: &[Option<usize>]) -> Box<[Stop]> {
    let last = train.stops.len() - 1;
    let checked = "the times of a train that is not broken are complete";
    let stop = |(place, stop): (usize, &crate::draft::DraftStop)| {
        let arrival = stop.arrival_min.filter(|_| place > 0);
        let departure = stop.departure_min.filter(|_| place < last);
        let station = station_places[stop.station as usize].expect("a train at a broken station is broken");
        Stop {
            station: StationId(station as u32),
            arrival_min: arrival.or(departure).expect(checked),
            departure_min: departure.or(arrival).expect(checked),
            km: stop.km,
        }
    };
    train.stops.iter().enumerate().map(stop).collect()
}
