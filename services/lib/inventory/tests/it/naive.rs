//! The plainest model of a train there is: a matrix of seats and segments, scanned, and a list of tickets, counted. It follows
//! events, and judges what could have been sold by the published rules alone.

use std::collections::BTreeMap;

use domain::{Channel, HoldId, Interval, PersonToken, SeatClass, Time};
use inventory::{Carriage, Event, Part, Plan, QuotaKind, QuotaPolicy, QuotaStep, Wish, WishId};

pub struct Naive {
    plan: Plan,
    pub seats: Vec<Seat>,
    /// Live tickets by hold and passenger.
    pub tickets: BTreeMap<HoldId, BTreeMap<u8, Ticket>>,
    pub waiting: BTreeMap<u64, (WishId, Wish)>,
    pub now: Time,
    pub closed: bool,
}

pub struct Seat {
    pub class: SeatClass,
    pub number: u16,
    pub carriage: u16,
    pub row: u16,
    pub column: usize,
    pub block: usize,
    pub taken: Vec<Option<HoldId>>,
}

pub struct Ticket {
    pub class: SeatClass,
    pub person: PersonToken,
    pub parts: Vec<(Option<u16>, Interval)>,
    pub drawn: Option<Channel>,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Question {
    pub class: SeatClass,
    pub interval: Interval,
    pub channel: Channel,
    pub size: u32,
    pub standing: bool,
    pub change: bool,
}

impl Ticket {
    fn journey(&self) -> Interval {
        Interval::new(self.parts[0].1.from(), self.parts.last().unwrap().1.to()).unwrap()
    }

    fn is_seated(&self) -> bool {
        self.parts.iter().any(|(place, _)| place.is_some())
    }
}

impl Seat {
    pub fn is_free(&self, interval: Interval) -> bool {
        (interval.from()..interval.to()).all(|segment| self.taken[usize::from(segment)].is_none())
    }

    /// Free segments around an interval that the seat would have left.
    pub fn left_over(&self, interval: Interval) -> usize {
        let before = self.taken[..usize::from(interval.from())].iter().rev().take_while(|taken| taken.is_none());
        let after = self.taken[usize::from(interval.to())..].iter().take_while(|taken| taken.is_none());
        before.count() + after.count()
    }
}

impl Naive {
    pub fn new(plan: &Plan, now: Time) -> Self {
        let mut naive = Self {
            plan: plan.clone(),
            seats: Vec::new(),
            tickets: BTreeMap::new(),
            waiting: BTreeMap::new(),
            now,
            closed: false,
        };
        naive.add(&plan.carriages);
        naive
    }

    fn add(&mut self, carriages: &[Carriage]) {
        for carriage in carriages {
            let columns: Vec<usize> =
                carriage.layout.split('|').enumerate().flat_map(|(block, row)| vec![block; row.len()]).collect();
            for i in 0..carriage.places {
                let number = self.of_class(carriage.class).count() as u16;
                let column = usize::from(i) % columns.len();
                self.seats.push(Seat {
                    class: carriage.class,
                    number,
                    carriage: carriage.number,
                    row: i / columns.len() as u16,
                    column,
                    block: columns[column],
                    taken: vec![None; self.plan.stops.len() - 1],
                });
            }
        }
    }

    pub fn of_class(&self, class: SeatClass) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(move |seat| seat.class == class)
    }

    pub fn free_seats(&self, class: SeatClass, interval: Interval) -> impl Iterator<Item = &Seat> {
        self.of_class(class).filter(move |seat| seat.is_free(interval))
    }

    /// Follows an event, and fails when it takes what is taken.
    pub fn follow(&mut self, event: &Event) {
        match event {
            Event::Advanced { to } => self.now = *to,
            Event::Held { hold, parts, .. } => self.take(*hold, parts),
            Event::Offered { id, parts, .. } => {
                self.waiting.retain(|_, (waiting, _)| waiting != id);
                self.take(id.hold(), parts);
            }
            Event::Released { hold } | Event::HoldExpired { hold } => self.free(*hold, |_| true),
            Event::OfferDeclined { id } | Event::OfferExpired { id } => self.free(id.hold(), |_| true),
            Event::Refunded { hold, passengers } => self.free(*hold, |passenger| passengers.contains(&passenger)),
            Event::Changed { old, new, parts } => {
                self.take(*new, parts);
                self.free(*old, |_| true);
            }
            Event::CapacityAdded { carriages } => self.add(carriages),
            Event::QuotasSet(quotas) => self.plan.quotas = (**quotas).clone(),
            Event::SaleClosed { .. } => {
                self.closed = true;
                self.waiting.clear();
            }
            Event::Joined { id, sequence, wish, .. } => {
                self.waiting.insert(*sequence, (*id, wish.clone()));
            }
            Event::Left { id, .. } => self.waiting.retain(|_, (waiting, _)| waiting != id),
            Event::SaleOpened(_) | Event::HoldOpened { .. } | Event::Confirmed { .. } | Event::OfferAccepted { .. } => {
            }
        }
    }

    fn take(&mut self, hold: HoldId, parts: &[Part]) {
        for part in parts {
            let ticket = self.tickets.entry(hold).or_default().entry(part.passenger).or_insert_with(|| Ticket {
                class: part.class,
                person: part.person,
                parts: Vec::new(),
                drawn: part.allotment,
            });
            if let Some((_, before)) = ticket.parts.last() {
                assert_eq!(before.to(), part.interval.from(), "a passenger is left behind on the way");
            }
            ticket.parts.push((part.place, part.interval));
            let Some(place) = part.place else { continue };
            let mut seats = self.seats.iter_mut().filter(|seat| seat.class == part.class);
            let seat = seats.nth(usize::from(place)).expect("a seat of the train");
            for segment in part.interval.from()..part.interval.to() {
                let before = seat.taken[usize::from(segment)].replace(hold);
                assert_eq!(before, None, "seat {place} is sold twice on segment {segment}");
            }
        }
        for class in SeatClass::ALL {
            for segment in 0..self.plan.stops.len() - 1 {
                assert!(self.standing_on(class, segment) <= self.standing_places(class), "too many stand");
            }
        }
    }

    fn free(&mut self, hold: HoldId, passengers: impl Fn(u8) -> bool) {
        let tickets = self.tickets.get_mut(&hold).expect("a live hold");
        tickets.retain(|passenger, ticket| {
            if !passengers(*passenger) {
                return true;
            }
            for (place, interval) in &ticket.parts {
                let Some(place) = place else { continue };
                let mut seats = self.seats.iter_mut().filter(|seat| seat.class == ticket.class);
                let seat = seats.nth(usize::from(*place)).unwrap();
                for segment in interval.from()..interval.to() {
                    assert_eq!(seat.taken[usize::from(segment)].take(), Some(hold), "freed what it did not have");
                }
            }
            false
        });
        if tickets.is_empty() {
            self.tickets.remove(&hold);
        }
    }

    pub fn live(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values().flat_map(BTreeMap::values)
    }

    pub fn has_ticket(&self, person: PersonToken) -> bool {
        self.live().any(|ticket| ticket.person == person)
    }

    fn free_on(&self, class: Option<SeatClass>, segment: usize) -> u32 {
        let seats = self.seats.iter().filter(|seat| class.is_none_or(|class| class == seat.class));
        seats.filter(|seat| seat.taken[segment].is_none()).count() as u32
    }

    fn standing_places(&self, class: SeatClass) -> u32 {
        let mut allowances = self.plan.standing.iter().filter(|allowance| allowance.class == class);
        allowances.next().map_or(0, |allowance| u32::from(allowance.places))
    }

    fn standing_on(&self, class: SeatClass, segment: usize) -> u32 {
        let on = |ticket: &&Ticket| {
            let standing = ticket.class == class && !ticket.is_seated();
            standing && segments(ticket.journey()).contains(&segment)
        };
        self.live().filter(on).count() as u32
    }

    /// Whether a question can be answered with places now; otherwise the code of the refusal that is due.
    pub fn judge(&self, ask: &Question) -> Result<(), &'static str> {
        let free = self.free_seats(ask.class, ask.interval).count() as u32;
        if free >= ask.size {
            return self.rules(ask, ask.size, ask.size);
        }
        let enough_everywhere =
            segments(ask.interval).all(|segment| self.free_on(Some(ask.class), segment) >= ask.size);
        if ask.change && enough_everywhere {
            return self.rules(ask, ask.size, ask.size);
        }
        let standing = segments(ask.interval)
            .map(|segment| self.standing_places(ask.class).saturating_sub(self.standing_on(ask.class, segment)));
        if ask.standing && standing.min().unwrap() >= ask.size - free {
            return self.rules(ask, free, ask.size);
        }
        Err("SOLD_OUT")
    }

    /// Whether quotas, allotments and protection let so many seats, of so many tickets, be sold. The rule that leaves least
    /// names the refusal.
    fn rules(&self, ask: &Question, seats: u32, tickets: u32) -> Result<(), &'static str> {
        let policy = &self.plan.quotas;
        let protected = self.protected_room(policy, ask, seats > 0);
        let others = self.room_beside_other_channels(policy, ask);
        let counted = self.counted_room(policy, ask);
        if seats > 0 && protected.min(others).min(counted) < seats {
            return Err(if others < protected.min(counted) { "ALLOTMENT_USED_UP" } else { "PROTECTED_FOR_LONGER" });
        }
        if counted < tickets { Err("PROTECTED_FOR_LONGER") } else { Ok(()) }
    }

    fn counted_room(&self, policy: &QuotaPolicy, ask: &Question) -> u32 {
        let mut room = u32::MAX;
        for quota in &policy.quotas {
            let Some(limit) = self.in_force(&quota.steps, quota.until) else { continue };
            if quota.class.is_some_and(|class| class != ask.class) {
                continue;
            }
            let covers = |journey: Interval| match quota.kind {
                QuotaKind::WithinAtMost => quota.section.contains(journey),
                QuotaKind::BoardingsAtMost => quota.section.from() == journey.from(),
                QuotaKind::KeptAtLeast => false,
            };
            if covers(ask.interval) {
                let of_class = |ticket: &&Ticket| quota.class.is_none_or(|class| class == ticket.class);
                let sold = self.live().filter(of_class).filter(|ticket| covers(ticket.journey())).count() as u32;
                room = room.min(limit.saturating_sub(sold));
            }
        }
        room
    }

    fn protected_room(&self, policy: &QuotaPolicy, ask: &Question, seated: bool) -> u32 {
        let mut room = u32::MAX;
        for quota in &policy.quotas {
            let Some(limit) = self.in_force(&quota.steps, quota.until) else { continue };
            let strict_part = quota.section.contains(ask.interval) && quota.section != ask.interval;
            let concerns = quota.class.is_none_or(|class| class == ask.class);
            if quota.kind != QuotaKind::KeptAtLeast || !strict_part || !concerns || !seated {
                continue;
            }
            let sold = self.live().filter(|ticket| {
                let of_class = quota.class.is_none_or(|class| class == ticket.class);
                of_class && ticket.is_seated() && ticket.journey().contains(quota.section)
            });
            let missing = limit.saturating_sub(sold.count() as u32);
            for segment in segments(ask.interval) {
                room = room.min(self.free_on(quota.class, segment).saturating_sub(missing));
            }
        }
        for protection in policy.protections.iter().filter(|protection| protection.class == ask.class) {
            let Some(step) = protection.steps.iter().rfind(|step| step.from <= self.now) else { continue };
            let km = |stop: u8| u64::from(self.plan.stops[usize::from(stop)].km);
            let value = km(ask.interval.to()) - km(ask.interval.from());
            let price: u64 = segments(ask.interval).filter_map(|s| step.bid_prices.get(s)).map(|&p| u64::from(p)).sum();
            if value < price {
                room = 0;
            }
        }
        room
    }

    fn room_beside_other_channels(&self, policy: &QuotaPolicy, ask: &Question) -> u32 {
        let mut room = u32::MAX;
        for segment in segments(ask.interval) {
            let mut aside = 0;
            for allotment in &policy.allotments {
                let here = segments(allotment.section).contains(&segment) && allotment.class == ask.class;
                if here && allotment.channel != ask.channel {
                    let drawn = self.live().filter(|ticket| {
                        let by_channel = ticket.drawn == Some(allotment.channel) && ticket.class == ask.class;
                        by_channel && segments(ticket.journey()).contains(&segment)
                    });
                    let places = self.in_force(&allotment.steps, None).unwrap_or(0);
                    aside += places.saturating_sub(drawn.count() as u32);
                }
            }
            if aside > 0 {
                room = room.min(self.free_on(Some(ask.class), segment).saturating_sub(aside));
            }
        }
        room
    }

    fn in_force(&self, steps: &[QuotaStep], until: Option<Time>) -> Option<u32> {
        if until.is_some_and(|until| until <= self.now) {
            return None;
        }
        steps.iter().rfind(|step| step.from <= self.now).map(|step| u32::from(step.places))
    }

    /// The fewest places on which one passenger can travel, by trying every change.
    pub fn fewest_places(&self, class: SeatClass, interval: Interval) -> Option<usize> {
        let mut fewest = vec![None; usize::from(interval.to()) + 1];
        fewest[usize::from(interval.from())] = Some(0);
        for to in interval.from() + 1..=interval.to() {
            for from in interval.from()..to {
                let ride = Interval::new(from, to).unwrap();
                if let Some(before) = fewest[usize::from(from)]
                    && self.free_seats(class, ride).next().is_some()
                {
                    let here = &mut fewest[usize::from(to)];
                    *here = Some(here.map_or(before + 1, |other: usize| other.min(before + 1)));
                }
            }
        }
        fewest[usize::from(interval.to())]
    }

    /// How close two seats are: 0 side by side, 1 in a row, 2 in adjacent rows, 3 in a carriage, 4 farther apart.
    pub fn distance(a: &Seat, b: &Seat) -> u8 {
        match (a.carriage == b.carriage, a.row.abs_diff(b.row)) {
            (true, 0) if a.block == b.block && a.column.abs_diff(b.column) == 1 => 0,
            (true, 0) => 1,
            (true, 1) => 2,
            (true, _) => 3,
            (false, _) => 4,
        }
    }
}

fn segments(interval: Interval) -> std::ops::Range<usize> {
    usize::from(interval.from())..usize::from(interval.to())
}
