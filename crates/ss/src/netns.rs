//! `--netns`: the options that it cannot be combined with.

use sockdiag::source::Sources;

use crate::cli::{Args, Exit};

/// Returns an error for options that cannot be combined with several namespaces.
pub(crate) fn check(args: &Args, sources: &Sources) -> Result<(), Exit> {
    if args.netns.is_none() {
        return Ok(());
    }
    let clash =
        |what| Err(Exit::error(Exit::USAGE, format!("ss: --netns and {what} cannot be used together")));
    if args.is_about_destroying() {
        // Sockets are only destroyed in a namespace that the user entered explicitly.
        return clash(if args.kill { "--kill" } else { "--kill-dry-run" });
    }
    if args.events {
        return clash("--events");
    }
    if !sources.are_live() {
        return clash("files in place of the kernel (PROC_ROOT, PROC_NET_*, TCPDIAG_FILE)");
    }
    Ok(())
}
