//! `ss`: what the kernel knows about its sockets.
//!
//! Only this file ends the program; `run` writes the listing and what is worth
//! saying beside it, and everything else says how to end.

mod cli;
mod listing;
mod manual;
mod netns;
mod run;
mod terminal;
mod words;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    sockdiag::sys::signals::die_of_broken_pipes();
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let program = if words.is_empty() { OsString::from("ss") } else { words.remove(0) };
    match run::run(&program, &words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            // Nobody is left to tell if this fails.
            let _ = terminal::Stdout.write_all(&exit.stdout);
            let _ = std::io::stderr().write_all(&exit.stderr);
            ExitCode::from(exit.code)
        }
    }
}
