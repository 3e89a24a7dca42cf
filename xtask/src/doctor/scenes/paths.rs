//! Scenes about loss, delay and other effects of a path.

use std::time::Duration;

use sockdiag_testkit::Why;
use sockdiag_testkit::path::Way;

use super::super::stage::{Stage, wait};
use super::{Scene, Sign};

/// A unit for the rate of a path in bytes per second, and for its queue in bytes.
pub(super) const MEGABYTE: u64 = 1_000_000;
/// Kinds of TCP options: RFC 7323, RFC 2018, RFC 7413.
const WINDOW_SCALE: u8 = 3;
const SACK: u8 = 4;
const TIMESTAMPS: u8 = 8;
const FAST_OPEN: u8 = 34;

pub(super) const SCENES: &[Scene] = &[
    Scene::fault(
        "loss",
        "A path of 10 ms loses 3 of 100 packets of one transfer.",
        &["retransmits"],
        &[Sign::Gains("TcpRetransSegs", 20)],
        |stage| bulk(stage, 1, Way { loss: 0.03, ..Way::slow(10) }, Way::slow(10)),
    )
    .brief(),
    Scene::fault(
        "loss-little",
        "A path loses one packet in a thousand.",
        &["retransmits", "retransmits-to-network", "timeout-stalls"],
        &[Sign::Gains("TcpOutSegs", 500)],
        |stage| {
            stage.path(Way { loss: 0.001, ..Way::slow(10) }, Way::slow(10))?;
            stage.there("listen 10.9.0.2:80 then=sink")?;
            stage.here("connect 10.9.0.2:80 n=2 then=send:500000")?;
            wait(500);
            Ok(())
        },
    )
    .near_miss(),
    Scene::fault(
        "loss-to-network",
        "All traffic to one network loses 4 of 100 packets.",
        &["retransmits-to-network"],
        &[Sign::Gains("TcpRetransSegs", 50)],
        |stage| bulk(stage, 5, Way { loss: 0.04, ..Way::slow(10) }, Way::slow(10)),
    ),
    Scene::fault(
        "spurious-retransmits",
        "A path delays one packet in 150 by much more than its round-trip time, and loses nothing.",
        &["spurious-retransmits"],
        &[Sign::Gains("TcpExtTCPDSACKRecv", 10)],
        |stage| {
            let way = Way {
                late: (0.007, Duration::from_millis(150)),
                rate: Some((2 * MEGABYTE, MEGABYTE / 5)),
                ..Way::slow(10)
            };
            bulk(stage, 1, way, Way::slow(10))?;
            wait(1500);
            Ok(())
        },
    ),
    Scene::fault(
        "reordering",
        "A path reorders: one packet in fifty arrives 15 ms late.",
        &["reordering"],
        &[Sign::Gains("TcpExtTCPSACKReorder", 2)],
        |stage| {
            let way = Way { late: (0.02, Duration::from_millis(15)), ..Way::slow(10) };
            stage.path(way, Way::slow(10))?;
            stage.there("listen 10.9.0.2:80 then=sink")?;
            stage.here("connect 10.9.0.2:80 n=2 then=send:600000")?;
            wait(500);
            Ok(())
        },
    ),
    Scene::fault(
        "timeouts",
        "A path loses half of all packets: connections stall in retransmission timeouts.",
        &["timeout-stalls"],
        &[Sign::Gains("TcpExtTCPTimeouts", 5)],
        |stage| bulk(stage, 4, Way { loss: 0.5, ..Way::slow(10) }, Way::slow(10)),
    )
    .for_s(4),
    Scene::fault(
        "link-down",
        "The peer vanishes while data is in flight.",
        &["connection-dying"],
        &[Sign::Sockets("-Htn state established dport = :80 and tcp.backoff >= 3", 1)],
        |stage| {
            bulk(stage, 1, Way::slow(2), Way::slow(2))?;
            wait(500);
            stage.path(Way::lost(), Way::lost())?;
            wait(4000);
            Ok(())
        },
    )
    .for_s(4)
    .brief(),
    Scene::fault(
        "path-queue",
        "A modem sends 1 MB a second and buffers half a megabyte.",
        &["path-queue"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            let way = Way { rate: Some((MEGABYTE, MEGABYTE / 2)), ..Way::slow(10) };
            bulk(stage, 1, way, Way::slow(10))?;
            wait(3500);
            Ok(())
        },
    )
    .brief(),
    Scene::fault(
        "device-queue",
        "The local device sends 1 MB a second and buffers 4 MB (tbf).",
        &["local-queue-holds"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.join(Some(1_000_000))?;
            stage.there("listen 10.8.0.2:80 then=sink")?;
            stage.here("connect 10.8.0.2:80 then=send")?;
            wait(2000);
            Ok(())
        },
    ),
    Scene::fault(
        "jitter",
        "A path of 4 ms has random extra delays of up to 160 ms.",
        &["jitter"],
        &[Sign::Sockets("-Htn state established dport = :80", 4)],
        |stage| {
            let way = Way { jitter: Duration::from_millis(160), ..Way::slow(2) };
            stage.path(way, Way::slow(2))?;
            stage.there("listen 10.9.0.2:80 then=serve")?;
            stage.here("connect 10.9.0.2:80 n=6 then=ask:5")?;
            wait(2500);
            Ok(())
        },
    ),
    Scene::fault(
        "mtu-black-hole",
        "A path drops packets longer than 1400 bytes without an ICMP error.",
        &["mtu-black-hole"],
        &[Sign::Gains("TcpExtTCPTimeouts", 1), Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            let way = Way { loses: |packet| packet.length() > 1400, ..Way::slow(5) };
            bulk(stage, 1, way, Way::slow(5))?;
            wait(3000);
            Ok(())
        },
    )
    .for_s(4)
    .brief(),
    Scene::fault(
        "tiny-segments",
        "The peer advertises an MSS of 500 bytes.",
        &["tiny-segments"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            stage.slow_path(5)?;
            stage.there("listen 10.9.0.2:80 mss=500 then=sink")?;
            stage.here("connect 10.9.0.2:80 then=send:500000").map(|_| ())
        },
    ),
    Scene::fault(
        "congestion-marked",
        "A router marks a tenth of all packets (ECN).",
        &["congestion-marked"],
        &[Sign::Gains("TcpOutSegs", 100)],
        |stage| {
            stage.set_both("tcp_ecn", "1")?;
            let way = Way {
                rate: Some((MEGABYTE * 2, MEGABYTE)),
                changes: |packet| {
                    if packet.number() % 10 == 0 {
                        packet.mark();
                    }
                },
                ..Way::slow(10)
            };
            bulk(stage, 1, way, Way::slow(10))
        },
    ),
    Scene::fault(
        "loss-limits-rate",
        "A fast path of 20 ms loses one packet in a hundred.",
        &["loss-limits-rate"],
        &[Sign::Gains("TcpRetransSegs", 5)],
        |stage| bulk(stage, 1, Way { loss: 0.012, ..Way::slow(20) }, Way::slow(20)),
    )
    .for_s(5),
    Scene::fault(
        "options-stripped",
        "A middlebox strips SACK and timestamps from connections to one of two ports.",
        &["options-stripped"],
        &[Sign::Sockets("-Htn state established dport = :81", 2)],
        |stage| {
            let way = Way {
                changes: |packet| {
                    if packet.is_syn() && packet.to_port() == Some(81) {
                        packet.strip(SACK);
                        packet.strip(TIMESTAMPS);
                        packet.strip(WINDOW_SCALE);
                    }
                },
                ..Way::slow(5)
            };
            stage.path(way, Way::slow(5))?;
            for port in [80, 81] {
                stage.there(&format!("listen 10.9.0.2:{port} then=serve"))?;
                let count = if port == 80 { 5 } else { 2 };
                stage.here(&format!("connect 10.9.0.2:{port} n={count} then=ask:20"))?;
            }
            wait(500);
            Ok(())
        },
    ),
    Scene::fault(
        "window-not-scaled",
        "A middlebox strips window scaling; a transfer over 40 ms is limited to a window of 64 KiB.",
        &["window-not-scaled"],
        &[Sign::Sockets("-Htn state established dport = :80", 1)],
        |stage| {
            let way = Way { changes: |packet| strip_scale(packet), ..Way::slow(20) };
            bulk(stage, 1, way, Way::slow(20))?;
            wait(1000);
            Ok(())
        },
    ),
    Scene::fault(
        "fast-open-blocked",
        "A middlebox drops SYNs with data (Fast Open).",
        &["fast-open-blocked"],
        &[Sign::Gains("TcpExtTCPFastOpenActiveFail", 1)],
        |stage| {
            stage.set_both("tcp_fastopen", "3")?;
            stage.slow_path(5)?;
            stage.there("listen 10.9.0.2:80 fastopen then=serve")?;
            // The first connection only obtains a cookie.
            stage.here("connect 10.9.0.2:80 fastopen then=exchange")?;
            wait(500);
            let way = Way {
                loses: |packet| packet.is_syn() && (packet.has_option(FAST_OPEN) || packet.payload() > 0),
                ..Way::slow(5)
            };
            stage.path(way, Way::slow(5))?;
            stage.here("connect 10.9.0.2:80 n=60 every=100 fastopen then=ask:50")?;
            wait(500);
            Ok(())
        },
    )
    .for_s(4),
];

fn strip_scale(packet: &mut sockdiag_testkit::packet::Packet<'_>) {
    if packet.is_syn() {
        packet.strip(WINDOW_SCALE);
    }
}

/// Bulk transfers to the remote host: packets to it behave as `there` says, packets from it
/// as `back` says.
pub(super) fn bulk(stage: &mut Stage, connections: u32, there: Way, back: Way) -> Result<(), Why> {
    stage.path(there, back)?;
    stage.there("listen 10.9.0.2:80 then=sink")?;
    stage.here(&format!("connect 10.9.0.2:80 n={connections} then=send"))?;
    wait(700);
    Ok(())
}
