//! Lines that are said once, though they arise in many network namespaces.

use sockdiag::model::Netns;

/// Lines that are kept; more are counted.
const MOST: usize = 1000;
/// As many namespaces are named behind a line.
const NAMED: usize = 8;

/// Lines, in the order in which they arose first.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    lines: Vec<Line>,
    more: usize,
    /// The namespace that is spoken of; `None` where there is only one.
    of: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Line {
    text: String,
    /// Titles of the namespaces it holds for; empty for one of none.
    namespaces: Vec<Vec<u8>>,
}

impl Notes {
    /// Says which namespace is spoken of from now on.
    pub(crate) fn namespace(&mut self, of: Option<&Netns>) {
        self.of = of.map(|netns| netns.title.clone());
    }

    /// Whether what is said holds for a namespace, of which there may be more.
    pub(crate) fn is_of_namespace(&self) -> bool {
        self.of.is_some()
    }

    /// Keeps a line; one that arose in another namespace is kept once.
    pub(crate) fn add(&mut self, text: String) {
        if let Some(of) = &self.of
            && let Some(line) = self.lines.iter_mut().find(|line| line.text == text)
        {
            if line.namespaces.last() != Some(of) {
                line.namespaces.push(of.clone());
            }
            return;
        }
        if self.lines.len() < MOST {
            self.lines.push(Line { text, namespaces: self.of.iter().cloned().collect() });
        } else {
            self.more += 1;
        }
    }

    /// What was kept.
    pub(crate) fn lines(&self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("{} more notes", self.more));
        self.lines.iter().map(Line::with_namespaces).chain(more).collect()
    }
}

impl Line {
    fn with_namespaces(&self) -> String {
        let names: Vec<String> =
            self.namespaces.iter().take(NAMED).map(|title| title.escape_ascii().to_string()).collect();
        let more = match self.namespaces.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        match names.as_slice() {
            [] => self.text.clone(),
            [one] => format!("{} (in network namespace {one})", self.text),
            several => format!("{} (in network namespaces {}{more})", self.text, several.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_once_with_its_namespaces() {
        let mut notes = Notes::default();
        notes.add("before".into());
        notes.add("before".into());
        for inode in 1..=12 {
            notes.namespace(Some(&Netns::new(inode, None, None)));
            notes.add("everywhere".into());
            notes.add("everywhere".into());
            if inode == 3 {
                notes.add("only there".into());
            }
        }
        notes.namespace(None);
        notes.add("before".into());
        assert_eq!(
            notes.lines(),
            [
                "before",
                "before",
                "everywhere (in network namespaces 1, 2, 3, 4, 5, 6, 7, 8 and 4 more)",
                "only there (in network namespace 3)",
                "before",
            ]
        );
    }

    #[test]
    fn lines_beyond_a_thousand_are_counted() {
        let mut notes = Notes::default();
        (0..MOST + 7).for_each(|number| notes.add(number.to_string()));
        assert_eq!(notes.lines().len(), MOST + 1);
        assert_eq!(notes.lines().last().map(String::as_str), Some("7 more notes"));
    }
}
