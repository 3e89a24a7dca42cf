//! The counts of `-s` as `ss` prints them, and as a sheet.
//!
//! An absent count is printed as zero.  Sums wrap like a C `int`.
//!
//! Source: format and arithmetic as observed in `ss` 7.3.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::io;

use sockdiag::number::put_signed;
use sockdiag::source::Summary;

use crate::Out;
use crate::json::{Counted, counts as each_count};
use crate::sheet::{Shape, Sheet};

/// Writes one line of cells per namespace: the kernel's counts under their JSON names, empty
/// where absent.
///
/// # Errors
/// When writing to the output fails.
pub fn sheet(all: &[Counted], shape: Shape, header: bool, out: Out<'_>) -> io::Result<()> {
    let with_netns = all.iter().any(|counted| counted.netns.is_some());
    let numbers = each_count(&Summary::default()).map(|(name, ..)| name);
    let right = with_netns.then_some(false).into_iter().chain(numbers.map(|_| true)).collect();
    let mut sheet = Sheet::new(out, shape, right);
    if header {
        let names = with_netns.then_some("netns.title").into_iter().chain(numbers);
        sheet.line(names.map(|name| Some(name.as_bytes())))?;
    }
    for Counted { netns, summary } in all {
        let title = with_netns.then(|| netns.as_ref().map(|netns| netns.title.clone()));
        let numbers =
            each_count(summary).map(|(.., count)| count.map(|count| count.to_string().into_bytes()));
        let cells: Vec<Option<Vec<u8>>> = title.into_iter().chain(numbers).collect();
        sheet.line(cells.iter().map(Option::as_deref))?;
    }
    sheet.finish()
}

/// Appends the text of `-s`, which ends in an empty line.
pub fn put(out: &mut Vec<u8>, counts: &Summary) {
    let number = |count: Option<i64>| count.unwrap_or(0);
    let (tcp, tcp6) = (number(counts.tcp), number(counts.tcp6));
    let (waiting, allocated) = (number(counts.tcp_time_wait), number(counts.tcp_allocated));
    let closed = allocated.wrapping_sub(tcp.wrapping_add(tcp6).wrapping_sub(waiting));
    for (text, count) in [
        ("Total: ", number(counts.used)),
        ("\nTCP:   ", allocated.wrapping_add(waiting)),
        (" (estab ", number(counts.tcp_established)),
        (", closed ", closed),
        (", orphaned ", number(counts.tcp_orphans)),
        (", timewait ", waiting),
    ] {
        out.extend_from_slice(text.as_bytes());
        put_signed(out, count as u32);
    }
    out.extend_from_slice(b")\n\nTransport Total     IP        IPv6\n");
    let (raw, raw6) = (number(counts.raw), number(counts.raw6));
    let (udp, udp6) = (number(counts.udp), number(counts.udp6));
    let sum = |counts: [i64; 3]| counts.iter().fold(0_i64, |sum, count| sum.wrapping_add(*count));
    for (name, v4, v6) in [
        ("RAW", raw, raw6),
        ("UDP", udp, udp6),
        ("TCP", tcp, tcp6),
        ("INET", sum([raw, udp, tcp]), sum([raw6, udp6, tcp6])),
        ("FRAG", number(counts.frag), number(counts.frag6)),
    ] {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\t ");
        for count in [v4.wrapping_add(v6), v4, v6] {
            put_cell(out, count);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Appends a blank and the count, formatted as `%-9d`.
fn put_cell(out: &mut Vec<u8>, count: i64) {
    out.push(b' ');
    let end = out.len() + 9;
    put_signed(out, count as u32);
    while out.len() < end {
        out.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(counts: &Summary) -> String {
        let mut out = Vec::new();
        put(&mut out, counts);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn a_summary_is_laid_out_as_ss_lays_it_out() {
        let counts = Summary {
            used: Some(100),
            tcp: Some(5),
            tcp_orphans: Some(1),
            tcp_time_wait: Some(2),
            tcp_allocated: Some(10),
            tcp_established: Some(77),
            udp: Some(4),
            raw: Some(6),
            frag: Some(7),
            tcp6: Some(3),
            udp6: Some(2),
            raw6: Some(1),
            frag6: Some(9),
        };
        let want = "Total: 100\nTCP:   12 (estab 77, closed 4, orphaned 1, timewait 2)\n\n\
                    Transport Total     IP        IPv6\n\
                    RAW\t  7         6         1        \n\
                    UDP\t  6         4         2        \n\
                    TCP\t  8         5         3        \n\
                    INET\t  21        15        6        \n\
                    FRAG\t  16        7         9        \n\n";
        assert_eq!(text(&counts), want);
    }

    #[test]
    fn absent_is_zero_and_sums_wrap() {
        assert!(text(&Summary::default()).starts_with("Total: 0\nTCP:   0 (estab 0, closed 0,"));
        let counts = Summary {
            used: Some(2_147_483_648),
            tcp: Some(-5),
            tcp_orphans: Some(99_999_999_999),
            tcp_time_wait: Some(4_294_967_295),
            tcp6: Some(i64::MAX),
            ..Summary::default()
        };
        let text = text(&counts);
        assert!(text.starts_with("Total: -2147483648\nTCP:   -1 (estab 0,"), "{text}");
        assert!(text.contains("orphaned 1215752191, timewait -1)"), "{text}");
    }
}
