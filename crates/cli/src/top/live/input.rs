//! Keys and signals, each from a thread that waits for them.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use crossterm::event::{
    self, Event as Typed, KeyCode, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
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
                    // The thread of the screen waits for a terminal that takes nothing,
                    // and so may whoever gives it back.
                    thread::spawn(terminal::restore);
                    thread::sleep(PATIENCE);
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                });
            }
        }
    });
    Ok(())
}

/// Sends keys until there are no more.
fn read(events: &Sender<Event>) -> io::Result<()> {
    let mut answer = Answer::default();
    loop {
        let stdin = rustix::stdio::stdin();
        let mut ready = [PollFd::from_borrowed_fd(stdin, PollFlags::IN)];
        match poll(&mut ready, answer.patience().as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [keys] = ready.map(|one| one.revents());
        if keys.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Ok(());
        }
        let mut is_empty = true;
        let send = |event| events.send(event).is_ok();
        // Without any time it would not even look.
        while !keys.is_empty() && event::poll(Duration::from_millis(1))? {
            is_empty = false;
            let typed = event::read()?;
            let Some(key) = key(&typed) else { continue };
            // No key has a meaning with Alt: it is Escape and the key, typed fast.
            let is_alt = matches!(&typed, Typed::Key(key) if key.modifiers.contains(KeyModifiers::ALT));
            if !answer.take(key, is_alt).into_iter().all(send) {
                return Ok(());
            }
        }
        if keys.is_empty() && !answer.give_up().into_iter().all(send) {
            return Ok(());
        }
        if is_empty && !keys.is_empty() {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What a terminal answers to the question for its background, which comes as keys:
/// `Alt-] 11;rgb:RRRR/GGGG/BBBB` and Alt-\ or Ctrl-G.  It may come late, when nobody
/// waits for it any more, and must press no key even then.
#[derive(Default)]
struct Answer(Vec<(Key, bool)>);

impl Answer {
    /// How long its next letter is waited for, once it has begun.
    fn patience(&self) -> Option<Timespec> {
        const SOON: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
        (!self.0.is_empty()).then_some(SOON)
    }

    /// Takes a key; what it comes to.
    fn take(&mut self, key: Key, is_alt: bool) -> Vec<Event> {
        let begins = self.0.is_empty() && is_alt && key == Key::Char(']');
        if !begins && self.0.is_empty() {
            return pressed([(key, is_alt)]);
        }
        self.0.push((key, is_alt));
        match (key, is_alt) {
            (Key::Control('g'), _) | (Key::Char('\\'), true) => {
                let told = self.0.iter().filter_map(|(key, is_alt)| match key {
                    Key::Char(letter) if !is_alt => Some(*letter),
                    _ => None,
                });
                let told: String = told.collect();
                self.0.clear();
                is_light(&told).map(Event::Background).into_iter().collect()
            }
            (Key::Char(letter), false)
                if (letter.is_ascii_hexdigit() || ";rgb:/".contains(letter)) && self.0.len() < 40 =>
            {
                Vec::new()
            }
            _ if begins => Vec::new(),
            // It was no answer.
            _ => self.give_up(),
        }
    }

    /// What began as an answer was keys.
    fn give_up(&mut self) -> Vec<Event> {
        pressed(std::mem::take(&mut self.0))
    }
}

/// Keys, each with Escape before it where it came with Alt.
fn pressed(keys: impl IntoIterator<Item = (Key, bool)>) -> Vec<Event> {
    let keys = keys.into_iter();
    let keys = keys.flat_map(|(key, is_alt)| is_alt.then_some(Key::Escape).into_iter().chain([key]));
    keys.map(Event::Key).collect()
}

/// Whether a colour, `11;rgb:RRRR/GGGG/BBBB`, is a light one; parts may have one to four
/// digits.
fn is_light(told: &str) -> Option<bool> {
    let colour = told.strip_prefix("11;rgb:")?;
    let part = |digits: &str| {
        let most = 16_u32.checked_pow(digits.len().try_into().ok()?)?.checked_sub(1)?;
        (1..=4).contains(&digits.len()).then_some(())?;
        u32::from_str_radix(digits, 16).ok()?.checked_mul(1000)?.checked_div(most)
    };
    let parts: Vec<u32> = colour.split('/').map(part).collect::<Option<_>>()?;
    let [red, green, blue] = parts[..] else { return None };
    // How bright each looks (ITU-R BT.601).
    Some(red * 299 + green * 587 + blue * 114 > 500_000)
}

/// The key of an event; `None` for what is no key that we know.
fn key(typed: &Typed) -> Option<Key> {
    let pressed = match typed {
        Typed::Key(pressed) => pressed,
        Typed::Mouse(mouse) => {
            return match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Some(Key::Click(mouse.column, mouse.row)),
                MouseEventKind::ScrollUp => Some(Key::WheelUp),
                MouseEventKind::ScrollDown => Some(Key::WheelDown),
                _ => None,
            };
        }
        _ => return None,
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys as letters, `^` for Escape; backgrounds as `L` and `D`.
    fn shown(events: &[Event]) -> String {
        let one = |event: &Event| match event {
            Event::Key(Key::Char(letter)) => *letter,
            Event::Key(Key::Escape) => '^',
            Event::Background(true) => 'L',
            Event::Background(false) => 'D',
            _ => '?',
        };
        events.iter().map(one).collect()
    }

    #[test]
    fn an_answer_of_the_terminal_presses_no_key() {
        let typed = |text: &str| {
            let (mut answer, mut events) = (Answer::default(), Vec::new());
            let mut is_alt = false;
            for letter in text.chars() {
                match letter {
                    '\x1b' => is_alt = true,
                    '\x07' => events.extend(answer.take(Key::Control('g'), false)),
                    letter => events.extend(answer.take(Key::Char(letter), std::mem::take(&mut is_alt))),
                }
            }
            events.extend(answer.give_up());
            shown(&events)
        };
        assert_eq!(typed("g\x1b]11;rgb:ffff/ffff/dddd\x1b\\k"), "gLk");
        assert_eq!(typed("\x1b]11;rgb:1e/1e/1e\x07"), "D");
        assert_eq!(typed("\x1b]11;rgb:f/f/f\x07"), "L");
        assert_eq!(typed("\x1b]11;rgb:fffff/0/0\x07"), "", "no colour, but no keys either");
        assert_eq!(typed("\x1b]k"), "^]k", "a key with Alt, and another one");
        assert_eq!(typed("\x1b]"), "^]");
        assert_eq!(typed("\x1bg"), "^g");
    }
}
