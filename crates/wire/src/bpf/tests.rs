//! Labels bound before or after their use, and errors of the assembler.

#![allow(clippy::cast_possible_wrap, reason = "small, known numbers; each cast is meant")]

use super::Reg::{R0, R1, R2, R10};
use super::*;

/// xorshift64: the same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit.max(1)
    }
}

/// Which member of an instruction holds the distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Off,
    Imm,
}

/// A program of random instructions.
struct Sample {
    assembler: Assembler,
    /// Each instruction that uses a label, and the member that should hold the distance.
    uses: Vec<(usize, Label, Says)>,
    /// The positions of labels, counted independently of the assembler.
    bound: Vec<(Label, usize)>,
}

fn random(random: &mut Random) -> Sample {
    let mut a = Assembler::new();
    let labels: Vec<Label> = (0..=random.below(8)).map(|_| a.label()).collect();
    let steps = 1 + random.below(60);
    let places: Vec<usize> = labels.iter().map(|_| random.below(steps + 1)).collect();
    let (mut at, mut uses, mut bound) = (0, Vec::new(), Vec::new());
    for step in 0..=steps {
        for (label, _) in labels.iter().zip(&places).filter(|(_, place)| **place == step) {
            a.bind(*label);
            bound.push((*label, at));
        }
        let label = labels[random.below(labels.len())];
        let (says, length) = match random.below(9) {
            0 => (None, {
                a.mov(R1, R2);
                1
            }),
            1 => (None, {
                a.long(R1, u64::MAX);
                2
            }),
            2 => (None, {
                a.map(R1, 7);
                2
            }),
            3 => (None, {
                a.store_at(Width::U32, R10, -4, 1);
                1
            }),
            4 => (Some(Says::Off), {
                a.jump(label);
                1
            }),
            5 => (Some(Says::Off), {
                a.jump_if(R1, Cond::Ne, R2, label);
                1
            }),
            6 => (Some(Says::Off), {
                a.jump_if32(R1, Cond::SignedLt, -1, label);
                1
            }),
            7 => (Some(Says::Imm), {
                a.call_local(label);
                1
            }),
            _ => (Some(Says::Imm), {
                a.function(R2, label);
                2
            }),
        };
        uses.extend(says.map(|says| (at, label, says)));
        at += length;
    }
    Sample { assembler: a, uses, bound }
}

#[test]
fn every_label_leads_to_where_it_was_bound() {
    let mut seed = Random(0x5eed_0b9f);
    let mut used = 0;
    for round in 0..if cfg!(miri) { 20 } else { 5_000 } {
        let Sample { assembler, uses, bound } = random(&mut seed);
        let code = assembler.finish().expect("every label is bound");
        for (at, label, says) in uses {
            let insn = code.insns[at];
            let distance = if says == Says::Off { i64::from(insn.off) } else { i64::from(insn.imm) };
            let (_, place) = bound.iter().find(|(other, _)| *other == label).expect("bound");
            assert_eq!(at as i64 + 1 + distance, *place as i64, "round {round}, instruction {at}");
            used += 1;
        }
        for (label, place) in bound {
            assert_eq!(code.position(label), Some(place));
        }
    }
    assert!(cfg!(miri) || used > 50_000, "only {used} labels were used");
}

#[test]
#[cfg_attr(miri, ignore = "takes Miri many minutes")]
fn a_distance_reaches_as_far_as_its_bits() {
    let far = |between: usize, back: bool, jump: bool| {
        let mut a = Assembler::new();
        let label = a.label();
        let go = |a: &mut Assembler| if jump { a.jump(label) } else { a.call_local(label) };
        if back {
            a.bind(label);
        } else {
            go(&mut a);
        }
        (0..between).for_each(|_| a.mov(R0, 0));
        if back {
            go(&mut a);
        } else {
            a.bind(label);
        }
        a.exit();
        a.finish()
    };
    let max = i16::MAX as usize;
    assert_eq!(far(max, false, true).map(|code| code.insns[0].off), Ok(i16::MAX));
    let error = far(max + 1, false, true);
    assert_eq!(error, Err(AssembleError::TooFar { at: 0, distance: 32_768 }));
    assert_eq!(far(max, true, true).map(|code| code.insns[max].off), Ok(i16::MIN));
    let error = far(max + 1, true, true);
    assert_eq!(error, Err(AssembleError::TooFar { at: max + 1, distance: -32_769 }));
    assert_eq!(far(max + 1, false, false).map(|code| code.insns[0].imm), Ok(32_768));
}

#[test]
fn the_first_mistake_is_told() {
    let mut a = Assembler::new();
    let (once, never) = (a.label(), a.label());
    a.mov(R0, 0);
    a.bind(once);
    a.exit();
    a.bind(once);
    a.jump(never);
    assert_eq!(a.finish(), Err(AssembleError::BoundTwice { at: 2 }));

    let mut a = Assembler::new();
    let never = a.label();
    a.exit();
    a.call_local(never);
    assert_eq!(a.finish(), Err(AssembleError::Unbound { at: 1 }));

    let mut other = Assembler::new();
    other.label();
    let foreign = other.label();
    let mut a = Assembler::new();
    a.bind(foreign);
    a.jump(foreign);
    let error = a.finish().expect_err("nobody bound it here");
    assert_eq!(error.to_string(), "instruction 0 uses a label that is bound nowhere");

    let member = Member { offset: 0, bytes: 16, width: None, bits: None, type_id: 1 };
    let mut a = Assembler::new();
    a.load(R0, R1, member);
    a.load(R0, R1, Member { offset: 40_000, width: Some(Width::U32), ..member });
    assert_eq!(a.finish(), Err(AssembleError::NotLoadable { at: 0, bytes: 16 }));
    let mut a = Assembler::new();
    a.load(R0, R1, Member { offset: 40_000, width: Some(Width::U32), ..member });
    let error = a.finish().expect_err("an offset has 16 bits");
    assert_eq!(error.to_string(), "instruction 0 cannot reach a member at offset 40000");
}

#[test]
fn a_bit_field_is_shifted_out_of_its_bytes() {
    for (shift, count, bytes) in [(0, 1, 1), (3, 5, 1), (7, 9, 2), (31, 1, 4), (3, 60, 8)] {
        let width = Width::of(bytes);
        let mut a = Assembler::new();
        a.load(R2, R1, Member { offset: 8, bytes, width, bits: Some(Bits { shift, count }), type_id: 1 });
        let insns = a.finish().expect("a program").insns;
        assert_eq!(insns.len(), 3);
        assert_eq!(insns[0], Insn::load(width.expect("a width"), R2, R1, 8));
        // The two shifts must keep exactly the bits of the bit-field and drop all others.
        let shifted = |word: u64| word << insns[1].imm >> insns[2].imm;
        let own = (u64::MAX >> (64 - u32::from(count))) << shift;
        assert_eq!(shifted(own), own >> shift);
        assert_eq!(shifted(!own & (u64::MAX >> (64 - 8 * bytes))), 0);
    }
}
