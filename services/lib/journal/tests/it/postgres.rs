//! What only Postgres can do to a journal: other settings, lost connections, a killed server.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use journal::{ClusterConfig, JournalError, create, open};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tempfile::TempDir;

use crate::backend::{Backend, batch, claim, must_commit, must_doubt, must_fence, new_postgres_database, slot};

/// A whole server of a test's own, for what must not happen to a shared one.
struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts a server with extra settings; `None`, loudly, where Postgres is not installed.
    fn start(settings: &str) -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let Some(programs) = versions.map(|entry| entry.path().join("bin")).find(|bin| bin.join("initdb").exists())
        else {
            eprintln!("SKIPPED postgres: no server is installed under /usr/lib/postgresql");
            return None;
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { programs, folder: tempfile::tempdir().unwrap(), port };
        assert!(Command::new("chmod").arg("777").arg(server.folder.path()).status().unwrap().success());
        server.run("initdb", &["-A", "trust", "-U", "postgres", "--no-sync"]);
        server.run_start(settings);
        Some(server)
    }

    fn run_start(&self, settings: &str) {
        let options = format!("-p {} -k {} {settings}", self.port, self.folder.path().display());
        let log = self.folder.path().join("log");
        self.run("pg_ctl", &["-o", &options, "-l", log.to_str().unwrap(), "-w", "start"]);
    }

    /// Runs one of the server's programs on its data; as the user postgres where the tests run as root, which Postgres
    /// refuses.
    fn run(&self, program: &str, arguments: &[&str]) {
        let data = self.folder.path().join("data");
        let program = self.programs.join(program);
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut command = if is_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let status = command.arg("-D").arg(data).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success());
    }

    fn clusters(&self) -> Vec<ClusterConfig> {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        let mut cluster = ClusterConfig::whole(url.parse().unwrap());
        // How long a call looks for a server that is down.
        cluster.options.acquire_timeout_ms = 200;
        vec![cluster]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-m", "immediate", "-w", "stop"]);
    }
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_server_without_fsync_is_refused() {
    let Some(server) = Server::start("-c fsync=off") else { return };
    let error = chain_of(&create(&server.clusters()).await.unwrap_err());
    assert!(error.contains("postgres has fsync=off") && error.contains("set fsync=on"), "{error}");
}

#[tokio::test]
async fn a_database_without_synchronous_commit_is_refused() {
    let Some(url) = new_postgres_database().await else { return };
    let clusters = [ClusterConfig::whole(url.parse().unwrap())];
    create(&clusters).await.unwrap();
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let alter = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    sqlx::query(AssertSqlSafe(alter)).execute(&mut connection).await.unwrap();
    let error = chain_of(&open(&clusters).await.unwrap_err());
    assert!(error.contains("postgres has synchronous_commit=off"), "{error}");
}

#[tokio::test]
async fn connections_have_time_outs() {
    let Some(url) = new_postgres_database().await else { return };
    let clusters = [ClusterConfig::whole(url.parse().unwrap())];
    create(&clusters).await.unwrap();
    let journal = open(&clusters).await.unwrap();
    let head = claim(&*journal, slot(1), "a").await;
    // Someone else holds the head's row: the append gives up after the lock time-out of 2 s, and says it does not know.
    let mut other = PgConnection::connect(&url).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM slot_head WHERE slot = 1 FOR UPDATE").execute(&mut *transaction).await.unwrap();
    let append = batch(slot(1), head, "waits", &[]);
    let error = chain_of(&*must_doubt(&*journal, append.clone()).await);
    assert!(error.contains("lock timeout"), "{error}");
    transaction.rollback().await.unwrap();
    must_commit(&*journal, append).await;
    journal.close().await;
}

#[tokio::test]
async fn a_lost_connection_leaves_the_outcome_unknown() {
    let Some(url) = new_postgres_database().await else { return };
    let backend = [ClusterConfig::whole(url.parse().unwrap())];
    create(&backend).await.unwrap();
    let journal = open(&backend).await.unwrap();
    let head = claim(&*journal, slot(1), "a").await;

    let other = PgPool::connect(&url).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM slot_head WHERE slot = 1 FOR UPDATE").execute(&mut *transaction).await.unwrap();
    let append = batch(slot(1), head, "in doubt", &[]);
    let doubted = must_doubt(&*journal, append.clone());
    let cut = async {
        let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(terminate).fetch_one(&other).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (error, ()) = tokio::join!(doubted, cut);
    assert!(matches!(*error, JournalError::Storage(_)), "{error}");
    transaction.rollback().await.unwrap();

    // After doubt the owner claims again; the doubted batch can then never come.
    let again = claim(&*journal, slot(1), "a").await;
    must_fence(&*journal, append).await;
    must_commit(&*journal, batch(slot(1), again, "sure", &[])).await;
    journal.close().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_server() {
    let Some(server) = Server::start("-c max_wal_size=64MB") else { return };
    create(&server.clusters()).await.unwrap();
    let journal = open(&server.clusters()).await.unwrap();
    let mut head = claim(&*journal, slot(8), "a").await;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        for number in 0..20 {
            let append = batch(slot(8), head, &format!("{round} {number}"), &[]);
            acknowledged.push(append.payload.clone());
            head = must_commit(&*journal, append).await.0;
        }
        // Immediate shutdown: the server stops as if it had crashed, without a checkpoint.
        server.run("pg_ctl", &["-m", "immediate", "-w", "stop"]);
        must_doubt(&*journal, batch(slot(8), head, "while the server is down", &[])).await;
        assert!(journal.heartbeat(&[]).await.is_err());
        server.run_start("-c max_wal_size=64MB");
        // Connections of before the crash are found dead one by one; each costs one doubt.
        let mut claims = Vec::new();
        while claims.is_empty() {
            claims = journal.claim(&[slot(8)], "a", round).await.unwrap_or_default();
        }
        assert_eq!(claims[0].head.version, head.version, "nothing was lost, nothing came late");
        head = claims[0].head;
    }
    let feed = journal.read_feed(slot(8), 0, 1_000).await.unwrap();
    assert_eq!(feed.into_iter().map(|batch| batch.payload).collect::<Vec<_>>(), acknowledged);
    journal.close().await;
}

#[tokio::test]
async fn claims_and_appends_over_many_slots_never_deadlock() {
    let Some(backend) = Backend::postgres().await else { return };
    let journal = backend.journal().await;
    let up: Vec<_> = (0..200).map(slot).collect();
    let down: Vec<_> = up.iter().rev().copied().collect();
    for round in 0..10 {
        let heads = journal.heads(&down).await.unwrap();
        let appends = down.iter().zip(heads).map(|(slot, head)| batch(*slot, head, "x", &[])).collect();
        let (claimed, _, again) =
            tokio::join!(journal.claim(&up, "a", round), journal.append(appends), journal.claim(&down, "b", round));
        claimed.unwrap();
        again.unwrap();
    }
    let heads = journal.heads(&up).await.unwrap();
    assert!(heads.iter().all(|head| head.epoch == 20), "20 claims each");
    journal.close().await;
}
