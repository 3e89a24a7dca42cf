//! How often to look, so that looking stays cheap.
//!
//! A look costs processor time, which is measured, the kernel's part included.
//! The pause after it is so long that looks take [`SHARE`] of a core: a table
//! of listeners that is filtered by port in the kernel costs some 50 us, which
//! gives a pause of some 12 ms; one that costs a millisecond is looked at four
//! times a second.
//!
//! Invariant: over any time longer than a few pauses the share is at most
//! [`SHARE`], whatever a look costs; only [`LONGEST`] may raise it, for looks
//! that cost more than 4 ms.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The part of one core that looking may take: below the half per cent that is
/// promised, since starting and answering take some, too.
const SHARE: f64 = 0.004;
/// The shortest pause: a look more often would bring nothing.
const SHORTEST: Duration = Duration::from_millis(2);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(1);
/// How much of an average a new look makes.
const WEIGHT: f64 = 0.125;
/// Processor time that may be spent ahead of its share, on events.
const AHEAD: Duration = Duration::from_millis(10);

/// Measures looks and says how long to pause.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    /// Processor time of the process at the beginning, and at the last pause.
    at_beginning: Duration,
    at_pause: Duration,
    /// What a look costs on average, in seconds; `None` before the second one.
    average: Option<f64>,
    /// The first look opens and reads what later ones keep.
    is_first: bool,
}

impl Pace {
    /// Begins to measure.
    pub(crate) fn begin() -> Self {
        let spent = processor_time();
        Self { began: Instant::now(), at_beginning: spent, at_pause: spent, average: None, is_first: true }
    }

    /// How long to pause after the look that was just made.
    pub(crate) fn pause(&mut self) -> Duration {
        let now = processor_time();
        let cost = now.saturating_sub(self.at_pause);
        self.at_pause = now;
        if std::mem::take(&mut self.is_first) {
            return SHORTEST;
        }
        self.after(cost)
    }

    /// The pause after a look of this cost.
    fn after(&mut self, cost: Duration) -> Duration {
        let cost = cost.as_secs_f64();
        let average = self.average.map_or(cost, |average| average + (cost - average) * WEIGHT);
        self.average = Some(average);
        Duration::try_from_secs_f64(average / SHARE).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
    }

    /// Whether more than the share was spent, with what may be spent ahead.
    pub(crate) fn is_overdrawn(&self) -> bool {
        let allowed = self.began.elapsed().mul_f64(SHARE).saturating_add(AHEAD);
        processor_time().saturating_sub(self.at_beginning) > allowed
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

    /// The share that looks of these costs take.
    fn share(costs: &[Duration]) -> f64 {
        let mut pace = Pace::begin();
        let (mut spent, mut passed) = (Duration::ZERO, Duration::ZERO);
        for cost in costs {
            spent += *cost;
            passed += *cost + pace.after(*cost);
        }
        spent.as_secs_f64() / passed.as_secs_f64()
    }

    #[test]
    fn looks_take_their_share_whatever_they_cost() {
        for micros in [10, 50, 200, 1000, 4000] {
            let share = share(&vec![Duration::from_micros(micros); 1000]);
            assert!(share <= SHARE * 1.001 && (micros == 10 || share > SHARE * 0.9), "{micros} us: {share}");
        }
        // One in a hundred is slow, or looks become slower by and by.
        let spikes: Vec<Duration> =
            (0..10_000).map(|at| Duration::from_micros(if at % 100 == 0 { 5000 } else { 50 })).collect();
        assert!(share(&spikes) < SHARE * 1.25, "{}", share(&spikes));
        let rising: Vec<Duration> = (0..10_000).map(|at| Duration::from_nanos(20_000 + at * 50)).collect();
        assert!(share(&rising) < SHARE * 1.1, "{}", share(&rising));
    }

    #[test]
    fn a_cheap_look_is_made_soon_and_none_is_put_off_for_long() {
        let mut pace = Pace::begin();
        assert_eq!(pace.after(Duration::ZERO), SHORTEST);
        assert_eq!(Pace::begin().after(Duration::from_micros(50)), Duration::from_micros(12_500));
        assert_eq!(Pace::begin().after(Duration::from_secs(9)), LONGEST);
    }
}
