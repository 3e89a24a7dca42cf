//! BPF maps of socket-local storage, held open, and their values at sockets.
//!
//! A map belongs to the whole machine, not to a namespace: tests name their own by number, or
//! look at sockets to which nobody else attaches values.  A map is gone when its [`Map`] is
//! dropped and no socket holds a value of it.

#![allow(clippy::cast_sign_loss, reason = "small, known numbers; each cast is meant")]

pub mod values;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::btf::{Btf, Id};
use crate::{Doing, Why, sys};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_MAP_TYPE_SK_STORAGE`.
const SK_STORAGE: u32 = 24;
/// `BPF_F_NO_PREALLOC`.
const NO_PREALLOC: u32 = 1;

/// A map.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    /// The map's id.
    pub id: u32,
}

impl Map {
    /// A map of socket-local storage; type 1 of `btf` is `int`.
    pub fn storage(btf: &Btf, value_type: Id, value_size: u32) -> Result<Self, Why> {
        let btf = sys::btf_load(&btf.to_bytes()).doing("loading BTF")?;
        let types = [btf.as_raw_fd() as u32, 1, value_type];
        Self::made([SK_STORAGE, 4, value_size, 0, NO_PREALLOC], types)
    }

    /// A map that is not socket-local storage.
    pub fn other() -> Result<Self, Why> {
        Self::made([ARRAY, 4, 4, 1, 0], [0; 3])
    }

    fn made(shape: [u32; 5], types: [u32; 3]) -> Result<Self, Why> {
        let fd = sys::map_create(shape, types).doing("making a BPF map")?;
        let id = sys::map_id(fd.as_fd()).doing("asking for the number of a BPF map")?;
        Ok(Self { fd, id })
    }

    /// The map's descriptor.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Attaches a value to a socket; it must have the size of the map's values.
    pub fn set(&self, socket: &impl AsFd, value: &[u8]) -> Result<(), Why> {
        let key = socket.as_fd().as_raw_fd().to_ne_bytes();
        sys::map_update(self.fd.as_fd(), key, value).doing(format_args!("a value of map {}", self.id))
    }
}
