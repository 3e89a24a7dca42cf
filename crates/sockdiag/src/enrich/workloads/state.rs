//! Names of containers, from the files in which runtimes keep them.
//!
//! No daemon is asked.  A file that is not there, not allowed, too long or not
//! understood gives no name.  Only ids that are plain hexadecimal digits
//! become part of a path.
//!
//! Source: the layouts of Docker's, Podman's, containerd's and CRI-O's state,
//! and the annotations in an OCI runtime's config.json.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::model::Workload;

/// Longer files are not read.
const LONGEST: u64 = 16 << 20;

/// Where containerd's shims keep the bundles of containers, by namespace.
const BUNDLES: &[&str] = &[
    "run/containerd/io.containerd.runtime.v2.task",
    "run/k3s/containerd/io.containerd.runtime.v2.task",
    "var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
    "run/containerd/io.containerd.runtime.v1.linux",
];

/// Where CRI-O and Podman keep containers.
const STORES: &[&str] = &["run/containers/storage", "var/lib/containers/storage"];

/// Annotations that hold a name, the more usual first.
const CONTAINER: &[&str] =
    &["io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"];
const POD: &[&str] =
    &["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name", "io.kubernetes.cri-o.KubeName"];
const POD_NAMESPACE: &[&str] =
    &["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace", "io.kubernetes.cri-o.Namespace"];
const POD_UID: &[&str] = &["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"];

/// The state files of a machine.
#[derive(Debug)]
pub(super) struct State {
    root: PathBuf,
    /// Names of Podman's containers by the store that they are in.
    podman: HashMap<PathBuf, HashMap<String, String>>,
}

impl State {
    /// The state below this directory, which stands for `/`.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, podman: HashMap::new() }
    }

    /// Forgets the names that were read.
    pub(super) fn begin_poll(&mut self) {
        self.podman.clear();
    }

    /// Adds the names that are known of a container.
    pub(super) fn name(&mut self, work: &mut Workload) {
        let hexadecimal = |id: &&Vec<u8>| id.len() == 64 && id.iter().all(u8::is_ascii_hexdigit);
        let id = work.container_id.as_ref().filter(hexadecimal);
        let Some(id) = id.and_then(|id| String::from_utf8(id.clone()).ok()) else { return };
        let home = work.owner_uid.and_then(|uid| self.home_of(uid));
        if matches!(work.runtime, None | Some("docker")) {
            self.ask_docker(work, &id, home.as_deref());
        }
        if work.runtime == Some("podman") {
            self.ask_podman(work, &id, home.as_deref());
        }
        if work.container_name.is_none() && work.runtime != Some("podman") {
            self.ask_bundle(work, &id);
        }
    }

    fn ask_docker(&self, work: &mut Workload, id: &str, home: Option<&Path>) {
        let dirs =
            [Some(self.root.join("var/lib/docker")), home.map(|home| home.join(".local/share/docker"))];
        let read = |dir: PathBuf| json(&dir.join("containers").join(id).join("config.v2.json"));
        let Some(config) = dirs.into_iter().flatten().find_map(read) else { return };
        work.runtime = Some("docker");
        let Some(name) = text(config.get("Name")) else { return };
        let name = name.strip_prefix('/').unwrap_or(&name);
        // What Kubernetes makes through Docker: k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT.
        match *name.split('_').collect::<Vec<_>>() {
            ["k8s", container, pod, namespace, uid, _] => {
                work.container_name = bytes(container);
                work.pod_name = bytes(pod);
                work.pod_namespace = bytes(namespace);
                work.pod_uid = work.pod_uid.take().or(bytes(uid));
            }
            _ => work.container_name = bytes(name),
        }
    }

    fn ask_podman(&mut self, work: &mut Workload, id: &str, home: Option<&Path>) {
        let store = match home {
            Some(home) => home.join(".local/share/containers/storage"),
            None => self.root.join("var/lib/containers/storage"),
        };
        let names = self.podman.entry(store).or_insert_with_key(|store| podman_names(store));
        work.container_name = names.get(id).and_then(|name| bytes(name));
    }

    fn ask_bundle(&self, work: &mut Workload, id: &str) {
        let config = BUNDLES
            .iter()
            .flat_map(|dir| fs::read_dir(self.root.join(dir)).into_iter().flatten().flatten())
            .map(|namespace| (namespace.path().join(id), "containerd"))
            .chain(STORES.iter().map(|store| {
                (self.root.join(store).join("overlay-containers").join(id).join("userdata"), "cri-o")
            }))
            .find_map(|(dir, runtime)| Some((json(&dir.join("config.json"))?, runtime)));
        let Some((config, runtime)) = config else { return };
        work.runtime.get_or_insert(runtime);
        let annotations = config.get("annotations");
        let find = |keys: &[&str]| {
            keys.iter().find_map(|key| text(annotations?.get(*key))).and_then(|value| bytes(&value))
        };
        work.container_name = find(CONTAINER);
        work.pod_name = find(POD);
        work.pod_namespace = find(POD_NAMESPACE);
        work.pod_uid = work.pod_uid.take().or_else(|| find(POD_UID));
    }

    /// The home of a user, as the machine's own file of users has it.
    fn home_of(&self, uid: u32) -> Option<PathBuf> {
        let users = contents(&self.root.join("etc/passwd"))?;
        let uid = uid.to_string();
        let home = String::from_utf8_lossy(&users).lines().find_map(|line| {
            let mut words = line.split(':');
            (words.nth(2)? == uid).then(|| words.nth(2).map(str::to_owned)).flatten()
        })?;
        Some(self.root.join(home.strip_prefix('/')?))
    }
}

/// Names of the containers in a store of Podman's.
fn podman_names(store: &Path) -> HashMap<String, String> {
    let list = ["overlay-containers", "vfs-containers"]
        .iter()
        .find_map(|driver| json(&store.join(driver).join("containers.json")));
    let containers = list.as_ref().and_then(Value::as_array).into_iter().flatten();
    containers.filter_map(|one| Some((text(one.get("id"))?, text(one.get("names")?.get(0))?))).collect()
}

fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    (!text.is_empty()).then(|| text.as_bytes().to_vec())
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&contents(path)?).ok()
}

fn contents(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    // A pipe in the file's place would keep us waiting.
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(LONGEST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LONGEST).then_some(bytes)
}
