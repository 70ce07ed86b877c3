//! Which rule a database's constraint stands for.

use super::super::{Refusal, StoreError};

/// The refusal behind a constraint, by its name on Postgres and by what SQLite says of it.
pub(super) fn refusal_of(error: sqlx::Error) -> StoreError {
    let Some(database) = error.as_database_error() else { return StoreError::Unavailable(Box::new(error)) };
    let says = |name: &str, sqlite: &str| {
        database.constraint() == Some(name) || (database.constraint().is_none() && database.message().contains(sqlite))
    };
    if says("one_ticket_per_run", "tickets.document, tickets.train_code") {
        Refusal::TicketOnRun.into()
    } else if says("no_overlap", "no_overlap") {
        Refusal::Overlap.into()
    } else if says("one_unpaid_order", "orders.account, orders.unpaid_slot") {
        Refusal::Unpaid.into()
    } else if says("orders_pkey", "orders.order_id") {
        StoreError::Exists
    } else if says("one_student_trip", "tickets.document, tickets.student_year") {
        // Two orders took the same trip at once: the later one reads again which are left.
        StoreError::Conflict
    } else {
        StoreError::Unavailable(Box::new(error))
    }
}
