//! `container:NAME` selects the network namespace of a running container.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;

use super::borders::{Cgroups, Listener, mount};
use super::tree::OURS;

fn ss(words: &[&str]) -> Output {
    Command::new(OURS).args(words).output().expect("ours runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_container_s_namespace_is_entered_by_name_and_by_id() {
    let Some(mount) = mount().filter(|_| rustix::process::geteuid().is_root()) else {
        skip!("root and cgroups of version 2 are needed");
    };
    let (Some(one), Some(other)) = (Namespace::or_skip(), Namespace::or_skip()) else { return };
    // Names that no container of the machine has, and ids with a common prefix.
    let own = std::process::id();
    let start = format!("{own:0>10}");
    let [id, id_2, his] = ["a", "b", "c"].map(|digit| format!("{start}{}", digit.repeat(54)));
    let lxc = format!("test-{own}");
    let top = PathBuf::from(format!("sockdiag-named-{own}.slice"));
    let manager = top.join("user@5555.service");
    let paths = [
        top.clone(),
        manager.clone(),
        top.join(format!("docker-{id}.scope")),
        top.join(format!("docker-{id_2}.scope")),
        top.join(format!("lxc.payload.{lxc}")),
        manager.join(format!("lxc.payload.{lxc}")),
        manager.join(format!("docker-{his}.scope")),
    ]
    .map(|path| mount.join(path));
    let _made = match Cgroups::make(&paths) {
        Ok(made) => made,
        Err(why) => skip!("{why}"),
    };
    let listen = |namespace: &Namespace, port: u16, cgroup: usize| {
        let socket = namespace.with(|| TcpListener::bind(("127.0.0.1", port))).expect("root made it");
        let mut command = Command::new("sleep");
        namespace.enter(&mut command);
        let socket: std::os::fd::OwnedFd = socket.expect("a port of the test").into();
        Listener::start(command.arg("600").stdin(socket), &paths[cgroup])
    };
    let mut kept = vec![listen(&one, 7411, 2), listen(&other, 7412, 3), listen(&other, 7413, 4)];
    kept.extend([listen(&one, 7414, 5), listen(&one, 7415, 6)]);
    let inode = |namespace: &Namespace| namespace.inode().expect("it has one").to_string();

    for (name, namespace, port) in [
        (id.as_str(), &one, 7411),
        (&id_2, &other, 7412),
        (&id_2[..11], &other, 7412),
        (&lxc, &other, 7413),
        (&format!("{lxc}(uid 5555)"), &one, 7414),
    ] {
        let word = format!("container:{name}");
        let out = ss(&["-N", &word, "-tln"]);
        assert!(out.status.success() && out.stderr.is_empty(), "{name}: {out:?}");
        assert!(text(&out.stdout).contains(&format!("127.0.0.1:{port} ")), "{name}: {out:?}");
        let out = ss(&["--netns", &word, "-tlnH", &format!("sport = :{port}")]);
        assert!(out.status.success() && text(&out.stdout).starts_with(&inode(namespace)), "{name}: {out:?}");
        assert_eq!(text(&out.stdout).lines().count(), 1, "{name}: {out:?}");
    }
    // Combined with others, each namespace once.
    let words = format!("container:{id},container:{lxc},container:{id_2}");
    let out = text(&ss(&["--netns", &words, "-tlnH"]).stdout);
    let mut namespaces: Vec<&str> = out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    namespaces.dedup();
    assert_eq!(namespaces, [inode(&one), inode(&other)]);

    for (name, want) in [
        // A user's container is not found by name.
        (
            his.as_str(),
            format!(
                "ss: no running container has the name \"{his}\" or an id that begins with \
            it\n"
            ),
        ),
        ("", "ss: no running container has the name \"\" or an id that begins with it\n".to_owned()),
        (start.as_str(), format!("ss: several containers match \"{start}\": {start}aa, {start}bb\n")),
    ] {
        for option in ["-N", "--netns"] {
            let out = ss(&[option, &format!("container:{name}"), "-tln"]);
            assert_eq!((text(&out.stderr), out.status.code()), (want.clone(), Some(1)), "{option} {name}");
            assert!(out.stdout.is_empty(), "{option} {name}");
        }
    }
}
