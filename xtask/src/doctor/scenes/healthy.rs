//! Healthy workloads: real servers under load, and other normal activity.
//!
//! A scene names the programs that it needs, and is skipped if one is not installed.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use sockdiag_testkit::{Why, until};

use super::super::stage::{Stage, wait};
use super::{Scene, Sign};

/// Directories that Debian's packages install programs into.
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

pub(super) const SCENES: &[Scene] = &[
    Scene::fault("nginx", "nginx with two workers, loaded by wrk over 40 connections.", &[], BUSY, nginx)
        .healthy()
        .taking(&[("nginx", "nginx-light"), ("wrk", "wrk")])
        .heavy()
        .brief(),
    Scene::fault(
        "nginx-short",
        "nginx, 20 requests a second by ab, each on a new connection.",
        &[],
        &[Sign::Gains("TcpActiveOpens", 30)],
        nginx_short,
    )
    .healthy()
    .taking(&[("nginx", "nginx-light"), ("ab", "apache2-utils")])
    .heavy(),
    Scene::fault("postgresql", "PostgreSQL, loaded by pgbench with eight clients.", &[], BUSY, postgresql)
        .healthy()
        .taking(&[
            ("initdb", "postgresql"),
            ("postgres", "postgresql"),
            ("pgbench", "postgresql"),
            ("setpriv", "util-linux"),
        ])
        .heavy(),
    Scene::fault("redis", "redis, loaded by redis-benchmark with fifty clients.", &[], BUSY, redis)
        .healthy()
        .taking(&[("redis-server", "redis-server"), ("redis-benchmark", "redis-tools")])
        .heavy()
        .brief(),
    Scene::fault("ssh", "Four sessions of ssh, of which one copies a file.", &[], &[], ssh)
        .healthy()
        .taking(&[("sshd", "openssh-server"), ("ssh", "openssh-client"), ("ssh-keygen", "openssh-client")])
        .heavy(),
    Scene::fault(
        "idle-crowd",
        "A thousand idle connections.",
        &[],
        &[Sign::Sockets("-Htn state established", 2000)],
        |stage| stage.crowd(1000),
    )
    .healthy()
    .brief(),
    Scene::fault("bulk-loopback", "A bulk transfer over loopback at full speed.", &[], BUSY, |stage| {
        stage.here("listen 127.0.0.1:80 then=sink")?;
        stage.here("connect 127.0.0.1:80 then=send")?;
        wait(500);
        Ok(())
    })
    .healthy()
    .heavy(),
    Scene::fault(
        "bulk-line-rate",
        "A bulk transfer between two namespaces at line rate.",
        &[],
        BUSY,
        |stage| {
            stage.join(None)?;
            stage.there("listen 10.8.0.2:80 then=sink")?;
            stage.here("connect 10.8.0.2:80 then=send")?;
            wait(500);
            Ok(())
        },
    )
    .healthy()
    .heavy()
    .brief(),
    Scene::fault(
        "busy-service",
        "Forty clients on this host send requests as fast as the server responds.",
        &[],
        BUSY,
        |stage| {
            stage.here("listen 127.0.0.1:80 then=serve")?;
            stage.here("connect 127.0.0.1:80 n=40 then=ask:1")?;
            wait(300);
            Ok(())
        },
    )
    .healthy(),
    Scene::fault(
        "come-and-go",
        "Ten connections a second, each for one request.",
        &[],
        &[Sign::Gains("TcpActiveOpens", 15)],
        |stage| {
            stage.here("listen 127.0.0.1:80 then=serve")?;
            stage.here("connect 127.0.0.1:80 endless every=100 then=exchange")?;
            wait(300);
            Ok(())
        },
    )
    .healthy(),
    Scene::fault(
        "wide-area-transfers",
        "Four transfers at 400 kB a second each, to clients 40 ms away; nothing is lost.",
        &[],
        &[Sign::Gains("TcpOutSegs", 1000)],
        |stage| {
            stage.slow_path(20)?;
            stage.here("listen 10.9.0.1:443 then=send:400000")?;
            stage.there("connect 10.9.0.1:443 n=4 then=sink")?;
            wait(700);
            Ok(())
        },
    )
    .healthy(),
    Scene::fault(
        "wide-area",
        "Thirty clients 30 ms away send occasional requests; nothing is lost.",
        &[],
        &[Sign::Sockets("-Htn state established sport = :443", 30)],
        |stage| {
            stage.slow_path(15)?;
            stage.here("listen 10.9.0.1:443 then=serve")?;
            stage.there("connect 10.9.0.1:443 n=30 then=ask:100")?;
            wait(500);
            Ok(())
        },
    )
    .healthy(),
];

/// Many TCP segments sent per second.
const BUSY: &[Sign] = &[Sign::Gains("TcpOutSegs", 1000)];

/// The path of a program.
pub(super) fn program(name: &str) -> Result<PathBuf, Why> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let places = PLACES.iter().map(PathBuf::from).chain(versions.map(|version| version.path().join("bin")));
    let found = places.map(|place| place.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| Why::new(format!("there is no {name}")))
}

/// Waits until something listens on a port.
fn listens(stage: &Stage, port: u16) -> Result<(), Why> {
    let answered = stage.near().with(move || until(|| TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
    if answered { Ok(()) } else { Err(Why::new(format!("nobody listens on port {port}"))) }
}

fn nginx_alone(stage: &mut Stage) -> Result<(), Why> {
    let nginx = program("nginx")?;
    let here = stage.directory()?.display().to_string();
    stage.file("index.html", &"All is well.\n".repeat(60))?;
    let text = format!(
        "daemon off;\nworker_processes 2;\nuser root;\npid {here}/pid;\nerror_log {here}/errors;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:8080; root {here}; }}\n\
         client_body_temp_path {here}/a; proxy_temp_path {here}/b; fastcgi_temp_path {here}/c;\n\
         uwsgi_temp_path {here}/d; scgi_temp_path {here}/e; }}\n"
    );
    let file = stage.file("nginx.conf", &text)?;
    stage.play(Command::new(nginx).arg("-c").arg(file).arg("-p").arg(here))?;
    listens(stage, 8080)
}

fn nginx(stage: &mut Stage) -> Result<(), Why> {
    let wrk = program("wrk")?;
    nginx_alone(stage)?;
    let words = ["-t1", "-c40", "-d60", "http://127.0.0.1:8080/"];
    stage.play(Command::new(wrk).args(words))?;
    wait(1500);
    Ok(())
}

fn nginx_short(stage: &mut Stage) -> Result<(), Why> {
    let ab = program("ab")?;
    nginx_alone(stage)?;
    // Few enough that ports do not run out and TIME-WAIT does not fill up.
    let again = "while sleep 0.5; do \"$0\" -q -c 2 -n 10 http://127.0.0.1:8080/; done";
    stage.play(Command::new("/bin/sh").args(["-c", again]).arg(ab))?;
    wait(1000);
    Ok(())
}

fn postgresql(stage: &mut Stage) -> Result<(), Why> {
    let setpriv = program("setpriv")?;
    let place = stage.directory()?.to_owned();
    let data = place.join("data");
    // PostgreSQL refuses to run as root.
    let as_its_user = |name: &str| {
        let mut command = Command::new(&setpriv);
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program(name)?);
        command.current_dir("/");
        Ok::<_, Why>(command)
    };
    stage.run(as_its_user("initdb")?.args(["-N", "-A", "trust", "-D"]).arg(&data))?;
    let server = ["-c", "listen_addresses=127.0.0.1", "-c", "port=5432", "-c", "fsync=off", "-k"];
    stage.play(as_its_user("postgres")?.args(server).arg(&place).arg("-D").arg(&data))?;
    listens(stage, 5432)?;
    wait(500);
    let client = ["-h", "127.0.0.1", "-U", "postgres"];
    stage.run(as_its_user("pgbench")?.args(client).args(["-i", "-q", "postgres"]))?;
    stage.play(as_its_user("pgbench")?.args(client).args(["-c", "8", "-T", "60", "postgres"]))?;
    wait(1000);
    Ok(())
}

fn redis(stage: &mut Stage) -> Result<(), Why> {
    let (server, load) = (program("redis-server")?, program("redis-benchmark")?);
    let directory = stage.directory()?.to_owned();
    let words = ["--port", "6379", "--bind", "127.0.0.1", "--save", "", "--dir"];
    stage.play(Command::new(server).args(words).arg(directory))?;
    listens(stage, 6379)?;
    stage.play(Command::new(load).args(["-q", "-l", "-c", "50", "-t", "get,set"]))?;
    wait(1000);
    Ok(())
}

fn ssh(stage: &mut Stage) -> Result<(), Why> {
    let sshd = program("sshd")?;
    let (ssh, keygen) = (program("ssh")?, program("ssh-keygen")?);
    // sshd's privilege-separation directory, which only root may write to.
    fs::create_dir_all("/run/sshd").map_err(|error| Why::new(format!("/run/sshd: {error}")))?;
    let directory = stage.directory()?.to_owned();
    let (host, user) = (directory.join("host"), directory.join("user"));
    for key in [&host, &user] {
        stage.run(Command::new(&keygen).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key))?;
    }
    let text = format!(
        "HostKey {}\nAuthorizedKeysFile {}.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n",
        host.display(),
        user.display()
    );
    let file = stage.file("sshd_config", &text)?;
    let listen = ["-D", "-e", "-p", "2222", "-o", "ListenAddress=127.0.0.1", "-f"];
    stage.play(Command::new(sshd).args(listen).arg(file))?;
    listens(stage, 2222)?;
    let known =
        ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes"];
    let session = |command: &str| {
        let mut client = Command::new(&ssh);
        client.args(["-F", "none", "-p", "2222", "-i"]).arg(&user);
        for option in known {
            client.args(["-o", option]);
        }
        client.args(["root@127.0.0.1", command]);
        client
    };
    for _ in 0..3 {
        stage.play(&session("while sleep 0.3; do date; done"))?;
    }
    stage.play(&session("head -c 4000000000 /dev/zero"))?;
    wait(1500);
    Ok(())
}
