//! What `--generate` prints: the manual pages, shell completions, and the
//! reference pages of options and fields.
//!
//! All texts are built from the table of options and the table of fields, so that the
//! installed documentation matches this program.  Only the filter language, which is a grammar
//! and not a table, is described in prose (`sockdiag-guide`).
//!
//! Invariant: a test fails if an option or a field has no doc.

mod completions;
mod man;
mod pages;

use sockdiag::fields::{Catalog, Field, Groups, Needs};
use sockdiag_guide::{field_page, filter_page};

use crate::cli::{Document, shown_by};

/// Builds a document.
pub(crate) fn generate(document: Document) -> String {
    match document {
        Document::Man => man::page(),
        Document::ManFilter => filter_page::page(),
        Document::ManFields => field_page::page(shown_by),
        Document::Options => pages::options(),
        Document::Fields => pages::fields(),
        Document::Bash => completions::bash(),
        Document::Zsh => completions::zsh(),
        Document::Fish => completions::fish(),
    }
}

/// The fields that an option shows or structured output prints, each name once, grouped by the
/// option that shows them, in print order.
fn sections(catalog: &Catalog) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for description in catalog.descriptions() {
        let message_kind = format!("{:?}", description.message_kind).to_lowercase();
        for part in &description.parts {
            let fields: Vec<&'static Field> =
                part.fields.iter().copied().filter(|field| seen.insert(field.name)).collect();
            if fields.is_empty() {
                continue;
            }
            // A block without groups is shown whenever it has a value.
            let shown_by = Some(shown_by(part.shown_by)).filter(|names| !names.is_empty());
            let shown_by = shown_by.unwrap_or_else(|| by_name(&fields).to_owned());
            match sections.last_mut() {
                Some(last) if last.message_kind == message_kind && last.shown_by == shown_by => {
                    last.fields.extend(fields);
                }
                _ => sections.push(Section { message_kind: message_kind.clone(), shown_by, fields }),
            }
        }
    }
    sections
}

/// How to see fields that no option asks for.
fn by_name(fields: &[&Field]) -> &'static str {
    if fields.iter().all(|field| field.needs.has(Needs::TWO_LOOKS)) {
        "sockdiag top, by name: they need two samples of each socket"
    } else if fields.iter().all(|field| field.groups == Groups::NONE && field.token().is_none()) {
        "--columns, by name"
    } else {
        "always"
    }
}

/// Fields that are shown together.
struct Section {
    message_kind: String,
    shown_by: String,
    fields: Vec<&'static Field>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag_guide::page;
    use sockdiag_options::{Key, OPTIONS, option};

    #[test]
    fn every_field_is_on_the_page_with_its_doc() {
        let (page, man) = (pages::fields(), field_page::page(shown_by));
        let catalog = Catalog::standard();
        for field in catalog.fields() {
            assert!(page.contains(&format!("`{}`", field.name)), "{}", field.name);
            assert!(field.doc.ends_with('.'), "{}", field.name);
            assert!(man.contains(&page::escaped(field.name)), "{} in the manual page", field.name);
            if let Some(token) = field.token() {
                assert!(man.contains(&page::escaped(&token)), "{token} in the manual page");
            }
        }
    }

    #[test]
    fn every_option_is_everywhere() {
        let without = [Document::Fields, Document::ManFields, Document::ManFilter];
        let documents = Document::ALL.iter().filter(|(_, document)| !without.contains(document));
        let made: Vec<_> = documents.map(|(kind, document)| (kind, generate(*document))).collect();
        for option in OPTIONS {
            for name in option.long {
                for (kind, text) in &made {
                    let dashed = text.contains(&format!("--{name}"))
                        || text.contains(&page::escaped(&format!("--{name}")))
                        || text.contains(&format!("-l {name}"));
                    assert!(dashed, "--{name} is missing in {kind}");
                }
            }
        }
    }

    #[test]
    fn what_follows_an_option_is_told_in_full() {
        let (page, man) = (pages::options(), man::page());
        for argument in OPTIONS.iter().filter_map(|option| option.argument) {
            assert!(page.contains(&format!(" *{}*:", argument.shown)), "{}", argument.shown);
            assert!(
                man.contains(&page::escaped(&format!("=\\fI{}\\fR", argument.shown))),
                "{}",
                argument.shown
            );
        }
    }

    #[test]
    fn the_page_of_fields_is_sorted_by_name() {
        let page = field_page::page(shown_by);
        let names = page.split(".TP\n\\fB").skip(1).filter_map(|item| item.split("\\fR").next());
        let names: Vec<String> = names.map(|name| name.replace('\\', "")).collect();
        let fields: Vec<&String> =
            names.iter().filter(|name| Catalog::standard().field(name).is_some()).collect();
        assert!(fields.len() > 300 && fields.is_sorted(), "{fields:?}");
    }

    #[test]
    fn every_word_that_help_lists_makes_something() {
        let listed = option(Key::Generate).argument.unwrap().kind.words();
        assert_eq!(listed, Document::ALL.map(|(name, _)| name));
        for word in listed {
            let text = generate(Document::by_name(word.as_bytes()).unwrap());
            assert!(text.len() > 1000 && text.ends_with('\n'), "{word}");
        }
        assert!(Document::by_name(b"poem").is_none());
    }

    #[test]
    fn groups_have_options() {
        for section in sections(&Catalog::standard()) {
            assert!(!section.shown_by.is_empty(), "{}", section.fields[0].name);
        }
    }
}
