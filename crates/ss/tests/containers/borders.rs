//! Names that an unprivileged user chose: units, containers and pods that look like those of
//! others.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;

use super::tree::{OURS, Tree};

/// The ids of a container of root and of a user's container.
const ROOT_S: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
const HIS: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
const POD: &str = "4fe556a4-0bd7-45be-966f-46e2cbf4c4ac";
/// The cgroup that systemd gives to a user.
const MANAGER: &str = "/user.slice/user-1000.slice/user@1000.service";

/// The containers of a host: those of root, and those that a user claims to have.
fn stores() -> String {
    format!(
        "\n@file etc/passwd\nroot:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\
         \n@file var/lib/docker/containers/{ROOT_S}/config.v2.json\n{{\"Name\":\"/payments-prod\"}}\
         \n@file var/lib/containers/storage/overlay-containers/containers.json\n\
         [{{\"id\":\"{ROOT_S}\",\"names\":[\"payments-prod\"]}}]\
         \n@file run/containerd/io.containerd.runtime.v2.task/k8s.io/{ROOT_S}/config.json\n\
         {{\"annotations\":{{\"io.kubernetes.cri.container-name\":\"etcd\",\
         \"io.kubernetes.cri.sandbox-name\":\"etcd-0\",\"io.kubernetes.cri.sandbox-namespace\":\"kube-system\"}}}}\
         \n@file home/ann/.local/share/docker/containers/{HIS}/config.v2.json\n{{\"Name\":\"/payments-prod\"}}\
         \n@file home/ann/.local/share/containers/storage/overlay-containers/containers.json\n\
         [{{\"id\":\"{HIS}\",\"names\":[\"etcd\"]}}]\
         \n@owner 1000 home/ann"
    )
}

/// The four cases of the report, and similar ones.
#[test]
fn what_a_user_calls_like_others_says_that_it_is_his() {
    let root = ROOT_S;
    let listeners = [
        (1, format!("{MANAGER}/app.slice/sshd.service"), "unit:sshd.service(uid 1000)"),
        (2, format!("{MANAGER}/docker-{root}.scope"), "container:4f797c539e6c(uid 1000)"),
        (
            3,
            format!("{MANAGER}/kubepods/burstable/pod{POD}/cri-containerd-{root}.scope"),
            "container:4f797c539e6c(uid 1000) pod:4fe556a4-0bd7-45be-966f-46e2cbf4c4ac(uid 1000)",
        ),
        (
            4,
            format!("/docker/{root}/sshd.service"),
            "container:payments-prod unit:sshd.service(container 4f797c539e6c)",
        ),
        // The same with other forms of names.
        (5, format!("{MANAGER}/app.slice/libpod-{root}.scope"), "container:4f797c539e6c(uid 1000)"),
        (6, format!("{MANAGER}/crio-{root}.scope"), "container:4f797c539e6c(uid 1000)"),
        (7, format!("{MANAGER}/{root}"), "container:4f797c539e6c(uid 1000) unit:user@1000.service"),
        (8, format!("{MANAGER}/machine-db.scope"), "container:db(uid 1000) unit:machine-db.scope(uid 1000)"),
        (9, format!("{MANAGER}/lxc.payload.db"), "container:db(uid 1000) unit:user@1000.service"),
        (10, format!("{MANAGER}/init.scope"), "unit:init.scope(uid 1000)"),
        (11, format!("{MANAGER}/user@0.service/cron.service"), "unit:cron.service(uid 1000)"),
        // In a container that the machine itself runs.
        (12, format!("/docker/{root}/docker/{HIS}"), "container:9ec39b91f3d7(container 4f797c539e6c)"),
        (13, format!("/lxc.payload.db/docker/{root}"), "container:4f797c539e6c(container db)"),
        // The user's own containers, by the names in the user's files.
        (14, format!("{MANAGER}/docker-{HIS}.scope"), "container:payments-prod(uid 1000)"),
        (15, format!("{MANAGER}/libpod-{HIS}.scope/container"), "container:etcd(uid 1000)"),
        // Containers and units of root.
        (16, format!("/system.slice/docker-{root}.scope"), "container:payments-prod"),
        (
            17,
            format!("/kubepods/burstable/pod{POD}/cri-containerd-{root}.scope"),
            "container:etcd pod:kube-system/etcd-0",
        ),
        (18, "/system.slice/sshd.service".to_owned(), "unit:sshd.service"),
        // A user's container is not looked up as if it were root's.
        (19, format!("/docker/{HIS}"), "container:9ec39b91f3d7"),
    ];
    let of: Vec<(u16, &str)> = listeners.iter().map(|(port, cgroup, _)| (*port, cgroup.as_str())).collect();
    let tree = Tree::with("borders", &of, &stores());
    let want: Vec<_> =
        listeners.iter().map(|(port, _, text)| (port.to_string(), (*text).to_owned())).collect();
    assert_eq!(tree.details(), want);

    // Conditions, columns and JSON make the same distinction.
    for (filter, ports) in [
        ("unit = sshd.service", "18"),
        ("unit = sshd.service*", "1 4 18"),
        ("container = payments-prod", "4 16"),
        ("container = etcd", "17"),
        ("pod.name = etcd-0", "17"),
        ("container.runtime = docker", "4 14 16 19"),
        ("container.runtime = lxc or container.runtime = machine", ""),
        ("container.runtime = podman", "15"),
        ("unit.owner_uid = 1000", "1 2 3 5 6 7 8 9 10 11 14 15"),
    ] {
        let out = tree.command("-tlnH --columns local.port --sort local.port").arg(filter).output();
        let text = String::from_utf8(out.expect("ours runs").stdout).expect("ASCII");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), ports, "{filter}");
    }
    let columns = tree
        .ss("-tlnH --columns local.port,container,unit,pod.uid,container.id sport <= :3 --sort local.port");
    for (row, parts) in columns.lines().zip([
        &["sshd.service(uid 1000)"][..],
        &["4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970(uid 1000)"],
        &["4fe556a4-0bd7-45be-966f-46e2cbf4c4ac(uid 1000)"],
    ]) {
        assert!(parts.iter().all(|part| row.contains(part)), "{row}");
    }
    let json = tree.ss("-tlnj --containers sport = :1");
    for part in ["\"name\":\"sshd.service(uid 1000)\"", "\"owner_uid\":1000"] {
        assert!(json.contains(part), "no {part} in {json}");
    }
}

/// The owner of a cgroup's directory counts as much as the name of a user manager.
#[test]
fn whoever_was_given_a_cgroup_names_what_is_below_it() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can give a directory away");
    }
    let listeners = [
        (1, format!("/system.slice/ci.service/docker-{ROOT_S}.scope"), "container:4f797c539e6c(uid 990)"),
        (2, "/system.slice/ci.service/sshd.service".to_owned(), "unit:sshd.service(uid 990)"),
        (3, "/system.slice/ci.service".to_owned(), "unit:ci.service"),
        (4, format!("/batch.slice/docker-{ROOT_S}.scope"), "container:payments-prod"),
        (5, format!("/batch.slice/bob/docker-{ROOT_S}.scope"), "container:4f797c539e6c(uid 1001)"),
    ];
    let of: Vec<(u16, &str)> = listeners.iter().map(|(port, cgroup, _)| (*port, cgroup.as_str())).collect();
    let procs = |path: &str| format!("\n@file sys/fs/cgroup{path}/cgroup.procs\n");
    let mut more = stores();
    more.extend(listeners.iter().map(|(_, path, _)| procs(path)));
    more.push_str(
        "\n@owner 990 sys/fs/cgroup/system.slice/ci.service\n@owner 1001 sys/fs/cgroup/batch.slice/bob",
    );
    let tree = Tree::with("owners", &of, &more);
    let want: Vec<_> = listeners.iter().map(|(port, _, of)| (port.to_string(), (*of).to_owned())).collect();
    assert_eq!(tree.details(), want);
}

/// A process with a listener, in a cgroup.
pub(super) struct Listener(Child);

impl Listener {
    /// A process of a user that holds this socket, in a cgroup.
    pub(super) fn of(socket: impl Into<OwnedFd>, uid: u32, cgroup: &Path) -> Self {
        Self::start(Command::new("sleep").arg("600").uid(uid).stdin(Stdio::from(socket.into())), cgroup)
    }

    /// The process that a command starts, moved to a cgroup.
    pub(super) fn start(command: &mut Command, cgroup: &Path) -> Self {
        let child = Self(command.spawn().expect("sleep starts"));
        fs::write(cgroup.join("cgroup.procs"), child.0.id().to_string()).expect("a cgroup of the test");
        child
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Cgroup directories, removed in the end, innermost first.
pub(super) struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    /// Makes these cgroups in order; the error says why that is impossible.
    pub(super) fn make(paths: &[PathBuf]) -> Result<Self, String> {
        let mut made = Self(Vec::new());
        for path in paths {
            fs::create_dir(path).map_err(|error| format!("no cgroup can be made: {error}"))?;
            made.0.push(path.clone());
        }
        Ok(made)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

/// The mount point of cgroup version 2.
pub(super) fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    line.split(' ').nth(1).map(PathBuf::from)
}

#[test]
fn a_live_user_borrows_no_unit_and_no_container() {
    let Some(mount) = mount().filter(|_| rustix::process::geteuid().is_root()) else {
        skip!("root and cgroups of version 2 are needed");
    };
    let Some(namespace) = Namespace::or_skip() else { return };
    // The same layout as systemd's, but separate from it.
    let top = format!("sockdiag-test-{}.slice", std::process::id());
    let his = format!("{top}/user@5555.service");
    let forged = format!("{his}/sshd.service");
    let scope = format!("{his}/docker-{ROOT_S}.scope");
    let given = format!("{top}/ci");
    let in_given = format!("{given}/nginx.service");
    let paths = [&top, &his, &forged, &scope, &given, &in_given].map(|path| mount.join(path));
    let _made = match Cgroups::make(&paths) {
        Ok(made) => made,
        Err(why) => skip!("{why}"),
    };
    for path in [&given, &in_given] {
        chown(mount.join(path), Some(5556), None).expect("root may");
    }
    let listen = |port: u16, cgroup: &str| {
        let socket = namespace.with(|| TcpListener::bind(("127.0.0.1", port))).expect("it was made by root");
        Listener::of(socket.expect("a port of the test"), 5555, &mount.join(cgroup))
    };
    let _kept = [listen(7401, &forged), listen(7402, &scope), listen(7403, &in_given)];
    let mut command = Command::new(OURS);
    // The namespace has its own mount namespace, with the same cgroups.
    namespace.enter(&mut command);
    let out = command.args(["-tlnH", "--containers"]).output().expect("ours runs");
    let text = String::from_utf8(out.stdout).expect("ASCII").replace("127.0.0.1:", "0.0.0.0:");
    let mut shown = Tree::parse(&text);
    shown.sort();
    let want = |port: &str, text: &str| (port.to_owned(), text.to_owned());
    // The sockets were made in the test's cgroup, so only their holders' cgroups can identify
    // them.
    let own = fs::read_to_string("/proc/self/cgroup").expect("it may be read");
    if own.lines().any(|line| line.starts_with("0::") && line != "0::/") {
        skip!("the test is in a cgroup of its own, which tells first");
    }
    assert_eq!(
        shown,
        [
            want("7401", "unit:sshd.service(uid 5555)"),
            want("7402", "container:4f797c539e6c(uid 5555)"),
            want("7403", "unit:nginx.service(uid 5556)"),
        ]
    );
    let mut command = Command::new(OURS);
    namespace.enter(&mut command);
    let out =
        command.args(["-tlnH", "unit = sshd.service or unit = nginx.service"]).output().expect("ours runs");
    assert!(out.stdout.is_empty(), "{out:?}");
}

/// The reported case: a user's process in a scope of the user's, and a FIFO in the user's
/// home.
#[test]
fn a_live_user_s_pipe_is_not_waited_for() {
    let Some(mount) = mount().filter(|_| rustix::process::geteuid().is_root()) else {
        skip!("root and cgroups of version 2 are needed");
    };
    let Some(namespace) = Namespace::or_skip() else { return };
    let own = std::process::id();
    let manager = mount.join(format!("sockdiag-pipe-{own}.slice"));
    let his = manager.join("user@5555.service");
    let scope = his.join(format!("libpod-{HIS}.scope"));
    let _made = match Cgroups::make(&[manager, his, scope.clone()]) {
        Ok(made) => made,
        Err(why) => skip!("{why}"),
    };
    // The user's home is named in a user list that only the namespace sees.
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pipe-{own}"));
    let store = place.join("home/.local/share/containers/storage/overlay-containers");
    fs::create_dir_all(&store).expect("a directory of the test");
    fs::write(place.join("passwd"), format!("u:x:5555:5555::{}/home:/bin/sh\n", place.display()))
        .expect("a file");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let pipe = store.join("containers.json");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    let socket = namespace.with(|| TcpListener::bind("127.0.0.1:7421")).expect("root made it");
    let _kept = Listener::of(socket.expect("a port of the test"), 5555, &scope);
    for words in ["-tlnHp --containers --explain", "-tlnH --columns local.port,container.id --explain"] {
        let mut command = Command::new("sh");
        namespace.enter(&mut command);
        let script = "mount --bind \"$0/passwd\" /etc/passwd && exec \"$@\"";
        command.args(["-c", script]).arg(&place).arg(OURS).args(words.split(' '));
        let out = super::hostile::bounded(&mut command);
        let (text, notes) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{words}: {out:?}");
        assert!(text.contains("7421") && text.contains("9ec39b91f3d7"), "{words}: {out:?}");
        assert!(text.contains("(uid 5555)"), "{words}: {text}");
        let want = format!("ss: {} is not read: it is a FIFO\n", pipe.display());
        assert!(notes.contains(&want), "{words}: {notes}");
    }
    fs::remove_dir_all(place).expect("the test's own");
}
