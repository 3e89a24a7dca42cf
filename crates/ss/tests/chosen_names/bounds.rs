//! Text of two megabytes in every output format: memory use, output size and truncation marks.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sockdiag_testkit::measure::{self, Cost};
use sockdiag_testkit::recording::{self, Msg};
use sockdiag_testkit::replies::{self, Talk};
use sockdiag_testkit::skip;

const OURS: &str = env!("CARGO_BIN_EXE_ss");
pub(super) const LONG: usize = 2 << 20;
pub(super) const ROWS: u32 = 1000;
/// Address space of a run in KiB, which limits its memory.
const MOST_KIB: u32 = 64 << 10;
/// Inode of the first row.
pub(super) const FIRST: u32 = 50_000;
/// Files in which the C library looks up names.
const OF_THE_MACHINE: [&str; 3] = ["hosts", "passwd", "nsswitch.conf"];

/// A directory of the test, removed afterwards.
pub(super) struct Place(pub(super) PathBuf, pub(super) Option<PathBuf>);

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bounds-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the test's own directory");
        Self(path, None)
    }

    /// A recording of this many TCP sockets, with inodes from [`FIRST`] on.
    pub(super) fn sockets(&self, rows: u32) {
        let mut bytes = Vec::new();
        for row in 0..rows {
            let mut msg = Msg::v4();
            (msg.sport, msg.inode) = (u16::try_from(1000 + row).expect("few"), FIRST + row);
            bytes.extend(msg.to_bytes());
        }
        recording::append_done(&mut bytes);
        fs::write(self.0.join("sockets"), bytes).expect("the test's own file");
    }

    /// A process with long names that holds the first `held` sockets.
    pub(super) fn process(&self, pid: u32, held: u32, text: &[u8]) {
        let process = self.0.join("proc").join(pid.to_string());
        fs::create_dir_all(process.join("fd")).expect("the test's own directory");
        fs::write(process.join("stat"), [format!("{pid} (").as_bytes(), text, b") S 1 1"].concat())
            .expect("the test's own file");
        fs::write(process.join("status"), "Name:\tx\nUid:\t0\t0\t0\t0\n").expect("the test's own file");
        fs::write(process.join("cmdline"), [text, b"\0last\0"].concat()).expect("the test's own file");
        for row in 0..held {
            let link = format!("socket:[{}]", FIRST + row);
            symlink(link, process.join("fd").join((3 + row).to_string())).expect("the test's own link");
        }
    }

    /// The cost of a run, and its output.
    pub(super) fn run(&self, words: &[&str]) -> (Cost, Vec<u8>) {
        let path = self.0.join("out");
        let own: Vec<&str> =
            OF_THE_MACHINE.iter().copied().filter(|name| self.0.join(name).exists()).collect();
        // Limits the address space: the measured peak of a child is never below this process's
        // own size.
        let limited = format!("ulimit -v {MOST_KIB}; exec \"$0\" \"$@\"");
        let mut command = if own.is_empty() {
            Command::new("sh")
        } else {
            // A private mount namespace replaces the machine's files with ours.
            let binds =
                own.iter().map(|name| format!("mount --bind {}/{name} /etc/{name} && ", self.0.display()));
            let script = format!("{} exec \"$0\" \"$@\"", binds.collect::<String>());
            let mut command = Command::new("unshare");
            command.args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]);
            command
        };
        command.args(["-c", &limited, OURS]).args(words);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("PROC_ROOT", self.0.join("proc"));
        command.env("TCPDIAG_FILE", self.0.join("sockets"));
        if let Some(library) = &self.1 {
            command.env("LD_PRELOAD", library).env("NLPLAY_FILE", self.0.join("talk"));
            command.env_remove("PROC_ROOT").env_remove("TCPDIAG_FILE");
        }
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(File::create(&path).expect("the test's own file"));
        let cost = measure::run(&mut command).unwrap_or_else(|why| panic!("{words:?}: {why}"));
        (cost, fs::read(path).expect("the test's own file"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs each command line, and checks memory use and the length of rows.
fn stays_within(place: &Place, lines: &[&str], most_of_a_row: usize) {
    let mut report = String::new();
    for line in lines {
        let (cost, out) = place.run(&line.split(' ').collect::<Vec<_>>());
        let longest = out.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
        writeln!(report, "{line}: {:?}, {} bytes, a row {longest}", cost.cpu(), out.len())
            .expect("memory takes all");
        assert!(longest < most_of_a_row, "{report}");
        // The reference's text format contains only the process name.
        let is_marked = match line {
            line if line.contains("-j") || line.contains("-pretty") => {
                String::from_utf8_lossy(&out).contains("_truncated\"")
            }
            line if line.contains("--columns") || line.contains("--group-by") => {
                String::from_utf8_lossy(&out).contains('…')
            }
            _ => String::from_utf8_lossy(&out).contains("...\",pid="),
        };
        assert!(is_marked, "nothing says that text was cut: {report}");
    }
    print!("{report}");
}

const FORMS: &[&str] = &[
    "-tanp",
    "-tanpe",
    "-tan --columns cmdline,local.port",
    "-tan --columns local.port,cmdline",
    "-tan --columns comm,local.port,cmdline,comm,cmdline",
    "-tan --columns local.port,socket.processes,local.port",
    "-tan --csv --columns local.port,cmdline,comm",
    "-tan --tsv --columns local.port,cmdline,comm",
    "-tanp -j",
    "-tanp --jsonl",
    "-tanp --pretty",
    "-tan --columns local.port,comm --sort cmdline",
    "-tan --columns local.port,comm --sort -comm,cmdline",
    "-tanp --sort cmdline --limit 5",
    "-tan --group-by cmdline,local.port",
    "-tan --group-by comm --csv",
    "-tan --group-by socket.processes,cmdline,local.port --csv",
    "-tan --group-by cmdline --tsv --sort cmdline",
    "-tan --columns local.port,comm cmdline = *last or cmdline = *x*",
];

#[test]
fn one_process_with_long_names_and_a_thousand_sockets() {
    for (name, text) in [("plain", &b"x"[..]), ("wide", "é\u{202e}".as_bytes()), ("stray", b"\xff\x1b")] {
        let place = Place::new(name);
        place.sockets(ROWS);
        place.process(300, ROWS, &text.repeat(LONG / text.len()));
        let lines: Vec<String> = FORMS.iter().map(|line| line.replace("*last", "nothing")).collect();
        let lines: Vec<&str> = lines
            .iter()
            .map(String::as_str)
            .filter(|line| !line.contains(" = ") || name == "plain")
            .collect();
        stays_within(&place, &lines, 64 << 10);
    }
}

/// Forked processes share the memory of their command lines; our copies would not.
#[test]
fn many_processes_with_long_names() {
    const FORKS: u32 = 400;
    let place = Place::new("forks");
    place.sockets(20);
    place.process(300, 20, &vec![b'x'; LONG]);
    for pid in 301..300 + FORKS {
        symlink("300", place.0.join("proc").join(pid.to_string())).expect("the test's own link");
    }
    // Each holder takes at least its numbers and the short beginnings of its names.
    stays_within(&place, FORMS, (64 << 10) + FORKS as usize * 300);
}

#[test]
fn long_names_of_unix_sockets() {
    let library = match replies::library() {
        Ok(library) => library,
        Err(why) => skip!("{why}"),
    };
    let mut place = Place::new("unix");
    place.1 = Some(library);
    let rows = (1..=300).map(|inode| {
        let name = replies::attr(0, &vec![b'/'; 30_000]);
        replies::socket(&[vec![1, 1, 10, 0], replies::words(&[inode, inode, 0]), name].concat())
    });
    let rows: Vec<Vec<u8>> = rows.chain([replies::done(0)]).collect();
    Talk::new().sockets(1, &rows).write(&place.0.join("talk")).unwrap_or_else(|why| panic!("{why}"));
    let lines = [
        "-xan --columns unix.name,inode",
        "-xan --columns inode,unix.name",
        "-xan --csv --columns inode,unix.name",
        "-xan --tsv --columns unix.name,inode",
        "-xan --columns inode,unix.name --sort unix.name",
        "-xan --group-by unix.name,inode",
        "-xan --group-by unix.name --csv",
        "-xan -j",
        "-xan --jsonl",
        "-xan --pretty",
    ];
    stays_within(&place, &lines, 64 << 10);
    let (_, out) = place.run(&["-xan"]);
    assert!(out.split(|byte| *byte == b'\n').all(|line| line.len() < 64 << 10));
}

#[test]
fn a_list_of_holders_costs_linear_time() {
    let place = |processes: u32| {
        let place = Place::new(&format!("holders-{processes}"));
        place.sockets(20);
        place.process(300, 20, b"worker,1");
        for pid in 301..300 + processes {
            symlink("300", place.0.join("proc").join(pid.to_string())).expect("the test's own link");
        }
        place
    };
    let (few, many) = (place(2000), place(8000));
    let (_, out) = many.run(&["-tanH", "--tsv", "--columns", "pid,comm,cmdline,socket.processes.uid"]);
    let rows: Vec<&str> = std::str::from_utf8(&out).expect("UTF-8").lines().collect();
    if rows.first().is_some_and(|row| row.split('\t').next() == Some("300")) {
        skip!("links to processes are not followed");
    }
    assert_eq!(rows.len(), 20);
    for row in rows {
        for cell in row.split('\t') {
            let entries = sockdiag::escape::parts(cell.as_bytes(), b',').count();
            assert_eq!(entries, 8000, "an entry for each process: {cell:.60}");
        }
    }
    let cpu = |place: &Place, words: &[&str]| place.run(words).0.cpu();
    let base = cpu(&few, &["-tanH", "--columns", "local.port"]);
    for words in [
        &["-tanH", "--csv", "--columns", "local.port,pid,comm,cmdline,socket.processes.user"][..],
        &["-tanH", "--group-by", "pid"],
        &["-tanH", "--group-by", "pid,comm,socket.processes.user"],
        &["-tanp", "-j"],
    ] {
        // Four times as many must cost about four times as much, not sixteen times.  A busy
        // machine may disturb one run, but not every one.
        let is_linear = |_| {
            let (low, high) = (cpu(&few, words), cpu(&many, words));
            println!("{words:?}: {low:?}, {high:?}");
            high < base + 8 * low.saturating_sub(base).max(Duration::from_millis(5))
        };
        assert!((0..4).any(is_linear), "{words:?}");
    }
}

/// A truncated text is a prefix.  With the mark after it, a condition matches everything that
/// starts with it; without the mark, only a text that is no longer.  JSON has the mark in a
/// key of its own.
#[test]
fn a_text_that_was_cut_is_the_beginning_of_what_holds() {
    let place = Place::new("beginnings");
    place.sockets(3);
    place.process(300, 1, &vec![b'x'; LONG]);
    let run = |words: &[&str]| String::from_utf8(place.run(words).1).expect("UTF-8");
    let cell = run(&["-tanH", "--csv", "--columns", "cmdline", "cmdline = xx*"]);
    let cell = cell.trim_end();
    assert!(cell.ends_with('…') && cell.len() > 1000, "{cell:.100}");
    let json: serde_json::Value =
        serde_json::from_str(&run(&["-tanpH", "--jsonl", "cmdline = xx*"])).expect("a row");
    let process = &json["socket"]["processes"][0];
    assert_eq!(process["cmdline_truncated"], true, "{:.300}", process.to_string());
    let text = process["cmdline"][0].as_str().expect("a text");
    let people = run(&["-tanH", "--columns", "cmdline,local.port", "cmdline = xx*"]);
    let people = people.split(' ').next().expect("a cell");
    for (value, holds) in [
        (cell.to_owned(), true),
        (people.to_owned(), true),
        (format!("\"{text}…\""), true),
        (format!("\"{text}\"*"), true),
        (format!("\"{text}\""), false),
        (cell.trim_end_matches('…').to_owned(), false),
        (format!("{people}y"), false),
        ("xy…".to_owned(), false),
        ("xx\\u{2026}".to_owned(), false),
    ] {
        let found = run(&["-tanH", "--csv", "--columns", "local.port", &format!("cmdline = {value}")]);
        assert_eq!(found, if holds { "1000\n" } else { "" }, "{value:.40}");
        let found = run(&["-tanH", "--csv", "--columns", "local.port", &format!("cmdline != {value}")]);
        assert_eq!(found, if holds { "" } else { "1000\n" }, "!= {value:.40}");
    }
}
