//! What the demo says at its end: tables for people, one JSON object for machines.

use domain::{Interval, SeatClass};
use serde_json::{Value, json};
use timetable::{Timetable, TrainIndex};

use super::scale::Scaled;
use super::tally::{Call, Latencies, Tally};
use crate::client::render;

/// How many trains the table of over-asked trains shows.
const TRAINS_SHOWN: usize = 10;

/// Everything there is to say.
pub struct Report<'a> {
    /// The timetable that was sold.
    pub timetable: &'a Timetable,
    /// The trains that were put on sale.
    pub trains: &'a [TrainIndex],
    /// The service date.
    pub date: String,
    /// What happened to everybody.
    pub tally: &'a Tally,
    /// From opening until the last passenger of the rush was served, in seconds.
    pub rush_seconds: f64,
    /// What the audit found.
    pub audit: AuditSummary,
    /// What scaling came to, with what befell those who came meanwhile.
    pub scaled: Option<(&'a Scaled, &'a Tally)>,
}

/// What the audit found, as the demo needs it.
pub struct AuditSummary {
    /// Violations of any invariant.
    pub violations: u64,
    /// Seat-segments with two live holders.
    pub oversold: u64,
    /// Tickets that the databases hold, given back or not.
    pub tickets: u64,
    /// The audit's own report.
    pub text: String,
}

impl Report<'_> {
    /// Whether everything held: nothing oversold or lost, nothing violated, no call failed, something sold.
    pub fn is_clean(&self) -> bool {
        self.lost() == 0
            && self.audit.violations == 0
            && self.audit.oversold == 0
            && self.tally.failures.is_empty()
            && self.tally.sold > 0
    }

    /// Tickets that passengers were given and the databases do not hold.
    fn lost(&self) -> u64 {
        (self.tally.sold + self.tally.changed).saturating_sub(self.audit.tickets)
    }

    /// Seat-segments sold, of all that were on sale, from 0 to 1.
    pub fn fill(&self) -> f64 {
        let sold: i64 = self.tally.sold_segments.values().sum();
        let capacity: u64 = self.trains.iter().map(|train| capacity(self.timetable, *train)).sum();
        if capacity == 0 { 0.0 } else { sold.max(0) as f64 / capacity as f64 }
    }

    /// Orders placed per second of the rush.
    pub fn orders_per_second(&self) -> f64 {
        if self.rush_seconds > 0.0 { self.tally.orders as f64 / self.rush_seconds } else { 0.0 }
    }

    /// The tables.
    pub fn text(&self) -> String {
        let mut parts = vec![self.over_asked(), self.outcome(), self.calls()];
        if !self.tally.reasons.is_empty() {
            parts.push(counts("refused because", &self.tally.reasons));
        }
        if !self.tally.failures.is_empty() {
            parts.push(counts("FAILED calls", &self.tally.failures));
        }
        parts.extend(self.scaled.map(|(scaled, paced)| scaled.text(paced)));
        parts.push(self.audit.text.clone());
        parts.push(format!(
            "lost {}\noversold {}\naudit_violations {}\n{}",
            self.lost(),
            self.audit.oversold,
            self.audit.violations,
            if self.is_clean() { "all is well" } else { "SOMETHING IS OFF" }
        ));
        parts.join("\n\n")
    }

    /// The object of `--json`.
    pub fn json(&self) -> Value {
        let place = |share| self.tally.latencies.get(&Call::Place).map_or(0.0, |l: &Latencies| l.quantile_ms(share));
        json!({
            "asked": self.tally.asked,
            "sold": self.tally.sold,
            "sold_from_line": self.tally.sold_from_line,
            "refused": self.tally.refused,
            "refunded": self.tally.refunded,
            "changed": self.tally.changed,
            "cancelled": self.tally.cancelled,
            "lapsed": self.tally.forgotten,
            "lost": self.lost(),
            "scaled": self.scaled.map(|(scaled, paced)| scaled.json(paced)),
            "oversold": self.audit.oversold,
            "audit_violations": self.audit.violations,
            "failed_calls": self.tally.failures.values().sum::<u64>(),
            "orders": self.tally.orders,
            "orders_per_second": round(self.orders_per_second()),
            "place_p50_ms": round(place(0.5)),
            "place_p99_ms": round(place(0.99)),
            "seat_segment_fill": (self.fill() * 10_000.0).round() / 10_000.0,
            "refused_because": self.tally.reasons,
            "service_date": self.date,
            "trains": self.trains.len(),
        })
    }

    fn over_asked(&self) -> String {
        let mut table = render::table(["train", "way", "seats x segments", "asked", "over-asked", "filled"]);
        let mut trains: Vec<(TrainIndex, f64)> =
            self.trains.iter().map(|train| (*train, self.asked_share(*train))).collect();
        trains.sort_by(|(a, left), (b, right)| right.total_cmp(left).then(a.cmp(b)));
        for (train, share) in trains.iter().take(TRAINS_SHOWN) {
            let capacity = capacity(self.timetable, *train);
            let sold = self.tally.sold_segments.get(train).copied().unwrap_or(0);
            table.add_row([
                self.timetable.train(*train).code.to_string(),
                way(self.timetable, *train),
                capacity.to_string(),
                self.tally.asked_segments.get(train).copied().unwrap_or(0).to_string(),
                format!("{share:.2} x"),
                format!("{:.1} %", sold as f64 * 100.0 / capacity.max(1) as f64),
            ]);
        }
        render::numbers(&mut table, [2, 3, 4, 5]);
        let shown = trains.len().min(TRAINS_SHOWN);
        format!("{} of the {} trains of {}, most over-asked first\n{table}", shown, trains.len(), self.date)
    }

    /// How many times over a train's seat-segments were asked for.
    fn asked_share(&self, train: TrainIndex) -> f64 {
        let asked = self.tally.asked_segments.get(&train).copied().unwrap_or(0);
        asked as f64 / capacity(self.timetable, train).max(1) as f64
    }

    fn outcome(&self) -> String {
        let tally = self.tally;
        let mut table = render::table(["tickets", "count"]);
        let rows: [(&str, String); 10] = [
            ("asked for", tally.asked.to_string()),
            ("sold", tally.sold.to_string()),
            ("  of these to the line", tally.sold_from_line.to_string()),
            ("refused", tally.refused.to_string()),
            ("cancelled unpaid", tally.cancelled.to_string()),
            ("left to lapse", tally.forgotten.to_string()),
            ("refunded", tally.refunded.to_string()),
            ("changed", tally.changed.to_string()),
            ("seats x segments filled", format!("{:.2} %", self.fill() * 100.0)),
            ("orders per second in the rush", format!("{:.0}", self.orders_per_second())),
        ];
        for (what, count) in rows {
            table.add_row([what.to_owned(), count]);
        }
        render::numbers(&mut table, [1]);
        table.to_string()
    }

    fn calls(&self) -> String {
        let mut table = render::table(["call", "count", "p50 ms", "p99 ms", "p99.9 ms"]);
        for (call, latencies) in &self.tally.latencies {
            table.add_row([
                call.name().to_owned(),
                latencies.count().to_string(),
                format!("{:.1}", latencies.quantile_ms(0.5)),
                format!("{:.1}", latencies.quantile_ms(0.99)),
                format!("{:.1}", latencies.quantile_ms(0.999)),
            ]);
        }
        render::numbers(&mut table, 1..5);
        table.to_string()
    }
}

fn counts(title: &str, counts: &std::collections::BTreeMap<String, u64>) -> String {
    let mut table = render::table([title, "count"]);
    for (what, count) in counts {
        table.add_row([what.clone(), count.to_string()]);
    }
    render::numbers(&mut table, [1]);
    table.to_string()
}

/// Seats times segments of a train, all classes.
fn capacity(timetable: &Timetable, train: TrainIndex) -> u64 {
    let composition = timetable.composition(train);
    let places: u64 = SeatClass::ALL.iter().map(|class| u64::from(composition.places(*class))).sum();
    places * (timetable.train(train).stops.len() as u64 - 1)
}

fn way(timetable: &Timetable, train: TrainIndex) -> String {
    let stops = &timetable.train(train).stops;
    let whole = Interval::new(0, stops.len() as u8 - 1);
    let name = |at: u8| timetable.station(stops[usize::from(at)].station).name.to_string();
    whole.map_or_else(|_| String::new(), |whole| format!("{} - {}", name(whole.from()), name(whole.to())))
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
