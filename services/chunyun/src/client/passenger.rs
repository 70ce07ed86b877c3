use std::str::FromStr;

use domain::{Document, DocumentKind, Invalid, PassengerKind, PassengerName};
use proto::common::v1 as wire;

/// One passenger as typed: `NAME:DOCUMENT:NUMBER[:KIND]`.
#[derive(Clone, Debug)]
pub struct PassengerArgument {
    name: PassengerName,
    document: Document,
    kind: PassengerKind,
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
        }
    }
}

impl FromStr for PassengerArgument {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const ALLOWED: &str = "NAME:DOCUMENT:NUMBER[:KIND], with DOCUMENT id, passport, hkmacao or taiwan, \
                               and KIND adult, child, student or disabled";
        let invalid = || Invalid::private("passenger", ALLOWED);
        let parts: Vec<&str> = text.split(':').collect();
        let (name, document, number, kind) = match parts[..] {
            [name, document, number] => (name, document, number, "adult"),
            [name, document, number, kind] => (name, document, number, kind),
            _ => return Err(invalid()),
        };
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
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passenger_reads_as_typed() {
        let typed: PassengerArgument = "张三:id:11010519491231002X:student".parse().unwrap();
        let wire = typed.wire();
        assert_eq!((wire.name.as_str(), wire.document_kind, wire.kind), ("张三", 1, 3));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_number() {
        for text in ["张三", "张三:card:1", "张三:id:110105194912310021", "张三:passport:E1234567:senior"] {
            let error = text.parse::<PassengerArgument>().unwrap_err().to_string();
            assert!(!error.contains("1949"), "{error}");
        }
    }
}
