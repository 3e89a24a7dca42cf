//! Compares our output for recordings of real kernels with the stored output of the reference,
//! without needing the reference.
//!
//! `golden/README.md` describes the files; `cargo xtask goldens` makes them.  If the reference
//! is available, `tests/differential` compares more.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "small, known numbers; each cast is meant"
)]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::compare::{Case, Difference, Ended, Outcome, run};

const OURS: &str = env!("CARGO_BIN_EXE_ss");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// Tokens that must occur in the outputs, or agreement would prove little: states, kinds of
/// timers, and the tokens of every block.
const TOKENS: &[&str] = &[
    "ESTAB ",
    "SYN-SENT ",
    "SYN-RECV ",
    "FIN-WAIT-1 ",
    "FIN-WAIT-2 ",
    "TIME-WAIT ",
    "UNCONN ",
    "CLOSE-WAIT ",
    "LAST-ACK ",
    "LISTEN ",
    "CLOSING ",
    " timer:(on,",
    " timer:(keepalive,",
    " timer:(timewait,",
    " timer:(persist,",
    " uid:",
    " ino:",
    " sk:",
    " fwmark:0x",
    " <->",
    " v6only:",
    " tos:0x",
    " tclass:0x",
    " class_id:",
    "inet-sockopt: (",
    " skmem:(r",
    " ts",
    " sack",
    " ecn",
    " ecnseen",
    " cubic",
    " reno",
    " bbr:(bw:",
    " dctcp:(ce_state:",
    " vegas",
    " wscale:",
    " rto:",
    " backoff:",
    " rtt:",
    " ato:",
    " mss:",
    " pmtu:",
    " rcvmss:",
    " advmss:",
    " cwnd:",
    " ssthresh:",
    " bytes_sent:",
    " bytes_retrans:",
    " bytes_acked:",
    " bytes_received:",
    " segs_out:",
    " segs_in:",
    " data_segs_out:",
    " data_segs_in:",
    " send ",
    " lastsnd:",
    " lastrcv:",
    " lastack:",
    " pacing_rate ",
    " delivery_rate ",
    " delivered:",
    " app_limited",
    " busy:",
    " rwnd_limited:",
    " unacked:",
    " retrans:",
    " lost:",
    " dsack_dups:",
    " rcv_rtt:",
    " rcv_space:",
    " rcv_ssthresh:",
    " notsent:",
    " minrtt:",
    " snd_wnd:",
    " rcv_wnd:",
    " rehash:",
    " md5keys:",
    " tcp-ulp-tls version: 1.2",
    " tcp-ulp-tls version: 1.3",
    " cipher: aes-gcm-128",
    " rxconf: sw",
    " txconf: sw",
    " tcp-ulp-mptcp flags:",
    " token:",
    " maplen:",
    "%lo:",
    "[::ffff:127.0.0.1]:",
];

/// One entry of a transcript.
struct Entry {
    /// The command line, environment first.
    line: String,
    /// The reference's outcome.
    said: Outcome,
}

/// Parses a transcript; `None` if it is malformed.
fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut line = |mark: &[u8]| {
            let (line, after) = rest.split_at(rest.iter().position(|byte| *byte == b'\n')?);
            rest = after.get(1..)?;
            String::from_utf8(line.strip_prefix(mark)?.to_vec()).ok()
        };
        let (command, sizes) = (line(b"$ ")?, line(b"= ")?);
        let sizes: Vec<usize> = sizes.split(' ').map_while(|size| size.parse().ok()).collect();
        let &[status, out, err] = sizes.as_slice() else { return None };
        let (stdout, after) = rest.split_at_checked(out)?;
        let (stderr, after) = after.split_at_checked(err)?;
        rest = after.strip_prefix(b"\n")?;
        let ended = Ended::Exit(status as i32);
        let said = Outcome { stdout: stdout.to_vec(), stderr: stderr.to_vec(), ended };
        entries.push(Entry { line: command, said });
    }
    Some(entries)
}

/// Runs ours on a line of a transcript.
fn answer(line: &str, recording: &Path) -> Outcome {
    let (environment, words) = line.split_once("ss ").expect("a command line names the program");
    let case = Case::new(&words.split(' ').collect::<Vec<_>>())
        .env("TCPDIAG_FILE", recording)
        .env("PROC_IP_LOCAL_PORT_RANGE", Path::new(GOLDEN).join("port-range"));
    let set = environment.split_whitespace().filter_map(|word| word.split_once('='));
    let case = set.fold(case, |case, (name, value)| case.env(name, value));
    run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{line}: {why}"))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    paths
}

#[test]
fn ours_prints_what_the_reference_printed() {
    let mut kernels = BTreeSet::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let (mut outputs, mut wrong) = (0, String::new());
    for kernel in files(Path::new(GOLDEN)).into_iter().filter(|path| path.is_dir()) {
        for recording in files(&kernel) {
            if recording.extension() != Some("rec".as_ref()) {
                continue;
            }
            let path = recording.with_extension("out");
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let entries = entries(&bytes).unwrap_or_else(|| panic!("{}: not a transcript", path.display()));
            assert!(!entries.is_empty(), "{}: nothing was asked", path.display());
            for Entry { line, said } in entries {
                let text = String::from_utf8_lossy(&said.stdout);
                seen.extend(TOKENS.iter().filter(|token| text.contains(**token)));
                if let Some(difference) = Difference::between(&said, &answer(&line, &recording)) {
                    let _ = writeln!(wrong, "\n{}: {line}\n{difference}", recording.display());
                }
                outputs += 1;
            }
            kernels.insert(kernel.clone());
        }
    }
    let missing: Vec<&&str> = TOKENS.iter().filter(|token| !seen.contains(**token)).collect();
    assert!(wrong.is_empty(), "{wrong}");
    assert!(missing.is_empty(), "no output holds {missing:?}");
    assert!(outputs >= 450 && kernels.len() >= 5, "only {outputs} outputs of {} kernels", kernels.len());
    // Writes directly: the test harness hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "golden: {outputs} outputs of {} kernels agree", kernels.len());
}

#[test]
fn a_transcript_is_read_by_its_lengths() {
    let text = b"$ ss -tan\n= 0 8 3\n$ ss\n= 0err\n$ COLUMNS=80 ss -x\n= 255 0 0\n\n";
    let read = entries(text).expect("it is one");
    let lines: Vec<&str> = read.iter().map(|entry| entry.line.as_str()).collect();
    assert_eq!(lines, ["ss -tan", "COLUMNS=80 ss -x"]);
    assert_eq!(read[0].said.stdout, b"$ ss\n= 0");
    assert_eq!(read[0].said.stderr, b"err");
    assert_eq!(read[1].said.ended, Ended::Exit(255));
    for damaged in
        ["$ ss\n= 0 9 0\n1234\n", "$ ss\n= 0 1\n\n", "= 0 0 0\n\n", "$ ss\n= 0 0 0\n", "$ ss\n= 0 1 0\nxy\n"]
    {
        assert!(entries(damaged.as_bytes()).is_none(), "{damaged:?}");
    }
}
