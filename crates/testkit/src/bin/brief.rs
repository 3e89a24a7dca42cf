//! `sockdiag-brief CONNECTIONS PER-SECOND`: connections of a few milliseconds on
//! the current namespace's loopback; see [`sockdiag_testkit::brief`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    sockdiag_testkit::brief::main(&args)
}
