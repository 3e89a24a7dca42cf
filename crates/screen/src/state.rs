//! The state of the screen: what is visible, and what the user chose.
//!
//! Invariant: the lines belong to the shown shot and are in its order; the cursor is on one of
//! them, unless there are none.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::detail::{Detail, More, SERIES};
use crate::edit::Edit;
use crate::group::{Group, GroupBy};
use crate::order::{FEW, Job, Ordered};
use crate::shot::{Cell, Entry, Id, Shot};

/// Memory for shots before the newest one, in bytes.
pub const HISTORY_BYTES: usize = 64 << 20;

/// The pseudo-field that sorts groups by their number of sockets.
pub const COUNT: &str = "count";

/// Columns and a sort order that answer one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// The full names of its fields.
    pub columns: Vec<String>,
    /// The sort field, and whether the largest values come first.
    pub sort: Option<(String, bool)>,
    /// In this order, rows in which this field exceeds the number come last: their values are
    /// out of date.
    pub last: Option<(String, u32)>,
}

/// What to show, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The kind of sockets: `tcp`.
    pub title: String,
    /// The interval between looks: `1s`.
    pub interval: String,
    /// The presets, on the keys from 1 on.
    pub presets: Vec<Preset>,
    /// The index of the preset at the start.
    pub preset: usize,
    /// The groupings, in the order in which the key steps through them.
    pub groups: Vec<GroupBy>,
    /// The grouping at the start.
    pub grouped: Option<usize>,
    /// The filter at the start.
    pub filter: String,
    /// Words that a filter may have, sorted.
    pub words: Vec<String>,
    /// Fields that can be chosen as columns, order or grouping, with their meanings.
    pub fields: Vec<(String, String)>,
}

/// A line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Row(u32),
    Group(u32),
}

/// The mode, which decides what keys do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    List,
    Filter,
    /// The scroll position, and the socket whose details it was opened from, if any.
    Help(u16, Option<Id>),
    Details(Id, u16),
    /// The confirmation of killing this socket, with its text.
    Kill(Target, String),
    /// A list of all fields, for this purpose; the cursor is on this one of the matches.
    Menu(Menu, usize),
}

/// The purpose of choosing a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Menu {
    Columns,
    Sort,
    Group,
}

/// How addresses and ports are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spelled {
    #[default]
    Numbers,
    Ports,
    Hosts,
}

impl Spelled {
    /// Fields whose names are shown instead of numbers.
    pub(crate) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Numbers => &[],
            Self::Ports => &["local.service", "remote.service"],
            Self::Hosts => &["local.service", "remote.service", "local.host", "remote.host"],
        }
    }
}

/// The identity of a socket to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) id: Id,
    pub(crate) table: sockdiag_facts::Table,
}

/// A filter that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The error, as lines.
    pub(crate) lines: Vec<String>,
}

/// The complete state, from which frames are drawn.
#[derive(Debug)]
pub struct State {
    pub(crate) view: View,
    pub(crate) preset: usize,
    pub(crate) sort: Option<(String, bool)>,
    pub(crate) grouped: Option<usize>,
    pub(crate) names: Spelled,
    pub(crate) newest: Arc<Shot>,
    /// Whether no look has arrived yet.
    pub(crate) is_blank: bool,
    pub(crate) past: VecDeque<Arc<Shot>>,
    past_bytes: usize,
    pub(crate) most_bytes: usize,
    /// The shot that the lines show.
    shown: Arc<Shot>,
    /// The pending sort job, and whether one is running.
    job: Option<Job>,
    is_ordering: bool,
    /// The paused position: how many looks before the newest one at that time.
    pub(crate) paused: Option<Paused>,
    pub(crate) lines: Vec<Line>,
    pub(crate) groups: Vec<Group>,
    pub(crate) unfolded: HashSet<String>,
    pub(crate) cursor: usize,
    pub(crate) scroll: usize,
    /// The socket or group at the cursor, which the cursor follows once the user has moved it.
    pub(crate) followed: Option<Followed>,
    pub(crate) mode: Mode,
    pub(crate) filter: String,
    pub(crate) edit: Edit,
    pub(crate) refused: Option<Refusal>,
    pub(crate) waits_for_filter: bool,
    pub(crate) message: Option<String>,
    pub(crate) detail: Option<Detail>,
    /// Further details of the selected socket and of its other end.
    pub(crate) more: Option<More>,
    /// Why there are no rows, if there are none.
    pub(crate) trouble: Vec<String>,
    /// The number of list lines that fit on the screen.
    pub(crate) room: usize,
    /// Column widths, which only grow while the view stays the same.
    pub(crate) widths: Vec<u16>,
    /// Width and height of the last frame.
    pub(crate) size: (u16, u16),
}

/// The line that the cursor follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    Socket(Id),
    Group(String),
}

/// The looks that the user can step through while paused.
#[derive(Debug)]
pub(crate) struct Paused {
    pub(crate) shots: Vec<Arc<Shot>>,
    pub(crate) at: usize,
}

impl State {
    /// Sets the filter words and fields offered for completion.
    pub fn offer(&mut self, words: Vec<String>, fields: Vec<(String, String)>) {
        (self.view.words, self.view.fields) = (words, fields);
    }

    /// The state before the first look.
    pub fn new(view: View) -> Self {
        let (preset, grouped, filter) = (view.preset, view.grouped, view.filter.clone());
        let sort = view.presets.get(preset).and_then(|preset| preset.sort.clone());
        Self {
            view,
            preset,
            sort,
            grouped,
            names: Spelled::default(),
            newest: Arc::new(Shot::empty()),
            is_blank: true,
            past: VecDeque::new(),
            past_bytes: 0,
            most_bytes: HISTORY_BYTES,
            shown: Arc::new(Shot::empty()),
            job: None,
            is_ordering: false,
            paused: None,
            lines: Vec::new(),
            groups: Vec::new(),
            unfolded: HashSet::new(),
            cursor: 0,
            scroll: 0,
            followed: None,
            mode: Mode::List,
            edit: Edit::default(),
            filter,
            refused: None,
            waits_for_filter: false,
            message: None,
            detail: None,
            more: None,
            trouble: Vec::new(),
            room: 1,
            widths: Vec::new(),
            size: (0, 0),
        }
    }

    /// Adds a look; while paused, it is stored but not shown.
    pub fn look(&mut self, shot: Arc<Shot>, detail: Option<Detail>) {
        let old = std::mem::replace(&mut self.newest, shot);
        if !std::mem::replace(&mut self.is_blank, false) {
            self.past_bytes += old.bytes();
            self.past.push_back(old);
        }
        while self.past_bytes > self.most_bytes
            && let Some(oldest) = self.past.pop_front()
        {
            self.past_bytes -= oldest.bytes();
        }
        self.trouble.clear();
        if self.paused.is_none() {
            if let Some(detail) = detail {
                self.detail = Some(detail);
            }
            self.arrange();
        }
    }

    /// Stores the further details of a socket, if its details are still shown.
    pub fn more(&mut self, more: More) {
        if self.detailed() == Some(more.id) {
            self.more = Some(more);
        }
    }

    /// Records why nothing can be seen.
    pub fn trouble(&mut self, said: &str) {
        self.trouble = said.lines().map(crate::clean).collect();
    }

    /// Records that a filter is now in use.
    pub fn filter_taken(&mut self, text: &str) {
        self.waits_for_filter = false;
        self.refused = None;
        text.clone_into(&mut self.filter);
        if self.mode == Mode::Filter {
            self.mode = Mode::List;
        }
        (self.cursor, self.scroll, self.followed) = (0, 0, None);
        self.forget_past();
    }

    /// Records why a filter was refused; the previous one stays in use.
    pub fn filter_refused(&mut self, said: &str) {
        self.waits_for_filter = false;
        self.refused = Some(Refusal { lines: said.lines().map(crate::clean).collect() });
    }

    /// Shows a message until the next key.
    pub fn say(&mut self, said: &str) {
        self.message = Some(crate::clean(said));
    }

    /// The shown shot.
    pub fn shot(&self) -> &Arc<Shot> {
        &self.shown
    }

    /// The sort job for another thread, unless one is running; its result goes to
    /// [`State::ordered`].
    pub fn take_job(&mut self) -> Option<Job> {
        if self.is_ordering {
            return None;
        }
        let job = self.job.take();
        self.is_ordering = job.is_some();
        job
    }

    /// Shows the result of a sort job.
    pub fn ordered(&mut self, ordered: Ordered) {
        self.is_ordering = false;
        self.show(ordered);
    }

    /// Whether the screen is paused.
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Memory used by looks before the newest one, in bytes.
    pub fn past_bytes(&self) -> usize {
        self.past_bytes
    }

    /// The preset's rule for rows that come last, if its order is in use.
    fn last(&self) -> Option<(String, u32)> {
        let preset = self.view.presets.get(self.preset).filter(|preset| preset.sort == self.sort);
        preset.and_then(|preset| preset.last.clone())
    }

    /// The full names of the fields in use: columns, order, grouping.
    pub fn wanted(&self) -> Vec<String> {
        let mut wanted: Vec<String> = Vec::new();
        let preset = self.view.presets.get(self.preset);
        let columns = preset.iter().flat_map(|preset| preset.columns.iter());
        // The number of sockets in a group is not a field.
        let sort = self.sort.iter().map(|(name, _)| name).filter(|name| *name != COUNT);
        let groups = self.grouped.and_then(|at| self.view.groups.get(at));
        let groups = groups.iter().flat_map(|group| group.columns.iter());
        let last = self.last().map(|(name, _)| name);
        for name in columns.chain(sort).chain(groups).chain(&last) {
            if !wanted.contains(name) {
                wanted.push(name.clone());
            }
        }
        wanted.extend(self.names.fields().iter().map(|name| (*name).to_owned()));
        wanted
    }

    /// The fields of all presets and groupings, and those whose history is drawn.
    pub fn all_fields(&self) -> Vec<String> {
        let mut all = self.wanted();
        let presets = self.view.presets.iter().flat_map(|preset| preset.columns.iter().cloned());
        let series = SERIES.iter().map(|(_, name)| (*name).to_owned());
        let groups = self.view.groups.iter().flat_map(|group| group.columns.iter().cloned());
        for name in presets.chain(series).chain(groups) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }

    /// The socket whose details are shown.
    pub fn detailed(&self) -> Option<Id> {
        match self.mode {
            Mode::Details(id, _) => Some(id),
            _ => None,
        }
    }

    /// The full names of the visible columns.
    pub fn columns(&self) -> &[String] {
        self.view.presets.get(self.preset).map_or(&[], |preset| preset.columns.as_slice())
    }

    /// The listed rows, in order, without those in folded groups.
    pub fn listed(&self) -> impl Iterator<Item = usize> {
        self.lines.iter().filter_map(|line| match line {
            Line::Row(row) => Some(*row as usize),
            Line::Group(_) => None,
        })
    }

    /// The row at the cursor.
    pub(crate) fn row(&self) -> Option<usize> {
        match self.lines.get(self.cursor)? {
            Line::Row(row) => Some(*row as usize),
            Line::Group(_) => None,
        }
    }

    /// The socket at the cursor.
    pub(crate) fn chosen(&self) -> Option<Entry> {
        self.shot().entries().get(self.row()?).copied()
    }

    /// Rebuilds the lines, here or in another thread.
    pub(crate) fn arrange(&mut self) {
        let paused = self.paused.as_ref().and_then(|paused| paused.shots.get(paused.at));
        let job = Job {
            shot: Arc::clone(paused.unwrap_or(&self.newest)),
            sort: self.sort.clone(),
            last: self.last(),
            by: self.grouped.and_then(|at| self.view.groups.get(at)).cloned(),
            unfolded: self.unfolded.clone(),
        };
        if job.shot.entries().len() > FEW {
            self.job = Some(job);
        } else {
            self.job = None;
            self.show(job.run());
        }
    }

    fn show(&mut self, ordered: Ordered) {
        let Ordered { shot, lines, groups } = ordered;
        (self.lines, self.groups) = (lines, groups);
        self.shown = Arc::clone(&shot);
        let place = match &self.followed {
            None => None,
            Some(Followed::Group(name)) => self.lines.iter().position(|line| match line {
                Line::Group(at) => self.groups.get(*at as usize).is_some_and(|group| group.name == *name),
                Line::Row(_) => false,
            }),
            Some(Followed::Socket(id)) => shot.find(*id).and_then(|row| {
                self.lines.iter().position(|line| matches!(line, Line::Row(at) if *at as usize == row))
            }),
        };
        if let Some(place) = place {
            // The cursor keeps its position on the screen.
            let above = self.cursor.saturating_sub(self.scroll);
            self.cursor = place;
            self.scroll = place.saturating_sub(above);
        }
        self.keep_in_view();
    }

    /// Moves the cursor onto an existing line, and scrolls to it.
    pub(crate) fn keep_in_view(&mut self) {
        self.cursor = self.cursor.min(self.lines.len().saturating_sub(1));
        self.scroll = self.scroll.min(self.cursor);
        if self.cursor >= self.scroll + self.room {
            self.scroll = self.cursor + 1 - self.room;
        }
        self.scroll = self.scroll.min(self.lines.len().saturating_sub(self.room));
    }

    /// Remembers the socket or group at the cursor.
    pub(crate) fn follow(&mut self) {
        let followed = match self.lines.get(self.cursor) {
            None => None,
            Some(Line::Group(at)) => {
                self.groups.get(*at as usize).map(|group| Followed::Group(group.name.clone()))
            }
            Some(Line::Row(_)) => {
                self.chosen().filter(|entry| entry.id.cookie != 0).map(|entry| Followed::Socket(entry.id))
            }
        };
        self.followed = followed;
    }

    /// Drops past looks: those under another filter are of no use.
    fn forget_past(&mut self) {
        self.past.clear();
        self.past_bytes = 0;
        self.paused = None;
        self.widths.clear();
    }

    /// A number's history for a socket, up to the shown look; `None` for a look without a
    /// value.
    pub(crate) fn series(&self, id: Id, name: &str, most: usize) -> Vec<Option<f64>> {
        let upto = self.shot().head.number;
        let shots = self.past.iter().chain([&self.newest]);
        let shots: Vec<&Arc<Shot>> = match &self.paused {
            Some(paused) => paused.shots.iter().take(paused.at + 1).collect(),
            None => shots.filter(|shot| shot.head.number <= upto).collect(),
        };
        let skip = shots.len().saturating_sub(most);
        let numbers = shots.into_iter().skip(skip).map(|shot| {
            let (row, column) = (shot.find(id)?, shot.column(name)?);
            shot.number(row, column)
        });
        numbers.collect()
    }

    /// A filter with which `ss` lists exactly this row.
    pub(crate) fn ss_filter(&self, row: usize) -> Option<String> {
        let shot = self.shot();
        let text = |name: &str| {
            let column = shot.column(name)?;
            let mut text = Vec::new();
            shot.put_raw(&mut text, row, column).then(|| String::from_utf8_lossy(&text).into_owned())
        };
        let end = |which: &str| {
            let column = shot.column(&format!("{which}.addr"))?;
            let addr = text(&format!("{which}.addr"))?;
            let port = text(&format!("{which}.port"))?;
            match shot.cell(row, column) {
                Cell::V4(_) => Some(format!("{addr}:{port}")),
                Cell::V6(_) => Some(format!("[{addr}]:{port}")),
                _ => None,
            }
        };
        let ends =
            [end("local").map(|end| format!("src {end}")), end("remote").map(|end| format!("dst {end}"))];
        let ends: Vec<String> = ends.into_iter().flatten().collect();
        if !ends.is_empty() {
            return Some(ends.join(" and "));
        }
        let cookie = shot.entries().get(row)?.id.cookie;
        (cookie != 0).then(|| format!("socket.cookie = {cookie:#x}"))
    }
}
