//! Servers and clients that transfer data at given rates, for the picture.
//!
//! Each is a process: this program under the name of a service.  The first eight bytes of a
//! connection say how many bytes a second the client wants; if it wants none, the server reads
//! everything that the client sends.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sockdiag_testkit::Why;
use sockdiag_testkit::netns::Namespace;

/// The index of the devices at both ends of the link.
const WIRE: u32 = 20;
/// The rate of the link, in bytes per second.
const CAPACITY: u32 = 12_000_000;
/// The servers' address.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
/// How many times per second data is sent.
const SLICES: u64 = 20;

/// Services: their names and ports.
const SERVICES: [(&str, u16); 4] = [("web", 443), ("api", 8080), ("postgres", 5432), ("backup", 873)];

/// Clients: name, last number of their address, port they connect to, number of connections,
/// bytes per second they receive, bytes per second they send, and bytes per second they read
/// if that is less.
const CLIENTS: [(&str, u8, u16, u32, u64, u64, u64); 9] = [
    ("browser", 21, 443, 3, 420_000, 0, 0),
    ("browser", 22, 443, 2, 1_300_000, 0, 0),
    ("phone", 23, 443, 2, 90_000, 0, 0),
    ("sleeper", 24, 443, 1, 2_000_000, 0, 20_000),
    ("app", 31, 8080, 3, 60_000, 0, 0),
    ("upload", 32, 8080, 1, 0, 700_000, 0),
    ("worker", 41, 5432, 3, 150_000, 0, 0),
    ("rsync", 51, 873, 1, 0, 2_600_000, 0),
    ("idle", 61, 5432, 4, 0, 0, 0),
];

/// A client with short connections: name, last number of its address, port, bytes per second.
const VISITOR: (&str, u8, u16, u64) = ("curl", 71, 443, 300_000);

/// All processes; they end when this is dropped.
pub(super) struct Workload {
    children: Vec<Child>,
    folder: PathBuf,
    servers: Namespace,
    clients: Namespace,
}

impl Workload {
    /// Starts all processes; returns when they are connected.
    pub(super) fn start(xtask: &Path) -> Result<Self, Why> {
        let (servers, clients) = (Namespace::new()?, Namespace::new()?);
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 20, 0, last));
        servers.connect(&clients, WIRE, "wire", [SERVER.into(), address(20)])?;
        for last in CLIENTS.map(|client| client.1).into_iter().chain([VISITOR.1]) {
            // Two clients may share an address, so this may fail.
            let _ = clients.add_address(WIRE, address(last), 24);
        }
        servers.limit(WIRE, CAPACITY)?;
        let folder = std::env::temp_dir().join(format!("sockdiag-picture-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let mut all = Self { children: Vec::new(), folder, servers, clients };
        for (name, port) in SERVICES {
            let child = all.child(xtask, name, true, &format!("serve {SERVER}:{port}"))?;
            all.children.push(child);
        }
        for (name, last, port, count, wanted, sent, read) in CLIENTS {
            let from = address(last);
            let words = format!("ask {from} {SERVER}:{port} {count} {wanted} {sent} {read}");
            let child = all.child(xtask, name, false, &words)?;
            all.children.push(child);
        }
        let (name, last, port, wanted) = VISITOR;
        let words = format!("visit {} {SERVER}:{port} {wanted}", address(last));
        let child = all.child(xtask, name, false, &words)?;
        all.children.push(child);
        for child in &mut all.children {
            let ready = child.stdout.as_mut().map(|out| out.read(&mut [0]));
            if !matches!(ready, Some(Ok(1))) {
                return Err(Why::new("a workload process for the screenshot did not start"));
            }
        }
        Ok(all)
    }

    /// The servers' namespace, which the picture shows.
    pub(super) fn servers(&self) -> &Namespace {
        &self.servers
    }

    /// Starts a process with this name.
    fn child(&self, xtask: &Path, name: &str, serves: bool, words: &str) -> Result<Child, Why> {
        let link = self.folder.join(name);
        match std::os::unix::fs::symlink(xtask, &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let namespace = if serves { &self.servers } else { &self.clients };
        let mut command = namespace.command(link);
        command.args(["picture", "--as"]).args(words.split(' '));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: io::Error) -> Why {
    Why::new(format!("cannot run a workload process for the screenshot: {error}"))
}

/// Runs as one of the processes, until its input ends.
pub(super) fn play(role: &[String]) -> Result<(), Why> {
    let words: Vec<&str> = role.iter().map(String::as_str).collect();
    let bad = || Why::new(format!("there is no workload process with the role {role:?}"));
    match words.as_slice() {
        ["serve", at] => serve(at.parse().map_err(|_| bad())?).map_err(failed)?,
        ["ask", from, to, numbers @ ..] => {
            let from: IpAddr = from.parse().map_err(|_| bad())?;
            let to: SocketAddr = to.parse().map_err(|_| bad())?;
            let numbers: Vec<u64> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
            let [count, wanted, sent, read] = numbers[..] else { return Err(bad()) };
            for _ in 0..count {
                ask(from, to, wanted, sent, read).map_err(failed)?;
            }
        }
        ["visit", from, to, wanted] => {
            let (from, to) = (from.parse().map_err(|_| bad())?, to.parse().map_err(|_| bad())?);
            let wanted: u64 = wanted.parse().map_err(|_| bad())?;
            thread::spawn(move || visit(from, to, wanted));
        }
        _ => return Err(bad()),
    }
    println!("ready");
    // The parent process holds the other end of the pipe.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

fn serve(at: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(at)?;
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(())
}

/// Sends the requested data, or reads what arrives.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted)?;
    match u64::from_be_bytes(wanted) {
        0 => read(stream, 0),
        wanted => send(stream, wanted),
    }
}

fn ask(from: IpAddr, to: SocketAddr, wanted: u64, sent: u64, slowly: u64) -> io::Result<()> {
    let mut stream = connect_patiently(from, to)?;
    stream.write_all(&wanted.to_be_bytes())?;
    if wanted > 0 {
        thread::spawn(move || read(stream, slowly));
    } else if sent > 0 {
        thread::spawn(move || send(stream, sent));
    } else {
        thread::spawn(move || {
            thread::park();
            drop(stream);
        });
    }
    Ok(())
}

/// Connects again and again, and reads for a moment each time.
fn visit(from: IpAddr, to: SocketAddr, wanted: u64) -> io::Result<()> {
    loop {
        let mut stream = connect_patiently(from, to)?;
        stream.write_all(&wanted.to_be_bytes())?;
        let reader = stream.try_clone()?;
        let reading = thread::spawn(move || read(reader, 0));
        thread::sleep(Duration::from_millis(1300));
        stream.shutdown(std::net::Shutdown::Both)?;
        let _ = reading.join();
        thread::sleep(Duration::from_millis(500));
    }
}

/// Connects to a server that may not listen yet.
fn connect_patiently(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let begun = Instant::now();
    loop {
        match connect(from, to) {
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    && begun.elapsed() < Duration::from_secs(10) =>
            {
                thread::sleep(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

/// Connects from a given address.
fn connect(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::new(from, 0))?;
    connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

/// Sends this many bytes a second.
fn send(mut stream: TcpStream, a_second: u64) -> io::Result<()> {
    let piece = vec![0x5a; usize::try_from(a_second / SLICES).unwrap_or(1).max(1)];
    loop {
        stream.write_all(&piece)?;
        thread::sleep(Duration::from_millis(1000 / SLICES));
    }
}

/// Reads until the peer closes, at most `a_second` bytes per second (0: unlimited).
fn read(mut stream: TcpStream, a_second: u64) -> io::Result<()> {
    let most = if a_second == 0 { 1 << 16 } else { a_second / SLICES };
    let mut room = vec![0; usize::try_from(most).unwrap_or(1).max(1)];
    loop {
        if stream.read(&mut room)? == 0 {
            return Ok(());
        }
        if a_second > 0 {
            thread::sleep(Duration::from_millis(1000 / SLICES));
        }
    }
}
