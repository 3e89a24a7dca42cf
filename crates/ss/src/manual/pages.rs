//! The reference pages docs/options.md and docs/fields.md.

use std::fmt::Write as _;

use sockdiag::fields::{Catalog, Field};
use sockdiag_options::{OPTIONS, Opt, Section};

use super::sections;
use crate::cli::shown_by;

const MADE: &str = "<!-- Made by `ss --generate=";

/// Every way to write an option, `-m` before `--memory`.
pub(super) fn spellings(option: &Opt) -> Vec<String> {
    let short = option.short.chars().map(|letter| format!("-{letter}"));
    short.chain(option.long.iter().map(|name| format!("--{name}"))).collect()
}

/// Options by section.
pub(super) fn options() -> String {
    let mut text = format!("{MADE}options`. -->\n\n# Options\n");
    let mut section = None;
    for option in OPTIONS {
        if section != Some(option.section) {
            section = Some(option.section);
            let _ = writeln!(text, "\n## {}\n", title(option.section));
        }
        let names: Vec<String> = spellings(option).iter().map(|name| format!("`{name}`")).collect();
        let value = option.argument.map_or_else(String::new, |argument| format!(" *{}*", argument.shown));
        let _ = writeln!(text, "- {}{value}: {}", names.join(", "), option.doc);
    }
    text
}

fn title(section: Section) -> &'static str {
    match section {
        Section::General => "What to show",
        Section::Sockets => "Which sockets",
        Section::Output => "Actions, and the format of rows",
        Section::Query => "Tables",
        Section::Files => "Files",
        Section::Extension => "Beyond iproute2 (matched only in full)",
    }
}

/// Fields by kind of message and by the option that shows them.
pub(super) fn fields() -> String {
    let mut text = format!(
        "{MADE}fields`. -->\n\n# Fields\n\n\
         Every field that a socket can report: its token in the text output, if any; its name in filters \
         and structured output; its meaning; its type, with the width of a number in the kernel; its unit; \
         its metric: a description (info), one of a few states, a value that goes up and down (gauge) or \
         only up until it wraps (counter); its source in the kernel. In formulas `D(x)` is the increase of \
         the counter `x` between two samples of a socket, and `T` the time between them.\n"
    );
    let catalog = Catalog::standard();
    let mut message_kind = String::new();
    for section in sections(&catalog) {
        if section.message_kind != message_kind {
            let _ = writeln!(text, "\n## {}", section.message_kind);
            message_kind.clone_from(&section.message_kind);
        }
        let _ = writeln!(
            text,
            "\n### {}\n\n| token | name | meaning | type | unit | metric | shown by | source |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |",
            section.shown_by
        );
        for field in section.fields {
            let token = field.token().map_or_else(String::new, |token| format!("`{}`", cell(&token)));
            let _ = writeln!(
                text,
                "| {token} | `{}` | {}{} | {} | {} | {} | {} | {} |",
                field.name,
                cell(&field.meaning()),
                members(field),
                field.kind.name(),
                field.unit.name().unwrap_or_default(),
                field.metric.name(),
                shown_by(field.groups),
                cell(field.source),
            );
        }
    }
    text
}

/// Escapes text for a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The members of the records in a list.
fn members(field: &Field) -> String {
    let members: Vec<String> = field
        .kind
        .members()
        .iter()
        .map(|member| format!("`{}` ({}): {}", member.name, member.kind.name(), cell(&member.meaning())))
        .collect();
    if members.is_empty() { String::new() } else { format!(" Each has {}", members.join(" ")) }
}
