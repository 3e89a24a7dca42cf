//! The wording of `ss`, its exit statuses and any check for the reference's behaviour stay in
//! this crate: the libraries' sources contain none of them.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};

/// The crates that other programs use as well.
const LIBRARIES: [&str; 4] = ["wire", "facts", "sockdiag", "render"];

/// A source file, split into its parts.
#[derive(Debug, Default)]
struct Parts {
    /// The contents of string literals, as written.
    literals: Vec<String>,
    /// Everything else except comments.
    code: String,
    /// Comments.
    comments: String,
}

/// Splits a source.  It knows only as much of the language as is needed to tell literals,
/// comments and code apart.
fn parts(source: &str) -> Parts {
    let letters: Vec<char> = source.chars().collect();
    let at = |index: usize| letters.get(index).copied().unwrap_or('\0');
    let mut parts = Parts::default();
    let mut here = 0;
    while here < letters.len() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let begins_word = here == 0 || !is_word(at(here - 1));
        if at(here) == '/' && at(here + 1) == '/' {
            while here < letters.len() && at(here) != '\n' {
                parts.comments.push(at(here));
                here += 1;
            }
            parts.comments.push('\n');
        } else if at(here) == '/' && at(here + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(here), at(here + 1)) {
                    ('/', '*') => (depth, here) = (depth + 1, here + 2),
                    ('*', '/') => (depth, here) = (depth - 1, here + 2),
                    (letter, _) => {
                        parts.comments.push(letter);
                        here += 1;
                    }
                }
                if depth == 0 || here >= letters.len() {
                    break;
                }
            }
        } else if let Some((hashes, begin)) = raw_string(&letters, here).filter(|_| begins_word) {
            let end = format!("\"{}", "#".repeat(hashes));
            let rest: String = letters[begin..].iter().collect();
            let literal = rest.split(&end).next().unwrap_or_default().to_owned();
            here = begin + literal.chars().count() + end.len();
            parts.literals.push(literal);
        } else if at(here) == '"' {
            let mut literal = String::new();
            here += 1;
            while here < letters.len() && at(here) != '"' {
                if at(here) == '\\' {
                    literal.push('\\');
                    here += 1;
                }
                literal.push(at(here));
                here += 1;
            }
            here += 1;
            parts.literals.push(literal);
        } else if at(here) == '\'' && (at(here + 1) == '\\' || at(here + 2) == '\'') {
            // A character literal, otherwise a lifetime.
            here += if at(here + 1) == '\\' { 3 } else { 2 };
            while here < letters.len() && at(here) != '\'' {
                here += 1;
            }
            here += 1;
        } else {
            parts.code.push(at(here));
            here += 1;
        }
    }
    parts
}

/// The number of hashes of a raw string that begins here, and where its text begins.
fn raw_string(letters: &[char], here: usize) -> Option<(usize, usize)> {
    let prefixes: [&[char]; 3] = [&['r'], &['b', 'r'], &['c', 'r']];
    let prefix = prefixes.into_iter().find(|prefix| letters[here..].starts_with(prefix))?;
    let behind = &letters[here + prefix.len()..];
    let hashes = behind.iter().take_while(|letter| **letter == '#').count();
    (behind.get(hashes) == Some(&'"')).then_some((hashes, here + prefix.len() + hashes + 1))
}

/// A source without its test module, which comes last.
fn without_tests(source: &str) -> &str {
    source.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// The sources of a library, without its tests.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if matches!(stem, "tests" | "testing") {
        } else if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The parts of a source that belong into the program's crate.
fn faults(source: &str) -> Vec<String> {
    let Parts { literals, code, comments } = parts(without_tests(source));
    let mut faults = Vec::new();
    for literal in literals {
        let lower = literal.to_lowercase();
        let is_status = lower.contains("exit status") || lower.contains("exit code");
        let says = literal.starts_with("ss: ") || literal.contains("\\nss: ");
        if says || is_status || lower.contains("reference") {
            faults.push(format!("says {literal:?}"));
        }
    }
    for word in ["exit_status", "exit_code", "shows_usage", "ExitCode", "process::exit"] {
        if code.contains(word) {
            faults.push(format!("knows {word}"));
        }
    }
    for word in ["exit status", "exit_status", "exit code", "exit_code"] {
        if comments.to_lowercase().contains(word) {
            faults.push(format!("tells of an {word}"));
        }
    }
    faults
}

#[test]
fn libraries_hold_no_words_of_the_program() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut count = 0;
    let mut wrong = Vec::new();
    for library in LIBRARIES {
        let mut found = Vec::new();
        sources(&crates.join(library).join("src"), &mut found);
        count += found.len();
        for path in found {
            let source = fs::read_to_string(&path).expect("a source");
            wrong.extend(faults(&source).into_iter().map(|fault| format!("{}: {fault}", path.display())));
        }
    }
    assert!(count > 100, "only {count} sources were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The check finds the program's wording in the program's own source, so it would find it in a
/// library.
#[test]
fn the_words_of_the_program_are_seen() {
    let own = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/words/reference.rs"));
    let found = faults(&own.expect("a source"));
    for part in ["ss: get_sockstat", "ss: bison bellows", "ss: wrong state name"] {
        assert!(found.iter().any(|fault| fault.contains(part)), "{part}: {found:?}");
    }
}

#[test]
fn what_is_no_literal_is_none() {
    let source = r##"
        // "ss: in a comment"
        /* "ss: in /* another */ one" */
        let (quote, slash, tick): (char, char, char) = ('"', '\\', '\'');
        fn life<'a>(text: &'a str) -> &'a str { text }
        let said = ["ss: one", b"ss: two", "not \"ss: three\"", r"ss: four", br#"ss: "five" "#, c"ss: six"];
        let status = exit_status();
    "##;
    let wrong = ["one", "two", "four", "six"].map(|word| format!("says \"ss: {word}\""));
    let found = faults(source);
    for fault in wrong {
        assert!(found.contains(&fault), "{fault}: {found:?}");
    }
    assert!(found.contains(&"knows exit_status".to_owned()));
    assert!(found.iter().any(|fault| fault.contains("five")));
    assert_eq!(found.len(), 6, "{found:?}");
    assert_eq!(faults("/// Its exit status.\nfn f() {}"), ["tells of an exit status"]);
    assert_eq!(faults("let a = 1;\n#[cfg(test)]\nmod tests {\n \"ss: x\" }"), [""; 0]);
    assert_eq!(faults("say(\"as the reference does\")").len(), 1);
}
