//! The manual page ss-fields(7): every field by name.
//!
//! Built only from the table of fields.

use roff::{Inline, bold, roman};
use sockdiag::fields::{Catalog, Field, Groups};
use sockdiag::sort::sort_by;
use sockdiag_render::field_list::tokens;

use crate::page::{Page, Piece};

/// The whole page; `shown_by` returns the options that show a group of fields.
pub fn page(shown_by: fn(Groups) -> String) -> String {
    let mut page = Page::new("ss-fields", "7", "the fields of sockets that ss(8) shows");
    page.section("DESCRIPTION");
    page.put(DESCRIPTION);
    let catalog = Catalog::standard();
    let mut fields: Vec<&'static Field> = catalog.fields().collect();
    sort_by(&mut fields, &mut |a, b| a.name.cmp(b.name));
    fields.dedup_by_key(|field| field.name);
    page.section("FIELDS");
    let mut subject = "";
    for field in fields {
        let own = field.name.split_once('.').map_or(field.name, |(subject, _)| subject);
        if own != subject {
            subject = own;
            page.heading(subject);
        }
        page.term(name(field.name, field.unit.name(), &tokens(field)), &text(field, shown_by));
        for member in field.kind.members() {
            let full = format!("{}.{}", field.name, member.name);
            page.term(name(&full, member.unit.name(), ""), &member.meaning());
        }
    }
    page.see_also(&["ss(8)", "ss-filter(7)"]);
    page.end()
}

const DESCRIPTION: &[Piece] = &[
    Piece::Text(
        "Each entry has the full name of a field, its unit, and in brackets the token that ss prints for \
         it, if any.  Its meaning, the options that show it and its source in the kernel follow.",
    ),
    Piece::Text(
        "The full name works in --columns, --sort, --group-by and filters, and is the key in JSON, nested \
         at the dot.  So does an unambiguous short name: the part after the dot, with or without its unit, \
         or the word that ss prints before the value.  If only one of several fields exists in the selected \
         tables (-t, -u and so on), ss uses it; otherwise it lists the candidates.",
    ),
    Piece::Text(
        "A field that a socket does not report is absent: no key in JSON, - in aligned columns, nothing in CSV.  \
         An absent field fails every comparison.",
    ),
    Piece::Text(
        "Text in columns, CSV, TSV and groups is escaped in the same way on a terminal and in a pipe: \\\\ \
         is a backslash, \\n, \\t and \\r are line break, tab and carriage return, \\xNN is any other \
         control character of ASCII or a byte that is not UTF-8, \\u{N} any other control character or a \
         text-direction mark.  In a list, commas stand between the entries, one for each process, and \\, \
         is a comma in an entry; \\- is the text -.  In CSV the first character of a text that begins with \
         =, +, - or @ is written as \\xNN, so that no spreadsheet interprets it as a formula.  Text of more \
         than 4 KiB, or of more than 256 characters in an aligned column that is not the last, is cut and \
         ends in an ellipsis (U+2026).  JSON has bytes that are not UTF-8 in a key that ends in _hex, and \
         _truncated is true where text was cut.",
    ),
];

fn name(full: &str, unit: Option<&str>, tokens: &str) -> Vec<Inline> {
    let mut term = vec![bold(full)];
    if let Some(unit) = unit {
        term.push(roman(format!("  {unit}")));
    }
    if !tokens.is_empty() {
        term.push(roman(format!("  [{tokens}]")));
    }
    term
}

fn text(field: &Field, shown_by: fn(Groups) -> String) -> String {
    let shown = shown_by(field.groups);
    let shown = match shown.as_str() {
        "" => String::new(),
        "always" => "  Always shown.".to_owned(),
        options => format!("  Shown by {options}."),
    };
    format!("{}{shown}  Source: {}.", field.meaning(), field.source)
}
