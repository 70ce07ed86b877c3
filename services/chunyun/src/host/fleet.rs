use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::discovery::Discovery;
use ::policy::{BadPolicy, Policy};
use ::timetable::{LoadError, Timetable};
use ring::{Member, ShardId};
use rpc::Running;
use shard_client::{ListedShard, ShardsOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::assembly::Assembly;
use super::config::{Config, Listen};
use super::discovery::DiscoveryKind;
use super::roles::{Role, RoleSet};
use super::{DataDir, Keys, KeysError};

/// How long shards may take to give their slots to others before they are stopped: with what comes after, a process that is
/// told to stop has ended within 20 s.
const DEPARTURE_MAX: Duration = Duration::from_secs(8);

/// Everything that decides what a process hosts.
pub struct Setup {
    /// Which roles.
    pub roles: RoleSet,
    /// Which shard this process is, where the configuration lists shards.
    pub shard: Option<String>,
    /// Shards of this process that are no members of the ring at first.
    pub spare_shards: Vec<ShardId>,
    /// The settings.
    pub config: Config,
    /// Where SQLite files are.
    pub data: DataDir,
    /// The secrets.
    pub keys: Keys,
    /// Where they came from, for messages.
    pub keys_file: PathBuf,
    /// The timetable.
    pub timetable: Arc<Timetable>,
    /// The railway's numbers.
    pub policy: Policy,
}

/// All roles in one process on SQLite, as the demo wants them.
pub struct Embedded {
    /// Where SQLite files and keys are.
    pub data: DataDir,
    /// The timetable.
    pub timetable: Arc<Timetable>,
    /// The railway's numbers.
    pub policy: Policy,
    /// How many shards.
    pub shards: u16,
    /// How many more stand ready to join the ring. With any, the ring can be changed.
    pub spare_shards: u16,
    /// The gateway's address.
    pub public: SocketAddr,
}

/// The roles of this process, at work.
pub struct Fleet {
    /// In the order of starting.
    running: Vec<Running>,
    listening: Vec<(String, SocketAddr)>,
    discovery: Arc<dyn Discovery>,
    departure: inventory_shard::Departure,
    /// Keeps the callers of this process up to date about the shards.
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Sockets that are opened before who answers on them: others are told their addresses first.
struct Sockets {
    listen: Listen,
    callbacks: Option<TcpListener>,
    shard: Option<TcpListener>,
}

/// Why roles could not be hosted.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The configuration is wrong.
    #[error("configuration")]
    Config(#[from] Box<figment::Error>),
    /// The secrets are wrong.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The failpoints cannot be read.
    #[error(transparent)]
    Failpoints(#[from] failpoints::PlanError),
    /// The failpoints are not allowed.
    #[error(transparent)]
    NotArmed(#[from] failpoints::ArmError),
    /// The timetable is wrong.
    #[error("timetable")]
    Timetable(#[from] LoadError),
    /// The policy file cannot be read.
    #[error("cannot read the policy file {path}")]
    PolicyFile {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The policy file is wrong.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// Logs, traces or metrics cannot be set up.
    #[error("telemetry")]
    Telemetry(#[from] telemetry::TelemetryError),
    /// A setting is wrong.
    #[error("{setting}: {reason}")]
    Setting {
        /// Which, as it stands in the file.
        setting: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A role could not be built.
    #[error("{role}")]
    Build {
        /// Which.
        role: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {what}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// For what.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A role's background work has failed: it has been logged.
    #[error("{0} has failed; its log says why")]
    RoleFailed(String),
    /// A role did not become ready.
    #[error("{0} did not become ready")]
    NotReady(String),
}

impl Fleet {
    /// All roles in this process.
    ///
    /// # Errors
    /// As [`HostError`] says.
    pub async fn start(embedded: Embedded) -> Result<Self, HostError> {
        let mut config = Config::default();
        config.listen.public = embedded.public;
        config.shards = ShardsOptions { list: (0..embedded.shards).map(in_process).collect(), ..config.shards };
        if embedded.spare_shards > 0 {
            config.discovery.kind = DiscoveryKind::InProcess;
        }
        let keys = embedded.data.keys()?;
        let all = embedded.shards + embedded.spare_shards;
        Self::launch(Setup {
            roles: RoleSet::all(),
            shard: None,
            spare_shards: (embedded.shards..all).map(ShardId::numbered).collect(),
            config,
            keys_file: embedded.data.keys_file(),
            data: embedded.data,
            keys,
            timetable: embedded.timetable,
            policy: embedded.policy,
        })
        .await
    }

    /// The roles of a setup, each listening where it shall; gives back when all are ready.
    ///
    /// # Errors
    /// As [`HostError`] says.
    pub async fn launch(setup: Setup) -> Result<Self, HostError> {
        let listen = setup.config.listen.clone();
        let roles: Vec<Role> = setup.roles.iter().collect();
        let callbacks = bind(listen.callbacks, "payment callbacks").await?;
        let callbacks_at = address(&callbacks, listen.callbacks);
        let shard = match listen.internal.filter(|_| setup.roles.has(Role::InventoryShard)) {
            Some(wanted) => Some(bind(wanted, Role::InventoryShard.name()).await?),
            None => None,
        };
        let internal = shard.as_ref().and_then(|listener| listener.local_addr().ok());
        let assembly = Assembly::new(setup, callbacks_at, internal).await?;
        let mut fleet = Self {
            running: Vec::new(),
            listening: Vec::new(),
            discovery: assembly.discovery(),
            departure: assembly.departure(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        fleet.tasks.spawn(assembly.router().follow(assembly.discovery(), fleet.stop.clone()));
        let mut sockets = Sockets { listen, callbacks: Some(callbacks), shard };
        for role in roles {
            for component in assembly.build(role).await? {
                let running = component.start().await;
                assembly.connect(&running);
                fleet.running.push(running);
            }
            fleet.listen(role, &mut sockets).await?;
        }
        for running in &fleet.running {
            if !running.ready().await {
                return Err(HostError::NotReady(running.name().to_owned()));
            }
        }
        Ok(fleet)
    }

    /// Opens the sockets of a role that has just been started.
    async fn listen(&mut self, role: Role, sockets: &mut Sockets) -> Result<(), HostError> {
        let Some(running) = self.running.last() else { return Ok(()) };
        let listen = &sockets.listen;
        let internal = listen.internal.filter(|_| role != Role::Gateway);
        let public = Some(listen.public).filter(|_| role == Role::Gateway);
        if let Some(wanted) = internal.or(public) {
            let listener = match sockets.shard.take_if(|_| role == Role::InventoryShard) {
                Some(listener) => listener,
                None => bind(wanted, role.name()).await?,
            };
            self.listening.push((running.name().to_owned(), address(&listener, wanted)));
            running.serve(listener);
        }
        if role == Role::Payment
            && let Some(listener) = sockets.callbacks.take()
        {
            self.listening.push(("callbacks".to_owned(), address(&listener, listen.callbacks)));
            running.serve_http(listener);
        }
        Ok(())
    }

    /// What listens where.
    pub fn listening(&self) -> &[(String, SocketAddr)] {
        &self.listening
    }

    /// The gateway's address as a client gives it.
    pub fn gateway_url(&self) -> String {
        let gateway = self.listening.iter().find(|(name, _)| name == Role::Gateway.name());
        gateway.map_or_else(String::new, |(_, address)| format!("http://{address}"))
    }

    /// Waits until a role's background work has failed; its name.
    pub async fn failed(&self) -> String {
        let failures = self.running.iter().map(|running| {
            Box::pin(async move {
                running.failed().await;
                running.name().to_owned()
            })
        });
        futures::future::select_all(failures).await.0
    }

    /// Lets the shards leave, then stops answering and then working: the gateway first, so that nobody is called who has
    /// stopped.
    pub async fn drain(self, notice: Duration) {
        self.departure.leave(DEPARTURE_MAX).await;
        for (index, running) in self.running.iter().rev().enumerate() {
            // Only the public face has load balancers in front of it that must see it go.
            running.drain(if index == 0 { notice } else { Duration::ZERO }).await;
        }
        for running in self.running.into_iter().rev() {
            running.join().await;
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.discovery.close().await;
    }

    /// Stops without giving notice.
    pub async fn stop(self) {
        self.drain(Duration::ZERO).await;
    }
}

/// A shard of this process.
fn in_process(ordinal: u16) -> ListedShard {
    ListedShard { name: ShardId::numbered(ordinal).to_string(), address: None, weight: Member::WEIGHT_ORDINARY }
}

/// Listens on an address.
///
/// # Errors
/// It is taken, or not ours.
pub async fn bind(address: SocketAddr, what: &'static str) -> Result<TcpListener, HostError> {
    TcpListener::bind(address).await.map_err(|source| HostError::Listen { address, what, source })
}

/// Where a listener is; a port of 0 has become a real one.
fn address(listener: &TcpListener, wanted: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(wanted)
}
