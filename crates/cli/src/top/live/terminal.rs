//! The terminal: taken, drawn on, given back.
//!
//! Invariant: whoever takes the terminal gives it back, after a panic, too.

use std::io::{self, BufWriter, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{Hide, Show};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Size};

use crate::output::Stdout;

/// Room for a frame, which is written at once.
const BUFFER: usize = 64 << 10;

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal while it is ours.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        take()?;
        let out = BufWriter::with_capacity(BUFFER, Stdout);
        let terminal = Terminal::new(CrosstermBackend::new(out)).inspect_err(|_| restore())?;
        Ok(Self { terminal })
    }

    /// How large it is now.
    pub(super) fn size(&self) -> io::Result<Size> {
        self.terminal.backend().size()
    }

    /// Writes what differs from what it shows.
    pub(super) fn show(&mut self, buffer: &Buffer, cursor: Option<Position>) -> io::Result<()> {
        self.terminal.draw(|frame| {
            // It may have changed its size again; then the next frame fits.
            if frame.area() == buffer.area {
                frame.buffer_mut().clone_from(buffer);
                if let Some(cursor) = cursor {
                    frame.set_cursor_position(cursor);
                }
            }
        })?;
        Ok(())
    }

    /// Forgets what it shows, so that all is written anew.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Asks the terminal to put text into the clipboard (OSC 52).
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))?;
        io::Write::flush(self.terminal.backend_mut())
    }
}

/// Makes the terminal ours.
pub(super) fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(Stdout, EnterAlternateScreen, Hide).inspect_err(|_| restore())
}

/// Gives it back, if it is ours.
pub(super) fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // A terminal that is gone needs nothing any more.
        let _ = execute!(Stdout, LeaveAlternateScreen, Show);
        let _ = Stdout.flush();
        let _ = disable_raw_mode();
    }
}
