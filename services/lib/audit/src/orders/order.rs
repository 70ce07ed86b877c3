use serde::Deserialize;

use super::money::Payment;
use crate::journal::{ConfirmedHold, Seats};
use crate::read::Row;
use crate::run::HoldKey;
use crate::{AuditError, GRACE_MS, Invariant, Report};

/// The longest an order without a hard limit of its own may stay open, in ms: the railway's 20 minutes.
const HARD_LIMIT_MS: i64 = 20 * 60_000;

/// An order as its own database has it.
pub struct Order {
    phase: String,
    created_at_ms: i64,
    hard_limit_ms: Option<i64>,
    paid: bool,
    /// When its sweeper looks at it next; none when nothing is left to do.
    due_at_ms: Option<i64>,
    captured_fen: i64,
    tickets_fen: i64,
    fees_fen: i64,
    refunded_fen: i64,
    refunding_fen: i64,
    body: Body,
    pub tickets: Vec<Ticket>,
}

/// One passenger's ticket for one leg.
pub struct Ticket {
    leg: usize,
    passenger: u32,
    state: String,
    fare_fen: i64,
    fee_fen: i64,
    seats_returned: bool,
}

/// The JSON part of an order's row, as far as money and seats need it.
#[derive(Deserialize)]
struct Body {
    legs: Vec<Leg>,
    trades: Vec<Trade>,
    refunds: Vec<Refund>,
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Leg {
    run: String,
    hold: String,
    from: u32,
    to: u32,
    /// Which passengers the hold is for, in its order; absent where it is for all of them.
    #[serde(default)]
    riders: Option<Vec<u32>>,
}

impl Leg {
    /// The number by which the hold knows a passenger of the order.
    fn in_hold(&self, passenger: u32) -> Option<u32> {
        match &self.riders {
            Some(riders) => riders.iter().position(|rider| *rider == passenger).map(|position| position as u32),
            None => Some(passenger),
        }
    }
}

/// One exchange of tickets.
#[derive(Deserialize)]
struct Change {
    id: String,
    number: u32,
    leg: usize,
    swaps: Vec<Swap>,
    stage: String,
}

/// One ticket for another, by their positions.
#[derive(Deserialize)]
struct Swap {
    old: usize,
    new: usize,
    fare_fen: i64,
    fee_fen: i64,
    pay_fen: i64,
    refund_fen: i64,
}

#[derive(Deserialize)]
struct Trade {
    attempt: u32,
    captured_fen: i64,
    /// The change whose difference it pays; absent where it pays the order.
    #[serde(default)]
    change: Option<u32>,
}

#[derive(Deserialize)]
struct Refund {
    id: String,
    attempt: u32,
    amount_fen: i64,
    state: String,
}

impl Order {
    /// Reads the row of an order and those of its tickets.
    pub fn read(row: &Row, tickets: &[Row]) -> Result<Self, AuditError> {
        let body = serde_json::from_str(row.text(11)?).map_err(|_| AuditError::Column { index: 11 })?;
        let ticket = |row: &Row| {
            Ok(Ticket {
                leg: usize::try_from(row.int(1)?).unwrap_or(usize::MAX),
                passenger: u32::try_from(row.int(2)?).unwrap_or(u32::MAX),
                state: row.text(3)?.to_owned(),
                fare_fen: row.int(4)?,
                fee_fen: row.int(5)?,
                seats_returned: row.int(6)? != 0,
            })
        };
        Ok(Self {
            phase: row.text(1)?.to_owned(),
            created_at_ms: row.int(2)?,
            hard_limit_ms: row.optional_int(3)?,
            paid: row.optional_int(4)?.is_some(),
            due_at_ms: row.optional_int(5)?,
            captured_fen: row.int(6)?,
            tickets_fen: row.int(7)?,
            fees_fen: row.int(8)?,
            refunded_fen: row.int(9)?,
            refunding_fen: row.int(10)?,
            body,
            tickets: tickets.iter().map(ticket).collect::<Result<_, AuditError>>()?,
        })
    }

    /// Every fen that came is in a live ticket, kept, back or on its way; and the sums are those of the parts.
    pub fn check_money(&self, place: &str, report: &mut Report) {
        let live = self.tickets.iter().filter(|ticket| matches!(ticket.state.as_str(), "reserved" | "issued"));
        let live: i64 = live.map(|ticket| ticket.fare_fen).sum();
        let arrived = |refund: &&Refund| refund.state == "arrived";
        let refunds = &self.body.refunds;
        let sums = [
            ("captured", self.captured_fen, self.body.trades.iter().map(|trade| trade.captured_fen).sum()),
            ("live tickets", self.tickets_fen, if self.paid { live + self.paid_ahead_fen() } else { 0 }),
            ("fees", self.fees_fen, self.tickets.iter().map(|ticket| ticket.fee_fen).sum()),
            ("refunded", self.refunded_fen, refunds.iter().filter(arrived).map(|refund| refund.amount_fen).sum()),
            (
                "refunds under way",
                self.refunding_fen,
                refunds.iter().filter(|refund| !arrived(refund)).map(|refund| refund.amount_fen).sum(),
            ),
        ];
        let mut as_parts_say = true;
        for (what, said, counted) in sums {
            let counted: i64 = counted;
            if said != counted {
                as_parts_say = false;
                report.found(Invariant::I2, place, format!("{what}: says {said} fen, its parts come to {counted}"));
            }
        }
        let used = self.tickets_fen + self.fees_fen + self.refunded_fen + self.refunding_fen;
        if as_parts_say && self.captured_fen != used {
            let what = format!("captured {} fen, of which {used} are accounted for", self.captured_fen);
            report.found(Invariant::I2, place, what);
        }
    }

    /// The difference of a change that is paid, while its tickets are not issued yet.
    fn paid_ahead_fen(&self) -> i64 {
        let confirming = self.body.changes.iter().filter(|change| change.stage == "confirming");
        let mut sum = 0;
        for change in confirming {
            for trade in self.body.trades.iter().filter(|trade| trade.change == Some(change.number)) {
                let back = self.body.refunds.iter().filter(|refund| refund.attempt == trade.attempt);
                sum += trade.captured_fen - back.map(|refund| refund.amount_fen).sum::<i64>();
            }
        }
        sum
    }

    /// Every exchange of tickets adds up, was made of one ticket once, and left one of the two good.
    pub fn check_changes(&self, place: &str, report: &mut Report) {
        let mut ids = std::collections::HashSet::new();
        for change in &self.body.changes {
            if !ids.insert(change.id.as_str()) {
                report.found(Invariant::I5, place, format!("change {} is recorded twice", change.id));
            }
            for swap in &change.swaps {
                let (Some(old), Some(new)) = (self.tickets.get(swap.old), self.tickets.get(swap.new)) else {
                    let what = format!("change {} is of tickets that do not exist", change.id);
                    report.found(Invariant::I2, place, what);
                    continue;
                };
                if old.fare_fen + swap.pay_fen != swap.fare_fen + swap.fee_fen + swap.refund_fen {
                    let what = format!(
                        "change {}: {} fen and {} paid are not accounted for",
                        change.id, old.fare_fen, swap.pay_fen
                    );
                    report.found(Invariant::I2, place, what);
                }
                let done = change.stage == "done";
                if done != (old.state == "changed") || new.fare_fen != swap.fare_fen || new.leg != change.leg {
                    let what = format!("change {} is {}, its old ticket is {}", change.id, change.stage, old.state);
                    report.found(Invariant::I2, place, what);
                }
                if old.state == "issued" && new.state == "issued" {
                    report.found(Invariant::I1, place, format!("change {} left both tickets good", change.id));
                }
            }
        }
    }

    /// It has ended, or someone looks after it in time.
    pub fn check_time(&self, place: &str, now_ms: Option<i64>, report: &mut Report) {
        let ended = matches!(self.phase.as_str(), "confirmed" | "released" | "refunded");
        if !ended && self.due_at_ms.is_none() {
            return report.found(Invariant::I3, place, format!("is {} and nobody looks after it", self.phase));
        }
        let Some(now) = now_ms else { return };
        if let Some(due) = self.due_at_ms.filter(|due| due + GRACE_MS < now) {
            let what = format!("is {} and was to be looked after at {due} ms; it is {now} ms", self.phase);
            return report.found(Invariant::I3, place, what);
        }
        let limit = self.hard_limit_ms.unwrap_or(self.created_at_ms + HARD_LIMIT_MS);
        let in_sale = matches!(self.phase.as_str(), "opening" | "held" | "paying" | "captured" | "closing");
        if in_sale && limit + GRACE_MS < now {
            let what = format!("is still {} at {now} ms, its hard limit was {limit} ms", self.phase);
            report.found(Invariant::I3, place, what);
        }
    }

    /// Every issued ticket has its confirmed seat, and every confirmed seat its ticket.
    pub fn check_seats(&self, seats: &Seats, confirmed: &[ConfirmedHold], place: &str, report: &mut Report) {
        let holds: Vec<Option<HoldKey>> = self.body.legs.iter().map(|leg| HoldKey::from_text(&leg.hold)).collect();
        for ticket in self.tickets.iter().filter(|ticket| ticket.state == "issued") {
            if self.body.legs.get(ticket.leg).is_some_and(|leg| seats.not_followed.contains(&leg.run)) {
                report.counts.tickets_not_followed += 1;
                continue;
            }
            let has_seat = |hold: &&ConfirmedHold| {
                let leg = self.body.legs.get(ticket.leg).filter(|leg| leg.run == seats.runs[hold.run as usize]);
                let same = holds.get(ticket.leg) == Some(&Some(HoldKey { owner: hold.owner, leg: hold.leg }));
                let passenger = leg.and_then(|leg| leg.in_hold(ticket.passenger));
                same && passenger.is_some_and(|passenger| hold.passengers & bit(passenger) != 0)
            };
            // Small children travel without a seat.
            let needs_one = self.body.legs.get(ticket.leg).is_none_or(|leg| leg.in_hold(ticket.passenger).is_some());
            if needs_one && !confirmed.iter().any(|hold| has_seat(&hold)) {
                let what = format!("the ticket of passenger {} on leg {} has no seat", ticket.passenger, ticket.leg);
                report.found(Invariant::I1, place, what);
            }
        }
        self.check_accepted_once(seats, confirmed, place, report);
        for hold in confirmed {
            let key = HoldKey { owner: hold.owner, leg: hold.leg };
            let legs: Vec<usize> = (0..holds.len()).filter(|&leg| holds[leg] == Some(key)).collect();
            for passenger in (0..64).filter(|passenger| hold.passengers & bit(*passenger) != 0) {
                let owner = self.tickets.iter().any(|ticket| {
                    let leg = self.body.legs.get(ticket.leg).filter(|_| legs.contains(&ticket.leg));
                    let same = leg.is_some_and(|leg| leg.in_hold(ticket.passenger) == Some(passenger));
                    same && self.keeps_its_seat(ticket)
                });
                if !owner {
                    let run = &seats.runs[hold.run as usize];
                    let what = format!("passenger {passenger} of hold {key} has a seat on {run} and no ticket");
                    report.found(Invariant::I1, place, what);
                }
            }
        }
    }

    /// One request was accepted once, and as the order tells it: its hold is confirmed on one run, from and to where the leg
    /// says.
    fn check_accepted_once(&self, seats: &Seats, confirmed: &[ConfirmedHold], place: &str, report: &mut Report) {
        for pair in confirmed.windows(2).filter(|pair| pair[0].leg == pair[1].leg) {
            let (one, other) = (&seats.runs[pair[0].run as usize], &seats.runs[pair[1].run as usize]);
            let key = HoldKey { owner: pair[0].owner, leg: pair[0].leg };
            report.found(Invariant::I5, place, format!("hold {key} was accepted on {one} and on {other}"));
        }
        for hold in confirmed {
            let key = HoldKey { owner: hold.owner, leg: hold.leg };
            let leg = self.body.legs.iter().find(|leg| HoldKey::from_text(&leg.hold) == Some(key));
            if let Some(leg) = leg.filter(|leg| (leg.from, leg.to) != hold.stops) {
                let (from, to) = hold.stops;
                let what = format!(
                    "hold {key} was accepted from stop {from} to {to}, the order says {} to {}",
                    leg.from, leg.to
                );
                report.found(Invariant::I5, place, what);
            }
        }
    }

    /// Whether a ticket rightly has a confirmed seat: it is good for travel, or the order is at work on it.
    fn keeps_its_seat(&self, ticket: &Ticket) -> bool {
        ticket.state == "issued" || (self.due_at_ms.is_some() && !ticket.seats_returned)
    }

    /// What order and payment say of the same money.
    pub fn compare(&self, payment: &Payment, place: &str, report: &mut Report) {
        // An order at work may not have heard yet.
        if self.due_at_ms.is_none() && self.captured_fen != payment.captured_fen() {
            let theirs = payment.captured_fen();
            let what = format!("captured {} fen by order's books, {theirs} by payment's", self.captured_fen);
            report.found(Invariant::I2, place, what);
        }
        for refund in &payment.refunds {
            let known = self.body.refunds.iter().find(|known| known.id == refund.id);
            if known.is_none_or(|known| known.amount_fen != refund.amount_fen) {
                let what = format!(
                    "payment pays refund {} of {} fen, which order did not ask for",
                    refund.id, refund.amount_fen
                );
                report.found(Invariant::I8, place, what);
            }
        }
        for refund in self.body.refunds.iter().filter(|refund| refund.state == "arrived") {
            if !payment.refunds.iter().any(|paid| paid.id == refund.id && paid.succeeded) {
                let what = format!("refund {} has arrived by order's books and not by payment's", refund.id);
                report.found(Invariant::I8, place, what);
            }
        }
    }
}

fn bit(passenger: u32) -> u64 {
    1u64.checked_shl(passenger).unwrap_or(0)
}
