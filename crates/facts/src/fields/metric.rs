//! The unit of a number, and its behaviour over time.

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// No unit: an identifier, a mode, a name.
    None,
    /// A number of things: sockets, marks, probes.
    Count,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Segments.
    Packets,
    /// Segments per second.
    PacketsPerSecond,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Ticks of the kernel's clock, whose rate depends on the machine.
    Ticks,
    /// Units of 1/256 (BBR gains).
    Per256,
    /// Units of 1/1024 (DCTCP's fraction of marks).
    Per1024,
    /// A fraction of 1.
    Share,
}

impl Unit {
    /// The name of the unit; `None` if there is no unit.
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

    /// Whether it is a unit of time that does not depend on the machine.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Microseconds | Self::Milliseconds | Self::Seconds)
    }
}

/// How values of several sockets can be combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// They add up: bytes, packets, time spent.
    Sum,
    /// The sum is meaningful, but not the default: rates, windows, limits.
    Most,
    /// The sum is meaningless: round-trip times, segment sizes, factors.
    NoSum,
    /// Neither sum nor mean is meaningful, since values are not amounts: ports, identifiers,
    /// states.
    NoMean,
}

impl Together {
    /// The default for a metric and a unit.
    pub(super) const fn of(metric: Metric, unit: Unit) -> Self {
        match (metric, unit) {
            (Metric::Info | Metric::State, _) => Self::NoMean,
            (Metric::Counter, _) | (Metric::Gauge, Unit::Count | Unit::Bytes | Unit::Packets) => Self::Sum,
            (Metric::Gauge, Unit::BytesPerSecond | Unit::PacketsPerSecond) => Self::Most,
            (Metric::Gauge, _) => Self::NoSum,
        }
    }
}

/// The behaviour of a value over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A description, such as an address or an identifier: it is not a time series, and
    /// arithmetic on it is meaningless.
    Info,
    /// One of a few states, given by a word or a number.
    State,
    /// An amount that rises and falls.
    Gauge,
    /// An amount that only rises while the socket exists, until it exceeds the width of its
    /// [`Kind`](super::Kind) and wraps to zero.
    Counter,
}

impl Metric {
    /// The name of the metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::State => "state",
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}
