//! Access to the contents of a row: any field by its name, and the most common facts as types
//! of the standard library.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::fields::{self, Catalog, Field, Identity, Value};
use crate::model::{Addr, Endpoint, MessageKind, Row, Socket, State, Table, TableSet, states};

impl Row<'_> {
    /// The value of a field, by its name (`tcp.rtt_us`; docs/fields.md lists all with unit and
    /// meaning).  `None` if the socket does not report it, if it was not requested, or if no
    /// field has this name.
    ///
    /// Finding a full name takes less than a microsecond; for millions of rows,
    /// [`fields::Choice`] finds it once.  A member of a list (`pid`) has no value of its own:
    /// see [`Row::holders`].
    pub fn value<'r>(&'r self, name: &str) -> Option<Value<'r>> {
        match field(self.socket.message_kind(), name)?.value(self)? {
            Value::Addr(Addr::None) => None,
            value => Some(value),
        }
    }

    /// [`Row::value`] as an integer; the length, if the value is a list.
    pub fn number(&self, name: &str) -> Option<i128> {
        self.value(name)?.as_i128()
    }

    /// The table that the socket belongs to.  A destroyed UDP socket has the table of TCP; its
    /// `protocol` field is right.
    pub fn table(&self) -> Table {
        self.socket.sub_table().unwrap_or(self.socket.origin.table)
    }

    /// The state; `None` for an unknown number, for an SCTP association, which has its own
    /// states, and for states of SMC that TCP lacks.
    pub fn state(&self) -> Option<State> {
        let number = self.socket.state;
        let is_shared = !self.association && fields::state_text(self) == states::text(number);
        State::from_number(number).filter(|_| is_shared)
    }

    /// The state as `ss` prints it (`ESTAB`); `UNKNOWN` for an unknown number.
    pub fn state_name(&self) -> &'static str {
        fields::state_text(self)
    }

    /// Address and port of this end; `None` for families without addresses.  An address of all
    /// zeros is the wildcard; port 0 means that the socket is not bound.
    pub fn local(&self) -> Option<SocketAddr> {
        address(self.socket.local, self.socket)
    }

    /// Address and port of the other end; all zeros if the socket is not connected.
    pub fn remote(&self) -> Option<SocketAddr> {
        address(self.socket.remote, self.socket)
    }

    /// Unread bytes; for a listener, the number of connections waiting to be accepted.
    pub fn recv_q(&self) -> u32 {
        self.socket.recv_q
    }

    /// Unacknowledged bytes; for a listener, the maximum number of waiting connections.
    pub fn send_q(&self) -> u32 {
        self.socket.send_q
    }

    /// The inode on sockfs, which identifies the socket in /proc/PID/fd; `None` if no process
    /// holds it.
    pub fn inode(&self) -> Option<u32> {
        Some(self.socket.inode).filter(|inode| *inode != 0)
    }

    /// The socket's cookie, which no other socket has or will have until the next boot; `None`
    /// if the source does not report it (/proc text).
    pub fn cookie(&self) -> Option<u64> {
        let known = self.socket.cookie != 0 && self.socket.proc_line().is_none();
        known.then_some(self.socket.cookie)
    }

    /// The user that owns the socket; `None` if the family does not report it.
    pub fn uid(&self) -> Option<u32> {
        fields::owner(self.socket)
    }

    /// The processes that hold the socket, the newest first.  Empty if there are none, if we
    /// lack the permission to inspect them, or if processes were not requested.
    pub fn holders(&self) -> Vec<Holding> {
        self.holders_of(self.socket.inode)
    }

    /// The processes that hold the other end, if they were requested and it is on this
    /// machine.
    pub fn peer_holders(&self) -> Vec<Holding> {
        self.names.peer.map_or_else(Vec::new, |peer| self.holders_of(peer.inode))
    }

    fn holders_of(&self, inode: u32) -> Vec<Holding> {
        let mut holdings = Vec::new();
        if let Some(book) = self.names.holders {
            book.holders(inode, &mut |holder| {
                let Identity { cmdline, uid, user } = Identity::of(self, holder.pid);
                holdings.push(Holding {
                    comm: holder.name.to_vec(),
                    pid: holder.pid,
                    tid: holder.tid,
                    fd: holder.fd,
                    cmdline: cmdline.map(<[u8]>::to_vec),
                    uid,
                    user: user.map(<[u8]>::to_vec),
                });
            });
        }
        holdings
    }
}

/// One descriptor of one task that refers to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The task's command name as the kernel holds it, at most 15 bytes of any
    /// value; empty if it could not be read.
    pub comm: Vec<u8>,
    /// The process.
    pub pid: i32,
    /// The thread; equal to the process id unless threads were requested.
    pub tid: i32,
    /// The descriptor.
    pub fd: i32,
    /// The command line, each word terminated by NUL; empty for a kernel thread.  If the line
    /// was cut, at 4 KiB, the last word has no NUL.  `None` unless `socket.processes.cmdline`
    /// is read.
    pub cmdline: Option<Vec<u8>>,
    /// The user that the process runs as; `None` unless `socket.processes.uid` (or `.cmdline`)
    /// is read.
    pub uid: Option<u32>,
    /// The name of that user, if there is one; read under the same condition.
    pub user: Option<Vec<u8>>,
}

impl Holding {
    /// The command name, escaped so that it cannot control a terminal.
    pub fn name(&self) -> String {
        fields::printable(&self.comm)
    }

    /// The name of the user that the process runs as, or the uid if there is no name, escaped
    /// so that it cannot control a terminal; `None` if it was not requested or is unknown.
    pub fn user_name(&self) -> Option<String> {
        let number = || self.uid.map(|uid| uid.to_string());
        self.user.as_deref().map(fields::printable).or_else(number)
    }
}

/// The field with this name among the fields of a kind of message.
fn field(message_kind: MessageKind, name: &str) -> Option<&'static Field> {
    let catalog = Catalog::shared();
    catalog.of_kind(message_kind, name).or_else(|| {
        let named = catalog.find_of(name, TableSet::EVERY)?;
        // A full name that belongs to another kind of message is not searched again.
        let is_short = named.member.is_none() && named.field.name != name;
        is_short.then(|| catalog.of_kind(message_kind, named.field.name))?
    })
}

fn address(end: Endpoint, socket: &Socket<'_>) -> Option<SocketAddr> {
    let port = u16::try_from(end.port).ok()?;
    match end.addr {
        Addr::V4(octets) => Some(SocketAddr::from((octets, port))),
        Addr::V6(octets) => {
            let ip = Ipv6Addr::from(octets);
            // For other addresses the interface is not part of the address.
            let scope = if ip.is_unicast_link_local() { socket.ifindex } else { 0 };
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        Addr::Number(_) | Addr::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Record, SourceKind};

    fn with(bytes: &[u8], table: Table, kind: SourceKind, look: impl FnOnce(&Row<'_>)) {
        let socket = Socket::decode(Record { origin: Origin::of(table, kind), bytes }).expect("a socket");
        look(&Row::bare(&socket));
    }

    #[test]
    fn a_line_of_text_has_no_cookie_and_says_the_rest() {
        let line =
            b"   0: 0100007F:0016 0200007F:C350 01 00000002:00000007 00:00000000 00000000  1000        0 621 1 00000000f9d8e10f";
        with(line, Table::Tcp, SourceKind::Proc, |row| {
            assert_eq!(row.local(), "127.0.0.1:22".parse().ok());
            assert_eq!(row.remote(), "127.0.0.2:50000".parse().ok());
            assert_eq!((row.state(), row.state_name()), (Some(State::Established), "ESTAB"));
            assert_eq!((row.recv_q(), row.send_q()), (7, 2));
            assert_eq!((row.inode(), row.cookie(), row.uid()), (Some(621), None, Some(1000)));
            assert_eq!(row.number("local.port"), Some(22));
            assert_eq!(row.number("sport"), Some(22), "a short name");
            assert_eq!(row.value("local.addr").map(|addr| addr.to_string()).as_deref(), Some("127.0.0.1"));
            for absent in ["tcp.rtt_us", "unix.name", "pid", "no such field", ""] {
                assert_eq!(row.value(absent), None, "{absent}");
            }
            assert!(row.holders().is_empty() && row.peer_holders().is_empty());
        });
    }

    #[test]
    fn smc_has_states_that_tcp_has_not() {
        for (number, state, name) in
            [(10, Some(State::Listen), "LISTEN"), (2, None, "INIT"), (20, None, "PEERCLOSEWAIT1")]
        {
            let mut bytes = [0; 64];
            (bytes[0], bytes[1]) = (43, number);
            with(&bytes, Table::Smc, SourceKind::Kernel, |row| {
                assert_eq!((row.state(), row.state_name()), (state, name));
            });
        }
    }

    #[test]
    fn a_link_local_address_has_the_interface_for_its_scope() {
        let mut bytes = [0_u8; 72];
        (bytes[0], bytes[1]) = (10, 10);
        bytes[4..8].copy_from_slice(&[0, 80, 0, 0]);
        bytes[8..10].copy_from_slice(&[0xfe, 0x80]);
        bytes[23] = 9;
        bytes[40..44].copy_from_slice(&7_u32.to_ne_bytes());
        with(&bytes, Table::Tcp, SourceKind::Kernel, |row| {
            assert_eq!(row.local().map(|addr| addr.to_string()).as_deref(), Some("[fe80::9%7]:80"));
            assert_eq!(row.remote().map(|addr| addr.to_string()).as_deref(), Some("[::]:0"));
            assert_eq!((row.inode(), row.cookie()), (None, None));
        });
    }
}
