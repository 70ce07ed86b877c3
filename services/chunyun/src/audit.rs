//! `chunyun audit`: the independent audit over a fleet's databases.

use std::path::PathBuf;

use ::audit::{AuditError, Invariant, Report, Sources};
use indicatif::{ProgressBar, ProgressStyle};
use rpc::Clock;

use crate::host::DataDir;
use crate::{FoundWrong, output};

/// Recomputes seats, journal and money from the databases, sharing no code with the services
///
/// A stopped fleet is audited exactly. Exit status 1 if any invariant is violated.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  chunyun audit --data ./chunyun-data\n  \
                  CHUNYUN_STORAGE__JOURNAL=postgres://... CHUNYUN_STORAGE__ORDER=postgres://... chunyun audit --running --json")]
pub struct Audit {
    /// An embedded fleet's data directory: audits all its databases
    #[arg(long, conflicts_with_all = ["journals", "order", "payment", "provider"])]
    data: Option<PathBuf>,
    /// A journal's database, as sqlite:PATH or postgres://...; one for each cluster it is spread over
    #[arg(long = "journal", env = "CHUNYUN_STORAGE__JOURNAL", hide_env_values = true)]
    journals: Vec<String>,
    /// The order database
    #[arg(long, env = "CHUNYUN_STORAGE__ORDER", hide_env_values = true)]
    order: Option<String>,
    /// The payment database
    #[arg(long, env = "CHUNYUN_STORAGE__PAYMENT", hide_env_values = true)]
    payment: Option<String>,
    /// The sandbox provider's database, to compare its books
    #[arg(long, env = "CHUNYUN_STORAGE__SANDBOX_PROVIDER", hide_env_values = true)]
    provider: Option<String>,
    /// The fleet is running: judge deadlines by this machine's clock
    #[arg(long)]
    running: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// `chunyun audit`.
///
/// # Errors
/// A database that cannot be read; [`FoundWrong`] where an invariant is violated.
pub async fn audit(command: Audit) -> Result<(), Box<dyn std::error::Error>> {
    let now_ms = command.running.then(|| rpc::SystemClock.now().millis());
    let sources = match command.data {
        Some(path) if !path.is_dir() => return Err(format!("{} is no data directory", path.display()).into()),
        Some(path) => Sources { now_ms, ..sources(&DataDir::at(&path)?) },
        None => Sources {
            journals: command.journals,
            order: command.order,
            payment: command.payment,
            provider: command.provider,
            now_ms,
        },
    };
    if sources.journals.is_empty() && sources.order.is_none() && sources.payment.is_none() {
        return Err("nothing to audit: give --data, or some of --journal, --order and --payment".into());
    }
    let report = run(&sources).await?;
    output::line(&if command.json { report.to_json() } else { report.to_string() });
    if report.is_clean() { Ok(()) } else { Err(FoundWrong.into()) }
}

/// Audits with a progress bar.
///
/// # Errors
/// As [`::audit::run`].
pub async fn run(sources: &Sources) -> Result<Report, AuditError> {
    let style = ProgressStyle::with_template("auditing {msg} {bar:40} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    let report = ::audit::run(sources, |progress| {
        bar.set_message(progress.stage);
        bar.set_length(progress.total.unwrap_or(progress.done));
        bar.set_position(progress.done);
    })
    .await;
    bar.finish_and_clear();
    report
}

/// The databases of an embedded fleet.
pub fn sources(data: &DataDir) -> Sources {
    let url = |service: &str| format!("sqlite:{}", data.path().join(format!("{service}.db")).display());
    Sources {
        journals: vec![url("journal")],
        order: Some(url("order")),
        payment: Some(url("payment")),
        provider: Some(url("sandbox-provider")),
        now_ms: None,
    }
}

/// Places sold twice, or limits passed: what must never be anything but 0.
pub fn oversold(report: &Report) -> u64 {
    report.violations_of(Invariant::I1)
}
