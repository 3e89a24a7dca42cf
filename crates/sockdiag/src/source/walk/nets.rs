//! The program that lists the network namespaces and the table of established sockets that
//! each of them uses: most share one, but a namespace may have a table of its own
//! (`net.ipv4.tcp_child_ehash_entries`).
//!
//! Namespaces are in a ring, which also contains the list head; the reader of the result
//! ignores it, since it knows the inodes of the real namespaces.  The ring is followed
//! within an RCU section, in which no namespace is freed.
//!
//! Source: the kernel's BTF.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel structures are small; each cast is meant"
)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sockdiag_wire::bpf::Reg::{R1, R2, R3};
use sockdiag_wire::bpf::{Alu, AssembleError, Assembler, Cond, Insn, Width};

use super::kernel::Members;
use super::pieces::{HEADER, POINTER, Pieces, RECORD, Recipe, SOCK, at, header, step};

/// The size of an entry, in bytes: inode, tables and address.
pub(super) const ENTRY: usize = 24;

/// A network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net {
    /// The number of its inode.
    pub inode: u64,
    /// The address of its tables.
    pub tables: u64,
    /// Its own address.
    pub address: u64,
}

impl Net {
    /// The entry in these words.
    pub(super) fn read(words: &[AtomicU64]) -> Option<Self> {
        let [inode, tables, address] = words else { return None };
        let [inode, tables, address] = [inode, tables, address].map(|word| word.load(Relaxed));
        Some(Self { inode, tables, address })
    }
}

/// The program.  It writes to the value of this map, which has room for `room` entries.
pub(super) fn program(members: &Members, map: i32, room: i32) -> Result<Vec<Insn>, AssembleError> {
    let mut assembler = Assembler::new();
    let a = &mut assembler;
    let recipe = Recipe::default();
    let p = Pieces::new(a, members, &recipe, room);
    let fits = a.label();
    p.find_tables(a, map);
    p.rounds(a);
    a.load_at(Width::U64, SOCK, HEADER, at(header::NODE));
    a.load_at(Width::U32, R2, HEADER, at(header::COUNT));
    a.jump_if(R2, Cond::Lt, room, fits);
    a.mov(POINTER, step::FULL as i32);
    a.jump(p.leave);
    a.bind(fits);
    a.alu(Alu::Mul, R2, ENTRY as i32);
    a.mov(RECORD, HEADER);
    a.add(RECORD, R2);
    a.add(RECORD, i32::from(at(header::LENGTH)));
    p.load(a, R3, SOCK, members.inode, Width::U32);
    a.store_at(Width::U64, RECORD, 0, R3);
    p.load(a, R3, SOCK, members.hashinfo, Width::U64);
    a.store_at(Width::U64, RECORD, 8, R3);
    a.store_at(Width::U64, RECORD, 16, SOCK);
    a.load_at(Width::U64, R1, HEADER, at(header::COUNT));
    a.add(R1, 1);
    a.store_at(Width::U64, HEADER, at(header::COUNT), R1);
    p.load(a, SOCK, SOCK, members.nets, Width::U64);
    a.add(SOCK, -(members.nets as i32));
    a.store_at(Width::U64, HEADER, at(header::NODE), SOCK);
    a.load_at(Width::U64, R1, HEADER, at(header::NET));
    a.jump_if(R1, Cond::Ne, SOCK, p.next);
    a.mov(POINTER, step::DONE as i32);
    a.jump(p.leave);

    a.bind(p.begin);
    a.load_at(Width::U64, R1, HEADER, at(header::NET));
    a.store_at(Width::U64, HEADER, at(header::NODE), R1);
    a.jump(p.next);

    a.bind(p.leave);
    p.end(a);
    Ok(assembler.finish()?.insns)
}
