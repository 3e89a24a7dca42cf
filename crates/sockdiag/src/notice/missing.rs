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
    /// It came with a later kernel, e.g. `Linux 6.8`.
    Since(&'static str),
    /// The kernel lacks it and has no modules that could bring it.
    NoModules,
    /// It is a module, and none of that name is installed for this kernel.
    NotInstalled {
        /// The module, e.g. `vsock_diag`.
        module: &'static str,
        /// The directory of this kernel's modules, e.g. `/lib/modules/6.1.0`.
        directory: PathBuf,
    },
    /// It is a module that is not loaded, and the kernel loads none any more.
    LoadingIsOff {
        /// The module.
        module: &'static str,
        /// The setting that forbids it, e.g. `kernel.modules_disabled`.
        setting: &'static str,
    },
    /// It is an installed module that was not loaded, for whatever reason.
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

/// Why the kernel's iterator over open files, which finds the holders of
/// sockets, or another program in the kernel is unavailable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoIterator {
    /// Tasks are numbered differently: another pid namespace, or its /proc.
    Namespace,
    /// The machine is not a 64-bit little-endian one.
    Target,
    /// The kernel does not describe its types.
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
        /// The end of what the verifier says, in whole lines; empty if it was
        /// not the verifier that refused.
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
    /// There is no program for it.
    Program(NoIterator),
    /// Something is asked that a walk does not tell.
    Asked(&'static str),
    /// The sockets are those of another network namespace.
    Namespace,
    /// So many of the first sockets have to be looked up one by one.
    LookUps {
        /// These.
        sockets: usize,
        /// Of so many.
        of: usize,
    },
    /// There are so few sockets that a dump costs less than a program.
    Few {
        /// So many.
        sockets: u64,
    },
    /// A dump costs less, for this reason.
    Dearer(&'static str),
    /// Whoever looks at the sockets again needs a cookie of each, which a dump gives it and
    /// a walk does not.
    NoCookies,
    /// The kernel says something else of the first sockets than a walk does.
    Differs,
    /// A table changed all the time, or has too many sockets in one place.
    Table,
}

impl Missing {
    /// The whole sentence, for sockets that are called this.
    pub(super) fn tell(&self, title: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed { errno } => {
                return write!(f, "listing {title} sockets is not permitted here: {}", errno_text(*errno));
            }
            Self::Unknown { errno } => {
                return write!(
                    f,
                    "this kernel lists no {title} sockets, and does not say why: {}",
                    errno_text(*errno)
                );
            }
            _ => write!(f, "this kernel has no support for listing {title} sockets: ")?,
        }
        match self {
            Self::Option(option) => write!(f, "it was built without {option}"),
            Self::Since(release) => write!(f, "that came with {release}"),
            Self::NotInstalled { module, directory } => {
                write!(f, "there is no module {module} in {}", path_of(directory))
            }
            Self::LoadingIsOff { module, setting } => {
                write!(f, "the module {module} is not loaded, and {setting} forbids loading it")
            }
            Self::NotLoaded { module } => write!(f, "the module {module} is installed but not loaded"),
            _ => f.write_str("it was built without, and can load no modules"),
        }
    }
}

impl NoWalk {
    /// Whether a walk would have been the better way, had it been possible; else a
    /// dump was chosen.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Few { .. } | Self::Dearer(_) | Self::NoCookies | Self::Asked(_))
    }
}

impl fmt::Display for NoWalk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(why) => why.fmt(f),
            Self::Asked(what) => write!(f, "it does not tell {what}"),
            Self::Namespace => f.write_str("the sockets are those of another network namespace"),
            Self::LookUps { sockets, of } => {
                write!(f, "{sockets} of the first {of} sockets would have to be looked up one by one")
            }
            Self::Dearer(why) => write!(f, "a dump costs less: {why}"),
            Self::NoCookies => {
                f.write_str("sockets that are looked at again need the cookies that a dump gives them")
            }
            Self::Differs => f.write_str("it would not tell what this kernel tells"),
            Self::Few { sockets } => write!(f, "a dump of {sockets} sockets costs less"),
            Self::Table => {
                f.write_str("the table changes all the time, or has too many sockets in one place")
            }
        }
    }
}

impl fmt::Display for NoIterator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => f.write_str("not in the first pid namespace, or /proc is another's"),
            Self::Target => f.write_str("needs a 64-bit little-endian machine"),
            Self::NoTypes => f.write_str("the kernel does not describe its types (BTF)"),
            Self::Types { what } => f.write_str(what),
            Self::Rejected { errno, log } => {
                write!(f, "the kernel does not load the program: {}", errno_text(*errno))?;
                // The last line contains the reason.
                log.lines().last().map_or(Ok(()), |line| write!(f, " ({line})"))
            }
            Self::Privilege => f.write_str("needs CAP_BPF and CAP_PERFMON"),
            Self::Call { what, errno } => write!(f, "{what}: {}", errno_text(*errno)),
        }
    }
}
