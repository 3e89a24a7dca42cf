//! Rows as columns of any fields: aligned, CSV or TSV.

use std::io::{self, Write};
use std::ops::ControlFlow;

use sockdiag::Sink;
use sockdiag::fields::{Catalog, Choice, ChoiceError, Kind, Unit};
use sockdiag::model::{Row, TableSet};

pub use crate::sheet::Shape;
use crate::sheet::Sheet;

/// A sink that writes chosen values of each row.
pub struct Columns<W> {
    choices: Vec<Choice>,
    sheet: Sheet<W>,
    cells: Vec<u8>,
    ends: Vec<Option<usize>>,
}

impl<W: Write> Columns<W> {
    /// A listing of these values; begins with their names if `header`.  People see
    /// names as they were given and amounts with units; programs get the full names,
    /// which end in the unit, and numbers as they are.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn new(choices: Vec<Choice>, shape: Shape, header: bool, out: W) -> io::Result<Self> {
        let right = choices.iter().map(Choice::is_number).collect();
        let mut sheet = Sheet::new(out, shape, right);
        let for_people = shape == Shape::Aligned;
        if header {
            let name =
                |choice: &Choice| if for_people { choice.name().to_owned() } else { choice.full_name() };
            let names: Vec<String> = choices.iter().map(name).collect();
            sheet.line(names.iter().map(|name| Some(name.as_bytes())))?;
        }
        let choices =
            if for_people { choices.into_iter().map(Choice::for_people).collect() } else { choices };
        Ok(Self { choices, sheet, cells: Vec::new(), ends: Vec::new() })
    }
}

impl<W: Write> Sink for Columns<W> {
    type Error = io::Error;

    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        self.cells.clear();
        self.ends.clear();
        for choice in &self.choices {
            let known = choice.put(&mut self.cells, row);
            self.ends.push(known.then_some(self.cells.len()));
        }
        let mut from = 0;
        let cells = &self.cells;
        self.sheet.line(self.ends.iter().map(|end| {
            let to = (*end)?;
            let cell = cells.get(from..to);
            from = to;
            cell
        }))?;
        Ok(ControlFlow::Continue(()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sheet.finish()
    }
}

/// Reads names with commas between them as choices of fields, where sockets of these
/// tables are asked for.
///
/// # Errors
/// When a name stands for no field.
pub fn choices(catalog: &Catalog, names: &str, tables: TableSet) -> Result<Vec<Choice>, ChoiceError> {
    Choice::list(catalog, names, tables)
}

/// Every field that can be chosen: its name, what its values are and count, what
/// becomes of them, and what it means.
pub fn help(catalog: &Catalog) -> String {
    let mut out = Vec::new();
    let mut sheet = Sheet::new(&mut out, Shape::Aligned, vec![false; 5]);
    let mut seen: Vec<&str> = Vec::new();
    for field in catalog.fields() {
        if seen.contains(&field.name) {
            continue;
        }
        seen.push(field.name);
        line(&mut sheet, field.name, field.kind, field.unit, field.metric.name(), &field.meaning());
        for member in field.kind.members() {
            let name = format!("{}.{}", field.name, member.name);
            line(&mut sheet, &name, member.kind, member.unit, "", &member.meaning());
        }
    }
    // Writing to memory does not fail.
    let _ = sheet.finish();
    drop(sheet);
    String::from_utf8_lossy(&out).into_owned()
}

fn line(sheet: &mut Sheet<&mut Vec<u8>>, name: &str, kind: Kind, unit: Unit, metric: &str, meaning: &str) {
    let cells = [name, &kind.name(), unit.name().unwrap_or(""), metric, meaning];
    // Writing to memory does not fail.
    let _ = sheet.line(cells.into_iter().map(|cell| Some(cell.as_bytes())));
}
