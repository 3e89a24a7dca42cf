//! BPF: the kernel's constants for programs and bpf(2), an assembler, and a lookup of names in
//! the kernel's BTF.
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

/// Whether BPF programs can be built on this target.
///
/// Programs assume 64-bit pointers and `long` in the kernel, which a 32-bit build cannot
/// check, and expect bit-fields where a little-endian compiler places them.
pub const SUPPORTED: bool = cfg!(all(target_pointer_width = "64", target_endian = "little"));

constants! {
    /// Parts of an opcode that date from classic BPF.
    CLASSIC_CODES in "linux/bpf_common.h": u8 {
        /// Class: loads of constants.
        BPF_LD = 0x00;
        /// Class: loads from memory.
        BPF_LDX = 0x01;
        /// Class: stores of constants.
        BPF_ST = 0x02;
        /// Class: stores of registers.
        BPF_STX = 0x03;
        /// Class: 32-bit arithmetic.
        BPF_ALU = 0x04;
        /// Class: 64-bit jumps.
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
        /// Bitwise or.
        BPF_OR = 0x40;
        /// Bitwise and.
        BPF_AND = 0x50;
        /// Shift to the left.
        BPF_LSH = 0x60;
        /// Shift to the right, zeros shifted in.
        BPF_RSH = 0x70;
        /// Negation.
        BPF_NEG = 0x80;
        /// Remainder, unsigned; the dividend where the divisor is 0.
        BPF_MOD = 0x90;
        /// Bitwise exclusive or.
        BPF_XOR = 0xa0;
        /// Unconditional jump.
        BPF_JA = 0x00;
        /// Jump if equal.
        BPF_JEQ = 0x10;
        /// Jump if greater, unsigned.
        BPF_JGT = 0x20;
        /// Jump if greater or equal, unsigned.
        BPF_JGE = 0x30;
        /// Jump if the operands share a set bit.
        BPF_JSET = 0x40;
    }
}

constants! {
    /// Parts of an opcode that extended BPF added.
    CODES in "linux/bpf.h": u8 {
        /// Class: 32-bit jumps; since Linux 5.1.
        BPF_JMP32 = 0x06;
        /// Class: 64-bit arithmetic.
        BPF_ALU64 = 0x07;
        /// Width: eight bytes.
        BPF_DW = 0x18;
        /// Copy.
        BPF_MOV = 0xb0;
        /// Shift to the right, the sign shifted in.
        BPF_ARSH = 0xc0;
        /// Byte order conversion, in the class of 32-bit arithmetic.
        BPF_END = 0xd0;
        /// Convert to network order.
        BPF_TO_BE = 0x08;
        /// Mode: atomic memory operation; since Linux 5.12.
        BPF_ATOMIC = 0xc0;
        /// Jump if not equal.
        BPF_JNE = 0x50;
        /// Jump if greater, signed.
        BPF_JSGT = 0x60;
        /// Jump if greater or equal, signed.
        BPF_JSGE = 0x70;
        /// Jump if less, unsigned.
        BPF_JLT = 0xa0;
        /// Jump if less or equal, unsigned.
        BPF_JLE = 0xb0;
        /// Jump if less, signed.
        BPF_JSLT = 0xc0;
        /// Jump if less or equal, signed.
        BPF_JSLE = 0xd0;
        /// Call.
        BPF_CALL = 0x80;
        /// Return.
        BPF_EXIT = 0x90;
    }
}

constants! {
    /// Modifiers of atomic operations, stored in the instruction's constant.
    ATOMIC in "linux/bpf.h": i32 {
        /// The register receives the old value.
        BPF_FETCH = 0x01;
    }
}

constants! {
    /// Meanings of the second register in a call or a load of a 64-bit constant.
    PSEUDO in "linux/bpf.h": u8 {
        /// The constant is a map's descriptor.
        BPF_PSEUDO_MAP_FD = 1;
        /// The constant is the address of the value of a single-value map, given by its
        /// descriptor; since Linux 5.2.
        BPF_PSEUDO_MAP_VALUE = 2;
        /// The constant is the distance to a function of the program.
        BPF_PSEUDO_FUNC = 4;
        /// The call targets a function of the program.
        BPF_PSEUDO_CALL = 1;
        /// The call targets a kernel function, given by its BTF id.
        BPF_PSEUDO_KFUNC_CALL = 2;
    }
}

constants! {
    /// Registers.
    REGISTERS in "linux/bpf.h": u8 {
        /// Return value.
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
        /// Preserved across calls.
        BPF_REG_6 = 6;
        /// Preserved across calls.
        BPF_REG_7 = 7;
        /// Preserved across calls.
        BPF_REG_8 = 8;
        /// Preserved across calls.
        BPF_REG_9 = 9;
        /// The end of the stack.
        BPF_REG_10 = 10;
    }
}

constants! {
    /// Helpers: kernel functions with fixed numbers that programs may call.
    HELPERS in "linux/bpf.h": i32 {
        /// Finds a value in a map.
        BPF_FUNC_MAP_LOOKUP_ELEM = 1, "BPF_FUNC_map_lookup_elem";
        /// The address of the current task; since Linux 4.8.
        BPF_FUNC_GET_CURRENT_TASK = 35, "BPF_FUNC_get_current_task";
        /// The kernel's clock in ticks; since Linux 5.5.
        BPF_FUNC_JIFFIES64 = 118, "BPF_FUNC_jiffies64";
        /// Appends bytes to the output of an iterator; since Linux 5.8.
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
        /// Runs a program once, synchronously; for `BPF_PROG_TYPE_SYSCALL` since Linux 5.14.
        BPF_PROG_TEST_RUN = 10;
        /// Opens a map by its id.
        BPF_MAP_GET_FD_BY_ID = 14;
        /// Describes an object.
        BPF_OBJ_GET_INFO_BY_FD = 15;
        /// Opens a BTF object by its id.
        BPF_BTF_GET_FD_BY_ID = 19;
        /// Attaches a program; since Linux 5.7.
        BPF_LINK_CREATE = 28;
        /// Starts an iteration; since Linux 5.8.
        BPF_ITER_CREATE = 33;
    }
}

constants! {
    /// Types of programs, attach types, and flags.
    PROGRAMS in "linux/bpf.h": u32 {
        /// Attached to a kernel function, found through its BTF.
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
        /// A value stored for each socket.
        BPF_MAP_TYPE_SK_STORAGE = 24;
        /// A ring buffer; since Linux 5.8.
        BPF_MAP_TYPE_RINGBUF = 27;
    }
}

view! {
    /// The bytes of an instruction.
    InsnView = "struct bpf_insn" in "linux/bpf.h" {
        /// Opcode.
        code: u8 @ 0 = "code";
        /// Offset, in bytes or instructions.
        off: u16 @ 2 = "off";
        /// A constant, signed.
        imm: i32 @ 4 = "imm";
    }
    bits {
        /// The register that is written, or the left side of a comparison.
        dst: u8 @ 1 . 0 + 4 = "dst_reg";
        /// The register that is read, or the kind of constant or call.
        src: u8 @ 1 . 4 + 4 = "src_reg";
    }
}

view! {
    /// The part of `union bpf_attr` used by [`BPF_PROG_LOAD`].
    ProgLoadView = "union bpf_attr" in "linux/bpf.h" {
        /// Type (`BPF_PROG_TYPE_*`).
        prog_type: u32 @ 0 = "prog_type";
        /// Number of instructions.
        insn_cnt: u32 @ 4 = "insn_cnt";
        /// Address of the instructions.
        insns: u64 @ 8 = "insns";
        /// Address of the license string.
        license: u64 @ 16 = "license";
        /// Verbosity of the verifier's log; 0 for none.
        log_level: u32 @ 24 = "log_level";
        /// Size of the log buffer.
        log_size: u32 @ 28 = "log_size";
        /// Address of the log buffer.
        log_buf: u64 @ 32 = "log_buf";
        /// Unused.
        kern_version: u32 @ 40 = "kern_version";
        /// Flags (`BPF_F_*`).
        prog_flags: u32 @ 44 = "prog_flags";
        /// Name, for people.
        prog_name: [u8; 16] @ 48 = "prog_name";
        /// Unused.
        prog_ifindex: u32 @ 64 = "prog_ifindex";
        /// The expected attach type (`BPF_TRACE_*`).
        expected_attach_type: u32 @ 68 = "expected_attach_type";
        /// Descriptor of the program's own BTF.
        prog_btf_fd: u32 @ 72 = "prog_btf_fd";
        /// Length of a record of function types.
        func_info_rec_size: u32 @ 76 = "func_info_rec_size";
        /// Address of these records.
        func_info: u64 @ 80 = "func_info";
        /// Number of these records.
        func_info_cnt: u32 @ 88 = "func_info_cnt";
        /// Length of a record of line information.
        line_info_rec_size: u32 @ 92 = "line_info_rec_size";
        /// Address of these records.
        line_info: u64 @ 96 = "line_info";
        /// Number of these records.
        line_info_cnt: u32 @ 104 = "line_info_cnt";
        /// BTF id of the attach target.
        attach_btf_id: u32 @ 108 = "attach_btf_id";
    }
}

view! {
    /// The part of `union bpf_attr` used by [`BPF_MAP_CREATE`].
    MapCreateView = "union bpf_attr" in "linux/bpf.h" {
        /// Type (`BPF_MAP_TYPE_*`).
        map_type: u32 @ 0 = "map_type";
        /// Size of a key in bytes.
        key_size: u32 @ 4 = "key_size";
        /// Size of a value in bytes.
        value_size: u32 @ 8 = "value_size";
        /// Maximum number of values.
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
    /// The part of `union bpf_attr` used by [`BPF_MAP_GET_FD_BY_ID`] and similar commands.
    ByIdView = "union bpf_attr" in "linux/bpf.h" {
        /// The id; each command has its own name for this member.
        id: u32 @ 0 = "map_id";
        /// Unused.
        next_id: u32 @ 4 = "next_id";
        /// Unused.
        open_flags: u32 @ 8 = "open_flags";
    }
}

view! {
    /// The part of `union bpf_attr` used by [`BPF_OBJ_GET_INFO_BY_FD`].
    InfoByFdView = "union bpf_attr" in "linux/bpf.h" {
        /// Descriptor of the object.
        bpf_fd: u32 @ 0 = "info.bpf_fd";
        /// Size of the buffer; on return, the length of the answer.
        info_len: u32 @ 4 = "info.info_len";
        /// Address of the buffer.
        info: u64 @ 8 = "info.info";
    }
}

view! {
    /// The part of `union bpf_attr` used by [`BPF_LINK_CREATE`] for an iterator.
    LinkCreateView = "union bpf_attr" in "linux/bpf.h" {
        /// Descriptor of the program.
        prog_fd: u32 @ 0 = "link_create.prog_fd";
        /// Descriptor of the target, if the target has one.
        target_fd: u32 @ 4 = "link_create.target_fd";
        /// Attach type (`BPF_TRACE_*`).
        attach_type: u32 @ 8 = "link_create.attach_type";
        /// Unused.
        flags: u32 @ 12 = "link_create.flags";
        /// Address of the iterator's parameters.
        iter_info: u64 @ 16 = "link_create.iter_info";
        /// Length of these parameters.
        iter_info_len: u32 @ 24 = "link_create.iter_info_len";
    }
}

view! {
    /// The part of `union bpf_attr` used by [`BPF_ITER_CREATE`].
    IterCreateView = "union bpf_attr" in "linux/bpf.h" {
        /// Descriptor of the link.
        link_fd: u32 @ 0 = "iter_create.link_fd";
        /// Unused.
        flags: u32 @ 4 = "iter_create.flags";
    }
}

view! {
    /// The part of `union bpf_attr` used by [`BPF_PROG_TEST_RUN`], for input and output.
    TestRunView = "union bpf_attr" in "linux/bpf.h" {
        /// Descriptor of the program.
        prog_fd: u32 @ 0 = "test.prog_fd";
        /// Output: the program's return value.
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
        /// Size of the buffer for the context on return.
        ctx_size_out: u32 @ 44 = "test.ctx_size_out";
        /// The address of the context.
        ctx_in: u64 @ 48 = "test.ctx_in";
        /// Address of that buffer.
        ctx_out: u64 @ 56 = "test.ctx_out";
    }
}

view! {
    /// The kernel's description of a BTF object.
    BtfInfoView = "struct bpf_btf_info" in "linux/bpf.h" {
        /// Address of the buffer for the types.
        btf: u64 @ 0 = "btf";
        /// Size of that buffer; on return, length of the types.
        btf_size: u32 @ 8 = "btf_size";
        /// Id of the BTF object.
        id: u32 @ 12 = "id";
        /// Address of the buffer for the name.
        name: u64 @ 16 = "name";
        /// Size of that buffer; on return, length of the name.
        name_len: u32 @ 24 = "name_len";
        /// Whether these are the types of the kernel itself or of a module.
        kernel_btf: u32 @ 28 = "kernel_btf";
    }
}

#[cfg(test)]
mod tests;
