//! Walks of the kernel's tables on a kernel that refuses them, at every step: before the first
//! row a dump replaces the walk, with the same rows and exit status.  A walk that fails later
//! reports it.
//!
//! Refusals are simulated: capabilities are dropped, the kernel's BTF is hidden or edited, and
//! system calls fail.

#![allow(clippy::cast_precision_loss, reason = "small numbers; the cast is meant")]

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Instant;

use sockdiag_testkit::btf::Edited;
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::leaks::Objects;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::refuse::{Call, Refusal};
use sockdiag_testkit::{skip, until};

use super::OURS;

/// Slightly more than the number for which ours chooses a walk.
const CONNECTIONS: u32 = 13_000;
const MAP_CREATE: Call = Call::Bpf(0);
const PROG_LOAD: Call = Call::Bpf(5);
const TEST_RUN: Call = Call::Bpf(10);
const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const ERRNOS: [(i32, &str); 3] =
    [(EPERM, "Operation not permitted"), (ENOMEM, "Cannot allocate memory"), (EINVAL, "Invalid argument")];
const UNPRIVILEGED: &str = "needs CAP_BPF and CAP_PERFMON";

/// How the kernel refuses.
enum How {
    /// The process lacks these capabilities.
    Without(&'static str),
    /// The kernel's BTF is hidden.
    Hidden,
    /// The kernel shows this BTF.
    Types(Edited),
    /// System calls fail.
    Calls(Refusal),
}

/// A refusal, and the message of `--explain` about it.
struct Case {
    name: String,
    how: How,
    says: String,
}

fn case(name: impl Into<String>, how: How, says: impl Into<String>) -> Case {
    Case { name: name.into(), how, says: says.into() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs ours inside a namespace with this refusal.
fn run(namespace: &Namespace, how: &How, words: &[&str]) -> Output {
    let shell = |script: &str, file: &str| {
        let mut command = namespace.command("unshare");
        command.args(["-m", "sh", "-c", script, file, OURS]).args(words);
        command
    };
    let mut command = match how {
        How::Without(capabilities) => {
            let mut command = namespace.command("setpriv");
            command.arg(format!("--bounding-set={capabilities}")).arg(OURS).args(words);
            command
        }
        How::Hidden => shell("mount -t tmpfs none /sys/kernel/btf && exec \"$@\"", "sh"),
        How::Types(types) => {
            let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("interrupted-types");
            fs::write(&path, types.bytes()).expect("the test's own file");
            let script = "mount --bind \"$0\" /sys/kernel/btf/vmlinux && exec \"$@\"";
            shell(script, path.to_str().expect("a path of ours"))
        }
        How::Calls(refusal) => {
            let mut command = namespace.command(OURS);
            command.args(words);
            let (output, calls) = refusal.run(command).unwrap_or_else(|why| panic!("{why}"));
            assert!(calls > refusal.after, "{words:?}: {refusal:?} was never met, of {calls}");
            return output;
        }
    };
    command.output().expect("it runs")
}

/// Every refusal that comes before any socket is read.
fn refusals(kernel: &Edited) -> Vec<Case> {
    let edited = |edit: &dyn Fn(&mut Edited)| {
        let mut types = kernel.clone();
        edit(&mut types);
        How::Types(types)
    };
    let mut cases = vec![
        case("no capability", How::Without("-bpf,-perfmon,-sys_admin"), UNPRIVILEGED),
        case("none to write", How::Without("-bpf,-perfmon,-sys_admin,-net_admin"), UNPRIVILEGED),
        case("no CAP_BPF", How::Without("-bpf,-sys_admin"), UNPRIVILEGED),
        case("hidden types", How::Hidden, "the kernel provides no type information (BTF)"),
        case("no types", edited(&|types| types.cut(0)), "the kernel provides no type information (BTF)"),
        case(
            "half of the types",
            edited(&|types| types.cut(50)),
            "the kernel provides no type information (BTF)",
        ),
        case(
            "a larger tcp_info",
            edited(&|types| types.grow("tcp_info", 8)),
            "the kernel's tcp_info has unknown members",
        ),
        // The verifier's message about a function that a program must not call.
        case(
            "another function",
            edited(&|types| types.swap_functions("bpf_rdonly_cast", "schedule")),
            "the kernel refused to load the BPF program: ",
        ),
    ];
    for function in [
        "bpf_rdonly_cast",
        "bpf_rcu_read_lock",
        "bpf_rcu_read_unlock",
        "bpf_iter_num_new",
        "bpf_iter_num_next",
        "bpf_iter_num_destroy",
    ] {
        let how = edited(&|types| types.lose_function(function));
        cases.push(case(format!("no {function}"), how, function));
    }
    for (structure, member) in [
        ("nsproxy", "net_ns"),
        ("inet_hashinfo", "ehash"),
        ("inet_hashinfo", "lhash2_mask"),
        ("inet_hashinfo", "bhash2"),
        ("inet_bind2_bucket", "owners"),
        ("sock_common", "skc_cookie"),
        ("sock_common", "skc_state"),
        ("inet_timewait_sock", "tw_substate"),
        ("tcp_sock", "snd_una"),
    ] {
        let how = edited(&|types| types.lose_member(structure, member));
        cases.push(case(format!("no {structure}.{member}"), how, member));
    }
    for (errno, words) in ERRNOS {
        let privilege = |what: &str| match errno {
            EPERM => UNPRIVILEGED.to_owned(),
            _ => format!("{what}: {words}"),
        };
        let sharing = || privilege("sharing memory with the kernel");
        for (what, says) in [
            (Refusal::of(MAP_CREATE, errno), sharing()),
            (Refusal::of(Call::SharedMemory, errno), sharing()),
            (Refusal::of(PROG_LOAD, errno), privilege("the kernel refused to load the BPF program")),
            // The second program loaded is the one that walks bound sockets.
            (
                Refusal { after: 1, ..Refusal::of(PROG_LOAD, errno) },
                privilege("the kernel refused to load the BPF program"),
            ),
            (Refusal::of(TEST_RUN, errno), format!("running the program: {words}")),
        ] {
            cases.push(case(format!("{what:?}"), How::Calls(what), says));
        }
    }
    cases
}

/// A namespace with enough sockets for a walk, and the output of a dump of them.
fn many() -> Option<(Namespace, Holder, Output)> {
    let (namespace, _) = Namespace::to_look_into()?;
    let holder = Holder::start(&namespace, CONNECTIONS, 20).unwrap_or_else(|why| panic!("{why}"));
    let dumped = namespace.command(OURS).args(["-tan", "--source", "netlink"]).output().expect("it runs");
    assert!(dumped.status.success() && dumped.stderr.is_empty(), "{}", text(&dumped.stderr));
    assert!(text(&dumped.stdout).lines().count() > 26_000);
    let walked = namespace.command(OURS).args(["-tan", "--explain"]).output().expect("it runs");
    let said = text(&walked.stderr);
    if !said.contains("read by walking") {
        skip::report(format_args!("no walk here: {said}"));
        return None;
    }
    assert!(walked.stdout == dumped.stdout, "a walk tells something else");
    Some((namespace, holder, dumped))
}

#[test]
fn a_kernel_that_refuses_any_step_of_a_walk_is_asked_for_a_dump() {
    let Some((namespace, _holder, dumped)) = many() else { return };
    let kernel = Edited::of_kernel().expect("there is a walk");
    for Case { name, how, says } in refusals(&kernel) {
        for words in [&["-tan"][..], &["-tan", "--explain"], &["-tan", "--source", "walk"]] {
            let ran = run(&namespace, &how, words);
            let said = text(&ran.stderr);
            assert!(ran.status == dumped.status, "{name}, {words:?}: {:?} {said}", ran.status);
            assert!(ran.stdout == dumped.stdout, "{name}, {words:?}: other rows; {said}");
            if words.len() == 1 {
                assert_eq!(said, "", "{name}, {words:?}");
                continue;
            }
            let why = said.strip_prefix("ss: TCP sockets are read by dumps, not by a walk: ");
            assert!(why.is_some_and(|why| why.contains(&says)), "{name}, {words:?}: {said}, not {says}");
            // The first line is the message, and the verifier's log follows it.
            let more = said.lines().skip(1);
            assert!(more.clone().all(|line| line.starts_with("  ")), "{name}, {words:?}: {said}");
            assert_eq!(more.count() > 0, name == "another function", "{name}, {words:?}: {said}");
        }
    }
}

/// A walk that is not refused at once either completes or reports its failure.
#[test]
fn a_walk_that_fails_later_says_so_and_tells_no_socket_twice() {
    let Some((namespace, _holder, dumped)) = many() else { return };
    let rows = |bytes: &[u8]| -> Vec<String> {
        text(bytes).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let all = rows(&dumped.stdout);
    let (mut partial, mut documents) = (0, 0);
    let ran = |refusal: Refusal, words: &[&str]| {
        let mut command = namespace.command(OURS);
        command.args(words);
        refusal.run(command).unwrap_or_else(|why| panic!("{why}"))
    };
    for part in 1..16 {
        // The number of steps of a walk depends on the machine's other sockets.
        let (_, steps) = ran(Refusal { times: 0, ..Refusal::of(TEST_RUN, EPERM) }, &["-tan"]);
        for (errno, words) in ERRNOS {
            let refusal = Refusal { after: steps * part / 16, ..Refusal::of(TEST_RUN, errno) };
            let (listed, _) = ran(refusal, &["-tan"]);
            let (got, said) = (rows(&listed.stdout), text(&listed.stderr));
            assert!(listed.status.success(), "{refusal:?}: {said}");
            assert!(
                all.starts_with(&got),
                "{refusal:?}: {} rows are not the first of {}",
                got.len(),
                all.len()
            );
            if got.len() == all.len() {
                assert_eq!(said, "", "{refusal:?}");
                continue;
            }
            partial += 1;
            let sockets = got.len() - 1;
            let says = format!(
                "ss: tcp sockets: the walk of its table ended early: running the program: {words} (after {sockets} sockets)\n"
            );
            assert_eq!(said, says, "{refusal:?}");
            // A document contains the message, or every socket.
            let said = text(&ran(refusal, &["-tan", "-j"]).0.stdout);
            let holds = said.contains("the walk of its table ended early: running the program: ");
            let sockets = said.matches("\n{\"socket\":").count() + said.matches("[{\"socket\":").count();
            assert!(holds != (sockets + 1 == all.len()), "{refusal:?}: {sockets} sockets, {holds}");
            documents += usize::from(holds);
        }
    }
    assert!(
        partial > 5 && documents > 5,
        "only {partial} and {documents} walks failed after their first row"
    );
}

/// Rows that wait for their holders can still be discarded.
#[test]
fn a_walk_that_fails_before_a_row_is_shown_is_replaced_by_a_dump() {
    let Some((namespace, _holder, _)) = many() else { return };
    let words = ["-tanp", "sport", "<", ":20000"];
    let with = |more: &[&'static str]| [&words[..1], more, &words[1..]].concat();
    let dumped = namespace.command(OURS).args(with(&["--source", "netlink"])).output().expect("it runs");
    let mut met = 0;
    for after in [1, 3, 5] {
        let refusal = Refusal { after, ..Refusal::of(TEST_RUN, EINVAL) };
        let ran = run(&namespace, &How::Calls(refusal), &with(&["--source", "walk"]));
        let said = text(&ran.stderr);
        met +=
            usize::from(said.contains("read by dumps, not by a walk: running the program: Invalid argument"));
        assert!(ran.stdout == dumped.stdout, "{refusal:?}: {said}");
    }
    assert!(met > 0, "no walk failed");
}

/// One walk covers several namespaces, and is complete before the first row is shown.
#[test]
fn a_walk_for_several_namespaces_that_fails_is_replaced_by_dumps() {
    let Some((namespace, _holder, _)) = many() else { return };
    let Some((other, word)) = Namespace::to_look_into() else { return };
    let _few = Holder::start(&other, 20, 50).unwrap_or_else(|why| panic!("{why}"));
    let words = |way| {
        ["-tan", "--netns", &format!("pid:{},{word}", namespace.pid()), "--source", way].map(str::to_owned)
    };
    let ran = |how: Option<Refusal>, way| {
        let words = words(way);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match how {
            Some(refusal) => run(&namespace, &How::Calls(refusal), &words),
            None => namespace.command(OURS).args(words).output().expect("it runs"),
        }
    };
    let dumped = ran(None, "netlink");
    let walked = ran(None, "walk");
    assert_eq!(text(&walked.stderr), "");
    assert!(walked.stdout == dumped.stdout && text(&dumped.stdout).lines().count() > 26_000);
    for (call, afters) in [
        (MAP_CREATE, &[0][..]),
        (PROG_LOAD, &[0, 1, 2]),
        (TEST_RUN, &[0, 1, 2, 5]),
        (Call::SharedMemory, &[0]),
    ] {
        for after in afters {
            let refusal = Refusal { after: *after, ..Refusal::of(call, ENOMEM) };
            let ran = ran(Some(refusal), "walk");
            let said = text(&ran.stderr);
            assert!(ran.stdout == dumped.stdout, "{refusal:?}: other rows; {said}");
            let dumped = |line: &str| line.starts_with("ss: TCP sockets are read by dumps, not by a walk: ");
            assert!(!said.is_empty() && said.lines().all(dumped), "{refusal:?}: {said}");
        }
    }
}

/// Number of walks to make and kill; `SOCKDIAG_WALKS` changes it.
fn walks() -> usize {
    std::env::var("SOCKDIAG_WALKS").ok().and_then(|text| text.parse().ok()).unwrap_or(50)
}

/// Only the process itself holds what a walk loads, so nothing outlives it.
#[test]
fn many_walks_leave_nothing_behind_whether_they_end_or_are_killed() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let _holder = Holder::start(&namespace, 100, 20).unwrap_or_else(|why| panic!("{why}"));
    let command = || {
        let mut command = namespace.command(OURS);
        command.args(["-tan", "--source", "walk"]).stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let walked = command().arg("--explain").output().expect("it runs");
    let said = text(&walked.stderr);
    if !said.contains("read by walking") {
        skip!("no walk here: {said}");
    }
    let before = Objects::now().unwrap_or_else(|why| panic!("{why}"));
    let begin = Instant::now();
    for _ in 0..walks() {
        let ran = command().stderr(Stdio::piped()).output().expect("it runs");
        assert!(ran.status.success() && ran.stderr.is_empty(), "{}", text(&ran.stderr));
    }
    let one = begin.elapsed() / u32::try_from(walks()).expect("not so many");
    let mut killed = 0;
    for number in 0..walks() {
        let mut child = command().spawn().expect("it starts");
        // Kill it at a different point each time.
        std::thread::sleep(one.mul_f64((number % 97) as f64 / 97.0));
        child.kill().expect("a child");
        killed += usize::from(!child.wait().expect("a child").success());
    }
    let mut left = Objects::default();
    let is_empty = until(|| {
        left = before.left_since("ss_walk").unwrap_or_else(|why| panic!("{why}"));
        left.is_empty()
    });
    println!("figures: {} walks of {one:?}, then {killed} killed of {0}: left {left:?}", walks());
    assert!(is_empty, "{left:?}");
    assert!(killed > walks() / 4, "only {killed} were killed before their end");
}
