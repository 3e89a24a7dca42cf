//! Where the running kernel keeps its tables and what the programs read of them,
//! and the numbers of its functions that they call.
//!
//! What is copied of a socket is not here ([`super::members`]).
//!
//! Source: the kernel's BTF; Documentation/bpf/kfuncs.rst.

use sockdiag_wire::bpf::{Lookup, Member, NotFound, Wanted};

/// Where the running kernel keeps what the program reads, and the numbers of its
/// functions that the program calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Members {
    pub nsproxy: Member,
    pub net_ns: Member,
    pub hashinfo: Member,
    pub ehash: Member,
    pub ehash_mask: Member,
    pub lhash2: Member,
    pub lhash2_mask: Member,
    pub nulls_head: Member,
    pub nulls_node: Member,
    pub family: Member,
    pub state: Member,
    pub net: Member,
    pub substate: Member,
    pub cookie: Member,
    pub hash: Member,
    pub addresses: Member,
    /// Bytes of a bucket of listeners.
    pub listen_bucket: u32,
    pub bhash2: Member,
    pub bhash_size: Member,
    pub bind_chain: Member,
    pub bind_node: Member,
    pub bind_net: Member,
    pub bind_owners: Member,
    /// The port that a socket is bound to.
    pub number: Member,
    /// What links namespaces.
    pub nets: Member,
    pub inode: Member,
    /// What links a socket with others that are bound to the same port and address.
    pub owner_node: Member,
    /// Bytes of a bucket of bound ports.
    pub bind_bucket: u32,
    /// A struct that begins with two numbers of 64 bits.
    pub word: u32,
    pub cast: u32,
    pub lock: u32,
    pub unlock: u32,
    pub loop_new: u32,
    pub loop_next: u32,
    pub loop_destroy: u32,
}

const MEMBERS: [(&str, &str); 25] = [
    ("task_struct", "nsproxy"),
    ("nsproxy", "net_ns"),
    ("net", "ipv4.tcp_death_row.hashinfo"),
    ("inet_hashinfo", "ehash"),
    ("inet_hashinfo", "ehash_mask"),
    ("inet_hashinfo", "lhash2"),
    ("inet_hashinfo", "lhash2_mask"),
    ("inet_listen_hashbucket", "nulls_head"),
    ("sock_common", "skc_nulls_node"),
    ("sock_common", "skc_family"),
    ("sock_common", "skc_state"),
    ("sock_common", "skc_net.net"),
    ("inet_timewait_sock", "tw_substate"),
    ("sock_common", "skc_cookie"),
    ("sock_common", "skc_hash"),
    ("sock_common", "skc_daddr"),
    ("inet_hashinfo", "bhash2"),
    ("inet_hashinfo", "bhash_size"),
    ("inet_bind_hashbucket", "chain"),
    ("inet_bind2_bucket", "node"),
    ("inet_bind2_bucket", "ib_net.net"),
    ("inet_bind2_bucket", "owners"),
    ("sock_common", "skc_num"),
    ("net", "list.next"),
    ("net", "ns.inum"),
];

const IDS: [Wanted; 7] = [
    Wanted::structure("timespec64"),
    Wanted::function("bpf_rdonly_cast"),
    Wanted::function("bpf_rcu_read_lock"),
    Wanted::function("bpf_rcu_read_unlock"),
    Wanted::function("bpf_iter_num_new"),
    Wanted::function("bpf_iter_num_next"),
    Wanted::function("bpf_iter_num_destroy"),
];

impl Members {
    /// What is to be looked for among the kernel's types.
    pub(super) fn wanted() -> Vec<Wanted> {
        let structs = MEMBERS.map(|(structure, _)| Wanted::structure(structure));
        [&structs[..], &[Wanted::structure("sock")], &IDS].concat()
    }

    /// Finds them.
    pub(super) fn find(types: &Lookup<'_>) -> Result<Self, NotFound> {
        let [
            nsproxy,
            net_ns,
            hashinfo,
            ehash,
            ehash_mask,
            lhash2,
            lhash2_mask,
            nulls_head,
            nulls_node,
            family,
            state,
            net,
            substate,
            cookie,
            hash,
            addresses,
            bhash2,
            bhash_size,
            bind_chain,
            bind_node,
            bind_net,
            bind_owners,
            number,
            nets,
            inode,
        ] = types.members(&MEMBERS)?;
        let [word, cast, lock, unlock, loop_new, loop_next, loop_destroy] = types.ids(IDS)?;
        Ok(Self {
            nsproxy,
            net_ns,
            hashinfo,
            ehash,
            ehash_mask,
            lhash2,
            lhash2_mask,
            nulls_head,
            nulls_node,
            family,
            state,
            net,
            substate,
            cookie,
            hash,
            addresses,
            listen_bucket: types.bytes("inet_listen_hashbucket")?,
            bhash2,
            bhash_size,
            bind_chain,
            bind_node,
            bind_net,
            bind_owners,
            number,
            nets,
            inode,
            // Until Linux 6.8 sockets were in two such lists.
            owner_node: types
                .member("sock", "sk_bind2_node")
                .or_else(|_| types.member("sock_common", "skc_bind_node"))?,
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

    /// Words of a socket that are compared with the copy, by where they lie.
    pub(super) fn identity(&self) -> [u32; 5] {
        [self.addresses, self.hash, self.state, self.net, self.cookie].map(|member| member.offset & !7)
    }
}
