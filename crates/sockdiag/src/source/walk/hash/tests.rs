//! Runs the program on a simulated machine, whose sockets move meanwhile.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::collections::BTreeMap;

use sockdiag_testkit::bpf::Machine;

use super::super::pieces::{Group, step};
use super::*;

pub(in crate::source::walk) const VALUE_AT: u64 = 0x10_0000;
pub(in crate::source::walk) const TASK_AT: u64 = 0x2000;
pub(in crate::source::walk) const PROXY_AT: u64 = 0x3000;
pub(in crate::source::walk) const NET_AT: u64 = 0x4000;
pub(in crate::source::walk) const TABLES_AT: u64 = 0x5000;
pub(in crate::source::walk) const BUCKETS_AT: u64 = 0x6000;
pub(in crate::source::walk) const SOCKETS_AT: u64 = 0x20_0000;
/// The number of buckets, too few for prefetching.
pub(in crate::source::walk) const BUCKETS: u64 = 4;
pub(in crate::source::walk) const ROOM: i32 = 64;
/// Offsets of the words that identify a socket.
const IDENTITY: [u32; 5] = [0, 8, 16, 48, 88];
const NODE: u64 = 104;

pub(in crate::source::walk) fn members() -> Members {
    Members {
        nsproxy: 8,
        net_ns: 16,
        hashinfo: 24,
        ehash: 0,
        ehash_mask: 16,
        lhash2: 32,
        lhash2_mask: 40,
        nulls_head: 8,
        nulls_node: NODE as u32,
        family: 16,
        state: 18,
        net: 48,
        substate: 140,
        cookie: 88,
        hash: 8,
        addresses: 0,
        bhash2: 48,
        bhash_size: 56,
        bind_chain: 8,
        bind_node: 32,
        bind_net: 0,
        bind_owners: 64,
        number: 14,
        nets: 32,
        inode: 40,
        owner_node: 24,
        listen_bucket: 16,
        bind_bucket: 16,
        word: 901,
        cast: 902,
        lock: 903,
        unlock: 904,
        loop_new: 905,
        loop_next: 906,
        loop_destroy: 907,
    }
}

pub(in crate::source::walk) fn recipe() -> Recipe {
    let words = IDENTITY.into_iter().zip((2_u16..).map(|word| word * 8)).collect();
    let group = Group { through: Vec::new(), words };
    Recipe { bytes: 56, groups: [vec![group.clone()], vec![group.clone()], vec![group]] }
}

/// xorshift64: the same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }
}

/// Connections with two sockets each, only one of which is in a bucket at a time.
const TWINS: u64 = 4;

fn twins(connection: u64) -> [u64; 2] {
    [0, 1].map(|twin| SOCKETS_AT + 0x1_0000 + (2 * connection + twin) * 0x100)
}

/// The sockets in each bucket, first one first.
pub(in crate::source::walk) struct Sockets {
    pub(in crate::source::walk) buckets: Vec<Vec<u64>>,
    /// How often each socket was reused for another connection.
    uses: BTreeMap<u64, u64>,
}

impl Sockets {
    pub(in crate::source::walk) fn new(machine: &mut Machine, count: u64) -> Self {
        let mut sockets = Self { buckets: vec![Vec::new(); BUCKETS as usize], uses: BTreeMap::new() };
        for number in 0..count {
            let at = SOCKETS_AT + number * 0x100;
            machine.put(at, &[0; 0x100]);
            sockets.insert(machine, at, number % BUCKETS);
        }
        (0..BUCKETS).for_each(|bucket| sockets.link(machine, bucket));
        sockets
    }

    /// Reuses a socket for another connection, and puts it at the front of a bucket.
    pub(in crate::source::walk) fn insert(&mut self, machine: &mut Machine, at: u64, bucket: u64) {
        let uses = self.uses.entry(at).or_default();
        *uses += 1;
        for offset in IDENTITY {
            let mut word = [*uses as u8; 8];
            if offset == 16 {
                // Family and state.
                word[..3].copy_from_slice(&[2, 0, 1]);
            }
            machine.put(at + u64::from(offset), &word);
        }
        self.buckets[bucket as usize].insert(0, at);
        self.link(machine, bucket);
    }

    /// The other socket takes the place of a connection's present one, as an established
    /// socket replaces a request: it is put at the front of the same bucket.
    fn replace(&mut self, machine: &mut Machine, connection: u64) {
        let [one, other] = twins(connection);
        let bucket = connection % BUCKETS;
        let is_there = |at| self.buckets[bucket as usize].contains(&at);
        let (old, new) = if is_there(one) { (one, other) } else { (other, one) };
        self.buckets[bucket as usize].retain(|at| *at != old);
        self.insert(machine, new, bucket);
    }

    /// A socket that is removed keeps its next pointer.
    pub(in crate::source::walk) fn remove(&mut self, machine: &mut Machine, at: u64) {
        for bucket in 0..BUCKETS {
            self.buckets[bucket as usize].retain(|other| *other != at);
            self.link(machine, bucket);
        }
    }

    pub(in crate::source::walk) fn link(&self, machine: &mut Machine, bucket: u64) {
        let mut place = BUCKETS_AT + bucket * 8;
        for at in &self.buckets[bucket as usize] {
            machine.put(place, &(at + NODE).to_le_bytes());
            place = at + NODE;
        }
        machine.put(place, &(bucket << 1 | 1).to_le_bytes());
    }
}

pub(in crate::source::walk) fn header(machine: &Machine, number: usize) -> u64 {
    let bytes = machine.get(VALUE_AT + number as u64 * 8, 8);
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// Writes the pointers that lead to the table.
pub(in crate::source::walk) fn put_pointers(machine: &mut Machine) {
    let m = members();
    let pointers = [
        (TASK_AT, m.nsproxy, PROXY_AT),
        (PROXY_AT, m.net_ns, NET_AT),
        (NET_AT, m.hashinfo, TABLES_AT),
        (TABLES_AT, m.ehash, BUCKETS_AT),
        (TABLES_AT, m.ehash_mask, BUCKETS - 1),
    ];
    for (at, offset, value) in pointers {
        machine.put(at + u64::from(offset), &value.to_le_bytes());
    }
}

/// Walks the table in steps; once in `one_in` reads, a socket from the `still`th on moves.
/// Returns each record, and how often a bucket was read again.
fn walked(count: u64, still: u64, one_in: u64, rounds: u64, random: &mut Random) -> (Vec<[u64; 7]>, u64) {
    let mut machine = Machine::default();
    machine.put_value(VALUE_AT, 8 * header::LENGTH as u64 + 56 * ROOM as u64);
    let m = members();
    put_pointers(&mut machine);
    machine.put(VALUE_AT + header::STATES as u64 * 8, &u64::MAX.to_le_bytes());
    machine.put(VALUE_AT + header::ONE as u64 * 8, &1_u64.to_le_bytes());
    let mut sockets = Sockets::new(&mut machine, count);
    if one_in > 0 {
        for connection in 0..TWINS {
            for at in twins(connection) {
                machine.put(at, &[0; 0x100]);
            }
            sockets.insert(&mut machine, twins(connection)[0], connection % BUCKETS);
        }
    }
    let insns = program(&m, &recipe(), VALUE_AT as i32, ROOM).expect("a program");
    let insns: Vec<_> =
        insns.iter().map(|insn| (insn.code, insn.dst(), insn.src(), insn.off, insn.imm)).collect();
    let mut records = Vec::new();
    for _ in 0..1000 {
        let mut left = rounds;
        let result =
            machine.run(&insns, 0, &mut |machine, function, [one, ..]| match function.cast_unsigned() {
                35 => TASK_AT,
                number if number == m.cast => {
                    if one_in > 0 && random.below(one_in) == 0 {
                        if random.below(2) == 0 {
                            sockets.replace(machine, random.below(TWINS));
                            return one;
                        }
                        let at = SOCKETS_AT + (still + random.below(count - still)) * 0x100;
                        sockets.remove(machine, at);
                        // Some are not added again at once.
                        if random.below(3) > 0 {
                            sockets.insert(machine, at, random.below(BUCKETS));
                        }
                    }
                    one
                }
                number if number == m.loop_next => {
                    left = left.saturating_sub(1);
                    u64::from(left != 0)
                }
                _ => 0,
            });
        let result = result.expect("a run that ends") as u32;
        assert_ne!(result, step::NOTHING);
        let bytes =
            machine.get(VALUE_AT + 8 * header::LENGTH as u64, 56 * header(&machine, header::COUNT) as usize);
        records.extend(bytes.chunks_exact(56).map(|record| {
            std::array::from_fn(|word| u64::from_le_bytes(record[word * 8..][..8].try_into().expect("eight")))
        }));
        for number in [header::COUNT, header::START] {
            machine.put(VALUE_AT + number as u64 * 8, &[0; 8]);
        }
        if result == step::DONE {
            return (records, header(&machine, header::AGAIN));
        }
    }
    panic!("it does not end: {} records", records.len());
}

#[test]
fn a_table_at_rest_is_read_in_its_order_however_short_the_steps() {
    for rounds in [12, 20, 1000] {
        let (records, again) = walked(20, 20, 0, rounds, &mut Random(1));
        // In each bucket the socket added last comes first.
        let want: Vec<u64> = (0..BUCKETS)
            .flat_map(|bucket| (0..20_u64).rev().filter(move |number| number % BUCKETS == bucket))
            .map(|number| SOCKETS_AT + number * 0x100)
            .collect();
        assert_eq!(records.iter().map(|record| record[1]).collect::<Vec<_>>(), want, "{rounds}");
        assert_eq!(again, 0);
    }
}

#[test]
fn sockets_that_stand_still_are_read_once_whatever_moves_and_none_is_half_of_another() {
    let (mut begun_again, mut moved) = (0, 0);
    for seed in 1..1500 {
        let mut random = Random(seed * 0x9e37_79b9);
        // Two sockets of a bucket could return to their places while it is read, which
        // cannot be detected; in a kernel that takes longer than reading the bucket.
        let one_in = if seed % 2 == 0 { 12 } else { 60 };
        let (records, again) = walked(16, 10, one_in, 400, &mut random);
        begun_again += again;
        for number in 0..10 {
            let at = SOCKETS_AT + number * 0x100;
            let times = records.iter().filter(|record| record[1] == at).count();
            assert_eq!(times, 1, "socket {number} with seed {seed}, {again} buckets begun again");
        }
        for connection in (0..TWINS).filter(|_| one_in == 60) {
            let twins = twins(connection);
            let times = records.iter().filter(|record| twins.contains(&record[1])).count();
            assert_eq!(times, 1, "connection {connection} with seed {seed}, {again} buckets begun again");
        }
        for record in &records {
            let [_, at, address, hash, state, net, cookie] = *record;
            assert_eq!([hash, state >> 24 & 0xff, net, cookie].map(|word| word & 0xff), [address & 0xff; 4]);
            moved += u64::from(at >= SOCKETS_AT + 10 * 0x100);
        }
    }
    assert!(
        begun_again > 1000 && moved > 500,
        "{begun_again} buckets begun again, {moved} records that moved"
    );
}
