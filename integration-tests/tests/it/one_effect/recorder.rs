//! A stretch of the provider's way to payment that keeps a copy of every callback, and can send one again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes callbacks on, and keeps them with their signatures. Ends with its connections when dropped.
pub struct Recorder {
    pub address: SocketAddr,
    payment: SocketAddr,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    _accepting: JoinSet<()>,
}

impl Recorder {
    pub async fn before(payment: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keeping = kept.clone();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((provider, _)) = listener.accept().await {
                passing.spawn(pass_on(provider, payment, keeping.clone()));
            }
        });
        Self { address, payment, kept, _accepting: accepting }
    }

    /// Every callback so far, as it was sent.
    pub fn kept(&self) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().clone()
    }

    /// Sends a callback again to payment, so many times over each of so many connections at once; how each was answered.
    pub async fn repeat(&self, callback: &[u8], connections: usize, times: usize) -> Vec<u16> {
        let mut sending = JoinSet::new();
        for _ in 0..connections {
            let (callback, payment) = (callback.to_vec(), self.payment);
            sending.spawn(async move {
                let mut stream = TcpStream::connect(payment).await.unwrap();
                let mut answers = Vec::with_capacity(times);
                for _ in 0..times {
                    stream.write_all(&callback).await.unwrap();
                    answers.push(status(&message(&mut stream).await.expect("an answer to each")));
                }
                answers
            });
        }
        sending.join_all().await.concat()
    }
}

async fn pass_on(mut provider: TcpStream, payment: SocketAddr, kept: Arc<Mutex<Vec<Vec<u8>>>>) {
    let Ok(mut payment) = TcpStream::connect(payment).await else { return };
    while let Some(callback) = message(&mut provider).await {
        kept.lock().unwrap().push(callback.clone());
        if payment.write_all(&callback).await.is_err() {
            return;
        }
        let Some(answer) = message(&mut payment).await else { return };
        if provider.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// The next request or response of a connection: its head, and a body of the length that the head tells.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        if end.is_some_and(|end| bytes.len() >= end + body_bytes(&bytes[..end])) {
            return Some(bytes);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn body_bytes(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.map_or(0, |length| length.trim().parse().unwrap())
}

/// The status of a response that begins `HTTP/1.1 200 OK`.
fn status(response: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(response);
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
}
