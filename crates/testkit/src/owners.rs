//! `sockdiag-owners`: sockets with several holders each.
//!
//! The program makes a TCP listener on 127.0.0.1:5901, a connection to it (both ends) and a
//! UDP socket on 127.0.0.1:5902.  It duplicates the listener to descriptors 90 and 200, and
//! opens it once more with `O_PATH`.  It starts four named threads: two that share its
//! descriptors, one with an additional descriptor and one with none.  For every argument it
//! starts a process of that name that inherits all sockets, and finally a process whose first
//! thread has ended.  It prints `ready`, and ends with these processes when its input ends.
//!
//! Invariant: names are set and sockets are inherited before `ready` is printed.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{self, AddressFamily, SocketType};

use crate::netns::{self, Namespace};
use crate::zoo::lines_until_ready;
use crate::{Doing, Why, bins, sys};

/// Port of the listener; the UDP socket has the next port.
pub const PORT: u16 = 5901;
/// How long starting may take in total.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `sockdiag-owners`; dropping it ends it and its processes.
#[derive(Debug)]
pub struct Owners {
    parent: Child,
}

impl Owners {
    /// Makes the sockets in the namespace, held by one process and by another for each of
    /// these names, and returns when all exist.
    pub fn start<S: AsRef<OsStr>>(namespace: &Namespace, names: &[S]) -> Result<Self, Why> {
        let mut command = namespace.command(bins::program("sockdiag-owners")?);
        command.args(names).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut owners = Self { parent: command.spawn().doing("starting sockdiag-owners")? };
        lines_until_ready(&mut owners.parent, PATIENCE)?;
        Ok(owners)
    }

    /// The process that made the sockets.
    pub fn pid(&self) -> u32 {
        self.parent.id()
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        drop(self.parent.stdin.take());
        for _ in 0..100 {
            if !matches!(self.parent.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        netns::stop(&mut self.parent);
    }
}

/// The program's main function: `sockdiag-owners NAME...`; it starts `--hold NAME` and
/// `--leaderless` as its children.
pub fn main(args: &[OsString]) -> ExitCode {
    let done = match args {
        [flag, name] if flag == "--hold" => hold(name),
        [flag] if flag == "--leaderless" => leaderless(),
        names => own(names),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sockdiag-owners: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Sets the process's name and waits.
fn hold(name: &OsStr) -> Result<(), Why> {
    set_name(name)?;
    wait_for_the_end()
}

fn own(names: &[OsString]) -> Result<(), Why> {
    let sockets = sockets()?;
    let (named, names_set) = channel();
    for name in ["first-thread", "second-thread", "own-files", "no-files"] {
        let named = named.clone();
        thread::spawn(move || {
            let done = match name {
                "own-files" => {
                    sys::own_files(false).doing("unsharing files").and_then(|()| by_path(90).map(Some))
                }
                "no-files" => sys::own_files(true).doing("unsharing files").map(|()| None),
                _ => Ok(None),
            };
            let (done, _own) = match done {
                Ok(own) => (set_name(OsStr::new(name)), own),
                Err(why) => (Err(why), None),
            };
            let _ = named.send(done);
            loop {
                thread::park();
            }
        });
        names_set.recv().doing("waiting for a thread")??;
    }
    let program = std::env::current_exe().doing("finding the running program")?;
    let mut children = Vec::new();
    let holders = names.iter().map(|name| vec![OsStr::new("--hold"), name.as_os_str()]);
    for args in holders.chain([vec![OsStr::new("--leaderless")]]) {
        let mut command = Command::new(&program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().doing("starting a holder")?;
        let output = child.stdout.take().ok_or_else(|| Why::new("a holder without an output"))?;
        children.push(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).doing("waiting for a holder")?;
        if line != "ready\n" {
            return Err(Why::new(format!("a holder said {line:?}")));
        }
    }
    let result = wait_for_the_end();
    for mut child in children {
        // `wait` closes the child's input, which ends it.
        let _ = child.wait();
    }
    drop(sockets);
    result
}

/// Ends the first thread; the second prints `ready` and waits.
fn leaderless() -> Result<(), Why> {
    thread::Builder::new()
        .name("left-behind".into())
        .spawn(|| {
            let first = format!("/proc/self/task/{}/stat", std::process::id());
            let is_gone = |stat: String| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
            while !std::fs::read_to_string(&first).is_ok_and(is_gone) {
                thread::sleep(Duration::from_millis(1));
            }
            let done = wait_for_the_end();
            std::process::exit(i32::from(done.is_err()));
        })
        .doing("starting a thread")?;
    sys::end_first_thread();
}

/// Prints `ready` and waits for the end of the input.
fn wait_for_the_end() -> Result<(), Why> {
    let mut out = io::stdout().lock();
    writeln!(out, "ready").and_then(|()| out.flush()).doing("printing")?;
    io::copy(&mut io::stdin().lock(), &mut io::sink()).doing("waiting for the end of the input").map(|_| ())
}

fn set_name(name: &OsStr) -> Result<(), Why> {
    let name = CString::new(name.as_bytes()).doing("a name")?;
    rustix::thread::set_name(&name).doing("setting a name")
}

/// All sockets, without close-on-exec.
fn sockets() -> Result<Vec<OwnedFd>, Why> {
    let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let listener = net::socket(AddressFamily::INET, SocketType::STREAM, None).doing("a TCP socket")?;
    net::sockopt::set_socket_reuseaddr(&listener, true).doing("SO_REUSEADDR")?;
    net::bind(&listener, &at(PORT)).doing("binding the listener")?;
    net::listen(&listener, 5).doing("listening")?;
    let client = net::socket(AddressFamily::INET, SocketType::STREAM, None).doing("a TCP socket")?;
    net::connect(&client, &at(PORT)).doing("connecting")?;
    let server = net::accept(&listener).doing("accepting")?;
    let udp = net::socket(AddressFamily::INET, SocketType::DGRAM, None).doing("a UDP socket")?;
    net::bind(&udp, &at(PORT + 1)).doing("binding the UDP socket")?;
    let mut all = Vec::new();
    for least in [90, 200] {
        let copy = fcntl_dupfd_cloexec(listener.as_fd(), least).doing("copying a descriptor")?;
        rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty()).doing("fcntl")?;
        all.push(copy);
    }
    all.push(by_path(listener.as_raw_fd())?);
    all.extend([listener, client, server, udp]);
    Ok(all)
}

/// An `O_PATH` descriptor of the file behind another descriptor of this thread.
fn by_path(fd: i32) -> Result<OwnedFd, Why> {
    let path = format!("/proc/thread-self/fd/{fd}");
    rustix::fs::open(path, OFlags::PATH, Mode::empty()).doing("opening a socket by its path")
}
