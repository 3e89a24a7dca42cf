//! Files chosen by others: whatever they are, ours never waits, opens only regular files, and
//! keeps little in memory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use sockdiag_testkit::skip;

use super::tree::{OURS, Tree};

/// Ids of containers: in root's store, in a user's store, in a bundle.
const ROOT_S: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
const HIS: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
const BUNDLED: &str = "1733e7a76be7ee5c026275bb563de617e1e5723164a1f07903469a320d5a67a4";
const MANAGER: &str = "/user.slice/user-1000.slice/user@1000.service";

/// A run may take this long on a busy machine; one that blocks takes longer.
const LONGEST: Duration = Duration::from_secs(20);

/// What may take the place of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Fifo,
    Device,
    Socket,
    Directory,
    LinkToFile,
    LinkToFifo,
    LinkToDevice,
    Dangling,
    Long,
    Deep,
    Binary,
    Empty,
}

const KINDS: [Kind; 12] = [
    Kind::Fifo,
    Kind::Device,
    Kind::Socket,
    Kind::Directory,
    Kind::LinkToFile,
    Kind::LinkToFifo,
    Kind::LinkToDevice,
    Kind::Dangling,
    Kind::Long,
    Kind::Deep,
    Kind::Binary,
    Kind::Empty,
];

impl Kind {
    /// Puts this in the place of a file; returns whether it could be made.
    fn put(self, path: &Path) -> bool {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir_all(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory of the test");
        let beside = |end: &str| path.with_file_name(format!("beside-{end}"));
        let node = |kind, path: &Path, device| {
            let _ = fs::remove_file(path);
            mknodat(CWD, path, kind, Mode::from_raw_mode(0o666), device).is_ok()
        };
        // The device number of /dev/null, so that opening it would be harmless.
        let null = makedev(1, 3);
        let link = |to: &Path| symlink(to, path).is_ok();
        match self {
            Self::Fifo => node(FileType::Fifo, path, 0),
            Self::Device => node(FileType::CharacterDevice, path, null),
            Self::Socket => {
                // Bind at a short path first: the length of a socket path is limited.
                let short = std::env::temp_dir().join(format!("hostile-{}", std::process::id()));
                let _ = fs::remove_file(&short);
                let made = UnixListener::bind(&short).is_ok();
                made && (fs::rename(&short, path).is_ok() || fs::remove_file(&short).is_err())
            }
            Self::Directory => fs::create_dir(path).is_ok(),
            Self::LinkToFile => {
                fs::write(beside("file"), "{\"Name\":\"/linked\"}").is_ok() && link(&beside("file"))
            }
            Self::LinkToFifo => node(FileType::Fifo, &beside("fifo"), 0) && link(&beside("fifo")),
            Self::LinkToDevice => {
                node(FileType::CharacterDevice, &beside("device"), null) && link(&beside("device"))
            }
            Self::Dangling => link(&beside("nothing")),
            Self::Long => long(path).is_ok(),
            Self::Deep => fs::write(path, "[".repeat(60_000) + &"]".repeat(4_000)).is_ok(),
            Self::Binary => fs::write(path, [b"\x00\xff{\x1b]", &[0xfe; 5_000][..]].concat()).is_ok(),
            Self::Empty => fs::write(path, "").is_ok(),
        }
    }
}

/// Writes 16 MiB of JSON piece by piece, because the memory of this process counts for its
/// children.
fn long(path: &Path) -> std::io::Result<()> {
    let piece = "[],".repeat(4 << 10);
    let mut file = fs::File::create(path)?;
    file.write_all(b"[")?;
    for _ in 0..=(16 << 20) / piece.len() {
        file.write_all(piece.as_bytes())?;
    }
    file.write_all(b"[]]")
}

/// Files about containers, relative to a host's root.
const STATE: [&str; 7] = [
    "etc/passwd",
    "var/lib/docker/containers/$ROOT/config.v2.json",
    "var/lib/containers/storage/overlay-containers/containers.json",
    "run/containerd/io.containerd.runtime.v2.task/default/$BUNDLED/config.json",
    "run/containers/storage/overlay-containers/$BUNDLED/userdata/config.json",
    "home/ann/.local/share/docker/containers/$HIS/config.v2.json",
    "home/ann/.local/share/containers/storage/overlay-containers/containers.json",
];

/// Files about processes.
const PROCESS: [&str; 4] = ["proc/2/cgroup", "proc/3/stat", "proc/4/cmdline", "proc/4/status"];

/// A host with a container of each kind.
fn host() -> Tree {
    let listeners = [
        (1, format!("/docker/{ROOT_S}")),
        (2, "/system.slice/x.service".to_owned()),
        (3, format!("/machine.slice/libpod-{ROOT_S}.scope")),
        (4, format!("/default/{BUNDLED}")),
        (5, format!("{MANAGER}/docker-{HIS}.scope")),
        (6, format!("{MANAGER}/libpod-{HIS}.scope")),
    ];
    let of: Vec<(u16, &str)> = listeners.iter().map(|(port, cgroup)| (*port, cgroup.as_str())).collect();
    let mut more =
        String::from("\n@file etc/passwd\nroot:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh");
    for path in STATE.iter().skip(1) {
        let path = of_host(path);
        let text = if path.ends_with("containers.json") { "[]" } else { "{}" };
        more.extend([format!("\n@file {path}\n{text}")]);
    }
    more.push_str("\n@file proc/4/cmdline\nx\n@file proc/4/status\nName:\tx\n@owner 1000 home/ann");
    Tree::with("hostile", &of, &more)
}

fn of_host(path: &str) -> String {
    path.replace("$ROOT", ROOT_S).replace("$HIS", HIS).replace("$BUNDLED", BUNDLED)
}

/// Runs a command that must not block.
pub(super) fn bounded(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it starts");
    let (mut out, mut err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).map(|_| text)
    });
    let errors = thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).map(|_| text)
    });
    let end = Instant::now() + LONGEST;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of the test") {
            break status;
        }
        if Instant::now() > end {
            child.kill().expect("a child of the test");
            let _ = child.wait();
            panic!("{command:?} waits");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let read =
        |text: thread::JoinHandle<std::io::Result<Vec<u8>>>| text.join().expect("no panic").expect("a pipe");
    Output { status, stdout: read(reader), stderr: read(errors) }
}

/// Limits the memory of a command.
fn within_memory(command: &Command) -> Command {
    const MOST: u32 = 24 << 10;
    let mut small = Command::new("sh");
    small.args(["-c", &format!("ulimit -d {MOST} && exec \"$0\" \"$@\"")]);
    small.arg(command.get_program()).args(command.get_args());
    small.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    small
}

/// Whether strace is installed.
fn strace() -> bool {
    Command::new("strace").arg("-V").stdin(Stdio::null()).output().is_ok()
}

/// Runs a command, and returns the paths below a directory that were opened without `O_PATH`.
fn opened(command: &Command, below: &Path) -> Vec<String> {
    static RUNS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = RUNS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("strace-{}-{number}", std::process::id()));
    fs::create_dir_all(&logs).expect("a directory of the test's");
    let mut traced = Command::new("strace");
    // -y shows the paths of descriptors, including those from /proc/self/fd.  -ff writes one
    // file per thread: in a single file, a call interrupted by another thread's takes two
    // lines, and the second has the result without the flags.
    traced.args(["-ff", "-y", "-e", "trace=open,openat,openat2,creat", "-o"]).arg(logs.join("thread"));
    traced.arg(command.get_program()).args(command.get_args());
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bounded(&mut traced);
    let written = fs::read_dir(&logs).expect("strace writes");
    let text: String = written
        .map(|log| fs::read_to_string(log.expect("a file of strace").path()).expect("strace writes"))
        .collect();
    let _ = fs::remove_dir_all(&logs);
    let below = below.to_str().expect("UTF-8");
    let is_act = |line: &&str| !line.contains("O_PATH") && !line.contains(" = -1 ") && line.contains(" = ");
    // The path follows the result: `= 5</the/path>`.
    let path = |line: &str| {
        let path = line.rsplit_once(" = ")?.1.split_once('<')?.1.trim_end_matches('>').to_owned();
        path.starts_with(below).then_some(path)
    };
    text.lines().filter(is_act).filter_map(path).collect()
}

/// All options of ours that read such files.
const WORDS: [&str; 4] = [
    "-tlnHp --containers --explain",
    "-tlnH --columns local.port,container,pod,unit,cmdline,socket.user --explain",
    "-tlnH -j --containers -p",
    "-tlnH --explain container = web* or unit = x*",
];

#[test]
fn whatever_is_in_the_place_of_a_file_is_no_harm() {
    let has_strace = strace();
    if !has_strace {
        skip::report("there is no strace");
    }
    for kind in KINDS {
        let tree = host();
        let mut made = Vec::new();
        for path in STATE.iter().skip(1).chain(&PROCESS).map(|path| of_host(path)) {
            if kind.put(&tree.path(&path)) {
                made.push(path);
            }
        }
        if made.is_empty() {
            skip::report(format_args!("no {kind:?} can be made here"));
            continue;
        }
        tree.give("home/ann", 1000);
        for words in WORDS {
            let mut command = tree.command(words);
            let out = bounded(&mut command);
            assert!(out.status.success(), "{kind:?} {words}: {out:?}");
            let text = String::from_utf8_lossy(&out.stdout);
            assert!(!text.contains("linked"), "{kind:?} {words}: {text}");
            let notes = [String::from_utf8_lossy(&out.stderr), text.clone()].concat();
            assert!(notes.contains("is not read: "), "{kind:?} {words}: {notes}");
        }
        let out = bounded(&mut within_memory(&tree.command(WORDS[0])));
        assert!(out.status.success(), "{kind:?}: {out:?}");
        if has_strace {
            let all = opened(&tree.command(WORDS[0]), &tree.path(""));
            assert!(!all.is_empty(), "{kind:?}: strace tells of nothing");
            // Only regular files may be opened; nothing else here is a file.
            for path in all {
                let meta = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
                let is_fit =
                    meta.is_file() || (meta.is_dir() && !made.iter().any(|made| path.ends_with(made)));
                assert!(is_fit && !path.contains("/beside-"), "{kind:?}: {path} was opened");
            }
        }
    }
}

/// One note per kind of file, with the first path and the reason.
#[test]
fn what_was_refused_is_told_in_a_line_a_kind() {
    let tree = host();
    let his = tree.path(&of_host(STATE[5]));
    assert!(Kind::Fifo.put(&his));
    assert!(Kind::Fifo.put(&tree.path(&of_host(STATE[6]))));
    assert!(Kind::Long.put(&tree.path(&of_host(STATE[1]))));
    assert!(Kind::Deep.put(&tree.path(&of_host(STATE[2]))));
    tree.give("home/ann", 1000);
    let out = bounded(&mut tree.command("-tlnHp --containers --explain"));
    let root = tree.path("").to_str().expect("UTF-8").trim_end_matches('/').to_owned();
    let text = String::from_utf8(out.stderr).expect("UTF-8").replace(&root, "");
    let mut lines: Vec<&str> = text.lines().filter(|line| line.contains(" is not read: ")).collect();
    lines.sort_unstable();
    let [docker, podman, fifos] = [STATE[1], STATE[2], STATE[5]].map(of_host);
    let want = [
        format!("ss: /{docker} is not read: it is longer than 1048576 bytes"),
        format!("ss: /{fifos} is not read: it is a FIFO (1 more file likewise)"),
        format!("ss: /{podman} is not read: it is not JSON of the expected form"),
    ];
    let mut want: Vec<&str> = want.iter().map(String::as_str).collect();
    want.sort_unstable();
    assert_eq!(lines, want);
    // Without the option, a script sees the same stderr as with the reference.
    let quiet = bounded(&mut tree.command("-tlnHp"));
    assert!(quiet.stderr.is_empty(), "{quiet:?}");
}

#[test]
fn what_is_not_its_owner_s_is_not_read() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can give a file away");
    }
    let tree = host();
    let (root_s, his) = (of_host(STATE[1]), of_host(STATE[5]));
    for path in [&root_s, &his] {
        fs::write(tree.path(path), "{\"Name\":\"/forged\"}").expect("the test's own file");
    }
    for (path, uid, shown) in
        [(&root_s, 1000, false), (&his, 1001, false), (&root_s, 0, true), (&his, 1000, true)]
    {
        tree.give(path, uid);
        let port = if path == &root_s { 1 } else { 5 };
        let out = bounded(&mut tree.command(&format!("-tlnHp --containers --explain sport = :{port}")));
        let (text, notes) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert_eq!(text.contains("container:forged"), shown, "{path} {uid}: {text}");
        assert_eq!(notes.contains(&format!("it belongs to uid {uid}")), !shown, "{path} {uid}: {notes}");
    }
}

/// Many containers of one user, with files of the greatest allowed length.
#[test]
fn all_files_of_a_user_together_cost_little() {
    let listeners: Vec<(u16, String)> =
        (1..=200_u16).map(|port| (port, format!("{MANAGER}/docker-{port:064x}.scope"))).collect();
    let of: Vec<(u16, &str)> = listeners.iter().map(|(port, cgroup)| (*port, cgroup.as_str())).collect();
    let mut more = String::from("\n@file etc/passwd\nann:x:1000:1000::/home/ann:/bin/sh");
    for (port, _) in &listeners {
        let store = "home/ann/.local/share/docker/containers";
        more.extend([format!("\n@file {store}/{port:064x}/config.v2.json\n")]);
    }
    let tree = Tree::with("budget", &of, &more);
    for (port, _) in &listeners {
        let path = tree.path(&format!("home/ann/.local/share/docker/containers/{port:064x}/config.v2.json"));
        let text = format!("{{\"Name\":\"/c{port}\",\"x\":[{}[]]}}", "[],".repeat(20_000));
        fs::write(path, text).expect("the test's own file");
    }
    tree.give("home/ann", 1000);
    let out = bounded(&mut tree.command("-tlnHp --containers --explain"));
    let (text, notes) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let named = text.lines().filter(|line| line.contains(" container:c")).count();
    assert!((60..=75).contains(&named), "{named} of 4 MiB");
    assert_eq!(text.lines().filter(|line| line.contains("(uid 1000)")).count(), 200);
    assert!(notes.contains("the files of its owner exceed 4194304 bytes in total"), "{notes}");
    let small = bounded(&mut within_memory(&tree.command("-tlnHp --containers --explain")));
    assert_eq!((small.status.code(), small.stdout), (Some(0), out.stdout));
}

/// Files that stand in for the kernel's own, below `PROC_ROOT`.
#[test]
fn a_tree_s_tables_are_read_without_waiting() {
    let files = [
        "proc/net/tcp",
        "proc/net/tcp6",
        "proc/net/udp",
        "proc/net/unix",
        "proc/net/packet",
        "proc/net/netlink",
        "proc/net/sockstat",
        "proc/net/snmp",
        "proc/sys/net/ipv4/ip_local_port_range",
    ];
    for kind in
        [Kind::Fifo, Kind::Device, Kind::Directory, Kind::LinkToFifo, Kind::LinkToDevice, Kind::Dangling]
    {
        let tree = host();
        let made: Vec<_> = files.iter().filter(|path| kind.put(&tree.path(path))).collect();
        if made.is_empty() {
            skip::report(format_args!("no {kind:?} can be made here"));
        }
        for words in ["-a", "-tuxa", "-s", "-0", "-f netlink", "-tn autobound"] {
            bounded(&mut tree.command(words));
        }
        if strace() {
            let devices = opened(&tree.command("-a"), &tree.path(""));
            let is_device = |path: &&String| {
                use std::os::unix::fs::FileTypeExt as _;
                fs::metadata(path).is_ok_and(|meta| meta.file_type().is_char_device())
            };
            assert_eq!(devices.iter().find(is_device), None, "{kind:?}");
        }
    }
    // A FIFO with a writer is read to its end.
    let tree = host();
    let table = fs::read(tree.path("proc/net/tcp")).expect("the test's own");
    let want = tree.ss("-tlnH");
    assert!(Kind::Fifo.put(&tree.path("proc/net/tcp")));
    let pipe = tree.path("proc/net/tcp");
    let writer = thread::spawn(move || fs::write(pipe, table));
    // Let the writer block in open(2) first.
    thread::sleep(Duration::from_millis(300));
    let out = bounded(&mut tree.command("-tlnH"));
    assert_eq!(String::from_utf8_lossy(&out.stdout), want);
    writer.join().expect("no panic").expect("it was read");
}

#[test]
fn a_namespace_is_no_pipe_and_no_device() {
    let tree = host();
    for kind in KINDS {
        let path = tree.path("netns");
        if !kind.put(&path) {
            continue;
        }
        let shown = path.to_str().expect("UTF-8");
        for (words, way) in [(["-N", shown], "enter"), (["--netns", shown], "look into")] {
            let mut command = Command::new(OURS);
            command.args(words).arg("-tln");
            let out = bounded(&mut command);
            assert_eq!(out.status.code(), Some(1), "{kind:?} {way}: {out:?}");
            let text = String::from_utf8(out.stderr).expect("UTF-8");
            let error = match kind {
                Kind::Dangling => "No such file or directory",
                Kind::Socket if way == "enter" => "No such device or address",
                _ => "Invalid argument",
            };
            assert!(out.stdout.is_empty() && text.trim_end().ends_with(error), "{kind:?} {way}: {text}");
            if strace() {
                let opened = opened(&command, &tree.path(""));
                let is_act =
                    |path: &String| !fs::metadata(path).is_ok_and(|meta| meta.is_file() || meta.is_dir());
                assert!(!opened.iter().any(is_act), "{kind:?} {way}: {opened:?}");
            }
        }
    }
    // A path as the reference would resolve it: from /run/netns, which not every machine has.
    let path = tree.path("netns");
    assert!(Kind::Fifo.put(&path));
    let up = format!("../..{}", path.to_str().expect("UTF-8"));
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs none /run && mkdir /run/netns && exec \"$@\"";
        command.args(["--mount", "sh", "-c", script, "sh", OURS]);
        command
    } else if Path::new("/run/netns").is_dir() {
        Command::new(OURS)
    } else {
        skip!("there is no /run/netns, and only root can make one");
    };
    let out = bounded(command.args(["-N", &up, "-tln"]));
    let want = format!("setting the network namespace \"{up}\" failed: Invalid argument\n");
    assert_eq!((String::from_utf8_lossy(&out.stderr).into_owned(), out.status.code()), (want, Some(1)));
}

/// Whoever gains privileges by running ss must not choose the files that it reads.
#[test]
fn the_environment_chooses_nothing_where_the_caller_has_less_privilege() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() {
        skip!("only root can make a program that gives privileges");
    }
    let tree = host();
    let program = std::env::temp_dir().join(format!("sockdiag-ss-elevated-{}", std::process::id()));
    fs::copy(OURS, &program).expect("a copy of ours");
    let secret = std::env::temp_dir().join(format!("sockdiag-ss-secret-{}", std::process::id()));
    fs::write(&secret, "Num\n0000000000000000: 00000002 00000000 00010000 0001 01 77777 /the-secret\n")
        .expect("a file");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("the test's own");
    let run = |mode: u32, words: &str| {
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("the test's own");
        let mut command = Command::new(&program);
        command.uid(5555).gid(5555).args(words.split(' '));
        command
            .env("PROC_NET_UNIX", &secret)
            .env("PROC_ROOT", tree.path("proc"))
            .env("TCPDIAG_FILE", &secret);
        let out = bounded(&mut command);
        [out.stdout, out.stderr].concat()
    };
    let holds = |bytes: &[u8], part: &str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
    let elevated = [run(0o4755, "-xa"), run(0o4755, "-tlnp"), run(0o4755, "-ta")];
    let usual = run(0o755, "-tlnH");
    let _ = (fs::remove_file(&program), fs::remove_file(&secret));
    for text in &elevated {
        assert!(
            !holds(text, "the-secret") && !holds(text, "claims a length"),
            "{}",
            String::from_utf8_lossy(text)
        );
    }
    assert!(!holds(&elevated[1], "(\"p5\","), "{}", String::from_utf8_lossy(&elevated[1]));
    // The error about an unreadable recording shows that the variable was used.
    assert!(holds(&usual, "ermission denied") || !usual.is_empty(), "the variables count as usual");
}
