//! The screen of `sockdiag top`: turns what was seen of sockets into a frame for a terminal.
//!
//! A [`Shot`] is one stored look: the cells of the columns in use.  A [`State`] holds the
//! newest shot, earlier ones, and the user's choices.  [`State::press`] handles a key and
//! returns an action for the caller; [`draw`] renders the state as a frame.
//!
//! Invariant: nothing here queries the kernel, a clock or the environment, so equal states
//! give equal frames.  Only visible rows are formatted, and no byte chosen by other programs
//! reaches a frame unescaped.

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
