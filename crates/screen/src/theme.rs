//! Colours.  Everything that a colour means is also visible without it.

use ratatui::style::{Color, Modifier, Style};

/// What colours a terminal is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Those that can be read on a dark background.
    #[default]
    Dark,
    /// Those that can be read on a light background.
    Light,
    /// None (`NO_COLOR`): what matters is bold, reversed or underlined.
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

    /// What is new.
    pub(crate) fn opened(self) -> Style {
        self.of(Color::Green, Color::Indexed(22), Modifier::BOLD)
    }

    /// What ended.
    pub(crate) fn gone(self) -> Style {
        self.of(Color::Indexed(245), Color::Indexed(242), Modifier::DIM)
    }

    /// What changed.
    pub(crate) fn changed(self) -> Style {
        self.of(Color::Yellow, Color::Indexed(94), Modifier::BOLD)
    }

    /// What could not be seen, what is wrong.
    pub(crate) fn warning(self) -> Style {
        self.of(Color::LightRed, Color::Indexed(124), Modifier::BOLD)
    }

    /// What a value is called.
    pub(crate) fn name(self) -> Style {
        self.of(Color::Cyan, Color::Indexed(24), Modifier::empty())
    }

    /// Names of columns.
    pub(crate) fn head() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The column of the order.
    pub(crate) fn sorted() -> Style {
        Self::head().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    /// The row that is chosen.
    pub(crate) fn chosen() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The name of the program, keys.
    pub(crate) fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}
