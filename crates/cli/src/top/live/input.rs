//! Keys and signals, each from a thread that waits for them.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;

use super::typed::{Keyboard, Typed};
use super::{Event, terminal};

/// How long a terminal that accepts no output may delay the exit.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait for the rest of an escape sequence.
const SOON: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Starts both threads.
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
                    // The screen thread may be blocked on a terminal that accepts no
                    // output, and restoring the terminal may block too.
                    thread::spawn(terminal::restore);
                    thread::sleep(PATIENCE);
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                });
            }
        }
    });
    Ok(())
}

/// Sends keys until the input ends.
fn read(events: &Sender<Event>) -> io::Result<()> {
    let mut keyboard = Keyboard::default();
    let mut room = [0; 1024];
    loop {
        let mut ready = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        match poll(&mut ready, keyboard.is_waiting().then_some(&SOON)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [keys] = ready.map(|one| one.revents());
        let typed = if keys.is_empty() {
            keyboard.give_up()
        } else {
            match rustix::io::read(stdin(), &mut room) {
                Ok(0) => return Ok(()),
                Ok(count) => keyboard.take(room.get(..count).unwrap_or_default()),
                // While we are stopped, another program may be using the terminal.
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        for typed in typed {
            let event = match typed {
                Typed::Key(key) => Some(Event::Key(key)),
                Typed::Answer(told) => is_light(&told).map(Event::Background),
            };
            if event.is_some_and(|event| events.send(event).is_err()) {
                return Ok(());
            }
        }
    }
}

/// Whether a colour, `11;rgb:RRRR/GGGG/BBBB`, is a light one; components may have one to four
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
    // Weights of perceived brightness (ITU-R BT.601).
    Some(red * 299 + green * 587 + blue * 114 > 500_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_is_what_looks_so() {
        for (told, want) in [
            ("11;rgb:ffff/ffff/dddd", Some(true)),
            ("11;rgb:1e/1e/1e", Some(false)),
            ("11;rgb:f/f/f", Some(true)),
            ("11;rgb:0000/2b2b/3636", Some(false)),
            ("11;rgb:fffff/0/0", None),
            ("11;rgb:ff/ff", None),
            ("11;rgb:-1/0/0", None),
            ("10;rgb:ff/ff/ff", None),
            ("", None),
        ] {
            assert_eq!(is_light(told), want, "{told}");
        }
    }
}
