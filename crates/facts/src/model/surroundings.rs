//! What surrounds a socket: the namespace it is in, the other end of its
//! connection, and the container or unit that it works for.
//!
//! Everything here was found out before the row is shown; absent is unknown.

use super::socket::Addr;
use super::words::Word;

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Netns {
    /// Inode of the namespace, as `readlink /proc/PID/ns/net` shows it; 0 for
    /// our own where that cannot be told.
    pub inode: u64,
    /// Name in /run/netns, as `ip netns` gives it; any bytes.
    pub name: Option<Vec<u8>>,
    /// A file through which it can be entered.
    pub path: Option<Vec<u8>>,
    /// Its name, or its inode number where it has none, or `-`.
    pub title: Vec<u8>,
    /// The user namespace that owns it, where that is neither ours nor the first
    /// one: who is root there can give it any address.  Found out when a question
    /// visits it.
    pub owner: Option<UserNamespace>,
}

/// A user namespace that somebody made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserNamespace {
    /// Its inode.
    pub inode: u64,
    /// The user who made it.
    pub uid: u32,
}

impl Netns {
    /// A namespace whose title follows from the rest.
    pub fn new(inode: u64, name: Option<Vec<u8>>, path: Option<Vec<u8>>) -> Self {
        let number = || if inode == 0 { b"-".to_vec() } else { inode.to_string().into_bytes() };
        let title = name.clone().unwrap_or_else(number);
        Self { inode, name, path, title, owner: None }
    }
}

/// The other end of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer<'a> {
    /// Its inode; 0 if the other end is not known, or not held by anybody.
    pub inode: u32,
    /// The namespace it is in, where that is known.
    pub netns: Option<&'a Netns>,
    /// How many sockets of this machine may be it; more than one leaves it unknown.
    pub candidates: u32,
    /// The user by whose word alone it is the other end, since the address that
    /// the ends share is in a namespace of his; `None` where it is nobody's.
    pub claimed_by: Option<u32>,
}

/// Quality of service classes of Kubernetes pods.
pub const QOS_CLASSES: &[Word] =
    &[Word::text("guaranteed"), Word::text("burstable"), Word::text("besteffort|best-effort")];

/// A name from the path of a cgroup, and whose choice it is.
///
/// Whoever was given a cgroup names those below it as he likes.  Such names have
/// a mark behind them, `(uid 1000)` or `(container 4f797c539e6c)`, in every form
/// and in conditions, so that none is taken for one that root, systemd or a
/// runtime gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    text: Vec<u8>,
    bare: usize,
}

impl Named {
    /// A name with a mark; without one it is as good as root's.
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

    /// The mark behind the name; empty where the name can be trusted as one that root gave.
    pub fn mark(&self) -> &[u8] {
        self.text.get(self.bare..).unwrap_or_default()
    }
}

impl From<&[u8]> for Named {
    fn from(name: &[u8]) -> Self {
        Self::new(name, b"")
    }
}

/// Whom a socket works for, as the path of a cgroup tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// The path itself.
    pub cgroup: Vec<u8>,
    /// What runs the container, such as `docker`.
    pub runtime: Option<&'static str>,
    /// Id of the container; for LXC and machines, which have no other, the name.
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
    /// User whose session or service manager it is, or whose the cgroup is.
    pub owner_uid: Option<u32>,
    /// What `--containers` calls them, made by [`Workload::entitle`].
    pub titles: Titles,
}

/// A short name for each thing that a socket works for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Titles {
    /// Name of the container, else the first digits of its id as runtimes show them.
    pub container: Option<Named>,
    /// `NAMESPACE/NAME` of the pod, else its name, else its uid.
    pub pod: Option<Named>,
    /// Name of the unit, unless the unit is the container and is called by its id.
    pub unit: Option<Named>,
}

impl Workload {
    /// Makes the titles of what is known by now.
    pub fn entitle(&mut self) {
        let id = self.container_id.as_ref();
        // Of a hash nobody shows all digits.
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
    /// Hands over the addresses of an interface, or of all (0).
    fn addresses(&self, interface: u32, take: &mut dyn FnMut(Addr));
}
