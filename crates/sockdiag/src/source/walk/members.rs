//! The members of the kernel's structures that a walk of the TCP tables copies.
//!
//! A row of [`ROWS`] is one member: which kinds of sockets have it, why it is copied, and
//! where it lies.  No other module names such a member: the layout of a record and the
//! program that fills it follow from the rows.
//!
//! A member that moved between kernel releases has several places; the first that the
//! running kernel has is read.  A kernel that has none of them either does not report the
//! value, and the row says so ([`Missing::Zero`]), or it cannot be walked
//! ([`Missing::Refuse`]).
//!
//! Source: the kernel's own types (BTF) of Linux 6.12, 6.18 and 7.3.

use std::ops::BitOr;

use sockdiag_wire::bpf::Wanted;

use crate::past::Counter;

/// A kind of entry in the tables; each has a structure of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `struct tcp_sock`: every state but those below, listeners too.
    Full,
    /// A `struct tcp_timewait_sock` (`skc_state` is 6).
    TimeWait,
    /// A `struct tcp_request_sock` (`skc_state` is 12).
    Request,
}

impl Kind {
    /// Every kind.
    pub(super) const ALL: [Self; 3] = [Self::Full, Self::TimeWait, Self::Request];
}

/// A set of reasons to copy a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants(u32);

impl Wants {
    /// The identity of a socket, which every record has.
    pub(super) const IDENTITY: Self = Self(0);
    /// The two queues.
    pub(super) const QUEUES: Self = Self(1);
    /// Which timer runs, and when it expires.
    pub(super) const TIMERS: Self = Self(1 << 1);
    /// Owner and inode.
    pub(super) const OWNER: Self = Self(1 << 2);
    /// What the kernel sends without being asked: directions shut down, socket options,
    /// cgroup, mark.
    pub(super) const UNASKED: Self = Self(1 << 3);
    /// The two reports of memory.
    pub(super) const MEMORY: Self = Self(1 << 4);
    /// `tcp_info`, and the attributes that the kernel sends with it.
    pub(super) const INFO: Self = Self(1 << 5);
    /// Name of the congestion control.
    pub(super) const CONGESTION: Self = Self(1 << 6);
    /// Type of service, traffic class, class id.
    pub(super) const TOS: Self = Self(1 << 7);
    /// The state that the congestion control reports.
    pub(super) const ALGORITHM: Self = Self(1 << 8);
    /// Both report rates in bytes.
    const INFO_OR_ALGORITHM: Self = Self(Self::INFO.0 | Self::ALGORITHM.0);
    /// Both need the name.
    const CONGESTION_NAME: Self = Self(Self::CONGESTION.0 | Self::ALGORITHM.0);
    /// The network namespace, by its inode.
    pub(super) const NAMESPACE: Self = Self(1 << 9);

    /// Whether the set has all of these.
    pub(super) const fn has(self, these: Self) -> bool {
        self.0 & these.0 == these.0
    }

    /// Whether a member that is copied for `self` is needed for `wanted`.
    pub(super) const fn is_wanted(self, wanted: Self) -> bool {
        self.0 == 0 || self.0 & wanted.0 != 0
    }
}

impl BitOr for Wants {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The structure that a member's offset is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Base {
    /// The socket itself.
    Socket,
    /// The structure that `sk_socket` points to; none once no process holds the socket.
    File,
    /// The IPv6 part; none for IPv4.
    Ipv6,
    /// The congestion control.
    Congestion,
    /// The cached route, if there is one.
    Route,
    /// The metrics of the cached route.
    Metrics,
    /// The cgroup.
    Cgroup,
    /// The directory of the cgroup.
    CgroupNode,
    /// The network namespace.
    Namespace,
}

impl Base {
    /// The number of bases.
    pub(super) const COUNT: usize = Self::Namespace as usize + 1;

    /// Every base; a structure comes before those that its pointers lead to.
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Socket,
        Self::File,
        Self::Ipv6,
        Self::Congestion,
        Self::Route,
        Self::Metrics,
        Self::Cgroup,
        Self::CgroupNode,
        Self::Namespace,
    ];

    /// The base with this name.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "Socket" => Self::Socket,
            "File" => Self::File,
            "Ipv6" => Self::Ipv6,
            "Congestion" => Self::Congestion,
            "Route" => Self::Route,
            "Metrics" => Self::Metrics,
            "Cgroup" => Self::Cgroup,
            "CgroupNode" => Self::CgroupNode,
            "Namespace" => Self::Namespace,
            _ => return None,
        })
    }

    /// The pointer that leads to the structure; `None` for the socket itself.
    ///
    /// Members behind a null pointer read as zero.
    pub(super) const fn pointer(self) -> Option<Pointer> {
        Some(match self {
            Self::Socket => return None,
            Self::File => Pointer::of(Self::Socket, "sock", "sk_socket"),
            Self::Ipv6 => Pointer::of(Self::Socket, "inet_sock", "pinet6"),
            Self::Congestion => Pointer::of(Self::Socket, "inet_connection_sock", "icsk_ca_ops"),
            Self::Route => Pointer::of(Self::Socket, "sock", "sk_dst_cache"),
            // The two lowest bits are flags.
            Self::Metrics => Pointer { flags: 3, ..Pointer::of(Self::Route, "dst_entry", "_metrics") },
            Self::Cgroup => Pointer::of(Self::Socket, "sock", "sk_cgrp_data.cgroup"),
            Self::CgroupNode => Pointer::of(Self::Cgroup, "cgroup", "kn"),
            Self::Namespace => Pointer::of(Self::Socket, "sock_common", "skc_net.net"),
        })
    }
}

/// A member that points to another structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// The base that holds the pointer.
    pub from: Base,
    /// The structure.
    pub structure: &'static str,
    /// The member.
    pub path: &'static str,
    /// Bits of the pointer that are not part of the address.
    pub flags: u8,
}

impl Pointer {
    const fn of(from: Base, structure: &'static str, path: &'static str) -> Self {
        Self { from, structure, path, flags: 0 }
    }
}

/// The place of a member in the kernel's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The base of the structure.
    pub base: Base,
    /// The structure.
    pub structure: &'static str,
    /// The member; `[N]` after it selects the Nth group of 4 bytes of an array.
    pub path: &'static str,
    /// The kernel reports the value from this place only if it has this function; empty if
    /// there is no condition.
    pub with: &'static str,
}

/// What happens if the kernel has none of a member's places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The walk is refused: the value that the kernel reports is unknown.
    Refuse,
    /// The kernel does not have the feature, and reports nothing or zero.
    Zero,
}

/// One member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The member's name here.
    pub member: Member,
    /// Which kinds of sockets have it.
    pub kinds: Kinds,
    /// Why it is copied.
    pub wants: Wants,
    /// What happens if the kernel lacks it.
    pub missing: Missing,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    /// Whether a kind is in the set.
    pub(super) const fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

const FULL: Kinds = Kinds(1 << Kind::Full as u8);
const TIME_WAIT: Kinds = Kinds(1 << Kind::TimeWait as u8);
const REQUEST: Kinds = Kinds(1 << Kind::Request as u8);
const ALL: Kinds = Kinds(FULL.0 | TIME_WAIT.0 | REQUEST.0);

impl Row {
    /// Its places; the first that the kernel has is used.
    pub(super) fn places(self) -> impl Iterator<Item = Place> + use<> {
        let line = PLACES.lines().nth(self.member as usize).unwrap_or_default();
        line.split_terminator('|').filter_map(Place::read)
    }
}

impl Place {
    /// Reads `BASE:STRUCTURE.PATH WITH`.
    fn read(text: &'static str) -> Option<Self> {
        let (base, rest) = text.split_once(':')?;
        let (structure, rest) = rest.split_once('.')?;
        let (path, with) = rest.split_once(' ')?;
        Some(Self { base: Base::of(base)?, structure, path, with })
    }
}

/// A place as text, from its structure and member; a `Base:` prefix names the base.
macro_rules! place {
    ($structure:literal . $path:literal) => {
        place!(Socket : $structure . $path)
    };
    ($base:ident : $structure:literal . $path:literal) => {
        place!($base : $structure . $path with "")
    };
    ($structure:literal . $path:literal with $with:literal) => {
        place!(Socket : $structure . $path with $with)
    };
    ($base:ident : $structure:literal . $path:literal with $with:literal) => {
        concat!(stringify!($base), ":", $structure, ".", $path, " ", $with, "|")
    };
}

/// The names and their rows: `NAME: kinds, wanted for, if missing, [places];`.
macro_rules! rows {
    ($(#[doc = $doc:literal] $name:ident: $kinds:expr, $wants:ident, $missing:ident,
        [$($($base:ident :)? $structure:literal . $path:literal $(with $with:literal)?),+];)+) => {
        /// A member that a record holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Member {
            $(#[doc = $doc] $name,)+
        }

        /// Every member, in the order of [`Member`].
        pub(super) const ROWS: &[Row] = &[$(Row {
            member: Member::$name,
            kinds: $kinds,
            wants: Wants::$wants,
            missing: Missing::$missing,
        },)+];

        /// The places, one line per row, as a single string that needs no relocations.
        const PLACES: &str = concat!($($(place!($($base :)? $structure . $path $(with $with)?),)+ "\n",)+);
    };
}

rows! {
    /// Address family.
    Family: ALL, IDENTITY, Refuse, ["sock_common"."skc_family"];
    /// State; 6 and 12 stand for kinds, not states.
    State: ALL, IDENTITY, Refuse, ["sock_common"."skc_state"];
    /// Local port, in host order.
    LocalPort: ALL, IDENTITY, Refuse, ["sock_common"."skc_num"];
    /// Remote port, in network order.
    RemotePort: ALL, IDENTITY, Refuse, ["sock_common"."skc_dport"];
    /// Local IPv4 address.
    Local4: ALL, IDENTITY, Refuse, ["sock_common"."skc_rcv_saddr"];
    /// Remote IPv4 address.
    Remote4: ALL, IDENTITY, Refuse, ["sock_common"."skc_daddr"];
    /// Local IPv6 address, 16 bytes.
    Local6: ALL, IDENTITY, Zero, ["sock_common"."skc_v6_rcv_saddr"];
    /// Remote IPv6 address, 16 bytes.
    Remote6: ALL, IDENTITY, Zero, ["sock_common"."skc_v6_daddr"];
    /// Interface that the socket is bound to.
    Interface: ALL, IDENTITY, Refuse, ["sock_common"."skc_bound_dev_if"];
    /// Cookie; zero until it is requested for the first time.
    Cookie: ALL, IDENTITY, Refuse, ["sock_common"."skc_cookie.counter"];
    /// Whether IPv6 only.
    Ipv6Only: FULL, IDENTITY, Refuse, ["sock_common"."skc_ipv6only"];
    /// Inode of the network namespace.
    NamespaceInode: ALL, NAMESPACE, Zero, [Namespace: "net"."ns.inum"];

    /// State of a socket in TIME-WAIT.
    TimeWaitState: TIME_WAIT, IDENTITY, Refuse, ["inet_timewait_sock"."tw_substate"];
    /// When it expires, in jiffies.
    TimeWaitExpires: TIME_WAIT, TIMERS, Refuse, ["inet_timewait_sock"."tw_timer.expires"];
    /// Its mark.
    TimeWaitMark: TIME_WAIT, UNASKED, Refuse, ["inet_timewait_sock"."tw_mark"];

    /// Retransmissions of the answer to the SYN.
    RequestRetrans: REQUEST, TIMERS, Refuse, ["request_sock"."num_retrans"];
    /// When the next one is sent, in jiffies.
    RequestExpires: REQUEST, TIMERS, Refuse, ["request_sock"."rsk_timer.expires"];
    /// Its mark.
    RequestMark: REQUEST, UNASKED, Refuse, ["inet_request_sock"."ir_mark"];

    /// The next sequence number expected from the peer.
    RcvNxt: FULL, QUEUES, Refuse, ["tcp_sock"."rcv_nxt"];
    /// The sequence number up to which data was read.
    CopiedSeq: FULL, QUEUES, Refuse, ["tcp_sock"."copied_seq"];
    /// The sequence number after the last byte written.
    WriteSeq: FULL, QUEUES, Refuse, ["tcp_sock"."write_seq"];
    /// The first sequence number that is not acknowledged.
    SndUna: FULL, QUEUES, Refuse, ["tcp_sock"."snd_una"];
    /// Connections that wait to be accepted.
    AckBacklog: FULL, QUEUES, Refuse, ["sock"."sk_ack_backlog"];
    /// The limit of connections that wait to be accepted.
    MaxAckBacklog: FULL, QUEUES, Refuse, ["sock"."sk_max_ack_backlog"];

    /// Owner: that of the socket's file, on kernels that read it there.
    Uid: FULL, OWNER, Refuse, [File: "socket_alloc"."vfs_inode.i_uid" with "sock_i_uid", "sock"."sk_uid"];
    /// Inode.
    Inode: FULL, OWNER, Refuse, ["sock"."sk_ino", File: "socket_alloc"."vfs_inode.i_ino"];

    /// Which timer of the connection runs.
    Pending: FULL, TIMERS, Refuse, ["inet_connection_sock"."icsk_pending"];
    /// When it fires, in jiffies.
    Timeout: FULL, TIMERS, Refuse, ["sock"."tcp_retransmit_timer.expires",
        "inet_connection_sock"."icsk_timeout", "inet_connection_sock"."icsk_retransmit_timer.expires"];
    /// Timeouts in a row.
    Retransmits: FULL, TIMERS, Refuse, ["inet_connection_sock"."icsk_retransmits"];
    /// Probes without an answer.
    ProbesOut: FULL, TIMERS, Refuse, ["inet_connection_sock"."icsk_probes_out"];
    /// Not null while the keepalive timer runs.
    KeepalivePending: FULL, TIMERS, Refuse,
        ["inet_connection_sock"."icsk_keepalive_timer.entry.pprev", "sock"."sk_timer.entry.pprev"];
    /// When it fires, in jiffies.
    KeepaliveExpires: FULL, TIMERS, Refuse,
        ["inet_connection_sock"."icsk_keepalive_timer.expires", "sock"."sk_timer.expires"];
    /// Flags of a pending acknowledgement.
    AckPending: FULL, TIMERS, Refuse, ["inet_connection_sock"."icsk_ack.pending"];
    /// When it is sent at the latest, in jiffies.
    AckExpires: FULL, TIMERS, Refuse, ["inet_connection_sock"."icsk_delack_timer.expires"];

    /// Directions shut down.
    Shutdown: FULL, UNASKED, Refuse, ["sock"."sk_shutdown"];
    /// Mark.
    Mark: FULL, UNASKED, Refuse, ["sock"."sk_mark"];
    /// Options, one bit each.
    Options: FULL, UNASKED, Refuse, ["inet_sock"."inet_flags"];
    /// The id of the cgroup.
    CgroupId: FULL, UNASKED, Zero, [CgroupNode: "kernfs_node"."id"];

    /// Memory of the receive queue.
    RmemAlloc: FULL, MEMORY, Refuse, ["sock"."sk_backlog.rmem_alloc.counter"];
    /// Limit of the receive queue.
    Rcvbuf: FULL, MEMORY, Refuse, ["sock"."sk_rcvbuf"];
    /// Memory of packets in flight, plus one.
    WmemAlloc: FULL, MEMORY, Refuse, ["sock"."sk_wmem_alloc.refs.counter"];
    /// Limit of the send queue.
    Sndbuf: FULL, MEMORY, Refuse, ["sock"."sk_sndbuf"];
    /// Memory reserved in advance.
    ForwardAlloc: FULL, MEMORY, Refuse, ["sock"."sk_forward_alloc"];
    /// Memory of the send queue.
    WmemQueued: FULL, MEMORY, Refuse, ["sock"."sk_wmem_queued"];
    /// Memory of options.
    OmemAlloc: FULL, MEMORY, Refuse, ["sock"."sk_omem_alloc.counter"];
    /// Memory of packets in the backlog.
    BacklogLen: FULL, MEMORY, Refuse, ["sock"."sk_backlog.len"];
    /// Packets dropped.
    Drops: FULL, MEMORY, Refuse, ["sock"."sk_drops.counter"];

    /// Name of the congestion control, 16 bytes.
    CongestionName: FULL, CONGESTION_NAME, Refuse, [Congestion: "tcp_congestion_ops"."name"];
    /// The function that reports its state, if it has one.
    CongestionInfo: FULL, ALGORITHM, Refuse, [Congestion: "tcp_congestion_ops"."get_info"];

    /// BBR: recent bandwidth, in segments per microsecond, shifted by 24 bits.
    BbrBandwidth: FULL, ALGORITHM, Zero, ["bbr"."bw.s[1]"];
    /// BBR: whether the long-term bandwidth is used instead.
    BbrUsesLong: FULL, ALGORITHM, Zero, ["bbr"."lt_use_bw"];
    /// BBR: long-term bandwidth, in the same unit.
    BbrLongBandwidth: FULL, ALGORITHM, Zero, ["bbr"."lt_bw"];
    /// BBR: smallest round-trip time, in microseconds.
    BbrMinRtt: FULL, ALGORITHM, Zero, ["bbr"."min_rtt_us"];
    /// BBR: pacing gain, in units of 1/256.
    BbrPacingGain: FULL, ALGORITHM, Zero, ["bbr"."pacing_gain"];
    /// BBR: window gain, in units of 1/256.
    BbrCwndGain: FULL, ALGORITHM, Zero, ["bbr"."cwnd_gain"];

    /// Type of service.
    Tos: FULL, TOS, Refuse, ["inet_sock"."tos"];
    /// Traffic class.
    Tclass: FULL, TOS, Zero, [Ipv6: "ipv6_pinfo"."tclass"];
    /// Class id of the cgroup.
    ClassId: FULL, TOS, Zero, ["sock"."sk_cgrp_data.classid"];
    /// Priority.
    Priority: FULL, TOS, Refuse, ["sock"."sk_priority"];

    /// The protocol on top of TCP (upper-layer protocol).
    Ulp: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_ulp_ops"];
    /// MD5 keys.
    Md5: FULL, INFO, Zero, ["tcp_sock"."md5sig_info"];
    /// Pacing rate.
    PacingRate: FULL, INFO, Refuse, ["sock"."sk_pacing_rate"];
    /// The limit of the pacing rate.
    MaxPacingRate: FULL, INFO, Refuse, ["sock"."sk_max_pacing_rate"];
    /// Reordering tolerated.
    Reordering: FULL, INFO, Refuse, ["tcp_sock"."reordering"];
    /// Congestion window.
    SndCwnd: FULL, INFO, Refuse, ["tcp_sock"."snd_cwnd"];
    /// Congestion state.
    CaState: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_ca_state"];
    /// How often the timeout was doubled.
    Backoff: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_backoff"];
    /// Whether timestamps were negotiated.
    TimestampOk: FULL, INFO, Refuse, ["tcp_sock"."rx_opt.tstamp_ok"];
    /// Whether timestamps count microseconds.
    UsecTs: FULL, INFO, Zero, ["tcp_sock"."tcp_usec_ts"];
    /// Whether selective acknowledgements were negotiated.
    SackOk: FULL, INFO, Refuse, ["tcp_sock"."rx_opt.sack_ok"];
    /// Whether scaled windows were negotiated.
    WscaleOk: FULL, INFO, Refuse, ["tcp_sock"."rx_opt.wscale_ok"];
    /// Scale of the peer's windows.
    SndWscale: FULL, INFO, Refuse, ["tcp_sock"."rx_opt.snd_wscale"];
    /// Scale of our windows.
    RcvWscale: FULL, INFO, Refuse, ["tcp_sock"."rx_opt.rcv_wscale"];
    /// ECN flags.
    EcnFlags: FULL, INFO, Refuse, ["tcp_sock"."ecn_flags"];
    /// Whether the peer acknowledged data in the SYN.
    SynDataAcked: FULL, INFO, Refuse, ["tcp_sock"."syn_data_acked"];
    /// Whether the connection was accepted by TCP Fast Open.
    FastopenChild: FULL, INFO, Zero, ["tcp_sock"."syn_fastopen_child"];
    /// Why TCP Fast Open failed.
    FastopenClientFail: FULL, INFO, Refuse, ["tcp_sock"."fastopen_client_fail"];
    /// Retransmission timeout, in jiffies.
    Rto: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_rto"];
    /// The minimum of the retransmission timeout, in jiffies.
    RtoMin: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_rto_min"];
    /// Delayed-acknowledgement timeout, in jiffies.
    Ato: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_ack.ato"];
    /// The maximum of the delayed-acknowledgement timeout, in jiffies.
    DelackMax: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_delack_max"];
    /// The peer's estimated segment size.
    RcvMss: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_ack.rcv_mss"];
    /// Which metrics of the route are locked, one bit each (`RTAX_LOCK`).
    RouteLocks: FULL, INFO, Zero, [Metrics: "dst_metrics"."metrics[0]"];
    /// The route's minimum retransmission timeout, in milliseconds (`RTAX_RTO_MIN`).
    RouteRtoMin: FULL, INFO, Zero, [Metrics: "dst_metrics"."metrics[12]"];
    /// When data arrived last, in jiffies.
    Lrcvtime: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_ack.lrcvtime"];
    /// When data was sent last, in jiffies.
    Lsndtime: FULL, INFO, Refuse, ["tcp_sock"."lsndtime"];
    /// When an acknowledgement arrived last, in jiffies.
    RcvTstamp: FULL, INFO, Refuse, ["tcp_sock"."rcv_tstamp"];
    /// Segment size for sending.
    MssCache: FULL, INFO_OR_ALGORITHM, Refuse, ["tcp_sock"."mss_cache"];
    /// Segments in flight.
    PacketsOut: FULL, INFO, Refuse, ["tcp_sock"."packets_out"];
    /// Segments acknowledged selectively.
    SackedOut: FULL, INFO, Refuse, ["tcp_sock"."sacked_out"];
    /// Segments believed lost.
    LostOut: FULL, INFO, Refuse, ["tcp_sock"."lost_out"];
    /// Segments retransmitted.
    RetransOut: FULL, INFO, Refuse, ["tcp_sock"."retrans_out"];
    /// Path MTU.
    PmtuCookie: FULL, INFO, Refuse, ["inet_connection_sock"."icsk_pmtu_cookie"];
    /// Largest window announced.
    RcvSsthresh: FULL, INFO, Refuse, ["tcp_sock"."rcv_ssthresh"];
    /// Smoothed round-trip time, in eighths of microseconds.
    SrttUs: FULL, INFO, Refuse, ["tcp_sock"."srtt_us"];
    /// Deviation of the round-trip time, in quarters of microseconds.
    MdevUs: FULL, INFO, Refuse, ["tcp_sock"."mdev_us"];
    /// Slow-start threshold.
    SndSsthresh: FULL, INFO, Refuse, ["tcp_sock"."snd_ssthresh"];
    /// Segment size announced.
    Advmss: FULL, INFO, Refuse, ["tcp_sock"."advmss"];
    /// Round-trip time of the receiver, in eighths of microseconds.
    RcvRttUs: FULL, INFO, Refuse, ["tcp_sock"."rcv_rtt_est.rtt_us"];
    /// Receive buffer space that the reader needs.
    RcvqSpace: FULL, INFO, Refuse, ["tcp_sock"."rcvq_space.space"];
    /// Segments retransmitted since the start.
    TotalRetrans: FULL, INFO, Refuse, ["tcp_sock"."total_retrans"];
    /// Bytes acknowledged.
    BytesAcked: FULL, INFO, Refuse, ["tcp_sock"."bytes_acked"];
    /// Bytes received.
    BytesReceived: FULL, INFO, Refuse, ["tcp_sock"."bytes_received"];
    /// The sequence number after the last byte sent.
    SndNxt: FULL, INFO, Refuse, ["tcp_sock"."snd_nxt"];
    /// What the connection waits for.
    ChronoType: FULL, INFO, Refuse, ["tcp_sock"."chrono_type"];
    /// Since when it waits, in jiffies.
    ChronoStart: FULL, INFO, Refuse, ["tcp_sock"."chrono_start"];
    /// How long data was outstanding in earlier periods, in jiffies.
    ChronoBusy: FULL, INFO, Refuse, ["tcp_sock"."chrono_stat[0]"];
    /// How long the peer's window was the limit in earlier periods, in jiffies.
    ChronoWindow: FULL, INFO, Refuse, ["tcp_sock"."chrono_stat[1]"];
    /// How long the send buffer was the limit in earlier periods, in jiffies.
    ChronoBuffer: FULL, INFO, Refuse, ["tcp_sock"."chrono_stat[2]"];
    /// Segments sent.
    SegsOut: FULL, INFO, Refuse, ["tcp_sock"."segs_out"];
    /// Segments received.
    SegsIn: FULL, INFO, Refuse, ["tcp_sock"."segs_in"];
    /// The smallest round-trip time, in microseconds.
    RttMin: FULL, INFO, Refuse, ["tcp_sock"."rtt_min.s[1]"];
    /// Segments with data received.
    DataSegsIn: FULL, INFO, Refuse, ["tcp_sock"."data_segs_in"];
    /// Segments with data sent.
    DataSegsOut: FULL, INFO, Refuse, ["tcp_sock"."data_segs_out"];
    /// Whether the application limits the rate of delivery.
    RateAppLimited: FULL, INFO, Refuse, ["tcp_sock"."rate_app_limited"];
    /// Segments delivered in the interval of `RateIntervalUs`.
    RateDelivered: FULL, INFO, Refuse, ["tcp_sock"."rate_delivered"];
    /// The interval of the delivery rate, in microseconds.
    RateIntervalUs: FULL, INFO, Refuse, ["tcp_sock"."rate_interval_us"];
    /// Segments delivered.
    Delivered: FULL, INFO, Refuse, ["tcp_sock"."delivered"];
    /// Segments delivered with an ECN mark.
    DeliveredCe: FULL, INFO, Refuse, ["tcp_sock"."delivered_ce"];
    /// Bytes sent.
    BytesSent: FULL, INFO, Refuse, ["tcp_sock"."bytes_sent"];
    /// Bytes retransmitted.
    BytesRetrans: FULL, INFO, Refuse, ["tcp_sock"."bytes_retrans"];
    /// Segments that the peer received twice.
    DsackDups: FULL, INFO, Refuse, ["tcp_sock"."dsack_dups"];
    /// Reordering seen.
    ReordSeen: FULL, INFO, Refuse, ["tcp_sock"."reord_seen"];
    /// Segments received out of order.
    RcvOoopack: FULL, INFO, Refuse, ["tcp_sock"."rcv_ooopack"];
    /// The peer's window.
    SndWnd: FULL, INFO, Refuse, ["tcp_sock"."snd_wnd"];
    /// Our window.
    RcvWnd: FULL, INFO, Refuse, ["tcp_sock"."rcv_wnd"];
    /// Path changes after congestion.
    PlbRehash: FULL, INFO, Zero, ["tcp_sock"."plb_rehash"];
    /// Path changes after timeouts.
    TimeoutRehash: FULL, INFO, Refuse, ["tcp_sock"."timeout_rehash"];
    /// Timeouts.
    TotalRto: FULL, INFO, Zero, ["tcp_sock"."total_rto"];
    /// Recoveries from timeouts.
    TotalRtoRecoveries: FULL, INFO, Zero, ["tcp_sock"."total_rto_recoveries"];
    /// Time spent in recoveries, in milliseconds.
    TotalRtoTime: FULL, INFO, Zero, ["tcp_sock"."total_rto_time"];
    /// When the present recovery began, in milliseconds.
    RtoStamp: FULL, INFO, Zero, ["tcp_sock"."rto_stamp"];
    /// Segments received with an ECN mark.
    ReceivedCe: FULL, INFO, Zero, ["tcp_sock"."received_ce"];
    /// Bytes delivered with ECT(1).
    DeliveredE1Bytes: FULL, INFO, Zero, ["tcp_sock"."delivered_ecn_bytes[0]"];
    /// Bytes delivered with ECT(0).
    DeliveredE0Bytes: FULL, INFO, Zero, ["tcp_sock"."delivered_ecn_bytes[1]"];
    /// Bytes delivered with CE.
    DeliveredCeBytes: FULL, INFO, Zero, ["tcp_sock"."delivered_ecn_bytes[2]"];
    /// Bytes received with ECT(1).
    ReceivedE1Bytes: FULL, INFO, Zero, ["tcp_sock"."received_ecn_bytes[0]"];
    /// Bytes received with ECT(0).
    ReceivedE0Bytes: FULL, INFO, Zero, ["tcp_sock"."received_ecn_bytes[1]"];
    /// Bytes received with CE.
    ReceivedCeBytes: FULL, INFO, Zero, ["tcp_sock"."received_ecn_bytes[2]"];
    /// How accurate ECN failed.
    AccecnFailMode: FULL, INFO, Zero, ["tcp_sock"."accecn_fail_mode"];
    /// Which option of accurate ECN was seen.
    SawAccecnOpt: FULL, INFO, Zero, ["tcp_sock"."saw_accecn_opt"];
}

const _: () = assert!(ROWS.len() <= 256, "a byte numbers them");

/// While one of these members is not zero, the socket always counts as changed: either a
/// running clock is reported (the first two), or the kernel reports something that no
/// record holds.
pub(super) const RESTLESS: [Member; 5] =
    [Member::ChronoType, Member::RtoStamp, Member::Ulp, Member::Md5, Member::CongestionInfo];

/// Members of 16 bytes.
pub(super) const LONG: [Member; 3] = [Member::Local6, Member::Remote6, Member::CongestionName];

/// The member that holds each counter.
pub(super) const COUNTED: [(Counter, Member); 25] = [
    (Counter::BytesSent, Member::BytesSent),
    (Counter::BytesReceived, Member::BytesReceived),
    (Counter::BytesAcked, Member::BytesAcked),
    (Counter::BytesRetrans, Member::BytesRetrans),
    (Counter::SegsOut, Member::SegsOut),
    (Counter::SegsIn, Member::SegsIn),
    (Counter::DataSegsOut, Member::DataSegsOut),
    (Counter::TotalRetrans, Member::TotalRetrans),
    (Counter::DsackDups, Member::DsackDups),
    (Counter::BusyTime, Member::ChronoType),
    (Counter::BusyTime, Member::ChronoBusy),
    (Counter::BusyTime, Member::ChronoWindow),
    (Counter::BusyTime, Member::ChronoBuffer),
    (Counter::RwndLimited, Member::ChronoType),
    (Counter::RwndLimited, Member::ChronoWindow),
    (Counter::SndbufLimited, Member::ChronoType),
    (Counter::SndbufLimited, Member::ChronoBuffer),
    (Counter::Drops, Member::Drops),
    (Counter::DeliveredCe, Member::DeliveredCe),
    (Counter::ReordSeen, Member::ReordSeen),
    (Counter::RcvOoopack, Member::RcvOoopack),
    (Counter::TotalRtoTime, Member::RtoStamp),
    (Counter::TotalRtoTime, Member::TotalRtoTime),
    (Counter::RecvQ, Member::RcvNxt),
    (Counter::RecvQ, Member::CopiedSeq),
];

/// Structures that begin with one another: a member of the inner one is also a member of
/// the outer one.
pub(super) const BEGINNINGS: &[(&str, &str)] = &[
    ("sock", "__sk_common"),
    ("inet_sock", "sk"),
    ("inet_connection_sock", "icsk_inet"),
    ("tcp_sock", "inet_conn"),
    ("inet_timewait_sock", "__tw_common"),
    ("request_sock", "__req_common"),
    ("inet_request_sock", "req"),
    ("socket_alloc", "socket"),
];

/// Structures in a socket's untyped private area: only the algorithm knows their layout.
pub(super) const PRIVATE: &[(&str, &str, &str)] = &[("bbr", "inet_connection_sock", "icsk_ca_priv")];

/// Every name to look up in the kernel's types.
pub(super) fn names() -> Vec<Wanted> {
    let mut names = Vec::new();
    let mut add = |one: Wanted| {
        if !names.contains(&one) {
            names.push(one);
        }
    };
    for (structure, _) in BEGINNINGS {
        add(Wanted::structure(structure));
    }
    for pointer in Base::ALL.into_iter().filter_map(Base::pointer) {
        add(Wanted::structure(pointer.structure));
    }
    for place in PLACES.lines().flat_map(|line| line.split_terminator('|')).filter_map(Place::read) {
        add(Wanted::structure(place.structure));
        if !place.with.is_empty() {
            add(Wanted::function(place.with));
        }
    }
    names
}
