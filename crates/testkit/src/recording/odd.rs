//! Recordings that are valid but unusual: cut short, with errors, with stray bytes.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use super::Msg;

/// A recording with one oddity.
#[derive(Clone, Debug)]
pub struct Odd {
    /// The oddity.
    pub name: &'static str,
    /// The recording.
    pub bytes: Vec<u8>,
    /// The number of rows that a reader gets.
    pub rows: usize,
}

/// A message of any type, whose header may contain a false length.
pub fn message(kind: u16, payload: &[u8], claimed: Option<u32>) -> Vec<u8> {
    let len = claimed.unwrap_or(16 + payload.len() as u32);
    let mut out = len.to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend([2, 0]);
    out.extend(123_456_u32.to_ne_bytes());
    out.extend(77_u32.to_ne_bytes());
    out.extend(payload);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn body(msg: &Msg) -> Vec<u8> {
    msg.to_bytes().get(16..).unwrap_or_default().to_vec()
}

/// Recordings with one oddity each.
pub fn odd() -> Vec<Odd> {
    let row = Msg::v4().to_bytes();
    let done = message(3, &[0; 4], None);
    let errno = |errno: i32, len: usize| {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.resize(len, 0);
        message(2, &payload, None)
    };
    let odd_attr = |bytes: &[u8]| message(20, &[&body(&Msg::v4()), bytes].concat(), None);
    let half = |bytes: &[u8], len: usize| bytes.get(..len).unwrap_or_default().to_vec();
    vec![
        ("whole", [row.clone(), done.clone(), row.clone()].concat(), 1),
        ("no end", row.clone(), 1),
        ("end in header", [row.clone(), half(&done, 7)].concat(), 1),
        ("end after header", [row.clone(), half(&done, 16)].concat(), 1),
        ("end in message", [row.clone(), half(&row, 50)].concat(), 1),
        ("empty", vec![], 0),
        ("error", [row.clone(), errno(13, 20), row.clone()].concat(), 1),
        ("error 0", [row.clone(), errno(0, 20), row.clone()].concat(), 1),
        ("short error", [row.clone(), errno(13, 19), row.clone()].concat(), 1),
        ("empty error", [row.clone(), message(2, b"", None), row.clone()].concat(), 1),
        ("end with a code", [row.clone(), message(3, &(-13_i32).to_ne_bytes(), None)].concat(), 1),
        ("empty end", [row.clone(), message(3, b"", None)].concat(), 1),
        ("legacy type", [message(18, &body(&Msg::v4()), None), done.clone()].concat(), 1),
        ("unknown type", [message(99, &body(&Msg::v4()), None), done.clone()].concat(), 1),
        ("both families", [row.clone(), Msg::v6().to_bytes(), done.clone()].concat(), 2),
        (
            "longest",
            [message(20, &[&body(&Msg::v4())[..], &[0; 16_296]].concat(), None), done.clone()].concat(),
            1,
        ),
        ("odd attribute", [odd_attr(&[0x90, 1, 1, 0, 1, 2, 3, 4]), done.clone()].concat(), 1),
        ("tiny attribute", [odd_attr(&[8, 0, 1, 0, 1, 2, 3, 4, 2, 0, 1, 0]), done.clone()].concat(), 1),
        ("claims too much", [row.clone(), message(20, &body(&Msg::v4()), Some(5000))].concat(), 1),
    ]
    .into_iter()
    .map(|(name, bytes, rows)| Odd { name, bytes, rows })
    .collect()
}
