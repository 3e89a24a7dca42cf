//! Rows as `ss` prints them.
//!
//! What a row says comes from the field table; this file knows only how
//! tokens are joined.  The choices of the reader become a flat list of steps
//! once, so that a row costs no decisions but those of its own values.

use std::io::{self, Write};

use sockdiag::fields::{Catalog, Column, Description, Field, Format, Groups, Lead, Style, Text, Value};
use sockdiag::model::{Layout, Row};
use sockdiag::number::{put_i64, put_millis, put_signed, put_u64};
use sockdiag::pipeline::Sink;

use crate::window::{COLUMNS, EXT, PROC, Window};

/// What a listing looks like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Choices that the text of tokens depends on.
    pub style: Style,
    /// No row of column names.
    pub no_header: bool,
    /// No queue columns.
    pub no_queues: bool,
    /// The Netid column: more than one table is listed.
    pub netid: bool,
    /// The State column: more than one state is listed.
    pub state: bool,
    /// The Process column.
    pub processes: bool,
    /// Width of the terminal; `None` prints compactly.
    pub width: Option<usize>,
}

/// A block of details that is shown.
struct Shown {
    applies: fn(&Row<'_>, Groups) -> bool,
    lead: Lead,
    fields: Vec<&'static Field>,
}

/// How the sockets of one layout are printed.
struct Plan {
    layout: Layout,
    columns: [Option<Format>; PROC + 1],
    details: Vec<Shown>,
}

/// A sink that prints rows as `ss` does.
pub struct SsText<W> {
    window: Window<W>,
    style: Style,
    plans: Vec<Plan>,
}

impl<W: Write> SsText<W> {
    /// A listing of what `catalog` knows; writes the header unless told not to.
    pub fn new(catalog: &Catalog, look: Look, out: W) -> io::Result<Self> {
        let mut enabled = [true; COLUMNS];
        enabled[Column::Netid as usize] = look.netid;
        enabled[Column::State as usize] = look.state;
        enabled[Column::RecvQ as usize] = !look.no_queues;
        enabled[Column::SendQ as usize] = !look.no_queues;
        enabled[Column::Process as usize] = look.processes;
        let plans = catalog.descriptions().iter().map(|description| plan(description, look.style)).collect();
        let mut window = Window::new(out, enabled, look.width);
        if !look.no_header {
            window.header()?;
        }
        Ok(Self { window, style: look.style, plans })
    }
}

/// Turns what is known of a layout into what is printed of it.
fn plan(description: &Description, style: Style) -> Plan {
    let mut plan = Plan { layout: description.layout, columns: [None; PROC + 1], details: Vec::new() };
    for part in &description.parts {
        for field in &part.fields {
            if let Text::Column(column, format) = field.text
                && let Some(slot) = plan.columns.get_mut(column as usize)
            {
                *slot = Some(format);
            }
        }
        if part.shown_by.any(style.groups) {
            let fields = part.fields.iter().copied().filter(|field| {
                let printed = !matches!(field.text, Text::Silent | Text::PartOf(_) | Text::Column(..));
                printed && style.groups.has(field.only_with)
            });
            plan.details.push(Shown { applies: part.applies, lead: part.lead, fields: fields.collect() });
        }
    }
    plan
}

impl<W: Write> Sink for SsText<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let layout = row.socket.layout();
        // A layout that nobody described has no rows.
        let Some(plan) = self.plans.iter().find(|plan| plan.layout == layout) else { return Ok(()) };
        self.window.begin_row()?;
        for (column, format) in plan.columns.iter().enumerate() {
            if self.window.is_enabled(column) {
                let token = self.window.token();
                if let Some(format) = format {
                    format(token, row, self.style);
                }
                self.window.end_token()?;
            }
        }
        debug_assert!(self.window.is_enabled(EXT));
        let token = self.window.token();
        for block in &plan.details {
            if (block.applies)(row, self.style.groups) {
                if block.lead == Lead::Line && !self.style.oneline {
                    token.extend_from_slice(b"\n\t");
                }
                for field in &block.fields {
                    put_field(token, field, row, self.style);
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.window.finish()
    }
}

#[inline]
fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
}

fn put_field(out: &mut Vec<u8>, field: &Field, row: &Row<'_>, style: Style) {
    match field.text {
        Text::Nonzero(name) => match (field.get)(row) {
            Some(Value::U64(value)) if value != 0 => {
                put_name(out, name);
                put_u64(out, value);
            }
            Some(Value::I64(value)) if value != 0 => {
                put_name(out, name);
                put_i64(out, value);
            }
            _ => {}
        },
        Text::NonzeroSigned(name) => {
            if let Some(Value::U64(value)) = (field.get)(row)
                && value != 0
            {
                put_name(out, name);
                put_signed(out, value as u32);
            }
        }
        Text::NonzeroMillis(name) => {
            if let Some(Value::U64(value)) = (field.get)(row)
                && value != 0
            {
                put_name(out, name);
                put_millis(out, value as u32);
            }
        }
        Text::Word(word) => {
            if (field.get)(row) == Some(Value::Bool(true)) {
                out.push(b' ');
                out.extend_from_slice(word.as_bytes());
            }
        }
        Text::Custom(format) => format(out, row, style),
        Text::Silent | Text::PartOf(_) | Text::Column(..) => {}
    }
}
