//! Why the kernel lists no sockets of a table.
//!
//! A refusal alone does not show whether the kernel was built without a family, lacks a
//! module that is not installed, or may not load any.  The kernel's configuration and its
//! installed modules show it, where they can be read.  A reason is reported only if it was
//! found there; otherwise the reason is unknown.
//!
//! Invariant: nothing is read before a table has failed.
//!
//! Source: the kernel's Kconfig names and sock_diag's module aliases
//! (`net-pf-16-proto-4-type-FAMILY[-PROTOCOL]`), modules.alias and its like as
//! depmod(8) writes them, proc_config(5), proc_sys_kernel(5).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use rustix::fs::OFlags;
use sockdiag_wire::errno::{EACCES, EAFNOSUPPORT, EINVAL, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT};

use super::contract::{DumpError, DumpErrorKind, Query};
use super::sources::Sources;
use crate::model::{Family, MessageKind, Selected, StateSet, Table};
use crate::notice::{Missing, Notice};
use crate::sys;
use crate::sys::chosen::regular_at;

/// How many bytes of a file are read, or unpacked: several times the largest seen.
const LONGEST_FILE: u64 = 8 << 20;

/// What a kernel needs to list a table.
struct Wants {
    /// Options of its configuration, the most basic first.
    options: &'static [&'static str],
    /// The module that answers, if it is not built in.
    module: &'static str,
}

/// What a table needs.
fn wants(table: Table) -> Wants {
    let (options, module): (&'static [&'static str], _) = match table {
        Table::Netlink => (&["CONFIG_NETLINK_DIAG"], "netlink_diag"),
        Table::PacketDgram | Table::PacketRaw => (&["CONFIG_PACKET", "CONFIG_PACKET_DIAG"], "af_packet_diag"),
        Table::UnixDgram | Table::UnixStream | Table::UnixSeqpacket => {
            (&["CONFIG_UNIX", "CONFIG_UNIX_DIAG"], "unix_diag")
        }
        Table::Raw => (&["CONFIG_INET_DIAG", "CONFIG_INET_RAW_DIAG"], "raw_diag"),
        // Kernels since 7.1 lack UDP-Lite, and no option shows it.
        Table::Udp | Table::UdpLite => (&["CONFIG_INET_DIAG", "CONFIG_INET_UDP_DIAG"], "udp_diag"),
        Table::Tcp => (&["CONFIG_INET_DIAG", "CONFIG_INET_TCP_DIAG"], "tcp_diag"),
        Table::Dccp => (&["CONFIG_IP_DCCP", "CONFIG_INET_DIAG", "CONFIG_INET_DCCP_DIAG"], "dccp_diag"),
        Table::Sctp => (&["CONFIG_IP_SCTP", "CONFIG_INET_DIAG", "CONFIG_INET_SCTP_DIAG"], "sctp_diag"),
        Table::VsockStream | Table::VsockDgram => {
            (&["CONFIG_VSOCKETS", "CONFIG_VSOCKETS_DIAG"], "vsock_diag")
        }
        // The file of the module is `diag.ko`; it is found by its alias.
        Table::Tipc => (&["CONFIG_TIPC", "CONFIG_TIPC_DIAG"], "tipc_diag"),
        Table::Xdp => (&["CONFIG_XDP_SOCKETS", "CONFIG_XDP_SOCKETS_DIAG"], "xsk_diag"),
        Table::Mptcp => (&["CONFIG_MPTCP", "CONFIG_INET_DIAG", "CONFIG_INET_MPTCP_DIAG"], "mptcp_diag"),
        Table::Smc => (&["CONFIG_SMC", "CONFIG_SMC_DIAG"], "smc_diag"),
    };
    Wants { options, module }
}

/// The alias by which the kernel requests the module of a table.
fn alias(table: Table) -> String {
    const SOCK_DIAG: &str = "net-pf-16-proto-4-type";
    let families = table.facts().families;
    match table.message_kind() {
        MessageKind::Inet => format!("{SOCK_DIAG}-{}-{}", Family::Inet.number(), table.protocol()),
        _ => {
            families.iter().next().map_or(String::new(), |family| format!("{SOCK_DIAG}-{}", family.number()))
        }
    }
}

/// Why the kernel did not list the query's table, as a notice; `None` if the
/// failure has nothing to do with what the kernel supports or allows, or if
/// the environment names other sources than the kernel.
pub fn missing(error: &DumpError, query: &Query, sources: &Sources) -> Option<Notice> {
    if error.rows_delivered > 0 || sources.text_is_forced(query.table) {
        return None;
    }
    let why = reason(&error.kind, query.table, &System::here())?;
    Some(Notice::Missing { title: query.table.facts().title, why })
}

/// Reports that the running kernel does not know idle bound TCP sockets, if only these were
/// requested: it then lists none, without an error.
pub(crate) fn bound_inactive(selected: &Selected, sources: &Sources) -> Option<Notice> {
    let asked = selected.states == StateSet::BOUND_INACTIVE && selected.tables.contains(Table::Tcp);
    let is_live = sources.tcpdiag_file.is_none() && !sources.text_is_forced(Table::Tcp);
    (asked && is_live && !knows_bound_inactive(&sys::release()))
        .then_some(Notice::Missing { title: "bound, idle TCP", why: Missing::Since("Linux 6.8") })
}

/// Whether a kernel of this release knows idle bound TCP sockets.
fn knows_bound_inactive(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (6, 8),
        // An unreadable release: assume that it does.
        _ => true,
    }
}

/// The reason behind a failure.
fn reason(kind: &DumpErrorKind, table: Table, system: &System) -> Option<Missing> {
    let errno = match kind {
        DumpErrorKind::Kernel(errno) => *errno,
        // Every kernel with networking has netlink: if it cannot be opened, it is
        // forbidden.
        DumpErrorKind::Socket(error) => match error.raw_os_error()? {
            errno @ (EPERM | EACCES | EAFNOSUPPORT) => return Some(Missing::NotAllowed { errno }),
            errno => errno,
        },
        // The /proc text that would replace the table is missing too.
        DumpErrorKind::Receive(error) | DumpErrorKind::File { error, .. } => error.raw_os_error()?,
        _ => return None,
    };
    match errno {
        EPERM | EACCES => Some(Missing::NotAllowed { errno }),
        // Old kernels answer EINVAL to families that they do not know.
        ENOENT | EOPNOTSUPP | EINVAL | EPROTONOSUPPORT | EAFNOSUPPORT => {
            Some(system.lacks(table).unwrap_or(Missing::Unknown { errno }))
        }
        _ => None,
    }
}

/// The facts about a system's kernel, read below a root directory.
struct System {
    root: PathBuf,
}

/// How an option was set when the kernel was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Built {
    In,
    Module,
    Not,
}

impl System {
    fn here() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// What the kernel lacks for a table, if that can be found out.
    fn lacks(&self, table: Table) -> Option<Missing> {
        let Wants { options, module } = wants(table);
        let config = self.config();
        let built = config.as_deref().map(|config| (config, options)).map(|(config, options)| {
            options.iter().map(|option| (*option, built(config, option))).collect::<Vec<_>>()
        });
        if let Some(built) = &built {
            if let Some((option, _)) = built.iter().find(|(_, built)| *built == Built::Not) {
                return Some(Missing::Option(option));
            }
            if built.iter().all(|(_, built)| *built == Built::In) {
                return None;
            }
        }
        if self.is_loaded(module) {
            return None;
        }
        if self.has_no_modules() {
            return Some(Missing::NoModules);
        }
        let directory = self.modules()?;
        if !directory.is_dir() {
            // In a container, for example, the modules may lie outside.
            return built.map(|_| Missing::NotInstalled { module, directory: self.shown(&directory) });
        }
        match installed(&directory, module, &alias(table)) {
            Installed::BuiltIn | Installed::Unknown => None,
            Installed::No => Some(Missing::NotInstalled { module, directory: self.shown(&directory) }),
            Installed::Yes => {
                Some(self.loading_is_off().map_or(Missing::NotLoaded { module }, |setting| {
                    Missing::LoadingIsOff { module, setting }
                }))
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A path as seen from inside the system.
    fn shown(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).map_or_else(|_| path.to_owned(), |path| Path::new("/").join(path))
    }

    fn release(&self) -> Option<String> {
        let text = read(&self.path("proc/sys/kernel/osrelease"))?;
        let release = text.trim_end();
        // The release becomes part of a path.
        (!release.is_empty() && !release.contains('/')).then(|| release.to_owned())
    }

    fn modules(&self) -> Option<PathBuf> {
        Some(self.path("lib/modules").join(self.release()?))
    }

    /// The configuration of the running kernel.
    fn config(&self) -> Option<String> {
        let packed = bytes(&self.path("proc/config.gz"));
        if let Some(config) = packed.and_then(|packed| unpack(&packed)) {
            return Some(text(&config));
        }
        let release = self.release()?;
        let beside = [format!("boot/config-{release}"), format!("lib/modules/{release}/config")];
        beside.iter().find_map(|name| read(&self.path(name)))
    }

    fn is_loaded(&self, module: &str) -> bool {
        self.path("sys/module").join(module).is_dir()
    }

    /// Whether this kernel cannot have modules at all.
    fn has_no_modules(&self) -> bool {
        let proc = |name| self.path("proc").join(name).exists();
        proc("sys/kernel/osrelease") && !proc("modules") && !proc("sys/kernel/modprobe")
    }

    /// The setting that forbids loading modules.
    fn loading_is_off(&self) -> Option<&'static str> {
        let setting = |name: &str| read(&self.path(&format!("proc/sys/kernel/{name}")));
        if setting("modules_disabled").is_some_and(|text| text.trim() == "1") {
            Some("kernel.modules_disabled")
        } else if setting("modprobe").is_some_and(|text| text.trim().is_empty()) {
            Some("an empty kernel.modprobe")
        } else {
            None
        }
    }
}

/// How an option is set in a configuration; an option that is missing is off.
fn built(config: &str, option: &str) -> Built {
    let answer =
        config.lines().find_map(|line| line.strip_prefix(option)?.strip_prefix('=').map(str::trim_end));
    match answer {
        Some("y") => Built::In,
        Some("m") => Built::Module,
        _ => Built::Not,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Installed {
    Yes,
    BuiltIn,
    No,
    /// The lists of modules are missing.
    Unknown,
}

/// Whether a directory of modules has one of this name or with this alias.
fn installed(directory: &Path, module: &str, alias: &str) -> Installed {
    let list = |name: &str| read(&directory.join(name));
    // Lines like `kernel/net/unix/unix_diag.ko.xz: ...`.
    let names_it = |line: &str| {
        let path = line.split(':').next().unwrap_or_default().trim();
        let file = path.rsplit('/').next().unwrap_or_default();
        file.split_once(".ko").is_some_and(|(name, _)| name.replace('-', "_") == module)
    };
    // Lines like `alias net-pf-16-proto-4-type-40 vsock_diag`.
    let has_alias = |line: &str| line.split_ascii_whitespace().nth(1) == Some(alias);
    let (dep, aliases) = (list("modules.dep"), list("modules.alias"));
    let has =
        |list: Option<&str>, test: &dyn Fn(&str) -> bool| list.is_some_and(|list| list.lines().any(test));
    if has(dep.as_deref(), &names_it) || has(aliases.as_deref(), &has_alias) {
        Installed::Yes
    } else if has(list("modules.builtin").as_deref(), &names_it) {
        Installed::BuiltIn
    } else if dep.is_none() && aliases.is_none() {
        Installed::Unknown
    } else {
        Installed::No
    }
}

/// The text of a file; `None` if it cannot be read.
fn read(path: &Path) -> Option<String> {
    bytes(path).map(|bytes| text(&bytes))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The bytes of a file; `None` if it cannot be read.
fn bytes(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    regular_at(path, OFlags::empty()).ok()?.take(LONGEST_FILE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The content of a gzip file with a plain header, as the kernel's build makes it; `None` if it
/// is damaged.  Its length is checked, but not its checksum: the kernel provides it from memory.
///
/// Source: RFC 1952.
fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    // Magic number, deflate, no flags; then the time, the level and the operating system.
    let (start, rest) = packed.split_first_chunk::<10>()?;
    let (deflated, trailer) = rest.split_last_chunk::<8>()?;
    let [.., a, b, c, d] = *trailer;
    let length = u32::from_le_bytes([a, b, c, d]);
    if !start.starts_with(&[0x1f, 0x8b, 8, 0]) || u64::from(length) > LONGEST_FILE {
        return None;
    }
    let length = usize::try_from(length).ok()?;
    let mut content = vec![0; length];
    let whole = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, _, written) = decompress(&mut DecompressorOxide::new(), deflated, &mut content, 0, whole);
    (status == TINFLStatus::Done && written == length).then_some(content)
}

#[cfg(test)]
mod tests;
