//! Feeds, loading a run, snapshots, checkpoints, purging.

use bytes::Bytes;
use domain::{Run, SlotId};
use journal::{Head, Journal, JournalError, RunHistory, Snapshot};

use crate::backend::{Backend, batch, claim, must_commit, on_every_backend, runs_of, slot};

on_every_backend! {
    a_feed_is_read_from_a_cursor_in_pieces,
    a_run_is_loaded_by_its_own_batches,
    a_run_is_found_among_hundreds_of_batches,
    a_run_is_loaded_from_its_newest_snapshot,
    many_runs_of_one_batch_are_all_found,
    a_checkpoint_waits_for_every_runs_snapshot,
    only_what_lies_behind_a_checkpoint_is_purged,
    a_purged_run_is_loaded_from_its_snapshot,
    the_runs_of_a_slot_are_known_before_and_after_a_purge,
    what_is_old_and_behind_a_checkpoint_may_be_purged,
}

const SLOT: u16 = 321;

/// Appends one batch per payload; each payload names the runs it concerns by their place in `runs`, such as `0` or `01`.
async fn append_all(journal: &dyn Journal, mut head: Head, runs: &[Run], payloads: &[&str]) -> Head {
    for payload in payloads {
        let concerned: Vec<_> = payload.bytes().map(|digit| runs[usize::from(digit - b'0')]).collect();
        head = must_commit(journal, batch(slot(SLOT), head, payload, &concerned)).await.0;
    }
    head
}

fn snapshot(run: Run, version: u64) -> Snapshot {
    Snapshot {
        run,
        version,
        format_version: 3,
        state_hash: Bytes::from_static(b"hash"),
        payload: Bytes::from(format!("state of {run} at {version}")),
    }
}

fn versions(history: &RunHistory) -> (Option<u64>, Vec<u64>) {
    let snapshot = history.snapshot.as_ref().map(|snapshot| snapshot.version);
    (snapshot, history.batches.iter().map(|batch| batch.version).collect())
}

async fn a_feed_is_read_from_a_cursor_in_pieces(backend: &Backend) {
    let journal = backend.journal().await;
    let runs = runs_of(slot(SLOT), 1);
    let head = claim(&*journal, slot(SLOT), "a").await;
    append_all(&*journal, head, &runs, &["0", "0", "0", "0", "0"]).await;
    let mut cursor = 0;
    let mut pieces = Vec::new();
    loop {
        let piece = journal.read_feed(slot(SLOT), cursor, 2).await.unwrap();
        let Some(last) = piece.last() else { break };
        cursor = last.version;
        pieces.push(piece.len());
    }
    assert_eq!((cursor, pieces), (5, vec![2, 2, 1]));
    assert_eq!(journal.feed_positions(&[slot(SLOT), slot(SLOT + 1)]).await.unwrap(), [5, 0]);
    journal.close().await;
}

async fn a_run_is_loaded_by_its_own_batches(backend: &Backend) {
    let journal = backend.journal().await;
    let runs = runs_of(slot(SLOT), 3);
    let head = claim(&*journal, slot(SLOT), "a").await;
    append_all(&*journal, head, &runs, &["0", "1", "01", "1", "0"]).await;
    assert_eq!(versions(&journal.load_run(&runs[0]).await.unwrap()), (None, vec![1, 3, 5]));
    assert_eq!(versions(&journal.load_run(&runs[1]).await.unwrap()), (None, vec![2, 3, 4]));
    assert_eq!(journal.load_run(&runs[2]).await.unwrap(), RunHistory::default());
    let second = Run { ordinal: 2, ..runs[0] };
    assert_eq!(
        journal.load_run(&second).await.unwrap(),
        RunHistory::default(),
        "another run of the same train and day"
    );
    journal.close().await;
}

/// What concerns a run is found wherever it stands: in the index, after it, on both sides of a chunk's edge.
async fn a_run_is_found_among_hundreds_of_batches(backend: &Backend) {
    let journal = backend.journal().await;
    let runs = runs_of(slot(SLOT), 3);
    let mut head = claim(&*journal, slot(SLOT), "a").await;
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for version in 1..=330u64 {
        // The first run is in every batch, the second in every third, the last in few.
        let concerned: Vec<usize> = [(0, 1), (1, 3), (2, 41)]
            .into_iter()
            .filter(|(_, every)| version % every == 0)
            .map(|(run, _)| run)
            .collect();
        let payload = concerned.iter().map(usize::to_string).collect::<String>();
        head = append_all(&*journal, head, &runs, &[&payload]).await;
        concerned.iter().for_each(|run| expected[*run].push(version));
        if [63, 64, 65, 66, 129, 200, 330].contains(&version) {
            for (run, expected) in runs.iter().zip(&expected) {
                assert_eq!(versions(&journal.load_run(run).await.unwrap()), (None, expected.clone()), "{version}");
            }
        }
    }
    for run in &runs {
        journal.put_snapshot(&snapshot(*run, 200)).await.unwrap();
    }
    let checkpoint = journal.checkpoint(slot(SLOT)).await.unwrap().unwrap();
    assert_eq!(checkpoint.version, 200);
    for purged in [false, true] {
        if purged {
            journal.purge(slot(SLOT), 200).await.unwrap();
        }
        for (run, expected) in runs.iter().zip(&expected) {
            let after: Vec<u64> = expected.iter().copied().filter(|version| *version > 200).collect();
            assert_eq!(versions(&journal.load_run(run).await.unwrap()), (Some(200), after));
        }
    }
    journal.put_snapshot(&snapshot(runs[0], 330)).await.unwrap();
    journal.put_snapshot(&snapshot(runs[1], 330)).await.unwrap();
    let checkpoint = journal.checkpoint(slot(SLOT)).await.unwrap().unwrap();
    assert_eq!(checkpoint.version, 204, "205 is the first batch of the last run that no snapshot has: 41 * 5");
    journal.close().await;
}

async fn a_run_is_loaded_from_its_newest_snapshot(backend: &Backend) {
    let journal = backend.journal().await;
    let runs = runs_of(slot(SLOT), 2);
    let head = claim(&*journal, slot(SLOT), "a").await;
    append_all(&*journal, head, &runs, &["0", "0", "0", "0", "0"]).await;
    journal.put_snapshot(&snapshot(runs[0], 2)).await.unwrap();
    journal.put_snapshot(&snapshot(runs[0], 3)).await.unwrap();
    let history = journal.load_run(&runs[0]).await.unwrap();
    assert_eq!(versions(&history), (Some(3), vec![4, 5]));
    assert_eq!(history.snapshot, Some(snapshot(runs[0], 3)));
    journal.close().await;
}

async fn many_runs_of_one_batch_are_all_found(backend: &Backend) {
    let journal = backend.journal().await;
    let runs = runs_of(slot(SLOT), 90);
    let head = claim(&*journal, slot(SLOT), "a").await;
    // Named twice counts once.
    let twice: Vec<_> = runs.iter().chain(&runs).copied().collect();
    must_commit(&*journal, batch(slot(SLOT), head, "all", &twice)).await;
    for run in &runs {
        assert_eq!(versions(&journal.load_run(run).await.unwrap()), (None, vec![1]), "{run}");
    }
    journal.close().await;
}

async fn a_checkpoint_waits_for_every_runs_snapshot(backend: &Backend) {
    let journal = backend.journal().await;
    let runs = runs_of(slot(SLOT), 2);
    let head = claim(&*journal, slot(SLOT), "a").await;
    let head = append_all(&*journal, head, &runs, &["0", "0", "1", "0"]).await;
    assert_eq!(journal.checkpoint(slot(SLOT)).await.unwrap(), None, "nothing has a snapshot");

    journal.put_snapshot(&snapshot(runs[0], 4)).await.unwrap();
    let first = journal.checkpoint(slot(SLOT)).await.unwrap().unwrap();
    assert_eq!(first.version, 2, "version 3 concerns a run without a snapshot");
    assert_eq!(first.chain, journal.read_feed(slot(SLOT), 1, 1).await.unwrap()[0].chain);
    assert_eq!(journal.checkpoint(slot(SLOT)).await.unwrap(), None, "nothing new");

    journal.put_snapshot(&snapshot(runs[1], 3)).await.unwrap();
    let second = journal.checkpoint(slot(SLOT)).await.unwrap().unwrap();
    assert_eq!((second.version, second.chain), (4, head.chain));
    let mut named: Vec<_> = second.snapshots.iter().map(|name| (name.run, name.version)).collect();
    named.sort_unstable();
    let mut expected = vec![(runs[0], 4), (runs[1], 3)];
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert_eq!(second.snapshots[0].state_hash, "hash");
    assert_eq!(journal.latest_checkpoint(slot(SLOT)).await.unwrap(), Some(second));
    assert_eq!(journal.latest_checkpoint(slot(SLOT + 1)).await.unwrap(), None);
    journal.close().await;
}

async fn only_what_lies_behind_a_checkpoint_is_purged(backend: &Backend) {
    let journal = backend.journal().await;
    let runs = runs_of(slot(SLOT), 1);
    let head = claim(&*journal, slot(SLOT), "a").await;
    append_all(&*journal, head, &runs, &["0", "0", "0"]).await;
    let refused = journal.purge(slot(SLOT), 3).await.unwrap_err();
    assert!(matches!(refused, JournalError::NoCheckpoint { version: 3, .. }), "{refused}");

    journal.put_snapshot(&snapshot(runs[0], 2)).await.unwrap();
    assert_eq!(journal.checkpoint(slot(SLOT)).await.unwrap().unwrap().version, 2);
    for version in [1, 3] {
        assert!(journal.purge(slot(SLOT), version).await.is_err(), "version {version} has no checkpoint");
    }
    assert_eq!(journal.purge(slot(SLOT), 2).await.unwrap(), 2);
    assert_eq!(journal.purge(slot(SLOT), 2).await.unwrap(), 0, "safe to repeat");

    let late = journal.read_feed(slot(SLOT), 1, 10).await.unwrap_err();
    assert!(matches!(late, JournalError::Purged { purged_up_to: 2, asked_after: 1, .. }), "{late}");
    let rest: Vec<_> = journal.read_feed(slot(SLOT), 2, 10).await.unwrap().iter().map(|batch| batch.version).collect();
    assert_eq!(rest, [3]);
    journal.close().await;
}

async fn a_purged_run_is_loaded_from_its_snapshot(backend: &Backend) {
    let journal = backend.journal().await;
    let stream: SlotId = slot(SLOT);
    let runs = runs_of(stream, 3);
    let head = claim(&*journal, stream, "a").await;
    let head = append_all(&*journal, head, &runs, &["0", "1", "0", "1"]).await;
    journal.put_snapshot(&snapshot(runs[0], 3)).await.unwrap();
    journal.put_snapshot(&snapshot(runs[1], 4)).await.unwrap();
    assert_eq!(journal.checkpoint(stream).await.unwrap().unwrap().version, 4);
    assert_eq!(journal.purge(stream, 4).await.unwrap(), 4);
    let head = append_all(&*journal, head, &runs, &["0", "2"]).await;
    assert_eq!(head.version, 6);
    assert_eq!(versions(&journal.load_run(&runs[0]).await.unwrap()), (Some(3), vec![5]));
    assert_eq!(versions(&journal.load_run(&runs[1]).await.unwrap()), (Some(4), vec![]));
    assert_eq!(versions(&journal.load_run(&runs[2]).await.unwrap()), (None, vec![6]), "first sold after the purge");

    // A newer snapshot does not take away the one that the checkpoint names, until the next checkpoint.
    journal.put_snapshot(&snapshot(runs[0], 5)).await.unwrap();
    journal.put_snapshot(&snapshot(runs[2], 6)).await.unwrap();
    let next = journal.checkpoint(stream).await.unwrap().unwrap();
    assert_eq!((next.version, next.snapshots.len()), (6, 3));
    assert_eq!(journal.purge(stream, 6).await.unwrap(), 2);
    assert_eq!(versions(&journal.load_run(&runs[1]).await.unwrap()), (Some(4), vec![]));
    journal.close().await;
}

async fn the_runs_of_a_slot_are_known_before_and_after_a_purge(backend: &Backend) {
    let journal = backend.journal().await;
    let stream = slot(SLOT);
    // In order of their names, as text.
    let mut runs = runs_of(stream, 12);
    runs.sort_unstable_by_key(Run::to_string);
    assert_eq!(journal.runs_of(stream).await.unwrap(), []);
    let head = claim(&*journal, stream, "a").await;
    let head = append_all(&*journal, head, &runs, &["3", "0", "03", "7", "3"]).await;
    let neighbour = claim(&*journal, slot(SLOT + 1), "a").await;
    must_commit(&*journal, batch(slot(SLOT + 1), neighbour, "x", &runs_of(slot(SLOT + 1), 2))).await;
    let named = |places: &[usize]| places.iter().map(|place| runs[*place]).collect::<Vec<_>>();
    assert_eq!(journal.runs_of(stream).await.unwrap(), named(&[0, 3, 7]));

    assert_eq!(journal.runs_without_snapshot(stream).await.unwrap(), named(&[0, 3, 7]));
    journal.put_snapshot(&snapshot(runs[0], 2)).await.unwrap();
    journal.put_snapshot(&snapshot(runs[3], 5)).await.unwrap();
    assert_eq!(journal.runs_without_snapshot(stream).await.unwrap(), named(&[0, 7]), "run 0 went on in version 3");
    journal.put_snapshot(&snapshot(runs[0], 3)).await.unwrap();
    journal.put_snapshot(&snapshot(runs[7], 4)).await.unwrap();
    assert_eq!(journal.runs_without_snapshot(stream).await.unwrap(), []);

    assert_eq!(journal.checkpoint(stream).await.unwrap().unwrap().version, 5);
    journal.purge(stream, 5).await.unwrap();
    append_all(&*journal, head, &runs, &["9"]).await;
    assert_eq!(journal.runs_of(stream).await.unwrap(), named(&[0, 3, 7, 9]), "purged ones stand in their snapshots");
    journal.close().await;
}

async fn what_is_old_and_behind_a_checkpoint_may_be_purged(backend: &Backend) {
    let journal = backend.journal().await;
    let (one, other) = (slot(SLOT), slot(SLOT + 1));
    for stream in [one, other] {
        let head = claim(&*journal, stream, "a").await;
        let run = runs_of(stream, 1)[0];
        let (head, _) = must_commit(&*journal, batch(stream, head, "x", &[run])).await;
        must_commit(&*journal, batch(stream, head, "y", &[run])).await;
        journal.put_snapshot(&snapshot(run, 2)).await.unwrap();
    }
    let committed = journal.read_feed(one, 1, 1).await.unwrap()[0].time;
    let long_after = committed.plus_millis(3_600_000);
    assert_eq!(journal.purgeable(long_after).await.unwrap(), [], "nothing has a checkpoint");
    for stream in [one, other] {
        journal.checkpoint(stream).await.unwrap();
    }
    assert_eq!(journal.purgeable(committed).await.unwrap(), [], "nothing is older than that");
    assert_eq!(journal.purgeable(long_after).await.unwrap(), [(one, 2), (other, 2)]);
    journal.purge(one, 2).await.unwrap();
    assert_eq!(journal.purgeable(long_after).await.unwrap(), [(other, 2)], "what is gone is not named again");
    journal.close().await;
}
