//! How many descriptors each process has open, and how many it may.
//!
//! The kernel tells the number with the size of `/proc/PID/fd` since Linux 6.2; before,
//! the directory is read, which takes the right to look into the process.
//!
//! Invariant: a process of which one of the numbers is not known is left out and counted.
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
    /// Descriptors that it has open.
    pub open: u64,
    /// How many it may have open, the soft limit; `None` where there is no limit.
    pub most: Option<u64>,
    /// The inode of its network namespace; `None` if we may not know.
    pub netns_inode: Option<u64>,
}

/// The inode of our own network namespace.
pub fn own_netns() -> Option<u64> {
    netns(Path::new("/proc/thread-self"))
}

fn netns(process: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(process.join("ns/net")).ok().map(|file| file.ino())
}

/// Every process that has so many descriptors open, and of how many that is not known.
pub fn all(at_least: u64) -> (Vec<Descriptors>, u64) {
    let (mut known, mut unknown) = (Vec::new(), 0);
    let Ok(processes) = fs::read_dir("/proc") else { return (known, 1) };
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        match of(&entry.path(), pid, at_least) {
            Some(Some(descriptors)) => known.push(descriptors),
            Some(None) => {}
            // It has ended meanwhile, or may not be looked into.
            None if entry.path().exists() => unknown += 1,
            None => {}
        }
    }
    (known, unknown)
}

/// Of one process: `None` if it is not known, and of one with fewer nothing.
fn of(path: &Path, pid: u32, at_least: u64) -> Option<Option<Descriptors>> {
    let fds = path.join("fd");
    let open = match fs::metadata(&fds).ok()?.len() {
        0 => u64::try_from(fs::read_dir(&fds).ok()?.count()).ok()?,
        open => open,
    };
    if open < at_least {
        return Some(None);
    }
    let most = most(&fs::read_to_string(path.join("limits")).ok()?)?;
    let mut comm = fs::read(path.join("comm")).ok()?;
    if comm.last() == Some(&b'\n') {
        comm.pop();
    }
    Some(Some(Descriptors { pid, comm, open, most, netns_inode: netns(path) }))
}

/// The soft limit of descriptors; `None` in it for no limit.
fn most(limits: &str) -> Option<Option<u64>> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(LIMIT))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
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
        assert_eq!(most(limits), Some(Some(1024)));
        assert_eq!(most("Max open files            unlimited            unlimited  files"), Some(None));
        assert_eq!((most("Max open files"), most("")), (None, None));
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
        // Other tests open files beside us.
        assert!(now >= before.saturating_sub(5) + 15, "{before} and {} are {now}", held.len());
        assert!(most.is_none_or(|most| most >= now), "{most:?}");
        assert!(all(u64::MAX).0.is_empty(), "nobody has so many");
    }
}
