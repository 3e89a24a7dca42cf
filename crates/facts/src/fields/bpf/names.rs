//! Types as C writes them: `struct flow *`, `int (*)(int a, char *)`.
//!
//! If several types in a value have the same name, all but the first get a number
//! (`flow___2`), in the order of their appearance: structs, unions and enumerations are
//! counted together, typedefs separately.  Qualifiers are omitted.
//!
//! Invariant: names of recursive types are finite: a name has at most [`LONGEST`] bytes and is
//! then cut with `...`.
//!
//! Source: the text of ss 7.3 with libbpf for maps made for this purpose.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sockdiag_wire::btf::{
    BTF_KIND_ARRAY, BTF_KIND_CONST, BTF_KIND_ENUM, BTF_KIND_ENUM64, BTF_KIND_FLOAT, BTF_KIND_FUNC_PROTO,
    BTF_KIND_FWD, BTF_KIND_INT, BTF_KIND_PTR, BTF_KIND_RESTRICT, BTF_KIND_STRUCT, BTF_KIND_TYPE_TAG,
    BTF_KIND_TYPEDEF, BTF_KIND_UNION, BTF_KIND_VOLATILE, Index, Type,
};

use crate::model::BpfComplaint;
use crate::number::{put_name, put_u64};

/// The maximum length of a name in bytes, and the maximum nesting of function types; compilers
/// generate far less.
const LONGEST: usize = 4096;
const DEEPEST: usize = 16;
/// The maximum number of types between a type and its base type.
const FARTHEST: usize = 64;

/// Assigns names to the types in one value.
pub(super) struct Names<'t, 'a> {
    types: &'t Index<'a>,
    /// The number of types with each name, and each type's own number among them.
    tags: HashMap<&'a [u8], u32>,
    typedefs: HashMap<&'a [u8], u32>,
    numbers: HashMap<u32, u32>,
}

/// A step from a type to the type it is derived from.
enum Link<'a> {
    Pointer,
    Array(u32),
    Function(Type<'a>),
}

/// The name of a type while it is being written.
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

    /// Appends the C declaration of `name` with this type.
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
                    // Reported twice, like the reference: where the type is found, and where
                    // it would be named.
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

    /// Appends the part of a declaration before the name.
    fn put_base(&mut self, to: &mut Writing<'_>, id: u32, ty: Option<Type<'a>>) {
        let Some(ty) = ty else { return to.put(b"void") };
        let name = ty.name();
        let is_union = ty.kind == BTF_KIND_UNION || ty.kind == BTF_KIND_FWD && ty.kind_flag;
        match ty.kind {
            BTF_KIND_STRUCT | BTF_KIND_UNION | BTF_KIND_FWD => {
                to.put(if is_union { b"union" } else { b"struct" });
                to.put(if name.is_empty() { b"" } else { b" " });
            }
            // The blank is printed even if no name follows.
            BTF_KIND_ENUM | BTF_KIND_ENUM64 => to.put(b"enum "),
            _ => {}
        }
        let mut text = Vec::new();
        put_name(&mut text, name);
        // A forward declaration, an integer or a float shares its name with the same type
        // elsewhere, so it gets no number.
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

    /// Appends the parts of a declaration around and after the name, from the inside out: the
    /// last link is the one next to the base type.
    fn declarator(
        &mut self,
        to: &mut Writing<'_>,
        links: &[Link<'a>],
        name: &[u8],
        // No blank is printed after a star or a parenthesis.
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
