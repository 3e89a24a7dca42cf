//! Skips buckets that have not changed since they were last read.
//!
//! The program computes a fingerprint of each bucket, from the words that hold the watched
//! values of its sockets, their addresses in the kernel's memory, and their order. So the
//! test follows from what is read: a bucket with the same fingerprint has the same sockets
//! with the same values; none was added or removed.  A bucket with another fingerprint is
//! read again, and its records are written.
//!
//! A bucket always counts as changed while it has a socket whose words do not hold
//! everything that is reported ([`RESTLESS`]), one in TIME-WAIT, or a request.
//!
//! Fingerprints are mixed with random numbers, chosen when the program is made, so that
//! nobody can provoke equal fingerprints.
//!
//! Invariant: the stored fingerprint of a bucket is that of the records last written for
//! it.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "records are short, and tables have less than 2^28 buckets; each cast is meant"
)]

use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sockdiag_wire::bpf::Reg::{R0, R1, R2, R3, R4, R5};
use sockdiag_wire::bpf::{Alu, Assembler, Cond, Reg, Width};

use super::hash::{Beside, program_with};
use super::load::{self, Asked, MOST_ROUNDS, ROUNDS, Refused, Shared, USUAL, Walk, loaded, record_of};
use super::members::{Kind, LONG, Member, RESTLESS};
use super::pieces::{Group, HEADER, POINTER, Pieces, RECORD, Recipe, SOCK, at, header, step};
use super::record::{Layout, Record};
use crate::model::Window;
use crate::sys::clock;

/// Kinds of records that mark a bucket: one that changed and is now empty, and, if all
/// buckets are reported, one that did not change (after its records).
mod mark {
    pub(super) const EMPTY: u8 = 8;
    pub(super) const SAME: u8 = 9;
}

/// No table has more buckets.
const MOST_BUCKETS: u64 = 1 << 24;

/// An unpredictable number.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// The words that fingerprints are computed from: words of full sockets that records have
/// too.
#[derive(Clone, Debug, Default)]
struct Words {
    /// The words as in records, grouped by the pointers that lead to them.
    groups: Vec<Group>,
    /// Bits that are zero while a socket is at rest: the offset of their word in a record,
    /// the first bit, and the number of bits.
    restless: Vec<(u16, u8, u8)>,
}

impl Words {
    /// The words that hold these members, and those that identify a socket.
    fn of(layout: &Layout, identity: &[u32], recipe: &Recipe, members: &[Member]) -> Self {
        let kind = Kind::Full;
        let mut places: Vec<u16> = Vec::new();
        for member in members {
            let Some((word, ..)) = layout.bits(kind, *member) else { continue };
            places.extend(if LONG.contains(member) { vec![word, word + 8] } else { vec![word] });
        }
        let all = recipe.groups.first().map_or(&[][..], Vec::as_slice);
        let groups = all.iter().map(|group| {
            let is_own = group.through.is_empty();
            let is_in = |(from, to): &&(u32, u16)| places.contains(to) || is_own && identity.contains(from);
            Group {
                through: group.through.clone(),
                words: group.words.iter().filter(is_in).copied().collect(),
            }
        });
        let groups = groups.filter(|group| !group.words.is_empty()).collect();
        let restless = RESTLESS.into_iter().filter(|member| members.contains(member));
        let restless = restless.filter_map(|member| layout.bits(kind, member));
        Self { groups, restless: restless.collect() }
    }
}

/// The additional part of the program.
struct Prints {
    words: Words,
    /// The offset of the fingerprints in the shared memory, in bytes.
    begin: i32,
    /// The number of fingerprints.
    buckets: i32,
    /// An odd factor for each mixing step.
    factor: u64,
}

/// The fingerprint that is being computed.
const PRINT: Reg = RECORD;

impl Prints {
    /// Mixes a number into a fingerprint; different numbers always give different results.
    fn mix(&self, a: &mut Assembler, print: Reg, number: Reg) {
        a.alu(Alu::Xor, print, number);
        // Multiplication moves information to the high bits; the swap brings it back down.
        a.swap(print);
        a.long(R4, self.factor);
        a.alu(Alu::Mul, print, R4);
    }

    /// Mixes the word in R3 into a fingerprint; `word` is its offset in a record.  Changes
    /// R1, R4 and R5.
    fn take(&self, a: &mut Assembler, print: Reg, word: u16) {
        for (_, shift, count) in self.words.restless.iter().filter(|(of, ..)| *of == word) {
            a.mov(R5, R3);
            a.alu(Alu::Rsh, R5, i32::from(*shift));
            a.alu(Alu::Lsh, R5, 64 - i32::from(*count));
            a.load_at(Width::U64, R1, HEADER, at(header::FRESH));
            a.alu(Alu::Or, R1, R5);
            a.store_at(Width::U64, HEADER, at(header::FRESH), R1);
        }
        self.mix(a, print, R3);
    }

    /// Mixes in the words of a group, read from the kernel's memory.
    fn read(&self, p: &Pieces<'_>, a: &mut Assembler, group: &Group) {
        let (null, read) = (a.label(), a.label());
        let base = p.follow(a, &group.through, null);
        let mut before = None;
        for (from, to) in &group.words {
            // A cast pointer covers two words.
            let is_second = before.is_some_and(|before| before + 8 == *from);
            if !is_second {
                p.point(a, base, *from);
            }
            before = (!is_second).then_some(*from);
            a.load_at(Width::U64, R3, R0, if is_second { 8 } else { 0 });
            self.take(a, PRINT, *to);
        }
        if !group.through.is_empty() {
            a.jump(read);
            a.bind(null);
            a.mov(R3, 0);
            group.words.iter().for_each(|_| self.mix(a, PRINT, R3));
        }
        a.bind(read);
    }
}

impl Beside for Prints {
    const DEPTH: usize = 4;

    fn words(&self, _: &Pieces<'_>) -> Vec<u32> {
        let own = self.words.groups.iter().filter(|group| group.through.is_empty());
        own.flat_map(|group| group.words.iter().map(|(from, _)| *from)).collect()
    }

    fn begins(&self, _: &Pieces<'_>, a: &mut Assembler) {
        a.load_at(Width::U64, R1, HEADER, at(header::SEED));
        a.store_at(Width::U64, HEADER, at(header::PRINT), R1);
        a.store_at(Width::U64, HEADER, at(header::FRESH), 0);
    }

    fn chosen(&self, p: &Pieces<'_>, a: &mut Assembler) {
        let (writes, full) = (a.label(), a.label());
        a.load_at(Width::U64, R1, HEADER, at(header::WRITES));
        a.jump_if(R1, Cond::Ne, 0, writes);
        a.jump_if(POINTER, Cond::Eq, Kind::Full as i32, full);
        a.store_at(Width::U64, HEADER, at(header::FRESH), 1);
        a.jump(p.next);
        a.bind(full);
        a.load_at(Width::U64, PRINT, HEADER, at(header::PRINT));
        self.mix(a, PRINT, SOCK);
        for group in &self.words.groups {
            self.read(p, a, group);
        }
        a.store_at(Width::U64, HEADER, at(header::PRINT), PRINT);
        a.jump(p.next);
        a.bind(writes);
    }

    fn recorded(&self, _: &Pieces<'_>, a: &mut Assembler, kind: Kind) {
        if kind != Kind::Full {
            a.store_at(Width::U64, HEADER, at(header::FRESH), 1);
            return;
        }
        a.load_at(Width::U64, R2, HEADER, at(header::PRINT));
        self.mix(a, R2, SOCK);
        for (_, to) in self.words.groups.iter().flat_map(|group| &group.words) {
            a.load_at(Width::U64, R3, RECORD, *to as i16);
            self.take(a, R2, *to);
        }
        a.store_at(Width::U64, HEADER, at(header::PRINT), R2);
    }

    fn ends(&self, p: &Pieces<'_>, a: &mut Assembler) {
        let [known, changed, wrote, sockets, marked, fits, kept, done] = [(); 8].map(|()| a.label());
        a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
        a.jump_if(R1, Cond::Lt, self.buckets, known);
        a.mov(POINTER, step::NOTHING as i32);
        a.jump(p.leave);
        a.bind(known);
        a.alu(Alu::Lsh, R1, 3);
        a.mov(POINTER, HEADER);
        a.add(POINTER, R1);
        a.add(POINTER, self.begin);
        a.load_at(Width::U64, R3, HEADER, at(header::PRINT));
        a.load_at(Width::U64, R1, HEADER, at(header::WRITES));
        a.jump_if(R1, Cond::Ne, 0, wrote);

        // So far only the fingerprint was computed.
        a.load_at(Width::U64, R4, HEADER, at(header::FRESH));
        a.jump_if(R4, Cond::Ne, 0, changed);
        a.load_at(Width::U64, R2, POINTER, 0);
        a.jump_if(R2, Cond::Eq, R3, done);
        a.bind(changed);
        a.store_at(Width::U64, HEADER, at(header::WRITES), 1);
        a.jump(p.begin);

        // A mark is written for a bucket that is now empty; and, if all are reported, for
        // one that could have been skipped.
        a.bind(wrote);
        a.load_at(Width::U64, R4, HEADER, at(header::WHOLE));
        a.load_at(Width::U64, R1, HEADER, at(header::COUNT));
        a.load_at(Width::U64, R2, HEADER, at(header::START));
        a.jump_if(R1, Cond::Ne, R2, sockets);
        a.jump_if(R4, Cond::Ne, 0, kept);
        a.mov(R5, i32::from(mark::EMPTY));
        a.jump(marked);
        a.bind(sockets);
        a.jump_if(R4, Cond::Eq, 0, kept);
        a.load_at(Width::U64, R4, HEADER, at(header::FRESH));
        a.jump_if(R4, Cond::Ne, 0, kept);
        a.load_at(Width::U64, R2, POINTER, 0);
        a.jump_if(R2, Cond::Ne, R3, kept);
        a.mov(R5, i32::from(mark::SAME));

        a.bind(marked);
        a.load_at(Width::U32, R2, HEADER, at(header::COUNT));
        a.jump_if(R2, Cond::Lt, p.room, fits);
        a.mov(POINTER, step::FULL as i32);
        a.jump(p.leave);
        a.bind(fits);
        a.alu(Alu::Mul, R2, i32::from(p.recipe.bytes));
        a.mov(RECORD, HEADER);
        a.add(RECORD, R2);
        a.add(RECORD, i32::from(at(header::LENGTH)));
        a.load_at(Width::U32, R1, HEADER, at(header::BUCKET));
        a.alu(Alu::Lsh, R1, 8);
        a.alu(Alu::Or, R1, R5);
        a.store_at(Width::U32, RECORD, 4, R1);
        a.load_at(Width::U64, R1, HEADER, at(header::COUNT));
        a.add(R1, 1);
        a.store_at(Width::U64, HEADER, at(header::COUNT), R1);

        // Store the fingerprint that belongs to the records.
        a.bind(kept);
        a.store_at(Width::U64, POINTER, 0, R3);
        a.load_at(Width::U64, R1, HEADER, at(header::WHOLE));
        a.store_at(Width::U64, HEADER, at(header::WRITES), R1);
        a.bind(done);
    }
}

/// A set of buckets, one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Buckets(Vec<u64>);

impl Buckets {
    fn of(count: u64) -> Self {
        Self(vec![0; count.div_ceil(64) as usize])
    }

    fn insert(&mut self, bucket: u32) {
        if let Some(word) = self.0.get_mut(bucket as usize / 64) {
            *word |= 1 << (bucket % 64);
        }
    }

    pub(super) fn contains(&self, bucket: u32) -> bool {
        self.0.get(bucket as usize / 64).is_some_and(|word| word >> (bucket % 64) & 1 != 0)
    }
}

/// The result of a look.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// The first bucket of each step, and the step's window.
    pub(super) steps: Vec<(u32, Window)>,
    /// Buckets that changed.
    pub(super) changed: Buckets,
    /// If all buckets are reported: those that did not change.
    pub(super) same: Buckets,
}

/// Takes a record, its bucket, and the window in which it was read.
pub(super) type Take<'t> = dyn FnMut(Record<'_>, u32, Window) -> ControlFlow<()> + 't;

/// The program, with the fingerprints of all buckets when they were last read.
pub(super) struct Watch {
    program: OwnedFd,
    shared: Shared,
    /// The length of a record, in bytes.
    bytes: usize,
    buckets: u64,
    /// Whether every bucket counts as changed at the next look.
    is_stale: bool,
}

impl Watch {
    /// Loads the program for the records of a walk that has read the table before.  A
    /// socket counts as changed if one of these members or its identity changed.
    ///
    /// # Errors
    /// If this kernel refuses.
    pub(super) fn new(walk: &Walk, of: &[Member]) -> Result<Self, Refused> {
        let (members, recipe) = walk.parts();
        let buckets = walk.buckets();
        if !(1..=MOST_BUCKETS).contains(&buckets) {
            return Err(Refused::NoTable);
        }
        let bytes = usize::from(recipe.bytes).max(8);
        let room = USUAL / bytes;
        let begin = header::LENGTH * 8 + room * bytes;
        let shared = Shared::new(room * bytes + buckets as usize * 8)?;
        let prints = Prints {
            words: Words::of(walk.layout(), &members.identity(), recipe, of),
            begin: begin as i32,
            buckets: buckets as i32,
            factor: random() | 1,
        };
        let program = loaded(program_with(members, recipe, shared.map(), room as i32, &prints))?;
        Ok(Self { program, shared, bytes, buckets, is_stale: true })
    }

    /// Treats all buckets as changed at the next look, since the last report was not
    /// processed.
    pub(super) fn forget(&mut self) {
        self.is_stale = true;
    }

    /// Whether the next look treats all buckets as changed.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Passes every record of buckets that changed since the previous look to `take`; of
    /// all buckets if `whole`.
    ///
    /// # Errors
    /// If the table cannot be walked to its end; records may have been passed on.
    pub(super) fn look(
        &mut self,
        layout: &Layout,
        asked: Asked,
        whole: bool,
        take: &mut Take<'_>,
    ) -> Result<Reading, Refused> {
        if self.is_stale {
            self.shared.set(header::SEED, random());
        }
        // Stays set unless the look reaches its end.
        self.is_stale = true;
        for number in [header::WHOLE, header::WRITES] {
            self.shared.set(number, whole.into());
        }
        self.shared.begin(asked, 0, ROUNDS);
        let mut reading = Reading {
            changed: Buckets::of(self.buckets),
            same: Buckets::of(if whole { self.buckets } else { 0 }),
            ..Reading::default()
        };
        loop {
            let bucket = self.shared.number(header::BUCKET);
            let begin = clock::now_ns();
            let result = load::run(&self.program)?;
            let window = clock::since(begin);
            reading.steps.push((bucket as u32, window));
            if self.hand_on(layout, whole, window, &mut reading, take).is_break() {
                return Ok(reading);
            }
            if result == step::DONE {
                break;
            }
            if self.shared.number(header::BUCKET) == bucket {
                let rounds = self.shared.number(header::ROUNDS);
                if result == step::FULL || rounds >= MOST_ROUNDS {
                    return Err(Refused::Bucket);
                }
                self.shared.set(header::ROUNDS, rounds * 2);
            }
        }
        self.is_stale = false;
        Ok(reading)
    }

    /// Passes on the records that a step left.
    fn hand_on(
        &self,
        layout: &Layout,
        whole: bool,
        window: Window,
        reading: &mut Reading,
        take: &mut Take<'_>,
    ) -> ControlFlow<()> {
        let records = || self.shared.left(self.bytes / 8).map(|record| (kind_of(record), record));
        if whole {
            // A bucket's mark follows its records.
            for ((kind, bucket), _) in records() {
                if kind == mark::SAME {
                    reading.same.insert(bucket);
                }
            }
        }
        for ((kind, bucket), record) in records() {
            if !reading.same.contains(bucket) {
                reading.changed.insert(bucket);
            }
            if !matches!(kind, mark::EMPTY | mark::SAME) {
                take(record_of(layout, record), bucket, window)?;
            }
        }
        self.shared.taken();
        ControlFlow::Continue(())
    }
}

/// The kind of a record, and its bucket.
fn kind_of(record: &[AtomicU64]) -> (u8, u32) {
    let word = record.first().map_or(0, |word| word.load(Relaxed));
    ((word >> 32) as u8, (word >> 40) as u32)
}

#[cfg(test)]
mod tests;
