//! The program that walks the kernel's hash tables of TCP sockets.
//!
//! bpf(2) runs it in steps.  A step continues where the last one ended, copies sockets into
//! memory shared with this process, and ends after a number of rounds or when that memory
//! is full.  Established sockets, TIME-WAIT sockets and requests are in one table,
//! listeners in another of the same form; the same program walks both.
//!
//! No lock is taken and no reference held.  Sockets are added to and removed from a bucket
//! while it is read, and their memory may be reused at once, but within an RCU section it
//! remains socket memory.  Invariant: a step leaves only whole buckets, and for each bucket
//! - the list ended with the bucket's own number, so no socket on the way had moved to
//!   another bucket;
//! - the first two entries are the same at the end as at the beginning, so no socket was
//!   added meanwhile: new ones are added at the front;
//! - no entry led back to the first, as a socket does that was removed and added again;
//! - after each socket was copied, it still had the addresses, ports, hash, state,
//!   namespace and cookie of the copy.
//!
//! Otherwise the bucket is read again.
//!
//! Loops use `bpf_iter_num` (Linux 6.4) and memory is read through `bpf_rdonly_cast` (Linux
//! 6.2); both are kfuncs.
//!
//! Source: Documentation/bpf/kfuncs.rst, Documentation/RCU/rculist_nulls.rst, and
//! the kernel's BTF.

#![allow(clippy::cast_possible_wrap, reason = "kernel structures are small; each cast is meant")]

use sockdiag_wire::bpf::Reg::{R1, R2, R3};
use sockdiag_wire::bpf::{Alu, AssembleError, Assembler, Cond, Insn, Width};

use super::fetch;
use super::kernel::Members;
use super::members::Kind;
use super::pieces::{HEADER, Pieces, Recipe, SOCK, at, fence, header};

/// The number that ends the list of the first bucket of listeners.
const LISTENING: i32 = 1 << 29;

/// Additional work of a program that walks.
pub(super) trait Beside {
    /// How many entries of each list are prefetched.
    const DEPTH: usize;

    /// The offsets, in bytes, of words that are read from every socket.
    fn words(&self, p: &Pieces<'_>) -> Vec<u32>;

    /// Emits code for the beginning of a bucket.
    fn begins(&self, p: &Pieces<'_>, a: &mut Assembler);

    /// Emits code for a socket that will be recorded; its kind is in
    /// [`POINTER`](super::pieces::POINTER).
    fn chosen(&self, p: &Pieces<'_>, a: &mut Assembler);

    /// Emits code for a complete record of this kind, before it counts.
    fn recorded(&self, p: &Pieces<'_>, a: &mut Assembler, kind: Kind);

    /// Emits code for the end of a bucket; its records are those from `START` to `COUNT`.
    fn ends(&self, p: &Pieces<'_>, a: &mut Assembler);
}

/// No additional work.
struct Nothing;

impl Beside for Nothing {
    // With a million sockets, a bucket has about four.
    const DEPTH: usize = 4;

    fn words(&self, p: &Pieces<'_>) -> Vec<u32> {
        p.own_words().map(|(from, _)| from).collect()
    }

    fn begins(&self, _: &Pieces<'_>, _: &mut Assembler) {}

    fn chosen(&self, _: &Pieces<'_>, _: &mut Assembler) {}

    fn recorded(&self, _: &Pieces<'_>, _: &mut Assembler, _: Kind) {}

    fn ends(&self, _: &Pieces<'_>, _: &mut Assembler) {}
}

/// The program.  It writes to the value of this map, which has room for `room` records.
pub(super) fn program(
    members: &Members,
    recipe: &Recipe,
    map: i32,
    room: i32,
) -> Result<Vec<Insn>, AssembleError> {
    program_with(members, recipe, map, room, &Nothing)
}

/// The same program with additional work.
pub(super) fn program_with<B: Beside>(
    members: &Members,
    recipe: &Recipe,
    map: i32,
    room: i32,
    beside: &B,
) -> Result<Vec<Insn>, AssembleError> {
    let mut assembler = Assembler::new();
    let a = &mut assembler;
    let p = Pieces::new(a, members, recipe, room);
    let [listeners, found, end, empty] = [(); 4].map(|()| a.label());
    p.find_tables(a, map);
    a.load_at(Width::U64, R1, HEADER, at(header::LISTENERS));
    a.jump_if(R1, Cond::Ne, 0, listeners);
    p.table(a, (members.ehash, 0), (members.ehash_mask, 1), 8);
    a.store_at(Width::U64, HEADER, at(header::NULLS), 0);
    a.jump(found);
    a.bind(listeners);
    let heads = (members.lhash2, members.nulls_head);
    p.table(a, heads, (members.lhash2_mask, 1), members.listen_bucket);
    a.store_at(Width::U64, HEADER, at(header::NULLS), LISTENING);
    a.bind(found);

    p.rounds(a);
    a.load_at(Width::U64, SOCK, HEADER, at(header::NODE));
    a.jump_if(SOCK, Cond::Set, 1, end);
    p.load(a, R3, SOCK, 0, Width::U64);
    a.store_at(Width::U64, HEADER, at(header::NODE), R3);
    a.load_at(Width::U64, R1, HEADER, at(header::HEAD));
    a.jump_if(R1, Cond::Eq, R3, p.again);
    a.add(SOCK, -(members.nulls_node as i32));
    p.choose(a);
    beside.chosen(&p, a);
    p.record(a, &|p, a, kind| beside.recorded(p, a, kind));

    a.bind(end);
    a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
    a.load_at(Width::U64, R2, HEADER, at(header::NULLS));
    a.add(R2, R1);
    a.alu(Alu::Lsh, R2, 1);
    a.alu(Alu::Or, R2, 1);
    a.jump_if(SOCK, Cond::Ne, R2, p.again);
    fence(a);
    Pieces::bucket(a);
    p.load(a, R1, R1, 0, Width::U64);
    a.load_at(Width::U64, SOCK, HEADER, at(header::HEAD));
    a.jump_if(R1, Cond::Ne, SOCK, p.again);
    a.jump_if(SOCK, Cond::Set, 1, empty);
    p.load(a, R1, SOCK, 0, Width::U64);
    a.load_at(Width::U64, R2, HEADER, at(header::SECOND));
    a.jump_if(R1, Cond::Ne, R2, p.again);
    a.bind(empty);
    beside.ends(&p, a);
    a.load_at(Width::U64, R1, HEADER, at(header::COUNT));
    a.store_at(Width::U64, HEADER, at(header::START), R1);
    p.next_bucket(a);

    a.bind(p.begin);
    fetch::sockets(&p, a, B::DEPTH, beside.words(&p));
    a.load_at(Width::U64, R1, HEADER, at(header::START));
    a.store_at(Width::U64, HEADER, at(header::COUNT), R1);
    beside.begins(&p, a);
    Pieces::bucket(a);
    p.load(a, R1, R1, 0, Width::U64);
    a.store_at(Width::U64, HEADER, at(header::HEAD), R1);
    a.store_at(Width::U64, HEADER, at(header::NODE), R1);
    a.jump_if(R1, Cond::Set, 1, p.next);
    p.load(a, R3, R1, 0, Width::U64);
    a.store_at(Width::U64, HEADER, at(header::SECOND), R3);
    a.jump(p.next);

    a.bind(p.again);
    Pieces::count_again(a);
    a.jump(p.begin);

    // Records of a bucket that will be read again do not count.
    a.bind(p.leave);
    a.load_at(Width::U64, R1, HEADER, at(header::START));
    a.store_at(Width::U64, HEADER, at(header::COUNT), R1);
    p.end(a);
    Ok(assembler.finish()?.insns)
}

#[cfg(test)]
pub(super) mod tests;
