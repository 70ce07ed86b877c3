//! A row for each interval in Postgres that counts what is left: a hold takes one from every interval that overlaps, which
//! is most of the table. It chooses no seat.

use domain::Run;
use futures::future::BoxFuture;
use proto::inventory::v1::{HoldRequest, HoldResponse, ReleaseRequest};
use sqlx::{Connection, PgConnection, PgPool};
use tonic::Status;

use super::seat_rows::{failed, pool};
use crate::seats::{PlaceId, interval, sold_out};
use crate::workload::{STOPS, TRAINS, places, train_of};
use crate::{BenchError, Seats};

/// $1 train, $2 and $3 the stops, $4 what is added. Locked in one order, so that no two holds wait for each other.
const ADD: &str = "WITH locked AS MATERIALIZED (
        SELECT from_stop, to_stop, places_left FROM interval_left
        WHERE train = $1 AND from_stop < $3 AND to_stop > $2
        ORDER BY from_stop, to_stop FOR UPDATE)
    UPDATE interval_left AS entry SET places_left = entry.places_left + $4
    FROM locked
    WHERE entry.train = $1 AND entry.from_stop = locked.from_stop AND entry.to_stop = locked.to_stop
      AND ($4 > 0 OR (SELECT asked.places_left FROM locked AS asked WHERE asked.from_stop = $2 AND asked.to_stop = $3) > 0)";

pub(crate) struct IntervalRows {
    pool: PgPool,
}

/// Fills a database with empty trains.
pub(crate) async fn create(url: &str) -> Result<(), BenchError> {
    let failed = BenchError::because::<sqlx::Error>;
    let mut connection = PgConnection::connect(url).await.map_err(failed("Postgres did not answer"))?;
    let make = "CREATE TABLE interval_left (train int4, from_stop int4, to_stop int4, places_left int4 NOT NULL,
            PRIMARY KEY (train, from_stop, to_stop))
        WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)";
    sqlx::query(make).execute(&mut connection).await.map_err(failed("no table of intervals"))?;
    let (trains, counts): (Vec<i32>, Vec<i32>) = (0..TRAINS).map(|train| (train as i32, places(train) as i32)).unzip();
    sqlx::query(
        "INSERT INTO interval_left SELECT train, from_stop, to_stop, places
         FROM unnest($1::int4[], $2::int4[]) AS trains (train, places),
             generate_series(0, $3 - 2) AS from_stop, generate_series(from_stop + 1, $3 - 1) AS to_stop",
    )
    .bind(trains)
    .bind(counts)
    .bind(i32::from(STOPS))
    .execute(&mut connection)
    .await
    .map_err(failed("no intervals"))?;
    Ok(())
}

impl IntervalRows {
    pub async fn connect(url: &str) -> Result<Self, BenchError> {
        Ok(Self { pool: pool(url).await? })
    }

    /// Gives how many intervals were changed.
    async fn add(&self, run: &Run, from: u8, to: u8, added: i32) -> Result<u64, Status> {
        let query = sqlx::query(ADD).bind(train_of(run) as i32).bind(i32::from(from)).bind(i32::from(to)).bind(added);
        Ok(query.execute(&self.pool).await.map_err(failed)?.rows_affected())
    }
}

impl Seats for IntervalRows {
    fn hold(&self, run: Run, request: HoldRequest) -> BoxFuture<'_, Result<HoldResponse, Status>> {
        Box::pin(async move {
            let (from, to) = interval(&request);
            if self.add(&run, from, to, -1).await? == 0 { Err(sold_out()) } else { Ok(HoldResponse::default()) }
        })
    }

    fn release(&self, run: Run, request: ReleaseRequest) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async move {
            let PlaceId { from, to, .. } = PlaceId::read(&request.hold_id)?;
            self.add(&run, from, to, 1).await.map(drop)
        })
    }
}
