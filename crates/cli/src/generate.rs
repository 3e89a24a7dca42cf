//! `sockdiag generate`: manual pages and completions, generated from the command line's
//! definition.
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
use sockdiag_guide::{field_page, filter_page};
use sockdiag_screen::KEYS;

use crate::command::{self, SUBCOMMANDS};
use crate::complete::VARIABLE;
use crate::doctor;
use crate::end::{End, statuses};
use crate::output::{Stream, write_by};

/// The argument for manual pages.
const MAN: &str = "man";
/// The argument for the page of diagnoses.
const DIAGNOSES: &str = "diagnoses";
/// Shells, and where they look for completions, below a prefix.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/sockdiag"),
    ("zsh", "share/zsh/site-functions/_sockdiag"),
    ("fish", "share/fish/vendor_completions.d/sockdiag.fish"),
];

/// Examples for the help text.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("sockdiag generate man watch", "Print the manual page of watch; to read it, pipe it into man -l -."),
    (
        "sockdiag generate man filter",
        "Print the page about the filter language; the page about all fields is called fields.",
    ),
    ("sockdiag generate all --prefix /usr/local", "Install all pages and completions."),
];

/// The sub-command.
pub(crate) fn command() -> Command {
    let what = [MAN].into_iter().chain(SHELLS.map(|(shell, _)| shell)).chain([DIAGNOSES, "all"]);
    Command::new("generate")
        .about("Print manual pages and shell completions, or install them")
        .long_about(
            "Prints manual pages or the completion script of a shell; with --prefix, writes them to the \
             directories where man and the shells look for them.",
        )
        .arg(
            Arg::new("WHAT")
                .help("What to generate: the manual, a shell's completions, or all of them (with --prefix)")
                .required(true)
                .value_parser(PossibleValuesParser::new(what)),
        )
        .arg(
            Arg::new("SUBCOMMAND")
                .help(
                    "Manual page: top, watch, wait, doctor or generate; filter is ss-filter(7), \
                    fields is ss-fields(7)",
                )
                .value_parser(value_parser!(String)),
        )
        .arg(
            Arg::new("prefix")
                .long("prefix")
                .value_name("DIR")
                .help("Write files below this directory, such as /usr/local, instead of printing")
                .value_hint(ValueHint::DirPath)
                .value_parser(value_parser!(OsString)),
        )
}

/// Runs the sub-command.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), End> {
    let what = matches.get_one::<String>("WHAT").map_or(MAN, String::as_str);
    let page = matches.get_one::<String>("SUBCOMMAND").map(String::as_str);
    if page.is_some() && (what != MAN || matches.contains_id("prefix")) {
        return Err(End::usage("only man accepts the name of a page"));
    }
    match matches.get_one::<OsString>("prefix") {
        Some(_) if what == DIAGNOSES => {
            return Err(End::usage("the page of diagnoses can only be printed, not installed"));
        }
        Some(prefix) => return install(Path::new(prefix), what),
        None => {}
    }
    let text = match what {
        DIAGNOSES => doctor::page()?.into_bytes(),
        "all" => return Err(End::usage("generate all needs --prefix DIR")),
        MAN => {
            let pages = pages().map_err(|error| End::unwritten(&error))?;
            let names = match page {
                None => ["sockdiag.1".to_owned(), String::new()],
                Some(page) => [format!("sockdiag-{page}.1"), format!("ss-{page}.7")],
            };
            let found = pages.into_iter().find(|(file, _)| names.contains(file));
            found
                .ok_or_else(|| {
                    End::usage(format!(
                        "there is no page {:?}: use top, watch, wait, doctor, generate, filter or fields",
                        page.unwrap_or_default()
                    ))
                })?
                .1
        }
        shell => completions(shell).map_err(|error| End::unwritten(&error))?,
    };
    write_by(Stream::Out, &text, None).map_err(|error| End::unwritten(&error))
}

/// Installs files where man and the shells look for them.
fn install(prefix: &Path, what: &str) -> Result<(), End> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let made = |error: io::Error| End::unwritten(&error);
    if what == MAN || what == "all" {
        let pages = pages().map_err(made)?;
        let placed = pages.into_iter().map(|(name, text)| (directory(prefix, &name).join(name), text));
        // If ss is installed, its pages stay: they also name the option of ss that shows a
        // field.
        files.extend(
            placed
                .filter(|(path, _)| path.extension().is_none_or(|section| section != "7") || !path.exists()),
        );
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

/// The directory where man looks for a page.
fn directory(prefix: &Path, name: &str) -> PathBuf {
    let section = name.rsplit('.').next().unwrap_or_default();
    prefix.join(format!("share/man/man{section}"))
}

/// The script that makes a shell ask this program for candidates.
fn completions(shell: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(completer) = Shells::builtins().completer(shell) {
        completer.write_registration(VARIABLE, "sockdiag", "sockdiag", "sockdiag", &mut text)?;
    }
    Ok(text)
}

/// Every manual page, with its file name.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut whole = command::command();
    whole.build();
    let mut pages = vec![("sockdiag.1".to_owned(), page(whole.clone(), None)?)];
    for one in whole.get_subcommands().filter(|one| one.get_name() != "help") {
        let subcommand = one.get_name().to_owned();
        let name = format!("sockdiag-{subcommand}");
        let spoken = format!("sockdiag {}", one.get_name());
        let one = one.clone().name(name.clone()).bin_name(spoken).display_name(name.clone());
        pages.push((format!("{name}.1"), page(one, Some(&subcommand))?));
    }
    // The pages of ss apply too: filters and fields are the same.
    pages.push(("ss-filter.7".to_owned(), filter_page::page().into_bytes()));
    pages.push(("ss-fields.7".to_owned(), field_page::page(|_| String::new()).into_bytes()));
    Ok(pages)
}

/// One manual page: of this sub-command, or of the program.
fn page(command: Command, subcommand: Option<&str>) -> io::Result<Vec<u8>> {
    let has_subcommands = command.has_subcommands();
    let version = env!("CARGO_PKG_VERSION");
    // The exit statuses get a section of their own.
    let man = Man::new(command.after_long_help("").after_help(""))
        .title("sockdiag")
        .source(format!("sockdiag {version}"))
        .manual("Tracking sockets over time");
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
    if subcommand == Some("top") {
        end.control("SH", ["KEYS"]);
        for help in KEYS {
            end.control("TP", []).text([bold(help.keys)]).text([roman(help.doc)]);
        }
    }
    let known = SUBCOMMANDS.iter().find(|known| Some((known.command)().get_name()) == subcommand);
    if let Some(known) = known {
        end.control("SH", ["EXAMPLES"]);
        for (line, what) in known.examples {
            end.control("TP", []).text([bold(*line)]).text([roman(*what)]);
        }
    }
    end.control("SH", ["EXIT STATUS"]);
    for (status, doc) in statuses(subcommand) {
        end.control("TP", []).text([bold(status.to_string())]).text([roman(doc)]);
    }
    end.control("SH", ["SEE ALSO"]);
    let pages = [("ss", "(8), "), ("ss-filter", "(7) on the filter language, "), ("ss-fields", "(7)")];
    end.text(pages.iter().flat_map(|(name, behind)| [bold(*name), roman(*behind)]).collect::<Vec<_>>());
    end.to_writer(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_has_a_page_with_its_options_and_the_statuses() {
        let pages = pages().expect("memory");
        assert_eq!(pages.len(), SUBCOMMANDS.len() + 3);
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
            for (status, doc) in statuses(Some(command.get_name())) {
                assert!(text.contains(&doc[..10]), "{name}: {status:?}");
            }
            for (line, _) in known.examples {
                let plain = line.split('\'').next().unwrap_or_default();
                assert!(text.contains(plain), "{name}: {line}");
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
