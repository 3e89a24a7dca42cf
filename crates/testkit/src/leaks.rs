//! Programs, maps and links of BPF that nobody holds any more and that are still there.
//!
//! What runs at this moment holds its objects by descriptors, which /proc shows; what is
//! there without one was left behind.
//!
//! Source: bpf(2), linux/bpf.h; `fdinfo` of proc(5).

use std::collections::HashSet;
use std::fs;

use crate::{Doing, Why, sys};

/// A kind of objects: what bpf(2) is asked with, and how /proc calls them.
struct Kind {
    next: i32,
    open: i32,
    /// Where `struct bpf_*_info` has a name.
    name: Option<usize>,
    link: &'static str,
    id: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind { next: 11, open: 13, name: Some(64), link: "anon_inode:bpf-prog", id: "prog_id:" },
    Kind { next: 12, open: 14, name: Some(24), link: "anon_inode:bpf-map", id: "map_id:" },
    Kind { next: 31, open: 30, name: None, link: "anon_inode:bpf_link", id: "link_id:" },
];

/// The objects of a moment, by kind and number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects(HashSet<(usize, u32)>);

impl Objects {
    /// All that there are.
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

    /// Those that came since this moment, have this name (links have none), and are held
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

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether an object is there and has this name.
fn is_called((kind, id): (usize, u32), name: &str) -> bool {
    let Some(at) = KINDS[kind].name else { return true };
    let mut info = [0; 128];
    // It may be gone.
    let Ok(()) = sys::object_info(KINDS[kind].open, id, &mut info) else { return false };
    info[at..at + 16].split(|byte| *byte == 0).next() == Some(name.as_bytes())
}

/// Those that any process has a descriptor of.
fn held() -> HashSet<(usize, u32)> {
    let mut held = HashSet::new();
    // Whatever ends meanwhile holds nothing.
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
        // An array of one number.
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
