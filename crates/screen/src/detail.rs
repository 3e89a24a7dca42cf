//! The details of one socket.

use sockdiag_facts::fields::{Catalog, Choice, Named};
use sockdiag_facts::model::Row;

use crate::shot::Id;

/// Numbers whose history over the stored looks is drawn, by the full names of their fields.
pub const SERIES: &[(&str, &str)] = &[
    ("sent", "rate.bytes_sent_per_s"),
    ("received", "rate.bytes_received_per_s"),
    ("rtt", "tcp.rtt_us"),
    ("min rtt", "tcp.min_rtt_us"),
    ("cwnd", "tcp.snd_cwnd"),
    ("retrans", "rate.retrans_per_s"),
    ("recv-q", "socket.recv_q"),
    ("send-q", "socket.send_q"),
];

/// Every field that a socket reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// The socket.
    pub id: Id,
    /// Field names, their values formatted for people, and their meanings.
    pub fields: Vec<(&'static str, String, &'static str)>,
}

/// Details looked up for one socket only, since they would cost too much for all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct More {
    /// The socket.
    pub id: Id,
    /// Its fields, its processes, and their containers and units.
    pub own: Vec<(&'static str, String, &'static str)>,
    /// The same for its other end, if that is on this machine.
    pub peer: Vec<(&'static str, String, &'static str)>,
    /// The message if there is none.
    pub said: String,
    /// The doctor's findings about it, worst first, or why it cannot look; `None` until it
    /// has looked twice.
    pub found: Option<Result<Vec<Told>, String>>,
}

/// A finding of the doctor about a socket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The rule's id.
    pub id: String,
    /// The word for its severity.
    pub severity: &'static str,
    /// The finding, as a sentence.
    pub says: String,
    /// What to do next.
    pub next: String,
}

impl Detail {
    /// The details that a row contains.
    pub fn of(id: Id, row: &Row<'_>) -> Self {
        let catalog = Catalog::shared();
        let kind = row.socket.message_kind();
        let mut fields: Vec<(&'static str, String, &'static str)> = Vec::new();
        let mut text = Vec::new();
        for known in catalog.fields() {
            let Some(field) = catalog.of_kind(kind, known.name) else { continue };
            if !std::ptr::eq(field, known) && fields.iter().any(|(name, ..)| *name == known.name) {
                continue;
            }
            let named = Named { field, member: None, without_unit: true };
            let choice = Choice::of(catalog, known.name, named).for_people();
            text.clear();
            if choice.put(&mut text, row) && !fields.iter().any(|(name, ..)| *name == known.name) {
                // Cells contain only UTF-8.
                fields.push((known.name, String::from_utf8_lossy(&text).into_owned(), field.doc));
            }
        }
        Self { id, fields }
    }
}
