//! Tokens into an expression.
//!
//! A shift-reduce parser with its stack in a `Vec`.  Its depth is counted as
//! the reference's own stack counts it, which gives up at ten thousand: so
//! the two accept the same filters, and nothing here can overflow.
//!
//! A value is converted when its token is read, according to the operand that
//! was read last, even where the grammar has no place for a value: therefore
//! `ss foo` speaks of an address, not of syntax.
//!
//! Source: the manual page ss(8), and the program's behaviour.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::io::BufRead;

use super::error::{FilterError, HostError};
use super::explain::{self, Refused};
use super::expr::{Comparison, End, Expr, FieldTest, Node, Test};
use super::host::{self, HostCondition, Meaning};
use super::lex::{Mark, Tokens, mark};
use super::{Context, Parsed, quantity};
use crate::cnum;
use crate::fields::{Field, Kind, NameError, Named, Operand, Unit};
use crate::model::{Addr, Family};

/// Symbols that the reference's parser holds at most.
const MAX_SYMBOLS: usize = 9998;

/// Nodes of an expression: a bound on memory that no filter in use comes near.
const MAX_NODES: usize = 1_000_000;

/// A symbol of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbol {
    Open,
    Not,
    And,
    Or,
    /// A finished expression; the index of its last node.
    Expr(usize),
}

/// An operand whose condition is not complete, and its operator once read.
#[derive(Clone, Copy, Debug)]
struct Pending {
    field: &'static Field,
    operand: Operand,
    comparison: Option<Comparison>,
}

/// A converted value.
enum Value {
    Host(HostCondition),
    Device(u32),
    Mark(u32, u32),
    Cgroup(u64),
}

struct Parser<'a> {
    ctx: Context<'a>,
    tokens: Tokens<'a>,
    /// The operand that values belong to now.
    latest: Option<Operand>,
    narrowed: Option<Family>,
    nodes: Vec<Node>,
    stack: Vec<Symbol>,
    pending: Option<Pending>,
}

/// Reads a filter: first the words of the command line, each of which is split
/// again, then the lines of a filter file.  Both form one expression.
pub fn parse<'a>(
    words: &'a [&'a [u8]],
    file: Option<&'a mut dyn BufRead>,
    ctx: Context<'a>,
) -> Result<Parsed, FilterError> {
    parse_or_explain(words, file, ctx).map_err(|refused| refused.error)
}

/// The same; what is refused is explained.
///
/// # Errors
/// Where the filter cannot be used.
pub fn parse_or_explain<'a>(
    words: &'a [&'a [u8]],
    file: Option<&'a mut dyn BufRead>,
    ctx: Context<'a>,
) -> Result<Parsed, Box<Refused>> {
    let tokens = Tokens::new(words, file);
    let mut parser = Parser {
        ctx,
        tokens,
        latest: None,
        narrowed: None,
        nodes: Vec::new(),
        stack: Vec::new(),
        pending: None,
    };
    while let Some(token) = parser.tokens.next() {
        if let Err(error) = token.and_then(|token| parser.token(&token)) {
            return Err(Box::new(parser.explain(error, false)));
        }
    }
    match parser.finish() {
        Ok(parsed) => Ok(parsed),
        Err(error) => Err(Box::new(parser.explain(error, true))),
    }
}

impl Parser<'_> {
    fn finish(&mut self) -> Result<Parsed, FilterError> {
        let family = self.narrowed;
        let expr = match (self.pending, self.stack.as_slice()) {
            (None, []) => None,
            (None, [Symbol::Expr(_)]) => {
                Some(Expr::new(std::mem::take(&mut self.nodes)).ok_or(FilterError::Syntax)?)
            }
            _ => return Err(FilterError::Syntax),
        };
        Ok(Parsed { expr, family })
    }

    /// Where the filter is wrong, and what would be right there.
    fn explain(self, error: FilterError, at_end: bool) -> Refused {
        let expected = self.expected(&error, at_end);
        let around = self.tokens.around(at_end).map(|words| explain::line(words.iter().map(Vec::as_slice)));
        let [mut before, wrong, mut behind] = around;
        if !before.is_empty() {
            before.push(' ');
        }
        if !behind.is_empty() {
            behind.insert(0, ' ');
        }
        Refused { error, around: [before, wrong, behind], expected }
    }

    fn expected(&self, error: &FilterError, at_end: bool) -> String {
        let text = match error {
            FilterError::Host(Some(HostError::Address(word))) if self.latest.is_none() => {
                let known = std::str::from_utf8(word).ok().map(|name| (name, self.ctx.catalog.named(name)));
                return match known {
                    Some((_, Ok(named))) => format!("an operator behind the field {}", named.field.name),
                    Some((_, Err(wrong @ NameError::Ambiguous { .. }))) => format!("one field: {wrong}"),
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
            FilterError::LineTooLong => "lines of less than 1023 bytes",
            FilterError::InvalidLine => "text",
            FilterError::TooDeep => "fewer brackets",
            FilterError::Syntax => match (self.pending, self.stack.last()) {
                (Some(_), _) if at_end => "a value",
                (Some(_), _) => "an operator that this condition takes, and a value",
                (None, Some(Symbol::Open | Symbol::Not | Symbol::And | Symbol::Or) | None) => CONDITION,
                (None, Some(Symbol::Expr(_))) if at_end => "a closing bracket",
                (None, Some(Symbol::Expr(_))) => "\"and\", \"or\", another condition, or the end",
            },
        };
        text.to_owned()
    }

    fn token(&mut self, token: &[u8]) -> Result<(), FilterError> {
        if let Some(mark) = mark(token) {
            return self.mark(mark);
        }
        if let Some(field) = self.ctx.catalog.operand(token)
            && let Some((_, operand)) = field.operand
        {
            self.latest = Some(operand);
            self.begin_primary()?;
            return if operand == Operand::Autobound {
                self.check_depth(1)?;
                self.primary(Node::Test(Test::Autobound))
            } else {
                self.pending = Some(Pending { field, operand, comparison: None });
                self.check_depth(1)
            };
        }
        if self.pending.is_none()
            && let Some(named) = std::str::from_utf8(token).ok().and_then(|name| self.ctx.catalog.named_of(name, self.ctx.tables).ok())
            // Its keyword is the whole condition: there is no value to compare.
            && !matches!(named.field.operand, Some((_, Operand::Autobound)))
            && let Some(Mark::Compare(comparison)) = self.tokens.peek().and_then(mark)
        {
            return self.field_test(token, named, comparison);
        }
        let value = self.convert(token)?;
        let pending = self.pending.take().ok_or(FilterError::Syntax)?;
        // An operator that is not written counts as well.
        self.check_depth(3)?;
        self.condition(pending, value)
    }

    fn mark(&mut self, mark: Mark) -> Result<(), FilterError> {
        if let Mark::Compare(comparison) = mark {
            let pending = self.pending.as_mut().ok_or(FilterError::Syntax)?;
            if pending.comparison.is_some() || !allowed(pending.operand, comparison) {
                return Err(FilterError::Syntax);
            }
            pending.comparison = Some(comparison);
            return self.check_depth(2);
        }
        if self.pending.is_some() {
            return Err(FilterError::Syntax);
        }
        match mark {
            Mark::Open | Mark::Not => {
                self.begin_primary()?;
                self.stack.push(if mark == Mark::Not { Symbol::Not } else { Symbol::Open });
                self.check_depth(0)
            }
            Mark::And | Mark::Or => {
                if !matches!(self.stack.last(), Some(Symbol::Expr(_))) {
                    return Err(FilterError::Syntax);
                }
                self.stack.push(if mark == Mark::And { Symbol::And } else { Symbol::Or });
                self.check_depth(0)
            }
            Mark::Close => {
                let [.., Symbol::Open, Symbol::Expr(_)] = self.stack.as_slice() else {
                    return Err(FilterError::Syntax);
                };
                self.check_depth(1)?;
                self.stack.truncate(self.stack.len() - 2);
                self.reduce()
            }
            Mark::Compare(_) => Err(FilterError::Syntax),
        }
    }

    /// A condition or bracket may begin anywhere but inside a condition: after
    /// another expression it is joined with an `and` that is not written.
    fn begin_primary(&self) -> Result<(), FilterError> {
        if self.pending.is_some() { Err(FilterError::Syntax) } else { Ok(()) }
    }

    /// Fails if the stack and so many symbols of an unfinished condition are
    /// more than the reference's parser can hold.
    fn check_depth(&self, unfinished: usize) -> Result<(), FilterError> {
        if self.stack.len() + unfinished > MAX_SYMBOLS || self.nodes.len() > MAX_NODES {
            return Err(FilterError::TooDeep);
        }
        Ok(())
    }

    fn primary(&mut self, node: Node) -> Result<(), FilterError> {
        self.nodes.push(node);
        self.reduce()
    }

    /// Joins the last node with what stands before it on the stack.
    fn reduce(&mut self) -> Result<(), FilterError> {
        while self.stack.last() == Some(&Symbol::Not) {
            self.stack.pop();
            self.nodes.push(Node::Not);
        }
        match self.stack.as_slice() {
            [.., Symbol::Expr(left), join @ (Symbol::And | Symbol::Or)] => {
                let join = if *join == Symbol::And { Node::And } else { Node::Or };
                self.nodes.push(join(*left));
                self.stack.truncate(self.stack.len() - 2);
            }
            [.., Symbol::Expr(left)] => {
                self.nodes.push(Node::And(*left));
                self.stack.pop();
            }
            _ => {}
        }
        let last = self.nodes.len().checked_sub(1).ok_or(FilterError::Syntax)?;
        self.stack.push(Symbol::Expr(last));
        self.check_depth(0)
    }

    /// Reads the value that a token is, for the operand read last.
    fn convert(&mut self, token: &[u8]) -> Result<Value, FilterError> {
        let meaning = match self.latest {
            Some(Operand::Device) => return self.device(token).map(Value::Device).ok_or(FilterError::Device),
            Some(Operand::Mark) => {
                let (value, mask) = fwmark(token).ok_or_else(|| FilterError::Mark(token.to_vec()))?;
                return Ok(Value::Mark(value, mask));
            }
            Some(Operand::Cgroup) => {
                return match self.ctx.lookups.cgroup(token) {
                    Ok(id) => Ok(Value::Cgroup(id)),
                    Err(reason) => Err(FilterError::Cgroup { path: token.to_vec(), reason }),
                };
            }
            Some(Operand::LocalPort | Operand::RemotePort) => Meaning::Port,
            Some(Operand::LocalHost | Operand::RemoteHost | Operand::Autobound) | None => Meaning::Address,
        };
        let preferred = self.narrowed.or(self.ctx.preferred);
        let (condition, family) = host::parse(token, meaning, preferred, self.ctx.tables, self.ctx.lookups)?;
        self.narrowed = family.or(self.narrowed);
        Ok(Value::Host(condition))
    }

    fn device(&mut self, token: &[u8]) -> Option<u32> {
        let index = host::interface(token, self.ctx.lookups);
        index.or_else(|| Some(cnum::unsigned(token, u32::MAX.into())? as u32))
    }

    /// Turns a complete operand, operator and value into nodes.
    fn condition(&mut self, pending: Pending, value: Value) -> Result<(), FilterError> {
        let Pending { field, operand, comparison } = pending;
        let comparison = comparison.unwrap_or(Comparison::Eq);
        let (test, negated) = match (operand, value) {
            (Operand::LocalHost, Value::Host(host)) => (Test::Host(End::Local, host), false),
            (Operand::RemoteHost, Value::Host(host)) => (Test::Host(End::Remote, host), false),
            (Operand::LocalPort, Value::Host(host)) => port(End::Local, host, comparison),
            (Operand::RemotePort, Value::Host(host)) => port(End::Remote, host, comparison),
            (Operand::Device, Value::Device(index)) => {
                (Test::Device(field, index), comparison == Comparison::Ne)
            }
            (Operand::Mark, Value::Mark(mark, mask)) => {
                (Test::Mark { field, mark, mask }, comparison == Comparison::Ne)
            }
            (Operand::Cgroup, Value::Cgroup(id)) => {
                if !self.ctx.lookups.cgroup_condition_supported() {
                    return Err(FilterError::CgroupUnsupported);
                }
                (Test::Cgroup(field, id), comparison == Comparison::Ne)
            }
            _ => return Err(FilterError::Syntax),
        };
        self.nodes.push(Node::Test(test));
        if negated {
            self.nodes.push(Node::Not);
        }
        self.reduce()
    }

    /// `NAME OP VALUE` with the name of a field, whose operator is next.
    fn field_test(&mut self, name: &[u8], named: Named, comparison: Comparison) -> Result<(), FilterError> {
        let _operator = self.tokens.next();
        let text = self.tokens.next().ok_or(FilterError::Syntax)??;
        if mark(&text).is_some() {
            return Err(FilterError::Syntax);
        }
        self.check_depth(3)?;
        let (field, kind, unit) = (named.field, named.kind(), named.unit());
        let number = cnum::scan(&text, 0).filter(|n| n.len == text.len() && !n.overflow).map(|n| {
            let magnitude = i128::from(n.magnitude);
            if n.negative { -magnitude } else { magnitude }
        });
        let ratio = match number {
            Some(number) => Some(number as f64),
            None => {
                std::str::from_utf8(&text).ok().and_then(|t| t.parse().ok()).filter(|r: &f64| r.is_finite())
            }
        };
        if named.without_unit && unit.is_time() && ratio.is_some_and(|ratio| ratio != 0.0) {
            return Err(FilterError::NoUnit { name: name.to_vec(), field: field.name, value: text });
        }
        let (number, ratio) = match (ratio, kind, text.as_slice()) {
            (None, Kind::Bool, b"true" | b"yes") => (Some(1), Some(1.0)),
            (None, Kind::Bool, b"false" | b"no") => (Some(0), Some(0.0)),
            (None, Kind::Enum(..), word) => {
                let number = kind.word(word).and_then(|word| word.number);
                (number.map(i128::from), number.map(f64::from))
            }
            (None, ..) => match quantity::amount(&text, unit) {
                Some(amount) => (whole(amount), Some(amount)),
                None => (None, None),
            },
            _ => (number, ratio),
        };
        let ordered = !matches!(comparison, Comparison::Eq | Comparison::Ne);
        let is_text = kind.is_text() || matches!(kind, Kind::Texts | Kind::Addr | Kind::Addrs);
        if ratio.is_none() && (ordered || !is_text) {
            return Err(FilterError::NotANumber { field: field.name, value: text });
        }
        // Any spelling of a word means the word as it is shown.
        let word = kind.word(&text).filter(|_| kind.is_text());
        let is_pattern = word.is_none() && text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
        let text = word.map_or(text, |word| word.name().into());
        let needs = named.needs(self.ctx.catalog);
        let member = named.member;
        let addr = std::str::from_utf8(&text).ok().and_then(|t| t.parse().ok()).map(|ip| match ip {
            std::net::IpAddr::V4(ip) => Addr::V4(ip.octets()),
            std::net::IpAddr::V6(ip) => Addr::V6(ip.octets()),
        });
        self.primary(Node::Test(Test::Field(FieldTest {
            field,
            member,
            needs,
            comparison,
            text,
            is_pattern,
            number,
            ratio,
            addr,
        })))
    }
}

/// What a condition may begin with.
const CONDITION: &str =
    "a condition: src, dst, sport, dport, dev, fwmark, cgroup, autobound, or a field and an operator";

/// An amount that is a whole number.
fn whole(amount: f64) -> Option<i128> {
    (amount.fract() == 0.0 && amount.abs() < 1e30).then_some(amount as i128)
}

/// Whether the grammar knows this operator for this operand.
fn allowed(operand: Operand, comparison: Comparison) -> bool {
    match operand {
        Operand::LocalHost | Operand::RemoteHost => comparison == Comparison::Eq,
        Operand::LocalPort | Operand::RemotePort => true,
        Operand::Device | Operand::Mark | Operand::Cgroup => {
            matches!(comparison, Comparison::Eq | Comparison::Ne)
        }
        Operand::Autobound => false,
    }
}

/// A comparison of a port: the condition, and whether it is to be negated.
fn port(end: End, host: HostCondition, comparison: Comparison) -> (Test, bool) {
    // Any port is -1, also to the comparisons.
    let value = match &host {
        HostCondition::Inet { port, .. } | HostCondition::Number { port, .. } => port.unwrap_or(-1),
        HostCondition::Unix(_) => -1,
    };
    match comparison {
        Comparison::Eq => (Test::Host(end, host), false),
        Comparison::Ne => (Test::Host(end, host), true),
        Comparison::Ge => (Test::PortAtLeast(end, value), false),
        Comparison::Lt => (Test::PortAtLeast(end, value), true),
        Comparison::Le => (Test::PortAtMost(end, value), false),
        Comparison::Gt => (Test::PortAtMost(end, value), true),
    }
}

/// Reads `MARK` or `MARK/MASK`; what follows the last number does not matter.
fn fwmark(word: &[u8]) -> Option<(u32, u32)> {
    let (mark, len) = cnum::scanf_i(word)?;
    if !word.contains(&b'/') {
        return Some((mark, u32::MAX));
    }
    let mask = word.get(len..)?.strip_prefix(b"/")?;
    Some((mark, cnum::scanf_i(mask)?.0))
}

#[cfg(test)]
mod tests;
