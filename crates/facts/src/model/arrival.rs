//! The arrival time of an event from the kernel.

use crate::civil;

/// The time at which a message arrived that the kernel sent unasked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Nanoseconds since 1970.
    pub unix_ns: u64,
    /// The same time in UTC, in the format of RFC 3339, with nanoseconds.
    pub text: String,
}

impl Arrival {
    /// The time this many nanoseconds after 1970 began.
    pub fn at(unix_ns: u64) -> Self {
        const SECOND: u64 = 1_000_000_000;
        let part = u32::try_from(unix_ns % SECOND).unwrap_or_default();
        Self { unix_ns, text: civil::rfc3339(unix_ns / SECOND, Some(part)) }
    }
}
