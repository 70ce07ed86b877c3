//! Simulated people with documents that pass every check and belong to nobody.

use proto::common::v1 as wire;

/// Area code of a district that exists; with it numbers are well-formed.
const AREA: &str = "110101";
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECK: &[u8; 11] = b"10X98765432";
/// Birthdays are spread over these years, all of them adults.
const FIRST_YEAR: usize = 1960;
const YEARS: usize = 40;

/// The person of a number from 0: at most 11 million of them are distinct.
pub fn person(number: usize) -> wire::Passenger {
    wire::Passenger {
        name: format!("旅客{number}"),
        document_kind: wire::DocumentKind::ResidentId as i32,
        document_number: resident_id(number),
        kind: wire::PassengerKind::Adult as i32,
        preference: wire::PlacePreference::Unspecified as i32,
        student: None,
        adult_ticket_id: String::new(),
    }
}

/// GB 11643-1999: area, date of birth, sequence, check character.
fn resident_id(number: usize) -> String {
    let (day, rest) = (number % 28 + 1, number / 28);
    let (month, rest) = (rest % 12 + 1, rest / 12);
    let (year, rest) = (rest % YEARS + FIRST_YEAR, rest / YEARS);
    let digits = format!("{AREA}{year:04}{month:02}{day:02}{:03}", rest % 1000);
    let sum: u32 = digits.bytes().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let check = CHECK[(sum % 11) as usize];
    format!("{digits}{}", char::from(check))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use domain::{Document, DocumentKind};

    use super::*;

    #[test]
    fn people_are_distinct_and_their_documents_valid() {
        let numbers: HashSet<String> = (0..50_000).map(resident_id).collect();
        assert_eq!(numbers.len(), 50_000);
        for number in numbers {
            assert!(Document::new(DocumentKind::ResidentId, &number).is_ok(), "{number}");
        }
    }
}
