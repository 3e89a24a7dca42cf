//! What surrounds a socket: its namespace, the other end of its connection, and the container
//! or unit that it belongs to.
//!
//! All of it is collected before the row is shown; absent means unknown.

use super::socket::Addr;
use super::words::Word;

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Netns {
    /// Inode of the namespace, as in `readlink /proc/PID/ns/net`; 0 for our own namespace if
    /// it cannot be read.
    pub inode: u64,
    /// Name in /run/netns, as `ip netns` shows it; arbitrary bytes.
    pub name: Option<Vec<u8>>,
    /// A file through which the namespace can be entered.
    pub path: Option<Vec<u8>>,
    /// Its name; its inode if it has none; `-` if both are unknown.
    pub title: Vec<u8>,
    /// The user namespace that owns it, unless that is our own or the initial one: root in
    /// that user namespace can assign any address here.  Determined when a query visits the
    /// namespace.
    pub owner: Option<UserNamespace>,
}

/// A user namespace other than the initial one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserNamespace {
    /// Its inode.
    pub inode: u64,
    /// The user who created it.
    pub uid: u32,
}

impl Netns {
    /// A namespace whose title is derived from the other members.
    pub fn new(inode: u64, name: Option<Vec<u8>>, path: Option<Vec<u8>>) -> Self {
        let number = || if inode == 0 { b"-".to_vec() } else { inode.to_string().into_bytes() };
        let title = name.clone().unwrap_or_else(number);
        Self { inode, name, path, title, owner: None }
    }
}

/// The other end of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer<'a> {
    /// Its inode; 0 if the other end is unknown, or if no process holds it.
    pub inode: u32,
    /// Its namespace, if known.
    pub netns: Option<&'a Netns>,
    /// How many sockets of this machine may be the other end; if more than one, it is unknown.
    pub candidates: u32,
    /// The user who could have faked this match, since the shared address is in a namespace
    /// that this user controls; `None` if nobody could.
    pub claimed_by: Option<u32>,
}

/// Quality of service classes of Kubernetes pods.
pub const QOS_CLASSES: &[Word] =
    &[Word::text("guaranteed"), Word::text("burstable"), Word::text("besteffort|best-effort")];

/// A name from the path of a cgroup, with a mark for its author.
///
/// A user or container that was delegated a cgroup can name the cgroups below it freely.  Such
/// names carry a mark, `(uid 1000)` or `(container 4f797c539e6c)`, in all output and
/// conditions, so that they are not mistaken for names given by root, systemd or a container
/// runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    text: Vec<u8>,
    bare: usize,
}

impl Named {
    /// A name with a mark; an empty mark means that the name can be trusted like root's.
    pub fn new(name: &[u8], mark: &[u8]) -> Self {
        Self { text: [name, mark].concat(), bare: name.len() }
    }

    /// The name with its mark.
    pub fn whole(&self) -> &[u8] {
        &self.text
    }

    /// The name alone.
    pub fn name(&self) -> &[u8] {
        self.text.get(..self.bare).unwrap_or_default()
    }

    /// The mark after the name; empty if the name can be trusted like root's.
    pub fn mark(&self) -> &[u8] {
        self.text.get(self.bare..).unwrap_or_default()
    }
}

impl From<&[u8]> for Named {
    fn from(name: &[u8]) -> Self {
        Self::new(name, b"")
    }
}

/// The workload that a socket belongs to, derived from the path of its cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// The path of the cgroup.
    pub cgroup: Vec<u8>,
    /// The container runtime, such as `docker`.
    pub runtime: Option<&'static str>,
    /// Id of the container; its name for LXC containers and machines, which have no other id.
    pub container_id: Option<Named>,
    /// Name of the container.
    pub container_name: Option<Named>,
    /// Uid of the Kubernetes pod.
    pub pod_uid: Option<Named>,
    /// Name of the pod.
    pub pod_name: Option<Named>,
    /// Kubernetes namespace of the pod.
    pub pod_namespace: Option<Named>,
    /// Quality of service class of the pod.
    pub pod_qos: Option<&'static str>,
    /// Innermost systemd unit other than a slice.
    pub unit: Option<Named>,
    /// Innermost systemd slice.
    pub slice: Option<Named>,
    /// Id of the login session.
    pub session: Option<Vec<u8>>,
    /// The user who owns the session, the service manager or the cgroup.
    pub owner_uid: Option<u32>,
    /// The names that `--containers` prints, derived by [`Workload::entitle`].
    pub titles: Titles,
}

/// A short name for each part of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Titles {
    /// Name of the container, or the first digits of its id in the form that runtimes show.
    pub container: Option<Named>,
    /// `NAMESPACE/NAME` of the pod, or its name, or its uid.
    pub pod: Option<Named>,
    /// Name of the unit, unless the unit is the container and is named after its id.
    pub unit: Option<Named>,
}

impl Workload {
    /// Derives the titles from what is known so far.
    pub fn entitle(&mut self) {
        let id = self.container_id.as_ref();
        // Nobody prints all digits of a hash.
        let hash = id.map(Named::name).filter(|id| id.len() == 64);
        let short = id.map(|id| match hash.and_then(|hash| hash.get(..12)) {
            Some(digits) => Named::new(digits, id.mark()),
            None => id.clone(),
        });
        let pod = match (&self.pod_namespace, &self.pod_name) {
            (Some(namespace), Some(name)) => {
                Some(Named::new(&[namespace.name(), b"/", name.name()].concat(), name.mark()))
            }
            (None, Some(name)) => Some(name.clone()),
            (_, None) => self.pod_uid.clone(),
        };
        let is_container =
            |unit: &&Named| hash.is_some_and(|id| unit.name().windows(id.len()).any(|part| part == id));
        let unit = self.unit.as_ref().filter(|unit| !is_container(unit)).cloned();
        self.titles = Titles { container: self.container_name.clone().or(short), pod, unit };
    }
}

/// The addresses of a namespace.
pub trait AddressCache: Sync {
    /// Passes the addresses of an interface to `take`, or of all interfaces (0).
    fn addresses(&self, interface: u32, take: &mut dyn FnMut(Addr));
}
