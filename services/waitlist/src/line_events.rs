//! What a batch of the journal says about lines, in the waitlist's words.

use domain::{EntryId, Invalid, Run, ServiceDate};
use journal_encoding::v1;
use journal_encoding::v1::event::Kind;
use prost::Message as _;

use crate::entry::LinePlace;
use crate::state::Happened;
use crate::store::LineEvent;

/// A batch that cannot be read: its slot's feed must not go on past it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not a batch.
    #[error("not a batch of the journal")]
    Batch(#[from] prost::DecodeError),
    /// A record that names no run.
    #[error("a record that names no run")]
    Run,
    /// Written by a newer version.
    #[error("a batch of schema version {0}")]
    Version(u32),
}

impl From<Invalid> for Unreadable {
    fn from(_: Invalid) -> Self {
        Self::Run
    }
}

/// The line events of a batch, in order.
///
/// # Errors
/// Bytes that are no batch this version can read.
pub fn of_batch(payload: &[u8]) -> Result<Vec<LineEvent>, Unreadable> {
    let batch = v1::Batch::decode(payload)?;
    if batch.schema_version != 1 {
        return Err(Unreadable::Version(batch.schema_version));
    }
    let mut events = Vec::new();
    for record in &batch.records {
        let happened: Vec<_> = record.events.iter().filter_map(|event| line_event(event.kind.as_ref()?)).collect();
        if happened.is_empty() {
            continue;
        }
        let run = run(record.run.as_ref().ok_or(Unreadable::Run)?)?;
        events.extend(happened.into_iter().map(|(entry, happened)| LineEvent { run, entry, happened }));
    }
    Ok(events)
}

/// The entry concerned, none for all of the run, and what happened to it. The waitlist asks for one choice per run, so the
/// entry's id alone names it.
fn line_event(kind: &Kind) -> Option<(Option<EntryId>, Happened)> {
    let (entry, happened) = match kind {
        Kind::SaleClosed(_) => return Some((None, Happened::SaleClosed)),
        Kind::Joined(joined) => {
            (&joined.entry_id, Happened::Joined(LinePlace { sequence: joined.sequence, ahead: None }))
        }
        Kind::Left(left) => (&left.entry_id, Happened::OutOfLine { expired: left.expired }),
        Kind::Offered(offered) => (&offered.entry_id, Happened::Offered),
        Kind::OfferDeclined(declined) => (&declined.entry_id, Happened::OutOfLine { expired: false }),
        Kind::OfferExpired(expired) => (&expired.entry_id, Happened::OfferGone),
        _ => return None,
    };
    let id = u128::from_be_bytes(entry[..].try_into().ok()?);
    Some((Some(EntryId::from_u128(id)), happened))
}

fn run(key: &v1::RunKey) -> Result<Run, Unreadable> {
    Ok(Run {
        train: key.train.parse()?,
        date: ServiceDate::from_days(key.service_date)?,
        ordinal: u8::try_from(key.ordinal).map_err(|_| Unreadable::Run)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_lines_is_taken_and_in_order() {
        let entry = vec![9u8; 16];
        let kinds = [
            Kind::Advanced(v1::Advanced { to_ms: 5 }),
            Kind::Offered(v1::Offered { entry_id: entry.clone().into(), ..v1::Offered::default() }),
            Kind::OfferExpired(v1::OfferExpired { entry_id: entry.into(), ..v1::OfferExpired::default() }),
            Kind::SaleClosed(v1::SaleClosed { cancelled: false }),
        ];
        let record = v1::Record {
            run: Some(v1::RunKey { train: "G71".to_owned(), service_date: 20_799, ordinal: 1 }),
            events: kinds.map(|kind| v1::Event { kind: Some(kind) }).to_vec(),
            ..v1::Record::default()
        };
        let other = v1::Record { events: vec![], ..record.clone() };
        let batch = v1::Batch { schema_version: 1, records: vec![other, record] };
        let events = of_batch(&batch.encode_to_vec()).unwrap();
        let id = Some(EntryId::from_u128(u128::from_be_bytes([9; 16])));
        let seen: Vec<_> = events.iter().map(|event| (event.entry, event.happened.clone())).collect();
        assert_eq!(seen, [(id, Happened::Offered), (id, Happened::OfferGone), (None, Happened::SaleClosed)]);
        // 20,799 days after 1970-01-01 is 20 days after 2026-11-22 (day 20,779).
        assert_eq!(events[0].run.to_string(), "G71@2026-12-12");
        let newer = v1::Batch { schema_version: 2, records: vec![] };
        assert_eq!(of_batch(&newer.encode_to_vec()), Err(Unreadable::Version(2)));
        assert!(of_batch(b"\xff\xff").is_err());
    }
}
