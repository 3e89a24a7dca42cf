//! `cargo xtask bench --namespaces N`: measures `--netns all` with the sockets spread over
//! many network namespaces, against one namespace that has all of them.
//!
//! The machine's other namespaces exist in both cases, and are listed too.  Only our own
//! outputs are compared: those of a walk and of dumps.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use sockdiag_testkit::Why;
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::measure::{self, Cost};
use sockdiag_testkit::netns::Namespace;

use super::build;
use super::options::Options;
use super::stage::same;
use super::table::{Same, cpu, load, mib, millis, ratio};
use crate::fail::failed;

/// The measured arguments, for both cases.
const WORDS: &[&str] = &["-tan", "--netns", "all"];
/// The same without the walk; it takes so much longer that one run is enough.
const DUMPED: &[&str] = &["-tan", "--netns", "all", "--source", "netlink"];

/// Sockets in namespaces.
struct World {
    // Dropped in this order: sockets before their namespaces.
    _holders: Vec<Holder>,
    namespaces: Vec<Namespace>,
}

impl World {
    fn new(sockets: u32, namespaces: u32, v6_percent: u8) -> Result<Self, Why> {
        let namespaces = (0..namespaces).map(|_| Namespace::new()).collect::<Result<Vec<_>, _>>()?;
        let all = sockets / 2;
        let count = u32::try_from(namespaces.len()).map_err(|_| Why::new("so many namespaces"))?;
        let upto = |number: u32| u64::from(all) * u64::from(number) / u64::from(count);
        let holders = namespaces.iter().zip(0..).map(|(namespace, number)| {
            let share = upto(number + 1) - upto(number);
            Holder::start(namespace, u32::try_from(share).unwrap_or(0), v6_percent)
        });
        Ok(Self { _holders: holders.collect::<Result<_, _>>()?, namespaces })
    }

    /// The value of `--netns` that names all of them.
    fn list(&self) -> String {
        let words: Vec<String> =
            self.namespaces.iter().map(|namespace| format!("pid:{}", namespace.pid())).collect();
        words.join(",")
    }
}

/// Compares the listings of these namespaces by a walk and by dumps.  Outputs go to files,
/// because memory once used by this process would count for the programs that it runs.
fn compare(ours: &Path, list: &str) -> Result<Same, Why> {
    let path = |way: &str| std::env::temp_dir().join(format!("sockdiag-bench-{}-{way}", std::process::id()));
    let ways = ["netlink", "walk"];
    for way in ways {
        let file = File::create(path(way)).map_err(|error| failed(&path(way), &error))?;
        let mut command = Command::new(ours);
        command
            .args(["-tan", "--netns", list, "--source", way])
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::null());
        measure::run(&mut command)?;
    }
    let [dumped, walked] = ways.map(path);
    let same = same(&dumped, &walked)?;
    for path in [&dumped, &walked] {
        fs::remove_file(path).map_err(|error| failed(path, &error))?;
    }
    match same {
        Same::Yes { .. } => Ok(same),
        differ => Err(Why::new(format!("a walk and dumps of {list}: {differ}"))),
    }
}

/// Runs the measurements and prints the table.
pub(super) fn run(options: &Options, namespaces: u32) -> Result<(), Why> {
    let ours = build()?;
    println!(
        "{} sockets in 1 namespace, then in {namespaces}, {} % IPv6; {} runs, medians, of ss -tan --netns all.\n\
         Load average before: {}.  Times in ms, CPU as total (user+system); RSS in MiB.\n\n\
         | namespaces | CPU | ratio | wall | RSS | CPU of dumps | output |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        options.sockets,
        options.v6_percent,
        options.runs,
        load()
    );
    let run = |words: &[&str]| {
        let mut command = Command::new(&ours);
        measure::run(command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
    };
    let mut first: Option<Cost> = None;
    for count in [1, namespaces] {
        let world = World::new(options.sockets, count, options.v6_percent)?;
        let same = compare(&ours, &world.list())?;
        let costs = (0..options.runs).map(|_| run(WORDS)).collect::<Result<Vec<_>, _>>()?;
        let (cost, of_dumps) = (Cost::median(&costs), run(DUMPED)?);
        let base = *first.get_or_insert(cost);
        println!(
            "| {count} | {} | {} | {} | {} | {} | {same} |",
            cpu(cost),
            ratio(cost.cpu(), base.cpu()),
            millis(cost.wall),
            mib(cost),
            cpu(of_dumps)
        );
    }
    println!("\nLoad average at the end: {}.\n", load());
    Ok(())
}
