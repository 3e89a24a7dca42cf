//! The table of all runs, and the required results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use sockdiag_testkit::Why;

use super::Outcome;
use super::scenes::{self, Expects, Scene};

/// Rules without a scene, and why.
const NOT_SET: &[(&str, &str)] = &[
    ("bbr-below-bandwidth", "a path that lost bandwidth has findings that are worse, and stand before it"),
    ("dead-peer-unnoticed", "takes two hours without a packet"),
    ("idle-beyond-nat", "takes six minutes without a packet"),
    ("orphans", "takes a quarter of `tcp_max_orphans`, which is the machine's"),
    ("tcp-memory-aborts", "takes the machine's memory limits"),
    ("tcp-memory-pressure", "takes the machine's memory limits"),
];

/// The end of the generated part about the rules.
const END: &str = "<!-- end -->\n";

/// Writes the table and the rules that are not in it: after the generated part of an existing
/// file, or as a new file.
pub(super) fn write(file: &Path, table: &str, rules: &[String]) -> Result<(), Why> {
    let failed = |error: std::io::Error| crate::fail::failed(file, &error);
    let had = std::fs::read_to_string(file).unwrap_or_default();
    let before = had.split_once(END).map_or("", |(before, _)| before);
    let mut text = if before.is_empty() { String::new() } else { format!("{before}{END}\n") };
    text += "## The proving ground\n\n";
    text += "Faults were injected in network namespaces, and `sockdiag doctor` was run on each: was the \
        correct finding reported first, second, later or not at all? A cause that lists its consequences \
        counts for both. A run of a near miss is correct (first) if the rule was not reported; a run of a \
        healthy workload, if there was no critical finding and at most one warning.\n\n";
    text += table;
    let scenes = scenes::all();
    let is_set = |rule: &&String| {
        let expected = scenes.iter().filter_map(|scene| match scene.expects {
            Expects::One(rules) => Some(rules),
            Expects::Not(_) | Expects::Nothing => None,
        });
        expected.flatten().any(|expected| expected == *rule)
    };
    let (set, others): (Vec<_>, Vec<_>) = rules.iter().partition(is_set);
    let _ = writeln!(
        text,
        "\n{} of {} rules have a scene. The others are tested only on crafted frames:\n",
        set.len(),
        rules.len()
    );
    for rule in others {
        let why = NOT_SET.iter().find(|(not_set, _)| not_set == rule).map(|(_, why)| format!(": {why}"));
        let _ = writeln!(
            text,
            "- `{rule}`{}",
            why.unwrap_or_else(|| ": stands beside another rule of these scenes".to_owned())
        );
    }
    std::fs::write(file, text).map_err(failed)
}

/// The results of every scene.
pub(super) struct Tally(Vec<Row>);

struct Row {
    scene: Scene,
    /// Runs in which the right finding came first, second, later, or not at all.  For a
    /// healthy workload or a near miss: right in the first, wrong in the last.
    places: [u32; 4],
    /// The reasons of runs in which the signs did not show.
    not_set: Vec<Why>,
    /// The reasons of runs in which the doctor failed.
    failed: Vec<Why>,
    /// Other findings, and the number of runs with each.
    others: BTreeMap<String, u32>,
}

impl Row {
    fn runs(&self) -> u32 {
        self.places.iter().sum()
    }

    fn right(&self) -> u32 {
        self.places[0] + self.places[1]
    }
}

impl Tally {
    /// An empty tally for these scenes.
    pub(super) fn of(scenes: &[Scene]) -> Self {
        let row = |scene: &Scene| Row {
            scene: *scene,
            places: [0; 4],
            not_set: Vec::new(),
            failed: Vec::new(),
            others: BTreeMap::new(),
        };
        Self(scenes.iter().map(row).collect())
    }

    /// Adds a run, and describes its result.
    pub(super) fn add(&mut self, scene: &Scene, outcome: Outcome) -> String {
        let Some(row) = self.0.iter_mut().find(|row| row.scene.name == scene.name) else {
            return String::new();
        };
        match outcome {
            Outcome::Set(moved) => format!("set: {moved}"),
            Outcome::NotSet(why) => {
                let said = format!("NOT SET: {why}");
                row.not_set.push(why);
                said
            }
            Outcome::Failed(why) => {
                let said = format!("FAILED: {why}");
                row.failed.push(why);
                said
            }
            Outcome::Judged(verdict) => {
                let is_right = verdict.is_right(scene.expects);
                let rules = match scene.expects {
                    Expects::One(rules) => rules,
                    Expects::Not(_) | Expects::Nothing => &[],
                };
                let place = match (scene.expects, verdict.place(rules)) {
                    (Expects::One(_), Some(place)) => place.min(3) - 1,
                    (Expects::One(_), None) => 3,
                    _ if is_right => 0,
                    _ => 3,
                };
                row.places[place] += 1;
                for finding in verdict.others(rules) {
                    *row.others.entry(format!("{} ({})", finding.id, finding.severity)).or_default() += 1;
                }
                format!("{} {}", if is_right { "right" } else { "WRONG" }, verdict.line())
            }
        }
    }

    /// The table in Markdown.
    pub(super) fn markdown(&self, runs: u32) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "`cargo xtask doctor --runs {runs}`: {} scenes.\n", self.0.len());
        let _ = writeln!(
            text,
            "| Scene | What is wrong | Rule | first | second | later | missing | others, in runs |"
        );
        let _ = writeln!(text, "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |");
        for row in &self.0 {
            let rules = match row.scene.expects {
                Expects::One(rules) => format!("`{}`", rules.join("` or `")),
                Expects::Not(rules) => format!("not `{}`", rules.join("`, `")),
                Expects::Nothing => "nothing".to_owned(),
            };
            let [first, second, later, missing] = row.places;
            let mut others: Vec<String> =
                row.others.iter().map(|(id, runs)| format!("{id} {runs}")).collect();
            others.extend(row.not_set.first().map(|why| format!("not set {}: {why}", row.not_set.len())));
            others.extend(row.failed.first().map(|why| format!("failed {}: {why}", row.failed.len())));
            let _ = writeln!(
                text,
                "| {} | {} | {rules} | {first} | {second} | {later} | {missing} | {} |",
                row.scene.name,
                row.scene.doc,
                others.join("; ")
            );
        }
        let (right, all) = self.sum();
        let _ =
            writeln!(text, "\nThe correct finding was first or second in {right} of {all} runs of a fault.");
        text
    }

    /// The runs of faults in which the right finding came first or second, and all runs of
    /// faults.
    fn sum(&self) -> (u32, u32) {
        let faults = self.0.iter().filter(|row| matches!(row.scene.expects, Expects::One(_)));
        faults.fold((0, 0), |(right, all), row| (right + row.right(), all + row.runs()))
    }

    /// Fails unless the results are good enough.
    pub(super) fn judge(&self, with_doctor: bool) -> Result<(), Why> {
        let mut wrong: Vec<String> = Vec::new();
        for row in &self.0 {
            let name = row.scene.name;
            wrong.extend(row.not_set.first().map(|why| format!("{name} was not set: {why}")));
            wrong.extend(row.failed.first().map(|why| format!("{name}: the doctor failed: {why}")));
            let (right, runs) = (row.right(), row.runs());
            let is_fault = matches!(row.scene.expects, Expects::One(_));
            let is_enough = if is_fault { right * 3 >= runs * 2 } else { right == runs };
            if !is_enough {
                wrong.push(format!("{name}: right in {right} of {runs} runs"));
            }
        }
        let (right, all) = self.sum();
        if with_doctor && right * 100 < all * 95 {
            wrong.push(format!("right in {right} of {all} runs of a fault"));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Why::new(wrong.join("\n"))) }
    }
}
