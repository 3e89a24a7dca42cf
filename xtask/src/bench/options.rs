//! Parses the arguments of `cargo xtask bench`.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use sockdiag_testkit::Why;

use super::lines::{LINES, Line};

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[--all] [--sockets N] [--v6 PERCENT] [--runs R] [--commands A,B] [--namespaces N] [--against COMMIT] [--keep]";

/// The parsed arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// TCP sockets, twice as many as connections.
    pub sockets: u32,
    /// Per cent of the connections that use IPv6.
    pub v6_percent: u8,
    /// Runs of each program for each command line; at least 1.
    pub runs: usize,
    /// Names of command lines; empty for all.
    pub commands: Vec<String>,
    /// The commit whose program takes the reference's place.
    pub against: Option<String>,
    /// The number of namespaces with the sockets, if that is measured instead.
    pub namespaces: Option<u32>,
    /// Whether to keep the outputs.
    pub keep: bool,
    /// Whether to measure every size and mixture that docs/benchmarks.md shows.
    pub all: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sockets: 100_000,
            v6_percent: 0,
            runs: 5,
            commands: Vec::new(),
            against: None,
            namespaces: None,
            keep: false,
            all: false,
        }
    }
}

impl Options {
    /// Reads `--name value` and `--name=value`.
    pub(super) fn parse(words: &[String]) -> Result<Self, Why> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, given) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let mut value = || {
                given
                    .clone()
                    .or_else(|| words.next().cloned())
                    .ok_or_else(|| Why::new(format!("{name} needs a value")))
            };
            match name {
                "--sockets" => options.sockets = number(name, &value()?, 0, 2_000_000)?,
                "--v6" => options.v6_percent = number(name, &value()?, 0, 100)? as u8,
                "--runs" => options.runs = number(name, &value()?, 1, 1000)? as usize,
                "--commands" => options.commands = value()?.split(',').map(str::to_owned).collect(),
                "--namespaces" => options.namespaces = Some(number(name, &value()?, 2, 2000)?),
                "--against" => options.against = Some(value()?),
                "--keep" => options.keep = true,
                "--all" => options.all = true,
                _ => return Err(Why::new(format!("bench knows no {word:?}; its words: {WORDS}"))),
            }
        }
        for name in &options.commands {
            if !LINES.iter().any(|line| line.name == name) {
                let names: Vec<&str> = LINES.iter().map(|line| line.name).collect();
                return Err(Why::new(format!("no command line is called {name:?}: {}", names.join(" "))));
            }
        }
        Ok(options)
    }

    /// The tables to measure, one after the other.
    pub(super) fn tables(&self) -> Vec<Self> {
        if !self.all {
            return vec![self.clone()];
        }
        [(100, 0), (10_000, 0), (100_000, 0), (100_000, 50), (100_000, 100), (1_000_000, 0)]
            .map(|(sockets, v6_percent)| Self { sockets, v6_percent, ..self.clone() })
            .to_vec()
    }

    /// The requested command lines, in the order of the table.
    pub(super) fn lines(&self) -> impl Iterator<Item = &'static Line> {
        LINES.iter().filter(|line| {
            if self.commands.is_empty() {
                line.runs(self.sockets)
            } else {
                self.commands.iter().any(|name| name == line.name)
            }
        })
    }
}

fn number(name: &str, text: &str, least: u32, most: u32) -> Result<u32, Why> {
    let text = text.replace('_', "");
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| Why::new(format!("{name} is a number from {least} to {most}, not {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Why> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_read_in_both_spellings() {
        assert_eq!(parse("").unwrap(), Options::default());
        let options = parse("--sockets 1_000_000 --v6=30 --runs 3 --commands=tan,tln --keep").unwrap();
        assert_eq!((options.sockets, options.v6_percent, options.runs), (1_000_000, 30, 3));
        assert!(options.keep);
        assert_eq!(options.lines().map(|line| line.name).collect::<Vec<_>>(), ["tan", "tln"]);
        assert_eq!(Options::default().lines().count(), LINES.len());
        assert_eq!(parse("--namespaces 300").unwrap().namespaces, Some(300));
        assert!(parse("--all").unwrap().tables().len() > 4);
        assert_eq!(parse("--against HEAD~1").unwrap().against.as_deref(), Some("HEAD~1"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "--sockets",
            "--against",
            "--runs 0",
            "--v6 101",
            "--sockets x",
            "--commands tan,nan",
            "--namespaces 1",
            "more",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
