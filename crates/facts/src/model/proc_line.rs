//! One line of `/proc/net/{tcp,tcp6,udp,udp6,raw,raw6}`.
//!
//! ```text
//!   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer rto ato qack cwnd ssthresh
//!    0: 0100007F:07E8 0200007F:C350 01 00000005:00000007 01:00000014 00000003  1000        9 621 1 00000000f9d8e10f 100 4 13 10 7
//! ```
//!
//! Addresses are words in host order; their length shows the family.  Fields are parsed from
//! the left up to the first that is not a number, as `scanf` does; the remaining fields are
//! absent.  A number that is too large for its field keeps its low bits, as in a C program.
//!
//! Source: proc_net_tcp.rst, `get_tcp4_sock`; udp has the fields up to the pointer, and then
//! `drops`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use sockdiag_wire::ipproto::IPPROTO_TCP;

use super::families::Family;
use super::socket::{Addr, Detail, Endpoint, Origin, Socket, Timer};
use super::tables::Table;

/// Ticks per second of the times in these files (`USER_HZ`).
pub const USER_HZ: u32 = 100;

/// The number of numeric fields in a complete line, from the state to ssthresh.
const ALL_FIELDS: usize = 16;
/// The number of numeric fields in a line that includes the congestion control fields.
const WITH_RTO: usize = 12;

/// A parsed line; borrows its text.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcLine<'a> {
    line: &'a [u8],
    local: Option<Endpoint>,
    remote: Option<Endpoint>,
    fields: usize,
    state: u32,
    tx_queue: u32,
    rx_queue: u32,
    timer: u32,
    when: u32,
    retrnsmt: u32,
    uid: u32,
    probes: i32,
    inode: u32,
    pointer: u64,
    rto: i32,
    ato: i32,
    qack: i32,
    cwnd: u32,
    ssthresh: i32,
    rest: &'a [u8],
}

impl<'a> ProcLine<'a> {
    /// Parses a line without its newline; `None` if one of the two endpoints is missing.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        // The slot ends at the first colon; an endpoint is an address, a colon and four
        // digits.
        let (_, text) = split_at_colon(line)?;
        let (local, text) = endpoint(text.get(1..)?)?;
        let (remote, text) = endpoint(text)?;
        let (local, remote) = (Some(local), Some(remote));
        let mut parsed = Self { line, local, remote, ssthresh: -1, ..Self::default() };
        let mut scan = Scan { text };
        // Fails where the text is not a number; the fields before that are kept.
        let _ = parsed.read(&mut scan);
        if parsed.fields < WITH_RTO {
            (parsed.rto, parsed.ato, parsed.qack, parsed.cwnd, parsed.ssthresh) = (0, 0, 0, 2, -1);
        }
        if parsed.fields == ALL_FIELDS {
            parsed.rest = scan.text.trim_ascii_start();
        }
        Some(parsed)
    }

    fn read(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        self.state = self.count(scan.hex())? as u32;
        self.tx_queue = self.count(scan.hex())? as u32;
        scan.colon()?;
        self.rx_queue = self.count(scan.hex())? as u32;
        self.timer = self.count(scan.hex())? as u32;
        scan.colon()?;
        self.when = self.count(scan.hex())? as u32;
        self.retrnsmt = self.count(scan.hex())? as u32;
        self.uid = self.count(scan.decimal())? as u32;
        self.probes = self.count(scan.decimal())? as i32;
        self.inode = self.count(scan.decimal())? as u32;
        self.count(scan.decimal())?;
        self.pointer = self.count(scan.hex())?;
        self.rto = self.count(scan.decimal())? as i32;
        self.ato = self.count(scan.decimal())? as i32;
        self.qack = self.count(scan.decimal())? as i32;
        self.cwnd = self.count(scan.decimal())? as u32;
        self.ssthresh = self.count(scan.decimal())? as i32;
        Some(())
    }

    fn count<T>(&mut self, number: Option<T>) -> Option<T> {
        self.fields += usize::from(number.is_some());
        number
    }

    /// The socket that the line describes, as reported by the source `origin`.
    ///
    /// Only tcp lines have a timer and a cookie.  The cookie is the (hashed) pointer, which
    /// `ss -e` shows; the kernel does not accept it as the identity of a socket.
    pub fn socket(self, origin: Origin) -> Option<Socket<'a>> {
        let (local, remote) = (self.local?, self.remote?);
        let is_tcp = origin.table.protocol() == IPPROTO_TCP;
        let timer = if is_tcp { self.socket_timer() } else { Timer::default() };
        Some(Socket {
            origin,
            bytes: self.line,
            family: match local.addr {
                Addr::V6(_) => Family::Inet6,
                _ => Family::Inet,
            },
            // A line of /proc/net/raw does not contain the protocol.
            protocol: if origin.table == Table::Raw { 0 } else { origin.table.protocol() },
            state: self.state as u8,
            recv_q: self.rx_queue,
            send_q: self.tx_queue,
            local,
            remote,
            ifindex: 0,
            uid: self.uid,
            inode: self.inode,
            cookie: if is_tcp { self.pointer } else { 0 },
            timer,
            detail: Detail::Proc(self),
        })
    }

    fn socket_timer(&self) -> Timer {
        // Rounded up to whole milliseconds, in 32-bit arithmetic.
        let ticks_1000 = self.when.wrapping_mul(1000).wrapping_add(USER_HZ - 1);
        Timer {
            kind: self.timer as u8,
            expires_ms: ticks_1000 / USER_HZ,
            retrans: if self.timer == 1 { self.retrnsmt } else { self.probes as u32 },
        }
    }

    /// The number of numeric fields after the endpoints; 16 for a complete tcp line.
    pub fn fields(&self) -> usize {
        self.fields
    }

    /// Retransmission timeout, in ticks of 1/100 s; 0 if the line does not have it.
    pub fn rto_ticks(&self) -> i32 {
        self.rto
    }

    /// Delayed-ACK timeout, in ticks of 1/100 s; 0 if the line does not have it.
    pub fn ato_ticks(&self) -> i32 {
        self.ato
    }

    /// Twice the number of quick ACKs left, plus one in ping-pong mode.
    pub fn qack_raw(&self) -> i32 {
        self.qack
    }

    /// Congestion window, in segments; 2 if the line lacks the congestion control fields.
    pub fn cwnd(&self) -> u32 {
        self.cwnd
    }

    /// Slow-start threshold, in segments; -1 if none is set.
    pub fn ssthresh(&self) -> i32 {
        self.ssthresh
    }

    /// Unanswered zero-window or keepalive probes.
    pub fn probes(&self) -> i32 {
        self.probes
    }

    /// Unanswered retransmissions.
    pub fn retrnsmt(&self) -> u32 {
        self.retrnsmt
    }

    /// The text after ssthresh, without leading blanks; empty if there is none.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// The state by which `ss` filters a table: the second of the two digits after the endpoints,
/// or `NO_STATE` if it is missing.  `None` if an endpoint is missing.
pub fn state_digit(line: &[u8]) -> Option<u8> {
    let (_, text) = split_at_colon(line)?;
    let (_, text) = split_at_colon(text.get(1..)?)?;
    let (_, text) = split_at_colon(text.get(5..)?)?;
    let digit = text.get(6).copied().map(char::from).and_then(|c| c.to_digit(16));
    Some(digit.map_or(NO_STATE, |digit| digit as u8))
}

/// A number that no state has.
const NO_STATE: u8 = u8::MAX;

/// Splits before and after the first colon.
fn split_at_colon(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b':')?;
    let (before, after) = text.split_at_checked(at)?;
    Some((before, after.get(1..)?))
}

/// Parses `ADDRESS:PORT` and the blank after it; the port has four digits.
fn endpoint(text: &[u8]) -> Option<(Endpoint, &[u8])> {
    let (addr, after) = split_at_colon(text)?;
    let (port, rest) = (after.get(..4).unwrap_or(after), after.get(5..).unwrap_or_default());
    let (addr, whole) = address(addr.trim_ascii_start());
    let port = if whole { Scan { text: port }.hex().unwrap_or(0) as u16 } else { 0 };
    let port = i64::from(port);
    Some((Endpoint { addr, port }, rest))
}

/// Parses an address of words in host order; also returns whether the text contained nothing
/// else.
fn address(text: &[u8]) -> (Addr, bool) {
    if text.len() < 32 {
        let mut scan = Scan { text };
        let word = scan.hex().unwrap_or(0) as u32;
        return (Addr::V4(word.to_ne_bytes()), scan.text.is_empty());
    }
    let mut octets = [0; 16];
    let mut whole = text.len() == 32;
    for (word, digits) in octets.chunks_exact_mut(4).zip(text.chunks_exact(8)) {
        let mut scan = Scan { text: digits };
        word.copy_from_slice(&(scan.hex().unwrap_or(0) as u32).to_ne_bytes());
        whole &= scan.text.is_empty();
    }
    (Addr::V6(octets), whole)
}

/// Parses numbers as `scanf` does.
pub(super) struct Scan<'a> {
    pub(super) text: &'a [u8],
}

impl Scan<'_> {
    pub(super) fn colon(&mut self) -> Option<()> {
        self.text = self.text.strip_prefix(b":")?;
        Some(())
    }

    /// `%x`; a number of more than 64 bits becomes the maximum.
    pub(super) fn hex(&mut self) -> Option<u64> {
        self.number(16)
    }

    /// `%d`, in two's complement.
    pub(super) fn decimal(&mut self) -> Option<u64> {
        self.number(10)
    }

    fn number(&mut self, base: u32) -> Option<u64> {
        let text = self.text.trim_ascii_start();
        let (negative, mut text) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        if base == 16 && text.len() > 2 && (text.starts_with(b"0x") || text.starts_with(b"0X")) {
            text = text.get(2..)?;
        }
        let mut value: Option<u64> = None;
        while let Some((digit, rest)) = text.split_first()
            && let Some(digit) = char::from(*digit).to_digit(base)
        {
            let grown = value.unwrap_or(0).saturating_mul(base.into()).saturating_add(digit.into());
            (value, text) = (Some(grown), rest);
        }
        self.text = text;
        value.map(|value| if negative { value.wrapping_neg() } else { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::socket::SourceKind;
    use crate::model::tables::Table;

    const LINE: &[u8] =
        b"   0: 0100007F:07E8 0200007F:C350 01 00000005:00000007 01:00000014 00000003  1000        9 \
621 1 00000000f9d8e10f 100 4 13 10 7";
    const TCP: Origin = Origin::of(Table::Tcp, SourceKind::Proc);

    fn with(from: &str, to: &str) -> Vec<u8> {
        let line = std::str::from_utf8(LINE).unwrap();
        assert!(line.contains(from), "{from}");
        line.replacen(from, to, 1).into_bytes()
    }

    #[test]
    fn a_whole_line_gives_a_whole_socket() {
        let socket = ProcLine::parse(LINE).unwrap().socket(TCP).unwrap();
        assert_eq!(socket.family, Family::Inet);
        assert_eq!(socket.local, Endpoint { addr: Addr::V4([127, 0, 0, 1]), port: 2024 });
        assert_eq!(socket.remote, Endpoint { addr: Addr::V4([127, 0, 0, 2]), port: 50000 });
        assert_eq!((socket.state, socket.recv_q, socket.send_q), (1, 7, 5));
        assert_eq!(socket.timer, Timer { kind: 1, expires_ms: 200, retrans: 3 });
        assert_eq!((socket.uid, socket.inode, socket.cookie), (1000, 621, 0xf9d8_e10f));
        let line = *socket.proc_line().unwrap();
        assert_eq!((line.rto_ticks(), line.ato_ticks(), line.qack_raw()), (100, 4, 13));
        assert_eq!((line.cwnd(), line.ssthresh(), line.probes(), line.retrnsmt()), (10, 7, 9, 3));
        assert_eq!((line.fields(), line.rest()), (16, &b""[..]));
    }

    #[test]
    fn ipv6_is_known_by_its_width() {
        let line = with("0100007F:", "B80D01200000000067452301EFCDAB89:");
        let line = String::from_utf8(line).unwrap().replace("0200007F", "00000000000000000000000001000000");
        let socket = ProcLine::parse(line.as_bytes()).unwrap().socket(TCP).unwrap();
        assert_eq!(socket.family, Family::Inet6);
        let addr = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
        assert_eq!(socket.local, Endpoint { addr: Addr::V6(addr), port: 2024 });
        let one = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(socket.remote, Endpoint { addr: Addr::V6(one), port: 50000 });
    }

    /// Times that the reference prints for these ticks (`-o`, PROC_NET_TCP).
    #[test]
    fn timer_ticks_round_up_in_32_bits() {
        for (ticks, ms) in [
            ("00000000", 0),
            ("00000001", 10),
            ("0000FFFF", 655_350),
            ("7FFFFFFF", 42_949_663),
            ("FFFFFFFF", 42_949_663),
            ("80000000", 0),
            ("100000000", 0),
            ("9", 90),
        ] {
            let line = with("01:00000014", &format!("01:{ticks}"));
            assert_eq!(ProcLine::parse(&line).unwrap().socket(TCP).unwrap().timer.expires_ms, ms, "{ticks}");
        }
    }

    #[test]
    fn other_timers_count_probes() {
        for kind in 2..7_u8 {
            let line = with(" 01:0000", &format!(" {kind:02X}:0000"));
            let timer = ProcLine::parse(&line).unwrap().socket(TCP).unwrap().timer;
            assert_eq!((timer.kind, timer.retrans), (kind, 9));
        }
        let line = with("        9 ", "        -9 ");
        assert_eq!(ProcLine::parse(&line).unwrap().probes(), -9);
    }

    /// The end of the line, and the rto, ato, qack, cwnd, ssthresh and rest that the reference
    /// prints.
    #[test]
    fn the_end_of_a_line_may_be_missing_or_odd() {
        let cases: &[(&str, i32, i32, i32, u32, i32, &str)] = &[
            ("100 4 12 10 -1", 100, 4, 12, 10, -1, ""),
            ("100 4 13 10 7 extra words here", 100, 4, 13, 10, 7, "extra words here"),
            ("100 4 13 10 7   a b  ", 100, 4, 13, 10, 7, "a b  "),
            ("100 4 13 10 7  ", 100, 4, 13, 10, 7, ""),
            ("100 4 13 10 7x", 100, 4, 13, 10, 7, "x"),
            ("100 4 13 10 +7", 100, 4, 13, 10, 7, ""),
            ("100 4 13 10", 100, 4, 13, 10, -1, ""),
            ("100 4", 100, 4, 0, 0, -1, ""),
            ("100 x 13 10 7", 100, 0, 0, 0, -1, ""),
            ("", 0, 0, 0, 2, -1, ""),
            ("4294967295 4 -3 -1 4", -1, 4, -3, u32::MAX, 4, ""),
            ("99999999999 4 13 10 99999999999", 1_215_752_191, 4, 13, 10, 1_215_752_191, ""),
        ];
        for (end, rto, ato, qack, cwnd, ssthresh, rest) in cases {
            let line = with("100 4 13 10 7", end);
            let line = ProcLine::parse(&line).unwrap();
            let got = (line.rto_ticks(), line.ato_ticks(), line.qack_raw(), line.cwnd(), line.ssthresh());
            assert_eq!(got, (*rto, *ato, *qack, *cwnd, *ssthresh), "{end}");
            assert_eq!(line.rest(), rest.as_bytes(), "{end}");
        }
    }

    /// How the reference parses damaged endpoints and numbers.
    #[test]
    fn odd_endpoints_read_as_the_reference_reads_them() {
        let local = |from, to| ProcLine::parse(&with(from, to)).unwrap().local.unwrap();
        assert_eq!(local(":07E8", ":107E8").port, 0x107e);
        assert_eq!(local(":07E8", ":7E8").port, 2024);
        assert_eq!(local(":07E8", ":xyzw"), Endpoint { addr: Addr::V4([127, 0, 0, 1]), port: 0 });
        assert_eq!(local("0100007F:", "0100zz7F:"), Endpoint { addr: Addr::V4([0, 1, 0, 0]), port: 0 });
        assert_eq!(local("0100007F:", "0a00007f:").addr, Addr::V4([127, 0, 0, 10]));
        let socket = |from, to| {
            let line = with(from, to);
            let socket = ProcLine::parse(&line).unwrap().socket(TCP).unwrap();
            (socket.uid, socket.inode, socket.recv_q, socket.send_q, socket.cookie)
        };
        assert_eq!(socket(" 1000 ", " -5 ").0, 4_294_967_291);
        assert_eq!(socket(" 621 ", " -1 ").1, u32::MAX);
        assert_eq!(socket(" 621 ", " 4294967296621 ").1, 621);
        assert_eq!(socket("00000005:00000007", "80000005:FFFFFFFF").2, u32::MAX);
        assert_eq!(socket("00000000f9d8", "ffff8880f9d8").4, 0xffff_8880_f9d8_e10f);
    }

    #[test]
    fn every_prefix_of_a_line_is_safe() {
        for len in 0..=LINE.len() {
            let line = &LINE[..len];
            // The second endpoint's colon is at offset 28.
            assert_eq!(ProcLine::parse(line).is_some(), len > 28, "{len}");
            let state = if len > 35 { 1 } else { NO_STATE };
            assert_eq!(state_digit(line), (len > 28).then_some(state), "{len}");
        }
        for junk in
            [&b":"[..], b"::::", b":  :    :", b"\xff:\xff:\xff\xff\xff\xff\xff:\xff", b"x: :07E8 :C350"]
        {
            let _ = ProcLine::parse(junk).and_then(|line| line.socket(TCP));
        }
    }

    #[test]
    fn the_state_that_counts_is_the_second_digit() {
        for (text, digit) in [(" 01 ", 1), (" 0A ", 10), (" 0a ", 10), (" 12 ", 2), (" 0- ", NO_STATE)] {
            assert_eq!(state_digit(&with(" 01 ", text)), Some(digit), "{text}");
        }
    }
}
