//! Reasons, tested on directories that look like systems.

use std::fs;
use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::model::tables::TABLES;

const RELEASE: &str = "6.1.0-test";

/// A made-up system.
struct Fake(System);

impl Fake {
    /// A system whose kernel supports modules but has none; nothing else is known.
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("sockdiag-missing-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let fake = Self(System { root });
        fake.file("proc/sys/kernel/osrelease", format!("{RELEASE}\n"))
            .file("proc/modules", "")
            .file("proc/sys/kernel/modprobe", "/sbin/modprobe\n")
    }

    fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.0.root.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("the test's own");
        fs::write(path, bytes).expect("the test's own file");
        self
    }

    /// A list of installed modules.
    fn list(self, name: &str, text: &str) -> Self {
        self.file(&format!("lib/modules/{RELEASE}/{name}"), text)
    }

    fn without(self, name: &str) -> Self {
        fs::remove_file(self.0.root.join(name)).expect("it was there");
        self
    }

    fn lacks(&self, table: Table) -> Option<Missing> {
        self.0.lacks(table)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0.root);
    }
}

fn not_installed(module: &'static str) -> Missing {
    Missing::NotInstalled { module, directory: format!("/lib/modules/{RELEASE}").into() }
}

#[test]
fn the_configuration_tells_what_was_not_built() {
    let config = "CONFIG_NET=y\n# CONFIG_IP_SCTP is not set\nCONFIG_INET_DIAG=y\nCONFIG_INET_SCTP_DIAG_X=y\n\
                  CONFIG_VSOCKETS=m\n# CONFIG_VSOCKETS_DIAG is not set\nCONFIG_XDP_SOCKETS=y\n\
                  CONFIG_XDP_SOCKETS_DIAG=y\nCONFIG_INET_RAW_DIAG=m\n";
    let fake = Fake::new("config").file(&format!("boot/config-{RELEASE}"), config);
    for (table, why) in [
        (Table::Sctp, Some(Missing::Option("CONFIG_IP_SCTP"))),
        // A newer kernel does not even have this option.
        (Table::Dccp, Some(Missing::Option("CONFIG_IP_DCCP"))),
        (Table::VsockStream, Some(Missing::Option("CONFIG_VSOCKETS_DIAG"))),
        // Everything is built in, so the reason is another.
        (Table::Xdp, None),
        (Table::Raw, Some(not_installed("raw_diag"))),
    ] {
        assert_eq!(fake.lacks(table), why, "{table:?}");
    }
}

#[test]
fn a_compressed_configuration_is_read_and_a_damaged_one_passed_over() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(b"# CONFIG_TIPC is not set\n").expect("into memory");
    let packed = packed.finish().expect("into memory");
    let fake = Fake::new("gz").file("proc/config.gz", &packed);
    assert_eq!(fake.lacks(Table::Tipc), Some(Missing::Option("CONFIG_TIPC")));
    for length in 0..packed.len() {
        let fake = Fake::new("gz-cut").file("proc/config.gz", &packed[..length]);
        assert_eq!(fake.lacks(Table::Tipc), None, "{length}");
    }
    // A flag whose field is missing, and a wrong length.
    for (at, byte) in [(3, 0x08), (packed.len() - 4, 26), (packed.len() - 1, 1)] {
        let mut packed = packed.clone();
        assert_ne!(std::mem::replace(&mut packed[at], byte), byte);
        let fake = Fake::new("gz-wrong").file("proc/config.gz", &packed);
        assert_eq!(fake.lacks(Table::Tipc), None, "{at}");
    }
}

#[test]
fn lists_of_modules_tell_what_is_installed() {
    let fake = || {
        Fake::new("lists")
            .list("modules.dep", "kernel/net/sctp/sctp_diag.ko.xz: kernel/net/sctp/sctp.ko.xz\n")
    };
    assert_eq!(fake().lacks(Table::Sctp), Some(Missing::NotLoaded { module: "sctp_diag" }));
    assert_eq!(fake().lacks(Table::Xdp), Some(not_installed("xsk_diag")));
    // The name must match as a whole.
    assert_eq!(
        fake().list("modules.dep", "a/x_xsk_diag.ko:\nb/xsk_diag_x.ko:\n").lacks(Table::Xdp),
        Some(not_installed("xsk_diag"))
    );
    // The file of TIPC's module has another name; it is found by its alias.
    let tipc = fake().list("modules.alias", "# Aliases\nalias net-pf-16-proto-4-type-30 diag\n");
    assert_eq!(tipc.lacks(Table::Tipc), Some(Missing::NotLoaded { module: "tipc_diag" }));
    let raw = fake().list("modules.alias", "alias net-pf-16-proto-4-type-2-255 raw_diag\n");
    assert_eq!(raw.lacks(Table::Raw), Some(Missing::NotLoaded { module: "raw_diag" }));
    assert_eq!(raw.lacks(Table::Udp), Some(not_installed("udp_diag")));
    let dash = fake().list("modules.builtin", "kernel/net/vmw_vsock/vsock-diag.ko\n");
    assert_eq!(dash.lacks(Table::VsockDgram), None, "it is built in, so something else is wrong");
}

#[test]
fn a_module_that_may_not_be_loaded_is_not_called_missing() {
    let fake = || Fake::new("off").list("modules.dep", "kernel/net/vsock_diag.ko:\n");
    for (file, text, setting) in [
        ("proc/sys/kernel/modules_disabled", "1\n", "kernel.modules_disabled"),
        ("proc/sys/kernel/modprobe", "\n", "an empty kernel.modprobe"),
    ] {
        let why = fake().file(file, text).lacks(Table::VsockStream);
        assert_eq!(why, Some(Missing::LoadingIsOff { module: "vsock_diag", setting }));
    }
    let on = fake().file("proc/sys/kernel/modules_disabled", "0\n");
    assert_eq!(on.lacks(Table::VsockStream), Some(Missing::NotLoaded { module: "vsock_diag" }));
    let loaded = fake().file("sys/module/vsock_diag/refcnt", "0\n");
    assert_eq!(loaded.lacks(Table::VsockStream), None, "it is loaded, so something else is wrong");
}

#[test]
fn what_cannot_be_seen_is_not_guessed() {
    let blind = Fake(System { root: "/nonexistent".into() });
    let unseen = Fake::new("unseen");
    let empty = Fake::new("empty").list("modules.order", "");
    let none = Fake::new("none").without("proc/modules").without("proc/sys/kernel/modprobe");
    for facts in &TABLES {
        assert_eq!(blind.lacks(facts.table), None);
        assert_eq!(unseen.lacks(facts.table), None);
        assert_eq!(empty.lacks(facts.table), None);
        assert_eq!(none.lacks(facts.table), Some(Missing::NoModules));
    }
}

#[test]
fn a_release_that_leads_elsewhere_is_none() {
    let fake = Fake::new("release").file("proc/sys/kernel/osrelease", "../../etc\n");
    assert_eq!((fake.0.release(), fake.lacks(Table::Sctp)), (None, None));
}

#[test]
fn permission_and_trouble_are_not_taken_for_a_lack() {
    let fake = Fake::new("errors").file(&format!("boot/config-{RELEASE}"), "");
    let os = io::Error::from_raw_os_error;
    let file = |errno| DumpErrorKind::File { path: "/proc/net/raw".into(), error: os(errno) };
    let built = Some(Missing::Option("CONFIG_IP_SCTP"));
    let refused = |errno| Some(Missing::NotAllowed { errno });
    for (kind, why) in [
        (DumpErrorKind::Kernel(2), built.clone()),
        (DumpErrorKind::Kernel(22), built.clone()),
        (DumpErrorKind::Kernel(95), built.clone()),
        (DumpErrorKind::Kernel(1), refused(1)),
        (DumpErrorKind::Kernel(13), refused(13)),
        (DumpErrorKind::Kernel(12), None),
        (DumpErrorKind::Kernel(0), None),
        (DumpErrorKind::Socket(os(1)), refused(1)),
        (DumpErrorKind::Socket(os(97)), refused(97)),
        (DumpErrorKind::Socket(os(93)), built.clone()),
        (DumpErrorKind::Socket(os(24)), None),
        (DumpErrorKind::Receive(os(105)), None),
        (DumpErrorKind::Receive(os(13)), refused(13)),
        (file(2), built.clone()),
        (file(13), refused(13)),
        (file(5), None),
        (DumpErrorKind::Eof, None),
        (DumpErrorKind::Remnant { bytes: 3 }, None),
    ] {
        assert_eq!(reason(&kind, Table::Sctp, &fake.0), why, "{kind:?}");
    }
    let blind = System { root: "/nonexistent".into() };
    assert_eq!(reason(&DumpErrorKind::Kernel(2), Table::Sctp, &blind), Some(Missing::Unknown { errno: 2 }));
}

#[test]
fn every_table_has_an_alias_of_its_family() {
    let mut seen = std::collections::HashMap::new();
    for facts in &TABLES {
        let alias = alias(facts.table);
        let module = wants(facts.table).module;
        assert_eq!(*seen.entry(alias.clone()).or_insert(module), module, "{alias}");
    }
    for (table, want) in
        [(Table::Raw, "2-255"), (Table::Mptcp, "2-262"), (Table::Xdp, "44"), (Table::UnixStream, "1")]
    {
        assert_eq!(alias(table), format!("net-pf-16-proto-4-type-{want}"));
    }
}

#[test]
fn bound_and_idle_sockets_came_with_a_release() {
    for (release, knows) in [
        ("5.10.0-30-amd64", false),
        ("6.1.0-test", false),
        ("6.7.12", false),
        ("6.8.0", true),
        ("6.18.44-fc", true),
        ("7.1", true),
        ("unknown", true),
    ] {
        assert_eq!(knows_bound_inactive(release), knows, "{release}");
    }
    let notice = Notice::Missing { title: "bound, idle TCP", why: Missing::Since("Linux 6.8") };
    assert_eq!(
        notice.to_string(),
        "this kernel has no support for listing bound, idle TCP sockets: it was added in Linux 6.8"
    );
}
