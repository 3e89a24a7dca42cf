//! What the kernel knows about every socket: dump, filter and name.
//!
//! [`Sockets`] is a question, and asking it gives rows:
//!
//! ```
//! use std::ops::ControlFlow;
//! use sockdiag::{Sockets, Table};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Connections to port 443 that take longer than 20 ms, the slowest first.
//! let slow = Sockets::of(&[Table::Tcp])
//!     .filter("dport = :443 and tcp.rtt_us > 20000")
//!     .reading(["tcp.rtt_us"])
//!     .order("-tcp.rtt_us")
//!     .with_processes();
//! let outcome = slow.each(|row| {
//!     let [Some(rtt_us), Some(remote)] = [row.value("tcp.rtt_us"), row.value("remote.addr")] else {
//!         return ControlFlow::Continue(());
//!     };
//!     let who: Vec<String> = row.holders().iter().map(|holder| holder.name()).collect();
//!     println!("{remote:40} {rtt_us:>9} us  {}", who.join(" "));
//!     ControlFlow::Continue(())
//! })?;
//! outcome.notices.iter().for_each(|notice| eprintln!("{notice}"));
//! outcome.complete()?;
//! # Ok(())
//! # }
//! ```
//!
//! Every fact about a socket has one name, used by filters, sort orders and [`Row::value`];
//! `docs/fields.md` of the repository lists all with unit and meaning, and [`Catalog`] has
//! them at run time.  The kernel is not asked for facts that are neither read nor filtered
//! on.  A fact that a socket does not report is `None`, which is not zero.
//!
//! Rows are borrowed and pushed, so that a million sockets need no memory.  An [`OwnedRow`]
//! is a copy that keeps every requested value:
//!
//! ```
//! use sockdiag::{OwnedRow, Sockets, StateSet, Table};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (listeners, outcome) =
//!     Sockets::of(&[Table::Tcp]).states(StateSet::LISTENING).reading(["listen.scope"]).collect()?;
//! outcome.complete()?;
//! let is_open =
//!     |row: &&OwnedRow| row.value("listen.scope").is_some_and(|scope| scope.to_string() == "any");
//! for row in listeners.iter().filter(is_open) {
//!     println!("{:?} takes {} more", row.local(), row.send_q().saturating_sub(row.recv_q()));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The same question can be asked elsewhere, and can do more than list:
//!
//! ```no_run
//! use std::fs::File;
//! use std::ops::ControlFlow::{Break, Continue};
//! use sockdiag::{Sockets, Table, Verdict};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In every network namespace, with the processes at the other end.
//! let everywhere = Sockets::of(&[Table::Tcp]).netns("all").with_peers();
//! // Recorded in a file, and asked again on another machine.
//! Sockets::of(&[Table::Tcp]).reading(["tcp.rtt_us"]).record(File::create("tcp.nl")?)?;
//! let kept = Sockets::new().recording("tcp.nl").filter("tcp.rtt_us > 20000");
//! // Destroyed one by one, each with a verdict; use `each` for a dry run.
//! let old = Sockets::of(&[Table::Tcp]).filter("dst 192.0.2.7").netns("web");
//! old.destroy(|row, verdict| match verdict {
//!     Verdict::Refused(_) => Break(()),
//!     _ => Continue(println!("{:?} is {verdict}", row.remote())),
//! })?.complete()?;
//! // Followed: one row for each socket that ends.
//! let mut ended = 0;
//! Sockets::of(&[Table::Tcp]).follow(
//!     |_| {
//!         ended += 1;
//!         if ended < 100 { Continue(()) } else { Break(()) }
//!     },
//!     |lost| eprintln!("{lost}"),
//! )?;
//! # Ok(())
//! # }
//! ```
//!
//! To ask repeatedly, open a [`Session`]: its second poll opens nothing, loads nothing and
//! does not parse the filter again.
//!
//! ```
//! use std::convert::Infallible;
//! use std::ops::ControlFlow;
//! use sockdiag::{Row, Sink, Sockets, Table};
//!
//! /// Adds up the bytes that wait to be read.
//! struct Unread(u64);
//!
//! impl Sink for Unread {
//!     type Error = Infallible;
//!
//!     fn row(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>, Infallible> {
//!         self.0 += u64::from(row.recv_q());
//!         Ok(ControlFlow::Continue(()))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut session = Sockets::of(&[Table::Tcp]).open()?;
//! for _ in 0..3 {
//!     let mut unread = Unread(0);
//!     let outcome = session.poll(&mut unread)?;
//!     println!("{} bytes in {} sockets, read in {:?}", unread.0, outcome.rows, outcome.window.length());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Errors are types: [`AskError`] for a question that cannot be asked, [`DumpError`] for a
//! table that could not be read.  The library does not print, exit or read its environment.
//! Linux only; root is needed only for what the kernel denies to ordinary users: processes of
//! others, other namespaces, destroying sockets.
//!
//! # What is stable
//!
//! The items on this page are the library.  Other modules are public for the programs of
//! this repository, hidden here, and change without notice.
//!
//! Inside, data flows one way: a source reads bytes, they are decoded into a socket, the
//! filter keeps or drops it, names are added, and a [`Sink`] receives the row.  The
//! [`Catalog`] is the only place that defines the facts of a socket and their cost.  The
//! program `ss` is one poll of a [`Session`].

#![deny(unsafe_code)]

#[doc(hidden)]
pub mod counters;
#[doc(hidden)]
pub mod descriptors;
#[doc(hidden)]
pub mod enrich;
#[doc(hidden)]
pub mod namespaces;
#[doc(hidden)]
pub mod notice;
#[doc(hidden)]
pub mod observer;
mod pipeline;
#[doc(hidden)]
pub mod session;
mod sink;
#[doc(hidden)]
pub mod sockets;
#[doc(hidden)]
pub mod source;
#[doc(hidden)]
pub mod sys;

#[doc(hidden)]
pub use sockdiag_facts::{civil, ending, escape, fields, filter, model, number, order, past, rate, sort};

pub use counters::HostCounters;
pub use fields::{Catalog, Field, OwnedValue, Value};
pub use model::{Family, Row, State, StateSet, Table};
pub use notice::Notice;
pub use observer::{Frame, FrameSink, Observer, Seen};
pub use session::{AskError, Event, Follow, Outcome, PollError, Probe, Session, Verdict};
pub use sink::Sink;
pub use sockets::{Holding, OwnedRow, Sockets};
pub use source::DumpError;
