//! Tables of what was measured, as text and as JSON.

use std::fmt::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use crate::appending::{Appending, Loading};
use crate::plan::{CommitsSeen, Outcome, Restart};
use crate::{Design, Entry, Workload};

/// Everything that a run of the bench has found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Holds, releases and refusals.
    pub outcomes: Vec<Outcome>,
    /// Shards started again.
    pub restarts: Vec<Restart>,
    /// The journal alone.
    pub appending: Vec<Appending>,
    /// Loading from it.
    pub loading: Vec<Loading>,
}

/// A ratio that was to be reached.
struct Target {
    what: String,
    wanted: f64,
    reached: f64,
}

/// The designs that others are measured against.
const AGAINST: [(Design, &str); 6] = [
    (Design::RedisLockKeys, "lock keys"),
    (Design::RedisBitmap, "bitmap"),
    (Design::RedisBitmapFsync, "fsynced"),
    (Design::PostgresSeatRows, "seat rows"),
    (Design::PostgresIntervalRows, "interval rows"),
    (Design::Echo, "echo"),
];

impl Findings {
    fn per_second(&self, workload: Workload, clients: usize, entry: Entry, design: Design) -> Option<f64> {
        let found = self.outcomes.iter().find(|outcome| {
            let cell = outcome.cell;
            (cell.workload, cell.clients, cell.entry, cell.design) == (workload, clients, entry, design)
        });
        found.map(|outcome| outcome.median.per_second())
    }

    /// How many times as fast as another design, by the same way. An echo goes over the same second hop.
    fn ratio(&self, outcome: &Outcome, against: Design) -> Option<f64> {
        let cell = outcome.cell;
        let unary_hop = matches!(
            cell.design,
            Design::ChunyunPostgresUnaryHop | Design::ChunyunSqliteUnaryHop | Design::EchoUnaryHop
        );
        let against = if against == Design::Echo && unary_hop { Design::EchoUnaryHop } else { against };
        let other = self.per_second(cell.workload, cell.clients, cell.entry, against)?;
        Some(outcome.median.per_second() / other)
    }

    /// What was to be reached, of what was measured.
    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut clients: Vec<usize> = self.outcomes.iter().map(|outcome| outcome.cell.clients).collect();
        clients.sort_unstable();
        clients.dedup();
        for clients in clients {
            let many = clients >= 1_024;
            let hot = |entry, design| self.per_second(Workload::HotTrain, clients, entry, design);
            let refused = |entry, design| self.per_second(Workload::SoldOut, clients, entry, design);
            let (chunyun, fsynced) = (Design::ChunyunPostgres, Design::RedisBitmapFsync);
            let mut add = |what: &str, wanted: f64, one: Option<f64>, other: Option<f64>| {
                if let (Some(one), Some(other)) = (one, other) {
                    targets.push(Target { what: format!("{what}, {clients} clients"), wanted, reached: one / other });
                }
            };
            let inside = hot(Entry::Inside, chunyun);
            let unary = hot(Entry::Unary, chunyun);
            add("inside, of the fsynced bitmap", if many { 7.0 } else { 3.0 }, inside, hot(Entry::Inside, fsynced));
            add("inside, of seat rows", 10.0, inside, hot(Entry::Inside, Design::PostgresSeatRows));
            add("unary edge, of the fsynced bitmap", if many { 1.3 } else { 1.1 }, unary, hot(Entry::Unary, fsynced));
            add("unary edge, of the echo", 0.5, unary, hot(Entry::Unary, Design::Echo));
            add("streaming edge, of the unary one", 2.5, hot(Entry::Streaming, chunyun), unary);
            let echo = refused(Entry::Unary, Design::Echo);
            add("refusals at the unary edge, of the echo", 0.8, refused(Entry::Unary, chunyun), echo);
            let bitmap = refused(Entry::Inside, Design::RedisBitmap);
            add("refusals inside, of the bitmap", 2.0, refused(Entry::Inside, chunyun), bitmap);
        }
        for appending in &self.appending {
            let what = format!("append on {}, {}", appending.engine, appending.shape());
            targets.push(Target { what, wanted: 0.8, reached: appending.ratio() });
        }
        targets
    }
}

/// All tables as text.
pub fn print(findings: &Findings) -> String {
    let mut text = String::new();
    let mut groups: Vec<(Workload, usize)> =
        findings.outcomes.iter().map(|outcome| (outcome.cell.workload, outcome.cell.clients)).collect();
    groups.dedup();
    for (workload, clients) in groups {
        let _ = writeln!(text, "{}, {clients} clients; ratios to the same entry", workload.name());
        let _ = writeln!(text, "{}\n", hold_table(findings, workload, clients));
    }
    if !findings.outcomes.is_empty() {
        let _ = writeln!(text, "commits of the fleet's journal\n{}\n", commit_table(findings));
    }
    for restart in &findings.restarts {
        let Restart { design, batches, owned_ms, answered_ms } = restart;
        let _ = writeln!(
            text,
            "{}: a shard with {batches} batches owns its slots after {owned_ms} ms, all trains answer after {answered_ms} ms",
            design.name()
        );
    }
    if !findings.appending.is_empty() {
        let _ = writeln!(text, "\nthe journal against the bare insert of the same rows\n{}\n", append_table(findings));
        let _ = writeln!(text, "loading one train-date of 5,000 events\n{}\n", load_table(findings));
    }
    let _ = writeln!(text, "targets\n{}", target_table(&findings.targets()));
    text
}

/// A table whose first column is words and whose others are numbers.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn hold_table(findings: &Findings, workload: Workload, clients: usize) -> Table {
    let mut header = vec!["entry and design", "per second", "p50 us", "p99 us", "CPU us", "failed"];
    header.extend(AGAINST.iter().map(|(_, name)| *name));
    let mut table = table(&header);
    let of_group = |outcome: &&Outcome| outcome.cell.workload == workload && outcome.cell.clients == clients;
    for outcome in findings.outcomes.iter().filter(of_group) {
        let measured = &outcome.median;
        let mut row = vec![
            format!("{} {}", outcome.cell.entry.name(), outcome.cell.design.name()),
            format!("{:.0}", measured.per_second()),
            measured.p50_us.to_string(),
            measured.p99_us.to_string(),
            format!("{:.1}", measured.cpu_us()),
            outcome.failed.to_string(),
        ];
        row.extend(AGAINST.iter().map(|(design, _)| ratio(findings.ratio(outcome, *design))));
        table.add_row(row);
    }
    table
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}

fn commit_table(findings: &Findings) -> Table {
    let mut table = table(&["cell", "p50 us", "p99 us", "requests each", "slots each"]);
    for outcome in &findings.outcomes {
        let Some(CommitsSeen { p50_us, p99_us, operations_mean, slots_mean }) = outcome.commits else { continue };
        let cell = outcome.cell;
        table.add_row(vec![
            format!("{}, {} clients, {} {}", cell.workload.name(), cell.clients, cell.entry.name(), cell.design.name()),
            p50_us.to_string(),
            p99_us.to_string(),
            format!("{operations_mean:.1}"),
            format!("{slots_mean:.1}"),
        ]);
    }
    table
}

fn append_table(findings: &Findings) -> Table {
    let mut table = table(&["engine and batch", "events/s", "bare/s", "ratio"]);
    for appending in &findings.appending {
        table.add_row(vec![
            format!("{}, {}", appending.engine, appending.shape()),
            format!("{:.0}", appending.events_per_second),
            format!("{:.0}", appending.bare_per_second),
            format!("{:.2}", appending.ratio()),
        ]);
    }
    table
}

fn load_table(findings: &Findings) -> Table {
    let mut table = table(&["engine and batch", "ms"]);
    for Loading { engine, batch_events, millis } in &findings.loading {
        table.add_row(vec![format!("{engine}, batches of {batch_events}"), format!("{millis:.2}")]);
    }
    table
}

fn target_table(targets: &[Target]) -> Table {
    let mut table = table(&["target", "wanted", "measured", ""]);
    for Target { what, wanted, reached } in targets {
        let verdict = if reached >= wanted { "reached" } else { "missed" };
        table.add_row(vec![what.clone(), format!("{wanted:.1}"), format!("{reached:.2}"), verdict.to_owned()]);
    }
    table
}

/// Everything as JSON.
pub fn to_json(findings: &Findings) -> Value {
    let holds = findings.outcomes.iter().map(|outcome| {
        let (cell, measured) = (outcome.cell, &outcome.median);
        let against = AGAINST.iter().map(|(design, _)| (design.name().to_owned(), findings.ratio(outcome, *design)));
        json!({
            "workload": cell.workload.name(),
            "clients": cell.clients,
            "entry": cell.entry.name(),
            "design": cell.design.name(),
            "per_second": measured.per_second(),
            "p50_us": measured.p50_us,
            "p99_us": measured.p99_us,
            "cpu_us": measured.cpu_us(),
            "refused": measured.refused,
            "failed": outcome.failed,
            "failure": measured.failure,
            "ratio_to": against.map(|(name, ratio)| (name, json!(ratio))).collect::<serde_json::Map<_, _>>(),
            "commits": outcome.commits.map(|commits| json!({
                "p50_us": commits.p50_us,
                "p99_us": commits.p99_us,
                "requests_mean": commits.operations_mean,
                "slots_mean": commits.slots_mean,
            })),
        })
    });
    let restarts = findings.restarts.iter().map(|restart| {
        json!({
            "design": restart.design.name(),
            "batches": restart.batches,
            "owned_ms": restart.owned_ms,
            "answered_ms": restart.answered_ms,
        })
    });
    let appending = findings.appending.iter().map(|appending| {
        json!({
            "engine": appending.engine,
            "slots": appending.slots,
            "batch_events": appending.batch_events,
            "events_per_second": appending.events_per_second,
            "bare_per_second": appending.bare_per_second,
            "ratio": appending.ratio(),
        })
    });
    let loading = findings
        .loading
        .iter()
        .map(|loading| json!({ "engine": loading.engine, "batch_events": loading.batch_events, "ms": loading.millis }));
    let targets = findings.targets().into_iter().map(|target| {
        let reached = target.reached >= target.wanted;
        json!({ "target": target.what, "wanted": target.wanted, "measured": target.reached, "reached": reached })
    });
    json!({
        "holds": holds.collect::<Vec<_>>(),
        "restarts": restarts.collect::<Vec<_>>(),
        "appending": appending.collect::<Vec<_>>(),
        "loading": loading.collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
    })
}
