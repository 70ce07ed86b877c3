use domain::{Document, DocumentKind, PassengerKind, PassengerName};
use proto::common::v1::{Passenger, PassengerKind as WireKind, PlacePreference};

use crate::error::Error;

/// Who travels, every document checked. Personal data: it has no `Debug`.
#[derive(Clone)]
pub struct Party {
    /// The documents, in the order's order.
    pub documents: Vec<Document>,
    /// As they came, for the order service.
    pub passengers: Vec<Passenger>,
}

impl Party {
    /// Reads the passengers of a request.
    pub fn read(passengers: Vec<Passenger>, most: u32) -> Result<Self, Error> {
        if passengers.is_empty() || passengers.len() > most as usize {
            let message = format!("expected 1 to {most} passengers, got {}", passengers.len());
            return Err(Error::field("passengers", message));
        }
        let mut documents: Vec<Document> = Vec::with_capacity(passengers.len());
        for (index, passenger) in passengers.iter().enumerate() {
            let document = read(index, passenger)?;
            if let Some(same) = documents.iter().position(|other| *other == document) {
                let message = format!("the same document as passengers[{same}]: expected every passenger once");
                return Err(Error::field(format!("passengers[{index}].document_number"), message));
            }
            documents.push(document);
        }
        if passengers.iter().all(|passenger| passenger.kind() == WireKind::Infant) {
            return Err(Error::field("passengers", "expected an adult beside children without a seat"));
        }
        Ok(Self { documents, passengers })
    }

    /// Reads passengers who wait in line. It gives seats to a party as it stands: nobody without one, and no ticket that
    /// hangs on another.
    pub fn read_waiting(passengers: Vec<Passenger>, most: u32) -> Result<Self, Error> {
        let party = Self::read(passengers, most)?;
        for (index, passenger) in party.passengers.iter().enumerate() {
            let field = |name: &str| format!("passengers[{index}].{name}");
            if matches!(passenger.kind(), WireKind::Infant | WireKind::Student) {
                return Err(Error::field(field("kind"), "expected adult, child or disabled in the line"));
            }
            if !passenger.adult_ticket_id.is_empty() {
                return Err(Error::field(field("adult_ticket_id"), "expected none in the line"));
            }
        }
        Ok(party)
    }
}

fn read(index: usize, passenger: &Passenger) -> Result<Document, Error> {
    let field = |name: &str| format!("passengers[{index}].{name}");
    passenger.name.parse::<PassengerName>().map_err(Error::invalid(field("name")))?;
    let kind = u8::try_from(passenger.document_kind)
        .ok()
        .and_then(DocumentKind::from_code)
        .ok_or_else(|| Error::field(field("document_kind"), "expected a document kind of 1 to 4"))?;
    let document = Document::new(kind, &passenger.document_number).map_err(Error::invalid(field("document_number")))?;
    if passenger.kind != 0 && u8::try_from(passenger.kind).ok().and_then(PassengerKind::from_code).is_none() {
        return Err(Error::field(field("kind"), "expected a passenger kind of 1 to 5, or 0 for adult"));
    }
    if PlacePreference::try_from(passenger.preference).is_err() {
        return Err(Error::field(field("preference"), "expected a place preference of 1 to 11, or 0 for none"));
    }
    Ok(document)
}
