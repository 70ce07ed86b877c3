//! The policy of the demo: the published rules but for what would make a demo wait.

use std::time::Duration;

use ::policy::Policy;

/// How long an unpaid order of the demo holds its seats. The published rule is 15 minutes.
const PAYMENT_SECONDS: u32 = 15;
const HARD_LIMIT_SECONDS: u32 = 60;

/// The published rules, sold around the clock, with short holds so that lapses can be watched.
pub fn demo_policy() -> Policy {
    let mut policy = Policy::default();
    policy.sale.open_minute = 0;
    policy.sale.close_minute = 24 * 60;
    policy.sale.close_minute_tuesday = 24 * 60;
    policy.hold.payment_seconds = PAYMENT_SECONDS;
    policy.hold.hard_limit_seconds = HARD_LIMIT_SECONDS;
    policy
}

/// After so long, every order that was forgotten has lapsed and the line has been served from it.
pub fn longest_hold() -> Duration {
    Duration::from_secs(u64::from(PAYMENT_SECONDS) + 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_plays_by_valid_rules() {
        assert_eq!(demo_policy().validate(), Ok(()));
    }
}
