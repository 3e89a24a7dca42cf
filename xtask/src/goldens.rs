//! `cargo xtask goldens [FIXTURES | zoo]`: stores what the reference prints for recordings of
//! real kernels, so that ours can be compared on machines without the reference.
//!
//! With a directory of fixtures (made by `tools/kernels/record.sh`), the recordings are made
//! first; with `zoo`, one of the test kit's sockets on this machine's kernel, which are in
//! states that the fixtures lack.  Then the reference runs on every recording with every
//! command line below, twice.  An output that differs between the two runs is an error, and so
//! is a reference of another version.
//!
//! Invariant: the outputs depend only on the recordings and the reference.  So all output is
//! numeric, the ephemeral ports come from a file, and machine-specific values are removed:
//! cgroup ids become an unknown attribute, and every device becomes index 1, which is `lo`.
//!
//! Source of the fixtures' format: `tools/kernels/gen/nltap.c`.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sockdiag_testkit::Why;
use sockdiag_testkit::compare::{Case, Ended, Outcome, run as run_program};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, attr};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::zoo::{self, Zoo};

use crate::fail::failed;

/// The directory of recordings and outputs, relative to the repository's root.
const GOLDEN: &str = "crates/ss/tests/golden";

/// The version of iproute2 that sent the requests in the fixtures.
const FIXTURES: &str = "iproute2-7.3.0";

/// The recordings of each kernel: our name, the fixture's name, and whether to keep only rows
/// with an `INET_DIAG_ULP_INFO`.
const RECORDINGS: &[(&str, &str, bool)] = &[
    ("everything", "tcp-all-everything", false),
    ("plain", "tcp-all-eo", false),
    ("memory", "tcp-all-m", false),
    ("tos", "tcp-tos", false),
    ("ulp", "mptcp-tcp", true),
    ("syn-sent", "tcp-syn-sent", false),
    ("syn-recv", "tcp-syn-recv", false),
    ("time-wait", "tcp-time-wait", false),
    ("bound-inactive", "tcp-bound-inactive", false),
];

/// The command lines for every recording.  Words like `NAME=VALUE` before `ss` are its
/// environment.
const COMMON: &[&str] = &[
    "ss -tan",
    "ss -tanH",
    "ss -tanQ",
    "ss -tanHQO",
    "ss -tano",
    "ss -tane",
    "ss -tan --tos",
    "ss -tan --inet-sockopt",
    "ss -tanemoi --tos --inet-sockopt",
    "COLUMNS=80 ss -tane",
    "COLUMNS=40 ss -tan",
];

/// Further command lines for the recording of everything.
const EVERYTHING: &[&str] = &[
    "ss -tani dport < 5100",
    "ss -tanOemoi sport < 5020",
    "COLUMNS=80 ss -tanemoi sport > 5400",
    "COLUMNS=132 ss -tanHOQi dst 192.0.2.0/24",
    "ss -tln",
    "ss -t6an",
    "ss -tBn",
    "ss -tn state established",
    "ss -tn state syn-sent state time-wait",
    "ss -tan exclude listening -o",
    "ss -tanH sport > 32767",
    "ss -tanH sport >= :5001 and dport < 5100",
    "ss -tanH sport = :5001 or dport = :5001",
    "ss -tanH sport != 5001",
    "ss -tanH not ( sport < 5010 or dport > 40000 )",
    "ss -tanHi src 127.0.0.0/8 dport = 5001",
    "ss -tanH src [::1]",
    "ss -tanH dst [2001:db8::/32]",
    "ss -tanH src [::ffff:0:0/96] or dst [::ffff:0:0/96]",
    "ss -tanH src 0.0.0.0",
    "ss -tanHe dev 1",
    "ss -tanHe dev != lo and src 192.0.2.1",
    "ss -tanHe fwmark = 42",
    "ss -tanHe fwmark = 0x2/0x2",
    "ss -tanH autobound",
    "ss -tanH ! autobound and not src 127.0.0.1",
    "ss -tanH dst any:443 or dst *:0",
    "ss -tanH src [2001:db8::]/32",
];

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[FIXTURES | zoo]";

/// The help text.
pub(crate) const DOC: &str = "\
Store the reference's output for the recordings of crates/ss/tests/golden;
with a directory of fixtures, make these recordings of them first, and with
\"zoo\" one of the sockets of the test kit, on this kernel.";

/// Runs the chore.
pub(crate) fn run(args: &[String]) -> Result<(), Why> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(GOLDEN);
    let root = root.canonicalize().map_err(|error| failed(&root, &error))?;
    // Rejects every version except the one that this project is specified against.
    let reference = Reference::get()?;
    match args {
        [] => {}
        [word] if word == "zoo" => zoo(&reference, &root)?,
        [fixtures] => import(Path::new(fixtures), &root)?,
        _ => return Err(Why::new("more words than a directory")),
    }
    let version = reference.version();
    let (mut outputs, mut bytes) = (0, 0);
    for recording in recordings(&root)? {
        let transcript = transcript(&reference, &root, &recording)?;
        write(&recording.with_extension("out"), &transcript.bytes)?;
        outputs += transcript.outputs;
        bytes += transcript.bytes.len();
    }
    println!("{outputs} outputs of ss {version}, {bytes} bytes");
    Ok(())
}

/// All recordings, in order.
fn recordings(root: &Path) -> Result<Vec<PathBuf>, Why> {
    let mut found = Vec::new();
    for kernel in entries(root)? {
        if kernel.is_dir() {
            found.extend(
                entries(&kernel)?.into_iter().filter(|file| file.extension() == Some("rec".as_ref())),
            );
        }
    }
    found.sort();
    Ok(found)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Why> {
    fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| failed(directory, &error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Why> {
    fs::write(path, bytes).map_err(|error| failed(path, &error))
}

/// The reference's outputs for one recording.
struct Transcript {
    bytes: Vec<u8>,
    outputs: usize,
}

fn transcript(reference: &Reference, root: &Path, recording: &Path) -> Result<Transcript, Why> {
    let everything = recording.file_stem() == Some("everything".as_ref());
    let more = if everything { EVERYTHING } else { &[] };
    let mut transcript = Transcript { bytes: Vec::new(), outputs: 0 };
    for line in COMMON.iter().chain(more) {
        let ask =
            || -> Result<Outcome, Why> { run_program(reference.command(), &case(line, root, recording)) };
        let outcome = ask()?;
        if outcome != ask()? {
            return Err(Why::new(format!(
                "{}: {line}: two runs of the reference differ",
                recording.display()
            )));
        }
        let Ended::Exit(status) = outcome.ended else {
            return Err(Why::new(format!(
                "{}: {line}: the reference ended by {}",
                recording.display(),
                outcome.ended
            )));
        };
        let (out, err) = (outcome.stdout.len(), outcome.stderr.len());
        let _ = writeln!(transcript.bytes, "$ {line}\n= {status} {out} {err}");
        transcript.bytes.extend([outcome.stdout, outcome.stderr].concat());
        transcript.bytes.push(b'\n');
        transcript.outputs += 1;
    }
    Ok(transcript)
}

fn case(line: &str, root: &Path, recording: &Path) -> Case<'static> {
    let (environment, words) = line.split_once("ss ").unwrap_or(("", line));
    let case = Case::new(&words.split(' ').collect::<Vec<_>>())
        .env("TCPDIAG_FILE", recording)
        .env("PROC_IP_LOCAL_PORT_RANGE", root.join("port-range"));
    environment
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .fold(case, |case, (name, value)| case.env(name, value))
}

/// Makes the recordings from the fixtures.
fn import(fixtures: &Path, root: &Path) -> Result<(), Why> {
    let mut made = 0;
    for kernel in entries(fixtures)? {
        let Some(name) = kernel.file_name().filter(|_| kernel.is_dir()) else { continue };
        let directory = root.join(name);
        fs::create_dir_all(&directory).map_err(|error| failed(&directory, &error))?;
        for (name, fixture, ulp_only) in RECORDINGS {
            let path = kernel.join(FIXTURES).join(fixture).with_extension("nl");
            let tap = fs::read(&path).map_err(|error| failed(&path, &error))?;
            let replies =
                replies(&tap).ok_or_else(|| Why::new(format!("{}: not a recording", path.display())))?;
            let bytes = thinned(&recording::cut_done(&replies), *ulp_only);
            // Skip a recording with only an end: that kernel has no such sockets.
            if recording::messages(&bytes).len() > 1 {
                write(&directory.join(name).with_extension("rec"), &bytes)?;
                made += 1;
            }
        }
    }
    println!("{made} recordings");
    Ok(())
}

/// Makes a recording of the test kit's TCP sockets, in a namespace.
fn zoo(reference: &Reference, root: &Path) -> Result<(), Why> {
    let release = Path::new("/proc/sys/kernel/osrelease");
    let release = fs::read_to_string(release).map_err(|error| failed(release, &error))?;
    let directory = root.join(release.trim_end());
    fs::create_dir_all(&directory).map_err(|error| failed(&directory, &error))?;
    let path = directory.join("zoo.rec");
    let namespace = Namespace::new()?;
    let kinds: Vec<&str> =
        zoo::kinds().map(|(kind, _)| kind).filter(|kind| kind.starts_with("tcp-")).collect();
    let _zoo = Zoo::start(&namespace, &kinds)?;
    let mut command = reference.command();
    namespace.enter(&mut command);
    command.args(["-taemi", "--tos", "-D"]).arg(&path);
    let status = command.status().map_err(|error| failed(Path::new("the reference"), &error))?;
    if !status.success() {
        return Err(Why::new(format!("the reference could not record: {status}")));
    }
    let bytes = fs::read(&path).map_err(|error| failed(&path, &error))?;
    write(&path, &thinned(&recording::cut_done(&bytes), false))
}

/// What the program's first sock_diag socket received: the TCP table.  `None` if the file is
/// damaged.
fn replies(tap: &[u8]) -> Option<Vec<u8>> {
    const SOCK_DIAG: [u8; 2] = 4_u16.to_le_bytes();
    const HEAD: usize = 20;
    let (mut rest, mut replies) = (tap, Vec::new());
    while let Some((head, after)) = rest.split_at_checked(HEAD) {
        let size = u32::from_le_bytes(*head.last_chunk()?) as usize;
        let (payload, after) = after.split_at_checked(size)?;
        rest = after;
        let kind = *head.strip_prefix(b"NLT1")?.first()?;
        match (kind, head.get(6..8)? == SOCK_DIAG) {
            (b'R', true) => replies.extend_from_slice(payload),
            (b'C', true) => break,
            _ => {}
        }
    }
    Some(replies)
}

/// The recording with only one socket of each appearance, and without machine-specific values.
fn thinned(bytes: &[u8], ulp_only: bool) -> Vec<u8> {
    const HEADER: usize = 16;
    const IFINDEX: usize = HEADER + 40;
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for range in recording::messages(bytes) {
        let mut message = bytes.get(range).unwrap_or_default().to_vec();
        let Some(fixed) = message.get(HEADER..HEADER + 72) else {
            out.extend(message);
            continue;
        };
        let index = message.get(IFINDEX..IFINDEX + 4).is_some_and(|index| index != [0; 4]);
        let attributes = attributes(message.get(HEADER + 72..).unwrap_or_default());
        if ulp_only && !attributes.iter().any(|(kind, _)| *kind == attr::ULP_INFO) {
            continue;
        }
        // The appearance: family, state, timer; which queues are not empty; whether there is
        // an owner or a device; the attributes, with the values of short ones.
        let mut look = fixed.get(..3).unwrap_or_default().to_vec();
        let words = [fixed.get(56..60), fixed.get(60..64), fixed.get(64..68)];
        look.extend(words.map(|word| u8::from(word != Some(&[0; 4]))));
        look.push(index.into());
        for (kind, payload) in attributes {
            look.extend(kind.to_ne_bytes());
            look.extend((payload.len() as u16).to_ne_bytes());
            match kind {
                // The congestion-control state and the TCP options.
                attr::INFO => look.extend([payload.get(1), payload.get(5)].into_iter().flatten()),
                attr::CONG | attr::ULP_INFO => look.extend(payload.get(..16).unwrap_or(payload)),
                _ if payload.len() <= 4 => look.extend(payload),
                _ => {}
            }
        }
        if seen.insert(look) {
            if index && let Some(place) = message.get_mut(IFINDEX..IFINDEX + 4) {
                place.copy_from_slice(&1_u32.to_ne_bytes());
            }
            out.extend(message);
        }
    }
    recording::retype(&out, attr::CGROUP_ID, 201)
}

/// Numbers and payloads of a message's attributes.
fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some(&[a, b, c, d]) = bytes.first_chunk() {
        let (length, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]));
        let Some(payload) = bytes.get(4..length) else { break };
        found.push((kind & 0x3fff, payload));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}
