//! The sockets to list: very many connections, a few listeners and a few UDP sockets, in a
//! namespace of their own.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sockdiag_testkit::Why;
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::zoo::Zoo;

use super::lines::OneSocket;
use super::options::Options;
use super::{printed, words};

/// Other kinds, so that `-tln` and `-uan` have something to list.
const OTHERS: &[&str] = &[
    "tcp-listen",
    "tcp-listen6",
    "tcp-listen-dual",
    "tcp-ports",
    "udp-unconnected",
    "udp-connected",
    "udp6",
    "udp-ports",
];
/// Type of the message that ends a dump.
const NLMSG_DONE: u16 = 3;
/// Length of a message's header.
const HEADER: usize = 16;

/// The sockets and their namespace.
pub(super) struct Sockets {
    // Dropped in this order: sockets before their namespace.
    holder: Holder,
    _zoo: Zoo,
    namespace: Namespace,
    _few: Zoo,
    elsewhere: Namespace,
    made_in: Duration,
}

impl Sockets {
    /// Makes all sockets.
    pub(super) fn make(options: &Options) -> Result<Self, Why> {
        let start = Instant::now();
        let namespace = Namespace::new()?;
        let zoo = Zoo::start(&namespace, OTHERS)?;
        let holder = Holder::start(&namespace, options.sockets / 2, options.v6_percent)?;
        let elsewhere = Namespace::new()?;
        let few = Zoo::start(&elsewhere, OTHERS)?;
        Ok(Self { holder, _zoo: zoo, namespace, _few: few, elsewhere, made_in: start.elapsed() })
    }

    /// The namespace with the many sockets.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A namespace with few sockets.
    pub(super) fn elsewhere(&self) -> &Namespace {
        &self.elsewhere
    }

    /// The number of connections, each of two sockets.
    pub(super) fn connections(&self) -> u32 {
        self.holder.connections()
    }

    /// How long making the sockets took.
    pub(super) fn made_in(&self) -> Duration {
        self.made_in
    }

    /// A connection from the listing, and a local port that few sockets have: the first of
    /// them in the listing (22 if there is no IPv4 connection).  `command` is an `ss` without
    /// arguments.
    pub(super) fn one(&self, mut command: Command) -> Result<OneSocket, Why> {
        // A part of the listing is enough, since it is held in memory.
        command.args(words("-tanH state established sport <= :33999"));
        self.namespace.enter(&mut command);
        let text = printed(&mut command)?;
        let ends = |line: &str| {
            let mut words = line.split_whitespace().skip(2).map(str::to_owned);
            Some((words.next()?, words.next()?))
        };
        let port = |line: &str| ends(line)?.0.rsplit_once(':')?.1.parse::<u16>().ok();
        let mut rows = HashMap::new();
        text.lines().filter_map(port).for_each(|port| *rows.entry(port).or_insert(0) += 1);
        let port = text.lines().filter_map(port).min_by_key(|port| rows.get(port)).unwrap_or(22);
        let none = || ("127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned());
        let (local, remote) = text.lines().nth(text.lines().count() / 2).and_then(ends).unwrap_or_else(none);
        Ok(OneSocket { port, local, remote })
    }

    /// Records the sockets with `command`, an `ss` without arguments, including everything
    /// that `-i` and `-m` show.
    ///
    /// Readers stop at the first end of a dump, so the one between IPv4 and IPv6 is removed.
    pub(super) fn record(&self, mut command: Command, path: &Path) -> Result<(), Why> {
        let raw = path.with_extension("raw");
        command.args(words("-tanemoi -D")).arg(&raw).stderr(Stdio::inherit());
        self.namespace.enter(&mut command);
        printed(&mut command)?;
        let result = join_halves(&raw, path)
            .map_err(|error| Why::new(format!("copying the recording {}: {error}", raw.display())));
        let _ = fs::remove_file(&raw);
        result
    }
}

/// Copies a recording without its first `NLMSG_DONE`.
fn join_halves(from: &Path, to: &Path) -> io::Result<()> {
    let mut input = BufReader::new(File::open(from)?);
    let mut output = BufWriter::new(File::create(to)?);
    let mut head = [0_u8; HEADER];
    loop {
        input.read_exact(&mut head)?;
        let [a, b, c, d, e, f, ..] = head;
        let length = u32::from_ne_bytes([a, b, c, d]).next_multiple_of(4);
        let body = u64::from(length).saturating_sub(HEADER as u64);
        if u16::from_ne_bytes([e, f]) == NLMSG_DONE {
            io::copy(&mut input.by_ref().take(body), &mut io::sink())?;
            break;
        }
        output.write_all(&head)?;
        if io::copy(&mut input.by_ref().take(body), &mut output)? < body {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    io::copy(&mut input, &mut output)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use sockdiag_testkit::recording::{Msg, cut_done, record};

    use super::*;

    #[test]
    fn the_halves_of_a_recording_are_joined() {
        let directory = std::env::temp_dir().join(format!("sockdiag-join-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (from, to) = (directory.join("from"), directory.join("to"));
        let whole = record(&[Msg::v4().with(2, vec![7; 201]), Msg::v4()], &[Msg::v6()]);
        fs::write(&from, &whole).unwrap();
        join_halves(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), cut_done(&whole));
        fs::write(&from, &whole[..50]).unwrap();
        assert!(join_halves(&from, &to).is_err());
        fs::remove_dir_all(&directory).unwrap();
    }
}
