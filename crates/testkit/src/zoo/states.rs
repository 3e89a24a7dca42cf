//! TCP in every state that is not LISTEN or ESTABLISHED.  Ports 5200 to 5299.
//!
//! The recipes, where *deaf* means that a filter drops all it is sent:
//!
//! | state | recipe |
//! | --- | --- |
//! | SYN-SENT | a deaf client; nobody listens, and it does not hear the refusal |
//! | SYN-RECV | a deaf client: the listener's answers go unheard |
//! | FIN-WAIT-1 | the peer is deaf before we close |
//! | FIN-WAIT-2, CLOSE-WAIT | one end closes its sending half |
//! | LAST-ACK | the end that closed first goes deaf, then the other closes |
//! | CLOSING | as FIN-WAIT-1, then the deaf peer closes as well |
//! | TIME-WAIT | both close; lasts a minute, no option prolongs it |

use rustix::net::{self, Shutdown, sockopt};

use super::make::{
    Kind, Maker, address, bind, client_of, deafen, listener, pair, send, set, start_connecting, tcp,
    to_device,
};
use crate::{Doing, Why};

/// The kinds of this file.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "tcp-syn-sent",
        doc: "Connects and is not answered.",
        make: |m| syn_sent(m, "127.0.0.1:5201"),
    },
    Kind { name: "tcp-syn-sent6", doc: "The same over IPv6.", make: |m| syn_sent(m, "[::1]:5202") },
    Kind {
        name: "tcp-syn-recv",
        doc: "A listener whose SYN-ACK is not answered.",
        make: |m| syn_recv(m, "127.0.0.1:5203"),
    },
    Kind { name: "tcp-syn-recv6", doc: "The same over IPv6.", make: |m| syn_recv(m, "[::1]:5204") },
    Kind { name: "tcp-fin-wait-1", doc: "Has closed; the peer does not answer.", make: fin_wait_1 },
    Kind { name: "tcp-fin-wait-2", doc: "Has closed; the peer has not.", make: fin_wait_2 },
    Kind { name: "tcp-close-wait", doc: "The peer has closed, with unread data.", make: close_wait },
    Kind { name: "tcp-last-ack", doc: "Closed second; the peer does not answer.", make: last_ack },
    Kind { name: "tcp-closing", doc: "Both closed at once, and one is not heard.", make: closing },
    Kind { name: "tcp-time-wait", doc: "Both have closed.", make: |m| time_wait(m, "127.0.0.1:5210") },
    Kind { name: "tcp-time-wait6", doc: "The same over IPv6.", make: |m| time_wait(m, "[::1]:5211") },
    Kind {
        name: "tcp-bound",
        doc: "Bound, neither listening nor connected.",
        make: |m| bound(m, "127.0.0.1:5212"),
    },
    Kind { name: "tcp-bound6", doc: "The same over IPv6.", make: |m| bound(m, "[::]:5213") },
    Kind { name: "tcp-orphan", doc: "FIN-WAIT-1 without a file, data unsent.", make: orphan },
    Kind {
        name: "tcp-shutdown-read",
        doc: "Established, receiving half closed.",
        make: |m| shut(m, "127.0.0.1:5215", Shutdown::Read),
    },
    Kind {
        name: "tcp-shutdown-both",
        doc: "FIN-WAIT-2, both halves closed.",
        make: |m| shut(m, "127.0.0.1:5216", Shutdown::Both),
    },
    Kind { name: "tcp-defer-connect", doc: "Fast open that waits for its first data.", make: defer_connect },
];

/// Kinds that are made only by name.
pub(super) const ON_REQUEST: &[Kind] = &[Kind {
    name: "tcp-twins",
    doc: "Two with the same addresses and ports, the older one bound to lo.",
    make: twins,
}];

fn twins(m: &mut Maker) -> Result<(), Why> {
    let to = address("127.0.0.1:5218")?;
    for device in [Some("lo"), None] {
        let fd = tcp(to)?;
        if let Some(device) = device {
            to_device(&fd, device)?;
        }
        bind(&fd, client_of(to))?;
        deafen(&fd)?;
        start_connecting(&fd, to)?;
        m.keep_as(fd, &client_of(to).to_string(), &to.to_string());
    }
    Ok(())
}

fn half_close(fd: &std::os::fd::OwnedFd) -> Result<(), Why> {
    net::shutdown(fd, Shutdown::Write).doing("shutdown")
}

fn syn_sent(m: &mut Maker, to: &str) -> Result<(), Why> {
    let to = address(to)?;
    let fd = tcp(to)?;
    bind(&fd, client_of(to))?;
    deafen(&fd)?;
    start_connecting(&fd, to)?;
    m.keep_as(fd, &client_of(to).to_string(), &to.to_string());
    Ok(())
}

fn syn_recv(m: &mut Maker, at: &str) -> Result<(), Why> {
    m.keep(listener(at, 16)?)?;
    syn_sent(m, at)?;
    m.note(at, &client_of(address(at)?).to_string());
    Ok(())
}

fn fin_wait_1(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5205")?;
    deafen(&pair.server)?;
    half_close(&pair.client)?;
    m.keep_pair(pair)
}

fn fin_wait_2(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5206")?;
    half_close(&pair.client)?;
    m.keep_pair(pair)
}

fn close_wait(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5207")?;
    send(&pair.client, 700)?;
    half_close(&pair.client)?;
    m.keep_pair(pair)
}

fn last_ack(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5208")?;
    half_close(&pair.client)?;
    deafen(&pair.client)?;
    half_close(&pair.server)?;
    m.keep_pair(pair)
}

fn closing(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5209")?;
    deafen(&pair.server)?;
    half_close(&pair.client)?;
    half_close(&pair.server)?;
    m.keep_pair(pair)
}

fn time_wait(m: &mut Maker, at: &str) -> Result<(), Why> {
    let pair = pair(at)?;
    let client = client_of(address(at)?).to_string();
    drop(pair.client);
    drop(pair.server);
    m.keep(pair.listener)?;
    m.note(&client, at);
    Ok(())
}

fn bound(m: &mut Maker, at: &str) -> Result<(), Why> {
    let at = address(at)?;
    let fd = tcp(at)?;
    bind(&fd, at)?;
    m.keep(fd)
}

fn orphan(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5214")?;
    deafen(&pair.server)?;
    send(&pair.client, 900)?;
    m.note("127.0.0.1:15214", "127.0.0.1:5214");
    m.keep(pair.listener)?;
    m.keep(pair.server)
    // The client is closed here.
}

fn shut(m: &mut Maker, at: &str, how: Shutdown) -> Result<(), Why> {
    let pair = pair(at)?;
    net::shutdown(&pair.client, how).doing("shutdown")?;
    m.keep_pair(pair)
}

fn defer_connect(m: &mut Maker) -> Result<(), Why> {
    let to = address("127.0.0.1:5217")?;
    m.keep(listener("127.0.0.1:5217", 5)?)?;
    let fd = tcp(to)?;
    sockopt::set_tcp_nodelay(&fd, true).doing("TCP_NODELAY")?;
    // linux/tcp.h
    const TCP_FASTOPEN_NO_COOKIE: i32 = 34;
    set(&fd, "TCP_FASTOPEN_NO_COOKIE", (libc::IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE), 1)?;
    set(&fd, "TCP_FASTOPEN_CONNECT", (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT), 1)?;
    bind(&fd, client_of(to))?;
    start_connecting(&fd, to)?;
    m.keep_as(fd, &client_of(to).to_string(), &to.to_string());
    Ok(())
}
