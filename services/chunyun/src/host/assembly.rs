use std::net::SocketAddr;
use std::sync::Arc;

use journal::ClusterConfig;
use privacy::{DocumentVault, PersonTokens};
use ring::ShardId;
use rpc::identity::TokenVerifier;
use rpc::{Clock, Component, Link, Running, Switchboard, SystemClock};
use secrecy::{ExposeSecret, SecretString};
use shard_client::{Discovery, ShardRouter};
use storage::{Database, DatabaseUrl, OpenOptions};

use super::config::JournalCluster;
use super::discovery;
use super::fleet::{HostError, Setup};
use super::roles::Role;

/// Builds the roles of a process out of its setup: who is linked to whom, and what each is given.
pub struct Assembly {
    setup: Setup,
    switchboard: Switchboard,
    discovery: Arc<dyn Discovery>,
    router: ShardRouter,
    clock: Arc<dyn Clock>,
    /// Where the provider reaches this process's payment role.
    callbacks: SocketAddr,
    /// Where this process listens for other roles, once it does.
    internal: Option<SocketAddr>,
    /// Asks the shards of this process to leave.
    departure: inventory_shard::Departure,
}

impl Assembly {
    /// Checks what all roles rest on, and finds the fleet.
    ///
    /// # Errors
    /// Shards that make no ring, an address that is none, a fleet that cannot be found.
    pub async fn new(setup: Setup, callbacks: SocketAddr, internal: Option<SocketAddr>) -> Result<Self, HostError> {
        let switchboard = Switchboard::new();
        let shards = &setup.config.shards;
        // Boxed: clients of several kinds would make every future that starts a fleet large.
        let discovery = Box::pin(discovery::start(&setup.config.discovery, &shards.list)).await?;
        let router = ShardRouter::new(shards, &*discovery, &switchboard).map_err(|error| wrong("shards", error))?;
        let (clock, departure) = (Arc::new(SystemClock), inventory_shard::Departure::new());
        Ok(Self { setup, switchboard, discovery, router, clock, callbacks, internal, departure })
    }

    /// Asks the shards of this process to leave.
    pub fn departure(&self) -> inventory_shard::Departure {
        self.departure.clone()
    }

    /// Who tells which shards there are.
    pub fn discovery(&self) -> Arc<dyn Discovery> {
        self.discovery.clone()
    }

    /// Finds the shards for the callers of this process.
    pub fn router(&self) -> ShardRouter {
        self.router.clone()
    }

    /// Lets the other roles of this process reach one that runs.
    pub fn connect(&self, running: &Running) {
        self.switchboard.connect(running.name(), running.stack());
    }

    /// The components of a role: one, or one a shard.
    ///
    /// # Errors
    /// A setting of the role that is wrong, or a database that cannot be opened.
    pub async fn build(&self, role: Role) -> Result<Vec<Component>, HostError> {
        match role {
            Role::InventoryShard => self.shards().await,
            Role::Query => self.query().map(|component| vec![component]),
            Role::SandboxProvider => self.sandbox_provider().await.map(|component| vec![component]),
            Role::Payment => self.payment().await.map(|component| vec![component]),
            Role::Order => self.order().await.map(|component| vec![component]),
            Role::Waitlist => self.waitlist().await.map(|component| vec![component]),
            Role::Gateway => self.gateway().await.map(|component| vec![component]),
        }
    }

    /// The shards of this process: the named one, or all that have no address. Where shards register, the named one need
    /// not be a member yet.
    fn own_shards(&self) -> Result<Vec<ShardId>, HostError> {
        let known = self.router.addresses();
        let registers = self.setup.config.discovery.kind.is_shared();
        let Some(name) = &self.setup.shard else {
            if registers {
                return Err(wrong("--shard", "shards are processes of their own: say which one this is"));
            }
            let here = known.into_iter().filter(|(_, address)| address.is_none()).map(|(shard, _)| shard);
            return Ok(here.chain(self.setup.spare_shards.iter().cloned()).collect());
        };
        if registers {
            return Ok(vec![name.parse().map_err(|error| wrong("--shard", error))?]);
        }
        let named = known.into_iter().find(|(shard, _)| shard.as_str() == name).map(|(shard, _)| vec![shard]);
        named.ok_or_else(|| wrong("--shard", format!("{name} is not one of shards.list")))
    }

    async fn shards(&self) -> Result<Vec<Component>, HostError> {
        let journal = self.journal().await?;
        let address = discovery::shard_address(&self.setup.config.discovery, self.internal)?;
        let mut components = Vec::new();
        for shard in self.own_shards()? {
            let options =
                inventory_shard::Options { shard: shard.to_string(), ..self.setup.config.inventory_shard.clone() };
            let dependencies = inventory_shard::Dependencies {
                journal: journal.clone(),
                discovery: self.discovery.clone(),
                address: address.clone(),
                departure: self.departure.clone(),
            };
            components
                .push(inventory_shard::build(options, dependencies).map_err(|e| failed(Role::InventoryShard, e))?);
        }
        if components.is_empty() {
            return Err(wrong("shards.list", "every shard has an address: say with --shard which one this process is"));
        }
        Ok(components)
    }

    /// The journal of every shard of this process, made at its first use.
    async fn journal(&self) -> Result<Arc<dyn journal::Journal>, HostError> {
        let clusters = self.journal_clusters()?;
        journal::create(&clusters).await.map_err(|error| failed(Role::InventoryShard, error))?;
        journal::open(&clusters).await.map_err(|error| failed(Role::InventoryShard, error))
    }

    fn journal_clusters(&self) -> Result<Vec<ClusterConfig>, HostError> {
        let storage = &self.setup.config.storage;
        if storage.journal_clusters.is_empty() {
            return Ok(vec![ClusterConfig::whole(self.database("journal", storage.journal.as_ref())?)]);
        }
        let cluster = |cluster: &JournalCluster| {
            let url = cluster.url.expose_secret().parse().map_err(|e| wrong("storage.journal_clusters", e))?;
            Ok(ClusterConfig { partitions: cluster.partitions.clone(), ..ClusterConfig::whole(url) })
        };
        storage.journal_clusters.iter().map(cluster).collect()
    }

    fn query(&self) -> Result<Component, HostError> {
        let shards = self.router.clone();
        let dependencies =
            query::Dependencies { timetable: self.setup.timetable.clone(), shards, clock: self.clock.clone() };
        query::build(self.setup.config.query.clone(), dependencies).map_err(|error| failed(Role::Query, error))
    }

    async fn sandbox_provider(&self) -> Result<Component, HostError> {
        let storage = &self.setup.config.storage;
        let dependencies = sandbox_provider::Dependencies {
            database: self.database("sandbox-provider", storage.sandbox_provider.as_ref())?,
            clock: self.clock.clone(),
            callback_secret: self.setup.keys.callback_secret.clone(),
        };
        let options = self.setup.config.sandbox_provider.clone();
        sandbox_provider::build(options, dependencies).await.map_err(|error| failed(Role::SandboxProvider, error))
    }

    async fn payment(&self) -> Result<Component, HostError> {
        let dependencies = payment::Dependencies {
            database: self.database("payment", self.setup.config.storage.payment.as_ref())?,
            clock: self.clock.clone(),
            callback_secret: self.setup.keys.callback_secret.clone(),
            provider: self.link(Role::SandboxProvider)?,
            order: self.link(Role::Order)?,
        };
        let mut options = self.setup.config.payment.clone();
        let base = self.setup.config.links.callbacks.clone().unwrap_or_else(|| format!("http://{}", self.callbacks));
        options.callback_url = format!("{base}{}", payment::CALLBACK_PATH);
        payment::build(options, dependencies).await.map_err(|error| failed(Role::Payment, error))
    }

    async fn order(&self) -> Result<Component, HostError> {
        let database = self.open(Role::Order, "order", self.setup.config.storage.order.as_ref()).await?;
        let dependencies = order::Dependencies {
            database,
            clock: self.clock.clone(),
            timetable: self.setup.timetable.clone(),
            policy: Arc::new(self.setup.policy.clone()),
            vault: self.vault()?,
            tokens: self.person_tokens()?,
            shards: self.router.clone(),
            payment: self.link(Role::Payment)?,
        };
        let options = self.setup.config.order.clone();
        order::build(options, dependencies).await.map_err(|error| failed(Role::Order, error))
    }

    async fn waitlist(&self) -> Result<Component, HostError> {
        let database = self.open(Role::Waitlist, "waitlist", self.setup.config.storage.waitlist.as_ref()).await?;
        let dependencies = waitlist::Dependencies {
            database,
            timetable: self.setup.timetable.clone(),
            policy: Arc::new(self.setup.policy.clone()),
            shards: self.router.clone(),
            orders: self.link(Role::Order)?,
            clock: self.clock.clone(),
            vault: self.vault()?,
            tokens: self.person_tokens()?,
        };
        let options = self.setup.config.waitlist.clone();
        waitlist::build(options, dependencies).await.map_err(|error| failed(Role::Waitlist, error))
    }

    async fn gateway(&self) -> Result<Component, HostError> {
        let tokens = self.setup.keys.token_options(&self.setup.keys_file)?;
        let dependencies = gateway::Dependencies {
            timetable: self.setup.timetable.clone(),
            policy: Arc::new(self.setup.policy.clone()),
            person_tokens: self.person_tokens()?,
            verifier: Arc::new(TokenVerifier::new(&tokens, self.clock.clone())),
            shards: self.router.clone(),
            discovery: self.discovery.clone(),
            query: self.link(Role::Query)?,
            order: self.link(Role::Order)?,
            waitlist: self.link(Role::Waitlist)?,
            redis: self.setup.config.storage.redis.clone(),
            clock: self.clock.clone(),
        };
        let options = self.setup.config.gateway.clone();
        gateway::build(options, dependencies).await.map_err(|error| failed(Role::Gateway, error))
    }

    /// The way to a role: its address where one is set, else within this process.
    fn link(&self, role: Role) -> Result<Link, HostError> {
        let links = &self.setup.config.links;
        let (setting, address) = match role {
            Role::Query => ("links.query", &links.query),
            Role::Order => ("links.order", &links.order),
            Role::Payment => ("links.payment", &links.payment),
            Role::Waitlist => ("links.waitlist", &links.waitlist),
            Role::SandboxProvider => ("links.sandbox_provider", &links.sandbox_provider),
            Role::InventoryShard | Role::Gateway => return Ok(self.switchboard.link(role.name())),
        };
        if address.is_none() && !self.setup.roles.has(role) {
            return Err(wrong(
                setting,
                format!("{} does not run in this process, so its address is needed", role.name()),
            ));
        }
        let options = &self.setup.config.shards.link;
        Link::resolve(role.name(), address.as_deref(), &self.switchboard, options)
            .map_err(|error| wrong(setting, error))
    }

    fn vault(&self) -> Result<Arc<DocumentVault>, HostError> {
        self.setup.keys.privacy.document_vault().map(Arc::new).map_err(|error| wrong("keys", error))
    }

    fn person_tokens(&self) -> Result<Arc<PersonTokens>, HostError> {
        self.setup.keys.privacy.person_tokens().map(Arc::new).map_err(|error| wrong("keys", error))
    }

    async fn open(&self, role: Role, service: &str, configured: Option<&SecretString>) -> Result<Database, HostError> {
        let url = self.database(service, configured)?;
        Database::open(&url, &OpenOptions::default()).await.map_err(|error| failed(role, error))
    }

    /// A service's database: as configured, else its SQLite file.
    fn database(&self, service: &str, configured: Option<&SecretString>) -> Result<DatabaseUrl, HostError> {
        let Some(url) = configured else { return Ok(self.setup.data.database(service)) };
        url.expose_secret().parse().map_err(|error| wrong(&format!("storage.{}", service.replace('-', "_")), error))
    }
}

fn wrong(setting: &str, reason: impl ToString) -> HostError {
    HostError::Setting { setting: setting.to_owned(), reason: reason.to_string() }
}

fn failed(role: Role, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HostError {
    HostError::Build { role: role.name(), source: source.into() }
}
