//! What can be wrong with a filter, in the reference's words.
//!
//! [`FilterError::message`] gives the line or lines that `ss` writes to stderr;
//! the help text that follows some of them is the caller's.
//!
//! Source: the program's behaviour.

use std::fmt;

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
        /// Why there is no id for it: a line as `ss` prints it.
        reason: String,
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
pub enum HostError {
    /// Neither an address of the family nor a host with one.
    Address(Vec<u8>),
    /// Neither a number nor the name of a service.
    Port(Vec<u8>),
}

impl FilterError {
    /// The exit status of `ss` after this error.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Syntax
            | Self::TooDeep
            | Self::CgroupUnsupported
            | Self::LineTooLong
            | Self::InvalidLine => 255,
            Self::Host(_)
            | Self::Device
            | Self::Mark(_)
            | Self::Cgroup { .. }
            | Self::NoUnit { .. }
            | Self::NotANumber { .. } => 1,
        }
    }

    /// Whether `ss` prints its help after the message.
    pub fn shows_usage(&self) -> bool {
        matches!(self, Self::Syntax | Self::TooDeep)
    }

    /// The line or lines that `ss` writes, without the last newline; words as
    /// typed, whatever bytes they hold.
    pub fn message(&self) -> Vec<u8> {
        let around =
            |before: &str, word: &[u8], after: &str| [before.as_bytes(), word, after.as_bytes()].concat();
        match self {
            Self::Syntax => b"ss: bison bellows (while parsing filter): \"syntax error!\" Sorry.".to_vec(),
            Self::TooDeep => {
                b"ss: bison bellows (while parsing filter): \"memory exhausted!\" Sorry.".to_vec()
            }
            Self::Host(reason) => {
                let mut lines = match reason {
                    None => Vec::new(),
                    Some(HostError::Address(word)) => {
                        around("Error: an inet prefix is expected rather than \"", word, "\".\n")
                    }
                    Some(HostError::Port(word)) => {
                        around("Error: \"", word, "\" does not look like a port.\n")
                    }
                };
                lines.extend_from_slice(b"Cannot parse dst/src address.");
                lines
            }
            Self::Device => b"Cannot parse device.".to_vec(),
            Self::Mark(value) => around("Cannot parse mark ", value, "."),
            Self::Cgroup { path, reason } => around(&format!("{reason}\nCannot parse cgroup "), path, "."),
            Self::CgroupUnsupported => {
                b"It looks like such filter is not supported! Too old kernel?".to_vec()
            }
            Self::LineTooLong => b"Too long line in filter".to_vec(),
            Self::InvalidLine => b"Invalid line".to_vec(),
            Self::NoUnit { name, field, value } => {
                let mut line = around("Error: \"", value, "\" has no unit to compare ");
                line.extend_from_slice(name);
                line.extend(format!(" with (or say {field}).").bytes());
                line
            }
            Self::NotANumber { field, value } => {
                around("Error: \"", value, &format!("\" is not a number to compare {field} with."))
            }
        }
    }
}

/// [`FilterError::message`], with replacement characters for what is not UTF-8.
impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message()))
    }
}

impl std::error::Error for FilterError {}
