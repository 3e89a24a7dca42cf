//! Help, manual pages and completions.

use super::{OURS, code, run, text};
use std::process::Command;

#[test]
fn help_and_version_end_with_0_and_nonsense_with_2() {
    for words in
        [&["--help"][..], &["--version"], &["wait", "--help"], &["wait", "-h"], &["generate", "--help"]]
    {
        let out = run(words);
        assert_eq!((code(&out), out.stderr.len()), (0, 0), "{words:?}");
        assert!(!out.stdout.is_empty(), "{words:?}");
    }
    for words in
        [&[][..], &["wiat"], &["--colour"], &["wait", "--timeuot", "1s", "sport", "=", ":1"], &["generate"]]
    {
        let out = run(words);
        assert_eq!((code(&out), out.stdout.len()), (2, 0), "{words:?}");
        assert!(!out.stderr.is_empty(), "{words:?}");
    }
    assert!(text(&run(&["wiat"]).stderr).contains("wait"), "a similar word is offered");
}

#[test]
fn every_document_is_made_and_installed() {
    let prefix = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated");
    let _ = std::fs::remove_dir_all(&prefix);
    let out = run(&["generate", "all", "--prefix", prefix.to_str().expect("text")]);
    assert_eq!(code(&out), 0, "{}", text(&out.stderr));
    let said = text(&out.stdout);
    let files: Vec<&str> = said.lines().collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in &files {
        assert!(std::fs::metadata(file).is_ok_and(|file| file.len() > 100), "{file}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let printed = run(&["generate", shell]).stdout;
        let installed = files.iter().find(|file| std::fs::read(file).is_ok_and(|bytes| bytes == printed));
        assert!(installed.is_some(), "{shell}");
    }
    let page = text(&run(&["generate", "man", "wait"]).stdout);
    assert!(page.contains(".TH") && page.contains("EXIT STATUS"), "{page}");
    let page = text(&run(&["generate", "man", "top"]).stdout);
    for said in ["KEYS", "group by any field", "as an ss filter (y) or as JSON", "mouse"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    for wrong in [&["generate", "all"][..], &["generate", "man", "nothing"], &["generate", "bash", "wait"]] {
        assert_eq!(code(&run(wrong)), 2, "{wrong:?}");
    }
    let out = run(&["generate", "man", "--prefix", "/dev/null"]);
    assert_eq!(code(&out), 5, "{}", text(&out.stderr));
}

/// The candidates that a shell gets for the last of these words.
fn offered(words: &[&str]) -> String {
    let mut command = Command::new(OURS);
    // Asks as the completion script for fish does.
    command.env("SOCKDIAG_COMPLETE", "fish").args(["--", "sockdiag"]).args(words);
    let out = command.output().expect("it runs");
    assert_eq!(code(&out), 0, "{}", text(&out.stderr));
    text(&out.stdout)
}

#[test]
fn words_are_completed_from_the_tables() {
    for (words, want) in [
        (&["wa"][..], "wait"),
        (&["wait", "--est"], "--established"),
        (&["wait", "--columns", "local.port,tcp.rtt_u"], "local.port,tcp.rtt_us"),
        (&["wait", "--netns", "al"], "all"),
        (&["wait", "-A", "tcp,ud"], "tcp,udp"),
        (&["wait", "--gone", "state", "establ"], "established"),
        (&["wait", "spor"], "sport"),
    ] {
        let offered = offered(words);
        assert!(offered.lines().any(|line| line.split('\t').next() == Some(want)), "{words:?}: {offered}");
    }
}
