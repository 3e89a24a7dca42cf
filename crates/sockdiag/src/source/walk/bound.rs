//! The program that walks the kernel's hash table of bound ports, for the sockets
//! that are bound and neither listen nor connect.
//!
//! A bucket is a list of ports and addresses, each of which has a list of the
//! sockets that are bound to it, connected ones too.  Entries of both lists are put
//! in at the beginning, and know where the pointer to them lies.  What says which
//! port an entry is of may be used again for another one at once, and so may a
//! socket; a list has no end that would tell it from another.  Invariant: an entry
//! counts only if, after its pointer to the next one was read, it says that the
//! pointer to it lies in the entry that it was reached from.
//!
//! Else the bucket is begun again, and so it is if a step ended amid a list that
//! has changed when the next one goes on.  What was left behind of it stays, so the
//! same socket may be met twice; its address, which is part of the record, tells.
//!
//! Source: the kernel's BTF.

#![allow(clippy::cast_possible_wrap, reason = "kernel structures are small; each cast is meant")]

use sockdiag_wire::bpf::Reg::{R0, R1, R2, R3};
use sockdiag_wire::bpf::{AssembleError, Assembler, Cond, Insn, Width};
use sockdiag_wire::socket::TCP_CLOSE;

use super::kernel::Members;
use super::pieces::{HEADER, POINTER, Pieces, Recipe, SOCK, at, fence, header};

/// The program, which writes to the value of this map, where there is room for so
/// many records.
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

    // A step goes on where the last one ended, also amid a list.
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

/// Goes on with the entry in [`SOCK`] if it is the one to come, and makes the one
/// behind it the one to come.
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
