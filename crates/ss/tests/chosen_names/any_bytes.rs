//! A thousand names of arbitrary bytes in every output format, read back by Python.
//!
//! Python parses CSV, TSV, lines and JSON, and a few lines of its own undo the documented
//! escapes; the result must be the original names.  No format may let a character through that
//! affects a terminal.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};

use sockdiag::escape::is_unsafe;
use sockdiag_testkit::compare::{Case, Ended, Outcome, run};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::replies::{self, Talk};
use sockdiag_testkit::skip;

const OURS: &str = env!("CARGO_BIN_EXE_ss");
const DECODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chosen_names/decode.py");

/// Generates names that are the same on every run.
struct Names(u64);

impl Names {
    fn number(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    /// A name of at most `most` bytes, without refused ones.
    fn next(&mut self, most: usize, refused: impl Fn(u8) -> bool) -> Vec<u8> {
        const ODD: &[&str] = &[
            "\\",
            "\\x41",
            "\\u{41}",
            ",",
            "-",
            "=1+1",
            "@",
            "+",
            "\"",
            "'",
            " ",
            "  ",
            "\n",
            "\t",
            "\r",
            "\x1b[2J",
            "\x7f",
            "\u{85}",
            "\u{9b}",
            "\u{202e}",
            "\u{2028}",
            "\u{2066}",
            "\u{200f}",
            "\u{61c}",
            "…",
            "é",
            "日本",
            "\u{10ffff}",
            "/",
            ";",
            "|",
            "users:((\"x\",pid=1,fd=2))",
            "\u{feff}",
            "null",
            "007",
        ];
        let length = 1 + self.number(most);
        let mut name = Vec::new();
        while name.len() < length {
            match self.number(3) {
                0 => name.push(self.number(256) as u8),
                1 => name.push(b' ' + self.number(95) as u8),
                _ => name.extend_from_slice(ODD[self.number(ODD.len())].as_bytes()),
            }
        }
        name.truncate(length);
        name.retain(|byte| *byte != 0 && !refused(*byte));
        if name.is_empty() { vec![b'-'] } else { name }
    }
}

fn has_python() -> bool {
    Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success())
}

/// The values that Python reads from a listing.
fn read_back(form: &str, wanted: &[&str], listing: &[u8]) -> Vec<String> {
    let mut child = Command::new("python3")
        // Modules that the machine's owner added would only be searched.
        .args(["-IS", DECODE])
        .arg(form)
        .args(wanted)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python was there a moment ago");
    let mut input = child.stdin.take().expect("it is piped");
    let listing = listing.to_vec();
    let writer = std::thread::spawn(move || _ = input.write_all(&listing));
    let out = child.wait_with_output().expect("it ends");
    writer.join().expect("it writes");
    assert!(out.status.success(), "{form}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("digits").lines().map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(four.into(), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Asserts that only the format's own line breaks and tabs affect a terminal.
fn is_harmless(listing: &[u8], what: &str) {
    for chunk in listing.utf8_chunks() {
        let raw = chunk.valid().chars().find(|letter| is_unsafe(*letter) && !matches!(letter, '\n' | '\t'));
        assert_eq!(raw, None, "{what}: {}", chunk.valid());
        let raw = chunk.invalid().iter().find(|byte| (0x80..0xa0).contains(*byte));
        assert_eq!(raw, None, "{what}: {}", chunk.invalid().escape_ascii());
    }
}

/// The values of one field in a number of rows.
struct Field {
    /// The field, by its full name.
    name: &'static str,
    kind: &'static str,
    /// As `decode.py` prints it, row by row.
    rows: Vec<String>,
}

/// Asserts that every format gives these values; `list` runs `ss` with arguments.
fn every_form_says(fields: &[Field], list: &dyn Fn(&[&str]) -> Outcome) {
    let listed = |words: &[&str]| {
        let outcome = list(words);
        let errors = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!(outcome.ended, Ended::Exit(0), "{words:?}: {errors}");
        is_harmless(&outcome.stdout, &format!("{words:?}"));
        outcome.stdout
    };
    let count = fields[0].rows.len();
    let want: Vec<String> = (0..count)
        .map(|row| fields.iter().map(|field| field.rows[row].as_str()).collect::<Vec<_>>().join(" "))
        .collect();
    let (names, kinds): (Vec<_>, Vec<_>) = fields.iter().map(|field| (field.name, field.kind)).unzip();
    let columns = names.join(",");
    for form in ["csv", "tsv"] {
        let listing = listed(&["-H", &format!("--{form}"), "--columns", &columns]);
        assert!(std::str::from_utf8(&listing).is_ok(), "{form} is UTF-8");
        assert_eq!(read_back(form, &kinds, &listing), want, "{form}");
    }
    for (form, option) in [("document", "-j"), ("document", "--pretty"), ("jsonl", "--jsonl")] {
        let listing = listed(&[option]);
        assert!(std::str::from_utf8(&listing).is_ok(), "{option} is UTF-8");
        assert_eq!(read_back(form, &names, &listing), want, "{option}");
    }
    for form in ["-j", "--pretty"] {
        assert_eq!(
            read_back("flat", &names, &listed(&[form, "--columns", &columns])),
            want,
            "{form} --columns"
        );
    }
    assert_eq!(
        read_back("flat-lines", &names, &listed(&["--jsonl", "--columns", &columns])),
        want,
        "--jsonl --columns"
    );
    for field in fields {
        // A single column is not padded, so a line is its cell.
        let listing = listed(&["-H", "--columns", field.name]);
        assert_eq!(read_back("lines", &[field.kind], &listing), field.rows, "{} alone", field.name);
        let listing = listed(&["-H", "--csv", "--group-by", field.name]);
        // The group's name is followed by a count and two sums.
        let kinds = [field.kind, "text", "text", "text"];
        let first = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
        let mut found: Vec<String> = read_back("csv", &kinds, &listing).iter().map(first).collect();
        let listing = listed(&["-H", "--tsv", "--group-by", field.name]);
        let mut tsv: Vec<String> = read_back("tsv", &kinds, &listing).iter().map(first).collect();
        let lines = listed(&["--jsonl", "--group-by", field.name]);
        let mut lines = read_back("flat-lines", &[field.name], &lines);
        let mut same = read_back("groups", &[field.name], &listed(&["-j", "--group-by", field.name]));
        // A value that several holders share is printed once.
        let once = |row: &String| {
            let mut parts: Vec<&str> = row.split(',').collect();
            parts.dedup();
            parts.join(",")
        };
        let mut rows: Vec<String> = field.rows.iter().map(once).collect();
        found.sort_unstable();
        same.sort_unstable();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(found, rows, "groups of {}", field.name);
        assert_eq!(same, rows, "-j, groups of {}", field.name);
        tsv.sort_unstable();
        lines.sort_unstable();
        assert_eq!((&tsv, &lines), (&rows, &rows), "--tsv and --jsonl, groups of {}", field.name);
    }
    for words in [&["-H", "--columns", &columns][..], &["--columns", &columns], &["--group-by", &columns]] {
        let listing = listed(words);
        assert!(std::str::from_utf8(&listing).is_ok_and(|text| text.lines().count() >= count), "{words:?}");
    }
    let text = listed(&["-H", "-O", "-p", "-e", "-i", "-m"]);
    assert_eq!(text.split(|byte| *byte == b'\n').count(), count + 1, "a row is a line");
    listed(&["-p", "-e", "--containers", "--exposure"]);
}

/// Command name, process id and command line of a process.
type Process = (Vec<u8>, usize, Vec<Vec<u8>>);

/// Writes a file of the test, and makes its parent directories.
fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("it has one")).expect("the test's own directory");
    fs::write(path, bytes).expect("the test's own file");
}

/// Processes, users, hosts and cgroups: about nine hundred names.
#[test]
fn names_of_processes_users_hosts_and_cgroups_come_back() {
    const ROWS: usize = 130;
    if !has_python() {
        skip!("no python3");
    }
    let library = match replies::library() {
        Ok(library) => library,
        Err(why) => skip!("{why}"),
    };
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        skip!("no mount namespace can be made");
    }
    let mounts = fs::read_to_string("/proc/mounts").expect("Linux");
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let Some(mount) = lines.find_map(|words| (words.get(2)? == &"cgroup2").then(|| words[1].to_owned()))
    else {
        skip!("no cgroup2 file system")
    };
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("any-bytes");
    let _ = fs::remove_dir_all(&root);
    let mut names = Names(1);
    let mut messages = Vec::new();
    let mut hosts = b"127.0.0.1 localhost\n".to_vec();
    let mut users = b"root:x:0:0::/:/bin/sh\n".to_vec();
    let mut cgroups = format!("1 {mount}\n").into_bytes();
    let field = |name, kind| Field { name, kind, rows: Vec::new() };
    let mut fields = [
        field("local.port", "text"),
        field("socket.processes.comm", "list"),
        field("socket.processes.pid", "list"),
        field("socket.processes.cmdline", "words"),
        field("socket.processes.user", "list"),
        field("socket.user", "text"),
        field("remote.host", "text"),
        field("cgroup.path", "text"),
    ];
    let mut held = Vec::new();
    let blank = |byte: u8| matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0);
    for row in 0..ROWS {
        let number = u32::try_from(row).expect("few");
        let (inode, uid) = (50_000 + number, 700_000 + number);
        let host = [b"h", &names.next(40, |byte| blank(byte) || byte == b'#')[..]].concat();
        let user = [b"u", &names.next(30, |byte| matches!(byte, b':' | b'\n'))[..]].concat();
        let cgroup = [b"/", &names.next(120, |byte| byte == b'\n')[..]].concat();
        hosts.extend([format!("10.9.{}.{} ", row / 200, row % 200 + 1).as_bytes(), &host, b"\n"].concat());
        users.extend([&user[..], format!(":x:{uid}:0::/:/bin/sh\n").as_bytes()].concat());
        cgroups.extend([format!("{} {mount}", 1000 + row).as_bytes(), &cgroup, b"\n"].concat());
        // Two processes hold each socket.
        let mut holders = Vec::new();
        for pid in [20_000 + 2 * row, 20_001 + 2 * row] {
            let comm = names.next(15, |_| false);
            let words: Vec<Vec<u8>> = (0..=names.number(3)).map(|_| names.next(40, |_| false)).collect();
            let process = root.join("proc").join(pid.to_string());
            put(&process.join("stat"), &[format!("{pid} (").as_bytes(), &comm, b") S 1 1 1"].concat());
            put(&process.join("comm"), &[&comm[..], b"\n"].concat());
            put(&process.join("status"), format!("Name:\tx\nUid:\t1\t{uid}\t3\t4\n").as_bytes());
            let nuls = vec![0; 1 + row % 5];
            put(&process.join("cmdline"), &[words.join(&0), nuls].concat());
            fs::create_dir_all(process.join("fd")).expect("the test's own directory");
            symlink(format!("socket:[{inode}]"), process.join("fd/3")).expect("the test's own link");
            holders.push((comm, pid, words));
        }
        let mut msg = Msg::v4().with(attr::CGROUP_ID, (1000 + row as u64).to_ne_bytes());
        (msg.sport, msg.inode, msg.uid) = (1000 + row as u16, inode, uid);
        msg.dst = std::net::IpAddr::from([10, 9, (row / 200) as u8, (row % 200 + 1) as u8]);
        messages.push(msg.to_bytes());
        held.push((holders, user, host, cgroup));
    }
    let mut record = messages.concat();
    recording::append_done(&mut record);
    for (name, bytes) in [
        ("hosts", &hosts[..]),
        ("passwd", &users),
        ("nsswitch.conf", b"passwd: files\nhosts: files\nservices: files\n"),
        ("cgroups", &cgroups),
        ("sockets", &record),
    ] {
        put(&root.join(name), bytes);
    }
    Talk::new().write(&root.join("talk")).unwrap_or_else(|why| panic!("{why}"));
    let script = "cd \"$1\" && shift && for file in hosts passwd nsswitch.conf; do mount --bind $file /etc/$file || exit 99; done; \
                  preload=$1; shift; exec env LD_PRELOAD=\"$preload\" \"$@\"";
    let list = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]);
        command.arg(&root).arg(&library).arg(OURS);
        let words = [&["-tanr", "--cgroup", "-p", "-e"][..], words].concat();
        let case = Case::new(&words)
            .env("TCPDIAG_FILE", root.join("sockets"))
            .env("NLPLAY_FILE", root.join("talk"))
            .env("NLPLAY_CGROUPS", root.join("cgroups"))
            .env("PROC_ROOT", root.join("proc"));
        run(command, &case).unwrap_or_else(|why| panic!("{case}: {why}"))
    };
    // Holders are listed in the order of the directory.
    let order = list(&["-H", "--tsv", "--columns", "pid"]).stdout;
    let order = String::from_utf8(order).expect("numbers");
    assert_eq!(order.lines().count(), ROWS);
    for (row, ((mut holders, user, host, cgroup), order)) in held.into_iter().zip(order.lines()).enumerate() {
        holders.sort_by_key(|(_, pid, _)| order.find(&pid.to_string()));
        let of_each =
            |say: &dyn Fn(&Process) -> String| holders.iter().map(say).collect::<Vec<_>>().join(",");
        let says = [
            hex((1000 + row).to_string().as_bytes()),
            of_each(&|(comm, ..)| hex(comm)),
            of_each(&|(_, pid, _)| hex(pid.to_string().as_bytes())),
            of_each(&|(.., words)| words.iter().map(|word| hex(word)).collect::<Vec<_>>().join(".")),
            of_each(&|_| hex(&user)),
            hex(&user),
            hex(&host),
            hex(&cgroup),
        ];
        for (field, say) in fields.iter_mut().zip(says) {
            field.rows.push(say);
        }
    }
    every_form_says(&fields, &list);
    fs::remove_dir_all(&root).expect("the test's own directory");
}

#[test]
fn names_of_interfaces_come_back() {
    const ROWS: u32 = 120;
    if !has_python() {
        skip!("no python3");
    }
    if let Err(why) = replies::library() {
        skip!("{why}");
    }
    let mut names = Names(2);
    let (mut rows, mut links) = (Vec::new(), Vec::new());
    let mut rows_of_names = Vec::new();
    let memory = replies::attr(6, &replies::words(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
    for index in 100..100 + ROWS {
        let name = names.next(15, |byte| matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0 | b'/' | b':'));
        rows_of_names.push(hex(&name));
        links.push((index, name));
        let info = replies::attr(0, &replies::words(&[index, 2, 0, 100, 0, 0]));
        rows.push(replies::netpkt::packet(3, 3, &[info, memory.clone()]));
    }
    let fields = [Field { name: "local.interface_name", kind: "text", rows: rows_of_names }];
    rows.push(replies::done(0));
    let talk = (0..4).fold(Talk::new(), |talk, _| talk.links(&links));
    let talk = talk.sockets(17, &rows);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("any-bytes-links");
    talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
    let list = |words: &[&str]| {
        let words = [&["-0an"][..], words].concat();
        let case = replies::with(Case::new(&words), &path).unwrap_or_else(|why| panic!("{why}"));
        run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{case}: {why}"))
    };
    every_form_says(&fields, &list);
    let _ = fs::remove_file(path);
}

/// Any user can bind such names.
#[test]
fn names_of_unix_sockets_come_back() {
    const EACH: usize = 100;
    if !has_python() {
        skip!("no python3");
    }
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let directory = std::env::temp_dir().join(format!("sd{}", std::process::id()));
    fs::create_dir_all(&directory).expect("the test's own directory");
    let mut names = Names(3);
    let mut bound = Vec::new();
    for _ in 0..EACH {
        let path = directory.join(OsString::from_vec(names.next(60, |byte| byte == b'/')));
        bound.push((SocketAddr::from_pathname(&path), path.as_os_str().as_bytes().to_vec()));
        // Abstract names may contain NULs; they are shown after an `@`.
        let mut name = names.next(100, |_| false);
        let at = names.number(name.len());
        name.insert(at, b"\0x"[names.number(2)]);
        bound.push((SocketAddr::from_abstract_name(&name), [b"@", &name[..]].concat()));
    }
    let sockets = namespace.with(|| {
        let bind = |(addr, name)| {
            let addr: Result<SocketAddr, _> = addr;
            Some((UnixListener::bind_addr(&addr.ok()?).ok()?, name))
        };
        bound.into_iter().filter_map(bind).collect::<Vec<(UnixListener, Vec<u8>)>>()
    });
    let sockets = sockets.unwrap_or_else(|why| panic!("{why}"));
    assert!(sockets.len() > EACH, "nearly all names are different and can be bound");
    let list = |words: &[&str]| {
        let words = [&["-xln"][..], words].concat();
        let case = Case::new(&words).inside(&namespace);
        run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{case}: {why}"))
    };
    // Rows come in the kernel's order; the inode identifies each.
    let order = String::from_utf8(list(&["-H", "--tsv", "--columns", "inode"]).stdout).expect("numbers");
    let known = sockets.iter().map(|(socket, name)| (inode_of(socket), name)).collect::<Vec<_>>();
    let mut fields = ["socket.inode", "unix.name"].map(|name| Field { name, kind: "text", rows: Vec::new() });
    for inode in order.lines() {
        let (_, name) = known.iter().find(|(of, _)| of == inode).expect("the namespace is ours alone");
        fields[0].rows.push(hex(inode.as_bytes()));
        fields[1].rows.push(hex(name));
    }
    assert_eq!(fields[0].rows.len(), sockets.len());
    every_form_says(&fields, &list);
    drop(sockets);
    fs::remove_dir_all(&directory).expect("the test's own directory");
}

fn inode_of(socket: &UnixListener) -> String {
    use std::os::fd::AsRawFd as _;
    let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).expect("it is open");
    let link = link.to_string_lossy().into_owned();
    link.trim_start_matches("socket:[").trim_end_matches(']').to_owned()
}

/// Whoever can make a namespace names it; here in a process and mount namespace of the test.
#[test]
fn names_of_namespaces_come_back() {
    const ROWS: usize = 30;
    // New mount, process and network namespaces; then one further network namespace per name.
    const SCRIPT: &str = "mount -t tmpfs none /run || exit 99; mkdir /run/netns || exit 99; ss=$1; shift; \
        while [ \"$1\" != -- ]; do : > \"/run/netns/$1\"; unshare \"--net=/run/netns/$1\" true || exit 98; shift; done; \
        shift; exec \"$ss\" \"$@\"";
    if !has_python() {
        skip!("no python3");
    }
    let isolated = |script: &str| {
        let mut command = Command::new("unshare");
        command.args([
            "-m",
            "-n",
            "-p",
            "-f",
            "--mount-proc",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
        ]);
        command
    };
    if !isolated("mount -t tmpfs none /run").status().is_ok_and(|status| status.success()) {
        skip!("no namespaces of processes and mounts can be made");
    }
    let mut names = Names(4);
    let mut all: Vec<Vec<u8>> = (0..ROWS).map(|_| names.next(60, |byte| byte == b'/')).collect();
    all.retain(|name| name != b"-" && name != b"--" && name != b".");
    all.sort();
    all.dedup();
    // One row per namespace: the kernel's own socket of one netlink protocol.
    let list = |words: &[&str]| {
        let mut command = isolated(SCRIPT);
        command.arg(OURS).args(all.iter().map(|name| OsString::from_vec(name.clone()))).arg("--");
        let words = [
            &["-A", "netlink", "-an", "--netns", "all", "--sort", "netns.name"][..],
            words,
            &["netlink.protocol = 0 and netlink.portid = 0 and netns.name = *"],
        ]
        .concat();
        let case = Case::new(&words);
        run(command, &case).unwrap_or_else(|why| panic!("{case}: {why}"))
    };
    let rows = all.iter().map(|name| hex(name)).collect();
    every_form_says(&[Field { name: "netns.name", kind: "text", rows }], &list);
}
