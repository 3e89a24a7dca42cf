//! The offsets of the kernel's tables and of the members that the programs read, and the
//! ids of the kernel functions that they call.
//!
//! The members that are copied from a socket are in [`super::members`].
//!
//! Source: the kernel's BTF; Documentation/bpf/kfuncs.rst.

use sockdiag_wire::bpf::{Lookup, NotFound, Wanted};

/// The members and what the kernel's types call them: `NAME: "STRUCTURE" "PATH"`.
macro_rules! members {
    ($($(#[doc = $doc:literal])+ $name:ident: $structure:literal $path:literal;)+) => {
        /// The offsets of the members that the programs read, in bytes from the beginning
        /// of their structure, and the ids of the kernel functions that the programs call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) struct Members {
            $($(#[doc = $doc])+ pub $name: u32,)+
            /// Links a socket with others that are bound to the same port and address.
            pub owner_node: u32,
            /// The size of a bucket of listeners, in bytes.
            pub listen_bucket: u32,
            /// The size of a bucket of bound ports, in bytes.
            pub bind_bucket: u32,
            /// A struct that begins with two 64-bit numbers.
            pub word: u32,
            /// `bpf_rdonly_cast`.
            pub cast: u32,
            /// `bpf_rcu_read_lock`.
            pub lock: u32,
            /// `bpf_rcu_read_unlock`.
            pub unlock: u32,
            /// `bpf_iter_num_new`.
            pub loop_new: u32,
            /// `bpf_iter_num_next`.
            pub loop_next: u32,
            /// `bpf_iter_num_destroy`.
            pub loop_destroy: u32,
        }

        /// The names of the members, one per line; a single string needs no relocations.
        const NAMES: &str = concat!($($structure, " ", $path, "\n",)+);

        impl Members {
            /// Finds the offsets and ids in the kernel's types.
            ///
            /// # Errors
            /// The first one that this kernel lacks.
            pub(super) fn find(types: &Lookup<'_>) -> Result<Self, NotFound> {
                let [word, cast, lock, unlock, loop_new, loop_next, loop_destroy] = types.ids(IDS)?;
                let mut names = names();
                Ok(Self {
                    $($name: offset(types, names.next())?,)+
                    // Before Linux 6.8 sockets were in two such lists.
                    owner_node: offset(types, Some(("sock", "sk_bind2_node")))
                        .or_else(|_| offset(types, Some(("sock_common", "skc_bind_node"))))?,
                    listen_bucket: types.bytes("inet_listen_hashbucket")?,
                    bind_bucket: types.bytes("inet_bind_hashbucket")?,
                    word,
                    cast,
                    lock,
                    unlock,
                    loop_new,
                    loop_next,
                    loop_destroy,
                })
            }
        }
    };
}

members! {
    /// A task's namespaces.
    nsproxy: "task_struct" "nsproxy";
    /// Its network namespace.
    net_ns: "nsproxy" "net_ns";
    /// The tables of a network namespace.
    hashinfo: "net" "ipv4.tcp_death_row.hashinfo";
    /// Buckets of established sockets; their number is the mask plus one.
    ehash: "inet_hashinfo" "ehash";
    /// See `ehash`.
    ehash_mask: "inet_hashinfo" "ehash_mask";
    /// Buckets of listeners; their number is the mask plus one.
    lhash2: "inet_hashinfo" "lhash2";
    /// See `lhash2`.
    lhash2_mask: "inet_hashinfo" "lhash2_mask";
    /// The head of the list of a bucket of listeners.
    nulls_head: "inet_listen_hashbucket" "nulls_head";
    /// Links sockets of a bucket.
    nulls_node: "sock_common" "skc_nulls_node";
    /// Family.
    family: "sock_common" "skc_family";
    /// State.
    state: "sock_common" "skc_state";
    /// Network namespace.
    net: "sock_common" "skc_net.net";
    /// State of a socket in TIME-WAIT.
    substate: "inet_timewait_sock" "tw_substate";
    /// Cookie.
    cookie: "sock_common" "skc_cookie";
    /// Hash, followed by the ports.
    hash: "sock_common" "skc_hash";
    /// Addresses of IPv4.
    addresses: "sock_common" "skc_daddr";
    /// Buckets of bound ports.
    bhash2: "inet_hashinfo" "bhash2";
    /// See `bhash2`.
    bhash_size: "inet_hashinfo" "bhash_size";
    /// The head of the list of a bucket of bound ports.
    bind_chain: "inet_bind_hashbucket" "chain";
    /// Links ports of a bucket.
    bind_node: "inet_bind2_bucket" "node";
    /// A port's network namespace.
    bind_net: "inet_bind2_bucket" "ib_net.net";
    /// The head of the list of sockets bound to a port.
    bind_owners: "inet_bind2_bucket" "owners";
    /// The port that a socket is bound to.
    number: "sock_common" "skc_num";
    /// Links network namespaces.
    nets: "net" "list.next";
    /// The inode of a network namespace.
    inode: "net" "ns.inum";
}

const IDS: [Wanted; 7] = [
    Wanted::structure("timespec64"),
    Wanted::function("bpf_rdonly_cast"),
    Wanted::function("bpf_rcu_read_lock"),
    Wanted::function("bpf_rcu_read_unlock"),
    Wanted::function("bpf_iter_num_new"),
    Wanted::function("bpf_iter_num_next"),
    Wanted::function("bpf_iter_num_destroy"),
];

/// Structure and path of each member.
fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMES.lines().filter_map(|line| line.split_once(' '))
}

// Not inlined, since it is called for every member.
#[inline(never)]
fn offset(types: &Lookup<'_>, name: Option<(&'static str, &'static str)>) -> Result<u32, NotFound> {
    let (structure, path) = name.unwrap_or_default();
    types.member(structure, path).map(|member| member.offset)
}

impl Members {
    /// The types to look up in the kernel's BTF.
    pub(super) fn wanted() -> Vec<Wanted> {
        let structs = names().map(|(structure, _)| Wanted::structure(structure));
        structs.chain([Wanted::structure("sock")]).chain(IDS).collect()
    }

    /// Offsets of the words of a socket that are compared with the copy.
    pub(super) fn identity(&self) -> [u32; 5] {
        [self.addresses, self.hash, self.state, self.net, self.cookie].map(|offset| offset & !7)
    }
}
