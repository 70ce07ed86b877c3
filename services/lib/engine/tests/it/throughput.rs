//! How fast it goes: printed, not asserted.

use std::time::Instant;

use engine::{ReplyQueue, Submission};
use inventory::Command;

use crate::kit::{Backend, WAIT, free_seats, hold, hold_id, on_every_backend, open_sale, run, start};

on_every_backend! {
    ten_thousand_holds_of_one_train,
}

const HOLDS: u64 = 10_000;
const UNANSWERED_MAX: u64 = 1_024;

async fn ten_thousand_holds_of_one_train(backend: &Backend) {
    let train = run("G71");
    let engine = start(backend.new_journal().await, "shard", &[train]).await;
    let handle = engine.handle();
    open_sale(&handle, train, 5_000, 600_000).await;
    let replies = ReplyQueue::new();
    let started = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    while answered < HOLDS {
        let room = (UNANSWERED_MAX - (sent - answered)).min(HOLDS - sent);
        // Every hold is given back by the next request, so that the train never sells out.
        let submissions = (sent..sent + room).map(|number| Submission {
            correlation: number,
            run: train,
            command: match number % 2 {
                0 => hold(u128::from(number)),
                _ => Command::Release { hold: hold_id(u128::from(number - 1)) },
            },
            trace: None,
            timeout: WAIT,
        });
        handle.submit_all(submissions, &replies);
        sent += room;
        for answer in tokio::time::timeout(WAIT, replies.next()).await.unwrap() {
            answer.result.unwrap().answer().unwrap();
            answered += 1;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let counts = handle.metrics().counts();
    eprintln!(
        "{HOLDS} durable holds and releases in {seconds:.3} s: {:.0} per second, {:.0} per batch",
        HOLDS as f64 / seconds,
        HOLDS as f64 / counts.batches_committed as f64
    );
    assert_eq!(free_seats(&handle, train).await, 5_000);
    engine.shutdown(WAIT).await;
}
