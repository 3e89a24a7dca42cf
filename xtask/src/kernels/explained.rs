//! Intended differences: each is a row of COMPAT.md, with a check that nothing else differs.

use sockdiag_testkit::compare::{Ended, Outcome};
use sockdiag_testkit::guest::Line;

/// A deliberate difference.
pub(crate) struct Explained {
    /// The first cell of its row in COMPAT.md.
    pub(crate) compat: &'static str,
    /// Whether the two outputs differ in exactly this way.
    shows: fn(&Line, &Outcome, &Outcome) -> bool,
}

/// All intended differences.
pub(crate) const EXPLAINED: &[Explained] = &[
    Explained { compat: "control characters in unix names", shows: odd_name },
    Explained { compat: "`-V`, `-v`", shows: version },
    Explained { compat: "`-h`, `-f help`", shows: help },
    Explained { compat: "`-d`, `--dccp`, `-A dccp`", shows: dccp },
];

/// The row that explains a difference between two masked outcomes.
pub(crate) fn explain(line: &Line, reference: &Outcome, ours: &Outcome) -> Option<&'static str> {
    EXPLAINED.iter().find(|one| (one.shows)(line, reference, ours)).map(|one| one.compat)
}

/// The only name in the zoo with a control character, and how ours prints it.
const ODD_NAME: (&str, &str) = ("/run/zoo with space\n", "/run/zoo with space\\012");

/// Equal once the name is escaped on both sides; the padding of columns is then ignored.
fn odd_name(_: &Line, reference: &Outcome, ours: &Outcome) -> bool {
    let theirs = String::from_utf8_lossy(&reference.stdout);
    theirs.contains(ODD_NAME.0)
        && squeeze(&theirs.replace(ODD_NAME.0, ODD_NAME.1)) == squeeze(&String::from_utf8_lossy(&ours.stdout))
        && (&reference.stderr, reference.ended) == (&ours.stderr, ours.ended)
}

fn squeeze(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether ours prints what the reference prints and adds to it.
fn adds(reference: &Outcome, ours: &Outcome, start: &[u8]) -> bool {
    ours.stdout.strip_prefix(reference.stdout.as_slice()).is_some_and(|rest| rest.starts_with(start))
        && (&reference.stderr, reference.ended) == (&ours.stderr, ours.ended)
}

fn version(line: &Line, reference: &Outcome, ours: &Outcome) -> bool {
    line.words == ["-V"] && adds(reference, ours, b"sockdiag ")
}

fn help(line: &Line, reference: &Outcome, ours: &Outcome) -> bool {
    line.words == ["-h"] && adds(reference, ours, b"\n")
}

fn dccp(line: &Line, reference: &Outcome, ours: &Outcome) -> bool {
    line.words == ["-d"]
        && reference.stderr.starts_with(b"ss: invalid option -- 'd'\n")
        && reference.ended == Ended::Exit(255)
        && ours.ended == Ended::Exit(0)
        && ours.stderr.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag_testkit::guest::How;

    fn outcome(stdout: &str) -> Outcome {
        Outcome { stdout: stdout.into(), stderr: Vec::new(), ended: Ended::Exit(0) }
    }

    fn line(text: &str) -> Line {
        Line { how: How::Plain, judge: "sid".into(), words: text.split(' ').map(str::to_owned).collect() }
    }

    #[test]
    fn every_explanation_is_a_row_of_compat() {
        let compat = include_str!("../../../COMPAT.md");
        for one in EXPLAINED {
            assert!(compat.contains(&format!("\n| {} |", one.compat)), "{}", one.compat);
        }
    }

    #[test]
    fn nothing_hides_behind_an_explanation() {
        let theirs = outcome("u_str  a\nu_str   /run/zoo with space\n 757  * 0\n");
        assert!(
            explain(&line("-xa"), &theirs, &outcome("u_str a\nu_str /run/zoo with space\\012 757 * 0\n"))
                .is_some()
        );
        assert!(
            explain(&line("-xa"), &theirs, &outcome("u_str a\nu_str /run/zoo with space\\012 758 * 0\n"))
                .is_none()
        );
        assert!(explain(&line("-xa"), &outcome("u_str  a\n"), &outcome("u_str a\n")).is_none());
        assert!(explain(&line("-V"), &outcome("ss\n"), &outcome("ss\nsockdiag 1\n")).is_some());
        assert!(explain(&line("-V"), &outcome("ss\n"), &outcome("s\nsockdiag 1\n")).is_none());
        assert!(explain(&line("-tan"), &outcome("ss\n"), &outcome("ss\nsockdiag 1\n")).is_none());
    }
}
