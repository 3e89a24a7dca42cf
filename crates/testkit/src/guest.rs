//! Runs command lines through the reference and ours inside a guest kernel: the plan that goes
//! in, the results that come out, and what may be masked.
//!
//! `sockdiag-beside` runs in the guest and reads a plan: tab-separated lines, `@NAME WORD...`
//! for a program and `HOW JUDGE WORD...` for a command line.  It writes a sequence of runs,
//! each a line of numbers and then as many bytes as the line says.  Outputs are compared where
//! the results are read, with one exception: the guest runs a line again if masked outputs
//! differ.
//!
//! Invariant: a result is complete or absent.  A guest that dies half-way leaves complete runs
//! and perhaps an incomplete one, which is ignored.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]

mod mask;
mod run;

use std::fmt;

pub use mask::mask;
pub use run::main;

use crate::Why;
use crate::compare::{Ended, Outcome};

/// How often a line is run while its outputs differ.
pub const ATTEMPTS: u32 = 4;

/// How a line is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The judge, ours, and the judge again if our output differs.
    Plain,
    /// The same, and ours once more with its netlink traffic recorded.
    Tapped,
    /// Each on new sockets of the zoo's kind "victims"; the victims that survive are listed
    /// after the output.
    Kill,
    /// All at once, until such sockets have been opened and closed.
    Events,
    /// Ours alone, once, for options that no judge knows.
    Alone,
}

const HOWS: &[(How, &str)] = &[
    (How::Plain, "plain"),
    (How::Tapped, "tapped"),
    (How::Kill, "kill"),
    (How::Events, "events"),
    (How::Alone, "alone"),
];

impl How {
    fn word(self) -> &'static str {
        HOWS.iter().find(|(how, _)| *how == self).map_or("", |(_, word)| word)
    }

    fn from_word(word: &str) -> Option<Self> {
        HOWS.iter().find(|(_, known)| *known == word).map(|(how, _)| *how)
    }
}

/// A command line and the program that judges it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How it is run.
    pub how: How,
    /// Name of the program that is the judge.
    pub judge: String,
    /// The environment as `NAME=VALUE` words, then the arguments.
    pub words: Vec<String>,
}

impl Line {
    /// The environment and the arguments.
    pub fn split(&self) -> (&[String], &[String]) {
        let is_variable = |word: &String| {
            word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            })
        };
        let at = self.words.iter().position(|word| !is_variable(word)).unwrap_or(self.words.len());
        self.words.split_at(at)
    }
}

/// The line as typed in a shell.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (env, args) = self.split();
        for word in env {
            write!(f, "{word} ")?;
        }
        write!(f, "ss {}", args.join(" "))
    }
}

/// What the guest has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Programs by name; `ours` is the program under test.
    pub programs: Vec<(String, Vec<String>)>,
    /// The command lines, in order.
    pub lines: Vec<Line>,
}

impl Plan {
    /// The command of a program, as words.
    pub fn program(&self, name: &str) -> Option<&[String]> {
        self.programs.iter().find(|(known, _)| known == name).map(|(_, words)| words.as_slice())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, words) in &self.programs {
            writeln!(f, "@{name}\t{}", words.join("\t"))?;
        }
        for line in &self.lines {
            writeln!(f, "{}\t{}\t{}", line.how.word(), line.judge, line.words.join("\t"))?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Plan {
    type Err = Why;

    fn from_str(text: &str) -> Result<Self, Why> {
        let mut plan = Self::default();
        for line in text.lines() {
            let mut words = line.split('\t').map(str::to_owned);
            let first = words.next().unwrap_or_default();
            if let Some(name) = first.strip_prefix('@') {
                plan.programs.push((name.to_owned(), words.collect()));
                continue;
            }
            let unknown = || Why::new(format!("plan: {line:?}"));
            let how = How::from_word(&first).ok_or_else(unknown)?;
            let judge = words.next().ok_or_else(unknown)?;
            plan.lines.push(Line { how, judge, words: words.collect() });
        }
        Ok(plan)
    }
}

/// Which run of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The judge, before.
    Before,
    /// Ours.
    Ours,
    /// The judge, after; absent if ours printed what the judge printed before.
    After,
    /// Ours, with its traffic recorded: its output is in [`Run::outcome`], the recording in
    /// [`Run::traffic`].
    Tapped,
}

const WHO: [Who; 4] = [Who::Before, Who::Ours, Who::After, Who::Tapped];

/// One run of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which line of the plan, from 0.
    pub line: usize,
    /// Which attempt, from 0.
    pub attempt: u32,
    /// Which program ran.
    pub who: Who,
    /// Its output and how it ended.
    pub outcome: Outcome,
    /// A recording of its netlink traffic (format: `gen/nltap.c`), or empty.
    pub traffic: Vec<u8>,
}

impl Run {
    /// The run as the guest writes it.
    pub fn encode(&self) -> Vec<u8> {
        let (code, signal) = match self.outcome.ended {
            Ended::Exit(code) => (code, 0),
            Ended::Signal(signal) => (0, signal),
            Ended::TimedOut => (0, -1),
        };
        let who = WHO.iter().position(|who| *who == self.who).unwrap_or_default();
        let parts = [&self.outcome.stdout, &self.outcome.stderr, &self.traffic];
        let [out, err, traffic] = parts.map(Vec::len);
        let mut bytes =
            format!("{} {} {who} {code} {signal} {out} {err} {traffic}\n", self.line, self.attempt)
                .into_bytes();
        for part in parts {
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// All complete runs of the guest's output.
    pub fn decode_all(mut bytes: &[u8]) -> Result<Vec<Self>, Why> {
        let mut runs = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end + 1);
            let Some((run, rest)) = Self::decode(head, rest)? else { break };
            runs.push(run);
            bytes = rest;
        }
        Ok(runs)
    }

    fn decode<'a>(head: &[u8], rest: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, Why> {
        let text = String::from_utf8_lossy(head);
        let wrong = || Why::new(format!("results: {text:?}"));
        let numbers: Vec<i64> =
            text.split_whitespace().map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let [line, attempt, who, code, signal, out, err, traffic] = numbers[..] else { return Err(wrong()) };
        let ended = match signal {
            0 => Ended::Exit(code as i32),
            -1 => Ended::TimedOut,
            signal => Ended::Signal(signal as i32),
        };
        let who = *WHO.get(who as usize).ok_or_else(wrong)?;
        let mut rest = rest;
        let mut parts = Vec::new();
        for len in [out, err, traffic] {
            let Some((part, after)) = rest.split_at_checked(len as usize) else { return Ok(None) };
            parts.push(part.to_vec());
            rest = after;
        }
        let traffic = parts.pop().unwrap_or_default();
        let stderr = parts.pop().unwrap_or_default();
        let stdout = parts.pop().unwrap_or_default();
        let outcome = Outcome { stdout, stderr, ended };
        Ok(Some((Self { line: line as usize, attempt: attempt as u32, who, outcome, traffic }, rest)))
    }
}

/// An outcome with everything that depends on time masked.
#[must_use]
pub fn masked(outcome: &Outcome) -> Outcome {
    Outcome { stdout: mask(&outcome.stdout), stderr: mask(&outcome.stderr), ended: outcome.ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_and_results_survive_the_way() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let plan = Plan {
            programs: vec![("ours".into(), words("/bin/ours")), ("sid".into(), words("/opt/ss --argv0 ss"))],
            lines: vec![
                Line { how: How::Plain, judge: "sid".into(), words: words("COLUMNS=80 -tan sport = :5001") },
                Line { how: How::Kill, judge: "sid".into(), words: words("-K") },
                Line { how: How::Alone, judge: "ours".into(), words: words("--smc") },
            ],
        };
        assert_eq!(plan.to_string().parse::<Plan>().unwrap(), plan);
        assert_eq!(plan.lines[0].split().0, ["COLUMNS=80"]);
        assert_eq!(plan.lines[0].to_string(), "COLUMNS=80 ss -tan sport = :5001");
        assert!("nonsense\tsid".parse::<Plan>().is_err());

        let run = |who, ended| Run {
            line: 3,
            attempt: 1,
            who,
            outcome: Outcome { stdout: b"a\nb".to_vec(), stderr: b"\n".to_vec(), ended },
            traffic: vec![0, 10, 255],
        };
        let runs = [run(Who::Ours, Ended::Exit(255)), run(Who::Tapped, Ended::Signal(15))];
        let bytes: Vec<u8> = runs.iter().flat_map(Run::encode).collect();
        assert_eq!(Run::decode_all(&bytes).unwrap(), runs);
        // Of a cut output, the complete runs are returned.
        assert_eq!(Run::decode_all(&bytes[..bytes.len() - 1]).unwrap(), runs[..1]);
        assert!(Run::decode_all(b"x y\n").is_err());
    }
}
