use domain::{Channel, Interval, PersonToken, Time};
use smallvec::SmallVec;

use crate::class_state::ClassState;
use crate::command::{HoldRequest, Together, Wish};
use crate::event::{Part, Parts};
use crate::limits::{Asked, Bound, Cause};
use crate::refusal::Refusal;
use crate::sale::Sale;
use crate::seats::{Leg, Liking, NoRoom, SeatIndex as _, choose_party, fewest_changes, single};

/// A party that seeks places: the question that a hold, a change and a waitlist entry have in common.
pub(crate) struct Seeking<'a> {
    sale: &'a Sale,
    class: &'a ClassState,
    now: Time,
    interval: Interval,
    channel: Channel,
    together: Together,
    allow_standing: bool,
    allow_seat_change: bool,
    passengers: SmallVec<[(PersonToken, Liking); 1]>,
}

/// How a party can travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seating {
    /// So many have a seat all the way, the others stand.
    Through { seats: u16 },
    /// All have seats, and some change them on the way.
    Changing,
}

impl<'a> Seeking<'a> {
    /// What a hold or a change asks for.
    ///
    /// # Errors
    /// A party, class or interval that cannot be sold whatever is free.
    pub fn of_request(sale: &'a Sale, now: Time, request: &HoldRequest) -> Result<Self, Refusal> {
        let class = sale.check_party(now, request.class, request.interval, request.passengers.len())?;
        let largest = class.map.largest_carriage();
        if request.together == Together::SameCarriage && request.passengers.len() > usize::from(largest) {
            return Err(Refusal::PartyTooLargeForCarriage { places: largest });
        }
        Ok(Self {
            sale,
            class,
            now,
            interval: request.interval,
            channel: request.channel,
            together: request.together,
            allow_standing: request.allow_standing,
            allow_seat_change: request.allow_seat_change,
            passengers: request.passengers.iter().map(|passenger| (passenger.person, Liking::of(passenger))).collect(),
        })
    }

    /// What a waitlist entry asks for.
    ///
    /// # Errors
    /// As for a request.
    pub fn of_wish(sale: &'a Sale, now: Time, wish: &Wish) -> Result<Self, Refusal> {
        Ok(Self {
            sale,
            class: sale.check_party(now, wish.class, wish.interval, wish.persons.len())?,
            now,
            interval: wish.interval,
            channel: wish.channel,
            together: Together::Preferred,
            allow_standing: wish.standing,
            allow_seat_change: false,
            passengers: wish.persons.iter().map(|&person| (person, Liking::default())).collect(),
        })
    }

    /// Whether the whole party can travel now.
    pub fn is_possible(&self) -> bool {
        self.seating().is_ok()
    }

    /// The places for the whole party.
    ///
    /// # Errors
    /// Why there are none.
    pub fn places(&self) -> Result<Parts, Refusal> {
        match self.seating()? {
            Seating::Through { seats: 1 } if self.passengers.len() == 1 => self.one_seat(),
            Seating::Through { seats } => self.through(seats),
            Seating::Changing => self.changing(),
        }
    }

    /// Finds how the party can travel: on seats; else, where allowed, changing seats; else, where allowed and no seat is left
    /// for them, some of it standing.
    fn seating(&self) -> Result<Seating, Refusal> {
        let wanted = self.passengers.len() as u16;
        let free = match wanted {
            1 => u16::from(self.class.seats.has_free(self.interval)),
            _ => self.class.seats.free_count(self.interval),
        };
        let asked = self.asked();
        if free >= wanted {
            self.check(&asked, self.sale.limits.seats(&asked), wanted)?;
            return Ok(Seating::Through { seats: wanted });
        }
        if self.allow_seat_change && self.class.short_segments(self.interval, wanted).is_empty() {
            self.check(&asked, self.sale.limits.seats(&asked), wanted)?;
            return Ok(Seating::Changing);
        }
        let standing = wanted - free;
        if self.allow_standing && self.class.standing_free(self.interval) >= standing {
            // Seats that a rule keeps for others are not gone: nobody stands beside them.
            self.check(&asked, self.sale.limits.seats(&asked).filter(|_| free > 0), free)?;
            self.check(&asked, self.sale.limits.standing(&asked), wanted)?;
            return Ok(Seating::Through { seats: free });
        }
        Err(self.sold_out(wanted))
    }

    fn asked(&self) -> Asked<'_> {
        self.sale.asked(self.class, self.interval, self.channel, self.now)
    }

    /// Turns a limit that is too low into its refusal.
    fn check(&self, asked: &Asked<'_>, bound: Option<Bound>, wanted: u16) -> Result<(), Refusal> {
        let Some(bound) = bound.filter(|bound| bound.tickets < u32::from(wanted)) else { return Ok(()) };
        let until = self.sale.limits.relaxes(asked, u32::from(wanted));
        Err(match bound.cause {
            Cause::Rule(rule) => Refusal::ProtectedForLonger { until, rule },
            Cause::Allotments => Refusal::AllotmentUsedUp { channel: self.channel, until },
        })
    }

    /// Says whether seats are gone or only offered to the line.
    fn sold_out(&self, wanted: u16) -> Refusal {
        let free = self.class.seats.free_count(self.interval);
        let mut offered = 0;
        let mut until = None;
        for &index in &self.sale.offered {
            let offer = &self.sale.holds[index as usize];
            let covers = |part: &&Part| {
                part.class == self.class.class && part.place.is_some() && part.interval.contains(self.interval)
            };
            let covering = offer.parts.iter().filter(covers).count() as u16;
            if covering > 0 {
                offered += covering;
                until = Some(until.map_or(offer.open_by, |until: Time| until.min(offer.open_by)));
            }
        }
        match until {
            Some(until) if free + offered >= wanted => Refusal::WithheldForWaitlist { until },
            _ => Refusal::SoldOut { free, segments: self.class.short_segments(self.interval, wanted) },
        }
    }

    /// The commonest case: one passenger, one seat.
    fn one_seat(&self) -> Result<Parts, Refusal> {
        let (_, liking) = self.passengers[0];
        let place = single(&self.class.seats, &self.class.map, self.interval, liking);
        let place = place.expect("a seat is free: `seating` counted it");
        let drawn = self.sale.limits.drawn_from_allotment(&self.asked()) > 0;
        Ok(SmallVec::from_iter([self.part(0, Some(place), self.interval, drawn)]))
    }

    fn through(&self, seats: u16) -> Result<Parts, Refusal> {
        let drawn = self.sale.limits.drawn_from_allotment(&self.asked());
        let seated = self.seated_passengers(usize::from(seats));
        let likings: SmallVec<[Liking; 8]> = seated.iter().map(|&passenger| self.passengers[passenger].1).collect();
        let (map, index) = (&self.class.map, &self.class.seats);
        let places = match likings.len() {
            0 => SmallVec::new(),
            1 => single(index, map, self.interval, likings[0]).into_iter().collect(),
            _ => choose_party(index, map, self.interval, &likings, self.together).map_err(|none| match none {
                NoRoom::TooFew => self.sold_out(seats),
                NoRoom::NotInOneCarriage { free } => Refusal::NotTogether { free },
            })?,
        };
        let part = |passenger: usize| {
            let nth = seated.iter().position(|&seated| seated == passenger);
            let from_allotment = nth.is_some_and(|nth| nth < usize::from(drawn));
            self.part(passenger, nth.map(|nth| places[nth]), self.interval, from_allotment)
        };
        Ok((0..self.passengers.len()).map(part).collect())
    }

    /// Who sits when there are seats for some only: the elderly, then those named first. In order of passenger.
    fn seated_passengers(&self, seats: usize) -> SmallVec<[usize; 8]> {
        let mut order: SmallVec<[usize; 8]> = (0..self.passengers.len()).collect();
        order.sort_by_key(|&passenger| !self.passengers[passenger].1.lower);
        order.truncate(seats);
        order.sort_unstable();
        order
    }

    /// One after the other takes as few seats as possible. Nobody is left over: each segment has a free seat for everyone,
    /// and each passenger takes one of them.
    fn changing(&self) -> Result<Parts, Refusal> {
        let drawn = self.sale.limits.drawn_from_allotment(&self.asked());
        let mut left = self.class.seats.clone();
        let mut parts = Parts::new();
        for (passenger, (_, liking)) in self.passengers.iter().enumerate() {
            let through = single(&left, &self.class.map, self.interval, *liking);
            let legs = match through {
                Some(place) => SmallVec::from_iter([Leg { place, interval: self.interval }]),
                None => fewest_changes(&left, self.interval).expect("every segment has a seat for everyone"),
            };
            for leg in legs {
                left.occupy(leg.place, leg.interval);
                parts.push(self.part(passenger, Some(leg.place), leg.interval, passenger < usize::from(drawn)));
            }
        }
        Ok(parts)
    }

    fn part(&self, passenger: usize, place: Option<u16>, interval: Interval, from_allotment: bool) -> Part {
        Part {
            class: self.class.class,
            place,
            interval,
            passenger: passenger as u8,
            person: self.passengers[passenger].0,
            allotment: (from_allotment && place.is_some()).then_some(self.channel),
        }
    }
}
