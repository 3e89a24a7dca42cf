//! Names of ports.
//!
//! A port of the ephemeral range has no name, since the kernel assigned it.  RPC services
//! are looked up first and may lie inside the range.  For dccp, sctp and mptcp a service of
//! any protocol is used, unless a table with services of its own was listed before (see
//! [`super::Enricher::begin`]); a raw socket has an IP protocol in place of the port.
//!
//! Source: services(5), protocols(5); the order of look-ups is that of ss.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use super::rpc::RpcNames;
use crate::sys::names::{protocol_name, service_name};

/// Per port of one protocol: 0 not looked up, 1 has no name, else 2 + index.
type Known = Vec<u32>;

const UNNAMED: u32 = 1;
const FIRST: u32 = 2;

/// Names of ports by protocol.
#[derive(Debug)]
pub(super) struct Services {
    /// First and last port of the ephemeral range.
    range: (u16, u16),
    rpc: RpcNames,
    known: [Known; 4],
    names: Vec<Vec<u8>>,
}

/// The protocol whose service names a table's ports have.
#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Udp,
    Raw,
    Any,
}

impl Kind {
    fn of(protocol: u16) -> Self {
        match protocol {
            6 => Self::Tcp,
            17 => Self::Udp,
            255 => Self::Raw,
            _ => Self::Any,
        }
    }
}

impl Services {
    pub(super) fn new(range: (u16, u16), rpc: RpcNames) -> Self {
        Self { range, rpc, known: [const { Known::new() }; 4], names: Vec::new() }
    }

    /// Looks a port up, unless it is known.
    pub(super) fn prepare(&mut self, protocol: u16, port: u16) {
        let kind = Kind::of(protocol);
        if port == 0 || self.known(kind, port) != 0 {
            return;
        }
        let place = match self.look_up(kind, port) {
            None => UNNAMED,
            Some(name) => {
                self.names.push(name);
                FIRST + (self.names.len() - 1) as u32
            }
        };
        if let Some(ports) = self.known.get_mut(kind as usize) {
            if ports.is_empty() {
                ports.resize(1 << 16, 0);
            }
            if let Some(entry) = ports.get_mut(usize::from(port)) {
                *entry = place;
            }
        }
    }

    /// The name of a port that was looked up.
    #[inline]
    pub(super) fn name(&self, protocol: u16, port: u16) -> Option<&[u8]> {
        let index = self.known(Kind::of(protocol), port).checked_sub(FIRST)?;
        self.names.get(index as usize).map(Vec::as_slice)
    }

    #[inline]
    fn known(&self, kind: Kind, port: u16) -> u32 {
        let ports = self.known.get(kind as usize);
        ports.and_then(|ports| ports.get(usize::from(port))).copied().unwrap_or(0)
    }

    fn look_up(&self, kind: Kind, port: u16) -> Option<Vec<u8>> {
        let (protocol, transport) = match kind {
            Kind::Raw => {
                return Some(protocol_name(port).unwrap_or_else(|| format!("ipproto-{port}").into_bytes()));
            }
            Kind::Tcp => (Some(c"tcp"), Some(6)),
            Kind::Udp => (Some(c"udp"), Some(17)),
            Kind::Any => (None, None),
        };
        if let Some(name) = self.rpc.name(transport, port) {
            return Some(name.to_vec());
        }
        let (first, last) = self.range;
        if (first..=last).contains(&port) { None } else { service_name(port, protocol) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ephemeral_ports_have_no_name() {
        let Some(ssh) = service_name(22, Some(c"tcp")) else {
            sockdiag_testkit::skip!("no services database here");
        };
        for (range, want) in [((1024, 4999), Some(&ssh[..])), ((22, 22), None), ((1, 65535), None)] {
            let mut services = Services::new(range, RpcNames::default());
            assert_eq!(services.name(6, 22), None, "not asked yet");
            services.prepare(6, 22);
            services.prepare(6, 0);
            assert_eq!(services.name(6, 22), want);
            assert_eq!(services.name(6, 0), None);
            assert_eq!(services.names.len(), usize::from(want.is_some()));
            services.prepare(6, 22);
            assert_eq!(services.names.len(), usize::from(want.is_some()), "asked once");
        }
    }

    #[test]
    fn raw_ports_are_protocols() {
        let mut services = Services::new((1, 65535), RpcNames::default());
        services.prepare(255, 253);
        assert_eq!(services.name(255, 253), Some(&b"ipproto-253"[..]));
        services.prepare(255, 6);
        assert!(matches!(services.name(255, 6), Some(b"tcp" | b"ipproto-6")));
    }

    #[test]
    fn rpc_names_come_before_services() {
        let mut rpc = RpcNames::default();
        rpc.insert(6, 22, b"rpc.first".to_vec());
        rpc.insert(6, 22, b"rpc.later".to_vec());
        rpc.insert(17, 40000, b"rpc.inside".to_vec());
        let mut services = Services::new((32768, 60999), rpc);
        for (protocol, port, want) in [(6, 22, &b"rpc.later"[..]), (17, 40000, b"rpc.inside")] {
            services.prepare(protocol, port);
            assert_eq!(services.name(protocol, port), Some(want));
        }
        services.prepare(6, 40000);
        assert_eq!(services.name(6, 40000), None);
    }
}
