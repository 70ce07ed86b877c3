use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::policy::Policy;
use ::timetable::Timetable;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::config::Config;
use super::fleet::{Fleet, HostError, Setup, bind};
use super::roles::RoleSet;
use super::{DataDir, Keys};
use crate::{output, tools};

/// How long load balancers get to see NOT_SERVING before calls are refused.
const DRAIN_NOTICE: Duration = Duration::from_secs(2);

/// Hosts roles until it is told to stop
///
/// Without a configuration: all roles in this process, on SQLite in the data directory. Settings come from a TOML file
/// and from the environment: CHUNYUN_STORAGE__ORDER overrides `order` in `[storage]`.
///
/// Which shards there are is told by `kind` in `[discovery]`: `fixed`, the list `[[shards.list]]` for good; `in-process`, the
/// same list in one process, where the ring can be edited until it ends; `consul`, with `address`, `token`, `ca_file`,
/// `fleet`, `check_interval_ms`, `check_timeout_ms`, `forget_after_s`, `wait_ms`, `timeout_ms`, `retry_ms`, `retry_max_ms` and
/// `lock_ttl_s` in `[discovery.consul]`; `kubernetes`, in a binary built with that feature, with `url`, `namespace`, `service`,
/// `config_map`, `lease`, `timeout_ms`, `retry_ms`, `retry_max_ms` and `lock_ttl_s` in `[discovery.kubernetes]`. A shard's process then needs `--shard`, `internal` in `[listen]`, and `advertise` in
/// `[discovery]` where others reach it by another address. `[discovery.ring]` has `grace_ms`, `settle_ms`, `trust_ms`,
/// `trust_max_ms`, `forgive_ms`, `recovery_ms`, `start_ms`, `retry_ms`, `retry_max_ms`, `leave_ms` and `lock_renew_ms`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chunyun serve\n  chunyun serve --timetable ../data --data ./rush --listen 127.0.0.1:7000\n  \
                  chunyun serve --roles gateway,query --config chunyun.toml\n  \
                  chunyun serve --roles inventory-shard --shard inventory-shard-0 --config chunyun.toml"
)]
pub struct Serve {
    /// `all`, or some of gateway, query, inventory-shard, order, payment, waitlist, sandbox-provider
    #[arg(long, default_value = "all")]
    roles: RoleSet,
    /// The configuration file
    #[arg(long, env = "CHUNYUN_CONFIG")]
    config: Option<PathBuf>,
    /// Where SQLite files and development keys are
    #[arg(long, env = "CHUNYUN_DATA", default_value = "chunyun-data")]
    data: PathBuf,
    /// The gateway's address; overrides the configuration
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The timetable's directory; overrides the configuration
    #[arg(long)]
    timetable: Option<PathBuf>,
    /// Where this process is to die, wait or fail on purpose, such as order.after_confirm=kill@3
    #[arg(long, env = "CHUNYUN_FAILPOINTS", hide = true)]
    failpoints: Option<String>,
    /// Permits failpoints: never where tickets are sold
    #[arg(long, env = "CHUNYUN_ALLOW_FAILPOINTS", hide = true)]
    allow_failpoints: bool,
    /// Which shard this process is, when the shards are listed in the configuration
    #[arg(long, env = "CHUNYUN_SHARD")]
    shard: Option<String>,
}

/// `chunyun serve`.
///
/// # Errors
/// Whatever keeps the roles from starting, with the setting that is wrong.
pub async fn serve(command: Serve) -> Result<(), HostError> {
    let mut config = Config::load(command.config.as_deref())?;
    config.listen.public = command.listen.unwrap_or(config.listen.public);
    config.timetable.path = command.timetable.or(config.timetable.path);
    let telemetry = telemetry::init(&config.telemetry, "chunyun", env!("CARGO_PKG_VERSION"))?;
    if let Some(plan) = command.failpoints.as_deref().filter(|plan| !plan.is_empty()) {
        failpoints::arm(failpoints::Plan::parse(plan)?, command.allow_failpoints)?;
    }
    let data = DataDir::at(&command.data)?;
    let keys_file = config.keys.path.clone();
    let keys = match &keys_file {
        Some(path) => Keys::load(path)?,
        None => data.keys()?,
    };
    let timetable = Arc::new(match &config.timetable.path {
        Some(path) => tools::load_timetable(path, config.timetable.drop_bad_rows)?,
        None => Timetable::sample(),
    });
    let policy = read_policy(&config)?;
    let keys_file = keys_file.unwrap_or_else(|| data.keys_file());
    let setup = Setup {
        roles: command.roles,
        shard: command.shard,
        spare_shards: Vec::new(),
        config,
        data,
        keys,
        keys_file,
        timetable,
        policy,
    };
    let metrics_address = setup.config.listen.metrics;
    let stop = told_to_stop();
    tokio::pin!(stop);
    let fleet = tokio::select! {
        launched = Fleet::launch(setup) => launched?,
        // Whatever has started ends with the process: what may keep the rest from starting would keep it from draining too.
        () = &mut stop => return Ok(()),
    };
    let mut metrics = show_metrics(metrics_address, telemetry.routes()).await?;
    for (name, address) in fleet.listening() {
        output::line(&format!("{name} at http://{address}"));
    }
    output::line("ready");
    let outcome = tokio::select! {
        () = stop => Ok(()),
        role = fleet.failed() => Err(HostError::RoleFailed(role)),
    };
    output::note("draining");
    fleet.drain(DRAIN_NOTICE).await;
    // Metrics are shown to the very end of draining.
    metrics.abort_all();
    telemetry.shutdown();
    outcome
}

/// Shows metrics over HTTP where an address is set.
async fn show_metrics(address: Option<SocketAddr>, routes: axum::Router) -> Result<JoinSet<()>, HostError> {
    let mut serving = JoinSet::new();
    if let Some(address) = address {
        let listener = bind(address, "metrics").await?;
        serving.spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "metrics are shown no more");
            }
        });
    }
    Ok(serving)
}

fn read_policy(config: &Config) -> Result<Policy, HostError> {
    let Some(path) = &config.policy.path else { return Ok(Policy::default()) };
    let text = std::fs::read_to_string(path)
        .map_err(|source| HostError::PolicyFile { path: path.display().to_string(), source })?;
    Ok(Policy::parse(&text)?)
}

/// Listens for SIGTERM and Ctrl-C from now on, and waits for one of them: whoever reads that the roles are ready may stop them.
fn told_to_stop() -> impl Future<Output = ()> {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        tokio::select! {
            () = received(terminate) => {}
            () = received(interrupt) => {}
        }
    }
}

/// Waits for a signal. One that cannot be listened for ends the process by itself.
async fn received(listener: std::io::Result<Signal>) {
    let Ok(mut listener) = listener else { return std::future::pending().await };
    listener.recv().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_that_comes_before_anybody_waits_is_not_lost() {
        let stop = told_to_stop();
        let own_id = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &own_id]).status().unwrap().success());
        assert!(tokio::time::timeout(Duration::from_secs(20), stop).await.is_ok());
    }
}
