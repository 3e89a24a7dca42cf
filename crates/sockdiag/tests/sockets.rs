//! The main entry point: questions to the kernel, in namespaces made for them, and to
//! recordings of its replies.

#![allow(clippy::cast_possible_wrap, reason = "small, known numbers; each cast is meant")]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use sockdiag::fields::{Catalog, Groups};
use sockdiag::source::Sources;
use sockdiag::{AskError, Holding, OwnedRow, OwnedValue, Row, Sockets, State, StateSet, Table, Verdict};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::zoo::Zoo;

/// Every field that a row reports.
fn values(row: &Row<'_>) -> BTreeMap<&'static str, OwnedValue> {
    let fields = Catalog::shared().fields().map(|field| field.name);
    fields.filter_map(|name| Some((name, OwnedValue::from(row.value(name)?)))).collect()
}

fn all(tables: &[Table]) -> Sockets {
    Sockets::of(tables).states(StateSet::ALL)
}

fn ports(rows: &[OwnedRow]) -> Vec<u16> {
    let mut ports: Vec<u16> = rows.iter().filter_map(|row| Some(row.local()?.port())).collect();
    ports.sort_unstable();
    ports
}

/// A listener and a connection to it, made by this process in the namespace.
fn connection(namespace: &Namespace) -> (TcpListener, TcpStream, TcpStream) {
    let made = namespace.with(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        std::io::Result::Ok((listener, client, server))
    });
    made.unwrap_or_else(|why| panic!("{why}")).expect("loopback")
}

fn port(addr: std::io::Result<SocketAddr>) -> u16 {
    addr.expect("it is bound").port()
}

#[test]
fn a_kept_row_says_what_the_borrowed_one_said() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let kinds =
        ["tcp-established", "tcp-listen6", "udp-connected", "unix-stream", "netlink-groups", "packet-raw"];
    let zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    // Names of hosts are left out: they may need a network.
    let every = Catalog::shared()
        .fields()
        .map(|field| field.name)
        .filter(|name| !["local.host", "remote.host"].contains(name));
    let question = Sockets::new()
        .states(StateSet::ALL)
        .reading(every)
        .reading(["socket.processes.cmdline", "peer.processes.user"])
        .netns(&name);
    let mut seen = Vec::new();
    let outcome = question
        .each(|row| {
            seen.push((values(row), OwnedRow::of(row), row.holders(), row.peer_holders()));
            Continue(())
        })
        .expect("a question");
    assert_eq!(outcome.rows, seen.len() as u64);
    let (rows, _) = question.collect().expect("a question");
    drop((zoo, namespace));
    let mut names: Vec<&str> = Vec::new();
    for (values, kept, holders, peers) in &seen {
        kept.with(|row| {
            assert_eq!(self::values(row), *values);
            assert_eq!((row.holders(), row.peer_holders()), (holders.clone(), peers.clone()));
        });
        for (name, value) in values {
            assert_eq!(kept.value(name).as_ref(), Some(value), "{name}");
        }
        names.extend(values.keys());
        // All sockets were listed later, so queues and timers may differ.
        let same = |row: &OwnedRow| (row.table(), row.inode()) == (kept.table(), kept.inode());
        // The netlink socket of the question itself is gone by then.
        assert!(kept.table() == Table::Netlink || rows.iter().any(same), "{kept:?}");
    }
    for name in ["tcp.rtt_us", "unix.name", "socket.processes", "peer.inode", "netns.inode", "listen.reach"] {
        assert!(names.contains(&name), "{name} is reported by some row");
    }
    let zoo = |(_, row, ..): &&(_, OwnedRow, _, _)| row.holders().iter().any(|h| h.name() == "sockdiag-zoo");
    let held = seen.iter().find(zoo).expect("the zoo holds its sockets");
    let cmdline = held.1.holders()[0].cmdline.clone().expect("asked for");
    assert!(String::from_utf8_lossy(&cmdline).contains("sockdiag-zoo"), "{cmdline:?}");
}

#[test]
fn names_of_hosts_and_services_are_kept() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let made = namespace.with(|| UdpSocket::bind("127.0.0.1:53")).expect("root");
    let _socket = made.expect("a free port");
    let question = all(&[Table::Udp]).reading(["local.host", "local.service"]).netns(&name);
    let mut seen = Vec::new();
    let each = question.each(|row| {
        seen.push((values(row), OwnedRow::of(row)));
        Continue(())
    });
    assert_eq!(each.expect("a question").rows, 1);
    let (values, kept) = &seen[0];
    assert_eq!(kept.with(self::values), *values);
    assert!(values.contains_key("local.host") && values.contains_key("local.service"), "{values:?}");
    let bare = all(&[Table::Udp]).netns(&name).collect().expect("a question").0;
    assert_eq!(bare[0].value("local.service"), None, "what is not read is not looked up");
}

#[test]
fn filters_hold_together_and_none_reaches_into_another() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let (listener, client, _server) = connection(&namespace);
    let (server_port, client_port) = (port(listener.local_addr()), port(client.local_addr()));
    let question = all(&[Table::Tcp]).netns(&name);
    let found = |question: &Sockets| ports(&question.collect().expect("a question").0);
    let mut both = vec![server_port, server_port, client_port];
    both.sort_unstable();
    assert_eq!(found(&question), both);
    let of_server = question.clone().filter(format!("sport = :{server_port}"));
    assert_eq!(found(&of_server), [server_port; 2]);
    assert_eq!(found(&of_server.clone().filter("state = LISTEN")), [server_port]);
    assert_eq!(found(&of_server.clone().filter("")), [server_port; 2], "an empty filter");
    // If the filters were joined as text, the second one would let everything through.
    let reaching = of_server.clone().filter("sport = :1 or sport >= :0");
    assert_eq!(found(&reaching), [server_port; 2]);
    let text = of_server.clone().filter("sport = :1 ) or ( sport >= :0").collect().unwrap_err().to_string();
    assert!(text.starts_with("syntax error in the filter\n") && text.contains('^'), "{text}");
    let wrong = question.clone().filter("dst 300.1.1.1").collect().unwrap_err();
    assert!(matches!(wrong, AskError::Filter(_)), "{wrong}");
    assert_eq!(found(&question.order("-local.port").limit(1)), [server_port.max(client_port)]);
}

#[test]
fn what_cannot_be_asked_is_said() {
    let tcp = || Sockets::of(&[Table::Tcp]);
    let said = |question: Sockets| question.collect().unwrap_err().to_string();
    assert_eq!(said(tcp().reading(["tcp.rtt"])), "there is no field \"tcp.rtt\" (is it tcp.rtt_us?)");
    assert_eq!(said(tcp().reading(["addr"])), "\"addr\" may be local.addr, remote.addr");
    assert!(matches!(tcp().order("nothing").collect(), Err(AskError::Order(_))));
    assert!(matches!(tcp().netns("library-no-such").collect(), Err(AskError::Namespace(_))));
    let files = Sources { proc_root: Some("/proc".into()), ..Sources::default() };
    assert!(matches!(tcp().sources(files).netns("all").collect(), Err(AskError::FilesAndNamespaces)));
    // A recording, so that nothing could be destroyed even if this were accepted.
    let destroy = Sockets::new().recording("/nonexistent").destroy(|_, _| Break(()));
    assert!(matches!(destroy, Err(AskError::DestroyWithoutFilter)), "{destroy:?}");
    let follow = Sockets::of(&[Table::Netlink]).follow(|_| Break(()), |_| {});
    assert!(matches!(follow, Err(AskError::NothingToFollow)), "{follow:?}");
    assert!(matches!(Sockets::of(&[Table::Udp]).record(Vec::new()), Err(AskError::NothingToRecord)));
}

#[test]
fn nothing_comes_behind_the_last_row() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let _sockets = connection(&namespace);
    let _udp = namespace.with(|| UdpSocket::bind("127.0.0.1:0")).expect("root").expect("loopback");
    for question in [Sockets::new(), Sockets::new().with_processes(), Sockets::new().order("local.port")] {
        let question = question.states(StateSet::ALL).netns(&name);
        let mut rows = 0;
        let outcome = question.each(|_| {
            rows += 1;
            Break(())
        });
        assert_eq!((rows, outcome.expect("a question").rows), (1, 1));
    }
}

#[test]
fn a_recording_is_asked_like_the_kernel() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let (listener, client, _server) = connection(&namespace);
    let question = all(&[Table::Tcp]).reading(["tcp.rtt_us"]).reading_groups(Groups::MEMORY).netns(&name);
    let mut bytes = Vec::new();
    assert_eq!(question.record(&mut bytes).expect("a recording"), []);
    let file = Scratch::new("recording");
    fs::write(&file.0, &bytes).expect("scratch file");
    drop(namespace);
    let replay = Sockets::new().recording(&file.0);
    let (rows, outcome) = replay.collect().expect("a question");
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!(rows.len(), 3);
    let port = port(client.local_addr());
    let (rows, _) = replay.clone().filter(format!("sport = :{port}")).collect().expect("a question");
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((row.local(), row.remote()), (client.local_addr().ok(), listener.local_addr().ok()));
    assert_eq!((row.state(), row.state_name()), (Some(State::Established), "ESTAB"));
    assert!(row.number("tcp.rtt_us").is_some_and(|rtt| rtt > 0), "{row:?}");
    assert!(row.number("mem.rcvbuf").is_some_and(|bytes| bytes > 0), "{row:?}");
    assert!(row.cookie().is_some() && row.inode().is_some());
    // A socket from a file is never destroyed.
    let mut verdicts = Vec::new();
    let outcome = replay.filter("sport >= :0").destroy(|_, verdict| {
        verdicts.push(verdict);
        Continue(())
    });
    assert_eq!(outcome.expect("netlink").rows, 3);
    assert_eq!(verdicts, [const { Verdict::Unsupported }; 3]);
    fs::write(&file.0, &bytes[..bytes.len() / 2]).expect("scratch file");
    let (_, outcome) = Sockets::new().recording(&file.0).collect().expect("a question");
    assert!(!outcome.is_complete(), "half a recording");
}

#[test]
fn what_matches_is_destroyed_and_the_rest_lives() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let (listener, client, _server) = connection(&namespace);
    let (other, _client, _server) = connection(&namespace);
    let port = port(client.local_addr());
    let holder = Holder::of(client.try_clone().expect("a copy"));
    let question =
        Sockets::of(&[Table::Tcp]).filter(format!("sport = :{port}")).with_processes().netns(&name);
    let (dry, _) = question.collect().expect("a question");
    let mut done = Vec::new();
    let outcome = question
        .destroy(|row, verdict| {
            done.push((OwnedRow::of(row), verdict));
            Continue(())
        })
        .expect("a question");
    assert_eq!(outcome.rows, 1);
    let [(row, Verdict::Destroyed)] = &done[..] else { panic!("{done:?}") };
    assert_eq!(row.cookie(), dry[0].cookie(), "what the dry run said");
    assert!(holder.is(&row.holders()), "looked up before it was destroyed: {row:?}");
    assert_eq!(client.take_error().ok().flatten().and_then(|error| error.raw_os_error()), Some(103));
    let (left, _) = all(&[Table::Tcp]).netns(&name).collect().expect("a question");
    assert!(!ports(&left).contains(&port));
    let lives = |listener: &TcpListener| ports(&left).contains(&self::port(listener.local_addr()));
    assert!(lives(&listener) && lives(&other), "{left:?}");
    // Both ends of the other connection; destroying one may end the other first.
    let all = Sockets::of(&[Table::Tcp]).filter("sport >= :0").netns(&name);
    let mut verdicts = Vec::new();
    let outcome = all.destroy(|_, verdict| {
        verdicts.push(verdict);
        Continue(())
    });
    assert!(outcome.is_ok_and(|outcome| outcome.is_complete()));
    assert!(verdicts.contains(&Verdict::Destroyed), "{verdicts:?}");
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Destroyed | Verdict::Gone)));
    assert_eq!(Sockets::of(&[Table::Tcp]).netns(&name).collect().expect("a question").0, []);
}

#[test]
fn sockets_are_followed_to_their_end() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let (sender, seen) = channel();
    let question = Sockets::of(&[Table::Tcp]).filter("dport = :7").netns(&name);
    let follower = thread::spawn(move || {
        let each = |row: &Row<'_>| {
            let _ = sender.send(row.remote());
            Break(())
        };
        question.follow(each, |notice| panic!("{notice}"))
    });
    // The follower does not signal when it is ready, so connections end until it reports
    // one.
    let target: SocketAddr = "127.0.0.1:7".parse().expect("an address");
    let begun = Instant::now();
    let listener = namespace.with(|| TcpListener::bind(target)).expect("root").expect("a free port");
    let remote = loop {
        let ended = namespace.with(|| drop((TcpStream::connect(target), TcpStream::connect("127.0.0.1:9"))));
        ended.expect("root");
        drop(listener.accept());
        match seen.recv_timeout(Duration::from_millis(20)) {
            Ok(remote) => break remote,
            Err(_) => assert!(begun.elapsed() < Duration::from_secs(20), "no end of a socket was seen"),
        }
    };
    assert_eq!(remote, Some(target));
    assert!(matches!(follower.join(), Ok(Ok(()))));
}

#[test]
fn namespaces_stand_side_by_side_and_so_do_ends_of_connections() {
    let (Some((left, a)), Some((right, b))) = (Namespace::to_look_into(), Namespace::to_look_into()) else {
        return;
    };
    let (_listener, client, server) = connection(&left);
    let _other = connection(&right);
    let holder = Holder::of(server);
    let both = format!("{a},{b}");
    let question = Sockets::of(&[Table::Tcp]).with_peers().netns(&both);
    let (rows, outcome) = question.collect().expect("a question");
    assert!(outcome.is_complete(), "{outcome:?}");
    let mut inodes: Vec<i128> = rows.iter().filter_map(|row| row.number("netns.inode")).collect();
    inodes.dedup();
    let want = [&left, &right].map(|namespace| namespace.inode().map_or(0, i128::from));
    assert_eq!((rows.len(), &inodes[..]), (4, &want[..]), "in the order of the question");
    let row = rows.iter().find(|row| row.local() == client.local_addr().ok()).expect("it is listed");
    assert!(holder.is(&row.peer_holders()), "{row:?}");
    assert_ne!(row.number("peer.inode"), row.inode().map(i128::from));
    assert_eq!(row.number("peer.netns_inode"), Some(want[0]));
    let filtered = question.filter("sport >= :0");
    for error in [
        filtered.destroy(|_, _| Break(())).map(drop),
        filtered.follow(|_| Break(()), |_| {}),
        filtered.record(Vec::new()).map(drop),
    ] {
        assert!(matches!(error, Err(AskError::SeveralNamespaces)), "{error:?}");
    }
}

#[test]
fn the_readme_shows_what_is_compiled() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let readme = fs::read_to_string(format!("{root}/README.md")).expect("it is there");
    let docs = fs::read_to_string(format!("{root}/crates/sockdiag/src/lib.rs")).expect("it is there");
    let shown = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    let compiled = docs.split("//! ```\n").nth(1).expect("the first example");
    let compiled: Vec<&str> = compiled
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(shown.expect("an example").lines().collect::<Vec<_>>(), compiled);
}

#[test]
fn rows_go_from_thread_to_thread() {
    fn needs<T: Send + Sync + 'static>() {}
    needs::<OwnedRow>();
    needs::<Sockets>();
    needs::<AskError>();
}

/// A process that holds a socket as its descriptor 0, until dropped.
struct Holder(Child);

impl Holder {
    fn of(socket: TcpStream) -> Self {
        let command = Command::new("sleep").arg("600").stdin(Stdio::from(OwnedFd::from(socket))).spawn();
        Self(command.expect("sleep starts"))
    }

    /// Whether it is the only holder listed.
    fn is(&self, holdings: &[Holding]) -> bool {
        let told = |holding: &Holding| (holding.name(), holding.pid, holding.fd);
        holdings.iter().map(told).eq([("sleep".to_owned(), self.0.id() as i32, 0)])
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Both calls fail only if the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file of this test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("sockdiag-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
