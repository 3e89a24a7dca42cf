//! What the command line asks for.
//!
//! [`Args`] only records: it opens nothing and fills in no default.  Options that act at once
//! (entering a namespace, opening a file) do so through [`Actions`], before an invalid option
//! further right is reported, as in the reference.
//!
//! Source: ss(8); order and messages as `ss` 7.3 shows them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use sockdiag::model::{BadState, Selection};
use sockdiag::source::Way;
use sockdiag_options::{EXCLUDE, STATE};
use sockdiag_render::columns::Shape;

use super::exit::Exit;
use crate::words::reference;

/// The options that act while the command line is read.  An `Err` ends the program.
pub(crate) trait Actions {
    /// `-N NAME`: enters a network namespace; several are entered in turn.
    fn enter_netns(&mut self, name: &OsStr) -> Result<(), Exit>;
    /// `-F FILE`: opens the file with the filter; called at most once.
    fn open_filter_file(&mut self, name: &OsStr) -> Result<(), Exit>;
    /// `-Z`, `-z`: fails with [`selinux_is_off`] unless SELinux is enabled.
    fn selinux_check(&mut self) -> Result<(), Exit>;
    /// `--bpf-map-id`: loads what is needed to print the map; `id` is not zero.
    fn bpf_map(&mut self, id: u32) -> Result<(), Exit>;
}

/// The exit that `-Z` causes where SELinux is not enabled.
pub(crate) fn selinux_is_off() -> Exit {
    Exit::error(1, "ss: SELinux is not enabled.")
}

/// The whole command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    /// Tables, families and states.
    pub(crate) selection: Selection,
    /// `-n`: numbers instead of names.
    pub(crate) numeric: bool,
    /// `-r`: host names instead of addresses.
    pub(crate) resolve: bool,
    /// What to show of each socket.
    pub(crate) show: Show,
    /// `-H`: no header row.
    pub(crate) no_header: bool,
    /// `-Q`: no Recv-Q and Send-Q columns.
    pub(crate) no_queues: bool,
    /// `-O`: no line breaks inside the text of one socket.
    pub(crate) oneline: bool,
    /// `-s`: counters first.
    pub(crate) summary: bool,
    /// `-E`: follow destroyed sockets.
    pub(crate) events: bool,
    /// `-K`: destroy what is listed.
    pub(crate) kill: bool,
    /// `--kill-dry-run`: lists what `-K` would destroy, and destroys nothing.
    pub(crate) kill_dry_run: bool,
    /// `--explain`: prints the notices that the reference lacks, even if stderr is not a
    /// terminal.
    pub(crate) explain: bool,
    /// `--source`: how to read the kernel's socket tables.
    pub(crate) way: Way,
    /// `--exit-code`: the exit status reports whether a socket was shown.
    pub(crate) exit_code: bool,
    /// `--netns LIST`: which network namespaces are listed.
    pub(crate) netns: Option<OsString>,
    /// The output format of rows.
    pub(crate) form: Form,
    /// `-D FILE`: where raw replies go; the last one given.
    pub(crate) dump_file: Option<OsString>,
    /// `-F FILE`, which [`Actions::open_filter_file`] has opened.
    pub(crate) filter_file: Option<OsString>,
    /// The words that are not options: the filter, preceded by `state` and `exclude` words
    /// until [`Args::take_state_words`] removes them.
    pub(crate) words: Vec<OsString>,
}

/// The output format of rows, beyond the reference's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// `-j`: one JSON document.
    pub(crate) json: bool,
    /// `--jsonl`: one object per line.
    pub(crate) json_lines: bool,
    /// `--pretty`: one JSON document, indented.
    pub(crate) pretty: bool,
    /// `--columns`: field names separated by commas.
    pub(crate) columns: Option<String>,
    /// `--csv`, `--tsv`: how columns are separated.
    pub(crate) separated: Option<Shape>,
    /// `--sort`: names separated by commas, `-` before each that sorts descending.
    pub(crate) sort: Option<String>,
    /// `--limit`: the largest number of rows, or groups, to show.
    pub(crate) limit: Option<u64>,
    /// `--group-by`: names separated by commas.
    pub(crate) group_by: Option<String>,
}

impl Form {
    /// Whether rows are printed as columns of chosen fields.
    pub(crate) fn is_columns(&self) -> bool {
        self.columns.is_some() || self.separated.is_some() || self.group_by.is_some()
    }

    /// Whether the reference lacks this format.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_json() || self.is_columns()
    }

    /// Whether rows are printed as one JSON document.
    pub(crate) fn is_document(&self) -> bool {
        self.is_json() && !self.json_lines
    }

    /// Whether rows are printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json || self.json_lines || self.pretty
    }
}

/// What to show of each socket beyond its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Show {
    /// `-o`: timers; also on with `-e` and `-b`.
    pub(crate) options: bool,
    /// `-e`: owner, inode, cookie and more.
    pub(crate) extended: bool,
    /// `-m`: socket memory.
    pub(crate) memory: bool,
    /// `-p`: processes; the Process column.
    pub(crate) processes: bool,
    /// `-T`: one entry per thread.
    pub(crate) threads: bool,
    /// `-i`: internals of TCP, MPTCP and SCTP.
    pub(crate) info: bool,
    /// `--tipcinfo`: internals of TIPC.
    pub(crate) tipcinfo: bool,
    /// `--tos`: type of service, traffic class, class id.
    pub(crate) tos: bool,
    /// `--cgroup`: cgroup path.
    pub(crate) cgroup: bool,
    /// `--inet-sockopt`: flags of inet sockets.
    pub(crate) inet_sockopt: bool,
    /// `-b`: classic BPF filters.
    pub(crate) bpf: bool,
    /// `--bpf-maps`: every socket-local storage map.
    pub(crate) bpf_maps: bool,
    /// `--bpf-map-id`: these maps, in order; excludes `bpf_maps`.
    pub(crate) bpf_map_ids: Vec<u32>,
    /// `--peers`: the processes that hold the other end.
    pub(crate) peers: bool,
    /// `--containers`: container, pod and unit.
    pub(crate) containers: bool,
    /// `--exposure`: what listeners accept.
    pub(crate) exposure: bool,
    /// How many times `-Z` and `-z` were given.
    pub(crate) contexts: u32,
    /// How many times `-z` was given.
    pub(crate) socket_contexts: u32,
}

impl Show {
    /// Whether the listing shows something that the reference cannot show.
    pub(crate) fn is_ours(&self) -> bool {
        self.peers || self.containers || self.exposure
    }

    /// Whether the SELinux context of the socket itself is shown.  The
    /// reference ANDs its counters bit by bit, so `-zZ` shows none.
    pub(crate) fn socket_context(&self) -> bool {
        self.contexts & self.socket_contexts != 0
    }
}

impl Args {
    /// Whether an option was given that the reference lacks.  Conditions of the filter do not
    /// count.
    pub(crate) fn is_ours(&self) -> bool {
        let form = &self.form;
        form.is_ours()
            || form.sort.is_some()
            || form.limit.is_some()
            || self.show.is_ours()
            || self.kill_dry_run
            || self.netns.is_some()
    }

    /// Whether only `-s` was given, so that no socket is listed.  State options do not count.
    pub(crate) fn only_summary(&self) -> bool {
        self.summary && self.selection.is_default() && self.words.is_empty()
    }

    /// Whether sockets are destroyed.
    pub(crate) fn destroys(&self) -> bool {
        self.kill && !self.kill_dry_run
    }

    /// Whether the filter selects sockets to destroy, for real or as a dry run, and must
    /// therefore be unambiguous.
    pub(crate) fn is_about_destroying(&self) -> bool {
        self.kill || self.kill_dry_run
    }

    /// Moves leading `state X`, `exclude X` and `excl X` from the words to the selection.
    /// Called after the summary is printed, as the reference reports errors in them only then.
    pub(crate) fn take_state_words(&mut self) -> Result<(), Exit> {
        let mut taken = 0;
        while let Some(word) = self.words.get(taken) {
            let add: fn(&mut Selection, &[u8]) -> Result<(), BadState> = match word.as_bytes() {
                word if STATE.is(word) => Selection::state_word,
                word if EXCLUDE.is(word) => Selection::exclude_word,
                _ => break,
            };
            let name = self.words.get(taken + 1).ok_or_else(incomplete)?;
            add(&mut self.selection, name.as_bytes())
                .map_err(|bad| Exit::error(Exit::USAGE, reference::bad_state(&bad)))?;
            taken += 2;
        }
        self.words.drain(..taken);
        Ok(())
    }
}

fn incomplete() -> Exit {
    Exit::error(Exit::USAGE, "Command line is not complete. Try option \"help\"")
}
