//! A network namespace for a test.
//!
//! The test's process stays where it is: a child (`cat`, waiting for the end of its input)
//! starts in new network and mount namespaces, and commands enter them through that child.
//! Root creates them directly, other users through a user namespace in which they are root.
//! `lo` is up with its usual addresses; if the kernel has veth devices, there is a pair of
//! them:
//!
//! | device | index | addresses |
//! | --- | --- | --- |
//! | `lo` | 1 | 127.0.0.1/8, ::1 |
//! | `veth0` | 100 | 192.0.2.1/24, 2001:db8::1/64, fe80::1/64 |
//! | `veth1` | 101 | none |
//!
//! Invariant: the namespace lives as long as its [`Namespace`] or a program in it.  When the
//! test's process dies for any reason, the child's input ends and so does the child.

mod rtnl;

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::skip::{self, Privilege};
use crate::sys::{self, Fds, Requests};
use crate::{Doing, Why};

/// Index of `lo` in every namespace.
pub const LO: u32 = 1;
/// Index of `veth0`, or of `dummy0` where there is no veth.
pub const SECOND: u32 = 100;
const PEER: u32 = 101;

/// A network namespace (and mount namespace) held by a child process.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
    fds: Arc<Fds>,
    privilege: Privilege,
    second_device: Option<&'static str>,
}

/// Finds out how this process can make namespaces.
pub(crate) fn probe() -> Result<Privilege, Why> {
    let mut last = String::new();
    for (privilege, flags) in WAYS {
        let mut command = Command::new("cat");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        sys::unshare_before_exec(&mut command, flags, None);
        match command.status() {
            Ok(_) => return Ok(privilege),
            Err(error) => last = error.to_string(),
        }
    }
    Err(Why::new(format!("cannot make a network namespace, neither as root nor in a user namespace: {last}")))
}

const OWN: UnshareFlags = UnshareFlags::NEWNET.union(UnshareFlags::NEWNS);
const WAYS: [(Privilege, UnshareFlags); 2] =
    [(Privilege::Root, OWN), (Privilege::UserNamespace, OWN.union(UnshareFlags::NEWUSER))];

impl Namespace {
    /// A new namespace with `lo` and, if the kernel has a driver for it, a second device.
    pub fn new() -> Result<Self, Why> {
        Self::made_by(skip::privilege()?)
    }

    /// A new namespace made with this privilege, even if another one is available.
    pub fn made_by(privilege: Privilege) -> Result<Self, Why> {
        Self::made_as(privilege, None)
    }

    /// A new namespace that another user makes, in a user namespace of their own.  Only root
    /// can act as another user.
    pub fn of_user(uid: u32) -> Result<Self, Why> {
        Self::made_as(Privilege::UserNamespace, Some(uid))
    }

    fn made_as(privilege: Privilege, uid: Option<u32>) -> Result<Self, Why> {
        let flags = WAYS.iter().find(|way| way.0 == privilege).map_or(OWN, |way| way.1);
        let mut command = Command::new("cat");
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        sys::unshare_before_exec(&mut command, flags, None);
        let mut holder = command.spawn().doing("making a network namespace")?;
        // From here on, a failure must also end the child.
        match Self::furnish(&holder, privilege, uid) {
            Ok((fds, second_device)) => Ok(Self { holder, fds, privilege, second_device }),
            Err(why) => {
                stop(&mut holder);
                Err(why)
            }
        }
    }

    /// Configures the namespaces once the child runs in them.
    fn furnish(
        holder: &Child,
        privilege: Privilege,
        uid: Option<u32>,
    ) -> Result<(Arc<Fds>, Option<&'static str>), Why> {
        let of = |file: &str| format!("/proc/{}/{file}", holder.id());
        let mut user = None;
        if privilege == Privilege::UserNamespace {
            // Root inside, the caller outside; see user_namespaces(7).
            let own = || (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            let (uid, gid) = uid.map_or_else(own, |uid| (uid, uid));
            fs::write(of("setgroups"), "deny").doing("denying setgroups in the user namespace")?;
            fs::write(of("uid_map"), format!("0 {uid} 1")).doing("mapping the user")?;
            fs::write(of("gid_map"), format!("0 {gid} 1")).doing("mapping the group")?;
            user = Some(open(&of("ns/user"))?);
        }
        let fds = Arc::new(Fds { user, net: open(&of("ns/net"))?, mnt: open(&of("ns/mnt"))? });
        let configure = |messages| configure(&fds, messages);
        for error in configure(vec![rtnl::up(LO)])? {
            error.doing("bringing lo up")?;
        }
        let mut second = None;
        for (name, add) in [
            ("veth0", rtnl::add_veth(SECOND, "veth0", PEER, "veth1")),
            ("dummy0", rtnl::add_dummy(SECOND, "dummy0")),
        ] {
            match configure(vec![add])?.pop() {
                Some(Ok(())) => {
                    second = Some(name);
                    break;
                }
                Some(Err(error)) => eprintln!("note: this kernel makes no {name} in a namespace: {error}"),
                None => {}
            }
        }
        if let Some(name) = second {
            let mut messages = vec![rtnl::up(SECOND)];
            messages.extend((name == "veth0").then(|| rtnl::up(PEER)));
            for (address, prefix) in [("192.0.2.1", 24), ("2001:db8::1", 64), ("fe80::1", 64)] {
                let address = address.parse().doing("an address of the second device")?;
                messages.push(rtnl::add_address(SECOND, address, prefix));
            }
            for error in configure(messages)? {
                error.doing(format_args!("setting {name} up"))?;
            }
        }
        Ok((fds, second))
    }

    /// A new namespace, or `None` after reporting a skip.
    pub fn or_skip() -> Option<Self> {
        Self::new().inspect_err(|why| skip::report(why)).ok()
    }

    /// A namespace that this process may enter, and the word that selects it in a question;
    /// reports a skip if there is none.
    pub fn to_look_into() -> Option<(Self, String)> {
        let namespace = Self::or_skip()?;
        if namespace.privilege != Privilege::Root {
            skip::report("only root enters a namespace as it is");
            return None;
        }
        let word = format!("pid:{}", namespace.pid());
        Some((namespace, word))
    }

    /// How the namespace was made.
    pub fn privilege(&self) -> Privilege {
        self.privilege
    }

    /// The process that holds the namespace; files in its /proc directory identify it.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// Name of the second device, which has index [`SECOND`]; absent if the
    /// kernel has neither veth nor dummy devices.
    pub fn second_device(&self) -> Option<&'static str> {
        self.second_device
    }

    /// A command that runs `program` inside, as root of the namespace.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        self.enter(&mut command);
        command
    }

    /// Makes an existing command run inside.
    pub fn enter(&self, command: &mut Command) {
        sys::enter_before_exec(command, Arc::clone(&self.fds), None);
    }

    /// Runs `work` on a thread of this process that is in the network namespace: sockets made
    /// there belong to it.  Works only if root made the namespace.
    pub fn with<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Why> {
        let fds = &self.fds;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(fds.net.as_fd(), Some(LinkNameSpaceType::Network))
                    .doing("entering a network namespace")?;
                Ok(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Adds an address to the device with this index, without duplicate address detection.
    pub fn add_address(&self, index: u32, address: IpAddr, prefix: u8) -> Result<(), Why> {
        let messages = vec![rtnl::add_address(index, address, prefix)];
        self.configured(messages, format_args!("adding {address} to device {index}"))
    }

    /// Renames the device with this index and restores its link-local address `fe80::1`, which
    /// renaming removes.
    pub fn rename(&self, index: u32, name: &str) -> Result<(), Why> {
        let address = "fe80::1".parse().doing("an address of the device")?;
        let messages = vec![
            rtnl::down(index),
            rtnl::rename(index, name),
            rtnl::up(index),
            rtnl::add_address(index, address, 64),
        ];
        self.configured(messages, format_args!("renaming device {index} to {name}"))
    }

    /// Connects two namespaces by a pair of devices, which have this index and name in both,
    /// and gives each end its address.  Needs root.
    pub fn connect(&self, other: &Self, index: u32, name: &str, ends: [IpAddr; 2]) -> Result<(), Why> {
        let pair = vec![rtnl::add_veth_into(index, name, other.pid())];
        self.configured(pair, format_args!("connecting two namespaces by {name}"))?;
        for (namespace, address) in [self, other].into_iter().zip(ends) {
            let messages = vec![rtnl::add_address(index, address, 24), rtnl::up(index)];
            namespace.configured(messages, format_args!("setting {name} up"))?;
        }
        Ok(())
    }

    /// Sets the device with that index up.
    pub fn up(&self, index: u32) -> Result<(), Why> {
        self.configured(vec![rtnl::up(index)], format_args!("setting device {index} up"))
    }

    /// Sets the transmit queue of the device with this index to this many packets.
    pub fn queue(&self, index: u32, packets: u32) -> Result<(), Why> {
        self.configured(vec![rtnl::queue(index, packets)], format_args!("the queue of device {index}"))
    }

    /// Takes the device with that index down.
    pub fn down(&self, index: u32) -> Result<(), Why> {
        self.configured(vec![rtnl::down(index)], format_args!("taking device {index} down"))
    }

    /// Limits the device with this index to this many bytes a second.
    pub fn limit(&self, index: u32, bytes_per_s: u32) -> Result<(), Why> {
        self.configured(vec![rtnl::limit(index, bytes_per_s)], format_args!("limiting device {index}"))
    }

    /// Sends rtnetlink requests, each of which must succeed.
    fn configured(&self, messages: Vec<Vec<u8>>, what: impl fmt::Display) -> Result<(), Why> {
        configure(&self.fds, messages)?.into_iter().collect::<io::Result<()>>().doing(what)
    }

    /// Writes `/proc/sys/NAME` inside the namespace, e.g. `net/ipv4/tcp_retries2`.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<(), Why> {
        let out = self
            .command("/bin/sh")
            .args(["-c", "printf %s \"$1\" >\"/proc/sys/$0\"", name, value])
            .stdin(Stdio::null())
            .output()
            .doing(format_args!("setting {name}"))?;
        if out.status.success() {
            return Ok(());
        }
        Err(Why::new(format!(
            "setting {name} to {value}: {}",
            String::from_utf8_lossy(&out.stderr).trim_end()
        )))
    }

    /// One entry per socket inside that has joined a multicast group of `NETLINK_SOCK_DIAG`
    /// (`ss -E`): the number of messages dropped because its queue was full.
    pub fn followers(&self) -> Result<Vec<u64>, Why> {
        // NETLINK_SOCK_DIAG of linux/netlink.h.
        const SOCK_DIAG: &str = "4";
        let path = format!("/proc/{}/net/netlink", self.pid());
        let text = fs::read_to_string(&path).doing(format_args!("reading {path}"))?;
        // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let joined = rows.filter(|row| row.get(1) == Some(&SOCK_DIAG) && row.get(3) != Some(&"00000000"));
        Ok(joined.filter_map(|row| row.get(8)?.parse().ok()).collect())
    }

    /// The inode number of the network namespace, as `readlink /proc/self/ns/net` shows it.
    pub fn inode(&self) -> Result<u64, Why> {
        rustix::fs::fstat(&self.fds.net).map(|stat| stat.st_ino).doing("looking at a network namespace")
    }
}

/// Makes the kernel refuse a command netlink sockets of these protocols with `EACCES`, as
/// sandboxes do (Termux, gVisor, WSL 1): 0 reports interfaces, 4 reports sockets.
pub fn refuse_netlink(command: &mut Command, protocols: &[u32]) {
    const EACCES: u32 = 13;
    sys::refuse_netlink_before_exec(command, protocols, EACCES);
}

impl Drop for Namespace {
    fn drop(&mut self) {
        stop(&mut self.holder);
    }
}

/// Kills a process that we started, by its id.
pub(crate) fn stop(child: &mut Child) {
    drop(child.stdin.take());
    // Both fail only if the child is already gone.
    let _ = child.kill();
    let _ = child.wait();
}

fn open(path: &str) -> Result<OwnedFd, Why> {
    File::open(path).map(OwnedFd::from).doing(format_args!("opening {path}"))
}

/// Sends requests to the kernel from inside; returns one answer each.
fn configure(fds: &Arc<Fds>, messages: Vec<Vec<u8>>) -> Result<Vec<io::Result<()>>, Why> {
    let count = messages.len();
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).doing("making a pipe")?;
    let mut command = Command::new("cat");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    sys::enter_before_exec(&mut command, Arc::clone(fds), Some(Requests { messages, answers: writer }));
    command.status().doing("configuring a network namespace")?;
    drop(command);
    let mut bytes = Vec::new();
    File::from(reader).read_to_end(&mut bytes).doing("reading the kernel's answers")?;
    let answers: Vec<_> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|chunk| match i32::from_ne_bytes(*chunk) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        })
        .collect();
    if answers.len() == count {
        return Ok(answers);
    }
    Err(Why::new(format!("{} answers to {count} requests for a network namespace", answers.len())))
}

#[cfg(test)]
mod tests;
