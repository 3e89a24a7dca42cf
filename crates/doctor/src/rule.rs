//! A diagnosis, as data.
//!
//! Invariant: everything that is printed of a diagnosis, and everything by which it is
//! judged, is in its rule; the engine knows no rule by name.

use serde::Deserialize;
use toml::Spanned;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something is slower or nearer to its end than it has to be.
    Warning,
    /// Somebody loses connections or data, or will within minutes.
    Critical,
}

impl Severity {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Something else may well explain it.
    Low,
    /// It is the likely explanation.
    Medium,
    /// It is what the kernel says.
    #[default]
    High,
}

impl Confidence {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// One step less.
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
    /// A socket, or several that serve or ask the same.
    Socket,
    /// A listener.
    Listener,
    /// A process.
    Process,
    /// Where connections go to.
    Destination,
    /// A network namespace.
    Namespace,
    /// The host.
    Host,
}

impl Subject {
    /// Its word.
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

    /// Whether each row is judged by itself, and those that are found are told together.
    pub const fn is_single(self) -> bool {
        matches!(self, Self::Socket | Self::Process)
    }

    /// Whether its row is no socket's.
    pub const fn has_no_socket(self) -> bool {
        matches!(self, Self::Process | Self::Namespace | Self::Host)
    }
}

/// Which rows a rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// Sockets that there are.
    #[default]
    Live,
    /// Those that opened between the looks.
    Opened,
    /// Those that ended between the looks.
    Closed,
}

/// How far a threshold is known to be right.
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
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Cited => "cited",
            Self::Judged => "judged",
        }
    }
}

/// From when on it is so bad.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// `>= 0.5`: an order, and a number of the quantity.
    pub at: Spanned<String>,
    /// How far it is known to be right.
    pub mark: Mark,
    /// Who says so.
    pub source: String,
}

/// A threshold of a severity.
#[derive(Clone, Copy, Debug)]
pub struct Level<'r> {
    /// How bad it is from there on.
    pub severity: Severity,
    /// From when on.
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
    /// Tables of sockets that it looks at, by the words of `-A`; none for rules about
    /// namespaces and processes.
    #[serde(default)]
    pub tables: Vec<Spanned<String>>,
    /// States that it looks at, by the words of `state`; all, if none are named.
    #[serde(default)]
    pub states: Vec<Spanned<String>>,
    /// Which rows.
    #[serde(default)]
    pub on: On,
    /// A condition that several rules begin with: it is tested once for all of them.
    pub given: Option<Spanned<String>>,
    /// What must hold of a row, in the language of filters.
    pub when: Option<Spanned<String>>,
    /// What must hold of it at the third look, of a rule of three looks.
    pub again: Option<Spanned<String>>,
    /// Fields that rows are grouped by; rows about single sockets that are found are told
    /// together by them.
    #[serde(default)]
    pub group: Vec<Spanned<String>>,
    /// What is measured: `max(FIELD)`, `count`, `sum(FIELD) / sum(FIELD)`.
    pub quantity: Spanned<String>,
    /// The unit in which it is shown, where the field does not say it: share, count, ms.
    #[serde(default)]
    pub unit: String,
    /// From when on it is worth knowing.
    pub info: Option<Threshold>,
    /// From when on it is a warning.
    pub warning: Option<Threshold>,
    /// From when on it is critical.
    pub critical: Option<Threshold>,
    /// What must hold of the group, so that there is enough evidence: `count >= 20`.
    #[serde(default)]
    pub least: Vec<Spanned<String>>,
    /// How many looks it takes: 1, 2 or 3.
    pub looks: u8,
    /// How long it has to look, in seconds; 0 if any time will do.
    #[serde(default)]
    pub window_s: f64,
    /// How sure it is at best.
    #[serde(default)]
    pub sure: Confidence,
    /// What is shown beside the quantity: fields of the worst row, and amounts of the group.
    #[serde(default)]
    pub evidence: Vec<Spanned<String>>,
    /// What is said in a line, with `{local}`, `{count}`, `{quantity}` and fields filled in.
    pub title: Spanned<String>,
    /// The same in a sentence or two.
    pub says: Spanned<String>,
    /// What it means, for who does not know.
    pub meaning: String,
    /// What else could explain it.
    pub could_be: String,
    /// What to do next: a command.
    pub next: Spanned<String>,
    /// How to see the same by hand with ss and nstat.
    pub check: String,
    /// A page of the manual, and its section.
    pub manual: String,
    /// Rules whose findings follow from this one: `ID`, or `ID by FIELD` or
    /// `ID by FIELD=FIELD` where these have to be equal.
    #[serde(default)]
    pub explains: Vec<Spanned<String>>,
    /// The kernel from which on it can be judged, where not every one has what it takes.
    #[serde(default)]
    pub kernel: String,
}

impl Rule {
    /// Its name.
    pub fn id(&self) -> &str {
        self.id.get_ref()
    }

    /// Its thresholds, the least bad first.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = Level<'_>> {
        let all = [
            (Severity::Info, &self.info),
            (Severity::Warning, &self.warning),
            (Severity::Critical, &self.critical),
        ];
        all.into_iter()
            .filter_map(|(severity, threshold)| Some(Level { severity, threshold: threshold.as_ref()? }))
    }

    /// How bad it can become.
    pub fn worst(&self) -> Severity {
        self.levels().map(|level| level.severity).max().unwrap_or(Severity::Info)
    }
}
