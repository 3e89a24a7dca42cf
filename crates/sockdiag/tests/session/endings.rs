//! How a poll ends, when its rows were read, and which types other threads may use.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::fs;
use std::net::UdpSocket;
use std::ops::ControlFlow::{self, Break, Continue};
use std::path::PathBuf;

use sockdiag::notice::Notice;
use sockdiag::session::Question;
use sockdiag::source::Sources;
use sockdiag::sys::stop::Stopper;
use sockdiag::{
    AskError, Event, Follow, Outcome, OwnedRow, PollError, Row, Session, Sink, Sockets, StateSet, Table,
};
use sockdiag_testkit::recording::odd::odd;
use sockdiag_testkit::recording::{self, Msg};
use sockdiag_testkit::zoo::Zoo;

use sockdiag_testkit::netns::Namespace;

use super::{all, inodes, poll, within};

/// Never called: it only has to compile.
#[allow(dead_code)]
fn what_goes_to_other_threads() {
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    sent::<Session>();
    sent::<Follow>();
    sent::<Row<'_>>();
    sent::<Event<'_>>();
    sent::<Question>();
    shared::<Outcome>();
    shared::<AskError>();
    shared::<PollError<std::io::Error>>();
    shared::<Sockets>();
    shared::<OwnedRow>();
    shared::<Stopper>();
    shared::<Notice>();
}

/// Files of this test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockdiag-{}-session-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("net")).expect("scratch");
        Self(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("scratch");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Ports of rows and texts of notices as they come, and the windows of rows.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    windows: Vec<Option<sockdiag::model::Window>>,
    flushed: usize,
}

impl Sink for Log {
    type Error = std::convert::Infallible;

    fn row(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>, Self::Error> {
        self.lines.push(format!("{:?}:{}", row.socket.origin.table, row.socket.local.port));
        self.windows.push(row.socket.origin.window);
        Ok(Continue(()))
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        self.flushed += 1;
        Ok(())
    }

    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        self.lines.push(notice.to_string());
        None
    }
}

/// Makes one poll, which must reach its end.
fn logged(session: &mut Session) -> (Log, Outcome) {
    let mut log = Log::default();
    let outcome = session.poll(&mut log).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(log.flushed, 1);
    (log, outcome)
}

/// Polls three times; every row's window lies inside its poll's, and polls do not overlap.
fn has_windows(question: &Sockets, least: usize) {
    let mut session = question.open().expect("a question");
    let mut ended = 0;
    for _ in 0..3 {
        let (log, outcome) = logged(&mut session);
        assert!(outcome.window.begin_ns() >= ended, "{outcome:?}");
        assert!(log.windows.len() >= least, "{} rows", log.windows.len());
        for window in log.windows {
            let window = window.expect("it was read at some time");
            // A row left over from an earlier poll must not appear as new.
            assert!(window.begin_ns() >= outcome.window.begin_ns(), "{window:?} {outcome:?}");
            assert!(window.end_ns() <= outcome.window.end_ns(), "{window:?} {outcome:?}");
        }
        ended = outcome.window.end_ns();
    }
}

#[test]
fn every_row_was_read_in_its_poll() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let kinds = ["tcp-established", "tcp-listen6", "udp-connected", "unix-stream", "packet-raw"];
    let _zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    let tables = [Table::Tcp, Table::Udp, Table::Raw, Table::UnixStream, Table::PacketRaw, Table::Netlink];
    let question = all(&tables);
    within(&namespace, || {
        has_windows(&question, 8);
        has_windows(&question.clone().netns(&name).with_processes(), 8);
        has_windows(&question.clone().order("-local.port").reading(["peer.processes"]), 8);
        // More sockets than one datagram holds.
        let sockets: Vec<UdpSocket> =
            (0..400).map(|_| UdpSocket::bind("127.0.0.1:0").expect("lo is up")).collect();
        has_windows(&all(&[Table::Udp]), sockets.len());
    });
}

const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";

#[test]
fn every_line_of_text_was_read_in_its_poll_and_a_recording_at_no_time() {
    let scratch = Scratch::new("windows");
    let line = |port: u16| {
        format!("   0: 0100007F:{port:04X} 0200007F:C350 01 00000000:00000000 00:00000000 00000000 0 0 621\n")
    };
    let text: String = (1..500).map(line).collect();
    let text = scratch.write("net/tcp", format!("{HEAD}{text}"));
    for sources in [
        Sources { proc_root: Some(scratch.0.clone().into()), ..Sources::default() },
        Sources { proc_net_tcp: Some(text.into()), ..Sources::default() },
    ] {
        has_windows(&all(&[Table::Tcp]).sources(sources), 499);
    }
    let recorded = scratch.write("tcp.nl", recording::record(&[Msg::v4(), Msg::v6()], &[]));
    let mut session = Sockets::new().recording(&recorded).open().expect("a question");
    for _ in 0..2 {
        let (log, outcome) = logged(&mut session);
        assert_eq!(log.windows, [None, None]);
        assert!(outcome.window.end_ns() > outcome.window.begin_ns());
    }
}

/// Takes `left` rows, and then breaks or fails, or fails in `flush`.
struct Few {
    left: usize,
    fails: bool,
    flush_fails: bool,
    asked: usize,
}

impl Sink for Few {
    type Error = &'static str;

    fn row(&mut self, _: &Row<'_>) -> Result<ControlFlow<()>, Self::Error> {
        self.asked += 1;
        self.left = self.left.saturating_sub(1);
        match (self.left, self.fails) {
            (0, true) => Err("full"),
            (0, false) => Ok(Break(())),
            _ => Ok(Continue(())),
        }
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        if self.flush_fails { Err("cannot flush") } else { Ok(()) }
    }
}

#[test]
fn the_first_error_comes_back_and_enough_is_no_error() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let Some((other, other_name)) = Namespace::to_look_into() else { return };
    let bind = || {
        let made = (0..20).map(|_| (UdpSocket::bind("127.0.0.1:0"), super::listener()));
        made.map(|(udp, tcp)| (udp.expect("lo is up"), tcp)).collect::<Vec<_>>()
    };
    let _sockets = [within(&namespace, bind), within(&other, bind)];
    let tables = all(&[Table::Udp, Table::Tcp]).netns(format!("{name},{other_name}"));
    for question in [
        tables.clone(),
        tables.clone().with_processes(),
        tables.clone().order("-local.port"),
        tables.clone().filter("sport > :0"),
    ] {
        let mut session = question.open().expect("a question");
        let every = inodes(&mut session);
        assert_eq!(every.len(), 80);
        for taken in [1, 20, 21, 39, 41, 80] {
            let mut sink = Few { left: taken, fails: false, flush_fails: false, asked: 0 };
            let outcome = session.poll(&mut sink).expect("it had enough");
            assert!((outcome.rows, sink.asked) == (taken as u64, taken) && outcome.is_complete());
            // A poll that ended early leaves nothing behind for the next.
            assert_eq!(inodes(&mut session), every, "after {taken}");
            for flush_fails in [false, true] {
                let mut sink = Few { left: taken, fails: true, flush_fails, asked: 0 };
                let error = session.poll(&mut sink);
                assert!(matches!(error, Err(PollError::Sink("full"))), "{error:?}");
                assert_eq!(sink.asked, taken, "no row after the error");
            }
            assert_eq!(inodes(&mut session), every, "after an error at {taken}");
        }
        let mut sink = Few { left: 1000, fails: false, flush_fails: true, asked: 0 };
        assert!(matches!(session.poll(&mut sink), Err(PollError::Sink("cannot flush"))));
        let mut sink = Few { left: 1, fails: false, flush_fails: true, asked: 0 };
        assert!(matches!(session.poll(&mut sink), Err(PollError::Sink("cannot flush"))));
        assert_eq!(inodes(&mut session), every);
    }
}

#[test]
fn a_notice_comes_between_the_rows_where_it_arose() {
    let scratch = Scratch::new("notices");
    let damaged = odd().into_iter().find(|odd| odd.name == "odd attribute").expect("there is one");
    assert_eq!(damaged.rows, 1);
    let bytes = [Msg::v4().to_bytes(), damaged.bytes].concat();
    let file = scratch.write("tcp.nl", &bytes);
    let mut session =
        Sockets::of(&[Table::Tcp]).recording(&file).states(StateSet::ALL).open().expect("a question");
    for _ in 0..2 {
        let (log, outcome) = logged(&mut session);
        let at = log.lines.iter().position(|line| !line.starts_with("Tcp:"));
        assert!(at.is_some_and(|at| at >= 1), "{:?}", log.lines);
        assert!(outcome.notices.is_empty(), "the sink took them: {outcome:?}");
        assert_eq!(outcome.rows as usize, log.windows.len());
        let kept = poll(&mut session).1;
        assert_eq!(kept.notices.len(), log.lines.len() - log.windows.len(), "{kept:?}");
    }
}

/// After a sink has panicked, the next polls still apply the filter.
#[test]
fn a_poll_after_a_panic_has_its_filter() {
    struct Panics;
    impl Sink for Panics {
        type Error = std::convert::Infallible;

        fn row(&mut self, _: &Row<'_>) -> Result<ControlFlow<()>, Self::Error> {
            panic!("a panic of the test");
        }
    }
    let scratch = Scratch::new("panic");
    let sockets = [80, 443, 80].map(|sport| Msg { sport, ..Msg::v4() });
    let file = scratch.write("tcp.nl", recording::record(&sockets, &[]));
    let mut session = Sockets::new().recording(file).filter("sport = :80").open().expect("a question");
    for _ in 0..2 {
        let poll = std::panic::AssertUnwindSafe(|| session.poll(&mut Panics));
        assert!(std::panic::catch_unwind(poll).is_err());
        assert_eq!(poll_rows(&mut session), 2);
    }
}

/// The number of rows of a poll.
fn poll_rows(session: &mut Session) -> u64 {
    logged(session).1.rows
}
