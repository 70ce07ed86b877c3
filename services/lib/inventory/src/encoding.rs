//! Records to and from the journal's encoding, `chunyun.journal.v1`.
//!
//! The events of a rush are written field by field, without building the generated messages first; the bytes are the ones
//! those messages would give. Reading goes through the generated types.

mod read;
mod wire;
mod write;

use domain::Run;
use journal_encoding::v1;
use prost::Message as _;

use crate::command::{CommandMeta, Wish};
use crate::event::{Event, Part, Parts, Record};
use crate::plan::{Carriage, Plan};
use crate::policy::QuotaPolicy;

/// The version of the encoding that this code writes, and the newest it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// Room for the records of some thirty holds before a batch has to grow.
const BATCH_BYTES: usize = 4_096;

/// The payload of one batch of one slot, built record by record.
#[derive(Clone, Debug)]
pub struct BatchWriter {
    bytes: Vec<u8>,
}

impl BatchWriter {
    /// An empty batch of this version.
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(BATCH_BYTES);
        wire::uint(&mut bytes, 1, u64::from(SCHEMA_VERSION));
        Self { bytes }
    }

    /// Goes on with a batch that [`Self::finish`] gave: a caller that keeps the bytes itself writes record by record.
    pub const fn continuing(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Appends what one command changed.
    pub fn push(&mut self, run: &Run, meta: &CommandMeta, trace: Option<&[u8; 24]>, events: &[Event]) {
        wire::message(&mut self.bytes, 2, |out| write::record(out, run, meta, trace, events));
    }

    /// How many bytes the batch has so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no record was appended.
    pub fn is_empty(&self) -> bool {
        // The version's field is two bytes.
        self.bytes.len() <= 2
    }

    /// The payload.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

impl Default for BatchWriter {
    fn default() -> Self {
        Self::new()
    }
}

/// The records of a batch.
///
/// # Errors
/// Bytes that are no batch, of a newer version, or that say what no train-date can.
pub fn decode_batch(bytes: &[u8]) -> Result<Vec<Record>, DecodeError> {
    let batch = v1::Batch::decode(bytes)?;
    if batch.schema_version != SCHEMA_VERSION {
        return Err(DecodeError::Version { found: batch.schema_version });
    }
    batch.records.iter().map(read::record).collect()
}

/// One record by itself, as [`v1::Record`].
pub fn encode_record(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    write::record(&mut bytes, &record.run, &record.meta, record.trace.as_ref(), &record.events);
    bytes
}

/// Reads one record.
///
/// # Errors
/// Bytes that are no record, or that say what no train-date can.
pub fn decode_record(bytes: &[u8]) -> Result<Record, DecodeError> {
    read::record(&v1::Record::decode(bytes)?)
}

pub(crate) fn plan_bytes(plan: &Plan) -> Vec<u8> {
    write::sale_opened(plan).encode_to_vec()
}

pub(crate) fn plan_from_bytes(bytes: &[u8]) -> Result<Plan, DecodeError> {
    read::plan(&v1::SaleOpened::decode(bytes)?)
}

pub(crate) fn carriages_bytes(carriages: &[Carriage]) -> Vec<u8> {
    v1::CapacityAdded { carriages: write::carriages(carriages) }.encode_to_vec()
}

pub(crate) fn quotas_bytes(quotas: &QuotaPolicy) -> Vec<u8> {
    write::quota_policy(quotas).encode_to_vec()
}

pub(crate) fn parts_bytes(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.len() * 32);
    write::parts(&mut bytes, 3, parts);
    bytes
}

pub(crate) fn parts_from_bytes(bytes: &[u8]) -> Result<Parts, DecodeError> {
    read::parts(&v1::Held::decode(bytes)?.parts)
}

pub(crate) fn wish_bytes(wish: &Wish) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    write::wish(&mut bytes, wish);
    bytes
}

pub(crate) fn wish_from_bytes(bytes: &[u8]) -> Result<Wish, DecodeError> {
    read::wish(&v1::Wish::decode(bytes)?)
}

/// Why bytes of a journal cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not the journal's messages.
    #[error("not a message of the journal")]
    Protobuf(#[from] prost::DecodeError),
    /// Written by a newer version.
    #[error("batch of schema version {found}, this version reads {SCHEMA_VERSION}")]
    Version {
        /// What stands there.
        found: u32,
    },
    /// A field without a possible value.
    #[error("{field} has no possible value")]
    Field {
        /// The message and field, such as `Held.hold_id`.
        field: &'static str,
    },
}
