use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::{AccountId, Time};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script};
use secrecy::{ExposeSecret, SecretString};

use super::rate::Rate;
use crate::LimiterOptions;

/// The rates of all gateways, in Redis. The time is Redis' own, so that gateways' clocks do not matter.
///
/// The key carries a hash tag, so that a cluster can spread accounts. It expires when the bucket is empty.
const ADMIT: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local early = arrival - now - tonumber(ARGV[2])
if early > 0 then return math.ceil(early / 1000) end
local next = arrival + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.max(1, math.ceil((next - now) / 1000)))
return 0
";

/// Asks Redis, and leaves it alone for a while after it did not answer.
pub(super) struct SharedRates {
    connection: ConnectionManager,
    script: Script,
    timeout: Duration,
    pause_ms: i64,
    /// Redis is not asked before this moment, in ms since 1970-01-01 UTC.
    paused_until_ms: AtomicI64,
}

impl SharedRates {
    /// Connects at the first call.
    pub fn new(address: &SecretString, options: &LimiterOptions) -> Result<Self, RedisError> {
        let timeout = Duration::from_millis(options.redis_timeout_ms.into());
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(timeout.max(Duration::from_millis(500))))
            .set_response_timeout(Some(timeout.max(Duration::from_millis(500))))
            .set_number_of_retries(1);
        let client = Client::open(address.expose_secret())?;
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, config)?,
            script: Script::new(ADMIT),
            timeout,
            pause_ms: options.redis_pause_ms.into(),
            paused_until_ms: AtomicI64::new(0),
        })
    }

    /// Counts a call: 0 when it is admitted, else how long to wait in ms; none when Redis does not answer.
    pub async fn wait_ms(&self, account: &AccountId, rate: Rate, now: Time) -> Option<u32> {
        if now.millis() < self.paused_until_ms.load(Ordering::Relaxed) {
            return None;
        }
        let mut connection = self.connection.clone();
        let mut invocation = self.script.key(format!("chunyun:rate:{{{account}}}"));
        invocation.arg(rate.interval_us).arg(rate.tolerance_us);
        let asked = tokio::time::timeout(self.timeout, invocation.invoke_async::<i64>(&mut connection)).await;
        match asked {
            Ok(Ok(wait_ms)) => Some(u32::try_from(wait_ms).unwrap_or(u32::MAX)),
            Ok(Err(error)) => self.pause(now, &error.to_string()),
            Err(_) => self.pause(now, "no answer in time"),
        }
    }

    fn pause(&self, now: Time, why: &str) -> Option<u32> {
        tracing::warn!(why, "shared limits are lost: limits are local for a while");
        self.paused_until_ms.store(now.millis() + self.pause_ms, Ordering::Relaxed);
        None
    }
}

impl std::fmt::Debug for SharedRates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedRates").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
