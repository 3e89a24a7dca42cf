use super::*;

const A: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
const B: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
const UID: &str = "4fe556a4-0bd7-45be-966f-46e2cbf4c4ac";

/// `runtime id name pod qos unit slice session uid`, `-` for absent, with ids
/// as letters.
fn told(path: &str) -> String {
    let path =
        path.replace("$A", A).replace("$B", B).replace("$UID_", &UID.replace('-', "_")).replace("$UID", UID);
    shown(&read(path.as_bytes(), &|_| None).work)
}

/// The same where these directories have these owners; root owns the others.
fn told_of(path: &str, owners: &[(&str, u32)]) -> (String, Stores) {
    let path = path.replace("$A", A).replace("$B", B).replace("$UID", UID);
    let told = read(path.as_bytes(), &|path| {
        let owner = owners.iter().find(|(of, _)| of.replace("$B", B).as_bytes() == path);
        Some(owner.map_or(0, |(_, uid)| *uid))
    });
    (shown(&told.work), told.stores)
}

fn shown(work: &Workload) -> String {
    let text = |value: &Option<Named>| {
        let ascii = |value: &Named| String::from_utf8(value.whole().to_vec()).expect("ASCII");
        value.as_ref().map_or("-".to_owned(), ascii)
    };
    let session = work.session.as_deref().map(Named::from);
    let words = [
        work.runtime.unwrap_or("-").to_owned(),
        text(&work.container_id),
        text(&work.container_name),
        text(&work.pod_uid),
        work.pod_qos.unwrap_or("-").to_owned(),
        text(&work.unit),
        text(&work.slice),
        text(&session),
        work.owner_uid.map_or("-".to_owned(), |uid| uid.to_string()),
    ];
    words
        .join(" ")
        .replace(&UID.replace('-', "_"), "$UID_")
        .replace(A, "$A")
        .replace(B, "$B")
        .replace(UID, "$UID")
        .replace(&B[..12], "$B12")
        .replace(&A[..12], "$A12")
        .replace("(container ", "(")
        .replace("(uid ", "(")
}

#[test]
fn every_runtime_s_paths_are_known() {
    for (path, want) in [
        ("/", "- - - - - - - - -"),
        ("", "- - - - - - - - -"),
        // Docker, with either driver, rootless, on ECS, and inside Docker.
        ("/docker/$A", "docker $A - - - - - - -"),
        ("/system.slice/docker-$A.scope", "docker $A - - - docker-$A.scope system.slice - -"),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-$A.scope",
            "docker $A(1000) - - - docker-$A.scope(1000) user.slice(1000) - 1000",
        ),
        ("/ecs/$A", "docker $A - - - - - - -"),
        ("/ecs/my-task/$A", "- $A - - - - - - -"),
        ("/docker/$A/docker/$B", "docker $B($A12) - - - - - - -"),
        (
            "/system.slice/docker-$A.scope/system.slice/ssh.service",
            "docker $A - - - ssh.service($A12) system.slice($A12) - -",
        ),
        // Podman: systemd, cgroupfs, rootless, in a pod, from a unit, and its helper.
        ("/machine.slice/libpod-$A.scope/container", "podman $A - - - libpod-$A.scope machine.slice - -"),
        ("/libpod_parent/libpod-$A", "podman $A - - - - - - -"),
        ("/libpod_parent/$A", "podman $A - - - - - - -"),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-$A.scope",
            "podman $A(1000) - - - libpod-$A.scope(1000) user.slice(1000) - 1000",
        ),
        (
            "/machine.slice/machine-libpod_pod_$B.slice/libpod-$A.scope/container",
            "podman $A - $B - libpod-$A.scope machine-libpod_pod_$B.slice - -",
        ),
        (
            "/system.slice/quadlet-minimal.service/libpod-payload-$A",
            "podman $A - - - quadlet-minimal.service system.slice - -",
        ),
        (
            "/system.slice/quadlet-minimal.service/runtime",
            "- - - - - quadlet-minimal.service system.slice - -",
        ),
        ("/machine.slice/libpod-conmon-$A.scope", "- - - - - libpod-conmon-$A.scope machine.slice - -"),
        // containerd alone: ctr and nerdctl.
        ("/default/$A", "containerd $A - - - - - - -"),
        ("/system.slice/nerdctl-$A.scope", "containerd $A - - - nerdctl-$A.scope system.slice - -"),
        // Kubernetes: classes, drivers, runtimes, static pods.
        ("/kubepods/burstable/pod$UID/$A", "- $A - $UID burstable - - - -"),
        ("/kubepods/besteffort/pod$UID/$A", "- $A - $UID besteffort - - - -"),
        ("/kubepods/pod$UID/$A", "- $A - $UID guaranteed - - - -"),
        ("/kubepods/burstable/pod$UID/crio-$A", "cri-o $A - $UID burstable - - - -"),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod$UID_.slice/cri-containerd-$A.scope",
            "containerd $A - $UID burstable cri-containerd-$A.scope kubepods-burstable-pod$UID_.slice - -",
        ),
        (
            "/kubepods.slice/kubepods-pod$UID_.slice/crio-$A.scope",
            "cri-o $A - $UID guaranteed crio-$A.scope kubepods-pod$UID_.slice - -",
        ),
        (
            "/kubepods.slice/kubepods-pod$UID_.slice/crio-conmon-$A.scope",
            "- - - $UID guaranteed crio-conmon-$A.scope kubepods-pod$UID_.slice - -",
        ),
        (
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
             kubelet-kubepods-besteffort-pod$UID_.slice/cri-containerd-$A.scope",
            "containerd $A - $UID besteffort cri-containerd-$A.scope \
             kubelet-kubepods-besteffort-pod$UID_.slice - -",
        ),
        (
            "/system.slice/containerd.service/kubepods-burstable-pod$UID_.slice:cri-containerd:$A",
            "containerd $A - $UID burstable - kubepods-burstable-pod$UID_.slice - -",
        ),
        (
            "/kubepods.slice/kubepods-pod$UID_.slice/docker-$A.scope",
            "docker $A - $UID guaranteed docker-$A.scope kubepods-pod$UID_.slice - -",
        ),
        (
            "/kubepods/burstable/pod5a3d9c0f2b1e4d6c8a7f9e0b1c2d3e4f/$A",
            "- $A - 5a3d9c0f2b1e4d6c8a7f9e0b1c2d3e4f burstable - - - -",
        ),
        // A node of kind: a cluster in a container.
        ("/docker/$B/kubelet/kubepods/besteffort/pod$UID/$A", "- $A($B12) - $UID($B12) - - - - -"),
        // LXC, LXD and Incus.
        (
            "/lxc.payload.web/system.slice/nginx.service",
            "lxc web web - - nginx.service(web) system.slice(web) - -",
        ),
        ("/lxc.payload/web", "lxc web web - - - - - -"),
        ("/lxc/web/init.scope", "lxc web web - - init.scope(web) - - -"),
        ("/lxc.monitor.web", "- - - - - - - - -"),
        // Machines: systemd-nspawn, libvirt.
        (
            "/machine.slice/systemd-nspawn@my\\x2dbox.service/payload",
            "nspawn my-box my-box - - systemd-nspawn@my\\x2dbox.service machine.slice - -",
        ),
        (
            "/machine.slice/machine-box.scope/payload/system.slice/ssh.service",
            "machine box box - - ssh.service(box) system.slice(box) - -",
        ),
        (
            "/machine.slice/machine-qemu\\x2d2\\x2dmy\\x2dvm.scope",
            "libvirt my-vm my-vm - - machine-qemu\\x2d2\\x2dmy\\x2dvm.scope machine.slice - -",
        ),
        // Units and sessions.
        ("/system.slice/ssh.service", "- - - - - ssh.service system.slice - -"),
        (
            "/system.slice/system-getty.slice/getty@tty1.service",
            "- - - - - getty@tty1.service system-getty.slice - -",
        ),
        ("/system.slice/_cpu.service", "- - - - - cpu.service system.slice - -"),
        ("/init.scope", "- - - - - init.scope - - -"),
        ("/user.slice/user-1000.slice/session-4.scope", "- - - - - session-4.scope user-1000.slice 4 1000"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/dbus.socket",
            "- - - - - dbus.socket(1000) app.slice(1000) - 1000",
        ),
        // Names that only look like containers.
        ("/system.slice/docker.service", "- - - - - docker.service system.slice - -"),
        ("/system.slice/docker-abc.scope", "- - - - - docker-abc.scope system.slice - -"),
        ("/docker/buildx", "- - - - - - - - -"),
        ("/kubepods/burstable/podcast", "- - - - - - - - -"),
        ("/.slice/.service", "- - - - - - .slice - -"),
        ("/../../docker-$A.scope", "docker $A - - - docker-$A.scope - - -"),
        ("/system.slice/user-5.scope/user-77.slice", "- - - - - - user-77.slice - -"),
        // The manager of root's own user session is not a border.
        ("/user.slice/user-0.slice/user@0.service/app.slice/x.service", "- - - - - x.service app.slice - 0"),
    ] {
        assert_eq!(told(path), want, "{path}");
    }
}

#[test]
fn names_behind_a_border_say_whose_they_are() {
    let manager = "/user.slice/user-1000.slice/user@1000.service";
    let his = &[("/user.slice/user-1000.slice/user@1000.service", 1000)][..];
    let given = &[("/system.slice/ci.service", 990)][..];
    let (user, ci) = (Stores::User(1000), Stores::User(990));
    for (path, owners, want, stores) in [
        // A user's unit with the name of one of root's.
        (
            "$M/app.slice/sshd.service",
            his,
            "- - - - - sshd.service(1000) app.slice(1000) - 1000",
            Stores::Root,
        ),
        (
            "$M/app.slice/sshd.service",
            &[],
            "- - - - - sshd.service(1000) app.slice(1000) - 1000",
            Stores::Root,
        ),
        (
            "$M/docker-$A.scope",
            his,
            "docker $A(1000) - - - docker-$A.scope(1000) user-1000.slice - 1000",
            user,
        ),
        (
            "$M/kubepods/burstable/pod$UID/cri-containerd-$A.scope",
            his,
            "containerd $A(1000) - $UID(1000) - cri-containerd-$A.scope(1000) user-1000.slice - 1000",
            user,
        ),
        (
            "$M/lxc/web/sshd.service",
            his,
            "lxc web(1000) web(1000) - - sshd.service(1000) user-1000.slice - 1000",
            user,
        ),
        ("$M/session-4.scope", his, "- - - - - session-4.scope(1000) user-1000.slice - 1000", Stores::Root),
        (
            "$M/user@0.service/x.service",
            his,
            "- - - - - x.service(1000) user-1000.slice - 1000",
            Stores::Root,
        ),
        ("$M", his, "- - - - - user@1000.service user-1000.slice - 1000", Stores::Root),
        // A service that runs as a user; systemd gave that user the service's cgroup.
        ("/system.slice/ci.service", given, "- - - - - ci.service system.slice - -", Stores::Root),
        (
            "/system.slice/ci.service/docker-$A.scope",
            given,
            "docker $A(990) - - - docker-$A.scope(990) system.slice - 990",
            ci,
        ),
        (
            "/system.slice/ci.service/docker-$A.scope",
            &[],
            "docker $A - - - docker-$A.scope system.slice - -",
            Stores::Root,
        ),
        // In a container: a scope like another's, another container, another user's
        // manager.
        ("/docker/$B/docker/$A", &[], "docker $A($B12) - - - - - - -", Stores::None),
        ("/docker/$B/sshd.service", &[], "docker $B - - - sshd.service($B12) - - -", Stores::Root),
        (
            "/docker/$B/docker-$A.scope",
            &[("/docker/$B", 1000)],
            "docker $A($B12) - - - docker-$A.scope($B12) - - -",
            Stores::None,
        ),
        (
            "/docker/$B/user.slice/user-7.slice/user@7.service/x.service",
            &[],
            "docker $B - - - x.service($B12) user-7.slice($B12) - -",
            Stores::Root,
        ),
        // Characters that are not allowed in the mark of an owner are replaced by `?`.
        ("/lxc.payload.a b)/x.service", &[], "lxc a b) a b) - - x.service(a?b?) - - -", Stores::Root),
        // Directly below a directory that belongs to the user.
        (
            "/his/docker-$A.scope",
            &[("/his", 7)],
            "docker $A(7) - - - docker-$A.scope(7) - - 7",
            Stores::User(7),
        ),
    ] {
        let path = path.replace("$M", manager);
        assert_eq!(told_of(&path, owners), (want.to_owned(), stores), "{path}");
    }
}

#[test]
fn where_nothing_tells_whose_a_directory_is_containers_are_where_their_managers_put_them() {
    for (path, want) in [
        ("/system.slice/ci.service/docker-$A.scope", "- - - - - docker-$A.scope system.slice - -"),
        ("/system.slice/ci.service/kubepods/pod$UID/$A", "- - - - - ci.service system.slice - -"),
        ("/elsewhere/docker-$A.scope", "- - - - - docker-$A.scope - - -"),
        ("/elsewhere/lxc/web", "- - - - - - - - -"),
        ("/system.slice/podman-web.service/libpod-$A", "podman $A - - - podman-web.service system.slice - -"),
        ("/system.slice/web.service/libpod-payload-$A", "podman $A - - - web.service system.slice - -"),
    ] {
        assert_eq!(told(path), want, "{path}");
    }
}

#[test]
fn of_several_hierarchies_the_one_that_tells_most_counts() {
    let of = |file: &str| best(file.replace("$A", A).as_bytes(), &|_| None).map(|told| shown(&told.work));
    for (file, want) in [
        ("0::/system.slice/ssh.service\n", Some("- - - - - ssh.service system.slice - -")),
        ("5:memory:/docker/$A\n1:name=systemd:/docker/$A\n0::/system.slice/docker.service\n", {
            Some("docker $A - - - - - - -")
        }),
        ("9:name=systemd:/\n4:memory:/a/b.service\n3:cpu:/\n0::/\n", Some("- - - - - b.service - - -")),
        ("4:memory:/\n0::/\n", Some("- - - - - - - - -")),
        ("0::/init.scope\n2:cpu:/x.service\n", Some("- - - - - x.service - - -")),
        ("garbage\n\n::", Some("- - - - - - - - -")),
        ("", None),
    ] {
        assert_eq!(of(file).as_deref(), want, "{file}");
    }
}

#[test]
fn any_bytes_are_a_path() {
    let mut rng = fastrand::Rng::with_seed(7);
    let pieces: [&[u8]; 12] = [
        b"/",
        b"docker-",
        b".scope",
        b"libpod_pod_",
        b".slice",
        b"pod",
        b"-pod",
        b"kubepods",
        b":",
        b"\\x",
        b"\xff",
        A.as_bytes(),
    ];
    for _ in 0..20_000 {
        let path: Vec<u8> =
            (0..rng.usize(..9)).flat_map(|_| pieces[rng.usize(..pieces.len())].to_vec()).collect();
        for owner in [None, Some(0), Some(5)] {
            assert_eq!(read(&path, &|_| owner).work.cgroup, path);
            let _ = best(&path, &|_| owner);
        }
    }
}
