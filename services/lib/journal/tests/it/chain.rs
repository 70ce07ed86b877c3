//! The hash chain, recomputed by code that shares nothing with the crate.

use sha2::{Digest, Sha256};

use crate::backend::{Backend, batch, claim, must_commit, on_every_backend, slot};

on_every_backend! { the_chain_is_what_the_documentation_says }

async fn the_chain_is_what_the_documentation_says(backend: &Backend) {
    let journal = backend.journal().await;
    let stream = slot(258);
    let mut head = claim(&*journal, stream, "a").await;
    for payload in ["", "one", "two"] {
        head = must_commit(&*journal, batch(stream, head, payload, &[])).await.0;
    }
    head = claim(&*journal, stream, "b").await;
    must_commit(&*journal, batch(stream, head, "under another epoch", &[])).await;

    let feed = journal.read_feed(stream, 0, 100).await.unwrap();
    let mut chain = [0u8; 32];
    let mut previous = [0u8; 16];
    for (batch, (version, epoch)) in feed.iter().zip([(1u64, 1u64), (2, 1), (3, 1), (4, 2)]) {
        // 258 is 0x0102.
        let parts: [&[u8]; 6] =
            [&chain, &[1, 2], &version.to_be_bytes(), &batch.batch_id.0, &epoch.to_be_bytes(), &batch.payload];
        chain = Sha256::digest(parts.concat()).into();
        assert_eq!((batch.version, batch.epoch, batch.chain.0, batch.previous_id.0), (version, epoch, chain, previous));
        previous = batch.batch_id.0;
    }
    assert_eq!(feed.len(), 4);
    assert_eq!(journal.heads(&[stream]).await.unwrap()[0].chain.0, chain);
    journal.close().await;
}
