//! A searchable list of all fields, for choosing columns, the order or the grouping.

use sockdiag_facts::fields::{Catalog, Choice, Together};

use crate::edit::Edit;
use crate::group::GroupBy;
use crate::keys::Key;
use crate::press::Action;
use crate::state::{Menu, Mode, Preset, State};

/// The title of the preset with the user's own columns.
pub const CHOSEN: &str = "columns";

impl Menu {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Sort => "sort by",
            Self::Group => "group by",
        }
    }
}

impl State {
    pub(crate) fn open_menu(&mut self, menu: Menu) {
        self.edit = Edit::default();
        self.mode = Mode::Menu(menu, 0);
    }

    /// Fields whose names contain all typed words, then those whose descriptions contain some;
    /// visible columns come first.
    pub(crate) fn fitting(&self, menu: Menu) -> Vec<&(String, String)> {
        let typed = self.edit.text().to_lowercase();
        let words: Vec<&str> = typed.split_whitespace().collect();
        let shown = self.columns();
        let rank = |field: &(String, String)| {
            let (name, doc) = (field.0.as_str(), field.1.to_lowercase());
            if !words.iter().all(|word| name.contains(word) || doc.contains(word)) {
                return None;
            }
            let is_named = words.iter().all(|word| name.contains(word));
            let is_shown = menu != Menu::Group && shown.iter().any(|known| known == name);
            Some((!is_named, !is_shown))
        };
        let mut fitting: Vec<_> =
            self.view.fields.iter().filter_map(|field| Some((rank(field)?, field))).collect();
        fitting.sort_by_key(|(rank, _)| *rank);
        fitting.into_iter().map(|(_, field)| field).collect()
    }

    /// Whether a field is already chosen for this purpose.
    pub(crate) fn is_chosen(&self, menu: Menu, name: &str) -> bool {
        match menu {
            Menu::Columns => self.columns().iter().any(|known| known == name),
            Menu::Sort => self.sort.as_ref().is_some_and(|(known, _)| known == name),
            Menu::Group => {
                let by = self.grouped.and_then(|at| self.view.groups.get(at));
                by.is_some_and(|by| by.columns == [name])
            }
        }
    }

    pub(crate) fn press_menu(&mut self, key: Key, menu: Menu, at: usize) -> Option<Action> {
        let last = self.fitting(menu).len().saturating_sub(1);
        let page = self.room.saturating_sub(4).max(1);
        let typed = self.edit.text().len();
        let to = match key {
            Key::Up | Key::WheelUp => at.saturating_sub(1),
            Key::Down | Key::WheelDown => at + 1,
            Key::PageUp => at.saturating_sub(page),
            Key::PageDown => at + page,
            Key::Home => 0,
            Key::End => last,
            Key::Escape => {
                self.mode = Mode::List;
                return None;
            }
            Key::Enter => {
                let name = self.fitting(menu).get(at).map(|(name, _)| name.clone())?;
                return Some(self.choose(menu, &name));
            }
            Key::Backspace => {
                self.edit.rub();
                at
            }
            Key::Control('u') => {
                self.edit.clear();
                at
            }
            Key::Char(letter) => {
                self.edit.put(letter);
                at
            }
            _ => return None,
        };
        // The list of matches has changed.
        let to = if self.edit.text().len() == typed { to.min(last) } else { 0 };
        self.mode = Mode::Menu(menu, to);
        None
    }

    fn choose(&mut self, menu: Menu, name: &str) -> Action {
        match menu {
            Menu::Columns => self.toggle_column(name),
            Menu::Sort => {
                self.mode = Mode::List;
                let choice = Choice::new(Catalog::shared(), name);
                let down = choice.is_ok_and(|choice| choice.together() != Together::NoMean);
                self.sort = Some((name.to_owned(), down));
                self.top();
            }
            Menu::Group => {
                self.mode = Mode::List;
                let known = self.view.groups.iter().position(|group| group.columns == [name]);
                let at = known.unwrap_or(self.view.groups.len());
                if known.is_none() {
                    self.view.groups.push(GroupBy { title: name.to_owned(), columns: vec![name.to_owned()] });
                }
                // Choosing the current grouping again switches it off.
                self.group_by(if self.grouped == Some(at) { None } else { Some(at) });
            }
        }
        Action::Read
    }

    /// Adds or removes a column.  The user's columns form a preset of their own, after the
    /// others.
    fn toggle_column(&mut self, name: &str) {
        let mut columns = self.columns().to_vec();
        match columns.iter().position(|known| known == name) {
            Some(at) => _ = columns.remove(at),
            None => columns.push(name.to_owned()),
        }
        if columns.is_empty() {
            self.say("the last column cannot be removed");
            return;
        }
        let chosen = Preset { name: CHOSEN.to_owned(), columns, sort: self.sort.clone(), last: None };
        let known = self.view.presets.iter().position(|preset| preset.name == CHOSEN);
        let at = known.unwrap_or(self.view.presets.len());
        match self.view.presets.get_mut(at) {
            Some(preset) => *preset = chosen,
            None => self.view.presets.push(chosen),
        }
        self.preset = at;
        self.widths.clear();
    }
}
