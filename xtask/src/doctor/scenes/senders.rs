//! Scenes about what limits a sender.

use sockdiag_testkit::path::Way;

use super::super::stage::wait;
use super::paths::{MEGABYTE, bulk};
use super::{Scene, Sign};

pub(super) const SCENES: &[Scene] = &[
    Scene::fault(
        "application-limited",
        "A program sends 200 kB a second on a path with much more bandwidth.",
        &["application-limited"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(5)?;
            stage.there("listen 10.9.0.2:80 then=sink")?;
            stage.here("connect 10.9.0.2:80 then=send:200000")?;
            wait(500);
            Ok(())
        },
    ),
    Scene::fault(
        "network-limited",
        "A path forwards 2 MB a second and buffers 60 kB.",
        &["network-limited"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| bulk(stage, 1, Way { rate: Some((2 * MEGABYTE, 60_000)), ..Way::slow(10) }, Way::slow(10)),
    ),
    Scene::fault(
        "slow-receiver",
        "The peer reads 1 MB a second and has a small receive buffer.",
        &["receiver-limited"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(5)?;
            stage.there("listen 10.9.0.2:80 rcvbuf=32768 then=sink:600000")?;
            stage.here("connect 10.9.0.2:80 then=send")?;
            wait(700);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "zero-window",
        "The peer has not read for seconds: its window is zero.",
        &["zero-window"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(2)?;
            stage.there("listen 10.9.0.2:80 rcvbuf=16384 then=hold")?;
            stage.here("connect 10.9.0.2:80 then=send")?;
            wait(1000);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "asleep-and-nothing-to-send",
        "The peer reads nothing, but its receive buffer holds all sent data.",
        &["zero-window", "receiver-limited", "unsent-backlog"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(2)?;
            stage.there("listen 10.9.0.2:80 then=hold")?;
            stage.here("connect 10.9.0.2:80 then=once:20000")?;
            wait(700);
            Ok(())
        },
    )
    .near_miss(),
    Scene::fault(
        "small-send-buffer",
        "A program set a send buffer of 8 kB; the path takes 40 ms.",
        &["send-buffer-limited"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(20)?;
            stage.there("listen 10.9.0.2:80 then=sink")?;
            stage.here("connect 10.9.0.2:80 sndbuf=8192 cc=bbr then=send")?;
            wait(700);
            Ok(())
        },
    ),
    Scene::fault(
        "small-receive-buffer",
        "The peer set a receive buffer of 20 kB; the path takes 60 ms.",
        &["receiver-limited"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(30)?;
            stage.there("listen 10.9.0.2:80 rcvbuf=20000 then=sink")?;
            stage.here("connect 10.9.0.2:80 then=send")?;
            wait(700);
            Ok(())
        },
    ),
    Scene::fault(
        "idle-restart",
        "A connection is idle between bursts, so each burst begins in slow start.",
        &["idle-restart"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(5)?;
            stage.there("listen 10.9.0.2:80 then=sink")?;
            stage.here("connect 10.9.0.2:80 then=bursts")?;
            wait(3000);
            Ok(())
        },
    ),
    Scene::fault(
        "unsent-backlog",
        "A program writes much faster than its path of 200 kB a second.",
        &["unsent-backlog"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.path(Way { rate: Some((200_000, 40_000)), ..Way::slow(10) }, Way::slow(10))?;
            stage.there("listen 10.9.0.2:80 then=sink")?;
            stage.here("connect 10.9.0.2:80 sndbuf=4000000 then=send")?;
            wait(2500);
            Ok(())
        },
    ),
    Scene::fault(
        "pacing-cap",
        "A program limits itself to 500 kB a second (SO_MAX_PACING_RATE).",
        &["pacing-cap"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(5)?;
            stage.there("listen 10.9.0.2:80 then=sink")?;
            stage.here("connect 10.9.0.2:80 pacing=500000 then=send")?;
            wait(1500);
            Ok(())
        },
    ),
    Scene::fault(
        "congestion-controls-mixed",
        "Connections of one service use different congestion controls.",
        &["congestion-control-mixed"],
        &[Sign::Sockets("-Htn state established sport = :80", 24)],
        |stage| {
            stage.slow_path(5)?;
            stage.here("listen 10.9.0.1:80 shared then=serve")?;
            stage.here("listen 10.9.0.1:80 shared cc=cubic then=serve")?;
            stage.there("connect 10.9.0.1:80 n=24 then=ask:50")?;
            wait(300);
            Ok(())
        },
    ),
    Scene::fault(
        "congestion-control-other",
        "A program chose another congestion control than the default.",
        &["congestion-control-other"],
        &[Sign::Sockets("-Htn state established dport = :80", 4)],
        |stage| {
            stage.slow_path(5)?;
            stage.there("listen 10.9.0.2:80 then=serve")?;
            stage.here("connect 10.9.0.2:80 n=4 cc=cubic then=ask:50")?;
            wait(300);
            Ok(())
        },
    ),
    Scene::fault(
        "mptcp-fell-back",
        "An MPTCP client connects to a server that supports only TCP.",
        &["fallback"],
        &[Sign::Gains("MPTcpExtMPCurrEstab", 0), Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(5)?;
            stage.there("listen 10.9.0.2:80 then=serve")?;
            stage.here("connect 10.9.0.2:80 n=3 mptcp then=ask:100")?;
            wait(300);
            Ok(())
        },
    ),
];
