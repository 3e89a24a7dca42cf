//! Why a table, or a method of searching for processes, is unavailable.

use std::fmt;
use std::path::PathBuf;

use sockdiag_facts::errno_text;

use super::path_of;

/// Why a table could not be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// The kernel was built without this option, e.g. `CONFIG_IP_SCTP`.
    Option(&'static str),
    /// The table came with a later kernel, e.g. `Linux 6.8`.
    Since(&'static str),
    /// The kernel lacks the table and cannot load modules.
    NoModules,
    /// The table needs a module, and none of that name is installed for this kernel.
    NotInstalled {
        /// The module, e.g. `vsock_diag`.
        module: &'static str,
        /// The directory of this kernel's modules, e.g. `/lib/modules/6.1.0`.
        directory: PathBuf,
    },
    /// The table needs a module that is not loaded, and loading modules is forbidden.
    LoadingIsOff {
        /// The module.
        module: &'static str,
        /// The setting that forbids it, e.g. `kernel.modules_disabled`.
        setting: &'static str,
    },
    /// The table needs an installed module that was not loaded, for an unknown reason.
    NotLoaded {
        /// The module.
        module: &'static str,
    },
    /// The caller may not ask (`EPERM`, `EACCES`, or no netlink sockets at all).
    NotAllowed {
        /// The error number.
        errno: i32,
    },
    /// The reason is unknown.
    Unknown {
        /// The kernel's answer, an error number.
        errno: i32,
    },
}

/// Why a BPF program is unavailable: one that finds the holders of sockets, or another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoIterator {
    /// Our task ids differ: we are in another pid namespace, or /proc is that of another.
    Namespace,
    /// The machine is not a 64-bit little-endian one.
    Target,
    /// The kernel does not publish its types (BTF).
    NoTypes,
    /// The kernel's types are not as expected.
    Types {
        /// The missing part.
        what: String,
    },
    /// The kernel refused the program.
    Rejected {
        /// The error number.
        errno: i32,
        /// The end of the verifier's log, in whole lines; empty if something other than the
        /// verifier refused.
        log: String,
    },
    /// `CAP_BPF` or `CAP_PERFMON` is missing.
    Privilege,
    /// A system call failed.
    Call {
        /// Its purpose.
        what: &'static str,
        /// The error number.
        errno: i32,
    },
}

/// Why the kernel's tables of TCP sockets were not walked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoWalk {
    /// The program for it is unavailable.
    Program(NoIterator),
    /// The question needs a value that a walk does not report.
    Asked(&'static str),
    /// The sockets are in another network namespace.
    Namespace,
    /// Too many of the first sockets would have to be looked up one by one.
    LookUps {
        /// The sockets to look up.
        sockets: usize,
        /// The sockets read.
        of: usize,
    },
    /// There are so few sockets that a dump costs less than a program.
    Few {
        /// The number of sockets.
        sockets: u64,
    },
    /// A dump costs less, for this reason.
    Dearer(&'static str),
    /// Later looks need a cookie for each socket, which a dump assigns and a walk does not.
    NoCookies,
    /// For the first sockets, the kernel's replies differ from what the walk reports.
    Differs,
    /// A table kept changing, or has too many sockets in one bucket.
    Table,
}

impl Missing {
    /// Writes the whole sentence, about sockets with this title.
    pub(super) fn tell(&self, title: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed { errno } => {
                return write!(f, "listing {title} sockets is not permitted here: {}", errno_text(*errno));
            }
            Self::Unknown { errno } => {
                return write!(
                    f,
                    "listing {title} sockets failed for an unknown reason: {}",
                    errno_text(*errno)
                );
            }
            _ => write!(f, "this kernel has no support for listing {title} sockets: ")?,
        }
        match self {
            Self::Option(option) => write!(f, "it was built without {option}"),
            Self::Since(release) => write!(f, "it was added in {release}"),
            Self::NotInstalled { module, directory } => {
                write!(f, "there is no module {module} in {}", path_of(directory))
            }
            Self::LoadingIsOff { module, setting } => {
                write!(f, "the module {module} is not loaded, and {setting} forbids loading it")
            }
            Self::NotLoaded { module } => write!(f, "the module {module} is installed but not loaded"),
            _ => f.write_str("it was built without it and cannot load modules"),
        }
    }
}

impl NoWalk {
    /// Whether a walk would have been better but was impossible; otherwise a dump was
    /// chosen.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Few { .. } | Self::Dearer(_) | Self::NoCookies | Self::Asked(_))
    }
}

impl fmt::Display for NoWalk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(why) => why.fmt(f),
            Self::Asked(what) => write!(f, "a walk does not report {what}"),
            Self::Namespace => f.write_str("the sockets belong to another network namespace"),
            Self::LookUps { sockets, of } => {
                write!(f, "{sockets} of the first {of} sockets would have to be looked up one by one")
            }
            Self::Dearer(why) => write!(f, "a dump costs less: {why}"),
            Self::NoCookies => {
                f.write_str("tracking sockets over time needs cookies, which only a dump assigns")
            }
            Self::Differs => f.write_str("its values would differ from this kernel's replies"),
            Self::Few { sockets } => write!(f, "a dump of {sockets} sockets costs less"),
            Self::Table => f.write_str("the table keeps changing, or has too many sockets in one bucket"),
        }
    }
}

impl fmt::Display for NoIterator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => {
                f.write_str("not in the initial pid namespace, or /proc belongs to another one")
            }
            Self::Target => f.write_str("needs a 64-bit little-endian machine"),
            Self::NoTypes => f.write_str("the kernel provides no type information (BTF)"),
            Self::Types { what } => f.write_str(what),
            Self::Rejected { errno, log } => {
                write!(f, "the kernel refused to load the BPF program: {}", errno_text(*errno))?;
                // The last line contains the reason.
                log.lines().last().map_or(Ok(()), |line| write!(f, " ({line})"))
            }
            Self::Privilege => f.write_str("needs CAP_BPF and CAP_PERFMON"),
            Self::Call { what, errno } => write!(f, "{what}: {}", errno_text(*errno)),
        }
    }
}
