//! `cargo xtask install` and `cargo xtask docs`: the program with everything
//! that goes with it, and the pages that the repository shows.
//!
//! All texts come from the programs themselves (`ss --generate`, `sockdiag
//! generate`), so they say what this build can do.

mod notices;

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::Why;

use crate::bench::{build, build_shipped};
pub(crate) use notices::{Package, of_third_parties, packages};

/// For the list of chores.
pub(crate) const WORDS: &str = "[--prefix DIR]";
/// For the list of chores.
pub(crate) const DOC: &str = "\
Build ss and sockdiag as they are shipped and install them below DIR
(/usr/local), with their manual pages, completions for bash, zsh and fish,
and licences.  With DESTDIR in the environment below DESTDIR/DIR, as packages
are made.  What was installed is listed in DIR/share/doc/sockdiag/installed.";
/// For the list of chores.
pub(crate) const UNINSTALL_DOC: &str = "\
Remove what `install` put below DIR (/usr/local) and DESTDIR, by its list.";
/// For the list of chores.
pub(crate) const DOCS_DOC: &str = "Write docs/options.md and docs/fields.md anew.";

/// What is made, and where it goes below the prefix.
const FILES: &[(&str, &str)] = &[
    ("man", "share/man/man8/ss.8"),
    ("man-filter", "share/man/man7/ss-filter.7"),
    ("man-fields", "share/man/man7/ss-fields.7"),
    ("bash", "share/bash-completion/completions/ss"),
    ("zsh", "share/zsh/site-functions/_ss"),
    ("fish", "share/fish/vendor_completions.d/ss.fish"),
];

/// The programs, each with the package that it is made of.
pub(crate) const PROGRAMS: [(&str, &str); 2] = [("sockdiag-ss", "ss"), ("sockdiag-cli", "sockdiag")];

/// Where licences and the list of what was installed go.
const SHARE: &str = "share/doc/sockdiag";
/// The list, below the prefix like what it lists.
const LIST: &str = "share/doc/sockdiag/installed";

/// Does the chore `install`.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let place = place(words, std::env::var_os("DESTDIR").map(PathBuf::from))?;
    // Messages of a panic name files: not those of whoever built it.
    let [ours, sockdiag] = PROGRAMS.map(build_shipped);
    for path in install(&place, &ours?, &sockdiag?, &of_third_parties()?)? {
        println!("{}", path.display());
    }
    Ok(())
}

/// Does the chore `uninstall`.
pub(crate) fn uninstall(words: &[String]) -> Result<(), Why> {
    remove(&place(words, std::env::var_os("DESTDIR").map(PathBuf::from))?)
}

/// The directory below which everything goes.
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
    // A prefix begins at the root, which is the destination.
    Ok(destination.join(prefix.strip_prefix("/").unwrap_or(&prefix)))
}

/// Puts everything below `place`, and lists what that is there.
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
    // It knows where its own files belong, and lists them.
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

/// Removes what the list names, and directories that are empty then.
fn remove(place: &Path) -> Result<(), Why> {
    let list = place.join(LIST);
    let text = fs::read_to_string(&list)
        .map_err(|error| Why::new(format!("{}, by which is removed: {error}", list.display())))?;
    for line in text.lines() {
        let name = Path::new(line);
        // A list that others wrote removes nothing outside.
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
        // Where something else is, this fails, and should.
        let above = path.ancestors().skip(1).take_while(|above| *above != place);
        let _ = above.map(fs::remove_dir).take_while(Result::is_ok).count();
    }
    Ok(())
}

/// Installs a program: not over a running program's file, but beside it, then in
/// its place.
fn program(built: &Path, place: &Path) -> Result<(), Why> {
    parent(place)?;
    let beside = place.with_extension("new");
    fs::copy(built, &beside)
        .and_then(|_| fs::rename(&beside, place))
        .map_err(|error| Why::new(format!("installing {}: {error}", place.display())))
}

/// Does the chore `docs`.
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

    /// With programs that stand in for ours.
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
        // Twice: over what is there, too.
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
