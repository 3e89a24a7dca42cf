//! `sockdiag`: what the kernel knows about its sockets, over time.
//!
//! A sub-command is a row of [`command::SUBCOMMANDS`].  Only this file ends the program;
//! everything else returns how to end it ([`end::End`]).

mod command;
mod complete;
mod doctor;
mod end;
mod generate;
mod options;
mod output;
mod over_time;
mod question;
mod sys;
mod time_span;
mod top;
mod wait;
mod watch;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use end::{End, Status};
use output::{Stream, write_by};

fn main() -> ExitCode {
    sockdiag::fields::Catalog::share_extended();
    let words: Vec<OsString> = std::env::args_os().collect();
    let end = match complete::answer(&words) {
        Ok(true) => End::done(),
        Ok(false) => command::run(words),
        Err(error) => End::new(Status::Usage, error.to_string()),
    };
    let end = match &end.list {
        Some(list) => match write_by(Stream::Out, list.as_bytes(), None) {
            Ok(()) => end,
            Err(error) => End::unwritten(&error),
        },
        None => end,
    };
    if let Some(text) = &end.text {
        // A failure here cannot be reported anywhere.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    ExitCode::from(end.code)
}
