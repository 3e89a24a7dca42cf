//! The verdict on a line's runs.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use sockdiag_testkit::compare::{Difference, Ended, Outcome};
use sockdiag_testkit::guest::{How, Line, Run, Who, masked};

use super::explained::explain;

/// The verdict on a line.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Equal, either exactly or once everything that depends on time is masked.
    Same { masked: bool },
    /// There was nothing to compare with, and nothing is wrong in itself.
    Alone,
    /// Different, as a row of COMPAT.md explains.
    Meant { compat: &'static str },
    /// Different without an explanation.
    Differs(String),
    /// The reference differed from itself in every attempt, even masked.
    Unsettled(String),
    /// The line did not run to its end.
    Absent,
}

/// The runs of one attempt.
struct Attempt<'a> {
    before: &'a Outcome,
    ours: &'a Outcome,
    /// Absent if ours equals the first.
    after: Option<&'a Outcome>,
}

impl<'a> Attempt<'a> {
    fn all(runs: &[&'a Run]) -> Vec<Self> {
        let of = |attempt, who| {
            runs.iter().find(|run| (run.attempt, run.who) == (attempt, who)).map(|run| &run.outcome)
        };
        let attempts = runs.iter().map(|run| run.attempt).max().map_or(0, |last| last + 1);
        (0..attempts)
            .filter_map(|attempt| {
                Some(Self {
                    before: of(attempt, Who::Before)?,
                    ours: of(attempt, Who::Ours)?,
                    after: of(attempt, Who::After),
                })
            })
            .collect()
    }

    fn verdict(&self, line: &Line) -> Verdict {
        if self.before == self.ours {
            return Verdict::Same { masked: false };
        }
        let Some(after) = self.after else { return Verdict::Absent };
        let steady = self.before == after;
        let [before, ours, after] = [self.before, self.ours, after].map(masked);
        if let Some(what) = Difference::between(&before, &after) {
            return Verdict::Unsettled(what.to_string());
        }
        // If the reference prints the same twice, ours must print exactly that.
        let (reference, ours) = if steady { (self.before, self.ours) } else { (&before, &ours) };
        match Difference::between(reference, ours) {
            None => Verdict::Same { masked: true },
            Some(what) => match explain(line, reference, ours) {
                Some(compat) => Verdict::Meant { compat },
                None => Verdict::Differs(what.to_string()),
            },
        }
    }
}

impl Verdict {
    /// The best verdict of a line's attempts: a real difference shows in every one.
    pub(crate) fn of(line: &Line, runs: &[&Run]) -> Self {
        if line.how == How::Alone {
            return Self::alone(runs);
        }
        let mut best = Self::Absent;
        for attempt in Attempt::all(runs) {
            let verdict = attempt.verdict(line);
            if verdict.rank() < best.rank() {
                best = verdict;
            }
        }
        best
    }

    /// The verdict on a line without a judge: it must end successfully and print nothing on
    /// stderr, except that the kernel lacks a kind (`kinds.rs` knows which).
    fn alone(runs: &[&Run]) -> Self {
        let Some(run) = runs.iter().find(|run| run.who == Who::Ours) else { return Self::Absent };
        let Outcome { stderr, ended, .. } = &run.outcome;
        let said = String::from_utf8_lossy(stderr);
        let lacks = said.lines().all(|line| line.starts_with("ss: this kernel has no support for listing "));
        if *ended == Ended::Exit(0) && lacks {
            Self::Alone
        } else {
            Self::Differs(format!("{ended:?}, and says: {said}"))
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Same { masked: false } | Self::Alone => 0,
            Self::Same { masked: true } => 1,
            Self::Meant { .. } => 2,
            Self::Differs(_) => 3,
            Self::Unsettled(_) => 4,
            Self::Absent => 5,
        }
    }

    /// The category under which this verdict is counted.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Same { masked: false } => "agree",
            Self::Same { masked: true } => "agree with times masked",
            Self::Alone => "ours alone",
            Self::Meant { .. } => "differ on purpose",
            Self::Differs(_) => "differ",
            Self::Unsettled(_) => "without a steady reference",
            Self::Absent => "absent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(attempts: &[[&str; 3]]) -> &'static str {
        let line = Line { how: How::Plain, judge: "sid".into(), words: vec!["-tani".into()] };
        let mut runs = Vec::new();
        for (attempt, outputs) in attempts.iter().enumerate() {
            let all = [Who::Before, Who::Ours, Who::After].into_iter().zip(outputs);
            for (who, stdout) in all.filter(|(_, stdout)| !stdout.is_empty()) {
                let outcome = Outcome { stdout: (*stdout).into(), stderr: Vec::new(), ended: Ended::Exit(0) };
                runs.push(Run { line: 0, attempt: attempt as u32, who, outcome, traffic: Vec::new() });
            }
        }
        Verdict::of(&line, &runs.iter().collect::<Vec<_>>()).name()
    }

    #[test]
    fn what_no_judge_knows_has_to_end_well() {
        let line = Line { how: How::Alone, judge: "ours".into(), words: vec!["--smc".into()] };
        let verdict = |stderr: &str, ended| {
            let outcome = Outcome { stdout: b"x".to_vec(), stderr: stderr.into(), ended };
            Verdict::of(&line, &[&Run { line: 0, attempt: 0, who: Who::Ours, outcome, traffic: Vec::new() }])
                .name()
        };
        assert_eq!(verdict("", Ended::Exit(0)), "ours alone");
        let lacking =
            "ss: this kernel has no support for listing SMC sockets: it was built without CONFIG_SMC\n";
        assert_eq!(verdict(lacking, Ended::Exit(0)), "ours alone");
        assert_eq!(verdict(&format!("{lacking}?"), Ended::Exit(0)), "differ");
        assert_eq!(verdict("?", Ended::Exit(0)), "differ");
        assert_eq!(verdict("", Ended::Exit(1)), "differ");
        assert_eq!(Verdict::of(&line, &[]).name(), "absent");
    }

    #[test]
    fn ours_is_judged_only_by_a_reference_that_is_steady() {
        assert_eq!(verdict(&[["a", "a", "a"]]), "agree");
        assert_eq!(verdict(&[["a", "b", "a"]]), "differ");
        assert_eq!(verdict(&[["lastsnd:1", "lastsnd:2", "lastsnd:3"]]), "agree with times masked");
        assert_eq!(verdict(&[["lastsnd:1 x", "lastsnd:2 y", "lastsnd:3 x"]]), "differ");
        // Masking is for times that pass, not for a difference between the two programs.
        assert_eq!(verdict(&[["lastsnd:1", "lastsnd:2", "lastsnd:1"]]), "differ");
        assert_eq!(verdict(&[["a", "c", "b"]]), "without a steady reference");
        assert_eq!(verdict(&[["a", "c", "b"], ["b", "b", ""]]), "agree");
        assert_eq!(verdict(&[["a", "b", ""]]), "absent");
        assert_eq!(verdict(&[["a", "b", "a"], ["a", "b", "a"], ["a", "b", "c"]]), "differ");
        assert_eq!(verdict(&[]), "absent");
    }
}
