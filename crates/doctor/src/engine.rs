//! The engine: takes rows and counters, returns findings.
//!
//! Rows are judged as they arrive: the engine keeps groups per rule, and for each group its
//! most telling row.  Rules are selected by a row's table and state; a condition shared by
//! several rules is tested once.

use std::collections::HashMap;

use sockdiag_facts::Row;
use sockdiag_facts::fields::{Catalog, Needs};
use sockdiag_facts::filter::{EvalContext, Expr};
use sockdiag_facts::model::{Names, Socket, SourceKind, TableSet};

use crate::amount;
use crate::candidates::{Candidates, Group, Readers, Sample, Worst};
use crate::check::{Checked, Show};
use crate::finding::{Draft, Evidence, Filling, Finding, MOST_FINDINGS, Measured, ranked};
use crate::joins::Joins;
use crate::quantity::Amounts;
use crate::rule::{On, Severity, Subject};
use crate::scene::{ByNetns, Numbers, Process, Readings, Scene};

/// The largest number of sockets for the third look.
const MOST_SUSPECTS: usize = 256;

/// The number of states of a row.
const STATES: usize = 16;
/// The number of tables of a row.
const TABLES: usize = 32;
/// The number of events of a row.
const EVENTS: usize = 3;

/// The range of ephemeral ports for conditions, if the row does not report one.
const CONTEXT: EvalContext = EvalContext { ports: (32_768, 60_999) };

/// What happened to the socket of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It exists.
    Live,
    /// It exists now, but did not at the previous look.
    Opened,
    /// It ended since the previous look.
    Closed,
}

/// A rule that was not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotJudged {
    /// The rule.
    pub id: String,
    /// The reason.
    pub why: String,
}

/// A socket that needs another look.
#[derive(Clone, Copy, Debug)]
pub struct Suspect<'d> {
    /// The inode of its namespace; 0 if only our own is looked at.
    pub netns: u64,
    sample: &'d Sample,
}

impl Suspect<'_> {
    /// The socket, as it was seen last.
    pub fn socket(&self) -> Option<Socket<'_>> {
        self.sample.socket()
    }
}

/// Rules that share a condition.
#[derive(Debug)]
struct Cluster {
    given: Option<Expr>,
    rules: Vec<usize>,
}

/// Everything known about a namespace.
#[derive(Default)]
struct Space {
    joins: Joins,
    readings: Readings,
}

/// Judges sockets.
pub struct Doctor {
    rules: Vec<Checked>,
    /// Clusters by event, table and state.
    clusters: Vec<Vec<Cluster>>,
    spaces: ByNetns<Space>,
    found: Vec<Candidates>,
    readers: Readers,
    /// Things that could not be seen.
    unseen: Vec<String>,
    /// The time between the looks.
    seconds: Option<f64>,
    judged: u64,
    nothing_around: Space,
    not_judged: Vec<NotJudged>,
}

impl std::fmt::Debug for Doctor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doctor").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

fn place(event: Event, table: usize, state: usize) -> usize {
    (event as usize * TABLES + table % TABLES) * STATES + state % STATES
}

impl Doctor {
    /// A doctor with these checked rules.
    pub fn of(catalog: &Catalog, rules: Vec<Checked>) -> Self {
        let mut clusters: Vec<Vec<Cluster>> = Vec::new();
        clusters.resize_with(EVENTS * TABLES * STATES, Vec::new);
        for event in [Event::Live, Event::Opened, Event::Closed] {
            for table in TableSet::EVERY.iter() {
                for state in 0..STATES {
                    let Some(clusters) = clusters.get_mut(place(event, table as usize, state)) else {
                        continue;
                    };
                    for (at, rule) in rules.iter().enumerate() {
                        let number = u8::try_from(state).unwrap_or(0);
                        // The event of a closed socket does not include its state.
                        let in_state = event == Event::Closed || rule.states.contains_number(number);
                        let looks = !rule.rule.subject.has_no_socket()
                            && is_on(rule.rule.on, event)
                            && rule.tables.contains(table)
                            && in_state;
                        if !looks {
                            continue;
                        }
                        match clusters.iter_mut().find(|cluster| cluster.given == rule.given) {
                            Some(cluster) => cluster.rules.push(at),
                            None => clusters.push(Cluster { given: rule.given.clone(), rules: vec![at] }),
                        }
                    }
                }
            }
        }
        let mut found = Vec::new();
        found.resize_with(rules.len(), Candidates::default);
        Self {
            clusters,
            found,
            rules,
            spaces: HashMap::new(),
            readers: Readers::new(catalog),
            unseen: Vec::new(),
            seconds: None,
            judged: 0,
            nothing_around: Space::default(),
            not_judged: Vec::new(),
        }
    }

    /// The same, but also keeps the sockets that each finding is about.
    #[must_use]
    pub fn keeping_members(mut self) -> Self {
        self.readers.keep_members();
        self
    }

    /// The rules.
    pub fn rules(&self) -> &[Checked] {
        &self.rules
    }

    /// What rows must contain.
    pub fn needs(&self) -> Needs {
        let needs = self.rules.iter().fold(Needs::NONE, |needs, rule| needs.union(rule.needs));
        needs.union(self.readers.needs())
    }

    /// Takes counters of a namespace: at the first look, and again at the last.
    pub fn numbers(&mut self, netns: u64, numbers: Box<dyn Numbers>) {
        self.spaces.entry(netns).or_default().readings.take(numbers);
    }

    /// Records that something could not be seen.
    pub fn could_not_see(&mut self, what: String) {
        if !self.unseen.contains(&what) {
            self.unseen.push(what);
        }
    }

    /// Descriptions of everything that could not be seen.
    pub fn unseen(&self) -> &[String] {
        &self.unseen
    }

    /// Learns from a row of the first look what follows from it for other sockets.
    pub fn learn(&mut self, row: &Row<'_>) {
        let netns = row.names.netns.map_or(0, |netns| netns.inode);
        self.spaces.entry(netns).or_default().joins.learn(row);
    }

    /// Ends the first look.
    pub fn learned(&mut self) {
        self.spaces.values_mut().for_each(|space| space.joins.end());
    }

    /// Begins the second look, `seconds` after the first.
    pub fn begin(&mut self, seconds: Option<f64>) {
        self.seconds = seconds;
    }

    /// Judges a row of the second look.
    pub fn judge(&mut self, event: Event, row: &Row<'_>) {
        self.judged += 1;
        let at = place(event, row.table() as usize, row.socket.state.into());
        let clusters = self.clusters.get(at).map_or(&[][..], Vec::as_slice);
        if clusters.is_empty() {
            return;
        }
        let netns = row.names.netns.map_or(0, |netns| netns.inode);
        let space = self.spaces.get(&netns).unwrap_or(&self.nothing_around);
        let scene = Scene { readings: &space.readings, joins: &space.joins, process: None, unseen: 0 };
        let row = Row { names: Names { around: Some(&scene), ..row.names }, ..*row };
        for cluster in clusters {
            if !holds(cluster.given.as_ref(), &row) {
                continue;
            }
            for at in &cluster.rules {
                if let (Some(rule), Some(found)) = (self.rules.get(*at), self.found.get_mut(*at))
                    && holds(rule.when.as_ref(), &row)
                {
                    found.take(rule, &self.readers, &row, netns, self.seconds);
                }
            }
        }
    }

    /// Judges the namespaces, the processes and the host.
    pub fn judge_others(&mut self, processes: &[Process], titles: &[(u64, Vec<u8>)]) {
        let Some(nothing) = Socket::nothing() else { return };
        let unseen = u64::try_from(self.unseen.len()).unwrap_or(u64::MAX);
        let Space { joins: none, readings: nobody } = &self.nothing_around;
        for (at, rule) in self.rules.iter().enumerate() {
            let Some(found) = self.found.get_mut(at) else { continue };
            let mut judge = |scene: &Scene<'_>, netns: u64| {
                let title = titles.iter().find(|(of, _)| *of == netns);
                let named = title.map(|(inode, title)| sockdiag_facts::model::Netns {
                    inode: *inode,
                    title: title.clone(),
                    ..Default::default()
                });
                let names = Names { around: Some(scene), netns: named.as_ref(), ..Names::default() };
                let row = Row { names, ..Row::bare(&nothing) };
                if holds(rule.given.as_ref(), &row) && holds(rule.when.as_ref(), &row) {
                    found.take(rule, &self.readers, &row, netns, self.seconds);
                }
            };
            match rule.rule.subject {
                Subject::Process => {
                    for process in processes {
                        let scene = Scene { readings: nobody, joins: none, process: Some(process), unseen };
                        judge(&scene, 0);
                    }
                }
                Subject::Namespace => {
                    let mut known = false;
                    for (netns, space) in &self.spaces {
                        let scene =
                            Scene { readings: &space.readings, joins: &space.joins, process: None, unseen };
                        judge(&scene, *netns);
                        known |= knows(rule, &scene, &nothing);
                    }
                    if !known {
                        self.not_judged.push(NotJudged {
                            id: rule.rule.id().to_owned(),
                            why: "this kernel or namespace does not report the counters that the rule \
                                needs"
                                .to_owned(),
                        });
                    }
                }
                Subject::Host => {
                    let space = self.spaces.values().next().unwrap_or(&self.nothing_around);
                    let scene = Scene { readings: &space.readings, joins: none, process: None, unseen };
                    judge(&scene, 0);
                }
                _ => {}
            }
        }
    }

    /// Sockets that need another look, worst first: those whose rule asks for it, and those
    /// whose processes are to be named.
    pub fn suspects(&self) -> Vec<Suspect<'_>> {
        let mut all: Vec<(Severity, f64, &Worst)> = Vec::new();
        for (rule, found) in self.rules.iter().zip(&self.found) {
            for group in found.groups.values() {
                if let (Some(severity), Some(worst)) = (self.severity(rule, group), &group.worst)
                    && !rule.rule.subject.has_no_socket()
                {
                    all.push((severity, group.traffic, worst));
                }
            }
        }
        all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| b.1.total_cmp(&a.1)));
        let mut seen = Vec::new();
        let mut suspects = Vec::new();
        for (_, _, worst) in all {
            let sample = &worst.sample;
            let is_kernel = sample.origin.kind == SourceKind::Kernel;
            if !is_kernel || sample.cookie == 0 || seen.contains(&(sample.netns, sample.cookie)) {
                continue;
            }
            if seen.len() >= MOST_SUSPECTS {
                break;
            }
            seen.push((sample.netns, sample.cookie));
            suspects.push(Suspect { netns: sample.netns, sample });
        }
        suspects
    }

    /// Takes a row of the third look: it confirms findings of rules with three looks, and
    /// supplies the processes that have the socket open.
    pub fn confirm(&mut self, row: &Row<'_>) {
        let Some(cookie) = row.cookie() else { return };
        let netns = row.names.netns.map_or(0, |netns| netns.inode);
        let space = self.spaces.get(&netns).unwrap_or(&self.nothing_around);
        let scene = Scene { readings: &space.readings, joins: &space.joins, process: None, unseen: 0 };
        let looked = Row { names: Names { around: Some(&scene), ..row.names }, ..*row };
        for (rule, found) in self.rules.iter().zip(&mut self.found) {
            for group in found.groups.values_mut() {
                let is_it = group
                    .worst
                    .as_ref()
                    .is_some_and(|worst| worst.sample.cookie == cookie && worst.sample.netns == netns);
                if !is_it {
                    continue;
                }
                group.is_confirmed |= holds(rule.again.as_ref(), &looked);
                if group.holders.is_empty() {
                    let mut holders: Vec<String> = Vec::new();
                    for holding in row.holders() {
                        let holder = format!("{}/{}", holding.name(), holding.pid);
                        if !holders.contains(&holder) {
                            holders.push(holder);
                        }
                    }
                    group.holders = holders;
                }
            }
        }
    }

    fn severity(&self, rule: &Checked, group: &Group) -> Option<Severity> {
        if rule.rule.window_s > 0.0 && self.seconds.is_none_or(|seconds| seconds < rule.rule.window_s) {
            return None;
        }
        if rule.rule.subject.is_single() {
            return group.severity;
        }
        let seconds = self.seconds_of(group);
        if !rule.least.iter().all(|least| least.holds(&group.amounts, seconds)) {
            return None;
        }
        rule.severity(rule.quantity.of(&group.amounts, seconds)?)
    }

    fn seconds_of(&self, group: &Group) -> Option<f64> {
        self.seconds.or_else(|| self.spaces.get(&group.netns)?.readings.seconds())
    }

    /// The findings, ranked; at most the worst thousand.
    pub fn findings(&self) -> Vec<Finding> {
        let mut drafts = Vec::new();
        for (at, rule, group, severity) in self.severe() {
            drafts.extend(self.draft(at, rule, group, severity));
        }
        ranked(&self.rules, drafts)
    }

    /// Groups with a severity, confirmed if their rule has a third look.
    fn severe(&self) -> impl Iterator<Item = (usize, &Checked, &Group, Severity)> {
        let rules = self.rules.iter().zip(&self.found).enumerate();
        rules.flat_map(move |(at, (rule, found))| {
            found.groups.values().filter_map(move |group| {
                let severity = self.severity(rule, group)?;
                let is_sure = rule.rule.looks < 3 || group.is_confirmed;
                is_sure.then_some((at, rule, group, severity))
            })
        })
    }

    /// A lower bound on the findings that were not reported: groups that exceeded the memory
    /// limit, and those beyond the worst thousand.
    pub fn left_out(&self) -> u64 {
        let rows: u64 = self.found.iter().map(|found| found.left_out).sum();
        let groups = self.severe().count().saturating_sub(MOST_FINDINGS);
        rows.saturating_add(u64::try_from(groups).unwrap_or(u64::MAX))
    }

    fn draft(&self, at: usize, rule: &Checked, group: &Group, severity: Severity) -> Option<Draft> {
        let worst = group.worst.as_ref()?;
        let seconds = self.seconds_of(group);
        let amounts: &Amounts = worst.amounts.as_ref().unwrap_or(&group.amounts);
        let value = rule.quantity.of(amounts, seconds)?;
        let error = rule.quantity.error_of(amounts).filter(|error| *error > 0.0);
        let mut quantity = amount::text(value, rule.unit);
        if let Some(error) = error {
            quantity = format!("{quantity} ± {}", amount::error_text(error, value, rule.unit));
        }
        let shown: Vec<Option<Evidence>> = rule
            .shown
            .iter()
            .zip(&worst.shown)
            .map(|(shown, read)| match &shown.show {
                Show::Field(..) => read.clone(),
                Show::Amount(at) => amount_of(rule, &group.amounts, *at, &shown.name),
            })
            .collect();
        let filling = Filling {
            local: &worst.local,
            remote: &worst.remote,
            holders: &group.holders,
            sockets: group.amounts.count,
            quantity: &quantity,
            netns: group.netns_title.as_deref(),
            seconds,
            shown: &shown,
        };
        let threshold = |of: Severity| {
            rule.levels.iter().find(|(severity, _)| *severity == of).map(|(_, bound)| bound.number)
        };
        // Whether the error could move the value to the other side of the threshold.
        let is_near = error.is_some_and(|error| {
            let nearer = if rule.is_upward() { value - error } else { value + error };
            rule.severity(nearer).is_none_or(|other| other < severity)
        });
        let best = rule.rule.sure;
        let evidence = rule.shown.iter().zip(&shown).filter(|(of, _)| of.is_evidence);
        let finding = Finding {
            id: rule.rule.id().to_owned(),
            number: rule.rule.number.clone(),
            severity,
            title: filling.fill(&rule.title),
            sentence: filling.fill(&rule.says),
            subject: rule.rule.subject,
            fields: group.fields.clone(),
            netns: group.netns_title.clone(),
            holders: group.holders.clone(),
            sockets: if rule.rule.subject.has_no_socket() { 0 } else { group.amounts.count },
            confidence: if is_near { best.lower() } else { best },
            quantity: Measured {
                name: rule.rule.quantity.get_ref().clone(),
                text: quantity.clone(),
                value,
                error,
                unit: rule.unit,
                warning: threshold(Severity::Warning),
                critical: threshold(Severity::Critical),
            },
            evidence: evidence.filter_map(|(_, evidence)| evidence.clone()).collect(),
            explains: Vec::new(),
            could_be: rule.rule.could_be.clone(),
            next: filling.fill(&rule.next),
            manual: rule.rule.manual.clone(),
            traffic: group.traffic,
            members: group.members.clone(),
        };
        let mut keys = worst.keys.clone();
        if rule.rule.subject.has_no_socket() {
            keys.clear();
        }
        Some(Draft { finding, rule: at, netns: group.netns, keys })
    }

    /// Rules that were not judged, with the reason, given the `tables` that were read.
    pub fn not_judged(&self, tables: TableSet, has_readings: bool) -> Vec<NotJudged> {
        let mut all = Vec::new();
        for rule in &self.rules {
            let id = rule.rule.id().to_owned();
            let window = rule.rule.window_s;
            let why = if window > 0.0 && self.seconds.is_none_or(|seconds| seconds < window) {
                format!("it needs a window of {} s", amount::digits(window))
            } else if rule.rule.looks > 1 && self.seconds.is_none() {
                "it needs two samples".to_owned()
            } else if !rule.tables().is_empty() && !rule.tables().intersects(tables) {
                "none of its tables was read".to_owned()
            } else if rule.rule.subject == Subject::Namespace && !has_readings {
                "the counters of the namespace were not read".to_owned()
            } else {
                continue;
            };
            all.push(NotJudged { id, why });
        }
        for other in &self.not_judged {
            if !all.iter().any(|known| known.id == other.id) {
                all.push(other.clone());
            }
        }
        all
    }

    /// How many rows were judged.
    pub fn judged(&self) -> u64 {
        self.judged
    }
}

/// Whether any field that a rule reads has a value.
fn knows(rule: &Checked, scene: &Scene<'_>, nothing: &Socket<'_>) -> bool {
    let names = Names { around: Some(scene), ..Names::default() };
    let row = Row { names, ..Row::bare(nothing) };
    let tested = rule.when.iter().flat_map(Expr::tests).filter_map(|test| match test {
        sockdiag_facts::filter::Test::Field(test) => Some(test.field()),
        _ => None,
    });
    let mut read = rule.aggregates.iter().map(|of| &of.choice).chain(tested);
    read.any(|choice| choice.value(&row).is_some())
}

fn amount_of(rule: &Checked, amounts: &Amounts, at: usize, name: &str) -> Option<Evidence> {
    let aggregate = rule.aggregates.get(at)?;
    let number = amounts.value(at)?;
    let unit = aggregate.unit();
    let text = amount::text(number, unit);
    Some(Evidence { name: name.to_owned(), text, number: Some(number), error: amounts.error(at), unit })
}

fn holds(condition: Option<&Expr>, row: &Row<'_>) -> bool {
    condition.is_none_or(|condition| condition.eval(row, CONTEXT))
}

fn is_on(on: On, event: Event) -> bool {
    matches!(
        (on, event),
        (On::Live, Event::Live | Event::Opened) | (On::Opened, Event::Opened) | (On::Closed, Event::Closed)
    )
}
