//! Containers, pods and units on recorded host trees: their names, who vouches for the names,
//! and the handling of files chosen by others.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod borders;
mod hostile;
mod named;
mod tree;

use std::fs;

use tree::Tree;

#[test]
fn sockets_are_told_by_their_holders_cgroups() {
    let pod = "4fe556a4-0bd7-45be-966f-46e2cbf4c4ac";
    for (tree, want) in [
        (
            "docker-cgroup1.tree",
            &[
                ("22", "unit:ssh.service"),
                ("80", "container:web"),
                // The file with this container's name is missing.
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
                ("8081", "container:proxy(uid 1000)"),
            ],
        ),
        (
            "machines.tree",
            &[
                ("22", "container:my-box unit:ssh.service(container my-box)"),
                ("80", "container:web unit:nginx.service(container web)"),
                ("5900", "container:vm-one unit:machine-qemu\\x2d2\\x2dvm\\x2done.scope"),
                ("8000", "unit:session-4.scope"),
                ("8001", "unit:notes.service(uid 1000)"),
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
        "\"container\":{\"title\":\"app\",\"name\":\"app\",\"id\":\"1733e7a76be7",
        "\"runtime\":\"containerd\"",
        "\"pod\":{\"title\":\"shop/front-7d9c\",\"name\":\"front-7d9c\",\"namespace\":\"shop\",\"uid\":\"4fe556a4-",
        "\"qos\":\"burstable\"",
        "\"slice\":\"kubepods-burstable-pod4fe556a4_",
    ] {
        assert!(json.contains(part), "no {part} in {json}");
    }
    let machines = Tree::unpack("machines.tree");
    for (filter, port) in [
        ("unit.name = notes.service*", 8001),
        ("unit.owner_uid = 1000 and unit.name = notes*", 8001),
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
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows: Vec<String> = columns.lines().map(words).collect();
    assert_eq!(rows, ["8000 1000 user-1000.slice", "8001 1000 app.slice(uid 1000)"]);
    assert!(!machines.ss("-tlnHp").contains("unit:"), "only if asked for");
}

/// Columns, conditions, groups and JSON agree with the text: an id if no name is known, and
/// the short name of a unit.
#[test]
fn columns_say_what_the_text_says() {
    let docker = Tree::unpack("docker-cgroup1.tree");
    let columns = |tree: &Tree, words: &str| {
        let text = tree.ss(&format!("-tlnH --csv --sort local.port {words}"));
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        columns(&docker, "--columns local.port,container,unit"),
        ["22,,ssh.service", "80,web,", "5432,9ec39b91f3d7,", "8080,,docker.service"]
    );
    assert_eq!(docker.ss("-tlnH --csv --group-by container --sort container").lines().count(), 3);
    let kubernetes = Tree::unpack("kubernetes-containerd.tree");
    let pod = "4fe556a4-0bd7-45be-966f-46e2cbf4c4ac";
    assert_eq!(
        columns(&kubernetes, "--columns local.port,container,pod"),
        ["8080,app,shop/front-7d9c".to_owned(), format!("9100,4f797c539e6c,{pod}"), "10250,,".to_owned()]
    );
    for (tree, filter, ports) in [
        (&docker, "container = *", &["80", "5432"][..]),
        (&docker, "container = 9ec39b91f3d7", &["5432"]),
        (&docker, "container = 9ec*", &["5432"]),
        (&docker, "container != web", &["5432"]),
        (&docker, "unit = ssh.service", &["22"]),
        (&kubernetes, "container = 4f797c539e6c", &["9100"]),
        (&kubernetes, "pod = 4fe556a4*", &["9100"]),
        (&kubernetes, "pod = shop/*", &["8080"]),
        (&kubernetes, "pod = *", &["8080", "9100"]),
        (&kubernetes, "not pod = *", &["10250"]),
    ] {
        assert_eq!(columns(tree, &format!("--columns local.port {filter}")), ports, "{filter}");
    }
    // The text contains nothing else.
    let titles = |words: &str| -> Vec<(String, String)> {
        let row =
            |line: &String| line.split_once(',').map(|(port, title)| (port.to_owned(), title.to_owned()));
        columns(&docker, words).iter().filter_map(row).collect()
    };
    let text = docker
        .details()
        .into_iter()
        .filter_map(|(port, text)| Some((port, text.strip_prefix("container:")?.to_owned())));
    let of_columns = titles("--columns local.port,container container = *");
    assert_eq!(text.collect::<Vec<_>>(), of_columns);
}

#[test]
fn damaged_state_gives_no_names() {
    let tree = Tree::unpack("docker-cgroup1.tree");
    let id = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
    let config = tree.path(&format!("var/lib/docker/containers/{id}/config.v2.json"));
    // Unreadable files are reported on stderr.
    let shown = || {
        let out = tree.output("-tlnH --containers sport = :80");
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).expect("ASCII")
    };
    for text in ["", "{", "[]", "null", "{\"Name\":7}", "{\"Name\":\"\"}", &"[".repeat(100_000)] {
        fs::write(&config, text).expect("the test's own file");
        assert!(shown().contains(" container:4f797c539e6c"), "{}", shown());
    }
    fs::write(&config, "{\"Name\":\"/a b\\nc\\u001b[2J\\u00e9\"}").expect("the test's own file");
    assert!(shown().contains(" container:a.b.c.[2J??"), "a name adds no words: {}", shown());
    fs::write(&config, "{\"Name\":\"/k8s_app_front-1_shop_uid-7_0\"}").expect("the test's own file");
    assert!(shown().contains(" container:app pod:shop/front-1"), "{}", shown());
}
