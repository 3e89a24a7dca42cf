//! Which option asks for a field.

bit_set! {
    /// Which options ask for a field.  A set: an option may switch on several, and
    /// several may switch on one.  [`Groups::NONE`]: no option, it is shown never,
    /// or as a column.
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
        /// No option: what structured output says of every socket, asked for or not.
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
        /// `--exposure`: what a listener accepts, from where, and how full it is.
        EXPOSURE,
    }
}
