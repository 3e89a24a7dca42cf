//! Completions for bash, zsh and fish.
//!
//! Words are those of the tables; what follows `state`, `-f` and `-A` too.

use std::fmt::Write as _;

use sockdiag::fields::Catalog;
use sockdiag::model::states;
use sockdiag_options::{Kind, OPTIONS, Opt};

use super::pages::spellings;

/// What an option's argument may be.
enum Argument {
    None,
    File,
    Words(&'static [&'static str]),
    Any,
}

fn argument(option: &Opt) -> Argument {
    match option.argument.map(|argument| argument.kind) {
        None => Argument::None,
        Some(Kind::File) => Argument::File,
        Some(Kind::Word(words) | Kind::Words(words)) => Argument::Words(words),
        Some(_) => Argument::Any,
    }
}

fn state_words() -> Vec<&'static str> {
    states::WORDS.iter().map(|(word, _)| *word).collect()
}

/// Words that a filter may hold, fields by name among them.
fn filter_words() -> Vec<&'static str> {
    let catalog = Catalog::standard();
    let mut words = vec!["state", "exclude", "and", "or", "not", "autobound"];
    let mut names: Vec<&'static str> =
        catalog.fields().filter_map(|field| field.operand).map(|(word, _)| word).collect();
    names.extend(catalog.fields().map(|field| field.name));
    for name in names {
        if !words.contains(&name) {
            words.push(name);
        }
    }
    words
}

/// For bash-completion.
pub(super) fn bash() -> String {
    let mut text = String::from(
        "# bash completion for ss, made by `ss --generate=bash`.\n\
         _ss() {\n    local cur prev words\n    cur=${COMP_WORDS[COMP_CWORD]}\n    prev=${COMP_WORDS[COMP_CWORD-1]}\n\
         \x20   # bash takes --name=value apart at the equals sign.\n\
         \x20   if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n\
         \x20   case $prev in\n",
    );
    for option in OPTIONS {
        let action = match argument(option) {
            Argument::None => continue,
            Argument::File => "COMPREPLY=($(compgen -f -- \"$cur\"))".to_owned(),
            Argument::Words(words) => format!("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", words.join(" ")),
            Argument::Any => "COMPREPLY=()".to_owned(),
        };
        let _ = writeln!(text, "        {}) {action}; return ;;", spellings(option).join("|"));
    }
    let _ = writeln!(
        text,
        "        state|exclude) COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n    esac",
        state_words().join(" ")
    );
    let options: Vec<String> = OPTIONS.iter().flat_map(spellings).collect();
    let _ = write!(
        text,
        "    if [[ $cur == -* ]]; then words='{}'\n    else words='{}'; fi\n    \
         COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}}\ncomplete -F _ss ss\n",
        options.join(" "),
        filter_words().join(" ")
    );
    text
}

/// A text between single quotes of a shell.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

/// What an option does, in a few words.
fn short_help(option: &Opt) -> String {
    let text = if option.help.is_empty() { option.doc } else { option.help };
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.').to_owned()
}

/// For zsh's `_arguments`.
pub(super) fn zsh() -> String {
    let mut text = String::from("#compdef ss\n# Made by `ss --generate=zsh`.\n_arguments -s \\\n");
    for option in OPTIONS {
        let help = quoted(&short_help(option)).replace(['[', ']', ':'], " ");
        for spelling in spellings(option) {
            let long = spelling.starts_with("--");
            let after = match argument(option) {
                Argument::None => String::new(),
                Argument::File => ":file:_files".to_owned(),
                Argument::Words(words) => format!(":word:({})", words.join(" ")),
                Argument::Any => ":value: ".to_owned(),
            };
            let equals = if long && !after.is_empty() { "=" } else { "" };
            let _ = writeln!(text, "    '*{spelling}{equals}[{help}]{after}' \\");
        }
    }
    let _ = writeln!(text, "    '*:filter:({} {})'", filter_words().join(" "), state_words().join(" "));
    text
}

/// For fish.
pub(super) fn fish() -> String {
    let mut text = String::from("# Completions for ss, made by `ss --generate=fish`.\ncomplete -c ss -f\n");
    for option in OPTIONS {
        text.push_str("complete -c ss");
        for letter in option.short.chars() {
            let _ = write!(text, " -s {letter}");
        }
        for name in option.long {
            let _ = write!(text, " -l {name}");
        }
        match argument(option) {
            Argument::None => {}
            Argument::File => text.push_str(" -r -F"),
            Argument::Words(words) => {
                let _ = write!(text, " -x -a '{}'", words.join(" "));
            }
            Argument::Any => text.push_str(" -x"),
        }
        let _ = writeln!(text, " -d '{}'", quoted(&short_help(option)));
    }
    let _ = writeln!(
        text,
        "complete -c ss -n '__fish_prev_arg_in state exclude' -a '{}'\n\
         complete -c ss -n 'not __fish_prev_arg_in state exclude' -a '{}'",
        state_words().join(" "),
        filter_words().join(" ")
    );
    text
}
