use ownership::Uptime;
use rustix::time::{ClockId, clock_gettime};

/// The present moment on the clock that counts suspension: a machine that slept has no proof of ownership left.
pub(crate) fn now() -> Uptime {
    let time = clock_gettime(ClockId::Boottime);
    let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
    Uptime(micros.unsigned_abs())
}
