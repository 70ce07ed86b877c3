//! What happened to everybody: counts, reasons and how long each call took.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Interval;
use hdrhistogram::Histogram;
use timetable::TrainIndex;

/// The calls that are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// SearchTrains.
    Search,
    /// PlaceOrder, refusals included.
    Place,
    /// PayOrder.
    Pay,
    /// From PayOrder until the order was confirmed.
    Ticket,
    /// CancelOrder.
    Cancel,
    /// RefundTicket.
    Refund,
    /// ChangeTicket.
    Change,
    /// JoinWaitlist.
    Join,
}

impl Call {
    /// The name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Place => "place",
            Self::Pay => "pay",
            Self::Ticket => "pay to ticket",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
            Self::Change => "change",
            Self::Join => "join line",
        }
    }
}

/// The tally of a run; parts of it are made by workers and merged.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Tickets asked for: one per passenger.
    pub asked: u64,
    /// Tickets that were issued.
    pub sold: u64,
    /// Of these, tickets that came through the line.
    pub sold_from_line: u64,
    /// Tickets asked for that never came.
    pub refused: u64,
    /// Tickets given back.
    pub refunded: u64,
    /// Tickets exchanged for others.
    pub changed: u64,
    /// Tickets of orders that were cancelled.
    pub cancelled: u64,
    /// Tickets of orders that were left to lapse.
    pub forgotten: u64,
    /// Orders that were placed.
    pub orders: u64,
    /// Why calls were refused: by stable reason.
    pub reasons: BTreeMap<String, u64>,
    /// Calls that failed otherwise, after every retry: by reason. Should be empty.
    pub failures: BTreeMap<String, u64>,
    /// Seat-segments asked for by train, in first wishes.
    pub asked_segments: BTreeMap<TrainIndex, u64>,
    /// Seat-segments that were sold and not given back, by train.
    pub sold_segments: BTreeMap<TrainIndex, i64>,
    /// How long calls took, in microseconds.
    pub latencies: BTreeMap<Call, Latencies>,
}

/// How long calls took.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // One microsecond to ten minutes at three digits: the bounds are constants that the crate accepts.
        Self(Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are valid"))
    }
}

impl Latencies {
    /// How many calls.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time in ms within which this share of the calls was answered.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }
}

impl Tally {
    /// Notes how long a call took.
    pub fn took(&mut self, call: Call, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.latencies.entry(call).or_default().0.saturating_record(micros);
    }

    /// Notes a ticket that was issued. Standing tickets fill no seat.
    pub fn issued(&mut self, train: TrainIndex, interval: Interval, standing: bool) {
        self.sold += 1;
        *self.sold_segments.entry(train).or_default() += seat_segments(interval, standing);
    }

    /// Notes a ticket that was given back.
    pub fn gave_back(&mut self, train: TrainIndex, interval: Interval, standing: bool) {
        self.refunded += 1;
        *self.sold_segments.entry(train).or_default() -= seat_segments(interval, standing);
    }

    /// Notes a ticket that was exchanged for another: the train, the interval and whether it is a standing ticket, of each.
    pub fn exchanged(&mut self, old: (TrainIndex, Interval, bool), new: (TrainIndex, Interval, bool)) {
        self.changed += 1;
        *self.sold_segments.entry(old.0).or_default() -= seat_segments(old.1, old.2);
        *self.sold_segments.entry(new.0).or_default() += seat_segments(new.1, new.2);
    }

    /// Adds a worker's part.
    pub fn merge(&mut self, other: Self) {
        self.asked += other.asked;
        self.sold += other.sold;
        self.sold_from_line += other.sold_from_line;
        self.refused += other.refused;
        self.refunded += other.refunded;
        self.changed += other.changed;
        self.cancelled += other.cancelled;
        self.forgotten += other.forgotten;
        self.orders += other.orders;
        add(&mut self.reasons, other.reasons);
        add(&mut self.failures, other.failures);
        add(&mut self.asked_segments, other.asked_segments);
        for (train, segments) in other.sold_segments {
            *self.sold_segments.entry(train).or_default() += segments;
        }
        for (call, latencies) in other.latencies {
            let merged = self.latencies.entry(call).or_default();
            merged.0.add(&latencies.0).expect("all histograms have the same bounds");
        }
    }
}

fn seat_segments(interval: Interval, standing: bool) -> i64 {
    if standing { 0 } else { i64::from(interval.segments()) }
}

fn add<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use timetable::Timetable;

    use super::*;

    #[test]
    fn an_exchange_moves_what_is_sold_from_one_train_to_the_other() {
        let timetable = Timetable::sample();
        let mut trains = timetable.train_indexes();
        let (old, new) = (trains.next().unwrap(), trains.next().unwrap());
        let interval = |to| Interval::new(0, to).unwrap();
        let mut tally = Tally::default();
        tally.issued(old, interval(3), false);
        tally.exchanged((old, interval(3), false), (new, interval(2), false));
        let mut of_other_worker = Tally::default();
        of_other_worker.issued(old, interval(1), false);
        of_other_worker.exchanged((old, interval(1), false), (new, interval(4), true));
        tally.merge(of_other_worker);
        // A standing ticket fills no seat.
        assert_eq!((tally.sold, tally.changed), (2, 2));
        assert_eq!(tally.sold_segments, BTreeMap::from([(old, 0), (new, 2)]));
    }
}
