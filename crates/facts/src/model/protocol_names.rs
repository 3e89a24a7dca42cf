//! Names of netlink and link-layer protocols, as used in host values of filters and in rows.
//!
//! Source: `include/uapi/linux/netlink.h` and `if_ether.h` for the numbers; the observed
//! behaviour of `ss` for the names.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use sockdiag_wire::ipproto::{
    IPPROTO_DCCP, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_MPTCP, IPPROTO_RAW, IPPROTO_SCTP, IPPROTO_TCP,
    IPPROTO_UDP, IPPROTO_UDPLITE,
};

use super::words::{self, Word};
use crate::cnum;

/// IP protocols that have sockets.
pub const IP: &[Word] = &[
    Word::new(IPPROTO_ICMP as u32, "icmp"),
    Word::new(IPPROTO_TCP as u32, "tcp"),
    Word::new(IPPROTO_UDP as u32, "udp"),
    Word::new(IPPROTO_DCCP as u32, "dccp"),
    Word::new(IPPROTO_ICMPV6 as u32, "icmp6|icmpv6|ipv6-icmp"),
    Word::new(IPPROTO_SCTP as u32, "sctp"),
    Word::new(IPPROTO_UDPLITE as u32, "udplite"),
    Word::new(IPPROTO_RAW as u32, "raw"),
    Word::new(IPPROTO_MPTCP as u32, "mptcp"),
];

/// Netlink protocols; case matters.
pub const NETLINK: &[Word] = &[
    Word::new(0, "rtnl"),
    Word::new(1, "unused"),
    Word::new(2, "usersock"),
    Word::new(3, "fw"),
    Word::new(4, "tcpdiag"),
    Word::new(5, "nflog"),
    Word::new(6, "xfrm"),
    Word::new(7, "selinux"),
    Word::new(8, "iscsi"),
    Word::new(9, "audit"),
    Word::new(10, "fiblookup"),
    Word::new(11, "connector"),
    Word::new(12, "nft"),
    Word::new(13, "ip6fw"),
    Word::new(14, "dec-rt"),
    Word::new(15, "uevent"),
    Word::new(16, "genl"),
    Word::new(18, "scsi-trans"),
    Word::new(19, "ecryptfs"),
    Word::new(20, "rdma"),
    Word::new(21, "crypto"),
];

/// Link-layer protocols; case does not matter.
pub const LINK: &[Word] = &[
    Word::new(0x60, "loop"),
    Word::new(0x200, "pup"),
    Word::new(0x201, "pupat"),
    Word::new(0x800, "ip|ipv4"),
    Word::new(0x805, "x25"),
    Word::new(0x806, "arp"),
    Word::new(0x8ff, "bpq"),
    Word::new(0xa00, "ieeepup"),
    Word::new(0xa01, "ieeepupat"),
    Word::new(0x6000, "dec"),
    Word::new(0x6001, "dna_dl"),
    Word::new(0x6002, "dna_rc"),
    Word::new(0x6003, "dna_rt"),
    Word::new(0x6004, "lat"),
    Word::new(0x6005, "diag"),
    Word::new(0x6006, "cust"),
    Word::new(0x6007, "sca"),
    Word::new(0x8035, "rarp"),
    Word::new(0x809b, "atalk"),
    Word::new(0x80f3, "aarp"),
    Word::new(0x8137, "ipx"),
    Word::new(0x86dd, "ipv6"),
    Word::new(0x8863, "ppp_disc"),
    Word::new(0x8864, "ppp_ses"),
    Word::new(0x884c, "atmmpoa"),
    Word::new(0x8884, "atmfate"),
    Word::new(1, "802_3"),
    Word::new(2, "ax25"),
    Word::new(3, "all"),
    Word::new(4, "802_2"),
    Word::new(5, "snap"),
    Word::new(6, "ddcmp"),
    Word::new(7, "wan_ppp"),
    Word::new(8, "ppp_mp"),
    Word::new(9, "localtalk"),
    Word::new(0xc, "can"),
    Word::new(0x10, "ppptalk"),
    Word::new(0x11, "tr_802_2"),
    Word::new(0x15, "mobitex"),
    Word::new(0x16, "control"),
    Word::new(0x17, "irda"),
    Word::new(0x18, "econet"),
    Word::new(0x88ca, "tipc"),
    Word::new(0x8892, "profinet"),
    Word::new(0x88a2, "aoe"),
    Word::new(0x88a4, "ethercat"),
    Word::new(0x8100, "802.1Q"),
    Word::new(0x88a8, "802.1ad"),
    Word::new(0x8847, "mpls_uc"),
    Word::new(0x8848, "mpls_mc"),
    Word::new(0x6558, "teb"),
    Word::new(0x8902, "cfm"),
    Word::new(0x88cc, "LLDP"),
];

/// The number of a netlink protocol, given as a name or number.
pub fn netlink_protocol(name: &[u8]) -> Option<u32> {
    let by_name = NETLINK.iter().find(|word| word.name().as_bytes() == name);
    by_name.and_then(|word| word.number).or_else(|| netlink_number(name))
}

/// The number of a netlink protocol, given as a number.
pub fn netlink_number(text: &[u8]) -> Option<u32> {
    Some(cnum::unsigned(text, 255)? as u32)
}

/// The name of a netlink protocol.
pub fn netlink_name(number: u32) -> Option<&'static str> {
    words::by_number(NETLINK, number).map(|word| word.name())
}

/// The name of a link-layer protocol; the first if it has several.
pub fn link_name(number: u32) -> Option<&'static str> {
    words::by_number(LINK, number).map(|word| word.name())
}

/// The number of a link-layer protocol in host order, given as a name or number.
pub fn link_protocol(name: &[u8]) -> Option<u32> {
    let is_name = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
    let by_name = LINK.iter().find(|word| word.spellings().any(is_name));
    by_name.and_then(|word| word.number).or_else(|| Some(cnum::unsigned(name, 0xffff)? as u32))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_listed_once() {
        for words in [IP, LINK, NETLINK] {
            let spellings: Vec<_> =
                words.iter().flat_map(Word::spellings).map(str::to_ascii_lowercase).collect();
            let names: HashSet<_> = spellings.iter().collect();
            assert_eq!(names.len(), spellings.len());
            let numbers: HashSet<_> = words.iter().map(|word| word.number).collect();
            assert_eq!(numbers.len(), words.len());
        }
        assert_eq!((IP.len(), LINK.len(), NETLINK.len()), (9, 53, 21));
    }

    #[test]
    fn case_matters_to_netlink_alone() {
        for (name, link, netlink) in [
            ("IP", Some(0x800), None),
            ("ipv4", Some(0x800), None),
            ("lldp", Some(0x88cc), None),
            ("genl", None, Some(16)),
            ("GENL", None, None),
            ("0x11", Some(17), Some(17)),
            ("255", Some(255), Some(255)),
            ("256", Some(256), None),
            ("65536", None, None),
            ("-1", None, None),
            ("", None, None),
        ] {
            assert_eq!(link_protocol(name.as_bytes()), link, "{name}");
            assert_eq!(netlink_protocol(name.as_bytes()), netlink, "{name}");
        }
    }
}
