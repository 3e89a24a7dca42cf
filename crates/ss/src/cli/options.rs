//! THE table of options: one entry each, in the order of the help text.
//!
//! An entry says how the option is written, what help says about it and what
//! it does; parser, help and their tests read nothing else.  An option of ours
//! is an entry in [`Section::Extension`].
//!
//! Source: ss(8) and `ss -h` of iproute2 7.3.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use sockdiag::fields::Catalog;
use sockdiag::model::{Family, StateSet, Table};
use sockdiag_render::columns::Shape;
use sockdiag_render::json;

use super::args::{Actions, Args, map_id};
use super::exit::{Exit, quoting};
use super::help;
use crate::manual;
use crate::words::reference;

/// An option.
#[derive(Debug)]
pub(crate) struct Opt {
    /// Its letters; help shows the first.  May be empty.
    pub(crate) short: &'static [u8],
    /// Its names, without dashes; help shows the first.
    pub(crate) long: &'static [&'static str],
    /// What follows the name in help, like `=FILE`; may be empty.
    pub(crate) value: &'static str,
    /// What help says; may be empty.
    pub(crate) help: &'static str,
    /// Further lines of help, each with its newline; may be empty.
    pub(crate) more: &'static str,
    /// What manuals say: sentences.
    pub(crate) doc: &'static str,
    /// Where help lists it.
    pub(crate) section: Section,
    effect: Effect,
}

/// A part of the help text; an empty line stands between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// What is shown and how.
    General,
    /// Which sockets are listed.
    Sockets,
    /// What is done to them, and the form of rows.
    Output,
    /// The list of tables.
    Query,
    /// Files, and the language of filters.
    Files,
    /// What `ss` 7.3 lacks.  Abbreviations and complaints ignore these.
    Extension,
}

#[derive(Debug)]
enum Effect {
    /// Notes that the option was given.
    Note(fn(&mut Args)),
    /// Acts at once.
    Act(fn(&mut Args, &mut dyn Actions) -> Result<(), Exit>),
    /// Takes an argument.
    Take(fn(&mut Args, &OsStr, &mut dyn Actions) -> Result<(), Exit>),
}

impl Opt {
    const fn new(
        short: &'static [u8],
        long: &'static [&'static str],
        help: &'static str,
        section: Section,
        effect: Effect,
    ) -> Self {
        Self { short, long, value: "", help, more: "", doc: "", section, effect }
    }

    const fn value(mut self, value: &'static str) -> Self {
        self.value = value;
        self
    }

    const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// Whether an argument follows.
    pub(crate) fn takes_argument(&self) -> bool {
        matches!(self.effect, Effect::Take(_))
    }

    /// Whether the reference lacks it.
    pub(crate) fn is_extension(&self) -> bool {
        self.section == Section::Extension
    }

    /// Does what the option does; `argument` is empty if it takes none.
    pub(crate) fn apply(
        &self,
        args: &mut Args,
        argument: &OsStr,
        actions: &mut dyn Actions,
    ) -> Result<(), Exit> {
        match self.effect {
            Effect::Note(note) => {
                note(args);
                Ok(())
            }
            Effect::Act(act) => act(args, actions),
            Effect::Take(take) => take(args, argument, actions),
        }
    }
}

use Effect::{Act, Note, Take};
use Section::{Extension, Files, General, Output, Query, Sockets};

/// Every option.
#[rustfmt::skip]
pub(crate) const OPTIONS: &[Opt] = &[
    Opt::new(b"h", &["help"], "this message", General, Act(|_, _| Err(Exit::done(help::full()))))
        .doc("Prints the options and ends."),
    Opt::new(b"Vv", &["version"], "output version information", General,
        Act(|_, _| Err(Exit::done(help::version()))))
        .doc("Prints the version and ends: first the one of iproute2 whose behaviour this is."),
    Opt::new(b"n", &["numeric"], "don't resolve service names", General, Note(|a| a.numeric = true))
        .doc("Prints ports, users of netlink and rates as numbers: no names are looked up, no unit prefixes are used."),
    Opt::new(b"r", &["resolve"], "resolve host names", General, Note(|a| a.resolve = true))
        .doc("Looks up the names of hosts, and of RPC services; a name server that does not answer delays the listing."),
    Opt::new(b"a", &["all"], "display all sockets", General,
        Note(|a| a.selection.request(StateSet::ALL)))
        .doc("Lists sockets of every state: listening, connected, closing and unconnected ones."),
    Opt::new(b"l", &["listening"], "display listening sockets", General,
        Note(|a| a.selection.request(StateSet::LISTENING)))
        .doc("Lists sockets that can be talked to: listening ones, and unconnected ones of protocols without connections."),
    Opt::new(b"B", &["bound-inactive"], "display TCP bound but inactive sockets", General,
        Note(|a| a.selection.request(StateSet::BOUND_INACTIVE)))
        .doc("Lists TCP sockets that are bound and neither listen nor are connected (Linux 6.8 and later)."),
    Opt::new(b"o", &["options"], "show timer information", General, Note(|a| a.show.options = true))
        .doc("Shows the timer of each socket: what it waits for, until when, and how often it was tried."),
    Opt::new(b"e", &["extended"], "show detailed socket information", General, Note(|a| {
        a.show.extended = true;
        a.show.options = true;
    }))
        .doc("Shows owner, inode, cookie, cgroup and such details, and timers."),
    Opt::new(b"m", &["memory"], "show socket memory usage", General, Note(|a| a.show.memory = true))
        .doc("Shows what a socket's queues and buffers hold of memory."),
    Opt::new(b"p", &["processes"], "show process using socket", General, Note(|a| a.show.processes = true))
        .doc("Shows the processes that hold a socket open, with the number of the descriptor."),
    Opt::new(b"T", &["threads"], "show thread using socket", General, Note(|a| a.show.threads = true))
        .doc("With -p, shows every thread of such a process."),
    Opt::new(b"i", &["info"], "show internal TCP information", General, Note(|a| a.show.info = true))
        .doc("Shows the internals of TCP, MPTCP, SCTP and other sockets: round trips, windows, counters, congestion control."),
    Opt::new(b"", &["tipcinfo"], "show internal tipc socket information", General,
        Note(|a| a.show.tipcinfo = true))
        .doc("Shows the internals of TIPC sockets."),
    Opt::new(b"s", &["summary"], "show socket usage summary", General, Note(|a| a.summary = true))
        .doc("Prints how many sockets there are of each kind; with other options, before the listing."),
    Opt::new(b"", &["tos"], "show tos and priority information", General, Note(|a| a.show.tos = true))
        .doc("Shows type of service, traffic class, class id and priority."),
    Opt::new(b"", &["cgroup"], "show cgroup information", General, Note(|a| a.show.cgroup = true))
        .doc("Shows the path of a socket's cgroup."),
    Opt::new(b"b", &["bpf"], "show bpf filter socket information", General, Note(|a| {
        a.show.bpf = true;
        a.show.options = true;
    }))
        .doc("Shows the classic BPF filter of a packet socket, instruction by instruction (needs CAP_NET_ADMIN)."),
    Opt::new(b"", &["bpf-maps"], "show all BPF socket-local storage maps", General, Act(|a, _| {
        if !a.show.bpf_map_ids.is_empty() {
            return Err(Exit::error(Exit::USAGE, BPF_CLASH));
        }
        a.show.bpf_maps = true;
        Ok(())
    }))
        .doc("Shows what BPF programs keep beside each socket, in every socket-local storage map."),
    // The blanks are the reference's.
    Opt::new(b"", &["bpf-map-id"], "show a BPF socket-local storage map", General, Take(bpf_map_id))
        .value("=MAP-ID   ")
        .doc("The same for the map of this number; may be given several times."),
    Opt::new(b"E", &["events"], "continually display sockets as they are destroyed", General,
        Note(|a| a.events = true))
        .doc("Shows sockets as they are destroyed, until it is interrupted; TCP and UDP only."),
    Opt::new(b"Z", &["context"], "display task SELinux security contexts", General, Act(|a, actions| {
        actions.selinux_check()?;
        a.show.contexts += 1;
        Ok(())
    }))
        .doc("Shows the SELinux context of each process that holds a socket; ends where SELinux is off."),
    Opt::new(b"z", &["contexts"], "display task and socket SELinux security contexts", General, Act(|a, actions| {
        actions.selinux_check()?;
        a.show.contexts += 1;
        a.show.socket_contexts += 1;
        Ok(())
    }))
        .doc("Shows the SELinux contexts of processes and of the sockets themselves."),
    Opt::new(b"N", &["net"], "switch to the specified network namespace name", General,
        Take(|_, name, actions| actions.enter_netns(name)))
        .doc("Enters a network namespace first; names are those of ip-netns(8)."),

    Opt::new(b"4", &["ipv4"], "display only IP version 4 sockets", Sockets, Note(|a| a.selection.add_family(Family::Inet)))
        .doc("Lists IPv4 sockets: -f inet."),
    Opt::new(b"6", &["ipv6"], "display only IP version 6 sockets", Sockets, Note(|a| a.selection.add_family(Family::Inet6)))
        .doc("Lists IPv6 sockets: -f inet6."),
    Opt::new(b"0", &["packet"], "display PACKET sockets", Sockets, Note(|a| a.selection.add_family(Family::Packet)))
        .doc("Lists packet sockets: -f link."),
    Opt::new(b"t", &["tcp"], "display only TCP sockets", Sockets, Note(|a| a.selection.add_table(Table::Tcp)))
        .doc("Lists TCP sockets."),
    Opt::new(b"M", &["mptcp"], "display only MPTCP sockets", Sockets, Note(|a| a.selection.add_table(Table::Mptcp)))
        .doc("Lists MPTCP connections and listeners."),
    Opt::new(b"S", &["sctp"], "display only SCTP sockets", Sockets, Note(|a| a.selection.add_table(Table::Sctp)))
        .doc("Lists SCTP endpoints and associations."),
    Opt::new(b"u", &["udp"], "display only UDP sockets", Sockets, Note(|a| a.selection.add_table(Table::Udp)))
        .doc("Lists UDP sockets."),
    Opt::new(b"w", &["raw"], "display only RAW sockets", Sockets, Note(|a| a.selection.add_table(Table::Raw)))
        .doc("Lists raw sockets."),
    Opt::new(b"x", &["unix"], "display only Unix domain sockets", Sockets, Note(|a| a.selection.add_family(Family::Unix)))
        .doc("Lists unix sockets: -f unix."),
    Opt::new(b"", &["tipc"], "display only TIPC sockets", Sockets, Note(|a| a.selection.add_family(Family::Tipc)))
        .doc("Lists TIPC sockets: -f tipc."),
    Opt::new(b"", &["vsock"], "display only vsock sockets", Sockets, Note(|a| a.selection.add_family(Family::Vsock)))
        .doc("Lists vsock sockets: -f vsock."),
    Opt::new(b"", &["xdp"], "display only XDP sockets", Sockets, Note(|a| a.selection.add_family(Family::Xdp)))
        .doc("Lists XDP sockets: -f xdp."),
    Opt::new(b"f", &["family"], "display sockets of type FAMILY", Sockets, Take(family))
        .value("=FAMILY")
        .more("       FAMILY := {inet|inet6|link|unix|netlink|vsock|tipc|xdp|help}\n")
        .doc("Lists sockets of this family; help lists the families."),

    Opt::new(b"K", &["kill"], "forcibly close sockets, display what was closed", Output, Note(|a| a.kill = true))
        .doc("Closes the listed TCP, UDP, raw and MPTCP sockets, and lists those that were closed.  Without a filter that is every connection of the machine."),
    Opt::new(b"H", &["no-header"], "Suppress header line", Output, Note(|a| a.no_header = true))
        .doc("Leaves out the line of titles."),
    Opt::new(b"Q", &["no-queues"], "Suppress sending and receiving queue columns", Output,
        Note(|a| a.no_queues = true))
        .doc("Leaves out the columns Recv-Q and Send-Q."),
    Opt::new(b"O", &["oneline"], "socket's data printed on a single line", Output, Note(|a| a.oneline = true))
        .doc("Prints the details of a socket on its own line."),
    Opt::new(b"", &["inet-sockopt"], "show various inet socket options", Output,
        Note(|a| a.show.inet_sockopt = true))
        .doc("Shows which options are set on an inet socket."),

    Opt::new(b"A", &["query", "socket"], "", Query, Take(query))
        .value("=QUERY, --socket=QUERY")
        .more("       QUERY := {all|inet|tcp|mptcp|udp|raw|unix|unix_dgram|unix_stream|unix_seqpacket|packet|\
               packet_raw|packet_dgram|netlink|sctp|vsock_stream|vsock_dgram|tipc|xdp}[,QUERY]\n")
        .doc("Lists these tables, separated by commas; ! before a name takes it out of what -t and such chose.  It forgets what was chosen before it."),

    Opt::new(b"D", &["diag"], "Dump raw information about TCP sockets to FILE", Files, Take(|a, name, _| {
        a.dump_file = Some(name.to_owned());
        Ok(())
    })).value("=FILE")
        .doc("Writes the kernel's raw replies about TCP sockets into a file, for TCPDIAG_FILE; - is standard output."),
    Opt::new(b"F", &["filter"], "read filter information from FILE", Files, Take(filter_file))
        .value("=FILE")
        .more(FILTER)
        .doc("Reads the rest of the filter from a file; - is standard input.  Lines that begin with # are comments."),

    Opt::new(b"d", &["dccp"], "display only DCCP sockets", Extension, Note(|a| a.selection.add_table(Table::Dccp)))
        .doc("Lists DCCP sockets, of kernels before 6.16."),
    Opt::new(b"", &["smc"], "display only SMC sockets", Extension, Note(|a| a.selection.add_family(Family::Smc)))
        .doc("Lists SMC sockets, also those that fell back to TCP: -f smc."),
    Opt::new(b"", &["udplite"], "display only UDP-Lite sockets", Extension, Note(|a| a.selection.add_table(Table::UdpLite)))
        .doc("Lists UDP-Lite sockets, of kernels that still have them."),
    Opt::new(b"", &["explain"], "say on stderr why sockets or processes are missing", Extension,
        Note(|a| a.explain = true))
        .doc("Says on standard error what is otherwise said at a terminal only: why a family has no sockets, how many sockets are without a process."),
    Opt::new(b"j", &["json"], "everything asked for as one JSON document", Extension, Note(|a| a.form.json = true))
        .doc("Prints everything that was asked for as one JSON document."),
    Opt::new(b"", &["jsonl"], "the same, an object a line, as it comes", Extension, Note(|a| a.form.json_lines = true))
        .doc("Prints an object a line for each socket, as it comes, followed by what is to be said of the listing."),
    Opt::new(b"", &["pretty"], "the document of --json, indented", Extension, Note(|a| a.form.pretty = true))
        .doc("The document of --json, indented."),
    Opt::new(b"", &["columns"], "show these fields; \"help\" lists all of them", Extension, Take(columns))
        .value("=FIELD[,FIELD]")
        .doc("Shows these fields, aligned, instead of the columns of ss; help lists every field with unit and meaning."),
    Opt::new(b"", &["csv"], "the columns with commas between them", Extension, Note(|a| a.form.separated = Some(Shape::Csv)))
        .doc("Shows the columns with commas between them, quoted as RFC 4180 has it."),
    Opt::new(b"", &["tsv"], "the columns with tabs between them", Extension, Note(|a| a.form.separated = Some(Shape::Tsv)))
        .doc("Shows the columns with tabs between them."),
    Opt::new(b"", &["sort"], "in the order of these fields; -FIELD: largest first", Extension,
        Take(|a, names, _| { a.form.sort = Some(text(names)?); Ok(()) }))
        .value("=[-]FIELD[,[-]FIELD]")
        .doc("Shows rows in the order of these fields; a - before a field puts the largest first."),
    Opt::new(b"", &["limit"], "no more than that many", Extension, Take(limit)).value("=N")
        .doc("Shows no more rows than that."),
    Opt::new(b"", &["group-by"], "count sockets that agree in these fields", Extension,
        Take(|a, names, _| { a.form.group_by = Some(text(names)?); Ok(()) }))
        .value("=FIELD[,FIELD]")
        .doc("Counts the sockets that agree in these fields, and adds up their queues and the fields of --columns."),
    Opt::new(b"", &["json-schema"], "print the JSON Schema of that document", Extension,
        Act(|_, _| Err(Exit::ours(json::schema::text(&Catalog::standard())))))
        .doc("Prints the JSON Schema of the documents of --json, made from the table of fields, and ends."),
    Opt::new(b"", &["generate"], "print a manual page, a reference page or a completion", Extension, Take(generate))
        .value(manual::WORDS)
        .more(manual::MORE)
        .doc("Prints the manual page, a reference page, or the completions of a shell, and ends."),
    Opt::new(b"", &["netns"], "", Extension, Take(|a, list, _| {
        a.netns = Some(list.to_owned());
        Ok(())
    })).value("=LIST").more(NETNS)
        .doc("Lists the sockets of several network namespaces in one table, each visited once: all of them, or those of a list of names, paths, inode numbers and processes."),
    Opt::new(b"", &["peers"], "show the process at the other end, where it is on this machine", Extension,
        Note(|a| a.show.peers = true))
        .doc("Shows the process at the other end, where that is on this machine: of unix sockets, of connections within a namespace, and across namespaces."),
    Opt::new(b"", &["containers"], "show container, pod and unit", Extension,
        Note(|a| a.show.containers = true))
        .doc("Shows the container, the pod and the unit that a socket works for."),
    Opt::new(b"", &["exposure"], "show what listeners accept, from where, and how full they are", Extension,
        Note(|a| a.show.exposure = true))
        .doc("Shows what a listener accepts, from where it can be reached, and how full its backlog is."),
];

const NETNS: &str = "                       list the sockets of several network namespaces
       LIST := {all|NAME|PATH|INODE|pid:PID}[,LIST]
";

const FILTER: &str = "       FILTER := [ state STATE-FILTER ] [ EXPRESSION ]
       STATE-FILTER := {all|connected|synchronized|bucket|big|TCP-STATES}
         TCP-STATES := {established|syn-sent|syn-recv|fin-wait-{1,2}|time-wait|closed|close-wait|last-ack|listening|closing}
          connected := {established|syn-sent|syn-recv|fin-wait-{1,2}|time-wait|close-wait|last-ack|closing}
       synchronized := {established|syn-recv|fin-wait-{1,2}|time-wait|close-wait|last-ack|closing}
             bucket := {syn-recv|time-wait}
                big := {established|syn-sent|fin-wait-{1,2}|closed|close-wait|last-ack|listening|closing}
";

const BPF_CLASH: &str = "ss: --bpf-maps and --bpf-map-id cannot be used together";

fn bpf_map_id(args: &mut Args, id: &OsStr, actions: &mut dyn Actions) -> Result<(), Exit> {
    if args.show.bpf_maps {
        return Err(Exit::error(1, BPF_CLASH));
    }
    let text = id.as_bytes();
    let id = map_id(text).ok_or_else(|| Exit::error(1, quoting("ss: invalid BPF map ID ", text, "")))?;
    actions.bpf_map(id)?;
    args.show.bpf_map_ids.push(id);
    Ok(())
}

/// An argument that can only be names.
fn text(argument: &OsStr) -> Result<String, Exit> {
    let wrong = || Exit::error(Exit::USAGE, quoting("ss: there is no field \"", argument.as_bytes(), "\""));
    Ok(argument.to_str().ok_or_else(wrong)?.to_owned())
}

fn columns(args: &mut Args, names: &OsStr, _: &mut dyn Actions) -> Result<(), Exit> {
    let names = text(names)?;
    if names == "help" {
        return Err(Exit::ours(sockdiag_render::columns::help(&Catalog::standard())));
    }
    args.form.columns = Some(names);
    Ok(())
}

fn limit(args: &mut Args, number: &OsStr, _: &mut dyn Actions) -> Result<(), Exit> {
    let wrong =
        || Exit::error(Exit::USAGE, quoting("ss: \"", number.as_bytes(), "\" is not a number to limit by"));
    args.form.limit = Some(number.to_str().and_then(|number| number.parse().ok()).ok_or_else(wrong)?);
    Ok(())
}

fn generate(_: &mut Args, what: &OsStr, _: &mut dyn Actions) -> Result<(), Exit> {
    let wrong = || Exit::usage(quoting("ss: nothing is made by --generate=", what.as_bytes(), ""));
    Err(Exit::ours(manual::generate(what.as_bytes()).ok_or_else(wrong)?))
}

fn family(args: &mut Args, name: &OsStr, _: &mut dyn Actions) -> Result<(), Exit> {
    match name.as_bytes() {
        b"help" => Err(Exit::done(help::full())),
        name => {
            let wrong = || Exit::usage(quoting("ss: \"", name, "\" is invalid family"));
            args.selection.add_family(Family::by_name(name).ok_or_else(wrong)?);
            Ok(())
        }
    }
}

fn query(args: &mut Args, list: &OsStr, _: &mut dyn Actions) -> Result<(), Exit> {
    args.selection.query(list.as_bytes()).map_err(|bad| Exit::usage(reference::bad_table(&bad)))
}

fn filter_file(args: &mut Args, name: &OsStr, actions: &mut dyn Actions) -> Result<(), Exit> {
    if args.filter_file.is_some() {
        return Err(Exit::error(Exit::USAGE, "More than one filter file"));
    }
    actions.open_filter_file(name)?;
    args.filter_file = Some(name.to_owned());
    Ok(())
}

/// The names of the reference's options in the order in which it lists them as
/// possibilities, which is not the order of its help.
pub(crate) fn reference_long_names() -> impl Iterator<Item = &'static str> {
    "numeric resolve options extended memory info processes threads bpf events tcp sctp udp raw unix tipc vsock \
     all listening bound-inactive ipv4 ipv6 packet family socket query summary diag filter version help context \
     contexts net tipcinfo tos cgroup kill no-header no-queues xdp mptcp oneline inet-sockopt bpf-maps bpf-map-id"
        .split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashSet};

    #[test]
    fn no_spelling_is_used_twice() {
        let (mut letters, mut names) = (HashSet::new(), HashSet::new());
        for option in OPTIONS {
            assert!(!option.long.is_empty(), "{option:?}");
            assert!(option.short.iter().all(|letter| letters.insert(letter)), "{option:?}");
            assert!(option.long.iter().all(|name| names.insert(name)), "{option:?}");
        }
    }

    #[test]
    fn the_references_names_are_those_of_its_options() {
        let theirs = OPTIONS.iter().filter(|option| !option.is_extension());
        let theirs: BTreeSet<_> = theirs.flat_map(|option| option.long).copied().collect();
        assert_eq!(reference_long_names().collect::<BTreeSet<_>>(), theirs);
        assert_eq!(reference_long_names().count(), theirs.len());
    }

    #[test]
    fn help_says_which_options_take_an_argument() {
        for option in OPTIONS.iter().filter(|option| option.long != ["net"]) {
            assert_eq!(option.takes_argument(), option.value.starts_with('='), "{option:?}");
            assert!(option.more.is_empty() || option.more.ends_with('\n'), "{option:?}");
        }
    }
}
