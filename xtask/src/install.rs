//! `cargo xtask install` and `cargo xtask docs`: installs the programs and all accompanying
//! files, and writes the generated pages of the repository.
//!
//! All texts come from the programs themselves (`ss --generate`, `sockdiag generate`), so they
//! match this build.

mod notices;

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::Why;

use crate::bench::{build, build_shipped};
pub(crate) use notices::{Package, of_third_parties, packages};

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[--prefix DIR]";
/// The help text.
pub(crate) const DOC: &str = "\
Build ss and sockdiag as they are shipped and install them below DIR
(/usr/local), with their manual pages, completions for bash, zsh and fish,
and licences.  With DESTDIR in the environment below DESTDIR/DIR, as packages
are made.  What was installed is listed in DIR/share/doc/sockdiag/installed.";
/// The help text.
pub(crate) const UNINSTALL_DOC: &str = "\
Remove the files that `install` put below DIR (/usr/local) and DESTDIR, using its list.";
/// For the list of chores.
pub(crate) const DOCS_DOC: &str = "Write docs/options.md and docs/fields.md anew.";

/// The generated files, and their places below the prefix.
const FILES: &[(&str, &str)] = &[
    ("man", "share/man/man8/ss.8"),
    ("man-filter", "share/man/man7/ss-filter.7"),
    ("man-fields", "share/man/man7/ss-fields.7"),
    ("bash", "share/bash-completion/completions/ss"),
    ("zsh", "share/zsh/site-functions/_ss"),
    ("fish", "share/fish/vendor_completions.d/ss.fish"),
];

/// The programs, each with its package.
pub(crate) const PROGRAMS: [(&str, &str); 2] = [("sockdiag-ss", "ss"), ("sockdiag-cli", "sockdiag")];

/// The directory for licences and the list of installed files.
const SHARE: &str = "share/doc/sockdiag";
/// The list of installed files, below the prefix.
const LIST: &str = "share/doc/sockdiag/installed";

/// Runs the chore `install`.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let place = place(words, std::env::var_os("DESTDIR").map(PathBuf::from))?;
    // Panic messages contain file names, which must not be those of the build machine.
    let [ours, sockdiag] = build_shipped()?;
    for path in install(&place, &ours, &sockdiag, &of_third_parties()?)? {
        println!("{}", path.display());
    }
    Ok(())
}

/// Runs the chore `uninstall`.
pub(crate) fn uninstall(words: &[String]) -> Result<(), Why> {
    remove(&place(words, std::env::var_os("DESTDIR").map(PathBuf::from))?)
}

/// The directory to install below.
fn place(words: &[String], destination: Option<PathBuf>) -> Result<PathBuf, Why> {
    let prefix = match words {
        [] => PathBuf::from("/usr/local"),
        [word] if word.starts_with("--prefix=") => PathBuf::from(word.trim_start_matches("--prefix=")),
        [word, directory] if word == "--prefix" => PathBuf::from(directory),
        _ => return Err(Why::new(format!("install and uninstall know {WORDS} and --help"))),
    };
    let Some(destination) = destination.filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(prefix);
    };
    // The prefix is absolute; the destination takes the place of the root.
    Ok(destination.join(prefix.strip_prefix("/").unwrap_or(&prefix)))
}

/// Installs everything below `place`, and returns the installed files.
pub(crate) fn install(
    place: &Path,
    ours: &Path,
    sockdiag: &Path,
    third_parties: &str,
) -> Result<Vec<PathBuf>, Why> {
    let mut installed = Vec::new();
    let mut add = |path: PathBuf| installed.push(path);
    for (built, name) in [(ours, "bin/ss"), (sockdiag, "bin/sockdiag")] {
        program(built, &place.join(name))?;
        add(place.join(name));
    }
    for (what, name) in FILES {
        write(ours, what, &place.join(name))?;
        add(place.join(name));
    }
    // `sockdiag` installs its own files, and prints their names.
    let out = Command::new(sockdiag)
        .args(["generate", "all", "--prefix"])
        .arg(place)
        .output()
        .map_err(|error| Why::new(format!("running {}: {error}", sockdiag.display())))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(Why::new(format!("sockdiag generate ended with {}: {said}", out.status)));
    }
    String::from_utf8_lossy(&out.stdout).lines().map(PathBuf::from).for_each(&mut add);
    let papers = [
        ("README.md", include_str!("../../README.md")),
        ("docs/ss.md", include_str!("../../docs/ss.md")),
        ("docs/sockdiag.md", include_str!("../../docs/sockdiag.md")),
        ("CHANGELOG.md", include_str!("../../CHANGELOG.md")),
        ("SECURITY.md", include_str!("../../SECURITY.md")),
        ("LICENSE-MIT", include_str!("../../LICENSE-MIT")),
        ("LICENSE-APACHE", include_str!("../../LICENSE-APACHE")),
        ("THIRD-PARTY", third_parties),
    ];
    for (name, text) in papers {
        let path = place.join(SHARE).join(name);
        put(&path, text.as_bytes())?;
        add(path);
    }
    add(place.join(LIST));
    let below = |path: &PathBuf| {
        let path =
            path.strip_prefix(place).map_err(|_| Why::new(format!("{} lies elsewhere", path.display())))?;
        Ok(format!("{}\n", path.display()))
    };
    let list: String = installed.iter().map(below).collect::<Result<_, Why>>()?;
    put(&place.join(LIST), list.as_bytes())?;
    Ok(installed)
}

/// Removes the listed files, and directories that become empty.
fn remove(place: &Path) -> Result<(), Why> {
    let list = place.join(LIST);
    let text = fs::read_to_string(&list)
        .map_err(|error| Why::new(format!("{}, by which is removed: {error}", list.display())))?;
    for line in text.lines() {
        let name = Path::new(line);
        // A manipulated list must not remove files outside the prefix.
        if line.is_empty() || !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Why::new(format!("{} lists {line:?}, which is not below it", list.display())));
        }
    }
    for line in text.lines() {
        let path = place.join(line);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Why::new(format!("removing {}: {error}", path.display())));
            }
            _ => println!("{}", path.display()),
        }
        // A directory that contains other files is not removed.
        let above = path.ancestors().skip(1).take_while(|above| *above != place);
        let _ = above.map(fs::remove_dir).take_while(Result::is_ok).count();
    }
    Ok(())
}

/// Installs a program: writes it beside the old file and renames it, because a running
/// program's file cannot be overwritten.
fn program(built: &Path, place: &Path) -> Result<(), Why> {
    parent(place)?;
    let beside = place.with_extension("new");
    fs::copy(built, &beside)
        .and_then(|_| fs::rename(&beside, place))
        .map_err(|error| Why::new(format!("installing {}: {error}", place.display())))
}

/// Runs the chore `docs`.
pub(crate) fn docs(_: &[String]) -> Result<(), Why> {
    let ours = build()?;
    for what in ["options", "fields"] {
        write(&ours, what, Path::new("docs").join(format!("{what}.md")).as_path())?;
    }
    Ok(())
}

fn parent(path: &Path) -> Result<(), Why> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)
        .map_err(|error| Why::new(format!("making {}: {error}", directory.display())))
}

fn write(ours: &Path, what: &str, path: &Path) -> Result<(), Why> {
    let out = Command::new(ours)
        .arg(format!("--generate={what}"))
        .output()
        .map_err(|error| Why::new(format!("running {}: {error}", ours.display())))?;
    if !out.status.success() {
        return Err(Why::new(format!("--generate={what} ended with {}", out.status)));
    }
    put(path, &out.stdout)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Why> {
    parent(path)?;
    fs::write(path, bytes).map_err(|error| Why::new(format!("writing {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn it_goes_below_the_destination() {
        for (typed, destination, want) in [
            ("", None, "/usr/local"),
            ("--prefix /usr", None, "/usr"),
            ("--prefix=/usr", Some(""), "/usr"),
            ("--prefix=/usr", Some("/tmp/package"), "/tmp/package/usr"),
            ("", Some("/tmp/package/"), "/tmp/package/usr/local"),
        ] {
            let place = place(&words(typed), destination.map(PathBuf::from));
            assert_eq!(place, Ok(PathBuf::from(want)), "{typed} {destination:?}");
        }
        assert!(place(&words("--prefix"), None).is_err() && place(&words("/usr"), None).is_err());
    }

    /// All files below a directory.
    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut all: Vec<PathBuf> =
            entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
        all.sort();
        all
    }

    /// With scripts in place of our programs.
    #[test]
    fn what_was_installed_can_be_removed() {
        let root = std::env::temp_dir().join(format!("sockdiag-install-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let script = |name: &str, text: &str| {
            let path = root.join(name);
            put(&path, format!("#!/bin/sh\n{text}\n").as_bytes()).expect("the test's own file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the test's own file");
            path
        };
        let ours = script("ss", "echo \"text of $1\"");
        let sockdiag = script(
            "sockdiag",
            "mkdir -p \"$4/share/man/man1\"; echo x > \"$4/share/man/man1/sockdiag.1\"; echo \"$4/share/man/man1/sockdiag.1\"",
        );
        let place = root.join("package/usr");
        let other = place.join("share/man/man8/other.8");
        put(&other, b"of somebody else").expect("the test's own file");
        // Twice, to check that existing files are replaced.
        for _ in 0..2 {
            install(&place, &ours, &sockdiag, "their licences").unwrap_or_else(|why| panic!("{why}"));
        }
        let text = |name: &str| fs::read_to_string(place.join(name)).unwrap_or_default();
        assert_eq!(text("share/man/man8/ss.8"), "text of --generate=man\n");
        assert!(text("share/doc/sockdiag/LICENSE-MIT").contains("Permission is hereby granted"));
        assert!(text("share/doc/sockdiag/LICENSE-APACHE").contains("Apache License"));
        assert_eq!(text("share/doc/sockdiag/THIRD-PARTY"), "their licences");
        let mut listed: Vec<PathBuf> = text(LIST).lines().map(|line| place.join(line)).collect();
        listed.push(other.clone());
        listed.sort();
        assert_eq!(files(&place), listed, "the list is whole");
        remove(&place).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(files(&place), std::slice::from_ref(&other));
        assert!(!place.join("bin").exists() && remove(&place).is_err());
        put(&place.join(LIST), b"bin/ss\n../../ss\n").expect("the test's own file");
        assert!(remove(&place).is_err() && ours.exists());
        fs::remove_dir_all(&root).expect("the test's own directory");
    }

    #[test]
    fn third_parties_are_named_with_their_licences() {
        let text = notices::of_third_parties().unwrap_or_else(|why| panic!("{why}"));
        for name in ["rustix ", "serde_json ", "libc ", "clap "] {
            assert!(
                text.lines().any(|line| line.starts_with(name) && line.contains("MIT")),
                "{name}: {text:.2000}"
            );
        }
        assert!(text.contains("Permission is hereby granted"), "their texts, too");
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "no paths of this machine");
    }
}
