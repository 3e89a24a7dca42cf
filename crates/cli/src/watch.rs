//! `sockdiag watch`: a line for each socket that opens, closes or changes.
//!
//! Invariant: nothing is written while nothing happens, and no line waits longer
//! than the look that it came from.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use sockdiag::Sink as _;
use sockdiag::ending::Ending;
use sockdiag::fields::{Catalog, Choice};
use sockdiag::model::{Row, states};
use sockdiag::notice::Notice;
use sockdiag::observer::{Changes, FrameSink, Gone, Seen};
use sockdiag::source::DumpError;
use sockdiag_options::Kind;
use sockdiag_render::json::{Form, Header, Json, Opening};
use sockdiag_render::lead::Lead;

use crate::end::End;
use crate::options::{self, Asked};
use crate::output::{Stdout, write_all};
use crate::over_time::{self, Clock, Told};
use crate::{complete, time_span};

/// What is said of each socket.
const SHOWN: &str =
    "socket.netid,socket.state,local.addr,local.port,remote.addr,remote.port,socket.processes";
/// What is said of one that ended, besides: its last counters.
const FINAL: &str =
    "socket.ended,age_ms,tcp.bytes_sent,tcp.bytes_received,tcp.bytes_acked,tcp.bytes_retrans,tcp.rtt_us";
/// What an object holds besides.
const IDENTITY: &str = "socket.cookie,socket.inode,socket.uid";
/// In several namespaces.
const NETNS: &str = "netns.title,netns.inode";
/// Bytes of lines that wait within a look.
const MOST_WAITING: usize = 32 << 10;
/// Looks are not nearer to each other than this, however many sockets end.
const NEAREST: Duration = Duration::from_millis(100);

/// The sub-command.
pub(crate) fn command() -> Command {
    let command = Command::new("watch")
        .about("Print a line for each socket that opens (+), closes (-) or changes (~), and for ends that were missed (!)")
        .long_about(
            "Writes a line for each socket that opened (+), closed (-) or changed (~), and nothing while nothing does.  \
             A line of a socket that closed has its last counters, and `ended` with how it ended: closed-by-us, \
             closed-by-peer, closed (by whom first is not known), reset, timeout, aborted, failed, or ended where \
             the kernel's last word leaves that open.  With CAP_NET_ADMIN the kernel tells of each TCP and \
             UDP socket that ends, so those that live shorter than from one look to the next are seen, too; and if it has to drop \
             such messages, how many is said.  A socket changed when its state did, or a field of --fields; \
             counters and clocks do only if --fields names them.  A request for a connection (SYN-RECV) opens when the connection is made.  \
             Without a table option it is about TCP.",
        )
        .arg(over_time::interval())
        .arg(over_time::stay())
        .arg(
            Arg::new("for")
                .long("for")
                .value_name("TIME")
                .help("End after this time: 30s, 5m (else it goes on until it is stopped)")
                .value_parser(time_span::parse)
                .help_heading("When to look"),
        )
        .arg(
            Arg::new("fields")
                .long("fields")
                .value_name("FIELD[,FIELD]")
                .help("Fields whose changes are told, beside the state; at most 32")
                .value_parser(value_parser!(String))
                .add(complete::fields(Kind::Fields))
                .help_heading("What is said"),
        )
        .arg(
            Arg::new("jsonl")
                .long("jsonl")
                .help("Write a JSON object a line; `change` is opened, closed, changed or lost")
                .action(ArgAction::SetTrue)
                .help_heading("What is said"),
        );
    options::with_selection(command, true)
}

/// Does it.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), End> {
    let mut asked = Asked::of(matches)?;
    let selected = over_time::selected(&mut asked)?;
    let names = |names: &str| over_time::choices(names, &selected);
    let watched = matches.get_one::<String>("fields").map_or(Ok(Vec::new()), |fields| names(fields))?;
    if watched.len() > 32 {
        return Err(End::usage("--fields takes at most 32 fields"));
    }
    let mut shown = names(SHOWN)?;
    if asked.netns.is_some() {
        shown.splice(0..0, names(NETNS)?);
    }
    let finals = names(FINAL)?;
    let identity = names(IDENTITY)?;
    let all: Vec<Choice> = [&shown, &identity, &finals, &watched].into_iter().flatten().cloned().collect();
    let mut observer =
        over_time::observer(matches, &asked, selected, over_time::needs(&all), watched.clone())?;
    let opening = Opening { header: &Header::default(), summary: &[] };
    let json = matches
        .get_flag("jsonl")
        .then(|| Json::nested(Catalog::shared(), &all, Form::Lines, &opening, Box::new(Stdout)));
    let json = json.transpose().map_err(|error| End::unwritten(&error))?;
    let mut lines =
        Lines { shown, finals, watched, json, told: Told::default(), text: Vec::new(), time: None };
    let mut clock = Clock::of(matches);
    let end = matches.get_one::<Duration>("for").map(|time| std::time::Instant::now() + *time);
    loop {
        lines.time = None;
        let frame = observer.look(&mut lines).map_err(over_time::failed)?;
        if frame.number == 0
            && let Some(failure) = frame.failures.first()
            && frame.sockets == 0
        {
            return Err(End::unseen(failure.to_string()));
        }
        let written = if frame.lost > 0 { lines.lost(frame.lost) } else { lines.flush() };
        written.map_err(|error| End::unwritten(&error))?;
        if end.is_some_and(|end| end <= std::time::Instant::now()) {
            return Ok(());
        }
        let descriptors: Vec<_> = observer.descriptors().collect();
        clock.wait_or_read(NEAREST, &descriptors);
    }
}

/// Writes lines.
struct Lines {
    shown: Vec<Choice>,
    finals: Vec<Choice>,
    watched: Vec<Choice>,
    /// Where objects are written.
    json: Option<Json<'static>>,
    told: Told,
    /// Lines that are not written yet.
    text: Vec<u8>,
    /// When the look was made, once that was asked.
    time: Option<String>,
}

impl Lines {
    /// Writes a line about a row.
    fn write(&mut self, sign: &str, row: &Row<'_>, changes: Changes) -> io::Result<()> {
        let time = self.time.get_or_insert_with(over_time::time);
        if let Some(json) = &mut self.json {
            let change = match sign {
                "+" => "opened",
                "-" => "closed",
                _ => "changed",
            };
            let mut lead = Lead::default().text("change", change).text("time", time);
            if let Some(was) = changes.state_was {
                lead = lead.text("state_was", states::text(was));
            }
            if changes.fields != 0 {
                lead = lead.text("fields", &names(&self.watched, changes.fields).join(","));
            }
            json.lead(&lead);
            let _: ControlFlow<()> = json.row(row)?;
            return Ok(());
        }
        let line = &mut self.text;
        write!(line, "{time} {sign}")?;
        for choice in &self.shown {
            line.push(b' ');
            if !choice.put(line, row) {
                line.push(b'-');
            }
        }
        if let Some(was) = changes.state_was {
            write!(line, " state_was={}", states::text(was))?;
        }
        let changed = self.watched.iter().enumerate().filter(|(at, _)| changes.fields >> at & 1 == 1);
        let finals = self.finals.iter().filter(|_| sign == "-");
        for choice in changed.map(|(_, choice)| choice).chain(finals) {
            let start = line.len();
            write!(line, " {}=", choice.name().rsplit('.').next().unwrap_or_default())?;
            if !choice.put(line, row) {
                line.truncate(start);
            }
        }
        line.push(b'\n');
        self.written()
    }

    /// A line that is no row's.
    fn line(&mut self, line: &str) -> io::Result<()> {
        // Rows before it come first.
        if let Some(json) = &mut self.json {
            json.flush()?;
        }
        self.text.extend_from_slice(line.as_bytes());
        self.flush()
    }

    /// Writes lines, once there are many.
    fn written(&mut self) -> io::Result<()> {
        if self.text.len() >= MOST_WAITING { self.flush() } else { Ok(()) }
    }

    /// Writes every line.
    fn flush(&mut self) -> io::Result<()> {
        if let Some(json) = &mut self.json {
            json.flush()?;
        }
        let result = write_all(&self.text);
        self.text.clear();
        result
    }

    /// Writes that sockets ended unseen.
    fn lost(&mut self, lost: u64) -> io::Result<()> {
        let time = self.time.get_or_insert_with(over_time::time);
        if self.json.is_some() {
            let line = format!("{{\"change\":\"lost\",\"time\":\"{time}\",\"lost\":{lost}}}\n");
            return self.line(&line);
        }
        let (sockets, s) = (lost, if lost == 1 { "" } else { "s" });
        let line =
            format!("{time} ! {sockets} socket{s} ended unseen: messages of the kernel were dropped\n");
        self.line(&line)
    }
}

/// The watched fields of these bits.
fn names(watched: &[Choice], bits: u32) -> Vec<String> {
    let changed = watched.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
    changed.map(|(_, choice)| choice.full_name()).collect()
}

impl FrameSink for Lines {
    type Error = io::Error;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> io::Result<()> {
        match seen {
            Seen::Opened => self.write("+", row, Changes::default()),
            Seen::Closed => self.write("-", row, Changes::default()),
            Seen::Changed(changes) => self.write("~", row, changes),
            _ => Ok(()),
        }
    }

    fn gone(&mut self, gone: &Gone) -> io::Result<()> {
        let time = self.time.get_or_insert_with(over_time::time);
        let Gone { cookie, netns_inode, state, age_ms, .. } = gone;
        let ended = Ending::of_state(*state).word();
        let state = states::text(*state);
        let line = if self.json.is_some() {
            format!(
                "{{\"change\":\"closed\",\"time\":\"{time}\",\"state_was\":\"{state}\",\
                 \"socket\":{{\"cookie\":\"{cookie}\",\"ended\":\"{ended}\",\"age_ms\":{age_ms}}},\"netns\":{{\"inode\":{netns_inode}}}}}\n"
            )
        } else {
            format!(
                "{time} - cookie={cookie} netns={netns_inode} state_was={state} ended={ended} age_ms={age_ms}\n"
            )
        };
        self.line(&line)
    }

    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        self.told.notice(&notice);
        None
    }

    fn failure(&mut self, failure: &DumpError) {
        self.told.failure(failure);
    }
}
