//! `seeds RECORDINGS CORPUS`: what the fuzzers begin with.
//!
//! RECORDINGS is `crates/ss/tests/fixtures/recordings.tar.xz`, unpacked: its
//! messages are told apart by the family of the request that they answer.  The
//! test kit's random sockets and crafted answers come with them, and filters.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use sockdiag::fields::Catalog;
use sockdiag_testkit::recording;
use sockdiag_testkit::replies::{self, netpkt};

fn main() -> io::Result<()> {
    let [recordings, corpus] = {
        let mut words = std::env::args_os().skip(1).map(PathBuf::from);
        let (Some(recordings), Some(corpus)) = (words.next(), words.next()) else {
            eprintln!("usage: seeds RECORDINGS CORPUS");
            std::process::exit(2);
        };
        [recordings, corpus]
    };
    let seeds = Seeds { corpus };
    for file in files(&recordings)? {
        let bytes = fs::read(&file)?;
        if file.extension().is_some_and(|ending| ending == "nl") {
            seeds.traffic(&bytes)?;
        } else if file.parent().is_some_and(|directory| directory.ends_with("proc/net")) {
            seeds.lines(&file, &bytes)?;
        }
    }
    seeds.crafted()?;
    seeds.random()?;
    seeds.filters()
}

/// All files below a directory, in order.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Links lead to what only the recorded machine had.
            match entry.file_type()? {
                kind if kind.is_dir() => left.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The payloads of the messages about sockets in a datagram.
fn payloads(datagram: &[u8]) -> Vec<&[u8]> {
    const SOCK_DIAG_BY_FAMILY: [u8; 2] = 20_u16.to_ne_bytes();
    let message = |range: std::ops::Range<usize>| {
        let length = u32::from_ne_bytes(*datagram.get(range.start..)?.first_chunk()?) as usize;
        let message = datagram.get(range.start..range.start + length)?;
        (message.get(4..6)? == SOCK_DIAG_BY_FAMILY).then(|| message.get(16..)).flatten()
    };
    recording::messages(datagram).into_iter().filter_map(message).collect()
}

/// The protocol of a request to inet_diag: in its second byte, or in an
/// attribute where a byte cannot say it.
fn asked_protocol(request: &[u8]) -> u16 {
    // `INET_DIAG_REQ_PROTOCOL`, behind `struct inet_diag_req_v2`.
    const HEAD: [u8; 4] = [8, 0, 3, 0];
    let attrs = request.get(16 + 56..).unwrap_or_default();
    let wide = attrs.windows(8).find(|bytes| bytes.starts_with(&HEAD));
    match wide {
        Some(bytes) => u16::from_le_bytes([bytes[4], bytes[5]]),
        None => request.get(17).copied().unwrap_or(0).into(),
    }
}

struct Seeds {
    corpus: PathBuf,
}

impl Seeds {
    /// Keeps an input, named by what it holds.
    fn keep(&self, target: &str, parts: &[&[u8]]) -> io::Result<()> {
        let bytes = parts.concat();
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let directory = self.corpus.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("seed-{:016x}", hasher.finish())), bytes)
    }

    /// Messages of recorded traffic.
    fn traffic(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        let (mut family, mut protocol) = (0, 0_u16);
        while let Some((head, after)) = rest.split_first_chunk::<20>() {
            let length = u32::from_le_bytes([head[16], head[17], head[18], head[19]]) as usize;
            let Some((datagram, after)) = after.split_at_checked(length) else { break };
            rest = after;
            // Only sock_diag.
            if head[6] != 4 {
                continue;
            }
            if head[4] == b'S' {
                (family, protocol) = (*datagram.get(16).unwrap_or(&0), asked_protocol(datagram));
                continue;
            }
            for payload in payloads(datagram) {
                self.message(family, protocol, payload)?;
            }
        }
        Ok(())
    }

    fn message(&self, family: u8, protocol: u16, payload: &[u8]) -> io::Result<()> {
        // As the first byte chooses among the tables of inet_diag.
        let table = match protocol {
            17 => 1,
            255 => 2,
            132 => 3,
            33 => 4,
            262 => 5,
            _ => 0,
        };
        let target = match family {
            2 | 10 => "inet",
            1 => "unix",
            16 => "netlink",
            17 => "packet",
            40 => "vsock",
            30 => "tipc",
            44 => "xdp",
            43 => "smc",
            _ => return Ok(()),
        };
        self.keep(target, &[&[if target == "inet" { table } else { 0 }, 0], payload])?;
        // Another look, with names.
        if payload.len() % 8 == 4 { self.keep(target, &[&[table, 0xb0], payload]) } else { Ok(()) }
    }

    /// Lines of `/proc/net`.
    fn lines(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let names = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "unix", "-", "netlink", "packet"];
        let Some(at) = names.iter().position(|name| file.ends_with(name)) else { return Ok(()) };
        for line in bytes.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty()) {
            self.keep("proc_text", &[&[at as u8, 0], line])?;
            if at == 6 {
                self.keep("proc_text", &[&[7, 0], line])?;
            }
        }
        Ok(())
    }

    /// Sockets of every family that the test kit can make.
    fn crafted(&self) -> io::Result<()> {
        for (family, datagram) in [
            (40, replies::vsocks()),
            (30, replies::tipcs()),
            (44, replies::xdps()),
            (43, replies::smcs()),
            (17, netpkt::packets()),
            (16, netpkt::netlinks()),
        ] {
            for payload in payloads(&datagram) {
                self.message(family, 0, payload)?;
            }
        }
        Ok(())
    }

    fn random(&self) -> io::Result<()> {
        let mut rng = Rng::with_seed(0xf022);
        for payload in payloads(&recording::cut_done(&recording::random(&mut rng, 400))) {
            self.message(2, rng.choice([6, 6, 6, 17, 132, 33, 255, 262]).unwrap_or(6), payload)?;
        }
        for _ in 0..100 {
            let rows = rng.usize(0..5);
            let whole = recording::random(&mut rng, rows);
            self.keep("recording", &[&[0, 0], &whole])?;
            self.keep("recording", &[&[0, 0], &recording::cut_done(&whole)])?;
            self.keep(
                "recording",
                &[&[0, 0x90], &recording::mutate(&mut rng, &recording::cut_done(&whole))],
            )?;
            let noise: Vec<u8> = (0..rng.usize(0..60)).map(|_| rng.u8(..)).collect();
            self.keep("bytecode", &[&noise])?;
        }
        Ok(())
    }

    fn filters(&self) -> io::Result<()> {
        for field in Catalog::standard().fields() {
            self.keep("filter", &[b"\0", field.name.as_bytes(), b" >= 1"])?;
        }
        for text in [
            "sport = :22 or dport != 80",
            "src 127.0.0.1 and not dst [::1]:ssh",
            "( src 10.0.0.0/8 or src [fe80::/64]:80 ) && ! autobound",
            "dev = lo | dev != 3",
            "fwmark = 0x10/0xff fwmark != 1",
            "cgroup = /user cgroup != 0x7",
            "src unix:/run/* dst unix:@a*",
            "src link:ip:1 or src link:*:lo",
            "src netlink:rtnl:* or dst netlink:16:5",
            "src vsock:2:* dst vsock:*:22",
            "src inet:any or dst inet6:*:80 or src many:22",
            "sport < 80 and sport > 1 or sport <= 70000 and sport >= -5",
            "sport eq 1 dport ne 2 sport lt 3 dport gt 4 sport le 5 dport geq 6",
            "not not ( not sport = 1 and ( dport = 2 ) )",
            "tcp.congestion = cubic and tcp.rtt_us < 10000000000",
            "sport\0=\0:22\nor dport = 5\n# all\nand \\( dev = lo",
            "src 1.2.3.4/0 or dst 1.2.3/24 and src ::1/128",
        ] {
            for first in [0, 5, 7, 8, 9, 10] {
                self.keep("filter", &[&[first], text.as_bytes()])?;
            }
        }
        Ok(())
    }
}
