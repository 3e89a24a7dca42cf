//! Parts of manual pages, and how they become roff.
//!
//! Invariant: `mandoc -T lint` and groff report nothing about a page
//! (`crates/ss/tests/manual.rs`).

use std::fmt::Write as _;

use roff::{Inline, Roff, bold, italic, roman};

/// The date of the last change to the pages' content.  Kept by hand, so that the same source
/// always gives the same page.
const DATE: &str = "2026-11-29";

/// A part of a section.
#[derive(Clone, Copy, Debug)]
pub enum Piece {
    /// A subheading.
    Heading(&'static str),
    /// A paragraph.
    Text(&'static str),
    /// Terms and their meanings.
    Terms(&'static [(&'static str, &'static str)]),
}

/// A page under construction.
pub struct Page {
    roff: Roff,
    /// Whether a heading comes directly before, so that no space is needed.
    fresh: bool,
}

impl Page {
    /// Begins a page with its name, manual section and description.
    pub fn new(name: &str, section: &str, about: &str) -> Self {
        let mut roff = Roff::new();
        let version = format!("sockdiag {}", env!("CARGO_PKG_VERSION"));
        let manual = if section == "8" { "System administration" } else { "Miscellaneous" };
        roff.control("TH", [name.to_uppercase().as_str(), section, DATE, &version, manual]);
        let mut page = Self { roff, fresh: false };
        page.section("NAME");
        page.roff.text([roman(format!("{name} - {about}"))]);
        page
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        self.roff.control("SH", [title]);
        self.fresh = true;
    }

    /// Begins a subsection.
    pub fn heading(&mut self, title: &str) {
        self.roff.control("SS", [title]);
        self.fresh = true;
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.inlines(vec![roman(text)]);
    }

    /// A paragraph in several fonts.
    pub fn inlines(&mut self, text: Vec<Inline>) {
        if !std::mem::take(&mut self.fresh) {
            self.roff.control("PP", []);
        }
        self.roff.text(text);
    }

    /// A term and its meaning.
    pub fn term(&mut self, term: Vec<Inline>, text: &str) {
        self.fresh = false;
        self.roff.control("TP", []);
        self.roff.text(term);
        self.roff.text([roman(text)]);
    }

    /// Adds parts, one after the other.
    pub fn put(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Heading(title) => self.heading(title),
                Piece::Text(text) => self.paragraph(text),
                Piece::Terms(terms) => self.terms(terms),
            }
        }
    }

    /// Terms and their meanings.
    pub fn terms(&mut self, terms: &[(&str, &str)]) {
        for (name, text) in terms {
            self.term(vec![bold(*name)], text);
        }
    }

    /// References to other pages, each with its section: `ip(8)`.
    pub fn see_also(&mut self, names: &[&str]) {
        self.section("SEE ALSO");
        let mut text = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let (name, section) = name.split_once('(').unwrap_or((name, ""));
            let comma = if at + 1 < names.len() { ", " } else { "" };
            text.extend([bold(name), roman(format!("({section}{comma}"))]);
        }
        self.inlines(text);
    }

    /// The page in ASCII.  Other characters become escapes, which every formatter understands
    /// in any locale.
    pub fn end(self) -> String {
        let mut text = String::new();
        for letter in self.roff.to_roff().chars() {
            if letter.is_ascii() {
                text.push(letter);
            } else {
                _ = write!(text, "\\[u{:04X}]", u32::from(letter));
            }
        }
        text
    }
}

/// A synopsis such as `ss [ OPTIONS ] [ FILTER ]`: literal words are bold, placeholders
/// italic.
pub fn synopsis(page: &mut Page, text: &str) {
    page.section("SYNOPSIS");
    let mut inlines = Vec::new();
    for word in text.split(' ') {
        if !inlines.is_empty() {
            inlines.push(roman(" "));
        }
        inlines.push(match word.bytes().next() {
            Some(b'a'..=b'z') => bold(word),
            Some(b'A'..=b'Z') => italic(word),
            _ => roman(word),
        });
    }
    page.inlines(inlines);
}

/// A text as it is escaped in a page, for searching a page.
pub fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}
