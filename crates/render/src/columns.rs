//! Rows as columns of any fields: aligned, CSV or TSV.

use std::io;
use std::ops::ControlFlow;

use sockdiag::Sink;
use sockdiag::fields::{Catalog, Choice, ChoiceError};
use sockdiag::model::{Row, TableSet};

use crate::Out;
use crate::kept;
use crate::lead::Lead;
pub use crate::sheet::Shape;
use crate::sheet::Sheet;

/// A sink that writes chosen values of each row.
pub struct Columns<'w> {
    choices: Vec<Choice>,
    sheet: Sheet<'w>,
    cells: Vec<u8>,
    ends: Vec<Option<usize>>,
}

impl<'w> Columns<'w> {
    /// Starts a listing of these values, with a header of their names if `header`.  Aligned
    /// output shows names as the user typed them and amounts with units; CSV and TSV get full
    /// names, which end in the unit, and plain numbers.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn new(choices: Vec<Choice>, shape: Shape, header: bool, out: Out<'w>) -> io::Result<Self> {
        Self::led(choices, shape, header, &Lead::default(), out)
    }

    /// Like [`Self::new`], but each CSV or TSV line begins with the cells of `lead`.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn led(
        choices: Vec<Choice>,
        shape: Shape,
        header: bool,
        lead: &Lead,
        out: Out<'w>,
    ) -> io::Result<Self> {
        let right = choices.iter().map(Choice::is_number).collect();
        let mut sheet = Sheet::new(out, shape, right);
        sheet.lead(lead.names());
        let for_people = shape == Shape::Aligned;
        let choices: Vec<Choice> =
            if for_people { choices.into_iter().map(Choice::for_people).collect() } else { choices };
        if header {
            let name = |choice: &Choice| if for_people { choice.heading() } else { choice.full_name() };
            let names: Vec<String> = choices.iter().map(name).collect();
            sheet.line(names.iter().map(|name| Some(name.as_bytes())))?;
        }
        sheet.lead(lead.values());
        Ok(Self { choices, sheet, cells: Vec::new(), ends: Vec::new() })
    }
}

impl Columns<'_> {
    /// Reads the cells of a row.
    fn read(&mut self, row: &Row<'_>) {
        self.cells.clear();
        self.ends.clear();
        for choice in &self.choices {
            let known = choice.put(&mut self.cells, row);
            self.ends.push(known.then_some(self.cells.len()));
        }
    }

    /// Appends the cells of a row, to be shown later.
    pub fn keep(&self, row: &Row<'_>, out: &mut Vec<u8>) {
        for choice in &self.choices {
            kept::put(out, |out| choice.put(out, row));
        }
    }

    /// Prints rows that [`Self::keep`] stored.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn put_all<'k>(&mut self, rows: impl Iterator<Item = &'k [u8]> + Clone) -> io::Result<()> {
        self.sheet.put_all(rows)
    }
}

fn put(sheet: &mut Sheet<'_>, cells: &[u8], ends: &[Option<usize>]) -> io::Result<()> {
    let mut from = 0;
    sheet.line(ends.iter().map(|end| {
        let to = (*end)?;
        let cell = cells.get(from..to);
        from = to;
        cell
    }))
}

impl Sink for Columns<'_> {
    type Error = io::Error;

    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        self.read(row);
        put(&mut self.sheet, &self.cells, &self.ends)?;
        Ok(ControlFlow::Continue(()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sheet.finish()
    }
}

/// Parses field names, separated by commas, into choices for a listing of these tables.
///
/// # Errors
/// When a name matches no field.
pub fn choices(catalog: &Catalog, names: &str, tables: TableSet) -> Result<Vec<Choice>, ChoiceError> {
    Choice::list(catalog, names, tables)
}
