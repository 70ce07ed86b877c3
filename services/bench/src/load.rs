//! Clients that ask one request after the other, and what they saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use proto::inventory::v1::ReleaseRequest;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::task::JoinSet;
use tonic::Status;

use crate::Seats;
use crate::cpu::Processes;
use crate::ledger::Ledger;
use crate::seats::{PlaceId, is_sold_out};
use crate::workload::{Ask, Workload, place_number, run, wire_run};

/// How a client gives a place back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GiveBack {
    /// By the hold's id: the design remembers holds.
    ByHold,
    /// By the place: the design remembers places alone.
    ByPlace,
    /// By nothing: the design sells no seats, only answers.
    Echo,
}

/// What is driven, and how hard.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What clients do.
    pub workload: Workload,
    /// Clients at once, each with one request at a time.
    pub clients: usize,
    /// Before anything is counted.
    pub warm_up: Duration,
    /// What is counted.
    pub time: Duration,
}

/// What the clients of one run saw.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Requests answered: holds, releases, refusals.
    pub operations: u64,
    /// Those of them that were refused as sold out.
    pub refused: u64,
    /// Requests that failed otherwise; they are not among the operations.
    pub failed: u64,
    /// The first failure, in words.
    pub failure: Option<String>,
    /// How long it really took.
    pub time: Duration,
    /// From asking to the answer, in µs.
    pub p50_us: u64,
    /// The same for the slowest hundredth.
    pub p99_us: u64,
    /// Processor time of all processes that take part.
    pub cpu: Duration,
}

impl Measured {
    /// Requests answered in a second.
    pub fn per_second(&self) -> f64 {
        self.operations as f64 / self.time.as_secs_f64()
    }

    /// Processor time of one request, in µs.
    pub fn cpu_us(&self) -> f64 {
        if self.operations == 0 { 0.0 } else { self.cpu.as_secs_f64() * 1e6 / self.operations as f64 }
    }
}

/// What all clients share.
struct Shared {
    seats: Arc<dyn Seats>,
    give_back: GiveBack,
    workload: Workload,
    ledger: Arc<Ledger>,
    count_from: Instant,
    end: Instant,
    refused: AtomicU64,
    failed: AtomicU64,
    failure: Mutex<Option<String>>,
    micros: Mutex<Histogram<u64>>,
}

/// For times from 1 µs to a minute, three digits of each.
pub(crate) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("three digits are a precision")
}

/// Drives a design from the present thread.
pub(crate) async fn drive(
    seats: Arc<dyn Seats>,
    give_back: GiveBack,
    ledger: Arc<Ledger>,
    load: Load,
    processes: Processes,
) -> Measured {
    let count_from = Instant::now() + load.warm_up;
    let shared = Arc::new(Shared {
        seats,
        give_back,
        workload: load.workload,
        ledger,
        count_from,
        end: count_from + load.time,
        refused: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        failure: Mutex::new(None),
        micros: Mutex::new(new_histogram()),
    });
    let mut clients = JoinSet::new();
    for _ in 0..load.clients {
        clients.spawn(Shared::client(shared.clone()));
    }
    tokio::time::sleep_until(count_from.into()).await;
    let (cpu_before, begun) = (processes.used(), Instant::now());
    tokio::time::sleep_until(shared.end.into()).await;
    let nothing_yet = shared.micros.lock().is_empty();
    let mut spent = (processes.used().saturating_sub(cpu_before), begun.elapsed());
    // A client that panicked has found a seat sold twice: that is the end of the bench.
    clients.join_all().await;
    if nothing_yet {
        spent = (processes.used().saturating_sub(cpu_before), begun.elapsed());
    }
    let (cpu, time) = spent;
    let micros = shared.micros.lock();
    Measured {
        operations: micros.len(),
        refused: shared.refused.load(Ordering::Relaxed),
        failed: shared.failed.load(Ordering::Relaxed),
        failure: shared.failure.lock().take(),
        time,
        p50_us: micros.value_at_quantile(0.5),
        p99_us: micros.value_at_quantile(0.99),
        cpu,
    }
}

impl Shared {
    async fn client(self: Arc<Self>) {
        let mut random = SmallRng::from_os_rng();
        while Instant::now() < self.end || self.waits_for_the_first() {
            self.one_passenger(self.workload.next(&mut random)).await;
        }
    }

    /// Whether nothing has been counted yet: a slow disk is measured until its first answer.
    fn waits_for_the_first(&self) -> bool {
        self.failed.load(Ordering::Relaxed) == 0 && self.micros.lock().is_empty()
    }

    /// Asks for a place and, where one is held, gives it back.
    async fn one_passenger(&self, ask: Ask) {
        let begun = Instant::now();
        let answer = self.seats.hold(run(ask.train), ask.request()).await;
        let Some(held) = self.note(begun, answer) else { return };
        let place = held.places.first().and_then(place_number).filter(|_| self.give_back != GiveBack::Echo);
        if let Some(number) = place {
            self.ledger.take(ask.train, number, ask.segments());
            // Whoever was answered together with this client notes a place too, before this one is given back.
            tokio::task::yield_now().await;
            self.ledger.give_back(ask.train, number, ask.segments());
        }
        let hold_id = match self.give_back {
            GiveBack::ByPlace => PlaceId { number: place.unwrap_or(0), from: ask.from, to: ask.to }.write(),
            GiveBack::ByHold | GiveBack::Echo => ask.hold_id(),
        };
        self.give_back(ask, hold_id).await;
    }

    async fn give_back(&self, ask: Ask, hold_id: bytes::Bytes) {
        let begun = Instant::now();
        let request = ReleaseRequest { run: Some(wire_run(ask.train)), hold_id };
        let answer = self.seats.release(run(ask.train), request).await;
        self.note(begun, answer);
    }

    /// Counts an answer, if it came while answers were counted.
    fn note<T>(&self, begun: Instant, answer: Result<T, Status>) -> Option<T> {
        let now = Instant::now();
        let counts = now >= self.count_from && (now < self.end || self.waits_for_the_first());
        match &answer {
            Ok(_) => {}
            Err(status) if is_sold_out(status) => {
                if counts {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(status) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.failure.lock().get_or_insert_with(|| format!("{:?}: {}", status.code(), status.message()));
                return None;
            }
        }
        if counts {
            let micros = u64::try_from((now - begun).as_micros()).unwrap_or(u64::MAX);
            self.micros.lock().saturating_record(micros);
        }
        answer.ok()
    }
}
