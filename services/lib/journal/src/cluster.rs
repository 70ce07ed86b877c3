//! Which cluster of storage holds which slots, and how a journal is made and opened.

use domain::SlotId;
use storage::{DatabaseUrl, OpenOptions};

use crate::JournalError;

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
    /// All partitions in one database.
    pub fn whole(url: DatabaseUrl) -> Self {
        Self { url, partitions: (0..PARTITIONS).collect(), options: OpenOptions::default() }
    }

    /// Every slot of its partitions, in order.
    pub fn slots(&self) -> impl Iterator<Item = SlotId> {
        SlotId::all().filter(|slot| self.partitions.contains(&partition(*slot)))
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
