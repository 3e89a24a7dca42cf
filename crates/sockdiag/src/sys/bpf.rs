//! The bpf(2) system call, as far as sockets need it: opening objects by id, reading their
//! info, and loading and running programs.
//!
//! Invariant: every address that is passed to the kernel points to memory that the call
//! borrows as a slice or a string, and is passed with its length.
//!
//! Source: bpf(2), `union bpf_attr` and `struct bpf_btf_info` (linux/bpf.h).
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fmt;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;
use sockdiag_wire::bpf::{
    BPF_BTF_GET_FD_BY_ID, BPF_F_MMAPABLE, BPF_ITER_CREATE, BPF_LINK_CREATE, BPF_MAP_CREATE,
    BPF_MAP_GET_FD_BY_ID, BPF_MAP_TYPE_ARRAY, BPF_OBJ_GET_INFO_BY_FD, BPF_PROG_LOAD, BPF_PROG_TEST_RUN,
    BPF_TRACE_ITER, Insn,
};

/// The limit for the size of a kernel's types.
const MOST_BTF: usize = 1 << 28;
/// The size of the verifier's log.  Kernels before 6.4 keep the beginning of a longer log,
/// later ones the end.
const LOG_ROOM: usize = 1 << 20;
/// How much of the log is kept: the end, where the verifier names what it refuses.
const LOG_KEPT: usize = 4096;

/// A program to load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'a> {
    /// A name for people, cut to 15 bytes.
    pub name: &'a str,
    /// Its licence; some helpers of the kernel require one that is compatible with the GPL.
    pub license: &'a CStr,
    /// Its type (`BPF_PROG_TYPE_*`).
    pub kind: u32,
    /// The type of its attachment (`BPF_TRACE_*`), if it is attached.
    pub attach_type: u32,
    /// The BTF id of the kernel function that it will be attached to; 0 for none.
    pub target: u32,
    /// Flags (`BPF_F_*`).
    pub flags: u32,
    /// Its instructions.
    pub insns: &'a [Insn],
}

/// Why a program was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadError {
    /// The kernel's error number.
    pub errno: Errno,
    /// The end of the verifier's log, in whole lines; empty if something other than the
    /// verifier refused.
    pub log: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel refused to load the BPF program: {}", self.errno)?;
        self.log.lines().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// `union bpf_attr` for `BPF_PROG_LOAD`, up to the last member used.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// `union bpf_attr` for `BPF_MAP_CREATE`, up to the last member used.
#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; 16],
}

/// `union bpf_attr` for `BPF_*_GET_FD_BY_ID` and `BPF_*_GET_NEXT_ID`.
#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(Default)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    iter_info: u64,
    iter_info_len: u32,
    pad: u32,
}

/// `union bpf_attr` for `BPF_ITER_CREATE`.
#[repr(C)]
#[derive(Default)]
struct IterCreate {
    link_fd: u32,
    flags: u32,
}

/// `union bpf_attr` for `BPF_PROG_TEST_RUN`, up to the last member used.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
}

/// `struct bpf_btf_info`.
#[repr(C)]
#[derive(Default)]
struct BtfInfo {
    btf: u64,
    btf_size: u32,
    id: u32,
    name: u64,
    name_len: u32,
    kernel_btf: u32,
}

/// Calls bpf(2).
///
/// # Safety
/// `T` is the prefix of `union bpf_attr` that the command reads, without
/// padding; every address in it, and every address behind these that the
/// command looks at, is of memory that is valid for what the command does
/// with it until the call returns.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> Result<libc::c_int, Errno> {
    // SAFETY: the kernel reads and writes no more of `attr` than the size
    // passed, and takes what it does not get for zero; the rest is the
    // caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            libc::c_long::from(command),
            std::ptr::from_mut(attr),
            size_of::<T>() as libc::c_ulong,
        )
    };
    if result < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL));
    }
    Ok(result as libc::c_int)
}

/// Calls bpf(2) with a command that opens an object; the kernel sets close-on-exec on all
/// of these descriptors.
///
/// # Safety
/// As [`bpf`], and the command returns a new descriptor.
unsafe fn open<T>(command: libc::c_int, attr: &mut T) -> Result<OwnedFd, Errno> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the call has just returned this new descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

/// Reads what the kernel reports about an object, the beginning of its `struct bpf_*_info`;
/// returns how many bytes it filled.  The rest of `info` is zero.
pub(crate) fn object_info(object: BorrowedFd<'_>, info: &mut [u8]) -> Result<usize, Errno> {
    // Old bytes could be read as an address to write to.
    info.fill(0);
    let mut attr =
        InfoByFd { bpf_fd: raw(object), info_len: info.len() as u32, info: info.as_mut_ptr() as u64 };
    // SAFETY: `info` is writable for its length, which is what is passed (a
    // longer one is cut to it), and holds no address.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok((attr.info_len as usize).min(info.len()))
}

/// The types of a BTF object, as bytes.
pub(crate) fn btf_bytes(btf: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    // The first call, without a buffer, returns the size.
    for _ in 0..2 {
        let mut info =
            BtfInfo { btf: bytes.as_mut_ptr() as u64, btf_size: bytes.len() as u32, ..BtfInfo::default() };
        let mut attr =
            InfoByFd { bpf_fd: raw(btf), info_len: size_of::<BtfInfo>() as u32, info: &raw mut info as u64 };
        // SAFETY: `info` is writable for its size; the one address in it is of
        // `bytes`, writable for the length beside it, and the room for a name
        // is zero bytes.
        unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
        let size = info.btf_size as usize;
        if size <= bytes.len() {
            bytes.truncate(size);
            return Ok(bytes);
        }
        if size > MOST_BTF {
            break;
        }
        bytes.resize(size, 0);
    }
    Err(Errno::OVERFLOW)
}

/// Opens a map by its id.
pub(crate) fn map_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let mut attr = ById { id, ..ById::default() };
    // SAFETY: the command reads numbers and opens what they name.
    unsafe { open(BPF_MAP_GET_FD_BY_ID, &mut attr) }
}

/// Opens the types of a program or a map by their id.
pub(crate) fn btf_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let mut attr = ById { id, ..ById::default() };
    // SAFETY: the command reads numbers and opens what they name.
    unsafe { open(BPF_BTF_GET_FD_BY_ID, &mut attr) }
}

/// A name for people, cut to 15 bytes.
fn named(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    bytes
}

/// Creates a map with one value of this size in bytes, which can be mapped into memory.
pub(crate) fn array_of_one(name: &str, bytes: u32) -> Result<OwnedFd, Errno> {
    let mut attr = MapCreate {
        map_type: BPF_MAP_TYPE_ARRAY,
        key_size: size_of::<u32>() as u32,
        value_size: bytes,
        max_entries: 1,
        map_flags: BPF_F_MMAPABLE,
        map_name: named(name),
        ..MapCreate::default()
    };
    // SAFETY: the command reads numbers and a name, and opens a map.
    unsafe { open(BPF_MAP_CREATE, &mut attr) }
}

/// Loads a program.  If it is refused, loads it again with a log, to learn why.
pub(crate) fn load(program: &Program<'_>) -> Result<OwnedFd, LoadError> {
    let errno = match load_with(program, &mut []) {
        Ok(loaded) => return Ok(loaded),
        Err(errno) => errno,
    };
    let mut log = vec![0; LOG_ROOM];
    match load_with(program, &mut log) {
        Ok(loaded) => Ok(loaded),
        Err(_) => Err(LoadError { errno, log: end_of(&log) }),
    }
}

/// Loads a program; the verifier writes into `log`, if that is not empty.
fn load_with(program: &Program<'_>, log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let mut attr = ProgLoad {
        prog_type: program.kind,
        insn_cnt: program.insns.len() as u32,
        insns: program.insns.as_ptr() as u64,
        license: program.license.as_ptr() as u64,
        prog_flags: program.flags,
        prog_name: named(program.name),
        expected_attach_type: program.attach_type,
        attach_btf_id: program.target,
        ..ProgLoad::default()
    };
    // The kernel refuses a log address without a level, and a level without a log.
    if !log.is_empty() {
        attr.log_level = 1;
        attr.log_size = log.len() as u32;
        attr.log_buf = log.as_mut_ptr() as u64;
    }
    // SAFETY: the command opens a program.  It reads `insn_cnt` instructions of
    // `program` and a string that ends in NUL, and writes a log to `log` alone,
    // which is writable for `log_size` bytes.
    unsafe { open(BPF_PROG_LOAD, &mut attr) }
}

/// The last whole lines of a log that ends at its first NUL, up to the limit.
fn end_of(log: &[u8]) -> String {
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let text = log.get(..end).unwrap_or_default().trim_ascii_end();
    let kept = match text.len().checked_sub(LOG_KEPT) {
        None | Some(0) => text,
        Some(cut) => {
            // Drop the first line, which was cut, unless it is the only one.
            let kept = text.get(cut..).unwrap_or_default();
            let line = kept.iter().position(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            kept.get(line..).unwrap_or_default()
        }
    };
    String::from_utf8_lossy(kept).into_owned()
}

/// Makes an iterator from a program.
pub(crate) fn link_iterator(program: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut attr = LinkCreate { prog_fd: raw(program), attach_type: BPF_TRACE_ITER, ..LinkCreate::default() };
    // SAFETY: the command reads numbers; the room for more about the iterator
    // is zero bytes.
    unsafe { open(BPF_LINK_CREATE, &mut attr) }
}

/// Starts one pass of an iterator: reading the descriptor runs the program.
pub(crate) fn start_iterator(link: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut attr = IterCreate { link_fd: raw(link), flags: 0 };
    // SAFETY: the command reads numbers and opens what they name.
    unsafe { open(BPF_ITER_CREATE, &mut attr) }
}

/// Runs a program of type `syscall`, without a context, on this thread; returns its result.
pub(crate) fn run(program: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut attr = TestRun { prog_fd: raw(program), ..TestRun::default() };
    // SAFETY: the command reads numbers, all lengths of them zero, and writes
    // its answer into `attr`.  What the program does with memory, the kernel has
    // checked.
    unsafe { bpf(BPF_PROG_TEST_RUN, &mut attr) }?;
    Ok(attr.retval)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;
    use std::os::fd::AsFd as _;

    use sockdiag_wire::bpf::Reg::{R0, R1, R2, R6, R10};
    use sockdiag_wire::bpf::{
        Assembler, BPF_F_SLEEPABLE, BPF_FUNC_MAP_LOOKUP_ELEM, BPF_PROG_TYPE_SYSCALL, BtfInfoView, ByIdView,
        Cond, InfoByFdView, IterCreateView, LinkCreateView, Lookup, MapCreateView, ProgLoadView, TestRunView,
        Wanted, Width,
    };
    use sockdiag_wire::btf::Btf;
    use sockdiag_wire::layout::Layout;

    use super::*;
    use crate::sys::kernel_types::KernelTypes;

    /// Compares each member of a struct with the wire crate's view of the same attribute,
    /// whose offsets are checked against the kernel's headers.
    macro_rules! compare {
        ($($ty:ident as $layout:expr, $prefix:literal: $($member:ident)*;)*) => {
            $(
                let layout: Layout = $layout;
                let members: &[(&str, usize)] = &[$((stringify!($member), offset_of!($ty, $member))),*];
                for (name, offset) in members {
                    let full = format!("{}{name}", $prefix);
                    let known = layout.members.iter().find(|member| member.name == full);
                    assert_eq!(known.map(|member| member.offset), Some(*offset), "{full}");
                }
                assert_eq!(members.len(), layout.members.len(), "{}", stringify!($ty));
                assert_eq!(size_of::<$ty>(), layout.end().next_multiple_of(align_of::<$ty>()));
            )*
        };
    }

    #[test]
    fn members_lie_where_the_kernel_reads_them() {
        compare! {
            ProgLoad as ProgLoadView::LAYOUT, "": prog_type insn_cnt insns license log_level log_size log_buf
                kern_version prog_flags prog_name prog_ifindex expected_attach_type prog_btf_fd
                func_info_rec_size func_info func_info_cnt line_info_rec_size line_info line_info_cnt
                attach_btf_id;
            MapCreate as MapCreateView::LAYOUT, "": map_type key_size value_size max_entries map_flags
                inner_map_fd numa_node map_name;
            InfoByFd as InfoByFdView::LAYOUT, "info.": bpf_fd info_len info;
            LinkCreate as LinkCreateView::LAYOUT, "link_create.": prog_fd target_fd attach_type flags
                iter_info iter_info_len;
            IterCreate as IterCreateView::LAYOUT, "iter_create.": link_fd flags;
            TestRun as TestRunView::LAYOUT, "test.": prog_fd retval data_size_in data_size_out data_in data_out
                repeat duration ctx_size_in ctx_size_out ctx_in ctx_out;
            BtfInfo as BtfInfoView::LAYOUT, "": btf btf_size id name name_len kernel_btf;
        }
        // The id member has another name for each kind of object.
        assert_eq!((offset_of!(ById, id), size_of::<ById>()), (0, ByIdView::LAYOUT.end()));
        assert_eq!((offset_of!(ById, next_id), offset_of!(ById, open_flags)), (4, 8));
    }

    /// A program of type `syscall`.
    fn syscall(insns: &[Insn]) -> Program<'_> {
        Program {
            name: "sockdiag_test",
            license: c"Dual MIT/GPL",
            kind: BPF_PROG_TYPE_SYSCALL,
            attach_type: 0,
            target: 0,
            flags: BPF_F_SLEEPABLE,
            insns,
        }
    }

    /// Loads the program that `write` assembles.
    fn assembled(write: impl FnOnce(&mut Assembler)) -> Result<OwnedFd, LoadError> {
        let mut a = Assembler::new();
        write(&mut a);
        load(&syscall(&a.finish().expect("a program").insns))
    }

    /// Skips the test if programs cannot be loaded here.
    macro_rules! loadable {
        () => {
            if let Err(error) = assembled(|a| {
                a.mov(R0, 0);
                a.exit();
            }) {
                sockdiag_testkit::skip!("no programs here: {error}");
            }
        };
    }

    #[test]
    fn the_verifier_s_words_are_kept() {
        loadable!();
        let error = assembled(|a| {
            a.mov(R0, 0);
            a.load_at(Width::U64, R2, R10, 8);
            a.exit();
        })
        .expect_err("it reads beyond the stack");
        assert_eq!(error.errno, Errno::ACCESS);
        assert!(error.log.contains("R10") && error.log.contains("invalid"), "{}", error.log);
        let told = error.to_string();
        assert!(told.starts_with("the kernel refused to load the BPF program: "), "{told}");
        assert_eq!(told.lines().count(), 1 + error.log.lines().count());

        // The end of the log is kept, however long the log is.
        let error = assembled(|a| {
            a.mov(R0, 0);
            for _ in 0..2_000 {
                // A branch makes the verifier print its state.
                let next = a.label();
                a.add(R0, 1);
                a.jump_if(R0, Cond::Eq, 0, next);
                a.bind(next);
            }
            a.load_at(Width::U64, R2, R10, 8);
            a.exit();
        })
        .expect_err("it reads beyond the stack");
        assert!(error.log.len() <= LOG_KEPT && error.log.len() > LOG_KEPT / 2, "{}", error.log.len());
        assert!(error.log.contains("invalid"), "{}", error.log);
    }

    #[test]
    fn the_end_of_a_log_is_whole_lines() {
        let padded = |text: &str, zeros: usize| [text.as_bytes(), &vec![0; zeros]].concat();
        assert_eq!(end_of(&padded("", 9)), "");
        assert_eq!(end_of(&padded("one\ntwo\n\n", 9)), "one\ntwo");
        assert_eq!(end_of(b"no end"), "no end");
        let long = "0123456\n".repeat(LOG_KEPT / 8 + 10);
        let kept = end_of(long.as_bytes());
        assert!(kept.len() <= LOG_KEPT && kept.len() > LOG_KEPT - 16);
        assert!(kept.lines().all(|line| line == "0123456"));
        let line = "x".repeat(LOG_KEPT + 100);
        assert_eq!(end_of(line.as_bytes()).len(), LOG_KEPT, "of a single line the end");
    }

    #[test]
    fn the_verifier_takes_calls_constants_and_maps() {
        loadable!();
        // A function within the program, called twice, and a long constant.
        let loaded = assembled(|a| {
            let double = a.label();
            a.long(R1, 0x1_0000_0001);
            a.call_local(double);
            a.mov(R1, R0);
            a.call_local(double);
            a.exit();
            a.bind(double);
            a.mov(R0, R1);
            a.add(R0, R1);
            a.exit();
        });
        loaded.expect("a program with a function");
        let map = sockdiag_testkit::maps::Map::other().expect("a map");
        let loaded = assembled(|a| {
            let none = a.label();
            a.map(R1, map.as_fd().as_raw_fd());
            a.store_at(Width::U32, R10, -4, 0);
            a.mov(R2, R10);
            a.add(R2, -4);
            a.call(BPF_FUNC_MAP_LOOKUP_ELEM);
            a.jump_if(R0, Cond::Eq, 0, none);
            a.load_at(Width::U32, R0, R0, 0);
            a.bind(none);
            a.mov(R0, 0);
            a.exit();
        });
        loaded.expect("a program with a map");
    }

    #[test]
    fn functions_of_the_kernel_can_be_called_and_its_members_read() {
        loadable!();
        let types = KernelTypes::open().expect("a kernel with programs has types");
        let cast = Wanted::function("bpf_rdonly_cast");
        let wanted = [Wanted::structure("sock"), Wanted::structure("inet_connection_sock"), cast];
        let lookup = Lookup::new(Btf::new(types.bytes()).expect("the kernel's own"), &wanted);
        let Ok(cast) = lookup.function("bpf_rdonly_cast") else {
            sockdiag_testkit::skip!("a kernel before 6.2: it has no bpf_rdonly_cast");
        };
        let sock = lookup.structure("inet_connection_sock").expect("every kernel has it");
        let member = |path| lookup.member("inet_connection_sock", path).expect("every kernel has it");
        let loaded = assembled(|a| {
            a.mov(R1, 0);
            a.long(R2, sock.into());
            a.call_kfunc(cast);
            a.mov(R6, R0);
            a.load(R1, R6, member("icsk_inet.sk.__sk_common.skc_family"));
            a.load(R1, R6, member("icsk_bind_hash"));
            a.load(R1, R6, member("icsk_ca_state"));
            a.mov(R0, R1);
            a.exit();
        });
        loaded.unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn objects_that_do_not_exist_are_not_found() {
        match map_by_id(u32::MAX) {
            Err(Errno::NOENT) => {}
            Err(error) => sockdiag_testkit::skip!("no bpf(2) here: {error}"),
            Ok(_) => panic!("a map of that number"),
        }
        assert_eq!(btf_by_id(u32::MAX).err(), Some(Errno::NOENT));
        let file = std::fs::File::open("/dev/null").expect("a file");
        assert_eq!(object_info(file.as_fd(), &mut [1; 64]), Err(Errno::INVAL));
        assert_eq!(btf_bytes(file.as_fd()).err(), Some(Errno::INVAL));
        assert_eq!(start_iterator(file.as_fd()).err(), Some(Errno::INVAL));
        assert_eq!(link_iterator(file.as_fd()).err(), Some(Errno::INVAL));
        let nothing = LoadError { errno: Errno::TOOBIG, log: String::new() };
        assert_eq!(load(&Program { insns: &[], ..syscall(&[]) }).err(), Some(nothing));
    }

    #[test]
    fn the_kernel_s_own_types_can_be_opened_and_read() {
        // The kernel's own types are the first BTF object.
        let btf = match btf_by_id(1) {
            Ok(btf) => btf,
            Err(error) => sockdiag_testkit::skip!("no BTF object: {error}"),
        };
        let bytes = btf_bytes(btf.as_fd()).expect("the kernel's types");
        assert_eq!(std::fs::read("/sys/kernel/btf/vmlinux").ok().as_ref(), Some(&bytes));
        let mut info = [0xff; 64];
        let filled = object_info(btf.as_fd(), &mut info).expect("the same object");
        assert_eq!(info.get(8..12), Some(&(bytes.len() as u32).to_ne_bytes()[..]));
        assert!(filled >= 16 && info[filled..].iter().all(|byte| *byte == 0));
    }
}
