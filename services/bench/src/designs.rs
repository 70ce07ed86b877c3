//! The designs that are compared.

mod echo;
pub(crate) mod fleet;
mod interval_rows;
mod lock_keys;
mod seat_bitmap;
mod seat_rows;

use std::sync::Arc;

use storage::DatabaseUrl;

use crate::databases::new_database;
use crate::edge::{Server, serve_bare, serve_front};
use crate::load::GiveBack;
use crate::observed_journal::ObservedJournal;
use crate::plan::Restart;
use crate::stage::Stage;
use crate::{BenchError, Seats, cpu};

pub(crate) use echo::Echo;
pub(crate) use fleet::Hop;

/// A design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Design {
    /// The fleet on Postgres, gateway to shard on one stream.
    ChunyunPostgres,
    /// The fleet on Postgres, a call for each request.
    ChunyunPostgresUnaryHop,
    /// The fleet on SQLite, gateway to shard on one stream.
    ChunyunSqlite,
    /// The fleet on SQLite, a call for each request.
    ChunyunSqliteUnaryHop,
    /// A lock key in Redis per seat and segment.
    RedisLockKeys,
    /// A bitmap per seat in Redis, find and lock in one script, nothing durable.
    RedisBitmap,
    /// The same with `appendfsync always`.
    RedisBitmapFsync,
    /// A row per seat in Postgres, SKIP LOCKED.
    PostgresSeatRows,
    /// A row per interval in Postgres, counting.
    PostgresIntervalRows,
    /// Nothing behind a bare server, one stream.
    Echo,
    /// Nothing behind a bare server, a call for each request.
    EchoUnaryHop,
}

impl Design {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ChunyunPostgres,
        Self::ChunyunPostgresUnaryHop,
        Self::ChunyunSqlite,
        Self::ChunyunSqliteUnaryHop,
        Self::RedisLockKeys,
        Self::RedisBitmap,
        Self::RedisBitmapFsync,
        Self::PostgresSeatRows,
        Self::PostgresIntervalRows,
        Self::Echo,
        Self::EchoUnaryHop,
    ];

    /// Its name in tables and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChunyunPostgres => "chunyun-postgres",
            Self::ChunyunPostgresUnaryHop => "chunyun-postgres-unary-hop",
            Self::ChunyunSqlite => "chunyun-sqlite",
            Self::ChunyunSqliteUnaryHop => "chunyun-sqlite-unary-hop",
            Self::RedisLockKeys => "redis-lock-keys",
            Self::RedisBitmap => "redis-bitmap",
            Self::RedisBitmapFsync => "redis-bitmap-fsync",
            Self::PostgresSeatRows => "postgres-seat-rows",
            Self::PostgresIntervalRows => "postgres-interval-rows",
            Self::Echo => "echo",
            Self::EchoUnaryHop => "echo-unary-hop",
        }
    }

    pub(crate) const fn give_back(self) -> GiveBack {
        match self {
            Self::Echo | Self::EchoUnaryHop => GiveBack::Echo,
            Self::ChunyunPostgres
            | Self::ChunyunPostgresUnaryHop
            | Self::ChunyunSqlite
            | Self::ChunyunSqliteUnaryHop => GiveBack::ByHold,
            _ => GiveBack::ByPlace,
        }
    }
}

/// Where the engines are; a design whose engine is missing is left out.
#[derive(Clone, Debug, Default)]
pub struct Engines {
    /// A Postgres server where databases may be made.
    pub postgres: Option<String>,
    /// A Redis that keeps nothing.
    pub redis: Option<String>,
    /// A Redis with `appendfsync always`.
    pub redis_fsync: Option<String>,
}

/// What stands behind the designs: engines filled, shards and echoes up.
pub(crate) struct Backs {
    postgres_fleet: Option<fleet::Fleet>,
    sqlite_fleet: fleet::Fleet,
    echo: (Server, String),
    postgres: Option<String>,
    redis: Option<String>,
    redis_fsync: Option<String>,
    /// Processes of the engines.
    pub servers: Vec<u32>,
}

impl Backs {
    /// Fills engines and starts shards with these trains, on the shards' thread.
    pub async fn start(engines: Engines, folder: std::path::PathBuf, trains: Vec<u32>) -> Result<Self, BenchError> {
        let mut servers = Vec::new();
        let sqlite_fleet = fleet::Fleet::start(DatabaseUrl::sqlite(folder.join("journal.db")), trains.clone()).await?;
        let (mut postgres_fleet, mut postgres) = (None, None);
        if let Some(server) = engines.postgres {
            let journal = new_database(&server, "journal").await?;
            postgres_fleet = Some(fleet::Fleet::start(parsed(&journal)?, trains).await?);
            let database = new_database(&server, "designs").await?;
            let backend = seat_rows::create(&database).await?;
            interval_rows::create(&database).await?;
            servers.extend(cpu::parent_of(backend));
            postgres = Some(database);
        }
        for address in [&engines.redis, &engines.redis_fsync].into_iter().flatten() {
            servers.push(seat_bitmap::create(address).await?);
        }
        let echo = serve_bare(Arc::new(Echo)).await?;
        Ok(Self {
            postgres_fleet,
            sqlite_fleet,
            echo,
            postgres,
            redis: engines.redis,
            redis_fsync: engines.redis_fsync,
            servers,
        })
    }

    /// Whether the engine of a design is there.
    pub fn has(&self, design: Design) -> bool {
        match design {
            Design::ChunyunPostgres | Design::ChunyunPostgresUnaryHop => self.postgres_fleet.is_some(),
            Design::PostgresSeatRows | Design::PostgresIntervalRows => self.postgres.is_some(),
            Design::RedisLockKeys | Design::RedisBitmap => self.redis.is_some(),
            Design::RedisBitmapFsync => self.redis_fsync.is_some(),
            Design::ChunyunSqlite | Design::ChunyunSqliteUnaryHop | Design::Echo | Design::EchoUnaryHop => true,
        }
    }

    /// The journal behind a design.
    pub fn journal(&self, design: Design) -> Option<&Arc<ObservedJournal>> {
        match design {
            Design::ChunyunPostgres | Design::ChunyunPostgresUnaryHop => {
                self.postgres_fleet.as_ref().map(|fleet| &fleet.journal)
            }
            Design::ChunyunSqlite | Design::ChunyunSqliteUnaryHop => Some(&self.sqlite_fleet.journal),
            _ => None,
        }
    }

    /// How to reach a design from some thread.
    pub fn reach(&self, design: Design) -> Result<Reach, BenchError> {
        let missing = || BenchError::new(format!("{} has no engine", design.name()));
        let fleet = |fleet: Option<&fleet::Fleet>, hop| Some(Reach::Fleet { address: fleet?.address.clone(), hop });
        let reach = match design {
            Design::ChunyunPostgres => fleet(self.postgres_fleet.as_ref(), Hop::Streamed),
            Design::ChunyunPostgresUnaryHop => fleet(self.postgres_fleet.as_ref(), Hop::Unary),
            Design::ChunyunSqlite => fleet(Some(&self.sqlite_fleet), Hop::Streamed),
            Design::ChunyunSqliteUnaryHop => fleet(Some(&self.sqlite_fleet), Hop::Unary),
            Design::RedisLockKeys => self.redis.clone().map(Reach::LockKeys),
            Design::RedisBitmap => self.redis.clone().map(Reach::SeatBitmap),
            Design::RedisBitmapFsync => self.redis_fsync.clone().map(Reach::SeatBitmap),
            Design::PostgresSeatRows => self.postgres.clone().map(Reach::SeatRows),
            Design::PostgresIntervalRows => self.postgres.clone().map(Reach::IntervalRows),
            Design::Echo => Some(Reach::Echo { address: self.echo.1.clone(), hop: Hop::Streamed }),
            Design::EchoUnaryHop => Some(Reach::Echo { address: self.echo.1.clone(), hop: Hop::Unary }),
        };
        reach.ok_or_else(missing)
    }

    /// Stops shards and echoes; starts each shard once more before, on the journal of all that was sold.
    pub async fn restart_and_stop(self) -> Result<Vec<Restart>, BenchError> {
        self.echo.0.stop().await;
        let mut restarts = vec![self.sqlite_fleet.restart_and_stop(Design::ChunyunSqlite).await?];
        if let Some(fleet) = self.postgres_fleet {
            restarts.push(fleet.restart_and_stop(Design::ChunyunPostgres).await?);
        }
        Ok(restarts)
    }
}

fn parsed(url: &str) -> Result<DatabaseUrl, BenchError> {
    url.parse().map_err(BenchError::because("an address of Postgres that is none"))
}

/// How to reach a design.
#[derive(Clone)]
pub(crate) enum Reach {
    Fleet { address: String, hop: Hop },
    LockKeys(String),
    SeatBitmap(String),
    SeatRows(String),
    IntervalRows(String),
    Echo { address: String, hop: Hop },
}

impl Reach {
    /// Connects from the present thread.
    pub async fn connect(self) -> Result<Arc<dyn Seats>, BenchError> {
        Ok(match self {
            Self::Fleet { address, hop } => Arc::new(fleet::Routed::connect(&address, hop).await?),
            Self::LockKeys(address) => Arc::new(lock_keys::LockKeys::connect(&address).await?),
            Self::SeatBitmap(address) => Arc::new(seat_bitmap::SeatBitmap::connect(&address).await?),
            Self::SeatRows(url) => Arc::new(seat_rows::SeatRows::connect(&url).await?),
            Self::IntervalRows(url) => Arc::new(interval_rows::IntervalRows::connect(&url).await?),
            Self::Echo { address, hop } => echo::connect(&address, hop).await?,
        })
    }

    /// An edge before the design, on a thread.
    pub async fn edge(self, stage: &Stage) -> Result<(Server, String), BenchError> {
        let bare = matches!(self, Self::Echo { .. });
        stage
            .run(async move {
                let seats = self.connect().await?;
                if bare { serve_bare(seats).await } else { serve_front(seats).await }
            })
            .await
    }
}
