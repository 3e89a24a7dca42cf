//! A pseudo-terminal for tests: a program draws on one end, and the test reads the other.
//!
//! [`Screen`] interprets the output.  It knows the escape sequences that a full-screen program
//! needs and records every other one, so that a test can assert that there was none.
//! [`Terminal::faults`] checks that the program restored the terminal.
//!
//! Source: pty(7), tty_ioctl(4), termios(3), console_codes(4).

mod screen;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::{Doing as _, Why, sys};
pub use screen::Screen;

/// A pseudo-terminal.
#[derive(Debug)]
pub struct Terminal {
    ours: File,
    theirs: OwnedFd,
    screen: Arc<Mutex<Screen>>,
    /// Whether output is read at present.
    reads: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    settings: Termios,
}

impl Terminal {
    /// A terminal of this many columns and lines.
    pub fn new(size: (u16, u16)) -> Result<Self, Why> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).doing("making a terminal")?;
        grantpt(&ours).doing("making a terminal")?;
        unlockpt(&ours).doing("making a terminal")?;
        let theirs = ioctl_tiocgptpeer(&ours, flags).doing("opening a terminal")?;
        let settings = || tcgetattr(&theirs).doing("reading a terminal's settings");
        // A new terminal reports its input speed as that of output; setting the settings once
        // makes it explicit, so that later settings compare equal.
        tcsetattr(&theirs, OptionalActions::Now, &settings()?).doing("making a terminal's settings")?;
        let settings = settings()?;
        let terminal = Self {
            ours: File::from(ours),
            theirs,
            screen: Arc::new(Mutex::new(Screen::new(size))),
            reads: Arc::new(AtomicBool::new(true)),
            ends: Arc::default(),
            settings,
        };
        terminal.resize(size)?;
        terminal.take()?;
        Ok(terminal)
    }

    /// Reads the output, on a thread that ends with the terminal.
    fn take(&self) -> Result<(), Why> {
        let mut file = self.ours.try_clone().doing("sharing a terminal")?;
        let (screen, reads, ends) =
            (Arc::clone(&self.screen), Arc::clone(&self.reads), Arc::clone(&self.ends));
        std::thread::spawn(move || {
            let mut room = [0; 1 << 12];
            while !ends.load(Ordering::SeqCst) {
                if !reads.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                let soon = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                let mut ready = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)];
                if !matches!(poll(&mut ready, Some(&soon)), Ok(1)) {
                    continue;
                }
                let Ok(count) = file.read(&mut room) else { return };
                // A terminal's reply must be sent before the next piece of output is read.
                let answer = lock(&screen).take(room.get(..count).unwrap_or_default());
                if !answer.is_empty() && file.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// Starts a command as the leader of a session on this terminal.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, Why> {
        let end = || self.theirs.try_clone().doing("sharing a terminal");
        command.stdin(end()?).stdout(end()?).stderr(end()?);
        sys::lead_session_before_exec(command);
        command.spawn().doing("starting a program on a terminal")
    }

    /// Presses keys: writes bytes as a terminal sends them.
    pub fn press(&self, keys: &[u8]) -> Result<(), Why> {
        let mut rest = keys;
        while !rest.is_empty() {
            let count = rustix::io::write(&self.ours, rest).doing("pressing keys")?;
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Resizes the terminal, which signals the program.
    pub fn resize(&self, (columns, lines): (u16, u16)) -> Result<(), Why> {
        lock(&self.screen).resize((columns, lines));
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.ours, size).doing("resizing a terminal")
    }

    /// Switches reading of the output on or off.
    pub fn reads(&self, reads: bool) {
        self.reads.store(reads, Ordering::SeqCst);
    }

    /// The current screen.
    pub fn screen(&self) -> MutexGuard<'_, Screen> {
        lock(&self.screen)
    }

    /// Waits until the screen contains a text; the error is the screen's text.
    pub fn shows(&self, text: &str) -> Result<(), String> {
        self.until(|screen| screen.text().contains(text))
    }

    /// Waits until a condition holds for the screen; the error is the screen's text.
    pub fn until(&self, mut is_so: impl FnMut(&Screen) -> bool) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(screen.text());
            }
            drop(screen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Differences from the state before anything ran: modes, settings, and unknown escape
    /// sequences.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.screen().faults();
        match self.is_as_before() {
            Ok(true) => {}
            Ok(false) => faults.push(format!(
                "the settings are {:?}, and were {:?}",
                tcgetattr(&self.theirs),
                self.settings
            )),
            Err(error) => faults.push(format!("the settings cannot be read: {error}")),
        }
        faults
    }

    /// Whether the settings (stty) are the initial ones.
    pub fn is_as_before(&self) -> io::Result<bool> {
        let now = tcgetattr(&self.theirs)?;
        Ok(format!("{now:?}") == format!("{:?}", self.settings))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
    }
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_behind_is_a_fault() {
        let run = |words: &str| {
            let terminal = Terminal::new((20, 4)).unwrap();
            let mut command = Command::new("sh");
            command.args(["-c", words]);
            terminal.spawn(&mut command).unwrap().wait().unwrap();
            terminal.until(|screen| screen.text().contains("end")).unwrap();
            (terminal.faults(), terminal.screen().text())
        };
        assert_eq!(run("printf 'a\\nend'"), (Vec::new(), "a\nend\n\n\n".to_owned()));
        let (faults, _) = run("stty -echo; printf '\\033[?25l\\033[31m\\033[?1000h\\033[5zend'");
        assert_eq!(faults.len(), 5, "{faults:?}");
        let (faults, text) = run("printf 'a\\033[?1049h\\033[2;3Hend'; sleep 0.2");
        assert_eq!((faults.len(), text.as_str()), (1, "\n  end\n\n\n"));
        // The program leads a session on this terminal.
        assert_eq!(run("exec 3<>/dev/tty && echo end").0, Vec::<String>::new());
    }
}
