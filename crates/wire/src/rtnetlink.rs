//! rtnetlink requests for interfaces and their addresses.
//!
//! Source: rtnetlink(7); linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
//! and linux/if.h, Linux 7.3.

use crate::layout::{constants, view};

constants! {
    /// Types of messages.
    MESSAGES in "linux/rtnetlink.h": u16 {
        /// Reports an interface.
        RTM_NEWLINK = 16;
        /// Requests interfaces.
        RTM_GETLINK = 18;
        /// Reports an address.
        RTM_NEWADDR = 20;
        /// Requests addresses.
        RTM_GETADDR = 22;
    }
}

constants! {
    /// Attributes of an address.
    ADDRESS_ATTRIBUTES in "linux/if_addr.h": u16 {
        /// The address; on a point-to-point link, the peer's.
        IFA_ADDRESS = 1;
        /// The local address; not sent if it equals [`IFA_ADDRESS`].
        IFA_LOCAL = 2;
    }
}

constants! {
    /// Attributes of an interface, including nested ones.
    LINK_ATTRIBUTES in "linux/if_link.h": u16 {
        /// Name.
        IFLA_IFNAME = 3;
        /// Type-specific information, nested.
        IFLA_LINKINFO = 18;
        /// Request: filter on the contents of the reply, `RTEXT_FILTER_*`.
        IFLA_EXT_MASK = 29;
        /// Further properties, nested.
        IFLA_PROP_LIST = 52;
        /// Property: an alternative name.
        IFLA_ALT_IFNAME = 53;
        /// Within [`IFLA_LINKINFO`]: the type of the interface, as a word.
        IFLA_INFO_KIND = 1;
    }
}

constants! {
    /// Information to omit from replies about interfaces.
    LINK_FILTER in "linux/rtnetlink.h": u32 {
        /// Statistics.
        RTEXT_FILTER_SKIP_STATS = 1 << 3;
        /// All but names; older kernels ignore this bit.
        RTEXT_FILTER_NAME_ONLY = 1 << 8;
    }
}

constants! {
    /// Lengths of names.
    NAMES in "linux/if.h": usize {
        /// The primary name of an interface is shorter than this; alternative names may be
        /// longer.
        IFNAMSIZ = 16;
    }
}

view! {
    /// The fixed part of a message about an address.
    IfAddrView = "struct ifaddrmsg" in "linux/if_addr.h" {
        /// Address family.
        family: u8 @ 0 = "ifa_family";
        /// Length of the network's prefix.
        prefix_len: u8 @ 1 = "ifa_prefixlen";
        /// Flags.
        flags: u8 @ 2 = "ifa_flags";
        /// Scope: how far the address is reachable.
        scope: u8 @ 3 = "ifa_scope";
        /// Index of the interface.
        index: u32 @ 4 = "ifa_index";
    }
}

view! {
    /// The fixed part of a message about an interface.
    IfInfoView = "struct ifinfomsg" in "linux/rtnetlink.h" {
        /// Address family.
        family: u8 @ 0 = "ifi_family";
        /// Padding.
        pad: u8 @ 1 = "__ifi_pad";
        /// Hardware type of the device.
        kind: u16 @ 2 = "ifi_type";
        /// Index of the interface; 0 in a request that names it.
        index: i32 @ 4 = "ifi_index";
        /// Flags.
        flags: u32 @ 8 = "ifi_flags";
        /// Flags that are changed.
        change: u32 @ 12 = "ifi_change";
    }
}

/// Length of the fixed part of a message about an address.
pub const IFADDR_LEN: usize = IfAddrView::LAYOUT.end();
/// Length of the fixed part of a message about an interface.
pub const IFINFO_LEN: usize = IfInfoView::LAYOUT.end();
