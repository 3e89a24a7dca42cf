//! Processes that change between two polls: one more, one less, a reused pid, another
//! program, another user.

use std::fs;
use std::os::fd::OwnedFd;

use sockdiag::enrich::HolderSearch;
use sockdiag::source::Sources;
use sockdiag::{Session, Sockets, Table};
use sockdiag_testkit::until;

use sockdiag_testkit::netns::Namespace;

use super::{Holder, addr, all, held_by, holders_of, listener, poll, within, world};

const SEARCHES: [HolderSearch; 2] = [HolderSearch::Quickest, HolderSearch::Proc];

/// A session about the only socket with a port, in the caller's namespace.
fn asked(port: u16, search: HolderSearch) -> Session {
    let question = all(&[Table::Tcp]).filter(format!("sport = :{port}")).with_processes();
    question.reading(["socket.processes.cmdline"]).holder_search(search).open().expect("a question")
}

#[test]
fn a_process_that_was_forked_and_one_that_ended_are_seen() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    for search in SEARCHES {
        let socket = within(&namespace, listener);
        let port = addr(&socket).port();
        let mut session = within(&namespace, || asked(port, search));
        assert_eq!(held_by(&poll(&mut session).0), [], "it is closed on exec: {search:?}");
        let mut first = Holder::start(
            socket.try_clone().expect("a copy"),
            "read x; sleep 60 & read x; kill $!; wait $!; read x",
        );
        assert_eq!(held_by(&poll(&mut session).0), [("sh".to_owned(), first.pid())], "{search:?}");
        first.go_on();
        // After the fork the child is still a shell.
        let is_forked = || held_by(&poll(&mut session).0).iter().any(|(name, _)| name == "sleep");
        assert!(until(is_forked), "{search:?}");
        let both = held_by(&poll(&mut session).0);
        assert!(both.len() == 2 && both.contains(&("sh".to_owned(), first.pid())), "{search:?}: {both:?}");
        let second = Holder::start(socket, "read x");
        let pids: Vec<i32> = held_by(&poll(&mut session).0).iter().map(|(_, pid)| *pid).collect();
        assert!(pids.len() == 3 && pids.contains(&second.pid()), "{search:?}: {pids:?}");
        drop(second);
        assert_eq!(held_by(&poll(&mut session).0), both, "{search:?}");
        first.go_on();
        let is_alone = || held_by(&poll(&mut session).0) == [("sh".to_owned(), first.pid())];
        assert!(until(is_alone), "{search:?}");
        drop(first);
        let is_gone = || poll(&mut session).0.is_empty();
        assert!(until(is_gone), "with its last holder the socket is gone: {search:?}");
    }
}

#[test]
fn holders_are_looked_for_when_that_is_wanted() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    for search in SEARCHES {
        let socket = within(&namespace, listener);
        let port = addr(&socket).port();
        let first = Holder::start(socket.try_clone().expect("a copy"), "read x");
        let want = [("sh".to_owned(), first.pid())];
        let mut session = within(&namespace, || asked(port, search));
        session.look_for_holders(false);
        // Holders are off in the first poll and a later one, and no notice says that they
        // are missing.
        for _ in 0..2 {
            let (rows, outcome) = poll(&mut session);
            assert_eq!((rows.len(), held_by(&rows)), (1, Vec::new()), "{search:?}");
            assert_eq!(outcome.notices, [], "{search:?}");
        }
        session.look_for_holders(true);
        assert_eq!(held_by(&poll(&mut session).0), want, "{search:?}");
        session.look_for_holders(false);
        assert_eq!(held_by(&poll(&mut session).0), [], "{search:?}");

        // A filter on holders needs them, even if they are turned off.
        let question = all(&[Table::Tcp]).filter(format!("sport = :{port} and comm = sh")).with_processes();
        let mut tested = within(&namespace, || question.holder_search(search).open().expect("a question"));
        tested.look_for_holders(false);
        for _ in 0..2 {
            assert_eq!(held_by(&poll(&mut tested).0), want, "{search:?}");
        }
        drop(first);
    }
}

#[test]
fn exec_changes_the_name_and_setuid_the_user() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    for search in SEARCHES {
        let socket = within(&namespace, listener);
        let port = addr(&socket).port();
        let mut session = within(&namespace, || asked(port, search));
        let script = "read x; exec setpriv --reuid 65534 --clear-groups cat -";
        let mut holder = Holder::start(socket, script);
        let look = |session: &mut Session| {
            let rows = poll(session).0;
            let [row] = &rows[..] else { panic!("{} rows", rows.len()) };
            let held = holders_of(row);
            let [held] = &held[..] else { panic!("{held:?}") };
            (held.name(), held.cmdline.clone().expect("asked for"), held.uid, held.pid)
        };
        let pid = holder.pid();
        let before = (String::from("sh"), format!("sh\0-c\0{script}\0").into_bytes(), Some(0), pid);
        assert_eq!(look(&mut session), before, "{search:?}");
        holder.go_on();
        let name = format!("/proc/{pid}/comm");
        assert!(until(|| fs::read(&name).is_ok_and(|name| name == b"cat\n")), "it became another program");
        let after = (String::from("cat"), b"cat\0-\0".to_vec(), Some(65534), pid);
        assert_eq!(look(&mut session), after, "{search:?}");
        let rows = poll(&mut session).0;
        let user = holders_of(&rows[0])[0].user.clone();
        assert_ne!(user.as_deref(), Some(&b"root"[..]), "{search:?}");
    }
}

#[test]
fn another_process_with_the_same_number_is_another() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    world::run(&namespace, "holders::a_number_is_used_again", true);
}

#[test]
#[ignore = "run by another_process_with_the_same_number_is_another"]
fn a_number_is_used_again() {
    if !world::is_own() {
        return;
    }
    let socket = listener();
    let copy = || OwnedFd::from(socket.try_clone().expect("a copy"));
    for search in SEARCHES {
        let mut session = asked(addr(&socket).port(), search);
        let first = Holder::start(copy(), "read first");
        let pid = first.pid();
        let told = |session: &mut Session| {
            let rows = poll(session).0;
            let held = holders_of(&rows[0]);
            held.iter().map(|held| (held.name(), held.pid, held.cmdline.clone())).collect::<Vec<_>>()
        };
        let of =
            |script: &str| vec![("sh".to_owned(), pid, Some(format!("sh\0-c\0{script}\0").into_bytes()))];
        assert_eq!(told(&mut session), of("read first"), "{search:?}");
        drop(first);
        assert_eq!(told(&mut session), [], "{search:?}");
        let mut second = None;
        assert!(
            until(|| {
                fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).expect("root may");
                second = Some(Holder::start(copy(), "read second"));
                second.as_ref().is_some_and(|second| second.pid() == pid)
            }),
            "the number is free"
        );
        assert_eq!(told(&mut session), of("read second"), "{search:?}");
        // No poll is made between the end of one process and the start of the next.
        drop(second.take());
        assert!(until(|| {
            fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).expect("root may");
            second = Some(Holder::start(copy(), "read third; exit 3"));
            second.as_ref().is_some_and(|second| second.pid() == pid)
        }));
        assert_eq!(told(&mut session), of("read third; exit 3"), "{search:?}");
    }
}

/// A directory that replaces /proc, removed at the end.
struct Tree(std::path::PathBuf);

impl Tree {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sockdiag-{}-session-tree", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("net")).expect("scratch");
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
        let line = "   0: 0100007F:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 621\n";
        fs::write(path.join("net/tcp"), format!("{head}{line}")).expect("scratch");
        Self(path)
    }

    /// Makes a process, which holds socket 621 if `holds`.
    fn process(&self, pid: u32, name: &str, uid: u32, holds: bool) {
        let path = self.0.join(pid.to_string());
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("fd")).expect("scratch");
        // pid (comm) state ppid ...; the start time is the 22nd field.
        let stat = format!("{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {uid} 0 0\n");
        fs::write(path.join("stat"), stat).expect("scratch");
        fs::write(path.join("comm"), format!("{name}\n")).expect("scratch");
        fs::write(path.join("cmdline"), format!("/bin/{name}\0")).expect("scratch");
        fs::write(path.join("status"), format!("Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"))
            .expect("scratch");
        if holds {
            std::os::unix::fs::symlink("socket:[621]", path.join("fd/3")).expect("scratch");
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_tree_in_place_of_proc_is_read_again() {
    let tree = Tree::new();
    let sources = Sources { proc_root: Some(tree.0.clone().into()), ..Sources::default() };
    let question: Sockets = all(&[Table::Tcp]).with_processes().sources(sources);
    let mut session = question.reading(["socket.processes.cmdline"]).open().expect("a question");
    let told = |session: &mut Session| {
        let rows = poll(session).0;
        let [row] = &rows[..] else { panic!("{} rows", rows.len()) };
        let mut held: Vec<_> =
            row.holders().into_iter().map(|held| (held.pid, held.name(), held.uid)).collect();
        held.sort();
        held
    };
    assert_eq!(told(&mut session), []);
    for (name, uid) in [("one", 5), ("two", 6)] {
        tree.process(4242, name, uid, true);
        assert_eq!(told(&mut session), [(4242, name.to_owned(), Some(uid))]);
    }
    tree.process(4243, "heir", 7, true);
    tree.process(4242, "two", 6, false);
    assert_eq!(told(&mut session), [(4243, "heir".to_owned(), Some(7))]);
}
