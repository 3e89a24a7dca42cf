//! The options that request a field.

bit_set! {
    /// The options that request a field.  This is a set, since an option may request several
    /// fields and several options may request the same field.  [`Groups::NONE`]: no option
    /// requests the field; it is never shown, or it is a column.
    Groups(u32) {
        /// `-o`: timers, and the option words of `-i`.
        OPTIONS,
        /// `-e`: details.
        EXTENDED,
        /// `--tos`.
        TOS,
        /// `--cgroup`.
        CGROUP,
        /// `--inet-sockopt`.
        SOCKOPT,
        /// `-m`.
        MEMORY,
        /// `-i`.
        INFO,
        /// `-p`.
        PROCESSES,
        /// `-b`.
        BPF,
        /// `--tipcinfo`.
        TIPCINFO,
        /// `-Z`, `-z`: contexts of processes.
        CONTEXT,
        /// `-T`: with `-p`, every thread of a process.
        THREADS,
        /// `--bpf-maps`, `--bpf-map-id`.
        BPF_MAPS,
        /// No option: fields that structured output includes for every socket.
        IDENTITY,
        /// `-z`: contexts of sockets.
        SOCKET_CONTEXT,
        /// The columns of every row.
        COLUMNS,
        /// `--netns`: the network namespace.
        NETNS,
        /// `--peers`: the other end.
        PEERS,
        /// `--containers`: container, pod, unit.
        CONTAINERS,
        /// `--exposure`: what a listener accepts, its reach, and how full its queue is.
        EXPOSURE,
    }
}
