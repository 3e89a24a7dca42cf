//! The first line in which two outcomes differ, with invisible bytes escaped.

use std::fmt;

use super::exec::{Ended, Outcome};

/// A part of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// How the program ended.
    Status,
}

/// The first difference between two outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The differing part; output is compared before the status.
    pub part: Part,
    /// Which line, from 1; zero for [`Part::Status`].
    pub line: usize,
    /// The reference's line, escaped; absent past its end.
    pub reference: Option<String>,
    /// Our line, escaped; absent past its end.
    pub ours: Option<String>,
}

impl Difference {
    /// Compares output, errors and status, in this order.
    pub fn between(reference: &Outcome, ours: &Outcome) -> Option<Self> {
        Self::text(Part::Stdout, &reference.stdout, &ours.stdout)
            .or_else(|| Self::text(Part::Stderr, &reference.stderr, &ours.stderr))
            .or_else(|| (reference.ended != ours.ended).then(|| Self::ended(reference.ended, ours.ended)))
    }

    /// A difference in how they ended.
    pub(super) fn ended(reference: Ended, ours: Ended) -> Self {
        Self {
            part: Part::Status,
            line: 0,
            reference: Some(reference.to_string()),
            ours: Some(ours.to_string()),
        }
    }

    fn text(part: Part, reference: &[u8], ours: &[u8]) -> Option<Self> {
        if reference == ours {
            return None;
        }
        // The last line may lack its newline, which is a difference too.
        let mut theirs = reference.split_inclusive(|byte| *byte == b'\n');
        let mut our_lines = ours.split_inclusive(|byte| *byte == b'\n');
        let mut line = 0;
        loop {
            line += 1;
            let (a, b) = (theirs.next(), our_lines.next());
            if a != b {
                let escape = |line: &[u8]| line.escape_ascii().to_string();
                return Some(Self { part, line, reference: a.map(escape), ours: b.map(escape) });
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Stdout => writeln!(f, "  output, line {}", self.line)?,
            Part::Stderr => writeln!(f, "  errors, line {}", self.line)?,
            Part::Status => writeln!(f, "  status")?,
        }
        let end = || "(end)".to_owned();
        writeln!(f, "    reference |{}", self.reference.clone().unwrap_or_else(end))?;
        write!(f, "    ours      |{}", self.ours.clone().unwrap_or_else(end))
    }
}
