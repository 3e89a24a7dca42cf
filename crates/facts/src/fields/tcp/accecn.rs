//! The data about accurate ECN in the last word of `tcp_info`.
//!
//! Linux 6.18 and 6.19 send two 16-bit numbers there, 7.0 and later send bit-fields, and the
//! struct does not tell which.  The [`Abi`] of the sending kernel does; if the kernel is
//! unknown, as for a recording, these fields are absent.
//!
//! Source: `struct tcp_info` (linux/tcp.h) of Linux 6.18 and 7.3.

use super::{Field, tcp};
use crate::fields::{Word, plain};
use crate::model::{Abi, Row, SourceKind};
use sockdiag_wire::tcp_info::{
    TCP_ACCECN_OPT_COUNTER_SEEN, TCP_ACCECN_OPT_EMPTY_SEEN, TCP_ACCECN_OPT_FAIL_SEEN,
    TCP_ACCECN_OPT_NOT_SEEN, TCPI_ECN_MODE_ACCECN, TCPI_ECN_MODE_DISABLED, TCPI_ECN_MODE_PENDING,
    TCPI_ECN_MODE_RFC3168, TcpInfo,
};

/// The last word in the layout of the sending kernel.
enum Sent<'r> {
    /// Two 16-bit numbers.
    Numbers(TcpInfo<'r>),
    /// Bit-fields.
    Bits(TcpInfo<'r>),
}

fn sent<'r>(row: &Row<'r>) -> Option<Sent<'r>> {
    let origin = row.socket.origin;
    match (origin.kind, origin.abi) {
        (SourceKind::Recording | SourceKind::Proc, _) | (_, Abi::Unknown) => None,
        (_, Abi::Linux6_18) => row.socket.tcp_info().map(Sent::Numbers),
        (_, Abi::Linux7) => row.socket.tcp_info().map(Sent::Bits),
    }
}

const ECN_MODES: &[Word] = &[
    Word::new(TCPI_ECN_MODE_DISABLED as u32, "disabled|off"),
    Word::new(TCPI_ECN_MODE_RFC3168 as u32, "rfc3168"),
    Word::new(TCPI_ECN_MODE_ACCECN as u32, "accecn|accurate"),
    Word::new(TCPI_ECN_MODE_PENDING as u32, "pending"),
];

const OPTIONS_SEEN: &[Word] = &[
    Word::new(TCP_ACCECN_OPT_NOT_SEEN as u32, "not-seen"),
    Word::new(TCP_ACCECN_OPT_EMPTY_SEEN as u32, "empty"),
    Word::new(TCP_ACCECN_OPT_COUNTER_SEEN as u32, "counter"),
    Word::new(TCP_ACCECN_OPT_FAIL_SEEN as u32, "fail"),
];

/// `TCP_ACCECN_ACE_FAIL_*` and `TCP_ACCECN_OPT_FAIL_*` (linux/tcp.h).
const FAILURES: &[Word] = &[
    Word::new(1, "ace-fail-send"),
    Word::new(2, "ace-fail-recv"),
    Word::new(4, "opt-fail-send"),
    Word::new(8, "opt-fail-recv"),
];

pub(in crate::fields) const ACCECN: &[Field] = &[
    tcp(
        "tcp.ecn_mode",
        plain!(|r| match sent(r)? {
            Sent::Numbers(_) => None,
            Sent::Bits(info) => info.ecn_mode(),
        }),
        "ECN mode; since Linux 7.0.",
        "tcpi_ecn_mode",
    )
    .words(ECN_MODES)
    .state(),
    tcp(
        "tcp.accecn_opt_seen",
        plain!(|r| match sent(r)? {
            Sent::Numbers(info) => info.accecn_opt_seen_6_18().map(u32::from),
            Sent::Bits(info) => info.accecn_opt_seen(),
        }),
        "State of the accurate ECN option received; since Linux 6.18, absent in recordings.",
        "tcpi_accecn_opt_seen",
    )
    .words(OPTIONS_SEEN)
    .state(),
    tcp(
        "tcp.accecn_fail_mode",
        plain!(|r| match sent(r)? {
            Sent::Numbers(info) => info.accecn_fail_mode_6_18().map(u32::from),
            Sent::Bits(info) => info.accecn_fail_mode(),
        }),
        "How accurate ECN failed: when sending or receiving its counter (ACE) or its option; since Linux 6.18, \
         absent in recordings.",
        "tcpi_accecn_fail_mode",
    )
    .flags(FAILURES)
    .state(),
    tcp(
        "tcp.options2",
        plain!(|r| match sent(r)? {
            Sent::Numbers(_) => None,
            Sent::Bits(info) => info.options2(),
        }),
        "Further TCP options, one bit each; none has a name yet.",
        "tcpi_options2",
    )
    .flags(&[]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Catalog, Value};
    use crate::model::{Origin, Record, Socket, Table};

    #[cfg(target_endian = "little")]
    #[test]
    fn the_word_is_read_as_the_kernel_that_sent_it_lays_it_out() {
        // A reply for TCP over IPv4 with a complete tcp_info.
        let mut bytes = vec![0; 72];
        bytes[0] = 2;
        bytes.extend([28, 1, 2, 0]);
        bytes.extend([0; 276]);
        bytes.extend([0b1001_0110, 0, 2, 0]);
        let said = |release: &str, kind| {
            let catalog = Catalog::shared();
            let record = Record {
                origin: Origin { abi: Abi::of_release(release), ..Origin::of(Table::Tcp, kind) },
                bytes: &bytes,
            };
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
