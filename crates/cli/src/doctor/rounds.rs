//! The doctor behind `top`: a thread that looks repeatedly and lends its latest findings to
//! the rows on the screen.
//!
//! Each look ends one round and begins the next, since rules compare two samples.  The thread
//! ignores the user's filter, and looks at intervals long enough for rules to judge; frames
//! in between show the findings of the last round.
//!
//! Invariant: looks use at most a tenth of a core; there are no findings before the second
//! look.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sockdiag::fields::Catalog;
use sockdiag::model::{Around, Diagnosed, Names, Row, Selected, StateSet, Window};
use sockdiag::notice::Notice;
use sockdiag::observer::{FrameSink, Seen};
use sockdiag::{Observer, Session};
use sockdiag_doctor::{Checked, Doctor, Finding, Severity};

use super::{looks, needs_of};
use crate::end::End;
use crate::options::Asked;

/// The pause between the first and the second look, and between later ones.
const FIRST: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_secs(5);
/// The pause is at least this many times the duration of the look.
const PAUSE_SHARE: u32 = 10;

/// The findings of a round.
#[derive(Debug)]
pub(crate) struct Known {
    /// The worst first.
    findings: Vec<Finding>,
    /// The findings that a socket belongs to, by namespace and cookie.
    of: HashMap<(u64, u64), Vec<u32>>,
}

impl Known {
    fn new(findings: Vec<Finding>) -> Self {
        let mut of: HashMap<(u64, u64), Vec<u32>> = HashMap::new();
        for (at, finding) in (0_u32..).zip(&findings) {
            for member in &finding.members {
                let known = of.entry(*member).or_default();
                if known.last() != Some(&at) {
                    known.push(at);
                }
            }
        }
        Self { findings, of }
    }

    /// The findings that a socket belongs to, worst first.
    pub(crate) fn of(&self, netns: u64, cookie: u64) -> impl Iterator<Item = &Finding> {
        let known = self.of.get(&(netns, cookie)).map_or(&[][..], Vec::as_slice);
        known.iter().filter_map(|at| self.findings.get(*at as usize))
    }
}

/// Answers only questions about findings.
impl Around for Known {
    fn diagnosed(&self, netns: u64, cookie: u64) -> Option<Diagnosed<'_>> {
        let worst = self.of(netns, cookie).next()?;
        let severity = match worst.severity {
            Severity::Info => 1,
            Severity::Warning => 2,
            Severity::Critical => 3,
        };
        let count = u32::try_from(self.of(netns, cookie).count()).unwrap_or(u32::MAX);
        Some(Diagnosed { id: &worst.id, severity, count })
    }
}

/// The row, with the findings lent to it where there are some.
pub(crate) fn lent<'r>(found: Option<&'r Known>, row: &Row<'r>) -> Row<'r> {
    let around = found.map(|known| known as &dyn Around);
    Row { names: Names { around, ..row.names }, ..*row }
}

/// The findings of the last round, or why there are none.
pub(crate) type Answer = Result<Arc<Known>, String>;

/// Shares the latest answer between the doctor's thread and the screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desk(Arc<Mutex<Option<Answer>>>);

impl Desk {
    /// The latest answer; `None` before the first round has ended.
    pub(crate) fn known(&self) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, answer: Answer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

/// What to judge: these tables and families, in these namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    selected: Selected,
    netns: Option<OsString>,
}

impl Subject {
    pub(crate) fn new(asked: &Asked, selected: Selected) -> Self {
        // Look at all states: sockets in other states are evidence about the chosen ones.
        Self { selected: Selected { states: StateSet::ALL, ..selected }, netns: asked.netns.clone() }
    }
}

/// Handle of the thread, which stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// The sockets to judge.
    pub(crate) subject: Subject,
    desk: Desk,
    _stop: Sender<()>,
}

impl Rounds {
    /// Starts to look.
    pub(crate) fn start(subject: Subject) -> Self {
        let (stop, stopped) = mpsc::channel();
        let desk = Desk::default();
        let (of, put) = (subject.clone(), desk.clone());
        thread::spawn(move || {
            if let Err(end) = serve(&of, &put, &stopped) {
                let text = end.text.unwrap_or_default();
                put.put(Err(text.trim_start_matches("sockdiag: ").trim_end().to_owned()));
            }
        });
        Self { subject, desk, _stop: stop }
    }

    /// Where the thread puts its findings.
    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }
}

/// A doctor that has learned from the first look of its round.
struct Begun {
    doctor: Doctor,
    looked: Instant,
    window: Window,
}

fn serve(subject: &Subject, desk: &Desk, stopped: &Receiver<()>) -> Result<(), End> {
    let rules: Vec<Checked> = sockdiag_doctor::built_in(Catalog::shared()).map_err(End::usage)?;
    let doctor = || Doctor::of(Catalog::shared(), rules.clone()).keeping_members();
    let netns = subject.netns.as_ref();
    let question = |needs| looks::question_of_all(netns, subject.selected, needs);
    let mut observer = Observer::new(Session::open(question(needs_of(&doctor())))?);
    let mut before: Option<Begun> = None;
    loop {
        let began = Instant::now();
        if let Some(begun) = &mut before {
            let _ = looks::count(&mut begun.doctor, &observer);
            begun.doctor.begin(Some(begun.looked.elapsed().as_secs_f64()));
        }
        let mut round =
            Round { before: before.as_mut().map(|begun| &mut begun.doctor), next: doctor(), netns: vec![0] };
        let frame = observer.look(&mut round).map_err(looks::failed)?;
        let looked = Instant::now();
        let Round { mut next, netns: visited, .. } = round;
        next.learned();
        let _ = looks::count(&mut next, &observer);
        let is_first = before.is_none();
        if let Some(Begun { mut doctor, window, .. }) = before.take() {
            doctor.begin(Some(looks::between(window, frame.window)));
            // If the third look fails, the findings are reported without it.
            let _ = looks::third(&mut doctor, netns, subject.selected, &visited);
            desk.put(Ok(Arc::new(Known::new(doctor.findings()))));
        }
        before = Some(Begun { doctor: next, looked, window: frame.window });
        let pause = if is_first { FIRST } else { EVERY };
        match stopped.recv_timeout(pause.max(began.elapsed() * PAUSE_SHARE)) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return Ok(()),
        }
    }
}

/// A look: the previous round's doctor judges it, and the next round's learns from it.
struct Round<'d> {
    before: Option<&'d mut Doctor>,
    next: Doctor,
    /// The namespaces that were seen.
    netns: Vec<u64>,
}

impl FrameSink for Round<'_> {
    type Error = Infallible;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Infallible> {
        if let Some(netns) = row.names.netns
            && self.netns.last() != Some(&netns.inode)
            && !self.netns.contains(&netns.inode)
        {
            self.netns.push(netns.inode);
        }
        if seen != Seen::Closed {
            self.next.learn(row);
        }
        if let Some(before) = &mut self.before {
            before.judge(looks::event(seen), row);
        }
        Ok(())
    }

    fn notice(&mut self, _: Notice) -> Option<Notice> {
        // The screen's own looks report what cannot be seen.
        None
    }
}
