//! Rows as `ss` prints them.
//!
//! The content of a row comes from the table of fields; this file only joins tokens.  The
//! user's choices are compiled once into a flat list of steps, so that a row is not slowed by
//! choices that were made before it.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::io;
use std::ops::ControlFlow;

use sockdiag::Sink;
use sockdiag::fields::{Catalog, Column, Description, Field, Format, Groups, Lead, Style, Test, Text, Value};
use sockdiag::model::{MessageKind, Row};
use sockdiag::number::{put_i64, put_millis, put_signed, put_start, put_u64};

use crate::Out;
use crate::layout::{COLUMNS, PROC};
use crate::window::Window;

/// The appearance of a listing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Choices that the text of tokens depends on.
    pub style: Style,
    /// Omit the header.
    pub no_header: bool,
    /// Omit the queue columns.
    pub no_queues: bool,
    /// The Netns column: several network namespaces are listed.
    pub netns: bool,
    /// The Netid column: more than one table is listed.
    pub netid: bool,
    /// The State column: more than one state is listed.
    pub state: bool,
    /// The Process column.
    pub processes: bool,
    /// Width of the terminal; `None` prints compactly.
    pub width: Option<usize>,
}

/// A block of details to print.
struct Shown {
    of: fn(&Row<'_>) -> bool,
    applies: Test,
    lead: Lead,
    tokens: Vec<Token>,
}

/// How the sockets of one kind are printed.
struct Plan {
    message_kind: MessageKind,
    /// The functions that format each printed column, and whether each is the last of its
    /// column.
    columns: Vec<(Format, bool)>,
    details: Vec<Shown>,
}

/// A sink that prints rows as `ss` does.
pub struct SsText<'w> {
    window: Window<'w>,
    style: Style,
    plans: Vec<Plan>,
}

impl<'w> SsText<'w> {
    /// Begins a listing of the fields in `catalog`; writes the header unless `look` turns it off.
    pub fn new(catalog: &Catalog, look: Look, out: Out<'w>) -> io::Result<Self> {
        let mut enabled = [true; COLUMNS];
        enabled[Column::Netns as usize] = look.netns;
        enabled[Column::Netid as usize] = look.netid;
        enabled[Column::State as usize] = look.state;
        enabled[Column::RecvQ as usize] = !look.no_queues;
        enabled[Column::SendQ as usize] = !look.no_queues;
        enabled[Column::Process as usize] = look.processes;
        let plan = |description| plan(description, look.style, &enabled);
        let plans = catalog.descriptions().iter().map(plan).collect();
        let mut window = Window::new(out, enabled, look.width);
        if !look.no_header {
            window.header()?;
        }
        Ok(Self { window, style: look.style, plans })
    }
}

/// Compiles the description of a kind of message into the steps that print it.
fn plan(description: &Description, style: Style, enabled: &[bool; COLUMNS]) -> Plan {
    let mut columns = [const { Vec::new() }; PROC + 1];
    let mut details = Vec::new();
    for part in &description.parts {
        let shown = part.shown_by == Groups::NONE || part.shown_by.intersects(style.groups);
        for field in &part.fields {
            if let Text::Column(column, format) = field.ss.text
                && let Some(formats) = columns.get_mut(column as usize)
                && (shown || part.shown_by.intersects(Groups::COLUMNS))
            {
                formats.push(format);
            }
        }
        if shown {
            let fields = part.fields.iter().copied().filter(|field| {
                let printed = !matches!(field.ss.text, Text::Silent | Text::PartOf(_) | Text::Column(..));
                printed && style.groups.has(field.ss.only_with)
            });
            let tokens: Vec<Token> = fields.map(Token::new).collect();
            // A block without tokens is dropped, so that `applies` is not evaluated for each
            // row.
            if part.lead == Lead::Line || !tokens.is_empty() {
                details.push(Shown { of: part.of, applies: part.applies, lead: part.lead, tokens });
            }
        }
    }
    let printed = columns.iter().zip(enabled).filter(|(_, enabled)| **enabled);
    let nothing: Format = |_, _, _| {};
    let columns = printed.flat_map(|(formats, _)| {
        let (last, others) = formats.split_last().unwrap_or((&nothing, &[]));
        others.iter().map(|format| (*format, false)).chain([(*last, true)])
    });
    Plan { message_kind: description.message_kind, columns: columns.collect(), details }
}

impl Sink for SsText<'_> {
    type Error = io::Error;

    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        let message_kind = row.socket.message_kind();
        // The catalog describes every kind of message that has rows.
        let Some(plan) = self.plans.iter().find(|plan| plan.message_kind == message_kind) else {
            return Ok(ControlFlow::Continue(()));
        };
        self.window.begin_row()?;
        for (format, is_last) in &plan.columns {
            format(self.window.token(), row, self.style);
            if *is_last {
                self.window.end_token();
            }
        }
        let token = self.window.token();
        for block in &plan.details {
            if (block.of)(row) && (block.applies)(row, self.style.groups) {
                if block.lead == Lead::Line && !self.style.oneline {
                    token.extend_from_slice(b"\n\t");
                }
                for shown in &block.tokens {
                    shown.put(token, row, self.style);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.window.finish()
    }
}

/// A field that prints its own token, and the fixed beginning of that token.
struct Token {
    field: &'static Field,
    /// ` NAME:`, or ` NAME` for a word, padded so that it is copied as one piece.
    name: [u8; NAME_MAX],
    name_len: usize,
}

/// The maximum length of ` NAME:`; a test below checks every field.
const NAME_MAX: usize = 24;

/// The fixed beginning of a field's token, ` NAME:` or ` NAME`; empty if it has none.
fn name_of(text: Text) -> String {
    match text {
        Text::Nonzero(name) | Text::NonzeroSigned(name) | Text::NonzeroMillis(name) => format!(" {name}:"),
        Text::Word(word) => format!(" {word}"),
        Text::Custom(_) | Text::Silent | Text::PartOf(_) | Text::Column(..) => String::new(),
    }
}

impl Token {
    fn new(field: &'static Field) -> Self {
        let text = name_of(field.ss.text);
        let mut name = [0; NAME_MAX];
        name.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        Self { field, name, name_len: text.len().min(NAME_MAX) }
    }

    #[inline]
    fn put_name(&self, out: &mut Vec<u8>) {
        put_start(out, self.name, self.name_len);
    }

    fn put(&self, out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
        let field = self.field;
        match field.ss.text {
            Text::Nonzero(_) => match (field.get)(row) {
                Some(Value::U64(value)) if value != 0 => {
                    self.put_name(out);
                    put_u64(out, value);
                }
                Some(Value::I64(value)) if value != 0 => {
                    self.put_name(out);
                    put_i64(out, value);
                }
                _ => {}
            },
            Text::NonzeroSigned(_) => {
                if let Some(Value::U64(value)) = (field.get)(row)
                    && value != 0
                {
                    self.put_name(out);
                    put_signed(out, value as u32);
                }
            }
            Text::NonzeroMillis(_) => {
                if let Some(Value::U64(value)) = (field.get)(row)
                    && value != 0
                {
                    self.put_name(out);
                    put_millis(out, value as u32);
                }
            }
            Text::Word(_) => {
                if (field.get)(row) == Some(Value::Bool(true)) {
                    self.put_name(out);
                }
            }
            Text::Custom(format) => format(out, row, style),
            Text::Silent | Text::PartOf(_) | Text::Column(..) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_fits_its_piece() {
        for field in Catalog::standard().fields() {
            let name = name_of(field.ss.text);
            assert!(name.len() <= NAME_MAX, "{name}");
        }
    }
}
