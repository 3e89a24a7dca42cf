//! `ss`: what the kernel knows about its sockets.
//!
//! Only this file ends the program.  `run` prints the listing and its messages; every other
//! module returns how the program should exit.

mod cli;
mod counts;
mod help;
mod last_words;
mod listing;
mod manual;
mod netns;
mod notes;
mod quirks;
mod run;
mod sys;
mod terminal;
mod words;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use last_words::LastWords;

fn main() -> ExitCode {
    sys::restore_sigpipe();
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let program = if words.is_empty() { OsString::from("ss") } else { words.remove(0) };
    match run::run(&program, &words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            let people = words::are_for_people(&words).then_some(&*words);
            let last = LastWords::new(exit, people);
            let written = terminal::Stdout.write_all(&last.stdout);
            let unwritten = written.err().filter(|_| last.is_ours).and_then(|error| words::unwritten(&error));
            let last = unwritten.map_or(last, |exit| LastWords::new(exit, people));
            // If stderr fails too, there is nowhere left to report it.
            let _ = std::io::stderr().write_all(&last.stderr);
            ExitCode::from(last.code)
        }
    }
}
