//! What is written stays readable: the encoding, its corpus, and snapshots.

use std::path::PathBuf;

use domain::{Interval, SeatClass};
use inventory::encoding::{self, BatchWriter};
use inventory::{Carriage, Command, Event, QuotaKind, QuotaPolicy, QuotaStep, RequestId, SnapshotError, TrainDate};
use prost::Message as _;

use crate::kit::{HOUR, OPENS, SECOND, Train, hold_id, interval, plan, request, run, wish, wish_id};

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// A day on which everything happens once.
fn story() -> Train {
    let mut train = Train::on_sale(plan(4, &[2]));
    train.sell(request(1, 0, 3, 2)).unwrap();
    let refund = Command::Refund { hold: hold_id(1), passengers: [1].into_iter().collect() };
    let (first, second) = (wish(1, 0, 2, 1), wish(2, 1, 3, 1));
    train.join(1, first.clone()).unwrap();
    train.join(2, second).unwrap();
    train.join(3, first).unwrap();
    train.join(4, wish(4, 0, 3, 1)).unwrap();
    train.join(5, wish(5, 0, 1, 5)).unwrap();
    train.run(&refund).unwrap();
    train.run(&Command::DeclineOffer { id: wish_id(1) }).unwrap();
    train.run(&Command::AcceptOffer { id: wish_id(2) }).unwrap();
    train.run(&Command::Leave { id: wish_id(5) }).unwrap();
    train.run(&Command::Release { hold: wish_id(2).hold() }).unwrap();
    // The offers that follow run out.
    for _ in 0..4 {
        train.at = train.at.plus_millis(10 * SECOND);
        train.run(&Command::Advance { to: train.at }).unwrap();
    }
    let places = QuotaStep { from: OPENS, places: 9 };
    let section = interval(0, 2);
    let quota =
        inventory::Quota { kind: QuotaKind::WithinAtMost, class: None, section, steps: vec![places], until: None };
    let quotas = Box::new(QuotaPolicy { version: 2, quotas: vec![quota], ..QuotaPolicy::default() });
    train.run(&Command::SetQuotas { request: RequestId(2), quotas }).unwrap();
    let carriage = Carriage { number: 9, class: SeatClass::HardSleeper, layout: "LMU".to_owned(), places: 6 };
    train.run(&Command::AddCapacity { request: RequestId(3), carriages: vec![carriage] }).unwrap();
    train.hold(request(2, 0, 1, 1)).unwrap();
    train.run(&Command::Change { old: hold_id(2), new: request(3, 1, 2, 1) }).unwrap();
    train.at = train.at.plus_millis(HOUR);
    train.run(&Command::Advance { to: train.at }).unwrap();
    train.run(&Command::CloseSale { request: RequestId(4), cancelled: true }).unwrap();
    train
}

fn batch(train: &Train) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    for record in &train.records {
        writer.push(&record.run, &record.meta, Some(&[7; 24]), &record.events);
    }
    writer.finish()
}

fn kind(event: &Event) -> u8 {
    match event {
        Event::SaleOpened(_) => 1,
        Event::Advanced { .. } => 2,
        Event::Held { .. } => 3,
        Event::HoldOpened { .. } => 4,
        Event::Confirmed { .. } => 5,
        Event::Released { .. } => 6,
        Event::HoldExpired { .. } => 7,
        Event::Refunded { .. } => 8,
        Event::Changed { .. } => 9,
        Event::CapacityAdded { .. } => 10,
        Event::QuotasSet(_) => 11,
        Event::SaleClosed { .. } => 12,
        Event::Joined { .. } => 13,
        Event::Left { .. } => 14,
        Event::Offered { .. } => 15,
        Event::OfferAccepted { .. } => 16,
        Event::OfferDeclined { .. } => 17,
        Event::OfferExpired { .. } => 18,
    }
}

/// Every file of the corpus was written by some version. `CHUNYUN_WRITE_CORPUS=NAME` adds one by this version; files are
/// never rewritten.
#[test]
fn the_corpus_stays_readable() {
    if let Ok(name) = std::env::var("CHUNYUN_WRITE_CORPUS") {
        std::fs::write(corpus().join(format!("{name}.batch")), batch(&story())).unwrap();
    }
    let mut kinds = Vec::new();
    let files = std::fs::read_dir(corpus()).unwrap().map(|file| file.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "batch")) {
        let bytes = std::fs::read(&file).unwrap();
        let records = encoding::decode_batch(&bytes).unwrap();
        let mut train = TrainDate::new(records[0].run);
        for record in &records {
            train.replay(record).unwrap();
            assert_eq!(record.trace, Some([7; 24]));
            kinds.extend(record.events.iter().map(kind));
        }
        train.check_invariants().unwrap();
        // The one ticket left in the story is A-D of one passenger.
        assert_eq!(train.free_count(SeatClass::Second, Interval::new(0, 3).unwrap()), 1, "{}", file.display());
        assert_eq!(train.closed(), Some(true));
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, (1..=18).collect::<Vec<_>>(), "an event that no file of the corpus has");
}

#[test]
fn the_bytes_are_those_of_the_generated_messages() {
    let bytes = batch(&story());
    let generated = journal_encoding::v1::Batch::decode(&bytes[..]).unwrap();
    assert_eq!(generated.encode_to_vec(), bytes);
}

#[test]
fn damaged_batches_are_errors() {
    let bytes = batch(&story());
    for length in 0..bytes.len() {
        // A cut between two fields is a shorter batch; anywhere else it is an error; nowhere a panic.
        if let Ok(records) = encoding::decode_batch(&bytes[..length]) {
            assert!(records.len() < story_records(), "cut at {length}");
        }
    }
    let mut newer = bytes;
    newer[1] = 2;
    assert_eq!(encoding::decode_batch(&newer), Err(encoding::DecodeError::Version { found: 2 }));
}

fn story_records() -> usize {
    story().records.len()
}

#[test]
fn damaged_snapshots_are_discarded() {
    let train = story().aggregate;
    let snapshot = train.freeze().write().bytes;
    assert_eq!(TrainDate::restore(run(), &snapshot).unwrap().state_hash(), train.state_hash());
    let other = "G72@2026-12-01".parse().unwrap();
    let refused = TrainDate::restore(other, &snapshot).unwrap_err();
    assert_eq!(refused, SnapshotError::OtherRun("G71@2026-12-01".to_owned()));
    for at in 2..snapshot.len() {
        let mut damaged = snapshot.clone();
        damaged[at] ^= 0x10;
        assert!(matches!(TrainDate::restore(run(), &damaged), Err(SnapshotError::Damaged(_))), "byte {at}");
        assert!(TrainDate::restore(run(), &snapshot[..at]).is_err(), "cut at {at}");
    }
    let mut newer = snapshot;
    newer[0] += 1;
    assert_eq!(TrainDate::restore(run(), &newer).unwrap_err(), SnapshotError::Version { found: 3 });
}

#[test]
fn a_frozen_train_date_stays_as_it_was() {
    let story = story();
    let mut train = TrainDate::new(run());
    let mut frozen = vec![(train.freeze(), train.state_hash())];
    for record in &story.records {
        train.replay(record).unwrap();
        frozen.push((train.freeze(), train.state_hash()));
    }
    for (at, (frozen, hash)) in frozen.iter().enumerate() {
        let written = frozen.write();
        assert_eq!(written.state_hash, *hash, "after {at} records");
        assert_eq!(TrainDate::restore(run(), &written.bytes).unwrap().state_hash(), *hash, "after {at} records");
    }
}

/// 11,000 trains on 15 dates on one machine.
#[test]
fn a_national_timetable_fits_one_machine() {
    let empty = TrainDate::new(run()).memory_bytes();
    let idle = |stops, places| Train::on_sale(plan(stops, &[places])).aggregate.memory_bytes();
    let (short, long) = (idle(17, 1_200), idle(35, 1_300));
    println!("empty {empty} B; idle: 17 stops, 1,200 seats {short} B; 35 stops, 1,300 seats {long} B");
    println!("165,000 idle train-dates of 17 stops: {} MiB", 165_000 * short / (1 << 20));
    assert!(empty < 256 && short < 64 << 10 && long < 64 << 10);
}
