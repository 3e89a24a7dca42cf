//! Finds the container that a word names, and a process through which its network namespace
//! can be entered.
//!
//! Containers are found by their processes: so every runtime that a listing knows is known
//! here too, and a stopped container is not found.  A name that another user chose is found
//! only with its mark, `web(uid 1000)`.
//!
//! Source: proc(5), cgroups(7).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::Workloads;
use crate::model::{Named, Workload};
use crate::source::Sources;
use crate::sys::chosen;

/// More than the part of a `stat` line that ends with the start time.
const STAT: u64 = 4 << 10;

/// A running container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// Its title: the first digits of its id, its name and its pod.
    pub(crate) title: Vec<u8>,
    /// The file of its network namespace.
    pub(crate) door: PathBuf,
    /// The inode of that namespace; `None` if it may not be looked at.
    pub(crate) inode: Option<u64>,
    id: Named,
    name: Option<Named>,
    /// When its oldest process started.
    started: u64,
}

/// The containers that a word matches: by name, or else by the beginning of the id.
pub(crate) fn containers(word: &[u8]) -> Vec<Container> {
    let own = rustix::process::geteuid();
    let own = format!("(uid {})", own.as_raw()).into_bytes();
    let fits = |name: &Named| name.whole() == word || (name.mark() == own && name.name() == word);
    let all = running();
    let called = |one: &&Container| fits(&one.id) || one.name.as_ref().is_some_and(fits);
    let mut found: Vec<Container> = all.iter().filter(called).cloned().collect();
    if found.is_empty() && !word.is_empty() {
        let begins = |one: &&Container| {
            let id = &one.id;
            id.name().len() == 64 && id.name().starts_with(word) && (id.mark().is_empty() || id.mark() == own)
        };
        found = all.iter().filter(begins).cloned().collect();
    }
    found
}

/// Every container that has a process, by its id.
fn running() -> Vec<Container> {
    let mut workloads = Workloads::new(&Sources::default());
    let mut all: BTreeMap<Vec<u8>, Container> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        workloads.prepare_process(pid);
        let Some(work) = workloads.of_process(pid) else { continue };
        let Some(id) = work.container_id.clone() else { continue };
        let stat = chosen::beginning_at(&entry.path().join("stat"), STAT).unwrap_or_default();
        // The process ended meanwhile.
        let Some(started) = start_of(&stat) else { continue };
        if all.get(id.whole()).is_some_and(|had| had.started <= started) {
            continue;
        }
        let door = entry.path().join("ns/net");
        let inode = fs::metadata(&door).ok().map(|meta| meta.ino());
        let title = title(work, &id);
        let name = work.container_name.clone();
        all.insert(id.whole().to_vec(), Container { title, door, inode, id, name, started });
    }
    all.into_values().collect()
}

/// When a process started, in ticks since boot: the 22nd field.
fn start_of(stat: &[u8]) -> Option<u64> {
    let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let mut words = stat.get(behind_name..)?.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    std::str::from_utf8(words.nth(19)?).ok()?.parse().ok()
}

/// The title of a container in a list.
fn title(work: &Workload, id: &Named) -> Vec<u8> {
    let short = id.name().get(..12).filter(|_| id.name().len() == 64).unwrap_or(id.name());
    let mut title = [short, id.mark()].concat();
    if let Some(name) = work.container_name.as_ref().filter(|name| name.name() != id.name()) {
        title.extend([b" ", name.whole()].concat());
    }
    if let Some(pod) = &work.pod_name {
        let namespace = work.pod_namespace.as_ref().map_or(&b""[..], Named::name);
        title.extend([b" of pod ", namespace, b"/", pod.whole()].concat());
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_told_whatever_a_process_is_called() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
        for name in ["x", "a) S 1 (b", ""] {
            assert_eq!(start_of(format!("7 ({name}) {rest}").as_bytes()), Some(4242), "{name}");
        }
        assert_eq!(start_of(b"7 (x) S 1"), None);
        assert_eq!(start_of(b""), None);
        let own = fs::read("/proc/self/stat").expect("it may be read");
        assert!(start_of(&own).is_some_and(|ticks| ticks > 0));
    }

    #[test]
    fn a_container_is_told_by_id_names_and_pod() {
        let id = Named::new(&[b'a'; 64], b"(uid 7)");
        let mut work = Workload::default();
        assert_eq!(title(&work, &id), b"aaaaaaaaaaaa(uid 7)");
        work.container_name = Some(Named::new(b"web", b"(uid 7)"));
        work.pod_name = Some(b"front-1"[..].into());
        work.pod_namespace = Some(b"shop"[..].into());
        assert_eq!(title(&work, &id), b"aaaaaaaaaaaa(uid 7) web(uid 7) of pod shop/front-1");
        let lxc = Named::from(&b"web"[..]);
        assert_eq!(
            title(&Workload { container_name: Some(lxc.clone()), ..work }, &lxc),
            b"web of pod shop/front-1"
        );
    }
}
