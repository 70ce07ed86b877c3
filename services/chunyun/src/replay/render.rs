use ::replay::{Comparison, Figures};

use crate::client::render::{numbers, table, yuan};

/// A comparison as a heading and a table, the bound in its last row.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut rows = table([
        "policy",
        "served",
        "given back",
        "sold out",
        "protected",
        "passengers",
        "filled",
        "of the bound",
        "seat-km",
        "revenue",
    ]);
    for line in &comparison.policies {
        let figures = &line.figures;
        rows.add_row([
            line.policy.clone(),
            figures.requests_served.to_string(),
            figures.requests_cancelled.to_string(),
            refused(figures, |code| code != "PROTECTED_FOR_LONGER"),
            refused(figures, |code| code == "PROTECTED_FOR_LONGER"),
            figures.passengers.to_string(),
            percent(comparison.fill(figures)),
            percent(comparison.share_of_bound(figures)),
            figures.seat_km.to_string(),
            yuan(fen(figures.revenue_fen)),
        ]);
    }
    let bound = &comparison.bound;
    rows.add_row([
        "clairvoyant bound".to_owned(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        bound.passengers.to_string(),
        percent(comparison.bound_fill()),
        percent(1.0),
        bound.seat_km.to_string(),
        yuan(fen(bound.revenue_fen)),
    ]);
    numbers(&mut rows, 1..10);
    let train_dates = if comparison.train_dates == 1 { "train-date" } else { "train-dates" };
    format!(
        "{}: {} seat-segments on {} {train_dates}; {} requests of {} passengers ask for {:.2} times as many\n{rows}",
        comparison.name,
        comparison.seat_segments,
        comparison.train_dates,
        comparison.requests,
        comparison.passengers,
        comparison.load(),
    )
}

fn refused(figures: &Figures, counts: impl Fn(&str) -> bool) -> String {
    figures.refused.iter().filter(|(code, _)| counts(code)).map(|(_, count)| count).sum::<u64>().to_string()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn fen(fen: u64) -> i64 {
    i64::try_from(fen).unwrap_or(i64::MAX)
}
