//! The second hop bare: the same small messages over one long-lived stream, and as a call each. Nothing is decided and
//! nothing kept; what is left is what gRPC itself costs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bare_line::BareLine;
use crate::cpu::Processes;
use crate::designs::Echo;
use crate::edge::{StreamedCalls, UnaryCalls, connect, serve_bare};
use crate::ledger::Ledger;
use crate::load::{GiveBack, Load, Measured, drive};
use crate::report::table;
use crate::stage::Stage;
use crate::workload::Workload;
use crate::{BenchError, Seats};

/// What is driven, and how hard.
#[derive(Clone, Debug)]
pub struct HopBench {
    /// Clients at once, each with one message at a time.
    pub clients: Vec<usize>,
    /// Before anything is counted.
    pub warm_up: Duration,
    /// What is counted.
    pub time: Duration,
    /// How often both take their turn; the median counts.
    pub rounds: usize,
}

/// Both ways with so many clients.
#[derive(Clone, Debug)]
pub struct HopFound {
    /// Clients at once.
    pub clients: usize,
    /// A call for each message.
    pub unary: Measured,
    /// All messages on one stream.
    pub streamed: Measured,
}

impl HopFound {
    /// How many times as much processor time a call takes, at both ends together.
    pub fn cpu_ratio(&self) -> f64 {
        self.unary.cpu_us() / self.streamed.cpu_us()
    }

    /// How many times as many messages the stream carries in a second.
    pub fn speed_ratio(&self) -> f64 {
        self.streamed.per_second() / self.unary.per_second()
    }
}

/// Measures both ways in turn.
///
/// # Errors
/// The echo does not answer.
pub async fn measure(bench: &HopBench) -> Result<Vec<HopFound>, BenchError> {
    let (server, client) = (Stage::start("echo")?, Stage::start("client")?);
    let (echo, address) = server.run(serve_bare(Arc::new(Echo))).await?;
    let connected = async move {
        let line = BareLine::open(connect(&address).await?).await;
        let line = StreamedCalls(line.map_err(BenchError::because("the echo opened no stream"))?);
        let unary = UnaryCalls(connect(&address).await?);
        Ok::<[Arc<dyn Seats>; 2], BenchError>([Arc::new(unary), Arc::new(line)])
    };
    let ways = client.run(connected).await?;
    let mut found = Vec::new();
    for clients in bench.clients.iter().copied() {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..bench.rounds {
            for (way, measured) in ways.iter().zip(&mut rounds) {
                let load = Load { workload: Workload::HotTrain, clients, warm_up: bench.warm_up, time: bench.time };
                let books = Arc::new(Ledger::new());
                measured.push(client.run(drive(way.clone(), GiveBack::Echo, books, load, Processes::default())).await);
            }
        }
        let [unary, streamed] = rounds.map(median);
        found.push(HopFound { clients, unary, streamed });
    }
    client.run(async move { drop(ways) }).await;
    server.run(echo.stop()).await;
    Ok(found)
}

fn median(mut rounds: Vec<Measured>) -> Measured {
    rounds.sort_by(|one, other| one.per_second().total_cmp(&other.per_second()));
    rounds.swap_remove(rounds.len() / 2)
}

/// The table of a run as text.
pub fn print(found: &[HopFound]) -> String {
    let mut lines =
        table(&["clients", "way", "messages/s", "p50 us", "p99 us", "CPU us", "times the CPU", "of the speed"]);
    for one in found {
        let row = |way: &str, measured: &Measured, cpu: f64, speed: f64| {
            vec![
                one.clients.to_string(),
                way.to_owned(),
                format!("{:.0}", measured.per_second()),
                measured.p50_us.to_string(),
                measured.p99_us.to_string(),
                format!("{:.1}", measured.cpu_us()),
                format!("{cpu:.1}"),
                format!("{speed:.2}"),
            ]
        };
        lines.add_row(row("one stream", &one.streamed, 1.0, 1.0));
        lines.add_row(row("a call each", &one.unary, one.cpu_ratio(), 1.0 / one.speed_ratio()));
    }
    format!("an echo over one connection, CPU of both ends with the clients\n{lines}\n")
}

/// The same for machines.
pub fn to_json(found: &[HopFound]) -> Value {
    let way = |measured: &Measured| {
        json!({"messages_per_second": measured.per_second(), "p50_us": measured.p50_us, "p99_us": measured.p99_us,
               "cpu_us": measured.cpu_us()})
    };
    let one = |one: &HopFound| {
        json!({"clients": one.clients, "unary": way(&one.unary), "streamed": way(&one.streamed),
               "cpu_ratio": one.cpu_ratio(), "speed_ratio": one.speed_ratio()})
    };
    json!({ "hop": found.iter().map(one).collect::<Vec<_>>() })
}
