//! Scenes about receivers, and about sockets that drop incoming data.

use std::time::Duration;

use sockdiag_testkit::path::Way;

use super::super::stage::wait;
use super::{Scene, Sign};

pub(super) const SCENES: &[Scene] = &[
    Scene::fault(
        "reader-asleep",
        "A program does not read what its connection has received.",
        &["reader-stalled"],
        &[Sign::Sockets("-Htn state established sport = :80", 1)],
        |stage| {
            stage.slow_path(2)?;
            stage.here("listen 10.9.0.1:80 then=hold")?;
            stage.there("connect 10.9.0.1:80 then=send:30000")?;
            wait(1000);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "window-closed",
        "A program reads nothing; its small buffer is full, and its window closed.",
        &["window-closed-by-us"],
        &[Sign::Sockets("-Htn state established sport = :80", 1)],
        |stage| {
            stage.slow_path(2)?;
            stage.here("listen 10.9.0.1:80 rcvbuf=8192 then=hold")?;
            stage.there("connect 10.9.0.1:80 n=3 every=900 then=send")?;
            wait(200);
            Ok(())
        },
    ),
    Scene::fault(
        "received-dropped",
        "A program shrinks its receive buffer after it advertised a larger window, and reads nothing.",
        &["received-data-dropped"],
        &[Sign::Gains("TcpExtTCPRcvQDrop", 3)],
        |stage| {
            stage.slow_path(1)?;
            stage.here("listen 10.9.0.1:80 then=shrink")?;
            stage.there("connect 10.9.0.1:80 n=40 every=100 then=send:200000")?;
            wait(400);
            Ok(())
        },
    ),
    Scene::fault(
        "receive-queue-collapsed",
        "Small segments make the kernel collapse the receive queue repeatedly.",
        &["receive-queue-collapsed"],
        &[Sign::Gains("TcpExtTCPRcvCollapsed", 1)],
        |stage| {
            stage.path(Way { loss: 0.02, ..Way::slow(1) }, Way::slow(1))?;
            stage.here("listen 10.9.0.1:80 rcvbuf=30000 then=sink:20000")?;
            stage.there("connect 10.9.0.1:80 n=4 then=bits:20")?;
            wait(200);
            Ok(())
        },
    ),
    Scene::fault(
        "arrives-out-of-order",
        "One packet in thirty arrives 15 ms late, after packets that were sent later.",
        &["arrives-out-of-order"],
        &[Sign::Gains("TcpExtTCPOFOQueue", 30)],
        |stage| {
            stage.path(Way::slow(10), Way { late: (0.03, Duration::from_millis(15)), ..Way::slow(10) })?;
            stage.here("listen 10.9.0.1:80 then=sink")?;
            stage.there("connect 10.9.0.1:80 n=2 then=send:600000")?;
            wait(500);
            Ok(())
        },
    ),
    Scene::fault(
        "receive-window-below-bdp",
        "A program set a receive buffer of 20 kB; its sender is 60 ms away.",
        &["receive-window-below-bdp"],
        &[Sign::Sockets("-Htn state established sport = :80", 1)],
        |stage| {
            stage.slow_path(30)?;
            stage.here("listen 10.9.0.1:80 rcvbuf=20000 then=sink")?;
            stage.there("connect 10.9.0.1:80 then=send")?;
            wait(700);
            Ok(())
        },
    ),
    Scene::fault(
        "receive-buffer-oversized",
        "Megabytes are queued in a buffer where kilobytes would be enough.",
        &["receive-buffer-oversized"],
        &[Sign::Sockets("-Htn state established sport = :80", 1)],
        |stage| {
            stage.path(Way::slow(2), Way { rate: Some((700_000, 300_000)), ..Way::slow(2) })?;
            stage.here("listen 10.9.0.1:80 rcvbuf=16000000 then=sink:100000")?;
            stage.there("connect 10.9.0.1:80 then=send")?;
            wait(3500);
            Ok(())
        },
    ),
    Scene::fault(
        "udp-drops",
        "A program reads none of its datagrams.",
        &["udp-receive-drops"],
        &[Sign::Gains("UdpRcvbufErrors", 20)],
        |stage| {
            stage.here("udp-listen 127.0.0.1:514 rcvbuf=8192 deaf")?;
            stage.here("udp-send 127.0.0.1:514 every=5")?;
            wait(500);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "udp-all-read",
        "A program reads its datagrams as they come.",
        &["udp-receive-drops", "datagrams-to-no-one"],
        &[Sign::Gains("UdpInDatagrams", 100)],
        |stage| {
            stage.here("udp-listen 127.0.0.1:514")?;
            stage.here("udp-send 127.0.0.1:514 every=5")?;
            wait(200);
            Ok(())
        },
    )
    .near_miss(),
    Scene::fault(
        "udp-to-no-one",
        "Datagrams arrive for a port to which no socket is bound.",
        &["datagrams-to-no-one"],
        &[Sign::Gains("UdpNoPorts", 20)],
        |stage| stage.here("udp-send 127.0.0.1:514 every=10").map(|_| ()),
    ),
    Scene::fault(
        "unix-backlog-full",
        "A unix server accepts nothing; its backlog is full.",
        &["unix-backlog-full"],
        &[Sign::Sockets("-Hlx", 1)],
        |stage| {
            let path = stage.directory()?.join("app.sock");
            stage.here(&format!("unix-listen {} backlog=4", path.display()))?;
            stage.here(&format!("unix-connect {} n=12", path.display()))?;
            wait(200);
            Ok(())
        },
    ),
    Scene::fault(
        "unix-backlog-short",
        "A unix server accepts nothing yet; two connections wait in a backlog of 64.",
        &["unix-backlog-full"],
        &[Sign::Sockets("-Hlx", 1)],
        |stage| {
            let path = stage.directory()?.join("app.sock");
            stage.here(&format!("unix-listen {} backlog=64", path.display()))?;
            stage.here(&format!("unix-connect {} n=2", path.display())).map(|_| ())
        },
    )
    .near_miss(),
    Scene::fault(
        "netlink-overrun",
        "A program does not read its netlink socket.",
        &["reader-overrun"],
        &[Sign::Sockets("-HaA netlink", 2)],
        |stage| stage.here("netlink x").map(|_| ()),
    ),
    Scene::fault(
        "packet-overrun",
        "A packet capture does not keep up.",
        &["reader-overrun"],
        &[Sign::Sockets("-H0", 1)],
        |stage| {
            stage.here("packet x")?;
            stage.here("listen 127.0.0.1:80 then=serve")?;
            stage.here("connect 127.0.0.1:80 then=ask:2").map(|_| ())
        },
    ),
];
