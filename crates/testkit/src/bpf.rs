//! An interpreter of BPF programs, so that a test can check a program without loading it into
//! the kernel.
//!
//! Memory is what a test puts there, a stack of 512 bytes and a map's value; reading or
//! writing anything else, and an unknown instruction, ends the run.  The test supplies the
//! kernel's functions, helpers and kfuncs alike, which may change memory.  The address of a
//! map's value is its descriptor.
//!
//! Written from Documentation/bpf/standardization/instruction-set.rst, independently of
//! `sockdiag-wire`, so that it can check it.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]

use std::collections::HashMap;
use std::ops::Range;

/// Opcode, destination and source register, offset, immediate value.
pub type Insn = (u8, u8, u8, i16, i32);

/// The address of the stack's end.
const STACK_END: u64 = 0x7fff_0000;
/// The size of the stack, in bytes.
const STACK: u64 = 512;
/// A program that runs for more instructions than this counts as endless.
const STEPS: u32 = 1 << 20;

/// Why a run ended before the program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The program read memory that nobody had written.
    Read(u64),
    /// The program wrote outside the stack and the map's value.
    Write(u64),
    /// The program jumped to an instruction that does not exist.
    Place(i64),
    /// The instruction is unknown.
    Unknown(Insn),
    /// The program did not end within the limit.
    Endless,
}

/// Bytes by their address.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    bytes: HashMap<u64, u8>,
    /// The addresses of a map's value.
    value: Range<u64>,
}

/// A function of the kernel: its number and its five arguments.
pub type Helper<'h> = &'h mut dyn FnMut(&mut Machine, i32, [u64; 5]) -> u64;

impl Machine {
    /// Puts bytes at an address.
    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        self.bytes.extend((at..).zip(bytes.iter().copied()));
    }

    /// Puts a map's value, all zeros, at an address.
    pub fn put_value(&mut self, at: u64, length: u64) {
        self.value = at..at + length;
        self.put(at, &vec![0; length as usize]);
    }

    /// Bytes at an address, without those that nobody wrote.
    pub fn get(&self, at: u64, length: usize) -> Vec<u8> {
        (at..).take(length).filter_map(|at| self.bytes.get(&at).copied()).collect()
    }

    fn load(&self, at: u64, length: u64) -> Result<u64, Fault> {
        (0..length).rev().try_fold(0, |value, byte| {
            let at = at.wrapping_add(byte);
            let byte = self.bytes.get(&at).ok_or(Fault::Read(at))?;
            Ok(value << 8 | u64::from(*byte))
        })
    }

    fn store(&mut self, at: u64, length: u64, value: u64) -> Result<(), Fault> {
        let within = |room: Range<u64>| at >= room.start && at.saturating_add(length) <= room.end;
        if !within(STACK_END - STACK..STACK_END) && !within(self.value.clone()) {
            return Err(Fault::Write(at));
        }
        self.put(at, &value.to_le_bytes()[..length as usize]);
        Ok(())
    }

    /// Runs a program to its end; R1 is `context`.  Returns R0.
    ///
    /// # Errors
    /// A fault that the kernel's verifier would have rejected.
    pub fn run(&mut self, program: &[Insn], context: u64, helper: Helper<'_>) -> Result<u64, Fault> {
        let mut regs = [0_u64; 16];
        (regs[1], regs[10]) = (context, STACK_END);
        let mut next = 0_i64;
        for _ in 0..STEPS {
            let insn = usize::try_from(next).ok().and_then(|at| program.get(at)).ok_or(Fault::Place(next))?;
            let (code, dst, src, off, imm) = *insn;
            let (dst, src) = (usize::from(dst & 0xf), usize::from(src & 0xf));
            let near = |reg: usize| regs[reg].wrapping_add_signed(off.into());
            let length = [4, 2, 1, 8][usize::from(code >> 3 & 3)];
            let operand = if code & 8 == 0 { i64::from(imm) as u64 } else { regs[src] };
            next += 1;
            match code & 7 {
                // A 64-bit constant: its upper half is the next instruction's immediate value.
                0 if code == 0x18 => {
                    let high = usize::try_from(next).ok().and_then(|at| program.get(at));
                    let high = high.ok_or(Fault::Place(next))?.4;
                    regs[dst] = u64::from(high as u32) << 32 | u64::from(imm as u32);
                    next += 1;
                }
                1 if code & 0xe0 == 0x60 => regs[dst] = self.load(near(src), length)?,
                2 if code & 0xe0 == 0x60 => self.store(near(dst), length, i64::from(imm) as u64)?,
                // Fetch and add: the register gets the old value.
                3 if code & 0xe7 == 0xc3 && imm == 1 => {
                    let old = self.load(near(dst), length)?;
                    self.store(near(dst), length, old.wrapping_add(regs[src]))?;
                    regs[src] = old;
                }
                3 if code & 0xe0 == 0x60 => self.store(near(dst), length, regs[src])?,
                4 if code == 0xdc && imm == 64 => regs[dst] = regs[dst].swap_bytes(),
                4 => {
                    let (left, right) = (regs[dst] as u32, operand as u32);
                    let result = match code & 0xf0 {
                        0xc0 => ((left as i32) >> (right & 31)) as u64,
                        op => computed(op, left.into(), right.into(), 31).ok_or(Fault::Unknown(*insn))?,
                    };
                    regs[dst] = u64::from(result as u32);
                }
                7 => {
                    regs[dst] = match code & 0xf0 {
                        0xc0 => ((regs[dst] as i64) >> (operand & 63)) as u64,
                        op => computed(op, regs[dst], operand, 63).ok_or(Fault::Unknown(*insn))?,
                    };
                }
                5 if code == 0x95 => return Ok(regs[0]),
                5 if code == 0x85 && [0, 2].contains(&src) => {
                    let arguments = [regs[1], regs[2], regs[3], regs[4], regs[5]];
                    regs[0] = helper(self, imm, arguments);
                    // A call clobbers R1 to R5, so the program must not rely on them.
                    regs[1..6].fill(0xdead_dead_dead_dead);
                }
                5 | 6 => {
                    let (left, right) = match code & 7 {
                        5 => (regs[dst], operand),
                        _ => (u64::from(regs[dst] as u32), u64::from(operand as u32)),
                    };
                    let signed =
                        |value: u64| if code & 7 == 5 { value as i64 } else { (value as i32).into() };
                    let jumps = match code & 0xf0 {
                        0x00 if code & 7 == 5 => true,
                        0x10 => left == right,
                        0x20 => left > right,
                        0x30 => left >= right,
                        0x40 => left & right != 0,
                        0x50 => left != right,
                        0x60 => signed(left) > signed(right),
                        0x70 => signed(left) >= signed(right),
                        0xa0 => left < right,
                        0xb0 => left <= right,
                        0xc0 => signed(left) < signed(right),
                        0xd0 => signed(left) <= signed(right),
                        _ => return Err(Fault::Unknown(*insn)),
                    };
                    if jumps {
                        next += i64::from(off);
                    }
                }
                _ => return Err(Fault::Unknown(*insn)),
            }
        }
        Err(Fault::Endless)
    }
}

/// The operations that 32-bit and 64-bit instructions compute alike: all but the arithmetic
/// shift to the right.
fn computed(op: u8, left: u64, right: u64, most_shift: u64) -> Option<u64> {
    Some(match op {
        0x00 => left.wrapping_add(right),
        0x10 => left.wrapping_sub(right),
        0x20 => left.wrapping_mul(right),
        0x30 => left.checked_div(right).unwrap_or(0),
        0x40 => left | right,
        0x50 => left & right,
        0x60 => left << (right & most_shift),
        0x70 => left >> (right & most_shift),
        0x80 => left.wrapping_neg(),
        0x90 => left.checked_rem(right).unwrap_or(left),
        0xa0 => left ^ right,
        0xb0 => right,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &[Insn]) -> Result<u64, Fault> {
        let mut machine = Machine::default();
        machine.put(0x100, &[1, 2, 3, 4, 5, 6, 7, 0x88]);
        machine.run(program, 0x100, &mut |_, helper, arguments| helper as u64 + arguments[1])
    }

    const EXIT: Insn = (0x95, 0, 0, 0, 0);

    #[test]
    fn instructions_do_what_the_standard_says() {
        // r0 = *(u64 *)(r1 + 0), and its parts
        assert_eq!(run(&[(0x79, 0, 1, 0, 0), EXIT]), Ok(0x8807_0605_0403_0201));
        assert_eq!(run(&[(0x61, 0, 1, 4, 0), EXIT]), Ok(0x8807_0605));
        assert_eq!(run(&[(0x69, 0, 1, 6, 0), EXIT]), Ok(0x8807));
        assert_eq!(run(&[(0x71, 0, 1, 7, 0), EXIT]), Ok(0x88));
        // A constant is sign-extended to 64 bits; 32-bit arithmetic clears the upper half.
        assert_eq!(run(&[(0xb7, 0, 0, 0, -1), EXIT]), Ok(u64::MAX));
        assert_eq!(run(&[(0xb4, 0, 0, 0, -1), EXIT]), Ok(u32::MAX.into()));
        let load = (0x18, 0, 0, 0, -2);
        assert_eq!(run(&[load, (0, 0, 0, 0, 7), EXIT]), Ok(0x7_ffff_fffe));
        // Shifts to the right: logical and arithmetic, 64-bit and 32-bit.
        let shifted = |code| run(&[(0xb7, 0, 0, 0, -16), (code, 0, 0, 0, 4), EXIT]);
        assert_eq!([0x77, 0xc7].map(shifted), [Ok(u64::MAX >> 4), Ok(u64::MAX)]);
        assert_eq!([0x74, 0xc4].map(shifted), [Ok(0x0fff_ffff), Ok(0xffff_ffff)]);
        let (low, high) = ((0x18, 0, 0, 0, 0x0506_0708), (0, 0, 0, 0, 0x0102_0304));
        assert_eq!(run(&[low, high, (0xdc, 0, 0, 0, 64), EXIT]), Ok(0x0807_0605_0403_0201));
        // Dividing by 0 gives 0; modulo 0 leaves the value.
        assert_eq!(run(&[(0xb7, 0, 0, 0, 9), (0x37, 0, 0, 0, 0), EXIT]), Ok(0));
        assert_eq!(run(&[(0xb7, 0, 0, 0, 9), (0x97, 0, 0, 0, 0), EXIT]), Ok(9));
        // A jump skips the next instruction; comparisons are signed or unsigned.
        let jumps = |code| run(&[(0xb7, 0, 0, 0, -1), (code, 0, 0, 1, 1), (0xb7, 0, 0, 0, 5), EXIT]);
        for (code, jumped) in [
            (0x25, true),
            (0x65, false),
            (0xc5, true),
            (0x15, false),
            (0x55, true),
            (0x45, true),
            (0x26, true),
        ] {
            assert_eq!(jumps(code), Ok(if jumped { u64::MAX } else { 5 }), "{code:#x}");
        }
        // A call receives its arguments and clobbers their registers.
        let call = [(0xb7, 2, 0, 0, 30), (0x85, 0, 0, 0, 127), EXIT];
        assert_eq!(run(&call), Ok(157));
        assert_eq!(run(&[(0x85, 0, 0, 0, 1), (0xbf, 0, 2, 0, 0), EXIT]), Ok(0xdead_dead_dead_dead));
        // What is written to the stack can be read back.
        assert_eq!(run(&[(0x7a, 10, 0, -8, -3), (0x61, 0, 10, -8, 0), EXIT]), Ok(0xffff_fffd));
    }

    #[test]
    fn what_the_verifier_refuses_is_a_fault() {
        assert_eq!(run(&[(0x79, 0, 1, 1, 0), EXIT]), Err(Fault::Read(0x108)));
        assert_eq!(run(&[(0x7a, 10, 0, 0, 1), EXIT]), Err(Fault::Write(STACK_END)));
        assert_eq!(run(&[(0x7b, 1, 1, 0, 0), EXIT]), Err(Fault::Write(0x100)));
        assert_eq!(run(&[(0xb7, 0, 0, 0, 1)]), Err(Fault::Place(1)));
        assert_eq!(run(&[(0x05, 0, 0, -2, 0)]), Err(Fault::Place(-1)));
        assert_eq!(run(&[(0x05, 0, 0, -1, 0)]), Err(Fault::Endless));
        assert_eq!(run(&[(0xff, 0, 0, 0, 0)]), Err(Fault::Unknown((0xff, 0, 0, 0, 0))));
    }
}
