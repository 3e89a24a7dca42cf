//! Findings in words and numbers, their order, and which ones are consequences of others.
//!
//! Invariant: a finding is reported once, by itself or below its cause.

use std::cmp::Ordering;

use sockdiag_facts::fields::Unit;

use crate::amount;
use crate::check::{Checked, Piece, Template};
use crate::rule::{Confidence, Severity, Subject};

/// A value that was read, as text and, if possible, as a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The field, or the amount of a group: `sum(delta.bytes_sent)`.
    pub name: String,
    /// The text for people.
    pub text: String,
    /// The number, in the field's own unit.
    pub number: Option<f64>,
    /// Its possible error, if it compares two samples.
    pub error: Option<f64>,
    /// Its unit.
    pub unit: Unit,
}

/// The quantity that was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Its formula in the rule.
    pub name: String,
    /// The text for people, with `±`.
    pub text: String,
    /// The number.
    pub value: f64,
    /// Its possible error, if known.
    pub error: Option<f64>,
    /// Its unit.
    pub unit: Unit,
    /// The threshold of a warning.
    pub warning: Option<f64>,
    /// The threshold of critical.
    pub critical: Option<f64>,
}

/// A problem that a rule found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule's id.
    pub id: String,
    /// The rule's number.
    pub number: String,
    /// Its severity.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// One or two sentences.
    pub sentence: String,
    /// The kind of thing it is about.
    pub subject: Subject,
    /// The fields that identify the subject, with their values.
    pub fields: Vec<Evidence>,
    /// Name of its network namespace, if several are looked at.
    pub netns: Option<String>,
    /// The processes that have the most telling socket open: `nginx/4711`.
    pub holders: Vec<String>,
    /// The number of sockets that it applies to.
    pub sockets: u64,
    /// The confidence in it.
    pub confidence: Confidence,
    /// The quantity that was judged.
    pub quantity: Measured,
    /// Further evidence.
    pub evidence: Vec<Evidence>,
    /// Its consequences, by id and title.
    pub explains: Vec<(String, String)>,
    /// What else could explain it.
    pub could_be: String,
    /// What to do next.
    pub next: String,
    /// The manual page to read.
    pub manual: String,
    /// Bytes per second that its sockets move.
    pub traffic: f64,
    /// Its sockets and those of its consequences, by the inode of the namespace and the
    /// cookie; empty unless they are kept ([`Doctor::keeping_members`](crate::Doctor)).
    pub members: Vec<(u64, u64)>,
}

/// The values of placeholders in sentences.
pub(crate) struct Filling<'f> {
    pub(crate) local: &'f str,
    pub(crate) remote: &'f str,
    pub(crate) holders: &'f [String],
    pub(crate) sockets: u64,
    pub(crate) quantity: &'f str,
    pub(crate) netns: Option<&'f str>,
    pub(crate) seconds: Option<f64>,
    pub(crate) shown: &'f [Option<Evidence>],
}

impl Filling<'_> {
    /// The template with its placeholders filled in.
    pub(crate) fn fill(&self, template: &Template) -> String {
        let mut text = String::new();
        for piece in &template.0 {
            match piece {
                Piece::Text(words) => text.push_str(words),
                Piece::Word(word) => text.push_str(&self.word(word)),
                Piece::Shown(at) => match self.shown.get(*at).and_then(Option::as_ref) {
                    Some(evidence) => text.push_str(&evidence.text),
                    None => text.push('?'),
                },
            }
        }
        text
    }

    fn word(&self, word: &str) -> String {
        match word {
            "local" => self.local.to_owned(),
            "remote" => self.remote.to_owned(),
            "by" => match self.holders {
                [] => String::new(),
                [one] => format!(" ({one})"),
                [one, rest @ ..] => format!(" ({one} and {} more)", rest.len()),
            },
            "count" => self.sockets.to_string(),
            "sockets" => match self.sockets {
                1 => "1 socket".to_owned(),
                more => format!("{more} sockets"),
            },
            "quantity" => self.quantity.to_owned(),
            "netns" => self.netns.unwrap_or("this namespace").to_owned(),
            "where" => self.netns.map_or_else(String::new, |netns| format!(" in network namespace {netns}")),
            "seconds" => self.seconds.map_or_else(|| "?".to_owned(), amount::digits),
            _ => String::new(),
        }
    }
}

/// A finding, and the values that can link it to others.
pub(crate) struct Draft {
    pub(crate) finding: Finding,
    pub(crate) rule: usize,
    pub(crate) netns: u64,
    /// Fields of the worst socket and of the group, by name.
    pub(crate) keys: Vec<(String, String)>,
}

impl Draft {
    fn key(&self, name: &str) -> Option<&str> {
        self.keys.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// Whether the other finding is a consequence of this one.
    fn explains(&self, rules: &[Checked], other: &Self) -> bool {
        let consequences = rules.get(self.rule).map_or(&[][..], |rule| &rule.explains);
        let Some(consequence) = consequences.iter().find(|of| of.id == other.finding.id) else {
            return false;
        };
        let is_anywhere = self.finding.subject == Subject::Host || other.finding.subject == Subject::Host;
        if self.netns != other.netns && !is_anywhere {
            return false;
        }
        // A finding about a whole namespace has no addresses to compare.
        consequence.by.iter().all(|(cause, follows)| match (self.key(cause), other.key(follows)) {
            (Some(cause), Some(follows)) => cause == follows,
            (None, Some(_)) => false,
            (_, None) => other.finding.subject.has_no_socket(),
        })
    }
}

/// Sorts by severity, then confidence, then traffic, then number of sockets.
fn rank(a: &Finding, b: &Finding) -> Ordering {
    let sure = |finding: &Finding| finding.confidence;
    b.severity
        .cmp(&a.severity)
        .then_with(|| sure(b).cmp(&sure(a)))
        .then_with(|| b.traffic.total_cmp(&a.traffic))
        .then_with(|| b.sockets.cmp(&a.sockets))
        .then_with(|| (&a.number, &a.id, &a.title).cmp(&(&b.number, &b.id, &b.title)))
}

/// Maximum number of findings reported: each is compared with every other.
pub(crate) const MOST_FINDINGS: usize = 1000;

/// The findings in order, with consequences attached to their cause; at most the worst
/// [`MOST_FINDINGS`].
pub(crate) fn ranked(rules: &[Checked], mut drafts: Vec<Draft>) -> Vec<Finding> {
    drafts.sort_by(|a, b| rank(&a.finding, &b.finding));
    drafts.truncate(MOST_FINDINGS);
    let mut cause: Vec<Option<usize>> = vec![None; drafts.len()];
    let root = |cause: &[Option<usize>], mut at: usize| {
        // Causes never form a cycle, see below.
        while let Some(of) = cause.get(at).copied().flatten() {
            at = of;
        }
        at
    };
    for (at, draft) in drafts.iter().enumerate() {
        for (other_at, other) in drafts.iter().enumerate() {
            let is_free = cause.get(other_at).copied().flatten().is_none();
            if at == other_at || !is_free || root(&cause, at) == other_at || !draft.explains(rules, other) {
                continue;
            }
            if let Some(place) = cause.get_mut(other_at) {
                *place = Some(at);
            }
        }
    }
    let roots: Vec<usize> = (0..drafts.len()).map(|at| root(&cause, at)).collect();
    let told: Vec<(usize, Finding)> = roots
        .iter()
        .enumerate()
        .filter(|(at, root)| at != *root)
        .filter_map(|(at, root)| Some((*root, drafts.get(at)?.finding.clone())))
        .collect();
    for (root, Finding { id, title, severity, traffic, members, .. }) in told {
        let Some(draft) = drafts.get_mut(root) else { continue };
        draft.finding.explains.push((id, title));
        draft.finding.members.extend(members);
        // A cause is at least as severe as its consequences.
        draft.finding.severity = draft.finding.severity.max(severity);
        draft.finding.traffic = draft.finding.traffic.max(traffic);
    }
    let kept = drafts.into_iter().enumerate().filter(|(at, _)| roots.get(*at) == Some(at));
    let mut findings: Vec<Finding> = kept.map(|(_, draft)| draft.finding).collect();
    findings.sort_by(rank);
    findings
}
