//! Parses values of fields according to the kind of the field.
//!
//! Values are checked when the filter is parsed, and a value that no socket can have is
//! rejected with the possible ones: a misspelled word would never match, and with `!=` it
//! would match everything.

mod address;
mod number;

use address::whole;

use super::Context;
use super::error::{FilterError, Mismatch, Remark, Reporter};
use super::expr::Comparison;
use super::field_test::{FieldTest, Wanted, counts};
use super::pattern::{self, Case};
use super::typed::{Element, Typed};
use crate::cnum;
use crate::fields::{Choice, Groups, Int, Kind, Named, Operand, Spelling, Unit};
use crate::model::TableSet;
use crate::model::words::{FALSE_TRUE, Word, by_spelling};

/// The comparison that a value is parsed for.
struct Subject<'n> {
    /// The range of the field's numbers, if it has one.
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

    /// Whether the comparison is `<`, `<=`, `>` or `>=`.
    fn is_ordered(&self) -> bool {
        !matches!(self.comparison, Comparison::Eq | Comparison::Ne)
    }

    fn title(&self) -> String {
        title(self.named)
    }

    fn wrong(&self, value: &[u8], why: Mismatch) -> FilterError {
        FilterError::Value { field: self.title(), value: value.to_vec(), why }
    }

    /// Fails if these words cover every socket, so that `!=` would match none.
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

/// Parses values.
pub(super) struct Reader<'r, 'c> {
    pub(super) ctx: &'r mut Context<'c>,
    pub(super) remarks: &'r mut Vec<Remark>,
}

impl Reader<'_, '_> {
    /// Parses a condition on a field into comparisons: for `!=` all must hold, otherwise any
    /// of them.
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
        match named.spelling() {
            Some(Spelling::UserOf(number)) => self.users(&subject, number, typed),
            Some(Spelling::HostOf(addr)) => self.hosts(&subject, addr, typed),
            _ => Ok(vec![self.one(&subject, typed)?]),
        }
    }

    /// The range of a field's numbers in the listed tables.
    fn int(&self, named: Named) -> Option<Int> {
        let operand = named.field.operand;
        let is_port = matches!(operand, Some(Operand::LocalPort | Operand::RemotePort));
        let tables = self.ctx.tables;
        // Vsock ports have 32 bits, all others 16.
        let narrow = is_port && !tables.is_empty() && !tables.intersects(TableSet::VSOCK);
        if narrow { Some(Int::of::<u16>()) } else { named.kind().int() }
    }

    /// A field by its full name, regardless of how it was typed.
    fn choice(&self, named: Named) -> Choice {
        Choice::of(self.ctx.catalog, &title(named), Named { without_unit: false, ..named })
    }

    /// Fails if no socket of this listing reports the field.
    fn check_reported(&self, subject: &Subject<'_>) -> Result<(), FilterError> {
        let by = |by| Err(FilterError::NotReported { field: subject.title(), by });
        if subject.named.field.groups.intersects(Groups::NETNS) && !self.ctx.lookups.tells_namespaces() {
            return by(Reporter::Namespaces);
        }
        if !self.ctx.tables.is_empty() && !self.ctx.catalog.reports(self.ctx.tables, subject.named.field) {
            return by(Reporter::Tables);
        }
        Ok(())
    }

    /// Parses a comparison of a field with its own values.
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
            // A list that is quoted as a whole is still split into its elements.
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

    /// Like [`Self::one`], for a name whose number is in another field.
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
        let number = catalog.find_of(&number, TableSet::EVERY);
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

    /// The uid of a user given by name or number.
    fn user(&mut self, text: &[u8]) -> Option<u32> {
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        number.or_else(|| self.ctx.lookups.user(text))
    }

    /// Parses the name of a host into a comparison with its addresses.
    fn hosts(
        &mut self,
        subject: &Subject<'_>,
        addr: &str,
        typed: &Typed,
    ) -> Result<Vec<FieldTest>, FilterError> {
        if subject.is_ordered() {
            return Err(subject.wrong(&typed.raw, Mismatch::Order));
        }
        let named = self.ctx.catalog.find_of(addr, TableSet::EVERY);
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

    /// Parses one element of a value.
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
            // For vsock, "none" is a different number than for other sockets, so both are
            // accepted.
            let other = (element.text == b"none" && special != Wanted::None).then_some(Wanted::None);
            return Ok(std::iter::once(special).chain(other).collect());
        }
        match kind {
            Kind::Int(_) | Kind::Wide(_) | Kind::Enum(..) | Kind::Flags(..) | Kind::Ratio => {
                self.number(subject, element)
            }
            Kind::Integers(_) => self.number(subject, element),
            // The length of a list is a number.
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
            // The parts of an entry are separated by slashes.
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

    /// The value for "none" or "no limit", if the element is one.
    fn special(subject: &Subject<'_>, element: &Element) -> Option<Wanted> {
        let field = subject.named.field;
        let (none, unlimited) = (field.none_number(), field.unlimited_number());
        let number = cnum::scan(&element.text, 0).filter(|n| n.len == element.text.len() && !n.overflow);
        let number = number.map(|n| if n.negative { -i128::from(n.magnitude) } else { n.magnitude.into() });
        match (element.text.as_slice(), number) {
            // If the number for "none" or "no limit" is 0, rows print it as 0.
            (b"none", _) | (_, Some(0)) if none == Some(0) => Some(Wanted::Whole(0)),
            (b"unlimited", _) | (_, Some(0)) if unlimited == Some(0) => Some(Wanted::Whole(0)),
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
        if let Some(Spelling::Groups(group)) = subject.named.spelling()
            && let Some(names) = group(&element.text)
        {
            return Ok(names.into_iter().map(wanted).collect());
        }
        let found: Vec<Wanted> = matching(element, words).map(|word| wanted(word.name())).collect();
        if found.is_empty() { Err(subject.wrong(&element.text, Mismatch::Words(words))) } else { Ok(found) }
    }

    fn text(&mut self, subject: &Subject<'_>, element: &Element) -> Result<Vec<Wanted>, FilterError> {
        let text = &element.text;
        match subject.named.spelling() {
            Some(Spelling::Cut(most)) => {
                let most = usize::from(*most);
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
            Some(Spelling::Service) if element.pattern.is_none() && !element.fold => {
                // Raw sockets have a protocol in place of a port.
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

    /// Parses a comparison with another field; `None` if the value names no field, or if the
    /// field is text.
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
        let other = self.ctx.catalog.find_of(name, self.ctx.tables)?;
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

/// The number of microseconds in a unit of time.
fn microseconds(unit: Unit) -> Option<i64> {
    match unit {
        Unit::Microseconds => Some(1),
        Unit::Milliseconds => Some(1000),
        Unit::Seconds => Some(1_000_000),
        _ => None,
    }
}

/// Whether the element is a single `*`, which matches any reported value.
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

/// The words that match an element's pattern.
fn matching<'e>(element: &'e Element, words: &'static [Word]) -> impl Iterator<Item = &'static Word> + 'e {
    let pattern = element.pattern.as_deref();
    words.iter().filter(move |word| {
        pattern.is_some_and(|pattern| {
            word.spellings().any(|known| pattern::matches_in(pattern, known.as_bytes(), Case::Folded))
        })
    })
}

/// The minimum length in bytes of text that a pattern matches.
fn least_len(pattern: &[u8]) -> usize {
    let (mut len, mut at) = (0, 0);
    while let Some(byte) = pattern.get(at) {
        match byte {
            b'*' => {}
            b'\\' => {
                at += 1;
                len += 1;
            }
            // The rest of the pattern is ignored, since an underestimate is safe.
            b'[' => return len,
            _ => len += 1,
        }
        at += 1;
    }
    len
}

#[cfg(test)]
mod tests;
