//! A checked rule: its conditions are parsed and its fields resolved once.
//!
//! Invariant: built-in rules and users' rules all go through this check; a rule that passes
//! can be judged and reported without errors.

use std::fmt;
use std::ops::Range;

use sockdiag_facts::fields::{Catalog, Choice, Needs, Unit};
use sockdiag_facts::filter::{self, CgroupError, Expr, Lookups, Transport};
use sockdiag_facts::model::{Addr, Family, StateSet, Table, TableSet};
use toml::Spanned;

use crate::amount;
use crate::quantity::{Aggregate, Bound, Least, Quantity, error_of};
use crate::rule::{Level, Rule, Severity, Threshold};

/// Placeholders in titles and sentences that are not fields.
pub(crate) const WORDS: [&str; 9] =
    ["local", "remote", "by", "count", "sockets", "quantity", "netns", "seconds", "where"];

/// An error in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The rule, if it has a name.
    pub id: String,
    /// The part of the rule.
    pub key: &'static str,
    /// The place in its file, in bytes.
    pub place: Range<usize>,
    /// The reason, as a sentence without its full stop.
    pub why: String,
    /// The text with carets under the error, if its position is known.
    pub picture: Option<String>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}: {}", self.id, self.key, self.why)?;
        match &self.picture {
            Some(picture) => write!(f, "\n{picture}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RuleError {}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(pub(crate) Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// One of [`WORDS`].
    Word(&'static str),
    /// A value of the worst row or the group, by its index among those shown.
    Shown(usize),
}

/// A value that a finding shows.
#[derive(Clone, Debug)]
pub(crate) enum Show {
    /// A field of the worst row.
    Field(Choice, Option<Choice>),
    /// An amount of the group, by its number.
    Amount(usize),
}

/// A shown value with its name.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) show: Show,
    /// Whether it is listed as evidence, and not only used in a sentence.
    pub(crate) is_evidence: bool,
}

/// A rule whose findings are consequences of this one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consequence {
    pub(crate) id: String,
    /// Fields that must be equal: of the cause, and of the consequence.
    pub(crate) by: Vec<(String, String)>,
}

/// A checked rule.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The rule as written.
    pub rule: Rule,
    pub(crate) tables: TableSet,
    pub(crate) states: StateSet,
    pub(crate) given: Option<Expr>,
    pub(crate) when: Option<Expr>,
    pub(crate) again: Option<Expr>,
    pub(crate) group: Vec<Choice>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) quantity: Quantity,
    pub(crate) unit: Unit,
    /// The thresholds, the worst first.
    pub(crate) levels: Vec<(Severity, Bound)>,
    pub(crate) least: Vec<Least>,
    pub(crate) shown: Vec<Shown>,
    pub(crate) title: Template,
    pub(crate) says: Template,
    pub(crate) next: Template,
    pub(crate) explains: Vec<Consequence>,
    pub(crate) needs: Needs,
}

/// A look-up that knows no names: rules contain only numbers.
struct Nobody;

impl Lookups for Nobody {
    fn service(&mut self, _: &[u8], _: Transport) -> Option<u16> {
        None
    }
    fn rpc_service(&mut self, _: &[u8]) -> Option<u16> {
        None
    }
    fn hosts(&mut self, _: &[u8], _: Option<Family>) -> Vec<Addr> {
        Vec::new()
    }
    fn interface(&mut self, _: &[u8]) -> Option<u32> {
        None
    }
    fn cgroup(&mut self, _: &[u8]) -> Result<u64, CgroupError> {
        // "No such file": a rule is independent of the machine, so no cgroup path exists.
        Err(CgroupError::NoId { errno: 2 })
    }
    fn cgroup_condition_supported(&mut self) -> bool {
        false
    }
}

/// Parses the parts of one rule.
struct Reader<'r> {
    catalog: &'r Catalog,
    id: &'r str,
    tables: TableSet,
}

impl Reader<'_> {
    fn wrong(&self, key: &'static str, place: Range<usize>, why: impl Into<String>) -> RuleError {
        RuleError { id: self.id.to_owned(), key, place, why: why.into(), picture: None }
    }

    fn filter(&self, key: &'static str, text: Option<&Spanned<String>>) -> Result<Option<Expr>, RuleError> {
        let Some(text) = text else { return Ok(None) };
        let words = [text.get_ref().as_bytes()];
        let context = filter::Context {
            catalog: self.catalog,
            preferred: None,
            tables: self.tables,
            lookups: &mut Nobody,
        };
        match filter::parse_or_explain(&words, None, context) {
            Ok(parsed) => Ok(parsed.expr),
            Err(refused) => Err(RuleError {
                picture: Some(refused.picture()),
                ..self.wrong(key, text.span(), refused.error.to_string())
            }),
        }
    }

    fn choice(&self, key: &'static str, name: &str, place: Range<usize>) -> Result<Choice, RuleError> {
        let choices = Choice::list(self.catalog, name, self.tables);
        let mut choices = choices.map_err(|error| self.wrong(key, place.clone(), error.to_string()))?;
        match (choices.pop(), choices.is_empty()) {
            (Some(choice), true) => Ok(choice.for_people()),
            _ => Err(self.wrong(key, place, "one field is expected")),
        }
    }

    /// The index of the shown value with this name, which is added if it is new.
    fn show(
        &self,
        key: &'static str,
        name: &str,
        place: Range<usize>,
        aggregates: &mut Vec<Aggregate>,
        shown: &mut Vec<Shown>,
        is_evidence: bool,
    ) -> Result<usize, RuleError> {
        if let Some(at) = shown.iter().position(|known| known.name == name) {
            return Ok(at);
        }
        let show = if name.contains('(') {
            let before = aggregates.len();
            let quantity = Quantity::parse(self.catalog, name, aggregates)
                .map_err(|why| self.wrong(key, place.clone(), why))?;
            let at = quantity.leading().ok_or_else(|| self.wrong(key, place, "it is of no field"))?;
            debug_assert!(at <= before, "one at a time");
            Show::Amount(at)
        } else {
            let choice = self.choice(key, name, place)?;
            let error = error_of(self.catalog, &choice);
            Show::Field(choice, error)
        };
        shown.push(Shown { name: name.to_owned(), show, is_evidence });
        Ok(shown.len() - 1)
    }

    fn template(
        &self,
        key: &'static str,
        text: &Spanned<String>,
        aggregates: &mut Vec<Aggregate>,
        shown: &mut Vec<Shown>,
    ) -> Result<Template, RuleError> {
        let mut pieces = Vec::new();
        let mut rest = text.get_ref().as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or_else(|| {
                self.wrong(key, text.span(), format!("a {{ before \"{behind}\" is not closed"))
            })?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match WORDS.iter().find(|word| **word == name) {
                Some(word) => Piece::Word(word),
                None => Piece::Shown(self.show(key, name, text.span(), aggregates, shown, false)?),
            });
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if pieces.is_empty() {
            return Err(self.wrong(key, text.span(), "it says nothing"));
        }
        Ok(Template(pieces))
    }

    fn bound(&self, key: &'static str, threshold: &Threshold) -> Result<Bound, RuleError> {
        let bound = Bound::parse(threshold.at.get_ref());
        bound.map_err(|why| self.wrong(key, threshold.at.span(), why))
    }
}

/// The tables that the rule names.
fn tables(rule: &Rule, reader: &Reader<'_>) -> Result<TableSet, RuleError> {
    let mut tables = TableSet::EMPTY;
    for word in &rule.tables {
        let named = TableSet::by_name(word.get_ref().as_bytes());
        let named = named.ok_or_else(|| {
            reader.wrong("tables", word.span(), format!("\"{}\" is not a table of sockets", word.get_ref()))
        })?;
        tables = tables.union(named);
    }
    match (rule.subject.has_no_socket(), tables.is_empty()) {
        (true, true) => Ok(TableSet::only(Table::Tcp)),
        (false, false) => Ok(tables),
        (true, false) => Err(reader.wrong(
            "tables",
            rule.id.span(),
            "a rule about a namespace, host or process has no \
                tables",
        )),
        (false, true) => Err(reader.wrong("tables", rule.id.span(), "it has no tables")),
    }
}

fn states(rule: &Rule, reader: &Reader<'_>) -> Result<StateSet, RuleError> {
    let mut states = StateSet::EMPTY;
    for word in &rule.states {
        let named = StateSet::by_word(word.get_ref().as_bytes());
        let named = named.ok_or_else(|| {
            reader.wrong("states", word.span(), format!("\"{}\" is not a state", word.get_ref()))
        })?;
        states = states.union(named);
    }
    Ok(if rule.states.is_empty() { StateSet::ALL } else { states })
}

fn consequence(text: &Spanned<String>, reader: &Reader<'_>) -> Result<Consequence, RuleError> {
    let mut words = text.get_ref().split_whitespace();
    let id = words.next().unwrap_or_default().to_owned();
    let mut by = Vec::new();
    match (words.next(), id.is_empty()) {
        (None, false) => {}
        (Some("by"), false) => {
            by.extend(words.map(|word| {
                let (cause, follows) = word.split_once('=').unwrap_or((word, word));
                (cause.to_owned(), follows.to_owned())
            }));
        }
        _ => return Err(reader.wrong("explains", text.span(), "say ID, ID by FIELD, or ID by FIELD=FIELD")),
    }
    Ok(Consequence { id, by })
}

impl Checked {
    /// Checks a rule.
    ///
    /// # Errors
    /// The first error found.
    pub fn new(catalog: &Catalog, rule: Rule) -> Result<Self, RuleError> {
        let id = rule.id().to_owned();
        let mut reader = Reader { catalog, id: &id, tables: TableSet::ALL };
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if id.is_empty() || !id.bytes().all(is_word) {
            return Err(reader.wrong("id", rule.id.span(), "an id consists of lower-case words joined by -"));
        }
        reader.tables = tables(&rule, &reader)?;
        let states = states(&rule, &reader)?;
        let given = reader.filter("given", rule.given.as_ref())?;
        let when = reader.filter("when", rule.when.as_ref())?;
        let again = reader.filter("again", rule.again.as_ref())?;
        if !matches!(rule.looks, 1..=3) {
            return Err(reader.wrong("looks", rule.id.span(), "a rule needs 1, 2 or 3 looks"));
        }
        if rule.looks != 3 && again.is_some() {
            return Err(reader.wrong("again", rule.id.span(), "only a rule with 3 looks has `again`"));
        }
        let group = rule.group.iter().map(|name| reader.choice("group", name.get_ref(), name.span()));
        let group = group.collect::<Result<Vec<_>, _>>()?;
        let mut aggregates = Vec::new();
        let quantity = Quantity::parse(catalog, rule.quantity.get_ref(), &mut aggregates)
            .map_err(|why| reader.wrong("quantity", rule.quantity.span(), why))?;
        let unit = match rule.unit.as_str() {
            "" => quantity.unit(),
            word => amount::unit(word).ok_or_else(|| {
                reader.wrong(
                    "unit",
                    rule.id.span(),
                    format!("\"{word}\" is none of share, count, bytes, us, ms, s"),
                )
            })?,
        };
        let mut levels = Vec::new();
        for Level { severity, threshold } in rule.levels().rev() {
            let key = severity.word();
            let bound = reader.bound(key, threshold)?;
            if let Some((_, worse)) = levels.last() {
                let worse: &Bound = worse;
                let is_beyond = if bound.is_upward() {
                    worse.number >= bound.number
                } else {
                    worse.number <= bound.number
                };
                if worse.is_upward() != bound.is_upward() || !is_beyond {
                    return Err(reader.wrong(
                        key,
                        threshold.at.span(),
                        "a worse severity needs a more \
                        extreme threshold",
                    ));
                }
            }
            if threshold.source.trim().is_empty() {
                return Err(reader.wrong(key, threshold.at.span(), "a threshold needs a source"));
            }
            levels.push((severity, bound));
        }
        if levels.is_empty() {
            return Err(reader.wrong("warning", rule.id.span(), "it has no threshold"));
        }
        let mut least = Vec::new();
        for text in &rule.least {
            let parsed = Least::parse(catalog, text.get_ref(), &mut aggregates);
            least.push(parsed.map_err(|why| reader.wrong("least", text.span(), why))?);
        }
        let mut shown = Vec::new();
        for name in &rule.evidence {
            reader.show("evidence", name.get_ref(), name.span(), &mut aggregates, &mut shown, true)?;
        }
        let title = reader.template("title", &rule.title, &mut aggregates, &mut shown)?;
        let says = reader.template("says", &rule.says, &mut aggregates, &mut shown)?;
        let next = reader.template("next", &rule.next, &mut aggregates, &mut shown)?;
        let explains = rule.explains.iter().map(|text| consequence(text, &reader));
        let explains = explains.collect::<Result<Vec<_>, _>>()?;
        for (key, text) in [("meaning", &rule.meaning), ("could_be", &rule.could_be), ("check", &rule.check)]
        {
            if text.trim().is_empty() {
                return Err(reader.wrong(key, rule.id.span(), "it says nothing"));
            }
        }
        let conditions = [&given, &when, &again].into_iter().flatten().map(Expr::needs);
        let choices = group.iter().chain(aggregates.iter().map(|of| &of.choice));
        let evidence = shown.iter().filter_map(|shown| match &shown.show {
            Show::Field(choice, _) => Some(choice),
            Show::Amount(_) => None,
        });
        let needs =
            conditions.chain(choices.chain(evidence).map(Choice::needs)).fold(Needs::NONE, Needs::union);
        if needs.intersects(Needs::FINDINGS) {
            return Err(reader.wrong("when", rule.id.span(), "a rule cannot use what rules find"));
        }
        Ok(Self {
            tables: reader.tables,
            states,
            given,
            when,
            again,
            group,
            aggregates,
            quantity,
            unit,
            levels,
            least,
            shown,
            title,
            says,
            next,
            explains,
            needs,
            rule,
        })
    }

    /// What the session must collect so that the rule can be judged.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// The tables that the rule looks at; none for a rule about namespaces or processes.
    pub fn tables(&self) -> TableSet {
        if self.rule.subject.has_no_socket() { TableSet::EMPTY } else { self.tables }
    }

    /// The severity of an amount; `None` below all thresholds.
    pub(crate) fn severity(&self, amount: f64) -> Option<Severity> {
        self.levels.iter().find(|(_, bound)| bound.holds(amount)).map(|(severity, _)| *severity)
    }

    /// Whether more of the quantity is worse.
    pub(crate) fn is_upward(&self) -> bool {
        self.levels.first().is_none_or(|(_, bound)| bound.is_upward())
    }
}
