//! Chores of the project: `cargo xtask help` lists them.
//!
//! A chore is a row of [`CHORES`]; it gets the arguments after its name and returns a sentence
//! if it fails.

mod active;
mod api;
mod bare_dump;
mod bench;
mod churn;
mod closings;
mod dist;
mod doctor;
mod fail;
mod goldens;
mod install;
mod instructions;
mod kernels;
mod over_time;
mod picture;
mod pins;
mod release;
mod reproduce;
mod screen;
mod session;
mod tap;
mod tmux;

use std::fmt::Write as _;
use std::process::ExitCode;

use sockdiag_testkit::Why;
use sockdiag_testkit::reference::Reference;

/// One chore.
struct Chore {
    name: &'static str,
    /// What may follow the name.
    words: &'static str,
    doc: &'static str,
    run: fn(&[String]) -> Result<(), Why>,
}

const CHORES: &[Chore] = &[
    Chore { name: "api", words: api::WORDS, doc: api::DOC, run: api::run },
    Chore { name: "bench", words: bench::WORDS, doc: bench::DOC, run: bench::run },
    Chore { name: bare_dump::NAME, words: bare_dump::WORDS, doc: bare_dump::DOC, run: bare_dump::run },
    Chore { name: "churn", words: churn::WORDS, doc: churn::DOC, run: churn::run },
    Chore { name: "closings", words: closings::WORDS, doc: closings::DOC, run: closings::run },
    Chore { name: "dist", words: dist::WORDS, doc: dist::DOC, run: dist::run },
    Chore { name: "doctor", words: doctor::WORDS, doc: doctor::DOC, run: doctor::run },
    Chore { name: "docs", words: "", doc: install::DOCS_DOC, run: install::docs },
    Chore { name: "install", words: install::WORDS, doc: install::DOC, run: install::run },
    Chore { name: "uninstall", words: install::WORDS, doc: install::UNINSTALL_DOC, run: install::uninstall },
    Chore { name: "goldens", words: goldens::WORDS, doc: goldens::DOC, run: goldens::run },
    Chore { name: "instructions", words: "", doc: instructions::DOC, run: instructions::run },
    Chore { name: "kernels", words: kernels::WORDS, doc: kernels::DOC, run: kernels::run },
    Chore { name: "over-time", words: over_time::WORDS, doc: over_time::DOC, run: over_time::run },
    Chore { name: "picture", words: picture::WORDS, doc: picture::DOC, run: picture::run },
    Chore { name: "pins", words: pins::WORDS, doc: pins::DOC, run: pins::run },
    Chore { name: "release", words: release::WORDS, doc: release::DOC, run: release::run },
    Chore { name: "reproduce", words: dist::WORDS, doc: reproduce::DOC, run: reproduce::run },
    Chore { name: "screen", words: screen::WORDS, doc: screen::DOC, run: screen::run },
    Chore { name: "session", words: session::WORDS, doc: session::DOC, run: session::run },
    Chore {
        name: "reference",
        words: "",
        doc: "Fetch the reference if it is missing, and print its version.",
        run: reference,
    },
    Chore { name: "help", words: "[CHORE]", doc: "List the chores, or explain one.", run: helped },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command line.
fn run(words: &[String]) -> Result<(), Why> {
    let Some((name, rest)) = words.split_first() else { return helped(&[]) };
    if asks_for_help(name) {
        return helped(rest);
    }
    let chore = chore(name)?;
    if rest.iter().any(|word| asks_for_help(word)) {
        return helped(std::slice::from_ref(name));
    }
    (chore.run)(rest)
}

fn asks_for_help(word: &str) -> bool {
    word == "--help" || word == "-h"
}

fn chore(name: &str) -> Result<&'static Chore, Why> {
    let chore = CHORES.iter().find(|chore| chore.name == name);
    chore.ok_or_else(|| Why::new(format!("there is no task {name:?}; `cargo xtask help` lists all tasks")))
}

/// Runs the chore `help`.
fn helped(words: &[String]) -> Result<(), Why> {
    match words.first() {
        Some(name) => print!("usage: cargo xtask{}", explained(chore(name)?)),
        None => print!("{}", help()),
    }
    Ok(())
}

fn help() -> String {
    let mut text = String::from("usage: cargo xtask CHORE [WORD]...\n");
    for chore in CHORES {
        let _ = write!(text, "\n {}", explained(chore));
    }
    text
}

/// A chore's arguments and its description.
fn explained(chore: &Chore) -> String {
    let head = [chore.name, chore.words].join(" ");
    let mut text = format!(" {}\n", head.trim_end());
    for line in chore.doc.lines() {
        let _ = writeln!(text, "      {line}");
    }
    text
}

/// Prints the command that runs the reference; fetches the reference if necessary.
fn reference(_: &[String]) -> Result<(), Why> {
    let reference = Reference::get()?;
    let command = reference.command();
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    println!("iproute2 {}\n{}", reference.version(), words.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chore_is_explained_once() {
        let text = help();
        for chore in CHORES {
            assert!(chore.doc.ends_with('.'), "{}: not a sentence", chore.name);
            assert_eq!(CHORES.iter().filter(|other| other.name == chore.name).count(), 1);
            assert!(text.contains(&format!("\n  {}", chore.name)));
        }
    }

    /// A chore that parsed its arguments before checking for help would fail or act here.
    #[test]
    fn every_chore_has_help() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for Chore { name, .. } in CHORES {
            for typed in [format!("{name} --help"), format!("{name} --prefix /x -h"), format!("help {name}")]
            {
                assert_eq!(run(&words(&typed)), Ok(()), "{typed}");
            }
        }
        for typed in ["--help", "-h", "help", "--help dist"] {
            assert_eq!(run(&words(typed)), Ok(()), "{typed}");
        }
        assert_eq!(run(&[]), Ok(()));
        for typed in ["nothing", "help nothing", "nothing --help"] {
            assert!(run(&words(typed)).is_err(), "{typed}");
        }
    }
}
