//! Which filters parse, what they mean, and which errors the others cause.

use super::super::Wanted;
use super::super::testing::{World, read, read_for};
use super::*;
use crate::fields::Catalog;
use crate::model::{Table, TableSet};

fn shown(text: &str) -> String {
    match read(text) {
        Ok(Parsed { expr: Some(expr), .. }) => expr.to_string(),
        Ok(Parsed { expr: None, .. }) => String::new(),
        Err(error) => panic!("{text}: {error}"),
    }
}

#[test]
fn and_and_or_bind_equally() {
    for (text, tree) in [
        ("", ""),
        (" \t ", ""),
        ("autobound", "autobound"),
        ("sport = 1 or sport = 2 and sport = 3", "( ( src *:1 or src *:2 ) and src *:3 )"),
        ("sport = 1 and sport = 2 or sport = 3", "( ( src *:1 and src *:2 ) or src *:3 )"),
        ("sport = 1 and ( sport = 2 or sport = 3 )", "( src *:1 and ( src *:2 or src *:3 ) )"),
        ("not sport = 1 and sport = 2", "( not src *:1 and src *:2 )"),
        ("! ! autobound", "not not autobound"),
        ("! ( autobound ) autobound", "( not autobound and autobound )"),
        ("sport 1 dport 2 ! dev lo", "( ( src *:1 and dst *:2 ) and not dev = 1 )"),
        ("sport = 1 | sport = 2 || autobound & autobound", {
            "( ( ( src *:1 or src *:2 ) or autobound ) and autobound )"
        }),
    ] {
        assert_eq!(shown(text), tree, "{text}");
    }
}

#[test]
fn operators_and_values_become_conditions() {
    for (text, tree) in [
        ("sport > 5", "not sport <= 5"),
        ("sport lt 5", "not sport >= 5"),
        ("sport geq 5", "sport >= 5"),
        ("dport le -7", "dport <= -7"),
        ("dport != :5", "not dst *:5"),
        ("dport neq *", "not dst *"),
        ("sport >= *", "sport >= -1"),
        ("sport = 0x50", "src *:80"),
        ("sport = domain", "src *:53"),
        ("sport = ntp", "src *:123"),
        ("sport = rpc.nfs", "src *:2049"),
        ("src 10.8", "src 10.8.0.0/32"),
        ("src = 0x1.010.+3/24:80", "src 1.8.3.0/24:80"),
        ("src 1.2.3.4/255.255:*", "src 1.2.3.4/16"),
        ("src 1.2.3.4/any", "src 1.2.3.4/0"),
        ("src any:5", "src *:5"),
        ("src [::1]:80", "src [::1/128]:80"),
        ("src fe80::1/64", "src [fe80::1/64]"),
        ("src ::1/128:ssh", "src [::1/128]:22"),
        ("src []", "src *"),
        ("src **", "src *"),
        ("dst many:80", "dst 10.0.0.1/32|10.0.0.2/32|[::1/128]:80"),
        ("dst inet:many", "dst 10.0.0.1/32|10.0.0.2/32"),
        ("dst inet6:many", "dst [::1/128]"),
        ("src unix:/run/*\\ x", "src unix:/run/*\\ x"),
        ("src link:IPv4:eth0", "src link:2048:2"),
        ("src link:*:if7", "src link:*:7"),
        ("src netlink:genl:kernel", "src netlink:16:0"),
        ("sport = netlink:-5", "src netlink:*:-5"),
        ("src vsock:2:1024", "src vsock:2:1024"),
        ("dev uplink", "dev = 2"),
        ("dev != if07", "not dev = 7"),
        ("dev 0x10", "dev = 16"),
        ("fwmark = 5junk", "fwmark = 0x5/0xffffffff"),
        ("fwmark != -1/0x0f", "not fwmark = 0xffffffff/0xf"),
        ("cgroup /user", "cgroup = 0x7"),
    ] {
        assert_eq!(shown(text), tree, "{text}");
    }
}

#[test]
fn a_host_value_narrows_the_family() {
    for (text, preferred, family) in [
        ("sport = 80", None, None),
        ("sport = 80", Some(Family::Inet6), Some(Family::Inet6)),
        ("autobound", Some(Family::Inet6), None),
        ("src unix:x", None, Some(Family::Unix)),
        ("src 1.2.3.4", Some(Family::Unix), Some(Family::Unix)),
        ("src unix:x or src inet:1.2.3.4", None, Some(Family::Inet)),
        ("src inet6:[::1] and sport = 80", None, Some(Family::Inet6)),
        ("src 1.2.3.4", Some(Family::Xdp), Some(Family::Xdp)),
    ] {
        assert_eq!(read_for(text.as_bytes(), preferred).map(|p| p.family), Ok(family), "{text}");
    }
    // The family of the first value also applies to the second.
    assert!(matches!(read("src inet:1.2.3.4 or src [::1]"), Err(FilterError::Host(Some(_)))));
}

#[test]
fn fields_are_compared_by_name_only_before_an_operator() {
    let parsed = read("tcp.rtt_us > 100 and tcp.congestion = cubic").unwrap();
    let expr = parsed.expr.unwrap();
    assert_eq!(expr.to_string(), "( tcp.rtt_us > 100 and tcp.congestion = cubic )");
    let needed = Catalog::standard().field("tcp.rtt_us").map(|f| f.needs).unwrap();
    assert!(expr.needs().has(needed) && needed != crate::fields::Needs::NONE);
    assert!(!expr.reference_compiles());
    for (text, error) in [
        ("tcp.rtt_us", FilterError::Host(Some(super::super::HostError::Address(b"tcp.rtt_us".to_vec())))),
        (
            "src tcp.rtt_us > 5",
            FilterError::Host(Some(super::super::HostError::Address(b"tcp.rtt_us".to_vec()))),
        ),
        ("tcp.rtt_us >", FilterError::Syntax),
        ("tcp.rtt_us > cubic", FilterError::NotANumber { field: "tcp.rtt_us", value: b"cubic".to_vec() }),
        ("tcp.rtt_us = 5x", FilterError::NotANumber { field: "tcp.rtt_us", value: b"5x".to_vec() }),
        ("tcp.congestion < x", mismatch("tcp.congestion", "x", Mismatch::Order)),
        ("tcp.rtt_us > and", mismatch("tcp.rtt_us", "and", Mismatch::Reserved)),
    ] {
        assert_eq!(read(text), Err(error), "{text}");
    }
}

#[test]
fn service_names_belong_to_the_tables_shown() {
    let catalog = Catalog::standard();
    for (word, tables, port) in [
        (&b"sport = split"[..], &[Table::Tcp, Table::Udp][..], Some(512)),
        (b"sport = split", &[Table::Tcp], Some(512)),
        (b"sport = split", &[Table::Udp], Some(513)),
        (b"sport = ntp", &[Table::Tcp, Table::Udp], Some(123)),
        (b"sport = ntp", &[Table::Tcp], None),
        (b"sport = ssh", &[Table::Sctp, Table::Raw], None),
        (b"sport = rpc.nfs", &[], Some(2049)),
    ] {
        let mut world = World::new();
        let tables = TableSet::of(tables);
        let ctx = Context { catalog: &catalog, preferred: None, tables, lookups: &mut world };
        let shown =
            parse(&[word], None, ctx).ok().and_then(|parsed| parsed.expr).map(|expr| expr.to_string());
        assert_eq!(shown, port.map(|port: u16| format!("src *:{port}")), "{word:?} {tables:?}");
    }
}

#[test]
fn keywords_come_from_the_table() {
    let catalog = Catalog::standard().without("local.interface");
    let mut world = World::new();
    let words: [&[u8]; 1] = [b"dev lo"];
    let ctx = Context { catalog: &catalog, preferred: None, tables: TableSet::EMPTY, lookups: &mut world };
    let error = FilterError::Host(Some(super::super::HostError::Address(b"dev".to_vec())));
    assert_eq!(parse(&words, None, ctx), Err(error));
}

#[test]
fn the_kernel_is_asked_about_cgroups() {
    let catalog = Catalog::standard();
    let words: [&[u8]; 1] = [b"cgroup /user or cgroup = /user"];
    for (cgroups, expect, asked) in [(true, Ok(()), 2), (false, Err(FilterError::CgroupUnsupported), 1)] {
        let mut world = World { cgroups, ..World::new() };
        let ctx =
            Context { catalog: &catalog, preferred: None, tables: TableSet::EMPTY, lookups: &mut world };
        assert_eq!(parse(&words, None, ctx).map(|_| ()), expect);
        assert_eq!(world.asked, asked);
    }
}

/// The limits were found by bisection with `ss` 7.3.
#[test]
fn depth_ends_where_the_reference_ends() {
    for (open, inner, close, most) in [
        ("( ", "sport = :1", " )", 9995),
        ("( ", "sport :1", " )", 9995),
        ("( ", "autobound", " )", 9996),
        ("! ", "sport = :1", "", 9995),
        ("! ", "autobound", "", 9997),
        ("( autobound ", "autobound", " )", 4998),
        ("( autobound and ", "autobound", " )", 3332),
        ("( autobound or ! ", "sport = :1", " )", 2498),
        ("( sport = :1 ", "autobound", " )", 4998),
        ("autobound and ( ", "sport > :1", " )", 3331),
    ] {
        let text = |n: usize| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
        assert!(read(&text(most)).is_ok(), "{most} times {open}");
        assert_eq!(read(&text(most + 1)), Err(FilterError::TooDeep), "{} times {open}", most + 1);
    }
}

#[test]
fn a_filter_of_several_families_prints_as_it_is_read() {
    for text in [
        "src netlink:8 and src inet:0.0.0.0/0 or dst inet:*",
        "dst inet6:[::1] and src vsock:2:5 and sport >= inet:7 and dport < inet:8",
        "src unix:/run/* or src inet:1.2.3.4:80 or src link:*:3 or dst inet6:[fe80::/64]:9",
    ] {
        let printed = shown(text);
        assert_eq!(shown(&printed), printed, "{text}");
        let exprs = [text, &printed].map(|text| read(text).map(|parsed| parsed.expr));
        assert_eq!(exprs[0], exprs[1], "{text} prints as {printed}");
    }
}

/// The wanted values of a filter's comparisons, and their operators.
fn wanted(filter: &str) -> Vec<(Vec<Wanted>, Comparison)> {
    let parsed = read(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    let expr = parsed.expr.expect("a condition");
    let test = |test: &Test| match test {
        Test::Field(test) => (test.wanted().to_vec(), test.comparison()),
        other => panic!("{other:?}"),
    };
    expr.tests().map(test).collect()
}

fn mismatch(field: &str, value: &str, why: Mismatch) -> FilterError {
    FilterError::Value { field: field.to_owned(), value: value.as_bytes().to_vec(), why }
}

/// A value of an enumeration can be its number or any spelling of its word.
#[test]
fn words_of_an_enumeration_are_understood() {
    for (word, plain) in [
        ("tcp.ca_state = loss", "tcp.ca_state = 4"),
        ("tcp.ca_state >= Recovery", "tcp.ca_state >= 3"),
        ("socket.v6only = yes", "socket.v6only = 1"),
        ("vsock.type = datagram", "vsock.type = 2"),
        ("tls.version = TLSv1.3", "tls.version = 772"),
    ] {
        assert_eq!(wanted(word), wanted(plain), "{word}");
    }
    for (spelling, name) in [
        ("socket.state = established", "socket.state = ESTAB"),
        ("socket.state != close_wait", "socket.state != CLOSE-WAIT"),
        ("socket.netid = unix_stream", "socket.netid = u_str"),
    ] {
        assert_eq!(wanted(spelling), wanted(name), "{spelling}");
    }
    for wrong in ["tcp.ca_state = closed", "tcp.ca_state = ", "socket.state > ESTAB"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
