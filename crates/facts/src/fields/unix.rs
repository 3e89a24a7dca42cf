//! Fields of unix sockets.
//!
//! In the columns, name and inode take the place of address and port.  Control characters in a
//! name are printed as octal escapes, so that no name can forge a row; the value of the field
//! is the unchanged name.
//!
//! Source: linux/unix_diag.h, unix(7).

use super::block::Block;
use super::{
    Column, Field, Groups, Int, Item, Kind, List, Needs, Read, Style, Text, Unit, Value, endpoint, extended,
    memory, plain, process,
};
use crate::model::unix::{Name, UnixSocket};
use crate::model::{Detail, Row};
use crate::number::{self, put_u64};

/// All fields of a unix socket, in print order.
pub(super) const UNIX: &[Block] = &[
    Block::new(Groups::COLUMNS, &[endpoint::IDENTITY, COLUMNS, process::PROCESSES]),
    Block::new(Groups::MEMORY, &[memory::SK]),
    Block::new(Groups::EXTENDED, &[extended::SHUTDOWN, DETAILS]),
];

/// The socket as a unix one.
fn unix<'a>(row: &Row<'a>) -> Option<&'a UnixSocket<'a>> {
    match &row.socket.detail {
        Detail::Unix(unix) => Some(unix),
        _ => None,
    }
}

/// The value of a name: an abstract name is preceded by `@`.
fn name_value(name: Name<'_>) -> Value<'_> {
    if name.is_abstract { Value::Marked(b'@', name.bytes) } else { Value::Text(name.bytes) }
}

/// The two ends, in the order of the columns.
const COLUMNS: &[Field] = &[
    Field::new(
        "unix.name",
        Read::of(Kind::Text, |r| Some(name_value(unix(r)?.whole_name()?))),
        "Path or abstract name that the socket is bound to; an abstract name has @ in place of its leading NUL.",
        "UNIX_DIAG_NAME",
    )
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalAddr, |out, r, _| put_name(out, unix(r).and_then(UnixSocket::name)))),
    Field::new(
        "unix.abstract",
        plain!(|r| Some(unix(r)?.whole_name()?.is_abstract)),
        "Whether the name is abstract rather than a path.",
        "UNIX_DIAG_NAME",
    )
    .group(Groups::COLUMNS)
    .text(Text::PartOf("unix.name")),
    extended::INODE.in_every_reply().group(Groups::COLUMNS.union(Groups::IDENTITY)).text(Text::Column(
        Column::LocalPort,
        |out, r, _| {
            put_u64(out, u64::from(r.socket.inode));
        },
    )),
    Field::new(
        "unix.peer_name",
        Read::of(Kind::Text, |r| Some(name_value(unix(r)?.peer_name()?))),
        "Name of the peer; reported only by /proc of very old kernels.",
        "/proc/net/unix",
    )
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::RemoteAddr, |out, r, _| {
        put_name(out, unix(r).and_then(UnixSocket::peer_name));
    })),
    Field::new(
        "unix.peer",
        plain!(|r| unix(r)?.peer()),
        "Inode of the peer; zero if the peer has closed.",
        "UNIX_DIAG_PEER",
    )
    .none(0)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::RemotePort, |out, r, _| {
        put_u64(out, unix(r).and_then(UnixSocket::peer).unwrap_or(0).into());
    })),
];

/// The fields of `-e` after the directions shut down.
const DETAILS: &[Field] = &[
    Field::new(
        "unix.vfs_inode",
        plain!(|r| unix(r)?.vfs()?.inode()),
        "Inode of the file that the socket is bound to.",
        "UNIX_DIAG_VFS",
    )
    .needs(Needs::UNIX_VFS)
    .group(Groups::EXTENDED)
    .shape("ino:N dev:MAJOR/MINOR")
    .text(Text::Custom(fmt_vfs)),
    Field::new(
        "unix.vfs_major",
        plain!(|r| Some(unix(r)?.vfs()?.dev()? >> 20)),
        "Major number of the file's device; -e shows a different one, see dev: in ss(8).",
        "UNIX_DIAG_VFS",
    )
    .tokens("dev")
    .needs(Needs::UNIX_VFS)
    .group(Groups::EXTENDED)
    .text(Text::PartOf("unix.vfs_inode")),
    Field::new(
        "unix.vfs_minor",
        plain!(|r| Some(unix(r)?.vfs()?.dev()? & 0xf_ffff)),
        "Minor number of the file's device.",
        "UNIX_DIAG_VFS",
    )
    .needs(Needs::UNIX_VFS)
    .group(Groups::EXTENDED)
    .text(Text::PartOf("unix.vfs_inode")),
    Field::new(
        "unix.pending",
        Read::of(Kind::Integers(Int::of::<u32>()), |r| {
            let _ = unix(r)?.icons()?;
            Some(Value::List(List::Of(r, |r, take| {
                let icons = unix(r).and_then(UnixSocket::icons).into_iter().flatten();
                icons.for_each(|inode| take(Item::Value(inode.into())));
            })))
        }),
        "Inodes of the peers of connections in the accept queue.",
        "UNIX_DIAG_ICONS",
    )
    .gauge(Unit::Count)
    .needs(Needs::UNIX_ICONS)
    .group(Groups::EXTENDED)
    .shape("peers:")
    .text(Text::Custom(fmt_icons)),
    // `ss` prints neither: the inode is in a column, the owner nowhere.
    extended::COOKIE.text(Text::Silent),
    extended::UID.needs(Needs::UNIX_UID).text(Text::Silent),
    extended::USER.needs(Needs::UNIX_UID),
];

/// Appends a name and a blank; `*` for a socket without a name.
fn put_name(out: &mut Vec<u8>, name: Option<Name<'_>>) {
    match name {
        None => out.push(b'*'),
        Some(name) => {
            if name.is_abstract {
                out.push(b'@');
            }
            for (at, part) in name.bytes.split(|byte| *byte == 0).enumerate() {
                if at > 0 {
                    out.extend_from_slice(if name.is_abstract { b"@" } else { b"\\000" });
                }
                number::put_name(out, part);
            }
        }
    }
    out.push(b' ');
}

/// `ss` splits the kernel's device number with the C library's encoding.  The result is not
/// the real device (254:0 appears as `0/65024`), but this prints the same.
fn fmt_vfs(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(vfs) = unix(row).and_then(UnixSocket::vfs) else { return };
    let dev = vfs.dev().unwrap_or(0);
    out.extend_from_slice(b" ino:");
    put_u64(out, u64::from(vfs.inode().unwrap_or(0)));
    out.extend_from_slice(b" dev:");
    put_u64(out, u64::from(dev >> 8 & 0xfff));
    out.push(b'/');
    put_u64(out, u64::from(dev & 0xff | dev >> 12 & 0xf_ff00));
}

fn fmt_icons(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(icons) = unix(row).and_then(UnixSocket::icons) else { return };
    out.extend_from_slice(b" peers:");
    for inode in icons {
        out.push(b' ');
        put_u64(out, u64::from(inode));
    }
}

#[cfg(test)]
mod tests {
    use sockdiag_wire::attr::put;
    use sockdiag_wire::unix_diag::{MSG_LEN, UNIX_DIAG_NAME, UNIX_DIAG_VFS};

    use super::*;
    use crate::fields::Catalog;
    use crate::model::{Origin, Record, Socket, SourceKind, Table};

    fn reply(attrs: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; MSG_LEN];
        for (kind, payload) in attrs {
            put(&mut bytes, *kind, payload);
        }
        bytes
    }

    fn with<T>(bytes: &[u8], look: impl FnOnce(&Row<'_>) -> T) -> T {
        let origin = Origin::of(Table::UnixStream, SourceKind::Kernel);
        let socket = Socket::decode(Record { origin, bytes }).expect("a whole message");
        look(&Row::bare(&socket))
    }

    #[test]
    fn names_cannot_forge_rows() {
        for (name, want) in [
            (&b"/run/x y\0"[..], &b"/run/x y "[..]),
            (b"/a\nu_str\x1b[2J\x7f\t", b"/a\\012u_str\\033[2J\\177\\011 "),
            (b"\0abs\0\x01tract\0", b"@abs@\\001tract@ "),
            (b"/\xc3\xa9\\", b"/\xc3\xa9\\ "),
            (b"", b" "),
        ] {
            let mut out = Vec::new();
            with(&reply(&[(UNIX_DIAG_NAME, name)]), |row| {
                put_name(&mut out, unix(row).and_then(UnixSocket::name));
            });
            assert_eq!(out, want, "{}", name.escape_ascii());
        }
        let mut out = Vec::new();
        put_name(&mut out, None);
        assert_eq!(out, b"* ");
    }

    #[test]
    fn the_device_is_right_by_name_and_the_reference_s_in_text() {
        let catalog = Catalog::standard();
        let number = |row: &Row<'_>, name| {
            (catalog.field(name).expect("a field of this file").get)(row).and_then(Value::as_i128)
        };
        for (dev, major, minor, text) in
            [(254 << 20, 254, 0, " ino:777 dev:0/65024"), (8 << 20 | 1, 8, 1, " ino:777 dev:0/2049")]
        {
            let vfs = [777_u32.to_ne_bytes(), u32::to_ne_bytes(dev)].concat();
            with(&reply(&[(UNIX_DIAG_VFS, &vfs)]), |row| {
                let mut out = Vec::new();
                fmt_vfs(&mut out, row, Style::default());
                assert_eq!(String::from_utf8(out).unwrap(), text);
                assert_eq!(number(row, "unix.vfs_major"), Some(major));
                assert_eq!(number(row, "unix.vfs_minor"), Some(minor));
                assert_eq!(number(row, "unix.pending"), None);
                assert_eq!(number(row, "socket.uid"), None);
            });
        }
    }
}
