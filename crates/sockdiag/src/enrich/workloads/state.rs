//! Names of containers, from the files in which runtimes keep them.
//!
//! No daemon is asked.  A file that is missing, forbidden, too long or malformed gives no
//! name.  Only ids that are plain hexadecimal digits become part of a path.
//!
//! A user controls the files below their home, and may put anything in their place.  So a
//! user's container is looked up only there, under the limits of
//! [`chosen`](crate::sys::chosen): regular files of that user, on the file system of the
//! home.  Root's directories may be links and mounts, since root made them.
//!
//! Invariant: the bytes read are limited, per file and for all files of one poll.
//!
//! Source: the layouts of Docker's, Podman's, containerd's and CRI-O's state,
//! and the annotations in an OCI runtime's config.json.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

use super::json::{NotJson, document};
use super::shape::{Stores, Told};
use crate::enrich::few::Few;
use crate::model::Named;
use crate::notice::{Notice, Refusal, Refusals};
use crate::sys::chosen::Dir;

/// The directories of containerd's bundles, by namespace.
const BUNDLES: &[&str] = &[
    "run/containerd/io.containerd.runtime.v2.task",
    "run/k3s/containerd/io.containerd.runtime.v2.task",
    "var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
    "run/containerd/io.containerd.runtime.v1.linux",
];

/// The directories where CRI-O and Podman keep containers.
const STORES: &[&str] = &["run/containers/storage", "var/lib/containers/storage"];

/// Annotations that hold a name, the most usual first.
const CONTAINER: &[&str] =
    &["io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"];
const POD: &[&str] =
    &["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name", "io.kubernetes.cri-o.KubeName"];
const POD_NAMESPACE: &[&str] =
    &["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace", "io.kubernetes.cri-o.Namespace"];
const POD_UID: &[&str] = &["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"];

/// How long a container's own file may be, for root and for a user.  An OCI runtime's
/// config.json holds a seccomp profile and the annotations of a pod.
const CONFIG: [u64; 2] = [1 << 20, 64 << 10];
/// How long a store's list of all containers may be: some thousand containers.
const LIST: [u64; 2] = [8 << 20, 1 << 20];
/// How long the file of users (/etc/passwd) may be.
const USERS: u64 = 16 << 20;
/// How much of root's files is read in one poll.
const ROOT_BUDGET: u64 = 64 << 20;
/// How much is read of one user's files, and of all users' files together.
const USER_BUDGET: u64 = 4 << 20;
const USERS_BUDGET: u64 = 32 << 20;
/// The longest name that is accepted.
const LONGEST_NAME: usize = 1024;
/// How many of containerd's namespaces are searched.
const MOST_NAMESPACES: usize = 256;

/// The state files of a machine.
#[derive(Debug)]
pub(super) struct State {
    root: PathBuf,
    /// Whether `root` is a copied tree of another machine.
    is_tree: bool,
    /// Root's directories, by their paths below the root.
    stores: Few<&'static str, Option<Arc<Dir>>>,
    /// The text of the file of users.
    users: Option<Vec<u8>>,
    /// Root, who is `None`, and users.
    owners: HashMap<Option<u32>, Owner>,
    refusals: Refusals,
}

/// What is known of an owner of files.
#[derive(Debug, Default)]
struct Owner {
    /// The home of a user, once it was asked for; `None` in it if it cannot be opened.
    home: OnceLock<Option<Arc<Dir>>>,
    /// Names of Podman's containers by id, once they were asked for.
    podman: Option<HashMap<String, String>>,
    /// How many bytes of the owner's files were read.
    spent: u64,
}

/// The facts about a container from these files.
#[derive(Debug, Default)]
struct Found {
    runtime: Option<&'static str>,
    name: Option<String>,
    pod_name: Option<String>,
    pod_namespace: Option<String>,
    pod_uid: Option<String>,
}

impl State {
    /// State files below `root`, which stands for `/` of this machine or another one.
    pub(super) fn new(root: PathBuf, is_tree: bool) -> Self {
        Self {
            root,
            is_tree,
            stores: Few::default(),
            users: None,
            owners: HashMap::new(),
            refusals: Refusals::default(),
        }
    }

    /// Forgets all that was read.
    pub(super) fn begin_poll(&mut self) {
        *self = Self::new(mem::take(&mut self.root), self.is_tree);
    }

    /// The files that were not read, and why.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        self.refusals.take()
    }

    /// Adds the names that a container's files give.
    pub(super) fn name(&mut self, told: &mut Told) {
        let user = match told.stores {
            Stores::Root => None,
            Stores::User(uid) => Some(uid),
            Stores::None => {
                told.work.runtime = None;
                return;
            }
        };
        let Some(container) = &told.work.container_id else { return };
        let is_id = container.name().len() == 64 && container.name().iter().all(u8::is_ascii_hexdigit);
        let Some(id) = str::from_utf8(container.name()).ok().filter(|_| is_id).map(str::to_owned) else {
            if user.is_some() {
                told.work.runtime = None;
            }
            return;
        };
        let mark = container.mark().to_vec();
        let runtime = told.work.runtime;
        let mut found = Found::default();
        if matches!(runtime, None | Some("docker")) {
            found = self.ask_docker(user, &id);
        }
        if runtime == Some("podman") {
            found.name = self.podman_name(user, &id);
            found.runtime = found.name.is_some().then_some("podman");
        }
        if found.name.is_none() && runtime != Some("podman") && user.is_none() {
            let docker = found.runtime;
            found = self.ask_bundle(&id);
            found.runtime = docker.or(found.runtime);
        }
        let named = |name: Option<String>| name.map(|name| Named::new(name.as_bytes(), &mark));
        let work = &mut told.work;
        // Below a user's path, only what that user's files say counts.
        work.runtime = if user.is_some() || found.runtime == Some("docker") {
            found.runtime
        } else {
            runtime.or(found.runtime)
        };
        work.container_name = named(found.name);
        work.pod_name = named(found.pod_name);
        work.pod_namespace = named(found.pod_namespace);
        work.pod_uid = work.pod_uid.take().or_else(|| named(found.pod_uid));
    }

    fn ask_docker(&mut self, user: Option<u32>, id: &str) -> Found {
        let Some((dir, store)) = self.store(user, "var/lib/docker", ".local/share/docker") else {
            return Found::default();
        };
        let mut name = None;
        let path = store.join("containers").join(id).join("config.v2.json");
        let is_there = self.read(user, &dir, &path, CONFIG, &mut |bytes| {
            document(bytes, |json| {
                json.object(|json, key| match key {
                    "Name" => json.text().map(|text| name = text),
                    _ => json.skip(),
                })
            })
        });
        if !is_there {
            return Found::default();
        }
        let mut found = Found { runtime: Some("docker"), ..Found::default() };
        let name = name.and_then(|name| self.short(name)).unwrap_or_default();
        let name = name.strip_prefix('/').unwrap_or(&name);
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        // Kubernetes names its containers in Docker
        // k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT.
        match *name.split('_').collect::<Vec<_>>() {
            ["k8s", container, pod, namespace, uid, _] => {
                found.name = some(container);
                found.pod_name = some(pod);
                found.pod_namespace = some(namespace);
                found.pod_uid = some(uid);
            }
            _ => found.name = some(name),
        }
        found
    }

    fn podman_name(&mut self, user: Option<u32>, id: &str) -> Option<String> {
        if self.owners.get(&user).is_none_or(|owner| owner.podman.is_none()) {
            let names = self.podman_names(user);
            self.owners.entry(user).or_default().podman = Some(names);
        }
        let name = self.owners.get(&user)?.podman.as_ref()?.get(id)?.clone();
        self.short(name)
    }

    /// Names of the containers in a store of Podman's.
    fn podman_names(&mut self, user: Option<u32>) -> HashMap<String, String> {
        let store = self.store(user, "var/lib/containers/storage", ".local/share/containers/storage");
        let Some((dir, store)) = store else { return HashMap::new() };
        for driver in ["overlay-containers", "vfs-containers"] {
            let mut names = HashMap::new();
            let path = store.join(driver).join("containers.json");
            if self.read(user, &dir, &path, LIST, &mut |bytes| take_list(bytes, &mut names)) {
                return names;
            }
        }
        HashMap::new()
    }

    fn ask_bundle(&mut self, id: &str) -> Found {
        let mut annotations = HashMap::new();
        for bundles in BUNDLES {
            let Some(dir) = self.directory(bundles) else { continue };
            for namespace in dir.names(Path::new("."), MOST_NAMESPACES) {
                let path = Path::new(&namespace).join(id).join("config.json");
                if self
                    .read(None, &dir, &path, CONFIG, &mut |bytes| take_annotations(bytes, &mut annotations))
                {
                    return self.annotated(&annotations, "containerd");
                }
            }
        }
        for store in STORES {
            let Some(dir) = self.directory(store) else { continue };
            let path = Path::new("overlay-containers").join(id).join("userdata/config.json");
            if self.read(None, &dir, &path, CONFIG, &mut |bytes| take_annotations(bytes, &mut annotations)) {
                return self.annotated(&annotations, "cri-o");
            }
        }
        Found::default()
    }

    fn annotated(&mut self, annotations: &HashMap<String, String>, runtime: &'static str) -> Found {
        let mut find = |keys: &[&str]| {
            let text = keys.iter().find_map(|key| annotations.get(*key)).cloned();
            text.and_then(|text| self.short(text))
        };
        Found {
            runtime: Some(runtime),
            name: find(CONTAINER),
            pod_name: find(POD),
            pod_namespace: find(POD_NAMESPACE),
            pod_uid: find(POD_UID),
        }
    }

    /// Refuses a name that is too long.
    fn short(&mut self, name: String) -> Option<String> {
        if name.len() <= LONGEST_NAME {
            return Some(name);
        }
        let start: String = name.chars().take(32).collect();
        self.refusals.add(Refusal::LongName, || format!("{start}...").into());
        None
    }

    /// The directory that a store lies in, and the path of the store below it.
    fn store(&mut self, user: Option<u32>, root_s: &'static str, his: &str) -> Option<(Arc<Dir>, PathBuf)> {
        match user {
            None => Some((self.directory(root_s)?, PathBuf::new())),
            Some(uid) => Some((self.home_of(uid)?, his.into())),
        }
    }

    /// A directory of root's, by its path below the root.
    fn directory(&mut self, path: &'static str) -> Option<Arc<Dir>> {
        if self.stores.get(path).is_none() {
            let dir = Dir::open(&self.root).and_then(|root| root.chosen_by_root(Path::new(path), true));
            if let Err(errno @ (Errno::ACCESS | Errno::PERM)) = dir {
                let why = Refusal::Denied { errno: errno.raw_os_error() };
                self.refusals.add(why, || self.root.join(path));
            }
            self.stores.insert(path, dir.ok().map(Arc::new));
        }
        self.stores.get(path)?.clone()
    }

    /// The home of a user, according to the machine's own file of users.
    fn home_of(&mut self, uid: u32) -> Option<Arc<Dir>> {
        if let Some(home) = self.owners.get(&Some(uid)).and_then(|owner| owner.home.get()) {
            return home.clone();
        }
        let home = self.open_home(uid);
        self.owners.entry(Some(uid)).or_default().home.get_or_init(|| home).clone()
    }

    fn open_home(&mut self, uid: u32) -> Option<Arc<Dir>> {
        if self.users.is_none() {
            let mut users = Vec::new();
            if let Some(dir) = self.directory("etc") {
                let mut take = |bytes: &[u8]| {
                    users = bytes.to_vec();
                    Ok(())
                };
                self.read(None, &dir, Path::new("passwd"), [USERS, 0], &mut take);
            }
            self.users = Some(users);
        }
        let home = home_in(self.users.as_deref()?, uid)?;
        let root = Dir::open(&self.root).ok()?;
        // Do not cross mounts below: users may mount file systems of their own there, which
        // may never answer.
        root.chosen_by_root(&home, false).ok().map(Arc::new)
    }

    /// Reads a file of root's or of a user's, whole or not at all.
    fn read(
        &mut self,
        user: Option<u32>,
        dir: &Dir,
        path: &Path,
        limits: [u64; 2],
        take: &mut dyn FnMut(&[u8]) -> Result<(), NotJson>,
    ) -> bool {
        let [of_root, of_user] = limits;
        let limit = if user.is_some() { of_user } else { of_root };
        let own = rustix::process::geteuid().as_raw();
        // All files of a tree copied by an ordinary user belong to that user.
        let is_owner = |uid| uid == user.unwrap_or(0) || (self.is_tree && uid == own && own != 0);
        let read = self.affords(user).and_then(|()| dir.read(path, is_owner, limit));
        let taken = read.and_then(|bytes| {
            let Some(bytes) = bytes else { return Ok(false) };
            self.owners.entry(user).or_default().spent += bytes.len() as u64;
            take(&bytes).map(|()| true).map_err(|_| Refusal::NotJson)
        });
        taken.unwrap_or_else(|why| {
            self.refusals.add(why, || dir.called(path));
            false
        })
    }

    /// Whether more files of this owner may be read.
    fn affords(&self, user: Option<u32>) -> Result<(), Refusal> {
        let spent = self.owners.get(&user).map_or(0, |owner| owner.spent);
        let by_users = || {
            self.owners.iter().filter(|(user, _)| user.is_some()).map(|(_, owner)| owner.spent).sum::<u64>()
        };
        let limit = if user.is_some() { USER_BUDGET } else { ROOT_BUDGET };
        if spent >= limit {
            return Err(Refusal::Budget { limit });
        }
        if user.is_some() && by_users() >= USERS_BUDGET {
            return Err(Refusal::Budget { limit: USERS_BUDGET });
        }
        Ok(())
    }
}

/// Names by id, in Podman's list of containers.
fn take_list(bytes: &[u8], names: &mut HashMap<String, String>) -> Result<(), NotJson> {
    document(bytes, |json| {
        json.array(|json, _| {
            let (mut id, mut name) = (None, None);
            json.object(|json, key| match key {
                "id" => json.text().map(|text| id = text),
                "names" => json.array(|json, number| match number {
                    0 => json.text().map(|text| name = text),
                    _ => json.skip(),
                }),
                _ => json.skip(),
            })?;
            names.extend(id.zip(name));
            Ok(())
        })
    })
}

/// Reads those annotations of a container that hold names.
fn take_annotations(bytes: &[u8], annotations: &mut HashMap<String, String>) -> Result<(), NotJson> {
    annotations.clear();
    document(bytes, |json| {
        json.object(|json, key| match key {
            "annotations" => json.object(|json, key| {
                if ![CONTAINER, POD, POD_NAMESPACE, POD_UID].iter().any(|keys| keys.contains(&key)) {
                    return json.skip();
                }
                annotations.extend(json.text()?.map(|text| (key.to_owned(), text)));
                Ok(())
            }),
            _ => json.skip(),
        })
    })
}

/// The home of a user in a list of users.
fn home_in(users: &[u8], uid: u32) -> Option<PathBuf> {
    let uid = uid.to_string();
    let home = users.split(|byte| *byte == b'\n').find_map(|line| {
        let mut words = line.split(|byte| *byte == b':');
        (words.nth(2)? == uid.as_bytes()).then(|| words.nth(2)).flatten()
    })?;
    home.starts_with(b"/").then(|| OsStr::from_bytes(home).into())
}
