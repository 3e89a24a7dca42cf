//! Socket options: `INET_DIAG_SOCKOPT`, two bytes of flags.
//!
//! Source: `struct inet_diag_sockopt` (linux/inet_diag.h), Linux 7.3.

use crate::bytes::array_at;
use crate::layout::view;

view! {
    /// The options of a socket.
    SockOpt = "struct inet_diag_sockopt" in "linux/inet_diag.h" {}
    bits {
        /// Queues errors (`IP_RECVERR`).
        recverr: u8 @ 0 . 0 + 1 = "recverr";
        /// The socket's protocol is connection-oriented.
        is_icsk: u8 @ 0 . 1 + 1 = "is_icsk";
        /// May bind to non-local addresses (`IP_FREEBIND`).
        freebind: u8 @ 0 . 2 + 1 = "freebind";
        /// Supplies its own IP header (`IP_HDRINCL`).
        hdrincl: u8 @ 0 . 3 + 1 = "hdrincl";
        /// Receives its own multicast packets (`IP_MULTICAST_LOOP`).
        mc_loop: u8 @ 0 . 4 + 1 = "mc_loop";
        /// Transparent proxying (`IP_TRANSPARENT`).
        transparent: u8 @ 0 . 5 + 1 = "transparent";
        /// Receives all multicast groups joined on the system (`IP_MULTICAST_ALL`).
        mc_all: u8 @ 0 . 6 + 1 = "mc_all";
        /// Its packets are not reassembled (`IP_NODEFRAG`).
        nodefrag: u8 @ 0 . 7 + 1 = "nodefrag";
        /// Binds without reserving a port (`IP_BIND_ADDRESS_NO_PORT`).
        bind_addr_no_port: u8 @ 1 . 0 + 1 = "bind_address_no_port";
        /// Queues extended errors (`IP_RECVERR_RFC4884`).
        recverr_rfc4884: u8 @ 1 . 1 + 1 = "recverr_rfc4884";
        /// Connects with the first data (`TCP_FASTOPEN_CONNECT`).
        defer_connect: u8 @ 1 . 2 + 1 = "defer_connect";
    }
}

/// Names of the bits, as `ss` prints them.
pub const NAMES: [&str; 11] = [
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
    /// All flags, in the order of the structure from bit 0; bits 11 to 15 are not defined yet.
    /// Zero if fewer than two bytes were sent.
    pub fn bits(self) -> u16 {
        let in_order = |byte: u8| if cfg!(target_endian = "big") { byte.reverse_bits() } else { byte };
        array_at::<2>(self.bytes(), 0).map_or(0, |bytes| u16::from_le_bytes(bytes.map(in_order)))
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
    fn bits_are_in_the_order_of_the_structure() {
        assert_eq!(NAMES.len(), SockOpt::LAYOUT.bit_fields.len());
        for (at, (field, name)) in SockOpt::LAYOUT.bit_fields.iter().zip(NAMES).enumerate() {
            assert_eq!(8 * field.offset + field.shift as usize, at, "{name}");
            assert_eq!(field.name.replace("address", "addr"), name);
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn names_follow_the_bits() {
        let names: Vec<_> = SockOpt::new(&[0x12, 0x01]).names().collect();
        assert_eq!(names, ["is_icsk", "mc_loop", "bind_addr_no_port"]);
        assert_eq!(SockOpt::new(&[0x12, 0x01]).mc_loop(), Some(1));
        assert_eq!(SockOpt::new(&[0xff, 0xff]).names().count(), 11);
        assert_eq!(SockOpt::new(&[1]).defer_connect(), None);
    }
}
