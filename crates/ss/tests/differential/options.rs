//! Every option by each of its names, and their combinations: all tables at once, and families
//! and tables that override each other.

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::zoo::Zoo;

use super::{Case, case, check, recordings::recorded, rest, temporary};

/// Options for sockets of every family that can be made here.
const CHOICES: &[&str] = &[
    "",
    "-n",
    "-a",
    "-an",
    "-l",
    "-ln",
    "-B",
    "-Bn",
    "-H",
    "-Q",
    "-O",
    "-r",
    "-e",
    "-m",
    "-b",
    "-T",
    "-ane",
    "-anm",
    "-anp",
    "-anpe",
    "-anpT",
    "-anemb --tos --cgroup --inet-sockopt --tipcinfo",
    "-anembO --tos --cgroup --inet-sockopt --tipcinfo",
    "-a -l -n",
    "-l -a -n",
    "-a -B -n",
    // Long names.
    "--all --numeric",
    "--listening --numeric",
    "--bound-inactive",
    "--no-header --all",
    "--no-queues --all",
    "--oneline --all",
    "--resolve --tcp --all",
    "--extended --all -n",
    "--memory --all -n",
    "--processes --all -n",
    "--processes --threads --all -n",
    "--ipv4 -an",
    "--ipv6 -an",
    "--packet -an",
    "--packet --bpf -an",
    "--tcp -an",
    "--udp -an",
    "--raw",
    "--raw -an",
    "--sctp",
    "--sctp -an",
    "--mptcp -n",
    "--unix -an",
    "--tipc",
    "--vsock",
    "--xdp",
    "--cgroup -tan",
    "--tos -tan",
    "--inet-sockopt -tan",
    "--tipcinfo -tan",
    // Families.
    "-4",
    "-6",
    "-4an",
    "-6an",
    "-4 -6 -an",
    "-6 -4 -an",
    "-46an",
    "-0",
    "-x0an",
    "-f inet",
    "-f inet -an",
    "-f inet6 -an",
    "-f inet -f inet6 -an",
    "-f inet6 -f inet -an",
    "-f link -an",
    "-f unix -an",
    "-f netlink",
    "-f netlink -an",
    "-f vsock -an",
    "-f tipc -an",
    "-f xdp -an",
    "--family=inet -an",
    "--family inet6 -an",
    "-f inet -f unix -an",
    "-f unix -f inet -an",
    "-f link -t -an",
    "-4 -x -an",
    "-4 -0 -n",
    "-x -4 -t -an",
    "-6 -u -an",
    "-0 -t",
    "-u -0",
    "-S -4 -an",
    // Tables.
    "-A all",
    "-A all -n",
    "-A all -an",
    "-A all,!tcp -an",
    "-A all,!inet -an",
    "-A all,!unix,!packet,!netlink -an",
    "-A inet",
    "-A inet -an",
    "-A inet,!tcp -an",
    "-A !tcp,inet -an",
    "-A tcp -an",
    "-A mptcp -an",
    "-A udp -an",
    "-A raw -an",
    "-A sctp -an",
    "-A netlink",
    "-A netlink -an",
    "-A tipc -an",
    "-A xdp -an",
    "-A unix -an",
    "-A unix_stream -an",
    "-A u_str -an",
    "-A unix_dgram -an",
    "-A u_dgr -an",
    "-A unix_seqpacket -an",
    "-A u_seq -an",
    "-A packet",
    "-A packet -an",
    "-A packet_raw -an",
    "-A p_raw -an",
    "-A packet_dgram -an",
    "-A p_dgr -an",
    "-A vsock -an",
    "-A vsock_stream -an",
    "-A v_str -an",
    "-A vsock_dgram -an",
    "-A v_dgr -an",
    "-A u_str,tcp,packet -an",
    "-t -A udp -an",
    "-A udp -t -an",
    "-A udp",
    "-A tcp -A udp -n",
    "-4 -A !tcp -an",
    "-4 -A inet,!tcp -an",
    "-4 -A unix -an",
    "-4 -A all -an",
    "-x -A unix_dgram -an",
    "-x -t -A tcp -n",
    "-f netlink -A tcp -n",
    "--query=udp,raw -an",
    "--query udp -an",
    "--socket=unix -an",
    "--socket packet -an",
    "-tuwxSM0 -an",
    "-tuwxSM0",
    "-l -tux",
    "-l -0",
    // States of every table at once.
    "state established",
    "state all",
    "state all -n",
    "state connected -n",
    "state synchronized -n",
    "state bucket -n",
    "state big -n",
    "state listening -n",
    "state close -n",
    "state unconnected -x",
    "state bound-inactive -n",
    "-l state established",
    "exclude established -n",
    "exclude all",
    "-a exclude listening exclude close -n",
    "excl established excl listening -n",
    // A host value selects a family.
    "src 127.0.0.1 -an",
    "src [::1] -an",
    "-an dst inet:127.0.0.1",
    "-an src inet6:[::1]",
    "-an src unix:*",
    "-an src link:*",
    "-an src vsock:*",
    "-an src vsock:3",
    "-an sport = :443",
    "-an sport = vsock:1024",
    "-an dport != 0",
    "-an autobound",
    "-an not autobound",
    "-an fwmark = 42",
    "-tan sport = 443 || sport = 22",
    "-tan ! sport = 443 & dev lo",
    "-an dev lo",
    "-an not dev lo",
    "-an cgroup /sys/fs/cgroup",
    "-4an src unix:*",
    "-xan src 127.0.0.1",
    "-tan src unix:*",
    "-xan sport = inet:443",
    // Given twice, or without effect here.
    "-nn -aa -tt",
    "-t -t -u -u -n",
    "-HH -QQ",
    "-ta --all",
    "-tn --",
    "-t -n -- -a",
];

/// Long options for a recording.
const RECORDED: &[&str] = &[
    "--info --tcp -an",
    "--options --tcp -an",
    "--extended --tcp -an",
    "--memory --tcp -an",
    "--info --memory --extended --options -tanO",
    "--tos --tcp -an",
    "--cgroup --tcp -an",
    "--inet-sockopt --tcp -an",
    "--bpf --tcp -an",
    "--resolve --numeric --tcp -a",
    "--ipv4 -tan",
    "--ipv6 -tan",
    "--tcp --listening --no-header --no-queues --oneline",
    "--bound-inactive --tcp --numeric",
];

/// Long options that end with an error message.
const MESSAGES: &[&str] = &[
    "--context",
    "--contexts",
    "--context --tcp",
    "-tan --contexts",
    "--diag=/nonexistent/x --tcp",
    "--diag /nonexistent/x -t",
    "--diag=- --udp",
    "--filter=/nonexistent",
    "--net=no-such-namespace",
    "--net no-such-namespace -a",
];

/// Pieces that can be combined freely.  None closes, follows, records or opens anything (`-r`
/// would open unix sockets to resolve names).
const PIECES: &[&str] = &[
    "-a",
    "-l",
    "-B",
    "-n",
    "-n",
    "-n",
    "-H",
    "-Q",
    "-O",
    "-e",
    "-m",
    "-b",
    "-p",
    "-T",
    "-4",
    "-6",
    "-0",
    "-t",
    "-u",
    "-x",
    "-w",
    "-S",
    "-M",
    "--vsock",
    "--xdp",
    "--tipc",
    "--tos",
    "--cgroup",
    "--inet-sockopt",
    "--tipcinfo",
    "-f inet",
    "-f inet6",
    "-f unix",
    "-f link",
    "-f netlink",
    "-f xdp",
    "-A all",
    "-A inet",
    "-A tcp,udp",
    "-A !tcp",
    "-A unix,!u_dgr",
    "-A packet",
    "-A netlink,tcp",
    "-A v_str",
    "-A u_seq,raw",
];

/// Words that may follow the pieces.
const TAILS: &[&str] = &[
    "",
    "",
    "",
    "state established",
    "state all",
    "state close",
    "exclude established",
    "state listening exclude listening",
    "state bound-inactive state established",
    "sport != 0",
    "sport > 1000",
    "dport = :443 or sport = :22",
    "src 127.0.0.1",
    "src [::1] or dst 127.0.0.1",
    "dst unix:*",
    "src link:*",
    "dev lo",
    "not dev lo",
    "autobound",
    "state all not autobound",
    "fwmark = 42",
    "fwmark != 0",
    "( sport = 22 or dport = 80 ) and not src 10.0.0.1",
];

/// The number of lines assembled from pieces.
const RANDOM: usize = 100;

fn random() -> Vec<String> {
    let seed = std::env::var("SOCKDIAG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = fastrand::Rng::with_seed(seed);
    (0..RANDOM)
        .map(|_| {
            let count = random.usize(1..7);
            let mut words: Vec<&str> = (0..count).filter_map(|_| random.choice(PIECES).copied()).collect();
            words.extend(random.choice(TAILS));
            words.join(" ")
        })
        .collect()
}

/// Removes the lister's own netlink socket, which is named after its process, and the kernel's
/// socket of the same protocol, which is before or after it.
fn without_ourselves(bytes: &mut Vec<u8>) {
    let ours = |word: &[u8]| word.starts_with(b"4:") || word.starts_with(b"tcpdiag:");
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    *bytes = lines.filter(|line| !line.split(|byte| *byte == b' ').any(ours)).flatten().copied().collect();
}

/// The same where the program's name is shown, which for the reference is the loader's: it may
/// change the width of the columns, so padding is removed too.
fn without_ourselves_or_padding(bytes: &mut Vec<u8>) {
    without_ourselves(bytes);
    bytes.dedup_by(|next, before| *next == b' ' && *before == b' ');
}

/// Whether names are shown as numbers.
fn is_numeric(line: &str) -> bool {
    line.split(' ').any(|word| {
        word == "--numeric" || !word.starts_with("--") && word.starts_with('-') && word.contains('n')
    })
}

pub(super) fn run() -> Option<usize> {
    let namespace = Namespace::or_skip()?;
    let kinds = [
        "tcp-idle",
        "tcp-listen",
        "tcp-listen6",
        "tcp-bound",
        "tcp-close-wait",
        "udp-connected",
        "udp6-connected",
        "udp-unconnected",
        "packet-raw",
        "packet-dgram",
        "netlink-ports",
        "unix-stream",
        "unix-dgram",
        "unix-seqpacket",
        "raw-icmp",
    ];
    let zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    assert!(zoo.absent().is_empty(), "{:?}", zoo.absent());
    rest(&namespace);
    let live = |line: &&str| {
        let blot = if is_numeric(line) { without_ourselves } else { without_ourselves_or_padding };
        case(line).inside(&namespace).blot(blot)
    };
    let mut cases: Vec<Case<'_>> = CHOICES.iter().map(live).collect();
    cases.extend(MESSAGES.iter().map(|line| case(line)));
    let path = temporary("options-recorded", &recorded(77, 60, true));
    cases.extend(RECORDED.iter().map(|line| case(line).env("TCPDIAG_FILE", &path)));
    for words in
        ["--filter=- --tcp -an", "--filter - --tcp -an", "-F- -tan", "-tanF -", "-F - -tan dport = :1"]
    {
        cases.push(case(words).stdin("sport = :443\n").inside(&namespace));
        cases.push(case(words).stdin("or sport = :22\n").inside(&namespace));
    }
    for width in [40, 80, 200] {
        cases.push(live(&"-an").width(width));
        cases.push(live(&"-anpe").width(width));
    }
    cases.extend(random().iter().map(|line| live(&line.as_str())));
    Some(check(cases))
}
