//! Names of netlink protocols, and of the processes that own port ids.
//!
//! Protocols have the names that `ss` knows, unless a file overrides them.  A port id is
//! taken for a pid, which it is if the process let the kernel choose it and had no other
//! socket of that protocol.
//!
//! Source: netlink(7), proc_pid_stat(5); `nl_protos` as iproute2's programs
//! read it.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use super::few::Few;
use crate::model::protocol_names;
use crate::model::{Addr, Socket};
use crate::notice::Notice;
use crate::source::Sources;
use crate::sys::chosen;

/// The limit for reading a process's stat file.
const STAT: u64 = 64 << 10;
/// The files with the names; a later one is read if an earlier one is missing.
const FILES: [&str; 2] = ["/etc/iproute2/nl_protos", "/usr/share/iproute2/nl_protos"];

/// Names of netlink protocols by number.
#[derive(Debug, Default)]
pub(super) struct Protocols {
    /// Names from the file.
    given: Few<u8, Vec<u8>>,
}

impl Protocols {
    /// Reads the file up to its first damaged line, and reports that line.
    pub(super) fn read(notices: &mut dyn FnMut(Notice)) -> Self {
        let found = FILES.iter().find_map(|path| Some((path, fs::read(path).ok()?)));
        let Some((path, text)) = found else { return Self::default() };
        let (protocols, bad) = Self::parse(&text);
        if let Some(line) = bad {
            notices(Notice::DatabaseCorrupted { path: path.into(), line });
        }
        protocols
    }

    /// Parses lines of a number and a name, up to the first malformed line, which is
    /// returned too.
    fn parse(text: &[u8]) -> (Self, Option<Vec<u8>>) {
        let mut protocols = Self::default();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let text = line.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
            if let None | Some(b'#' | b'\n') = text {
                continue;
            }
            let Some((number, name)) = entry(line) else { return (protocols, Some(line.to_vec())) };
            if let Ok(number) = u8::try_from(number) {
                protocols.given.insert(number, name.to_vec());
            }
        }
        (protocols, None)
    }

    /// The name of a protocol.
    pub(super) fn name(&self, number: u32) -> Option<&[u8]> {
        let given = u8::try_from(number).ok().and_then(|number| self.given.get(number));
        given.map(Vec::as_slice).or_else(|| protocol_names::netlink_name(number).map(str::as_bytes))
    }

    /// The number of a protocol, given as a name or number.
    pub(super) fn number(&self, name: &[u8]) -> Option<u32> {
        let by_name = (0..=255).find(|number| self.name(*number) == Some(name));
        // Built-in names apply only after the file's: a name that the file reassigned is
        // not found here.
        by_name.or_else(|| protocol_names::netlink_number(name))
    }
}

/// Parses a number, which may be hexadecimal, and the word after it.
fn entry(line: &[u8]) -> Option<(i32, &[u8])> {
    let text = skip_blanks(line);
    let hexadecimal = text.strip_prefix(b"0x").and_then(|text| number(text, 16));
    hexadecimal.or_else(|| number(text, 10))
}

fn number(text: &[u8], base: u32) -> Option<(i32, &[u8])> {
    let text = skip_blanks(text);
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let end = digits.iter().position(|byte| !char::from(*byte).is_digit(base)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?;
    let value = digits.iter().fold(0_i64, |value, digit| {
        let digit = char::from(*digit).to_digit(base).unwrap_or(0);
        value.saturating_mul(base.into()).saturating_add(digit.into())
    });
    let name = skip_blanks(rest).split(|byte| is_blank(*byte)).next().filter(|name| !name.is_empty())?;
    // C stores the `long` in an `int`.
    Some((if negative { -value } else { value } as i32, name))
}

/// Whether C treats the byte as white space.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// Names of netlink protocols and of port ids.
#[derive(Debug)]
pub(super) struct NetlinkNames {
    /// The directory with the processes.
    proc_root: PathBuf,
    /// `None` until a socket needs it.
    protocols: Option<Protocols>,
    owners: HashMap<i64, Option<Vec<u8>>>,
    notices: Vec<Notice>,
}

impl NetlinkNames {
    /// Forgets the names of processes.
    pub(super) fn begin_poll(&mut self) {
        self.owners.clear();
    }

    pub(super) fn new(sources: &Sources) -> Self {
        let proc_root = sources.proc_file("");
        Self { proc_root, protocols: None, owners: HashMap::new(), notices: Vec::new() }
    }

    /// Looks up what is not known yet about one socket.
    pub(super) fn prepare(&mut self, socket: &Socket<'_>) {
        let notices = &mut self.notices;
        self.protocols.get_or_insert_with(|| Protocols::read(&mut |notice| notices.push(notice)));
        let id = socket.local.port;
        if id > 0 {
            let root = &self.proc_root;
            self.owners.entry(id).or_insert_with(|| {
                let stat = chosen::beginning_at(&root.join(id.to_string()).join("stat"), STAT).ok()?;
                command(&stat).filter(|name| !name.is_empty()).map(<[u8]>::to_vec)
            });
        }
    }

    /// The name of a socket's protocol.
    pub(super) fn protocol(&self, socket: &Socket<'_>) -> Option<&[u8]> {
        match socket.local.addr {
            Addr::Number(number) => self.protocols.as_ref()?.name(number),
            _ => None,
        }
    }

    /// The name of the process whose pid is the socket's port id, if there is one.
    pub(super) fn owner(&self, socket: &Socket<'_>) -> Option<&[u8]> {
        self.owners.get(&socket.local.port)?.as_deref()
    }

    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

/// The command name in a `stat` file: between the first and the last parenthesis, since the
/// name itself may contain any.
fn command(stat: &[u8]) -> Option<&[u8]> {
    let start = stat.iter().position(|byte| *byte == b'(')? + 1;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &[u8], number: u32) -> Option<Vec<u8>> {
        Protocols::parse(text).0.name(number).map(<[u8]>::to_vec)
    }

    /// The expected values are what the reference prints with each of these files.
    #[test]
    fn files_are_read_as_scanf_reads_them() {
        for (text, number, want) in [
            (&b""[..], 4, Some(&b"tcpdiag"[..])),
            (b"", 17, None),
            (b"0x4 four four\n", 4, Some(b"four")),
            (b" 16\tsixteen # comment\n", 16, Some(b"sixteen")),
            (b"255 last\n", 255, Some(b"last")),
            (b"256 more\n", 256, None),
            (b"-1 minus\n4 x\n", 4, Some(b"x")),
            (b"16 a\n16 b\n", 16, Some(b"b")),
            (b"0x a\n", 0, Some(b"x")),
            (b"4x f\n", 4, Some(b"x")),
            (b"0x10 hex\n", 16, Some(b"hex")),
            (b"010 ten\n", 10, Some(b"ten")),
            (b"4 #x\n", 4, Some(b"#x")),
            (b"\t#4 x\n", 4, Some(b"tcpdiag")),
            (b"4 four\r\n", 4, Some(b"four")),
            (b"4 four", 4, Some(b"four")),
            (b"+4 p\n", 4, Some(b"p")),
            (b"0x-4 m\n", 4, Some(b"tcpdiag")),
            (b"4294967300 wrap\n", 4, Some(b"wrap")),
            (b" \t\n\x0b4 v\n", 4, Some(b"v")),
        ] {
            assert_eq!(named(text, number).as_deref(), want, "{}", String::from_utf8_lossy(text));
            assert_eq!(Protocols::parse(text).1, None, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_bad_line_ends_the_file_and_what_was_read_stays() {
        for (text, bad) in [
            (&b"16 one\nbad line\n4 after\n"[..], &b"bad line\n"[..]),
            (b"16 one\n4\n4 after\n", b"4\n"),
            (b"16 one\n\n# note\n4", b"4"),
            (b"16 one\n\r\n4 after\n", b"\r\n"),
        ] {
            let (protocols, line) = Protocols::parse(text);
            assert_eq!(line.as_deref(), Some(bad));
            assert_eq!((protocols.name(16), protocols.name(4)), (Some(&b"one"[..]), Some(&b"tcpdiag"[..])));
        }
    }

    #[test]
    fn a_name_that_a_file_took_away_is_none() {
        let protocols = Protocols::parse(b"4 foo\n").0;
        for (name, number) in [
            (&b"foo"[..], Some(4)),
            (b"tcpdiag", None),
            (b"genl", Some(16)),
            (b"4", Some(4)),
            (b"0x10", Some(16)),
            (b"300", None),
            (b"bar", None),
        ] {
            assert_eq!(protocols.number(name), number, "{}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn a_command_is_whole_whatever_it_holds() {
        assert_eq!(command(b"7 (a) b (c) S 1 2"), Some(&b"a) b (c"[..]));
        assert_eq!(command(b"7 () S"), Some(&b""[..]));
        for bad in [&b""[..], b"7 (", b"7 )(", b"7 a"] {
            assert_eq!(command(bad), None, "{bad:?}");
        }
    }
}
