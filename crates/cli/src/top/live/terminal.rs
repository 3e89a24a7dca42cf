//! The terminal: taken over, drawn on, restored.
//!
//! Invariant: a terminal that was taken over is restored, even if any thread panics. Nothing
//! is drawn on it afterwards, and restoring does not block on a terminal that accepts no
//! output.

use std::io::{self, BufWriter, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, TryLockError};
use std::time::{Duration, Instant};

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{Hide, Show};
use crossterm::style::Print;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{execute, queue};
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdout;
use rustix::termios::tcgetwinsize;

use crate::output::Stdout;

/// The buffer size: room for a whole frame, so that it is written at once.
const BUFFER: usize = 64 << 10;
/// How long a terminal may accept no output before we stop trying to restore it.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
/// How long to wait for a frame that is being written.
const LONGEST_FRAME: Duration = Duration::from_millis(200);
/// Reports clicks and the wheel, at positions of any size, but no motion.
const MOUSE: [&str; 2] = ["\x1b[?1000h\x1b[?1006h", "\x1b[?1006l\x1b[?1000l"];
/// Asks for the background colour.
const BACKGROUND: &str = "\x1b]11;?\x1b\\";

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether mouse reports are on.
static HAS_MOUSE: AtomicBool = AtomicBool::new(false);
/// Held while writing to the terminal.
static WRITING: Mutex<()> = Mutex::new(());
static HOOK: Once = Once::new();

/// The terminal while it is ours.
pub(super) struct Screen {
    backend: CrosstermBackend<BufWriter<Stdout>>,
    /// The current contents and the cursor; `None` if unknown.
    shown: Option<(Buffer, Option<Position>)>,
}

impl Screen {
    /// Takes over the terminal, with or without mouse reports.
    pub(super) fn enter(mouse: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let was_ours = restore();
                before(panic);
                if was_ours {
                    // The screen would hang without one of its threads.
                    std::process::abort();
                }
            }));
        });
        HAS_MOUSE.store(mouse, Ordering::SeqCst);
        take()?;
        Ok(Self { backend: CrosstermBackend::new(BufWriter::with_capacity(BUFFER, Stdout)), shown: None })
    }

    /// The current number of columns and lines, which may be zero.
    pub(super) fn size() -> io::Result<(u16, u16)> {
        let size = tcgetwinsize(stdout())?;
        Ok((size.ws_col, size.ws_row))
    }

    /// Writes the cells that differ from the current contents; nothing if none does.
    pub(super) fn show(&mut self, buffer: Buffer, cursor: Option<Position>) -> io::Result<()> {
        if self.shown.as_ref().is_some_and(|(shown, at)| *shown == buffer && *at == cursor) {
            return Ok(());
        }
        let _writing = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        let known = self.shown.take().filter(|(shown, _)| shown.area == buffer.area);
        let (shown, at) = if let Some(known) = known {
            known
        } else {
            self.backend.clear()?;
            (Buffer::empty(buffer.area), None)
        };
        self.backend.draw(shown.diff(&buffer).into_iter())?;
        match cursor {
            None if at.is_some() => self.backend.hide_cursor()?,
            None => {}
            Some(cursor) => {
                self.backend.set_cursor_position(cursor)?;
                self.backend.show_cursor()?;
            }
        }
        io::Write::flush(&mut self.backend)?;
        self.shown = Some((buffer, cursor));
        Ok(())
    }

    /// Discards the known contents, so that the next frame is written completely.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }

    /// Asks the terminal to put text into the clipboard (OSC 52).
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        queue!(self.backend, CopyToClipboard::to_clipboard_from(text))?;
        io::Write::flush(&mut self.backend)
    }

    /// Asks the terminal for its background (OSC 11); the answer arrives among the keys.
    pub(super) fn ask_background(&mut self) -> io::Result<()> {
        queue!(self.backend, Print(BACKGROUND))?;
        io::Write::flush(&mut self.backend)
    }
}

/// Takes over the terminal.
pub(super) fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let mouse = if HAS_MOUSE.load(Ordering::SeqCst) { MOUSE[0] } else { "" };
    execute!(Stdout, EnterAlternateScreen, Hide, Print(mouse)).inspect_err(|_| _ = restore())
}

/// Restores the terminal if it is ours; returns whether it was.
pub(super) fn restore() -> bool {
    let was_ours = TAKEN.swap(false, Ordering::SeqCst);
    if was_ours {
        let _writing = wait_for_frame();
        if takes_something() {
            let mouse = if HAS_MOUSE.load(Ordering::SeqCst) { MOUSE[1] } else { "" };
            // If the terminal is gone, errors do not matter.
            let _ = execute!(Stdout, Print(mouse), LeaveAlternateScreen, Show);
            let _ = Stdout.flush();
        }
        let _ = disable_raw_mode();
    }
    was_ours
}

/// Waits until another thread has written its frame, but not for long: that thread may be this
/// one, or may be blocked for ever.
fn wait_for_frame() -> Option<MutexGuard<'static, ()>> {
    let begun = Instant::now();
    loop {
        match WRITING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) if begun.elapsed() > LONGEST_FRAME => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Whether the terminal accepts output, now or soon.
fn takes_something() -> bool {
    let mut ready = [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)];
    matches!(poll(&mut ready, Some(&PATIENCE)), Ok(1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    use ratatui::layout::Rect;
    use sockdiag_testkit::terminal::Terminal;

    use super::*;

    /// Run by the test below on a terminal: one thread draws, another one panics.
    #[test]
    #[ignore = "it panics; run by panics_give_the_terminal_back"]
    fn a_thread_panics() {
        let mut screen = Screen::enter(true).expect("a terminal");
        let begun = Instant::now();
        for letter in "abcdefgh".chars().cycle() {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 60, 12));
            for line in 0..12 {
                buffer.set_string(0, line, letter.to_string().repeat(60), ratatui::style::Style::new());
            }
            screen.show(buffer, Some(Position { x: 3, y: 1 })).expect("it takes it");
            if letter == 'h' && begun.elapsed() > Duration::from_millis(300) {
                let panics = || panic!("this is what it said");
                if std::env::var_os("SOCKDIAG_PANICS_ELSEWHERE").is_none() {
                    panics();
                }
                std::thread::spawn(panics);
            }
        }
    }

    #[test]
    fn panics_give_the_terminal_back() {
        for elsewhere in [false, true] {
            let terminal = Terminal::new((60, 12)).expect("a terminal");
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.args([
                "--exact",
                "top::live::terminal::tests::a_thread_panics",
                "--ignored",
                "--nocapture",
            ]);
            command.env("RUST_BACKTRACE", "0").stdin(Stdio::null());
            if elsewhere {
                command.env("SOCKDIAG_PANICS_ELSEWHERE", "1");
            }
            let mut child = terminal.spawn(&mut command).expect("it starts");
            terminal.until(|screen| screen.has(1049) && screen.has(1000)).expect("it takes it");
            let status = child.wait().expect("it ends");
            assert_eq!(status.signal(), Some(6), "{status}");
            terminal.shows("this is what it said").expect("it says why");
            assert_eq!(terminal.faults(), Vec::<String>::new());
            let text = terminal.screen().text();
            assert!(!text.contains("aaa") && !text.contains("hhh"), "it draws afterwards:\n{text}");
        }
    }
}
