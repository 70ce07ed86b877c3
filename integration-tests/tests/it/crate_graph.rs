//! What may depend on what: the architecture's invariants as the crate graph shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const SERVICES: [&str; 7] = ["gateway", "query", "inventory-shard", "order", "payment", "waitlist", "sandbox-provider"];
/// Programs that host roles, and nothing's dependency: the binary, the bench, the stories.
const HOSTS: [&str; 3] = ["chunyun", "bench", "integration-tests"];
/// Crates that decide: nothing in their graph may do I/O or run tasks.
const PURE: [&str; 10] = [
    "domain",
    "inventory",
    "ownership",
    "train-date",
    "ring",
    "membership",
    "policy",
    "journal-encoding",
    "order-saga",
    "trade",
];
const IMPURE: [&str; 7] = ["tokio", "tonic", "sqlx", "hyper", "reqwest", "redis", "tracing"];

/// Direct dependencies of every crate of the workspace, build and test dependencies left out.
fn direct() -> BTreeMap<String, BTreeSet<String>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path", manifest])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let dependencies = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap();
        all.iter().filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (name(package), dependencies(package))).collect()
}

/// Everything of the workspace that a crate reaches, and what those depend on directly.
fn reached(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for dependency in graph.get(&name).into_iter().flatten() {
            if seen.insert(dependency.clone()) {
                open.push(dependency.clone());
            }
        }
    }
    seen
}

#[test]
fn a_service_never_depends_on_another_service() {
    let graph = direct();
    for service in SERVICES {
        let others: Vec<_> =
            reached(&graph, service).into_iter().filter(|name| SERVICES.contains(&name.as_str())).collect();
        assert!(others.is_empty(), "{service} depends on {others:?}");
    }
}

#[test]
fn no_library_depends_on_a_service() {
    let graph = direct();
    for (name, dependencies) in &graph {
        let host = HOSTS.contains(&name.as_str()) || SERVICES.contains(&name.as_str());
        assert!(!dependencies.iter().any(|other| HOSTS.contains(&other.as_str())), "{name} depends on a host");
        let services: Vec<_> = dependencies.iter().filter(|other| SERVICES.contains(&other.as_str())).collect();
        assert!(host || services.is_empty(), "{name} depends on {services:?}");
    }
}

#[test]
fn what_decides_cannot_do_io() {
    let graph = direct();
    for pure in PURE {
        let reached = reached(&graph, pure);
        let impure: Vec<_> = IMPURE.iter().filter(|name| reached.contains(**name)).collect();
        assert!(impure.is_empty(), "{pure} reaches {impure:?}");
    }
}

#[test]
fn the_audit_shares_nothing_but_the_journals_encoding() {
    let graph = direct();
    let ours: Vec<_> = graph["audit"].iter().filter(|name| graph.contains_key(*name)).collect();
    assert_eq!(ours, ["journal-encoding"]);
}

#[test]
fn wrong_protocols_are_out_of_the_products_reach() {
    let graph = direct();
    assert!(!reached(&graph, "chunyun").contains("simulation"));
}
