//! A bare sock_diag client, so that tests of filters depend on no other code.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "small, known numbers; each cast is meant"
)]

use rustix::fd::OwnedFd;
use rustix::io;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// A netlink socket that requests TCP sockets.
pub struct Diag {
    fd: OwnedFd,
    seq: u32,
}

impl Diag {
    pub fn open() -> io::Result<Self> {
        let protocol = Some(netlink::SOCK_DIAG);
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { fd, seq: 0 })
    }

    /// Dumps the TCP sockets of a family (2 or 10) in some states, with a filter program;
    /// passes on each reply's payload.  Returns the errno of the answer, zero for success.
    pub fn dump(
        &mut self,
        family: u8,
        states: u32,
        program: Option<&[u8]>,
        each: &mut dyn FnMut(&[u8]),
    ) -> i32 {
        self.seq += 1;
        let attribute = program.map_or(0, |program| 4 + program.len());
        let mut message = Vec::new();
        message.extend_from_slice(&(16 + 56 + attribute as u32).to_ne_bytes());
        message.extend_from_slice(&20_u16.to_ne_bytes());
        message.extend_from_slice(&0x301_u16.to_ne_bytes());
        message.extend_from_slice(&self.seq.to_ne_bytes());
        message.extend_from_slice(&0_u32.to_ne_bytes());
        message.extend_from_slice(&[family, 6, 0, 0]);
        message.extend_from_slice(&states.to_ne_bytes());
        message.resize(16 + 56, 0);
        if let Some(program) = program {
            message.extend_from_slice(&(attribute as u16).to_ne_bytes());
            message.extend_from_slice(&1_u16.to_ne_bytes());
            message.extend_from_slice(program);
        }
        rustix::net::send(&self.fd, &message, SendFlags::empty()).expect("send");
        let mut buffer = vec![0; 64 * 1024];
        let word = |bytes: &[u8], at: usize| u32::from_ne_bytes(*bytes[at..].first_chunk().expect("a word"));
        loop {
            let (len, _) = rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::empty()).expect("recv");
            let mut rest = &buffer[..len];
            while rest.len() >= 20 {
                assert_eq!(word(rest, 8), self.seq, "an answer to another question");
                let len = word(rest, 0) as usize;
                match u16::from_ne_bytes([rest[4], rest[5]]) {
                    2 => return -(word(rest, 16) as i32),
                    3 => return 0,
                    _ => each(&rest[16..len]),
                }
                rest = &rest[len.next_multiple_of(4).min(rest.len())..];
            }
        }
    }
}
