//! From the command line to a listing, in the order of the reference: options,
//! state words, selection, recording, filter, header, tables.
//!
//! Nothing here knows a field or a format: what is shown follows from the
//! groups that the options switch on, and what is asked of the kernel from
//! what is shown and filtered on.

use std::cell::{OnceCell, RefCell};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use sockdiag::enrich::{BpfMaps, EnrichConfig, Enricher, HolderSearch, SystemLookups};
use sockdiag::fields::{Catalog, Needs, Style};
use sockdiag::filter::{self, EvalContext, Expr};
use sockdiag::model::{Selected, Table, TableSet};
use sockdiag::notice::Notice;
use sockdiag::pipeline::{Held, Pipeline};
use sockdiag::places::{Asked, Place, Places};
use sockdiag::source::{self, Destroyer, Sources, Storages};
use sockdiag::sys::{errno_text, selinux};
use sockdiag_render::ss::Look;
use sockdiag_render::summary;

use crate::cli::{self, Actions, Args, Exit};
use crate::listing::{Opening, Plan, Said};
use crate::netns;
use crate::terminal;
use crate::words;

/// Does what the words ask for.
pub(crate) fn run(program: &OsStr, words: &[OsString]) -> Result<(), Exit> {
    let mut system = System::default();
    let posix = std::env::var_os("POSIXLY_CORRECT").is_some();
    let mut args = cli::parse(program, words, posix, &mut system)?;
    let sources = Sources { selinuxfs: system.selinux.take().flatten(), ..Sources::from_env() };
    let catalog = Catalog::shared();
    let groups = cli::groups(&args);
    netns::check(&args, &sources)?;
    let plan = Plan::new(&args, catalog, groups)?;
    let order = plan.order(catalog)?;
    let said = RefCell::new(Said::new(args.form.is_json()));
    // What is ours is told to people, to who asks for it, and to who asks for a
    // form that the reference lacks; a document holds it itself.
    let explain =
        args.explain || io::stderr().is_terminal() || (args.form.is_ours() && !args.form.is_document());
    let mut say = |notice: Notice| {
        said.borrow_mut().note(&notice);
        if explain || !words::is_for_people(&notice) {
            tell(&notice);
        }
    };
    // Before the words lose those of states.
    let only_summary = args.only_summary();
    let summary = args.summary.then(|| source::summary(&sources, &mut say));
    if let Some(summary) = summary.as_ref().filter(|_| !args.form.is_json()) {
        let mut text = Vec::new();
        summary::put(&mut text, summary);
        // Nobody is left to tell if this fails.
        let _ = terminal::Stdout.write_all(&text);
        if only_summary {
            return Ok(());
        }
    }
    args.take_state_words()?;
    let mut selected = args.selection.resolve().map_err(|empty| words::nothing_to_list(&empty))?;
    let style = Style { numeric: args.numeric, oneline: args.oneline, groups };
    let storages = |needs: Needs| match system.bpf_maps.descriptors() {
        _ if !needs.has(Needs::BPF_STORAGES) => Storages::None,
        maps if maps.is_empty() => Storages::All,
        maps => Storages::Of(maps),
    };
    if let Some(file) = &args.dump_file {
        let needs = catalog.needs(style.groups);
        let asked = Asked { selected, needs, storages: storages(needs) };
        return record(file, &asked);
    }
    let wants_peers = plan.needs().union(order.needs()).has(Needs::PEERS);
    let places = match &args.netns {
        None => Places::here(parse_filter(&args, catalog, &selected, system.filter_file)?, &sources),
        Some(list) => {
            let file = netns::whole(system.filter_file)?;
            let parse = || {
                let file = file.as_deref().map(|text| Box::new(io::Cursor::new(text.to_vec())) as _);
                parse_filter(&args, catalog, &selected, file)
            };
            Places::find(list, wants_peers, &sources, parse, &mut say)?
        }
    };
    // The columns follow the options, not what the filter narrows them to.
    let look = Look {
        style,
        no_header: args.no_header,
        no_queues: args.no_queues,
        netns: args.netns.is_some(),
        netid: selected.show_netid(),
        state: selected.show_state(),
        processes: args.show.processes,
        width: terminal::width(),
    };
    let first = places.first();
    if let Some(family) = first.and_then(|place| place.parsed.family) {
        selected.narrow(family);
    }
    // Names in it may mean other numbers elsewhere, but what it needs is the same.
    let filter = first.and_then(Place::filter);
    let needs = plan.needs().union(order.needs()).union(filter.map_or(Needs::NONE, Expr::needs));
    let needs = if args.resolve { needs } else { needs.minus(Needs::HOSTS) };
    let asked = Asked { selected, needs, storages: storages(needs) };
    let mut enricher = Enricher::new(&EnrichConfig {
        needs,
        numeric: args.numeric,
        resolve: args.resolve,
        cgroup_zero: args.show.cgroup,
        extended: args.show.extended,
        threads: args.show.threads,
        holder_search: holder_search(),
        places: &places.facts(),
        sources: &sources,
    })
    .with_bpf_maps(system.bpf_maps);
    let opening = Opening { catalog, look, words, sources: &sources, summary: summary.as_ref() };
    // What cannot be written is nobody's concern any more: as the reference.
    let Ok(mut listing) = plan.open(&opening, args.events) else { return Ok(()) };
    if only_summary {
        let _ = listing.end(&said.borrow());
        return Ok(());
    }
    let mut pipeline = Pipeline {
        sources: &sources,
        families: selected.families,
        filter,
        context: first.map_or(EvalContext { ports: (0, 0) }, Place::context),
        needs,
        enricher: &mut enricher,
        sink: listing.sink(),
        held: Held::default(),
        order,
        destroyer: match args.kill.then(Destroyer::open).transpose() {
            Ok(destroyer) => destroyer,
            Err(notice) => return Err(words::ending(0, &notice)),
        },
    };
    if args.events {
        let groups = source::event_groups(selected.tables, selected.families);
        // Without a group there is nothing to wait for, and nothing to say.
        if groups != 0 {
            let _ = pipeline.follow(groups, &mut say);
        }
        return Err(Exit { code: Exit::USAGE, stdout: Vec::new(), stderr: Vec::new() });
    }
    let mut failure = None;
    places.list(&mut pipeline, &asked, &mut say, &mut |result, query, say| {
        let Err(error) = result else { return ControlFlow::Continue(()) };
        said.borrow_mut().failure(&error);
        failure = words::fatal(&error);
        if failure.is_some() {
            return ControlFlow::Break(());
        }
        if explain && selected.names(query.table) {
            source::missing(&error, query, &sources).into_iter().for_each(say);
        }
        ControlFlow::Continue(())
    });
    // Rows before the damage are shown.
    let _ = pipeline.finish(&mut say);
    let _ = listing.end(&said.borrow());
    failure.map_or(Ok(()), Err)
}

/// `SOCKDIAG_PROCESSES`, for tests and measurements: `bpf` or `proc` has the
/// holders of sockets found in that way alone.
fn holder_search() -> HolderSearch {
    match std::env::var_os("SOCKDIAG_PROCESSES") {
        Some(way) if way == "bpf" => HolderSearch::Bpf,
        Some(way) if way == "proc" => HolderSearch::Proc,
        _ => HolderSearch::Quickest,
    }
}

/// Says at once what is worth saying beside the listing.
fn tell(notice: &Notice) {
    // Nobody is left to tell if this fails.
    let _ = io::stderr().write_all(&words::words(notice));
}

/// `-D FILE`: the raw replies of the TCP table.
fn record(file: &OsStr, asked: &Asked) -> Result<(), Exit> {
    if !asked.selected.tables.intersects(TableSet::only(Table::Tcp)) {
        return Err(Exit::error(0, "ss: tcpdiag dump requested and no tcp in filter."));
    }
    let mut out: Box<dyn Write> = if file.as_bytes().starts_with(b"-") {
        Box::new(terminal::Stdout)
    } else {
        Box::new(File::create(file).map_err(|error| open_failed("fopen dump file", &error))?)
    };
    // The reference says nothing of what went wrong, and ends with 0.
    let _ = source::record(&asked.query(Table::Tcp), &mut out, &mut |notice| tell(&notice));
    Ok(())
}

/// Reads the words that are left and the filter file.
fn parse_filter(
    args: &Args,
    catalog: &Catalog,
    selected: &Selected,
    file: Option<Box<dyn BufRead>>,
) -> Result<filter::Parsed, Exit> {
    let words: Vec<&[u8]> = args.words.iter().map(|word| word.as_bytes()).collect();
    let mut lookups = SystemLookups::new(args.resolve && !args.numeric);
    let context = filter::Context {
        catalog,
        preferred: selected.preferred,
        tables: selected.tables,
        lookups: &mut lookups,
    };
    let mut file = file;
    let file = file.as_mut().map(|file| file.as_mut() as &mut dyn BufRead);
    filter::parse_or_explain(&words, file, context).map_err(|refused| {
        let explain = args.explain || io::stderr().is_terminal();
        words::bad_filter(&refused.error, explain.then(|| refused.picture()).as_deref())
    })
}

fn open_failed(what: &str, error: &io::Error) -> Exit {
    Exit::error(Exit::USAGE, format!("{what}: {}", errno_text(error.raw_os_error().unwrap_or(0))))
}

/// What options do at once, on the real system.
#[derive(Default)]
struct System {
    filter_file: Option<Box<dyn BufRead>>,
    /// Where SELinux's files are, if it is on, once that was looked up.
    selinux: OnceCell<Option<PathBuf>>,
    bpf_maps: BpfMaps,
}

impl System {
    /// Whether SELinux is on.
    fn find_selinux(&mut self) -> bool {
        self.selinux.get_or_init(selinux::mount_point).is_some()
    }
}

impl Actions for System {
    fn enter_netns(&mut self, name: &OsStr) -> Result<(), Exit> {
        // Of the namespace's own /sys nothing of it is seen any more.
        self.find_selinux();
        Ok(sockdiag::sys::netns::enter(name, &mut |notice| tell(&notice))?)
    }

    fn open_filter_file(&mut self, name: &OsStr) -> Result<(), Exit> {
        self.filter_file = Some(if name.as_bytes().starts_with(b"-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let file = File::open(name).map_err(|error| open_failed("fopen filter file", &error))?;
            Box::new(BufReader::new(file))
        });
        Ok(())
    }

    fn selinux_check(&mut self) -> Result<(), Exit> {
        if self.find_selinux() { Ok(()) } else { Err(cli::args::selinux_is_off()) }
    }

    fn bpf_map(&mut self, id: u32) -> Result<(), Exit> {
        match self.bpf_maps.open(id) {
            Ok(()) => Ok(()),
            Err(notice @ Notice::MapsTooMany { .. }) => {
                tell(&notice);
                Ok(())
            }
            Err(notice) => Err(words::ending(1, &notice)),
        }
    }
}
