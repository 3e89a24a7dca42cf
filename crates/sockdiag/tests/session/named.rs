//! Interfaces and network namespaces that are renamed or gone by the next poll.

use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use sockdiag::notice::Notice;
use sockdiag::{AskError, OwnedRow, OwnedValue, PollError, Session, Sockets, Table};
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::netns::{Namespace, SECOND};

use super::{Rows, all, inode, inodes, listener, poll, within, world};

/// A text that a row reports.
fn text(row: &OwnedRow, name: &str) -> Option<String> {
    row.value(name).map(|value| value.to_string())
}

/// The error of a poll, as text.
fn refusal(session: &mut Session) -> String {
    match session.poll(&mut Rows::default()) {
        Err(PollError::Ask(error @ AskError::Filter(_))) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_interface_may_be_renamed() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let Some(device) = namespace.second_device() else {
        sockdiag_testkit::skip!("no second device here");
    };
    let rename = |index: u32, to: &str| namespace.rename(index, to).unwrap_or_else(|why| panic!("{why}"));
    // Bound to the device, since its address is link-local.
    let at = SocketAddrV6::new("fe80::1".parse::<Ipv6Addr>().expect("an address"), 0, 0, SECOND);
    let bound = within(&namespace, || Listener::bind(at)).expect("its address");
    let other = within(&namespace, listener);
    let (on_device, on_none) = (bound, other);
    let (bound, other) = (inode(&on_device), inode(&on_none));
    let plain = all(&[Table::Tcp]).reading(["local.interface_name"]);
    let named = |device: &str| plain.clone().filter(format!("dev {device}"));
    for inside in [true, false] {
        let open = |question: &Sockets| {
            if inside { within(&namespace, || question.open()) } else { question.clone().netns(&name).open() }
        };
        let mut every = open(&plain).expect("a question");
        let mut filtered = open(&named(device)).expect("the device is there");
        let mut either =
            open(&plain.clone().filter(format!("dev {device} or sport = :1"))).expect("likewise");
        let shown = |session: &mut Session| {
            let rows = poll(session).0;
            let row = rows.iter().find(|row| row.inode() == Some(bound)).expect("it is there");
            text(row, "local.interface_name")
        };
        assert_eq!(shown(&mut every).as_deref(), Some(device), "{inside}");
        assert_eq!((inodes(&mut filtered), inodes(&mut either)), (vec![bound], vec![bound]), "{inside}");
        rename(SECOND, "renamed0");
        assert_eq!(shown(&mut every).as_deref(), Some("renamed0"), "{inside}");
        for session in [&mut filtered, &mut either] {
            let refusal = refusal(session);
            assert!(refusal.contains(device), "{inside}: {refusal}");
        }
        let mut renamed = open(&named("renamed0")).expect("the new name");
        assert_eq!(inodes(&mut renamed), [bound], "{inside}");
        // The device gets its old name back: every session works again.
        rename(SECOND, device);
        assert_eq!((inodes(&mut filtered), inodes(&mut either)), (vec![bound], vec![bound]), "{inside}");
        assert_eq!(shown(&mut filtered).as_deref(), Some(device), "{inside}");
        let found = inodes(&mut every);
        assert!(found.contains(&bound) && found.contains(&other), "{inside}: {found:?}");
        // Another device has the name, but no socket is bound to it.
        if device == "veth0" {
            rename(SECOND, "renamed0");
            rename(SECOND + 1, device);
            assert!(inodes(&mut filtered).is_empty(), "{inside}");
            assert_eq!(shown(&mut every).as_deref(), Some("renamed0"), "{inside}");
            rename(SECOND + 1, "veth1");
            rename(SECOND, device);
            assert_eq!(inodes(&mut filtered), [bound], "{inside}");
        }
    }
}

#[test]
fn namespaces_come_and_go_and_change_names() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    for test in ["named::all_namespaces_are_found_again", "named::names_are_given_to_others"] {
        world::run(&namespace, test, true);
    }
}

/// Makes another namespace, with a listener in it.
fn made() -> (Namespace, Listener, u32) {
    let namespace = Namespace::new().unwrap_or_else(|why| panic!("{why}"));
    let listener = within(&namespace, listener);
    let inode = inode(&listener);
    (namespace, listener, inode)
}

/// The namespaces that a poll reports as gone.
fn gone(session: &mut Session) -> Vec<(Vec<u8>, i32)> {
    let notices = poll(session).1.notices;
    let of = |notice| match notice {
        Notice::NamespaceGone { name, errno } => (name, errno),
        other => panic!("{other}"),
    };
    notices.into_iter().filter(|notice| !world::is_said(notice)).map(of).collect()
}

fn sorted<const N: usize>(mut inodes: [u32; N]) -> Vec<u32> {
    inodes.sort_unstable();
    inodes.to_vec()
}

#[test]
#[ignore = "run by namespaces_come_and_go_and_change_names"]
fn all_namespaces_are_found_again() {
    if !world::is_own() {
        return;
    }
    let here = listener();
    let home = inode(&here);
    let mut session = all(&[Table::Tcp]).reading(["netns.inode"]).netns("all").open().expect("a question");
    assert_eq!(inodes(&mut session), [home]);
    let (first, held, one) = made();
    let inode_of = |namespace: &Namespace| namespace.inode().expect("it has one");
    assert_eq!(inodes(&mut session), sorted([home, one]), "a new one");
    let rows = poll(&mut session).0;
    let row = rows.iter().find(|row| row.inode() == Some(one)).expect("it is there");
    assert_eq!(row.value("netns.inode"), Some(OwnedValue::U64(inode_of(&first))));
    let (second, other, two) = made();
    assert_eq!(inodes(&mut session), sorted([home, one, two]));
    // The session's and its own socket keep the namespace alive, but it cannot be found.
    drop(first);
    assert_eq!(inodes(&mut session), sorted([home, two]));
    assert_eq!(gone(&mut session), [], "of all, one that ended is not missed");
    drop(held);
    let (third, third_held, three) = made();
    assert_eq!(inodes(&mut session), sorted([home, two, three]));
    let more = within(&third, listener);
    assert_eq!(inodes(&mut session), sorted([home, two, three, inode(&more)]), "a socket more");
    drop((more, third_held));
    assert_eq!(inodes(&mut session), sorted([home, two]), "and two less");
    drop((second, other, third));
    assert_eq!(inodes(&mut session), [home]);
}

#[test]
#[ignore = "run by namespaces_come_and_go_and_change_names"]
fn names_are_given_to_others() {
    if !world::is_own() {
        return;
    }
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).expect("mounts of our own");
    fs::create_dir("/run/netns").expect("an empty /run");
    let give = |name: &str, namespace: &Namespace| {
        let path = Path::new("/run/netns").join(name);
        fs::File::create(&path).expect("/run is ours");
        mount_bind(format!("/proc/{}/ns/net", namespace.pid()), &path).expect("a namespace can be mounted");
    };
    let take = |name: &str| {
        let path = Path::new("/run/netns").join(name);
        unmount(&path, UnmountFlags::empty()).expect("it was mounted");
        fs::remove_file(path).expect("/run is ours");
    };
    let (first, _held, one) = made();
    let (second, _other, two) = made();
    let question = all(&[Table::Tcp]).reading(["netns.name"]);
    assert!(matches!(question.clone().netns("a").open(), Err(AskError::Namespace(_))), "not there at first");
    give("a", &first);
    give("b", &second);
    let mut only = question.clone().netns("a").open().expect("it is there");
    let mut both = question.clone().netns("a,b").open().expect("they are there");
    let names = |session: &mut Session| {
        let rows = poll(session).0;
        rows.iter().map(|row| (text(row, "netns.name"), row.inode())).collect::<Vec<_>>()
    };
    let row = |name: &str, inode| (Some(name.to_owned()), Some(inode));
    assert_eq!(names(&mut only), [row("a", one)]);
    assert_eq!(names(&mut both), [row("a", one), row("b", two)]);
    // The two namespaces get other names.
    take("a");
    take("b");
    give("a", &second);
    give("b", &first);
    assert_eq!(names(&mut only), [row("a", two)]);
    assert_eq!(names(&mut both), [row("a", two), row("b", one)]);
    // One name is gone, though its namespace lives.
    take("a");
    assert_eq!(gone(&mut only), [(b"a".to_vec(), 2)]);
    assert!(names(&mut only).is_empty());
    assert_eq!(gone(&mut both), [(b"a".to_vec(), 2)]);
    assert_eq!(names(&mut both), [row("b", one)]);
    // The name comes back for a third namespace.
    let (third, _more, three) = made();
    give("a", &third);
    assert_eq!(gone(&mut only), []);
    assert_eq!(names(&mut only), [row("a", three)]);
    assert_eq!(names(&mut both), [row("a", three), row("b", one)]);
    // A namespace by pid, whose process then ends.
    let word = format!("pid:{}", second.pid());
    let mut of_process = question.netns(&word).open().expect("it runs");
    assert_eq!(inodes(&mut of_process), [two]);
    drop(second);
    assert_eq!(gone(&mut of_process), [(word.into_bytes(), 2)]);
    assert!(inodes(&mut of_process).is_empty());
}
