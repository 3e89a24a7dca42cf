//! Completions for bash, zsh and fish.
//!
//! The words come from the tables: options, their arguments, fields, states and the operands
//! of filters.  Lists are completed after each comma.  Names of network namespaces are read
//! from `/run/netns` when the key is pressed.
//!
//! `crates/ss/tests/manual/completions.rs` presses the key in each of the shells.

use std::fmt::Write as _;

use sockdiag::fields::Catalog;
use sockdiag::model::states;
use sockdiag::sort::sort_by;
use sockdiag_options::{EXCLUDE, Kind, OPTIONS, Opt, STATE};

use super::pages::spellings;

fn argument(option: &Opt) -> Option<Kind> {
    option.argument.map(|argument| argument.kind)
}

/// The words of a list without their placeholders: `pid:PID` becomes `pid:`.
fn literal(words: &[&str]) -> String {
    let own = words.iter().map(|word| word.trim_end_matches(|letter: char| letter.is_ascii_uppercase()));
    own.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn state_words() -> String {
    states::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
}

/// The words that may precede a state.
fn before_state() -> Vec<&'static str> {
    STATE.names.iter().chain(EXCLUDE.names).copied().collect()
}

/// Field names: all full names and their members, then the parts after the dot that are valid
/// names alone.
fn field_words() -> String {
    let catalog = Catalog::standard();
    let mut words: Vec<String> = Vec::new();
    for field in catalog.fields() {
        words.push(field.name.to_owned());
        words.extend(field.kind.members().iter().map(|member| format!("{}.{}", field.name, member.name)));
    }
    let last = |word: &String| word.rsplit_once('.').map(|(_, last)| last.to_owned());
    let short: Vec<String> =
        words.iter().filter_map(last).filter(|name| catalog.named(name).is_ok()).collect();
    words.extend(short);
    sort_by(&mut words, &mut Ord::cmp);
    words.dedup();
    words.join(" ")
}

/// Words of a filter that are not fields.
fn filter_words() -> String {
    let mut words = before_state();
    words.extend(["and", "or", "not", "autobound"]);
    for word in Catalog::standard().fields().filter_map(|field| Some(field.operand?.keyword())) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

/// The completion script for bash-completion.
pub(super) fn bash() -> String {
    let mut text = String::from(BASH);
    for option in OPTIONS {
        let action = match argument(option) {
            None => continue,
            Some(Kind::File) => "COMPREPLY=($(compgen -f -- \"$cur\"))".to_owned(),
            Some(Kind::Word(words)) => format!("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", words.join(" ")),
            Some(Kind::Words(words)) => format!("_ss_list '{}' '!'", words.join(" ")),
            Some(Kind::Fields) => "_ss_list \"$fields\" ''".to_owned(),
            Some(Kind::SortKeys) => "_ss_list \"$fields\" -".to_owned(),
            Some(Kind::Namespace) => "_ss_namespaces 'pid: container:'".to_owned(),
            Some(Kind::Namespaces(words)) => format!("_ss_namespaces '{}'", literal(words)),
            Some(Kind::Number) => "COMPREPLY=()".to_owned(),
        };
        let mut patterns = spellings(option);
        // The option may be the last letter of a cluster, as in -tA.
        patterns.extend(option.short.chars().map(|letter| format!("-[!-]*{letter}")));
        _ = writeln!(text, "        {}) {action}; return ;;", patterns.join("|"));
    }
    let options: Vec<String> = OPTIONS.iter().flat_map(spellings).collect();
    _ = write!(
        text,
        "        {}) COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n    esac\n    \
         if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '{}' -- \"$cur\"))\n    \
         else COMPREPLY=($(compgen -W \"{} $fields\" -- \"$cur\")); fi\n}}\ncomplete -F _ss ss\n",
        before_state().join("|"),
        state_words(),
        options.join(" "),
        filter_words(),
    );
    text.replace("@FIELDS@", &field_words())
}

const BASH: &str = r#"# bash completion for ss, made by `ss --generate=bash`.

# Completes the last of words with commas between them; $2 may stand before each.
_ss_list() {
    local head= last=${cur##*,}
    [[ $cur == *,* ]] && head=${cur%,*},
    [[ -n $2 && $last == "$2"* ]] && { head+=$2; last=${last#"$2"}; }
    COMPREPLY=($(compgen -P "$head" -W "$1" -- "$last"))
    compopt -o nospace 2>/dev/null
}

# The named network namespaces, and other ways to write one.
_ss_namespaces() {
    if [[ $cur == */* ]]; then
        COMPREPLY=($(compgen -f -- "$cur"))
        compopt -o filenames 2>/dev/null
    else
        local name head= last=${cur##*,}
        [[ $cur == *,* ]] && head=${cur%,*},
        _ss_list "$1" ''
        # Whatever else a name may hold would need quotes.
        for name in /run/netns/*; do
            name=${name##*/}
            [[ $name == "$last"* && $name =~ ^[[:alnum:]._-]+$ ]] && COMPREPLY+=("$head$name")
        done
    fi
}

_ss() {
    local cur prev fields='@FIELDS@'
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD-1]}
    # bash takes --name=value apart at the equals sign.
    if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
    case $prev in
"#;

/// Quotes a text for a shell, in single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

/// What an option does, in a few words.
fn short_help(option: &Opt) -> String {
    let text = if option.help.is_empty() { option.doc } else { option.help };
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.').to_owned()
}

/// The completion script for zsh's `_arguments`.
pub(super) fn zsh() -> String {
    let mut text = ZSH
        .replace("@FIELDS@", &field_words())
        .replace("@STATES@", &state_words())
        .replace("@BEFORE@", &before_state().join("|"))
        .replace("@WORDS@", &filter_words());
    for option in OPTIONS {
        let help = quoted(&short_help(option)).replace(['[', ']', ':'], " ");
        for spelling in spellings(option) {
            let long = spelling.starts_with("--");
            let after = match argument(option) {
                None => String::new(),
                Some(Kind::File) => ":file:_files".to_owned(),
                Some(Kind::Word(words)) => format!(":word:({})", words.join(" ")),
                Some(Kind::Words(words)) => format!(":list:{{_ss_list \"!\" {}}}", words.join(" ")),
                Some(Kind::Fields) => ":fields:{_ss_list \"\" $fields}".to_owned(),
                Some(Kind::SortKeys) => ":fields:{_ss_list - $fields}".to_owned(),
                Some(Kind::Namespace) => ":namespace:{_ss_namespaces pid\\: container\\:}".to_owned(),
                Some(Kind::Namespaces(words)) => {
                    format!(":namespaces:{{_ss_namespaces {}}}", literal(words).replace(':', "\\:"))
                }
                Some(Kind::Number) => ":value: ".to_owned(),
            };
            let equals = if long && !after.is_empty() { "=" } else { "" };
            _ = writeln!(text, "    '*{spelling}{equals}[{help}]{after}' \\");
        }
    }
    text.push_str("    '*:filter:_ss_filter'\n");
    text
}

const ZSH: &str = r#"#compdef ss
# Made by `ss --generate=zsh`.

local -a fields=(@FIELDS@)

# Completes the last of words with commas between them; $1 may stand before each.
_ss_list() {
    local before=$1
    shift
    compset -P '*,'
    [[ -n $before ]] && compset -P "$before"
    compadd -q -S '' -- "$@"
}

# The named network namespaces, and other ways to write one.
_ss_namespaces() {
    if [[ $PREFIX == */* ]]; then
        _files
    else
        _ss_list '' "$@" /run/netns/*(N:t)
    fi
}

_ss_filter() {
    if [[ ${words[CURRENT-1]} == (@BEFORE@) ]]; then
        compadd -- @STATES@
    else
        compadd -- @WORDS@ $fields
    fi
}

_arguments -s \
"#;

/// The completion script for fish.
pub(super) fn fish() -> String {
    let mut text = FISH.replace("@FIELDS@", &field_words());
    let mut descending = String::new();
    for option in OPTIONS {
        text.push_str("complete -c ss");
        for letter in option.short.chars() {
            _ = write!(text, " -s {letter}");
        }
        for name in option.long {
            _ = write!(text, " -l {name}");
        }
        match argument(option) {
            None => {}
            Some(Kind::File) => text.push_str(" -r -F"),
            Some(Kind::Word(words)) => _ = write!(text, " -x -a '{}'", words.join(" ")),
            Some(Kind::Words(words)) => _ = write!(text, " -x -a '(__ss_list ! {})'", words.join(" ")),
            Some(Kind::Fields) => text.push_str(" -x -a '(__ss_list \"\" $__ss_fields)'"),
            Some(Kind::SortKeys) => {
                text.push_str(" -x -a '(__ss_list - $__ss_fields)'");
                descending = spellings(option).join(" ");
            }
            Some(Kind::Namespace) => text.push_str(" -x -a '(__ss_namespaces pid: container:)'"),
            Some(Kind::Namespaces(words)) => {
                _ = write!(text, " -x -a '(__ss_namespaces {})'", literal(words));
            }
            Some(Kind::Number) => text.push_str(" -x"),
        }
        _ = writeln!(text, " -d '{}'", quoted(&short_help(option)));
    }
    let before = before_state().join(" ");
    _ = writeln!(
        text,
        "# fish takes what begins with - for an option, and does not ask the one before it.\n\
         complete -c ss -n '__fish_prev_arg_in {descending}' -a '(__ss_list - $__ss_fields)'\n\
         complete -c ss -n '__fish_prev_arg_in {before}' -a '{}'\n\
         complete -c ss -n 'not __fish_prev_arg_in {before}' -a '{} $__ss_fields'",
        state_words(),
        filter_words()
    );
    text
}

const FISH: &str = r#"# Completions for ss, made by `ss --generate=fish`.
set -g __ss_fields @FIELDS@

# Completes the last of words with commas between them; the first argument may stand
# before each.
function __ss_list
    set -l token (commandline -ct | string replace -r -- '^--[a-z-]+=' '')
    set -l head (string match -r -- '.*,' $token)
    set -l last (string replace -r -- '.*,' '' $token)
    if test -n "$argv[1]"; and string match -q -- "$argv[1]*" "$last"
        set head "$head$argv[1]"
    end
    for word in $argv[2..]
        echo "$head$word"
    end
end

# The named network namespaces, and other ways to write one.
function __ss_namespaces
    set -l named /run/netns/*
    __ss_list '' $argv (string replace -r -- '.*/' '' $named)
    __fish_complete_path (commandline -ct | string replace -r -- '^--[a-z-]+=' '')
end

complete -c ss -f
"#;
