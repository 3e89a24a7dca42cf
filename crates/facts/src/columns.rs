//! The number of terminal columns that a text occupies.
//!
//! East Asian characters and pictographs occupy two columns, combining marks none.
//!
//! Source: Unicode 16, `EastAsianWidth.txt` (W and F) and the blocks of combining marks.  The
//! ranges also include some unassigned code points.

/// Characters that occupy two columns: the first and last code point of each range.
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x2329, 0x232a),
    (0x23e9, 0x23ec),
    (0x23f0, 0x23f0),
    (0x23f3, 0x23f3),
    (0x25fd, 0x25fe),
    (0x2614, 0x2615),
    (0x2648, 0x2653),
    (0x267f, 0x267f),
    (0x2693, 0x2693),
    (0x26a1, 0x26a1),
    (0x26aa, 0x26ab),
    (0x26bd, 0x26be),
    (0x26c4, 0x26c5),
    (0x26ce, 0x26ce),
    (0x26d4, 0x26d4),
    (0x26ea, 0x26ea),
    (0x26f2, 0x26f3),
    (0x26f5, 0x26f5),
    (0x26fa, 0x26fa),
    (0x26fd, 0x26fd),
    (0x2705, 0x2705),
    (0x270a, 0x270b),
    (0x2728, 0x2728),
    (0x274c, 0x274c),
    (0x274e, 0x274e),
    (0x2753, 0x2755),
    (0x2757, 0x2757),
    (0x2795, 0x2797),
    (0x27b0, 0x27b0),
    (0x27bf, 0x27bf),
    (0x2b1b, 0x2b1c),
    (0x2b50, 0x2b50),
    (0x2b55, 0x2b55),
    (0x2e80, 0x303e),
    (0x3041, 0x4dbf),
    (0x4e00, 0xa4cf),
    (0xa960, 0xa97f),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe10, 0xfe19),
    (0xfe30, 0xfe6f),
    (0xff01, 0xff60),
    (0xffe0, 0xffe6),
    (0x1_6fe0, 0x1_b2ff),
    (0x1_f004, 0x1_f004),
    (0x1_f0cf, 0x1_f0cf),
    (0x1_f18e, 0x1_f18e),
    (0x1_f191, 0x1_f19a),
    (0x1_f200, 0x1_f320),
    (0x1_f32d, 0x1_f64f),
    (0x1_f680, 0x1_f6ff),
    (0x1_f7e0, 0x1_f7eb),
    (0x1_f900, 0x1_f9ff),
    (0x1_fa70, 0x1_faff),
    (0x2_0000, 0x3_fffd),
];

/// Combining marks, which occupy no column.
const MARKS: &[(u32, u32)] = &[
    (0x0300, 0x036f),
    (0x0483, 0x0489),
    (0x0591, 0x05bd),
    (0x0610, 0x061a),
    (0x064b, 0x065f),
    (0x093c, 0x093c),
    (0x0e34, 0x0e3a),
    (0x0e47, 0x0e4e),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x200b, 0x200f),
    (0x20d0, 0x20ff),
    (0x302a, 0x302d),
    (0x3099, 0x309a),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
    (0xe_0100, 0xe_01ef),
];

fn is_in(ranges: &[(u32, u32)], letter: char) -> bool {
    let at = ranges.partition_point(|(_, last)| *last < u32::from(letter));
    ranges.get(at).is_some_and(|(first, _)| *first <= u32::from(letter))
}

/// The number of columns of a text without control characters.
pub(crate) fn width(text: &str) -> usize {
    text.chars()
        .map(|letter| match letter {
            _ if letter.is_ascii() => 1,
            _ if is_in(MARKS, letter) => 0,
            _ if is_in(WIDE, letter) => 2,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_take_the_columns_of_a_terminal() {
        for (text, columns) in [
            ("", 0),
            ("sport", 5),
            ("é", 1),
            ("e\u{301}", 1),
            ("日本", 4),
            ("한국", 4),
            ("ｗｉｄｅ", 8),
            ("ﾊﾝｶｸ", 4),
            ("😀!", 3),
            ("𠀀", 2),
            ("Ελλάδα", 6),
            ("→", 1),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn ranges_are_in_order() {
        for ranges in [WIDE, MARKS] {
            assert!(ranges.iter().all(|(first, last)| first <= last));
            assert!(ranges.is_sorted_by(|one, other| one.1 < other.0));
        }
    }
}
