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

use std::io::BufRead;

use super::error::{FilterError, HostError};
use super::explain::{self, Refused};
use super::expr::{Comparison, End, Expr, FieldTest, Node, Test};
use super::host::{self, HostCondition, Meaning};
use super::lex::{Mark, Tokens, mark};
use super::{Context, Parsed, cnum, quantity};
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
) -> Result<Parsed, Refused> {
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
            return Err(parser.explain(error, false));
        }
    }
    match parser.finish() {
        Ok(parsed) => Ok(parsed),
        Err(error) => Err(parser.explain(error, true)),
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
            && let Some(named) = std::str::from_utf8(token).ok().and_then(|name| self.ctx.catalog.named(name).ok())
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
        let is_time = matches!(unit, Unit::Microseconds | Unit::Milliseconds);
        if named.without_unit && is_time && ratio.is_some_and(|ratio| ratio != 0.0) {
            return Err(FilterError::NoUnit { name: name.to_vec(), field: field.name, value: text });
        }
        let (number, ratio) = match (ratio, kind, text.as_slice()) {
            (None, Kind::Bool, b"true" | b"yes") => (Some(1), Some(1.0)),
            (None, Kind::Bool, b"false" | b"no") => (Some(0), Some(0.0)),
            (None, ..) => match quantity::amount(&text, unit) {
                Some(amount) => (whole(amount), Some(amount)),
                None => (None, None),
            },
            _ => (number, ratio),
        };
        let ordered = !matches!(comparison, Comparison::Eq | Comparison::Ne);
        let is_text = matches!(kind, Kind::Text | Kind::Texts | Kind::Addr | Kind::Addrs);
        if ratio.is_none() && (ordered || !is_text) {
            return Err(FilterError::NotANumber { field: field.name, value: text });
        }
        let is_pattern = text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
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
mod tests {
    use super::super::testing::{World, read, read_for};
    use super::*;
    use crate::fields::Catalog;
    use crate::model::{Table, TableSet};

    fn shown(text: &str) -> String {
        match read(text) {
            Ok(Parsed { expr: Some(expr), .. }) => expr.to_string(),
            Ok(Parsed { expr: None, .. }) => String::new(),
            Err(error) => panic!("{text}: {error}"),
        }
    }

    #[test]
    fn and_and_or_bind_equally() {
        for (text, tree) in [
            ("", ""),
            (" \t ", ""),
            ("autobound", "autobound"),
            ("sport = 1 or sport = 2 and sport = 3", "( ( src *:1 or src *:2 ) and src *:3 )"),
            ("sport = 1 and sport = 2 or sport = 3", "( ( src *:1 and src *:2 ) or src *:3 )"),
            ("sport = 1 and ( sport = 2 or sport = 3 )", "( src *:1 and ( src *:2 or src *:3 ) )"),
            ("not sport = 1 and sport = 2", "( not src *:1 and src *:2 )"),
            ("! ! autobound", "not not autobound"),
            ("! ( autobound ) autobound", "( not autobound and autobound )"),
            ("sport 1 dport 2 ! dev lo", "( ( src *:1 and dst *:2 ) and not dev = 1 )"),
            ("sport = 1 | sport = 2 || autobound & autobound", {
                "( ( ( src *:1 or src *:2 ) or autobound ) and autobound )"
            }),
        ] {
            assert_eq!(shown(text), tree, "{text}");
        }
    }

    #[test]
    fn operators_and_values_become_conditions() {
        for (text, tree) in [
            ("sport > 5", "not sport <= 5"),
            ("sport lt 5", "not sport >= 5"),
            ("sport geq 5", "sport >= 5"),
            ("dport le -7", "dport <= -7"),
            ("dport != :5", "not dst *:5"),
            ("dport neq *", "not dst *"),
            ("sport >= *", "sport >= -1"),
            ("sport = 0x50", "src *:80"),
            ("sport = domain", "src *:53"),
            ("sport = ntp", "src *:123"),
            ("sport = rpc.nfs", "src *:2049"),
            ("src 10.8", "src 10.8.0.0/32"),
            ("src = 0x1.010.+3/24:80", "src 1.8.3.0/24:80"),
            ("src 1.2.3.4/255.255:*", "src 1.2.3.4/16"),
            ("src 1.2.3.4/any", "src 1.2.3.4/0"),
            ("src any:5", "src *:5"),
            ("src [::1]:80", "src [::1/128]:80"),
            ("src fe80::1/64", "src [fe80::1/64]"),
            ("src ::1/128:ssh", "src [::1/128]:22"),
            ("src []", "src *"),
            ("src **", "src *"),
            ("dst many:80", "dst 10.0.0.1/32|10.0.0.2/32|[::1/128]:80"),
            ("dst inet:many", "dst 10.0.0.1/32|10.0.0.2/32"),
            ("dst inet6:many", "dst [::1/128]"),
            ("src unix:/run/*\\ x", "src unix:/run/*\\ x"),
            ("src link:IPv4:eth0", "src link:2048:2"),
            ("src link:*:if7", "src link:*:7"),
            ("src netlink:genl:kernel", "src netlink:16:0"),
            ("sport = netlink:-5", "src netlink:*:-5"),
            ("src vsock:2:1024", "src vsock:2:1024"),
            ("dev uplink", "dev = 2"),
            ("dev != if07", "not dev = 7"),
            ("dev 0x10", "dev = 16"),
            ("fwmark = 5junk", "fwmark = 0x5/0xffffffff"),
            ("fwmark != -1/0x0f", "not fwmark = 0xffffffff/0xf"),
            ("cgroup /user", "cgroup = 0x7"),
        ] {
            assert_eq!(shown(text), tree, "{text}");
        }
    }

    #[test]
    fn a_host_value_narrows_the_family() {
        for (text, preferred, family) in [
            ("sport = 80", None, None),
            ("sport = 80", Some(Family::Inet6), Some(Family::Inet6)),
            ("autobound", Some(Family::Inet6), None),
            ("src unix:x", None, Some(Family::Unix)),
            ("src 1.2.3.4", Some(Family::Unix), Some(Family::Unix)),
            ("src unix:x or src inet:1.2.3.4", None, Some(Family::Inet)),
            ("src inet6:[::1] and sport = 80", None, Some(Family::Inet6)),
            ("src 1.2.3.4", Some(Family::Xdp), Some(Family::Xdp)),
        ] {
            assert_eq!(read_for(text.as_bytes(), preferred).map(|p| p.family), Ok(family), "{text}");
        }
        // The second value belongs to the family of the first.
        assert!(matches!(read("src inet:1.2.3.4 or src [::1]"), Err(FilterError::Host(Some(_)))));
    }

    #[test]
    fn fields_are_compared_by_name_only_before_an_operator() {
        let parsed = read("tcp.rtt_us > 100 and tcp.congestion = cubic").unwrap();
        let expr = parsed.expr.unwrap();
        assert_eq!(expr.to_string(), "( tcp.rtt_us > 100 and tcp.congestion = cubic )");
        let needed = Catalog::standard().field("tcp.rtt_us").map(|f| f.needs).unwrap();
        assert!(expr.needs().has(needed) && needed != crate::fields::Needs::NONE);
        assert!(!expr.reference_compiles());
        for (text, error) in [
            ("tcp.rtt_us", FilterError::Host(Some(super::super::HostError::Address(b"tcp.rtt_us".to_vec())))),
            (
                "src tcp.rtt_us > 5",
                FilterError::Host(Some(super::super::HostError::Address(b"tcp.rtt_us".to_vec()))),
            ),
            ("tcp.rtt_us >", FilterError::Syntax),
            ("tcp.rtt_us > and", FilterError::Syntax),
            ("tcp.rtt_us > cubic", FilterError::NotANumber { field: "tcp.rtt_us", value: b"cubic".to_vec() }),
            ("tcp.rtt_us = 5x", FilterError::NotANumber { field: "tcp.rtt_us", value: b"5x".to_vec() }),
            ("tcp.congestion < x", FilterError::NotANumber { field: "tcp.congestion", value: b"x".to_vec() }),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }

    #[test]
    fn service_names_belong_to_the_tables_shown() {
        let catalog = Catalog::standard();
        for (word, tables, port) in [
            (&b"sport = split"[..], &[Table::Tcp, Table::Udp][..], Some(512)),
            (b"sport = split", &[Table::Tcp], Some(512)),
            (b"sport = split", &[Table::Udp], Some(513)),
            (b"sport = ntp", &[Table::Tcp, Table::Udp], Some(123)),
            (b"sport = ntp", &[Table::Tcp], None),
            (b"sport = ssh", &[Table::Sctp, Table::Raw], None),
            (b"sport = rpc.nfs", &[], Some(2049)),
        ] {
            let mut world = World::new();
            let tables = TableSet::of(tables);
            let ctx = Context { catalog: &catalog, preferred: None, tables, lookups: &mut world };
            let shown =
                parse(&[word], None, ctx).ok().and_then(|parsed| parsed.expr).map(|expr| expr.to_string());
            assert_eq!(shown, port.map(|port: u16| format!("src *:{port}")), "{word:?} {tables:?}");
        }
    }

    #[test]
    fn keywords_come_from_the_table() {
        let catalog = Catalog::standard().without("local.interface");
        let mut world = World::new();
        let words: [&[u8]; 1] = [b"dev lo"];
        let ctx =
            Context { catalog: &catalog, preferred: None, tables: TableSet::EMPTY, lookups: &mut world };
        let error = FilterError::Host(Some(super::super::HostError::Address(b"dev".to_vec())));
        assert_eq!(parse(&words, None, ctx), Err(error));
    }

    #[test]
    fn the_kernel_is_asked_about_cgroups() {
        let catalog = Catalog::standard();
        let words: [&[u8]; 1] = [b"cgroup /user or cgroup = /user"];
        for (cgroups, expect, asked) in [(true, Ok(()), 2), (false, Err(FilterError::CgroupUnsupported), 1)] {
            let mut world = World { cgroups, ..World::new() };
            let ctx =
                Context { catalog: &catalog, preferred: None, tables: TableSet::EMPTY, lookups: &mut world };
            assert_eq!(parse(&words, None, ctx).map(|_| ()), expect);
            assert_eq!(world.asked, asked);
        }
    }

    /// The limits were found by bisection on `ss` 7.3.
    #[test]
    fn depth_ends_where_the_reference_ends() {
        for (open, inner, close, most) in [
            ("( ", "sport = :1", " )", 9995),
            ("( ", "sport :1", " )", 9995),
            ("( ", "autobound", " )", 9996),
            ("! ", "sport = :1", "", 9995),
            ("! ", "autobound", "", 9997),
            ("( autobound ", "autobound", " )", 4998),
            ("( autobound and ", "autobound", " )", 3332),
            ("( autobound or ! ", "sport = :1", " )", 2498),
            ("( sport = :1 ", "autobound", " )", 4998),
            ("autobound and ( ", "sport > :1", " )", 3331),
        ] {
            let text = |n: usize| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
            assert!(read(&text(most)).is_ok(), "{most} times {open}");
            assert_eq!(read(&text(most + 1)), Err(FilterError::TooDeep), "{} times {open}", most + 1);
        }
    }
}
