//! A list of every layout and every table of constants in this crate, for checks:
//! `tests/uapi.rs` compares them with the kernel's headers.
//!
//! Invariant: only tests use this module, so that no view depends on all others.

use crate::layout::{Constants, Layout};

/// Generates the list of all layouts and, for tests, of all views.
macro_rules! all {
    ($($module:ident::$view:ident,)*) => {
        /// Every structure that has a view.
        pub const LAYOUTS: &[Layout] = &[ $( crate::$module::$view::LAYOUT, )* ];

        #[cfg(test)]
        type Found = Vec<(&'static str, usize, bool)>;

        #[cfg(test)]
        const VIEWS: &[fn(&[u8]) -> Found] = &[ $( |bytes| crate::$module::$view::new(bytes).found(), )* ];
    };
}

all! {
    netlink::HeaderView,
    netlink::ErrorView,
    inet_diag::FixedPart,
    inet_diag::SockIdView,
    inet_req::ReqV2View,
    inet_req::ReqView,
    tcp_info::TcpInfo,
    mptcp_info::MptcpInfo,
    sctp_info::SctpInfo,
    sctp_info::SockAddrInView,
    sctp_info::SockAddrIn6View,
    cc_info::VegasInfo,
    cc_info::DctcpInfo,
    cc_info::BbrInfo,
    mem_info::MemInfo,
    md5sig::Md5Sig,
    sockopt::SockOpt,
    bytecode::OpView,
    bytecode::HostCondView,
    bytecode::MarkCondView,
    netlink_diag::NetlinkReqView,
    netlink_diag::NetlinkFixed,
    packet_diag::PacketReqView,
    packet_diag::PacketFixed,
    packet_diag::PacketInfo,
    packet_diag::PacketRing,
    packet_diag::PacketMclist,
    packet_diag::SockFilter,
    unix_diag::ReqView,
    unix_diag::MsgView,
    unix_diag::Vfs,
    unix_diag::RqLen,
    vsock_diag::VsockDiagReqView,
    vsock_diag::VsockDiagMsgView,
    tipc_diag::TipcSockDiagReqView,
    xdp_diag::XdpDiagReqView,
    xdp_diag::XdpDiagMsgView,
    xdp_diag::XdpInfo,
    xdp_diag::XdpRing,
    xdp_diag::XdpUmem,
    xdp_diag::XdpStats,
    smc_diag::SmcDiagReqView,
    smc_diag::SmcDiagMsgView,
    smc_diag::SmcConnInfo,
    smc_diag::SmcLinkInfo,
    smc_diag::SmcLgrInfo,
    smc_diag::SmcFallback,
    smc_diag::SmcdDmbInfo,
    btf::HeaderView,
    btf::KindLayoutView,
    btf::TypeView,
    btf::MemberView,
    btf::EnumView,
    btf::Enum64View,
    btf::ArrayView,
    btf::ParamView,
    btf::VarView,
    btf::SectionVarView,
    bpf_storage::MapInfo,
    bpf::InsnView,
    bpf::ProgLoadView,
    bpf::MapCreateView,
    bpf::ByIdView,
    bpf::InfoByFdView,
    bpf::LinkCreateView,
    bpf::IterCreateView,
    bpf::TestRunView,
    bpf::BtfInfoView,
    rtnetlink::IfAddrView,
    rtnetlink::IfInfoView,
}

/// Every table of constants.
pub const CONSTANTS: &[Constants] = &[
    crate::netlink::NETLINK_CONSTANTS,
    crate::netlink::SOCK_DIAG_CONSTANTS,
    crate::netlink::INET_DIAG_TYPES,
    crate::netlink::GROUPS,
    crate::attr::TYPE_FLAGS,
    crate::inet_diag::ATTRIBUTES,
    crate::inet_diag::TIMERS,
    crate::mem_info::SK_MEMINFO,
    crate::tcp_info::OPTION_BITS,
    crate::tcp_info::CA_STATES,
    crate::tcp_info::FASTOPEN_FAILS,
    crate::tcp_info::ECN_VALUES,
    crate::sctp_info::PATH_STATES,
    crate::mptcp_info::FLAGS,
    crate::ulp::ULP_ATTRIBUTES,
    crate::ulp::TLS_ATTRIBUTES,
    crate::ulp::TLS_VALUES,
    crate::ulp::MPTCP_ATTRIBUTES,
    crate::ulp::SUBFLOW_FLAGS,
    crate::bytecode::CODES,
    crate::netlink_diag::ATTRIBUTES,
    crate::netlink_diag::SHOW,
    crate::netlink_diag::FLAGS,
    crate::netlink_diag::ANY,
    crate::packet_diag::ATTRIBUTES,
    crate::packet_diag::SHOW,
    crate::packet_diag::FLAGS,
    crate::packet_diag::FANOUT_TYPES,
    crate::packet_diag::PACKET_VALUES,
    crate::unix_diag::SHOW,
    crate::unix_diag::ATTRIBUTES,
    crate::vsock_diag::VSOCK_CONSTANTS,
    crate::tipc_diag::TIPC_ATTRIBUTES,
    crate::xdp_diag::XDP_ATTRIBUTES,
    crate::xdp_diag::XDP_BITS,
    crate::smc_diag::SMC_ATTRIBUTES,
    crate::smc_diag::SMC_MODES,
    crate::btf::BTF_CONSTANTS,
    crate::btf::BTF_KINDS,
    crate::btf::BTF_INT_ENCODINGS,
    crate::btf::BTF_LINKAGES,
    crate::bpf::CLASSIC_CODES,
    crate::bpf::CODES,
    crate::bpf::PSEUDO,
    crate::bpf::REGISTERS,
    crate::bpf::HELPERS,
    crate::bpf::COMMANDS,
    crate::bpf::PROGRAMS,
    crate::bpf::ATOMIC,
    crate::bpf::MAP_TYPES,
    crate::bpf_storage::STORAGE_ATTRIBUTES,
    crate::inet_req::REQUEST_ATTRIBUTES,
    crate::errno::ERRNO,
    crate::ipproto::PROTOCOLS,
    crate::ipproto::IPV6_PROTOCOLS,
    crate::socket::ADDRESS_FAMILIES,
    crate::socket::TYPES,
    crate::socket::STATES,
    crate::rtnetlink::MESSAGES,
    crate::rtnetlink::ADDRESS_ATTRIBUTES,
    crate::rtnetlink::LINK_ATTRIBUTES,
    crate::rtnetlink::LINK_FILTER,
    crate::rtnetlink::NAMES,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accessor_finds_its_member_exactly_when_all_of_it_is_there() {
        let bytes = [0xa5_u8; 400];
        // Under Miri, trying every length would take minutes.
        let lengths: Vec<usize> = (0..=bytes.len()).step_by(if cfg!(miri) { 29 } else { 1 }).collect();
        let mut asked = 0;
        for (view, layout) in VIEWS.iter().zip(LAYOUTS) {
            for &len in &lengths {
                for (name, end, found) in view(&bytes[..len]) {
                    assert_eq!(found, len >= end, "{} {name} of {len} bytes", layout.c_type);
                    asked += 1;
                }
            }
        }
        let members: usize =
            LAYOUTS.iter().map(|layout| layout.members.len() + layout.bit_fields.len()).sum();
        assert_eq!(asked, members * lengths.len());
    }

    #[test]
    fn members_do_not_overlap() {
        for layout in LAYOUTS {
            let mut parts: Vec<_> =
                layout.members.iter().map(|m| (8 * m.offset, 8 * m.size, m.name)).collect();
            parts.extend(
                layout.bit_fields.iter().map(|b| (8 * b.offset + b.shift as usize, b.bits as usize, b.name)),
            );
            parts.sort_unstable();
            for pair in parts.windows(2) {
                let ((start, len, name), (next, _, other)) = (pair[0], pair[1]);
                assert!(start + len <= next, "{}: {name} reaches into {other}", layout.c_type);
            }
        }
    }
}
