use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use discovery::{DiscoveryError, RingRecord};
use proto::gateway::v1::{ChangeRingRequest, ChangeRingResponse, PlanRingRequest, PlanRingResponse, PlannedShare};
use proto::inventory::v1::{GetShardRequest, GetShardResponse, SlotHandover};
use ring::{Move, Ring, ShardId};
use rpc::CallContext;
use shard_client::ShardOperatorClient;
use tokio::time::Instant;

use super::App;
use crate::error::Error;
use crate::ring_moves::{Change, moves, pauses};

/// Moves that show what to expect of the next ones.
const EXPECT_WITHIN: Duration = Duration::from_secs(3_600);
/// Between two looks at how far a change is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A change that has not settled after so long is left to itself.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// How long after everything has arrived the new owners may take to list their train-dates.
const LIST_MAX: Duration = Duration::from_secs(5);
/// How long a shard may take to tell of itself.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// A change that was made and is being followed.
#[derive(Debug)]
pub struct Following {
    record: Arc<RingRecord>,
    before: Arc<Ring>,
    shards: BTreeMap<ShardId, ShardOperatorClient>,
    /// Both sides' words, each once: by shard and its number.
    handovers: BTreeMap<(ShardId, u64), SlotHandover>,
    /// Before any shard could hear of it.
    began: Instant,
    /// When every slot had arrived.
    settled: Option<Instant>,
}

impl App {
    /// What a change would do.
    pub async fn plan_ring(&self, request: &PlanRingRequest) -> Result<PlanRingResponse, Error> {
        let record = self.discovery.record();
        let registered = self.discovery.registrations().borrow().clone();
        let settings = Change::read(request.change.as_ref())?.apply(record.settings(), &registered)?;
        let (before, after) = (self.shards.ring(), ring_of(&settings.whole(record.version() + 1))?);
        let told = ask_all(&self.operators(), EXPECT_WITHIN).await;
        let moved: BTreeSet<u32> = before.moves_to(&after).iter().map(|it| it.slot.number().into()).collect();
        let used = told.values().flat_map(|shard| &shard.slots).filter(|used| moved.contains(&used.slot));
        let (train_dates, sold) =
            used.fold((0, 0), |(all, sold), used| (all + used.train_dates, sold + used.train_dates_sold));
        let handovers: Vec<SlotHandover> = told.values().flat_map(|shard| shard.handovers.clone()).collect();
        let shards: BTreeSet<&ShardId> = before.shares().into_iter().chain(after.shares()).map(|(id, _)| id).collect();
        let share = |ring: &Ring, shard: &ShardId| ring.slots_of(shard).count() as u32;
        let shares = shards.into_iter().map(|shard| PlannedShare {
            shard: shard.to_string(),
            slots_before: share(&before, shard),
            slots_after: share(&after, shard),
            state: registered.get(shard).map(|it| it.state.to_string()).unwrap_or_default(),
        });
        Ok(PlanRingResponse {
            settings_version: record.settings().version,
            shares: shares.collect(),
            slots_moved: moved.len() as u32,
            train_dates_moved: train_dates,
            train_dates_sold_moved: sold,
            measured: Some(pauses(&moves(&handovers, true))),
        })
    }

    /// Makes a change, if the settings are still those it was planned on.
    pub async fn change_ring(&self, request: &ChangeRingRequest, operator: &str) -> Result<Following, Error> {
        let change = Change::read(request.change.as_ref())?;
        let lock = self.discovery.lock_editor(operator).await.map_err(Error::Ring)?;
        let present = self.discovery.record();
        let registered = self.discovery.registrations().borrow().clone();
        let settings = change.apply(present.settings(), &registered)?;
        ring_of(&settings.whole(0))?;
        let (before, shards) = (self.shards.ring(), self.operators());
        let began = Instant::now();
        let edited = self.discovery.edit(&lock, request.settings_version, settings).await;
        lock.release().await;
        let record = edited.map_err(Error::Ring)?;
        Ok(Following { record, before, shards, handovers: BTreeMap::new(), began, settled: None })
    }

    /// How far a change is, after a moment; none once it was said that it is done.
    pub async fn follow_ring(&self, mut it: Following) -> Result<(ChangeRingResponse, Option<Following>), Error> {
        tokio::time::sleep(LOOK_EVERY).await;
        if it.began.elapsed() > SETTLE_MAX {
            return Err(Error::RingUnsettled);
        }
        it.shards.extend(self.operators());
        let told = ask_all(&it.shards, it.began.elapsed() + LOOK_EVERY).await;
        for (shard, handover) in told.iter().flat_map(|(shard, told)| told.handovers.iter().map(move |it| (shard, it)))
        {
            it.handovers.insert((shard.clone(), handover.number), *handover);
        }
        let target = ring_of(&it.record.settings().whole(0))?;
        let moved = it.before.moves_to(&target);
        let present = self.discovery.record();
        let waiting_for: Vec<String> =
            present.standings().filter(|(_, it)| !it.counted).map(|(shard, _)| shard.to_string()).collect();
        let arrived = arrived(&moved, &it.handovers);
        // An operator who edits in between has another plan: this one ends with its ring.
        let superseded = present.settings().version != it.record.settings().version;
        if waiting_for.is_empty() && self.is_settled(&told, present.version()) {
            it.settled.get_or_insert_with(Instant::now);
        }
        let listed = it.handovers.values().all(|it| !it.taken || it.train_dates_known);
        let done = superseded || it.settled.is_some_and(|settled| listed || settled.elapsed() > LIST_MAX);
        let slots_total = moved.len() as u32;
        let step = ChangeRingResponse { slots_moved: arrived, slots_total, waiting_for, done, pauses: None };
        if !done {
            return Ok((step, Some(it)));
        }
        let handovers: Vec<SlotHandover> = it.handovers.into_values().collect();
        Ok((ChangeRingResponse { pauses: Some(pauses(&moves(&handovers, false))), ..step }, None))
    }

    /// Whether every shard of a ring answers for all slots that it gives it, and for no others.
    fn is_settled(&self, told: &BTreeMap<ShardId, GetShardResponse>, version: u64) -> bool {
        let ring = self.shards.ring();
        ring.version() >= version
            && ring.shares().into_iter().all(|(shard, slots)| {
                told.get(shard).is_some_and(|it| {
                    it.ring_version >= version && (it.slots_owned, it.slots_assigned) == (slots, slots)
                })
            })
    }

    fn operators(&self) -> BTreeMap<ShardId, ShardOperatorClient> {
        self.shards.operator_clients().into_iter().collect()
    }
}

fn ring_of(layout: &ring::Layout) -> Result<Ring, Error> {
    Ring::new(layout.clone()).map_err(|error| Error::Ring(DiscoveryError::Settings(error)))
}

/// How many moved slots their new owners answer for.
fn arrived(moved: &[Move], handovers: &BTreeMap<(ShardId, u64), SlotHandover>) -> u32 {
    let taken: BTreeSet<u32> = handovers.values().filter(|it| it.taken).map(|it| it.slot).collect();
    moved.iter().filter(|it| taken.contains(&it.slot.number().into())).count() as u32
}

/// What shards tell of themselves; one that does not answer is left out.
async fn ask_all(
    shards: &BTreeMap<ShardId, ShardOperatorClient>,
    handovers_within: Duration,
) -> BTreeMap<ShardId, GetShardResponse> {
    let within_ms = u32::try_from(handovers_within.as_millis()).unwrap_or(u32::MAX);
    let asked = shards.iter().map(|(shard, client)| {
        let (shard, mut client) = (shard.clone(), client.clone());
        CallContext::within(ASK_TIMEOUT).scope(async move {
            let answer = client.get_shard(GetShardRequest { handovers_within_ms: within_ms }).await;
            Some((shard, answer.ok()?.into_inner()))
        })
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}
