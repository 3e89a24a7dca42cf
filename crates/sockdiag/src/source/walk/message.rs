//! Composes a message from its fixed part and attributes, in memory that is reused for the
//! next message.
//!
//! Invariant: attributes that do not fit are left out; the messages composed here stay far
//! below the limit.
//!
//! Source: linux/netlink.h, linux/inet_diag.h.

#![allow(clippy::cast_possible_truncation, reason = "attributes are short; each cast is meant")]

/// The size limit of a message: all attributes together are shorter.
const ROOM: usize = 1024;
/// Bytes before an attribute's value: its length and its type.
const HEADER: usize = 4;

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    bytes: [u8; ROOM],
    length: usize,
}

impl Message {
    /// An empty message.
    pub(super) fn new() -> Self {
        Self { bytes: [0; ROOM], length: 0 }
    }

    /// Begins a new message with these bytes.
    #[inline]
    pub(super) fn begin<const N: usize>(&mut self, fixed: [u8; N]) {
        const { assert!(N <= ROOM) };
        if let Some(place) = self.bytes.first_chunk_mut() {
            *place = fixed;
        }
        self.length = N;
    }

    /// Appends an attribute of fixed length.
    #[inline]
    pub(super) fn attr<const N: usize>(&mut self, kind: u16, value: [u8; N]) {
        self.attr_of(kind, &value);
    }

    /// Appends an attribute.
    #[inline]
    pub(super) fn attr_of(&mut self, kind: u16, value: &[u8]) {
        let padded = value.len().next_multiple_of(4);
        let Some(place) = self.bytes.get_mut(self.length..).and_then(|rest| rest.get_mut(..HEADER + padded))
        else {
            return;
        };
        let (header, rest) = place.split_at_mut(HEADER);
        let length = (HEADER + value.len()) as u32;
        header.copy_from_slice(&(length | u32::from(kind) << 16).to_le_bytes());
        let (payload, padding) = rest.split_at_mut(value.len());
        payload.copy_from_slice(value);
        padding.fill(0);
        self.length += HEADER + padded;
    }

    /// The message so far.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use sockdiag_wire::attr;

    use super::*;

    #[test]
    fn attributes_are_written_as_elsewhere() {
        let mut message = Message::new();
        let mut same = vec![7; 72];
        message.begin([0; 3]);
        message.begin([7; 72]);
        for length in 0..30 {
            let value: Vec<u8> = (0..length).collect();
            message.attr_of(length.into(), &value);
            attr::put(&mut same, length.into(), &value);
        }
        message.attr(9, [1, 2, 3]);
        attr::put(&mut same, 9, &[1, 2, 3]);
        assert!(message.bytes() == same, "{:?}", message.bytes());
        let before = message.bytes().to_vec();
        message.attr_of(1, &[0; ROOM]);
        assert!(message.bytes() == before, "what does not fit is left out");
    }
}
