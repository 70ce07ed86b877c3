//! A row for each seat in Postgres, its segments a bitmap; whoever is locked is skipped. A commit for each request.

use domain::Run;
use futures::future::BoxFuture;
use proto::inventory::v1::{HoldRequest, HoldResponse, ReleaseRequest};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use tonic::Status;

use crate::seats::{PlaceId, held, interval, sold_out};
use crate::workload::{TRAINS, places, segments, train_of};
use crate::{BenchError, Seats};

/// Connections of one thread; two threads have them.
const CONNECTIONS_MAX: u32 = 24;

/// $1 train, $2 segments, $3 where to begin to look.
const HOLD: &str = "UPDATE seat SET taken = taken | $2
    WHERE train = $1 AND number = (
        SELECT number FROM seat WHERE train = $1 AND number >= $3 AND taken & $2 = 0
        ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING number";

pub(crate) struct SeatRows {
    pool: PgPool,
}

/// Fills a database with empty seats; gives the number of the backend's process.
pub(crate) async fn create(url: &str) -> Result<u32, BenchError> {
    let failed = BenchError::because::<sqlx::Error>;
    let mut connection = PgConnection::connect(url).await.map_err(failed("Postgres did not answer"))?;
    let make = "CREATE TABLE seat (train int4, number int4, taken int4 NOT NULL, PRIMARY KEY (train, number))
        WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)";
    sqlx::query(make).execute(&mut connection).await.map_err(failed("no table of seats"))?;
    let (trains, counts): (Vec<i32>, Vec<i32>) = (0..TRAINS).map(|train| (train as i32, places(train) as i32)).unzip();
    sqlx::query(
        "INSERT INTO seat SELECT train, number, 0
         FROM unnest($1::int4[], $2::int4[]) AS trains (train, places), generate_series(0, places - 1) AS number",
    )
    .bind(trains)
    .bind(counts)
    .execute(&mut connection)
    .await
    .map_err(failed("no seats"))?;
    let backend: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.map_err(failed("no process"))?;
    Ok(backend.unsigned_abs())
}

pub(crate) async fn pool(url: &str) -> Result<PgPool, BenchError> {
    let options = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
    options.connect(url).await.map_err(BenchError::because("Postgres did not answer"))
}

pub(crate) fn failed(error: sqlx::Error) -> Status {
    Status::unavailable(error.to_string())
}

impl SeatRows {
    pub async fn connect(url: &str) -> Result<Self, BenchError> {
        Ok(Self { pool: pool(url).await? })
    }

    async fn first_free(&self, train: u32, segments: u32, from_number: u32) -> Result<Option<i32>, Status> {
        let query = sqlx::query_scalar(HOLD).bind(train as i32).bind(segments as i32).bind(from_number as i32);
        query.fetch_optional(&self.pool).await.map_err(failed)
    }
}

impl Seats for SeatRows {
    fn hold(&self, run: Run, request: HoldRequest) -> BoxFuture<'_, Result<HoldResponse, Status>> {
        Box::pin(async move {
            let (train, (from, to)) = (train_of(&run), interval(&request));
            let start = rand::random_range(0..places(train));
            let mut found = self.first_free(train, segments(from, to), start).await?;
            if found.is_none() && start > 0 {
                found = self.first_free(train, segments(from, to), 0).await?;
            }
            found.map(|number| held(number.unsigned_abs(), &request)).ok_or_else(sold_out)
        })
    }

    fn release(&self, run: Run, request: ReleaseRequest) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async move {
            let PlaceId { number, from, to } = PlaceId::read(&request.hold_id)?;
            sqlx::query("UPDATE seat SET taken = taken & ~$3::int4 WHERE train = $1 AND number = $2")
                .bind(train_of(&run) as i32)
                .bind(number as i32)
                .bind(segments(from, to) as i32)
                .execute(&self.pool)
                .await
                .map(drop)
                .map_err(failed)
        })
    }
}
