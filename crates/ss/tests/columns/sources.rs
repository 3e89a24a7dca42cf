//! The sources of sockets for tests of whole listings: recordings of real kernels with every
//! family, crafted replies for families that few machines have, and live sockets.
//!
//! Except for live ones, a source lists the same on every run.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::replies::{self, Talk};

use super::OURS;

/// A source of sockets.
pub(crate) struct Source<'n> {
    /// Its name in failure messages.
    pub(crate) name: String,
    /// Options that list all its sockets with all their details.
    options: Vec<String>,
    env: Vec<(&'static str, OsString)>,
    inside: Option<&'n Namespace>,
    /// A command that ours is run through.
    around: Vec<String>,
}

/// Options for details, whatever the table.
const DETAILS: &str = "-anemio --tos --cgroup --inet-sockopt --exposure --tipcinfo";

impl<'n> Source<'n> {
    fn new(name: impl Into<String>, options: &str) -> Self {
        let options = options.split_ascii_whitespace().chain(DETAILS.split(' ')).map(str::to_owned);
        Self {
            name: name.into(),
            options: options.collect(),
            env: Vec::new(),
            inside: None,
            around: Vec::new(),
        }
    }

    fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// A source that is read with exactly these options and variables.
    pub(crate) fn of(name: &str, options: &str, env: Vec<(&'static str, OsString)>) -> Self {
        let options = options.split_ascii_whitespace().map(str::to_owned).collect();
        Self { name: name.to_owned(), options, env, inside: None, around: Vec::new() }
    }

    /// The same, run in private mounts where this namespace has this name.
    pub(crate) fn with_name(mut self, namespace: &Namespace, name: &str) -> Self {
        let script = "mount -t tmpfs none /run && mkdir /run/netns && : > /run/netns/$1 && \
                      mount --bind /proc/$0/ns/net /run/netns/$1 && shift && exec \"$@\"";
        let words = ["unshare", "-m", "--propagation", "private", "sh", "-c", script];
        self.around = words.iter().map(|word| (*word).to_owned()).collect();
        self.around.extend([namespace.pid().to_string(), name.to_owned()]);
        self
    }

    /// The same sockets, with names instead of numbers.
    pub(crate) fn with_names(&self) -> Self {
        let mut options = self.options.clone();
        for option in &mut options {
            if option.starts_with('-') && !option.starts_with("--") {
                option.retain(|letter| letter != 'n');
            }
        }
        options.push("-r".to_owned());
        Self {
            name: self.name.clone(),
            options,
            env: self.env.clone(),
            inside: self.inside,
            around: self.around.clone(),
        }
    }

    /// The sockets of a namespace, listed with these options in addition.
    pub(crate) fn live(namespace: &'n Namespace, options: &str) -> Self {
        Self { inside: Some(namespace), ..Self::new("live", options) }
    }

    /// A run's stdout; its stderr if it fails.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String, String> {
        let mut around = self.around.iter().map(String::as_str).chain([OURS]);
        let program = around.next().unwrap_or(OURS);
        let mut command = match self.inside {
            Some(namespace) => namespace.command(program),
            None => Command::new(program),
        };
        command.args(around).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        if !self.around.is_empty() {
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        }
        let out = command.args(&self.options).args(words).output().map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    /// Whether every run lists the same.
    pub(crate) fn is_steady(&self) -> bool {
        self.inside.is_none()
    }

    /// The lines of one format.
    pub(crate) fn lines(&self, words: &[&str]) -> Result<Vec<String>, String> {
        Ok(self.run(words)?.lines().map(str::to_owned).collect())
    }

    /// The lines of JSON that are sockets, without notes.
    pub(crate) fn json(&self, words: &[&str]) -> Result<Vec<String>, String> {
        let words = [&["-H", "--jsonl"][..], words].concat();
        let mut lines = self.lines(&words)?;
        lines.retain(|line| line.contains("\"socket\":{"));
        Ok(lines)
    }
}

/// An empty directory of the test.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the test's own directory");
    path
}

/// Recordings of TCP sockets (`-D`), joined into one per kernel.
pub(crate) fn golden(name: &str) -> Vec<Source<'static>> {
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let scratch = scratch(&format!("sources-golden-{name}"));
    let mut sources = Vec::new();
    let entries =
        |path: &Path| fs::read_dir(path).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    for kernel in entries(golden).filter(|path| path.is_dir()) {
        let mut bytes = Vec::new();
        for path in entries(&kernel).filter(|path| path.extension().is_some_and(|end| end == "rec")) {
            let record = fs::read(&path).expect("a recording");
            // All messages except the end.
            let sockets = recording::messages(&record).into_iter().filter(|range| range.len() > 16 + 4);
            sockets.for_each(|range| bytes.extend_from_slice(&record[range]));
        }
        recording::append_done(&mut bytes);
        let kernel = kernel.file_name().expect("a kernel").to_string_lossy().into_owned();
        let path = scratch.join(&kernel);
        fs::write(&path, bytes).expect("the test's own file");
        sources.push(Source::new(kernel, "-t").env("TCPDIAG_FILE", path));
    }
    assert!(sources.len() >= 5, "recordings of five kernels");
    sources
}

/// Repeats the answers, because each is used only once and the other ends of sockets are
/// queried before the sockets.
fn answer_again(talk: &Path) {
    let bytes = fs::read(talk).expect("the test's own file");
    fs::write(talk, bytes.repeat(3)).expect("the test's own file");
}

/// The traffic of runs with all options on four kernels, for every family.
///
/// # Errors
/// If the recordings cannot be unpacked or replayed here.
pub(crate) fn families(name: &str) -> Result<Vec<Source<'static>>, String> {
    let scratch = scratch(&format!("sources-families-{name}"));
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/recordings.tar.xz");
    // Python's standard library can read xz.
    let unpacked = Command::new("python3")
        .args(["-c", "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])", archive])
        .arg(&scratch)
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    if !unpacked.status.success() {
        return Err(String::from_utf8_lossy(&unpacked.stderr).into_owned());
    }
    let library = replies::library().map_err(|why| why.to_string())?;
    let index = fs::read_to_string(scratch.join("index.tsv")).expect("the archive has an index");
    let mut sources = Vec::new();
    for line in index.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let [kernel, reference, case, "0", args] = words[..] else { continue };
        // Only the older reference supports DCCP.
        let is_wanted = reference.starts_with("ref-") == case.starts_with("dccp-");
        if !is_wanted || !case.ends_with("-everything") {
            continue;
        }
        let directory = scratch.join(kernel).join(reference);
        let talk = directory.join(format!("{case}.nl"));
        answer_again(&talk);
        // With `PROC_ROOT`, these tables are read from /proc text, as in the reference.
        let has_text =
            ["tcp", "mptcp", "udp", "raw", "sctp", "dccp"].iter().any(|name| case.starts_with(name));
        let name = format!("{kernel} {case}");
        let source = if has_text {
            Source::new(name, args)
        } else {
            Source::new(name, &format!("{args} -p")).env("PROC_ROOT", directory.join("sys/proc"))
        };
        sources.push(
            source
                .env("LD_PRELOAD", &library)
                .env("NLPLAY_FILE", talk)
                .env("NLPLAY_CGROUPS", directory.join("sys/cgroups")),
        );
    }
    assert!(sources.len() >= 44, "eleven families on four kernels: {}", sources.len());
    Ok(sources)
}

/// Replies that no kernel sent, in which every attribute occurs.
///
/// # Errors
/// If they cannot be played here.
pub(crate) fn crafted(name: &str) -> Result<Vec<Source<'static>>, String> {
    let scratch = scratch(&format!("sources-crafted-{name}"));
    let library = replies::library().map_err(|why| why.to_string())?;
    // No process may have the port id of a netlink socket as its process id.
    let proc = scratch.join("proc");
    fs::create_dir_all(&proc).expect("the test's own directory");
    let links = [(1, "lo"), (2, "two"), (7, "seven")];
    // IPv4 addresses.
    let mut addresses = [2; 128];
    addresses[..2].copy_from_slice(&2_u16.to_ne_bytes());
    let mut info = vec![3; 400];
    info[168..170].copy_from_slice(&2_u16.to_ne_bytes());
    // SCTP reports a socket's own settings without an association's tag.
    let mut settings = info.clone();
    settings[..4].fill(0);
    let sctp = Msg::v4().with(attr::INFO, info).with(attr::LOCALS, addresses).with(attr::PEERS, addresses);
    let sctp_socket = Msg::v4().with(attr::INFO, settings).with(attr::LOCALS, addresses);
    let mptcp = Msg::v4().with(attr::INFO, [3; 96]);
    let none = [replies::done(0)];
    let whole = |rows: Vec<u8>| [rows, replies::done(0)];
    let inet = |protocol, rows: Vec<u8>| {
        Talk::new().links(&links).inet(2, protocol, &whole(rows)).inet(10, protocol, &none)
    };
    let of = |family, rows: Vec<u8>| Talk::new().links(&links).sockets(family, &whole(rows));
    let talks = [
        ("sctp", "-S", inet(132, [sctp_socket.to_bytes(), sctp.to_bytes()].concat())),
        ("mptcp", "-M", inet(6, mptcp.to_bytes())),
        ("vsock", "--vsock", of(40, replies::vsocks())),
        ("xdp", "--xdp", of(44, replies::xdps())),
        ("smc", "--smc", of(43, replies::smcs())),
        ("tipc", "--tipc", of(30, replies::tipcs())),
        ("packet", "-0", of(17, replies::netpkt::packets())),
        ("netlink", "-f netlink", of(16, replies::netpkt::netlinks())),
    ];
    let mut sources = Vec::new();
    for (family, options, talk) in talks {
        let path = scratch.join(family);
        talk.write(&path).map_err(|why| why.to_string())?;
        answer_again(&path);
        let source = Source::new(format!("crafted {family}"), options)
            .env("LD_PRELOAD", &library)
            .env("NLPLAY_FILE", path);
        sources.push(if family == "netlink" { source.env("PROC_ROOT", &proc) } else { source });
    }
    // TCP only: conditions on fields of other protocols are rejected for this table.
    let random = recording::random(&mut fastrand::Rng::with_seed(1), 150);
    let random = recording::retype(&random, attr::PROTOCOL, 200);
    let path = scratch.join("random");
    fs::write(&path, random).expect("the test's own file");
    sources.push(Source::new("crafted tcp", "-t").env("TCPDIAG_FILE", path));
    Ok(sources)
}
