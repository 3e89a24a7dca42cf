//! One walk reports the same sockets for several namespaces as a dump in each of them.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use sockdiag_testkit::netns::Namespace;

use super::super::pass::tests::{Held, compare_with_dumps, dumped_bytes, is_refused};
use super::*;
use crate::model::{StateSet, Table};
use crate::sys::netns;
use crate::sys::opener::{Opener, Worker};

fn query(states: StateSet) -> Query {
    Query { states, ..Query::of(Table::Tcp) }
}

#[test]
fn each_namespace_is_told_what_its_dump_would_tell() {
    let Some((first, _)) = Namespace::to_look_into() else { return };
    let second = Namespace::new().unwrap_or_else(|why| panic!("{why}"));
    // Without TIME-WAIT, whose messages contain a countdown.
    let states = StateSet::ALL.minus(StateSet::only(crate::model::State::TimeWait));
    let held: Vec<_> = [(&first, 160), (&second, 80)]
        .into_iter()
        .map(|(namespace, connections)| {
            let work = move || (Held::some(connections), dumped_bytes(states));
            (namespace, namespace.with(work).expect("a namespace that was made"))
        })
        .collect();
    let inodes: Vec<u64> = held.iter().map(|(namespace, _)| namespace.inode().expect("an inode")).collect();
    let mut with_home = inodes.clone();
    with_home.extend(netns::inode());
    // Room for all namespaces, for one, for none.
    for most in [MOST, 20_000, 100] {
        let mut home = Access::here();
        let shares = match ahead_with(&query(states), &with_home, &mut home, most) {
            Ok(shares) => shares,
            Err(why) => {
                is_refused(&why);
                return;
            }
        };
        assert_eq!(shares.len(), with_home.len(), "{most}");
        // In the order of the visits, and again in reverse.
        let all = || held.iter().zip(&inodes);
        for ((_, (_, want)), inode) in all().chain(all().rev()) {
            let share = shares.iter().find(|(of, _)| of == inode).map(|(_, share)| share);
            let mut got: Vec<Vec<u8>> = Vec::new();
            let mut take = |message: &[u8], _| {
                got.push(message.to_vec());
                ControlFlow::Continue(())
            };
            let told = share.expect("a share").tell(&query(states), &mut home, &mut take);
            assert!(matches!(told, Ok(true)), "{most}: {told:?}");
            let got: Vec<&[u8]> = got.iter().map(Vec::as_slice).collect();
            let want: Vec<&[u8]> = want.iter().map(Vec::as_slice).collect();
            assert_eq!(got.len(), want.len(), "{most} {inode} {inodes:?}");
            assert!(got == want, "{most}");
        }
    }
}

/// Established sockets of such a namespace are only in its own table.
#[test]
fn a_table_of_a_namespace_s_own_is_walked_from_inside_and_left_to_a_dump_from_outside() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    if let Err(why) = namespace.sysctl("net/ipv4/tcp_child_ehash_entries", "16") {
        sockdiag_testkit::skip!("no tables of a namespace's own here: {why}");
    }
    let mut command = namespace.command("unshare");
    command.args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else { sockdiag_testkit::skip!("no unshare(1)") };
    let mut ready = [0; 6];
    let read = child.stdout.as_mut().map(|out| out.read_exact(&mut ready));
    if !matches!(read, Some(Ok(()))) {
        let _ = child.wait();
        sockdiag_testkit::skip!("no unshare(1) or no ip(8)");
    }
    let door = format!("/proc/{}/ns/net", child.id());
    let inode = std::fs::metadata(&door).expect("a namespace").ino();
    let inodes = [inode, namespace.inode().expect("an inode")];
    let shares = ahead(&query(StateSet::ALL), &inodes, &mut Access::here());
    let inside = Opener::away(vec![door.into()], inode, &Worker::default());
    let compared = inside.run(|| compare_with_dumps(400));
    drop(child.stdin.take());
    child.wait().expect("our child");
    match shares {
        Ok(shares) => assert_eq!(shares.iter().map(|(of, _)| *of).collect::<Vec<_>>(), [inodes[1]]),
        Err(why) => is_refused(&why),
    }
    compared.expect("a namespace that may be entered");
}
