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
    /// A finished expression; the index of its last node, and how its parts are
    /// joined at this level.
    Expr(usize, Joined),
}

/// How the parts of an expression are joined where no brackets are around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    /// It is one part.
    Not,
    /// By `and`, which may be unwritten.
    And,
    /// By `or`.
    Or,
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
    /// Whether a field was compared by its name, which the reference does not know.
    is_ours: bool,
    /// Whether the value of a field is next.
    wants_value: bool,
    remarks: Vec<Remark>,
    /// Whether `and` and `or` stand side by side, and an `and` behind an `or`.
    mixed: Option<bool>,
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
        // What the reference understands is read as it reads it.
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
        if self.pending.is_none() && self.ours()? {
            return Ok(());
        }
        self.value(token)
    }

    /// Reads the value of a classic operand, or of none.
    fn value(&mut self, token: &[u8]) -> Result<(), FilterError> {
        let (values, closing) = match self.convert(token) {
            Ok(value) => (vec![value], 0),
            Err(error) => self.lenient(token).ok_or(error)?,
        };
        let pending = self.pending.take().ok_or(FilterError::Syntax)?;
        // An operator that is not written counts as well.
        self.check_depth(3)?;
        self.condition(pending, values)?;
        (0..closing).try_for_each(|_| self.mark(Mark::Close))
    }

    /// Values that the reference refuses: a list, or one with brackets behind it in
    /// a filter that the reference refuses anyway; and how many brackets these are.
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

    /// Reads a condition of ours: a field, an operator, a value, and brackets and
    /// joints that stand before and behind it without a blank.  False if it is none.
    ///
    /// The reference refuses every filter with such a word here, so nothing that it
    /// understands is read in another way.
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
            // Its own grammar has it.
            Some(_) => None,
            None => self.ctx.catalog.named_of(&name, self.ctx.tables).ok(),
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
        // What stands behind it without a blank.
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

    /// Joins the last node with the expression that ends at `left`, whose own parts
    /// are joined so.
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

    /// Adds tests, each of which may be negated: under `!=` all have to hold, else
    /// any of them.
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

    /// `NAME OP VALUE` with the name of a field; the value is next.
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
                // What stands behind a quote that is open is easier to find.
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
        // Words for operators may be names; the others are a condition that goes on.
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

/// A bracket or joint at the beginning of a word that goes on, and its length.
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

/// An operator at the beginning of what is left, and its length.
fn glued_operator(raw: &[u8]) -> Option<(Comparison, usize)> {
    // A backslash, which shells may want, does not hide one.
    if let Some(rest) = raw.strip_prefix(b"\\")
        && matches!(rest.first(), Some(b'<' | b'>' | b'=' | b'!'))
    {
        return glued_operator(rest).map(|(comparison, len)| (comparison, len + 1));
    }
    let len = raw.iter().take_while(|byte| matches!(byte, b'=' | b'!' | b'<' | b'>')).count();
    let len = match len {
        // A word: it ends at a blank.
        0 => raw.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(raw.len()),
        len => len.min(2),
    };
    let of = |len: usize| match mark(raw.get(..len)?)? {
        Mark::Compare(comparison) => Some((comparison, len)),
        _ => None,
    };
    of(len).or_else(|| of(1))
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
