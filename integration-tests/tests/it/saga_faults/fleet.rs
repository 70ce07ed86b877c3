//! A fleet on Postgres, a process for each role, which can be made to die at a point.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use failpoints::Point;
use serde_json::Value;

use crate::support::postgres::new_databases;
use crate::support::process::{self, Serving, free_port};

/// The roles, each by the name in its points; the provider, the query role and the waitlist have none and live on.
const PROCESSES: [(&str, &str); 7] = [
    ("shard", "inventory-shard"),
    ("provider", "sandbox-provider"),
    ("payment", "payment"),
    ("order", "order"),
    ("waitlist", "waitlist"),
    ("query", "query"),
    ("gateway", "gateway"),
];
/// Short times, so that orders lapse, and money that comes after that finds its seats freed.
const POLICY: &str = "[sale]\nopen_minute = 0\nclose_minute = 1440\nclose_minute_tuesday = 1440\n\
                      [hold]\npayment_seconds = 6\nhard_limit_seconds = 8\n\
                      [order]\nunpaid_orders_max = 100\nunpaid_cancellations_per_day_max = 100\n";
/// What the provider does to those who rely on it.
const BEHAVIOUR: &str = "[sandbox_provider.behaviour]\ndecide_delay_ms = 100\ndecide_jitter_ms = 300\n\
                         duplicate_callbacks_per_mille = 200\ndropped_callbacks_per_mille = 250\n\
                         lost_replies_per_mille = 100\nlate_captures_per_mille = 150\nlate_by_ms = 4000\n";

pub struct Fleet {
    config: PathBuf,
    environment: Vec<(String, String)>,
    ports: BTreeMap<&'static str, u16>,
    callbacks: u16,
    public: u16,
    processes: BTreeMap<&'static str, Option<Serving>>,
}

impl Fleet {
    pub fn start(dir: &Path, postgres: &str) -> Self {
        // The development keys are made by whoever asks first for a token.
        assert!(process::chunyun(&["token", "ops", "--data", dir.to_str().unwrap()]).status.success());
        let ports: BTreeMap<_, _> = PROCESSES.iter().map(|(name, _)| (*name, free_port())).collect();
        let mut fleet = Self {
            config: dir.join("chunyun.toml"),
            environment: new_databases(postgres, "faults"),
            callbacks: free_port(),
            public: free_port(),
            ports,
            processes: BTreeMap::new(),
        };
        std::fs::write(dir.join("policy.toml"), POLICY).unwrap();
        std::fs::write(&fleet.config, fleet.configuration(dir)).unwrap();
        for (name, _) in PROCESSES {
            fleet.replace(name, None);
        }
        fleet
    }

    fn configuration(&self, dir: &Path) -> String {
        let at = |name: &str| format!("http://127.0.0.1:{}", self.ports[name]);
        format!(
            "[policy]\npath = \"{}\"\n[keys]\npath = \"{}\"\n[links]\nquery = \"{query}\"\norder = \"{order}\"\n\
             payment = \"{payment}\"\nwaitlist = \"{waitlist}\"\nsandbox_provider = \"{provider}\"\n\
             callbacks = \"http://127.0.0.1:{}\"\n[[shards.list]]\nname = \"inventory-shard-0\"\naddress = \"{}\"\n{BEHAVIOUR}",
            dir.join("policy.toml").display(),
            dir.join("keys.toml").display(),
            self.callbacks,
            at("shard"),
            query = at("query"),
            order = at("order"),
            payment = at("payment"),
            waitlist = at("waitlist"),
            provider = at("provider"),
        )
    }

    pub fn gateway(&self) -> String {
        format!("http://127.0.0.1:{}", self.public)
    }

    /// Kills a process and starts it again, perhaps to die at a point: then it may have died before this returns.
    fn replace(&mut self, name: &'static str, failpoint: Option<&str>) {
        drop(self.processes.remove(name));
        let roles = PROCESSES.iter().find(|(process, _)| *process == name).expect("a process of the fleet").1;
        let mut arguments = vec!["--config", self.config.to_str().unwrap(), "--roles", roles];
        let public = format!("127.0.0.1:{}", self.public);
        match name {
            "shard" => arguments.extend(["--shard", "inventory-shard-0"]),
            "gateway" => arguments.extend(["--listen", &public]),
            _ => {}
        }
        let internal = format!("127.0.0.1:{}", self.ports[name]);
        let callbacks = format!("127.0.0.1:{}", self.callbacks);
        let mut settings: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        settings.push(("CHUNYUN_LISTEN__INTERNAL", &internal));
        if name == "payment" {
            settings.push(("CHUNYUN_LISTEN__CALLBACKS", &callbacks));
        }
        settings.push(("CHUNYUN_TELEMETRY__LOG_FILTER", "error"));
        let started = match failpoint {
            None => Some(Serving::start(&arguments, &settings)),
            Some(failpoint) => {
                settings.extend([("CHUNYUN_FAILPOINTS", failpoint), ("CHUNYUN_ALLOW_FAILPOINTS", "true")]);
                Serving::start_mortal(&arguments, &settings).ok()
            }
        };
        self.processes.insert(name, started);
    }

    /// Makes the process of a point die there, after whatever it was told before; true when it did. It stays dead until the
    /// next point of its role, or until all is healed; a process that another point's role needs is alive by then.
    pub async fn die_at(&mut self, point: Point, timeout: Duration) -> bool {
        let name = PROCESSES.iter().find(|(name, _)| *name == point.role()).expect("a process of the fleet").0;
        for (other, _) in PROCESSES.iter().filter(|(other, _)| *other != name) {
            if self.has_ended(other) {
                self.replace(other, None);
            }
        }
        self.replace(name, Some(&format!("{}=kill", point.name())));
        let started = Instant::now();
        while started.elapsed() < timeout {
            if self.has_ended(name) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    fn has_ended(&mut self, name: &str) -> bool {
        self.processes.get_mut(name).and_then(Option::as_mut).is_none_or(Serving::has_ended)
    }

    /// Starts every process anew, with nothing to die of.
    pub fn heal(&mut self) {
        for (name, _) in PROCESSES {
            self.replace(name, None);
        }
    }

    fn url(&self, database: &str) -> &str {
        let name = format!("CHUNYUN_STORAGE__{}", database.to_uppercase());
        &self.environment.iter().find(|(key, _)| *key == name).expect("a database of the fleet").1
    }

    /// What has not come to its end, by the databases.
    pub fn open_ends(&self) -> Vec<String> {
        const ORDERS: &str = "SELECT 'order ' || encode(order_id, 'hex') || ' ' || phase || ' ' || refunding_fen \
             FROM orders WHERE phase NOT IN ('confirmed', 'released', 'refunded') OR refunding_fen > 0";
        const PAYMENTS: &str = "SELECT 'trade ' || trade_id FROM trade WHERE state = 'pending' \
             UNION ALL SELECT 'refund ' || refund_id FROM refund WHERE state = 'pending' \
             UNION ALL SELECT 'notice of ' || order_id FROM notice";
        [(self.url("order"), ORDERS), (self.url("payment"), PAYMENTS)]
            .into_iter()
            .flat_map(|(url, query)| {
                let output = Command::new("psql").args([url, "-Atqc", query]).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let text = String::from_utf8(output.stdout).unwrap();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    }

    pub fn audit(&self) -> Value {
        let (journal, order, payment) = (self.url("journal"), self.url("order"), self.url("payment"));
        let arguments = ["audit", "--journal", journal, "--order", order, "--payment", payment, "--json"];
        let audit = process::chunyun(&arguments);
        serde_json::from_slice(&audit.stdout).unwrap_or_else(|error| {
            panic!("{error}: {} {}", String::from_utf8_lossy(&audit.stdout), String::from_utf8_lossy(&audit.stderr))
        })
    }
}
