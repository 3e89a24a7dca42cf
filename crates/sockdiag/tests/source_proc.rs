//! `/proc/net` text: the same files, read by this library and by the reference.

#![allow(clippy::cast_possible_wrap, reason = "small, known numbers; each cast is meant")]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fmt::Write;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use sockdiag::model::{
    Addr, Endpoint, Family, FamilySet, ProcLine, Record, Socket, State, StateSet, Table, states,
};
use sockdiag::source::{Access, DumpErrorKind, Query, Sources, dump};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

const HEAD: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const LINE: &str = "   0: 0100007F:07E8 0200007F:C350 01 00000005:00000007 01:00000014 00000003  1000        9 621 1 00000000f9d8e10f 100 4 13 10 7\n";
const LINE6: &str = "   0: B80D01200000000067452301EFCDAB89:07E8 00000000000000000000000001000000:C350 01 00000005:00000007 01:00000014 00000003  1000        9 621 1 00000000f9d8e10f 100 4 13 10 7\n";

/// Two files of this test, removed at the end.
struct Files(PathBuf, PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path = |half| std::env::temp_dir().join(format!("sockdiag-{}-{name}{half}", std::process::id()));
        Self(path(""), path("6"))
    }

    fn write(&self, four: Option<&str>, six: Option<&str>) {
        for (path, text) in [(&self.0, four), (&self.1, six)] {
            let _ = fs::remove_file(path);
            if let Some(text) = text {
                fs::write(path, text).expect("scratch file");
            }
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(&self.1);
    }
}

fn show(end: Endpoint) -> String {
    let port = if end.port == 0 { "*".to_owned() } else { end.port.to_string() };
    match end.addr {
        Addr::V4(octets) => format!("{}:{port}", std::net::Ipv4Addr::from(octets)),
        Addr::V6(octets) => format!("[{}]:{port}", std::net::Ipv6Addr::from(octets)),
        other => panic!("{other:?} in an inet table"),
    }
}

/// A row in the words of `ss -tanHe`, without the timer.
fn words(socket: &Socket<'_>) -> String {
    let mut out = format!(
        "{} {} {} {} {}",
        states::text(socket.state),
        socket.recv_q as i32,
        socket.send_q as i32,
        show(socket.local),
        show(socket.remote)
    );
    if socket.origin.table == Table::Tcp {
        if socket.uid != 0 {
            let _ = write!(out, " uid:{}", socket.uid);
        }
        let _ = write!(out, " ino:{} sk:{:x}", socket.inode, socket.cookie);
        let rest = socket.proc_line().map(ProcLine::rest).unwrap_or_default();
        if !rest.is_empty() {
            let _ = write!(out, " opt:\"{}\"", String::from_utf8_lossy(rest).trim_end());
        }
    }
    out
}

fn ours(query: &Query, sources: &Sources) -> (Vec<String>, Option<DumpErrorKind>) {
    let mut rows = Vec::new();
    let mut visit = |record: Record<'_>| {
        rows.push(words(&Socket::decode(record).expect("a line with endpoints")));
        ControlFlow::Continue(())
    };
    let result = dump(query, sources, &mut Access::here(), &mut visit, &mut |notice| panic!("{notice}"));
    (rows, result.err().map(|error| error.kind))
}

/// The reference's rows, with single blanks and without the timer.
fn theirs(reference: &Reference, args: &[&str], env: &[(&str, &PathBuf)]) -> Vec<String> {
    let out = reference.command().args(args).env_clear().envs(env.iter().copied()).output().expect("it runs");
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    let text = String::from_utf8(out.stdout).expect("these lines are text");
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("timer:")).collect();
        words.join(" ")
    };
    text.lines().map(row).collect()
}

fn with(from: &str, to: &str) -> String {
    assert!(LINE.contains(from), "{from}");
    [HEAD, &LINE.replacen(from, to, 1), LINE].concat()
}

#[test]
fn tcp_lines_read_as_the_reference_reads_them() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    let mut texts: Vec<String> = vec![
        String::new(),
        "x".into(),
        HEAD.into(),
        [HEAD, LINE, LINE.trim_end()].concat(),
        [HEAD, LINE, "\n", LINE].concat(),
        [HEAD, LINE, "no endpoints\n", LINE].concat(),
        [HEAD.trim_end(), &" ".repeat(200), "\n", LINE].concat(),
        with(" 621", "\0 621"),
        with("10 7\n", "10 7\r\n"),
        with("10 7\n", "10 7 more words\n"),
        with(":07E8", ":107E8"),
        with(":07E8", ":7E8"),
        with(":C350", ":1C350"),
        with(":C350", ":350"),
        with(":07E8", ":xyzw"),
        with("0100007F:", "0100zz7F:"),
        with("0100007F:", "100007F:"),
        with("0100007F:", "00100007F:"),
        with("   0:", "  xx:"),
        with("00000005:00000007", "80000005:FFFFFFFF"),
        with(" 1000 ", " -5 "),
        with(" 621 ", " 4294967296621 "),
        LINE.replace(' ', "\t"),
    ];
    for state in ["01", "0A", "0a", "00", "0D", "0F", "FF", "1", "A"] {
        texts.push(with(" 01 ", &format!(" {state} ")));
    }
    for length in 250..260 {
        let line = format!("{} {}", LINE.trim_end(), "x".repeat(length - LINE.len()));
        assert_eq!(line.len(), length);
        texts.push([HEAD, LINE, &line, "\n", LINE].concat());
    }
    for cut in 0..LINE.len() - 1 {
        texts.push([HEAD, &LINE[..cut], "\n", LINE].concat());
    }
    let files = Files::new("tcp");
    let sources = Sources {
        proc_net_tcp: Some(files.0.clone().into()),
        proc_net_tcp6: Some(files.1.clone().into()),
        ..Sources::default()
    };
    let env = [("PROC_NET_TCP", &files.0), ("PROC_NET_TCP6", &files.1)];
    for text in texts {
        files.write(Some(&text), None);
        let (rows, _) = ours(&Query::of(Table::Tcp), &sources);
        assert_eq!(rows, theirs(&reference, &["-tanHe"], &env), "{text:?}");
    }
}

#[test]
fn two_files_make_a_table_as_the_reference_makes_it() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    let files = Files::new("two");
    let sources = Sources {
        proc_net_tcp: Some(files.0.clone().into()),
        proc_net_tcp6: Some(files.1.clone().into()),
        ..Sources::default()
    };
    let env = [("PROC_NET_TCP", &files.0), ("PROC_NET_TCP6", &files.1)];
    let four = [HEAD, LINE].concat();
    let six = [HEAD, LINE6].concat();
    let long = [HEAD, LINE.trim_end(), &"x".repeat(250), "\n"].concat();
    let quiet = [HEAD, "no endpoints\n"].concat();
    for (four, six) in [
        (Some(&four), Some(&six)),
        (Some(&four), None),
        (None, Some(&six)),
        (Some(&long), Some(&six)),
        (Some(&quiet), Some(&six)),
    ] {
        files.write(four.map(String::as_str), six.map(String::as_str));
        for (args, families) in [
            (&["-tanHe"][..], FamilySet::of(&[Family::Inet, Family::Inet6])),
            (&["-tanHe4"], FamilySet::of(&[Family::Inet])),
            (&["-tanHe6"], FamilySet::of(&[Family::Inet6])),
            (&["-tanHe6", "-4"], FamilySet::of(&[Family::Inet, Family::Inet6])),
        ] {
            let query = Query { families, ..Query::of(Table::Tcp) };
            let (rows, _) = ours(&query, &sources);
            assert_eq!(rows, theirs(&reference, args, &env), "{args:?} {four:?} {six:?}");
        }
    }
}

#[test]
fn udp_lines_are_chosen_by_state_too() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    let files = Files::new("udp");
    let sources = Sources {
        proc_net_udp: Some(files.0.clone().into()),
        proc_net_udp6: Some(files.1.clone().into()),
        ..Sources::default()
    };
    let env = [("PROC_NET_UDP", &files.0), ("PROC_NET_UDP6", &files.1)];
    for state in ["01", "07", "0A", "FF"] {
        files.write(Some(&with(" 01 ", &format!(" {state} "))), Some(&[HEAD, LINE6].concat()));
        let (rows, _) = ours(&Query::of(Table::Udp), &sources);
        assert_eq!(rows, theirs(&reference, &["-uanHe"], &env), "{state}");
        let closed = Query { states: StateSet::only(State::Close), ..Query::of(Table::Udp) };
        let (rows, _) = ours(&closed, &sources);
        let rows: Vec<_> = rows.iter().filter_map(|row| row.strip_prefix("UNCONN ")).collect();
        assert_eq!(rows, theirs(&reference, &["-uanHe", "state", "closed"], &env), "{state}");
    }
}

#[test]
fn what_went_wrong_is_said() {
    let files = Files::new("wrong");
    let sources = Sources {
        proc_net_tcp: Some(files.0.clone().into()),
        proc_net_tcp6: Some(files.1.clone().into()),
        ..Sources::default()
    };
    files.write(Some(&[HEAD, LINE, LINE.trim_end()].concat()), None);
    let (rows, error) = ours(&Query::of(Table::Tcp), &sources);
    assert_eq!(rows.len(), 1);
    assert!(matches!(error, Some(DumpErrorKind::BadLine { line: 3, .. })), "{error:?}");
    files.write(None, None);
    let (_, error) = ours(&Query::of(Table::Tcp), &sources);
    assert!(matches!(error, Some(DumpErrorKind::File { .. })), "{error:?}");
}

/// Every line that this machine's kernel writes is parsed as a socket.
#[test]
fn live_files_are_read_whole() {
    let sources = Sources { proc_root: Some("/proc".into()), ..Sources::default() };
    for (table, names) in [(Table::Tcp, ["tcp", "tcp6"]), (Table::Udp, ["udp", "udp6"])] {
        let lines: usize = names
            .iter()
            .filter_map(|name| fs::read_to_string(format!("/proc/net/{name}")).ok())
            .map(|text| text.lines().count() - 1)
            .sum();
        let (rows, error) = ours(&Query::of(table), &sources);
        assert!(error.is_none(), "{error:?}");
        // Sockets come and go between the two reads.
        assert!(rows.len().abs_diff(lines) <= lines / 2 + 5, "{} of {lines}", rows.len());
    }
}
