//! The rows that match one rule, in groups, each with its most telling row.
//!
//! Invariant: the number of groups kept per rule is limited, however many rows there are;
//! further groups are counted.

use std::collections::HashMap;
use std::hash::RandomState;

use sockdiag_facts::Row;
use sockdiag_facts::fields::{Choice, Unit, put_address};
use sockdiag_facts::model::{Addr, Origin, Record, Socket};

use crate::amount;
use crate::check::{Checked, Show};
use crate::finding::Evidence;
use crate::quantity::{Amounts, number};
use crate::rule::Severity;

/// The largest number of groups kept per rule.
const MOST_GROUPS: usize = 1 << 14;
/// The largest number of sockets kept per group.
const MOST_MEMBERS: usize = 1 << 16;

/// A stored socket.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) netns: u64,
    pub(crate) origin: Origin,
    pub(crate) bytes: Box<[u8]>,
    pub(crate) cookie: u64,
}

impl Sample {
    pub(crate) fn socket(&self) -> Option<Socket<'_>> {
        Socket::decode(Record { origin: self.origin, bytes: &self.bytes })
    }
}

/// The most telling row of a group.
#[derive(Clone, Debug)]
pub(crate) struct Worst {
    /// How bad it is; more is worse.
    rank: f64,
    pub(crate) shown: Vec<Option<Evidence>>,
    pub(crate) keys: Vec<(String, String)>,
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) sample: Sample,
    /// The amounts of this row, if the rule judges single rows.
    pub(crate) amounts: Option<Amounts>,
}

/// Rows with the same values in the rule's group fields.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) netns: u64,
    pub(crate) netns_title: Option<String>,
    pub(crate) fields: Vec<Evidence>,
    pub(crate) amounts: Amounts,
    /// The severity of the worst row, if the rule judges single rows.
    pub(crate) severity: Option<Severity>,
    pub(crate) traffic: f64,
    pub(crate) worst: Option<Worst>,
    pub(crate) holders: Vec<String>,
    /// Its sockets by namespace and cookie, if they are kept.
    pub(crate) members: Vec<(u64, u64)>,
    /// Whether the third look confirmed it.
    pub(crate) is_confirmed: bool,
}

/// The groups found for one rule.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    pub(crate) groups: HashMap<(u64, Vec<u8>), Group>,
    /// Rows of groups that exceeded the limit.
    pub(crate) left_out: u64,
}

/// Fields that identify every group, in addition to the rule's own.
const KEYS: [&str; 9] = [
    "local.addr",
    "local.port",
    "remote.addr",
    "remote.port",
    "socket.cookie",
    "remote.addr/24:48",
    "service.side",
    "service.addr",
    "service.port",
];

/// The fields that every rule reads.
#[derive(Debug)]
pub(crate) struct Readers {
    keys: Vec<Choice>,
    traffic: Option<Choice>,
    keeps_members: bool,
    pub(crate) hash: RandomState,
}

impl Readers {
    pub(crate) fn new(catalog: &sockdiag_facts::fields::Catalog) -> Self {
        let choice = |name: &str| Choice::new(catalog, name).ok();
        Self {
            keys: KEYS.iter().filter_map(|name| choice(name)).collect(),
            traffic: choice("goodput_bytes_per_s"),
            keeps_members: false,
            hash: RandomState::new(),
        }
    }

    /// From now on, keeps the sockets of each group.
    pub(crate) fn keep_members(&mut self) {
        self.keeps_members = true;
    }

    /// What the session must collect so that these fields can be read.
    pub(crate) fn needs(&self) -> sockdiag_facts::fields::Needs {
        let choices = self.keys.iter().chain(&self.traffic);
        choices.fold(sockdiag_facts::fields::Needs::NONE, |needs, choice| needs.union(choice.needs()))
    }

    fn traffic(&self, row: &Row<'_>) -> f64 {
        self.traffic.as_ref().and_then(|choice| number(choice, row)).unwrap_or(0.0)
    }
}

/// `ADDRESS:PORT`, with an IPv6 address in brackets.
fn end_text(addr: Addr, port: i64) -> String {
    let mut text = Vec::new();
    let is_v6 = matches!(addr, Addr::V6(_)) && addr.mapped_v4().is_none();
    if is_v6 {
        text.push(b'[');
    }
    put_address(&mut text, addr.one_host());
    if is_v6 {
        text.push(b']');
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    format!("{text}:{port}")
}

/// The value of a field in a row, as evidence for a finding.
pub(crate) fn evidence(choice: &Choice, error: Option<&Choice>, row: &Row<'_>) -> Option<Evidence> {
    let mut text = Vec::new();
    if !choice.put(&mut text, row) {
        return None;
    }
    let number = number(choice, row);
    let error = error.and_then(|error| self::number(error, row)).filter(|error| *error > 0.0);
    let unit = choice.unit();
    let text = match number {
        // The field's unit differs between sockets, so the rule's sentence names it.
        Some(number) if choice.named().field.bare => amount::digits(number),
        Some(number) if unit != Unit::None => amount::text(number, unit),
        _ => String::from_utf8_lossy(&text).into_owned(),
    };
    Some(Evidence { name: choice.full_name(), text, number, error, unit })
}

/// The two ends of a row's socket; for a unix socket, its name.
fn ends(row: &Row<'_>) -> (String, String) {
    let socket = row.socket;
    if let Some(name) = row.value("unix.name") {
        let name = sockdiag_facts::fields::printable(&name.text().unwrap_or_default());
        return (name, String::new());
    }
    (end_text(socket.local.addr, socket.local.port), end_text(socket.remote.addr, socket.remote.port))
}

impl Worst {
    fn of(rule: &Checked, readers: &Readers, row: &Row<'_>, netns: u64, rank: f64) -> Self {
        let socket = row.socket;
        let shown = rule.shown.iter().map(|shown| match &shown.show {
            Show::Field(choice, error) => evidence(choice, error.as_ref(), row),
            Show::Amount(_) => None,
        });
        let mut keys = Vec::new();
        for choice in readers.keys.iter().chain(&rule.group) {
            let mut text = Vec::new();
            if choice.put(&mut text, row) {
                keys.push((choice.full_name(), String::from_utf8_lossy(&text).into_owned()));
            }
        }
        let (local, remote) = ends(row);
        Self {
            rank,
            shown: shown.collect(),
            keys,
            local,
            remote,
            sample: Sample {
                netns,
                origin: socket.origin,
                bytes: socket.bytes.into(),
                cookie: row.cookie().unwrap_or(0),
            },
            amounts: None,
        }
    }
}

impl Candidates {
    /// Adds a row that meets the conditions of a rule.
    pub(crate) fn take(
        &mut self,
        rule: &Checked,
        readers: &Readers,
        row: &Row<'_>,
        netns: u64,
        seconds: Option<f64>,
    ) {
        let (single, severity, value) = if rule.rule.subject.is_single() {
            // If rows are judged singly, a row below the thresholds is not a match.
            let mut amounts = Amounts::new(&rule.aggregates);
            amounts.add(&rule.aggregates, &readers.hash, row);
            if !rule.least.iter().all(|least| least.holds(&amounts, seconds)) {
                return;
            }
            let Some(value) = rule.quantity.of(&amounts, seconds) else { return };
            let Some(severity) = rule.severity(value) else { return };
            (Some(amounts), Some(severity), Some(value))
        } else {
            let leading = rule.quantity.leading().and_then(|at| rule.aggregates.get(at));
            (None, None, leading.and_then(|of| number(&of.choice, row)))
        };
        let (mut key, mut starts) = (Vec::new(), Vec::new());
        for choice in &rule.group {
            starts.push(key.len());
            choice.put(&mut key, row);
            key.push(0);
        }
        let is_full = self.groups.len() >= MOST_GROUPS;
        if is_full && !self.groups.contains_key(&(netns, key.clone())) {
            self.left_out += 1;
            return;
        }
        let group = self.groups.entry((netns, key)).or_insert_with(|| Group {
            netns,
            netns_title: row.names.netns.map(|netns| sockdiag_facts::fields::printable(&netns.title)),
            fields: rule.group.iter().filter_map(|choice| evidence(choice, None, row)).collect(),
            amounts: Amounts::new(&rule.aggregates),
            severity: None,
            traffic: 0.0,
            worst: None,
            holders: Vec::new(),
            members: Vec::new(),
            is_confirmed: false,
        });
        group.amounts.add(&rule.aggregates, &readers.hash, row);
        group.severity = group.severity.max(severity);
        group.traffic += readers.traffic(row);
        if readers.keeps_members
            && group.members.len() < MOST_MEMBERS
            && let Some(cookie) = row.cookie()
        {
            group.members.push((netns, cookie));
        }
        let rank = match (value, rule.is_upward()) {
            (Some(value), true) => value,
            (Some(value), false) => -value,
            (None, _) => f64::NEG_INFINITY,
        };
        if group.worst.as_ref().is_none_or(|worst| rank > worst.rank) {
            group.worst = Some(Worst { amounts: single, ..Worst::of(rule, readers, row, netns, rank) });
        }
    }
}
