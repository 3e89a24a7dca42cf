//! How many descriptors each process has open, and how many it may.
//!
//! Since Linux 6.2 the size of `/proc/PID/fd` is the number; before, the directory has to be
//! read, which needs the permission to inspect the process.
//!
//! Invariant: a process is left out and counted if any of its numbers is unknown.
//!
//! Source: proc_pid_fd(5), proc_pid_limits(5), getrlimit(2).

use std::fs;
use std::path::Path;

/// The line of `/proc/PID/limits` that bounds descriptors.
const LIMIT: &str = "Max open files";

/// Descriptors of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Descriptors {
    /// The process.
    pub pid: u32,
    /// Its name as the kernel holds it, any bytes.
    pub comm: Vec<u8>,
    /// How many descriptors it has open.
    pub open: u64,
    /// How many descriptors it may have open, the soft limit; `None` if there is no limit.
    pub most: Option<u64>,
    /// The inode of its network namespace; `None` if we may not read it.
    pub netns_inode: Option<u64>,
}

fn netns(process: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(process.join("ns/net")).ok().map(|file| file.ino())
}

/// Every process that has at least this many file descriptors open, and the number of processes
/// that could not be counted.
pub fn all(at_least: u64) -> (Vec<Descriptors>, u64) {
    let (mut known, mut unknown) = (Vec::new(), 0);
    let Ok(processes) = fs::read_dir("/proc") else { return (known, 1) };
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let path = entry.path();
        let found = match open_of(&path) {
            Some(open) if open < at_least => continue,
            Some(open) => read(&path, pid, open),
            None => None,
        };
        match found {
            Some(found) => known.push(found),
            // A process that still exists may not be inspected; one that has ended is not
            // counted.
            None => unknown += u64::from(path.exists()),
        }
    }
    (known, unknown)
}

/// How many descriptors a process has open.
fn open_of(path: &Path) -> Option<u64> {
    let fds = path.join("fd");
    match fs::metadata(&fds).ok()?.len() {
        0 => u64::try_from(fs::read_dir(&fds).ok()?.count()).ok(),
        open => Some(open),
    }
}

/// Reads the other facts about a process with this many descriptors.
fn read(path: &Path, pid: u32, open: u64) -> Option<Descriptors> {
    let most = soft_limit(&fs::read_to_string(path.join("limits")).ok()?)?;
    let mut comm = fs::read(path.join("comm")).ok()?;
    if comm.last() == Some(&b'\n') {
        comm.pop();
    }
    let most = Some(most).filter(|most| *most != UNLIMITED);
    Some(Descriptors { pid, comm, open, most, netns_inode: netns(path) })
}

/// No limit (`RLIM_INFINITY`).
const UNLIMITED: u64 = u64::MAX;

/// The soft limit of descriptors.
fn soft_limit(limits: &str) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(LIMIT))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(UNLIMITED),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             96107                96107                processes \n\
                      Max open files            1024                 1048576              files     \n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(
            soft_limit("Max open files            unlimited            unlimited  files"),
            Some(UNLIMITED)
        );
        assert_eq!((soft_limit("Max open files"), soft_limit("")), (None, None));
    }

    #[test]
    fn we_are_among_them_with_what_we_hold() {
        let count = |pid: u32| {
            let (all, _) = all(1);
            all.into_iter().find(|of| of.pid == pid).map(|of| (of.open, of.most))
        };
        let pid = std::process::id();
        let (before, most) = count(pid).expect("we may look into ourselves");
        let held: Vec<_> = (0..20).map(|_| fs::File::open("/dev/null").expect("it is there")).collect();
        let (now, _) = count(pid).expect("we are still here");
        // Other tests open and close files at the same time.
        assert!(now >= before.saturating_sub(5) + 15, "{before} and {} are {now}", held.len());
        assert!(most.is_none_or(|most| most >= now), "{most:?}");
        assert!(all(u64::MAX).0.is_empty(), "nobody has so many");
    }
}
