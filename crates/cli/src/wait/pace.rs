//! How often to look, so that waiting stays cheap.
//!
//! Looks cost processor time, including time in the kernel.  It is measured, and the pause
//! after a look depends on it.  If a dump of listeners takes 80 us and may use 0.4 % of a
//! core, one is made every 20 ms.
//!
//! Most waits are short: a server was just started.  So looks may at first use [`FASTER`]
//! times their share, until [`CREDIT`] is used up; over a minute that adds up to less than
//! half a per cent of a core.
//!
//! Invariant: at any time the processor time used is at most [`SHARE`] of the elapsed time,
//! plus [`CREDIT`] and [`NEWS`].  Only [`LONGEST`] may exceed it, for looks that cost more
//! than 40 ms.
//! more than 40 ms.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The part of one core that waiting may use in the long run.
pub(super) const SHARE: f64 = 0.0038;
/// Processor time allowed beyond that, including start-up.
const CREDIT: Duration = Duration::from_millis(40);
/// Processor time allowed beyond both for looks triggered by news, which may be in vain.
const NEWS: Duration = Duration::from_millis(10);
/// How much more often looks are made while there is credit.
const FASTER: f64 = 4.0;
/// The shortest pause: looking more often would gain nothing.
const SHORTEST: Duration = Duration::from_millis(2);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);
/// The weight of a new cost in the moving average.
const WEIGHT: f64 = 0.125;

/// Measures the processor time used.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    /// Processor time of the process at the last lap.
    at_lap: Duration,
}

impl Pace {
    /// Starts measuring.
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), at_lap: processor_time() }
    }

    /// The processor time used since the last call.
    pub(super) fn lap(&mut self) -> Duration {
        let now = processor_time();
        now.saturating_sub(std::mem::replace(&mut self.at_lap, now))
    }

    /// How long to pause until the time used is within its bounds again.
    pub(super) fn owed(&self) -> Duration {
        owed(self.at_lap.saturating_sub(NEWS), self.began.elapsed()).min(LONGEST)
    }

    /// Whether more than the share may be used.
    pub(super) fn has_credit(&self) -> bool {
        has_credit(self.at_lap, self.began.elapsed())
    }

    /// Whether news may trigger an early look.
    pub(super) fn has_credit_for_news(&self) -> bool {
        has_credit(self.at_lap.saturating_sub(NEWS), self.began.elapsed())
    }
}

/// Whether `spent`, used during `passed`, leaves credit.
fn has_credit(spent: Duration, passed: Duration) -> bool {
    spent < passed.mul_f64(SHARE).saturating_add(CREDIT)
}

/// How long until `spent`, used during `passed`, is within share and credit.
fn owed(spent: Duration, passed: Duration) -> Duration {
    let within = Duration::try_from_secs_f64(spent.saturating_sub(CREDIT).as_secs_f64() / SHARE);
    within.unwrap_or(Duration::MAX).saturating_sub(passed)
}

/// The average cost of one kind of look, and the pause after it.
#[derive(Debug)]
pub(super) struct Meter {
    /// The part of one core that it may use.
    share: f64,
    /// The average cost of a look, in seconds.
    average: Option<f64>,
}

impl Meter {
    /// A meter for looks that may use this part of a core.
    pub(super) fn of(share: f64) -> Self {
        Self { share, average: None }
    }

    /// The pause after a look of this cost.
    pub(super) fn pause(&mut self, cost: Duration, has_credit: bool) -> Duration {
        let cost = cost.as_secs_f64();
        let average = self.average.map_or(cost, |average| average + (cost - average) * WEIGHT);
        self.average = Some(average);
        let share = if has_credit { self.share * FASTER } else { self.share };
        Duration::try_from_secs_f64(average / share).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
    }
}

/// The processor time of this process, user and system.
fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// The part of a core that looks use over a time, if look number N costs `cost(N)`
    /// microseconds.
    fn share(over: Duration, cost: impl Fn(u64) -> u64) -> f64 {
        let mut meter = Meter::of(SHARE);
        // Starting up takes processor time, too.
        let (mut spent, mut passed, mut number) = (Duration::from_millis(8), Duration::ZERO, 0);
        while passed < over {
            let cost = Duration::from_micros(cost(number));
            number += 1;
            spent += cost;
            passed += cost + meter.pause(cost, has_credit(spent, passed));
        }
        spent.as_secs_f64() / passed.as_secs_f64()
    }

    #[test]
    fn a_minute_takes_less_than_half_a_per_cent_whatever_a_look_costs() {
        for micros in [10, 50, 200, 1000, 4000] {
            let share = share(MINUTE, |_| micros);
            assert!(share < 0.005 && (micros == 10 || share > 0.0038), "{micros} us: {share}");
        }
        // One look in a hundred is slow, or looks gradually become slower.
        assert!(share(MINUTE, |at| if at % 100 == 0 { 5000 } else { 50 }) < 0.0055);
        assert!(share(MINUTE, |at| 20 + at / 20) < 0.005);
        let ten = share(MINUTE * 10, |_| 80);
        assert!((0.0037..0.0040).contains(&ten), "{ten}");
    }

    /// On a busy machine a look may cost many times more than those before.
    #[test]
    fn what_was_spent_beyond_the_bounds_is_waited_for() {
        let ms = Duration::from_millis;
        assert_eq!(owed(CREDIT, Duration::ZERO), Duration::ZERO);
        assert_eq!(owed(CREDIT + ms(38), ms(4000)), ms(6000));
        assert_eq!(owed(CREDIT + ms(38), ms(10_000)), Duration::ZERO);
        assert!(!has_credit(CREDIT + ms(38), ms(9_999)) && has_credit(CREDIT + ms(38), ms(10_001)));
    }

    #[test]
    fn a_cheap_look_is_made_soon_and_none_is_put_off_for_long() {
        let pause = |micros, has_credit| Meter::of(SHARE).pause(Duration::from_micros(micros), has_credit);
        assert_eq!(pause(0, false), SHORTEST);
        assert_eq!(pause(76, false), Duration::from_millis(20));
        assert_eq!(pause(76, true), Duration::from_millis(5));
        assert_eq!(pause(9_000_000, true), LONGEST);
    }
}
