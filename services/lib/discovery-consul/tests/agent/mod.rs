//! A Consul agent that a test starts, stops, and starts again.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// A server of one, on ports of its own.
pub struct Agent {
    binary: String,
    directory: TempDir,
    http: u16,
    serf: u16,
    server: u16,
    process: Mutex<Option<Child>>,
}

impl Agent {
    pub async fn start(binary: String) -> Self {
        // Held together, so that they differ.
        let ports = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [http, serf, server] = ports.map(|listener| listener.local_addr().unwrap().port());
        let directory = tempfile::tempdir().unwrap();
        let agent = Self { binary, directory, http, serf, server, process: Mutex::default() };
        agent.resume().await;
        agent
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// Kills it; its data stay.
    pub async fn stop(&self) {
        if let Some(mut process) = self.process.lock().await.take() {
            process.kill().await.unwrap();
        }
    }

    /// Starts it on the data there are, and waits until it leads.
    pub async fn resume(&self) {
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        let process = Command::new(&self.binary)
            .args([
                "agent",
                "-server",
                "-bootstrap-expect=1",
                "-bind=127.0.0.1",
                "-client=127.0.0.1",
                "-log-level=warn",
            ])
            .args(["-serf-wan-port=-1", "-dns-port=-1", "-grpc-port=-1", "-hcl=performance { raft_multiplier = 1 }"])
            .arg(format!("-data-dir={}", self.data().display()))
            .arg(format!("-http-port={}", self.http))
            .arg(format!("-serf-lan-port={}", self.serf))
            .arg(format!("-server-port={}", self.server))
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        *self.process.lock().await = Some(process);
        let led = async {
            while !self.leads().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), led).await;
        let log = || std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        assert!(in_time.is_ok(), "Consul did not start: {}", log());
    }

    /// Stops it, throws its data away, and starts it again.
    pub async fn wipe(&self) {
        self.stop().await;
        std::fs::remove_dir_all(self.data()).unwrap();
        self.resume().await;
    }

    fn data(&self) -> std::path::PathBuf {
        Path::new(self.directory.path()).join("data")
    }

    async fn leads(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.http)).await else { return false };
        let request = "GET /v1/status/leader HTTP/1.1\r\nHost: consul\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes()).await.is_ok();
        asked && stream.read_to_string(&mut answer).await.is_ok() && answer.contains(&self.server.to_string())
    }
}
