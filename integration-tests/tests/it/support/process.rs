use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The binary under test.
pub fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("CHUNYUN_BINARY") {
        return path.into();
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let builds = ["release/chunyun", "debug/chunyun"].map(|build| target.join(build));
    let newest = builds
        .into_iter()
        .filter(|path| path.exists())
        .max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok());
    newest.expect("build the binary first: cargo build --release -p chunyun")
}

/// Runs a command of the binary to its end, with nothing of the caller's settings.
pub fn chunyun(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// A command of the binary, with nothing of the caller's settings.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    for name in ["CHUNYUN_GATEWAY", "CHUNYUN_TOKEN", "CHUNYUN_TOKEN_FILE", "CHUNYUN_DATA"] {
        command.env_remove(name);
    }
    command
}

/// Settings that sell at every hour, so that stories can be told at night too; the policy file goes into `dir`.
pub fn around_the_clock(dir: &Path) -> String {
    let policy = dir.join("policy.toml");
    std::fs::write(&policy, "[sale]\nopen_minute = 0\nclose_minute = 1440\nclose_minute_tuesday = 1440\n").unwrap();
    format!("[policy]\npath = \"{}\"\n", policy.display())
}

/// Audits a journal that nobody writes to, with an eye on anything else `more` names, and expects nothing wrong.
pub fn audit_is_clean(journal: &str, more: &[&str]) {
    let mut arguments = vec!["audit", "--journal", journal, "--json"];
    arguments.extend(more);
    let audit = chunyun(&arguments);
    let report = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.status.success(), "{report} {}", String::from_utf8_lossy(&audit.stderr));
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that hosts roles. Killed when dropped.
pub struct Serving {
    child: Child,
    /// What it said it listens on, as `name address` lines.
    pub listening: Vec<(String, String)>,
}

impl Serving {
    /// Starts `chunyun serve` and waits until it says that it is ready.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let started = Self::start_mortal(arguments, environment);
        started.unwrap_or_else(|status| panic!("ended before it was ready: {arguments:?}: {status}"))
    }

    /// The same for a process that may die before it is ready: how it ended.
    pub fn start_mortal(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self, ExitStatus> {
        Self::launch(arguments, environment, Stdio::inherit())
    }

    /// The same with its logs in a file.
    pub fn start_logging(arguments: &[&str], environment: &[(&str, &str)], log: &Path) -> Self {
        let started = Self::launch(arguments, environment, File::create(log).unwrap().into());
        started.unwrap_or_else(|status| panic!("ended before it was ready: {arguments:?}: {status}"))
    }

    fn launch(arguments: &[&str], environment: &[(&str, &str)], log: Stdio) -> Result<Self, ExitStatus> {
        let mut command = command(&["serve"]);
        command.args(arguments).envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let started = Instant::now();
        let mut listening = Vec::new();
        loop {
            assert!(started.elapsed() < START_TIMEOUT, "not ready in time: {arguments:?}");
            let Some(Ok(line)) = lines.next() else {
                return Err(child.wait().unwrap());
            };
            if line == "ready" {
                break;
            }
            if let Some((name, address)) = line.split_once(" at ") {
                listening.push((name.to_owned(), address.to_owned()));
            }
        }
        Ok(Self { child, listening })
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// All roles in one process on a data directory, the gateway on a free port, selling around the clock.
    pub fn embedded(data: &Path) -> Self {
        Self::embedded_with(data, &[])
    }

    /// The same with settings in its environment.
    pub fn embedded_with(data: &Path, environment: &[(&str, &str)]) -> Self {
        let config = data.join("embedded.toml");
        std::fs::write(&config, around_the_clock(data)).unwrap();
        let (data, config) = (data.to_str().unwrap(), config.to_str().unwrap());
        Self::start(&["--data", data, "--listen", "127.0.0.1:0", "--config", config], environment)
    }

    /// The gateway's address.
    pub fn gateway(&self) -> String {
        let (_, address) = self.listening.iter().find(|(name, _)| name == "gateway").expect("it hosts a gateway");
        address.clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// The memory it really has, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    /// Ends it without a warning, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as Kubernetes does, and waits; its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        self.signal("TERM");
        let started = Instant::now();
        while started.elapsed() < STOP_TIMEOUT {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("did not stop within {STOP_TIMEOUT:?} of SIGTERM");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
