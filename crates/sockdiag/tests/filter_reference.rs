//! Runs the same filters through the real `ss`: on a recording, which the program filters
//! alone, and on this kernel's sockets, which the kernel filters too.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod filter_support;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use fastrand::Rng;
use filter_support::diag::Diag;
use filter_support::{CTX, Kind, decode, expr, read_line, socket, text};
use sockdiag::filter::{Dialect, program};
use sockdiag::model::{Row, SourceKind};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

/// A file that is removed when dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("sockdiag-filter-{}-{name}", std::process::id()));
        fs::write(&path, bytes).expect("a scratch file");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Inode numbers of the rows that the reference shows.
fn shown(reference: &Reference, filter: &str, env: &[(&str, &Scratch)]) -> BTreeSet<u32> {
    let mut command = reference.command();
    command.args(["-tanHeO", "--", filter]).env_clear();
    for (name, file) in env {
        command.env(name, &file.0);
    }
    let out = command.output().unwrap_or_else(|error| panic!("{filter:?}: {error}"));
    // `ss` reports cgroups that it may not open; that does not matter here.
    assert!(out.status.success(), "{filter:?}: {out:?}");
    let text = String::from_utf8_lossy(&out.stdout);
    let words = text.split_ascii_whitespace();
    words.filter_map(|word| word.strip_prefix("ino:")?.parse().ok()).collect()
}

/// Filters of every form, with the addresses and ports of the random sockets.
const FILTERS: &[&str] = &[
    "autobound",
    "! autobound",
    "sport = 80",
    "sport 80",
    "sport == :80",
    "sport eq +80",
    "sport = \\ 80",
    "sport = 0x50",
    "sport = 0b1010000",
    "sport = 0120",
    "sport != 80",
    "sport ne 80",
    "sport > 80",
    "sport gt 80",
    "sport >= 80",
    "sport geq 80",
    "sport < 80",
    "sport lt 80",
    "sport <= 80",
    "sport leq 80",
    "sport = *",
    "sport = :",
    "sport = :*",
    "sport = *80",
    "sport != *",
    "sport >= *",
    "sport > *",
    "sport <= *",
    "sport < *",
    "sport = -1",
    "sport != -1",
    "sport >= -5",
    "sport <= -5",
    "sport = -5",
    "sport = 65536",
    "sport >= 65536",
    "sport < 65536",
    "not sport >= 70000",
    "sport = 65616",
    "sport = 4294967295",
    "sport = 4294967376",
    "sport = 99999999999",
    "sport = 9223372036854775807",
    "sport = domain",
    "dport = :domain",
    "sport = inet:80",
    "sport = inet6::80",
    "dport > 1000 and dport < 50000",
    "src any",
    "src all",
    "src default",
    "src default:80",
    "src *",
    "src **",
    "src *:*",
    "src *:80",
    "src *80",
    "src :",
    "src :80",
    "src []",
    "src []:80",
    "src []80",
    "src [*]",
    "src [*x]",
    "src [any]",
    "src [10.0.0.1]:80",
    "src 10.0.0.1",
    "src = 10.0.0.1",
    "not src 10.0.0.1",
    "src 10.0.0.1:",
    "src 10.0.0.1:*",
    "src 10.0.0.1:*80",
    "src 10.0.0.1:80",
    "src 10.0.0.1/32:80",
    "src 10.0.0.1/31",
    "src 10.0.0.2/31",
    "src 10.0.0.1/30",
    "src 10/8",
    "src 10",
    "src 10.0",
    "src 10.0.0.1/0",
    "src 10.0.0.1/any",
    "src 10.0.0.1/default",
    "src 10.0.0.1/0.0.0.0",
    "src 10.0.0.1/255.0.0.0",
    "src 10.0.0.1/255.255",
    "src 10.0.0.1/0x8",
    "src 10.0.0.1/010",
    "src 10.0.0.1/+8",
    "src 10.0.0.1/\\ 8",
    "src 0xa.0.0.1",
    "src 012.0.0.1",
    "src 0b1010.0.0.1",
    "src 10.+0.0.1",
    "src 10.\\ 0.0.1",
    "src \\ 10.0.0.1",
    "src -0",
    "src 1.2.3.4",
    "src 0.0.0.0",
    "not src 0.0.0.0",
    "src 0.0.0.0/0",
    "src 0.0.0.0/1",
    "src 128.0.0.0/1",
    "src 255.255.255.255",
    "src localhost",
    "src localhost:80",
    "dst 10.0.0.1",
    "dst = 10.0.0.1:1024",
    "dst inet:10.0.0.1",
    "src inet:",
    "src inet6:",
    "src inet::80",
    "src inet6::80",
    "src inet6:any",
    "src [::]",
    "not src [::]",
    "src [::/0]",
    "src [::/1]",
    "src [::/64]",
    "src [::1]",
    "src [::1]:80",
    "src ::1/128",
    "src ::1/128:80",
    "src ::1/64",
    "src [::ffff:10.0.0.1]",
    "src [::ffff:a00:1]",
    "src [::ffff:0.0.0.0/96]",
    "src [::ffff:10.0.0.1/127]",
    "src [a00:1::]",
    "src [a00:1::/32]",
    "src [a00:0::/31]",
    "src [102:304::/32]",
    "src [102:304::/33]",
    "src [fe80::/10]",
    "src fe80::/255.192",
    "src [fe80::1/any]",
    "src inet6:[fe80::1]",
    "not dst [fe80::1] and not dst [::1]",
    "dev 0",
    "dev 1",
    "dev lo",
    "dev = lo",
    "dev != lo",
    "dev = if1",
    "dev = if01",
    "dev = if+1",
    "dev = if\\ 1",
    "dev = if-4294967295",
    "dev = if4294967297",
    "dev = if1junk",
    "dev = 0x1",
    "dev = 01",
    "dev = 4294967295",
    "dev lo and src 0.0.0.0",
    "not ( dev lo and src 10.0.0.1 )",
    "fwmark = 5",
    "fwmark 5",
    "fwmark != 5",
    "fwmark = 0",
    "fwmark = 5/7",
    "fwmark = 5/4",
    "fwmark = 4/4",
    "fwmark = 0/0",
    "fwmark = 1/0",
    "fwmark = 05/07",
    "fwmark = 5junk",
    "fwmark = 5/15/junk",
    "fwmark = 5/15junk",
    "fwmark = 0x100000005",
    "fwmark = -4294967291",
    "fwmark = -1",
    "fwmark = 99999999999999999999",
    "fwmark = -99999999999999999999",
    "fwmark = 08",
    "fwmark = 5/08",
    "fwmark = 1/\\ 3",
    "fwmark = 0b101",
    "sport = 1 or sport = 80 and dport = 53",
    "sport = 1 and dport = 53 or sport = 80",
    "not sport = 1 and dport = 53",
    "! ! sport = 80",
    "sport = 80 dport = 53",
    "sport = 80 ! dport = 53",
    "( sport = 80 or sport = 53 ) and ( dport = 80 or dport = 53 )",
    "not ( sport = 80 or sport = 53 ) & ! autobound || dst 1.2.3.4",
    "sport = 80 | sport = 53 && dport > 0",
    "\\sport = 80",
    "s\\port \\= 80",
    "src link:*:80 or src inet:1.2.3.4",
    "src link:* or src inet:1.2.3.4",
    "dport = netlink:53 or src inet:1.2.3.4",
    "src vsock:*:80 or src inet:1.2.3.4",
    "src vsock::80 and src inet:10.0.0.1",
];

#[test]
fn recordings_are_filtered_as_by_the_reference() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    let mut rng = Rng::with_seed(0x4ec0);
    let mut rows = Vec::new();
    let mut recording = Vec::new();
    for inode in 1..=300_u32 {
        let (mut bytes, _) = socket(&mut rng);
        bytes[68..72].copy_from_slice(&inode.to_ne_bytes());
        recording.extend_from_slice(&(16 + bytes.len() as u32).to_ne_bytes());
        recording.extend_from_slice(&[20, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        recording.extend_from_slice(&bytes);
        rows.push(bytes);
    }
    recording.extend_from_slice(&[20, 0, 0, 0, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let recording = Scratch::new("recording", &recording);
    let range = Scratch::new("range", format!("{} {}\n", CTX.ports.0, CTX.ports.1).as_bytes());
    let env = [("TCPDIAG_FILE", &recording), ("PROC_IP_LOCAL_PORT_RANGE", &range)];
    assert_eq!(shown(&reference, "", &env).len(), rows.len());

    let mut filters: Vec<String> = FILTERS.iter().map(|filter| (*filter).to_owned()).collect();
    assert!(filters.len() > 150);
    while filters.len() < FILTERS.len() + 300 {
        let text = text(&mut rng, Kind::Any, 2);
        // Leave out what the reference lacks, or looks up elsewhere.
        if !["many", "cgroup", "tcp.", "local."].iter().any(|word| text.contains(word)) {
            filters.push(text);
        }
    }
    for filter in &filters {
        let expr = expr(filter);
        let wanted: BTreeSet<u32> = (1..)
            .zip(&rows)
            .filter(|(_, bytes)| {
                let socket = decode(bytes, SourceKind::Recording);
                expr.eval(&Row::bare(&socket), CTX)
            })
            .map(|(inode, _)| inode)
            .collect();
        assert_eq!(wanted, shown(&reference, filter, &env), "{filter}");
    }
}

fn inode(socket: &impl AsRawFd) -> u32 {
    let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
    fs::metadata(path).expect("an open socket").ino() as u32
}

#[test]
fn dumps_are_filtered_as_by_the_reference() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    let mut diag = match Diag::open() {
        Ok(diag) => diag,
        Err(error) => skip!("cannot open a netlink socket: {error}"),
    };
    let Ok(range) = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") else {
        skip!("no range of ephemeral ports");
    };
    let range: Vec<u16> = range.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let ctx = sockdiag::filter::EvalContext { ports: (range[0], range[1]) };

    let listen = |addr: &str| TcpListener::bind(addr);
    let (Ok(any6), Ok(own6)) = (listen("[::]:0"), listen("[::1]:0")) else {
        skip!("no IPv6");
    };
    let any4 = listen("0.0.0.0:0").expect("a listener");
    let own4 = listen("127.0.0.1:0").expect("a listener");
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let mut streams = Vec::new();
    for (listener, host) in
        [(&any6, "::1"), (&any6, "127.0.0.1"), (&own6, "::1"), (&any4, "127.0.0.2"), (&own4, "127.0.0.1")]
    {
        let addr = SocketAddr::new(host.parse().expect("an address"), port(listener));
        streams.push(TcpStream::connect(addr).expect("a connection"));
        streams.push(listener.accept().expect("a connection").0);
    }
    let listeners = [&any6, &own6, &any4, &own4];
    let mine: BTreeSet<u32> = listeners.into_iter().map(inode).chain(streams.iter().map(inode)).collect();
    assert_eq!(mine.len(), 14);

    let (p6, p4) = (port(&any6), port(&own4));
    let filters = [
        "sport > 0".to_owned(),
        format!("sport = {p6}"),
        format!("sport != {p6} and dport != {p6}"),
        format!("dport >= {p6}"),
        format!("sport <= {p4} or dport = {p6}"),
        format!("src 0.0.0.0:{p6}"),
        format!("not src 127.0.0.1:{p4}"),
        format!("src [::1]:{p6} or autobound"),
        format!("! autobound or dport = {p4}"),
        "autobound".to_owned(),
        "! autobound".to_owned(),
        "src 0.0.0.0".to_owned(),
        "not src 0.0.0.0".to_owned(),
        "src 0.0.0.0/0".to_owned(),
        "not src 0.0.0.0/0".to_owned(),
        "src [::]".to_owned(),
        "not src [::]".to_owned(),
        "src [::/0]".to_owned(),
        "not src [::/0]".to_owned(),
        "src [::1]".to_owned(),
        "not dst [::1]".to_owned(),
        "src 127.0.0.1".to_owned(),
        "src 127/8".to_owned(),
        "src 127.0.0.2".to_owned(),
        "not src 127/8".to_owned(),
        "src [::ffff:127.0.0.1]".to_owned(),
        "not dst [::ffff:0.0.0.0/96]".to_owned(),
        "src [7f00::/8]".to_owned(),
        "not src [7f00::/8]".to_owned(),
        "src 0.0.0.0/0 and dst 0.0.0.0/0".to_owned(),
        "src inet:127.0.0.1 or dst inet:127.0.0.1".to_owned(),
        "src inet6:any".to_owned(),
        "not src inet6:[::1]".to_owned(),
        "autobound and src 127/8".to_owned(),
        "not ( autobound or src 0.0.0.0 )".to_owned(),
        "not ( autobound and not src [::1] )".to_owned(),
        "dev 0".to_owned(),
        "dev != 0 or src 0.0.0.0".to_owned(),
        "dev 0 and src 0.0.0.0".to_owned(),
        "dev 0 and not src 0.0.0.0".to_owned(),
        "dev 0 and src [7f00::/8]".to_owned(),
        "dev 0 and not src [7f00::/8]".to_owned(),
        "dev 0 and autobound".to_owned(),
        "dev 0 and not autobound".to_owned(),
        "dev 0 and ( src [::1] or dst 127/8 )".to_owned(),
        "not ( dev 0 and src 127.0.0.1 )".to_owned(),
    ];
    for filter in &filters {
        let parsed = read_line(filter.as_bytes()).unwrap_or_else(|error| panic!("{filter}: {error}"));
        let expr = parsed.expr.expect("a condition");
        let families: &[u8] = match parsed.family {
            None => &[2, 10],
            Some(family) => &[family.number()],
        };
        let theirs: BTreeSet<u32> = shown(&reference, filter, &[]).intersection(&mine).copied().collect();
        for dialect in [Dialect::Modern, Dialect::Classic] {
            let program = program(&expr, dialect);
            let mut ours = BTreeSet::new();
            for family in families {
                let errno = diag.dump(*family, 0x3fff, program.as_deref(), &mut |bytes| {
                    let socket = decode(bytes, SourceKind::Kernel);
                    if mine.contains(&socket.inode) && expr.eval(&Row::bare(&socket), ctx) {
                        ours.insert(socket.inode);
                    }
                });
                assert_eq!(errno, 0, "{filter}: {dialect:?}");
            }
            assert_eq!(ours, theirs, "{filter}: {dialect:?}");
        }
    }
}
