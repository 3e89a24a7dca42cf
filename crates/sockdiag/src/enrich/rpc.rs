//! Names of RPC services: rpcbind reports which program listens on which port.
//!
//! One `RPCBPROC_DUMP` over rpcbind's local socket.  If rpcbind is missing, too slow or its
//! reply is malformed, there are no such names, and no notice is given.
//!
//! Source: RFC 5531 (calls, record marking), RFC 1833 (rpcbind version 4),
//! rpc(5) for names of programs.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use sockdiag_facts::scan;
use sockdiag_wire::ipproto::{IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP};

const SOCKET: &str = "/run/rpcbind.sock";
const TIMEOUT: Duration = Duration::from_secs(5);
/// More bytes than any rpcbind replies with.
const LONGEST_REPLY: usize = 1 << 20;

const XID: u32 = 0x7373_6469;
const CALL: u32 = 0;
const REPLY: u32 = 1;
const RPCBPROG: u32 = 100_000;
const RPCBVERS4: u32 = 4;
const RPCBPROC_DUMP: u32 = 4;

/// Names of RPC services by IP protocol and port; later entries replace earlier ones.
#[derive(Clone, Debug, Default)]
pub(super) struct RpcNames {
    names: HashMap<(u16, u16), Vec<u8>>,
}

impl RpcNames {
    /// Asks rpcbind.
    pub(super) fn ask() -> Self {
        let Some(reply) = dump() else { return Self::default() };
        let programs = fs::read("/etc/rpc").unwrap_or_default();
        Self::parse(&reply, &programs)
    }

    /// Parses the reply of a dump; `programs` is the text of a file as in rpc(5).
    fn parse(reply: &[u8], programs: &[u8]) -> Self {
        let mut names = Self::default();
        let mut words = Words(reply);
        // Entries read before an error in the reply are kept.
        let _ = words.entries(|program, protocol, port| {
            let name = program_name(programs, program);
            let name =
                [b"rpc.", name.unwrap_or_else(|| program.to_string().into_bytes()).as_slice()].concat();
            names.insert(protocol, port, name);
        });
        names
    }

    pub(super) fn insert(&mut self, protocol: u16, port: u16, name: Vec<u8>) {
        self.names.insert((protocol, port), name);
    }

    /// The name of a service; `None` searches all protocols.
    pub(super) fn name(&self, protocol: Option<u16>, port: u16) -> Option<&[u8]> {
        let protocols = [IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP]
            .into_iter()
            .filter(|number| protocol.is_none_or(|asked| asked == *number));
        protocols.filter_map(|protocol| self.names.get(&(protocol, port))).map(Vec::as_slice).next()
    }

    /// The lowest port of the service of this name.
    pub(super) fn port(&self, name: &[u8]) -> Option<u16> {
        self.names.iter().filter(|(_, known)| *known == name).map(|((_, port), _)| *port).min()
    }
}

/// Sends the call to rpcbind and returns its reply without record marks.
fn dump() -> Option<Vec<u8>> {
    let mut stream = UnixStream::connect(SOCKET).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.set_write_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(&call()).ok()?;
    read_record(&mut stream)
}

fn call() -> Vec<u8> {
    // No credentials and no verifier: flavour 0, length 0, twice.
    let words = [XID, CALL, 2, RPCBPROG, RPCBVERS4, RPCBPROC_DUMP, 0, 0, 0, 0];
    let mark = LAST_FRAGMENT | (words.len() * 4) as u32;
    std::iter::once(mark).chain(words).flat_map(u32::to_be_bytes).collect()
}

const LAST_FRAGMENT: u32 = 1 << 31;

fn read_record(stream: &mut dyn Read) -> Option<Vec<u8>> {
    let mut record = Vec::new();
    loop {
        let mut mark = [0; 4];
        stream.read_exact(&mut mark).ok()?;
        let mark = u32::from_be_bytes(mark);
        let start = record.len();
        let end = start.checked_add((mark & !LAST_FRAGMENT) as usize)?;
        if end > LONGEST_REPLY {
            return None;
        }
        record.resize(end, 0);
        stream.read_exact(record.get_mut(start..)?).ok()?;
        if mark & LAST_FRAGMENT != 0 {
            return Some(record);
        }
    }
}

/// Reads XDR: big-endian words, strings padded to four bytes.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.word()? as usize;
        let string = self.0.get(..length)?;
        self.0 = self.0.get(length.checked_next_multiple_of(4)?..)?;
        Some(string)
    }

    /// Parses an accepted reply and passes on program, protocol and port of each entry that
    /// listens on every address.
    fn entries(&mut self, mut entry: impl FnMut(u32, u16, u16)) -> Option<()> {
        let (xid, kind, status) = (self.word()?, self.word()?, self.word()?);
        // Accepted (0), any verifier, success (0).
        self.word()?;
        self.string()?;
        if (xid, kind, status, self.word()?) != (XID, REPLY, 0, 0) {
            return None;
        }
        while self.word()? != 0 {
            let (program, _version) = (self.word()?, self.word()?);
            let (netid, addr, _owner) = (self.string()?, self.string()?, self.string()?);
            let protocol = match netid {
                b"tcp" | b"tcp6" => IPPROTO_TCP,
                b"udp" | b"udp6" => IPPROTO_UDP,
                b"sctp" => IPPROTO_SCTP,
                _ => continue,
            };
            if let Some(port) = port_of(addr) {
                entry(program, protocol, port);
            }
        }
        Some(())
    }
}

/// The port of a universal address if it is the wildcard.  Like the reference, reads two
/// numbers and ignores the rest.
fn port_of(addr: &[u8]) -> Option<u16> {
    let port = addr.strip_prefix(b"::.").or_else(|| addr.strip_prefix(b"0.0.0.0."))?;
    let (high, rest) = scan::integer(port)?;
    let (low, _) = scan::integer(rest.strip_prefix(b".")?)?;
    u16::try_from(high.checked_mul(256)?.checked_add(low)?).ok()
}

/// The name of a program in a file as in rpc(5): `NAME NUMBER ALIAS...`.
fn program_name(programs: &[u8], number: u32) -> Option<Vec<u8>> {
    programs.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.split(|byte| *byte == b'#').next()?;
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (name, known) = (words.next()?, words.next()?);
        (std::str::from_utf8(known).ok()?.parse() == Ok(number)).then(|| name.to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(out: &mut Vec<u8>, text: &[u8]) {
        out.extend((text.len() as u32).to_be_bytes());
        out.extend(text);
        out.resize(out.len().next_multiple_of(4), 0);
    }

    fn reply(entries: &[(u32, &str, &str)]) -> Vec<u8> {
        let mut out: Vec<u8> = [XID, REPLY, 0, 0, 0, 0].into_iter().flat_map(u32::to_be_bytes).collect();
        for (program, netid, addr) in entries {
            out.extend([1, *program, 4].into_iter().flat_map(u32::to_be_bytes));
            string(&mut out, netid.as_bytes());
            string(&mut out, addr.as_bytes());
            string(&mut out, b"superuser");
        }
        out.extend(0_u32.to_be_bytes());
        out
    }

    const PROGRAMS: &[u8] =
        b"# comment\nportmapper\t100000\tportmap sunrpc rpcbind\nnfs 100003 nfsprog # x\n";

    #[test]
    fn entries_for_every_address_have_names() {
        let reply = reply(&[
            (100_000, "tcp6", "::.0.111"),
            (100_000, "local", "/run/rpcbind.sock"),
            (100_003, "udp", "0.0.0.0.8.1"),
            (100_003, "tcp", "10.0.0.1.8.1"),
            (400_000, "sctp", "0.0.0.0.200.0"),
            (100_003, "tcp", "0.0.0.0.0.111"),
        ]);
        let names = RpcNames::parse(&reply, PROGRAMS);
        assert_eq!(names.name(Some(IPPROTO_TCP), 111), Some(&b"rpc.nfs"[..]), "later entries win");
        assert_eq!(names.name(Some(IPPROTO_UDP), 2049), Some(&b"rpc.nfs"[..]));
        assert_eq!(names.name(Some(IPPROTO_TCP), 2049), None);
        assert_eq!(names.name(None, 51200), Some(&b"rpc.400000"[..]));
        assert_eq!(names.port(b"rpc.nfs"), Some(111));
        assert_eq!(names.port(b"rpc.portmapper"), None);
    }

    #[test]
    fn damaged_replies_are_safe() {
        let whole = reply(&[(100_000, "tcp6", "::.0.111"), (100_003, "udp", "0.0.0.0.8.1")]);
        for len in 0..whole.len() {
            let names = RpcNames::parse(&whole[..len], PROGRAMS);
            assert!(names.names.len() <= 2);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let _ = RpcNames::parse(&damaged, PROGRAMS);
        }
        let endless = [0x7f_u8, 0xff, 0xff, 0xff];
        assert_eq!(read_record(&mut &endless[..]), None);
        let fragments = [0, 0, 0, 1, b'a', 0x80, 0, 0, 2, b'b', b'c'];
        assert_eq!(read_record(&mut &fragments[..]).as_deref(), Some(&b"abc"[..]));
    }

    #[test]
    fn ports_are_two_bytes() {
        assert_eq!(port_of(b"::.1.2"), Some(258));
        for (odd, port) in [
            (&b"0.0.0.0.08.05"[..], Some(2053)),
            (b"0.0.0.0.8.6.7", Some(2054)),
            (b"0.0.0.0. 8.14", Some(2062)),
            (b"0.0.0.0.8.15x", Some(2063)),
            (b"0.0.0.0.1.+4", Some(260)),
            (b"0.0.0.0.8.272", Some(2320)),
            (b"0.0.0.0.300.6", None),
            (b"0.0.0.0.-1.12", None),
            (b"0.0.0.0.99999999999999999999.1", None),
            (b"0.0.0.0.1", None),
            (b"0.0.0.0.x.1", None),
        ] {
            assert_eq!(port_of(odd), port, "{odd:?}");
        }
        assert_eq!(port_of(b"1.2.3.4.0.111"), None);
    }
}
