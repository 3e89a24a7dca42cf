//! `sockdiag top` and `sockdiag watch`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sockdiag_testkit::brief::{Account, Plan};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::until;

use super::{OURS, code, run, text};

pub(super) fn started(namespace: &Namespace, words: &str) -> Child {
    let mut command = namespace.command(OURS);
    command.args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{words}: {error}"))
}

pub(super) fn ended(namespace: &Namespace, words: &str) -> Output {
    started(namespace, words).wait_with_output().expect("it ends")
}

pub(super) fn within<T: Send>(namespace: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    namespace.with(work).unwrap_or_else(|why| panic!("{why}"))
}

/// A listener and both ends of a connection to it.
pub(super) fn connection(namespace: &Namespace) -> (TcpListener, TcpStream, TcpStream) {
    within(namespace, || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("lo is up");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let server = listener.accept().expect("it came").0;
        (listener, client, server)
    })
}

/// The JSON objects of an output, one per line.
pub(super) fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn rates_come_with_the_second_frame() {
    let Some(namespace) = super::namespace() else { return };
    let (_listener, mut client, mut server) = connection(&namespace);
    let child = started(&namespace, "top --iterations 3 --interval 400ms --jsonl");
    // The total sent, all of it after the first frame.
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
    // On a busy machine the interval between looks is not exact.
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
    assert_eq!(aligned.matches(" sent/s ").count(), 2, "{aligned}");
    for words in ["top --columns help", "top --group-by help", "wait --columns help"] {
        let out = ended(&namespace, words);
        let listed = text(&out.stdout);
        let has_field = listed.lines().any(|line| {
            line.starts_with("tcp.rtt_us ")
                && line.contains("(microseconds, u32, gauge) Smoothed round-trip time.")
        });
        assert!(code(&out) == 0 && has_field, "{words}: {listed}{}", text(&out.stderr));
    }
    for preset in ["traffic", "latency", "loss", "queues", "memory", "limits", "endings"] {
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
fn what_cannot_be_meant_is_said_at_once() {
    let Some(namespace) = super::namespace() else { return };
    for (words, status, said) in [
        ("top --once --group-by state --columns count", 0, ""),
        ("top --once --group-by state --sort -count", 0, ""),
        ("top --once bogus = 3", 2, "there is no field \"bogus\""),
        ("watch --for 1s rttt > 5ms", 2, "there is no field \"rttt\" (is it"),
        ("wait bogus = 3", 2, "there is no field \"bogus\""),
        ("top --limit -1", 2, "invalid value '-1' for '--limit"),
        ("wait --timeout -1 sport = :1", 2, "invalid value '-1' for '--timeout"),
    ] {
        let begun = std::time::Instant::now();
        let out = ended(&namespace, words);
        let err = text(&out.stderr);
        assert_eq!(code(&out), status, "{words}: {err}");
        assert!(err.contains(said) && !err.contains("'-- -1'"), "{words}: {err}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{words}");
    }
}

/// The standard library opens /dev/null in place of a closed output, which must not hide it.
#[test]
fn a_closed_output_is_a_failure() {
    let run = |words: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(format!("exec {} {words} >&-", super::OURS));
        shell.output().expect("it runs")
    };
    for words in ["top --once --limit 1", "watch --help", "generate bash", "top --once --jsonl -l"] {
        let out = run(words);
        let err = text(&out.stderr);
        assert!(code(&out) == 5 && err.contains("cannot write the output"), "{words}: {err}");
    }
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
        let heading = if tables == "-tu" { "sent/s" } else { "recv_q" };
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
    // The server closed first, and both ends closed in order.
    let ended = closed["socket"]["ended"].as_str().expect("it says how");
    assert!(["closed-by-us", "closed-by-peer"].contains(&ended), "{closed}");
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

/// Waits until this many programs are subscribed to closed sockets, and have looked once.
fn listening(namespace: &Namespace, programs: usize) {
    assert!(until(|| namespace.followers().is_ok_and(|followers| followers.len() == programs)));
    std::thread::sleep(Duration::from_millis(400));
}

/// Closed sockets, and those left in TIME-WAIT, are marked in each format of `top`.
#[test]
fn what_ended_is_marked() {
    let Some(namespace) = super::namespace() else { return };
    let (_listener, client, server) = connection(&namespace);
    let [port, to] = [&client, &server].map(|end| end.local_addr().expect("bound").port());
    let words = "top -a --iterations 12 --interval 150ms";
    let children = ["--jsonl", "--csv", "-4"].map(|form| started(&namespace, &format!("{words} {form}")));
    let only = started(&namespace, &format!("{words} --jsonl ended = closed-by-peer"));
    listening(&namespace, 4);
    drop(client);
    std::thread::sleep(Duration::from_millis(400));
    drop(server);
    let [json, csv, aligned] = children.map(|child| text(&child.wait_with_output().expect("it ends").stdout));
    // The kernel reports each end once, even if the connection continues in TIME-WAIT.
    let marks = |rows: &[Value], port: u16, state: &str| -> Vec<String> {
        let rows = rows.iter().filter(|row| row["local"]["port"] == port && row["socket"]["state"] == state);
        rows.map(|row| row["socket"]["ended"].as_str().unwrap_or("-").to_owned()).collect()
    };
    let rows = objects(&json);
    assert_eq!(marks(&rows, port, "UNCONN"), ["closed-by-us"], "{json}");
    assert_eq!(marks(&rows, to, "UNCONN"), ["closed-by-peer"], "{json}");
    let waiting = marks(&rows, port, "TIME-WAIT");
    assert!(!waiting.is_empty() && waiting.iter().all(|mark| mark == "closed-by-us"), "{json}");
    let open: Vec<String> = ["ESTAB", "LISTEN"].iter().flat_map(|state| marks(&rows, to, state)).collect();
    assert!(open.len() > 8 && open.iter().all(|mark| mark == "-"), "{json}");
    let header: Vec<&str> = csv.lines().next().expect("a header").split(',').collect();
    let at = header.iter().position(|name| *name == "socket.ended").expect("it is a column");
    let cells = csv.lines().skip(1).map(|line| line.split(',').nth(at).expect("a cell"));
    assert_eq!(cells.filter(|cell| *cell == "closed-by-peer").count(), 1, "{csv}");
    assert!(aligned.contains("closed-by-peer") && aligned.contains("TIME-WAIT"), "{aligned}");
    let only = objects(&text(&only.wait_with_output().expect("it ends").stdout));
    assert_eq!((only.len(), marks(&only, to, "UNCONN").len()), (1, 1), "{only:?}");
    // The text output of watch marks them too.
    let watch = started(&namespace, "watch --interval 150ms --for 2s");
    listening(&namespace, 1);
    let (_listener, client, server) = connection(&namespace);
    std::thread::sleep(Duration::from_millis(400));
    drop(client);
    std::thread::sleep(Duration::from_millis(400));
    drop(server);
    let lines = text(&watch.wait_with_output().expect("it ends").stdout);
    let closed: Vec<&str> = lines.lines().filter(|line| line.split(' ').nth(1) == Some("-")).collect();
    assert!(closed.len() == 2 && closed.iter().all(|line| line.contains(" ended=closed-by-")), "{lines}");
}

/// Milliseconds of the day.
fn milliseconds(time: &str) -> f64 {
    let clock = time.split_once('T').expect("a date").1.trim_end_matches('Z');
    clock.split(':').fold(0.0, |all, part| all * 60.0 + part.parse::<f64>().expect("a number")) * 1000.0
}

/// A program that is stopped for a while shows the rate over the whole time, never a negative
/// or absurd one.
#[test]
fn an_observer_that_is_suspended_shows_true_rates() {
    let Some(namespace) = super::namespace() else { return };
    let (_listener, mut client, mut server) = connection(&namespace);
    let port = client.local_addr().expect("bound").port();
    let words =
        format!("top --iterations 16 --interval 200ms --jsonl --columns bytes_sent_per_s sport = :{port}");
    let is_over = AtomicBool::new(false);
    let since = Instant::now();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let start = now.as_secs_f64() % 86_400.0 * 1000.0;
    // How many bytes were sent by when, in milliseconds of the day.
    let sent: Mutex<Vec<(f64, f64)>> = Mutex::new(Vec::new());
    let out = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (chunk, mut buffer, mut all) = (vec![9; 20_000], vec![0; 20_000], 0.0);
            while !is_over.load(Ordering::Relaxed) {
                client.write_all(&chunk).expect("it is read");
                server.read_exact(&mut buffer).expect("it was sent");
                all += 20_000.0;
                let now = start + since.elapsed().as_secs_f64() * 1000.0;
                sent.lock().expect("no panic").push((now, all));
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let child = started(&namespace, &words);
        let pid = Pid::from_child(&child);
        std::thread::sleep(Duration::from_millis(900));
        kill_process(pid, Signal::STOP).expect("it is ours");
        std::thread::sleep(Duration::from_millis(1500));
        kill_process(pid, Signal::CONT).expect("it is ours");
        let out = child.wait_with_output();
        is_over.store(true, Ordering::Relaxed);
        out.expect("it ends")
    });
    let sent = sent.into_inner().expect("no panic");
    let by = |time: f64| sent.iter().rev().find(|(at, _)| *at <= time).map_or(0.0, |(_, all)| *all);
    let rows = objects(&text(&out.stdout));
    let times: Vec<f64> =
        rows.iter().map(|row| milliseconds(row["time"].as_str().expect("a time"))).collect();
    assert_eq!(rows.len(), 16, "{}", text(&out.stdout));
    let (mut sum, mut longest) = (0.0, 0.0_f64);
    // A frame carries the time when its look began; the look takes time on a busy machine.
    const LATE: f64 = 80.0;
    for (frame, pair) in times.windows(2).enumerate() {
        let rates = &rows[frame + 1]["rate"];
        let [rate, error] = ["bytes_sent_per_s", "bytes_sent_per_s_error"]
            .map(|name| rates[name].as_f64().unwrap_or_else(|| panic!("{name}: {rates}")));
        let seconds = (pair[1] - pair[0]) / 1000.0;
        (sum, longest) = (sum + rate * seconds, longest.max(seconds));
        let [least, most] =
            [(LATE, 0.0), (0.0, LATE)].map(|(begin, end)| by(pair[1] + end) - by(pair[0] + begin));
        let is_near = rate + error >= least / (seconds + LATE / 1000.0) - 1.0
            && rate - error <= (most + 20_000.0) / (seconds - LATE / 1000.0).max(0.01);
        assert!(is_near, "{rate} ± {error} in {seconds} s, {least} to {most} bytes: {times:?}");
    }
    let made = by(times[15]) - by(times[0]);
    eprintln!("figures: rates: an observer that was stopped: {sum:.0} of {made} bytes, longest {longest} s");
    assert!(longest > 1.3, "it was not stopped: {times:?}");
    assert!((sum - made).abs() < 0.05 * made, "{sum} of {made}");
}

/// Connections of a few milliseconds beside a watcher: what it shows and counts as lost is
/// exactly what was made.  (`cargo xtask closings` makes 100,000.)
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

/// The kernel drops messages to a stopped watcher once its queue is full.
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
    // The program ends when its reader goes away.
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
