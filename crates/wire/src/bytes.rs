//! Reads numbers from bytes that may end too early, and rounds lengths for netlink.
//!
//! Each reader returns `Some` exactly if all bytes of the number are present; any offset is
//! allowed.

/// Reads a byte, or `None` if the bytes end before it.
#[inline]
pub fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

/// Reads `N` bytes, or `None` if the bytes end before they do.
#[inline]
pub fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    let (_, tail) = bytes.split_at_checked(offset)?;
    tail.first_chunk().copied()
}

/// Reads a `u16` in host order.
#[inline]
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_ne_bytes)
}

/// Reads a `u16` in network order.
#[inline]
pub fn be16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_be_bytes)
}

/// Reads a `u32` in host order.
#[inline]
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_ne_bytes)
}

/// Reads an `i32` in host order.
#[inline]
pub fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    array_at(bytes, offset).map(i32::from_ne_bytes)
}

/// Reads a socket's cookie: two words in host order, the low one first.
#[inline]
pub fn cookie_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let words: [u8; 8] = array_at(bytes, offset)?;
    let (low, high) = (u32_at(&words, 0)?, u32_at(&words, 4)?);
    Some(u64::from(high) << 32 | u64::from(low))
}

/// Reads a `u64` in host order.
#[inline]
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_ne_bytes)
}

/// Length rounded up to the next multiple of four.
#[inline]
pub const fn align4(len: usize) -> usize {
    len.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_or_absent() {
        let bytes: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        for at in (0..20).chain([usize::MAX - 3, usize::MAX]) {
            let fits = |len: usize| at.checked_add(len).is_some_and(|end| end <= bytes.len());
            assert_eq!(u8_at(&bytes, at).is_some(), fits(1), "at {at}");
            assert_eq!(u16_at(&bytes, at).is_some(), fits(2), "at {at}");
            assert_eq!(be16_at(&bytes, at).is_some(), fits(2), "at {at}");
            assert_eq!(u32_at(&bytes, at).is_some(), fits(4), "at {at}");
            assert_eq!(i32_at(&bytes, at).is_some(), fits(4), "at {at}");
            assert_eq!(u64_at(&bytes, at).is_some(), fits(8), "at {at}");
            assert_eq!(cookie_at(&bytes, at).is_some(), fits(8), "at {at}");
            assert_eq!(array_at::<5>(&bytes, at).is_some(), fits(5), "at {at}");
        }
        assert_eq!(be16_at(&bytes, 1), Some(0x0203));
        assert_eq!(u32_at(&bytes, 2), Some(u32::from_ne_bytes([3, 4, 5, 6])));
        let cookie = [0x1111_1111_u32.to_ne_bytes(), 0x2222_2222_u32.to_ne_bytes()].concat();
        assert_eq!(cookie_at(&cookie, 0), Some(0x2222_2222_1111_1111));
    }
}
