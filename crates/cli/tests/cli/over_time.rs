//! `sockdiag top` and `sockdiag watch`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sockdiag_testkit::brief::{Account, Plan};
use sockdiag_testkit::netns::Namespace;

use super::{OURS, code, run, text};

fn started(namespace: &Namespace, words: &str) -> Child {
    let mut command = namespace.command(OURS);
    command.args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{words}: {error}"))
}

fn ended(namespace: &Namespace, words: &str) -> Output {
    started(namespace, words).wait_with_output().expect("it ends")
}

fn within<T: Send>(namespace: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    namespace.with(work).unwrap_or_else(|why| panic!("{why}"))
}

/// A listener and both ends of a connection to it.
fn connection(namespace: &Namespace) -> (TcpListener, TcpStream, TcpStream) {
    within(namespace, || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("lo is up");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let server = listener.accept().expect("it came").0;
        (listener, client, server)
    })
}

/// The objects of an output, a line each.
fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn rates_come_with_the_second_frame() {
    let Some(namespace) = super::namespace() else { return };
    let (_listener, mut client, mut server) = connection(&namespace);
    let child = started(&namespace, "top --iterations 3 --interval 400ms --jsonl");
    // So many bytes in all, none of them before the first frame.
    std::thread::sleep(Duration::from_millis(200));
    let sent = 40_000.0;
    for _ in 0..4 {
        client.write_all(&[7; 10_000]).expect("it is read");
        server.read_exact(&mut [0; 10_000]).expect("it was sent");
    }
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(code(&out), 0, "{}", text(&out.stderr));
    let rows = objects(&text(&out.stdout));
    assert_eq!(rows.len(), 6, "{}", text(&out.stdout));
    let port = client.local_addr().expect("bound").port();
    let mut moved = 0.0;
    for row in &rows {
        assert!(row["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{row}");
        let rates = &row["rate"];
        let frame = row["frame"].as_u64().expect("a number");
        assert_eq!(rates["bytes_sent_per_s"].is_number(), frame > 0, "{row}");
        assert_eq!(rates["bytes_received_per_s_error"].is_number(), frame > 0, "{row}");
        if row["local"]["port"] == port && frame > 0 {
            moved += rates["bytes_sent_per_s"].as_f64().expect("a rate") * 0.4;
        }
        assert!(row["socket"].get("processes").is_some(), "{row}");
    }
    // Looks are not exactly that far from each other on a busy machine.
    assert!((0.5..1.6).contains(&(moved / sent)), "{moved} of {sent}");
}

#[test]
fn frames_are_written_in_every_form() {
    let Some(namespace) = super::namespace() else { return };
    let (listener, client, _server) = connection(&namespace);
    let port = listener.local_addr().expect("bound").port();
    let csv = text(&ended(&namespace, "top --iterations 2 --interval 50ms --csv --columns local.port,rate.segs_in_per_s --sort local.port").stdout);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.first(), Some(&"frame,time,local.port,rate.segs_in_per_s"), "{csv}");
    assert_eq!(lines.len(), 5, "{csv}");
    assert!(lines[1].starts_with("0,") && lines[4].starts_with("1,") && lines[1].ends_with(','), "{csv}");
    let tsv =
        text(&ended(&namespace, "top --once --tsv --columns local.port --limit 1 --sort -local.port").stdout);
    let largest = port.max(client.local_addr().expect("bound").port());
    assert!(
        tsv.starts_with("frame\ttime\tlocal.port\n0\t") && tsv.ends_with(&format!("\t{largest}\n")),
        "{tsv}"
    );
    let aligned = text(&ended(&namespace, "top --iterations 2 --interval 50ms").stdout);
    assert_eq!(aligned.matches("2 sockets").count(), 2, "{aligned}");
    assert_eq!(aligned.matches("bytes_sent_per_s").count(), 2, "{aligned}");
    for preset in ["traffic", "latency", "loss", "queues", "memory"] {
        let out = ended(&namespace, &format!("top --once --jsonl --preset {preset}"));
        assert_eq!(
            (code(&out), objects(&text(&out.stdout)).len()),
            (0, 2),
            "{preset}: {}",
            text(&out.stderr)
        );
        let out = ended(&namespace, &format!("top --once --group-by state --preset {preset}"));
        assert!(
            text(&out.stdout).contains("ESTAB      2"),
            "{preset}: {}{}",
            text(&out.stdout),
            text(&out.stderr)
        );
    }
    let groups = ended(&namespace, "top --once --jsonl --group-by remote.addr/24,state");
    let groups = objects(&text(&groups.stdout));
    assert_eq!(
        (groups.len(), &groups[0]["count"], &groups[0]["frame"]),
        (1, &Value::from(2), &Value::from(0))
    );
    let by_count = ended(&namespace, "top --once --group-by local.port --sort -local.port --csv --limit 1");
    assert!(text(&by_count.stdout).contains(&format!(",{largest},1,")), "{}", text(&by_count.stdout));
}

#[test]
fn who_stays_sees_what_ends_and_nothing_new() {
    let Some(namespace) = super::namespace() else { return };
    let (listener, client, server) = connection(&namespace);
    let port = client.local_addr().expect("bound").port();
    let top = started(&namespace, "top --stay --iterations 4 --interval 400ms --jsonl");
    let watch = started(&namespace, "watch --stay --for 1600ms --interval 200ms --jsonl");
    std::thread::sleep(Duration::from_millis(600));
    let to = listener.local_addr().expect("bound");
    let more = within(&namespace, || (TcpStream::connect(to).expect("it listens"), listener.accept()));
    drop((client, server));
    let outs = [top, watch].map(|child| child.wait_with_output().expect("it ends"));
    drop(more);
    let [rows, changes] = outs.map(|out| {
        assert_eq!((code(&out), text(&out.stderr).as_str()), (0, ""));
        objects(&text(&out.stdout))
    });
    let of_frame = |frame: u64| rows.iter().filter(|row| row["frame"] == frame).count();
    assert_eq!((of_frame(0), of_frame(3)), (2, 0), "{rows:?}");
    let closed = changes.iter().filter(|row| row["change"] == "closed").count();
    let opened = changes.iter().filter(|row| row["change"] == "opened").count();
    assert_eq!((closed, opened), (2, 0), "{changes:?}");
    assert!(
        rows.iter().all(|row| [&row["local"]["port"], &row["remote"]["port"]].contains(&&Value::from(port)))
    );
}

#[test]
fn sockets_that_count_no_bytes_show_queues_and_it_is_said() {
    let Some(namespace) = super::namespace() else { return };
    for (tables, shown) in
        [("-u", "queues and drops"), ("-tu", "only TCP and MPTCP"), ("-x", "queues and drops")]
    {
        let out = ended(&namespace, &format!("top --once {tables}"));
        assert_eq!(code(&out), 0, "{}", text(&out.stderr));
        assert!(text(&out.stderr).contains(shown), "{tables}: {}", text(&out.stderr));
        let heading = if tables == "-tu" { "bytes_sent_per_s" } else { "recv_q" };
        assert!(text(&out.stdout).contains(heading), "{tables}: {}", text(&out.stdout));
    }
    assert!(ended(&namespace, "top --once").stderr.is_empty());
}

#[test]
fn a_socket_that_opens_changes_and_closes_is_a_line_each() {
    let Some(namespace) = super::namespace() else { return };
    let mut child =
        started(&namespace, "watch --jsonl --interval 200ms --for 20s --fields tcp.bytes_received");
    std::thread::sleep(Duration::from_millis(600));
    let (listener, mut client, mut server) = connection(&namespace);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = |change: &str| {
        for line in lines.by_ref() {
            let object: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            if object["change"] == change {
                return object;
            }
        }
        panic!("{change} did not come");
    };
    let (one, two) = (next("opened"), next("opened"));
    let ports = [&one, &two].map(|object| object["local"]["port"].clone());
    assert!(ports.contains(&listener.local_addr().expect("bound").port().into()), "{one} {two}");
    client.write_all(&[1; 5000]).expect("it is read");
    server.read_exact(&mut [0; 5000]).expect("it was sent");
    let changed = next("changed");
    assert_eq!(changed["fields"], "tcp.bytes_received", "{changed}");
    assert_eq!(changed["tcp"]["bytes_received"], 5000, "{changed}");
    server.shutdown(Shutdown::Write).expect("connected");
    let changed = next("changed");
    assert_eq!(changed["state_was"], "ESTAB", "{changed}");
    drop((client, server));
    let closed = next("closed");
    assert!(closed["socket"]["age_ms"].is_number(), "{closed}");
    child.kill().expect("it runs");
    let _ = child.wait();
}

#[test]
fn nothing_is_written_while_nothing_happens() {
    let Some(namespace) = super::namespace() else { return };
    let _connection = connection(&namespace);
    for words in ["watch --interval 100ms --for 1s", "watch -a --jsonl --interval 100ms --for 1s"] {
        let out = ended(&namespace, words);
        assert_eq!(
            (code(&out), text(&out.stdout).as_str(), text(&out.stderr).as_str()),
            (0, "", ""),
            "{words}"
        );
    }
}

/// Connections of a few milliseconds beside a watcher: what it shows and counts is
/// what was made.  (`cargo xtask closings` makes 100,000.)
fn closings_add_up(plan: Plan) {
    if super::namespace().is_none() {
        return;
    }
    let account = Account::beside(Path::new(OURS), plan).unwrap_or_else(|why| panic!("{why}"));
    println!("{account}");
    assert_eq!(account.wrong(), [""; 0], "{account}");
    let read = plan.stalled.is_zero();
    assert!(!read || account.said.lost == 0, "{account}");
}

#[test]
fn closings_shown_are_those_that_were_made() {
    closings_add_up(Plan { connections: 15_000, per_second: 7_500, stalled: Duration::ZERO });
}

/// Its messages are lost when the kernel's queue for them is full.
#[test]
fn closings_shown_and_lost_are_those_that_were_made() {
    closings_add_up(Plan { connections: 35_000, per_second: 10_000, stalled: Duration::from_secs(5) });
}

#[test]
fn bad_days_are_said() {
    for words in [
        &["top", "--once", "--columns", "nothing"][..],
        &["top", "--once", "--sort", "nothing"],
        &["top", "--once", "--preset", "nothing"],
        &["top", "--once", "--iterations", "2"],
        &["top", "--once", "--group-by", "state", "--sort", "nothing"],
        &["top", "--interval", "0"],
        &["top", "--once", "sport", "="],
        &["watch", "--fields", "nothing"],
        &["watch", "--for", "soon"],
    ] {
        let out = run(words);
        assert_eq!((code(&out), out.stdout.len()), (2, 0), "{words:?}: {}", text(&out.stderr));
        assert!(!out.stderr.is_empty(), "{words:?}");
    }
    for words in
        [&["top", "--once", "--netns", "no-such"][..], &["watch", "--for", "0", "--netns", "no-such"]]
    {
        assert_eq!(code(&run(words)), 3, "{words:?}");
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let out = Command::new(OURS).args(["top", "--once"]).stdout(full).output().expect("it runs");
    assert_eq!(code(&out), 5, "{}", text(&out.stderr));
    // A reader that goes away ends it.
    let Some(namespace) = super::namespace() else { return };
    let mut child = started(&namespace, "top --interval 20ms");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_namespace_that_ends_is_said_and_the_rest_goes_on() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let words = format!(
        "top --iterations 4 --interval 300ms --jsonl -a --netns pid:{},pid:{}",
        namespace.pid(),
        std::process::id()
    );
    let child = {
        let mut command = Command::new(OURS);
        command.args(words.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it runs")
    };
    std::thread::sleep(Duration::from_millis(450));
    drop(namespace);
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(code(&out), 0, "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("network namespace"), "{}", text(&out.stderr));
    let _ = objects(&text(&out.stdout));
}
