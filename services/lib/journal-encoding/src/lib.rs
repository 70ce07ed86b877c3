//! The journal's own encoding: generated types of `chunyun.journal.v1`, and nothing else.
//!
//! Apart from the other packages so that the audit, and any reader of a journal, depends on this encoding alone.

/// Generated from `proto/chunyun/journal/v1/journal.proto`.
#[allow(clippy::all, missing_docs, unused_qualifications, reason = "generated code")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/chunyun.journal.v1.rs"));
}
