//! What a call carries through the process: its deadline, its trace, the ring it rests on. A [`crate::Link`] sends both on by itself.
//!
//! The server stack sets the context for the whole of a handler. It does not follow `tokio::spawn`: a spawned part of a
//! call takes it along with [`CallContext::current`] and [`CallContext::scope`].

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: CallContext;
}

/// The deadline and trace of the call that is being handled, and what its caller knows of the ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallContext {
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// The newest version of the ring that the caller knows of: whoever has an older one waits for it before it sends the
    /// caller away. Not passed on to further calls by itself.
    pub ring_version: Option<u64>,
}

impl CallContext {
    /// The context of the call being handled; empty outside of one.
    pub fn current() -> Self {
        CURRENT.try_with(|context| *context).unwrap_or_default()
    }

    /// A context with a deadline so long from now, in no trace: for background work.
    pub fn within(timeout: Duration) -> Self {
        Self { deadline: Some(Instant::now() + timeout), ..Self::default() }
    }

    /// Runs a future in this context.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// How long the caller still waits; zero when the deadline has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// A W3C trace context: `00-<trace id>-<span id>-<flags>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace. Never zero.
    pub trace_id: u128,
    /// The caller's span. Never zero.
    pub span_id: u64,
    /// Bit 0: sampled.
    pub flags: u8,
}

impl TraceContext {
    /// A new trace with random ids, not sampled.
    pub fn random() -> Self {
        Self { trace_id: rand::random::<u128>() | 1, span_id: rand::random::<u64>() | 1, flags: 0 }
    }

    /// The form in the journal: 16 bytes of trace id and 8 of span id.
    pub fn bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.trace_id.to_be_bytes());
        bytes[16..].copy_from_slice(&self.span_id.to_be_bytes());
        bytes
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('-');
        let mut next = |length| {
            let hex = |part: &&str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            parts.next().filter(|part| part.len() == length).filter(hex).ok_or(())
        };
        let (version, trace_id, span_id, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let context = Self {
            trace_id: u128::from_str_radix(trace_id, 16).map_err(|_| ())?,
            span_id: u64::from_str_radix(span_id, 16).map_err(|_| ())?,
            flags: u8::from_str_radix(flags, 16).map_err(|_| ())?,
        };
        // Version ff is forbidden; later versions may have more parts, which are ignored as the standard asks.
        if version == "ff" || context.trace_id == 0 || context.span_id == 0 { Err(()) } else { Ok(context) }
    }
}

/// The header of [`CallContext::ring_version`].
pub(crate) const RING_VERSION: &str = "chunyun-ring-version";

/// Writes a duration as `grpc-timeout`: at most eight digits and a unit, rounded down.
pub(crate) fn format_timeout(timeout: Duration) -> String {
    const DIGITS_MAX: u128 = 99_999_999;
    let (micros, millis) = (timeout.as_micros(), timeout.as_millis());
    if micros <= DIGITS_MAX {
        format!("{micros}u")
    } else if millis <= DIGITS_MAX {
        format!("{millis}m")
    } else {
        format!("{}S", u128::from(timeout.as_secs()).min(DIGITS_MAX))
    }
}

/// Reads `grpc-timeout`: one to eight digits and a unit.
pub(crate) fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3_600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_example_is_read_and_written() {
        // W3C Trace Context, section 3.2.3.
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context: TraceContext = text.parse().unwrap();
        assert_eq!(context.span_id, 0x00f0_67aa_0ba9_02b7);
        assert_eq!(context.to_string(), text);
        for wrong in
            ["", "00", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", &text.replace("00-4", "ff-4")]
        {
            assert!(wrong.parse::<TraceContext>().is_err(), "{wrong}");
        }
        assert!(format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)).parse::<TraceContext>().is_err());
    }

    #[test]
    fn timeouts_have_eight_digits_and_a_unit() {
        assert_eq!(format_timeout(Duration::from_millis(5_000)), "5000000u");
        assert_eq!(format_timeout(Duration::from_secs(100)), "100000m");
        assert_eq!(parse_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse_timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "5", "S", "123456789m", "-5S", "5s", "5 S", "五S"] {
            assert_eq!(parse_timeout(wrong), None, "{wrong}");
        }
    }
}
