//! How `ss` prints the fields of packet sockets.

use sockdiag_wire::packet_diag::{PACKET_FANOUT_QM, PacketInfo, PacketRing};

use super::{FANOUTS, FLAGS, packet};
use crate::fields::Style;
use crate::model::packet::PacketSocket;
use crate::model::{Row, words};
use crate::number::{put_hex, put_signed, put_u64};

/// Appends what precedes each part: a line break, or a blank with `-O`.
fn put_lead(out: &mut Vec<u8>, style: Style) {
    out.extend_from_slice(if style.oneline { b" " } else { b"\n\t" });
}

fn put_named(out: &mut Vec<u8>, name: &[u8], word: Option<u32>) {
    out.extend_from_slice(name);
    put_signed(out, word.unwrap_or(0));
}

pub(super) fn fmt_info(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(info) = packet(row).and_then(PacketSocket::info) else { return };
    put_lead(out, style);
    put_named(out, b"ver:", info.version());
    put_named(out, b" cpy_thresh:", info.copy_thresh());
    out.extend_from_slice(b" flags( ");
    put_flags(out, info);
    out.extend_from_slice(b" )");
}

/// `running` has no blank before it; every other flag has one, even if it is printed first.
fn put_flags(out: &mut Vec<u8>, info: PacketInfo<'_>) {
    let flags = info.flags().unwrap_or(0);
    for (at, word) in FLAGS.iter().enumerate().filter(|(_, word)| flags & word.number.unwrap_or(0) != 0) {
        out.extend_from_slice(if at == 0 { b"" } else { b" " });
        out.extend_from_slice(word.name().as_bytes());
    }
    if flags == 0 {
        out.push(b'0');
    }
}

pub(super) fn put_ring(out: &mut Vec<u8>, name: &[u8], ring: Option<PacketRing<'_>>, style: Style) {
    let Some(ring) = ring else { return };
    put_lead(out, style);
    out.extend_from_slice(name);
    put_named(out, b"(blk_size:", ring.block_size());
    put_named(out, b",blk_nr:", ring.block_nr());
    put_named(out, b",frm_size:", ring.frame_size());
    put_named(out, b",frm_nr:", ring.frame_nr());
    put_named(out, b",tmo:", ring.retire_tmo_ms());
    out.extend_from_slice(b",features:0x");
    put_hex(out, ring.features().unwrap_or(0).into());
    out.push(b')');
}

pub(super) fn fmt_fanout(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some((id, kind)) = packet(row).and_then(|packet| packet.fanout_id().zip(packet.fanout_type())) else {
        return;
    };
    put_lead(out, style);
    put_named(out, b"fanout(id:", Some(id.into()));
    out.extend_from_slice(b",type:");
    if let Some(name) = fanout_name(kind) {
        out.extend_from_slice(name.as_bytes());
    } else {
        out.extend_from_slice(b"0x");
        put_hex(out, kind.into());
    }
    out.push(b')');
}

/// The name that `ss` has for a way to distribute packets; `None` for newer ones, and for any
/// with a flag.
fn fanout_name(kind: u16) -> Option<&'static str> {
    let word = words::by_number(FANOUTS, kind.into()).filter(|_| kind <= PACKET_FANOUT_QM)?;
    Some(word.name())
}

pub(super) fn fmt_filter(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(program) = packet(row).and_then(PacketSocket::filter) else { return };
    put_lead(out, style);
    out.extend_from_slice(b"bpf filter (");
    put_u64(out, program.len() as u64);
    out.extend_from_slice(b"): ");
    for instruction in program.instructions() {
        let code = instruction.code().unwrap_or(0);
        out.extend_from_slice(if code < 16 { b" 0x0" } else { b" 0x" });
        put_hex(out, code.into());
        let (jt, jf) = (instruction.jt().unwrap_or(0), instruction.jf().unwrap_or(0));
        for operand in [jt.into(), jf.into(), instruction.k().unwrap_or(0)] {
            out.push(b' ');
            put_u64(out, operand.into());
        }
        out.push(b',');
    }
}
