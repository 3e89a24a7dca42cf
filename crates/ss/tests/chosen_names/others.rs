//! Long names other than those of processes in every output format: memory use, output size
//! and truncation marks.
//!
//! Names that the kernel limits are as long as the stand-in for the kernel allows: 255 bytes
//! for a namespace (a file name), 1,025 for a host (`NI_MAXHOST`).

use std::fs;

use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::replies::{self, Talk};
use sockdiag_testkit::skip;

use super::bounds::{FIRST, LONG, Place, ROWS};

/// The options that show the names, in every format; `NAME` is a field.
const FORMS: &[&str] = &[
    "",
    "-O -p -e",
    "--columns NAME,local.port",
    "--columns local.port,NAME,NAME",
    "--csv --columns local.port,NAME",
    "--tsv --columns NAME,local.port",
    "-j",
    "--jsonl",
    "--pretty",
    "-j --columns NAME,local.port",
    "--columns local.port --sort NAME",
    "--columns local.port,NAME --sort -NAME --limit 5",
    "--group-by NAME,local.port",
    "--group-by NAME --csv",
    "--group-by local.port,NAME --tsv --sort NAME",
    "--jsonl --group-by NAME,local.port",
];

/// Asserts that every format of this field stays within bounds and marks truncated text.  If
/// `whole` is set, the text is short enough to be printed in full.
fn stays_within(place: &Place, options: &str, name: &str, whole: Option<usize>) {
    for form in FORMS {
        let line = format!("{options} {}", form.replace("NAME", name));
        let (_, out) = place.run(&line.split_ascii_whitespace().collect::<Vec<_>>());
        let rows = out.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).count();
        let longest = out.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
        let least = if form.contains("--group-by") { 1 } else { 5 };
        assert!(rows >= least, "{line}: {rows} rows: {:.200}", out.escape_ascii());
        assert!(longest < 64 << 10, "{line}: a row of {longest} bytes");
        let text = String::from_utf8_lossy(&out);
        let shows = text.contains("xxxxxxxx");
        let is_marked = match form {
            form if form.contains("-j") || form.contains("--pretty") => text.contains("_truncated\""),
            form if form.contains(name) || form.contains("NAME") => text.contains('…'),
            _ => true,
        };
        let must = whole.is_none() && shows;
        assert!(!must || is_marked, "{line}: nothing says that text was cut");
        assert!(shows || !form.contains("columns NAME"), "{line}: it is not shown at all");
    }
}

fn x(length: usize) -> String {
    "x".repeat(length)
}

/// Makes a process in this cgroup that holds all sockets.
fn held(place: &Place, cgroup: &str) {
    place.process(300, ROWS, b"worker");
    fs::write(place.0.join("proc/300/cgroup"), format!("0::{cgroup}\n")).expect("the test's own file");
}

fn put(place: &Place, path: &str, text: &str) {
    let path = place.0.join(path);
    fs::create_dir_all(path.parent().expect("it has one")).expect("the test's own directory");
    fs::write(path, text).expect("the test's own file");
}

#[test]
fn long_names_of_units_containers_and_pods() {
    let id = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
    let docker = format!("/docker/{id}");
    let place = |name: &str, cgroup: &str| {
        let place = Place::new(name);
        place.sockets(ROWS);
        held(&place, cgroup);
        place
    };
    // A cgroup path of 2 MiB, and one as long as is read.
    for length in [LONG, 60_000] {
        let place = place("unit", &format!("/system.slice/{}.service", x(length)));
        for field in ["unit.title", "unit.cgroup"] {
            let (_, out) = place.run(&["-tanH", "--csv", "--columns", field]);
            // A path longer than what is read is not reported at all.
            if length == LONG && !String::from_utf8_lossy(&out).contains("xxxx") {
                continue;
            }
            stays_within(&place, "-tan --containers", field, None);
        }
    }
    // Container names longer than what is read, and shorter ones that are not valid names: the
    // id is shown instead, and a note says so.
    for name in [x(LONG), x(1_000_000), format!("k8s_app_{}_shop_uid-7_0", x(900_000)), x(4000)] {
        let place = place("container", &docker);
        put(
            &place,
            &format!("var/lib/docker/containers/{id}/config.v2.json"),
            &format!("{{\"Name\":\"/{name}\"}}"),
        );
        for form in FORMS {
            let line = format!("-tan --containers {}", form.replace("NAME", "container.title"));
            let (_, out) = place.run(&line.split_ascii_whitespace().collect::<Vec<_>>());
            let text = String::from_utf8_lossy(&out);
            assert!(out.len() < 4 << 20, "{line}: {} bytes", out.len());
            assert!(text.contains(&id[..12]) || !form.contains("columns NAME"), "{line}: {text:.300}");
            // A note quotes only a few characters.
            assert!(!text.contains(&name[..100]), "{line}: {text:.300}");
        }
    }
}

/// Names of users and hosts, looked up by the C library.
#[test]
fn long_names_of_users_and_hosts() {
    if !std::process::Command::new("unshare")
        .args(["-m", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        skip!("no mount namespace can be made");
    }
    const USERS: u32 = 10;
    let place = Place::new("users");
    let mut bytes = Vec::new();
    for row in 0..ROWS {
        let mut msg = Msg::v4();
        (msg.sport, msg.inode, msg.uid) =
            (u16::try_from(1000 + row).expect("few"), FIRST + row, 700_000 + row % USERS);
        msg.dst = std::net::IpAddr::from([10, 9, 0, u8::try_from(row % 50).expect("few")]);
        bytes.extend(msg.to_bytes());
    }
    recording::append_done(&mut bytes);
    fs::write(place.0.join("sockets"), bytes).expect("the test's own file");
    fs::create_dir_all(place.0.join("proc")).expect("the test's own directory");
    let user = |uid: u32| format!("u{uid}{}:x:{uid}:0::/:/bin/sh\n", x(800_000));
    let users: String = (700_000..700_000 + USERS).map(user).collect();
    put(&place, "passwd", &format!("root:x:0:0::/:/bin/sh\n{users}"));
    let host = |last: u32| format!("10.9.0.{last} h{last}{}\n", x(1000));
    put(&place, "hosts", &format!("127.0.0.1 localhost\n{}", (0..50).map(host).collect::<String>()));
    put(&place, "nsswitch.conf", "passwd: files\nhosts: files\nservices: files\n");
    stays_within(&place, "-tane", "socket.user", None);
    stays_within(&place, "-tanr", "remote.host", Some(1025));
}

/// Names of interfaces, algorithms and keys, sent by netlink.
#[test]
fn long_names_from_netlink() {
    let library = match replies::library() {
        Ok(library) => library,
        Err(why) => skip!("{why}"),
    };
    let mut place = Place::new("links");
    place.1 = Some(library);
    let memory = replies::attr(6, &replies::words(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
    let info = replies::attr(0, &replies::words(&[7, 2, 0, 100, 0, 0]));
    let row = replies::netpkt::packet(3, 3, &[info, memory]);
    let rows: Vec<Vec<u8>> = (0..ROWS).map(|_| row.clone()).chain([replies::done(0)]).collect();
    let links = [(7, x(30_000))];
    let talk = (0..3).fold(Talk::new(), |talk, _| talk.links(&links).sockets(17, &rows));
    talk.write(&place.0.join("talk")).unwrap_or_else(|why| panic!("{why}"));
    stays_within(&place, "-0an", "local.interface_name", None);

    let place = Place::new("algorithms");
    fs::create_dir_all(place.0.join("proc")).expect("the test's own directory");
    let mut bytes = Vec::new();
    for row in 0..ROWS {
        let name = x(7_000) + "\0";
        let mut msg = Msg::v4()
            .with(attr::CONG, name.as_bytes())
            .with(attr::ULP_INFO, replies::attr(1, &name.as_bytes()[..7_000]));
        (msg.sport, msg.inode) = (u16::try_from(1000 + row).expect("few"), FIRST + row);
        // Only a few messages are long, so that the listing stays quick.
        bytes.extend(if row < 50 { msg.to_bytes() } else { Msg::v4().to_bytes() });
    }
    recording::append_done(&mut bytes);
    fs::write(place.0.join("sockets"), bytes).expect("the test's own file");
    for field in ["tcp.congestion", "ulp.name"] {
        stays_within(&place, "-tani", field, None);
    }
}
