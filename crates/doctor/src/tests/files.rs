//! Rule files as users write them, and the errors in some.

use sockdiag_facts::fields::Catalog;

use super::scene::Scene;
use crate::{Doctor, merged, read};

const FIVE: &str = include_str!("../../examples/rules.toml");

const RULE: &str = r#"
[[rule]]
id = "mine"
subject = "socket"
tables = ["tcp"]
states = ["established"]
when = "rtt > 20ms"
group = ["remote.addr"]
quantity = "value(tcp.rtt_us)"
looks = 1
evidence = ["tcp.rtt_us"]
title = "{remote} is far away"
says = "It takes {tcp.rtt_us}."
meaning = "Far."
could_be = "near"
next = "ss -tin"
check = "ss -tin: rtt"
manual = "tcp(7)"

[rule.warning]
at = ">= 100000"
mark = "judged"
source = "I say so"
"#;

fn refused(from: &str, to: &str) -> String {
    assert!(RULE.contains(from), "{from}");
    read(&Catalog::extended(), "mine.toml", &RULE.replace(from, to)).map(|_| ()).expect_err(to)
}

#[test]
fn five_rules_of_a_user_are_judged() {
    let catalog = Catalog::extended();
    let rules = read(&catalog, "rules.toml", FIVE).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rules.len(), 5);
    let scene = Scene::parse(
        "tcp established 10.0.0.1:40000 10.0.0.2:5432 tcpi_rtt=90000 tcpi_min_rtt=80000 *30 vary=lport",
    );
    let findings = scene.examine(&mut Doctor::of(&catalog, rules));
    assert!(findings.iter().any(|finding| finding.id == "database-far-away"), "{findings:#?}");
}

#[test]
fn a_rule_of_the_same_name_takes_the_place_of_ours() {
    let catalog = Catalog::extended();
    let ours = super::rules();
    let number = ours.len();
    let stricter = RULE.replace("\"mine\"", "\"jitter\"");
    let all = merged(ours, read(&catalog, "mine.toml", &stricter).expect("it is right"));
    assert_eq!(all.len(), number);
    let jitter = all.iter().find(|rule| rule.rule.id() == "jitter").expect("it is there");
    assert_eq!(jitter.rule.meaning, "Far.");
    let more = merged(all, read(&catalog, "mine.toml", RULE).expect("it is right"));
    assert_eq!(more.len(), number + 1);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (from, to, parts) in [
        (
            "rtt > 20ms",
            "rtt > 20mss",
            &["mine.toml:7: rule mine: when:", "rtt > 20mss", "^^^^^ expected"][..],
        ),
        ("rtt > 20ms", "rtt >", &["mine.toml:7:", "^"]),
        ("rtt > 20ms", "doctor.severity > 1", &["rule mine: when:", "a rule cannot use what rules find"]),
        ("rtt > 20ms", "rrtt > 20ms", &["mine.toml:7:", "rrtt", "^^^^"]),
        ("value(tcp.rtt_us)", "value(tcp.rtt)", &["tcp.rtt"]),
        (
            "value(tcp.rtt_us)",
            "most(tcp.rtt_us)",
            &["mine.toml:9: rule mine: quantity:", "none of value, sum, max"],
        ),
        ("value(tcp.rtt_us)", "value(local.addr)", &["not a number"]),
        (
            ">= 100000",
            "= 100000",
            &["mine.toml:21: rule mine: warning:", "does not begin with >, >=, < or <="],
        ),
        ("\"judged\"", "\"guessed\"", &["guessed", "measured", "cited", "judged"]),
        ("\"socket\"", "\"sockets\"", &["sockets"]),
        ("[\"tcp\"]", "[\"tpc\"]", &["mine.toml:5: rule mine: tables:", "\"tpc\" is not a table of sockets"]),
        ("[\"established\"]", "[\"open\"]", &["rule mine: states:", "\"open\" is not a state"]),
        ("{tcp.rtt_us}.", "{tcp.rrtt_us}.", &["rule mine: says:", "tcp.rrtt_us"]),
        ("{tcp.rtt_us}.", "{tcp.rtt_us.", &["not closed"]),
        ("\"mine\"", "\"My rule\"", &["lower-case words"]),
        ("looks = 1", "looks = 4", &["1, 2 or 3 looks"]),
        ("looks = 1", "looks = 1\nleast = [\"count\"]", &["rule mine: least:", "has no >"]),
        ("looks = 1", "lookz = 1", &["lookz", "unknown field"]),
        ("looks = 1", "looks = 1\nagain = \"rtt > 1ms\"", &["only a rule with 3 looks"]),
        ("I say so", " ", &["needs a source"]),
        ("[\"remote.addr\"]", "[\"remote.adr\"]", &["rule mine: group:", "remote.adr"]),
        ("meaning = \"Far.\"", "meaning = \"\"", &["meaning: it says nothing"]),
    ] {
        let error = refused(from, to);
        for part in parts {
            assert!(error.contains(part), "{to}:\n{error}\nhas no {part}");
        }
    }
}

#[test]
fn thresholds_are_in_order() {
    let critical = |at: &str| {
        format!("{RULE}\n[rule.critical]\nat = \"{at}\"\nmark = \"judged\"\nsource = \"I say so\"\n")
    };
    let catalog = Catalog::extended();
    read(&catalog, "mine.toml", &critical(">= 200000")).map(|_| ()).expect("it is worse");
    for at in [">= 1000", "<= 200000"] {
        let error = read(&catalog, "mine.toml", &critical(at)).map(|_| ()).expect_err(at);
        assert!(error.contains("more extreme"), "{error}");
    }
    let error = read(&catalog, "mine.toml", &format!("{RULE}{RULE}")).map(|_| ()).expect_err("twice");
    assert!(error.contains("it is defined twice"), "{error}");
}
