//! Events that make an early look worth its cost.
//!
//! Invariant: news only make a look happen earlier.  A later look finds what news miss, and
//! the credit ([`Pace::has_credit_for_news`]) bounds the looks that they trigger in vain.

use std::thread;
use std::time::{Duration, Instant};

use sockdiag::{Event, Follow, Probe};

use super::pace::{Meter, Pace, SHARE};

/// The part of a core that probes may use, and the part that remains for looks.
const PROBES: f64 = SHARE * 0.8;
const LOOKS: f64 = SHARE - PROBES;
/// Reports of closed sockets read before the next look: about all that arrive at once.
const ENDS: u32 = 1000;

/// The source of events.
pub(super) enum News {
    /// There is no source.
    None,
    /// Probes of a port for a listener.
    Listeners(Box<Probe>, Meter),
    /// The kernel's reports of closed sockets.
    Ends(Box<Follow>),
}

impl News {
    pub(super) fn of_listeners(probe: Probe) -> Self {
        Self::Listeners(Box::new(probe), Meter::of(PROBES))
    }

    pub(super) fn of_ends(follow: Follow) -> Self {
        Self::Ends(Box::new(follow))
    }

    /// The meter for looks, which share their part of a core with news.
    pub(super) fn looks(&self) -> Meter {
        Meter::of(if matches!(self, Self::Listeners(..)) { LOOKS } else { SHARE })
    }

    /// Waits until the next look is due, or an event arrives.
    pub(super) fn wait(&mut self, pace: &mut Pace, pause: Duration) {
        let end = Instant::now() + pause;
        let left = || end.saturating_duration_since(Instant::now());
        match self {
            Self::None => thread::sleep(pause),
            Self::Listeners(probe, meter) => {
                let mut pause = Duration::ZERO;
                while left() > pause {
                    thread::sleep(pause);
                    let Some(found) = probe.finds() else {
                        *self = Self::None;
                        break;
                    };
                    pause = meter.pause(pace.lap(), pace.has_credit()).max(pace.owed());
                    if found && pace.has_credit_for_news() {
                        return;
                    }
                }
                thread::sleep(left());
            }
            Self::Ends(follow) => {
                let ended = ends(follow, pause);
                pace.lap();
                if pace.has_credit_for_news() {
                    if ended {
                        return;
                    }
                } else {
                    // So many sockets close that reading each report costs more than a look.
                    *self = Self::None;
                }
                thread::sleep(left());
            }
        }
    }
}

/// Waits up to `pause` for a socket to end, then reads the further reports that are queued.
fn ends(follow: &mut Follow, pause: Duration) -> bool {
    let mut next = |wait| matches!(follow.next(Some(wait)), Ok(Event::Ended(_) | Event::Lost { .. }));
    if !next(pause) {
        return false;
    }
    (0..ENDS).take_while(|_| next(Duration::ZERO)).count();
    true
}
