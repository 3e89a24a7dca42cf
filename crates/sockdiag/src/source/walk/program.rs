//! The program that walks the kernel's hash tables of TCP sockets, and where
//! the running kernel keeps what it reads.
//!
//! bpf(2) runs it step by step.  A step goes on where the last one ended, copies
//! sockets into memory that this process maps, and ends after so many rounds or
//! when that memory is full.  Established sockets, TIME-WAIT sockets and requests
//! are in one table, listeners in another of the same form; the same program
//! walks both.
//!
//! Nothing is locked and nothing kept.  Sockets are taken out of a bucket and put
//! into one while it is read, and their memory is used again at once, but within
//! an RCU section it stays a socket's.  Invariant: what a step leaves are whole
//! buckets, and of a bucket
//! - the list ended with the bucket's own number, so that no socket on the way had
//!   moved to another bucket;
//! - the list begins at its end as it did at its beginning, so that no socket was
//!   put into it meanwhile: new ones come first;
//! - each socket had the same addresses, ports, hash, state, namespace and cookie
//!   after it was copied as in the copy.
//!
//! Else the bucket is begun again.  A socket whose memory was used again in the
//! same bucket may be met twice; its address, which is part of the record, tells.
//!
//! Loops are `bpf_iter_num` (Linux 6.4), memory is read through `bpf_rdonly_cast`
//! (Linux 6.2), all functions of the kernel.
//!
//! Source: Documentation/bpf/kfuncs.rst, Documentation/RCU/rculist_nulls.rst, and
//! the kernel's BTF.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::ffi::CStr;

use sockdiag_wire::bpf::Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};
use sockdiag_wire::bpf::{
    Alu, AssembleError, Assembler, BPF_FUNC_GET_CURRENT_TASK, BPF_FUNC_JIFFIES64, Cond, Insn, Label, Lookup,
    Member, NotFound, Reg, Wanted, Width,
};
use sockdiag_wire::socket::{TCP_NEW_SYN_RECV, TCP_SYN_RECV, TCP_TIME_WAIT};

use super::members::Kind;
use super::record::Layout;

/// The licence of the program, one of those that the kernel knows.
pub(super) const LICENSE: &CStr = c"Dual MIT/GPL";

/// What is at the beginning of the shared memory, in numbers of eight bytes.
pub(super) mod header {
    /// Records that are complete.
    pub(in super::super) const COUNT: usize = 0;
    /// Records before those of the bucket that is being read.
    pub(in super::super) const START: usize = 1;
    /// The bucket that is being read.
    pub(in super::super) const BUCKET: usize = 2;
    /// Rounds of a step.
    pub(in super::super) const ROUNDS: usize = 3;
    /// Which table: 0 the established sockets, 1 the listeners.
    pub(in super::super) const TABLE: usize = 4;
    /// States to tell of, a bit for each.
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
    /// Is added to where loads must not pass one another.
    pub(in super::super) const FENCE: usize = 16;
    /// So many numbers.
    pub(in super::super) const LENGTH: usize = 20;
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

/// Where the running kernel keeps what the program reads, and the numbers of its
/// functions that the program calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Members {
    nsproxy: Member,
    net_ns: Member,
    hashinfo: Member,
    ehash: Member,
    ehash_mask: Member,
    lhash2: Member,
    lhash2_mask: Member,
    nulls_head: Member,
    nulls_node: Member,
    family: Member,
    state: Member,
    net: Member,
    substate: Member,
    cookie: Member,
    hash: Member,
    addresses: Member,
    /// Bytes of a bucket of listeners.
    listen_bucket: u32,
    /// A struct that begins with two numbers of 64 bits.
    word: u32,
    cast: u32,
    lock: u32,
    unlock: u32,
    loop_new: u32,
    loop_next: u32,
    loop_destroy: u32,
}

const MEMBERS: [(&str, &str); 16] = [
    ("task_struct", "nsproxy"),
    ("nsproxy", "net_ns"),
    ("net", "ipv4.tcp_death_row.hashinfo"),
    ("inet_hashinfo", "ehash"),
    ("inet_hashinfo", "ehash_mask"),
    ("inet_hashinfo", "lhash2"),
    ("inet_hashinfo", "lhash2_mask"),
    ("inet_listen_hashbucket", "nulls_head"),
    ("sock_common", "skc_nulls_node"),
    ("sock_common", "skc_family"),
    ("sock_common", "skc_state"),
    ("sock_common", "skc_net.net"),
    ("inet_timewait_sock", "tw_substate"),
    ("sock_common", "skc_cookie"),
    ("sock_common", "skc_hash"),
    ("sock_common", "skc_daddr"),
];

const IDS: [Wanted; 7] = [
    Wanted::structure("timespec64"),
    Wanted::function("bpf_rdonly_cast"),
    Wanted::function("bpf_rcu_read_lock"),
    Wanted::function("bpf_rcu_read_unlock"),
    Wanted::function("bpf_iter_num_new"),
    Wanted::function("bpf_iter_num_next"),
    Wanted::function("bpf_iter_num_destroy"),
];

impl Members {
    /// What is to be looked for among the kernel's types.
    pub(super) fn wanted() -> Vec<Wanted> {
        let structs = MEMBERS.map(|(structure, _)| Wanted::structure(structure));
        [&structs[..], &IDS].concat()
    }

    /// Finds them.
    pub(super) fn find(types: &Lookup<'_>) -> Result<Self, NotFound> {
        let [
            nsproxy,
            net_ns,
            hashinfo,
            ehash,
            ehash_mask,
            lhash2,
            lhash2_mask,
            nulls_head,
            nulls_node,
            family,
            state,
            net,
            substate,
            cookie,
            hash,
            addresses,
        ] = types.members(&MEMBERS)?;
        let [word, cast, lock, unlock, loop_new, loop_next, loop_destroy] = types.ids(IDS)?;
        Ok(Self {
            nsproxy,
            net_ns,
            hashinfo,
            ehash,
            ehash_mask,
            lhash2,
            lhash2_mask,
            nulls_head,
            nulls_node,
            family,
            state,
            net,
            substate,
            cookie,
            hash,
            addresses,
            listen_bucket: types.bytes("inet_listen_hashbucket")?,
            word,
            cast,
            lock,
            unlock,
            loop_new,
            loop_next,
            loop_destroy,
        })
    }

    /// Words of a socket that are compared with the copy, by where they lie.
    fn identity(&self) -> [u32; 5] {
        [self.addresses, self.hash, self.state, self.net, self.cookie].map(|member| member.offset & !7)
    }
}

/// The socket that is looked at.
const SOCK: Reg = R6;
const RECORD: Reg = R7;
const HEADER: Reg = R8;
/// A pointer that is followed.
const POINTER: Reg = R9;
/// The end of the stack, and what lies before it.
const STACK: Reg = R10;
const ROUND: i16 = -8;

/// Where a number of the header lies, in bytes.
const fn at(number: usize) -> i16 {
    (number * 8) as i16
}

/// The program, which writes to the value of this map, where there is room for so
/// many records.
pub(super) fn program(
    members: &Members,
    recipe: &Recipe,
    map: i32,
    room: i32,
) -> Result<Vec<Insn>, AssembleError> {
    let mut a = Assembler::new();
    let walk =
        Walk { members, recipe, room, next: a.label(), begin: a.label(), again: a.label(), leave: a.label() };
    a.map_value(HEADER, map);
    walk.find_table(&mut a);
    a.call_kfunc(members.lock);
    a.mov(R1, STACK);
    a.add(R1, i32::from(ROUND));
    a.mov(R2, 0);
    a.load_at(Width::U32, R3, HEADER, at(header::ROUNDS));
    a.call_kfunc(members.loop_new);
    a.jump(walk.begin);
    walk.chain(&mut a);
    Ok(a.finish()?.insns)
}

struct Walk<'m> {
    members: &'m Members,
    recipe: &'m Recipe,
    room: i32,
    /// Looks at what is to come of the list.
    next: Label,
    /// Begins with the bucket.
    begin: Label,
    /// The bucket changed; begins it again.
    again: Label,
    /// Ends the step; the result is in [`POINTER`].
    leave: Label,
}

impl Walk<'_> {
    /// Finds the table, and tells of it in the header.
    fn find_table(&self, a: &mut Assembler) {
        let m = self.members;
        let (nothing, own, listeners, found) = (a.label(), a.label(), a.label(), a.label());
        a.call(BPF_FUNC_GET_CURRENT_TASK);
        a.mov(POINTER, R0);
        for member in [m.nsproxy, m.net_ns] {
            self.load(a, POINTER, POINTER, member.offset, Width::U64);
            a.jump_if(POINTER, Cond::Eq, 0, nothing);
        }
        a.load_at(Width::U64, R1, HEADER, at(header::OWN));
        a.jump_if(R1, Cond::Eq, 0, own);
        a.store_at(Width::U64, HEADER, at(header::NET), POINTER);
        a.bind(own);
        self.load(a, POINTER, POINTER, m.hashinfo.offset, Width::U64);
        a.jump_if(POINTER, Cond::Eq, 0, nothing);
        a.load_at(Width::U64, R1, HEADER, at(header::TABLE));
        a.jump_if(R1, Cond::Ne, 0, listeners);
        self.table(a, (m.ehash, 0), m.ehash_mask, 8, 0);
        a.jump(found);
        a.bind(listeners);
        self.table(a, (m.lhash2, m.nulls_head.offset), m.lhash2_mask, m.listen_bucket, 1 << 29);
        a.jump(found);
        a.bind(nothing);
        a.mov(R0, step::NOTHING as i32);
        a.exit();
        a.bind(found);
    }

    /// Tells of the table that lies behind a pointer and so many bytes.
    fn table(&self, a: &mut Assembler, base: (Member, u32), mask: Member, stride: u32, nulls: i32) {
        self.load(a, R3, POINTER, mask.offset, Width::U32);
        a.add(R3, 1);
        a.store_at(Width::U64, HEADER, at(header::BUCKETS), R3);
        self.load(a, R3, POINTER, base.0.offset, Width::U64);
        a.add(R3, base.1 as i32);
        a.store_at(Width::U64, HEADER, at(header::BASE), R3);
        a.store_at(Width::U64, HEADER, at(header::STRIDE), stride as i32);
        a.store_at(Width::U64, HEADER, at(header::NULLS), nulls);
    }

    /// The loop: a round looks at a socket or begins a bucket.
    fn chain(&self, a: &mut Assembler) {
        let m = self.members;
        let (end, over) = (a.label(), a.label());
        a.bind(self.next);
        a.mov(R1, STACK);
        a.add(R1, i32::from(ROUND));
        a.call_kfunc(m.loop_next);
        a.jump_if(R0, Cond::Eq, 0, over);
        a.load_at(Width::U64, SOCK, HEADER, at(header::NODE));
        a.jump_if(SOCK, Cond::Set, 1, end);
        self.load(a, R3, SOCK, 0, Width::U64);
        a.store_at(Width::U64, HEADER, at(header::NODE), R3);
        a.add(SOCK, -(m.nulls_node.offset as i32));
        self.socket(a);

        // The list ended.
        a.bind(end);
        a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
        a.load_at(Width::U64, R2, HEADER, at(header::NULLS));
        a.add(R2, R1);
        a.alu(Alu::Lsh, R2, 1);
        a.alu(Alu::Or, R2, 1);
        a.jump_if(SOCK, Cond::Ne, R2, self.again);
        fence(a);
        self.head(a);
        a.load_at(Width::U64, R2, HEADER, at(header::HEAD));
        a.jump_if(R1, Cond::Ne, R2, self.again);
        a.load_at(Width::U64, R1, HEADER, at(header::COUNT));
        a.store_at(Width::U64, HEADER, at(header::START), R1);
        a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
        a.add(R1, 1);
        a.store_at(Width::U64, HEADER, at(header::BUCKET), R1);
        a.mov(POINTER, step::DONE as i32);
        a.load_at(Width::U64, R2, HEADER, at(header::BUCKETS));
        a.jump_if(R1, Cond::Ge, R2, self.leave);

        a.bind(self.begin);
        a.load_at(Width::U64, R1, HEADER, at(header::START));
        a.store_at(Width::U64, HEADER, at(header::COUNT), R1);
        self.head(a);
        a.store_at(Width::U64, HEADER, at(header::HEAD), R1);
        a.store_at(Width::U64, HEADER, at(header::NODE), R1);
        a.jump(self.next);

        a.bind(self.again);
        a.load_at(Width::U64, R1, HEADER, at(header::AGAIN));
        a.add(R1, 1);
        a.store_at(Width::U64, HEADER, at(header::AGAIN), R1);
        a.jump(self.begin);

        a.bind(over);
        a.mov(POINTER, step::MORE as i32);
        a.bind(self.leave);
        a.load_at(Width::U64, R1, HEADER, at(header::START));
        a.store_at(Width::U64, HEADER, at(header::COUNT), R1);
        a.mov(R1, STACK);
        a.add(R1, i32::from(ROUND));
        a.call_kfunc(m.loop_destroy);
        a.call_kfunc(m.unlock);
        a.mov(R0, POINTER);
        a.exit();
    }

    /// Loads how the bucket's list begins into R1.
    fn head(&self, a: &mut Assembler) {
        a.load_at(Width::U64, R1, HEADER, at(header::BUCKET));
        a.load_at(Width::U64, R2, HEADER, at(header::STRIDE));
        a.alu(Alu::Mul, R1, R2);
        a.load_at(Width::U64, R2, HEADER, at(header::BASE));
        a.add(R1, R2);
        self.cast(a);
        a.load_at(Width::U64, R1, R0, 0);
    }

    /// Copies the socket if it is one to tell of.
    fn socket(&self, a: &mut Assembler) {
        let Self { members: m, recipe, room, next, leave, .. } = self;
        let (every_family, every_net) = (a.label(), a.label());
        let (time_wait, request) = (a.label(), a.label());

        self.load(a, R3, SOCK, m.family.offset, Width::U16);
        a.load_at(Width::U64, R1, HEADER, at(header::FAMILY));
        a.jump_if(R1, Cond::Eq, 0, every_family);
        a.jump_if(R1, Cond::Ne, R3, *next);
        a.bind(every_family);
        a.load_at(Width::U64, POINTER, HEADER, at(header::NET));
        a.jump_if(POINTER, Cond::Eq, 0, every_net);
        self.load(a, R3, SOCK, m.net.offset, Width::U64);
        a.jump_if(R3, Cond::Ne, POINTER, *next);
        a.bind(every_net);

        // The kind is in POINTER, the state that is shown in R3.
        let shown = a.label();
        self.load(a, R3, SOCK, m.state.offset, Width::U8);
        a.mov(POINTER, Kind::Full as i32);
        a.jump_if(R3, Cond::Eq, i32::from(TCP_TIME_WAIT), time_wait);
        a.jump_if(R3, Cond::Eq, i32::from(TCP_NEW_SYN_RECV), request);
        a.jump(shown);
        a.bind(time_wait);
        a.mov(POINTER, Kind::TimeWait as i32);
        self.load(a, R3, SOCK, m.substate.offset, Width::U8);
        a.jump(shown);
        a.bind(request);
        a.mov(POINTER, Kind::Request as i32);
        a.mov(R3, i32::from(TCP_SYN_RECV));
        a.bind(shown);
        a.load_at(Width::U64, R1, HEADER, at(header::STATES));
        a.alu(Alu::And, R3, 31);
        a.alu(Alu::Rsh, R1, R3);
        a.alu(Alu::And, R1, 1);
        a.jump_if(R1, Cond::Eq, 0, *next);

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
        for (label, groups) in labels.into_iter().zip(&recipe.groups) {
            a.bind(label);
            groups.iter().for_each(|group| self.copy(a, group));
            self.check(a, groups);
        }
    }

    /// Copies the words of a group.
    fn copy(&self, a: &mut Assembler, group: &Group) {
        let (null, copied) = (a.label(), a.label());
        let mut base = SOCK;
        for offset in &group.through {
            self.load(a, POINTER, base, *offset, Width::U64);
            // Some pointers carry flags in bits that an address has not.
            a.alu(Alu::And, POINTER, -8);
            a.jump_if(POINTER, Cond::Eq, 0, null);
            base = POINTER;
        }
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

    /// Counts the record if the socket is still the one that was copied.
    fn check(&self, a: &mut Assembler, groups: &[Group]) {
        fence(a);
        let own = groups.iter().filter(|group| group.through.is_empty());
        let words: Vec<(u32, u16)> = own.flat_map(|group| group.words.iter().copied()).collect();
        for offset in self.members.identity() {
            if let Some((_, to)) = words.iter().find(|(from, _)| *from == offset) {
                self.load(a, R3, SOCK, offset, Width::U64);
                a.load_at(Width::U64, R4, RECORD, *to as i16);
                a.jump_if(R3, Cond::Ne, R4, self.again);
            }
        }
        a.load_at(Width::U64, R1, HEADER, at(header::COUNT));
        a.add(R1, 1);
        a.store_at(Width::U64, HEADER, at(header::COUNT), R1);
        a.jump(self.next);
    }

    /// Loads a number that lies so many bytes behind the address in `base`.
    fn load(&self, a: &mut Assembler, dst: Reg, base: Reg, offset: u32, width: Width) {
        self.point(a, base, offset & !7);
        a.load_at(width, dst, R0, (offset & 7) as i16);
    }

    /// Makes R0 point to the words that lie so many bytes behind the address in
    /// `base`.
    fn point(&self, a: &mut Assembler, base: Reg, offset: u32) {
        a.mov(R1, base);
        a.add(R1, offset as i32);
        self.cast(a);
    }

    /// Makes R0 point to the words at the address in R1.
    fn cast(&self, a: &mut Assembler) {
        a.long(R2, self.members.word.into());
        a.call_kfunc(self.members.cast);
    }
}

/// Keeps loads in order where the processor does not.
fn fence(a: &mut Assembler) {
    if cfg!(not(target_arch = "x86_64")) {
        a.mov(R4, 0);
        a.fetch_add(Width::U64, HEADER, at(header::FENCE), R4);
    }
}
