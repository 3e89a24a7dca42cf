//! Checks that ours took its shortcuts on a kernel, from its recorded requests.
//!
//! A shortcut is a request that the reference never makes.  The comparison shows that its rows
//! are right; this module shows that it was taken at all and that the kernel accepted it.
//!
//! Source: linux/sock_diag.h, linux/inet_diag.h, linux/netlink.h.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use sockdiag_wire::attr::attrs;
use sockdiag_wire::bytecode::{INET_DIAG_BC_D_EQ, INET_DIAG_BC_DEV_COND, INET_DIAG_BC_S_EQ};
use sockdiag_wire::bytes::u32_at;
use sockdiag_wire::inet_req::INET_DIAG_REQ_BYTECODE;
use sockdiag_wire::netlink::{
    HEADER_LEN, Header, NLM_F_DUMP, NLMSG_ERROR, SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK,
};

use crate::tap::{self, Way};

/// Length of `struct inet_diag_req`, and the offset of its states.
const LEGACY: (usize, usize) = (60, 52);
/// The same for `struct inet_diag_req_v2`.
const MODERN: (usize, usize) = (56, 4);
/// `TCP_CLOSE` as a bit: no table contains such a socket, but requesting it makes the kernel
/// walk all connections.
const CLOSE: u32 = 1 << 7;

/// A request that the reference never makes.
pub(crate) struct Shortcut {
    pub(crate) name: &'static str,
    /// Tapped lines that must take it.
    pub(crate) lines: &'static [&'static str],
    taken: fn(&Traffic) -> bool,
}

/// The shortcuts that must be taken on every kernel of the matrix.
pub(crate) const SHORTCUTS: &[Shortcut] = &[
    Shortcut {
        name: "one walk for both families",
        lines: &["-tan", "-tani", "-tan sport = :5001", "-tan dev lo"],
        taken: |traffic| traffic.kinds() == [TCPDIAG_GETSOCK],
    },
    Shortcut {
        name: "ports by equality",
        lines: &["-tan sport = :5001", "-tan sport = :8004 or dport = :8004"],
        taken: |traffic| traffic.has_op(INET_DIAG_BC_S_EQ) || traffic.has_op(INET_DIAG_BC_D_EQ),
    },
    Shortcut {
        name: "devices in the kernel",
        lines: &["-tan dev lo", "-tan dev = lo and sport = :5005"],
        taken: |traffic| traffic.has_op(INET_DIAG_BC_DEV_COND),
    },
    Shortcut {
        name: "listeners without a walk of the connections",
        lines: &["-tln", "-tlne", "-tln4", "-tln6", "-tln sport = :8000"],
        taken: |traffic| traffic.states().is_some_and(|states| states & CLOSE == 0),
    },
    Shortcut {
        name: "one connection by its ends",
        lines: &[
            "-tan src 127.0.0.1:20000 and dst 127.0.0.1:8000",
            "-tan src 127.0.0.1:8000 and dst 127.0.0.1:20000",
            "-tan src [::1]:20004 and dst [::1]:8001",
        ],
        taken: |traffic| !traffic.requests.is_empty() && traffic.requests.iter().all(|one| !one.dump),
    },
];

impl Shortcut {
    /// Whether a recorded run took the shortcut and the kernel accepted it.
    pub(crate) fn taken(&self, recording: &[u8]) -> bool {
        let traffic = Traffic::read(recording);
        !traffic.refused && (self.taken)(&traffic)
    }
}

/// The sock_diag requests of one run.
#[derive(Debug, Default)]
struct Traffic {
    requests: Vec<Request>,
    refused: bool,
}

/// One request.
#[derive(Debug)]
struct Request {
    kind: u16,
    /// Whether the request is for a dump.
    dump: bool,
    /// The bytes after the message header.
    body: Vec<u8>,
}

impl Request {
    /// The end of the fixed part, and the offset of the states in it.
    fn layout(&self) -> Option<(usize, usize)> {
        match self.kind {
            TCPDIAG_GETSOCK => Some(LEGACY),
            SOCK_DIAG_BY_FAMILY => Some(MODERN),
            _ => None,
        }
    }
}

impl Traffic {
    fn read(recording: &[u8]) -> Self {
        let mut traffic = Self::default();
        for (way, datagram) in tap::datagrams(recording) {
            let Some(header) = Header::parse(datagram) else { continue };
            match way {
                Way::Sent => traffic.requests.push(Request {
                    kind: header.kind,
                    dump: header.flags & NLM_F_DUMP == NLM_F_DUMP,
                    body: datagram.get(HEADER_LEN..).unwrap_or_default().to_vec(),
                }),
                Way::Received => traffic.refused |= header.kind == NLMSG_ERROR,
            }
        }
        traffic
    }

    fn kinds(&self) -> Vec<u16> {
        self.requests.iter().map(|request| request.kind).collect()
    }

    /// The requested states of all requests together; `None` without a request.
    fn states(&self) -> Option<u32> {
        let states = self.requests.iter().map(|request| u32_at(&request.body, request.layout()?.1));
        states.reduce(|all, one| Some(all? | one?))?
    }

    /// Whether a filter program in a request contains this instruction.
    fn has_op(&self, code: u8) -> bool {
        self.requests.iter().any(|request| {
            let Some((fixed, _)) = request.layout() else { return false };
            let Some((_, attributes)) = request.body.split_at_checked(fixed) else { return false };
            let mut attributes = attrs(attributes).filter(|one| one.kind == INET_DIAG_REQ_BYTECODE);
            let Some(program) = attributes.next().map(|one| one.payload) else { return false };
            let mut rest = program;
            // "yes" is the distance to the next instruction, past this one's argument.
            while let [op, yes, ..] = rest {
                if *op == code {
                    return true;
                }
                rest = rest.get(usize::from((*yes).max(4))..).unwrap_or_default();
            }
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cases::TAPPED;

    fn record(way: u8, kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        let len = (HEADER_LEN + body.len()) as u32;
        Header { len, kind, flags, seq: 0, pid: 0 }.encode(&mut payload);
        payload.extend_from_slice(body);
        tap::record(way, &payload)
    }

    #[test]
    fn requests_programs_and_refusals_are_seen() {
        let mut body = vec![0; 60];
        body.extend_from_slice(&[20, 0, 1, 0]);
        // sport >= 1, then dport == 80
        body.extend_from_slice(&[2, 8, 20, 0, 0, 0, 1, 0, INET_DIAG_BC_D_EQ, 8, 12, 0, 0, 0, 80, 0]);
        body[60] = 20;
        let asked = record(b'S', TCPDIAG_GETSOCK, NLM_F_DUMP, &body);
        let traffic = Traffic::read(&asked);
        assert_eq!(traffic.kinds(), [18]);
        assert!(traffic.has_op(INET_DIAG_BC_D_EQ) && !traffic.has_op(INET_DIAG_BC_S_EQ) && !traffic.refused);
        assert!(SHORTCUTS[0].taken(&asked) && SHORTCUTS[1].taken(&asked) && !SHORTCUTS[2].taken(&asked));
        let refused = [asked, record(b'R', NLMSG_ERROR, 0, &[0; 20])].concat();
        assert!(!SHORTCUTS[0].taken(&refused));
        assert!(SHORTCUTS.iter().all(|shortcut| !shortcut.taken(&[])));
    }

    #[test]
    fn states_and_single_sockets_are_seen() {
        let of = |name: &str| SHORTCUTS.iter().find(|shortcut| shortcut.name.contains(name)).expect("a name");
        let (listeners, one) = (of("listeners"), of("one connection"));
        let mut body = vec![0; 56];
        body[4..8].copy_from_slice(&(1_u32 << 10).to_le_bytes());
        let alone = record(b'S', SOCK_DIAG_BY_FAMILY, 0, &body);
        let dump = record(b'S', SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &body);
        assert!(one.taken(&alone) && !one.taken(&dump) && !one.taken(&[alone, dump.clone()].concat()));
        body[4] = 0x80;
        let closed = record(b'S', SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &body);
        assert!(listeners.taken(&dump) && !listeners.taken(&closed));
        assert!(!listeners.taken(&[dump, closed].concat()));
    }

    #[test]
    fn shortcuts_are_looked_for_in_lines_that_are_recorded() {
        for shortcut in SHORTCUTS {
            for line in shortcut.lines {
                assert!(TAPPED.contains(line), "{line}");
            }
        }
    }
}
