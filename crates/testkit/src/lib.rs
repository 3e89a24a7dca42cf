//! For tests only: sockets of every kind and state, network namespaces, recordings, and the
//! reference to compare with.
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`mod@reference`] | the command that runs the real `ss` |
//! | [`compare`] | the same command line through the real `ss` and ours |
//! | [`guest`] | the same inside another kernel |
//! | [`mod@pins`] | the versions of what is taken from Debian's archive |
//! | [`netns`] | a network namespace for a test, root or not |
//! | [`zoo`] | TCP, UDP and raw sockets of named kinds, held open |
//! | [`holders`] | a very large number of TCP connections, held open |
//! | [`churn`] | TCP connections that come and go at a steady pace |
//! | [`brief`] | connections of a few milliseconds, and what a watcher reports of their ends |
//! | [`noise`] | activity of other programs while tests run |
//! | [`path`], [`packet`] | a path between two namespaces that loses, delays and changes packets |
//! | [`actor`] | programs that misuse sockets in a chosen way |
//! | [`measure`] | what one run of a program costs |
//! | [`recording`] | files in the format of `ss -D`: built, cut, random, damaged |
//! | [`replies`] | crafted answers of a kernel, for families that this one lacks |
//! | [`refuse`] | a kernel that refuses certain system calls |
//! | [`mod@bpf`] | a machine that runs BPF programs on memory made for them |
//! | [`btf`], [`maps`] | types made by hand, and BPF maps with values of them beside sockets |
//! | [`leaks`] | BPF objects that no process holds |
//! | [`mod@skip`] | the only way to skip a test |
//! | [`bins`] | this package's programs and the examples, built when first asked for |
//!
//! Nothing here touches the network or the processes of its surroundings:
//! sockets live in namespaces made for them, and only processes that were
//! started here are stopped, each by its own id.
//!
//! This crate does not use `sockdiag-wire`, so that it can check it.

pub mod actor;
pub mod bins;
pub mod bpf;
pub mod brief;
pub mod btf;
pub mod bytecode;
pub mod churn;
pub mod compare;
pub mod guest;
pub mod holders;
pub mod leaks;
pub mod listener;
pub mod maps;
pub mod measure;
pub mod netns;
mod nl;
pub mod noise;
pub mod owners;
pub mod packet;
pub mod path;
pub mod pins;
pub mod recording;
pub mod reference;
pub mod refuse;
pub mod replies;
pub mod skip;
mod sys;
pub mod terminal;
pub mod wrong_filters;
pub mod zoo;

use std::fmt;
use std::time::{Duration, Instant};

/// Why something that a test needs is unavailable, as a sentence.
///
/// A test either fails with it or passes it to [`skip!`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why(String);

impl Why {
    /// Wraps a sentence that names the attempt and its result.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Why {}

/// Waits until something holds, checking every few milliseconds; false if it does not within
/// half a minute.
///
/// A test waits for a condition, never for a time that is usually enough.
pub fn until(mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > Duration::from_secs(30) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Adds to an error what was being done.
pub(crate) trait Doing<T> {
    /// Turns an error into a [`Why`] that reads `WHAT: ERROR`.
    fn doing(self, what: impl fmt::Display) -> Result<T, Why>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Result<T, Why> {
        self.map_err(|error| Why(format!("{what}: {error}")))
    }
}
