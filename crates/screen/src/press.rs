//! The effect of each key.

use crate::edit::Edit;
use crate::keys::Key;
use crate::shot::{Id, Mark};
use crate::state::{Line, Menu, Mode, Paused, Spelled, State, Target};
use sockdiag_facts::Table;
use sockdiag_facts::fields::Together;
use std::sync::Arc;

/// Number of lines that the mouse wheel moves by.
const WHEEL: usize = 3;
/// Number of lines above the list.
const ABOVE: u16 = 3;

/// An action for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the program.
    Quit,
    /// Stop the process until it is continued.
    Suspend,
    /// Draw everything again.
    Redraw,
    /// Use this filter; [`State::filter_taken`] or [`State::filter_refused`] answers.
    Filter(String),
    /// Read other fields: [`State::wanted`], [`State::detailed`].
    Read,
    /// Put this into the clipboard.
    Copy(String),
    /// Put all stored values of this row into the clipboard, as JSON.
    CopyJson(usize),
    /// Write the listed rows to a file.
    Save,
    /// Kill exactly this socket.
    Kill(Table, Id),
}

impl State {
    /// Handles a key.
    pub fn press(&mut self, key: Key) -> Option<Action> {
        self.message = None;
        match key {
            Key::Control('c') => return Some(Action::Quit),
            Key::Control('z') => return Some(Action::Suspend),
            Key::Control('l') => return Some(Action::Redraw),
            _ => {}
        }
        match self.mode.clone() {
            Mode::List => self.press_list(key),
            Mode::Filter => self.press_filter(key),
            Mode::Help(top, of) => {
                self.mode = match (scrolled(key, top), of) {
                    (Some(top), _) => Mode::Help(top, of),
                    (None, Some(id)) => Mode::Details(id, 0),
                    (None, None) => Mode::List,
                };
                None
            }
            Mode::Details(id, top) => self.press_details(key, id, top),
            Mode::Menu(menu, at) => self.press_menu(key, menu, at),
            Mode::Kill(target, _) => {
                self.mode = Mode::List;
                if matches!(key, Key::Char('y' | 'Y')) {
                    return Some(Action::Kill(target.table, target.id));
                }
                self.say("no socket was killed");
                None
            }
        }
    }

    fn press_details(&mut self, key: Key, id: Id, top: u16) -> Option<Action> {
        match key {
            Key::Char(' ' | 'y' | 'Y' | 'k') | Key::Left | Key::Right => return self.press_list(key),
            Key::Char('?' | 'h') => {
                self.mode = Mode::Help(0, Some(id));
                return None;
            }
            _ => {}
        }
        if let Some(top) = scrolled(key, top) {
            self.mode = Mode::Details(id, top);
            return None;
        }
        self.mode = Mode::List;
        (self.detail, self.more) = (None, None);
        Some(Action::Read)
    }

    fn press_list(&mut self, key: Key) -> Option<Action> {
        let page = self.room.max(1);
        match key {
            Key::Up => self.go(self.cursor.saturating_sub(1)),
            Key::Down => self.go(self.cursor.saturating_add(1)),
            Key::PageUp => self.go(self.cursor.saturating_sub(page)),
            Key::PageDown => self.go(self.cursor.saturating_add(page)),
            Key::WheelUp => self.go(self.cursor.saturating_sub(WHEEL)),
            Key::WheelDown => self.go(self.cursor.saturating_add(WHEEL)),
            Key::Click(_, y) => return self.click(y),
            Key::Home => {
                self.go(0);
                // At the top the cursor does not follow a socket, but stays on the first line.
                self.followed = None;
            }
            Key::End => self.go(usize::MAX),
            Key::Enter => return self.enter(),
            Key::Char('/') => {
                self.edit = Edit::of(&self.filter);
                self.refused = None;
                self.mode = Mode::Filter;
            }
            Key::Char('<') => return self.sort_by(false),
            Key::Char('>') => return self.sort_by(true),
            Key::Char('r') => {
                if let Some((_, down)) = &mut self.sort {
                    *down = !*down;
                }
                self.top();
            }
            Key::Char(digit @ '1'..='9') => {
                let at = (digit as usize) - ('1' as usize);
                return self.choose_preset(at);
            }
            Key::Char(which @ ('g' | 'G')) => {
                self.group(which == 'g');
                return Some(Action::Read);
            }
            Key::Char(' ') => self.pause(),
            Key::Left => self.step(false),
            Key::Right => self.step(true),
            Key::Char('n') => {
                let (names, said) = match self.names {
                    Spelled::Numbers => (Spelled::Ports, "port names"),
                    Spelled::Ports => (Spelled::Hosts, "host and port names, shown once resolved"),
                    Spelled::Hosts => (Spelled::Numbers, "numeric addresses and ports"),
                };
                self.names = names;
                self.widths.clear();
                self.say(said);
                return Some(Action::Read);
            }
            Key::Char('c') => self.open_menu(Menu::Columns),
            Key::Char('o') => self.open_menu(Menu::Sort),
            Key::Char('b') => self.open_menu(Menu::Group),
            Key::Char('Y') => match self.row() {
                Some(row) => return Some(Action::CopyJson(row)),
                None => self.say("no socket is selected"),
            },
            Key::Char('y') => match self.row().and_then(|row| self.ss_filter(row)) {
                Some(filter) => {
                    self.say(&format!("sent to the terminal's clipboard: {filter}"));
                    return Some(Action::Copy(filter));
                }
                None => self.say("no socket is selected"),
            },
            Key::Char('s') => return Some(Action::Save),
            Key::Char('k') => self.ask_to_kill(),
            Key::Char('?' | 'h') => self.mode = Mode::Help(0, None),
            Key::Char('q') => return Some(Action::Quit),
            Key::Escape => {
                self.followed = None;
                self.refused = None;
                if self.paused.is_some() {
                    self.pause();
                }
            }
            _ => {}
        }
        None
    }

    /// A click selects a line; a click on the selected line acts as Enter.
    fn click(&mut self, y: u16) -> Option<Action> {
        let line = self.scroll + usize::from(y.checked_sub(ABOVE)?);
        if line >= self.lines.len() || line >= self.scroll + self.room {
            return None;
        }
        if line == self.cursor && self.followed.is_some() {
            return self.enter();
        }
        self.go(line);
        None
    }

    fn go(&mut self, line: usize) {
        self.cursor = line.min(self.lines.len().saturating_sub(1));
        self.keep_in_view();
        self.follow();
    }

    /// Moves to the first line and sorts again.
    pub(crate) fn top(&mut self) {
        (self.cursor, self.scroll, self.followed) = (0, 0, None);
        self.arrange();
    }

    fn enter(&mut self) -> Option<Action> {
        match *self.lines.get(self.cursor)? {
            Line::Group(at) => {
                let name = self.groups.get(at as usize)?.name.clone();
                if !self.unfolded.remove(&name) {
                    self.unfolded.insert(name);
                }
                self.follow();
                self.arrange();
                None
            }
            Line::Row(_) => {
                let id = self.chosen()?.id;
                if id.cookie == 0 {
                    self.say("this socket cannot be tracked: its source reports no cookies");
                    return None;
                }
                self.follow();
                (self.detail, self.more) = (None, None);
                self.mode = Mode::Details(id, 0);
                Some(Action::Read)
            }
        }
    }

    fn sort_by(&mut self, right: bool) -> Option<Action> {
        let columns = self.columns();
        let at = self.sort.as_ref().and_then(|(name, _)| columns.iter().position(|known| known == name));
        let last = columns.len().checked_sub(1)?;
        let at = match at {
            None => 0,
            Some(at) if right => {
                if at >= last {
                    0
                } else {
                    at + 1
                }
            }
            Some(at) => at.checked_sub(1).unwrap_or(last),
        };
        let name = columns.get(at)?.clone();
        let shot = self.shot();
        let choice = shot.column(&name).and_then(|column| shot.choice(column));
        // Numbers start with the largest, names in alphabetical order.
        let down = choice.is_some_and(|choice| choice.together() != Together::NoMean);
        self.sort = Some((name, down));
        self.top();
        None
    }

    fn choose_preset(&mut self, at: usize) -> Option<Action> {
        let Some(preset) = self.view.presets.get(at) else {
            let names: Vec<String> =
                (1..).zip(&self.view.presets).map(|(at, preset)| format!("{at} {}", preset.name)).collect();
            self.say(&names.join("  "));
            return None;
        };
        self.preset = at;
        self.sort.clone_from(&preset.sort);
        self.widths.clear();
        self.top();
        Some(Action::Read)
    }

    fn group(&mut self, forth: bool) {
        let count = self.view.groups.len();
        self.group_by(match self.grouped {
            None if forth => (count > 0).then_some(0),
            None => count.checked_sub(1),
            Some(at) if forth => Some(at + 1).filter(|at| *at < count),
            Some(at) => at.checked_sub(1),
        });
    }

    /// Switches to this grouping, or to none.
    pub(crate) fn group_by(&mut self, at: Option<usize>) {
        self.grouped = at;
        self.unfolded.clear();
        self.widths.clear();
        self.top();
    }

    fn pause(&mut self) {
        if self.paused.take().is_none() {
            let shots: Vec<_> = self.past.iter().chain([&self.newest]).map(Arc::clone).collect();
            let at = shots.len().saturating_sub(1);
            self.paused = Some(Paused { shots, at });
        } else {
            self.arrange();
        }
    }

    fn step(&mut self, forth: bool) {
        if self.paused.is_none() {
            if forth {
                return;
            }
            self.pause();
        }
        let Some(paused) = &mut self.paused else { return };
        let last = paused.shots.len().saturating_sub(1);
        let to = if forth { (paused.at + 1).min(last) } else { paused.at.saturating_sub(1) };
        if to == paused.at {
            self.say(if forth { "this is the newest snapshot" } else { "no older snapshot is stored" });
        }
        if let Some(paused) = &mut self.paused {
            paused.at = to;
        }
        self.arrange();
    }

    fn ask_to_kill(&mut self) {
        let Some((row, entry)) = self.row().zip(self.chosen()) else {
            self.say("select a socket first");
            return;
        };
        if matches!(entry.mark, Mark::Gone(_)) {
            self.say("this socket is already closed");
            return;
        }
        if entry.id.cookie == 0 {
            self.say("this socket has no cookie, so the kernel cannot identify it");
            return;
        }
        let shot = self.shot();
        let said = [
            "socket.netid",
            "local.addr",
            "local.port",
            "remote.addr",
            "remote.port",
            "socket.processes",
            "socket.processes.comm",
            "socket.processes.pid",
        ];
        let texts = said.map(|name| {
            let mut text = Vec::new();
            if let Some(column) = shot.column(name) {
                shot.put(&mut text, row, column);
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let [netid, local, local_port, remote, remote_port, who, comm, pid] = texts;
        let line = format!("{netid} {local}:{local_port} to {remote}:{remote_port} {who}{comm} {pid}");
        let line = line.trim_end().to_owned();
        self.mode = Mode::Kill(Target { id: entry.id, table: entry.table }, line);
    }

    fn press_filter(&mut self, key: Key) -> Option<Action> {
        match key {
            Key::Escape => {
                self.mode = Mode::List;
                self.refused = None;
                self.waits_for_filter = false;
            }
            Key::Enter => {
                self.waits_for_filter = true;
                return Some(Action::Filter(self.edit.text().trim().to_owned()));
            }
            Key::Tab => self.complete(),
            Key::Backspace => self.edit.rub(),
            Key::Delete => self.edit.delete(),
            Key::Left => self.edit.left(),
            Key::Right => self.edit.right(),
            Key::Home | Key::Control('a') => self.edit.home(),
            Key::End | Key::Control('e') => self.edit.end(),
            Key::Control('u') => self.edit.clear(),
            Key::Char(letter) => self.edit.put(letter),
            _ => {}
        }
        None
    }

    /// Completes the word before the cursor as far as it is unambiguous, and shows the
    /// possible words.
    fn complete(&mut self) {
        let before = self.edit.before();
        let start = before.rfind([' ', '(', '!', ',']).map_or(0, |at| at + 1);
        let word = before.get(start..).unwrap_or_default().to_owned();
        let fit: Vec<&String> = self.view.words.iter().filter(|known| known.starts_with(&word)).collect();
        let Some(first) = fit.first() else {
            self.say(&format!("no word begins with {word:?}"));
            return;
        };
        let common = fit.iter().fold(first.len(), |common, other| {
            first.bytes().zip(other.bytes()).take(common).take_while(|(a, b)| a == b).count()
        });
        let rest = first.get(word.len()..common).unwrap_or_default().to_owned();
        let said: Vec<String> = fit.iter().take(40).map(|word| (*word).clone()).collect();
        let is_one = fit.len() == 1;
        self.edit.put_all(&rest);
        if is_one {
            self.edit.put(' ');
        } else {
            self.say(&said.join("  "));
        }
    }
}

/// The scroll position after a key; `None` for a key that closes the text.
fn scrolled(key: Key, top: u16) -> Option<u16> {
    Some(match key {
        Key::Up | Key::WheelUp => top.saturating_sub(1),
        Key::Down | Key::WheelDown => top.saturating_add(1).min(4000),
        Key::PageUp => top.saturating_sub(10),
        Key::PageDown => top.saturating_add(10).min(4000),
        Key::Home => 0,
        Key::End => 4000,
        _ => return None,
    })
}
