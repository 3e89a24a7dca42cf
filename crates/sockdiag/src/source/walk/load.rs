//! Builds the walk's programs for the running kernel, loads them, runs them step by step,
//! and reads what the steps leave.
//!
//! Invariant: programs and maps end with their descriptors, which no other process has;
//! nothing is attached.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::io::Errno;
use sockdiag_wire::bpf::{
    self as wire, AssembleError, BPF_F_SLEEPABLE, BPF_PROG_TYPE_SYSCALL, Insn, Lookup, NotFound, Wanted,
};
use sockdiag_wire::btf::Btf;

use super::compose::{Ask, Composer, Unfit};
use super::kernel::Members;
use super::members::{Kind, Wants};
use super::nets::{self, Net};
use super::pass::Take;
use super::pieces::{LICENSE, Recipe, header, step};
use super::record::{Layout, Record};
use super::{bound, hash};
use crate::sys::bpf::{self, LoadError};
use crate::sys::bpf_value::SharedValue;
use crate::sys::clock;
use crate::sys::kernel_types::KernelTypes;

/// The purpose of system calls, for errors: sharing memory with the kernel, and running a
/// program.
pub(super) const SHARING: &str = "sharing memory with the kernel";
const RUNNING: &str = "running the program";
/// The name of programs and maps.
const NAME: &str = "ss_walk";
/// How many bytes of records a step may leave, unless a single bucket has more.
pub(super) const USUAL: usize = 1 << 20;
/// How many bytes of records a bucket may have.
const MOST: usize = 32 << 20;
/// Rounds per step, one for each socket or bucket: a millisecond or two.
pub(super) const ROUNDS: u64 = 8 << 10;
/// How often lists of bound sockets may change while they are read.
const MOST_AGAIN: u64 = 10_000;
/// The kernel does not run more rounds at a time.
pub(super) const MOST_ROUNDS: u64 = 4 << 20;

/// One of the kernel's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Connections of any state.
    Established = 0,
    /// Listeners.
    Listening = 1,
    /// Sockets that are bound but neither listen nor connect.
    Bound = 2,
}

/// Which sockets to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The table.
    pub table: Table,
    /// The states to report, one bit each.
    pub states: u32,
    /// The family's number; 0 for all families.
    pub family: u8,
    /// The network namespaces.
    pub scope: Scope,
}

/// Which network namespaces to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The calling thread's namespace.
    Own,
    /// All namespaces that share the same tables.
    All,
    /// The namespace at this kernel address.
    Of(u64),
}

/// Why there is no walk, or why it did not reach its end.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no program for this architecture.
    Target,
    /// The kernel does not publish its types (BTF).
    NoTypes,
    /// The kernel's types lack a member or structure.
    Types(NotFound),
    /// The kernel's messages are not known.
    Unfit(Unfit),
    /// The program could not be assembled.
    Program(AssembleError),
    /// The kernel refused to load the program.
    Load(LoadError),
    /// A call failed.
    Call(&'static str, Errno),
    /// The kernel keeps its sockets in other tables.
    NoTable,
    /// There are too many sockets in one bucket, or it changes all the time.
    Bucket,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Records passed on.
    pub records: u64,
    /// How often a bucket was read again.
    pub again: u64,
    /// Steps made.
    pub steps: u64,
    /// Whether the visitor ended the walk.
    pub stopped: bool,
}

impl Done {
    /// Adds the counts of another walk.
    pub(super) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.again += other.again;
        self.steps += other.steps;
        self.stopped |= other.stopped;
    }
}

/// Memory that is shared with programs: it begins with numbers ([`header`]), which both
/// sides read and write; the records that a step leaves follow.
pub(super) struct Shared(SharedValue);

impl Shared {
    /// Memory for the numbers and for this many bytes of records.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn new(bytes: usize) -> Result<Self, Refused> {
        let value = SharedValue::new(NAME, (header::LENGTH * 8 + bytes) / 4);
        value.map(Self).map_err(|error| Refused::Call(SHARING, error))
    }

    /// The descriptor by which programs refer to it.
    pub(super) fn map(&self) -> i32 {
        self.0.map().as_raw_fd()
    }

    /// A number in the header.
    pub(super) fn number(&self, number: usize) -> u64 {
        self.0.longs().get(number).map_or(0, |word| word.load(Relaxed))
    }

    /// Sets a number in the header.
    pub(super) fn set(&self, number: usize, value: u64) {
        if let Some(word) = self.0.longs().get(number) {
            word.store(value, Relaxed);
        }
    }

    /// Sets what to walk, from which bucket on, and how many rounds a step may take.
    pub(super) fn begin(&self, asked: Asked, bucket: u64, rounds: u64) {
        for (number, value) in [
            (header::COUNT, 0),
            (header::START, 0),
            (header::BUCKET, bucket),
            (header::ROUNDS, rounds),
            (header::LISTENERS, (asked.table == Table::Listening).into()),
            (header::STATES, asked.states.into()),
            (header::FAMILY, asked.family.into()),
            (header::OWN, (asked.scope == Scope::Own).into()),
            (header::AGAIN, 0),
            (header::NET, if let Scope::Of(address) = asked.scope { address } else { 0 }),
            (header::PORT_BEFORE, 0),
            (header::ONE, 1),
        ] {
            self.set(number, value);
        }
    }

    /// The records that a step left, each of this many words.
    pub(super) fn left(&self, words: usize) -> impl Iterator<Item = &[AtomicU64]> {
        let all = self.0.longs().get(header::LENGTH..).unwrap_or_default();
        all.chunks_exact(words).take(self.number(header::COUNT) as usize)
    }

    /// Marks the records of the last step as read.
    pub(super) fn taken(&self) {
        for number in [header::COUNT, header::START] {
            self.set(number, 0);
        }
    }
}

/// Loaded programs.
pub(super) struct Walk {
    members: Members,
    layout: Layout,
    recipe: Recipe,
    /// How many records fit.
    room: usize,
    hash: OwnedFd,
    /// The program for bound sockets, once it was needed.
    bound: Option<OwnedFd>,
    /// The program for namespaces, once it was needed.
    nets: Option<OwnedFd>,
    shared: Shared,
}

impl Walk {
    /// Loads the program for records with these parts.
    ///
    /// # Errors
    /// What this kernel lacks or refuses.
    #[cfg(test)]
    pub(super) fn open(wants: Wants) -> Result<Self, Refused> {
        Ok(Self::open_with(wants, &[], |_, _| Ok(()))?.0)
    }

    /// The same, with the composer of messages for this request.
    ///
    /// # Errors
    /// What this kernel lacks or refuses.
    pub(super) fn composing(ask: Ask) -> Result<(Self, Composer), Refused> {
        let find = |types: &Lookup<'_>, layout: &Layout| Composer::find(types, layout, ask);
        Self::open_with(ask.wants(), &Composer::wanted(), find)
    }

    /// The same; `find` reads further facts from the kernel's types.
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
        let shared = shared(&recipe, room)?;
        let map = shared.map();
        let hash = loaded(hash::program(&members, &recipe, map, room as i32))?;
        Ok((Self { members, layout, recipe, room, hash, bound: None, nets: None, shared }, more))
    }

    /// The length of a record in words.
    pub(super) fn words(&self) -> usize {
        usize::from(self.recipe.bytes) / 8
    }

    /// The layout of its records.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Every network namespace of the machine, the calling thread's first.
    ///
    /// # Errors
    /// If they cannot be read, or are too many.
    pub(super) fn namespaces(&mut self) -> Result<Vec<Net>, Refused> {
        let room = self.room * self.words() * 8 / nets::ENTRY;
        let program = match self.nets.take() {
            Some(program) => program,
            None => loaded(nets::program(&self.members, self.shared.map(), room as i32))?,
        };
        self.begin(Asked { table: Table::Established, states: 0, family: 0, scope: Scope::Own }, 0);
        self.shared.set(header::ROUNDS, room as u64 + 1);
        let result = run(&program)?;
        self.nets = Some(program);
        if result != step::DONE {
            return Err(Refused::NoTable);
        }
        Ok(self.shared.left(nets::ENTRY / 8).filter_map(Net::read).collect())
    }

    /// Passes every record of a table to `visit`, each once.
    ///
    /// # Errors
    /// If the table cannot be walked to its end; records may have been passed on.
    #[cfg(test)]
    pub(super) fn each(
        &mut self,
        asked: Asked,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Done, Refused> {
        self.steps(asked, &mut |record, _| visit(record))
    }

    /// The same, with the window in which each record was read.
    pub(super) fn steps(&mut self, asked: Asked, take: &mut Take<'_>) -> Result<Done, Refused> {
        let is_bound = asked.table == Table::Bound;
        self.prepare(asked.table)?;
        self.begin(asked, 0);
        let mut done = Done::default();
        let mut met = Met { is_of_interest: is_bound, ..Met::default() };
        loop {
            let bucket = self.shared.number(header::BUCKET);
            let program = self.bound.as_ref().filter(|_| is_bound).unwrap_or(&self.hash);
            let begin = clock::now_ns();
            let result = run(program)?;
            done.steps += 1;
            done.again = self.shared.number(header::AGAIN);
            let window = clock::since(begin);
            let mut visit = |record: Record<'_>| take(record, window);
            if self.hand_on(&mut done, &mut met, &mut visit).is_break() {
                done.stopped = true;
                break;
            }
            if result == step::DONE {
                break;
            }
            if is_bound && done.again > MOST_AGAIN {
                return Err(Refused::Bucket);
            }
            if !is_bound && self.shared.number(header::BUCKET) == bucket {
                self.grow(asked, bucket, result)?;
            }
        }
        Ok(done)
    }

    /// Loads the program for this table, unless it is loaded.
    ///
    /// # Errors
    /// If this kernel refuses.
    pub(super) fn prepare(&mut self, table: Table) -> Result<(), Refused> {
        if table == Table::Bound && self.bound.is_none() {
            let insns = bound::program(&self.members, &self.recipe, self.shared.map(), self.room as i32);
            self.bound = Some(loaded(insns)?);
        }
        Ok(())
    }

    /// Passes on the records that a step left.
    fn hand_on(
        &self,
        done: &mut Done,
        met: &mut Met,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for record in self.shared.left(self.words()) {
            if met.is_of_interest && !met.is_new(record, done.again) {
                continue;
            }
            done.records += 1;
            visit(record_of(&self.layout, record))?;
        }
        self.shared.taken();
        ControlFlow::Continue(())
    }

    fn begin(&self, asked: Asked, bucket: u64) {
        // A round of the program for bound sockets leaves at most one record.
        let rounds = if asked.table == Table::Bound { ROUNDS.min(self.room as u64) } else { ROUNDS };
        self.shared.begin(asked, bucket, rounds);
    }

    /// The number of buckets of the table that was walked last.
    pub(super) fn buckets(&self) -> u64 {
        self.shared.number(header::BUCKETS)
    }

    /// The parts that programs are made of.
    pub(super) fn parts(&self) -> (&Members, &Recipe) {
        (&self.members, &self.recipe)
    }

    /// After a step that did not finish its first bucket, allows more rounds or more
    /// memory.
    fn grow(&mut self, asked: Asked, bucket: u64, result: u32) -> Result<(), Refused> {
        let again = self.shared.number(header::AGAIN);
        if result == step::MORE {
            let rounds = self.shared.number(header::ROUNDS);
            if rounds >= MOST_ROUNDS {
                return Err(Refused::Bucket);
            }
            self.shared.set(header::ROUNDS, rounds * 2);
            return Ok(());
        }
        let room = self.room * 4;
        if room * usize::from(self.recipe.bytes) > MOST {
            return Err(Refused::Bucket);
        }
        (self.shared, self.room) = (shared(&self.recipe, room)?, room);
        self.hash = loaded(hash::program(&self.members, &self.recipe, self.shared.map(), room as i32))?;
        (self.bound, self.nets) = (None, None);
        self.begin(asked, bucket);
        self.shared.set(header::AGAIN, again);
        self.shared.set(header::ROUNDS, ROUNDS.max(room as u64 * 2));
        Ok(())
    }
}

/// Runs one step of a program, and returns its result.
///
/// # Errors
/// If the kernel does not run it, or the program finds no table.
pub(super) fn run(program: &OwnedFd) -> Result<u32, Refused> {
    match bpf::run(program.as_fd()) {
        Ok(step::NOTHING) => Err(Refused::NoTable),
        Ok(result) => Ok(result),
        Err(error) => Err(Refused::Call(RUNNING, error)),
    }
}

/// The record in these words.
pub(super) fn record_of<'a>(layout: &'a Layout, words: &'a [AtomicU64]) -> Record<'a> {
    let kind = match words.first().map_or(0, |word| (word.load(Relaxed) >> 32) as u8) {
        0 => Kind::Full,
        1 => Kind::TimeWait,
        _ => Kind::Request,
    };
    Record::new(layout, kind, words)
}

/// Bound sockets of a bucket that were already reported: a bucket that is read again may
/// report them again.
#[derive(Default)]
struct Met {
    is_of_interest: bool,
    bucket: u64,
    addresses: Vec<u64>,
}

impl Met {
    /// Whether this record is the first of its socket.
    fn is_new(&mut self, record: &[AtomicU64], again: u64) -> bool {
        let [first, address, ..] = record else { return false };
        let (bucket, address) = (first.load(Relaxed) >> 40, address.load(Relaxed));
        if bucket != self.bucket {
            self.bucket = bucket;
            self.addresses.clear();
        }
        if again > 0 && self.addresses.contains(&address) {
            return false;
        }
        self.addresses.push(address);
        true
    }
}

/// Memory for this many records.
fn shared(recipe: &Recipe, room: usize) -> Result<Shared, Refused> {
    Shared::new(room * usize::from(recipe.bytes))
}

/// Loads a program.
pub(super) fn loaded(insns: Result<Vec<Insn>, AssembleError>) -> Result<OwnedFd, Refused> {
    bpf::load(&bpf::Program {
        name: NAME,
        license: LICENSE,
        kind: BPF_PROG_TYPE_SYSCALL,
        attach_type: 0,
        target: 0,
        flags: BPF_F_SLEEPABLE,
        insns: &insns.map_err(Refused::Program)?,
    })
    .map_err(Refused::Load)
}

#[cfg(test)]
mod tests;
