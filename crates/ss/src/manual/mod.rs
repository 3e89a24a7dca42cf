//! What `--generate` prints: the manual page, shell completions, and the
//! reference pages of options and fields.
//!
//! Everything is made of the table of options and the table of fields, so what
//! is installed says what this program can do.  Only the language of filters,
//! which is a grammar and no table, is described in words (`filter.rs`).
//!
//! Invariant: an option without a doc, or a field without one, fails a test.

mod completions;
mod filter;
mod man;
mod pages;

use sockdiag::fields::{Catalog, Field};

use crate::cli::shown_by;

/// What can be made, by the word after `--generate=`.
type Maker = fn() -> String;

/// Every word and what it makes.
const KINDS: &[(&str, Maker)] = &[
    ("man", man::page),
    ("options", pages::options),
    ("fields", pages::fields),
    ("bash", completions::bash),
    ("zsh", completions::zsh),
    ("fish", completions::fish),
];

/// The words that `--generate` takes, as help lists them.
pub(crate) const WORDS: &str = "=WHAT";
/// The same, one by one.
pub(crate) const MORE: &str = "       WHAT := {man|options|fields|bash|zsh|fish}\n";

/// Makes one of them; `None` for another word.
pub(crate) fn generate(word: &[u8]) -> Option<String> {
    KINDS.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, make)| make())
}

/// The fields that some option shows or structured output gives, each name
/// once, under what shows them, in print order.
fn sections(catalog: &Catalog) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for description in catalog.descriptions() {
        let layout = format!("{:?}", description.layout).to_lowercase();
        for part in &description.parts {
            let fields: Vec<&'static Field> =
                part.fields.iter().copied().filter(|field| seen.insert(field.name)).collect();
            if fields.is_empty() {
                continue;
            }
            // A block without groups is shown wherever there is something to show.
            let shown_by = Some(shown_by(part.shown_by)).filter(|names| !names.is_empty());
            let shown_by = shown_by.unwrap_or_else(|| "always".to_owned());
            match sections.last_mut() {
                Some(last) if last.layout == layout && last.shown_by == shown_by => {
                    last.fields.extend(fields);
                }
                _ => sections.push(Section { layout: layout.clone(), shown_by, fields }),
            }
        }
    }
    sections
}

/// Fields that are shown together.
struct Section {
    layout: String,
    shown_by: String,
    fields: Vec<&'static Field>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::OPTIONS;
    use sockdiag::fields::Groups;

    #[test]
    fn every_option_has_a_doc() {
        for option in OPTIONS {
            let name = option.long.first().expect("an option has a name");
            assert!(option.doc.ends_with('.') && option.doc.len() > 10, "--{name} has no doc");
        }
    }

    #[test]
    fn every_field_is_on_the_page_with_its_doc() {
        let (page, man) = (pages::fields(), man::page());
        let catalog = Catalog::standard();
        for field in catalog.fields() {
            assert!(page.contains(&format!("`{}`", field.name)), "{}", field.name);
            assert!(field.doc.ends_with('.'), "{}", field.name);
            if field.token().is_some() && field.groups.intersects(Groups::INFO) {
                assert!(man.contains(&man::escaped(field.name)), "{} in the manual page", field.name);
            }
        }
    }

    #[test]
    fn every_option_is_everywhere() {
        let made: Vec<String> =
            KINDS.iter().filter(|(name, _)| *name != "fields").map(|(_, make)| make()).collect();
        for option in OPTIONS {
            for name in option.long {
                for (text, (kind, _)) in made.iter().zip(KINDS.iter().filter(|(name, _)| *name != "fields")) {
                    let dashed = text.contains(&format!("--{name}"))
                        || text.contains(&man::escaped(&format!("--{name}")))
                        || text.contains(&format!("-l {name}"));
                    assert!(dashed, "--{name} is missing in {kind}");
                }
            }
        }
    }

    #[test]
    fn every_word_that_help_lists_makes_something() {
        let (_, list) = MORE.split_once('{').unwrap();
        let (list, _) = list.split_once('}').unwrap();
        let words: Vec<&str> = list.split('|').collect();
        assert_eq!(words, KINDS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for word in words {
            assert!(generate(word.as_bytes()).is_some_and(|text| text.len() > 1000 && text.ends_with('\n')));
        }
        assert!(generate(b"poem").is_none());
    }

    #[test]
    fn groups_have_options() {
        for section in sections(&Catalog::standard()) {
            assert!(!section.shown_by.is_empty(), "{}", section.fields[0].name);
        }
    }
}
