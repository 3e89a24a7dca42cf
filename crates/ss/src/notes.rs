//! Messages that are printed once, even if they arise in many network namespaces.

use sockdiag::model::Netns;

/// The largest number of lines kept; further ones are only counted.
const MOST: usize = 1000;
/// The largest number of namespaces named after a line.
const NAMED: usize = 8;

/// Lines, in the order in which they first arose.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    lines: Vec<Line>,
    more: usize,
    /// The namespace that new lines are about; `None` if only one is listed.
    of: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Line {
    text: String,
    /// Titles of the namespaces where the line arose; empty if only one is listed.
    namespaces: Vec<Vec<u8>>,
}

impl Notes {
    /// Sets the namespace that the next lines are about.
    pub(crate) fn namespace(&mut self, of: Option<&Netns>) {
        self.of = of.map(|netns| netns.title.clone());
    }

    /// Whether several namespaces are listed, so that other ones may repeat a line.
    pub(crate) fn is_of_namespace(&self) -> bool {
        self.of.is_some()
    }

    /// Keeps a line; a line that arose in another namespace before only gains its title.
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

    /// The lines kept, and the number of those that were not.
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
