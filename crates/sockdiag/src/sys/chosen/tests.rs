use super::*;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{makedev, mknodat};

/// A directory of the test's, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockdiag-chosen-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory of the test");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().expect("below")).expect("a directory of the test");
        fs::write(self.path(name), bytes).expect("a file of the test");
    }

    /// Makes one file of each kind, as far as we are allowed to.
    fn one_of_each(&self) -> Vec<(&'static str, Refusal)> {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, self.path("fifo"), FileType::Fifo, mode, 0).expect("a FIFO of the test");
        let _kept = UnixListener::bind(self.path("socket")).expect("a socket of the test");
        fs::create_dir(self.path("directory")).expect("a directory of the test");
        self.write("file", b"text");
        symlink("file", self.path("link")).expect("a link of the test");
        symlink("fifo", self.path("link-to-fifo")).expect("a link of the test");
        symlink("/dev/null", self.path("link-to-device")).expect("a link of the test");
        symlink(".", self.path("link-on-the-way")).expect("a link of the test");
        let mut all = vec![
            ("fifo", Refusal::Fifo),
            ("socket", Refusal::Socket),
            ("directory", Refusal::Directory),
            ("link", Refusal::Link),
            ("link-to-fifo", Refusal::Link),
            ("link-to-device", Refusal::Link),
            ("link-on-the-way/file", Refusal::Link),
            ("directory/../file", Refusal::Outside),
        ];
        // Opening it would fail: no driver has this number.
        let device = makedev(0xfff, 0xff);
        for (name, kind) in [("character", FileType::CharacterDevice), ("block", FileType::BlockDevice)] {
            if mknodat(CWD, self.path(name), kind, mode, device).is_ok() {
                all.push((name, Refusal::Device));
            }
        }
        all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn anybody(_: u32) -> bool {
    true
}

#[test]
fn only_regular_files_below_the_directory_are_read() {
    let place = Place::new("kinds");
    let all = place.one_of_each();
    let dir = Dir::open(&place.0).expect("the test's own");
    let read = |name: &str| dir.read(Path::new(name), anybody, 100);
    assert_eq!(read("file"), Ok(Some(b"text".to_vec())));
    assert_eq!(read("nothing"), Ok(None));
    assert_eq!(read("file/nothing"), Ok(None));
    for (name, why) in all {
        // `..` that stays below the directory is harmless, so this finds the file.
        if name == "directory/../file" {
            assert_eq!(dir.walk(Path::new(name), true).err(), Some(Errno::XDEV));
            continue;
        }
        assert_eq!(read(name), Err(why), "{name}");
        let walked = dir.walk(Path::new(name), true).map_err(|error| absent::<()>(error).unwrap_err());
        let walked = walked.and_then(|place| regular(&fstat(place).expect("open")));
        assert_eq!(walked, Err(why), "{name}, one name after the other");
        if let Ok(known) = regular_at(&place.path(name), OFlags::empty()) {
            assert!(name.starts_with("link"), "{name}: {known:?}");
        }
    }
    assert_eq!(dir.read(Path::new("../x"), anybody, 100), Err(Refusal::Outside));
    assert_eq!(dir.read(Path::new("/etc/passwd"), anybody, 1 << 20), Err(Refusal::Outside));
    assert_eq!(dir.walk(Path::new("../x"), true).err(), Some(Errno::XDEV));
    assert_eq!(dir.walk(Path::new("/etc/passwd"), true).err(), Some(Errno::XDEV));
}

#[test]
fn a_file_is_read_up_to_the_limit_and_of_its_owner_alone() {
    let place = Place::new("limits");
    place.write("file", &[b'x'; 100]);
    let dir = Dir::open(&place.0).expect("the test's own");
    let read =
        |limit| dir.read(Path::new("file"), anybody, limit).map(|bytes| bytes.map(|bytes| bytes.len()));
    assert_eq!(read(100), Ok(Some(100)));
    assert_eq!(read(99), Err(Refusal::TooLong { limit: 99 }));
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(dir.owner_of(Path::new("file")), Some(own));
    let others = dir.read(Path::new("file"), |uid| uid != own, 100);
    assert_eq!(others, Err(Refusal::Owner { uid: own }));
    // A file with an unknown length, like those of /proc.
    let proc = Dir::open(Path::new("/proc/self")).expect("a process");
    let status =
        proc.read(Path::new("status"), anybody, 1 << 20).expect("it may be read").expect("it is there");
    assert!(status.starts_with(b"Name:"));
    assert_eq!(proc.read(Path::new("status"), anybody, 9), Err(Refusal::TooLong { limit: 9 }));
    if own == 0 {
        chown(place.path("file"), Some(7), None).expect("root may");
        assert_eq!(dir.read(Path::new("file"), |uid| uid == 0, 100), Err(Refusal::Owner { uid: 7 }));
    } else {
        fs::set_permissions(place.path("file"), fs::Permissions::from_mode(0o000)).expect("the test's own");
        assert_eq!(dir.read(Path::new("file"), anybody, 100), Err(Refusal::Denied { errno: libc::EACCES }));
    }
}

#[test]
fn what_root_chose_may_be_a_link_and_stays_below_the_root() {
    let place = Place::new("roots");
    place.write("data/docker/x", b"in the tree");
    symlink("/data/docker", place.path("store")).expect("a link of the test");
    symlink("../../../../../../data/docker", place.path("up")).expect("a link of the test");
    let root = Dir::open(&place.0).expect("the test's own");
    for store in ["store", "/store", "up", "data/docker"] {
        let store = root.chosen_by_root(Path::new(store), true).expect("a directory of the tree");
        assert_eq!(store.read(Path::new("x"), anybody, 100), Ok(Some(b"in the tree".to_vec())));
        assert_eq!(store.names(Path::new("."), 9), ["x"]);
    }
    assert!(root.chosen_by_root(Path::new("/"), true).is_ok());
    assert!(root.chosen_by_root(Path::new("data/docker/x"), true).is_err(), "a file");
}

/// `/proc` is mounted below `/`, and often `/dev` too.
#[test]
fn what_is_mounted_below_is_outside_unless_root_mounted_it() {
    let root = Dir::open(Path::new("/")).expect("a root");
    let path = Path::new("proc/self/status");
    let with = root.chosen_by_root(Path::new("/"), true).expect("a root");
    // `self` is a link.
    assert_eq!(with.read(path, anybody, 1 << 20), Err(Refusal::Link));
    let path = PathBuf::from(format!("proc/{}/status", std::process::id()));
    assert!(with.read(&path, anybody, 1 << 20).is_ok_and(|bytes| bytes.is_some()));
    let without = root.chosen_by_root(Path::new("/"), false).expect("a root");
    assert_eq!(without.read(&path, anybody, 1 << 20), Err(Refusal::Outside));
    assert_eq!(without.walk(&path, false).err(), Some(Errno::XDEV));
}

#[test]
fn files_of_processes_are_regular_or_the_kernel_s() {
    let place = Place::new("processes");
    let root = open(&place.0, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("the test's own");
    for (name, why) in place.one_of_each() {
        if name.contains('/') {
            continue;
        }
        assert_eq!(beginning(&root, name, 9), Err(why), "{name}");
    }
    assert_eq!(beginning(&root, "file", 2), Ok(b"te".to_vec()));
    assert_eq!(beginning_at(&place.path("file"), 2), Ok(b"te".to_vec()));
    assert_eq!(beginning_at(&place.path("fifo"), 2), Err(Refusal::Fifo));
    assert_eq!(beginning_at(&place.path("link"), 2), Err(Refusal::Link));
    assert_eq!(beginning(&root, "nothing", 2), Err(Refusal::Denied { errno: libc::ENOENT }));
    let proc = open("/proc/self", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("a process");
    assert_eq!(beginning(&proc, "status", 5), Ok(b"Name:".to_vec()));
}

#[test]
fn only_files_of_namespaces_are_opened_as_such() {
    let place = Place::new("namespaces");
    let all = place.one_of_each();
    assert!(namespace(Path::new("/proc/self/ns/net")).is_ok());
    symlink("/proc/self/ns/net", place.path("to-namespace")).expect("a link of the test");
    assert!(namespace(&place.path("to-namespace")).is_ok());
    let error = |name: &str| namespace(&place.path(name)).expect_err("no namespace");
    for (name, _) in all {
        let want = if name == "socket" { NotOpened::Open(Errno::NXIO) } else { NotOpened::NoNamespace };
        assert_eq!(error(name), want, "{name}");
    }
    assert_eq!(error("nothing"), NotOpened::Open(Errno::NOENT));
    assert_eq!(error("file/x"), NotOpened::Open(Errno::NOTDIR));
}
