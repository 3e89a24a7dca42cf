//! What fields need: parts of requests, and lookups.

use sockdiag_wire::inet_req::{
    EXT_CONG, EXT_INFO, EXT_MEMINFO, EXT_SKMEMINFO, EXT_TCLASS, EXT_TOS, EXT_VEGASINFO,
};

use crate::past::{Counter, CounterSet};

bit_set! {
    /// What a field needs: parts of the request, and lookups.
    ///
    /// A listing needs the union over all fields that are shown or filtered on.
    /// [`Needs::NONE`]: the field is in every reply.
    Needs(u64) {
        /// `INET_DIAG_MEMINFO`.
        MEMINFO,
        /// `INET_DIAG_INFO`.
        INFO,
        /// `INET_DIAG_VEGASINFO`, which also requests the data of DCTCP and BBR.
        VEGASINFO,
        /// `INET_DIAG_CONG`.
        CONG,
        /// `INET_DIAG_TOS`.
        TOS,
        /// `INET_DIAG_TCLASS`, which also requests the class id.
        TCLASS,
        /// `INET_DIAG_SKMEMINFO`.
        SKMEMINFO,
        /// Values of BPF maps: an attribute of the request.
        BPF_STORAGES,
        /// No request: the kernel only sends it to processes with `CAP_NET_ADMIN`.
        NET_ADMIN,
        /// `UDIAG_SHOW_VFS`.
        UNIX_VFS,
        /// `UDIAG_SHOW_ICONS`.
        UNIX_ICONS,
        /// `UDIAG_SHOW_MEMINFO`.
        UNIX_MEMINFO,
        /// `UDIAG_SHOW_UID`.
        UNIX_UID,
        /// `SMC_DIAG_CONNINFO`.
        SMC_CONNINFO,
        /// `SMC_DIAG_LGRINFO`.
        SMC_LGRINFO,
        /// `SMC_DIAG_DMBINFO`.
        SMC_DMBINFO,
        /// `PACKET_SHOW_MCLIST`.
        PACKET_MCLIST,
        /// `NDIAG_SHOW_FLAGS`.
        NETLINK_FLAGS,
        /// Names of interfaces.
        INTERFACES,
        /// Addresses of interfaces.
        ADDRESSES,
        /// Paths of cgroups.
        CGROUPS,
        /// Names of hosts, if `-r` requests them.
        HOSTS,
        /// Names of services, unless `-n` is given.
        SERVICES,
        /// Names of netlink protocols, and of the processes whose ids are port ids.
        NETLINK_NAMES,
        /// Names of users.
        USERS,
        /// Processes that hold sockets, and their descriptors.
        PROCESSES,
        /// Command lines and users of the processes that hold sockets.
        COMMANDS,
        /// SELinux contexts of sockets and of the processes that hold them.
        CONTEXTS,
        /// The other ends of connections.
        PEERS,
        /// The range of ephemeral ports of a namespace.
        PORT_RANGE,
        /// Ephemeral ports in use, by destination.
        PORTS,
        /// Containers and units, from the cgroup of the socket or of its holders.
        WORKLOADS,
        /// A previous observation of the same socket.
        TWO_LOOKS,
        /// Lookups of TIME-WAIT remains of ended connections.
        ENDING,
        /// The counter `tcpi_bytes_sent` of the previous observation.
        KEEP_BYTES_SENT,
        /// The previous `tcpi_bytes_received`.
        KEEP_BYTES_RECEIVED,
        /// The previous `tcpi_bytes_acked`.
        KEEP_BYTES_ACKED,
        /// The previous `tcpi_bytes_retrans`.
        KEEP_BYTES_RETRANS,
        /// The previous `tcpi_segs_out`.
        KEEP_SEGS_OUT,
        /// The previous `tcpi_segs_in`.
        KEEP_SEGS_IN,
        /// The previous `tcpi_data_segs_out`.
        KEEP_DATA_SEGS_OUT,
        /// The previous `tcpi_total_retrans`.
        KEEP_TOTAL_RETRANS,
        /// The previous `tcpi_dsack_dups`.
        KEEP_DSACK_DUPS,
        /// The previous `tcpi_busy_time`.
        KEEP_BUSY_TIME,
        /// The previous `tcpi_rwnd_limited`.
        KEEP_RWND_LIMITED,
        /// The previous `tcpi_sndbuf_limited`.
        KEEP_SNDBUF_LIMITED,
        /// The previous number of packets that the socket dropped.
        KEEP_DROPS,
        /// The previous `tcpi_delivered_ce`.
        KEEP_DELIVERED_CE,
        /// The previous `tcpi_reord_seen`.
        KEEP_REORD_SEEN,
        /// The previous `tcpi_rcv_ooopack`.
        KEEP_RCV_OOOPACK,
        /// The previous `tcpi_total_rto_time`.
        KEEP_TOTAL_RTO_TIME,
        /// The previous receive queue.
        KEEP_RECV_Q,
        /// Counters and settings of the namespace, and aggregates over its other sockets.
        AROUND,
        /// The doctor's most recent findings.
        FINDINGS,
        /// Owner and inode.  Every reply contains these and the three parts below, but a walk
        /// of the kernel's tables reads them only on demand.
        OWNER,
        /// The cookie.
        COOKIE,
        /// The timer and its expiry.
        TIMER,
        /// Attributes sent without a request: directions shut down, mark, cgroup, options.
        UNASKED,
        /// The current time: the value changes even if nothing happens to the socket.
        CLOCK,
    }
}

impl Needs {
    /// The parts that every inet_diag reply contains, but that a walk of the kernel's tables
    /// reads only on demand.
    pub const PARTS: Self = Self::OWNER.union(Self::COOKIE).union(Self::TIMER).union(Self::UNASKED);
}

/// The bits of `idiag_ext` that request each part of an inet_diag reply.
const INET_EXT: [(Needs, u8); 7] = [
    (Needs::MEMINFO, EXT_MEMINFO),
    (Needs::INFO, EXT_INFO),
    (Needs::VEGASINFO, EXT_VEGASINFO),
    (Needs::CONG, EXT_CONG),
    (Needs::TOS, EXT_TOS),
    (Needs::TCLASS, EXT_TCLASS),
    (Needs::SKMEMINFO, EXT_SKMEMINFO),
];

/// The counters to keep from one observation to the next.
const KEPT: [(Needs, Counter); 18] = [
    (Needs::KEEP_BYTES_SENT, Counter::BytesSent),
    (Needs::KEEP_BYTES_RECEIVED, Counter::BytesReceived),
    (Needs::KEEP_BYTES_ACKED, Counter::BytesAcked),
    (Needs::KEEP_BYTES_RETRANS, Counter::BytesRetrans),
    (Needs::KEEP_SEGS_OUT, Counter::SegsOut),
    (Needs::KEEP_SEGS_IN, Counter::SegsIn),
    (Needs::KEEP_DATA_SEGS_OUT, Counter::DataSegsOut),
    (Needs::KEEP_TOTAL_RETRANS, Counter::TotalRetrans),
    (Needs::KEEP_DSACK_DUPS, Counter::DsackDups),
    (Needs::KEEP_BUSY_TIME, Counter::BusyTime),
    (Needs::KEEP_RWND_LIMITED, Counter::RwndLimited),
    (Needs::KEEP_SNDBUF_LIMITED, Counter::SndbufLimited),
    (Needs::KEEP_DROPS, Counter::Drops),
    (Needs::KEEP_DELIVERED_CE, Counter::DeliveredCe),
    (Needs::KEEP_REORD_SEEN, Counter::ReordSeen),
    (Needs::KEEP_RCV_OOOPACK, Counter::RcvOoopack),
    (Needs::KEEP_TOTAL_RTO_TIME, Counter::TotalRtoTime),
    (Needs::KEEP_RECV_Q, Counter::RecvQ),
];

impl Needs {
    /// The counters that have to be kept from one observation to the next.
    pub fn counters(self) -> CounterSet {
        let kept = KEPT.iter().filter(|(need, _)| self.has(*need));
        kept.fold(CounterSet::EMPTY, |all, (_, counter)| all.union(CounterSet::only(*counter)))
    }

    /// The `idiag_ext` byte of the request.
    pub fn inet_ext(self) -> u8 {
        let asked = INET_EXT.iter().filter(|(need, _)| self.has(*need));
        asked.fold(0, |ext, (_, bit)| ext | bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inet_diag_is_asked_for_what_is_needed() {
        assert_eq!(Needs::NONE.inet_ext(), 0);
        let every = Needs::MEMBERS.iter().fold(Needs::NONE, |all, (_, need)| all.union(*need));
        assert_eq!(every.inet_ext(), 0x7f);
        for (need, ext) in INET_EXT {
            assert_eq!((need.inet_ext(), every.minus(need).inet_ext()), (ext, 0x7f & !ext), "{need:?}");
        }
        assert_eq!(Needs::PROCESSES.union(Needs::INFO).inet_ext(), 2);
    }
}
