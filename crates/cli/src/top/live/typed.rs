//! Decodes the bytes that a terminal sends into keys.
//!
//! A terminal sends a key as a character or as a sequence that starts with Escape.  The form
//! of a sequence tells where it ends; if it is incomplete and nothing follows for a while, it
//! was the Escape key and characters.
//!
//! Invariant: no bytes prevent later bytes from being decoded as keys.
//!
//! Source: console_codes(4), and "XTerm Control Sequences".

use sockdiag_screen::Key;

/// The longest sequence, in bytes; anything longer is not a sequence.
const MOST: usize = 64;

/// Decoded input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A key.
    Key(Key),
    /// The terminal's answer to a query (OSC), without introducer and terminator.
    Answer(String),
}

/// Bytes that are not a key yet.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    rest: Vec<u8>,
}

impl Keyboard {
    /// Whether further bytes may complete a key.
    pub(super) fn is_waiting(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Adds bytes; returns the decoded input.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Typed> {
        self.rest.extend_from_slice(bytes);
        self.read(false)
    }

    /// Decodes the rest as it is, because nothing followed for a while.
    pub(super) fn give_up(&mut self) -> Vec<Typed> {
        self.read(true)
    }

    fn read(&mut self, is_all: bool) -> Vec<Typed> {
        let all = std::mem::take(&mut self.rest);
        let (mut typed, mut rest) = (Vec::new(), all.as_slice());
        while !rest.is_empty() {
            let length = match one(rest, &mut typed) {
                Some(length) => length,
                None if !is_all && rest.len() < MOST => break,
                // The sequence is incomplete: its first byte stands for itself.
                None => {
                    typed.extend(control(rest.first().copied().unwrap_or_default()).map(Typed::Key));
                    1
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        self.rest = rest.to_vec();
        typed
    }
}

/// Decodes the first item; returns its length, or `None` if it is incomplete.
fn one(bytes: &[u8], typed: &mut Vec<Typed>) -> Option<usize> {
    let first = *bytes.first()?;
    match first {
        0x1b => escape(bytes, typed),
        0..0x20 | 0x7f => {
            typed.extend(control(first).map(Typed::Key));
            Some(1)
        }
        _ => letter(bytes, typed),
    }
}

/// A key sent as a single control byte.
fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x08 | 0x7f => Key::Backspace,
        0x1b => Key::Escape,
        1..=26 => Key::Control(char::from(b'a' - 1 + byte)),
        _ => return None,
    })
}

/// A UTF-8 character; a byte that cannot start one is ignored.
fn letter(bytes: &[u8], typed: &mut Vec<Typed>) -> Option<usize> {
    let length = match bytes.first()? {
        0..0x80 => 1,
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return Some(1),
    };
    let known = bytes.get(..length.min(bytes.len())).unwrap_or_default();
    match std::str::from_utf8(known) {
        Ok(text) => {
            typed.extend(text.chars().map(|letter| Typed::Key(Key::Char(letter))));
            Some(known.len())
        }
        // The character is cut off; the rest may still come.
        Err(error) if error.error_len().is_none() => None,
        Err(_) => Some(1),
    }
}

/// Decodes a sequence that starts with Escape.
fn escape(bytes: &[u8], typed: &mut Vec<Typed>) -> Option<usize> {
    match bytes.get(1)? {
        b'[' => {
            // Parameters, then a letter that ends it.
            let end = bytes.iter().skip(2).position(|byte| !(0x20..0x40).contains(byte))? + 2;
            let last = *bytes.get(end)?;
            if !(0x40..0x7f).contains(&last) {
                // Not a sequence: the unexpected byte is decoded next.
                return Some(end);
            }
            let body = bytes.get(2..end).unwrap_or_default();
            // The oldest mouse protocol: three arbitrary bytes follow.
            if last == b'M' && body.is_empty() {
                return (bytes.len() >= end + 4).then_some(end + 4);
            }
            typed.extend(sequence(&String::from_utf8_lossy(body), last).map(Typed::Key));
            Some(end + 1)
        }
        b'O' => {
            typed.extend(sequence("", *bytes.get(2)?).map(Typed::Key));
            Some(3)
        }
        b']' => {
            let printed = bytes.iter().skip(2).position(|byte| !(0x20..0x7f).contains(byte))? + 2;
            let length = match bytes.get(printed..)? {
                [0x07, ..] => printed + 1,
                [0x1b, b'\\', ..] => printed + 2,
                [0x1b] => return None,
                _ => return Some(1).inspect(|_| typed.push(Typed::Key(Key::Escape))),
            };
            let told = bytes.get(2..printed).unwrap_or_default();
            typed.push(Typed::Answer(String::from_utf8_lossy(told).into_owned()));
            Some(length)
        }
        // Escape, or a key with Alt, which we do not use.
        _ => {
            typed.push(Typed::Key(Key::Escape));
            Some(1)
        }
    }
}

/// The key that a sequence encodes.
fn sequence(body: &str, last: u8) -> Option<Key> {
    if let Some(mouse) = body.strip_prefix('<') {
        let numbers: Vec<u16> = mouse.split(';').filter_map(|number| number.parse().ok()).collect();
        let [button, x, y] = numbers[..] else { return None };
        return match (button, last) {
            (0, b'M') => Some(Key::Click(x.checked_sub(1)?, y.checked_sub(1)?)),
            (64, b'M') => Some(Key::WheelUp),
            (65, b'M') => Some(Key::WheelDown),
            _ => None,
        };
    }
    // Modifier keys follow after the first number.
    let number = body.split(';').next().unwrap_or_default();
    Some(match (last, number) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', "1" | "7") => Key::Home,
        (b'F', _) | (b'~', "4" | "8") => Key::End,
        (b'~', "3") => Key::Delete,
        (b'~', "5") => Key::PageUp,
        (b'~', "6") => Key::PageDown,
        (b'M', _) if body.is_empty() => Key::Enter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&[u8]]) -> Vec<Typed> {
        let mut keyboard = Keyboard::default();
        let mut typed: Vec<Typed> = pieces.iter().flat_map(|piece| keyboard.take(piece)).collect();
        typed.extend(keyboard.give_up());
        assert!(!keyboard.is_waiting());
        typed
    }

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let one = |typed| match typed {
            Typed::Key(key) => key,
            Typed::Answer(told) => panic!("{told}"),
        };
        typed(&[bytes]).into_iter().map(one).collect()
    }

    #[test]
    fn sequences_are_keys() {
        use Key::{Backspace, Char, Click, Control, Delete, Down, End, Enter, Escape, Home, Left};
        for (bytes, want) in [
            (
                &b"a\xc3\xa9\r\n\t\x7f\x08\x03"[..],
                &[Char('a'), Char('é'), Enter, Enter, Key::Tab, Backspace, Backspace, Control('c')][..],
            ),
            ("日".as_bytes(), &[Char('日')]),
            (b"\x1b[A\x1b[B\x1bOC\x1b[1;5D", &[Key::Up, Down, Key::Right, Left]),
            (b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1bOH\x1bOF", &[Home, End, Home, End, Home, End]),
            (b"\x1b[3~\x1b[5~\x1b[6;2~", &[Delete, Key::PageUp, Key::PageDown]),
            (b"\x1b", &[Escape]),
            (b"\x1b\x1b[A", &[Escape, Key::Up]),
            (b"\x1bq", &[Escape, Char('q')]),
            (
                b"\x1b[<0;10;8M\x1b[<0;10;8m\x1b[<64;1;1M\x1b[<65;1;1M\x1b[<0;0;0M",
                &[Click(9, 7), Key::WheelUp, Key::WheelDown],
            ),
            // Not keys: focus, function keys, answers, partial letters, the old mouse protocol.
            (b"\x1b[I\x1b[15~\x1b[?62;c\x1b[200~\x00\xff\xc3a\x1b[M !!b", &[Char('a'), Char('b')]),
            // An unterminated sequence does not swallow what follows.
            (b"\x1b[?\x03", &[Control('c')]),
            (b"\x1b[999\x1b[A", &[Key::Up]),
            (b"\x1b[<12\x03", &[Control('c')]),
            (b"\x1bO", &[Escape, Char('O')]),
            (b"\x1b[", &[Escape, Char('[')]),
            (b"\x1b]0\x03", &[Escape, Char(']'), Char('0'), Control('c')]),
            (b"\xe6\x97", &[]),
        ] {
            assert_eq!(keys(bytes), want, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn pieces_are_put_together() {
        let bytes = b"\x1b[5~\xc3\xa9\x1b[<0;3;4M\x1b]11;rgb:1/2/3\x1b\\k";
        let whole = typed(&[bytes]);
        assert_eq!(whole.len(), 5);
        assert!(whole.contains(&Typed::Answer("11;rgb:1/2/3".to_owned())));
        for at in 0..bytes.len() {
            let (one, other) = bytes.split_at(at);
            assert_eq!(typed(&[one, other]), whole, "{at}");
        }
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(typed(&each), whole);
    }

    #[test]
    fn any_bytes_are_read_to_their_end() {
        let mut random = 7_u64;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..12 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                bytes.push(
                    b"\x1b\x1b[[]OM<;?0~AaZ\x07\\\x03\xc3\xe6\xff "[usize::from((random >> 59) as u8) % 22],
                );
            }
            bytes.extend(b"  \x03");
            let mut keyboard = Keyboard::default();
            let mut typed = keyboard.take(&bytes);
            typed.extend(keyboard.give_up());
            assert!(
                typed.ends_with(&[Typed::Key(Key::Control('c'))]) || bytes.ends_with(b"M  \x03"),
                "{bytes:?}: {typed:?}"
            );
            assert!(!keyboard.is_waiting());
        }
    }
}
