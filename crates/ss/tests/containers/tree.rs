//! Recorded trees of hosts.
//!
//! A file in `trees/` is a host: the lines after `@file PATH` are that file, `@link PATH
//! TARGET` is a symbolic link, and `@owner UID PATH` gives everything at and below a path to a
//! user, if the test runs as root.

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// A host's files, in a directory of the test.
pub(crate) struct Tree(PathBuf);

impl Tree {
    /// A host of the directory `trees`.
    pub(crate) fn unpack(name: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees").join(name);
        let text = fs::read_to_string(&from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        Self::of(name, &text)
    }

    /// A host with a listener on each of these ports, held by a process in this cgroup; `more`
    /// adds files.
    pub(crate) fn with(name: &str, listeners: &[(u16, &str)], more: &str) -> Self {
        let mut text = String::from("\n@file proc/net/tcp\n  sl  local_address rem_address   st\n");
        for (port, _) in listeners {
            text.extend([format!(
                "   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 \
                 {} 1 0000000000000000 100 0 0 10 0\n",
                90_000 + u32::from(*port)
            )]);
        }
        text.pop();
        for (port, cgroup) in listeners {
            text.extend([format!(
                "\n@file proc/{port}/stat\n{port} (p{port}) S 1\n@file proc/{port}/cgroup\n0::{cgroup}\n\
                 @link proc/{port}/fd/3 socket:[{}]",
                90_000 + u32::from(*port)
            )]);
        }
        Self::of(name, &format!("{text}{more}"))
    }

    /// A host described by this text.
    pub(crate) fn of(name: &str, text: &str) -> Self {
        // Tests running at the same time may unpack the same host.
        static TREES: AtomicU32 = AtomicU32::new(0);
        let number = TREES.fetch_add(1, Ordering::Relaxed);
        let place = format!("containers-{name}-{}-{number}", std::process::id());
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(place);
        let _ = fs::remove_dir_all(&root);
        let place = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a directory of the test");
            path
        };
        for part in text.split("\n@").skip(1) {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            match *head.split(' ').collect::<Vec<_>>() {
                ["file", path] => fs::write(place(path), format!("{body}\n")).expect("a file of the test"),
                ["link", path, target] => symlink(target, place(path)).expect("a link of the test"),
                ["owner", uid, path] => give(&root.join(path), uid.parse().expect("a number")),
                _ => panic!("{name}: {head}"),
            }
        }
        Self(root)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Gives everything at and below a path to a user.
    pub(crate) fn give(&self, path: &str, uid: u32) {
        give(&self.path(path), uid);
    }

    /// A command that runs ours on this host.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(OURS);
        command.env("PROC_ROOT", self.0.join("proc")).args(words.split(' '));
        command
    }

    pub(crate) fn output(&self, words: &str) -> Output {
        self.command(words).output().expect("ours runs")
    }

    pub(crate) fn ss(&self, words: &str) -> String {
        let out = self.output(words);
        // The only allowed note is that the kernel was not queried.
        let notes = String::from_utf8_lossy(&out.stderr);
        let is_quiet = notes.lines().all(|line| line.contains("read from /proc text"));
        assert!(out.status.success() && is_quiet, "{words}: {out:?}");
        String::from_utf8(out.stdout).expect("ASCII")
    }

    /// The text after the peer's port, for each local port.
    pub(crate) fn details(&self) -> Vec<(String, String)> {
        Self::parse(&self.ss("-tlnH --containers"))
    }

    /// The same for given output of ours.
    pub(crate) fn parse(text: &str) -> Vec<(String, String)> {
        let split = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[3].replace("0.0.0.0:", ""), words[5..].join(" "))
        };
        let mut all: Vec<_> = text.lines().map(split).collect();
        all.sort_by_key(|(port, _)| port.parse::<u16>().expect("a port"));
        all
    }
}

/// Gives everything at and below a path to a user.
fn give(path: &Path, uid: u32) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    lchown(path, Some(uid), None).expect("root may");
    if path.is_dir() && !path.is_symlink() {
        let entries = fs::read_dir(path).expect("the test's own");
        entries.for_each(|entry| give(&entry.expect("the test's own").path(), uid));
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
