//! `sockdiag-noise`: what other people do on a machine while tests run, until
//! its input ends; see [`sockdiag_testkit::noise`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    sockdiag_testkit::noise::main(&args)
}
