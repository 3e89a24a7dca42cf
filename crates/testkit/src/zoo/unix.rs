//! Unix sockets.
//!
//! They are made only by name, because tests rely on the default kinds having no unix sockets.
//! Paths are in a folder that is removed at once: the kernel remembers a bound path, so no
//! file remains.  Their names contain blanks and worse, so the zoo prints `-` for them.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::net::{self, AddressFamily, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType};

use super::make::{Kind, Maker, accept, send};
use crate::{Doing, Why};

/// The kinds of this file.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "unix-stream", doc: "A path that listens, connected, 100 bytes unread.", make: stream },
    Kind { name: "unix-pending", doc: "Listens; three connections wait, of a backlog of 7.", make: pending },
    Kind { name: "unix-seqpacket", doc: "Connected; one end closed its sending half.", make: seqpacket },
    Kind { name: "unix-dgram", doc: "A path, and a client of it; neither, and a queue.", make: dgram },
    Kind { name: "unix-pairs", doc: "Pairs of all types; two have one end closed.", make: pairs },
    Kind { name: "unix-shutdown", doc: "Stream pairs shut down in every way.", make: shutdown },
    Kind { name: "unix-autobound", doc: "A name from the kernel, and names like it.", make: autobound },
    Kind { name: "unix-names", doc: "Odd names, paths and abstract ones.", make: names },
    Kind { name: "unix-control", doc: "Names with control characters.", make: control },
    Kind { name: "unix-fresh", doc: "Sockets that were only made.", make: fresh },
];

/// A folder for socket paths; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(kind: &str) -> Result<Self, Why> {
        let path = std::env::temp_dir().join(format!("zoo-{kind}-{}", std::process::id()));
        fs::create_dir(&path).doing(format_args!("making {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self, name: &[u8]) -> Result<SocketAddrUnix, Why> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = self.0.join(Path::new(std::ffi::OsStr::from_bytes(name)));
        SocketAddrUnix::new(path).doing("a path")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn hidden(name: &[u8]) -> Result<SocketAddrUnix, Why> {
    SocketAddrUnix::new_abstract_name(name).doing("an abstract name")
}

fn socket(kind: SocketType) -> Result<OwnedFd, Why> {
    net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).doing("making a unix socket")
}

fn bound(kind: SocketType, at: &SocketAddrUnix) -> Result<OwnedFd, Why> {
    let fd = socket(kind)?;
    net::bind(&fd, at).doing(format_args!("binding to {at:?}"))?;
    Ok(fd)
}

fn listener(kind: SocketType, at: &SocketAddrUnix, backlog: i32) -> Result<OwnedFd, Why> {
    let fd = bound(kind, at)?;
    net::listen(&fd, backlog).doing(format_args!("listening at {at:?}"))?;
    Ok(fd)
}

fn client(kind: SocketType, to: &SocketAddrUnix) -> Result<OwnedFd, Why> {
    let fd = socket(kind)?;
    net::connect(&fd, to).doing(format_args!("connecting to {to:?}"))?;
    Ok(fd)
}

fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd), Why> {
    net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).doing("making a pair")
}

fn keep(m: &mut Maker, fds: impl IntoIterator<Item = OwnedFd>) {
    for fd in fds {
        m.keep_as(fd, "-", "-");
    }
}

fn stream(m: &mut Maker) -> Result<(), Why> {
    let folder = Folder::new("stream")?;
    let at = folder.path(b"stream.sock")?;
    let listener = listener(SocketType::STREAM, &at, 16)?;
    let client = client(SocketType::STREAM, &at)?;
    let server = accept(&listener)?;
    send(&client, 100)?;
    keep(m, [listener, client, server]);
    Ok(())
}

fn pending(m: &mut Maker) -> Result<(), Why> {
    for (kind, name) in [(SocketType::STREAM, &b"zoo\0pending"[..]), (SocketType::SEQPACKET, b"zoo-waiting")]
    {
        let at = hidden(name)?;
        let listener = listener(kind, &at, 7)?;
        let clients = [client(kind, &at)?, client(kind, &at)?, client(kind, &at)?];
        keep(m, [listener]);
        keep(m, clients);
    }
    Ok(())
}

fn seqpacket(m: &mut Maker) -> Result<(), Why> {
    let folder = Folder::new("seqpacket")?;
    let at = folder.path(b"seqpacket.sock")?;
    let listener = listener(SocketType::SEQPACKET, &at, 16)?;
    let client = client(SocketType::SEQPACKET, &at)?;
    let server = accept(&listener)?;
    send(&client, 10)?;
    net::shutdown(&client, Shutdown::Write).doing("shutdown")?;
    keep(m, [listener, client, server]);
    Ok(())
}

fn dgram(m: &mut Maker) -> Result<(), Why> {
    let folder = Folder::new("dgram")?;
    let at = folder.path(b"dgram.sock")?;
    let server = bound(SocketType::DGRAM, &at)?;
    let client = client(SocketType::DGRAM, &at)?;
    for _ in 0..3 {
        send(&client, 1000)?;
    }
    let stranger = socket(SocketType::DGRAM)?;
    net::sendto(&stranger, b"x", SendFlags::NOSIGNAL, &at).doing("sending")?;
    keep(m, [server, client, stranger]);
    Ok(())
}

fn pairs(m: &mut Maker) -> Result<(), Why> {
    for kind in [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET] {
        let (left, right) = pair(kind)?;
        send(&left, 42)?;
        keep(m, [left, right]);
    }
    for kind in [SocketType::STREAM, SocketType::DGRAM] {
        let (left, right) = pair(kind)?;
        send(&right, 7)?;
        drop(right);
        keep(m, [left]);
    }
    Ok(())
}

fn shutdown(m: &mut Maker) -> Result<(), Why> {
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        let (left, right) = pair(SocketType::STREAM)?;
        net::shutdown(&left, how).doing("shutdown")?;
        keep(m, [left, right]);
    }
    Ok(())
}

fn autobound(m: &mut Maker) -> Result<(), Why> {
    keep(m, [bound(SocketType::DGRAM, &SocketAddrUnix::new_unnamed())?]);
    for name in [&b"0badf"[..], b"0BADF", b"0bad", b"0badf0", b"0badg", b"0bad\0", b"\x000bad"] {
        keep(m, [bound(SocketType::DGRAM, &hidden(name)?)?]);
    }
    Ok(())
}

fn names(m: &mut Maker) -> Result<(), Why> {
    let folder = Folder::new("names")?;
    for name in [&b"a b"[..], b"\xc3\xa9\xff\xc2\xa5", b"back\\slash", b"@0badf", b"%s%n", b"*"] {
        keep(m, [bound(SocketType::STREAM, &folder.path(name)?)?]);
    }
    for name in [&b"\0\0"[..], b"a b\0c", b"@", b"/abstract", &[b'x'; 107], b"\xff\xfe"] {
        keep(m, [bound(SocketType::STREAM, &hidden(name)?)?]);
    }
    Ok(())
}

fn control(m: &mut Maker) -> Result<(), Why> {
    let folder = Folder::new("control")?;
    keep(m, [bound(SocketType::STREAM, &folder.path(b"line\nu_str LISTEN\x1b[31m\x7f\t")?)?]);
    keep(m, [bound(SocketType::STREAM, &hidden(b"bell\x07\0\x01")?)?]);
    Ok(())
}

fn fresh(m: &mut Maker) -> Result<(), Why> {
    for kind in [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET] {
        keep(m, [socket(kind)?]);
    }
    Ok(())
}
