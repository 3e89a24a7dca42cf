//! BPF: the kernel's numbers for programs and for bpf(2), an assembler, and the
//! look-up of what a program names in the kernel's own types.
//!
//! | what | where |
//! | --- | --- |
//! | numbers of linux/bpf.h, layouts of `union bpf_attr` | here |
//! | one instruction, its registers, widths and operations | [`insn`] |
//! | programs with labels | [`assembler`] |
//! | types, members, functions and arguments by name | [`lookup`] |
//!
//! Nothing here calls the kernel.
//!
//! Source: linux/bpf.h and linux/bpf_common.h, Linux 7.3;
//! Documentation/bpf/standardization/instruction-set.rst.

use crate::layout::{constants, view};

pub mod assembler;
pub mod insn;
pub mod lookup;

pub use assembler::{AssembleError, Assembler, Code, Label};
pub use insn::{Alu, Cond, Insn, Operand, Reg, Width};
pub use lookup::{Bits, Kind, Lookup, Member, NotFound, Wanted};

/// Whether programs may be made on this target.
///
/// Programs assume the kernel's pointers and `long` to have 64 bits, which a
/// 32-bit build cannot know, and find bit-fields where a little-endian compiler
/// puts them.
pub const SUPPORTED: bool = cfg!(all(target_pointer_width = "64", target_endian = "little"));

constants! {
    /// The parts of an operation code that are as old as the packet filter.
    CLASSIC_CODES in "linux/bpf_common.h": u8 {
        /// Class: loads of constants.
        BPF_LD = 0x00;
        /// Class: loads from memory.
        BPF_LDX = 0x01;
        /// Class: stores of constants.
        BPF_ST = 0x02;
        /// Class: stores of registers.
        BPF_STX = 0x03;
        /// Class: arithmetic of 32 bits.
        BPF_ALU = 0x04;
        /// Class: jumps that compare 64 bits.
        BPF_JMP = 0x05;
        /// Width: four bytes.
        BPF_W = 0x00;
        /// Width: two bytes.
        BPF_H = 0x08;
        /// Width: one byte.
        BPF_B = 0x10;
        /// Mode: a constant.
        BPF_IMM = 0x00;
        /// Mode: memory.
        BPF_MEM = 0x60;
        /// Operand: a constant.
        BPF_K = 0x00;
        /// Operand: a register.
        BPF_X = 0x08;
        /// Sum.
        BPF_ADD = 0x00;
        /// Difference.
        BPF_SUB = 0x10;
        /// Product.
        BPF_MUL = 0x20;
        /// Quotient, unsigned; 0 where the divisor is 0.
        BPF_DIV = 0x30;
        /// Bits of either.
        BPF_OR = 0x40;
        /// Bits of both.
        BPF_AND = 0x50;
        /// Shift to the left.
        BPF_LSH = 0x60;
        /// Shift to the right, zeros shifted in.
        BPF_RSH = 0x70;
        /// Negation.
        BPF_NEG = 0x80;
        /// Remainder, unsigned; the dividend where the divisor is 0.
        BPF_MOD = 0x90;
        /// Bits of one alone.
        BPF_XOR = 0xa0;
        /// Jump without a condition.
        BPF_JA = 0x00;
        /// Jump where equal.
        BPF_JEQ = 0x10;
        /// Jump where greater, unsigned.
        BPF_JGT = 0x20;
        /// Jump where greater or equal, unsigned.
        BPF_JGE = 0x30;
        /// Jump where both have a bit in common.
        BPF_JSET = 0x40;
    }
}

constants! {
    /// The parts of an operation code that came with extended BPF.
    CODES in "linux/bpf.h": u8 {
        /// Class: jumps that compare 32 bits; since Linux 5.1.
        BPF_JMP32 = 0x06;
        /// Class: arithmetic of 64 bits.
        BPF_ALU64 = 0x07;
        /// Width: eight bytes.
        BPF_DW = 0x18;
        /// Copy.
        BPF_MOV = 0xb0;
        /// Shift to the right, the sign shifted in.
        BPF_ARSH = 0xc0;
        /// Bytes in an order, in the class of 32 bits.
        BPF_END = 0xd0;
        /// The order is that of the network.
        BPF_TO_BE = 0x08;
        /// Mode: memory, changed in one step; since Linux 5.12.
        BPF_ATOMIC = 0xc0;
        /// Jump where not equal.
        BPF_JNE = 0x50;
        /// Jump where greater, signed.
        BPF_JSGT = 0x60;
        /// Jump where greater or equal, signed.
        BPF_JSGE = 0x70;
        /// Jump where less, unsigned.
        BPF_JLT = 0xa0;
        /// Jump where less or equal, unsigned.
        BPF_JLE = 0xb0;
        /// Jump where less, signed.
        BPF_JSLT = 0xc0;
        /// Jump where less or equal, signed.
        BPF_JSLE = 0xd0;
        /// Call.
        BPF_CALL = 0x80;
        /// Return.
        BPF_EXIT = 0x90;
    }
}

constants! {
    /// How memory is changed in one step, as the constant of the instruction.
    ATOMIC in "linux/bpf.h": i32 {
        /// The register gets what was there.
        BPF_FETCH = 0x01;
    }
}

constants! {
    /// What the second register of a call or of a long constant says.
    PSEUDO in "linux/bpf.h": u8 {
        /// The constant is a map's descriptor.
        BPF_PSEUDO_MAP_FD = 1;
        /// The constant is the address of the value of a map that has but one,
        /// which is given by its descriptor; since Linux 5.2.
        BPF_PSEUDO_MAP_VALUE = 2;
        /// The constant is the distance to a function of the program.
        BPF_PSEUDO_FUNC = 4;
        /// The call is to a function of the program.
        BPF_PSEUDO_CALL = 1;
        /// The call is to a function of the kernel, by its BTF number.
        BPF_PSEUDO_KFUNC_CALL = 2;
    }
}

constants! {
    /// Registers.
    REGISTERS in "linux/bpf.h": u8 {
        /// Results.
        BPF_REG_0 = 0;
        /// First argument.
        BPF_REG_1 = 1;
        /// Second argument.
        BPF_REG_2 = 2;
        /// Third argument.
        BPF_REG_3 = 3;
        /// Fourth argument.
        BPF_REG_4 = 4;
        /// Fifth argument.
        BPF_REG_5 = 5;
        /// Kept by calls.
        BPF_REG_6 = 6;
        /// Kept by calls.
        BPF_REG_7 = 7;
        /// Kept by calls.
        BPF_REG_8 = 8;
        /// Kept by calls.
        BPF_REG_9 = 9;
        /// The end of the stack.
        BPF_REG_10 = 10;
    }
}

constants! {
    /// Helpers, functions that the kernel numbers for programs.
    HELPERS in "linux/bpf.h": i32 {
        /// Finds a value in a map.
        BPF_FUNC_MAP_LOOKUP_ELEM = 1, "BPF_FUNC_map_lookup_elem";
        /// The address of the task that runs; since Linux 4.8.
        BPF_FUNC_GET_CURRENT_TASK = 35, "BPF_FUNC_get_current_task";
        /// The kernel's clock in ticks; since Linux 5.5.
        BPF_FUNC_JIFFIES64 = 118, "BPF_FUNC_jiffies64";
        /// Appends bytes to what an iterator's reader gets; since Linux 5.8.
        BPF_FUNC_SEQ_WRITE = 127, "BPF_FUNC_seq_write";
        /// Appends bytes to a ring buffer; since Linux 5.8.
        BPF_FUNC_RINGBUF_OUTPUT = 130, "BPF_FUNC_ringbuf_output";
    }
}

constants! {
    /// Commands of bpf(2).
    COMMANDS in "linux/bpf.h": i32 {
        /// Makes a map.
        BPF_MAP_CREATE = 0;
        /// Loads a program.
        BPF_PROG_LOAD = 5;
        /// Runs a program once, here and now; of the type that is run by
        /// bpf(2) since Linux 5.14.
        BPF_PROG_TEST_RUN = 10;
        /// Opens a map by its number.
        BPF_MAP_GET_FD_BY_ID = 14;
        /// Says what an object is.
        BPF_OBJ_GET_INFO_BY_FD = 15;
        /// Opens types by their number.
        BPF_BTF_GET_FD_BY_ID = 19;
        /// Attaches a program; since Linux 5.7.
        BPF_LINK_CREATE = 28;
        /// Starts a pass of an iterator; since Linux 5.8.
        BPF_ITER_CREATE = 33;
    }
}

constants! {
    /// Types of programs, what they may be attached to, and flags.
    PROGRAMS in "linux/bpf.h": u32 {
        /// Attached to a function of the kernel, found by its BTF.
        BPF_PROG_TYPE_TRACING = 26;
        /// Run by a call of bpf(2); since Linux 5.14.
        BPF_PROG_TYPE_SYSCALL = 31;
        /// Attached to a tracepoint, with typed arguments; since Linux 5.5.
        BPF_TRACE_RAW_TP = 23;
        /// Attached to an iterator; since Linux 5.8.
        BPF_TRACE_ITER = 28;
        /// The program may sleep.
        BPF_F_SLEEPABLE = 16;
    }
}

constants! {
    /// Types of maps, and flags.
    MAP_TYPES in "linux/bpf.h": u32 {
        /// The values can be mapped into a process; since Linux 5.5.
        BPF_F_MMAPABLE = 0x400;
        /// An array.
        BPF_MAP_TYPE_ARRAY = 2;
        /// Values beside sockets.
        BPF_MAP_TYPE_SK_STORAGE = 24;
        /// A ring buffer; since Linux 5.8.
        BPF_MAP_TYPE_RINGBUF = 27;
    }
}

view! {
    /// The bytes of an instruction.
    InsnView = "struct bpf_insn" in "linux/bpf.h" {
        /// What it does.
        code: u8 @ 0 = "code";
        /// Bytes or instructions away.
        off: u16 @ 2 = "off";
        /// A constant, signed.
        imm: i32 @ 4 = "imm";
    }
    bits {
        /// The register that is written, or that a comparison is of.
        dst: u8 @ 1 . 0 + 4 = "dst_reg";
        /// The register that is read, or what kind of constant or call it is.
        src: u8 @ 1 . 4 + 4 = "src_reg";
    }
}

view! {
    /// What [`BPF_PROG_LOAD`] reads, as far as it is used.
    ProgLoadView = "union bpf_attr" in "linux/bpf.h" {
        /// Type (`BPF_PROG_TYPE_*`).
        prog_type: u32 @ 0 = "prog_type";
        /// How many instructions.
        insn_cnt: u32 @ 4 = "insn_cnt";
        /// Their address.
        insns: u64 @ 8 = "insns";
        /// The address of the licence's name.
        license: u64 @ 16 = "license";
        /// How much the verifier says; 0 nothing.
        log_level: u32 @ 24 = "log_level";
        /// Room for what it says.
        log_size: u32 @ 28 = "log_size";
        /// The address of that room.
        log_buf: u64 @ 32 = "log_buf";
        /// Unused.
        kern_version: u32 @ 40 = "kern_version";
        /// Flags (`BPF_F_*`).
        prog_flags: u32 @ 44 = "prog_flags";
        /// Name, for people.
        prog_name: [u8; 16] @ 48 = "prog_name";
        /// Unused.
        prog_ifindex: u32 @ 64 = "prog_ifindex";
        /// What it will be attached to (`BPF_TRACE_*`).
        expected_attach_type: u32 @ 68 = "expected_attach_type";
        /// The program's own types.
        prog_btf_fd: u32 @ 72 = "prog_btf_fd";
        /// Length of what follows for each function.
        func_info_rec_size: u32 @ 76 = "func_info_rec_size";
        /// The address of the functions' types.
        func_info: u64 @ 80 = "func_info";
        /// How many functions have one.
        func_info_cnt: u32 @ 88 = "func_info_cnt";
        /// Length of what follows for each line.
        line_info_rec_size: u32 @ 92 = "line_info_rec_size";
        /// The address of the lines.
        line_info: u64 @ 96 = "line_info";
        /// How many lines there are.
        line_info_cnt: u32 @ 104 = "line_info_cnt";
        /// The BTF number of what it will be attached to.
        attach_btf_id: u32 @ 108 = "attach_btf_id";
    }
}

view! {
    /// What [`BPF_MAP_CREATE`] reads, as far as it is used.
    MapCreateView = "union bpf_attr" in "linux/bpf.h" {
        /// Type (`BPF_MAP_TYPE_*`).
        map_type: u32 @ 0 = "map_type";
        /// Bytes of a key.
        key_size: u32 @ 4 = "key_size";
        /// Bytes of a value.
        value_size: u32 @ 8 = "value_size";
        /// As many values fit at most.
        max_entries: u32 @ 12 = "max_entries";
        /// Flags (`BPF_F_*`).
        map_flags: u32 @ 16 = "map_flags";
        /// Unused.
        inner_map_fd: u32 @ 20 = "inner_map_fd";
        /// Unused.
        numa_node: u32 @ 24 = "numa_node";
        /// Name, for people.
        map_name: [u8; 16] @ 28 = "map_name";
    }
}

view! {
    /// What [`BPF_MAP_GET_FD_BY_ID`] and its like read.
    ByIdView = "union bpf_attr" in "linux/bpf.h" {
        /// The number; each command has a name of its own for it.
        id: u32 @ 0 = "map_id";
        /// Unused.
        next_id: u32 @ 4 = "next_id";
        /// Unused.
        open_flags: u32 @ 8 = "open_flags";
    }
}

view! {
    /// What [`BPF_OBJ_GET_INFO_BY_FD`] reads.
    InfoByFdView = "union bpf_attr" in "linux/bpf.h" {
        /// The object.
        bpf_fd: u32 @ 0 = "info.bpf_fd";
        /// Room for the answer; afterwards its length.
        info_len: u32 @ 4 = "info.info_len";
        /// The address of that room.
        info: u64 @ 8 = "info.info";
    }
}

view! {
    /// What [`BPF_LINK_CREATE`] reads for an iterator.
    LinkCreateView = "union bpf_attr" in "linux/bpf.h" {
        /// The program.
        prog_fd: u32 @ 0 = "link_create.prog_fd";
        /// What it is attached to, where that is a descriptor.
        target_fd: u32 @ 4 = "link_create.target_fd";
        /// How it is attached (`BPF_TRACE_*`).
        attach_type: u32 @ 8 = "link_create.attach_type";
        /// Unused.
        flags: u32 @ 12 = "link_create.flags";
        /// The address of what is said about the iterator.
        iter_info: u64 @ 16 = "link_create.iter_info";
        /// How long that is.
        iter_info_len: u32 @ 24 = "link_create.iter_info_len";
    }
}

view! {
    /// What [`BPF_ITER_CREATE`] reads.
    IterCreateView = "union bpf_attr" in "linux/bpf.h" {
        /// The link.
        link_fd: u32 @ 0 = "iter_create.link_fd";
        /// Unused.
        flags: u32 @ 4 = "iter_create.flags";
    }
}

view! {
    /// What [`BPF_PROG_TEST_RUN`] reads, and where it answers.
    TestRunView = "union bpf_attr" in "linux/bpf.h" {
        /// The program.
        prog_fd: u32 @ 0 = "test.prog_fd";
        /// Answer: what the program returned.
        retval: u32 @ 4 = "test.retval";
        /// Unused.
        data_size_in: u32 @ 8 = "test.data_size_in";
        /// Unused.
        data_size_out: u32 @ 12 = "test.data_size_out";
        /// Unused.
        data_in: u64 @ 16 = "test.data_in";
        /// Unused.
        data_out: u64 @ 24 = "test.data_out";
        /// Unused.
        repeat: u32 @ 32 = "test.repeat";
        /// Unused.
        duration: u32 @ 36 = "test.duration";
        /// Length of the program's context.
        ctx_size_in: u32 @ 40 = "test.ctx_size_in";
        /// Room for it afterwards.
        ctx_size_out: u32 @ 44 = "test.ctx_size_out";
        /// The address of the context.
        ctx_in: u64 @ 48 = "test.ctx_in";
        /// The address of that room.
        ctx_out: u64 @ 56 = "test.ctx_out";
    }
}

view! {
    /// What the kernel says about a BTF object.
    BtfInfoView = "struct bpf_btf_info" in "linux/bpf.h" {
        /// The address of room for the types.
        btf: u64 @ 0 = "btf";
        /// Length of that room; afterwards of the types.
        btf_size: u32 @ 8 = "btf_size";
        /// Its number.
        id: u32 @ 12 = "id";
        /// The address of room for its name.
        name: u64 @ 16 = "name";
        /// Length of that room; afterwards of the name.
        name_len: u32 @ 24 = "name_len";
        /// Whether these are the types of the kernel or of a module.
        kernel_btf: u32 @ 28 = "kernel_btf";
    }
}

#[cfg(test)]
mod tests;
