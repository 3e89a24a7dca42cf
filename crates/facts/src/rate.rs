//! Arithmetic on two observations: the gain of a counter, its rate, and their errors.
//!
//! A kernel counter has a fixed width and wraps to zero.  It also restarts at zero when the
//! socket is reused (`connect` with `AF_UNSPEC`, then `connect` again: same socket, same
//! cookie).  The two are distinguished by the gain that is possible in the time between the
//! observations: see [`gain`].
//!
//! An observation is not an instant: each number was read at some moment of a [`Window`].  So
//! the time between two numbers is only known to lie in a [`Span`], and a rate over it is an
//! [`Estimate`].
//!
//! Invariant: no result is negative, infinite or NaN.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an amount of 53 bits is exact as a double, and a larger one is off by less than 1e-15 of it; tests \
              take positive doubles for amounts"
)]

use crate::model::Window;

/// The gain of a counter of `bits` bits between two readings, given that at most `most` is
/// possible; `None` if the counter restarted in between.
///
/// This is `(now - before) mod 2^bits`, unless that exceeds `most`.  A counter decreases both
/// when it restarts and when it wraps; after a restart, the gain modulo the width exceeds
/// `most` unless the counter was about to wrap.
///
/// Source: RFC 1982, section 3.2 (serial number arithmetic).
pub fn gain(bits: u32, before: u64, now: u64, most: u64) -> Option<u64> {
    let mask = if bits >= u64::BITS { u64::MAX } else { (1 << bits) - 1 };
    let gained = (now & mask).wrapping_sub(before & mask) & mask;
    (gained <= most).then_some(gained)
}

/// The time between two readings, each made in a window: its minimum and maximum, in
/// nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    least_ns: u64,
    most_ns: u64,
}

impl Span {
    /// The time from a reading in one window to a later reading in another; `None` if the
    /// windows do not prove that any time passed.
    pub fn between(then: Window, now: Window) -> Option<Self> {
        let least_ns = now.begin_ns().checked_sub(then.end_ns()).filter(|least| *least > 0)?;
        Some(Self { least_ns, most_ns: now.end_ns().saturating_sub(then.begin_ns()).max(least_ns) })
    }

    /// The minimum, in nanoseconds; never zero.
    pub const fn least_ns(self) -> u64 {
        self.least_ns
    }

    /// The maximum, in nanoseconds.
    pub const fn most_ns(self) -> u64 {
        self.most_ns
    }

    /// Its middle, in seconds.
    pub(crate) fn middle_s(self) -> f64 {
        f64::midpoint(self.least_ns as f64, self.most_ns as f64) / NANOSECONDS
    }

    fn least_s(self) -> f64 {
        self.least_ns as f64 / NANOSECONDS
    }

    /// The maximum gain of a counter in this time at this rate, with an allowance for a pause
    /// between reading the clock and the counter.
    pub fn most_gain(self, per_second: u64) -> u64 {
        let ns = u128::from(self.most_ns) + u128::from(SLACK_NS);
        let most = u128::from(per_second).saturating_mul(ns) / u128::from(NANOSECONDS_PER_SECOND);
        u64::try_from(most).unwrap_or(u64::MAX)
    }
}

const NANOSECONDS: f64 = 1e9;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// Two ticks of the slowest configurable Linux clock (`CONFIG_HZ=100`).
const SLACK_NS: u64 = 20_000_000;

/// One tick of that clock, in microseconds: the maximum error of times that the kernel counts
/// in ticks (`tcpi_busy_time` and its parts).
const TICK_US: f64 = 10_000.0;

/// A number that is only known to lie within `error` of `value`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// The maximum distance of the true number from it.
    pub error: f64,
}

impl Estimate {
    /// The rate of a gain: `amount / span`, in units per second.
    ///
    /// The value uses the middle of the span.  The error extends to the rate over the minimum
    /// of the span, which is farther away than the rate over its maximum.
    pub fn per_second(amount: u64, span: Span) -> Self {
        let value = amount as f64 / span.middle_s();
        Self { value, error: (amount as f64 / span.least_s() - value).max(0.0) }
    }

    /// The fraction of a time that is `part_us` microseconds: `part / span`, from 0 to 1.
    ///
    /// The error includes one tick, since the kernel counts such times in ticks.
    pub fn share(part_us: u64, span: Span) -> Self {
        let share = |part_us: f64, seconds: f64| (part_us / (seconds * 1e6)).clamp(0.0, 1.0);
        let part_us = part_us as f64;
        let value = share(part_us, span.middle_s());
        let most = share(part_us + TICK_US, span.least_s());
        let least = share(part_us - TICK_US, span.most_ns as f64 / NANOSECONDS);
        Self { value, error: (most - value).max(value - least) }
    }

    /// Rounds to this number of decimals; the error includes the rounding.
    #[must_use]
    pub fn rounded(self, digits: i32) -> Self {
        let unit = 10_f64.powi(digits);
        let value = (self.value * unit).round() / unit;
        let error = self.error + (self.value - value).abs();
        Self { value, error: (error * unit).ceil() / unit }
    }

    /// The remainder to 1.
    #[must_use]
    pub fn rest(self) -> Self {
        Self { value: (1.0 - self.value).clamp(0.0, 1.0), error: self.error }
    }
}

/// The ratio of two gains that were read at the same time, from 0 to 1; `None` if the whole is
/// zero.
pub fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = NANOSECONDS_PER_SECOND;

    fn window(begin_ms: u64, end_ms: u64) -> Window {
        Window::new(begin_ms * 1_000_000, end_ms * 1_000_000)
    }

    #[test]
    fn a_counter_wraps_by_its_width() {
        for (bits, before, now, want) in [
            (32, 10, 25, 15),
            (32, u32::MAX.into(), 4, 5),
            (32, u64::from(u32::MAX) - 99, 900, 1000),
            (16, 0xffff, 0, 1),
            (8, 250, 3, 9),
            (64, u64::MAX - 1, 3, 5),
            (32, 7, 7, 0),
        ] {
            assert_eq!(gain(bits, before, now, 1000), Some(want), "{bits} bits from {before} to {now}");
        }
    }

    #[test]
    fn a_counter_that_falls_for_another_reason_started_anew() {
        for (bits, before, now) in [(32, 5_000_000, 3), (64, 5_000_000, 3), (32, 2000, 0), (16, 60_000, 1)] {
            assert_eq!(gain(bits, before, now, 1000), None, "{bits} bits from {before} to {now}");
        }
        assert_eq!(gain(64, 0, 1001, 1000), None, "more than is possible");
    }

    /// Every possible gain is recovered, wherever the counter started.
    #[test]
    fn every_possible_gain_is_found() {
        let mut random = fastrand::Rng::with_seed(14);
        for _ in 0..20_000 {
            let bits = [8, 16, 32, 64][random.usize(..4)];
            let most = if bits == 64 { random.u64(..) } else { random.u64(..1 << bits) };
            let (before, gained) = (random.u64(..), random.u64(..=most));
            let now = before.wrapping_add(gained);
            assert_eq!(gain(bits, before, now, most), Some(gained), "{bits} {before} {gained} {most}");
            let any = gain(bits, before, random.u64(..), most);
            assert!(any.is_none_or(|any| any <= most));
        }
    }

    #[test]
    fn a_span_is_as_wide_as_both_windows() {
        let span = Span::between(window(100, 200), window(1100, 1300)).expect("time passed");
        assert_eq!((span.least_ns(), span.most_ns()), (900_000_000, 1_200_000_000));
        for (then, now) in [
            (window(100, 200), window(200, 300)),
            (window(100, 200), window(150, 300)),
            (window(500, 600), window(100, 200)),
        ] {
            assert_eq!(Span::between(then, now), None, "{then:?} {now:?}");
        }
        assert_eq!(span.most_gain(1000), 1220);
        let long = Span { least_ns: 1, most_ns: u64::MAX };
        assert_eq!(long.most_gain(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_rate_is_the_amount_in_a_second() {
        let exact = Span { least_ns: 2 * SECOND, most_ns: 2 * SECOND };
        assert_eq!(Estimate::per_second(1000, exact), Estimate { value: 500.0, error: 0.0 });
        // Between 800 and 1200 ms: 1000 per second, at most 1250.
        let wide = Span { least_ns: 800_000_000, most_ns: 1_200_000_000 };
        let rate = Estimate::per_second(1000, wide);
        assert!((rate.value - 1000.0).abs() < 1e-9 && (rate.error - 250.0).abs() < 1e-9, "{rate:?}");
    }

    #[test]
    fn rounding_is_part_of_the_error() {
        let rounded = |value, error| Estimate { value, error }.rounded(3);
        assert_eq!(rounded(1.0004, 0.0), Estimate { value: 1.0, error: 0.001 });
        assert_eq!(rounded(2.5, 0.25), Estimate { value: 2.5, error: 0.25 });
        assert_eq!(rounded(0.0, 0.0), Estimate { value: 0.0, error: 0.0 });
    }

    #[test]
    fn a_share_is_off_by_a_tick_and_by_the_windows() {
        let second = Span { least_ns: SECOND, most_ns: SECOND };
        let share = Estimate::share(250_000, second);
        assert!((share.value - 0.25).abs() < 1e-12 && (share.error - 0.01).abs() < 1e-12, "{share:?}");
        assert!((share.rest().value - 0.75).abs() < 1e-12);
        assert!((Estimate::share(2_000_000, second).value - 1.0).abs() < 1e-12, "never more than the whole");
    }

    #[test]
    fn of_nothing_nothing_is_a_part() {
        assert_eq!((ratio(0, 0), ratio(5, 0)), (None, None));
        assert_eq!((ratio(1, 4), ratio(0, 4), ratio(9, 4)), (Some(0.25), Some(0.0), Some(1.0)));
    }

    /// The true rate lies within the error, whenever the numbers were read in their windows.
    #[test]
    fn the_truth_is_within_the_error() {
        let mut random = fastrand::Rng::with_seed(15);
        let mut known = 0;
        for _ in 0..20_000 {
            let begin = random.u64(1..SECOND);
            let then = Window::new(begin, begin + random.u64(..SECOND));
            let begin = then.end_ns() + random.u64(..3 * SECOND);
            let now = Window::new(begin, begin + random.u64(..SECOND));
            let Some(span) = Span::between(then, now) else { continue };
            known += 1;
            let read = random.u64(then.begin_ns()..=then.end_ns());
            let read_again = random.u64(now.begin_ns()..=now.end_ns());
            let seconds = (read_again - read) as f64 / 1e9;
            let amount = random.u64(..1 << 50);
            let (rate, truth) = (Estimate::per_second(amount, span), amount as f64 / seconds);
            assert!(rate.value.is_finite() && rate.value >= 0.0 && rate.error.is_finite());
            assert!((rate.value - truth).abs() <= rate.error * (1.0 + 1e-9) + 1e-6, "{rate:?} {truth}");
            let round = rate.rounded(3);
            assert!((round.value - truth).abs() <= round.error * (1.0 + 1e-9) + 1e-6, "{round:?} {truth}");
            // Ticks are whole, so a part of the time may appear one tick longer or shorter.
            let part = random.f64() * seconds * 1e6;
            let counted = (part + (random.f64() * 2.0 - 1.0) * TICK_US).max(0.0) as u64;
            let (share, truth) = (Estimate::share(counted, span), part / (seconds * 1e6));
            assert!((0.0..=1.0).contains(&share.value) && share.error >= 0.0);
            assert!((share.value - truth).abs() <= share.error + 1e-6, "{share:?} {truth}");
        }
        assert!(known > 19_000, "{known} of 20,000 spans");
    }
}
