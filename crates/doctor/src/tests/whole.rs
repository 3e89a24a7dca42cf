//! Complete findings: causes and consequences, order, confidence, and the document.

use sockdiag_facts::fields::Catalog;
use sockdiag_facts::model::TableSet;

use super::rules;
use super::scene::Scene;
use crate::{About, Confidence, Doctor, Finding, Severity, document, explanation, markdown, schema};

fn doctor() -> Doctor {
    Doctor::of(&Catalog::extended(), rules())
}

fn found(text: &str) -> Vec<Finding> {
    Scene::parse(text).examine(&mut doctor())
}

fn ids(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.id.as_str()).collect()
}

fn explained(finding: &Finding) -> Vec<&str> {
    finding.explains.iter().map(|(id, _)| id.as_str()).collect()
}

const FULL: &str = "tcp listening 0.0.0.0:8080 send_q=128 recv_q=129 drops=3>40
    tcp close-wait 10.0.0.1:8080 10.0.0.2:40000 inode=0
    net TcpExt.ListenOverflows=3>40 TcpExt.ListenDrops=3>40 TcpExt.TCPSynRetrans=0>50 Tcp.ActiveOpens=0>100 Tcp.PassiveOpens=0>50";

#[test]
fn a_cause_is_told_with_what_follows_from_it() {
    let text = format!("{FULL}\ntcp syn-sent 10.0.0.9:50000 10.0.0.1:8080 timer=1 retrans=4");
    let findings = found(&text);
    assert_eq!(ids(&findings), ["accept-queue-overflow"], "{findings:#?}");
    let mut of = explained(&findings[0]);
    of.sort_unstable();
    assert_eq!(of, ["abandoned-before-accept", "connects-vanish", "handshake-loss", "listen-drops"]);
    assert!(
        findings[0]
            .sentence
            .starts_with("129 connections are waiting to be accepted at 0.0.0.0:8080 (limit 128); 37 more")
    );
    assert_eq!(findings[0].title, "The accept queue of 0.0.0.0:8080 is full");
    assert_eq!(findings[0].next, "ss -ltnp 'sport = :8080'");
}

#[test]
fn what_happens_elsewhere_does_not_follow() {
    let text = format!("{FULL}\ntcp syn-sent 10.0.0.9:50000 10.0.0.1:9090 timer=1 retrans=4");
    let findings = found(&text);
    assert_eq!(ids(&findings), ["accept-queue-overflow", "connects-vanish"]);
}

#[test]
fn a_reader_that_sleeps_explains_the_window_that_its_peer_sees() {
    let findings = found(
        "tcp listening 127.0.0.1:443 send_q=9
        tcp established 127.0.0.1:443 127.0.0.1:40000 recv_q=40000 rmem=90000 tcpi_bytes_received=40000 tcpi_rcv_wnd=100 tcpi_last_data_recv=3000
        tcp established 127.0.0.1:40000 127.0.0.1:443 timer=4 retrans=7 tcpi_notsent_bytes=50000 tcpi_last_data_sent=20000
        net TcpExt.TCPToZeroWindowAdv=0>3",
    );
    assert_eq!(ids(&findings), ["reader-stalled"], "{findings:#?}");
    let of = explained(&findings[0]);
    for id in ["zero-window", "window-closed-by-us", "windows-closed"] {
        assert!(of.contains(&id), "{id} is not in {of:?}");
    }
}

#[test]
fn the_worst_comes_first_then_what_moves_more() {
    let sender = |port: u16, retrans: u32, bytes: u64| {
        format!(
            "tcp established 10.0.0.1:40000 10.0.0.2:{port} tcpi_data_segs_out=0>1000 tcpi_bytes_sent=0>1000000 \
             tcpi_bytes_acked=0>{bytes} tcpi_total_retrans=0>{retrans} tcpi_bytes_retrans=0>{}",
            retrans * 1000
        )
    };
    let text = [sender(1, 20, 100_000), sender(2, 20, 900_000), sender(3, 90, 1000)].join("\n");
    let findings = found(&text);
    let retransmits: Vec<(Severity, &str)> = findings
        .iter()
        .filter(|finding| finding.id.starts_with("retransmits"))
        .map(|finding| (finding.severity, finding.title.rsplit(' ').nth(3).unwrap_or_default()))
        .collect();
    let order: Vec<Severity> = retransmits.iter().map(|(severity, _)| *severity).collect();
    assert!(order.is_sorted_by(|a, b| a >= b), "{retransmits:?}");
    let all: Vec<Severity> = findings.iter().map(|finding| finding.severity).collect();
    assert!(all.is_sorted_by(|a, b| a >= b), "{all:?}");
}

#[test]
fn sockets_that_are_bad_alike_are_told_together() {
    let findings = found(
        "tcp syn-sent 10.0.0.1:40000 10.0.0.2:443 timer=1 retrans=2 *30 vary=lport
        tcp established 10.0.0.1:50000 10.0.0.3:5432 tcpi_unacked=3 tcpi_backoff=4 *7 vary=lport",
    );
    assert_eq!(ids(&findings), ["connects-vanish", "connection-dying"]);
    assert_eq!(findings.iter().map(|finding| finding.sockets).collect::<Vec<_>>(), [30, 7]);
}

#[test]
fn what_a_healthy_machine_shows_is_no_finding() {
    let findings = found(
        "tcp listening 0.0.0.0:443 send_q=511 recv_q=2
        tcp established 10.0.0.1:443 10.0.0.2:40000 tcpi_data_segs_out=0>5000 tcpi_bytes_sent=0>7000000 \
         tcpi_bytes_acked=0>7000000 tcpi_busy_time=0>900000 tcpi_delivery_rate=90000000 *40 vary=rport
        tcp time-wait 10.0.0.1:443 10.0.0.9:40000 timer=3 expires=30000 *200 vary=rport
        udp unconnected 0.0.0.0:53 rcvbuf=212992
        u_str listening 0.0.0.0:0 recv_q=0 send_q=128
        net TcpExt.ListenOverflows=9>9 TcpExt.TCPSynRetrans=9>9 Tcp.ActiveOpens=0>100 Tcp.PassiveOpens=0>500 Tcp.OutRsts=0>3
        sockstat TCP.orphan=3
        sysctl net.ipv4.tcp_max_orphans=65536
        process nginx pid=4711 open=300 most=65536",
    );
    assert_eq!(ids(&findings), Vec::<&str>::new(), "{findings:#?}");
}

#[test]
fn what_is_near_its_threshold_is_less_sure() {
    let of = |busy: u32| {
        let text = format!(
            "tcp established 10.0.0.1:40000 10.0.0.2:443 tcpi_data_segs_out=0>1000 tcpi_busy_time=0>{busy}"
        );
        let findings = found(&text);
        let one = findings.iter().find(|finding| finding.id == "network-limited").expect("it is found");
        (one.confidence, one.quantity.error)
    };
    assert_eq!(of(4_000_000).0, Confidence::High);
    let (confidence, error) = of(2_505_000);
    assert_eq!(confidence, Confidence::Medium, "{error:?}");
    assert!(error.is_some_and(|error| error > 0.001), "{error:?}");
}

#[test]
fn what_cannot_be_judged_is_told_with_the_reason() {
    let mut doctor = doctor();
    Scene::parse("net TcpExt.ListenOverflows=3>3").examine(&mut doctor);
    let not_judged = doctor.not_judged(TableSet::only(sockdiag_facts::Table::Tcp), true);
    let why = |id: &str| not_judged.iter().find(|left| left.id == id).map(|left| left.why.as_str());
    assert_eq!(why("udp-receive-drops"), Some("none of its tables was read"));
    assert!(why("local-queue-repeats").is_some_and(|why| why.contains("does not report")));
    assert_eq!((why("listen-drops"), why("retransmits")), (None, None));
    let mut without = Doctor::of(&Catalog::extended(), rules());
    without.judge_others(&[], &[]);
    let not_judged = without.not_judged(TableSet::ALL, false);
    assert!(not_judged.iter().any(|left| left.id == "retransmits" && left.why == "it needs two samples"));
}

#[test]
fn the_document_is_of_its_schema() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is one");
    let text = format!(
        "{FULL}\nprocess nginx pid=4711 open=1000 most=1024\nunseen the table of UDP\n\
         tcp established 10.0.0.1:40000 10.0.0.2:443 tcpi_data_segs_out=0>1000 tcpi_busy_time=0>4000000"
    );
    let mut doctor = doctor();
    let findings = Scene::parse(&text).examine(&mut doctor);
    assert!(findings.len() >= 4, "{:?}", ids(&findings));
    let about = About { sockets: doctor.judged(), namespaces: 1, rules: 70 };
    let not_judged = doctor.not_judged(TableSet::only(sockdiag_facts::Table::Tcp), true);
    for findings in [findings.as_slice(), &[]] {
        let text = document(5.0, &about, findings, &not_judged, doctor.unseen()).expect("it is written");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let of = value["findings"].as_array().expect("a list");
        assert_eq!(of.len(), findings.len());
        assert!(of.iter().zip(findings).all(|(value, finding)| value["id"] == finding.id.as_str()));
    }
    assert!(!validator.is_valid(&serde_json::json!({ "schema_version": 1 })));
}

#[test]
fn every_rule_is_explained() {
    let rules = rules();
    for rule in &rules {
        let text = explanation(rule);
        for part in
            ["Measures:", "Thresholds:", "It could also be:", "What to do next:", "By hand:", "See also:"]
        {
            assert!(text.contains(part), "{}: no {part}", rule.rule.id());
        }
        let by_hand = &rule.rule.check;
        let has_tool = ["ss ", "ss:", "nstat", "sockstat", "/proc", "sockdiag", "snd_mss", "mss /"]
            .iter()
            .any(|tool| by_hand.contains(tool));
        assert!(has_tool, "{}: {by_hand}", rule.rule.id());
        assert!(rule.rule.manual.ends_with(')'), "{}", rule.rule.id());
        for (severity, at) in [("warning", &rule.rule.warning), ("critical", &rule.rule.critical)] {
            assert!(at.is_none() || text.contains(severity), "{}: {severity}", rule.rule.id());
        }
        for consequence in &rule.explains {
            assert!(
                rules.iter().any(|other| other.rule.id() == consequence.id),
                "{} explains {}, which is no rule",
                rule.rule.id(),
                consequence.id
            );
        }
    }
    let page = markdown(&rules);
    assert!(rules.iter().all(|rule| page.contains(&format!("### {}\n", rule.rule.id()))));
}

/// Every number in the table of diagnoses has a rule, except those that cannot be determined.
#[test]
fn the_table_of_diagnoses_is_whole() {
    let rules = rules();
    let sections = [('A', 11), ('B', 15), ('C', 10), ('D', 10), ('E', 13), ('F', 5)];
    let missing: Vec<String> = sections
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")))
        .filter(|number| !rules.iter().any(|rule| rule.rule.number == *number))
        .collect();
    // The kernel does not report whether the local address of a connection was bound.
    assert_eq!(missing, ["E3"]);
}

#[test]
fn suspects_are_few_and_each_is_there_once() {
    let mut doctor = doctor();
    let text = "tcp listening 0.0.0.0:8080 send_q=128 recv_q=129 drops=3>40
        tcp established 10.0.0.1:40000 10.0.0.2:443 tcpi_unacked=3 tcpi_backoff=7 tcpi_bytes_acked=5 send_q=20000";
    Scene::parse(text).examine(&mut doctor);
    let suspects = doctor.suspects();
    assert_eq!(suspects.len(), 2, "the connection is found by two rules");
    assert!(suspects.iter().all(|suspect| suspect.socket().is_some()));
}

/// The value of a field in the first row at the second look.
fn value(field: &str, tables: &str, scene: &str) -> Option<f64> {
    let rule = format!(
        "[[rule]]\nid = \"field\"\nsubject = \"{}\"\n{}quantity = \"max({field})\"\nlooks = 2\ntitle = \"t\"\nsays = \"s\"\n\
         meaning = \"m\"\ncould_be = \"c\"\nnext = \"n\"\ncheck = \"c\"\nmanual = \"m(7)\"\n[rule.info]\nat = \">= -1e300\"\n\
         mark = \"judged\"\nsource = \"s\"\n",
        if tables.is_empty() { "namespace" } else { "listener" },
        if tables.is_empty() { String::new() } else { format!("tables = [\"{tables}\"]\n") },
    );
    let catalog = Catalog::extended();
    let rules = crate::read(&catalog, "field.toml", &rule).unwrap_or_else(|error| panic!("{error}"));
    let findings = Scene::parse(scene).examine(&mut Doctor::of(&catalog, rules));
    findings.first().map(|finding| finding.quantity.value)
}

/// All numbers in a scene differ, so that no other formula gives the same value.
#[test]
fn every_field_that_is_judged_has_its_formula() {
    let tcp = "tcp established 10.0.0.1:40000 10.0.0.2:443 recv_q=3000>7000 send_q=90000 rmem=20000 rcvbuf=50000 wmem=30000 \
        sndbuf=64000 wqueued=16000 drops=5>25 cong=bbr bbr_bw=8000000 tcpi_rtt=30000 tcpi_min_rtt=20000 tcpi_rttvar=5000 \
        tcpi_snd_wnd=28960 tcpi_snd_cwnd=40 tcpi_snd_mss=1448 tcpi_notsent_bytes=30000 tcpi_delivery_rate=2000000 \
        tcpi_max_pacing_rate=4000000 tcpi_rcv_wnd=7000 tcpi_rcv_mss=1400 tcpi_last_data_recv=900 tcpi_last_ack_recv=700 \
        tcpi_bytes_received=0>1400000 tcpi_bytes_sent=0>1000000 tcpi_bytes_acked=0>900000 tcpi_bytes_retrans=0>10000 \
        tcpi_total_retrans=0>8 tcpi_dsack_dups=0>2 tcpi_data_segs_out=0>800 tcpi_delivered_ce=0>40 tcpi_reord_seen=0>6 \
        tcpi_rcv_ooopack=0>50 tcpi_total_rto_time=0>250 tcpi_busy_time=0>4000000 tcpi_rwnd_limited=0>1000000 \
        tcpi_sndbuf_limited=0>400000 tcpi_rcv_rtt=10000
        sysctl net.ipv4.tcp_fin_timeout=7";
    let mut tested = Vec::new();
    let mut is = |field: &str, tables: &str, scene: &str, want: f64| {
        let got = value(field, tables, scene);
        assert!(
            got.is_some_and(|got| (got - want).abs() < 6e-5 + want.abs() * 1e-4),
            "{field} is {got:?}, not {want}"
        );
        tested.push(field.to_owned());
    };
    for (field, want) in [
        ("socket.recv_share", 0.4),
        ("socket.send_share", 0.25),
        ("delta.drops", 20.0),
        ("delta.drops_per_min", 240.0),
        ("delta.recv_q_bytes", 4000.0),
        ("tcp.rtt_growth", 1.5),
        ("tcp.jitter_share", 0.25),
        ("tcp.peer_window_share", 0.5),
        ("tcp.local_queue_share", 0.5),
        ("tcp.buffer_bdp_share", 0.724),
        ("tcp.pacing_share", 0.5),
        ("tcp.bbr_share", 0.25),
        ("tcp.rcv_wnd_segments", 5.0),
        ("tcp.quiet_ms", 700.0),
        ("tcp.fin_timeout_share", 0.1),
        ("delta.bytes_sent", 1_000_000.0),
        ("delta.bytes_retrans", 10_000.0),
        ("delta.bytes_acked", 900_000.0),
        ("delta.bytes_received", 1_400_000.0),
        ("delta.data_segs_out", 800.0),
        ("delta.retrans", 8.0),
        ("delta.dsack_dups", 2.0),
        ("delta.delivered_ce", 40.0),
        ("delta.reord_seen", 6.0),
        ("delta.rcv_ooopack", 50.0),
        ("rate.bytes_read_per_s", 279_200.0),
        ("unread_us", 25_072.0),
        ("ratio.out_of_order", 0.05),
        ("ratio.dropped", 20.0 / 1020.0),
        ("ratio.congestion_marks", 0.05),
        ("share.timeouts", 0.05),
        ("share.receiver_of_busy", 0.25),
        ("share.sndbuf_of_busy", 0.1),
        ("tcp.window_use", 180_000.0 * 0.02 / 65_535.0),
        ("tcp.rcv_wnd_bdp_share", 2.5),
        ("tcp.rmem_bdp_share", 20_000.0 / 2800.0),
        ("tcp.loss_rate_share", 180_000.0 / (1.22 * 1448.0 / (0.03 * 0.1))),
    ] {
        is(field, "tcp", tcp, want);
    }
    let listener = "tcp listening 0.0.0.0:443 recv_q=3 send_q=19
        tcp syn-recv 10.0.0.1:443 10.0.0.2:50000 timer=1 retrans=0 *3 vary=rport
        tcp syn-recv 10.0.0.1:443 10.0.0.3:50000 timer=1 retrans=1 *2 vary=rport
        tcp close-wait 10.0.0.1:443 10.0.0.4:50000 inode=0 *4 vary=rport
        sysctl net.ipv4.tcp_max_syn_backlog=10";
    for (field, want) in [
        ("listener.queue_share", 0.15),
        ("listener.next_place", 4.0),
        ("listener.syn_recv", 5.0),
        ("listener.syn_recv_again", 2.0),
        ("listener.syn_recv_share", 0.5),
        ("listener.abandoned", 4.0),
        ("listener.abandoned_share", 0.2),
    ] {
        is(field, "tcp", listener, want);
    }
    let joined = "tcp established 10.0.0.1:40000 10.0.0.2:443 *25 vary=lport
        tcp established 10.0.0.1:40000 10.0.0.3:443 options=1 *75 vary=raddr
        ports 100";
    is("ports.towards_share", "tcp", joined, 0.25);
    is("netns.options_share", "tcp", joined, 0.25);
    is("service.port", "tcp", joined, 443.0);
    let net = "net TcpExt.TCPSynRetrans=2>12 Tcp.ActiveOpens=0>30 Tcp.PassiveOpens=5>25 Tcp.OutRsts=1>18 \
        TcpExt.TCPAbortOnClose=0>3 TcpExt.TCPAbortOnData=4>14 TcpExt.ListenOverflows=7>17
        sockstat TCP.inuse=77
        sockstat TCP.orphan=10
        sockstat TCP.tw=30
        sockstat TCP.mem=600
        sysctl net.ipv4.tcp_max_orphans=40
        sysctl net.ipv4.tcp_max_tw_buckets=300
        sysctl net.ipv4.tcp_mem=400,500,800
        ports 1234";
    for (field, want) in [
        ("net.ListenOverflows_delta", 10.0),
        ("net.ListenOverflows_per_min", 120.0),
        ("net.syn_retrans_share", 0.2),
        ("net.reset_share", 17.0 / 51.0),
        ("net.abort_share", 13.0 / 51.0),
        ("net.aborts_delta", 13.0),
        ("net.opens_delta", 50.0),
        ("sockstat.tcp_inuse", 77.0),
        ("sockstat.tcp_orphan", 10.0),
        ("sockstat.tcp_tw", 30.0),
        ("sockstat.tcp_mem_pages", 600.0),
        ("sockstat.tcp_orphan_share", 0.25),
        ("sockstat.tcp_tw_share", 0.1),
        ("sockstat.tcp_mem_share", 0.75),
        ("sockstat.tcp_pressure_share", 1.2),
        ("sysctl.tcp_max_orphans", 40.0),
        ("sysctl.tcp_mem_pages", 800.0),
        ("sysctl.ephemeral_ports", 1234.0),
        ("sysctl.somaxconn", 4096.0),
    ] {
        is(field, "", net, want);
    }
    // Fields that are not amounts are tested by the scenes of the rules.
    let standard = Catalog::standard();
    let extended = Catalog::extended();
    // These fields are tested together with the rules that use them.
    let of_rules = ["net.", "sysctl.", "process.", "looks.", "service.", "doctor."];
    for field in extended.fields().filter(|field| standard.field(field.name).is_none()) {
        let is_amount = matches!(
            field.metric,
            sockdiag_facts::fields::Metric::Gauge | sockdiag_facts::fields::Metric::Counter
        );
        let by_rule = of_rules.iter().any(|subject| field.name.starts_with(subject));
        assert!(
            !is_amount || by_rule || tested.iter().any(|name| name == field.name),
            "{} is not tested",
            field.name
        );
        assert!(field.doc.starts_with(char::is_uppercase) && field.doc.ends_with('.'), "{}", field.name);
        assert!(!field.source.trim().is_empty(), "{}", field.name);
    }
}

#[test]
fn of_very_many_findings_the_worst_are_told_and_the_others_counted() {
    let mut doctor = doctor();
    let text = "tcp syn-sent 10.0.0.1:40000 10.1.0.1:443 timer=1 retrans=1 *1500 vary=raddr
        tcp syn-sent 10.0.0.1:40000 10.9.0.1:443 timer=1 retrans=5";
    let findings = Scene::parse(text).examine(&mut doctor);
    assert_eq!((findings.len(), doctor.left_out()), (1000, 501));
    assert_eq!(findings[0].title, "10.9.0.1:443 does not answer");
}
