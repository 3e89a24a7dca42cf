//! Opening what belongs to a network namespace from outside it.
//!
//! A socket, and a file below /proc/net, belong for good to the namespace of
//! the thread that opened them.  So a helper thread enters a namespace, opens
//! what is asked for there and hands it back, and nobody else ever moves:
//! names of hosts are still asked for at home, and no way back is needed,
//! which who is root in a user namespace alone would not have.
//!
//! Invariant: `run` runs its job in the namespace that the calling thread
//! has [`Inside`] of, and where it has none, at once and here.
//!
//! Source: setns(2), network_namespaces(7), proc_pid_net(5).

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What the helper does opens sockets and files, no more.
const STACK: usize = 256 << 10;

type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    static HELPER: RefCell<Option<Helper>> = const { RefCell::new(None) };
}

/// A thread that stands in another namespace until this is dropped.
#[derive(Debug)]
struct Helper {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The end of its jobs is the end of the thread.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// While it lives, what the calling thread opens through this library belongs
/// to another namespace.  One at a time: a second one takes the first's place.
///
/// It is about the thread that entered, and stays with it.
#[derive(Debug)]
pub struct Inside(PhantomData<*const ()>);

impl Drop for Inside {
    fn drop(&mut self) {
        HELPER.with_borrow_mut(|helper| drop(helper.take()));
    }
}

/// Enters the network namespace that this file stands for.
///
/// # Errors
/// `EINVAL` where the file is none, `EPERM` without `CAP_SYS_ADMIN` over the
/// namespace, and what hinders a thread.
pub fn enter(namespace: File) -> io::Result<Inside> {
    let (jobs, inbox) = channel::<Job>();
    let (answer, entered) = channel();
    let work = move || {
        let result = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
        let came_in = result.is_ok();
        let _ = answer.send(result);
        if came_in {
            for job in &inbox {
                job();
            }
        }
    };
    let thread = thread::Builder::new().name("netns".to_owned()).stack_size(STACK).spawn(work)?;
    let helper = Helper { jobs: Some(jobs), thread: Some(thread) };
    entered.recv().map_err(io::Error::other)??;
    HELPER.with_borrow_mut(|current| *current = Some(helper));
    Ok(Inside(PhantomData))
}

/// Runs a job where sockets and files of the current namespace are opened.
///
/// # Errors
/// If the thread there is gone.
pub(crate) fn run<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let away = HELPER.with_borrow(|helper| helper.as_ref()?.jobs.clone());
    let Some(jobs) = away else { return Ok(job()) };
    let (answer, result) = channel();
    let job: Job = Box::new(move || _ = answer.send(job()));
    // Refused, it is dropped, and its answer with it.
    let _ = jobs.send(job);
    result.recv().map_err(io::Error::other)
}

/// Opens a file; one of `/proc/net` is the current namespace's.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let path = match path.strip_prefix("/proc/net") {
        Ok(rest) if is_away() => Path::new("/proc/thread-self/net").join(rest),
        _ => PathBuf::from(path),
    };
    run(move || File::open(path))?
}

/// Whether the calling thread has [`Inside`] of a namespace.
pub(crate) fn is_away() -> bool {
    HELPER.with_borrow(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag_testkit::netns::Namespace;
    use sockdiag_testkit::skip::{self, Privilege};

    #[test]
    fn a_file_that_is_no_namespace_is_refused() {
        let file = File::open("/proc/self/stat").expect("a file");
        assert_eq!(enter(file).unwrap_err().raw_os_error(), Some(22));
        assert!(!is_away());
        assert_eq!(run(|| 7).expect("here"), 7);
    }

    #[test]
    fn what_is_opened_belongs_to_the_namespace_and_nobody_moves() {
        match skip::privilege() {
            Ok(Privilege::Root) => {}
            other => sockdiag_testkit::skip!("only root enters a namespace as it is: {other:?}"),
        }
        let Some(namespace) = Namespace::or_skip() else { return };
        let inode = namespace.inode().expect("it has one");
        let here = || rustix::fs::stat("/proc/thread-self/ns/net").expect("a namespace").st_ino;
        let home = here();
        assert_ne!(home, inode);
        let file = File::open(format!("/proc/{}/ns/net", namespace.pid())).expect("its holder's");
        let inside = enter(file).expect("root may");
        assert_eq!((run(here).expect("a thread"), here()), (inode, home));
        let mut devices = String::new();
        use std::io::Read as _;
        open(Path::new("/proc/net/dev"))
            .and_then(|mut file| file.read_to_string(&mut devices))
            .expect("text");
        let has_second = namespace.second_device().is_none_or(|name| devices.contains(name));
        assert!(has_second, "{devices}");
        drop(inside);
        assert_eq!(run(here).expect("here"), home);
    }
}
