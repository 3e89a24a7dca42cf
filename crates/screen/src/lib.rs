//! The screen of `sockdiag top`: from what was seen of sockets to a frame of a terminal.
//!
//! A [`Shot`] is one stored look: the cells of the columns in use.  A [`State`] has
//! the newest shot, those before it, and what the user chose to see of
//! them; [`State::press`] takes a key and says what is to be done outside;
//! [`draw`] makes a frame of it.
//!
//! Invariant: nothing here asks a kernel, a clock or the environment, so equal states
//! make equal frames.  Only rows that are visible are put into words, and no byte that
//! others chose reaches a frame as it came.

#![forbid(unsafe_code)]

mod detail;
mod dialog;
mod draw;
mod edit;
mod fit;
mod group;
mod keys;
mod menu;
mod order;
mod press;
mod shot;
mod state;
mod text;
mod theme;

pub use detail::{Detail, More, SERIES, Told};
pub use draw::draw;
pub use group::GroupBy;
pub use keys::{KEYS, Key, KeyHelp};
pub use menu::CHOSEN;
pub use order::{Job, Ordered};
pub use press::Action;
pub use shot::{Builder, Cell, Entry, Head, Id, Late, Mark, Shot};
pub use state::{COUNT, HISTORY_BYTES, Preset, State, View};
pub use text::{clean, counted};
pub use theme::Theme;

#[cfg(test)]
mod tests;
