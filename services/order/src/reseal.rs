//! Seals every passenger with the vault's current key, so that older keys can be dropped.

use privacy::{DocumentVault, Fresh, OpenError};

use crate::app::passenger_context;
use crate::store::{OrderStore, StoreError, TicketKey};

/// Tickets read at once.
const PAGE_TICKETS: u32 = 500;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResealReport {
    /// Tickets looked at.
    pub done: u64,
    /// Tickets there were when it began.
    pub total: u64,
    /// Those whose passenger was sealed with an older key, and is sealed with the current one now.
    pub resealed: u64,
}

/// Why passengers could not be sealed anew. What was done before stays done, and it may be begun again.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A passenger does not open: its key is missing, or the record is damaged. Keep the older keys.
    #[error("passenger of ticket {} of order {} cannot be opened", .ticket.position, .ticket.order)]
    Open {
        /// Whose.
        ticket: TicketKey,
        /// Why.
        source: OpenError,
    },
    /// The system's source of randomness failed.
    #[error("no randomness to seal passengers with")]
    NoRandomness,
}

/// Seals every stale passenger of a store anew. The services may run meanwhile: a vault that knows both keys opens either.
///
/// # Errors
/// See [`ResealError`].
pub async fn reseal(
    store: &dyn OrderStore,
    vault: &DocumentVault,
    mut progress: impl FnMut(ResealReport),
) -> Result<ResealReport, ResealError> {
    let mut report = ResealReport { total: store.count_sealed().await?, ..ResealReport::default() };
    let mut after = None;
    loop {
        let page = store.sealed_after(after, PAGE_TICKETS).await?;
        let Some(last) = page.last() else { return Ok(report) };
        after = Some(last.ticket);
        for it in &page {
            report.done += 1;
            if !vault.is_stale(&it.sealed) {
                continue;
            }
            let context = passenger_context(it.ticket.order, usize::from(it.passenger));
            let (name, document) =
                vault.open(&it.sealed, &context).map_err(|source| ResealError::Open { ticket: it.ticket, source })?;
            let fresh = Fresh::from_system().map_err(|_| ResealError::NoRandomness)?;
            store.reseal(it, vault.seal(&name, &document, &context, fresh)).await?;
            report.resealed += 1;
        }
        progress(report);
    }
}
