//! `cargo xtask picture`: makes the README's picture of `sockdiag top` from a real run.
//!
//! Servers and clients run in two network namespaces, connected by a link of limited rate.
//! tmux provides the terminal; its screen is read with colours and written as SVG.

mod svg;
mod workload;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sockdiag_testkit::Why;

use crate::bench::build_sockdiag;
use crate::fail::failed;
use crate::tmux::Tmux;
use workload::Workload;

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[FILE]";
/// The help text.
pub(crate) const DOC: &str = "\
Make the README's screenshot of sockdiag top, docs/top.svg or FILE, from a run on servers and
clients in network namespaces of their own.  Takes root and tmux.";

/// Size of the picture, in columns and lines.
const SIZE: (u16, u16) = (116, 28);
/// How long data moves before the picture is taken.
const WARM: Duration = Duration::from_secs(6);

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    // The processes in the picture are copies of this program.
    if let Some(("--as", role)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return workload::play(role);
    }
    let path = match words {
        [] => Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/top.svg"),
        [file] => PathBuf::from(file),
        _ => return Err(Why::new(format!("{} is not a valid argument; usage: {WORDS}", words.join(" ")))),
    };
    let program = std::env::current_exe().map_err(|error| failed(Path::new("this program"), &error))?;
    let picture = take(&program, &build_sockdiag()?)?;
    std::fs::write(&path, picture).map_err(|error| failed(&path, &error))
}

/// Takes the picture of a run; the processes in it are `xtask` under other names.
fn take(xtask: &Path, sockdiag: &Path) -> Result<String, Why> {
    let workload = Workload::start(xtask)?;
    let shell = format!("exec {} top --theme dark", sockdiag.display());
    let tmux = Tmux::start(workload.servers(), SIZE, &shell)?;
    std::thread::sleep(WARM);
    // Moves the selection, so that the picture shows it.
    tmux.does(&["send-keys", "Down", "Down"])?;
    std::thread::sleep(Duration::from_millis(300));
    let screen = tmux.does(&["capture-pane", "-e", "-N", "-p"])?;
    Ok(svg::of(&screen, SIZE, "sockdiag top"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use sockdiag_testkit::{bins, skip};

    use super::*;

    /// The text content of a document, if an XML parser accepts it.
    fn parsed(document: &str) -> Option<String> {
        let script = "import sys, xml.etree.ElementTree as tree
root = tree.fromstring(sys.stdin.buffer.read())
assert root.tag == '{http://www.w3.org/2000/svg}svg', root.tag
print(''.join(root.itertext()))";
        let python =
            Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut python) = python else {
            skip::report("there is no python3 here");
            return None;
        };
        python.stdin.take().expect("a pipe").write_all(document.as_bytes()).expect("it reads");
        let out = python.wait_with_output().expect("it ends");
        assert!(out.status.success(), "{document}");
        Some(String::from_utf8(out.stdout).expect("UTF-8"))
    }

    #[test]
    fn the_picture_is_svg_of_what_stood_there() {
        if !rustix::process::geteuid().is_root() {
            return skip::report("only root connects two network namespaces");
        }
        if !Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        {
            return skip::report("there is no tmux here");
        }
        let (xtask, sockdiag) = match (bins::of("xtask", "xtask"), bins::of("sockdiag-cli", "sockdiag")) {
            (Ok(xtask), Ok(sockdiag)) => (xtask, sockdiag),
            (Err(why), _) | (_, Err(why)) => return skip::report(why),
        };
        let picture = match take(&xtask, &sockdiag) {
            Ok(picture) => picture,
            Err(why) => panic!("{why}"),
        };
        let Some(text) = parsed(&picture) else { return };
        for expected in [
            "sockdiag top tcp",
            "sent/s",
            "received/s",
            "process",
            "ESTAB",
            "bit/s",
            "web",
            "backup",
            "? help",
        ] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
        assert!(!text.contains("rates after"), "{text}");
        // Processes with their own names, at the ends of connections.
        let pieces: Vec<&str> = text.lines().collect();
        assert!(pieces.iter().any(|piece| piece.starts_with("10.20.0.1:443")), "{text}");
        assert!(pieces.iter().any(|piece| piece.ends_with("bit/s web")) || pieces.contains(&"web"), "{text}");
    }

    #[test]
    fn letters_that_mean_something_in_xml_are_text() {
        let document = svg::of("a<b>&\"c\x1b[1;7;38;5;22m日本 x\x1b[0m\x1b[32mg\x1b[39m\n", (20, 2), "<&>");
        let Some(text) = parsed(&document) else { return };
        assert!(text.contains("a<b>&\"c") && text.contains("日本 x"), "{text}");
    }
}
