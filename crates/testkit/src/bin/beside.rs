//! `sockdiag-beside PLAN RESULTS`: runs command lines through the reference and
//! ours in a guest kernel; see [`sockdiag_testkit::guest`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    sockdiag_testkit::guest::main(&args)
}
