//! The toy as a subject of the simulation: what its clients ask, and what a second opinion makes of its records.

use std::marker::PhantomData;

use domain::{Run, Time};

use super::{RUNS, SEATS, SEGMENTS, Toy, ToyAnswer, ToyCommand, ToyKind, ToyRefusal, ToyRules, index_of};
use crate::chance::Chance;
use crate::naive::NaiveRun;
use crate::subject::{Decoded, Subject};
use crate::toy_encoding::Reader;

impl<D: ToyRules> Subject for Toy<D> {
    type Naive = NaiveRun;

    fn runs() -> &'static [Run] {
        &RUNS
    }

    fn opening(_id: u64) -> Option<ToyCommand> {
        None
    }

    fn random_command(chance: &mut Chance, id: u64) -> ToyCommand {
        let from = chance.below(SEGMENTS);
        let length = chance.between(1, SEGMENTS - from);
        let segments = ((1 << length) - 1) << from;
        let kind = match chance.below(100) {
            0..75 => ToyKind::Hold(segments),
            75..97 => ToyKind::Join(segments),
            97..99 => ToyKind::GiveBack(chance.below(id + 1)),
            _ => ToyKind::Poison,
        };
        ToyCommand { id, salt: 0, kind }
    }

    fn probe(id: u64) -> ToyCommand {
        ToyCommand { id, salt: 0, kind: ToyKind::Hold(1) }
    }

    fn follow_up(chance: &mut Chance, command: &ToyCommand, answer: &ToyAnswer, id: u64) -> Option<ToyCommand> {
        let hold = match (command.kind, answer) {
            (ToyKind::Hold(_) | ToyKind::Join(_), _) => command.id,
            (ToyKind::Pay(hold) | ToyKind::GiveBack(hold), _) => hold,
            (ToyKind::Poison, _) => return None,
        };
        let kind = match chance.below(10) {
            0..4 => ToyKind::Pay(hold),
            4..8 => ToyKind::GiveBack(hold),
            _ => return None,
        };
        Some(ToyCommand { id, salt: 0, kind })
    }

    fn with_other_payload(command: &ToyCommand) -> Option<ToyCommand> {
        Some(ToyCommand { salt: command.salt + 1, ..*command })
    }

    fn has_own_id(_command: &ToyCommand) -> bool {
        true
    }

    fn query() {}

    fn view_digest(view: u64) -> u64 {
        view
    }

    fn answer_digest(answer: &ToyAnswer) -> u64 {
        xxhash_rust::xxh3::xxh3_64(format!("{answer:?}").as_bytes())
    }

    fn decode(run: &Run, payload: &[u8]) -> Result<Vec<Decoded<Self>>, String> {
        let mut reader = Reader::new(payload)?;
        let mut records = Vec::new();
        while let Some(record) = reader.record()? {
            if record.run == index_of(run) {
                records.push(Decoded {
                    id: record.request.map(|(id, _, _)| id),
                    answer: record.request.map_or(0, |(_, _, answer)| Self::answer_digest(&answer)),
                    decided_at: record.decided_at,
                    changes: record.changes,
                    subject: PhantomData,
                });
            }
        }
        Ok(records)
    }

    fn note(naive: &mut NaiveRun, record: &Decoded<Self>, committed_at: Time) -> Result<(), String> {
        naive.has_places(SEATS);
        for change in &record.changes {
            naive.note(change, record.decided_at, committed_at)?;
        }
        naive.settled()
    }

    fn naive_digest(naive: &NaiveRun) -> u64 {
        naive.digest()
    }

    fn is_justified(naive: &NaiveRun, command: &ToyCommand, refusal: &ToyRefusal) -> bool {
        match (refusal, command.kind) {
            (ToyRefusal::SoldOut, ToyKind::Hold(segments)) => {
                let mut naive = naive.clone();
                naive.has_places(SEATS);
                !naive.fits(segments)
            }
            (ToyRefusal::NoSuchHold, ToyKind::GiveBack(hold)) => !naive.is_live(hold),
            _ => true,
        }
    }

    fn overdue(naive: &NaiveRun, now: Time) -> Option<String> {
        naive.overdue(now)
    }

    fn id_of(command: &ToyCommand) -> u64 {
        command.id
    }
}
