//! The provider's books beside payment's: one operation there for one here, and the same amount.

use std::collections::BTreeMap;

use crate::read::{Database, Groups, Row, Sql};
use crate::{AuditError, Invariant, Progress, Report};

/// The same sorted by the bytes of the id, whatever the database's language.
macro_rules! by_id {
    ($select:literal) => {
        Sql { sqlite: concat!($select, " ORDER BY id"), postgres: concat!($select, " ORDER BY id COLLATE \"C\"") }
    };
}

const OURS: Sql = by_id!(
    "SELECT id, amount_fen, done FROM (\
       SELECT trade_id AS id, amount_fen, CASE state WHEN 'captured' THEN 1 WHEN 'pending' THEN 2 ELSE 0 END AS done \
       FROM trade UNION ALL \
       SELECT refund_id AS id, -amount_fen, CASE state WHEN 'succeeded' THEN 1 ELSE 2 END FROM refund \
       WHERE amount_fen > 0) AS operation"
);
const THEIRS: Sql = by_id!(
    "SELECT id, amount_fen FROM (\
       SELECT merchant_trade_id AS id, amount_fen FROM charge WHERE state = 'succeeded' UNION ALL \
       SELECT merchant_refund_id AS id, -amount_fen FROM refund WHERE settled_at_ms IS NOT NULL) AS operation"
);

/// Whether our books have an operation as done; 2 is under way.
const DONE: i64 = 1;
const UNDER_WAY: i64 = 2;

/// Compares the books of payment and provider, operation by operation.
pub async fn compare(
    payment: &Database,
    provider: &Database,
    report: &mut Report,
    progress: &mut impl FnMut(Progress),
) -> Result<(), AuditError> {
    let id: fn(&Row) -> Result<String, AuditError> = |row| row.text(0).map(str::to_owned);
    let mut ours = Groups::new(payment.stream(OURS, &[]), id).await?;
    let mut theirs = Groups::new(provider.stream(THEIRS, &[]), id).await?;
    while let Some(id) = [ours.key(), theirs.key()].into_iter().flatten().min().cloned() {
        let (here, there) = (ours.take(&id).await?, theirs.take(&id).await?);
        report.counts.provider_operations += there.len() as u64;
        compare_one(&id, &here, &there, report)?;
    }
    progress(Progress { stage: "provider", done: report.counts.provider_operations, total: None });
    Ok(())
}

fn compare_one(id: &str, here: &[Row], there: &[Row], report: &mut Report) -> Result<(), AuditError> {
    let mut amounts = BTreeMap::new();
    for row in there {
        *amounts.entry(row.int(1)?).or_insert(0u32) += 1;
    }
    let place = format!("operation {id}");
    let ours = here.first().map(|row| Ok::<_, AuditError>((row.int(1)?, row.int(2)?))).transpose()?;
    let is_refund = ours.map_or_else(|| amounts.keys().any(|fen| *fen < 0), |(fen, _)| fen < 0);
    let invariant = if is_refund { Invariant::I8 } else { Invariant::I2 };
    match (ours, there.len()) {
        (Some((_, done)), 0) if done != DONE => {}
        // It has happened there and is still asked for here.
        (Some((fen, UNDER_WAY)), 1) if amounts.contains_key(&fen) => {}
        (Some((fen, DONE)), 1) if amounts.contains_key(&fen) => {}
        (Some((fen, done)), times) => {
            let here = if done == DONE { format!("{fen} fen") } else { "nothing".to_owned() };
            let there: Vec<_> = amounts.iter().map(|(fen, times)| format!("{times} x {fen} fen")).collect();
            let there = if times == 0 { "nothing".to_owned() } else { there.join(", ") };
            report.found(invariant, place, format!("moved {here} by payment's books, {there} by the provider's"));
        }
        (None, _) => report.found(invariant, place, "stands in the provider's books and not in payment's"),
    }
    Ok(())
}
