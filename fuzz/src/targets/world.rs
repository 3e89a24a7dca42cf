//! A small world of names, the same for every input, and filters read in it.

use std::io::BufRead;

use sockdiag::fields::{Catalog, Field, Unit};
use sockdiag::filter::{
    self, CgroupError, Context, EvalContext, Expr, FilterError, Lookups, Parsed, Transport,
};
use sockdiag::model::{Addr, Family, MessageKind, TableSet};

/// The ephemeral range.
pub(crate) const CONTEXT: EvalContext = EvalContext { ports: (32768, 60999) };

/// The device `lo`, the hosts `localhost` and `many`, the service `ssh`; every
/// path is a cgroup, whose id is the path's number or its length.
pub(crate) struct World;

impl Lookups for World {
    fn service(&mut self, name: &[u8], _: Transport) -> Option<u16> {
        (name == b"ssh").then_some(22)
    }

    fn rpc_service(&mut self, name: &[u8]) -> Option<u16> {
        (name == b"nfs").then_some(2049)
    }

    fn hosts(&mut self, name: &[u8], family: Option<Family>) -> Vec<Addr> {
        let all = [Addr::V4([127, 0, 0, 1]), Addr::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])];
        match (name, family) {
            (b"localhost", None | Some(Family::Inet)) => vec![all[0]],
            (b"localhost", Some(Family::Inet6)) => vec![all[1]],
            (b"many", None) => all.to_vec(),
            _ => Vec::new(),
        }
    }

    fn interface(&mut self, name: &[u8]) -> Option<u32> {
        (name == b"lo").then_some(1)
    }

    fn cgroup(&mut self, path: &[u8]) -> Result<u64, CgroupError> {
        let number = std::str::from_utf8(path).ok().and_then(|text| text.strip_prefix("0x"));
        match number.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            Some(id) => Ok(id),
            None if path.ends_with(b"missing") => Err(CgroupError::NoId { errno: 2 }),
            None => Ok(path.len() as u64),
        }
    }

    fn cgroup_condition_supported(&mut self) -> bool {
        true
    }
}

/// A field, and the filter that compares it with 1, where it is a number.
pub(crate) type Fact = (&'static Field, Option<Expr>);

/// The table of fields and what is made of it, once in a thread.
pub(crate) struct Known {
    pub(crate) catalog: Catalog,
    /// The fields of every kind of message.
    pub(crate) fields: Vec<(MessageKind, Vec<Fact>)>,
    /// Filters of every kind of condition.
    pub(crate) filters: Vec<Expr>,
}

/// Filters that every row is tested with.
const FILTERS: &[&str] = &[
    "sport = :22",
    "dport >= 1024 and not dport > 40000",
    "src 127.0.0.1",
    "src 127.0.0.0/8 or dst [::1]",
    "not src [::ffff:0:0/96]",
    "src = inet:any and dst = inet6:any",
    "src many:ssh",
    "dev = lo or dev != 0",
    "fwmark = 1/7",
    "fwmark != 0 and cgroup = /a",
    "autobound",
    "not autobound or sport < 80",
    "src unix:/run/*",
    "dst unix:*",
    "src link:ip:1",
    "src netlink:rtnl:*",
    "dst vsock:2:22",
    "tcp.rtt_us > 5 and ( tcp.congestion = cubic or not tcp.snd_cwnd >= 10 )",
    "socket.inode != 0",
    "local.addr = 127.0.0.1",
];

impl Known {
    fn new() -> Self {
        let catalog = Catalog::standard();
        let compared = |field: &'static Field| {
            let text = format!("{} >= 1", field.name);
            // `autobound` is a whole condition, and text is not compared so.
            let number = field.unit != Unit::None && field.name != "local.autobound";
            number.then(|| read(&catalog, &[text.as_bytes()], None).ok()?.expr).flatten()
        };
        let fields = catalog.descriptions().iter().map(|description| {
            let fields = description.parts.iter().flat_map(|part| part.fields.iter().copied());
            (description.message_kind, fields.map(|field| (field, compared(field))).collect())
        });
        let filters = FILTERS.iter().map(|text| {
            let parsed = read(&catalog, &[text.as_bytes()], None);
            parsed.ok().and_then(|parsed| parsed.expr).unwrap_or_else(|| panic!("{text} is no filter"))
        });
        Self { fields: fields.collect(), filters: filters.collect(), catalog }
    }
}

thread_local! {
    static KNOWN: Known = Known::new();
}

/// Lends what is known.
pub(crate) fn with<T>(use_it: impl FnOnce(&Known) -> T) -> T {
    KNOWN.with(use_it)
}

/// Reads a filter, with all tables shown.
pub(crate) fn read(
    catalog: &Catalog,
    words: &[&[u8]],
    file: Option<&mut dyn BufRead>,
) -> Result<Parsed, FilterError> {
    read_for(catalog, None, words, file)
}

/// Reads a filter, with a preferred family.
pub(crate) fn read_for(
    catalog: &Catalog,
    preferred: Option<Family>,
    words: &[&[u8]],
    file: Option<&mut dyn BufRead>,
) -> Result<Parsed, FilterError> {
    let context = Context { catalog, preferred, tables: TableSet::ALL, lookups: &mut World };
    // One lifetime for words and file.
    match file {
        None => filter::parse(words, None, context),
        Some(file) => {
            let mut text = Vec::new();
            let _ = file.read_to_end(&mut text);
            filter::parse(words, Some(&mut text.as_slice()), context)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_filters() {
        let known = Known::new();
        assert_eq!(known.filters.len(), FILTERS.len());
    }
}
