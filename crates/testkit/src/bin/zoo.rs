//! `sockdiag-zoo [-l] [KIND...]`: sockets of chosen kinds in the current
//! namespaces; see [`sockdiag_testkit::zoo`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    sockdiag_testkit::zoo::main(&args)
}
