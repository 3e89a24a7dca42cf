//! What is known of an event beside the socket: when it was told.
//!
//! The kernel tells of the end of a socket and not of its beginning, so how
//! long it lived is not known.
//!
//! Source: sock_diag(7), clock_gettime(2).

use super::{Field, Groups, plain, text};

/// `-E`.
pub(super) const EVENT: &[Field] = &[
    Field::new(
        "event.time",
        text!(|r| Some(r.names.arrival?.text.as_bytes())),
        "When the message arrived that the socket was destroyed (-E), in UTC.",
        "clock_gettime(2)",
    )
    .group(Groups::IDENTITY),
    Field::new(
        "event.time_unix_ns",
        plain!(|r| Some(r.names.arrival?.unix_ns)),
        "The same in nanoseconds since 1970.",
        "clock_gettime(2)",
    )
    .wide()
    .group(Groups::IDENTITY),
];
