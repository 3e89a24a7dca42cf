//! A line being typed, with text before and after the cursor.

/// The longest line, in characters.
const MOST: usize = 2000;

/// A line with a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    text: String,
    /// The position of the cursor, in bytes.
    at: usize,
}

impl Edit {
    pub(crate) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), at: text.len() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    pub(crate) fn before(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    pub(crate) fn put(&mut self, letter: char) {
        if self.text.len() < MOST && !letter.is_control() {
            self.text.insert(self.at, letter);
            self.at += letter.len_utf8();
        }
    }

    /// Inserts text at the cursor.
    pub(crate) fn put_all(&mut self, letters: &str) {
        letters.chars().for_each(|letter| self.put(letter));
    }

    pub(crate) fn rub(&mut self) {
        if let Some(letter) = self.before().chars().next_back() {
            self.at -= letter.len_utf8();
            self.text.remove(self.at);
        }
    }

    pub(crate) fn delete(&mut self) {
        if self.at < self.text.len() {
            self.text.remove(self.at);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn left(&mut self) {
        self.at -= self.before().chars().next_back().map_or(0, char::len_utf8);
    }

    pub(crate) fn right(&mut self) {
        self.at += self.text.get(self.at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }

    pub(crate) fn home(&mut self) {
        self.at = 0;
    }

    pub(crate) fn end(&mut self) {
        self.at = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_where_the_cursor_is() {
        let mut edit = Edit::of("aé");
        edit.left();
        edit.put('x');
        assert_eq!((edit.text(), edit.before()), ("axé", "ax"));
        edit.home();
        edit.left();
        edit.rub();
        edit.delete();
        edit.end();
        edit.right();
        edit.rub();
        edit.put('\n');
        edit.put_all("日 =");
        assert_eq!((edit.text(), edit.before()), ("x日 =", "x日 ="));
        edit.clear();
        assert_eq!(edit, Edit::default());
    }
}
