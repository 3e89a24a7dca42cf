//! The program in the kernel: made for it, loaded, run step by step, and what
//! the steps leave.
//!
//! Invariant: programs and maps end with their descriptors, which nobody else
//! has; nothing is attached to anything.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::io::Errno;
use sockdiag_wire::bpf::{
    self as wire, AssembleError, BPF_F_SLEEPABLE, BPF_PROG_TYPE_SYSCALL, Lookup, NotFound, Wanted,
};
use sockdiag_wire::btf::Btf;

use super::compose::{Ask, Composer, Unfit};
use super::members::{Kind, Wants};
use super::program::{self, Members, Recipe, header, step};
use super::record::{Layout, OWN_WORDS, Record};
use crate::sys::bpf::{self, LoadError};
use crate::sys::bpf_value::SharedValue;
use crate::sys::kernel_types::KernelTypes;

/// What programs and maps are called.
const NAME: &str = "ss_walk";
/// Bytes of records that a step may leave, unless a bucket has more.
const USUAL: usize = 1 << 20;
/// More than this no bucket may have.
const MOST: usize = 32 << 20;
/// Rounds of a step, each of them a socket or a bucket: a millisecond or two.
const ROUNDS: u64 = 8 << 10;
/// More rounds the kernel does not do at a time.
const MOST_ROUNDS: u64 = 4 << 20;

/// Which table of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Connections of any state.
    Established = 0,
    /// Listeners.
    Listening = 1,
}

/// What to tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Which table.
    pub table: Table,
    /// A bit for each state that is shown.
    pub states: u32,
    /// The family's number; 0 every.
    pub family: u8,
    /// Whether of the calling thread's network namespace alone.
    pub own: bool,
}

/// Why there is no walk, or none to its end.
#[derive(Debug)]
pub(super) enum Refused {
    /// No program can be made on this target.
    Target,
    /// The kernel shows no types of its own.
    NoTypes,
    /// Its types lack something.
    Types(NotFound),
    /// What it sends is not known.
    Unfit(Unfit),
    /// The program is none.
    Program(AssembleError),
    /// It was not loaded.
    Load(LoadError),
    /// A call failed.
    Call(&'static str, Errno),
    /// The kernel keeps its sockets elsewhere.
    NoTable,
    /// There are too many sockets in one bucket, or it changes all the time.
    Bucket,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Records handed on.
    pub records: u64,
    /// How often a bucket was begun again.
    pub again: u64,
    /// Steps.
    pub steps: u64,
    /// Whether the visitor wants no more.
    pub stopped: bool,
}

/// A loaded program.
pub(super) struct Walk {
    members: Members,
    layout: Layout,
    recipe: Recipe,
    room: usize,
    program: OwnedFd,
    shared: SharedValue,
}

impl Walk {
    /// Makes and loads the program for records that have what is wanted.
    ///
    /// # Errors
    /// What this kernel lacks or refuses.
    pub(super) fn open(wants: Wants) -> Result<Self, Refused> {
        Ok(Self::open_with(wants, &[], |_, _| Ok(()))?.0)
    }

    /// Likewise, with what is made for these messages out of records.
    ///
    /// # Errors
    /// What this kernel lacks or refuses.
    pub(super) fn composing(ask: Ask) -> Result<(Self, Composer), Refused> {
        let find = |types: &Lookup<'_>, layout: &Layout| Composer::find(types, layout, ask);
        Self::open_with(ask.wants(), &Composer::wanted(), find)
    }

    /// Likewise, with what else is found out of the kernel's types.
    fn open_with<T>(
        wants: Wants,
        names: &[Wanted],
        find: impl FnOnce(&Lookup<'_>, &Layout) -> Result<T, Unfit>,
    ) -> Result<(Self, T), Refused> {
        if !wire::SUPPORTED {
            return Err(Refused::Target);
        }
        let types = KernelTypes::open().map_err(|_| Refused::NoTypes)?;
        let btf = Btf::new(types.bytes()).ok_or(Refused::NoTypes)?;
        let types = Lookup::new(btf, &[&Members::wanted(), &Layout::wanted(), names].concat());
        let members = Members::find(&types).map_err(Refused::Types)?;
        let layout = Layout::find(&types, wants).map_err(Refused::Types)?;
        let more = find(&types, &layout).map_err(Refused::Unfit)?;
        let recipe = Recipe::of(&layout).ok_or(Refused::NoTable)?;
        let room = USUAL / usize::from(recipe.bytes).max(1);
        let (program, shared) = loaded(&members, &recipe, room)?;
        Ok((Self { members, layout, recipe, room, program, shared }, more))
    }

    /// How its records are laid out.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Hands every record of a table to `visit`.
    pub(super) fn each(
        &mut self,
        asked: Asked,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Done, Refused> {
        self.begin(asked, 0);
        let mut done = Done::default();
        loop {
            let bucket = self.number(header::BUCKET);
            let result = bpf::run(self.program.as_fd()).map_err(|error| Refused::Call("running", error))?;
            if result == step::NOTHING {
                return Err(Refused::NoTable);
            }
            done.steps += 1;
            if self.hand_on(&mut done, visit).is_break() {
                done.stopped = true;
                break;
            }
            if result == step::DONE {
                break;
            }
            if self.number(header::BUCKET) == bucket {
                self.grow(asked, bucket, result)?;
            }
        }
        done.again = self.number(header::AGAIN);
        Ok(done)
    }

    /// Hands on what a step left.
    fn hand_on(
        &self,
        done: &mut Done,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let count = self.number(header::COUNT) as usize;
        let words = usize::from(self.recipe.bytes) / 8;
        let records = self.shared.longs().get(header::LENGTH..).unwrap_or_default();
        // Where the bucket's records begin.
        let (mut bucket, mut first) = (u64::MAX, 0);
        for (number, record) in records.chunks_exact(words).take(count).enumerate() {
            let first_word = record.first().map_or(0, |word| word.load(Relaxed));
            let place = first_word >> 40;
            if place != bucket {
                (bucket, first) = (place, number);
            }
            let address = |record: &[AtomicU64]| record.get(OWN_WORDS - 1).map(|word| word.load(Relaxed));
            let before = records.chunks_exact(words).take(number).skip(first);
            if before.map(address).any(|other| other == address(record)) {
                continue;
            }
            done.records += 1;
            let kind = match (first_word >> 32) as u8 {
                0 => Kind::Full,
                1 => Kind::TimeWait,
                _ => Kind::Request,
            };
            visit(Record::new(&self.layout, kind, record))?;
        }
        for number in [header::COUNT, header::START] {
            self.set(number, 0);
        }
        ControlFlow::Continue(())
    }

    fn begin(&self, asked: Asked, bucket: u64) {
        for (number, value) in [
            (header::COUNT, 0),
            (header::START, 0),
            (header::BUCKET, bucket),
            (header::ROUNDS, ROUNDS),
            (header::TABLE, asked.table as u64),
            (header::STATES, asked.states.into()),
            (header::FAMILY, asked.family.into()),
            (header::OWN, asked.own.into()),
            (header::AGAIN, 0),
            (header::NET, 0),
        ] {
            self.set(number, value);
        }
    }

    /// After a step that did not get through its first bucket: lets it take longer,
    /// or leave more.
    fn grow(&mut self, asked: Asked, bucket: u64, result: u32) -> Result<(), Refused> {
        let again = self.number(header::AGAIN);
        if result == step::MORE {
            let rounds = self.number(header::ROUNDS);
            if rounds >= MOST_ROUNDS {
                return Err(Refused::Bucket);
            }
            self.set(header::ROUNDS, rounds * 2);
            return Ok(());
        }
        let room = self.room * 4;
        if room * usize::from(self.recipe.bytes) > MOST {
            return Err(Refused::Bucket);
        }
        (self.program, self.shared) = loaded(&self.members, &self.recipe, room)?;
        self.room = room;
        self.begin(asked, bucket);
        self.set(header::AGAIN, again);
        self.set(header::ROUNDS, ROUNDS.max(room as u64 * 2));
        Ok(())
    }

    fn number(&self, number: usize) -> u64 {
        self.shared.longs().get(number).map_or(0, |word| word.load(Relaxed))
    }

    fn set(&self, number: usize, value: u64) {
        if let Some(word) = self.shared.longs().get(number) {
            word.store(value, Relaxed);
        }
    }
}

/// The program with its memory.
fn loaded(members: &Members, recipe: &Recipe, room: usize) -> Result<(OwnedFd, SharedValue), Refused> {
    let bytes = header::LENGTH * 8 + room * usize::from(recipe.bytes);
    let shared = SharedValue::new(NAME, bytes / 4).map_err(|error| Refused::Call("sharing memory", error))?;
    let map = shared.map().as_raw_fd();
    let insns = program::program(members, recipe, map, room as i32).map_err(Refused::Program)?;
    let program = bpf::load(&bpf::Program {
        name: NAME,
        license: program::LICENSE,
        kind: BPF_PROG_TYPE_SYSCALL,
        attach_type: 0,
        target: 0,
        flags: BPF_F_SLEEPABLE,
        insns: &insns,
    })
    .map_err(Refused::Load)?;
    Ok((program, shared))
}

#[cfg(test)]
mod tests;
