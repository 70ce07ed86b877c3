//! Which cluster of storage holds which slots, and how a journal is made and opened.

use std::sync::Arc;

use domain::SlotId;
use sqlx::Connection;
use sqlx::migrate::Migrator;
use storage::{Database, DatabaseUrl, OpenOptions};

use crate::partitioned::PartitionedJournal;
use crate::postgres::PostgresJournal;
use crate::sqlite::SqliteJournal;
use crate::{Journal, JournalError, steps};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// How many logical partitions the slots spread over. Partitions are what can be placed on different clusters; fixed
/// when a journal is created.
pub const PARTITIONS: u8 = 64;

/// The partition of a slot.
pub const fn partition(slot: SlotId) -> u8 {
    (slot.number() % PARTITIONS as u16) as u8
}

/// One database and the partitions that live in it.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The database.
    pub url: DatabaseUrl,
    /// Its partitions, each from 0 to 63. Over all clusters every partition stands exactly once.
    pub partitions: Vec<u8>,
    /// Bounds of its connections.
    pub options: OpenOptions,
}

impl ClusterConfig {
    /// All partitions in one database. A call looks for a server that is down for 1 s: holds are shed rather than kept
    /// waiting.
    pub fn whole(url: DatabaseUrl) -> Self {
        let options = OpenOptions { acquire_timeout_ms: 1_000, connections_max: 16, ..OpenOptions::default() };
        Self { url, partitions: (0..PARTITIONS).collect(), options }
    }

    /// Every slot of its partitions, in order.
    pub fn slots(&self) -> Vec<SlotId> {
        SlotId::all().filter(|slot| self.partitions.contains(&partition(*slot))).collect()
    }

    /// The partitions as the database remembers them: ascending, separated by commas.
    fn partition_list(&self) -> String {
        let mut partitions = self.partitions.clone();
        partitions.sort_unstable();
        partitions.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Makes a journal: its tables and the heads of its 1,024 slots, in every cluster. Safe to repeat; changes nothing that is
/// there.
///
/// # Errors
/// When the clusters do not hold every partition once, when a database was made for other partitions or another number of
/// slots, and when one cannot be reached.
pub async fn create(clusters: &[ClusterConfig]) -> Result<(), JournalError> {
    check_clusters(clusters)?;
    for cluster in clusters {
        let database = Database::open(&cluster.url, &cluster.options).await?;
        database.migrate(&SQLITE, &POSTGRES).await?;
        let (slots, partitions) = (cluster.slots(), cluster.partition_list());
        match &database {
            Database::Sqlite(database) => {
                let mut connection = database.writer().acquire().await?;
                let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                steps::sqlite::create(&mut transaction, &slots, &partitions).await?;
                transaction.commit().await?;
            }
            Database::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                steps::postgres::create(&mut transaction, &slots, &partitions).await?;
                transaction.commit().await?;
            }
        }
        database.close().await;
    }
    Ok(())
}

/// Opens a journal that was created, after checking that it is the one the configuration describes.
///
/// # Errors
/// Those of [`create`], and when it was not created.
pub async fn open(clusters: &[ClusterConfig]) -> Result<Arc<dyn Journal>, JournalError> {
    check_clusters(clusters)?;
    let mut opened = Vec::with_capacity(clusters.len());
    for cluster in clusters {
        opened.push((open_cluster(cluster).await?, cluster.partitions.clone()));
    }
    match opened.pop() {
        Some((only, _)) if opened.is_empty() => Ok(only),
        Some(last) => {
            opened.push(last);
            Ok(Arc::new(PartitionedJournal::new(opened)))
        }
        None => Err(JournalError::Configuration("there is no cluster".to_owned())),
    }
}

async fn open_cluster(cluster: &ClusterConfig) -> Result<Arc<dyn Journal>, JournalError> {
    let (slots, partitions) = (cluster.slots(), cluster.partition_list());
    if let DatabaseUrl::Sqlite(path) = &cluster.url
        && !path.exists()
    {
        return Err(JournalError::Configuration(format!("{} was not created yet", cluster.url)));
    }
    // An append joins the slots it sends with those it has locked.
    let options = OpenOptions { rows_by_index: false, ..cluster.options.clone() };
    match Database::open(&cluster.url, &options).await? {
        Database::Sqlite(database) => {
            let mut connection = database.readers().acquire().await?;
            steps::sqlite::check(&mut connection, &slots, &partitions).await?;
            drop(connection);
            Ok(Arc::new(SqliteJournal::open(database).await?))
        }
        Database::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            steps::postgres::check(&mut connection, &slots, &partitions).await?;
            drop(connection);
            Ok(Arc::new(PostgresJournal::new(pool, &cluster.options)))
        }
    }
}

/// Checks that every partition stands in exactly one cluster and no database is named twice.
fn check_clusters(clusters: &[ClusterConfig]) -> Result<(), JournalError> {
    for number in 0..PARTITIONS {
        let times: usize =
            clusters.iter().map(|cluster| cluster.partitions.iter().filter(|&&p| p == number).count()).sum();
        if times != 1 {
            return Err(JournalError::Configuration(format!(
                "partition {number} is in {times} clusters, must be in 1"
            )));
        }
    }
    for (index, cluster) in clusters.iter().enumerate() {
        if let Some(number) = cluster.partitions.iter().find(|&&number| number >= PARTITIONS) {
            return Err(JournalError::Configuration(format!("there is no partition {number}, they end at 63")));
        }
        if cluster.partitions.is_empty() {
            return Err(JournalError::Configuration(format!("cluster {index} has no partitions")));
        }
        if clusters[..index].iter().any(|other| other.url.is_same(&cluster.url)) {
            return Err(JournalError::Configuration(format!("{} is named twice", cluster.url)));
        }
    }
    Ok(())
}
