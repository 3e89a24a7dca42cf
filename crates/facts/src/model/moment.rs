//! When bytes were read, and which kernel's layout they have.
//!
//! A dump is not an instant: a million sockets take a second.  So everything read has a
//! [`Window`], and code that compares two observations knows the possible error.

use std::num::NonZeroU64;
use std::time::Duration;

/// The interval in which something was read, on the clock that never jumps (`CLOCK_MONOTONIC`:
/// nanoseconds since boot, without time in suspend).
///
/// The values were true at some moment within the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    begin_ns: NonZeroU64,
    end_ns: u64,
}

impl Window {
    /// An interval in nanoseconds since boot.  An end before the begin is replaced by the
    /// begin, and a begin of 0, which the clock never returns, by 1.
    pub const fn new(begin_ns: u64, end_ns: u64) -> Self {
        let begin = match NonZeroU64::new(begin_ns) {
            Some(begin) => begin,
            None => NonZeroU64::MIN,
        };
        Self { begin_ns: begin, end_ns: if end_ns < begin.get() { begin.get() } else { end_ns } }
    }

    /// The begin, in nanoseconds since boot.
    pub const fn begin_ns(self) -> u64 {
        self.begin_ns.get()
    }

    /// The end, in nanoseconds since boot; never before the begin.
    pub const fn end_ns(self) -> u64 {
        self.end_ns
    }

    /// The middle, in nanoseconds since boot.
    pub const fn middle_ns(self) -> u64 {
        self.begin_ns.get() / 2 + self.end_ns / 2
    }

    /// The length of the interval.
    pub const fn length(self) -> Duration {
        Duration::from_nanos(self.end_ns - self.begin_ns.get())
    }

    /// The smallest window that contains both.
    #[must_use]
    pub fn cover(self, other: Self) -> Self {
        Self { begin_ns: self.begin_ns.min(other.begin_ns), end_ns: self.end_ns.max(other.end_ns) }
    }
}

/// The layout that the sending kernel uses where the message itself does not show it.
///
/// Source: `struct tcp_info` (linux/tcp.h) of Linux 6.18 and 7.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Abi {
    /// Unknown (a recording), or older than Linux 6.18: fields that depend on it are absent.
    #[default]
    Unknown,
    /// Linux 6.18 and 6.19: the last word of `tcp_info` is two numbers of 16 bits.
    Linux6_18,
    /// Linux 7.0 and later: this word consists of bit-fields.
    Linux7,
}

impl Abi {
    /// The layout of a kernel release, as `uname -r` prints it: `6.18.44-generic`.
    pub fn of_release(release: &str) -> Self {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(6)), Some(Ok(18..))) => Self::Linux6_18,
            (Some(Ok(7..)), Some(Ok(_))) => Self::Linux7,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_tells_the_layout() {
        for (release, want) in [
            ("6.18.44-fc-v595", Abi::Linux6_18),
            ("6.19-rc1", Abi::Linux6_18),
            ("7.0", Abi::Linux7),
            ("10.1.0", Abi::Linux7),
            ("6.17.9", Abi::Unknown),
            ("5.19", Abi::Unknown),
            ("6", Abi::Unknown),
            ("", Abi::Unknown),
            ("linux-6.18", Abi::Unknown),
        ] {
            assert_eq!(Abi::of_release(release), want, "{release}");
        }
    }

    #[test]
    fn a_window_never_ends_before_it_begins() {
        let (early, late) = (Window::new(5, 9), Window::new(20, 10));
        assert_eq!((late.begin_ns(), late.end_ns(), late.length()), (20, 20, Duration::ZERO));
        assert_eq!(early.cover(late), Window::new(5, 20));
        assert_eq!(early.cover(late), late.cover(early));
        assert_eq!(early.length(), Duration::from_nanos(4));
        assert_eq!(Window::new(0, 0).begin_ns(), 1);
        assert_eq!(size_of::<Option<Window>>(), 16);
    }
}
