//! Words for numbers: the names of an enumeration's values and of flag bits.
//!
//! A table of words defines the number, the printed spelling, and all accepted spellings.
//! Accepted spellings ignore case, and hyphens and underscores are equivalent.
//!
//! A table may be incomplete: a newer kernel may send a number without a word.  If such
//! numbers are printed as a fixed text (`UNKNOWN`), this text is a word without a number.

/// A word, and the number that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// The number: a value, or a mask for flags.  `None` for a word that stands for no single
    /// number.
    pub number: Option<u32>,
    /// All spellings, separated by `|`, the printed one first.
    spellings: &'static str,
}

impl Word {
    /// The word for a number: the printed spelling, then after `|` other accepted spellings
    /// (`ESTAB|established`).
    pub const fn new(number: u32, spellings: &'static str) -> Self {
        Self { number: Some(number), spellings }
    }

    /// A word without a number.
    pub const fn text(spellings: &'static str) -> Self {
        Self { number: None, spellings }
    }

    /// The printed spelling.
    pub const fn name(&self) -> &'static str {
        let bytes = self.spellings.as_bytes();
        let mut end = 0;
        while end < bytes.len() && bytes[end] != b'|' {
            end += 1;
        }
        self.spellings.split_at(end).0
    }

    /// Every spelling, the printed one first.
    pub fn spellings(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.spellings.split('|')
    }

    /// Whether this is one of its spellings.
    pub fn is(&self, spelling: &[u8]) -> bool {
        self.spellings().any(|known| is_same(known.as_bytes(), spelling))
    }
}

/// The first word with this number.
pub fn by_number(words: &'static [Word], number: u32) -> Option<&'static Word> {
    words.iter().find(|word| word.number == Some(number))
}

/// The word with this spelling; a printed spelling takes precedence over other spellings.
pub fn by_spelling(words: &'static [Word], spelling: &[u8]) -> Option<&'static Word> {
    let by_name = words.iter().find(|word| is_same(word.name().as_bytes(), spelling));
    by_name.or_else(|| words.iter().find(|word| word.is(spelling)))
}

fn is_same(known: &[u8], spelling: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    known.iter().map(plain).eq(spelling.iter().map(plain))
}

/// The number of words in the [`union`] of these tables.
pub const fn union_len(tables: &[&[Word]]) -> usize {
    let (mut len, mut table) = (0, 0);
    while table < tables.len() {
        let mut at = 0;
        while at < tables[table].len() {
            len += is_new(tables, table, at) as usize;
            at += 1;
        }
        table += 1;
    }
    len
}

/// The union of tables with separate numberings: each name once, with numbers only for words
/// of the first table.
pub const fn union<const N: usize>(tables: &[&[Word]]) -> [Word; N] {
    let mut all = [Word::text(""); N];
    let (mut len, mut table) = (0, 0);
    while table < tables.len() {
        let mut at = 0;
        while at < tables[table].len() {
            if is_new(tables, table, at) {
                all[len] = tables[table][at];
                if table > 0 {
                    all[len].number = None;
                }
                len += 1;
            }
            at += 1;
        }
        table += 1;
    }
    assert!(len == N, "the length is that of `union_len`");
    all
}

/// Whether no earlier table contains a word with this name.
const fn is_new(tables: &[&[Word]], table: usize, at: usize) -> bool {
    let mut other = 0;
    while other < table {
        let mut word = 0;
        while word < tables[other].len() {
            if is_equal(tables[other][word].name().as_bytes(), tables[table][at].name().as_bytes()) {
                return false;
            }
            word += 1;
        }
        other += 1;
    }
    true
}

const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// The names by number, from zero; `otherwise` for numbers without a word.
pub const fn by_place<const N: usize>(words: &[Word], otherwise: &'static str) -> [&'static str; N] {
    let mut names = [otherwise; N];
    let mut at = words.len();
    // Backwards, so that the first of several words with the same number wins.
    while at > 0 {
        at -= 1;
        if let Some(number) = words[at].number
            && (number as usize) < N
        {
            names[number as usize] = words[at].name();
        }
    }
    names
}

/// Words for numbers that mean false or true.
pub const FALSE_TRUE: &[Word] = &[Word::new(0, "false|no|off"), Word::new(1, "true|yes|on")];

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: &[Word] = &[
        Word::new(1, "ESTAB|established"),
        Word::new(4, "FIN-WAIT-1"),
        Word::new(4, "again"),
        Word::text("UNKNOWN"),
    ];

    #[test]
    fn spellings_lead_to_the_word() {
        for (spelling, want) in [
            ("ESTAB", Some("ESTAB")),
            ("Established", Some("ESTAB")),
            ("fin_wait-1", Some("FIN-WAIT-1")),
            ("unknown", Some("UNKNOWN")),
            ("esta", None),
            ("", None),
        ] {
            assert_eq!(by_spelling(STATES, spelling.as_bytes()).map(|word| word.name()), want, "{spelling}");
        }
        assert_eq!(by_spelling(STATES, b"estab\0"), None);
    }

    #[test]
    fn numbers_lead_to_the_first_word() {
        assert_eq!(by_number(STATES, 4).map(|word| word.name()), Some("FIN-WAIT-1"));
        assert_eq!(by_number(STATES, 0), None);
    }

    #[test]
    fn a_union_has_each_name_once_and_the_first_table_s_numbers() {
        const TABLES: &[&[Word]] = &[STATES, &[Word::new(9, "ESTAB"), Word::new(1, "COOKIE")], STATES];
        const ALL: [Word; union_len(TABLES)] = union(TABLES);
        let all = ALL.map(|word| (word.name(), word.number));
        let want = [
            ("ESTAB", Some(1)),
            ("FIN-WAIT-1", Some(4)),
            ("again", Some(4)),
            ("UNKNOWN", None),
            ("COOKIE", None),
        ];
        assert_eq!(all, want);
    }

    #[test]
    fn names_stand_at_their_numbers() {
        assert_eq!(by_place::<5>(STATES, "?"), ["?", "ESTAB", "?", "?", "FIN-WAIT-1"]);
        assert_eq!(by_place::<1>(STATES, "?"), ["?"]);
    }
}
