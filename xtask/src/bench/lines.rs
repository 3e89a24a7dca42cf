//! The command lines that are measured.
//!
//! Clocks tick between two runs, so what `-i` prints of live sockets cannot
//! be compared: that is done on a recording of the same sockets.

use std::ffi::OsString;

/// Where a command line runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Among the sockets.
    Sockets,
    /// On a recording of the sockets (`TCPDIAG_FILE`).
    Recording,
    /// Where there is no socket at all, before they are made.
    Empty,
}

/// What is asked of the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// To be equal.
    Bytes,
    /// Nothing, for this reason.
    Unasked(&'static str),
}

/// One command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What `--commands` calls it.
    pub name: &'static str,
    /// Its words; `PORT` stands for a port that few sockets have.
    pub words: &'static str,
    pub place: Place,
    pub compare: Compare,
    /// How often it runs for each run asked for: short ones more often.
    pub repeats: usize,
}

/// All of them, in the order of the table.
pub(super) const LINES: &[Line] = &[
    Line { repeats: 20, compare: Compare::Unasked("names differ"), ..line("version", "-V", Place::Empty) },
    Line { repeats: 20, ..line("empty", "-tan", Place::Empty) },
    line("tan", "-tan", Place::Sockets),
    Line { compare: Compare::Unasked("clocks tick"), ..line("tani", "-tani", Place::Sockets) },
    line("tanm", "-tanm", Place::Sockets),
    line("tane", "-tane", Place::Sockets),
    Line { repeats: 5, ..line("tln", "-tln", Place::Sockets) },
    line("filter", "-tan sport = :PORT", Place::Sockets),
    Line { repeats: 20, ..line("uan", "-uan", Place::Sockets) },
    line("replay-tan", "-tan", Place::Recording),
    line("replay-tani", "-tani", Place::Recording),
];

const fn line(name: &'static str, words: &'static str, place: Place) -> Line {
    Line { name, words, place, compare: Compare::Bytes, repeats: 1 }
}

impl Line {
    /// The arguments.
    pub(super) fn args(&self, port: u16) -> Vec<OsString> {
        super::words(&self.words.replace("PORT", &port.to_string())).map(OsString::from).collect()
    }

    /// How the table shows it.
    pub(super) fn shown(&self) -> String {
        let after = match self.place {
            Place::Sockets => "",
            Place::Recording => " from a recording",
            Place::Empty if self.name == "version" => "",
            Place::Empty => " where there is none",
        };
        format!("`{}`{after}", self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_names_of_their_own_and_close_nothing() {
        for line in LINES {
            assert_eq!(LINES.iter().filter(|other| other.name == line.name).count(), 1, "{}", line.name);
            assert!(line.repeats > 0);
            for arg in line.args(7) {
                let arg = arg.to_string_lossy().into_owned();
                assert!(!arg.starts_with("--") && !arg.contains('K') && !arg.contains('E'), "{arg}");
            }
        }
        assert_eq!(
            LINES.iter().find(|line| line.name == "filter").unwrap().args(7),
            ["-tan", "sport", "=", ":7"]
        );
    }
}
