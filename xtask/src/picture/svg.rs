//! Converts coloured lines, as `tmux capture-pane -e` prints them, to SVG.
//!
//! The picture has its own background, so it is readable on a page of any colour.  Each run of
//! characters is as wide as its cells, whatever the font.

use std::fmt::Write as _;

/// The size of a cell, in thousandths of a pixel, so that sums are exact.
const CELL: (u32, u32) = (8_400, 18_000);
/// The margin around the lines.
const MARGIN: u32 = 14_000;
/// The height of the title bar above the lines.
const BAR: u32 = 30_000;
const BACK: Colour = (0x0d, 0x11, 0x17);
const FORE: Colour = (0xd6, 0xdd, 0xe4);

type Colour = (u8, u8, u8);

/// The picture's values for the sixteen colours of a terminal.
const NAMED: [Colour; 16] = [
    (0x48, 0x4f, 0x58),
    (0xff, 0x7b, 0x72),
    (0x3f, 0xd2, 0x5c),
    (0xe3, 0xb3, 0x41),
    (0x58, 0xa6, 0xff),
    (0xbc, 0x8c, 0xff),
    (0x56, 0xd4, 0xdd),
    (0xb1, 0xba, 0xc4),
    (0x6e, 0x76, 0x81),
    (0xff, 0xa1, 0x98),
    (0x7e, 0xe7, 0x87),
    (0xf2, 0xcc, 0x60),
    (0x79, 0xc0, 0xff),
    (0xd2, 0xa8, 0xff),
    (0x7f, 0xe4, 0xec),
    (0xff, 0xff, 0xff),
];

/// The style of characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Style {
    fore: Option<Colour>,
    back: Option<Colour>,
    bold: bool,
    dim: bool,
    underlined: bool,
    reversed: bool,
}

impl Style {
    /// The colours of the text and of its background.
    fn colours(self) -> (Colour, Option<Colour>) {
        let (fore, back) = (self.fore.unwrap_or(FORE), self.back);
        let (fore, back) = if self.reversed { (back.unwrap_or(BACK), Some(fore)) } else { (fore, back) };
        let half = |a: u8, b: u8| u8::midpoint(a, b);
        let behind = back.unwrap_or(BACK);
        let dimmed = (half(fore.0, behind.0), half(fore.1, behind.1), half(fore.2, behind.2));
        (if self.dim { dimmed } else { fore }, back)
    }

    /// Applies the parameters of an SGR sequence.
    fn set(&mut self, numbers: &[u16]) {
        let mut rest = numbers;
        while let Some((number, after)) = rest.split_first() {
            rest = after;
            match *number {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                4 => self.underlined = true,
                7 => self.reversed = true,
                22 => (self.bold, self.dim) = (false, false),
                24 => self.underlined = false,
                27 => self.reversed = false,
                30..=37 => self.fore = indexed(number - 30),
                39 => self.fore = None,
                40..=47 => self.back = indexed(number - 40),
                49 => self.back = None,
                90..=97 => self.fore = indexed(number - 90 + 8),
                100..=107 => self.back = indexed(number - 100 + 8),
                38 | 48 => {
                    let colour = match after {
                        [5, at, ..] => {
                            rest = after.get(2..).unwrap_or_default();
                            indexed(*at)
                        }
                        [2, r, g, b, ..] => {
                            rest = after.get(4..).unwrap_or_default();
                            let part = |number: u16| u8::try_from(number).unwrap_or(u8::MAX);
                            Some((part(*r), part(*g), part(*b)))
                        }
                        _ => return,
                    };
                    *(if *number == 38 { &mut self.fore } else { &mut self.back }) = colour;
                }
                _ => {}
            }
        }
    }
}

/// A colour of the 256-colour palette.
fn indexed(at: u16) -> Option<Colour> {
    if let Some(colour) = NAMED.get(usize::from(at)) {
        return Some(*colour);
    }
    let at = u8::try_from(at).ok()?;
    if let Some(grey) = at.checked_sub(232) {
        let grey = 8 + grey * 10;
        return Some((grey, grey, grey));
    }
    let level = |step: u8| if step == 0 { 0 } else { 55 + step * 40 };
    let at = at.checked_sub(16)?;
    Some((level(at / 36), level(at / 6 % 6), level(at % 6)))
}

/// Characters of one style, starting at a cell.
struct Run {
    from: u32,
    cells: u32,
    text: String,
    style: Style,
}

/// The width of a character in cells; tmux uses two for wide ones.
fn cells(letter: char) -> u32 {
    match u32::from(letter) {
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xff00..=0xff60 => 2,
        _ => 1,
    }
}

/// Splits a line into runs.
fn runs(line: &str, style: &mut Style) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\x1b' {
            let mut sequence = String::new();
            let end = letters.find(|letter| {
                sequence.push(*letter);
                letter.is_ascii_alphabetic()
            });
            if end == Some('m') {
                let numbers = sequence.trim_start_matches('[').trim_end_matches('m');
                let numbers: Vec<u16> =
                    numbers.split([';', ':']).map(|number| number.parse().unwrap_or(0)).collect();
                style.set(&numbers);
            }
            continue;
        }
        if letter.is_control() {
            continue;
        }
        let wide = cells(letter);
        match runs.last_mut() {
            Some(run) if run.style == *style => {
                run.text.push(letter);
                run.cells += wide;
            }
            _ => runs.push(Run { from: at, cells: wide, text: letter.to_string(), style: *style }),
        }
        at += wide;
    }
    runs
}

/// Splits a text where two or more blanks are; each part has its offset in cells.
fn pieces(text: &str) -> Vec<(u32, &str)> {
    let mut pieces = Vec::new();
    let (mut at, mut rest) = (0, text);
    while !rest.is_empty() {
        let blanks = rest.len() - rest.trim_start_matches(' ').len();
        at += u32::try_from(blanks).unwrap_or(0);
        rest = rest.get(blanks..).unwrap_or_default();
        let piece = rest.split("  ").next().unwrap_or_default();
        let known = piece.trim_end_matches(' ');
        if !known.is_empty() {
            pieces.push((at, known));
        }
        at += piece.chars().map(cells).sum::<u32>();
        rest = rest.get(piece.len()..).unwrap_or_default();
    }
    pieces
}

/// The picture of a screen with this many columns and lines.
pub(super) fn of(screen: &str, size: (u16, u16), title: &str) -> String {
    let (columns, lines) = (u32::from(size.0), u32::from(size.1));
    let width = columns * CELL.0 + 2 * MARGIN;
    let height = lines * CELL.1 + BAR + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\">\n\
         <title>{title}</title>\n\
         <style>text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;\
         white-space:pre}}.b{{font-weight:bold}}.u{{text-decoration:underline}}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{back}\" stroke=\"#57606a\"/>\n",
        w = pixels(width),
        h = pixels(height),
        title = escaped(title),
        back = hex(BACK),
    );
    for (at, colour) in ["#ff5f57", "#febc2e", "#28c840"].into_iter().enumerate() {
        _ = writeln!(out, "<circle cx=\"{}\" cy=\"15\" r=\"5\" fill=\"{colour}\"/>", 20 + at * 18);
    }
    let mut style = Style::default();
    for (number, line) in (0_u32..).zip(screen.lines().take(size.1.into())) {
        let top = BAR + number * CELL.1;
        for run in runs(line, &mut style) {
            let (fore, back) = run.style.colours();
            let (x, wide) = (MARGIN + run.from * CELL.0, run.cells * CELL.0);
            if let Some(back) = back {
                _ = writeln!(
                    out,
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
                    pixels(x),
                    pixels(top),
                    pixels(wide),
                    pixels(CELL.1),
                    hex(back)
                );
            }
            let class = match (run.style.bold, run.style.underlined) {
                (true, true) => " class=\"b u\"",
                (true, false) => " class=\"b\"",
                (false, true) => " class=\"u\"",
                (false, false) => "",
            };
            // Each part is placed at its own cell, so that columns align in any font.
            for (at, piece) in pieces(&run.text) {
                let (x, wide) = (x + at * CELL.0, piece.chars().map(cells).sum::<u32>() * CELL.0);
                _ = writeln!(
                    out,
                    "<text x=\"{}\" y=\"{}\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{class} \
                 xml:space=\"preserve\">{}</text>",
                    pixels(x),
                    pixels(top + CELL.1 * 3 / 4),
                    pixels(wide),
                    hex(fore),
                    escaped(piece)
                );
            }
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Formats thousandths of a pixel as pixels.
fn pixels(number: u32) -> String {
    let text = format!("{}.{:03}", number / 1000, number % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn hex((r, g, b): Colour) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Escapes text for XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_sequences() {
        let mut style = Style::default();
        let got = runs("a\x1b[1;31mb\x1b[7mc\x1b[0m日d\x1b[38;5;245me\x1b[48;2;1;2;3mf", &mut style);
        let seen: Vec<_> =
            got.iter().map(|run| (run.from, run.cells, run.text.as_str(), run.style.colours())).collect();
        let red = NAMED[1];
        let grey = (0x8a, 0x8a, 0x8a);
        assert_eq!(
            seen,
            [
                (0, 1, "a", (FORE, None)),
                (1, 1, "b", (red, None)),
                (2, 1, "c", (BACK, Some(red))),
                (3, 3, "日d", (FORE, None)),
                (6, 1, "e", (grey, None)),
                (7, 1, "f", (grey, Some((1, 2, 3)))),
            ]
        );
        assert_eq!(pieces("  a b   日  c "), [(2, "a b"), (8, "日"), (12, "c")]);
        assert_eq!(indexed(16), Some((0, 0, 0)));
        assert_eq!(indexed(231), Some((255, 255, 255)));
        assert_eq!(indexed(300), None);
        assert_eq!(pixels(8_400), "8.4");
        assert_eq!(pixels(18_000), "18");
    }
}
