//! System calls that need care: netlink sockets, names, file handles, namespaces,
//! bpf(2).
//!
//! Everything above this module is safe code.  `unsafe` appears in these files
//! only, one operation to a block, where neither the standard library nor
//! rustix has a safe way.

pub(crate) mod bpf;
pub(crate) mod clock;
pub(crate) mod handle;
pub(crate) mod kernel_types;
pub(crate) mod names;
pub(crate) mod netlink;
pub mod netns;
pub(crate) mod opener;
pub mod selinux;
pub mod signals;
pub mod stop;
pub(crate) mod tasks;

use std::sync::OnceLock;

use crate::model::Abi;

/// The C library's text for an error number, as `strerror` gives it.
pub fn errno_text(errno: i32) -> String {
    let mut text = std::io::Error::from_raw_os_error(errno).to_string();
    if let Some(end) = text.rfind(" (os error ") {
        text.truncate(end);
    }
    text
}

/// The release of the running kernel, as `uname -r` prints it.
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// How the running kernel lays out what its messages do not tell apart.
pub(crate) fn abi() -> Abi {
    static ABI: OnceLock<Abi> = OnceLock::new();
    *ABI.get_or_init(|| Abi::of_release(&release()))
}

/// The error number of an I/O error; 0 for one that did not come from the system.
pub(crate) fn errno_of(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::errno_text;

    #[test]
    fn errors_read_as_the_c_library_words_them() {
        assert_eq!(errno_text(2), "No such file or directory");
        assert_eq!(errno_text(0), "Success");
        assert_eq!(errno_text(-5), "Unknown error -5");
        assert_eq!(errno_text(4000), "Unknown error 4000");
    }
}
