//! The bpf(2) system call, as far as sockets need it: objects by number and
//! what the kernel says about them, programs that iterate.
//!
//! Invariant: no address reaches the kernel but of memory that a slice or a
//! string of the call's own borrows, with its length.
//!
//! Source: bpf(2), `union bpf_attr` and `struct bpf_btf_info` (linux/bpf.h).
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

/// Commands (`enum bpf_cmd`).
const PROG_LOAD: libc::c_int = 5;
const MAP_GET_FD_BY_ID: libc::c_int = 14;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BTF_GET_FD_BY_ID: libc::c_int = 19;
const LINK_CREATE: libc::c_int = 28;
const ITER_CREATE: libc::c_int = 33;

/// `BPF_PROG_TYPE_TRACING`.
const TRACING: u32 = 26;
/// `BPF_TRACE_ITER`.
const TRACE_ITER: u32 = 28;
/// Of a kernel's types more than this is no sensible answer.
const MOST_BTF: usize = 1 << 28;

/// One instruction (`struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Insn {
    /// What it does.
    pub code: u8,
    /// Registers: the one it reads and the one it writes, as the machine's
    /// byte order has two bit-fields of four.
    regs: u8,
    /// Bytes or instructions away.
    pub off: i16,
    /// A number.
    pub imm: i32,
}

impl Insn {
    /// An instruction; registers are numbers from 0 to 10.
    pub(crate) const fn new(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Self {
        let regs = if cfg!(target_endian = "big") { dst << 4 | src } else { src << 4 | dst };
        Self { code, regs, off, imm }
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

/// Takes what a call that makes a descriptor returned; the kernel sets
/// close-on-exec on all of these.
fn owned(fd: libc::c_int) -> OwnedFd {
    // SAFETY: the call has just returned this descriptor, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

/// What the kernel says about an object, from the beginning of its
/// `struct bpf_*_info`; returns how many bytes it filled.  The rest of `info`
/// is zero.
pub(crate) fn object_info(object: BorrowedFd<'_>, info: &mut [u8]) -> Result<usize, Errno> {
    // What the caller left in it could read as an address to write to.
    info.fill(0);
    let mut attr =
        InfoByFd { bpf_fd: raw(object), info_len: info.len() as u32, info: info.as_mut_ptr() as u64 };
    // SAFETY: `info` is writable for its length, which is what is passed (a
    // longer one is cut to it), and holds no address.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok((attr.info_len as usize).min(info.len()))
}

/// The types of a BTF object, as bytes.
pub(crate) fn btf_bytes(btf: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    // Asked without room, the kernel says how much it takes.
    for _ in 0..2 {
        let mut info =
            BtfInfo { btf: bytes.as_mut_ptr() as u64, btf_size: bytes.len() as u32, ..BtfInfo::default() };
        let mut attr =
            InfoByFd { bpf_fd: raw(btf), info_len: size_of::<BtfInfo>() as u32, info: &raw mut info as u64 };
        // SAFETY: `info` is writable for its size; the one address in it is of
        // `bytes`, writable for the length beside it, and the room for a name
        // is zero bytes.
        unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }?;
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

/// Opens a map by its number.
pub(crate) fn map_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let mut attr = ById { id, ..ById::default() };
    // SAFETY: the command reads numbers.
    unsafe { bpf(MAP_GET_FD_BY_ID, &mut attr) }.map(owned)
}

/// Opens the types of a program or a map by their number.
pub(crate) fn btf_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let mut attr = ById { id, ..ById::default() };
    // SAFETY: the command reads numbers.
    unsafe { bpf(BTF_GET_FD_BY_ID, &mut attr) }.map(owned)
}

/// Loads a program that runs for every object of an iterator; `target` is the
/// number, in the kernel's BTF, of the function that stands for the iterator.
pub(crate) fn load_iterator(
    name: &str,
    license: &CStr,
    program: &[Insn],
    target: u32,
) -> Result<OwnedFd, Errno> {
    let mut prog_name = [0; 16];
    for (to, from) in prog_name.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    let mut attr = ProgLoad {
        prog_type: TRACING,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        prog_name,
        expected_attach_type: TRACE_ITER,
        attach_btf_id: target,
        ..ProgLoad::default()
    };
    // SAFETY: the command reads `insn_cnt` instructions of `program`, a string
    // that ends in NUL, and no log is asked for.
    unsafe { bpf(PROG_LOAD, &mut attr) }.map(owned)
}

/// Makes an iterator of a program.
pub(crate) fn link_iterator(program: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut attr = LinkCreate { prog_fd: raw(program), attach_type: TRACE_ITER, ..LinkCreate::default() };
    // SAFETY: the command reads numbers; the room for more about the iterator
    // is zero bytes.
    unsafe { bpf(LINK_CREATE, &mut attr) }.map(owned)
}

/// Starts one pass of an iterator: reading the descriptor runs the program.
pub(crate) fn start_iterator(link: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut attr = IterCreate { link_fd: raw(link), flags: 0 };
    // SAFETY: the command reads numbers.
    unsafe { bpf(ITER_CREATE, &mut attr) }.map(owned)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn members_lie_where_the_kernel_reads_them() {
        // Offsets in union bpf_attr, from linux/bpf.h.
        assert_eq!(offset_of!(ProgLoad, prog_name), 48);
        assert_eq!(offset_of!(ProgLoad, expected_attach_type), 68);
        assert_eq!((offset_of!(ProgLoad, attach_btf_id), size_of::<ProgLoad>()), (108, 112));
        assert_eq!((offset_of!(LinkCreate, iter_info), offset_of!(LinkCreate, iter_info_len)), (16, 24));
        assert_eq!((size_of::<InfoByFd>(), size_of::<ById>(), size_of::<BtfInfo>()), (16, 12, 32));
        assert_eq!((size_of::<Insn>(), size_of::<LinkCreate>()), (8, 32));
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
        assert!(load_iterator("nothing", c"GPL", &[], 0).is_err());
    }

    #[test]
    fn the_kernel_s_own_types_can_be_opened_and_read() {
        // The types of the kernel itself are the first BTF object.
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
