//! Completions in real shells: the candidates offered when the Tab key is pressed.
//!
//! bash and zsh run on a terminal where the key is pressed; fish prints its candidates.  A
//! shell that is not installed is reported as skipped.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sockdiag_testkit::skip;

use super::made;

/// The typed text, candidates that must be offered, and one that must not.
type Case = (&'static str, &'static [&'static str], &'static str);

const CASES: &[Case] = &[
    ("ss --inet-s", &["--inet-sockopt"], "--ipv4"),
    ("ss --columns lo", &["local.addr", "local.port"], "remote.addr"),
    ("ss --columns=lo", &["local.addr", "local.port"], "remote.addr"),
    ("ss --columns state,remote.", &["remote.addr", "remote.port"], "local.addr"),
    ("ss --columns socket.processes.", &["socket.processes.comm", "socket.processes.pid"], "socket.state"),
    ("ss --sort -tcp.r", &["tcp.rtt_us", "tcp.rttvar_us"], "tcp.lost"),
    ("ss --sort=-recv_q,-tcp.r", &["tcp.rtt_us", "tcp.rttvar_us"], "tcp.lost"),
    ("ss --group-by comm,remote.", &["remote.addr", "remote.port"], "local.addr"),
    ("ss --netns ", &["all", "pid:"], "PATH"),
    ("ss --netns nc", &["nc-left", "nc-right"], "all"),
    ("ss --netns nc-left,nc", &["nc-left", "nc-right"], "all"),
    ("ss -N nc", &["nc-left", "nc-right"], "all"),
    ("ss state cl", &["close-wait", "closed", "closing"], "established"),
    ("ss -t exclude cl", &["close-wait", "closed", "closing"], "established"),
    ("ss -A tcp,u", &["udp", "unix", "unix_stream"], "tcp"),
    ("ss -tA tcp,u", &["udp", "unix", "unix_stream"], "tcp"),
    ("ss -A inet,!ud", &["udp"], "tcp"),
    ("ss -f in", &["inet", "inet6"], "unix"),
    ("ss --generate man", &["man", "man-filter", "man-fields"], "zsh"),
    ("ss -t tcp.rt", &["tcp.rtt_us", "tcp.rttvar_us"], "tcp.lost"),
    ("ss -t spo", &["sport"], "dport"),
];

/// Types lines on a terminal, presses Tab, and prints what each line showed.
const TYPIST: &str = r#"
import fcntl, os, pty, re, struct, sys, termios
shell, lines = sys.argv[1].split(), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(shell[0], shell)
# As large as any listing, so that no shell asks whether to show it.
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 2000, 200, 0, 0))
# The prompt comes once the shell reads keys itself: before, the terminal would edit them.
def until(mark):
    seen = b""
    while not re.search(mark + b".*ready> ", seen, re.DOTALL):
        seen += os.read(terminal, 65536)
    return seen
def do(line):
    # The shell joins the mark, so that its echo is not taken for it.
    os.write(terminal, line + b"\r")
os.write(terminal, sys.stdin.buffer.read() + b"\r")
do(b"echo RE''ADY")
until(b"READY")
for number, line in enumerate(lines):
    os.write(terminal, line.encode() + b"\t")
    # The line goes, and the mark comes when all keys before it were acted on.
    do(b"\x15echo E''ND%dEN''D" % number)
    shown = until(b"END%dEND" % number)
    shown = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\x07\r]", b" ", shown)
    shown = shown.replace(b"\x08", b"").replace(b"\n", b" ")
    print(shown.decode("utf-8", "replace"))
os.kill(pid, 9)
"#;

/// A file of the test with the completions for a shell.
fn script(shell: &str, name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("complete-{shell}"));
    fs::create_dir_all(&directory).expect("the test's own directory");
    let path = directory.join(name);
    // Use the test's own network namespaces instead of the machine's.
    let netns = directory.join("netns");
    fs::create_dir_all(&netns).expect("the test's own directory");
    for name in ["nc-left", "nc-right"] {
        fs::write(netns.join(name), "").expect("the test's own file");
    }
    let text = made(shell).replace("/run/netns", netns.to_str().expect("a path of text"));
    fs::write(&path, text).expect("the test's own file");
    path
}

/// Whether a program is installed; reports a skip if not.
fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    there.inspect_err(|why| skip::report(format_args!("no {program}: {why}"))).is_ok()
}

/// What a shell on a terminal shows for each line of [`CASES`], after running `setup`.
fn shown_on_a_terminal(shell: &str, setup: &str) -> Option<Vec<String>> {
    let program = shell.split(' ').next().expect("a program");
    if !is_there(program) || !is_there("python3") {
        return None;
    }
    let mut typist = Command::new("timeout");
    typist.args(["120", "python3", "-c", TYPIST, shell]).args(CASES.iter().map(|(line, ..)| line));
    typist.env("TERM", "xterm").env("HOME", env!("CARGO_TARGET_TMPDIR")).env_remove("INPUTRC");
    let mut child = typist.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("it is piped"), setup.as_bytes())
        .expect("it is read");
    let out = child.wait_with_output().expect("it ends");
    assert!(out.status.success(), "{shell}: {}", String::from_utf8_lossy(&out.stdout));
    Some(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

/// Compares what was shown for each line with what was expected.
fn check(shell: &str, shown: &[String]) {
    assert_eq!(shown.len(), CASES.len(), "{shell}: {shown:?}");
    for ((line, wanted, other), shown) in CASES.iter().zip(shown) {
        let is_shown = |word: &str| {
            // The word is in a list, or was completed on the line itself.
            shown
                .split([' ', ',', '=', '!', '\t'])
                .any(|part| part.trim_start_matches('-') == word.trim_start_matches('-'))
        };
        for word in *wanted {
            assert!(is_shown(word), "{shell}, {line:?}: {word} is not in {shown:?}");
        }
        let typed = line.split([' ', ',', '=']).any(|part| part == *other);
        assert!(typed || !is_shown(other), "{shell}, {line:?}: {other} is in {shown:?}");
    }
}

#[test]
fn bash_completes() {
    let script = script("bash", "ss.bash");
    let setup = format!(
        "PS1='ready> '; set +H; bind 'set completion-query-items 0'; bind 'set page-completions off'; \
         bind 'set show-all-if-ambiguous on'; \
         bind 'set enable-bracketed-paste off'; source {}",
        script.display()
    );
    if let Some(shown) = shown_on_a_terminal("bash --norc --noprofile -i", &setup) {
        check("bash", &shown);
    }
}

#[test]
fn zsh_completes() {
    let script = script("zsh", "_ss");
    let setup = format!(
        "PS1='ready> '; unset zle_bracketed_paste; setopt no_bang_hist no_beep auto_list; unsetopt list_ambiguous menu_complete auto_menu; \
         LISTMAX=1000000; fpath=({} $fpath); autoload -U compinit; compinit -u -D",
        script.parent().expect("a directory").display()
    );
    if let Some(shown) = shown_on_a_terminal("zsh -f -i", &setup) {
        check("zsh", &shown);
    }
}

#[test]
fn fish_completes() {
    let script = script("fish", "ss.fish");
    if !is_there("fish") {
        return;
    }
    let mut shown = Vec::new();
    for (line, ..) in CASES {
        let text = format!("source {}; complete -C '{line}'", script.display());
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &text]).env("HOME", env!("CARGO_TARGET_TMPDIR"));
        let out = fish.stdin(Stdio::null()).output().expect("fish runs");
        assert!(out.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        // After a tab, fish describes the candidate.
        let words = String::from_utf8_lossy(&out.stdout);
        let words: Vec<&str> = words.lines().filter_map(|line| line.split('\t').next()).collect();
        shown.push(words.join(" "));
    }
    check("fish", &shown);
}
