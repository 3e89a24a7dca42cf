//! Crafted kernel replies, and a way to make programs take them for real ones.
//!
//! `tools/kernels/gen/nlplay.c`, preloaded into a program (`LD_PRELOAD`), keeps it from
//! opening netlink sockets and answers its requests from a file.  A [`Talk`] is such a file:
//! it allows comparing families that this machine's kernel lacks, and replies that no kernel
//! sends.
//!
//! Each answer in the file is used once; a request without an answer left fails with `ENOENT`.
//!
//! Source: the format is that of `tools/kernels/gen/nltap.c`; messages are
//! those of linux/vm_sockets_diag.h, linux/tipc_netlink.h, linux/xdp_diag.h,
//! linux/smc_diag.h.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

pub mod netpkt;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::compare::Case;
use crate::nl::{self, DONE, ERROR, F_MULTI};
use crate::{Doing, Why};

const SOCK_DIAG: u16 = 4;
const ROUTE: u16 = 0;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;

/// The library that answers, built on first use.
///
/// # Errors
/// If there is no C compiler.
pub fn library() -> Result<PathBuf, Why> {
    static LIBRARY: OnceLock<Result<PathBuf, Why>> = OnceLock::new();
    LIBRARY.get_or_init(build).clone()
}

fn build() -> Result<PathBuf, Why> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/kernels/gen/nlplay.c");
    let exe = std::env::current_exe().doing("finding the running program")?;
    let directory = exe.parent().unwrap_or(Path::new("."));
    // Other test programs may build it at the same time, so each builds its own file first.
    let (ours, built) = (format!("nlplay-{}.so", std::process::id()), directory.join("nlplay.so"));
    let ours = directory.join(ours);
    let out = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .args([&ours, &source])
        .output()
        .doing("running cc")?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(Why::new(format!("cc refuses {}:\n{said}", source.display())));
    }
    std::fs::rename(&ours, &built).doing(format_args!("making {}", built.display()))?;
    Ok(built)
}

/// A file of requests and replies.
#[derive(Clone, Debug, Default)]
pub struct Talk(Vec<u8>);

impl Talk {
    /// A kernel that answers every request with `ENOENT`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers one request for the sockets of a family with these datagrams.
    #[must_use]
    pub fn sockets(mut self, family: u8, datagrams: &[Vec<u8>]) -> Self {
        self.answer(SOCK_DIAG, SOCK_DIAG_BY_FAMILY, &[family, 0, 0, 0], datagrams);
        self
    }

    /// Answers one request for an inet table, by family and protocol (of MPTCP: 6).
    #[must_use]
    pub fn inet(mut self, family: u8, protocol: u8, datagrams: &[Vec<u8>]) -> Self {
        self.answer(SOCK_DIAG, SOCK_DIAG_BY_FAMILY, &[family, protocol, 0, 0], datagrams);
        self
    }

    /// Answers one request of the kind that kernels had before families, by type: 18 TCP, 19
    /// DCCP.
    #[must_use]
    pub fn legacy(mut self, kind: u16, datagrams: &[Vec<u8>]) -> Self {
        self.answer(SOCK_DIAG, kind, &[2, 0, 0, 0], datagrams);
        self
    }

    /// Answers one request for all interfaces, given by index and name.
    #[must_use]
    pub fn links<N: AsRef<[u8]>>(mut self, links: &[(u32, N)]) -> Self {
        let mut datagram = Vec::new();
        for (index, name) in links {
            let mut body = vec![0; 16];
            body.splice(4..8, index.to_ne_bytes());
            nl::attr(&mut body, 3, &[name.as_ref(), b"\0"].concat());
            datagram.extend(nl::message(RTM_NEWLINK, F_MULTI, 1, &body));
        }
        self.answer(ROUTE, RTM_GETLINK, &[0; 16], &[datagram, done(0)]);
        self
    }

    fn answer(&mut self, protocol: u16, kind: u16, body: &[u8], datagrams: &[Vec<u8>]) {
        self.record(b'O', protocol, &[]);
        self.record(b'S', protocol, &nl::message(kind, DUMP, 1, body));
        for datagram in datagrams {
            self.record(b'R', protocol, datagram);
        }
        self.record(b'C', protocol, &[]);
    }

    fn record(&mut self, kind: u8, protocol: u16, payload: &[u8]) {
        let len = (payload.len() as u32).to_le_bytes();
        self.0.extend_from_slice(&[b'N', b'L', b'T', b'1', kind, 0]);
        self.0.extend_from_slice(&protocol.to_le_bytes());
        self.0.extend_from_slice(&3_u32.to_le_bytes());
        self.0.extend_from_slice(&len);
        self.0.extend_from_slice(&len);
        self.0.extend_from_slice(payload);
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Why> {
        std::fs::write(path, &self.0).doing(format_args!("writing {}", path.display()))
    }
}

/// Makes a case's program talk to the file instead of the kernel.
///
/// # Errors
/// See [`library`].
pub fn with<'a>(case: Case<'a>, talk: &Path) -> Result<Case<'a>, Why> {
    Ok(case.env("LD_PRELOAD", library()?).env("NLPLAY_FILE", talk))
}

/// A socket: one message of a reply.
pub fn socket(payload: &[u8]) -> Vec<u8> {
    nl::message(SOCK_DIAG_BY_FAMILY, F_MULTI, 1, payload)
}

/// The end of a reply, with zero or an errno.
pub fn done(errno: i32) -> Vec<u8> {
    nl::message(DONE, F_MULTI, 1, &(-errno).to_ne_bytes())
}

/// A refusal, with an errno.
pub fn refusal(errno: i32) -> Vec<u8> {
    let request = nl::message(SOCK_DIAG_BY_FAMILY, DUMP, 1, &[]);
    nl::message(ERROR, 0, 1, &[&(-errno).to_ne_bytes()[..], &request].concat())
}

/// A refusal too short to contain an error code.
pub fn short_refusal() -> Vec<u8> {
    nl::message(ERROR, 0, 1, b"abc")
}

/// The same rows, marked as from a table that changed during the dump.
pub fn interrupted(mut rows: Vec<u8>) -> Vec<u8> {
    /// `NLM_F_DUMP_INTR`.
    const DUMP_INTR: u8 = 0x10;
    // The low byte of the first message's flags, for either byte order.
    let at = if cfg!(target_endian = "big") { 7 } else { 6 };
    if let Some(flags) = rows.get_mut(at) {
        *flags |= DUMP_INTR;
    }
    rows
}

/// Words in the machine's byte order.
pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// An attribute, padded.
pub fn attr(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    nl::attr(&mut bytes, kind, payload);
    bytes
}

/// A vsock socket: type, state, the directions shut down, and context id and port of both
/// ends.
pub fn vsock(kind: u8, state: u8, shutdown: u8, src: (u32, u32), dst: (u32, u32)) -> Vec<u8> {
    let rest = words(&[src.0, src.1, dst.0, dst.1, 4_000_000_001, 5, 0]);
    socket(&[vec![40, kind, state, shutdown], rest].concat())
}

/// An XDP socket: inode, cookie, attributes.
pub fn xdp(inode: u32, cookie: u32, attrs: &[Vec<u8>]) -> Vec<u8> {
    socket(&[vec![44, 3, 0, 0], words(&[inode, cookie, 0]), attrs.concat()].concat())
}

/// A TIPC socket of inode 4000000007: type, state, owner, further attributes.
pub fn tipc(kind: u32, state: u32, uid: u32, attrs: &[Vec<u8>]) -> Vec<u8> {
    let own = [
        attr(1, &words(&[0x0100_1002])),
        attr(2, &words(&[1234])),
        attr(6, &words(&[kind])),
        attr(7, &words(&[4_000_000_007])),
        attr(8, &words(&[uid])),
        attr(9, &words(&[state])),
        attr(10, &words(&[0x99, 0])),
    ];
    socket(&attr(2, &[own.concat(), attrs.concat()].concat()))
}

/// Any context id, or any port.
pub const ANY: u32 = u32::MAX;

/// Vsock sockets of every type, with extreme values in every number.
pub fn vsocks() -> Vec<u8> {
    let mut rows = vec![
        vsock(1, 1, 0, (3, 1024), (2, 22)),
        vsock(5, 10, 3, (ANY, 80), (ANY, ANY)),
        vsock(2, 7, 1, (1, 0), (ANY, 0)),
        vsock(3, 6, 0, (0, ANY), (0, 0)),
        vsock(1, 2, 2, (9, 1023), (8, 7)),
        vsock(0, 11, 0, (ANY - 1, ANY - 1), (2, ANY - 1)),
    ];
    rows.extend((0..14).map(|state| vsock(1, state, 0, (3, 40_000), (2, 50_000))));
    rows.concat()
}

/// XDP sockets, with and without each attribute.
pub fn xdps() -> Vec<u8> {
    let memory = |rmem: u32| attr(8, &words(&[rmem, 2, 3, 4, 5, 6, 7, 8, 9]));
    let info = |index: u32, queue: u32| attr(1, &words(&[index, queue]));
    let umem = |flags: u32| attr(5, &words(&[4096, 1, 1, 2, 3, 4, 5, 6, flags, 8]));
    let ring = |kind: u16, entries: u32| attr(kind, &words(&[entries]));
    let stats = attr(9, &words(&[1, 0, 2, 0, 3, 1, 4, 0, 5, 0, ANY, ANY]));
    let all = [info(1, 5), attr(2, &words(&[1000])), memory(1), stats.clone(), umem(1)].concat();
    [
        xdp(1, 7, &[all.clone(), ring(3, 2048), ring(4, 1), ring(6, 512), ring(7, ANY)]),
        xdp(2, 8, &[all.clone(), ring(4, 1024), ring(7, 64)]),
        xdp(3, 9, &[info(2, 40_000), memory(ANY), ring(3, 1), umem(2)]),
        // Rings of a packet memory (UMEM) that is missing.
        xdp(4, 10, &[info(2, 0), memory(0), ring(6, 3), ring(7, 4)]),
        xdp(0, 11, &[info(0, 0), memory(5)]),
        xdp(6, 12, &[memory(6), stats.clone()]),
        // An interface without a name, with a short memory report, and with none.
        xdp(7, 13, &[info(77, 3), attr(8, &words(&[9, 2, 3, 4, 5, 6, 7])), stats]),
        xdp(8, 14, &[info(1, 61_000)]),
    ]
    .concat()
}

/// One SMC socket: state, mode, identity (48 bytes), and attributes.
pub fn smc(state: u8, mode: u8, id: &[u8; 48], attrs: &[Vec<u8>]) -> Vec<u8> {
    let inode = 4_000_000_009_u64.to_ne_bytes();
    let head = [&[43, state, mode, 0][..], id, &words(&[1000]), &inode].concat();
    socket(&[head, attrs.concat()].concat())
}

/// An identity as SMC reports it: addresses, ports, and a cookie.
pub fn smc_id(local: (&[u8], u16), remote: (&[u8], u16), cookie: u32) -> [u8; 48] {
    let mut id = [0; 48];
    for (at, (addr, port)) in [local, remote].into_iter().enumerate() {
        id[2 * at..2 * at + 2].copy_from_slice(&port.to_be_bytes());
        let addr_at = 4 + 16 * at;
        id[addr_at..addr_at + addr.len()].copy_from_slice(addr);
    }
    id[40..44].copy_from_slice(&cookie.to_ne_bytes());
    id
}

/// SMC sockets of every state and mode, with and without each attribute.
pub fn smcs() -> Vec<u8> {
    let (one, two) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let fallback = |reason: u32, peer: u32| attr(5, &words(&[reason, peer]));
    let shutdown = |mask: u8| attr(3, &[mask]);
    let mut cursors = words(&[0x1234, 65_536, 131_072, 16_384]);
    for cursor in [[1, 2], [3, 4], [5, 6], [7, 8]] {
        // A cursor's first half is unused.
        cursors.extend(words(&[cursor[0] << 16, cursor[1]]));
    }
    cursors.extend([0x81, 2, 0x40, 0x20]);
    for cursor in [[9, 10], [11, 12], [13, 14]] {
        cursors.extend(words(&[cursor[0] << 16, cursor[1]]));
    }
    let conn = attr(1, &cursors);
    let mut link = vec![0; 147];
    link[0] = 3;
    link[1..7].copy_from_slice(b"mlx5_0");
    link[65] = 1;
    link[66..73].copy_from_slice(b"fe80::1");
    link[106..113].copy_from_slice(b"fe80::2");
    link[146] = 1;
    let group = attr(2, &link);
    let dmb = attr(4, &words(&[9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14]));
    let id = smc_id((&one, 7201), (&two, 40_000), 5);
    let mut rows = vec![
        smc(1, 0, &id, &[shutdown(0), fallback(0, 0), conn.clone(), group]),
        smc(1, 2, &id, &[shutdown(1), fallback(0, 0), conn, dmb]),
        smc(1, 1, &id, &[shutdown(2), fallback(0x0303_0000, 0)]),
        smc(1, 1, &smc_id((&six, 1), (&six, 2), 6), &[shutdown(3), fallback(0x0500_0000, 0x0303_0000)]),
        smc(1, 1, &id, &[fallback(0x7777_0000, 0)]),
        smc(10, 0, &smc_id((&[], 7201), (&[], 0), 7), &[shutdown(0), fallback(0, 0)]),
        smc(2, 0, &[0; 48], &[]),
        smc(1, 9, &id, &[]),
    ];
    rows.extend((0..30).map(|state| smc(state, 0, &id, &[shutdown(0)])));
    rows.concat()
}

/// TIPC sockets of every type and state, with and without each attribute.
pub fn tipcs() -> Vec<u8> {
    let con = |flag: bool, sock: u32| {
        let rest = [(2, 0x0100_1001), (3, sock), (4, 18), (5, 19)];
        let rest = rest.iter().flat_map(|(kind, word)| attr(*kind, &words(&[*word])));
        let flag = if flag { attr(1, &[]) } else { Vec::new() };
        attr(3, &flag.into_iter().chain(rest).collect::<Vec<_>>())
    };
    let stat = |rcvq: u32, drop: u32, flags: &[u16]| {
        let flags = flags.iter().flat_map(|flag| attr(*flag, &[]));
        let queues = [attr(0, &words(&[rcvq])), attr(1, &words(&[6])), attr(4, &words(&[drop]))];
        attr(5, &flags.chain(queues.concat()).collect::<Vec<_>>())
    };
    let publ = attr(4, &[]);
    let mut rows = vec![
        tipc(1, 1, 1000, &[con(true, 4242), stat(5, 9, &[]), publ.clone()]),
        tipc(2, 7, 1000, &[stat(5, 9, &[2])]),
        tipc(4, 10, 0, &[stat(ANY, ANY, &[3]), publ]),
        tipc(5, 1, 1, &[con(false, ANY), stat(0, 0, &[2, 3])]),
        // A member of a group.
        tipc(4, 7, 0, &[stat(0, 1, &[]), attr(12, &attr(1, &words(&[3])))]),
    ];
    rows.extend((0..14).map(|state| tipc(1, state, state, &[con(state % 2 == 0, state), stat(0, 0, &[])])));
    rows.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_nltap_writes_them() {
        let talk = Talk::new().sockets(40, &[vsock(1, 1, 0, (3, 4), (5, 6)), done(0)]);
        let mut rest = talk.0.as_slice();
        let mut kinds = String::new();
        while let Some((head, after)) = rest.split_first_chunk::<20>() {
            assert_eq!(&head[..4], b"NLT1");
            kinds.push(head[4] as char);
            let len = u32::from_le_bytes([head[16], head[17], head[18], head[19]]) as usize;
            rest = &after[len..];
        }
        assert_eq!((kinds.as_str(), rest), ("OSRRC", &[][..]));
    }

    #[test]
    fn samples_are_whole_messages() {
        for (rows, least) in [(vsocks(), 20), (xdps(), 8), (tipcs(), 19), (smcs(), 38)] {
            let (mut rest, mut count) = (rows.as_slice(), 0);
            while let Some((len, kind)) = nl::header(rest) {
                assert_eq!(kind, SOCK_DIAG_BY_FAMILY);
                rest = &rest[len.next_multiple_of(4)..];
                count += 1;
            }
            assert!(rest.is_empty() && count >= least, "{count}");
        }
    }
}
