//! When the kernel told of an event.

use crate::civil;

/// The time at which a message arrived that the kernel sent by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Nanoseconds since 1970.
    pub unix_ns: u64,
    /// The same in UTC, as RFC 3339 writes it, with nanoseconds.
    pub text: String,
}

impl Arrival {
    /// So many nanoseconds after 1970 began.
    pub fn at(unix_ns: u64) -> Self {
        const SECOND: u64 = 1_000_000_000;
        let part = u32::try_from(unix_ns % SECOND).unwrap_or_default();
        Self { unix_ns, text: civil::rfc3339(unix_ns / SECOND, Some(part)) }
    }
}
