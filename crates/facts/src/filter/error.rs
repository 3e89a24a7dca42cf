//! What can be wrong with a filter: typed, with one plain sentence for each.

#![allow(clippy::cast_precision_loss, reason = "what people are shown is rounded")]

use std::fmt;

use crate::errno::errno_text;
use crate::fields::{Unit, put_amount};
use crate::model::words::Word;

/// A filter that cannot be used.
///
/// Words are kept as typed, less the backslashes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterError {
    /// The grammar does not allow a word where it stands.
    Syntax,
    /// More than about ten thousand brackets or `not`s open at once, or more
    /// than a million conditions.
    TooDeep,
    /// A host value that does not parse; the reason where there is more to say.
    Host(Option<HostError>),
    /// The value of `dev` is neither an interface nor a number.
    Device,
    /// The value of `fwmark` is not a mark.
    Mark(Vec<u8>),
    /// The value of `cgroup` is not a cgroup.
    Cgroup {
        /// The path as typed.
        path: Vec<u8>,
        /// Why there is no id for it.
        reason: CgroupError,
    },
    /// The kernel does not know conditions on cgroups.
    CgroupUnsupported,
    /// A line of a filter file has 1023 bytes or more.
    LineTooLong,
    /// A line of a filter file begins with a NUL byte.
    InvalidLine,
    /// A time is named without its unit and so is its value.
    /// (The reference knows no such conditions.)
    NoUnit {
        /// The field's name as typed.
        name: Vec<u8>,
        /// Its full name, which has the unit.
        field: &'static str,
        /// The value as typed.
        value: Vec<u8>,
    },
    /// A field of the table is a number, but is compared with something else.
    /// (The reference knows no such conditions.)
    NotANumber {
        /// The field's name.
        field: &'static str,
        /// The value as typed.
        value: Vec<u8>,
    },
    /// A value that a field of the table cannot have.
    /// (The reference knows no such conditions.)
    Value {
        /// The field's name.
        field: String,
        /// The value as typed.
        value: Vec<u8>,
        /// Why not.
        why: Mismatch,
    },
    /// None of the sockets that are listed can report the field.
    /// (The reference knows no such conditions.)
    NotReported {
        /// The field's name.
        field: String,
        /// What would report it.
        by: Reporter,
    },
}

/// Why a field cannot have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// It has one of these words.
    Words(&'static [Word]),
    /// It lies between these numbers of this unit.
    Range(i128, i128, Unit),
    /// It is a whole number.
    Whole,
    /// It is an address.
    Address,
    /// It is an address, and its port is another field, of this name.
    Port(&'static str),
    /// There is no interface of this name.
    Interface,
    /// There is no user of this name.
    User,
    /// There is no service of this name.
    Service,
    /// There is no host of this name; patterns of names cannot be looked up.
    Host,
    /// It is never longer than this many bytes.
    Long(usize),
    /// It can be compared with `=` and `!=` only.
    Order,
    /// An order takes one value.
    Several,
    /// It is compared with another field, of this name, which counts something else.
    Unit(String),
    /// The condition would hold for no socket.
    Never,
    /// No socket passes these two conditions, both of which have to hold.
    Contrary(String),
    /// It is the mark of what is absent, which no condition is compared with.
    Absent,
    /// A quote in it is not closed.
    Quote,
    /// A bracket in it is not opened.
    Bracket,
    /// It is a word of the filter language.
    Reserved,
    /// Each entry of the field has several parts, these among them, and the value
    /// is no whole entry.
    Parts(Vec<&'static str>),
}

/// What would report a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reporter {
    /// Sockets of other tables.
    Tables,
    /// A listing of several network namespaces (`--netns`).
    Namespaces,
}

/// What is worth saying of a value that is not compared just as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// The kernel keeps this many bytes of such a text, so these are compared.
    Cut {
        /// The field's name.
        field: String,
        /// The value as typed.
        value: Vec<u8>,
        /// Bytes that are compared.
        kept: usize,
    },
    /// The digits are read as decimal, as structured output has them, and as
    /// hexadecimal, as the text does: either is a match.
    DecimalOrHex {
        /// The field's name.
        field: String,
        /// The value as typed.
        value: Vec<u8>,
    },
    /// `and` and `or` stand beside each other without brackets, which other languages
    /// may group otherwise.
    Mixed {
        /// Whether `and` first, as elsewhere, would make it another filter.
        differs: bool,
    },
}

impl Remark {
    /// Whether something else may have been meant, so that nothing should be
    /// destroyed by it.
    pub fn is_doubtful(&self) -> bool {
        matches!(self, Self::DecimalOrHex { .. } | Self::Mixed { .. })
    }

    /// Whether it is worth saying where nothing is destroyed.
    pub fn is_told(&self) -> bool {
        *self != Self::Mixed { differs: false }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { field, value, kept } => {
                let held = value.get(..*kept).unwrap_or(value);
                let (value, held) = (Typed(value), Typed(held));
                write!(
                    f,
                    "the kernel keeps {kept} bytes of {field}, so it is compared with {held}, not {value}"
                )
            }
            Self::DecimalOrHex { field, value } => {
                let value = Typed(value);
                write!(
                    f,
                    "{value} is taken for {field} as decimal and as hexadecimal; 0x before it makes it one"
                )
            }
            Self::Mixed { .. } => {
                f.write_str("and and or are read from left to right; brackets say what belongs together")
            }
        }
    }
}

/// What is wrong with a host value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// Neither an address of the family nor a host with one.
    Address(Vec<u8>),
    /// Neither a number nor the name of a service.
    Port(Vec<u8>),
}

/// Why a path has no cgroup id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CgroupError {
    /// The system gives no id for the path, with this error number (`ENOENT`:
    /// there is no such cgroup).
    NoId {
        /// The error number.
        errno: i32,
    },
    /// The file handle of the path is not as long as a cgroup id, so the path is no cgroup.
    IdSize,
    /// No cgroup2 file system is mounted.
    NotMounted,
    /// The mount point of the cgroup2 file system cannot be opened.
    MountPoint {
        /// The error number.
        errno: i32,
    },
    /// Nothing is left of the path below the mount point.
    EmptyPath,
}

/// Text as typed by the user, in quotes, with escapes for what is not printable.
struct Typed<'t>(&'t [u8]);

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.0))
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("the filter cannot be read"),
            Self::TooDeep => f.write_str("the filter is too long or too deep"),
            Self::Host(None) => f.write_str("an address or a port in the filter cannot be read"),
            Self::Host(Some(reason)) => reason.fmt(f),
            Self::Device => f.write_str("the value of dev is neither an interface nor a number"),
            Self::Mark(value) => write!(f, "{} is not a mark", Typed(value)),
            Self::Cgroup { path, reason } => write!(f, "{} is not a cgroup: {reason}", Typed(path)),
            Self::CgroupUnsupported => f.write_str("this kernel cannot filter by cgroup"),
            Self::LineTooLong => f.write_str("a line of the filter file has 1023 bytes or more"),
            Self::InvalidLine => f.write_str("a line of the filter file begins with a NUL byte"),
            Self::NoUnit { name, field, value } => {
                let (name, value) = (String::from_utf8_lossy(name), Typed(value));
                write!(f, "{value} has no unit: add one, or compare {field} instead of {name}")
            }
            Self::NotANumber { field, value } => {
                write!(f, "{} is not a number, so {field} cannot be compared with it", Typed(value))
            }
            Self::Value { field, value, why } => write_mismatch(f, field, &Typed(value), why),
            Self::NotReported { field, by: Reporter::Tables } => {
                write!(f, "no socket that is listed reports {field}")
            }
            Self::NotReported { field, by: Reporter::Namespaces } => {
                write!(f, "{field} is reported with --netns only")
            }
        }
    }
}

fn write_mismatch(f: &mut fmt::Formatter<'_>, field: &str, value: &Typed<'_>, why: &Mismatch) -> fmt::Result {
    match why {
        Mismatch::Words(words) => {
            write!(f, "{value} is not a value of {field}, which is one of ")?;
            for (at, word) in words.iter().enumerate() {
                write!(f, "{}{}", if at > 0 { ", " } else { "" }, word.name())?;
            }
            Ok(())
        }
        Mismatch::Range(least, most, unit) => {
            write!(f, "{field} lies between {least} and {most}")?;
            let mut most_shown = Vec::new();
            if unit.is_time() && put_amount(&mut most_shown, *most as f64, *unit) {
                write!(f, " ({})", String::from_utf8_lossy(&most_shown))?;
            }
            write!(f, ", so this comparison with {value} decides nothing")
        }
        Mismatch::Whole => write!(f, "{field} is a whole number and never {value}"),
        Mismatch::Address => write!(f, "{value} is neither an address, a network nor the name of a host"),
        Mismatch::Port(port) => {
            write!(f, "{value} has a port: compare {field} with the address and {port} with the port")
        }
        Mismatch::Interface => write!(f, "{value} names no interface"),
        Mismatch::User => write!(f, "there is no user {value}"),
        Mismatch::Service => write!(f, "there is no service {value}"),
        Mismatch::Host => {
            write!(f, "there is no host {value}; names of hosts are looked up, so {field} takes no pattern")
        }
        Mismatch::Long(most) => write!(f, "{field} has at most {most} bytes, so it never matches {value}"),
        Mismatch::Order => write!(f, "{field} has no order: compare it by = or !="),
        Mismatch::Several => write!(f, "{field} can be less or more than one value only, not {value}"),
        Mismatch::Unit(other) => write!(f, "{field} and {other} are not of one unit"),
        Mismatch::Never => write!(f, "no socket has {field} and not {value}"),
        Mismatch::Contrary(both) => write!(f, "no socket can have {both}"),
        Mismatch::Absent => {
            write!(f, "{value} stands for what is not reported: say \"not {field} = *\", or quote the text")
        }
        Mismatch::Quote => write!(f, "the quote that opens before {value} is not closed"),
        Mismatch::Bracket => {
            write!(f, "a bracket in {value} is not opened; quote the value if it is part of it")
        }
        Mismatch::Parts(parts) => {
            write!(f, "no entry of {field} is just {value}: compare a part of it (")?;
            for (at, part) in parts.iter().enumerate() {
                write!(f, "{}{field}.{part}", if at > 0 { ", " } else { "" })?;
            }
            f.write_str(")")
        }
        Mismatch::Reserved => {
            write!(f, "{value} is a word of the filter language: quote it to compare {field} with it")
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(word) => write!(f, "{} is neither an address nor the name of a host", Typed(word)),
            Self::Port(word) => write!(f, "{} is neither a port nor the name of a service", Typed(word)),
        }
    }
}

impl fmt::Display for CgroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoId { errno } => f.write_str(&errno_text(*errno)),
            Self::IdSize => f.write_str("the path leads to something else"),
            Self::NotMounted => f.write_str("no cgroup2 file system is mounted"),
            Self::MountPoint { errno } => {
                write!(f, "the cgroup2 mount point cannot be opened: {}", errno_text(*errno))
            }
            Self::EmptyPath => f.write_str("the path is empty"),
        }
    }
}

impl std::error::Error for FilterError {}
impl std::error::Error for HostError {}
impl std::error::Error for CgroupError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_does_nothing_to_a_terminal() {
        for error in [
            FilterError::Host(Some(HostError::Address(b"\x1b[2J\xff".to_vec()))),
            FilterError::Host(Some(HostError::Port(b"\x1b[2J\n".to_vec()))),
            FilterError::Mark(b"\x07".to_vec()),
            FilterError::Cgroup { path: b"/a\nb".to_vec(), reason: CgroupError::NotMounted },
            FilterError::NotANumber { field: "tcp.rtt_us", value: b"\r".to_vec() },
        ] {
            let text = error.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}
