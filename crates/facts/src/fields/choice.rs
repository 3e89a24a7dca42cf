//! Values chosen by name, as text and as what rows are ordered by.
//!
//! A [`Choice`] is made once from a name and read from every row.  A kind of message
//! that does not describe the field reports nothing, even where another field
//! stands at the same place of the socket.

use std::cmp::Ordering;
use std::io::Write as _;

use super::{Catalog, Field, Item, Kind, List, NameError, Named, Needs, Reading, Unit, Value, put_address};
use crate::model::{Addr, MessageKind, Row};
use crate::number::{put_i64, put_u64};

/// Bits of an IPv6 network where only those of an IPv4 one are given.
const V6_BITS: u8 = 64;

/// A value chosen by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    name: String,
    named: Named,
    needs: Needs,
    /// The row of each kind of message that has one.
    fields: Vec<(MessageKind, &'static Field)>,
    /// Bits of networks, IPv4 and IPv6, that addresses are cut to.
    network: Option<(u8, u8)>,
}

/// A name that cannot be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoiceError {
    /// It is no name.
    Name(NameError),
    /// `/BITS` behind it is no number of bits, or it is no address.
    Network(String),
}

impl std::fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Network(name) => {
                write!(f, "\"{}\" is no network: say ADDRESS/BITS or ADDRESS/BITS:BITS6", name.escape_debug())
            }
        }
    }
}

impl std::error::Error for ChoiceError {}

/// What rows are ordered by.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// A whole number; a list is its length.
    Number(i128),
    /// A ratio.
    Ratio(f64),
    /// An address: IPv4 before IPv6.
    Addr(u8, [u8; 16]),
    /// Text.
    Text(Box<[u8]>),
}

impl Key {
    /// Numbers before addresses before text, which no field mixes.
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
    /// What `name` chooses: a field, a member, or `ADDRESS/BITS[:BITS6]`.
    ///
    /// # Errors
    /// Where it is no name, or no address has bits.
    pub fn new(catalog: &Catalog, name: &str) -> Result<Self, ChoiceError> {
        let (field, bits) = match name.split_once('/') {
            Some((field, bits)) => (field, Some(bits)),
            None => (name, None),
        };
        let named = catalog.named(field).map_err(ChoiceError::Name)?;
        let network = match bits {
            None => None,
            Some(bits) => {
                let network = network(bits).filter(|_| named.kind() == Kind::Addr);
                Some(network.ok_or_else(|| ChoiceError::Network(name.to_owned()))?)
            }
        };
        Ok(Self { network, ..Self::of(catalog, name, named) })
    }

    /// What a name that was looked up chooses.
    pub fn of(catalog: &Catalog, name: &str, named: Named) -> Self {
        let row = |message_kind| Some((message_kind, catalog.of_kind(message_kind, named.field.name)?));
        let fields =
            catalog.descriptions().iter().filter_map(|description| row(description.message_kind)).collect();
        Self { name: name.to_owned(), named, needs: named.needs(catalog), fields, network: None }
    }

    /// The kinds of message that can report it.
    pub fn message_kinds(&self) -> impl Iterator<Item = MessageKind> {
        self.fields.iter().map(|(message_kind, _)| *message_kind)
    }

    /// The name as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it stands for.
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// What reading it costs.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether its values are numbers, one to a row.
    pub fn is_number(&self) -> bool {
        self.named.kind().is_number() && self.named.member.is_none()
    }

    /// The unit of the numbers.
    pub fn unit(&self) -> Unit {
        self.named.unit()
    }

    /// The row of the table that describes sockets like this one.
    fn field(&self, row: &Row<'_>) -> Option<&'static Field> {
        let message_kind = row.socket.message_kind();
        self.fields.iter().find(|(of, _)| *of == message_kind).map(|(_, field)| *field)
    }

    fn value<'r>(&self, row: &'r Row<'r>) -> Option<Value<'r>> {
        match self.field(row)?.value(row)? {
            Value::Addr(Addr::None) => None,
            value => Some(value),
        }
    }

    /// What it says of a row, with the numbers that mean none or no limit told
    /// apart; of a member's list, the list.
    pub fn read<'r>(&self, row: &'r Row<'r>) -> Reading<'r> {
        match self.field(row).map(|field| field.read(row)) {
            None | Some(Reading::Value(Value::Addr(Addr::None))) => Reading::Absent,
            Some(reading) => reading,
        }
    }

    /// Appends the value as text, a list with commas, equal elements once;
    /// false if there is nothing to say.
    pub fn put(&self, out: &mut Vec<u8>, row: &Row<'_>) -> bool {
        match self.value(row) {
            None => false,
            Some(Value::List(list)) => self.put_list(out, list),
            Some(value) => {
                self.put_value(out, value);
                true
            }
        }
    }

    fn put_list(&self, out: &mut Vec<u8>, list: List<'_>) -> bool {
        let start = out.len();
        // Where each element that was put begins and ends.
        let mut elements: Vec<(usize, usize)> = Vec::new();
        list.each(&mut |item| {
            let before = out.len();
            if !elements.is_empty() {
                out.push(b',');
            }
            let at = out.len();
            let put = match (item, self.named.member) {
                (Item::Value(value), _) => {
                    self.put_value(out, value);
                    true
                }
                (Item::Record(values), Some(member)) => match values.get(member).copied().flatten() {
                    Some(value) => {
                        self.put_value(out, value);
                        true
                    }
                    None => false,
                },
                (Item::Record(values), None) => {
                    self.put_record(out, values);
                    true
                }
            };
            let new = out.get(at..);
            if !put || elements.iter().any(|(from, to)| out.get(*from..*to) == new) {
                out.truncate(before);
            } else {
                elements.push((at, out.len()));
            }
        });
        out.len() > start
    }

    /// The members that say most, with slashes.
    pub(crate) fn put_record(&self, out: &mut Vec<u8>, values: &[Option<Value<'_>>]) {
        let members = self.named.field.kind.members().iter().zip(values).filter(|(member, _)| member.brief);
        for (at, (_, value)) in members.enumerate() {
            if at > 0 {
                out.push(b'/');
            }
            if let Some(value) = value {
                self.put_value(out, *value);
            }
        }
    }

    fn put_value(&self, out: &mut Vec<u8>, value: Value<'_>) {
        match value {
            Value::U64(number) => put_u64(out, number),
            Value::I64(number) => put_i64(out, number),
            Value::F64(ratio) => _ = write!(out, "{ratio}"),
            Value::Bool(so) => out.extend_from_slice(if so { b"true" } else { b"false" }),
            Value::Text(text) => out.extend_from_slice(text),
            Value::Marked(..) => self.put_value(out, Value::Text(&value.text().unwrap_or_default())),
            Value::Addr(addr) => self.put_addr(out, addr),
            // A command line.
            Value::List(list) => {
                let mut first = true;
                list.each(&mut |item| {
                    if let Item::Value(value) = item {
                        if !std::mem::take(&mut first) {
                            out.push(b' ');
                        }
                        self.put_value(out, value);
                    }
                });
            }
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

    /// The network of an address, where networks are asked for.
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

    /// What a row is ordered by; `None` for a row that does not report it or that
    /// says that there is none.  What is unlimited is more than any number.
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
            Value::Text(text) => Key::Text(text.into()),
            Value::Marked(..) => Key::Text(value.text().unwrap_or_default().into()),
            Value::Addr(addr) => match self.cut(addr).0 {
                Addr::V4([a, b, c, d]) => Key::Addr(4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                Addr::V6(octets) => Key::Addr(6, octets),
                Addr::Number(number) => Key::Number(number.into()),
                Addr::None => return None,
            },
            // A command line.
            Value::List(List::Words(words)) => Key::Text(words.into()),
            number => Key::Number(number.as_i128()?),
        })
    }

    /// The whole number of a row, to be added up; `None` where there is none, or
    /// no limit.
    pub fn number(&self, row: &Row<'_>) -> Option<i128> {
        match self.read(row) {
            Reading::Value(value) => value.as_i128(),
            Reading::Absent | Reading::None | Reading::Unlimited => None,
        }
    }

    /// The ratio of a row; `None` where there is none.
    pub fn ratio(&self, row: &Row<'_>) -> Option<f64> {
        match self.value(row)? {
            Value::F64(ratio) => Some(ratio),
            _ => None,
        }
    }
}

/// `BITS` or `BITS:BITS6`.
fn network(bits: &str) -> Option<(u8, u8)> {
    let (v4, v6) = bits.split_once(':').unwrap_or((bits, ""));
    let number = |text: &str, most| text.parse::<u8>().ok().filter(|bits| *bits <= most);
    Some((number(v4, 32)?, if v6.is_empty() { V6_BITS } else { number(v6, 128)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Record, Socket, SourceKind, Table};

    /// A reply of inet_diag with a whole `tcp_info` of these words of 32 bits.
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
