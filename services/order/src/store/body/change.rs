use domain::{Money, Time};
use serde::{Deserialize, Serialize};

use super::super::StoreError;
use super::{ChangedRecord, is_false, parse};
use crate::order::{ChangeStage, EndReason, Swap, SwapPrice, TicketChange};

/// One exchange of tickets.
#[derive(Serialize, Deserialize)]
pub(super) struct ChangeRecord {
    id: String,
    number: u8,
    /// In hexadecimal digits.
    request: String,
    leg: u8,
    swaps: Vec<SwapRecord>,
    #[serde(default, skip_serializing_if = "is_false")]
    standing: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    seat_change: bool,
    at_ms: i64,
    stage: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pay_by_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    refusal: String,
}

#[derive(Serialize, Deserialize)]
struct SwapRecord {
    old: u8,
    new: u8,
    fare_fen: i64,
    fee_fen: i64,
    pay_fen: i64,
    refund_fen: i64,
    changed: ChangedRecord,
}

impl ChangeRecord {
    pub(super) fn write(change: &TicketChange) -> Self {
        let swap = |swap: &Swap| SwapRecord {
            old: swap.old,
            new: swap.new,
            fare_fen: swap.price.fare.as_fen(),
            fee_fen: swap.price.fee.as_fen(),
            pay_fen: swap.price.pay.as_fen(),
            refund_fen: swap.price.refund.as_fen(),
            changed: ChangedRecord::write(usize::from(swap.new), swap.changed),
        };
        Self {
            id: change.id.to_string(),
            number: change.number,
            request: hex::encode(change.request),
            leg: change.leg,
            swaps: change.swaps.iter().map(swap).collect(),
            standing: change.standing,
            seat_change: change.seat_change,
            at_ms: change.at.millis(),
            stage: change.stage.name().to_owned(),
            reason: change.stage.reason().map(|reason| reason.name().to_owned()),
            pay_by_ms: change.pay_by.map(Time::millis),
            refusal: change.refusal.clone(),
        }
    }

    pub(super) fn read(self) -> Result<TicketChange, StoreError> {
        let swap = |swap: &SwapRecord| Swap {
            old: swap.old,
            new: swap.new,
            price: SwapPrice {
                fare: Money::fen(swap.fare_fen),
                fee: Money::fen(swap.fee_fen),
                pay: Money::fen(swap.pay_fen),
                refund: Money::fen(swap.refund_fen),
            },
            changed: swap.changed.read(),
        };
        let mut request = [0; 32];
        hex::decode_to_slice(&self.request, &mut request)
            .map_err(|_| StoreError::Unreadable("the hash of a change".to_owned()))?;
        Ok(TicketChange {
            id: parse(&self.id)?,
            number: self.number,
            request,
            leg: self.leg,
            swaps: self.swaps.iter().map(swap).collect(),
            standing: self.standing,
            seat_change: self.seat_change,
            at: Time::from_millis(self.at_ms),
            stage: stage(&self.stage, self.reason.as_deref())?,
            pay_by: self.pay_by_ms.map(Time::from_millis),
            refusal: self.refusal,
        })
    }
}

fn stage(word: &str, reason: Option<&str>) -> Result<ChangeStage, StoreError> {
    let reason = reason.and_then(|reason| EndReason::ALL.into_iter().find(|known| known.name() == reason));
    let stage = match (word, reason) {
        ("holding", _) => Some(ChangeStage::Holding),
        ("unpaid", _) => Some(ChangeStage::Unpaid),
        ("confirming", _) => Some(ChangeStage::Confirming),
        ("done", _) => Some(ChangeStage::Done),
        ("giving_up", Some(reason)) => Some(ChangeStage::GivingUp(reason)),
        ("failed", Some(reason)) => Some(ChangeStage::Failed(reason)),
        _ => None,
    };
    stage.ok_or_else(|| StoreError::Unreadable(format!("unknown stage of a change {word:?}")))
}
