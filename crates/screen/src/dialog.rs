//! Dialogues that cover the list or replace it: help, details, a question, an error.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::detail::{More, SERIES, Told};
use crate::draw::Page;
use crate::keys::KEYS;
use crate::shot::{Id, Mark};
use crate::state::{Menu, State};
use crate::text::{folded, width};
use crate::theme::Theme;

/// The fields of the other end that are shown, and listed first.
const OTHER_END: [&str; 8] = [
    "socket.processes",
    "container.title",
    "unit.title",
    "netns.title",
    "socket.state",
    "socket.recv_q",
    "socket.send_q",
    "tcp.rtt_us",
];

/// Width of the column of keys in the help.
const KEYS_WIDTH: u16 = 16;

/// A cleared box with a title, in the middle of the area.
fn window(page: &mut Page<'_>, title: &str, width: u16, height: u16) -> Rect {
    let area = page.area;
    let (width, height) = (width.min(area.width), height.min(area.height));
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let line = |left: &str, middle: &str, right: &str| {
        let inner = usize::from(width.saturating_sub(2));
        format!("{left}{}{right}", middle.repeat(inner))
    };
    for row in 0..height {
        let text = match row {
            0 => line("┌", "─", "┐"),
            row if row + 1 == height => line("└", "─", "┘"),
            _ => line("│", " ", "│"),
        };
        for column in x..x + width {
            if let Some(cell) = page.buffer.cell_mut((column, y + row)) {
                cell.reset();
            }
        }
        page.put(x, y + row, &text, width, Style::new());
    }
    let strong = Theme::strong();
    page.put(x + 2, y, &format!(" {title} "), width.saturating_sub(4), strong);
    Rect { x: x + 2, y: y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) }
}

/// Limits the scroll position, so that the last lines stay visible.
fn scrolled(count: usize, height: u16, top: u16) -> u16 {
    let most = count.saturating_sub(height.into());
    top.min(u16::try_from(most).unwrap_or(u16::MAX))
}

/// Every key with its effect; returns how far the text is scrolled.
pub(crate) fn help(page: &mut Page<'_>, top: u16) -> u16 {
    let width_of = page.area.width.min(76);
    let left = KEYS_WIDTH.min(width_of / 3);
    let room = usize::from(width_of.saturating_sub(4 + left + 1)).max(1);
    let mut lines: Vec<(String, String)> = Vec::new();
    for help in KEYS {
        let keys = folded(help.keys, left.into());
        let doc = folded(help.doc, room);
        for at in 0..keys.len().max(doc.len()) {
            lines.push((keys.get(at).cloned().unwrap_or_default(), doc.get(at).cloned().unwrap_or_default()));
        }
    }
    let marks = "+ new   ~ changed   - ended, with its last values   > selected";
    lines.push((String::new(), String::new()));
    lines.extend(folded(marks, room + usize::from(left)).into_iter().map(|line| (String::new(), line)));
    let height =
        u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(page.area.height.saturating_sub(2).max(3));
    let inner = window(page, "keys", width_of, height);
    let top = scrolled(lines.len(), inner.height, top);
    let (name, plain) = (Theme::strong(), Style::new());
    for (y, (keys, doc)) in (inner.y..inner.bottom()).zip(lines.iter().skip(top.into())) {
        let left = if keys.is_empty() && lines.len() < 4 { 0 } else { left + 1 };
        page.put(inner.x, y, keys, left, name);
        page.put(inner.x + left, y, doc, inner.width.saturating_sub(left), plain);
    }
    top
}

/// Asks for confirmation before killing exactly this socket.
pub(crate) fn kill(page: &mut Page<'_>, line: &str) {
    let width_of = page.area.width.min(72);
    let room = usize::from(width_of.saturating_sub(4)).max(1);
    let mut lines = folded(line, room);
    lines.extend(folded("The process that uses it gets ECONNABORTED. No other socket is affected.", room));
    lines.extend(folded("y kill   any other key: cancel", room));
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let inner = window(page, "kill this socket?", width_of, height);
    let last = lines.len().saturating_sub(1);
    for (at, (y, line)) in (inner.y..inner.bottom()).zip(&lines).enumerate() {
        let style = if at == last { page.theme.warning() } else { Style::new() };
        page.put(inner.x, y, line, inner.width, style);
    }
}

/// A list of the fields that match the typed text.
pub(crate) fn menu(page: &mut Page<'_>, state: &State, menu: Menu, at: usize) {
    let fields = state.fitting(menu);
    let width_of = page.area.width.min(100);
    let inner = window(page, menu.title(), width_of, page.area.height.saturating_sub(2).max(4));
    let count = format!("{} of {}", fields.len(), state.view.fields.len());
    let typed = crate::clean(&format!("search: {}", state.edit.text()));
    page.put(inner.x, inner.y, &typed, inner.width, Theme::strong());
    let right = u16::try_from(width(&count)).unwrap_or(0);
    if usize::from(inner.width) > width(&typed) + width(&count) + 2 {
        page.put(inner.right() - right, inner.y, &count, right, Style::new());
    }
    let height = inner.height.saturating_sub(1);
    let top = (at + 1).saturating_sub(height.into());
    let left = inner.width.min(80) / 2;
    for (y, (number, (name, doc))) in (inner.y + 1..inner.bottom()).zip(fields.iter().enumerate().skip(top)) {
        let style = if number == at { Theme::chosen() } else { Style::new() };
        if number == at {
            page.put(inner.x, y, &" ".repeat(inner.width.into()), inner.width, style);
        }
        let sign = match (state.is_chosen(menu, name), menu) {
            (true, Menu::Columns) => "[x] ",
            (false, Menu::Columns) => "[ ] ",
            (true, _) => "(*) ",
            (false, _) => "    ",
        };
        page.put(inner.x, y, &format!("{sign}{name}"), left, style);
        page.put(inner.x + left + 1, y, doc, inner.width.saturating_sub(left + 1), style);
    }
    if fields.is_empty() {
        page.put(inner.x, inner.y + 1, "no field matches these words", inner.width, Style::new());
    }
}

/// Why a filter was refused, below the line in which it is typed.
pub(crate) fn refusal(page: &mut Page<'_>, state: &State) {
    let Some(refusal) = &state.refused else { return };
    let body = page.rest(2, 1);
    for (y, line) in (body.y..body.bottom()).zip(&refusal.lines) {
        let blank = " ".repeat(body.width.into());
        page.put(body.x, y, &blank, body.width, Style::new());
        let style = page.theme.warning();
        page.put(body.x, y, line, body.width, style);
        for x in body.x..body.right() {
            if let Some(cell) = page.buffer.cell_mut((x, y)) {
                cell.modifier.remove(Modifier::REVERSED | Modifier::UNDERLINED);
            }
        }
    }
}

/// A number's history as a line of bars, the newest on the right.
pub(crate) fn bars(numbers: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = numbers.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |number: &Option<f64>| match number {
        None => ' ',
        Some(_) if most <= 0.0 => '▁',
        Some(number) => {
            let step = BARS.iter().enumerate().rev().find(|(at, _)| {
                let floor = u32::try_from(*at).map_or(0.0, f64::from) / 8.0;
                number / most > floor
            });
            step.map_or('▁', |(_, bar)| *bar)
        }
    };
    numbers.iter().map(bar).collect()
}

/// The doctor's findings.
fn found(theme: Theme, more: &More, room: usize) -> Vec<(String, String, Style)> {
    let plain = Style::new();
    let sentence = |text: &str| vec![(String::new(), text.to_owned(), Theme::strong())];
    let told = match &more.found {
        None => return sentence("the doctor needs two samples first"),
        Some(Err(why)) => return sentence(&format!("the doctor failed: {why}")),
        Some(Ok(told)) if told.is_empty() => {
            return sentence("the doctor finds nothing wrong with this socket");
        }
        Some(Ok(told)) => told,
    };
    let mut lines = Vec::new();
    for Told { id, severity, says, next } in told {
        lines.push((String::new(), format!("{severity}: {id}"), theme.warning()));
        for (name, text) in [("what", says), ("next", next)] {
            for (at, part) in folded(text, room.max(1)).into_iter().enumerate() {
                lines.push((if at == 0 { name } else { "" }.to_owned(), part, plain));
            }
        }
    }
    lines
}

/// Everything about a socket; returns how far it is scrolled.
pub(crate) fn details(page: &mut Page<'_>, state: &State, id: Id, top: u16, body: Rect) -> u16 {
    if body.height == 0 {
        return top;
    }
    let shot = state.shot();
    let row = shot.find(id);
    let mut lines: Vec<(String, String, Style)> = Vec::new();
    let (plain, name) = (Style::new(), page.theme.name());
    let what = match row.and_then(|row| shot.entries().get(row)) {
        None => "this socket is no longer listed; these are its last values",
        Some(entry) if matches!(entry.mark, Mark::Gone(_)) => {
            "this socket has ended; these are its last values"
        }
        Some(_) => "",
    };
    if !what.is_empty() {
        lines.push((String::new(), what.to_owned(), page.theme.warning()));
    }
    let left: u16 = body.width.min(100) / 3;
    let room = usize::from(body.width.saturating_sub(left + 1));
    let spark = room.saturating_sub(14).clamp(1, 120);
    for (title, field) in SERIES {
        let numbers = state.series(id, field, spark);
        let Some(newest) = numbers.iter().rev().flatten().next() else { continue };
        let mut text = Vec::new();
        if let Some(choice) = shot.column(field).and_then(|column| shot.choice(column)) {
            if choice.has_unit() {
                choice.put_amount(&mut text, *newest);
            } else {
                text.extend_from_slice(format!("{newest:.0}").as_bytes());
            }
        }
        let line = format!("{:>12}  {}", String::from_utf8_lossy(&text), bars(&numbers));
        lines.push(((*title).to_owned(), line, plain));
    }
    let more = state.more.as_ref().filter(|more| more.id == id && state.paused.is_none());
    let folded_in = |(field, value, _): &(&'static str, String, &'static str)| -> Vec<_> {
        let parts = folded(value, room.max(1)).into_iter().enumerate();
        parts.map(|(at, part)| (if at == 0 { *field } else { "" }.to_owned(), part, plain)).collect()
    };
    if let Some(more) = more {
        lines.extend(found(page.theme, more, room));
        let title = if more.peer.is_empty() { more.said.as_str() } else { "the peer, on this machine" };
        if !title.is_empty() {
            lines.push((String::new(), title.to_owned(), Theme::strong()));
        }
        // The fields that show which end is slow, seen from the other side.
        let first = more.peer.iter().filter(|(name, ..)| OTHER_END.contains(name));
        lines.extend(first.flat_map(folded_in));
    }
    if !lines.is_empty() {
        lines.push((String::new(), String::new(), plain));
    }
    match &state.detail {
        Some(detail) if detail.id == id && state.paused.is_none() => {
            for known @ (field, value, doc) in &detail.fields {
                // Values and meanings are below each other if there is no room side by side.
                let beside = usize::from(left) + 1 + 24 < usize::from(body.width);
                let value_width = width(value).max(16) + 2;
                if beside && value_width + 20 <= room {
                    let doc = folded(doc, room - value_width);
                    for (at, part) in doc.iter().enumerate() {
                        let (field, value) = if at == 0 { (*field, value.as_str()) } else { ("", "") };
                        let pad = value_width - width(value);
                        lines.push((field.to_owned(), format!("{value}{}{part}", " ".repeat(pad)), plain));
                    }
                } else {
                    lines.extend(folded_in(known));
                }
            }
        }
        _ => {
            // Values stored with the snapshot: it may be an old one, and the details of the
            // latest arrive only with the next look.
            for (column, choice) in shot.columns().iter().enumerate() {
                let mut text = Vec::new();
                if row.is_some_and(|row| shot.put(&mut text, row, column)) {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    lines.push((choice.full_name(), text, plain));
                }
            }
        }
    }
    if let Some(more) = more {
        let known: Vec<&str> =
            state.detail.iter().flat_map(|detail| detail.fields.iter().map(|(name, ..)| *name)).collect();
        let rest = more.own.iter().filter(|(name, ..)| !known.contains(name));
        lines.extend(rest.flat_map(folded_in));
        if !more.peer.is_empty() {
            lines.push((String::new(), String::new(), plain));
            lines.push((String::new(), "everything about the peer".to_owned(), Theme::strong()));
            lines.extend(more.peer.iter().flat_map(folded_in));
        }
    }
    let top = scrolled(lines.len(), body.height, top);
    for (y, (field, text, style)) in (body.y..body.bottom()).zip(lines.iter().skip(top.into())) {
        page.put(body.x, y, field, left, name);
        // A sentence has no field name, so it starts at the left edge.
        let x = if field.is_empty() && *style != plain { body.x } else { body.x + left + 1 };
        page.put(x, y, text, body.right().saturating_sub(x), *style);
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion() {
        assert_eq!(bars(&[Some(0.0), Some(1.0), None, Some(4.0), Some(8.0)]), "▁▁ ▄█");
        assert_eq!(bars(&[Some(0.0), Some(0.0)]), "▁▁");
        assert_eq!(bars(&[]), "");
    }
}
