//! Scenes about resources that run out, leak, or are left behind.

use sockdiag_testkit::path::Way;

use super::super::stage::wait;
use super::{Scene, Sign};

pub(super) const SCENES: &[Scene] = &[
    Scene::fault(
        "ports-exhausted",
        "95 of 100 ephemeral ports to a server are in use.",
        &["ports-exhausted"],
        &[Sign::Sockets("-Htn state established dport = :5432", 95)],
        |stage| {
            stage.set_here("ip_local_port_range", "40000 40099")?;
            stage.here("listen 127.0.0.1:5432 backlog=200 then=serve")?;
            stage.here("connect 127.0.0.1:5432 n=95").map(|_| ())
        },
    )
    .brief(),
    Scene::fault(
        "ports-half-used",
        "Half of the ephemeral ports to a server are in use.",
        &["ports-exhausted", "ports-will-run-out"],
        &[Sign::Sockets("-Htn state established dport = :5432", 50)],
        |stage| {
            stage.set_here("ip_local_port_range", "40000 40099")?;
            stage.here("listen 127.0.0.1:5432 backlog=200 then=serve")?;
            stage.here("connect 127.0.0.1:5432 n=50").map(|_| ())
        },
    )
    .near_miss(),
    Scene::fault(
        "ports-run-out",
        "Fifty connections a second leave TIME-WAIT sockets; there are 2000 ephemeral ports.",
        &["ports-will-run-out"],
        &[Sign::Gains("TcpActiveOpens", 60)],
        |stage| {
            stage.set_here("ip_local_port_range", "40000 41999")?;
            stage.here("listen 127.0.0.1:5432 then=serve")?;
            stage.here("connect 127.0.0.1:5432 endless every=20 then=exchange")?;
            wait(1500);
            Ok(())
        },
    ),
    Scene::fault(
        "bound-before-connect",
        "A program binds to an address before it connects, and runs out of ports.",
        &["ports-exhausted"],
        &[Sign::Sockets("-Htn state established dport = :5432", 90)],
        |stage| {
            stage.set_here("ip_local_port_range", "40000 40099")?;
            stage.here("listen 127.0.0.1:5432 backlog=200 then=serve")?;
            stage.here("connect 127.0.0.1:5432 n=95 from=127.0.0.1").map(|_| ())
        },
    ),
    Scene::fault(
        "time-wait-full",
        "The TIME-WAIT table holds only 64 sockets; far more connections end.",
        &["time-wait-table-full"],
        &[Sign::Gains("TcpExtTCPTimeWaitOverflow", 10)],
        |stage| {
            stage.set_here("tcp_max_tw_buckets", "64")?;
            stage.here("listen 127.0.0.1:80 then=serve")?;
            stage.here("connect 127.0.0.1:80 endless every=10 then=exchange")?;
            wait(1500);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "not-reused",
        "A client makes 250 connections a second, each for one request.",
        &["connections-not-reused"],
        &[Sign::Gains("TcpActiveOpens", 150)],
        |stage| {
            stage.here("listen 127.0.0.1:5432 then=serve")?;
            stage.here("connect 127.0.0.1:5432 endless every=4 then=exchange")?;
            wait(300);
            Ok(())
        },
    ),
    Scene::fault(
        "close-wait-leak",
        "A server keeps connections that its clients closed, and there are ever more.",
        &["close-wait-leak"],
        &[Sign::Sockets("-Htn state close-wait sport = :80", 40)],
        |stage| {
            stage.slow_path(1)?;
            stage.here("listen 10.9.0.1:80 then=hold")?;
            stage.there("connect 10.9.0.1:80 n=40 then=close")?;
            wait(300);
            stage.there("connect 10.9.0.1:80 endless every=100 then=close")?;
            // The doctor reports a leak only once connections are this old.
            wait(10_500);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "peer-gone",
        "Clients on this host closed their sockets; the server has not closed its own.",
        &["peer-gone"],
        &[Sign::Sockets("-Htn state close-wait sport = :80", 5)],
        |stage| {
            stage.set_here("tcp_fin_timeout", "1")?;
            stage.here("listen 127.0.0.1:80 then=hold")?;
            stage.here("connect 127.0.0.1:80 n=5 then=close")?;
            wait(3500);
            Ok(())
        },
    ),
    Scene::fault(
        "half-closed",
        "Twenty connections were closed locally; the peer keeps its side open.",
        &["half-closed-by-peer"],
        &[Sign::Sockets("-Htn state fin-wait-2 dport = :80", 20)],
        |stage| {
            stage.set_here("tcp_fin_timeout", "1")?;
            stage.slow_path(1)?;
            stage.there("listen 10.9.0.2:80 then=hold")?;
            stage.here("connect 10.9.0.2:80 n=20 then=fin")?;
            wait(1500);
            Ok(())
        },
    ),
    Scene::fault(
        "closing-to-the-dead",
        "Twenty connections are being closed to a host that is gone.",
        &["closing-unanswered"],
        &[Sign::Sockets("-Htn state fin-wait-1 dport = :80", 20)],
        |stage| {
            let path = stage.slow_path(1)?;
            stage.there("listen 10.9.0.2:80 then=hold")?;
            let clients = stage.here("connect 10.9.0.2:80 n=20")?;
            wait(300);
            path.set(Way::lost(), Way::lost());
            stage.dismiss(clients);
            wait(3500);
            Ok(())
        },
    )
    .for_s(4),
    Scene::fault(
        "files-run-out",
        "A server with a limit of 100 open files has 97 open.",
        &["file-descriptors"],
        &[Sign::Sockets("-Htn state established sport = :80", 80)],
        |stage| {
            stage.here("listen 127.0.0.1:80 backlog=200 nofile=100 then=hold")?;
            stage.here("connect 127.0.0.1:80 n=110")?;
            wait(300);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "files-enough",
        "A server with a limit of 200 open files has half of them open.",
        &["file-descriptors"],
        &[Sign::Sockets("-Htn state established sport = :80", 90)],
        |stage| {
            stage.here("listen 127.0.0.1:80 backlog=200 nofile=200 then=hold")?;
            stage.here("connect 127.0.0.1:80 n=95")?;
            wait(300);
            Ok(())
        },
    )
    .near_miss(),
    Scene::fault(
        "close-wait-few",
        "Three connections wait a moment to be closed.",
        &["close-wait-leak", "peer-gone"],
        &[Sign::Sockets("-Htn state close-wait sport = :80", 3)],
        |stage| {
            stage.slow_path(1)?;
            stage.here("listen 10.9.0.1:80 then=hold")?;
            stage.there("connect 10.9.0.1:80 n=3 then=close")?;
            wait(300);
            Ok(())
        },
    )
    .near_miss(),
    Scene::fault(
        "aborts",
        "A server closes connections without reading the received data.",
        &["aborts"],
        &[Sign::Gains("TcpExtTCPAbortOnClose", 20)],
        |stage| {
            stage.here("listen 127.0.0.1:80 then=unread")?;
            stage.here("connect 127.0.0.1:80 endless every=20 then=once:2000")?;
            wait(200);
            Ok(())
        },
    ),
    Scene::fault(
        "seen-by-nobody",
        "The doctor runs without privileges: processes and closings of sockets are hidden.",
        &["cannot-see"],
        &[Sign::Sockets("-Htn state established sport = :80", 4)],
        |stage| {
            stage.here("listen 127.0.0.1:80 then=serve")?;
            stage.here("connect 127.0.0.1:80 n=4 then=ask:100").map(|_| ())
        },
    )
    .by_nobody()
    .taking(&[("setpriv", "util-linux")]),
];
