//! Callbacks that are owed.

use std::sync::LazyLock;

use futures::future::BoxFuture;
use portable_sql::Type::{Int, Text};
use portable_sql::{Engine, Many, Row, values};
use storage::{Lot, LotOutcomes};

use super::super::{OwedCallback, StoreError};
use crate::model::Callback;

/// Records callbacks that are owed, unless they are already.
pub(super) async fn owe<E: Engine>(connection: &mut E::Connection, owed: Vec<OwedCallback>) -> Result<(), StoreError> {
    static OWE: LazyLock<Many> = LazyLock::new(|| {
        let text = "INSERT INTO callback (callback_id, url, body, due_at_ms) \
             SELECT sent.callback_id, sent.url, sent.body, sent.due_at_ms FROM {sent} WHERE true \
             ON CONFLICT (callback_id) DO NOTHING";
        Many::new(text, &[("callback_id", Text), ("url", Text), ("body", Text), ("due_at_ms", Int)])
    });
    let row = |it: OwedCallback| values![it.callback_id, it.url, it.body, it.due.millis()];
    E::many(connection, &OWE, owed.into_iter().map(row).collect()).await?;
    Ok(())
}

/// Crosses off callbacks that were taken.
pub(super) struct TakenCallbacks;

impl<E: Engine> Lot<E> for TakenCallbacks {
    type Item = String;
    type Value = ();
    type Error = StoreError;

    fn perform<'c>(
        &'c self,
        connection: &'c mut E::Connection,
        callbacks: &'c [String],
    ) -> BoxFuture<'c, LotOutcomes<(), StoreError>> {
        static DELETE: LazyLock<Many> = LazyLock::new(|| {
            let text = "DELETE FROM callback WHERE callback_id IN (SELECT sent.callback_id FROM {sent})";
            Many::new(text, &[("callback_id", Text)])
        });
        Box::pin(async move {
            let rows = callbacks.iter().map(|id| values![id.as_str()]).collect();
            E::many(connection, &DELETE, rows).await?;
            Ok(callbacks.iter().map(|_| Ok(())).collect())
        })
    }
}

/// Reads callback_id, url, body, attempts.
pub(super) fn read(row: &Row) -> Result<Callback, sqlx::Error> {
    Ok(Callback {
        callback_id: row.text(0)?.to_owned(),
        url: row.text(1)?.to_owned(),
        body: row.text(2)?.to_owned(),
        attempts: u32::try_from(row.int(3)?).unwrap_or(u32::MAX),
    })
}
