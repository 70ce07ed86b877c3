//! A way to a server that can be slow without end, or fall silent: connections stand, and nothing arrives any more.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes bytes on, keeps them, or swallows them. Ends with its connections when dropped.
pub struct Proxy {
    pub address: SocketAddr,
    flow: watch::Sender<Flow>,
    _accepting: JoinSet<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Passing,
    Kept,
    Swallowed,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let flow = watch::Sender::new(Flow::Passing);
        let state = flow.subscribe();
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
        Self { address, flow, _accepting: accepting }
    }

    /// From now on nothing passes in either direction, and what was sent meanwhile is lost.
    pub fn fall_silent(&self) {
        self.flow.send_replace(Flow::Swallowed);
    }

    /// From now on nothing arrives, until [`Self::recover`]: then everything does.
    pub fn keep(&self) {
        self.flow.send_replace(Flow::Kept);
    }

    /// Bytes pass again; connections that fell silent stay so, as behind a router that has forgotten them.
    pub fn recover(&self) {
        self.flow.send_replace(Flow::Passing);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut flow: watch::Receiver<Flow>) {
    let mut bytes = vec![0; 64 * 1024];
    let mut dead = false;
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let Ok(flow) = flow.wait_for(|flow| *flow != Flow::Kept).await.map(|flow| *flow) else { return };
        dead = dead || flow == Flow::Swallowed;
        if !dead && to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
