//! `sockdiag-churn CONNECTIONS-PER-SECOND SECONDS`: TCP connections that come
//! and go on the current namespace's loopback; see [`sockdiag_testkit::churn`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    sockdiag_testkit::churn::main(&args)
}
