//! The built-in rules: each is tested with scenes, and a mutation test shows that the scenes
//! cover every part of it.

mod files;
mod scene;
mod whole;

use std::collections::HashMap;

use sockdiag_facts::fields::Catalog;
use sockdiag_facts::filter::{Expr, Node};

use crate::quantity::{Bound, Order};
use crate::{Checked, Doctor, Severity};
use scene::Scene;

/// Scenes of every rule.
const CASES: &str = include_str!("cases.txt");

/// A scene, and the severity that a rule must give it.
struct Case {
    id: String,
    severity: Option<Severity>,
    line: usize,
    scene: Scene,
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "info" => Some(Severity::Info),
        "warning" => Some(Severity::Warning),
        "critical" => Some(Severity::Critical),
        "none" => None,
        other => panic!("no severity: {other}"),
    }
}

/// Parses the cases; a line `let NAME = WORDS` defines `$NAME`.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut names: Vec<(String, String)> = Vec::new();
    let mut open: Option<(usize, String, String, String)> = None;
    let close = |open: Option<(usize, String, String, String)>, cases: &mut Vec<Case>| {
        if let Some((line, id, word, text)) = open {
            cases.push(Case { id, severity: severity(&word), line, scene: Scene::parse(&text) });
        }
    };
    for (at, line) in CASES.lines().enumerate() {
        let mut line = line.trim().to_owned();
        for (name, words) in &names {
            line = line.replace(name, words);
        }
        if let Some((name, words)) = line.strip_prefix("let ").and_then(|line| line.split_once(" = ")) {
            names.insert(0, (format!("${name}"), words.to_owned()));
        } else if let Some(head) = line.strip_prefix("case ") {
            close(open.take(), &mut cases);
            let (id, word) = head.split_once(' ').expect("an id and a severity");
            open = Some((at + 1, id.to_owned(), word.to_owned(), String::new()));
        } else if let Some((.., text)) = &mut open {
            text.push_str(&line);
            text.push('\n');
        }
    }
    close(open, &mut cases);
    cases
}

fn rules() -> Vec<Checked> {
    crate::built_in(&Catalog::extended()).unwrap_or_else(|error| panic!("{error}"))
}

/// The severity that one rule alone gives a scene.
fn judged(catalog: &Catalog, rule: &Checked, scene: &Scene) -> Option<Severity> {
    let mut doctor = Doctor::of(catalog, vec![rule.clone()]);
    scene.examine(&mut doctor).iter().map(|finding| finding.severity).max()
}

#[test]
fn every_rule_has_a_scene_for_each_threshold_and_one_that_it_passes_over() {
    let cases = cases();
    let rules = rules();
    for rule in &rules {
        let of = |wanted: Option<Severity>| {
            cases.iter().any(|case| case.id == rule.rule.id() && case.severity == wanted)
        };
        for (severity, _) in &rule.levels {
            assert!(of(Some(*severity)), "{} has no scene that is {}", rule.rule.id(), severity.word());
        }
        assert!(of(None), "{} has no near miss", rule.rule.id());
    }
    for case in &cases {
        assert!(
            rules.iter().any(|rule| rule.rule.id() == case.id),
            "line {}: no rule {}",
            case.line,
            case.id
        );
    }
}

#[test]
fn every_rule_is_right_about_its_scenes() {
    let catalog = Catalog::extended();
    let rules: HashMap<String, Checked> =
        rules().into_iter().map(|rule| (rule.rule.id().to_owned(), rule)).collect();
    let mut wrong = Vec::new();
    for case in cases() {
        let Some(rule) = rules.get(&case.id) else { continue };
        let got = judged(&catalog, rule, &case.scene);
        if got != case.severity {
            wrong.push(format!("line {}: {} is {got:?}, not {:?}", case.line, case.id, case.severity));
        }
    }
    assert!(wrong.is_empty(), "{} scenes:\n{}", wrong.len(), wrong.join("\n"));
}

fn negated(expr: &Expr) -> Expr {
    let mut nodes = expr.nodes().to_vec();
    nodes.push(Node::Not);
    Expr::new(nodes).expect("a condition is one when it is negated")
}

fn turned(bound: Bound) -> Bound {
    let order = match bound.order {
        Order::More => Order::AtMost,
        Order::AtLeast => Order::Less,
        Order::Less => Order::AtLeast,
        Order::AtMost => Order::More,
    };
    Bound { order, ..bound }
}

/// Copies of a rule with one part inverted, each with a description of that part.
fn mutants(rule: &Checked) -> Vec<(String, Checked)> {
    let mut all = Vec::new();
    let mut add = |what: String, change: &dyn Fn(&mut Checked)| {
        let mut mutant = rule.clone();
        change(&mut mutant);
        all.push((what, mutant));
    };
    if let Some(given) = &rule.given {
        add("given".to_owned(), &|mutant| mutant.given = Some(negated(given)));
    }
    if let Some(when) = &rule.when {
        add("when".to_owned(), &|mutant| mutant.when = Some(negated(when)));
    }
    if let Some(again) = &rule.again {
        add("again".to_owned(), &|mutant| mutant.again = Some(negated(again)));
    }
    for at in 0..rule.levels.len() {
        add(format!("{} turned", rule.levels[at].0.word()), &|mutant| {
            mutant.levels[at].1 = turned(mutant.levels[at].1);
        });
        add(format!("no {}", rule.levels[at].0.word()), &|mutant| {
            mutant.levels.remove(at);
        });
    }
    for at in 0..rule.least.len() {
        add(format!("least {at}"), &|mutant| mutant.least[at].bound = turned(mutant.least[at].bound));
    }
    all
}

/// Whichever part of a rule is inverted, one of its scenes must fail.
#[test]
fn no_part_of_a_rule_can_be_turned_round_unnoticed() {
    let catalog = Catalog::extended();
    let cases = cases();
    let mut unnoticed = Vec::new();
    let mut number = 0;
    for rule in rules() {
        let own: Vec<&Case> = cases.iter().filter(|case| case.id == rule.rule.id()).collect();
        for (what, mutant) in mutants(&rule) {
            number += 1;
            let noticed = own.iter().any(|case| judged(&catalog, &mutant, &case.scene) != case.severity);
            if !noticed {
                unnoticed.push(format!("{}: {what}", rule.rule.id()));
            }
        }
    }
    println!("{number} mutants");
    assert!(number > 200, "{number}");
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}
