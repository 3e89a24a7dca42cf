//! How sockets end, as `sockdiag watch` tells it.
//!
//! Everything here lives and dies between two looks, so that only what the kernel
//! tells of an end, and what is left of it, is there to judge by.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::until;

use super::over_time::{objects, started, within};
use super::text;

/// The ends that `watch` tells of while `work` is done in the namespace.
pub(super) fn ends(namespace: &Namespace, words: &str, work: impl FnOnce() + Send) -> Vec<Value> {
    let child = started(namespace, &format!("watch --jsonl --interval 10s --for 1500ms {words}"));
    assert!(until(|| namespace.followers().is_ok_and(|followers| followers.len() == 1)));
    // The first look.
    std::thread::sleep(Duration::from_millis(300));
    within(namespace, work);
    let out = child.wait_with_output().expect("it ends");
    let mut rows = objects(&text(&out.stdout));
    rows.retain(|row| row["change"] == "closed");
    rows
}

fn ended(row: &Value) -> &str {
    row["socket"]["ended"].as_str().unwrap_or_else(|| panic!("{row}"))
}

/// A connection over which data went both ways.
fn used() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("lo is up");
    let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let mut server = listener.accept().expect("it came").0;
    client.write_all(&[1; 86]).expect("connected");
    server.read_exact(&mut [0; 86]).expect("it was sent");
    server.write_all(&[1; 10]).expect("connected");
    client.read_exact(&mut [0; 10]).expect("it was sent");
    (client, server)
}

#[test]
fn who_closed_first_is_told_of_what_no_look_saw() {
    let Some(namespace) = super::namespace() else { return };
    for client_first in [true, false] {
        let mut port = 0;
        let rows = ends(&namespace, "", || {
            let (client, server) = used();
            port = client.local_addr().expect("bound").port();
            let (first, mut second) = if client_first { (client, server) } else { (server, client) };
            drop(first);
            assert_eq!(second.read(&mut [0; 9]).expect("its end"), 0);
        });
        let of = |is_client: bool| {
            let row = rows.iter().find(|row| (row["local"]["port"] == port) == is_client);
            ended(row.unwrap_or_else(|| panic!("{rows:?}"))).to_owned()
        };
        let want = if client_first {
            ["closed-by-us", "closed-by-peer"]
        } else {
            ["closed-by-peer", "closed-by-us"]
        };
        assert_eq!((rows.len(), [of(true), of(false)]), (2, want.map(str::to_owned)), "{rows:?}");
        // The FIN counts as a byte, and the SYN of the client.
        let sent = rows.iter().find(|row| row["local"]["port"] == port).expect("found above");
        assert_eq!((&sent["tcp"]["bytes_sent"], &sent["tcp"]["bytes_acked"]), (&86.into(), &88.into()));
    }
}

#[test]
fn a_refused_connection_has_failed() {
    let Some(namespace) = super::namespace() else { return };
    let rows = ends(&namespace, "", || {
        // A port of which nobody else is told while it is free.
        let free = TcpListener::bind("127.0.0.1:0").expect("lo is up").local_addr().expect("bound");
        TcpStream::connect(free).expect_err("nobody listens");
        // The same without waiting: it keeps what the other has lost.
        TcpStream::connect_timeout(&free, Duration::from_secs(5)).expect_err("nobody listens");
    });
    assert_eq!(rows.iter().map(ended).collect::<Vec<_>>(), ["failed"; 2], "{rows:?}");
}

/// Ends are chosen by the states that openings are chosen by.
#[test]
fn what_would_not_have_opened_does_not_end() {
    let Some(namespace) = super::namespace() else { return };
    let work = || {
        drop(TcpListener::bind("127.0.0.1:0").expect("lo is up"));
        drop(used());
        // The listener of the connection ends, too.
    };
    for (words, sockets) in [("", 2), ("-l", 2), ("-a", 4), ("state listening", 2), ("state established", 2)]
    {
        let rows = ends(&namespace, words, work);
        assert_eq!(rows.len(), sockets, "{words}: {rows:?}");
        if sockets == 2 {
            let listen = matches!(words, "-l" | "state listening");
            assert!(rows.iter().all(|row| (row["remote"]["port"] == 0) == listen), "{words}: {rows:?}");
        }
    }
}
