//! The program that walks the kernel's hash table of bound ports, to find sockets that are
//! bound but neither listen nor connect.
//!
//! A bucket is a list of ports and addresses, each with a list of the sockets bound to it,
//! connected ones too.  New entries go to the front of both lists, and each entry holds the
//! address of the pointer to it (`pprev`).  A port entry may be reused for another port at
//! once, and so may a socket; and the end of a list does not show which list it is.
//! Invariant: an entry counts only if, after its next pointer was read, its back pointer
//! still leads to the entry that it was reached from.
//!
//! Otherwise the bucket is read again, and also if a step ended within a list that has
//! changed before the next step.  Records written before stay, so the same socket may be
//! recorded twice; its address, which is part of the record, shows that.
//!
//! Source: the kernel's BTF.

#![allow(clippy::cast_possible_wrap, reason = "kernel structures are small; each cast is meant")]

use sockdiag_wire::bpf::Reg::{R0, R1, R2, R3};
use sockdiag_wire::bpf::{AssembleError, Assembler, Cond, Insn, Width};
use sockdiag_wire::socket::TCP_CLOSE;

use super::kernel::Members;
use super::pieces::{HEADER, POINTER, Pieces, Recipe, SOCK, at, fence, header};

/// The program.  It writes to the value of this map, which has room for `room` records.
pub(super) fn program(
    members: &Members,
    recipe: &Recipe,
    map: i32,
    room: i32,
) -> Result<Vec<Insn>, AssembleError> {
    let mut assembler = Assembler::new();
    let a = &mut assembler;
    let p = Pieces::new(a, members, recipe, room);
    let (fresh, port, end) = (a.label(), a.label(), a.label());
    p.find_tables(a, map);
    p.table(a, (members.bhash2, members.bind_chain), (members.bhash_size, 0), members.bind_bucket);
    p.rounds(a);

    // The next socket of a port.
    a.load_at(Width::U64, SOCK, HEADER, at(header::NODE));
    a.jump_if(SOCK, Cond::Eq, 0, port);
    entry(&p, a, header::NODE, header::BEFORE);
    a.add(SOCK, -(members.owner_node as i32));
    p.load(a, R3, SOCK, members.state, Width::U8);
    a.jump_if(R3, Cond::Ne, i32::from(TCP_CLOSE), p.next);
    p.load(a, R3, SOCK, members.number, Width::U16);
    a.jump_if(R3, Cond::Eq, 0, p.next);
    p.choose(a);
    p.record(a, &|_, _, _| {});

    // The next port of the bucket.
    a.bind(port);
    a.load_at(Width::U64, SOCK, HEADER, at(header::PORT));
    a.jump_if(SOCK, Cond::Eq, 0, end);
    entry(&p, a, header::PORT, header::PORT_BEFORE);
    a.add(SOCK, -(members.bind_node as i32));
    let every = a.label();
    a.load_at(Width::U64, POINTER, HEADER, at(header::NET));
    a.jump_if(POINTER, Cond::Eq, 0, every);
    p.load(a, R3, SOCK, members.bind_net, Width::U64);
    a.jump_if(R3, Cond::Ne, POINTER, p.next);
    a.bind(every);
    p.load(a, R3, SOCK, members.bind_owners, Width::U64);
    a.store_at(Width::U64, HEADER, at(header::NODE), R3);
    a.add(SOCK, members.bind_owners as i32);
    a.store_at(Width::U64, HEADER, at(header::BEFORE), SOCK);
    a.jump(p.next);

    a.bind(end);
    p.next_bucket(a);
    a.jump(fresh);

    // A step continues where the last one ended, even within a list.
    a.bind(p.begin);
    a.load_at(Width::U64, R1, HEADER, at(header::PORT_BEFORE));
    a.jump_if(R1, Cond::Ne, 0, p.next);
    a.bind(fresh);
    Pieces::bucket(a);
    a.store_at(Width::U64, HEADER, at(header::PORT_BEFORE), R1);
    p.load(a, R3, R1, 0, Width::U64);
    a.store_at(Width::U64, HEADER, at(header::PORT), R3);
    a.store_at(Width::U64, HEADER, at(header::NODE), 0);
    a.jump(p.next);

    a.bind(p.again);
    Pieces::count_again(a);
    a.jump(fresh);

    a.bind(p.leave);
    p.end(a);
    Ok(assembler.finish()?.insns)
}

/// Continues with the entry in [`SOCK`] if it is the expected one, and expects the entry
/// after it next.
fn entry(p: &Pieces<'_>, a: &mut Assembler, next: usize, before: usize) {
    p.point(a, SOCK, 0);
    a.load_at(Width::U64, R3, R0, 0);
    fence(a);
    a.load_at(Width::U64, R2, R0, 8);
    a.load_at(Width::U64, R1, HEADER, at(before));
    a.jump_if(R1, Cond::Ne, R2, p.again);
    a.store_at(Width::U64, HEADER, at(next), R3);
    a.store_at(Width::U64, HEADER, at(before), SOCK);
}
