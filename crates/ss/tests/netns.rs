//! `-N`: the namespace that its argument selects.

use std::process::{Command, Stdio};

use sockdiag_testkit::compare::{Case, Ended, Outcome, run};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;
use sockdiag_testkit::skip::Privilege;
use sockdiag_testkit::zoo::Zoo;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// Makes the other namespace known here as `sockdiag-x`, with a file of its own, only in this
/// namespace's mounts.
const FURNISH: &str = "set -e
mount -t tmpfs none /run
mkdir /run/netns
: >/run/netns/sockdiag-x
mount --bind /proc/$0/ns/net /run/netns/sockdiag-x
: >/run/netns/sockdiag-plain
ln -s /proc/$0/ns/net /run/netns/pid:1
mount -t tmpfs none /etc
mkdir -p /etc/netns/sockdiag-x
: >/etc/services
echo 'sockdiag-inner 5101/tcp' >/etc/netns/sockdiag-x/services
: >/etc/netns/sockdiag-x/\"$(printf 'no-\\377')\"
mkdir /etc/iproute2
printf '0 rtnl\\nbad \\377 line\\n' >/etc/iproute2/nl_protos";

fn listing(program: Command, namespace: &Namespace, name: &str, words: &str) -> Outcome {
    let words: Vec<&str> = ["-N", name].into_iter().chain(words.split(' ')).collect();
    let case = Case::new(&words).inside(namespace);
    run(program, &case).unwrap_or_else(|why| panic!("-N {name}: {why}"))
}

#[test]
fn a_namespace_may_be_named_by_path_or_process() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("no reference: {why}"),
    };
    let [Some(here), Some(there)] = [Namespace::or_skip(), Namespace::or_skip()] else { return };
    if here.privilege() != Privilege::Root {
        skip!("one's own root may not enter another's namespace");
    }
    let _zoo = Zoo::start(&there, &["tcp-listen"]).unwrap_or_else(|why| panic!("{why}"));
    let pid = there.pid().to_string();
    let mut furnish = here.command("/bin/sh");
    let done = furnish.args(["-c", FURNISH, &pid]).stdin(Stdio::null()).output().expect("a shell");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    // Names, and other arguments that the reference accepts.
    let up = format!("../../proc/{pid}/ns/net");
    for (name, entered) in [
        ("sockdiag-x", true),
        ("./sockdiag-x", true),
        ("../netns/sockdiag-x", true),
        (up.as_str(), true),
        ("pid:1", true), // a name, since there is a file of it
        ("sockdiag-plain", false),
        ("sockdiag-plain/", false),
        ("", false),
        ("/", false),
        ("missing", false),
        ("/run/netns/missing", false),
        ("pid:4194305", false),
        ("pid:one", false),
    ] {
        let theirs = listing(reference.command(), &here, name, "-Htl");
        let ours = listing(Command::new(OURS), &here, name, "-Htl");
        assert_eq!((ours.stdout, ours.stderr), (theirs.stdout.clone(), theirs.stderr), "-N {name}");
        assert_eq!(ours.ended, theirs.ended, "-N {name}");
        assert_eq!((theirs.ended == Ended::Exit(0), !theirs.stdout.is_empty()), (entered, entered), "{name}");
    }

    // A file without a counterpart in /etc, and a damaged one: messages contain the raw bytes.
    for (words, told) in [
        ("-Htl", &b"Bind /etc/netns/sockdiag-x/no-\xff -> /etc/no-\xff failed"[..]),
        ("-Hf netlink", b"bad \xff line"),
    ] {
        let theirs = listing(reference.command(), &here, "sockdiag-x", words);
        let ours = listing(Command::new(OURS), &here, "sockdiag-x", words);
        assert!(
            theirs.stderr.windows(told.len()).any(|part| part == told),
            "{}",
            theirs.stderr.escape_ascii()
        );
        assert_eq!(ours.stderr.escape_ascii().to_string(), theirs.stderr.escape_ascii().to_string());
    }

    // Only ours supports this.
    let named = listing(Command::new(OURS), &here, "sockdiag-x", "-Htl");
    assert!(String::from_utf8_lossy(&named.stdout).contains(":sockdiag-inner"), "{named:?}");
    let plain = listing(Command::new(OURS), &here, &up, "-Htl");
    assert!(!String::from_utf8_lossy(&plain.stdout).contains(":sockdiag-inner"), "{plain:?}");
    for (name, like) in [
        ("/run/netns/sockdiag-x".to_owned(), &named),
        (format!("/proc/{pid}/ns/net"), &plain),
        (format!("pid:{pid}"), &plain),
    ] {
        let theirs = listing(reference.command(), &here, &name, "-Htl");
        let want = format!("Cannot open network namespace \"{name}\": No such file or directory\n");
        assert_eq!((theirs.ended, theirs.stderr), (Ended::Exit(1), want.into_bytes()));
        let ours = listing(Command::new(OURS), &here, &name, "-Htl");
        assert_eq!((&ours.stdout, &ours.stderr), (&like.stdout, &like.stderr), "-N {name}");
        assert_eq!(ours.ended, Ended::Exit(0), "-N {name}");
    }
    // Not a namespace: the reference's message for an invalid name.
    let ours = listing(Command::new(OURS), &here, "/run/netns/sockdiag-plain", "-Htl");
    let want = "setting the network namespace \"/run/netns/sockdiag-plain\" failed: Invalid argument\n";
    assert_eq!((ours.ended, ours.stderr), (Ended::Exit(1), want.as_bytes().to_vec()));

    // -p reads the processes of the original mount namespace.
    let theirs = listing(reference.command(), &here, "sockdiag-x", "-Htlnp");
    let ours = listing(Command::new(OURS), &here, &format!("pid:{pid}"), "-Htlnp");
    assert_eq!(ours.stdout, theirs.stdout);
    assert!(String::from_utf8_lossy(&ours.stdout).contains("users:(("), "{ours:?}");
}
