//! From the command line to a listing, in the reference's order: options, state words,
//! selection, recording, filter, header, tables.
//!
//! Nothing here knows a field or an output format: the options switch on groups of fields, and
//! what is shown and filtered on decides what the kernel is asked for.

use std::cell::{OnceCell, RefCell};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use sockdiag::enrich::{BpfMaps, HolderSearch, Threads};
use sockdiag::fields::{Catalog, Needs, Style};
use sockdiag::filter;
use sockdiag::model::{Netns, Row, State, Table, TableSet};
use sockdiag::notice::Notice;
use sockdiag::session::{Parse, Question};
use sockdiag::source::{DumpError, DumpErrorKind, Sources};
use sockdiag::sys::{errno_text, selinux};
use sockdiag::{AskError, Event, Outcome, PollError, Session, Sink};
use sockdiag_render::ss::Look;

use crate::cli::{self, Actions, Args, Exit};
use crate::counts;
use crate::listing::{Listing, Opening, Plan, Said};
use crate::netns;
use crate::notes::Notes;
use crate::quirks::Reference;
use crate::sys;
use crate::terminal;
use crate::words;
use sockdiag_guide::hints::{self, People, parse};

/// Carries out the command line.
pub(crate) fn run(program: &OsStr, words: &[OsString]) -> Result<(), Exit> {
    let mut system = System::default();
    let posix = std::env::var_os("POSIXLY_CORRECT").is_some();
    let mut args = cli::parse(program, words, posix, &mut system)?;
    let sources = Sources {
        selinuxfs: system.selinux.take().flatten(),
        way: args.way,
        tells_way: args.explain,
        ..Sources::from_env()
    };
    let catalog = Catalog::shared();
    let groups = cli::groups(&args);
    netns::check(&args, &sources)?;
    // If the selection leaves nothing to list, the error is reported below.
    let tables = args.selection.resolve().map_or(TableSet::ALL, |selected| selected.tables);
    let plan = Plan::new(&args, catalog, groups, tables)?;
    let order = plan.order(catalog)?;
    let said = RefCell::new(Said::new(args.form.is_json()));
    // Our own messages are printed for people, for those who ask for them, and for those who
    // use an option that the reference lacks; a document contains them itself.
    let is_told_beside = !args.form.is_document();
    let mut explain = args.explain || io::stderr().is_terminal() || (args.is_ours() && is_told_beside);
    let mut say = |notice: Notice| {
        said.borrow_mut().notice(&notice);
        if explain || !words::is_for_people(&notice) {
            tell(&notice);
        }
    };
    // Computed before the state words are removed from the words.
    let only_summary = args.only_summary();
    let counted = counts::read(&args, &sources, &mut say)?;
    if !args.form.is_json() {
        let written = counts::write(&counted, args.form.separated, !args.no_header);
        if let Err(error) = written
            && args.form.is_ours()
        {
            unwritten(&error)?;
        }
        if only_summary {
            return Ok(());
        }
    }
    let picture = args.explain || io::stderr().is_terminal();
    if let Err(exit) = args.take_state_words() {
        return Err(if picture { exit.advised(&hints::states(&args.words)) } else { exit });
    }
    let selected = match args.selection.resolve() {
        Ok(selected) => selected,
        // A JSON document is printed even if there is nothing to list.
        Err(empty) if args.form.is_document() => {
            let opening =
                Opening { catalog, look: Look::default(), words, sources: &sources, summary: &counted };
            let exit = none_shown(words::nothing_to_list(empty), args.exit_code);
            let mut said = said.into_inner();
            said.end(&exit);
            let written = plan.open(&opening, false).and_then(|mut listing| listing.end(&said));
            return written.or_else(|error| unwritten(&error)).and(Err(exit));
        }
        Err(empty) => return Err(none_shown(words::nothing_to_list(empty), args.exit_code)),
    };
    let style = Style { numeric: args.numeric, oneline: args.oneline, groups };
    let mut question = Question::new(selected);
    question.sources = sources.clone();
    question.bpf_maps = system.bpf_maps;
    if let Some(file) = &args.dump_file {
        question.needs = catalog.needs(style.groups);
        return record(file, &question);
    }
    // The columns follow the options; the filter does not narrow them.
    let look = Look {
        style,
        no_header: args.no_header,
        no_queues: args.no_queues,
        netns: args.netns.is_some(),
        netid: selected.show_netid(),
        state: selected.show_state(),
        processes: args.show.processes,
        width: terminal::width(),
    };
    question.needs = plan.needs();
    // Destroying and following sockets identifies them by details that only full replies
    // contain.
    question.lean = !(args.kill || args.kill_dry_run || args.events);
    // A recording holds what was reported when it was made, so privileges do not matter.
    let is_live = sources.tcpdiag_file.is_none();
    let mut withheld = if is_live { plan.withheld(&args, &order) } else { None };
    question.order = order;
    question.filter = Some(filter(&args, system.filter_file)?);
    question.netns.clone_from(&args.netns);
    question.numeric = args.numeric;
    question.resolve = args.resolve;
    question.threads = match () {
        () if args.show.threads => Threads::All,
        () if args.form.is_ours() || args.show.is_ours() => Threads::Own,
        () => Threads::First,
    };
    question.reasons = args.explain;
    question.holder_search = holder_search();
    question.quirks = Some(Box::new(Reference::new(args.show.extended, args.show.cgroup)));
    question.explain = explain || args.form.is_json();
    let people = picture.then_some(People { words: &args.words, tables: selected.tables });
    let mut session =
        Session::once(question).map_err(|error| none_shown(words::unasked(error, people), args.exit_code))?;
    if let Some(field) = session.filter().and_then(|filter| filter.field_with(Needs::TWO_LOOKS)) {
        return Err(words::two_looks(field.name));
    }
    if let Some(hint) = people.and_then(|people| hints::rarely_meant(people.words)) {
        // If stderr fails, there is nowhere left to report it.
        let _ = writeln!(io::stderr(), "ss: {hint}");
    }
    // Only our filter conditions need processes or a privilege.
    let asks_for_processes = session.filter().is_some_and(|filter| filter.needs().has(Needs::PROCESSES));
    if is_live && withheld.is_none() {
        let tested = |needs| Some(session.filter()?.field_with(needs)?.name.to_owned());
        withheld = sockdiag::sys::withheld(&tested);
    }
    explain |= (asks_for_processes || withheld.is_some()) && is_told_beside;
    let opening = Opening { catalog, look, words, sources: &sources, summary: &counted };
    let mut listing = match plan.open(&opening, args.events) {
        Ok(listing) => listing,
        Err(error) => return unwritten(&error),
    };
    let mut beside = Beside { said: said.into_inner(), explain, later: Notes::default(), fatal: None };
    if let Some(notice) = &withheld {
        beside.notice(notice);
    }
    if only_summary {
        return listing.end(&beside.said).or_else(|error| unwritten(&error));
    }
    if args.destroys() {
        sys::outlive_readers();
    }
    if args.is_about_destroying() {
        let ready = if args.destroys() { session.destroy_listed() } else { session.rehearse_destroying() };
        if let Err(error) = ready {
            return Err(ended_by(words::unasked(error, people), &mut listing, &mut beside));
        }
    }
    if args.events {
        return match follow(session, &mut Output { sink: &mut listing, beside: &mut beside }) {
            Ok(Some(rows)) if args.exit_code => by_rows(rows),
            Ok(_) => Err(Exit::silent(Exit::USAGE)),
            Err(error) => unwritten(&error),
        };
    }
    // Each format is polled by its own type, so that passing on a row is a direct call.
    let polled = match &mut listing {
        Listing::Text(text) => poll(&mut session, text.as_mut(), &mut beside),
        Listing::Json(json) => poll(&mut session, json.as_mut(), &mut beside),
        Listing::Columns(columns) => poll(&mut session, columns.as_mut(), &mut beside),
        Listing::Groups(groups) => poll(&mut session, groups.as_mut(), &mut beside),
    };
    beside.tell_later();
    let mut rows = 0;
    let written = match polled {
        Ok(outcome) => {
            rows = outcome.rows;
            listing.end(&beside.said)
        }
        Err(PollError::Sink(error)) => Err(error),
        Err(PollError::Ask(error)) => {
            return Err(ended_by(words::unasked(error, people), &mut listing, &mut beside));
        }
        // No other error exists today; the enum is `non_exhaustive`.
        Err(_) => Err(io::ErrorKind::Other.into()),
    };
    if !args.form.is_ours() && terminal::reader_is_gone() {
        // The reference dies of SIGPIPE at once; we do so here, after everything is closed.
        sys::end_by_sigpipe();
    }
    if let Some(exit) = beside.fatal {
        return Err(exit);
    }
    written.or_else(|error| unwritten(&error))?;
    if rows == 0
        && picture
        && let Some(filter) = session.filter()
    {
        let narrow = !args.selection.has_states()
            && selected.states.contains(State::Established)
            && !selected.states.contains(State::Listen);
        for hint in hints::none_shown(narrow, filter) {
            // If stderr fails, there is nowhere left to report it.
            let _ = writeln!(io::stderr(), "ss: {hint}");
        }
    }
    if args.exit_code { by_rows(rows) } else { Ok(()) }
}

/// The exit status by the number of sockets shown (`--exit-code`).
fn by_rows(rows: u64) -> Result<(), Exit> {
    if rows > 0 { Ok(()) } else { Err(Exit::silent(Exit::NONE_SHOWN)) }
}

/// Under `--exit-code`, an exit with status 0 before any listing means that no socket was
/// shown.
fn none_shown(exit: Exit, exit_code: bool) -> Exit {
    match exit {
        Exit::Error { code: 0, stderr } if exit_code => Exit::Error { code: Exit::NONE_SHOWN, stderr },
        exit => exit,
    }
}

/// Ends a listing that has begun: a document is completed and contains the reason.
fn ended_by(exit: Exit, listing: &mut Listing, beside: &mut Beside) -> Exit {
    beside.said.end(&exit);
    // A second failure is not reported: the exit prints an error already.
    let _ = listing.end(&beside.said);
    exit
}

/// The exit for a failed write, in a format of our own.
fn unwritten(error: &io::Error) -> Result<(), Exit> {
    words::unwritten(error).map_or(Ok(()), Err)
}

/// Polls once, and sends the rows to this sink.
fn poll<S: Sink<Error = io::Error>>(
    session: &mut Session,
    sink: &mut S,
    beside: &mut Beside,
) -> Result<Outcome, PollError<io::Error>> {
    session.poll(&mut Output { sink, beside })
}

/// The messages printed beside a listing.
struct Beside {
    said: Said,
    /// Whether messages that the reference lacks are printed too.
    explain: bool,
    /// Messages to print at the end, once for all namespaces.
    later: Notes,
    /// The exit caused by a table that could not be read.
    fatal: Option<Exit>,
}

impl Beside {
    fn notice(&mut self, notice: &Notice) {
        self.said.notice(notice);
        if !self.explain && words::is_for_people(notice) {
            return;
        }
        if self.later.is_of_namespace() {
            // Another namespace may raise the same notice.
            self.later.add(words::line(notice));
        } else {
            tell(notice);
        }
    }

    /// Prints once each message that arose in several namespaces.
    fn tell_later(&mut self) {
        for line in std::mem::take(&mut self.later).lines() {
            // If stderr fails, there is nowhere left to report it.
            let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
        }
    }

    fn failure(&mut self, failure: &DumpError) -> ControlFlow<()> {
        self.said.failure(failure);
        if let Some(line) = words::failed(failure) {
            self.later.add(line);
        }
        self.fatal = words::fatal(failure);
        if self.fatal.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Where rows go, and where messages go.
struct Output<'o, S> {
    sink: &'o mut S,
    beside: &'o mut Beside,
}

impl<S: Sink<Error = io::Error>> Sink for Output<'_, S> {
    type Error = io::Error;

    #[inline]
    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        self.sink.row(row)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        self.beside.notice(&notice);
        None
    }

    fn namespace(&mut self, of: Option<&Netns>) {
        self.beside.said.namespace(of);
        self.beside.later.namespace(of);
    }

    fn failure(&mut self, failure: &DumpError) -> ControlFlow<()> {
        self.beside.failure(failure)
    }
}

/// `-E`: shows each socket as soon as it is destroyed, until the program is stopped or the
/// limit is reached; returns the number shown in that case.
fn follow(session: Session, output: &mut Output<'_, Listing>) -> io::Result<Option<u64>> {
    let told = |error: &DumpError| match &error.kind {
        DumpErrorKind::Socket(error) => {
            Some(Notice::SocketFailed { errno: error.raw_os_error().unwrap_or(0) })
        }
        DumpErrorKind::Bind(error) => {
            Some(Notice::BindSocketFailed { errno: error.raw_os_error().unwrap_or(0) })
        }
        DumpErrorKind::Receive(error) => {
            Some(Notice::ReceiveFailed { errno: error.raw_os_error().unwrap_or(0) })
        }
        DumpErrorKind::Eof => Some(Notice::Eof),
        _ => None,
    };
    let mut follow = match session.follow() {
        Ok(follow) => follow,
        Err(AskError::Follow(error)) => {
            told(&error).map(|notice| output.notice(notice));
            return Ok(None);
        }
        // If none of the tables reports destroyed sockets, there is nothing to wait for and
        // nothing to print.
        Err(_) => return Ok(None),
    };
    let mut rows = 0;
    loop {
        match follow.next(None) {
            Ok(Event::Ended(ended)) => {
                let flow = output.row(&ended.row())?;
                output.flush()?;
                rows += 1;
                if flow.is_break() {
                    return Ok(Some(rows));
                }
            }
            Ok(Event::Lost { times }) => {
                output.notice(Notice::EventsLost { times });
            }
            Ok(Event::Notice(notice)) => {
                output.notice(notice);
            }
            Ok(Event::Stopped) => return Ok(Some(rows)),
            Ok(_) => {}
            Err(error) => {
                told(&error).map(|notice| output.notice(notice));
                return Ok(None);
            }
        }
    }
}

/// `SOCKDIAG_PROCESSES`, for tests and measurements: `bpf` or `proc` forces that method of
/// finding the holders of sockets.
fn holder_search() -> HolderSearch {
    match std::env::var_os("SOCKDIAG_PROCESSES") {
        Some(way) if way == "bpf" => HolderSearch::Bpf,
        Some(way) if way == "proc" => HolderSearch::Proc,
        _ => HolderSearch::Quickest,
    }
}

/// Prints a notice at once.
fn tell(notice: &Notice) {
    // If stderr fails, there is nowhere left to report it.
    let _ = io::stderr().write_all(&words::words(notice));
}

/// `-D FILE`: writes the raw replies of the TCP table to the file.
fn record(file: &OsStr, question: &Question) -> Result<(), Exit> {
    if !question.selected.tables.intersects(TableSet::only(Table::Tcp)) {
        return Err(Exit::error(0, "ss: tcpdiag dump requested and no tcp in filter."));
    }
    let mut out: Box<dyn Write> = if file.as_bytes().starts_with(b"-") {
        Box::new(terminal::Stdout)
    } else {
        Box::new(File::create(file).map_err(|error| open_failed("fopen dump file", &error))?)
    };
    // The reference does not report a failure here, and exits with 0.
    let _ = question.record(&mut out, &mut |notice| tell(&notice));
    Ok(())
}

/// Returns a parser of the remaining words and the filter file.
fn filter(args: &Args, mut file: Option<FilterFile>) -> Result<Parse, Exit> {
    let words: Vec<Vec<u8>> = args.words.iter().map(|word| word.as_bytes().to_vec()).collect();
    // With several namespaces the file is parsed several times, and before sockets are
    // destroyed it must have been read completely.
    let in_whole = args.netns.is_some() || args.is_about_destroying();
    let text = if in_whole { whole(file.take(), args)? } else { None };
    Ok(Box::new(move |context| {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut text = text.as_deref().map(io::Cursor::new);
        let mut file = file.take();
        let file = match (&mut text, &mut file) {
            (Some(text), _) => Some(text as &mut dyn BufRead),
            (None, Some(file)) => Some(file.as_mut() as &mut dyn BufRead),
            (None, None) => None,
        };
        let filter::Context { catalog, preferred, tables, lookups } = context;
        parse(&words, file, filter::Context { catalog, preferred, tables, lookups })
    }))
}

/// The text of the filter file.  A filter that ends early selects more than was meant, and an
/// empty one selects every socket, so neither may destroy anything.
fn whole(file: Option<FilterFile>, args: &Args) -> Result<Option<Vec<u8>>, Exit> {
    const MOST: u64 = 16 << 20;
    let Some(file) = file else { return Ok(None) };
    let mut text = Vec::new();
    let failed = |why: &str| {
        let nothing = if args.is_about_destroying() { ", so nothing is closed" } else { "" };
        Exit::error(Exit::USAGE, format!("ss: the filter file cannot be read{nothing}: {why}"))
    };
    match file.take(MOST + 1).read_to_end(&mut text) {
        Err(error) => Err(failed(&errno_text(error.raw_os_error().unwrap_or(0)))),
        Ok(_) if text.len() as u64 > MOST => Err(failed("it has more than 16 MiB")),
        Ok(_) => Ok(Some(text)),
    }
}

fn open_failed(what: &str, error: &io::Error) -> Exit {
    Exit::error(Exit::USAGE, format!("{what}: {}", errno_text(error.raw_os_error().unwrap_or(0))))
}

/// An open filter file.
type FilterFile = Box<dyn BufRead + Send>;

/// The actions of options, on the real system.
#[derive(Default)]
struct System {
    filter_file: Option<FilterFile>,
    /// Where SELinux's files are, or `None` if it is off; looked up at most once.
    selinux: OnceCell<Option<PathBuf>>,
    bpf_maps: BpfMaps,
}

impl System {
    /// Whether SELinux is on.
    fn find_selinux(&mut self) -> bool {
        self.selinux.get_or_init(selinux::mount_point).is_some()
    }
}

impl Actions for System {
    fn enter_netns(&mut self, name: &OsStr) -> Result<(), Exit> {
        // Look now: the namespace's own /sys does not show SELinux.
        self.find_selinux();
        Ok(sockdiag::namespaces::enter(name, &mut |notice| tell(&notice))?)
    }

    fn open_filter_file(&mut self, name: &OsStr) -> Result<(), Exit> {
        self.filter_file = Some(if name.as_bytes().starts_with(b"-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let file = File::open(name).map_err(|error| open_failed("fopen filter file", &error))?;
            Box::new(BufReader::new(file))
        });
        Ok(())
    }

    fn selinux_check(&mut self) -> Result<(), Exit> {
        if self.find_selinux() { Ok(()) } else { Err(cli::args::selinux_is_off()) }
    }

    fn bpf_map(&mut self, id: u32) -> Result<(), Exit> {
        match self.bpf_maps.open(id) {
            Ok(()) => Ok(()),
            Err(notice @ Notice::MapsTooMany { .. }) => {
                tell(&notice);
                Ok(())
            }
            Err(notice) => Err(words::ending(1, &notice)),
        }
    }
}
