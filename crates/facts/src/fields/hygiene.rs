//! Tests of rules that every field has to follow so that programs can use the table.

use std::collections::{HashMap, HashSet};

use sockdiag_wire::registry::LAYOUTS;

use super::*;

/// Every field, each name once.
fn rows() -> Vec<&'static Field> {
    let mut seen = HashSet::new();
    Catalog::shared().fields().filter(|field| seen.insert(field.name)).collect()
}

/// The common parts of a field and a member of a record.
struct Described {
    name: String,
    kind: Kind,
    unit: Unit,
    doc: &'static str,
}

/// Every field, and every member of records.
fn described() -> Vec<Described> {
    let mut all = Vec::new();
    for row in rows() {
        all.push(Described { name: row.name.to_owned(), kind: row.kind, unit: row.unit, doc: row.doc });
        all.extend(row.kind.members().iter().map(|member| Described {
            name: format!("{}.{}", row.name, member.name),
            kind: member.kind,
            unit: member.unit,
            doc: member.doc,
        }));
    }
    all
}

#[test]
fn layouts_that_share_a_row_mean_the_same() {
    let mut names: HashMap<&str, &Field> = HashMap::new();
    for field in Catalog::shared().fields() {
        let first = names.entry(field.name).or_insert(field);
        let facts = |field: &Field| (field.doc, field.source, field.kind, field.unit, field.metric);
        assert_eq!(facts(first), facts(field), "{} means two things", field.name);
    }
    assert!(names.len() > 300, "{} rows", names.len());
}

#[test]
fn names_are_lower_case_and_docs_are_sentences() {
    for Described { name, doc, .. } in described() {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte);
        assert!(name.bytes().all(is_plain), "{name}");
        assert!(doc.starts_with(char::is_uppercase) && doc.ends_with('.'), "{name}: {doc}");
        assert!(!doc.contains(".."), "{name}: {doc}");
    }
    for row in rows() {
        assert!(!row.source.is_empty(), "{} has no source", row.name);
    }
}

#[test]
fn the_unit_stands_last_in_the_name() {
    for Described { name, unit, .. } in described() {
        let suffixes = [
            ("_bytes_per_s", Unit::BytesPerSecond),
            ("_bytes", Unit::Bytes),
            ("_us", Unit::Microseconds),
            ("_ms", Unit::Milliseconds),
            ("_s", Unit::Seconds),
            ("_ticks", Unit::Ticks),
        ];
        // An error has the same unit as its value.
        let name = name.strip_suffix("_error").unwrap_or(&name);
        let said = suffixes.iter().find(|(suffix, _)| name.ends_with(suffix)).map(|(_, unit)| *unit);
        // Rates per second.
        let said = match name.strip_suffix("_per_s") {
            Some(rest) if rest.contains("bytes") => Some(Unit::BytesPerSecond),
            Some(_) => Some(Unit::PacketsPerSecond),
            None => said,
        };
        // The unit "bytes" may occur anywhere in a name; times and rates must be at its end.
        let per_second = matches!(unit, Unit::BytesPerSecond | Unit::PacketsPerSecond);
        let must = unit.is_time() || per_second || unit == Unit::Ticks;
        assert!(said == Some(unit) || said.is_none() && !must, "{name} counts {unit:?}");
    }
}

#[test]
fn amounts_have_a_unit_and_nothing_else_has() {
    for row in rows() {
        let is_amount = matches!(row.metric, Metric::Gauge | Metric::Counter);
        assert_eq!(is_amount, row.unit != Unit::None, "{}: {:?} of {:?}", row.name, row.metric, row.unit);
        if is_amount {
            let counts = matches!(row.kind, Kind::Int(_) | Kind::Ratio) || row.kind.is_list();
            assert!(counts, "{}: {:?} is no amount", row.name, row.kind);
        }
        if row.metric == Metric::Counter {
            assert!(matches!(row.kind, Kind::Int(Int { signed: false, .. })), "{}: no width", row.name);
        }
    }
}

#[test]
fn what_is_one_of_a_few_is_no_amount() {
    for row in rows() {
        let is_state = matches!(row.kind, Kind::Enum(..) | Kind::Flags(..) | Kind::EnumText(_) | Kind::Bool);
        let may_be = matches!(row.metric, Metric::Info | Metric::State);
        assert!(!is_state || may_be, "{}: {:?}", row.name, row.metric);
        assert!(row.metric != Metric::State || is_state, "{}: which states has it?", row.name);
    }
    for name in ["tcp.ca_state", "tcp.fastopen_client_fail", "socket.state", "timer.kind", "tcp.ecn_mode"] {
        let row = Catalog::shared().field(name).expect("a row");
        assert_eq!(row.metric, Metric::State, "{name}");
        assert!(!row.kind.words().is_empty(), "{name}");
    }
}

/// Words that occur only at the beginning, the end or in the description of counters.
const CUMULATIVE_STARTS: &[&str] = &["bytes_", "segs_", "data_segs_", "total_", "delivered", "received_"];
const CUMULATIVE_ENDS: &[&str] =
    &["_dropped", "drops", "_dups", "_wrap", "_time_us", "_limited_us", "packets", "chunks", "sacks"];
const CUMULATIVE_DOCS: &[&str] = &[
    "since the start",
    "Packets dropped",
    "Messages dropped",
    "Times that",
    "wraparounds",
    "Bytes sent,",
    "Bytes retransmitted",
    "Bytes received",
    "delivered to the peer",
    "Segments sent,",
    "Segments received",
    "Packets sent.",
    "Packets received.",
    "chunks sent.",
    "chunks received.",
    "acknowledgements sent.",
    "acknowledgements received.",
    "events detected",
    "reported by the peer (DSACK)",
    "received out of order",
];
/// Words in descriptions of amounts at one instant, despite the words above.
const INSTANT_DOCS: &[&str] = &["not yet", "Recent", "Time since", "Memory of", "Size of", "Whether"];

#[test]
fn a_number_that_only_goes_up_is_a_counter() {
    let mut counters = 0;
    for row in rows() {
        let (_, last) = row.name.split_once('.').unwrap_or(("", row.name));
        let is_cumulative = CUMULATIVE_STARTS.iter().any(|start| last.starts_with(start))
            || CUMULATIVE_ENDS.iter().any(|end| last.ends_with(end))
            || CUMULATIVE_DOCS.iter().any(|doc| row.doc.contains(doc));
        let is_instant = INSTANT_DOCS.iter().any(|doc| row.doc.contains(doc));
        if is_cumulative && !is_instant && matches!(row.kind, Kind::Int(_)) {
            assert_eq!(row.metric, Metric::Counter, "{}: {}", row.name, row.doc);
        }
        counters += usize::from(row.metric == Metric::Counter);
    }
    assert!(counters > 60, "{counters} counters");
    for name in ["mptcp.bytes_sent", "mptcp.bytes_received", "mptcp.bytes_acked", "mptcp.bytes_retrans"] {
        assert_eq!(Catalog::shared().field(name).map(|row| row.metric), Some(Metric::Counter), "{name}");
    }
}

/// The number of bits of the kernel's member with this name; `None` if there is no such
/// member, or several of different size.
fn member_bits(name: &str) -> Option<u32> {
    let members = LAYOUTS.iter().flat_map(|layout| layout.members);
    let mut sizes: Vec<usize> =
        members.filter(|member| member.name == name).map(|member| 8 * member.size).collect();
    sizes.dedup();
    match sizes.as_slice() {
        [bits] => u32::try_from(*bits).ok(),
        _ => None,
    }
}

/// Counters that are not members of a structure with a layout: words of an array, and
/// attributes.
const OUTSIDE: &[(&str, u8)] = &[("mem.drops", 32), ("tipc.drops", 32)];

/// Fields that are wider than the member they are named after, because another source has
/// wider numbers.
const WIDER: &[(&str, u32, &str)] = &[
    ("local.port", 32, "ports of vsock"),
    ("remote.port", 32, "ports of vsock"),
    ("timer.retrans", 32, "/proc/net/tcp"),
    ("netlink.protocol", 32, "/proc/net/netlink"),
];

#[test]
fn numbers_are_as_wide_as_the_kernel_s() {
    let (mut compared, mut counters) = (0, 0);
    for row in rows() {
        let Some(int) = row.kind.int().filter(|_| !row.kind.is_list()) else { continue };
        // The width is only checked for fields that are read from a single member.
        let bits = member_bits(row.source);
        if let Some(bits) = bits {
            let wider = WIDER.iter().find(|(name, ..)| *name == row.name);
            let want = wider.map_or(bits, |(_, bits, _)| *bits);
            assert_eq!(u32::from(int.bits), want, "{} is {}", row.name, row.source);
            assert!(wider.is_none() || want > bits, "{} is no wider", row.name);
            compared += 1;
        }
        if row.metric == Metric::Counter {
            let outside = OUTSIDE.iter().find(|(name, _)| *name == row.name).map(|(_, bits)| *bits);
            assert!(bits.is_some() || outside == Some(int.bits), "{}: how wide is it?", row.name);
            counters += 1;
        }
    }
    assert!(compared > 180 && counters > 60, "{compared} numbers, {counters} counters compared");
    for (name, bits) in [("tcp.segs_out", 32), ("tcp.bytes_acked", 64), ("tcp.total_rto", 16)] {
        let row = Catalog::shared().field(name).expect("a row");
        assert_eq!(row.kind, Kind::Int(Int { signed: false, bits }), "{name}");
    }
}

#[test]
fn words_are_unique_and_fit_their_numbers() {
    for Described { name, kind, .. } in described() {
        let words = kind.words();
        let names: HashSet<String> = words.iter().map(|word| word.name().to_ascii_lowercase()).collect();
        assert_eq!(names.len(), words.len(), "{name}: a word is there twice");
        for word in words {
            for spelling in word.spellings() {
                assert!(!spelling.is_empty() && !spelling.contains(char::is_whitespace), "{name}: {word:?}");
                // A spelling must not take another word's own name.
                let found = kind.word(spelling.as_bytes()).expect("its own spelling");
                assert!(found == word || found.name().eq_ignore_ascii_case(spelling), "{name}: {spelling}");
            }
        }
        let numbers: Vec<u32> = words.iter().filter_map(|word| word.number).collect();
        let unique: HashSet<u32> = numbers.iter().copied().collect();
        assert_eq!(unique.len(), numbers.len(), "{name}: a number is there twice");
        if let Some(int) = kind.int() {
            assert_eq!(numbers.len(), words.len(), "{name}: a word has no number");
            assert!(numbers.iter().all(|number| i128::from(*number) <= int.max()), "{name}");
        }
        if matches!(kind, Kind::Flags(..)) {
            assert!(numbers.iter().all(|mask| mask.is_power_of_two()), "{name}: a flag is one bit");
        }
        let is_list_of_words = matches!(kind, Kind::Enum(..) | Kind::EnumText(_));
        assert!(!is_list_of_words || !words.is_empty(), "{name}: which words?");
    }
}

#[test]
fn special_numbers_are_in_range() {
    let mut special = 0;
    for row in Catalog::shared().fields() {
        for number in [row.none_number(), row.unlimited_number()].into_iter().flatten() {
            let int = row.kind.int().unwrap_or_else(|| panic!("{} is no number", row.name));
            assert!((int.min()..=int.max()).contains(&number), "{}: {number}", row.name);
            special += 1;
        }
        let (none, unlimited) = (row.none_number(), row.unlimited_number());
        assert!(none.is_none() || none != unlimited, "{}", row.name);
    }
    assert!(special > 20, "{special} special numbers");
    let number =
        |name: &str, of: fn(&Field) -> Option<i128>| of(Catalog::shared().field(name).expect("a row"));
    for (name, want) in [
        ("tcp.pacing_rate_bytes_per_s", u64::MAX.into()),
        ("tcp.snd_ssthresh", 0x7fff_ffff),
        ("proc.ssthresh", -1),
        ("sctp.autoclose_s", 0),
    ] {
        assert_eq!(number(name, Field::unlimited_number), Some(want), "{name}");
    }
    for (name, want) in [
        ("tcp.min_rtt_us", u32::MAX.into()),
        ("tcp.rcv_rtt_us", 0),
        ("local.interface", 0),
        ("socket.mark", 0),
    ] {
        assert_eq!(number(name, Field::none_number), Some(want), "{name}");
    }
}
