//! Which option shows which group of fields.
//!
//! Invariant: the listing and the manual read this from the same row.

use sockdiag::fields::Groups;
use sockdiag_options::{Key, option};

use super::Args;

/// A group, the option that shows it, and whether the option was given; no option for groups
/// that text output shows always or never.
type Row = (Groups, Option<Key>, fn(&Args) -> bool);

/// In the order in which the manual lists options.
const SHOWN_BY: &[Row] = &[
    (Groups::COLUMNS, None, |_| false),
    (Groups::OPTIONS, Some(Key::Options), |args| args.show.options),
    (Groups::EXTENDED, Some(Key::Extended), |args| args.show.extended),
    (Groups::MEMORY, Some(Key::Memory), |args| args.show.memory),
    (Groups::INFO, Some(Key::Info), |args| args.show.info),
    (Groups::PROCESSES, Some(Key::Processes), |args| args.show.processes),
    (Groups::THREADS, Some(Key::Threads), |args| args.show.threads),
    (Groups::BPF, Some(Key::Bpf), |args| args.show.bpf),
    (Groups::BPF_MAPS, Some(Key::BpfMaps), |args| args.show.bpf_maps || !args.show.bpf_map_ids.is_empty()),
    (Groups::CONTEXT, Some(Key::Context), |args| args.show.contexts > 0),
    (Groups::SOCKET_CONTEXT, Some(Key::Contexts), |args| args.show.socket_context()),
    (Groups::TOS, Some(Key::Tos), |args| args.show.tos),
    (Groups::CGROUP, Some(Key::Cgroup), |args| args.show.cgroup),
    (Groups::SOCKOPT, Some(Key::InetSockopt), |args| args.show.inet_sockopt),
    (Groups::TIPCINFO, Some(Key::TipcInfo), |args| args.show.tipcinfo),
    (Groups::NETNS, Some(Key::Netns), |args| args.netns.is_some()),
    (Groups::PEERS, Some(Key::Peers), |args| args.show.peers),
    (Groups::CONTAINERS, Some(Key::Containers), |args| args.show.containers),
    (Groups::EXPOSURE, Some(Key::Exposure), |args| args.show.exposure),
    (Groups::IDENTITY, Some(Key::Json), |_| false),
];

/// The groups that the given options show.
pub(crate) fn groups(args: &Args) -> Groups {
    let given = SHOWN_BY.iter().filter(|(.., given)| given(args));
    given.fold(Groups::NONE, |groups, (group, ..)| groups.union(*group))
}

/// The options that show a field, such as `-m, -i`; empty if none does.
pub(crate) fn shown_by(groups: Groups) -> String {
    let rows = SHOWN_BY.iter().filter(|(group, ..)| groups.intersects(*group));
    rows.map(|(_, key, _)| key.map_or_else(|| "always".to_owned(), spelling)).collect::<Vec<_>>().join(", ")
}

/// The preferred spelling of an option: its letter, if it has one.
fn spelling(key: Key) -> String {
    let option = option(key);
    let long = || option.long.first().map_or_else(String::new, |name| format!("--{name}"));
    option.short.chars().next().map_or_else(long, |letter| format!("-{letter}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag::fields::Catalog;

    #[test]
    fn a_group_has_one_row_and_every_field_of_a_group_an_option() {
        for (at, (group, option, _)) in SHOWN_BY.iter().enumerate() {
            let others = SHOWN_BY.iter().skip(at + 1);
            assert!(others.clone().all(|(other, ..)| !group.intersects(*other)), "{option:?}");
            assert!(others.clone().all(|(_, other, _)| option != other), "{option:?}");
        }
        for field in Catalog::standard().fields() {
            assert!(field.groups == Groups::NONE || !shown_by(field.groups).is_empty(), "{}", field.name);
        }
    }
}
