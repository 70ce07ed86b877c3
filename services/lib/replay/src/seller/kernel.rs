use domain::{Channel, HoldId, Interval, PersonToken, SeatClass, Time};
use inventory::{
    Answer, Command, CommandMeta, HoldRequest, Passenger, Protection, QuotaPolicy, Refusal, RequestId, Together,
    TrainDate,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Seat, SeatLedger, Seats, Seller};
use crate::rules::{Outlook, Rule, bid_prices, kept_sections};
use crate::scenario::{Request, Scenario};

/// The seat kernel itself, sold to as the shard does: hold, open, confirm; refund; quotas set while on sale.
pub(super) struct Kernel<'a> {
    scenario: &'a Scenario,
    rule: &'a Rule,
    train_date: TrainDate,
    /// How often protection has been computed.
    reviews_done: u32,
    /// Emptied before each use; nothing reads the events here.
    events: Vec<inventory::Event>,
}

impl<'a> Kernel<'a> {
    pub fn new(scenario: &'a Scenario, rule: &'a Rule) -> Self {
        let train_date = TrainDate::new(scenario.run);
        let mut kernel = Self { scenario, rule, train_date, reviews_done: 0, events: Vec::new() };
        let mut plan = scenario.plan.clone();
        plan.quotas = kernel.first_quotas();
        let open = Command::OpenSale { request: RequestId(0), plan: Box::new(plan) };
        kernel.must(scenario.sale.opens, &open, "a plan whose classes and stops come from one scenario");
        kernel
    }

    /// The quotas in force when sale opens.
    fn first_quotas(&mut self) -> QuotaPolicy {
        let mut quotas = QuotaPolicy { version: 1, ..QuotaPolicy::default() };
        match self.rule {
            Rule::RandomSeat | Rule::BestFit { .. } => {}
            Rule::KeptSections { sections, release, .. } => {
                let classes = self.scenario.classes.keys();
                let kept = classes.flat_map(|class| kept_sections(self.scenario, *class, *sections, release));
                quotas.quotas = kept.collect();
            }
            Rule::ComputedProtection { .. } => {
                quotas.protections = self.protections(self.scenario.sale.opens);
                self.reviews_done = 1;
            }
        }
        quotas
    }

    /// Prices by what is known now.
    fn protections(&self, at: Time) -> Vec<Protection> {
        let Rule::ComputedProtection { samples, worth, .. } = *self.rule else { return Vec::new() };
        let compute = |class: &SeatClass| {
            let sold = self.sold(*class);
            let outlook = Outlook { scenario: self.scenario, class: *class, at, sold: &sold };
            // Every review draws its own samples, the same in every run.
            let mut random = ChaCha8Rng::seed_from_u64(u64::from(self.reviews_done));
            bid_prices(&outlook, worth, samples, &mut random)
        };
        self.scenario.classes.keys().map(compute).collect()
    }

    fn sold(&self, class: SeatClass) -> Vec<u32> {
        let places = self.scenario.places(class);
        let sold = |segment: u8| match Interval::new(segment, segment + 1) {
            Ok(interval) if self.train_date.plan().is_some() => {
                places - u32::from(self.train_date.free_count(class, interval))
            }
            _ => 0,
        };
        (0..self.scenario.segments() as u8).map(sold).collect()
    }

    /// Sets prices anew when the next review is due.
    fn review(&mut self, at: Time) {
        let Rule::ComputedProtection { reviews, .. } = *self.rule else { return };
        let due = |done: u32| self.scenario.sale.moment(f64::from(done) / f64::from(reviews)) <= at;
        if self.reviews_done >= reviews || !due(self.reviews_done) {
            return;
        }
        while self.reviews_done < reviews && due(self.reviews_done) {
            self.reviews_done += 1;
        }
        let quotas =
            QuotaPolicy { version: self.reviews_done, protections: self.protections(at), ..QuotaPolicy::default() };
        let request = RequestId(u128::from(self.reviews_done));
        self.must(
            at,
            &Command::SetQuotas { request, quotas: Box::new(quotas) },
            "quotas that were computed for this train",
        );
    }

    /// Lets time pass as a shard does, then executes.
    fn execute(&mut self, at: Time, command: &Command) -> Result<Answer, Refusal> {
        self.events.clear();
        if self.train_date.next_timer().is_some_and(|timer| timer <= at) {
            let advance = Command::Advance { to: at };
            self.train_date.execute(&CommandMeta::of(&advance, at), &advance, &mut self.events)?;
        }
        let executed = self.train_date.execute(&CommandMeta::of(command, at), command, &mut self.events)?;
        Ok(executed.answer)
    }

    fn must(&mut self, at: Time, command: &Command, why: &str) -> Answer {
        match self.execute(at, command) {
            Ok(answer) => answer,
            Err(refusal) => panic!("{} refused {why}: {refusal}", self.scenario.name),
        }
    }
}

impl Seller for Kernel<'_> {
    fn sell(&mut self, _ledger: &SeatLedger, nth: usize, request: &Request) -> Result<Seats, &'static str> {
        self.review(request.at);
        let person = |passenger: u8| Passenger::new(person(nth, passenger));
        let hold = hold_id(nth);
        let wanted = Command::Hold(HoldRequest {
            hold,
            channel: Channel::Online,
            class: request.class,
            interval: request.interval,
            passengers: (0..request.party).map(person).collect(),
            together: Together::Preferred,
            allow_standing: false,
            allow_seat_change: self.rule.seat_change(),
        });
        let answer = self.execute(request.at, &wanted).map_err(|refusal| refusal.code())?;
        self.must(request.at, &Command::OpenHold { hold }, "to open a hold made in the same moment");
        self.must(request.at, &Command::Confirm { hold }, "to confirm a hold opened in the same moment");
        let Answer::Held(held) = answer else { unreachable!("a hold is answered with places") };
        let seat = |part: &inventory::Assigned| {
            let place = part.place.expect("standing was not allowed").number;
            Seat { class: part.class, place, interval: part.interval }
        };
        Ok(held.parts.iter().map(seat).collect())
    }

    fn give_back(&mut self, nth: usize, request: &Request, at: Time) {
        let passengers = (0..request.party).collect();
        let refund = Command::Refund { hold: hold_id(nth), passengers };
        self.must(at, &refund, "to refund a confirmed hold");
    }

    fn check(&self) -> Result<(), String> {
        self.train_date.check_invariants().map_err(|broken| broken.to_string())
    }
}

fn hold_id(nth: usize) -> HoldId {
    HoldId { owner: nth as u128 + 1, leg: 0 }
}

/// Nobody asks twice: each passenger is a person of their own.
fn person(nth: usize, passenger: u8) -> PersonToken {
    PersonToken(((nth as u128) << 8 | u128::from(passenger)).to_be_bytes())
}
