//! The kernel's ticks (jiffies), and the units in which it reports times.
//!
//! Invariant: the conversions round as the kernel's do, for every tick rate that a kernel
//! can be built with.
//!
//! Source: Documentation/timers/; `CLOCK_MONOTONIC_COARSE` in clock_getres(2),
//! whose resolution is one tick.

#![allow(
    clippy::cast_possible_truncation,
    reason = "the kernel's results are 32 bits wide; each cast is meant"
)]

use rustix::time::{ClockId, clock_getres};

/// The number of ticks per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hz {
    rate: u32,
    /// Milliseconds and microseconds per tick; 0 if that is not a whole number.
    ms: u32,
    us: u32,
}

impl Hz {
    /// The rate of the running kernel; `None` if its clock does not show it.
    pub(super) fn of_kernel() -> Option<Self> {
        let tick = clock_getres(ClockId::MonotonicCoarse);
        let ns = u64::try_from(tick.tv_nsec).ok().filter(|ns| tick.tv_sec == 0 && *ns > 0)?;
        Self::of_tick(ns)
    }

    fn new(rate: u32) -> Self {
        let whole = |unit: u32| if unit.is_multiple_of(rate) { unit / rate } else { 0 };
        Self { rate, ms: whole(1_000), us: whole(1_000_000) }
    }

    /// The rate for ticks of this many nanoseconds, which the kernel rounds.
    fn of_tick(ns: u64) -> Option<Self> {
        let hz = (1_000_000_000 + ns / 2) / ns;
        u32::try_from(hz).ok().filter(|hz| (1..=100_000).contains(hz)).map(Self::new)
    }

    /// Ticks in milliseconds: `jiffies_to_msecs`, which rounds up.
    pub(super) fn ms(self, ticks: u32) -> u32 {
        match self.ms {
            0 => (u64::from(ticks) * 1_000).div_ceil(self.rate.into()) as u32,
            ms => ticks.wrapping_mul(ms),
        }
    }

    /// Ticks in microseconds: `jiffies_to_usecs`, which rounds down.
    pub(super) fn us(self, ticks: u32) -> u32 {
        match self.us {
            0 => (u64::from(ticks) * 1_000_000 / u64::from(self.rate)) as u32,
            us => ticks.wrapping_mul(us),
        }
    }

    /// Microseconds in a tick, as a whole number.
    pub(super) fn us_of_tick(self) -> u64 {
        if self.us == 0 { 1_000_000 / u64::from(self.rate) } else { self.us.into() }
    }

    /// Milliseconds in ticks: `msecs_to_jiffies`, which rounds up.
    pub(super) fn of_ms(self, ms: u32) -> u32 {
        (u64::from(ms) * u64::from(self.rate)).div_ceil(1_000) as u32
    }

    /// The age of a point in time, in ticks.
    ///
    /// A tick may pass between reading the socket and reading the clock, in either order,
    /// so a time less than a second in the future counts as now.  A time further in the
    /// future was never set.
    pub(super) fn since(self, then: u32, now: u32) -> u32 {
        let ticks = now.wrapping_sub(then);
        if ticks > u32::MAX - self.rate { 0 } else { ticks }
    }

    /// The time until a point in the future, in milliseconds: `jiffies_delta_to_msecs`.
    pub(super) fn ms_until(self, then: u64, now: u32) -> u32 {
        let ticks = (then as u32).wrapping_sub(now);
        if ticks > i32::MAX as u32 { 0 } else { self.ms(ticks) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_told_as_the_kernel_tells_them() {
        // 300 is the only rate that divides neither a million nor a thousand.
        for (hz, ticks, ms, us) in [
            (100, 7, 70, 70_000),
            (250, 7, 28, 28_000),
            (300, 7, 24, 23_333),
            (1000, 7, 7, 7_000),
            (1024, 7, 7, 6_835),
            (1200, 7, 6, 5_833),
            (250, u32::MAX, 4_294_967_292, 4_294_963_296),
        ] {
            let rate = Hz::new(hz);
            assert_eq!((rate.ms(ticks), rate.us(ticks)), (ms, us), "{hz} {ticks}");
        }
        assert_eq!([100, 250, 300, 1000].map(|hz| Hz::new(hz).of_ms(41)), [5, 11, 13, 41]);
        assert_eq!([100, 250, 300, 1000].map(|hz| Hz::new(hz).us_of_tick()), [10_000, 4_000, 3_333, 1_000]);
    }

    #[test]
    fn the_rate_follows_from_the_tick() {
        for (ns, hz) in
            [(10_000_000, 100), (4_000_000, 250), (3_333_333, 300), (1_000_000, 1000), (976_563, 1024)]
        {
            assert_eq!(Hz::of_tick(ns), Some(Hz::new(hz)));
        }
        assert_eq!(Hz::of_tick(1), None, "a clock without ticks");
        let hz = Hz::of_kernel().expect("a kernel with ticks");
        assert!([100, 250, 300, 1000].contains(&hz.rate), "{hz:?}");
    }

    #[test]
    fn what_lies_ahead_by_a_little_is_now_and_what_is_unset_stays_so() {
        let hz = Hz::new(250);
        assert_eq!((hz.since(100, 105), hz.since(105, 105), hz.since(106, 105)), (5, 0, 0));
        assert_eq!(hz.since(u32::MAX, 4), 5);
        assert_eq!(hz.since(0, 0xfffe_0000), 0xfffe_0000);
        assert_eq!((hz.ms_until(110, 100), hz.ms_until(100, 100), hz.ms_until(99, 100)), (40, 0, 0));
        assert_eq!(hz.ms_until(0x1_0000_0002, u32::MAX), 12, "the clock wraps");
    }
}
