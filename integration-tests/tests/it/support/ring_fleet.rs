use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::postgres::new_database;
use super::process::{self, Serving, free_port};

/// The shards that a fleet starts with.
pub const FOUNDERS: u16 = 4;

/// A fleet whose shards are processes of their own, on Postgres, and find each other through Consul. All other roles share
/// one process.
pub struct RingFleet {
    dir: tempfile::TempDir,
    config: PathBuf,
    journal: String,
    /// By number; none where it has been stopped.
    shards: Vec<Option<Serving>>,
    others: Serving,
}

/// What a fleet needs, where it is there.
pub struct Engines {
    pub postgres: String,
    pub consul: String,
}

impl Engines {
    /// What the environment names; none where something is missing.
    pub fn found() -> Option<Self> {
        Some(Self {
            postgres: std::env::var("CHUNYUN_TEST_POSTGRES").ok()?,
            consul: std::env::var("CHUNYUN_TEST_CONSUL").ok()?,
        })
    }
}

impl RingFleet {
    /// A fleet of four shards.
    pub fn start(engines: &Engines) -> Self {
        Self::start_behind(engines, &|_, way| way)
    }

    /// A fleet of four shards with more settings.
    pub fn start_with(engines: &Engines, settings: &str) -> Self {
        Self::start_all(engines, settings, &|_, way| way)
    }

    /// A fleet of four shards; `lead` may lead a shard's way to somewhere, or others' way to it, through something else.
    pub fn start_behind(engines: &Engines, lead: &dyn Fn(u16, Way) -> Way) -> Self {
        Self::start_all(engines, "", lead)
    }

    fn start_all(engines: &Engines, settings: &str, lead: &dyn Fn(u16, Way) -> Way) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The development keys are made by whoever asks first for a token.
        assert!(process::chunyun(&["token", "ops", "--data", dir.path().to_str().unwrap()]).status.success());
        let unique = format!("{:016x}", uuid::Uuid::now_v7().as_u64_pair().1);
        let journal = new_database(&engines.postgres, "ring");
        let config = configuration(dir.path(), &engines.consul, &unique, settings);
        let shards = (0..FOUNDERS).map(|number| Some(shard(&config, &journal, number, lead))).collect();
        let data = dir.path().to_str().unwrap();
        let roles = "gateway,query,order,payment,waitlist,sandbox-provider";
        let arguments =
            ["--config", config.to_str().unwrap(), "--roles", roles, "--data", data, "--listen", "127.0.0.1:0"];
        let others = Serving::start(&arguments, &[]);
        Self { dir, config, journal, shards, others }
    }

    pub fn gateway(&self) -> String {
        self.others.gateway()
    }

    /// Where development keys and all databases but the journal are.
    pub fn data(&self) -> &Path {
        self.dir.path()
    }

    /// Starts shards up to a number.
    pub fn start_shards(&mut self, count: u16) {
        for number in 0..count {
            if usize::from(number) >= self.shards.len() {
                self.shards.push(None);
            }
            let place = &mut self.shards[usize::from(number)];
            if place.is_none() {
                *place = Some(shard(&self.config, &self.journal, number, &|_, way| way));
            }
        }
    }

    /// Ends a shard as a power cut would.
    pub fn kill_shard(&mut self, number: u16) {
        self.shards[usize::from(number)].take().expect("it runs").kill();
    }

    /// Stops the shards from a number on, as Kubernetes does.
    pub fn terminate_shards(&mut self, from: u16) {
        for shard in self.shards.drain(usize::from(from)..).flatten() {
            assert_eq!(shard.terminate(), Some(0), "a shard that has left stops cleanly");
        }
    }

    /// An operator's command on the ring, as its JSON.
    pub fn ring(&self, arguments: &[&str]) -> Result<Value, String> {
        let token = self.dir.path().join("operator.jwt");
        let made = process::chunyun(&["token", "ops", "--operator", "--data", self.dir.path().to_str().unwrap()]);
        std::fs::write(&token, made.stdout).unwrap();
        let gateway = self.gateway();
        let mut all = vec!["ring"];
        all.extend(arguments);
        all.extend(["--json", "--gateway", &gateway, "--token-file", token.to_str().unwrap()]);
        let output = process::chunyun(&all);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(serde_json::from_str(&text).unwrap())
        } else {
            Err(format!("{text} {}", String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Which shard owns how many slots, by the gateway's ring.
    pub fn shares(&self) -> Vec<(String, u64)> {
        let ring = self.ring(&["show"]).unwrap();
        let share = |it: &Value| (it["shard"].as_str().unwrap().to_owned(), it["slots"].as_u64().unwrap());
        let mut shares: Vec<_> = ring["shards"].as_array().unwrap().iter().map(share).collect();
        shares.sort();
        shares
    }

    /// Stops everything and audits what is left.
    pub fn stop_and_audit(self) -> Value {
        assert_eq!(self.others.terminate(), Some(0));
        for shard in self.shards.into_iter().flatten() {
            assert_eq!(shard.terminate(), Some(0));
        }
        let database = |service: &str| format!("sqlite:{}", self.dir.path().join(format!("{service}.db")).display());
        let (order, payment) = (database("order"), database("payment"));
        let arguments = ["audit", "--journal", &self.journal, "--order", &order, "--payment", &payment, "--json"];
        let audit = process::chunyun(&arguments);
        let report: Value = serde_json::from_slice(&audit.stdout).unwrap();
        assert!(audit.status.success(), "{report} {}", String::from_utf8_lossy(&audit.stderr));
        report
    }
}

/// A way that may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From others to a shard.
    ToShard(SocketAddr),
    /// From a shard to Postgres.
    ToPostgres(SocketAddr),
}

impl Way {
    /// Where it leads.
    pub fn address(self) -> SocketAddr {
        match self {
            Self::ToShard(address) | Self::ToPostgres(address) => address,
        }
    }
}

fn shard(config: &Path, journal: &str, number: u16, lead: &dyn Fn(u16, Way) -> Way) -> Serving {
    let internal = format!("127.0.0.1:{}", free_port());
    let advertised = lead(number, Way::ToShard(internal.parse().unwrap())).address();
    let (login, rest) = journal.rsplit_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let server = lead(number, Way::ToPostgres(server.parse().unwrap())).address();
    let name = format!("inventory-shard-{number}");
    let arguments = ["--config", config.to_str().unwrap(), "--roles", "inventory-shard", "--shard", &name];
    let environment = [
        ("CHUNYUN_LISTEN__INTERNAL", internal),
        ("CHUNYUN_DISCOVERY__ADVERTISE", format!("http://{advertised}")),
        ("CHUNYUN_STORAGE__JOURNAL", format!("{login}@{server}/{database}")),
    ];
    Serving::start(&arguments, &environment.each_ref().map(|(name, value)| (*name, value.as_str())))
}

/// Far above what the stories' few accounts send: they are about shards, and a fast machine would meet the limits first.
const LIMITS: &str = "[gateway.limiter]\nperson_per_second = 10000\nperson_burst = 10000\n";

fn configuration(dir: &Path, consul: &str, unique: &str, settings: &str) -> PathBuf {
    let listed: String =
        (0..FOUNDERS).map(|number| format!("[[shards.list]]\nname = \"inventory-shard-{number}\"\n\n")).collect();
    let text = format!(
        "{}\n{listed}[keys]\npath = \"{}\"\n\n[discovery]\nkind = \"consul\"\n\n[discovery.consul]\naddress = \"{consul}\"\n\
         fleet = \"ring-{unique}\"\n\n{settings}\n{LIMITS}",
        process::around_the_clock(dir),
        dir.join("keys.toml").display(),
    );
    let path = dir.join("chunyun.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// An agent of a test's own, which it may stop, wipe and start again.
pub struct OwnConsul {
    binary: String,
    http: u16,
    data: tempfile::TempDir,
    child: Option<std::process::Child>,
}

impl OwnConsul {
    /// Starts one where there is a binary.
    pub fn start() -> Option<Self> {
        let binary = std::env::var("CHUNYUN_TEST_CONSUL_BINARY").ok()?;
        let mut consul = Self { binary, http: free_port(), data: tempfile::tempdir().unwrap(), child: None };
        consul.go_on();
        Some(consul)
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// Starts it again on the same port.
    pub fn go_on(&mut self) {
        let http = format!("-http-port={}", self.http);
        let (lan, server) = (format!("-serf-lan-port={}", free_port()), format!("-server-port={}", free_port()));
        let data = format!("-data-dir={}", self.data.path().display());
        let arguments = ["agent", "-server", "-bootstrap-expect=1", "-bind=127.0.0.1", "-client=127.0.0.1", &data];
        let mut command = Command::new(&self.binary);
        command.args(arguments).args([&http, &lan, &server, "-serf-wan-port=-1", "-dns-port=-1", "-grpc-port=-1"]);
        command.args(["-hcl=performance { raft_multiplier = 1 }", "-log-level=err"]);
        self.child = Some(command.stdout(std::process::Stdio::null()).spawn().unwrap());
        let began = std::time::Instant::now();
        while !self.has_leader() {
            assert!(began.elapsed() < Duration::from_secs(60), "Consul did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Forgets everything; only while it does not run.
    pub fn wipe(&mut self) {
        self.data = tempfile::tempdir().unwrap();
    }

    /// What it keeps under every key, as its HTTP answer; none where it has none.
    pub fn keys(&self) -> Option<String> {
        let url = format!("{}/v1/kv/?keys", self.address());
        let output = Command::new("curl").args(["-sf", &url]).output().expect("curl is there");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn has_leader(&self) -> bool {
        let url = format!("{}/v1/status/leader", self.address());
        let output = Command::new("curl").args(["-sf", &url]).output().expect("curl is there");
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains(':')
    }
}

impl Drop for OwnConsul {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
