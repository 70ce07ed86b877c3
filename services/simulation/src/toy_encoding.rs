//! How toys are written: little-endian numbers of eight bytes, one after the other.

use domain::Time;

use crate::subject::Change;
use crate::toy::ToyAnswer;

/// Writes.
pub struct Writer<'a>(pub &'a mut Vec<u8>);

/// Reads.
pub struct Reader<'a>(&'a [u8]);

/// One record of a toy's batch.
pub struct ToyRecord {
    /// Which of the runs.
    pub run: u64,
    /// Id, salt and answer; none where time moved by itself.
    pub request: Option<(u64, u64, ToyAnswer)>,
    /// The database's time as the owner knew it.
    pub decided_at: Time,
    /// What changed.
    pub changes: Vec<Change>,
}

impl Writer<'_> {
    /// A number.
    pub fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    /// Some numbers.
    pub fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        numbers.into_iter().for_each(|number| self.number(number));
    }

    /// A record.
    pub fn record(&mut self, run: u64, request: Option<(u64, u64, ToyAnswer)>, decided_at: Time, changes: &[Change]) {
        self.numbers([run, u64::from(request.is_some())]);
        if let Some((id, salt, answer)) = request {
            self.numbers([id, salt]);
            self.answer(answer);
        }
        self.numbers([decided_at.millis().cast_unsigned(), changes.len() as u64]);
        for change in changes {
            self.change(change);
        }
    }

    /// An answer.
    pub fn answer(&mut self, answer: ToyAnswer) {
        self.numbers(match answer {
            ToyAnswer::Held(seat, until) => [0, u64::from(seat), until.millis().cast_unsigned()],
            ToyAnswer::Paid => [1, 0, 0],
            ToyAnswer::GivenBack => [2, 0, 0],
            ToyAnswer::Joined(sequence) => [3, sequence, 0],
            ToyAnswer::Poisoned => [4, 0, 0],
        });
    }

    fn change(&mut self, change: &Change) {
        self.numbers(match *change {
            Change::Taken { hold, place, segments, until, from_line } => {
                [u64::from(from_line), hold, u64::from(place), segments, until.millis().cast_unsigned()]
            }
            Change::Paid { hold } => [2, hold, 0, 0, 0],
            Change::GivenBack { hold } => [3, hold, 0, 0, 0],
            Change::Lapsed { hold } => [4, hold, 0, 0, 0],
            Change::Queued { entry, segments } => [5, entry, segments, 0, 0],
            Change::Poisoned => [6, 0, 0, 0, 0],
            Change::LeftLine { entry } => [8, entry, 0, 0, 0],
            Change::Prolonged { hold, until } => [7, hold, 0, 0, until.millis().cast_unsigned()],
        });
    }
}

impl<'a> Reader<'a> {
    /// Reads a batch.
    ///
    /// # Errors
    /// A payload that does not begin as a toy's does.
    pub fn new(payload: &'a [u8]) -> Result<Self, String> {
        payload.strip_prefix(b"toy").map(Self).ok_or_else(|| "not a toy's batch".to_owned())
    }

    /// Reads a snapshot.
    pub const fn of_body(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    /// An answer.
    pub fn answer(&mut self) -> Option<ToyAnswer> {
        let (kind, first, second) = (self.number()?, self.number()?, self.number()?);
        Some(match kind {
            0 => ToyAnswer::Held(first as u16, Time::from_millis(second.cast_signed())),
            1 => ToyAnswer::Paid,
            2 => ToyAnswer::GivenBack,
            3 => ToyAnswer::Joined(first),
            4 => ToyAnswer::Poisoned,
            _ => return None,
        })
    }

    /// The next record, if there is one.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub fn record(&mut self) -> Result<Option<ToyRecord>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        self.whole_record().map(Some).ok_or_else(|| "a record that cannot be read".to_owned())
    }

    fn whole_record(&mut self) -> Option<ToyRecord> {
        let run = self.number()?;
        let request = match self.number()? {
            0 => None,
            _ => Some((self.number()?, self.number()?, self.answer()?)),
        };
        let decided_at = Time::from_millis(self.number()?.cast_signed());
        let changes = (0..self.number()?).map(|_| self.change()).collect::<Option<_>>()?;
        Some(ToyRecord { run, request, decided_at, changes })
    }

    fn change(&mut self) -> Option<Change> {
        let [kind, hold, second, third, last] = [(); 5].map(|()| self.number());
        let (kind, hold, second, third, last) = (kind?, hold?, second?, third?, Time::from_millis(last?.cast_signed()));
        Some(match kind {
            0 | 1 => Change::Taken { hold, place: second as u16, segments: third, until: last, from_line: kind == 1 },
            2 => Change::Paid { hold },
            3 => Change::GivenBack { hold },
            4 => Change::Lapsed { hold },
            5 => Change::Queued { entry: hold, segments: second },
            6 => Change::Poisoned,
            7 => Change::Prolonged { hold, until: last },
            8 => Change::LeftLine { entry: hold },
            _ => return None,
        })
    }
}
