//! Sinks for rows, and how a sink reports that it has enough or has failed.
//!
//! Invariant: a sink gets no row after it returned `Break` or failed; its first error is
//! returned to the caller of the poll.

use std::cell::RefCell;
use std::ops::ControlFlow;

use crate::model::{Netns, Row};
use crate::notice::Notice;
use crate::source::DumpError;

/// Receives the rows of a poll, and the notices between them.
pub trait Sink {
    /// Why a row could not be taken.
    type Error;

    /// Takes one row, which is only borrowed.  `Break` ends the poll: the sink has enough.
    ///
    /// # Errors
    /// The error of the sink; the poll stops there and returns it.
    fn row(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>, Self::Error>;

    /// Writes out what the sink buffered; called after the last row of the poll.
    ///
    /// # Errors
    /// As [`Sink::row`].
    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Receives a notice, between the rows where it arose.  A notice that this returns, as
    /// the default does, is kept in the [`Outcome`](crate::Outcome).
    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        Some(notice)
    }

    /// Sets the network namespace of the notices and failures that follow; `None` if they
    /// belong to none, or if no namespace was named.
    fn namespace(&mut self, of: Option<&Netns>) {
        let _ = of;
    }

    /// Receives the failure of a table that could not be read, or not to its end.  `Break`
    /// ends the poll before the next table; rows that are held still come.
    fn failure(&mut self, failure: &DumpError) -> ControlFlow<()> {
        let _ = failure;
        ControlFlow::Continue(())
    }
}

/// A sink as the listing uses it, without its error type.
pub(crate) trait Rows {
    /// Takes a row; `Break` if no more are wanted.
    fn row(&self, row: &Row<'_>) -> ControlFlow<()>;
    /// Called after the last row.
    fn flush(&self);
    /// Passes on a notice.
    fn notice(&self, notice: Notice);
    /// Sets the namespace of the following notices.
    fn namespace(&self, of: Option<&Netns>);
    /// Passes on the failure of a table.
    fn failure(&self, failure: &DumpError) -> ControlFlow<()>;
    /// Whether no more rows are wanted.
    fn has_enough(&self) -> bool;
}

/// How many notices an outcome holds; further ones are only counted.
const MOST_NOTICES: usize = 1000;

/// Keeps a sink's first error, and counts its rows.
pub(crate) struct Guard<'s, S: Sink>(RefCell<Guarded<'s, S>>);

struct Guarded<'s, S: Sink> {
    sink: &'s mut S,
    /// Whether rows continue, unseen by the sink, after an error.
    goes_on: bool,
    error: Option<S::Error>,
    /// The return value for further rows, once the sink takes no more.
    ended: Option<ControlFlow<()>>,
    rows: u64,
    notices: Vec<Notice>,
    more_notices: u64,
}

/// The result of a guard.
pub(crate) struct Seen<E> {
    /// How many rows the sink took.
    pub rows: u64,
    /// The sink's first error.
    pub error: Option<E>,
    /// Notices that the sink did not keep.
    pub notices: Vec<Notice>,
    /// How many more notices there were.
    pub more_notices: u64,
}

impl<'s, S: Sink> Guard<'s, S> {
    /// `goes_on`: rows have an effect beyond being shown (sockets are destroyed), so an
    /// error of the sink must not end the poll.
    pub(crate) fn new(sink: &'s mut S, goes_on: bool) -> Self {
        let (notices, more_notices) = (Vec::new(), 0);
        let guarded = Guarded { sink, goes_on, error: None, ended: None, rows: 0, notices, more_notices };
        Self(RefCell::new(guarded))
    }

    pub(crate) fn into_seen(self) -> Seen<S::Error> {
        let Guarded { error, rows, notices, more_notices, .. } = self.0.into_inner();
        Seen { rows, error, notices, more_notices }
    }
}

impl<S: Sink> Rows for Guard<'_, S> {
    #[inline]
    fn row(&self, row: &Row<'_>) -> ControlFlow<()> {
        let this = &mut *self.0.borrow_mut();
        // Rows may follow the last one: from other tables, or held ones.
        if let Some(ended) = this.ended {
            return ended;
        }
        match this.sink.row(row) {
            Ok(flow) => {
                this.rows += 1;
                if flow.is_break() {
                    this.ended = Some(flow);
                }
                flow
            }
            Err(error) => {
                this.error = Some(error);
                let ended = if this.goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
                this.ended = Some(ended);
                ended
            }
        }
    }

    fn flush(&self) {
        let this = &mut *self.0.borrow_mut();
        if this.error.is_none() {
            this.error = this.sink.flush().err();
        }
    }

    fn notice(&self, notice: Notice) {
        let this = &mut *self.0.borrow_mut();
        if let Some(notice) = this.sink.notice(notice) {
            if this.notices.len() < MOST_NOTICES {
                this.notices.push(notice);
            } else {
                this.more_notices += 1;
            }
        }
    }

    fn namespace(&self, of: Option<&Netns>) {
        self.0.borrow_mut().sink.namespace(of);
    }

    fn failure(&self, failure: &DumpError) -> ControlFlow<()> {
        self.0.borrow_mut().sink.failure(failure)
    }

    fn has_enough(&self) -> bool {
        self.0.borrow().ended.is_some_and(|ended| ended.is_break())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Record, Socket, SourceKind, Table};

    /// Takes `left` rows, and then breaks or fails.
    struct Few {
        left: u32,
        fails: bool,
        asked: u32,
    }

    impl Sink for Few {
        type Error = &'static str;

        fn row(&mut self, _: &Row<'_>) -> Result<ControlFlow<()>, Self::Error> {
            self.asked += 1;
            if self.left > 0 {
                self.left -= 1;
                return Ok(ControlFlow::Continue(()));
            }
            if self.fails { Err("full") } else { Ok(ControlFlow::Break(())) }
        }

        fn flush(&mut self) -> Result<(), Self::Error> {
            Err("cannot flush")
        }
    }

    const LINE: &[u8] =
        b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000 0 0 621";

    fn socket() -> Socket<'static> {
        let record = Record { origin: Origin::of(Table::Tcp, SourceKind::Proc), bytes: LINE };
        Socket::decode(record).expect("a line")
    }

    /// All sockets are destroyed, even if the sink can no longer report it.
    #[test]
    fn an_error_does_not_end_what_has_an_effect() {
        let (mut sink, socket) = (Few { left: 1, fails: true, asked: 0 }, socket());
        let guard = Guard::new(&mut sink, true);
        assert!((0..10).all(|_| guard.row(&Row::bare(&socket)).is_continue()) && !guard.has_enough());
        guard.flush();
        let seen = guard.into_seen();
        assert_eq!((seen.rows, seen.error, sink.asked), (1, Some("full"), 2));
    }

    #[test]
    fn to_have_enough_and_to_fail_are_two_things() {
        let socket = socket();
        for (fails, rows, error) in [(false, 3, "cannot flush"), (true, 2, "full")] {
            let mut sink = Few { left: 2, fails, asked: 0 };
            let guard = Guard::new(&mut sink, false);
            let taken = (0..10).take_while(|_| guard.row(&Row::bare(&socket)).is_continue()).count();
            assert!(guard.row(&Row::bare(&socket)).is_break() && guard.has_enough());
            guard.flush();
            (0..MOST_NOTICES + 7).for_each(|_| guard.notice(Notice::Eof));
            let seen = guard.into_seen();
            assert_eq!((taken, seen.rows, seen.error, sink.asked), (2, rows, Some(error), 3));
            assert_eq!((seen.notices.len(), seen.more_notices), (MOST_NOTICES, 7));
        }
    }
}
