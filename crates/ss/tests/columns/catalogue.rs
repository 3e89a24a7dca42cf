//! The catalogue is accurate: a socket of a recording, of a crafted reply or of this machine
//! reports every field, except those in a short list with reasons.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use sockdiag_testkit::netns::{self, Namespace};
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::replies::{self, Talk};
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::{self, Zoo};

use super::printed::{cells, names};
use super::sources::{self, Source};
use super::tree::Tree;

/// The fields that no source below reports, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    // `events_say_when_they_arrived` (tests/destroy.rs) shows them.
    ("event.time", "of sockets that end, as -E shows them"),
    ("event.time_unix_ns", "of sockets that end, as -E shows them"),
    ("socket.context", "needs SELinux"),
    ("socket.process_context", "needs SELinux"),
    ("netlink.process_context", "needs SELinux"),
    ("packet.peer", "packet sockets have none; the row is the column's asterisk"),
    // The test in fields/tcp/accecn.rs covers them with the layouts of both kinds of kernels.
    ("tcp.ecn_mode", "the running kernel decides how it is laid out: Linux 7.0"),
    ("tcp.options2", "the running kernel decides how it is laid out: Linux 7.0"),
];

/// Adds the fields for which a source has a value.
fn reported(source: &Source<'_>, names: &[String], found: &mut BTreeSet<String>) {
    let lines = source.lines(&["-H", "--csv", "--columns", &names.join(",")]);
    for line in lines.unwrap_or_else(|why| panic!("{}: {why}", source.name)) {
        let said = names.iter().zip(cells(&line)).filter(|(_, cell)| !cell.is_empty());
        found.extend(said.map(|(name, _)| name.clone()));
    }
}

/// /proc text, as current and as very old kernels print it.
fn texts() -> [Source<'static>; 2] {
    let file = |name: &str, text: &str| -> OsString {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("catalogue-{name}"));
        fs::write(&path, text).expect("the test's own file");
        path.into()
    };
    let tcp = "  sl\n   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 621 \
               1 0000000000000001 20 4 30 10 -1 more\n";
    let unix = "Peer RcvQ SndQ Flags Type St Inode Path\n00000002: 00 00 00000000 0001 03    11 /one\n\
                0000000b: 00 00 00000000 0001 03    12 /two\n";
    [
        Source::of("text of tcp", "-tane", vec![("PROC_NET_TCP", file("tcp", tcp))]),
        Source::of("text of unix", "-xane", vec![("PROC_NET_UNIX", file("unix", unix))]),
    ]
}

#[test]
fn every_field_is_reported_by_some_socket_or_is_excepted() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let (Some(here), Some(there)) = (Namespace::or_skip(), Namespace::or_skip()) else { return };
    let his = match Namespace::of_user(5555) {
        Ok(his) => his,
        Err(why) => skip!("{why}"),
    };
    let _zoo = Zoo::start(&namespace, &zoo::all_kinds()).unwrap_or_else(|why| panic!("{why}"));
    let mut sources = sources::golden("catalogue");
    for more in [sources::families("catalogue"), sources::crafted("catalogue")] {
        match more {
            Ok(more) => sources.extend(more),
            Err(why) => skip!("{why}"),
        }
    }
    let with_names: Vec<Source<'_>> =
        sources.iter().filter(|source| source.name.contains("6.18")).map(Source::with_names).collect();
    sources.extend(with_names);
    sources.extend(texts());
    let trees = ["docker-cgroup1.tree", "kubernetes-containerd.tree", "machines.tree"].map(Tree::unpack);
    for tree in &trees {
        let env = vec![("PROC_ROOT", tree.path("proc").into())];
        sources.push(Source::of("a recorded host", "-tlnp --containers", env));
    }
    sources.push(Source::live(&namespace, "-A all,mptcp -p --peers --containers"));
    sources.push(Source::live(&namespace, "-A netlink").with_names());
    // A connection between two namespaces, and another user's socket that claims to be the
    // other end of a socket in the first.
    let [from, to] = ["198.51.100.1", "198.51.100.2"];
    let addresses = [from, to].map(|text| text.parse().expect("an address"));
    if let Err(why) = here.connect(&there, 300, "ab", addresses) {
        skip!("{why}");
    }
    for address in addresses {
        his.add_address(netns::LO, address, 24).expect("his own");
    }
    let udp = |namespace: &Namespace, from: (&'static str, u16), to: (&'static str, u16)| {
        let made = namespace
            .with(move || UdpSocket::bind(from).and_then(|socket| socket.connect(to).map(|()| socket)));
        made.expect("a socket").expect("a socket")
    };
    let _asked = udp(&here, (from, 7501), (to, 443));
    let _claims = udp(&his, (to, 443), (from, 7501));
    let _ends = (udp(&here, (from, 7502), (to, 7503)), udp(&there, (to, 7503), (from, 7502)));
    let options = format!("-una --peers --netns pid:{},pid:{},pid:{}", here.pid(), there.pid(), his.pid());
    sources.push(Source::of("namespaces", &options, Vec::new()).with_name(&there, "there"));
    let names: Vec<String> = names().into_iter().filter(|name| name.contains('.')).collect();
    let mut found = BTreeSet::new();
    for source in &sources {
        reported(source, &names, &mut found);
    }
    let missing: BTreeSet<&str> =
        names.iter().map(String::as_str).filter(|name| !found.contains(*name)).collect();
    let excepted: BTreeSet<&str> = EXCEPTIONS.iter().map(|(name, _)| *name).collect();
    let wrong: Vec<_> = missing.difference(&excepted).collect();
    assert!(wrong.is_empty(), "no socket reports these: {wrong:#?}");
    // Every exception is in the catalogue.
    assert!(excepted.iter().all(|name| names.iter().any(|known| known == name)), "{excepted:?}");
}

/// A cgroup that cannot be found has no path, and a note says so; the text shows the
/// reference's word for it.
#[test]
fn an_unreachable_cgroup_has_no_path() {
    let library = match replies::library() {
        Ok(library) => library,
        Err(why) => skip!("{why}"),
    };
    let place = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("catalogue-cgroup-{name}"));
    let mounts = fs::read_to_string("/proc/mounts").expect("Linux");
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let Some(mount) = lines.find_map(|words| (words.get(2)? == &"cgroup2").then(|| words[1])) else {
        skip!("no cgroup2 file system")
    };
    let mut bytes = Vec::new();
    for (port, id) in [(1001, 77_u64), (1002, 78)] {
        let mut msg = Msg::v4().with(attr::CGROUP_ID, id.to_ne_bytes());
        msg.sport = port;
        bytes.extend(msg.to_bytes());
    }
    recording::append_done(&mut bytes);
    fs::write(place("sockets"), bytes).expect("the test's own file");
    fs::write(place("ids"), format!("1 {mount}\n77 {mount}/known\n")).expect("the test's own file");
    Talk::new().write(&place("talk")).unwrap_or_else(|why| panic!("{why}"));
    let env = vec![
        ("TCPDIAG_FILE", place("sockets").into()),
        ("LD_PRELOAD", library.into()),
        ("NLPLAY_FILE", place("talk").into()),
        ("NLPLAY_CGROUPS", place("ids").into()),
    ];
    let source = Source::of("cgroups", "-tan --cgroup", env);
    let lines = |words: &[&str]| source.lines(words).unwrap_or_else(|why| panic!("{words:?}: {why}"));
    for (words, want) in [
        (
            &["-H", "--csv", "--columns", "local.port,cgroup.path,cgroup.id"][..],
            ["1001,/known,77", "1002,,78"],
        ),
        (&["-H", "--tsv", "--columns", "local.port,cgroup.path"], ["1001\t/known", "1002\t"]),
        (&["-H", "--csv", "--group-by", "cgroup.path", "--sort", "cgroup.path"], [",1,0,0", "/known,1,0,0"]),
        (
            &["-H", "--jsonl", "--columns", "local.port,cgroup.path"],
            [r#"{"local.port":1001,"cgroup.path":"/known"}"#, r#"{"local.port":1002}"#],
        ),
        (&["-H", "--csv", "--columns", "local.port", "cgroup.path = *"], ["1001", ""]),
        (&["-H", "--csv", "--columns", "local.port", "not cgroup.path = *"], ["1002", ""]),
    ] {
        let found = lines(words);
        let listed: Vec<&String> = found.iter().filter(|line| !line.contains("\"note\"")).collect();
        let want: Vec<&str> = want.into_iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(listed, want, "{words:?}");
    }
    let document: serde_json::Value = serde_json::from_str(&lines(&["-j"]).join("\n")).expect("JSON");
    let path_of = |at: usize| document["sockets"][at]["cgroup"]["path"].clone();
    assert_eq!((path_of(0), path_of(1)), ("/known".into(), serde_json::Value::Null), "{document}");
    assert!(!document.to_string().contains("unreachable:"), "{document}");
    let notes = [document["notes"].to_string(), document["failures"].to_string()].concat();
    assert!(notes.contains("its path is not known"), "nothing says why: {document}");
    assert!(lines(&["-H"]).iter().any(|line| line.ends_with(" cgroup:unreachable:4e")));
}
