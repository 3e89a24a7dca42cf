//! `sockdiag generate`: manual pages and completions, made from the command
//! line as it is.
//!
//! Invariant: every sub-command has a manual page, and every page lists the
//! statuses.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use clap_complete::env::Shells;
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use crate::complete::VARIABLE;
use crate::end::{End, STATUSES};
use crate::output::{Stream, write_by};
use crate::{command, doctor};

/// What is made for all pages of the manual.
const MAN: &str = "man";
/// What is made for the page of diagnoses.
const DIAGNOSES: &str = "diagnoses";
/// Shells, and where their completions are looked for, below a prefix.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/sockdiag"),
    ("zsh", "share/zsh/site-functions/_sockdiag"),
    ("fish", "share/fish/vendor_completions.d/sockdiag.fish"),
];

/// The sub-command.
pub(crate) fn command() -> Command {
    let what = [MAN].into_iter().chain(SHELLS.map(|(shell, _)| shell)).chain([DIAGNOSES, "all"]);
    Command::new("generate")
        .about("Print manual pages and shell completions, or install them")
        .long_about(
            "Prints manual pages, or a script that completes words in a shell; with --prefix, writes them to where they \
             are looked for.",
        )
        .arg(
            Arg::new("WHAT")
                .help("What is made: the manual, a shell's completions, or all of them (with --prefix)")
                .required(true)
                .value_parser(PossibleValuesParser::new(what)),
        )
        .arg(Arg::new("SUBCOMMAND").help("The sub-command whose manual page is printed").value_parser(value_parser!(String)))
        .arg(
            Arg::new("prefix")
                .long("prefix")
                .value_name("DIR")
                .help("Write files below this directory, such as /usr/local, instead of printing")
                .value_hint(ValueHint::DirPath)
                .value_parser(value_parser!(OsString)),
        )
}

/// Does it.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), End> {
    let what = matches.get_one::<String>("WHAT").map_or(MAN, String::as_str);
    let page = matches.get_one::<String>("SUBCOMMAND").map(String::as_str);
    if page.is_some() && (what != MAN || matches.contains_id("prefix")) {
        return Err(End::usage("a sub-command follows only: generate man"));
    }
    if let Some(prefix) = matches.get_one::<OsString>("prefix").filter(|_| what != DIAGNOSES) {
        return install(Path::new(prefix), what);
    }
    let text = match what {
        DIAGNOSES if matches.contains_id("prefix") => {
            return Err(End::usage("the page of diagnoses is printed, not installed"));
        }
        DIAGNOSES => doctor::page()?.into_bytes(),
        "all" => return Err(End::usage("generate all needs --prefix DIR")),
        MAN => {
            let pages = pages().map_err(|error| End::unwritten(&error))?;
            let name = page.map_or_else(|| "sockdiag.1".to_owned(), |page| format!("sockdiag-{page}.1"));
            let found = pages.into_iter().find(|(file, _)| *file == name);
            found
                .ok_or_else(|| End::usage(format!("there is no sub-command {:?}", page.unwrap_or_default())))?
                .1
        }
        shell => completions(shell).map_err(|error| End::unwritten(&error))?,
    };
    write_by(Stream::Out, &text, None).map_err(|error| End::unwritten(&error))
}

/// Writes files to where they are looked for.
fn install(prefix: &Path, what: &str) -> Result<(), End> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let made = |error: io::Error| End::unwritten(&error);
    if what == MAN || what == "all" {
        let pages = pages().map_err(made)?;
        files.extend(pages.into_iter().map(|(name, text)| (prefix.join("share/man/man1").join(name), text)));
    }
    for (shell, place) in SHELLS.iter().filter(|(shell, _)| what == *shell || what == "all") {
        files.push((prefix.join(place), completions(shell).map_err(made)?));
    }
    for (path, text) in files {
        let directory = path.parent().unwrap_or(prefix);
        let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| {
            let End { code, text, list } = End::unwritten(&error);
            End { code, text: text.map(|text| format!("{}: {}\n", text.trim_end(), path.display())), list }
        })?;
        let line = format!("{}\n", path.display());
        write_by(Stream::Out, line.as_bytes(), None).map_err(made)?;
    }
    Ok(())
}

/// The script that makes a shell ask this program for words.
fn completions(shell: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(completer) = Shells::builtins().completer(shell) {
        completer.write_registration(VARIABLE, "sockdiag", "sockdiag", "sockdiag", &mut text)?;
    }
    Ok(text)
}

/// Every page of the manual, by the name of its file.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut whole = command::command();
    whole.build();
    let mut pages = vec![("sockdiag.1".to_owned(), page(whole.clone())?)];
    for one in whole.get_subcommands() {
        let name = format!("sockdiag-{}", one.get_name());
        let spoken = format!("sockdiag {}", one.get_name());
        let one = one.clone().name(name.clone()).bin_name(spoken).display_name(name.clone());
        pages.push((format!("{name}.1"), page(one)?));
    }
    Ok(pages)
}

/// One page.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let has_subcommands = command.has_subcommands();
    let version = env!("CARGO_PKG_VERSION");
    // The statuses have a section of their own.
    let man = Man::new(command.after_long_help("").after_help(""))
        .title("sockdiag")
        .source(format!("sockdiag {version}"))
        .manual("Sockets over time");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_subcommands {
        man.render_subcommands_section(&mut text)?;
    }
    let mut end = Roff::new();
    end.control("SH", ["EXIT STATUS"]);
    for (status, doc) in STATUSES {
        end.control("TP", []).text([bold((*status as u8).to_string())]).text([roman(*doc)]);
    }
    end.control("SH", ["SEE ALSO"]);
    let pages = [("ss", "(8), "), ("ss-filter", "(7) on the language of filters, "), ("ss-fields", "(7)")];
    end.text(pages.iter().flat_map(|(name, behind)| [bold(*name), roman(*behind)]).collect::<Vec<_>>());
    end.to_writer(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::SUBCOMMANDS;

    #[test]
    fn every_subcommand_has_a_page_with_its_options_and_the_statuses() {
        let pages = pages().expect("memory");
        assert_eq!(pages.len(), SUBCOMMANDS.len() + 1);
        for known in SUBCOMMANDS {
            let command = (known.command)();
            let name = format!("sockdiag-{}.1", command.get_name());
            let (_, text) = pages.iter().find(|(file, _)| *file == name).expect("a page");
            let text = String::from_utf8_lossy(text).replace('\\', "");
            for arg in command.get_arguments() {
                if let Some(long) = arg.get_long() {
                    assert!(text.contains(&format!("--{long}")), "{name}: --{long}");
                }
            }
            for (status, doc) in STATUSES {
                assert!(text.contains(&doc[..12]), "{name}: {status:?}");
            }
        }
    }

    #[test]
    fn completions_ask_this_program() {
        for (shell, _) in SHELLS {
            let text = String::from_utf8(completions(shell).expect("memory")).expect("text");
            assert!(text.contains("sockdiag") && text.contains(VARIABLE), "{shell}: {text}");
        }
    }
}
