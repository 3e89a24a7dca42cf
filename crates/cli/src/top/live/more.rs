//! Everything about one socket and its other end, looked up separately: finding the holders
//! and containers of all sockets would be too expensive.

use std::ffi::OsString;
use std::ops::ControlFlow;

use sockdiag::fields::Groups;
use sockdiag::model::StateSet;
use sockdiag::{Row, Sockets, Table, Value};
use sockdiag_screen::{Detail, Id, More, Told};

use crate::doctor::rounds::Answer;

/// The doctor's findings about a socket.
pub(super) fn found(found: Answer, id: Id) -> Result<Vec<Told>, String> {
    let known = found?;
    let told = known.of(id.netns, id.cookie).map(|finding| Told {
        id: sockdiag_screen::clean(&finding.id),
        severity: finding.severity.word(),
        says: sockdiag_screen::clean(&finding.sentence),
        next: sockdiag_screen::clean(&finding.next),
    });
    Ok(told.collect())
}

/// Looks up a socket and its other end, in the namespaces `netns`.
pub(super) fn more(table: Table, id: Id, netns: Option<&OsString>) -> More {
    let asked = |filter: String| {
        let sockets = Sockets::of(&[table])
            .states(StateSet::ALL)
            .filter(filter)
            .reading_groups(Groups::INFO.union(Groups::MEMORY))
            .with_processes()
            .with_containers();
        match netns {
            None => sockets,
            Some(words) => sockets.netns(words),
        }
    };
    let netns_of = |row: &Row<'_>| row.names.netns.map_or(0, |netns| netns.inode);
    let number = |row: &Row<'_>, name: &str| match row.value(name) {
        Some(Value::U64(number)) => number,
        _ => 0,
    };
    let mut more = More { id, ..More::default() };
    let (mut peer, mut is_connected) = (None, false);
    let own = asked(format!("socket.cookie = {:#x}", id.cookie)).with_peers();
    let outcome = own.each(|row| {
        if row.cookie() != Some(id.cookie) || netns_of(row) != id.netns {
            return ControlFlow::Continue(());
        }
        more.own = Detail::of(id, row).fields;
        is_connected = number(row, "remote.port") != 0;
        peer = Some((number(row, "peer.inode"), number(row, "peer.netns_inode")))
            .filter(|(inode, _)| *inode != 0);
        ControlFlow::Break(())
    });
    if let Err(error) = outcome {
        more.said = format!("cannot look up details: {error}");
        return more;
    }
    let Some((inode, netns_inode)) = peer else {
        if is_connected {
            "the peer is not in the selected network namespaces (--netns)".clone_into(&mut more.said);
        }
        return more;
    };
    let outcome = asked(format!("socket.inode = {inode}")).each(|row| {
        if number(row, "socket.inode") != inode || (netns_inode != 0 && netns_of(row) != netns_inode) {
            return ControlFlow::Continue(());
        }
        more.peer = Detail::of(id, row).fields;
        ControlFlow::Break(())
    });
    if let Err(error) = outcome {
        more.said = format!("cannot look up the peer: {error}");
    } else if more.peer.is_empty() {
        "the peer is gone".clone_into(&mut more.said);
    }
    more
}
