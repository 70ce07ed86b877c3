//! Inventory over the wire: each call goes to the shard that owns its run.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{HoldId, Run, Time};
use proto::inventory::v1 as wire;
use rpc::{Failure, reason};
use shard_client::ShardRouter;

use crate::convert;
use crate::inventory::{Inventory, OpenedHold, Wanted};
use crate::order::Place;

/// The shards behind the ring.
#[derive(Clone, Debug)]
pub struct Shards {
    router: ShardRouter,
}

impl Shards {
    /// The shards of a router.
    pub const fn new(router: ShardRouter) -> Self {
        Self { router }
    }
}

#[async_trait]
impl Inventory for Shards {
    async fn open_hold(&self, run: Run, hold: HoldId) -> Result<OpenedHold, Failure> {
        let request = wire::OpenHoldRequest { run: Some(convert::run_out(run)), hold_id: id(hold) };
        let send = |mut client: shard_client::ShardClient| {
            let request = request.clone();
            async move { client.open_hold(request).await }
        };
        let opened = self.router.call(&run, send).await?;
        let (pay_by, hard_limit) = (Time::from_millis(opened.pay_by_ms), Time::from_millis(opened.hard_limit_ms));
        Ok(OpenedHold { pay_by, hard_limit })
    }

    async fn confirm(&self, run: Run, hold: HoldId) -> Result<(), Failure> {
        let request = wire::ConfirmRequest { run: Some(convert::run_out(run)), hold_id: id(hold) };
        let send = |mut client: shard_client::ShardClient| {
            let request = request.clone();
            async move { client.confirm(request).await }
        };
        self.router.call(&run, send).await?;
        Ok(())
    }

    async fn release(&self, run: Run, hold: HoldId) -> Result<(), Failure> {
        let request = wire::ReleaseRequest { run: Some(convert::run_out(run)), hold_id: id(hold) };
        let send = |mut client: shard_client::ShardClient| {
            let request = request.clone();
            async move { client.release(request).await }
        };
        self.router.call(&run, send).await?;
        Ok(())
    }

    async fn refund(&self, run: Run, hold: HoldId, passengers: &[u8]) -> Result<(), Failure> {
        let request = wire::RefundRequest {
            run: Some(convert::run_out(run)),
            hold_id: id(hold),
            passengers: passengers.iter().map(|passenger| u32::from(*passenger)).collect(),
        };
        let send = |mut client: shard_client::ShardClient| {
            let request = request.clone();
            async move { client.refund(request).await }
        };
        self.router.call(&run, send).await?;
        Ok(())
    }

    async fn hold(&self, wanted: Wanted) -> Result<Vec<Place>, Failure> {
        let run = wanted.run;
        let passenger = |(person, elderly): &(domain::PersonToken, bool)| wire::HoldPassenger {
            person: Bytes::copy_from_slice(&person.0),
            preference: 0,
            elderly: *elderly,
        };
        let request = wire::HoldRequest {
            run: Some(convert::run_out(run)),
            hold_id: id(wanted.hold),
            channel: i32::from(wanted.channel.code()),
            seat_class: i32::from(wanted.class.code()),
            from_stop: wanted.interval.from().into(),
            to_stop: wanted.interval.to().into(),
            passengers: wanted.passengers.iter().map(passenger).collect(),
            accept_standing: wanted.standing,
            accept_seat_change: wanted.seat_change,
        };
        let send = |mut client: shard_client::ShardClient| {
            let request = request.clone();
            async move { client.hold(request).await }
        };
        let held = self.router.call(&run, send).await?;
        let places = held.places.iter().map(convert::place_in).collect::<Option<Vec<_>>>();
        places
            .ok_or_else(|| Failure::unavailable(reason::UNAVAILABLE, "a shard answered with places of no kind", 1_000))
    }
}

fn id(hold: HoldId) -> Bytes {
    Bytes::copy_from_slice(&hold.bytes())
}
