//! The condition to wait for: the states it concerns, and when it holds.

use clap::ArgMatches;
use sockdiag::model::{State, StateSet, Table, TableSet};

/// A condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Something listens.
    Listening,
    /// There are that many connections.
    Established(u64),
    /// There is no socket.
    Gone,
    /// There is no connection; listeners may stay.
    Drained,
}

/// Tables whose sockets must be in the state LISTEN to accept peers.  Sockets of other tables
/// can be reached while they are unconnected.
const CONNECTED: TableSet = TableSet::of(&[
    Table::Tcp,
    Table::Mptcp,
    Table::Sctp,
    Table::Dccp,
    Table::Smc,
    Table::UnixStream,
    Table::UnixSeqpacket,
    Table::VsockStream,
]);

impl Condition {
    /// The condition from the command line; the default is listening.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        if let Some(number) = matches.get_one::<u64>("until-established") {
            Self::Established(*number)
        } else if matches.get_flag("until-gone") {
            Self::Gone
        } else if matches.get_flag("until-drained") {
            Self::Drained
        } else {
            Self::Listening
        }
    }

    /// The states that the condition concerns.
    ///
    /// Closed means that the full socket is freed, so a TIME-WAIT record does not count, nor
    /// does the record of an unfinished handshake.  TCP sockets that are only bound do not
    /// count either: listing them takes time for each connection of the machine.
    pub(crate) fn states(self, tables: TableSet) -> StateSet {
        const RECORDS: StateSet =
            StateSet::of(&[State::TimeWait, State::SynRecv, State::NewSynRecv, State::BoundInactive]);
        match self {
            // If CLOSE were requested as well, the kernel would search the TCP connections, too.
            Self::Listening if tables.minus(CONNECTED).is_empty() => StateSet::only(State::Listen),
            Self::Listening => StateSet::LISTENING,
            Self::Established(_) => StateSet::only(State::Established),
            Self::Gone => StateSet::ALL.minus(RECORDS),
            Self::Drained => StateSet::ALL.minus(RECORDS).minus(StateSet::LISTENING),
        }
    }

    /// Whether the condition asserts that something is absent, so that everything must have
    /// been visible.
    pub(crate) fn is_of_absence(self) -> bool {
        matches!(self, Self::Gone | Self::Drained)
    }

    /// How many rows are enough to decide.
    pub(crate) fn enough(self) -> u64 {
        match self {
            Self::Established(number) => number,
            Self::Listening | Self::Gone | Self::Drained => 1,
        }
    }

    /// Whether it holds for this number of matching rows; counting may stop at
    /// [`Condition::enough`].
    pub(crate) fn holds(self, rows: u64) -> bool {
        (rows >= self.enough()) != self.is_of_absence()
    }

    /// Describes the current situation if the condition does not hold.
    pub(crate) fn missed(self, rows: u64) -> String {
        match self {
            Self::Listening => "no socket listens".to_owned(),
            Self::Established(number) => format!("{rows} of {number} connections"),
            Self::Gone => "a socket still exists".to_owned(),
            Self::Drained => "a connection still exists".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_holds_by_the_number_of_rows() {
        for (condition, rows, holds) in [
            (Condition::Listening, 0, false),
            (Condition::Listening, 1, true),
            (Condition::Established(3), 2, false),
            (Condition::Established(3), 3, true),
            (Condition::Gone, 0, true),
            (Condition::Gone, 1, false),
            (Condition::Drained, 0, true),
            (Condition::Drained, 1, false),
        ] {
            assert_eq!(condition.holds(rows), holds, "{condition:?} {rows}");
        }
    }

    #[test]
    fn states_are_those_of_the_condition() {
        let tcp = TableSet::only(Table::Tcp);
        assert_eq!(Condition::Listening.states(tcp), StateSet::only(State::Listen));
        assert_eq!(Condition::Listening.states(TableSet::of(&[Table::Tcp, Table::Udp])), StateSet::LISTENING);
        for (condition, state, counts) in [
            (Condition::Gone, State::Listen, true),
            (Condition::Gone, State::Close, true),
            (Condition::Gone, State::CloseWait, true),
            (Condition::Gone, State::TimeWait, false),
            (Condition::Drained, State::Listen, false),
            (Condition::Drained, State::FinWait1, true),
            (Condition::Drained, State::TimeWait, false),
        ] {
            assert_eq!(condition.states(tcp).contains(state), counts, "{condition:?} {state:?}");
        }
    }
}
