//! What is said about filters that are wrong: the reference's words and exit
//! status, for two hundred of them.
//!
//! The table was made by running `ss` 7.3 on every text; one test holds the
//! library to it, another holds the table to the reference, where that can be
//! had.  Both assume a machine with an interface `lo`, a host `localhost` that
//! has an IPv4 address only, and none of the other names.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod filter_support;

use filter_support::read_line;
use sockdiag::filter::FilterError;
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

/// What the reference says.
#[derive(Clone, Copy, Debug)]
enum Said {
    Syntax,
    Address(&'static str),
    Port(&'static str),
    Host,
    Device,
    Mark(&'static str),
    Cgroup(&'static str),
}
use Said::{Address, Cgroup, Device, Host, Mark, Port, Syntax};

impl Said {
    fn text(self) -> String {
        const HOST: &str = "Cannot parse dst/src address.";
        match self {
            Syntax => "ss: bison bellows (while parsing filter): \"syntax error!\" Sorry.".into(),
            Address(word) => format!("Error: an inet prefix is expected rather than \"{word}\".\n{HOST}"),
            Port(word) => format!("Error: \"{word}\" does not look like a port.\n{HOST}"),
            Host => HOST.into(),
            Device => "Cannot parse device.".into(),
            Mark(word) => format!("Cannot parse mark {word}."),
            Cgroup(path) => {
                format!("Failed to get cgroup2 ID: No such file or directory\nCannot parse cgroup {path}.")
            }
        }
    }

    fn exit_code(self) -> i32 {
        if matches!(self, Syntax) { 255 } else { 1 }
    }
}

const WRONG: &[(&str, Said)] = &[
    ("foo", Address("foo")),
    ("src", Syntax),
    ("dst", Syntax),
    ("sport", Syntax),
    ("dport =", Syntax),
    ("dev", Syntax),
    ("dev =", Syntax),
    ("fwmark", Syntax),
    ("fwmark !=", Syntax),
    ("cgroup", Syntax),
    ("sport = foo", Port("foo")),
    ("sport = :foo", Port("foo")),
    ("dport > foo", Port("foo")),
    ("dport ge 0x", Port("0x")),
    ("sport = 080", Port("080")),
    ("sport = 5x", Port("5x")),
    ("sport = 18446744073709551615", Port("18446744073709551615")),
    ("sport = 9223372036854775808", Port("9223372036854775808")),
    ("sport = 99999999999999999999999", Port("99999999999999999999999")),
    ("sport = ::80", Port(":80")),
    ("sport = ntp2", Port("ntp2")),
    ("src [::1", Host),
    ("src [", Host),
    ("src ::1", Address(":")),
    ("src ::80", Address(":")),
    ("src fe80::1", Address("fe80:")),
    ("src fe80::1%lo", Port("1%lo")),
    ("src [fe80::1%lo]", Address("fe80::1%lo")),
    ("src [::ffff:1.2.3.04]", Address("::ffff:1.2.3.04")),
    ("src [::00001]", Address("::00001")),
    ("src [1:2:3:4:5:6:7:8:9]", Address("1:2:3:4:5:6:7:8:9")),
    ("src [:::]", Address(":::")),
    ("src [fe80::1/]", Address("fe80::1/")),
    ("src [fe80::1/x]", Address("fe80::1/x")),
    ("src [fe80::/129]", Address("fe80::/129")),
    ("src [fe80::1/ffff::]", Address("fe80::1/ffff::")),
    ("src [fe80::1/-1]", Address("fe80::1/-1")),
    ("src [a00:1::]/32", Port("/32")),
    ("src [::1]/64:80", Port("/64:80")),
    ("src [[::1]]", Port("]")),
    ("src []x", Port("x")),
    ("src *foo", Port("foo")),
    ("src :foo", Port("foo")),
    ("src /8", Address("/8")),
    ("src 1.2.3.4/33", Address("1.2.3.4/33")),
    ("src 1.2.3.4/", Address("1.2.3.4/")),
    ("src 1.2.3.4/-1", Address("1.2.3.4/-1")),
    ("src 1.2.3.4/255", Address("1.2.3.4/255")),
    ("src 1.2.3.4/8x", Address("1.2.3.4/8x")),
    ("src 1.2.3.4/0xff000000", Address("1.2.3.4/0xff000000")),
    ("src 1.2.3.4/255.0.255.0", Address("1.2.3.4/255.0.255.0")),
    ("src 1.2.3.4/256.0", Address("1.2.3.4/256.0")),
    ("src 1.2.3.4/::", Address("1.2.3.4/:")),
    ("src 1.2.3.4:80/32", Address("1.2.3.4:80/32")),
    ("src 1.2.3.4\\ ", Address("1.2.3.4 ")),
    ("src 1.2.3.4.5", Address("1.2.3.4.5")),
    ("src 1..2", Address("1..2")),
    ("src 1.2.", Address("1.2.")),
    ("src .1", Address(".1")),
    ("src 1.-2", Address("1.-2")),
    ("src 300.1.1.1", Address("300.1.1.1")),
    ("src 1.2.3.256", Address("1.2.3.256")),
    ("src 09", Address("09")),
    ("src 0x", Address("0x")),
    ("src 1.0x", Address("1.0x")),
    ("src ALL", Address("ALL")),
    ("src anyx", Address("anyx")),
    ("src any/0", Address("any/0")),
    ("src default/8", Address("default/8")),
    ("src all/any", Address("all/any")),
    ("src a/b:80", Address("a/b")),
    ("src localhost/8", Address("localhost/8")),
    ("src localhost:nope", Port("nope")),
    ("src nope.invalid.:80", Address("nope.invalid.")),
    ("src INET:1.2.3.4", Port("1.2.3.4")),
    ("src inet6:1.2.3.4", Address("1.2.3.4")),
    ("src inet6:localhost", Address("localhost")),
    ("src inet6:0.0.0.0/any", Address("0.0.0.0/any")),
    ("src inet:::1/64", Address("::1/64")),
    ("src inet:[::1]", Address("::1")),
    ("src tipc:x", Port("x")),
    ("src xdp:1", Address("xdp")),
    ("src packet:1", Address("packet")),
    ("src inet:1.2.3.4 or src [::1]", Address("::1")),
    ("src inet6:[::1] or src 1.2.3.4", Address("1.2.3.4")),
    ("src unix:x or src link:foo", Host),
    ("src link:foo", Host),
    ("src link:foo:1", Host),
    ("src link:ip:nope", Host),
    ("src link:65536", Host),
    ("src link:-1", Host),
    ("src link:1x", Host),
    ("src link:if1", Host),
    ("src link:*x", Host),
    ("src link:ip:*x", Host),
    ("src link:ip\\ ", Host),
    ("sport = link:ip:5", Host),
    ("sport = link:nope", Host),
    ("src netlink:route", Host),
    ("src netlink:RTNL", Host),
    ("src netlink:256", Host),
    ("src netlink:-1", Host),
    ("src netlink:1x", Host),
    ("src netlink:*x", Host),
    ("src netlink:rtnl:foo", Host),
    ("src netlink:rtnl:5x", Host),
    ("src netlink:rtnl:KERNEL", Host),
    ("src netlink:0:*x", Host),
    ("sport = netlink:rtnl:5", Host),
    ("sport = netlink:x", Host),
    ("src vsock:1:", Host),
    ("src vsock::", Host),
    ("src vsock:4294967296", Host),
    ("src vsock:-1", Host),
    ("src vsock:x", Host),
    ("src vsock:1x", Host),
    ("src vsock:1:x", Host),
    ("src vsock:1:-1", Host),
    ("src vsock:1:4294967296", Host),
    ("src vsock:1:2:3", Host),
    ("src vsock:*x", Host),
    ("src vsock:1:*x", Host),
    ("sport = vsock:", Host),
    ("sport = vsock:x", Host),
    ("sport = vsock:-1", Host),
    ("sport = vsock:1:5", Host),
    ("sport = tipc:5", Port("tipc:5")),
    ("dev nope", Device),
    ("dev = nope", Device),
    ("dev != 1x", Device),
    ("dev 0x", Device),
    ("dev if", Device),
    ("dev if0", Device),
    ("dev if0x1", Device),
    ("dev 4294967296", Device),
    ("dev = -1", Device),
    ("dev > lo", Syntax),
    ("dev = lo lo", Syntax),
    ("dev eq", Syntax),
    ("fwmark = x", Mark("x")),
    ("fwmark = 0x", Mark("0x")),
    ("fwmark = 0xg", Mark("0xg")),
    ("fwmark = 0b", Mark("0b")),
    ("fwmark = 1/x", Mark("1/x")),
    ("fwmark = 5/", Mark("5/")),
    ("fwmark = 5//3", Mark("5//3")),
    ("fwmark = 5/f", Mark("5/f")),
    ("fwmark = 5x/0xf", Mark("5x/0xf")),
    ("fwmark = 08/3", Mark("08/3")),
    ("fwmark = 5\\ /3", Mark("5 /3")),
    ("fwmark = /0xf", Mark("/0xf")),
    ("fwmark = -", Mark("-")),
    ("fwmark = \\", Mark("")),
    ("fwmark > 1", Syntax),
    ("fwmark = 1 2", Syntax),
    ("cgroup = /nope", Cgroup("/nope")),
    ("cgroup /nope/x", Cgroup("/nope/x")),
    ("cgroup != /nope", Cgroup("/nope")),
    ("cgroup > /", Syntax),
    ("cgroup = /nope or", Cgroup("/nope")),
    ("src != foo", Syntax),
    ("src > foo", Syntax),
    ("src != 1.2.3.4", Syntax),
    ("src = = 1.2.3.4", Syntax),
    ("src src 1.2.3.4", Syntax),
    ("autobound foo", Address("foo")),
    ("autobound = 1", Syntax),
    ("autobound 1.2.3.4", Syntax),
    ("= foo", Syntax),
    ("foo =", Address("foo")),
    ("foo = bar", Address("foo")),
    ("(", Syntax),
    (")", Syntax),
    ("( )", Syntax),
    ("( sport = 1", Syntax),
    ("sport = 1 )", Syntax),
    ("( sport = 1 ) )", Syntax),
    ("(sport = 1)", Address("(sport")),
    ("( sport = 1)", Port("1)")),
    ("!", Syntax),
    ("not", Syntax),
    ("! !", Syntax),
    ("and", Syntax),
    ("or sport = 1", Syntax),
    ("sport = 1 and", Syntax),
    ("sport = 1 or", Syntax),
    ("sport = 1 and and sport = 2", Syntax),
    ("sport = 1 or and sport = 2", Syntax),
    ("sport = 1 & | sport = 2", Syntax),
    ("sport sport", Syntax),
    ("sport = =", Syntax),
    ("sport = and", Syntax),
    ("sport 80 81", Syntax),
    ("sport = 80 81", Syntax),
    ("sport=80", Address("sport=80")),
    ("sport\\ =", Address("sport =")),
    ("sport = 80 \\ ", Port(" ")),
    ("SPORT = 80", Address("SPORT")),
    ("state established", Address("state")),
    ("sport = 80 state established", Port("state")),
    ("\\", Syntax),
    ("\\\\", Address("\\")),
    ("\\ ", Address(" ")),
    ("\\!", Syntax),
    ("src 1.2.3.4 \\\\or", Address("\\or")),
    ("src 1.2.3.4\\\\", Address("1.2.3.4\\")),
    ("sport = domain\\ ", Port("domain ")),
    ("!sport = 1", Address("!sport")),
    ("sport != = 5", Syntax),
    ("sport => 5", Port("=>")),
    ("sport =! 5", Port("=!")),
    ("sport <> 5", Port("<>")),
    ("1.2.3.4", Syntax),
    ("[::1]", Syntax),
    ("*", Syntax),
    ("any", Syntax),
    (":80", Syntax),
    ("tcp.rtt", Address("tcp.rtt")),
    ("tcp.rtt > 5", Address("tcp.rtt")),
    ("sport = ssh:", Port("ssh:")),
    ("src 1.2.3.4:http:80", Address("1.2.3.4:http")),
];

#[test]
fn errors_are_the_references() {
    assert!(WRONG.len() >= 200);
    for (text, said) in WRONG {
        let error: FilterError = match read_line(text.as_bytes()) {
            Err(error) => error,
            Ok(parsed) => panic!("{text:?} parses as {parsed:?}"),
        };
        assert_eq!(error.to_string(), said.text(), "{text:?}");
        assert_eq!(error.exit_code(), said.exit_code(), "{text:?}");
        assert_eq!(error.shows_usage(), said.exit_code() == 255, "{text:?}");
    }
}

#[test]
fn the_table_is_the_references() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    for (text, said) in WRONG {
        let out = reference
            .command()
            .args(["-tunaH", "--", text])
            .env_clear()
            .env("TCPDIAG_FILE", "/dev/null")
            .output()
            .unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        let message = stderr.find("Usage: ss").map_or(&stderr[..], |usage| &stderr[..usage]);
        assert_eq!(message, format!("{}\n", said.text()), "{text:?}");
        assert_eq!(out.status.code(), Some(said.exit_code()), "{text:?}");
        assert_eq!(stderr.contains("Usage: ss"), said.exit_code() == 255, "{text:?}");
    }
}
