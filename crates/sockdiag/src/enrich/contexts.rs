//! SELinux contexts of tasks and of sockets.
//!
//! A context is a label that the kernel reports as text.  A task's is read once, when a row
//! first shows the task, however its descriptors were found; a socket's is read through
//! each holder's descriptor, since access may differ between holders.  A context that is
//! empty or may not be read is `None`.
//!
//! Tasks are always those of the real `/proc`: `PROC_ROOT` only changes where descriptors
//! are read, as in the reference.
//!
//! Source: proc_pid_attr(5), xattr(7), selinuxfs `initial_contexts`; which
//! files are read, and how far, as the reference's system calls show it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, getxattr};
use rustix::io::{Errno, read, retry_on_intr};

use crate::model::ContextCache;
use crate::source::Sources;
use crate::sys::chosen;

/// How many bytes of a task's context are read; the kernel's contexts are shorter.
const LONGEST: usize = 4095;
/// How many bytes of a socket's context are read, the limit of an extended attribute.
const LONGEST_ATTRIBUTE: usize = 64 << 10;

/// Contexts of the tasks shown so far, and of the socket prepared last.
#[derive(Debug)]
pub(super) struct Contexts {
    /// The directory with the tasks.
    tasks_root: PathBuf,
    /// The directory with the tasks whose descriptors lead to sockets.
    fds_root: PathBuf,
    /// The file with the context of the kernel's own sockets, until it is read.
    kernel_file: Option<PathBuf>,
    kernel: Option<Box<[u8]>>,
    tasks: HashMap<i32, Option<Box<[u8]>>>,
    /// By task and descriptor.
    sockets: HashMap<(i32, i32), Option<Box<[u8]>>>,
}

impl Contexts {
    /// Forgets the contexts of tasks and sockets.
    pub(super) fn begin_poll(&mut self) {
        self.tasks.clear();
        self.sockets.clear();
    }

    /// Starts without reading anything.
    pub(super) fn new(sources: &Sources) -> Self {
        Self::below(Path::new("/proc"), &sources.proc_file(""), sources.selinuxfs.as_deref())
    }

    fn below(tasks: &Path, fds: &Path, selinuxfs: Option<&Path>) -> Self {
        Self {
            tasks_root: tasks.to_owned(),
            fds_root: fds.to_owned(),
            kernel_file: selinuxfs.map(|mount| mount.join("initial_contexts/kernel")),
            kernel: None,
            tasks: HashMap::new(),
            sockets: HashMap::new(),
        }
    }

    /// Reads the context of a task, unless it is known.
    pub(super) fn prepare_task(&mut self, tid: i32) {
        let root = &self.tasks_root;
        self.tasks.entry(tid).or_insert_with(|| task_context(&root.join(format!("{tid}/attr/current"))));
    }

    /// Reads the context of the kernel, unless it is known.
    pub(super) fn prepare_kernel(&mut self) {
        if let Some(file) = self.kernel_file.take() {
            self.kernel = task_context(&file);
        }
    }

    /// Forgets the previous socket, whose rows are done.
    pub(super) fn begin_socket(&mut self) {
        self.sockets.clear();
    }

    /// Reads the context of the socket behind a descriptor.
    pub(super) fn prepare_socket(&mut self, tid: i32, fd: i32) {
        let root = &self.fds_root;
        self.sockets.entry((tid, fd)).or_insert_with(|| socket_context(&root.join(format!("{tid}/fd/{fd}"))));
    }
}

impl ContextCache for Contexts {
    fn kernel(&self) -> Option<&[u8]> {
        self.kernel.as_deref()
    }

    fn task(&self, tid: i32) -> Option<&[u8]> {
        self.tasks.get(&tid)?.as_deref()
    }

    fn socket(&self, tid: i32, fd: i32) -> Option<&[u8]> {
        self.sockets.get(&(tid, fd))?.as_deref()
    }
}

/// A task's context: the contents of a kernel file, from one read.
fn task_context(path: &Path) -> Option<Box<[u8]>> {
    let file = chosen::regular_at(path, OFlags::NOFOLLOW).ok()?;
    let mut text = [0; LONGEST];
    let length = retry_on_intr(|| read(&file, &mut text)).ok()?;
    context(text.get(..length)?)
}

/// A socket's context: the label of the file at a path.
fn socket_context(path: &Path) -> Option<Box<[u8]>> {
    let mut text = vec![0; 255];
    let length = match getxattr(path, c"security.selinux", &mut text) {
        Err(Errno::RANGE) => {
            text.resize(LONGEST_ATTRIBUTE, 0);
            getxattr(path, c"security.selinux", &mut text)
        }
        result => result,
    };
    context(text.get(..length.ok()?)?)
}

/// The text up to the NUL that ends it.  The reference crashes on an empty context, which
/// no kernel sends.
fn context(bytes: &[u8]) -> Option<Box<[u8]>> {
    if bytes.is_empty() {
        return None;
    }
    Some(bytes.split(|byte| *byte == 0).next().unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{XattrFlags, setxattr};

    use super::*;

    fn tree(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("sockdiag-contexts-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for directory in ["7/attr", "7/fd", "selinux/initial_contexts"] {
            fs::create_dir_all(root.join(directory)).expect("a directory of the test");
        }
        root
    }

    /// The expected values are what the reference prints with each of these files mounted
    /// over the kernel's.
    #[test]
    fn a_context_ends_where_its_nul_is() {
        let root = tree("odd");
        let long = "x".repeat(5000);
        for (text, want) in [
            (&b"u:r:t:s0-s0:c0,c1\0"[..], Some(&b"u:r:t:s0-s0:c0,c1"[..])),
            (b"no nul", Some(b"no nul")),
            (b"a\0tail\0", Some(b"a")),
            (b"a:b\n", Some(b"a:b\n")),
            (b"a:b\n\0", Some(b"a:b\n")),
            (b"\n", Some(b"\n")),
            (b"\0", Some(b"")),
            (b"h\xc3\xa4", Some(b"h\xc3\xa4")),
            (&long.as_bytes()[..4094], Some(&long.as_bytes()[..4094])),
            (&long.as_bytes()[..4096], Some(&long.as_bytes()[..4095])),
            (b"", None),
        ] {
            for path in ["7/attr/current", "selinux/initial_contexts/kernel"] {
                fs::write(root.join(path), text).expect("a file of the test");
            }
            let mut contexts = Contexts::below(&root, &root, Some(&root.join("selinux")));
            contexts.prepare_task(7);
            contexts.prepare_kernel();
            assert_eq!(contexts.task(7), want);
            assert_eq!(contexts.kernel(), want);
        }
        fs::remove_dir_all(root).expect("the test's own directory");
    }

    #[test]
    fn what_cannot_be_read_is_none_and_is_asked_for_once() {
        let root = tree("missing");
        let mut contexts = Contexts::below(&root, &root, Some(&root.join("selinux")));
        for tid in [7, 8, 0, -1] {
            contexts.prepare_task(tid);
            contexts.prepare_socket(tid, 3);
            assert_eq!((contexts.task(tid), contexts.socket(tid, 3)), (None, None));
        }
        contexts.prepare_kernel();
        assert_eq!(contexts.kernel(), None);
        fs::create_dir(root.join("9")).expect("a directory of the test");
        fs::create_dir_all(root.join("9/attr/current")).expect("a directory where a file should be");
        contexts.prepare_task(9);
        assert_eq!(contexts.task(9), None);
        fs::write(root.join("7/attr/current"), "late").expect("a file of the test");
        contexts.prepare_task(7);
        assert_eq!(contexts.task(7), None, "a task has one context in a listing");
        let mut nowhere = Contexts::below(&root, &root, None);
        nowhere.prepare_kernel();
        assert_eq!(nowhere.kernel(), None);
        fs::remove_dir_all(root).expect("the test's own directory");
    }

    #[test]
    fn a_label_is_that_of_what_the_descriptor_leads_to() {
        let root = tree("label");
        let target = root.join("target");
        fs::write(&target, "").expect("a file of the test");
        symlink(&target, root.join("7/fd/3")).expect("a link of the test");
        symlink("socket:[1]", root.join("7/fd/4")).expect("a link of the test");
        let long = "y".repeat(3000);
        let mut contexts = Contexts::below(&root, &root, None);
        for (label, want) in [
            (&b"u:object_r:t:s0\0"[..], &b"u:object_r:t:s0"[..]),
            (b"no nul", b"no nul"),
            (long.as_bytes(), long.as_bytes()),
        ] {
            if let Err(error) = setxattr(&target, c"security.selinux", label, XattrFlags::empty()) {
                let _ = fs::remove_dir_all(&root);
                sockdiag_testkit::skip!("no labels may be set here: {error}");
            }
            contexts.begin_socket();
            contexts.prepare_socket(7, 3);
            contexts.prepare_socket(7, 4);
            assert_eq!((contexts.socket(7, 3), contexts.socket(7, 4)), (Some(want), None));
        }
        contexts.begin_socket();
        assert_eq!(contexts.socket(7, 3), None, "forgotten with its row");
        fs::remove_dir_all(root).expect("the test's own directory");
    }
}
