//! The best Redis: one string per train, a bitmap of segments per seat, found and locked inside one script. It remembers
//! no holds, expires nothing and knows no quotas: all of that would make it slower.

use domain::Run;
use futures::future::BoxFuture;
use proto::inventory::v1::{HoldRequest, HoldResponse, ReleaseRequest};
use redis::Script;
use redis::aio::MultiplexedConnection;
use tonic::Status;

use crate::seats::{PlaceId, held, interval, sold_out};
use crate::workload::{STOPS, TRAINS, places, train_of};
use crate::{BenchError, Seats};

/// In front of the seats: how many are held on each segment, 2 bytes each.
const HEAD_BYTES: usize = (STOPS as usize - 1) * 2;

/// KEYS: the train. ARGV: from, to, places, and where to begin to look: without that every search would pass over the seats
/// that are held already. Gives the place's number, or -1.
const HOLD: &str = r"
local train, from, to = redis.call('GET', KEYS[1]), tonumber(ARGV[1]), tonumber(ARGV[2])
local places, start, head = tonumber(ARGV[3]), tonumber(ARGV[4]), 30
for segment = from, to - 1 do
    local high, low = train:byte(2 * segment + 1, 2 * segment + 2)
    if high * 256 + low >= places then return -1 end
end
local mask = 2 ^ to - 2 ^ from
for step = 0, places - 1 do
    local place = (start + step) % places
    local high, low = train:byte(head + 2 * place + 1, head + 2 * place + 2)
    local taken = high * 256 + low
    if bit.band(taken, mask) == 0 then
        taken = taken + mask
        redis.call('SETRANGE', KEYS[1], head + 2 * place, string.char(math.floor(taken / 256), taken % 256))
        local counts = {}
        for segment = from, to - 1 do
            high, low = train:byte(2 * segment + 1, 2 * segment + 2)
            local count = high * 256 + low + 1
            counts[#counts + 1] = string.char(math.floor(count / 256), count % 256)
        end
        redis.call('SETRANGE', KEYS[1], 2 * from, table.concat(counts))
        return place
    end
end
return -1
";

/// KEYS: the train. ARGV: from, to, the place's number.
const RELEASE: &str = r"
local from, to, at = tonumber(ARGV[1]), tonumber(ARGV[2]), 30 + 2 * tonumber(ARGV[3])
local high, low = redis.call('GETRANGE', KEYS[1], at, at + 1):byte(1, 2)
local taken = high * 256 + low - (2 ^ to - 2 ^ from)
redis.call('SETRANGE', KEYS[1], at, string.char(math.floor(taken / 256), taken % 256))
local head, counts = redis.call('GETRANGE', KEYS[1], 0, 29), {}
for segment = from, to - 1 do
    high, low = head:byte(2 * segment + 1, 2 * segment + 2)
    local count = high * 256 + low - 1
    counts[#counts + 1] = string.char(math.floor(count / 256), count % 256)
end
redis.call('SETRANGE', KEYS[1], 2 * from, table.concat(counts))
return 0
";

pub(crate) struct SeatBitmap {
    connection: MultiplexedConnection,
    hold: Script,
    release: Script,
}

/// Fills a Redis with empty trains; gives the number of its process.
pub(crate) async fn create(address: &str) -> Result<u32, BenchError> {
    let failed = BenchError::because;
    let mut connection = open(address).await?;
    let mut pipeline = redis::pipe();
    for train in 0..TRAINS {
        pipeline.set(key(train), vec![0u8; HEAD_BYTES + 2 * places(train) as usize]).ignore();
    }
    pipeline.query_async::<()>(&mut connection).await.map_err(failed("Redis could not be filled"))?;
    let info: String = redis::cmd("INFO")
        .arg("server")
        .query_async(&mut connection)
        .await
        .map_err(failed("Redis does not tell of itself"))?;
    let process = info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());
    process.ok_or_else(|| BenchError::new("Redis does not tell its process"))
}

/// One connection; requests that are made together travel together.
pub(crate) async fn open(address: &str) -> Result<MultiplexedConnection, BenchError> {
    let client = redis::Client::open(address).map_err(BenchError::because("no address of a Redis"))?;
    client.get_multiplexed_async_connection().await.map_err(BenchError::because("Redis did not answer"))
}

pub(crate) fn failed(error: redis::RedisError) -> Status {
    Status::unavailable(error.to_string())
}

fn key(train: u32) -> String {
    format!("train:{train}")
}

impl SeatBitmap {
    pub async fn connect(address: &str) -> Result<Self, BenchError> {
        Ok(Self { connection: open(address).await?, hold: Script::new(HOLD), release: Script::new(RELEASE) })
    }
}

impl Seats for SeatBitmap {
    fn hold(&self, run: Run, request: HoldRequest) -> BoxFuture<'_, Result<HoldResponse, Status>> {
        Box::pin(async move {
            let (train, (from, to)) = (train_of(&run), interval(&request));
            let start = rand::random_range(0..places(train));
            let mut asked = self.hold.key(key(train));
            asked.arg(from).arg(to).arg(places(train)).arg(start);
            let place: i64 = asked.invoke_async(&mut self.connection.clone()).await.map_err(failed)?;
            u32::try_from(place).map(|place| held(place, &request)).map_err(|_| sold_out())
        })
    }

    fn release(&self, run: Run, request: ReleaseRequest) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async move {
            let PlaceId { number, from, to } = PlaceId::read(&request.hold_id)?;
            let mut asked = self.release.key(key(train_of(&run)));
            asked.arg(from).arg(to).arg(number);
            asked.invoke_async::<()>(&mut self.connection.clone()).await.map_err(failed)
        })
    }
}
