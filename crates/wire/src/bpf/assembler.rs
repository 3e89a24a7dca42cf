//! Programs with labels instead of distances.
//!
//! Instructions are appended from first to last.  A label is created where it is first needed
//! and bound to the next instruction; jumps may refer to it before or after that.
//! [`Assembler::finish`] fills in the distances.
//!
//! ```
//! use sockdiag_wire::bpf::{Assembler, Cond, Reg::{R0, R1, R2}, Width};
//!
//! let mut a = Assembler::new();
//! let out = a.label();
//! a.mov(R0, 0);
//! a.load_at(Width::U64, R2, R1, 8);
//! a.jump_if(R2, Cond::Eq, 0, out);
//! a.mov(R0, 1);
//! a.bind(out);
//! a.exit();
//! assert_eq!(a.finish()?.insns.len(), 5);
//! # Ok::<(), sockdiag_wire::bpf::AssembleError>(())
//! ```
//!
//! Invariant: in a finished program every distance is filled in and leads to the instruction
//! that its label was bound to.

#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::error::Error;
use std::fmt;

use super::insn::{Alu, Cond, Insn, Operand, Reg, Width};
use super::lookup::Member;
use super::{
    BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC, BPF_PSEUDO_KFUNC_CALL, BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE,
};

/// A position in a program, valid only for the assembler that created it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// Why a program cannot be made.  Positions count instructions from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssembleError {
    /// A jump or call uses a label that was never bound.
    Unbound {
        /// The instruction that uses it.
        at: usize,
    },
    /// A label was bound twice.
    BoundTwice {
        /// The position of the second binding.
        at: usize,
    },
    /// The distance to a label does not fit the instruction.
    TooFar {
        /// The instruction.
        at: usize,
        /// The distance from the next instruction to the label, in instructions.
        distance: i64,
    },
    /// A member lies beyond the range of an instruction's offset.
    OutOfReach {
        /// The instruction.
        at: usize,
        /// The offset of the member, in bytes.
        offset: u32,
    },
    /// A member is neither a number nor a pointer, so no instruction can load it.
    NotLoadable {
        /// The instruction.
        at: usize,
        /// The size of the member, in bytes.
        bytes: u32,
    },
}

impl fmt::Display for AssembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbound { at } => write!(f, "instruction {at} uses a label that is bound nowhere"),
            Self::BoundTwice { at } => write!(f, "a label is bound again at instruction {at}"),
            Self::TooFar { at, distance } => {
                write!(f, "instruction {at} cannot reach its label, {distance} instructions away")
            }
            Self::OutOfReach { at, offset } => {
                write!(f, "instruction {at} cannot reach a member at offset {offset}")
            }
            Self::NotLoadable { at, bytes } => {
                write!(f, "instruction {at} cannot load a member of {bytes} bytes")
            }
        }
    }
}

impl Error for AssembleError {}

/// The member of an instruction that holds the distance to a label.
#[derive(Clone, Copy, Debug)]
enum Slot {
    /// `off`, used by jumps.
    Off,
    /// `imm`, used by calls.
    Imm,
}

/// An instruction whose distance is not filled in yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    at: usize,
    label: Label,
    slot: Slot,
}

/// A finished program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its instructions.
    pub insns: Vec<Insn>,
    labels: Vec<Option<usize>>,
}

impl Code {
    /// The index of the instruction that a label was bound to.  The kernel requires this start
    /// of each function together with the function's type.
    pub fn position(&self, label: Label) -> Option<usize> {
        self.labels.get(label.0).copied().flatten()
    }
}

/// A program under construction.
///
/// The first error is stored and returned by [`Self::finish`], so that code that builds a
/// program needs no `?` on every line.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    insns: Vec<Insn>,
    labels: Vec<Option<usize>>,
    open: Vec<Open>,
    mistake: Option<AssembleError>,
}

impl Assembler {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a label that is not bound yet.
    #[inline(never)]
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Binds a label to the next instruction.
    #[inline(never)]
    pub fn bind(&mut self, label: Label) {
        let at = self.insns.len();
        match self.labels.get_mut(label.0) {
            Some(place @ None) => *place = Some(at),
            Some(Some(_)) => self.mistake(AssembleError::BoundTwice { at }),
            // A label of another assembler; the instruction that uses it reports the error.
            None => {}
        }
    }

    /// Copies a 64-bit value.
    pub fn mov(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(Alu::Mov, dst, operand);
    }

    /// Copies a 32-bit value and clears the upper half of `dst`.
    pub fn mov32(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu32(Alu::Mov, dst, operand);
    }

    /// Adds 64 bits.
    pub fn add(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(Alu::Add, dst, operand);
    }

    /// Performs a 64-bit operation.
    pub fn alu(&mut self, op: Alu, dst: Reg, operand: impl Into<Operand>) {
        self.push_alu(op, dst, operand.into());
    }

    /// Performs a 32-bit operation and clears the upper half of `dst`.
    pub fn alu32(&mut self, op: Alu, dst: Reg, operand: impl Into<Operand>) {
        self.push_alu32(op, dst, operand.into());
    }

    /// Reverses the eight bytes of a register, on a little-endian machine.
    pub fn swap(&mut self, dst: Reg) {
        self.push(Insn::swap(dst));
    }

    /// Loads a 64-bit constant.
    pub fn long(&mut self, dst: Reg, value: u64) {
        self.push_long(dst, 0, value);
    }

    /// Loads a map, given by its descriptor.
    pub fn map(&mut self, dst: Reg, fd: i32) {
        self.push_long(dst, BPF_PSEUDO_MAP_FD, u64::from(fd as u32));
    }

    /// Loads the address of the one value of a map, given by its descriptor.
    pub fn map_value(&mut self, dst: Reg, fd: i32) {
        self.push_long(dst, BPF_PSEUDO_MAP_VALUE, u64::from(fd as u32));
    }

    /// Loads the address of a function of the program, as a callback for a helper.  The kernel
    /// then requires BTF types for the program's functions ([`Code::position`]).
    pub fn function(&mut self, dst: Reg, label: Label) {
        self.refer(label, Slot::Imm);
        self.push_long(dst, BPF_PSEUDO_FUNC, 0);
    }

    /// Loads a member of the structure at `base`, zero-extended.  A bit-field takes three
    /// instructions.
    #[inline(never)]
    pub fn load(&mut self, dst: Reg, base: Reg, member: Member) {
        let at = self.insns.len();
        let Some(width) = member.width else {
            return self.mistake(AssembleError::NotLoadable { at, bytes: member.bytes });
        };
        let Ok(off) = i16::try_from(member.offset) else {
            return self.mistake(AssembleError::OutOfReach { at, offset: member.offset });
        };
        self.load_at(width, dst, base, off);
        if let Some(bits) = member.bits {
            self.alu(Alu::Lsh, dst, 64 - i32::from(bits.shift) - i32::from(bits.count));
            self.alu(Alu::Rsh, dst, 64 - i32::from(bits.count));
        }
    }

    /// Loads a pointer, and jumps to `label` if it is null.
    #[inline(never)]
    pub fn load_or(&mut self, dst: Reg, base: Reg, member: Member, label: Label) {
        self.load(dst, base, member);
        self.jump_if(dst, Cond::Eq, 0, label);
    }

    /// Loads from the address `base + off`.
    #[inline(never)]
    pub fn load_at(&mut self, width: Width, dst: Reg, base: Reg, off: i16) {
        self.push(Insn::load(width, dst, base, off));
    }

    /// Stores to the address `base + off`; a register is truncated to the width.
    pub fn store_at(&mut self, width: Width, base: Reg, off: i16, operand: impl Into<Operand>) {
        self.push_store(width, base, off, operand.into());
    }

    /// Jumps to a label.
    pub fn jump(&mut self, label: Label) {
        self.refer(label, Slot::Off);
        self.push(Insn::jump(0));
    }

    /// Jumps to a label if the 64-bit comparison holds.
    pub fn jump_if(&mut self, dst: Reg, cond: Cond, operand: impl Into<Operand>, label: Label) {
        self.push_jump(dst, cond, operand.into(), label);
    }

    /// Jumps to a label if the comparison of the lower 32 bits holds.
    pub fn jump_if32(&mut self, dst: Reg, cond: Cond, operand: impl Into<Operand>, label: Label) {
        self.push_jump32(dst, cond, operand.into(), label);
    }

    /// Calls a helper (`BPF_FUNC_*`).
    pub fn call(&mut self, helper: i32) {
        self.push(Insn::call(0, helper));
    }

    /// Atomically adds `src` to a number in memory and loads the old value into `src`.  This
    /// is a full memory barrier for the accesses before and after it.
    pub fn fetch_add(&mut self, width: Width, base: Reg, off: i16, src: Reg) {
        self.push(Insn::fetch_add(width, base, off, src));
    }

    /// Calls a kfunc by its BTF id in the kernel ([`super::Lookup::function`]).
    pub fn call_kfunc(&mut self, function: u32) {
        self.push(Insn::call(BPF_PSEUDO_KFUNC_CALL, function as i32));
    }

    /// Calls a function of the program.
    pub fn call_local(&mut self, label: Label) {
        self.refer(label, Slot::Imm);
        self.push(Insn::call(BPF_PSEUDO_CALL, 0));
    }

    /// Returns R0.
    pub fn exit(&mut self) {
        self.push(Insn::exit());
    }

    /// Fills in the distances.
    ///
    /// # Errors
    /// The first error of the calls that built this program.
    pub fn finish(self) -> Result<Code, AssembleError> {
        let Self { mut insns, labels, open, mistake } = self;
        if let Some(mistake) = mistake {
            return Err(mistake);
        }
        for Open { at, label, slot } in open {
            let place = labels.get(label.0).copied().flatten();
            let (Some(place), Some(insn)) = (place, insns.get_mut(at)) else {
                return Err(AssembleError::Unbound { at });
            };
            // Both are lengths of a list in memory, so the casts lose nothing.
            let distance = place as i64 - at as i64 - 1;
            let too_far = |_| AssembleError::TooFar { at, distance };
            match slot {
                Slot::Off => insn.off = i16::try_from(distance).map_err(too_far)?,
                Slot::Imm => insn.imm = i32::try_from(distance).map_err(too_far)?,
            }
        }
        Ok(Code { insns, labels })
    }

    // Not inlined: a program makes hundreds of calls of the methods above, and each would
    // contain a copy of these functions.
    #[inline(never)]
    fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
    }

    #[inline(never)]
    fn push_alu(&mut self, op: Alu, dst: Reg, operand: Operand) {
        self.push(Insn::alu(op, dst, operand));
    }

    #[inline(never)]
    fn push_alu32(&mut self, op: Alu, dst: Reg, operand: Operand) {
        self.push(Insn::alu32(op, dst, operand));
    }

    #[inline(never)]
    fn push_jump(&mut self, dst: Reg, cond: Cond, operand: Operand, label: Label) {
        self.refer(label, Slot::Off);
        self.push(Insn::jump_if(dst, cond, operand, 0));
    }

    #[inline(never)]
    fn push_jump32(&mut self, dst: Reg, cond: Cond, operand: Operand, label: Label) {
        self.refer(label, Slot::Off);
        self.push(Insn::jump_if32(dst, cond, operand, 0));
    }

    #[inline(never)]
    fn push_store(&mut self, width: Width, base: Reg, off: i16, operand: Operand) {
        self.push(Insn::store(width, base, off, operand));
    }

    #[inline(never)]
    fn push_long(&mut self, dst: Reg, kind: u8, value: u64) {
        self.insns.extend(Insn::long(dst, kind, value));
    }

    #[inline(never)]
    fn refer(&mut self, label: Label, slot: Slot) {
        self.open.push(Open { at: self.insns.len(), label, slot });
    }

    fn mistake(&mut self, mistake: AssembleError) {
        self.mistake.get_or_insert(mistake);
    }
}
