//! Transfer rates of connections, once a second, and those that ended: `over_time [LOOKS]
//! [FILTER]`.
//!
//! Each line is a connection with its rates and how far off they may be; `+` opened
//! since the last look, `-` ended, `~` changed its state.

use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use sockdiag::{FrameSink, Observer, Row, Seen, Sockets, Table};

struct Lines;

impl FrameSink for Lines {
    type Error = io::Error;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> io::Result<()> {
        use io::Write as _;
        let mark = match seen {
            Seen::Opened => '+',
            Seen::Closed => '-',
            Seen::Changed(_) => '~',
            _ => ' ',
        };
        let value = |name: &str| row.value(name).map_or("-".to_owned(), |value| value.to_string());
        let rate = |name: &str| format!("{}\u{b1}{}", value(name), value(&format!("{name}_error")));
        let (local, remote) = (row.local(), row.remote());
        let ends = [local, remote].map(|end| end.map_or("?".to_owned(), |end| end.to_string()));
        writeln!(
            io::stdout().lock(),
            "{mark} {} {} acked {} received {} age {} ms",
            ends[0],
            ends[1],
            rate("rate.bytes_acked_per_s"),
            rate("rate.bytes_received_per_s"),
            value("age_ms"),
        )
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let looks = words.next().and_then(|word| word.parse().ok()).unwrap_or(3);
    let sockets = Sockets::of(&[Table::Tcp]).filter(words.collect::<Vec<_>>().join(" ")).reading([
        "rate.bytes_acked_per_s",
        "rate.bytes_received_per_s",
        "age_ms",
    ]);
    let mut observer = match sockets.open() {
        Ok(session) => Observer::new(session),
        Err(error) => {
            eprintln!("over_time: {error}");
            return ExitCode::from(2);
        }
    };
    for number in 0..looks {
        if number > 0 {
            thread::sleep(Duration::from_secs(1));
        }
        match observer.look(&mut Lines) {
            Ok(frame) => {
                frame.notices.iter().for_each(|notice| eprintln!("over_time: {notice}"));
                frame.failures.iter().for_each(|failure| eprintln!("over_time: {failure}"));
                println!(
                    "= look {number}: {} sockets, {} opened, {} closed, {} lost",
                    frame.sockets, frame.opened, frame.closed, frame.lost
                );
            }
            Err(error) => {
                eprintln!("over_time: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
