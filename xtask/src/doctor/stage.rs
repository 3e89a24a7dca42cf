//! The environment of a scene: up to two network namespaces, what connects them, and the
//! programs that run in them.
//!
//! Invariant: however a scene ends, its processes are stopped, each by its own id, and its
//! namespaces are gone.

use std::cell::OnceCell;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path as FilePath, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sockdiag_testkit::Why;
use sockdiag_testkit::actor::Actor;
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::path::{Path, Way};

/// Index of the device that connects the two namespaces.
const JOINT: u32 = 200;

/// A scene's environment; the doctor looks at its near namespace.
#[derive(Debug)]
pub(super) struct Stage {
    // Dropped in this order.
    works: Vec<Work>,
    players: Vec<Player>,
    actors: Vec<Actor>,
    holders: Vec<Holder>,
    path: Option<Arc<Path>>,
    far: OnceCell<Namespace>,
    near: Namespace,
    directory: Option<PathBuf>,
}

/// A thread that runs until the scene ends.
#[derive(Debug)]
struct Work {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A program other than an actor, such as a real server.
///
/// A shell waits for it, and ends it when the shell's input is closed, even if this process
/// dies.
#[derive(Debug)]
struct Player(Child);

/// A shell script that runs its arguments until its input ends.
const UNTIL_ITS_INPUT_ENDS: &str =
    "\"$@\" </dev/null & p=$!; read _; kill -TERM $p; (sleep 4; kill -KILL $p) & k=$!; wait $p; kill $k";

impl Drop for Player {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.works.clear();
        // Stops clients before their servers.
        while self.players.pop().is_some() {}
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

impl Stage {
    /// An empty stage, with a congestion control that every namespace may use.
    pub(super) fn new() -> Result<Self, Why> {
        Ok(Self {
            works: Vec::new(),
            players: Vec::new(),
            actors: Vec::new(),
            holders: Vec::new(),
            path: None,
            far: OnceCell::new(),
            near: furnished()?,
            directory: None,
        })
    }

    /// The namespace that the doctor looks at.
    pub(super) fn near(&self) -> &Namespace {
        &self.near
    }

    /// The other namespace, made on first use.
    pub(super) fn far(&self) -> Result<&Namespace, Why> {
        if self.far.get().is_none() {
            let _ = self.far.set(furnished()?);
        }
        self.far.get().ok_or_else(|| Why::new("there is no other namespace"))
    }

    /// Starts an actor in the near namespace; returns its index.
    pub(super) fn here(&mut self, line: &str) -> Result<usize, Why> {
        let actor = Actor::start(&self.near, line)?;
        self.actors.push(actor);
        Ok(self.actors.len() - 1)
    }

    /// Starts an actor in the far namespace; returns its index.
    pub(super) fn there(&mut self, line: &str) -> Result<usize, Why> {
        let actor = Actor::start(self.far()?, line)?;
        self.actors.push(actor);
        Ok(self.actors.len() - 1)
    }

    /// Stops an actor, whose sockets stay open.
    pub(super) fn pause(&self, actor: usize) -> Result<(), Why> {
        self.actors.get(actor).ok_or_else(|| Why::new("there is no such actor"))?.pause()
    }

    /// Ends an actor, if it is the one started last.
    pub(super) fn dismiss(&mut self, actor: usize) {
        if actor + 1 == self.actors.len() {
            self.actors.pop();
        }
    }

    /// Changes a sysctl below net/ipv4 in the near namespace.
    pub(super) fn set_here(&self, name: &str, value: &str) -> Result<(), Why> {
        self.near.sysctl(&format!("net/ipv4/{name}"), value)
    }

    /// Changes a sysctl below net/ipv4 in both namespaces.
    pub(super) fn set_both(&self, name: &str, value: &str) -> Result<(), Why> {
        self.set_here(name, value)?;
        self.far()?.sysctl(&format!("net/ipv4/{name}"), value)
    }

    /// Makes a path from the near (10.9.0.1) to the far namespace (10.9.0.2), with this
    /// behaviour for packets in each direction.
    pub(super) fn path(&mut self, there: Way, back: Way) -> Result<Arc<Path>, Why> {
        let path = match &self.path {
            Some(path) => Arc::clone(path),
            None => Arc::new(Path::between(&self.near, self.far()?)?),
        };
        path.set(there, back);
        self.path = Some(Arc::clone(&path));
        Ok(path)
    }

    /// The same, with this delay in each direction.
    pub(super) fn slow_path(&mut self, delay_ms: u64) -> Result<Arc<Path>, Why> {
        self.path(Way::slow(delay_ms), Way::slow(delay_ms))
    }

    /// Connects the namespaces by a pair of devices: 10.8.0.1 here, 10.8.0.2 there.
    /// Optionally limits what leaves here to this many bytes a second.
    pub(super) fn join(&self, bytes_per_s: Option<u32>) -> Result<(), Why> {
        let address = |text: &str| text.parse().map_err(|error| Why::new(format!("{text}: {error}")));
        let ends = [address("10.8.0.1")?, address("10.8.0.2")?];
        self.near.connect(self.far()?, JOINT, "joint0", ends)?;
        bytes_per_s.map_or(Ok(()), |bytes_per_s| self.near.limit(JOINT, bytes_per_s))
    }

    /// Opens idle connections in the near namespace and holds them.
    pub(super) fn crowd(&mut self, connections: u32) -> Result<(), Why> {
        let holder = Holder::start(&self.near, connections, 10)?;
        self.holders.push(holder);
        Ok(())
    }

    /// Repeats something until the scene ends.
    pub(super) fn again(
        &mut self,
        every: Duration,
        mut work: impl FnMut() + Send + 'static,
    ) -> Result<(), Why> {
        let stop = Arc::new(AtomicBool::new(false));
        let stops = Arc::clone(&stop);
        let work = move || {
            while !stops.load(Ordering::Relaxed) {
                work();
                thread::sleep(every);
            }
        };
        let thread =
            thread::Builder::new().spawn(work).map_err(|error| Why::new(format!("a thread: {error}")))?;
        self.works.push(Work { stop, thread: Some(thread) });
        Ok(())
    }

    /// Runs a program in the near namespace until the scene ends.
    pub(super) fn play(&mut self, command: &Command) -> Result<(), Why> {
        let mut shell = self.near.command("/bin/sh");
        shell.args(["-c", UNTIL_ITS_INPUT_ENDS, "sh"]).arg(command.get_program()).args(command.get_args());
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = shell.spawn().map_err(|error| Why::new(format!("{command:?}: {error}")))?;
        self.players.push(Player(child));
        Ok(())
    }

    /// Runs a program in the near namespace to its end, which must be successful.
    pub(super) fn run(&self, command: &mut Command) -> Result<(), Why> {
        self.near.enter(command);
        let out = command.stdin(Stdio::null()).output();
        let out = out.map_err(|error| Why::new(format!("{command:?}: {error}")))?;
        if out.status.success() {
            return Ok(());
        }
        Err(Why::new(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr).trim_end())))
    }

    /// A directory for files that programs need, accessible to every user.
    pub(super) fn directory(&mut self) -> Result<&FilePath, Why> {
        let failed = |error: std::io::Error| Why::new(format!("a directory: {error}"));
        if self.directory.is_none() {
            let path = std::env::temp_dir().join(format!("sockdiag-stage-{}", self.near.pid()));
            fs::create_dir(&path).map_err(failed)?;
            self.directory = Some(path.clone());
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).map_err(failed)?;
        }
        self.directory.as_deref().ok_or_else(|| Why::new("there is no directory"))
    }

    /// Creates a file in that directory.
    pub(super) fn file(&mut self, name: &str, text: &str) -> Result<PathBuf, Why> {
        let path = self.directory()?.join(name);
        let written = fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| crate::fail::failed(&path, &error))?;
        Ok(path)
    }

    /// The content of a file below /proc/PID, as seen in the near namespace.
    pub(super) fn proc(&self, name: &str) -> Result<String, Why> {
        let path = format!("/proc/{}/{name}", self.near.pid());
        fs::read_to_string(&path).map_err(|error| Why::new(format!("{path}: {error}")))
    }
}

/// Waits until the scene has had an effect.
pub(super) fn wait(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

fn furnished() -> Result<Namespace, Why> {
    let namespace = Namespace::new()?;
    namespace.sysctl("net/ipv4/tcp_congestion_control", "reno")?;
    Ok(namespace)
}
