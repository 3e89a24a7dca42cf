//! Names and addresses of interfaces.
//!
//! Netlink is tried first, since it finds an interface by any of its names; ioctl is the
//! fallback where netlink is unavailable.  For tables whose sockets mostly have one
//! interface each (packet, XDP), all interfaces are requested at once.
//!
//! Source: rtnetlink(7) (`RTM_GETLINK`, `RTM_GETADDR`), netdevice(7).

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::collections::HashMap;

use sockdiag_wire::attr::{attrs, put};
use sockdiag_wire::bytes::i32_at;
use sockdiag_wire::netlink::{
    HEADER_LEN, Header, Message, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, messages,
};
use sockdiag_wire::rtnetlink::{
    IFA_ADDRESS, IFA_LOCAL, IFADDR_LEN, IFINFO_LEN, IFLA_ALT_IFNAME, IFLA_EXT_MASK, IFLA_IFNAME,
    IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_PROP_LIST, IFNAMSIZ, RTEXT_FILTER_NAME_ONLY, RTEXT_FILTER_SKIP_STATS,
    RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK,
};
use sockdiag_wire::socket::{AF_INET, AF_INET6};

use crate::model::{Addr, AddressCache};
use crate::notice::Notice;
use crate::source;
use crate::sys::names::{interface_index, interface_name};
use crate::sys::netlink::{Netlink, Subsystem};
use crate::sys::opener::Opener;
use sockdiag_facts::escape;

/// Queries the kernel about the interfaces of one network namespace.
#[derive(Debug, Default)]
pub(crate) struct Links {
    opener: Opener,
    socket: Option<Netlink>,
    /// Whether the socket is kept open; a listing of netlink sockets then shows it.
    keeps: bool,
    /// The notice to give if no socket could be opened.
    refused: Option<Notice>,
}

impl Links {
    /// The links of the namespace in which this opener opens sockets; with `keeps` the
    /// socket is kept for further requests.
    pub(crate) fn of(opener: Opener, keeps: bool) -> Self {
        Self { opener, keeps, ..Self::default() }
    }

    /// From now on uses this opener, which leads to the same namespace.
    pub(crate) fn open_by(&mut self, opener: Opener) {
        self.opener = opener;
    }

    /// Closes the socket that was kept; the next question opens another one.
    pub(crate) fn close(&mut self) {
        self.socket = None;
    }

    /// The index of an interface by its name or an alternative one.
    pub(super) fn index_of(&mut self, name: &[u8]) -> Option<u32> {
        self.ask_one(&Question::Name(name))
            .map(|link| link.index)
            .or_else(|| interface_index(name, &self.opener))
    }

    /// The notice, if no socket could be opened since the last call.
    pub(super) fn take_refused(&mut self) -> Option<Notice> {
        self.refused.take()
    }

    /// The indices of all interfaces; `None` if some of them are routing domains of their
    /// own (VRF), in which the same addresses may be used again.
    pub(crate) fn indices_of_one_domain(&mut self) -> Option<Vec<u32>> {
        let mut indices = Some(Vec::new());
        self.ask(&Question::Kinds, &mut |link| match &mut indices {
            Some(list) if !link.vrf => list.push(link.index),
            _ => indices = None,
        });
        indices.filter(|list| !list.is_empty())
    }

    fn name_of(&mut self, index: u32) -> Option<Vec<u8>> {
        self.ask_one(&Question::Index(index))
            .map(|link| link.name)
            .or_else(|| interface_name(index, &self.opener))
    }

    pub(crate) fn addresses(&mut self) -> Vec<(u32, Addr)> {
        let mut found = Vec::new();
        self.converse(address_request, &mut |message| {
            found.extend(read_address(message).filter(|_| message.header.kind == RTM_NEWADDR));
        });
        found
    }

    fn ask_one(&mut self, question: &Question<'_>) -> Option<Link> {
        let mut found = None;
        self.ask(question, &mut |link| found = found.take().or(Some(link)));
        found
    }

    #[inline(never)]
    fn ask(&mut self, question: &Question<'_>, take: &mut dyn FnMut(Link)) {
        self.converse(|seq| request(question, seq), &mut |message| {
            if message.header.kind == RTM_NEWLINK
                && let Some(link) = read_link(message.payload, question)
            {
                take(link);
            }
        });
    }

    /// Sends a request and passes on the replies; the socket is kept only if the reply was
    /// read to its end.
    fn converse(&mut self, request: impl FnOnce(u32) -> Vec<u8>, take: &mut dyn FnMut(Message<'_>)) {
        let kept = self.socket.take().map_or_else(|| Netlink::open(Subsystem::Route, &self.opener), Ok);
        let mut socket = match kept {
            Ok(socket) => socket,
            Err(error) => {
                self.refused = source::open_notice(error).into();
                return;
            }
        };
        if converse(&mut socket, request, take) && self.keeps {
            self.socket = Some(socket);
        }
    }
}

/// Names of interfaces by index, and their addresses, in one namespace.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    links: Links,
    names: HashMap<u32, Vec<u8>>,
    /// Whether all interfaces were requested.
    all: bool,
    /// Addresses with their interfaces; `None` until they are requested.
    addresses: Option<Vec<(u32, Addr)>>,
    /// The notice to give if there is no netlink socket, and for how many rows.
    refused: Option<(Notice, usize)>,
}

impl AddressCache for Interfaces {
    fn addresses(&self, interface: u32, take: &mut dyn FnMut(Addr)) {
        let wanted = |of: u32| interface == 0 || of == interface;
        let all = self.addresses.iter().flatten();
        all.filter(|(of, _)| wanted(*of)).for_each(|(_, addr)| take(*addr));
    }
}

impl Interfaces {
    /// Starts empty.
    pub(super) fn new(links: Links) -> Self {
        Self { links, ..Self::default() }
    }

    /// The netlink access of this namespace, for other requests.
    pub(super) fn links(&mut self) -> &mut Links {
        &mut self.links
    }

    /// Drops the interfaces that were looked up and returns the open netlink sockets.
    pub(super) fn into_links(self) -> Links {
        self.links
    }

    /// Looks all addresses up, the first time.
    pub(super) fn prepare_addresses(&mut self) {
        if self.addresses.is_none() {
            self.addresses = Some(self.links.addresses());
        }
    }

    /// Looks an interface up, unless it is known.  An interface without a name is called
    /// `if` and its index.
    pub(super) fn prepare(&mut self, index: u32) {
        let links = &mut self.links;
        self.names
            .entry(index)
            .or_insert_with(|| links.name_of(index).unwrap_or_else(|| format!("if{index}").into_bytes()));
        if let Some(notice) = links.take_refused() {
            self.refused.get_or_insert((notice, 0));
        }
        if let Some((_, rows)) = &mut self.refused {
            *rows += 1;
        }
    }

    /// One notice for each row since the last call that lacked a netlink socket.
    pub(super) fn take_notices(&mut self) -> impl Iterator<Item = Notice> + use<> {
        let refused = self.refused.as_mut().map(|(notice, rows)| (notice.clone(), std::mem::take(rows)));
        refused.into_iter().flat_map(|(notice, rows)| std::iter::repeat_n(notice, rows))
    }

    /// Looks all interfaces up, the first time.
    pub(super) fn prepare_all(&mut self) {
        if !self.all {
            self.all = true;
            let names = &mut self.names;
            self.links.ask(&Question::All, &mut |link| {
                names.entry(link.index).or_insert(link.name);
            });
        }
    }

    /// The name of an interface that was looked up.
    #[inline]
    pub(super) fn name(&self, index: u32) -> Option<&[u8]> {
        if index == 0 { None } else { self.known(index) }
    }

    #[inline(never)]
    fn known(&self, index: u32) -> Option<&[u8]> {
        self.names.get(&index).map(Vec::as_slice)
    }
}

enum Question<'a> {
    All,
    /// All interfaces with their kinds.
    Kinds,
    Index(u32),
    Name(&'a [u8]),
}

struct Link {
    index: u32,
    name: Vec<u8>,
    /// Whether the interface is a VRF, a routing domain of its own; set only by
    /// `Question::Kinds`.
    vrf: bool,
}

/// Sends a request and passes on the replies; returns whether they were read to their end.
fn converse(
    socket: &mut Netlink,
    request: impl FnOnce(u32) -> Vec<u8>,
    take: &mut dyn FnMut(Message<'_>),
) -> bool {
    let seq = socket.next_seq();
    if socket.send(&request(seq)).is_err() {
        return false;
    }
    let port = socket.port();
    while let Ok(datagram) = socket.receive() {
        if !datagram.from_kernel {
            continue;
        }
        for message in messages(datagram.bytes) {
            let header = message.header;
            if header.seq != seq || header.pid != port {
                continue;
            }
            match header.kind {
                NLMSG_DONE | NLMSG_ERROR => return true,
                _ => take(message),
            }
            if header.flags & NLM_F_MULTI == 0 {
                return true;
            }
        }
    }
    false
}

/// A request for the addresses of every interface.
fn address_request(seq: u32) -> Vec<u8> {
    let len = (HEADER_LEN + IFADDR_LEN) as u32;
    let mut request = Vec::with_capacity(len as usize);
    let flags = NLM_F_REQUEST | NLM_F_DUMP;
    Header { len, kind: RTM_GETADDR, flags, seq, pid: 0 }.encode(&mut request);
    request.resize(len as usize, 0);
    request
}

/// Reads an address and its interface.  For a point-to-point interface this is the local
/// address, not that of the other end.
fn read_address(message: Message<'_>) -> Option<(u32, Addr)> {
    let payload = message.payload;
    let (family, index) = (*payload.first()?, i32_at(payload, 4)? as u32);
    let read = |bytes: &[u8]| match family {
        AF_INET => bytes.first_chunk().copied().map(Addr::V4),
        AF_INET6 => bytes.first_chunk().copied().map(Addr::V6),
        _ => None,
    };
    let (mut local, mut address) = (None, None);
    for attr in attrs(payload.get(IFADDR_LEN..)?) {
        match attr.kind {
            IFA_LOCAL => local = local.or(read(attr.payload)),
            IFA_ADDRESS => address = address.or(read(attr.payload)),
            _ => {}
        }
    }
    Some((index, local.or(address)?))
}

fn request(question: &Question<'_>, seq: u32) -> Vec<u8> {
    let mut body = vec![0; IFINFO_LEN];
    let mut flags = NLM_F_REQUEST;
    match question {
        Question::All => {
            flags |= NLM_F_DUMP;
            let mask = RTEXT_FILTER_SKIP_STATS | RTEXT_FILTER_NAME_ONLY;
            put(&mut body, IFLA_EXT_MASK, &mask.to_ne_bytes());
        }
        Question::Kinds => {
            flags |= NLM_F_DUMP;
            put(&mut body, IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        }
        Question::Index(index) => {
            if let Some(field) = body.get_mut(4..8) {
                field.copy_from_slice(&index.to_ne_bytes());
            }
            put(&mut body, IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        }
        Question::Name(name) => {
            put(&mut body, IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
            let kind = if name.len() < IFNAMSIZ { IFLA_IFNAME } else { IFLA_ALT_IFNAME };
            let mut text = name.to_vec();
            text.push(0);
            put(&mut body, kind, &text);
        }
    }
    let len = (HEADER_LEN + body.len()) as u32;
    let mut request = Vec::with_capacity(len as usize);
    Header { len, kind: RTM_GETLINK, flags, seq, pid: 0 }.encode(&mut request);
    request.extend_from_slice(&body);
    request
}

/// Reads a link, if it is the one that the question names.
fn read_link(payload: &[u8], question: &Question<'_>) -> Option<Link> {
    let index = i32_at(payload, 4)? as u32;
    let mut name = None;
    let mut named = false;
    let mut vrf = false;
    for attr in attrs(payload.get(IFINFO_LEN..)?) {
        match attr.kind {
            IFLA_IFNAME => {
                named |= matches!(question, Question::Name(asked) if *asked == attr.text());
                name = name.or(Some(escape::kept(attr.text()).to_vec()));
            }
            IFLA_LINKINFO => {
                vrf |= attrs(attr.payload).any(|info| info.kind == IFLA_INFO_KIND && info.text() == b"vrf");
            }
            IFLA_PROP_LIST => {
                named |= attrs(attr.payload).any(|alternative| {
                    alternative.kind == IFLA_ALT_IFNAME
                        && matches!(question, Question::Name(asked) if *asked == alternative.text())
                });
            }
            _ => {}
        }
    }
    let right = match question {
        Question::All | Question::Kinds => true,
        Question::Index(asked) => *asked == index,
        Question::Name(_) => named,
    };
    right.then_some(Link { index, name: name?, vrf })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &[u8], alternative: &[u8]) -> Vec<u8> {
        let mut payload = vec![0; IFINFO_LEN];
        payload[4..8].copy_from_slice(&index.to_ne_bytes());
        put(&mut payload, IFLA_IFNAME, name);
        let mut list = Vec::new();
        put(&mut list, IFLA_ALT_IFNAME, alternative);
        put(&mut payload, IFLA_PROP_LIST | 0x8000, &list);
        payload
    }

    #[test]
    fn a_link_is_known_by_index_and_by_each_of_its_names() {
        let payload = link(7, b"eth7\0", b"a-long-alternative-name\0");
        for (question, right) in [
            (Question::All, true),
            (Question::Index(7), true),
            (Question::Index(8), false),
            (Question::Name(b"eth7"), true),
            (Question::Name(b"a-long-alternative-name"), true),
            (Question::Name(b"eth"), false),
            (Question::Name(b""), false),
        ] {
            let found = read_link(&payload, &question);
            assert_eq!(found.is_some(), right);
            assert!(found.is_none_or(|link| link.index == 7 && link.name == b"eth7"));
        }
        for len in 0..payload.len() {
            let _ = read_link(&payload[..len], &Question::Name(b"eth7"));
        }
    }

    #[test]
    fn a_routing_domain_is_told_by_its_kind() {
        for (kind, vrf) in [(&b"vrf\0"[..], true), (b"vrfx\0", false), (b"veth\0", false)] {
            let mut payload = link(7, b"blue\0", b"b\0");
            let mut info = Vec::new();
            put(&mut info, IFLA_INFO_KIND, kind);
            put(&mut payload, IFLA_LINKINFO | 0x8000, &info);
            assert_eq!(read_link(&payload, &Question::Kinds).unwrap().vrf, vrf);
        }
    }

    #[test]
    fn an_address_is_the_interface_s_own() {
        let message = |family: u8, attributes: &[(u16, &[u8])]| {
            let mut payload = vec![family, 24, 0, 0, 7, 0, 0, 0];
            for (kind, bytes) in attributes {
                put(&mut payload, *kind, bytes);
            }
            let header = Header { len: 0, kind: RTM_NEWADDR, flags: 0, seq: 0, pid: 0 };
            for len in 0..payload.len() {
                let _ = read_address(Message { header, payload: &payload[..len] });
            }
            read_address(Message { header, payload: &payload })
        };
        let (own, other, six) = ([10, 0, 0, 1], [10, 0, 0, 2], [9; 16]);
        let v4 = Some((7, Addr::V4(own)));
        assert_eq!(message(2, &[(IFA_ADDRESS, &other), (IFA_LOCAL, &own)]), v4);
        assert_eq!(message(2, &[(IFA_ADDRESS, &own)]), v4);
        assert_eq!(message(10, &[(IFA_ADDRESS, &six)]), Some((7, Addr::V6(six))));
        assert_eq!(message(10, &[(IFA_ADDRESS, &own)]), None);
        assert_eq!(message(2, &[]), None);
        assert_eq!(message(17, &[(IFA_LOCAL, &own)]), None);
    }

    #[test]
    fn the_loopback_interface_has_its_name_and_others_a_number() {
        let mut links = Links::default();
        let Some(index) = interface_index(b"lo", &Opener::here()) else {
            sockdiag_testkit::skip!("there is none here");
        };
        assert_eq!(links.index_of(b"lo"), Some(index));
        assert_eq!(links.index_of(b"no such interface"), None);
        assert_eq!(links.index_of(b""), None);
        let mut interfaces = Interfaces::default();
        interfaces.prepare(index);
        interfaces.prepare(2_000_000_000);
        assert_eq!(interfaces.name(index), Some(&b"lo"[..]));
        assert_eq!(interfaces.name(2_000_000_000), Some(&b"if2000000000"[..]));
        assert_eq!(interfaces.name(0), None);
        let mut interfaces = Interfaces::default();
        interfaces.prepare_all();
        assert_eq!(interfaces.name(index), Some(&b"lo"[..]));
    }
}
