//! A train-date as an owner of slots sees it: the seat kernel and the journal's encoding together.
//!
//! Apart from both, so that the kernel knows nothing of owners and owners nothing of seats, and apart from the engine, so
//! that the seeded simulation runs the same code without any storage.

use std::any::Any;

use bytes::Bytes;
use domain::{Run, Time};
use inventory::encoding::{BatchWriter, SCHEMA_VERSION, decode_batch};
use inventory::{Answer, Command, CommandMeta, Event, FrozenTrainDate, Refusal, TrainDate};
use ownership::{Aggregate, Broken, Context, Damaged, Execution, Priority, Version};

/// A train-date as an owner of slots sees it: the seat kernel and the journal's encoding together.
#[derive(Debug)]
pub struct OwnedTrainDate {
    train_date: TrainDate,
    /// Emptied before each use; kept for its room.
    events: Vec<Event>,
}

/// A command and where its request came from.
#[derive(Clone, Debug)]
pub struct TracedCommand {
    /// The command.
    pub command: Command,
    /// W3C trace context of the request: 16 bytes of trace id, 8 of span id.
    pub trace: Option<[u8; 24]>,
}

/// Looks at a run.
pub type Look = Box<dyn FnOnce(&TrainDate) -> Box<dyn Any + Send> + Send>;

/// What goes first when not everything can go: those who have paid or give back, then those who want to buy.
pub fn priority(command: &Command) -> Priority {
    match command {
        Command::Hold(_) | Command::Join { .. } | Command::Change { .. } => Priority::Hold,
        Command::OpenSale { .. }
        | Command::OpenHold { .. }
        | Command::Confirm { .. }
        | Command::Release { .. }
        | Command::Refund { .. }
        | Command::AddCapacity { .. }
        | Command::SetQuotas { .. }
        | Command::CloseSale { .. }
        | Command::Leave { .. }
        | Command::AcceptOffer { .. }
        | Command::DeclineOffer { .. }
        | Command::Advance { .. } => Priority::Settle,
    }
}

impl OwnedTrainDate {
    fn decide(
        &mut self,
        context: Context,
        command: &Command,
        trace: Option<&[u8; 24]>,
        records: &mut Vec<u8>,
    ) -> Execution<Self> {
        self.events.clear();
        let meta = CommandMeta::of(command, context.time).in_version(context.version.0);
        match self.train_date.execute(&meta, command, &mut self.events) {
            // What is already so needs no record.
            Ok(executed) if executed.repeated || self.events.is_empty() => Execution::Repeated(executed.answer),
            Ok(executed) => {
                let mut batch = BatchWriter::continuing(std::mem::take(records));
                batch.push(&self.train_date.run(), &meta, trace, &self.events);
                *records = batch.finish();
                Execution::Accepted(executed.answer)
            }
            Err(refusal) => Execution::Refused(refusal),
        }
    }

    /// The seat kernel.
    pub fn train_date(&self) -> &TrainDate {
        &self.train_date
    }
}

impl Aggregate for OwnedTrainDate {
    type Command = TracedCommand;
    type Answer = Answer;
    type Refusal = Refusal;
    type Query = Look;
    type View = Box<dyn Any + Send>;
    type Frozen = FrozenTrainDate;

    /// Field 1, the schema version, as a varint.
    const BATCH_HEADER: &'static [u8] = &[0x08, SCHEMA_VERSION as u8];

    fn new(run: Run) -> Self {
        Self { train_date: TrainDate::new(run), events: Vec::new() }
    }

    fn execute(&mut self, context: Context, command: &TracedCommand, records: &mut Vec<u8>) -> Execution<Self> {
        self.decide(context, &command.command, command.trace.as_ref(), records)
    }

    fn advance(&mut self, context: Context, records: &mut Vec<u8>) {
        self.decide(context, &Command::Advance { to: context.time }, None, records);
    }

    fn next_timer(&self) -> Option<Time> {
        self.train_date.next_timer()
    }

    fn replay(&mut self, version: Version, payload: &[u8]) -> Result<u32, Damaged> {
        let run = self.train_date.run();
        let damaged = |error: &dyn std::fmt::Display| Damaged(format!("{run} at version {version}: {error}"));
        let mut replayed = 0;
        for mut record in decode_batch(payload).map_err(|error| damaged(&error))? {
            if record.run == run {
                record.meta.version = version.0;
                self.train_date.replay(&record).map_err(|broken| damaged(&broken))?;
                replayed += 1;
            }
        }
        Ok(replayed)
    }

    fn view(&self, _context: Context, look: Look) -> Box<dyn Any + Send> {
        look(&self.train_date)
    }

    fn freeze(&self) -> FrozenTrainDate {
        self.train_date.freeze()
    }

    fn write(frozen: FrozenTrainDate) -> (Bytes, u64) {
        let written = frozen.write();
        (written.bytes.into(), written.state_hash)
    }

    fn restore(run: Run, snapshot: &[u8]) -> Result<Self, Damaged> {
        match TrainDate::restore(run, snapshot) {
            Ok(train_date) => Ok(Self { train_date, events: Vec::new() }),
            Err(error) => Err(Damaged(error.to_string())),
        }
    }

    fn state_hash(&self) -> u64 {
        self.train_date.state_hash()
    }

    fn size(&self) -> usize {
        self.train_date.size()
    }

    fn check(&self) -> Result<(), Broken> {
        self.train_date.check_invariants().map_err(|broken| Broken { id: broken.id, message: broken.detail })
    }
}
