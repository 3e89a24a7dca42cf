//! A path between two network namespaces that loses, delays and changes packets on request,
//! like netem but without needing it.
//!
//! Each namespace has a TUN device, [`NAME`] with index [`INDEX`]; a thread of this process
//! carries packets from one to the other.  The near side is `10.9.0.1/24`, the far side
//! `10.9.0.2/24`.  Packets to other addresses of that network enter the path too;
//! [`Way::loses`] decides whether to drop them.
//!
//! Invariant: packets of one direction stay in order, except those that [`Way::late`] holds
//! back.
//!
//! Source: Documentation/networking/tuntap.rst.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "lengths of packets and times of minutes; each cast is meant"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::netns::Namespace;
use crate::packet::Packet;
use crate::{Doing, Why, sys};

/// The device's name on both sides.
pub const NAME: &str = "path0";
/// Its index on both sides.
pub const INDEX: u32 = 300;
/// Addresses of the near and the far side.
pub const ENDS: [&str; 2] = ["10.9.0.1", "10.9.0.2"];

/// What happens to packets of one direction.  By default each is carried at once, unchanged.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The share of packets that are lost.
    pub loss: f64,
    /// How long each packet takes.
    pub delay: Duration,
    /// The largest random addition to `delay`.
    pub jitter: Duration,
    /// Bytes a second, and how many bytes may wait before further packets are lost.
    pub rate: Option<(u64, u64)>,
    /// The share of packets held back, and for how long: later packets overtake them.
    pub late: (f64, Duration),
    /// The share of packets that arrive twice.
    pub twice: f64,
    /// Whether to drop a packet, in addition to `loss`.
    pub loses: fn(&Packet<'_>) -> bool,
    /// Changes each packet that is carried.
    pub changes: fn(&mut Packet<'_>),
}

impl Default for Way {
    fn default() -> Self {
        Self {
            loss: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate: None,
            late: (0.0, Duration::ZERO),
            twice: 0.0,
            loses: |_| false,
            changes: |_| {},
        }
    }
}

impl Way {
    /// A direction that only delays packets.
    pub fn slow(delay_ms: u64) -> Self {
        Self { delay: Duration::from_millis(delay_ms), ..Self::default() }
    }

    /// A direction that loses every packet.
    pub fn lost() -> Self {
        Self { loses: |_| true, ..Self::default() }
    }
}

/// A path; dropping it removes its devices.
#[derive(Debug)]
pub struct Path {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// From near to far, and from far to near.
    ways: Mutex<[Way; 2]>,
    /// Packets to inject at the near side, as if they had come over the path.
    put: Mutex<Vec<Vec<u8>>>,
    stop: AtomicBool,
}

impl Path {
    /// Makes a path between two namespaces that root made.
    pub fn between(near: &Namespace, far: &Namespace) -> Result<Self, Why> {
        let mut ends = Vec::new();
        for (namespace, address) in [near, far].into_iter().zip(ENDS) {
            let tun = namespace.with(|| sys::tun(NAME, INDEX))?.doing("making a TUN device")?;
            namespace.add_address(INDEX, address.parse().doing("an address")?, 24)?;
            // A long queue, so that only this module drops packets.
            namespace.queue(INDEX, 20_000)?;
            namespace.up(INDEX)?;
            ends.push(File::from(tun));
        }
        let ends: [File; 2] = ends.try_into().map_err(|_| Why::new("a path has two ends"))?;
        let shared =
            Arc::new(Shared { ways: Mutex::default(), put: Mutex::default(), stop: AtomicBool::new(false) });
        let carried = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("path".into())
            .spawn(move || Carrier::new(ends, carried).carry())
            .doing("starting a path")?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Sets the behaviour from now on, for packets from near to far and for those back.
    pub fn set(&self, there: Way, back: Way) {
        *self.shared.ways.lock().unwrap_or_else(PoisonError::into_inner) = [there, back];
    }

    /// Injects packets at the near side, as if they had come over the path.
    pub fn put(&self, packets: Vec<Vec<u8>>) {
        self.shared.put.lock().unwrap_or_else(PoisonError::into_inner).extend(packets);
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet in flight: when it arrives, its number, the destination end, its bytes.
type Flying = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Carrier {
    ends: [File; 2],
    shared: Arc<Shared>,
    random: fastrand::Rng,
    flying: BinaryHeap<Flying>,
    number: u64,
    /// For each direction: when its last packet arrives, and when its rate limit allows the
    /// next.
    latest: [Instant; 2],
    free: [Instant; 2],
}

impl Carrier {
    fn new(ends: [File; 2], shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            ends,
            shared,
            random: fastrand::Rng::with_seed(16),
            flying: BinaryHeap::new(),
            number: 0,
            latest: [now; 2],
            free: [now; 2],
        }
    }

    /// Carries packets until it is stopped.
    fn carry(mut self) {
        /// Packets taken from one end before the other has its turn.
        const TURN: usize = 64;
        let mut room = vec![0; 65_536];
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.wait();
            let ways = *self.shared.ways.lock().unwrap_or_else(PoisonError::into_inner);
            let put = std::mem::take(&mut *self.shared.put.lock().unwrap_or_else(PoisonError::into_inner));
            for packet in put {
                self.arrive(0, &packet);
            }
            for (from, way) in ways.iter().enumerate() {
                for _ in 0..TURN {
                    let Ok(length) = self.ends[from].read(&mut room) else { break };
                    self.take(from, way, &mut room[..length]);
                }
            }
            let now = Instant::now();
            while self.flying.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
                if let Some(Reverse((_, _, to, packet))) = self.flying.pop() {
                    self.arrive(to, &packet);
                }
            }
        }
    }

    /// Waits until a packet comes or is due, for a short time at most.
    fn wait(&self) {
        const LONGEST: Duration = Duration::from_millis(20);
        let due = self
            .flying
            .peek()
            .map_or(LONGEST, |Reverse((due, ..))| due.saturating_duration_since(Instant::now()).min(LONGEST));
        let timeout = Timespec { tv_sec: 0, tv_nsec: due.subsec_nanos().into() };
        let mut fds = [0, 1].map(|end| PollFd::new(&self.ends[end], PollFlags::IN));
        let _ = poll(&mut fds, Some(&timeout));
    }

    /// Accepts a packet that was sent at one end.
    fn take(&mut self, from: usize, way: &Way, bytes: &mut [u8]) {
        let length = bytes.len();
        let Some(mut packet) = Packet::new(bytes) else { return };
        if (way.loses)(&packet) || self.random.f64() < way.loss {
            return;
        }
        (way.changes)(&mut packet);
        let now = Instant::now();
        let mut due = now;
        if let Some((bytes_per_s, most)) = way.rate {
            let free = self.free[from].max(now);
            let waiting = free.duration_since(now).as_secs_f64() * bytes_per_s as f64;
            if waiting as u64 > most {
                return;
            }
            due = free + Duration::from_secs_f64(length as f64 / bytes_per_s as f64);
            self.free[from] = due;
        }
        due += way.delay + way.jitter.mul_f64(self.random.f64());
        due = due.max(self.latest[from]);
        if self.random.f64() < way.late.0 {
            due += way.late.1;
        } else {
            self.latest[from] = due;
        }
        for _ in 0..=usize::from(self.random.f64() < way.twice) {
            self.number += 1;
            self.flying.push(Reverse((due, self.number, 1 - from, bytes.to_vec())));
        }
    }

    /// Writes a packet to one end; if the end's queue is full, the packet is dropped.
    fn arrive(&mut self, to: usize, packet: &[u8]) {
        let _ = self.ends[to].write(packet);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::actor::Actor;
    use crate::skip::{self, Privilege};
    use crate::{packet, until};

    #[test]
    fn packets_fare_as_they_are_told() {
        if skip::privilege() != Ok(Privilege::Root) || !std::path::Path::new("/dev/net/tun").exists() {
            crate::skip!("a path takes root and /dev/net/tun");
        }
        let (Some(near), Some(far)) = (Namespace::or_skip(), Namespace::or_skip()) else { return };
        let path = Path::between(&near, &far).expect("a path");
        path.set(Way::slow(20), Way::slow(20));
        let listener = far.with(|| TcpListener::bind("10.9.0.2:80")).expect("root").expect("an address");
        let connect = || near.with(|| TcpStream::connect("10.9.0.2:80")).expect("root");
        let begun = Instant::now();
        let mut client = connect().expect("a connection");
        assert!(begun.elapsed() >= Duration::from_millis(40), "{:?}", begun.elapsed());
        let (mut server, _) = listener.accept().expect("a connection");
        client.write_all(b"over the path").expect("room");
        let mut said = [0; 13];
        server.read_exact(&mut said).expect("what was said");
        assert_eq!(&said, b"over the path");
        // A lost packet does not arrive.
        path.set(Way { loses: |packet| packet.payload() > 0, ..Way::default() }, Way::default());
        client.write_all(b"?").expect("room");
        server.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
        assert!(server.read(&mut said).is_err());
        path.set(Way::default(), Way::default());
        server.set_read_timeout(None).expect("a time");
        assert_eq!(server.read(&mut said).expect("sent again"), 1);
        // An injected packet comes from an address that does not exist.
        let _actor = Actor::start(&near, "listen 10.9.0.1:81 accept=none").expect("an actor");
        let ends = (("10.9.0.9".parse().expect("an address"), 7), ("10.9.0.1".parse().expect("one"), 81));
        path.put(vec![packet::syn(ends.0, ends.1, 1)]);
        let asked = || {
            let tcp = std::fs::read_to_string(format!("/proc/{}/net/tcp", near.pid())).expect("a table");
            // SYN-RECV
            tcp.lines().any(|line| line.contains("0900090A:0007 03"))
        };
        assert!(until(asked));
    }
}
