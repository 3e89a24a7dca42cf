//! Runs the program on a simulated machine: which buckets it reports, and which not.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use sockdiag_testkit::bpf::Machine;

use super::super::hash::tests::{
    BUCKETS, ROOM, SOCKETS_AT, Sockets, TASK_AT, VALUE_AT, header as number, members, put_pointers, recipe,
};
use super::*;

/// The simulated table, and the program.
struct World {
    machine: Machine,
    sockets: Sockets,
    insns: Vec<(u8, u8, u8, i16, i32)>,
}

/// Words that are watched, and one that is not.
const WATCHED: [u32; 3] = [0, 8, 88];
const OTHER: u64 = 48;
/// Bits 8 to 12 of the second watched word must be zero at rest.
const RESTLESS_BITS: (u16, u8, u8) = (24, 8, 4);

fn at(socket: u64) -> u64 {
    SOCKETS_AT + socket * 0x100
}

impl World {
    fn new(count: u64) -> Self {
        let mut machine = Machine::default();
        let begin = header::LENGTH * 8 + 56 * ROOM as usize;
        machine.put_value(VALUE_AT, begin as u64 + 8 * BUCKETS);
        put_pointers(&mut machine);
        machine.put(VALUE_AT + header::STATES as u64 * 8, &u64::MAX.to_le_bytes());
        let sockets = Sockets::new(&mut machine, count);
        for socket in 0..count {
            machine.put(at(socket) + 8, &[0; 8]);
        }
        let recipe = recipe();
        let group = &recipe.groups[0][0];
        let words = group.words.iter().filter(|(from, _)| WATCHED.contains(from)).copied().collect();
        let group = Group { through: Vec::new(), words };
        let prints = Prints {
            words: Words { groups: vec![group], restless: vec![RESTLESS_BITS] },
            begin: begin as i32,
            buckets: BUCKETS as i32,
            factor: random() | 1,
        };
        let insns = program_with(&members(), &recipe, VALUE_AT as i32, ROOM, &prints).expect("a program");
        let insns =
            insns.iter().map(|insn| (insn.code, insn.dst(), insn.src(), insn.off, insn.imm)).collect();
        Self { machine, sockets, insns }
    }

    fn set(&mut self, number: usize, value: u64) {
        self.machine.put(VALUE_AT + number as u64 * 8, &value.to_le_bytes());
    }

    /// Kinds and buckets that a look reports, in steps of this many rounds.
    fn look(&mut self, whole: bool, rounds: u64) -> Vec<(u8, u32)> {
        for number in [header::WHOLE, header::WRITES] {
            self.set(number, whole.into());
        }
        self.set(header::BUCKET, 0);
        let mut told = Vec::new();
        for _ in 0..1000 {
            let mut left = rounds;
            let m = members();
            let insns = std::mem::take(&mut self.insns);
            let result =
                self.machine.run(&insns, 0, &mut |_, function, [one, ..]| match function.cast_unsigned() {
                    35 => TASK_AT,
                    number if number == m.cast => one,
                    number if number == m.loop_next => {
                        left = left.saturating_sub(1);
                        u64::from(left != 0)
                    }
                    _ => 0,
                });
            self.insns = insns;
            let result = result.expect("a run that ends") as u32;
            let count = number(&self.machine, header::COUNT) as usize;
            let bytes = self.machine.get(VALUE_AT + 8 * header::LENGTH as u64, 56 * count);
            told.extend(bytes.chunks_exact(56).map(|record| {
                let word = u64::from_le_bytes(record[..8].try_into().expect("eight bytes"));
                ((word >> 32) as u8, (word >> 40) as u32)
            }));
            for number in [header::COUNT, header::START] {
                self.set(number, 0);
            }
            assert_ne!(result, step::NOTHING);
            if result == step::DONE {
                return told;
            }
        }
        panic!("it does not end");
    }

    /// For each bucket: how many records, and which mark.
    fn told(&mut self, whole: bool) -> Vec<(usize, Option<u8>)> {
        let told = self.look(whole, 30);
        (0..BUCKETS as u32)
            .map(|bucket| {
                let of = || told.iter().filter(|(_, of)| *of == bucket);
                let mark = of().map(|(kind, _)| *kind).find(|kind| *kind >= mark::EMPTY);
                (of().filter(|(kind, _)| *kind < mark::EMPTY).count(), mark)
            })
            .collect()
    }
}

const NOTHING: (usize, Option<u8>) = (0, None);

#[test]
fn a_bucket_is_told_of_once_it_changed_and_not_again() {
    let mut world = World::new(20);
    world.set(header::SEED, 7);
    assert_eq!(world.told(true), [(5, None); 4], "the first look tells of all");
    assert_eq!(world.told(false), [NOTHING; 4]);
    for offset in WATCHED {
        for byte in 0..8 {
            // Every bit of a watched word counts; socket 6 is in bucket 2.
            if offset == 0 || byte > 3 {
                world.machine.put(at(6) + u64::from(offset) + byte, &[0x80]);
                let told = world.told(false);
                assert_eq!(told, [NOTHING, NOTHING, (5, None), NOTHING], "{offset} {byte}");
                assert_eq!(world.told(false), [NOTHING; 4]);
            }
        }
    }
    // A word that is not watched does not count.
    world.machine.put(at(6) + OTHER, &[9]);
    assert_eq!(world.told(false), [NOTHING; 4]);
    assert_eq!(world.told(true), [(5, Some(mark::SAME)); 4], "that nothing changed is told of a whole look");
}

#[test]
fn what_comes_and_goes_is_a_change() {
    let mut world = World::new(8);
    world.set(header::SEED, 7);
    assert_eq!(world.told(true), [(2, None); 4]);
    world.sockets.remove(&mut world.machine, at(1));
    assert_eq!(world.told(false), [NOTHING, (1, None), NOTHING, NOTHING]);
    world.sockets.remove(&mut world.machine, at(5));
    assert_eq!(world.told(false), [NOTHING, (0, Some(mark::EMPTY)), NOTHING, NOTHING]);
    assert_eq!(world.told(false), [NOTHING; 4]);
    // The same sockets in another order are a change.
    world.sockets.buckets[3].reverse();
    world.sockets.link(&mut world.machine, 3);
    assert_eq!(world.told(false), [NOTHING, NOTHING, NOTHING, (2, None)]);
    world.sockets.insert(&mut world.machine, at(1), 0);
    assert_eq!(world.told(false), [(3, None), NOTHING, NOTHING, NOTHING]);
    world.set(header::SEED, 8);
    assert_eq!(world.told(false), [(3, None), (0, Some(mark::EMPTY)), (2, None), (2, None)]);
}

#[test]
fn what_is_not_at_rest_is_told_of_every_time() {
    let mut world = World::new(8);
    world.set(header::SEED, 7);
    let _ = world.told(true);
    for (byte, is_told) in [(0x0f_u8, true), (0x01, true), (0x10, false), (0x00, false)] {
        world.machine.put(at(2) + 8, &[1, byte]);
        let _ = world.told(false);
        let want = if is_told { (2, None) } else { NOTHING };
        for _ in 0..3 {
            assert_eq!(world.told(false), [NOTHING, NOTHING, want, NOTHING], "{byte:x}");
        }
    }
    // A TIME-WAIT socket always counts as changed.
    world.machine.put(at(0) + 18, &[6]);
    world.machine.put(at(0) + 140, &[6]);
    for _ in 0..3 {
        assert_eq!(world.told(false), [(2, None), NOTHING, NOTHING, NOTHING]);
    }
}

#[test]
fn words_and_bits_are_found_in_the_layout() {
    use super::super::members::{ROWS, Wants};
    use crate::sys::kernel_types::KernelTypes;
    use sockdiag_wire::bpf::Lookup;
    use sockdiag_wire::btf::Btf;

    let Ok(types) = KernelTypes::open() else { sockdiag_testkit::skip!("no BTF") };
    let btf = Btf::new(types.bytes()).expect("the kernel's own");
    let everything = ROWS.iter().fold(Wants::IDENTITY, |all, row| all | row.wants);
    let layout = Layout::find(&Lookup::new(btf, &Layout::wanted()), everything).expect("its members");
    let recipe = Recipe::of(&layout).expect("a recipe");
    let all: Vec<Member> = ROWS.iter().map(|row| row.member).collect();
    let words = Words::of(&layout, &[], &recipe, &all);
    assert_eq!(words.groups, recipe.groups[0], "every word holds something");
    assert_eq!(words.restless.len(), RESTLESS.len(), "{:?}", words.restless);
    let few = Words::of(&layout, &[], &recipe, &[Member::BytesAcked]);
    assert_eq!(few.groups.iter().map(|group| group.words.len()).sum::<usize>(), 1);
    assert!(few.restless.is_empty());
}
