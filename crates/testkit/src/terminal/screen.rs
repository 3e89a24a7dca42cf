//! Reconstructs a terminal's screen from the bytes written to it.

use std::collections::{BTreeSet, VecDeque};

/// Modes that are on when no program runs.
const RESTING: [u16; 2] = [25, 7];
/// Modes that are known: cursor keys, wrapping, cursor, focus, mouse, alternate screen, pasting.
const KNOWN: [u16; 14] = [1, 7, 25, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1049, 2004, 2026, 12];
/// The largest number of unknown sequences that are kept.
const MOST_KEPT: usize = 20;
/// The number of last bytes kept, to find out what went wrong.
const LAST: usize = 1000;

/// Characters by line and column.
type Cells = Vec<Vec<char>>;

/// Lines of characters, the cursor, and modes.
#[derive(Clone, Debug)]
pub struct Screen {
    size: (usize, usize),
    cells: Cells,
    at: (usize, usize),
    /// Content and cursor of the screen that is not shown.
    other: Option<(Cells, (usize, usize))>,
    modes: BTreeSet<u16>,
    is_plain: bool,
    styles: BTreeSet<String>,
    unknown: Vec<String>,
    /// The bytes of an incomplete sequence.
    rest: Vec<u8>,
    /// The last bytes.
    last: VecDeque<u8>,
    /// The background colour to report when a program asks (OSC 11).
    background: Option<String>,
}

impl Screen {
    pub(super) fn new(size: (u16, u16)) -> Self {
        let mut screen = Self {
            size: (0, 0),
            cells: Vec::new(),
            at: (0, 0),
            other: None,
            modes: RESTING.into_iter().collect(),
            is_plain: true,
            styles: BTreeSet::new(),
            unknown: Vec::new(),
            rest: Vec::new(),
            last: VecDeque::new(),
            background: None,
        };
        screen.resize(size);
        screen
    }

    pub(super) fn resize(&mut self, (columns, lines): (u16, u16)) {
        self.size = (usize::from(columns), usize::from(lines));
        let fit = |cells: &mut Cells| {
            cells.resize(usize::from(lines), Vec::new());
            for line in cells {
                line.resize(usize::from(columns), ' ');
            }
        };
        fit(&mut self.cells);
        if let Some((cells, _)) = &mut self.other {
            fit(cells);
        }
    }

    /// The characters, one line each, without trailing blanks.
    pub fn text(&self) -> String {
        let line = |line: &Vec<char>| format!("{}\n", line.iter().collect::<String>().trim_end());
        self.cells.iter().map(line).collect()
    }

    /// The last bytes that were written.
    pub fn last(&self) -> Vec<u8> {
        self.last.iter().copied().collect()
    }

    /// Whether a mode (`CSI ? N h`) is on.
    pub fn has(&self, mode: u16) -> bool {
        self.modes.contains(&mode)
    }

    /// Parameters of all colours and attributes set so far (`CSI N m`).
    pub fn styles(&self) -> impl Iterator<Item = &str> {
        self.styles.iter().map(String::as_str)
    }

    /// From now on, reports this background to a program that asks: `rgb:ffff/ffff/ffff`.
    pub fn answers_background(&mut self, colour: &str) {
        self.background = Some(colour.to_owned());
    }

    /// Differences from a terminal on which no program runs.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let resting: BTreeSet<u16> = RESTING.into_iter().collect();
        faults.extend(self.modes.difference(&resting).map(|mode| format!("mode {mode} is on")));
        faults.extend(resting.difference(&self.modes).map(|mode| format!("mode {mode} is off")));
        if !self.is_plain {
            faults.push("letters have colours or attributes".to_owned());
        }
        if !self.rest.is_empty() {
            faults.push(format!("a sequence is not complete: {:?}", String::from_utf8_lossy(&self.rest)));
        }
        faults.extend(self.unknown.iter().map(|sequence| format!("nobody knows {sequence:?}")));
        faults
    }

    /// Interprets output; returns the terminal's reply.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.last.extend(bytes);
        self.last.drain(..self.last.len().saturating_sub(LAST));
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let mut answer = Vec::new();
        let mut rest = all.as_slice();
        while let Some(first) = rest.first() {
            let length = match first {
                0x1b => sequence(rest),
                0..0x80 => Some(1),
                _ => letter(rest),
            };
            let Some(length) = length else { break };
            let (piece, after) = rest.split_at(length.min(rest.len()));
            self.piece(piece, &mut answer);
            rest = after;
        }
        self.rest = rest.to_vec();
        answer
    }

    fn piece(&mut self, piece: &[u8], answer: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(piece).into_owned();
        match piece {
            [0x1b, b'[', body @ .., end] => self.control(&text, body, *end),
            [0x1b, b']', ..] => {
                let body = text.trim_start_matches("\x1b]").trim_end_matches(['\x07', '\\', '\x1b']);
                if body == "11;?" {
                    if let Some(colour) = &self.background {
                        answer.extend(format!("\x1b]11;{colour}\x1b\\").into_bytes());
                    }
                // OSC 52 sets the clipboard: known, but it does not change the screen.
                } else if !body.starts_with("52;c;") {
                    self.odd(text);
                }
            }
            b"\x1b7" | b"\x1b8" => {}
            [0x1b, ..] => self.odd(text),
            b"\r" => self.at.0 = 0,
            b"\n" => {
                if self.at.1 + 1 < self.size.1 {
                    self.at.1 += 1;
                } else if !self.cells.is_empty() {
                    self.cells.remove(0);
                    self.cells.push(vec![' '; self.size.0]);
                }
            }
            b"\x08" => self.at.0 = self.at.0.saturating_sub(1),
            b"\x07" => {}
            [0..0x20 | 0x7f] => self.odd(text),
            _ => self.put(text.chars().next().unwrap_or('\u{fffd}')),
        }
    }

    fn put(&mut self, letter: char) {
        let (x, y) = self.at;
        if let Some(cell) = self.cells.get_mut(y).and_then(|line| line.get_mut(x)) {
            *cell = letter;
        }
        self.at.0 += 1;
    }

    fn odd(&mut self, sequence: String) {
        if self.unknown.len() < MOST_KEPT {
            self.unknown.push(sequence);
        }
    }

    fn control(&mut self, whole: &str, body: &[u8], end: u8) {
        let body = String::from_utf8_lossy(body).into_owned();
        let numbers: Vec<Option<usize>> = body.split(';').map(|number| number.parse().ok()).collect();
        let number = |at: usize, or: usize| numbers.get(at).copied().flatten().unwrap_or(or);
        let (lines, columns) = (self.size.1.saturating_sub(1), self.size.0.saturating_sub(1));
        match end {
            b'm' => {
                if self.styles.len() < 1000 {
                    self.styles.insert(body.clone());
                }
                self.is_plain = body.split(';').all(|part| matches!(part, "" | "0" | "39" | "49" | "59"))
                    && (body.is_empty() || body.starts_with('0') || self.is_plain);
            }
            b'H' => self.at = ((number(1, 1).max(1) - 1).min(columns), (number(0, 1).max(1) - 1).min(lines)),
            b'J' => match number(0, 0) {
                2 | 3 => self.cells.iter_mut().for_each(|line| line.fill(' ')),
                _ => {
                    let (x, y) = self.at;
                    self.cells.iter_mut().skip(y).enumerate().for_each(|(at, line)| {
                        line.iter_mut().skip(if at == 0 { x } else { 0 }).for_each(|cell| *cell = ' ');
                    });
                }
            },
            b'K' => {
                let (x, y) = self.at;
                if let Some(line) = self.cells.get_mut(y) {
                    line.iter_mut().skip(x).for_each(|cell| *cell = ' ');
                }
            }
            b'C' => self.at.0 = (self.at.0 + number(0, 1)).min(columns),
            b'h' | b'l' => match body.strip_prefix('?').map(|modes| modes.split(';')) {
                Some(modes) => {
                    for mode in modes {
                        match mode.parse().ok().filter(|mode| KNOWN.contains(mode)) {
                            Some(mode) => self.mode(mode, end == b'h'),
                            None => self.odd(whole.to_owned()),
                        }
                    }
                }
                None => self.odd(whole.to_owned()),
            },
            _ => self.odd(whole.to_owned()),
        }
    }

    fn mode(&mut self, mode: u16, is_on: bool) {
        let changed = if is_on { self.modes.insert(mode) } else { self.modes.remove(&mode) };
        if mode != 1049 || !changed {
            return;
        }
        if is_on {
            let blank = vec![vec![' '; self.size.0]; self.size.1];
            self.other = Some((std::mem::replace(&mut self.cells, blank), self.at));
        } else if let Some((cells, at)) = self.other.take() {
            (self.cells, self.at) = (cells, at);
        }
    }
}

/// Length of the escape sequence at the start; `None` if it is incomplete.
fn sequence(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'[' => bytes.iter().skip(2).position(|byte| (0x40..0x7f).contains(byte)).map(|at| at + 3),
        b']' => {
            let bell = bytes.iter().position(|byte| *byte == 7).map(|at| at + 1);
            let string = bytes.windows(2).position(|pair| pair == b"\x1b\\").map(|at| at + 2);
            bell.into_iter().chain(string).min()
        }
        _ => Some(2),
    }
}

/// Length of the UTF-8 character at the start; `None` if it is incomplete.
fn letter(bytes: &[u8]) -> Option<usize> {
    let length = match bytes.first()? {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
        _ => 1,
    };
    (bytes.len() >= length).then_some(length)
}
