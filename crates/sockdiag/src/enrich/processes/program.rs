//! The program that the kernel runs for every open file of every task, and
//! the offsets it needs from the kernel's own types.
//!
//! For a file of the file system of sockets it writes a record of 16 bytes:
//! process, thread, descriptor, inode.  Inode numbers keep their low 32 bits,
//! as the kernel itself cuts them where it tells a socket's inode to anybody
//! (`idiag_inode`, `udiag_ino`).  That a file lies on that file system is what
//! makes its link in /proc read `socket:[INODE]`: a socket's own type of file
//! can lie elsewhere, opened by its path alone.
//!
//! Source: Documentation/bpf/bpf_iterators.rst, `struct bpf_iter__task_file`
//! (in the kernel's BTF), linux/bpf.h, linux/magic.h.

use sockdiag_wire::btf::{BTF_KIND_FUNC, BTF_KIND_STRUCT, Btf, Type};
use sockdiag_wire::bytes::u32_at;

use crate::sys::bpf::Insn;

/// The kernel takes only programs whose licence it can combine with its own,
/// and this is the one of its list that is ours.
pub(super) const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";
/// Length of a record.
pub(super) const RECORD: usize = 16;
/// As many wanted inodes are compared in the kernel at most.
const COMPARED: usize = 64;
/// `SOCKFS_MAGIC` (linux/magic.h).
const SOCKFS: i32 = 0x534f_434b;

/// What one open file of one task is.
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

/// Where the running kernel keeps what the program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offsets {
    /// `task_struct.tgid`: the process.
    tgid: i16,
    /// `task_struct.pid`: the thread.
    pid: i16,
    /// `file.f_inode`.
    inode: i16,
    /// `inode.i_ino`.
    ino: i16,
    /// `inode.i_sb`.
    sb: i16,
    /// `super_block.s_magic`.
    magic: i16,
    /// The number of the function that stands for the iterator.
    pub target: u32,
}

impl Offsets {
    /// Finds them in one pass over the kernel's types; `None` if one of them
    /// is not where every kernel so far has it.
    pub(super) fn find(btf: Btf<'_>) -> Option<Self> {
        let (mut task, mut file, mut inode, mut sb, mut target) = (None, None, None, None, None);
        for (id, ty) in btf.types() {
            if ty.kind == BTF_KIND_STRUCT {
                if ty.is_named(b"file") {
                    file = file.or_else(|| offsets(&ty, [b"f_inode"]));
                } else if ty.is_named(b"inode") {
                    inode = inode.or_else(|| offsets(&ty, [b"i_ino", b"i_sb"]));
                } else if ty.is_named(b"task_struct") {
                    task = task.or_else(|| offsets(&ty, [b"tgid", b"pid"]));
                } else if ty.is_named(b"super_block") {
                    sb = sb.or_else(|| offsets(&ty, [b"s_magic"]));
                }
            } else if ty.kind == BTF_KIND_FUNC && target.is_none() && ty.is_named(b"bpf_iter_task_file") {
                target = Some(id);
            }
            if let (Some([tgid, pid]), Some([f_inode]), Some([ino, i_sb]), Some([magic]), Some(target)) =
                (task, file, inode, sb, target)
            {
                return Some(Self { tgid, pid, inode: f_inode, ino, sb: i_sb, magic, target });
            }
        }
        None
    }
}

/// Where these members of a struct lie, in bytes, if it has them all at whole
/// bytes that an instruction can reach.
fn offsets<const N: usize>(ty: &Type<'_>, names: [&[u8]; N]) -> Option<[i16; N]> {
    let mut found = [0; N];
    for (to, name) in found.iter_mut().zip(names) {
        let member = ty.members().find(|member| member.is_named(name))?;
        if member.bitfield_bits != 0 || !member.bit_offset.is_multiple_of(8) {
            return None;
        }
        *to = i16::try_from(member.bit_offset / 8).ok()?;
    }
    Some(found)
}

/// Registers; R1 to R5 are arguments of a call, which changes them, and R0 is
/// its result.
const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R4: u8 = 4;
/// What the program is called with.
const CTX: u8 = 6;
const FILE: u8 = 7;
const TASK: u8 = 8;
const INODE: u8 = 9;
/// The end of the stack.
const STACK: u8 = 10;

/// Offsets in `struct bpf_iter__task_file` and `struct bpf_iter_meta`, which
/// are part of the iterator's interface.
const CTX_META: i16 = 0;
const CTX_TASK: i16 = 8;
const CTX_FD: i16 = 16;
const CTX_FILE: i16 = 24;
const META_SEQ: i16 = 0;

/// `bpf_seq_write` (linux/bpf.h).
const SEQ_WRITE: i32 = 127;

const fn load64(dst: u8, src: u8, off: i16) -> Insn {
    Insn::new(0x79, dst, src, off, 0)
}

const fn load32(dst: u8, src: u8, off: i16) -> Insn {
    Insn::new(0x61, dst, src, off, 0)
}

/// Puts a register into the record.
const fn put32(at: i16, src: u8) -> Insn {
    Insn::new(0x63, STACK, src, at - RECORD as i16, 0)
}

const fn copy(dst: u8, src: u8) -> Insn {
    Insn::new(0xbf, dst, src, 0, 0)
}

const fn set(dst: u8, imm: i32) -> Insn {
    Insn::new(0xb7, dst, 0, 0, imm)
}

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

/// Jumps to the end, by conditions; where to is filled in later.
const fn leave_if_zero(reg: u8) -> Insn {
    Insn::new(0x15, reg, 0, 0, 0)
}

const fn leave_unless(reg: u8, imm: i32) -> Insn {
    Insn::new(0x55, reg, 0, 0, imm)
}

const fn leave_unless_same(one: u8, other: u8) -> Insn {
    Insn::new(0x5d, one, other, 0, 0)
}

const LEAVE: Insn = Insn::new(0x05, 0, 0, 0, 0);

/// Whether an instruction jumps to the end.
fn leaves(insn: Insn) -> bool {
    matches!(insn.code, 0x15 | 0x55 | 0x5d | 0x05)
}

/// The program.  Without `threads` only the first task of a process counts;
/// `wanted` are the inodes to write about, all if there are many.
pub(super) fn program(offsets: &Offsets, threads: bool, wanted: Option<&[u32]>) -> Vec<Insn> {
    let mut all = vec![
        copy(CTX, R1),
        // Null when the iterator is at its end.
        load64(FILE, CTX, CTX_FILE),
        leave_if_zero(FILE),
        load64(TASK, CTX, CTX_TASK),
        leave_if_zero(TASK),
        load32(R3, TASK, offsets.tgid),
        load32(R4, TASK, offsets.pid),
    ];
    if !threads {
        all.push(leave_unless_same(R3, R4));
    }
    all.extend([
        load64(R1, FILE, offsets.inode),
        load64(R2, R1, offsets.sb),
        load64(R2, R2, offsets.magic),
        leave_unless(R2, SOCKFS),
        load64(INODE, R1, offsets.ino),
    ]);
    if let Some(wanted) = wanted.filter(|wanted| (1..=COMPARED).contains(&wanted.len())) {
        // Each leads past the rest and past the jump to the end.
        for (inode, left) in wanted.iter().zip((1..=wanted.len() as i16).rev()) {
            all.push(Insn::new(0x16, INODE, 0, left, *inode as i32));
        }
        all.push(LEAVE);
    }
    all.extend([
        put32(0, R3),
        put32(4, R4),
        load32(R1, CTX, CTX_FD),
        put32(8, R1),
        put32(12, INODE),
        load64(R1, CTX, CTX_META),
        load64(R1, R1, META_SEQ),
        copy(R2, STACK),
        Insn::new(0x07, R2, 0, 0, -(RECORD as i32)),
        set(R3, RECORD as i32),
        Insn::new(0x85, 0, 0, 0, SEQ_WRITE),
    ]);
    let end = all.len();
    for (at, insn) in all.iter_mut().enumerate().filter(|(_, insn)| leaves(**insn)) {
        // The program has some 90 instructions at most.
        insn.off = (end - at - 1) as i16;
    }
    // What does not fit into the reader's buffer is written again by the
    // kernel's own care, so the result does not matter.
    all.extend([set(R0, 0), EXIT]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::kernel_types::KernelTypes;

    const OFFSETS: Offsets = Offsets { tgid: 1, pid: 2, inode: 3, ino: 4, sb: 5, magic: 6, target: 7 };

    #[test]
    fn jumps_lead_to_the_end_or_to_the_record() {
        let some: Vec<u32> = (1..=COMPARED as u32).collect();
        for threads in [false, true] {
            for wanted in [None, Some(&some[..1]), Some(&some)] {
                let program = program(&OFFSETS, threads, wanted);
                let record = program.iter().position(|insn| *insn == put32(0, R3)).expect("it is written");
                let mut compared = 0;
                for (at, insn) in program.iter().enumerate() {
                    let to = at as i16 + 1 + insn.off;
                    if leaves(*insn) {
                        assert_eq!(to as usize, program.len() - 2);
                    } else if insn.code == 0x16 {
                        assert_eq!(to as usize, record);
                        compared += 1;
                    }
                }
                assert_eq!(compared, wanted.map_or(0, <[u32]>::len));
                assert_eq!(program.iter().any(|insn| insn.code == 0x5d), !threads);
            }
        }
        let many: Vec<u32> = (0..=COMPARED as u32).collect();
        assert_eq!(program(&OFFSETS, true, Some(&many)), program(&OFFSETS, true, None));
        assert_eq!(program(&OFFSETS, true, Some(&[])), program(&OFFSETS, true, None));
    }

    #[test]
    fn records_are_read_as_they_are_written() {
        let words = [7, 8, 9, 0xffff_fffe_u32].map(u32::to_ne_bytes).concat();
        let record = Record { pid: 7, tid: 8, fd: 9, inode: 0xffff_fffe };
        assert_eq!(Record::read(&words), Some(record));
        assert_eq!(Record::read(&words[..RECORD - 1]), None);
    }

    #[test]
    fn the_running_kernel_has_every_offset() {
        let types = match KernelTypes::open() {
            Ok(types) => types,
            Err(error) => sockdiag_testkit::skip!("no BTF: {error}"),
        };
        let btf = Btf::new(types.bytes()).expect("the kernel's own");
        let found = Offsets::find(btf).expect("every kernel has them");
        assert!(found.target != 0 && found.tgid != found.pid && found.ino != found.sb, "{found:?}");
        let function = btf.index().get(found.target).expect("a type of that number");
        assert_eq!(function.name(), b"bpf_iter_task_file");
    }
}
