//! The table of facts: one row for each thing that a socket can report.
//!
//! Text, filter operands and the plan of what to ask the kernel for all read
//! these rows, and nothing else knows a field by name.  Adding a field is one
//! accessor (in `sockdiag-wire`) and one row here.
//!
//! Invariant: names are unique, docs are sentences, and the order of the rows
//! in a block is the order in which `ss` prints them.

mod block;
mod bpf;
mod catalog;
mod choice;
mod congestion;
mod endpoint;
mod exposure;
mod extended;
mod memory;
mod mptcp;
mod named;
mod netlink;
mod owned;
mod packet;
mod process;
mod sctp;
mod smc;
mod surroundings;
mod tcp;
mod tipc;
mod ulp;
mod unix;
mod value;
mod vsock;
mod xdp;

pub use block::{Block, Lead, Test};
pub use bpf::put_value;
pub use catalog::{Catalog, Description, Part};
pub use choice::{Choice, ChoiceError, Key};
pub use endpoint::put_address;
pub use endpoint::state_text;
pub use extended::uid as owner;
pub use named::{NameError, Named};
pub use owned::{OwnedItem, OwnedValue, printable};
pub use process::Identity;
pub use value::{Each, Item, Kind, List, Member, Value};

use crate::model::Row;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing that has a unit: an identifier, a mode, a name.
    None,
    /// Things: sockets, marks, probes.
    Count,
    /// Bytes.
    Bytes,
    /// Bytes in a second.
    BytesPerSecond,
    /// Segments.
    Packets,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Parts of 256 (BBR gains).
    Per256,
}

impl Unit {
    /// What it is called; `None` for no unit.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes per second",
            Self::Packets => "packets",
            Self::Microseconds => "microseconds",
            Self::Milliseconds => "milliseconds",
            Self::Per256 => "parts of 256",
        })
    }
}

/// What kind of metric a number makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A description; makes no time series.
    Info,
    /// Goes up and down.
    Gauge,
    /// Only ever goes up while the socket lives.
    Counter,
}

/// What a field costs: bits of the request, and look-ups.
///
/// The plan is the union over the fields that are shown or filtered on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Needs(u32);

impl Needs {
    /// Nothing: it is in every reply.
    pub const NONE: Self = Self(0);
    /// `INET_DIAG_MEMINFO`.
    pub const MEMINFO: Self = Self(1 << 0);
    /// `INET_DIAG_INFO`.
    pub const INFO: Self = Self(1 << 1);
    /// `INET_DIAG_VEGASINFO`, which brings DCTCP and BBR too.
    pub const VEGASINFO: Self = Self(1 << 2);
    /// `INET_DIAG_CONG`.
    pub const CONG: Self = Self(1 << 3);
    /// `INET_DIAG_TOS`.
    pub const TOS: Self = Self(1 << 4);
    /// `INET_DIAG_TCLASS`, which brings the class id too.
    pub const TCLASS: Self = Self(1 << 5);
    /// `INET_DIAG_SKMEMINFO`.
    pub const SKMEMINFO: Self = Self(1 << 6);
    /// `UDIAG_SHOW_VFS`.
    pub const UNIX_VFS: Self = Self(1 << 8);
    /// `UDIAG_SHOW_ICONS`.
    pub const UNIX_ICONS: Self = Self(1 << 9);
    /// `UDIAG_SHOW_MEMINFO`.
    pub const UNIX_MEMINFO: Self = Self(1 << 10);
    /// `UDIAG_SHOW_UID`.
    pub const UNIX_UID: Self = Self(1 << 11);
    /// `SMC_DIAG_CONNINFO`.
    pub const SMC_CONNINFO: Self = Self(1 << 12);
    /// `SMC_DIAG_LGRINFO`.
    pub const SMC_LGRINFO: Self = Self(1 << 13);
    /// `SMC_DIAG_DMBINFO`.
    pub const SMC_DMBINFO: Self = Self(1 << 14);
    /// `PACKET_SHOW_MCLIST`.
    pub const PACKET_MCLIST: Self = Self(1 << 15);
    /// Owners: processes and their descriptors.
    pub const PROCESSES: Self = Self(1 << 20);
    /// Names of interfaces.
    pub const INTERFACES: Self = Self(1 << 16);
    /// Names of netlink protocols and of the processes that have port ids.
    pub const NETLINK_NAMES: Self = Self(1 << 21);
    /// SELinux contexts of sockets and of those that hold them.
    pub const CONTEXTS: Self = Self(1 << 22);
    /// Paths of cgroups.
    pub const CGROUPS: Self = Self(1 << 17);
    /// Names of hosts, where `-r` asks for them.
    pub const HOSTS: Self = Self(1 << 18);
    /// Values of BPF maps: an attribute of the request.
    pub const BPF_STORAGES: Self = Self(1 << 24);
    /// Names of services, unless `-n` forbids them.
    pub const SERVICES: Self = Self(1 << 19);
    /// Names of users.
    pub const USERS: Self = Self(1 << 28);
    /// `NDIAG_SHOW_FLAGS`.
    pub const NETLINK_FLAGS: Self = Self(1 << 30);
    /// Command lines and users of the processes that hold sockets.
    pub const COMMANDS: Self = Self(1 << 29);

    /// The other ends of connections.
    pub const PEERS: Self = Self(1 << 25);
    /// Containers and units: of the socket's own cgroup, or of its holders'.
    pub const WORKLOADS: Self = Self(1 << 26);
    /// Addresses of interfaces.
    pub const ADDRESSES: Self = Self(1 << 27);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of ours that `other` does not have.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The `idiag_ext` byte of the request.
    pub const fn inet_ext(self) -> u8 {
        (self.0 & 0xff) as u8
    }
}

/// Which option asks for a field.  A set: an option may switch on several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Groups(u32);

impl Groups {
    /// No option: shown never, or as a column.
    pub const NONE: Self = Self(0);
    /// `-o`: timers, and the option words of `-i`.
    pub const OPTIONS: Self = Self(1 << 0);
    /// `-e`: details.
    pub const EXTENDED: Self = Self(1 << 1);
    /// `--tos`.
    pub const TOS: Self = Self(1 << 2);
    /// `--cgroup`.
    pub const CGROUP: Self = Self(1 << 3);
    /// `--inet-sockopt`.
    pub const SOCKOPT: Self = Self(1 << 4);
    /// `-m`.
    pub const MEMORY: Self = Self(1 << 5);
    /// `-i`.
    pub const INFO: Self = Self(1 << 6);
    /// `-p`.
    pub const PROCESSES: Self = Self(1 << 7);
    /// `-b`.
    pub const BPF: Self = Self(1 << 8);
    /// `--tipcinfo`.
    pub const TIPCINFO: Self = Self(1 << 9);
    /// `-Z`, `-z`: contexts of processes.
    pub const CONTEXT: Self = Self(1 << 10);
    /// `-T`: with `-p`, every thread of a process.
    pub const THREADS: Self = Self(1 << 11);
    /// `-z`: contexts of sockets.
    pub const SOCKET_CONTEXT: Self = Self(1 << 14);
    /// `--bpf-maps`, `--bpf-map-id`.
    pub const BPF_MAPS: Self = Self(1 << 12);
    /// No option: what structured output says of every socket, asked for or not.
    pub const IDENTITY: Self = Self(1 << 13);
    /// The columns of every row.
    pub const COLUMNS: Self = Self(1 << 15);
    /// `--netns`: the network namespace.
    pub const NETNS: Self = Self(1 << 16);
    /// `--peers`: the other end.
    pub const PEERS: Self = Self(1 << 17);
    /// `--containers`: container, pod, unit.
    pub const CONTAINERS: Self = Self(1 << 18);
    /// `--exposure`: what a listener accepts, from where, and how full it is.
    pub const EXPOSURE: Self = Self(1 << 19);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two have one in common.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Choices of the reader that a token's text depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// `-n`: bandwidths as plain integers.
    pub numeric: bool,
    /// `-O`: no line breaks inside a row.
    pub oneline: bool,
    /// What is shown.
    pub groups: Groups,
}

/// Appends a token of a row to a line.
pub type Format = fn(&mut Vec<u8>, &Row<'_>, Style);

/// The columns of an `ss` row that hold text before the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Column {
    Netns,
    Netid,
    State,
    RecvQ,
    SendQ,
    LocalAddr,
    LocalPort,
    RemoteAddr,
    RemotePort,
    Process,
}

/// How `ss` prints a field.
#[derive(Clone, Copy)]
pub enum Text {
    /// Not at all.
    Silent,
    /// In a column of its own.
    Column(Column, Format),
    /// Inside the token of the field of this name.
    PartOf(&'static str),
    /// ` NAME:VALUE` if the number is not zero.
    Nonzero(&'static str),
    /// ` NAME:VALUE` if the number is not zero, printed as signed 32 bits.
    NonzeroSigned(&'static str),
    /// ` NAME:VALUE` if not zero, microseconds printed as milliseconds (`%g`).
    NonzeroMillis(&'static str),
    /// ` NAME` if so.
    Word(&'static str),
    /// Whatever the function appends.
    Custom(Format),
}

/// How the filter language spells a condition on a field, beyond its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// `src HOST`.
    LocalHost,
    /// `dst HOST`.
    RemoteHost,
    /// `sport OP PORT`.
    LocalPort,
    /// `dport OP PORT`.
    RemotePort,
    /// `dev OP DEVICE`.
    Device,
    /// `fwmark OP MARK[/MASK]`.
    Mark,
    /// `cgroup OP PATH`.
    Cgroup,
    /// `autobound`.
    Autobound,
}

/// Reads a field from a row; `None` where the source did not report it.
pub type Accessor = for<'r> fn(&'r Row<'r>) -> Option<Value<'r>>;

/// One fact that a socket can report.
#[derive(Clone, Copy)]
pub struct Field {
    /// Stable name, unit last: `tcp.rtt_us`.
    pub name: &'static str,
    /// Reads it.
    pub get: Accessor,
    /// One sentence: what it means.
    pub doc: &'static str,
    /// The kernel's own name for it, or the file it is read from.
    pub source: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What the number counts.
    pub unit: Unit,
    /// What reading it costs.
    pub needs: Needs,
    /// What its text costs besides: names for its numbers.
    pub print_needs: Needs,
    /// The options that ask for it; printed with any of its block's.
    pub groups: Groups,
    /// Printed only if all of these are shown as well.
    pub only_with: Groups,
    /// How `ss` prints it.
    pub text: Text,
    /// What that looks like, where `text` does not say it: `retrans:NOW/TOTAL`.
    pub shape: &'static str,
    /// The keyword of the filter language that tests it, besides its name.
    pub operand: Option<(&'static str, Operand)>,
    /// What kind of metric it makes.
    pub metric: Metric,
}

impl Field {
    /// A silent integer without unit or cost; the methods below refine it.
    pub const fn new(name: &'static str, get: Accessor, doc: &'static str, source: &'static str) -> Self {
        Self {
            name,
            get,
            doc,
            source,
            kind: Kind::Integer,
            unit: Unit::None,
            needs: Needs::NONE,
            print_needs: Needs::NONE,
            groups: Groups::NONE,
            only_with: Groups::NONE,
            text: Text::Silent,
            shape: "",
            operand: None,
            metric: Metric::Info,
        }
    }

    /// Says what its values are, where that is not integers.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the unit, and makes a gauge of it.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self.metric = Metric::Gauge;
        self
    }

    /// Says that it only goes up.
    #[must_use]
    pub const fn counter(mut self) -> Self {
        self.metric = Metric::Counter;
        self
    }

    /// Adds costs.
    #[must_use]
    pub const fn needs(mut self, needs: Needs) -> Self {
        self.needs = self.needs.and(needs);
        self
    }

    /// Adds costs of its text.
    #[must_use]
    pub const fn print_needs(mut self, needs: Needs) -> Self {
        self.print_needs = self.print_needs.and(needs);
        self
    }

    /// Names the options that ask for it.
    #[must_use]
    pub const fn group(mut self, groups: Groups) -> Self {
        self.groups = groups;
        self
    }

    /// Prints it only beside these.
    #[must_use]
    pub const fn only_with(mut self, groups: Groups) -> Self {
        self.only_with = groups;
        self
    }

    /// Says how `ss` prints it.
    #[must_use]
    pub const fn text(mut self, text: Text) -> Self {
        self.text = text;
        self
    }

    /// Says what its text looks like, for manuals; every [`Text::Custom`] has it.
    #[must_use]
    pub const fn shape(mut self, shape: &'static str) -> Self {
        self.shape = shape;
        self
    }

    /// What its token looks like; `None` if it has none of its own.
    pub fn token(&self) -> Option<String> {
        match self.text {
            Text::Nonzero(name) | Text::NonzeroSigned(name) => Some(format!("{name}:N")),
            Text::NonzeroMillis(name) => Some(format!("{name}:MS")),
            Text::Word(word) => Some(word.to_owned()),
            Text::Custom(_) => Some(self.shape.to_owned()),
            Text::Silent | Text::PartOf(_) | Text::Column(..) => None,
        }
    }

    /// Gives it a keyword in the filter language.
    #[must_use]
    pub const fn operand(mut self, keyword: &'static str, operand: Operand) -> Self {
        self.operand = Some((keyword, operand));
        self
    }
}

/// A row of what `-i` shows, read from `INET_DIAG_INFO` or what comes with it.
const fn info_row(name: &'static str, get: Accessor, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, get, doc, source).needs(Needs::INFO).group(Groups::INFO)
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
