//! Closes the TCP and UDP connections that a filter matches.
//!
//!     cargo run -p sockdiag --example kill_by_filter -- dst 192.0.2.0/24 and dport = :443
//!     cargo run -p sockdiag --example kill_by_filter -- --really dst 192.0.2.0/24 and dport = :443
//!
//! Without `--really` it only shows what it would close.  With it, each socket
//! is destroyed by the kernel (its owner gets ECONNABORTED) and shown with what
//! became of it; that needs CAP_NET_ADMIN.  Ends with 0 if nothing that matched
//! is left, with 1 if some socket could not be closed, and with 2 if the
//! question was wrong or could not be asked.

use std::error::Error;
use std::io::Write as _;
use std::ops::ControlFlow::{Break, Continue};
use std::process::ExitCode;

use sockdiag::{Row, Sockets, Table, Verdict};

const USAGE: &str = "usage: kill_by_filter [--really] [--netns NAME] FILTER...";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kill_by_filter: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut matching = Sockets::of(&[Table::Tcp, Table::Udp]).with_processes();
    let (mut really, mut filter) = (false, Vec::new());
    let mut args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // The filter comes last and may itself begin with `-`.
            "--really" if filter.is_empty() => really = true,
            "--netns" if filter.is_empty() => matching = matching.netns(args.next().ok_or(USAGE)?),
            option if filter.is_empty() && option.starts_with('-') => return Err(USAGE.into()),
            _ => filter.push(arg),
        }
    }
    if filter.is_empty() {
        return Err(USAGE.into());
    }
    let matching = matching.filter(filter.join(" "));

    let mut out = std::io::stdout().lock();
    let (mut left, mut failed) = (0, None);
    // If the output fails, stop: no socket is destroyed without a report.
    let mut tell =
        |row: &Row<'_>, verdict: &dyn std::fmt::Display| match writeln!(out, "{verdict:20} {}", name(row)) {
            Ok(()) => Continue(()),
            Err(error) => {
                failed = Some(error);
                Break(())
            }
        };
    let outcome = if really {
        matching.destroy(|row, verdict| {
            left += usize::from(!matches!(verdict, Verdict::Destroyed | Verdict::Gone));
            tell(row, &verdict)
        })?
    } else {
        matching.each(|row| tell(row, &"would be destroyed"))?
    };
    failed.map_or(Ok(()), Err)?;
    outcome.notices.iter().for_each(|notice| eprintln!("{notice}"));
    let rows = outcome.complete()?;
    writeln!(out, "{rows} sockets{}", if really { "" } else { "; say --really to destroy them" })?;
    Ok(if left > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn name(row: &Row<'_>) -> String {
    let end = |end: Option<std::net::SocketAddr>| end.map_or_else(|| "-".to_owned(), |end| end.to_string());
    let holders: Vec<String> =
        row.holders().iter().map(|holder| format!("{}[{}]", holder.name(), holder.pid)).collect();
    let table = format!("{:?}", row.table()).to_lowercase();
    format!(
        "{table} {} {} -> {} {}",
        row.state_name(),
        end(row.local()),
        end(row.remote()),
        holders.join(" ")
    )
}
