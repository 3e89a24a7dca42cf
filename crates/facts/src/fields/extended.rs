//! Details outside the protocol: timer, owner, marks, cgroup, socket options.
//!
//! Source: `struct inet_diag_msg` and the attributes of linux/inet_diag.h.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use sockdiag_wire::inet_diag::{
    IDIAG_TIMER_DELACK, IDIAG_TIMER_KEEPALIVE, IDIAG_TIMER_OFF, IDIAG_TIMER_ON, IDIAG_TIMER_PROBE0,
    IDIAG_TIMER_TIMEWAIT,
};
use sockdiag_wire::ipproto::IPPROTO_SCTP;
use sockdiag_wire::sockopt::{self, SockOpt};

use super::{
    Field, Groups, Item, Kind, List, Needs, Operand, Read, Spelling, Style, Text, Unit, Value, Word, plain,
    text, word,
};
use crate::model::words::{self, FALSE_TRUE};
use crate::model::{Detail, Family, Row, Socket, SourceKind};
use crate::number::{put_alt_hex, put_hex, put_name, put_signed, put_u64};

/// Fields of `-o`.
pub(super) const TIMER: &[Field] = &[
    Field::new(
        "timer.kind",
        word!(TIMERS, |r| timer_name(r.socket.protocol, r.socket.timer.kind)),
        "Timer that is running: retransmission, keepalive, TIME-WAIT, zero-window probe, delayed ACK.",
        "idiag_timer",
    )
    .state()
    .needs(Needs::TIMER)
    .group(Groups::OPTIONS.union(Groups::IDENTITY))
    .shape("timer:(KIND,TIME,RETRANS)")
    .text(Text::Custom(fmt_timer)),
    Field::new(
        "timer.expires_ms",
        plain!(|r| (r.socket.timer.kind != 0).then_some(r.socket.timer.expires_ms)),
        "Time until the timer expires.",
        "idiag_expires",
    )
    .gauge(Unit::Milliseconds)
    .needs(Needs::TIMER)
    .needs(Needs::CLOCK)
    .group(Groups::OPTIONS.union(Groups::IDENTITY))
    .text(Text::PartOf("timer.kind")),
    Field::new(
        "timer.retrans",
        plain!(|r| (r.socket.timer.kind != 0).then_some(r.socket.timer.retrans)),
        "Unanswered retransmissions or probes.",
        "idiag_retrans",
    )
    .gauge(Unit::Count)
    .needs(Needs::TIMER)
    .group(Groups::OPTIONS.union(Groups::IDENTITY))
    .text(Text::PartOf("timer.kind")),
];

/// The owner.
pub(super) const UID: Field =
    Field::new("socket.uid", plain!(|r| uid(r.socket)), 
        "User who owns the socket. The processes' user is process.uid, which --columns uses for uid beside pid and \
         comm.", "idiag_uid")
        .needs(Needs::OWNER)
        .group(Groups::EXTENDED.union(Groups::IDENTITY))
        .spelled(&Spelling::User)
        .shape("uid:N")
        .text(Text::Custom(put_uid));

/// The owner's name.
pub(super) const USER: Field = Field::new(
    "socket.user",
    text!(|r| Some(r.names.identities?.user(uid(r.socket)?)?)),
    "Name of the user who owns the socket. The processes' user is process.user, which --columns uses for user \
     beside pid and comm.",
    "idiag_uid, passwd(5)",
)
.needs(Needs::USERS.union(Needs::OWNER))
.spelled(&Spelling::UserOf("socket.uid"))
.group(Groups::EXTENDED);

/// The owner; `None` if the source does not report it.
pub fn uid(socket: &Socket<'_>) -> Option<u32> {
    match &socket.detail {
        Detail::Unix(unix) => unix.uid(),
        Detail::Netlink(_) | Detail::Vsock(_) => None,
        _ => Some(socket.uid),
    }
}

/// The inode, which unix sockets print in a column.
pub(super) const INODE: Field = Field::new(
    "socket.inode",
    plain!(|r| Some(r.socket.inode)),
    "Inode on sockfs; zero once no process holds the socket.",
    "idiag_inode",
)
.none(0)
.needs(Needs::OWNER)
.group(Groups::EXTENDED.union(Groups::IDENTITY))
.shape("ino:N")
.text(Text::Custom(put_inode));

/// The cookie.
pub(super) const COOKIE: Field = Field::new(
    "socket.cookie",
    // The model has zero for a missing cookie, which the kernel never assigns.  Text of /proc
    // contains a hashed address instead.
    plain!(|r| Some(r.socket.cookie).filter(|_| r.socket.origin.kind != SourceKind::Proc), unless 0),
    "Kernel identifier of the socket, never reused until reboot.",
    "idiag_cookie",
)
.wide()
.needs(Needs::COOKIE)
.group(Groups::EXTENDED.union(Groups::IDENTITY))
.spelled(&Spelling::Hex)
.shape("sk:HEX")
.text(Text::Custom(put_cookie));

/// The first part of `-e` for sockets of every kind that has it.
pub(super) const OWNER: &[Field] = &[UID, INODE, COOKIE, USER];

/// Appends ` uid:1000`, unless the owner is root.
pub(super) fn put_uid(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    if row.socket.uid != 0 {
        out.extend_from_slice(b" uid:");
        put_u64(out, u64::from(row.socket.uid));
    }
}

/// ` ino:4711`
pub(super) fn put_inode(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    out.extend_from_slice(b" ino:");
    put_u64(out, u64::from(row.socket.inode));
}

/// ` sk:1f`
pub(super) fn put_cookie(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    out.extend_from_slice(b" sk:");
    put_hex(out, row.socket.cookie);
}

/// Fields of `-e`.
pub(super) const EXTENDED: &[Field] = &[
    Field::new(
        "proc.opt",
        text!(|r| r.socket.proc_line().map(|line| line.rest()).filter(|rest| !rest.is_empty())),
        "Rest of the /proc/net/tcp line, after the fields that ss parses.",
        "/proc/net/tcp",
    )
    .group(Groups::EXTENDED)
    .shape("opt:\"TEXT\"")
    .text(Text::Custom(|out, r, _| {
        if let Some(rest) = r.socket.proc_line().map(|line| line.rest()).filter(|rest| !rest.is_empty()) {
            out.extend_from_slice(b" opt:\"");
            put_name(out, rest);
            out.push(b'"');
        }
    })),
    Field::new(
        "socket.mark",
        plain!(|r| r.socket.attrs()?.mark()),
        "Firewall mark (SO_MARK); reported only with CAP_NET_ADMIN.",
        "INET_DIAG_MARK",
    )
    .none(0)
    .group(Groups::EXTENDED)
    .operand(Operand::Mark)
    .needs(Needs::NET_ADMIN.union(Needs::UNASKED))
    .shape("fwmark:0xHEX")
    .text(Text::Custom(|out, r, _| {
        if let Some(mark) = r.socket.attrs().and_then(|attrs| attrs.mark()).filter(|mark| *mark != 0) {
            out.extend_from_slice(b" fwmark:0x");
            put_hex(out, u64::from(mark));
        }
    })),
    Field::new(
        "cgroup.id",
        plain!(|r| r.socket.attrs()?.cgroup_id()),
        "ID of the cgroup v2 that the socket was created in; -e prints its path.",
        "INET_DIAG_CGROUP_ID",
    )
    .none(0)
    .wide()
    .needs(Needs::UNASKED)
    .print_needs(Needs::CGROUPS)
    .group(Groups::EXTENDED)
    .operand(Operand::Cgroup)
    .shape("cgroup:PATH")
    .text(Text::Custom(|out, r, _| {
        if r.socket.attrs().and_then(|attrs| attrs.cgroup_id()).is_some_and(|id| id != 0) {
            put_cgroup(out, r);
        }
    })),
    Field::new(
        "socket.v6only",
        plain!(|r| match r.socket.family {
            Family::Inet6 => r.socket.attrs()?.v6only(),
            _ => None,
        }),
        "Whether an IPv6 socket refuses IPv4 peers (IPV6_V6ONLY).",
        "INET_DIAG_SKV6ONLY",
    )
    .words(FALSE_TRUE)
    .group(Groups::EXTENDED)
    .shape("v6only:0|1")
    .text(Text::Custom(|out, r, _| {
        if let Some(v6only) = r.socket.attrs().and_then(|attrs| attrs.v6only()).filter(|_| is_inet6(r)) {
            out.extend_from_slice(b" v6only:");
            put_u64(out, u64::from(v6only));
        }
    })),
    Field::new(
        "local.autobound",
        plain!(|r| {
            let (first, last) = r.names.port_range?;
            let port = u16::try_from(r.socket.local.port).ok().filter(|port| *port != 0)?;
            Some((first..=last).contains(&port))
        }),
        "Whether the kernel chose the local port: the port lies in the ephemeral range.",
        "ip_local_port_range",
    )
    .needs(Needs::PORT_RANGE)
    .operand(Operand::Autobound),
];

/// The last part of `-e`; for unix sockets, the first part.
pub(super) const SHUTDOWN: &[Field] = &[SHUTDOWN_MASK];

/// The directions that were shut down.
pub(super) const SHUTDOWN_MASK: Field = Field::new(
    "socket.shutdown",
    plain!(|r| r.socket.shutdown()),
    "Directions that were shut down.",
    "INET_DIAG_SHUTDOWN",
)
.flags(DIRECTIONS)
.state()
.needs(Needs::UNASKED)
.group(Groups::EXTENDED)
.spelled(&Spelling::Printed(shutdown_mask))
.shape("<->, <--, --> or ---")
.text(Text::Custom(|out, r, _| {
    if let Some(mask) = r.socket.shutdown() {
        let left = if mask & 1 == 0 { b'<' } else { b'-' };
        let right = if mask & 2 == 0 { b'>' } else { b'-' };
        out.extend_from_slice(&[b' ', left, b'-', right]);
    }
}));

/// The mask that is printed as this text.
fn shutdown_mask(text: &[u8]) -> Option<u32> {
    let shown: [&[u8]; 4] = [b"<->", b"-->", b"<--", b"---"];
    shown.iter().zip(0..).find(|(known, _)| **known == text).map(|(_, mask)| mask)
}

/// Fields of `--tos`.
pub(super) const TOS: &[Field] = &[
    Field::new(
        "ip.tos",
        plain!(|r| r.socket.attrs()?.tos()),
        "Type of service of sent IPv4 packets.",
        "INET_DIAG_TOS",
    )
    .needs(Needs::TOS)
    .group(Groups::TOS)
    .shape("tos:0xHEX")
    .text(Text::Custom(|out, r, _| {
        put_hex_token(out, b" tos:", r.socket.attrs().and_then(|a| a.tos()));
    })),
    Field::new(
        "ip.tclass",
        plain!(|r| r.socket.attrs()?.tclass()),
        "Traffic class of sent IPv6 packets.",
        "INET_DIAG_TCLASS",
    )
    .needs(Needs::TCLASS)
    .group(Groups::TOS)
    .shape("tclass:0xHEX")
    .text(Text::Custom(|out, r, _| {
        put_hex_token(out, b" tclass:", r.socket.attrs().and_then(|a| a.tclass()));
    })),
    // The class id comes with TCLASS: it has no request bit of its own.
    Field::new(
        "socket.class_id",
        plain!(|r| r.socket.attrs()?.class_id()),
        "Class ID of the net_cls cgroup, or the socket's priority if there is none.",
        "INET_DIAG_CLASS_ID",
    )
    .needs(Needs::TCLASS)
    .group(Groups::TOS)
    .shape("class_id:0xHEX")
    .text(Text::Custom(|out, r, _| {
        put_hex_token(out, b" class_id:", r.socket.attrs().and_then(|a| a.class_id()));
    })),
];

/// Fields of `--cgroup`.
pub(super) const CGROUP: &[Field] = &[Field::new(
    "cgroup.path",
    text!(|r| {
        r.socket.attrs()?.cgroup_id()?;
        // The text for a path that was not found is not a path.
        r.names.cgroup.filter(|path| path.starts_with(b"/"))
    }),
    "Path of the socket's cgroup below the cgroup v2 mount; absent where it cannot be found.",
    "INET_DIAG_CGROUP_ID, cgroup2 file handles",
)
.needs(Needs::CGROUPS.union(Needs::UNASKED))
// `-e` prints the path instead of the id.
.group(Groups::CGROUP.union(Groups::EXTENDED))
.shape("cgroup:PATH")
.text(Text::Custom(|out, r, _| {
    if r.socket.attrs().and_then(|attrs| attrs.cgroup_id()).is_some() {
        put_cgroup(out, r);
    }
}))];

/// Fields of `--inet-sockopt`.
pub(super) const SOCKOPT: &[Field] = &[OPTIONS, OPTION_NAMES];

const OPTION_NAMES: Field = Field::new(
    "socket.option_names",
    Read::of(Kind::Texts, |r| {
        r.socket.attrs()?.sockopt()?;
        Some(Value::List(List::Of(r, |r, take| {
            let options = r.socket.attrs().and_then(|attrs| attrs.sockopt());
            for name in options.into_iter().flat_map(SockOpt::names) {
                take(Item::Value(Value::Text(name.as_bytes())));
            }
        })))
    }),
    "Names of the socket options that are set.",
    "INET_DIAG_SOCKOPT",
)
.needs(Needs::UNASKED)
.group(Groups::SOCKOPT);

const OPTIONS: Field = Field::new(
    "socket.options",
    plain!(|r| Some(r.socket.attrs()?.sockopt()?.bits())),
    "Socket options that are set.",
    "INET_DIAG_SOCKOPT",
)
.needs(Needs::UNASKED)
.flags(OPTION_WORDS)
.group(Groups::SOCKOPT)
.shape("inet-sockopt: ( WORD... )")
.text(Text::Custom(fmt_sockopt));

fn is_inet6(row: &Row<'_>) -> bool {
    row.socket.family == Family::Inet6
}

fn put_hex_token(out: &mut Vec<u8>, name: &[u8], value: Option<impl Into<u64>>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        put_alt_hex(out, value.into());
    }
}

fn put_cgroup(out: &mut Vec<u8>, row: &Row<'_>) {
    out.extend_from_slice(b" cgroup:");
    put_name(out, row.names.cgroup.unwrap_or(b"unreachable"));
}

fn fmt_sockopt(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(options) = row.socket.attrs().and_then(|attrs| attrs.sockopt()) else { return };
    out.extend_from_slice(if style.oneline { b" " } else { b"\n\t" });
    out.extend_from_slice(b"inet-sockopt: (");
    for name in SockOpt::names(options) {
        out.push(b' ');
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b')');
}

/// Names of the timers.
const TIMERS: &[Word] = &[
    Word::new(IDIAG_TIMER_ON as u32, "on|retransmission"),
    Word::new(IDIAG_TIMER_KEEPALIVE as u32, "keepalive"),
    Word::new(IDIAG_TIMER_TIMEWAIT as u32, "timewait"),
    Word::new(IDIAG_TIMER_PROBE0 as u32, "persist|probe"),
    Word::new(IDIAG_TIMER_DELACK as u32, "delack"),
    T3_RTX,
    UNKNOWN_TIMER,
];

/// The only timer of SCTP that is reported, under any number.
const T3_RTX: Word = Word::text("T3_RTX");
const UNKNOWN_TIMER: Word = Word::text("unknown");

/// The name of a timer; `None` if no timer runs.
fn timer_name(protocol: u16, kind: u8) -> Option<&'static str> {
    Some(match (protocol, kind) {
        (_, IDIAG_TIMER_OFF) => return None,
        (IPPROTO_SCTP, _) => T3_RTX.name(),
        _ => words::by_number(TIMERS, kind.into()).map_or(UNKNOWN_TIMER.name(), |word| word.name()),
    })
}

/// Directions that were shut down.
const DIRECTIONS: &[Word] = &[Word::new(1, "receive|rcv"), Word::new(2, "send|snd")];

/// The options of [`SockOpt::bits`].
const OPTION_WORDS: &[Word] = &{
    let mut words = [Word::text(""); sockopt::NAMES.len()];
    let mut bit = 0;
    while bit < words.len() {
        words[bit] = Word::new(1 << bit, sockopt::NAMES[bit]);
        bit += 1;
    }
    words
};

fn fmt_timer(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let timer = row.socket.timer;
    let Some(name) = timer_name(row.socket.protocol, timer.kind) else { return };
    out.extend_from_slice(b" timer:(");
    out.extend_from_slice(name.as_bytes());
    out.push(b',');
    put_time(out, timer.expires_ms);
    out.push(b',');
    put_signed(out, timer.retrans);
    out.push(b')');
}

/// Appends a time in the two largest units that matter.
fn put_time(out: &mut Vec<u8>, time_ms: u32) {
    let (minutes, mut seconds, mut millis) = (time_ms / 60_000, time_ms / 1000 % 60, time_ms % 1000);
    if minutes > 0 {
        millis = 0;
        if minutes > 9 {
            seconds = 0;
        }
        put_u64(out, u64::from(minutes));
        out.extend_from_slice(b"min");
    }
    if seconds > 0 {
        if seconds > 9 {
            millis = 0;
        }
        put_u64(out, u64::from(seconds));
        out.extend_from_slice(if millis > 0 { b"." } else { b"sec" });
    }
    if millis > 0 {
        out.extend([millis / 100, millis / 10 % 10, millis % 10].map(|d| b'0' + d as u8));
        out.extend_from_slice(if seconds > 0 { b"sec" } else { b"ms" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_the_reference_writes_them() {
        for (ms, want) in [
            (0, ""),
            (1, "001ms"),
            (500, "500ms"),
            (1000, "1sec"),
            (1010, "1.010sec"),
            (1500, "1.500sec"),
            (9999, "9.999sec"),
            (10_000, "10sec"),
            (59_999, "59sec"),
            (61_000, "1min1sec"),
            (600_000, "10min"),
            (7_200_000, "120min"),
        ] {
            let mut out = Vec::new();
            put_time(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), want, "{ms} ms");
        }
    }
}
