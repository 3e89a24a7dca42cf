//! Host conditions: the values of `src`, `dst`, `sport` and `dport`, and how a word is parsed
//! into one.
//!
//! The address family determines the syntax of a word: the family that the word names
//! (`unix:`, `link:`, `netlink:`, `vsock:`, `inet:`, `inet6:`), or else the preferred one.
//!
//! Source: the manual page ss(8), section HOST SYNTAX, and the observed behaviour of `ss`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::{FilterError, HostError};
use super::{Lookups, Transport};
use crate::cnum;
use crate::model::protocol_names;
use crate::model::{Addr, Family, Table, TableSet};

/// An address and the number of its significant leading bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Any address of any family.
    Any,
    /// IPv4, at most 32 bits.  With 0 bits, it matches any IPv4 address in the kernel and any
    /// address at all in `ss`.
    V4([u8; 4], u8),
    /// IPv6, at most 128 bits; with 0 bits likewise.
    V6([u8; 16], u8),
}

/// A condition on one end of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostCondition {
    /// Addresses of which one must match (never empty), and the port, if given.
    Inet {
        /// One address, unless it came from a host name with several.
        prefixes: Vec<Prefix>,
        /// The port may be any `long`; only 0 to 65535 can match.
        port: Option<i64>,
    },
    /// A shell pattern for the name of a unix socket.
    Unix(Vec<u8>),
    /// Other families, whose addresses are 32-bit numbers.
    Number {
        /// `Packet`, `Netlink` or `Vsock`.
        family: Family,
        /// Link protocol, netlink protocol or CID.
        addr: Option<u32>,
        /// Interface index, port id or port.
        port: Option<i64>,
    },
}

impl HostCondition {
    /// The prefix for the family of an inet address; empty for other families, whose values
    /// always name their family.
    pub(super) fn inet_family(&self) -> &'static str {
        match self {
            Self::Inet { prefixes, .. } => match prefixes.as_slice() {
                [Prefix::V6(..), ..] => "inet6:",
                _ => "inet:",
            },
            _ => "",
        }
    }

    /// Whether the kernel has to compare the socket's family.
    pub(super) fn names_a_family(&self) -> bool {
        match self {
            Self::Inet { prefixes, .. } => prefixes.iter().any(|p| *p != Prefix::Any),
            _ => true,
        }
    }
}

/// The operand that a word is a value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A value of `src` or `dst`.
    Address,
    /// A value of `sport` or `dport`.
    Port,
}

/// Families by their prefix.
const FAMILIES: [(&[u8], Family); 6] = [
    (b"unix:", Family::Unix),
    (b"link:", Family::Packet),
    (b"netlink:", Family::Netlink),
    (b"vsock:", Family::Vsock),
    (b"inet:", Family::Inet),
    (b"inet6:", Family::Inet6),
];

/// Parses a host value; also returns the family that it restricts the listing to.
pub(super) fn parse(
    word: &[u8],
    meaning: Meaning,
    preferred: Option<Family>,
    tables: TableSet,
    lookups: &mut dyn Lookups,
) -> Result<(HostCondition, Option<Family>), FilterError> {
    let named = FAMILIES.iter().find_map(|(prefix, family)| Some((word.strip_prefix(*prefix)?, *family)));
    let (word, family) = match named {
        Some((rest, family)) => (rest, Some(family)),
        None => (word, preferred),
    };
    let condition = match family {
        Some(Family::Unix) => Ok(HostCondition::Unix(word.to_vec())),
        Some(family @ (Family::Packet | Family::Netlink | Family::Vsock)) => {
            number(word, meaning, family, lookups).ok_or(None)
        }
        // Addresses of SMC sockets are IPv4 or IPv6.
        Some(Family::Smc) => inet(word, meaning, None, tables, lookups),
        family => inet(word, meaning, family, tables, lookups),
    };
    Ok((condition.map_err(FilterError::Host)?, family))
}

/// Parses a value of a family whose addresses are numbers.
fn number(word: &[u8], meaning: Meaning, family: Family, lookups: &mut dyn Lookups) -> Option<HostCondition> {
    let (addr, port) = match (meaning, word.iter().position(|b| *b == b':')) {
        (Meaning::Port, _) => (None, Some(word.strip_prefix(b":").unwrap_or(word))),
        (Meaning::Address, None) => (Some(word), None),
        (Meaning::Address, Some(colon)) => (word.get(..colon), word.get(colon + 1..)),
    };
    let addr = match (addr, family) {
        (None | Some(b"" | b"*"), _) => None,
        (Some(name), Family::Packet) => Some(protocol_names::link_protocol(name)?),
        (Some(name), Family::Netlink) => Some(lookups.netlink_protocol(name)?),
        (Some(name), _) => Some(cnum::unsigned(name, u32::MAX.into())? as u32),
    };
    let port = match (port, family) {
        // Only for vsock is an empty port an error.
        (Some(b""), Family::Vsock) => return None,
        (None | Some(b"" | b"*"), _) => None,
        (Some(name), Family::Packet) => {
            Some(cnum::long(name).or_else(|| interface(name, lookups).map(i64::from))?)
        }
        (Some(b"kernel"), Family::Netlink) => Some(0),
        (Some(name), Family::Netlink) => Some(cnum::long(name)?),
        (Some(name), _) => Some(cnum::unsigned(name, u32::MAX.into())? as i64),
    };
    Some(HostCondition::Number { family, addr, port: port.filter(|p| *p != -1) })
}

/// The index of an interface that is given by name or as `if7`.
pub(super) fn interface(name: &[u8], lookups: &mut dyn Lookups) -> Option<u32> {
    let by_name = lookups.interface(name).filter(|index| *index != 0);
    by_name.or_else(|| cnum::scanf_u(name.strip_prefix(b"if")?).filter(|index| *index != 0))
}

/// Parses an Internet address, a port, or both.
fn inet(
    word: &[u8],
    meaning: Meaning,
    family: Option<Family>,
    tables: TableSet,
    lookups: &mut dyn Lookups,
) -> Result<HostCondition, Option<HostError>> {
    let (host, port) = match meaning {
        // In a port, text after a bracket is ignored.
        Meaning::Port => match word {
            [b'[', rest @ ..] => {
                let close = rest.iter().position(|b| *b == b']').ok_or(None)?;
                (&b""[..], rest.get(..close))
            }
            _ => (&b""[..], Some(word)),
        },
        Meaning::Address => split(word).ok_or(None)?,
    };
    let port = match port {
        None => None,
        Some(port) => port_number(port, tables, lookups)?,
    };
    let prefixes = match host {
        [] | [b'*', ..] => vec![Prefix::Any],
        host => addresses(host, family, lookups).ok_or_else(|| Some(HostError::Address(host.to_vec())))?,
    };
    Ok(HostCondition::Inet { prefixes, port })
}

/// Splits `HOST:PORT`; `None` if a bracket is not closed.
fn split(word: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    match word {
        [b'[', rest @ ..] => {
            let close = rest.iter().position(|b| *b == b']')?;
            Some((rest.get(..close)?, rest.get(close + 1..)))
        }
        [b'*', rest @ ..] => Some((b"*", Some(rest))),
        _ => {
            // The colons of an IPv6 address precede its prefix length.
            let slash = word.iter().position(|b| *b == b'/').unwrap_or(0);
            match word.iter().rposition(|b| *b == b':').filter(|colon| *colon >= slash) {
                Some(colon) => Some((word.get(..colon)?, word.get(colon + 1..))),
                None => Some((word, None)),
            }
        }
    }
}

/// Parses a port: a number, a service name, or nothing for any port.
fn port_number(
    word: &[u8],
    tables: TableSet,
    lookups: &mut dyn Lookups,
) -> Result<Option<i64>, Option<HostError>> {
    let word = word.strip_prefix(b":").unwrap_or(word);
    if matches!(word, [] | [b'*', ..]) {
        return Ok(None);
    }
    if let Some(number) = cnum::long(word) {
        return Ok(Some(number).filter(|n| *n != -1));
    }
    // If the ports of tcp and udp differ, the reference uses tcp's.  (If only udp has one, it
    // uses the last entry of /etc/services, which helps nobody.)
    let mut service = |table, transport| {
        if tables.contains(table) { lookups.service(word, transport) } else { None }
    };
    let found = service(Table::Tcp, Transport::Tcp).or_else(|| service(Table::Udp, Transport::Udp));
    match found.or_else(|| lookups.rpc_service(word)) {
        Some(port) => Ok(Some(port.into())),
        None => Err(Some(HostError::Port(word.to_vec()))),
    }
}

/// Parses an address with an optional prefix length, or resolves a host name.
fn addresses(host: &[u8], family: Option<Family>, lookups: &mut dyn Lookups) -> Option<Vec<Prefix>> {
    if let Some(prefix) = prefix(host, family) {
        return Some(vec![prefix]);
    }
    let family = match family {
        None | Some(Family::Inet | Family::Inet6) if !host.contains(&b':') => family,
        _ => return None,
    };
    let found = lookups.hosts(host, family);
    let prefixes: Vec<Prefix> = found
        .into_iter()
        .map(|addr| match addr {
            Addr::V4(octets) => Prefix::V4(octets, 32),
            Addr::V6(octets) => Prefix::V6(octets, 128),
            // Host lookups only return IPv4 and IPv6 addresses.
            Addr::Number(_) | Addr::None => Prefix::Any,
        })
        .collect();
    (!prefixes.is_empty()).then_some(prefixes)
}

pub(super) fn prefix(host: &[u8], family: Option<Family>) -> Option<Prefix> {
    let slash = host.iter().position(|b| *b == b'/');
    let (addr, len) = match slash {
        Some(slash) => (host.get(..slash)?, host.get(slash + 1..)),
        None => (host, None),
    };
    if is_any(addr) {
        return match (len, family) {
            (Some(_), _) => None,
            (None, Some(Family::Inet)) => Some(Prefix::V4([0; 4], 0)),
            (None, Some(Family::Inet6)) => Some(Prefix::V6([0; 16], 0)),
            (None, _) => Some(Prefix::Any),
        };
    }
    if addr.contains(&b':') {
        let octets = std::str::from_utf8(addr).ok()?.parse::<Ipv6Addr>().ok()?.octets();
        let fits = matches!(family, None | Some(Family::Inet6));
        fits.then_some(Prefix::V6(octets, prefix_len(len, 128)?))
    } else {
        let octets = ipv4(addr)?;
        (family != Some(Family::Inet6)).then_some(Prefix::V4(octets, prefix_len(len, 32)?))
    }
}

fn is_any(word: &[u8]) -> bool {
    matches!(word, b"default" | b"any" | b"all")
}

/// Parses the length after a slash: a number, or a mask of contiguous bits.
fn prefix_len(word: Option<&[u8]>, max: u8) -> Option<u8> {
    let Some(word) = word else { return Some(max) };
    if is_any(word) {
        return Some(0);
    }
    if let Some(len) = cnum::unsigned(word, u64::MAX) {
        return u8::try_from(len).ok().filter(|len| *len <= max);
    }
    let mask = u32::from_be_bytes(ipv4(word)?);
    (mask.leading_ones() + mask.trailing_zeros() >= 32).then_some(mask.leading_ones() as u8)
}

/// Parses up to four numbers in any base; missing ones are zero.
fn ipv4(word: &[u8]) -> Option<[u8; 4]> {
    let mut octets = [0; 4];
    let mut places = octets.iter_mut();
    for part in word.split(|b| *b == b'.') {
        *places.next()? = cnum::unsigned(part, 255)? as u8;
    }
    Some(octets)
}

impl fmt::Display for HostCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(pattern) => {
                f.write_str("unix:")?;
                // Escapes the pattern as the lexer expects it.
                for byte in String::from_utf8_lossy(pattern).chars() {
                    if matches!(byte, '\\' | ' ' | '\t') {
                        f.write_str("\\")?;
                    }
                    write!(f, "{byte}")?;
                }
                Ok(())
            }
            Self::Number { family, addr, port } => {
                f.write_str(match family {
                    Family::Packet => "link:",
                    Family::Netlink => "netlink:",
                    _ => "vsock:",
                })?;
                match addr {
                    Some(addr) => write!(f, "{addr}")?,
                    None => f.write_str("*")?,
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Inet { prefixes, port } => {
                for (at, prefix) in prefixes.iter().enumerate() {
                    if at > 0 {
                        f.write_str("|")?;
                    }
                    match prefix {
                        Prefix::Any => f.write_str("*")?,
                        Prefix::V4(octets, len) => write!(f, "{}/{len}", Ipv4Addr::from(*octets))?,
                        Prefix::V6(octets, len) => write!(f, "[{}/{len}]", Ipv6Addr::from(*octets))?,
                    }
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}
