//! Recordings of every family on four kernels, replayed without those kernels.
//!
//! Each case is the netlink traffic of one run of the reference, which `nlplay.so`
//! (LD_PRELOAD) replays to ours, with the /proc of that moment; ours must print what the
//! reference printed.  The name of one unix socket contains a newline, which ours escapes:
//! there the recorded output is escaped in the same way, and the padding of columns is
//! ignored.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sockdiag_testkit::skip;

#[path = "json/schema.rs"]
mod schema;
#[path = "json/text.rs"]
mod text;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// Not replayed: cases that need bpf(2) of the recorded kernel (its maps and their types; the
/// `differential` test covers storage live), write a file, show ss's own process, or read
/// /proc/TID, which a copy of /proc cannot hide.
const NOT_REPLAYED: &[&str] = &["tcp-bpf-maps", "dump-file", "netlink-names", "tcp-threads"];

/// One line of the index.
struct Case {
    directory: PathBuf,
    name: String,
    status: i32,
    args: Vec<String>,
}

/// Unpacks the recordings and builds the replayer, in a directory with this name.
fn prepared(name: &str) -> Result<(PathBuf, PathBuf), String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    let archive = here.join("tests/fixtures/recordings.tar.xz");
    // Python's standard library can read xz.
    run(Command::new("python3")
        .args(["-c", "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])"])
        .arg(archive)
        .arg(&scratch))?;
    let player = scratch.join("nlplay.so");
    let source = here.join("../../tools/kernels/gen/nlplay.c");
    run(Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&player).arg(source).arg("-ldl"))?;
    Ok((scratch, player))
}

fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The options of unshare(1) for a mount namespace, if this user may make one.
fn unshare() -> Option<Vec<&'static str>> {
    [vec!["-m"], vec!["-rm"]].into_iter().find(|flags| {
        Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", "mount --bind /sys /proc"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// The options of unshare(1), and the recordings and the player in a directory of this name;
/// `None`, with a reported skip, if they cannot be had here.
fn ready(name: &str) -> Option<(Vec<&'static str>, PathBuf, PathBuf)> {
    let flags = unshare().ok_or_else(|| "no mount namespace for this user".to_owned());
    match flags.and_then(|flags| Ok((flags, prepared(name)?))) {
        Ok((flags, (root, player))) => Some((flags, root, player)),
        Err(why) => {
            skip::report(why);
            None
        }
    }
}

fn cases(root: &Path) -> Vec<Case> {
    let index = fs::read_to_string(root.join("index.tsv")).expect("the archive has an index");
    let mut cases = Vec::new();
    for line in index.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split('\t').collect();
        let [kernel, reference, name, status, args] = words[..] else { panic!("index.tsv: {line}") };
        let dccp = name.starts_with("dccp-");
        // 7.3 has no DCCP: these cases are recorded from an older reference.
        let wanted = match reference {
            "iproute2-7.3.0" => !dccp,
            "ref-7.1.0" => dccp,
            _ => false,
        };
        if wanted && !NOT_REPLAYED.contains(&name) {
            cases.push(Case {
                directory: root.join(kernel).join(reference),
                name: name.to_owned(),
                status: status.parse().expect("a status"),
                args: args.split(' ').filter(|arg| !arg.is_empty()).map(str::to_owned).collect(),
            });
        }
    }
    cases
}

impl Case {
    fn play(&self, flags: &[&str], player: &Path) -> Output {
        self.play_with(flags, player, &self.args)
    }

    /// Replays the recording with other arguments, as far as it has answers.
    fn play_with(&self, flags: &[&str], player: &Path, args: &[String]) -> Output {
        let sys = self.directory.join("sys");
        Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", "mount --bind \"$0\" /proc && LD_PRELOAD=$NLPLAY_SO exec \"$@\""])
            .arg(sys.join("proc"))
            .arg(OURS)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("NLPLAY_FILE", self.directory.join(format!("{}.nl", self.name)))
            .env("NLPLAY_CGROUPS", sys.join("cgroups"))
            .env("NLPLAY_SO", player)
            .stdin(Stdio::null())
            .output()
            .expect("unshare ran before")
    }

    /// The difference between our output and the recorded one, if any.
    fn judge(&self, got: &Output) -> Option<String> {
        let recorded = fs::read(self.directory.join(format!("{}.out", self.name))).expect("an output each");
        let (recorded, escaped) = escape(&recorded);
        let (want, have) =
            if escaped { (squeeze(&recorded), squeeze(&got.stdout)) } else { (recorded, got.stdout.clone()) };
        // "events" was killed with its last lines unwritten; the replay ends when the
        // recording does.
        if self.name == "events" {
            let want = want.trim_ascii_end();
            return (!have.starts_with(want)).then(|| first_difference(want, &have));
        }
        if got.status.code() != Some(self.status) {
            let errors = String::from_utf8_lossy(&got.stderr);
            return Some(format!("{}, recorded {}: {errors}", got.status, self.status));
        }
        (want != have).then(|| first_difference(&want, &have))
    }
}

/// The only name in the recordings with a control character, and how ours prints it.
const ODD_NAME: (&[u8], &[u8]) = (b"/run/zoo with space\n", b"/run/zoo with space\\012");

/// The recorded output with that name escaped, and whether it contained it.
fn escape(bytes: &[u8]) -> (Vec<u8>, bool) {
    let (raw, escaped) = ODD_NAME;
    let mut out = Vec::with_capacity(bytes.len());
    let mut found = false;
    let mut rest = bytes;
    while let Some(at) = rest.windows(raw.len()).position(|window| window == raw) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(escaped);
        rest = &rest[at + raw.len()..];
        found = true;
    }
    out.extend_from_slice(rest);
    (out, found)
}

/// Replaces runs of blanks by one, and removes them at the ends of lines.
fn squeeze(bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match (byte, out.last()) {
            (b' ', Some(b' ')) => {}
            (b'\n', Some(b' ')) => {
                out.pop();
                out.push(b'\n');
            }
            _ => out.push(*byte),
        }
    }
    out
}

fn first_difference(want: &[u8], have: &[u8]) -> String {
    let lines = |bytes: &[u8]| {
        bytes.split(|b| *b == b'\n').map(|line| line.escape_ascii().to_string()).collect::<Vec<_>>()
    };
    let (want, have) = (lines(want), lines(have));
    let at = want.iter().zip(&have).position(|(a, b)| a != b).unwrap_or(want.len().min(have.len()));
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "(nothing)".to_owned());
    format!("line {}\n    recorded {}\n    ours     {}", at + 1, line(&want), line(&have))
}

#[test]
fn recordings_of_four_kernels_replay() {
    let Some((flags, root, player)) = ready("fixtures") else { return };
    let mut agreed: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = String::new();
    for case in cases(&root) {
        let kernel = case.directory.parent().and_then(Path::file_name).expect("KERNEL/REFERENCE");
        let kernel = kernel.to_string_lossy().into_owned();
        match case.judge(&case.play(&flags, &player)) {
            None => *agreed.entry(kernel).or_default() += 1,
            Some(why) => {
                let _ = writeln!(wrong, "{kernel} {} (ss {}): {why}", case.name, case.args.join(" "));
            }
        }
    }
    let total: usize = agreed.values().sum();
    let mut text = format!("fixtures: {total} recorded runs agree\n");
    for (kernel, count) in &agreed {
        let _ = writeln!(text, "  {count:6} {kernel}");
    }
    // Writes directly: the test harness hides what a passing test prints.
    let _ = std::io::stderr().write_all(text.as_bytes());
    assert!(wrong.is_empty(), "{wrong}");
    assert!(agreed.len() == 4 && total >= 350, "only {total} recorded runs");
}

/// Whether a case is a complete listing of sockets.
fn lists(case: &Case) -> bool {
    case.status == 0 && !["summary", "summary-with-list", "events", "kill"].contains(&case.name.as_str())
}

/// A socket reports its own settings, an association everything else; neither reports zeros
/// for unknown values.
#[test]
fn sctp_sockets_and_associations_tell_what_is_theirs() {
    let Some((flags, root, player)) = ready("fixtures-sctp") else { return };
    let validator = schema::of_lines();
    let [mut sockets, mut associations] = [0, 0];
    for case in cases(&root).iter().filter(|case| case.name == "sctp-everything") {
        let with = |more: &[&str]| {
            let args = ["--jsonl"].into_iter().chain(case.args.iter().map(String::as_str));
            let args: Vec<String> = args.chain(more.iter().copied()).map(str::to_owned).collect();
            case.play_with(&flags, &player, &args).stdout
        };
        let mut one_to_one = 0;
        let out = with(&[]);
        for socket in schema::lines(&validator, &out, &case.name) {
            let Some(told) = socket["sctp"].as_object() else { continue };
            // These ports are the zoo's one-to-many sockets; all others are one-to-one.
            let port = socket["local"]["port"].as_u64().expect("a port");
            let is_many = [7003, 17003, 18003].contains(&port);
            if told.contains_key("tag") {
                associations += 1;
                assert!(told.contains_key("state") && told.contains_key("primary_cwnd"), "{socket}");
                for own in ["type", "nodelay", "autoclose_s", "v4mapped"] {
                    assert!(!told.contains_key(own), "{own}: {socket}");
                }
            } else {
                sockets += 1;
                one_to_one += usize::from(!is_many);
                assert_eq!(told["type"], if is_many { 0 } else { 2 }, "{socket}");
                assert!(!told.contains_key("state") && !told.contains_key("primary_cwnd"), "{socket}");
            }
        }
        let count = |filter: &str| schema::lines(&validator, &with(&[filter]), &case.name).len();
        assert_eq!(count("sctp.type = one-to-one"), one_to_one);
        // Zero means that idle associations are never closed, as for all sockets of the zoo.
        let reported = count("sctp.autoclose_s = *");
        assert!(reported > 0, "{}", case.name);
        for same in ["sctp.autoclose_s = 0", "sctp.autoclose_s = unlimited", "sctp.autoclose_s != 30"] {
            assert_eq!(count(same), reported, "{same}");
        }
        for none in ["sctp.autoclose_s != 0", "sctp.autoclose_s < 30", "sctp.autoclose_s > 30"] {
            assert_eq!(count(none), 0, "{none}");
        }
    }
    assert!(sockets > 20 && associations > 20, "{sockets} sockets, {associations} associations");
}

#[test]
fn recordings_as_json_fit_the_schema() {
    let Some((flags, root, player)) = ready("fixtures-json") else { return };
    let validator = schema::of_lines();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let (mut sockets, mut remade) = (0, 0);
    for case in cases(&root).iter().filter(|case| lists(case)) {
        let with = |args: &[&str]| {
            let args: Vec<String> =
                args.iter().map(|arg| (*arg).to_owned()).chain(case.args.clone()).collect();
            let output = case.play_with(&flags, &player, &args);
            assert!(output.status.success(), "{}: {args:?}: {output:?}", case.name);
            output.stdout
        };
        let what = format!("{} {}", case.directory.display(), case.name);
        for socket in schema::lines(&validator, &with(&["--jsonl"]), &what) {
            let kind = socket["socket"]["netid"].as_str().expect("every socket has one").to_owned();
            *kinds.entry(kind).or_default() += 1;
            sockets += 1;
        }
        // A recording made with every option can answer every option.
        if case.name == "tcp-all-everything" {
            let play = |args: &str| {
                let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
                case.play_with(&flags, &player, &args).stdout
            };
            let lines = schema::lines(&validator, &play("-tanie --jsonl"), &what);
            for (words, info) in [("-tanHO", false), ("-taniHO", true)] {
                let printed = play(words);
                let want: Vec<String> =
                    String::from_utf8_lossy(&printed).lines().map(text::squeeze).collect();
                let made: Vec<String> = lines.iter().map(|socket| text::line(socket, info)).collect();
                assert!(made.len() > 20, "{what}: {}", made.len());
                for (made, want) in made.iter().zip(&want) {
                    assert_eq!(made, want, "{what} ss {words}");
                }
                assert_eq!(made.len(), want.len(), "{what} ss {words}");
                remade += made.len();
            }
        }
    }
    let text =
        format!("fixtures: {sockets} sockets fit the schema {kinds:?}; {remade} lines made from JSON\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
    for kind in ["tcp", "udp", "mptcp", "sctp", "u_str", "nl", "p_raw", "v_str", "ti_st", "xdp"] {
        assert!(kinds.contains_key(kind), "no {kind} among {kinds:?}");
    }
    assert!(remade > 100, "{remade}");
}
