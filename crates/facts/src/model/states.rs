//! Socket states: the kernel's numbers, sets of them, and their names.
//!
//! All families share TCP's numbering.  A kernel may send an unknown number, so the state of a
//! socket remains a plain `u8` (see [`text`]).  [`State`] names the states that a user can
//! request, and a [`StateSet`] is the mask in a request, where bit *n* stands for state *n*.
//!
//! Source: words and texts are those of `ss` 7.3.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use sockdiag_wire::socket;

use super::words::{self, Word};

/// A state, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// No state; the kernel never sends it.
    Unknown = 0,
    /// Connected; for datagrams, a default peer is set.
    Established = socket::TCP_ESTABLISHED,
    /// SYN sent, no answer yet.
    SynSent = socket::TCP_SYN_SENT,
    /// SYN received, not yet acknowledged.
    SynRecv = socket::TCP_SYN_RECV,
    /// Closed locally, FIN not yet acknowledged.
    FinWait1 = socket::TCP_FIN_WAIT1,
    /// Closed locally, still open at the peer.
    FinWait2 = socket::TCP_FIN_WAIT2,
    /// Closed by both ends, waiting for delayed segments.
    TimeWait = socket::TCP_TIME_WAIT,
    /// Not connected.
    Close = socket::TCP_CLOSE,
    /// Closed by the peer, still open locally.
    CloseWait = socket::TCP_CLOSE_WAIT,
    /// Closed by the peer, then locally; FIN not yet acknowledged.
    LastAck = socket::TCP_LAST_ACK,
    /// Waiting for connections.
    Listen = socket::TCP_LISTEN,
    /// Closed by both ends at once, FIN not yet acknowledged.
    Closing = socket::TCP_CLOSING,
    /// A connection request inside the kernel, reported as `SynRecv`.
    NewSynRecv = socket::TCP_NEW_SYN_RECV,
    /// Bound, but neither listening nor connected; reported as `Close`.
    BoundInactive = socket::TCP_BOUND_INACTIVE,
}

impl State {
    /// The state with this number; `None` for an unknown number.
    pub fn from_number(number: u8) -> Option<Self> {
        STATES.get(usize::from(number)).copied()
    }
}

/// Every state, by its number.
const STATES: [State; 14] = [
    State::Unknown,
    State::Established,
    State::SynSent,
    State::SynRecv,
    State::FinWait1,
    State::FinWait2,
    State::TimeWait,
    State::Close,
    State::CloseWait,
    State::LastAck,
    State::Listen,
    State::Closing,
    State::NewSynRecv,
    State::BoundInactive,
];

bit_set! {
    /// A set of states.
    StateSet(u32) of State
}

impl StateSet {
    /// Every state (`-a`).
    pub const ALL: Self = Self(0x3fff);

    /// The states listed by default: all but listening, closed, `TIME-WAIT` and `SYN-RECV`.
    ///
    /// It includes `BoundInactive`, so that bound but idle TCP sockets are listed too.
    pub const CONN: Self =
        Self::ALL.minus(Self::of(&[State::Listen, State::Close, State::TimeWait, State::SynRecv]));

    /// The states of `-l`: listening, and unconnected, since such datagram sockets can receive
    /// from anyone.
    pub const LISTENING: Self = Self::of(&[State::Listen, State::Close]);

    /// Bound but idle TCP sockets (`-B`).
    pub const BOUND_INACTIVE: Self = Self::only(State::BoundInactive);

    /// The set with this mask; bits beyond the known states are kept.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether the state with this number is in the set; numbers above 31 never are.
    pub const fn contains_number(self, state: u8) -> bool {
        match 1_u32.checked_shl(state as u32) {
            Some(bit) => self.0 & bit != 0,
            None => false,
        }
    }

    /// The states that a word after `state` or `exclude` selects, in upper or lower case;
    /// `None` for an unknown word.
    pub fn by_word(word: &[u8]) -> Option<Self> {
        let (_, set) = WORDS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))?;
        Some(*set)
    }
}

/// All words that `state` and `exclude` accept.  `NewSynRecv` has none, since no kernel
/// reports it.
pub const WORDS: &[(&str, StateSet)] = &[
    ("established", StateSet::only(State::Established)),
    ("syn-sent", StateSet::only(State::SynSent)),
    ("syn-recv", StateSet::only(State::SynRecv)),
    ("syn-rcv", StateSet::only(State::SynRecv)),
    ("fin-wait-1", StateSet::only(State::FinWait1)),
    ("fin-wait-2", StateSet::only(State::FinWait2)),
    ("time-wait", StateSet::only(State::TimeWait)),
    ("close", StateSet::only(State::Close)),
    ("closed", StateSet::only(State::Close)),
    ("unconnected", StateSet::only(State::Close)),
    ("close-wait", StateSet::only(State::CloseWait)),
    ("last-ack", StateSet::only(State::LastAck)),
    ("listening", StateSet::only(State::Listen)),
    ("closing", StateSet::only(State::Closing)),
    ("bound-inactive", StateSet::BOUND_INACTIVE),
    ("unknown", StateSet::only(State::Unknown)),
    ("all", StateSet::ALL),
    ("connected", StateSet::ALL.minus(StateSet::LISTENING)),
    ("synchronized", StateSet::ALL.minus(StateSet::of(&[State::Close, State::Listen, State::SynSent]))),
    ("bucket", StateSet::of(&[State::SynRecv, State::TimeWait])),
    ("big", StateSet::ALL.minus(StateSet::of(&[State::SynRecv, State::TimeWait]))),
];

/// The states: their printed names, and the spellings that conditions accept.
pub const STATE_WORDS: &[Word] = &[
    Word::new(socket::TCP_ESTABLISHED as u32, "ESTAB|established"),
    Word::new(socket::TCP_SYN_SENT as u32, "SYN-SENT"),
    Word::new(socket::TCP_SYN_RECV as u32, "SYN-RECV|syn-rcv"),
    Word::new(socket::TCP_FIN_WAIT1 as u32, "FIN-WAIT-1|fin-wait1"),
    Word::new(socket::TCP_FIN_WAIT2 as u32, "FIN-WAIT-2|fin-wait2"),
    Word::new(socket::TCP_TIME_WAIT as u32, "TIME-WAIT"),
    Word::new(socket::TCP_CLOSE as u32, "UNCONN|close|closed|unconnected"),
    Word::new(socket::TCP_CLOSE_WAIT as u32, "CLOSE-WAIT"),
    Word::new(socket::TCP_LAST_ACK as u32, "LAST-ACK"),
    Word::new(socket::TCP_LISTEN as u32, "LISTEN|listening"),
    Word::new(socket::TCP_CLOSING as u32, "CLOSING"),
    UNDEF,
    UNKNOWN,
];

/// The kernel reports states 12 and 13 as 3 and 7, so they have no name of their own.
const UNDEF: Word = Word::text("UNDEF");
/// Printed for an unknown number.
const UNKNOWN: Word = Word::text("UNKNOWN");
const UNKNOWN_TEXT: &str = UNKNOWN.name();

const TEXTS: [&str; 14] = {
    let mut texts = words::by_place(STATE_WORDS, UNKNOWN_TEXT);
    (texts[12], texts[13]) = (UNDEF.name(), UNDEF.name());
    texts
};

/// The printed name of a state.
pub fn text(state: u8) -> &'static str {
    TEXTS.get(usize::from(state)).copied().unwrap_or(UNKNOWN_TEXT)
}

/// The states of an SCTP association.
///
/// Source: `enum sctp_state` of the kernel's sctp/constants.h; texts are those
/// of `ss` 7.3.
pub const SCTP_WORDS: &[Word] = &[
    Word::new(0, "CLOSED"),
    Word::new(1, "COOKIE_WAIT"),
    Word::new(2, "COOKIE_ECHOED"),
    Word::new(3, "ESTAB|established"),
    Word::new(4, "SHUTDOWN_PENDING"),
    Word::new(5, "SHUTDOWN_SENT"),
    Word::new(6, "SHUTDOWN_RECEIVED"),
    Word::new(7, "ACK_SENT|shutdown-ack-sent"),
    UNKNOWN,
];

/// The printed name of the state of an SCTP association.
pub fn sctp_text(state: u32) -> &'static str {
    const TEXTS: [&str; 8] = words::by_place(SCTP_WORDS, UNKNOWN_TEXT);
    usize::try_from(state).ok().and_then(|state| TEXTS.get(state)).copied().unwrap_or(UNKNOWN_TEXT)
}

/// The names of SMC states, and the states in a request that select each of them.
///
/// SMC has its own numbering.  States 1, 7 and 10 mean the same as in TCP and have the same
/// names; the others have SMC's names.  The kernel does not show whether a socket in `INIT` is
/// connecting or idle, so it is selected as either.  While a connection closes, `PEER...`
/// waits for the peer and `APP...` for the application.
///
/// Source: `enum smc_state` of the kernel's net/smc/smc.h; smcss(8).
const SMC: [(Word, StateSet); 12] = [
    (Word::new(1, "ESTAB|established"), StateSet::only(State::Established)),
    (Word::new(2, "INIT"), StateSet::of(&[State::SynSent, State::Close])),
    (Word::new(7, "UNCONN|close|closed|unconnected"), StateSet::only(State::Close)),
    (Word::new(10, "LISTEN|listening"), StateSet::only(State::Listen)),
    (Word::new(20, "PEERCLOSEWAIT1"), StateSet::only(State::FinWait1)),
    (Word::new(21, "PEERCLOSEWAIT2"), StateSet::only(State::FinWait2)),
    (Word::new(22, "APPCLOSEWAIT1"), StateSet::only(State::CloseWait)),
    (Word::new(23, "APPCLOSEWAIT2"), StateSet::only(State::CloseWait)),
    (Word::new(24, "APPFINCLOSEWAIT"), StateSet::only(State::CloseWait)),
    (Word::new(25, "PEERFINCLOSEWAIT"), StateSet::only(State::LastAck)),
    (Word::new(26, "PEERABORTWAIT"), StateSet::only(State::Closing)),
    (Word::new(27, "PROCESSABORT"), StateSet::only(State::Closing)),
];

/// The names of SMC states.
pub const SMC_WORDS: &[Word] = &{
    let mut words = [UNKNOWN; SMC.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = SMC[at].0;
        at += 1;
    }
    words
};

/// Every printed name of a state, in any family's numbering; the numbers are TCP's.
pub const SHOWN_WORDS: &[Word] = {
    const TABLES: &[&[Word]] = &[STATE_WORDS, SCTP_WORDS, SMC_WORDS];
    const WORDS: [Word; words::union_len(TABLES)] = words::union(TABLES);
    &WORDS
};

/// The printed names of all states that a word such as `connected` selects, in any family's
/// numbering.  `None` for an unknown word, or one that selects a single state and so is a
/// spelling of it.
pub fn shown_group(word: &[u8]) -> Option<Vec<&'static str>> {
    let set = StateSet::by_word(word).filter(|set| set.len() > 1)?;
    let among = |word: &Word| {
        if set == StateSet::ALL {
            return true;
        }
        let smc = SMC.iter().find(|(known, _)| known.name() == word.name());
        match (word.number, smc) {
            (Some(number), _) => set.contains_number(number as u8),
            (None, Some((_, states))) => set.intersects(*states),
            // SCTP states in which an association is being set up or shut down.
            (None, None)
                if words::by_spelling(SCTP_WORDS, word.name().as_bytes())
                    .is_none_or(|known| known.number.is_none()) =>
            {
                false
            }
            (None, None) => match word.name() {
                "CLOSED" => set.contains(State::Close),
                "COOKIE_WAIT" | "COOKIE_ECHOED" => set.contains(State::SynSent),
                _ => set.contains(State::FinWait1),
            },
        }
    };
    Some(SHOWN_WORDS.iter().filter(|word| among(word)).map(Word::name).collect())
}

/// The printed name of the state of an SMC socket.
pub fn smc_text(state: u8) -> &'static str {
    words::by_number(SMC_WORDS, state.into()).map_or(UNKNOWN_TEXT, |word| word.name())
}

/// The states of which at least one must be requested to list an SMC socket in this state.  An
/// unknown number counts as `Unknown`, which the default states include.
pub fn smc_chosen_by(state: u8) -> StateSet {
    let known = SMC.iter().find(|(word, _)| word.number == Some(state.into()));
    known.map_or(StateSet::only(State::Unknown), |(_, states)| *states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_found_by_their_numbers() {
        for (number, state) in STATES.iter().enumerate() {
            assert_eq!(*state as usize, number);
            assert_eq!(State::from_number(number as u8), Some(*state));
        }
        assert_eq!(State::from_number(14), None);
        assert_eq!(State::from_number(u8::MAX), None);
    }

    #[test]
    fn masks_are_those_that_ss_sends() {
        assert_eq!(StateSet::ALL.bits(), 0x3fff);
        assert_eq!(StateSet::CONN.bits(), 0x3b37);
        assert_eq!(StateSet::LISTENING.bits(), 0x480);
        assert_eq!(StateSet::BOUND_INACTIVE.bits(), 0x2000);
    }

    #[test]
    fn words_stand_for_their_states() {
        let bits = |word: &str| StateSet::by_word(word.as_bytes()).map(StateSet::bits);
        let single = [
            ("unknown", 0),
            ("established", 1),
            ("syn-sent", 2),
            ("syn-recv", 3),
            ("syn-rcv", 3),
            ("fin-wait-1", 4),
            ("fin-wait-2", 5),
            ("time-wait", 6),
            ("close", 7),
            ("closed", 7),
            ("unconnected", 7),
            ("close-wait", 8),
            ("last-ack", 9),
            ("listening", 10),
            ("closing", 11),
            ("bound-inactive", 13),
        ];
        for (word, bit) in single {
            assert_eq!(bits(word), Some(1 << bit), "{word}");
        }
        let many = [
            ("all", 0x3fff),
            ("connected", 0x3b7f),
            ("synchronized", 0x3b7b),
            ("bucket", 0x48),
            ("big", 0x3fb7),
        ];
        for (word, mask) in many {
            assert_eq!(bits(word), Some(mask), "{word}");
        }
        assert_eq!(WORDS.len(), single.len() + many.len(), "a word is not tested");
    }

    #[test]
    fn words_of_a_single_state_are_spellings_of_it() {
        for (word, set) in WORDS.iter().filter(|(_, set)| set.len() == 1) {
            let found = words::by_spelling(STATE_WORDS, word.as_bytes()).map(|found| found.name());
            let number = set.bits().trailing_zeros() as u8;
            // No kernel reports `bound-inactive`, so it is not a spelling of a printed name.
            assert_eq!(found, (*word != "bound-inactive").then(|| text(number)), "{word}");
        }
        for spelling in STATE_WORDS.iter().flat_map(Word::spellings) {
            let shown = words::by_spelling(SHOWN_WORDS, spelling.as_bytes());
            assert!(shown.is_some_and(|shown| shown.number.is_some() || shown.is(spelling.as_bytes())));
        }
    }

    #[test]
    fn case_is_ignored_and_nothing_else() {
        assert_eq!(StateSet::by_word(b"TIME-Wait"), StateSet::by_word(b"time-wait"));
        for word in ["", "listen", "estab", "new-syn-recv", "fin-wait-{1,2}", " all", "all\0"] {
            assert_eq!(StateSet::by_word(word.as_bytes()), None, "{word:?}");
        }
        assert_eq!(StateSet::by_word(b"\xff"), None);
    }

    #[test]
    fn every_number_has_a_text() {
        assert_eq!((text(1), text(7), text(10), text(11)), ("ESTAB", "UNCONN", "LISTEN", "CLOSING"));
        assert_eq!((text(12), text(13)), ("UNDEF", "UNDEF"));
        for state in [0].into_iter().chain(14..=u8::MAX) {
            assert_eq!(text(state), "UNKNOWN", "{state}");
        }
    }

    #[test]
    fn associations_have_states_of_their_own() {
        assert_eq!((sctp_text(0), sctp_text(3), sctp_text(7)), ("CLOSED", "ESTAB", "ACK_SENT"));
        assert_eq!((sctp_text(8), sctp_text(u32::MAX)), ("UNKNOWN", "UNKNOWN"));
    }

    #[test]
    fn smc_has_states_of_its_own() {
        assert_eq!([1, 7, 10].map(smc_text), [text(1), text(7), text(10)]);
        assert_eq!([2, 20, 27, 3].map(smc_text), ["INIT", "PEERCLOSEWAIT1", "PROCESSABORT", "UNKNOWN"]);
        assert!(
            smc_chosen_by(2).contains(State::SynSent) && smc_chosen_by(2).intersects(StateSet::LISTENING)
        );
        for state in 0..=u8::MAX {
            let chosen = smc_chosen_by(state);
            assert!(!chosen.is_empty() && chosen.minus(StateSet::ALL).is_empty(), "{state}");
        }
    }

    #[test]
    fn numbers_beyond_the_mask_are_no_members() {
        for state in 0..=u8::MAX {
            assert_eq!(StateSet::ALL.contains_number(state), state < 14, "{state}");
            assert_eq!(StateSet::from_bits(u32::MAX).contains_number(state), state < 32, "{state}");
        }
    }

    #[test]
    fn sets_combine_as_sets_do() {
        let set = StateSet::LISTENING.union(StateSet::BOUND_INACTIVE);
        assert_eq!(set.len(), 3);
        assert_eq!(set.minus(StateSet::LISTENING), StateSet::BOUND_INACTIVE);
        assert_eq!(set.intersection(StateSet::LISTENING), StateSet::LISTENING);
        assert!(set.contains(State::Close) && !set.contains(State::Established));
        assert!(set.minus(set).is_empty() && !set.intersects(StateSet::CONN.minus(set)));
    }
}
