//! `sockdiag doctor`: what is wrong with sockets, and which process causes it.
//!
//! It looks twice at all sockets and at the counters of their namespaces, then a third time
//! at each suspect socket.  [`sockdiag_doctor`] judges; this module queries the kernel and
//! prints the findings.
//!
//! Invariant: the exit status is that of the worst finding; missing information never looks
//! like health.

mod looks;
mod report;
pub(crate) mod rounds;

use std::fs;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use sockdiag::fields::{Catalog, Needs};
use sockdiag::model::{StateSet, Table};
use sockdiag_doctor::{About, Checked, Doctor, Finding, Severity};

use crate::end::{End, Status};
use crate::options::{self, Asked};
use crate::output::{Stream, write_by};
use crate::time_span;

/// The tables to look at if the user names none.
const TABLES: [Table; 9] = [
    Table::Tcp,
    Table::Mptcp,
    Table::Udp,
    Table::UnixStream,
    Table::UnixDgram,
    Table::UnixSeqpacket,
    Table::PacketRaw,
    Table::PacketDgram,
    Table::Netlink,
];

/// Examples for the help text.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("sockdiag doctor", "Show what is wrong in this network namespace, worst first."),
    ("sockdiag doctor --for 10s 'dport = :5432'", "Show what is wrong with connections to a database."),
    ("sockdiag doctor --netns all --json", "Check all network namespaces; print one JSON document."),
    ("sockdiag doctor --explain accept-queue-overflow", "Explain a finding, and how to check it by hand."),
];

/// The sub-command.
pub(crate) fn command() -> Command {
    let command = Command::new("doctor")
        .about("Find out what is wrong with sockets, and which process causes it")
        .long_about(
            "Samples the sockets and counters of a network namespace twice, then the suspect sockets once \
             more, and prints what is wrong: one entry for each finding, worst first, with the numbers \
             behind it, what else could explain it, and what to do next.  The consequences of a finding \
             are listed with it.  --explain explains each diagnosis.  Without privileges it checks what it \
             can see, and reports what it cannot.  It exits with 0 if nothing is wrong, 1 if there are \
             warnings, 2 if something is critical, and 3 if it could not see enough.",
        )
        .arg(
            Arg::new("for")
                .long("for")
                .value_name("TIME")
                .help("How long to observe: 2s, 5s, 1m")
                .default_value("5s")
                .value_parser(time_span::parse_some)
                .help_heading("Timing"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .help("Write one JSON document; its schema: sockdiag doctor --json-schema")
                .action(ArgAction::SetTrue)
                .help_heading("Output"),
        )
        .arg(
            Arg::new("list")
                .long("list")
                .help("List the diagnoses, one per line, and exit")
                .action(ArgAction::SetTrue)
                .help_heading("Output"),
        )
        .arg(
            Arg::new("explain")
                .long("explain")
                .value_name("ID")
                .help(
                    "Explain a diagnosis: meaning, formula, thresholds and their sources, how to check \
                    it by hand",
                )
                .value_parser(value_parser!(String))
                .help_heading("Output"),
        )
        .arg(
            Arg::new("json-schema")
                .long("json-schema")
                .help("Print the schema of the JSON document")
                .action(ArgAction::SetTrue)
                .help_heading("Output"),
        )
        .arg(
            Arg::new("rules")
                .long("rules")
                .value_name("FILE")
                .help("Add the rules of this file (TOML); a rule with the id of a built-in one replaces it")
                .value_hint(ValueHint::FilePath)
                .value_parser(value_parser!(std::path::PathBuf))
                .help_heading("Rules"),
        );
    options::with_selection(command, false)
}

/// Runs the sub-command.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), End> {
    // Status 2 means a critical finding here, so a usage error ends with 3.
    asked(matches).map_err(|end| match end.code {
        code if code == Status::Usage as u8 && end.text.is_some() => {
            End { code: Status::Unseen as u8, ..end }
        }
        _ => end,
    })
}

/// The built-in rules, and those of `--rules`.
fn rules(matches: &ArgMatches, catalog: &Catalog) -> Result<Vec<Checked>, End> {
    let rules = sockdiag_doctor::built_in(catalog).map_err(End::usage)?;
    let Some(path) = matches.get_one::<std::path::PathBuf>("rules") else { return Ok(rules) };
    let text = fs::read_to_string(path)
        .map_err(|error| End::usage(format!("cannot read the rules: {}: {error}", path.display())))?;
    let others = sockdiag_doctor::read(catalog, &path.display().to_string(), &text).map_err(End::usage)?;
    Ok(sockdiag_doctor::merged(rules, others))
}

fn asked(matches: &ArgMatches) -> Result<(), End> {
    let catalog = Catalog::shared();
    let rules = rules(matches, catalog)?;
    if matches.get_flag("json-schema") {
        let schema = format!("{:#}\n", sockdiag_doctor::schema());
        return Err(End::listed(schema));
    }
    if matches.get_flag("list") {
        let lines: Vec<String> = rules.iter().map(|rule| sockdiag_doctor::line(&rule.rule) + "\n").collect();
        return Err(End::listed(lines.concat()));
    }
    if let Some(id) = matches.get_one::<String>("explain") {
        return explain(&rules, id);
    }
    let mut asked = Asked::of(matches)?;
    if !asked.names_tables {
        for table in TABLES {
            asked.selection.add_table(table);
        }
    }
    // Look at all states: sockets in other states are evidence about the chosen ones.
    let states = asked.selection.has_states().then(|| asked.selection.resolve().map(|asked| asked.states));
    let states = states.transpose().map_err(|empty| End::usage(empty.to_string()))?;
    asked.selection.request(StateSet::ALL);
    let selected = asked.selection.resolve().map_err(|empty| End::usage(empty.to_string()))?;
    let time = matches.get_one::<Duration>("for").copied().unwrap_or(Duration::from_secs(5));
    let mut doctor = Doctor::of(catalog, rules);
    let looks = looks::look(&mut doctor, &asked, selected, states, time)?;
    let findings = doctor.findings();
    let left_out = doctor.left_out();
    if left_out > 0 {
        doctor.could_not_see(format!("{left_out} further findings were left out"));
    }
    let not_judged = doctor.not_judged(selected.tables, looks.has_counters);
    let about = About {
        sockets: doctor.judged(),
        namespaces: looks.namespaces,
        rules: u64::try_from(doctor.rules().len()).unwrap_or(0),
    };
    let seconds = looks.seconds;
    let text = if matches.get_flag("json") {
        let text = sockdiag_doctor::document(seconds, &about, &findings, &not_judged, doctor.unseen());
        text.map_err(|error| End::unseen(error.to_string()))?
    } else {
        report::text(seconds, &about, &findings, &not_judged, doctor.unseen())
    };
    write_by(Stream::Out, text.as_bytes(), None).map_err(|error| End::unwritten(&error))?;
    let code = status(&findings, looks.is_blind);
    if code == 0 { Ok(()) } else { Err(End { code, text: None, list: None }) }
}

/// The exit status.
fn status(findings: &[Finding], is_blind: bool) -> u8 {
    match findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Critical) => 2,
        Some(Severity::Warning) => 1,
        _ if is_blind => Status::Unseen as u8,
        _ => 0,
    }
}

/// The page of all built-in diagnoses.
///
/// # Errors
/// Never in practice: a test reads the built-in rules.
pub(crate) fn page() -> Result<String, End> {
    let rules = sockdiag_doctor::built_in(Catalog::shared()).map_err(End::usage)?;
    Ok(sockdiag_doctor::markdown(&rules))
}

fn explain(rules: &[Checked], id: &str) -> Result<(), End> {
    let wanted = |checked: &&Checked| {
        checked.rule.id() == id || !id.is_empty() && checked.rule.number.eq_ignore_ascii_case(id)
    };
    let found: Vec<String> = rules.iter().filter(wanted).map(sockdiag_doctor::explanation).collect();
    if found.is_empty() {
        let near = rules.iter().min_by_key(|rule| sockdiag::fields::distance(rule.rule.id(), id));
        let near = near.map_or("", |rule| rule.rule.id());
        return Err(End::usage(format!(
            "there is no diagnosis \"{}\"; the most similar id is {near}; --list shows all",
            id.escape_debug()
        )));
    }
    Err(End::listed(found.join("\n")))
}

/// The values that rows must have, except those that the doctor supplies itself.
fn needs_of(doctor: &Doctor) -> Needs {
    doctor.needs().minus(Needs::AROUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worst_is_the_status() {
        assert_eq!((status(&[], false), status(&[], true)), (0, 3));
    }
}
