//! `sockdiag top` on a terminal, end to end: the tests type keys in tmux and read the screen.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;

use super::OURS;

/// How long something may take to appear on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A tmux server in a namespace, with one terminal.
pub(super) struct Tmux<'n> {
    namespace: &'n Namespace,
    folder: PathBuf,
}

impl<'n> Tmux<'n> {
    /// Runs a shell command there; `None` without tmux.
    pub(super) fn start(namespace: &'n Namespace, name: &str, size: (u16, u16), words: &str) -> Option<Self> {
        let found = Command::new("tmux").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            skip::report("there is no tmux here");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("sockdiag-tmux-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let tmux = Self { namespace, folder };
        let folder = tmux.folder.display().to_string();
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let shell =
            format!("cd {folder}; {words}; echo \"ENDED $?\"; stty -a | grep -o -- '-*echo ' ; exec cat");
        let size = ["-x", &width, "-y", &height];
        tmux.tmux(&[&["-f", "/dev/null", "new-session", "-d"], &size[..], &[&shell]].concat());
        Some(tmux)
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut command = self.namespace.command("tmux");
        command.arg("-S").arg(self.folder.join("socket")).args(words).stdin(Stdio::null());
        command.env("TERM", "xterm-256color").env_remove("TMUX").env_remove("NO_COLOR");
        let out = command.output().expect("tmux runs");
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    pub(super) fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types text literally.
    fn typed(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until a condition holds for the screen.
    fn until(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "never {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub(super) fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// The process id of the program.
    fn pid(&self) -> i32 {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        let children = std::fs::read_to_string(children).expect("the shell runs");
        children.split(' ').next().and_then(|pid| pid.parse().ok()).expect("it has a child")
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("a process");
        rustix::process::kill_process(pid, signal).expect("it is there");
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let mut command = self.namespace.command("tmux");
        command.arg("-S").arg(self.folder.join("socket")).arg("kill-server");
        let _ = command.stdin(Stdio::null()).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Connections to a listener in the namespace, each as client and server.
pub(super) fn connections(namespace: &Namespace, count: usize) -> (TcpListener, Vec<(TcpStream, TcpStream)>) {
    let made = namespace.with(|| {
        let listener = TcpListener::bind("127.0.0.1:4321").expect("lo is up");
        let pair = || {
            let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
            (client, listener.accept().expect("it came").0)
        };
        let pairs = (0..count).map(|_| pair()).collect();
        (listener, pairs)
    });
    made.unwrap_or_else(|why| panic!("{why}"))
}

fn port(stream: &TcpStream) -> u16 {
    stream.local_addr().expect("bound").port()
}

/// The line of the screen that starts with this sign.
fn line_of<'s>(screen: &'s str, sign: &str) -> Option<&'s str> {
    screen.lines().skip(3).find(|line| line.starts_with(sign))
}

#[test]
fn every_key_of_the_help_does_what_it_says() {
    let Some(namespace) = super::namespace() else { return };
    let (_listener, mut pairs) = connections(&namespace, 8);
    let Some(tmux) = Tmux::start(&namespace, "keys", (110, 30), &format!("{OURS} top --interval 300ms"))
    else {
        return;
    };
    let ports: Vec<u16> = pairs.iter().map(|(client, _)| port(client)).collect();
    tmux.shows("16 sockets");
    // One connection sends, so rates appear.
    let (client, server) = &mut pairs[0];
    tmux.until("a rate", |screen| {
        client.write_all(&[1; 12_000]).expect("it is read");
        server.read_exact(&mut [0; 12_000]).expect("it was sent");
        screen.contains("kbit/s") || screen.contains("Mbit/s")
    });
    // Help names every key.
    tmux.keys(&["?"]);
    let help = tmux.shows("ended, with its last values");
    for keys in [
        "PgUp",
        "Click",
        "/ ",
        "< >",
        "o ",
        "c ",
        "b ",
        "1-9",
        "g G",
        "Enter",
        "Space",
        "Left Right",
        "n ",
        "y Y",
        "s ",
        "k ",
        "Esc",
        "q ",
    ] {
        assert!(help.contains(keys), "{keys}: {help}");
    }
    tmux.keys(&["Escape"]);
    // Selects presets and reverses the order.
    tmux.keys(&["2"]);
    tmux.shows("sort tcp.rtt_us down");
    tmux.shows("min_rtt");
    tmux.keys(&["r"]);
    tmux.shows("sort tcp.rtt_us up");
    tmux.keys(&[">"]);
    tmux.shows("sort tcp.rttvar_us down");
    tmux.keys(&["<"]);
    tmux.shows("sort tcp.rtt_us down");
    // Any field can be the sort order, an added or removed column, or the grouping.
    tmux.keys(&["o"]);
    tmux.typed("pacing_rate");
    tmux.shows("search: pacing_rate");
    tmux.keys(&["Enter"]);
    tmux.shows("sort tcp.pacing_rate");
    tmux.keys(&["c"]);
    tmux.typed("congestion control alg");
    tmux.until("what fits", |screen| screen.contains("[ ] ") && !screen.contains("[x] "));
    tmux.keys(&["Enter"]);
    tmux.shows("[x] ");
    tmux.keys(&["Escape"]);
    tmux.until("the column", |screen| {
        screen.lines().nth(2).is_some_and(|head| head.contains("pacing_rate") && head.contains("congestion"))
    });
    tmux.keys(&["b"]);
    tmux.typed("remote.port");
    tmux.keys(&["Enter"]);
    tmux.shows("by remote.port");
    tmux.keys(&["b"]);
    tmux.typed("remote.port");
    tmux.keys(&["Enter"]);
    tmux.until("no groups", |screen| !screen.contains("  by "));
    tmux.keys(&["2"]);
    tmux.shows("sort tcp.rtt_us down");
    // An invalid filter, a completed one, and a valid one.
    tmux.keys(&["/"]);
    tmux.typed("nonsense");
    tmux.keys(&["Enter"]);
    tmux.shows("^^^^^^^^");
    tmux.keys(&["C-u"]);
    tmux.typed("spo");
    tmux.keys(&["Tab"]);
    tmux.shows("/sport");
    tmux.typed("= :4321");
    tmux.keys(&["Enter"]);
    let taken = tmux.shows(" 8 sockets");
    assert!(taken.contains("/sport = :4321"), "{taken}");
    // An invalid filter leaves the old one in force.
    tmux.keys(&["/"]);
    tmux.typed(" and");
    tmux.keys(&["Enter"]);
    tmux.shows("expected");
    tmux.keys(&["Escape"]);
    tmux.shows("/sport = :4321");
    tmux.keys(&["/", "C-u", "Enter"]);
    tmux.shows("16 sockets");
    // Moving the selection.
    tmux.keys(&["1"]);
    tmux.keys(&["End"]);
    let last = tmux.until("the last line", |screen| line_of(screen, ">").is_some());
    tmux.keys(&["Home", "Down"]);
    let second = tmux.until("the second", |screen| line_of(screen, ">") != line_of(&last, ">"));
    tmux.keys(&["Up", "PageDown"]);
    tmux.until("a page on", |screen| {
        line_of(screen, ">").is_some_and(|line| Some(line) != line_of(&second, ">"))
    });
    tmux.keys(&["PageUp"]);
    // Groups, folded and unfolded.
    tmux.keys(&["g"]);
    tmux.shows("by process");
    tmux.shows("1 group of 16 sockets");
    tmux.keys(&["g", "g", "g", "g"]);
    let folded = tmux.shows("by local port");
    assert!(folded.contains("▸ 4321"), "{folded}");
    tmux.keys(&["Home", "Enter"]);
    tmux.shows("▾ ");
    tmux.keys(&["G", "G", "G", "G", "G"]);
    tmux.until("no groups", |screen| !screen.contains("  by "));
    // Details of a socket.
    tmux.keys(&["Home", "Enter"]);
    let details = tmux.shows("socket.state");
    tmux.until("rates", |screen| screen.lines().any(|line| line.starts_with("sent ")));
    tmux.until("bars", |screen| screen.contains('▁') || screen.contains('█'));
    tmux.keys(&["PageDown"]);
    tmux.until("further down", |screen| screen != details && !screen.contains("retrans  "));
    // The details include the other end and its holder, as it is on this machine.
    tmux.keys(&["Home"]);
    tmux.until("the other end", |screen| {
        let mut lines = screen.lines().skip_while(|line| !line.contains("the peer, on this machine"));
        let who = format!("{}/", std::process::id());
        lines.any(|line| line.starts_with("socket.processes") && line.contains(&who))
    });
    tmux.keys(&["End"]);
    tmux.until("the last", |screen| !screen.contains("the peer, on this machine"));
    tmux.keys(&["Escape"]);
    tmux.shows("/ to filter");
    // Pausing, and stepping back in time.
    tmux.keys(&["Space"]);
    let paused = tmux.shows("PAUSED");
    tmux.keys(&["Left", "Left"]);
    tmux.until("an older look", |screen| {
        screen.contains("PAUSED") && screen.lines().next() != paused.lines().next()
    });
    tmux.keys(&["Right", "Right"]);
    tmux.until("that look", |screen| {
        let place = |screen: &str| {
            screen.split("PAUSED ").nth(1).map(|rest| rest.split(' ').next().unwrap_or("").to_owned())
        };
        place(screen) == place(&paused)
    });
    tmux.keys(&["Space"]);
    tmux.until("going on", |screen| !screen.contains("PAUSED"));
    // Names of ports and hosts.
    tmux.keys(&["n"]);
    tmux.shows("port names");
    tmux.keys(&["n"]);
    tmux.shows("host and port names, shown");
    tmux.until("the host's name", |screen| screen.contains("localhost:"));
    tmux.keys(&["n"]);
    tmux.shows("numeric addresses and ports");
    tmux.until("numbers", |screen| !screen.contains("localhost:"));
    // Copying and saving.
    tmux.keys(&["Y"]);
    let object = tmux.shows("sent to the terminal's clipboard: {\"");
    assert!(object.contains("socket"), "{object}");
    tmux.keys(&["y"]);
    let copied = tmux.shows("sent to the terminal's clipboard: src 127.0.0.1:");
    assert!(copied.contains(" and dst 127.0.0.1:"), "{copied}");
    tmux.keys(&["s"]);
    tmux.shows("sockets to sockdiag-top-");
    let saved: Vec<PathBuf> = std::fs::read_dir(&tmux.folder)
        .expect("its folder")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    let text = std::fs::read_to_string(&saved[0]).expect("it was written");
    let rows: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(rows.len(), 16, "{text}");
    assert!(rows.iter().any(|row| row["remote.port"] == 4321 && row["local.port"] == ports[0]), "{text}");
    // Killing: first cancelled, then confirmed; only that socket is closed.
    tmux.keys(&["/"]);
    tmux.typed(&format!("sport = :{}", ports[7]));
    tmux.keys(&["Enter"]);
    tmux.shows(" 1 socket ");
    tmux.keys(&["k"]);
    let question = tmux.shows("kill this socket?");
    assert!(question.contains(&format!("127.0.0.1:{}", ports[7])), "{question}");
    tmux.keys(&["n"]);
    tmux.shows("no socket was killed");
    tmux.keys(&["k"]);
    tmux.shows("kill this socket?");
    tmux.keys(&["y"]);
    tmux.shows("the socket was killed");
    let aborted = pairs[7].0.write_all(b"x").and_then(|()| pairs[7].0.read(&mut [0]).map(|_| ()));
    assert!(aborted.is_err(), "its holder hears of it");
    for (client, server) in &mut pairs[..7] {
        client.write_all(b"x").expect("it lives");
        server.read_exact(&mut [0]).expect("it lives");
    }
    tmux.keys(&["q"]);
    tmux.until("that the terminal echoes again", |end| end.contains("ENDED 0") && end.contains("\necho"));
}

#[test]
fn what_opens_and_closes_is_marked_and_stays() {
    let Some(namespace) = super::namespace() else { return };
    let (listener, mut pairs) = connections(&namespace, 2);
    let Some(tmux) = Tmux::start(&namespace, "marks", (100, 16), &format!("{OURS} top --interval 500ms"))
    else {
        return;
    };
    tmux.shows(" 4 sockets");
    let more = namespace.with(|| {
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        (client, listener.accept().expect("it came").0)
    });
    let more = more.unwrap_or_else(|why| panic!("{why}"));
    let new = port(&more.0);
    tmux.until("it is new", |screen| {
        screen.lines().any(|line| line.starts_with('+') && line.contains(&format!(":{new}")))
    });
    let (client, server) = pairs.remove(0);
    let gone = port(&client);
    drop((client, server));
    tmux.until("it ended", |screen| {
        screen.lines().any(|line| line.starts_with('-') && line.contains(&format!(":{gone}")))
    });
    tmux.until("it left", |screen| {
        !screen.lines().any(|line| line.starts_with('-') && line.contains(&format!(":{gone}")))
    });
    tmux.keys(&["q"]);
    tmux.shows("ENDED 0");
}

#[test]
fn the_terminal_is_given_back() {
    use rustix::process::Signal;
    let Some(namespace) = super::namespace() else { return };
    let (_listener, _pairs) = connections(&namespace, 1);
    let start = |name: &str| Tmux::start(&namespace, name, (80, 24), &format!("{OURS} top"));
    for (name, signal, status) in
        [("term", Signal::TERM, 143), ("hup", Signal::HUP, 129), ("int", Signal::INT, 130)]
    {
        let Some(tmux) = start(name) else { return };
        tmux.shows("2 sockets");
        tmux.signal(signal);
        let status = format!("ENDED {status}");
        let end = tmux.until(&status, |end| end.contains(&status) && end.contains("\necho"));
        assert!(!end.contains("sockets"), "{name}: {end}");
    }
    // The program ends when its terminal is gone.
    let Some(tmux) = start("gone") else { return };
    tmux.shows("2 sockets");
    let process = PathBuf::from(format!("/proc/{}", tmux.pid()));
    drop(tmux);
    let end = Instant::now() + PATIENCE;
    while process.exists() {
        assert!(Instant::now() < end, "it goes on without a terminal");
        std::thread::sleep(Duration::from_millis(30));
    }
    // When stopped, the program restores the terminal; when continued, it takes it over again.
    let Some(tmux) = Tmux::start(&namespace, "stop", (80, 24), "exec bash --norc -i") else { return };
    tmux.typed(&format!("PS1='READY '; {OURS} top\n"));
    tmux.shows("2 sockets");
    tmux.keys(&["C-z"]);
    let stopped = tmux.shows("Stopped");
    assert!(!stopped.contains("2 sockets"), "{stopped}");
    tmux.typed("fg\n");
    tmux.shows("2 sockets");
    tmux.tmux(&["resize-window", "-x", "60", "-y", "12"]);
    tmux.until("the new size", |screen| {
        screen.lines().count() <= 12 && screen.lines().last().is_some_and(|line| line.contains("? help"))
    });
    tmux.keys(&["q"]);
    tmux.until("the shell", |screen| screen.trim_end().ends_with("READY"));
}
