//! What the programs share: how they read the kernel's memory, choose sockets, and write
//! records.
//!
//! Invariant: a record counts only if, after the rest was copied, the socket still has the
//! addresses, ports, hash, state, namespace and cookie of the copy.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::ffi::CStr;

use sockdiag_wire::bpf::Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};
use sockdiag_wire::bpf::{
    Alu, Assembler, BPF_FUNC_GET_CURRENT_TASK, BPF_FUNC_JIFFIES64, Cond, Label, Reg, Width,
};
use sockdiag_wire::socket::{TCP_NEW_SYN_RECV, TCP_TIME_WAIT};

use super::kernel::Members;
use super::members::Kind;
use super::record::Layout;

/// The licence of the programs, one of those that the kernel accepts.
pub(super) const LICENSE: &CStr = c"Dual MIT/GPL";

/// The beginning of the shared memory, in numbers of eight bytes.
pub(super) mod header {
    /// The number of complete records.
    pub(in super::super) const COUNT: usize = 0;
    /// The number of records before those of the current bucket.
    pub(in super::super) const START: usize = 1;
    /// The current bucket.
    pub(in super::super) const BUCKET: usize = 2;
    /// Rounds per step.
    pub(in super::super) const ROUNDS: usize = 3;
    /// Whether to walk the table of listeners instead of the other one.
    pub(in super::super) const LISTENERS: usize = 4;
    /// The states to report, one bit each.
    pub(in super::super) const STATES: usize = 5;
    /// The family to tell of; 0 every.
    pub(in super::super) const FAMILY: usize = 6;
    /// Whether to tell of the caller's namespace alone.
    pub(in super::super) const OWN: usize = 7;
    /// How often a bucket was begun again.
    pub(in super::super) const AGAIN: usize = 8;
    /// Buckets of the table.
    pub(in super::super) const BUCKETS: usize = 9;
    /// The namespace to tell of, by its address; 0 every.
    pub(in super::super) const NET: usize = 10;
    /// Where the first list begins, and how far the next one is.
    pub(in super::super) const BASE: usize = 11;
    /// See [`BASE`].
    pub(in super::super) const STRIDE: usize = 12;
    /// The number that the first bucket's list ends with.
    pub(in super::super) const NULLS: usize = 13;
    /// How the list began.
    pub(in super::super) const HEAD: usize = 14;
    /// What is to come of it.
    pub(in super::super) const NODE: usize = 15;
    /// Of a list of which each entry knows the one before: where the pointer to
    /// what is to come lies.
    pub(in super::super) const BEFORE: usize = 16;
    /// The bound port and address that is to come of the bucket.
    pub(in super::super) const PORT: usize = 17;
    /// Where the pointer to it lies.
    pub(in super::super) const PORT_BEFORE: usize = 18;
    /// Zero is added to it where loads must not pass one another; it is zero.
    pub(in super::super) const FENCE: usize = 19;
    /// One, as a list may end.
    pub(in super::super) const ONE: usize = 20;
    /// What came second in it.
    pub(in super::super) const SECOND: usize = 21;
    /// The fingerprint of the bucket that is being read.
    pub(in super::super) const PRINT: usize = 22;
    /// Not zero if it counts as changed whatever its fingerprint is.
    pub(in super::super) const FRESH: usize = 23;
    /// What every fingerprint begins with.
    pub(in super::super) const SEED: usize = 24;
    /// Whether records are written of the bucket that is being read; at first, only its
    /// fingerprint is made.
    pub(in super::super) const WRITES: usize = 25;
    /// Whether they are of every bucket.
    pub(in super::super) const WHOLE: usize = 26;
    /// So many numbers.
    pub(in super::super) const LENGTH: usize = 28;
}

/// What a step returns.
pub(super) mod step {
    /// The table was read to its end.
    pub(in super::super) const DONE: u32 = 0;
    /// The rounds are over.
    pub(in super::super) const MORE: u32 = 1;
    /// No further record fits.
    pub(in super::super) const FULL: u32 = 2;
    /// The kernel has no such table.
    pub(in super::super) const NOTHING: u32 = 3;
}

/// Words to copy: of the socket, or of what it points to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// Where in each structure the pointer to the next one lies, in bytes; the
    /// last one's words are copied.
    pub through: Vec<u32>,
    /// Where words of eight bytes lie in it, and in the record; both in bytes and
    /// multiples of eight.
    pub words: Vec<(u32, u16)>,
}

/// Everything that is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recipe {
    /// Length of a record, in bytes.
    pub bytes: u16,
    /// By [`Kind`].
    pub groups: [Vec<Group>; Kind::ALL.len()],
}

impl Recipe {
    /// Copies what this layout has; `None` where a pointer leads nowhere.
    pub(super) fn of(layout: &Layout) -> Option<Self> {
        let mut groups: [Vec<Group>; Kind::ALL.len()] = Default::default();
        for (kind, groups) in Kind::ALL.into_iter().zip(&mut groups) {
            for copies in layout.copies(kind).chunk_by(|one, other| one.base == other.base) {
                let base = copies.first()?.base;
                let through = layout.hops(base)?.iter().map(|hop| hop.offset).collect();
                let words = copies.iter().map(|copy| (copy.from, copy.to)).collect();
                groups.push(Group { through, words });
            }
        }
        Some(Self { bytes: layout.bytes() as u16, groups })
    }
}

/// The socket that is looked at.
pub(super) const SOCK: Reg = R6;
pub(super) const RECORD: Reg = R7;
pub(super) const HEADER: Reg = R8;
/// A pointer that is followed.
pub(super) const POINTER: Reg = R9;
/// The end of the stack, and what lies before it.
pub(super) const STACK: Reg = R10;
pub(super) const ROUND: i16 = -8;

/// Where a number of the header lies, in bytes.
pub(super) const fn at(number: usize) -> i16 {
    (number * 8) as i16
}

/// A program in the making.
pub(super) struct Pieces<'m> {
    pub members: &'m Members,
    pub recipe: &'m Recipe,
    /// So many records fit.
    pub room: i32,
    /// Does the next round.
    pub next: Label,
    /// Begins with the bucket.
    pub begin: Label,
    /// The bucket changed; begins it again.
    pub again: Label,
    /// Ends the step; the result is in [`POINTER`].
    pub leave: Label,
}

impl<'m> Pieces<'m> {
    pub(super) fn new(a: &mut Assembler, members: &'m Members, recipe: &'m Recipe, room: i32) -> Self {
        let [next, begin, again, leave] = [(); 4].map(|()| a.label());
        Self { members, recipe, room, next, begin, again, leave }
    }

    /// The beginning of a program that writes to the value of this map; goes on where
    /// the address of the tables is in [`POINTER`].
    pub(super) fn find_tables(&self, a: &mut Assembler, map: i32) {
        let m = self.members;
        let (nothing, every, found) = (a.label(), a.label(), a.label());
        a.map_value(HEADER, map);
        a.call(BPF_FUNC_GET_CURRENT_TASK);
        a.mov(POINTER, R0);
        for member in [m.nsproxy, m.net_ns] {
            self.load(a, POINTER, POINTER, member, Width::U64);
            a.jump_if(POINTER, Cond::Eq, 0, nothing);
        }
        a.load_at(Width::U64, R1, HEADER, at(header::OWN));
        a.jump_if(R1, Cond::Eq, 0, every);
        a.store_at(Width::U64, HEADER, at(header::NET), POINTER);
        a.bind(every);
        self.load(a, POINTER, POINTER, m.hashinfo, Width::U64);
        a.jump_if(POINTER, Cond::Ne, 0, found);
        a.bind(nothing);
        a.mov(R0, step::NOTHING as i32);
        a.exit();
        a.bind(found);
    }

    /// Tells in the header where buckets lie: so many bytes behind a pointer of the
    /// tables; as many as a number of theirs, `more` added, says.
    pub(super) fn table(&self, a: &mut Assembler, base: (u32, u32), (count, more): (u32, i32), stride: u32) {
        self.load(a, R3, POINTER, count, Width::U32);
        a.add(R3, more);
        a.store_at(Width::U64, HEADER, at(header::BUCKETS), R3);
        self.load(a, R3, POINTER, base.0, Width::U64);
        a.add(R3, base.1 as i32);
        a.store_at(Width::U64, HEADER, at(header::BASE), R3);
        a.store_at(Width::U64, HEADER, at(header::STRIDE), stride as i32);
    }

    /// Begins a step, and binds the label of its next round.
    pub(super) fn rounds(&self, a: &mut Assembler) {
        let over = a.label();
        a.call_kfunc(self.members.lock);
        round(a);
        a.mov(R2, 0);
        a.load_at(Width::U32, R3, HEADER, at(header::ROUNDS));
        a.call_kfunc(self.members.loop_new);
        a.jump(self.begin);
        a.bind(over);
        a.mov(POINTER, step::MORE as i32);
        a.jump(self.leave);
        a.bind(self.next);
        round(a);
        a.call_kfunc(self.members.loop_next);
        a.jump_if(R0, Cond::Eq, 0, over);
    }

    /// The end of the program.
    pub(super) fn end(&self, a: &mut Assembler) {
        round(a);
        a.call_kfunc(self.members.loop_destroy);
        a.call_kfunc(self.members.unlock);
        a.mov(R0, POINTER);
        a.exit();
    }

    /// Makes R1 the address of the bucket.
    pub(super) fn bucket(a: &mut Assembler) {
        a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
        a.load_at(Width::U64, R2, HEADER, at(header::STRIDE));
        a.alu(Alu::Mul, R1, R2);
        a.load_at(Width::U64, R2, HEADER, at(header::BASE));
        a.add(R1, R2);
    }

    /// Counts that a bucket is begun again.
    pub(super) fn count_again(a: &mut Assembler) {
        a.load_at(Width::U64, R1, HEADER, at(header::AGAIN));
        a.add(R1, 1);
        a.store_at(Width::U64, HEADER, at(header::AGAIN), R1);
    }

    /// Leaves the bucket behind; with the last one the step is done.
    pub(super) fn next_bucket(&self, a: &mut Assembler) {
        a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
        a.add(R1, 1);
        a.store_at(Width::U64, HEADER, at(header::BUCKET), R1);
        a.mov(POINTER, step::DONE as i32);
        a.load_at(Width::U64, R2, HEADER, at(header::BUCKETS));
        a.jump_if(R1, Cond::Ge, R2, self.leave);
    }

    /// Goes on where the socket is one to tell of, with its kind in [`POINTER`].
    pub(super) fn choose(&self, a: &mut Assembler) {
        let Self { members: m, next, .. } = self;
        let (every_family, every_net) = (a.label(), a.label());
        let (time_wait, request) = (a.label(), a.label());

        self.load(a, R3, SOCK, m.family, Width::U16);
        a.load_at(Width::U64, R1, HEADER, at(header::FAMILY));
        a.jump_if(R1, Cond::Eq, 0, every_family);
        a.jump_if(R1, Cond::Ne, R3, *next);
        a.bind(every_family);
        a.load_at(Width::U64, POINTER, HEADER, at(header::NET));
        a.jump_if(POINTER, Cond::Eq, 0, every_net);
        self.load(a, R3, SOCK, m.net, Width::U64);
        a.jump_if(R3, Cond::Ne, POINTER, *next);
        a.bind(every_net);

        // The kind is in POINTER, the state that is shown in R3.
        let shown = a.label();
        self.load(a, R3, SOCK, m.state, Width::U8);
        a.mov(POINTER, Kind::Full as i32);
        a.jump_if(R3, Cond::Eq, i32::from(TCP_TIME_WAIT), time_wait);
        a.jump_if(R3, Cond::Eq, i32::from(TCP_NEW_SYN_RECV), request);
        a.jump(shown);
        a.bind(time_wait);
        a.mov(POINTER, Kind::TimeWait as i32);
        self.load(a, R3, SOCK, m.substate, Width::U8);
        a.jump(shown);
        a.bind(request);
        a.mov(POINTER, Kind::Request as i32);
        a.bind(shown);
        a.load_at(Width::U64, R1, HEADER, at(header::STATES));
        a.alu(Alu::And, R3, 31);
        a.alu(Alu::Rsh, R1, R3);
        a.alu(Alu::And, R1, 1);
        a.jump_if(R1, Cond::Eq, 0, *next);
    }

    /// Writes the record of a socket whose kind is in [`POINTER`]; `then` is done of each
    /// that is whole.
    pub(super) fn record(&self, a: &mut Assembler, then: &dyn Fn(&Self, &mut Assembler, Kind)) {
        let Self { recipe, room, leave, .. } = self;
        let fits = a.label();
        a.load_at(Width::U32, R2, HEADER, at(header::COUNT));
        a.jump_if(R2, Cond::Lt, *room, fits);
        a.mov(POINTER, step::FULL as i32);
        a.jump(*leave);
        a.bind(fits);
        a.alu(Alu::Mul, R2, i32::from(recipe.bytes));
        a.mov(RECORD, HEADER);
        a.add(RECORD, R2);
        a.add(RECORD, i32::from(at(header::LENGTH)));
        a.call(BPF_FUNC_JIFFIES64);
        a.store_at(Width::U32, RECORD, 0, R0);
        a.load_at(Width::U32, R1, HEADER, at(header::BUCKET));
        a.alu(Alu::Lsh, R1, 8);
        a.alu(Alu::Or, R1, POINTER);
        a.store_at(Width::U32, RECORD, 4, R1);
        a.store_at(Width::U64, RECORD, 8, SOCK);

        let labels = Kind::ALL.map(|_| a.label());
        for (kind, label) in Kind::ALL.into_iter().zip(labels).skip(1) {
            a.jump_if(POINTER, Cond::Eq, kind as i32, label);
        }
        for ((kind, label), groups) in Kind::ALL.into_iter().zip(labels).zip(&recipe.groups) {
            a.bind(label);
            for group in groups {
                self.copy(a, group);
            }
            self.check(a, groups);
            then(self, a, kind);
            self.count(a);
        }
    }

    /// Copies the words of a group.
    fn copy(&self, a: &mut Assembler, group: &Group) {
        let (null, copied) = (a.label(), a.label());
        let base = self.follow(a, &group.through, null);
        let mut words = group.words.as_slice();
        while let [(from, to), rest @ ..] = words {
            words = rest;
            self.point(a, base, *from);
            a.load_at(Width::U64, R3, R0, 0);
            a.store_at(Width::U64, RECORD, *to as i16, R3);
            if let [(after, to), rest @ ..] = words
                && *after == from + 8
            {
                words = rest;
                a.load_at(Width::U64, R3, R0, 8);
                a.store_at(Width::U64, RECORD, *to as i16, R3);
            }
        }
        if !group.through.is_empty() {
            a.jump(copied);
            a.bind(null);
            for (_, to) in &group.words {
                a.store_at(Width::U64, RECORD, *to as i16, 0);
            }
        }
        // The label of a group that follows no pointer is used by nothing.
        a.bind(copied);
    }

    /// Follows pointers from the socket on; goes on at a label where one is null.  What the
    /// last one is in, if it is not the socket.
    pub(super) fn follow(&self, a: &mut Assembler, through: &[u32], null: Label) -> Reg {
        let mut base = SOCK;
        for offset in through {
            self.load(a, POINTER, base, *offset, Width::U64);
            // Some pointers carry flags in bits that an address has not.
            a.alu(Alu::And, POINTER, -8);
            a.jump_if(POINTER, Cond::Eq, 0, null);
            base = POINTER;
        }
        base
    }

    /// Goes on if the socket is still the one that was copied.
    fn check(&self, a: &mut Assembler, groups: &[Group]) {
        fence(a);
        let words: Vec<(u32, u16)> = own_words(groups).collect();
        for offset in self.members.identity() {
            if let Some((_, to)) = words.iter().find(|(from, _)| *from == offset) {
                self.load(a, R3, SOCK, offset, Width::U64);
                a.load_at(Width::U64, R4, RECORD, *to as i16);
                a.jump_if(R3, Cond::Ne, R4, self.again);
            }
        }
    }

    /// Counts a record.
    fn count(&self, a: &mut Assembler) {
        a.load_at(Width::U64, R1, HEADER, at(header::COUNT));
        a.add(R1, 1);
        a.store_at(Width::U64, HEADER, at(header::COUNT), R1);
        a.jump(self.next);
    }

    /// The words that are copied of a socket itself.
    pub(super) fn own_words(&self) -> impl Iterator<Item = (u32, u16)> {
        own_words(self.recipe.groups.first().map_or(&[], Vec::as_slice))
    }

    /// Loads a number that lies so many bytes behind the address in `base`.
    pub(super) fn load(&self, a: &mut Assembler, dst: Reg, base: Reg, offset: u32, width: Width) {
        self.point(a, base, offset & !7);
        a.load_at(width, dst, R0, (offset & 7) as i16);
    }

    /// Makes R0 point to the words that lie so many bytes behind the address in
    /// `base`.
    pub(super) fn point(&self, a: &mut Assembler, base: Reg, offset: u32) {
        a.mov(R1, base);
        a.add(R1, offset as i32);
        self.cast(a);
    }

    /// Makes R0 point to the words at the address in R1.
    pub(super) fn cast(&self, a: &mut Assembler) {
        a.long(R2, self.members.word.into());
        a.call_kfunc(self.members.cast);
    }
}

/// The words of a socket itself.
fn own_words(groups: &[Group]) -> impl Iterator<Item = (u32, u16)> {
    let own = groups.iter().filter(|group| group.through.is_empty());
    own.flat_map(|group| group.words.iter().copied())
}

/// Makes R1 point to the state of the loop.
fn round(a: &mut Assembler) {
    a.mov(R1, STACK);
    a.add(R1, i32::from(ROUND));
}

/// Keeps loads in order where the processor does not.
pub(super) fn fence(a: &mut Assembler) {
    if cfg!(not(target_arch = "x86_64")) {
        a.mov(R4, 0);
        a.fetch_add(Width::U64, HEADER, at(header::FENCE), R4);
    }
}
