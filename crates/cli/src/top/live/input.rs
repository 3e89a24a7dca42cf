//! Keys and signals, each from a thread that waits for them.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event as Typed, KeyCode, KeyEventKind, KeyModifiers};
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;
use sockdiag_screen::Key;

use super::{Event, terminal};

/// How long a terminal that takes nothing may delay the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts both.
pub(super) fn start(events: &Sender<Event>) -> io::Result<()> {
    let keys = events.clone();
    thread::spawn(move || {
        let _ = read(&keys);
        // A terminal that cannot be read any more will not come back.
        let _ = keys.send(Event::Hangup);
    });
    let ours = events.clone();
    let known = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH];
    let mut signals = Signals::new(known)?;
    thread::spawn(move || {
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
    Ok(())
}

/// Sends keys until there are no more.
fn read(events: &Sender<Event>) -> io::Result<()> {
    loop {
        let stdin = rustix::stdio::stdin();
        let mut ready = [PollFd::from_borrowed_fd(stdin, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [keys] = ready.map(|one| one.revents());
        if keys.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Ok(());
        }
        let mut is_empty = true;
        // Without any time it would not even look.
        while event::poll(Duration::from_millis(1))? {
            is_empty = false;
            let typed = event::read()?;
            let Some(key) = key(&typed) else { continue };
            // No key has a meaning with Alt: it is Escape and the key, typed fast.
            let is_two = matches!(&typed, Typed::Key(key) if key.modifiers.contains(KeyModifiers::ALT));
            for key in is_two.then_some(Key::Escape).into_iter().chain([key]) {
                if events.send(Event::Key(key)).is_err() {
                    return Ok(());
                }
            }
        }
        if is_empty {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The key of an event; `None` for what is no key that we know.
fn key(typed: &Typed) -> Option<Key> {
    let Typed::Key(pressed) = typed else { return None };
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
