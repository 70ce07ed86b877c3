//! One suite for the store on every engine there is.

use std::sync::Arc;

use domain::{AccountId, EntryId, SlotId, Time};
use storage::{Database, DatabaseUrl, OpenOptions};
use waitlist::entry::{Entry, Grant, LinePlace, Wish};
use waitlist::state::{End, Happened, Stage};
use waitlist::store::{Change, FeedPart, LineEvent, Lodged, Lodging, SealedPassenger, Store, open};

use crate::world::run;

/// A store on SQLite, and one on Postgres where `CHUNYUN_TEST_POSTGRES` names a server.
async fn stores(name: &str) -> Vec<(Arc<dyn Store>, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("waitlist.db"));
    let mut stores = vec![(opened(&url).await, Some(folder))];
    match std::env::var("CHUNYUN_TEST_POSTGRES") {
        Ok(server) => stores.push((opened(&postgres(name, &server).await).await, None)),
        Err(_) => eprintln!("SKIPPED {name} on postgres: CHUNYUN_TEST_POSTGRES is not set"),
    }
    stores
}

async fn opened(url: &DatabaseUrl) -> Arc<dyn Store> {
    open(&Database::open(url, &OpenOptions::default()).await.unwrap()).await.unwrap()
}

async fn postgres(name: &str, server: &str) -> DatabaseUrl {
    let database = format!("waitlist_{name}_{}", uuid::Uuid::new_v4().simple());
    let (base, _) = server.rsplit_once('/').unwrap();
    let pool = sqlx::PgPool::connect(server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"));
    sqlx::raw_sql(create).execute(&pool).await.unwrap();
    pool.close().await;
    format!("{base}/{database}").parse().unwrap()
}

fn id(number: u128) -> EntryId {
    EntryId::from_u128(number)
}

fn time(millis: i64) -> Time {
    Time::from_millis(millis)
}

fn entry(number: u128, account: &str) -> Entry {
    let wish = Wish {
        run: run(),
        class: domain::SeatClass::Second,
        interval: domain::Interval::new(2, 9).unwrap(),
        passengers: 2,
        standing: true,
        channel: domain::Channel::Phone,
        deadline: time(9_000),
    };
    let account: AccountId = account.parse().unwrap();
    Entry {
        id: id(number),
        account,
        wish,
        created_at: time(number as i64),
        stage: Stage::Joining,
        place: None,
        version: 1,
    }
}

fn lodging(number: u128, account: &str) -> Lodging {
    let passenger = |kind| SealedPassenger { kind, preference: 7, sealed: vec![kind, 0, 255] };
    Lodging {
        entry: entry(number, account),
        content_hash: -5,
        passengers: vec![passenger(1), passenger(2)],
        open_max: 2,
        due: time(50),
    }
}

fn change(number: u128, version: u64, stage: Stage) -> Change {
    Change { id: id(number), version, stage, place: None, due: None }
}

#[tokio::test]
async fn an_entry_is_kept_as_it_was_lodged_and_only_once() {
    for (store, _folder) in stores("lodge").await {
        assert_eq!(store.lodge(lodging(1, "alice")).await.unwrap(), Lodged::New);
        assert_eq!(store.entry(id(1)).await.unwrap(), Some(entry(1, "alice")));
        assert_eq!(store.passengers(id(1)).await.unwrap(), lodging(1, "alice").passengers);
        let known = Lodged::Known(Box::new(entry(1, "alice")));
        assert_eq!(store.lodge(lodging(1, "alice")).await.unwrap(), known);
        let other = Lodging { content_hash: -6, ..lodging(1, "alice") };
        assert_eq!(store.lodge(other).await.unwrap(), Lodged::IdReused);
        assert_eq!(store.entry(id(2)).await.unwrap(), None);
        store.withdraw(id(1), 2).await.unwrap();
        assert!(store.entry(id(1)).await.unwrap().is_some(), "it was withdrawn at another version");
        store.withdraw(id(1), 1).await.unwrap();
        assert_eq!(store.entry(id(1)).await.unwrap(), None);
        assert_eq!(store.passengers(id(1)).await.unwrap(), []);
    }
}

#[tokio::test]
async fn open_entries_are_bounded_however_many_come_at_once() {
    for (store, _folder) in stores("bound").await {
        let lodged = futures::future::join_all((1..=10).map(|number| store.lodge(lodging(number, "alice")))).await;
        let new = lodged.into_iter().filter(|lodged| *lodged.as_ref().unwrap() == Lodged::New).count();
        assert_eq!(new, 2);
        assert_eq!(store.lodge(lodging(11, "bob")).await.unwrap(), Lodged::New);
        let mine = store.entries(&"alice".parse().unwrap(), None, 10).await.unwrap();
        assert!(store.advance(change(mine[0].id.as_u128(), 1, Stage::Ended(End::Left))).await.unwrap());
        assert_eq!(store.lodge(lodging(12, "alice")).await.unwrap(), Lodged::New, "one that ended makes room");
    }
}

#[tokio::test]
async fn every_stage_survives_and_two_writers_cannot_both_change_one() {
    let grant = || Grant(vec![0, 1, 2]);
    let stages = [
        Stage::Waiting,
        Stage::Offered,
        Stage::Ordering(grant()),
        Stage::Releasing { reason: "PRICE_CHANGED".into(), grant: grant() },
        Stage::Fulfilled,
        Stage::Leaving(End::Expired),
        Stage::Ended(End::Failed("SOLD_OUT".into())),
        Stage::Ended(End::Left),
    ];
    for (store, _folder) in stores("stages").await {
        store.lodge(lodging(1, "alice")).await.unwrap();
        for (version, stage) in (1..).zip(stages.clone()) {
            let place = Some(LinePlace { sequence: 1 << 40, ahead: None });
            let step = Change { place, ..change(1, version, stage.clone()) };
            assert!(store.advance(step.clone()).await.unwrap());
            assert!(!store.advance(step).await.unwrap(), "another version by now");
            let read = store.entry(id(1)).await.unwrap().unwrap();
            assert_eq!((read.stage, read.place, read.version), (stage, place, version + 1));
        }
        assert_eq!(store.passengers(id(1)).await.unwrap(), [], "dropped when it was over");
    }
}

#[tokio::test]
async fn work_is_due_in_order_and_can_be_put_off() {
    for (store, _folder) in stores("due").await {
        for (number, due) in [(1, 30), (2, 10), (3, 20)] {
            let due = time(due);
            store.lodge(Lodging { due, ..lodging(number, &format!("account{number}")) }).await.unwrap();
        }
        let due = async |now| {
            let due = store.due(time(now), 2).await.unwrap();
            due.into_iter().map(|due| (due.entry.id.as_u128(), due.attempts)).collect::<Vec<_>>()
        };
        assert_eq!(due(9).await, []);
        assert_eq!(due(100).await, [(2, 0), (3, 0)]);
        store.postpone(id(2), 1, time(40)).await.unwrap();
        store.postpone(id(3), 7, time(40)).await.unwrap();
        assert_eq!(due(100).await, [(3, 0), (1, 0)]);
        assert!(store.advance(change(3, 1, Stage::Fulfilled)).await.unwrap());
        assert_eq!(due(100).await, [(1, 0), (2, 1)]);
    }
}

#[tokio::test]
async fn a_feed_is_taken_in_with_its_cursors_or_not_at_all() {
    let slot = |number| SlotId::new(number).unwrap();
    for (store, _folder) in stores("feed").await {
        for number in 1..=3 {
            store.lodge(lodging(number, &format!("account{number}"))).await.unwrap();
        }
        let joined = LinePlace { sequence: 4, ahead: None };
        let events = vec![
            LineEvent { run: run(), entry: Some(id(1)), happened: Happened::Joined(joined) },
            LineEvent { run: run(), entry: Some(id(1)), happened: Happened::Offered },
            LineEvent { run: "G72@2026-12-20".parse().unwrap(), entry: Some(id(2)), happened: Happened::Offered },
            LineEvent { run: run(), entry: Some(id(99)), happened: Happened::Offered },
        ];
        let part = FeedPart { events, cursors: vec![(slot(5), 0, 7), (slot(9), 0, 1)], now: time(70) };
        assert!(store.take_feed(part.clone()).await.unwrap());
        let read = store.entry(id(1)).await.unwrap().unwrap();
        assert_eq!((read.stage, read.place), (Stage::Offered, Some(joined)));
        assert_eq!(store.entry(id(2)).await.unwrap(), Some(entry(2, "account2")), "an event of another run");
        assert_eq!(store.cursors().await.unwrap(), [(slot(5), 7), (slot(9), 1)]);

        let closed = LineEvent { run: run(), entry: None, happened: Happened::SaleClosed };
        let late =
            FeedPart { events: vec![closed.clone()], cursors: vec![(slot(9), 1, 2), (slot(5), 6, 8)], now: time(71) };
        assert!(!store.take_feed(late).await.unwrap(), "slot 5 stands at 7");
        assert_eq!(store.cursors().await.unwrap(), [(slot(5), 7), (slot(9), 1)]);
        assert_eq!(store.entry(id(3)).await.unwrap().unwrap().stage, Stage::Joining);

        let next = FeedPart { events: vec![closed], cursors: vec![(slot(5), 7, 8)], now: time(72) };
        assert!(store.take_feed(next).await.unwrap());
        assert_eq!(store.entry(id(1)).await.unwrap().unwrap().stage, Stage::Offered, "an offer outlives the line");
        for number in [2, 3] {
            let ended = store.entry(id(number)).await.unwrap().unwrap().stage;
            assert_eq!(ended, Stage::Ended(End::Failed("SALE_CLOSED".into())));
        }
    }
}
