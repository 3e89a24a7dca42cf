//! Descriptor tables that are read whole, in pieces, and while they change.

use std::sync::atomic::AtomicU64;

use sockdiag_testkit::bpf::Machine;

use super::super::Wanted as Inodes;
use super::*;
use crate::sys::kernel_types::KernelTypes;

/// The memory of a simulated kernel: structures at these addresses.
const VALUE_AT: u64 = 0x10_0000;
const CONTEXT_AT: u64 = 0x2000;
const TASK_AT: u64 = 0x4000;
const LEADER_AT: u64 = 0x4800;
const SUPER_BLOCK_AT: u64 = 0x7000;
const DISK_AT: u64 = 0x7800;

/// How many words the program's sieve has room for.
const SIEVE_WORDS: usize = 4;

const PID: u32 = 70;
const TID: u32 = 71;

/// Offsets that no kernel has, all different.
fn members() -> Members {
    let wide = |offset| Member { offset, bytes: 8, width: Some(Width::U64), bits: None, type_id: 1 };
    let narrow = |offset| Member { bytes: 4, width: Some(Width::U32), ..wide(offset) };
    Members {
        task: wide(8),
        tgid: narrow(1204),
        pid: narrow(1200),
        group_leader: wide(1208),
        files: wide(1240),
        fdt: wide(32),
        max_fds: narrow(0),
        open_fds: wide(24),
        fd: wide(8),
        f_inode: wide(32),
        i_ino: wide(64),
        i_sb: wide(40),
        s_magic: wide(96),
        word: (901, wide(0)),
        task_struct: 902,
        file: 903,
        cast: 911,
        loop_new: 912,
        loop_next: 913,
        loop_destroy: 914,
        target: 915,
    }
}

/// A simulated kernel with one thread that is not the first of its process.
struct Kernel {
    machine: Machine,
    at: Members,
    insns: Vec<sockdiag_testkit::bpf::Insn>,
    /// How many calls of the loop a run makes.
    rounds: u32,
}

fn put(machine: &mut Machine, structure: u64, member: Member, value: u64) {
    let bytes = value.to_le_bytes();
    machine.put(structure + u64::from(member.offset), &bytes[..member.bytes as usize]);
}

/// Makes an inode on the file system of sockets or another, and a file with it.
fn file(machine: &mut Machine, at: u64, inode: u64, file_system: u64) -> u64 {
    let members = members();
    put(machine, at, members.f_inode, at + 0x100);
    put(machine, at + 0x100, members.i_sb, file_system);
    put(machine, at + 0x100, members.i_ino, inode);
    at
}

/// Makes a table with room for 130 descriptors, of which these are in use.
fn table(machine: &mut Machine, at: u64, open: &[(u64, u64)]) -> u64 {
    let members = members();
    put(machine, at, members.fdt, at + 0x100);
    put(machine, at + 0x100, members.max_fds, 130);
    put(machine, at + 0x100, members.open_fds, at + 0x200);
    put(machine, at + 0x100, members.fd, at + 0x300);
    machine.put(at + 0x200, &[0; 24]);
    machine.put(at + 0x300, &[0; 130 * 8]);
    for (fd, file) in open {
        machine.put(at + 0x300 + fd * 8, &file.to_le_bytes());
        let byte = at + 0x200 + fd / 8;
        let bits = machine.get(byte, 1)[0] | 1 << (fd % 8);
        machine.put(byte, &[bits]);
    }
    at
}

impl Kernel {
    fn new(threads: bool, wanted: Option<&[u32]>) -> Self {
        let at = members();
        let mut machine = Machine::default();
        machine.put_value(VALUE_AT, words(SIEVE_WORDS) as u64 * 4);
        let sieve: Vec<_> = (0..SIEVE_WORDS).map(|_| AtomicU64::new(0)).collect();
        let mask = sieve::fill(&sieve, wanted.map_or(Inodes::All, Inodes::These));
        machine.put(VALUE_AT + MASK as u64, &mask.to_le_bytes());
        for (at, word) in (VALUE_AT + SIEVE as u64..).step_by(8).zip(&sieve) {
            machine.put(at, &word.load(Relaxed).to_le_bytes());
        }
        put(&mut machine, CONTEXT_AT, at.task, TASK_AT);
        put(&mut machine, TASK_AT, at.tgid, PID.into());
        put(&mut machine, TASK_AT, at.pid, TID.into());
        put(&mut machine, TASK_AT, at.group_leader, LEADER_AT);
        put(&mut machine, TASK_AT, at.files, 0);
        put(&mut machine, LEADER_AT, at.files, 0);
        put(&mut machine, SUPER_BLOCK_AT, at.s_magic, program::SOCKFS as u64);
        put(&mut machine, DISK_AT, at.s_magic, 0x1234);
        let insns = program(&at, VALUE_AT as i32, threads, SIEVE_WORDS).expect("a program");
        let insns =
            insns.iter().map(|insn| (insn.code, insn.dst(), insn.src(), insn.off, insn.imm)).collect();
        Self { machine, at, insns, rounds: 1000 }
    }

    fn files(&mut self, table: u64) {
        put(&mut self.machine, TASK_AT, self.at.files, table);
    }

    /// Runs the program; calls `meanwhile` before each read of a file.
    fn run(&mut self, meanwhile: &mut dyn FnMut(&mut Machine, u64)) -> u64 {
        let (at, mut left, mut loops) = (self.at, self.rounds, 0);
        let result =
            self.machine.run(&self.insns, CONTEXT_AT, &mut |memory, function, [one, two, three, ..]| {
                match function.cast_unsigned() {
                    number if number == at.cast => {
                        if two == u64::from(at.file) {
                            meanwhile(memory, one);
                        }
                        return one;
                    }
                    number if number == at.loop_new => {
                        assert_eq!((two, three, loops), (0, MOST as u64, 0));
                        loops += 1;
                    }
                    number if number == at.loop_next => {
                        assert_eq!(loops, 1, "the loop has begun and not ended");
                        left = left.saturating_sub(1);
                        return u64::from(left != 0);
                    }
                    number => {
                        assert_eq!((number, loops), (at.loop_destroy, 1));
                        loops -= 1;
                    }
                }
                0
            });
        assert_eq!(loops, 0, "every loop has an end");
        result.expect("a run that ends")
    }

    /// The records that the process then reads: descriptors and inodes.
    fn taken(&mut self) -> Vec<(i32, u32)> {
        let bytes = self.machine.get(VALUE_AT, BEFORE_SIEVE * 4);
        let number = |four: &[u8]| AtomicU32::new(u32::from_le_bytes(four.try_into().expect("four")));
        let words: Vec<AtomicU32> = bytes.chunks_exact(4).map(number).collect();
        let all = taken(&words).map(|Record { pid, tid, fd, inode }| {
            assert_eq!((pid, tid), (PID as i32, TID as i32));
            (fd, inode)
        });
        let all = all.collect();
        self.machine.put(VALUE_AT, &words[0].load(Relaxed).to_le_bytes());
        all
    }

    /// The records of as many runs as the table takes.
    fn taken_of_all_runs(&mut self) -> Vec<(i32, u32)> {
        let mut all = Vec::new();
        while self.run(&mut |_, _| {}) == 1 {
            all.extend(self.taken());
        }
        all.extend(self.taken());
        all
    }
}

/// Fills the table of a test with files, and returns it.
fn usual(kernel: &mut Kernel) -> u64 {
    let machine = &mut kernel.machine;
    let sockets = [(0, 500), (63, 501), (64, 502), (129, 503)]
        .map(|(fd, inode)| (fd, file(machine, 0x20_0000 + fd * 0x200, inode, SUPER_BLOCK_AT)));
    let disk = (5, file(machine, 0x30_0000, 999, DISK_AT));
    let table = table(machine, 0x40_0000, &[&sockets[..], &[disk]].concat());
    kernel.files(table);
    table
}

const USUAL: [(i32, u32); 4] = [(0, 500), (63, 501), (64, 502), (129, 503)];

#[test]
fn every_socket_of_a_table_is_told_once() {
    let mut kernel = Kernel::new(true, None);
    usual(&mut kernel);
    for _ in 0..2 {
        assert_eq!(kernel.run(&mut |_, _| {}), 0);
        assert_eq!(kernel.taken(), USUAL);
    }
    let mut kernel = Kernel::new(true, Some(&[502, 999]));
    usual(&mut kernel);
    assert_eq!((kernel.run(&mut |_, _| {}), kernel.taken()), (0, vec![(64, 502)]));
}

#[test]
fn who_has_no_table_of_its_own_is_passed_over() {
    let mut kernel = Kernel::new(false, None);
    usual(&mut kernel);
    assert_eq!((kernel.run(&mut |_, _| {}), kernel.taken()), (0, vec![]), "it is not the first thread");
    put(&mut kernel.machine, TASK_AT, members().tgid, TID.into());
    assert_eq!(kernel.run(&mut |_, _| {}), 0);
    assert_eq!(kernel.machine.get(VALUE_AT, 1), [4], "the first thread's are told");

    let mut kernel = Kernel::new(true, None);
    let table = usual(&mut kernel);
    put(&mut kernel.machine, LEADER_AT, members().files, table);
    assert_eq!((kernel.run(&mut |_, _| {}), kernel.taken()), (0, vec![]), "it has what the first has");
    kernel.files(0);
    assert_eq!((kernel.run(&mut |_, _| {}), kernel.taken()), (0, vec![]), "it ends");
    put(&mut kernel.machine, CONTEXT_AT, members().task, 0);
    assert_eq!((kernel.run(&mut |_, _| {}), kernel.taken()), (0, vec![]), "the iterator is at its end");
}

#[test]
fn a_run_goes_on_where_the_one_before_ended() {
    let mut kernel = Kernel::new(true, None);
    usual(&mut kernel);
    // One round reads nothing: the loop ends at its first call.
    for rounds in 2..8 {
        kernel.rounds = rounds;
        assert_eq!(kernel.taken_of_all_runs(), USUAL, "{rounds} rounds");
    }
    // If no further record fits, the descriptor is left for the next run.
    kernel.rounds = 1000;
    kernel.machine.put(VALUE_AT, &(ROOM as u32 - 1).to_le_bytes());
    assert_eq!(kernel.run(&mut |_, _| {}), 1);
    assert_eq!(kernel.machine.get(VALUE_AT, 4), (ROOM as u32).to_le_bytes());
    kernel.machine.put(VALUE_AT, &[0; 4]);
    assert_eq!((kernel.run(&mut |_, _| {}), kernel.taken()), (0, USUAL[1..].to_vec()));
}

/// Descriptors 0 to 29, all open: 7 is a file on a disk, 8 is reserved but has no file yet,
/// the others are sockets 500 to 529.
fn in_a_row(kernel: &mut Kernel) -> u64 {
    let machine = &mut kernel.machine;
    let file_system = |fd| if fd == 7 { DISK_AT } else { SUPER_BLOCK_AT };
    let mut open: Vec<(u64, u64)> =
        (0..30).map(|fd| (fd, file(machine, 0x20_0000 + fd * 0x200, 500 + fd, file_system(fd)))).collect();
    open[8].1 = 0;
    let table = table(machine, 0x40_0000, &open);
    kernel.files(table);
    table
}

#[test]
fn of_descriptors_in_a_row_none_is_left_out() {
    let all: Vec<(i32, u32)> = (0..30).zip(500..).filter(|(fd, _)| ![7, 8].contains(fd)).collect();
    let some = [503, 507, 508, 515, 516, 524, 529];
    for wanted in [None, Some(&[][..]), Some(&some[..1]), Some(&some), Some(&[500, 529])] {
        let is_wanted = |one: &&(i32, u32)| wanted.is_none_or(|wanted| wanted.contains(&one.1));
        let want: Vec<(i32, u32)> = all.iter().filter(is_wanted).copied().collect();
        for rounds in [2, 3, 5, 1000] {
            let mut kernel = Kernel::new(true, wanted);
            in_a_row(&mut kernel);
            kernel.rounds = rounds;
            assert_eq!(kernel.taken_of_all_runs(), want, "{wanted:?}, {rounds} rounds");
        }
    }
    // If none is wanted, eight descriptors take one round.
    let mut kernel = Kernel::new(true, Some(&[]));
    in_a_row(&mut kernel);
    kernel.rounds = 1 + 7;
    let files = std::cell::Cell::new(0);
    assert_eq!(kernel.run(&mut |_, _| files.set(files.get() + 1)), 1);
    assert!(files.get() > 20, "{}", files.get());
}

/// The task gets another table while eight descriptors are being read.
#[test]
fn descriptors_in_a_row_of_a_table_that_was_left_do_not_count() {
    for wanted in [None, Some(&[777, 778][..])] {
        for changed_at in [0_i32, 3, 7, 9] {
            let mut kernel = Kernel::new(true, wanted);
            in_a_row(&mut kernel);
            let change = &mut |machine: &mut Machine, at: u64| {
                if at == 0x20_0000 + u64::from(changed_at.cast_unsigned()) * 0x200 {
                    let other = file(machine, 0x50_0000, 777, SUPER_BLOCK_AT);
                    let late = file(machine, 0x51_0000, 778, SUPER_BLOCK_AT);
                    let own = table(machine, 0x60_0000, &[(2, other), (29, late)]);
                    put(machine, TASK_AT, members().files, own);
                }
            };
            assert_eq!(kernel.run(change), 0);
            let mut taken = kernel.taken();
            assert_eq!(taken.pop(), Some((29, 778)), "{changed_at}");
            if changed_at == 0 {
                assert_eq!(taken, [(2, 777)], "{wanted:?}");
            }
            // Records from before the change were true then.
            assert!(taken.iter().all(|one| one.1 == 777 || one.0 < changed_at), "{taken:?}");
        }
    }
}

#[test]
fn what_changes_while_it_is_read_is_read_again() {
    let other = |machine: &mut Machine| file(machine, 0x50_0000, 777, SUPER_BLOCK_AT);
    // Descriptor 64 is reused for another file.
    let mut kernel = Kernel::new(true, None);
    let table_at = usual(&mut kernel);
    let of_64 = 0x20_0000 + 64 * 0x200;
    let slot = table_at + 0x300 + 64 * 8;
    let change = &mut |machine: &mut Machine, file: u64| {
        if file == of_64 {
            let other = other(machine);
            machine.put(slot, &other.to_le_bytes());
        }
    };
    assert_eq!(kernel.run(change), 0);
    assert_eq!(kernel.taken(), [(0, 500), (63, 501), (64, 777), (129, 503)]);

    // The table grows: its descriptors are in another array, in which 64 is closed.
    let mut kernel = Kernel::new(true, None);
    let table_at = usual(&mut kernel);
    let change = &mut |machine: &mut Machine, file: u64| {
        if file == of_64 {
            let grown = table(machine, 0x60_0000, &[(129, 0x20_0000 + 129 * 0x200)]);
            put(machine, table_at, members().fdt, grown + 0x100);
        }
    };
    assert_eq!(kernel.run(change), 0);
    assert_eq!(kernel.taken(), [(0, 500), (63, 501), (129, 503)]);

    // The task gets its own table, in which 64 is another file.
    let mut kernel = Kernel::new(true, None);
    usual(&mut kernel);
    let change = &mut |machine: &mut Machine, file: u64| {
        if file == of_64 {
            let other = other(machine);
            let own = table(machine, 0x60_0000, &[(64, other)]);
            put(machine, TASK_AT, members().files, own);
        }
    };
    assert_eq!(kernel.run(change), 0);
    assert_eq!(kernel.taken(), [(0, 500), (63, 501), (64, 777)]);

    // A file that is no socket is read in a table that the task leaves meanwhile: the
    // descriptor in the new table counts.
    let mut kernel = Kernel::new(true, None);
    usual(&mut kernel);
    let change = &mut |machine: &mut Machine, file: u64| {
        if file == 0x30_0000 {
            let other = other(machine);
            let own = table(machine, 0x60_0000, &[(5, other)]);
            put(machine, TASK_AT, members().files, own);
        }
    };
    assert_eq!((kernel.run(change), kernel.taken()), (0, vec![(0, 500), (5, 777)]));

    // The descriptor is closed meanwhile.
    let mut kernel = Kernel::new(true, None);
    let table_at = usual(&mut kernel);
    let change = &mut |machine: &mut Machine, file: u64| {
        if file == of_64 {
            machine.put(table_at + 0x300 + 64 * 8, &[0; 8]);
        }
    };
    assert_eq!(kernel.run(change), 0);
    assert_eq!(kernel.taken(), [(0, 500), (63, 501), (129, 503)]);
}

#[test]
fn the_running_kernel_has_every_member() {
    let types = match KernelTypes::open() {
        Ok(types) => types,
        Err(error) => sockdiag_testkit::skip!("no BTF: {error}"),
    };
    let btf = Btf::new(types.bytes()).expect("the kernel's own");
    let found = match Members::find(btf) {
        Ok(found) => found,
        Err(error @ NotFound::Name(_)) => sockdiag_testkit::skip!("a kernel before 6.4: {error}"),
        Err(error) => panic!("{error}"),
    };
    assert_eq!((found.word.1.offset, found.word.1.bytes), (0, 8));
    let index = btf.index();
    let named = |id: u32| index.get(id).map(|ty| ty.name().to_vec());
    assert_eq!(named(found.cast).as_deref(), Some(&b"bpf_rdonly_cast"[..]));
    assert_eq!(named(found.target).as_deref(), Some(&b"bpf_iter_task"[..]));
    assert!(program(&found, 3, true, 1).is_ok());
}
