//! Text that is safe on a terminal, and how wide it is.

use sockdiag_facts::escape;

/// The text with every character escaped that would affect a terminal.
pub fn clean(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut clean, letter| {
        if escape::is_unsafe(letter) {
            clean.extend(letter.escape_unicode());
        } else {
            clean.push(letter);
        }
        clean
    })
}

/// A number of things: `1 socket`, `2 sockets`.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The number of terminal cells that a text occupies.
pub(crate) fn width(text: &str) -> usize {
    ratatui::text::Span::raw(text).width()
}

/// The text; if it is too wide, its beginning and a mark.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut taken = 0;
    for letter in text.chars() {
        let wide = width(letter.encode_utf8(&mut [0; 4]));
        if taken + wide + 1 > most {
            break;
        }
        taken += wide;
        short.push(letter);
    }
    if most > 0 {
        short.push('…');
    }
    short
}

/// Text wrapped at blanks to a width.
pub(crate) fn folded(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if width(line) + 1 + width(word) <= most {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.iter().map(|line| cut(line, most)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_a_terminal() {
        let text = clean("a\x1b[2J\u{9b}\u{202e}b\ré");
        assert_eq!(text, "a\\u{1b}[2J\\u{9b}\\u{202e}b\\u{d}é");
    }

    #[test]
    fn cuts_are_within_the_width() {
        for (text, most, want) in [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 4, "日…"), ("ab", 0, "")]
        {
            assert_eq!(cut(text, most), want);
            assert!(width(&cut(text, most)) <= most);
        }
        assert_eq!(folded("one two three", 7), ["one two", "three"]);
    }
}
