//! What the path of a cgroup tells.
//!
//! A path is read from the outside in, and what is further in wins: a
//! container in a container is the inner one, a unit in a container is the
//! container's own.  Ids are believed only where they look like ids, so that
//! helpers of a runtime (`libpod-conmon-ID.scope`) are not taken for what they
//! look after.
//!
//! Pure: nothing here is read from anywhere.
//!
//! Source: cgroups(7), systemd.slice(5), systemd-machined(8), lxc(7), and the
//! paths that the runtimes make with either cgroup driver.

use crate::model::Workload;

/// How a component names a container: what stands before and after its id, and
/// whose way that is.
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

/// Directories whose members are containers with such ids.
const PARENTS: &[(&str, &str)] = &[("docker", "docker"), ("ecs", "docker"), ("libpod_parent", "podman")];

/// Units that have cgroups, by the ends of their names.
const UNITS: &[&str] = &[".service", ".scope", ".socket", ".mount", ".swap"];

/// Digits of an id.
const ID: usize = 64;

/// What a path tells.
pub(super) fn read(path: &[u8]) -> Workload {
    let mut work = Workload { cgroup: path.to_vec(), ..Workload::default() };
    let mut outer: &[u8] = b"";
    let components = path.split(|byte| *byte == b'/').filter(|component| !component.is_empty());
    let depth = components.clone().count();
    for (level, component) in components.enumerate() {
        // The path of systemd's driver where it was given to the other one.
        let mut parts = component.split(|byte| *byte == b':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(slice), Some(prefix), Some(id), None) if is_id(id) => {
                take(&mut work, slice, outer, level, depth);
                let scope = [prefix, b"-", id, b".scope"].concat();
                container(&mut work, &scope, slice);
            }
            _ => take(&mut work, component, outer, level, depth),
        }
        outer = component;
    }
    work
}

fn take(work: &mut Workload, component: &[u8], outer: &[u8], level: usize, depth: usize) {
    if let Some(slice) = component.strip_suffix(b".slice") {
        work.slice = Some(unit_name(component));
        work.unit = None;
        if level < 2
            && let Some(uid) = slice.strip_prefix(b"user-").and_then(number)
        {
            work.owner_uid = Some(uid);
        }
        if let Some((_, id)) = split_once(slice, b"libpod_pod_")
            && is_id(id)
        {
            work.pod_uid = Some(id.to_vec());
        }
        pod(work, slice, outer);
        return;
    }
    if UNITS.iter().any(|end| component.len() > end.len() && component.ends_with(end.as_bytes())) {
        work.unit = Some(unit_name(component));
        if let Some(id) = between(component, b"session-", b".scope") {
            work.session = Some(id.to_vec());
        }
        if let Some(uid) = between(component, b"user@", b".service").and_then(number) {
            work.owner_uid = Some(uid);
        }
    }
    container(work, component, outer);
    if is_id(component) && work.container_id.as_deref() != Some(component) {
        // Whose it is, other files may tell.  Of two levels is what containerd's
        // own clients make: its namespace, the container.
        work.runtime = (level == 1 && depth == 2).then_some("containerd");
        (work.container_id, work.container_name) = (Some(component.to_vec()), None);
    }
    pod(work, component, outer);
}

/// Takes a component for a container, if it is one.
fn container(work: &mut Workload, component: &[u8], outer: &[u8]) {
    for Shape(before, after, runtime) in SHAPES {
        if let Some(id) = between(component, before.as_bytes(), after.as_bytes()).filter(|id| is_id(id)) {
            set(work, runtime, id, None);
        }
    }
    for (parent, runtime) in PARENTS {
        if outer == parent.as_bytes() && is_id(component) {
            set(work, runtime, component, None);
        }
    }
    let mut named = |runtime, name: Vec<u8>| set(work, runtime, &name, Some(name.clone()));
    if let Some(name) = component.strip_prefix(b"lxc.payload.") {
        named("lxc", name.to_vec());
    } else if let b"lxc" | b"lxc.payload" = outer {
        named("lxc", component.to_vec());
    } else if let Some(name) = between(component, b"systemd-nspawn@", b".service") {
        named("nspawn", unescaped(name));
    } else if let Some(name) = between(component, b"machine-", b".scope") {
        let name = unescaped(name);
        // libvirt's names hold the driver and a number first.
        let guest = [&b"qemu-"[..], b"lxc-"].iter().find_map(|driver| {
            let (number, guest) = split_once(name.strip_prefix(*driver)?, b"-")?;
            number.iter().all(u8::is_ascii_digit).then(|| guest.to_vec())
        });
        match guest {
            Some(guest) => named("libvirt", guest),
            None => named("machine", name),
        }
    }
}

fn set(work: &mut Workload, runtime: &'static str, id: &[u8], name: Option<Vec<u8>>) {
    work.runtime = Some(runtime);
    work.container_id = Some(id.to_vec());
    work.container_name = name;
}

/// Takes a component (a slice without its ending) for a pod, if it is one.
fn pod(work: &mut Workload, component: &[u8], outer: &[u8]) {
    let uid = match component.strip_prefix(b"pod") {
        Some(uid) => Some(uid.to_vec()),
        // systemd's dashes mean slices in slices, so those of the uid were replaced.
        None => split_once(component, b"-pod")
            .map(|(_, uid)| uid.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect()),
    };
    let is_kube =
        holds(component, b"kubepods") || matches!(outer, b"burstable" | b"besteffort" | b"kubepods");
    let Some(uid) = uid.filter(|uid| is_kube && is_uid(uid)) else { return };
    work.pod_uid = Some(uid);
    let of = |class: &[u8]| outer == class || holds(component, class);
    work.pod_qos = Some(if of(b"burstable") {
        "burstable"
    } else if of(b"besteffort") {
        "besteffort"
    } else {
        "guaranteed"
    });
}

fn is_id(text: &[u8]) -> bool {
    text.len() == ID && text.iter().all(u8::is_ascii_hexdigit)
}

/// A uid as Kubernetes makes them; those of static pods have no dashes.
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

/// A unit by its name: one that would clash with a file of the kernel's has an
/// underscore before it.
fn unit_name(component: &[u8]) -> Vec<u8> {
    component.strip_prefix(b"_").unwrap_or(component).to_vec()
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

/// Whether a path tells more than that systemd's first process made something,
/// which it does for others.
pub(super) fn tells(work: &Workload) -> bool {
    work.container_id.is_some()
        || work.pod_uid.is_some()
        || work.unit.as_deref().is_some_and(|unit| unit != b"init.scope")
}

/// The path in a file `/proc/PID/cgroup` that tells most: that of version 2,
/// of systemd's own hierarchy, or of a controller.
pub(super) fn best(file: &[u8]) -> Option<Workload> {
    let mut paths: Vec<(u8, &[u8])> = Vec::new();
    for line in file.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let rank = match (number, controllers) {
            (b"0", b"") => 0,
            (_, b"name=systemd") => 1,
            _ => 2,
        };
        paths.push((rank, path));
    }
    // A controller of version 1 may leave some levels out.
    paths.sort_by_key(|(rank, path)| (*rank, std::cmp::Reverse(path.len())));
    let read: Vec<Workload> = paths.iter().map(|(_, path)| read(path)).collect();
    let first = |test: fn(&Workload) -> bool| read.iter().find(|work| test(work)).cloned();
    first(|work| work.container_id.is_some()).or_else(|| first(tells)).or_else(|| first(|_| true))
}

#[cfg(test)]
mod tests;
