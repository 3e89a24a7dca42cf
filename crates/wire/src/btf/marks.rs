//! Types by id, from a pass that stored the offset of every 64th type.
//!
//! The kernel has over a hundred thousand types, of which a lookup by name needs some dozens
//! by id: walking from the last stored offset costs less than storing the offset of every
//! type.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::ops::ControlFlow;

use super::{Btf, Type, Types};

/// The number of types from one mark to the next.
const APART: u32 = 64;

/// The offset of every 64th type, up to the end of the pass.
#[derive(Clone, Debug)]
pub struct Marks<'a> {
    btf: Btf<'a>,
    offsets: Vec<u32>,
}

impl<'a> Marks<'a> {
    /// Calls `visit` with the id of each type and the type, until it returns `Break`.
    pub fn scan(btf: Btf<'a>, mut visit: impl FnMut(u32, &Type<'a>) -> ControlFlow<()>) -> Self {
        let mut offsets = Vec::new();
        let mut types = btf.types();
        loop {
            let at = types.at;
            let Some((id, ty)) = types.next() else { break };
            if (id - 1).is_multiple_of(APART) {
                offsets.push(at as u32);
            }
            if visit(id, &ty).is_break() {
                break;
            }
        }
        Self { btf, offsets }
    }

    /// The type with this id, even beyond the end of the pass; `None` for 0, which is `void`,
    /// and for unknown ids.
    pub fn get(&self, id: u32) -> Option<Type<'a>> {
        let wanted = (id.checked_sub(1)? / APART) as usize;
        let mark = wanted.min(self.offsets.len().checked_sub(1)?);
        let at = *self.offsets.get(mark)? as usize;
        // The id of the type before the one at the mark.
        let before = APART * mark as u32;
        let mut types = Types { btf: self.btf, at, id: before };
        types.nth((id - before - 1) as usize).map(|(_, ty)| ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "takes Miri many minutes")]
    fn every_type_is_found_wherever_the_pass_ended() {
        let mut made = super::super::tests::Made::new();
        for number in 0..300 {
            made.ty(&format!("t{number}"), (super::super::BTF_KIND_FWD, 0, false), number, &[]);
        }
        let bytes = made.bytes();
        let btf = Btf::new(&bytes).expect("well made");
        for end in [1, 2, 63, 64, 65, 200, 300, 301] {
            let mut seen = 0;
            let marks = Marks::scan(btf, |id, _| {
                seen = id;
                if id == end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(seen, end.min(300));
            for id in 1..=300 {
                assert_eq!(marks.get(id).map(|ty| ty.size_or_type), Some(id - 1), "{id} after {end}");
            }
            assert!(marks.get(0).is_none() && marks.get(301).is_none() && marks.get(u32::MAX).is_none());
        }
        let empty = super::super::tests::Made::new().bytes();
        let marks = Marks::scan(Btf::new(&empty).expect("well made"), |_, _| ControlFlow::Continue(()));
        assert!(marks.get(1).is_none());
    }
}
