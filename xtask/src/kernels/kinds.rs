//! The kinds of sockets that must exist on each kernel, and how the reference's own output
//! shows them.
//!
//! A kind is counted in the lines of the census (`cases::CENSUS`): lines that start with the
//! kind's first word and contain all its tokens.  The padding of columns is ignored.

/// A kind of socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The line's first word: the Netid.
    row: &'static str,
    /// Further tokens that the line contains.
    tokens: &'static [&'static str],
    /// Kernels of the matrix that lack it, and why.
    missing: &'static [(&'static str, &'static str)],
}

const fn kind(name: &'static str, row: &'static str, tokens: &'static [&'static str]) -> Kind {
    Kind { name, row, tokens, missing: &[] }
}

impl Kind {
    const fn but(mut self, missing: &'static [(&'static str, &'static str)]) -> Self {
        self.missing = missing;
        self
    }

    /// Why a kernel lacks it; `None` if it must exist.
    pub(crate) fn lacks(&self, kernel: &str) -> Option<&'static str> {
        self.missing.iter().find(|(name, _)| *name == kernel).map(|(_, why)| *why)
    }

    /// The number of census lines that show it.
    pub(crate) fn count(&self, census: &str) -> usize {
        let shows = |line: &&str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let text = format!("{} ", words.join(" "));
            words.first() == Some(&self.row) && self.tokens.iter().all(|token| text.contains(token))
        };
        census.lines().filter(shows).count()
    }
}

const NO_MPTCP: &[(&str, &str)] = &[("5.10", "built without MPTCP")];
const NO_TLS: &[(&str, &str)] = &[("5.10", "no module for TLS in the cloud flavour")];
const NO_XDP_DIAG: &[(&str, &str)] =
    &[("5.10", "built without XDP_SOCKETS_DIAG"), ("6.1", "built without XDP_SOCKETS_DIAG")];
const NO_DCCP: &[(&str, &str)] = &[("7.3", "removed in 6.16")];
const NO_SMC: &[(&str, &str)] = &[("7.3", "built without SMC in the cloud flavour")];
const NO_UDPLITE: &[(&str, &str)] = &[("7.3", "removed in 7.1")];
const NO_BOUND: &[(&str, &str)] = &[("5.10", "since 6.8"), ("6.1", "since 6.8")];

/// The kinds that must exist.
pub(crate) const KINDS: &[Kind] = &[
    kind("tcp", "tcp", &[" ESTAB "]),
    kind("tcp over v6", "tcp", &[" ESTAB ", " [::1]:"]),
    kind("tcp mapped", "tcp", &["[::ffff:127.0.0.1]:"]),
    kind("listeners", "tcp", &[" LISTEN "]),
    kind("v6only listeners", "tcp", &[" LISTEN ", " v6only:1"]),
    kind("dual listeners", "tcp", &[" LISTEN ", " v6only:0"]),
    kind("TIME-WAIT", "tcp", &[" TIME-WAIT "]),
    kind("SYN-SENT", "tcp", &[" SYN-SENT "]),
    kind("SYN-RECV", "tcp", &[" SYN-RECV "]),
    kind("FIN-WAIT-1", "tcp", &[" FIN-WAIT-1 "]),
    kind("FIN-WAIT-2", "tcp", &[" FIN-WAIT-2 "]),
    kind("CLOSE-WAIT", "tcp", &[" CLOSE-WAIT "]),
    kind("LAST-ACK", "tcp", &[" LAST-ACK "]),
    kind("CLOSING", "tcp", &[" CLOSING "]),
    kind("bound inactive", "tcp", &[" 127.0.0.1:5012 "]).but(NO_BOUND),
    kind("timers", "tcp", &[" timer:("]),
    kind("marks", "tcp", &[" fwmark:0x2a"]),
    kind("cgroups", "tcp", &[" cgroup:/rig/zoo"]),
    kind("tos", "tcp", &[" tos:0x1"]),
    kind("inet options", "tcp", &[" inet-sockopt: ("]),
    kind("cubic", "tcp", &[" cubic "]),
    kind("bbr", "tcp", &[" bbr ", " bbr:("]),
    kind("dctcp", "tcp", &[" dctcp ", " dctcp:"]),
    kind("vegas", "tcp", &[" vegas "]),
    kind("md5", "tcp", &[" md5keys:"]),
    kind("ktls", "tcp", &[" tcp-ulp-tls", " version: 1.2"]).but(NO_TLS),
    kind("ktls 1.3", "tcp", &[" tcp-ulp-tls", " version: 1.3"]).but(NO_TLS),
    kind("mptcp subflows", "tcp", &[" tcp-ulp-mptcp", " token:"]).but(NO_MPTCP),
    kind("mptcp", "mptcp", &[" ESTAB "]).but(NO_MPTCP),
    kind("mptcp, two subflows", "mptcp", &[" subflows:1"]).but(NO_MPTCP),
    kind("udp", "udp", &[" skmem:("]),
    kind("udp connected", "udp", &[" ESTAB "]),
    kind("udp over v6", "udp", &[" [::1]:"]),
    kind("raw", "???", &[" 127.0.0.1:"]),
    kind("raw v6", "???", &["[::1]:"]),
    kind("sctp endpoints", "sctp", &[" LISTEN "]),
    // The row of an SCTP association has no Netid.
    kind("sctp associations", "`-", &[" ESTAB ", " locals:", " tag:"]),
    kind("sctp multihomed", "`-", &[" peers:127.0.0.1,192.0.2.1"]),
    kind("sctp v6", "`-", &["[::1]:7004"]),
    kind("dccp", "dccp", &[" ESTAB ", ":7101 "]).but(NO_DCCP),
    kind("dccp v6", "dccp", &["[::1]:7102 "]).but(NO_DCCP),
    kind("tipc", "ti_st", &[]),
    kind("tipc rdm", "ti_rd", &[]),
    kind("tipc dgram", "ti_dg", &[]),
    kind("tipc seqpacket", "ti_sq", &[]),
    kind("vsock", "v_str", &[" ESTAB "]),
    // The reference has no name for this type.
    kind("vsock seqpacket", "???", &[" 1:1235 "]).but(&[("5.10", "since 5.14")]),
    kind("xdp", "xdp", &[" rx(entries:"]).but(NO_XDP_DIAG),
    kind("packet raw", "p_raw", &[]),
    kind("packet dgram", "p_dgr", &[]),
    kind("fanout", "p_raw", &[" fanout("]),
    kind("rx rings", "p_raw", &[" ring_rx("]),
    kind("tx rings", "p_raw", &[" ring_tx("]),
    kind("cBPF", "p_raw", &[" bpf filter ("]),
    kind("netlink", "nl", &[]),
    kind("unix stream", "u_str", &[" ESTAB "]),
    kind("unix datagram", "u_dgr", &[]),
    kind("unix seqpacket", "u_seq", &[]),
    kind("unix pending", "u_str", &[" LISTEN ", " peers:"]),
    kind("unix abstract", "u_str", &["@zoo-abstract "]),
    kind("unix odd names", "u_seq", &["@zoo@nul@ "]),
];

/// The kinds that must exist in listings that only ours supports.
pub(crate) const OURS: &[Kind] = &[
    kind("smc listeners", "smc", &[" LISTEN ", " 127.0.0.1:7201 0.0.0.0:* ", "zoo-smc"]).but(NO_SMC),
    kind("smc over v6", "smc", &[" ESTAB ", " [::1]:7202 ", " mode:tcp "]).but(NO_SMC),
    kind("smc mapped", "smc", &[" ESTAB ", " [::ffff:127.0.0.1]:7204 "]).but(NO_SMC),
    kind("smc fallbacks", "smc", &[" mode:tcp ", " fallback:0x3030000(no-device) "]).but(NO_SMC),
    kind("smc declined", "smc", &[" fallback:0x5000000(peer-declined) peer_diagnosis:0x3030000 "])
        .but(NO_SMC),
    kind("smc left alone", "smc", &[" INIT ", " *:* *:* "]).but(NO_SMC),
    kind("udplite", "udplite", &[" UNCONN ", " 127.0.0.1:6101 ", " skmem:("]).but(NO_UDPLITE),
    kind("udplite v6", "udplite", &[" [::1]:6102 ", "zoo-udplite"]).but(NO_UDPLITE),
];

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag_testkit::pins::{self, Kind as Pinned};

    #[test]
    fn kinds_are_counted_by_their_first_word_and_all_tokens() {
        let census =
            "tcp ESTAB 0 0 127.0.0.1:1 x bbr wscale bbr:(bw:1\ntcp   ESTAB 0 0 a bbr \nudp x bbr bbr:(\n";
        let bbr = KINDS.iter().find(|kind| kind.name == "bbr").unwrap();
        assert_eq!(bbr.count(census), 1);
        assert_eq!(kind("tcp", "tcp", &[]).count(census), 2);
        assert_eq!(kind("dccp", "dccp", &[]).count(census), 0);
    }

    #[test]
    fn kinds_are_told_apart_and_kernels_exist() {
        let mut names = std::collections::HashSet::new();
        for kind in KINDS.iter().chain(OURS) {
            assert!(names.insert(kind.name), "{}", kind.name);
            for (kernel, _) in kind.missing {
                assert!(pins::of(Pinned::Kernel, kernel).is_ok(), "{}: {kernel}", kind.name);
                assert!(kind.lacks(kernel).is_some());
            }
            assert!(kind.lacks("6.12").is_none(), "{}: 6.12 has everything", kind.name);
        }
    }
}
