//! What `-K` rejects, and what `--kill-dry-run` shows.

use std::path::PathBuf;
use std::process::Command;

use sockdiag_testkit::compare::{Case, Ended, run};
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::Zoo;

use super::{OURS, lines, ours, text};

/// The established connections of a namespace.
fn established(namespace: &Namespace) -> Vec<String> {
    lines(&ours(namespace, "-tnH state established").stdout)
}

/// Runs ours with these words and the filter as one further word.
fn with_filter(namespace: &Namespace, words: &str, filter: &str) -> (Vec<String>, String, Ended) {
    let mut words: Vec<&str> = words.split(' ').collect();
    words.push(filter);
    let case = Case::new(&words).inside(namespace);
    let outcome = run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{words:?}: {why}"));
    (lines(&outcome.stdout), text(&outcome.stderr), outcome.ended)
}

/// A misspelt word, above all with `!=`, would close sockets that were to be spared.
#[test]
fn a_filter_in_doubt_closes_nothing() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _holder = Holder::start(&namespace, 20, 0).unwrap_or_else(|why| panic!("{why}"));
    let before = established(&namespace);
    assert_eq!(before.len(), 40);
    for filter in [
        "state != establishd",
        "state != bogus",
        "netid != tpc",
        "remote.addr != banana",
        "remote.addr != 127.0.0.1:1234",
        "remote.addr != 127.0.*",
        "user != nosuchuser",
        "comm != *",
        "comm != -",
        "remote.port != 4294967296",
        "rtt != 5",
        "timer.kind != never",
        "tcp.ca_state != closed",
        "remote.service != nosuchservice",
        "comm > 5",
        "comm != \"unclosed",
        "cookie != 1234",
        "unix.name != @x",
        "netns != x",
        "recvq != 0",
    ] {
        for words in ["-tnHK", "-tnH --kill-dry-run"] {
            let (rows, errors, ended) = with_filter(&namespace, words, filter);
            assert!(
                rows.is_empty() && !errors.is_empty() && ended != Ended::Exit(0),
                "{words} {filter}: {errors}"
            );
        }
        assert_eq!(established(&namespace).len(), 40, "{filter} closed something");
    }
    // Valid filters mean exactly what they say: no established socket matches these.
    for filter in ["state != established", "state != connected", "state = listening", "not state = ESTAB"] {
        let (rows, errors, ended) = with_filter(&namespace, "-tnHK", filter);
        assert_eq!((rows.len(), errors.as_str(), ended), (0, "", Ended::Exit(0)), "{filter}");
        assert_eq!(established(&namespace), before, "{filter} closed something");
    }
}

#[test]
fn a_dry_run_lists_what_would_go_and_closes_nothing() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _zoo = Zoo::start(&namespace, &["unix-stream"]).ok();
    let _holder = Holder::start(&namespace, 20, 0).unwrap_or_else(|why| panic!("{why}"));
    let before = established(&namespace);
    for (words, filter, want) in [
        ("-tnH --kill-dry-run", "state = established", 40),
        ("-tnHK --kill-dry-run", "state = established", 40),
        ("-tnH --kill-dry-run", "state != established", 0),
        ("-xanH --kill-dry-run", "recv_q >= 0", 0),
        ("-tnH --kill-dry-run --jsonl", "state = established", 40),
        ("-tnH --kill-dry-run --sort remote.port", "state = established", 40),
    ] {
        let (rows, errors, ended) = with_filter(&namespace, words, filter);
        let rows = rows.iter().filter(|row| row.contains("127.")).count();
        assert_eq!((rows, ended), (want, Ended::Exit(0)), "{words} {filter}");
        let told = format!("ss: {want} sockets would be closed");
        assert!(errors.starts_with(&told), "{words} {filter}: {errors}");
        assert_eq!(established(&namespace), before, "{words} closed something");
    }
    // And the established sockets are those that are closed.
    let (rows, ..) = with_filter(&namespace, "-tnHK", "state = established");
    assert!(!rows.is_empty() && established(&namespace).is_empty(), "{rows:?}");
}

/// The reference takes a filter file that cannot be read completely for an empty filter, and
/// with `-K` that would close every socket.
#[test]
fn a_filter_file_that_cannot_be_read_closes_nothing() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _holder = Holder::start(&namespace, 5, 0).unwrap_or_else(|why| panic!("{why}"));
    let directory = env!("CARGO_TARGET_TMPDIR");
    for words in ["-tnHK -F", "-tnH --kill-dry-run -F", "-tnHK --jsonl -F"] {
        let (rows, errors, ended) = with_filter(&namespace, words, directory);
        let want = "ss: the filter file cannot be read, so nothing is closed: Is a directory\n";
        assert_eq!((rows.len(), errors.as_str(), ended), (0, want, Ended::Exit(255)), "{words}");
        assert_eq!(established(&namespace).len(), 10, "{words} closed something");
    }
    // An endless file.
    let (_, errors, _) = with_filter(&namespace, "-tnHK -F", "/dev/zero");
    assert!(errors.contains("it has more than 16 MiB"), "{errors}");
    assert_eq!(established(&namespace).len(), 10, "something was closed");
    // Without -K it is an empty filter, as in the reference.
    let (rows, errors, ended) = with_filter(&namespace, "-tnH -F", directory);
    assert_eq!((rows.len(), errors.as_str(), ended), (10, "", Ended::Exit(0)));
    let path: PathBuf = [directory, "refused-filter"].iter().collect();
    std::fs::write(&path, "state = established\n").expect("the test's own file");
    let (rows, errors, _) = with_filter(&namespace, "-tnHK -F", path.to_str().expect("a path"));
    assert!(!rows.is_empty() && established(&namespace).is_empty(), "{errors}");
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("no reference: {why}"),
    };
    let Some(theirs) = Namespace::or_skip() else { return };
    let _holder = Holder::start(&theirs, 5, 0).unwrap_or_else(|why| panic!("{why}"));
    let case = Case::new(&["-tnHK", "-F", directory]).inside(&theirs);
    let outcome = run(reference.command(), &case).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(outcome.ended, Ended::Exit(0), "{}", text(&outcome.stderr));
    assert!(
        established(&theirs).is_empty(),
        "the reference has become careful: this is no difference any more"
    );
}

/// Other languages parse `a or b and c` differently, so brackets are required; what the
/// reference accepts is parsed as it does.
#[test]
fn and_beside_or_closes_nothing_without_brackets() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _holder = Holder::start(&namespace, 5, 0).unwrap_or_else(|why| panic!("{why}"));
    let doubt = "ss: nothing is closed: and and or have the same precedence and are read from left to right; use \
         brackets\n";
    for filter in [
        "state = established or pid = 5 and cwnd > 0",
        "cwnd > 0 and pid = 5 or state = established",
        "sport = :1 or state = established dport > :0",
    ] {
        for words in ["-tnHK", "-tnH --kill-dry-run"] {
            let (rows, errors, ended) = with_filter(&namespace, words, filter);
            assert_eq!(
                (rows.len(), errors.as_str(), ended),
                (0, doubt, Ended::Exit(255)),
                "{words} {filter}"
            );
            assert_eq!(established(&namespace).len(), 10, "{words} {filter} closed something");
        }
    }
    let (rows, ..) =
        with_filter(&namespace, "-tnH --kill-dry-run", "( state = established or pid = 5 ) and cwnd > 0");
    assert_eq!(rows.len(), 10);
    let (rows, errors, ended) = with_filter(&namespace, "-tnHK", "sport = :1 and sport = :2 or dport > :0");
    assert!(!rows.is_empty() && established(&namespace).is_empty(), "{errors} {ended:?}");
}
