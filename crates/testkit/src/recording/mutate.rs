//! Damage to recordings, from a flipped bit to a false length.
//!
//! No kernel sends such bytes, but a recording may contain them.  The reference checks few
//! lengths: on these files it may crash, hang or print uninitialised memory, so only our own
//! program is required to handle them.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use fastrand::Rng;

use super::{INET_DIAG_MSG, messages};
use crate::nl;

/// The recording with one to four kinds of damage.
pub fn mutate(rng: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..rng.u8(1..=4) {
        if let Some(damage) = rng.choice(DAMAGES) {
            damage(rng, &mut damaged);
        }
    }
    damaged
}

const DAMAGES: &[fn(&mut Rng, &mut Vec<u8>)] = &[
    |rng, bytes| flip(rng, bytes),
    |rng, bytes| message_length(rng, bytes),
    |rng, bytes| message_kind(rng, bytes),
    |rng, bytes| attribute(rng, bytes),
    |rng, bytes| attribute(rng, bytes),
    truncate,
    duplicate,
    swap,
    remove,
    insert,
];

fn at_random(rng: &mut Rng, len: usize) -> Option<usize> {
    (len > 0).then(|| rng.usize(..len))
}

/// Overwrites as many bytes as fit.
fn write(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (old, new) in bytes.iter_mut().skip(at).zip(value) {
        *old = *new;
    }
}

/// A false length: too short, too long, or far too long.
fn length(rng: &mut Rng, true_len: u32) -> u32 {
    match rng.u8(0..6) {
        0 => rng.u32(0..20),
        1 => true_len.wrapping_sub(rng.u32(1..=8)),
        2 => true_len.wrapping_add(rng.u32(1..=8)),
        3 => rng.u32(0..0x1_0000),
        4 => u32::MAX - rng.u32(0..20),
        _ => rng.u32(..),
    }
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    for _ in 0..rng.u8(1..=8) {
        if let Some(byte) = rng.choice(bytes.iter_mut()) {
            *byte ^= 1 << rng.u8(0..8);
        }
    }
}

fn truncate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    if let Some(at) = at_random(rng, bytes.len()) {
        bytes.truncate(at);
    }
}

fn message_length(rng: &mut Rng, bytes: &mut [u8]) {
    if let Some(range) = rng.choice(messages(bytes)) {
        let lie = length(rng, range.len() as u32);
        write(bytes, range.start, &lie.to_ne_bytes());
    }
}

fn message_kind(rng: &mut Rng, bytes: &mut [u8]) {
    if let Some(range) = rng.choice(messages(bytes)) {
        let kind = *rng.choice(&[0_u16, 1, nl::ERROR, nl::DONE, 18, 19, 20, 21, 0xffff]).unwrap_or(&0);
        write(bytes, range.start + 4, &kind.to_ne_bytes());
    }
}

fn duplicate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    if let Some(range) = rng.choice(messages(bytes)) {
        let copy: Vec<u8> = bytes.get(range.clone()).unwrap_or_default().to_vec();
        bytes.splice(range.end..range.end, copy);
    }
}

fn swap(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let ranges = messages(bytes);
    let (Some(a), Some(b)) = (rng.choice(&ranges), rng.choice(&ranges)) else { return };
    let (a, b) = if a.start <= b.start { (a, b) } else { (b, a) };
    if a.end > b.start {
        return;
    }
    let part = |range: std::ops::Range<usize>| bytes.get(range).unwrap_or_default().to_vec();
    let swapped = [part(b.clone()), part(a.end..b.start), part(a.clone())].concat();
    bytes.splice(a.start..b.end, swapped);
}

fn remove(rng: &mut Rng, bytes: &mut Vec<u8>) {
    if let Some(range) = rng.choice(messages(bytes)) {
        bytes.drain(range);
    }
}

fn insert(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.usize(..=bytes.len());
    let count = rng.usize(1..=24);
    let rubbish: Vec<u8> = (0..count).map(|_| rng.u8(..)).collect();
    bytes.splice(at..at, rubbish);
}

/// Where the attributes of a message start.
fn attributes(bytes: &[u8], range: std::ops::Range<usize>) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = range.start + nl::HEADER + INET_DIAG_MSG;
    while at + 4 <= range.end {
        starts.push(at);
        let len = bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |len| u16::from_ne_bytes(*len));
        at += usize::from(len).next_multiple_of(4).max(4);
    }
    starts
}

fn attribute(rng: &mut Rng, bytes: &mut [u8]) {
    let Some(range) = rng.choice(messages(bytes)) else { return };
    let Some(at) = rng.choice(attributes(bytes, range)) else { return };
    match rng.u8(0..3) {
        // Gives the attribute a false length.
        0 => {
            let true_len =
                bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |len| u16::from_ne_bytes(*len));
            let lie = length(rng, u32::from(true_len)) as u16;
            write(bytes, at, &lie.to_ne_bytes());
        }
        // Gives it another kind.
        1 => {
            let kind = if rng.bool() { rng.u16(0..40) } else { rng.u16(..) };
            write(bytes, at + 2, &kind.to_ne_bytes());
        }
        _ => {
            let rubbish: Vec<u8> = (0..rng.usize(1..=16)).map(|_| rng.u8(..)).collect();
            write(bytes, at + 4, &rubbish);
        }
    }
}
