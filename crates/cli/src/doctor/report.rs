//! Findings as text: a title line, and details below it.

use std::fmt::Write as _;

use sockdiag_doctor::{About, Evidence, Finding, NotJudged, Severity};
use sockdiag_screen::counted;

/// How many findings are printed in full; the others get a line each.
const MOST_IN_FULL: usize = 25;
/// Maximum width of a line of details, in characters.
const WIDTH: usize = 100;
/// The indentation of details.
const INDENT: &str = "          ";

/// The whole report.
pub(super) fn text(
    seconds: f64,
    about: &About,
    findings: &[Finding],
    not_judged: &[NotJudged],
    unseen: &[String],
) -> String {
    let mut text = String::new();
    let (in_full, others) = findings.split_at(findings.len().min(MOST_IN_FULL));
    for finding in in_full {
        put_finding(&mut text, finding);
        text.push('\n');
    }
    for finding in others {
        put_title(&mut text, finding);
    }
    let count = |of: Severity| findings.iter().filter(|finding| finding.severity == of).map(|_| 1_u64).sum();
    let found = match findings.len() {
        0 => "nothing found".to_owned(),
        _ => format!(
            "{} critical, {}, {} info",
            count(Severity::Critical),
            counted(count(Severity::Warning), "warning"),
            count(Severity::Info)
        ),
    };
    let About { sockets, namespaces, rules } = about;
    let _ = writeln!(
        text,
        "{} in {}, {seconds:.1} s, {rules} rules: {found}.",
        counted(*sockets, "socket"),
        counted(*namespaces, "network namespace")
    );
    put_not_judged(&mut text, not_judged);
    for what in unseen {
        put_wrapped(&mut text, "Not seen: ", "          ", what);
    }
    text
}

/// Appends the title line of a finding.
fn put_title(text: &mut String, finding: &Finding) {
    let word = finding.severity.word().to_uppercase();
    let _ = writeln!(text, "{word:<9} {} [{}]", finding.title, finding.id);
}

fn put_finding(text: &mut String, finding: &Finding) {
    put_title(text, finding);
    put_wrapped(text, INDENT, INDENT, &finding.sentence);
    let evidence: Vec<String> = finding.evidence.iter().map(evidence).collect();
    let measured = format!("{} = {}", finding.quantity.name, finding.quantity.text);
    let seen = [vec![measured], evidence].concat().join(", ");
    put_labelled(text, "measured", &seen);
    if let Some(netns) = &finding.netns {
        put_labelled(text, "where", &format!("network namespace {netns}"));
    }
    if !finding.holders.is_empty() {
        put_labelled(text, "process", &finding.holders.join(", "));
    }
    if !finding.explains.is_empty() {
        let explained: Vec<String> =
            finding.explains.iter().map(|(id, title)| format!("{title} [{id}]")).collect();
        put_labelled(text, "explains", &explained.join("; "));
    }
    let sure = finding.confidence.word();
    put_labelled(text, "confidence", &format!("{sure}; it could also be {}", finding.could_be));
    put_labelled(text, "next", &finding.next);
}

fn evidence(evidence: &Evidence) -> String {
    format!("{} = {}", evidence.name, evidence.text)
}

fn put_labelled(text: &mut String, label: &str, value: &str) {
    let first = format!("{INDENT}{label}: ");
    let rest = format!("{INDENT}  ");
    put_wrapped(text, &first, &rest, value);
}

/// Appends a value, wrapped at [`WIDTH`].
fn put_wrapped(text: &mut String, first: &str, rest: &str, value: &str) {
    let mut line = first.to_owned();
    let mut is_new = true;
    for word in value.split_whitespace() {
        if !is_new && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            rest.clone_into(&mut line);
            is_new = true;
        }
        if !is_new {
            line.push(' ');
        }
        line.push_str(word);
        is_new = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Appends the rules that were not judged, grouped by the reason.
fn put_not_judged(text: &mut String, not_judged: &[NotJudged]) {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for NotJudged { id, why } in not_judged {
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, ids)) => ids.push(id),
            None => reasons.push((why, vec![id])),
        }
    }
    for (why, ids) in reasons {
        put_wrapped(text, "Not checked: ", "            ", &format!("{}: {why}", ids.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_not_too_long() {
        let mut text = String::new();
        put_wrapped(&mut text, "first: ", "  ", &"word ".repeat(60));
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(text.split_whitespace().count(), 61);
    }

    #[test]
    fn what_was_not_judged_is_told_by_its_reason() {
        let left = |id: &str, why: &str| NotJudged { id: id.to_owned(), why: why.to_owned() };
        let mut text = String::new();
        put_not_judged(&mut text, &[left("a", "too short"), left("b", "no table"), left("c", "too short")]);
        assert_eq!(text, "Not checked: a, c: too short\nNot checked: b: no table\n");
    }
}
