//! When bytes were read, and by which kernel they were laid out.
//!
//! A dump is not an instant: a million sockets take a second.  So what is read
//! has a [`Window`], and whoever compares two looks knows how far each may be off.

use std::num::NonZeroU64;
use std::time::Duration;

/// The time in which something was read, on the clock that never jumps
/// (`CLOCK_MONOTONIC`: nanoseconds since boot, without time asleep).
///
/// What was read held at some moment not before the begin and not after the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    begin_ns: NonZeroU64,
    end_ns: u64,
}

impl Window {
    /// From one moment to another, in nanoseconds since boot.  An end before
    /// the begin is taken as the begin; a begin of 0, which no reading of the
    /// clock gives, as 1.
    pub const fn new(begin_ns: u64, end_ns: u64) -> Self {
        let begin = match NonZeroU64::new(begin_ns) {
            Some(begin) => begin,
            None => NonZeroU64::MIN,
        };
        Self { begin_ns: begin, end_ns: if end_ns < begin.get() { begin.get() } else { end_ns } }
    }

    /// The first moment, in nanoseconds since boot.
    pub const fn begin_ns(self) -> u64 {
        self.begin_ns.get()
    }

    /// The last moment, in nanoseconds since boot; never before the first.
    pub const fn end_ns(self) -> u64 {
        self.end_ns
    }

    /// The moment in its middle, in nanoseconds since boot.
    pub const fn middle_ns(self) -> u64 {
        self.begin_ns.get() / 2 + self.end_ns / 2
    }

    /// How long it is.
    pub const fn length(self) -> Duration {
        Duration::from_nanos(self.end_ns - self.begin_ns.get())
    }

    /// The smallest window that covers both.
    #[must_use]
    pub fn cover(self, other: Self) -> Self {
        Self { begin_ns: self.begin_ns.min(other.begin_ns), end_ns: self.end_ns.max(other.end_ns) }
    }
}

/// How the kernel that wrote a message lays out what the message itself does
/// not tell apart.
///
/// Source: `struct tcp_info` (linux/tcp.h) of Linux 6.18 and 7.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Abi {
    /// Not known (a recording), or before Linux 6.18: what depends on it is absent.
    #[default]
    Unknown,
    /// Linux 6.18 and 6.19: the last word of `tcp_info` is two numbers of 16 bits.
    Linux6_18,
    /// Linux 7.0 and later: that word is bit fields.
    Linux7,
}

impl Abi {
    /// That of a kernel's release, as `uname -r` prints it: `6.18.44-generic`.
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
