//! Netlink messages as bytes: header, padding, attributes.
//!
//! Written from `linux/netlink.h`, independently of `sockdiag-wire` on purpose: tests that use
//! this module check that crate.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

/// `NLMSG_ERROR`.
pub(crate) const ERROR: u16 = 2;
/// `NLMSG_DONE`.
pub(crate) const DONE: u16 = 3;
/// `NLM_F_MULTI`.
pub(crate) const F_MULTI: u16 = 2;
/// Size of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;

/// Appends zeros up to a multiple of four (`NLMSG_ALIGN`).
pub(crate) fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Appends an attribute (`struct nlattr`) with its padding.
///
/// The length field has 16 bits, so a longer payload is truncated.
pub(crate) fn attr(bytes: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let payload = payload.get(..usize::from(u16::MAX) - 4).unwrap_or(payload);
    bytes.extend_from_slice(&(payload.len() as u16 + 4).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(payload);
    pad(bytes);
}

/// A whole message, padded to a multiple of four; its length field does not count the padding.
pub(crate) fn message(kind: u16, flags: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
    let len = HEADER + payload.len();
    let mut bytes = Vec::with_capacity(len.next_multiple_of(4));
    bytes.extend_from_slice(&(len as u32).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&seq.to_ne_bytes());
    bytes.extend_from_slice(&0_u32.to_ne_bytes());
    bytes.extend_from_slice(payload);
    pad(&mut bytes);
    bytes
}

/// Length and type of the message at the start of `bytes`; `None` if no header is there.
pub(crate) fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let len = u32::from_ne_bytes(*bytes.first_chunk()?);
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    Some((len as usize, kind))
}
