//! Questions about sockets, and the commands that answer them.
//!
//! The help of `ss`, its manual page and the README print this table or are checked against
//! it; `crates/ss/tests/readme.rs` runs every command on sockets for which the answer is
//! known.

/// A question and the command that answers it.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The question, as a phrase without a full stop.
    pub wanted: &'static str,
    /// The command, quoted for a shell.
    pub command: &'static str,
}

const fn example(wanted: &'static str, command: &'static str) -> Example {
    Example { wanted, command }
}

/// The questions that are asked most.
pub const EXAMPLES: &[Example] = &[
    example("listeners in every network namespace", "ss -tulnp --netns all"),
    example(
        "root's listeners that other hosts can reach",
        "ss -tlnp --exposure 'reach != loopback and process.user = root'",
    ),
    example("listeners whose accept queue is full", "ss -tlnp --exposure 'backlog_use >= 1'"),
    example(
        "UDP sockets that drop datagrams",
        "ss -uan 'drops > 0' --columns local.addr,local.port,drops,recv_q,comm",
    ),
    example("the process at the other end", "ss -tnp --peers"),
    example("container, pod and unit", "ss -tanp --containers"),
    example("CLOSE-WAIT by process", "ss -tn state close-wait --group-by comm,pid"),
    example(
        "connections slower than 100 ms, slowest first",
        "ss -tn 'rtt > 100ms' --sort -rtt --columns remote.addr,remote.port,rtt,comm",
    ),
    example("connections that lose packets", "ss -tnpi 'total_retrans > 0'"),
    example("what keeps port 8080 busy, in any state", "ss -tuanp 'sport = :8080'"),
    example(
        "ephemeral ports in use, by destination",
        "ss -tan 'autobound' --group-by remote.addr,remote.port --sort -count",
    ),
    example("sockets of one program and user", "ss -tuanp 'comm = nginx* and process.user = root'"),
    example("the fullest receive queues", "ss -tuanp --sort -recv_q --limit 5"),
    example("what -K would close", "ss -tanp --kill-dry-run state close-wait"),
    example("what you are not allowed to see", "ss -tuanp --explain 'socket.processes = 0'"),
    example("chosen fields for a script", "ss -tn --csv --columns remote.addr,rtt,bytes_sent"),
    example("everything as JSON", "ss -tuanpi -j"),
    example("every field of TCP, with unit and meaning", "ss -t --columns help"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_a_help_text() {
        // The help prints this list and two more lines, and has to fit on a small terminal.
        assert!(EXAMPLES.len() <= 18, "{}", EXAMPLES.len());
        for Example { wanted, command } in EXAMPLES {
            assert!(wanted.len() <= 46 && command.len() <= 80, "{command}");
            assert!(command.starts_with("ss ") && !wanted.ends_with('.'), "{command}");
            // `-K` would close the connections of whoever tries the example.
            assert!(!command.split(' ').any(|word| word.starts_with("-K") || word == "--kill"), "{command}");
            assert!(!wanted.contains('|') && !command.contains('|'), "{command}: it is a cell of a table");
        }
    }
}
