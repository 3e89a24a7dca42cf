//! Memory that a BPF program and this process share: a map with one value, mapped into this
//! process.
//!
//! Invariant: only the map's descriptor and the mapping keep the memory alive, and both end
//! with the value, or with the process however that ends.
//!
//! Source: bpf(2), `BPF_F_MMAPABLE` (linux/bpf.h).
#![allow(unsafe_code)]

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::io::Errno;

use super::bpf;

/// The value, as numbers of four bytes.
pub(crate) struct SharedValue {
    map: OwnedFd,
    start: NonNull<AtomicU32>,
    words: usize,
}

// SAFETY: the mapping belongs to the whole process, and what it shows is only
// ever looked at as atomic numbers.
unsafe impl Send for SharedValue {}
// SAFETY: as above.
unsafe impl Sync for SharedValue {}

impl SharedValue {
    /// A new value, all zero.
    pub(crate) fn new(name: &str, words: usize) -> Result<Self, Errno> {
        let bytes = words.checked_mul(size_of::<AtomicU32>()).ok_or(Errno::INVAL)?;
        let map = bpf::array_of_one(name, u32::try_from(bytes).map_err(|_| Errno::INVAL)?)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no
        // memory that is in use.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        let start = NonNull::new(start.cast()).filter(|_| start != libc::MAP_FAILED);
        let start = start
            .ok_or_else(|| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOMEM))?;
        Ok(Self { map, start, words })
    }

    /// The map, for a program that uses it.
    pub(crate) fn map(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    /// The shared numbers.
    pub(crate) fn words(&self) -> &[AtomicU32] {
        // SAFETY: the mapping has that many numbers, at a page's beginning, and
        // stands until `self` is dropped.  The kernel may write to it at any
        // time, which atomic numbers allow.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    /// The same as numbers of eight bytes; an odd last word is left out.
    pub(crate) fn longs(&self) -> &[AtomicU64] {
        // SAFETY: as above; a page's beginning is aligned for every number.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.words / 2) }
    }
}

impl Drop for SharedValue {
    fn drop(&mut self) {
        // SAFETY: this mapping is ours, and no slice of it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * size_of::<AtomicU32>()) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn it_begins_with_zeros_and_keeps_what_is_put_there() {
        let value = match SharedValue::new("sockdiag_test", 5000) {
            Ok(value) => value,
            Err(error) => sockdiag_testkit::skip!("no map here: {error}"),
        };
        assert_eq!(value.words().len(), 5000);
        assert!(value.words().iter().all(|word| word.load(Relaxed) == 0));
        value.words()[4999].store(7, Relaxed);
        let seen = std::thread::scope(|scope| scope.spawn(|| value.words()[4999].load(Relaxed)).join());
        assert_eq!(seen.expect("a thread"), 7);
        let long = value.longs()[2499].load(Relaxed).to_ne_bytes();
        assert_eq!((value.longs().len(), &long[4..]), (2500, &7_u32.to_ne_bytes()[..]));
    }

    #[test]
    fn what_no_map_can_be_is_refused() {
        assert_eq!(SharedValue::new("sockdiag_test", usize::MAX).err(), Some(Errno::INVAL));
        assert_eq!(SharedValue::new("sockdiag_test", 1 << 40).err(), Some(Errno::INVAL));
    }
}
