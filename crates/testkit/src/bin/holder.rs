//! `sockdiag-holder CONNECTIONS [V6-PERCENT [USED-PERCENT]]`: that many TCP connections on
//! the current namespace's loopback; see [`sockdiag_testkit::holders`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    sockdiag_testkit::holders::main(&args)
}
