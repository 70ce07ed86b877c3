use std::collections::BTreeMap;

use domain::{Invalid, SlotId};
use membership::{RingRecord, RingSettings, Standing};
use ring::{LayoutError, Member, ShardId};
use serde::{Deserialize, Serialize};

/// The record as JSON, as operators see it in the store.
#[derive(Serialize, Deserialize)]
struct RecordDocument {
    version: u64,
    settings: SettingsDocument,
    /// How each member stands; one that is left out does not count.
    standings: BTreeMap<String, StandingDocument>,
}

#[derive(Serialize, Deserialize)]
struct SettingsDocument {
    version: u64,
    /// Weights by shard.
    members: BTreeMap<String, u32>,
    /// Shards by slot.
    pins: BTreeMap<u16, String>,
}

#[derive(Serialize, Deserialize)]
struct StandingDocument {
    counted: bool,
    flaps: u32,
}

/// A stored record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    /// Not JSON, or of another shape.
    #[error("the ring's record is not the document it should be: {0}")]
    Document(#[from] serde_json::Error),
    /// A name or a slot that is none.
    #[error("the ring's record: {0}")]
    Invalid(#[from] Invalid),
    /// It makes no ring.
    #[error("the ring's record: {0}")]
    Layout(#[from] LayoutError),
}

/// A record as it is stored: a JSON document.
pub fn write_record(record: &RingRecord) -> String {
    let RingSettings { version, members, pins } = record.settings();
    let standing = |standing: Standing| StandingDocument { counted: standing.counted, flaps: standing.flaps };
    let document = RecordDocument {
        version: record.version(),
        settings: SettingsDocument {
            version: *version,
            members: members.iter().map(|member| (member.shard.to_string(), member.weight)).collect(),
            pins: pins.iter().map(|(slot, shard)| (slot.number(), shard.to_string())).collect(),
        },
        standings: record.standings().map(|(shard, stands)| (shard.to_string(), standing(stands))).collect(),
    };
    serde_json::to_string_pretty(&document).expect("maps of text and numbers are JSON")
}

/// Reads a stored record. Fields of newer releases are passed over.
///
/// # Errors
/// What is not such a document, or makes no ring.
pub fn read_record(text: &[u8]) -> Result<RingRecord, BadRecord> {
    let RecordDocument { version, settings, standings } = serde_json::from_slice(text)?;
    let member = |(name, weight): (String, u32)| Ok(Member { shard: name.parse()?, weight });
    let pin = |(slot, name): (u16, String)| Ok((SlotId::new(slot)?, name.parse::<ShardId>()?));
    let stands = |(name, it): (String, StandingDocument)| {
        Ok((name.parse::<ShardId>()?, Standing { counted: it.counted, flaps: it.flaps }))
    };
    let settings = RingSettings {
        version: settings.version,
        members: settings.members.into_iter().map(member).collect::<Result<_, Invalid>>()?,
        pins: settings.pins.into_iter().map(pin).collect::<Result<_, Invalid>>()?,
    };
    let standings = standings.into_iter().map(stands).collect::<Result<_, Invalid>>()?;
    Ok(RingRecord::new(version, settings, standings)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> RingRecord {
        let members = (0..3).map(|n| Member { shard: ShardId::numbered(n), weight: 100 + u32::from(n) }).collect();
        let pins = BTreeMap::from([(SlotId::new(7).unwrap(), ShardId::numbered(2))]);
        let settings = RingSettings { version: 4, members, pins };
        let standings = [(0, true, 0), (1, false, 3), (2, true, 1)];
        let standings = standings.map(|(n, counted, flaps)| (ShardId::numbered(n), Standing { counted, flaps })).into();
        RingRecord::new(9, settings, standings).unwrap()
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        assert_eq!(read_record(write_record(&record()).as_bytes()).unwrap(), record());
    }

    #[test]
    fn a_record_of_the_first_release_stays_readable() {
        let stored = r#"{"version": 9, "settings": {"version": 4,
            "members": {"inventory-shard-0": 100, "inventory-shard-1": 101, "inventory-shard-2": 102},
            "pins": {"7": "inventory-shard-2"}, "added-later": true},
            "standings": {"inventory-shard-0": {"counted": true, "flaps": 0},
            "inventory-shard-1": {"counted": false, "flaps": 3}, "inventory-shard-2": {"counted": true, "flaps": 1}}}"#;
        assert_eq!(read_record(stored.as_bytes()).unwrap(), record());
    }

    #[test]
    fn what_makes_no_ring_is_refused() {
        let refused = |text: &str| read_record(text.as_bytes()).unwrap_err().to_string();
        assert!(refused("[").contains("not the document"));
        let nobody = r#"{"version":1,"settings":{"version":1,"members":{"a":100},"pins":{}},"standings":{}}"#;
        assert!(refused(nobody).contains("no members"), "{}", refused(nobody));
        let slot = r#"{"version":1,"settings":{"version":1,"members":{"a":100},"pins":{"1024":"a"}},"standings":{}}"#;
        assert!(refused(slot).contains("slot"), "{}", refused(slot));
    }
}
