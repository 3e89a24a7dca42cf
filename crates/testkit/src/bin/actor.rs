//! `sockdiag-actor ROLE ADDRESS [KEY=VALUE]...`: see [`sockdiag_testkit::actor`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    sockdiag_testkit::actor::main(&args)
}
