//! Planted violations: a small fleet's databases are built by hand, one thing in them is broken, and the audit must find
//! that and nothing else. A check that cannot fail is none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod books;
mod events;
mod fleet;
mod journal;

use audit::{Invariant, Report, Sources};

/// The crates of the project that the audit may know: the encoding of what it reads.
#[test]
fn the_audit_shares_no_code_with_what_it_audits() {
    let manifest = include_str!("../../Cargo.toml");
    let names = manifest.lines().filter_map(|line| line.strip_suffix(".workspace = true")).collect::<Vec<_>>();
    let workspace = include_str!("../../../../../Cargo.toml");
    let ours = workspace.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" = { path = ")?;
        (!rest.is_empty()).then_some(name)
    });
    let known: Vec<_> = ours.filter(|name| names.contains(name)).collect();
    assert_eq!(known, ["journal-encoding"]);
}

/// Audits everything and forgets how far it was.
pub async fn audit(sources: &Sources) -> Report {
    audit::run(sources, |_| {}).await.unwrap()
}

/// Which invariants a report finds broken.
pub fn broken(report: &Report) -> Vec<Invariant> {
    report.totals.keys().copied().collect()
}
