//! `cargo xtask instructions`: counts the instructions that a row costs, with valgrind.
//!
//! Times differ from run to run and machine to machine; the instructions of the same program
//! on the same input do not.  Two inputs with the same kind of rows, one twice as long, give
//! the cost of one more row: decoding, formatting and writing, without start-up and without
//! the kernel.
//!
//! Every input is generated here, so that counts repeat exactly: TCP sockets are a recording
//! (`TCPDIAG_FILE`), their holder is a process in a made-up /proc (`PROC_ROOT`), and unix
//! sockets are replies to the program's own request (`nlplay`, whose copying of the replies is
//! counted as well).
//!
//! Invariant: a limit is only raised together with the reason for it.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sockdiag_testkit::Why;
use sockdiag_testkit::recording::{Msg, attr, record};
use sockdiag_testkit::replies::{self, Talk};

use crate::bench::build;

/// The help text.
pub(crate) const DOC: &str = "\
Count the instructions that one more row costs (valgrind, on made-up sockets)
and those of a start without sockets, and fail where they are more than 1.03 and 1.1
times the counts in xtask/src/instructions.rs, or where the program is bigger than is
said there.";

/// The input of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// A recording of TCP sockets.
    Tcp,
    /// The same, with a process that holds all of them.
    TcpHeld,
    /// A kernel reply with unix sockets.
    Unix,
}

/// A measured command line.
#[derive(Clone, Copy, Debug)]
struct Line {
    words: &'static str,
    input: Input,
    /// Instructions per row, as first measured with rustc 1.95 on x86-64, or fewer if rows have
    /// become cheaper since.
    measured: u64,
}

// No count is above the one that commit b321352 set first.
const LINES: &[Line] = &[
    Line { words: "-tan", input: Input::Tcp, measured: 2069 },
    Line { words: "-tane", input: Input::Tcp, measured: 3209 },
    Line { words: "-tani", input: Input::Tcp, measured: 7640 },
    Line { words: "-tanm", input: Input::Tcp, measured: 7647 },
    Line { words: "-tanp", input: Input::TcpHeld, measured: 4210 },
    Line { words: "-tan -j", input: Input::Tcp, measured: 3427 },
    Line { words: "-tanie -j", input: Input::Tcp, measured: 16427 },
    Line { words: "-tan --csv", input: Input::Tcp, measured: 4444 },
    Line { words: "-x", input: Input::Unix, measured: 2629 },
];
/// Starts: the arguments, and the instructions from the dynamic linker's first to the end,
/// with glibc 2.36.  A start must not pay for features that only other programs of this
/// workspace use.
// The last number is that of the printed lines.
const STARTS: &[(&str, u64, usize)] = &[("-V", 355_832, 2), ("-tan", 507_009, 1)];
/// Number of rows of the shorter input.
const ROWS: u32 = 4_000;
/// The largest allowed size of `ss` in bytes, stripped: 1.03 times what it was at 216cfd9, before
/// sessions, `sockdiag` and the walk.
const SIZE: u64 = 1_982_198;

impl Line {
    /// The limit for a row: 1.03 times the measured count.
    fn limit(&self) -> u64 {
        self.measured * 103 / 100
    }
}

/// Runs the chore.
pub(crate) fn run(_: &[String]) -> Result<(), Why> {
    let ours = build()?;
    let size = fs::metadata(&ours).map_err(|error| Why::new(format!("{}: {error}", ours.display())))?.len();
    println!("ss has {size} bytes of at most {SIZE}.\n");
    if size > SIZE {
        return Err(Why::new("ss is too big"));
    }
    let directory = std::env::temp_dir().join(format!("sockdiag-instructions-{}", std::process::id()));
    let starts = measure_starts(&ours);
    let result = [ROWS, 2 * ROWS]
        .map(|rows| Inputs::make(&directory.join(rows.to_string()), rows))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .and_then(|inputs| measure(&ours, &inputs));
    let _ = fs::remove_dir_all(&directory);
    result.and(starts)
}

/// Counts the instructions of starts without sockets.
fn measure_starts(ours: &Path) -> Result<(), Why> {
    println!("| Start | instructions | limit |\n| --- | ---: | ---: |");
    let mut above = Vec::new();
    for (words, measured, printed) in STARTS {
        let mut command = callgrind(ours, words);
        // An empty recording.
        let out = command.env("TCPDIAG_FILE", "/dev/null").output();
        let out = out.map_err(|error| Why::new(format!("running valgrind: {error}")))?;
        let text = String::from_utf8_lossy(&out.stderr);
        let count = collected(&text).ok_or_else(|| Why::new(format!("valgrind said {text}")))?;
        let lines = String::from_utf8_lossy(&out.stdout).lines().count();
        if !out.status.success() || lines != *printed {
            return Err(Why::new(format!("`{words}` is no start: {}", String::from_utf8_lossy(&out.stdout))));
        }
        let limit = measured * 11 / 10;
        println!("| `{words}` | {count} | {limit} |");
        if count > limit {
            above.push(*words);
        }
    }
    println!();
    if above.is_empty() {
        Ok(())
    } else {
        Err(Why::new(format!("above the limit: start of {}", above.join(", "))))
    }
}

/// The program under valgrind, with an empty environment.
fn callgrind(ours: &Path, words: &str) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(ours);
    command.args(words.split(' ')).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn measure(ours: &Path, inputs: &[Inputs]) -> Result<(), Why> {
    println!("| Command | instructions a row | limit |\n| --- | ---: | ---: |");
    let mut above = Vec::new();
    for line in LINES {
        let counts = inputs.iter().map(|inputs| inputs.count(ours, line)).collect::<Result<Vec<_>, _>>()?;
        let [short, long] = counts[..] else { return Err(Why::new("there are not two inputs")) };
        let a_row = long.saturating_sub(short) / u64::from(ROWS);
        println!("| `{}` | {a_row} | {} |", line.words, line.limit());
        if a_row > line.limit() {
            above.push(line.words);
        }
    }
    if above.is_empty() { Ok(()) } else { Err(Why::new(format!("above the limit: {}", above.join(", ")))) }
}

/// Input files with this many sockets.
struct Inputs {
    rows: u32,
    /// TCP sockets.
    recording: PathBuf,
    /// A /proc with one process that has all these sockets open.
    proc: PathBuf,
    /// The kernel's reply to a request for unix sockets.
    talk: PathBuf,
    /// The library that plays the reply.
    player: PathBuf,
}

impl Inputs {
    /// Makes the inputs in a new directory.
    fn make(directory: &Path, rows: u32) -> Result<Self, Why> {
        let failed = |error| Why::new(format!("making {}: {error}", directory.display()));
        let [recording, proc, talk] = ["recording", "proc", "talk"].map(|name| directory.join(name));
        // Only one process: with several, the program would use several threads.
        let process = proc.join("4242");
        let open = process.join("fd");
        fs::create_dir_all(&open).map_err(failed)?;
        fs::write(process.join("stat"), "4242 (nginx) S 1 4242 4242 0 -1 4194560\n").map_err(failed)?;
        for number in 0..rows {
            symlink(format!("socket:[{}]", inode(number)), open.join((number + 3).to_string()))
                .map_err(failed)?;
        }
        let sockets: Vec<Msg> = (0..rows).map(socket).collect();
        fs::write(&recording, record(&sockets, &[])).map_err(failed)?;
        // About as many per datagram as the kernel sends.
        let sockets: Vec<u32> = (0..rows).collect();
        let datagrams =
            sockets.chunks(250).map(|numbers| numbers.iter().flat_map(|n| unix_socket(*n)).collect());
        let datagrams: Vec<Vec<u8>> = datagrams.chain([replies::done(0)]).collect();
        Talk::new().sockets(AF_UNIX, &datagrams).write(&talk)?;
        Ok(Self { rows, recording, proc, talk, player: replies::library()? })
    }

    /// The instructions of one run, counted by callgrind.
    fn count(&self, ours: &Path, line: &Line) -> Result<u64, Why> {
        let mut command = callgrind(ours, line.words);
        match line.input {
            Input::Tcp => command.env("TCPDIAG_FILE", &self.recording),
            Input::TcpHeld => command.env("TCPDIAG_FILE", &self.recording).env("PROC_ROOT", &self.proc),
            Input::Unix => command.env("LD_PRELOAD", &self.player).env("NLPLAY_FILE", &self.talk),
        };
        let out = command.output().map_err(|error| Why::new(format!("running valgrind: {error}")))?;
        self.check(line, &out.stdout)?;
        let text = String::from_utf8_lossy(&out.stderr);
        collected(&text).ok_or_else(|| Why::new(format!("valgrind said {text}")))
    }

    /// Checks that the measured run listed all sockets.
    fn check(&self, line: &Line, listing: &[u8]) -> Result<(), Why> {
        let has = |what: &[u8]| listing.windows(what.len()).filter(|window| *window == what).count();
        let wanted: &[u8] = match line.input {
            Input::Tcp => b"192.0.2.10",
            Input::TcpHeld => b"nginx",
            Input::Unix => b"u_str",
        };
        let found = has(wanted);
        if found == self.rows as usize {
            return Ok(());
        }
        let wanted = String::from_utf8_lossy(wanted);
        Err(Why::new(format!("`{}` shows {wanted} {found} times for {} sockets", line.words, self.rows)))
    }
}

/// The number after `Collected :`.
fn collected(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

/// The address family of unix sockets.
const AF_UNIX: u8 = 1;

/// A unix socket as on a machine with a service manager: pairs of streams, every second one
/// belonging to a named service.
fn unix_socket(number: u32) -> Vec<u8> {
    /// `SOCK_STREAM` and the state of a connection.
    const STREAM: u8 = 1;
    const ESTABLISHED: u8 = 1;
    let head = [vec![AF_UNIX, STREAM, ESTABLISHED, 0], words(&[inode(number), number + 0x1000, 0])];
    let queue = if number.is_multiple_of(50) { mixed(number, 3) % 20_000 } else { 0 };
    let mut attrs = Vec::new();
    if number.is_multiple_of(2) {
        attrs.extend(replies::attr(0, b"/run/systemd/journal/stdout\0"));
    }
    // Kinds and order: UNIX_DIAG_PEER, UNIX_DIAG_RQLEN, UNIX_DIAG_SHUTDOWN, UNIX_DIAG_UID.
    attrs.extend(replies::attr(2, &words(&[inode(number ^ 1)])));
    attrs.extend(replies::attr(4, &words(&[queue, 0])));
    attrs.extend(replies::attr(6, &[0]));
    attrs.extend(replies::attr(7, &words(&[0])));
    replies::socket(&[head.concat(), attrs].concat())
}

/// The inode of a socket.
fn inode(number: u32) -> u32 {
    1_000_000 + number
}

/// A hash that is the same on every machine; its quality does not matter.
fn mixed(number: u32, salt: u32) -> u32 {
    number.wrapping_add(salt).wrapping_mul(2_654_435_761).rotate_left(salt % 32) ^ salt
}

/// A connection as on a busy server; all differ, but every run makes the same ones.
fn socket(number: u32) -> Msg {
    let upto = |salt: u32, most: u32| mixed(number, salt) % most;
    Msg {
        sport: 443,
        dport: 1024 + upto(1, 60_000) as u16,
        src: Ipv4Addr::new(192, 0, 2, 10).into(),
        dst: Ipv4Addr::from_bits(mixed(number, 2)).into(),
        cookie: u64::from(number) + 0x1000,
        rqueue: if number.is_multiple_of(50) { upto(3, 20_000) } else { 0 },
        wqueue: if number.is_multiple_of(10) { upto(4, 200_000) } else { 0 },
        uid: 33,
        inode: inode(number),
        ..Msg::v4()
    }
    .with(attr::SHUTDOWN, [0])
    .with(attr::SKMEMINFO, words(&[0, 131_072, 0, 87_040, 0, 0, upto(5, 4096), 0, 0]))
    .with(attr::INFO, tcp_info(&upto))
    .with(attr::CONG, *b"cubic\0")
    .with(attr::CGROUP_ID, 1_u64.to_ne_bytes())
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The 280 bytes of `struct tcp_info` in Linux 6.18 (linux/tcp.h).
fn tcp_info(upto: &dyn Fn(u32, u32) -> u32) -> Vec<u8> {
    let mut info = vec![1, 0, 0, 0, 0, 7, 0x77, 0];
    let rtt = 200 + upto(6, 150_000);
    // rto ato snd_mss rcv_mss, unacked to reord, last data and acks,
    // pmtu rcv_ssthresh rtt rttvar ssthresh cwnd advmss reordering, rcv_rtt rcv_space total_retrans
    info.extend(words(&[201_000 + rtt, 40_000, 1448, 1448, upto(7, 3), 0, 0, 0, 0]));
    info.extend(words(&[upto(8, 90_000), 0, upto(9, 90_000), upto(10, 90_000)]));
    info.extend(words(&[1500, 64_088, rtt, rtt / 4, 20 + upto(11, 90), 10 + upto(12, 100), 1448, 3]));
    info.extend(words(&[rtt + 1000, 14_600, upto(13, 4)]));
    let wide = |value: u64| value.to_ne_bytes();
    info.extend(wide(u64::from(upto(14, 900_000_000))));
    info.extend(wide(u64::MAX));
    info.extend(wide(u64::from(upto(15, 90_000_000))));
    info.extend(wide(u64::from(upto(16, 9_000_000))));
    info.extend(words(&[upto(17, 90_000), upto(18, 90_000), 0, rtt / 2, upto(19, 9_000), upto(20, 90_000)]));
    info.extend(wide(u64::from(upto(21, 90_000_000))));
    info.extend(wide(u64::from(upto(22, 90_000_000))));
    info.resize(280, 0);
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valgrinds_count_is_found() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 8213443\n==7==\n"), Some(8_213_443));
        assert_eq!(collected("valgrind: no such file\n"), None);
    }

    #[test]
    fn a_limit_is_three_in_a_hundred_above_what_was_measured() {
        let line = |measured| Line { words: "-tan", input: Input::Tcp, measured };
        assert_eq!([100, 2069, 10_000].map(|measured| line(measured).limit()), [103, 2131, 10_300]);
        for line in LINES {
            assert!(line.measured > 1000 && line.limit() > line.measured, "{}", line.words);
            assert_eq!(LINES.iter().filter(|other| other.words == line.words).count(), 1, "{}", line.words);
        }
    }

    #[test]
    fn a_listing_of_too_few_is_no_count() {
        let line = |input| Line { words: "-x", input, measured: 1 };
        let none = PathBuf::new();
        let inputs =
            Inputs { rows: 2, recording: none.clone(), proc: none.clone(), talk: none.clone(), player: none };
        assert!(inputs.check(&line(Input::Unix), b"u_str ESTAB\nu_str ESTAB\n").is_ok());
        let why = inputs.check(&line(Input::Unix), b"u_str ESTAB\n").unwrap_err().to_string();
        assert_eq!(why, "`-x` shows u_str 1 times for 2 sockets");
        assert!(inputs.check(&line(Input::TcpHeld), b"192.0.2.10 192.0.2.10").is_err());
    }

    #[test]
    fn sockets_differ_and_are_the_same_every_time() {
        assert_ne!(socket(1), socket(2));
        assert_eq!(socket(7), socket(7));
        assert_eq!(socket(9).attrs[2].1.len(), 280);
        assert_ne!(unix_socket(1), unix_socket(2));
        assert_eq!(unix_socket(7), unix_socket(7));
    }
}
