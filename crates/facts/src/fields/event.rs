//! Data of an event in addition to the socket: its time.
//!
//! The kernel reports the end of a socket but not its beginning, so its lifetime is unknown.
//!
//! Source: sock_diag(7), clock_gettime(2).

use super::{Field, Groups, plain, text};

/// Fields of `-E`.
pub(super) const EVENT: &[Field] = &[
    Field::new(
        "event.time",
        text!(|r| Some(r.names.arrival?.text.as_bytes())),
        "Time when the socket's destroy event was received (-E), in UTC.",
        "clock_gettime(2)",
    )
    .group(Groups::IDENTITY),
    Field::new(
        "event.time_unix_ns",
        plain!(|r| Some(r.names.arrival?.unix_ns)),
        "Time when the socket's destroy event was received (-E), in nanoseconds since 1970.",
        "clock_gettime(2)",
    )
    .wide()
    .group(Groups::IDENTITY),
];
