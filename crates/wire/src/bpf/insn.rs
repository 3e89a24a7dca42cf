//! A single instruction, and its registers, widths and operations.
//!
//! Each constructor encodes one operation.  Whether the operation is valid at some place of a
//! program is for the kernel's verifier to decide.
//!
//! Source: Documentation/bpf/standardization/instruction-set.rst.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use super::{
    BPF_ADD, BPF_ALU, BPF_ALU64, BPF_AND, BPF_ARSH, BPF_ATOMIC, BPF_B, BPF_CALL, BPF_DIV, BPF_DW, BPF_END,
    BPF_EXIT, BPF_FETCH, BPF_H, BPF_IMM, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JLE, BPF_JLT, BPF_JMP,
    BPF_JMP32, BPF_JNE, BPF_JSET, BPF_JSGE, BPF_JSGT, BPF_JSLE, BPF_JSLT, BPF_K, BPF_LD, BPF_LDX, BPF_LSH,
    BPF_MEM, BPF_MOD, BPF_MOV, BPF_MUL, BPF_NEG, BPF_OR, BPF_REG_0, BPF_REG_1, BPF_REG_2, BPF_REG_3,
    BPF_REG_4, BPF_REG_5, BPF_REG_6, BPF_REG_7, BPF_REG_8, BPF_REG_9, BPF_REG_10, BPF_RSH, BPF_ST, BPF_STX,
    BPF_SUB, BPF_TO_BE, BPF_W, BPF_X, BPF_XOR,
};

/// A register of 64 bits.
///
/// A call takes its arguments in R1 to R5, clobbers them, and returns its result in R0; R6 to
/// R9 are preserved.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reg {
    /// Result of a call, and of the program.
    R0 = BPF_REG_0,
    /// First argument; the program's context when it begins.
    R1 = BPF_REG_1,
    /// Second argument.
    R2 = BPF_REG_2,
    /// Third argument.
    R3 = BPF_REG_3,
    /// Fourth argument.
    R4 = BPF_REG_4,
    /// Fifth argument.
    R5 = BPF_REG_5,
    /// Preserved across calls.
    R6 = BPF_REG_6,
    /// Preserved across calls.
    R7 = BPF_REG_7,
    /// Preserved across calls.
    R8 = BPF_REG_8,
    /// Preserved across calls.
    R9 = BPF_REG_9,
    /// The end of the 512-byte stack; read-only.
    R10 = BPF_REG_10,
}

/// The number of bytes that a load or store moves.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    U8 = BPF_B,
    /// Two bytes.
    U16 = BPF_H,
    /// Four bytes.
    U32 = BPF_W,
    /// Eight bytes.
    U64 = BPF_DW,
}

impl Width {
    /// The width for this number of bytes; `None` if no instruction has it.
    pub const fn of(bytes: u32) -> Option<Self> {
        Some(match bytes {
            1 => Self::U8,
            2 => Self::U16,
            4 => Self::U32,
            8 => Self::U64,
            _ => return None,
        })
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 => 4,
            Self::U64 => 8,
        }
    }
}

/// An arithmetic operation of a register and an operand; the register receives the result.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alu {
    /// Sum.
    Add = BPF_ADD,
    /// Difference.
    Sub = BPF_SUB,
    /// Product.
    Mul = BPF_MUL,
    /// Quotient, unsigned; 0 where the operand is 0.
    Div = BPF_DIV,
    /// Bitwise or.
    Or = BPF_OR,
    /// Bitwise and.
    And = BPF_AND,
    /// Shift to the left.
    Lsh = BPF_LSH,
    /// Shift to the right, zeros shifted in.
    Rsh = BPF_RSH,
    /// Negation of the register; the operand must be the constant 0.
    Neg = BPF_NEG,
    /// Remainder, unsigned; unchanged where the operand is 0.
    Mod = BPF_MOD,
    /// Bitwise exclusive or.
    Xor = BPF_XOR,
    /// The operand itself.
    Mov = BPF_MOV,
    /// Shift to the right, the sign shifted in.
    Arsh = BPF_ARSH,
}

/// The condition of a jump, which compares a register with an operand.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cond {
    /// They are equal.
    Eq = BPF_JEQ,
    /// They differ.
    Ne = BPF_JNE,
    /// The register is greater, unsigned.
    Gt = BPF_JGT,
    /// The register is greater or equal, unsigned.
    Ge = BPF_JGE,
    /// The register is less, unsigned.
    Lt = BPF_JLT,
    /// The register is less or equal, unsigned.
    Le = BPF_JLE,
    /// The register is greater, signed.
    SignedGt = BPF_JSGT,
    /// The register is greater or equal, signed.
    SignedGe = BPF_JSGE,
    /// The register is less, signed.
    SignedLt = BPF_JSLT,
    /// The register is less or equal, signed.
    SignedLe = BPF_JSLE,
    /// They share a set bit.
    Set = BPF_JSET,
}

/// A second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// A constant, sign-extended to 64 bits.
    Imm(i32),
}

impl From<Reg> for Operand {
    fn from(reg: Reg) -> Self {
        Self::Reg(reg)
    }
}

impl From<i32> for Operand {
    fn from(imm: i32) -> Self {
        Self::Imm(imm)
    }
}

/// One instruction (`struct bpf_insn`), as the kernel reads it from memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Opcode.
    pub code: u8,
    /// The two registers, as 4-bit fields in the machine's order.
    regs: u8,
    /// Offset, in bytes or instructions.
    pub off: i16,
    /// A constant.
    pub imm: i32,
}

impl Insn {
    /// Encodes an instruction.  Only the lower four bits of `src` are used; it is not always a
    /// register.
    const fn new(code: u8, dst: Reg, src: u8, off: i16, imm: i32) -> Self {
        let (dst, src) = (dst as u8, src & 0xf);
        let regs = if cfg!(target_endian = "big") { dst << 4 | src } else { src << 4 | dst };
        Self { code, regs, off, imm }
    }

    /// Encodes an operation with a register or a constant as operand.
    const fn with(code: u8, dst: Reg, operand: Operand, off: i16) -> Self {
        match operand {
            Operand::Reg(src) => Self::new(code | BPF_X, dst, src as u8, off, 0),
            Operand::Imm(imm) => Self::new(code | BPF_K, dst, 0, off, imm),
        }
    }

    /// The number of the first register.
    pub const fn dst(self) -> u8 {
        if cfg!(target_endian = "big") { self.regs >> 4 } else { self.regs & 0xf }
    }

    /// The number of the second register, or the code that is stored in its place.
    pub const fn src(self) -> u8 {
        if cfg!(target_endian = "big") { self.regs & 0xf } else { self.regs >> 4 }
    }

    /// Performs a 64-bit operation.
    pub const fn alu(op: Alu, dst: Reg, operand: Operand) -> Self {
        Self::with(BPF_ALU64 | op as u8, dst, operand, 0)
    }

    /// Performs a 32-bit operation and clears the upper half of `dst`.
    pub const fn alu32(op: Alu, dst: Reg, operand: Operand) -> Self {
        Self::with(BPF_ALU | op as u8, dst, operand, 0)
    }

    /// Reverses the eight bytes of a register, on a little-endian machine.
    pub const fn swap(dst: Reg) -> Self {
        Self::new(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 64)
    }

    /// Loads from memory, zero-extended.
    pub const fn load(width: Width, dst: Reg, base: Reg, off: i16) -> Self {
        Self::new(BPF_LDX | BPF_MEM | width as u8, dst, base as u8, off, 0)
    }

    /// Stores to memory; a register is truncated to the width.
    pub const fn store(width: Width, base: Reg, off: i16, operand: Operand) -> Self {
        match operand {
            Operand::Reg(src) => Self::new(BPF_STX | BPF_MEM | width as u8, base, src as u8, off, 0),
            Operand::Imm(imm) => Self::new(BPF_ST | BPF_MEM | width as u8, base, 0, off, imm),
        }
    }

    /// Atomically adds a register to a number of four or eight bytes in memory; the register
    /// receives the old value.  Since Linux 5.12.
    pub const fn fetch_add(width: Width, base: Reg, off: i16, src: Reg) -> Self {
        let what = BPF_ADD as i32 | BPF_FETCH;
        Self::new(BPF_STX | BPF_ATOMIC | width as u8, base, src as u8, off, what)
    }

    /// Jumps by `off` instructions, counted from the next one.
    pub const fn jump(off: i16) -> Self {
        Self::new(BPF_JMP | BPF_JA, Reg::R0, 0, off, 0)
    }

    /// Jumps if the 64-bit comparison holds.
    pub const fn jump_if(dst: Reg, cond: Cond, operand: Operand, off: i16) -> Self {
        Self::with(BPF_JMP | cond as u8, dst, operand, off)
    }

    /// Jumps if the comparison of the lower 32 bits holds.
    pub const fn jump_if32(dst: Reg, cond: Cond, operand: Operand, off: i16) -> Self {
        Self::with(BPF_JMP32 | cond as u8, dst, operand, off)
    }

    /// Calls; `kind` is `BPF_PSEUDO_*`, or 0 for a helper.
    pub const fn call(kind: u8, imm: i32) -> Self {
        Self::new(BPF_JMP | BPF_CALL, Reg::R0, kind, 0, imm)
    }

    /// Returns R0.
    pub const fn exit() -> Self {
        Self::new(BPF_JMP | BPF_EXIT, Reg::R0, 0, 0, 0)
    }

    /// Loads a 64-bit constant, which takes two instructions; `kind` is `BPF_PSEUDO_*`, or 0
    /// for a plain number.
    pub const fn long(dst: Reg, kind: u8, value: u64) -> [Self; 2] {
        [
            Self::new(BPF_LD | BPF_IMM | BPF_DW, dst, kind, 0, value as u32 as i32),
            Self::new(0, Reg::R0, 0, 0, (value >> 32) as u32 as i32),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::bpf::{
        BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC, BPF_PSEUDO_KFUNC_CALL, BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE,
        InsnView,
    };
    use Reg::{R0, R1, R2, R3, R4, R6, R7, R9, R10};

    /// The bytes of an instruction in memory.
    fn bytes(insn: Insn) -> Vec<u8> {
        let mut bytes = vec![insn.code, insn.regs];
        bytes.extend(insn.off.to_ne_bytes());
        bytes.extend(insn.imm.to_ne_bytes());
        bytes
    }

    #[test]
    fn members_lie_where_the_kernel_reads_them() {
        let offset = |name: &str| InsnView::LAYOUT.offset(name);
        assert_eq!((offset_of!(Insn, code), offset_of!(Insn, off)), (offset("code"), offset("off")));
        assert_eq!((offset_of!(Insn, imm), offset_of!(Insn, regs)), (offset("imm"), offset("dst_reg")));
        assert_eq!(size_of::<Insn>(), InsnView::LAYOUT.end());
        let insn = Insn::jump_if(R9, Cond::Ne, R3.into(), -2);
        let bytes = bytes(insn);
        let view = InsnView::new(&bytes);
        assert_eq!((view.code(), view.dst(), view.src()), (Some(0x5d), Some(9), Some(3)));
        assert_eq!((view.off(), view.imm()), (Some(-2_i16 as u16), Some(0)));
        assert_eq!((insn.dst(), insn.src()), (9, 3));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn instructions_have_the_bytes_that_the_kernel_documents() {
        let imm = Operand::Imm;
        let reg = Operand::Reg;
        let known: &[(Insn, [u8; 8])] = &[
            (Insn::alu(Alu::Mov, R6, reg(R1)), [0xbf, 0x16, 0, 0, 0, 0, 0, 0]),
            (Insn::alu(Alu::Mov, R0, imm(0)), [0xb7, 0x00, 0, 0, 0, 0, 0, 0]),
            (Insn::alu(Alu::Add, R2, imm(-16)), [0x07, 0x02, 0, 0, 0xf0, 0xff, 0xff, 0xff]),
            (Insn::alu(Alu::Sub, R2, reg(R3)), [0x1f, 0x32, 0, 0, 0, 0, 0, 0]),
            (Insn::alu(Alu::Mul, R2, imm(3)), [0x27, 0x02, 0, 0, 3, 0, 0, 0]),
            (Insn::alu(Alu::Div, R2, imm(3)), [0x37, 0x02, 0, 0, 3, 0, 0, 0]),
            (Insn::alu(Alu::Or, R2, imm(3)), [0x47, 0x02, 0, 0, 3, 0, 0, 0]),
            (Insn::alu(Alu::And, R2, imm(3)), [0x57, 0x02, 0, 0, 3, 0, 0, 0]),
            (Insn::alu(Alu::Lsh, R2, imm(32)), [0x67, 0x02, 0, 0, 32, 0, 0, 0]),
            (Insn::alu(Alu::Rsh, R2, imm(32)), [0x77, 0x02, 0, 0, 32, 0, 0, 0]),
            (Insn::alu(Alu::Neg, R2, imm(0)), [0x87, 0x02, 0, 0, 0, 0, 0, 0]),
            (Insn::alu(Alu::Mod, R2, imm(3)), [0x97, 0x02, 0, 0, 3, 0, 0, 0]),
            (Insn::alu(Alu::Xor, R2, reg(R2)), [0xaf, 0x22, 0, 0, 0, 0, 0, 0]),
            (Insn::alu(Alu::Arsh, R1, imm(32)), [0xc7, 0x01, 0, 0, 32, 0, 0, 0]),
            (Insn::alu32(Alu::Add, R1, reg(R2)), [0x0c, 0x21, 0, 0, 0, 0, 0, 0]),
            (Insn::alu32(Alu::Mov, R1, imm(7)), [0xb4, 0x01, 0, 0, 7, 0, 0, 0]),
            (Insn::load(Width::U64, R7, R6, 24), [0x79, 0x67, 24, 0, 0, 0, 0, 0]),
            (Insn::load(Width::U32, R3, R7, 0x1234), [0x61, 0x73, 0x34, 0x12, 0, 0, 0, 0]),
            (Insn::load(Width::U16, R3, R7, 0), [0x69, 0x73, 0, 0, 0, 0, 0, 0]),
            (Insn::load(Width::U8, R3, R7, -1), [0x71, 0x73, 0xff, 0xff, 0, 0, 0, 0]),
            (Insn::store(Width::U32, R10, -16, reg(R3)), [0x63, 0x3a, 0xf0, 0xff, 0, 0, 0, 0]),
            (Insn::store(Width::U64, R10, -8, reg(R4)), [0x7b, 0x4a, 0xf8, 0xff, 0, 0, 0, 0]),
            (Insn::store(Width::U64, R10, -8, imm(5)), [0x7a, 0x0a, 0xf8, 0xff, 5, 0, 0, 0]),
            (Insn::store(Width::U8, R10, -1, imm(5)), [0x72, 0x0a, 0xff, 0xff, 5, 0, 0, 0]),
            (Insn::fetch_add(Width::U64, R10, -8, R3), [0xdb, 0x3a, 0xf8, 0xff, 1, 0, 0, 0]),
            (Insn::fetch_add(Width::U32, R7, 4, R2), [0xc3, 0x27, 4, 0, 1, 0, 0, 0]),
            (Insn::jump(3), [0x05, 0, 3, 0, 0, 0, 0, 0]),
            (Insn::jump_if(R7, Cond::Eq, imm(0), 5), [0x15, 0x07, 5, 0, 0, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::Ne, reg(R4), -1), [0x5d, 0x43, 0xff, 0xff, 0, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::Gt, imm(1), 0), [0x25, 0x03, 0, 0, 1, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::Ge, imm(1), 0), [0x35, 0x03, 0, 0, 1, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::Set, imm(1), 0), [0x45, 0x03, 0, 0, 1, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::SignedGt, imm(1), 0), [0x65, 0x03, 0, 0, 1, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::SignedGe, imm(1), 0), [0x75, 0x03, 0, 0, 1, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::Lt, imm(1), 0), [0xa5, 0x03, 0, 0, 1, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::Le, imm(1), 0), [0xb5, 0x03, 0, 0, 1, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::SignedLt, imm(1), 0), [0xc5, 0x03, 0, 0, 1, 0, 0, 0]),
            (Insn::jump_if(R3, Cond::SignedLe, imm(1), 0), [0xd5, 0x03, 0, 0, 1, 0, 0, 0]),
            (Insn::jump_if32(R9, Cond::Eq, imm(-2), 6), [0x16, 0x09, 6, 0, 0xfe, 0xff, 0xff, 0xff]),
            (Insn::jump_if32(R9, Cond::Eq, reg(R1), 6), [0x1e, 0x19, 6, 0, 0, 0, 0, 0]),
            (Insn::call(0, 127), [0x85, 0, 0, 0, 127, 0, 0, 0]),
            (Insn::call(BPF_PSEUDO_CALL, -2), [0x85, 0x10, 0, 0, 0xfe, 0xff, 0xff, 0xff]),
            (Insn::call(BPF_PSEUDO_KFUNC_CALL, 0x1_0203), [0x85, 0x20, 0, 0, 3, 2, 1, 0]),
            (Insn::exit(), [0x95, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (insn, want) in known {
            assert_eq!(bytes(*insn), want, "{insn:?}");
        }
        let long = |kind| Insn::long(R1, kind, 0x1122_3344_5566_7788).map(bytes);
        let high = vec![0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11];
        assert_eq!(long(0), [vec![0x18, 0x01, 0, 0, 0x88, 0x77, 0x66, 0x55], high.clone()]);
        assert_eq!(long(BPF_PSEUDO_MAP_FD)[0][1], 0x11);
        assert_eq!(long(BPF_PSEUDO_MAP_VALUE)[0][1], 0x21);
        assert_eq!(long(BPF_PSEUDO_FUNC)[0][1], 0x41);
    }

    #[test]
    fn widths_are_those_of_loads() {
        for bytes in 0..=16 {
            let is_a_width = [1, 2, 4, 8].contains(&bytes);
            assert_eq!(Width::of(bytes).map(Width::bytes), is_a_width.then_some(bytes));
        }
    }
}
