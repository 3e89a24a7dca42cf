//! What a listing could not see is reported if an option, format or condition of ours was
//! used, and with `--explain`: processes, namespaces, the kernel itself.  The reference's own
//! options print only what the reference prints.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;

use sockdiag_testkit::netns::refuse_netlink;
use sockdiag_testkit::owners::{Owners, PORT};

use super::*;

/// The user who runs ours, and the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    Root,
    Nobody,
    /// Nobody, with a /proc that hides other users' processes.
    Hidden,
    /// Root, without a mounted /proc.
    WithoutProc,
    /// Root, in a pid namespace of its own.
    Inner,
}

const NOBODY: &str = "setpriv --bounding-set=-all --inh-caps=-all --reuid=65534 --regid=65534 --clear-groups";

/// The output of ours, run in a namespace with sockets.
fn said(namespace: &Namespace, who: As, words: &[&str]) -> (String, String, Option<i32>) {
    // A copy at a place where user nobody can read it.
    static COPY: std::sync::LazyLock<std::path::PathBuf> = std::sync::LazyLock::new(|| {
        let path = std::env::temp_dir().join(format!("sockdiag-unseen-{}", std::process::id()));
        std::fs::copy(OURS, &path).expect("a copy of ours");
        path
    });
    let ours = format!("{} \"$@\"", COPY.display());
    let script = match who {
        As::Root => ours,
        As::Nobody => format!("{NOBODY} {ours}"),
        As::Hidden => format!("mount -t proc -o hidepid=2 proc /proc && {NOBODY} {ours}"),
        As::WithoutProc => format!("umount -l /proc && {ours}"),
        As::Inner => format!("unshare --pid --fork --mount-proc {ours}"),
    };
    let mut command = namespace.command("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]).args(words).env_remove("COLUMNS");
    let out = command.stdin(Stdio::null()).output().expect("unshare runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&out.stdout), text(&out.stderr), out.status.code())
}

/// Whether this user can switch to all of those.
fn can_be_others(namespace: &Namespace) -> bool {
    if !is_root() {
        sockdiag_testkit::skip::report("only root becomes another user");
        return false;
    }
    let (_, stderr, code) = said(namespace, As::Hidden, &["-tln"]);
    if code != Some(0) {
        sockdiag_testkit::skip::report(format_args!("no setpriv, or no /proc to mount: {stderr}"));
    }
    code == Some(0)
}

#[test]
fn what_was_decided_without_processes_is_said() {
    let Some(namespace) = Namespace::or_skip() else { return };
    if !can_be_others(&namespace) {
        return;
    }
    let _held = Holder::of(inside(&namespace, || TcpListener::bind("127.0.0.1:7401")));
    for (who, cause) in [
        (As::Nobody, " processes cannot be inspected (1, "),
        (As::Hidden, ": /proc hides the processes of other users (hidepid)"),
        (As::WithoutProc, ": no /proc is mounted"),
        (As::Inner, ": processes outside this pid namespace are not seen"),
    ] {
        let tested = "ss: no process found for 1 socket that the filter tested: ";
        let shown = "ss: no process found for 1 socket: ";
        for (words, start) in [
            (&["-tln", "comm = sleep"][..], tested),
            (&["-tln", "cmdline = *sleep*"], tested),
            (&["-tln", "pid > 1"], tested),
            (&["-tlnp", "comm = sleep", "--explain"], tested),
            (&["-tln", "--jsonl", "comm = sleep"], tested),
            (&["-tln", "--csv", "--columns", "local.port", "comm = sleep"], tested),
            (&["-tln", "--group-by", "comm"], shown),
            (&["-tln", "--sort", "comm"], shown),
            (&["-tln", "--columns", "local.port,pid"], shown),
            (&["-tln", "--containers"], shown),
            (&["-tlnp", "--explain"], shown),
        ] {
            let (stdout, stderr, code) = said(&namespace, who, words);
            let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with(start)).collect();
            let [line] = lines.as_slice() else { panic!("{who:?} {words:?}: {stderr}") };
            assert!(line.contains(cause), "{who:?} {words:?}: {line}");
            assert_eq!(code, Some(0), "{who:?} {words:?}");
            // In a JSON document it is a note, and stderr is the reference's.
            if words.len() == 2 && !words.contains(&"--explain") {
                let words = [words, &["-j"]].concat();
                let (document, stderr, _) = said(&namespace, who, &words);
                assert!(!stderr.contains("ss: "), "{who:?} {words:?}: {stderr}");
                let notes = document.split_once("\"notes\":[").map(|(_, notes)| notes).unwrap_or_default();
                assert!(notes.contains(start.trim_end()) && notes.contains(cause), "{document}{stdout}");
            }
        }
        // Scripts written for the reference see nothing new.
        for words in [&["-tln"][..], &["-tlnp"], &["-tlnpi"], &["-tlnT", "sport = :7401"]] {
            assert_eq!(said(&namespace, who, words).1, "", "{who:?} {words:?}");
        }
    }
    // Whoever sees everything gets no message.
    for words in [&["-tln", "comm = sleep"][..], &["-tln", "--group-by", "comm"], &["-tln", "comm = nope"]] {
        assert_eq!(said(&namespace, As::Root, words).1, "", "{words:?}");
    }
}

#[test]
fn our_own_namespace_is_listed_without_proc() {
    let Some(namespace) = Namespace::or_skip() else { return };
    if !can_be_others(&namespace) {
        return;
    }
    let _listener = inside(&namespace, || TcpListener::bind("127.0.0.1:7402"));
    let (stdout, stderr, _) = said(&namespace, As::WithoutProc, &["--netns", "all", "-tanH"]);
    assert_eq!(stderr, "ss: no /proc is mounted, so network namespaces may be missing\n");
    let inode = namespace.inode().expect("it has one");
    // Namespaces named by other programs are listed as well.
    let row = stdout.lines().find(|line| line.contains("127.0.0.1:7402")).unwrap_or_default();
    let row: Vec<&str> = row.split_whitespace().collect();
    let wanted = [&*inode.to_string(), "LISTEN", "0", "128", "127.0.0.1:7402", "0.0.0.0:*"];
    assert_eq!(row, wanted, "{stdout}");
    let (document, _, _) = said(&namespace, As::WithoutProc, &["--netns", "all", "-tan", "-j"]);
    assert!(document.contains(&format!("\"inode\":{inode}")), "{document}");
    assert!(document.contains("no /proc is mounted, so network namespaces may be missing"), "{document}");
}

#[test]
fn threads_that_alone_hold_a_socket_are_found_in_our_forms() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let owners = Owners::start(&namespace, &[] as &[&str]).unwrap_or_else(|why| panic!("{why}"));
    let run = |words: &str| {
        let mut command = namespace.command(OURS);
        let out = command.args(words.split(' ')).output().expect("ours runs");
        (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let port = format!("sport = :{PORT}");
    // The child whose first thread has ended still holds what it inherited.
    let (listed, _) = run(&format!("-tlnH --csv --columns pid,tid,comm {port}"));
    assert!(listed.contains("left-behind"), "{listed}");
    let (listed, _) = run("-tlnHp --jsonl");
    let json: serde_json::Value = serde_json::from_str(listed.lines().next().expect("a row")).expect("JSON");
    let holders = json["socket"]["processes"].as_array().expect("a list");
    let alone: Vec<_> = holders.iter().filter(|holder| holder["pid"] != holder["tid"]).collect();
    assert!(!alone.is_empty() && alone.iter().all(|holder| holder["comm"] == "left-behind"), "{listed}");
    // Descriptors of threads of a live process are listed under the process.
    assert!(holders.iter().any(|holder| holder["pid"] == owners.pid() && holder["tid"] == owners.pid()));
    let (found, said) = run("-tlnH comm = left-behind");
    assert_eq!((found.lines().count(), &*said), (1, ""), "{found}");
    for search in ["bpf", "proc"] {
        let mut command = namespace.command(OURS);
        let out = command.args(["-tlnH", "--jsonl", "-p"]).env("SOCKDIAG_PROCESSES", search).output();
        let out = out.expect("ours runs");
        if out.stderr.is_empty() {
            let again: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
            assert_eq!(again["socket"]["processes"], json["socket"]["processes"], "{search}");
        }
    }
    // The reference's text lists no such thread, and prints no message about it.
    let (text, said) = run("-tlnpH");
    assert!(!text.contains("left-behind") && said.is_empty(), "{text}{said}");
}

/// A process that runs a Python script inside the namespace, until it is dropped.
struct Script(Child);

impl Script {
    fn start(namespace: &Namespace, text: &str) -> Option<Self> {
        let mut command = namespace.command("python3");
        command.args(["-c", text]).stdin(Stdio::piped()).stdout(Stdio::piped()).arg0("script");
        let Ok(mut child) = command.spawn() else {
            sockdiag_testkit::skip::report("no python3");
            return None;
        };
        let mut ready = [0; 6];
        child.stdout.as_mut()?.read_exact(&mut ready).expect("it says that it is ready");
        Some(Self(child))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.0.stdin.as_mut().map(|stdin| stdin.write_all(b"\n"));
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_row_without_a_process_has_a_reason() {
    const BEGIN: &str = "import socket, sys, os, time, threading, ctypes\n\
        l = socket.socket(); l.bind(('127.0.0.1', 7403)); l.listen(5)\n";
    const END: &str = "print('ready', flush=True); sys.stdin.readline()\n";
    let cases = [
        ("c = socket.create_connection(('127.0.0.1', 7403))", "no process for 1 socket, not yet accepted"),
        (
            "a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [l.fileno()]); l.close()",
            "in flight between processes (SCM_RIGHTS), or held only by io_uring (TCP port 7403)",
        ),
        (
            "c = socket.create_connection(('127.0.0.1', 7403)); d, _ = l.accept(); c.close(); time.sleep(.1); d.close()",
            "no process for 1 socket, in TIME-WAIT: closed at both ends",
        ),
        (
            "c = socket.create_connection(('127.0.0.1', 7403)); d, _ = l.accept()\n\
             c.setblocking(False)\n\
             try:\n  while True: c.send(b'x' * 65536)\n\
             except BlockingIOError: c.close()",
            "no process for 1 socket, orphaned: closed by its process",
        ),
        (
            "r, w = os.pipe()\n\
             def alone(): ctypes.CDLL(None).unshare(0x400); os.write(w, b'x'); time.sleep(600)\n\
             threading.Thread(target=alone, daemon=True).start(); os.read(r, 1); l.close()",
            "1 socket held only by a thread other than the main one; -T lists threads (process ",
        ),
    ];
    for (text, reason) in cases {
        let Some((namespace, _)) = Namespace::to_look_into() else { return };
        let Some(_script) = Script::start(&namespace, &format!("{BEGIN}{text}\n{END}")) else { return };
        let run = |words: &[&str]| {
            let out = namespace.command(OURS).args(words).output().expect("ours runs");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(&out.stdout), text(&out.stderr))
        };
        let (_, said) = run(&["-tanp", "--explain"]);
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines.len() == 1 && said.contains(reason), "{text}: {said}");
        assert_eq!(run(&["-tanp"]).1, "", "{text}");
        let (document, _) = run(&["-tanp", "--explain", "-j"]);
        // JSON lists the thread itself instead.
        assert!(document.contains(reason) || reason.contains("thread"), "{text}: {document}");
    }
}

#[test]
fn text_of_proc_is_told_and_gives_no_facts_that_it_lacks() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _tcp = inside_any(
        &namespace,
        "import socket, sys\n\
        l = socket.socket(); l.bind(('127.0.0.1', 7404)); l.listen(3)\n\
        u = socket.socket(socket.AF_UNIX); u.bind('\\0two words'); u.listen(7)\n\
        print('ready', flush=True); sys.stdin.readline()\n",
    );
    let run = |words: &[&str], refused: bool| {
        let mut command = namespace.command(OURS);
        if refused {
            refuse_netlink(&mut command, &[4]);
        }
        let out = command.args(words).output().expect("ours runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&out.stdout), text(&out.stderr))
    };
    let json = |words: &[&str], refused| -> Vec<serde_json::Value> {
        let (stdout, _) = run(words, refused);
        stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let words: &[&str] = &["-tlnH", "--exposure", "--jsonl", "sport = :7404"];
    let (live, text) = (json(words, false), json(words, true));
    assert_eq!(
        (live[0]["listen"]["backlog_limit"].as_u64(), live[0]["socket"]["send_q"].as_u64()),
        (Some(3), Some(3))
    );
    assert!(live[0]["socket"]["cookie"].is_string(), "{live:?}");
    let absent =
        [("listen", "backlog_limit"), ("listen", "backlog_use"), ("socket", "send_q"), ("socket", "cookie")];
    for (group, key) in absent {
        assert!(text[0][group][key].is_null(), "{group}.{key}: {text:?}");
    }
    assert_eq!(text[0]["listen"]["backlog"].as_u64(), Some(0), "{text:?}");
    let words: &[&str] = &["-xlnH", "--exposure", "--jsonl"];
    for (rows, is_text) in [(json(words, false), false), (json(words, true), true)] {
        let named = |row: &&serde_json::Value| {
            row["unix"]["name"].as_str().is_some_and(|name| name.ends_with("two words"))
        };
        let row = rows.iter().find(named).unwrap_or_else(|| panic!("{rows:?}"));
        for (group, key) in
            [("listen", "backlog"), ("listen", "backlog_limit"), ("socket", "recv_q"), ("socket", "uid")]
        {
            assert_eq!(row[group][key].is_null(), is_text, "{group}.{key}: {row}");
        }
    }
    let note = "ss: TCP: read from /proc text, which lacks some values";
    let (stdout, stderr) = run(&["-tlnH", "--exposure", "sport = :7404"], true);
    assert!(stdout.contains(" scope:loopback") && !stdout.contains("backlog:"), "{stdout}");
    assert_eq!(stderr, format!("Cannot open netlink socket: Permission denied\n{note}\n"));
    let (document, _) = run(&["-tln", "-j"], true);
    assert!(document.contains(note), "{document}");
    assert!(!run(&["-tln", "-j"], false).0.contains("/proc text"));
}

/// Runs a script inside, if python3 is installed.
fn inside_any(namespace: &Namespace, text: &str) -> Option<Script> {
    Script::start(namespace, text)
}

#[test]
fn peers_outside_the_namespace_are_counted() {
    if !is_root() {
        skip!("only root connects namespaces");
    }
    let (Some(a), Some(b)) = (Namespace::or_skip(), Namespace::or_skip()) else { return };
    if let Err(why) = a.connect(&b, 300, "ab", ["198.51.100.1", "198.51.100.2"].map(ip)) {
        skip!("{why}");
    }
    let listener = inside(&a, || TcpListener::bind("198.51.100.1:7405"));
    let _pair = tcp_pair(&listener, || inside(&b, || TcpStream::connect("198.51.100.1:7405")));
    let run = |words: &[&str]| {
        let out = a.command(OURS).args(words).output().expect("ours runs");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let note = "ss: the other ends of 1 connection are not in this network namespace (--netns all searches \
        all of them)\n";
    assert_eq!(run(&["-tnp", "--peers"]), note);
    assert_eq!(run(&["-tn", "--columns", "local.port,peer.pid"]), note);
    assert_eq!(run(&["-tnp"]), "");
    assert!(!run(&["-tnp", "--peers", "--netns", "all"]).contains("the other ends"));
}

#[test]
fn what_several_namespaces_lack_is_said_once() {
    let (Some(a), Some(b)) = (Namespace::or_skip(), Namespace::or_skip()) else { return };
    if !is_root() {
        skip!("only root enters a namespace as it is");
    }
    let list = format!("pid:{},pid:{}", a.pid(), b.pid());
    let inodes = [&a, &b].map(|namespace| namespace.inode().expect("it has one"));
    let run = |words: &[&str]| {
        let mut command = Command::new(OURS);
        refuse_netlink(&mut command, &[4]);
        let out = command.args(["--netns", &list]).args(words).output().expect("ours runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&out.stdout), text(&out.stderr))
    };
    let where_ = format!(" (in network namespaces {}, {})", inodes[0], inodes[1]);
    let (_, stderr) = run(&["-Sn"]);
    let refused = format!("Cannot open netlink socket: Permission denied{where_}");
    assert_eq!(stderr.lines().filter(|line| **line == refused).count(), 1, "{stderr}");
    let (document, _) = run(&["-Sn", "-j"]);
    let json: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    let failures = json["failures"].as_array().expect("a list");
    let [failure] = failures.as_slice() else { panic!("{document}") };
    assert!(failure.as_str().is_some_and(|text| text.ends_with(&where_)), "{document}");
}

#[test]
fn an_end_that_no_process_holds_is_told() {
    let Some(namespace) = Namespace::or_skip() else { return };
    if !can_be_others(&namespace) {
        return;
    }
    let listener = inside(&namespace, || TcpListener::bind("127.0.0.1:7406"));
    let _client = inside(&namespace, || TcpStream::connect("127.0.0.1:7406"));
    let run = |words: &[&str]| {
        let out = namespace.command(OURS).args(words).output().expect("ours runs");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let note = "ss: no process holds the other end of 1 connection: it is not accepted yet, or closed\n";
    assert!(run(&["-tn", "--peers"]).contains(note));
    assert!(run(&["-tn", "--columns", "local.port,peer.pid"]).contains(note));
    let _accepted = listener.accept().expect("the connection");
    assert!(!run(&["-tn", "--peers"]).contains("no process holds"));
}

/// A requested field that the kernel or a missing option withholds is named.
#[test]
fn what_is_withheld_is_named() {
    let run = |words: &str, as_nobody: bool| {
        let mut command = Command::new(OURS);
        if as_nobody && is_root() {
            command.uid(65534).gid(65534);
        }
        let out = command.args(words.split('~')).output().expect("ours runs");
        (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let withheld = |field: &str, without: &str| format!("ss: {field} is not reported without {without}\n");
    for (words, field, without) in [
        ("-tan~mark = 5", "socket.mark", "CAP_NET_ADMIN"),
        ("-tan~--columns~mark,local.port", "mark", "CAP_NET_ADMIN"),
        ("-tan~--sort~mark", "mark", "CAP_NET_ADMIN"),
        ("-tan~--group-by~mark", "mark", "CAP_NET_ADMIN"),
        ("-tan~md5_keys > 0", "tcp.md5_keys", "CAP_NET_ADMIN"),
        ("-tan~bpf.storages >= 1", "bpf.storages", "CAP_BPF"),
        ("-tan~--columns~bpf.storages", "bpf.storages", "CAP_BPF"),
        ("-tan~--columns~netns", "netns", "--netns"),
        ("-tan~--group-by~netns.inode", "netns.inode", "--netns"),
    ] {
        let (_, stderr) = run(words, true);
        assert!(stderr.contains(&withheld(field, without)), "{words}: {stderr}");
        if is_root() {
            let stderr = run(words, false).1;
            assert_eq!(
                stderr.contains(" is not reported without "),
                without == "--netns",
                "{words}: {stderr}"
            );
        }
    }
    let (document, _) = run("-tan~-j~--columns~mark", true);
    assert!(document.contains("mark is not reported without CAP_NET_ADMIN"), "{document}");
    // For the reference's own condition, ours prints nothing either.
    assert_eq!(run("-tane~fwmark = 5", true).1, "");
}
