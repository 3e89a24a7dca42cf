//! What a listener accepts, from where it can be reached, and how full its queue is.
//!
//! A listener here is a socket in the state LISTEN, or a UDP-like socket that is bound and has
//! no peer.  Firewalls and routes are not considered: this is what the socket itself would
//! accept.
//!
//! Source: ip(7), ipv6(7) (`IPV6_V6ONLY`), listen(2); ranges of RFC 1918,
//! 3927, 4193, 4291, 5771 and 6598.

use sockdiag_wire::ipproto::{IPPROTO_UDP, IPPROTO_UDPLITE};

use super::memory::DROPS;
use super::{Field, Groups, Needs, Style, Text, Unit, Word, plain, word};
use crate::model::{Addr, Detail, Family, Row, Socket, State};
use crate::number::put_u64;

const LISTEN: u8 = State::Listen as u8;
const CLOSE: u8 = State::Close as u8;
const UDP: [u16; 2] = [IPPROTO_UDP, IPPROTO_UDPLITE];

fn is_listening(socket: &Socket<'_>) -> bool {
    socket.state == LISTEN && matches!(socket.detail, Detail::Inet(_) | Detail::Proc(_) | Detail::Unix(_))
}

/// The address of a listener, if its family is inet.
fn accepting(row: &Row<'_>) -> Option<Addr> {
    let socket = row.socket;
    let inet = matches!(socket.detail, Detail::Inet(_) | Detail::Proc(_));
    let bound = UDP.contains(&socket.protocol)
        && socket.state == CLOSE
        && socket.remote.port == 0
        && socket.local.port != 0;
    (inet && (is_listening(socket) || bound)).then_some(socket.local.addr)
}

/// The distance from which a listener can be reached, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Loopback,
    LinkLocal,
    Private,
    Multicast,
    Global,
    /// A wildcard address: every address of the interface, or of all interfaces.
    Any,
}

/// The words of [`Scope`], in its order.
const SCOPES: &[Word] = &[
    Word::text("loopback"),
    Word::text("link-local"),
    Word::text("private"),
    Word::text("multicast"),
    Word::text("global"),
    Word::text("any"),
];

/// The words of [`accepts`].
const ACCEPTS: &[Word] = &[Word::text("ipv4"), Word::text("ipv6"), Word::text("ipv4+ipv6")];

impl Scope {
    fn name(self) -> &'static str {
        SCOPES.get(self as usize).map_or("", |word| word.name())
    }

    fn of(addr: Addr) -> Option<Self> {
        let v4 = |[a, b, c, d]: [u8; 4]| match (a, b) {
            (0, 0) if (c, d) == (0, 0) => Self::Any,
            (127, _) => Self::Loopback,
            (169, 254) => Self::LinkLocal,
            (10, _) | (192, 168) | (172, 16..=31) | (100, 64..=127) => Self::Private,
            (224..=239, _) => Self::Multicast,
            _ => Self::Global,
        };
        Some(match (addr, addr.mapped_v4()) {
            (Addr::V4(octets), _) | (_, Some(octets)) => v4(octets),
            (Addr::V6(octets), None) => match octets {
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last @ 0..=1] => {
                    if last == 1 {
                        Self::Loopback
                    } else {
                        Self::Any
                    }
                }
                [0xfe, 0x80..=0xbf, ..] => Self::LinkLocal,
                [0xfc | 0xfd, ..] => Self::Private,
                [0xff, ..] => Self::Multicast,
                _ => Self::Global,
            },
            _ => return None,
        })
    }
}

/// The IP versions that a listener accepts.
fn accepts(row: &Row<'_>) -> Option<&'static str> {
    let addr = accepting(row)?;
    Some(match (row.socket.family, addr) {
        (Family::Inet, _) => "ipv4",
        (_, addr) if addr.mapped_v4().is_some() => "ipv4",
        (_, Addr::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])) => {
            // Text of /proc does not show it.
            let v6only = row.socket.attrs()?.v6only()? != 0;
            if v6only { "ipv6" } else { "ipv4+ipv6" }
        }
        _ => "ipv6",
    })
}

/// The farthest scope from which it can be reached, given the addresses of the namespace.
fn reach(row: &Row<'_>) -> Option<Scope> {
    let scope = Scope::of(accepting(row)?)?;
    if scope != Scope::Any {
        return Some(scope);
    }
    let versions = accepts(row)?;
    let mut farthest = None;
    row.names.addresses?.addresses(row.socket.ifindex, &mut |addr| {
        let version = if matches!(addr, Addr::V4(_)) { "ipv4" } else { "ipv6" };
        if versions.contains(version) {
            farthest = farthest.max(Scope::of(addr));
        }
    });
    farthest
}

/// Fields of `--exposure`.
pub(super) const EXPOSURE: &[Field] = &[
    Field::new(
        "listen.accepts",
        word!(ACCEPTS, |r| accepts(r)),
        "IP versions that a listener accepts.",
        "idiag_family, idiag_src, INET_DIAG_SKV6ONLY",
    )
    .group(Groups::EXPOSURE)
    .shape("accepts:ipv4+ipv6")
    .text(Text::Custom(|out, r, _| {
        if let Some(versions) = accepts(r) {
            out.extend_from_slice(b" accepts:");
            out.extend_from_slice(versions.as_bytes());
        }
    })),
    Field::new(
        "listen.scope",
        word!(SCOPES, |r| Some(Scope::of(accepting(r)?)?.name())),
        "Scope of the address that a listener is bound to; for any, ss adds listen.reach, such as any(private).",
        "idiag_src",
    )
    .group(Groups::EXPOSURE)
    .shape("scope:REACH")
    .text(Text::Custom(fmt_scope)),
    Field::new(
        "listen.reach",
        word!(SCOPES, |r| Some(reach(r)?.name())),
        "Widest scope from which a listener can be reached: its own scope, or, for any, the widest among the \
         addresses of its interface or, if unbound, of its namespace. Firewalls are not considered.",
        "idiag_src, idiag_if, RTM_GETADDR",
    )
    .needs(Needs::ADDRESSES)
    .group(Groups::EXPOSURE)
    .text(Text::PartOf("listen.scope")),
    Field::new(
        "listen.backlog",
        plain!(|r| r.socket.told_recv_q().filter(|_| is_listening(r.socket))),
        "Connections in the accept queue.",
        "idiag_rqueue, UNIX_DIAG_RQLEN",
    )
    .gauge(Unit::Count)
    .group(Groups::EXPOSURE)
    .shape("backlog:N/LIMIT")
    .text(Text::Custom(|out, r, _| {
        // Without its limit, the queue length adds nothing to Recv-Q.
        if is_listening(r.socket)
            && let (Some(waiting), Some(limit)) = (r.socket.told_recv_q(), r.socket.told_send_q())
        {
            out.extend_from_slice(b" backlog:");
            put_u64(out, waiting.into());
            out.push(b'/');
            put_u64(out, limit.into());
        }
    })),
    Field::new(
        "listen.backlog_limit",
        plain!(|r| r.socket.told_send_q().filter(|_| is_listening(r.socket))),
        "Limit of the accept queue: the backlog of listen(2), capped by net.core.somaxconn. The queue holds one \
         connection more.",
        "idiag_wqueue, UNIX_DIAG_RQLEN",
    )
    .gauge(Unit::Count)
    .level()
    .group(Groups::EXPOSURE)
    .text(Text::PartOf("listen.backlog")),
    Field::new(
        "listen.backlog_use",
        plain!(|r| {
            let (recv_q, send_q) = (r.socket.told_recv_q()?, r.socket.told_send_q()?);
            (is_listening(r.socket) && send_q > 0).then(|| f64::from(recv_q) / f64::from(send_q))
        }),
        "Accept queue length as a share of its limit. Above 1, new connections are dropped: the kernel queues one \
         more than the limit, so at 1 there is room for one.",
        "idiag_rqueue, idiag_wqueue, UNIX_DIAG_RQLEN",
    )
    .gauge(Unit::Share)
    .group(Groups::EXPOSURE)
    .text(Text::PartOf("listen.backlog")),
    // The drops caused by a full queue, next to the queue's length.
    DROPS.group(Groups::EXPOSURE).shape("drops:N").text(Text::Custom(|out, r, _| {
        let drops = r.socket.sk_mem_info().and_then(|mem| mem.drops());
        if let Some(drops) = drops.filter(|drops| *drops > 0 && accepting(r).is_some()) {
            out.extend_from_slice(b" drops:");
            put_u64(out, drops.into());
        }
    })),
];

/// Appends ` scope:private`; for a wildcard address also its reach, ` scope:any(global)`.
fn fmt_scope(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(scope) = accepting(row).and_then(Scope::of) else { return };
    out.extend_from_slice(b" scope:");
    out.extend_from_slice(scope.name().as_bytes());
    if let Some(reach) = reach(row).filter(|_| scope == Scope::Any) {
        out.push(b'(');
        out.extend_from_slice(reach.name().as_bytes());
        out.push(b')');
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn addresses_have_scopes() {
        for (addr, want) in [
            ("0.0.0.0", "any"),
            ("::", "any"),
            ("::ffff:0.0.0.0", "any"),
            ("127.0.0.1", "loopback"),
            ("127.255.0.9", "loopback"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::2", "global"),
            ("0.0.0.1", "global"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "global"),
            ("10.0.0.1", "private"),
            ("172.15.0.1", "global"),
            ("172.16.0.1", "private"),
            ("172.31.0.1", "private"),
            ("172.32.0.1", "global"),
            ("192.168.0.1", "private"),
            ("192.169.0.1", "global"),
            ("100.63.0.1", "global"),
            ("100.64.0.1", "private"),
            ("100.128.0.1", "global"),
            ("fd00::1", "private"),
            ("fc00::1", "private"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("8.8.8.8", "global"),
            ("2001:db8::1", "global"),
        ] {
            let parsed = match addr.parse().expect("an address") {
                IpAddr::V4(v4) => Addr::V4(v4.octets()),
                IpAddr::V6(v6) => Addr::V6(v6.octets()),
            };
            assert_eq!(Scope::of(parsed).map(Scope::name), Some(want), "{addr}");
        }
        assert_eq!(Scope::of(Addr::None), None);
        assert_eq!(Scope::of(Addr::Number(1)), None);
    }
}
