//! The list of fields that `--columns help` prints.
//!
//! Each field is one line when the output is not a terminal, so that grep finds it; on a
//! terminal, lines are folded at its width.

use std::fmt::Write as _;

use sockdiag::fields::{Catalog, Field, Kind, Unit};
use sockdiag::model::TableSet;

/// Names longer than this have a line of their own.
const NAMES: usize = 34;
/// The indentation of text below a name on its own line.
const INDENT: usize = 4;

/// The entry of a field, or of a member of a list.
struct Entry {
    name: String,
    said: String,
}

impl Entry {
    fn new(name: String, token: &str, unit: Unit, kind: Kind, metric: &str, meaning: &str) -> Self {
        let kind = kind.name();
        let details = [unit.name().unwrap_or_default(), &kind, metric];
        let details: Vec<&str> = details.into_iter().filter(|part| !part.is_empty()).collect();
        let blank = if token.is_empty() { "" } else { " " };
        Self { name, said: format!("{token}{blank}({}) {meaning}", details.join(", ")) }
    }
}

/// Lists the fields that sockets of these tables report, or all fields, in print order: name,
/// token in the text of `ss`, unit, type, kind of metric, and meaning.  Each field is one
/// line, or is folded to `width` if one is given.
pub fn text(catalog: &Catalog, tables: Option<TableSet>, width: Option<usize>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut entries = Vec::new();
    for field in catalog.fields() {
        if seen.contains(&field.name) || tables.is_some_and(|tables| !catalog.reports(tables, field)) {
            continue;
        }
        seen.push(field.name);
        let (unit, kind, metric) = (field.unit, field.kind, field.metric.name());
        entries.push(Entry::new(field.name.to_owned(), &tokens(field), unit, kind, metric, &field.meaning()));
        entries.extend(field.kind.members().iter().map(|member| {
            let name = format!("{}.{}", field.name, member.name);
            Entry::new(name, "", member.unit, member.kind, "", &member.meaning())
        }));
    }
    folded(&entries, width.unwrap_or(usize::MAX))
}

/// The token of a field in the text of `ss`, with the words that precede its value; empty if
/// the text does not show the field.
pub fn tokens(field: &Field) -> String {
    let shape = field.token().unwrap_or_default();
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_told = |word: &str| shape.split(|letter| !is_part(letter)).any(|part| part == word);
    let words: Vec<&str> = field.token_words().filter(|word| !is_told(word)).collect();
    let parts = std::iter::once(shape.as_str()).chain(words).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(", ")
}

/// Prints names on the left and everything else on the right, folded at blanks.
fn folded(entries: &[Entry], width: usize) -> String {
    let width = width.max(INDENT + 8);
    let longest = entries.iter().map(|entry| entry.name.len()).filter(|len| *len <= NAMES).max().unwrap_or(0);
    // On a narrower terminal the text column would have fewer than 30 characters.
    let left = if width >= longest + 2 + 30 { longest + 2 } else { INDENT };
    let mut text = String::new();
    for entry in entries {
        let mut line = Line { text: &mut text, at: 0, left, width };
        line.word(&entry.name);
        if line.at + 2 > left {
            line.fold();
        }
        line.pad();
        for (at, word) in entry.said.split(' ').filter(|word| !word.is_empty()).enumerate() {
            if at > 0 && line.at > left {
                line.blank(word.len());
            }
            line.word(word);
        }
        text.push('\n');
    }
    text
}

/// The position where the next character goes.
struct Line<'t> {
    text: &'t mut String,
    at: usize,
    left: usize,
    width: usize,
}

impl Line<'_> {
    fn fold(&mut self) {
        self.text.push('\n');
        self.at = 0;
        self.pad();
    }

    fn pad(&mut self) {
        _ = write!(self.text, "{:1$}", "", self.left.saturating_sub(self.at));
        self.at = self.at.max(self.left);
    }

    /// Appends a blank, or a line break if the next word of length `next` does not fit.
    fn blank(&mut self, next: usize) {
        if self.at + 1 + next > self.width {
            self.fold();
        } else {
            self.text.push(' ');
            self.at += 1;
        }
    }

    /// Appends a word, split if it is longer than a whole line.
    fn word(&mut self, word: &str) {
        for letter in word.chars() {
            if self.at >= self.width {
                self.fold();
            }
            self.text.push(letter);
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use sockdiag::model::Table;

    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let catalog = Catalog::standard();
        let words = |text: &str| text.split_whitespace().collect::<String>();
        let unfolded = text(&catalog, None, None);
        for width in [20, 40, 66, 80, 100, 132, 200] {
            let text = text(&catalog, None, Some(width));
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert_eq!(line.trim_end(), line, "{width}");
            }
            assert_eq!(words(&text), words(&unfolded), "{width}: nothing is lost");
        }
    }

    #[test]
    fn a_line_holds_the_token_of_its_field() {
        let catalog = Catalog::standard();
        let text = text(&catalog, None, None);
        for field in catalog.fields() {
            let line = text.lines().find(|line| line.split(' ').next() == Some(field.name));
            let line = line.unwrap_or_else(|| panic!("{} has no line", field.name));
            for word in field.token_words() {
                assert!(line.contains(word), "{word} is not in {line}");
            }
        }
    }

    #[test]
    fn fields_of_other_tables_are_left_out() {
        let catalog = Catalog::standard();
        let of = |table| text(&catalog, Some(TableSet::only(table)), None);
        let (tcp, unix) = (of(Table::Tcp), of(Table::UnixStream));
        for (name, is_tcp, is_unix) in
            [("tcp.rtt_us ", true, false), ("unix.name ", false, true), ("socket.inode ", true, true)]
        {
            let has = |text: &str| text.lines().any(|line| line.starts_with(name));
            assert_eq!((has(&tcp), has(&unix)), (is_tcp, is_unix), "{name}");
        }
        assert!(!tcp.contains("\nsctp.rwnd") && !tcp.contains("\nmptcp."), "{tcp}");
    }
}
