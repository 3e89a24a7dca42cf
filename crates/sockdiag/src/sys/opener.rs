//! Opens sockets and files of a network namespace from outside it.
//!
//! A socket, and a file below /proc/net, belong for good to the namespace of the thread
//! that opened them.  So a worker thread enters the namespace, opens them there and hands
//! them back.  The calling thread never moves: names of hosts are still resolved in our own
//! namespace, and no thread has to return, which root in a user namespace cannot.
//!
//! The [`Opener`] alone decides where something is opened, never what a thread did before:
//! several namespaces can be in use at a time, even one question within another.
//!
//! Source: setns(2), network_namespaces(7), proc_pid_net(5).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::chosen::{self, NotOpened};
use super::jobs::{self, Job, Jobs};
use super::netns::{self, OWN};
use crate::model::UserNamespace;
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sockdiag_wire::errno::ENOENT;

/// The worker only opens sockets and files, so its stack can be small.
const STACK: usize = 256 << 10;

/// Opens the sockets and files of one network namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opener(Place);

#[derive(Clone, Debug, Default)]
enum Place {
    /// In the namespace of the calling thread.
    #[default]
    Here,
    /// In the namespace that a thread was in when it made the opener, wherever the calling
    /// thread is now.
    Pinned(Arc<Pinned>),
    /// In another namespace, through the worker.
    Away(Arc<Away>),
}

#[derive(Debug)]
struct Pinned {
    namespace: File,
    inode: u64,
    worker: Worker,
}

#[derive(Debug)]
struct Away {
    /// Paths that lead there.
    doors: Vec<PathBuf>,
    inode: u64,
    worker: Worker,
}

impl Opener {
    /// Opens in the namespace that the calling thread is in at that time.
    pub(crate) fn here() -> Self {
        Self::default()
    }

    /// Opens in the namespace that the calling thread is in now, even if it moves later.
    ///
    /// # Errors
    /// Without /proc.
    pub(crate) fn pinned(worker: &Worker) -> io::Result<Self> {
        let namespace = File::open(OWN)?;
        let inode = namespace.metadata()?.ino();
        Ok(Self(Place::Pinned(Arc::new(Pinned { namespace, inode, worker: worker.clone() }))))
    }

    /// Opens in the namespace with this inode, which some of these paths lead to.  Nothing
    /// is entered yet.
    pub(crate) fn away(doors: Vec<PathBuf>, inode: u64, worker: &Worker) -> Self {
        Self(Place::Away(Arc::new(Away { doors, inode, worker: worker.clone() })))
    }

    /// The inode of the namespace; `None` for the calling thread's, whatever it is.
    pub(crate) fn inode(&self) -> Option<u64> {
        match &self.0 {
            Place::Here => None,
            Place::Pinned(pinned) => Some(pinned.inode),
            Place::Away(away) => Some(away.inode),
        }
    }

    /// Whether the calling thread is in the namespace.
    pub(crate) fn is_where_we_are(&self) -> bool {
        self.inode().is_none_or(|inode| netns::inode() == Some(inode))
    }

    /// The user namespace that owns the namespace, if it is neither ours nor the first one.
    pub(crate) fn owner(&self) -> Option<UserNamespace> {
        match &self.0 {
            Place::Here | Place::Pinned(_) => None,
            Place::Away(away) => netns::owner_of(&away.open().ok()?),
        }
    }

    /// Runs a job in the namespace.
    ///
    /// # Errors
    /// `ENOENT` and the like if the namespace is gone; `EPERM` without `CAP_SYS_ADMIN` over
    /// it; an error if no thread can be started.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        match &self.0 {
            Place::Here => Ok(job()),
            Place::Pinned(pinned) if netns::inode() == Some(pinned.inode) => Ok(job()),
            Place::Pinned(pinned) => run(&pinned.worker, pinned.namespace.try_clone()?, job),
            Place::Away(away) => run(&away.worker, away.open()?, job),
        }
    }

    /// Opens a file; for `/proc/net` that of the namespace.
    ///
    /// # Errors
    /// As [`Opener::run`], and the error of opening.
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        if let Place::Here = self.0 {
            return File::open(path);
        }
        let path = seen_here(path);
        self.run(move || File::open(path))?
    }
}

/// The path of a file for the calling thread: `/proc/net` leads to the first thread of the
/// process, but a worker is another thread.
pub(crate) fn seen_here(path: &Path) -> PathBuf {
    match path.strip_prefix("/proc/net") {
        Ok(rest) => Path::new("/proc/thread-self/net").join(rest),
        Err(_) => PathBuf::from(path),
    }
}

impl Away {
    /// Opens the file of the namespace.
    fn open(&self) -> io::Result<File> {
        let mut result = Err(io::Error::from(io::ErrorKind::NotFound));
        for door in &self.doors {
            match chosen::namespace(door) {
                // A path may lead elsewhere by now, and a pid may have been reused.
                Ok(file) if file.metadata().is_ok_and(|meta| meta.ino() == self.inode) => return Ok(file),
                Ok(_) => {}
                Err(NotOpened::NoNamespace) => {
                    if fs::metadata(door).is_ok_and(|meta| meta.ino() == self.inode) {
                        result = Err(Errno::INVAL.into());
                    }
                }
                Err(NotOpened::Open(errno)) => result = Err(errno.into()),
            }
        }
        // Errors made up by std have no error number, which messages need.
        result.map_err(|error| match error.raw_os_error() {
            Some(_) => error,
            None => io::Error::from_raw_os_error(ENOENT),
        })
    }
}

/// Runs a job on the worker, in a namespace, and returns its result.
fn run<T: Send + 'static>(
    worker: &Worker,
    namespace: File,
    job: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let given = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&given);
    let job = move || *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(job());
    worker.enter(namespace, Box::new(job))?;
    let given = given.lock().unwrap_or_else(PoisonError::into_inner).take();
    given.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// A thread that enters namespaces.  It is started when it is first needed, and
/// ends with the last [`Opener`] that may need it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Worker(Arc<Mutex<Option<Thread>>>);

#[derive(Debug)]
struct Thread {
    jobs: Option<Jobs>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        // The thread ends when its queue of jobs ends.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let (jobs, inbox) = jobs::queue();
        let work = move || {
            while let Some(job) = inbox.next() {
                job();
            }
        };
        let thread = thread::Builder::new().name("netns".to_owned()).stack_size(STACK).spawn(work)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }
}

impl Worker {
    /// Ends the thread, which would keep alive the namespace that it entered last; the next
    /// job starts another thread.
    pub(crate) fn leave(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Enters a namespace, and runs the job there if that succeeds.
    fn enter(&self, namespace: File, job: Job) -> io::Result<()> {
        let (promise, entered) = jobs::answer();
        let job = Box::new(move || {
            let result = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
            // Close it first: whoever waits for the job may want to unmount the file next.
            drop(namespace);
            if result.is_ok() {
                job();
            }
            promise.keep(result);
        });
        {
            let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let thread = match &mut *thread {
                Some(thread) => thread,
                none => none.insert(Thread::start()?),
            };
            if let Some(jobs) = &thread.jobs {
                jobs.add(job);
            }
        }
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        Ok(entered.wait().ok_or_else(gone)??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag_testkit::netns::Namespace;
    use sockdiag_testkit::skip::{self, Privilege};

    fn away(door: &str, inode: u64, worker: &Worker) -> Opener {
        Opener::away(vec![door.into()], inode, worker)
    }

    #[test]
    fn a_file_that_is_no_namespace_is_refused() {
        let worker = Worker::default();
        let inode = fs::metadata("/proc/self/stat").expect("a file").ino();
        let opener = away("/proc/self/stat", inode, &worker);
        assert_eq!(opener.run(|| 7).unwrap_err().raw_os_error(), Some(22));
        let other = away("/proc/self/stat", inode + 1, &worker);
        assert_eq!(other.run(|| 7).unwrap_err().raw_os_error(), Some(2), "it leads elsewhere");
        assert_eq!(away("/nonexistent", 1, &worker).run(|| 7).unwrap_err().raw_os_error(), Some(2));
        assert_eq!(Opener::here().run(|| 7).expect("here"), 7);
    }

    #[test]
    fn what_is_opened_belongs_to_the_namespace_and_nobody_moves() {
        match skip::privilege() {
            Ok(Privilege::Root) => {}
            other => sockdiag_testkit::skip!("only root enters a namespace as it is: {other:?}"),
        }
        let (Some(first), Some(second)) = (Namespace::or_skip(), Namespace::or_skip()) else { return };
        let here = || netns::inode().expect("a namespace");
        let home = here();
        let worker = Worker::default();
        let opener = |namespace: &Namespace| {
            let inode = namespace.inode().expect("it has one");
            (inode, away(&format!("/proc/{}/ns/net", namespace.pid()), inode, &worker))
        };
        let ((one, in_one), (two, in_two)) = (opener(&first), opener(&second));
        assert!(home != one && home != two && one != two);
        // In any order, each job runs in its opener's namespace.
        for (inode, opener) in [(one, &in_one), (two, &in_two), (one, &in_one), (home, &Opener::here())] {
            assert_eq!((opener.run(here).expect("a thread"), here()), (inode, home));
        }
        let mut devices = String::new();
        use std::io::Read as _;
        in_one
            .open(Path::new("/proc/net/dev"))
            .and_then(|mut file| file.read_to_string(&mut devices))
            .expect("text");
        let has_second = first.second_device().is_none_or(|name| devices.contains(name));
        assert!(has_second, "{devices}");
        worker.leave();
        assert_eq!(in_two.run(here).expect("another thread"), two);
    }

    #[test]
    fn a_pinned_opener_stays_where_it_was_made() {
        match skip::privilege() {
            Ok(Privilege::Root) => {}
            other => sockdiag_testkit::skip!("only root enters a namespace as it is: {other:?}"),
        }
        let Some(namespace) = Namespace::or_skip() else { return };
        let inode = namespace.inode().expect("it has one");
        let file = File::open(format!("/proc/{}/ns/net", namespace.pid())).expect("its holder's");
        let home = netns::inode().expect("a namespace");
        let pinned = Opener::pinned(&Worker::default()).expect("/proc");
        assert_eq!(pinned.inode(), Some(home));
        let moved = thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
            (
                netns::inode(),
                pinned.run(netns::inode).expect("a thread"),
                Opener::here().run(netns::inode).expect("here"),
            )
        });
        assert_eq!(moved.join().expect("a thread"), (Some(inode), Some(home), Some(inode)));
    }
}
