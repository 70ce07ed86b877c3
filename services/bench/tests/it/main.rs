//! The bench keeps working: every way to the fleet and to the echo, a fraction of a second each.

use std::time::Duration;

use bench::hop::{self, HopBench};
use bench::{Design, Engines, Entry, Findings, Measured, Options, Workload};

#[tokio::test]
async fn every_way_answers_and_no_seat_is_sold_twice() {
    let options = Options {
        engines: Engines::default(),
        warm_up: Duration::from_millis(20),
        time: Duration::from_millis(150),
        rounds: 1,
        clients: vec![8],
        entries: Entry::ALL.to_vec(),
        designs: Design::ALL.to_vec(),
        workloads: vec![Workload::HotTrain, Workload::SoldOut],
    };
    // A seat that is sold twice, and a refusal that writes, end the run.
    let (outcomes, restarts) = bench::run(options, |_, _, _| ()).await.unwrap();
    // Four designs need no engine; each is reached in three ways, for two workloads.
    assert_eq!(outcomes.len(), 4 * 3 * 2);
    for outcome in &outcomes {
        let cell = outcome.cell;
        assert!(outcome.median.operations > 0, "{cell:?}");
        assert_eq!((outcome.failed, &outcome.median.failure), (0, &None), "{cell:?}");
        let Measured { p50_us, p99_us, .. } = outcome.median;
        assert!(2 < p99_us && p50_us <= p99_us && p99_us < 60_000_000, "{cell:?}: {p50_us} {p99_us}");
        let echo = matches!(cell.design, Design::Echo | Design::EchoUnaryHop);
        match cell.workload {
            Workload::SoldOut if !echo => assert_eq!(outcome.median.refused, outcome.median.operations, "{cell:?}"),
            _ => assert_eq!(outcome.median.refused, 0, "{cell:?}"),
        }
        let writes = cell.workload != Workload::SoldOut && !echo;
        assert_eq!(outcome.commits.is_some_and(|commits| commits.operations_mean > 0.0), writes, "{cell:?}");
    }
    assert_eq!(restarts.len(), 1, "the shard on SQLite");
    assert!(restarts[0].batches > 0 && restarts[0].answered_ms >= restarts[0].owned_ms);

    let findings = Findings { outcomes, restarts, ..Findings::default() };
    let text = bench::print(&findings);
    assert!(text.contains("sold out, 8 clients") && text.contains("unary chunyun-sqlite-unary-hop"), "{text}");
    assert_eq!(bench::to_json(&findings)["holds"].as_array().unwrap().len(), 24);
}

#[tokio::test]
async fn the_journal_is_compared_with_the_bare_insert() {
    let (appending, loading) = bench::appending::measure(None, Duration::from_millis(50), 128, |_| ()).await.unwrap();
    assert_eq!((appending.len(), loading.len()), (9, 3));
    assert!(appending.iter().all(|one| one.events_per_second > 0.0 && one.bare_per_second > 0.0));
    assert!(loading.iter().all(|one| one.millis > 0.0));
}

#[tokio::test]
async fn a_stream_and_calls_carry_the_same_messages() {
    let time = Duration::from_millis(100);
    let bench = HopBench { clients: vec![8], warm_up: time / 5, time, rounds: 1 };
    let found = hop::measure(&bench).await.unwrap();
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert!(one.unary.operations > 0 && one.streamed.operations > 0);
    assert_eq!((one.unary.failed, one.streamed.failed), (0, 0));
    assert!(hop::print(&found).contains("a call each"));
    assert_eq!(hop::to_json(&found)["hop"][0]["clients"], 8);
}
