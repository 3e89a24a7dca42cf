//! Names of netlink and link-layer protocols, which host values of filters and rows hold.
//!
//! Source: `include/uapi/linux/netlink.h` and `if_ether.h` for the numbers;
//! the program's behaviour for the names.

use crate::cnum;

/// Netlink protocols, told apart by case.
const NETLINK: [(&str, u8); 21] = [
    ("rtnl", 0),
    ("unused", 1),
    ("usersock", 2),
    ("fw", 3),
    ("tcpdiag", 4),
    ("nflog", 5),
    ("xfrm", 6),
    ("selinux", 7),
    ("iscsi", 8),
    ("audit", 9),
    ("fiblookup", 10),
    ("connector", 11),
    ("nft", 12),
    ("ip6fw", 13),
    ("dec-rt", 14),
    ("uevent", 15),
    ("genl", 16),
    ("scsi-trans", 18),
    ("ecryptfs", 19),
    ("rdma", 20),
    ("crypto", 21),
];

/// Link-layer protocols, in any case.
const LINK: [(&str, u16); 54] = [
    ("loop", 0x60),
    ("pup", 0x200),
    ("pupat", 0x201),
    ("ip", 0x800),
    ("ipv4", 0x800),
    ("x25", 0x805),
    ("arp", 0x806),
    ("bpq", 0x8ff),
    ("ieeepup", 0xa00),
    ("ieeepupat", 0xa01),
    ("dec", 0x6000),
    ("dna_dl", 0x6001),
    ("dna_rc", 0x6002),
    ("dna_rt", 0x6003),
    ("lat", 0x6004),
    ("diag", 0x6005),
    ("cust", 0x6006),
    ("sca", 0x6007),
    ("rarp", 0x8035),
    ("atalk", 0x809b),
    ("aarp", 0x80f3),
    ("ipx", 0x8137),
    ("ipv6", 0x86dd),
    ("ppp_disc", 0x8863),
    ("ppp_ses", 0x8864),
    ("atmmpoa", 0x884c),
    ("atmfate", 0x8884),
    ("802_3", 1),
    ("ax25", 2),
    ("all", 3),
    ("802_2", 4),
    ("snap", 5),
    ("ddcmp", 6),
    ("wan_ppp", 7),
    ("ppp_mp", 8),
    ("localtalk", 9),
    ("can", 0xc),
    ("ppptalk", 0x10),
    ("tr_802_2", 0x11),
    ("mobitex", 0x15),
    ("control", 0x16),
    ("irda", 0x17),
    ("econet", 0x18),
    ("tipc", 0x88ca),
    ("profinet", 0x8892),
    ("aoe", 0x88a2),
    ("ethercat", 0x88a4),
    ("802.1Q", 0x8100),
    ("802.1ad", 0x88a8),
    ("mpls_uc", 0x8847),
    ("mpls_mc", 0x8848),
    ("teb", 0x6558),
    ("cfm", 0x8902),
    ("LLDP", 0x88cc),
];

/// The number of a netlink protocol, given as a name or number.
pub fn netlink_protocol(name: &[u8]) -> Option<u32> {
    let by_name = NETLINK.iter().find(|(known, _)| known.as_bytes() == name);
    by_name.map(|(_, number)| u32::from(*number)).or_else(|| netlink_number(name))
}

/// The number of a netlink protocol, given as a number.
pub fn netlink_number(text: &[u8]) -> Option<u32> {
    Some(cnum::unsigned(text, 255)? as u32)
}

/// The name of a netlink protocol.
pub fn netlink_name(number: u32) -> Option<&'static str> {
    NETLINK.iter().find(|(_, known)| u32::from(*known) == number).map(|(name, _)| *name)
}

/// The name of a link-layer protocol: the first of those that it has.
pub fn link_name(number: u32) -> Option<&'static str> {
    LINK.iter().find(|(_, known)| u32::from(*known) == number).map(|(name, _)| *name)
}

/// The number of a link-layer protocol in host order, given as a name or number.
pub fn link_protocol(name: &[u8]) -> Option<u32> {
    let by_name = LINK.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    by_name.map(|(_, number)| u32::from(*number)).or_else(|| Some(cnum::unsigned(name, 0xffff)? as u32))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_listed_once() {
        let names: HashSet<_> = LINK.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert_eq!(names.len(), LINK.len());
        let names: HashSet<_> = NETLINK.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), NETLINK.len());
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
