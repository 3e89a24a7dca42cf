//! Socket options: `INET_DIAG_SOCKOPT`, two bytes of flags.
//!
//! Source: `struct inet_diag_sockopt` (linux/inet_diag.h), Linux 7.3.

use crate::bytes::array_at;
use crate::layout::view;

view! {
    /// The options of a socket.
    SockOpt = "struct inet_diag_sockopt" in "linux/inet_diag.h" {}
    bits {
        /// Errors are queued (`IP_RECVERR`).
        recverr: 0 . 0 + 1 = "recverr";
        /// A socket of a connection-oriented protocol.
        is_icsk: 0 . 1 + 1 = "is_icsk";
        /// May bind to foreign addresses (`IP_FREEBIND`).
        freebind: 0 . 2 + 1 = "freebind";
        /// Brings its own IP header (`IP_HDRINCL`).
        hdrincl: 0 . 3 + 1 = "hdrincl";
        /// Sees its own multicast (`IP_MULTICAST_LOOP`).
        mc_loop: 0 . 4 + 1 = "mc_loop";
        /// Transparent proxying (`IP_TRANSPARENT`).
        transparent: 0 . 5 + 1 = "transparent";
        /// Receives all joined multicast (`IP_MULTICAST_ALL`).
        mc_all: 0 . 6 + 1 = "mc_all";
        /// Is not reassembled (`IP_NODEFRAG`).
        nodefrag: 0 . 7 + 1 = "nodefrag";
        /// Binds without taking a port (`IP_BIND_ADDRESS_NO_PORT`).
        bind_addr_no_port: 1 . 0 + 1 = "bind_address_no_port";
        /// Extended errors are queued (`IP_RECVERR_RFC4884`).
        recverr_rfc4884: 1 . 1 + 1 = "recverr_rfc4884";
        /// Connects with the first data (`TCP_FASTOPEN_CONNECT`).
        defer_connect: 1 . 2 + 1 = "defer_connect";
    }
}

/// Names by bit, in the words of `ss`.
const NAMES: [&str; 11] = [
    "recverr",
    "is_icsk",
    "freebind",
    "hdrincl",
    "mc_loop",
    "transparent",
    "mc_all",
    "nodefrag",
    "bind_addr_no_port",
    "recverr_rfc4884",
    "defer_connect",
];

impl SockOpt<'_> {
    /// All flags, the first byte's lowest bit first.
    pub fn bits(self) -> u16 {
        array_at(self.bytes(), 0).map_or(0, u16::from_le_bytes)
    }

    /// The names of the options that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let bits = self.bits();
        NAMES.iter().enumerate().filter(move |(bit, _)| bits >> bit & 1 != 0).map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_bits() {
        let names: Vec<_> = SockOpt::new(&[0x12, 0x01]).names().collect();
        assert_eq!(names, ["is_icsk", "mc_loop", "bind_addr_no_port"]);
        assert_eq!(SockOpt::new(&[0x12, 0x01]).mc_loop(), Some(1));
        assert_eq!(SockOpt::new(&[0xff, 0xff]).names().count(), 11);
        assert_eq!(SockOpt::new(&[1]).defer_connect(), None);
    }
}
