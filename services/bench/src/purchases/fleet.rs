//! A fleet on Postgres with a process for each role.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::BenchError;
use crate::cpu::{self, Processes};
use crate::databases::new_database;
use crate::purchases::steps::DECIDE_AFTER;

const POLICY: &str = "[sale]\nopen_minute = 0\nclose_minute = 1440\nclose_minute_tuesday = 1440\n";

/// The roles in the order of starting: whoever asks another comes after it.
const ROLES: [&str; 7] = ["inventory-shard", "sandbox-provider", "payment", "order", "waitlist", "query", "gateway"];
/// Settings of databases.
const DATABASES: [&str; 5] = ["JOURNAL", "ORDER", "PAYMENT", "WAITLIST", "SANDBOX_PROVIDER"];

/// How the roles are spread over processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each role has its own, and calls go over the network.
    ProcessPerRole,
    /// All share one, and calls between roles stay within it.
    OneProcess,
}

impl Layout {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessPerRole => "a process for each role",
            Self::OneProcess => "all roles in one process",
        }
    }
}

/// A running fleet; its processes end with it.
pub struct Fleet {
    binary: PathBuf,
    folder: TempDir,
    gateway: u16,
    processes: Vec<(&'static str, Process)>,
    postgres: u32,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Fleet {
    pub async fn start(binary: &Path, postgres: &str, layout: Layout) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::because("no temporary directory"))?;
        let mut connection =
            PgConnection::connect(postgres).await.map_err(BenchError::because("Postgres did not answer"))?;
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut connection)
            .await
            .map_err(BenchError::because("Postgres did not tell its process"))?;
        let server = cpu::parent_of(backend.unsigned_abs()).unwrap_or_default();
        let mut fleet = Self { binary: binary.to_owned(), folder, gateway: 0, processes: Vec::new(), postgres: server };
        // The development keys are made by whoever asks first for a token.
        fleet.token("ops", true)?;
        let mut environment = Vec::new();
        for setting in DATABASES {
            let url = new_database(postgres, &setting.to_lowercase()).await?;
            environment.push((format!("CHUNYUN_STORAGE__{setting}"), url));
        }
        let ports = ROLES.iter().map(|role| Ok((*role, free_port()?))).collect::<Result<Vec<_>, BenchError>>()?;
        let callbacks = free_port()?;
        let config = fleet.write_configuration(&ports, callbacks, layout)?;
        let gateway = ports.iter().find(|(role, _)| *role == "gateway").map_or(0, |(_, port)| *port);
        fleet.gateway = gateway;
        let processes: Vec<(&'static str, String, u16)> = match layout {
            Layout::OneProcess => vec![("all roles", ROLES.join(","), gateway)],
            Layout::ProcessPerRole => ports.iter().map(|(role, port)| (*role, (*role).to_owned(), *port)).collect(),
        };
        for (name, roles, port) in processes {
            let mut command = Command::new(binary);
            command.args(["serve", "--roles", &roles, "--config"]).arg(&config).envs(environment.iter().cloned());
            command.env("CHUNYUN_TELEMETRY__LOG_FILTER", "error");
            let hosts = |role: &str| roles.split(',').any(|hosted| hosted == role);
            if hosts("gateway") {
                command.args(["--listen", &format!("127.0.0.1:{port}")]);
            } else {
                command.env("CHUNYUN_LISTEN__INTERNAL", format!("127.0.0.1:{port}"));
            }
            if layout == Layout::ProcessPerRole && hosts("inventory-shard") {
                command.args(["--shard", "inventory-shard-0"]);
            }
            if hosts("payment") {
                command.env("CHUNYUN_LISTEN__CALLBACKS", format!("127.0.0.1:{callbacks}"));
            }
            fleet.processes.push((name, start(command, name)?));
        }
        Ok(fleet)
    }

    /// The public address.
    pub fn gateway(&self) -> String {
        format!("http://127.0.0.1:{}", self.gateway)
    }

    /// A token of an account.
    pub fn token(&self, account: &str, operator: bool) -> Result<String, BenchError> {
        let mut command = Command::new(&self.binary);
        command.args(["token", account, "--data"]).arg(self.folder.path());
        if operator {
            command.arg("--operator");
        }
        let output = command.output().map_err(BenchError::because("the binary could not be run"))?;
        if !output.status.success() {
            return Err(BenchError::new(format!("no token: {}", String::from_utf8_lossy(&output.stderr))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Processor time used up to now, by process.
    pub fn cpu(&self) -> Vec<(String, Duration)> {
        let of_role = |(role, process): &(&str, Process)| ((*role).to_owned(), cpu::used_by(process.0.id()));
        let mut used: Vec<_> = self.processes.iter().map(of_role).collect();
        let buyers = Processes::default().used();
        let with_postgres = Processes::with_servers(vec![self.postgres]).used();
        used.push(("Postgres".to_owned(), with_postgres.saturating_sub(buyers)));
        used.push(("buyers".to_owned(), buyers));
        used
    }

    fn write_configuration(
        &self,
        ports: &[(&str, u16)],
        callbacks: u16,
        layout: Layout,
    ) -> Result<PathBuf, BenchError> {
        let folder = self.folder.path();
        let (policy, config) = (folder.join("policy.toml"), folder.join("chunyun.toml"));
        let mut text = format!(
            "[policy]\npath = \"{}\"\n[keys]\npath = \"{}\"\n[links]\ncallbacks = \"http://127.0.0.1:{callbacks}\"\n",
            policy.display(),
            folder.join("keys.toml").display()
        );
        // Roles in one process find each other without addresses.
        let addresses: &[(&str, u16)] = if layout == Layout::OneProcess { &[] } else { ports };
        let mut shard = String::new();
        for (role, port) in addresses {
            match *role {
                "inventory-shard" => shard = format!("address = \"http://127.0.0.1:{port}\"\n"),
                "gateway" => {}
                role => text += &format!("{} = \"http://127.0.0.1:{port}\"\n", role.replace('-', "_")),
            }
        }
        text += &format!("[sandbox_provider.behaviour]\nslow_delay_ms = {}\n", DECIDE_AFTER.as_millis());
        text += &format!("[[shards.list]]\nname = \"inventory-shard-0\"\n{shard}");
        let written = std::fs::write(&policy, POLICY).and_then(|()| std::fs::write(&config, text));
        written.map_err(BenchError::because("the configuration could not be written"))?;
        Ok(config)
    }
}

/// Starts a role and waits until it says that it is ready.
fn start(mut command: Command, role: &str) -> Result<Process, BenchError> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut process = Process(child.map_err(BenchError::because("the binary could not be run"))?);
    let output = process.0.stdout.take();
    let mut lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
    if lines.any(|line| line.is_ok_and(|line| line == "ready")) {
        return Ok(process);
    }
    Err(BenchError::new(format!("{role} ended before it was ready")))
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, BenchError> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(port.map_err(BenchError::because("no free port"))?.port())
}
