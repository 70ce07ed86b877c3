//! What all parties share: the timetable, the date, and when the show is over.

use std::time::Duration;

use domain::{Interval, ServiceDate, StopIndex};
use proto::order::v1::Order;
use timetable::{Timetable, TrainIndex};
use tokio::sync::watch;

/// The scene of the demo.
pub struct Stage {
    timetable: std::sync::Arc<Timetable>,
    date: ServiceDate,
    over: watch::Receiver<bool>,
}

impl Stage {
    /// The scene of one service date; `over` turns true when those in line shall go home.
    pub fn new(timetable: std::sync::Arc<Timetable>, date: ServiceDate, over: watch::Receiver<bool>) -> Self {
        Self { timetable, date, over }
    }

    /// Names of the boarding and alighting stations.
    pub fn stations(&self, train: TrainIndex, interval: Interval) -> (String, String) {
        let name = |stop: StopIndex| {
            let station = self.timetable.train(train).stops[usize::from(stop)].station;
            self.timetable.station(station).name.to_string()
        };
        (name(interval.from()), name(interval.to()))
    }

    /// The calendar date at a boarding stop, as the API takes it.
    pub fn boarding_date(&self, train: TrainIndex, stop: StopIndex) -> String {
        let date = self.timetable.boarding_date(train, self.date, stop);
        date.map_or_else(|| self.date.to_string(), |date| date.to_string())
    }

    /// The train's code as the API takes it.
    pub fn train_code(&self, train: TrainIndex) -> String {
        self.timetable.train(train).code.to_string()
    }

    /// Which train and interval a leg of an order is.
    pub fn leg_of(&self, order: &Order, leg: u32) -> Option<(TrainIndex, Interval)> {
        let leg = order.legs.get(leg as usize)?;
        let train = self.timetable.train_by_code(leg.run.as_ref()?.train_code.parse().ok()?)?;
        let interval = Interval::new(leg.from_stop.try_into().ok()?, leg.to_stop.try_into().ok()?).ok()?;
        Some((train, interval))
    }

    /// Waits until the show is over, at most so long; whether it is.
    pub async fn is_over(&self, at_most: Duration) -> bool {
        let mut over = self.over.clone();
        let waited = tokio::time::timeout(at_most, over.wait_for(|over| *over)).await;
        // A closed channel means that nobody will say so any more: over.
        matches!(waited, Ok(Ok(_) | Err(_)))
    }
}
