//! `sockdiag watch`: a line for each socket that opens, closes or changes.
//!
//! Invariant: nothing is written while nothing happens, and every line is written by the end
//! of the look that found it.

#![allow(clippy::cast_precision_loss, reason = "what people are shown is rounded")]

use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use sockdiag::Sink as _;
use sockdiag::ending::Ending;
use sockdiag::fields::{Catalog, Choice, Unit, put_amount};
use sockdiag::model::{Row, states};
use sockdiag::notice::Notice;
use sockdiag::observer::{Changes, Frame, FrameSink, Gone, Seen};
use sockdiag::source::DumpError;
use sockdiag_options::Kind;
use sockdiag_render::json::{Form, Header, Json, Opening};
use sockdiag_render::lead::Lead;
use sockdiag_screen::counted;

use crate::end::End;
use crate::options::{self, Asked};
use crate::output::{Stdout, write_all};
use crate::over_time::{self, Clock, Stop, Told};
use crate::{complete, time_span};

/// The columns of every line.
const SHOWN: &str =
    "socket.netid,socket.state,local.addr,local.port,remote.addr,remote.port,socket.processes";
/// Further columns for a socket that ended: its last counters.
const FINAL: &str = "ended,age,tcp.bytes_sent,tcp.bytes_received,tcp.bytes_acked,tcp.bytes_retrans,rtt";
/// Further members of a JSON object.
const IDENTITY: &str = "socket.cookie,socket.inode,socket.uid";
/// Further columns with several namespaces.
const NETNS: &str = "netns.title,netns.inode";
/// Bytes of lines that are buffered within a look.
const MOST_WAITING: usize = 32 << 10;
/// The shortest time between looks, however many sockets end.
const NEAREST: Duration = Duration::from_millis(100);

/// Examples for the help text.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("sockdiag watch", "Show TCP connections that open, end or change their state, as it happens."),
    ("sockdiag watch dport = :5432", "Show only connections to PostgreSQL."),
    (
        "sockdiag watch 'ended = reset,timeout,aborted,failed'",
        "Show only connections that end with a reset, a timeout or another error.",
    ),
    (
        "sockdiag watch --jsonl --for 10m comm = nginx",
        "Record the connections of nginx for ten minutes, as JSON lines.",
    ),
    (
        "sockdiag watch --fields tcp.ca_state,tcp.snd_cwnd dst 192.0.2.7",
        "Also print a line when one of these fields changes.",
    ),
    ("sockdiag watch -l", "Show listeners that appear and disappear."),
];

/// The sub-command.
pub(crate) fn command() -> Command {
    let command = Command::new("watch")
        .about(
            "Print a line for each socket that opens (+), closes (-) or changes (~), and for missed \
            closes (!)",
        )
        .long_about(
            "Prints a line for each socket that opened (+), closed (-) or changed (~).  A socket counts as \
             changed when its state or a field of --fields changes; counters and times are compared only if \
             --fields names them.  A connection request (SYN-RECV) counts as opened once the connection is \
             established.  State options and state words apply to closed sockets as to opened ones: a \
             closed listener is shown with -l or -a.  Without a table option it shows TCP.\n\nThe line of a \
             closed socket has its last counters, and `ended` says how it ended: closed-by-us or \
             closed-by-peer, if it is known who closed first; closed if it is not, for example if the peer \
             is on another machine and closed between two polls; reset; timeout; aborted (by SO_LINGER; \
             sockets destroyed by ss -K mostly show as reset or timeout, since the kernel does not report \
             the error); failed, if the connection was refused, not answered or given up before it was \
             established; or ended, if the kernel does not say how.  A remaining TIME-WAIT socket shows who \
             closed first; it is looked up for up to 500 closed sockets per poll.  bytes_received and \
             bytes_acked count a FIN as one byte, and bytes_acked the SYN of the side that connects, as the \
             kernel does; bytes_sent does not.\n\nThe kernel reports each TCP and UDP socket that closes, \
             if the caller may subscribe to these reports: Linux 6.18 requires no capability for the \
             caller's own network namespace.  So sockets that open and close between two polls are seen, \
             too: they have only a line with -, no age and no processes, so a condition on processes \
             excludes them.  If the kernel has to drop reports, a line with ! says how many; if it refuses \
             to report, watch says so, and a socket that is missing from a poll counts as closed, with the \
             counters of the previous poll.\n\nAmounts have units; with --jsonl they are plain numbers \
             under full names, which end in the unit.  On a terminal the last line, on stderr, says how \
             many sockets opened, closed and changed.",
        )
        .arg(over_time::interval())
        .arg(over_time::stay())
        .arg(
            Arg::new("for")
                .long("for")
                .value_name("TIME")
                .help("Stop after this time: 30s, 5m (default: run until interrupted)")
                .value_parser(time_span::parse)
                .allow_negative_numbers(true)
                .help_heading(over_time::WHEN),
        )
        .arg(
            Arg::new("fields")
                .long("fields")
                .value_name("FIELD[,FIELD]")
                .help("Also print a line when one of these fields changes; at most 32")
                .value_parser(value_parser!(String))
                .add(complete::fields(Kind::Fields))
                .help_heading("Output"),
        )
        .arg(
            Arg::new("jsonl")
                .long("jsonl")
                .help("Write one JSON object per line; `change` is opened, closed, changed or lost")
                .action(ArgAction::SetTrue)
                .help_heading("Output"),
        );
    options::with_selection(command, true)
}

/// Runs the sub-command.
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
    let [shown, finals, watched] =
        [shown, finals, watched].map(|choices| choices.into_iter().map(Choice::for_people).collect());
    let mut lines =
        Lines { shown, finals, watched, json, told: Told::default(), text: Vec::new(), time: None };
    let mut clock = Clock::of(matches);
    let begin = Instant::now();
    let end = matches.get_one::<Duration>("for").and_then(|time| begin.checked_add(*time));
    // The last line is printed only on a terminal.
    let stop = io::stderr().is_terminal().then(Stop::listen).and_then(Result::ok);
    let mut total = Total::default();
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
        lines.told.unheld(&frame);
        total.add(&frame);
        let is_stopped = stop.as_ref().is_some_and(Stop::is_due);
        if is_stopped || end.is_some_and(|end| end <= Instant::now()) {
            break;
        }
        let descriptors: Vec<_> = observer.descriptors().collect();
        clock.wait_or_read(NEAREST, end, stop.as_ref().map(|stop| stop.as_fd()), &descriptors);
    }
    if let Some(stop) = stop {
        lines.told.text(total.sentence(begin.elapsed()));
        stop.pass_on();
    }
    Ok(())
}

/// Totals over all looks.
#[derive(Default)]
struct Total {
    opened: u64,
    closed: u64,
    changed: u64,
    lost: u64,
}

impl Total {
    fn add(&mut self, frame: &Frame) {
        self.opened += frame.opened + frame.brief;
        self.closed += frame.closed;
        self.changed += frame.changed;
        self.lost += frame.lost;
    }

    fn sentence(&self, time: Duration) -> String {
        let Self { opened, closed, changed, lost } = *self;
        let opened = counted(opened, "socket");
        let lost = if lost > 0 { format!(", {lost} more closed unreported") } else { String::new() };
        format!("in {:.1}s {opened} opened, {closed} closed, {changed} changed{lost}", time.as_secs_f64())
    }
}

/// Writes lines.
struct Lines {
    shown: Vec<Choice>,
    finals: Vec<Choice>,
    watched: Vec<Choice>,
    /// The writer of JSON objects.
    json: Option<Json<'static>>,
    told: Told,
    /// Lines that are not written yet.
    text: Vec<u8>,
    /// The time of the look; set when the first line needs it.
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

    /// Writes a line that is not about a row.
    fn line(&mut self, line: &str) -> io::Result<()> {
        // Rows before it come first.
        if let Some(json) = &mut self.json {
            json.flush()?;
        }
        self.text.extend_from_slice(line.as_bytes());
        self.flush()
    }

    /// Writes the buffered lines once there are many.
    fn written(&mut self) -> io::Result<()> {
        if self.text.len() >= MOST_WAITING { self.flush() } else { Ok(()) }
    }

    /// Writes the buffered lines.
    fn flush(&mut self) -> io::Result<()> {
        if let Some(json) = &mut self.json {
            json.flush()?;
        }
        let result = write_all(&self.text);
        self.text.clear();
        result
    }

    /// Reports that sockets ended unseen.
    fn lost(&mut self, lost: u64) -> io::Result<()> {
        let time = self.time.get_or_insert_with(over_time::time);
        if self.json.is_some() {
            let line = format!("{{\"change\":\"lost\",\"time\":\"{time}\",\"lost\":{lost}}}\n");
            return self.line(&line);
        }
        let sockets = counted(lost, "socket");
        let line = format!("{time} ! {sockets} closed unreported: the kernel dropped its reports\n");
        self.line(&line)
    }
}

/// The names of the watched fields whose bits are set.
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
            let mut age = Vec::new();
            put_amount(&mut age, *age_ms as f64, Unit::Milliseconds);
            let age = String::from_utf8_lossy(&age);
            format!(
                "{time} - cookie={cookie} netns={netns_inode} state_was={state} ended={ended} age={age}\n"
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
