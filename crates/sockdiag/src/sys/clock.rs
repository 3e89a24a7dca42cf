//! The monotonic clock, and the wall clock.
//!
//! Source: clock_gettime(2), `CLOCK_MONOTONIC`, `CLOCK_REALTIME`.

use rustix::time::{ClockId, clock_gettime};

use crate::model::Window;

/// Nanoseconds since boot, without suspended time.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// CPU time of this thread so far, in nanoseconds, including kernel time.
pub(crate) fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Converts a time of this clock to nanoseconds since 1970, by the wall clock.
pub(crate) fn unix_ns_of(moment_ns: u64) -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let wall = seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0));
    wall.saturating_sub(now_ns().saturating_sub(moment_ns))
}

/// The window from a point in time until now.
pub(crate) fn since(begin_ns: u64) -> Window {
    Window::new(begin_ns, now_ns())
}
