//! Parsers for names and links in /proc.
//!
//! Source: proc_pid_fd(5), proc_pid_stat(5); what is accepted beyond their
//! forms is what `ss` accepts.

use sockdiag_facts::scan;

/// Parses the number at the start of a directory entry; the rest of the name is ignored.
pub(super) fn entry(name: &[u8]) -> Option<i32> {
    scan::int(name)
}

/// The inode in the link `socket:[INODE]`.
#[inline]
pub(super) fn socket_link(link: &[u8]) -> Option<u32> {
    scan::unsigned(link.strip_prefix(b"socket:[")?)
}

/// The command name in a `stat` line: the text between the first `(` and the last `)`.
/// (The reference stops at the first `)`, which may belong to the name.)  Empty if the line
/// is malformed.
pub(super) fn command_name(stat: &[u8]) -> &[u8] {
    let name = scan::integer(stat).and_then(|(_, rest)| scan::blanks(rest).strip_prefix(b"("));
    let name = name.unwrap_or_default();
    let end = name.iter().rposition(|byte| *byte == b')').unwrap_or(name.len());
    name.get(..end).unwrap_or_default()
}

/// Whether the flags in a file of fdinfo include `O_CLOEXEC`.
pub(super) fn closes_on_exec(fdinfo: &[u8]) -> bool {
    const CLOEXEC: u32 = 0o2_000_000;
    let flags = fdinfo
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"flags:"))
        .and_then(|text| std::str::from_utf8(scan::blanks(text)).ok())
        .and_then(|text| u32::from_str_radix(text, 8).ok());
    flags.is_some_and(|flags| flags & CLOEXEC != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_sockets_hold_an_inode() {
        for (link, want) in [
            ("socket:[222]", Some(222)),
            ("socket:[222", Some(222)),
            ("socket:[222]junk", Some(222)),
            ("socket:[ 222]", Some(222)),
            ("socket:[+222]", Some(222)),
            ("socket:[4294967518]", Some(222)),
            ("socket:[]", None),
            ("socket: [222]", None),
            ("pipe:[222]", None),
            ("/dev/null", None),
            ("", None),
        ] {
            assert_eq!(socket_link(link.as_bytes()), want, "{link}");
        }
    }

    #[test]
    fn names_are_whole_whatever_they_hold() {
        for (stat, want) in [
            ("1 (init) S 0", "init"),
            ("1 (a)b(c) S 0", "a)b(c"),
            ("1 () S 0", ""),
            ("1 ()) S 0", ")"),
            ("1 (x) S 1 (y) S 0", "x) S 1 (y"),
            (" 1   (  sp ) S", "  sp "),
            ("1(tight) S", "tight"),
            ("1 (unclosed", "unclosed"),
            ("1 no paren)", ""),
            ("x (y) S", ""),
            ("garbage", ""),
            ("", ""),
        ] {
            assert_eq!(command_name(stat.as_bytes()), want.as_bytes(), "{stat}");
        }
    }

    #[test]
    fn flags_are_octal() {
        assert!(closes_on_exec(b"pos:\t0\nflags:\t02000002\nmnt_id:\t10\n"));
        assert!(!closes_on_exec(b"pos:\t0\nflags:\t02\nmnt_id:\t10\n"));
        assert!(!closes_on_exec(b"flags:\tx\n") && !closes_on_exec(b""));
    }

    #[test]
    fn entries_begin_with_a_number() {
        for (name, want) in [
            ("12", Some(12)),
            ("3x", Some(3)),
            ("007", Some(7)),
            ("-5", Some(-5)),
            (".", None),
            ("self", None),
        ] {
            assert_eq!(entry(name.as_bytes()), want, "{name}");
        }
    }
}
