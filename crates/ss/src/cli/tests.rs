//! Command lines and their outcome.
//!
//! Every error here, except those about DCCP, was compared with `ss` 7.3.  Words are split at
//! blanks; `''` is an empty word.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::{Actions, Args, Exit, parse};
use crate::help;
use crate::last_words::LastWords;

mod compat_table;
mod reference;

/// Logs the actions that the options asked for; opening a name `missing` fails.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) log: Vec<String>,
}

impl Recorder {
    fn open(&mut self, what: &str, name: &OsStr) -> Result<(), Exit> {
        self.log.push(format!("{what}:{}", name.display()));
        if name == "missing" { Err(Exit::error(9, format!("{what} is missing"))) } else { Ok(()) }
    }
}

impl Actions for Recorder {
    fn enter_netns(&mut self, name: &OsStr) -> Result<(), Exit> {
        self.open("netns", name)
    }

    fn open_filter_file(&mut self, name: &OsStr) -> Result<(), Exit> {
        self.open("file", name)
    }

    fn selinux_check(&mut self) -> Result<(), Exit> {
        self.log.push("selinux".into());
        Ok(())
    }

    fn bpf_map(&mut self, id: u32) -> Result<(), Exit> {
        self.log.push(format!("map:{id}"));
        Ok(())
    }
}

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(|word| if word == "''" { "".into() } else { word.into() }).collect()
}

/// Parses as `main` does: options, then state words.
fn parsed(line: &[OsString], posix: bool, recorder: &mut Recorder) -> Result<Args, Exit> {
    let mut args = parse(OsStr::new("ss"), line, posix, recorder)?;
    args.take_state_words()?;
    Ok(args)
}

/// The outcome in short: the actions, the flags that are on, states and tables unless they are
/// the defaults, and the remaining words; or else the status, the message, and whether help
/// follows it.
fn outcome(line: &str, posix: bool) -> String {
    let mut recorder = Recorder::default();
    let args = match parsed(&words(line), posix, &mut recorder) {
        Ok(args) => args,
        Err(exit) => return ending(exit),
    };
    let mut out = recorder.log;
    out.extend(flags(&args).iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()));
    out.extend(args.show.bpf_map_ids.iter().map(|id| format!("id={id}")));
    out.extend(args.dump_file.map(|name| format!("dump={}", name.display())));
    out.extend(args.filter_file.map(|name| format!("filter={}", name.display())));
    if args.show.contexts > 0 {
        out.push(format!("contexts={}/{}", args.show.contexts, args.show.socket_contexts));
    }
    match args.selection.resolve() {
        Err(empty) => out.push(crate::words::reference::empty(empty).to_owned()),
        Ok(selected) => {
            let names: Vec<_> = selected.listed().map(sockdiag::model::Table::name).collect();
            if args.selection.is_default() && selected.states.bits() == 0x3b37 {
                out.push("default".into());
            } else if args.selection.is_default() {
                out.push(format!("default/{:x}", selected.states.bits()));
            } else {
                out.push(format!("{}/{:x}", names.join(","), selected.states.bits()));
            }
        }
    }
    if !args.words.is_empty() {
        let words: Vec<_> = args.words.iter().map(|word| word.display().to_string()).collect();
        out.push(format!("[{}]", words.join(" ")));
    }
    out.join(" ")
}

fn flags(args: &Args) -> [(bool, &'static str); 22] {
    [
        (args.numeric, "numeric"),
        (args.resolve, "resolve"),
        (args.no_header, "no_header"),
        (args.no_queues, "no_queues"),
        (args.oneline, "oneline"),
        (args.summary, "summary"),
        (args.events, "events"),
        (args.kill, "kill"),
        (args.only_summary(), "only_summary"),
        (args.show.options, "options"),
        (args.show.extended, "extended"),
        (args.show.memory, "memory"),
        (args.show.processes, "processes"),
        (args.show.threads, "threads"),
        (args.show.info, "info"),
        (args.show.tipcinfo, "tipcinfo"),
        (args.show.tos, "tos"),
        (args.show.cgroup, "cgroup"),
        (args.show.inet_sockopt, "inet_sockopt"),
        (args.show.bpf, "bpf"),
        (args.show.bpf_maps, "bpf_maps"),
        (args.show.socket_context(), "socket_context"),
    ]
}

fn ending(exit: Exit) -> String {
    let LastWords { code, stdout, stderr, .. } = exit.into();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    if code == 0 {
        assert_eq!(stderr, "");
        return format!("0 {}", stdout.lines().next().unwrap_or_default());
    }
    assert_eq!(stdout, "");
    match stderr.strip_suffix(&help::reference()) {
        Some(message) => format!("{code} {}+help", message.replace('\n', " ")),
        None => format!("{code} {}", stderr.trim_end_matches('\n')),
    }
}

#[test]
fn each_command_line_asks_for_what_it_says() {
    let mut wrong = Vec::new();
    for (line, want) in CASES {
        let got = outcome(line, false);
        if got != *want {
            wrong.push(format!("    (\"{line}\", \"{}\"),", got.replace('"', "\\\"")));
        }
    }
    assert!(wrong.is_empty(), "these differ:\n{}", wrong.join("\n"));
    assert!(CASES.len() >= 120);
}

#[test]
fn with_posixly_correct_the_first_word_ends_the_options() {
    for (line, want) in [
        ("-t foo -u", "tcp/3b37 [foo -u]"),
        ("state all -u", "default/3fff [-u]"),
        ("foo -- -Y", "default [foo -- -Y]"),
        ("-- -t", "default [-t]"),
        ("-A tcp -Y", "255 ss: invalid option -- 'Y' +help"),
        ("- -Y", "default [- -Y]"),
    ] {
        assert_eq!(outcome(line, true), want, "ss {line}");
    }
}

#[test]
fn complaints_start_with_the_name_as_invoked_and_ours_with_ss() {
    let complaint = |word: &str| {
        let exit = parse(OsStr::new("./my ss"), &words(word), false, &mut Recorder::default());
        String::from_utf8(LastWords::from(exit.expect_err(word)).stderr).expect("ASCII in, ASCII out")
    };
    assert!(complaint("-Y").starts_with("./my ss: invalid option -- 'Y'\nUsage: ss ["));
    assert!(complaint("--n").starts_with("./my ss: option '--n' is ambiguous"));
    assert!(complaint("-ffoo").starts_with("ss: \"foo\" is invalid family\nUsage: ss ["));
}

#[test]
fn any_bytes_are_taken_and_given_back() {
    let bytes = |word: &[u8]| vec![OsString::from_vec(word.to_vec())];
    let stderr = |word: &[u8]| {
        let exit = parsed(&bytes(word), false, &mut Recorder::default()).expect_err("wrong");
        LastWords::from(exit).stderr.split(|byte| *byte == b'\n').next().unwrap_or_default().to_vec()
    };
    assert_eq!(stderr(b"-\xc3\xa9"), b"ss: invalid option -- '\xc3'");
    assert_eq!(stderr(b"--\xff\xfe=x"), b"ss: unrecognized option '--\xff\xfe=x'");
    assert_eq!(stderr(b"-f\xff"), b"ss: \"\xff\" is invalid family");
    assert_eq!(stderr(b"-Atcp,\xff"), b"ss: \"\xff\" is illegal socket table id");
    assert_eq!(stderr(b"--bpf-map-id=\xff"), b"ss: invalid BPF map ID \xff");
    let args = parsed(&bytes(b"\xff"), false, &mut Recorder::default()).expect("a filter word");
    assert_eq!(args.words[0].as_bytes(), b"\xff");
}

#[test]
fn what_is_done_at_once_is_done_before_a_later_mistake() {
    for (line, log) in [
        ("-N a -Y -N b", &["netns:a"][..]),
        ("-Na --net=b -F f -Y", &["netns:a", "netns:b", "file:f"]),
        ("-F missing -N a", &["file:missing"]),
        ("-Zz --bpf-map-id 7 -Y", &["selinux", "selinux", "map:7"]),
        ("-F a -F b", &["file:a"]),
        ("-h -N a", &[]),
        ("-N a -V -N b", &["netns:a"]),
        ("-N a state foo", &["netns:a"]),
        ("state foo -N a", &["netns:a"]),
    ] {
        let mut recorder = Recorder::default();
        assert!(parsed(&words(line), false, &mut recorder).is_err(), "ss {line}");
        assert_eq!(recorder.log, log, "ss {line}");
    }
}

#[test]
fn an_empty_name_could_be_any_of_the_references() {
    let names: Vec<_> = super::getopt::reference_long_names().map(|name| format!("'--{name}'")).collect();
    for word in ["--=", "--=x"] {
        let want = format!("255 ss: option '{word}' is ambiguous; possibilities: {} +help", names.join(" "));
        assert_eq!(outcome(word, false), want);
    }
}

/// Random bytes as arguments: the parser must reach the end of every line, or an error.
#[test]
fn no_line_panics() {
    let mut random = fastrand::Rng::with_seed(11);
    let alphabet = b"--==abdfhlnopstuvxzAFNDVZ0468:?;!,\xff state";
    for _ in 0..20_000 {
        let line: Vec<OsString> = (0..random.usize(..5))
            .map(|_| {
                let word = (0..random.usize(..8)).map(|_| alphabet[random.usize(..alphabet.len())]);
                OsString::from_vec(word.collect())
            })
            .collect();
        if let Err(exit) = parsed(&line, random.bool(), &mut Recorder::default()) {
            let exit = LastWords::from(exit);
            assert!(!exit.stdout.is_empty() || !exit.stderr.is_empty(), "{line:?}");
        }
    }
}

/// Help and manual are built from the table of options and from what `cli` knows.  To avoid a
/// dependency cycle, `cli` only names the texts.
#[test]
fn the_command_line_makes_no_texts() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    let mut seen = 0;
    for file in std::fs::read_dir(directory).expect("the sources are there") {
        let path = file.expect("it is listed").path();
        if path.is_dir() || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("sources are UTF-8");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for module in ["help", "manual", "last_words"] {
            assert!(!code.contains(&format!("crate::{module}")), "{} uses {module}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} files");
}

const CASES: &[(&str, &str)] = &[
    ("", "default"),
    ("-t", "tcp/3b37"),
    ("-tanp", "numeric processes tcp/3fff"),
    ("-tulpn", "numeric processes udp,tcp/480"),
    ("-t -a -n", "numeric tcp/3fff"),
    ("-h", "0 Usage: ss [ OPTIONS ]"),
    ("--help", "0 Usage: ss [ OPTIONS ]"),
    ("--he", "0 Usage: ss [ OPTIONS ]"),
    ("-tnh", "0 Usage: ss [ OPTIONS ]"),
    ("-V", "0 ss utility, iproute2-7.3.0"),
    ("-v", "0 ss utility, iproute2-7.3.0"),
    ("--version", "0 ss utility, iproute2-7.3.0"),
    ("--ver", "0 ss utility, iproute2-7.3.0"),
    ("-Vh", "0 ss utility, iproute2-7.3.0"),
    ("-hV", "0 Usage: ss [ OPTIONS ]"),
    ("-Y", "255 ss: invalid option -- 'Y' +help"),
    ("-tYa", "255 ss: invalid option -- 'Y' +help"),
    ("-?", "255 ss: invalid option -- '?' +help"),
    ("-:", "255 ss: invalid option -- ':' +help"),
    ("-;", "255 ss: invalid option -- ';' +help"),
    ("-=", "255 ss: invalid option -- '=' +help"),
    ("-t-", "255 ss: invalid option -- '-' +help"),
    ("-é", "255 ss: invalid option -- '�' +help"),
    ("-H", "no_header default"),
    ("-Q", "no_queues default"),
    ("-O", "oneline default"),
    ("-HQO", "no_header no_queues oneline default"),
    ("-n", "numeric default"),
    ("-r", "resolve default"),
    ("-nr", "numeric resolve default"),
    ("-o", "options default"),
    ("-e", "options extended default"),
    ("-m", "memory default"),
    ("-p", "processes default"),
    ("-T", "threads default"),
    ("-i", "info default"),
    ("-b", "options bpf default"),
    ("-s", "summary only_summary default"),
    ("-E", "events default"),
    ("-K", "kill default"),
    ("-s -a", "summary only_summary default/3fff"),
    ("-s -t", "summary tcp/3b37"),
    ("-s foo", "summary default [foo]"),
    ("-s -H -n", "numeric no_header summary only_summary default"),
    ("-B", "default/2000"),
    ("--tipcinfo", "tipcinfo default"),
    ("--tipci", "tipcinfo default"),
    ("--tos", "tos default"),
    ("--cgroup", "cgroup default"),
    ("--cg", "cgroup default"),
    ("--inet-sockopt", "inet_sockopt default"),
    ("--inet", "inet_sockopt default"),
    ("--bpf", "options bpf default"),
    ("--bpf-maps", "bpf_maps default"),
    ("--bpf-map-id=5", "map:5 id=5 default"),
    ("--bpf-map-id 0x10 --bpf-map-id=010", "map:16 map:8 id=16 id=8 default"),
    ("--bpf-map-id=+5", "map:5 id=5 default"),
    ("--bpf-map-id=-5", "1 ss: invalid BPF map ID -5"),
    ("--bpf-map-id=-18446744073709551615", "map:1 id=1 default"),
    ("--bpf-map-id=0b1", "map:1 id=1 default"),
    ("--bpf-map-id=0", "1 ss: invalid BPF map ID 0"),
    ("--bpf-map-id=0x", "1 ss: invalid BPF map ID 0x"),
    ("--bpf-map-id=08", "1 ss: invalid BPF map ID 08"),
    ("--bpf-map-id=++5", "1 ss: invalid BPF map ID ++5"),
    ("--bpf-map-id=4294967294", "map:4294967294 id=4294967294 default"),
    ("--bpf-map-id=4294967295", "1 ss: invalid BPF map ID 4294967295"),
    ("--bpf-map-id=18446744073709551617", "1 ss: invalid BPF map ID 18446744073709551617"),
    ("--bpf-map-id=5x", "1 ss: invalid BPF map ID 5x"),
    ("--bpf-map-id=", "1 ss: invalid BPF map ID "),
    ("--bpf-map-id", "255 ss: option '--bpf-map-id' requires an argument +help"),
    (
        "--bpf-map",
        "255 ss: option '--bpf-map' is ambiguous; possibilities: '--bpf-maps' '--bpf-map-id' +help",
    ),
    ("--bpf-map-id 5 --bpf-maps", "255 ss: --bpf-maps and --bpf-map-id cannot be used together"),
    ("--bpf-maps --bpf-map-id 5", "1 ss: --bpf-maps and --bpf-map-id cannot be used together"),
    ("--bpf-maps --bpf-map-id x", "1 ss: --bpf-maps and --bpf-map-id cannot be used together"),
    ("--bpf-maps --bpf-maps", "bpf_maps default"),
    ("-Z", "selinux contexts=1/0 default"),
    ("-z", "selinux socket_context contexts=1/1 default"),
    ("-zZ", "selinux selinux contexts=2/1 default"),
    ("-zz", "selinux selinux socket_context contexts=2/2 default"),
    ("--context", "selinux contexts=1/0 default"),
    ("--contexts", "selinux socket_context contexts=1/1 default"),
    ("--cont", "255 ss: option '--cont' is ambiguous; possibilities: '--context' '--contexts' +help"),
    (
        "--n",
        "255 ss: option '--n' is ambiguous; possibilities: '--numeric' '--net' '--no-header' '--no-queues' +help",
    ),
    ("--no", "255 ss: option '--no' is ambiguous; possibilities: '--no-header' '--no-queues' +help"),
    ("--nu", "numeric default"),
    ("--ne", "255 ss: option '--net' requires an argument +help"),
    (
        "--b",
        "255 ss: option '--b' is ambiguous; possibilities: '--bpf' '--bound-inactive' '--bpf-maps' '--bpf-map-id' +help",
    ),
    ("--c", "255 ss: option '--c' is ambiguous; possibilities: '--context' '--contexts' '--cgroup' +help"),
    ("--e", "255 ss: option '--e' is ambiguous; possibilities: '--extended' '--events' +help"),
    ("--f", "255 ss: option '--f' is ambiguous; possibilities: '--family' '--filter' +help"),
    (
        "--i",
        "255 ss: option '--i' is ambiguous; possibilities: '--info' '--ipv4' '--ipv6' '--inet-sockopt' +help",
    ),
    ("--ip", "255 ss: option '--ip' is ambiguous; possibilities: '--ipv4' '--ipv6' +help"),
    ("--m", "255 ss: option '--m' is ambiguous; possibilities: '--memory' '--mptcp' +help"),
    ("--o", "255 ss: option '--o' is ambiguous; possibilities: '--options' '--oneline' +help"),
    ("--p", "255 ss: option '--p' is ambiguous; possibilities: '--processes' '--packet' +help"),
    ("--r", "255 ss: option '--r' is ambiguous; possibilities: '--resolve' '--raw' +help"),
    ("--re", "resolve default"),
    ("--s", "255 ss: option '--s' is ambiguous; possibilities: '--sctp' '--socket' '--summary' +help"),
    ("--so", "255 ss: option '--socket' requires an argument +help"),
    (
        "--t",
        "255 ss: option '--t' is ambiguous; possibilities: '--threads' '--tcp' '--tipc' '--tipcinfo' '--tos' +help",
    ),
    ("--ti", "255 ss: option '--ti' is ambiguous; possibilities: '--tipc' '--tipcinfo' +help"),
    ("--tip", "255 ss: option '--tip' is ambiguous; possibilities: '--tipc' '--tipcinfo' +help"),
    ("--tipc", "tipc/482"),
    ("--u", "255 ss: option '--u' is ambiguous; possibilities: '--udp' '--unix' +help"),
    ("--v", "255 ss: option '--v' is ambiguous; possibilities: '--vsock' '--version' +help"),
    ("--w", "255 ss: unrecognized option '--w' +help"),
    ("--x", "xdp/80"),
    ("--", "default"),
    ("-- -t", "default [-t]"),
    ("---", "255 ss: unrecognized option '---' +help"),
    (
        "--n=1",
        "255 ss: option '--n=1' is ambiguous; possibilities: '--numeric' '--net' '--no-header' '--no-queues' +help",
    ),
    ("--ip=3", "255 ss: option '--ip=3' is ambiguous; possibilities: '--ipv4' '--ipv6' +help"),
    ("--numeric=1", "255 ss: option '--numeric' doesn't allow an argument +help"),
    ("--numeric=", "255 ss: option '--numeric' doesn't allow an argument +help"),
    ("--num=1", "255 ss: option '--numeric' doesn't allow an argument +help"),
    ("--NUMERIC", "255 ss: unrecognized option '--NUMERIC' +help"),
    ("--bogus", "255 ss: unrecognized option '--bogus' +help"),
    ("--bogus=1", "255 ss: unrecognized option '--bogus=1' +help"),
    ("--tcp=", "255 ss: option '--tcp' doesn't allow an argument +help"),
    ("-f inet", "raw,udp,tcp,sctp,mptcp/3b37"),
    ("-finet6", "raw,udp,tcp,sctp,mptcp/3b37"),
    ("-f link", "packet_dgram,packet_raw/80"),
    ("-tf unix", "unix_dgram,unix_stream,unix_seqpacket,tcp/3b37"),
    ("--family netlink", "netlink/80"),
    ("--family=vsock", "vsock_stream,vsock_dgram/3b37"),
    ("--fam tipc", "tipc/482"),
    ("--fam=xdp", "xdp/80"),
    ("-f foo", "255 ss: \"foo\" is invalid family +help"),
    ("-f ''", "255 ss: \"\" is invalid family +help"),
    ("--family=", "255 ss: \"\" is invalid family +help"),
    ("-f INET", "255 ss: \"INET\" is invalid family +help"),
    ("-f dccp", "255 ss: \"dccp\" is invalid family +help"),
    ("-f help", "0 Usage: ss [ OPTIONS ]"),
    ("-f", "255 ss: option requires an argument -- 'f' +help"),
    ("-nf", "255 ss: option requires an argument -- 'f' +help"),
    ("--family", "255 ss: option '--family' requires an argument +help"),
    ("-f --", "255 ss: \"--\" is invalid family +help"),
    ("-A tcp", "tcp/3b37"),
    ("-Atcp,udp", "udp,tcp/3b37"),
    (
        "--query=all,!tcp",
        "unix_dgram,unix_stream,unix_seqpacket,raw,udp,sctp,vsock_stream,vsock_dgram,mptcp/3b37",
    ),
    ("--socket u_str", "unix_stream/3b37"),
    ("--soc p_raw", "/3b37"),
    ("--q=inet", "raw,udp,tcp,sctp,mptcp/3b37"),
    ("-A !tcp", "ss: no socket tables to show with such filter."),
    ("-A ''", "255 ss: \"\" is illegal socket table id +help"),
    ("-A tcp,", "255 ss: \"\" is illegal socket table id +help"),
    ("-A ,", "255 ss: \"\" is illegal socket table id +help"),
    ("-A !", "255 ss: \"!\" is illegal socket table id +help"),
    ("-A !!tcp", "255 ss: \"!!tcp\" is illegal socket table id +help"),
    ("-A TCP", "255 ss: \"TCP\" is illegal socket table id +help"),
    ("-A tcp,foo,bar", "255 ss: \"foo\" is illegal socket table id +help"),
    ("-A", "255 ss: option requires an argument -- 'A' +help"),
    ("--query", "255 ss: option '--query' requires an argument +help"),
    ("--socket", "255 ss: option '--socket' requires an argument +help"),
    ("-A dccp", "dccp/3b37"),
    ("-A inet", "raw,udp,tcp,sctp,mptcp/3b37"),
    ("-A all", "unix_dgram,unix_stream,unix_seqpacket,raw,udp,tcp,sctp,vsock_stream,vsock_dgram,mptcp/3b37"),
    ("-d", "dccp/3b37"),
    ("--dccp", "dccp/3b37"),
    ("--dccp=1", "255 ss: option '--dccp' doesn't allow an argument"),
    ("--d", "255 ss: option '--diag' requires an argument +help"),
    ("--dc", "255 ss: unrecognized option '--dc' +help"),
    ("-td", "tcp,dccp/3b37"),
    ("-4", "raw,udp,tcp,sctp,mptcp/3b37"),
    ("-6", "raw,udp,tcp,sctp,mptcp/3b37"),
    ("-4 -6", "raw,udp,tcp,sctp,mptcp/3b37"),
    ("-0", "packet_dgram,packet_raw/80"),
    ("-x", "unix_dgram,unix_stream,unix_seqpacket/3b37"),
    ("--vsock", "vsock_stream,vsock_dgram/3b37"),
    ("--xdp", "xdp/80"),
    ("--tipc -l", "tipc/480"),
    ("-w", "raw/2"),
    ("-S", "sctp/3b37"),
    ("-M", "mptcp/3b37"),
    ("-u -l", "udp/480"),
    ("-ua", "udp/3fff"),
    ("-l -a", "default/3fff"),
    ("-a -l", "default/480"),
    ("-D out", "dump=out default"),
    ("-Dout -D other", "dump=other default"),
    ("-tanD-", "numeric dump=- tcp/3fff"),
    ("--diag=x", "dump=x default"),
    ("-D", "255 ss: option requires an argument -- 'D' +help"),
    ("-F f", "file:f filter=f default"),
    ("-F - sport = :80", "file:- filter=- default [sport = :80]"),
    ("-F a -F b", "255 More than one filter file"),
    ("-F missing", "9 file is missing"),
    ("--filter", "255 ss: option '--filter' requires an argument +help"),
    ("-N blue", "netns:blue default"),
    ("-N blue --net green", "netns:blue netns:green default"),
    ("-N missing", "9 netns is missing"),
    ("-N", "255 ss: option requires an argument -- 'N' +help"),
    ("dst 1.2.3.4 -n", "numeric default [dst 1.2.3.4]"),
    ("dst -n 1.2.3.4 -t", "numeric tcp/3b37 [dst 1.2.3.4]"),
    ("- -t", "tcp/3b37 [-]"),
    ("-1", "255 ss: invalid option -- '1' +help"),
    ("state established", "default/2"),
    ("state ESTABLISHED state listening", "default/402"),
    ("-t state all", "tcp/3fff"),
    ("-l state established", "default/2"),
    ("exclude established -t", "tcp/3ffd"),
    ("excl all", "default"),
    ("exclude all", "default"),
    ("state all exclude closed sport = :80", "default/3f7f [sport = :80]"),
    ("-- state big foo", "default/3fb7 [foo]"),
    ("state", "255 Command line is not complete. Try option \"help\""),
    ("exclude", "255 Command line is not complete. Try option \"help\""),
    ("state foo", "255 ss: wrong state name: foo"),
    ("state ''", "255 ss: wrong state name: "),
    ("state new-syn-recv", "255 ss: wrong state name: new-syn-recv"),
    ("state fin-wait-{1,2}", "255 ss: wrong state name: fin-wait-{1,2}"),
    ("state all excl", "255 Command line is not complete. Try option \"help\""),
    ("STATE all", "default [STATE all]"),
    ("foo state all", "default [foo state all]"),
    ("( state all )", "default [( state all )]"),
];
