//! `cargo xtask instructions`: how many instructions a row costs, by valgrind.
//!
//! Clocks differ from run to run and machine to machine; instructions of the
//! same program on the same recording do not.  Two recordings of the same kind
//! of rows, one of twice as many, give what one row more costs: decoding,
//! formatting and writing, without start-up and without the kernel.
//!
//! Invariant: a limit is only raised together with the reason for it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sockdiag_testkit::Why;
use sockdiag_testkit::recording::{Msg, attr, record};

use crate::bench::build;

/// For the list of chores.
pub(crate) const DOC: &str = "\
Count the instructions that one more row costs (valgrind, a recording made for
it) and fail where they are more than the limits in xtask/src/instructions.rs.";

/// Words, and the most instructions that one row may cost: a tenth above what
/// was measured with rustc 1.95.
const LIMITS: &[(&str, u64)] = &[("-tan", 2_300), ("-tane", 3_800), ("-tani", 8_500), ("-tanm", 8_500)];
/// Rows of the shorter recording.
const ROWS: u32 = 4_000;

/// Does the chore.
pub(crate) fn run(_: &[String]) -> Result<(), Why> {
    let ours = build()?;
    let directory = std::env::temp_dir().join(format!("sockdiag-instructions-{}", std::process::id()));
    fs::create_dir_all(&directory)
        .map_err(|error| Why::new(format!("making {}: {error}", directory.display())))?;
    let result = measure(&ours, &directory);
    let _ = fs::remove_dir_all(&directory);
    result
}

fn measure(ours: &Path, directory: &Path) -> Result<(), Why> {
    let recording = |rows: u32| -> Result<PathBuf, Why> {
        let path = directory.join(rows.to_string());
        let sockets: Vec<Msg> = (0..rows).map(socket).collect();
        fs::write(&path, record(&sockets, &[])).map_err(|error| Why::new(format!("a recording: {error}")))?;
        Ok(path)
    };
    let (short, long) = (recording(ROWS)?, recording(2 * ROWS)?);
    println!("| Command | instructions a row | limit |\n| --- | ---: | ---: |");
    let mut above = Vec::new();
    for (words, limit) in LIMITS {
        let [short, long] = [&short, &long].map(|path| count(ours, words, path));
        let a_row = long?.saturating_sub(short?) / u64::from(ROWS);
        println!("| `{words}` | {a_row} | {limit} |");
        if a_row > *limit {
            above.push(*words);
        }
    }
    if above.is_empty() { Ok(()) } else { Err(Why::new(format!("above the limit: {}", above.join(", ")))) }
}

/// The instructions of one run, as callgrind counts them.
fn count(ours: &Path, words: &str, recording: &Path) -> Result<u64, Why> {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(ours)
        .args(words.split(' '))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TCPDIAG_FILE", recording)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| Why::new(format!("running valgrind: {error}")))?;
    let text = String::from_utf8_lossy(&out.stderr);
    collected(&text).ok_or_else(|| Why::new(format!("valgrind said {text}")))
}

/// The number behind `Collected :`.
fn collected(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

/// A connection as a busy server has them; all differ, and all runs alike.
fn socket(number: u32) -> Msg {
    // Any mixing will do that is the same everywhere.
    let mixed =
        |salt: u32| number.wrapping_add(salt).wrapping_mul(2_654_435_761).rotate_left(salt % 32) ^ salt;
    let upto = |salt: u32, most: u32| mixed(salt) % most;
    Msg {
        sport: 443,
        dport: 1024 + upto(1, 60_000) as u16,
        src: Ipv4Addr::new(192, 0, 2, 10).into(),
        dst: Ipv4Addr::from_bits(mixed(2)).into(),
        cookie: u64::from(number) + 0x1000,
        rqueue: if number.is_multiple_of(50) { upto(3, 20_000) } else { 0 },
        wqueue: if number.is_multiple_of(10) { upto(4, 200_000) } else { 0 },
        uid: 33,
        inode: 1_000_000 + number,
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

/// The 280 bytes of Linux 6.18 (`struct tcp_info`, linux/tcp.h).
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
    fn sockets_differ_and_are_the_same_every_time() {
        assert_ne!(socket(1), socket(2));
        assert_eq!(socket(7), socket(7));
        assert_eq!(socket(9).attrs[2].1.len(), 280);
    }
}
