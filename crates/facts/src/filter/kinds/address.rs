//! Parses addresses, networks and hosts as values of fields.

use super::{Reader, Subject};
use crate::filter::error::{FilterError, Mismatch};
use crate::filter::field_test::Wanted;
use crate::filter::host::{self, Prefix};
use crate::model::{Addr, MessageKind, Table};

impl Reader<'_, '_> {
    /// Parses an address, a network or a host name.
    pub(super) fn addr(&mut self, subject: &Subject<'_>, text: &[u8]) -> Result<Vec<Wanted>, FilterError> {
        let wrong = |why| subject.wrong(text, why);
        let word = std::str::from_utf8(text).map_err(|_| wrong(Mismatch::Address))?;
        if matches!(word, "any" | "all" | "default") {
            return Ok(vec![Wanted::Anything]);
        }
        let others = |table: Table| !matches!(table.message_kind(), MessageKind::Inet | MessageKind::Smc);
        let tables = self.ctx.tables;
        let has_numbers = tables.is_empty() || tables.iter().any(others);
        if has_numbers && let Ok(number) = word.parse() {
            return Ok(vec![Wanted::Number(number)]);
        }
        let parts = split_addr(word).ok_or_else(|| wrong(Mismatch::Address))?;
        if parts.port.is_some_and(|port| !matches!(port, "" | "*")) {
            let end =
                if subject.named.field.name.starts_with("local") { "local.port" } else { "remote.port" };
            return Err(wrong(Mismatch::Port(end)));
        }
        let zone = match parts.zone {
            None => None,
            Some(zone) => {
                let index = host::interface(zone.as_bytes(), self.ctx.lookups).or_else(|| zone.parse().ok());
                Some(index.ok_or_else(|| wrong(Mismatch::Interface))?)
            }
        };
        if let Some(prefix) = prefix(&parts) {
            return Ok(vec![Wanted::Addr { prefix, zone }]);
        }
        let is_name = parts.addr.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            && parts.addr.bytes().any(|byte| byte.is_ascii_alphabetic());
        if !is_name || zone.is_some() || parts.len.is_some() || parts.in_brackets {
            return Err(wrong(Mismatch::Address));
        }
        let found = self.ctx.lookups.hosts(parts.addr.as_bytes(), None);
        let found = found.into_iter().filter_map(|addr| Some(Wanted::Addr { prefix: whole(addr)?, zone }));
        let found: Vec<Wanted> = found.collect();
        if found.is_empty() { Err(wrong(Mismatch::Address)) } else { Ok(found) }
    }
}

/// The parts of a written address.
struct Parts<'t> {
    addr: &'t str,
    in_brackets: bool,
    zone: Option<&'t str>,
    len: Option<&'t str>,
    port: Option<&'t str>,
}

/// Splits an address into its parts; `None` if brackets do not match.
fn split_addr(word: &str) -> Option<Parts<'_>> {
    let (inside, behind, in_brackets) = match word.strip_prefix('[') {
        Some(rest) => {
            let (inside, behind) = rest.split_once(']')?;
            (inside, behind, true)
        }
        None => (word, "", false),
    };
    // After a bracket come a prefix length and a port.  Otherwise a port follows a single
    // colon, or a wildcard follows the colons of an IPv6 address.
    let (inside, len, port) = if in_brackets {
        let (len, port) = match behind.split_once(':') {
            Some((len, port)) => (len, Some(port)),
            None => (behind, None),
        };
        let len = match len.strip_prefix('/') {
            Some(len) => Some(len),
            None if len.is_empty() => None,
            None => return None,
        };
        (inside, len, port)
    } else if let Some(addr) = inside.strip_suffix(":*") {
        (addr, None, Some("*"))
    } else if inside.matches(':').count() == 1 {
        let (addr, port) = inside.split_once(':')?;
        (addr, None, Some(port))
    } else {
        (inside, None, None)
    };
    let (inside, len) = match (inside.split_once('/'), len) {
        (Some((inside, len)), None) => (inside, Some(len)),
        (Some(_), Some(_)) => return None,
        (None, len) => (inside, len),
    };
    let (addr, zone) = match inside.split_once('%') {
        Some((addr, zone)) => (addr, Some(zone)),
        None => (inside, None),
    };
    Some(Parts { addr, in_brackets, zone, len, port })
}

/// The network described by the parts of an address; the IPv4 network if the address is
/// v4-mapped.
fn prefix(parts: &Parts<'_>) -> Option<Prefix> {
    let text = match parts.len {
        Some(len) => format!("{}/{len}", parts.addr),
        // An IPv4 address of fewer than four numbers is more likely a mistake.
        None if parts.addr.contains(':') || parts.addr.matches('.').count() == 3 => parts.addr.to_owned(),
        None => return None,
    };
    match host::prefix(text.as_bytes(), None)? {
        Prefix::V6(octets, len @ 96..) if Addr::V6(octets).mapped_v4().is_some() => {
            Some(Prefix::V4(Addr::V6(octets).mapped_v4()?, len - 96))
        }
        prefix => Some(prefix),
    }
}

/// A single address as a prefix; `None` if it is not an Internet address.
pub(super) fn whole(addr: Addr) -> Option<Prefix> {
    match addr.one_host() {
        Addr::V4(octets) => Some(Prefix::V4(octets, 32)),
        Addr::V6(octets) => Some(Prefix::V6(octets, 128)),
        _ => None,
    }
}
