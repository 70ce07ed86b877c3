//! A toy train: two seats, four segments, a line. Everything the real kernel does in the shortest words, so that thousands
//! of worlds run in a second, with its own planted defects.

mod subject;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::Bytes;
use domain::{Run, Time};
use ownership::{Aggregate, Broken, Context, Damaged, Execution, Version};

use crate::naive::NaiveRun;
use crate::subject::Change;
use crate::toy_encoding::{Reader, Writer};

/// Seats of the toy.
pub const SEATS: u16 = 2;
/// Segments of the toy.
pub const SEGMENTS: u64 = 4;
/// How long a hold or an offer of the toy lives, in ms.
const HOLD_MS: i64 = 1_500;

/// What a toy does wrong; the default is nothing.
pub trait ToyRules: 'static {
    /// Snapshots keep the ids of accepted requests.
    const SNAPSHOT_KEEPS_IDS: bool = true;
    /// Ids of accepted requests are remembered.
    const REMEMBER_IDS: bool = true;
    /// The same id with another payload is refused.
    const COMPARE_PAYLOADS: bool = true;
    /// What is freed goes to the line at once.
    const LINE_FIRST: bool = true;
    /// The line is served from its front.
    const LINE_IN_ORDER: bool = true;
    /// What is paid does not lapse.
    const PAID_STAYS: bool = true;
    /// A refused request changes nothing.
    const REFUSED_LEAVES_NOTHING: bool = true;
    /// A seat must be free on every segment.
    const WHOLE_INTERVAL: bool = true;
    /// What was given back is not given back again.
    const GIVE_BACK_ONCE: bool = true;
    /// What has joined the line is counted when it is replayed, too.
    const SEQUENCE_REPLAYED: bool = true;
    /// An offer that lapses frees its seat.
    const LAPSED_OFFER_FREES: bool = true;
    /// The line is in the snapshot.
    const SNAPSHOT_KEEPS_LINE: bool = true;
}

/// The toy as it should be.
#[derive(Clone, Copy, Debug)]
pub struct SoundToy;

impl ToyRules for SoundToy {}

/// A toy train-date.
#[derive(Clone, Debug)]
pub struct Toy<D> {
    run: Run,
    seats: [u64; SEATS as usize],
    holds: BTreeMap<u64, ToyHold>,
    requests: BTreeMap<u64, (u64, ToyAnswer)>,
    line: Vec<(u64, u64)>,
    joined: u64,
    poisoned: bool,
    rules: PhantomData<D>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ToyHold {
    seat: u16,
    segments: u64,
    until: Time,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Held,
    Offered,
    Paid,
    Ended,
}

/// What a toy may be asked. Every command has an id; `salt` makes another payload of the same question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToyCommand {
    /// The request.
    pub id: u64,
    /// Anything.
    pub salt: u64,
    /// What is asked.
    pub kind: ToyKind,
}

/// What is asked of a toy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToyKind {
    /// A seat over these segments; the request's id names the hold.
    Hold(u64),
    /// To pay a hold.
    Pay(u64),
    /// To give a hold back.
    GiveBack(u64),
    /// To wait for a seat over these segments.
    Join(u64),
    /// What breaks an invariant.
    Poison,
}

/// What a toy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToyAnswer {
    /// This seat, until then.
    Held(u16, Time),
    /// Paid.
    Paid,
    /// Given back.
    GivenBack,
    /// So manyth in the line.
    Joined(u64),
    /// Broken.
    Poisoned,
}

/// Why a toy refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToyRefusal {
    /// No seat is free over these segments.
    SoldOut,
    /// There is no such hold, or it has ended.
    NoSuchHold,
    /// The id was accepted with another payload.
    OtherPayload,
}

impl<D: ToyRules> Toy<D> {
    fn free_seat(&self, segments: u64) -> Option<u16> {
        let wanted = if D::WHOLE_INTERVAL { segments } else { segments & segments.wrapping_neg() };
        (0..SEATS).find(|seat| self.seats[usize::from(*seat)] & wanted == 0)
    }

    fn decide(&self, at: Time, command: &ToyCommand) -> Result<(Vec<Change>, ToyAnswer), ToyRefusal> {
        match command.kind {
            ToyKind::Hold(segments) => {
                let place = self.free_seat(segments).ok_or(ToyRefusal::SoldOut)?;
                let until = at.plus_millis(HOLD_MS);
                let taken = Change::Taken { hold: command.id, place, segments, until, from_line: false };
                Ok((vec![taken], ToyAnswer::Held(place, until)))
            }
            ToyKind::Pay(hold) => {
                let it = self.holds.get(&hold).ok_or(ToyRefusal::NoSuchHold)?;
                if !matches!(it.stage, Stage::Held | Stage::Offered) {
                    return Err(ToyRefusal::NoSuchHold);
                }
                Ok((vec![Change::Paid { hold }], ToyAnswer::Paid))
            }
            ToyKind::GiveBack(hold) => {
                let it = self.holds.get(&hold).ok_or(ToyRefusal::NoSuchHold)?;
                if it.stage == Stage::Ended && D::GIVE_BACK_ONCE {
                    return Err(ToyRefusal::NoSuchHold);
                }
                Ok((vec![Change::GivenBack { hold }], ToyAnswer::GivenBack))
            }
            ToyKind::Join(segments) => {
                Ok((vec![Change::Queued { entry: command.id, segments }], ToyAnswer::Joined(self.joined + 1)))
            }
            ToyKind::Poison => Ok((vec![Change::Poisoned], ToyAnswer::Poisoned)),
        }
    }

    /// Offers what is free to those who wait, in order.
    fn serve_line(&mut self, at: Time, changes: &mut Vec<Change>) {
        loop {
            let mut waiting: Vec<(u64, u64)> = self.line.clone();
            if !D::LINE_IN_ORDER {
                waiting.reverse();
            }
            let next =
                waiting.into_iter().find_map(|(entry, segments)| Some((entry, segments, self.free_seat(segments)?)));
            let Some((hold, segments, place)) = next else { return };
            let until = at.plus_millis(HOLD_MS);
            let offered = Change::Taken { hold, place, segments, until, from_line: true };
            self.apply(&offered);
            changes.push(offered);
        }
    }

    fn apply(&mut self, change: &Change) {
        match *change {
            Change::Taken { hold, place, segments, until, from_line } => {
                self.line.retain(|(entry, _)| !from_line || *entry != hold);
                self.seats[usize::from(place)] |= segments;
                let stage = if from_line { Stage::Offered } else { Stage::Held };
                self.holds.insert(hold, ToyHold { seat: place, segments, until, stage });
            }
            Change::Paid { hold } => {
                if let Some(it) = self.holds.get_mut(&hold) {
                    it.stage = Stage::Paid;
                }
            }
            Change::GivenBack { hold } | Change::Lapsed { hold } => {
                if let Some(it) = self.holds.get_mut(&hold) {
                    if D::LAPSED_OFFER_FREES || it.stage != Stage::Offered {
                        self.seats[usize::from(it.seat)] &= !it.segments;
                    }
                    it.stage = Stage::Ended;
                }
            }
            Change::Queued { entry, segments } => {
                self.joined += 1;
                self.line.push((entry, segments));
            }
            Change::Poisoned => self.poisoned = true,
            Change::Prolonged { .. } | Change::LeftLine { .. } => {}
        }
    }

    fn due(&self, hold: &ToyHold) -> bool {
        matches!(hold.stage, Stage::Held | Stage::Offered) || (!D::PAID_STAYS && hold.stage == Stage::Paid)
    }
}

impl<D: ToyRules> Aggregate for Toy<D> {
    type Command = ToyCommand;
    type Answer = ToyAnswer;
    type Refusal = ToyRefusal;
    type Query = ();
    type View = u64;
    type Frozen = (Bytes, u64);

    const BATCH_HEADER: &'static [u8] = b"toy";

    fn new(run: Run) -> Self {
        Self {
            run,
            seats: [0; SEATS as usize],
            holds: BTreeMap::new(),
            requests: BTreeMap::new(),
            line: Vec::new(),
            joined: 0,
            poisoned: false,
            rules: PhantomData,
        }
    }

    fn execute(&mut self, context: Context, command: &ToyCommand, records: &mut Vec<u8>) -> Execution<Self> {
        if let Some((salt, answer)) = self.requests.get(&command.id) {
            return if *salt == command.salt || !D::COMPARE_PAYLOADS {
                Execution::Repeated(*answer)
            } else {
                Execution::Refused(ToyRefusal::OtherPayload)
            };
        }
        let (mut changes, answer) = match self.decide(context.time, command) {
            Ok(decided) => decided,
            Err(refusal) => {
                if let (false, ToyKind::Hold(segments)) = (D::REFUSED_LEAVES_NOTHING, command.kind) {
                    self.seats[0] |= segments & 1;
                }
                return Execution::Refused(refusal);
            }
        };
        for change in changes.clone() {
            self.apply(&change);
        }
        if D::LINE_FIRST {
            self.serve_line(context.time, &mut changes);
        }
        if D::REMEMBER_IDS {
            self.requests.insert(command.id, (command.salt, answer));
        }
        Writer(records).record(index_of(&self.run), Some((command.id, command.salt, answer)), context.time, &changes);
        Execution::Accepted(answer)
    }

    fn advance(&mut self, context: Context, records: &mut Vec<u8>) {
        let to = context.time;
        let mut changes = Vec::new();
        let lapsed: Vec<u64> =
            self.holds.iter().filter(|(_, hold)| self.due(hold) && hold.until <= to).map(|(id, _)| *id).collect();
        for hold in lapsed {
            let change = Change::Lapsed { hold };
            self.apply(&change);
            changes.push(change);
        }
        self.serve_line(to, &mut changes);
        Writer(records).record(index_of(&self.run), None, to, &changes);
    }

    fn next_timer(&self) -> Option<Time> {
        self.holds.values().filter(|hold| self.due(hold)).map(|hold| hold.until).min()
    }

    fn replay(&mut self, _version: Version, payload: &[u8]) -> Result<u32, Damaged> {
        let mut replayed = 0;
        let mut reader = Reader::new(payload).map_err(Damaged)?;
        while let Some(record) = reader.record().map_err(Damaged)? {
            if record.run != index_of(&self.run) {
                continue;
            }
            let joined = self.joined;
            for change in &record.changes {
                self.apply(change);
            }
            if !D::SEQUENCE_REPLAYED {
                self.joined = joined;
            }
            if let (true, Some((id, salt, answer))) = (D::REMEMBER_IDS, record.request) {
                self.requests.insert(id, (salt, answer));
            }
            replayed += 1;
        }
        Ok(replayed)
    }

    fn view(&self, _context: Context, (): ()) -> u64 {
        let bits = |seat: u64| (0..64).filter(move |segment| seat >> segment & 1 == 1);
        let cells =
            (0..SEATS).zip(self.seats).flat_map(|(place, seat)| bits(seat).map(move |segment| (place, segment)));
        NaiveRun::digest_of(cells)
    }

    fn freeze(&self) -> (Bytes, u64) {
        let mut bytes = self.encode(D::SNAPSHOT_KEEPS_LINE, D::SNAPSHOT_KEEPS_IDS);
        let check = xxhash_rust::xxh3::xxh3_64(&bytes);
        Writer(&mut bytes).number(check);
        (bytes.into(), self.state_hash())
    }

    fn write(frozen: (Bytes, u64)) -> (Bytes, u64) {
        frozen
    }

    fn restore(run: Run, snapshot: &[u8]) -> Result<Self, Damaged> {
        let damaged = || Damaged("snapshot".to_owned());
        let (body, check) = snapshot.split_last_chunk::<8>().ok_or_else(damaged)?;
        if xxhash_rust::xxh3::xxh3_64(body).to_le_bytes() != *check {
            return Err(damaged());
        }
        Self::read(run, Reader::of_body(body)).ok_or_else(damaged)
    }

    fn state_hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.encode(true, true))
    }

    fn size(&self) -> usize {
        self.holds.len()
    }

    fn check(&self) -> Result<(), Broken> {
        if self.poisoned {
            return Err(Broken { id: "I1", message: "poisoned".to_owned() });
        }
        Ok(())
    }
}

impl<D: ToyRules> Toy<D> {
    fn encode(&self, with_line: bool, with_ids: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1_024);
        let mut writer = Writer(&mut bytes);
        writer.numbers(self.seats);
        writer.numbers([self.joined, self.holds.len() as u64]);
        for (id, hold) in &self.holds {
            let until = hold.until.millis().cast_unsigned();
            writer.numbers([*id, u64::from(hold.seat), hold.segments, until, hold.stage as u64]);
        }
        let line: &[(u64, u64)] = if with_line { &self.line } else { &[] };
        writer.number(line.len() as u64);
        for (entry, segments) in line {
            writer.numbers([*entry, *segments]);
        }
        let kept = if with_ids { self.requests.len() } else { 0 };
        writer.number(kept as u64);
        for (id, (salt, answer)) in self.requests.iter().take(kept) {
            writer.numbers([*id, *salt]);
            writer.answer(*answer);
        }
        bytes
    }

    fn read(run: Run, mut body: Reader<'_>) -> Option<Self> {
        let mut toy = Self::new(run);
        for seat in &mut toy.seats {
            *seat = body.number()?;
        }
        toy.joined = body.number()?;
        for _ in 0..body.number()? {
            let (id, seat, segments) = (body.number()?, body.number()? as u16, body.number()?);
            let until = Time::from_millis(body.number()?.cast_signed());
            let stage =
                [Stage::Held, Stage::Offered, Stage::Paid, Stage::Ended].into_iter().nth(body.number()? as usize)?;
            toy.holds.insert(id, ToyHold { seat, segments, until, stage });
        }
        for _ in 0..body.number()? {
            toy.line.push((body.number()?, body.number()?));
        }
        for _ in 0..body.number()? {
            let (id, salt) = (body.number()?, body.number()?);
            toy.requests.insert(id, (salt, body.answer()?));
        }
        Some(toy)
    }
}

/// Three runs, the first two on one slot.
static RUNS: LazyLock<Vec<Run>> = LazyLock::new(|| three_runs_on_two_slots(1));

/// How a run is written: by its place among the three.
fn index_of(run: &Run) -> u64 {
    RUNS.iter().position(|one| one == run).map_or(u64::MAX, |index| index as u64)
}

/// Three runs of trains with numbers from `first` on, the first two on one slot.
pub fn three_runs_on_two_slots(first: u32) -> Vec<Run> {
    let date = domain::ServiceDate::from_days(20_800).expect("a date of 2026");
    let run = |number: u32| Run::first(format!("G{number}").parse().expect("a train code"), date);
    let one = run(first);
    let same = (first + 1..).map(run).find(|other| other.slot() == one.slot()).expect("slots repeat");
    let other = (first + 1..).map(run).find(|other| other.slot() != one.slot()).expect("slots differ");
    vec![one, same, other]
}
