//! Draws a frame: a line of totals, a line about the view, the list, and a message.
//!
//! Invariant: the work depends on what is visible, not on how many sockets there are.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::dialog;
use crate::fit::{self, Drawn};
use crate::shot::{Mark, Shot};
use crate::state::{Line, Menu, Mode, State};
use crate::text::{counted, cut, width};
use crate::theme::Theme;

/// Draws the state on an empty buffer, and returns the position of a visible cursor.
pub fn draw(buffer: &mut Buffer, state: &mut State, theme: Theme) -> Option<Position> {
    let area = buffer.area;
    if area.width == 0 || area.height == 0 {
        return None;
    }
    let is_resized = state.size != (area.width, area.height);
    if is_resized {
        state.size = (area.width, area.height);
        state.widths.clear();
    }
    let mut page = Page { buffer, area, theme };
    let said = state.footer(theme);
    let footer = u16::from(area.height > 3);
    let above = area.height.min(3);
    state.room = usize::from(area.height.saturating_sub(above + footer)).max(1);
    if is_resized && state.cursor < state.room {
        // The lines up to the cursor fit, so show the list from its top again.
        state.scroll = 0;
    }
    state.keep_in_view();
    match state.mode.clone() {
        Mode::Details(id, top) => {
            page.header(state);
            let body = page.rest(1, footer);
            let top = dialog::details(&mut page, state, id, top, body);
            state.mode = Mode::Details(id, top);
        }
        mode => {
            page.header(state);
            page.view(state);
            page.list(state, footer);
            match mode {
                Mode::Help(top, of) => {
                    let top = dialog::help(&mut page, top);
                    state.mode = Mode::Help(top, of);
                }
                Mode::Menu(menu, at) => dialog::menu(&mut page, state, menu, at),
                Mode::Kill(_, line) => dialog::kill(&mut page, &line),
                Mode::Filter => dialog::refusal(&mut page, state),
                _ => {}
            }
        }
    }
    if footer > 0 {
        let (text, style) = said;
        page.line(area.height - 1, &text, style);
    }
    if state.mode != Mode::Filter || area.height < 2 {
        return None;
    }
    let x = cells(state.edit.before()).saturating_add(1).min(area.width - 1);
    Some(Position { x: area.x + x, y: area.y + 1 })
}

/// The area that a frame is drawn on.
pub(crate) struct Page<'f> {
    pub(crate) buffer: &'f mut Buffer,
    pub(crate) area: Rect,
    pub(crate) theme: Theme,
}

impl Page<'_> {
    /// The lines left between `above` lines at the top and `below` lines at the bottom.
    pub(crate) fn rest(&self, above: u16, below: u16) -> Rect {
        let Rect { x, y, width, height } = self.area;
        Rect { x, y: y + above.min(height), width, height: height.saturating_sub(above + below) }
    }

    /// Puts text at a position, within a width; the cells after it stay as they are.
    pub(crate) fn put(&mut self, x: u16, y: u16, text: &str, most: u16, style: Style) {
        let (right, bottom) = (self.area.right(), self.area.bottom());
        if x < right && y < bottom && most > 0 {
            let most = most.min(right - x);
            self.buffer.set_stringn(x, y, cut(text, most.into()), most.into(), style);
        }
    }

    /// Puts text on line `y`, counted from the top.
    fn line(&mut self, y: u16, text: &str, style: Style) {
        self.put(self.area.x, self.area.y + y, text, self.area.width, style);
    }

    /// Draws the header: the question, and the totals.
    fn header(&mut self, state: &State) {
        let shot = state.shot();
        let head = &shot.head;
        let mut parts = Vec::new();
        if let Some(paused) = &state.paused {
            let newest = state.newest.head.seconds;
            let ago = (newest - head.seconds).max(0.0);
            let (at, all) = (paused.at + 1, paused.shots.len());
            parts.push(format!("PAUSED {at}/{all} {} -{ago:.0}s", head.time));
        }
        let (first, last) = (state.scroll + 1, (state.scroll + state.room).min(state.lines.len()));
        if state.grouped.is_some() {
            let groups = u64::try_from(state.groups.len()).unwrap_or(u64::MAX);
            parts.push(format!("{} of {}", counted(groups, "group"), counted(head.sockets, "socket")));
        } else {
            parts.push(counted(head.sockets, "socket"));
        }
        if state.lines.len() > state.room {
            parts.push(format!("{first}-{last} of {}", state.lines.len()));
        }
        if head.opened + head.closed > 0 {
            parts.push(format!("+{} -{}", head.opened, head.closed));
        }
        if !head.has_rates && head.sockets > 0 {
            parts.push("rates after the next poll".to_owned());
        }
        let mut drawn = state.drawn(shot);
        // If there is no room for all totals, show that of the sort column.
        drawn.sort_by_key(|drawn| !drawn.is_sorted);
        for drawn in drawn {
            let sum = drawn.column.and_then(|column| Some((column, shot.sum(column)?, shot.choice(column)?)));
            if let Some((_, sum, choice)) = sum {
                let mut text = Vec::new();
                choice.put_amount(&mut text, sum);
                // The unit already says that this is per second.
                let title = drawn.title.trim_end_matches("/s");
                parts.push(format!("{title} {}", String::from_utf8_lossy(&text)));
            }
        }
        let start = format!("sockdiag top {}", state.view.title);
        // Omit what does not fit rather than cutting it.
        let mut left = usize::from(self.area.width).saturating_sub(width(&start));
        let fits = parts.iter().take_while(|part| {
            let taken = width(part) + 2;
            let fits = taken <= left;
            left = left.saturating_sub(taken);
            fits
        });
        let fits = fits.count().max(1);
        parts.truncate(fits);
        // No clock, so that nothing is written when nothing changes.
        let clock = format!("every {}", state.view.interval);
        let y = self.area.y;
        self.put(self.area.x, y, &start, self.area.width, Theme::strong());
        let x = self.area.x + u16::try_from(width(&start)).unwrap_or(u16::MAX).min(self.area.width);
        let room = self.area.right().saturating_sub(x);
        let text = format!("  {}", parts.join("  "));
        self.put(x, y, &text, room, Style::new());
        let (used, clock_width) = (width(&start) + width(&text), width(&clock));
        if used + 2 + clock_width <= usize::from(self.area.width) {
            let at = self.area.right() - u16::try_from(clock_width).unwrap_or(0);
            self.put(at, y, &clock, self.area.width, Style::new());
        }
    }

    /// The filter, the order, and the grouping.
    fn view(&mut self, state: &State) {
        if self.area.height < 2 {
            return;
        }
        let y = self.area.y + 1;
        if state.mode == Mode::Filter {
            let text = format!("/{}", state.edit.text());
            // Show the end of a line that is too long, since the cursor is there.
            let over = width(&text).saturating_sub(usize::from(self.area.width) - 1);
            let text: String = text.chars().skip(over).collect();
            self.put(self.area.x, y, &crate::clean(&text), self.area.width, Theme::strong());
            return;
        }
        let mut text = String::new();
        if let Some((name, down)) = &state.sort {
            let way = if *down { "down" } else { "up" };
            text = format!("sort {name} {way}");
        }
        if let Some(by) = state.grouped.and_then(|at| state.view.groups.get(at)) {
            text = format!("{text}  by {}", by.title);
        }
        if let Some(preset) = state.view.presets.get(state.preset) {
            text = format!("{}  {text}", preset.name);
        }
        let filter =
            if state.filter.is_empty() { "/ to filter".to_owned() } else { format!("/{}", state.filter) };
        let text = format!("{text}  {filter}");
        self.put(self.area.x, y, &crate::clean(&text), self.area.width, self.theme.name());
    }

    /// The column titles and the lines of the list.
    fn list(&mut self, state: &mut State, footer: u16) {
        if self.area.height < 3 {
            return;
        }
        let body = self.rest(3, footer);
        let shot = std::sync::Arc::clone(state.shot());
        let columns = state.drawn(&shot);
        let lines: Vec<Line> =
            state.lines.iter().skip(state.scroll).take(body.height.into()).copied().collect();
        let texts = |line: &Line| columns.iter().map(|drawn| state.text(&shot, *line, drawn)).collect();
        let cells: Vec<Vec<String>> = lines.iter().map(texts).collect();
        let mut wishes = fit::wishes(&columns, &cells);
        if state.widths.len() == wishes.len() {
            for (wish, had) in wishes.iter_mut().zip(&state.widths) {
                *wish = (*wish).max(*had);
            }
        }
        state.widths.clone_from(&wishes);
        let lead = state.lead();
        let fits = fit::fit(&columns, &wishes, body.width.saturating_sub(lead));
        self.heads(state, &columns, &fits, lead);
        for (at, (line, cells)) in (0_u16..).zip(lines.iter().zip(&cells)) {
            let y = body.y + at;
            let is_chosen = state.scroll + usize::from(at) == state.cursor;
            self.row(state, &shot, y, *line, is_chosen, lead, &fits, &columns, cells);
        }
        if lines.is_empty() && body.height > 0 {
            let mut said = state.trouble.clone();
            if said.is_empty() {
                said.push(
                    if state.is_blank || state.grouped.is_some() {
                        "loading..."
                    } else {
                        "no sockets to show"
                    }
                    .to_owned(),
                );
            }
            for (y, line) in (body.y..body.bottom()).zip(&said) {
                self.put(body.x + 2, y, line, body.width.saturating_sub(2), Style::new());
            }
        }
    }

    fn heads(&mut self, state: &State, columns: &[Drawn], fits: &[(usize, u16)], lead: u16) {
        let y = self.area.y + 2;
        let blank = " ".repeat(self.area.width.into());
        self.put(self.area.x, y, &blank, self.area.width, Theme::head());
        if let Some(by) = state.grouped.and_then(|at| state.view.groups.get(at)) {
            self.put(self.area.x + 2, y, &by.title, lead.saturating_sub(3), Theme::head());
        }
        let mut x = self.area.x + lead;
        for (at, width_of) in fits {
            let Some(drawn) = columns.get(*at) else { continue };
            let mut title = drawn.title.clone();
            if drawn.is_sorted {
                let down = state.sort.as_ref().is_some_and(|(_, down)| *down);
                title.push(if down { '▼' } else { '▲' });
            }
            let style = if drawn.is_sorted { Theme::sorted() } else { Theme::head() };
            let shift = if drawn.is_number { width_of.saturating_sub(cells(&title)) } else { 0 };
            self.put(x + shift, y, &title, *width_of - shift, style);
            x += width_of + 1;
        }
    }

    #[allow(clippy::too_many_arguments, reason = "what a line is made of")]
    fn row(
        &mut self,
        state: &State,
        shot: &Shot,
        y: u16,
        line: Line,
        is_chosen: bool,
        lead: u16,
        fits: &[(usize, u16)],
        columns: &[Drawn],
        texts: &[String],
    ) {
        let mark = match line {
            Line::Group(_) => Mark::Known,
            Line::Row(row) => shot.entries().get(row as usize).map_or(Mark::Known, |entry| entry.mark),
        };
        let style = match mark {
            Mark::Known => Style::new(),
            Mark::New => self.theme.opened(),
            Mark::Changed => self.theme.changed(),
            Mark::Gone(_) => self.theme.gone(),
        };
        let style = if is_chosen { style.patch(Theme::chosen()) } else { style };
        let x = self.area.x;
        if is_chosen {
            let blank = " ".repeat(self.area.width.into());
            self.put(x, y, &blank, self.area.width, style);
        }
        match line {
            Line::Row(_) => {
                let sign = if is_chosen && mark == Mark::Known { ">" } else { mark.letter() };
                self.put(x, y, sign, 1, style);
            }
            Line::Group(at) => {
                if let Some(group) = state.groups.get(at as usize) {
                    let sign = if state.unfolded.contains(&group.name) { "▾" } else { "▸" };
                    let count = group.count.to_string();
                    let room = lead.saturating_sub(3 + cells(&count) + 2);
                    self.put(x, y, sign, 1, style);
                    self.put(x + 2, y, &group.name, room, style);
                    self.put(x + lead - 1 - cells(&count).min(lead - 1), y, &count, cells(&count), style);
                }
            }
        }
        let mut x = x + lead;
        for (at, width_of) in fits {
            let (Some(drawn), Some(text)) = (columns.get(*at), texts.get(*at)) else { continue };
            let shift = if drawn.is_number { width_of.saturating_sub(cells(text)) } else { 0 };
            self.put(x + shift, y, text, *width_of - shift, style);
            x += width_of + 1;
        }
    }
}

fn cells(text: &str) -> u16 {
    u16::try_from(width(text)).unwrap_or(u16::MAX)
}

impl State {
    /// Width to the left of the first column: the mark, and the names of groups.
    fn lead(&self) -> u16 {
        if self.grouped.is_none() {
            return 2;
        }
        let most = self.size.0 / 2;
        let shown = self.groups.iter().take(200);
        let widest = shown.map(|group| cells(&group.name)).max().unwrap_or(0);
        (widest.saturating_add(12)).clamp(16, 44).min(most.max(10))
    }

    /// The text of the last line, most urgent first.
    fn footer(&self, theme: Theme) -> (String, Style) {
        if let Some(message) = &self.message {
            return (message.clone(), Theme::strong());
        }
        let unseen = &self.shot().head.unseen;
        if !self.trouble.is_empty() {
            return (format!("! {}", self.trouble.join("  ")), theme.warning());
        }
        match &self.mode {
            Mode::Filter if self.waits_for_filter => ("applying the filter...".to_owned(), Style::new()),
            Mode::Filter => ("Enter apply  Tab complete  Esc cancel  Ctrl-U clear".to_owned(), Style::new()),
            Mode::Menu(Menu::Columns, _) => {
                ("type to search  Enter add or remove  Esc back".to_owned(), Style::new())
            }
            Mode::Menu(..) => ("type to search  Enter choose  Esc back".to_owned(), Style::new()),
            Mode::Help(..) => ("Up Down scroll  any other key goes back".to_owned(), Style::new()),
            Mode::Details(..) => (
                "Esc back  Up Down scroll  Space pause  Left Right step  y Y copy  k kill".to_owned(),
                Style::new(),
            ),
            _ if !unseen.is_empty() => (format!("! {}", unseen.join("  ! ")), theme.warning()),
            _ => {
                let keys =
                    "? help  / filter  < > sort  g group  1-9 columns  Enter details  Space pause  q quit";
                (keys.to_owned(), Style::new())
            }
        }
    }
}
