//! The measured command lines.
//!
//! Clocks tick between two runs, so the `-i` output of live sockets cannot be compared; it is
//! compared on a recording of the same sockets.

use std::ffi::OsString;

/// Where a command line runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the namespace with the sockets.
    Sockets,
    /// On a recording of the sockets (`TCPDIAG_FILE`).
    Recording,
    /// With no socket at all, before any is made.
    Empty,
    /// In a namespace with few sockets, while other processes hold many in another one.
    Elsewhere,
}

/// The program that ours is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theirs {
    /// The reference with the same words.
    Reference,
    /// The reference up to this many sockets; for more, its cost is extrapolated quadratically
    /// from the largest number measured.
    ReferenceUpTo(u32),
    /// Another tool that people use for the same question, up to this many sockets.
    Neighbour(&'static str, u32),
    /// A dump of the kernel's table that is discarded (`cargo xtask bare-dump`).
    BareDump,
    /// Our own program with these arguments.
    Ours(&'static str),
}

/// How outputs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// They must be equal.
    Bytes,
    /// They are not compared, for this reason.
    Unasked(&'static str),
}

/// One command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its name for `--commands`.
    pub name: &'static str,
    /// Its arguments; `PORT` stands for a port that few sockets have.
    pub words: &'static str,
    pub theirs: Theirs,
    pub place: Place,
    pub compare: Compare,
    /// An environment variable, set only for ours.
    pub env: Option<(&'static str, &'static str)>,
    /// How often it runs per requested run: short ones run more often.
    pub repeats: usize,
}

/// The method of finding holders; see `crates/ss/src/run.rs`.
const WALK: Option<(&str, &str)> = Some(("SOCKDIAG_PROCESSES", "proc"));
const BPF: Option<(&str, &str)> = Some(("SOCKDIAG_PROCESSES", "bpf"));
/// Beyond this the reference's `-p` takes minutes.
const SQUARE: Theirs = Theirs::ReferenceUpTo(100_000);

/// All lines, in the order of the table.
pub(super) const LINES: &[Line] = &[
    Line { repeats: 20, compare: Compare::Unasked("names differ"), ..line("version", "-V", Place::Empty) },
    Line { repeats: 20, ..line("empty", "-tan", Place::Empty) },
    line("tan", "-tan", Place::Sockets),
    Line { theirs: Theirs::BareDump, compare: NO_LISTING, ..line("bare", "-tan", Place::Sockets) },
    Line { compare: Compare::Unasked("clocks tick"), ..line("tani", "-tani", Place::Sockets) },
    line("tanm", "-tanm", Place::Sockets),
    line("tane", "-tane", Place::Sockets),
    Line { theirs: SQUARE, env: BPF, ..line("tanp", "-tanp", Place::Sockets) },
    Line { theirs: SQUARE, env: WALK, ..line("tanp-proc", "-tanp", Place::Sockets) },
    Line { env: BPF, ..own("tanp-tan", "-tanp", "-tan") },
    Line { env: WALK, ..own("tanp-proc-tan", "-tanp", "-tan") },
    Line { compare: Compare::Bytes, ..own("tan-dump", "-tan", DUMPED) },
    own("tani-dump", "-tani", "-tani --source netlink"),
    own("tanp-dump", "-tanp", DUMPED),
    own("json", "-tanie -j", "-tanie"),
    own("jsonl", "-tanie --jsonl", "-tanie"),
    Line { repeats: 5, ..line("tln", "-tln", Place::Sockets) },
    Line { theirs: SQUARE, ..line("tlnp", "-tlnp", Place::Sockets) },
    Line { env: BPF, ..line("tunlp", "-tunlp", Place::Elsewhere) },
    Line { env: WALK, ..line("tunlp-proc", "-tunlp", Place::Elsewhere) },
    Line { repeats: 10, compare: Compare::Unasked("counts change"), ..line("s", "-s", Place::Sockets) },
    line("filter", "-tan sport = :PORT", Place::Sockets),
    Line { repeats: 10, ..line("exact", "-tan src LOCAL dst REMOTE", Place::Sockets) },
    Line { repeats: 20, ..line("uan", "-uan", Place::Sockets) },
    line("replay-tan", "-tan", Place::Recording),
    line("replay-tani", "-tani", Place::Recording),
    neighbour("netstat-tan", "-tan", "netstat -tan"),
    neighbour("netstat-tanp", "-tanp", "netstat -tanp"),
    neighbour("lsof", "-tanp", "lsof -nP -i"),
];

/// `-tan` by a dump, as before the walk of the kernel's tables existed.
const DUMPED: &str = "-tan --source netlink";
const NO_LISTING: Compare = Compare::Unasked("a bare dump prints nothing");

const fn line(name: &'static str, words: &'static str, place: Place) -> Line {
    Line { name, words, theirs: Theirs::Reference, place, compare: Compare::Bytes, env: None, repeats: 1 }
}

const fn neighbour(name: &'static str, words: &'static str, theirs: &'static str) -> Line {
    Line {
        theirs: Theirs::Neighbour(theirs, 100_000),
        compare: Compare::Unasked("another layout"),
        ..line(name, words, Place::Sockets)
    }
}

const fn own(name: &'static str, words: &'static str, theirs: &'static str) -> Line {
    Line {
        theirs: Theirs::Ours(theirs),
        compare: Compare::Unasked("another answer"),
        ..line(name, words, Place::Sockets)
    }
}

impl Line {
    /// The arguments.
    pub(super) fn args(&self, one: &OneSocket) -> Vec<OsString> {
        let words = self
            .words
            .replace("PORT", &one.port.to_string())
            .replace("LOCAL", &one.local)
            .replace("REMOTE", &one.remote);
        super::words(&words).map(OsString::from).collect()
    }

    /// The command, as the table shows it.
    pub(super) fn asked(&self) -> String {
        let after = match self.place {
            Place::Sockets => "",
            Place::Recording => " from a recording",
            Place::Empty if self.name == "version" => "",
            Place::Empty => " where there is none",
            Place::Elsewhere => " beside them",
        };
        let env = match self.env {
            None => "",
            WALK => ", from /proc",
            Some(_) => ", with BPF",
        };
        format!("`{}`{after}{env}", self.words)
    }

    /// The same, with what it is measured against.
    pub(super) fn shown(&self) -> String {
        let theirs = match self.theirs {
            Theirs::Neighbour(words, _) => format!("; `{words}`"),
            Theirs::BareDump => "; a bare dump".to_owned(),
            Theirs::Ours(words) => format!("; our own `{words}`"),
            Theirs::Reference | Theirs::ReferenceUpTo(_) => String::new(),
        };
        self.asked() + &theirs
    }

    /// Whether the other program is run with this many sockets.
    pub(super) fn theirs_runs(&self, sockets: u32) -> bool {
        match self.theirs {
            Theirs::Reference | Theirs::BareDump | Theirs::Ours(_) => true,
            Theirs::ReferenceUpTo(most) | Theirs::Neighbour(_, most) => sockets <= most,
        }
    }

    /// Whether the line is run at all with this many sockets.
    pub(super) fn runs(&self, sockets: u32) -> bool {
        !matches!(self.theirs, Theirs::Neighbour(..)) || (self.theirs_runs(sockets) && sockets >= 10_000)
    }
}

/// A socket for use in filters.
#[derive(Clone, Debug, Default)]
pub(super) struct OneSocket {
    /// A port that few sockets have.
    pub port: u16,
    /// Both ends of one connection, `ADDRESS:PORT`.
    pub local: String,
    pub remote: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_names_of_their_own_and_close_nothing() {
        let one = OneSocket { port: 7, local: "127.0.0.1:7".to_owned(), remote: "127.0.0.1:8".to_owned() };
        for line in LINES {
            assert_eq!(LINES.iter().filter(|other| other.name == line.name).count(), 1, "{}", line.name);
            assert!(line.repeats > 0);
            for arg in line.args(&one) {
                let arg = arg.to_string_lossy().into_owned();
                let short = !arg.starts_with("--") && !arg.contains('K') && !arg.contains('E');
                assert!(short || ["--jsonl", "--source"].contains(&arg.as_str()), "{arg}");
            }
        }
        assert_eq!(
            LINES.iter().find(|line| line.name == "filter").unwrap().args(&one),
            ["-tan", "sport", "=", ":7"]
        );
    }
}
