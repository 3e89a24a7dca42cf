//! Containers, pods and units, on recorded trees of hosts.
//!
//! A file in `trees/` is a host: after a line `@file PATH` follow the lines of
//! that file, and `@link PATH TARGET` is a symbolic link.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// A host's files in a directory of the test's.
struct Tree(PathBuf);

impl Tree {
    fn unpack(name: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees").join(name);
        let text = fs::read_to_string(&from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        // Tests that run at once may unpack the same host.
        static TREES: AtomicU32 = AtomicU32::new(0);
        let number = TREES.fetch_add(1, Ordering::Relaxed);
        let place = format!("containers-{name}-{}-{number}", std::process::id());
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(place);
        let _ = fs::remove_dir_all(&root);
        let place = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a directory of the test");
            path
        };
        for part in text.split("\n@").skip(1) {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            match *head.split(' ').collect::<Vec<_>>() {
                ["file", path] => fs::write(place(path), format!("{body}\n")).expect("a file of the test"),
                ["link", path, target] => symlink(target, place(path)).expect("a link of the test"),
                _ => panic!("{name}: {head}"),
            }
        }
        Self(root)
    }

    fn ss(&self, words: &str) -> String {
        let mut command = Command::new(OURS);
        command.env("PROC_ROOT", self.0.join("proc")).args(words.split(' '));
        let out = command.output().expect("ours runs");
        assert!(out.status.success() && out.stderr.is_empty(), "{words}: {out:?}");
        String::from_utf8(out.stdout).expect("ASCII")
    }

    /// What follows the peer's port, for each local port.
    fn details(&self) -> Vec<(String, String)> {
        let text = self.ss("-tlnH --containers");
        let split = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[3].replace("0.0.0.0:", ""), words[5..].join(" "))
        };
        let mut all: Vec<_> = text.lines().map(split).collect();
        all.sort_by_key(|(port, _)| port.parse::<u16>().expect("a port"));
        all
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn sockets_are_told_by_their_holders_cgroups() {
    let pod = "4fe556a4-0bd7-45be-966f-46e2cbf4c4ac";
    for (tree, want) in [
        (
            "docker-cgroup1.tree",
            &[
                ("22", "unit:ssh.service"),
                ("80", "container:web"),
                // The file of that one is not there.
                ("5432", "container:9ec39b91f3d7"),
                ("8080", "unit:docker.service"),
            ][..],
        ),
        (
            "kubernetes-containerd.tree",
            &[
                ("8080", "container:app pod:shop/front-7d9c"),
                ("9100", &format!("container:4f797c539e6c pod:{pod}")),
                ("10250", "unit:kubelet.service"),
            ],
        ),
        ("kubernetes-crio.tree", &[("8443", "container:api pod:prod/api-0")]),
        (
            "podman.tree",
            &[
                (
                    "53",
                    "unit:libpod-conmon-4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970.scope",
                ),
                ("80", "container:site"),
                ("6379", "container:cache unit:cache.service"),
                ("8081", "container:proxy"),
            ],
        ),
        (
            "machines.tree",
            &[
                ("22", "container:my-box unit:ssh.service"),
                ("80", "container:web unit:nginx.service"),
                ("5900", "container:vm-one unit:machine-qemu\\x2d2\\x2dvm\\x2done.scope"),
                ("8000", "unit:session-4.scope"),
                ("8001", "unit:notes.service"),
                ("8002", ""),
            ],
        ),
    ] {
        let want: Vec<_> = want.iter().map(|(port, text)| ((*port).to_owned(), (*text).to_owned())).collect();
        assert_eq!(Tree::unpack(tree).details(), want, "{tree}");
    }
}

#[test]
fn every_fact_is_a_field_with_a_name() {
    let tree = Tree::unpack("kubernetes-containerd.tree");
    let json = tree.ss("-tlnj --containers sport = :8080");
    for part in [
        "\"container\":{\"name\":\"app\",\"id\":\"1733e7a76be7",
        "\"runtime\":\"containerd\"",
        "\"pod\":{\"name\":\"front-7d9c\",\"namespace\":\"shop\",\"uid\":\"4fe556a4-",
        "\"qos\":\"burstable\"",
        "\"slice\":\"kubepods-burstable-pod4fe556a4_",
    ] {
        assert!(json.contains(part), "no {part} in {json}");
    }
    let machines = Tree::unpack("machines.tree");
    for (filter, port) in [
        ("unit.name = notes.service", 8001),
        ("unit.session = 4", 8000),
        ("container.runtime = lxc", 80),
        ("container.name = vm-one", 5900),
    ] {
        let rows = machines.ss(&format!("-tlnH {filter}"));
        assert_eq!(rows.lines().count(), 1, "{filter}: {rows}");
        assert!(rows.contains(&format!(":{port} ")), "{filter}: {rows}");
    }
    let columns = machines
        .ss("-tlnH --columns local.port,unit.owner_uid,slice --sort local.port unit.owner_uid = 1000");
    let rows: Vec<Vec<&str>> = columns.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["8000", "1000", "user-1000.slice"], ["8001", "1000", "app.slice"]]);
    assert!(!machines.ss("-tlnHp").contains("unit:"), "only if asked for");
}

#[test]
fn damaged_state_gives_no_names() {
    let tree = Tree::unpack("docker-cgroup1.tree");
    let id = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
    let config = tree.0.join(format!("var/lib/docker/containers/{id}/config.v2.json"));
    let shown = || tree.ss("-tlnH --containers sport = :80");
    for text in ["", "{", "[]", "null", "{\"Name\":7}", "{\"Name\":\"\"}", &"[".repeat(100_000)] {
        fs::write(&config, text).expect("the test's own file");
        assert!(shown().contains(" container:4f797c539e6c"), "{}", shown());
    }
    fs::write(&config, "{\"Name\":\"/a b\\nc\\u001b[2J\\u00e9\"}").expect("the test's own file");
    assert!(shown().contains(" container:a.b.c.[2J??"), "a name adds no words: {}", shown());
    fs::write(&config, "{\"Name\":\"/k8s_app_front-1_shop_uid-7_0\"}").expect("the test's own file");
    assert!(shown().contains(" container:app pod:shop/front-1"), "{}", shown());
}
