//! Names that the C library knows: services, protocols, users, hosts, interfaces.
//!
//! Look-ups go through the name service switch, as in all programs on the machine, so a
//! name found here is the name that other programs show.  A static program has no such
//! switch: [`super::nss`] reports which sources it could not query.
//!
//! Source: getservbyport(3), getprotobynumber(3), getpwuid(3), getnameinfo(3), if_indextoname(3).
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, ToSocketAddrs};

#[cfg(target_env = "gnu")]
use libc::protoent;
use libc::{ERANGE, c_char, c_int, servent};

use sockdiag_facts::escape;
use sockdiag_facts::sort::sort_by;

use super::nss::{Names, answered};
use super::opener::Opener;
use crate::model::Addr;

unsafe extern "C" {
    // The reentrant look-ups of glibc, which the libc crate does not declare. Signatures as
    // in netdb.h: the entry and its strings are written to the caller's buffers, and
    // `found` points to the entry or is null.
    fn getservbyport_r(
        port: c_int,
        protocol: *const c_char,
        entry: *mut servent,
        buffer: *mut c_char,
        length: usize,
        found: *mut *mut servent,
    ) -> c_int;
    fn getservbyname_r(
        name: *const c_char,
        protocol: *const c_char,
        entry: *mut servent,
        buffer: *mut c_char,
        length: usize,
        found: *mut *mut servent,
    ) -> c_int;
    #[cfg(target_env = "gnu")]
    fn getprotobynumber_r(
        number: c_int,
        entry: *mut protoent,
        buffer: *mut c_char,
        length: usize,
        found: *mut *mut protoent,
    ) -> c_int;
}

/// A C structure for which all zero bits are a valid value.
///
/// # Safety
/// It has nothing but integers and raw pointers, and arrays of them.
unsafe trait Zeroed: Sized {
    /// All bits zero.
    fn zeroed() -> Self {
        // SAFETY: the trait's promise.
        unsafe { zeroed() }
    }
}

// SAFETY: a port, and pointers to strings and to a list of them.
unsafe impl Zeroed for servent {}
// SAFETY: a number, and pointers to strings and to a list of them.
#[cfg(target_env = "gnu")]
unsafe impl Zeroed for protoent {}
// SAFETY: two numbers and pointers to strings.
unsafe impl Zeroed for libc::passwd {}
// SAFETY: integers, and an array of bytes.
unsafe impl Zeroed for libc::sockaddr_in {}
// SAFETY: integers, and an array of bytes.
unsafe impl Zeroed for libc::sockaddr_in6 {}

/// Runs a reentrant look-up with buffers that grow until the answer fits, and reads the
/// answer while they live.
///
/// `call` must leave in its last argument null or a pointer to the entry that
/// it was given, filled in with pointers into the buffer.
fn look_up<E: Zeroed, T>(
    call: impl Fn(*mut E, *mut c_char, usize, *mut *mut E) -> c_int,
    read: impl FnOnce(&E) -> Option<T>,
) -> Option<T> {
    let mut buffer = vec![0_u8; 1024];
    loop {
        let mut entry = E::zeroed();
        let mut found: *mut E = std::ptr::null_mut();
        let status = call(&raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found);
        if status == ERANGE && buffer.len() < 1 << 20 {
            buffer.resize(buffer.len() * 2, 0);
            continue;
        }
        return if status == 0 && !found.is_null() { read(&entry) } else { None };
    }
}

/// A string of an entry that was just looked up, cut to the longest that is kept.
///
/// # Safety
/// `name` is null, or a string that ends in NUL and lives as long as the call.
unsafe fn string_of(name: *const c_char) -> Option<Vec<u8>> {
    if name.is_null() {
        return None;
    }
    // SAFETY: it is not null, and the rest is the caller's promise.
    Some(escape::kept(unsafe { CStr::from_ptr(name) }.to_bytes()).to_vec())
}

/// Name of a service by its port in host order; `None` searches all protocols.
pub(crate) fn service_name(port: u16, protocol: Option<&CStr>) -> Option<Vec<u8>> {
    let protocol = protocol.map_or(std::ptr::null(), CStr::as_ptr);
    let name = look_up(
        |entry, buffer, length, found| {
            // SAFETY: `protocol` is null or a string that ends in NUL; the rest
            // is writable for what its type or `length` says.
            unsafe { getservbyport_r(i32::from(port.to_be()), protocol, entry, buffer, length, found) }
        },
        // SAFETY: the look-up has put null or a string there, in the buffer,
        // which lives while the entry is read.
        |entry: &servent| unsafe { string_of(entry.s_name) },
    );
    answered(Names::Services, name)
}

/// Port, in host order, of a service by its name or an alias.
pub(crate) fn service_port(name: &[u8], protocol: Option<&CStr>) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let protocol = protocol.map_or(std::ptr::null(), CStr::as_ptr);
    let port = look_up(
        |entry, buffer, length, found| {
            // SAFETY: both strings end in NUL (`protocol` may be null); the rest
            // is writable for what its type or `length` says.
            unsafe { getservbyname_r(name.as_ptr(), protocol, entry, buffer, length, found) }
        },
        |entry: &servent| Some(u16::from_be(entry.s_port as u16)),
    );
    answered(Names::Services, port)
}

/// Name of an IP protocol by its number: from the file first, since other C libraries may
/// only know a built-in list.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn protocol_name(number: u16) -> Option<Vec<u8>> {
    super::nss::protocol(number, std::path::Path::new("/etc")).or_else(|| listed_protocol(number))
}

/// Name of an IP protocol that the C library knows without a file.
#[cfg(not(target_env = "gnu"))]
fn listed_protocol(number: u16) -> Option<Vec<u8>> {
    // The C library has one entry per process, so only one thread may use it at a time.
    static ENTRY: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _mine = ENTRY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // SAFETY: the call takes any number, and no other thread is in it.
    let entry = unsafe { libc::getprotobynumber(i32::from(number)) };
    // SAFETY: it is null or points to an entry that stays until the next call.
    let entry = unsafe { entry.as_ref() }?;
    // SAFETY: as for a service.
    unsafe { string_of(entry.p_name) }
}

/// Name of an IP protocol by its number.
#[cfg(target_env = "gnu")]
pub(crate) fn protocol_name(number: u16) -> Option<Vec<u8>> {
    look_up(
        |entry, buffer, length, found| {
            // SAFETY: the call takes any number; the rest is writable for what
            // its type or `length` says.
            unsafe { getprotobynumber_r(i32::from(number), entry, buffer, length, found) }
        },
        // SAFETY: as for a service.
        |entry: &protoent| unsafe { string_of(entry.p_name) },
    )
}

/// Name of a user by its number.
pub(crate) fn user_name(uid: u32) -> Option<Vec<u8>> {
    let name = look_up(
        |entry, buffer, length, found| {
            // SAFETY: the call takes any number; the rest is writable for what
            // its type or `length` says.
            unsafe { libc::getpwuid_r(uid, entry, buffer, length, found) }
        },
        // SAFETY: as for a service.
        |entry: &libc::passwd| unsafe { string_of(entry.pw_name) },
    );
    answered(Names::Users, name)
}

/// Number of a user by its name.
pub(crate) fn user_number(name: &[u8]) -> Option<u32> {
    let name = CString::new(name).ok()?;
    let uid = look_up(
        |entry, buffer, length, found| {
            // SAFETY: the name ends in NUL; the rest is writable for what its
            // type or `length` says.
            unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer, length, found) }
        },
        |entry: &libc::passwd| Some(entry.pw_uid),
    );
    answered(Names::Users, uid)
}

/// The name of a host by its address; `None` if it has none.  Blocks for as long as the
/// resolver takes, and may run on several threads at once.
pub(crate) fn host_name(addr: Addr) -> Option<Vec<u8>> {
    let name = match addr {
        Addr::V4(octets) => {
            let mut sa = libc::sockaddr_in::zeroed();
            sa.sin_family = libc::AF_INET as libc::sa_family_t;
            sa.sin_addr.s_addr = u32::from_ne_bytes(octets);
            name_of(&sa)
        }
        Addr::V6(octets) => {
            let mut sa = libc::sockaddr_in6::zeroed();
            sa.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            sa.sin6_addr.s6_addr = octets;
            name_of(&sa)
        }
        Addr::Number(_) | Addr::None => return None,
    };
    answered(Names::Hosts, name)
}

/// A socket address of the C library.
///
/// # Safety
/// It begins with its family, is laid out as the library lays that family's
/// addresses out, and has no padding.
unsafe trait SocketAddress {}

// SAFETY: the library's own, whose family is set where it is made.
unsafe impl SocketAddress for libc::sockaddr_in {}
// SAFETY: the library's own, whose family is set where it is made.
unsafe impl SocketAddress for libc::sockaddr_in6 {}

/// `getnameinfo` of a socket address.
fn name_of<T: SocketAddress>(sa: &T) -> Option<Vec<u8>> {
    // NI_MAXHOST
    let mut host = [0_u8; 1025];
    // SAFETY: `sa` is an address, readable for its own size; `host` is writable for the
    // length passed, and the service buffer is null with length 0.
    let status = unsafe {
        libc::getnameinfo(
            std::ptr::from_ref(sa).cast(),
            size_of::<T>() as libc::socklen_t,
            host.as_mut_ptr().cast(),
            host.len() as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if status != 0 {
        return None;
    }
    let name = CStr::from_bytes_until_nul(&host).ok()?;
    (!name.is_empty()).then(|| name.to_bytes().to_vec())
}

/// The addresses of a host, IPv4 ones first; none if it is unknown.
pub(crate) fn host_addrs(name: &[u8]) -> Vec<Addr> {
    let Ok(name) = std::str::from_utf8(name) else { return Vec::new() };
    // glibc parses these as numbers; the reference does not look them up.
    if is_hexadecimal_address(name) {
        return Vec::new();
    }
    let Some(found) = answered(Names::Hosts, (name, 0).to_socket_addrs().ok()) else { return Vec::new() };
    let mut addrs: Vec<Addr> = Vec::new();
    for addr in found {
        let addr = match addr.ip() {
            IpAddr::V4(ip) => Addr::V4(ip.octets()),
            IpAddr::V6(ip) => Addr::V6(ip.octets()),
        };
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    let is_v6 = |addr: &Addr| matches!(addr, Addr::V6(_));
    sort_by(&mut addrs, &mut |a, b| is_v6(a).cmp(&is_v6(b)));
    addrs
}

/// Whether a word is an address of up to four numbers, at least one of them hexadecimal
/// (`0x7f000001`, `127.0x1`).
fn is_hexadecimal_address(word: &str) -> bool {
    fn hexadecimal(part: &str) -> Option<&str> {
        part.strip_prefix("0x").or(part.strip_prefix("0X"))
    }
    let is_number = |part: &str| match hexadecimal(part) {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()),
    };
    word.split('.').all(is_number) && word.split('.').any(|part| hexadecimal(part).is_some())
}

/// Name of the interface with this index in a namespace, by the `SIOCGIFNAME` ioctl.
pub(crate) fn interface_name(index: u32, opener: &Opener) -> Option<Vec<u8>> {
    opener.run(move || interface_name_here(index)).ok()?
}

fn interface_name_here(index: u32) -> Option<Vec<u8>> {
    let mut name = [0_u8; libc::IF_NAMESIZE];
    // SAFETY: if_indextoname writes at most IF_NAMESIZE bytes, which `name` has.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    Some(CStr::from_bytes_until_nul(&name).ok()?.to_bytes().to_vec())
}

/// Index of the interface with this name in a namespace, by the `SIOCGIFINDEX` ioctl.
pub(crate) fn interface_index(name: &[u8], opener: &Opener) -> Option<u32> {
    let name = CString::new(name).ok()?;
    opener.run(move || interface_index_here(&name)).ok()?
}

fn interface_index_here(name: &CStr) -> Option<u32> {
    // SAFETY: the string ends in NUL.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_both_ways() {
        if service_port(b"ssh", Some(c"tcp")).is_none() {
            sockdiag_testkit::skip!("no services database here");
        }
        assert_eq!(service_port(b"ssh", Some(c"tcp")), Some(22));
        assert_eq!(service_name(22, Some(c"tcp")).as_deref(), Some(&b"ssh"[..]));
        assert_eq!(service_name(22, None).as_deref(), Some(&b"ssh"[..]));
        assert_eq!(service_name(1, Some(c"no such protocol")), None);
        assert_eq!(service_port(b"no such service", None), None);
        assert_eq!(service_port(b"nul\0inside", None), None);
    }

    #[test]
    fn the_loopback_interface_is_found_both_ways() {
        let here = Opener::here();
        let Some(index) = interface_index(b"lo", &here) else {
            sockdiag_testkit::skip!("there is none here");
        };
        assert_eq!(interface_name(index, &here).as_deref(), Some(&b"lo"[..]));
        assert_eq!(interface_index(b"a name that no interface can have", &here), None);
        assert_eq!(interface_name(u32::MAX, &here), None);
    }

    #[test]
    fn localhost_has_addresses_with_ipv4_first() {
        let addrs = host_addrs(b"localhost");
        if addrs.is_empty() {
            sockdiag_testkit::skip!("nobody knows it here");
        }
        let firsts = addrs.iter().take_while(|addr| matches!(addr, Addr::V4(_))).count();
        assert!(addrs.iter().skip(firsts).all(|addr| matches!(addr, Addr::V6(_))), "{addrs:?}");
        assert_eq!(host_addrs(b"\xff"), []);
        assert_eq!(host_addrs(b"no.such.host.invalid"), []);
    }
}
