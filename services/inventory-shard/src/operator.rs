//! What operators ask of a shard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{SlotId, Time};
use engine::{EngineHandle, Handover, HandoverKind};
use proto::inventory::v1::shard_operator_service_server::ShardOperatorService;
use proto::inventory::v1::{GetShardRequest, GetShardResponse, SlotHandover, SlotUse};
use rpc::{Clock, SystemClock};
use tonic::{Request, Response, Status};

use crate::boards::Boards;
use crate::ownership::Ownership;

/// Answers operators.
#[derive(Debug)]
pub struct OperatorFace {
    engine: EngineHandle,
    ownership: Ownership,
    boards: Arc<Boards>,
}

impl OperatorFace {
    /// A face of the shard's parts.
    pub fn new(engine: EngineHandle, ownership: Ownership, boards: Arc<Boards>) -> Self {
        Self { engine, ownership, boards }
    }
}

#[tonic::async_trait]
impl ShardOperatorService for OperatorFace {
    async fn get_shard(&self, request: Request<GetShardRequest>) -> Result<Response<GetShardResponse>, Status> {
        let within = Duration::from_millis(request.get_ref().handovers_within_ms.into());
        let occupancy = self.engine.occupancy();
        let now = SystemClock.now();
        let handovers = self.engine.handovers(within).into_iter().map(|handover| handover_to_wire(handover, now));
        let slots: BTreeMap<SlotId, SlotUse> = self.boards.use_of_slots();
        Ok(Response::new(GetShardResponse {
            ring_version: self.ownership.ring().version(),
            slots_owned: occupancy.slots_owned as u32,
            slots_assigned: occupancy.slots_assigned as u32,
            slots: slots.into_values().collect(),
            handovers: handovers.collect(),
        }))
    }
}

fn handover_to_wire(handover: Handover, now: Time) -> SlotHandover {
    let at = |ago: Duration| now.millis() * 1_000 - i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
    SlotHandover {
        number: handover.number,
        slot: u32::from(handover.slot.number()),
        taken: handover.kind == HandoverKind::Taken,
        began_at_us: at(handover.began_ago),
        ended_at_us: at(handover.ended_ago),
        train_dates: handover.runs.unwrap_or(0),
        train_dates_known: handover.runs.is_some(),
        train_dates_warm: handover.runs_warm,
    }
}
