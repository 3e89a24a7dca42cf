//! Rules as text: one line each, the explanation for `--explain`, and the page of all rules.
//!
//! Invariant: everything here is generated from the rule; nothing is written twice.

use std::fmt::Write as _;

use crate::check::Checked;
use crate::rule::{On, Rule};

/// A rule in one line: id, number, worst severity, subject, title.
pub fn line(rule: &Rule) -> String {
    format!(
        "{:<26} {:<4} {:<9} {:<12} {}",
        rule.id(),
        rule.number,
        rule.worst().word(),
        rule.subject.word(),
        plain_title(rule)
    )
}

/// The title without the optional placeholders.
fn plain_title(rule: &Rule) -> String {
    rule.title.get_ref().replace("{by}", "").replace("{where}", "")
}

/// The condition of a rule, as one filter.
fn condition(rule: &Rule) -> String {
    let parts = [&rule.given, &rule.when].into_iter().flatten().map(|text| text.get_ref().trim().to_owned());
    let parts: Vec<String> = parts.collect();
    match parts.as_slice() {
        [one, two] => format!("( {one} ) and ( {two} )"),
        [one] => one.clone(),
        _ => String::new(),
    }
}

fn words(list: &[toml::Spanned<String>]) -> String {
    list.iter().map(|word| word.get_ref().as_str()).collect::<Vec<_>>().join(", ")
}

/// Describes the rows that a rule looks at.
fn looks_at(rule: &Rule) -> String {
    let mut text = match rule.subject {
        subject if subject.has_no_socket() => format!("each {}", subject.word()),
        _ => format!("sockets of {}", words(&rule.tables)),
    };
    if !rule.states.is_empty() {
        let _ = write!(text, " in state {}", words(&rule.states));
    }
    match rule.on {
        On::Live => {}
        On::Opened => text.push_str(", those that opened between the looks"),
        On::Closed => text.push_str(", those that ended between the looks"),
    }
    text
}

/// The rows of the table of thresholds.
fn thresholds(rule: &Rule) -> Vec<(String, String, String, String)> {
    let row = |level: crate::rule::Level<'_>| {
        let threshold = level.threshold;
        (
            level.severity.word().to_owned(),
            threshold.at.get_ref().clone(),
            threshold.mark.word().to_owned(),
            threshold.source.trim().to_owned(),
        )
    };
    rule.levels().map(row).collect()
}

fn takes(rule: &Rule) -> String {
    let mut text = match rule.looks {
        1 => "one look".to_owned(),
        2 => "two samples".to_owned(),
        _ => "two samples, and a third at each suspect".to_owned(),
    };
    if rule.window_s > 0.0 {
        let _ = write!(text, " over at least {} s", rule.window_s);
    }
    if !rule.kernel.is_empty() {
        let _ = write!(text, "; Linux {} or newer", rule.kernel);
    }
    text
}

/// The explanation of a rule, for `--explain`.
pub fn explanation(checked: &Checked) -> String {
    let rule = &checked.rule;
    let mut text = rule.id().to_owned();
    if !rule.number.is_empty() {
        let _ = write!(text, " ({})", rule.number);
    }
    let _ = writeln!(text, ": {}\n", plain_title(rule));
    let _ = writeln!(text, "{}\n", rule.meaning.trim());
    let _ = writeln!(text, "Looks at:    {}", looks_at(rule));
    let condition = condition(rule);
    if !condition.is_empty() {
        let _ = writeln!(text, "Where:       {condition}");
    }
    if let Some(again) = &rule.again {
        let _ = writeln!(text, "Then again:  {}", again.get_ref().trim());
    }
    if !rule.group.is_empty() {
        let _ = writeln!(text, "By:          {}", words(&rule.group));
    }
    let _ = writeln!(text, "Measures:    {}", rule.quantity.get_ref());
    if !rule.least.is_empty() {
        let _ = writeln!(text, "At least:    {}", words(&rule.least));
    }
    let _ = writeln!(text, "Takes:       {}", takes(rule));
    text.push_str("\nThresholds:\n");
    for (severity, at, mark, source) in thresholds(rule) {
        let _ = writeln!(text, "  {severity:<9} {at:<10} {mark}: {source}");
    }
    let _ = writeln!(text, "\nMessage:\n  {}", rule.says.get_ref().trim());
    let _ = writeln!(text, "\nIt could also be:\n  {}", rule.could_be.trim());
    let _ = writeln!(text, "\nWhat to do next:\n  {}", rule.next.get_ref().trim());
    let _ = writeln!(text, "\nBy hand:\n  {}", rule.check.trim().replace('\n', "\n  "));
    if !rule.explains.is_empty() {
        let _ = writeln!(text, "\nExplains:\n  {}", words(&rule.explains));
    }
    let _ = writeln!(text, "\nSee also: {}", rule.manual);
    text
}

/// Escapes text for a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The table and explanations of all rules, without the page's heading.
pub fn markdown(rules: &[Checked]) -> String {
    let mut text =
        String::from("| id | no. | worst | subject | what it says |\n| --- | --- | --- | --- | --- |\n");
    for checked in rules {
        let rule = &checked.rule;
        let _ = writeln!(
            text,
            "| [`{0}`](#{0}) | {1} | {2} | {3} | {4} |",
            rule.id(),
            rule.number,
            rule.worst().word(),
            rule.subject.word(),
            cell(&plain_title(rule)),
        );
    }
    for checked in rules {
        let rule = &checked.rule;
        let _ = writeln!(text, "\n### {}\n", rule.id());
        let number = if rule.number.is_empty() { String::new() } else { format!("{}. ", rule.number) };
        let _ = writeln!(text, "{number}{}\n", rule.meaning.trim());
        let _ = writeln!(text, "- Looks at: {}; {}.", looks_at(rule), takes(rule));
        let condition = condition(rule);
        if !condition.is_empty() {
            let _ = writeln!(text, "- Where: `{condition}`");
        }
        if let Some(again) = &rule.again {
            let _ = writeln!(text, "- Then again: `{}`", again.get_ref().trim());
        }
        let _ = writeln!(text, "- Measures: `{}`", rule.quantity.get_ref());
        if !rule.group.is_empty() {
            let _ = writeln!(text, "- By: `{}`", words(&rule.group));
        }
        if !rule.least.is_empty() {
            let _ = writeln!(text, "- At least: `{}`", words(&rule.least));
        }
        if !rule.explains.is_empty() {
            let _ = writeln!(text, "- Explains: {}", words(&rule.explains));
        }
        let _ = writeln!(text, "- Could also be: {}", rule.could_be.trim());
        let _ = writeln!(text, "- Next: `{}`; see {}.", rule.next.get_ref().trim(), rule.manual);
        let by_hand: Vec<String> =
            rule.check.trim().lines().map(|line| format!("`{}`", line.trim())).collect();
        let _ = writeln!(text, "- By hand: {}\n", by_hand.join("; "));
        text.push_str("| severity | from | how sure | source |\n| --- | --- | --- | --- |\n");
        for (severity, at, mark, source) in thresholds(rule) {
            let _ = writeln!(text, "| {severity} | {} | {mark} | {} |", cell(&at), cell(&source));
        }
    }
    text
}
