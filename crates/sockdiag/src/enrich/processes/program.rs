//! The program that the kernel runs for every open file of every task, and
//! the offsets it needs from the kernel's own types.
//!
//! For each file on the socket file system (sockfs) it writes a record of 16 bytes:
//! process, thread, descriptor, inode.  Inode numbers are cut to their low 32 bits, as the
//! kernel itself reports them (`idiag_inode`, `udiag_ino`).  The test is the file system,
//! not the file type: a socket file opened by its path (`O_PATH`) lies on another file
//! system, and its link in /proc is not `socket:[INODE]`.
//!
//! Source: Documentation/bpf/bpf_iterators.rst, `struct bpf_iter__task_file`
//! (in the kernel's BTF), linux/magic.h.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::ffi::CStr;

use sockdiag_wire::bpf::Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};
use sockdiag_wire::bpf::{
    AssembleError, Assembler, BPF_FUNC_SEQ_WRITE, Cond, Insn, Label, Lookup, Member, NotFound, Reg, Wanted,
    Width,
};
use sockdiag_wire::btf::Btf;
use sockdiag_wire::bytes::u32_at;

/// The kernel loads only programs with a GPL-compatible licence; this is the one on its
/// list that fits ours.
pub(super) const LICENSE: &CStr = c"Dual MIT/GPL";
/// Length of a record.
pub(super) const RECORD: usize = 16;
/// How many wanted inodes the program compares in the kernel at most.
const COMPARED: usize = 64;
/// `SOCKFS_MAGIC` (linux/magic.h).
pub(super) const SOCKFS: i32 = 0x534f_434b;

/// One open socket of a task, as the program reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The process.
    pub pid: i32,
    /// The thread.
    pub tid: i32,
    /// The descriptor.
    pub fd: i32,
    /// The socket.
    pub inode: u32,
}

impl Record {
    /// Reads a record as the program writes it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [pid, tid, fd, inode] = [0, 4, 8, 12].map(|at| u32_at(bytes, at));
        Some(Self { pid: pid? as i32, tid: tid? as i32, fd: fd? as i32, inode: inode? })
    }
}

/// The offsets, in the running kernel, of the values that the program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Members {
    /// `bpf_iter__task_file.meta`: the state of the iteration.
    meta: Member,
    /// `bpf_iter__task_file.task`.
    task: Member,
    /// `bpf_iter__task_file.fd`: the descriptor.
    fd: Member,
    /// `bpf_iter__task_file.file`.
    file: Member,
    /// `bpf_iter_meta.seq`: the file that records are written to.
    seq: Member,
    /// `task_struct.tgid`: the process.
    tgid: Member,
    /// `task_struct.pid`: the thread.
    pid: Member,
    /// `file.f_inode`.
    f_inode: Member,
    /// `inode.i_ino`.
    i_ino: Member,
    /// `inode.i_sb`.
    i_sb: Member,
    /// `super_block.s_magic`: the file system.
    s_magic: Member,
    /// The BTF id of the function that stands for the iterator.
    pub target: u32,
}

impl Members {
    /// Finds the offsets in the kernel's types.
    pub(super) fn find(btf: Btf<'_>) -> Result<Self, NotFound> {
        const MEMBERS: [(&str, &str); 11] = [
            ("bpf_iter__task_file", "meta"),
            ("bpf_iter__task_file", "task"),
            ("bpf_iter__task_file", "fd"),
            ("bpf_iter__task_file", "file"),
            ("bpf_iter_meta", "seq"),
            ("task_struct", "tgid"),
            ("task_struct", "pid"),
            ("file", "f_inode"),
            ("inode", "i_ino"),
            ("inode", "i_sb"),
            ("super_block", "s_magic"),
        ];
        const IDS: [Wanted; 1] = [Wanted::function("bpf_iter_task_file")];
        let structs = MEMBERS.map(|(structure, _)| Wanted::structure(structure));
        let types = Lookup::new(btf, &[&structs[..], &IDS].concat());
        let [meta, task, fd, file, seq, tgid, pid, f_inode, i_ino, i_sb, s_magic] =
            types.members(&MEMBERS)?;
        let [target] = types.ids(IDS)?;
        Ok(Self { meta, task, fd, file, seq, tgid, pid, f_inode, i_ino, i_sb, s_magic, target })
    }
}

/// The program's argument.
const CONTEXT: Reg = R6;
const FILE: Reg = R7;
const TASK: Reg = R8;
const INODE: Reg = R9;
/// The end of the stack; the record lies below it.
const STACK: Reg = R10;

/// Assembles the program.  Without `threads` it reports only the first task of a process;
/// `wanted` limits it to these inodes, unless there are too many to compare.
pub(super) fn program(
    at: &Members,
    threads: bool,
    wanted: Option<&[u32]>,
) -> Result<Vec<Insn>, AssembleError> {
    let mut a = Assembler::new();
    let (write, leave) = (a.label(), a.label());
    a.mov(CONTEXT, R1);
    // Both are null at the end of the iteration.
    a.load_or(FILE, CONTEXT, at.file, leave);
    a.load_or(TASK, CONTEXT, at.task, leave);
    a.load(R3, TASK, at.tgid);
    a.load(R4, TASK, at.pid);
    if !threads {
        a.jump_if(R3, Cond::Ne, R4, leave);
    }

    a.load(R1, FILE, at.f_inode);
    a.load(R2, R1, at.i_sb);
    a.load(R2, R2, at.s_magic);
    a.jump_if(R2, Cond::Ne, SOCKFS, leave);
    a.load(INODE, R1, at.i_ino);
    if pick(&mut a, INODE, wanted, write) {
        a.jump(leave);
    }

    a.bind(write);
    let record = -(RECORD as i16);
    a.store_at(Width::U32, STACK, record, R3);
    a.store_at(Width::U32, STACK, record + 4, R4);
    a.load(R1, CONTEXT, at.fd);
    a.store_at(Width::U32, STACK, record + 8, R1);
    a.store_at(Width::U32, STACK, record + 12, INODE);
    a.load(R1, CONTEXT, at.meta);
    a.load(R1, R1, at.seq);
    a.mov(R2, STACK);
    a.add(R2, i32::from(record));
    a.mov(R3, RECORD as i32);
    // If the record does not fit the reader's buffer, the kernel writes it again on
    // the next read, so the return value can be ignored.
    a.call(BPF_FUNC_SEQ_WRITE);

    a.bind(leave);
    a.mov(R0, 0);
    a.exit();
    Ok(a.finish()?.insns)
}

/// Emits a jump to `write` if the inode is wanted.  Returns false, and emits nothing, if
/// no inode is given or too many to compare: then all are reported.
fn pick(a: &mut Assembler, inode: Reg, wanted: Option<&[u32]>, write: Label) -> bool {
    let Some(wanted) = wanted.filter(|wanted| (1..=COMPARED).contains(&wanted.len())) else { return false };
    for one in wanted {
        a.jump_if32(inode, Cond::Eq, *one as i32, write);
    }
    true
}

#[cfg(test)]
mod tests {
    use sockdiag_testkit::bpf::Machine;

    use super::*;
    use crate::sys::kernel_types::KernelTypes;

    /// The memory of a made-up kernel: structures at these addresses.
    const SEQ: u64 = 0x1000;
    const CONTEXT_AT: u64 = 0x2000;
    const META_AT: u64 = 0x3000;
    const TASK_AT: u64 = 0x4000;
    const FILE_AT: u64 = 0x5000;
    const INODE_AT: u64 = 0x6000;
    const SUPER_BLOCK_AT: u64 = 0x7000;

    /// Offsets that no kernel has, all different.
    fn members() -> Members {
        let wide = |offset| Member { offset, bytes: 8, width: Some(Width::U64), bits: None, type_id: 1 };
        let narrow = |offset| Member { bytes: 4, width: Some(Width::U32), ..wide(offset) };
        Members {
            meta: wide(0),
            task: wide(8),
            fd: narrow(16),
            file: wide(24),
            seq: wide(8),
            tgid: narrow(1204),
            pid: narrow(1200),
            f_inode: wide(32),
            i_ino: wide(64),
            i_sb: wide(40),
            s_magic: wide(96),
            target: 7,
        }
    }

    /// An open file for which the program runs.
    struct Open {
        pid: u32,
        tid: u32,
        fd: u32,
        inode: u64,
        magic: u64,
        /// Null at the end of the iteration.
        task: u64,
        file: u64,
    }

    const SOCKET: Open = Open {
        pid: 70,
        tid: 70,
        fd: 5,
        inode: 0xffff_fff0,
        magic: SOCKFS as u64,
        task: TASK_AT,
        file: FILE_AT,
    };

    fn written(open: &Open, threads: bool, wanted: Option<&[u32]>) -> Option<Record> {
        let at = members();
        let mut machine = Machine::default();
        let mut put = |structure: u64, member: Member, value: u64| {
            let bytes = value.to_le_bytes();
            machine.put(structure + u64::from(member.offset), &bytes[..member.bytes as usize]);
        };
        put(CONTEXT_AT, at.meta, META_AT);
        put(CONTEXT_AT, at.task, open.task);
        put(CONTEXT_AT, at.fd, open.fd.into());
        put(CONTEXT_AT, at.file, open.file);
        put(META_AT, at.seq, SEQ);
        put(TASK_AT, at.tgid, open.pid.into());
        put(TASK_AT, at.pid, open.tid.into());
        put(FILE_AT, at.f_inode, INODE_AT);
        put(INODE_AT, at.i_ino, open.inode);
        put(INODE_AT, at.i_sb, SUPER_BLOCK_AT);
        put(SUPER_BLOCK_AT, at.s_magic, open.magic);
        let insns = program(&at, threads, wanted).expect("a program");
        let insns: Vec<_> =
            insns.iter().map(|insn| (insn.code, insn.dst(), insn.src(), insn.off, insn.imm)).collect();
        let mut record = None;
        let result = machine.run(&insns, CONTEXT_AT, &mut |memory, helper, [seq, from, length, ..]| {
            assert_eq!((helper, seq, record), (BPF_FUNC_SEQ_WRITE, SEQ, None));
            record = Record::read(&memory.get(from, length as usize));
            0
        });
        assert_eq!(result, Ok(0));
        record
    }

    #[test]
    fn sockets_are_written_and_nothing_else() {
        let record = Record { pid: 70, tid: 70, fd: 5, inode: 0xffff_fff0 };
        for threads in [false, true] {
            assert_eq!(written(&SOCKET, threads, None), Some(record));
            assert_eq!(written(&Open { magic: 0x1234, ..SOCKET }, threads, None), None);
            assert_eq!(written(&Open { task: 0, ..SOCKET }, threads, None), None);
            assert_eq!(written(&Open { file: 0, ..SOCKET }, threads, None), None);
            // The kernel reports only the low half.
            let long = Open { inode: 0x7_0000_0009, ..SOCKET };
            assert_eq!(written(&long, threads, None), Some(Record { inode: 9, ..record }));
            assert_eq!(written(&long, threads, Some(&[9])), Some(Record { inode: 9, ..record }));
        }
        let thread = Open { tid: 71, ..SOCKET };
        assert_eq!(written(&thread, false, None), None);
        assert_eq!(written(&thread, true, None), Some(Record { tid: 71, ..record }));
    }

    #[test]
    fn few_wanted_sockets_are_picked_out_and_many_are_not() {
        let of = |inode: u32, wanted: &[u32]| {
            written(&Open { inode: inode.into(), ..SOCKET }, true, Some(wanted)).map(|record| record.inode)
        };
        let some: Vec<u32> = (1..=COMPARED as u32).map(|n| n * 0x0300_0001).collect();
        for inode in &some {
            assert_eq!(of(*inode, &some), Some(*inode));
            assert_eq!(of(*inode, &[*inode]), Some(*inode));
            assert_eq!(of(inode + 1, &some), None);
        }
        let many: Vec<u32> = (0..=COMPARED as u32).collect();
        assert_eq!(of(99_999, &many), Some(99_999), "so many are picked out by the reader");
        assert_eq!(of(99_999, &[]), Some(99_999));
    }

    #[test]
    fn records_are_read_as_they_are_written() {
        let words = [7, 8, 9, 0xffff_fffe_u32].map(u32::to_ne_bytes).concat();
        let record = Record { pid: 7, tid: 8, fd: 9, inode: 0xffff_fffe };
        assert_eq!(Record::read(&words), Some(record));
        assert_eq!(Record::read(&words[..RECORD - 1]), None);
    }

    #[test]
    fn the_running_kernel_has_every_member() {
        let types = match KernelTypes::open() {
            Ok(types) => types,
            Err(error) => sockdiag_testkit::skip!("no BTF: {error}"),
        };
        let btf = Btf::new(types.bytes()).expect("the kernel's own");
        let found = Members::find(btf).expect("every kernel has them");
        assert!(found.target != 0 && found.tgid != found.pid && found.i_ino != found.i_sb, "{found:?}");
        // The layout of the iterator's argument is a stable interface.
        let context = [found.meta, found.task, found.fd, found.file, found.seq].map(|member| member.offset);
        assert_eq!(context, [0, 8, 16, 24, 0]);
        assert_eq!((found.tgid.bytes, found.fd.bytes, found.i_ino.bytes), (4, 4, 8));
        let function = btf.index().get(found.target).expect("a type of that number");
        assert_eq!(function.name(), b"bpf_iter_task_file");
        assert!(program(&found, true, None).is_ok());
    }
}
