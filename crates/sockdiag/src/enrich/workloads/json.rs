//! A JSON reader that keeps only what the caller asks for.
//!
//! Values that are not needed are skipped, so a document costs one pass over its
//! bytes and no memory.
//!
//! Invariant: nothing recurses; a value nested more deeply than [`DEPTH`] is refused, as is
//! any invalid JSON up to where the reading ends.
//!
//! Source: RFC 8259.

/// How deeply values may be nested.
const DEPTH: usize = 128;

/// The document is not JSON, or is nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJson;

/// The part of a document that is not read yet.
#[derive(Debug)]
pub(super) struct Json<'d> {
    rest: &'d [u8],
}

/// Reads a whole document; `read` must consume one value.
///
/// # Errors
/// If the document is not JSON.
pub(super) fn document(
    bytes: &[u8],
    read: impl FnOnce(&mut Json<'_>) -> Result<(), NotJson>,
) -> Result<(), NotJson> {
    std::str::from_utf8(bytes).map_err(|_| NotJson)?;
    let mut json = Json { rest: bytes };
    read(&mut json)?;
    json.peek().map_or(Ok(()), |_| Err(NotJson))
}

impl<'d> Json<'d> {
    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied()
    }

    /// Consumes the next byte if it is this one; returns whether it was.
    fn takes(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        if is {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        is
    }

    fn expects(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.takes(byte) { Ok(()) } else { Err(NotJson) }
    }

    /// Reads a value.  For an object, calls `member` with each key, and `member` must
    /// consume the value; any other value is skipped.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        if self.peek() != Some(b'{') {
            return self.skip();
        }
        self.expects(b'{')?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expects(b':')?;
            member(self, &key)?;
            if !self.takes(b',') {
                return self.expects(b'}');
            }
        }
    }

    /// Reads a value.  For an array, calls `element` with each index, and `element` must
    /// consume the value; any other value is skipped.
    pub(super) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        if self.peek() != Some(b'[') {
            return self.skip();
        }
        self.expects(b'[')?;
        if self.takes(b']') {
            return Ok(());
        }
        for number in 0.. {
            element(self, number)?;
            if !self.takes(b',') {
                break;
            }
        }
        self.expects(b']')
    }

    /// Reads a value, and returns it if it is a string that is not empty.
    pub(super) fn text(&mut self) -> Result<Option<String>, NotJson> {
        if self.peek() == Some(b'"') {
            return Ok(Some(self.string()?).filter(|text| !text.is_empty()));
        }
        self.skip()?;
        Ok(None)
    }

    /// Skips a value.
    pub(super) fn skip(&mut self) -> Result<(), NotJson> {
        // One bit for each enclosing value, set for an object.
        let (mut objects, mut depth) = (0_u128, 0_usize);
        loop {
            let mut ended = true;
            match self.peek().ok_or(NotJson)? {
                open @ (b'{' | b'[') => {
                    if depth == DEPTH {
                        return Err(NotJson);
                    }
                    self.expects(open)?;
                    let is_object = open == b'{';
                    if !self.takes(if is_object { b'}' } else { b']' }) {
                        objects = objects << 1 | u128::from(is_object);
                        depth += 1;
                        ended = false;
                    }
                }
                b'"' => self.pass_string()?,
                _ => self.word()?,
            }
            while ended && depth > 0 {
                if self.takes(b',') {
                    break;
                }
                self.expects(if objects & 1 == 1 { b'}' } else { b']' })?;
                objects >>= 1;
                depth -= 1;
            }
            if depth == 0 {
                return Ok(());
            }
            if objects & 1 == 1 {
                if self.peek() != Some(b'"') {
                    return Err(NotJson);
                }
                self.pass_string()?;
                self.expects(b':')?;
            }
        }
    }

    /// Skips a number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<(), NotJson> {
        let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
        let length = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        let is_number = || {
            word.first().is_some_and(|first| first.is_ascii_digit() || *first == b'-')
                && word.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
        };
        if matches!(word, b"true" | b"false" | b"null") || is_number() { Ok(()) } else { Err(NotJson) }
    }

    /// The bytes between the quotes of the next string.
    fn raw_string(&mut self) -> Result<&'d [u8], NotJson> {
        self.expects(b'"')?;
        let bytes = self.rest;
        let mut at = 0;
        loop {
            match bytes.get(at).ok_or(NotJson)? {
                b'"' => break,
                b'\\' if bytes.get(at + 1).is_some_and(|escaped| b"\"\\/bfnrtu".contains(escaped)) => at += 2,
                b'\\' | 0..=0x1f => return Err(NotJson),
                _ => at += 1,
            }
        }
        let (raw, rest) = bytes.split_at_checked(at).ok_or(NotJson)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(raw)
    }

    fn pass_string(&mut self) -> Result<(), NotJson> {
        self.raw_string().map(drop)
    }

    fn string(&mut self) -> Result<String, NotJson> {
        let mut rest = std::str::from_utf8(self.raw_string()?).map_err(|_| NotJson)?;
        let mut text = String::new();
        while let Some((before, after)) = rest.split_once('\\') {
            text.push_str(before);
            let mut letters = after.chars();
            let letter = match letters.next().ok_or(NotJson)? {
                letter @ ('"' | '\\' | '/') => letter,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => escape(&mut letters)?,
                _ => return Err(NotJson),
            };
            text.push(letter);
            rest = letters.as_str();
        }
        text.push_str(rest);
        Ok(text)
    }
}

/// The character after `\u`, which may be given as a surrogate pair.
fn escape(letters: &mut std::str::Chars<'_>) -> Result<char, NotJson> {
    let first = unit(letters)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).ok_or(NotJson);
    }
    *letters = letters.as_str().strip_prefix("\\u").ok_or(NotJson)?.chars();
    let second = unit(letters)?.checked_sub(0xdc00).filter(|half| *half < 0x400).ok_or(NotJson)?;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second).ok_or(NotJson)
}

/// A number of four hexadecimal digits.
fn unit(letters: &mut std::str::Chars<'_>) -> Result<u32, NotJson> {
    let (digits, rest) = letters.as_str().split_at_checked(4).ok_or(NotJson)?;
    *letters = rest.chars();
    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_number).ok_or(NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Reads `name` and the names in a list from a document.
    fn names(bytes: &[u8]) -> Result<(Option<String>, Vec<String>), NotJson> {
        let (mut name, mut list) = (None, Vec::new());
        document(bytes, |json| {
            json.object(|json, key| match key {
                "Name" => {
                    name = json.text()?;
                    Ok(())
                }
                "list" => json.array(|json, _| {
                    list.extend(json.text()?);
                    Ok(())
                }),
                _ => json.skip(),
            })
        })?;
        Ok((name, list))
    }

    #[test]
    fn what_is_wanted_is_found_among_anything() {
        let text = r#" { "a" : [ { "b": [[], {}, null, -1.5e3, "x\"]}"] }, true ], "N\u0061me" :"\ud83d\ude00\n\/",
            "list":[1,"p",["q"],"r"],"z":{"Name":"no"} } "#;
        let (name, list) = names(text.as_bytes()).expect("JSON");
        assert_eq!((name.as_deref(), list), (Some("\u{1f600}\n/"), vec!["p".to_owned(), "r".to_owned()]));
        for (text, name) in [
            ("{\"Name\":\"a\",\"Name\":\"b\"}", Some("b")),
            ("{\"Name\":\"\"}", None),
            ("{\"Name\":7}", None),
            ("{\"Name\":[\"x\"]}", None),
            ("[\"Name\"]", None),
            ("null", None),
            ("{}", None),
        ] {
            assert_eq!(names(text.as_bytes()).map(|found| found.0), Ok(name.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(names(deep(DEPTH).as_bytes()).is_ok());
        assert_eq!(names(deep(DEPTH + 1).as_bytes()), Err(NotJson));
        assert_eq!(names("[".repeat(1 << 20).as_bytes()), Err(NotJson));
        assert_eq!(names("{\"x\":".repeat(1 << 20).as_bytes()), Err(NotJson));
        for text in [
            "",
            " ",
            "{",
            "}",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "[1]2",
            "nul",
            "+1",
            "\"",
            "\"\\",
            "\"\\x\"",
            "{\"Name\":\"\\ud800\"}",
            "{\"Name\":\"\\ud800\\u0041\"}",
            "{\"Name\":\"\\udc00\"}",
            "{\"Name\":\"\\u12\"}",
            "{\"Name\":\"\\u+123\"}",
            "\"\n\"",
            "[1}",
            "{\"a\":[1}}",
        ] {
            assert_eq!(names(text.as_bytes()), Err(NotJson), "{text}");
        }
        assert_eq!(names(b"{\"Name\":\"\xff\"}"), Err(NotJson));
    }

    /// Every document of random pieces that serde accepts is accepted here, with the same name in
    /// it.
    #[test]
    fn another_reader_finds_the_same() {
        let mut rng = fastrand::Rng::with_seed(13);
        let pieces = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"Name\"",
            "\"a\"",
            "\"\\u00e9\\n\"",
            "1",
            "-0.5e1",
            "true",
            "null",
            " ",
            "\"",
            "\\",
            "\u{7}",
            "{\"Name\":\"x\"}",
            "[1,2]",
            "{\"list\":[\"y\"]}",
        ];
        let mut documents = 0;
        for _ in 0..200_000 {
            let text: String = (0..rng.usize(1..9)).map(|_| pieces[rng.usize(..pieces.len())]).collect();
            let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
            documents += 1;
            let name = value.get("Name").and_then(Value::as_str).filter(|name| !name.is_empty());
            assert_eq!(names(text.as_bytes()).map(|found| found.0), Ok(name.map(str::to_owned)), "{text}");
        }
        assert!(documents > 1_000, "{documents}");
    }
}
