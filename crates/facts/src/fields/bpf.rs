//! Socket-local storage of BPF programs, printed according to its types.
//!
//! As in the reference, storage that the kernel or a recording contains is shown even if no
//! option requested it.
//!
//! Source: linux/sock_diag.h; the text is that of ss 7.3 with libbpf.

mod float;
mod names;
mod value;

pub use value::put_value;

use super::{Field, Groups, Needs, Style, Text, Unit, plain};
use crate::model::Row;
use crate::number::{put_i64, put_signed};

/// Fields of `--bpf-maps`, `--bpf-map-id`.
pub(super) const STORAGES: &[Field] = &[Field::new(
    "bpf.storages",
    plain!(|r| Some(r.socket.attrs()?.bpf_storages()?.count() as u64)),
    "BPF maps that hold a value for the socket; reported only to users who may use BPF.",
    "INET_DIAG_SK_BPF_STORAGES",
)
.gauge(Unit::Count)
.needs(Needs::BPF_STORAGES)
.group(Groups::BPF_MAPS)
.shape("map_id:N [ VALUE ]")
.text(Text::Custom(fmt_storages))];

fn fmt_storages(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(storages) = row.socket.attrs().and_then(|attrs| attrs.bpf_storages()) else { return };
    for storage in storages {
        let Some(map) = row.names.bpf_maps.and_then(|maps| maps.map(storage.map_id)) else {
            out.extend_from_slice(b"\n\tmap_id: ");
            put_signed(out, storage.map_id);
            out.extend_from_slice(b" failed to fetch info, skipping\n");
            continue;
        };
        if storage.value.len() != map.value_size() as usize {
            continue;
        }
        out.extend_from_slice(if style.oneline { b" map_id:" } else { b"\n\tmap_id:" });
        put_signed(out, storage.map_id);
        out.extend_from_slice(if style.oneline { b"" } else { b" [\n" });
        // Complaints about the types were already reported when the row was prepared.
        if let Err(errno) = put_value(out, map, storage.value, style.oneline, &mut |_| {}) {
            out.extend_from_slice(if style.oneline { b"" } else { b"\t\t" });
            out.extend_from_slice(b"failed to dump data: ");
            put_i64(out, errno.into());
        }
        out.extend_from_slice(if style.oneline { b"" } else { b"\n\t]" });
    }
}

#[cfg(test)]
mod tests;
