//! Checks that a composed message equals the kernel's.
//!
//! An untested kernel may report something that is not composed here.  So before a walk
//! delivers its first message, some of the first sockets are looked up, and the replies are
//! compared with the composed messages.
//!
//! Clocks advance between the two reads, and a socket may be in use; one equal pair shows
//! that messages are composed correctly.
//!
//! Source: linux/inet_diag.h, linux/tcp.h.

use sockdiag_wire::attr::attrs;
use sockdiag_wire::inet_diag::{INET_DIAG_INFO, MSG_LEN};
use sockdiag_wire::tcp_info::TcpInfo;

use super::compose::Ask;
use super::members::Wants;

/// Bytes of the fixed part that are compared only if they were wanted: the timer and its
/// retransmissions, owner and inode, the two queues.
const PARTS: [(Wants, usize, usize); 3] =
    [(Wants::TIMERS, 2, 4), (Wants::OWNER, 64, 72), (Wants::QUEUES, 56, 64)];
/// The positions, in the fixed part, of the time until a timer fires, and of the cookie.
const EXPIRES: (usize, usize) = (52, 56);
const COOKIE: (usize, usize) = (44, 52);

/// Members of `tcp_info` that change with time.
const CLOCKS: [&str; 7] = [
    "tcpi_last_data_sent",
    "tcpi_last_data_recv",
    "tcpi_last_ack_recv",
    "tcpi_busy_time",
    "tcpi_rwnd_limited",
    "tcpi_sndbuf_limited",
    "tcpi_total_rto_time",
];

/// Whether a composed message and the kernel's are equal, except for clocks and for parts
/// that were not requested.
pub(super) fn agree(ours: &[u8], theirs: &[u8], ask: Ask) -> bool {
    let (Some((ours, our_attrs)), Some((theirs, their_attrs))) =
        (ours.split_first_chunk::<MSG_LEN>(), theirs.split_first_chunk::<MSG_LEN>())
    else {
        return false;
    };
    let (mut ours, mut theirs) = (*ours, *theirs);
    let unwanted = PARTS.into_iter().filter(|(part, ..)| !ask.rest.has(*part));
    let unwanted = unwanted.map(|(_, begin, end)| (begin, end));
    for (begin, end) in unwanted.chain([EXPIRES, COOKIE]) {
        for fixed in [&mut ours, &mut theirs] {
            if let Some(part) = fixed.get_mut(begin..end) {
                part.fill(0);
            }
        }
    }
    if ours != theirs {
        return false;
    }
    let is_whole = ask.rest.has(Wants::UNASKED);
    let mut rest = attrs(their_attrs).peekable();
    for attr in attrs(our_attrs) {
        // If unrequested attributes were not composed, the kernel's message has more than
        // ours.
        while !is_whole && rest.next_if(|other| other.kind != attr.kind).is_some() {}
        let Some(other) = rest.next().filter(|other| other.kind == attr.kind) else { return false };
        let same = match attr.kind {
            INET_DIAG_INFO => same_info(attr.payload, other.payload),
            _ => attr.payload == other.payload,
        };
        if !same {
            return false;
        }
    }
    !is_whole || rest.next().is_none()
}

fn same_info(ours: &[u8], theirs: &[u8]) -> bool {
    let clock = |at: usize| {
        let mut members = TcpInfo::LAYOUT.members.iter();
        members.any(|member| {
            (member.offset..member.offset + member.size).contains(&at) && CLOCKS.contains(&member.name)
        })
    };
    let mut pairs = ours.iter().zip(theirs).enumerate();
    ours.len() == theirs.len() && pairs.all(|(at, (ours, theirs))| ours == theirs || clock(at))
}

#[cfg(test)]
mod tests {
    use sockdiag_wire::attr::put;
    use sockdiag_wire::inet_diag::{INET_DIAG_MARK, INET_DIAG_SHUTDOWN, INET_DIAG_TOS};

    use super::*;

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message: Vec<u8> = (0_u8..).take(MSG_LEN).collect();
        for (kind, payload) in attributes {
            put(&mut message, *kind, payload);
        }
        message
    }

    #[test]
    fn every_byte_that_is_no_clock_counts() {
        let info = [7; 280];
        let whole =
            message(&[(INET_DIAG_SHUTDOWN, &[1]), (INET_DIAG_MARK, &[2; 4]), (INET_DIAG_INFO, &info)]);
        let ask = Ask::whole(2, true);
        assert!(agree(&whole, &whole, ask));
        let (mut clocks, mut equal) = (0, Vec::new());
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 0xff;
            if agree(&whole, &other, ask) {
                clocks += 1;
                equal.push(at);
            }
        }
        // The 3 padding bytes after the first attribute are not compared either.
        assert_eq!(clocks, 4 + 8 + 4 * 4 + 3 * 8 + 3, "{equal:?}");
        for short in 0..whole.len() {
            assert!(!agree(&whole[..short], &whole, ask) && !agree(&whole, &whole[..short], ask), "{short}");
        }
    }

    #[test]
    fn parts_that_were_not_asked_for_may_be_missing_and_no_others() {
        let ours = message(&[(INET_DIAG_TOS, &[5])]);
        let theirs = message(&[(INET_DIAG_SHUTDOWN, &[1]), (INET_DIAG_TOS, &[5]), (INET_DIAG_MARK, &[2; 4])]);
        let lean = Ask { rest: Wants::QUEUES, ..Ask::whole(0x10, true) };
        assert!(agree(&ours, &theirs, lean));
        assert!(!agree(&ours, &theirs, Ask::whole(0x10, true)));
        assert!(!agree(&theirs, &ours, lean));
        let mut owned = theirs.clone();
        owned[64] ^= 1;
        assert!(agree(&ours, &owned, lean), "the owner was not asked for");
        owned[56] ^= 1;
        assert!(!agree(&ours, &owned, lean), "the queues were");
    }
}
