//! What can be wrong with a filter: typed, with one plain sentence for each.

use std::fmt;

use crate::errno::errno_text;

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
    /// What the system gives is not the size of a cgroup id: the path leads to
    /// something else.
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
            Self::Syntax => f.write_str("the filter makes no sense"),
            Self::TooDeep => f.write_str("the filter is too long or too deep"),
            Self::Host(None) => f.write_str("an address or a port in the filter makes no sense"),
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
