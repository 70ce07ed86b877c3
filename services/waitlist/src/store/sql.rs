//! The store on SQLite and Postgres: one text of SQL for both.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{AccountId, EntryId, SlotId, Time};
use portable_sql::{Connected, Engine, Row, Sql, locking, values};
use storage::{Database, GroupError, GroupWriterOptions, OpenError};

use crate::entry::{Entry, LinePlace};
use crate::state::Happened;
use crate::store::row::{COLUMNS, OPEN_STAGE_MAX, StageColumns, columns, entry, small};
use crate::store::{Change, DueEntry, FeedPart, LineEvent, Lodged, Lodging, SealedPassenger, Store, StoreError};

/// The waitlist's store in a database, its tables brought up to date.
///
/// # Errors
/// The tables could not be brought up to date.
pub async fn open(database: &Database) -> Result<Arc<dyn Store>, OpenError> {
    database.migrate(&sqlx::migrate!("./migrations/sqlite"), &sqlx::migrate!("./migrations/postgres")).await?;
    let group = GroupWriterOptions::default();
    Ok(match database {
        Database::Sqlite(file) => {
            Arc::new(SqlStore { database: Connected::new(file.readers().clone(), file.writer().clone(), group) })
        }
        Database::Postgres(pool) => Arc::new(SqlStore { database: Connected::new(pool.clone(), pool.clone(), group) }),
    })
}

#[derive(Debug)]
struct SqlStore<E: Engine> {
    database: Connected<E>,
}

#[async_trait]
impl<E: Engine> Store for SqlStore<E> {
    async fn lodge(&self, lodging: Lodging) -> Result<Lodged, StoreError> {
        let work = self.database.write(move |connection| Box::pin(lodge::<E>(connection, lodging)));
        work.await.map_err(failed)
    }

    async fn withdraw(&self, id: EntryId, version: u64) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM entry WHERE entry_id = $1 AND version = $2";
        let work = self.database.write(move |connection| {
            Box::pin(async move {
                E::execute(connection, DELETE.into(), values![id.to_string(), version as i64]).await?;
                Ok::<_, StoreError>(())
            })
        });
        work.await.map_err(failed)
    }

    async fn entry(&self, id: EntryId) -> Result<Option<Entry>, StoreError> {
        const SELECT: &str = concat!("SELECT ", columns!(), " FROM entry WHERE entry_id = $1");
        let rows = self.database.fetch(SELECT, values![id.to_string()]).await?;
        rows.first().map(entry).transpose()
    }

    async fn entries(
        &self,
        account: &AccountId,
        after: Option<(Time, EntryId)>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        const SELECT: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM entry WHERE account = $1 AND (created_ms < $2 OR (created_ms = $2 AND entry_id < $3))",
            " ORDER BY created_ms DESC, entry_id DESC LIMIT $4"
        );
        // Without a position: after the end of time.
        let (time, id) = after.map_or((i64::MAX, String::new()), |(time, id)| (time.millis(), id.to_string()));
        let rows = self.database.fetch(SELECT, values![account.as_str(), time, id, limit]).await?;
        rows.iter().map(entry).collect()
    }

    async fn passengers(&self, id: EntryId) -> Result<Vec<SealedPassenger>, StoreError> {
        const SELECT: &str = "SELECT kind, preference, sealed FROM passenger WHERE entry_id = $1 ORDER BY position";
        let rows = self.database.fetch(SELECT, values![id.to_string()]).await?;
        let passenger = |row: &Row| {
            Ok(SealedPassenger { kind: small(row, 0)?, preference: small(row, 1)?, sealed: row.bytes(2)?.to_vec() })
        };
        rows.iter().map(passenger).collect()
    }

    async fn advance(&self, change: Change) -> Result<bool, StoreError> {
        let work =
            self.database.write(move |connection| Box::pin(async move { advance::<E>(connection, &change).await }));
        work.await.map_err(failed)
    }

    async fn due(&self, now: Time, limit: u32) -> Result<Vec<DueEntry>, StoreError> {
        const SELECT: &str = concat!(
            "SELECT ",
            columns!(),
            ", attempts FROM entry WHERE due_ms IS NOT NULL AND due_ms <= $1 ORDER BY due_ms LIMIT $2"
        );
        let rows = self.database.fetch(SELECT, values![now.millis(), limit]).await?;
        let due = |row: &Row| Ok(DueEntry { entry: entry(row)?, attempts: row.int(COLUMNS)? as u32 });
        rows.iter().map(due).collect()
    }

    async fn postpone(&self, id: EntryId, version: u64, until: Time) -> Result<(), StoreError> {
        const UPDATE: &str =
            "UPDATE entry SET due_ms = $3, attempts = attempts + 1 WHERE entry_id = $1 AND version = $2";
        let work = self.database.write(move |connection| {
            Box::pin(async move {
                E::execute(connection, UPDATE.into(), values![id.to_string(), version as i64, until.millis()]).await?;
                Ok::<_, StoreError>(())
            })
        });
        work.await.map_err(failed)
    }

    async fn take_feed(&self, feed: FeedPart) -> Result<bool, StoreError> {
        let work = self.database.write(move |connection| Box::pin(take_feed::<E>(connection, feed)));
        match work.await {
            Err(GroupError::Refused(NotTaken::CursorElsewhere)) => Ok(false),
            done => done.map(|()| true).map_err(failed),
        }
    }

    async fn cursors(&self) -> Result<Vec<(SlotId, u64)>, StoreError> {
        let rows = self.database.fetch("SELECT slot, version FROM feed_cursor ORDER BY slot", values![]).await?;
        let cursor = |row: &Row| {
            let slot = u16::try_from(row.int(0)?).map_err(|_| StoreError::Unreadable("slot of a cursor".to_owned()))?;
            Ok((SlotId::new(slot)?, row.int(1)? as u64))
        };
        rows.iter().map(cursor).collect()
    }
}

async fn lodge<E: Engine>(connection: &mut E::Connection, lodging: Lodging) -> Result<Lodged, StoreError> {
    // Two entries lodged at once by one account, through two processes, are counted one after the other. SQLite has one writer.
    const LOCK: Sql = Sql { sqlite: "SELECT $1", postgres: "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))" };
    const KNOWN: &str = concat!("SELECT ", columns!(), ", content_hash FROM entry WHERE entry_id = $1");
    const OPEN: &str = "SELECT COUNT(*) FROM entry WHERE account = $1 AND stage <= $2";
    let Lodging { entry: new, content_hash, passengers, open_max, due } = lodging;
    let account = new.account.as_str();
    E::execute(connection, LOCK, values![account]).await?;
    if let Some(row) = E::fetch(connection, KNOWN.into(), values![new.id.to_string()]).await?.first() {
        return if row.int(COLUMNS)? == content_hash {
            Ok(Lodged::Known(Box::new(entry(row)?)))
        } else {
            Ok(Lodged::IdReused)
        };
    }
    let open = E::fetch(connection, OPEN.into(), values![account, OPEN_STAGE_MAX]).await?;
    if open.first().map_or(Ok(0), |row| row.int(0))? >= i64::from(open_max) {
        return Ok(Lodged::TooMany);
    }
    insert::<E>(connection, &new, content_hash, due).await?;
    insert_passengers::<E>(connection, new.id, passengers).await?;
    Ok(Lodged::New)
}

async fn insert<E: Engine>(
    connection: &mut E::Connection,
    new: &Entry,
    content_hash: i64,
    due: Time,
) -> Result<(), StoreError> {
    const INSERT: &str = concat!(
        "INSERT INTO entry (",
        columns!(),
        ", content_hash, attempts, due_ms) VALUES ",
        "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 0, $20)"
    );
    let (wish, stage) = (&new.wish, StageColumns::from(&new.stage));
    let (sequence, ahead) = place_columns(new.place);
    let row = values![
        new.id.to_string(),
        new.account.as_str(),
        wish.run.to_string(),
        u32::from(wish.class.code()),
        u32::from(wish.interval.from()),
        u32::from(wish.interval.to()),
        u32::from(wish.passengers),
        wish.standing,
        u32::from(wish.channel.code()),
        wish.deadline.millis(),
        new.created_at.millis(),
        stage.stage,
        stage.end_kind,
        stage.reason,
        stage.granted,
        sequence,
        ahead,
        new.version as i64,
        content_hash,
        due.millis(),
    ];
    E::execute(connection, INSERT.into(), row).await?;
    Ok(())
}

async fn insert_passengers<E: Engine>(
    connection: &mut E::Connection,
    id: EntryId,
    passengers: Vec<SealedPassenger>,
) -> Result<(), StoreError> {
    const INSERT: &str =
        "INSERT INTO passenger (entry_id, position, kind, preference, sealed) VALUES ($1, $2, $3, $4, $5)";
    for (position, passenger) in (0i64..).zip(passengers) {
        let (kind, preference) = (u32::from(passenger.kind), u32::from(passenger.preference));
        let row = values![id.to_string(), position, kind, preference, passenger.sealed];
        E::execute(connection, INSERT.into(), row).await?;
    }
    Ok(())
}

/// Writes a step; false where the entry has another version by now.
async fn advance<E: Engine>(connection: &mut E::Connection, change: &Change) -> Result<bool, StoreError> {
    const UPDATE: &str = "UPDATE entry SET stage = $3, end_kind = $4, reason = $5, granted = $6, sequence = $7, ahead = $8, \
                          version = version + 1, attempts = 0, due_ms = $9 WHERE entry_id = $1 AND version = $2";
    const FORGET: &str = "DELETE FROM passenger WHERE entry_id = $1";
    let stage = StageColumns::from(&change.stage);
    let (sequence, ahead) = place_columns(change.place);
    let row = values![
        change.id.to_string(),
        change.version as i64,
        stage.stage,
        stage.end_kind,
        stage.reason,
        stage.granted,
        sequence,
        ahead,
        change.due.map(Time::millis),
    ];
    let written = E::execute(connection, UPDATE.into(), row).await? == 1;
    if written && !change.stage.is_open() {
        E::execute(connection, FORGET.into(), values![change.id.to_string()]).await?;
    }
    Ok(written)
}

fn place_columns(place: Option<LinePlace>) -> (Option<i64>, Option<i64>) {
    (place.map(|place| place.sequence as i64), place.and_then(|place| place.ahead).map(i64::from))
}

/// Why a part of the feed was not taken in.
enum NotTaken {
    CursorElsewhere,
    Failed(StoreError),
}

impl From<sqlx::Error> for NotTaken {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NotTaken> for StoreError {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::CursorElsewhere => Self::Failed("a cursor stands elsewhere".into()),
            NotTaken::Failed(error) => error,
        }
    }
}

async fn take_feed<E: Engine>(connection: &mut E::Connection, feed: FeedPart) -> Result<(), NotTaken> {
    const MOVE: &str = "INSERT INTO feed_cursor (slot, version) VALUES ($1, $3) \
                        ON CONFLICT (slot) DO UPDATE SET version = $3 WHERE feed_cursor.version = $2";
    for (slot, from, to) in feed.cursors {
        let row = values![u32::from(slot.number()), from as i64, to as i64];
        if E::execute(connection, MOVE.into(), row).await? != 1 {
            return Err(NotTaken::CursorElsewhere);
        }
    }
    for event in feed.events {
        take_event::<E>(connection, event, feed.now).await.map_err(NotTaken::Failed)?;
    }
    Ok(())
}

async fn take_event<E: Engine>(connection: &mut E::Connection, event: LineEvent, now: Time) -> Result<(), StoreError> {
    const ONE: Sql = locking!(concat!("SELECT ", columns!(), " FROM entry WHERE entry_id = $1 AND run = $2"));
    const ALL: Sql = locking!(concat!("SELECT ", columns!(), " FROM entry WHERE run = $1 AND stage <= $2"));
    let run = event.run.to_string();
    let rows = match event.entry {
        Some(id) => E::fetch(connection, ONE, values![id.to_string(), run]).await?,
        // A line has a bounded number of entries.
        None => E::fetch(connection, ALL, values![run, OPEN_STAGE_MAX]).await?,
    };
    for row in &rows {
        take_one::<E>(connection, entry(row)?, &event.happened, now).await?;
    }
    Ok(())
}

async fn take_one<E: Engine>(
    connection: &mut E::Connection,
    known: Entry,
    happened: &Happened,
    now: Time,
) -> Result<(), StoreError> {
    let place = match happened {
        Happened::Joined(place) => known.place.or(Some(*place)),
        _ => known.place,
    };
    let stage = known.stage.after(happened.clone());
    if stage.is_none() && place == known.place {
        return Ok(());
    }
    let stage = stage.unwrap_or(known.stage);
    let due = stage.due(known.wish.deadline, now);
    advance::<E>(connection, &Change { id: known.id, version: known.version, stage, place, due }).await?;
    Ok(())
}

fn failed<E: Into<StoreError>>(error: GroupError<E>) -> StoreError {
    match error {
        GroupError::Refused(error) => error.into(),
        GroupError::Aborted(error) => StoreError::Failed(Box::new(error)),
        GroupError::Unknown(error) => StoreError::Unknown(Box::new(error)),
        GroupError::Panicked => StoreError::Failed("a transaction's code panicked".into()),
        GroupError::Closed => StoreError::Failed("the store is closed".into()),
    }
}
