//! Errors in filters: typed, each with a plain sentence.

#![allow(clippy::cast_precision_loss, reason = "what people are shown is rounded")]

use std::fmt;

use crate::errno::errno_text;
use crate::fields::{Unit, put_amount};
use crate::model::words::Word;

/// A filter that cannot be used.
///
/// Words are stored as typed, without backslashes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterError {
    /// A word is not allowed at its position.
    Syntax,
    /// More than about ten thousand brackets or `not`s open at once, or more
    /// than a million conditions.
    TooDeep,
    /// A host value that cannot be parsed; with a reason if there is more to say.
    Host(Option<HostError>),
    /// The value of `dev` is neither an interface nor a number.
    Device,
    /// The value of `fwmark` is not a mark.
    Mark(Vec<u8>),
    /// The value of `cgroup` is not a cgroup.
    Cgroup {
        /// The path as typed.
        path: Vec<u8>,
        /// Why the path has no id.
        reason: CgroupError,
    },
    /// The kernel does not support conditions on cgroups.
    CgroupUnsupported,
    /// A line of a filter file has 1023 bytes or more.
    LineTooLong,
    /// A line of a filter file begins with a NUL byte.
    InvalidLine,
    /// Neither the name nor the value of a time states its unit.  (The reference has no such
    /// conditions.)
    NoUnit {
        /// The field's name as typed.
        name: Vec<u8>,
        /// Its full name, which includes the unit.
        field: &'static str,
        /// The value as typed.
        value: Vec<u8>,
    },
    /// A numeric field is compared with something other than a number.  (The reference has no
    /// such conditions.)
    NotANumber {
        /// The field's name.
        field: &'static str,
        /// The value as typed.
        value: Vec<u8>,
    },
    /// A value that the field cannot have.  (The reference has no such conditions.)
    Value {
        /// The field's name.
        field: String,
        /// The value as typed.
        value: Vec<u8>,
        /// Why the field cannot have it.
        why: Mismatch,
    },
    /// None of the listed sockets can report the field.  (The reference has no such
    /// conditions.)
    NotReported {
        /// The field's name.
        field: String,
        /// What would report the field.
        by: Reporter,
    },
}

/// Why a field cannot have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// The field has one of these words.
    Words(&'static [Word]),
    /// The field lies in this range, in this unit.
    Range(i128, i128, Unit),
    /// The field is an integer.
    Whole,
    /// The field is an address.
    Address,
    /// The field is an address; its port is in the field with this name.
    Port(&'static str),
    /// No interface has this name.
    Interface,
    /// No user has this name.
    User,
    /// No service has this name.
    Service,
    /// No host has this name.  A pattern is never looked up, so it gives this error, too.
    Host,
    /// The field is never longer than this many bytes.
    Long(usize),
    /// The field only supports `=` and `!=`.
    Order,
    /// `<`, `<=`, `>` and `>=` accept a single value.
    Several,
    /// The other field of the comparison, with this name, has a different unit.
    Unit(String),
    /// No socket could satisfy the condition.
    Never,
    /// No socket could satisfy these two conditions, which both have to hold.
    Contrary(String),
    /// The value is the mark of an absent value, which cannot be compared with.
    Absent,
    /// The value contains an unclosed quote.
    Quote,
    /// The value contains an unopened bracket.
    Bracket,
    /// The value is a word of the filter language.
    Reserved,
    /// Each entry of the field has several parts, including these, and the value is not a
    /// whole entry.
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

/// A remark about a value that is compared differently from how it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// The kernel stores only this many bytes of such a text, so only these are compared.
    Cut {
        /// The field's name.
        field: String,
        /// The value as typed.
        value: Vec<u8>,
        /// Bytes that are compared.
        kept: usize,
    },
    /// The digits are read both as decimal, as in structured output, and as hexadecimal, as in
    /// text output; either may match.
    DecimalOrHex {
        /// The field's name.
        field: String,
        /// The value as typed.
        value: Vec<u8>,
    },
    /// `and` and `or` are mixed without brackets; other languages may group them differently.
    Mixed {
        /// Whether giving `and` precedence, as other languages do, would change the filter.
        differs: bool,
    },
}

impl Remark {
    /// Whether the user may have meant something else, so that the filter must not select
    /// sockets to destroy.
    pub fn is_doubtful(&self) -> bool {
        matches!(self, Self::DecimalOrHex { .. } | Self::Mixed { .. })
    }

    /// Whether to print the remark if no socket is destroyed.
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
                    "{field} is compared with {value} as decimal and as hexadecimal; write 0x for \
                     hexadecimal only"
                )
            }
            Self::Mixed { .. } => f.write_str(
                "and and or have the same precedence and are read from left to right; use brackets",
            ),
        }
    }
}

/// An error in a host value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// Neither an address of the family nor the name of a host that has one.
    Address(Vec<u8>),
    /// Neither a number nor the name of a service.
    Port(Vec<u8>),
}

/// Why a path has no cgroup id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CgroupError {
    /// The system returned this error for the path (`ENOENT`: no such cgroup).
    NoId {
        /// The error number.
        errno: i32,
    },
    /// The file handle of the path does not have the length of a cgroup id, so the path is not
    /// a cgroup.
    IdSize,
    /// No cgroup2 file system is mounted.
    NotMounted,
    /// The mount point of the cgroup2 file system cannot be opened.
    MountPoint {
        /// The error number.
        errno: i32,
    },
    /// The path is empty below the mount point.
    EmptyPath,
}

/// Text as the user typed it, quoted, with escapes for unprintable characters.
struct Typed<'t>(&'t [u8]);

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.0))
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("syntax error in the filter"),
            Self::TooDeep => f.write_str("the filter is too long or too deeply nested"),
            Self::Host(None) => f.write_str("an address or a port in the filter cannot be parsed"),
            Self::Host(Some(reason)) => reason.fmt(f),
            Self::Device => f.write_str("the value of dev is neither an interface nor a number"),
            Self::Mark(value) => write!(f, "{} is not a firewall mark", Typed(value)),
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
                write!(f, "none of the listed sockets reports {field}")
            }
            Self::NotReported { field, by: Reporter::Namespaces } => {
                write!(f, "{field} is reported only with --netns")
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
            write!(f, "{field} is between {least} and {most}")?;
            let mut most_shown = Vec::new();
            if unit.is_time() && put_amount(&mut most_shown, *most as f64, *unit) {
                write!(f, " ({})", String::from_utf8_lossy(&most_shown))?;
            }
            write!(f, ", so comparing it with {value} has the same result for all sockets")
        }
        Mismatch::Whole => write!(f, "{field} is a whole number, so it is never {value}"),
        Mismatch::Address => write!(f, "{value} is neither an address, a network nor a host name"),
        Mismatch::Port(port) => {
            write!(f, "{value} includes a port: compare {field} with the address and {port} with the port")
        }
        Mismatch::Interface => write!(f, "there is no interface {value}"),
        Mismatch::User => write!(f, "there is no user {value}"),
        Mismatch::Service => write!(f, "there is no service {value}"),
        Mismatch::Host => {
            write!(f, "there is no host {value}; host names are looked up, so {field} accepts no pattern")
        }
        Mismatch::Long(most) => write!(f, "{field} has at most {most} bytes, so it never matches {value}"),
        Mismatch::Order => write!(f, "{field} cannot be ordered: use = or !="),
        Mismatch::Several => write!(f, "<, <=, > and >= compare {field} with a single value, not {value}"),
        Mismatch::Unit(other) => write!(f, "{field} and {other} have different units"),
        Mismatch::Never => write!(f, "every socket that reports {field} matches {value}"),
        Mismatch::Contrary(both) => write!(f, "no socket can match both {both}"),
        Mismatch::Absent => {
            write!(f, "{value} denotes an unreported value: write \"not {field} = *\", or quote the text")
        }
        Mismatch::Quote => write!(f, "the quote before {value} is not closed"),
        Mismatch::Bracket => {
            write!(
                f,
                "a closing bracket in {value} has no opening bracket; quote the value if it belongs to it"
            )
        }
        Mismatch::Parts(parts) => {
            write!(f, "{value} is not a whole entry of {field}: compare a part of it (")?;
            for (at, part) in parts.iter().enumerate() {
                write!(f, "{}{field}.{part}", if at > 0 { ", " } else { "" })?;
            }
            f.write_str(")")
        }
        Mismatch::Reserved => {
            write!(f, "{value} is a keyword of the filter language: quote it to compare {field} with it")
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(word) => write!(f, "{} is neither an address nor a host name", Typed(word)),
            Self::Port(word) => write!(f, "{} is neither a port nor a service name", Typed(word)),
        }
    }
}

impl fmt::Display for CgroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoId { errno } => f.write_str(&errno_text(*errno)),
            Self::IdSize => f.write_str("the path is not a cgroup2 directory"),
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
