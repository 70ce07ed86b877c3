//! The database's time, kept from going back.

use std::time::{Duration, Instant};

use domain::Time;
use parking_lot::Mutex;

/// How much earlier than an answer before it an answer's time may be, in ms, beyond what their having overtaken each other
/// explains: servers' clocks are adjusted in small steps.
const ADJUSTED_MS_MAX: i64 = 100;

/// How far a wall clock may drift from the machine's steady clock between two readings, in ms, before it counts as a step.
const DRIFT_MS_MAX: i64 = 1_000;

/// A server's clock as one process sees it: never goes back.
///
/// Answers may overtake each other: a slow one tells an earlier time than the one that was heard before it. That is no
/// step back of the server's clock unless it is earlier by more than the two can have overlapped.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    last: Mutex<LastSeen>,
}

#[derive(Debug, Default)]
struct LastSeen {
    time_ms: i64,
    /// When the latest time was heard; none before the first.
    heard_at: Option<Instant>,
    behind: bool,
}

impl ServerClock {
    /// The time to use for what the server said now, in answer to what it was asked at `asked_at`.
    pub(crate) fn observe(&self, said_ms: i64, asked_at: Instant) -> Time {
        let mut last = self.last.lock();
        let back_ms = last.take(said_ms, asked_at, Instant::now());
        if let Some(back_ms) = back_ms.filter(|_| !last.behind) {
            tracing::error!(back_ms, "the database's clock stepped back: holding the last time");
        }
        last.behind = back_ms.is_some();
        Time::from_millis(last.time_ms)
    }

    /// The time to use for what several servers said, of which only the earliest counts. Which servers are asked differs
    /// from time to time, so that an earlier time than before tells nothing of the clock of any.
    pub(crate) fn hold(&self, earliest_ms: i64) -> Time {
        let mut last = self.last.lock();
        last.time_ms = last.time_ms.max(earliest_ms);
        Time::from_millis(last.time_ms)
    }
}

impl LastSeen {
    /// Takes a time in; how far the server's clock stepped back, if it did.
    fn take(&mut self, said_ms: i64, asked_at: Instant, now: Instant) -> Option<i64> {
        if said_ms >= self.time_ms {
            (self.time_ms, self.heard_at) = (said_ms, Some(now));
            return None;
        }
        // The latest time was read before it was heard, this one after it was asked for.
        let overlap = self.heard_at.map_or(Duration::ZERO, |heard_at| heard_at.saturating_duration_since(asked_at));
        let overlap_ms = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
        let back_ms = self.time_ms - said_ms;
        (back_ms > overlap_ms.saturating_add(ADJUSTED_MS_MAX)).then_some(back_ms)
    }
}

/// The wall clock of the machine whose disk holds the journal. Small drift is followed; a step, in either direction, is
/// refused for the life of the process: a step ahead would free seats early, a step back would hold them too long. A
/// machine that was suspended counts as stepped. The process follows the wall clock again after a restart.
#[derive(Debug)]
pub(crate) struct WallClock {
    state: Mutex<Anchor>,
}

#[derive(Debug)]
struct Anchor {
    wall_ms: i64,
    at: Instant,
    last_ms: i64,
    stepped: bool,
}

impl WallClock {
    /// A clock that starts from a reading of the wall clock taken at `now`.
    pub(crate) fn start(wall_ms: i64, now: Instant) -> Self {
        Self { state: Mutex::new(Anchor { wall_ms, at: now, last_ms: wall_ms, stepped: false }) }
    }

    /// The time at `now`, going on by the steady clock from the last reading.
    pub(crate) fn at(&self, now: Instant) -> Time {
        let mut state = self.state.lock();
        state.last_ms = state.last_ms.max(state.steady_ms(now));
        Time::from_millis(state.last_ms)
    }

    /// The time to use for a reading of the wall clock taken at `now`.
    pub(crate) fn observe(&self, wall_ms: i64, now: Instant) -> Time {
        let mut state = self.state.lock();
        let steady_ms = state.steady_ms(now);
        let stepped = (wall_ms - steady_ms).abs() > DRIFT_MS_MAX;
        if stepped {
            if !state.stepped {
                tracing::error!(
                    step_ms = wall_ms - steady_ms,
                    "the machine's clock stepped: going on by the steady clock until a restart"
                );
            }
            state.last_ms = state.last_ms.max(steady_ms);
        } else {
            // Following small drift keeps the anchor young, so that drift never adds up to a step.
            state.wall_ms = wall_ms;
            state.at = now;
            state.last_ms = state.last_ms.max(wall_ms);
        }
        state.stepped = stepped;
        Time::from_millis(state.last_ms)
    }
}

impl Anchor {
    fn steady_ms(&self, now: Instant) -> i64 {
        let passed_ms = i64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(i64::MAX);
        self.wall_ms.saturating_add(passed_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_steps_back_is_held_until_it_catches_up() {
        let clock = ServerClock::default();
        let seen = [10_000, 6_000, 9_999, 10_001].map(|said| clock.observe(said, Instant::now()).millis());
        assert_eq!(seen, [10_000, 10_000, 10_000, 10_001]);
    }

    #[test]
    fn a_slow_answer_that_was_overtaken_is_no_step_back() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut seen = LastSeen::default();
        assert_eq!(seen.take(10_000, at(0), at(5)), None);
        // Asked at 100 and heard at 8,000; meanwhile another one was asked and heard.
        assert_eq!(seen.take(17_990, at(7_990), at(7_995)), None);
        assert_eq!(seen.take(10_100, at(100), at(8_000)), None, "it was read before the other one was asked for");
        assert_eq!(seen.time_ms, 17_990, "and does not turn time back");
        // Asked for after the last one was heard: nothing was overtaken.
        assert_eq!(seen.take(17_950, at(8_010), at(8_020)), None, "a clock is adjusted by a little");
        assert_eq!(seen.take(16_990, at(8_030), at(8_040)), Some(1_000), "a second back is a step");
        // Overtaken by 500 ms at most, and 3,000 ms earlier.
        assert_eq!(seen.take(20_000, at(10_000), at(10_500)), None);
        assert_eq!(seen.take(17_000, at(10_000), at(10_600)), Some(3_000));
        assert_eq!(seen.take(19_500, at(10_000), at(10_700)), None);
    }

    #[test]
    fn several_servers_are_held_to_the_latest_of_their_earliest_times() {
        let clock = ServerClock::default();
        assert_eq!([10_000, 2_000, 10_001].map(|earliest| clock.hold(earliest).millis()), [10_000, 10_000, 10_001]);
    }

    #[test]
    fn a_wall_clock_that_steps_is_not_followed() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let hour = 3_600_000;
        let clock = WallClock::start(1_000_000, start);
        assert_eq!(clock.observe(1_010_040, at(10)).millis(), 1_010_040, "40 ms of drift are followed");
        assert_eq!(clock.observe(1_020_000 + hour, at(20)).millis(), 1_020_040, "an hour ahead is not");
        assert_eq!(clock.observe(1_030_000 - hour, at(30)).millis(), 1_030_040, "nor an hour back");
        assert_eq!(clock.at(at(35)).millis(), 1_035_040, "nor between readings");
        assert_eq!(clock.observe(1_040_000, at(40)).millis(), 1_040_000, "a clock set right again is");
        assert_eq!(clock.observe(1_040_990, at(41)).millis(), 1_040_990);
        assert_eq!(clock.observe(1_040_980, at(41)).millis(), 1_040_990, "drift does not turn time back");
    }

    #[test]
    fn drift_never_adds_up_to_a_step() {
        let start = Instant::now();
        let clock = WallClock::start(0, start);
        for second in 1..=10_000 {
            // 100 ppm fast: 1 s of drift after 10,000 s.
            let wall_ms = i64::try_from(second).unwrap() * 1_000 + i64::try_from(second / 10).unwrap();
            assert_eq!(clock.observe(wall_ms, start + Duration::from_secs(second)).millis(), wall_ms);
        }
    }
}
