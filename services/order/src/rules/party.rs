//! Who may travel on one order (RULES: Sale, Fares).

use domain::{BoardingDate, Document, PassengerKind};
use policy::Policy;

/// What the rules look at in a passenger.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The identity document.
    pub document: &'a Document,
    /// The type of ticket.
    pub kind: PassengerKind,
    /// Whether it is a child whose adult has a ticket of another order for the train.
    pub accompanied: bool,
}

/// Why a party may not travel. Passengers are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParty {
    /// Nobody, or more than the policy allows.
    #[error("an order has one to {max} passengers, this one {got}")]
    Size {
        /// The most.
        max: u32,
        /// How many came.
        got: usize,
    },
    /// The same document twice.
    #[error("passengers {first} and {second} have the same document")]
    Twice {
        /// The first of them.
        first: usize,
        /// The second.
        second: usize,
    },
    /// The document says that the passenger is too old to travel free.
    #[error("passenger {passenger} is {age} on the travel date: those under {below} travel free")]
    NotAnInfant {
        /// Which passenger.
        passenger: usize,
        /// The age on the travel date.
        age: u32,
        /// The age from which one needs a ticket with a seat.
        below: u32,
    },
    /// More small children without a seat than adults may take along.
    #[error("each adult takes {per_adult} child along free: passenger {passenger} needs a child's ticket")]
    TooManyInfants {
        /// The first who is too many.
        passenger: usize,
        /// How many an adult takes along.
        per_adult: u32,
    },
    /// Children and no adult.
    #[error("a child does not travel without an adult on the same order")]
    ChildAlone,
    /// The document says that the passenger is too old for a child's ticket.
    #[error("passenger {passenger} is {age} on the travel date: a child's ticket is for those under {below}")]
    NotAChild {
        /// Which passenger.
        passenger: usize,
        /// The age on the travel date.
        age: u32,
        /// The age from which one pays as an adult.
        below: u32,
    },
}

/// Checks a party that travels first on `date`.
///
/// # Errors
/// See [`BadParty`].
pub fn check_party(policy: &Policy, members: &[Member<'_>], date: BoardingDate) -> Result<(), BadParty> {
    let max = policy.order.passengers_max;
    if members.is_empty() || members.len() > max as usize {
        return Err(BadParty::Size { max, got: members.len() });
    }
    for (second, member) in members.iter().enumerate() {
        if let Some(first) = members[..second].iter().position(|other| other.document == member.document) {
            return Err(BadParty::Twice { first, second });
        }
    }
    for (passenger, member) in members.iter().enumerate() {
        check_age(policy, passenger, member, date)?;
    }
    let kinds: Vec<_> = members.iter().map(|member| member.kind).collect();
    let accompanied = members.iter().all(|member| member.kind == PassengerKind::Child && member.accompanied);
    if accompanied { Ok(()) } else { check_companions(policy, &kinds) }
}

fn check_age(policy: &Policy, passenger: usize, member: &Member<'_>, date: BoardingDate) -> Result<(), BadParty> {
    let Some(age) = age_on(member.document, date) else { return Ok(()) };
    let (free, child) = (policy.fare.child_age_from, policy.fare.child_age_below);
    match member.kind {
        PassengerKind::Child if age >= child => Err(BadParty::NotAChild { passenger, age, below: child }),
        PassengerKind::Infant if age >= free => Err(BadParty::NotAnInfant { passenger, age, below: free }),
        _ => Ok(()),
    }
}

/// Checks that those who travel on one train may travel together: no child goes alone. Nobody at all is well.
///
/// # Errors
/// See [`BadParty`].
pub fn check_companions(policy: &Policy, kinds: &[PassengerKind]) -> Result<(), BadParty> {
    let adults = kinds.iter().filter(|kind| !kind.is_child()).count();
    if adults == 0 && !kinds.is_empty() {
        return Err(BadParty::ChildAlone);
    }
    let per_adult = policy.fare.free_children_per_adult;
    let infants = kinds.iter().enumerate().filter(|(_, kind)| **kind == PassengerKind::Infant);
    match infants.map(|(passenger, _)| passenger).nth(adults * per_adult as usize) {
        Some(passenger) => Err(BadParty::TooManyInfants { passenger, per_adult }),
        None => Ok(()),
    }
}

/// The age in full years on a date, where the document tells the date of birth. Whoever is born on 29 February is a year
/// older from 1 March.
pub(crate) fn age_on(document: &Document, date: BoardingDate) -> Option<u32> {
    let (birth, date) = (document.birth_date()?, date.date());
    let before_birthday = (date.month(), date.day()) < (birth.month(), birth.day());
    u32::try_from(i32::from(date.year()) - i32::from(birth.year()) - i32::from(before_birthday)).ok()
}

#[cfg(test)]
mod tests {
    use domain::DocumentKind;

    use super::*;

    fn passport(number: &str) -> Document {
        Document::new(DocumentKind::Passport, number).unwrap()
    }

    fn check(members: &[(&Document, PassengerKind)], date: &str) -> Result<(), BadParty> {
        let members: Vec<_> =
            members.iter().map(|(document, kind)| Member { document, kind: *kind, accompanied: false }).collect();
        check_party(&Policy::default(), &members, date.parse().unwrap())
    }

    #[test]
    fn one_to_five_travel_each_once() {
        let documents: Vec<_> = (0..6).map(|n| passport(&format!("E1234567{n}"))).collect();
        let party: Vec<_> = documents.iter().map(|document| (document, PassengerKind::Adult)).collect();
        assert_eq!(check(&party[..5], "2026-12-01"), Ok(()));
        assert_eq!(check(&party, "2026-12-01"), Err(BadParty::Size { max: 5, got: 6 }));
        assert_eq!(check(&[], "2026-12-01"), Err(BadParty::Size { max: 5, got: 0 }));
        let twice = [party[0], party[1], party[0]];
        assert_eq!(check(&twice, "2026-12-01"), Err(BadParty::Twice { first: 0, second: 2 }));
    }

    #[test]
    fn a_child_needs_an_adult() {
        let (parent, child) = (passport("E11111111"), passport("E22222222"));
        let child = (&child, PassengerKind::Child);
        assert_eq!(check(&[child], "2026-12-01"), Err(BadParty::ChildAlone));
        assert_eq!(check(&[child, (&parent, PassengerKind::Student)], "2026-12-01"), Ok(()));
    }

    #[test]
    fn a_child_whose_adult_has_a_ticket_elsewhere_may_go() {
        let (child, parent) = (passport("E22222222"), passport("E11111111"));
        let named = |kind, accompanied| Member { document: &child, kind, accompanied };
        let check = |members: &[Member<'_>]| check_party(&Policy::default(), members, "2026-12-01".parse().unwrap());
        assert_eq!(check(&[named(PassengerKind::Child, true)]), Ok(()));
        let other = Member { document: &parent, kind: PassengerKind::Child, accompanied: false };
        assert_eq!(
            check(&[named(PassengerKind::Child, true), other]),
            Err(BadParty::ChildAlone),
            "each child names one"
        );
        assert_eq!(check(&[named(PassengerKind::Infant, true)]), Err(BadParty::ChildAlone));
    }

    #[test]
    fn each_adult_takes_one_small_child_along_free() {
        let documents: Vec<_> = (0..5).map(|n| passport(&format!("E1234567{n}"))).collect();
        let party = |kinds: &[PassengerKind]| {
            let members: Vec<_> = documents.iter().zip(kinds.iter().copied()).collect();
            check(&members, "2026-12-01")
        };
        use PassengerKind::{Adult, Child, Infant};
        assert_eq!(party(&[Adult, Infant]), Ok(()));
        assert_eq!(party(&[Adult, Infant, Infant]), Err(BadParty::TooManyInfants { passenger: 2, per_adult: 1 }));
        assert_eq!(party(&[Adult, Infant, Child]), Ok(()), "the second one with a seat");
        assert_eq!(party(&[Infant, Adult, Infant, Adult]), Ok(()));
        assert_eq!(party(&[Infant, Child]), Err(BadParty::ChildAlone));
    }

    #[test]
    fn free_travel_ends_on_the_sixth_birthday() {
        // Born on 2012-12-01, as below.
        let born = Document::new(DocumentKind::ResidentId, "110105201212010010").unwrap();
        let parent = passport("E11111111");
        let party = [(&parent, PassengerKind::Adult), (&born, PassengerKind::Infant)];
        assert_eq!(check(&party, "2018-11-30"), Ok(()));
        assert_eq!(check(&party, "2018-12-01"), Err(BadParty::NotAnInfant { passenger: 1, age: 6, below: 6 }));
    }

    #[test]
    fn childhood_ends_on_the_fourteenth_birthday() {
        // Born on 2012-12-01; check character by GB 11643: the weighted sum is 89, 89 mod 11 = 1, so 0.
        let born = Document::new(DocumentKind::ResidentId, "110105201212010010").unwrap();
        let parent = passport("E11111111");
        let party = [(&born, PassengerKind::Child), (&parent, PassengerKind::Adult)];
        assert_eq!(check(&party, "2026-11-30"), Ok(()));
        assert_eq!(check(&party, "2026-12-01"), Err(BadParty::NotAChild { passenger: 0, age: 14, below: 14 }));
    }
}
