//! A journal opens as it was made, or not at all.

use journal::{ClusterConfig, JournalError, create, open};
use storage::DatabaseUrl;

use crate::backend::{Backend, on_every_backend};

on_every_backend! { creating_twice_changes_nothing, a_journal_that_was_not_created_is_not_opened }

async fn creating_twice_changes_nothing(backend: &Backend) {
    let journal = backend.journal().await;
    let slots = [domain::SlotId::new(1).unwrap()];
    journal.claim(&slots, "a", 1).await.unwrap();
    journal.close().await;
    let journal = backend.journal().await;
    assert_eq!(journal.heads(&slots).await.unwrap()[0].epoch, 1);
    journal.close().await;
}

async fn a_journal_that_was_not_created_is_not_opened(backend: &Backend) {
    let error = open(&backend.clusters).await.unwrap_err();
    // Postgres has no tables at all then; the message differs, the refusal does not.
    assert!(matches!(error, JournalError::Configuration(_) | JournalError::Storage(_)), "{error}");
}

fn said(result: Result<(), JournalError>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn every_partition_stands_in_one_cluster() {
    let whole = Backend::sqlite().clusters.remove(0);
    let with = |partitions: Vec<u8>| ClusterConfig { partitions, ..whole.clone() };
    let other = ClusterConfig::whole(DatabaseUrl::sqlite("other.db"));

    assert!(said(create(&[with((0..63).collect())]).await).contains("partition 63 is in 0 clusters"));
    assert!(said(create(&[whole.clone(), other.clone()]).await).contains("partition 0 is in 2 clusters"));
    assert!(said(create(&[with((0..=64).collect())]).await).contains("no partition 64"));
    assert!(said(create(&[whole.clone(), with(vec![])]).await).contains("cluster 1 has no partitions"));
    let halves = [with((0..32).collect()), with((32..64).collect())];
    assert!(said(create(&halves).await).contains("named twice"));
    assert!(said(create(&[]).await).contains("partition 0 is in 0 clusters"));
}

#[tokio::test]
async fn partitions_do_not_move_by_configuration() {
    let backend = Backend::two_sqlite_files();
    create(&backend.clusters).await.unwrap();
    let mut swapped = backend.clusters.clone();
    let (first, second) = swapped.split_at_mut(1);
    std::mem::swap(&mut first[0].partitions, &mut second[0].partitions);
    let error = open(&swapped).await.unwrap_err().to_string();
    assert!(error.contains("holds partitions 0,2,4") && error.contains("configured are 1,3,5"), "{error}");
    assert!(create(&swapped).await.is_err());
}

#[tokio::test]
async fn another_number_of_slots_is_refused() {
    let backend = Backend::sqlite();
    create(&backend.clusters).await.unwrap();
    let DatabaseUrl::Sqlite(path) = &backend.clusters[0].url else { unreachable!("a sqlite backend") };
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("UPDATE journal_meta SET slots = 2048").execute(&pool).await.unwrap();
    pool.close().await;
    let error = open(&backend.clusters).await.unwrap_err().to_string();
    assert!(error.contains("made with 2048 slots, must be 1024"), "{error}");
}
