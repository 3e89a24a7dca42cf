//! The sort key of a row, as bytes that compare in the order of the values.
//!
//! Invariant: the bytes of two keys of a field compare like [`Key::order`], or in reverse if
//! the largest come first; no key's bytes are a prefix of another's.  A row without a key
//! comes last in both directions.

use sockdiag::fields::Key;

/// The first byte of a missing key; greater than every other first byte, in both directions.
const NONE: u8 = 0xff;
/// The first byte of a zero; the first byte of other numbers is further from it the more bytes
/// they have.
const ZERO: u8 = 0x80;
const RATIO: u8 = 0xa0;
const ADDR: u8 = 0xb0;
const TEXT: u8 = 0xc0;

/// Appends a key.
pub(super) fn put(out: &mut Vec<u8>, key: Option<&Key>, is_down: bool) {
    let start = out.len();
    match key {
        None => return out.push(NONE),
        Some(Key::Number(number)) => put_number(out, *number),
        Some(Key::Ratio(ratio)) => {
            let bits = ratio.to_bits();
            let is_below_zero = bits >> 63 == 1;
            out.push(RATIO);
            out.extend_from_slice(&(if is_below_zero { !bits } else { bits | 1 << 63 }).to_be_bytes());
        }
        Some(Key::Addr(family, octets)) => {
            out.extend_from_slice(&[ADDR, *family]);
            out.extend_from_slice(octets);
        }
        Some(Key::Text(text)) => {
            out.push(TEXT);
            for byte in text {
                // Two zero bytes end the text, so a zero inside it is followed by a 1.
                out.push(*byte);
                out.extend((*byte == 0).then_some(1));
            }
            out.extend_from_slice(&[0, 0]);
        }
    }
    if is_down {
        out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
    }
}

/// The number of significant bytes, then the bytes; all inverted for a negative number.
fn put_number(out: &mut Vec<u8>, number: i128) {
    let flip = if number < 0 { 0xff } else { 0 };
    let bytes = if number < 0 { !number } else { number }.to_be_bytes();
    let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
    let length = u8::try_from(bytes.len() - skipped).unwrap_or(u8::MAX);
    out.push((ZERO + length) ^ flip);
    out.extend(bytes.iter().skip(skipped).map(|byte| byte ^ flip));
}

#[cfg(test)]
mod tests {

    use super::*;

    fn bytes(key: Option<&Key>, is_down: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, key, is_down);
        bytes
    }

    /// Keys by a xorshift generator.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, end: u64) -> u64 {
            self.next() % end
        }

        fn key(&mut self) -> Key {
            match self.below(5) {
                0 => {
                    Key::Number((i128::from(self.next()) << 64 | i128::from(self.next())) >> self.below(128))
                }
                1 => Key::Ratio(f64::from_bits(self.next())),
                2 => {
                    let octets = [self.next(), self.next()].map(u64::to_be_bytes);
                    Key::Addr(
                        [4, 6][usize::from(self.below(2) == 0)],
                        octets.concat().try_into().expect("16"),
                    )
                }
                // Use a small alphabet, so that some texts are prefixes of others.
                of => {
                    let letters = if of == 3 { 3 } else { 256 };
                    let text = (0..self.below(6)).map(|_| u8::try_from(self.below(letters)).expect("a byte"));
                    Key::Text(text.collect())
                }
            }
        }
    }

    #[test]
    fn bytes_are_in_the_order_of_keys() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..100_000 {
            let (a, b) = (random.key(), random.key());
            let order = a.order(&b);
            for is_down in [false, true] {
                let (one, other) = (bytes(Some(&a), is_down), bytes(Some(&b), is_down));
                let want = if is_down { order.reverse() } else { order };
                assert_eq!(one.cmp(&other), want, "{a:?} {b:?} {is_down}");
                assert!(one == other || !one.starts_with(&other), "{a:?} {b:?}");
                assert!(one < bytes(None, is_down), "{a:?}");
            }
        }
    }

    #[test]
    fn numbers_around_zero_and_the_largest_are_in_order() {
        let numbers = [i128::MIN, -65_537, -257, -256, -255, -1, 0, 1, 255, 256, 257, 65_536, i128::MAX];
        let bytes = numbers.map(|number| bytes(Some(&Key::Number(number)), false));
        assert!(bytes.is_sorted());
    }
}
