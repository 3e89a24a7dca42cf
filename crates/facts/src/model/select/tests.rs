//! How `-A`, `-f`, `-a`, `-l` and `state` combine.

use super::*;

/// Parses a command line of options and state words as the program does: first all options,
/// wherever they are, and then the words.
fn select(line: &str) -> Result<Selected, Empty> {
    let mut selection = Selection::default();
    let mut words = Vec::new();
    let mut args = line.split_whitespace();
    while let Some(arg) = args.next() {
        match arg {
            "-A" => selection.query(args.next().unwrap().as_bytes()).unwrap(),
            "-f" => selection.add_family(Family::by_name(args.next().unwrap().as_bytes()).unwrap()),
            "state" | "exclude" => words.push((arg, args.next().unwrap())),
            "--vsock" => selection.add_family(Family::Vsock),
            "--tipc" => selection.add_family(Family::Tipc),
            "--xdp" => selection.add_family(Family::Xdp),
            _ => arg.strip_prefix('-').unwrap().chars().for_each(|letter| option(&mut selection, letter)),
        }
    }
    for (verb, word) in words {
        match verb {
            "state" => selection.state_word(word.as_bytes()).unwrap(),
            _ => selection.exclude_word(word.as_bytes()).unwrap(),
        }
    }
    selection.resolve()
}

fn option(selection: &mut Selection, letter: char) {
    match letter {
        'a' => selection.request(StateSet::ALL),
        'l' => selection.request(StateSet::LISTENING),
        'B' => selection.request(StateSet::BOUND_INACTIVE),
        't' => selection.add_table(Table::Tcp),
        'u' => selection.add_table(Table::Udp),
        'w' => selection.add_table(Table::Raw),
        'S' => selection.add_table(Table::Sctp),
        'M' => selection.add_table(Table::Mptcp),
        'd' => selection.add_table(Table::Dccp),
        'x' => selection.add_family(Family::Unix),
        '0' => selection.add_family(Family::Packet),
        '4' => selection.add_family(Family::Inet),
        '6' => selection.add_family(Family::Inet6),
        _ => panic!("-{letter}"),
    }
}

/// Asserts which tables are requested, in order (`unix`, `packet` and `vsock` stand for all
/// their tables), and for which states.
fn check(line: &str, tables: &str, states: u32) {
    let selected = select(line).unwrap_or_else(|empty| panic!("{line}: {empty}"));
    let expected: Vec<Table> = tables
        .split_whitespace()
        .flat_map(|name| TableSet::by_name(name.as_bytes()).expect(name).iter())
        .collect();
    assert_eq!(selected.listed().collect::<Vec<_>>(), expected, "{line}");
    assert_eq!(selected.states.bits(), states, "{line}: {:#x}", selected.states.bits());
}

const INET: &str = "raw udp tcp sctp mptcp";

/// The requests that `ss` sends to the kernel (without DCCP, which 7.3 does not support).
#[test]
fn requests_are_those_of_ss() {
    check("", "unix raw udp tcp sctp vsock mptcp", 0x3b37);
    let all = "netlink packet unix raw udp tcp sctp vsock xdp mptcp";
    check("-a", all, 0x3fff);
    check("-l", all, 0x480);
    check("-B", "unix raw udp tcp sctp vsock mptcp", 0x2000);
    check("-t", "tcp", 0x3b37);
    check("-S", "sctp", 0x3b37);
    check("-M", "mptcp", 0x3b37);
    check("-u", "udp", 0x2);
    check("-w", "raw", 0x2);
    check("-tu", "udp tcp", 0x3b37);
    check("-x", "unix", 0x3b37);
    check("-0", "packet", 0x80);
    check("-f netlink", "netlink", 0x80);
    check("--vsock", "vsock", 0x3b37);
    check("--xdp", "xdp", 0x80);
    check("--tipc", "tipc", 0x482);
    check("-l --tipc", "tipc", 0x480);
    check("-a --tipc", "tipc", 0x3fff);
    check("-4", INET, 0x3b37);
    check("-4 -6", INET, 0x3b37);
    check("-f inet -f inet6", INET, 0x3b37);
    check("-4 -x", "unix raw udp tcp sctp mptcp", 0x3b37);
    check("-x -4 -t", "unix tcp", 0x3b37);
    check("-x -t", "unix tcp", 0x3b37);
    check("-x -t -A tcp", "unix tcp", 0x3b37);
    check("-0 -t", "packet tcp", 0x3bb7);
    check("-f link -t", "packet tcp", 0x3bb7);
    check("-u -0", "packet udp", 0x82);
    check("-A udp", "udp", 0x3b37);
    check("-t -A udp", "udp", 0x3b37);
    check("-A udp -t", "udp tcp", 0x3b37);
    check("-A tcp -A udp", "udp tcp", 0x3b37);
    check("-A netlink", "", 0x3b37);
    check("-A packet", "", 0x3b37);
    check("-A xdp", "", 0x3b37);
    check("-f netlink -A tcp", "tcp", 0x3b37);
    check("-A all,!tcp", "unix raw udp sctp vsock mptcp", 0x3b37);
    check("-4 -A !tcp", INET, 0x3b37);
    check("-4 -A inet,!tcp", "raw udp sctp mptcp", 0x3b37);
    check("-4 -A unix", "unix raw udp tcp sctp mptcp", 0x3b37);
    check("-4 -A all", "unix raw udp tcp sctp vsock mptcp", 0x3b37);
    check("-x -A unix_dgram", "unix_dgram", 0x3b37);
    check("-l state established", "unix raw udp tcp sctp vsock mptcp", 0x2);
    check("-t exclude established", "tcp", 0x3ffd);
    check("-t exclude all", "tcp", 0x3b37);
    check("-t state all exclude all", "tcp", 0x3b37);
}

#[test]
fn families_are_those_shown_and_asked_for() {
    let families = |line| {
        let selected = select(line).unwrap();
        (selected.families, selected.preferred)
    };
    let inet = |family| (FamilySet::only(family), Some(family));
    assert_eq!(families("-t"), (FamilySet::INET, None));
    assert_eq!(families("-4 -t"), inet(Family::Inet));
    assert_eq!(families("-t -6"), inet(Family::Inet6));
    assert_eq!(families("-4 -6"), (FamilySet::INET, Some(Family::Inet6)));
    assert_eq!(families("-6 -4"), (FamilySet::INET, Some(Family::Inet)));
    let mixed = FamilySet::of(&[Family::Inet, Family::Unix]);
    assert_eq!(families("-4 -x"), (mixed, Some(Family::Unix)));
    assert_eq!(families("-x -4 -t"), (mixed, Some(Family::Inet)));
    let both = FamilySet::INET.union(FamilySet::only(Family::Unix));
    assert_eq!(families("-x -t"), (both, Some(Family::Unix)));
    assert_eq!(
        families("").0,
        both.union(FamilySet::of(&[Family::Packet, Family::Netlink, Family::Vsock, Family::Xdp]))
    );
}

#[test]
fn taking_every_table_away_leaves_nothing() {
    for line in ["-A !tcp", "-A tcp,!tcp", "-t -A !udp", "-a -A all,!all", "-A inet,!inet exclude all"] {
        assert_eq!(select(line), Err(Empty::Tables), "{line}");
    }
}

#[test]
fn query_items_work_one_after_the_other() {
    check("-A udp,tcp,!udp", "tcp", 0x3b37);
    check("-A !udp,udp", "udp", 0x3b37);
    check("-A unix,!u_str,!u_seq", "u_dgr", 0x3b37);
    check("-A tcp -A !tcp,raw", "raw", 0x3b37);
    check("-l -A netlink", "netlink", 0x480);
    check("-A netlink -l", "netlink", 0x480);
}

/// Observed through the State column of `ss` 7.3: a query also adds the default states of its
/// tables, which apply once `exclude` leaves no others; removing a table does not remove its
/// states.
#[test]
fn states_of_tables_come_back_when_all_others_are_excluded() {
    check("-u -l exclude all", "udp", 0x2);
    check("-A udp exclude all", "udp", 0x2);
    check("-t -A udp exclude all", "udp", 0x3b37);
    check("-A netlink exclude all", "netlink", 0x80);
    check("-u -A netlink exclude all", "netlink", 0x82);
    check("-A udp,!udp,tcp exclude all", "tcp", 0x3b37);
    check("-A tcp,!tcp,udp exclude all", "udp", 0x3b37);
    check("-A raw,!tcp exclude all", "raw", 0x2);
    check("exclude all", "unix raw udp tcp sctp vsock mptcp", 0x3b37);
}

#[test]
fn only_the_first_state_word_starts_afresh() {
    check("-t -a state established", "tcp", 0x2);
    check("-t state listening state established", "tcp", 0x402);
    check("-t state established exclude listening", "tcp", 0x2);
    check("-t exclude established state listening", "tcp", 0x3ffd);
    check("-t exclude all state listening", "tcp", 0x400);
    check("-u exclude all exclude listening", "udp", 0x2);
}

#[test]
fn bad_words_are_handed_back_as_typed() {
    let mut selection = Selection::default();
    let items: &[(&[u8], &[u8])] = &[
        (b"", b""),
        (b"tcp,", b""),
        (b",tcp", b""),
        (b"tcp,,udp", b""),
        (b"!", b"!"),
        (b"!foo,tcp", b"!foo"),
        (b"!!tcp", b"!!tcp"),
        (b"tcp,UDP", b"UDP"),
        (b"\xff,x", b"\xff"),
    ];
    for (list, item) in items {
        assert_eq!(selection.query(list), Err(BadTable(item.to_vec())));
    }
    assert_eq!(selection.state_word(b"NEW-syn-recv"), Err(BadState(b"NEW-syn-recv".to_vec())));
    assert_eq!(selection.exclude_word(b""), Err(BadState(Vec::new())));
}

/// The headers that `ss` 7.3 prints.
#[test]
fn columns_say_only_what_varies() {
    for (line, netid, state) in [
        ("", true, true),
        ("-t", false, true),
        ("-u", false, false),
        ("-4 -u", false, true),
        ("-w", false, false),
        ("-tu", true, true),
        ("-x", true, true),
        ("-0", true, false),
        ("-f netlink", false, false),
        ("--xdp", false, false),
        ("--tipc", false, true),
        ("-B -u", false, false),
        ("-B -x", true, false),
        ("-A u_dgr", false, true),
        ("-f netlink -A tcp", true, true),
        ("-x -A unix_dgram", false, true),
        ("-u -0", true, true),
        ("-l -a -B -t", false, false),
        ("-A inet,!tcp,!udp,!raw,!sctp", false, true),
        ("-A inet,!tcp,!udp,!raw", true, true),
        ("-t state closed", false, false),
    ] {
        let selected = select(line).unwrap();
        assert_eq!((selected.show_netid(), selected.show_state()), (netid, state), "{line}");
    }
}

#[test]
fn tables_that_came_by_themselves_are_not_named() {
    let named = |line| select(line).unwrap().named;
    for line in ["", "-a", "-4", "-6", "-A all", "-A inet", "-t -A all", "-A tcp,!tcp,inet"] {
        assert_eq!(named(line), TableSet::EMPTY, "{line}");
    }
    assert_eq!(named("-tS"), TableSet::of(&[Table::Tcp, Table::Sctp]));
    assert_eq!(named("-4 -w"), TableSet::only(Table::Raw));
    assert_eq!(named("-4 -x"), TableSet::UNIX);
    assert_eq!(named("-x -A u_dgr"), TableSet::only(Table::UnixDgram));
    assert_eq!(named("-A all,packet"), TableSet::PACKET);
    assert_eq!(named("-u -A all,raw"), TableSet::only(Table::Raw));
}

#[test]
fn dccp_is_listed_only_by_name() {
    check("-d", "dccp", 0x3b37);
    check("-A dccp", "dccp", 0x3b37);
    check("-4 -d", "dccp", 0x3b37);
    check("-td", "tcp dccp", 0x3b37);
}

/// A host value in a filter decides which sockets are shown, but not which columns.
#[test]
fn a_host_value_narrows_families_alone() {
    let mut selected = select("-a").unwrap();
    let before = selected;
    selected.narrow(Family::Unix);
    assert_eq!((selected.families, selected.preferred), (FamilySet::only(Family::Unix), Some(Family::Unix)));
    assert_eq!((selected.tables, selected.states), (before.tables, before.states));
    assert!(selected.listed().eq(TableSet::UNIX.iter()));
    assert!(selected.show_netid());
}

#[test]
fn a_family_other_than_the_inet_ones_is_dumped_once() {
    let dumps = |line| select(line).unwrap().dumps().map(Table::message_kind).collect::<Vec<_>>();
    assert_eq!(dumps("-tua"), [MessageKind::Inet, MessageKind::Inet]);
    assert_eq!(dumps("-xa"), [MessageKind::Unix]);
    assert_eq!(dumps("-x0ta"), [MessageKind::Packet, MessageKind::Unix, MessageKind::Inet]);
    let unix = select("-A u_str,u_dgr").unwrap().dumps().collect::<Vec<_>>();
    assert_eq!(unix, [Table::UnixDgram], "the first that is listed");
}

#[test]
fn a_family_is_named_by_any_of_its_tables_and_by_a_host_value() {
    let dgram = select("-A v_dgr").unwrap();
    assert!(dgram.names(Table::VsockDgram) && dgram.names(Table::VsockStream));
    let sctp = select("-S").unwrap();
    assert!(sctp.names(Table::Sctp) && !sctp.names(Table::Tcp) && !sctp.names(Table::Mptcp));
    let mut all = select("-a").unwrap();
    assert!(!all.names(Table::VsockStream));
    all.narrow(Family::Vsock);
    assert!(all.names(Table::VsockStream));
    all.narrow(Family::Inet);
    assert!(!all.names(Table::Tcp), "an address names no protocol");
}
