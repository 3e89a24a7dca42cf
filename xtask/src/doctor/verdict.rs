//! The doctor's findings in order, from its JSON.

use serde_json::Value;
use sockdiag_testkit::Why;

use super::scenes::Expects;

/// The findings of one run.
#[derive(Debug)]
pub(super) struct Verdict(Vec<Finding>);

/// One finding.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) id: String,
    pub(super) severity: String,
    /// Rules that it explains, as consequences of the same cause.
    explains: Vec<String>,
}

impl Finding {
    /// Whether the finding is of this rule, or explains it.
    fn is_of(&self, rule: &str) -> bool {
        self.id == rule || self.explains.iter().any(|id| id == rule)
    }
}

impl Verdict {
    /// Parses the document that the doctor printed; `status` is its exit status.
    pub(super) fn read(text: &[u8], status: Option<i32>) -> Result<Self, Why> {
        let document: Value = serde_json::from_slice(text)
            .map_err(|error| Why::new(format!("no JSON ({error}), status {status:?}")))?;
        let all = document.get("findings").and_then(Value::as_array);
        let all = all.ok_or_else(|| Why::new("a document without findings"))?;
        let word = |value: &Value, key: &str| {
            let word = value.get(key).and_then(Value::as_str).map(str::to_owned);
            word.ok_or_else(|| Why::new(format!("a finding without {key}")))
        };
        let finding = |value: &Value| {
            let explained = value.get("explains").and_then(Value::as_array).into_iter().flatten();
            let explains = explained.map(|one| word(one, "id")).collect::<Result<_, _>>()?;
            Ok(Finding { id: word(value, "id")?, severity: word(value, "severity")?, explains })
        };
        let findings = all.iter().map(finding).collect::<Result<Vec<_>, Why>>()?;
        let has = |severity: &str| findings.iter().any(|finding| finding.severity == severity);
        let expected = if has("critical") { 2 } else { i32::from(has("warning")) };
        match status {
            Some(3) => {}
            Some(status) if status == expected => {}
            other => return Err(Why::new(format!("status {other:?} where its findings make {expected}"))),
        }
        Ok(Self(findings))
    }

    /// The position, from 1, of the first finding of one of these rules.
    pub(super) fn place(&self, rules: &[&str]) -> Option<usize> {
        let at = self.0.iter().position(|finding| rules.iter().any(|rule| finding.is_of(rule)))?;
        Some(at + 1)
    }

    /// Whether the findings are as expected.
    pub(super) fn is_right(&self, expects: Expects) -> bool {
        match expects {
            Expects::One(rules) => self.place(rules).is_some_and(|place| place <= 2),
            Expects::Not(rules) => self.place(rules).is_none(),
            Expects::Nothing => {
                let count = |severity| self.0.iter().filter(|finding| finding.severity == severity).count();
                count("critical") == 0 && count("warning") <= 1
            }
        }
    }

    /// Findings of other rules with a severity above information.
    pub(super) fn others<'a>(&'a self, rules: &'a [&str]) -> impl Iterator<Item = &'a Finding> {
        let other = move |finding: &&Finding| {
            finding.severity != "info" && !rules.iter().any(|rule| finding.is_of(rule))
        };
        self.0.iter().filter(other)
    }

    /// Each finding with its severity, for somebody who watches the run.
    pub(super) fn line(&self) -> String {
        let all: Vec<String> = self
            .0
            .iter()
            .map(|finding| {
                let severity = finding.severity.get(..4).unwrap_or("?");
                let explained = match finding.explains.join(" ") {
                    none if none.is_empty() => none,
                    all => format!("({all})"),
                };
                format!("{severity}:{}{explained}", finding.id)
            })
            .collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(" ") }
    }
}
