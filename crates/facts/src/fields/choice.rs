//! Values chosen by name: as text, and as sort keys.
//!
//! A [`Choice`] is created once from a name and read from every row.  A row whose kind of
//! message lacks the field reports nothing, even if another field uses the same member of the
//! socket.

#![allow(clippy::cast_precision_loss, reason = "what people are shown is rounded")]

use std::cmp::Ordering;
use std::collections::HashSet;
use std::io::Write as _;

use super::{
    Catalog, Field, Item, Kind, List, NameError, Named, Needs, Reading, Together, Unit, Value, put_address,
};
use super::{put_amount, without_unit};
use crate::escape::{self, Budget};
use crate::model::{Addr, MessageKind, Row, TableSet};
use crate::number::{put_i64, put_u64};

/// The budget in bytes for all texts of a list; beyond it, texts are cut short.
const MOST_OF_A_LIST: usize = 16 << 10;

/// The number of bytes that a sort key keeps of a longer text.
const MOST_OF_A_KEY: usize = 256;

/// The default number of bits of an IPv6 network.
const V6_BITS: u8 = 64;

/// A value chosen by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    name: String,
    named: Named,
    needs: Needs,
    /// The field in each kind of message that has it.
    fields: Vec<(MessageKind, &'static Field)>,
    /// The number of bits of IPv4 and IPv6 networks that addresses are reduced to.
    network: Option<(u8, u8)>,
    /// Whether numbers are printed with units.
    for_people: bool,
}

/// Names that mean the process's field if the list of names contains fields of processes, and
/// otherwise the socket's.
const BESIDE_PROCESSES: [(&str, &str); 2] = [("uid", "process.uid"), ("user", "process.user")];

/// An invalid choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoiceError {
    /// The name matches no field.
    Name(NameError),
    /// The `/BITS` after the name is not a number of bits, or the field is not an address.
    Network(String),
}

impl std::fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Network(name) => {
                write!(
                    f,
                    "\"{}\" is not a network: use ADDRESS/BITS or ADDRESS/BITS:BITS6",
                    name.escape_debug()
                )
            }
        }
    }
}

impl std::error::Error for ChoiceError {}

/// A sort key.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// An integer; a list is compared by its length.
    Number(i128),
    /// A ratio.
    Ratio(f64),
    /// An address: IPv4 before IPv6.
    Addr(u8, [u8; 16]),
    /// Text; for long text its beginning and a hash of the rest.
    Text(Box<[u8]>),
}

impl Key {
    /// The order of two keys; different kinds of keys, which no field mixes, are ordered as
    /// numbers, addresses, text.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Ratio(a), Self::Ratio(b)) => a.total_cmp(b),
            (Self::Addr(of, a), Self::Addr(than, b)) => (of, a).cmp(&(than, b)),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Ratio(_) => 1,
            Self::Addr(..) => 2,
            Self::Text(_) => 3,
        }
    }
}

impl Choice {
    /// Resolves `name`: a field, a member of a list, or `ADDRESS/BITS[:BITS6]`.
    ///
    /// # Errors
    /// When the name matches no field, or `/BITS` is invalid.
    pub fn new(catalog: &Catalog, name: &str) -> Result<Self, ChoiceError> {
        Self::with(catalog, name, |name| catalog.named(name))
    }

    /// Resolves names, separated by commas, for a listing of these tables.  Next to names of
    /// processes (`pid`, `comm`), `uid` and `user` mean the process's; the socket's own are
    /// `socket.uid` and `owner`.
    ///
    /// # Errors
    /// As [`Choice::new`].
    pub fn list(catalog: &Catalog, names: &str, tables: TableSet) -> Result<Vec<Self>, ChoiceError> {
        let names: Vec<&str> = names.split(',').map(|name| name.trim_matches(' ')).collect();
        Self::each(catalog, &names, tables)
    }

    /// Like [`Self::list`], for names that are already separate.
    ///
    /// # Errors
    /// As [`Choice::new`].
    pub fn each(catalog: &Catalog, names: &[&str], tables: TableSet) -> Result<Vec<Self>, ChoiceError> {
        let choose = |name: &str| Self::with(catalog, name, |name| catalog.named_of(name, tables));
        let mut choices: Vec<Self> = names.iter().map(|name| choose(name)).collect::<Result<_, _>>()?;
        if choices.iter().any(Self::is_of_processes) {
            for choice in &mut choices {
                if let Some((_, name)) = BESIDE_PROCESSES.iter().find(|(short, _)| *short == choice.name) {
                    *choice = choose(name)?;
                }
            }
        }
        Ok(choices)
    }

    /// Whether it is a field of the processes that hold the socket.
    fn is_of_processes(&self) -> bool {
        self.named.field.name == "socket.processes"
    }

    fn with(
        catalog: &Catalog,
        name: &str,
        find: impl Fn(&str) -> Result<Named, NameError>,
    ) -> Result<Self, ChoiceError> {
        let (field, bits) = match name.split_once('/') {
            Some((field, bits)) => (field, Some(bits)),
            None => (name, None),
        };
        let named = find(field).map_err(ChoiceError::Name)?;
        let network = match bits {
            None => None,
            Some(bits) => {
                let network = network(bits).filter(|_| named.kind() == Kind::Addr);
                Some(network.ok_or_else(|| ChoiceError::Network(name.to_owned()))?)
            }
        };
        Ok(Self { network, ..Self::of(catalog, name, named) })
    }

    /// A choice for a name that was already resolved.
    pub fn of(catalog: &Catalog, name: &str, named: Named) -> Self {
        let row = |message_kind| Some((message_kind, catalog.of_kind(message_kind, named.field.name)?));
        let fields =
            catalog.descriptions().iter().filter_map(|description| row(description.message_kind)).collect();
        Self {
            name: name.to_owned(),
            named,
            needs: named.needs(catalog),
            fields,
            network: None,
            for_people: false,
        }
    }

    /// The kinds of message that can report it.
    pub fn message_kinds(&self) -> impl Iterator<Item = MessageKind> {
        self.fields.iter().map(|(message_kind, _)| *message_kind)
    }

    /// The name as typed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The header of its column: the name, but without a unit that the cells already print,
    /// such as `sent/s` for `bytes_sent_per_s`.
    pub fn heading(&self) -> String {
        if !self.has_unit() {
            return self.name.clone();
        }
        if let Some(rate) = self.name.strip_suffix("_per_s") {
            let short = rate.rsplit('.').next().unwrap_or(rate);
            let short = short.strip_prefix("bytes_").unwrap_or(short);
            return format!("{}/s", short.strip_suffix("_bytes").unwrap_or(short));
        }
        without_unit(&self.name).unwrap_or(&self.name).to_owned()
    }

    /// The full name, with the unit: `tcp.rtt_us` for `rtt`.
    pub fn full_name(&self) -> String {
        let mut name = self.named.field.name.to_owned();
        if let Some(member) = self.named.member.and_then(|at| self.named.field.kind.members().get(at)) {
            name = format!("{name}.{}", member.name);
        }
        match self.network {
            None => name,
            Some((v4, V6_BITS)) => format!("{name}/{v4}"),
            Some((v4, v6)) => format!("{name}/{v4}:{v6}"),
        }
    }

    /// The same choice with numbers for people: with a unit, rounded.  A name that includes
    /// the unit (`rtt_us`) still prints the plain number.
    #[must_use]
    pub fn for_people(mut self) -> Self {
        self.for_people = !self.named.says_unit();
        self
    }

    /// The same choice, printing units for people even if the name includes the unit.
    #[must_use]
    pub fn with_units(mut self) -> Self {
        self.named.without_unit = true;
        self
    }

    /// Appends an amount in the field's unit, in the form that its values have.
    pub fn put_amount(&self, out: &mut Vec<u8>, amount: f64) {
        if !self.put_unit(out, amount) {
            // Writing to memory does not fail.
            let _ = write!(out, "{amount}");
        }
    }

    /// Whether numbers are printed with a unit.
    pub fn has_unit(&self) -> bool {
        self.put_unit(&mut Vec::new(), 0.0)
    }

    /// Appends an amount with its unit; returns false if amounts are printed without units.
    fn put_unit(&self, out: &mut Vec<u8>, amount: f64) -> bool {
        self.for_people && !self.named.field.bare && put_amount(out, amount, self.unit())
    }

    /// Whether addresses are reduced to their networks.
    pub fn is_network(&self) -> bool {
        self.network.is_some()
    }

    /// The field or member that it stands for.
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// What has to be requested to read it.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// How values of several rows are combined; members of lists are not amounts.
    pub fn together(&self) -> Together {
        if self.named.member.is_none() { self.named.field.together } else { Together::NoMean }
    }

    /// Whether its values are single numbers.
    pub fn is_number(&self) -> bool {
        self.named.kind().is_number() && self.named.member.is_none()
    }

    /// The unit of the numbers.
    pub fn unit(&self) -> Unit {
        self.named.unit()
    }

    /// The field that describes the socket of this row.
    fn field(&self, row: &Row<'_>) -> Option<&'static Field> {
        let message_kind = row.socket.message_kind();
        self.fields.iter().find(|(of, _)| *of == message_kind).map(|(_, field)| *field)
    }

    /// Whether the number for "none" is zero.
    pub(crate) fn none_is_zero(&self, row: &Row<'_>) -> bool {
        self.field(row).is_some_and(|field| field.none_number() == Some(0))
    }

    /// Whether the number for "no limit" is zero.
    pub(crate) fn unlimited_is_zero(&self, row: &Row<'_>) -> bool {
        self.field(row).is_some_and(|field| field.unlimited_number() == Some(0))
    }

    /// The value in a row; `None` for numbers that mean "none" or "no limit".  For a member,
    /// the whole list.
    pub fn value<'r>(&self, row: &'r Row<'r>) -> Option<Value<'r>> {
        match self.field(row)?.value(row)? {
            Value::Addr(Addr::None) => None,
            value => Some(value),
        }
    }

    /// The value in a row, with "none" and "no limit" distinguished from numbers; for a
    /// member, the whole list.
    pub fn read<'r>(&self, row: &'r Row<'r>) -> Reading<'r> {
        match self.field(row).map(|field| field.read(row)) {
            None | Some(Reading::Value(Value::Addr(Addr::None))) => Reading::Absent,
            Some(reading) => reading,
        }
    }

    /// Appends the value as a cell (see [`escape`]); returns false if there is no value.  The
    /// elements of a list are separated by commas, with an empty one for an unknown element.
    pub fn put(&self, out: &mut Vec<u8>, row: &Row<'_>) -> bool {
        let start = out.len();
        let known = match self.value(row) {
            None => false,
            // Zero means that nothing was measured, not a time or rate of zero.
            Some(Value::U64(0) | Value::I64(0))
                if self.for_people && self.none_is_zero(row) && self.has_unit() =>
            {
                false
            }
            Some(Value::List(list)) => self.put_list(out, list, &mut |_| true),
            Some(value) => {
                self.put_value(out, value, b"", &mut Budget::new(escape::LONGEST));
                true
            }
        };
        keep_apart_from_absent(out, start);
        known
    }

    /// Appends the cells by which rows are grouped, and the end of each in `ends`; `None` for
    /// a cell without a value.
    ///
    /// Equal elements of a list are put once.  Several members of the same list are compared
    /// together, so that their cells still correspond element by element.
    pub fn put_distinct(choices: &[Self], out: &mut Vec<u8>, ends: &mut Vec<Option<usize>>, row: &Row<'_>) {
        for choice in choices {
            let Some(Value::List(list)) = choice.value(row) else {
                ends.push(choice.put(out, row).then_some(out.len()));
                continue;
            };
            let same_list = |other: &&Self| other.named.field.name == choice.named.field.name;
            let kin: Vec<&Self> = choices.iter().filter(same_list).collect();
            let mut seen = HashSet::new();
            let start = out.len();
            let known = choice.put_list(out, list, &mut |item| {
                let mut all = Vec::new();
                for kin in &kin {
                    kin.put_item(&mut all, item, &mut Budget::new(escape::LONGEST));
                    all.push(b',');
                }
                // Hashes, since there may be very many long texts.
                seen.insert(escape::hashes(&all))
            });
            keep_apart_from_absent(out, start);
            ends.push(known.then_some(out.len()));
        }
    }

    /// Appends the elements of a list for which `is_wanted` returns true.
    fn put_list(
        &self,
        out: &mut Vec<u8>,
        list: List<'_>,
        is_wanted: &mut dyn FnMut(Item<'_>) -> bool,
    ) -> bool {
        let mut budget = Budget::new(MOST_OF_A_LIST);
        let (mut count, mut is_any_known) = (0_u64, false);
        list.each(&mut |item| {
            if !is_wanted(item) {
                return;
            }
            if count > 0 {
                out.push(b',');
            }
            count += 1;
            is_any_known |= self.put_item(out, item, &mut budget);
        });
        count > 1 || is_any_known
    }

    /// Appends an element of a list; returns false if its value is unknown.
    fn put_item(&self, out: &mut Vec<u8>, item: Item<'_>, budget: &mut Budget) -> bool {
        match (item, self.named.member) {
            (Item::Value(value), _) => self.put_value(out, value, b",", budget),
            (Item::Record(values), Some(member)) => match values.get(member).copied().flatten() {
                Some(value) => self.put_value(out, value, b",", budget),
                None => return false,
            },
            (Item::Record(values), None) => self.put_record(out, values, budget),
        }
        true
    }

    /// Appends the most important members of a record, separated by slashes.
    pub(crate) fn put_record(&self, out: &mut Vec<u8>, values: &[Option<Value<'_>>], budget: &mut Budget) {
        let members = self.named.field.kind.members().iter().zip(values).filter(|(member, _)| member.brief);
        for (at, (_, value)) in members.enumerate() {
            if at > 0 {
                out.push(b'/');
            }
            if let Some(value) = value {
                self.put_value(out, *value, b"/,", budget);
            }
        }
    }

    fn put_value(&self, out: &mut Vec<u8>, value: Value<'_>, separators: &[u8], budget: &mut Budget) {
        match value {
            Value::U64(number) if self.put_unit(out, number as f64) => {}
            Value::I64(number) if self.put_unit(out, number as f64) => {}
            Value::F64(number) if self.put_unit(out, number) => {}
            Value::U64(number) => put_u64(out, number),
            Value::I64(number) => put_i64(out, number),
            // Of idle sockets, most ratios are zero.
            Value::F64(ratio) if ratio.to_bits() == 0 => out.push(b'0'),
            Value::F64(ratio) => _ = write!(out, "{ratio}"),
            Value::Bool(so) => out.extend_from_slice(if so { b"true" } else { b"false" }),
            Value::Text(text) => {
                let start = out.len();
                escape::put_part(out, text, separators, budget.next());
                budget.take(out.len() - start);
            }
            Value::Marked(..) => {
                self.put_value(out, Value::Text(&value.text().unwrap_or_default()), separators, budget);
            }
            Value::Addr(addr) => self.put_addr(out, addr),
            // A list as a value is a command line.
            Value::List(list) => put_words(out, list, budget),
        }
    }

    fn put_addr(&self, out: &mut Vec<u8>, addr: Addr) {
        let (addr, bits) = self.cut(addr);
        put_address(out, addr);
        if let Some(bits) = bits {
            out.push(b'/');
            put_u64(out, bits.into());
        }
    }

    /// The network of an address, if the choice has one.
    fn cut(&self, addr: Addr) -> (Addr, Option<u8>) {
        let Some((v4, v6)) = self.network else { return (addr, None) };
        match (addr, addr.mapped_v4()) {
            (Addr::V4(octets), _) | (_, Some(octets)) => {
                let kept = u32::MAX.checked_shl(32 - u32::from(v4)).unwrap_or(0);
                (Addr::V4((u32::from_be_bytes(octets) & kept).to_be_bytes()), Some(v4))
            }
            (Addr::V6(octets), _) => {
                let kept = u128::MAX.checked_shl(128 - u32::from(v6)).unwrap_or(0);
                (Addr::V6((u128::from_be_bytes(octets) & kept).to_be_bytes()), Some(v6))
            }
            (other, _) => (other, None),
        }
    }

    /// The sort key of a row; `None` if the row does not report the value or reports "none".
    /// "No limit" sorts above every number.
    pub fn key(&self, row: &Row<'_>) -> Option<Key> {
        let value = match self.read(row) {
            Reading::Absent | Reading::None => return None,
            Reading::Unlimited => return Some(Key::Number(i128::MAX)),
            Reading::Value(value) => value,
        };
        match value {
            Value::List(list) if self.named.member.is_some() => {
                let mut first = None;
                list.each(&mut |item| {
                    if let (None, Item::Record(values), Some(member)) = (&first, item, self.named.member) {
                        first = values.get(member).copied().flatten().and_then(|value| self.key_of(value));
                    }
                });
                first
            }
            value => self.key_of(value),
        }
    }

    fn key_of(&self, value: Value<'_>) -> Option<Key> {
        Some(match value {
            Value::F64(ratio) => Key::Ratio(ratio),
            Value::Text(text) => Key::Text(escape::digest(text, MOST_OF_A_KEY).into()),
            Value::Marked(..) => {
                Key::Text(escape::digest(&value.text().unwrap_or_default(), MOST_OF_A_KEY).into())
            }
            Value::Addr(addr) => match self.cut(addr).0 {
                Addr::V4([a, b, c, d]) => Key::Addr(4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                Addr::V6(octets) => Key::Addr(6, octets),
                Addr::Number(number) => Key::Number(number.into()),
                Addr::None => return None,
            },
            // A list as a value is a command line.
            Value::List(List::Words(words)) => Key::Text(escape::digest(words, MOST_OF_A_KEY).into()),
            number => Key::Number(number.as_i128()?),
        })
    }

    /// The integer value of a row, for totals; `None` for "none" and "no limit".
    pub fn number(&self, row: &Row<'_>) -> Option<i128> {
        match self.read(row) {
            Reading::Value(value) => value.as_i128(),
            Reading::Absent | Reading::None | Reading::Unlimited => None,
        }
    }

    /// The ratio of a row; `None` if there is none.
    pub fn ratio(&self, row: &Row<'_>) -> Option<f64> {
        match self.value(row)? {
            Value::F64(ratio) => Some(ratio),
            _ => None,
        }
    }
}

/// Appends words separated by blanks, as an element of a list.
fn put_words(out: &mut Vec<u8>, words: List<'_>, budget: &mut Budget) {
    let start = out.len();
    let room = budget.next();
    let (mut first, mut fits) = (true, true);
    words.each(&mut |item| {
        let Item::Value(Value::Text(word)) = item else { return };
        if fits {
            if !std::mem::take(&mut first) {
                out.push(b' ');
            }
            fits = escape::put_part(out, word, b" ,", room.saturating_sub(out.len() - start));
        }
    });
    if fits && words.is_cut() {
        out.extend_from_slice(escape::CUT.as_bytes());
    }
    budget.take(out.len() - start);
}

/// Prefixes a backslash to a cell that would otherwise look like an absent value.
fn keep_apart_from_absent(out: &mut Vec<u8>, start: usize) {
    if out.get(start..) == Some(escape::ABSENT) {
        out.insert(start, b'\\');
    }
}

/// Parses `BITS` or `BITS:BITS6`.
fn network(bits: &str) -> Option<(u8, u8)> {
    let (v4, v6) = bits.split_once(':').unwrap_or((bits, ""));
    let number = |text: &str, most| text.parse::<u8>().ok().filter(|bits| *bits <= most);
    Some((number(v4, 32)?, if v6.is_empty() { V6_BITS } else { number(v6, 128)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Holder, HolderCache, IdentityCache, Origin, Process, Record, Socket, SourceKind, Table,
    };

    /// Holders with a name, a command line and a user, and with pids from 1 on.
    struct Book(Vec<(&'static [u8], &'static [u8], Option<u32>)>);

    impl HolderCache for Book {
        fn holders(&self, _: u32, take: &mut dyn FnMut(Holder<'_>)) {
            for ((name, ..), pid) in self.0.iter().zip(1..) {
                take(Holder { name, pid, tid: pid, fd: 3 });
            }
        }
    }

    impl IdentityCache for Book {
        fn process(&self, pid: i32) -> Option<Process<'_>> {
            let (_, cmdline, uid) = *self.0.get(usize::try_from(pid).ok()? - 1)?;
            Some(Process { cmdline, uid })
        }

        fn user(&self, uid: u32) -> Option<&[u8]> {
            (uid == 7).then_some(b"-")
        }
    }

    /// The cells of a socket with these holders, in columns and in groups.
    fn held(names: &str, book: &Book) -> [Vec<Option<String>>; 2] {
        let choices: Vec<Choice> =
            names.split(',').map(|name| Choice::new(Catalog::shared(), name).expect("a field")).collect();
        let mut cells = [Vec::new(), Vec::new()];
        with(&[], |row| {
            let mut row = *row;
            row.names.holders = Some(book);
            row.names.identities = Some(book);
            for choice in &choices {
                let mut cell = Vec::new();
                let known = choice.put(&mut cell, &row);
                cells[0].push(known.then(|| String::from_utf8(cell).expect("cells are UTF-8")));
            }
            let (mut out, mut ends, mut from) = (Vec::new(), Vec::new(), 0);
            Choice::put_distinct(&choices, &mut out, &mut ends, &row);
            for end in ends {
                cells[1].push(end.map(|end| {
                    let cell = String::from_utf8(out[from..end].to_vec()).expect("cells are UTF-8");
                    from = end;
                    cell
                }));
            }
        });
        cells
    }

    fn some(cells: &[&str]) -> Vec<Option<String>> {
        cells.iter().map(|cell| Some((*cell).to_owned())).collect()
    }

    #[test]
    fn a_list_has_an_entry_for_each_holder_in_every_column() {
        let both = |book: &[(&'static [u8], &'static [u8], Option<u32>)]| {
            held("pid,comm,socket.processes.user,cmdline,socket.processes", &Book(book.to_vec()))
        };
        let [columns, groups] = both(&[
            (b"sshd,nginx", b"a b\0,\0c\0", Some(7)),
            (b"", b"", None),
            (b"x,1/3/init", b"cut", Some(8)),
        ]);
        let want = [
            "1,2,3",
            "sshd\\,nginx,,x\\,1/3/init",
            "-,,",
            "a\\ b \\, c,,cut…",
            "1/3/sshd\\,nginx,2/3/,3/3/x\\,1\\/3\\/init",
        ];
        assert_eq!(columns, some(&want));
        assert_eq!(groups, some(&want));
        // Two processes with the same name are one element in groups and two in columns.
        let two: [(&[u8], &[u8], Option<u32>); 3] =
            [(b"n", b"m\0", Some(7)), (b"n", b"m\0", Some(7)), (b"n", b"m\0", None)];
        assert_eq!(
            held("comm,socket.processes.user", &Book(two.to_vec())),
            [some(&["n,n,n", "-,-,"]), some(&["n,n", "-,"])]
        );
        assert_eq!(held("comm", &Book(two.to_vec())), [some(&["n,n,n"]), some(&["n"])]);
        // A text that looks like an absent value, and an absent value.
        let one: [(&[u8], &[u8], Option<u32>); 1] = [(b"-", b"", Some(7))];
        assert_eq!(held("comm,socket.processes.user", &Book(one.to_vec()))[0], some(&["\\-", "\\-"]));
        let none: [(&[u8], &[u8], Option<u32>); 1] = [(b"", b"", None)];
        let [columns, groups] = held("comm,socket.processes.user,pid", &Book(none.to_vec()));
        assert_eq!((&columns, columns[0].as_deref(), columns[2].as_deref()), (&groups, None, Some("1")));
        assert_eq!(held("pid", &Book(Vec::new())), [[None], [None]]);
    }

    #[test]
    fn a_list_of_long_texts_is_bounded_and_keeps_its_entries() {
        static LONG: [u8; 5000] = [b'\x1b'; 5000];
        let book = || Book((0..2000).map(|_| (&b"0123456789abcde"[..], &LONG[..], Some(7))).collect());
        let [columns, groups] = held("comm,cmdline,pid", &book());
        for cell in columns.iter().chain(&groups) {
            assert_eq!(cell.as_deref().map(|cell| cell.split(',').count()), Some(2000));
        }
        let cmdline = columns[1].as_deref().unwrap_or_default();
        assert!(cmdline.split(',').all(|entry| entry.ends_with('…') && entry.len() <= escape::LONGEST));
        assert!(cmdline.len() <= MOST_OF_A_LIST + escape::LONGEST + 2000 * (escape::SHORT + 1));
        assert!(
            columns[0].as_deref().is_some_and(|cell| cell.split(',').all(|name| name == "0123456789abcde"))
        );
    }

    #[test]
    fn keys_are_bounded_and_tell_texts_apart() {
        let key = |text: &[u8]| escape::digest(text, MOST_OF_A_KEY).into_owned();
        let long = vec![b'x'; 2 << 20];
        let other = [&long[..], b"y"].concat();
        assert_eq!((key(b"short"), key(&long).len()), (b"short".to_vec(), MOST_OF_A_KEY + 16));
        assert!(key(&long) != key(&other) && key(&long) == key(&long.clone()));
    }

    /// An inet_diag reply with a complete `tcp_info` that contains these 32-bit words.
    fn with(words: &[(usize, u32)], look: impl FnOnce(&Row<'_>)) {
        let mut bytes = vec![0; 72];
        bytes[0] = 2;
        let mut info = vec![0; 280];
        for (at, word) in words {
            info[*at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        sockdiag_wire::attr::put(&mut bytes, 2, &info);
        let origin = Origin::of(Table::Tcp, SourceKind::Kernel);
        let socket = Socket::decode(Record { origin, bytes: &bytes }).expect("a socket");
        look(&Row::bare(&socket));
    }

    #[test]
    fn none_and_unlimited_are_no_amounts() {
        let choice = |name| Choice::new(Catalog::shared(), name).expect("a field");
        // Offsets of tcpi_rtt, tcpi_snd_ssthresh, tcpi_pacing_rate and tcpi_min_rtt.
        let nothing = [(76, 0x7fff_ffff), (104, u32::MAX), (108, u32::MAX), (148, u32::MAX)];
        with(&nothing, |row| {
            for name in ["tcp.rtt_us", "tcp.min_rtt_us", "local.port"] {
                let choice = choice(name);
                assert_eq!((choice.read(row), choice.key(row)), (Reading::None, None), "{name}");
                assert_eq!(choice.number(row), None, "{name}");
            }
            for name in ["tcp.snd_ssthresh", "tcp.pacing_rate_bytes_per_s"] {
                let choice = choice(name);
                assert_eq!(choice.read(row), Reading::Unlimited, "{name}");
                assert_eq!((choice.key(row), choice.number(row)), (Some(Key::Number(i128::MAX)), None));
            }
            assert_eq!(choice("tcp.segs_out").read(row), Reading::Value(Value::U64(0)), "zero is a number");
            assert_eq!(choice("unix.peer").read(row), Reading::Absent, "of another message_kind");
            let mut text = Vec::new();
            for name in ["tcp.min_rtt_us", "tcp.snd_ssthresh", "tcp.pacing_rate_bytes_per_s"] {
                assert!(!choice(name).put(&mut text, row), "{name}");
            }
            assert!(choice("local.port").put(&mut text, row));
            assert_eq!(text, b"0", "zero is nobody's large number");
        });
        with(&[(68, 7), (76, 9), (104, 1000), (148, 5)], |row| {
            for (name, number) in [
                ("tcp.rtt_us", 7),
                ("tcp.min_rtt_us", 5),
                ("tcp.snd_ssthresh", 9),
                ("tcp.pacing_rate_bytes_per_s", 1000),
            ] {
                let choice = choice(name);
                assert_eq!((choice.number(row), choice.key(row)), (Some(number), Some(Key::Number(number))));
            }
        });
    }
}
