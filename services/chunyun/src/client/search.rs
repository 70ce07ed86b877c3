use domain::SeatClass;
use proto::gateway::v1 as gateway;
use proto::{common::v1 as wire, query::v1 as query};
use serde_json::json;

use super::connect::within_deadline;
use super::{ClientError, Target, json as documents, render};

/// Direct trains between two stations or cities on a date
///
/// Stations are named by their Chinese name, pinyin or telecode; a city stands for all its stations.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chunyun search 北京 深圳 2026-12-01\n  chunyun search beijingxi IOQ 2026-12-01 --class second --json"
)]
pub struct Search {
    /// Where from
    from: String,
    /// Where to
    to: String,
    /// The calendar date at the boarding station
    date: domain::BoardingDate,
    /// Only this class; may be given several times
    #[arg(long = "class")]
    classes: Vec<SeatClass>,
}

/// Stations by name, pinyin, telecode or city
#[derive(Debug, clap::Args)]
pub struct Stations {
    /// The beginning is enough
    text: String,
}

/// One train with its stops
#[derive(Debug, clap::Args)]
pub struct TrainCommand {
    /// Train code, such as G71
    train: domain::TrainCode,
    /// The date at the train's origin
    date: domain::ServiceDate,
}

/// `chunyun search`: prints journeys in order of departure.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn search(target: &Target, command: &Search) -> Result<(), ClientError> {
    let mut client = target.connect().await?.gateway();
    let mut journeys = Vec::new();
    let mut page_token = String::new();
    loop {
        let query = query::SearchTrainsRequest {
            from: command.from.clone(),
            to: command.to.clone(),
            boarding_date: command.date.to_string(),
            seat_classes: command.classes.iter().map(|class| i32::from(class.code())).collect(),
            page_size: 0,
            page_token,
        };
        let request = gateway::SearchTrainsRequest { query: Some(query) };
        let answer = client.search_trains(within_deadline(request)).await?.into_inner();
        let result = answer.result.ok_or(ClientError::Incomplete("result"))?;
        journeys.extend(result.journeys);
        page_token = result.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if target.json {
        crate::output::document(&json!({ "journeys": journeys.iter().map(documents::journey).collect::<Vec<_>>() }));
    } else {
        crate::output::line(&journey_table(&journeys));
    }
    Ok(())
}

fn journey_table(journeys: &[query::Journey]) -> String {
    if journeys.is_empty() {
        return "no direct train on that day".to_owned();
    }
    let mut classes: Vec<i32> = journeys.iter().flat_map(|j| j.availability.iter().map(|a| a.seat_class)).collect();
    classes.sort_unstable();
    classes.dedup();
    let mut table = render::table(["train", "from", "to", "departure", "arrival", "time", "km"]);
    let mut header: Vec<String> =
        ["train", "from", "to", "departure", "arrival", "time", "km"].map(str::to_owned).into();
    header.extend(classes.iter().map(|class| render::class_name(*class).to_owned()));
    table.set_header(header);
    for journey in journeys {
        let (from, to) = (journey.from.clone().unwrap_or_default(), journey.to.clone().unwrap_or_default());
        let mut row = vec![
            journey.run.clone().unwrap_or_default().train_code,
            from.station,
            to.station,
            from.departure.replace('T', " "),
            to.arrival.replace('T', " "),
            format!("{}:{:02}", journey.duration_minutes / 60, journey.duration_minutes % 60),
            journey.distance_km.to_string(),
        ];
        row.extend(classes.iter().map(|class| class_cell(journey, *class)));
        table.add_row(row);
    }
    render::numbers(&mut table, (5..7).chain(7..7 + classes.len()));
    table.to_string()
}

fn class_cell(journey: &query::Journey, class: i32) -> String {
    let available = journey.availability.iter().find(|available| available.seat_class == class);
    match available {
        None => String::new(),
        Some(_) if !journey.on_sale => "not on sale".to_owned(),
        Some(available) => format!("{} / {}", render::availability(available), render::yuan(available.fare_fen)),
    }
}

/// `chunyun stations`: prints the stations that a text may mean.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn stations(target: &Target, command: &Stations) -> Result<(), ClientError> {
    let request = gateway::FindStationsRequest { text: command.text.clone(), limit: 0 };
    let mut client = target.connect().await?.gateway();
    let found = client.find_stations(within_deadline(request)).await?.into_inner().stations;
    if target.json {
        crate::output::document(&json!({ "stations": found.iter().map(documents::station).collect::<Vec<_>>() }));
        return Ok(());
    }
    let mut table = render::table(["station", "telecode", "pinyin", "city"]);
    for station in found {
        table.add_row([station.name, station.telecode, station.pinyin, station.city]);
    }
    crate::output::line(&table.to_string());
    Ok(())
}

/// `chunyun train`: prints a train's stops and what can be bought over its whole way.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn train(target: &Target, command: &TrainCommand) -> Result<(), ClientError> {
    let run = wire::Run { train_code: command.train.to_string(), service_date: command.date.to_string(), ordinal: 1 };
    let mut client = target.connect().await?.gateway();
    let answer = client.get_train(within_deadline(gateway::GetTrainRequest { run: Some(run) })).await?.into_inner();
    let train = answer.train.ok_or(ClientError::Incomplete("train"))?;
    if target.json {
        crate::output::document(&documents::train(&train));
        return Ok(());
    }
    let mut table = render::table(["stop", "station", "city", "arrival", "departure"]);
    for stop in &train.stops {
        table.add_row([
            stop.index.to_string(),
            stop.station.clone(),
            stop.city.clone(),
            stop.arrival.replace('T', " "),
            stop.departure.replace('T', " "),
        ]);
    }
    render::numbers(&mut table, [0]);
    crate::output::line(&table.to_string());
    for available in &train.availability {
        let class = render::class_name(available.seat_class);
        crate::output::line(&format!(
            "{class}: {} / {}",
            render::availability(available),
            render::yuan(available.fare_fen)
        ));
    }
    Ok(())
}
