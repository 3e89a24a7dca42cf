//! THE table of options: one entry each, in the order of the help of `ss`.
//!
//! Source: ss(8) and `ss -h` of iproute2 7.3 for all but the extensions.

use crate::Kind::{self, Fields, File, Namespace, Namespaces, Number, SortKeys, Word, Words};
use crate::{Argument, Opt, Section, Topic};

/// Generates the keys and the table from one list.
macro_rules! options {
    ($( $key:ident(
        $short:literal, [$first:literal $(, $other:literal)*], $section:ident, $topic:ident, $help:literal, $doc:literal
    ) $( .$method:ident($($value:expr),*) )*; )*) => {
        /// Names every option, in the order of [`OPTIONS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Key {
            $( #[doc = concat!("`--", $first, "`.  ", $doc)] $key, )*
        }

        /// Every option.
        pub static OPTIONS: &[Opt] = &[ $(
            Opt::new(
                Key::$key, $short, &[$first $(, $other)*], Section::$section, Topic::$topic, $help, $doc,
            ) $( .$method($($value),*) )*,
        )* ];
    };
}

impl Opt {
    const fn new(
        key: Key,
        short: &'static str,
        long: &'static [&'static str],
        section: Section,
        topic: Topic,
        help: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { key, short, long, argument: None, help, more: "", doc, section, topic }
    }

    const fn takes(mut self, shown: &'static str, kind: Kind) -> Self {
        self.argument = Some(Argument { shown, kind });
        self
    }

    const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }
}

options! {
    Help("h", ["help"], General, Ss, "this message",
        "Prints the options and exits.");
    Version("Vv", ["version"], General, Ss, "output version information",
        "Prints the version and exits: first the iproute2 version whose behaviour it follows.");
    Numeric("n", ["numeric"], General, Names, "don't resolve service names",
        "Prints ports, users of netlink and rates as numbers: no names are looked up, no unit prefixes are used.");
    Resolve("r", ["resolve"], General, Names, "resolve host names",
        "Looks up the names of hosts, and of RPC services; a name server that does not answer delays the listing.");
    All("a", ["all"], General, Selection, "display all sockets",
        "Lists sockets of every state: listening, connected, closing and unconnected ones.");
    Listening("l", ["listening"], General, Selection, "display listening sockets",
        "Lists listening sockets, and unconnected sockets of protocols without connections (UDP, raw).");
    BoundInactive("B", ["bound-inactive"], General, Selection, "display TCP bound but inactive sockets",
        "Lists TCP sockets that are bound and neither listen nor are connected (Linux 6.8 and later).");
    Options("o", ["options"], General, Details, "show timer information",
        "Shows the timer of each socket: its kind, when it expires, and how often it was retried.");
    Extended("e", ["extended"], General, Details, "show detailed socket information",
        "Shows owner, inode, cookie, cgroup and such details, and timers.");
    Memory("m", ["memory"], General, Details, "show socket memory usage",
        "Shows how much memory a socket's queues and buffers use.");
    Processes("p", ["processes"], General, Details, "show process using socket",
        "Shows the processes that have a socket open, and their file descriptor for it.");
    Threads("T", ["threads"], General, Details, "show thread using socket",
        "With -p, shows every thread of such a process.");
    Info("i", ["info"], General, Details, "show internal TCP information",
        "Shows the internals of TCP, MPTCP, SCTP and other sockets: round trips, windows, counters, congestion control.");
    TipcInfo("", ["tipcinfo"], General, Details, "show internal tipc socket information",
        "Shows the internals of TIPC sockets.");
    Summary("s", ["summary"], General, Ss, "show socket usage summary",
        "Prints how many sockets of each kind exist; with other options, before the listing.");
    Tos("", ["tos"], General, Details, "show tos and priority information",
        "Shows type of service, traffic class, class id and priority.");
    Cgroup("", ["cgroup"], General, Details, "show cgroup information",
        "Shows the path of a socket's cgroup.");
    Bpf("b", ["bpf"], General, Details, "show bpf filter socket information",
        "Shows the classic BPF filter of a packet socket, instruction by instruction (needs CAP_NET_ADMIN).");
    BpfMaps("", ["bpf-maps"], General, Details, "show all BPF socket-local storage maps",
        "Shows the data that BPF programs store with each socket, in every socket-local storage map.");
    BpfMapId("", ["bpf-map-id"], General, Details, "show a BPF socket-local storage map",
        "The same for the map with this id; may be repeated.")
        .takes("MAP-ID", Number);
    Events("E", ["events"], General, Ss, "continually display sockets as they are destroyed",
        "Shows sockets as they are destroyed, until interrupted; TCP and UDP only.");
    Context("Z", ["context"], General, Details, "display task SELinux security contexts",
        "Shows the SELinux context of each process that has the socket open.  If SELinux is off, ss exits \
            with an error.");
    Contexts("z", ["contexts"], General, Details, "display task and socket SELinux security contexts",
        "Shows the SELinux contexts of processes and of the sockets themselves.");
    Net("N", ["net"], General, Namespaces, "switch to the specified network namespace name",
        "Enters a network namespace first; names are those of ip-netns(8). If none has that name: a path, \
            pid:N for the namespace of a process, or container:NAME for that of a container, by name or \
            the first digits of its id.")
        .takes("NAME", Namespace);

    Ipv4("4", ["ipv4"], Sockets, Selection, "display only IP version 4 sockets",
        "Lists IPv4 sockets: -f inet.");
    Ipv6("6", ["ipv6"], Sockets, Selection, "display only IP version 6 sockets",
        "Lists IPv6 sockets: -f inet6.");
    Packet("0", ["packet"], Sockets, Selection, "display PACKET sockets",
        "Lists packet sockets: -f link.");
    Tcp("t", ["tcp"], Sockets, Selection, "display only TCP sockets",
        "Lists TCP sockets.");
    Mptcp("M", ["mptcp"], Sockets, Selection, "display only MPTCP sockets",
        "Lists MPTCP connections and listeners.");
    Sctp("S", ["sctp"], Sockets, Selection, "display only SCTP sockets",
        "Lists SCTP endpoints and associations.");
    Udp("u", ["udp"], Sockets, Selection, "display only UDP sockets",
        "Lists UDP sockets.");
    Raw("w", ["raw"], Sockets, Selection, "display only RAW sockets",
        "Lists raw sockets.");
    Unix("x", ["unix"], Sockets, Selection, "display only Unix domain sockets",
        "Lists unix sockets: -f unix.");
    Tipc("", ["tipc"], Sockets, Selection, "display only TIPC sockets",
        "Lists TIPC sockets: -f tipc.");
    Vsock("", ["vsock"], Sockets, Selection, "display only vsock sockets",
        "Lists vsock sockets: -f vsock.");
    Xdp("", ["xdp"], Sockets, Selection, "display only XDP sockets",
        "Lists XDP sockets: -f xdp.");
    Family("f", ["family"], Sockets, Selection, "display sockets of type FAMILY",
        "Lists sockets of this family; help lists the families.")
        .takes("FAMILY", Word(FAMILIES));

    Kill("K", ["kill"], Output, Ss, "forcibly close sockets, display what was closed",
        "Closes the listed TCP, UDP, raw and MPTCP sockets, and lists those that were closed.  Without a \
            filter that is every connection of the machine.");
    NoHeader("H", ["no-header"], Output, Ss, "Suppress header line",
        "Omits the header line.");
    NoQueues("Q", ["no-queues"], Output, Ss, "Suppress sending and receiving queue columns",
        "Omits the columns Recv-Q and Send-Q.");
    Oneline("O", ["oneline"], Output, Ss, "socket's data printed on a single line",
        "Prints the details of a socket on the same line as the socket.");
    InetSockopt("", ["inet-sockopt"], Output, Details, "show various inet socket options",
        "Shows which options are set on an inet socket.");

    Query("A", ["query", "socket"], Query, Selection, "",
        "Lists these tables, separated by commas; ! before a name removes that table.  The first -A \
            replaces the tables chosen by earlier options.")
        .takes("QUERY", Words(TABLES));

    Diag("D", ["diag"], Files, Ss, "Dump raw information about TCP sockets to FILE",
        "Writes the kernel's raw replies about TCP sockets into a file, for TCPDIAG_FILE; - is standard output.")
        .takes("FILE", File);
    Filter("F", ["filter"], Files, Selection, "read filter information from FILE",
        "Reads the rest of the filter from a file; - is standard input.  Lines that begin with # are comments.")
        .takes("FILE", File)
        .more(FILTER);

    Dccp("d", ["dccp"], Extension, Selection, "display only DCCP sockets",
        "Lists DCCP sockets, of kernels before 6.16.");
    Smc("", ["smc"], Extension, Selection, "display only SMC sockets",
        "Lists SMC sockets, including those that fell back to TCP: -f smc.");
    UdpLite("", ["udplite"], Extension, Selection, "display only UDP-Lite sockets",
        "Lists UDP-Lite sockets, of kernels that still have them.");
    KillDryRun("", ["kill-dry-run"], Extension, Ss, "list what --kill would close, without closing it",
        "Lists the sockets that -K with the same arguments would close, without closing them.  The kernel \
            may still refuse to close some of them.");
    Explain("", ["explain"], Extension, Details, "say on stderr why sockets or processes are missing, and \
        mark errors in a filter",
        "Prints notes on standard error that are otherwise only printed on a terminal, such as why a family \
         has no sockets, or how many sockets have no process.");
    Source("", ["source"], Extension, Details, "read TCP sockets with this method: walk, netlink or proc",
        "Reads the kernel's tables with this method instead of the best one: walk runs a BPF program that \
         walks the TCP tables in the kernel, netlink requests dumps, proc reads the text of /proc/net. If a \
         walk cannot report what was requested, ss uses netlink and prints the reason.")
        .takes("SOURCE", Word(SOURCES));
    Json("j", ["json"], Extension, Form, "print all requested information as one JSON document",
        "Prints all information that the options request as one JSON document.");
    JsonLines("", ["jsonl"], Extension, Form, "print one JSON object per line, as sockets arrive",
        "Prints one line with an object for each socket as it arrives; the last object has notes about the \
         listing.");
    Pretty("", ["pretty"], Extension, Form, "print the document of --json, indented",
        "Prints the document of --json, indented.");
    Columns("", ["columns"], Extension, Columns, "show these fields; \"help\" lists all of them",
        "Shows these fields, aligned, instead of the columns of ss.  --columns help lists the fields of \
            the selected tables, with token, unit and meaning.")
        .takes("FIELD[,FIELD]", Fields);
    Csv("", ["csv"], Extension, Form, "separate the columns by commas",
        "Separates the columns by commas, quoted as in RFC 4180.");
    Tsv("", ["tsv"], Extension, Form, "separate the columns by tabs",
        "Separates the columns by tabs.");
    Sort("", ["sort"], Extension, Columns, "sort by these fields; -FIELD: largest first",
        "Sorts rows by these fields, in this order; - before a field puts its largest values first.")
        .takes("[-]FIELD[,[-]FIELD]", SortKeys);
    Limit("", ["limit"], Extension, Columns, "show at most N rows",
        "Shows at most N rows.")
        .takes("N", Number);
    ExitCode("", ["exit-code"], Extension, Columns, "exit with status 1 if no socket was shown",
        "Exits with status 1 if no socket was shown, in any output format; with --group-by if none was \
            counted. Other exit statuses stay the same.");
    GroupBy("", ["group-by"], Extension, Columns, "count sockets by the values of these fields",
        "Counts the sockets that have the same values of these fields, and sums up their queues and the \
         fields of --columns.")
        .takes("FIELD[,FIELD]", Fields);
    JsonSchema("", ["json-schema"], Extension, Ss, "print the JSON Schema of the document of --json",
        "Prints the JSON Schema of the documents of --json, generated from the table of fields, and exits.");
    Generate("", ["generate"], Extension, Ss, "print a manual page, a reference page or a completion",
        "Prints the manual page, a reference page, or the completions of a shell, and exits.")
        .takes("WHAT", Word(DOCUMENTS));
    Netns("", ["netns"], Extension, Namespaces, "",
        "Lists the sockets of several network namespaces in one table, each visited once: all of them, or those of a list of names, paths, inode numbers, processes (pid:N) and containers (container:NAME).")
        .takes("LIST", Namespaces(NAMESPACES))
        .more("                       list the sockets of several network namespaces\n");
    Peers("", ["peers"], Extension, Details, "show the process at the other end, if it is on this machine",
        "Shows the process at the other end, if it is on this machine: of unix sockets, and of connections \
            within a namespace or across namespaces. For TCP and UDP it is inferred from addresses, ports \
            and states; an end found only in a namespace that another user created is marked with that \
            user's uid.");
    Containers("", ["containers"], Extension, Details, "show container, pod and unit",
        "Shows the container, the pod and the unit that a socket belongs to. Names that a user or a \
            container chose are marked: (uid 1000), (container 4f797c539e6c).");
    Exposure("", ["exposure"], Extension, Details, "show what listeners accept, from where, and how full \
        they are",
        "Shows what a listener accepts, from where it can be reached, and how full its backlog is.");
}

/// The values that the reference's help lists for `FAMILY`; the program accepts more.
const FAMILIES: &[&str] = &["inet", "inet6", "link", "unix", "netlink", "vsock", "tipc", "xdp", "help"];

/// The values that the reference's help lists for `QUERY`; the program accepts more.
const TABLES: &[&str] = &[
    "all",
    "inet",
    "tcp",
    "mptcp",
    "udp",
    "raw",
    "unix",
    "unix_dgram",
    "unix_stream",
    "unix_seqpacket",
    "packet",
    "packet_raw",
    "packet_dgram",
    "netlink",
    "sctp",
    "vsock_stream",
    "vsock_dgram",
    "tipc",
    "xdp",
];

/// The values of `--source`.
const SOURCES: &[&str] = &["walk", "netlink", "proc"];

/// The documents that can be generated from the tables of options and fields.
const DOCUMENTS: &[&str] = &["man", "man-filter", "man-fields", "options", "fields", "bash", "zsh", "fish"];

/// The ways to name a network namespace.
const NAMESPACES: &[&str] = &["all", "NAME", "PATH", "INODE", "pid:PID", "container:NAME"];

const FILTER: &str = "       FILTER := [ state STATE-FILTER ] [ EXPRESSION ]
       STATE-FILTER := {all|connected|synchronized|bucket|big|TCP-STATES}
         TCP-STATES := {established|syn-sent|syn-recv|fin-wait-{1,2}|time-wait|closed|close-wait|last-ack|listening|closing}
          connected := {established|syn-sent|syn-recv|fin-wait-{1,2}|time-wait|close-wait|last-ack|closing}
       synchronized := {established|syn-recv|fin-wait-{1,2}|time-wait|close-wait|last-ack|closing}
             bucket := {syn-recv|time-wait}
                big := {established|syn-sent|fin-wait-{1,2}|closed|close-wait|last-ack|listening|closing}
";
