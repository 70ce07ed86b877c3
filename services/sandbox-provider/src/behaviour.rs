use domain::{Invalid, Time};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// How the provider treats those who pay, and the merchant. Every choice follows from the seed and the id it concerns,
/// so that a run can be repeated whatever the order of its calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Makes another run of the same choices' shares.
    pub seed: u64,
    /// How long a charge or refund takes to be decided, in ms; with 0 the answer to the call says it.
    pub decide_delay_ms: u32,
    /// At most so much longer, in ms.
    pub decide_jitter_ms: u32,
    /// How long `sandbox-slow` takes to be decided, in ms.
    pub slow_delay_ms: u32,
    /// How long `sandbox-unknown` takes to be decided, in ms.
    pub unknown_delay_ms: u32,
    /// How many of 1,000 callbacks are sent again.
    pub duplicate_callbacks_per_mille: u16,
    /// How many times a callback that is sent again is sent again.
    pub duplicates: u8,
    /// How many of 1,000 callbacks are held back, so that later ones overtake them.
    pub reordered_callbacks_per_mille: u16,
    /// How long such a callback is held back, in ms.
    pub reorder_delay_ms: u32,
    /// How many of 1,000 callbacks are never sent.
    pub dropped_callbacks_per_mille: u16,
    /// How many of 1,000 first replies to a charge, a close or a refund are lost after the work was done.
    pub lost_replies_per_mille: u16,
    /// How many of 1,000 charges succeed only after they should have been given up, and cannot be closed before.
    pub late_captures_per_mille: u16,
    /// How long after their expiry these succeed, in ms.
    pub late_by_ms: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            seed: 1,
            decide_delay_ms: 0,
            decide_jitter_ms: 0,
            slow_delay_ms: 5_000,
            unknown_delay_ms: 2_000,
            duplicate_callbacks_per_mille: 0,
            duplicates: 1,
            reordered_callbacks_per_mille: 0,
            reorder_delay_ms: 2_000,
            dropped_callbacks_per_mille: 0,
            lost_replies_per_mille: 0,
            late_captures_per_mille: 0,
            late_by_ms: 1_000,
        }
    }
}

/// What a payment token makes of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// `sandbox-ok`: succeeds.
    Ok,
    /// `sandbox-decline`: is declined.
    Decline,
    /// `sandbox-slow`: succeeds after a while.
    Slow,
    /// `sandbox-unknown`: the reply is lost and no callback comes; it has succeeded nevertheless.
    Unknown,
}

impl Token {
    const ALL: [Self; 4] = [Self::Ok, Self::Decline, Self::Slow, Self::Unknown];

    /// The token as the client writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "sandbox-ok",
            Self::Decline => "sandbox-decline",
            Self::Slow => "sandbox-slow",
            Self::Unknown => "sandbox-unknown",
        }
    }
}

impl std::str::FromStr for Token {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const ALLOWED: &str = "sandbox-ok, sandbox-decline, sandbox-slow or sandbox-unknown";
        Self::ALL
            .into_iter()
            .find(|token| token.name() == text)
            .ok_or_else(|| Invalid::new("payment token", ALLOWED, text))
    }
}

/// What will become of a charge unless it is closed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargePlan {
    /// Whether it will succeed.
    pub succeeds: bool,
    /// When it is decided.
    pub decide_at: Time,
    /// Whether it can be closed, by the merchant or by time, before it is decided.
    pub closable: bool,
}

/// The calls whose replies can be lost.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// A charge.
    Charge,
    /// The closing of a charge.
    Close,
    /// A refund.
    Refund,
}

impl Behaviour {
    /// Refuses shares above the whole.
    ///
    /// # Errors
    /// The first share above 1,000.
    pub fn validate(&self) -> Result<(), Invalid> {
        let shares = [
            ("duplicate_callbacks_per_mille", self.duplicate_callbacks_per_mille),
            ("reordered_callbacks_per_mille", self.reordered_callbacks_per_mille),
            ("dropped_callbacks_per_mille", self.dropped_callbacks_per_mille),
            ("lost_replies_per_mille", self.lost_replies_per_mille),
            ("late_captures_per_mille", self.late_captures_per_mille),
        ];
        match shares.into_iter().find(|(_, share)| *share > 1_000) {
            Some((field, share)) => Err(Invalid::new(field, "0 to 1000", &share.to_string())),
            None => Ok(()),
        }
    }

    /// Plans a charge that is made now.
    pub fn plan_charge(&self, token: Token, merchant_trade_id: &str, now: Time, expires_at: Time) -> ChargePlan {
        let late = self.happens("late", merchant_trade_id, self.late_captures_per_mille);
        let succeeds = token != Token::Decline;
        if late && succeeds {
            let decide_at = expires_at.plus_millis(i64::from(self.late_by_ms));
            return ChargePlan { succeeds, decide_at, closable: false };
        }
        let delay_ms = match token {
            Token::Ok | Token::Decline => self.decide_delay_ms,
            Token::Slow => self.slow_delay_ms,
            Token::Unknown => self.unknown_delay_ms,
        };
        ChargePlan { succeeds, decide_at: self.after(delay_ms, merchant_trade_id, now), closable: true }
    }

    /// When a refund that is asked for now has gone back.
    pub fn plan_refund(&self, merchant_refund_id: &str, now: Time) -> Time {
        self.after(self.decide_delay_ms, merchant_refund_id, now)
    }

    /// When to call back about something decided now; empty for never.
    pub fn plan_callbacks(&self, token: Token, id: &str, now: Time) -> Vec<Time> {
        if token == Token::Unknown || self.happens("drop", id, self.dropped_callbacks_per_mille) {
            return Vec::new();
        }
        let held_back = self.happens("reorder", id, self.reordered_callbacks_per_mille);
        let first = now.plus_millis(if held_back { i64::from(self.reorder_delay_ms) } else { 0 });
        let again = self.happens("duplicate", id, self.duplicate_callbacks_per_mille);
        let copies = if again { usize::from(self.duplicates) + 1 } else { 1 };
        vec![first; copies]
    }

    /// Whether the first reply to a call is lost. Later ones are not: a merchant that repeats itself gets through.
    pub fn loses_reply(&self, call: Call, token: Token, id: &str) -> bool {
        let label = match call {
            Call::Charge => "lost charge",
            Call::Close => "lost close",
            Call::Refund => "lost refund",
        };
        (matches!(call, Call::Charge) && token == Token::Unknown)
            || self.happens(label, id, self.lost_replies_per_mille)
    }

    fn after(&self, delay_ms: u32, id: &str, now: Time) -> Time {
        let jitter_ms = match self.decide_jitter_ms {
            0 => 0,
            most => self.dice("jitter", id) % (u64::from(most) + 1),
        };
        now.plus_millis(i64::from(delay_ms)).plus_millis(jitter_ms.cast_signed())
    }

    fn happens(&self, label: &str, id: &str, per_mille: u16) -> bool {
        per_mille > 0 && self.dice(label, id) % 1_000 < u64::from(per_mille)
    }

    /// A number that follows from the seed, the question and the id alone.
    fn dice(&self, label: &str, id: &str) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(label.as_bytes());
        hash.update([0]);
        hash.update(id.as_bytes());
        let digest = hash.finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_000_000);
    const EXPIRY: Time = Time::from_millis(1_900_000);

    #[test]
    fn tokens_decide_what_becomes_of_a_charge() {
        let behaviour = Behaviour::default();
        let plan = |token| behaviour.plan_charge(token, "t", NOW, EXPIRY);
        assert_eq!(plan(Token::Ok), ChargePlan { succeeds: true, decide_at: NOW, closable: true });
        assert_eq!(plan(Token::Decline), ChargePlan { succeeds: false, decide_at: NOW, closable: true });
        assert_eq!(plan(Token::Slow).decide_at, NOW.plus_millis(5_000));
        assert!(behaviour.loses_reply(Call::Charge, Token::Unknown, "t"));
        assert!(behaviour.plan_callbacks(Token::Unknown, "t", NOW).is_empty());
    }

    #[test]
    fn shares_are_met_and_repeat_with_their_seed() {
        let behaviour = Behaviour { dropped_callbacks_per_mille: 250, ..Behaviour::default() };
        let other = Behaviour { seed: 2, ..behaviour.clone() };
        let dropped = |behaviour: &Behaviour| -> Vec<bool> {
            (0..4_000).map(|n| behaviour.plan_callbacks(Token::Ok, &format!("t{n}"), NOW).is_empty()).collect()
        };
        let (first, again, differs) = (dropped(&behaviour), dropped(&behaviour), dropped(&other));
        assert_eq!(first, again);
        assert_ne!(first, differs);
        // A quarter of 4,000; the deviation is 27, six of them either side.
        let count = first.iter().filter(|dropped| **dropped).count();
        assert!((836..=1_164).contains(&count), "{count}");
    }

    #[test]
    fn a_late_capture_comes_after_its_expiry_and_cannot_be_closed() {
        let behaviour = Behaviour { late_captures_per_mille: 1_000, late_by_ms: 7, ..Behaviour::default() };
        let plan = behaviour.plan_charge(Token::Ok, "t", NOW, EXPIRY);
        assert_eq!(plan, ChargePlan { succeeds: true, decide_at: EXPIRY.plus_millis(7), closable: false });
    }
}
