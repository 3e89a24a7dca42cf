//! Values of fields, each read as the kind of its field wants it.
//!
//! A value is read when the filter is, so that what no socket can have is refused
//! there, with what it could have: a misspelt word would never match, and under
//! `!=` match everything.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "amounts of any size are compared as ratios, and words have numbers of 32 bits; each cast is meant"
)]

use super::error::{FilterError, Mismatch, Remark, Reporter};
use super::expr::Comparison;
use super::field_test::{FieldTest, Wanted, counts};
use super::host::{self, Prefix};
use super::pattern::{self, Case};
use super::quantity::{self, Amount};
use super::typed::{Element, Typed};
use super::{Context, Transport};
use crate::cnum;
use crate::fields::{Choice, Groups, Int, Kind, NameError, Named, Operand, Spelling, Unit};
use crate::model::words::{FALSE_TRUE, Word, by_spelling};
use crate::model::{Addr, MessageKind, Table, TableSet};

/// What a value is read for.
struct Subject<'n> {
    /// The range of its numbers, where it has one.
    int: Option<Int>,
    /// The field as typed.
    name: &'n str,
    named: Named,
    choice: Choice,
    comparison: Comparison,
}

impl Subject<'_> {
    fn kind(&self) -> Kind {
        self.named.kind()
    }

    /// Whether it is compared by an order.
    fn is_ordered(&self) -> bool {
        !matches!(self.comparison, Comparison::Eq | Comparison::Ne)
    }

    fn title(&self) -> String {
        title(self.named)
    }

    fn wrong(&self, value: &[u8], why: Mismatch) -> FilterError {
        FilterError::Value { field: self.title(), value: value.to_vec(), why }
    }

    /// Whether these words would hold for every socket, so that their opposite
    /// holds for none.
    fn check_never(&self, value: &[u8], wanted: &[Wanted]) -> Result<(), FilterError> {
        let all = match self.kind() {
            Kind::EnumText(words) => {
                let is_there =
                    |word: &Word| wanted.iter().any(|w| *w == Wanted::Text(word.name().as_bytes().to_vec()));
                words.iter().all(is_there)
            }
            _ => false,
        };
        let never = self.comparison == Comparison::Ne && (all || wanted.contains(&Wanted::Anything));
        if never { Err(self.wrong(value, Mismatch::Never)) } else { Ok(()) }
    }
}

/// The full name of a field or member.
fn title(named: Named) -> String {
    let list = named.field.name;
    match named.member.and_then(|at| named.field.kind.members().get(at)) {
        Some(member) => format!("{list}.{}", member.name),
        None => list.to_owned(),
    }
}

/// Reads values.
pub(super) struct Reader<'r, 'c> {
    pub(super) ctx: &'r mut Context<'c>,
    pub(super) remarks: &'r mut Vec<Remark>,
}

impl Reader<'_, '_> {
    /// The comparisons that a condition on a field is: of `!=` all must hold, else
    /// any of them.
    pub(super) fn read(
        &mut self,
        name: &str,
        named: Named,
        comparison: Comparison,
        typed: &Typed,
    ) -> Result<Vec<FieldTest>, FilterError> {
        let subject = Subject { int: self.int(named), name, named, choice: self.choice(named), comparison };
        self.check_reported(&subject)?;
        if subject.is_ordered() && typed.elements.len() > 1 {
            return Err(subject.wrong(&typed.raw, Mismatch::Several));
        }
        match *named.spelling() {
            Spelling::UserOf(number) => self.users(&subject, number, typed),
            Spelling::HostOf(addr) => self.hosts(&subject, addr, typed),
            _ => Ok(vec![self.one(&subject, typed)?]),
        }
    }

    /// The range of a field's numbers in the tables that are listed.
    fn int(&self, named: Named) -> Option<Int> {
        let operand = named.field.operand.map(|(_, operand)| operand);
        let is_port = matches!(operand, Some(Operand::LocalPort | Operand::RemotePort));
        let tables = self.ctx.tables;
        // The ports of vsock have 32 bits, those of all others 16.
        let narrow = is_port && !tables.is_empty() && !tables.intersects(TableSet::VSOCK);
        if narrow { Some(Int::of::<u16>()) } else { named.kind().int() }
    }

    /// A field by its full name, however it was typed.
    fn choice(&self, named: Named) -> Choice {
        Choice::of(self.ctx.catalog, &title(named), Named { without_unit: false, ..named })
    }

    /// Fails for a field that no socket of this listing reports.
    fn check_reported(&self, subject: &Subject<'_>) -> Result<(), FilterError> {
        let by = |by| Err(FilterError::NotReported { field: subject.title(), by });
        if subject.named.field.groups.intersects(Groups::NETNS) && !self.ctx.lookups.tells_namespaces() {
            return by(Reporter::Namespaces);
        }
        let listed = |kind| self.ctx.tables.iter().any(|table| table.message_kind() == kind);
        if !self.ctx.tables.is_empty() && !subject.choice.message_kinds().any(listed) {
            return by(Reporter::Tables);
        }
        Ok(())
    }

    /// A field compared with values of its own.
    fn one(&mut self, subject: &Subject<'_>, typed: &Typed) -> Result<FieldTest, FilterError> {
        let kind = subject.kind();
        if let ([element], Kind::Addr | Kind::Addrs) = (typed.elements.as_slice(), kind)
            && let Some(Ok(test)) = self.other(subject, element, typed)
        {
            return Ok(test);
        }
        let (mut wanted, mut numbers) = (Vec::new(), true);
        let is_list = kind.is_list() || subject.named.member.is_some();
        let mut elements: Vec<Element> = Vec::new();
        for element in &typed.elements {
            // The cell of a list, between quotes as a whole, is the list all the same.
            let before = elements.len();
            if is_list {
                elements.extend(element.parts());
            }
            if elements.len() > before {
                if matches!(kind, Kind::Text | Kind::Texts | Kind::Records(_)) {
                    wanted.push(text_of(element));
                }
            } else {
                elements.push(element.clone());
            }
        }
        for element in &elements {
            numbers &= cnum::scan(&element.text, 0).is_some_and(|n| n.len == element.text.len());
            match self.element(subject, element) {
                Ok(found) => wanted.extend(found),
                Err(error) => {
                    return match self.other(subject, element, typed) {
                        Some(other) if typed.elements.len() == 1 => other,
                        _ => Err(error),
                    };
                }
            }
        }
        if typed.elements.len() > 1 && matches!(kind, Kind::Text | Kind::Texts | Kind::Records(_)) {
            wanted.push(text_of(&typed.whole));
        }
        subject.check_never(&typed.raw, &wanted)?;
        let test = FieldTest::new(subject.choice.clone(), subject.comparison, wanted, typed.raw.clone());
        let whole = subject.named.member.is_none();
        Ok(if whole && counts(kind, subject.comparison, numbers) { test.counting() } else { test })
    }

    /// The same, for a name whose number is another field.
    fn users(
        &mut self,
        subject: &Subject<'_>,
        number: &str,
        typed: &Typed,
    ) -> Result<Vec<FieldTest>, FilterError> {
        if subject.is_ordered() {
            return Err(subject.wrong(&typed.raw, Mismatch::Order));
        }
        let catalog = self.ctx.catalog;
        let number = match subject.named.member {
            Some(_) => format!("{}.{number}", subject.named.field.name),
            None => number.to_owned(),
        };
        let number = catalog.named(&number).ok();
        let (mut users, mut names, mut raw) = (Vec::new(), Vec::new(), Vec::new());
        for element in &typed.elements {
            if element.pattern.is_some() || element.fold || number.is_none() {
                names.push(if is_anything(element) { Wanted::Anything } else { text_of(element) });
                continue;
            }
            let user = self.user(&element.text);
            let user = user.ok_or_else(|| subject.wrong(&element.text, Mismatch::User))?;
            if !raw.is_empty() {
                raw.push(b',');
            }
            raw.extend(user.to_string().into_bytes());
            users.push(Wanted::Whole(user.into()));
        }
        subject.check_never(&typed.raw, &names)?;
        let mut tests = Vec::new();
        if let Some(number) = number.filter(|_| !users.is_empty()) {
            let choice = self.choice(number);
            tests.push(FieldTest::new(choice, subject.comparison, users, raw));
        }
        if !names.is_empty() {
            tests.push(FieldTest::new(subject.choice.clone(), subject.comparison, names, typed.raw.clone()));
        }
        Ok(tests)
    }

    /// The number of a user by name or number.
    fn user(&mut self, text: &[u8]) -> Option<u32> {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        number.or_else(|| self.ctx.lookups.user(text))
    }

    /// The name of a host: its addresses are compared.
    fn hosts(
        &mut self,
        subject: &Subject<'_>,
        addr: &str,
        typed: &Typed,
    ) -> Result<Vec<FieldTest>, FilterError> {
        if subject.is_ordered() {
            return Err(subject.wrong(&typed.raw, Mismatch::Order));
        }
        let named = self.ctx.catalog.named(addr).ok();
        let (mut wanted, mut raw) = (Vec::new(), Vec::new());
        for element in &typed.elements {
            let found = match element.pattern {
                None => self.ctx.lookups.hosts(&element.text, None),
                Some(_) => Vec::new(),
            };
            let wrong = || subject.wrong(&element.text, Mismatch::Host);
            for addr in found {
                if !raw.is_empty() {
                    raw.push(b',');
                }
                raw.extend(addr.to_string().into_bytes());
                wanted.push(Wanted::Addr { prefix: whole(addr).ok_or_else(wrong)?, zone: None });
            }
            if wanted.is_empty() {
                return Err(wrong());
            }
        }
        let named = named.ok_or_else(|| subject.wrong(&typed.raw, Mismatch::Host))?;
        let choice = self.choice(named);
        Ok(vec![FieldTest::new(choice, subject.comparison, wanted, raw)])
    }

    /// What an element of a value means.
    fn element(&mut self, subject: &Subject<'_>, element: &Element) -> Result<Vec<Wanted>, FilterError> {
        let kind = subject.kind();
        let order = |why| Err(subject.wrong(&element.text, why));
        if element.absent {
            return order(Mismatch::Absent);
        }
        if is_anything(element) && !subject.is_ordered() {
            return Ok(vec![Wanted::Anything]);
        }
        let special = subject.named.member.is_none() && !element.quoted && !subject.is_ordered();
        if special && let Some(special) = Self::special(subject, element) {
            // Of vsock, none is another number.
            let other = (element.text == b"none" && special != Wanted::None).then_some(Wanted::None);
            return Ok(std::iter::once(special).chain(other).collect());
        }
        match kind {
            Kind::Int(_) | Kind::Wide(_) | Kind::Enum(..) | Kind::Flags(..) | Kind::Ratio => {
                self.number(subject, element)
            }
            Kind::Integers(_) => self.number(subject, element),
            // How long a list is, is a number.
            Kind::Texts | Kind::Addrs | Kind::Records(_)
                if subject.is_ordered() && subject.named.member.is_none() =>
            {
                self.number(subject, element)
            }
            _ if subject.is_ordered() => order(Mismatch::Order),
            Kind::Records(_) if cnum::scan(&element.text, 0).is_some_and(|n| n.len == element.text.len()) => {
                self.number(subject, element)
            }
            Kind::Bool => {
                let number = match by_spelling(FALSE_TRUE, &element.text).and_then(|word| word.number) {
                    None if element.text == b"0" => Some(0),
                    None if element.text == b"1" => Some(1),
                    number => number,
                };
                let number =
                    number.ok_or_else(|| subject.wrong(&element.text, Mismatch::Words(FALSE_TRUE)))?;
                Ok(vec![Wanted::Whole(number.into())])
            }
            Kind::EnumText(words) => Self::words(subject, element, words),
            // The parts of an entry are written with slashes between them.
            Kind::Records(members)
                if !element.text.iter().any(|byte| b"/*?[".contains(byte))
                    && members.iter().filter(|member| member.brief).count() > 1 =>
            {
                let parts = members.iter().filter(|member| member.brief).map(|member| member.name);
                Err(subject.wrong(&element.text, Mismatch::Parts(parts.collect())))
            }
            Kind::Text | Kind::Texts | Kind::Records(_) => self.text(subject, element),
            Kind::Addr | Kind::Addrs => self.addr(subject, &element.text),
        }
    }

    /// The source's way to say that there is none, or no limit.
    fn special(subject: &Subject<'_>, element: &Element) -> Option<Wanted> {
        let field = subject.named.field;
        let (none, unlimited) = (field.none_number(), field.unlimited_number());
        let number = cnum::scan(&element.text, 0).filter(|n| n.len == element.text.len() && !n.overflow);
        let number = number.map(|n| if n.negative { -i128::from(n.magnitude) } else { n.magnitude.into() });
        match (element.text.as_slice(), number) {
            // A zero is shown as one.
            (b"none", _) | (_, Some(0)) if none == Some(0) => Some(Wanted::Whole(0)),
            (b"none", _) if none.is_some() => Some(Wanted::None),
            (b"unlimited", _) if unlimited.is_some() => Some(Wanted::Unlimited),
            (_, Some(number)) if Some(number) == none => Some(Wanted::None),
            (_, Some(number)) if Some(number) == unlimited => Some(Wanted::Unlimited),
            _ => None,
        }
    }

    fn words(
        subject: &Subject<'_>,
        element: &Element,
        words: &'static [Word],
    ) -> Result<Vec<Wanted>, FilterError> {
        let wanted = |name: &str| Wanted::Text(name.as_bytes().to_vec());
        if let Some(word) = by_spelling(words, &element.text) {
            return Ok(vec![wanted(word.name())]);
        }
        if let Spelling::Groups(group) = subject.named.spelling()
            && let Some(names) = group(&element.text)
        {
            return Ok(names.into_iter().map(wanted).collect());
        }
        let found: Vec<Wanted> = matching(element, words).map(|word| wanted(word.name())).collect();
        if found.is_empty() { Err(subject.wrong(&element.text, Mismatch::Words(words))) } else { Ok(found) }
    }

    /// A number, an amount, or a word for one.
    fn number(&mut self, subject: &Subject<'_>, element: &Element) -> Result<Vec<Wanted>, FilterError> {
        let (kind, unit, text) = (subject.kind(), subject.named.unit(), element.text.as_slice());
        let words = kind.words();
        if let Some(number) = by_spelling(words, text).and_then(|word| word.number) {
            return Ok(vec![match kind {
                Kind::Flags(..) if !subject.is_ordered() => Wanted::Bits(number.into()),
                _ => Wanted::Whole(number.into()),
            }]);
        }
        let numbers: Vec<Wanted> = matching(element, words)
            .filter_map(|word| Some(Wanted::Whole(word.number?.into())))
            .filter(|_| !subject.is_ordered() && matches!(kind, Kind::Enum(..)))
            .collect();
        if !numbers.is_empty() {
            return Ok(numbers);
        }
        if let Spelling::Printed(number) = subject.named.spelling()
            && let Some(number) = number(text)
        {
            return Ok(vec![Wanted::Whole(number.into())]);
        }
        let number = cnum::scan(text, 0).filter(|n| n.len == text.len() && !n.overflow);
        let decimal = number.map(|n| if n.negative { -i128::from(n.magnitude) } else { n.magnitude.into() });
        let hex = match subject.named.spelling() {
            Spelling::Hex => cnum::scan(text, 16)
                .filter(|n| n.len == text.len() && !n.overflow && !n.negative && text.first() != Some(&b'+'))
                .map(|n| i128::from(n.magnitude)),
            _ => None,
        };
        let fits = |number: &i128| check_range(subject, text, *number as f64, 0.0).is_ok();
        match (decimal.filter(fits), hex.filter(fits)) {
            (Some(decimal), Some(hex)) if decimal != hex => {
                self.remarks.push(Remark::DecimalOrHex { field: subject.title(), value: text.to_vec() });
                let decimal = Wanted::Whole(decimal);
                return Ok(if subject.is_ordered() {
                    vec![decimal]
                } else {
                    vec![decimal, Wanted::Whole(hex)]
                });
            }
            (None, Some(hex)) => return Ok(vec![Wanted::Whole(hex)]),
            _ => {}
        }
        if let Some(number) = decimal {
            if number != 0 && subject.named.without_unit && unit.is_time() {
                return Err(FilterError::NoUnit {
                    name: subject.name.as_bytes().to_vec(),
                    field: subject.named.field.name,
                    value: text.to_vec(),
                });
            }
            check_range(subject, text, number as f64, 0.0)?;
            return Ok(vec![Wanted::Whole(number)]);
        }
        if let Some(amount) = quantity::amount(text, unit) {
            return amount_of(subject, text, amount);
        }
        if let Some(Amount { amount, step }) = quantity::ratio(text) {
            if subject.named.without_unit && unit.is_time() && amount != 0.0 {
                return Err(FilterError::NoUnit {
                    name: subject.name.as_bytes().to_vec(),
                    field: subject.named.field.name,
                    value: text.to_vec(),
                });
            }
            let step = if kind == Kind::Ratio { step } else { 0.0 };
            return amount_of(subject, text, Amount { amount, step });
        }
        if let Some(found) = self.name_of_number(subject, text)? {
            return Ok(found);
        }
        Err(match kind {
            Kind::Enum(..) | Kind::Flags(..) if !words.is_empty() => {
                subject.wrong(text, Mismatch::Words(words))
            }
            _ => FilterError::NotANumber { field: subject.named.field.name, value: text.to_vec() },
        })
    }

    /// What a name means where the number is a port or a user.
    fn name_of_number(
        &mut self,
        subject: &Subject<'_>,
        text: &[u8],
    ) -> Result<Option<Vec<Wanted>>, FilterError> {
        if matches!(subject.named.spelling(), Spelling::User) {
            let user = self.ctx.lookups.user(text);
            let user = user.ok_or_else(|| subject.wrong(text, Mismatch::User))?;
            return Ok(Some(vec![Wanted::Whole(user.into())]));
        }
        let operand = subject.named.field.operand.map(|(_, operand)| operand);
        if !matches!(operand, Some(Operand::LocalPort | Operand::RemotePort)) {
            return Ok(None);
        }
        let tables = self.ctx.tables;
        let mut of = |table, transport| {
            let shown = tables.is_empty() || tables.contains(table);
            if shown { self.ctx.lookups.service(text, transport) } else { None }
        };
        let tcp = of(Table::Tcp, Transport::Tcp);
        let port = tcp.or_else(|| of(Table::Udp, Transport::Udp));
        let port = port.or_else(|| self.ctx.lookups.rpc_service(text));
        Ok(port.map(|port| vec![Wanted::Whole(port.into())]))
    }

    fn text(&mut self, subject: &Subject<'_>, element: &Element) -> Result<Vec<Wanted>, FilterError> {
        let text = &element.text;
        match *subject.named.spelling() {
            Spelling::Cut(most) => {
                let most = usize::from(most);
                let least = element.pattern.as_deref().map_or(0, least_len);
                if least > most {
                    return Err(subject.wrong(text, Mismatch::Long(most)));
                }
                if element.pattern.is_none() && text.len() > most {
                    let value = text.clone();
                    self.remarks.push(Remark::Cut { field: subject.title(), value, kept: most });
                    let mut element = element.clone();
                    element.text.truncate(most);
                    return Ok(vec![text_of(&element)]);
                }
            }
            Spelling::Service if element.pattern.is_none() && !element.fold => {
                // What raw sockets have in place of a port is a protocol.
                let protocol = text.starts_with(b"ipproto-")
                    || by_spelling(crate::model::protocol_names::IP, text).is_some();
                if !protocol && !self.ctx.lookups.names_a_service(text) {
                    return Err(subject.wrong(text, Mismatch::Service));
                }
            }
            _ => {}
        }
        Ok(vec![text_of(element)])
    }

    /// An address, a network, a host.
    fn addr(&mut self, subject: &Subject<'_>, text: &[u8]) -> Result<Vec<Wanted>, FilterError> {
        let wrong = |why| subject.wrong(text, why);
        let word = std::str::from_utf8(text).map_err(|_| wrong(Mismatch::Address))?;
        if matches!(word, "any" | "all" | "default") {
            return Ok(vec![Wanted::Anything]);
        }
        let others = |table: Table| !matches!(table.message_kind(), MessageKind::Inet | MessageKind::Smc);
        let tables = self.ctx.tables;
        let has_numbers = tables.is_empty() || tables.iter().any(others);
        if has_numbers && let Ok(number) = word.parse() {
            return Ok(vec![Wanted::Number(number)]);
        }
        let parts = split_addr(word).ok_or_else(|| wrong(Mismatch::Address))?;
        if parts.port.is_some_and(|port| !matches!(port, "" | "*")) {
            let end =
                if subject.named.field.name.starts_with("local") { "local.port" } else { "remote.port" };
            return Err(wrong(Mismatch::Port(end)));
        }
        let zone = match parts.zone {
            None => None,
            Some(zone) => {
                let index = host::interface(zone.as_bytes(), self.ctx.lookups).or_else(|| zone.parse().ok());
                Some(index.ok_or_else(|| wrong(Mismatch::Interface))?)
            }
        };
        if let Some(prefix) = prefix(&parts) {
            return Ok(vec![Wanted::Addr { prefix, zone }]);
        }
        let is_name = parts.addr.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            && parts.addr.bytes().any(|byte| byte.is_ascii_alphabetic());
        if !is_name || zone.is_some() || parts.len.is_some() || parts.in_brackets {
            return Err(wrong(Mismatch::Address));
        }
        let found = self.ctx.lookups.hosts(parts.addr.as_bytes(), None);
        let found = found.into_iter().filter_map(|addr| Some(Wanted::Addr { prefix: whole(addr)?, zone }));
        let found: Vec<Wanted> = found.collect();
        if found.is_empty() { Err(wrong(Mismatch::Address)) } else { Ok(found) }
    }

    /// A comparison with another field; `None` if the value names none, or text is
    /// compared.
    fn other(
        &mut self,
        subject: &Subject<'_>,
        element: &Element,
        typed: &Typed,
    ) -> Option<Result<FieldTest, FilterError>> {
        if element.quoted || element.pattern.is_some() {
            return None;
        }
        let name = std::str::from_utf8(&element.text).ok()?;
        let other = match self.ctx.catalog.named_of(name, self.ctx.tables) {
            Ok(named) => named,
            Err(NameError::Ambiguous { .. } | NameError::Unknown { .. }) => return None,
        };
        let is_number = |kind: Kind| {
            matches!(
                kind,
                Kind::Int(_)
                    | Kind::Wide(_)
                    | Kind::Enum(..)
                    | Kind::Flags(..)
                    | Kind::Ratio
                    | Kind::Integers(_)
            )
        };
        let is_addr = |kind| matches!(kind, Kind::Addr | Kind::Addrs);
        let (own, others) = (subject.kind(), other.kind());
        let factors = match (subject.named.unit(), other.unit()) {
            _ if is_addr(own) && is_addr(others) && !subject.is_ordered() => Some((1, 1)),
            _ if !is_number(own) || !is_number(others) => None,
            (own, others) if own == others => Some((1, 1)),
            (own, others) => microseconds(own).zip(microseconds(others)),
        };
        let Some((own, others)) = factors else {
            return is_number(own)
                .then(|| Err(subject.wrong(&element.text, Mismatch::Unit(name.to_owned()))));
        };
        let other = self.choice(other);
        let wanted = vec![Wanted::Field(Box::new(other), own, others)];
        Some(Ok(FieldTest::new(subject.choice.clone(), subject.comparison, wanted, typed.raw.clone())))
    }
}

/// How many microseconds a unit of time has.
fn microseconds(unit: Unit) -> Option<i64> {
    match unit {
        Unit::Microseconds => Some(1),
        Unit::Milliseconds => Some(1000),
        Unit::Seconds => Some(1_000_000),
        _ => None,
    }
}

/// Whether it is a lone `*`: whatever is reported.
fn is_anything(element: &Element) -> bool {
    element.pattern.as_deref() == Some(b"*")
}

fn text_of(element: &Element) -> Wanted {
    let text = element.text.clone();
    match &element.pattern {
        Some(pattern) => Wanted::Pattern { text, pattern: pattern.clone(), folded: element.fold },
        None if element.fold => Wanted::Folded(text),
        None => Wanted::Text(text),
    }
}

/// The words that an element is a pattern of.
fn matching<'e>(element: &'e Element, words: &'static [Word]) -> impl Iterator<Item = &'static Word> + 'e {
    let pattern = element.pattern.as_deref();
    words.iter().filter(move |word| {
        pattern.is_some_and(|pattern| {
            word.spellings().any(|known| pattern::matches_in(pattern, known.as_bytes(), Case::Folded))
        })
    })
}

/// How many bytes a text has at least that a pattern matches; a set counts as one.
fn least_len(pattern: &[u8]) -> usize {
    let (mut len, mut at) = (0, 0);
    while let Some(byte) = pattern.get(at) {
        match byte {
            b'*' => {}
            b'\\' => {
                at += 1;
                len += 1;
            }
            // Where it ends is not worth knowing: fewer is safe.
            b'[' => return len,
            _ => len += 1,
        }
        at += 1;
    }
    len
}

/// An amount, checked against what the field can hold.
fn amount_of(
    subject: &Subject<'_>,
    text: &[u8],
    Amount { amount, step }: Amount,
) -> Result<Vec<Wanted>, FilterError> {
    // Binary fractions of decimals are not exact.
    let slack = step / 2.0 + amount.abs() * 1e-12;
    check_range(subject, text, amount, slack)?;
    let is_whole = subject.kind() != Kind::Ratio;
    let near = amount.round();
    if is_whole && (near - amount).abs() <= 1e-9 * amount.abs().max(1.0) && step <= 1.0 && amount.abs() < 1e30
    {
        return Ok(vec![Wanted::Whole(near as i128)]);
    }
    if is_whole && !subject.is_ordered() && (near - amount).abs() > slack {
        return Err(subject.wrong(text, Mismatch::Whole));
    }
    Ok(vec![Wanted::Amount { amount, slack }])
}

/// Fails where a field can never be so compared with an amount.
fn check_range(subject: &Subject<'_>, text: &[u8], amount: f64, slack: f64) -> Result<(), FilterError> {
    let int = match (subject.kind(), subject.is_ordered()) {
        // A length.
        (Kind::Texts | Kind::Addrs | Kind::Records(_), _) | (Kind::Integers(_), true) => Int::of::<u64>(),
        _ => match subject.int {
            Some(int) => int,
            None => return Ok(()),
        },
    };
    let (least, most) = (int.min() as f64, int.max() as f64);
    let possible = match subject.comparison {
        Comparison::Eq | Comparison::Ne => amount + slack >= least && amount - slack <= most,
        Comparison::Gt => amount < most,
        Comparison::Ge => amount <= most,
        Comparison::Lt => amount > least,
        Comparison::Le => amount >= least,
    };
    if possible { Ok(()) } else { Err(subject.wrong(text, Mismatch::Range(int.min(), int.max()))) }
}

/// The parts of an address as it is written.
struct Parts<'t> {
    addr: &'t str,
    in_brackets: bool,
    zone: Option<&'t str>,
    len: Option<&'t str>,
    port: Option<&'t str>,
}

/// Takes an address apart; `None` where brackets do not match.
fn split_addr(word: &str) -> Option<Parts<'_>> {
    let (inside, behind, in_brackets) = match word.strip_prefix('[') {
        Some(rest) => {
            let (inside, behind) = rest.split_once(']')?;
            (inside, behind, true)
        }
        None => (word, "", false),
    };
    // Behind a bracket a length or a port; else a port behind a single colon, or a
    // wildcard behind the colons of an IPv6 address.
    let (inside, len, port) = if in_brackets {
        let (len, port) = match behind.split_once(':') {
            Some((len, port)) => (len, Some(port)),
            None => (behind, None),
        };
        let len = match len.strip_prefix('/') {
            Some(len) => Some(len),
            None if len.is_empty() => None,
            None => return None,
        };
        (inside, len, port)
    } else if let Some(addr) = inside.strip_suffix(":*") {
        (addr, None, Some("*"))
    } else if inside.matches(':').count() == 1 {
        let (addr, port) = inside.split_once(':')?;
        (addr, None, Some(port))
    } else {
        (inside, None, None)
    };
    let (inside, len) = match (inside.split_once('/'), len) {
        (Some((inside, len)), None) => (inside, Some(len)),
        (Some(_), Some(_)) => return None,
        (None, len) => (inside, len),
    };
    let (addr, zone) = match inside.split_once('%') {
        Some((addr, zone)) => (addr, Some(zone)),
        None => (inside, None),
    };
    Some(Parts { addr, in_brackets, zone, len, port })
}

/// The network that the parts of an address are; of a v4-mapped one, the IPv4
/// network.
fn prefix(parts: &Parts<'_>) -> Option<Prefix> {
    let text = match parts.len {
        Some(len) => format!("{}/{len}", parts.addr),
        // An address of fewer numbers is more likely a mistake.
        None if parts.addr.contains(':') || parts.addr.matches('.').count() == 3 => parts.addr.to_owned(),
        None => return None,
    };
    match host::prefix(text.as_bytes(), None)? {
        Prefix::V6(octets, len @ 96..) if Addr::V6(octets).mapped_v4().is_some() => {
            Some(Prefix::V4(Addr::V6(octets).mapped_v4()?, len - 96))
        }
        prefix => Some(prefix),
    }
}

/// A single address; none for what is not of the Internet.
fn whole(addr: Addr) -> Option<Prefix> {
    match addr.one_host() {
        Addr::V4(octets) => Some(Prefix::V4(octets, 32)),
        Addr::V6(octets) => Some(Prefix::V6(octets, 128)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
