//! What a number counts, and what becomes of it over time.

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing that has a unit: an identifier, a mode, a name.
    None,
    /// Things: sockets, marks, probes.
    Count,
    /// Bytes.
    Bytes,
    /// Bytes in a second.
    BytesPerSecond,
    /// Segments.
    Packets,
    /// Segments in a second.
    PacketsPerSecond,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Ticks of the kernel's clock, whose rate the machine knows.
    Ticks,
    /// Parts of 256 (BBR gains).
    Per256,
    /// Parts of 1024 (DCTCP's share of marks).
    Per1024,
    /// Parts of a whole, which is 1.
    Share,
}

impl Unit {
    /// What it is called; `None` for no unit.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes per second",
            Self::Packets => "packets",
            Self::PacketsPerSecond => "packets per second",
            Self::Microseconds => "microseconds",
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
            Self::Ticks => "clock ticks",
            Self::Per256 => "parts of 256",
            Self::Per1024 => "parts of 1024",
            Self::Share => "share of 1",
        })
    }

    /// Whether it measures time in a unit that does not depend on the machine.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Microseconds | Self::Milliseconds | Self::Seconds)
    }
}

/// What becomes of the values of several sockets taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// They add up: bytes, packets, time spent.
    Sum,
    /// They add up to something, which is not what one asks for first: rates,
    /// windows, limits.
    Most,
    /// A sum of them means nothing: round-trip times, sizes of a segment, factors.
    NoSum,
    /// They are no amounts, so neither a sum nor a mean of them means anything:
    /// ports, identifiers, states.
    NoMean,
}

impl Together {
    /// What [`Metric`] and [`Unit`] say, unless the row says more.
    pub(super) const fn of(metric: Metric, unit: Unit) -> Self {
        match (metric, unit) {
            (Metric::Info | Metric::State, _) => Self::NoMean,
            (Metric::Counter, _) | (Metric::Gauge, Unit::Count | Unit::Bytes | Unit::Packets) => Self::Sum,
            (Metric::Gauge, Unit::BytesPerSecond | Unit::PacketsPerSecond) => Self::Most,
            (Metric::Gauge, _) => Self::NoSum,
        }
    }
}

/// What becomes of a value over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A description, such as an address or an identifier: it makes no time
    /// series, and no arithmetic on it means anything.
    Info,
    /// One of a few states, told by a word or a number: what changes is which.
    State,
    /// An amount that goes up and down.
    Gauge,
    /// An amount that only goes up while the socket lives, up to the width of its
    /// [`Kind`](super::Kind), after which it begins again at zero.
    Counter,
}

impl Metric {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::State => "state",
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}
