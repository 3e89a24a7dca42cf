//! System calls that need care: netlink sockets, names, file handles, namespaces,
//! bpf(2).
//!
//! Everything above this module is safe code.  `unsafe` appears only in these files, one
//! operation per block, where neither the standard library nor rustix offers a safe way.

pub(crate) mod bpf;
pub(crate) mod bpf_value;
pub(crate) mod chosen;
pub(crate) mod clock;
pub(crate) mod handle;
pub(crate) mod jobs;
pub(crate) mod kernel_types;
pub(crate) mod names;
pub(crate) mod netlink;
pub mod netns;
pub(crate) mod nss;
pub(crate) mod opener;
pub(crate) mod outlook;
pub(crate) mod secure;
pub mod selinux;
pub mod stop;
pub(crate) mod tasks;

use std::sync::OnceLock;

pub use outlook::withheld;
pub use sockdiag_facts::errno_text;

use crate::model::Abi;

/// The release of the running kernel, as `uname -r` prints it.
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The layout of message parts that depends on the running kernel's release.
pub(crate) fn abi() -> Abi {
    static ABI: OnceLock<Abi> = OnceLock::new();
    *ABI.get_or_init(|| Abi::of_release(&release()))
}

/// The error number of an I/O error; 0 if it did not come from the system.
pub(crate) fn errno_of(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}
