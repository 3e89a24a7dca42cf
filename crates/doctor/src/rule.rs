//! A diagnosis, as data.
//!
//! Invariant: a rule contains everything needed to judge and to print a diagnosis; the
//! engine knows no rule by name.

use serde::Deserialize;
use toml::Spanned;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Information only.
    Info,
    /// Something is slower, or closer to a limit, than it should be.
    Warning,
    /// Connections or data are being lost, or will be within minutes.
    Critical,
}

impl Severity {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The confidence in a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Something else may well explain it.
    Low,
    /// It is the likely explanation.
    Medium,
    /// The kernel reports it directly.
    #[default]
    High,
}

impl Confidence {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The next lower confidence.
    pub(crate) const fn lower(self) -> Self {
        match self {
            Self::High => Self::Medium,
            _ => Self::Low,
        }
    }
}

/// What a diagnosis is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A socket, or several of the same service.
    Socket,
    /// A listener.
    Listener,
    /// A process.
    Process,
    /// A remote address that connections go to.
    Destination,
    /// A network namespace.
    Namespace,
    /// The host.
    Host,
}

impl Subject {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Listener => "listener",
            Self::Process => "process",
            Self::Destination => "destination",
            Self::Namespace => "namespace",
            Self::Host => "host",
        }
    }

    /// Whether each row is judged by itself, and the matching ones are reported together.
    pub const fn is_single(self) -> bool {
        matches!(self, Self::Socket | Self::Process)
    }

    /// Whether it is not about sockets.
    pub const fn has_no_socket(self) -> bool {
        matches!(self, Self::Process | Self::Namespace | Self::Host)
    }
}

/// Which rows a rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// Sockets that exist.
    #[default]
    Live,
    /// Sockets that opened between the looks.
    Opened,
    /// Sockets that ended between the looks.
    Closed,
}

/// How reliable a threshold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// It was measured on faults and healthy workloads, or follows from the kernel's own limit.
    Measured,
    /// Somebody else published it.
    Cited,
    /// It is our judgement.
    Judged,
}

impl Mark {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Cited => "cited",
            Self::Judged => "judged",
        }
    }
}

/// The threshold of a severity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// `>= 0.5`: a comparison with the quantity.
    pub at: Spanned<String>,
    /// How reliable it is.
    pub mark: Mark,
    /// Its source.
    pub source: String,
}

/// A severity and its threshold.
#[derive(Clone, Copy, Debug)]
pub struct Level<'r> {
    /// The severity.
    pub severity: Severity,
    /// Its threshold.
    pub threshold: &'r Threshold,
}

/// A diagnosis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name: lower-case words with `-` between them.
    pub id: Spanned<String>,
    /// Its number in the table of diagnoses; users' rules have none.
    #[serde(default)]
    pub number: String,
    /// What it is about.
    pub subject: Subject,
    /// The tables that it looks at, by the words of `-A`; none for rules about namespaces and
    /// processes.
    #[serde(default)]
    pub tables: Vec<Spanned<String>>,
    /// The states that it looks at, by the words of `state`; all states if none is named.
    #[serde(default)]
    pub states: Vec<Spanned<String>>,
    /// The rows that it looks at.
    #[serde(default)]
    pub on: On,
    /// A condition shared by several rules: it is tested once for all of them.
    pub given: Option<Spanned<String>>,
    /// The condition on a row, in the language of filters.
    pub when: Option<Spanned<String>>,
    /// The condition at the third look, for rules with three looks.
    pub again: Option<Spanned<String>>,
    /// Fields that rows are grouped by; rules that judge single rows report the matching rows
    /// of a group together.
    #[serde(default)]
    pub group: Vec<Spanned<String>>,
    /// The quantity: `max(FIELD)`, `count`, `sum(FIELD) / sum(FIELD)`.
    pub quantity: Spanned<String>,
    /// Its unit, if the field does not have one: share, count, ms.
    #[serde(default)]
    pub unit: String,
    /// The threshold of information.
    pub info: Option<Threshold>,
    /// The threshold of a warning.
    pub warning: Option<Threshold>,
    /// The threshold of critical.
    pub critical: Option<Threshold>,
    /// Evidence that a group must have at least: `count >= 20`.
    #[serde(default)]
    pub least: Vec<Spanned<String>>,
    /// How many looks it needs: 1, 2 or 3.
    pub looks: u8,
    /// The shortest time between the looks, in seconds; 0 for no limit.
    #[serde(default)]
    pub window_s: f64,
    /// Its confidence at best.
    #[serde(default)]
    pub sure: Confidence,
    /// Shown with the quantity: fields of the worst row, and aggregates of the group.
    #[serde(default)]
    pub evidence: Vec<Spanned<String>>,
    /// The title line, in which `{local}`, `{count}`, `{quantity}` and fields are filled in.
    pub title: Spanned<String>,
    /// The same in a sentence or two.
    pub says: Spanned<String>,
    /// An explanation for readers who are new to the subject.
    pub meaning: String,
    /// What else could explain it.
    pub could_be: String,
    /// What to do next: a command.
    pub next: Spanned<String>,
    /// How to check it by hand with ss and nstat.
    pub check: String,
    /// A manual page, with its section.
    pub manual: String,
    /// Rules whose findings are consequences of this one: `ID`, or `ID by FIELD` or
    /// `ID by FIELD=FIELD` if the fields must be equal.
    #[serde(default)]
    pub explains: Vec<Spanned<String>>,
    /// The oldest kernel that reports what it needs; empty for any kernel.
    #[serde(default)]
    pub kernel: String,
}

impl Rule {
    /// Its name.
    pub fn id(&self) -> &str {
        self.id.get_ref()
    }

    /// The thresholds, the least severe first.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = Level<'_>> {
        let all = [
            (Severity::Info, &self.info),
            (Severity::Warning, &self.warning),
            (Severity::Critical, &self.critical),
        ];
        all.into_iter()
            .filter_map(|(severity, threshold)| Some(Level { severity, threshold: threshold.as_ref()? }))
    }

    /// The worst severity it can have.
    pub fn worst(&self) -> Severity {
        self.levels().map(|level| level.severity).max().unwrap_or(Severity::Info)
    }
}
