//! Recording an order for seats that are held.

use domain::{
    AccountId, BoardingDate, Channel, Document, HoldId, Interval, Money, OrderId, PassengerKind, PassengerName, Run,
    SeatClass, Time,
};
use failpoints::Point;
use privacy::Fresh;
use timetable::{BerthLevel, TrainIndex};

use super::App;
use super::perform::{of_passengers, passenger_context};
use super::quote::Signed;
use crate::error::Error;
use crate::metrics;
use crate::order::{EndReason, Leg, Order, Passenger, Phase, Place, Seats, Ticket, TicketState};
use crate::rules::days::{railway_day, student_year};
use crate::rules::fare::ticket_fare;
use crate::rules::party::{Member, check_party};
use crate::store::{AccountLimits, Admission, StoreError};

/// An order as it is asked for. Every field is a value of its type; the rules have not been looked at.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// The client's id.
    pub id: OrderId,
    /// Who orders.
    pub account: AccountId,
    /// Where.
    pub channel: Channel,
    /// The trains with their held places.
    pub legs: Vec<NewLeg>,
    /// Who travels.
    pub passengers: Vec<NewPassenger>,
    /// The price the client was shown, if it says so.
    pub quoted: Option<Money>,
    /// The signed quote the client was given, if it brings one.
    pub quote: Option<String>,
}

/// One train with its held places.
#[derive(Clone, Debug)]
pub struct NewLeg {
    /// The run.
    pub run: Run,
    /// The class.
    pub class: SeatClass,
    /// From where to where.
    pub interval: Interval,
    /// The places.
    pub places: Vec<Place>,
    /// The hold.
    pub hold: HoldId,
    /// Until when it must be paid and when its seats are freed, where the hold is open already.
    pub opened: Option<(Time, Time)>,
}

/// One passenger, in clear for the last time.
#[derive(Clone, Debug)]
pub struct NewPassenger {
    /// The name.
    pub name: PassengerName,
    /// The document.
    pub document: Document,
    /// The type of ticket.
    pub kind: PassengerKind,
    /// A student's home and school, as they were written.
    pub student: Option<(String, String)>,
    /// The ticket of the adult that a child travels with, where the order has none.
    pub adult_ticket: Option<String>,
}

impl App {
    /// Records an order and claims its holds. Repeating it answers what was answered first, whatever has become of the order
    /// and of the rules meanwhile.
    pub async fn open(&self, new: NewOrder) -> Result<Order, Error> {
        let now = self.clock.now();
        let accompanied = self.accompanied(&new).await?;
        let (order, admission) = match self.draft(&new, &accompanied, now) {
            Ok(drafted) => drafted,
            // It may have been accepted when it could be: before the train left, within the selling hours, at that price.
            Err(refusal) => return self.known(&new).await?.map(accepted).unwrap_or(Err(refusal)),
        };
        failpoints::at(Point::OrderBeforeOpenRecorded).await?;
        let inserted = self.store.insert(&order, &admission).await;
        failpoints::at(Point::OrderAfterOpenRecorded).await?;
        let order = match inserted {
            Ok(()) => {
                metrics::placed(order.channel);
                order
            }
            Err(StoreError::Exists) => {
                let known = self.load(new.id).await?;
                if known.request != order.request {
                    return Err(Error::IdReused(new.id));
                }
                known
            }
            Err(error) => return Err(error.into()),
        };
        let order = if order.phase == Phase::Opening { self.drive(order).await? } else { order };
        accepted(order)
    }

    /// What the same request was answered before, if it was accepted. Nothing is recorded.
    pub async fn repeat(&self, new: NewOrder) -> Result<Order, Error> {
        self.known(&new).await?.map(accepted).unwrap_or(Err(Error::OrderNotFound))
    }

    /// The order that the same request has made.
    async fn known(&self, new: &NewOrder) -> Result<Option<Order>, Error> {
        let known = self.store.get(new.id).await?;
        Ok(known.filter(|known| known.request == self.fingerprint(new)))
    }

    /// The order that would be recorded, and what it must pass.
    fn draft(&self, new: &NewOrder, accompanied: &[bool], now: Time) -> Result<(Order, Admission), Error> {
        let legs_max = self.policy.order.legs_max;
        if new.legs.is_empty() || new.legs.len() > legs_max as usize {
            return Err(Error::Legs { max: legs_max, got: new.legs.len() });
        }
        let trains = new.legs.iter().map(|leg| self.train(leg.run, leg.interval)).collect::<Result<Vec<_>, _>>()?;
        let legs: Vec<Leg> =
            new.legs.iter().zip(&trains).map(|(leg, train)| draft_leg(leg, train, &new.passengers)).collect();
        if let Some(leg) = legs.iter().find(|leg| leg.departs_at <= now) {
            return Err(Error::Departed { departed_at: leg.departs_at });
        }
        // An offer that the line was given is taken at any hour: it was asked for before.
        if new.legs.iter().any(|leg| leg.opened.is_none()) {
            self.check_selling(now)?;
        }
        if legs.windows(2).any(|pair| pair[0].arrives_at > pair[1].departs_at) {
            return Err(Error::LegsOverlap);
        }
        let members: Vec<_> = new
            .passengers
            .iter()
            .zip(accompanied)
            .map(|(it, accompanied)| Member { document: &it.document, kind: it.kind, accompanied: *accompanied })
            .collect();
        check_party(&self.policy, &members, trains[0].boards_on)?;

        let students = self.students(new)?;
        let quote = new.quote.as_deref().map(|token| self.read_quote(token, new, now)).transpose()?;
        let mut tickets = Vec::with_capacity(legs.len() * new.passengers.len());
        for (leg, (wanted, train)) in new.legs.iter().zip(&trains).enumerate() {
            for (passenger, it) in new.passengers.iter().enumerate() {
                tickets.push(self.draft_ticket(
                    (leg, passenger),
                    (wanted, &legs[leg].places),
                    it.kind,
                    train,
                    quote.as_ref(),
                )?);
            }
        }
        let total: Money = tickets.iter().map(|ticket| ticket.fare).sum();
        if let Some(quoted) = new.quoted.filter(|quoted| *quoted != total) {
            return Err(Error::PriceChanged { quoted, total });
        }
        let deadline = |pick: fn((Time, Time)) -> Time| {
            let all = new.legs.iter().map(|leg| leg.opened.map(pick)).collect::<Option<Vec<_>>>();
            all.and_then(|all| all.into_iter().min())
        };
        let order = Order {
            id: new.id,
            account: new.account.clone(),
            channel: new.channel,
            request: self.fingerprint(new),
            phase: if legs.iter().all(|leg| leg.seats == Seats::Opened) { Phase::Held } else { Phase::Opening },
            legs,
            passengers: self.seal(new, students)?,
            tickets,
            trades: Vec::new(),
            refunds: Vec::new(),
            changes: Vec::new(),
            created_at: now,
            pay_by: deadline(|(pay_by, _)| pay_by),
            hard_limit: deadline(|(_, hard_limit)| hard_limit),
            paid: None,
            policy_version: self.policy.version,
            version: 0,
        };
        let admission = self.admission(&order, &trains, now);
        Ok((order, admission))
    }

    fn admission(&self, order: &Order, trains: &[TrainOf], now: Time) -> Admission {
        let rules = &self.policy.order;
        let limits = AccountLimits {
            unpaid_max: rules.unpaid_orders_max,
            cancel_points_max: rules.unpaid_cancellations_per_day_max * rules.seatless_cancellations_as_one,
            rush_tickets_max: rules.rush_tickets_max,
        };
        let waits = if order.phase == Phase::Held { order.pay_by } else { None };
        Admission {
            now,
            day: railway_day(now),
            account: rules.limits_accounts_of(order.channel).then_some(limits),
            rush: trains.iter().map(|train| rules.in_rush(train.boards_on)).collect(),
            student_trips_max: self.policy.fare.student_trips_per_year,
            due_at: waits.unwrap_or(now.plus_millis(self.options.lease_ms.into())),
        }
    }

    /// What the timetable says of an interval of a run.
    pub(super) fn train(&self, run: Run, interval: Interval) -> Result<TrainOf, Error> {
        let timetable = &self.timetable;
        let unknown = || Error::TrainNotFound { run };
        let known = timetable.train_by_code(run.train).filter(|train| timetable.runs_on(*train, run.date));
        let index = known.ok_or_else(unknown)?;
        let (from, to) = (interval.from(), interval.to());
        let times = timetable.departure_time(index, run.date, from).zip(timetable.arrival_time(index, run.date, to));
        let (departs_at, arrives_at) = times.ok_or_else(unknown)?;
        let boards_on = timetable.boarding_date(index, run.date, from).ok_or_else(unknown)?;
        Ok(TrainOf { index, departs_at, arrives_at, boards_on })
    }

    /// The date at the boarding stop of a leg.
    pub(super) fn boards_on(&self, leg: &Leg) -> Option<BoardingDate> {
        self.train(leg.run, leg.interval).ok().map(|train| train.boards_on)
    }

    /// What a passenger of a kind pays for a class and interval of a train, on a berth where it is known.
    pub(super) fn fare(
        &self,
        run: Run,
        train: &TrainOf,
        (class, interval): (SeatClass, Interval),
        berth: Option<BerthLevel>,
        (passenger, kind): (usize, PassengerKind),
    ) -> Result<Money, Error> {
        let published = |class, berth| self.timetable.fare(train.index, class, berth, interval);
        let full = published(class, berth).ok_or(Error::FareUnknown { run })?;
        let hard_seat = published(SeatClass::HardSeat, None);
        ticket_fare(&self.policy.fare, kind, class, full, hard_seat)
            .map_err(|source| Error::NoFare { passenger, source })
    }

    fn draft_ticket(
        &self,
        (leg, passenger): (usize, usize),
        (wanted, places): (&NewLeg, &[Place]),
        kind: PassengerKind,
        train: &TrainOf,
        quote: Option<&Signed>,
    ) -> Result<Ticket, Error> {
        let place = places.iter().find(|place| usize::from(place.passenger) == passenger);
        if place.is_none() && kind.has_place() {
            return Err(Error::NoPlace { leg, passenger });
        }
        let what = (wanted.class, wanted.interval);
        let berth = place.and_then(berth_of);
        let fare = match quote {
            Some(quote) => quote.fare(leg, passenger, berth).ok_or(Error::QuoteInvalid)?,
            None => self.fare(wanted.run, train, what, berth, (passenger, kind))?,
        };
        let student = kind == PassengerKind::Student;
        Ok(Ticket {
            leg: leg as u8,
            passenger: passenger as u8,
            state: TicketState::Reserved,
            fare,
            fee: Money::ZERO,
            refund: Money::ZERO,
            seats_returned: false,
            student_year: student.then(|| student_year(&self.policy.fare, train.boards_on)),
            changed: None,
        })
    }

    /// Which children travel with an adult whose ticket they name: of the same account, good or about to be paid, for the
    /// same train and at least as far.
    async fn accompanied(&self, new: &NewOrder) -> Result<Vec<bool>, Error> {
        let mut accompanied = vec![false; new.passengers.len()];
        for (child, it) in accompanied.iter_mut().zip(&new.passengers) {
            let (Some(ticket_id), [leg]) = (&it.adult_ticket, &*new.legs) else { continue };
            // An order id is 36 characters; the leg and the passenger follow it.
            let Some(Ok(id)) = ticket_id.get(..36).map(str::parse::<OrderId>) else { continue };
            let Some(order) = self.store.get(id).await?.filter(|order| order.account == new.account) else { continue };
            let Some(ticket) = order.tickets.iter().find(|ticket| order.ticket_id(ticket) == *ticket_id) else {
                continue;
            };
            let its = &order.legs[usize::from(ticket.leg)];
            let adult = !order.passengers[usize::from(ticket.passenger)].kind.is_child();
            *child = adult && ticket.state.is_live() && its.run == leg.run && its.interval.contains(leg.interval);
        }
        Ok(accompanied)
    }

    /// The cities of each student's home and school, which the journey must join. One that was asked for in the line was
    /// checked when it joined.
    fn students(&self, new: &NewOrder) -> Result<Vec<Option<(String, String)>>, Error> {
        let from_line = new.legs.iter().all(|leg| leg.opened.is_some());
        let student = |(passenger, it): (usize, &NewPassenger)| {
            if it.kind != PassengerKind::Student || (from_line && it.student.is_none()) {
                return Ok(None);
            }
            let card =
                it.student.as_ref().and_then(|(home, school)| Some((self.city_of(home)?, self.city_of(school)?)));
            let (home, school) = card.ok_or(Error::StudentCard { passenger })?;
            let legs: Vec<_> = new.legs.iter().map(|leg| (leg.run, leg.interval)).collect();
            self.check_student(passenger, (&home, &school), &legs)?;
            Ok(Some((home, school)))
        };
        new.passengers.iter().enumerate().map(student).collect()
    }

    /// Refuses a student's journey that does not join home and school, in either direction; a change of trains on the way
    /// is part of it.
    pub(super) fn check_student(
        &self,
        passenger: usize,
        (home, school): (&str, &str),
        legs: &[(Run, Interval)],
    ) -> Result<(), Error> {
        let city = |run, stop| self.city(run, stop).unwrap_or_default();
        let joined = legs.windows(2).all(|pair| city(pair[0].0, pair[0].1.to()) == city(pair[1].0, pair[1].1.from()));
        let ends = legs
            .first()
            .zip(legs.last())
            .map(|((first, from), (last, to))| (city(*first, from.from()), city(*last, to.to())));
        if joined && ends.is_some_and(|ends| ends == (home, school) || ends == (school, home)) {
            return Ok(());
        }
        Err(Error::StudentInterval { passenger, home: home.to_owned(), school: school.to_owned() })
    }

    /// The city that a text names, or that the station it names serves.
    fn city_of(&self, text: &str) -> Option<String> {
        let station = self.timetable.find_stations(text).first().copied()?;
        Some(self.timetable.station(station).city.to_string())
    }

    fn seal(&self, new: &NewOrder, students: Vec<Option<(String, String)>>) -> Result<Vec<Passenger>, Error> {
        let seal = |((position, it), student): ((usize, &NewPassenger), Option<(String, String)>)| {
            let fresh = Fresh::from_system().map_err(|_| Error::NoRandomness)?;
            let context = passenger_context(new.id, position);
            let lookup = self.vault.lookup(&it.document);
            let (document, _) = lookup.split_first_chunk().expect("32 bytes hold 16");
            let sealed = self.vault.seal(&it.name, &it.document, &context, fresh);
            Ok(Passenger { kind: it.kind, document: *document, sealed, student })
        };
        new.passengers.iter().enumerate().zip(students).map(seal).collect()
    }

    /// A keyed hash of everything that makes the request this request.
    fn fingerprint(&self, new: &NewOrder) -> [u8; 32] {
        let mut parts: Vec<Vec<u8>> = vec![new.account.as_str().into(), vec![new.channel.code()]];
        for leg in &new.legs {
            parts.push(leg.run.to_string().into());
            parts.push(vec![leg.class.code(), leg.interval.from(), leg.interval.to()]);
            parts.push(leg.hold.bytes().into());
        }
        for passenger in &new.passengers {
            parts.push(vec![passenger.kind.code(), passenger.document.kind().code()]);
            parts.push(passenger.document.number().into());
            parts.push(passenger.name.as_str().into());
            let (home, school) = passenger.student.clone().unwrap_or_default();
            let more = [home, school, passenger.adult_ticket.clone().unwrap_or_default()];
            // Left out where there is nothing, so that older requests keep their hash.
            if more.iter().any(|part| !part.is_empty()) {
                parts.extend(more.map(String::into_bytes));
            }
        }
        parts.push(new.quoted.map_or(0, Money::as_fen).to_be_bytes().into());
        self.vault.fingerprint(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// What accepting an order is answered with: the order as it stood then.
fn accepted(order: Order) -> Result<Order, Error> {
    match order.phase {
        Phase::Opening => Err(Error::StillOpening),
        Phase::Closing(EndReason::SeatsLost) | Phase::Released(EndReason::SeatsLost) => Err(Error::SeatsLost),
        _ => Ok(order.as_placed()),
    }
}

/// What the timetable says of one leg.
#[derive(Clone, Copy)]
pub(super) struct TrainOf {
    pub index: TrainIndex,
    pub departs_at: Time,
    pub arrives_at: Time,
    pub boards_on: BoardingDate,
}

fn draft_leg(new: &NewLeg, train: &TrainOf, passengers: &[NewPassenger]) -> Leg {
    let seated = (0u8..).zip(passengers).filter(|(_, it)| it.kind.has_place());
    let riders: Vec<u8> = seated.map(|(passenger, _)| passenger).collect();
    Leg {
        run: new.run,
        class: new.class,
        interval: new.interval,
        places: of_passengers(new.places.clone(), &riders),
        riders,
        hold: new.hold,
        seats: if new.opened.is_some() { Seats::Opened } else { Seats::Held },
        held_again: 0,
        departs_at: train.departs_at,
        arrives_at: train.arrives_at,
    }
}

pub(super) fn berth_of(place: &Place) -> Option<BerthLevel> {
    match &*place.berth {
        "L" => Some(BerthLevel::Lower),
        "M" => Some(BerthLevel::Middle),
        "U" => Some(BerthLevel::Upper),
        _ => None,
    }
}
