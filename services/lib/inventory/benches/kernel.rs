//! The figures of the seat kernel. Every iteration does [`BATCH`] operations: read microseconds as tens of nanoseconds each.
//!
//! `cargo bench -p inventory` prints medians. Layouts stand side by side: the index of gaps in use, and a mask per seat that is
//! scanned, which is the usual shortcut.

use std::cell::RefCell;
use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use domain::{Channel, HoldId, Interval, PersonToken, SeatClass, Time};
use inventory::encoding::BatchWriter;
use inventory::seats::{Gaps, Mask, SeatIndex};
use inventory::{
    Carriage, Command, CommandMeta, HoldRequest, Passenger, Plan, PlanStop, QuotaPolicy, RequestId, SaleTerms,
    Together, TrainDate,
};

/// Operations per iteration.
const BATCH: usize = 100;

/// Holds that a train of 1,200 seats sees on a busy day: some 2,500 tickets, and as many that lapse or are given back.
const HOLDS_MAX: u128 = 5_000;

/// A train of 17 stops and 1,200 seats.
const SHORT: Size = Size { stops: 17, places: 1_200 };
/// A train of 35 stops and 1,300 seats.
const LONG: Size = Size { stops: 35, places: 1_300 };

#[derive(Clone, Copy)]
struct Size {
    stops: usize,
    places: u16,
}

fn main() {
    divan::main();
}

/// A mask per seat, scanned for every question.
struct Scan<M> {
    busy: Vec<M>,
    segments: u8,
}

impl<M: Mask> Scan<M> {
    fn wanted(interval: Interval) -> M {
        M::range(u32::from(interval.from()), u32::from(interval.to()))
    }

    /// How many segments next to the interval are free on a seat.
    fn left_over(&self, busy: M, interval: Interval) -> u32 {
        let before = (busy & M::range(0, u32::from(interval.from()))).end();
        let after = busy & M::range(u32::from(interval.to()), u32::from(self.segments));
        let end = if after == M::EMPTY { u32::from(self.segments) } else { after.lowest() };
        u32::from(interval.from()) - before + end - u32::from(interval.to())
    }
}

impl<M: Mask> SeatIndex for Scan<M> {
    fn new(segments: u8, places: u16) -> Self {
        Self { busy: vec![M::EMPTY; usize::from(places)], segments }
    }

    fn add_places(&mut self, places: u16) {
        self.busy.resize(self.busy.len() + usize::from(places), M::EMPTY);
    }

    fn free_count(&self, interval: Interval) -> u16 {
        let wanted = Self::wanted(interval);
        self.busy.iter().filter(|&&busy| busy & wanted == M::EMPTY).count() as u16
    }

    fn counts_all(&self, counts: &mut [u16]) {
        let stops = usize::from(self.segments) + 1;
        for (count, interval) in counts.iter_mut().zip(Interval::all(stops)) {
            *count = self.free_count(interval);
        }
    }

    fn best_fit(&self, interval: Interval) -> Option<u16> {
        let wanted = Self::wanted(interval);
        let free = self.busy.iter().enumerate().filter(|&(_, &busy)| busy & wanted == M::EMPTY);
        free.min_by_key(|&(_, &busy)| self.left_over(busy, interval)).map(|(place, _)| place as u16)
    }

    fn is_free(&self, place: u16, interval: Interval) -> bool {
        self.busy[usize::from(place)] & Self::wanted(interval) == M::EMPTY
    }

    fn occupy(&mut self, place: u16, interval: Interval) {
        self.busy[usize::from(place)] |= Self::wanted(interval);
    }

    fn release(&mut self, place: u16, interval: Interval) {
        let busy = &mut self.busy[usize::from(place)];
        *busy = *busy & !Self::wanted(interval);
    }
}

/// Xorshift with a multiplier (Vigna 2016): the same demand on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    /// An interval of the reference demand: stop weights 6 at the ends, 4 at every fourth stop, 1 elsewhere.
    fn interval(&mut self, stops: usize) -> Interval {
        let weight = |stop: usize| match stop {
            _ if stop == 0 || stop + 1 == stops => 6,
            _ if stop.is_multiple_of(4) => 4,
            _ => 1,
        };
        loop {
            let (a, b) = (self.below(stops), self.below(stops));
            if a < b && self.below(36) < weight(a) * weight(b) {
                return Interval::new(a as u8, b as u8).expect("a lies before b");
            }
        }
    }
}

/// A train filled as on a busy day: 1.2 times its seat-segments were asked for, a quarter was cancelled and sold again.
fn filled<S: SeatIndex>(size: Size) -> (S, Dice) {
    let mut seats = S::new(size.stops as u8 - 1, size.places);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut sold: Vec<(u16, Interval)> = Vec::new();
    let mut asked = 0;
    while asked < usize::from(size.places) * (size.stops - 1) * 12 / 10 {
        let interval = dice.interval(size.stops);
        asked += usize::from(interval.segments());
        if let Some(place) = seats.best_fit(interval) {
            seats.occupy(place, interval);
            sold.push((place, interval));
        }
        if dice.below(4) == 0 && !sold.is_empty() {
            let (place, interval) = sold.swap_remove(dice.below(sold.len()));
            seats.release(place, interval);
        }
    }
    (seats, dice)
}

/// Intervals that still have a seat, one after the other; or that have none.
fn questions<S: SeatIndex>(seats: &mut S, dice: &mut Dice, size: Size, sellable: bool) -> Vec<Interval> {
    let mut held = Vec::new();
    let mut intervals = Vec::new();
    while intervals.len() < BATCH {
        let interval = dice.interval(size.stops);
        match seats.best_fit(interval) {
            Some(place) if sellable => {
                seats.occupy(place, interval);
                held.push((place, interval));
                intervals.push(interval);
            }
            None if !sellable => intervals.push(interval),
            _ => {}
        }
    }
    held.into_iter().for_each(|(place, interval)| seats.release(place, interval));
    intervals
}

#[divan::bench(types = [Gaps<u16>, Scan<u16>])]
fn hold_17_stops<S: SeatIndex>(bencher: Bencher<'_, '_>) {
    hold::<S>(bencher, SHORT);
}

#[divan::bench(types = [Gaps<u64>, Scan<u64>])]
fn hold_35_stops<S: SeatIndex>(bencher: Bencher<'_, '_>) {
    hold::<S>(bencher, LONG);
}

/// Best-fit holds; what the iteration before held is given back outside the measurement.
fn hold<S: SeatIndex>(bencher: Bencher<'_, '_>, size: Size) {
    let (mut seats, mut dice) = filled::<S>(size);
    let intervals = questions(&mut seats, &mut dice, size, true);
    let state = RefCell::new((seats, Vec::with_capacity(BATCH)));
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| {
            let (seats, held) = &mut *state.borrow_mut();
            held.drain(..).for_each(|(place, interval)| seats.release(place, interval));
        })
        .bench_local_values(|()| {
            let (seats, held) = &mut *state.borrow_mut();
            for &interval in &intervals {
                if let Some(place) = seats.best_fit(black_box(interval)) {
                    seats.occupy(place, interval);
                    held.push((place, interval));
                }
            }
        });
}

#[divan::bench(types = [Gaps<u16>, Scan<u16>])]
fn hold_and_release_17_stops<S: SeatIndex>(bencher: Bencher<'_, '_>) {
    churn::<S>(bencher, SHORT);
}

#[divan::bench(types = [Gaps<u64>, Scan<u64>])]
fn hold_and_release_35_stops<S: SeatIndex>(bencher: Bencher<'_, '_>) {
    churn::<S>(bencher, LONG);
}

/// Each hold is followed by the release of the one made 50 holds before.
fn churn<S: SeatIndex>(bencher: Bencher<'_, '_>, size: Size) {
    let (mut seats, mut dice) = filled::<S>(size);
    let intervals = questions(&mut seats, &mut dice, size, true);
    let mut held = std::collections::VecDeque::with_capacity(64);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for &interval in &intervals {
            if let Some(place) = seats.best_fit(black_box(interval)) {
                seats.occupy(place, interval);
                held.push_back((place, interval));
            }
            if held.len() > 50
                && let Some((place, interval)) = held.pop_front()
            {
                seats.release(place, interval);
            }
        }
    });
}

#[divan::bench(types = [Gaps<u16>, Scan<u16>])]
fn sold_out_17_stops<S: SeatIndex>(bencher: Bencher<'_, '_>) {
    let (mut seats, mut dice) = filled::<S>(SHORT);
    let intervals = questions(&mut seats, &mut dice, SHORT, false);
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| intervals.iter().filter(|&&interval| seats.best_fit(black_box(interval)).is_some()).count());
}

#[divan::bench(types = [Gaps<u16>, Scan<u16>])]
fn count_17_stops<S: SeatIndex>(bencher: Bencher<'_, '_>) {
    let (mut seats, mut dice) = filled::<S>(SHORT);
    let intervals = questions(&mut seats, &mut dice, SHORT, true);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        intervals.iter().map(|&interval| u64::from(seats.free_count(black_box(interval)))).sum::<u64>()
    });
}

#[divan::bench(types = [Gaps<u16>, Scan<u16>])]
fn all_136_counts_17_stops<S: SeatIndex>(bencher: Bencher<'_, '_>) {
    all_counts::<S>(bencher, SHORT);
}

#[divan::bench(types = [Gaps<u64>, Scan<u64>])]
fn all_595_counts_35_stops<S: SeatIndex>(bencher: Bencher<'_, '_>) {
    all_counts::<S>(bencher, LONG);
}

/// One table of all intervals per iteration: the one figure that is not of [`BATCH`] operations.
fn all_counts<S: SeatIndex>(bencher: Bencher<'_, '_>, size: Size) {
    let (seats, _) = filled::<S>(size);
    let mut counts = vec![0; size.stops * (size.stops - 1) / 2];
    bencher.bench_local(|| {
        black_box(&seats).counts_all(&mut counts);
        black_box(&counts);
    });
}

/// A whole command: identity of the payload, decision, state, and the event encoded for the journal.
#[divan::bench]
fn command_hold_17_stops(bencher: Bencher<'_, '_>) {
    let train = RefCell::new(Train::filled(SHORT));
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| train.borrow_mut().commands())
        .bench_local_refs(|commands| train.borrow_mut().execute_all(commands));
}

/// Everything worked out anew and compared: what a check costs the one who sells.
#[divan::bench(args = [5_000, 100_000])]
fn check_after_holds(bencher: Bencher<'_, '_>, holds: u128) {
    let train = Train::aged(SHORT, holds).aggregate;
    bencher.bench_local(|| train.check_invariants());
}

/// What a snapshot costs the one who sells.
#[divan::bench(args = [5_000, 100_000])]
fn freeze_after_holds(bencher: Bencher<'_, '_>, holds: u128) {
    let train = Train::aged(SHORT, holds).aggregate;
    bencher.bench_local(|| train.freeze());
}

/// What a snapshot costs beside the one who sells.
#[divan::bench(args = [5_000, 100_000])]
fn write_after_holds(bencher: Bencher<'_, '_>, holds: u128) {
    let frozen = Train::aged(SHORT, holds).aggregate.freeze();
    bencher.bench_local(|| frozen.write());
}

/// A train-date at the fill of a busy day.
struct Train {
    aggregate: TrainDate,
    size: Size,
    dice: Dice,
    at: Time,
    holds: u128,
    events: Vec<inventory::Event>,
    /// By the last batch.
    held: Vec<HoldId>,
}

impl Train {
    fn filled(size: Size) -> Self {
        let run = "G71@2026-12-01".parse().expect("a run");
        let at = Time::from_millis(1_795_651_200_000);
        let aggregate = TrainDate::new(run);
        let dice = Dice(0x9E37_79B9_7F4A_7C15);
        let mut train = Self { aggregate, size, dice, at, holds: 0, events: Vec::new(), held: Vec::new() };
        train.execute(&Command::OpenSale { request: RequestId(1), plan: Box::new(plan(size, at)) });
        let mut asked = 0;
        while asked < usize::from(size.places) * (size.stops - 1) * 9 / 10 {
            let command = train.hold();
            let Command::Hold(request) = &command else { continue };
            asked += usize::from(request.interval.segments());
            train.execute(&command);
        }
        train
    }

    /// A train on which so many holds were made, and most of them ended.
    fn aged(size: Size, holds: u128) -> Self {
        let mut train = Self::filled(size);
        while (train.aggregate.size() as u128) < holds {
            let command = train.hold();
            train.execute(&command);
            if let Command::Hold(request) = command {
                train.execute(&Command::Release { hold: request.hold });
            }
        }
        train
    }

    fn hold(&mut self) -> Command {
        self.holds += 1;
        let owner = self.holds.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        Command::Hold(HoldRequest {
            hold: HoldId { owner, leg: 0 },
            channel: Channel::Online,
            class: SeatClass::Second,
            interval: self.dice.interval(self.size.stops),
            passengers: std::iter::once(Passenger::new(PersonToken(owner.to_be_bytes()))).collect(),
            together: Together::Preferred,
            allow_standing: false,
            allow_seat_change: false,
        })
    }

    /// Gives back what lapsed and makes new commands that will be accepted.
    fn commands(&mut self) -> Vec<Command> {
        // A hold is remembered for the life of a run, so a run that only churns would grow past what any train sells in a day.
        if self.holds > HOLDS_MAX {
            *self = Self::filled(self.size);
        }
        self.at = self.at.plus_millis(20_000);
        for hold in std::mem::take(&mut self.held) {
            self.execute(&Command::Release { hold });
        }
        let mut commands = Vec::with_capacity(BATCH);
        while commands.len() < BATCH {
            let command = self.hold();
            if let Command::Hold(request) = &command
                && self.aggregate.free_count(SeatClass::Second, request.interval) > BATCH as u16 / 4
            {
                self.held.push(request.hold);
                commands.push(command);
            }
        }
        commands
    }

    fn execute(&mut self, command: &Command) {
        self.events.clear();
        let meta = CommandMeta::of(command, self.at);
        let _ = self.aggregate.execute(&meta, command, &mut self.events);
    }

    fn execute_all(&mut self, commands: &[Command]) -> usize {
        let mut batch = BatchWriter::new();
        let run = self.aggregate.run();
        for command in commands {
            self.events.clear();
            let meta = CommandMeta::of(command, self.at);
            if self.aggregate.execute(&meta, command, &mut self.events).is_ok() {
                batch.push(&run, &meta, None, &self.events);
            }
        }
        batch.finish().len()
    }
}

fn plan(size: Size, opens: Time) -> Plan {
    let hour = |hours: usize| opens.plus_millis(3_600_000 * (10_000 + hours as i64));
    let stop = |i: usize| PlanStop {
        arrival: (i > 0).then(|| hour(i)),
        departure: (i + 1 < size.stops).then(|| hour(i)),
        sale_opens: opens,
        km: i as u32 * 100,
    };
    let carriage = |i: u16| Carriage {
        number: i + 1,
        class: SeatClass::Second,
        layout: "ABC|DF".to_owned(),
        places: size.places / 10,
    };
    Plan {
        stops: (0..size.stops).map(stop).collect(),
        carriages: (0..10).map(carriage).collect(),
        terms: SaleTerms::default(),
        standing: Vec::new(),
        quotas: QuotaPolicy::default(),
        policy_version: 1,
    }
}
