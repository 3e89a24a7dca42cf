//! `-s`: the socket counts of one namespace or of several, and their format.
//!
//! For one namespace the output is the reference's; with several, the name of the namespace
//! precedes each.

use std::ffi::OsStr;
use std::io::{self, Write};

use sockdiag::fields::printable;
use sockdiag::namespaces;
use sockdiag::notice::Notice;
use sockdiag::source::{self, Sources};
use sockdiag_render::columns::Shape;
use sockdiag_render::json::Counted;
use sockdiag_render::summary;

use crate::cli::{Args, Exit};
use crate::terminal::Stdout;

/// Reads the counts that the options ask for; none without `-s`.
///
/// # Errors
/// When a namespace that was named does not exist or may not be entered.
pub(crate) fn read(
    args: &Args,
    sources: &Sources,
    say: &mut dyn FnMut(Notice),
) -> Result<Vec<Counted>, Exit> {
    match &args.netns {
        _ if !args.summary => Ok(Vec::new()),
        None => Ok(vec![Counted { netns: None, summary: source::summary(sources, say) }]),
        Some(words) => each(words, sources, say),
    }
}

fn each(words: &OsStr, sources: &Sources, say: &mut dyn FnMut(Notice)) -> Result<Vec<Counted>, Exit> {
    let found = namespaces::chosen(words)?;
    let (mut all, mut refused, mut errno) = (Vec::new(), Vec::new(), 0);
    for namespace in found.list {
        match namespace.enter() {
            Ok(entered) => {
                let summary = source::summary_in(&entered, sources, say);
                all.push(Counted { netns: Some(namespace.facts), summary });
            }
            Err(error) if namespace.is_chosen => {
                let title = printable(&namespace.facts.title);
                return Err(Exit::error(1, format!("ss: network namespace {title}: {error}")));
            }
            // The namespace ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                refused.push(namespace.facts.title);
                errno = error.raw_os_error().unwrap_or(0);
            }
        }
    }
    if !refused.is_empty() || found.unseen.is_any() {
        say(Notice::NamespacesUnseen { refused, errno, why: found.unseen });
    }
    Ok(all)
}

/// Prints the counts as text or as columns; a JSON document holds them itself.
///
/// # Errors
/// When writing to the output fails.
pub(crate) fn write(all: &[Counted], shape: Option<Shape>, header: bool) -> io::Result<()> {
    if let (Some(shape), false) = (shape, all.is_empty()) {
        return summary::sheet(all, shape, header, Box::new(Stdout));
    }
    let mut text = Vec::new();
    for Counted { netns, summary } in all {
        if let Some(netns) = netns {
            writeln!(text, "Netns: {}", printable(&netns.title))?;
        }
        summary::put(&mut text, summary);
    }
    Stdout.write_all(&text)
}
