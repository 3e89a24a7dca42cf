//! How a connection ended, as far as the last row of its socket shows it.
//!
//! The kernel tells of an end with the state CLOSE and without the error.  What it
//! does tell are counters and what was not acknowledged ([`Ending::of`]); together
//! with the state in which the socket was seen last they say whether both sides took
//! leave in order, and who did so first.
//!
//! *Sequence numbers* are what this rests on: SYN and FIN take one each and are no
//! data.  So `acknowledged + unacknowledged - data` is how many of the two we sent:
//! the SYN of a socket that made its connection (that of one that accepted it is sent
//! before there is a socket), and the FIN.
//!
//! *Who closed first* shows in the state that was seen last, in that no FIN arrived at
//! all, and in what is left of the connection in TIME-WAIT: that is the side which
//! closed first (or both).  Nothing of it shows on the other side of a connection to
//! another machine: that ends as [`Ending::InOrder`].
//!
//! Invariant: what the numbers leave open is [`Ending::InOrder`] or
//! [`Ending::Unknown`], never a guess.
//!
//! What `sock_diag` destroyed may look like one that a peer reset, or that timed out: the
//! error (ECONNABORTED) is in no message.
//!
//! Source: RFC 9293, section 3.6; seen on Linux 6.18: a socket that was aborted by
//! `SO_LINGER` with no time, by `sock_diag` or by a refused `connect` has lost its
//! remote port and its counters, but neither the remote address nor what was measured
//! on the way (`tcpi_min_rtt`, `tcpi_snd_wnd`); one that a peer reset has lost nothing,
//! nor has one whose refused `connect` did not wait.

use sockdiag_wire::tcp_info::TcpInfo;

use crate::model::words::Word;
use crate::model::{Addr, Endpoint, MessageKind, Socket, State};

/// The timer of a socket of which only TIME-WAIT is left (`inet_twsk_diag_fill`).
pub const TIMER_TIME_WAIT: u8 = 3;

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order, and we closed first (or both at once).
    ByUs,
    /// In order, and the peer closed first.
    ByPeer,
    /// In order; who closed first is not known.
    InOrder,
    /// By a reset, of either side.
    Reset,
    /// What was sent again and again, or a probe, was not answered.
    Timeout,
    /// We gave it up without a goodbye.
    Aborted,
    /// It was never connected: the connection was refused, or given up.
    Failed,
    /// The row leaves open how.
    Unknown,
}

/// The words of the field that tells it.
pub(crate) const ENDINGS: &[Word] = &[
    Word::text("closed-by-us"),
    Word::text("closed-by-peer"),
    Word::text("closed"),
    Word::text("reset"),
    Word::text("timeout"),
    Word::text("aborted"),
    Word::text("failed"),
    Word::text("ended"),
];

/// What was known of a socket that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastSeen {
    /// The number of the state in which it was seen last; `None` if it never was.
    pub state: Option<u8>,
    /// Whether it made its connection (`true`) or accepted it, where that is known.
    pub connected: Option<bool>,
    /// Whether we closed first (`true`) or the peer did, where what is left of the
    /// connection in TIME-WAIT tells.
    pub closed_first: Option<bool>,
    /// Whether the kernel told of its end without the remote port, which the row has from
    /// an earlier one.
    pub is_cut: bool,
}

impl Ending {
    /// Its word.
    pub fn word(self) -> &'static str {
        ENDINGS.get(self as usize).map_or("", Word::name)
    }

    /// How a socket ended of which this is the last row, and which received so many
    /// bytes since it was seen last, where that is known: a FIN counts as one.
    pub fn of(socket: &Socket<'_>, seen: LastSeen, received: Option<u64>) -> Self {
        let state = seen.state.and_then(State::from_number);
        // Neither has a connection that could end in another way.
        let Some(info) = socket.tcp_info() else { return Self::InOrder };
        if matches!(state, Some(State::Listen | State::Close | State::BoundInactive)) {
            return Self::InOrder;
        }
        if state.is_none() && was_unconnected(socket) {
            return Self::InOrder;
        }
        let was_made = was_made(info);
        let is_cut = seen.is_cut || socket.remote.port == 0;
        if state == Some(State::SynSent) && is_cut || was_made == Some(false) {
            return Self::Failed;
        }
        if is_cut {
            return if state.is_some() || was_made.is_some() { Self::Aborted } else { Self::Unknown };
        }
        match seen.closed_first {
            Some(true) => return Self::ByUs,
            Some(false) => return Self::ByPeer,
            None => {}
        }
        if info.probes().is_some_and(|probes| probes > 0) {
            return Self::Timeout;
        }
        if socket.send_q > 0 {
            let again = info.retransmits().is_some_and(|times| times > 0);
            return if again { Self::Timeout } else { Self::Reset };
        }
        // Open then, and nothing came since, or nothing at all: not even the peer's FIN.
        let no_fin =
            state == Some(State::Established) && received == Some(0) || info.bytes_received() == Some(0);
        let first = Self::first(state);
        match was_fin_acknowledged(socket, info, seen.connected) {
            Some(true) => first.unwrap_or(if no_fin { Self::ByUs } else { Self::InOrder }),
            Some(false) => Self::Reset,
            None => first.unwrap_or(Self::Unknown),
        }
    }

    /// How a socket ended that is gone without a last row.
    pub fn of_state(state: u8) -> Self {
        Self::first(State::from_number(state)).unwrap_or(Self::Unknown)
    }

    /// Who closed first, by the state in which it was seen last.
    fn first(state: Option<State>) -> Option<Self> {
        match state? {
            State::FinWait1 | State::FinWait2 | State::Closing | State::TimeWait => Some(Self::ByUs),
            State::CloseWait | State::LastAck => Some(Self::ByPeer),
            _ => None,
        }
    }
}

/// Whether an ended socket had no other end: it listened, or was never used.
pub fn was_unconnected(socket: &Socket<'_>) -> bool {
    let Endpoint { addr, port } = socket.remote;
    port == 0 && (addr.is_unspecified() || matches!(addr, Addr::Number(_) | Addr::None))
}

/// Whether the connection of a socket that ended was made, by what is measured on one
/// that is; `None` where the kernel does not tell.
pub fn was_made(info: TcpInfo<'_>) -> Option<bool> {
    let window = info.snd_wnd()?;
    let has_trip = info.min_rtt_us().is_some_and(|trip| !matches!(trip, 0 | u32::MAX));
    let arrived = info.delivered().is_some_and(|segments| segments > 0);
    Some(window > 0 || has_trip || arrived || info.bytes_acked().is_some_and(|bytes| bytes > 0))
}

/// Whether this is what is left of a connection: we closed it, and wait for strays
/// (TIME-WAIT) or for the peer to close, too (FIN-WAIT-2).
pub fn is_time_wait(socket: &Socket<'_>) -> bool {
    socket.timer.kind == TIMER_TIME_WAIT && socket.message_kind() == MessageKind::Inet
}

/// Whether an established socket made its connection, or else accepted it; `None`
/// where the counters do not tell.
pub fn made_connection(socket: &Socket<'_>) -> Option<bool> {
    if socket.state != State::Established as u8 {
        return None;
    }
    // No FIN was sent yet.
    match beside_data(socket, socket.tcp_info()?)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Sequence numbers that were sent and are no data: of SYN and FIN.
fn beside_data(socket: &Socket<'_>, info: TcpInfo<'_>) -> Option<u64> {
    let data = info.bytes_sent()?.checked_sub(info.bytes_retrans()?)?;
    let waiting: u64 = info.notsent_bytes()?.into();
    let all = info.bytes_acked()?.checked_add(socket.send_q.into())?;
    all.checked_sub(data)?.checked_sub(waiting)
}

/// Whether the peer acknowledged our FIN, of a socket whose peer has acknowledged
/// everything; `None` where the counters do not tell.
fn was_fin_acknowledged(socket: &Socket<'_>, info: TcpInfo<'_>, connected: Option<bool>) -> Option<bool> {
    // The segment of the handshake counts as delivered, and a FIN without data does;
    // neither is a segment with data.
    let delivered = || info.delivered()?.checked_sub(info.data_segs_out()?);
    match (beside_data(socket, info)?, connected) {
        (0, _) | (1, Some(true)) => Some(false),
        (1, Some(false)) | (2, _) => Some(true),
        (1, None) if info.total_retrans() == Some(0) && delivered() >= Some(2) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sockdiag_wire::attr::put;
    use sockdiag_wire::inet_diag::INET_DIAG_INFO;

    use super::*;
    use crate::model::{Origin, Record, SourceKind, Table};

    /// What the kernel told of an end: the remote port, what waits to be acknowledged,
    /// and members of `tcp_info`.
    #[derive(Clone, Copy, Default)]
    struct Last {
        port: u16,
        send_q: u32,
        retransmits: u8,
        probes: u8,
        acked: u64,
        sent: u64,
        retrans: u64,
        notsent: u32,
        data_segs: u32,
        delivered: u32,
        total_retrans: u32,
        received: u64,
        window: u32,
        /// The last number of the remote address.
        host: u8,
    }

    impl Last {
        fn reply(&self, state: u8) -> Vec<u8> {
            let mut bytes = vec![0; 72];
            (bytes[0], bytes[1]) = (2, state);
            bytes[6..8].copy_from_slice(&self.port.to_be_bytes());
            bytes[27] = self.host;
            bytes[60..64].copy_from_slice(&self.send_q.to_ne_bytes());
            let mut info = [0; 280];
            (info[2], info[3]) = (self.retransmits, self.probes);
            info[100..104].copy_from_slice(&self.total_retrans.to_ne_bytes());
            info[120..128].copy_from_slice(&self.acked.to_ne_bytes());
            info[128..136].copy_from_slice(&self.received.to_ne_bytes());
            info[228..232].copy_from_slice(&self.window.to_ne_bytes());
            info[144..148].copy_from_slice(&self.notsent.to_ne_bytes());
            info[156..160].copy_from_slice(&self.data_segs.to_ne_bytes());
            info[192..196].copy_from_slice(&self.delivered.to_ne_bytes());
            info[200..208].copy_from_slice(&self.sent.to_ne_bytes());
            info[208..216].copy_from_slice(&self.retrans.to_ne_bytes());
            put(&mut bytes, INET_DIAG_INFO, &info);
            bytes
        }

        fn with<T>(&self, state: u8, look: impl FnOnce(&Socket<'_>) -> T) -> T {
            let bytes = self.reply(state);
            let origin = Origin::of(Table::Tcp, SourceKind::Event);
            look(&Socket::decode(Record { origin, bytes: &bytes }).expect("a socket"))
        }

        fn ending(&self, state: Option<State>, connected: Option<bool>) -> &'static str {
            let seen = LastSeen { state: state.map(|state| state as u8), connected, ..LastSeen::default() };
            self.with(State::Close as u8, |socket| Ending::of(socket, seen, Some(1)).word())
        }
    }

    /// The numbers are those that a kernel 6.18 sent of such ends.
    #[test]
    fn ends_are_told_apart() {
        let to = Last { port: 80, received: 9, window: 65_536, host: 1, ..Last::default() };
        let active = Last { acked: 102, sent: 100, data_segs: 1, delivered: 3, ..to };
        let passive = Last { acked: 51, sent: 50, data_segs: 1, delivered: 3, ..to };
        for last in [active, passive, Last { acked: 1, delivered: 2, ..to }] {
            assert_eq!(last.ending(None, None), "closed");
            assert_eq!(last.ending(Some(State::FinWait2), None), "closed-by-us");
            assert_eq!(last.ending(Some(State::LastAck), None), "closed-by-peer");
        }
        // A FIN that went with data is known by who made the connection.
        let joined = Last { acked: 51, sent: 50, data_segs: 1, delivered: 2, ..to };
        assert_eq!(joined.ending(Some(State::Established), Some(false)), "closed");
        assert_eq!(joined.ending(Some(State::Established), Some(true)), "reset");
        assert_eq!(joined.ending(None, None), "ended");
        // It was open, and neither data nor a FIN came since.
        let seen =
            LastSeen { state: Some(State::Established as u8), connected: Some(true), ..LastSeen::default() };
        for (last, received, want) in [
            (active, Some(0), Ending::ByUs),
            (active, Some(1), Ending::InOrder),
            (active, None, Ending::InOrder),
            (Last { acked: 101, ..active }, Some(0), Ending::Reset),
        ] {
            assert_eq!(last.with(7, |socket| Ending::of(socket, seen, received)), want, "{received:?}");
        }
        // Reset by the peer: no FIN, or one that was not acknowledged.
        assert_eq!(Last { delivered: 1, ..to }.ending(None, None), "reset");
        assert_eq!(Last { send_q: 1, delivered: 1, ..to }.ending(None, None), "reset");
        assert_eq!(
            Last { acked: 100, sent: 100, data_segs: 1, delivered: 2, ..to }.ending(None, None),
            "reset"
        );
        let lost = Last { acked: 11, sent: 50, retrans: 30, send_q: 10, total_retrans: 3, ..to };
        assert_eq!(Last { retransmits: 2, ..lost }.ending(None, None), "timeout");
        assert_eq!(lost.ending(None, None), "reset");
        assert_eq!(Last { probes: 9, acked: 1, ..to }.ending(None, None), "timeout");
        // No FIN ever came, so we closed first; unless that was no close.
        let silent = Last { received: 0, ..active };
        assert_eq!(silent.ending(None, None), "closed-by-us");
        assert_eq!(Last { acked: 101, ..silent }.ending(Some(State::Established), Some(true)), "reset");
        // What is left in TIME-WAIT is of the side that closed first.
        for (closed_first, want) in [(true, Ending::ByUs), (false, Ending::ByPeer)] {
            let seen = LastSeen { closed_first: Some(closed_first), ..LastSeen::default() };
            assert_eq!(active.with(7, |socket| Ending::of(socket, seen, Some(1))), want);
        }
        // Those that lost port and counters, and how those of a refused connect differ.
        let aborted = Last { send_q: 65_538, notsent: 65_538, window: 9, host: 1, ..Last::default() };
        assert_eq!(aborted.ending(Some(State::Established), None), "aborted");
        assert_eq!(aborted.ending(Some(State::SynSent), None), "failed");
        assert_eq!(aborted.ending(None, None), "aborted");
        let restored = Last { port: 80, ..aborted };
        let seen = LastSeen { state: Some(State::Established as u8), is_cut: true, ..LastSeen::default() };
        assert_eq!(restored.with(7, |socket| Ending::of(socket, seen, Some(0)).word()), "aborted");
        let refused = Last { send_q: 3, notsent: 2, window: 0, ..aborted };
        assert_eq!(
            (refused.ending(None, None), refused.ending(Some(State::SynSent), None)),
            ("failed", "failed")
        );
        let in_background = Last { port: 80, send_q: 1, notsent: 0, ..refused };
        assert_eq!(in_background.ending(None, None), "failed");
        assert_eq!(Last { retransmits: 6, ..in_background }.ending(None, None), "failed");
        // Those that never had another end.
        assert_eq!(Last::default().ending(None, None), "closed");
        assert_eq!(Last::default().ending(Some(State::Listen), None), "closed");
        assert_eq!(Last::default().ending(Some(State::Close), None), "closed");
    }

    #[test]
    fn an_old_kernel_tells_what_the_state_does() {
        let bytes = Last { port: 80, acked: 5, ..Last::default() }.reply(7);
        // The message, and so much of the attribute: before `tcpi_bytes_sent`.
        let mut short = bytes[..72].to_vec();
        put(&mut short, INET_DIAG_INFO, &bytes[76..76 + 192]);
        let record = Record { origin: Origin::of(Table::Tcp, SourceKind::Event), bytes: &short };
        let socket = Socket::decode(record).expect("a socket");
        let of = |state: Option<State>| {
            let state = state.map(|state| state as u8);
            let seen = LastSeen { state, ..LastSeen::default() };
            Ending::of(&socket, seen, Some(0))
        };
        assert_eq!((of(None), of(Some(State::Established))), (Ending::Unknown, Ending::Unknown));
        assert_eq!(of(Some(State::CloseWait)), Ending::ByPeer);
        assert_eq!(Ending::of_state(State::FinWait1 as u8), Ending::ByUs);
        assert_eq!(Ending::of_state(State::Established as u8), Ending::Unknown);
    }

    #[test]
    fn who_made_a_connection_shows_while_it_stands() {
        let to = Last { port: 80, ..Last::default() };
        let made = |last: Last, state: State| last.with(state as u8, made_connection);
        let flying = Last { acked: 10, sent: 90, retrans: 20, send_q: 70, notsent: 10, ..to };
        assert_eq!(made(flying, State::Established), Some(false));
        assert_eq!(made(Last { acked: 11, ..flying }, State::Established), Some(true));
        assert_eq!(made(Last { acked: 12, ..flying }, State::Established), None);
        assert_eq!(made(Last { acked: 9, ..flying }, State::Established), None, "never negative");
        assert_eq!(made(flying, State::FinWait1), None, "its FIN may be sent");
    }

    #[test]
    fn every_ending_has_a_word() {
        for (number, word) in ENDINGS.iter().enumerate() {
            assert!(!word.name().is_empty(), "{number}");
        }
        assert_eq!(ENDINGS.len(), Ending::Unknown as usize + 1);
        assert_eq!((Ending::ByUs.word(), Ending::Unknown.word()), ("closed-by-us", "ended"));
    }
}
