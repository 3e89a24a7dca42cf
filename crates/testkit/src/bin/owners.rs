//! `sockdiag-owners NAME...`: sockets that several processes and threads hold;
//! see [`sockdiag_testkit::owners`].

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    sockdiag_testkit::owners::main(&args)
}
