//! Prefetches the sockets of the next buckets.
//!
//! A walk waits for memory: the next socket of a list is known only once the one before it
//! is loaded, and hardly any is in a cache.  So before a group of buckets is read, the
//! first entries of all its lists are touched in turn: the cache misses overlap.
//!
//! The marker for the end of a list is loaded from the header.  If it were a constant, the
//! verifier would explore every combination of lists that end and lists that do not.
//!
//! The values read here are not used: entries may be freed before they are walked.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel structures are small; each cast is meant"
)]

use sockdiag_wire::bpf::Reg::{R1, R3};
use sockdiag_wire::bpf::{Assembler, Cond, Width};

use super::pieces::{HEADER, Pieces, ROUND, SOCK, STACK, at, header};

/// Buckets in a group; large tables have a multiple of this number.
const LANES: i32 = 8;
/// How many cache lines of a socket are fetched at most.
const LINES: usize = 12;
/// The size of a cache line, in bytes.
const LINE: u32 = 64;

/// The stack slot with the current entry of a list.
const fn slot(lane: i32) -> i16 {
    ROUND - 8 * (lane + 1) as i16
}

/// Fetches these words of the first `depth` sockets of each bucket, if a group of buckets
/// begins here.
pub(super) fn sockets(p: &Pieces<'_>, a: &mut Assembler, depth: usize, words: Vec<u32>) {
    let node = p.members.nulls_node;
    let mut lines: Vec<u32> = words.into_iter().map(|word| word / LINE * LINE).collect();
    lines.dedup();
    // Reading the link fetches its own line.
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
