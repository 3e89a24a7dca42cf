//! How much of other processes and their sockets this process may see.
//!
//! Source: capabilities(7), proc(5) (`hidepid`, `gid`), pid_namespaces(7), user_namespaces(7).

use std::fs;
use std::path::Path;

use rustix::thread::CapabilitySet;

use crate::fields::Needs;
use crate::notice::Notice;

/// A notice if the kernel withholds a value that was requested by name; `named` returns the
/// name of a requested value with such a need.
pub fn withheld(named: &dyn Fn(Needs) -> Option<String>) -> Option<Notice> {
    let bpf = CapabilitySet::BPF | CapabilitySet::SYS_ADMIN;
    let privileges = [
        (Needs::NET_ADMIN, CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        (Needs::BPF_STORAGES, bpf, "CAP_BPF"),
    ];
    privileges.into_iter().find_map(|(needs, any, without)| {
        let field = named(needs)?;
        (!has_any(any)).then_some(Notice::Withheld { field, without })
    })
}

fn has_any(any: CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.intersects(any))
}

/// The inode of the first pid namespace (`PROC_PID_INIT_INO`).
pub(crate) const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;
/// The inode of the first user namespace (`PROC_USER_INIT_INO`).
const FIRST_USER_NAMESPACE: u64 = 0xefff_fffd;

/// Reasons why processes cannot be seen at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// No /proc is mounted, or none that shows our process.
    pub(crate) no_proc: bool,
    /// /proc does not list the processes of other users.
    pub(crate) hidden: bool,
    /// Processes outside our pid namespace are not seen.
    pub(crate) inner: bool,
}

impl Outlook {
    /// The situation of this process.
    pub(crate) fn here() -> Self {
        let Ok(own) = fs::read_link("/proc/self") else {
            return Self { no_proc: true, ..Self::default() };
        };
        // The /proc of an outer namespace shows more than our own would.
        let is_ours = own == Path::new(&std::process::id().to_string());
        Self {
            no_proc: false,
            hidden: !sees_others()
                && hides(&fs::read("/proc/self/mountinfo").unwrap_or_default(), &is_member),
            inner: is_ours && inode("/proc/self/ns/pid").is_some_and(|inode| inode != FIRST_PID_NAMESPACE),
        }
    }
}

fn inode(path: &str) -> Option<u64> {
    rustix::fs::stat(path).ok().map(|stat| stat.st_ino)
}

/// Whether we may see all processes, however /proc is mounted.
fn sees_others() -> bool {
    // A capability in a user namespace covers only that namespace's processes.
    has_any(CapabilitySet::SYS_PTRACE) && inode("/proc/self/ns/user") == Some(FIRST_USER_NAMESPACE)
}

/// Whether we are a member of a group.
fn is_member(gid: u32) -> bool {
    rustix::process::getegid().as_raw() == gid
        || rustix::process::getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
}

/// Whether the topmost /proc in mountinfo hides processes from a member of these groups.
fn hides(mountinfo: &[u8], is_member: &dyn Fn(u32) -> bool) -> bool {
    let text = String::from_utf8_lossy(mountinfo);
    let options = text.lines().rev().find_map(|line| {
        let (mount, of_type) = line.split_once(" - ")?;
        let mut of_type = of_type.split(' ');
        let is_proc = mount.split(' ').nth(4) == Some("/proc") && of_type.next() == Some("proc");
        is_proc.then(|| of_type.nth(1).unwrap_or_default())
    });
    let option = |name: &str| {
        let mut all = options.unwrap_or_default().split(',');
        all.find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    };
    let group = option("gid").and_then(|gid| gid.parse().ok());
    match option("hidepid") {
        Some("2" | "invisible") => !group.is_some_and(is_member),
        Some("4" | "ptraceable") => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proc_that_hides_processes_is_told_by_its_options() {
        let mount = |options: &str| format!("22 28 0:21 / /proc rw,nosuid - proc proc {options}\n");
        for (mountinfo, want) in [
            (mount("rw"), false),
            (mount("rw,hidepid=0"), false),
            // The process directories are listed, but cannot be opened.
            (mount("rw,hidepid=noaccess"), false),
            (mount("rw,hidepid=2"), true),
            (mount("rw,hidepid=invisible"), true),
            (mount("rw,hidepid=ptraceable"), true),
            (mount("rw,gid=7,hidepid=invisible"), false),
            (mount("rw,gid=8,hidepid=invisible"), true),
            (mount("rw,gid=7,hidepid=4"), true),
            (mount("rw,hidepid=2") + &mount("rw"), false),
            (mount("rw,hidepid=2").replace(" /proc ", " /elsewhere "), false),
            (String::new(), false),
        ] {
            assert_eq!(hides(mountinfo.as_bytes(), &|gid| gid == 7), want, "{mountinfo}");
        }
    }
}
