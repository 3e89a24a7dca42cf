//! The BPF program that the kernel runs for every task: it reads the task's whole table of
//! descriptors.  Also finds the offsets that it needs in the kernel's types.
//!
//! For an open file the kernel's iterator over files costs taking and dropping a reference,
//! a call of the program and three copies of a record; here it costs a few loads. Records
//! have the same form as those of the other program ([`program`]) and lie in memory that
//! this process maps.  A run ends when that memory is full or after [`MOST`] rounds; the
//! iterator then returns `EAGAIN`, and the next read starts with the same task, at the next
//! descriptor.
//!
//! No lock is taken and no reference held.  The kernel runs the program within an RCU
//! section, so tables and files that are released meanwhile stay readable, but a file's
//! memory may be reused for another file, and a table that a task has left may be freed at
//! once. Invariant: a record counts only if, after it was written, the task has the same
//! table, the table the same array, the array the same file at that position, and the file
//! the same inode; and a descriptor counts as closed, or as no socket, only if the task
//! still has the same table.  Otherwise the descriptor is read again.
//!
//! Loops use `bpf_iter_num` (Linux 6.4) and memory is read through `bpf_rdonly_cast` (Linux
//! 6.2); both are kfuncs.
//!
//! Source: Documentation/bpf/bpf_iterators.rst, Documentation/bpf/kfuncs.rst,
//! Documentation/filesystems/files.rst, and the kernel's BTF.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sockdiag_wire::bpf::Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};
use sockdiag_wire::bpf::{
    Alu, AssembleError, Assembler, Cond, Insn, Label, Lookup, Member, NotFound, Reg, Wanted, Width,
};
use sockdiag_wire::btf::Btf;

use super::program::{self, Record};
use super::sieve;
use crate::sys::bpf_value::SharedValue;

/// How many records fit into the shared memory.
pub(super) const ROOM: usize = 4096;
/// The limit of rounds per run, each for one descriptor or [`BATCH`] of them: at most two
/// milliseconds.
const MOST: i32 = 8 << 10;
/// How many open descriptors in a row are read in one round, first all files, then all
/// inodes, so that their cache misses overlap.
const BATCH: i32 = 8;
/// The length of the header in 4-byte numbers: the number of records, the thread whose
/// table is being read and its next descriptor, a fence, and the mask that finds the
/// sieve's word for an inode.
const HEADER: usize = 6;
/// The length of a record in 4-byte numbers.
const NUMBERS: usize = program::RECORD / 4;
/// The length of header and records.  The sieve's 8-byte words follow.
const BEFORE_SIEVE: usize = HEADER + ROOM * NUMBERS;

/// The offsets of the header's numbers, in bytes.
const COUNT: i16 = 0;
const TID: i16 = 4;
const NEXT: i16 = 8;
/// Zero is added here to keep loads in order.
const FENCE: i16 = 12;
/// The mask for the index of an inode's word in the sieve.
const MASK: i16 = 16;
/// The offset of the first record.
const RECORDS: i16 = HEADER as i16 * 4;
/// The offset of the sieve.
const SIEVE: i32 = BEFORE_SIEVE as i32 * 4;

/// The length, in 4-byte numbers, of the memory shared with the program, for a sieve of
/// this many words.
pub(super) const fn words(sieve: usize) -> usize {
    BEFORE_SIEVE + sieve * 2
}

/// Returns the records of a run, and resets their number.
pub(super) fn taken(words: &[AtomicU32]) -> impl Iterator<Item = Record> {
    let (header, records) = words.split_at_checked(HEADER).unwrap_or_default();
    let count = header.first().map_or(0, |count| count.swap(0, Relaxed));
    records.chunks_exact(NUMBERS).take(count as usize).filter_map(|record| {
        let [pid, tid, fd, inode] = record else { return None };
        let [pid, tid, fd] = [pid, tid, fd].map(|number| number.load(Relaxed) as i32);
        Some(Record { pid, tid, fd, inode: inode.load(Relaxed) })
    })
}

/// Prepares a pass for these inodes, and clears what an unfinished pass left behind.
pub(super) fn begin(shared: &SharedValue, wanted: super::Wanted<'_>) {
    let mask = sieve::fill(shared.longs().get(BEFORE_SIEVE / 2..).unwrap_or_default(), wanted);
    let words = shared.words();
    words.iter().take(HEADER).for_each(|number| number.store(0, Relaxed));
    if let Some(word) = words.get(MASK as usize / 4) {
        word.store(mask, Relaxed);
    }
}

/// The offsets of the members that the program reads, and the ids of the kernel functions
/// that it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Members {
    /// `bpf_iter__task.task`.
    task: Member,
    /// `task_struct.tgid`: the process.
    tgid: Member,
    /// `task_struct.pid`: the thread.
    pid: Member,
    /// `task_struct.group_leader`: the first thread of its process.
    group_leader: Member,
    /// `task_struct.files`: the table of descriptors.
    files: Member,
    /// `files_struct.fdt`: the part of the table that is replaced when it grows.
    fdt: Member,
    /// `fdtable.max_fds`: the number of descriptors that it has room for.
    max_fds: Member,
    /// `fdtable.open_fds`: one bit for each descriptor, set if it is in use.
    open_fds: Member,
    /// `fdtable.fd`: the file of each descriptor.
    fd: Member,
    /// `file.f_inode`.
    f_inode: Member,
    /// `inode.i_ino`.
    i_ino: Member,
    /// `inode.i_sb`.
    i_sb: Member,
    /// `super_block.s_magic`: the file system.
    s_magic: Member,
    /// A struct that begins with a 64-bit number, and that number.
    word: (u32, Member),
    /// The structs of a task and of a file.
    task_struct: u32,
    file: u32,
    cast: u32,
    loop_new: u32,
    loop_next: u32,
    loop_destroy: u32,
    /// The BTF id of the function that stands for the iterator.
    pub target: u32,
}

impl Members {
    /// Finds the offsets and ids in the kernel's types.
    pub(super) fn find(btf: Btf<'_>) -> Result<Self, NotFound> {
        const MEMBERS: [(&str, &str); 14] = [
            ("bpf_iter__task", "task"),
            ("task_struct", "tgid"),
            ("task_struct", "pid"),
            ("task_struct", "group_leader"),
            ("task_struct", "files"),
            ("files_struct", "fdt"),
            ("fdtable", "max_fds"),
            ("fdtable", "open_fds"),
            ("fdtable", "fd"),
            ("file", "f_inode"),
            ("inode", "i_ino"),
            ("inode", "i_sb"),
            ("super_block", "s_magic"),
            ("timespec64", "tv_sec"),
        ];
        const IDS: [Wanted; 8] = [
            Wanted::structure("timespec64"),
            Wanted::structure("task_struct"),
            Wanted::structure("file"),
            Wanted::function("bpf_rdonly_cast"),
            Wanted::function("bpf_iter_num_new"),
            Wanted::function("bpf_iter_num_next"),
            Wanted::function("bpf_iter_num_destroy"),
            Wanted::function("bpf_iter_task"),
        ];
        let structs = MEMBERS.map(|(structure, _)| Wanted::structure(structure));
        let types = Lookup::new(btf, &[&structs[..], &IDS].concat());
        let [
            task,
            tgid,
            pid,
            group_leader,
            files,
            fdt,
            max_fds,
            open_fds,
            fd,
            f_inode,
            i_ino,
            i_sb,
            s_magic,
            word,
        ] = types.members(&MEMBERS)?;
        let [word_struct, task_struct, file, cast, loop_new, loop_next, loop_destroy, target] =
            types.ids(IDS)?;
        Ok(Self {
            task,
            tgid,
            pid,
            group_leader,
            files,
            fdt,
            max_fds,
            open_fds,
            fd,
            f_inode,
            i_ino,
            i_sb,
            s_magic,
            word: (word_struct, word),
            task_struct,
            file,
            cast,
            loop_new,
            loop_next,
            loop_destroy,
            target,
        })
    }
}

const TASK: Reg = R6;
/// The current descriptor.
const FD: Reg = R7;
const FDT: Reg = R8;
const FILE: Reg = R9;
/// The end of the stack; variables lie below it.
const STACK: Reg = R10;
const ROUND: i16 = -8;
const FILES: i16 = -16;
const PLACE: i16 = -24;
const INODE: i16 = -32;
/// Process and thread, in the order of a record.
const WHO: i16 = -40;
/// Inodes of a batch.
const INODES: i16 = WHO - 8 * BATCH as i16;

/// The program.  It writes to the value of this map.  Without `threads` it reads only the
/// first task of a process; with `threads` also those that have a table of their own. The
/// sieve, which selects the inodes to report, has room for `sieve` words, a power of two.
pub(super) fn program(
    at: &Members,
    map: i32,
    threads: bool,
    sieve: usize,
) -> Result<Vec<Insn>, AssembleError> {
    let mut a = Assembler::new();
    let leave = a.label();
    // Null at the end of the iteration.
    a.load_or(R1, R1, at.task, leave);
    // For a pointer that the verifier trusts, it searches all the kernel's types at each
    // load, to see whether the loaded member is trusted too; the cast avoids that.
    a.long(R2, at.task_struct.into());
    a.call_kfunc(at.cast);
    a.mov(TASK, R0);
    a.load(R3, TASK, at.tgid);
    a.load(R4, TASK, at.pid);
    if threads {
        let own = a.label();
        a.jump_if(R3, Cond::Eq, R4, own);
        a.load_or(R1, TASK, at.group_leader, leave);
        a.load(R1, R1, at.files);
        a.load(R2, TASK, at.files);
        a.jump_if(R1, Cond::Eq, R2, leave);
        a.bind(own);
    } else {
        a.jump_if(R3, Cond::Ne, R4, leave);
    }
    a.store_at(Width::U32, STACK, WHO, R3);
    a.store_at(Width::U32, STACK, WHO + 4, R4);

    // Continue the same task where the last run stopped.
    let begun = a.label();
    a.map_value(R2, map);
    a.load_at(Width::U32, R1, R2, TID);
    a.jump_if(R1, Cond::Eq, R4, begun);
    a.store_at(Width::U32, R2, TID, R4);
    a.store_at(Width::U32, R2, NEXT, 0);
    a.bind(begun);

    Table { at, map, sieve, next: a.label(), skip: a.label(), again: a.label(), done: a.label() }
        .read(&mut a);

    a.bind(leave);
    a.mov(R0, 0);
    a.exit();
    Ok(a.finish()?.insns)
}

/// The part of the program that reads a table.
struct Table<'m> {
    at: &'m Members,
    map: i32,
    /// How many words the sieve has room for.
    sieve: usize,
    /// Continues with the next descriptor.
    next: Label,
    /// The descriptor in FD is not an open socket; continues with the next one.
    skip: Label,
    /// Ends the run; the next run continues with this task.
    again: Label,
    /// The whole table was read.
    done: Label,
}

impl Table<'_> {
    fn read(self, a: &mut Assembler) {
        let Self { at, map, next, skip, again, done, .. } = self;
        let (end, run, single) = (a.label(), a.label(), a.label());
        a.mov(R1, STACK);
        a.add(R1, i32::from(ROUND));
        a.mov(R2, 0);
        a.mov(R3, MOST);
        a.call_kfunc(at.loop_new);

        a.bind(next);
        a.mov(R1, STACK);
        a.add(R1, i32::from(ROUND));
        a.call_kfunc(at.loop_next);
        a.jump_if(R0, Cond::Eq, 0, again);
        a.map_value(R1, map);
        a.load_at(Width::U32, FD, R1, NEXT);
        // A task that is exiting has no table.
        a.load_or(R1, TASK, at.files, done);
        a.store_at(Width::U64, STACK, FILES, R1);
        a.load_or(FDT, R1, at.fdt, done);
        a.load(R2, FDT, at.max_fds);
        a.jump_if(FD, Cond::Ge, R2, end);

        // Each word shows which of 64 descriptors are in use.
        a.load(R1, FDT, at.open_fds);
        a.mov(R2, FD);
        a.alu(Alu::Rsh, R2, 6);
        a.alu(Alu::Lsh, R2, 3);
        self.word(a);
        a.load(R1, R0, at.word.1);
        a.mov(R2, FD);
        a.alu(Alu::And, R2, 63);
        a.alu(Alu::Rsh, R1, R2);
        a.jump_if(R1, Cond::Eq, 0, run);
        a.alu(Alu::And, R1, (1 << BATCH) - 1);
        a.jump_if(R1, Cond::Ne, (1 << BATCH) - 1, single);
        self.batch(a, single);

        a.bind(single);
        self.place(a, 0);
        a.store_at(Width::U64, STACK, PLACE, R0);
        self.file(a, skip);
        a.store_at(Width::U64, STACK, INODE, R1);
        self.sift(a);
        a.jump_if(R2, Cond::Eq, 0, skip);
        a.load_or(R2, R1, at.i_sb, skip);
        a.load(R2, R2, at.s_magic);
        a.jump_if(R2, Cond::Ne, program::SOCKFS, skip);
        self.write(a);

        // None of the remaining descriptors in this group of 64 is open.
        a.bind(run);
        a.alu(Alu::Or, FD, 63);
        a.bind(skip);
        self.same_table(a);
        a.add(FD, 1);
        a.map_value(R1, map);
        a.store_at(Width::U32, R1, NEXT, FD);
        a.jump(next);

        a.bind(end);
        self.same_table(a);
        a.bind(done);
        a.map_value(R1, map);
        a.store_at(Width::U32, R1, TID, 0);
        self.leave(a, 0);
        a.bind(again);
        self.leave(a, 1);
    }

    /// Reads [`BATCH`] open descriptors at once; at the first one that passes the sieve,
    /// continues at `single`.
    fn batch(&self, a: &mut Assembler, single: Label) {
        let hits: Vec<Label> = (0..BATCH).map(|_| a.label()).collect();
        let slot = |number: i32| INODES + 8 * number as i16;
        for number in 0..BATCH {
            self.place(a, number);
            // The sieve was not yet applied to any descriptor of the batch.
            self.file(a, single);
            a.store_at(Width::U64, STACK, slot(number), R1);
        }
        for (number, hit) in (0..).zip(&hits) {
            a.load_at(Width::U64, R1, STACK, slot(number));
            self.sift(a);
            a.jump_if(R2, Cond::Ne, 0, *hit);
        }
        a.add(FD, BATCH - 1);
        a.jump(self.skip);
        for (number, hit) in (0..).zip(hits) {
            a.bind(hit);
            a.add(FD, number);
            a.jump(single);
        }
    }

    /// Makes R0 point to the place of the descriptor that is `number` behind FD.
    fn place(&self, a: &mut Assembler, number: i32) {
        a.load(R1, FDT, self.at.fd);
        a.mov(R2, FD);
        a.add(R2, number);
        a.alu(Alu::Lsh, R2, 3);
        self.word(a);
    }

    /// Loads the inode of the file at the address in R0 into R1; jumps to `none` if there is
    /// none.
    fn file(&self, a: &mut Assembler, none: Label) {
        let at = self.at;
        a.load_or(R1, R0, at.word.1, none);
        a.long(R2, at.file.into());
        a.call_kfunc(at.cast);
        a.mov(FILE, R0);
        a.load_or(R1, FILE, at.f_inode, none);
    }

    /// Loads the number of the inode in R1 into R3, and sets R2 to whether it passes the
    /// sieve, which rules out most sockets that nobody asked for.
    fn sift(&self, a: &mut Assembler) {
        a.load(R3, R1, self.at.i_ino);
        a.map_value(R2, self.map);
        a.load_at(Width::U32, R5, R2, MASK);
        a.mov(R4, R3);
        a.alu(Alu::Rsh, R4, 6);
        a.alu(Alu::And, R4, R5);
        // The verifier does not know the value of the mask.
        a.alu(Alu::And, R4, self.sieve as i32 - 1);
        a.alu(Alu::Lsh, R4, 3);
        a.add(R2, R4);
        a.add(R2, SIEVE);
        a.load_at(Width::U64, R2, R2, 0);
        a.mov(R4, R3);
        a.alu(Alu::And, R4, 63);
        a.alu(Alu::Rsh, R2, R4);
        a.alu(Alu::And, R2, 1);
    }

    /// Writes the record, and counts it if nothing in it has changed.
    fn write(&self, a: &mut Assembler) {
        let Self { at, map, next, again, .. } = self;
        let full = *again;
        a.map_value(R1, *map);
        a.load_at(Width::U32, R2, R1, COUNT);
        a.jump_if(R2, Cond::Ge, ROOM as i32, full);
        a.mov(R4, R2);
        a.alu(Alu::Lsh, R4, program::RECORD.trailing_zeros() as i32);
        a.add(R4, R1);
        a.load_at(Width::U64, R5, STACK, WHO);
        a.store_at(Width::U64, R4, RECORDS, R5);
        a.store_at(Width::U32, R4, RECORDS + 8, FD);
        a.store_at(Width::U32, R4, RECORDS + 12, R3);
        self.same_table(a);
        a.load(R4, R5, at.fdt);
        a.jump_if(R4, Cond::Ne, FDT, *next);
        a.load_at(Width::U64, R4, STACK, PLACE);
        a.load(R4, R4, at.word.1);
        a.jump_if(R4, Cond::Ne, FILE, *next);
        a.load(R4, FILE, at.f_inode);
        a.load_at(Width::U64, R5, STACK, INODE);
        a.jump_if(R4, Cond::Ne, R5, *next);
        a.add(R2, 1);
        a.store_at(Width::U32, R1, COUNT, R2);
        a.add(FD, 1);
        a.store_at(Width::U32, R1, NEXT, FD);
        a.jump(*next);
    }

    /// Reads the descriptor again if the task now has another table; leaves the table in
    /// R5.
    fn same_table(&self, a: &mut Assembler) {
        if cfg!(not(target_arch = "x86_64")) {
            // Other processors may reorder the loads.
            a.map_value(R5, self.map);
            a.mov(R4, 0);
            a.fetch_add(Width::U32, R5, FENCE, R4);
        }
        a.load(R4, TASK, self.at.files);
        a.load_at(Width::U64, R5, STACK, FILES);
        a.jump_if(R4, Cond::Ne, R5, self.next);
    }

    /// Points R0 to the word at offset R2 from the address in R1.
    fn word(&self, a: &mut Assembler) {
        a.add(R1, R2);
        a.long(R2, self.at.word.0.into());
        a.call_kfunc(self.at.cast);
    }

    /// Ends the loop and the run.
    fn leave(&self, a: &mut Assembler, result: i32) {
        a.mov(R1, STACK);
        a.add(R1, i32::from(ROUND));
        a.call_kfunc(self.at.loop_destroy);
        a.mov(R0, result);
        a.exit();
    }
}

#[cfg(test)]
mod tests;
