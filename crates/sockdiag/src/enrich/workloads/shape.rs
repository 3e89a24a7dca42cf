//! Derives the workload from the path of a cgroup.
//!
//! A path is read from the outside in, and inner components win: of nested containers the
//! inner one counts, and a unit in a container is the container's own.  An id must look
//! like an id, so that helpers of a runtime (`libpod-conmon-ID.scope`) are not mistaken for
//! the container that they serve.
//!
//! A user who was given a cgroup can make cgroups below it with any name.  So a path has a
//! border: below a user's manager (`user@UID.service`), below a directory that is not
//! root's, and below a container.  Names below the border carry a mark with their owner.
//! If the owner of a directory is unknown, containers and pods are believed only where
//! their managers put them.
//!
//! Pure: nothing here does any I/O.
//!
//! Source: cgroups(7), systemd.slice(5), systemd-machined(8), lxc(7), and the
//! paths that the runtimes make with either cgroup driver.

use crate::model::{Named, Workload};
use sockdiag_facts::sort::sort_by;

/// How a path component names a container: the text before and after its id, and the
/// runtime that uses this form.
struct Shape(&'static str, &'static str, &'static str);

/// Containers with ids of 64 hexadecimal digits.
const SHAPES: &[Shape] = &[
    Shape("docker-", ".scope", "docker"),
    Shape("libpod-payload-", "", "podman"),
    Shape("libpod-", ".scope", "podman"),
    Shape("libpod-", "", "podman"),
    Shape("cri-containerd-", ".scope", "containerd"),
    Shape("containerd-", ".scope", "containerd"),
    Shape("nerdctl-", ".scope", "containerd"),
    Shape("crio-", ".scope", "cri-o"),
    Shape("crio-", "", "cri-o"),
];

/// Directories whose members are containers, named by such ids alone.
const PARENTS: &[(&str, &str)] = &[("docker", "docker"), ("ecs", "docker"), ("libpod_parent", "podman")];

/// Units that have cgroups, by the ends of their names.
const UNITS: &[&str] = &[".service", ".scope", ".socket", ".mount", ".swap"];

/// Where containers and pods are believed although the owner of the directory is unknown:
/// prefixes of the outermost cgroup's name.
const PLACES: &[&str] = &[
    "docker",
    "ecs",
    "default",
    "k8s.io",
    "moby",
    "lxc",
    "libpod_parent",
    "kubepods",
    "kubelet",
    "machine.slice",
    "system.slice",
];

/// Services whose cgroups hold the containers that they manage.
const MANAGERS: &[&str] =
    &["docker", "containerd", "crio", "podman", "kubelet", "k3s", "rke2", "lxc", "lxd", "incus"];

/// The length of an id in hexadecimal digits.
const ID: usize = 64;

/// Who chose the names below a border.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Border {
    /// This user.
    User(u32),
    /// The container with this name.
    Container(Vec<u8>),
}

/// In whose files a container's names are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stores {
    /// In root's files.
    #[default]
    Root,
    /// In this user's files only.
    User(u32),
    /// Nowhere on this machine: the container runs in another container.
    None,
}

/// The workload named by a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) work: Workload,
    /// The places with more information about the container.
    pub(super) stores: Stores,
}

/// Returns the owner of the cgroup at a path, `/a/b`; `None` if unknown.
pub(super) type OwnerOf<'o> = &'o dyn Fn(&[u8]) -> Option<u32>;

/// A path that is being read.
struct Reader {
    told: Told,
    border: Option<Border>,
    /// The suffix of names below the border.
    mark: Vec<u8>,
    /// The outermost component.
    first: Vec<u8>,
    /// Whether the parent directory of the next component is known to belong to root.
    roots: bool,
    /// Whether one of the components so far is a unit that does not manage containers.
    in_unit: bool,
}

/// Reads a path.
pub(super) fn read(path: &[u8], owner: OwnerOf<'_>) -> Told {
    let work = Workload { cgroup: path.to_vec(), ..Workload::default() };
    let mut reader = Reader {
        told: Told { work, stores: Stores::Root },
        border: None,
        mark: Vec::new(),
        first: Vec::new(),
        roots: owner(b"/") == Some(0),
        in_unit: false,
    };
    let mut outer: &[u8] = b"";
    let mut level = 0;
    let depth = components(path).count();
    for (component, end) in components(path) {
        // `..` leads above the root of our cgroup namespace, where names are unknown.
        if component == b".." {
            continue;
        }
        if level == 0 {
            reader.first = component.to_vec();
        }
        let had = reader.container().cloned();
        // A path meant for systemd's cgroup driver that was given to the cgroupfs driver.
        let mut parts = component.split(|byte| *byte == b':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(slice), Some(prefix), Some(id), None) if is_id(id) => {
                reader.take(slice, outer, level, depth);
                let scope = [prefix, b"-", id, b".scope"].concat();
                reader.take_container(&scope, slice);
            }
            _ => reader.take(component, outer, level, depth),
        }
        if end < path.len() && reader.border.is_none() {
            let is_container = reader.container() != had.as_ref();
            reader.pass(component, is_container, path.get(..end).and_then(owner));
        }
        outer = component;
        level += 1;
    }
    reader.told
}

/// The components of a path, each with the offset of its end.
fn components(path: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut end = 0;
    path.split(|byte| *byte == b'/').filter_map(move |component| {
        end += component.len() + 1;
        (!component.is_empty()).then_some((component, end - 1))
    })
}

impl Reader {
    fn container(&self) -> Option<&Named> {
        self.told.work.container_id.as_ref()
    }

    /// A name, with a mark if it is below the border.
    fn named(&self, name: &[u8]) -> Named {
        Named::new(name, &self.mark)
    }

    /// Enters a component, which may be a border.
    fn pass(&mut self, component: &[u8], is_container: bool, owner: Option<u32>) {
        let manager = || between(component, b"user@", b".service").and_then(number);
        self.border = match owner {
            _ if is_container => {
                let id = self.container().map(Named::name).unwrap_or_default();
                Some(Border::Container(id.get(..12).filter(|_| is_id(id)).unwrap_or(id).to_vec()))
            }
            Some(uid) if uid != 0 => Some(Border::User(uid)),
            _ => manager().filter(|uid| *uid != 0).map(Border::User),
        };
        self.roots = owner == Some(0);
        if let Some(service) = component.strip_suffix(b".service") {
            let service = service.split(|byte| matches!(byte, b'-' | b'@' | b'.')).next().unwrap_or_default();
            self.in_unit |= !MANAGERS.iter().any(|manager| manager.as_bytes() == service);
        }
        match &self.border {
            None => {}
            Some(Border::User(uid)) => {
                self.mark = format!("(uid {uid})").into_bytes();
                self.told.work.owner_uid = Some(*uid);
            }
            Some(Border::Container(name)) => {
                // The name is printed unescaped, so odd bytes become `?`.
                let name = name.iter().map(|byte| match byte {
                    b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' => *byte,
                    _ => b'?',
                });
                self.mark = b"(container ".iter().copied().chain(name).chain(*b")").collect();
            }
        }
    }

    /// Whether a component may be a container or a pod: its parent directory is known to
    /// belong to root, or is where managers put them, or it lies below the border and so
    /// bears a mark.
    fn may_be_managed(&self, component: &[u8]) -> bool {
        self.border.is_some()
            || self.roots
            || component.starts_with(b"libpod-payload-")
            || (!self.in_unit && PLACES.iter().any(|place| self.first.starts_with(place.as_bytes())))
            // Only root can make the outermost directory.
            || self.first == component
    }

    fn take(&mut self, component: &[u8], outer: &[u8], level: usize, depth: usize) {
        let is_behind = self.border.is_some();
        if let Some(slice) = component.strip_suffix(b".slice") {
            self.told.work.slice = Some(self.named(unit_name(component)));
            self.told.work.unit = None;
            if level < 2
                && !is_behind
                && let Some(uid) = slice.strip_prefix(b"user-").and_then(number)
            {
                self.told.work.owner_uid = Some(uid);
            }
            if !self.may_be_managed(component) {
                return;
            }
            if let Some((_, id)) = split_once(slice, b"libpod_pod_")
                && is_id(id)
            {
                self.told.work.pod_uid = Some(self.named(id));
            }
            self.take_pod(slice, outer);
            return;
        }
        if UNITS.iter().any(|end| component.len() > end.len() && component.ends_with(end.as_bytes())) {
            self.told.work.unit = Some(self.named(unit_name(component)));
            if !is_behind && let Some(id) = between(component, b"session-", b".scope") {
                self.told.work.session = Some(id.to_vec());
            }
            if !is_behind && let Some(uid) = between(component, b"user@", b".service").and_then(number) {
                self.told.work.owner_uid = Some(uid);
            }
        }
        if !self.may_be_managed(component) {
            return;
        }
        self.take_container(component, outer);
        if is_id(component) && self.container().map(Named::name) != Some(component) {
            // The runtime is unknown here; other files may name it.  A path of two levels
            // is made by containerd's own clients: its namespace, then the container.
            self.set((level == 1 && depth == 2).then_some("containerd"), component, false);
        }
        self.take_pod(component, outer);
    }

    /// Records a component as the container, if it looks like one.
    fn take_container(&mut self, component: &[u8], outer: &[u8]) {
        for Shape(before, after, runtime) in SHAPES {
            if let Some(id) = between(component, before.as_bytes(), after.as_bytes()).filter(|id| is_id(id)) {
                self.set(Some(runtime), id, false);
            }
        }
        for (parent, runtime) in PARENTS {
            if outer == parent.as_bytes() && is_id(component) {
                self.set(Some(runtime), component, false);
            }
        }
        let mut named = |runtime, name: &[u8]| self.set(Some(runtime), name, true);
        if let Some(name) = component.strip_prefix(b"lxc.payload.") {
            named("lxc", name);
        } else if let b"lxc" | b"lxc.payload" = outer {
            named("lxc", component);
        } else if let Some(name) = between(component, b"systemd-nspawn@", b".service") {
            named("nspawn", &unescaped(name));
        } else if let Some(name) = between(component, b"machine-", b".scope") {
            let name = unescaped(name);
            // libvirt's names begin with the driver and a number.
            let guest = [&b"qemu-"[..], b"lxc-"].iter().find_map(|driver| {
                let (number, guest) = split_once(name.strip_prefix(*driver)?, b"-")?;
                number.iter().all(u8::is_ascii_digit).then(|| guest.to_vec())
            });
            match guest {
                Some(guest) => named("libvirt", &guest),
                None => named("machine", &name),
            }
        }
    }

    /// Records the container; its name may be its id.
    fn set(&mut self, runtime: Option<&'static str>, id: &[u8], is_name: bool) {
        let id = self.named(id);
        let work = &mut self.told.work;
        work.runtime = runtime;
        work.container_name = is_name.then(|| id.clone());
        work.container_id = Some(id);
        self.told.stores = match &self.border {
            None => Stores::Root,
            Some(Border::User(uid)) => Stores::User(*uid),
            Some(Border::Container(_)) => Stores::None,
        };
    }

    /// Records a component (a slice without its ending) as the pod, if it looks like one.
    fn take_pod(&mut self, component: &[u8], outer: &[u8]) {
        let uid = match component.strip_prefix(b"pod") {
            Some(uid) => Some(uid.to_vec()),
            // In systemd's names a dash nests slices, so the dashes of the uid were
            // replaced.
            None => split_once(component, b"-pod")
                .map(|(_, uid)| uid.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect()),
        };
        let is_kube =
            holds(component, b"kubepods") || matches!(outer, b"burstable" | b"besteffort" | b"kubepods");
        let Some(uid) = uid.filter(|uid| is_kube && is_uid(uid)) else { return };
        let of = |class: &[u8]| outer == class || holds(component, class);
        let class = if of(b"burstable") {
            "burstable"
        } else if of(b"besteffort") {
            "besteffort"
        } else {
            "guaranteed"
        };
        let uid = self.named(&uid);
        self.told.work.pod_uid = Some(uid);
        // The quality of service is one of a few words and cannot carry a mark.
        self.told.work.pod_qos = Some(class).filter(|_| self.border.is_none());
    }
}

fn is_id(text: &[u8]) -> bool {
    text.len() == ID && text.iter().all(u8::is_ascii_hexdigit)
}

/// A uid as Kubernetes makes it; the uid of a static pod has no dashes.
fn is_uid(text: &[u8]) -> bool {
    match text.len() {
        32 => text.iter().all(u8::is_ascii_hexdigit),
        36 => text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        }),
        _ => false,
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

fn between<'t>(text: &'t [u8], before: &[u8], after: &[u8]) -> Option<&'t [u8]> {
    text.strip_prefix(before)?.strip_suffix(after).filter(|middle| !middle.is_empty())
}

fn split_once<'t>(text: &'t [u8], at: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let start = text.windows(at.len()).position(|window| window == at)?;
    Some((text.get(..start)?, text.get(start + at.len()..)?))
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    split_once(text, part).is_some()
}

/// The name of a unit.  systemd puts an underscore before a name that would clash with one
/// of the kernel's files.
fn unit_name(component: &[u8]) -> &[u8] {
    component.strip_prefix(b"_").unwrap_or(component)
}

/// Undoes systemd's escapes: `\x2d` is a dash.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let code = match after {
            [b'x', high, low, ..] if byte == b'\\' => std::str::from_utf8(&[*high, *low])
                .ok()
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        match code {
            Some(code) => {
                out.push(code);
                rest = after.get(3..).unwrap_or_default();
            }
            None => out.push(byte),
        }
    }
    out
}

/// Whether a path names more than systemd's own cgroup, in which it creates things on
/// behalf of others.
pub(super) fn tells(work: &Workload) -> bool {
    work.container_id.is_some()
        || work.pod_uid.is_some()
        || work.unit.as_ref().is_some_and(|unit| unit.whole() != b"init.scope")
}

/// The most informative path in a file `/proc/PID/cgroup`: from version 2, systemd's own
/// hierarchy, or a controller.
pub(super) fn best(file: &[u8], owner: OwnerOf<'_>) -> Option<Told> {
    let mut paths: Vec<(u8, &[u8])> = ranked(file).collect();
    // A version 1 controller may leave out some levels.
    sort_by(&mut paths, &mut |a, b| a.0.cmp(&b.0).then(b.1.len().cmp(&a.1.len())));
    let read: Vec<Told> = paths.iter().map(|(_, path)| read(path, owner)).collect();
    let first = |test: fn(&Workload) -> bool| read.iter().find(|told| test(&told.work)).cloned();
    first(|work| work.container_id.is_some()).or_else(|| first(tells)).or_else(|| first(|_| true))
}

/// The paths in a file `/proc/PID/cgroup`.
pub(super) fn paths(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    ranked(file).map(|(_, path)| path)
}

/// The paths in such a file, each with the rank of its hierarchy.
fn ranked(file: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    file.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let rank = match (number, controllers) {
            (b"0", b"") => 0,
            (_, b"name=systemd") => 1,
            _ => 2,
        };
        Some((rank, path))
    })
}

#[cfg(test)]
mod tests;
