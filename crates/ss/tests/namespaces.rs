//! Several network namespaces in one listing, and the other ends of
//! connections, in and between them.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sockdiag_testkit::netns::{self, Namespace};
use sockdiag_testkit::skip;
use sockdiag_testkit::skip::Privilege;

#[path = "namespaces/unseen.rs"]
mod unseen;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// Opens sockets from inside a namespace.
fn inside<T: Send + 'static>(
    namespace: &Namespace,
    open: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> T {
    let file = File::open(format!("/proc/{}/ns/net", namespace.pid())).expect("it has a holder");
    let work = move || {
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))?;
        open()
    };
    thread::spawn(work).join().expect("no panic").expect("a socket of the test")
}

/// A process that holds a socket as its descriptor 0, until it is dropped.
struct Holder(Child);

impl Holder {
    fn of(socket: impl Into<OwnedFd>) -> Self {
        let command = Command::new("sleep").arg("600").stdin(Stdio::from(socket.into())).spawn();
        Self(command.expect("sleep starts"))
    }

    /// The holder as JSON lists it.
    fn entry_in_json(&self) -> String {
        format!("\"pid\":{},", self.0.id())
    }

    /// The holder as `users:` and `peer:` list it.
    fn entry(&self) -> String {
        format!("((\"sleep\",pid={},fd=0))", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Both fail only if the process is already gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ss(words: &str) -> Output {
    let out = Command::new(OURS).args(words.split(' ')).stdin(Stdio::null()).output().expect("ours runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    // The machine may have processes that even root may not inspect.
    let others: Vec<&str> = said.lines().filter(|line| !line.contains("namespaces may be missing")).collect();
    assert!(others.is_empty(), "{words}: {said}");
    assert!(out.status.success(), "{words}");
    out
}

/// The rows of a listing, with single blanks.  Names may contain any bytes.
fn rows(words: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&ss(words).stdout).into_owned();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The only row that contains all of these parts.
fn row<'r>(rows: &'r [String], parts: &[&str]) -> &'r str {
    let mut found = rows.iter().filter(|row| parts.iter().all(|part| row.contains(part)));
    match (found.next(), found.next()) {
        (Some(row), None) => row,
        other => panic!("{parts:?}: {other:?} in {rows:#?}"),
    }
}

fn tcp_pair(listener: &TcpListener, connect: impl FnOnce() -> TcpStream) -> (TcpStream, TcpStream) {
    let there = connect();
    let (here, _) = listener.accept().expect("a connection of the test");
    (here, there)
}

fn is_root() -> bool {
    matches!(skip::privilege(), Ok(Privilege::Root))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn both_ends_are_named_across_three_namespaces() {
    if !is_root() {
        skip!("only root connects namespaces");
    }
    let (Some(a), Some(b), Some(c)) = (Namespace::or_skip(), Namespace::or_skip(), Namespace::or_skip())
    else {
        return;
    };
    for (one, other, index, name, ends) in [
        (&a, &b, 300, "ab", ["198.51.100.1", "198.51.100.2"]),
        (&b, &c, 301, "bc", ["203.0.113.1", "203.0.113.2"]),
    ] {
        if let Err(why) = one.connect(other, index, name, ends.map(ip)) {
            skip!("{why}");
        }
    }
    let inode = |namespace: &Namespace| namespace.inode().expect("it has one").to_string();
    let (in_a, in_b, in_c) = (inode(&a), inode(&b), inode(&c));

    // TCP from namespace b to a, UDP between b and c.
    let listener = inside(&a, || TcpListener::bind("198.51.100.1:7001"));
    let (server, client) = tcp_pair(&listener, || inside(&b, || TcpStream::connect("198.51.100.1:7001")));
    let client_port = client.local_addr().expect("bound").port();
    let udp = |local: &'static str, remote: &'static str| {
        move || {
            let socket = UdpSocket::bind(local)?;
            socket.connect(remote)?;
            Ok(socket)
        }
    };
    let udp_b = inside(&b, udp("203.0.113.1:7002", "203.0.113.2:7003"));
    let udp_c = inside(&c, udp("203.0.113.2:7003", "203.0.113.1:7002"));
    // The same loopback connection in both a and c.
    let loopback = || {
        let listener = TcpListener::bind("127.0.0.1:7004")?;
        let there = UdpSocket::bind("127.0.0.1:0")?; // nobody's peer
        let client = TcpStream::connect("127.0.0.1:7004")?;
        Ok((listener.accept()?.0, client, there))
    };
    let (lo_server_a, lo_client_a, _bystander) = inside(&a, loopback);
    // A unix socket in a, with a connection from c.
    let path = std::env::temp_dir().join(format!("netns-test-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let bound = path.clone();
    let unix = inside(&a, move || UnixListener::bind(bound));
    let to = path.clone();
    let unix_client = inside(&c, move || UnixStream::connect(to));
    let (unix_server, _) = unix.accept().expect("a connection of the test");
    std::fs::remove_file(&path).expect("the test's own file");

    let lo_port = lo_client_a.local_addr().expect("bound").port();
    let [server, client, lo_server, lo_client] = [server, client, lo_server_a, lo_client_a].map(Holder::of);
    let [udp_b, udp_c] = [udp_b, udp_c].map(Holder::of);
    let [unix_server, unix_client] = [unix_server, unix_client].map(Holder::of);

    let list = format!("pid:{},pid:{},pid:{}", a.pid(), b.pid(), c.pid());
    let all = rows(&format!("--netns {list} -tuxnpHa --peers"));
    for (parts, users, peer, peer_netns) in [
        ([&*in_a, "198.51.100.1:7001 198.51.100.2"], &server, &client, Some(&in_b)),
        ([&*in_b, "198.51.100.1:7001 users"], &client, &server, Some(&in_a)),
        ([&*in_b, "203.0.113.1:7002 203.0.113.2:7003"], &udp_b, &udp_c, Some(&in_c)),
        ([&*in_c, "203.0.113.2:7003 203.0.113.1:7002"], &udp_c, &udp_b, Some(&in_b)),
        ([&*in_a, &format!("127.0.0.1:7004 127.0.0.1:{lo_port} ")], &lo_server, &lo_client, None),
        ([&*in_a, &format!("127.0.0.1:{lo_port} 127.0.0.1:7004 ")], &lo_client, &lo_server, None),
    ] {
        let mut want = format!(" users:{} peer:{}", users.entry(), peer.entry());
        if let Some(netns) = peer_netns {
            want.extend([" peer-netns:", netns]);
        }
        let row = row(&all, &parts);
        assert!(row.starts_with(parts[0]) && row.ends_with(&want), "{row}\nlacks {want}");
    }
    // The kernel creates the accepted end in the namespace of the connecting process.
    for (users, peer) in [(&unix_server, &unix_client), (&unix_client, &unix_server)] {
        let want = format!("users:{} peer:{}", users.entry(), peer.entry());
        let row = row(&all, &["u_str ESTAB", &want]);
        assert!(row.starts_with(&in_c), "{row}");
    }

    // Other ends are found even in namespaces that are not listed.
    let one = rows(&format!("--netns pid:{} -tnpH --peers sport = :7001", a.pid()));
    assert_eq!(one.len(), 1, "{one:?}");
    assert!(one[0].ends_with(&format!("peer:{} peer-netns:{in_b}", client.entry())), "{one:?}");

    // With all namespaces listed, the other end is still found, and JSON agrees.
    let found = rows(&format!("--netns all -tnpHO --peers sport = :7001 and netns.inode = {in_a}"));
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert!(found.ends_with(&format!("peer:{} peer-netns:{in_b}", client.entry())), "{found}");
    let json = String::from_utf8(ss(&format!("--netns {list} -tnpH -j --peers sport = :7001")).stdout)
        .expect("JSON");
    for part in [
        format!("\"netns\":{{\"inode\":{in_a},"),
        format!("\"netns_inode\":{in_b}"),
        "\"candidates\":1".to_owned(),
        format!("\"pid\":{},", client.0.id()),
    ] {
        assert!(json.contains(&part), "no {part} in {json}");
    }
    // Every field of a process is also available for the other end's process.
    let csv = format!(
        "--netns {list} -tnH --csv --columns peer.pid,peer.comm,peer.cmdline,peer.uid,peer.user sport = :7001"
    );
    assert_eq!(rows(&csv), [format!("{in_a},{},sleep,sleep 600,0,root", client.0.id())]);
    let processes = format!(
        "\"peer\":{{\"processes\":[{{\"pid\":{0},\"tid\":{0},\"fd\":0,\"comm\":\"sleep\",\"cmdline\":[\"sleep\",\"600\"],\"uid\":0,\"user\":\"root\"",
        client.0.id()
    );
    assert!(json.contains(&processes), "no {processes} in {json}");
    for filter in ["peer.cmdline = *600*", "peer.user = root", "peer.uid = 0", "not peer.user != root"] {
        assert_eq!(rows(&format!("--netns {list} -tnH sport = :7001 and {filter}")).len(), 1, "{filter}");
    }
    for filter in ["peer.cmdline = *700*", "peer.user != root", "peer.uid > 0"] {
        assert!(rows(&format!("--netns {list} -tnH sport = :7001 and {filter}")).is_empty(), "{filter}");
    }
    assert_eq!(rows(&format!("--netns {list} -tnH netns.inode = {in_b} and dport = :7001")).len(), 1);
    assert!(rows(&format!("--netns {list} -tnH netns.inode = {in_a} and dport = :7001")).is_empty());
    assert_eq!(client_port, client_port_of(row(&all, &[&in_b, "198.51.100.1:7001 users"])));

    // An interface name is resolved in the socket's own namespace.
    if b.second_device() == Some("veth0") {
        let addr = SocketAddrV6::new("fe80::1".parse().expect("an address"), 7009, 0, netns::SECOND);
        let _bound = inside(&b, move || UdpSocket::bind(addr));
        let by_device = rows(&format!("--netns {list} -uanH dev = veth0"));
        assert_eq!(by_device.len(), 1, "{by_device:?}");
        let part = " [fe80::1]%veth0:7009 ";
        assert!(by_device[0].starts_with(&in_b) && by_device[0].contains(part), "{by_device:?}");
    }
}

/// Another user, who is root in their own network namespace, can use any address there.
#[test]
fn who_makes_a_namespace_of_his_own_forges_no_other_end() {
    if !is_root() {
        skip!("only root looks into a namespace of another user's");
    }
    let (Some(a), Some(b)) = (Namespace::or_skip(), Namespace::or_skip()) else { return };
    let his = match (Namespace::of_user(5555), Namespace::of_user(5555)) {
        (Ok(one), Ok(other)) => [one, other],
        (Err(why), _) | (_, Err(why)) => skip!("{why}"),
    };
    if let Err(why) = a.connect(&b, 300, "ab", ["198.51.100.1", "198.51.100.2"].map(ip)) {
        skip!("{why}");
    }
    if his[1].second_device().is_none() {
        skip!("a second device is needed");
    }
    for address in ["198.51.100.1", "198.51.100.2"] {
        his[0].add_address(netns::LO, ip(address), 24).expect("his own");
    }
    his[1].add_address(netns::SECOND, ip("198.51.100.2"), 24).expect("his own");
    let udp = |from: &'static str, to: &'static str| {
        move || {
            let socket = UdpSocket::bind(from)?;
            socket.connect(to)?;
            Ok(socket)
        }
    };
    let udp_in = |namespace: &Namespace, from, to| Holder::of(inside(namespace, udp(from, to)));
    let inode = |namespace: &Namespace| namespace.inode().expect("it has one").to_string();
    let claimed = format!(" peer-netns:{}(uid 5555)", inode(&his[0]));
    let list = |words: &str| rows(&format!("--netns pid:{} -H --peers {words}", a.pid()));
    let only = |words: &str| match list(words).as_slice() {
        [one] => one.clone(),
        other => panic!("{words}: {other:?}"),
    };

    // The other end of this socket is outside the machine.
    let _victim = udp_in(&a, "198.51.100.1:7501", "198.51.100.2:443");
    assert!(!only("-un sport = :7501").contains("peer"));
    let forger = udp_in(&his[0], "198.51.100.2:443", "198.51.100.1:7501");
    let shown = only("-un sport = :7501");
    assert!(shown.ends_with(&format!(" peer:{}{claimed}", forger.entry())), "{shown}\nlacks {claimed}");
    // Fields that cannot show a mark do not report such a peer.
    let columns = list("-un --columns peer.processes,peer.inode,peer.claimed_by_uid sport = :7501");
    assert!(columns.len() == 1 && columns[0].ends_with(" - - 5555"), "{columns:?}");
    assert!(list("-un peer.inode > 0 and sport = :7501").is_empty());
    assert!(list("-un peer.processes.comm = sleep and sport = :7501").is_empty());
    let json = String::from_utf8(ss(&format!("--netns pid:{} -unj --peers sport = :7501", a.pid())).stdout);
    let json = json.expect("JSON");
    assert!(json.contains("\"claimed_by_uid\":5555") && !json.contains(&forger.entry_in_json()), "{json}");
    // A second candidate makes the peer ambiguous, so none is reported.
    let second = udp_in(&his[1], "198.51.100.2:443", "198.51.100.1:7501");
    assert!(!only("-un sport = :7501").contains("peer"));
    drop((forger, second));

    // The true other end is in a namespace of root, and the forged one does not hide it.
    let _here = udp_in(&a, "198.51.100.1:7502", "198.51.100.2:443");
    let there = udp_in(&b, "198.51.100.2:443", "198.51.100.1:7502");
    let forger = udp_in(&his[0], "198.51.100.2:443", "198.51.100.1:7502");
    let shown = only("-un sport = :7502");
    assert!(shown.ends_with(&format!(" peer:{} peer-netns:{}", there.entry(), inode(&b))), "{shown}");
    // In the user's own listing, a socket of root is reported with a mark.
    let of_his = rows(&format!("--netns pid:{} -unH --peers sport = :443", his[0].pid()));
    assert!(of_his.iter().all(|row| row.ends_with("(uid 5555)") || !row.contains("peer:")), "{of_his:?}");
    drop(forger);

    // Two ends that both belong to the user are reported without a mark.
    let listener = inside(&his[0], || TcpListener::bind("198.51.100.2:7503"));
    let (server, client) =
        tcp_pair(&listener, || inside(&his[0], || TcpStream::connect("198.51.100.2:7503")));
    let [server, _client] = [server, client].map(Holder::of);
    let own = rows(&format!("--netns pid:{} -tnH --peers dport = :7503", his[0].pid()));
    assert!(own.len() == 1 && own[0].ends_with(&format!(" peer:{}", server.entry())), "{own:?}");

    // A connection that is still being made is not the other end of an established one.
    let listener = inside(&b, || TcpListener::bind("198.51.100.2:7504"));
    let (far, near) = tcp_pair(&listener, || inside(&a, || TcpStream::connect("198.51.100.2:7504")));
    let port = near.local_addr().expect("bound").port();
    let _near = Holder::of(near);
    drop((far, listener));
    let connecting = inside(&his[1], move || {
        use rustix::net::{AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, connect, socket_with};
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
        let end = |last, port| SocketAddrV4::new(std::net::Ipv4Addr::new(198, 51, 100, last), port);
        bind(&socket, &end(2, 7504))?;
        // Nobody has this address, so there is no answer.
        let _ = connect(&socket, &end(1, port));
        Ok(socket)
    });
    let _connecting = Holder::of(connecting);
    let state = rows(&format!("--netns pid:{} -tnH", his[1].pid()));
    assert!(state.iter().any(|row| row.contains("SYN-SENT")), "{state:?}");
    assert!(!only("-tn dport = :7504").contains("peer"), "{:?}", only("-tn dport = :7504"));
}

/// The port of the row's local end.
fn client_port_of(row: &str) -> u16 {
    let local = row.split(' ').find(|word| word.starts_with("198.51.100.2:")).expect("its end");
    local.parse::<SocketAddr>().expect("an address").port()
}

#[test]
fn peers_are_found_whatever_is_listed_and_however_addresses_are_written() {
    let Some(namespace) = Namespace::or_skip() else { return };
    if !is_root() {
        skip!("only root enters a namespace as it is");
    }
    let (v6, v4, me) = inside(&namespace, || {
        let listener = TcpListener::bind("[::]:7101")?;
        let client = TcpStream::connect("127.0.0.1:7101")?;
        let (server, _) = listener.accept()?;
        // Connected to itself, so it is its own other end.
        let me = UdpSocket::bind("127.0.0.1:7102")?;
        me.connect("127.0.0.1:7102")?;
        Ok((server, client, me))
    });
    let [v6, v4, me] = [OwnedFd::from(v6), OwnedFd::from(v4), OwnedFd::from(me)].map(Holder::of);
    let ours = |words: &str| {
        let mut command = Command::new(OURS);
        namespace.enter(&mut command);
        let out = command.args(words.split(' ')).output().expect("ours runs");
        assert!(out.stderr.is_empty() && out.status.success(), "{words}: {out:?}");
        String::from_utf8(out.stdout).expect("ASCII")
    };
    for (words, peer) in [
        ("-tnH4 --peers", &v6),
        ("-tnH6 --peers", &v4),
        ("-tnH --peers dport = :7101", &v6),
        ("-unH --peers", &me),
    ] {
        let text = ours(words);
        assert!(text.trim_end().ends_with(&format!(" peer:{}", peer.entry())), "{words}: {text}");
        assert_eq!(text.lines().count(), 1, "{words}: {text}");
    }
    // Conditions on the other end, and columns about it.
    assert_eq!(ours("-tnH4 peer.candidates = 1").lines().count(), 1);
    assert_eq!(ours("-tnH4 peer.candidates > 1"), "");
    let columns = ours("-tnH4 --columns remote.port,peer.inode,peer.candidates");
    assert!(
        columns.split_whitespace().next() == Some("7101") && columns.trim_end().ends_with(" 1"),
        "{columns}"
    );
    // Without the option, no peer is shown.
    assert!(!ours("-tnpH").contains("peer:"));
}

#[test]
fn listeners_say_what_they_accept_and_from_where() {
    let Some(namespace) = Namespace::or_skip() else { return };
    if !is_root() || namespace.second_device().is_none() {
        skip!("root and a second device are needed");
    }
    let _sockets = inside(&namespace, || {
        let six = |port: u16, only: bool| -> io::Result<OwnedFd> {
            use rustix::net::{AddressFamily, SocketAddrV6, SocketType, bind, listen, socket, sockopt};
            let socket = socket(AddressFamily::INET6, SocketType::STREAM, None)?;
            sockopt::set_ipv6_v6only(&socket, only)?;
            bind(&socket, &SocketAddrV6::new(std::net::Ipv6Addr::UNSPECIFIED, port, 0, 0))?;
            listen(&socket, 5)?;
            Ok(socket)
        };
        let full = TcpListener::bind("192.0.2.1:7203")?;
        let waiting = TcpStream::connect("192.0.2.1:7203")?;
        Ok((
            six(7201, false)?,
            six(7202, true)?,
            full,
            waiting,
            TcpListener::bind("127.0.0.1:7204")?,
            UdpSocket::bind("0.0.0.0:7205")?,
        ))
    });
    let mut command = Command::new(OURS);
    namespace.enter(&mut command);
    let out = command.args(["-tulnH", "--exposure"]).output().expect("ours runs");
    let text = String::from_utf8(out.stdout).expect("ASCII");
    let rows: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for (port, want) in [
        ("*:7201", "accepts:ipv4+ipv6 scope:any(global) backlog:0/5"),
        ("[::]:7202", "accepts:ipv6 scope:any(global) backlog:0/5"),
        ("192.0.2.1:7203", "accepts:ipv4 scope:global backlog:1/128"),
        ("127.0.0.1:7204", "accepts:ipv4 scope:loopback backlog:0/128"),
        ("0.0.0.0:7205", "accepts:ipv4 scope:any(global)"),
    ] {
        let row = row(&rows, &[&format!(" {port} ")]);
        // Rust's standard library chooses the backlog.
        let row = row.replace("/4096", "/128").replace("/1024", "/128");
        assert!(row.ends_with(want), "{row}\nlacks {want}");
    }
}

#[test]
fn without_privilege_what_can_be_reached_is_listed_and_the_rest_is_counted() {
    if !is_root() {
        skip!("only root can give its privileges up");
    }
    let (Some(here), Some(other)) = (Namespace::or_skip(), Namespace::or_skip()) else { return };
    if Command::new("setpriv").arg("--version").output().is_err() {
        skip!("no setpriv");
    }
    let as_nobody = |words: &str| {
        let out = here
            .command("setpriv")
            .args([
                "--bounding-set=-all",
                "--inh-caps=-all",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
            ])
            .arg(OURS)
            .args(words.split(' '))
            .output()
            .expect("setpriv runs");
        (
            String::from_utf8_lossy(&out.stdout).into_owned(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
            out.status.code(),
        )
    };
    let listener = |namespace: &Namespace, name: &str| {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("{name}-{}", std::process::id());
        inside(namespace, || UnixListener::bind_addr(&UnixAddr::from_abstract_name(name)?))
    };
    let _listeners = [listener(&here, "here"), listener(&other, "there")];
    let (stdout, stderr, code) = as_nobody("--netns all -xaH state all");
    if stderr.contains("setpriv") || stderr.contains("ermission denied") {
        skip!("{}", stderr.trim());
    }
    assert_eq!(code, Some(0), "{stderr}");
    let [said] = stderr.lines().collect::<Vec<_>>()[..] else { panic!("one line, not {stderr}") };
    assert!(said.starts_with("ss: ") && said.ends_with("so network namespaces may be missing"), "{said}");
    assert!(said.contains(" processes cannot be inspected (1, "), "{said}");
    let own = here.inode().expect("it has one").to_string();
    let name = format!("@here-{}", std::process::id());
    let rows: Vec<&str> = stdout.lines().filter(|row| row.contains(&name)).collect();
    let [row] = rows.as_slice() else { panic!("{stdout}") };
    assert!(row.starts_with(&own), "{row}");
    assert!(!stdout.contains(&format!("@there-{}", std::process::id())), "{stdout}");
    let (document, _, _) = as_nobody("--netns all -xH --json state listening");
    assert!(document.contains("so network namespaces may be missing"), "{document}");
    // A namespace named explicitly that cannot be entered is an error.
    let (stdout, stderr, code) = as_nobody(&format!("--netns pid:{} -xa", other.pid()));
    assert_eq!((&*stdout, code), ("", Some(1)), "{stderr}");
    assert!(stderr.contains("Permission denied"), "{stderr}");
}

#[test]
fn what_cannot_go_together_says_so() {
    for (words, want) in [
        ("--netns nope,all", "Cannot open network namespace \"nope\": No such file or directory"),
        ("--netns=all -E", "ss: --netns and --events cannot be used together"),
    ] {
        let out = Command::new(OURS).args(words.split(' ')).output().expect("ours runs");
        assert!(out.stdout.is_empty() && !out.status.success(), "{words}");
        assert_eq!(String::from_utf8_lossy(&out.stderr).trim_end(), want, "{words}");
    }
    let out =
        Command::new(OURS).args(["--netns", "all"]).env("PROC_ROOT", "/nowhere").output().expect("ours runs");
    assert!(String::from_utf8_lossy(&out.stderr).contains("files in place of the kernel"));
    // Abbreviations behave as in the reference.
    for words in ["--netn all", "--peer", "--container", "--exposur"] {
        let out = Command::new(OURS).args(words.split(' ')).output().expect("ours runs");
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        let name = words.split(' ').next().unwrap_or_default();
        assert!(stderr.contains(&format!("unrecognized option '{name}'")), "{stderr}");
    }
}

#[test]
fn the_header_names_the_column_once_before_the_others() {
    let (Some(a), Some(b)) = (Namespace::or_skip(), Namespace::or_skip()) else { return };
    if !is_root() {
        skip!("only root enters a namespace as it is");
    }
    let _kept = [&a, &b].map(|listed| inside(listed, || TcpListener::bind("127.0.0.1:7301")));
    let listed = rows(&format!("--netns pid:{},pid:{} -tln", a.pid(), b.pid()));
    let [header, one, other] = listed.as_slice() else { panic!("{listed:#?}") };
    assert!(header.starts_with("Netns State "), "{header}");
    assert_eq!(header.matches("Netns").count(), 1, "{header}");
    for (row, namespace) in [(one, &a), (other, &b)] {
        let inode = namespace.inode().expect("it has one");
        assert!(row.starts_with(&format!("{inode} LISTEN ")) && row.contains(" 127.0.0.1:7301 "), "{row}");
    }
}
