//! What the screen shows at the start, from the command line and the presets.

use std::collections::HashSet;

use clap::ArgMatches;
use sockdiag::fields::{Catalog, Field, Groups, Needs};
use sockdiag::model::Selected;
use sockdiag_screen::{CHOSEN, COUNT, GroupBy, Preset, View};

use crate::end::End;
use crate::options::Asked;
use crate::over_time;
use crate::top::preset::{self, PRESETS};

/// The groupings, with their fields.
const GROUPS: [(&str, &str); 10] = [
    ("process", "comm"),
    ("process id", "comm,pid"),
    ("remote address", "remote.addr"),
    ("remote network", "remote.addr/24"),
    ("local port", "local.port"),
    ("state", "state"),
    ("container", "container"),
    ("unit", "unit"),
    ("namespace", "netns.title"),
    ("process and state", "comm,state"),
];

/// Values that a dump includes at little cost, so that details have them and other presets
/// need no new session.
pub(super) fn cheap() -> Needs {
    let groups = Groups::INFO.union(Groups::MEMORY);
    let counters = PRESETS.iter().map(|preset| preset.fields).chain([SERIES]);
    let needs = |names: &str| {
        names.split(',').fold(Needs::NONE, |needs, name| {
            let named =
                Catalog::shared().named_of(name, sockdiag::model::TableSet::of(&[sockdiag::Table::Tcp]));
            named.map_or(needs, |named| needs.union(named.needs(Catalog::shared())))
        })
    };
    let presets = counters.fold(Catalog::shared().needs(groups), |all, names| all.union(needs(names)));
    presets.minus(Needs::PROCESSES).minus(Needs::FINDINGS)
}

/// The column for the process, short enough for a screen.
const LIVE_WHO: &str = "comm,pid";

/// Further fields that are kept to draw their history.
const SERIES: &str = "goodput_bytes_per_s,rate.retrans_per_s,age_ms";

/// The initial view from the command line.
pub(super) fn view(matches: &ArgMatches, asked: &Asked, selected: &Selected) -> Result<View, End> {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let names = |names: &str| -> Result<Vec<String>, End> {
        Ok(over_time::choices(names, selected)?.iter().map(|choice| choice.full_name()).collect())
    };
    let order = |sort: &str| -> Result<Option<(String, bool)>, End> {
        // The screen sorts by only one column, the first.
        let first = sort.split(',').next().unwrap_or_default();
        let (name, down) = first.strip_prefix('-').map_or((first, false), |name| (name, true));
        if text("group-by").is_some() && name == COUNT {
            return Ok(Some((COUNT.to_owned(), down)));
        }
        Ok(names(name)?.into_iter().next().map(|name| (name, down)))
    };
    let mut presets = Vec::new();
    for preset in PRESETS {
        presets.push(Preset {
            name: preset.name.to_owned(),
            columns: names(&preset::columns_of(preset, asked, LIVE_WHO))?,
            sort: order(preset.sort)?,
            last: match preset.last {
                // Sockets without this field have no measurement that could be out of date.
                Some((name, most)) => names(name)?.into_iter().next().zip(Some(most)),
                None => None,
            },
        });
    }
    let shown = preset::preset(text("preset"), selected).map(|preset| preset.name);
    let mut at = presets.iter().position(|preset| Some(preset.name.as_str()) == shown).unwrap_or(0);
    if let Some(columns) = text("columns") {
        let columns = columns.split(',').map(|name| name.trim_matches(' '));
        // Totals of groups may be named here; use the field inside the parentheses.
        let bare =
            columns.map(|name| name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')')));
        // Each group shows its count anyway.
        let is_grouped = text("group-by").is_some();
        let bare: Vec<&str> = bare.filter(|name| !is_grouped || *name != COUNT).collect();
        let columns = if bare.is_empty() { Vec::new() } else { names(&bare.join(","))? };
        let sort = bare.is_empty().then(|| (COUNT.to_owned(), true));
        at = presets.len();
        presets.push(Preset { name: CHOSEN.to_owned(), columns, sort, last: None });
    }
    if let (Some(sort), Some(preset)) = (text("sort"), presets.get_mut(at)) {
        preset.sort = order(sort)?;
    }
    let mut groups = Vec::new();
    if let Some(by) = text("group-by") {
        groups.push(GroupBy { title: by.to_owned(), columns: names(by)? });
    }
    let grouped = (!groups.is_empty()).then_some(0);
    for (title, fields) in GROUPS {
        if fields == preset::NETNS && asked.netns.is_none() {
            continue;
        }
        groups.push(GroupBy { title: title.to_owned(), columns: names(fields)? });
    }
    let filter: Vec<String> =
        asked.words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let interval = matches.get_one("interval").copied().unwrap_or(std::time::Duration::from_secs(1));
    let tables: Vec<&str> = selected.tables.iter().map(|table| table.name()).collect();
    let title = if tables.len() > 3 { "all tables".to_owned() } else { tables.join(",") };
    Ok(View {
        title,
        interval: format!("{interval:?}"),
        presets,
        preset: at,
        groups,
        grouped,
        filter: filter.join(" "),
        words: Vec::new(),
        fields: Vec::new(),
    })
}

/// The fields that sockets of these tables can report, with their meaning.
pub(super) fn fields(selected: &Selected) -> Vec<(String, String)> {
    let catalog = Catalog::shared();
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut seen = HashSet::new();
    // Fields that only the doctor's rules can read are not columns.
    let is_shown =
        |field: &&Field| catalog.reports(selected.tables, field) && !field.needs.intersects(Needs::AROUND);
    for field in catalog.fields().filter(is_shown) {
        let members = field.kind.members().iter();
        let members = members.map(|member| (format!("{}.{}", field.name, member.name), member.meaning()));
        for (name, doc) in std::iter::once((field.name.to_owned(), field.meaning())).chain(members) {
            // Some names cannot be columns.
            let full =
                over_time::choices(&name, selected).ok().and_then(|one| Some(one.first()?.full_name()));
            if full.as_ref() == Some(&name) && seen.insert(name.clone()) {
                fields.push((name, doc));
            }
        }
    }
    fields
}
