//! The state as bytes, to start from instead of the whole journal. Only what the rest follows from is written; a snapshot of
//! another version, or a damaged one, is discarded and the journal read instead.

use std::collections::BTreeMap;

use domain::{EntryId, HoldId, Run, Time};
use prost::Message;
use xxhash_rust::xxh3::xxh3_64;

use crate::command::WishId;
use crate::encoding;
use crate::hash::Keyed;
use crate::hold::{Hold, HoldStage, Payment};
use crate::line::{Entry, EntryStage};
use crate::plan::Plan;
use crate::sale::Sale;
use crate::shared_list::SharedList;
use crate::train_date::TrainDate;

/// Version of the format; counts up with every change of it.
const FORMAT: u16 = 2;

/// Format version and XXH3 of the rest, little-endian.
const HEADER: usize = 2 + 8;

/// Why a snapshot cannot be used. The journal has everything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Written by a version with another format.
    #[error("snapshot format {found}, this version reads {FORMAT}")]
    Version {
        /// What stands there.
        found: u16,
    },
    /// Bytes were lost or changed.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// It belongs to another run.
    #[error("the snapshot belongs to {0}")]
    OtherRun(String),
}

/// The state of a train-date at one moment, to be written out at leisure: taken in microseconds however many holds there
/// are, since it shares them with the train-date until that changes them.
#[derive(Clone, Debug)]
pub struct FrozenTrainDate {
    run: Run,
    now: Time,
    sale: Option<Box<FrozenSale>>,
}

/// What of a sale is written: the rest follows from it.
#[derive(Clone, Debug)]
struct FrozenSale {
    plan: Plan,
    closed: Option<bool>,
    requests: BTreeMap<u128, u64>,
    holds: SharedList<Hold>,
    entries: SharedList<Entry>,
}

/// A state as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenState {
    /// What [`TrainDate::restore`] reads: versioned and checksummed.
    pub bytes: Vec<u8>,
    /// As [`TrainDate::state_hash`] says.
    pub state_hash: u64,
}

impl FrozenTrainDate {
    /// The state as bytes, and their hash.
    pub fn write(&self) -> WrittenState {
        let sale = self.sale.as_deref().map(StoredSale::of);
        let body = Body { run: self.run.to_string(), now_ms: self.now.millis(), sale };
        let mut bytes = Vec::with_capacity(HEADER + body.encoded_len());
        bytes.extend_from_slice(&[0; HEADER]);
        body.encode_raw(&mut bytes);
        let state_hash = xxh3_64(&bytes[HEADER..]);
        bytes[..2].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[2..HEADER].copy_from_slice(&state_hash.to_le_bytes());
        WrittenState { bytes, state_hash }
    }
}

impl TrainDate {
    /// The state as it is now, apart from the train-date.
    pub fn freeze(&self) -> FrozenTrainDate {
        let frozen = |sale: &Sale| FrozenSale {
            plan: sale.plan.clone(),
            closed: sale.closed,
            requests: sale.requests.clone(),
            holds: sale.holds.clone(),
            entries: sale.line.entries().clone(),
        };
        let sale = self.sale.as_deref().map(|sale| Box::new(frozen(sale)));
        FrozenTrainDate { run: self.run(), now: self.now, sale }
    }

    /// A hash of everything that decisions and answers rest on. Equal states have equal hashes, however they came about.
    pub fn state_hash(&self) -> u64 {
        self.freeze().write().state_hash
    }

    /// The state from bytes.
    ///
    /// # Errors
    /// Bytes of another format version, of another run, or damaged ones: load from the journal instead.
    pub fn restore(run: Run, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let damaged = |what: &str| SnapshotError::Damaged(what.to_owned());
        let (format, rest) = bytes.split_first_chunk::<2>().ok_or_else(|| damaged("no format version"))?;
        let found = u16::from_le_bytes(*format);
        if found != FORMAT {
            return Err(SnapshotError::Version { found });
        }
        let (checksum, body) = rest.split_first_chunk::<8>().ok_or_else(|| damaged("no checksum"))?;
        if xxh3_64(body) != u64::from_le_bytes(*checksum) {
            return Err(damaged("the checksum differs"));
        }
        let body = Body::decode(body).map_err(|error| SnapshotError::Damaged(error.to_string()))?;
        if body.run != run.to_string() {
            return Err(SnapshotError::OtherRun(body.run));
        }
        let mut train_date = Self::new(run);
        train_date.now = Time::from_millis(body.now_ms);
        if let Some(stored) = &body.sale {
            let sale = stored.restore(Keyed::new(train_date.seed()))?;
            train_date.sale = Some(Box::new(sale));
        }
        Ok(train_date)
    }
}

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(string, tag = "1")]
    run: String,
    #[prost(sint64, tag = "2")]
    now_ms: i64,
    #[prost(message, optional, tag = "3")]
    sale: Option<StoredSale>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredSale {
    /// As in the journal, with added carriages and the quotas in force.
    #[prost(bytes = "vec", tag = "1")]
    plan: Vec<u8>,
    /// 0 while on sale, 1 closed, 2 cancelled.
    #[prost(uint32, tag = "2")]
    closed: u32,
    #[prost(message, repeated, tag = "3")]
    requests: Vec<StoredRequest>,
    #[prost(message, repeated, tag = "4")]
    holds: Vec<StoredHold>,
    #[prost(message, repeated, tag = "5")]
    entries: Vec<StoredEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRequest {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(fixed64, tag = "2")]
    payload_hash: u64,
}

#[derive(Clone, PartialEq, Message)]
struct StoredHold {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(fixed64, tag = "2")]
    payload_hash: u64,
    #[prost(uint32, tag = "3")]
    stage: u32,
    #[prost(bool, tag = "4")]
    confirmed: bool,
    #[prost(sint64, tag = "5")]
    open_by_ms: i64,
    #[prost(sint64, optional, tag = "6")]
    pay_by_ms: Option<i64>,
    #[prost(sint64, tag = "7")]
    hard_limit_ms: i64,
    /// Parts as in the journal's `Held`.
    #[prost(bytes = "vec", tag = "8")]
    parts: Vec<u8>,
    #[prost(fixed64, tag = "9")]
    refunded: u64,
    #[prost(uint64, tag = "10")]
    version: u64,
}

#[derive(Clone, PartialEq, Message)]
struct StoredEntry {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(uint32, tag = "2")]
    choice: u32,
    #[prost(fixed64, tag = "3")]
    payload_hash: u64,
    #[prost(uint32, tag = "4")]
    stage: u32,
    /// As in the journal.
    #[prost(bytes = "vec", tag = "5")]
    wish: Vec<u8>,
    #[prost(sint64, tag = "6")]
    deadline_ms: i64,
}

impl StoredSale {
    fn of(sale: &FrozenSale) -> Self {
        let request = |(id, hash): (&u128, &u64)| StoredRequest { id: id.to_be_bytes().to_vec(), payload_hash: *hash };
        Self {
            plan: encoding::plan_bytes(&sale.plan),
            closed: match sale.closed {
                None => 0,
                Some(false) => 1,
                Some(true) => 2,
            },
            requests: sale.requests.iter().map(request).collect(),
            holds: sale.holds.iter().map(StoredHold::of).collect(),
            entries: sale.entries.iter().map(StoredEntry::of).collect(),
        }
    }

    fn restore(&self, keyed: Keyed) -> Result<Sale, SnapshotError> {
        let plan = encoding::plan_from_bytes(&self.plan).map_err(damaged)?;
        plan.validate().map_err(damaged)?;
        let mut sale = Sale::open(plan, keyed);
        sale.closed = match self.closed {
            0 => None,
            closed => Some(closed == 2),
        };
        for request in &self.requests {
            sale.requests.insert(u128_of(&request.id)?, request.payload_hash);
        }
        let holds = self.holds.iter().map(StoredHold::restore).collect::<Result<_, _>>()?;
        let entries = self.entries.iter().zip(1..).map(|(stored, sequence)| stored.restore(sequence));
        sale.take_up(holds, entries.collect::<Result<_, _>>()?).map_err(damaged)?;
        Ok(sale)
    }
}

impl StoredHold {
    fn of(hold: &Hold) -> Self {
        Self {
            id: hold.id.bytes().to_vec(),
            payload_hash: hold.payload_hash,
            stage: hold.stage as u32,
            confirmed: hold.confirmed,
            open_by_ms: hold.open_by.millis(),
            pay_by_ms: hold.payment.map(|payment| payment.pay_by.millis()),
            hard_limit_ms: hold.payment.map_or(0, |payment| payment.hard_limit.millis()),
            parts: encoding::parts_bytes(&hold.parts),
            refunded: hold.refunded,
            version: hold.version,
        }
    }

    fn restore(&self) -> Result<Hold, SnapshotError> {
        let payment = self.pay_by_ms.map(|pay_by_ms| Payment {
            pay_by: Time::from_millis(pay_by_ms),
            hard_limit: Time::from_millis(self.hard_limit_ms),
        });
        Ok(Hold {
            id: HoldId::from_bytes(&self.id).ok_or_else(|| damaged("a hold id"))?,
            payload_hash: self.payload_hash,
            stage: HoldStage::from_code(self.stage).ok_or_else(|| damaged("a hold's stage"))?,
            confirmed: self.confirmed,
            open_by: Time::from_millis(self.open_by_ms),
            payment,
            parts: encoding::parts_from_bytes(&self.parts).map_err(damaged)?,
            refunded: self.refunded,
            version: self.version,
        })
    }
}

impl StoredEntry {
    fn of(entry: &Entry) -> Self {
        Self {
            id: entry.id.entry.bytes().to_vec(),
            choice: u32::from(entry.id.choice),
            payload_hash: entry.payload_hash,
            stage: entry.stage as u32,
            wish: encoding::wish_bytes(&entry.wish),
            deadline_ms: entry.deadline.millis(),
        }
    }

    fn restore(&self, sequence: u64) -> Result<Entry, SnapshotError> {
        let choice = u8::try_from(self.choice).map_err(damaged)?;
        Ok(Entry {
            id: WishId { entry: EntryId::from_u128(u128_of(&self.id)?), choice },
            payload_hash: self.payload_hash,
            sequence,
            stage: EntryStage::from_code(self.stage).ok_or_else(|| damaged("an entry's stage"))?,
            wish: encoding::wish_from_bytes(&self.wish).map_err(damaged)?,
            deadline: Time::from_millis(self.deadline_ms),
        })
    }
}

fn u128_of(bytes: &[u8]) -> Result<u128, SnapshotError> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| damaged("an id of 16 bytes"))
}

fn damaged(what: impl ToString) -> SnapshotError {
    SnapshotError::Damaged(what.to_string())
}
