//! Messages and lines that are whole, to stand around one that may not be.

use sockdiag::model::{MessageKind, Table};
use sockdiag_testkit::recording::{Msg, attr};
use sockdiag_testkit::replies::{self, netpkt};

/// What precedes a payload in a message.
const HEADER: usize = 16;

/// Payloads of two messages about sockets of a table.
pub(crate) fn payloads(table: Table) -> [Vec<u8>; 2] {
    let words = replies::words;
    let messages = match table.message_kind() {
        MessageKind::Inet => [
            Msg::v4().with(attr::CONG, *b"cubic\0").with(attr::INFO, words(&[7; 60])).to_bytes(),
            Msg::v6().with(attr::SKMEMINFO, words(&[1, 2, 3, 4, 5, 6, 7, 8, 9])).to_bytes(),
        ],
        MessageKind::Unix => [unix(1, b"/run/one"), unix(2, b"\0two")],
        MessageKind::Netlink => {
            let groups = replies::attr(1, &words(&[5, 0]));
            [netpkt::netlink(0, 0, 7, (0, 0), &[groups]), netpkt::netlink(16, 1, -1, (-5, 7), &[])]
        }
        MessageKind::Packet => {
            let memory = || replies::attr(6, &words(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
            [netpkt::packet(3, 3, &[memory()]), netpkt::packet(2, 0x88cc, &[memory()])]
        }
        MessageKind::Vsock => {
            [replies::vsock(1, 1, 0, (3, 1024), (2, 22)), replies::vsock(5, 10, 3, (9, 80), (1, 2))]
        }
        MessageKind::Tipc => {
            let queues = [0, 1, 4].map(|kind| replies::attr(kind, &words(&[5]))).concat();
            let stat = [replies::attr(5, &queues)];
            [replies::tipc(1, 1, 1000, &stat), replies::tipc(4, 10, 0, &stat)]
        }
        MessageKind::Xdp => {
            let memory = replies::attr(8, &words(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
            [replies::xdp(1, 7, &[memory]), replies::xdp(2, 8, &[])]
        }
        MessageKind::Smc => {
            let id = replies::smc_id((&[10, 0, 0, 1], 7201), (&[10, 0, 0, 2], 40_000), 5);
            let fallback = replies::attr(5, &words(&[0x0303_0000, 0]));
            [replies::smc(1, 1, &id, &[fallback]), replies::smc(10, 0, &id, &[])]
        }
    };
    messages.map(|mut message| message.split_off(HEADER))
}

/// A unix socket.
fn unix(kind: u8, name: &[u8]) -> Vec<u8> {
    let head = [vec![1, kind, 1, 0], replies::words(&[621, 0x2a, 0])].concat();
    replies::socket(&[head, replies::attr(0, name)].concat())
}

/// The head of a file of `/proc/net` and two of its lines, which stand first
/// and last wherever the lines are sorted.
pub(crate) fn lines(file: File) -> [&'static [u8]; 3] {
    match file {
        File::Tcp | File::Udp | File::Raw => [
            b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 621",
            b"   1: 00000000:0050 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 4 1 0 99 0 0 10 0",
        ],
        File::Tcp6 | File::Udp6 | File::Raw6 => [
            b"  sl  local_address                         remote_address                        st",
            b"   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5",
            b"   1: 0000000000000000FFFF00000100007F:0016 0000000000000000FFFF00000200007F:1234 01 00000001:00000002 02:00000063 00000000  1000        0 6 2 0 20 4 30 10 -1",
        ],
        File::Unix => [
            b"Num       RefCount Protocol Flags    Type St Inode Path",
            b"0: 00000002 00000000 00010000 0000 01 0 /run/a",
            b"0: 00000003 00000000 00000000 ffffffff 03 4294967295 @b",
        ],
        File::OldUnix => [
            b"Peer      RcvQueue SndQueue Flags    Type St Inode Path",
            b"0: 00000005 00000006 00000000 0000 03 0 /run/a",
            b"0: 00000005 00000006 00000000 ffffffff 03 4294967295 @b",
        ],
        File::Netlink => [
            b"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode",
            b"ffff888003a5c000 4   4294967295 00000440 3        5        1     2        0        17",
            b"ffff888003a5c800 16  99         00000000 0        0        0     2        0        18",
        ],
        File::Packet => [
            b"sk               RefCnt Type Proto  Iface R Rmem   User   Inode",
            b"ffff888003a5c000 3      3    0003   1     1 4      1000   12345",
            b"ffff888003a5c800 3      2    88cc   0     1 0      0      12346",
        ],
    }
}

/// A file of `/proc/net`, in the order of an input's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
    Raw,
    Raw6,
    Unix,
    /// Unix sockets, with their peers.
    OldUnix,
    Netlink,
    Packet,
}

impl File {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Tcp,
        Self::Tcp6,
        Self::Udp,
        Self::Udp6,
        Self::Raw,
        Self::Raw6,
        Self::Unix,
        Self::OldUnix,
        Self::Netlink,
        Self::Packet,
    ];

    /// The table whose sockets it lists.
    pub(crate) fn table(self) -> Table {
        match self {
            Self::Tcp | Self::Tcp6 => Table::Tcp,
            Self::Udp | Self::Udp6 => Table::Udp,
            Self::Raw | Self::Raw6 => Table::Raw,
            Self::Unix | Self::OldUnix => Table::UnixStream,
            Self::Netlink => Table::Netlink,
            Self::Packet => Table::PacketRaw,
        }
    }
}
