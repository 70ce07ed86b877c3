use std::str::FromStr;

use domain::{Document, DocumentKind, Invalid, PassengerKind, PassengerName};
use proto::common::v1 as wire;

/// One passenger as typed: `NAME:DOCUMENT:NUMBER[:KIND]`.
#[derive(Clone, Debug)]
pub struct PassengerArgument {
    name: PassengerName,
    document: Document,
    kind: PassengerKind,
    /// Between where a student's fare holds.
    student: Option<(String, String)>,
    /// The ticket of the adult a child travels with, where the order has none.
    adult_ticket: Option<String>,
}

impl PassengerArgument {
    /// The passenger as the gateway takes it.
    pub fn wire(&self) -> wire::Passenger {
        wire::Passenger {
            name: self.name.as_str().to_owned(),
            document_kind: i32::from(self.document.kind().code()),
            document_number: self.document.number().to_owned(),
            kind: i32::from(self.kind.code()),
            preference: 0,
            student: self.student.clone().map(|(home, school)| wire::StudentJourney { home, school }),
            adult_ticket_id: self.adult_ticket.clone().unwrap_or_default(),
        }
    }
}

impl FromStr for PassengerArgument {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const ALLOWED: &str = "NAME:DOCUMENT:NUMBER[:KIND[:MORE]], with DOCUMENT id, passport, hkmacao or taiwan, KIND \
                               adult, child, student, disabled or infant, and MORE a student's HOME-SCHOOL or the ticket \
                               of a child's adult";
        let invalid = || Invalid::private("passenger", ALLOWED);
        let parts: Vec<&str> = text.split(':').collect();
        let (name, document, number, kind, more) = match parts[..] {
            [name, document, number] => (name, document, number, "adult", None),
            [name, document, number, kind] => (name, document, number, kind, None),
            [name, document, number, kind @ ("child" | "student"), more] => (name, document, number, kind, Some(more)),
            _ => return Err(invalid()),
        };
        let card =
            more.filter(|_| kind == "student").map(|more| more.split_once('-').ok_or_else(invalid)).transpose()?;
        let document = match document {
            "id" => DocumentKind::ResidentId,
            "passport" => DocumentKind::Passport,
            "hkmacao" => DocumentKind::HongKongMacaoPermit,
            "taiwan" => DocumentKind::TaiwanPermit,
            _ => return Err(invalid()),
        };
        Ok(Self {
            name: name.parse()?,
            document: Document::new(document, number)?,
            kind: PassengerKind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(invalid)?,
            student: card.map(|(home, school)| (home.to_owned(), school.to_owned())),
            adult_ticket: more.filter(|_| kind == "child").map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passenger_reads_as_typed() {
        let typed: PassengerArgument = "张三:id:11010519491231002X:student:武汉-北京".parse().unwrap();
        let wire = typed.wire();
        assert_eq!((wire.name.as_str(), wire.document_kind, wire.kind), ("张三", 1, 3));
        assert_eq!(wire.student.unwrap().school, "北京");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_number() {
        for text in ["张三", "张三:card:1", "张三:id:110105194912310021", "张三:passport:E1234567:senior"] {
            let error = text.parse::<PassengerArgument>().unwrap_err().to_string();
            assert!(!error.contains("1949"), "{error}");
        }
    }
}
