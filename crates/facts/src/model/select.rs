//! The selection of sockets: collects the user's options in order and resolves them.
//!
//! [`Selection`] records options and words as they come; [`Selection::resolve`] derives the
//! three sets that a listing needs: tables, families and states.  Tables and families complete
//! each other only at the end, so `-x -t` lists unix and TCP sockets, and `-4` lists every
//! inet table.
//!
//! The rules are exactly those of `ss`, oddities included, since scripts depend on them.  `-A`
//! discards the tables named before it, but not the families or states.  States given by `-a`,
//! `-l`, `-B`, `-A` or a word replace the default states of tables, unless `exclude` leaves
//! none of them.
//!
//! Source: the manual page ss(8), and the observed behaviour of `ss` 7.3.

use std::fmt;

use super::families::{Family, FamilySet};
use super::socket::MessageKind;
use super::states::{State, StateSet};
use super::tables::{Gate, Table, TableSet};

/// The options given so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    tables: TableSet,
    families: FamilySet,
    preferred: Option<Family>,
    /// Default states of the requested tables and families.
    states: StateSet,
    /// States that were requested explicitly; empty if none were.
    request: StateSet,
    /// Tables that were named individually, not as part of `all` or `inet`.
    named: TableSet,
    /// Whether a table or family was requested, so that no defaults are added.
    narrowed: bool,
    /// Whether `-A` was given.
    queried: bool,
    /// Whether `state` or `exclude` was given.
    worded: bool,
}

/// The resolved selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Tables.
    pub tables: TableSet,
    /// Families whose sockets are listed.
    pub families: FamilySet,
    /// The last requested family.  An inet dump requests it first (and only it, if it is an
    /// inet family).  `None` means both, IPv4 first.
    pub preferred: Option<Family>,
    /// States to request.
    pub states: StateSet,
    /// The tables that the user named, by an option, in a list or by the family of a host
    /// value, as opposed to those added by `all`, `inet`, `-4`, `-6` or by default.
    pub named: TableSet,
}

/// An item of `-A` that is not a table, as typed, including `!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTable(pub Vec<u8>);

/// A word after `state` or `exclude` that is not a state, as typed.
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
    /// Handles an option that names one table (`-t`).
    pub fn add_table(&mut self, table: Table) {
        self.tables = self.tables.union(TableSet::only(table));
        self.named = self.named.union(TableSet::only(table));
        self.states = self.states.union(table.facts().states);
        self.narrowed = true;
    }

    /// Handles an option that names a family (`-4`, `-f link`).  Its tables are added at the
    /// end, unless one of them has been requested by then.
    pub fn add_family(&mut self, family: Family) {
        self.families = self.families.union(FamilySet::only(family));
        self.states = self.states.union(family.facts().states);
        self.preferred = Some(family);
        self.narrowed = true;
    }

    /// Handles an option that names states (`-a`, `-l`, `-B`); the last one wins.
    pub fn request(&mut self, states: StateSet) {
        self.request = states;
    }

    /// Handles the list after `-A`: table names separated by commas, each with a `!` in front
    /// if it is to be removed.
    ///
    /// # Errors
    /// The first item that is not the name of a table.
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

    /// Handles a word after `state`: adds its states.  The first `state` or `exclude` word
    /// discards the states requested by options.
    ///
    /// # Errors
    /// The word, if it names no state.
    pub fn state_word(&mut self, word: &[u8]) -> Result<(), BadState> {
        self.request = self.before_word(StateSet::EMPTY).union(states_of(word)?);
        Ok(())
    }

    /// Handles a word after `exclude`: removes its states; the first word removes them from
    /// all states.
    ///
    /// # Errors
    /// The word, if it names no state.
    pub fn exclude_word(&mut self, word: &[u8]) -> Result<(), BadState> {
        self.request = self.before_word(StateSet::ALL).minus(states_of(word)?);
        Ok(())
    }

    /// The states that the next word modifies; `first` if it is the first word.
    fn before_word(&mut self, first: StateSet) -> StateSet {
        if std::mem::replace(&mut self.worded, true) { self.request } else { first }
    }

    /// Whether neither a table nor a family was requested, so that the defaults are listed.
    pub fn is_default(&self) -> bool {
        !self.narrowed
    }

    /// Whether states were requested, so that the default states of tables do not apply.
    pub fn has_states(&self) -> bool {
        !self.request.is_empty() || self.worded
    }

    /// Resolves the selection.
    ///
    /// # Errors
    /// Which of the three sets is empty.
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
    /// Applies a host value of a filter: its family becomes the only one.  Tables and states
    /// remain, and so do the columns.
    pub fn narrow(&mut self, family: Family) {
        if !family.is_inet() {
            self.named = self.named.union(family.facts().tables.intersection(self.tables));
        }
        self.families = FamilySet::only(family);
        self.preferred = Some(family);
    }

    /// The tables that are actually listed, in order.  A table whose sockets are excluded by
    /// families or states is not requested.
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

    /// The tables to dump, in order: those that are listed, but only one for each non-inet
    /// family, since one dump returns the sockets of all tables of the family.
    pub fn dumps(self) -> impl Iterator<Item = Table> {
        let mut dumped: Vec<MessageKind> = Vec::new();
        self.listed().filter(move |table| {
            let message_kind = table.message_kind();
            let first = message_kind == MessageKind::Inet || !dumped.contains(&message_kind);
            dumped.push(message_kind);
            first
        })
    }

    /// Whether the user named this table or another table of its family.
    pub fn names(self, table: Table) -> bool {
        self.named.iter().any(|named| {
            named == table
                || (table.message_kind() != MessageKind::Inet && named.message_kind() == table.message_kind())
        })
    }

    /// Whether rows show their table: not if there is only one.
    pub fn show_netid(&self) -> bool {
        self.tables.len() != 1
    }

    /// Whether rows show their state: not if only one was requested.
    pub fn show_state(&self) -> bool {
        self.states.len() != 1
    }
}

impl fmt::Display for BadTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a socket table", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for BadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a socket state", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tables => "no socket table is selected",
            Self::Families => "no address family is selected",
            Self::States => "no socket state is selected",
        })
    }
}

impl std::error::Error for BadTable {}
impl std::error::Error for BadState {}
impl std::error::Error for Empty {}

#[cfg(test)]
mod tests;
