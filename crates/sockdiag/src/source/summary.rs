//! The kernel's own counts of sockets, as `-s` shows them.
//!
//! A value that a file lacks is absent; only the text output shows it as zero.  Files are
//! parsed as the reference does: a line is a key, then words and numbers in turn, and
//! numbers are found by position only.
//!
//! Source: `net/sockstat`, `net/sockstat6` and `net/snmp` of proc(5).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sockdiag_wire::errno::ESRCH;

use super::Access;
use super::sources::Sources;
use crate::namespaces::Entered;
use crate::notice::Notice;
use sockdiag_facts::scan;

/// More bytes than these files ever hold.
const LONGEST: u64 = 1 << 20;

/// How many sockets there are.  Numbers are signed as the kernel prints them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sockets of every kind (`sockets: used`).
    pub used: Option<i64>,
    /// IPv4 TCP sockets in a hash table (`TCP: inuse`).
    pub tcp: Option<i64>,
    /// TCP sockets that no process holds, both families (`TCP: orphan`).
    pub tcp_orphans: Option<i64>,
    /// TCP sockets in TIME-WAIT, both families (`TCP: tw`).
    pub tcp_time_wait: Option<i64>,
    /// TCP sockets allocated, in any state and of both families (`TCP: alloc`).
    pub tcp_allocated: Option<i64>,
    /// TCP connections in ESTABLISHED or CLOSE-WAIT (`Tcp: CurrEstab`).
    pub tcp_established: Option<i64>,
    /// IPv4 UDP sockets.
    pub udp: Option<i64>,
    /// IPv4 raw sockets.
    pub raw: Option<i64>,
    /// IPv4 packets that wait for fragments.
    pub frag: Option<i64>,
    /// IPv6 TCP sockets in a hash table.
    pub tcp6: Option<i64>,
    /// IPv6 UDP sockets.
    pub udp6: Option<i64>,
    /// IPv6 raw sockets.
    pub raw6: Option<i64>,
    /// IPv6 packets that wait for fragments.
    pub frag6: Option<i64>,
}

/// Reads the counts.  A file that cannot be read leaves its counts absent and gives a
/// notice, except that a lack of IPv6 gives none.
pub fn summary(sources: &Sources, notices: &mut dyn FnMut(Notice)) -> Summary {
    counts(sources, &|path| sources.open(path, &Access::here()), notices)
}

/// The same for another namespace, which has its own files.
pub fn summary_in(place: &Entered, sources: &Sources, notices: &mut dyn FnMut(Notice)) -> Summary {
    counts(sources, &|path| place.opener.open(path), notices)
}

fn counts(
    sources: &Sources,
    open: &dyn Fn(&Path) -> io::Result<File>,
    notices: &mut dyn FnMut(Notice),
) -> Summary {
    let file = |set: &Option<OsString>, name| {
        contents(open(&set.as_ref().map_or_else(|| sources.proc_file(name), PathBuf::from)))
    };
    let mut counts = Summary::default();
    match file(&sources.proc_net_sockstat, "net/sockstat") {
        Ok(text) => counts.take_sockstat(&text),
        Err(errno) => notices(Notice::SockstatFailed { errno }),
    }
    if let Ok(text) = file(&sources.proc_net_sockstat6, "net/sockstat6") {
        counts.take_sockstat(&text);
    }
    match file(&sources.proc_net_snmp, "net/snmp").and_then(|text| current_estab(&text).ok_or(ESRCH)) {
        Ok(count) => counts.tcp_established = count,
        Err(errno) => notices(Notice::SnmpFailed { errno }),
    }
    counts
}

/// The contents of a file, or the error number; a file that can be opened but not read
/// counts as empty.
fn contents(file: io::Result<File>) -> Result<Vec<u8>, i32> {
    let file = file.map_err(|error| error.raw_os_error().unwrap_or(0))?;
    let mut text = Vec::new();
    let _ = file.take(LONGEST).read_to_end(&mut text);
    Ok(text)
}

impl Summary {
    /// Parses the counts of either sockstat file; the files share no key.  Of two lines
    /// with one key the later wins, as far as it has numbers.
    fn take_sockstat(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            let Some(blank) = line.iter().position(|byte| *byte == b' ') else { continue };
            let (key, numbers) = line.split_at(blank);
            let slots: &mut [&mut Option<i64>] = match key {
                b"sockets:" => &mut [&mut self.used],
                b"TCP:" => &mut [
                    &mut self.tcp,
                    &mut self.tcp_orphans,
                    &mut self.tcp_time_wait,
                    &mut self.tcp_allocated,
                ],
                b"UDP:" => &mut [&mut self.udp],
                b"RAW:" => &mut [&mut self.raw],
                b"FRAG:" => &mut [&mut self.frag],
                b"TCP6:" => &mut [&mut self.tcp6],
                b"UDP6:" => &mut [&mut self.udp6],
                b"RAW6:" => &mut [&mut self.raw6],
                b"FRAG6:" => &mut [&mut self.frag6],
                _ => continue,
            };
            let mut rest = numbers;
            for slot in slots {
                let Some((number, after)) = scan::skip_word(rest).and_then(scan::integer) else { break };
                **slot = Some(number);
                rest = after;
            }
        }
    }
}

/// `CurrEstab` from the first `Tcp:` line and the line below it: the number in the same
/// column.  `None` if the column is missing (the reference then takes the last column);
/// `Some(None)` if it holds no number.
#[allow(clippy::option_option)] // no such place, and no number there, are told apart
fn current_estab(text: &[u8]) -> Option<Option<i64>> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let names = lines.by_ref().find(|line| line.starts_with(b"Tcp:"))?;
    let numbers = lines.next().filter(|line| line.starts_with(b"Tcp:"))?;
    let place = names.split(|byte| *byte == b' ').position(|name| name == b"CurrEstab")?;
    let number = numbers.split(|byte| *byte == b' ').nth(place)?;
    Some(scan::integer(number).map(|(number, _)| number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockstat(text: &str) -> Summary {
        let mut counts = Summary::default();
        counts.take_sockstat(text.as_bytes());
        counts
    }

    #[test]
    fn numbers_are_told_by_their_place() {
        let counts = sockstat(
            "sockets: used 100\nTCP: inuse 5 orphan 1 tw 2 alloc 10 mem 3\nUDP: a\t4 b 5\nRAW:\tinuse\t9\n\
             FRAG: x 7 memory 8\n TCP: inuse 6\nTCP:inuse 6\nUDPLITE: inuse 6\n",
        );
        let want = Summary {
            used: Some(100),
            tcp: Some(5),
            tcp_orphans: Some(1),
            tcp_time_wait: Some(2),
            tcp_allocated: Some(10),
            udp: Some(4),
            frag: Some(7),
            ..Summary::default()
        };
        assert_eq!(counts, want);
    }

    #[test]
    fn what_is_not_said_is_absent() {
        let counts = sockstat("TCP: inuse 5 orphan x tw 2\nUDP:\nRAW: 5 6\nsockets: used\n");
        assert_eq!(counts, Summary { tcp: Some(5), raw: Some(6), ..Summary::default() });
        let later = sockstat("TCP6: a 1\nTCP6: b 2\nTCP6: \n");
        assert_eq!(later, Summary { tcp6: Some(2), ..Summary::default() });
    }

    #[test]
    fn the_number_stands_where_the_name_stands() {
        for (text, want) in [
            ("Ip: x\nIp: 1\nTcp: A CurrEstab B\nTcp: 1 77 3\n", Some(Some(77))),
            ("Tcp:  B  CurrEstab C\nTcp:  1  2 3\n", Some(Some(2))),
            ("Tcp: B CurrEstab C\nTcp:  1  2 3\n", Some(Some(1))),
            ("Tcp: CurrEstab\nTcp: 5", Some(Some(5))),
            ("Tcp: CurrEstab\nTcp: -7x", Some(Some(-7))),
            ("Tcp: CurrEstab\nTcp: x", Some(None)),
            ("TcpExt: CurrEstab\nTcpExt: 1\nTcp: CurrEstab\nTcp: 7\n", Some(Some(7))),
            ("Tcp: CurrEstab\nUdp: 1\nTcp: 7\n", None),
            ("Tcp: A CurrEstab\nTcp: 1\n", None),
            ("Tcp: A B\nTcp: 1 2\n", None),
            ("Tcp: CurrEstab\n", None),
            ("", None),
        ] {
            assert_eq!(current_estab(text.as_bytes()), want, "{text:?}");
        }
    }
}
