//! Saves the listed sockets to a file, one JSON object per line.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;

use sockdiag::fields::Choice;
use sockdiag_render::groups;
use sockdiag_screen::Shot;

/// Writes rows to a new file in the current directory; returns a message with its name or the
/// error.
pub(super) fn save(shot: &Shot, rows: Vec<usize>, columns: &[String]) -> String {
    let time: String = shot.head.time.chars().filter(|letter| !matches!(letter, ':' | '-' | '.')).collect();
    let count = rows.len();
    for number in 0..100 {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        let name = format!("sockdiag-top-{time}{suffix}.jsonl");
        // Mode 0600: only the owner decides who may see the connections.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return format!("cannot write {name}: {error}"),
            Ok(file) => {
                return match write(shot, rows, columns, BufWriter::new(file)) {
                    Ok(()) => format!("wrote {count} sockets to {name}"),
                    Err(error) => format!("cannot write {name}: {error}"),
                };
            }
        }
    }
    format!("cannot save: the files sockdiag-top-{time}-*.jsonl already exist")
}

/// All columns of a row, as a JSON object.
pub(super) fn json(shot: &Shot, row: usize) -> String {
    let columns: Vec<String> = shot.columns().iter().map(Choice::full_name).collect();
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = write(shot, vec![row], &columns, &mut text);
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

fn write(shot: &Shot, rows: Vec<usize>, columns: &[String], mut out: impl io::Write) -> io::Result<()> {
    let known: Vec<(usize, &String, Choice)> = columns
        .iter()
        .filter_map(|name| {
            let column = shot.column(name)?;
            Some((column, name, shot.choice(column)?.clone()))
        })
        .collect();
    let keys: Vec<String> = known.iter().map(|(_, name, _)| (*name).clone()).collect();
    let choices: Vec<Choice> = known.iter().map(|(_, _, choice)| choice.clone()).collect();
    for row in rows {
        let cells: Vec<Option<Cow<'_, [u8]>>> = known
            .iter()
            .map(|(column, ..)| {
                let mut cell = Vec::new();
                shot.put_raw(&mut cell, row, *column).then_some(Cow::Owned(cell))
            })
            .collect();
        let mut line = groups::object(&keys, &choices, &cells);
        line.push(b'\n');
        out.write_all(&line)?;
    }
    out.flush()
}
