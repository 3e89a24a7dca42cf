//! Splits words and lines into tokens.
//!
//! A token ends only at a blank or tab: `sport=1` and `(sport` are one token each.  A
//! backslash is removed and the next byte taken literally; operators are recognised after
//! that, so a backslash does not hide an operator.
//!
//! Source: the observed behaviour of `ss`.

use std::collections::VecDeque;
use std::io::{BufRead, Read};

use super::error::FilterError;
use super::expr::Comparison;

/// The meaning of a token that does not depend on any table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// `!`, `not`.
    Not,
    /// `&`, `&&`, `and`.
    And,
    /// `|`, `||`, `or`.
    Or,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// An operator between an operand and its value.
    Compare(Comparison),
}

/// The operator that a token spells; `None` for other tokens.
pub(super) fn mark(token: &[u8]) -> Option<Mark> {
    Some(match token {
        b"!" | b"not" => Mark::Not,
        b"&" | b"&&" | b"and" => Mark::And,
        b"|" | b"||" | b"or" => Mark::Or,
        b"(" => Mark::Open,
        b")" => Mark::Close,
        b">=" | b"ge" | b"geq" => Mark::Compare(Comparison::Ge),
        b"<=" | b"le" | b"leq" => Mark::Compare(Comparison::Le),
        b"!=" | b"ne" | b"neq" => Mark::Compare(Comparison::Ne),
        b"=" | b"==" | b"eq" => Mark::Compare(Comparison::Eq),
        b">" | b"gt" => Mark::Compare(Comparison::Gt),
        b"<" | b"lt" => Mark::Compare(Comparison::Lt),
        _ => return None,
    })
}

/// Removes the first token from a word or line; `None` if only blanks are left.
fn next_token(text: &mut &[u8]) -> Option<Vec<u8>> {
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\t'))?;
    let mut token = Vec::new();
    let mut bytes = text.iter().enumerate().skip(start);
    let mut end = text.len();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b' ' | b'\t' => {
                end = at;
                break;
            }
            b'\\' => token.extend(bytes.next().map(|(_, literal)| *literal)),
            _ => token.push(*byte),
        }
    }
    *text = text.get(end..).unwrap_or_default();
    Some(token)
}

/// The tokens of the command line, then those of the filter file.
pub(super) struct Tokens<'a> {
    words: std::slice::Iter<'a, &'a [u8]>,
    word: &'a [u8],
    file: Option<&'a mut dyn BufRead>,
    line: Vec<u8>,
    line_at: usize,
    /// The position before the last token.
    before: (&'a [u8], usize),
    /// The last tokens read, for messages.
    seen: VecDeque<Vec<u8>>,
}

/// A position after a token.
pub(super) struct Place<'a> {
    words: std::slice::Iter<'a, &'a [u8]>,
    word: &'a [u8],
    line_at: usize,
    last: Vec<u8>,
}

/// The maximum number of tokens kept for messages.
const SEEN: usize = 24;

/// The size of the buffer into which the reference reads a line; it holds one byte less.
const LINE_BUFFER: usize = 1024;

impl<'a> Tokens<'a> {
    pub(super) fn new(words: &'a [&'a [u8]], file: Option<&'a mut dyn BufRead>) -> Self {
        Self {
            words: words.iter(),
            word: &[],
            file,
            line: Vec::new(),
            line_at: 0,
            before: (&[], 0),
            seen: VecDeque::new(),
        }
    }

    /// Goes back to the position before the last token.
    pub(super) fn rewind(&mut self) {
        (self.word, self.line_at) = self.before;
        self.seen.pop_back();
    }

    /// The position of the next token, for [`Self::return_to`]; valid until another line is
    /// read.
    pub(super) fn place(&self) -> Place<'a> {
        let last = self.seen.back().cloned().unwrap_or_default();
        Place { words: self.words.clone(), word: self.word, line_at: self.line_at, last }
    }

    /// Goes back to a position.
    pub(super) fn return_to(&mut self, place: Place<'a>) {
        (self.words, self.word, self.line_at) = (place.words, place.word, place.line_at);
        self.see(&place.last);
    }

    /// The rest of the word or line, from the next byte on.
    pub(super) fn glued(&self) -> &[u8] {
        match self.word {
            [] => self.line.get(self.line_at..).unwrap_or_default(),
            word => word,
        }
    }

    /// The rest of the word or line, without leading blanks.
    pub(super) fn raw(&self) -> &[u8] {
        let rest = self.glued();
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        rest.get(blanks..).unwrap_or_default()
    }

    /// Consumes this number of bytes of [`Tokens::raw`].
    pub(super) fn pass(&mut self, bytes: usize) {
        let bytes = bytes + self.glued().len() - self.raw().len();
        match self.word {
            [] => self.line_at += bytes,
            word => self.word = word.get(bytes..).unwrap_or_default(),
        }
    }

    /// Like [`Self::pass`], but also records the bytes as a token for messages.
    pub(super) fn accept(&mut self, bytes: usize) {
        let token = self.raw().get(..bytes).unwrap_or_default().to_vec();
        self.see(&token);
        self.pass(bytes);
    }

    /// Moves to the next word or line if this one is used up.  Returns false at the end, or if
    /// the file cannot be read further.
    pub(super) fn more(&mut self) -> bool {
        while self.raw().is_empty() {
            if let Some(word) = self.words.next() {
                self.word = word;
            } else {
                self.word = &[];
                if !matches!(self.read_line(), Ok(true)) {
                    return false;
                }
            }
        }
        true
    }

    /// The tokens before the last one, the last one, and the tokens after it in its words; the
    /// latter are empty at the end.
    pub(super) fn around(mut self, at_end: bool) -> [Vec<Vec<u8>>; 3] {
        self.file = None;
        let mut seen = Vec::from(std::mem::take(&mut self.seen));
        if at_end {
            return [seen, Vec::new(), Vec::new()];
        }
        let wrong = seen.pop().into_iter().collect();
        let behind = self.by_ref().take(SEEN).map_while(Result::ok).collect();
        [seen, wrong, behind]
    }

    /// Records a token for messages.
    pub(super) fn see(&mut self, token: &[u8]) {
        if self.seen.len() >= SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(token.to_vec());
    }

    /// Reads the next line of the file that is not a comment; returns false at the end.
    ///
    /// A read error counts as the end of the file, as in the reference.
    fn read_line(&mut self) -> Result<bool, FilterError> {
        let Some(file) = self.file.as_mut() else { return Ok(false) };
        loop {
            self.line.clear();
            self.line_at = 0;
            let mut limited = Read::take(&mut **file, LINE_BUFFER as u64 - 1);
            if !matches!(limited.read_until(b'\n', &mut self.line), Ok(1..)) {
                return Ok(false);
            }
            // The reference handles lines as C strings, which end at a NUL.
            if let Some(nul) = self.line.iter().position(|b| *b == 0) {
                self.line.truncate(nul);
            }
            if self.line.is_empty() {
                return Err(FilterError::InvalidLine);
            }
            if self.line.len() >= LINE_BUFFER - 1 {
                return Err(FilterError::LineTooLong);
            }
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            }
            // The reference also treats `0` as a comment sign; it was meant to be a NUL.
            if !matches!(self.line.first(), Some(b'#' | b'0')) {
                return Ok(true);
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Result<Vec<u8>, FilterError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.before = (self.word, self.line_at);
            if let Some(token) = next_token(&mut self.word) {
                self.see(&token);
                return Some(Ok(token));
            }
            match self.words.next() {
                Some(word) => self.word = word,
                None => break,
            }
        }
        loop {
            self.before = (&[], self.line_at);
            let mut rest = self.line.get(self.line_at..).unwrap_or_default();
            let token = next_token(&mut rest);
            self.line_at = self.line.len() - rest.len();
            if let Some(token) = token {
                self.see(&token);
                return Some(Ok(token));
            }
            match self.read_line() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.file = None;
                    self.line.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(words: &[&str], file: Option<&[u8]>) -> Result<Vec<String>, FilterError> {
        let words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
        let mut file = file;
        let file = file.as_mut().map(|f| f as &mut dyn BufRead);
        Tokens::new(&words, file).map(|t| t.map(|t| String::from_utf8_lossy(&t).into_owned())).collect()
    }

    #[test]
    fn words_split_at_blanks_only() {
        for (words, expect) in [
            (&["sport = :80"][..], &["sport", "=", ":80"][..]),
            (&["\tsport\t=", "", " ", "80 "], &["sport", "=", "80"]),
            (&["(sport=1)"], &["(sport=1)"]),
            (&["a\nb\r"], &["a\nb\r"]),
            (&["a\\ b", "c\\", "\\\\d", "\\"], &["a b", "c", "\\d", ""]),
            (&["s\\port"], &["sport"]),
        ] {
            assert_eq!(tokens(words, None).unwrap(), expect, "{words:?}");
        }
    }

    #[test]
    fn the_file_goes_on_where_the_words_end() {
        for (file, expect) in [
            (&b"b c"[..], &["a", "b", "c"][..]),
            (b"#no\n0no\n b\n\n\nc\n", &["a", "b", "c"]),
            (b" #b\n", &["a", "#b"]),
            (b"b\0junk\nc\r\n", &["a", "b", "c\r"]),
            (b"b\\\nc\\", &["a", "b", "c"]),
            (b"", &["a"]),
        ] {
            assert_eq!(tokens(&["a"], Some(file)).unwrap(), expect, "{file:?}");
        }
    }

    #[test]
    fn lines_have_a_limit() {
        let line = |len: usize, end: &str| [&b"x".repeat(len)[..], end.as_bytes()].concat();
        for (file, fits) in [
            (line(1021, "\n"), true),
            (line(1022, "\n"), false),
            (line(1022, ""), true),
            (line(1023, ""), false),
        ] {
            let expect = if fits { Ok(1) } else { Err(FilterError::LineTooLong) };
            assert_eq!(tokens(&[], Some(&file)).map(|t| t.len()), expect, "{} bytes", file.len());
        }
        let comment = [&b"#"[..], &b" ".repeat(2000)].concat();
        assert_eq!(tokens(&[], Some(&comment)), Err(FilterError::LineTooLong));
        assert_eq!(tokens(&["a"], Some(b"b\n\0c\n")), Err(FilterError::InvalidLine));
    }

    #[test]
    fn a_token_can_be_read_again_by_its_bytes() {
        let words: [&[u8]; 2] = [b" a\\ b  c", b"d"];
        let mut file: &[u8] = b"e f\n";
        let mut tokens = Tokens::new(&words, Some(&mut file));
        assert_eq!(tokens.next(), Some(Ok(b"a b".to_vec())));
        tokens.rewind();
        assert_eq!(tokens.raw(), b"a\\ b  c");
        tokens.accept(4);
        assert_eq!((tokens.glued(), tokens.raw()), (&b"  c"[..], &b"c"[..]));
        tokens.accept(1);
        assert!(tokens.raw().is_empty() && tokens.more());
        assert_eq!(tokens.raw(), b"d");
        tokens.accept(1);
        assert!(tokens.more());
        assert_eq!(tokens.next(), Some(Ok(b"e".to_vec())));
        tokens.rewind();
        tokens.accept(1);
        assert_eq!(tokens.next(), Some(Ok(b"f".to_vec())));
        assert!(!tokens.more());
        let seen = tokens.around(true).concat().concat();
        assert_eq!(seen, b"a\\ bcdef");
    }
}
