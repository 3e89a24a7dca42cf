//! Fetching what the next buckets lead to, before it is needed.
//!
//! A walk waits for memory: the next socket of a list is known only when the one
//! before it has come, and nearly none of them is in a cache.  So before a group of
//! buckets is read, the first entries of all its lists are looked at one after the
//! other: what they wait for comes at the same time.
//!
//! What ends a list is loaded from the header.  Were it a constant, the verifier would
//! look at every combination of lists that end and lists that do not.
//!
//! Nothing that is read here counts: entries may be gone by the time they are walked.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel structures are small; each cast is meant"
)]

use sockdiag_wire::bpf::Reg::{R1, R3};
use sockdiag_wire::bpf::{Assembler, Cond, Width};

use super::pieces::{HEADER, Pieces, ROUND, SOCK, STACK, at, header};

/// Buckets of a group; tables have a multiple of it, or they are small.
const LANES: i32 = 8;
/// Lines of a cache that are fetched of a socket at most.
const LINES: usize = 12;
/// Bytes of such a line.
const LINE: u32 = 64;

/// Where the entry of a list is kept.
const fn slot(lane: i32) -> i16 {
    ROUND - 8 * (lane + 1) as i16
}

/// Fetches these words of the first sockets of a group of buckets, where one begins: of
/// so many of each bucket.
pub(super) fn sockets(p: &Pieces<'_>, a: &mut Assembler, depth: usize, words: Vec<u32>) {
    let node = p.members.nulls_node;
    let mut lines: Vec<u32> = words.into_iter().map(|word| word / LINE * LINE).collect();
    lines.dedup();
    // The link itself fetches its own.
    lines.retain(|line| *line != node / LINE * LINE);
    lines.truncate(LINES);
    let not_now = a.label();
    a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
    a.jump_if(R1, Cond::Set, LANES - 1, not_now);
    a.add(R1, LANES);
    a.load_at(Width::U64, R3, HEADER, at(header::BUCKETS));
    a.jump_if(R1, Cond::Gt, R3, not_now);
    Pieces::bucket(a);
    a.mov(SOCK, R1);
    for lane in 0..LANES {
        p.load(a, R3, SOCK, 0, Width::U64);
        a.store_at(Width::U64, STACK, slot(lane), R3);
        a.load_at(Width::U64, R1, HEADER, at(header::STRIDE));
        a.add(SOCK, R1);
    }
    for _ in 0..depth {
        for lane in 0..LANES {
            let end = a.label();
            a.load_at(Width::U64, SOCK, STACK, slot(lane));
            a.load_at(Width::U64, R3, HEADER, at(header::ONE));
            a.store_at(Width::U64, STACK, slot(lane), R3);
            a.jump_if(SOCK, Cond::Set, 1, end);
            p.load(a, R3, SOCK, 0, Width::U64);
            a.store_at(Width::U64, STACK, slot(lane), R3);
            a.add(SOCK, -(node as i32));
            for line in &lines {
                p.load(a, R3, SOCK, *line, Width::U64);
            }
            a.bind(end);
        }
    }
    a.bind(not_now);
}
