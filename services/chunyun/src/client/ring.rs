use domain::{Run, SlotId};
use indicatif::{ProgressBar, ProgressStyle};
use proto::gateway::v1 as gateway;
use proto::gateway::v1::ring_change::Change;
use ring::ShardId;
use serde_json::{Value, json};

use super::connect::within_deadline;
use super::{ClientError, Target, render};

/// Shows and changes which shard owns what
///
/// A change is shown before it is made: what would move, and the pause to expect. It is made with --yes.
#[derive(Debug, clap::Subcommand)]
#[command(
    after_help = "Examples:\n  chunyun ring show\n  chunyun ring plan --add 4\n  chunyun ring plan --remove inventory-shard-7 --yes\n  \
                  chunyun ring pin G71@2026-12-01 inventory-shard-3 --yes\n  chunyun ring drain inventory-shard-2 --yes"
)]
pub enum RingCommand {
    /// The shards and their shares of the slots
    Show,
    /// What adding, removing or weighing shards would move; with --yes it is done
    Plan(Plan),
    /// Gives the slot of a train-date to a shard by hand
    Pin(Pin),
    /// Gives the slot of a train-date back to the shard that hashing says
    Unpin(Unpin),
    /// Moves everything away from a shard, so that it can be stopped
    Drain(Drain),
}

/// What adding, removing or weighing shards would move; with --yes it is done
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(false))]
pub struct Plan {
    /// So many shards join: those that stand ready, then the next numbers
    #[arg(long, group = "change", value_name = "N")]
    add: Option<u32>,
    /// This shard leaves; may be given several times
    #[arg(long, group = "change", value_name = "SHARD")]
    remove: Vec<ShardId>,
    /// A shard's share relative to the others', where 100 is ordinary: SHARD=WEIGHT
    #[arg(long, group = "change", value_name = "SHARD=WEIGHT", value_parser = parse_weight)]
    weight: Option<(ShardId, u32)>,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Gives the slot of a train-date to a shard by hand
#[derive(Debug, clap::Args)]
pub struct Pin {
    /// The train-date, such as G71@2026-12-01, or the number of a slot
    #[arg(value_parser = parse_slot)]
    slot: SlotId,
    /// The shard
    shard: ShardId,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Gives the slot of a train-date back to the shard that hashing says
#[derive(Debug, clap::Args)]
pub struct Unpin {
    /// The train-date, such as G71@2026-12-01, or the number of a slot
    #[arg(value_parser = parse_slot)]
    slot: SlotId,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Moves everything away from a shard, so that it can be stopped
#[derive(Debug, clap::Args)]
pub struct Drain {
    /// The shard
    shard: ShardId,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Debug, clap::Args)]
struct Confirmation {
    /// Make the change instead of only showing what it would do
    #[arg(long)]
    yes: bool,
}

fn parse_slot(text: &str) -> Result<SlotId, String> {
    if let Ok(run) = text.parse::<Run>() {
        return Ok(run.slot());
    }
    let number: u16 = text.parse().map_err(|_| "expected a train-date such as G71@2026-12-01, or a slot's number")?;
    SlotId::new(number).map_err(|error| error.to_string())
}

fn parse_weight(text: &str) -> Result<(ShardId, u32), String> {
    let (shard, weight) = text.split_once('=').ok_or("expected SHARD=WEIGHT")?;
    let shard = shard.parse().map_err(|error: domain::Invalid| error.to_string())?;
    Ok((shard, weight.parse().map_err(|_| "expected a weight from 1 to 1000")?))
}

/// `chunyun ring`.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn ring(target: &Target, command: &RingCommand) -> Result<(), ClientError> {
    let removed = |shards: &[ShardId]| {
        Change::Remove(gateway::RemovedShards { shards: shards.iter().map(ShardId::to_string).collect() })
    };
    let (change, confirmation) = match command {
        RingCommand::Show => return show(target).await,
        RingCommand::Plan(plan) => {
            let change = match (plan.add, &plan.weight) {
                (Some(count), _) => Change::Add(count),
                (None, Some((shard, weight))) => {
                    Change::Weight(gateway::ShardWeight { shard: shard.to_string(), weight: *weight })
                }
                (None, None) => removed(&plan.remove),
            };
            (change, &plan.confirmation)
        }
        RingCommand::Pin(pin) => {
            let slot = u32::from(pin.slot.number());
            (Change::Pin(gateway::PinnedSlot { slot, shard: pin.shard.to_string() }), &pin.confirmation)
        }
        RingCommand::Unpin(unpin) => (Change::Unpin(unpin.slot.number().into()), &unpin.confirmation),
        RingCommand::Drain(drain) => (removed(std::slice::from_ref(&drain.shard)), &drain.confirmation),
    };
    change_ring(target, gateway::RingChange { change: Some(change) }, confirmation.yes).await
}

async fn show(target: &Target) -> Result<(), ClientError> {
    let request = within_deadline(gateway::GetRingRequest {});
    let ring = target.connect().await?.operator().get_ring(request).await?.into_inner();
    if target.json {
        let shards: Vec<_> = ring
            .shards
            .iter()
            .map(|shard| json!({ "shard": shard.shard, "address": shard.address, "slots": shard.slots }))
            .collect();
        crate::output::document(&json!({ "version": ring.version, "shards": shards }));
        return Ok(());
    }
    let mut table = render::table(["shard", "address", "slots", "share"]);
    for shard in ring.shards {
        table.add_row([shard.shard, shard.address, shard.slots.to_string(), share(shard.slots)]);
    }
    render::numbers(&mut table, [2, 3]);
    crate::output::line(&format!("ring version {}\n{table}", ring.version));
    Ok(())
}

/// Shows what a change would do, and makes it where that was confirmed.
async fn change_ring(target: &Target, change: gateway::RingChange, confirmed: bool) -> Result<(), ClientError> {
    let mut client = target.connect().await?.operator();
    let request = within_deadline(gateway::PlanRingRequest { change: Some(change.clone()) });
    let plan = client.plan_ring(request).await?.into_inner();
    if !confirmed {
        if target.json {
            crate::output::document(&plan_json(&plan));
        } else {
            crate::output::line(&format!("{}\nnothing is changed yet: add --yes", plan_text(&plan)));
        }
        return Ok(());
    }
    crate::output::note(&plan_text(&plan));
    let request = gateway::ChangeRingRequest { change: Some(change), settings_version: plan.settings_version };
    let mut steps = client.change_ring(request).await?.into_inner();
    let style = ProgressStyle::with_template("moving {bar:40} {pos}/{len} slots {elapsed} {msg}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut pauses = gateway::MovePauses::default();
    while let Some(step) = steps.message().await? {
        bar.set_length(u64::from(step.slots_total));
        bar.set_position(u64::from(step.slots_moved));
        let waiting = step.waiting_for.join(", ");
        bar.set_message(if waiting.is_empty() { waiting } else { format!("waiting for {waiting} to serve") });
        pauses = step.pauses.unwrap_or(pauses);
    }
    bar.finish_and_clear();
    if target.json {
        crate::output::document(&json!({ "plan": plan_json(&plan), "moved": pauses_json(&pauses) }));
    } else {
        crate::output::line(&format!("done: {}", pauses_text(&pauses)));
    }
    Ok(())
}

fn plan_text(plan: &gateway::PlanRingResponse) -> String {
    let mut table = render::table(["shard", "state", "slots before", "slots after", "share before", "share after"]);
    for it in &plan.shares {
        let state = if it.state.is_empty() { "not registered".to_owned() } else { it.state.clone() };
        table.add_row([
            it.shard.clone(),
            state,
            it.slots_before.to_string(),
            it.slots_after.to_string(),
            share(it.slots_before),
            share(it.slots_after),
        ]);
    }
    render::numbers(&mut table, [2, 3, 4, 5]);
    let measured = plan.measured.unwrap_or_default();
    let expected = match measured.train_dates {
        0 => "no move was measured in the last hour, so the pause to expect is not known".to_owned(),
        _ => format!("pause to expect, as measured in the last hour: {}", pauses_text(&measured)),
    };
    format!(
        "{table}\n{} slots would move, with {} train-dates on sale, {} of them with places sold or held\n{expected}",
        plan.slots_moved, plan.train_dates_moved, plan.train_dates_sold_moved
    )
}

/// What moves took, in one line.
fn pauses_text(pauses: &gateway::MovePauses) -> String {
    format!(
        "{} train-dates of {} slots moved; pause p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms; {} under 100 ms",
        pauses.train_dates, pauses.slots, pauses.p50_ms, pauses.p99_ms, pauses.longest_ms, pauses.under_100_ms
    )
}

fn plan_json(plan: &gateway::PlanRingResponse) -> Value {
    let share = |it: &gateway::PlannedShare| json!({ "shard": it.shard, "state": it.state, "slots_before": it.slots_before, "slots_after": it.slots_after });
    json!({
        "settings_version": plan.settings_version,
        "shares": plan.shares.iter().map(share).collect::<Vec<_>>(),
        "slots_moved": plan.slots_moved,
        "train_dates_moved": plan.train_dates_moved,
        "train_dates_sold_moved": plan.train_dates_sold_moved,
        "measured": pauses_json(&plan.measured.unwrap_or_default()),
    })
}

/// What moves took, for machines.
pub fn pauses_json(pauses: &gateway::MovePauses) -> Value {
    json!({
        "slots": pauses.slots,
        "train_dates": pauses.train_dates,
        "p50_ms": pauses.p50_ms,
        "p99_ms": pauses.p99_ms,
        "longest_ms": pauses.longest_ms,
        "under_100_ms": pauses.under_100_ms,
    })
}

fn share(slots: u32) -> String {
    format!("{:.1} %", f64::from(slots) * 100.0 / f64::from(domain::SLOTS))
}
