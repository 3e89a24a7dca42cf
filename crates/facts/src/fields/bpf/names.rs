//! Types as C writes them: `struct flow *`, `int (*)(int a, char *)`.
//!
//! Where several types of one name are named in a value, all but the first
//! get a number (`flow___2`), in the order in which they are named: structs,
//! unions and enumerations count together, typedefs apart.  Qualifiers are
//! left out.
//!
//! Invariant: types that name themselves end: a name has at most
//! [`LONGEST`] bytes, then `...`.
//!
//! Source: the text of ss 7.3 with libbpf on maps made for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sockdiag_wire::btf::{
    BTF_KIND_ARRAY, BTF_KIND_CONST, BTF_KIND_ENUM, BTF_KIND_ENUM64, BTF_KIND_FLOAT, BTF_KIND_FUNC_PROTO,
    BTF_KIND_FWD, BTF_KIND_INT, BTF_KIND_PTR, BTF_KIND_RESTRICT, BTF_KIND_STRUCT, BTF_KIND_TYPE_TAG,
    BTF_KIND_TYPEDEF, BTF_KIND_UNION, BTF_KIND_VOLATILE, Index, Type,
};

use crate::model::BpfComplaint;
use crate::number::{put_name, put_u64};

/// Bytes of a name, and how deep functions in functions go; nothing that a
/// compiler writes comes near.
const LONGEST: usize = 4096;
const DEEPEST: usize = 16;
/// Types between a type and the one that it is made of.
const FARTHEST: usize = 64;

/// Names of types, as they are named in one value.
pub(super) struct Names<'t, 'a> {
    types: &'t Index<'a>,
    /// How many types have a name, and which of them a type is.
    tags: HashMap<&'a [u8], u32>,
    typedefs: HashMap<&'a [u8], u32>,
    numbers: HashMap<u32, u32>,
}

/// What makes one type of another.
enum Link<'a> {
    Pointer,
    Array(u32),
    Function(Type<'a>),
}

/// A type's name that is being written.
struct Writing<'w> {
    out: &'w mut Vec<u8>,
    start: usize,
    cut: bool,
}

impl Writing<'_> {
    fn put(&mut self, text: &[u8]) {
        if !self.cut {
            self.out.extend_from_slice(text);
            self.cut = self.out.len() - self.start > LONGEST;
        }
    }
}

impl<'t, 'a> Names<'t, 'a> {
    pub(super) fn new(types: &'t Index<'a>) -> Self {
        Self { types, tags: HashMap::new(), typedefs: HashMap::new(), numbers: HashMap::new() }
    }

    /// Appends the name of a type.
    pub(super) fn put(&mut self, out: &mut Vec<u8>, id: u32, said: &mut dyn FnMut(BpfComplaint)) {
        let start = out.len();
        let mut writing = Writing { out, start, cut: false };
        self.declare(&mut writing, id, b"", 0, said);
        if writing.cut {
            out.truncate(start + LONGEST);
            out.extend_from_slice(b"...");
        }
    }

    /// Appends the declaration of `name` as a thing of that type.
    fn declare(
        &mut self,
        to: &mut Writing<'_>,
        id: u32,
        name: &[u8],
        level: usize,
        said: &mut dyn FnMut(BpfComplaint),
    ) {
        let mut links = Vec::new();
        let mut base = id;
        let mut far = 0;
        let base_type = loop {
            if base == 0 {
                break None;
            }
            far += 1;
            to.cut |= far > FARTHEST || level > DEEPEST;
            if to.cut {
                return;
            }
            let Some(ty) = self.types.get(base) else { return };
            let link = match ty.kind {
                BTF_KIND_PTR => Link::Pointer,
                BTF_KIND_CONST | BTF_KIND_VOLATILE | BTF_KIND_RESTRICT | BTF_KIND_TYPE_TAG => {
                    base = ty.size_or_type;
                    continue;
                }
                BTF_KIND_ARRAY => Link::Array(ty.array().map_or(0, |array| array.nelems)),
                BTF_KIND_FUNC_PROTO => Link::Function(ty),
                BTF_KIND_INT | BTF_KIND_FLOAT | BTF_KIND_STRUCT | BTF_KIND_UNION | BTF_KIND_ENUM
                | BTF_KIND_ENUM64 | BTF_KIND_FWD | BTF_KIND_TYPEDEF => break Some(ty),
                kind => {
                    // It is told where it is found and where it would be named.
                    said(BpfComplaint::Declaration { kind, id: base });
                    said(BpfComplaint::Declaration { kind, id: base });
                    return;
                }
            };
            links.push(link);
            base = ty.array().map_or(ty.size_or_type, |array| array.type_id);
        };
        self.put_base(to, base, base_type);
        self.declarator(to, &links, name, false, level, said);
    }

    /// Appends what stands before the name of a thing of that type.
    fn put_base(&mut self, to: &mut Writing<'_>, id: u32, ty: Option<Type<'a>>) {
        let Some(ty) = ty else { return to.put(b"void") };
        let name = ty.name();
        let is_union = ty.kind == BTF_KIND_UNION || ty.kind == BTF_KIND_FWD && ty.kind_flag;
        match ty.kind {
            BTF_KIND_STRUCT | BTF_KIND_UNION | BTF_KIND_FWD => {
                to.put(if is_union { b"union" } else { b"struct" });
                to.put(if name.is_empty() { b"" } else { b" " });
            }
            // With a blank even where no name follows.
            BTF_KIND_ENUM | BTF_KIND_ENUM64 => to.put(b"enum "),
            _ => {}
        }
        let mut text = Vec::new();
        put_name(&mut text, name);
        // What is only named here is what has that name elsewhere.
        let only_named = ty.kind == BTF_KIND_FWD
            || ty.kind == BTF_KIND_ENUM && ty.vlen == 0
            || matches!(ty.kind, BTF_KIND_INT | BTF_KIND_FLOAT);
        if !only_named && !name.is_empty() {
            let number = match self.numbers.entry(id) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    let typedef = ty.kind == BTF_KIND_TYPEDEF;
                    let count = if typedef { &mut self.typedefs } else { &mut self.tags };
                    let count = count.entry(name).or_insert(0);
                    *count += 1;
                    *new.insert(*count)
                }
            };
            if number > 1 {
                text.extend_from_slice(b"___");
                put_u64(&mut text, number.into());
            }
        }
        to.put(&text);
    }

    /// Appends what stands around and behind the name, from the inside out:
    /// the last link is the one next to the base.
    fn declarator(
        &mut self,
        to: &mut Writing<'_>,
        links: &[Link<'a>],
        name: &[u8],
        // Behind a star or a parenthesis no blank is written.
        close: bool,
        level: usize,
        said: &mut dyn FnMut(BpfComplaint),
    ) {
        let Some((link, outer)) = links.split_last() else {
            if !name.is_empty() {
                to.put(if close { b"" } else { b" " });
                let mut text = Vec::new();
                put_name(&mut text, name);
                to.put(&text);
            }
            return;
        };
        match link {
            Link::Pointer => {
                to.put(if close { b"*" } else { b" *" });
                self.declarator(to, outer, name, true, level, said);
            }
            Link::Array(nelems) => {
                if let None | Some(Link::Array(_)) = outer.last() {
                    self.declarator(to, outer, name, close, level, said);
                } else {
                    to.put(if close || name.is_empty() { b"(" } else { b" (" });
                    self.declarator(to, outer, name, true, level, said);
                    to.put(b")");
                }
                to.put(format!("[{nelems}]").as_bytes());
            }
            Link::Function(ty) => {
                to.put(b" (");
                self.declarator(to, outer, name, true, level, said);
                to.put(b")(");
                let mut params = ty.params().peekable();
                if ty.vlen == 0 || ty.vlen == 1 && params.peek().is_some_and(|only| only.type_id == 0) {
                    to.put(b"void)");
                    return;
                }
                let mut first = true;
                while let Some(param) = params.next() {
                    if to.cut {
                        return;
                    }
                    to.put(if first { b"" } else { b", " });
                    first = false;
                    if params.peek().is_none() && param.type_id == 0 {
                        to.put(b"...");
                    } else {
                        self.declare(to, param.type_id, param.name, level + 1, said);
                    }
                }
                to.put(b")");
            }
        }
    }
}
