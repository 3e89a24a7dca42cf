//! The kernel's own types (BTF), as bytes.
//!
//! Since 6.16 the kernel lets the file be mapped, which costs nothing; from older kernels
//! several megabytes are read.
//!
//! Source: Documentation/ABI/testing/sysfs-kernel-btf.
#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;

/// The file with the types.
const PATH: &str = "/sys/kernel/btf/vmlinux";
/// The limit for the size of the file.
const MOST: u64 = 1 << 28;

/// The bytes, mapped or read.
#[derive(Debug)]
pub(crate) struct KernelTypes(Bytes);

#[derive(Debug)]
enum Bytes {
    Mapped { start: NonNull<u8>, length: usize },
    Read(Vec<u8>),
}

impl KernelTypes {
    /// Opens the types; an error if the kernel has none.
    pub(crate) fn open() -> io::Result<Self> {
        let file = File::open(PATH)?;
        let length = file.metadata()?.len();
        if length > 0 && length <= MOST {
            let length = length as usize;
            // SAFETY: a new mapping at an address of the kernel's choice
            // touches no memory that is in use.
            let start = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    length,
                    libc::PROT_READ,
                    libc::MAP_PRIVATE,
                    file.as_raw_fd(),
                    0,
                )
            };
            if start != libc::MAP_FAILED
                && let Some(start) = NonNull::new(start.cast())
            {
                return Ok(Self(Bytes::Mapped { start, length }));
            }
        }
        let mut bytes = Vec::with_capacity(length.min(MOST) as usize + 1);
        file.take(MOST).read_to_end(&mut bytes)?;
        Ok(Self(Bytes::Read(bytes)))
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: the mapping has that length and stands until `self` is
            // dropped; what it shows is a constant of the running kernel,
            // which nobody can write to.
            Bytes::Mapped { start, length } => unsafe { std::slice::from_raw_parts(start.as_ptr(), *length) },
            Bytes::Read(bytes) => bytes,
        }
    }
}

impl Drop for KernelTypes {
    fn drop(&mut self) {
        if let Bytes::Mapped { start, length } = self.0 {
            // SAFETY: this mapping is ours, and no slice of it outlives `self`.
            unsafe { libc::munmap(start.as_ptr().cast(), length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_what_is_read() {
        let types = match KernelTypes::open() {
            Ok(types) => types,
            Err(error) => sockdiag_testkit::skip!("{PATH}: {error}"),
        };
        assert!(types.bytes() == std::fs::read(PATH).expect("it was opened before"), "they differ");
    }
}
