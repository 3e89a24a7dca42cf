//! Which sockets are listed: what the user said, in order, and what it means.
//!
//! [`Selection`] takes options and words as they come; [`Selection::resolve`]
//! makes the three sets of them that a listing needs, tables, families and
//! states.  Tables and families fill each other's gaps only at the end, so
//! `-x -t` lists unix and TCP sockets, and `-4` every inet table.
//!
//! The rules are `ss`'s to the letter, odd ones included: scripts depend on
//! them.  `-A` forgets the tables named before it, though not the families nor
//! any states; states given by `-a`, `-l`, `-B`, `-A` or a word replace those
//! that come with a table, unless `exclude` leaves none of them.
//!
//! Source: the manual page ss(8), and the behaviour of `ss` 7.3.

use std::fmt;

use super::families::{Family, FamilySet};
use super::socket::MessageKind;
use super::states::{State, StateSet};
use super::tables::{Gate, Table, TableSet};

/// What was asked for so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    tables: TableSet,
    families: FamilySet,
    preferred: Option<Family>,
    /// States that came with tables and families.
    states: StateSet,
    /// States that were asked for themselves; empty is "none were".
    request: StateSet,
    /// Tables that were named one by one, not as part of `all` or `inet`.
    named: TableSet,
    /// A table or family was asked for, so nothing is added unasked.
    narrowed: bool,
    /// There was a `-A`.
    queried: bool,
    /// There was a `state` or `exclude`.
    worded: bool,
}

/// What is to be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Tables.
    pub tables: TableSet,
    /// Families whose sockets are shown.
    pub families: FamilySet,
    /// The family asked for last, which an inet dump asks for first (and, if
    /// it is an inet one, alone).  `None` is "both, IPv4 first".
    pub preferred: Option<Family>,
    /// States to ask for.
    pub states: StateSet,
    /// Those of the tables that the user named, by an option, in a list or by
    /// the family of a host value, rather than getting them with
    /// `all`, `inet`, `-4`, `-6` or by default.
    pub named: TableSet,
}

/// An item of `-A` that names no table, as typed, `!` included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTable(pub Vec<u8>);

/// A word after `state` or `exclude` that names no state, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadState(pub Vec<u8>);

/// A selection that nothing can match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// No table is left.
    Tables,
    /// No family is left.
    Families,
    /// No state is left.
    States,
}

impl Selection {
    /// An option that names one table (`-t`).
    pub fn add_table(&mut self, table: Table) {
        self.tables = self.tables.union(TableSet::only(table));
        self.named = self.named.union(TableSet::only(table));
        self.states = self.states.union(table.facts().states);
        self.narrowed = true;
    }

    /// An option that names a family (`-4`, `-f link`).  Its tables are added
    /// at the end, if none of them was asked for by then.
    pub fn add_family(&mut self, family: Family) {
        self.families = self.families.union(FamilySet::only(family));
        self.states = self.states.union(family.facts().states);
        self.preferred = Some(family);
        self.narrowed = true;
    }

    /// An option that names states (`-a`, `-l`, `-B`); the last one holds.
    pub fn request(&mut self, states: StateSet) {
        self.request = states;
    }

    /// The list that follows `-A`: table names between commas, each with a `!`
    /// in front if it is to be taken away again.
    ///
    /// # Errors
    /// The first item that is not a table's name.
    pub fn query(&mut self, list: &[u8]) -> Result<(), BadTable> {
        if !self.queried {
            self.queried = true;
            self.narrowed = true;
            self.tables = TableSet::EMPTY;
            self.named = TableSet::EMPTY;
            if self.request.is_empty() {
                self.request = StateSet::CONN;
            }
        }
        for item in list.split(|byte| *byte == b',') {
            let name = item.strip_prefix(b"!");
            let tables = TableSet::by_name(name.unwrap_or(item)).ok_or_else(|| BadTable(item.to_vec()))?;
            if name.is_some() {
                self.tables = self.tables.minus(tables);
                self.named = self.named.minus(tables);
            } else {
                self.tables = self.tables.union(tables);
                self.states = self.states.union(tables.states());
                if tables != TableSet::ALL && tables != TableSet::INET {
                    self.named = self.named.union(tables);
                }
            }
        }
        Ok(())
    }

    /// A word after `state`: adds its states.  The first word of either kind
    /// forgets what options asked for.
    ///
    /// # Errors
    /// The word, if it names no state.
    pub fn state_word(&mut self, word: &[u8]) -> Result<(), BadState> {
        self.request = self.before_word(StateSet::EMPTY).union(states_of(word)?);
        Ok(())
    }

    /// A word after `exclude`: takes its states away, at first from all.
    ///
    /// # Errors
    /// The word, if it names no state.
    pub fn exclude_word(&mut self, word: &[u8]) -> Result<(), BadState> {
        self.request = self.before_word(StateSet::ALL).minus(states_of(word)?);
        Ok(())
    }

    /// The states that the next word starts from: `first` for the first word.
    fn before_word(&mut self, first: StateSet) -> StateSet {
        if std::mem::replace(&mut self.worded, true) { self.request } else { first }
    }

    /// Whether no table and no family was asked for, so that all come.
    pub fn is_default(&self) -> bool {
        !self.narrowed
    }

    /// Whether states were asked for, so that those of the tables do not count.
    pub fn has_states(&self) -> bool {
        !self.request.is_empty() || self.worded
    }

    /// What all of it means.
    ///
    /// # Errors
    /// Which of the three sets came out empty.
    pub fn resolve(&self) -> Result<Selected, Empty> {
        let (mut tables, mut states) = (self.tables, self.states);
        if !self.narrowed {
            tables = TableSet::ALL;
            states = StateSet::CONN;
        }
        if !self.request.is_empty() {
            states = self.request;
        }

        let mut families = self.families;
        for table in tables.iter() {
            let possible = table.facts().families;
            if !families.intersects(possible) {
                families = families.union(possible);
            }
        }
        for family in families.iter() {
            if !tables.families().contains(family) {
                tables = tables.union(family.facts().tables);
            }
        }

        let mut named = self.named;
        for family in self.families.iter().filter(|family| !family.is_inet()) {
            named = named.union(family.facts().tables);
        }

        if tables.is_empty() {
            return Err(Empty::Tables);
        }
        if families.is_empty() {
            return Err(Empty::Families);
        }
        if states.is_empty() {
            return Err(Empty::States);
        }
        let named = named.intersection(tables);
        Ok(Selected { tables, families, preferred: self.preferred, states, named })
    }
}

fn states_of(word: &[u8]) -> Result<StateSet, BadState> {
    StateSet::by_word(word).ok_or_else(|| BadState(word.to_vec()))
}

impl Selected {
    /// What a host value of a filter does: from now on this is the only
    /// family.  Tables and states stay, and with them the columns.
    pub fn narrow(&mut self, family: Family) {
        if !family.is_inet() {
            self.named = self.named.union(family.facts().tables.intersection(self.tables));
        }
        self.families = FamilySet::only(family);
        self.preferred = Some(family);
    }

    /// The tables that are really listed, in order: a table whose sockets the
    /// families or states leave out is not even asked.
    pub fn listed(self) -> impl Iterator<Item = Table> {
        self.tables.iter().filter(move |table| {
            let facts = table.facts();
            let family = self.families.intersects(facts.families);
            match facts.gate {
                Gate::Family => family,
                Gate::FamilyAndClose => family && self.states.contains(State::Close),
                Gate::Open => true,
            }
        })
    }

    /// The tables to dump, in order: those that are listed, but one for each
    /// family other than the inet ones, since one dump brings the sockets of
    /// all its tables.
    pub fn dumps(self) -> impl Iterator<Item = Table> {
        let mut dumped: Vec<MessageKind> = Vec::new();
        self.listed().filter(move |table| {
            let message_kind = table.message_kind();
            let first = message_kind == MessageKind::Inet || !dumped.contains(&message_kind);
            dumped.push(message_kind);
            first
        })
    }

    /// Whether the user named this table, or another of its family.
    pub fn names(self, table: Table) -> bool {
        self.named.iter().any(|named| {
            named == table
                || (table.message_kind() != MessageKind::Inet && named.message_kind() == table.message_kind())
        })
    }

    /// Whether rows say which table they belong to: not where there is only one.
    pub fn show_netid(&self) -> bool {
        self.tables.len() != 1
    }

    /// Whether rows say their state: not where only one was asked for.
    pub fn show_state(&self) -> bool {
        self.states.len() != 1
    }
}

impl fmt::Display for BadTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a table of sockets", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for BadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not the state of a socket", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tables => "no table is left to ask",
            Self::Families => "no family is left to ask for",
            Self::States => "no state is left to ask for",
        })
    }
}

impl std::error::Error for BadTable {}
impl std::error::Error for BadState {}
impl std::error::Error for Empty {}

#[cfg(test)]
mod tests;
