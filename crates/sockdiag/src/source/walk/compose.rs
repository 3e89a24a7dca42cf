//! Composes, from a record, the message that the kernel's dump would send about the same
//! socket: `struct inet_diag_msg` and its attributes, in the kernel's order.
//!
//! Invariant: a composed message equals the kernel's byte for byte, or the socket is marked
//! to be looked up ([`Composed::Ask`]) because a record lacks a value that must be
//! reported.  Parts that were not wanted are zero, or missing.
//!
//! Source: linux/inet_diag.h; the order of attributes is what the kernel's own
//! dump shows.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use sockdiag_wire::bpf::{Lookup, NotFound, Wanted};
use sockdiag_wire::inet_diag::{
    IDIAG_TIMER_DELACK, IDIAG_TIMER_KEEPALIVE, IDIAG_TIMER_ON, IDIAG_TIMER_PROBE0, IDIAG_TIMER_TIMEWAIT,
    INET_DIAG_BBRINFO, INET_DIAG_CGROUP_ID, INET_DIAG_CLASS_ID, INET_DIAG_CONG, INET_DIAG_INFO,
    INET_DIAG_MARK, INET_DIAG_MEMINFO, INET_DIAG_SHUTDOWN, INET_DIAG_SKMEMINFO, INET_DIAG_SKV6ONLY,
    INET_DIAG_SOCKOPT, INET_DIAG_TCLASS, INET_DIAG_TOS,
};
use sockdiag_wire::inet_fixed::InetDiagFixed;
use sockdiag_wire::inet_req::{
    EXT_CONG, EXT_INFO, EXT_MEMINFO, EXT_SKMEMINFO, EXT_TCLASS, EXT_TOS, EXT_VEGASINFO, SockId,
};
use sockdiag_wire::socket::{AF_INET6, TCP_CLOSE, TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT, TCP_TIME_WAIT};

use super::jiffies::Hz;
use super::members::{Kind, Member, Wants};
use super::message::Message;
use super::record::{Held, Layout, Record};
use super::tcp_info::{self, Form};

/// Values of `icsk_pending`: a retransmission, a zero-window probe, a tail loss probe,
/// reordering.
const PENDING_RETRANS: u64 = 1;
const PENDING_PROBE0: u64 = 3;
const PENDING_TAIL: u64 = 5;
const PENDING_REORDERING: u64 = 6;
/// A bit of `icsk_ack.pending`: the delayed-acknowledgement timer runs.
const ACK_TIMER: u64 = 2;

/// The members that make up BBR's state.
const BBR: [Member; 6] = [
    Member::BbrBandwidth,
    Member::BbrUsesLong,
    Member::BbrLongBandwidth,
    Member::BbrMinRtt,
    Member::BbrPacingGain,
    Member::BbrCwndGain,
];
/// How many bits of a BBR bandwidth are its fraction.
const BBR_SCALE: u32 = 24;

/// Bits of `inet_flags` in the order of [`SockOpt`](sockdiag_wire::sockopt::SockOpt): recverr, `is_icsk`,
/// freebind, hdrincl, `mc_loop`, transparent, `mc_all`, nodefrag; `bind_address_no_port`,
/// `recverr_rfc4884`, `defer_connect`.
const OPTION_BITS: [u8; 11] = [9, 16, 11, 12, 13, 15, 14, 17, 18, 10, 19];

/// How a record was composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Composed {
    /// The message is complete.
    Whole,
    /// The socket must be looked up in the kernel; the message has only its identity.
    Ask,
}

/// Why messages cannot be composed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The kernel's types lack a member or structure.
    Lacks(NotFound),
    /// The kernel's `tcp_info` has members that are unknown here.
    Unknown,
    /// The tick rate of the kernel is unknown.
    NoTicks,
}

/// What is requested for each socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ask {
    /// Attributes, `EXT_*`.
    pub ext: u8,
    /// Whether marks are reported, which needs `CAP_NET_ADMIN`.
    pub net_admin: bool,
    /// Whether each message needs a cookie.
    pub cookies: bool,
    /// Which other parts are wanted: queues, timers, owner, unrequested attributes.
    pub rest: Wants,
}

impl Ask {
    /// Everything that the kernel sends in reply to a request with these extensions.
    pub(super) fn whole(ext: u8, net_admin: bool) -> Self {
        let rest = Wants::QUEUES | Wants::TIMERS | Wants::OWNER | Wants::UNASKED;
        Self { ext, net_admin, cookies: true, rest }
    }

    /// What records must hold to answer the request.
    pub(super) fn wants(self) -> Wants {
        let ext = [
            (EXT_MEMINFO | EXT_SKMEMINFO, Wants::MEMORY),
            // `tcp_info` includes timers and queues.
            (EXT_INFO, Wants::INFO | Wants::TIMERS | Wants::QUEUES),
            (EXT_CONG, Wants::CONGESTION),
            (EXT_TOS | EXT_TCLASS, Wants::TOS),
            (EXT_VEGASINFO, Wants::ALGORITHM),
        ];
        let asked = ext.into_iter().filter(|(ext, _)| self.ext & ext != 0);
        asked.fold(self.rest, |wants, (_, more)| wants | more)
    }
}

/// Composes messages as the running kernel would.
#[derive(Clone, Debug)]
pub(super) struct Composer {
    ask: Ask,
    hz: Hz,
    form: Form,
    /// Whether a delayed acknowledgement is reported as a timer: since Linux 7.1.
    tells_delack: bool,
    /// Whether the mark is reported for TIME-WAIT sockets and for requests.
    marks_time_wait: bool,
    /// Whether records have these members; they decide which attributes are sent.
    has_cgroup: bool,
    has_bbr: bool,
}

impl Composer {
    /// The types that [`Self::find`] needs.
    pub(super) fn wanted() -> Vec<Wanted> {
        Form::WANTED.to_vec()
    }

    /// Finds out how the running kernel composes messages.
    ///
    /// # Errors
    /// Why the kernel's messages are not known.
    pub(super) fn find(types: &Lookup<'_>, layout: &Layout, ask: Ask) -> Result<Self, Unfit> {
        let form = Form::find(types).map_err(|lacks| lacks.map_or(Unfit::Unknown, Unfit::Lacks))?;
        let hz = Hz::of_kernel().ok_or(Unfit::NoTicks)?;
        Ok(Self {
            ask,
            hz,
            form,
            tells_delack: tells_delack(&crate::sys::release()),
            marks_time_wait: true,
            has_cgroup: layout.has(Kind::Full, Member::CgroupId),
            has_bbr: BBR.iter().all(|member| layout.has(Kind::Full, *member)),
        })
    }

    /// Composes the message for a record into `out`.
    pub(super) fn compose(&self, record: Record<'_>, out: &mut Message) -> Composed {
        let record = &record.held();
        let mut fixed = InetDiagFixed {
            family: record.get(Member::Family) as u8,
            state: record.get(Member::State) as u8,
            id: identity(record),
            ..InetDiagFixed::default()
        };
        let lacks_cookie = self.ask.cookies && fixed.id.cookie == 0;
        match record.kind() {
            Kind::Full => {
                self.timer(record, &mut fixed);
                queues(record, &mut fixed);
                fixed.uid = record.get32(Member::Uid);
                fixed.inode = record.get32(Member::Inode);
                out.begin(fixed.bytes());
                if lacks_cookie || self.must_be_asked(record) {
                    return Composed::Ask;
                }
                self.attributes(record, &fixed, out);
            }
            Kind::TimeWait => {
                fixed.state = record.get(Member::TimeWaitState) as u8;
                fixed.timer = IDIAG_TIMER_TIMEWAIT;
                fixed.expires_ms = self.until(record, Member::TimeWaitExpires);
                out.begin(fixed.bytes());
                self.mark(record, Member::TimeWaitMark, self.marks_time_wait, out);
            }
            Kind::Request => {
                fixed.state = TCP_SYN_RECV;
                fixed.timer = IDIAG_TIMER_ON;
                fixed.retrans = record.get(Member::RequestRetrans) as u8;
                fixed.expires_ms = self.until(record, Member::RequestExpires);
                out.begin(fixed.bytes());
                self.mark(record, Member::RequestMark, true, out);
            }
        }
        if lacks_cookie { Composed::Ask } else { Composed::Whole }
    }

    /// Whether a full socket must report something that a record lacks.
    fn must_be_asked(&self, record: &Held<'_>) -> bool {
        let is = |member| record.get(member) != 0;
        (self.ask.ext & EXT_INFO != 0 && (is(Member::Ulp) || (self.ask.net_admin && is(Member::Md5))))
            || (self.tells_of_algorithm(record) && !self.is_bbr(record))
    }

    /// Whether the congestion control reports its state, which it does until the peer
    /// closes the connection.
    fn tells_of_algorithm(&self, record: &Held<'_>) -> bool {
        self.ask.ext & EXT_VEGASINFO != 0
            && record.get(Member::CongestionInfo) != 0
            && record.get(Member::State) < u64::from(TCP_TIME_WAIT)
    }

    /// Whether the congestion control is the kernel's own BBR, whose state is known.
    fn is_bbr(&self, record: &Held<'_>) -> bool {
        self.has_bbr && record.sixteen(Member::CongestionName).starts_with(b"bbr\0")
    }

    fn until(&self, record: &Held<'_>, member: Member) -> u32 {
        self.hz.ms_until(record.get(member), record.jiffies())
    }

    fn timer(&self, record: &Held<'_>, fixed: &mut InetDiagFixed) {
        let get = |member| record.get(member);
        let (timer, retrans, expires) = match get(Member::Pending) {
            PENDING_RETRANS | PENDING_TAIL | PENDING_REORDERING => {
                (IDIAG_TIMER_ON, Member::Retransmits, Member::Timeout)
            }
            PENDING_PROBE0 => (IDIAG_TIMER_PROBE0, Member::ProbesOut, Member::Timeout),
            _ if get(Member::KeepalivePending) != 0 => {
                (IDIAG_TIMER_KEEPALIVE, Member::ProbesOut, Member::KeepaliveExpires)
            }
            _ if self.tells_delack && get(Member::AckPending) & ACK_TIMER != 0 => {
                (IDIAG_TIMER_DELACK, Member::Retransmits, Member::AckExpires)
            }
            _ => return,
        };
        fixed.timer = timer;
        fixed.retrans = get(retrans) as u8;
        fixed.expires_ms = self.until(record, expires);
    }

    fn mark(&self, record: &Held<'_>, member: Member, is_told: bool, out: &mut Message) {
        if self.ask.net_admin && is_told && self.ask.rest.has(Wants::UNASKED) {
            out.attr(INET_DIAG_MARK, record.get32(member).to_ne_bytes());
        }
    }

    /// The attributes of a full socket.
    fn attributes(&self, record: &Held<'_>, fixed: &InetDiagFixed, out: &mut Message) {
        let asks = |ext| self.ask.ext & ext != 0;
        let unasked = self.ask.rest.has(Wants::UNASKED);
        let byte = |member| [record.get(member) as u8];
        let word = |member| record.get32(member).to_ne_bytes();
        if unasked {
            out.attr(INET_DIAG_SHUTDOWN, byte(Member::Shutdown));
        }
        if asks(EXT_TOS) {
            out.attr(INET_DIAG_TOS, byte(Member::Tos));
        }
        if fixed.family == AF_INET6 {
            if asks(EXT_TCLASS) {
                out.attr(INET_DIAG_TCLASS, byte(Member::Tclass));
            }
            // Which addresses a listener accepts is always shown.
            if matches!(fixed.state, TCP_LISTEN | TCP_CLOSE) {
                out.attr(INET_DIAG_SKV6ONLY, byte(Member::Ipv6Only));
            }
        }
        self.mark(record, Member::Mark, true, out);
        if asks(EXT_TCLASS) {
            let class = match record.get32(Member::ClassId) {
                0 => record.get32(Member::Priority),
                class => class,
            };
            out.attr(INET_DIAG_CLASS_ID, class.to_ne_bytes());
        }
        if unasked {
            if self.has_cgroup {
                out.attr(INET_DIAG_CGROUP_ID, record.get(Member::CgroupId).to_ne_bytes());
            }
            out.attr(INET_DIAG_SOCKOPT, options(record.get(Member::Options)));
        }
        if asks(EXT_MEMINFO) {
            let words = [
                word(Member::RmemAlloc),
                word(Member::WmemQueued),
                word(Member::ForwardAlloc),
                on_their_way(record).to_ne_bytes(),
            ];
            out.attr_of(INET_DIAG_MEMINFO, words.as_flattened());
        }
        if asks(EXT_SKMEMINFO) {
            let words = [
                word(Member::RmemAlloc),
                word(Member::Rcvbuf),
                on_their_way(record).to_ne_bytes(),
                word(Member::Sndbuf),
                word(Member::ForwardAlloc),
                word(Member::WmemQueued),
                word(Member::OmemAlloc),
                word(Member::BacklogLen),
                word(Member::Drops),
            ];
            out.attr_of(INET_DIAG_SKMEMINFO, words.as_flattened());
        }
        if asks(EXT_INFO) {
            tcp_info::write(record, self.hz, self.form, |info| out.attr_of(INET_DIAG_INFO, info));
        }
        if asks(EXT_CONG) {
            let name = record.sixteen(Member::CongestionName);
            let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len() - 1);
            if length > 0 {
                out.attr_of(INET_DIAG_CONG, name.get(..=length).unwrap_or(&name));
            }
        }
        if self.tells_of_algorithm(record) {
            out.attr_of(INET_DIAG_BBRINFO, bbr(record).as_flattened());
        }
    }
}

/// Whether this kernel release reports delayed acknowledgements: since Linux 7.1.
pub(super) fn tells_delack(release: &str) -> bool {
    let mut numbers = release.split(|byte: char| !byte.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (7_u32, 1_u32),
        _ => false,
    }
}

/// The identity by which the kernel finds a socket.
fn identity(record: &Held<'_>) -> SockId {
    let (local, remote) = if record.get(Member::Family) == u64::from(AF_INET6) {
        (record.sixteen(Member::Local6), record.sixteen(Member::Remote6))
    } else {
        (first_four(record.get32(Member::Local4)), first_four(record.get32(Member::Remote4)))
    };
    SockId {
        sport: record.get(Member::LocalPort) as u16,
        dport: u16::from_be(record.get(Member::RemotePort) as u16),
        src: local,
        dst: remote,
        ifindex: record.get32(Member::Interface),
        cookie: record.get(Member::Cookie),
    }
}

/// An IPv4 address in memory order, in a field for an IPv6 address.
fn first_four(address: u32) -> [u8; 16] {
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&address.to_ne_bytes());
    octets
}

/// The two queues.  Both ends of a queue are read one after the other and may move in
/// between, so a negative difference counts as 0.  The kernel does that for the receive
/// queue only: a socket that connects with its first data has a negative send queue until
/// then.
fn queues(record: &Held<'_>, fixed: &mut InetDiagFixed) {
    let get = |member| record.get32(member);
    if fixed.state == TCP_LISTEN {
        fixed.rqueue = get(Member::AckBacklog);
        fixed.wqueue = get(Member::MaxAckBacklog);
        return;
    }
    let difference = |end, begin| (get(end).wrapping_sub(get(begin)) as i32).max(0).unsigned_abs();
    fixed.rqueue = difference(Member::RcvNxt, Member::CopiedSeq);
    fixed.wqueue = match fixed.state {
        TCP_SYN_SENT => get(Member::WriteSeq).wrapping_sub(get(Member::SndUna)),
        _ => difference(Member::WriteSeq, Member::SndUna),
    };
}

/// Memory of packets in flight; the kernel's count starts at one for the socket itself.
fn on_their_way(record: &Held<'_>) -> u32 {
    record.get32(Member::WmemAlloc).wrapping_sub(1)
}

/// BBR's report: `struct tcp_bbr_info`.
fn bbr(record: &Held<'_>) -> [[u8; 4]; 5] {
    let uses_long = record.get(Member::BbrUsesLong) != 0;
    let rate = if uses_long { Member::BbrLongBandwidth } else { Member::BbrBandwidth };
    let bytes =
        record.get(rate).wrapping_mul(record.get(Member::MssCache)).wrapping_mul(1_000_000) >> BBR_SCALE;
    let (low, high) = (bytes as u32, (bytes >> 32) as u32);
    let [min_rtt, pacing, window] =
        [Member::BbrMinRtt, Member::BbrPacingGain, Member::BbrCwndGain].map(|member| record.get32(member));
    [low, high, min_rtt, pacing, window].map(u32::to_ne_bytes)
}

/// `struct inet_diag_sockopt` from a socket's flags.
fn options(flags: u64) -> [u8; 2] {
    let bits = OPTION_BITS.iter().enumerate();
    let bits = bits.fold(0_u16, |bits, (bit, flag)| bits | ((flags >> flag & 1) as u16) << bit);
    bits.to_le_bytes()
}
