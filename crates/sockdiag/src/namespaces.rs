//! Network namespaces: how to find them, and how to look into them.
//!
//! A namespace lives as long as a process is in it or a file of it is mounted somewhere;
//! both are searched.  Namespaces are identified by inode, so one with many names and
//! processes is listed once.  (A namespace that only an open socket keeps alive cannot be
//! found.)  A process that we may not inspect may be the only one in its namespace, which
//! is then missing: such processes are counted.
//!
//! Source: network_namespaces(7), namespaces(7), proc_pid_mountinfo(5),
//! ip-netns(8).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::mem;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::enrich::{Container, containers};
use crate::model::Netns;
use crate::notice::{Notice, Unseen};
use crate::sys::chosen;
use crate::sys::errno_of;
use crate::sys::netns::{self, EnterError, OWN};
use crate::sys::opener::{Opener, Worker};
use crate::sys::outlook::Outlook;
use sockdiag_facts::scan;
use sockdiag_facts::sort::sort_by;
use sockdiag_wire::errno::EINVAL;

/// The directory of named namespaces.
const NAMES: &str = "/run/netns";
/// How many paths into a namespace are kept: any of them may vanish.
const DOORS: usize = 8;

/// A network namespace and how to get into it.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// The facts about it that rows show.
    pub facts: Netns,
    /// Whether it is our own namespace.
    pub is_home: bool,
    /// Whether it was requested by itself, not as part of `all`.
    pub is_chosen: bool,
    doors: Vec<PathBuf>,
}

/// The namespaces that were found.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    /// Each namespace once: ours first, then those with names, then by inode; or in the
    /// order of the request.
    pub list: Vec<Namespace>,
    /// Why namespaces of some processes may be missing; reported only if all
    /// namespaces were requested.
    pub unseen: Unseen,
}

/// A network namespace that was entered: any thread can ask questions in it (see
/// [`Sockets::inside`](crate::Sockets::inside)).  The thread that entered it stays where it
/// was.
#[derive(Clone, Debug)]
pub struct Entered {
    pub(crate) facts: Netns,
    pub(crate) opener: Opener,
}

impl Entered {
    /// The facts about the namespace.
    pub fn facts(&self) -> &Netns {
        &self.facts
    }
}

impl Namespace {
    /// Enters the namespace, so that questions can be asked there.
    ///
    /// # Errors
    /// `ENOENT` and the like where the namespace is gone; `EPERM` without
    /// `CAP_SYS_ADMIN` over it.
    pub fn enter(&self) -> io::Result<Entered> {
        let worker = Worker::default();
        let opener = if netns::inode() == Some(self.facts.inode) {
            // Staying needs no privilege.
            Opener::pinned(&worker)?
        } else {
            self.opener(&worker)
        };
        opener.run(|| ())?;
        Ok(Entered { facts: self.facts.clone(), opener })
    }

    /// Opens sockets and files there, whatever namespace the calling thread is in.
    pub(crate) fn opener(&self, worker: &Worker) -> Opener {
        Opener::away(self.doors.clone(), self.facts.inode, worker)
    }
}

/// Every network namespace that a process or a mount holds.
pub fn all() -> Namespaces {
    Search::seen_from(netns::inode()).all()
}

/// Moves the calling thread into the namespace that a word names, as [`netns::enter`] does;
/// `container:NAME` is the namespace of a container, by its name or the first digits of its
/// id.
///
/// # Errors
/// As [`netns::enter`], and if no container matches, or several do.
pub fn enter(word: &OsStr, notices: &mut dyn FnMut(Notice)) -> Result<(), EnterError> {
    let Some(name) = container_in(word) else { return netns::enter(word, notices) };
    let container = container(name)?;
    let file = chosen::namespace(&container.door).map_err(|why| netns::not_entered(word, why))?;
    let is_its = file.metadata().is_ok_and(|meta| container.inode == Some(meta.ino()));
    if !is_its {
        // The process ended, and its pid was reused.
        return Err(EnterError::NoContainer { name: name.to_owned() });
    }
    netns::enter_by(word, &file, notices)
}

/// The name in `container:NAME`, unless a namespace has that name.
fn container_in(word: &OsStr) -> Option<&OsStr> {
    let name = word.as_bytes().strip_prefix(b"container:")?;
    let is_name = fs::symlink_metadata(Path::new(NAMES).join(word)).is_ok();
    (!is_name).then_some(OsStr::from_bytes(name))
}

/// The only container that a name matches.
fn container(name: &OsStr) -> Result<Container, EnterError> {
    let mut found = containers(name.as_bytes());
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(EnterError::NoContainer { name: name.to_owned() }),
        (Some(last), false) => {
            let candidates = found.into_iter().chain([last]).map(|one| one.title).collect();
            Err(EnterError::SeveralContainers { name: name.to_owned(), candidates })
        }
    }
}

/// The namespaces that a comma-separated list names: `all`, names as in `ip netns`, inode
/// numbers, paths of files, `pid:N`, `container:NAME`.
///
/// # Errors
/// As [`netns::enter`], for the first word that names no namespace.
pub fn chosen(words: &OsStr) -> Result<Namespaces, EnterError> {
    Search::seen_from(netns::inode()).chosen(words, &mut Err)
}

/// A search for the namespaces that exist now.
///
/// Names and mounts are searched at once.  Every process of the machine is read only if the
/// question needs that: it costs more than anything else here.
pub(crate) struct Search {
    /// The inode of our own namespace; 0 if unknown.
    home: u64,
    /// The device of namespace files; `None` without /proc.
    device: Option<u64>,
    found: HashMap<u64, Namespace>,
    unseen: Unseen,
    /// Whether the processes were read.
    walked: bool,
}

impl Search {
    /// Searches names and mounts.  The namespace with the inode `home` counts as ours.
    pub(crate) fn seen_from(home: Option<u64>) -> Self {
        let device = fs::metadata(OWN).ok().map(|meta| meta.dev());
        // Our own namespace is always listed.
        let home = home.unwrap_or_default();
        let mut search =
            Self { home, device, found: HashMap::new(), unseen: Unseen::default(), walked: false };
        search.add(home, None, "/proc/self/ns/net".into());
        if device.is_none() {
            // Without /proc this path does not exist.
            search.found.values_mut().for_each(|ours| ours.facts.path = None);
        }
        search.names();
        search.mounts(&fs::read("/proc/self/mountinfo").unwrap_or_default());
        search
    }

    /// Every namespace: ours first, then those with names, then by inode.
    pub(crate) fn all(&mut self) -> Namespaces {
        self.walk();
        let mut list: Vec<Namespace> = self.found.values().cloned().collect();
        for Namespace { facts, .. } in &mut list {
            *facts = Netns::new(facts.inode, facts.name.take(), facts.path.take());
        }
        fn key(one: &Namespace) -> (bool, bool, Option<&[u8]>, u64) {
            (!one.is_home, one.facts.name.is_none(), one.facts.name.as_deref(), one.facts.inode)
        }
        sort_by(&mut list, &mut |a, b| key(a).cmp(&key(b)));
        Namespaces { list, unseen: self.unseen.clone() }
    }

    /// The namespaces of a list of words: see [`chosen`].  For a word that names no
    /// namespace `missing` is called; it skips the word by returning `Ok`.
    pub(crate) fn chosen(
        &mut self,
        words: &OsStr,
        missing: &mut dyn FnMut(EnterError) -> Result<(), EnterError>,
    ) -> Result<Namespaces, EnterError> {
        let mut chosen = Namespaces::default();
        for word in words.as_bytes().split(|byte| *byte == b',') {
            let found = if word == b"all" {
                let every = self.all();
                chosen.unseen = every.unseen;
                every.list
            } else {
                match self.one(OsStr::from_bytes(word)) {
                    Ok(one) => vec![one],
                    Err(error) => {
                        missing(error)?;
                        continue;
                    }
                }
            };
            for namespace in found {
                match chosen.list.iter_mut().find(|had| had.facts.inode == namespace.facts.inode) {
                    Some(had) => had.is_chosen |= namespace.is_chosen,
                    None => chosen.list.push(namespace),
                }
            }
        }
        Ok(chosen)
    }

    /// The namespace that a word names.
    fn one(&mut self, word: &OsStr) -> Result<Namespace, EnterError> {
        let bytes = word.as_bytes();
        let mut is_name = false;
        let container = container_in(word).map(container).transpose()?;
        let door = match bytes.strip_prefix(b"pid:") {
            _ if let Some(container) = &container => container.door.clone(),
            Some(pid) => {
                let whole = !pid.is_empty() && pid.iter().all(u8::is_ascii_digit);
                // A pid that is not a number names no process.
                let pid = if whole { OsStr::from_bytes(pid) } else { OsStr::new("0") };
                Path::new("/proc").join(pid).join("ns/net")
            }
            None if bytes.contains(&b'/') => PathBuf::from(word),
            None => {
                is_name = true;
                Path::new(NAMES).join(word)
            }
        };
        let meta = match fs::metadata(&door) {
            Ok(meta) => meta,
            Err(error) => {
                let open = EnterError::Open { name: word.to_owned(), errno: errno_of(&error) };
                let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<u64>().ok());
                return number.and_then(|number| self.numbered(number)).ok_or(open);
            }
        };
        if !self.is_netns(&meta) {
            return Err(EnterError::Set { name: word.to_owned(), errno: EINVAL });
        }
        let inode = meta.ino();
        if container.is_some_and(|container| container.inode != Some(inode)) {
            return Err(EnterError::Open { name: word.to_owned(), errno: 2 });
        }
        let mut namespace = self.found.get(&inode).cloned().unwrap_or_else(|| self.new_one(inode));
        let Netns { mut name, path, .. } = namespace.facts;
        if is_name {
            name = Some(bytes.to_vec());
        }
        let path = path.unwrap_or_else(|| door.as_os_str().as_bytes().to_vec());
        namespace.facts = Netns::new(inode, name, Some(path));
        namespace.is_chosen = true;
        namespace.doors.insert(0, door);
        Ok(namespace)
    }

    /// The namespace with this inode, requested by its inode.
    fn numbered(&mut self, inode: u64) -> Option<Namespace> {
        self.walk();
        let found = self.found.get(&inode)?.clone();
        let Netns { name, path, .. } = found.facts;
        Some(Namespace { facts: Netns::new(inode, name, path), is_chosen: true, ..found })
    }

    /// Whether a file lies on the file system of namespaces.  Whether it is a network
    /// namespace shows only when it is entered.
    fn is_netns(&self, meta: &fs::Metadata) -> bool {
        self.device.is_none_or(|device| device == meta.dev())
    }

    fn new_one(&self, inode: u64) -> Namespace {
        Namespace {
            facts: Netns { inode, ..Netns::default() },
            is_home: self.home == inode,
            is_chosen: false,
            doors: Vec::new(),
        }
    }

    fn add(&mut self, inode: u64, name: Option<&OsStr>, door: PathBuf) {
        let new = self.new_one(inode);
        let namespace = self.found.entry(inode).or_insert(new);
        let facts = &mut namespace.facts;
        // Of several names keep the first in sort order.
        if let Some(name) = name.map(OsStr::as_bytes)
            && facts.name.as_deref().is_none_or(|had| name < had)
        {
            facts.name = Some(name.to_vec());
            facts.path = Some(door.as_os_str().as_bytes().to_vec());
        }
        facts.path.get_or_insert_with(|| door.as_os_str().as_bytes().to_vec());
        if namespace.doors.len() < DOORS {
            namespace.doors.push(door);
        }
    }

    /// Adds the namespaces that `ip netns` names.
    fn names(&mut self) {
        for entry in fs::read_dir(NAMES).into_iter().flatten().flatten() {
            if let Ok(meta) = fs::metadata(entry.path())
                && self.is_netns(&meta)
            {
                self.add(meta.ino(), Some(&entry.file_name()), entry.path());
            }
        }
    }

    /// Adds the namespaces that are mounted anywhere.
    fn mounts(&mut self, mountinfo: &[u8]) {
        for line in mountinfo.split(|byte| *byte == b'\n') {
            let Some((inode, path)) = mounted(line) else { continue };
            let path = PathBuf::from(OsString::from_vec(path));
            // A mount that is hidden by another one cannot be reached by its path.
            if fs::metadata(&path).is_ok_and(|meta| meta.ino() == inode) {
                let named = path.parent() == Some(Path::new(NAMES));
                let name = path.file_name().filter(|_| named).map(OsStr::to_owned);
                self.add(inode, name.as_deref(), path);
            }
        }
    }

    /// Adds the namespaces of processes, once.
    fn walk(&mut self) {
        if mem::replace(&mut self.walked, true) {
            return;
        }
        let Outlook { no_proc, hidden, inner } = Outlook::here();
        self.unseen = Unseen { processes: Vec::new(), no_proc, hidden, inner };
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let door = entry.path().join("ns/net");
            match fs::read_link(&door) {
                Ok(link) => {
                    if let Some(inode) = link_inode(link.as_os_str().as_bytes()) {
                        self.add(inode, None, door);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.unseen.processes.push(pid);
                }
                // The process ended meanwhile.
                Err(_) => {}
            }
        }
    }
}

/// The inode in `net:[INODE]`.
fn link_inode(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The inode and mount point in a line of mountinfo about a network namespace: fields 4 and
/// 5; the type follows ` - `.
fn mounted(line: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mut words = line.split(|byte| *byte == b' ');
    let (root, path) = (words.nth(3)?, words.next()?);
    words.find(|word| *word == b"-")?;
    let inode = link_inode(root)?;
    (words.next()? == b"nsfs").then(|| (inode, scan::unescaped(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_network_namespaces_are_told_from_others() {
        for (line, want) in [
            (
                "41 29 0:4 net:[4026532201] /run/netns/a\\040b rw shared:20 - nsfs nsfs rw",
                Some((4_026_532_201, "/run/netns/a b")),
            ),
            ("41 29 0:4 net:[7] /x rw - nsfs nsfs rw", Some((7, "/x"))),
            ("41 29 0:4 mnt:[7] /x rw - nsfs nsfs rw", None),
            ("41 29 0:4 net:[7] /x rw shared:20 - ext4 nsfs rw", None),
            ("41 29 0:4 net:[7] /x rw shared:20", None),
            ("41 29 0:4 net:[] /x rw - nsfs nsfs rw", None),
            ("", None),
        ] {
            let want = want.map(|(inode, path)| (inode, path.as_bytes().to_vec()));
            assert_eq!(mounted(line.as_bytes()), want, "{line}");
        }
    }

    #[test]
    fn our_own_is_found_first_and_by_each_word_for_it() {
        let own = netns::inode().expect("a namespace");
        let every = all();
        let first = every.list.first().expect("ours");
        assert!(first.is_home && first.facts.inode == own);
        assert_eq!(first.enter().expect("we are in it").facts().inode, own);
        let mut inodes: Vec<_> = every.list.iter().map(|one| one.facts.inode).collect();
        inodes.sort_unstable();
        inodes.dedup();
        assert_eq!(inodes.len(), every.list.len(), "each once");
        let pid = std::process::id();
        let words = format!("pid:{pid},/proc/{pid}/ns/net,{own},pid:{pid}");
        let chosen = chosen(OsStr::new(&words)).expect("all are ours");
        assert_eq!(chosen.list.len(), 1);
        assert!(chosen.list[0].is_home && chosen.list[0].is_chosen);
    }

    #[test]
    fn words_that_stand_for_nothing_are_errors() {
        let open = |name: &str| EnterError::Open { name: name.into(), errno: 2 };
        let set = |name: &str| EnterError::Set { name: name.into(), errno: 22 };
        for (word, want) in [
            ("no-such-name", open("no-such-name")),
            ("pid:", open("pid:")),
            ("pid:1x", open("pid:1x")),
            ("/proc/self/stat", set("/proc/self/stat")),
            ("", set("")),
            ("all,nope", open("nope")),
        ] {
            if word.is_empty() && !Path::new(NAMES).exists() {
                continue;
            }
            assert_eq!(chosen(OsStr::new(word)).unwrap_err(), want);
        }
    }
}
