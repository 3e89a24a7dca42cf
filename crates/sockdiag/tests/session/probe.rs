//! A probe finds listeners wherever they are bound, and nothing else.

use sockdiag::{Probe, Sockets, StateSet, Table};
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::netns::Namespace;

use super::{connection, within};

fn listeners(filter: &str) -> Sockets {
    Sockets::of(&[Table::Tcp]).states(StateSet::LISTENING).filter(filter)
}

fn probe(filter: &str) -> Option<Probe> {
    listeners(filter).open().expect("a question").probe()
}

#[test]
fn a_listener_is_found_at_any_address_of_the_namespace() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        for address in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"] {
            let listener = Listener::bind(format!("{address}:0")).expect("lo is up");
            let port = listener.local_addr().expect("it is bound").port();
            let mut probe = probe(&format!("sport = :{port}")).expect("one port");
            assert_eq!(probe.finds(), Some(true), "{address}");
            assert_eq!(probe.finds(), Some(true), "{address}, once more");
            drop(listener);
            assert_eq!(probe.finds(), Some(false), "{address}, closed");
        }
    });
}

#[test]
fn a_connection_is_no_listener() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let (listener, client, server) = connection();
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let mut probe = probe(&format!("sport = :{port}")).expect("one port");
        assert_eq!(probe.finds(), Some(false));
        drop((client, server));
    });
}

#[test]
fn what_is_more_than_one_port_is_not_probed() {
    for filter in ["", "sport = :1 or sport = :2", "dport = :1", "sport > :1000"] {
        assert!(probe(filter).is_none(), "{filter}");
    }
    assert!(probe("sport = :1 and rtt > 5ms").is_some());
    let other = |sockets: Sockets| sockets.filter("sport = :1").open().expect("a question").probe();
    assert!(other(Sockets::of(&[Table::Udp]).states(StateSet::LISTENING)).is_none(), "UDP");
    assert!(other(Sockets::of(&[Table::Tcp])).is_none(), "connections");
}
