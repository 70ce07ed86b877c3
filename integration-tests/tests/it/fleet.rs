//! The fleet as operators run it: each role a process of its own, on Postgres and Redis.

use std::path::Path;

use proto::order::v1::{OrderState, TicketState};

use crate::support::client::{Caller, order_for};
use crate::support::postgres::new_databases;
use crate::support::process::{self, Serving, free_port};
use crate::support::skipped;

/// The configuration that all processes share: who is where.
fn configuration(dir: &Path, shards: &[u16], ports: &[(&str, u16)], callbacks: u16) -> String {
    let links: String = ports.iter().map(|(role, port)| format!("{role} = \"http://127.0.0.1:{port}\"\n")).collect();
    let shard = |(number, port): (usize, &u16)| {
        format!("[[shards.list]]\nname = \"inventory-shard-{number}\"\naddress = \"http://127.0.0.1:{port}\"\n\n")
    };
    let ring: String = shards.iter().enumerate().map(shard).collect();
    let keys = dir.join("keys.toml");
    let text = format!(
        "{}\n[links]\n{links}callbacks = \"http://127.0.0.1:{callbacks}\"\n\n{ring}[keys]\npath = \"{}\"\n",
        process::around_the_clock(dir),
        keys.display()
    );
    let path = dir.join("chunyun.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

struct Fleet {
    processes: Vec<(&'static str, Serving)>,
    environment: Vec<(String, String)>,
}

impl Fleet {
    fn start(dir: &Path, postgres: &str, redis: &str) -> Self {
        // The development keys are made by whoever asks first for a token.
        assert!(process::chunyun(&["token", "ops", "--data", dir.to_str().unwrap()]).status.success());
        let mut environment = new_databases(postgres, "fleet");
        environment.push(("CHUNYUN_STORAGE__REDIS".to_owned(), redis.to_owned()));
        let shards = [free_port(), free_port()];
        let roles = ["query", "sandbox_provider", "payment", "order", "waitlist"];
        let ports: Vec<(&str, u16)> = roles.iter().map(|role| (*role, free_port())).collect();
        let callbacks = free_port();
        let config = configuration(dir, &shards, &ports, callbacks);
        let mut fleet = Self { processes: Vec::new(), environment };
        for (number, port) in shards.iter().enumerate() {
            fleet.host("inventory-shard", &config, *port, &["--shard", &format!("inventory-shard-{number}")], &[]);
        }
        for (role, port) in roles.iter().zip(ports.iter().map(|(_, port)| *port)) {
            let role: &'static str = if *role == "sandbox_provider" { "sandbox-provider" } else { role };
            let callbacks = format!("127.0.0.1:{callbacks}");
            let more: &[(&str, &str)] =
                if role == "payment" { &[("CHUNYUN_LISTEN__CALLBACKS", &callbacks)] } else { &[] };
            fleet.host(role, &config, port, &[], more);
        }
        fleet.host("gateway", &config, 0, &["--listen", "127.0.0.1:0"], &[]);
        fleet
    }

    fn host(&mut self, role: &'static str, config: &str, port: u16, more: &[&str], environment: &[(&str, &str)]) {
        let mut arguments = vec!["--config", config, "--roles", role];
        arguments.extend(more);
        let internal = format!("127.0.0.1:{port}");
        let mut settings: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        settings.push(("CHUNYUN_LISTEN__INTERNAL", &internal));
        settings.extend(environment);
        let serving = Serving::start(&arguments, &settings);
        self.processes.push((role, serving));
    }

    fn gateway(&self) -> String {
        self.processes.iter().find(|(role, _)| *role == "gateway").map(|(_, serving)| serving.gateway()).unwrap()
    }
}

#[tokio::test]
async fn roles_in_processes_of_their_own_sell_a_ticket_and_stop_when_told() {
    let (Ok(postgres), Ok(redis)) = (std::env::var("CHUNYUN_TEST_POSTGRES"), std::env::var("CHUNYUN_TEST_REDIS"))
    else {
        return skipped("the fleet on Postgres and Redis", "CHUNYUN_TEST_POSTGRES or CHUNYUN_TEST_REDIS is not set");
    };
    let dir = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(dir.path(), &postgres, &redis);
    Caller::new(&fleet.gateway(), dir.path(), "ops", &["--operator"]).await.open_sale(&["G71", "G1", "Z19"]).await;

    let alice = Caller::new(&fleet.gateway(), dir.path(), "alice", &[]).await;
    let order = order_for("G71", "北京西", "深圳北", &[1, 2]);
    let order_id = order.order_id.clone();
    let placed = alice.gateway().place_order(order).await.unwrap().into_inner().order.unwrap();
    assert_eq!(placed.state, OrderState::Held as i32);
    let paid = alice.pay(&order_id, "sandbox-ok").await;
    assert_eq!(paid.state, OrderState::Confirmed as i32);
    assert!(paid.tickets.iter().all(|ticket| ticket.state == TicketState::Issued as i32));

    let databases: Vec<&str> = fleet.environment.iter().map(|(_, url)| url.as_str()).collect();
    let audit = process::chunyun(&[
        "audit",
        "--journal",
        databases[0],
        "--order",
        databases[1],
        "--payment",
        databases[2],
        "--json",
    ]);
    let report = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.status.success(), "{report} {}", String::from_utf8_lossy(&audit.stderr));

    for (role, serving) in fleet.processes.into_iter().rev() {
        assert_eq!(serving.terminate(), Some(0), "{role} stops cleanly");
    }
}
