//! How a connection ended, as far as the last row of its socket shows.
//!
//! The kernel reports a destroyed socket with the state CLOSE and without its error.  It does
//! report counters and the amount of unacknowledged data ([`Ending::of`]).  Together with the
//! state in which the socket was last seen, they show whether both sides closed in order, and
//! which side closed first.
//!
//! The analysis relies on *sequence numbers*: SYN and FIN take one each and are not data.  So
//! `acknowledged + unacknowledged - data` is the number of SYNs and FINs that this socket
//! sent: the SYN if it connected (an accepted connection's SYN-ACK is sent before its socket
//! exists), and the FIN.
//!
//! *Who closed first* follows from the state last seen, from the fact that no FIN arrived at
//! all, or from a remaining TIME-WAIT socket, which belongs to the side that closed first (or
//! to both).  If the peer is another machine and closed first, nothing here shows it, and the
//! result is [`Ending::InOrder`].
//!
//! Invariant: when the numbers are ambiguous, the result is [`Ending::InOrder`] or
//! [`Ending::Unknown`], never a guess.
//!
//! A socket that `sock_diag` destroyed may look like one that was reset by the peer or timed
//! out: no message contains its error (ECONNABORTED).
//!
//! Source: RFC 9293, section 3.6; observed on Linux 6.18: a socket that was aborted by
//! `SO_LINGER` with zero time, by `sock_diag` or by a refused `connect` has lost its remote
//! port and its counters, but keeps the remote address and the measurements (`tcpi_min_rtt`,
//! `tcpi_snd_wnd`).  A socket that the peer reset has lost nothing, nor has one whose
//! non-blocking `connect` was refused.

use sockdiag_wire::tcp_info::TcpInfo;

use crate::model::words::Word;
use crate::model::{Addr, Endpoint, MessageKind, Socket, State};

/// The timer kind of a socket that only remains as TIME-WAIT (`inet_twsk_diag_fill`).
pub const TIMER_TIME_WAIT: u8 = 3;

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order; we closed first (or both sides at once).
    ByUs,
    /// In order; the peer closed first.
    ByPeer,
    /// In order; it is not known who closed first.
    InOrder,
    /// By a reset from either side.
    Reset,
    /// Retransmissions or probes were not answered.
    Timeout,
    /// We aborted the connection without a FIN.
    Aborted,
    /// Never connected: the connection was refused or given up.
    Failed,
    /// The row does not show how.
    Unknown,
}

/// The words of the field that reports the ending.
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

/// What was known about a socket before it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastSeen {
    /// The number of the state in which it was last seen; `None` if it was never seen.
    pub state: Option<u8>,
    /// Whether it connected (`true`) or accepted the connection (`false`), if known.
    pub connected: Option<bool>,
    /// Whether we closed first (`true`) or the peer did (`false`), if a remaining TIME-WAIT
    /// socket shows it.
    pub closed_first: Option<bool>,
    /// Whether the kernel's message lacked the remote port, so that the row has it from an
    /// earlier row.
    pub is_cut: bool,
}

impl Ending {
    /// The word for this ending.
    pub fn word(self) -> &'static str {
        ENDINGS.get(self as usize).map_or("", Word::name)
    }

    /// How the socket of this last row ended.  `received` is the number of bytes received
    /// since it was last seen, if known; a FIN counts as one byte.
    pub fn of(socket: &Socket<'_>, seen: LastSeen, received: Option<u64>) -> Self {
        let state = seen.state.and_then(State::from_number);
        // A socket without `tcp_info` or without a connection cannot end in another way.
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
        // It was open and received nothing since, or never received anything: so no FIN from
        // the peer either.
        let no_fin =
            state == Some(State::Established) && received == Some(0) || info.bytes_received() == Some(0);
        let first = Self::first(state);
        match was_fin_acknowledged(socket, info, seen.connected) {
            Some(true) => first.unwrap_or(if no_fin { Self::ByUs } else { Self::InOrder }),
            Some(false) => Self::Reset,
            None => first.unwrap_or(Self::Unknown),
        }
    }

    /// How a socket ended that disappeared without a last row.
    pub fn of_state(state: u8) -> Self {
        Self::first(State::from_number(state)).unwrap_or(Self::Unknown)
    }

    /// Who closed first, according to the state last seen.
    fn first(state: Option<State>) -> Option<Self> {
        match state? {
            State::FinWait1 | State::FinWait2 | State::Closing | State::TimeWait => Some(Self::ByUs),
            State::CloseWait | State::LastAck => Some(Self::ByPeer),
            _ => None,
        }
    }
}

/// Whether an ended socket had no peer: it was listening, or was never used.
pub fn was_unconnected(socket: &Socket<'_>) -> bool {
    let Endpoint { addr, port } = socket.remote;
    port == 0 && (addr.is_unspecified() || matches!(addr, Addr::Number(_) | Addr::None))
}

/// Whether an ended socket was ever connected, judged by measurements that only a connection
/// makes; `None` if the kernel did not report them.
pub fn was_made(info: TcpInfo<'_>) -> Option<bool> {
    let window = info.snd_wnd()?;
    let has_trip = info.min_rtt_us().is_some_and(|trip| !matches!(trip, 0 | u32::MAX));
    let arrived = info.delivered().is_some_and(|segments| segments > 0);
    Some(window > 0 || has_trip || arrived || info.bytes_acked().is_some_and(|bytes| bytes > 0))
}

/// Whether only the remains of a connection are left: we closed it, and the kernel waits for
/// delayed segments (TIME-WAIT) or for the peer's FIN (FIN-WAIT-2).
pub fn is_time_wait(socket: &Socket<'_>) -> bool {
    socket.timer.kind == TIMER_TIME_WAIT && socket.message_kind() == MessageKind::Inet
}

/// Whether an established socket connected (`true`) or accepted its connection (`false`);
/// `None` if the counters do not show it.
pub fn made_connection(socket: &Socket<'_>) -> Option<bool> {
    if socket.state != State::Established as u8 {
        return None;
    }
    // An established socket has not sent a FIN, so only a SYN can count here.
    match beside_data(socket, socket.tcp_info()?)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// The number of sent sequence numbers that are not data: those of SYN and FIN.
fn beside_data(socket: &Socket<'_>, info: TcpInfo<'_>) -> Option<u64> {
    let data = info.bytes_sent()?.checked_sub(info.bytes_retrans()?)?;
    let waiting: u64 = info.notsent_bytes()?.into();
    let all = info.bytes_acked()?.checked_add(socket.send_q.into())?;
    all.checked_sub(data)?.checked_sub(waiting)
}

/// Whether the peer acknowledged our FIN, given that it acknowledged everything; `None` if the
/// counters do not show it.
fn was_fin_acknowledged(socket: &Socket<'_>, info: TcpInfo<'_>, connected: Option<bool>) -> Option<bool> {
    // The handshake's segment and a FIN without data count as delivered segments, but not as
    // data segments.
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

    /// What the kernel reported of an ended socket: the remote port, the unacknowledged bytes,
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
        /// The last octet of the remote address.
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

    /// The numbers are those that Linux 6.18 sent for such endings.
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
        // If the FIN was sent with data, only the direction of the connection shows it.
        let joined = Last { acked: 51, sent: 50, data_segs: 1, delivered: 2, ..to };
        assert_eq!(joined.ending(Some(State::Established), Some(false)), "closed");
        assert_eq!(joined.ending(Some(State::Established), Some(true)), "reset");
        assert_eq!(joined.ending(None, None), "ended");
        // The connection was open, and neither data nor a FIN arrived since.
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
        // Reset by the peer: no FIN was sent, or it was not acknowledged.
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
        // No FIN ever arrived, so we closed first, unless the connection was reset.
        let silent = Last { received: 0, ..active };
        assert_eq!(silent.ending(None, None), "closed-by-us");
        assert_eq!(Last { acked: 101, ..silent }.ending(Some(State::Established), Some(true)), "reset");
        // A remaining TIME-WAIT socket belongs to the side that closed first.
        for (closed_first, want) in [(true, Ending::ByUs), (false, Ending::ByPeer)] {
            let seen = LastSeen { closed_first: Some(closed_first), ..LastSeen::default() };
            assert_eq!(active.with(7, |socket| Ending::of(socket, seen, Some(1))), want);
        }
        // Sockets that lost their port and counters; a refused connect differs in its
        // measurements.
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
        // Sockets that never had a peer.
        assert_eq!(Last::default().ending(None, None), "closed");
        assert_eq!(Last::default().ending(Some(State::Listen), None), "closed");
        assert_eq!(Last::default().ending(Some(State::Close), None), "closed");
    }

    #[test]
    fn an_old_kernel_tells_what_the_state_does() {
        let bytes = Last { port: 80, acked: 5, ..Last::default() }.reply(7);
        // An attribute that is cut before `tcpi_bytes_sent`.
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
