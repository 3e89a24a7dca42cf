//! Families that this machine's kernel may lack: both programs read the same crafted replies
//! (`sockdiag_testkit::replies`).

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sockdiag_testkit::replies::{self, Talk, done, refusal};

use super::{Case, case, check, temporary};

const VSOCK: u8 = 40;
const TIPC: u8 = 30;
const XDP: u8 = 44;

/// A file in which every family answers once, and interface queries are answered as often as
/// needed.
fn all(name: &str) -> PathBuf {
    let links = [(1, "lo"), (2, "a-longer-name"), (3, "eth3")];
    let talk = Talk::new()
        .links(&links)
        .links(&links)
        .links(&links)
        .sockets(VSOCK, &[replies::vsocks(), done(0)])
        .sockets(TIPC, &[replies::tipcs(), done(0)])
        .sockets(XDP, &[replies::xdps(), done(0)]);
    write(name, &talk)
}

fn write(name: &str, talk: &Talk) -> PathBuf {
    let path = temporary(&format!("replies-{name}"), b"");
    talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
    path
}

fn asked(words: &str, talk: &Path) -> Case<'static> {
    replies::with(case(words), talk).unwrap_or_else(|why| panic!("{why}"))
}

/// Options for each family.
const LOOKS: &[&str] = &[
    "",
    "-H",
    "-n",
    "-r",
    "-Q",
    "-O",
    "-e",
    "-m",
    "-i",
    "-o",
    "-b",
    "-p",
    "-pe",
    "-em",
    "-eO",
    "-emO",
    "-HQO",
    "-emoibQp --tos --cgroup --inet-sockopt",
    "--tipcinfo",
    "-Hpe --tipcinfo",
    "-pO --tipcinfo",
    "-peT --tipcinfo",
    "-a",
    "-l",
];

const STATES: &[&str] =
    &["state established", "state established state close", "exclude close", "state listening", "state all"];

/// The options that select each family.
const TABLES: &[&str] = &[
    "--vsock",
    "-f vsock",
    "-A vsock",
    "-A v_str",
    "-A vsock_dgram",
    "-A v_str,v_dgr",
    "--tipc",
    "-f tipc",
    "-A tipc",
    "--xdp",
    "-f xdp",
    "-A xdp",
    "--vsock --tipc --xdp",
    "-A tipc,xdp,v_str",
    "-f tipc -A v_str",
];

/// Filters.  None compares a context id, because the reference does not either.
const FILTERS: &[&str] = &[
    "sport = 1024",
    "sport = :1024",
    "dport 22",
    "sport = 0",
    "dport = 0",
    "sport != 1024",
    "not sport = 1024",
    "sport >= 1024",
    "sport <= :1023",
    "sport > 5 and dport < 100",
    "sport gt 4294967290",
    "autobound",
    "! autobound",
    "fwmark = 0",
    "fwmark = 1",
    // By name: the file answers a query for one interface with all of them.
    "dev lo",
    "dev != lo",
    "dev a-longer-name",
    "src vsock:*:1024",
    "dst vsock:*:22",
    "sport = vsock:4294967295",
    "src *",
    "( sport = 1024 or sport = 5 ) and not dport = 1",
];

/// Values without a family, for tables where no family is preferred.
const PLAIN: &[&str] = &[
    "src 0.0.0.0",
    "not src 0.0.0.0",
    "src 3.0.0.0",
    "src 3.0.0.0/8",
    "dst [200::]",
    "dst 2.0.0.0:22",
    "sport = inet:1024",
    "src unix:*",
    "src link:*",
    "src any",
    "dst [::]/0",
];

pub(super) fn run() -> usize {
    let talk = all("all");
    let mut cases = Vec::new();
    for table in TABLES {
        cases.extend(LOOKS.iter().map(|look| asked(&format!("{look} {table}"), &talk)));
        cases.extend(STATES.iter().map(|states| asked(&format!("{table} {states}"), &talk)));
    }
    for table in ["--vsock", "--xdp", "--tipc", "-A v_str,xdp -a", "--tipc --vsock"] {
        cases.extend(FILTERS.iter().map(|filter| asked(&format!("-He {table} {filter}"), &talk)));
    }
    for table in ["-A v_str,v_dgr", "-A xdp", "-A xdp,vsock,tipc"] {
        cases.extend(PLAIN.iter().map(|filter| asked(&format!("-Ha {table} {filter}"), &talk)));
    }
    for columns in ["1", "40", "80", "132", "1000"] {
        for look in ["--vsock -a", "--xdp -em", "--tipc -pe --tipcinfo", "--tipc --vsock --xdp -peO"] {
            cases.push(asked(look, &talk).env("COLUMNS", columns));
        }
    }
    check(cases)
}

/// A made-up process that holds a socket of each family; these tables come from the kernel
/// even if `PROC_ROOT` is set.
fn held() -> Result<PathBuf, std::io::Error> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replies-proc");
    let fds = root.join("100/fd");
    std::fs::create_dir_all(&fds)?;
    std::fs::write(root.join("100/stat"), "100 (some holder) S 1 100 100 0 -1\n")?;
    for (fd, inode) in [(3, 4_000_000_001_u32), (4, 4_000_000_007), (5, 1), (6, 6), (7, 4_000_000_007)] {
        let link = fds.join(fd.to_string());
        let _ = std::fs::remove_file(&link);
        symlink(format!("socket:[{inode}]"), &link)?;
    }
    Ok(root)
}

/// Lists of holders, which come before the details of some families and after those of others.
pub(super) fn owners() -> usize {
    let talk = all("owned");
    let root = held().unwrap_or_else(|error| panic!("a tree of processes: {error}"));
    let mut cases = Vec::new();
    for table in ["--vsock -a", "--xdp", "--tipc", "--vsock --xdp --tipc"] {
        for look in ["-p", "-pe", "-pm", "-pO", "-peO --tipcinfo", "-Hpem --tipcinfo", "-pQ"] {
            cases.push(asked(&format!("{look} {table}"), &talk).env("PROC_ROOT", &root));
        }
    }
    check(cases)
}

/// Dumps that fail before their first row or later.
pub(super) fn failures() -> usize {
    let mut cases = Vec::new();
    for (family, table, rows) in [
        (VSOCK, "--vsock", replies::vsocks()),
        (TIPC, "--tipc", replies::tipcs()),
        (XDP, "--xdp", replies::xdps()),
    ] {
        let mut fails = |name: &str, datagrams: &[Vec<u8>]| {
            let links = [(1, "lo"), (2, "eth2")];
            let talk = Talk::new().links(&links).sockets(family, datagrams);
            let talk = write(&format!("{name}{table}"), &talk);
            cases.push(asked(&format!("{table} -a"), &talk));
            cases.push(asked(&format!("{table} -aHe"), &talk));
        };
        for errno in [0, 1, 2, 12, 22, 90, 95] {
            fails(&format!("refused-{errno}"), &[refusal(errno)]);
            fails(&format!("refused-late-{errno}"), &[rows.clone(), refusal(errno)]);
            fails(&format!("done-{errno}"), &[done(errno)]);
            fails(&format!("done-late-{errno}"), &[rows.clone(), done(errno)]);
        }
        // The end in the same datagram as the rows, and one datagram per row.
        fails("one-datagram", &[[rows.clone(), done(0)].concat()]);
        fails("nothing", &[done(0)]);
        fails("short-refusal", &[replies::short_refusal()]);
        fails("interrupted", &[replies::interrupted(rows.clone()), done(0)]);
    }
    check(cases)
}
