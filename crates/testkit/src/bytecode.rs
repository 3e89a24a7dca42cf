//! inet_diag bytecode, checked and run as the kernel does.
//!
//! It double-checks the programs that the library makes, and shares no code with the library.
//!
//! A program is a list of instructions: four bytes (`code`, `yes`, `no`) and an argument.
//! `yes` and `no` are the distances to the next instruction.  A program that jumps exactly to
//! its end accepts; one that jumps past it rejects.
//!
//! Source: `include/uapi/linux/inet_diag.h` and the kernel's documented behaviour; [`audit`]
//! checks what `inet_diag_bc_audit` requires of a program.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "small, known numbers; each cast is meant"
)]

/// What the kernel knows of a socket when it runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub family: u8,
    /// Local address; an IPv4 one fills the first four bytes.
    pub saddr: [u8; 16],
    /// Remote address, likewise.
    pub daddr: [u8; 16],
    /// Local port in host order.
    pub sport: u16,
    /// Remote port in host order.
    pub dport: u16,
    /// Index of the bound interface, or zero.
    pub ifindex: u32,
    /// Firewall mark.
    pub mark: u32,
    /// Id of the cgroup.
    pub cgroup_id: u64,
    /// Whether the user bound the local port (`SOCK_BINDPORT_LOCK`).
    pub userlocks_bindport: bool,
}

const NOP: u8 = 0;
const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const AUTO: u8 = 6;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const DEV_COND: u8 = 9;
const MARK_COND: u8 = 10;
const S_EQ: u8 = 11;
const D_EQ: u8 = 12;
const CGROUP_COND: u8 = 13;

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_ne_bytes)
}

/// The first four bytes of `rest`, an instruction's head.
fn head(rest: &[u8]) -> Option<(u8, usize, usize)> {
    let [code, yes] = bytes_at(rest, 0)?;
    Some((code, yes.into(), u16_at(rest, 2)?.into()))
}

/// Runs a program on a socket; true if it lets the socket through.
///
/// A program that [`audit`] refuses may give either answer.
pub fn run(program: &[u8], entry: &Entry) -> bool {
    let mut at = 0;
    while at < program.len() {
        match step(program.get(at..).unwrap_or_default(), entry) {
            Some(distance @ 1..) => at += distance,
            _ => return false,
        }
    }
    at == program.len()
}

/// The distance from the first instruction of `rest` to the next; `None` if it is cut off.
fn step(rest: &[u8], entry: &Entry) -> Option<usize> {
    let (code, yes, no) = head(rest)?;
    let port = || u16_at(rest, 6);
    let holds = match code {
        NOP => true,
        JMP => false,
        S_GE => entry.sport >= port()?,
        S_LE => entry.sport <= port()?,
        S_EQ => entry.sport == port()?,
        D_GE => entry.dport >= port()?,
        D_LE => entry.dport <= port()?,
        D_EQ => entry.dport == port()?,
        AUTO => !entry.userlocks_bindport,
        S_COND => host(rest, entry.family, &entry.saddr, entry.sport)?,
        D_COND => host(rest, entry.family, &entry.daddr, entry.dport)?,
        DEV_COND => entry.ifindex == u32_at(rest, 4)?,
        MARK_COND => entry.mark & u32_at(rest, 8)? == u32_at(rest, 4)?,
        CGROUP_COND => entry.cgroup_id == u64::from_ne_bytes(bytes_at(rest, 4)?),
        _ => return None,
    };
    Some(if holds { yes } else { no })
}

/// Tests a `struct inet_diag_hostcond`.
fn host(rest: &[u8], family: u8, addr: &[u8; 16], port: u16) -> Option<bool> {
    let [wanted, prefix_len, _, _] = bytes_at(rest, 4)?;
    let wanted_port = u32_at(rest, 8)? as i32;
    let rule = rest.get(12..)?;
    if wanted_port != -1 && wanted_port != i32::from(port) {
        return Some(false);
    }
    if wanted != 0 && wanted != family {
        let mapped = family == 10 && wanted == 2 && addr[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        return Some(mapped && same_bits(rule, &addr[12..], prefix_len));
    }
    Some(prefix_len == 0 || same_bits(rule, addr, prefix_len))
}

fn same_bits(rule: &[u8], addr: &[u8], len: u8) -> bool {
    let bit = |bytes: &[u8], at: usize| bytes.get(at / 8).map(|b| b >> (7 - at % 8) & 1);
    (0..usize::from(len)).all(|at| bit(rule, at) == bit(addr, at))
}

/// Checks a program as the kernel does before it runs one; the error says why the kernel would
/// return `EINVAL`.
pub fn audit(program: &[u8]) -> Result<(), &'static str> {
    let mut at = 0;
    while at < program.len() {
        let rest = program.get(at..).unwrap_or_default();
        let (code, yes, no) = head(rest).ok_or("an instruction is cut off")?;
        let min_len = match code {
            NOP | JMP | AUTO => 4,
            S_GE | S_LE | D_GE | D_LE | S_EQ | D_EQ | DEV_COND => 8,
            MARK_COND | CGROUP_COND => 12,
            S_COND | D_COND => {
                let [family, prefix_len] = bytes_at(rest, 4).ok_or("a host is cut off")?;
                let addr_len = match family {
                    0 => 0,
                    2 => 4,
                    10 => 16,
                    _ => return Err("a host has a family other than IPv4 and IPv6"),
                };
                if usize::from(prefix_len) > 8 * addr_len {
                    return Err("a prefix is longer than its address");
                }
                12 + addr_len
            }
            _ => return Err("the code is unknown"),
        };
        if rest.len() < min_len {
            return Err("an argument is cut off");
        }
        if code != NOP {
            if no < min_len || no > rest.len() + 4 || no % 4 != 0 {
                return Err("`no` leads nowhere");
            }
            if no < rest.len() && !is_start(program, at + no) {
                return Err("`no` leads into the middle of an instruction");
            }
        }
        if yes < min_len || yes > rest.len() + 4 || yes % 4 != 0 {
            return Err("`yes` leads nowhere");
        }
        at += yes;
    }
    if at == program.len() { Ok(()) } else { Err("the last instruction passes the end") }
}

/// Whether an instruction starts at `target`, found by following `yes` from the start.
fn is_start(program: &[u8], target: usize) -> bool {
    let mut at = 0;
    while at < target {
        match program.get(at + 1) {
            Some(yes) if *yes >= 4 && yes % 4 == 0 => at += usize::from(*yes),
            _ => return false,
        }
    }
    at == target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(code: u8, yes: u8, no: u16, args: &[u8]) -> Vec<u8> {
        [&[code, yes][..], &no.to_ne_bytes(), args].concat()
    }

    fn port(code: u8, no: u16, port: u16) -> Vec<u8> {
        op(code, 8, no, &[&[0, 0][..], &port.to_ne_bytes()].concat())
    }

    fn host(code: u8, no: u16, family: u8, len: u8, port: i32, addr: &[u8]) -> Vec<u8> {
        let args = [&[family, len, 0, 0][..], &port.to_ne_bytes(), addr].concat();
        op(code, (4 + args.len()) as u8, no, &args)
    }

    /// 1.2.3.4:80 to 10.0.0.1:1000 on interface 3.
    fn v4() -> Entry {
        let mut entry =
            Entry { family: 2, sport: 80, dport: 1000, ifindex: 3, mark: 0x15, ..Entry::default() };
        entry.saddr[..4].copy_from_slice(&[1, 2, 3, 4]);
        entry.daddr[..4].copy_from_slice(&[10, 0, 0, 1]);
        entry
    }

    #[test]
    fn one_condition_accepts_or_rejects() {
        for (program, expect) in [
            (port(S_GE, 12, 80), true),
            (port(S_GE, 12, 81), false),
            (port(S_LE, 12, 80), true),
            (port(S_LE, 12, 79), false),
            (port(D_GE, 12, 1001), false),
            (port(D_LE, 12, 1000), true),
            (port(S_EQ, 12, 80), true),
            (port(D_EQ, 12, 80), false),
            (op(AUTO, 4, 8, &[]), true),
            (op(DEV_COND, 8, 12, &3_u32.to_ne_bytes()), true),
            (op(DEV_COND, 8, 12, &4_u32.to_ne_bytes()), false),
            (op(MARK_COND, 12, 16, &[5_u32.to_ne_bytes(), 0xf_u32.to_ne_bytes()].concat()), true),
            (op(MARK_COND, 12, 16, &[5_u32.to_ne_bytes(), 0xff_u32.to_ne_bytes()].concat()), false),
            (op(CGROUP_COND, 12, 16, &1_u64.to_ne_bytes()), false),
            (host(S_COND, 20, 0, 0, 80, &[0; 4]), true),
            (host(S_COND, 20, 0, 0, 81, &[0; 4]), false),
            (host(S_COND, 20, 2, 24, -1, &[1, 2, 3, 0]), true),
            (host(S_COND, 20, 2, 32, -1, &[1, 2, 3, 0]), false),
            (host(D_COND, 20, 2, 8, 1000, &[10, 9, 9, 9]), true),
            (host(S_COND, 32, 10, 0, -1, &[0; 16]), false),
            (op(JMP, 4, 8, &[]), false),
            (op(NOP, 4, 0, &[]), true),
            (Vec::new(), true),
        ] {
            assert_eq!(audit(&program), Ok(()), "{program:?}");
            assert_eq!(run(&program, &v4()), expect, "{program:?}");
        }
    }

    #[test]
    fn ipv4_rules_match_mapped_addresses() {
        let mut entry = Entry { family: 10, ..Entry::default() };
        entry.saddr[10..].copy_from_slice(&[0xff, 0xff, 1, 2, 3, 4]);
        assert!(run(&host(S_COND, 20, 2, 32, -1, &[1, 2, 3, 4]), &entry));
        assert!(run(&host(S_COND, 20, 2, 0, -1, &[0; 4]), &entry));
        entry.saddr[9] = 1;
        assert!(!run(&host(S_COND, 20, 2, 0, -1, &[0; 4]), &entry));
        assert!(run(&host(S_COND, 32, 10, 64, -1, &[0; 16]), &entry));
    }

    #[test]
    fn jumps_join_conditions() {
        // sport = 1 or sport = 80
        let either = [port(S_EQ, 12, 1), op(JMP, 4, 12, &[]), port(S_EQ, 12, 80)].concat();
        assert_eq!(audit(&either), Ok(()));
        assert!(run(&either, &v4()));
        // not sport = 80
        let not = [port(S_EQ, 12, 80), op(JMP, 4, 8, &[])].concat();
        assert_eq!(audit(&not), Ok(()));
        assert!(!run(&not, &v4()));
    }

    #[test]
    fn damaged_programs_are_refused() {
        for program in [
            vec![AUTO],
            op(AUTO, 4, 4, &[])[..3].to_vec(),
            op(AUTO, 4, 0, &[]),
            op(AUTO, 4, 12, &[]),
            op(AUTO, 4, 6, &[]),
            op(AUTO, 0, 8, &[]),
            op(AUTO, 8, 8, &[]),
            op(14, 4, 8, &[]),
            op(S_GE, 8, 12, &[]),
            host(S_COND, 20, 1, 8, -1, &[0; 4]),
            host(S_COND, 20, 2, 33, -1, &[0; 4]),
            host(S_COND, 20, 0, 1, -1, &[0; 4]),
            host(S_COND, 20, 10, 64, -1, &[0; 4]),
            [op(AUTO, 4, 8, &[]), port(S_EQ, 12, 80)].concat(),
        ] {
            assert!(audit(&program).is_err(), "{program:?}");
            run(&program, &v4());
        }
    }
}
