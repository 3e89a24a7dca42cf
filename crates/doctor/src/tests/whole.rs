//! Findings as a whole: causes and what follows from them, order, sureness, the document.

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
            .starts_with("129 connections wait to be accepted at 0.0.0.0:8080 where 128 may; 37 more")
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
        tcp established 127.0.0.1:443 127.0.0.1:40000 recv_q=40000 rmem=90000 tcpi_bytes_received=40000 tcpi_rcv_wnd=100
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
    assert_eq!(why("udp-receive-drops"), Some("none of its tables was looked at"));
    assert!(why("local-queue-repeats").is_some_and(|why| why.contains("does not tell")));
    assert_eq!((why("listen-drops"), why("retransmits")), (None, None));
    let mut without = Doctor::of(&Catalog::extended(), rules());
    without.judge_others(&[], &[]);
    let not_judged = without.not_judged(TableSet::ALL, false);
    assert!(not_judged.iter().any(|left| left.id == "retransmits" && left.why == "it takes two looks"));
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

/// Every number of the table of diagnoses, but for those that cannot be told.
#[test]
fn the_table_of_diagnoses_is_whole() {
    let rules = rules();
    let sections = [('A', 11), ('B', 15), ('C', 10), ('D', 10), ('E', 13), ('F', 5)];
    let missing: Vec<String> = sections
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")))
        .filter(|number| !rules.iter().any(|rule| rule.rule.number == *number))
        .collect();
    // The kernel does not tell whether the local address of a connection was bound.
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
