//! Rule files, in TOML.
//!
//! Invariant: built-in rules come from files of the same format as users' rules.

use serde::Deserialize;
use sockdiag_facts::fields::Catalog;

use crate::check::{Checked, RuleError};
use crate::rule::Rule;

/// A rule file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Rule>,
}

/// The built-in files, in the order of their numbers.
const FILES: [(&str, &str); 6] = [
    ("listen.toml", include_str!("../rules/listen.toml")),
    ("path.toml", include_str!("../rules/path.toml")),
    ("sender.toml", include_str!("../rules/sender.toml")),
    ("receiver.toml", include_str!("../rules/receiver.toml")),
    ("resources.toml", include_str!("../rules/resources.toml")),
    ("settings.toml", include_str!("../rules/settings.toml")),
];

/// Reads a rule file; `name` is for error messages.
///
/// # Errors
/// A description of the error and its position, on several lines without a final newline.
pub fn read(catalog: &Catalog, name: &str, text: &str) -> Result<Vec<Checked>, String> {
    let file: File =
        toml::from_str(text).map_err(|error| format!("{name}: {}", error.to_string().trim_end()))?;
    let mut rules: Vec<Checked> = Vec::new();
    for rule in file.rule {
        if rules.iter().any(|known| known.rule.id() == rule.id()) {
            let line = line_of(text, rule.id.span().start);
            return Err(format!("{name}:{line}: rule {}: it is defined twice", rule.id()));
        }
        let checked = Checked::new(catalog, rule);
        rules.push(checked.map_err(|error| told(name, text, &error))?);
    }
    Ok(rules)
}

/// The error, with its file and line.
fn told(name: &str, text: &str, error: &RuleError) -> String {
    format!("{name}:{}: {error}", line_of(text, error.place.start))
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The built-in rules.
///
/// # Errors
/// None in practice: a test reads the rules.
pub fn built_in(catalog: &Catalog) -> Result<Vec<Checked>, String> {
    let mut rules = Vec::new();
    for (name, text) in FILES {
        rules.extend(read(catalog, name, text)?);
    }
    Ok(rules)
}

/// Adds other rules; a rule with the same id replaces the existing one.
pub fn merged(mut rules: Vec<Checked>, others: Vec<Checked>) -> Vec<Checked> {
    for other in others {
        match rules.iter_mut().find(|rule| rule.rule.id() == other.rule.id()) {
            Some(rule) => *rule = other,
            None => rules.push(other),
        }
    }
    rules
}
