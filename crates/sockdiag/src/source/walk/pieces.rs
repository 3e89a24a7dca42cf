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
    /// The family to report; 0 for all.
    pub(in super::super) const FAMILY: usize = 6;
    /// Whether to report only the caller's namespace.
    pub(in super::super) const OWN: usize = 7;
    /// How often a bucket was read again.
    pub(in super::super) const AGAIN: usize = 8;
    /// The number of buckets in the table.
    pub(in super::super) const BUCKETS: usize = 9;
    /// The namespace to report, by its kernel address; 0 for all.
    pub(in super::super) const NET: usize = 10;
    /// The address of the first bucket, and the distance between buckets.
    pub(in super::super) const BASE: usize = 11;
    /// See [`BASE`].
    pub(in super::super) const STRIDE: usize = 12;
    /// The number that ends the first bucket's list.
    pub(in super::super) const NULLS: usize = 13;
    /// The first entry of the current list.
    pub(in super::super) const HEAD: usize = 14;
    /// The next entry of the current list.
    pub(in super::super) const NODE: usize = 15;
    /// For lists with back pointers: the address of the pointer to the next entry.
    pub(in super::super) const BEFORE: usize = 16;
    /// The next port and address of the current bucket of bound ports.
    pub(in super::super) const PORT: usize = 17;
    /// The address of the pointer to that port.
    pub(in super::super) const PORT_BEFORE: usize = 18;
    /// Always zero; it is added to addresses to keep dependent loads in order.
    pub(in super::super) const FENCE: usize = 19;
    /// Always one, which marks the end of a list.
    pub(in super::super) const ONE: usize = 20;
    /// The second entry of the current list.
    pub(in super::super) const SECOND: usize = 21;
    /// The fingerprint of the current bucket.
    pub(in super::super) const PRINT: usize = 22;
    /// Not zero if the bucket counts as changed whatever its fingerprint is.
    pub(in super::super) const FRESH: usize = 23;
    /// The initial value of every fingerprint.
    pub(in super::super) const SEED: usize = 24;
    /// Whether records of the current bucket are written; on the first pass over a bucket
    /// only its fingerprint is computed.
    pub(in super::super) const WRITES: usize = 25;
    /// Whether records of all buckets are written.
    pub(in super::super) const WHOLE: usize = 26;
    /// How many numbers the header has.
    pub(in super::super) const LENGTH: usize = 28;
}

/// The result of a step.
pub(super) mod step {
    /// The table was read to its end.
    pub(in super::super) const DONE: u32 = 0;
    /// The rounds are used up.
    pub(in super::super) const MORE: u32 = 1;
    /// No further record fits.
    pub(in super::super) const FULL: u32 = 2;
    /// The kernel has no such table.
    pub(in super::super) const NOTHING: u32 = 3;
}

/// Words to copy, from the socket or from a structure that it points to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// The offset, in each structure, of the pointer to the next one, in bytes; the words
    /// are copied from the last structure.
    pub through: Vec<u32>,
    /// The offsets of 8-byte words in that structure and in the record, in bytes; both are
    /// multiples of eight.
    pub words: Vec<(u32, u16)>,
}

/// Everything that is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recipe {
    /// Length of a record, in bytes.
    pub bytes: u16,
    /// The groups of words, by [`Kind`].
    pub groups: [Vec<Group>; Kind::ALL.len()],
}

impl Recipe {
    /// Copies the words of this layout; `None` if a pointer cannot be followed.
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

/// The current socket.
pub(super) const SOCK: Reg = R6;
pub(super) const RECORD: Reg = R7;
pub(super) const HEADER: Reg = R8;
/// The pointer that is being followed.
pub(super) const POINTER: Reg = R9;
/// The end of the stack; variables lie below it.
pub(super) const STACK: Reg = R10;
pub(super) const ROUND: i16 = -8;

/// The offset of a number in the header, in bytes.
pub(super) const fn at(number: usize) -> i16 {
    (number * 8) as i16
}

/// A program that is being assembled.
pub(super) struct Pieces<'m> {
    pub members: &'m Members,
    pub recipe: &'m Recipe,
    /// How many records fit.
    pub room: i32,
    /// Continues with the next round.
    pub next: Label,
    /// Starts the current bucket.
    pub begin: Label,
    /// The bucket changed: starts it again.
    pub again: Label,
    /// Ends the step; the result is in [`POINTER`].
    pub leave: Label,
}

impl<'m> Pieces<'m> {
    pub(super) fn new(a: &mut Assembler, members: &'m Members, recipe: &'m Recipe, room: i32) -> Self {
        let [next, begin, again, leave] = [(); 4].map(|()| a.label());
        Self { members, recipe, room, next, begin, again, leave }
    }

    /// The beginning of a program that writes to the value of this map; afterwards the
    /// address of the tables is in [`POINTER`].
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

    /// Writes the position of the buckets to the header: `base` is the table's pointer and
    /// an offset from its target, `count` the member with their number, to which `more` is
    /// added.
    pub(super) fn table(&self, a: &mut Assembler, base: (u32, u32), (count, more): (u32, i32), stride: u32) {
        self.load(a, R3, POINTER, count, Width::U32);
        a.add(R3, more);
        a.store_at(Width::U64, HEADER, at(header::BUCKETS), R3);
        self.load(a, R3, POINTER, base.0, Width::U64);
        a.add(R3, base.1 as i32);
        a.store_at(Width::U64, HEADER, at(header::BASE), R3);
        a.store_at(Width::U64, HEADER, at(header::STRIDE), stride as i32);
    }

    /// Begins a step, and binds the label for its next round.
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

    /// Ends the program.
    pub(super) fn end(&self, a: &mut Assembler) {
        round(a);
        a.call_kfunc(self.members.loop_destroy);
        a.call_kfunc(self.members.unlock);
        a.mov(R0, POINTER);
        a.exit();
    }

    /// Puts the address of the bucket into R1.
    pub(super) fn bucket(a: &mut Assembler) {
        a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
        a.load_at(Width::U64, R2, HEADER, at(header::STRIDE));
        a.alu(Alu::Mul, R1, R2);
        a.load_at(Width::U64, R2, HEADER, at(header::BASE));
        a.add(R1, R2);
    }

    /// Counts a bucket that is read again.
    pub(super) fn count_again(a: &mut Assembler) {
        a.load_at(Width::U64, R1, HEADER, at(header::AGAIN));
        a.add(R1, 1);
        a.store_at(Width::U64, HEADER, at(header::AGAIN), R1);
    }

    /// Moves to the next bucket; after the last one the step is done.
    pub(super) fn next_bucket(&self, a: &mut Assembler) {
        a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
        a.add(R1, 1);
        a.store_at(Width::U64, HEADER, at(header::BUCKET), R1);
        a.mov(POINTER, step::DONE as i32);
        a.load_at(Width::U64, R2, HEADER, at(header::BUCKETS));
        a.jump_if(R1, Cond::Ge, R2, self.leave);
    }

    /// Continues only if the socket should be reported, and puts its kind into [`POINTER`].
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

        // POINTER is the kind, R3 the state that is reported.
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

    /// Writes the record of a socket whose kind is in [`POINTER`]; runs `then` for each
    /// complete record.
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
        // For a group without pointers nothing jumps to this label.
        a.bind(copied);
    }

    /// Follows pointers from the socket; jumps to `null` if one is null.  Returns the
    /// register with the last structure's address.
    pub(super) fn follow(&self, a: &mut Assembler, through: &[u32], null: Label) -> Reg {
        let mut base = SOCK;
        for offset in through {
            self.load(a, POINTER, base, *offset, Width::U64);
            // Some pointers carry flags in their low bits.
            a.alu(Alu::And, POINTER, -8);
            a.jump_if(POINTER, Cond::Eq, 0, null);
            base = POINTER;
        }
        base
    }

    /// Continues only if the socket is still the one that was copied.
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

    /// The words that are copied from the socket itself.
    pub(super) fn own_words(&self) -> impl Iterator<Item = (u32, u16)> {
        own_words(self.recipe.groups.first().map_or(&[], Vec::as_slice))
    }

    /// Loads a number at this offset from the address in `base`.
    pub(super) fn load(&self, a: &mut Assembler, dst: Reg, base: Reg, offset: u32, width: Width) {
        self.point(a, base, offset & !7);
        a.load_at(width, dst, R0, (offset & 7) as i16);
    }

    /// Points R0 to the words at this offset from the address in `base`.
    pub(super) fn point(&self, a: &mut Assembler, base: Reg, offset: u32) {
        a.mov(R1, base);
        a.add(R1, offset as i32);
        self.cast(a);
    }

    /// Points R0 to the words at the address in R1.
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

/// Points R1 to the state of the loop.
fn round(a: &mut Assembler) {
    a.mov(R1, STACK);
    a.add(R1, i32::from(ROUND));
}

/// Keeps loads in order on processors that may reorder them.
pub(super) fn fence(a: &mut Assembler) {
    if cfg!(not(target_arch = "x86_64")) {
        a.mov(R4, 0);
        a.fetch_add(Width::U64, HEADER, at(header::FENCE), R4);
    }
}
