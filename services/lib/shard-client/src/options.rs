use discovery::ListedShard;
use domain::Invalid;
use ring::Member;
use rpc::LinkOptions;
use serde::Deserialize;

/// The shards of a fleet, and how they are called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShardsOptions {
    /// The shards: all there will be, or those that a fleet with discovery starts with.
    pub list: Vec<ListedShard>,
    /// How links connect.
    pub link: LinkOptions,
    /// How calls are tried again.
    pub retry: RetryOptions,
}

/// How calls that found a shard unavailable are tried again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryOptions {
    /// A call is sent at most so often.
    pub attempts_max: u32,
    /// The first pause; later ones double. Each is shortened by up to half at random.
    pub pause_ms: u32,
    /// The longest pause.
    pub pause_max_ms: u32,
    /// So many retries per hundred calls in the long run: bounds what retries add to an overload.
    pub budget_percent: u32,
    /// So many retries may come at once after a quiet time.
    pub budget_burst: u32,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self { attempts_max: 6, pause_ms: 20, pause_max_ms: 1_000, budget_percent: 10, budget_burst: 200 }
    }
}

impl Default for ShardsOptions {
    /// Four shards in this process.
    fn default() -> Self {
        let shard = |ordinal| ListedShard {
            name: ring::ShardId::numbered(ordinal).to_string(),
            address: None,
            weight: Member::WEIGHT_ORDINARY,
        };
        Self { list: (0..4).map(shard).collect(), link: LinkOptions::default(), retry: RetryOptions::default() }
    }
}

impl ShardsOptions {
    /// Refuses what no router could work with. Names and weights are checked where the ring is made.
    ///
    /// # Errors
    /// The first field that is out of its range, in its own words.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.link.validate()?;
        let RetryOptions { attempts_max, pause_ms, pause_max_ms, budget_percent, .. } = self.retry;
        if !(1..=20).contains(&attempts_max) {
            return Err(Invalid::new("attempts_max", "1 to 20", &attempts_max.to_string()));
        }
        if pause_ms == 0 || pause_ms > pause_max_ms {
            return Err(Invalid::new("pause_ms", "1 to pause_max_ms", &pause_ms.to_string()));
        }
        if budget_percent > 100 {
            return Err(Invalid::new("budget_percent", "0 to 100", &budget_percent.to_string()));
        }
        Ok(())
    }
}
