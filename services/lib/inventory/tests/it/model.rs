//! Random commands over random trains, each judged by the naive model.

use domain::{Channel, Interval, SeatClass, Time};
use inventory::{
    Allotment, Answer, Carriage, Command, CommandMeta, Event, HoldRequest, HoldStage, Passenger, Protection,
    ProtectionStep, Quota, QuotaKind, QuotaPolicy, QuotaStep, Refusal, RequestId, StandingAllowance, Together,
    TrainDate, Wish, encoding,
};
use proptest::prelude::*;

use crate::kit::{HOUR, OPENS, SECOND, Train, departure, hold_id, person, plan_of, run, wish_id};
use crate::naive::{Naive, Question, Seat};

/// Random numbers that one command is made of.
type Dice = (u8, u16, u16, u16);

/// How many trains; each gets up to 150 commands. `CHUNYUN_KERNEL_CASES=20000` makes millions of commands.
fn cases() -> u32 {
    std::env::var("CHUNYUN_KERNEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_does_what_a_scanned_matrix_does(
        stops in prop_oneof![8 => 2usize..12, 2 => 12usize..40, 1 => 60usize..128],
        places in prop::collection::vec(1u16..14, 1..4),
        standing in 0u16..4,
        dice in prop::collection::vec(any::<Dice>(), 1..150),
    ) {
        let classes = [(SeatClass::Second, "ABC|DF"), (SeatClass::HardSleeper, "LMU"), (SeatClass::Second, "AB|CDF")];
        let carriages: Vec<_> = places.iter().zip(classes).map(|(&n, (class, layout))| (class, layout, n)).collect();
        let mut plan = plan_of(stops, &carriages);
        plan.standing = vec![StandingAllowance { class: SeatClass::Second, places: standing }];
        plan.terms.line_max = 12;
        let mut pair = Pair::new(Train::on_sale(plan));
        for dice in dice {
            pair.step(dice);
        }
        pair.journal_gives_the_same_state();
    }
}

/// The kernel and the model, side by side.
struct Pair {
    train: Train,
    naive: Naive,
    stops: usize,
    holds: u128,
    requests: u128,
    entries: u128,
    last: Option<(Command, CommandMeta, Answer)>,
}

impl Pair {
    fn new(train: Train) -> Self {
        let plan = train.aggregate.plan().unwrap();
        let naive = Naive::new(plan, OPENS);
        let stops = plan.stops.len();
        Self { train, naive, stops, holds: 0, requests: 1, entries: 0, last: None }
    }

    fn step(&mut self, dice: Dice) {
        let command = self.command(dice);
        self.execute(&command);
    }

    fn command(&mut self, (kind, a, b, c): Dice) -> Command {
        match kind % 24 {
            10 | 11 => Command::OpenHold { hold: self.some_hold(a) },
            12 | 13 => Command::Confirm { hold: self.some_hold(a) },
            14 => Command::Release { hold: self.some_hold(a) },
            15 => Command::Refund { hold: self.some_hold(a), passengers: [(b % 2) as u8].into_iter().collect() },
            16 => Command::Change { old: self.some_hold(a), new: self.request((kind, b, c, a)) },
            17 => Command::Advance { to: self.train.at.plus_millis(i64::from(a % 30) * SECOND) },
            18 => match a % 8 {
                0 => Command::Advance { to: self.train.at.plus_millis(i64::from(b % 10) * HOUR / 2) },
                1 => self.add_capacity(b, c),
                2 if b.is_multiple_of(16) => {
                    Command::CloseSale { request: self.new_request(), cancelled: c.is_multiple_of(2) }
                }
                _ => self.set_quotas(b, c),
            },
            19 | 20 => self.join(a, b, c),
            21 => Command::AcceptOffer { id: wish_id(self.entries.saturating_sub(u128::from(a % 8))) },
            22 => match b % 2 {
                0 => Command::DeclineOffer { id: wish_id(self.entries.saturating_sub(u128::from(a % 8))) },
                _ => Command::Leave { id: wish_id(self.entries.saturating_sub(u128::from(a % 8))) },
            },
            _ => Command::Hold(self.request((kind, a, b, c))),
        }
    }

    fn some_hold(&self, dice: u16) -> domain::HoldId {
        // Mostly a late one, sometimes an offer's.
        match dice % 5 {
            0 => wish_id(self.entries.saturating_sub(u128::from(dice % 4))).hold(),
            _ => hold_id(self.holds.saturating_sub(u128::from(dice / 5 % 12))),
        }
    }

    fn some_interval(&self, a: u16, b: u16) -> Interval {
        let from = usize::from(a) % (self.stops - 1);
        let to = from + 1 + usize::from(b) % (self.stops - 1 - from);
        Interval::new(from as u8, to as u8).unwrap()
    }

    fn some_class(dice: u16) -> SeatClass {
        if dice.is_multiple_of(5) { SeatClass::HardSleeper } else { SeatClass::Second }
    }

    fn some_channel(dice: u16) -> Channel {
        Channel::ALL[usize::from(dice % 3 / 2)]
    }

    fn request(&mut self, (kind, a, b, c): Dice) -> HoldRequest {
        self.holds += 1;
        let size = [1, 1, 1, 2, 2, 3, 5, 6][usize::from(c % 8)];
        // Now and then somebody who has a ticket already.
        let names = if c.is_multiple_of(31) { self.holds.saturating_sub(2) } else { self.holds };
        HoldRequest {
            hold: hold_id(self.holds),
            channel: Self::some_channel(b / 7),
            class: Self::some_class(c / 8),
            interval: self.some_interval(a, b),
            passengers: (0..size).map(|i| Passenger::new(person(names << 8 | i))).collect(),
            together: Together::Preferred,
            allow_standing: kind.is_multiple_of(5),
            allow_seat_change: kind.is_multiple_of(3),
        }
    }

    fn join(&mut self, a: u16, b: u16, c: u16) -> Command {
        self.entries += 1;
        let persons = (0..u128::from(c % 3) + 1).map(|i| person(1 << 100 | self.entries << 8 | i)).collect();
        let wish = Wish {
            class: Self::some_class(c / 8),
            interval: self.some_interval(a, b),
            persons,
            standing: c.is_multiple_of(7),
            channel: Self::some_channel(b / 7),
        };
        let deadline = self.train.at.plus_millis(i64::from(a % 40) * 60 * SECOND + 1);
        Command::Join { id: wish_id(self.entries), wish, deadline }
    }

    fn new_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn add_capacity(&mut self, b: u16, c: u16) -> Command {
        let request = self.new_request();
        let class = Self::some_class(c);
        let layout = if class.is_sleeper() { "LMU" } else { "ABC|DF" }.to_owned();
        let number = 100 + request.0 as u16;
        Command::AddCapacity { request, carriages: vec![Carriage { number, class, layout, places: b % 7 + 1 }] }
    }

    fn set_quotas(&mut self, b: u16, c: u16) -> Command {
        let request = self.new_request();
        let section = self.some_interval(b, c);
        let now = self.train.at;
        let steps = |places: u16| {
            let later = now.plus_millis(i64::from(c % 50) * 10 * SECOND + 1);
            vec![QuotaStep { from: now, places }, QuotaStep { from: later, places: places / 2 }]
        };
        let class = [None, Some(SeatClass::Second)][usize::from(c % 2)];
        let kinds = [QuotaKind::WithinAtMost, QuotaKind::KeptAtLeast, QuotaKind::BoardingsAtMost];
        let kind = kinds[usize::from(b % 3)];
        let until = (c.is_multiple_of(3)).then(|| now.plus_millis(HOUR));
        let mut quotas = QuotaPolicy { version: request.0 as u32, ..QuotaPolicy::default() };
        if c % 4 != 3 {
            quotas.quotas.push(Quota { kind, class, section, steps: steps(b / 3 % 8), until });
        }
        if b.is_multiple_of(2) {
            let channel = Channel::ALL[usize::from(c / 2 % 2)];
            quotas.allotments.push(Allotment { channel, class: SeatClass::Second, section, steps: steps(c % 6) });
        }
        if b.is_multiple_of(5) {
            let bid_prices = (0..self.stops as u32 - 1).map(|s| (s * 37 + u32::from(c)) % 140).collect();
            let until = now.plus_millis(HOUR / 4);
            let steps = vec![
                ProtectionStep { from: now, bid_prices, values: Vec::new() },
                ProtectionStep { from: until, bid_prices: Vec::new(), values: Vec::new() },
            ];
            quotas.protections.push(Protection { class: SeatClass::Second, steps });
        }
        Command::SetQuotas { request, quotas: Box::new(quotas) }
    }

    fn execute(&mut self, command: &Command) {
        if let Command::Advance { to } = command {
            self.train.at = *to;
        }
        let predicted = self.predict(command);
        let records = self.train.records.len();
        let executed = self.train.run(command);
        if let Some(predicted) = predicted {
            let code = executed.as_ref().map(|_| ()).map_err(Refusal::code);
            assert_eq!(code, predicted, "{command:?}");
        }
        if self.train.records.len() > records {
            let events = self.train.records[records].events.clone();
            self.follow(command, &events);
        }
        self.compare_counts();
        self.nobody_waits_in_vain();
        if let Ok(executed) = executed {
            let meta = CommandMeta::of(command, self.train.at);
            self.repeats_answer_the_same(command, meta, executed.answer);
        }
    }

    /// What a hold, a change or an entry must be answered, when nothing but room decides.
    fn predict(&self, command: &Command) -> Option<Result<(), &'static str>> {
        let (request, replaced) = match command {
            Command::Hold(request) => (request, None),
            Command::Change { old, new } => {
                let live = [HoldStage::Held, HoldStage::Opened, HoldStage::Confirmed];
                let hold = self.train.aggregate.hold(*old)?;
                (live.contains(&hold.stage)).then_some((new, Some(*old)))?
            }
            _ => return None,
        };
        let ends = departure(usize::from(request.interval.from())).plus_millis(-300 * SECOND);
        if self.naive.closed {
            return Some(Err("SALE_CLOSED"));
        }
        if self.naive.now >= ends {
            return Some(Err("SALE_ENDED"));
        }
        if request.passengers.len() > 5 {
            return Some(Err("PARTY_TOO_LARGE"));
        }
        if self.naive.of_class(request.class).next().is_none() {
            return Some(Err("NO_SUCH_CLASS"));
        }
        let holds = self.naive.tickets.iter().filter(|(hold, _)| Some(**hold) != replaced);
        let mut persons = holds.flat_map(|(_, tickets)| tickets.values().map(|ticket| ticket.person));
        if persons.any(|person| request.passengers.iter().any(|passenger| passenger.person == person)) {
            return Some(Err("DUPLICATE_PASSENGER"));
        }
        let judged = self.naive.judge(&Question {
            class: request.class,
            interval: request.interval,
            channel: request.channel,
            size: request.passengers.len() as u32,
            standing: request.allow_standing,
            change: request.allow_seat_change,
        });
        // Seats that stand offered are gone too, but the refusal says so.
        let offers = self.train.aggregate.holds().any(|hold| hold.stage == HoldStage::Offered);
        if judged == Err("SOLD_OUT") && offers { None } else { Some(judged) }
    }

    fn follow(&mut self, command: &Command, events: &[Event]) {
        for event in events {
            if let Event::Offered { id, .. } = event {
                let first = self.first_that_can_be_served().expect("an offer without seats");
                assert_eq!(first, *id, "somebody who waited longer could have used it");
            }
            if let (Command::Hold(request), Event::Held { parts, .. }) = (command, event) {
                self.judge_places(request, parts);
            }
            self.naive.follow(event);
        }
    }

    /// A single passenger gets the tightest seat, or the fewest changes; two sit as close as they can.
    fn judge_places(&self, request: &HoldRequest, parts: &[inventory::Part]) {
        let free: Vec<&Seat> = self.naive.free_seats(request.class, request.interval).collect();
        let seat = |place: u16| free.iter().find(|seat| seat.number == place).copied();
        match (request.passengers.len(), parts) {
            (1, [part]) if part.place.is_some() => {
                let tightest = free.iter().map(|seat| seat.left_over(request.interval)).min();
                let got = seat(part.place.unwrap()).expect("a free seat");
                assert_eq!(Some(got.left_over(request.interval)), tightest);
            }
            (1, parts) if parts.len() > 1 => {
                assert_eq!(self.naive.fewest_places(request.class, request.interval), Some(parts.len()));
            }
            (2, [a, b]) if a.place.is_some() && b.place.is_some() => {
                let (Some(a), Some(b)) = (seat(a.place.unwrap()), seat(b.place.unwrap())) else { return };
                let pairs = free.iter().enumerate().flat_map(|(i, a)| free[i + 1..].iter().map(move |b| (a, b)));
                let closest = pairs.map(|(a, b)| Naive::distance(a, b)).min();
                assert_eq!(Some(Naive::distance(a, b)), closest);
            }
            _ => {}
        }
    }

    fn compare_counts(&self) {
        assert_eq!(self.train.aggregate.is_taken(), self.naive.live().next().is_some());
        for class in [SeatClass::Second, SeatClass::HardSleeper] {
            let mut counts = vec![0; self.stops * (self.stops - 1) / 2];
            self.train.aggregate.counts_all(class, &mut counts);
            // All intervals of short trains; of long ones as many, spread evenly.
            let step = counts.len() / 200 + 1;
            for (i, interval) in Interval::all(self.stops).enumerate().step_by(step) {
                let expected = self.naive.free_seats(class, interval).count() as u16;
                assert_eq!(counts[i], expected, "{class} {interval:?}");
                assert_eq!(self.train.aggregate.free_count(class, interval), expected, "{class} {interval:?}");
            }
        }
    }

    fn first_that_can_be_served(&self) -> Option<inventory::WishId> {
        let served = |wish: &Wish| {
            let question = Question {
                class: wish.class,
                interval: wish.interval,
                channel: wish.channel,
                size: wish.persons.len() as u32,
                standing: wish.standing,
                change: false,
            };
            !wish.persons.iter().any(|&person| self.naive.has_ticket(person)) && self.naive.judge(&question).is_ok()
        };
        self.naive.waiting.values().find(|(_, wish)| served(wish)).map(|(id, _)| *id)
    }

    fn nobody_waits_in_vain(&self) {
        assert_eq!(self.first_that_can_be_served(), None, "somebody waits for what is free");
        assert_eq!(self.train.aggregate.waiting() as usize, self.naive.waiting.len());
    }

    /// The command just accepted, and the one accepted before it, answer again what they answered.
    fn repeats_answer_the_same(&mut self, command: &Command, meta: CommandMeta, answer: Answer) {
        let last = self.last.replace((command.clone(), meta, answer));
        for (command, meta, answer) in last.iter().chain(&self.last) {
            if matches!(command, Command::Advance { .. }) {
                continue;
            }
            let mut events = Vec::new();
            let again = self.train.aggregate.execute(meta, command, &mut events).unwrap();
            assert!(again.repeated && events.is_empty() && again.answer == *answer, "{command:?}");
        }
    }

    fn journal_gives_the_same_state(&self) {
        let hash = self.train.aggregate.state_hash();
        let mut replayed = TrainDate::new(run());
        let middle = self.train.records.len() / 2;
        let mut snapshot = replayed.freeze().write().bytes;
        let mut batch = encoding::BatchWriter::new();
        for (i, record) in self.train.records.iter().enumerate() {
            replayed.replay(record).unwrap();
            batch.push(&record.run, &record.meta, record.trace.as_ref(), &record.events);
            if i + 1 == middle {
                snapshot = replayed.freeze().write().bytes;
            }
        }
        assert_eq!(replayed.state_hash(), hash, "replay from zero");
        let mut restored = TrainDate::restore(run(), &snapshot).unwrap();
        let tail = if middle == 0 { 0 } else { middle };
        for record in &self.train.records[tail..] {
            restored.replay(record).unwrap();
        }
        assert_eq!(restored.state_hash(), hash, "replay from a snapshot");
        restored.check_invariants().unwrap();
        assert_eq!(
            encoding::decode_batch(&batch.finish()).unwrap(),
            self.train.records,
            "the encoding keeps everything"
        );
        assert!(self.train.aggregate.now() >= Time::default());
    }
}
