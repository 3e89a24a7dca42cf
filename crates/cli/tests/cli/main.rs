//! Tests that run the program `sockdiag`: help and documents, top and watch, and waits.
//!
//! Sockets are made in network namespaces of the tests.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod doctor;
mod documents;
mod ends;
mod over_time;
mod screen;
mod terminal;
mod wait;

use std::process::{Command, Output, Stdio};

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;

const OURS: &str = env!("CARGO_BIN_EXE_sockdiag");

/// A namespace in which the test itself can make sockets.
fn namespace() -> Option<Namespace> {
    if !rustix::process::geteuid().is_root() {
        skip::report("only root makes sockets in another network namespace");
        return None;
    }
    Namespace::or_skip()
}

/// Runs the program in the namespace of the calling thread.
fn run(words: &[&str]) -> Output {
    let mut command = Command::new(OURS);
    command.args(words).stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
