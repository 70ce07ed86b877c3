//! A way to a server that can fall silent: connections stand, and nothing arrives any more.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes bytes on, or swallows them. Ends with its last connection when dropped.
pub struct Proxy {
    pub address: SocketAddr,
    silent: watch::Sender<bool>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent = watch::Sender::new(false);
        let state = silent.subscribe();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(upstream) = TcpStream::connect(server).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), upstream.into_split());
                passing.spawn(pass(from_client, to_server, state.clone()));
                passing.spawn(pass(from_server, to_client, state.clone()));
            }
        });
        Self { address, silent, _accepting: accepting }
    }

    /// From now on nothing passes in either direction, and what was sent meanwhile is lost.
    pub fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// New connections pass; those that fell silent stay so, as behind a router that has forgotten them.
    pub fn recover(&self) {
        self.silent.send_replace(false);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, silent: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 * 1024];
    let mut dead = false;
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        dead = dead || *silent.borrow();
        if !dead && to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
