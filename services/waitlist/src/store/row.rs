//! Entries as rows and back.

use domain::{Channel, Interval, Invalid, SeatClass, Time};
use portable_sql::Row;

use crate::entry::{Entry, Grant, LinePlace, Wish};
use crate::state::{End, Stage};
use crate::store::StoreError;

/// The columns of an entry in the order [`entry`] reads them.
macro_rules! columns {
    () => {
        "entry_id, account, run, seat_class, from_stop, to_stop, passengers, standing, channel, deadline_ms, created_ms, \
         stage, end_kind, reason, granted, sequence, ahead, version"
    };
}
pub(super) use columns;

/// How many columns [`columns`] names: further ones of a statement follow from here.
pub(super) const COLUMNS: usize = 18;

/// A stage as columns.
pub(super) struct StageColumns {
    pub stage: i64,
    pub end_kind: i64,
    pub reason: String,
    pub granted: Vec<u8>,
}

const JOINING: i64 = 1;
const WAITING: i64 = 2;
const OFFERED: i64 = 3;
const ORDERING: i64 = 4;
const RELEASING: i64 = 5;
const FULFILLED: i64 = 6;
const LEAVING: i64 = 7;
const ENDED: i64 = 8;

/// The codes of the stages in which an entry counts as open: [`Stage::is_open`].
pub(super) const OPEN_STAGE_MAX: i64 = ORDERING;

const LEFT: i64 = 1;
const EXPIRED: i64 = 2;
const FAILED: i64 = 3;

impl From<&Stage> for StageColumns {
    fn from(stage: &Stage) -> Self {
        let plain = |stage| Self { stage, end_kind: 0, reason: String::new(), granted: Vec::new() };
        match stage {
            Stage::Joining => plain(JOINING),
            Stage::Waiting => plain(WAITING),
            Stage::Offered => plain(OFFERED),
            Stage::Ordering(Grant(granted)) => Self { granted: granted.clone(), ..plain(ORDERING) },
            Stage::Releasing { reason, grant: Grant(granted) } => {
                Self { reason: reason.clone(), granted: granted.clone(), ..plain(RELEASING) }
            }
            Stage::Fulfilled => plain(FULFILLED),
            Stage::Leaving(end) | Stage::Ended(end) => {
                let code = if matches!(stage, Stage::Leaving(_)) { LEAVING } else { ENDED };
                let (end_kind, reason) = match end {
                    End::Left => (LEFT, ""),
                    End::Expired => (EXPIRED, ""),
                    End::Failed(reason) => (FAILED, reason.as_str()),
                };
                Self { end_kind, reason: reason.to_owned(), ..plain(code) }
            }
        }
    }
}

impl StageColumns {
    fn stage(self) -> Result<Stage, StoreError> {
        let unreadable = |what: &str, code: i64| StoreError::Unreadable(format!("{what} {code}"));
        let end = |reason| match self.end_kind {
            LEFT => Ok(End::Left),
            EXPIRED => Ok(End::Expired),
            FAILED => Ok(End::Failed(reason)),
            code => Err(unreadable("end kind", code)),
        };
        Ok(match self.stage {
            JOINING => Stage::Joining,
            WAITING => Stage::Waiting,
            OFFERED => Stage::Offered,
            ORDERING => Stage::Ordering(Grant(self.granted)),
            RELEASING => Stage::Releasing { reason: self.reason, grant: Grant(self.granted) },
            FULFILLED => Stage::Fulfilled,
            LEAVING => Stage::Leaving(end(self.reason)?),
            ENDED => Stage::Ended(end(self.reason)?),
            code => return Err(unreadable("stage", code)),
        })
    }
}

/// The entry of a row that begins with [`columns`].
pub(super) fn entry(row: &Row) -> Result<Entry, StoreError> {
    let class = small(row, 3)?;
    let channel = small(row, 8)?;
    let wish = Wish {
        run: text(row, 2)?.parse()?,
        class: SeatClass::from_code(class).ok_or_else(|| StoreError::Unreadable(format!("class {class}")))?,
        interval: Interval::new(small(row, 4)?, small(row, 5)?)?,
        passengers: small(row, 6)?,
        standing: row.int(7)? != 0,
        channel: Channel::from_code(channel).ok_or_else(|| StoreError::Unreadable(format!("channel {channel}")))?,
        deadline: Time::from_millis(row.int(9)?),
    };
    let stage = StageColumns {
        stage: row.int(11)?,
        end_kind: row.int(12)?,
        reason: text(row, 13)?.to_owned(),
        granted: row.bytes(14)?.to_vec(),
    };
    let ahead = row.optional_int(16)?.map(|ahead| ahead as u32);
    Ok(Entry {
        id: text(row, 0)?.parse()?,
        account: text(row, 1)?.parse()?,
        wish,
        created_at: Time::from_millis(row.int(10)?),
        stage: stage.stage()?,
        place: row.optional_int(15)?.map(|sequence| LinePlace { sequence: sequence as u64, ahead }),
        version: row.int(17)? as u64,
    })
}

/// A small number of a row, such as a code.
pub(super) fn small(row: &Row, index: usize) -> Result<u8, StoreError> {
    let value = row.int(index)?;
    u8::try_from(value).map_err(|_| StoreError::Unreadable(format!("{value} in column {index}")))
}

fn text(row: &Row, index: usize) -> Result<&str, StoreError> {
    Ok(row.text(index)?)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<Invalid> for StoreError {
    fn from(invalid: Invalid) -> Self {
        Self::Unreadable(invalid.to_string())
    }
}
