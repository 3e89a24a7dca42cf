//! `-E` while thousands of connections per second are closed: every socket is shown once, or
//! ours reports that the receive queue overflowed.
//!
//! `SOCKDIAG_CHURN_SECONDS` sets the duration; CONTRIBUTING.md says when it should be a
//! minute.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sockdiag_testkit::churn::{Churned, churn};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::{skip, until};

const OURS: &str = env!("CARGO_BIN_EXE_ss");
/// After this long without a line, no more are expected.
const SILENCE: Duration = Duration::from_secs(5);

/// Our `ss -E` in a namespace; stopped by its process id.
struct Follower {
    child: Child,
    /// The number of lines so far.
    count: Arc<AtomicUsize>,
    /// How often each cookie was shown.
    shown: JoinHandle<HashMap<u64, u32>>,
    errors: JoinHandle<String>,
}

impl Follower {
    /// Starts ours through `command`, to which the program and its options are appended.
    fn start(mut command: Command, namespace: &Namespace) -> Self {
        namespace.enter(&mut command);
        command.args([OURS, "-tEHneO"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let pipe = BufReader::new(child.stdout.take().expect("piped"));
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let shown = thread::spawn(move || {
            let mut shown = HashMap::new();
            for line in pipe.lines().map_while(Result::ok) {
                let cookie = line.split_whitespace().find_map(|word| word.strip_prefix("sk:"));
                let cookie = cookie.and_then(|cookie| u64::from_str_radix(cookie, 16).ok());
                *shown.entry(cookie.unwrap_or_else(|| panic!("no cookie: {line}"))).or_default() += 1;
                counter.fetch_add(1, Ordering::Relaxed);
            }
            shown
        });
        let mut pipe = child.stderr.take().expect("piped");
        let errors = thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            text
        });
        let joined = || namespace.followers().is_ok_and(|followers| !followers.is_empty());
        let ended = |child: &mut Child| !matches!(child.try_wait(), Ok(None));
        assert!(until(|| joined() || ended(&mut child)), "it never joined the groups");
        Self { child, count, shown, errors }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until there are enough lines, or no more arrive.
    fn wait_for(&self, enough: usize) {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let count = self.count.load(Ordering::Relaxed);
            if count != before {
                (before, since) = (count, Instant::now());
            }
            if count >= enough || since.elapsed() > SILENCE {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until no more lines arrive.
    fn settle(&self) {
        self.wait_for(usize::MAX);
    }

    /// Waits likewise and kills it; returns what it showed and printed on stderr.
    fn stop(mut self, enough: usize) -> (HashMap<u64, u32>, String) {
        self.wait_for(enough);
        // A duplicate line would arrive now.
        thread::sleep(Duration::from_millis(200));
        let _ = self.child.kill();
        let _ = self.child.wait();
        (self.shown.join().expect("the reader ends with the pipe"), self.errors.join().expect("so does this"))
    }
}

/// Runs connections past a follower and checks what it showed.
fn follow(a_second: u32, seconds: u32) {
    let Some(namespace) = Namespace::or_skip() else { return };
    let follower = Follower::start(Command::new("env"), &namespace);
    let churned = churn(&namespace, a_second, seconds).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(churned.connections, a_second * seconds);
    assert_eq!(churned.cookies.len(), churned.connections as usize * 2);
    let (shown, errors) = follower.stop(churned.cookies.len());
    report(&churned, &shown, &errors);
    check(&churned, &shown, &errors);
}

fn report(churned: &Churned, shown: &HashMap<u64, u32>, errors: &str) {
    let twice = shown.values().filter(|count| **count > 1).count();
    eprintln!(
        "{} connections in {:.1} s ({:.0} a second): {} sockets destroyed, {} shown, {twice} more than once; \
         said: {errors:?}",
        churned.connections,
        churned.took.as_secs_f64(),
        churned.rate(),
        churned.cookies.len(),
        shown.len(),
    );
}

/// Asserts that no socket is shown twice, and that all are shown unless losses are reported.
fn check(churned: &Churned, shown: &HashMap<u64, u32>, errors: &str) {
    // The two listeners end too, and may be among the lost.
    let strangers = shown.keys().filter(|cookie| !churned.cookies.contains(cookie)).count();
    assert!(strangers <= 2, "{strangers} sockets that nobody made");
    assert!(shown.values().all(|count| *count == 1), "a socket was shown twice");
    let unseen = churned.cookies.iter().filter(|cookie| !shown.contains_key(cookie)).count();
    if errors.is_empty() {
        assert_eq!(unseen, 0, "sockets were destroyed unseen, and nothing was said");
    } else {
        assert!(errors.lines().all(|line| line.contains("receive queue overflowed")), "{errors}");
        assert!(unseen > 0 || strangers < 2, "nothing was lost: {errors}");
    }
}

#[test]
fn two_thousand_closing_connections_a_second_are_shown_once() {
    let seconds = std::env::var("SOCKDIAG_CHURN_SECONDS").ok();
    follow(2_000, seconds.map_or(5, |seconds| seconds.parse().expect("a number of seconds")));
}

/// Without privilege the queue is short, so a follower that is stopped loses events.
#[test]
fn what_overflows_is_reported_and_the_rest_is_shown() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all"]);
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        skip!("no setpriv");
    }
    let follower = Follower::start(command, &namespace);
    let awake = churn(&namespace, 100, 1).unwrap_or_else(|why| panic!("{why}"));
    follower.signal("-STOP");
    let asleep = churn(&namespace, 10_000, 1).unwrap_or_else(|why| panic!("{why}"));
    // The kernel reports a socket some time after it is gone.
    let dropped = || namespace.followers().is_ok_and(|followers| followers.iter().any(|drops| *drops > 0));
    until(dropped);
    follower.signal("-CONT");
    follower.settle();
    let again = churn(&namespace, 100, 1).unwrap_or_else(|why| panic!("{why}"));
    let (shown, errors) = follower.stop(usize::MAX);
    if errors.contains("setpriv") {
        skip!("{}", errors.trim_end());
    }
    report(&asleep, &shown, &errors);
    for churned in [&awake, &again] {
        assert!(
            churned.cookies.iter().all(|cookie| shown.contains_key(cookie)),
            "before and after: {errors}"
        );
    }
    assert!(asleep.cookies.iter().any(|cookie| !shown.contains_key(cookie)), "the queue held all");
    assert!(shown.values().all(|count| *count == 1), "a socket was shown twice");
    assert!(errors.contains("ss: the netlink receive queue overflowed 1 time,"), "{errors}");
}
