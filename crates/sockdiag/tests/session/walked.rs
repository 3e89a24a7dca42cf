//! Looks by a walk of the kernel's tables: they report the same as dumps, and are chosen
//! for many sockets, from the second look on.

use sockdiag::notice::Notice;
use sockdiag::source::{Sources, Way};
use sockdiag::{Frame, Observer, Seen, Sockets, Table};
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::{skip, until};

use super::stay::{look, names, sockets};
use super::within;

/// A question about TCP sockets, read in one way, which a notice names.
fn question(way: Way, names: &[&'static str]) -> Sockets {
    let sources = Sources { way, tells_way: true, ..Sources::default() };
    Sockets::of(&[Table::Tcp]).reading(names.iter().copied()).sources(sources)
}

fn observer(question: &Sockets) -> Observer {
    Observer::new(question.open().expect("a question"))
}

/// How many sockets a walk reported, and how many of these were looked up.
fn walked(frame: &Frame) -> Option<(u64, u64)> {
    frame.notices.iter().find_map(|notice| match notice {
        Notice::Walked { sockets, looked_up } => Some((*sockets, *looked_up)),
        _ => None,
    })
}

/// Why there was no walk.
fn refused(frame: &Frame) -> Option<String> {
    let notices = frame.notices.iter();
    notices.filter(|notice| matches!(notice, Notice::NotWalked { .. })).map(ToString::to_string).next()
}

#[test]
fn walks_tell_what_dumps_tell() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let names = names();
        let mut made = sockets();
        // Until delayed acknowledgements were sent.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let [mut walks, mut dumps] = [Way::Walk, Way::Netlink].map(|way| observer(&question(way, &names)));
        let first = look(&mut walks, &names);
        if let Some(why) = refused(&first.0) {
            skip!("no walk: {why}");
        }
        first.1.assert_is(&look(&mut dumps, &names).1);
        // All sockets have cookies now, except new ones: only these are looked up.
        let ended = made.ends.drain(2..4).count() as u64;
        let more = sockets();
        let (mut opened, mut closed) = (0, 0);
        assert!(until(|| {
            let (frame, facts) = look(&mut walks, &names);
            let (sockets, _) = walked(&frame).expect("it walks every time");
            assert_eq!(sockets, facts.rows.values().filter(|(seen, _)| *seen != Seen::Closed).count() as u64);
            (opened, closed) = (opened + frame.opened, closed + frame.closed);
            closed == ended
        }));
        assert_eq!(opened, more.ends.len() as u64);
        std::thread::sleep(std::time::Duration::from_millis(500));
        let _ = look(&mut dumps, &names);
        let (frame, facts) = look(&mut walks, &names);
        let (_, looked_up) = walked(&frame).expect("it walks every time");
        assert!(looked_up < 70, "{looked_up} of those that are known were looked up");
        facts.assert_is(&look(&mut dumps, &names).1);
    });
}

#[test]
fn many_sockets_are_walked_once_they_have_cookies() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let _many = Holder::start(&namespace, 13_000, 0).unwrap_or_else(|why| panic!("{why}"));
    within(&namespace, || {
        let names = ["local.addr", "remote.port", "tcp.bytes_sent", "recv_q"];
        let mut observer = observer(&question(Way::Best, &names));
        let (first, dump) = look(&mut observer, &names);
        assert!(first.sockets > 25_000 && walked(&first).is_none(), "{first:?}");
        let (second, walk) = look(&mut observer, &names);
        if let Some(why) = refused(&second) {
            skip!("no walk: {why}");
        }
        let (sockets, looked_up) = walked(&second).expect("it is walked");
        println!("{sockets} sockets walked, {looked_up} looked up");
        assert_eq!((sockets, second.opened, second.closed), (first.sockets, 0, 0));
        assert!(looked_up < 100, "{looked_up}");
        walk.assert_is(&dump);
        // Another look, without loading anything.
        let (third, again) = look(&mut observer, &names);
        assert!(walked(&third).is_some());
        again.assert_is(&dump);
    });
}

#[test]
fn one_walk_tells_what_dumps_in_several_namespaces_tell() {
    let Some((first, one)) = Namespace::to_look_into() else { return };
    let Some((second, two)) = Namespace::to_look_into() else { return };
    let names = names();
    let mut made = [&first, &second].map(|namespace| within(namespace, sockets));
    let words = format!("{one},{two}");
    let [mut walks, mut dumps] =
        [Way::Walk, Way::Netlink].map(|way| observer(&question(way, &names).netns(&words)));
    // The first look assigns cookies.
    let _ = (look(&mut walks, &names), look(&mut dumps, &names));
    std::thread::sleep(std::time::Duration::from_millis(500));
    for _ in 0..3 {
        let (frame, walk) = look(&mut walks, &names);
        if let Some(why) = refused(&frame) {
            skip!("no walk: {why}");
        }
        walk.assert_is(&look(&mut dumps, &names).1);
    }
    // Closed sockets are reported, whichever namespace they were in.
    let ended: usize = made.iter_mut().map(|made| made.ends.drain(2..4).count()).sum();
    let mut closed = 0;
    assert!(until(|| {
        closed += look(&mut walks, &names).0.closed;
        closed == ended as u64
    }));
}
