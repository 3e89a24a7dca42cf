//! Questions about interfaces and their addresses.
//!
//! Source: rtnetlink(7); linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
//! and linux/if.h, Linux 7.3.

use crate::layout::{constants, view};

constants! {
    /// Types of messages.
    MESSAGES in "linux/rtnetlink.h": u16 {
        /// Reports an interface.
        RTM_NEWLINK = 16;
        /// Asks for interfaces.
        RTM_GETLINK = 18;
        /// Reports an address.
        RTM_NEWADDR = 20;
        /// Asks for addresses.
        RTM_GETADDR = 22;
    }
}

constants! {
    /// Attributes of an address.
    ADDRESS_ATTRIBUTES in "linux/if_addr.h": u16 {
        /// The address; on a point-to-point link the peer's.
        IFA_ADDRESS = 1;
        /// The address of this end; not sent where [`IFA_ADDRESS`] is it.
        IFA_LOCAL = 2;
    }
}

constants! {
    /// Attributes of an interface, and within one another.
    LINK_ATTRIBUTES in "linux/if_link.h": u16 {
        /// Name.
        IFLA_IFNAME = 3;
        /// What it is, nested.
        IFLA_LINKINFO = 18;
        /// Request: what the answer holds, `RTEXT_FILTER_*`.
        IFLA_EXT_MASK = 29;
        /// Further properties, nested.
        IFLA_PROP_LIST = 52;
        /// Property: an alternative name.
        IFLA_ALT_IFNAME = 53;
        /// Within [`IFLA_LINKINFO`]: the kind, in words.
        IFLA_INFO_KIND = 1;
    }
}

constants! {
    /// What is left out of an answer about interfaces.
    LINK_FILTER in "linux/rtnetlink.h": u32 {
        /// Statistics.
        RTEXT_FILTER_SKIP_STATS = 1 << 3;
        /// Everything but names; older kernels ignore it.
        RTEXT_FILTER_NAME_ONLY = 1 << 8;
    }
}

constants! {
    /// Lengths of names.
    NAMES in "linux/if.h": usize {
        /// An interface's first name is shorter than this; alternative names
        /// may be longer.
        IFNAMSIZ = 16;
    }
}

view! {
    /// What a message about an address begins with.
    IfAddrView = "struct ifaddrmsg" in "linux/if_addr.h" {
        /// Address family.
        family: u8 @ 0 = "ifa_family";
        /// Length of the network's prefix.
        prefix_len: u8 @ 1 = "ifa_prefixlen";
        /// Flags.
        flags: u8 @ 2 = "ifa_flags";
        /// From how far away it can be reached.
        scope: u8 @ 3 = "ifa_scope";
        /// Number of the interface.
        index: u32 @ 4 = "ifa_index";
    }
}

view! {
    /// What a message about an interface begins with.
    IfInfoView = "struct ifinfomsg" in "linux/rtnetlink.h" {
        /// Address family.
        family: u8 @ 0 = "ifi_family";
        /// Padding.
        pad: u8 @ 1 = "__ifi_pad";
        /// Kind of device.
        kind: u16 @ 2 = "ifi_type";
        /// Number of the interface; 0 in a request that names it otherwise.
        index: i32 @ 4 = "ifi_index";
        /// Flags.
        flags: u32 @ 8 = "ifi_flags";
        /// Flags that are changed.
        change: u32 @ 12 = "ifi_change";
    }
}

/// Length of what a message about an address begins with.
pub const IFADDR_LEN: usize = IfAddrView::LAYOUT.end();
/// Length of what a message about an interface begins with.
pub const IFINFO_LEN: usize = IfInfoView::LAYOUT.end();
