//! The clocks of processes, which jump forward and backward while the storm lasts.

use std::rc::Rc;

use super::World;
use super::executor::Role;
use super::faults::STORM_MS;

/// Between two moments at which a clock may jump, in ms.
const EVERY_MS: (u64, u64) = (4_000, 20_000);
/// How wrong a clock may be, in ms: most of the time that an order has for its payment.
const OFF_MS: i64 = 30_000;
/// The clocks are right again so long before the storm ends: what a process has put off by a wrong clock is put off by as
/// much as that was wrong, and no longer.
const RIGHT_BEFORE_CALM_MS: i64 = OFF_MS;

/// Lets the clocks jump.
pub(super) fn begin(world: &Rc<World>) {
    let inner = Rc::clone(world);
    world.spawn(None, async move {
        loop {
            let wait_ms = inner.chance(|chance| chance.between(EVERY_MS.0, EVERY_MS.1));
            inner.sleep(wait_ms.cast_signed()).await;
            if inner.now_ms() >= STORM_MS - RIGHT_BEFORE_CALM_MS {
                break;
            }
            let jumps = inner.weather.clock_jumps;
            if inner.chance(|chance| chance.per_mille(jumps)) {
                let role = inner.chance(|chance| chance.one_of(&Role::ALL));
                let off_ms = inner.chance(|chance| chance.below(2 * OFF_MS.cast_unsigned())).cast_signed() - OFF_MS;
                inner.set_clock(role, off_ms);
                inner.counts.borrow_mut().clock_jumps += 1;
            }
        }
        for role in Role::ALL {
            inner.set_clock(role, 0);
        }
    });
}
