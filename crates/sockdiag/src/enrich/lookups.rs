//! Look-ups on this machine for filters.
//!
//! Source: getservbyname(3), getaddrinfo(3), rtnetlink(7),
//! name_to_handle_at(2).

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;

use super::cgroups::mount_point;
use super::interfaces::Links;
use super::netlink::Protocols;
use super::rpc::RpcNames;
use crate::filter::{CgroupError, Lookups, Transport};
use crate::model::{Addr, Family};
use crate::notice::Notice;
use crate::source::{self, Access};
use crate::sys::errno_of;
use crate::sys::handle::{IdError, id_of};
use crate::sys::names::{host_addrs, service_port, user_number};

/// Looks up what filters name, on this machine and in one network namespace.
#[derive(Debug)]
pub(crate) struct SystemLookups<'l> {
    links: &'l mut Links,
    access: &'l mut Access,
    /// Whether a name was looked up whose number may change later: an interface or a
    /// cgroup.
    volatile: bool,
    /// Whether RPC services have names (`-r` without `-n`).
    with_rpc: bool,
    /// Whether rows show which namespace they belong to.
    tells_namespaces: bool,
    rpc: Option<RpcNames>,
    protocols: Option<Protocols>,
    /// The notice to give if the kernel could not be queried.
    refused: Option<Notice>,
}

impl<'l> SystemLookups<'l> {
    /// With `with_rpc`, rpcbind is asked when a filter first names a service that no other
    /// source knows.
    pub(crate) fn new(links: &'l mut Links, access: &'l mut Access, with_rpc: bool) -> Self {
        Self {
            links,
            access,
            volatile: false,
            with_rpc,
            tells_namespaces: false,
            rpc: None,
            protocols: None,
            refused: None,
        }
    }

    /// Sets whether rows will show which namespace they belong to.
    pub(crate) fn telling_namespaces(mut self, so: bool) -> Self {
        self.tells_namespaces = so;
        self
    }

    /// Whether a later look-up may return something else.
    pub(crate) fn is_volatile(&self) -> bool {
        self.volatile
    }

    /// The notice to give if the kernel could not be queried about an interface or a
    /// condition.  The interface may have been found in another way nevertheless.
    pub(crate) fn take_refused(&mut self) -> Option<Notice> {
        self.refused.take()
    }
}

impl Lookups for SystemLookups<'_> {
    fn service(&mut self, name: &[u8], transport: Transport) -> Option<u16> {
        let protocol = match transport {
            Transport::Tcp => c"tcp",
            Transport::Udp => c"udp",
        };
        service_port(name, Some(protocol))
    }

    fn rpc_service(&mut self, name: &[u8]) -> Option<u16> {
        if !self.with_rpc {
            return None;
        }
        self.rpc.get_or_insert_with(RpcNames::ask).port(name)
    }

    fn hosts(&mut self, name: &[u8], family: Option<Family>) -> Vec<Addr> {
        let mut addrs = host_addrs(name);
        addrs.retain(|addr| match family {
            Some(Family::Inet) => matches!(addr, Addr::V4(_)),
            Some(Family::Inet6) => matches!(addr, Addr::V6(_)),
            _ => true,
        });
        addrs
    }

    fn interface(&mut self, name: &[u8]) -> Option<u32> {
        self.volatile = true;
        let index = self.links.index_of(name);
        self.refused = self.refused.take().or(self.links.take_refused());
        index
    }

    fn netlink_protocol(&mut self, name: &[u8]) -> Option<u32> {
        // A damaged file is reported by the listing, so its notices are dropped here.
        self.protocols.get_or_insert_with(|| Protocols::read(&mut |_| {})).number(name)
    }

    fn user(&mut self, name: &[u8]) -> Option<u32> {
        user_number(name)
    }

    fn names_a_service(&mut self, name: &[u8]) -> bool {
        service_port(name, None).is_some() || self.rpc_service(name).is_some()
    }

    fn tells_namespaces(&self) -> bool {
        self.tells_namespaces
    }

    fn cgroup(&mut self, path: &[u8]) -> Result<u64, CgroupError> {
        self.volatile = true;
        cgroup_id(path)
    }

    fn cgroup_condition_supported(&mut self) -> bool {
        if self.refused.is_some() {
            // The kernel could not be queried, so this filter will not be used anyway.
            return true;
        }
        source::kernel_knows_cgroup_condition(self.access).unwrap_or_else(|notice| {
            self.refused.get_or_insert(notice);
            false
        })
    }
}

/// The id of the cgroup at a path: the path itself, then the path below the
/// cgroup2 mount point.
fn cgroup_id(path: &[u8]) -> Result<u64, CgroupError> {
    // A path with a NUL inside cannot exist.
    let whole = CString::new(path).map_err(|_| CgroupError::NoId { errno: libc::ENOENT })?;
    match id_of(None, &whole) {
        Ok(id) => return Ok(id),
        Err(IdError::Size) => return Err(CgroupError::IdSize),
        Err(IdError::Os(_)) => {}
    }
    let mount = mount_point().ok_or(CgroupError::NotMounted)?;
    let dir = File::open(mount).map_err(|error| CgroupError::MountPoint { errno: errno_of(&error) })?;
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    let inside = CString::new(path.get(slashes..).unwrap_or_default()).unwrap_or_default();
    if inside.is_empty() {
        return Err(CgroupError::EmptyPath);
    }
    id_of(Some(dir.as_fd()), &inside).map_err(|error| match error {
        IdError::Os(error) => CgroupError::NoId { errno: errno_of(&error) },
        IdError::Size => CgroupError::IdSize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_cgroups_are_refused() {
        let want = match mount_point() {
            Some(_) => CgroupError::NoId { errno: libc::ENOENT },
            None => CgroupError::NotMounted,
        };
        for path in [&b"/nonexistent"[..], b"nonexistent/x", b"///nonexistent"] {
            assert_eq!(cgroup_id(path), Err(want));
        }
        assert!(cgroup_id(b"a\0b").is_err());
    }

    #[test]
    fn a_mount_point_has_the_id_of_its_root() {
        let Some(mount) = mount_point() else {
            sockdiag_testkit::skip!("no cgroup2 mount");
        };
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(cgroup_id(mount.as_os_str().as_bytes()), Ok(1));
    }

    #[test]
    fn hosts_are_chosen_by_family() {
        let (mut links, mut access) = (Links::default(), Access::here());
        let mut lookups = SystemLookups::new(&mut links, &mut access, false);
        let all = lookups.hosts(b"localhost", None);
        let four = lookups.hosts(b"localhost", Some(Family::Inet));
        let six = lookups.hosts(b"localhost", Some(Family::Inet6));
        assert_eq!(all, [four, six].concat());
        assert_eq!(lookups.rpc_service(b"rpc.portmapper"), None);
    }
}
