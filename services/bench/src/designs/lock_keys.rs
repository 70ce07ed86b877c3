//! A key in Redis for each seat and segment, as many designs do it: the script tries seat after seat and sets the keys of
//! the first that has none.

use domain::Run;
use futures::future::BoxFuture;
use proto::inventory::v1::{HoldRequest, HoldResponse, ReleaseRequest};
use redis::Script;
use redis::aio::MultiplexedConnection;
use tonic::Status;

use super::seat_bitmap::{failed, open};
use crate::seats::{PlaceId, held, interval, sold_out};
use crate::workload::{places, train_of};
use crate::{BenchError, Seats};

/// ARGV: train, from, to, places, where to begin to look, and how long a lock lasts in ms. Gives the place's number, or -1.
const HOLD: &str = r"
local from, to, places = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
for step = 0, places - 1 do
    local place = (tonumber(ARGV[5]) + step) % places
    local keys = {}
    for segment = from, to - 1 do
        keys[#keys + 1] = 'lock:' .. ARGV[1] .. ':' .. place .. ':' .. segment
    end
    if redis.call('EXISTS', unpack(keys)) == 0 then
        for _, key in ipairs(keys) do
            redis.call('SET', key, '1', 'PX', ARGV[6])
        end
        return place
    end
end
return -1
";

/// How long a hold lasts, in ms: longer than any run of the bench.
const LOCK_MS: u32 = 3_600_000;

pub(crate) struct LockKeys {
    connection: MultiplexedConnection,
    hold: Script,
}

impl LockKeys {
    pub async fn connect(address: &str) -> Result<Self, BenchError> {
        Ok(Self { connection: open(address).await?, hold: Script::new(HOLD) })
    }
}

impl Seats for LockKeys {
    fn hold(&self, run: Run, request: HoldRequest) -> BoxFuture<'_, Result<HoldResponse, Status>> {
        Box::pin(async move {
            let (train, (from, to)) = (train_of(&run), interval(&request));
            let start = rand::random_range(0..places(train));
            let mut asked = self.hold.arg(train);
            asked.arg(from).arg(to).arg(places(train)).arg(start).arg(LOCK_MS);
            let place: i64 = asked.invoke_async(&mut self.connection.clone()).await.map_err(failed)?;
            u32::try_from(place).map(|place| held(place, &request)).map_err(|_| sold_out())
        })
    }

    fn release(&self, run: Run, request: ReleaseRequest) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async move {
            let PlaceId { number, from, to } = PlaceId::read(&request.hold_id)?;
            let train = train_of(&run);
            let mut command = redis::cmd("DEL");
            for segment in from..to {
                command.arg(format!("lock:{train}:{number}:{segment}"));
            }
            command.query_async::<()>(&mut self.connection.clone()).await.map_err(failed)
        })
    }
}
