//! Colours.  Everything that a colour expresses is also visible without it.

use ratatui::style::{Color, Modifier, Style};

/// The set of colours to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Colours that are readable on a dark background.
    #[default]
    Dark,
    /// Colours that are readable on a light background.
    Light,
    /// No colours (`NO_COLOR`): bold, reversed and underlined text instead.
    Plain,
}

impl Theme {
    fn of(self, dark: Color, light: Color, without: Modifier) -> Style {
        match self {
            Self::Dark => Style::new().fg(dark),
            Self::Light => Style::new().fg(light),
            Self::Plain => Style::new().add_modifier(without),
        }
    }

    /// New sockets.
    pub(crate) fn opened(self) -> Style {
        self.of(Color::Green, Color::Indexed(22), Modifier::BOLD)
    }

    /// Ended sockets.
    pub(crate) fn gone(self) -> Style {
        self.of(Color::Indexed(245), Color::Indexed(242), Modifier::DIM)
    }

    /// Changed sockets.
    pub(crate) fn changed(self) -> Style {
        self.of(Color::Yellow, Color::Indexed(94), Modifier::BOLD)
    }

    /// Warnings and errors.
    pub(crate) fn warning(self) -> Style {
        self.of(Color::LightRed, Color::Indexed(124), Modifier::BOLD)
    }

    /// Names of values.
    pub(crate) fn name(self) -> Style {
        self.of(Color::Cyan, Color::Indexed(24), Modifier::empty())
    }

    /// Titles of columns.
    pub(crate) fn head() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The title of the sort column.
    pub(crate) fn sorted() -> Style {
        Self::head().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    /// The selected row.
    pub(crate) fn chosen() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The program's name, and keys.
    pub(crate) fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}
