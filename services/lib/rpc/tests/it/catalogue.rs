//! Every reason has its line in the catalogue, and every line its reason.

use std::collections::BTreeSet;

const CATALOGUE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../proto/docs/errors.md"));

#[test]
fn the_catalogue_lists_each_reason_once_with_code_meaning_and_advice() {
    let mut listed = BTreeSet::new();
    for line in CATALOGUE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Reason")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [reason, code, meaning, advice] = cells[..] else { panic!("four cells: {line}") };
        assert!(!code.is_empty() && meaning.ends_with('.') && advice.ends_with('.'), "{line}");
        assert!(listed.insert(reason), "{reason} stands twice");
    }
    let reasons: BTreeSet<&str> = rpc::reason::ALL.iter().copied().collect();
    let missing: Vec<_> = reasons.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&reasons).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "without a line: {missing:?}; without a reason: {unknown:?}");
}
