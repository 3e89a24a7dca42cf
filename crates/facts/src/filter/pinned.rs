//! Filters that only a single connection can satisfy, since they give both addresses and both
//! ports.
//!
//! Such a socket can be requested by its identity, which takes microseconds, while a dump
//! walks the whole table.
//!
//! Invariant: every socket that passes the filter has the pinned identity.  The filter may
//! contain further conditions, so the result is still tested.

use super::expr::{End, Expr, Node, Test};
use super::host::{HostCondition, Prefix};
use crate::model::Addr;

/// One connection, identified by its two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The local address; of the same family as the remote one.
    pub local: Addr,
    /// The local port; not 0.
    pub local_port: u16,
    /// The remote address.
    pub remote: Addr,
    /// The remote port; not 0.
    pub remote_port: u16,
}

/// What the filter requires of one end.
#[derive(Default)]
struct Side {
    addr: Option<Addr>,
    port: Option<u16>,
}

/// The connection that a filter pins.
///
/// `None` for filters that the reference does not send to the kernel: they compare addresses
/// without their families, so an IPv4 address does not determine which sockets match.  Also
/// `None` for conditions that only the kernel can test (`autobound`, `fwmark`), since it does
/// not test a socket that is requested by its identity.
pub fn pinned(expr: &Expr) -> Option<Pinned> {
    let tested_here = |test: &Test| {
        matches!(test, Test::Host(..) | Test::PortAtLeast(..) | Test::PortAtMost(..) | Test::Cgroup(..))
    };
    if !expr.reference_compiles() || !expr.tests().all(tested_here) {
        return None;
    }
    let (mut local, mut remote) = (Side::default(), Side::default());
    let nodes = expr.nodes();
    let mut todo = vec![nodes.len().checked_sub(1)?];
    while let Some(at) = todo.pop() {
        match nodes.get(at)? {
            Node::And(left) => todo.extend([*left, at.checked_sub(1)?]),
            Node::Test(Test::Host(end, HostCondition::Inet { prefixes, port })) => {
                let side = match end {
                    End::Local => &mut local,
                    End::Remote => &mut remote,
                };
                if let [prefix] = prefixes.as_slice() {
                    side.addr = side.addr.or(whole(*prefix));
                }
                side.port = side.port.or(port.and_then(|port| u16::try_from(port).ok()).filter(|p| *p != 0));
            }
            _ => {}
        }
    }
    let pinned = Pinned {
        local: local.addr?,
        local_port: local.port?,
        remote: remote.addr?,
        remote_port: remote.port?,
    };
    let same_family =
        matches!((pinned.local, pinned.remote), (Addr::V4(_), Addr::V4(_)) | (Addr::V6(_), Addr::V6(_)));
    same_family.then_some(pinned)
}

/// The local port of every socket that passes the filter; `None` if sockets with different
/// ports may pass.
pub fn local_port(expr: &Expr) -> Option<u16> {
    let nodes = expr.nodes();
    let mut todo = vec![nodes.len().checked_sub(1)?];
    while let Some(at) = todo.pop() {
        match nodes.get(at)? {
            Node::And(left) => todo.extend([*left, at.checked_sub(1)?]),
            Node::Test(Test::Host(End::Local, HostCondition::Inet { port: Some(port), .. })) => {
                return u16::try_from(*port).ok().filter(|port| *port != 0);
            }
            _ => {}
        }
    }
    None
}

/// The only address that a prefix covers.
///
/// `None` for a v4-mapped address, which needs a dump: by identity, the kernel would look for
/// an IPv4 socket.
fn whole(prefix: Prefix) -> Option<Addr> {
    match prefix {
        Prefix::V4(octets, 32) => Some(Addr::V4(octets)),
        Prefix::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..], _) => None,
        Prefix::V6(octets, 128) => Some(Addr::V6(octets)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{LOOPBACK6, read};
    use super::*;

    fn of(text: &str) -> Option<Pinned> {
        pinned(&read(text).unwrap().expr.unwrap())
    }

    #[test]
    fn a_port_that_every_socket_has() {
        let of = |text: &str| local_port(&read(text).unwrap().expr.unwrap());
        for (text, want) in [
            ("sport = :8080", Some(8080)),
            ("src 127.0.0.1:8080", Some(8080)),
            ("rtt > 5ms and sport = :8080 and dport = :1", Some(8080)),
            ("( sport = :8080 and not dport = :1 )", Some(8080)),
            ("dport = :8080", None),
            ("sport = :8080 or sport = :8081", None),
            ("not sport = :8080", None),
            ("sport != :8080", None),
            ("sport >= :8080", None),
            ("sport = :0", None),
            ("src 127.0.0.1", None),
        ] {
            assert_eq!(of(text), want, "{text}");
        }
    }

    #[test]
    fn both_ends_in_full_pin_a_connection() {
        let pin = Pinned {
            local: Addr::V4([127, 0, 0, 1]),
            local_port: 80,
            remote: Addr::V4([10, 0, 0, 1]),
            remote_port: 4000,
        };
        for text in [
            "src 127.0.0.1:80 dst 10.0.0.1:4000",
            "src 127.0.0.1 and sport = 80 and dst 10.0.0.1 and dport = 4000",
            "sport = 80 dst 10.0.0.1:4000 sport >= 1 src 127.0.0.1",
            "dst 10.0.0.1:4000 and src 127.0.0.1:80 and ( sport = 80 or dport = 7 )",
            "src localhost:80 dst 10.0.0.1:4000",
        ] {
            assert_eq!(of(text), Some(pin), "{text}");
        }
        let six = of("src [::1]:80 dst [::1]:81").unwrap();
        assert_eq!((six.local, six.remote_port), (Addr::V6(LOOPBACK6), 81));
    }

    #[test]
    fn anything_less_pins_nothing() {
        for text in [
            "src 127.0.0.1:80 dst 10.0.0.1",
            "src 127.0.0.1:80 dst 10.0.0.1:0",
            "src 127.0.0.1:80 dst 10.0.0.0/31:4000",
            "src 127.0.0.1:80 or dst 10.0.0.1:4000",
            "not ( src 127.0.0.1:80 dst 10.0.0.1:4000 )",
            "src 127.0.0.1:80 and not dst 10.0.0.1:4000",
            "src many:80 dst 10.0.0.1:4000",
            "src [::ffff:127.0.0.1]:80 dst [::ffff:10.0.0.1]:4000",
            "src 127.0.0.1:80 dst [::1]:4000",
            "src 127.0.0.1:80 dst 10.0.0.1:70000",
            "src 127.0.0.1:80 dst 10.0.0.1:4000 dev = lo",
            "src 127.0.0.1:80 dst 10.0.0.1:4000 autobound",
            "src 127.0.0.1:80 dst 10.0.0.1:4000 fwmark = 0",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
