//! Resolves the names of fields that users type.
//!
//! The full name of a field always works.  A shorter one works if it is unambiguous; it is
//! resolved in this order.  A word in the text output means the value after it, whatever else
//! has this name: `minrtt` is `tcp.min_rtt_us`, which `-i` prints that way, and not
//! `vegas.minrtt_us`.  Next comes the part after the dot, with or without its unit (`rtt_us`
//! or `rtt` for `tcp.rtt_us`), and then a member of a list (`pid`).  Among several matches,
//! only fields that sockets of the listed tables can report count.  If several remain, the
//! name is ambiguous, except that the socket's own fields take precedence over those of its
//! surroundings.  Fields of /proc text yield to fields from the kernel with the same word,
//! since the kernel's replies do not contain them.

use std::fmt;

use super::{Catalog, Field, Kind, Needs, Part, Spelling, Unit};
use crate::model::TableSet;

/// Subjects that describe a socket's surroundings, or the data of one congestion control
/// algorithm; the socket's own fields take precedence.
const AROUND: [&str; 14] = [
    "netns",
    "peer",
    "container",
    "pod",
    "unit",
    "listen",
    "bbr",
    "dctcp",
    "vegas",
    "rate",
    "ratio",
    "share",
    "delay",
    "delta",
];

/// The subject of fields that only /proc text has.
const PROC: &str = "proc.";

/// Units that may be omitted from names.
const UNITS: [&str; 5] = ["_bytes_per_s", "_bytes", "_us", "_ms", "_s"];

/// Aliases of fields.
const ALIASES: [(&str, &str); 16] = [
    ("local.address", "local.addr"),
    ("remote.address", "remote.addr"),
    ("process", "socket.processes"),
    ("owner", "socket.user"),
    ("owner.uid", "socket.uid"),
    ("cgroup", "cgroup.path"),
    ("src", "local.addr"),
    ("dst", "remote.addr"),
    ("sport", "local.port"),
    ("dport", "remote.port"),
    ("netns", "netns.title"),
    ("peer", "peer.processes"),
    ("container", "container.title"),
    ("pod", "pod.title"),
    ("unit", "unit.title"),
    ("slice", "unit.slice"),
];

/// The meaning of a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named {
    /// The field.
    pub field: &'static Field,
    /// The index of the member, if the name is that of a member.
    pub member: Option<usize>,
    /// Whether the name omits the unit in the field's name.
    pub without_unit: bool,
}

impl Named {
    /// The type of its values; for a member, of one element's value.
    pub fn kind(&self) -> Kind {
        match self.member.and_then(|at| self.field.kind.members().get(at)) {
            Some(member) => member.kind,
            None => self.field.kind,
        }
    }

    /// The unit of the number.
    pub fn unit(&self) -> Unit {
        match self.member.and_then(|at| self.field.kind.members().get(at)) {
            Some(member) => member.unit,
            None => self.field.unit,
        }
    }

    /// Whether the typed name ends in the unit: `rtt_us`, not `rtt`.
    pub fn says_unit(&self) -> bool {
        !self.without_unit && UNITS.iter().any(|unit| self.field.name.ends_with(unit))
    }

    /// The values that a condition accepts in addition to those of the kind.
    pub fn spelling(&self) -> Option<&'static Spelling> {
        match self.member.and_then(|at| self.field.kind.members().get(at)) {
            Some(member) => member.spelling,
            None => self.field.spelling,
        }
    }

    /// What has to be requested to read it.
    pub fn needs(&self, catalog: &Catalog) -> Needs {
        let needs = catalog.needs_of(self.field.name);
        match self.member.and_then(|at| self.field.kind.members().get(at)) {
            Some(member) => needs.union(member.needs),
            None => needs,
        }
    }
}

/// A name that matches no field or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// No field has this name; some have similar names.
    Unknown {
        /// The name as typed.
        name: String,
        /// Similar names.
        alike: Vec<&'static str>,
    },
    /// Several fields match.
    Ambiguous {
        /// The name as typed.
        name: String,
        /// Their full names.
        fields: Vec<&'static str>,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, .. } if name.is_empty() => {
                f.write_str("the name of a field is missing (is there a comma too many?)")
            }
            Self::Unknown { name, alike } => {
                write!(f, "there is no field \"{}\"", name.escape_debug())?;
                if !alike.is_empty() {
                    write!(f, " (is it {}?)", alike.join(", "))?;
                }
                Ok(())
            }
            Self::Ambiguous { name, fields } => {
                write!(f, "\"{}\" may be {}", name.escape_debug(), fields.join(", "))
            }
        }
    }
}

impl std::error::Error for NameError {}

impl Catalog {
    /// Resolves a name, for all tables.
    ///
    /// # Errors
    /// When the name matches no field or several.
    pub fn named(&self, typed: &str) -> Result<Named, NameError> {
        self.named_of(typed, TableSet::EVERY)
    }

    /// Resolves a name for a listing of these tables.
    ///
    /// # Errors
    /// When the name matches no field, or several that these tables report.
    pub fn named_of(&self, typed: &str, tables: TableSet) -> Result<Named, NameError> {
        self.resolved(typed, tables).map_err(|fields| {
            let name = typed.to_owned();
            if fields.is_empty() {
                NameError::Unknown { name, alike: self.alike(typed) }
            } else {
                let fields = fields.iter().map(|field| field.name).collect();
                NameError::Ambiguous { name, fields }
            }
        })
    }

    /// The same for a word that need not be a name: similar names are not looked for.
    pub(crate) fn find_of(&self, typed: &str, tables: TableSet) -> Option<Named> {
        self.resolved(typed, tables).ok()
    }

    /// Resolves a name; an error has the fields that match, if there are several.
    fn resolved(&self, typed: &str, tables: TableSet) -> Result<Named, Vec<&'static Field>> {
        let name = full_name(typed);
        // Most values of conditions, too, are tried as names.
        if !could_be_name(name) {
            return Err(Vec::new());
        }
        if let Some(field) = self.field(name) {
            return Ok(Named { field, member: None, without_unit: false });
        }
        if let Some((list, member)) = name.rsplit_once('.')
            && let Some(field) = self.list(list)
            && let Some(at) = field.kind.members().iter().position(|known| known.name == member)
        {
            return Ok(Named { field, member: Some(at), without_unit: false });
        }
        // A word of the text keeps its meaning if a unit is appended to it.
        let bare = UNITS.iter().find_map(|unit| name.strip_suffix(unit)).unwrap_or(name);
        let shown = |field: &&'static Field| field.token_words().any(|word| word == bare);
        let ends = self.ending(name, false);
        let ends_as_shown = ends.iter().copied().filter(shown).collect();
        let steps = [self.printed(name, tables), ends_as_shown, ends, self.ending(name, true)];
        // A word that only unlisted tables print is resolved to another field.
        let is_listed = |found: &Vec<&'static Field>| found.iter().any(|field| self.reports(tables, field));
        let skipped = steps.iter().position(is_listed).unwrap_or(0);
        for found in steps.into_iter().skip(skipped) {
            let found = self.reported(found, tables);
            if let Some(field) = preferred(&found) {
                // A name without the unit of time allows values in any unit.
                let without_unit =
                    UNITS.iter().any(|unit| field.name.ends_with(unit)) && !field.name.ends_with(name);
                return Ok(Named { field, member: None, without_unit });
            }
            if !found.is_empty() {
                return Err(found);
            }
        }
        let with_member =
            |field: &&'static Field| field.kind.members().iter().any(|member| member.name == name);
        let mut lists: Vec<&'static Field> = Vec::new();
        for field in self.fields().filter(with_member) {
            if !lists.contains(&field) {
                lists.push(field);
            }
        }
        let lists = self.reported(lists, tables);
        match preferred(&lists) {
            Some(field) => {
                let member = field.kind.members().iter().position(|member| member.name == name);
                Ok(Named { field, member, without_unit: false })
            }
            None => Err(lists),
        }
    }

    /// The fields that sockets of these tables can report; all fields if none of them can be
    /// reported.
    fn reported(&self, found: Vec<&'static Field>, tables: TableSet) -> Vec<&'static Field> {
        if found.len() < 2 {
            return found;
        }
        let reported: Vec<_> = found.iter().copied().filter(|field| self.reports(tables, field)).collect();
        if reported.is_empty() { found } else { reported }
    }

    /// The field with this full or short name, if it has members.
    fn list(&self, name: &str) -> Option<&'static Field> {
        let name = full_name(name);
        let field = self.field(name).or_else(|| preferred(&self.ending(name, false)))?;
        (!field.kind.members().is_empty()).then_some(field)
    }

    /// Fields with this part after the dot, each name once.
    fn ending(&self, name: &str, without_unit: bool) -> Vec<&'static Field> {
        let mut found: Vec<&'static Field> = Vec::new();
        for field in self.fields().filter(|field| !field.name.starts_with(PROC)) {
            let (_, last) = field.name.split_once('.').unwrap_or(("", field.name));
            let last = if without_unit {
                UNITS.iter().find_map(|unit| last.strip_suffix(unit)).unwrap_or(last)
            } else {
                last
            };
            if last == name && !found.contains(&field) {
                found.push(field);
            }
        }
        found
    }

    /// Fields that the text prints after this word for sockets of these tables, or otherwise
    /// of any table, each name once.  If one heads a column, only such fields.
    fn printed(&self, name: &str, tables: TableSet) -> Vec<&'static Field> {
        let of_tables = self.printed_of(name, |part| part.tables.intersects(tables));
        if of_tables.is_empty() { self.printed_of(name, |_| true) } else { of_tables }
    }

    fn printed_of(&self, name: &str, is_asked: impl Fn(&Part) -> bool) -> Vec<&'static Field> {
        let mut found: Vec<&'static Field> = Vec::new();
        let parts = self.descriptions().iter().flat_map(|description| &description.parts);
        for field in parts.filter(|part| is_asked(part)).flat_map(|part| part.fields.iter().copied()) {
            if field.token_words().any(|word| word == name) && !found.contains(&field) {
                found.push(field);
            }
        }
        // Fields of /proc text yield to those of the kernel.
        if found.iter().any(|field| !field.name.starts_with(PROC)) {
            found.retain(|field| !field.name.starts_with(PROC));
        }
        if found.iter().any(|field| field.heads_a_column()) {
            found.retain(|field| field.heads_a_column());
        }
        found
    }

    /// The names most similar to a wrong one; for the name of a subject, its fields.
    fn alike(&self, typed: &str) -> Vec<&'static str> {
        let of_subject = |field: &&Field| field.name.split_once('.').is_some_and(|(of, _)| of == typed);
        let own: Vec<_> = self.fields().filter(of_subject).map(|field| field.name).take(3).collect();
        if !own.is_empty() {
            return own;
        }
        let (subject, last) = typed.rsplit_once('.').unwrap_or(("", typed));
        let most = (last.len() / 3).min(3);
        // It takes at least as many changes as one text is longer than the other.
        let far = |known: &str| {
            if known.len().abs_diff(last.len()) > most { usize::MAX } else { distance(last, known) }
        };
        let mut near: Vec<(usize, &'static str)> = Vec::new();
        for field in self.fields() {
            let (of, end) = field.name.split_once('.').unwrap_or(("", field.name));
            let bare = UNITS.iter().find_map(|unit| end.strip_suffix(unit)).unwrap_or(end);
            let other = usize::from(!subject.is_empty() && subject != of);
            let far = far(end).min(far(bare)).saturating_add(other);
            if far <= most && !near.iter().any(|(_, name)| *name == field.name) {
                near.push((far, field.name));
            }
        }
        let nearest = near.iter().map(|(far, _)| *far).min().unwrap_or(0);
        near.into_iter().filter(|(far, _)| *far == nearest).take(3).map(|(_, name)| name).collect()
    }
}

/// Whether names begin like this word and are made of such characters.
fn could_be_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '.')
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// The full name for an alias; other words unchanged.
fn full_name(word: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word, |(_, name)| name)
}

/// The only field, or the only one that belongs to the socket itself.
fn preferred(found: &[&'static Field]) -> Option<&'static Field> {
    let is_own = |field: &&&'static Field| {
        !field.name.split_once('.').is_some_and(|(subject, _)| AROUND.contains(&subject))
    };
    let mut own = found.iter().filter(is_own);
    match (found, own.next(), own.next()) {
        ([only], ..) => Some(only),
        // Few sockets have a protocol on top of TCP, and few people know the term ULP.
        (_, Some(only), None) if !only.name.starts_with("ulp.") => Some(only),
        _ => None,
    }
}

/// The number of characters that have to change (Levenshtein distance); unlimited for long
/// texts.
pub fn distance(a: &str, b: &str) -> usize {
    if a.len().max(b.len()) > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Table;

    #[test]
    fn short_names_mean_one_thing() {
        let catalog = Catalog::standard();
        for (name, want, member) in [
            ("tcp.rtt_us", "tcp.rtt_us", None),
            ("rtt_us", "tcp.rtt_us", None),
            ("rtt", "tcp.rtt_us", None),
            ("min_rtt", "tcp.min_rtt_us", None),
            ("recv_q", "socket.recv_q", None),
            ("retrans", "tcp.retrans", None),
            ("delivery_rate", "tcp.delivery_rate_bytes_per_s", None),
            ("state", "socket.state", None),
            ("uid", "socket.uid", None),
            ("user", "socket.user", None),
            ("cgroup", "cgroup.path", None),
            ("remote.address", "remote.addr", None),
            ("process", "socket.processes", None),
            ("cwnd", "tcp.snd_cwnd", None),
            ("ssthresh", "tcp.snd_ssthresh", None),
            ("lastsnd", "tcp.last_data_sent_ms", None),
            ("proc.cwnd", "proc.cwnd", None),
            ("pid", "socket.processes", Some("pid")),
            ("comm", "socket.processes", Some("comm")),
            ("unit", "unit.title", None),
            ("container", "container.title", None),
            ("netns", "netns.title", None),
            ("minrtt", "tcp.min_rtt_us", None),
            ("bl", "mem.backlog", None),
            ("backlog", "listen.backlog", None),
            ("inode", "socket.inode", None),
            ("users", "socket.processes", None),
            ("peer.pid", "peer.processes", Some("pid")),
            ("process.user", "socket.processes", Some("user")),
            ("socket.processes.cmdline", "socket.processes", Some("cmdline")),
        ] {
            let named = catalog.named(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            let found = named.member.map(|at| named.field.kind.members()[at].name);
            assert_eq!((named.field.name, found), (want, member), "{name}");
        }
        for (name, without_unit) in [("rtt", true), ("lastsnd", true), ("cwnd", false), ("tcp.rtt_us", false)]
        {
            assert!(catalog.named(name).is_ok_and(|named| named.without_unit == without_unit), "{name}");
        }
    }

    #[test]
    fn the_tables_asked_for_decide_between_several() {
        let catalog = Catalog::standard();
        let tcp = TableSet::only(Table::Tcp);
        for (name, tables, want) in [
            ("bytes_sent", tcp, "tcp.bytes_sent"),
            ("bytes_sent", TableSet::only(Table::Mptcp), "mptcp.bytes_sent"),
            ("sk", tcp, "socket.cookie"),
            ("sk", TableSet::only(Table::Netlink), "netlink.sk"),
            ("name", TableSet::UNIX, "unix.name"),
            ("peers", TableSet::UNIX, "unix.pending"),
            ("protocol", TableSet::PACKET, "packet.protocol"),
            ("rcv_space", TableSet::UNIX, "tcp.rcv_space"),
        ] {
            let named = catalog.named_of(name, tables).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(named.field.name, want, "{name} of {tables:?}");
        }
        for (name, want) in [
            ("bytes_sent", "\"bytes_sent\" may be tcp.bytes_sent, mptcp.bytes_sent"),
            ("sk", "\"sk\" may be socket.cookie, netlink.sk"),
        ] {
            assert_eq!(catalog.named_of(name, TableSet::ALL).unwrap_err().to_string(), want);
        }
        let name = catalog.named_of("name", TableSet::ALL).unwrap_err().to_string();
        assert!(name.contains("unix.name") && name.contains("container.name"), "{name}");
        let name = catalog.named_of("name", tcp).unwrap_err().to_string();
        assert!(name.contains("ulp.name") && name.contains("container.name"), "{name}");
    }

    /// Users may type anything, so every name must be resolved in bounded time.
    #[test]
    fn no_name_is_looked_up_without_end() {
        let catalog = Catalog::standard().without("cgroup.path").without("local.addr");
        for name in ["cgroup", "src", "local.address", "cgroup.pid"] {
            assert!(catalog.named(name).is_err(), "{name}");
        }
        let deep = "processes.".repeat(100_000) + "pid";
        assert!(catalog.named(&deep).is_err());
    }

    #[test]
    fn every_name_could_be_one() {
        for field in Catalog::extended().fields() {
            let members = field.kind.members().iter().map(|member| member.name);
            let ending = field.name.split_once('.').map(|(_, last)| last);
            for name in field.token_words().chain(members).chain(ending).chain([field.name]) {
                assert!(could_be_name(name), "{name}");
            }
        }
        assert!(!could_be_name("42") && !could_be_name("::1") && !could_be_name("/x") && !could_be_name(""));
    }

    #[test]
    fn what_a_name_cannot_mean_is_said() {
        let catalog = Catalog::standard();
        for (name, want) in [
            ("addr", "\"addr\" may be local.addr, remote.addr"),
            ("tcp.rtt", "there is no field \"tcp.rtt\" (is it tcp.rtt_us?)"),
            ("recvq", "there is no field \"recvq\" (is it socket.recv_q?)"),
            ("local", "there is no field \"local\" (is it local.addr, local.interface, local.port?)"),
            ("nothing like it", "there is no field \"nothing like it\""),
            ("", "the name of a field is missing (is there a comma too many?)"),
        ] {
            assert_eq!(catalog.named(name).unwrap_err().to_string(), want, "{name}");
        }
    }
}
