//! Socket memory.
//!
//! Source: `SK_MEMINFO_*` (linux/sock_diag.h), `struct inet_diag_meminfo` (linux/inet_diag.h).
//! `ss` prints the older structure only if the kernel did not send the newer one, and prints
//! as much of the newer one as was received.

use sockdiag_wire::mem_info::SkMemInfo;

use super::endpoint::amount;
use super::{Field, Groups, Needs, Read, Style, Text, Unit, plain};
use crate::model::Row;
use crate::number::put_u64;

macro_rules! sk {
    ($method:ident) => {
        plain!(|r| amount(r.socket.sk_mem_info()?.$method()?))
    };
}

macro_rules! mem {
    ($method:ident) => {
        plain!(|r| amount(r.socket.attrs()?.mem_info()?.$method()?))
    };
}

const fn sk(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source)
        .gauge(Unit::Bytes)
        .needs(Needs::SKMEMINFO.union(Needs::UNIX_MEMINFO))
        .group(Groups::MEMORY)
}

const fn mem(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source).gauge(Unit::Bytes).needs(Needs::MEMINFO).group(Groups::MEMORY)
}

const SKMEM: Text = Text::PartOf("mem.rmem_alloc");
const MEM: Text = Text::PartOf("mem.old_rmem");

/// Fields of `-m` in every kind of message.
pub(super) const SK: &[Field] = &[
    sk("mem.rmem_alloc", sk!(rmem_alloc), "Memory of received data not yet read.", "SK_MEMINFO_RMEM_ALLOC")
        .tokens("r")
        .shape("skmem:(rN,rbN,tN,tbN,fN,wN,oN,blN,dN)")
        .text(Text::Custom(fmt_skmem)),
    sk("mem.rcvbuf", sk!(rcvbuf), "Receive buffer limit.", "SK_MEMINFO_RCVBUF")
        .tokens("rb")
        .level()
        .text(SKMEM),
    sk("mem.wmem_alloc", sk!(wmem_alloc), "Memory of data passed to lower layers.", "SK_MEMINFO_WMEM_ALLOC")
        .tokens("t")
        .text(SKMEM),
    sk("mem.sndbuf", sk!(sndbuf), "Send buffer limit.", "SK_MEMINFO_SNDBUF").tokens("tb").level().text(SKMEM),
    sk(
        "mem.fwd_alloc",
        sk!(fwd_alloc),
        "Memory reserved for the socket and not yet used.",
        "SK_MEMINFO_FWD_ALLOC",
    )
    .tokens("f")
    .text(SKMEM),
    sk(
        "mem.wmem_queued",
        sk!(wmem_queued),
        "Memory of data not yet sent or not yet acknowledged.",
        "SK_MEMINFO_WMEM_QUEUED",
    )
    .tokens("w")
    .text(SKMEM),
    sk("mem.optmem", sk!(optmem), "Memory of socket options and filters.", "SK_MEMINFO_OPTMEM")
        .tokens("o")
        .text(SKMEM),
    sk(
        "mem.backlog",
        sk!(backlog),
        "Memory of packets received while the socket was in use by a process.",
        "SK_MEMINFO_BACKLOG",
    )
    .tokens("bl")
    .text(SKMEM),
    DROPS.text(SKMEM),
];

/// Also for listeners, where it shows what a full queue rejected.
pub(super) const DROPS: Field = sk(
    "mem.drops",
    plain!(|r| r.socket.sk_mem_info()?.drops()),
    "Received packets that the socket dropped. A healthy TCP socket has some: segments that are duplicates or carry \
     nothing new. For a TCP listener: connections that overflowed the accept queue, but also segments of no use to \
     it, such as resets from clients.",
    "SK_MEMINFO_DROPS",
)
.tokens("d")
.counter(Unit::Packets);

/// The same fields for sockets whose memory `ss` prints inside another token.
pub(super) const SILENT: &[Field] = &{
    let mut rows = [SK[0], SK[1], SK[2], SK[3], SK[4], SK[5], SK[6], SK[7], SK[8]];
    let mut at = 0;
    while at < rows.len() {
        rows[at] = rows[at].text(Text::Silent);
        at += 1;
    }
    rows
};

/// Fields of `-m` for inet tables of kernels without the newer report.
pub(super) const OLD: &[Field] = &[
    mem(
        "mem.old_rmem",
        mem!(rmem),
        "Receive memory, from the older report (INET_DIAG_MEMINFO).",
        "idiag_rmem",
    )
    .tokens("r")
    .shape("mem:(rN,wN,fN,tN)")
    .text(Text::Custom(fmt_mem)),
    mem(
        "mem.old_wmem",
        mem!(wmem),
        "Queued send memory, from the older report (INET_DIAG_MEMINFO).",
        "idiag_wmem",
    )
    .tokens("w")
    .text(MEM),
    mem(
        "mem.old_fmem",
        mem!(fmem),
        "Reserved memory, from the older report (INET_DIAG_MEMINFO).",
        "idiag_fmem",
    )
    .tokens("f")
    .text(MEM),
    mem(
        "mem.old_tmem",
        mem!(tmem),
        "Memory of data passed to lower layers, from the older report (INET_DIAG_MEMINFO).",
        "idiag_tmem",
    )
    .tokens("t")
    .text(MEM),
];

/// Appends the newer report, if there is one.
pub(super) fn fmt_skmem(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(mem) = row.socket.sk_mem_info() else { return };
    put_skmem(out, mem);
}

fn put_skmem(out: &mut Vec<u8>, mem: SkMemInfo<'_>) {
    let mut put = |name: &[u8], word: Option<u32>| {
        out.extend_from_slice(name);
        put_u64(out, u64::from(word.unwrap_or(0)));
    };
    put(b" skmem:(r", mem.rmem_alloc());
    put(b",rb", mem.rcvbuf());
    put(b",t", mem.wmem_alloc());
    put(b",tb", mem.sndbuf());
    put(b",f", mem.fwd_alloc());
    put(b",w", mem.wmem_queued());
    put(b",o", mem.optmem());
    if mem.backlog().is_some() {
        put(b",bl", mem.backlog());
    }
    if mem.drops().is_some() {
        put(b",d", mem.drops());
    }
    out.push(b')');
}

fn fmt_mem(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(attrs) = row.socket.attrs().filter(|attrs| attrs.sk_mem_info().is_none()) else { return };
    let Some(mem) = attrs.mem_info() else { return };
    for (name, word) in
        [(&b" mem:(r"[..], mem.rmem()), (b",w", mem.wmem()), (b",f", mem.fmem()), (b",t", mem.tmem())]
    {
        out.extend_from_slice(name);
        put_u64(out, u64::from(word.unwrap_or(0)));
    }
    out.push(b')');
}
