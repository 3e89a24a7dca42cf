//! What was expected where a filter is wrong.

use super::{Parser, Symbol};
use crate::fields::{NameError, Unit};
use crate::filter::error::{FilterError, HostError, Mismatch, Reporter};
use crate::filter::explain::{self, Refused};
use crate::filter::quantity;
use crate::model::words::Word;

impl Parser<'_> {
    /// Describes where the filter is wrong and what was expected there.
    pub(super) fn explain(self, error: FilterError, at_end: bool) -> Refused {
        let expected = self.expected(&error, at_end);
        let around = self.tokens.around(at_end).map(|words| explain::line(words.iter().map(Vec::as_slice)));
        let [mut before, wrong, mut behind] = around;
        if !before.is_empty() {
            before.push(' ');
        }
        if !behind.is_empty() {
            behind.insert(0, ' ');
        }
        let mended = match error {
            _ if at_end => None,
            FilterError::Host(_) | FilterError::Syntax if is_state(&wrong) && before.is_empty() => {
                explain::state_first(&wrong, &behind)
            }
            FilterError::Host(_) | FilterError::Syntax => explain::with_blanks(&before, &wrong, &behind),
            _ => None,
        };
        let expected = match &mended {
            Some(_) if is_state(&wrong) => {
                "a condition; state words come before it, as separate arguments outside quotes".to_owned()
            }
            Some(_) => "blanks around operators and brackets".to_owned(),
            None => expected,
        };
        Refused { error, around: [before, wrong, behind], expected, mended }
    }

    fn expected(&self, error: &FilterError, at_end: bool) -> String {
        let text = match error {
            FilterError::Host(Some(HostError::Address(word))) if self.latest.is_none() => {
                let known = std::str::from_utf8(word).ok().map(|name| (name, self.ctx.catalog.named(name)));
                return match known {
                    Some((_, Ok(named))) => format!("an operator after the field {}", named.field.name),
                    Some((_, Err(wrong @ NameError::Ambiguous { .. }))) => {
                        format!("an unambiguous field: {wrong}")
                    }
                    Some((_, Err(NameError::Unknown { alike, .. }))) if !alike.is_empty() => {
                        format!("a condition; is it {}?", alike.join(", "))
                    }
                    _ => CONDITION.to_owned(),
                };
            }
            FilterError::Host(Some(HostError::Address(_))) => "an address, a prefix or a host name",
            FilterError::Host(Some(HostError::Port(_))) => "a port: a number or the name of a service",
            FilterError::Host(None) => "an address, a port, or both with a colon between them",
            FilterError::Device => "the name or the index of an interface",
            FilterError::Mark(_) => "MARK or MARK/MASK, numbers",
            FilterError::Cgroup { .. } | FilterError::CgroupUnsupported => {
                "the path of a cgroup of this machine"
            }
            FilterError::NotANumber { field, .. } => {
                let unit = self.ctx.catalog.field(field).map_or(Unit::None, |field| field.unit);
                quantity::units(unit)
            }
            FilterError::NoUnit { .. } => quantity::units(Unit::Microseconds),
            FilterError::Value { why, field, .. } => match why {
                Mismatch::Words(words) => {
                    let words: Vec<&str> = words.iter().map(Word::name).collect();
                    return words.join(", ");
                }
                Mismatch::Range(..) => "a value within that range",
                Mismatch::Contrary(_) => "conditions that can hold together, or \"or\"",
                Mismatch::Whole => "a whole number",
                Mismatch::Address => "an address, a network such as 10.0.0.0/8 or the name of a host",
                Mismatch::Port(port) => return format!("an address; the port is {port}"),
                Mismatch::Interface => "the name or the index of an interface",
                Mismatch::User => "the name or the number of a user",
                Mismatch::Service => "the name of a service",
                Mismatch::Host => "the name of a host",
                Mismatch::Long(most) => return format!("at most {most} bytes"),
                Mismatch::Order => "= or !=",
                Mismatch::Several => "one value",
                Mismatch::Unit(_) => "a value, or a field of the same unit",
                Mismatch::Never => {
                    return format!(
                        "a value that not every socket has; \"not {field} = *\" finds sockets without the \
                         field"
                    );
                }
                Mismatch::Absent => "a value, or quotes around it",
                Mismatch::Quote => "a closing quote",
                Mismatch::Bracket => "no closing bracket",
                Mismatch::Reserved => "a value",
                Mismatch::Parts(parts) => return parts.join("/"),
            },
            FilterError::NotReported { by: Reporter::Tables, .. } => "a field that the listed sockets report",
            FilterError::NotReported { by: Reporter::Namespaces, .. } => "--netns",
            FilterError::LineTooLong => "lines of less than 1023 bytes",
            FilterError::InvalidLine => "text",
            FilterError::TooDeep => "fewer brackets",
            FilterError::Syntax => match (self.pending, self.stack.last()) {
                _ if self.wants_value => "a value",
                (Some(_), _) if at_end => "a value",
                (Some(_), _) => "an operator that this condition takes, and a value",
                (None, Some(Symbol::Open | Symbol::Not | Symbol::And | Symbol::Or) | None) => CONDITION,
                (None, Some(Symbol::Expr(..))) if at_end => "a closing bracket",
                (None, Some(Symbol::Expr(..))) => "\"and\", \"or\", another condition, or the end",
            },
        };
        text.to_owned()
    }
}

/// Whether a word selects or excludes the state that follows it.
fn is_state(word: &str) -> bool {
    matches!(word, "state" | "exclude" | "excl")
}

/// What a condition can begin with.
const CONDITION: &str =
    "a condition: src, dst, sport, dport, dev, fwmark, cgroup, autobound, or a field and an operator";
