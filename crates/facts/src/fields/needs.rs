//! What a field costs.

use sockdiag_wire::inet_req::{
    EXT_CONG, EXT_INFO, EXT_MEMINFO, EXT_SKMEMINFO, EXT_TCLASS, EXT_TOS, EXT_VEGASINFO,
};

use crate::past::{Counter, CounterSet};

bit_set! {
    /// What a field costs: parts of the request, and look-ups.
    ///
    /// The plan is the union over the fields that are shown or filtered on.
    /// [`Needs::NONE`]: the field is in every reply.
    Needs(u64) {
        /// `INET_DIAG_MEMINFO`.
        MEMINFO,
        /// `INET_DIAG_INFO`.
        INFO,
        /// `INET_DIAG_VEGASINFO`, which brings DCTCP and BBR too.
        VEGASINFO,
        /// `INET_DIAG_CONG`.
        CONG,
        /// `INET_DIAG_TOS`.
        TOS,
        /// `INET_DIAG_TCLASS`, which brings the class id too.
        TCLASS,
        /// `INET_DIAG_SKMEMINFO`.
        SKMEMINFO,
        /// Values of BPF maps: an attribute of the request.
        BPF_STORAGES,
        /// Nothing to ask for: the kernel tells it who has `CAP_NET_ADMIN` alone.
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
        /// Names of hosts, where `-r` asks for them.
        HOSTS,
        /// Names of services, unless `-n` forbids them.
        SERVICES,
        /// Names of netlink protocols and of the processes that have port ids.
        NETLINK_NAMES,
        /// Names of users.
        USERS,
        /// Owners: processes and their descriptors.
        PROCESSES,
        /// Command lines and users of the processes that hold sockets.
        COMMANDS,
        /// SELinux contexts of sockets and of those that hold them.
        CONTEXTS,
        /// The other ends of connections.
        PEERS,
        /// The range of ephemeral ports of a namespace.
        PORT_RANGE,
        /// Ephemeral ports in use, by destination.
        PORTS,
        /// Containers and units: of the socket's own cgroup, or of its holders'.
        WORKLOADS,
        /// An earlier look at the same socket.
        TWO_LOOKS,
        /// Look-ups of what is left of ended connections.
        ENDING,
        /// A counter of the earlier look: `tcpi_bytes_sent`.
        KEEP_BYTES_SENT,
        /// Likewise `tcpi_bytes_received`.
        KEEP_BYTES_RECEIVED,
        /// Likewise `tcpi_bytes_acked`.
        KEEP_BYTES_ACKED,
        /// Likewise `tcpi_bytes_retrans`.
        KEEP_BYTES_RETRANS,
        /// Likewise `tcpi_segs_out`.
        KEEP_SEGS_OUT,
        /// Likewise `tcpi_segs_in`.
        KEEP_SEGS_IN,
        /// Likewise `tcpi_data_segs_out`.
        KEEP_DATA_SEGS_OUT,
        /// Likewise `tcpi_total_retrans`.
        KEEP_TOTAL_RETRANS,
        /// Likewise `tcpi_dsack_dups`.
        KEEP_DSACK_DUPS,
        /// Likewise `tcpi_busy_time`.
        KEEP_BUSY_TIME,
        /// Likewise `tcpi_rwnd_limited`.
        KEEP_RWND_LIMITED,
        /// Likewise `tcpi_sndbuf_limited`.
        KEEP_SNDBUF_LIMITED,
        /// Likewise what the socket dropped.
        KEEP_DROPS,
        /// Likewise `tcpi_delivered_ce`.
        KEEP_DELIVERED_CE,
        /// Likewise `tcpi_reord_seen`.
        KEEP_REORD_SEEN,
        /// Likewise `tcpi_rcv_ooopack`.
        KEEP_RCV_OOOPACK,
        /// Likewise `tcpi_total_rto_time`.
        KEEP_TOTAL_RTO_TIME,
        /// Likewise what waited to be read.
        KEEP_RECV_Q,
        /// Counters and settings of the namespace, and what its other sockets add up to.
        AROUND,
        /// What the doctor found at its last looks.
        FINDINGS,
        /// Owner and inode: in every reply, but a walk of the kernel's tables reads
        /// them only where they are needed, as the three below.
        OWNER,
        /// The cookie.
        COOKIE,
        /// Which timer runs, and until when.
        TIMER,
        /// Attributes that come unasked: directions shut down, mark, cgroup, options.
        UNASKED,
        /// The time: the value changes although nothing happens to the socket.
        CLOCK,
    }
}

impl Needs {
    /// What a reply of inet_diag has in any case, and a walk of the kernel's tables
    /// only where it is needed.
    pub const PARTS: Self = Self::OWNER.union(Self::COOKIE).union(Self::TIMER).union(Self::UNASKED);
}

/// The bits of `idiag_ext` that ask for each part of a reply of inet_diag.
const INET_EXT: [(Needs, u8); 7] = [
    (Needs::MEMINFO, EXT_MEMINFO),
    (Needs::INFO, EXT_INFO),
    (Needs::VEGASINFO, EXT_VEGASINFO),
    (Needs::CONG, EXT_CONG),
    (Needs::TOS, EXT_TOS),
    (Needs::TCLASS, EXT_TCLASS),
    (Needs::SKMEMINFO, EXT_SKMEMINFO),
];

/// The counters that are kept from one look to the next.
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
    /// The counters that have to be kept from one look to the next.
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
