//! The daily comparison with the provider's statement. Differences are listed, never silently fixed (RULES: Money).

use domain::{Money, ServiceDate, Time};

use crate::app::App;
use crate::error::Error;

const DAY_MS: i64 = 86_400_000;
/// How many of our own operations are read at once.
const PAGE_OPERATIONS: u32 = 1_000;

/// Something on which we and the provider do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The trade's or refund's id.
    pub id: String,
    /// What we say moved, refunds negative; nothing where we do not know of it.
    pub ours: Option<Money>,
    /// What the provider says moved.
    pub theirs: Option<Money>,
}

/// Compares one UTC day: every line of the provider's statement must be an operation of ours with the same amount, and
/// every operation of ours must stand in the statement of that day or of a day beside it, since both clocks pass midnight
/// by themselves. Sorted by id.
pub async fn reconcile(app: &App, day: ServiceDate) -> Result<Vec<Difference>, Error> {
    let statement = app.provider().statement(day).await?;
    let mut differences = Vec::new();
    for (id, theirs) in &statement {
        let ours = app.store().operation(id).await?.map(|operation| signed(operation.is_refund, operation.amount));
        if ours != Some(*theirs) {
            differences.push(Difference { id: id.clone(), ours, theirs: Some(*theirs) });
        }
    }
    let (before, after) = (day.plus_days(-1), day.plus_days(1));
    let beside = [app.provider().statement(before).await?, app.provider().statement(after).await?];
    let from = Time::from_millis(i64::from(day.days()) * DAY_MS);
    let mut last = String::new();
    loop {
        let page = app.store().operations(from, from.plus_millis(DAY_MS), &last, PAGE_OPERATIONS).await?;
        for operation in &page {
            let ours = Some(signed(operation.is_refund, operation.amount));
            let elsewhere = beside.iter().find_map(|statement| statement.get(&operation.id)).copied();
            // What stands in the day's own statement was compared above.
            if !statement.contains_key(&operation.id) && elsewhere != ours {
                differences.push(Difference { id: operation.id.clone(), ours, theirs: elsewhere });
            }
        }
        match page.last() {
            Some(operation) if page.len() >= PAGE_OPERATIONS as usize => last.clone_from(&operation.id),
            _ => break,
        }
    }
    differences.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(differences)
}

fn signed(is_refund: bool, amount: Money) -> Money {
    if is_refund { -amount } else { amount }
}
