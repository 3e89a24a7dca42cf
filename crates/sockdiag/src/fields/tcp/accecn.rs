//! What TCP tells of accurate ECN in its last word.
//!
//! Linux 6.18 and 6.19 sent two numbers of 16 bits there, 7.0 and later send
//! bits, and the struct does not tell which.  The kernel's release does:
//! [`Layout::of_release`].  The table comes with rows for a kernel that nobody
//! knows, which say nothing, and [`Layout::row`] gives those to be put in their
//! place.  A recording is of no known kernel: of its sockets no row speaks.
//!
//! Source: `struct tcp_info` (linux/tcp.h) of Linux 6.18 and 7.3.

use super::{Accessor, Field, tcp};
use crate::model::{Row, SourceKind};
use sockdiag_wire::tcp_info::TcpInfo;

/// How a kernel lays the word out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fields) enum Layout {
    /// Linux 6.18 and 6.19.
    Numbers,
    /// Since Linux 7.0.
    Bits,
}

impl Layout {
    /// That of a release such as `6.18.44-generic`; `None` for kernels before
    /// 6.18, which have no such word, and where there is no number.
    pub(in crate::fields) fn of_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        match (numbers.next()?.ok()?, numbers.next()?.ok()?) {
            (..6, _) | (6, ..18) => None,
            (6, _) => Some(Self::Numbers),
            _ => Some(Self::Bits),
        }
    }

    /// The row that reads this layout, for one of [`UNKNOWN`]'s.
    pub(in crate::fields) fn row(self, of: &Field) -> Option<&'static Field> {
        let rows = match self {
            Self::Numbers => NUMBERS,
            Self::Bits => BITS,
        };
        rows.iter().find(|row| row.name == of.name)
    }
}

/// `tcp_info` of a kernel that runs here.
fn live<'r>(row: &Row<'r>) -> Option<TcpInfo<'r>> {
    match row.socket.origin.kind {
        SourceKind::Kernel | SourceKind::Event => row.socket.tcp_info(),
        SourceKind::Recording | SourceKind::Proc => None,
    }
}

const fn rows(mode: Accessor, seen: Accessor, failed: Accessor, options: Accessor) -> [Field; 4] {
    [
        tcp(
            "tcp.ecn_mode",
            mode,
            "Mode of ECN: 0 off, 1 RFC 3168, 2 accurate, 3 to be agreed on; since Linux 7.0.",
            "tcpi_ecn_mode",
        ),
        tcp(
            "tcp.accecn_opt_seen",
            seen,
            "Option of accurate ECN: 0 not seen, 1 empty, 2 with counters, 3 failed; since Linux 6.18, absent in \
             recordings.",
            "tcpi_accecn_opt_seen",
        ),
        tcp(
            "tcp.accecn_fail_mode",
            failed,
            "How accurate ECN failed, a bit each: 1 sending and 2 receiving ACE, 4 sending and 8 receiving the \
             option; since Linux 6.18, absent in recordings.",
            "tcpi_accecn_fail_mode",
        ),
        tcp("tcp.options2", options, "Further options, a bit each; none has a name yet.", "tcpi_options2"),
    ]
}

/// Rows of a kernel that is not known.
pub(in crate::fields) const UNKNOWN: &[Field] = &rows(|_| None, |_| None, |_| None, |_| None);

static NUMBERS: &[Field] = &rows(
    |_| None,
    |r| Some(live(r)?.accecn_opt_seen_6_18()?.into()),
    |r| Some(live(r)?.accecn_fail_mode_6_18()?.into()),
    |_| None,
);

static BITS: &[Field] = &rows(
    |r| Some(live(r)?.ecn_mode()?.into()),
    |r| Some(live(r)?.accecn_opt_seen()?.into()),
    |r| Some(live(r)?.accecn_fail_mode()?.into()),
    |r| Some(live(r)?.options2()?.into()),
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Catalog, Value};
    use crate::model::{Origin, Record, Socket, Table};

    #[test]
    fn a_release_tells_the_layout() {
        for (release, want) in [
            ("6.18.44-fc-v595", Some(Layout::Numbers)),
            ("6.19-rc1", Some(Layout::Numbers)),
            ("7.0", Some(Layout::Bits)),
            ("10.1.0", Some(Layout::Bits)),
            ("6.17.9", None),
            ("5.19", None),
            ("6", None),
            ("", None),
            ("linux-6.18", None),
        ] {
            assert_eq!(Layout::of_release(release), want, "{release}");
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_word_is_read_as_the_kernel_that_sent_it_lays_it_out() {
        // A reply of TCP over IPv4 with a whole tcp_info.
        let mut bytes = vec![0; 72];
        bytes[0] = 2;
        bytes.extend([28, 1, 2, 0]);
        bytes.extend([0; 276]);
        bytes.extend([0b1001_0110, 0, 2, 0]);
        let said = |release: &str, kind| {
            let catalog = Catalog::standard().of_release(release);
            let record = Record { origin: Origin { table: Table::Tcp, kind }, bytes: &bytes };
            let socket = Socket::decode(record).unwrap();
            let row = Row::bare(&socket);
            ["tcp.ecn_mode", "tcp.accecn_opt_seen", "tcp.accecn_fail_mode", "tcp.options2"].map(|name| {
                match (catalog.field(name).unwrap().get)(&row) {
                    None => None,
                    Some(Value::U64(number)) => Some(number),
                    Some(other) => panic!("{other:?}"),
                }
            })
        };
        use SourceKind::{Event, Kernel, Recording};
        let (numbers, bits) = ([None, Some(2), Some(0x96), None], [Some(2), Some(1), Some(9), Some(0x200)]);
        for kind in [Kernel, Event] {
            assert_eq!(said("6.18.44", kind), numbers);
            assert_eq!(said("7.3", kind), bits);
            assert_eq!(said("unknown", kind), [None; 4]);
        }
        assert_eq!(said("7.3", Recording), [None; 4]);
    }
}
