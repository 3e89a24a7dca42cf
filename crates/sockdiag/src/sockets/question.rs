//! A question, worked out: what is asked of the kernel, where, and what is
//! looked up elsewhere.

use super::{AskError, Sockets};
use crate::enrich::{EnrichConfig, Enricher, SystemLookups};
use crate::fields::{Catalog, Needs};
use crate::filter::{self, EvalContext, Expr, FilterError, Parsed};
use crate::model::Selected;
use crate::notice::Notice;
use crate::order::Order;
use crate::pipeline::{Held, Pipeline, Sink};
use crate::places::{Asked, Place, Places};
use crate::source::{Sources, Storages};
use crate::sys::selinux;

pub(super) struct Question {
    pub(super) asked: Asked,
    pub(super) places: Places,
    pub(super) enricher: Enricher,
    order: Order,
    sources: Sources,
}

impl Question {
    pub(super) fn new(sockets: &Sockets, say: &mut dyn FnMut(Notice)) -> Result<Self, AskError> {
        let catalog = Catalog::shared();
        let mut selected = sockets.selection.resolve().map_err(AskError::Empty)?;
        let mut needs = sockets.needs;
        for name in &sockets.names {
            needs = needs.union(catalog.named(name).map_err(AskError::Name)?.needs(catalog));
        }
        let order = Order::new(catalog, sockets.order.as_deref(), sockets.limit).map_err(AskError::Order)?;
        needs = needs.union(order.needs());
        let places = match &sockets.netns {
            None => Places::here(parse(&sockets.filters, &selected)?, &sockets.sources),
            Some(_) if sockets.sources != Sources::default() => return Err(AskError::FilesAndNamespaces),
            Some(words) => {
                let parse = || parse(&sockets.filters, &selected);
                Places::find(words, needs.has(Needs::PEERS), &sockets.sources, parse, say)?
            }
        };
        if let Some(family) = places.first().and_then(|place| place.parsed.family) {
            selected.narrow(family);
        }
        // Names in a filter may mean other numbers in another namespace, but
        // what it needs is the same.
        let needs = needs.union(places.first().and_then(Place::filter).map_or(Needs::NONE, Expr::needs));
        let mut sources = sockets.sources.clone();
        if needs.has(Needs::CONTEXTS) && sources.selinuxfs.is_none() {
            sources.selinuxfs = selinux::mount_point();
        }
        let enricher = Enricher::new(&EnrichConfig {
            needs,
            // Names are looked up where they are read.
            numeric: false,
            resolve: needs.has(Needs::HOSTS),
            cgroup_zero: false,
            extended: false,
            threads: sockets.threads,
            holder_search: sockets.holder_search,
            places: &places.facts(),
            sources: &sources,
        });
        let storages = if needs.has(Needs::BPF_STORAGES) { Storages::All } else { Storages::None };
        let asked = Asked { selected, needs, storages };
        Ok(Self { asked, places, enricher, order, sources })
    }

    /// The only place, for what is done in one alone.
    pub(super) fn only_place(&self) -> Result<&Place, AskError> {
        let mut listed = self.places.listed();
        match (listed.next(), listed.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(AskError::SeveralNamespaces),
        }
    }

    /// What lists the tables into this sink, and the rest.
    pub(super) fn pipeline<'p>(
        &'p mut self,
        sink: &'p mut dyn Sink,
    ) -> (Pipeline<'p>, &'p Places, &'p Asked, &'p Sources) {
        let first = self.places.first();
        let pipeline = Pipeline {
            sources: &self.sources,
            families: self.asked.selected.families,
            filter: first.and_then(Place::filter),
            context: first.map_or(EvalContext { ports: (0, 0) }, Place::context),
            needs: self.asked.needs,
            enricher: &mut self.enricher,
            sink,
            held: Held::default(),
            order: std::mem::take(&mut self.order),
            destroyer: None,
        };
        (pipeline, &self.places, &self.asked, &self.sources)
    }
}

/// The filters, each read by itself, so that none can reach into another.
fn parse(filters: &[Vec<u8>], selected: &Selected) -> Result<Parsed, AskError> {
    let mut lookups = SystemLookups::new(false);
    let mut all = Parsed { expr: None, family: None };
    for filter in filters {
        let context = filter::Context {
            catalog: Catalog::shared(),
            preferred: selected.preferred,
            tables: selected.tables,
            lookups: &mut lookups,
        };
        let words: &[&[u8]] = &[filter];
        let words = if filter.is_empty() { &[] } else { words };
        let Parsed { expr, family } =
            filter::parse_or_explain(words, None, context).map_err(AskError::Filter)?;
        all.family = family.or(all.family);
        all.expr = match (all.expr, expr) {
            (Some(left), Some(right)) => Some(left.and(right).ok_or_else(|| too_long(filter))?),
            (left, right) => left.or(right),
        };
    }
    Ok(all)
}

fn too_long(filter: &[u8]) -> AskError {
    let around = [String::new(), String::from_utf8_lossy(filter).into_owned(), String::new()];
    let expected = "fewer conditions".to_owned();
    AskError::Filter(Box::new(filter::Refused { error: FilterError::TooDeep, around, expected }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Table;

    #[test]
    fn filters_are_joined_as_they_were_read() {
        let read = |filters: &[&str]| {
            let question = filters.iter().fold(Sockets::of(&[Table::Tcp]), Sockets::filter);
            let question = Question::new(&question, &mut |_| {}).map_err(|error| error.to_string())?;
            Ok::<_, String>(question.places.first().and_then(Place::filter).map(Expr::to_string))
        };
        let text = |filters: &[&str]| read(filters).expect("filters").unwrap_or_default();
        assert_eq!(text(&["", ""]), "");
        assert_eq!(text(&["", "sport = :1"]), text(&["sport = :1"]));
        let (left, right) =
            ("sport = :1 or not dport = :2", "dport = :3 and not ( sport = :4 or sport = :5 )");
        let both = text(&[left, right, "sport = :6"]);
        assert_eq!(
            both,
            format!("( ( {} and {} ) and {} )", text(&[left]), text(&[right]), text(&["sport = :6"]))
        );
        assert!(read(&["sport = :1", "sport ="]).is_err());
    }

    #[test]
    fn only_what_is_read_is_asked_for() {
        let needs = |sockets: &Sockets| {
            Question::new(sockets, &mut |_| {}).map(|question| question.asked.needs).expect("a question")
        };
        let tcp = Sockets::of(&[Table::Tcp]);
        assert_eq!(needs(&tcp), Needs::NONE);
        assert_eq!(needs(&tcp.clone().reading(["tcp.rtt_us"])), Needs::INFO);
        assert_eq!(needs(&tcp.clone().filter("rtt > 1ms")), Needs::INFO);
        assert_eq!(needs(&tcp.clone().order("-tcp.rtt_us")), Needs::INFO);
        assert_eq!(needs(&tcp.clone().reading(["comm"])), Needs::PROCESSES);
        assert_eq!(needs(&tcp.reading(["process.user"])), Needs::PROCESSES.union(Needs::COMMANDS));
    }
}
