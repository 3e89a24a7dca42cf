//! `sockdiag top` on a terminal: the screen, its keys, and the looks beside them.
//!
//! One thread draws and handles keys, one looks, one waits for keys and one for signals. A
//! slower task (parsing a filter, killing a socket, writing a file) runs in a thread of its
//! own.
//!
//! Invariant: the thread that handles keys never waits for the kernel, so no look delays a
//! key; cells that did not change are not written to the terminal.

mod input;
mod more;
mod poller;
mod save;
mod terminal;
mod typed;
mod view;

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgMatches};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use signal_hook::consts::{SIGCONT, SIGTSTP, SIGWINCH};
use sockdiag::fields::Needs;
use sockdiag::model::{Selected, StateSet};
use sockdiag::{AskError, Session, Sockets, Verdict};
use sockdiag_screen::{Action, Id, Key, More, Ordered, State, Theme, draw};

use crate::doctor::rounds::{Rounds, Subject};
use crate::end::End;
use crate::options::Asked;
use crate::question::{self, question};
use crate::{complete, over_time};
use poller::{Desk, Plan, Said};
use terminal::Screen;

/// How often the details of one socket are looked up, with few sockets and with many.
const MORE: Duration = Duration::from_secs(2);
const MORE_OF_MANY: Duration = Duration::from_secs(10);

/// An event for the screen thread.
pub(super) enum Event {
    /// A key was pressed.
    Key(Key),
    /// The terminal reported whether its background is light.
    Background(bool),
    /// The keyboard is gone.
    Hangup,
    /// A signal arrived.
    Signal(i32),
    /// A new look is ready at the [`Desk`].
    Look,
    /// The kernel cannot be queried, and why.
    Trouble(String),
    /// The result of opening a session with another filter or other fields.
    Opened(Box<Opened>),
    /// A message to show.
    Said(String),
    /// Details of the selected socket.
    More(Box<More>),
    /// The sockets were sorted.
    Ordered(Box<Ordered>),
}

/// The result of opening another session.
pub(super) struct Opened {
    /// The filter, if it is a new one.
    filter: Option<String>,
    asked: Asked,
    selected: Selected,
    needs: Needs,
    session: Result<Session, String>,
}

/// Options of the screen.
pub(super) fn args() -> [Arg; 3] {
    let heading = "On a terminal";
    [
        Arg::new("batch")
            .long("batch")
            .help("Print frames one after another even on a terminal, as in a pipe")
            .action(clap::ArgAction::SetTrue)
            .help_heading(heading),
        Arg::new("theme")
            .long("theme")
            .value_name("THEME")
            .help(
                "Colours for a dark or light background, or none; auto uses NO_COLOR, COLORFGBG and the \
                 terminal's reply",
            )
            .value_parser(PossibleValuesParser::new([
                PossibleValue::new("auto"),
                PossibleValue::new("dark"),
                PossibleValue::new("light"),
                PossibleValue::new("none").alias("plain"),
            ]))
            .default_value("auto")
            .help_heading(heading),
        Arg::new("mouse")
            .long("mouse")
            .help("Select lines by clicking and scroll with the wheel; hold Shift to select text")
            .action(clap::ArgAction::SetTrue)
            .help_heading(heading),
    ]
}

/// Whether to use the screen: stdout and stdin are terminals, and no option that requires
/// batch output was given.
pub(super) fn is_wanted(matches: &ArgMatches) -> bool {
    let batch = ["batch", "once", "jsonl"].iter().any(|flag| matches.get_flag(flag));
    let batch = batch || ["iterations", "csv", "tsv"].iter().any(|name| matches.contains_id(name));
    !batch && std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

/// The colours for a terminal; `None` if only the terminal itself can tell.
fn theme(matches: &ArgMatches) -> Option<Theme> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match matches.get_one::<String>("theme").map(String::as_str) {
        Some("dark") => return Some(Theme::Dark),
        Some("light") => return Some(Theme::Light),
        Some("none" | "plain") => return Some(Theme::Plain),
        _ => {}
    }
    let term = set("TERM");
    if set("NO_COLOR").is_some() || term.as_deref() == Some("dumb") {
        return Some(Theme::Plain);
    }
    // The last number is the background: 7 is light grey, 15 is white.
    match set("COLORFGBG").as_deref().and_then(|colours| colours.rsplit(';').next()) {
        Some("7" | "15") => Some(Theme::Light),
        Some(_) => Some(Theme::Dark),
        // The kernel's console does not answer queries, and is dark.
        None => (term.as_deref() == Some("linux")).then_some(Theme::Dark),
    }
}

/// Runs the screen until it ends.
pub(super) fn run(matches: &ArgMatches, asked: &Asked, selected: Selected) -> Result<(), End> {
    let mut state = State::new(view::view(matches, asked, &selected)?);
    let choices = over_time::choices(&state.wanted().join(","), &selected)?;
    // Start with everything that is cheap for few sockets: most machines have few.
    let cheap = view::cheap();
    let needs = over_time::needs(&choices).union(cheap);
    // Report errors in the question before taking over the terminal.
    over_time::refuse_judged_fields(needs)?;
    let session = question::open(asked, selected, needs)?;
    over_time::refuse_judged(&session)?;
    let (events, inbox) = mpsc::channel();
    let interval = matches.get_one("interval").copied().unwrap_or(Duration::from_secs(1));
    let desk = Desk::new(events.clone());
    let mut asked = asked.clone();
    let base = Asked { words: Vec::new(), file: None, ..asked.clone() };
    asked.file = None;
    let plan = Plan::of(&state, selected);
    let poller = poller::start(session, plan, interval, desk.clone());
    // Thousands of names; they are needed only after the first look.
    state.offer(complete::filter_word_list(), view::fields(&selected));
    let mut screen = Screen::enter(matches.get_flag("mouse")).map_err(|error| End::unwritten(&error))?;
    let theme = theme(matches);
    if theme.is_none() {
        // The answer arrives among the keys, or never, so nothing waits for it.
        screen.ask_background().map_err(|error| End::unwritten(&error))?;
    }
    if let Err(error) = input::start(&events) {
        terminal::restore();
        return Err(End::unseen(format!("cannot receive keys and signals: {error}")));
    }
    let mut live = Live {
        state,
        theme: theme.unwrap_or_default(),
        asks_background: theme.is_none(),
        screen,
        base,
        asked,
        selected,
        cheap,
        needs,
        are_many: None,
        asked_more: None,
        awaits_more: false,
        rounds: None,
        desk,
        poller,
        events,
    };
    let end = live.serve(&inbox);
    terminal::restore();
    match end {
        Ok(None) => Ok(()),
        Ok(Some(signal)) => {
            // End by the signal, because shells distinguish that from a normal exit.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            Ok(())
        }
        Err(error) => Err(End::unwritten(&error)),
    }
}

/// The thread of the screen.
struct Live {
    state: State,
    theme: Theme,
    /// Whether the terminal was asked for its background colour.
    asks_background: bool,
    screen: Screen,
    /// The options of the command line, without the filter.
    base: Asked,
    asked: Asked,
    selected: Selected,
    /// The values that presets read at little cost.
    cheap: Needs,
    needs: Needs,
    /// Whether there are many sockets; `None` if that is not known yet.
    are_many: Option<bool>,
    /// When details of a socket were last requested, and whether they have arrived.
    asked_more: Option<Instant>,
    awaits_more: bool,
    /// The doctor, while its findings are shown.
    rounds: Option<Rounds>,
    desk: Desk,
    poller: Sender<Said>,
    events: Sender<Event>,
}

impl Live {
    /// Handles events until the end; returns the signal that caused it, if any.
    fn serve(&mut self, inbox: &Receiver<Event>) -> std::io::Result<Option<i32>> {
        self.judge();
        self.draw()?;
        while let Ok(event) = inbox.recv() {
            let mut event = Some(event);
            // Handle everything that has arrived before drawing.
            while let Some(next) = event {
                if let ControlFlow::Break(end) = self.take(next)? {
                    return Ok(end);
                }
                event = inbox.try_recv().ok();
            }
            if let Some(job) = self.state.take_job() {
                let events = self.events.clone();
                thread::spawn(move || events.send(Event::Ordered(Box::new(job.run()))));
            }
            self.judge();
            self.draw()?;
        }
        Ok(None)
    }

    /// Runs the doctor only while its findings are shown.
    fn judge(&mut self) {
        if !self.needs.has(Needs::FINDINGS) && self.state.detailed().is_none() {
            if self.rounds.take().is_some() {
                let _ = self.poller.send(Said::Found(None));
            }
            return;
        }
        let subject = Subject::new(&self.asked, self.selected);
        if self.rounds.as_ref().is_none_or(|rounds| rounds.subject != subject) {
            let rounds = Rounds::start(subject);
            let _ = self.poller.send(Said::Found(Some(rounds.desk().clone())));
            self.rounds = Some(rounds);
        }
    }

    /// Handles one event; breaks if it ends the program.
    fn take(&mut self, event: Event) -> std::io::Result<ControlFlow<Option<i32>>> {
        match event {
            Event::Key(key) => {
                if let Some(action) = self.state.press(key) {
                    return self.act(action);
                }
            }
            Event::Background(is_light) => {
                if self.asks_background {
                    self.theme = if is_light { Theme::Light } else { Theme::Dark };
                }
            }
            Event::Hangup => return Ok(ControlFlow::Break(None)),
            Event::Signal(SIGWINCH) => {}
            Event::Signal(SIGTSTP) => self.suspend()?,
            Event::Signal(SIGCONT) => self.resume()?,
            Event::Signal(signal) => return Ok(ControlFlow::Break(Some(signal))),
            Event::Look => {
                if let Some((shot, detail)) = self.desk.take() {
                    let count = shot.entries().len();
                    self.state.look(shot, detail);
                    self.count(count);
                    self.ask_more();
                }
            }
            Event::Trouble(why) => self.state.trouble(&why),
            Event::Opened(opened) => self.opened(*opened),
            Event::Said(text) => self.state.say(&text),
            Event::More(more) => {
                self.awaits_more = false;
                self.state.more(*more);
            }
            Event::Ordered(ordered) => self.state.ordered(*ordered),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn act(&mut self, action: Action) -> std::io::Result<ControlFlow<Option<i32>>> {
        match action {
            Action::Quit => return Ok(ControlFlow::Break(None)),
            Action::Suspend => self.suspend()?,
            Action::Redraw => self.screen.forget(),
            Action::Copy(text) => self.screen.copy(&text)?,
            Action::CopyJson(row) => {
                let text = save::json(self.state.shot(), row);
                self.state.say(&format!("sent to the terminal's clipboard: {text}"));
                self.screen.copy(&text)?;
            }
            Action::Read => {
                self.read();
                self.asked_more = None;
                self.ask_more();
            }
            Action::Filter(line) => match self.base.filtered(&line) {
                Ok(asked) => self.open(Some(line), asked),
                Err(end) => self.state.filter_refused(&said(&end)),
            },
            Action::Kill(table, id) => {
                let events = self.events.clone();
                thread::spawn(move || events.send(Event::Said(kill(table, id))));
            }
            Action::Save => {
                let (shot, rows) = (self.state.shot().clone(), self.state.listed().collect());
                let (columns, events) = (self.state.columns().to_vec(), self.events.clone());
                thread::spawn(move || events.send(Event::Said(save::save(&shot, rows, &columns))));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// With few sockets, reads everything that any preset shows, so that it is available
    /// immediately.  With many sockets that would be too expensive, and processes are looked
    /// up less often than the rest.
    fn count(&mut self, sockets: usize) {
        let had = self.are_many;
        // Hysteresis: once there are many sockets, slightly fewer still count as many.
        let most = if had == Some(true) { poller::FEW / 2 } else { poller::FEW };
        let are_many = sockets > most;
        self.are_many = Some(are_many);
        if had == Some(are_many) {
            return;
        }
        self.ask();
    }

    /// Reads what the view needs now; opens another session if the present one lacks fields.
    fn read(&mut self) {
        let plan = Plan::of(&self.state, self.selected);
        let _ = self.poller.send(Said::Plan(plan));
        self.ask();
    }

    /// Opens another session if the view needs other values than before.  Values that are no
    /// longer needed are neither read nor mentioned in messages.
    fn ask(&mut self) {
        let wanted = over_time::choices(&self.state.wanted().join(","), &self.selected).unwrap_or_default();
        let base = if self.are_many == Some(true) { Needs::NONE } else { self.cheap };
        let needs = base.union(over_time::needs(&wanted));
        if needs != self.needs {
            self.needs = needs;
            self.open(None, self.asked.clone());
        }
    }

    /// Looks up further details of the selected socket, from time to time.
    fn ask_more(&mut self) {
        let Some(id) = self.state.detailed() else { return };
        let pause = if self.are_many == Some(true) { MORE_OF_MANY } else { MORE };
        let is_due = self.asked_more.is_none_or(|asked| asked.elapsed() >= pause);
        let shot = self.state.shot();
        let entry = shot.find(id).and_then(|row| shot.entries().get(row));
        let Some(entry) = entry.filter(|_| is_due && !self.awaits_more) else { return };
        let (table, netns, events) = (entry.table, self.asked.netns.clone(), self.events.clone());
        (self.asked_more, self.awaits_more) = (Some(Instant::now()), true);
        let found = self.rounds.as_ref().and_then(|rounds| rounds.desk().known());
        thread::spawn(move || {
            let more = More {
                found: found.map(|found| more::found(found, id)),
                ..more::more(table, id, netns.as_ref())
            };
            events.send(Event::More(Box::new(more)))
        });
    }

    /// Opens a session in the background while the current one continues.
    fn open(&mut self, filter: Option<String>, mut asked: Asked) {
        let (needs, events) = (self.needs, self.events.clone());
        thread::spawn(move || {
            let selected = match over_time::selected(&mut asked) {
                Ok(selected) => selected,
                Err(end) => return events.send(Event::Trouble(said(&end))),
            };
            let session = Session::open(question(&asked, selected, needs)).map_err(|error| refused(&error));
            let opened = Opened { filter, asked, selected, needs, session };
            events.send(Event::Opened(Box::new(opened)))
        });
    }

    fn opened(&mut self, opened: Opened) {
        let Opened { filter, asked, selected, needs, session } = opened;
        match (session, filter) {
            (Ok(session), filter) => {
                let are_same = filter.is_none();
                if let Some(filter) = &filter {
                    self.state.filter_taken(filter);
                    (self.asked, self.selected) = (asked, selected);
                    self.are_many = None;
                }
                let plan = Plan::of(&self.state, self.selected);
                let _ = self.poller.send(Said::Session(Box::new(session), plan, are_same));
                if needs != self.needs {
                    // The view has come to need further fields in the meantime.
                    self.open(None, self.asked.clone());
                }
            }
            (Err(why), Some(_)) => self.state.filter_refused(&why),
            (Err(why), None) => self.state.say(&why),
        }
    }

    fn draw(&mut self) -> std::io::Result<()> {
        let (width, height) = Screen::size()?;
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        let cursor = draw(&mut buffer, &mut self.state, self.theme);
        if width == 0 || height == 0 { Ok(()) } else { self.screen.show(buffer, cursor) }
    }

    /// Restores the terminal and stops the process; takes the terminal again when continued.
    fn suspend(&mut self) -> std::io::Result<()> {
        terminal::restore();
        let _ = signal_hook::low_level::emulate_default_handler(SIGTSTP);
        self.resume()
    }

    fn resume(&mut self) -> std::io::Result<()> {
        terminal::take()?;
        self.screen.forget();
        Ok(())
    }
}

/// The message of an `End`, without the program's name.
fn said(end: &End) -> String {
    let text = end.text.as_deref().unwrap_or_default();
    text.trim_start_matches("sockdiag: ").trim_end().to_owned()
}

/// Why a question cannot be asked; a wrong filter is shown with its error marked.
fn refused(error: &AskError) -> String {
    match error {
        AskError::Filter(refused) => format!("{}\n{}", refused.error, refused.picture()),
        error => error.to_string(),
    }
}

/// Kills a socket, identified by namespace and cookie, and returns a message with the result.
fn kill(table: sockdiag::Table, id: Id) -> String {
    let Id { netns, cookie } = id;
    let mut sockets =
        Sockets::of(&[table]).states(StateSet::ALL).filter(format!("socket.cookie = {cookie:#x}"));
    if netns != 0 {
        sockets = sockets.netns(netns.to_string());
    }
    let mut verdict = Verdict::Gone;
    let outcome = sockets.destroy(|row, became| {
        if row.cookie() == Some(cookie) {
            verdict = became;
        }
        ControlFlow::Continue(())
    });
    match (outcome, verdict) {
        (Err(error), _) => format!("the socket was not killed: {error}"),
        (Ok(_), Verdict::Destroyed) => "the socket was killed".to_owned(),
        (Ok(_), verdict) => format!("the socket was not killed: {verdict}"),
    }
}
