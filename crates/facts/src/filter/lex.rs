//! Words and lines into tokens.
//!
//! A token ends at a blank or tab and nowhere else: `sport=1` and `(sport`
//! are one token each.  A backslash is dropped and the next byte taken as it
//! is; operators are recognised after that, so a backslash does not hide one.
//!
//! Source: the program's behaviour.

use std::collections::VecDeque;
use std::io::{BufRead, Read};

use super::error::FilterError;
use super::expr::Comparison;

/// What a token is before any table is asked.
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

/// The operator that a token spells, if it is one.
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

/// Takes the first token off a word or line; `None` if only blanks are left.
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
    peeked: Option<Result<Vec<u8>, FilterError>>,
    /// The last tokens that were read, for messages.
    seen: VecDeque<Vec<u8>>,
}

/// Tokens that messages may show.
const SEEN: usize = 24;

/// Size of the buffer that the reference reads a line into; holds one less.
const LINE_BUFFER: usize = 1024;

impl<'a> Tokens<'a> {
    pub(super) fn new(words: &'a [&'a [u8]], file: Option<&'a mut dyn BufRead>) -> Self {
        Self {
            words: words.iter(),
            word: &[],
            file,
            line: Vec::new(),
            line_at: 0,
            peeked: None,
            seen: VecDeque::new(),
        }
    }

    /// The next token, without taking it.
    pub(super) fn peek(&mut self) -> Option<&[u8]> {
        if self.peeked.is_none() {
            self.peeked = self.next();
        }
        self.peeked.as_ref()?.as_deref().ok()
    }

    /// The tokens before the one that was taken last, that one, and those
    /// behind it in the words; none of the latter where there is none left.
    pub(super) fn around(mut self, at_end: bool) -> [Vec<Vec<u8>>; 3] {
        let peeked = usize::from(self.peeked.is_some());
        self.file = None;
        let mut seen = Vec::from(std::mem::take(&mut self.seen));
        let mut behind = seen.split_off(seen.len().saturating_sub(peeked));
        self.peeked = None;
        behind.extend(self.by_ref().take(SEEN).map_while(Result::ok));
        if at_end {
            seen.append(&mut behind);
            return [seen, Vec::new(), Vec::new()];
        }
        let wrong = seen.pop().into_iter().collect();
        [seen, wrong, behind]
    }

    fn see(&mut self, token: &[u8]) {
        if self.seen.len() >= SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(token.to_vec());
    }

    /// Reads the next line of the file that is no comment; false at its end.
    ///
    /// An unreadable file ends where reading fails, as it does for the
    /// reference.
    fn read_line(&mut self) -> Result<bool, FilterError> {
        let Some(file) = self.file.as_mut() else { return Ok(false) };
        loop {
            self.line.clear();
            self.line_at = 0;
            let mut limited = Read::take(&mut **file, LINE_BUFFER as u64 - 1);
            if !matches!(limited.read_until(b'\n', &mut self.line), Ok(1..)) {
                return Ok(false);
            }
            // A C string ends at its NUL.
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
            // `0` is the reference's own comment sign, meant to be a NUL.
            if !matches!(self.line.first(), Some(b'#' | b'0')) {
                return Ok(true);
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Result<Vec<u8>, FilterError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(peeked) = self.peeked.take() {
            return Some(peeked);
        }
        loop {
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
    fn peeking_takes_nothing() {
        let words: [&[u8]; 1] = [b"a b"];
        let mut tokens = Tokens::new(&words, None);
        assert_eq!(tokens.peek(), Some(&b"a"[..]));
        assert_eq!(tokens.next(), Some(Ok(b"a".to_vec())));
        assert_eq!(tokens.peek(), Some(&b"b"[..]));
        assert_eq!(tokens.peek(), Some(&b"b"[..]));
        assert_eq!(tokens.next(), Some(Ok(b"b".to_vec())));
        assert_eq!(tokens.peek(), None);
        assert_eq!(tokens.next(), None);
    }
}
