//! An audit of a fleet: recomputes seats, limits, the line, the journal's chain and the money from the databases alone.
//!
//! It shares no code with the services but the journal's encoding, so that a mistake in theirs is not repeated here. It
//! only reads, one slot and one order at a time; what it keeps until the end is one small entry per hold that is confirmed.
//!
//! A fleet at rest is audited exactly. What changes while the audit reads may be judged by two moments at once: audit again
//! before you believe a violation that concerns the last minute.
//!
//! # What is checked
//! - **Journal** (I7, I5, I10): versions without gaps from 1 or from the checkpoint behind which the stream was purged,
//!   previous ids, hash chain and head; epochs that never go back; every batch decodes; every run is in the slot
//!   it hashes to; no id is accepted twice; no record is without events.
//! - **Seats** (I1): every place and segment has at most one live holder, exists, and belongs to one person once; standing
//!   tickets, quotas, allotments and protection are within what was in force when a ticket was sold.
//! - **Time** (I3): holds, offers and waitlist entries end with the recorded time that passes their deadline, never before
//!   it; none is open long after its deadline; orders and trades have ended in time, or have someone who looks after them.
//! - **The line** (I4): sequence numbers count up; an entry is offered what it wished; when an entry is offered something, no
//!   entry before it could have been served from what is free at that moment; and after whatever may free something, no
//!   waiting entry can be served at all. "Could be served" is asked of the state before the offer: enough places free over the
//!   whole interval (or standing room where that will do), within the limits then in force, while its stop sells, for people
//!   without a ticket on the run.
//! - **Orders and money** (I1, I2, I3, I8): every issued ticket has its confirmed seat and every confirmed seat its ticket;
//!   per order captured = live tickets + fees + refunded + refunds under way, in order's books and in payment's; postings
//!   sum to zero, one by one and together; every capture and refund is posted once; refunds and fees stay within what was
//!   captured; and the provider's books say the same.

mod journal;
mod orders;
mod provider;
mod read;
mod report;
mod run;

pub use report::{Counts, Invariant, Report, VIOLATIONS_LISTED_MAX, Violation};

use journal::JournalAudit;
use read::Database;

/// How long after its deadline something may still be open, in ms of fault-free time.
pub(crate) const GRACE_MS: i64 = 60_000;

/// What to audit. Each part may be left out; what lies between two parts is checked where both are there.
#[derive(Clone, Default)]
pub struct Sources {
    /// The journal's databases: `sqlite:PATH` or `postgres://...`, one per storage cluster.
    pub journals: Vec<String>,
    /// Order's database.
    pub order: Option<String>,
    /// Payment's database.
    pub payment: Option<String>,
    /// The sandbox provider's database.
    pub provider: Option<String>,
    /// The moment by which deadlines are judged, in ms since 1970-01-01 UTC. Without it, the newest moment in the journals:
    /// right for a fleet that was stopped.
    pub now_ms: Option<i64>,
}

/// How far an audit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being read.
    pub stage: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is, where that is known.
    pub total: Option<u64>,
}

/// Why an audit could not be made. Broken invariants are no error: they stand in the report.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A database could not be opened.
    #[error("cannot open the {engine} database")]
    Open {
        /// Its engine; never its URL, which may hold a password.
        engine: &'static str,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// A database could not be read.
    #[error("cannot read the database")]
    Read(#[source] sqlx::Error),
    /// A column has another type than this version knows.
    #[error("column {index} is not of the type that this version knows")]
    Column {
        /// Which column of the statement.
        index: usize,
    },
    /// Rows did not come in the order that was asked for.
    #[error("the database does not sort ids as this version needs it")]
    Order,
}

/// Audits what the sources name. `progress` is told now and then how far it is.
///
/// # Errors
/// When a database cannot be opened or read.
pub async fn run(sources: &Sources, mut progress: impl FnMut(Progress)) -> Result<Report, AuditError> {
    let mut report = Report::default();
    let mut journal = JournalAudit::default();
    for url in &sources.journals {
        let database = Database::open(url).await?;
        journal.read(&database, &mut report, &mut progress).await?;
    }
    let now_ms = sources.now_ms.or(journal.newest_ms);
    let seats = journal.finish(now_ms, &mut report);
    let order = open(sources.order.as_deref()).await?;
    let payment = open(sources.payment.as_deref()).await?;
    let books = orders::Books {
        order: order.as_ref(),
        payment: payment.as_ref(),
        seats: (!sources.journals.is_empty()).then_some(&seats),
        now_ms,
    };
    books.audit(&mut report, &mut progress).await?;
    if let (Some(payment), Some(url)) = (&payment, &sources.provider) {
        let provider = Database::open(url).await?;
        provider::compare(payment, &provider, &mut report, &mut progress).await?;
    }
    Ok(report)
}

async fn open(url: Option<&str>) -> Result<Option<Database>, AuditError> {
    match url {
        Some(url) => Database::open(url).await.map(Some),
        None => Ok(None),
    }
}
