//! Parses tokens into an expression.
//!
//! A shift-reduce parser with its stack in a `Vec`.  The depth is counted like the reference's
//! stack, which overflows at ten thousand: so both accept the same filters, and nothing here
//! can overflow.
//!
//! A value is converted as soon as its token is read, according to the last operand, even
//! where the grammar does not allow a value: therefore `ss foo` reports a bad address, not a
//! syntax error.
//!
//! Source: the manual page ss(8), and the observed behaviour of `ss`.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

mod expected;

use std::io::BufRead;

use super::error::{FilterError, Mismatch, Remark};
use super::explain::Refused;
use super::expr::{Comparison, End, Expr, Node, Test};
use super::host::{self, HostCondition, Meaning};
use super::kinds::Reader;
use super::lex::{Mark, Tokens, mark};
use super::{Context, Parsed, contrary, typed};
use crate::cnum;
use crate::fields::{Field, Named, Operand};
use crate::model::Family;

/// The maximum number of symbols in the reference's parser.
const MAX_SYMBOLS: usize = 9998;

/// The maximum number of nodes, which bounds memory and is far above any filter in use.
const MAX_NODES: usize = 1_000_000;

/// A symbol on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbol {
    Open,
    Not,
    And,
    Or,
    /// A complete expression: the index of its last node, and how its parts are joined at this
    /// level.
    Expr(usize, Joined),
}

/// How the parts of an expression are joined outside its brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    /// It has only one part.
    Not,
    /// By `and`, which may be implicit.
    And,
    /// By `or`.
    Or,
}

/// An operand whose condition is incomplete, and its operator once it has been read.
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
    /// The operand that the next value belongs to.
    latest: Option<Operand>,
    narrowed: Option<Family>,
    nodes: Vec<Node>,
    stack: Vec<Symbol>,
    pending: Option<Pending>,
    /// Whether the filter compares a field by name, which the reference does not support.
    is_ours: bool,
    /// Whether the value of a field comes next.
    wants_value: bool,
    remarks: Vec<Remark>,
    /// Whether `and` and `or` are mixed without brackets, and whether an `and` follows an
    /// `or`.
    mixed: Option<bool>,
}

/// Parses a filter: first the words of the command line, which are split again, then the lines
/// of the filter file.  Together they form one expression.
pub fn parse<'a>(
    words: &'a [&'a [u8]],
    file: Option<&'a mut dyn BufRead>,
    ctx: Context<'a>,
) -> Result<Parsed, FilterError> {
    parse_or_explain(words, file, ctx).map_err(|refused| refused.error)
}

/// Like [`parse`], but explains an error.
///
/// # Errors
/// When the filter is invalid.
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
        is_ours: false,
        wants_value: false,
        remarks: Vec::new(),
        mixed: None,
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
            (None, [Symbol::Expr(..)]) => {
                Some(Expr::new(std::mem::take(&mut self.nodes)).ok_or(FilterError::Syntax)?)
            }
            _ => return Err(FilterError::Syntax),
        };
        // A filter that the reference accepts gets no remark, since it means the same here.
        if let (true, Some(differs)) = (self.is_ours, self.mixed) {
            self.remarks.push(Remark::Mixed { differs });
        }
        Ok(Parsed { expr, family, remarks: std::mem::take(&mut self.remarks) })
    }

    fn token(&mut self, token: &[u8]) -> Result<(), FilterError> {
        if let Some(mark) = mark(token) {
            return self.mark(mark);
        }
        if let Some(field) = self.ctx.catalog.operand(token)
            && let Some(operand) = field.operand
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
        if self.pending.is_none() && self.ours()? {
            return Ok(());
        }
        self.value(token)
    }

    /// Parses the value of a classic operand, or a value without an operand.
    fn value(&mut self, token: &[u8]) -> Result<(), FilterError> {
        let (values, closing) = match self.convert(token) {
            Ok(value) => (vec![value], 0),
            Err(error) => self.lenient(token).ok_or(error)?,
        };
        let pending = self.pending.take().ok_or(FilterError::Syntax)?;
        // An implicit operator counts as a symbol too.
        self.check_depth(3)?;
        self.condition(pending, values)?;
        (0..closing).try_for_each(|_| self.mark(Mark::Close))
    }

    /// Parses values that the reference rejects: a list, or, in a filter that the reference
    /// rejects anyway, a value with closing brackets attached.  Also returns the number of
    /// these brackets.
    fn lenient(&mut self, token: &[u8]) -> Option<(Vec<Value>, usize)> {
        let comparison = self.pending?.comparison.unwrap_or(Comparison::Eq);
        let open = self.stack.iter().filter(|symbol| **symbol == Symbol::Open).count();
        let closing = token.iter().rev().take_while(|byte| **byte == b')').count();
        let closing = if self.is_ours { closing.min(open) } else { 0 };
        let token = token.get(..token.len() - closing)?;
        if token.is_empty() {
            return None;
        }
        let parts = token.split(|byte| *byte == b',');
        if parts.clone().count() > 1 {
            if !matches!(comparison, Comparison::Eq | Comparison::Ne) {
                return None;
            }
        } else if closing == 0 {
            return None;
        }
        let narrowed = self.narrowed;
        let values: Option<Vec<Value>> =
            parts.map(|part| if part.is_empty() { None } else { self.convert(part).ok() }).collect();
        if values.is_none() {
            self.narrowed = narrowed;
        }
        Some((values?, closing))
    }

    /// Parses a condition that the reference lacks: a field, an operator and a value, with
    /// brackets and `and`/`or` signs attached before and after it.  Returns false if there is
    /// none here.
    ///
    /// The reference rejects every filter with such a word at this position, so filters that
    /// it accepts keep their meaning.
    fn ours(&mut self) -> Result<bool, FilterError> {
        let place = self.tokens.place();
        self.tokens.rewind();
        let mut marks = Vec::new();
        while let Some((mark, len)) = glued_mark(self.tokens.raw()) {
            marks.push((mark, self.tokens.raw().get(..len).unwrap_or_default().to_vec()));
            self.tokens.pass(len);
        }
        let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        let len = self.tokens.raw().iter().take_while(is_name).count();
        let name = String::from_utf8_lossy(self.tokens.raw().get(..len).unwrap_or_default()).into_owned();
        let named = match self.ctx.catalog.operand(name.as_bytes()) {
            // A keyword of the reference's grammar.
            Some(_) => None,
            None => self.ctx.catalog.find_of(&name, self.ctx.tables),
        };
        self.tokens.pass(len);
        let is_there = named.is_some() && self.tokens.more();
        let operator = if is_there { glued_operator(self.tokens.raw()) } else { None };
        let (Some(named), Some((comparison, len))) = (named, operator) else {
            self.tokens.return_to(place);
            return Ok(false);
        };
        self.is_ours = true;
        for (mark, text) in marks {
            self.tokens.see(&text);
            self.mark(mark)?;
        }
        self.begin_primary()?;
        self.tokens.see(name.as_bytes());
        self.tokens.see(comparison.symbol().as_bytes());
        self.tokens.pass(len);
        self.field_test(&name, named, comparison)?;
        // Brackets and signs that follow without a blank.
        loop {
            let (mark, len) = match self.tokens.glued() {
                [b')', ..] => (Mark::Close, 1),
                [b'&', b'&', ..] => (Mark::And, 2),
                [b'|', b'|', ..] => (Mark::Or, 2),
                [b'&', ..] => (Mark::And, 1),
                [b'|', ..] => (Mark::Or, 1),
                _ => return Ok(true),
            };
            self.tokens.accept(len);
            self.mark(mark)?;
        }
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
                if !matches!(self.stack.last(), Some(Symbol::Expr(..))) {
                    return Err(FilterError::Syntax);
                }
                self.stack.push(if mark == Mark::And { Symbol::And } else { Symbol::Or });
                self.check_depth(0)
            }
            Mark::Close => {
                let [.., Symbol::Open, Symbol::Expr(..)] = self.stack.as_slice() else {
                    return Err(FilterError::Syntax);
                };
                self.check_depth(1)?;
                self.stack.truncate(self.stack.len() - 2);
                self.reduce()
            }
            Mark::Compare(_) => Err(FilterError::Syntax),
        }
    }

    /// A condition or bracket may begin anywhere except inside a condition: after a complete
    /// expression, an implicit `and` joins it.
    fn begin_primary(&self) -> Result<(), FilterError> {
        if self.pending.is_some() { Err(FilterError::Syntax) } else { Ok(()) }
    }

    /// Fails if the stack, with this many symbols of an incomplete condition, exceeds the size
    /// of the reference's parser.
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

    /// Combines the last node with the operators before it on the stack.
    fn reduce(&mut self) -> Result<(), FilterError> {
        let mut joined = Joined::Not;
        while self.stack.last() == Some(&Symbol::Not) {
            self.stack.pop();
            self.nodes.push(Node::Not);
        }
        match self.stack.as_slice() {
            [.., Symbol::Expr(left, before), join @ (Symbol::And | Symbol::Or)] => {
                let (left, before, is_and) = (*left, *before, *join == Symbol::And);
                self.stack.truncate(self.stack.len() - 2);
                joined = self.join(left, before, is_and)?;
            }
            [.., Symbol::Expr(left, before)] => {
                let (left, before) = (*left, *before);
                self.stack.pop();
                joined = self.join(left, before, true)?;
            }
            _ => {}
        }
        let last = self.nodes.len().checked_sub(1).ok_or(FilterError::Syntax)?;
        self.stack.push(Symbol::Expr(last, joined));
        self.check_depth(0)
    }

    /// Joins the last node with the expression that ends at `left`, whose own parts are joined
    /// as `before` tells.
    fn join(&mut self, left: usize, before: Joined, is_and: bool) -> Result<Joined, FilterError> {
        self.nodes.push(if is_and { Node::And(left) } else { Node::Or(left) });
        let joined = if is_and { Joined::And } else { Joined::Or };
        if before != Joined::Not && before != joined {
            self.mixed = Some(self.mixed == Some(true) || is_and);
        }
        if is_and && self.is_ours {
            contrary::check(&self.nodes)?;
        }
        Ok(joined)
    }

    /// Converts a token to a value of the last operand.
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

    /// Turns a complete operand, operator and values into nodes.
    fn condition(&mut self, pending: Pending, values: Vec<Value>) -> Result<(), FilterError> {
        let Pending { field, operand, comparison } = pending;
        let comparison = comparison.unwrap_or(Comparison::Eq);
        let mut tests = Vec::with_capacity(values.len());
        for value in values {
            tests.push(match (operand, value) {
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
            });
        }
        self.tests(tests, comparison)
    }

    /// Adds tests, each possibly negated: with `!=` all of them must hold, otherwise any.
    fn tests(&mut self, tests: Vec<(Test, bool)>, comparison: Comparison) -> Result<(), FilterError> {
        let mut left = None;
        for (test, negated) in tests {
            self.nodes.push(Node::Test(test));
            if negated {
                self.nodes.push(Node::Not);
            }
            if let Some(left) = left {
                self.nodes.push(if comparison == Comparison::Ne { Node::And(left) } else { Node::Or(left) });
            }
            left = self.nodes.len().checked_sub(1);
        }
        self.reduce()
    }

    /// Parses `NAME OP VALUE` after the name of a field and the operator.
    fn field_test(&mut self, name: &str, named: Named, comparison: Comparison) -> Result<(), FilterError> {
        self.wants_value = true;
        if !self.tokens.more() {
            return Err(FilterError::Syntax);
        }
        let in_brackets = self.stack.contains(&Symbol::Open);
        let typed = match typed::value(self.tokens.raw(), in_brackets) {
            Ok(typed) => typed,
            Err(wrong) => {
                let raw = self.tokens.raw();
                let len = raw.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(raw.len());
                let value = raw.get(..len).unwrap_or_default();
                // The error shows the text after the unclosed quote, which is easier to find.
                let quote = value.iter().position(|byte| matches!(byte, b'"' | b'\''));
                let from = quote.filter(|_| wrong == typed::Wrong::Quote).map_or(0, |at| at + 1);
                let value = value.get(from..).unwrap_or_default().to_vec();
                self.tokens.accept(len);
                let why = match wrong {
                    typed::Wrong::Missing => return Err(FilterError::Syntax),
                    typed::Wrong::Quote => Mismatch::Quote,
                    typed::Wrong::Bracket => Mismatch::Bracket,
                };
                return Err(FilterError::Value { field: named.field.name.to_owned(), value, why });
            }
        };
        self.tokens.accept(typed.raw.len());
        self.wants_value = false;
        self.check_depth(3)?;
        // Operators spelled as words may be names; the other words continue the condition.
        let is_reserved = match mark(&typed.raw) {
            None => false,
            Some(Mark::Compare(_)) => !typed.raw.iter().any(u8::is_ascii_alphabetic),
            Some(_) => true,
        };
        if is_reserved {
            let why = Mismatch::Reserved;
            return Err(FilterError::Value { field: named.field.name.to_owned(), value: typed.raw, why });
        }
        let mut reader = Reader { ctx: &mut self.ctx, remarks: &mut self.remarks };
        let tests = reader.read(name, named, comparison, &typed)?;
        self.tests(tests.into_iter().map(|test| (Test::Field(test), false)).collect(), comparison)
    }
}

/// A bracket or sign at the beginning of a longer word, and its length.
fn glued_mark(raw: &[u8]) -> Option<(Mark, usize)> {
    let word =
        |word: &[u8]| raw.strip_prefix(word).is_some_and(|rest| matches!(rest.first(), Some(b'(' | b'!')));
    Some(match raw {
        [b'(', ..] => (Mark::Open, 1),
        [b'\\', b'(', ..] => (Mark::Open, 2),
        [b'!', b'=', ..] => return None,
        [b'!', ..] => (Mark::Not, 1),
        [b'&', b'&', ..] => (Mark::And, 2),
        [b'|', b'|', ..] => (Mark::Or, 2),
        [b'&', ..] => (Mark::And, 1),
        [b'|', ..] => (Mark::Or, 1),
        _ if word(b"not") => (Mark::Not, 3),
        _ if word(b"and") => (Mark::And, 3),
        _ if word(b"or") => (Mark::Or, 2),
        _ => return None,
    })
}

/// An operator at the beginning of the rest, and its length.
fn glued_operator(raw: &[u8]) -> Option<(Comparison, usize)> {
    // A backslash, which shells may require, does not hide an operator.
    if let Some(rest) = raw.strip_prefix(b"\\")
        && matches!(rest.first(), Some(b'<' | b'>' | b'=' | b'!'))
    {
        return glued_operator(rest).map(|(comparison, len)| (comparison, len + 1));
    }
    let len = raw.iter().take_while(|byte| matches!(byte, b'=' | b'!' | b'<' | b'>')).count();
    let len = match len {
        // An operator spelled as a word ends at a blank.
        0 => raw.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(raw.len()),
        len => len.min(2),
    };
    let of = |len: usize| match mark(raw.get(..len)?)? {
        Mark::Compare(comparison) => Some((comparison, len)),
        _ => None,
    };
    of(len).or_else(|| of(1))
}

/// Whether the grammar allows this operator for this operand.
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

/// A comparison of a port: the condition, and whether to negate it.
fn port(end: End, host: HostCondition, comparison: Comparison) -> (Test, bool) {
    // "Any port" is -1, even in comparisons.
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

/// Parses `MARK` or `MARK/MASK`; text after the last number is ignored.
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
