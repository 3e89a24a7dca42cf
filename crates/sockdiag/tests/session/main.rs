//! Sessions: what later polls cost, that each of them is right, and in which namespace they
//! are answered.
//!
//! Everything is made in the tests' own namespaces.  A test that must see all namespaces,
//! but only its own, runs in a [`world`] of its own.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "small, known numbers; each cast is meant"
)]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod activity;
mod endings;
mod flat;
mod follow;
mod holders;
mod named;
mod nested;
mod observed;
mod probe;
mod quiet;
mod stay;
mod told;
mod transfers;
mod walked;
mod world;

use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow::Continue;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sockdiag::{Holding, Outcome, OwnedRow, PollError, Row, Session, Sink, Sockets, StateSet, Table};
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::until;

/// Runs something on a thread in the namespace.
fn within<T: Send>(namespace: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    namespace.with(work).unwrap_or_else(|why| panic!("{why}"))
}

fn all(tables: &[Table]) -> Sockets {
    Sockets::of(tables).states(StateSet::ALL)
}

/// A listener in the calling thread's namespace.
fn listener() -> Listener {
    Listener::bind("127.0.0.1:0").expect("lo is up")
}

/// A listener and a connection to it, in the calling thread's namespace.
fn connection() -> (Listener, TcpStream, TcpStream) {
    let listener = listener();
    let client = TcpStream::connect(addr(&listener)).expect("loopback");
    let (server, _) = listener.accept().expect("it came");
    (listener, client, server)
}

fn addr(listener: &Listener) -> SocketAddr {
    listener.local_addr().expect("it is bound")
}

fn inode(socket: &impl AsFd) -> u32 {
    rustix::fs::fstat(socket).expect("an open socket").st_ino as u32
}

/// A sink that copies all rows, and leaves notices to the outcome.
#[derive(Default)]
struct Rows(Vec<OwnedRow>);

impl Sink for Rows {
    type Error = std::convert::Infallible;

    fn row(&mut self, row: &Row<'_>) -> Result<std::ops::ControlFlow<()>, Self::Error> {
        self.0.push(OwnedRow::of(row));
        Ok(Continue(()))
    }
}

/// Makes one poll, which must read every table.
fn poll(session: &mut Session) -> (Vec<OwnedRow>, Outcome) {
    let mut rows = Rows::default();
    match session.poll(&mut rows) {
        Ok(outcome) => {
            assert!(outcome.is_complete(), "{outcome:?}");
            (rows.0, outcome)
        }
        Err(PollError::Ask(error)) => panic!("{error}"),
        Err(error) => panic!("{error}"),
    }
}

/// The inodes in a poll's rows, sorted.
fn inodes(session: &mut Session) -> Vec<u32> {
    let mut inodes: Vec<u32> = poll(session).0.iter().filter_map(OwnedRow::inode).collect();
    inodes.sort_unstable();
    inodes
}

/// A process that runs a shell script, with a socket as its standard output.  The test
/// writes a line to its input to let the script go on.
struct Holder(Child);

impl Holder {
    fn start(socket: impl Into<OwnedFd>, script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(socket.into()).stderr(Stdio::null());
        let holder = Self(command.spawn().expect("there is a shell"));
        // Its name changes at exec, after which close-on-exec descriptors are closed.
        let name = format!("/proc/{}/comm", holder.pid());
        assert!(until(|| std::fs::read(&name).is_ok_and(|name| name == b"sh\n")));
        holder
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    /// Lets the script continue.
    fn go_on(&mut self) {
        use std::io::Write as _;
        self.0.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("it reads");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The script ends at the end of its input.
        drop(self.0.stdin.take());
        for _ in 0..200 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes that hold a socket, apart from those that another test has just forked:
/// until it runs its program, a child has copies of all descriptors of this process.
fn holders_of(row: &OwnedRow) -> Vec<Holding> {
    let own = std::env::current_exe().expect("it runs");
    let is_told = |held: &Holding| {
        let at = |name| format!("/proc/{}/{name}", held.pid);
        let is_fork = held.pid != std::process::id() as i32
            && std::fs::read_link(at("exe")).is_ok_and(|exe| exe == own);
        let is_called = |comm: Vec<u8>| comm.strip_suffix(b"\n") == Some(held.name().as_bytes());
        !is_fork && std::fs::read(at("comm")).is_ok_and(is_called)
    };
    row.holders().into_iter().filter(is_told).collect()
}

/// Command names and pids of the holders of the only row.
fn held_by(rows: &[OwnedRow]) -> Vec<(String, i32)> {
    let [row] = rows else { panic!("{} rows", rows.len()) };
    holders_of(row).iter().map(|holder| (holder.name(), holder.pid)).collect()
}
