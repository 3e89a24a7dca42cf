//! System calls that rustix does not cover: what a child does between `fork` and `exec`,
//! socket options of any type, threads that do not share their process's descriptors, bpf(2),
//! and the cost of a child.  All `unsafe` code of this crate is here.
//!
//! Invariant: everything that runs between `fork` and `exec` is a plain
//! system call on memory that was laid out before `fork`: no allocation, no
//! locks, because another thread may have held one when we forked.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// Requests to `NETLINK_ROUTE`, each with a sequence number and `NLM_F_ACK`.
///
/// For each one, the kernel's reply is written to `answers` as an `i32` in native byte order:
/// zero or an errno.
#[derive(Debug)]
pub(crate) struct Requests {
    /// The messages, in order.
    pub(crate) messages: Vec<Vec<u8>>,
    /// The write end of a pipe.
    pub(crate) answers: OwnedFd,
}

/// The namespaces of a [`crate::netns::Namespace`].
#[derive(Debug)]
pub(crate) struct Fds {
    /// Absent if root made the namespaces directly.
    pub(crate) user: Option<OwnedFd>,
    /// The network namespace.
    pub(crate) net: OwnedFd,
    /// The mount namespace.
    pub(crate) mnt: OwnedFd,
}

/// Makes the command's process enter new namespaces before `exec`, make the mounts private,
/// and then send the requests from there.
pub(crate) fn unshare_before_exec(command: &mut Command, flags: UnshareFlags, requests: Option<Requests>) {
    let hook = move || {
        // SAFETY: `unshare_unsafe` asks only that CLONE_FILES does not take
        // descriptors away from other threads; `flags` never has it, and the
        // child of a fork has one thread.
        unsafe { unshare_unsafe(flags & !UnshareFlags::FILES) }?;
        if flags.contains(UnshareFlags::NEWNS) {
            mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        }
        requests.as_ref().map_or(Ok(()), ask)
    };
    // SAFETY: the closure keeps this file's invariant: `unshare_unsafe` and
    // `mount_change` (given a C string) are bare system calls, and so is all
    // of `ask`.
    unsafe { command.pre_exec(hook) };
}

/// Makes the command's process enter the given namespaces before `exec`,
/// keeping its working directory, and then send the requests from there.
pub(crate) fn enter_before_exec(command: &mut Command, fds: Arc<Fds>, requests: Option<Requests>) {
    let hook = move || {
        let mut cwd = [0_u8; libc::PATH_MAX as usize];
        // SAFETY: getcwd writes at most the given length, which is the
        // array's, and ends what it wrote with a NUL.
        let known = unsafe { libc::getcwd(cwd.as_mut_ptr().cast(), cwd.len()) };
        if let Some(user) = &fds.user {
            move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
        }
        move_into_link_name_space(fds.net.as_fd(), Some(LinkNameSpaceType::Network))?;
        // rustix has no name for CLONE_NEWNS here; `None` takes any type.
        move_into_link_name_space(fds.mnt.as_fd(), None)?;
        // Entering a mount namespace changes the working directory to its root.
        if !known.is_null() {
            // SAFETY: `known` is `cwd`, which getcwd ended with a NUL.
            if unsafe { libc::chdir(known) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        requests.as_ref().map_or(Ok(()), ask)
    };
    // SAFETY: the closure keeps this file's invariant: setns and chdir are
    // bare system calls, glibc's getcwd into a buffer of PATH_MAX bytes is
    // too, and so is all of `ask`.
    unsafe { command.pre_exec(hook) };
}

/// Makes the command's process the leader of a session with its stdin as the terminal.
pub(crate) fn lead_session_before_exec(command: &mut Command) {
    let hook = || {
        rustix::process::setsid()?;
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        Ok(())
    };
    // SAFETY: the closure keeps this file's invariant: both are bare system calls.
    unsafe { command.pre_exec(hook) };
}

/// Makes the kernel refuse netlink sockets of these protocols, with this error, to the
/// command's process and its children.
pub(crate) fn refuse_netlink_before_exec(command: &mut Command, protocols: &[u32], errno: u32) {
    let mut program = filter_of_sockets(protocols, errno);
    let hook = move || {
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: with these arguments prctl(2) sets a flag of the process and
        // reads no memory.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel reads `filter` and the instructions it leads to,
        // which live until the call has returned, and keeps a copy.
        if unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: the closure keeps this file's invariant: two bare system calls on
    // memory that was laid out before.
    unsafe { command.pre_exec(hook) };
}

/// A seccomp(2) filter that refuses `socket(AF_NETLINK, any, PROTOCOL)`.
fn filter_of_sockets(protocols: &[u32], errno: u32) -> Vec<libc::sock_filter> {
    // struct seccomp_data: nr at 0, the halves of argument N at 16 + 8 N.
    let low = if cfg!(target_endian = "little") { 0 } else { 4 };
    let load = |k| libc::sock_filter { code: 0x20, jt: 0, jf: 0, k };
    let end = |k| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k };
    let count = protocols.len() as u8;
    // Jumps to the instruction after the comparisons, which allows the call.
    let unless = |k, jf| libc::sock_filter { code: 0x15, jt: 0, jf, k };
    let mut program = vec![
        load(0),
        unless(libc::SYS_socket as u32, 3 + count),
        load(16 + low),
        unless(libc::AF_NETLINK as u32, 1 + count),
        load(32 + low),
    ];
    for (at, protocol) in (1..).zip(protocols) {
        program.push(libc::sock_filter { code: 0x15, jt: 1 + count - at, jf: 0, k: *protocol });
    }
    program.extend([end(libc::SECCOMP_RET_ALLOW), end(libc::SECCOMP_RET_ERRNO | errno)]);
    program
}

/// System call numbers of bpf(2) and mmap(2), and argument values of mmap(2).
pub(crate) const BPF: u32 = libc::SYS_bpf as u32;
pub(crate) const MMAP: u32 = libc::SYS_mmap as u32;
pub(crate) const READ_AND_WRITE: u32 = (libc::PROT_READ | libc::PROT_WRITE) as u32;
pub(crate) const SHARED: u32 = libc::MAP_SHARED as u32;

/// Makes the kernel ask before a system call of the command's process or its children if the
/// arguments with these numbers have these values (the lower 32 bits).  Sends the descriptor
/// that answers through `to`.
pub(crate) fn hand_over_calls_before_exec(
    command: &mut Command,
    number: u32,
    conditions: &[(u32, u32)],
    to: OwnedFd,
) {
    let mut program = filter_of_calls(number, conditions);
    let hook = move || {
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: with these arguments prctl(2) sets a flag of the process and
        // reads no memory.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel reads `filter` and the instructions it leads to,
        // which live until the call has returned, and keeps a copy.
        let calls = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
                &raw const filter,
            )
        };
        if calls < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just returned this new descriptor, and nobody else has it.
        let calls = unsafe { OwnedFd::from_raw_fd(calls as c_int) };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [calls.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        rustix::net::sendmsg(&to, &[io::IoSlice::new(b"x")], &mut control, SendFlags::empty())?;
        Ok(())
    };
    // SAFETY: the closure keeps this file's invariant: bare system calls on memory that
    // was laid out before, or lies on the stack.
    unsafe { command.pre_exec(hook) };
}

/// A seccomp(2) filter that asks about a system call with these arguments.
fn filter_of_calls(number: u32, conditions: &[(u32, u32)]) -> Vec<libc::sock_filter> {
    // As in `filter_of_sockets`.
    let low = if cfg!(target_endian = "little") { 0 } else { 4 };
    let load = |k| libc::sock_filter { code: 0x20, jt: 0, jf: 0, k };
    let end = |k| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k };
    let pairs: Vec<(u32, u32)> = std::iter::once((0, number))
        .chain(conditions.iter().map(|(argument, value)| (16 + 8 * argument + low, *value)))
        .collect();
    let mut program = Vec::new();
    for (at, (offset, value)) in pairs.iter().enumerate() {
        // Jumps to the last instruction, which allows the call.
        let rest = 2 * (pairs.len() - 1 - at) + 1;
        program.push(load(*offset));
        program.push(libc::sock_filter { code: 0x15, jt: 0, jf: rest as u8, k: *value });
    }
    program.extend([end(libc::SECCOMP_RET_USER_NOTIF), end(libc::SECCOMP_RET_ALLOW)]);
    program
}

/// Receives the descriptor sent through a socket; `None` at the end of the stream.
pub(crate) fn receive_descriptor(from: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(from, &mut [io::IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    Ok(control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    }))
}

/// Answers the next system call: it fails with this error, or continues.  `false` if no call
/// is waiting any more.
pub(crate) fn answer_call(calls: &OwnedFd, errno: Option<i32>) -> io::Result<bool> {
    // SAFETY: the struct is numbers, for which zeros are values; the kernel wants zeros.
    let mut asked: libc::seccomp_notif = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes to `asked`, which has the size that belongs to this number.
    let received = unsafe { libc::ioctl(calls.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) };
    if received == 0 {
        let go_on = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        let (error, flags) = errno.map_or((0, go_on), |errno| (-errno, 0));
        let mut answer = libc::seccomp_notif_resp { id: asked.id, val: 0, error, flags };
        // SAFETY: the kernel reads `answer`, which has the size that belongs to this number.
        let sent = unsafe { libc::ioctl(calls.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
        if sent == 0 {
            return Ok(true);
        }
    }
    match io::Error::last_os_error() {
        // The calling process is gone, or was interrupted.
        error if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(false),
        error => Err(error),
    }
}

/// Sends each request and forwards the reply.  Allocates nothing.
fn ask(requests: &Requests) -> io::Result<()> {
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut answer = [0_u8; 1024];
    for message in &requests.messages {
        rustix::net::send(&socket, message, SendFlags::empty())?;
        rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
        // struct nlmsgerr follows the header of 16 bytes: s32 error.
        let error = answer[16..].first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        rustix::io::write(&requests.answers, &error.wrapping_neg().to_ne_bytes())?;
    }
    Ok(())
}

/// Gives the calling thread its own descriptor table: a copy of the process's, or with `none`
/// one that contains only the first three.
pub(crate) fn own_files(none: bool) -> io::Result<()> {
    // SAFETY: what the process has open stays open in its own table, so no
    // descriptor that another thread owns is taken away.
    unsafe { unshare_unsafe(UnshareFlags::FILES) }?;
    if none {
        // SAFETY: the descriptors closed are copies in a table that was just
        // made for this thread, in which nothing owns them.
        if unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Ends only the calling thread, even if it is the first one: the process goes on.
pub(crate) fn end_first_thread() -> ! {
    loop {
        // SAFETY: exit(2) ends the thread without telling the C library.  The stack stays
        // mapped, and nothing on it has to be dropped: the caller gives up everything that it
        // owns.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// Makes a TUN device with this name and index in the calling thread's network namespace; its
/// packets have no extra header.
pub(crate) fn tun(name: &str, index: u32) -> io::Result<OwnedFd> {
    // Both take an int or a struct that begins with the name (linux/if_tun.h).
    const TUNSETIFF: libc::Ioctl = 0x4004_54ca_u32 as libc::Ioctl;
    const TUNSETIFINDEX: libc::Ioctl = 0x4004_54da_u32 as libc::Ioctl;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open("/dev/net/tun", flags, Mode::empty())?;
    let mut index = index as c_int;
    // SAFETY: TUNSETIFINDEX reads one int, which `index` is.
    if unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETIFINDEX, &raw mut index) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // struct ifreq: a name of 16 bytes, flags in the 24 after it.
    let mut request = [0_u8; 40];
    let name = name.as_bytes().get(..15).unwrap_or(name.as_bytes());
    request[..name.len()].copy_from_slice(name);
    request[16..18].copy_from_slice(&((libc::IFF_TUN | libc::IFF_NO_PI) as u16).to_ne_bytes());
    // SAFETY: TUNSETIFF reads and writes one struct ifreq, and `request` is as long.
    if unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}

/// `setsockopt` with any bytes as value.
pub(crate) fn set_opt(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and length are those of `value`, which the kernel
    // only reads.  Options whose value holds further pointers are not set
    // through this function but through `drop_everything`.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), value.len() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Attaches a classic BPF program of one instruction, `ret 0`: from now on the socket receives
/// nothing, but it can still send.
pub(crate) fn drop_everything(fd: BorrowedFd<'_>) -> io::Result<()> {
    // BPF_RET | BPF_K
    let mut code = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut code };
    let size = mem::size_of_val(&program) as libc::socklen_t;
    // SAFETY: SO_ATTACH_FILTER reads one sock_fprog, which `program` is, and
    // copies `len` instructions from its `filter`: the one in `code`.  Both
    // outlive the call, after which the kernel keeps its own copy (socket(7)).
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast::<c_void>(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Calls bpf(2) with the words of its `union bpf_attr`.
///
/// # Safety
/// Every address in `attr` is of memory that is valid, until the call
/// returns, for what the command does with it.
unsafe fn bpf(command: c_int, attr: &mut [u32]) -> io::Result<c_int> {
    let size = mem::size_of_val(attr) as libc::c_ulong;
    // SAFETY: the kernel reads and writes no more of `attr` than its size,
    // which is passed; the rest is the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, libc::c_long::from(command), attr.as_mut_ptr(), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as c_int) }
}

/// An address as the two words of a 64-bit member.
fn address(of: *const u8) -> [u32; 2] {
    let address = (of as u64).to_ne_bytes();
    let [a, b, c, d, e, f, g, h] = address;
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

/// Calls bpf(2) with a command that creates an object.
///
/// # Safety
/// As [`bpf`], and the command returns a new descriptor.
unsafe fn make(command: c_int, attr: &mut [u32]) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the call returned a new descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `BPF_BTF_LOAD`.
pub(crate) fn btf_load(bytes: &[u8]) -> io::Result<OwnedFd> {
    let [low, high] = address(bytes.as_ptr());
    // btf, btf_log_buf, btf_size, btf_log_size, btf_log_level
    let mut attr = [low, high, 0, 0, bytes.len() as u32, 0, 0];
    // SAFETY: the command reads `btf_size` bytes at `btf`, which are those of
    // `bytes`, and writes no log without a size of one.
    unsafe { make(18, &mut attr) }
}

/// `BPF_MAP_CREATE`: type, size of keys and of values, most entries, flags;
/// then BTF and the types of keys and values.
pub(crate) fn map_create(shape: [u32; 5], types: [u32; 3]) -> io::Result<OwnedFd> {
    let mut attr = [0_u32; 15];
    attr[..5].copy_from_slice(&shape);
    // The types follow the inner map, the NUMA node, a name of 16 bytes and an interface.
    attr[12..].copy_from_slice(&types);
    // SAFETY: up to these members the attribute holds no address.
    unsafe { make(0, &mut attr) }
}

/// `BPF_OBJ_GET_INFO_BY_FD` of a map: its id.
pub(crate) fn map_id(map: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(map_info(map)?[1])
}

/// Type, id, size of keys, size of values.
fn map_info(map: BorrowedFd<'_>) -> io::Result<[u32; 4]> {
    let mut info = [0_u32; 4];
    let [low, high] = address(info.as_mut_ptr().cast());
    let mut attr = [map.as_raw_fd() as u32, mem::size_of_val(&info) as u32, low, high];
    // SAFETY: the command writes at most `info_len` bytes at `info`, which is
    // that long and lives until the call has returned.
    unsafe { bpf(15, &mut attr) }?;
    Ok(info)
}

/// `BPF_*_GET_NEXT_ID`: the id after this one, if there is one.
pub(crate) fn next_object(command: c_int, id: u32) -> io::Result<Option<u32>> {
    // start_id, next_id, open_flags
    let mut attr = [id, 0, 0];
    // SAFETY: the attribute holds no address.
    match unsafe { bpf(command, &mut attr) } {
        Ok(_) => Ok(Some(attr[1])),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `BPF_OBJ_GET_INFO_BY_FD` of the object with this id, opened by this command.
pub(crate) fn object_info(open: c_int, id: u32, info: &mut [u8]) -> io::Result<()> {
    // SAFETY: the attribute (id, next_id, open_flags) holds no address.
    let object = unsafe { make(open, &mut [id, 0, 0]) }?;
    // The kernel would take old content of `info` for addresses to write to.
    info.fill(0);
    let [low, high] = address(info.as_mut_ptr());
    let mut attr = [object.as_raw_fd() as u32, info.len() as u32, low, high];
    // SAFETY: the command writes at most `info_len` bytes at `info`, which is
    // that long and holds no address.
    unsafe { bpf(15, &mut attr) }.map(|_| ())
}

/// `BPF_MAP_UPDATE_ELEM`: adds the value or replaces it.
pub(crate) fn map_update(map: BorrowedFd<'_>, key: [u8; 4], value: &[u8]) -> io::Result<()> {
    let shape = map_info(map)?;
    if shape[2] as usize != key.len() || shape[3] as usize != value.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let ([key_low, key_high], [low, high]) = (address(key.as_ptr()), address(value.as_ptr()));
    // map_fd and padding, key, value, flags
    let mut attr = [map.as_raw_fd() as u32, 0, key_low, key_high, low, high, 0, 0];
    // SAFETY: the command reads a key and a value, which are as long as the
    // map says that its keys and values are.
    unsafe { bpf(2, &mut attr) }.map(|_| ())
}

/// The usage that wait4(2) reports for a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time of the program.
    pub(crate) user: Duration,
    /// Processor time of the kernel on its behalf.
    pub(crate) system: Duration,
    /// Greatest resident size, in KiB.
    pub(crate) max_rss_kib: u64,
}

/// Waits for a child and consumes it: its process id may be reused afterwards, so nobody may
/// wait for it again.
pub(crate) fn reap(mut child: Child) -> io::Result<(ExitStatus, Usage)> {
    drop(child.stdin.take());
    let mut status: c_int = 0;
    // SAFETY: `rusage` is a C structure of integers, for which all zero bits
    // are a value.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live variables of the types that wait4
        // writes.  The number is that of a child of ours that nobody has
        // waited for: `Child` waits only through `&mut` and is ours alone.
        let result = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
        if result >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.max(0) as u64) + Duration::from_micros(time.tv_usec.max(0) as u64)
    };
    let (user, system) = (time(usage.ru_utime), time(usage.ru_stime));
    Ok((ExitStatus::from_raw(status), Usage { user, system, max_rss_kib: usage.ru_maxrss.max(0) as u64 }))
}
