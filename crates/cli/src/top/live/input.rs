//! Keys and signals, each from a thread that waits for them.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event as Read, KeyCode, KeyEventKind, KeyModifiers};
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;
use sockdiag_screen::Key;

use super::{Event, terminal};

/// How long a terminal that takes nothing may delay the end.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a keyboard may be ready without a key, before it counts as gone.
const MOST_EMPTY: u32 = 50;

/// Starts both.
pub(super) fn start(events: &Sender<Event>) {
    let keys = events.clone();
    thread::spawn(move || {
        let _ = read(&keys);
        // A terminal that cannot be read any more will not come back.
        let _ = keys.send(Event::Hangup);
    });
    let ours = events.clone();
    thread::spawn(move || {
        let known = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH];
        let Ok(mut signals) = Signals::new(known) else { return };
        for signal in &mut signals {
            if ours.send(Event::Signal(signal)).is_err() {
                return;
            }
            if !matches!(signal, SIGTSTP | SIGCONT | SIGWINCH) {
                thread::spawn(move || {
                    thread::sleep(PATIENCE);
                    // The other thread waits for a terminal that takes nothing.
                    terminal::restore();
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                });
            }
        }
    });
}

/// Sends keys until there are no more.
fn read(events: &Sender<Event>) -> io::Result<()> {
    let mut empty = 0;
    loop {
        let stdin = rustix::stdio::stdin();
        let mut ready = [PollFd::from_borrowed_fd(stdin, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [ready] = ready;
        if ready.revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Ok(());
        }
        empty += 1;
        while event::poll(Duration::ZERO)? {
            empty = 0;
            let Some(key) = key(&event::read()?) else { continue };
            if events.send(Event::Key(key)).is_err() {
                return Ok(());
            }
        }
        if empty > MOST_EMPTY {
            return Ok(());
        }
        if empty > 1 {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The key of an event; `None` for what is no key that we know.
fn key(read: &Read) -> Option<Key> {
    let Read::Key(pressed) = read else { return None };
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    Some(match pressed.code {
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab => Key::Tab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Char(letter) if pressed.modifiers.contains(KeyModifiers::CONTROL) => Key::Control(letter),
        KeyCode::Char(letter) => Key::Char(letter),
        _ => return None,
    })
}
