//! Scenes about listening and connecting.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use sockdiag_testkit::Why;
use sockdiag_testkit::packet;
use sockdiag_testkit::path::{Path, Way};

use super::super::stage::{Stage, wait};
use super::{Scene, Sign};

pub(super) const SCENES: &[Scene] = &[
    Scene::fault(
        "accept-queue-full",
        "A server is stopped; more clients connect than its backlog of 16 holds.",
        &["accept-queue-overflow"],
        &[Sign::Gains("TcpExtListenOverflows", 5), Sign::Sockets("-Hltn sport = :8080", 1)],
        |stage| {
            let server = stage.here("listen 127.0.0.1:8080 backlog=16")?;
            stage.pause(server)?;
            stage.here("connect 127.0.0.1:8080 n=60").map(|_| ())
        },
    )
    .brief(),
    Scene::fault(
        "accept-queue-bursts",
        "A server accepts ten a second and has a backlog of 4; clients come in bursts of many.",
        &["accept-queue-overflow", "backlog-too-small"],
        &[Sign::Gains("TcpExtListenOverflows", 2)],
        |stage| {
            stage.here("listen 127.0.0.1:8080 backlog=4 accept=every:100 then=serve")?;
            stage.here("connect 127.0.0.1:8080 endless every=30 then=exchange").map(|_| ())
        },
    ),
    Scene::fault(
        "backlog-too-small",
        "Bursts of sixty clients come to a server with a backlog of 2, which accepts at once.",
        &["backlog-too-small"],
        &[Sign::Gains("TcpExtListenOverflows", 2)],
        |stage| {
            stage.here("listen 127.0.0.1:8080 backlog=2 then=serve")?;
            stage.here("connect 127.0.0.1:8080 endless every=700 burst=60 then=exchange").map(|_| ())
        },
    ),
    Scene::fault(
        "accept-queue-filling",
        "A server accepts nothing; its accept queue (backlog 90) is two thirds full.",
        &["accept-queue-filling"],
        &[Sign::Sockets("-Htn state established sport = :8080", 60)],
        |stage| {
            stage.here("listen 127.0.0.1:8080 backlog=90 accept=none")?;
            stage.here("connect 127.0.0.1:8080 n=60").map(|_| ())
        },
    ),
    Scene::fault(
        "accept-queue-short",
        "A server accepts nothing yet; its accept queue is one tenth full.",
        &["accept-queue-filling", "accept-queue-overflow"],
        &[Sign::Sockets("-Htn state established sport = :8080", 9)],
        |stage| {
            stage.here("listen 127.0.0.1:8080 backlog=90 accept=none")?;
            stage.here("connect 127.0.0.1:8080 n=9").map(|_| ())
        },
    )
    .near_miss(),
    Scene::fault(
        "given-up-before-accept",
        "Clients connect, are never accepted, and close.",
        &["abandoned-before-accept"],
        &[Sign::Sockets("-Htn state close-wait sport = :8080", 20)],
        |stage| {
            stage.here("listen 127.0.0.1:8080 backlog=128 accept=none")?;
            stage.here("connect 127.0.0.1:8080 n=20 then=close").map(|_| ())
        },
    ),
    Scene::fault(
        "syn-queue-full",
        "SYNs of hosts that never answer the SYN-ACK fill a backlog of 16.",
        &["syn-queue-pressure"],
        &[Sign::Gains("TcpExtTCPReqQFullDoCookies", 10), Sign::Sockets("-Htn state syn-recv", 10)],
        |stage| {
            let path = stage.path(Way::lost(), Way::default())?;
            stage.here("listen 10.9.0.1:80 backlog=16")?;
            flood(stage, path, 40)
        },
    ),
    Scene::fault(
        "syn-flood",
        "A hundred hosts send SYNs and never answer the SYN-ACK.",
        &["syn-flood"],
        &[Sign::Sockets("-Htn state syn-recv", 80)],
        |stage| {
            let path = stage.path(Way::lost(), Way::default())?;
            stage.here("listen 10.9.0.1:80 backlog=512")?;
            path.put((3..103_u8).map(|host| request(host, 5000)).collect());
            wait(2500);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "return-path-filtered",
        "SYNs of two clients arrive; no SYN-ACK reaches them.",
        &["return-path-filtered"],
        &[Sign::Sockets("-Htn state syn-recv", 20)],
        |stage| {
            stage.path(Way::lost(), Way::default())?;
            stage.here("listen 10.9.0.1:80 backlog=512")?;
            stage.there("connect 10.9.0.1:80 n=30")?;
            wait(2500);
            Ok(())
        },
    ),
    Scene::fault(
        "dead-host",
        "Clients connect to a host that is down.",
        &["connects-vanish"],
        &[Sign::Sockets("-Htn state syn-sent", 3), Sign::Gains("TcpExtTCPSynRetrans", 3)],
        |stage| {
            stage.path(Way::lost(), Way::default())?;
            stage.here("connect 10.9.0.99:5432 n=3")?;
            wait(2000);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "handshakes-lose",
        "A third of all packets to a server are lost; connections are short-lived.",
        &["handshake-loss"],
        &[Sign::Gains("TcpExtTCPSynRetrans", 5), Sign::Gains("TcpActiveOpens", 40)],
        |stage| {
            stage.path(Way { loss: 0.33, ..Way::slow(5) }, Way::slow(5))?;
            stage.there("listen 10.9.0.2:80 then=serve")?;
            stage.here("connect 10.9.0.2:80 endless every=20 then=exchange")?;
            wait(1500);
            Ok(())
        },
    ),
    Scene::fault(
        "resets",
        "A service is down; its clients try a hundred times a second and are reset.",
        &["reset-storm"],
        &[Sign::Gains("TcpOutRsts", 100)],
        |stage| stage.here("connect 127.0.0.1:8081 endless every=10").map(|_| ()),
    )
    .for_s(5),
    Scene::fault(
        "worker-starves",
        "One of four workers on a shared port is stopped; its connections wait, the others' do not.",
        &["worker-starves"],
        &[Sign::Sockets("-Hltn sport = :8080", 4)],
        |stage| {
            let first = stage.here("listen 127.0.0.1:8080 shared backlog=200 then=hold")?;
            for _ in 0..3 {
                stage.here("listen 127.0.0.1:8080 shared backlog=200 then=hold")?;
            }
            stage.pause(first)?;
            stage.here("connect 127.0.0.1:8080 n=120").map(|_| ())
        },
    ),
    Scene::fault(
        "port-of-two-owners",
        "Programs of two users listen on one address and port.",
        &["port-shared-by-owners"],
        &[Sign::Sockets("-Hltn sport = :8080", 2)],
        |stage| {
            stage.here("listen 127.0.0.1:8080 shared then=serve")?;
            stage.here("listen 127.0.0.1:8080 shared then=serve uid=1001").map(|_| ())
        },
    ),
    Scene::fault(
        "exposed-listener",
        "A service listens on loopback for IPv4, and everywhere for IPv6.",
        &["exposed-listener"],
        &[Sign::Sockets("-Hltn sport = :6379", 2)],
        |stage| {
            stage.here("listen 127.0.0.1:6379 then=serve")?;
            stage.here("listen [::]:6379 v6only then=serve").map(|_| ())
        },
    ),
];

fn request(host: u8, port: u16) -> Vec<u8> {
    let server = (Ipv4Addr::new(10, 9, 0, 1), 80);
    packet::syn((Ipv4Addr::new(10, 9, 0, host), port), server, u32::from(host) << 16 | u32::from(port))
}

/// Sends `count` connection requests every tenth of a second, each from a different host, with
/// a new port every time.
fn flood(stage: &mut Stage, path: Arc<Path>, count: u8) -> Result<(), Why> {
    let mut port = 1024_u16;
    stage.again(Duration::from_millis(100), move || {
        port = if port > 60_000 { 1024 } else { port + 1 };
        path.put((3..3 + count).map(|host| request(host, port)).collect());
    })?;
    wait(1500);
    Ok(())
}
