//! Finds BPF programs, maps and links that no process holds but that still exist.
//!
//! A running program holds its objects by descriptors, which /proc shows; an object without a
//! descriptor was left behind.
//!
//! Source: bpf(2), linux/bpf.h; `fdinfo` of proc(5).

use std::collections::HashSet;
use std::fs;

use crate::{Doing, Why, sys};

/// A kind of object: the bpf(2) commands for it and its names in /proc.
struct Kind {
    next: i32,
    open: i32,
    /// Offset of the name in `struct bpf_*_info`, if it has one.
    name: Option<usize>,
    link: &'static str,
    id: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind { next: 11, open: 13, name: Some(64), link: "anon_inode:bpf-prog", id: "prog_id:" },
    Kind { next: 12, open: 14, name: Some(24), link: "anon_inode:bpf-map", id: "map_id:" },
    Kind { next: 31, open: 30, name: None, link: "anon_inode:bpf_link", id: "link_id:" },
];

/// The objects that exist at one moment, by kind and number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects(HashSet<(usize, u32)>);

impl Objects {
    /// All objects that exist now.
    pub fn now() -> Result<Self, Why> {
        let mut all = HashSet::new();
        for (kind, Kind { next, .. }) in KINDS.iter().enumerate() {
            let mut id = 0;
            while let Some(found) = sys::next_object(*next, id).doing("looking for objects of BPF")? {
                id = found;
                all.insert((kind, id));
            }
        }
        Ok(Self(all))
    }

    /// The objects that appeared after `self`, have this name (links have none), and are held
    /// by no process.
    pub fn left_since(&self, name: &str) -> Result<Self, Why> {
        let mut came = Self::now()?;
        came.0.retain(|object| !self.0.contains(object) && is_called(*object, name));
        if !came.is_empty() {
            let held = held();
            came.0.retain(|object| !held.contains(object));
        }
        Ok(came)
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether an object exists and has this name.
fn is_called((kind, id): (usize, u32), name: &str) -> bool {
    let Some(at) = KINDS[kind].name else { return true };
    let mut info = [0; 128];
    // The object may be gone by now.
    let Ok(()) = sys::object_info(KINDS[kind].open, id, &mut info) else { return false };
    info[at..at + 16].split(|byte| *byte == 0).next() == Some(name.as_bytes())
}

/// The objects that any process has a descriptor of.
fn held() -> HashSet<(usize, u32)> {
    let mut held = HashSet::new();
    // A process that ends meanwhile holds nothing.
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        for descriptor in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let Some(kind) = KINDS.iter().position(|kind| target.as_os_str() == kind.link) else { continue };
            let info = process.path().join("fdinfo").join(descriptor.file_name());
            let text = fs::read_to_string(info).unwrap_or_default();
            let id = text.lines().find_map(|line| line.strip_prefix(KINDS[kind].id)?.trim().parse().ok());
            held.extend(id.map(|id| (kind, id)));
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_is_held_is_not_left() {
        let before = match Objects::now() {
            Ok(before) => before,
            Err(why) => crate::skip!("{why}"),
        };
        // An array map with one element.
        let map = match sys::map_create([2, 4, 4, 1, 0], [0; 3]) {
            Ok(map) => map,
            Err(why) => crate::skip!("no map here: {why}"),
        };
        let object = (1, sys::map_id(map.as_fd()).expect("a map"));
        assert!(Objects::now().expect("as before").0.contains(&object));
        assert!(is_called(object, "") && !is_called(object, "other"));
        assert!(held().contains(&object));
        assert!(!before.left_since("").expect("as before").0.contains(&object));
        drop(map);
        assert!(!held().contains(&object));
        assert!(crate::until(|| !Objects::now().expect("as before").0.contains(&object)));
    }
}
