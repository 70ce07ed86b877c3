//! The face: `chunyun.query.v1` to the questions of [`App`] and back.

use std::sync::Arc;

use domain::{Invalid, Run, SeatClass, ServiceDate, StopIndex};
use proto::common::v1 as common;
use proto::query::v1::query_service_server::QueryService;
use proto::query::v1::{
    FindStationsRequest, FindStationsResponse, GetTrainRequest, GetTrainResponse, Journey, SearchTrainsRequest,
    SearchTrainsResponse, Station, Stop,
};
use rpc::Clock;
use timetable::{StationId, TrainIndex};
use tonic::{Request, Response, Status};

use crate::app::{self, App, Offer, Search};
use crate::error::Error;
use crate::metrics;
use crate::stations::TEXT_CHARS_MAX;

const JOURNEYS_DEFAULT: u32 = 100;
const JOURNEYS_MAX: u32 = 500;
const STATIONS_DEFAULT: u32 = 20;
const STATIONS_MAX: u32 = 100;

/// The query service.
#[derive(Clone, Debug)]
pub struct Face {
    app: App,
    clock: Arc<dyn Clock>,
    stale_after_ms: i64,
}

impl Face {
    /// Asks this application, and counts answers from boards older than `stale_after_ms`.
    pub fn new(app: App, clock: Arc<dyn Clock>, stale_after_ms: u64) -> Self {
        Self { app, clock, stale_after_ms: i64::try_from(stale_after_ms).unwrap_or(i64::MAX) }
    }

    fn search(&self, request: &SearchTrainsRequest) -> Result<SearchTrainsResponse, Error> {
        let page = self.app.search(&Search {
            from: &request.from,
            to: &request.to,
            boarding_date: request.boarding_date.parse().map_err(invalid("boarding_date"))?,
            classes: classes(&request.seat_classes)?,
            page_size: size("page_size", request.page_size, JOURNEYS_DEFAULT, JOURNEYS_MAX, "0 to 500")?,
            page_token: &request.page_token,
        })?;
        let oldest = self.clock.now().plus_millis(-self.stale_after_ms);
        let is_stale = |journey: &&app::Journey| journey.offer.as_of.is_some_and(|as_of| as_of < oldest);
        metrics::stale_answers(page.journeys.iter().filter(is_stale).count());
        let journeys = page.journeys.iter().map(|journey| self.journey(journey)).collect();
        Ok(SearchTrainsResponse { journeys, next_page_token: page.next_page_token })
    }

    fn train(&self, request: GetTrainRequest) -> Result<GetTrainResponse, Error> {
        let asked = request.run.unwrap_or_default();
        let run = run(&asked)?;
        let view = self.app.train(run)?;
        let stops = 0..self.app.timetable().train(view.train).stops.len();
        Ok(GetTrainResponse {
            run: Some(run_to_wire(run)),
            stops: stops.map(|index| self.stop(view.train, run.date, index as StopIndex)).collect(),
            availability: availability(&view.offer),
        })
    }

    fn stations(&self, request: &FindStationsRequest) -> Result<FindStationsResponse, Error> {
        let limit = size("limit", request.limit, STATIONS_DEFAULT, STATIONS_MAX, "0 to 100")?;
        if !(1..=TEXT_CHARS_MAX).contains(&request.text.trim().chars().count()) {
            return Err(invalid("text")(Invalid::new("station", "1 to 60 characters of a name", &request.text)));
        }
        let found = self.app.find_stations(&request.text, limit);
        Ok(FindStationsResponse { stations: found.into_iter().map(|id| self.station(id)).collect() })
    }

    fn journey(&self, journey: &app::Journey) -> Journey {
        let ride = &journey.ride;
        let train = self.app.timetable().train(ride.train);
        let km = |stop: StopIndex| train.stops[usize::from(stop)].km;
        Journey {
            run: Some(run_to_wire(journey.run)),
            from: Some(self.stop(ride.train, ride.service_date, ride.from)),
            to: Some(self.stop(ride.train, ride.service_date, ride.to)),
            duration_minutes: (ride.arrives_at.millis_since(ride.departs_at) / 60_000).try_into().unwrap_or(0),
            distance_km: km(ride.to) - km(ride.from),
            availability: availability(&journey.offer),
            on_sale: journey.offer.on_sale,
            as_of_ms: journey.offer.as_of.map_or(0, domain::Time::millis),
            version: journey.offer.stamp.version,
        }
    }

    fn stop(&self, train: TrainIndex, date: ServiceDate, index: StopIndex) -> Stop {
        let timetable = self.app.timetable();
        let station = timetable.station(timetable.train(train).stops[usize::from(index)].station);
        let local = |time: Option<jiff::civil::DateTime>| time.map_or_else(String::new, local_minute);
        Stop {
            index: u32::from(index),
            station: station.name.to_string(),
            telecode: station.telecode.as_deref().unwrap_or_default().to_owned(),
            city: station.city.to_string(),
            arrival: local(timetable.arrival_civil(train, date, index)),
            departure: local(timetable.departure_civil(train, date, index)),
        }
    }

    fn station(&self, id: StationId) -> Station {
        let station = self.app.timetable().station(id);
        Station {
            name: station.name.to_string(),
            telecode: station.telecode.as_deref().unwrap_or_default().to_owned(),
            pinyin: station.pinyin.to_string(),
            city: station.city.to_string(),
        }
    }
}

#[tonic::async_trait]
impl QueryService for Face {
    async fn search_trains(
        &self,
        request: Request<SearchTrainsRequest>,
    ) -> Result<Response<SearchTrainsResponse>, Status> {
        Ok(Response::new(self.search(request.get_ref())?))
    }

    async fn get_train(&self, request: Request<GetTrainRequest>) -> Result<Response<GetTrainResponse>, Status> {
        Ok(Response::new(self.train(request.into_inner())?))
    }

    async fn find_stations(
        &self,
        request: Request<FindStationsRequest>,
    ) -> Result<Response<FindStationsResponse>, Status> {
        Ok(Response::new(self.stations(request.get_ref())?))
    }
}

fn invalid(field: &'static str) -> impl Fn(Invalid) -> Error {
    move |invalid| Error::Invalid { field, invalid }
}

fn run(wire: &common::Run) -> Result<Run, Error> {
    let ordinal = u8::try_from(wire.ordinal.max(1))
        .map_err(|_| Invalid::new("ordinal", "0 to 255", &wire.ordinal.to_string()))
        .map_err(invalid("run.ordinal"))?;
    Ok(Run {
        train: wire.train_code.parse().map_err(invalid("run.train_code"))?,
        date: wire.service_date.parse().map_err(invalid("run.service_date"))?,
        ordinal,
    })
}

fn run_to_wire(run: Run) -> common::Run {
    common::Run {
        train_code: run.train.to_string(),
        service_date: run.date.to_string(),
        ordinal: u32::from(run.ordinal),
    }
}

fn classes(codes: &[i32]) -> Result<Vec<SeatClass>, Error> {
    let class = |code: &i32| {
        u8::try_from(*code)
            .ok()
            .and_then(SeatClass::from_code)
            .ok_or_else(|| Invalid::new("seat class", "a value of SeatClass", &code.to_string()))
            .map_err(invalid("seat_classes"))
    };
    codes.iter().map(class).collect()
}

fn size(field: &'static str, asked: u32, default: u32, max: u32, allowed: &'static str) -> Result<usize, Error> {
    match asked {
        0 => Ok(default as usize),
        _ if asked <= max => Ok(asked as usize),
        _ => Err(invalid(field)(Invalid::new("size", allowed, &asked.to_string()))),
    }
}

fn availability(offer: &Offer) -> Vec<common::Availability> {
    let class = |class: &app::ClassOffer| common::Availability {
        seat_class: i32::from(class.class.code()),
        seats: u32::from(class.places.seats),
        standing: u32::from(class.places.standing),
        fare_fen: class.fare.map_or(0, domain::Money::as_fen),
    };
    offer.classes.iter().map(class).collect()
}

/// The clock at the station, as `2026-12-01T07:00`.
fn local_minute(time: jiff::civil::DateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    format!("{date}T{:02}:{:02}", clock.hour(), clock.minute())
}
