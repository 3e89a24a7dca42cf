//! The BPF maps whose values sockets hold.
//!
//! A map is opened by its id, and its info and types are read once; the descriptor stays
//! open, so that the request can name it and the map cannot vanish.  A map that could not
//! be opened is tried again for the next socket that holds a value of it, as the reference
//! does.
//!
//! Source: linux/bpf.h; the limit of 32 maps is ss's.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use sockdiag_wire::bpf::BPF_MAP_TYPE_SK_STORAGE;
use sockdiag_wire::bpf_storage::{BpfStorages, MAP_INFO_LEN, MapInfo};

use crate::fields::put_value;
use crate::model::{BpfMap, BpfMapCache};
use crate::notice::Notice;
use crate::sys::bpf;

/// How many maps are kept open at most.
const MOST: usize = 32;

/// Maps that were opened.
#[derive(Debug, Default)]
pub struct BpfMaps {
    maps: Vec<(BpfMap, OwnedFd)>,
    /// How many of the maps the user named; the rest were found in rows.
    chosen: usize,
    notices: Vec<Notice>,
    /// Scratch space for formatting a value: complaints about its types come up only then.
    scratch: Vec<u8>,
}

impl BpfMaps {
    /// Keeps the maps that are open now across polls.
    pub(super) fn choose_these(&mut self) {
        self.chosen = self.maps.len();
    }

    /// Closes the maps that were opened for the rows of a poll: an open descriptor would
    /// keep a map alive after everybody else has closed it.
    pub(super) fn begin_poll(&mut self) {
        self.maps.truncate(self.chosen);
    }

    /// Opens a map, unless it is open.
    ///
    /// Why the map cannot be opened.  `ss` exits with that error if the user named the map,
    /// except with [`Notice::MapsTooMany`].
    pub fn open(&mut self, id: u32) -> Result<(), Notice> {
        if self.map(id).is_some() {
            return Ok(());
        }
        if self.maps.len() >= MOST {
            return Err(Notice::MapsTooMany { id });
        }
        self.maps.push(load(id)?);
        Ok(())
    }

    /// The descriptors of the open maps, in the order of their opening.
    pub fn descriptors(&self) -> Vec<RawFd> {
        self.maps.iter().map(|(_, fd)| fd.as_raw_fd()).collect()
    }

    /// Opens the maps of a socket that is to be shown, and notes problems with its values.
    pub(super) fn prepare(&mut self, storages: &BpfStorages<'_>) {
        let deficits = storages.clone().deficits();
        self.notices
            .extend(deficits.map(|(bytes, attr_len)| Notice::Deficit { bytes: bytes as i64, attr_len }));
        for storage in storages.clone() {
            let id = storage.map_id;
            if let Err(notice) = self.open(id) {
                self.notices.push(notice);
                continue;
            }
            let Some((map, _)) = self.maps.iter().find(|(map, _)| map.id() == id) else { continue };
            let (expected, got) = (map.value_size(), storage.value.len() as u32);
            if expected != got {
                self.notices.push(Notice::MapValueSize { id, expected, got });
                continue;
            }
            self.scratch.clear();
            let mut said = |complaint| self.notices.push(Notice::MapComplaint(complaint));
            let _ = put_value(&mut self.scratch, map, storage.value, true, &mut said);
        }
    }

    pub(super) fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

impl BpfMapCache for BpfMaps {
    fn map(&self, id: u32) -> Option<&BpfMap> {
        self.maps.iter().map(|(map, _)| map).find(|map| map.id() == id)
    }
}

fn load(id: u32) -> Result<(BpfMap, OwnedFd), Notice> {
    let fd = bpf::map_by_id(id).map_err(|errno| Notice::MapOpen { id, errno: errno.raw_os_error() })?;
    let mut bytes = [0; MAP_INFO_LEN];
    bpf::object_info(fd.as_fd(), &mut bytes)
        .map_err(|errno| Notice::MapInfo { id, errno: errno.raw_os_error() })?;
    let info = MapInfo::new(&bytes);
    let kind = info.kind().unwrap_or(0);
    if kind != BPF_MAP_TYPE_SK_STORAGE {
        return Err(Notice::MapKind { id, kind });
    }
    let number = |number: Option<u32>| number.unwrap_or(0);
    let map = bpf::btf_by_id(number(info.btf_id()))
        .and_then(|btf| bpf::btf_bytes(btf.as_fd()))
        .ok()
        .and_then(|btf| BpfMap::new(id, number(info.value_size()), number(info.btf_value_type_id()), btf))
        .ok_or(Notice::MapTypes { id })?;
    Ok((map, fd))
}
