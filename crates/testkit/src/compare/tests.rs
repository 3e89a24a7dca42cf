//! Tests of the comparison itself: it must find every difference and no other.

use std::path::PathBuf;

use super::*;

/// A program that prints the same text whatever its arguments.
struct Script(PathBuf);

impl Script {
    fn new(name: &str, body: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("sockdiag-{}-{name}.sh", std::process::id()));
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn command(&self) -> Command {
        // Run it through the shell: a child forked by another test may still hold the
        // file open for writing (ETXTBSY).
        let mut command = Command::new("/bin/sh");
        command.arg(&self.0);
        command
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn compared(reference: &str, ours: &str, name: &str) -> Report {
    let (reference, ours) =
        (Script::new(&format!("{name}-r"), reference), Script::new(&format!("{name}-o"), ours));
    let mut report = Report::default();
    report.add(&Case::new(&["-x"]), &|| reference.command(), &|| ours.command()).unwrap();
    report
}

#[test]
fn equal_outcomes_agree() {
    let body = "echo a; echo b >&2; exit 3";
    let report = compared(body, body, "equal");
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.agreed, 1);
}

#[test]
fn each_difference_is_seen() {
    let first = |report: Report| report.differed.into_iter().next().unwrap().what;
    let what = first(compared("printf 'a\\nb \\n'", "printf 'a\\nb\\n'", "out"));
    assert_eq!((what.part, what.line), (Part::Stdout, 2));
    assert_eq!((what.reference.as_deref(), what.ours.as_deref()), (Some("b \\n"), Some("b\\n")));
    let what = first(compared("printf 'a\\n'", "printf a", "end"));
    assert_eq!((what.part, what.ours.as_deref()), (Part::Stdout, Some("a")));
    let what = first(compared("printf 'a\\nb'", "printf 'a\\n'", "short"));
    assert_eq!((what.line, what.ours), (2, None));
    let what = first(compared("echo a >&2", "echo b >&2", "err"));
    assert_eq!(what.part, Part::Stderr);
    let what = first(compared("exit 1", "exit 255", "status"));
    assert_eq!(what.reference.as_deref(), Some("exit status 1"));
    let what = first(compared("exit 1", "kill -SEGV $$", "signal"));
    assert_eq!(what.ours.as_deref(), Some("signal 11"));
}

#[test]
fn a_reference_that_differs_from_itself_makes_a_wrong_test() {
    let report = compared("date +%N", "date +%N", "clock");
    assert_eq!((report.agreed, report.differed.len(), report.wrong_tests.len()), (0, 0, 1));
    assert_eq!(report.repeated, TRIES - 1);
}

#[test]
fn what_changes_once_is_compared_again() {
    let file = std::env::temp_dir().join(format!("sockdiag-{}-once", std::process::id()));
    let file = file.display();
    // The very first run prints a, all later ones b.
    let body = format!("if [ -e {file} ]; then echo b; else : >{file}; echo a; fi");
    let report = compared(&body, "echo b", "once");
    std::fs::remove_file(file.to_string()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.agreed, report.repeated), (1, 1));
}

#[test]
fn an_agreement_by_chance_is_none() {
    let file = std::env::temp_dir().join(format!("sockdiag-{}-chance", std::process::id()));
    let file = file.display();
    // Ours agrees with the very first run only.
    let body = format!("if [ -e {file} ]; then echo b; else : >{file}; echo a; fi");
    let report = compared(&body, "echo a", "chance");
    std::fs::remove_file(file.to_string()).unwrap();
    assert_eq!((report.agreed, report.repeated, report.differed.len()), (0, 1, 1));
}

#[test]
fn a_reference_that_crashes_is_no_judge() {
    let report = compared("kill -SEGV $$", "exit 0", "crash");
    assert_eq!(report.reference_failed.len(), 1);
    assert_eq!(report.reference_failed[0].what, Ended::Signal(11));
    assert_eq!(compared("kill -SEGV $$", "kill -SEGV $$", "both").differed.len(), 1);
}

fn said(body: &str, name: &str, case: &Case<'_>) -> Outcome {
    run(Script::new(name, body).command(), case).unwrap()
}

#[test]
fn the_surroundings_are_the_cases() {
    let case = Case::new(&["a b"]).env("X", "1").stdin("in");
    let out = said(
        "echo \"$1\"; cat; env | grep -v '^\\(PWD\\|SHLVL\\|_\\|OLDPWD\\)=' | cut -d= -f1 | sort",
        "env",
        &case,
    );
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "a b\ninPATH\nX\n");
    let out = said("tty; stty size <&1 2>/dev/null; echo x >&2", "tty", &Case::new::<&str>(&[]).width(77));
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "not a tty\n24 77\n");
    assert_eq!(out.stderr, b"x\n");
}

#[test]
fn much_output_on_both_sides_arrives_whole() {
    for case in [Case::new::<&str>(&[]), Case::new::<&str>(&[]).width(80)] {
        let out = said("seq 100000; seq 100000 >&2", "much", &case);
        assert_eq!(out.stdout.len(), 588_895);
        assert_eq!(out.stdout, out.stderr);
    }
}

#[test]
fn a_program_that_does_not_end_is_stopped() {
    let limit = std::time::Duration::from_millis(300);
    // Silent programs: one keeps its outputs open, one closes both.
    for body in ["echo a; exec sleep 60", "echo a; exec sleep 60 >&- 2>&-"] {
        let script = Script::new("hang", body);
        let start = std::time::Instant::now();
        let out = exec::run_within(script.command(), &Case::new::<&str>(&[]), limit).unwrap();
        assert_eq!((out.ended, out.stdout), (Ended::TimedOut, b"a\n".to_vec()), "{body}");
        assert!(start.elapsed() < 20 * limit, "{body}");
    }
}

#[test]
fn a_case_reads_like_a_command_line() {
    let case = Case::new(&["-t", "sport = 1"]).env("COLUMNS", "80").width(9).stdin("x\n");
    assert_eq!(case.to_string(), "COLUMNS=80 ss -t \"sport = 1\" [9 columns] [stdin \"x\\\\n\"]");
}

#[test]
fn the_reference_agrees_with_itself() {
    let Ok(reference) = Reference::get().inspect_err(|why| crate::skip::report(why)) else { return };
    let Some(namespace) = Namespace::or_skip() else { return };
    let cases = [
        Case::new(&["-h"]),
        Case::new(&["--bogus"]),
        Case::new(&["-tan"]).inside(&namespace),
        Case::new(&["-tan"]).inside(&namespace).width(60),
        Case::new(&["-tan", "-F", "-"]).stdin("sport = 1"),
    ];
    let mut report = Report::default();
    for case in &cases {
        report.add(case, &|| reference.command(), &|| reference.command()).unwrap();
    }
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.agreed, cases.len());
    let width =
        |case| run(reference.command(), case).unwrap().stdout.split(|b| *b == b'\n').next().map(<[u8]>::len);
    assert_ne!(width(&cases[2]), width(&cases[3]), "a terminal's width must show");
}

#[test]
fn a_program_inside_a_namespace_sees_only_that() {
    let Ok(reference) = Reference::get().inspect_err(|why| crate::skip::report(why)) else { return };
    let Some(namespace) = Namespace::or_skip() else { return };
    let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port().to_string();
    let filter = ["-tlnH", "sport", "=", &port];
    let here = run(reference.command(), &Case::new(&filter).here()).unwrap();
    assert!(!here.stdout.is_empty(), "{here:?}");
    for apart in [Case::new(&filter).inside(&namespace), Case::new(&filter)] {
        let there = run(reference.command(), &apart).unwrap();
        assert!(there.stdout.is_empty(), "{there:?}");
    }
}
