use std::fmt;

use journal_encoding::v1;

use super::class::Taken;
use super::limits::Ticket;
use super::{Findings, HoldKey, Sale, Timer, wrong_stage};
use crate::Invariant;

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Held,
    Opened,
    Confirmed,
    Offered,
    /// Whatever the reason, its seats are free.
    Ended,
}

impl Stage {
    /// Whether it has its seats.
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Ended)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "held",
            Self::Opened => "open",
            Self::Confirmed => "confirmed",
            Self::Offered => "offered",
            Self::Ended => "ended",
        })
    }
}

/// A hold. Once it has ended, nothing of it is kept but that it was.
pub struct Hold {
    pub stage: Stage,
    pub deadline_ms: Option<i64>,
    parts: Vec<HeldPart>,
    /// Passengers whose tickets were given back, one bit each.
    refunded: u64,
}

struct HeldPart {
    part: v1::Part,
    /// Whether the place was free for it.
    taken: bool,
}

impl Hold {
    /// The passengers who have their tickets, one bit each.
    pub fn travelling(&self) -> u64 {
        self.live_parts().fold(0, |passengers, held| passengers | bit(held.part.passenger))
    }

    /// The first and the last stop of all its places.
    pub fn stops(&self) -> (u32, u32) {
        let parts = || self.parts.iter().map(|held| &held.part);
        (parts().map(|part| part.from).min().unwrap_or(0), parts().map(|part| part.to).max().unwrap_or(0))
    }

    /// The tickets of the passengers who have theirs.
    pub fn tickets(&self) -> impl Iterator<Item = Ticket> {
        let parts: Vec<_> = self.live_parts().map(|held| held.part.clone()).collect();
        tickets(&parts).into_iter()
    }

    fn live_parts(&self) -> impl Iterator<Item = &HeldPart> {
        let live = self.stage.is_live();
        self.parts.iter().filter(move |held| live && self.refunded & bit(held.part.passenger) == 0)
    }
}

/// The parts of one passenger are one ticket.
pub fn tickets(parts: &[v1::Part]) -> Vec<Ticket> {
    let of_one = parts.chunk_by(|a, b| a.passenger == b.passenger);
    let ticket = |parts: &[v1::Part]| Ticket {
        class: parts[0].seat_class,
        from: parts.iter().map(|part| part.from).min().unwrap_or(0),
        to: parts.iter().map(|part| part.to).max().unwrap_or(0),
        seated: parts.iter().any(|part| !part.standing),
    };
    of_one.map(ticket).collect()
}

fn bit(passenger: u32) -> u64 {
    1u64.checked_shl(passenger).unwrap_or(0)
}

impl Sale {
    /// A hold is made: by a request, for an offer, or in place of another one.
    #[expect(clippy::too_many_arguments, reason = "each is another column of the event")]
    pub(super) fn make_hold(
        &mut self,
        id: HoldKey,
        stage: Stage,
        deadline_ms: i64,
        parts: &[v1::Part],
        channel: u32,
        in_place_of: Option<HoldKey>,
        now_ms: i64,
        out: &mut Findings<'_>,
    ) {
        out.report.counts.holds += 1;
        if self.holds.contains_key(&id) {
            out.found(Invariant::I5, format!("hold {id} is made twice"));
            return;
        }
        let parts = parts.iter().map(|part| self.take(id, part, in_place_of, out)).collect();
        let deadline = (stage != Stage::Confirmed).then_some(deadline_ms);
        let hold = Hold { stage, deadline_ms: deadline, parts, refunded: 0 };
        for ticket in hold.tickets() {
            self.limits.add(&ticket);
        }
        let taken: Vec<_> = hold.parts.iter().filter(|held| held.taken).map(|held| held.part.clone()).collect();
        for passed in self.limits.passed(&self.classes, &self.stops, &taken, channel, now_ms) {
            out.found(Invariant::I1, format!("hold {id} passes {passed}"));
        }
        if let Some(deadline) = deadline {
            self.timers.insert((deadline, Timer::Hold(id)));
        }
        self.holds.insert(id, hold);
    }

    fn take(&mut self, id: HoldKey, part: &v1::Part, in_place_of: Option<HoldKey>, out: &mut Findings<'_>) -> HeldPart {
        let (class, place) = (part.seat_class, part.place);
        let taken = self.classes.get_mut(&class).map_or(Taken::NoSuchPlace, |class| class.take(part));
        let over = format!("of class {class} from stop {} to {}", part.from, part.to);
        match taken {
            Taken::Yes => {}
            Taken::NoSuchPlace => {
                out.found(Invariant::I1, format!("hold {id} takes place {place} {over}, which the train has not"));
            }
            Taken::Twice => {
                let other = self.holder(part).map_or_else(String::new, |other| format!(" and hold {other}"));
                out.found(Invariant::I1, format!("place {place} {over} has two live holders: hold {id}{other}"));
            }
            Taken::StandingFull => {
                out.found(Invariant::I1, format!("hold {id} stands {over}, where no standing room is left"));
            }
        }
        let before = self.persons.insert(part.person.to_vec(), id);
        if let Some(before) = before.filter(|before| *before != id && Some(*before) != in_place_of) {
            out.found(Invariant::I1, format!("one person has two tickets: hold {before} and hold {id}"));
        }
        HeldPart { part: part.clone(), taken: taken == Taken::Yes }
    }

    /// Who has a place that a part asks for.
    fn holder(&self, part: &v1::Part) -> Option<HoldKey> {
        let clashes = |held: &HeldPart| {
            let other = &held.part;
            let same = !other.standing && (other.seat_class, other.place) == (part.seat_class, part.place);
            held.taken && same && other.from < part.to && part.from < other.to
        };
        self.holds.iter().find(|(_, hold)| hold.live_parts().any(clashes)).map(|(id, _)| *id)
    }

    /// A hold goes from one stage to the next and keeps its seats.
    pub(super) fn move_on(
        &mut self,
        id: HoldKey,
        from: &[Stage],
        to: Stage,
        deadline_ms: Option<i64>,
        out: &mut Findings<'_>,
    ) {
        let stage = self.holds.get(&id).map(|hold| hold.stage);
        let Some(hold) = self.holds.get_mut(&id).filter(|hold| from.contains(&hold.stage)) else {
            return wrong_stage(id, stage, format_args!("becomes {to}"), out);
        };
        if let Some(deadline) = std::mem::replace(&mut hold.deadline_ms, deadline_ms) {
            self.timers.remove(&(deadline, Timer::Hold(id)));
        }
        hold.stage = to;
        if let Some(deadline) = deadline_ms {
            self.timers.insert((deadline, Timer::Hold(id)));
        }
    }

    /// A hold ends and its seats are free.
    pub(super) fn end(&mut self, id: HoldKey, from: &[Stage], out: &mut Findings<'_>) {
        let stage = self.holds.get(&id).map(|hold| hold.stage);
        if !stage.is_some_and(|stage| from.contains(&stage)) {
            return wrong_stage(id, stage, "ends", out);
        }
        self.free(id, |_| true);
        if let Some(hold) = self.holds.get_mut(&id) {
            hold.stage = Stage::Ended;
            hold.parts = Vec::new();
            if let Some(deadline) = hold.deadline_ms.take() {
                self.timers.remove(&(deadline, Timer::Hold(id)));
            }
        }
    }

    /// Passengers of a confirmed hold give their tickets back.
    pub(super) fn refund(&mut self, id: HoldKey, passengers: &[u32], out: &mut Findings<'_>) {
        let stage = self.holds.get(&id).map(|hold| hold.stage);
        if stage != Some(Stage::Confirmed) {
            return wrong_stage(id, stage, "is refunded", out);
        }
        let travelling = self.holds[&id].travelling();
        if let Some(passenger) = passengers.iter().find(|passenger| travelling & bit(**passenger) == 0) {
            out.found(
                Invariant::I8,
                format!("hold {id} gives back the ticket of passenger {passenger} that it has not"),
            );
        }
        self.free(id, |part| passengers.contains(&part.passenger));
        if let Some(hold) = self.holds.get_mut(&id) {
            hold.refunded |= passengers.iter().fold(0, |all, passenger| all | bit(*passenger));
            if hold.travelling() == 0 {
                hold.stage = Stage::Ended;
                hold.parts = Vec::new();
            }
        }
    }

    /// One hold takes another's place: the new seats are taken before the old ones are free.
    pub(super) fn change(
        &mut self,
        old: HoldKey,
        new: HoldKey,
        parts: &[v1::Part],
        channel: u32,
        now_ms: i64,
        out: &mut Findings<'_>,
    ) {
        let before = self.holds.get(&old).map(|hold| (hold.stage, hold.deadline_ms));
        let Some((stage, deadline)) = before.filter(|(stage, _)| stage.is_live() && *stage != Stage::Offered) else {
            return wrong_stage(old, before.map(|(stage, _)| stage), "is changed", out);
        };
        self.make_hold(new, stage, deadline.unwrap_or(i64::MAX), parts, channel, Some(old), now_ms, out);
        self.end(old, &[Stage::Held, Stage::Opened, Stage::Confirmed], out);
    }

    /// Frees the live parts of a hold that are chosen.
    fn free(&mut self, id: HoldKey, chosen: impl Fn(&v1::Part) -> bool) {
        let Some(hold) = self.holds.get(&id) else { return };
        let freed: Vec<_> = hold.live_parts().filter(|held| chosen(&held.part)).collect();
        let parts: Vec<_> = freed.iter().map(|held| held.part.clone()).collect();
        for held in &freed {
            if let Some(class) = self.classes.get_mut(&held.part.seat_class).filter(|_| held.taken) {
                class.give_back(&held.part);
            }
        }
        for part in &parts {
            if self.persons.get(&part.person[..]) == Some(&id) {
                self.persons.remove(&part.person[..]);
            }
        }
        for ticket in tickets(&parts) {
            self.limits.remove(&ticket);
        }
    }
}
