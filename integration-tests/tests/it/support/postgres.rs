//! Postgres servers for stories: a database on the engines' server, or a whole server of a story's own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::free_port;

/// A server that starts again after a kill has its log to replay, and leftovers of the old one may take a moment to go.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes a new database on a server and gives its URL.
pub fn new_database(server: &str, prefix: &str) -> String {
    let name = format!("{prefix}_{}", uuid::Uuid::now_v7().simple());
    let made = Command::new("psql").args([server, "-qc", &format!("CREATE DATABASE {name}")]).status();
    assert!(made.expect("psql comes with Postgres").success());
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

/// The services that keep something, each in a database of its own, as settings name them.
pub const KEEPERS: [&str; 5] = ["journal", "order", "payment", "waitlist", "sandbox_provider"];

/// Makes a new database for each of the [`KEEPERS`], in their order: the settings that name them, and their URLs.
pub fn new_databases(server: &str, prefix: &str) -> Vec<(String, String)> {
    let one = |keeper: &&str| {
        let setting = format!("CHUNYUN_STORAGE__{}", keeper.to_uppercase());
        (setting, new_database(server, &format!("{prefix}_{keeper}")))
    };
    KEEPERS.iter().map(one).collect()
}

/// What an audit of such databases is told.
pub fn audit_arguments(databases: &[(String, String)]) -> Vec<String> {
    // By the place of each among the keepers; the waitlist's database is not audited.
    let told = [("--journal", 0), ("--order", 1), ("--payment", 2), ("--provider", 4)];
    told.iter().flat_map(|(option, keeper)| [(*option).to_owned(), databases[*keeper].1.clone()]).collect()
}

/// The address of the server of a URL such as `postgres://user@127.0.0.1:5432/name`.
pub fn address_of(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.parse().unwrap()
}

/// The same database, reached by another address.
pub fn by_way_of(url: &str, address: SocketAddr) -> String {
    let (user, rest) = url.split_once('@').unwrap();
    format!("{user}@{address}/{}", rest.split_once('/').unwrap().1)
}

/// A server of a story's own, for what must not happen to a shared one. Stopped when dropped.
pub struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Makes and starts a server; `None` where Postgres is not installed.
    pub fn start() -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let programs = versions.map(|entry| entry.path().join("bin")).find(|bin| bin.join("initdb").exists())?;
        let server = Self { programs, folder: tempfile::tempdir().unwrap(), port: free_port() };
        // The server's own user makes its files in there.
        assert!(Command::new("chmod").arg("777").arg(server.folder.path()).status().unwrap().success());
        assert!(server.run("initdb", &["-A", "trust", "-U", "postgres", "--no-sync"]));
        server.restart();
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills every process of the server at once, as a power cut would.
    pub fn kill(&self) {
        let file = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap();
        let postmaster = file.lines().next().unwrap().to_owned();
        let children = Command::new("pgrep").args(["-P", &postmaster]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let processes = std::iter::once(postmaster.as_str()).chain(children.lines());
        // Some children may have ended by themselves meanwhile.
        let _ = Command::new("kill").arg("-9").args(processes).stderr(Stdio::null()).status().unwrap();
    }

    /// Starts the server on its data, and comes back when it accepts connections.
    pub fn restart(&self) {
        let options = format!("-p {} -k {} -c listen_addresses=127.0.0.1", self.port, self.folder.path().display());
        let log = self.folder.path().join("log");
        let started = Instant::now();
        while !self.run("pg_ctl", &["-o", &options, "-l", log.to_str().unwrap(), "-w", "start"]) {
            assert!(started.elapsed() < START_TIMEOUT, "Postgres starts again");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs one of the server's programs on its data; as the user postgres where the tests run as root, which Postgres
    /// refuses.
    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let program = self.programs.join(program);
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut command = if is_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg("-D").arg(self.folder.path().join("data")).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only where it was killed and not started again.
        let _ = self.run("pg_ctl", &["-m", "immediate", "-w", "stop"]);
    }
}
