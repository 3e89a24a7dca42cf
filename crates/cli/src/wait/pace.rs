//! How often to look, so that waiting stays cheap.
//!
//! What is done costs processor time, which is measured, the kernel's part
//! included, and the pause after it follows from that.  Where a dump of
//! listeners takes 80 us and may take 0.4 % of a core, it is made every 20 ms.
//!
//! Most waits are short: a server was just started.  So at first looks may take
//! [`FASTER`] times their share, until [`CREDIT`] is used up; together that is
//! less than half a per cent of a core over a minute.
//!
//! Invariant: at any time no more was spent than [`SHARE`] of the time that
//! passed, [`CREDIT`] and [`NEWS`]; only [`LONGEST`] may raise it, for looks that cost
//! more than 40 ms.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The part of one core that waiting may take in the long run.
pub(super) const SHARE: f64 = 0.0038;
/// Processor time that may be spent beyond that, starting up included.
const CREDIT: Duration = Duration::from_millis(40);
/// What may be spent beyond both on news, which may turn out to be none.
const NEWS: Duration = Duration::from_millis(10);
/// How much faster looks come while there is credit.
const FASTER: f64 = 4.0;
/// The shortest pause: to look more often would bring nothing.
const SHORTEST: Duration = Duration::from_millis(2);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);
/// How much of an average a new cost makes.
const WEIGHT: f64 = 0.125;

/// Processor time as it is spent.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    /// Processor time of the process at the last lap.
    at_lap: Duration,
}

impl Pace {
    /// Begins to measure.
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), at_lap: processor_time() }
    }

    /// What was spent since the last lap.
    pub(super) fn lap(&mut self) -> Duration {
        let now = processor_time();
        now.saturating_sub(std::mem::replace(&mut self.at_lap, now))
    }

    /// The time until what was spent is within its bounds again, if it is not.
    pub(super) fn owed(&self) -> Duration {
        owed(self.at_lap.saturating_sub(NEWS), self.began.elapsed()).min(LONGEST)
    }

    /// Whether more may be spent than the share.
    pub(super) fn has_credit(&self) -> bool {
        has_credit(self.at_lap, self.began.elapsed())
    }

    /// Whether a look may be brought forward because of news.
    pub(super) fn has_credit_for_news(&self) -> bool {
        has_credit(self.at_lap.saturating_sub(NEWS), self.began.elapsed())
    }
}

/// Whether so much, spent in this time, leaves credit.
fn has_credit(spent: Duration, passed: Duration) -> bool {
    spent < passed.mul_f64(SHARE).saturating_add(CREDIT)
}

/// The time after which so much, spent in this time, is within share and credit.
fn owed(spent: Duration, passed: Duration) -> Duration {
    let within = Duration::try_from_secs_f64(spent.saturating_sub(CREDIT).as_secs_f64() / SHARE);
    within.unwrap_or(Duration::MAX).saturating_sub(passed)
}

/// What one kind of look costs, and how long to pause after it.
#[derive(Debug)]
pub(super) struct Meter {
    /// The part of one core that it may take.
    share: f64,
    /// What one costs on average, in seconds.
    average: Option<f64>,
}

impl Meter {
    /// For what may take this part of a core.
    pub(super) fn of(share: f64) -> Self {
        Self { share, average: None }
    }

    /// The pause after one of this cost.
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

    /// The part of a core that looks take over a time, where the one of this
    /// number costs so many microseconds.
    fn share(over: Duration, cost: impl Fn(u64) -> u64) -> f64 {
        let mut meter = Meter::of(SHARE);
        // To start up takes some, too.
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
        // One in a hundred is slow, or looks become slower by and by.
        assert!(share(MINUTE, |at| if at % 100 == 0 { 5000 } else { 50 }) < 0.0055);
        assert!(share(MINUTE, |at| 20 + at / 20) < 0.005);
        let ten = share(MINUTE * 10, |_| 80);
        assert!((0.0037..0.0040).contains(&ten), "{ten}");
    }

    /// On a busy machine a look may cost many times what those before did.
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
