//! Which option shows which group of fields.
//!
//! Invariant: what a listing shows and what the manual says of a field are
//! read from the same row.

use sockdiag::fields::Groups;

use super::Args;

/// A group, the option that shows it as one writes it, and whether it was
/// given; no option asks for what text always shows, or never.
type Row = (Groups, &'static str, fn(&Args) -> bool);

/// In the order in which the manual names options.
const SHOWN_BY: &[Row] = &[
    (Groups::COLUMNS, "always", |_| false),
    (Groups::OPTIONS, "-o", |args| args.show.options),
    (Groups::EXTENDED, "-e", |args| args.show.extended),
    (Groups::MEMORY, "-m", |args| args.show.memory),
    (Groups::INFO, "-i", |args| args.show.info),
    (Groups::PROCESSES, "-p", |args| args.show.processes),
    (Groups::THREADS, "-T", |args| args.show.threads),
    (Groups::BPF, "-b", |args| args.show.bpf),
    (Groups::BPF_MAPS, "--bpf-maps", |args| args.show.bpf_maps || !args.show.bpf_map_ids.is_empty()),
    (Groups::CONTEXT, "-Z", |args| args.show.contexts > 0),
    (Groups::SOCKET_CONTEXT, "-z", |args| args.show.socket_context()),
    (Groups::TOS, "--tos", |args| args.show.tos),
    (Groups::CGROUP, "--cgroup", |args| args.show.cgroup),
    (Groups::SOCKOPT, "--inet-sockopt", |args| args.show.inet_sockopt),
    (Groups::TIPCINFO, "--tipcinfo", |args| args.show.tipcinfo),
    (Groups::NETNS, "--netns", |args| args.netns.is_some()),
    (Groups::PEERS, "--peers", |args| args.show.peers),
    (Groups::CONTAINERS, "--containers", |args| args.show.containers),
    (Groups::EXPOSURE, "--exposure", |args| args.show.exposure),
    (Groups::IDENTITY, "-j", |_| false),
];

/// What the options show.
pub(crate) fn groups(args: &Args) -> Groups {
    let given = SHOWN_BY.iter().filter(|(.., given)| given(args));
    given.fold(Groups::NONE, |groups, (group, ..)| groups.union(*group))
}

/// The options that show a field, `-m, -i`; empty if none does.
pub(crate) fn shown_by(groups: Groups) -> String {
    let rows = SHOWN_BY.iter().filter(|(group, ..)| groups.intersects(*group));
    rows.map(|(_, option, _)| *option).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag::fields::Catalog;

    #[test]
    fn a_group_has_one_row_and_every_field_of_a_group_an_option() {
        for (at, (group, option, _)) in SHOWN_BY.iter().enumerate() {
            let others = SHOWN_BY.iter().skip(at + 1);
            assert!(others.clone().all(|(other, ..)| !group.intersects(*other)), "{option}");
            assert!(others.clone().all(|(_, other, _)| option != other), "{option}");
        }
        for field in Catalog::standard().fields() {
            assert!(field.groups == Groups::NONE || !shown_by(field.groups).is_empty(), "{}", field.name);
        }
    }
}
