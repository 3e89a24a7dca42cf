//! Command lines that end in a message, and odd ones that do not.

use super::{Case, Group, case, check, temporary};

/// Each is words separated by blanks.
const ERRORS: &[&str] = &[
    // Options.
    "-Y", "-tY", "-tanY", "--bogus", "--numeric=3", "--tcp=x", "-f", "-A", "-D", "-F", "-N", "--family", "--query",
    "--socket", "--diag", "--filter", "--net", "--bpf-map-id", "--n", "--b", "--s", "--bpf-m", "--cont", "--t", "--i",
    "--e", "--u", "--r", "--o", "--f", "--m", "--c", "--p", "--q", "--v", 
    "--ti", "--ip", "--ipv", "--in", "--no-", "--net-", "--so", "-", "--=",
    "--=x", "-1", "-tan -9", "-t-", "-?", "-t --summary=1", "--dcc", "--dc",
    // Values of options.
    "-f foo", "-f INET", "-f inetx", "-ffoo", "--family=bar", "--family foo", "-A foo", "-A tcp,foo", "-A tcp,",
    "-A ,tcp", "-A TCP", "-A !foo", "-A !", "-A tcp,,udp", "--query=bogus", "-Afoo", "-A !tcp", "-A tcp,!tcp",
    "-t -A !udp", "-A !all", "-N /nonexistent/ns", "-N no-such-namespace", "--net=no-such-namespace -t",
    "-F /nonexistent", "-F /nonexistent -F /other", "-F - -F -", "-D /nonexistent/x -t", "-u -D -", "-x -D -",
    "-A udp -D x", "--bpf-map-id=foo", "--bpf-map-id=0", "--bpf-map-id 4294967295", "--bpf-maps --bpf-map-id=3",
    "-Z", "-tanz", "-Z -Y", "-Y -Z",
    // States.
    "-t state", "-t exclude", "-t excl", "-t state foo", "-t exclude foo", "-t state new-syn-recv", "-t state FOO",
    "-t state established exclude", "-t state established exclude bar", "-t state fin-wait-{1,2}", "state listen",
    "-tan state established state", "-t -x state bogus",
    // Filters.
    "-tan foo", "-tan src foo/bar", "-tan sport = 1 2", "-tan sport = :foo", "-tan dst", "-tan src", "-tan sport",
    "-tan sport =", "-tan sport = 1 or", "-tan or sport = 1", "-tan and", "-tan ( sport = 1", "-tan sport = 1 )",
    "-tan ( )", "-tan !", "-tan not", "-tan dev", "-tan dev foo", "-tan dev = foo", "-tan dev > lo", "-tan dev != foo",
    "-tan fwmark x", "-tan fwmark", "-tan fwmark > 1", "-tan fwmark = /1", "-tan fwmark 1/x", "-tan cgroup /nonexistent",
    "-tan cgroup", "-tan cgroup = /nonexistent", "-tan cgroup > /", "-tan autobound = 1", "-tan autobound 1",
    "-tan src 1.2.3.4/33", "-tan src 1.2.3.4.5", "-tan src 256.1.1.1", "-tan dst [::1", "-tan dst ::g", "-tan dst [::1]/64:80",
    "-tan src any/8", "-tan src all/0", "-tan dst != 1.2.3.4", "-tan dst > 1.2.3.4", "-tan src < 1", "-tan sport >< 1",
    "-tan dport => 1", "-tan sport = -", "-tan dport = :no-such-service", "-San sport = :ssh", "-tan (sport = :1)",
    "-tan sport=1", "-tan sport = 1 && && dport = 2", "-tan not not", "-tan src inet6:1.2.3.4", "-tan src inet:::1",
    "-tan src inet:1.2.3.4 or src [::1]", "-tan src vsock:x", "-tan src vsock:1:", "-tan src link:zzz", "-tan src netlink:zzz",
    "-tan src netlink:256", "-tan dst 10.0.0.0/255.0.255.0", "-tan src 1.2.3.4/-1", "-tan src 1.2.3.4/", "-tan state state",
    "-tan sport = :1 state listening", "-tan dport 0x", "-tan sport == == 1", "-tan = 1", "-tan > 1", "-tan 1 = 1",
];

/// Filter files and what is wrong with them.
const FILES: &[(&str, &[u8])] = &[
    ("bad-word", b"sport = :foo\n"),
    ("syntax", b"sport = :1 :2\n"),
    ("half", b"sport =\n"),
    ("nul", b"\0sport = :1\n"),
    ("indented-comment", b"  # comment\n"),
    ("carriage-return", b"sport = :22\r\n"),
    ("state-inside", b"state listening\n"),
    ("binary", b"\xff\xfe\x01\n"),
];

pub(super) fn run() -> Group {
    let mut cases: Vec<Case<'_>> = ERRORS.iter().map(|words| case(words)).collect();
    for (name, text) in FILES {
        let path = temporary(&format!("filter-{name}"), text);
        cases.push(case(&format!("-tanH -F {}", path.display())));
        cases.push(case("-tanH -F -").stdin(*text));
    }
    let mut long = vec![b' '; 1023];
    long.push(b'\n');
    cases.push(case("-tanH -F -").stdin(long));
    cases.push(Case::new(&["-tan", "sport = :1 or ("]));
    cases.push(Case::new(&["-tan", "src\\ 1"]));
    cases.push(Case::new(&["-tan", ""]));
    cases.push(case("dst 1.2.3.4 -Y").env("POSIXLY_CORRECT", "1"));
    cases.push(case("-t foo -Y").env("POSIXLY_CORRECT", "1"));
    check("errors and odd command lines", 190, cases)
}
