//! Whether ours took its shortcuts on a kernel, seen in its recorded requests.
//!
//! A shortcut is a request that the reference never makes.  That its rows are
//! right is what the comparison shows; that it was taken at all, and that the
//! kernel did not refuse it, is shown here.
//!
//! Source: linux/sock_diag.h, linux/inet_diag.h, linux/netlink.h; the format of
//! recordings: tools/kernels/gen/nltap.c.

const TCPDIAG_GETSOCK: u16 = 18;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NETLINK_SOCK_DIAG: u16 = 4;
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const DEV_COND: u8 = 9;
const S_EQ: u8 = 11;
const D_EQ: u8 = 12;

/// A request that the reference never makes.
pub(crate) struct Shortcut {
    pub(crate) name: &'static str,
    /// Tapped lines that take it.
    pub(crate) lines: &'static [&'static str],
    taken: fn(&Traffic) -> bool,
}

/// What has to be taken on every kernel of the matrix.
pub(crate) const SHORTCUTS: &[Shortcut] = &[
    Shortcut {
        name: "one walk for both families",
        lines: &["-tan", "-tani", "-tan sport = :5001", "-tan dev lo"],
        taken: |traffic| traffic.kinds() == [TCPDIAG_GETSOCK],
    },
    Shortcut {
        name: "ports by equality",
        lines: &["-tan sport = :5001", "-tan sport = :8004 or dport = :8004"],
        taken: |traffic| traffic.has_op(S_EQ) || traffic.has_op(D_EQ),
    },
    Shortcut {
        name: "devices in the kernel",
        lines: &["-tan dev lo", "-tan dev = lo and sport = :5005"],
        taken: |traffic| traffic.has_op(DEV_COND),
    },
];

impl Shortcut {
    /// Whether a recorded run took it, and the kernel went along.
    pub(crate) fn taken(&self, recording: &[u8]) -> bool {
        let traffic = Traffic::read(recording);
        !traffic.refused && (self.taken)(&traffic)
    }
}

/// What was asked of sock_diag in one run.
#[derive(Debug, Default)]
struct Traffic {
    /// Type and what follows the message's header.
    requests: Vec<(u16, Vec<u8>)>,
    refused: bool,
}

impl Traffic {
    fn read(mut bytes: &[u8]) -> Self {
        let mut traffic = Self::default();
        while let Some((head, rest)) = bytes.split_at_checked(20) {
            let len = u32_at(head, 16) as usize;
            let Some((payload, rest)) = rest.split_at_checked(len) else { break };
            bytes = rest;
            if u16_at(head, 6) != NETLINK_SOCK_DIAG || payload.len() < 16 {
                continue;
            }
            match head.get(4) {
                Some(b'S') => {
                    traffic
                        .requests
                        .push((u16_at(payload, 4), payload.get(16..).unwrap_or_default().to_vec()));
                }
                Some(b'R') => traffic.refused |= u16_at(payload, 4) == NLMSG_ERROR,
                _ => {}
            }
        }
        traffic
    }

    fn kinds(&self) -> Vec<u16> {
        self.requests.iter().map(|(kind, _)| *kind).collect()
    }

    /// Whether a program that was sent has such an instruction.
    fn has_op(&self, code: u8) -> bool {
        self.requests.iter().any(|(kind, request)| {
            let fixed = match *kind {
                TCPDIAG_GETSOCK => 60,
                SOCK_DIAG_BY_FAMILY => 56,
                _ => return false,
            };
            let Some((_, attribute)) = request.split_at_checked(fixed) else { return false };
            if attribute.len() < 4 || u16_at(attribute, 2) != INET_DIAG_REQ_BYTECODE {
                return false;
            }
            let program = attribute.get(4..usize::from(u16_at(attribute, 0))).unwrap_or_default();
            let mut rest = program;
            // "yes" leads to the next instruction, past what belongs to this one.
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

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cases::TAPPED;

    fn record(kind: u8, message: u16, body: &[u8]) -> Vec<u8> {
        let mut payload = vec![0; 16];
        payload[4..6].copy_from_slice(&message.to_le_bytes());
        payload.extend_from_slice(body);
        let mut bytes = b"NLT1".to_vec();
        bytes.extend_from_slice(&[kind, 0, 4, 0]);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }

    #[test]
    fn requests_programs_and_refusals_are_seen() {
        let mut body = vec![0; 60];
        body.extend_from_slice(&[20, 0, 1, 0]);
        // sport >= 1, then dport == 80
        body.extend_from_slice(&[2, 8, 20, 0, 0, 0, 1, 0, D_EQ, 8, 12, 0, 0, 0, 80, 0]);
        body[60] = 20;
        let asked = record(b'S', TCPDIAG_GETSOCK, &body);
        let traffic = Traffic::read(&asked);
        assert_eq!(traffic.kinds(), [18]);
        assert!(traffic.has_op(D_EQ) && !traffic.has_op(S_EQ) && !traffic.refused);
        assert!(SHORTCUTS[0].taken(&asked) && SHORTCUTS[1].taken(&asked) && !SHORTCUTS[2].taken(&asked));
        let refused = [asked, record(b'R', NLMSG_ERROR, &[0; 20])].concat();
        assert!(!SHORTCUTS[0].taken(&refused));
        assert!(!SHORTCUTS[0].taken(&[]));
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
