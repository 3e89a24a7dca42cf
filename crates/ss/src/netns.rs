//! `--netns`: what it cannot go together with, and the filter file for it.

use std::io::{BufRead, Read as _};

use sockdiag::source::Sources;

use crate::cli::{Args, Exit};

/// Ends for what cannot go together with several namespaces.
pub(crate) fn check(args: &Args, sources: &Sources) -> Result<(), Exit> {
    if args.netns.is_none() {
        return Ok(());
    }
    let clash =
        |what| Err(Exit::error(Exit::USAGE, format!("ss: --netns and {what} cannot be used together")));
    let range = sources.ip_local_port_range.clone();
    if args.kill {
        // Whoever closes sockets should name their namespace, once.
        return clash("--kill");
    }
    if args.events {
        return clash("--events");
    }
    if *sources != (Sources { ip_local_port_range: range, ..Sources::default() }) {
        return clash("files in place of the kernel (PROC_ROOT, PROC_NET_*, TCPDIAG_FILE)");
    }
    Ok(())
}

/// The text of the filter file, which is read several times.
pub(crate) fn whole(file: Option<Box<dyn BufRead + Send>>) -> Result<Option<Vec<u8>>, Exit> {
    let Some(mut file) = file else { return Ok(None) };
    let mut text = Vec::new();
    file.read_to_end(&mut text)
        .map_err(|error| Exit::error(Exit::USAGE, format!("ss: filter file: {error}")))?;
    Ok(Some(text))
}
