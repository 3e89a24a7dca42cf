//! Reports sources of names that a static program could not query.
//!
//! The name service switch (NSS) loads a shared library for each source in `nsswitch.conf`,
//! which a static program cannot do: its C library only reads files and asks DNS.  If a
//! look-up found nothing, the sources that were not queried and the files that are missing
//! are reported, since the name may be there.
//!
//! Invariant: a program with NSS reports nothing; no file is read before a look-up has
//! failed, and each kind of name is reported once per process.
//!
//! Source: nsswitch.conf(5), protocols(5).

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(any(test, not(target_env = "gnu")))]
use sockdiag_facts::escape;

use crate::notice::Notice;

/// Whether the C library uses NSS.
const HAS_NSS: bool = cfg!(all(target_env = "gnu", not(target_feature = "crt-static")));

/// Kinds of names that are looked up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names {
    Services = 1,
    Users = 2,
    Hosts = 4,
}

/// Each kind with its words for messages, its name in `nsswitch.conf`, and its file.
const ALL: [(Names, &str, &str, &str); 3] = [
    (Names::Services, "services", "services", "services"),
    (Names::Users, "users", "passwd", "passwd"),
    (Names::Hosts, "hosts", "hosts", "hosts"),
];
/// Sources that a static program queries too: files, databases made from them (`db`), and
/// DNS.
const ASKED: [&[u8]; 4] = [b"files", b"compat", b"db", b"dns"];
/// How much of a file is read, in bytes.
const MOST: u64 = 1 << 20;

/// Kinds for which a name was not found, and those that were already reported.
static MISSED: AtomicU8 = AtomicU8::new(0);
static TOLD: AtomicU8 = AtomicU8::new(0);

/// Returns the answer, and records that a name was not found.
pub(super) fn answered<T>(names: Names, answer: Option<T>) -> Option<T> {
    if !HAS_NSS && answer.is_none() {
        MISSED.fetch_or(names as u8, Ordering::Relaxed);
    }
    answer
}

/// The sources that failed look-ups could not query, unless they were reported before.
pub(crate) fn take_unasked() -> Option<Notice> {
    if HAS_NSS {
        return None;
    }
    let missed = MISSED.load(Ordering::Relaxed);
    let told = TOLD.fetch_or(missed, Ordering::Relaxed);
    unasked(missed & !told, Path::new("/etc"))
}

fn unasked(missed: u8, etc: &Path) -> Option<Notice> {
    if missed == 0 {
        return None;
    }
    let switch = read(&etc.join("nsswitch.conf"));
    let mut places = Vec::new();
    for (names, word, database, file) in ALL {
        if missed & names as u8 == 0 {
            continue;
        }
        let file = etc.join(file);
        let missing = (!file.exists()).then(|| file.into_os_string().into_encoded_bytes());
        let sources = missing.into_iter().chain(sources(&switch, database));
        places.extend(sources.map(|source| [word.as_bytes(), b" in ", &source].concat()));
    }
    (!places.is_empty()).then_some(Notice::NamesUnasked { places })
}

/// The sources of a database that are not queried, in order.
fn sources(switch: &[u8], database: &str) -> Vec<Vec<u8>> {
    let line = switch.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.split(|byte| *byte == b'#').next()?.trim_ascii_start();
        line.strip_prefix(database.as_bytes())?.trim_ascii_start().strip_prefix(b":")
    });
    let mut sources = Vec::new();
    // Actions for the source before are in brackets.
    let mut is_action = false;
    for word in line.unwrap_or_default().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        is_action |= word.starts_with(b"[");
        if !is_action && !ASKED.contains(&word) {
            sources.push(word.to_vec());
        }
        is_action &= !word.ends_with(b"]");
    }
    sources
}

/// Name of an IP protocol by its number, from the file `protocols`.
#[cfg(any(test, not(target_env = "gnu")))]
pub(super) fn protocol(number: u16, etc: &Path) -> Option<Vec<u8>> {
    let text = read(&etc.join("protocols"));
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.split(|byte| *byte == b'#').next()?;
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (name, known) = (words.next()?, words.next()?);
        (std::str::from_utf8(known).ok()?.parse() == Ok(number)).then(|| escape::kept(name).to_vec())
    })
}

/// The beginning of a file; empty if it cannot be read.
fn read(path: &Path) -> Vec<u8> {
    use std::io::Read as _;

    let mut text = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(MOST).read_to_end(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_are_not_asked_are_found() {
        let switch = b"# passwd: none\npasswd:  files systemd # comment\n  hosts : files mdns4_minimal [NOTFOUND=return] dns [ !UNAVAIL=continue ] myhostname\n\
                       services: db files\npasswd_compat: nis\nlast:";
        let of = |database| {
            let sources = sources(switch, database);
            sources.iter().map(|source| String::from_utf8_lossy(source).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("passwd"), ["systemd"]);
        assert_eq!(of("hosts"), ["mdns4_minimal", "myhostname"]);
        assert!(of("services").is_empty() && of("netgroup").is_empty() && of("last").is_empty());
    }

    /// Uses directories that replace /etc.
    #[test]
    fn what_is_missing_is_told() {
        let etc = std::env::temp_dir().join(format!("sockdiag-nss-{}", std::process::id()));
        fs::create_dir_all(&etc).expect("a directory of the test's own");
        let told = |missed| unasked(missed, &etc).map(|notice| notice.to_string());
        let users_and_services = Names::Users as u8 | Names::Services as u8;
        assert_eq!(told(0), None);
        let all = told(users_and_services).expect("there is no file");
        let at = etc.display();
        assert_eq!(
            all,
            format!("names are looked up without NSS: no services in {at}/services, no users in {at}/passwd")
        );
        for name in ["services", "passwd", "hosts"] {
            fs::write(etc.join(name), "").expect("a file of the test's own");
        }
        assert_eq!(told(7), None, "everything was asked");
        fs::write(etc.join("nsswitch.conf"), "hosts: files dns my\x1bhost\npasswd: files sss ldap\n")
            .expect("its own");
        assert_eq!(
            told(7).as_deref(),
            Some(
                "names are looked up without NSS: no users in sss, no users in ldap, no hosts in my\\x1bhost"
            )
        );
        fs::write(etc.join("protocols"), "# ip 6\nip\t0\tIP # tcp 6\ntcp 6 TCP\nbad x\nsctp 132")
            .expect("its own");
        assert_eq!(protocol(6, &etc).as_deref(), Some(&b"tcp"[..]));
        assert_eq!(protocol(132, &etc).as_deref(), Some(&b"sctp"[..]));
        assert_eq!(protocol(7, &etc), None);
        fs::remove_dir_all(&etc).expect("a directory of the test's own");
    }

    #[test]
    fn with_nss_there_is_nothing_to_tell() {
        if HAS_NSS {
            assert_eq!(answered(Names::Users, None::<u32>), None);
            assert_eq!((take_unasked(), MISSED.load(Ordering::Relaxed)), (None, 0));
        }
    }
}
