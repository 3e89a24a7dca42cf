//! IPv4 and TCP packets: what a [`Path`](crate::path::Path) inspects and changes in them, and
//! hand-made segments.
//!
//! Invariant: a changed packet has valid checksums.
//!
//! Source: RFC 791, RFC 9293, RFC 1071 (checksums), RFC 3168 (ECN).

#![allow(clippy::cast_possible_truncation, reason = "fields of headers; each cast is meant")]

use std::net::Ipv4Addr;

const TCP: u8 = 6;
/// Flags of a TCP header.
const SYN: u8 = 2;
/// Another flag of a TCP header.
const ACK: u8 = 16;

/// An IPv4 packet.
#[derive(Debug)]
pub struct Packet<'a>(&'a mut [u8]);

impl<'a> Packet<'a> {
    /// `None` if the bytes are not an IPv4 packet with a whole header.
    pub fn new(bytes: &'a mut [u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let header = usize::from(first & 15) * 4;
        (first >> 4 == 4 && header >= 20 && bytes.len() >= header).then_some(Self(bytes))
    }

    /// The packet's length in bytes.
    pub fn length(&self) -> usize {
        self.0.len()
    }

    /// The IP identification, which allows choosing one packet in every N.
    pub fn number(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// The destination address.
    pub fn to(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[16], self.0[17], self.0[18], self.0[19])
    }

    fn header(&self) -> usize {
        usize::from(self.0[0] & 15) * 4
    }

    fn tcp(&self) -> Option<&[u8]> {
        (self.0[9] == TCP).then(|| self.0.get(self.header()..)).flatten().filter(|tcp| tcp.len() >= 20)
    }

    /// The flags of its TCP header.
    fn flags(&self) -> Option<u8> {
        self.tcp().map(|tcp| tcp[13])
    }

    /// Whether the packet begins a TCP connection.
    pub fn is_syn(&self) -> bool {
        self.flags().is_some_and(|flags| flags & (SYN | ACK) == SYN)
    }

    /// The destination port, for TCP.
    pub fn to_port(&self) -> Option<u16> {
        self.tcp().map(|tcp| u16::from_be_bytes([tcp[2], tcp[3]]))
    }

    /// The number of payload bytes in the TCP segment.
    pub fn payload(&self) -> usize {
        self.tcp().map_or(0, |tcp| tcp.len().saturating_sub(usize::from(tcp[12] >> 4) * 4))
    }

    /// Whether the TCP header has an option of this kind.
    pub fn has_option(&self, kind: u8) -> bool {
        self.option(kind).is_some()
    }

    /// The offset and length of an option.
    fn option(&self, kind: u8) -> Option<(usize, usize)> {
        let tcp = self.tcp()?;
        let end = (usize::from(tcp[12] >> 4) * 4).min(tcp.len());
        let mut at = 20;
        while at < end && tcp[at] != 0 {
            if tcp[at] == 1 {
                at += 1;
                continue;
            }
            let length = usize::from(*tcp.get(at + 1)?);
            if length < 2 || at + length > end {
                return None;
            }
            if tcp[at] == kind {
                return Some((self.header() + at, length));
            }
            at += length;
        }
        None
    }

    /// Removes an option of this kind, as some middleboxes do: overwrites it with no-ops.
    pub fn strip(&mut self, kind: u8) {
        if let Some((at, length)) = self.option(kind) {
            self.0[at..at + length].fill(1);
            self.sum_up();
        }
    }

    /// Marks congestion (ECN CE) if the sender supports ECN.
    pub fn mark(&mut self) {
        if self.0[1] & 3 != 0 {
            self.0[1] |= 3;
            self.sum_up();
        }
    }

    /// Sets both checksums.
    fn sum_up(&mut self) {
        let header = self.header();
        self.0[10..12].fill(0);
        let sum = !folded(added(&self.0[..header]));
        self.0[10..12].copy_from_slice(&sum.to_be_bytes());
        if self.tcp().is_some() {
            self.0[header + 16..header + 18].fill(0);
            let length = (self.0.len() - header) as u32;
            let pseudo = added(&self.0[12..20]) + u32::from(TCP) + length;
            let sum = !folded(pseudo + added(&self.0[header..]));
            self.0[header + 16..header + 18].copy_from_slice(&sum.to_be_bytes());
        }
    }
}

fn added(bytes: &[u8]) -> u32 {
    let (pairs, rest) = bytes.as_chunks();
    let whole: u32 = pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    whole + rest.first().map_or(0, |last| u32::from(*last) << 8)
}

fn folded(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    (once + (once >> 16)) as u16
}

/// A SYN segment with an MSS and no other option.
pub fn syn(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), number: u32) -> Vec<u8> {
    let mut bytes = vec![0_u8; 44];
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&44_u16.to_be_bytes());
    bytes[8] = 64;
    bytes[9] = TCP;
    bytes[12..16].copy_from_slice(&from.0.octets());
    bytes[16..20].copy_from_slice(&to.0.octets());
    bytes[20..22].copy_from_slice(&from.1.to_be_bytes());
    bytes[22..24].copy_from_slice(&to.1.to_be_bytes());
    bytes[24..28].copy_from_slice(&number.to_be_bytes());
    bytes[32] = 6 << 4;
    bytes[33] = SYN;
    bytes[34..36].copy_from_slice(&64_240_u16.to_be_bytes());
    bytes[40..44].copy_from_slice(&[2, 4, 5, 180]);
    Packet(&mut bytes).sum_up();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_right_after_every_change() {
        let right = |bytes: &[u8]| {
            let pseudo = added(&bytes[12..20]) + u32::from(TCP) + (bytes.len() - 20) as u32;
            (folded(added(&bytes[..20])), folded(pseudo + added(&bytes[20..])))
        };
        let ends = ((Ipv4Addr::new(10, 9, 0, 7), 5000), (Ipv4Addr::new(10, 9, 0, 1), 80));
        let mut bytes = syn(ends.0, ends.1, 77);
        assert_eq!(right(&bytes), (0xffff, 0xffff));
        bytes[1] = 2;
        let mut packet = Packet::new(&mut bytes).expect("a packet");
        assert!(packet.is_syn() && packet.has_option(2) && !packet.has_option(3));
        assert_eq!((packet.to(), packet.to_port(), packet.payload()), (ends.1.0, Some(80), 0));
        packet.mark();
        packet.strip(2);
        assert!(!packet.has_option(2));
        assert_eq!((bytes[1], right(&bytes)), (3, (0xffff, 0xffff)));
    }

    #[test]
    fn any_bytes_are_looked_at() {
        let mut random = fastrand::Rng::with_seed(9);
        let ends = ((Ipv4Addr::LOCALHOST, 1), (Ipv4Addr::LOCALHOST, 2));
        for _ in 0..5000 {
            let mut bytes = syn(ends.0, ends.1, random.u32(..));
            for _ in 0..random.usize(..6) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            let Some(mut packet) = Packet::new(&mut bytes) else { continue };
            let _ = (packet.payload(), packet.to_port(), packet.is_syn());
            packet.mark();
            packet.strip(random.u8(..9));
        }
    }
}
