//! The layout of a walk's records, and how they are read.
//!
//! A record consists of words of 8 bytes.  The first [`OWN_WORDS`] are written by the
//! program; each of the others is a copy of an aligned word of the kernel's memory, so
//! members in one word share it.  The words follow from the rows of [`ROWS`], for the
//! running kernel and the wanted values.
//!
//! Invariant: any words can be read as a record: missing values read as zero.
//!
//! Source: the kernel's own types (BTF).

#![allow(clippy::cast_possible_truncation, reason = "kernel structures are small; each cast is meant")]

use std::sync::atomic::{AtomicU64, Ordering};

use sockdiag_facts::sort::sort_by;
use sockdiag_wire::bpf::{Bits, Lookup, NotFound, Wanted};

use super::members::{BEGINNINGS, Base, Kind, Member, Missing, PRIVATE, Place, ROWS, Row, Wants, names};

/// Words that the program itself writes: the time ([`Held::jiffies`]) with the bucket, and
/// the address of the socket.
pub(super) const OWN_WORDS: usize = 2;
/// The size of a word, in bytes.
const WORD: u32 = 8;
/// The limit of words in a record.
const MOST_WORDS: usize = 128;
/// The unit of N in `"path[N]"`, in bytes.
const ELEMENT: u32 = 4;

/// One word that is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    /// The structure that it is copied from; behind a null pointer the word is zero.
    pub base: Base,
    /// Its offset in the structure, in bytes: a multiple of 8.
    pub from: u32,
    /// Its offset in the record, in bytes: a multiple of 8.
    pub to: u16,
}

/// A pointer that leads to a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// The base that holds the pointer.
    pub from: Base,
    /// The pointer's offset in it, in bytes: a multiple of 8.
    pub offset: u32,
    /// Bits of the pointer that are not part of the address.
    pub flags: u8,
}

/// The position of a member in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spot {
    /// The index of its word.
    word: u16,
    /// Its first bit in the word.
    shift: u8,
    /// The bits of the member after the shift; 0 if the record lacks it.
    mask: u64,
}

/// The position of every member, with spare entries, so that any byte is a valid index.
type Spots = [Spot; 256];

/// The layout of the records of a walk.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    copies: [Vec<Copy>; Kind::ALL.len()],
    hops: [Option<Hop>; Base::COUNT],
    /// Positions by kind, then by member.
    spots: Box<[Spots; Kind::ALL.len()]>,
    /// The length of the longest record, in words.
    words: usize,
}

impl Layout {
    /// The types that [`Self::find`] needs.
    pub(super) fn wanted() -> Vec<Wanted> {
        names()
    }

    /// Makes the layout for the running kernel.
    ///
    /// # Errors
    /// The first required member or structure that the kernel lacks.
    pub(super) fn find(types: &Lookup<'_>, wanted: Wants) -> Result<Self, NotFound> {
        for (structure, path) in BEGINNINGS.iter().copied() {
            if types.member(structure, path)?.offset != 0 {
                return Err(NotFound::Member { structure, path });
            }
        }
        let mut hops = [None; Base::COUNT];
        for base in Base::ALL {
            hops[base as usize] = base.pointer().and_then(|pointer| {
                let member = types.member(pointer.structure, pointer.path).ok()?;
                let aligned = member.bytes == WORD && member.offset.is_multiple_of(WORD);
                aligned.then_some(Hop { from: pointer.from, offset: member.offset, flags: pointer.flags })
            });
        }
        let mut layout = Self {
            copies: Default::default(),
            hops,
            spots: Box::new([[Spot::default(); 256]; 3]),
            words: OWN_WORDS,
        };
        for kind in Kind::ALL {
            layout.lay_out(kind, types, wanted)?;
        }
        Ok(layout)
    }

    fn lay_out(&mut self, kind: Kind, types: &Lookup<'_>, wanted: Wants) -> Result<(), NotFound> {
        let mut found = Vec::new();
        for row in ROWS.iter().filter(|row| row.kinds.contains(kind) && row.wants.is_wanted(wanted)) {
            match self.locate(types, *row) {
                Ok(located) => found.push((row.member, located)),
                Err(_) if row.missing == Missing::Zero => {}
                Err(error) => return Err(error),
            }
        }
        let mut copied: Vec<(Base, u32)> = Vec::new();
        for (_, located) in &found {
            let last = located.offset + located.bytes - 1;
            copied.extend((located.offset / WORD..=last / WORD).map(|word| (located.base, word * WORD)));
        }
        sort_by(&mut copied, &mut |one, other| one.cmp(other));
        copied.dedup();
        let copies = &mut self.copies[kind as usize];
        copies.extend(copied.iter().zip(OWN_WORDS as u16..).map(|((base, from), word)| Copy {
            base: *base,
            from: *from,
            to: word * WORD as u16,
        }));
        self.words = self.words.max(OWN_WORDS + copies.len());
        if self.words > MOST_WORDS {
            // No kernel spreads its members that far; if one did, it could not be walked.
            return Err(NotFound::Name(Wanted::structure("tcp_sock")));
        }
        let spots = &mut self.spots[kind as usize];
        for (member, located) in found {
            let first = (located.base, located.offset / WORD * WORD);
            let word = copied.binary_search(&first).unwrap_or_default() + OWN_WORDS;
            let bits = Bits { shift: 0, count: (8 * located.bytes.min(WORD)) as u8 };
            let bits = located.bits.unwrap_or(bits);
            spots[member as usize] = Spot {
                word: word as u16,
                shift: (located.offset % WORD * 8) as u8 + bits.shift,
                mask: u64::MAX >> (64 - bits.count.clamp(1, 64)),
            };
        }
        Ok(())
    }

    /// Finds the first place of a row that the kernel has.
    fn locate(&self, types: &Lookup<'_>, row: Row) -> Result<Located, NotFound> {
        let mut missing = None;
        for place in row.places() {
            match self.place(types, &place) {
                Ok(located) => return Ok(located),
                Err(error) => missing = missing.or(Some(error)),
            }
        }
        Err(missing.unwrap_or(NotFound::Name(Wanted::structure(""))))
    }

    fn place(&self, types: &Lookup<'_>, place: &Place) -> Result<Located, NotFound> {
        let Place { base, structure, path, with } = *place;
        let no_member = NotFound::Member { structure, path };
        if !with.is_empty() {
            types.function(with)?;
        }
        // If the base cannot be reached, its members cannot be read.
        if base != Base::Socket && self.hops(base).is_none() {
            return Err(no_member);
        }
        let (name, element) = match path.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<u32>().ok()),
            None => (path, None),
        };
        let member = types.member(structure, name)?;
        let around = match PRIVATE.iter().find(|(inner, ..)| *inner == structure) {
            Some((_, outer, place)) => {
                let place = types.member(outer, place)?;
                if member.offset + member.bytes > place.bytes {
                    return Err(no_member);
                }
                place.offset
            }
            None => 0,
        };
        let located =
            Located { base, offset: around + member.offset, bytes: member.bytes, bits: member.bits };
        let located = match element {
            None => located,
            Some(index) if (index + 1) * ELEMENT <= member.bytes => {
                Located { offset: located.offset + index * ELEMENT, bytes: ELEMENT, ..located }
            }
            Some(_) => return Err(no_member),
        };
        // A number that spans two words cannot be read as one.
        let whole = located.offset % WORD + located.bytes.min(WORD) <= WORD;
        if located.bytes == 0 || !whole { Err(no_member) } else { Ok(located) }
    }

    /// The pointers that lead from the socket to a base, in the order in which they are
    /// followed; `None` if the kernel lacks one.
    pub(super) fn hops(&self, base: Base) -> Option<Vec<Hop>> {
        let (mut hops, mut base) = (Vec::new(), base);
        while base != Base::Socket {
            let hop = self.hops[base as usize]?;
            hops.push(hop);
            base = hop.from;
        }
        hops.reverse();
        Some(hops)
    }

    /// The words of a record of this kind, sorted by base and offset.
    pub(super) fn copies(&self, kind: Kind) -> &[Copy] {
        &self.copies[kind as usize]
    }

    /// The length of the longest record, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.words * WORD as usize
    }

    /// The position of a member in a record of this kind: the offset of its word in bytes,
    /// its first bit, and its number of bits; `None` if the record lacks it.
    pub(super) fn bits(&self, kind: Kind, member: Member) -> Option<(u16, u8, u8)> {
        let Spot { word, shift, mask } = self.spots[kind as usize][member as usize];
        (mask != 0).then_some((word * WORD as u16, shift, mask.trailing_ones() as u8))
    }

    /// Whether a record of this kind has a member.
    pub(super) fn has(&self, kind: Kind, member: Member) -> bool {
        self.spots[kind as usize][member as usize].mask != 0
    }
}

/// The position of a member in the kernel's memory.
#[derive(Clone, Copy, Debug)]
struct Located {
    base: Base,
    /// The offset in bytes.
    offset: u32,
    bytes: u32,
    /// The member's bits within these bytes; `None` if it has all.
    bits: Option<Bits>,
}

/// One socket, as the program copied it.
///
/// The words are in memory shared with the kernel, and each is read when it is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    spots: &'a Spots,
    words: &'a [AtomicU64],
    kind: Kind,
}

impl<'a> Record<'a> {
    /// A record of these words.
    pub(super) fn new(layout: &'a Layout, kind: Kind, words: &'a [AtomicU64]) -> Self {
        Self { spots: &layout.spots[kind as usize], words, kind }
    }

    /// Its words.
    pub(super) fn words(&self) -> &'a [AtomicU64] {
        self.words
    }

    fn word(&self, index: usize) -> u64 {
        self.words.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn spot(&self, member: Member) -> Spot {
        self.spots[usize::from(member as u8)]
    }

    /// A member's value; the bits of a bit-field; the first 8 bytes of a longer member.
    /// Zero if the record lacks it.
    #[inline]
    pub(super) fn get(&self, member: Member) -> u64 {
        let Spot { word, shift, mask } = self.spot(member);
        (self.word(word.into()) >> shift) & mask
    }

    /// Reads all words at once, for callers that need many members.
    #[inline]
    pub(super) fn held(&self) -> Held<'a> {
        let mut words = [0; MOST_WORDS];
        for (place, word) in words.iter_mut().zip(self.words) {
            *place = word.load(Ordering::Relaxed);
        }
        Held { spots: self.spots, words, kind: self.kind }
    }
}

/// A record whose words were read at once.
#[derive(Clone, Debug)]
pub(super) struct Held<'a> {
    spots: &'a Spots,
    words: [u64; MOST_WORDS],
    kind: Kind,
}

impl Held<'_> {
    /// The kind of the socket.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// When the record was written: the low half of the kernel's `jiffies_64`.
    pub(super) fn jiffies(&self) -> u32 {
        self.words[0] as u32
    }

    /// See [`Record::get`].
    #[inline]
    pub(super) fn get(&self, member: Member) -> u64 {
        let Spot { word, shift, mask } = self.spots[usize::from(member as u8)];
        (self.words[usize::from(word) % MOST_WORDS] >> (shift & 63)) & mask
    }

    /// The low 32 bits of a member's number.
    #[inline]
    pub(super) fn get32(&self, member: Member) -> u32 {
        self.get(member) as u32
    }

    /// The member's sixteen bytes in memory order; zero if the record lacks it.
    #[inline]
    pub(super) fn sixteen(&self, member: Member) -> [u8; 16] {
        let Spot { word, mask, .. } = self.spots[usize::from(member as u8)];
        let [first, second] = [0, 1].map(|next| self.words[(usize::from(word) + next) % MOST_WORDS] & mask);
        (u128::from(first) | u128::from(second) << 64).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use sockdiag_wire::btf::Btf;

    use super::*;
    use crate::sys::kernel_types::KernelTypes;

    /// All wants together.
    fn everything() -> Wants {
        ROWS.iter().fold(Wants::IDENTITY, |all, row| all | row.wants)
    }

    /// The layout of the running kernel.
    fn layout(wanted: Wants) -> Option<Layout> {
        let types = KernelTypes::open().ok()?;
        let btf = Btf::new(types.bytes()).expect("the kernel's own");
        Some(Layout::find(&Lookup::new(btf, &Layout::wanted()), wanted).expect("a kernel with these members"))
    }

    #[test]
    fn rows_stand_at_the_place_of_their_member() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.member as usize, index);
            assert!(row.places().count() > 0, "{:?}", row.member);
            assert!(row.places().all(|place| !place.structure.is_empty() && !place.path.is_empty()));
            assert!(Kind::ALL.into_iter().any(|kind| row.kinds.contains(kind)), "{:?}", row.member);
        }
    }

    #[test]
    fn a_record_holds_what_is_wanted_and_each_word_once() {
        let (Some(all), Some(few)) = (layout(everything()), layout(Wants::IDENTITY)) else {
            sockdiag_testkit::skip!("no BTF");
        };
        for (layout, wanted) in [(&all, everything()), (&few, Wants::IDENTITY)] {
            for kind in Kind::ALL {
                let copies = layout.copies(kind);
                assert!(copies.is_sorted_by(|a, b| (a.base, a.from) < (b.base, b.from)), "{copies:?}");
                let places: Vec<usize> = copies.iter().map(|copy| copy.to.into()).collect();
                let expected: Vec<usize> =
                    (OWN_WORDS..OWN_WORDS + copies.len()).map(|word| word * 8).collect();
                assert_eq!(places, expected);
                assert!(copies.iter().all(|copy| copy.from % 8 == 0));
                for row in ROWS {
                    let is_wanted = row.kinds.contains(kind) && row.wants.is_wanted(wanted);
                    let has = layout.has(kind, row.member);
                    assert!(!has || is_wanted, "{:?}", row.member);
                    assert!(has || !is_wanted || row.missing == Missing::Zero, "{:?}", row.member);
                }
            }
        }
        assert!(few.bytes() < all.bytes() && all.bytes() < 1500, "{} {}", few.bytes(), all.bytes());
        assert!(!few.has(Kind::Full, Member::RcvNxt) && !all.has(Kind::TimeWait, Member::RcvNxt));
    }

    /// Each member reads all of its own bits, and no bit of another.
    #[test]
    fn members_do_not_overlap() {
        let Some(layout) = layout(everything()) else { sockdiag_testkit::skip!("no BTF") };
        for kind in Kind::ALL {
            let mut taken = vec![0_u64; layout.bytes() / 8];
            for (row, spot) in ROWS.iter().zip(&layout.spots[kind as usize]) {
                let bits = spot.mask << spot.shift;
                assert_eq!(bits >> spot.shift, spot.mask, "{:?} is whole", row.member);
                let word = &mut taken[usize::from(spot.word)];
                assert_eq!(*word & bits, 0, "{:?}", row.member);
                *word |= bits;
            }
        }
    }

    #[test]
    fn a_short_record_reads_as_zero() {
        let Some(layout) = layout(everything()) else { sockdiag_testkit::skip!("no BTF") };
        let full: Vec<AtomicU64> = (0..layout.bytes() / 8).map(|_| AtomicU64::new(u64::MAX)).collect();
        for length in 0..=full.len() {
            let record = Record::new(&layout, Kind::Full, &full[..length]);
            for row in ROWS {
                let spot = record.spot(row.member);
                let is_there = usize::from(spot.word) < length;
                assert_eq!(record.get(row.member), if is_there { spot.mask } else { 0 }, "{:?}", row.member);
                let held = record.held();
                assert_eq!(held.get(row.member), record.get(row.member));
                let _ = held.sixteen(row.member);
            }
        }
    }

    #[test]
    fn a_kernel_that_lacks_a_member_is_refused_or_reports_none() {
        let Ok(types) = KernelTypes::open() else { sockdiag_testkit::skip!("no BTF") };
        let btf = Btf::new(types.bytes()).expect("the kernel's own");
        // A kernel that lacks one of the structures.
        for gone in Layout::wanted() {
            let names: Vec<Wanted> = Layout::wanted().into_iter().filter(|name| *name != gone).collect();
            let result = Layout::find(&Lookup::new(btf, &names), everything());
            let spared = ["bbr", "cgroup", "kernfs_node", "dst_entry", "dst_metrics", "ipv6_pinfo", "net"];
            let may_lack = spared.contains(&gone.name) || gone.kind == sockdiag_wire::bpf::Kind::Function;
            match result {
                Ok(layout) => {
                    assert!(may_lack, "{} is needed", gone.name);
                    let lacks = ROWS
                        .iter()
                        .any(|row| row.kinds.contains(Kind::Full) && !layout.has(Kind::Full, row.member));
                    assert!(lacks || gone.kind == sockdiag_wire::bpf::Kind::Function, "{}", gone.name);
                }
                Err(error) => {
                    assert!(!may_lack, "{} may be missing: {error}", gone.name);
                    assert!(error.to_string().contains(gone.name), "{error}");
                }
            }
        }
    }
}
