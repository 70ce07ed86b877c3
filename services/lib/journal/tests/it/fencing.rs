//! Who may append, and what everyone else is told.

use journal::{AppendOutcome, BatchId, ChainHash, FreeClaim, Head, SlotEpoch};

use crate::backend::{Backend, batch, claim, must_commit, must_fence, new_id, on_every_backend, slot};

on_every_backend! {
    a_stream_starts_empty,
    an_append_advances_the_head,
    a_wrong_version_is_fenced,
    a_wrong_tail_is_fenced,
    a_wrong_epoch_is_fenced,
    a_claim_fences_the_owner_before,
    a_repeated_append_is_fenced_and_the_head_tells_why,
    an_unknown_claim_may_be_repeated,
    one_fenced_slot_does_not_stop_the_others,
    appends_at_once_on_one_head_commit_once,
    a_heartbeat_names_what_is_lost,
    what_is_given_up_has_no_owner_and_keeps_its_epoch,
    a_free_claim_takes_what_is_nobodys_or_ones_own,
    times_of_a_slot_never_go_back,
}

async fn a_stream_starts_empty(backend: &Backend) {
    let journal = backend.journal().await;
    let all: Vec<_> = domain::SlotId::all().collect();
    assert_eq!(journal.heads(&all).await.unwrap(), vec![Head::default(); 1024]);
    assert_eq!(journal.feed_positions(&all).await.unwrap(), vec![0; 1024]);
    journal.close().await;
}

async fn an_append_advances_the_head(backend: &Backend) {
    let journal = backend.journal().await;
    let head = claim(&*journal, slot(5), "a").await;
    let append = batch(slot(5), head, "first", &[]);
    let id = append.batch_id;
    let (after, _) = must_commit(&*journal, append).await;
    assert_eq!((after.version, after.tail, after.epoch), (1, id, 1));
    assert_eq!(journal.heads(&[slot(5), slot(6)]).await.unwrap(), [after, Head::default()]);
    journal.close().await;
    // Durable: a new process sees the same.
    let journal = backend.open().await;
    assert_eq!(journal.heads(&[slot(5)]).await.unwrap(), [after]);
    journal.close().await;
}

async fn a_wrong_version_is_fenced(backend: &Backend) {
    let journal = backend.journal().await;
    let head = claim(&*journal, slot(1), "a").await;
    let (after, _) = must_commit(&*journal, batch(slot(1), head, "x", &[])).await;
    for version in [0, 2, 1_000_000] {
        let wrong = Head { version, ..after };
        assert_eq!(must_fence(&*journal, batch(slot(1), wrong, "y", &[])).await, after, "version {version}");
    }
    assert_eq!(journal.read_feed(slot(1), 0, 10).await.unwrap().len(), 1);
    journal.close().await;
}

async fn a_wrong_tail_is_fenced(backend: &Backend) {
    let journal = backend.journal().await;
    let head = claim(&*journal, slot(1), "a").await;
    let (after, _) = must_commit(&*journal, batch(slot(1), head, "x", &[])).await;
    for tail in [BatchId::NONE, new_id()] {
        assert_eq!(must_fence(&*journal, batch(slot(1), Head { tail, ..after }, "y", &[])).await, after);
    }
    assert_eq!(journal.read_feed(slot(1), 0, 10).await.unwrap().len(), 1);
    journal.close().await;
}

async fn a_wrong_epoch_is_fenced(backend: &Backend) {
    let journal = backend.journal().await;
    let head = claim(&*journal, slot(1), "a").await;
    for epoch in [0, 2] {
        assert_eq!(must_fence(&*journal, batch(slot(1), Head { epoch, ..head }, "y", &[])).await, head);
    }
    assert_eq!(journal.read_feed(slot(1), 0, 10).await.unwrap(), []);
    journal.close().await;
}

async fn a_claim_fences_the_owner_before(backend: &Backend) {
    let (first, second) = (backend.journal().await, backend.open().await);
    let old = claim(&*first, slot(9), "a").await;
    let (old, _) = must_commit(&*first, batch(slot(9), old, "by a", &[])).await;

    let taken = second.claim(&[slot(9)], "b", 8).await.unwrap();
    assert_eq!(taken[0].previous_owner.as_deref(), Some("a"));
    assert_eq!(taken[0].head, Head { epoch: 2, ..old });

    let seen = must_fence(&*first, batch(slot(9), old, "late, by a", &[])).await;
    assert_eq!(seen, taken[0].head, "the old owner sees the new epoch");
    must_commit(&*second, batch(slot(9), taken[0].head, "by b", &[])).await;

    let payloads: Vec<_> =
        first.read_feed(slot(9), 0, 10).await.unwrap().into_iter().map(|batch| (batch.epoch, batch.payload)).collect();
    assert_eq!(payloads, [(1, "by a".into()), (2, "by b".into())]);
    first.close().await;
    second.close().await;
}

async fn a_repeated_append_is_fenced_and_the_head_tells_why(backend: &Backend) {
    let journal = backend.journal().await;
    let head = claim(&*journal, slot(3), "a").await;
    let append = batch(slot(3), head, "once", &[]);
    // The answer to the first is lost: the writer repeats the same batch and learns that it is the tail.
    journal.append(vec![append.clone()]).await;
    let seen = must_fence(&*journal, append.clone()).await;
    assert_eq!((seen.version, seen.tail), (1, append.batch_id));
    assert_eq!(journal.read_feed(slot(3), 0, 10).await.unwrap().len(), 1);
    journal.close().await;
}

async fn an_unknown_claim_may_be_repeated(backend: &Backend) {
    let journal = backend.journal().await;
    let slots = [slot(0), slot(1), slot(1023)];
    let first = journal.claim(&slots, "a", 1).await.unwrap();
    let again = journal.claim(&slots, "a", 2).await.unwrap();
    for (before, after) in first.iter().zip(&again) {
        assert_eq!(before.slot, after.slot);
        assert_eq!((before.head.epoch, after.head.epoch), (1, 2));
        must_fence(&*journal, batch(before.slot, before.head, "by the doubted claim", &[])).await;
        must_commit(&*journal, batch(after.slot, after.head, "by the repeated one", &[])).await;
    }
    journal.close().await;
}

async fn one_fenced_slot_does_not_stop_the_others(backend: &Backend) {
    let journal = backend.journal().await;
    // Out of order on purpose: answers follow the call's order.
    let slots: Vec<_> = [700, 3, 512, 64, 65].map(slot).to_vec();
    let claimed = journal.claim(&slots, "a", 1).await.unwrap();
    assert_eq!(claimed.iter().map(|one| one.slot).collect::<Vec<_>>(), slots);
    let appends: Vec<_> = claimed
        .iter()
        .map(|one| {
            let epoch = if one.slot == slot(512) { 99 } else { one.head.epoch };
            batch(one.slot, Head { epoch, ..one.head }, &one.slot.to_string(), &[])
        })
        .collect();
    let outcomes = journal.append(appends).await;
    for (outcome, slot_asked) in outcomes.iter().zip(&slots) {
        let feed = journal.read_feed(*slot_asked, 0, 10).await.unwrap();
        match outcome {
            AppendOutcome::Committed { version: 1, .. } if *slot_asked != slot(512) => {
                assert_eq!(feed[0].payload, slot_asked.to_string());
            }
            AppendOutcome::Fenced { .. } if *slot_asked == slot(512) => assert_eq!(feed, []),
            other => panic!("slot {slot_asked}: {other:?}"),
        }
    }
    journal.close().await;
}

async fn appends_at_once_on_one_head_commit_once(backend: &Backend) {
    let journal = backend.journal().await;
    let mut head = claim(&*journal, slot(77), "a").await;
    for round in 0..20 {
        let appends: Vec<_> = (0..8).map(|rival| batch(slot(77), head, &format!("{round} {rival}"), &[])).collect();
        let answers = appends.iter().map(|append| journal.append(vec![append.clone()]));
        let outcomes = futures::future::join_all(answers).await;
        let won: Vec<_> =
            (0..8).filter(|rival| matches!(outcomes[*rival][0], AppendOutcome::Committed { .. })).collect();
        assert_eq!(won.len(), 1, "round {round}: {outcomes:?}");
        let winner = &appends[won[0]];
        head = head.advanced(winner.slot, winner.batch_id, &winner.payload);
        for (rival, outcome) in outcomes.iter().enumerate().filter(|(rival, _)| *rival != won[0]) {
            assert!(matches!(outcome[0], AppendOutcome::Fenced { head: seen } if seen == head), "{rival}: {outcome:?}");
        }
    }
    assert_eq!(journal.feed_positions(&[slot(77)]).await.unwrap(), [20]);
    journal.close().await;
}

async fn a_heartbeat_names_what_is_lost(backend: &Backend) {
    let journal = backend.journal().await;
    let slots: Vec<_> = [4, 5, 6, 7].map(slot).to_vec();
    let claimed = journal.claim(&slots, "a", 1).await.unwrap();
    let held: Vec<_> = claimed.iter().map(|one| SlotEpoch { slot: one.slot, epoch: one.head.epoch }).collect();
    let before = journal.heartbeat(&held).await.unwrap();
    assert_eq!(before.lost, []);

    journal.claim(&[slot(7), slot(5)], "b", 2).await.unwrap();
    let after = journal.heartbeat(&held).await.unwrap();
    assert_eq!(after.lost, [slot(5), slot(7)]);
    assert!(after.time >= before.time);
    assert!(journal.heartbeat(&[]).await.unwrap().lost.is_empty());
    journal.close().await;
}

async fn what_is_given_up_has_no_owner_and_keeps_its_epoch(backend: &Backend) {
    let journal = backend.journal().await;
    let slots = [slot(10), slot(11)];
    journal.claim(&slots, "a", 1).await.unwrap();
    journal.claim(&[slot(11)], "b", 2).await.unwrap();
    // a gives up both, though 11 is no longer its own.
    journal.give_up(&slots.map(|slot| SlotEpoch { slot, epoch: 1 })).await.unwrap();
    let claimed = journal.claim(&slots, "c", 3).await.unwrap();
    assert_eq!((claimed[0].previous_owner.as_deref(), claimed[0].head.epoch), (None, 2));
    assert_eq!((claimed[1].previous_owner.as_deref(), claimed[1].head.epoch), (Some("b"), 3));
    journal.close().await;
}

async fn a_free_claim_takes_what_is_nobodys_or_ones_own(backend: &Backend) {
    let journal = backend.journal().await;
    let [free, own, others, given_up] = [20, 21, 22, 23].map(slot);
    journal.claim(&[own], "a", 1).await.unwrap();
    let held = journal.claim(&[others, given_up], "b", 2).await.unwrap();
    journal.give_up(&[SlotEpoch { slot: given_up, epoch: 1 }]).await.unwrap();

    let answers = journal.claim_free(&[others, given_up, own, free], "a", 3).await.unwrap();
    let epochs: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            FreeClaim::Claimed(claimed) => Ok((claimed.slot, claimed.head.epoch, claimed.previous_owner.as_deref())),
            FreeClaim::Held { owner } => Err(owner.as_str()),
        })
        .collect();
    assert_eq!(epochs, [Err("b"), Ok((given_up, 2, None)), Ok((own, 2, Some("a"))), Ok((free, 1, None))]);
    // The other owner's epoch is what it was; what was given up is fenced.
    must_commit(&*journal, batch(others, held[0].head, "still mine", &[])).await;
    must_fence(&*journal, batch(given_up, held[1].head, "too late", &[])).await;
    journal.close().await;
}

async fn times_of_a_slot_never_go_back(backend: &Backend) {
    let journal = backend.journal().await;
    let mut head = claim(&*journal, slot(2), "a").await;
    let mut last = journal.heartbeat(&[]).await.unwrap().time;
    for _ in 0..10 {
        let (after, time) = must_commit(&*journal, batch(slot(2), head, "x", &[])).await;
        assert!(time >= last, "{time} after {last}");
        (head, last) = (after, time);
    }
    let feed = journal.read_feed(slot(2), 0, 100).await.unwrap();
    assert!(feed.is_sorted_by_key(|batch| batch.time));
    assert_eq!(feed.last().unwrap().time, last);
    assert_ne!(head.chain, ChainHash::EMPTY);
    journal.close().await;
}
