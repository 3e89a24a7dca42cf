//! What each option of the shared table does in `ss`.
//!
//! `sockdiag-options` holds how each option is spelled and its help text.
//!
//! Source: ss(8) of iproute2 7.3.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use sockdiag::model::{Family, StateSet, Table};
use sockdiag::source::Way;
use sockdiag_options::Key;
use sockdiag_render::columns::Shape;

use super::args::{Actions, Args};
use super::exit::{Document, Exit, quoting};
use crate::words::reference;

/// Carries out an option; `argument` is empty if the option takes none.
pub(crate) fn apply(
    key: Key,
    args: &mut Args,
    argument: &OsStr,
    actions: &mut dyn Actions,
) -> Result<(), Exit> {
    match key {
        Key::Help => return Err(Exit::Help),
        Key::Version => return Err(Exit::Version),
        Key::JsonSchema => return Err(Exit::Schema),
        Key::Generate => {
            let names = Document::ALL.map(|(name, _)| name).join(", ");
            let wrong =
                || format!("ss: --generate cannot make {:?}, only {names}", argument.to_string_lossy());
            let document =
                Document::by_name(argument.as_bytes()).ok_or_else(|| Exit::error(Exit::USAGE, wrong()))?;
            return Err(Exit::Generate(document));
        }

        Key::Numeric => args.numeric = true,
        Key::Resolve => args.resolve = true,
        Key::Summary => args.summary = true,
        Key::Events => args.events = true,
        Key::Kill => args.kill = true,
        Key::KillDryRun => args.kill_dry_run = true,
        Key::NoHeader => args.no_header = true,
        Key::NoQueues => args.no_queues = true,
        Key::Oneline => args.oneline = true,
        Key::Explain => args.explain = true,
        Key::Source => {
            let found = Way::NAMED.iter().find(|(name, _)| *argument == **name);
            let wrong = || {
                let names = Way::NAMED.map(|(name, _)| name).join(", ");
                format!("ss: --source cannot be {:?}, only {names}", argument.to_string_lossy())
            };
            args.way = found.ok_or_else(|| Exit::error(Exit::USAGE, wrong()))?.1;
        }
        Key::ExitCode => args.exit_code = true,
        Key::Net => actions.enter_netns(argument)?,
        Key::Netns => args.netns = Some(argument.to_owned()),
        Key::Diag => args.dump_file = Some(argument.to_owned()),
        Key::Filter => filter_file(args, argument, actions)?,

        Key::All => args.selection.request(StateSet::ALL),
        Key::Listening => args.selection.request(StateSet::LISTENING),
        Key::BoundInactive => args.selection.request(StateSet::BOUND_INACTIVE),
        Key::Ipv4 => args.selection.add_family(Family::Inet),
        Key::Ipv6 => args.selection.add_family(Family::Inet6),
        Key::Packet => args.selection.add_family(Family::Packet),
        Key::Unix => args.selection.add_family(Family::Unix),
        Key::Tipc => args.selection.add_family(Family::Tipc),
        Key::Vsock => args.selection.add_family(Family::Vsock),
        Key::Xdp => args.selection.add_family(Family::Xdp),
        Key::Smc => args.selection.add_family(Family::Smc),
        Key::Tcp => args.selection.add_table(Table::Tcp),
        Key::Mptcp => args.selection.add_table(Table::Mptcp),
        Key::Sctp => args.selection.add_table(Table::Sctp),
        Key::Udp => args.selection.add_table(Table::Udp),
        Key::Raw => args.selection.add_table(Table::Raw),
        Key::Dccp => args.selection.add_table(Table::Dccp),
        Key::UdpLite => args.selection.add_table(Table::UdpLite),
        Key::Family => family(args, argument)?,
        Key::Query => {
            args.selection
                .query(argument.as_bytes())
                .map_err(|bad| Exit::usage(reference::bad_table(&bad)))?;
        }

        Key::Options => args.show.options = true,
        Key::Extended => {
            args.show.extended = true;
            args.show.options = true;
        }
        Key::Memory => args.show.memory = true,
        Key::Processes => args.show.processes = true,
        Key::Threads => args.show.threads = true,
        Key::Info => args.show.info = true,
        Key::TipcInfo => args.show.tipcinfo = true,
        Key::Tos => args.show.tos = true,
        Key::Cgroup => args.show.cgroup = true,
        Key::InetSockopt => args.show.inet_sockopt = true,
        Key::Peers => args.show.peers = true,
        Key::Containers => args.show.containers = true,
        Key::Exposure => args.show.exposure = true,
        Key::Bpf => {
            args.show.bpf = true;
            args.show.options = true;
        }
        Key::BpfMaps => {
            if !args.show.bpf_map_ids.is_empty() {
                return Err(Exit::error(Exit::USAGE, BPF_CLASH));
            }
            args.show.bpf_maps = true;
        }
        Key::BpfMapId => bpf_map_id(args, argument, actions)?,
        Key::Context => {
            actions.selinux_check()?;
            args.show.contexts += 1;
        }
        Key::Contexts => {
            actions.selinux_check()?;
            args.show.contexts += 1;
            args.show.socket_contexts += 1;
        }

        Key::Json => args.form.json = true,
        Key::JsonLines => args.form.json_lines = true,
        Key::Pretty => args.form.pretty = true,
        Key::Csv => args.form.separated = Some(Shape::Csv),
        Key::Tsv => args.form.separated = Some(Shape::Tsv),
        Key::Columns => args.form.columns = Some(text(argument)?),
        Key::Sort => args.form.sort = Some(text(argument)?),
        Key::Limit => args.form.limit = Some(limit(argument)?),
        Key::GroupBy => args.form.group_by = Some(text(argument)?),
    }
    Ok(())
}

const BPF_CLASH: &str = "ss: --bpf-maps and --bpf-map-id cannot be used together";

fn bpf_map_id(args: &mut Args, id: &OsStr, actions: &mut dyn Actions) -> Result<(), Exit> {
    if args.show.bpf_maps {
        return Err(Exit::error(1, BPF_CLASH));
    }
    let text = id.as_bytes();
    let id = map_id(text).ok_or_else(|| Exit::error(1, quoting("ss: invalid BPF map ID ", text, "")))?;
    actions.bpf_map(id)?;
    args.show.bpf_map_ids.push(id);
    Ok(())
}

/// An argument that must be a list of names, so it must be UTF-8.
fn text(argument: &OsStr) -> Result<String, Exit> {
    let wrong = || Exit::error(Exit::USAGE, quoting("ss: there is no field \"", argument.as_bytes(), "\""));
    Ok(argument.to_str().ok_or_else(wrong)?.to_owned())
}

fn limit(number: &OsStr) -> Result<u64, Exit> {
    let wrong =
        || Exit::error(Exit::USAGE, quoting("ss: \"", number.as_bytes(), "\" is not a number to limit by"));
    number.to_str().and_then(|number| number.parse().ok()).ok_or_else(wrong)
}

fn family(args: &mut Args, name: &OsStr) -> Result<(), Exit> {
    match name.as_bytes() {
        b"help" => Err(Exit::Help),
        name => {
            let wrong = || Exit::usage(quoting("ss: \"", name, "\" is invalid family"));
            args.selection.add_family(Family::by_name(name).ok_or_else(wrong)?);
            Ok(())
        }
    }
}

fn filter_file(args: &mut Args, name: &OsStr, actions: &mut dyn Actions) -> Result<(), Exit> {
    if args.filter_file.is_some() {
        return Err(Exit::error(Exit::USAGE, "More than one filter file"));
    }
    actions.open_filter_file(name)?;
    args.filter_file = Some(name.to_owned());
    Ok(())
}

/// Reads a map id as `strtoul(text, &end, 0)` does: white space, a sign, a base
/// prefix.  Neither 0 nor 2^32-1 is an id.
fn map_id(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits),
        _ => (10, digits),
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None; // a second sign, which from_str_radix would take
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    let value = if negative { magnitude.wrapping_neg() } else { magnitude };
    u32::try_from(value).ok().filter(|id| !matches!(*id, 0 | u32::MAX))
}

#[cfg(test)]
mod tests {
    use sockdiag_options::{Kind, OPTIONS};

    use super::super::tests::Recorder;
    use super::*;

    /// The compiler checks that every key has an action.  This test checks that the action has
    /// an effect, and that its effect depends on the argument if there is one.
    #[test]
    fn every_option_does_something() {
        for option in OPTIONS {
            let done = |argument: &str| {
                let (mut args, mut recorder) = (Args::default(), Recorder::default());
                let ended = apply(option.key, &mut args, OsStr::new(argument), &mut recorder).err();
                format!("{args:?} {:?} {ended:?}", recorder.log)
            };
            let arguments = match option.argument.map(|argument| argument.kind) {
                None => ["", ""],
                Some(Kind::Number) => ["", "7"],
                Some(Kind::Word(words) | Kind::Words(words)) => [words[0], words[2]],
                Some(_) => ["one", "other"],
            };
            let [one, other] = arguments.map(done);
            assert_ne!(one, format!("{:?} [] None", Args::default()), "{option:?}");
            assert_eq!(one == other, option.argument.is_none(), "{option:?}");
        }
    }
}
